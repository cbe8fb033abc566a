/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracefile - what a trace file holds, in numbers, and which file it is.
 */
#ifndef SIM_APP_TRACEFILE_H
#define SIM_APP_TRACEFILE_H

#include "sim/base/histogram.h"
#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The SHA-256 of the file's bytes as they are stored, in lower-case hexadecimal. */
enum { FILE_SHA256_CHARS = 64 };
void text_sha256(const char *text, char hex[FILE_SHA256_CHARS + 1]); /* Of a text's. */
bool file_sha256(const char *path, char hex[FILE_SHA256_CHARS + 1], struct error *error);

/* How often a value occurred. */
struct tracefile_tally {
    uint64_t value, count;
};

enum { TRACEFILE_SIZES_MAX = 64 };

struct tracefile_summary {
    struct trace_about about;
    uint64_t records, segments;
    uint64_t op_records[TRACE_OPS], op_bytes[TRACE_OPS];
    uint64_t span_ns; /* From the first issue to the last. */
    uint32_t cpus, devices, depth_max;
    uint64_t moved;             /* Requests that move data, and of these: */
    uint64_t moved_unknown;     /* without segments, */
    uint64_t moved_unaligned;   /* with a segment that is not made of whole 4 KiB pages. */
    uint64_t completed_unknown; /* Requests without a latency. */
    uint64_t completed_elsewhere; /* On another CPU than their own. */

    /* The sizes of requests that move data, ascending, as many as there is room for. */
    uint32_t size_count;
    struct tracefile_tally size[TRACEFILE_SIZES_MAX];
    uint64_t size_others;

    struct histogram request_bytes;    /* Of requests that move data. */
    struct histogram request_segments; /* Of those that know their segments. */
    struct histogram latency_ns;       /* Of requests that have one. */
};

/* Reads the whole trace, which stays open. */
bool tracefile_summarise(struct tracefile_summary *summary, struct trace_reader *reader,
                         struct error *error);

#ifdef __cplusplus
}
#endif

#endif
