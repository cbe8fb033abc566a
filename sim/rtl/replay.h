/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay - a recorded run, once more, on the model.
 *
 * The bench does what the RTL's bench did: memory holds the image; stores, doorbells and
 * requests come in their recorded cycles; the port has a channel for reads and one for
 * writes. What the model makes of it is noted: each request's answer, each command's and
 * fault record's cycles, every read.
 *
 * A request that came behind another's answer in the recording does so here, too: should
 * the model be late, it waits. Otherwise it is issued in its recorded cycle.
 *
 * One liberty. A request that hung in the RTL (see rules.h) does not hang here. So that
 * both go on with the same contents of their caches, its port is kept as it was: what
 * waited behind it is held until its recorded end, and it is issued a second time when
 * software dropped its device's context, which is what made the RTL take it up again.
 */
#ifndef SIM_RTL_REPLAY_H
#define SIM_RTL_REPLAY_H

#include "iommu_model/iommu.h"
#include "sim/rtl/run.h"

struct rtl_answer {
    cycle_t done; /* CYCLE_NEVER: there was none. */
    cycle_t left; /* The same, or of the answer to its second issue. */
    uint64_t pa;
    uint16_t cause, reads;
    bool fault, context_hit, iotlb_hit;
};

struct rtl_result {
    struct rtl_answer *answer; /* Of each request of the run. */
    size_t commands, faults, accesses;
    struct rtl_command *command; /* low and high are not filled in. */
    struct rtl_fault *fault;
    struct rtl_access *access; /* Reads only. */
};

struct rtl_replay {
    const struct rtl_run *run;
    const struct iommu_settings *settings; /* The run's own sizes included. */
    /* When each request that hung was taken up again; 0: it did not hang, CYCLE_NEVER: it
     * was not. */
    const cycle_t *rescue;
    /* Asked now and then; false ends the replay. NULL: nobody asks. */
    bool (*go_on)(void *self, uint64_t requests);
    void *self;
};

/* False when go_on said so. result is to be freed in any case. */
bool rtl_replay(const struct rtl_replay *replay, struct rtl_result *result);
void rtl_result_free(struct rtl_result *result);

/* The first cycle after `after` in which software dropped the context of a request's device
 * before its recorded end, or CYCLE_NEVER. */
cycle_t rtl_rescue(const struct rtl_run *run, const struct rtl_request *request,
                   cycle_t after);

#endif
