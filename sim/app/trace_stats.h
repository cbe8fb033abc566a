/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_stats - what matters about a trace to an IOMMU: how large requests are, how their
 * memory lies, how many are in flight, and how soon addresses come again. In constant
 * memory.
 */
#ifndef SIM_APP_TRACE_STATS_H
#define SIM_APP_TRACE_STATS_H

#include <stdio.h>

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    STATS_POWERS     = 64,
    STATS_BOUNDARIES = 3,
    REUSE_PAGES_MAX  = 1 << 15, /* That are followed; beyond it, a share of all. */
    REUSE_SLOTS      = 2 * REUSE_PAGES_MAX,
};

/* How many requests ago a page was last used. When there are too many pages, only those
 * whose hash is small are followed, and each stands for 2^shift. */
struct reuse {
    unsigned shift;
    uint32_t pages;
    uint64_t touched, again[STATS_POWERS]; /* again[i]: after up to 2^i requests. */
    struct {
        uint64_t page, request; /* request from 1; 0: the slot is empty. */
    } slot[REUSE_SLOTS];
};

/* Requests of several pieces, by whether a piece begins or ends inside a unit. */
struct boundary {
    uint32_t bytes;
    uint64_t closed, gaps; /* gaps: they cannot become one range of I/O addresses. */
};

struct trace_stats {
    uint64_t records, moving, rdma;
    uint64_t sizes[STATS_POWERS];          /* Up to 2^i bytes. */
    uint64_t pieces[STATS_POWERS];         /* Segments of a request, up to 2^i. */
    uint64_t memory_aligned[STATS_POWERS]; /* Segments whose ends are multiples of 2^i. */
    uint64_t medium_aligned[STATS_POWERS]; /* Requests, likewise on the medium. */
    uint64_t segments, one_piece, unknown_memory;
    struct boundary boundary[STATS_BOUNDARIES];
    uint64_t depth[STATS_POWERS]; /* In flight on the CPU at the issue, up to 2^i. */
    uint64_t unknown_depth;
    uint64_t operation[TRACE_OPS];
    struct reuse memory, medium;
};

void trace_stats_init(struct trace_stats *s);
void trace_stats_add(struct trace_stats *s, const struct trace_record *r);

/* A picture of bars in text, and the same as an SVG. */
void trace_stats_print(const struct trace_stats *s, FILE *out);
void trace_stats_svg(const struct trace_stats *s, const char *name, FILE *out);

/* Pages that were used, perhaps estimated. */
uint64_t reuse_distinct(const struct reuse *r);

#ifdef __cplusplus
}
#endif

#endif
