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
    e->running    = ENGINE_NO_CPU;
    e->leaves     = 1;
    for (unsigned i = 0; i < ENGINE_BLOCKS_MAX; i++)
        e->due[i] = TIME_NEVER;
    for (unsigned i = 0; i < ENGINE_CPUS_MAX; i++)
        e->cpu_due[i] = TIME_NEVER;
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
    const unsigned place = e->block_count++;
    e->block[place].step = step;
    e->block[place].self = self;
    e->block[place].name = name;
    return &e->due[place];
}

/* ---- The order of CPUs ---- */

/* At equal times the one with the lower place goes first: a stands left of b. */
static unsigned first_of(const struct engine *e, unsigned a, unsigned b)
{
    return e->cpu_due[b] < e->cpu_due[a] ? b : a;
}

static unsigned winner_of(const struct engine *e, unsigned node)
{
    return node >= e->leaves ? node - e->leaves : e->winner[node];
}

/* Plays the games again that this CPU takes part in. */
static void play(struct engine *e, unsigned place)
{
    for (unsigned node = (e->leaves + place) / 2; node > 0; node /= 2)
        e->winner[node] =
            (uint8_t)first_of(e, winner_of(e, 2 * node), winner_of(e, 2 * node + 1));
}

/* The CPU that goes first of those that do not run; its due time may be TIME_NEVER. */
static unsigned first_cpu(const struct engine *e)
{
    return winner_of(e, 1);
}

unsigned engine_add_cpu(struct engine *e, struct cpu *cpu, sim_time_t due)
{
    CHECK(e->cpu_count < ENGINE_CPUS_MAX);
    const unsigned place = e->cpu_count++;
    e->cpu[place]        = cpu;
    e->cpu_due[place]    = due;
    while (e->leaves < e->cpu_count)
        e->leaves *= 2;
    for (unsigned i = 0; i < e->leaves; i++)
        play(e, i);
    return place;
}

void engine_set_cpu_due(struct engine *e, unsigned place, sim_time_t due)
{
    CHECK(place < e->cpu_count);
    if (place == e->running) {
        e->running_due = due;
        return;
    }
    e->cpu_due[place] = due;
    play(e, place);
}

/* ---- The order of everything ---- */

/* When the first block is due. Those behind the last never are: four at a time. */
static sim_time_t blocks_due(const struct engine *e)
{
    static_assert(ENGINE_BLOCKS_MAX % 4 == 0, "groups of four");
    sim_time_t earliest = TIME_NEVER;
    for (unsigned i = 0; i < e->block_count; i += 4) {
        const sim_time_t *due = &e->due[i];
        earliest              = time_min(earliest,
                                         time_min(time_min(due[0], due[1]), time_min(due[2], due[3])));
    }
    return earliest;
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

static void pass_to(struct engine *e, sim_time_t now)
{
    CHECK(now >= e->now); /* Time never runs backwards. */
    e->now = now;
}

/* Of the blocks that are due now, the one that was added first. */
static void step_block(struct engine *e, sim_time_t now)
{
    unsigned block = 0;
    while (e->due[block] != now)
        block++;
    pass_to(e, now);
    e->block[block].step(e->block[block].self, now);
}

static void run_cpu(struct engine *e, unsigned place)
{
    pass_to(e, e->cpu_due[place]);
    engine_set_cpu_due(e, place, TIME_NEVER);
    e->running     = place;
    e->running_due = TIME_NEVER;
    e->host->advance_to(e->host->self, e->now);
    cpu_resume(e->cpu[place]);
    e->running = ENGINE_NO_CPU;
    engine_set_cpu_due(e, place, e->running_due);
}

void engine_run(struct engine *e)
{
    while (!engine_interrupted(e)) {
        const sim_time_t due = blocks_due(e);
        const unsigned cpu   = first_cpu(e);
        if (due <= e->cpu_due[cpu]) {
            if (due == TIME_NEVER)
                break;
            step_block(e, due);
        } else {
            run_cpu(e, cpu);
        }
    }
    e->host->advance_to(e->host->self, e->now);
}

/* Whether the running CPU goes before the first of the others. */
static bool runs_before(const struct engine *e, unsigned rival)
{
    return e->running_due < e->cpu_due[rival]
           || (e->running_due == e->cpu_due[rival] && e->running < rival);
}

/* The CPU steps the blocks that go before it; another CPU is the engine's to resume. */
void engine_wait_turn(struct engine *e, sim_time_t due)
{
    CHECK(e->running != ENGINE_NO_CPU);
    e->running_due = due;
    while (e->run_ahead && !engine_interrupted(e)) {
        const sim_time_t block = blocks_due(e);
        const unsigned rival   = first_cpu(e);
        if (block > e->running_due && runs_before(e, rival)) {
            pass_to(e, e->running_due);
            e->running_due = TIME_NEVER;
            return;
        }
        if (block > e->cpu_due[rival] || block == TIME_NEVER)
            break;
        step_block(e, block);
    }
    cpu_yield(e->cpu[e->running]);
}
