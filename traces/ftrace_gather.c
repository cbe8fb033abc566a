/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/ftrace_gather.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/lg2.h"

/* The lists of a thread grow by doubling, from this. */
enum { LIST_FIRST = 64 };

/* Room for one more item, or NULL when there are TRACE_SEGMENTS_MAX. */
static void *list_grow(void *items, uint32_t count, size_t item_bytes)
{
    if (items != NULL && (count < LIST_FIRST || !is_pow2(count)))
        return items;
    const size_t room = count < LIST_FIRST ? LIST_FIRST : 2 * (size_t)count;
    void *grown       = realloc(items, room * item_bytes);
    CHECK(grown != NULL);
    return grown;
}

void gather_table_free(struct gather_table *table)
{
    for (uint32_t i = 0; i < GATHER_THREADS_MAX; i++) {
        free(table->thread[i].segment);
        free(table->thread[i].run);
    }
}

uint64_t ftrace_thread(const struct ftrace_line *line)
{
    if (line->context == FTRACE_TASK && line->pid != 0)
        return line->pid;
    return (uint64_t)(line->context + 1) << 32 | line->cpu;
}

struct gather *gather_find(struct gather_table *table, const struct ftrace_line *line)
{
    const uint64_t thread = ftrace_thread(line);
    for (uint32_t i = 0; i < table->count; i++)
        if (table->thread[i].thread == thread) {
            table->thread[i].used_at = ++table->clock;
            return &table->thread[i];
        }
    return NULL;
}

static struct gather *gather_oldest(struct gather_table *table)
{
    struct gather *oldest = &table->thread[0];
    for (uint32_t i = 1; i < table->count; i++)
        if (table->thread[i].used_at < oldest->used_at)
            oldest = &table->thread[i];
    return oldest;
}

struct gather *gather_open(struct gather_table *table, const struct ftrace_line *line)
{
    struct gather *g = gather_find(table, line);
    if (g == NULL)
        g = table->count < GATHER_THREADS_MAX ? &table->thread[table->count++]
                                              : gather_oldest(table);
    *g = (struct gather){
        .thread  = ftrace_thread(line),
        .used_at = ++table->clock,
        .segment = g->segment,
        .run     = g->run,
    };
    return g;
}

/* The last one moves into the gap; the lists stay for the next to open. */
void gather_close(struct gather_table *table, struct gather *gather)
{
    CHECK(table->count > 0);
    struct gather *last       = &table->thread[--table->count];
    const struct gather spare = *gather;
    *gather                   = *last;
    *last                     = spare;
}

static void piece_add(struct gather *g, uint64_t pa, uint64_t bytes)
{
    g->broken |=
        g->segment_count == TRACE_SEGMENTS_MAX || bytes == 0 || bytes > TRACE_BYTES_MAX;
    if (g->broken)
        return;
    g->segment = list_grow(g->segment, g->segment_count, sizeof *g->segment);
    g->segment[g->segment_count++] = (struct trace_segment){ pa, (uint32_t)bytes };
    g->segment_bytes += bytes;
}

void gather_add(struct gather *gather, const struct ftrace_mapping *piece)
{
    piece_add(gather, piece->pa, piece->bytes);
}

void gather_add_run(struct gather *gather, const struct ftrace_mapping *run)
{
    if (gather->run_count == TRACE_SEGMENTS_MAX)
        return; /* Those that were left out make the sums differ. */
    gather->run = list_grow(gather->run, gather->run_count, sizeof *gather->run);
    gather->run[gather->run_count++] = *run;
}

void gather_drop_runs(struct gather *gather, const struct ftrace_mapping *other)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < gather->run_count; i++) {
        const struct ftrace_mapping *run = &gather->run[i];
        if (run->iova < other->iova || run->iova - other->iova >= other->bytes)
            gather->run[kept++] = *run;
    }
    gather->run_count = kept;
}

/* The run that holds iova, searched from the one at *hint on, which is then its index. */
static const struct ftrace_mapping *run_find(const struct gather *g, uint64_t iova,
                                             uint32_t *hint)
{
    for (uint32_t i = 0; i < g->run_count; i++) {
        const uint32_t at                = (*hint + i) % g->run_count;
        const struct ftrace_mapping *run = &g->run[at];
        if (iova >= run->iova && iova - run->iova < run->bytes) {
            *hint = at;
            return run;
        }
    }
    return NULL;
}

/* As piece_add, but a piece that continues the last one becomes part of it: the device's
 * view may be cut where memory is not. */
static void piece_join(struct gather *g, uint64_t pa, uint64_t bytes)
{
    struct trace_segment *last =
        g->segment_count != 0 ? &g->segment[g->segment_count - 1] : NULL;
    if (last != NULL && last->pa + last->bytes == pa
        && bytes <= TRACE_BYTES_MAX - last->bytes) {
        last->bytes += (uint32_t)bytes;
        g->segment_bytes += bytes;
    } else {
        piece_add(g, pa, bytes);
    }
}

/* Adds the memory behind a range of the device's addresses. */
static bool range_translate(struct gather *g, uint64_t iova, uint64_t bytes, uint32_t *hint)
{
    for (uint32_t steps = 0; bytes != 0 && steps < TRACE_SEGMENTS_MAX; steps++) {
        const struct ftrace_mapping *run = run_find(g, iova, hint);
        if (run == NULL)
            return false;
        const uint64_t offset = iova - run->iova;
        const uint64_t left   = run->bytes - offset;
        const uint64_t take   = bytes < left ? bytes : left;
        piece_join(g, run->pa + offset, take);
        iova += take;
        bytes -= take;
    }
    return bytes == 0;
}

/*
 * The list names where each piece of memory starts, but not how long it is, and the device
 * may see several pieces as one. The runs tell; without an IOMMU there are none, and then
 * the device's pieces are memory's, one to one.
 */
bool gather_add_lists(struct gather *gather, struct ftrace_lists lists)
{
    uint32_t hint = 0;
    for (;;) {
        uint64_t iova, bytes, pa;
        const int more = ftrace_list_next(&lists.iova, &iova);
        if (more == 0 && ftrace_list_next(&lists.bytes, &bytes) == 0)
            return true;
        if (more != 1 || ftrace_list_next(&lists.bytes, &bytes) != 1)
            return false;
        const int has_pa = ftrace_list_next(&lists.pa, &pa);
        if (has_pa < 0)
            return false;
        if (gather->run_count != 0 && !gather->broken)
            gather->broken |= !range_translate(gather, iova, bytes, &hint);
        else if (gather->run_count == 0 && has_pa == 1)
            piece_add(gather, pa, bytes);
    }
}

/* The runs themselves as segments: right when the request is made of whole pages. */
static bool runs_to_segments(struct gather *g, uint64_t bytes)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->run_count; i++)
        sum += g->run[i].bytes;
    if (sum != bytes)
        return false;
    g->segment_count = 0;
    g->segment_bytes = 0;
    g->broken        = false;
    for (uint32_t i = 0; i < g->run_count; i++)
        piece_add(g, g->run[i].pa, g->run[i].bytes);
    return !g->broken;
}

const struct trace_segment *gather_segments(struct gather *gather, uint64_t bytes,
                                            uint32_t *count)
{
    const bool whole = !gather->broken && gather->segment_bytes == bytes;
    const bool known = bytes != 0 && (whole || runs_to_segments(gather, bytes));
    *count           = known ? gather->segment_count : 0;
    return known ? gather->segment : NULL;
}
