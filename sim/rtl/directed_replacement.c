/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_replacement - which page a full IOTLB forgets, and what one entry covers.
 *
 * On pages of the smallest size: as many as there are entries, all of them again, one more
 * and then the first; pages in a recorded random order; and three times one page more than
 * there are entries. The IOTLB is invalidated in between. On larger pages, and with both
 * stages: several offsets in one page.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/rtl/directed_result.h"
#include "sim/rtl/grow.h"

enum { ROUNDS = 3 };

/* Hits and misses, as the recordings write them. */
struct outcome {
    char *text;
    size_t length;
    uint32_t hits, misses;
};

static void append(struct outcome *o, char c)
{
    char *end;
    GROW(o, text, length, end);
    *end = c;
}

static void touch(struct directed_bench *b, uint64_t page, struct outcome *o)
{
    const struct directed_answer a = directed_bench_touch(b, DIRECTED_READ, page, 0);
    o->hits += a.iotlb_hit;
    o->misses += !a.iotlb_hit;
    append(o, a.iotlb_hit ? 'H' : 'm');
}

static void measure(struct directed_run *run, const char *metric, int64_t value,
                    struct outcome *o)
{
    directed_note(directed_measure(run, value, "%s", metric), DIRECTED_NOTE_EQUAL, "%.*s",
                  (int)o->length, o->text == NULL ? "" : o->text);
    free(o->text);
    *o = (struct outcome){ 0 };
}

static void invalidate(struct directed_bench *b)
{
    directed_bench_command(b, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
}

static void sequential(struct directed_run *run, struct directed_bench *b)
{
    const uint32_t n = b->scenario.iotlb_entries;
    struct outcome o = { 0 };
    for (uint32_t i = 0; i < n; i++)
        touch(b, i, &o);
    measure(run, "fill_N_sequential", o.misses, &o);
    for (uint32_t i = 0; i < n; i++)
        touch(b, i, &o);
    measure(run, "reread_N_sequential", o.hits, &o);
    directed_bench_touch(b, DIRECTED_READ, n, 0);
    touch(b, 0, &o);
    measure(run, "after_reread_insert_one_then_probe_page0", o.hits, &o);
}

static void recorded(struct directed_run *run, struct directed_bench *b,
                     const struct directed_row *pages)
{
    struct outcome o = { 0 };
    uint32_t count   = 0;
    char *end;
    for (const char *at = pages->note;; at = end, count++) {
        const uint64_t page = strtoull(at, &end, 10);
        if (end == at)
            break;
        touch(b, page, &o);
    }
    directed_measure_row(run, pages, count);
    measure(run, "random_hits", count, &o);
}

static void cyclic(struct directed_run *run, struct directed_bench *b)
{
    struct outcome o = { 0 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i <= b->scenario.iotlb_entries; i++)
            touch(b, i, &o);
        append(&o, ' ');
    }
    measure(run, "cyclic_N+1_x3", b->scenario.iotlb_entries, &o);
}

/* ---- Offsets in one page ---------------------------------------------------------------
 */

/* The smaller of the leaves of the stages that are on: what one entry covers. */
static unsigned reach_lg2(const struct directed_scenario *s)
{
    if (s->stage1_lg2 == 0 || s->stage2_lg2 == 0)
        return s->stage1_lg2 + s->stage2_lg2;
    return s->stage1_lg2 < s->stage2_lg2 ? s->stage1_lg2 : s->stage2_lg2;
}

static void offsets(struct directed_run *run, struct directed_bench *b, const char *metric)
{
    static const uint64_t offset[]    = { 0, 0x1000, 0x1ff000, 0x200000, 0x3ffff000 };
    const struct directed_scenario *s = &b->scenario;
    char text[256]                    = "";
    for (size_t i = 0; i < sizeof offset / sizeof *offset; i++) {
        if (offset[i] >> reach_lg2(s) != 0)
            continue;
        const struct directed_answer a =
            directed_bench_touch(b, DIRECTED_READ, 0, offset[i]);
        const size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%c@%" PRIx64 "->%" PRIx64 " ",
                 a.iotlb_hit ? 'H' : 'm', offset[i], a.pa);
    }
    struct directed_measure *m =
        directed_measure(run, directed_bench_entries(b), "%s", metric);
    if (directed_wrong_address(s))
        directed_exclude_partly(m, DIRECTED_nested_leaf_sizes);
    else
        directed_note(m, DIRECTED_NOTE_EQUAL, "%s", text);
}

static void inside(struct directed_run *run, struct directed_bench *b)
{
    const uint64_t iova = directed_iova(&b->scenario, 0) + UINT64_C(0x5000);
    directed_bench_command(b, riscv_iotinval(RISCV_VMA, RISCV_INVAL_AV, 0, 0, iova));
    directed_measure(run, directed_bench_entries(b), "superpage_after_VMA_addr_inside");
}

bool directed_replacement_experiment(struct directed_run *run)
{
    struct directed_bench *b          = directed_bench_of(run);
    const struct directed_row *random = directed_row_of(run, "random_pages");
    if (b->scenario.stages == (DIRECTED_STAGE1 | DIRECTED_STAGE2)) {
        offsets(run, b, "nested_superpage_entries");
    } else if (reach_lg2(&b->scenario) > 12) {
        offsets(run, b, "superpage_entries");
        inside(run, b);
    } else {
        sequential(run, b);
        if (random != NULL) {
            invalidate(b);
            recorded(run, b, random);
        }
        invalidate(b);
        cyclic(run, b);
    }
    directed_bench_free(b);
    return true;
}
