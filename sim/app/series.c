/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/series.h"

#include <string.h>

#include "sim/base/check.h"

#define DEF(name, kind, unit, text) { #name, unit, text, SERIES_##kind },
const struct series_def series_def[SERIES_COLUMN_COUNT] = { SERIES_COLUMNS(DEF) };

static_assert(SERIES_MAX % 2 == 0, "each two windows become one");

void series_begin(struct series *s, sim_time_t now, const uint64_t *value)
{
    *s = (struct series){ .began = now, .length = TIME_US };
    memcpy(s->before, value, sizeof s->before);
}

sim_time_t series_due(const struct series *s)
{
    const sim_time_t last = s->windows == 0 ? s->began : s->window[s->windows - 1].end;
    return s->began + ((last - s->began) / s->length + 1) * s->length;
}

static void join(struct series_window *into, const struct series_window *a,
                 const struct series_window *b)
{
    struct series_window w = { .end = b->end };
    for (unsigned c = 0; c < SERIES_COLUMN_COUNT; c++)
        if (series_def[c].kind == SERIES_sum)
            w.value[c] = a->value[c] + b->value[c];
        else
            w.value[c] = a->value[c] > b->value[c] ? a->value[c] : b->value[c];
    *into = w;
}

static void make_room(struct series *s)
{
    for (unsigned i = 0; i < SERIES_MAX / 2; i++)
        join(&s->window[i], &s->window[2 * i], &s->window[2 * i + 1]);
    s->windows = SERIES_MAX / 2;
    s->length *= 2;
}

void series_sample(struct series *s, sim_time_t now, const uint64_t *value)
{
    CHECK(now > (s->windows == 0 ? s->began : s->window[s->windows - 1].end));
    CHECK(s->windows < SERIES_MAX);
    struct series_window *w = &s->window[s->windows++];
    w->end                  = now;
    for (unsigned c = 0; c < SERIES_COLUMN_COUNT; c++) {
        const bool sum = series_def[c].kind == SERIES_sum;
        CHECK(!sum || value[c] >= s->before[c]);
        w->value[c]  = sum ? value[c] - s->before[c] : value[c];
        s->before[c] = value[c];
    }
    if (s->windows == SERIES_MAX)
        make_room(s);
}
