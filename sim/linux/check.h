/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - replays one recording of a real kernel through our DMA API, call by call on the
 * same CPUs, and compares every outcome.
 */
#ifndef SIM_LINUX_CHECK_H
#define SIM_LINUX_CHECK_H

#include "sim/linux/resync.h"
#include "sim/linux/settings.h"

/* What of a call is compared. */
enum check_aspect {
    ASPECT_address,   /* The I/O virtual addresses returned. */
    ASPECT_path,      /* From a magazine or from the tree. */
    ASPECT_size,      /* Pages asked of the allocator. */
    ASPECT_segments,  /* Contiguous ranges written into the tables. */
    ASPECT_tables,    /* Page-table pages taken. */
    ASPECT_map_inv,   /* Invalidations of a map. */
    ASPECT_unmap_inv, /* Invalidations of an unmap, or that there were none. */
    ASPECT_freed,     /* Addresses given back by an unmap, and in which order. */
    ASPECT_flush,     /* Invalidations of a timer or of a full flush queue. */
    ASPECT_drain,     /* What these give back, in order. */
    ASPECTS,
};
const char *check_aspect_name(enum check_aspect aspect);

enum { CHECK_SHOWN_MAX = 100, CHECK_TEXT = 400 };

struct check_difference {
    uint64_t line;
    enum check_aspect aspect;
    enum row_kind kind;
    char recorded[CHECK_TEXT], ours[CHECK_TEXT];
};

struct check_result {
    struct {
        uint64_t compared, agreed, excused;
    } aspect[ASPECTS];
    uint64_t rows, rows_agreed, rows_excused, rows_differing;
    uint64_t rule[RULES]; /* Rows excused, by rule. */
    uint64_t credited;    /* Rows whose work the recording credits to another. */
    uint64_t moved, outside, stand_ins;
    struct check_difference difference[CHECK_SHOWN_MAX];
    unsigned shown, show; /* show: how many are wanted. */
    char settings[160];
};

/* The most that may be excused: 5 rows of 1000. */
static inline bool check_good(const struct check_result *r)
{
    return r->rows_differing == 0 && r->rows_excused * 200 <= r->rows;
}

/* twin: the other recording of the same run (that of the allocator for one of calls, that
 * of the calls for one of the allocator), or NULL. False with error when the recording or
 * the settings make no sense. */
bool check_recording(struct check_result *result, const char *path, const char *twin,
                     const struct check_settings *settings, struct error *error);

#endif
