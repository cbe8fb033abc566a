/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window - the requests that have been issued but not yet handed out.
 *
 * Records leave in the order of their issue, each as soon as its completion is known, or
 * without it once the window is full or the file has ended.
 */
#ifndef TRACES_WINDOW_H
#define TRACES_WINDOW_H

#include <stddef.h>

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WINDOW_REQUESTS_MAX = 4096,
    WINDOW_SEGMENTS_MAX = 1 << 18, /* The record that reaches it still enters. */
};

/* What a completion names: a command of a controller, or a sector of a device. */
struct window_key {
    bool command;
    uint64_t owner, item;
};

struct window_request {
    struct trace_record record; /* Its segments are the window's. */
    struct window_key key;
    bool in_flight;
};

/* A request in flight, by its number, and a copy of its key, to be searched without
 * touching the requests. */
struct window_flight {
    struct window_key key;
    uint64_t number;
};

struct window {
    uint64_t first, next; /* Numbers of the oldest request and of the next one. */
    uint32_t segments;    /* Of all requests. */
    uint32_t flights;
    struct window_request request[WINDOW_REQUESTS_MAX]; /* By number, modulo. */
    struct window_flight flight[WINDOW_REQUESTS_MAX];   /* In order of issue. */
    uint32_t cpu_flights[TRACE_CPUS_MAX];
};

void window_init(struct window *window);
void window_free(struct window *window);

bool window_full(const struct window *window);
bool window_empty(const struct window *window);

/* Appends a request that is in flight, copies its segments and fills in its depth; returns
 * its number. An older one with the same command has ended unseen. */
uint64_t window_issue(struct window *window, const struct trace_record *record,
                      struct window_key key);

/* The oldest request in flight with this key, or NULL. */
struct window_request *window_find(struct window *window, struct window_key key);

/* Waits under another key from now on: the rest of it is still to come. */
void window_rekey(struct window *window, struct window_request *request,
                  struct window_key key);
void window_complete(struct window *window, struct window_request *request,
                     uint64_t time_ns, uint32_t cpu);

/* The request of that number, or NULL when it has left. */
struct window_request *window_at(struct window *window, uint64_t number);

/* Gives a request that has none a copy of these segments. */
void window_set_segments(struct window *window, struct window_request *request,
                         const struct trace_segment *segment, uint32_t count);

/* Whether the oldest request has completed. */
bool window_ready(const struct window *window);

/* Takes the oldest request out; its segments last until the next call. */
struct trace_record window_take(struct window *window);

#ifdef __cplusplus
}
#endif

#endif
