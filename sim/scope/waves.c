/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scope/waves.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/host/vcd.h"

enum { SIGNAL_NAME_BYTES = 48 };

struct waves_host {
    struct gauge_source source;
    struct gauge gauge[GAUGES_MAX];
    char name[GAUGES_MAX][SIGNAL_NAME_BYTES];
    uint64_t value[GAUGES_MAX];
    unsigned gauges;
};

struct waves {
    FILE *out;
    char *base;
    struct scope_window window;
    const struct sim_host *kernel;
    sim_time_t zero, from, to;
    struct waves_host host[SCOPE_HOSTS_MAX];
    unsigned hosts;
    struct vcd_signal signal[SCOPE_HOSTS_MAX * GAUGES_MAX];
    unsigned signals;
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

/* Of several hosts, a signal's name begins with which one it is. */
static void choose_signals(struct waves *w, unsigned host)
{
    struct waves_host *h = &w->host[host];
    struct gauge all[GAUGES_MAX];
    const unsigned count = gauge_list_host(&h->source, all);
    h->gauges            = 0;
    for (unsigned i = 0; i < count; i++) {
        if ((all[i].use & GAUGE_SIGNAL) == 0)
            continue;
        char *name = h->name[h->gauges];
        if (w->hosts == 1)
            snprintf(name, SIGNAL_NAME_BYTES, "%s", all[i].name);
        else
            snprintf(name, SIGNAL_NAME_BYTES, "host%u.%s", host, all[i].name);
        w->signal[w->signals++] =
            (struct vcd_signal){ name, all[i].bits, &h->value[h->gauges] };
        h->gauge[h->gauges++] = all[i];
    }
}

static void read_all(struct waves_host *h)
{
    for (unsigned i = 0; i < h->gauges; i++)
        h->value[i] = h->gauge[i].read(&h->source, h->gauge[i].index);
}

void waves_begin(struct waves *w, const struct scope *scope, unsigned hosts, sim_time_t now)
{
    CHECK(!w->written); /* One run to a file. */
    CHECK(hosts <= SCOPE_HOSTS_MAX);
    w->kernel   = scope[0].engine->host;
    w->zero     = now;
    w->from     = now + time_min(w->window.from, TIME_NEVER - now);
    w->to       = now + time_min(w->window.to, TIME_NEVER - now);
    w->watching = true;
    w->hosts    = hosts;
    w->signals  = 0;
    for (unsigned i = 0; i < hosts; i++) {
        w->host[i].source =
            (struct gauge_source){ .iommu = scope[i].iommu, .audit = scope[i].audit };
        choose_signals(w, i);
        read_all(&w->host[i]);
    }
}

/* The values up to here have been those until now. */
static void move_on(struct waves *w, sim_time_t now)
{
    w->kernel->advance_to(w->kernel->self, now);
}

static void open_file(struct waves *w)
{
    for (unsigned i = 0; i < w->hosts; i++)
        read_all(&w->host[i]);
    w->vcd     = vcd_open(w->base, w->signal, w->signals);
    w->written = true;
}

void waves_stepped(struct waves *w, unsigned host, sim_time_t now)
{
    if (!w->watching || now < w->from)
        return;
    if (now >= w->to) {
        waves_end(w, now);
        return;
    }
    move_on(w, now);
    if (w->vcd == NULL)
        open_file(w);
    read_all(&w->host[host]);
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
