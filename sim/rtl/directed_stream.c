/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_stream - several requests at the device's port, and commands beside them.
 *
 * throughput: hits back to back on one channel, then on both at once. hit_under_miss: a hit
 * on one channel a cycle behind a miss on the other. queued_misses: both channels miss at
 * once, four times each. cq_fetch_concurrent_with_walk: the command queue fetches while
 * pages are walked, which share the way to memory.
 */
#include <inttypes.h>

#include "sim/rtl/directed_result.h"

enum { BURST = 16, MIXED = 6, MISSES = 4, COMMANDS = 6, WALK_DELAY = 12 };

static void fill(struct directed_bench *b, struct directed_request *q, uint32_t count,
                 uint64_t page, uint64_t stride)
{
    for (uint32_t i = 0; i < count; i++) {
        directed_tables_map(&b->tables, page + i * stride, DIRECTED_PTE);
        q[i] = directed_page(b, page + i * stride, 0);
    }
}

static void measure_done(struct directed_run *run, const struct directed_answer *a,
                         uint32_t count, cycle_t origin, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        directed_note(directed_measure(run, (int64_t)(a[i].done - origin),
                                       "%s.done_rel[%u]", name, i),
                      DIRECTED_NOTE_EQUAL, "issue_rel=%" PRIu64, a[i].issued - origin);
}

static void both(struct directed_run *run, struct directed_bench *b,
                 const struct directed_request *read, const struct directed_request *write,
                 uint32_t count, const char *read_name, const char *write_name)
{
    struct directed_answer r[BURST], w[BURST];
    const cycle_t origin = b->now;
    directed_bench_stream(b, DIRECTED_READ, origin, read, r, count);
    directed_bench_stream(b, DIRECTED_WRITE, origin, write, w, count);
    directed_bench_finish(b);
    measure_done(run, r, count, origin, read_name);
    measure_done(run, w, count, origin, write_name);
}

static void burst(struct directed_run *run, struct directed_bench *b,
                  enum directed_channel channel, const struct directed_request *q,
                  const char *name)
{
    struct directed_answer a[BURST];
    const cycle_t origin = b->now;
    directed_bench_stream(b, channel, origin, q, a, BURST);
    directed_bench_finish(b);
    measure_done(run, a, BURST, origin, name);
}

bool directed_throughput_experiment(struct directed_run *run)
{
    struct directed_bench *b = directed_bench_of(run);
    struct directed_request q[BURST];
    fill(b, q, BURST, 0, 0);
    directed_bench_touch(b, DIRECTED_READ, 0, 0);
    burst(run, b, DIRECTED_READ, q, "b2b_read_hits");
    burst(run, b, DIRECTED_WRITE, q, "b2b_write_hits");
    both(run, b, q, q, MIXED, "mixed_r", "mixed_w");
    directed_bench_free(b);
    return true;
}

/* A miss to a fresh page, and a cycle later a hit on the other channel. */
static void hit_under(struct directed_run *run, struct directed_bench *b,
                      enum directed_channel miss, uint64_t page)
{
    static const char *const name[] = { "AR", "AW" };
    const enum directed_channel hit =
        miss == DIRECTED_READ ? DIRECTED_WRITE : DIRECTED_READ;
    const struct directed_request first  = directed_page(b, page, 0);
    const struct directed_request second = directed_page(b, 0, 0);
    struct directed_answer m, h;
    directed_tables_map(&b->tables, page, DIRECTED_PTE);
    directed_bench_stream(b, miss, b->now, &first, &m, 1);
    directed_bench_stream(b, hit, b->now + 1, &second, &h, 1);
    directed_bench_finish(b);
    directed_measure(run, directed_latency(&m), "%s_miss.lat", name[miss]);
    directed_note(
        directed_measure(run, directed_latency(&h), "%s_hit_issued_+1.lat", name[hit]),
        DIRECTED_NOTE_EQUAL, "done_after_%s=%" PRIu64, name[miss], h.done - m.done);
}

bool directed_hit_under_miss_experiment(struct directed_run *run)
{
    struct directed_bench *b = directed_bench_of(run);
    directed_bench_touch(b, DIRECTED_READ, 0, 0);
    hit_under(run, b, DIRECTED_READ, 1);
    hit_under(run, b, DIRECTED_WRITE, 2);
    directed_bench_free(b);
    return true;
}

bool directed_queued_misses_experiment(struct directed_run *run)
{
    struct directed_bench *b = directed_bench_of(run);
    struct directed_request read[MISSES], write[MISSES];
    fill(b, read, MISSES, 1, 1);
    fill(b, write, MISSES, 1 + MISSES, 1);
    directed_bench_touch(b, DIRECTED_READ, 0, 0);
    const cycle_t origin = b->now;
    both(run, b, read, write, MISSES, "R", "W");
    directed_window(run, b, run->row->experiment, origin, origin, b->now);
    directed_bench_free(b);
    return true;
}

/* ---- Beside the command queue ----------------------------------------------------------
 */

/* The first command in whose cycle the IOTLB was filled; the number of all if none was. */
static uint32_t first_meeting(const struct directed_bench *b)
{
    uint32_t i = 0;
    while (i < b->tail && !b->met_fill[i])
        i++;
    return i;
}

bool directed_concurrent_fetch_experiment(struct directed_run *run)
{
    struct directed_bench *b = directed_bench_of(run);
    struct directed_request q[MISSES];
    struct directed_answer a[MISSES];
    fill(b, q, MISSES, 1, 1);
    directed_bench_touch(b, DIRECTED_READ, 0, 0);
    for (unsigned i = 0; i < COMMANDS; i++)
        directed_bench_queue(
            b, riscv_iotinval(RISCV_VMA, RISCV_INVAL_PSCV, 0, DIRECTED_PSCID + 1, 0));
    const cycle_t origin = b->now;
    directed_bench_ring(b);
    directed_bench_stream(b, DIRECTED_READ, origin + WALK_DELAY, q, a, MISSES);
    directed_bench_settle(b);

    const uint32_t met  = first_meeting(b);
    const cycle_t until = met < b->tail ? b->done[met] : CYCLE_NEVER;
    for (uint32_t i = 0; i < MISSES; i++) {
        struct directed_measure *m =
            directed_measure(run, directed_latency(&a[i]), "req.lat[%u]", i);
        if (a[i].done > until)
            directed_exclude(m, DIRECTED_flush_meets_fill);
    }
    struct directed_window *w =
        directed_window(run, b, run->row->experiment, origin, origin, b->now);
    if (until != CYCLE_NEVER) {
        w->rule        = DIRECTED_flush_meets_fill;
        w->valid_below = (int64_t)(until - origin) + 1;
    }
    directed_bench_free(b);
    return true;
}
