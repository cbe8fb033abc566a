/* SPDX-License-Identifier: Apache-2.0 */
/* rtl_fsm_walk - what the walkers of the RTL see and say within one clock. */
#ifndef SIM_TEST_RTL_FSM_WALK_H
#define SIM_TEST_RTL_FSM_WALK_H

#include "sim/test/rtl_fsm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The translation logic's signals of a clock: all follow from registers and request. */
struct fsm_look {
    bool active, store;
    struct fsm_request request;
    uint32_t process; /* 0 stands in for a missing one, when the context says so. */
    bool context_access, process_access, iotlb_access;
    int context, page, iotlb; /* Hits; page: of the process context. */
    struct fsm_dc dc;         /* 0 unless there is a hit. */
    struct fsm_pc pc;
    bool s1, s2; /* Stages that are enabled. */
    uint32_t pscid, gscid;
    uint64_t root1, root2;
    bool ptw_starts, cdw_starts; /* The conditions of which walkers see the edge. */
    bool valid, error, report_always;
    uint16_t cause;
    uint64_t pa;
};

void fsm_look(const struct fsm *f, const struct fsm_in *in, struct fsm_look *look);

/* The context walker asks the page-table walker for the address of a directory. */
struct fsm_implicit {
    bool valid;
    uint64_t page, root2;
};

struct fsm_walked {
    bool error, update, context_done, context_flush;
    uint16_t cause;
    struct fsm_iotlb_entry entry; /* With update. */
    uint64_t page;                /* Of the entry that was read. */
};

struct fsm_context_walked {
    bool error, update_device, update_process;
    uint16_t cause;
    struct fsm_ddtc_entry device;
    struct fsm_pdtc_entry process;
};

/* Both read all they need of f before they move their own registers only. granted: the
 * walker's read is accepted in this clock. */
void fsm_ptw_clock(struct fsm *f, const struct fsm_in *in, const struct fsm_look *look,
                   const struct fsm_implicit *implicit, bool granted,
                   struct fsm_walked *walked);
void fsm_cdw_clock(struct fsm *f, const struct fsm_in *in, const struct fsm_look *look,
                   const struct fsm_walked *ptw, bool granted,
                   struct fsm_context_walked *walked);
struct fsm_implicit fsm_cdw_implicit(const struct fsm *f, const struct fsm_in *in);
uint32_t fsm_cdw_beats(const struct fsm_cdw *w);

#define FSM_PPN(entry)  ((entry) >> 10 & UINT64_C(0xfffffffffff))
#define FSM_ROOT(entry) ((entry)&UINT64_C(0xfffffffffff))
#define FSM_MODE(entry) ((entry) >> 60)

#ifdef __cplusplus
}
#endif

#endif
