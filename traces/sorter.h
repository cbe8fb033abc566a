/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sorter - records in the order of their times, of files that are nearly in order.
 *
 * A bounded number of records waits; the earliest leaves first, of equal times the one that
 * came first. One that comes so late that a later one has left takes that one's time, and
 * is counted. Times become those since the first record, and where latencies are known the
 * depth is that of the CPU's requests in flight.
 */
#ifndef TRACES_SORTER_H
#define TRACES_SORTER_H

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SORTER_RECORDS_FIRST = 64,      /* There is room for; it doubles. */
    SORTER_RECORDS_MAX   = 1 << 14, /* That wait. */
    SORTER_FLIGHTS_MAX   = 1 << 14, /* Beyond them the depth is not followed. */
};

struct sorter_key {
    uint64_t time_ns, number;
    uint32_t slot;
};

struct sorter_flight {
    uint64_t end_ns;
    uint32_t cpu;
};

struct sorter {
    uint32_t waiting, flights;
    uint32_t room, vacancies, flight_room;
    bool begun;
    uint64_t number;              /* Of the next record to come. */
    uint64_t first_ns;            /* Time of the first that left. */
    uint64_t last_ns;             /* Of the last one that left, since the first. */
    uint64_t late;                /* Records that came too late. */
    struct sorter_key *key;       /* A heap: the earliest at the top. */
    struct sorter_flight *flight; /* A heap: the earliest completion at the top. */
    uint32_t *vacant;             /* Slots that no record has; a stack. */
    struct trace_record *slot;
    uint32_t cpu_flights[TRACE_CPUS_MAX];
};

void sorter_init(struct sorter *sorter);
void sorter_free(struct sorter *sorter);

bool sorter_full(const struct sorter *sorter);
bool sorter_empty(const struct sorter *sorter);

/* The record's time is as the file has it, in nanoseconds; it has no segments. */
void sorter_put(struct sorter *sorter, const struct trace_record *record);
struct trace_record sorter_take(struct sorter *sorter);

#ifdef __cplusplus
}
#endif

#endif
