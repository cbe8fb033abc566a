/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_edit - changes to records on their way from one trace to another.
 */
#ifndef SIM_APP_TRACE_EDIT_H
#define SIM_APP_TRACE_EDIT_H

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which records stay. */
struct edit_cut {
    uint64_t skip;             /* Records passed over. */
    uint64_t begin_ns, end_ns; /* Time of the issue: from begin on, before end. */
    uint64_t device, cpu;      /* UINT64_MAX: all. */
};

/* Whether the record stays; index counts those of the source. */
bool edit_cut_keeps(const struct edit_cut *cut, const struct trace_record *r,
                    uint64_t index);

/* Times and latencies become millionths / 10^6 as long. False when one gets too large. */
bool edit_scale(struct trace_record *r, uint64_t millionths, struct error *error);

/*
 * Hides where the data was: places on the medium change by extents of 1 MiB, memory by
 * frames of 2 MiB, keys and queue pairs one by one. What was equal stays equal, what was
 * different different, and inside an extent or frame order and alignment stay. The segments
 * are changed in place.
 */
void edit_anonymise(struct trace_record *r, struct trace_segment *segment, uint64_t seed);

#ifdef __cplusplus
}
#endif

#endif
