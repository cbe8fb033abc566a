/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/drawing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"

#define WINDOW_USUAL "200us"

/* ---- The window ------------------------------------------------------------------------
 */

/* A number with its unit, up to end; NULL: it is none. */
static const char *parse_time(const char *text, sim_time_t *time)
{
    static const struct {
        const char *name;
        sim_time_t ps;
    } unit[] = {
        { "ns", TIME_NS }, { "us", TIME_US }, { "ms", TIME_MS }, { "s", 1000 * TIME_MS }
    };
    char *end;
    if (*text < '0' || *text > '9')
        return NULL;
    errno                 = 0;
    const uint64_t number = strtoull(text, &end, 10);
    for (unsigned i = 0; errno == 0 && i < sizeof unit / sizeof unit[0]; i++) {
        const size_t length = strlen(unit[i].name);
        if (strncmp(end, unit[i].name, length) != 0)
            continue;
        if (number > TIME_NEVER / 2 / unit[i].ps)
            return NULL;
        *time = number * unit[i].ps;
        return end + length;
    }
    return NULL;
}

bool window_parse(const char *text, struct scope_window *w, struct error *error)
{
    sim_time_t first, length;
    *w = (struct scope_window){ 0, TIME_NEVER };
    if (strcmp(text, "all") == 0)
        return true;
    const char *rest = parse_time(text, &first);
    if (rest != NULL && *rest == '\0' && first > 0) {
        w->to = first;
        return true;
    }
    rest = rest != NULL && *rest == '+' ? parse_time(rest + 1, &length) : NULL;
    if (rest == NULL || *rest != '\0' || length == 0)
        return error_set(error,
                         "--timeline-window: expected all, LENGTH or FROM+LENGTH, as in "
                         "50us or 1ms+50us, got '%s'",
                         text);
    *w = (struct scope_window){ first, first + length };
    return true;
}

/* ---- The files -------------------------------------------------------------------------
 */

static bool open_file(struct output *o, const char *option, const char *path,
                      struct error *error)
{
    if (path[0] == '\0' || strcmp(path, "-") == 0)
        return error_set(error, "%s: expected a file, got '%s'", option, path);
    return (output_try(path, error) && output_open(o, path, error))
           || error_in(error, "%s", option);
}

static bool begin_waves(struct drawing *d, struct experiment *e)
{
    if (e->words.host != NULL && strcmp(e->words.host, "direct") == 0)
        return error_set(&e->error, "--vcd: expected --host systemc, which writes it");
    if (experiment_runs(e) != 1)
        return error_set(&e->error,
                         "--vcd: expected one run, got %u: say one --preset, --policy and "
                         "--api",
                         experiment_runs(e));
    if (!open_file(&d->vcd_file, "--vcd", d->vcd, &e->error))
        return false;
    if (d->vcd_file.temporary == NULL)
        return error_set(&e->error, "--vcd: %s is not an ordinary file", d->vcd);
    d->waves = e->waves = waves_new(d->vcd_file.stream, d->vcd_file.temporary, &d->window);
    return true;
}

bool drawing_begin(struct drawing *d, struct experiment *e)
{
    const char *window = d->window_text != NULL ? d->window_text : WINDOW_USUAL;
    e->status          = EXIT_USAGE;
    if (d->window_text != NULL && d->timeline == NULL && d->vcd == NULL)
        return error_set(&e->error, "--timeline-window: expected --timeline or --vcd, too");
    if (!window_parse(window, &d->window, &e->error)
        || (d->vcd != NULL && !begin_waves(d, e)))
        return false;
    if (d->timeline == NULL)
        return true;
    if (!open_file(&d->timeline_file, "--timeline", d->timeline, &e->error))
        return false;
    d->drawn = e->timeline = timeline_new(d->timeline_file.stream, &d->window);
    return true;
}

static bool close_file(struct output *o, bool done, struct error *error)
{
    if (o->stream == NULL)
        return done;
    if (done)
        return output_finish(o, error);
    output_abandon(o);
    return false;
}

bool drawing_finish(struct drawing *d, bool done, struct error *error)
{
    struct error unheard; /* The first reason counts. */
    if (d->waves != NULL)
        done = waves_free(d->waves, done ? error : &unheard) && done;
    if (d->drawn != NULL)
        done = timeline_free(d->drawn, done ? error : &unheard) && done;
    done = close_file(&d->vcd_file, done, error);
    return close_file(&d->timeline_file, done, error);
}
