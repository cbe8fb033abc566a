/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_sweep - an invalidation placed at every cycle around a walk, or around a hit.
 *
 * Each row is a run of its own: a request, and a command whose doorbell is rung so that its
 * effect would come, undisturbed, in the row's cycle of the sweep. The sweep begins in the
 * cycle that its first row names and goes on by one cycle a row; later rows name the cycle
 * in which the effect came, which the way to memory may have put off.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/rtl/directed_result.h"

enum {
    HIT_PAGE     = 1,
    HIT_OFFSET   = 0x40,
    NEXT_OFFSET  = 0x48,
    IDLE_CYCLES  = 200,    /* Before the access that asks what is left in the caches. */
    HUNG         = -1,     /* The value of a row whose request never completed. */
    FLUSHED_LATE = -99999, /* The effect came after the request's completion. */
};

/* What the experiment's name says is done; false: unknown. */
static bool command_of(const char *experiment, const struct directed_scenario *s,
                       struct riscv_command *command)
{
    const char *const name = strchr(experiment, '.') + 1;
    const bool guest       = s->stages & DIRECTED_STAGE2;
    if (strcmp(name, "VMA") == 0)
        *command = riscv_iotinval(RISCV_VMA, guest ? RISCV_INVAL_GV : 0,
                                  guest ? DIRECTED_GSCID : 0, 0, 0);
    else if (strcmp(name, "GVMA") == 0)
        *command = riscv_iotinval(RISCV_GVMA, 0, 0, 0, 0);
    else if (strcmp(name, "IODIR") == 0)
        *command = riscv_iodir(RISCV_INVAL_DDT, false, 0, 0);
    else
        return false;
    return true;
}

/* From the doorbell to the effect, undisturbed. */
static int64_t undisturbed(const struct directed_run *run, struct riscv_command command)
{
    struct directed_bench *b = directed_bench_of(run);
    directed_bench_command(b, command);
    const int64_t cycles = (int64_t)(b->done[0] - b->rung);
    directed_bench_free(b);
    return cycles;
}

/* One run: the request, the command, and an access that shows what is left. */
struct shot {
    struct directed_answer request, next;
    int64_t flush; /* Relative to the request's issue. */
    uint32_t reads, walks;
    int64_t walk; /* The cycle in which the page walk began. */
};

static cycle_t first_walk(const struct directed_bench *b, cycle_t from)
{
    for (size_t i = 0; i < b->access_count; i++)
        if ((cycle_t)b->access[i].presented >= from
            && (b->access[i].kind[0] == 'S' || b->access[i].kind[0] == 'G'))
            return (cycle_t)b->access[i].presented - b->settings.walker.start_cycles;
    return from + INT64_MAX;
}

static uint64_t walks_ended(const struct directed_bench *b)
{
    return b->iommu.stats.walk_filled + b->iommu.stats.walk_unfilled;
}

static void shoot(struct directed_bench *b, struct riscv_command command, uint64_t page,
                  uint64_t offset, int64_t doorbell, struct shot *shot)
{
    const struct directed_request q = directed_page(b, page, offset);
    const cycle_t issue             = b->now + (doorbell < 0 ? (cycle_t)-doorbell : 0);
    const uint64_t before           = walks_ended(b);
    directed_tables_map(&b->tables, page, DIRECTED_PTE);
    directed_bench_queue(b, command);
    directed_bench_stream(b, DIRECTED_READ, issue, &q, &shot->request, 1);
    directed_bench_run(b, (cycle_t)((int64_t)issue + doorbell));
    directed_bench_ring(b);
    directed_bench_settle(b);
    directed_bench_run(b, b->now + IDLE_CYCLES);
    shot->flush = (int64_t)(b->done[0] - issue);
    shot->reads = directed_bench_reads(b, issue, shot->request.done);
    shot->walk  = (int64_t)(first_walk(b, issue) - issue);
    shot->next  = directed_bench_touch(b, DIRECTED_READ, page, NEXT_OFFSET);
    shot->walks = (uint32_t)(walks_ended(b) - before);
}

/* ---- Around a walk ---------------------------------------------------------------------
 */

struct sweep {
    struct directed_run *run;
    struct riscv_command command;
    bool contexts; /* The command drops contexts. */
    bool cached;   /* The request finds its context cached. */
    int64_t lead;  /* From the doorbell to the effect. */
    uint32_t hangs;
};

static struct directed_bench *sweep_bench(const struct sweep *s)
{
    struct directed_bench *b = directed_bench_of(s->run);
    if (s->cached)
        directed_bench_touch(b, DIRECTED_READ, 0, 0);
    return b;
}

/* The rule that accounts for the row, if any. A hang is one only if the RTL hung. */
static enum directed_rule rule_of(const struct sweep *s, const struct directed_row *row,
                                  const struct directed_bench *b, const struct shot *shot)
{
    const struct directed_answer *a = &shot->request;
    const cycle_t flush             = b->done[0];
    const bool nested = b->scenario.stages == (DIRECTED_STAGE1 | DIRECTED_STAGE2);
    if (!s->contexts && b->met_fill[0] && row->value == HUNG)
        return DIRECTED_flush_meets_fill;
    if (s->contexts && nested && shot->flush >= shot->walk && flush < a->done)
        return DIRECTED_context_flush_in_nested_walk;
    if (flush == directed_lookup_cycle(b, a))
        return DIRECTED_flush_meets_lookup;
    return DIRECTED_NO_RULE;
}

static void note_shot(struct directed_measure *m, const struct directed_bench *b,
                      const struct shot *shot)
{
    char right[16] = "";
    if (directed_wrong_address(&b->scenario))
        directed_exclude_partly(m, DIRECTED_nested_leaf_sizes);
    else
        snprintf(right, sizeof right, "pa_ok=%d",
                 shot->request.pa == directed_pa(&b->scenario, HIT_PAGE) + HIT_OFFSET);
    directed_note(m, DIRECTED_NOTE_WORDS,
                  "ok %s reads=%u updates=%u next_access_tlb=%s next_ddt=%s", right,
                  shot->reads, shot->walks, shot->next.iotlb_hit ? "hit" : "miss",
                  shot->next.context_hit ? "hit" : "miss");
}

static enum directed_rule measure_shot(struct sweep *s, const struct directed_row *row,
                                       const char *variant, const struct directed_bench *b,
                                       const struct shot *shot)
{
    char metric[64];
    const struct directed_answer *a = &shot->request;
    const enum directed_rule rule   = rule_of(s, row, b, shot);
    struct directed_measure *m = directed_measure_row(s->run, row, directed_latency(a));
    snprintf(metric, sizeof metric, "%s.flush_at=%" PRId64, variant,
             b->done[0] >= a->done ? FLUSHED_LATE : shot->flush);
    if (strcmp(metric, row->metric) != 0)
        directed_note(m, DIRECTED_NOTE_EQUAL, "%s", metric); /* It came in another cycle. */
    else
        note_shot(m, b, shot);
    if (rule != DIRECTED_NO_RULE)
        directed_exclude(m, rule);
    s->hangs += rule == DIRECTED_flush_meets_fill;
    return rule;
}

static enum directed_rule sweep_row(struct sweep *s, const struct directed_row *row,
                                    const char *variant, int64_t at)
{
    struct directed_bench *b = sweep_bench(s);
    struct shot shot;
    shoot(b, s->command, HIT_PAGE, HIT_OFFSET, at - s->lead, &shot);
    const enum directed_rule rule = measure_shot(s, row, variant, b, &shot);
    directed_bench_free(b);
    return rule;
}

static void measure_undisturbed(struct sweep *s, const char *variant)
{
    struct directed_bench *b       = sweep_bench(s);
    const struct directed_answer a = directed_bench_touch(b, DIRECTED_READ, HIT_PAGE, 0);
    directed_measure(s->run, directed_latency(&a), "%s.undisturbed_lat", variant);
    directed_bench_free(b);
}

/* The rows of one variant, ddthit or ddtmiss. How the RTL got over a hang is no row of the
 * sweep: it follows the one that hung. */
static void sweep(struct sweep *s, const char *variant)
{
    const size_t length     = strlen(variant);
    enum directed_rule rule = DIRECTED_NO_RULE;
    int64_t at              = 0;
    bool begun              = false;
    s->cached               = strcmp(variant, "ddthit") == 0;
    s->hangs                = 0;
    for (size_t i = 0; i < s->run->rows; i++) {
        const struct directed_row *row = &s->run->row[i];
        long named;
        if (strncmp(row->metric, variant, length) != 0
            || sscanf(row->metric + length, ".flush_at=%ld", &named) != 1)
            continue;
        if (strstr(row->metric, ".recovered_by_IODIR") != NULL) {
            directed_exclude(directed_measure_row(s->run, row, HUNG), rule);
            continue;
        }
        at    = begun ? at + 1 : named;
        begun = true;
        rule  = sweep_row(s, row, variant, at);
    }
    measure_undisturbed(s, variant);
    directed_measure(s->run, s->hangs, "%s.hang_count", variant);
}

static bool begin(struct sweep *s, struct directed_run *run)
{
    *s = (struct sweep){ .run = run };
    if (run->file->accesses
        || !command_of(run->row->experiment, &run->row->scenario, &s->command))
        return directed_fail(run, run->row, "unknown experiment '%s'",
                             run->row->experiment);
    s->contexts = RISCV_CMD_OPCODE(s->command.low) == RISCV_IODIR;
    s->lead     = undisturbed(run, s->command);
    return true;
}

bool directed_sweep_experiment(struct directed_run *run)
{
    struct sweep s;
    if (!begin(&s, run))
        return false;
    directed_measure(run, s.lead, "doorbell_to_flush");
    sweep(&s, "ddthit");
    sweep(&s, "ddtmiss");
    return true;
}

/* ---- Around a hit ----------------------------------------------------------------------
 */

static void measure_hit(struct sweep *s, const struct directed_row *row,
                        const struct directed_bench *b, const struct shot *shot)
{
    const struct directed_answer *a = &shot->request, *n = &shot->next;
    struct directed_measure *m = directed_measure_row(s->run, row, directed_latency(a));
    if (directed_wrong_address(&b->scenario))
        directed_exclude_partly(m, DIRECTED_nested_leaf_sizes);
    else
        directed_note(m, DIRECTED_NOTE_EQUAL,
                      "ok pa=0x%" PRIx64 " expected=0x%" PRIx64
                      " walk_reads=%u next: lat=%" PRId64 " tlb=%d pa=0x%" PRIx64,
                      a->pa, directed_pa(&b->scenario, HIT_PAGE) + HIT_OFFSET, shot->reads,
                      directed_latency(n), n->iotlb_hit, n->pa);
    if (b->done[0] == directed_lookup_cycle(b, a))
        directed_exclude(m, DIRECTED_flush_meets_lookup);
}

bool directed_hit_sweep_experiment(struct directed_run *run)
{
    struct sweep s;
    long named;
    if (!begin(&s, run))
        return false;
    for (size_t i = 0; i < run->rows; i++) {
        const struct directed_row *row = &run->row[i];
        if (sscanf(row->metric, "flush_at=%ld", &named) != 1)
            continue; /* An unknown metric: nothing measures it. */
        struct directed_bench *b = directed_bench_of(run);
        struct shot shot;
        directed_bench_touch(b, DIRECTED_READ, HIT_PAGE, 0);
        shoot(b, s.command, HIT_PAGE, HIT_OFFSET, named - s.lead, &shot);
        measure_hit(&s, row, b, &shot);
        directed_bench_free(b);
    }
    return true;
}
