/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_file - files of directed experiments: one quantity, or one memory access, a row.
 *
 * Ten columns say what was measured on which build with which tables; consecutive rows that
 * agree in them belong to one scenario. Then come a metric, its value and a note, or, in
 * the *_memaccess files, one access of the IOMMU to memory. A file whose name has extDC in
 * it was recorded with 64-byte device contexts.
 */
#ifndef SIM_RTL_DIRECTED_FILE_H
#define SIM_RTL_DIRECTED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum directed_stage { DIRECTED_STAGE1 = 1, DIRECTED_STAGE2 = 2 };

/* What an experiment was run on, as the columns say. */
struct directed_scenario {
    uint32_t iotlb_entries, device_levels, process_levels; /* process_levels 0: none. */
    uint32_t read_latency, write_latency;                  /* L and LW, in cycles. */
    uint32_t stages;                                       /* DIRECTED_STAGE*; 0: bare. */
    uint32_t stage1_lg2, stage2_lg2; /* The leaves; 0: stage is off. */
    bool process_contexts;           /* The build knows process contexts. */
    bool extended;                   /* 64-byte device contexts. */
};

enum { DIRECTED_KIND_MAX = 12 };

/* An access to memory. Cycles are relative to the scenario's origin. */
struct directed_access {
    bool write;
    uint32_t engine, beats;                  /* engine: the AXI id. */
    int64_t presented, accepted, data, last; /* The first beat, and the last or the B. */
    char kind[DIRECTED_KIND_MAX];            /* The table that it lies in. */
};

struct directed_row {
    uint64_t line;
    const char *experiment;
    struct directed_scenario scenario;
    const char *metric, *note; /* NULL in a file of accesses. */
    int64_t value;
    uint64_t index; /* Of the access. */
    struct directed_access access;
};

struct directed_file {
    char *name;
    bool accesses; /* Every row is one. */
    size_t count;
    struct directed_row *row;
};

/* Whether the file's columns are those of a directed file; false also if it cannot be read.
 */
bool directed_file_is(const char *path);

/* The file is to be freed also when this fails. */
bool directed_file_load(struct directed_file *file, const char *path, struct error *error);
void directed_file_free(struct directed_file *file);

/* How many rows from first on belong to one scenario. */
size_t directed_group(const struct directed_file *file, size_t first);

#ifdef __cplusplus
}
#endif

#endif
