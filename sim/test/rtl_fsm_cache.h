/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtl_fsm_cache - the three caches of the RTL: IOTLB, device and process contexts.
 *
 * All are fully associative with a tree of victims. Look-ups read registers only; the
 * _clock functions move them: a flush pulse comes before a fill of the same cycle, which it
 * drops; a hit turns the tree.
 */
#ifndef SIM_TEST_RTL_FSM_CACHE_H
#define SIM_TEST_RTL_FSM_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FSM_ENTRIES_MAX = 64, FSM_MISS = -1 };

struct fsm_tree {
    uint32_t entries;
    uint8_t upper[FSM_ENTRIES_MAX]; /* By node: the victim is in the upper half. */
};

/* What a command does to the caches in the cycle of its decoding. */
struct fsm_pulse {
    bool vma, gvma, context, process; /* process: of INVAL_DDT or INVAL_PDT */
    bool av, gv, pscv, dv, pv;
    uint64_t vpn;
    uint32_t gscid, pscid, device, pid;
};

struct fsm_iotlb_key {
    uint64_t iova;
    uint32_t pscid, gscid;
    bool en1, en2;
};

struct fsm_iotlb_entry {
    bool valid, en1, en2, s1_2m, s1_1g, s2_2m, s2_1g;
    uint32_t pscid, gscid;
    uint64_t vpn, pte1, pte2;
};

struct fsm_iotlb {
    struct fsm_tree tree;
    struct fsm_iotlb_entry entry[FSM_ENTRIES_MAX];
};

struct fsm_dc {
    uint64_t tc, iohgatp, ta, fsc;
};

struct fsm_ddtc_entry {
    bool valid;
    uint32_t device;
    struct fsm_dc dc;
};

struct fsm_ddtc {
    struct fsm_tree tree;
    struct fsm_ddtc_entry entry[FSM_ENTRIES_MAX];
};

struct fsm_pc {
    uint64_t ta, fsc;
};

struct fsm_pdtc_entry {
    bool valid;
    uint32_t device, process;
    struct fsm_pc pc;
};

struct fsm_pdtc {
    struct fsm_tree tree;
    struct fsm_pdtc_entry entry[FSM_ENTRIES_MAX];
};

/* The entry, or FSM_MISS. */
int fsm_iotlb_look(const struct fsm_iotlb *c, const struct fsm_iotlb_key *key);
int fsm_ddtc_look(const struct fsm_ddtc *c, uint32_t device);
int fsm_pdtc_look(const struct fsm_pdtc *c, uint32_t device, uint32_t process);

/* hit: what the look-up of this cycle found; fill: NULL, or what to put at the victim. */
void fsm_iotlb_clock(struct fsm_iotlb *c, const struct fsm_pulse *pulse, int hit,
                     const struct fsm_iotlb_entry *fill);
void fsm_ddtc_clock(struct fsm_ddtc *c, const struct fsm_pulse *pulse, int hit,
                    const struct fsm_ddtc_entry *fill);
void fsm_pdtc_clock(struct fsm_pdtc *c, const struct fsm_pulse *pulse, int hit,
                    const struct fsm_pdtc_entry *fill);

#ifdef __cplusplus
}
#endif

#endif
