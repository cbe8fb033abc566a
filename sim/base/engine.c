/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/engine.h"

#include <inttypes.h>
#include <string.h>

#include "sim/base/cpu.h"

enum { EVENTS_BETWEEN_POLLS = 4096 };

static void engine_witness(void *self, FILE *out)
{
    const struct engine *e = self;
    fprintf(out, "  at %" PRIu64 " ps under the %s host\n", e->now, e->host->name);
    for (unsigned i = 0; i < e->block_count; i++)
        if (e->due[i] != TIME_NEVER)
            fprintf(out, "  %s is due at %" PRIu64 " ps\n", e->block[i].name, e->due[i]);
    for (unsigned i = 0; i < e->cpu_count; i++)
        cpu_describe(e->cpu[i], out);
}

void engine_init(struct engine *e, const struct sim_host *host, bool run_ahead)
{
    memset(e, 0, sizeof *e);
    e->host       = host;
    e->run_ahead  = run_ahead;
    e->until_poll = EVENTS_BETWEEN_POLLS;
    for (unsigned i = 0; i < ENGINE_BLOCKS_MAX + ENGINE_CPUS_MAX; i++)
        e->due[i] = TIME_NEVER;
    check_witness_add(engine_witness, e);
}

void engine_free(struct engine *e)
{
    check_witness_remove(e);
}

sim_time_t *engine_add_block(struct engine *e, const char *name,
                             void (*step)(void *self, sim_time_t now), void *self)
{
    CHECK(e->block_count < ENGINE_BLOCKS_MAX);
    CHECK(e->cpu_count == 0); /* A CPU's place follows from the number of blocks. */
    const unsigned place = e->block_count++;
    e->block[place].step = step;
    e->block[place].self = self;
    e->block[place].name = name;
    return &e->due[place];
}

unsigned engine_add_cpu(struct engine *e, struct cpu *cpu)
{
    CHECK(e->cpu_count < ENGINE_CPUS_MAX);
    e->cpu[e->cpu_count] = cpu;
    return e->block_count + e->cpu_count++;
}

/* The place that is due first; at equal times the lowest. */
static unsigned engine_next(const struct engine *e)
{
    const unsigned places = e->block_count + e->cpu_count;
    unsigned first        = 0;
    sim_time_t earliest   = e->due[0];
    for (unsigned i = 1; i < places; i++)
        if (e->due[i] < earliest) {
            earliest = e->due[i];
            first    = i;
        }
    return first;
}

static bool engine_interrupted(struct engine *e)
{
    if (--e->until_poll == 0) {
        e->until_poll = EVENTS_BETWEEN_POLLS;
        if (e->interrupted != NULL && *e->interrupted)
            e->stopped = true;
    }
    return e->stopped;
}

static void engine_step_block(struct engine *e, unsigned place)
{
    CHECK(e->due[place] >= e->now); /* Time never runs backwards. */
    e->now = e->due[place];
    e->block[place].step(e->block[place].self, e->now);
}

void engine_run(struct engine *e)
{
    while (!engine_interrupted(e)) {
        const unsigned place = engine_next(e);
        if (e->due[place] == TIME_NEVER)
            break;
        if (place < e->block_count) {
            engine_step_block(e, place);
            continue;
        }
        CHECK(e->due[place] >= e->now);
        e->now        = e->due[place];
        e->due[place] = TIME_NEVER;
        e->host->advance_to(e->host->self, e->now);
        cpu_resume(e->cpu[place - e->block_count]);
    }
    e->host->advance_to(e->host->self, e->now);
}

void engine_wait_turn(struct engine *e, unsigned place)
{
    CHECK(place >= e->block_count);
    while (e->run_ahead && !engine_interrupted(e)) {
        const unsigned next = engine_next(e);
        if (next == place && e->due[place] != TIME_NEVER) {
            CHECK(e->due[place] >= e->now);
            e->now        = e->due[place];
            e->due[place] = TIME_NEVER;
            return;
        }
        if (next >= e->block_count || e->due[next] == TIME_NEVER)
            break; /* Another CPU's turn, or nobody's: the engine sees to it. */
        engine_step_block(e, next);
    }
    cpu_yield(e->cpu[place - e->block_count]);
}
