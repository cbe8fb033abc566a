/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed - what importers of whole requests share: a table of devices, extents in sectors,
 * the order of times, and the notes that say what was adapted.
 */
#ifndef TRACES_FEED_H
#define TRACES_FEED_H

#include "traces/import.h"
#include "traces/sorter.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FEED_SLOTS_FIRST = 64, FEED_NOTES_MAX = 8 };

struct feed {
    struct trace_source *source;
    struct trace_about *about;
    struct sorter sorter;
    bool ended;
    uint64_t skipped, widened; /* Requests left out; and those that became whole sectors. */

    uint32_t devices, slots;
    struct feed_device {
        uint64_t hash;
        uint32_t index; /* From 1; 0: empty. */
    } * device;         /* A hash table of slots entries, never more than half full. */
};

struct feed *feed_new(struct trace_source *source, struct trace_about *about);
void feed_free(struct feed *feed);

/* The index of the device of this name, which may be new; the first few become notes. */
bool feed_device(struct feed *feed, const char *name, size_t bytes, uint32_t *index,
                 struct error *error);

/* Fills in lba and bytes from a place in bytes: whole sectors that cover it. */
bool feed_extent(struct feed *feed, struct trace_record *record, uint64_t offset,
                 uint64_t bytes, struct error *error);

/*
 * The next record in order. more is called with self while there is room: it reads a piece
 * of the file and puts at most one record into the sorter; 1: it did its work; 0: the file
 * has ended; -1: error.
 */
int feed_next(struct feed *feed, void *self, int (*more)(void *self, struct error *error),
              struct trace_record *record, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
