/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline - draws runs as a Perfetto trace (docs/timeline.md): whose each CPU's time was,
 * what became of each NVMe command, of each RDMA work request and of each DMA, step by
 * step, and how full queues and caches were.
 *
 *     struct timeline *t = timeline_new(file, &window);
 *     for each run:
 *         timeline_begin(t, "strict, iova", scope, hosts, now);     the replay begins
 *         timeline_end(t, now);                                     ... and ends
 *         timeline_leave(t);                                        the machine goes away
 *     timeline_free(t, &error);                                     false: nothing was
 * drawn
 *
 * It watches and changes nothing: a run takes the same cycles with it. What began in the
 * window is drawn to its end, CPUs are cut at the window's edges. Steps of a thing follow
 * each other without a gap, so they sum to it. Times are nanoseconds since the replay
 * began, rounded down; the note "ps" of a slice is its exact length.
 */
#ifndef SIM_SCOPE_TIMELINE_H
#define SIM_SCOPE_TIMELINE_H

#include <stdio.h>

#include "sim/base/error.h"
#include "sim/scope/scope.h"

struct timeline;

struct timeline *timeline_new(FILE *out, const struct scope_window *window);

/* False, with a line, when every run had ended before the window began. */
bool timeline_free(struct timeline *t, struct error *error);

/* scope: of each of so many hosts, SCOPE_HOSTS_MAX at most, on one engine. */
void timeline_begin(struct timeline *t, const char *name, const struct scope *scope,
                    unsigned hosts, sim_time_t now);
void timeline_end(struct timeline *t, sim_time_t now);
void timeline_leave(struct timeline *t);

/* The two verbs of each host's IOMMU's watcher that it wants to hear. */
void timeline_answered(struct timeline *t, unsigned host, const struct xlate *x);
void timeline_stepped(struct timeline *t, unsigned host, sim_time_t now);

#endif
