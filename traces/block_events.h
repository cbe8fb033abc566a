/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block_events - records out of the events of Linux's block layer, as blktrace has them.
 *
 * An issue to the driver makes a record and its completion ends it. A recording that has no
 * issues at its start (of a device mapper, or made with a filter) is read by its queue
 * events instead. Events are put into the order of their times, as far as a window of them
 * reaches: those of several CPUs, and of interrupts within one, come out of order.
 */
#ifndef TRACES_BLOCK_EVENTS_H
#define TRACES_BLOCK_EVENTS_H

#include "traces/import.h"
#include "traces/window.h"

#ifdef __cplusplus
extern "C" {
#endif

enum block_action { BLOCK_OTHER, BLOCK_QUEUE, BLOCK_ISSUE, BLOCK_COMPLETE };

struct block_event {
    uint64_t time_ns, number; /* number: in order of reading, for equal times. */
    uint64_t place;           /* Which line or record of the file it is, for messages. */
    uint64_t sector, bytes;
    uint32_t cpu, major, minor;
    enum block_action action;
    bool known; /* Its operation is one of enum trace_op; op says which. */
    enum trace_op op;
};

enum {
    BLOCK_EVENTS_HELD = 1024,
    BLOCK_DEVICES_MAX = 4096, /* Of one host. */
};

struct block_events {
    struct trace_about *about;
    const char *unit; /* Of a place: "line" or "record". */

    /* The next event of the file with an action of ours; 1, 0, -1 as trace_next. */
    int (*pull)(void *self, struct block_event *event, struct error *error);
    void *self;

    enum block_action begins; /* Which action makes a record. */
    bool begun, ended, completes;
    uint64_t number, start_ns, last_ns; /* last_ns: since the start, never decreasing. */
    uint64_t records, skipped, unended, late;
    uint32_t held, devices;
    struct block_event *heap; /* BLOCK_EVENTS_HELD of them, the earliest at the top. */
    uint64_t device[BLOCK_DEVICES_MAX];
    struct window window;
};

/* Kernel letters, RWBS: "WS", "FWFS", "D". False when they name no operation of ours. */
bool block_op_of_letters(const char *letters, enum trace_op *op);

struct block_events *block_events_new(struct trace_about *about, const char *unit,
                                      int (*pull)(void *self, struct block_event *event,
                                                  struct error *error),
                                      void *self);
int block_events_next(struct block_events *b, struct trace_record *record,
                      struct error *error);
void block_events_free(struct block_events *b);

#ifdef __cplusplus
}
#endif

#endif
