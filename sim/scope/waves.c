/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scope/waves.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/host/vcd.h"

struct waves {
    FILE *out;
    char *base;
    struct scope_window window;
    struct gauge_source source;
    const struct sim_host *host;
    sim_time_t zero, from, to;
    struct gauge gauge[GAUGES_MAX];
    struct vcd_signal signal[GAUGES_MAX];
    uint64_t value[GAUGES_MAX];
    unsigned gauges;
    bool watching, written;
    struct vcd *vcd; /* NULL: not begun, or ended. */
};

struct waves *waves_new(FILE *out, const char *base, const struct scope_window *window)
{
    struct waves *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->out    = out;
    w->base   = strdup(base);
    w->window = *window;
    CHECK(w->base != NULL);
    return w;
}

static void choose_signals(struct waves *w)
{
    struct gauge all[GAUGES_MAX];
    const unsigned count = gauge_list(&w->source, all);
    w->gauges            = 0;
    for (unsigned i = 0; i < count; i++) {
        if ((all[i].use & GAUGE_SIGNAL) == 0)
            continue;
        w->signal[w->gauges] =
            (struct vcd_signal){ all[i].name, all[i].bits, &w->value[w->gauges] };
        w->gauge[w->gauges++] = all[i];
    }
}

static void read_all(struct waves *w)
{
    for (unsigned i = 0; i < w->gauges; i++)
        w->value[i] = w->gauge[i].read(&w->source, w->gauge[i].index);
}

void waves_begin(struct waves *w, const struct scope *scope, sim_time_t now)
{
    CHECK(!w->written); /* One run to a file. */
    w->source =
        (struct gauge_source){ scope->iommu, scope->port, scope->nvme, scope->audit };
    w->host     = scope->engine->host;
    w->zero     = now;
    w->from     = now + time_min(w->window.from, TIME_NEVER - now);
    w->to       = now + time_min(w->window.to, TIME_NEVER - now);
    w->watching = true;
    choose_signals(w);
    read_all(w);
}

/* The values up to here have been those until now. */
static void move_on(struct waves *w, sim_time_t now)
{
    w->host->advance_to(w->host->self, now);
}

void waves_stepped(struct waves *w, sim_time_t now)
{
    if (!w->watching || now < w->from)
        return;
    if (now >= w->to) {
        waves_end(w, now);
        return;
    }
    move_on(w, now);
    if (w->vcd == NULL)
        w->vcd = vcd_open(w->base, w->signal, w->gauges);
    w->written = true;
    read_all(w);
}

/* The last values are written when time leaves them. */
void waves_end(struct waves *w, sim_time_t now)
{
    w->watching = false;
    if (w->vcd == NULL)
        return;
    move_on(w, now);
    vcd_close(w->vcd);
    w->vcd = NULL;
}

/* ---- The result ------------------------------------------------------------------------
 */

/* SystemC writes the day of the run into the head, and times since the machine was switched
 * on: what the result leaves out, and what it counts from the beginning of the replay. */
static void copy(const struct waves *w, FILE *in)
{
    char *line     = NULL;
    size_t room    = 0;
    bool in_date   = false;
    uint64_t stamp = 0;
    while (getline(&line, &room, in) > 0) {
        if (strncmp(line, "$date", 5) == 0)
            in_date = true;
        else if (line[0] == '#' && sscanf(line + 1, "%" SCNu64, &stamp) == 1)
            fprintf(w->out, "#%" PRIu64 "\n", stamp - w->zero);
        else if (!in_date)
            fputs(line, w->out);
        if (in_date && strstr(line, "$end") != NULL)
            in_date = false;
    }
    free(line);
}

bool waves_free(struct waves *w, struct error *error)
{
    bool done         = true;
    const size_t room = strlen(w->base) + sizeof ".vcd";
    char *path        = malloc(room);
    CHECK(path != NULL);
    CHECK(w->vcd == NULL);
    snprintf(path, room, "%s.vcd", w->base);
    FILE *in = w->written ? fopen(path, "r") : NULL;
    if (in != NULL) {
        copy(w, in);
        fclose(in);
    } else if (w->written) {
        done = error_set(error, "%s: cannot read: %s", path, strerror(errno));
    } else {
        done = error_set(error, "--vcd: nothing happens in the window");
    }
    unlink(path);
    free(path);
    free(w->base);
    free(w);
    return done;
}
