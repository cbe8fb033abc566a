/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/generator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

#define PARAM_OWNER struct gen_config
static const struct param_def gen_params[] = { GEN_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table gen_param_table = { "gen", "What all generators share", gen_params,
                                             sizeof(struct gen_config), NULL };

bool generator_is(const char *path)
{
    return strncmp(path, GENERATOR_PREFIX, strlen(GENERATOR_PREFIX)) == 0;
}

const struct generator *generator_find(const char *path, struct error *error)
{
    char names[400];
    size_t used = 0;
    CHECK(generator_is(path));
    for (unsigned i = 0; gen_table[i] != NULL; i++)
        if (strcmp(gen_table[i]->name, path + strlen(GENERATOR_PREFIX)) == 0)
            return gen_table[i];
    names[0] = '\0';
    for (unsigned i = 0; gen_table[i] != NULL && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                 i == 0 ? "" : ", ", gen_table[i]->name);
    error_set(error, "%s: no such generator; there are: %s", path, names);
    return NULL;
}

/* ---- Records --------------------------------------------------------------------------
 */

/* What to make, until the reader is closed, and where it stands. */
struct making {
    const struct generator *generator;
    const struct gen_config *config;
    const void *own;
    uint64_t seed;
};
struct made {
    const struct generator *generator;
    struct gen_stream stream;
};

static void *made_open(const void *self, struct trace_about *about, struct error *error)
{
    const struct making *m = self;
    if (m->generator->check != NULL && !m->generator->check(m->config, m->own, error))
        return NULL;
    struct made *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->generator    = m->generator;
    s->stream       = (struct gen_stream){ .config = m->config,
                                           .own    = m->own,
                                           .rng    = rng_make(m->seed, m->generator->name) };
    s->stream.piece = calloc(TRACE_SEGMENTS_MAX, sizeof *s->stream.piece);
    s->stream.state = calloc(1, m->generator->state_bytes + 1);
    CHECK(s->stream.piece != NULL);
    CHECK(s->stream.state != NULL);
    trace_about_note(about, "generator", m->generator->name);
    trace_about_note(about, "origin", m->generator->summary);
    if (m->generator->turns)
        trace_about_note(about, TRACE_NOTE_ORDER, TRACE_ORDER_TURNS);
    return s;
}

static int made_next(void *state, struct trace_record *record, struct error *error)
{
    struct made *m             = state;
    struct gen_stream *s       = &m->stream;
    const struct gen_config *c = s->config;
    if (s->made == c->requests)
        return 0;
    *record = (struct trace_record){ .latency_ns     = TRACE_LATENCY_UNKNOWN,
                                     .time_ns        = s->made * c->interval_ns,
                                     .cpu            = (uint32_t)(s->made % c->cpus),
                                     .completion_cpu = (uint32_t)(s->made % c->cpus),
                                     .depth          = c->depth };
    if (record->time_ns > TRACE_TIME_MAX_NS) {
        error_set(error,
                  "record %" PRIu64 ": gen.interval_ns: its time is beyond %" PRIu64 " ns",
                  s->made, TRACE_TIME_MAX_NS);
        return -1;
    }
    if (!m->generator->next(s, record))
        return 0;
    record->segment = s->piece;
    s->made++;
    return 1;
}

static void made_close(void *state)
{
    struct made *m = state;
    free(m->stream.piece);
    free(m->stream.state);
    free(m);
}

static const struct trace_maker maker = {
    .format = "generated",
    .open   = made_open,
    .next   = made_next,
    .close  = made_close,
    .forget = free,
};

bool generator_open(struct trace_reader **reader, const struct generator *generator,
                    const struct gen_config *config, const void *own, uint64_t seed,
                    struct error *error)
{
    char name[64];
    struct making *m = malloc(sizeof *m);
    CHECK(m != NULL);
    *m = (struct making){ generator, config, own, seed };
    snprintf(name, sizeof name, "%s%s", GENERATOR_PREFIX, generator->name);
    return trace_open_made(reader, &maker, m, name, error);
}

/* ---- Places ---------------------------------------------------------------------------
 */

/* How many requests of this size lie in the span; a request is never larger than it. */
static uint64_t places(const struct gen_stream *s, uint32_t bytes)
{
    const uint64_t span = s->config->span_mib << 20;
    return span <= bytes ? 1 : span / bytes;
}

uint64_t gen_lba(const struct gen_stream *s, uint64_t nth, uint32_t bytes)
{
    return nth % places(s, bytes) * (bytes / TRACE_SECTOR_BYTES);
}

uint64_t gen_random_lba(struct gen_stream *s, uint32_t bytes)
{
    return gen_lba(s, rng_next(&s->rng), bytes);
}
