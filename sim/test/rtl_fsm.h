/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtl_fsm - the RTL that `iovasim rtl-check` is held against, state machine by state
 * machine and clock by clock.
 *
 * It is the reference for runs of which there is no recording: written from the measured
 * rules alone, sharing nothing with the model. Each clock first works out every signal from
 * the registers, then moves the registers. The RTL's plain bugs are in it (a request that
 * hangs when a flush meets its fill, address 0 when one meets its look-up, wrong addresses
 * of mixed page sizes, skipped second-stage reads), so that what is run on it looks like
 * what was recorded.
 *
 * Inaccuracies: user-mode single-beat requests; no message-signalled interrupts, extended
 * contexts, debug port or counters; ddtp, the queues' bases and their enables do not
 * change; memory answers without errors.
 */
#ifndef SIM_TEST_RTL_FSM_H
#define SIM_TEST_RTL_FSM_H

#include "sim/test/rtl_fsm_cache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* AXI ids of reads; writes have FSM_ID_WRITE_* */
enum { FSM_ID_PTW, FSM_ID_CDW, FSM_ID_CQ, FSM_ID_WRITE_CQ = 0, FSM_ID_WRITE_FQ = 1 };

enum fsm_channel { FSM_AR, FSM_AW, FSM_CHANNELS };

/* ---- Ports -----------------------------------------------------------------------------
 */

struct fsm_request {
    uint64_t iova;
    uint32_t device, process;
    bool valid, has_process;
};

/* What is seen on the ports just before the clock edge. AWREADY and WREADY are always 1. */
struct fsm_in {
    struct fsm_request port[FSM_CHANNELS];
    bool tail_valid; /* AW and W of a write to cqt. */
    uint32_t tail;
    bool read_ready; /* ARREADY */
    struct fsm_beat {
        bool valid, last;
        uint32_t id;
        uint64_t data;
    } beat; /* R */
    bool response_valid;
    uint32_t response_id; /* B */
};

struct fsm_out {
    struct fsm_read {
        bool valid; /* ARVALID */
        uint32_t id, beats;
        uint64_t pa;
    } read;
    struct fsm_write {
        bool valid; /* AWVALID */
        uint32_t id, beats;
        uint64_t pa;
    } write;
    bool datum_valid, datum_last; /* W */
    uint32_t datum_id;
    uint64_t datum;
    struct fsm_done {
        bool valid, fault; /* AxVALID & AxREADY of the device's port. */
        uint8_t channel;
        uint16_t cause;
        uint64_t pa;
    } done;
    struct fsm_seen {
        bool active, context_hit, looked, hit; /* looked: at the IOTLB, for a stage. */
        uint8_t channel;
    } seen;
    bool flush; /* A command takes effect. */
    bool fill;  /* A walk offers its result to the IOTLB. */
};

/* ---- Registers -------------------------------------------------------------------------
 */

struct fsm_config {
    uint32_t iotlb_entries, device_entries, process_entries;
    bool process_contexts;
    uint64_t ddtp, cqb, fqb;
};

/* Fair arbiter over a binary tree. */
struct fsm_arbiter {
    uint32_t rr, frozen;
    bool locked;
};

enum fsm_ptw_state { FSM_PTW_IDLE, FSM_PTW_MEM_ACCESS, FSM_PTW_PROC_PTE, FSM_PTW_ERROR };
enum fsm_stage { FSM_STAGE_1, FSM_STAGE_2_INTERMEDIATE, FSM_STAGE_2_FINAL };

struct fsm_ptw {
    enum fsm_ptw_state state;
    enum fsm_stage stage;
    uint32_t level, level1; /* 0 is the root's; level1 that of the first stage. */
    uint64_t pointer, gpa, final_gpa, iova, leaf1;
    uint32_t pscid, gscid;
    bool global, implicit, edge;
};

enum fsm_cdw_state {
    FSM_CDW_IDLE,
    FSM_CDW_MEM_ACCESS,
    FSM_CDW_NON_LEAF,
    FSM_CDW_LEAF,
    FSM_CDW_GUEST,
    FSM_CDW_ERROR
};

struct fsm_cdw {
    enum fsm_cdw_state state;
    uint32_t level; /* 1 is the leaf's. */
    uint32_t beats, device, process;
    uint64_t pointer;
    uint64_t word[4]; /* Of the context. */
    uint16_t cause;
    bool device_walk, wait_last, ptw_done, edge;
};

enum fsm_cq_state {
    FSM_CQ_IDLE,
    FSM_CQ_FETCH,
    FSM_CQ_REGISTER,
    FSM_CQ_DECODE,
    FSM_CQ_AW,
    FSM_CQ_W,
    FSM_CQ_B,
    FSM_CQ_ERROR
};

struct fsm_cq {
    enum fsm_cq_state state;
    uint32_t head, tail, beats;
    uint64_t low, high, pointer;
    uint32_t tail_delay; /* Cycles until a written tail shows. */
    uint32_t tail_next;
};

enum fsm_fq_state { FSM_FQ_IDLE, FSM_FQ_AW, FSM_FQ_W, FSM_FQ_B, FSM_FQ_ERROR };
enum { FSM_FIFO = 4, FSM_RECORD = 4 };

struct fsm_fault {
    uint64_t word[FSM_RECORD];
};

struct fsm_fq {
    enum fsm_fq_state state;
    uint32_t tail, head, count, beat;
    uint64_t pointer;
    bool edge;
    struct fsm_fault fifo[FSM_FIFO], record;
};

enum fsm_front_state { FSM_FRONT_IDLE, FSM_FRONT_READ, FSM_FRONT_WRITE };

struct fsm_front {
    enum fsm_front_state state;
    bool resume, fault; /* Handshake in this cycle; with the error slave. */
    uint16_t cause;
};

struct fsm {
    struct fsm_config config;
    struct fsm_front front;
    struct fsm_ptw ptw;
    struct fsm_cdw cdw;
    struct fsm_cq cq;
    struct fsm_fq fq;
    struct fsm_arbiter read_arbiter, write_arbiter;
    uint32_t write_owner[2], write_owners; /* AW accepted, W to come, in order. */
    struct fsm_iotlb iotlb;
    struct fsm_ddtc ddtc;
    struct fsm_pdtc pdtc;
};

/* After reset, with both queues enabled. */
void fsm_init(struct fsm *f, const struct fsm_config *config);

/* One clock. */
void fsm_clock(struct fsm *f, const struct fsm_in *in, struct fsm_out *out);

#ifdef __cplusplus
}
#endif

#endif
