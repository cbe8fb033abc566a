/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_latency - one request at a time: what a miss in each of the caches costs.
 *
 * latency: the first request ever, one to the next page, that page again for reading and
 * for writing, and the first page again. latency_pdt: the same with process contexts, and
 * one of a second process. misc.off_bare: a device without translation, twice, then the
 * whole IOMMU in bypass and switched off.
 */
#include <inttypes.h>
#include <stdio.h>

#include "sim/rtl/directed_result.h"

enum {
    FIRST_OFFSET = 0x10,
    OTHER_PSCID  = DIRECTED_PSCID + 1,
};

static const char *hit_name(const struct directed_answer *a)
{
    return a->iotlb_hit ? "hit" : "nohit";
}

static void measure_hit(struct directed_run *run, const struct directed_answer *a,
                        const char *metric)
{
    directed_note(directed_measure(run, directed_latency(a), "%s", metric),
                  DIRECTED_NOTE_EQUAL, "%s", hit_name(a));
}

static void measure_miss(struct directed_run *run, const struct directed_bench *b,
                         const struct directed_answer *a, const char *metric)
{
    char name[64];
    directed_measure(run, a->reads, "%s.nreads", metric);
    snprintf(name, sizeof name, "latency.%s", metric);
    directed_window(run, b, name, a->issued, a->issued, a->done);
}

bool directed_latency_experiment(struct directed_run *run)
{
    struct directed_bench *b = directed_bench_of(run);
    const struct directed_answer m =
        directed_bench_touch(b, DIRECTED_READ, 0, FIRST_OFFSET);
    struct directed_answer a = directed_bench_touch(b, DIRECTED_READ, 1, 0);

    struct directed_measure *first =
        directed_measure(run, directed_latency(&m), "ddtc_miss+iotlb_miss");
    if (directed_wrong_address(&b->scenario))
        directed_exclude_partly(first, DIRECTED_nested_leaf_sizes);
    else
        directed_note(first, DIRECTED_NOTE_EQUAL, "pa=%" PRIu64, m.pa);
    directed_measure(run, directed_latency(&a), "ddtc_hit+iotlb_miss");
    measure_miss(run, b, &m, "ddtc_miss+iotlb_miss");
    measure_miss(run, b, &a, "ddtc_hit+iotlb_miss");
    a = directed_bench_touch(b, DIRECTED_READ, 1, 0);
    measure_hit(run, &a, "ddtc_hit+iotlb_hit.read");
    a = directed_bench_touch(b, DIRECTED_WRITE, 1, 0);
    measure_hit(run, &a, "ddtc_hit+iotlb_hit.write");
    a = directed_bench_touch(b, DIRECTED_READ, 0, 0);
    measure_hit(run, &a, "first_page_again");
    directed_bench_free(b);
    return true;
}

/* ---- Process contexts ------------------------------------------------------------------
 */

static uint32_t process_of(const struct directed_scenario *s)
{
    static const uint32_t id[] = { 0x35, 0x1235, 0x81235 };
    return id[s->process_levels - 1];
}

static struct directed_answer process_access(struct directed_bench *b, uint32_t process,
                                             uint64_t page)
{
    struct directed_request q = directed_page(b, page, 0);
    q.process                 = process;
    q.has_process             = true;
    directed_tables_map(&b->tables, page, DIRECTED_PTE);
    return directed_bench_access(b, DIRECTED_READ, &q);
}

/* Under a second stage the RTL reads the directory at addresses that it has not
 * translated; one of several levels it cannot walk at all, and nothing after that is as it
 * should be. */
static bool measured_wrongly(const struct directed_scenario *s, bool walks)
{
    return (s->stages & DIRECTED_STAGE2) && (walks || s->process_levels > 1);
}

static void measure_process(struct directed_run *run, const struct directed_bench *b,
                            const struct directed_answer *a, const char *metric,
                            const char *recording, bool walks)
{
    struct directed_measure *m = directed_measure(run, directed_latency(a), "%s", metric);
    if (recording == NULL)
        directed_note(m, DIRECTED_NOTE_EQUAL, "%s", hit_name(a));
    else
        directed_note(m, DIRECTED_NOTE_EQUAL, "%s", a->cause == 0 ? "" : "FAULT");
    if (measured_wrongly(&b->scenario, walks))
        directed_exclude(m, DIRECTED_nested_process_walk);
    if (recording == NULL)
        return;
    struct directed_window *w =
        directed_window(run, b, recording, a->issued, a->issued, a->done);
    if (measured_wrongly(&b->scenario, walks)) {
        w->rule        = DIRECTED_nested_process_walk;
        w->valid_below = INT64_MIN;
    }
}

bool directed_latency_process_experiment(struct directed_run *run)
{
    if (run->row->scenario.process_levels == 0)
        return directed_fail(run, run->row, "%s: expected a process directory",
                             run->row->experiment);
    struct directed_bench *b = directed_bench_of(run);
    const uint32_t one = process_of(&b->scenario), other = one + 1;
    directed_tables_attach_process(&b->tables, one, DIRECTED_PSCID);
    directed_tables_attach_process(&b->tables, other, OTHER_PSCID);

    struct directed_answer a = process_access(b, one, 0);
    measure_process(run, b, &a, "ddtc_miss+pdtc_miss+iotlb_miss", "latency_pdt.all_miss",
                    true);
    a = process_access(b, one, 1);
    measure_process(run, b, &a, "ddtc_hit+pdtc_hit+iotlb_miss",
                    "latency_pdt.pdtc_hit_iotlb_miss", false);
    a = process_access(b, other, 0);
    measure_process(run, b, &a, "ddtc_hit+pdtc_miss+iotlb_miss",
                    "latency_pdt.pdtc_miss_iotlb_miss", true);
    a = process_access(b, one, 0);
    measure_process(run, b, &a, "all_hit", NULL, false);
    directed_bench_free(b);
    return true;
}

/* ---- No translation --------------------------------------------------------------------
 */

bool directed_bare_experiment(struct directed_run *run)
{
    struct directed_bench *b = directed_bench_of(run);
    directed_tables_attach_bare(&b->tables, b->device);
    struct directed_answer a = directed_bench_touch(b, DIRECTED_READ, 0, 0);
    directed_note(directed_measure(run, directed_latency(&a), "bare_dc.ddtc_miss"),
                  DIRECTED_NOTE_EQUAL, "pa=%" PRIu64, a.pa);
    a = directed_bench_touch(b, DIRECTED_READ, 0, 0);
    directed_measure(run, directed_latency(&a), "bare_dc.ddtc_hit");

    directed_bench_mode(b, RISCV_DDTP_BARE);
    a = directed_bench_touch(b, DIRECTED_READ, 0, 0);
    directed_measure(run, directed_latency(&a), "ddtp_bare");
    directed_bench_mode(b, RISCV_DDTP_OFF);
    a = directed_bench_touch(b, DIRECTED_READ, 0, 0);
    directed_note(directed_measure(run, directed_latency(&a), "ddtp_off.fault"),
                  DIRECTED_NOTE_EQUAL, "cause=%u %s", a.cause, a.cause == 0 ? "ok" : "F");
    directed_bench_free(b);
    return true;
}
