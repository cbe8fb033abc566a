/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_spec - what software and an RDMA NIC agree on: registers, commands, queue entries,
 * tables in memory.
 *
 * Operations, access rights, key tags and completion statuses are those of the InfiniBand
 * Architecture Specification (volume 1, release 1.4: chapters 9 to 11). How a NIC lays them
 * out is each vendor's own; this layout is of the same sizes and needs the same
 * transactions as those of the drivers in Linux: 64-byte blocks of work, 16-byte segments,
 * 64-byte completion and event entries, 64-byte protection entries, 8-byte translation
 * entries, doorbell records in memory. All fields are little-endian.
 */
#ifndef WORKLOADS_RDMA_SPEC_H
#define WORKLOADS_RDMA_SPEC_H

#include <assert.h>
#include <stdint.h>

/* ---- Registers ------------------------------------------------------------------------
 */

enum {
    RDMA_REG_CAP     = 0x00, /* Read: what there is, struct of fields below. */
    RDMA_REG_MAILBOX = 0x08, /* Write 64: DMA address of the mailbox. */
    RDMA_REG_COMMAND = 0x10, /* Write 32: carry out what is in the mailbox. */
    RDMA_REG_SEND    = 0x20, /* Write 64: queue pair << 32 | index behind the last entry. */
    RDMA_REG_ARM     = 0x28, /* Write 64: completion queue << 32 | entries taken so far. */
    RDMA_REG_EVENT   = 0x30, /* Write 64: event queue << 32 | entries taken so far; arms. */
    RDMA_REG_TAKEN   = 0x38, /* As ARM, which tells it as well, but does not arm. An entry's
                                room is free again when the NIC knows that it was taken. */

    RDMA_CAP_QPS_SHIFT = 0, /* Queue pairs, completion queues, keys: a byte each, lg2. */
    RDMA_CAP_CQS_SHIFT = 8,
    RDMA_CAP_MPT_SHIFT = 16,
};

/* ---- Commands: a mailbox of 16 words --------------------------------------------------
 */

enum {
    RDMA_MAILBOX_WORDS  = 16,
    RDMA_MAILBOX_BYTES  = 8 * RDMA_MAILBOX_WORDS,
    RDMA_MAILBOX_STATUS = 15, /* The word that the NIC writes: RDMA_DONE + error. */
};
#define RDMA_DONE (UINT64_C(1) << 32)

/* Word 0 is the command; the words behind it are listed. */
enum rdma_command {
    RDMA_CMD_INIT = 1,   /* protection table, its entries lg2 */
    RDMA_CMD_CREATE_EQ,  /* id, ring, entries, message address, message data */
    RDMA_CMD_CREATE_CQ,  /* id, ring, entries, event queue */
    RDMA_CMD_CREATE_RQ,  /* id, ring, entries, stride lg2, doorbell record, PD */
    RDMA_CMD_CREATE_QP,  /* id, type, PD, ring, entries, stride lg2, send CQ, receive CQ,
                            receive queue, flags RDMA_QP_SHARED */
    RDMA_CMD_CONNECT_QP, /* id, remote NIC, remote queue pair, MTU, first number to send,
                            to receive, reads at once, Q_Key, retries << 8 | RNR retries */
    RDMA_CMD_DESTROY_QP, /* id; likewise the other three. Nothing of it goes on then. */
    RDMA_CMD_DESTROY_CQ,
    RDMA_CMD_DESTROY_RQ,
    RDMA_CMD_DESTROY_EQ,
    RDMA_CMD_FORGET, /* key (RDMA_KEY_NONE: none), DMA address and bytes of
                        translation entries: all that may have changed in memory. Done
                        when no access through what it was is under way. */
    RDMA_CMD_RESUME, /* key, first, last, and as FORGET's: what one page fault event
                        asked for is there, or its region has gone. */
    RDMA_COMMANDS,
};

enum rdma_command_error {
    RDMA_CMD_OK,
    RDMA_CMD_BAD_INDEX,
    RDMA_CMD_BAD_STATE,
    RDMA_CMD_BAD_PARAMETER,
    RDMA_CMD_BAD_OPCODE
};

enum rdma_qp_type { RDMA_RC, RDMA_UD };
enum { RDMA_QP_SHARED = 1 }; /* The receive queue is shared: not flushed with the QP. */

/* ---- Work requests --------------------------------------------------------------------
 */

enum rdma_opcode {
    RDMA_SEND,
    RDMA_SEND_IMM,
    RDMA_SEND_INV,
    RDMA_WRITE,
    RDMA_WRITE_IMM,
    RDMA_READ,
    RDMA_COMPARE_SWAP,
    RDMA_FETCH_ADD,
    RDMA_LOCAL_INV,
    RDMA_REG_MR,
    RDMA_BIND_MW,
    RDMA_OPCODES,
    RDMA_RECEIVE = 0x80, /* In completions only. */
};

enum {
    RDMA_FLAG_SIGNALED = 1, /* Writes a completion also when it succeeds. */
    RDMA_FLAG_FENCE    = 2, /* Begins when all earlier ones of the queue are complete. */
    RDMA_FLAG_INLINE   = 4, /* Data in place of data segments. */
};

enum {
    RDMA_BLOCK_BYTES  = 64,
    RDMA_WQE_LG2_MIN  = 6,
    RDMA_WQE_LG2_MAX  = 9,
    RDMA_WQE_BYTES    = 1 << RDMA_WQE_LG2_MAX,
    RDMA_SGE_BYTES    = 16,
    RDMA_SGES_MAX     = (RDMA_WQE_BYTES - 32) / RDMA_SGE_BYTES,
    RDMA_ATOMIC_BYTES = 8,
    RDMA_GRH_BYTES    = 40, /* In front of a datagram's data in the receive buffer. */
};

/* A piece of memory; in receive entries one with bytes 0 and key RDMA_KEY_NONE ends. */
struct rdma_sge {
    uint32_t bytes, key;
    uint64_t address;
};

/* The head of a send entry; behind it data segments or inline data. */
struct rdma_wqe {
    uint8_t opcode, flags, sges, spare;
    uint32_t immediate; /* Or the key to invalidate. */
    uint32_t inline_bytes;
    uint32_t index;
    union {
        struct {
            uint64_t address;
            uint32_t key;
            uint32_t qp; /* Datagrams: where to. */
        } remote;
        struct {
            uint32_t key;    /* Of the region that comes, or of the window. */
            uint32_t parent; /* Window: of the region that it is a part of. */
            uint32_t access, page_lg2;
        } region;
    };
    union {
        struct {
            uint64_t swap_add, compare;
        } atomic;
        struct {
            uint64_t first, bytes, pages; /* pages: DMA address of translation entries. */
        } range;
        struct rdma_sge sge[RDMA_SGES_MAX]; /* At atomics: behind the operands. */
        uint8_t data[RDMA_WQE_BYTES - 32];
    };
};
static_assert(sizeof(struct rdma_wqe) == RDMA_WQE_BYTES, "an entry has no holes");

/* ---- Completions and events -----------------------------------------------------------
 */

/* Table 95 of the specification, as Linux numbers them (enum ib_wc_status). */
enum rdma_status {
    RDMA_SUCCESS,
    RDMA_LOCAL_LENGTH,
    RDMA_LOCAL_QP_OPERATION,
    RDMA_LOCAL_PROTECTION = 4,
    RDMA_FLUSHED,
    RDMA_BIND_ERROR,
    RDMA_BAD_RESPONSE,
    RDMA_LOCAL_ACCESS,
    RDMA_REMOTE_INVALID,
    RDMA_REMOTE_ACCESS,
    RDMA_REMOTE_OPERATION,
    RDMA_RETRIES_EXCEEDED,
    RDMA_RNR_RETRIES_EXCEEDED,
};

enum { RDMA_CQE_BYTES = 64, RDMA_EQE_BYTES = 64 };

struct rdma_cqe {
    uint32_t qp, index; /* Queue pair and the entry's index in its queue. */
    uint8_t opcode, status, has_immediate, has_invalidated;
    uint32_t bytes, immediate, source_qp;
    uint64_t spare[4];
    uint32_t spare2;
    uint32_t owner; /* 1 in the first round through the ring, 0 in the next, ... */
};
static_assert(sizeof(struct rdma_cqe) == RDMA_CQE_BYTES, "an entry has no holes");

/* Page faults that are reported and not resumed: the NIC reports no more than these. */
enum { RDMA_FAULTS_MAX = 64 };

/* All but completions are told in event queue 0. */
enum rdma_event {
    RDMA_EVENT_COMPLETION = 1,
    RDMA_EVENT_PAGE_FAULT,
    RDMA_EVENT_QP_ERROR,
    RDMA_EVENT_CQ_ERROR, /* It has overflowed: nothing more is written to it, and the queue
                            pairs that complete to it fail. */
};

struct rdma_eqe {
    uint32_t type, number; /* Completion queue, or queue pair. */
    uint32_t key, write;   /* Page fault: the region, and what was wanted, */
    uint64_t address, bytes;
    uint64_t spare[3];
    uint32_t spare2, owner;
};
static_assert(sizeof(struct rdma_eqe) == RDMA_EQE_BYTES, "an entry has no holes");

/* ---- Memory protection and translation -------------------------------------------------
 */

/* A key is the index of its protection entry and 8 bits that software may choose. */
enum { RDMA_KEY_VARIANT_BITS = 8, RDMA_MPT_BYTES = 64, RDMA_MTT_BYTES = 8 };
#define RDMA_KEY_NONE UINT32_C(0x100) /* Nobody's: entry 1 is never used. */
#define RDMA_KEY_DMA  UINT32_C(0)     /* Local only, and for the kernel: DMA addresses. */

enum {
    RDMA_LOCAL_WRITE   = 1, /* IBV_ACCESS_*; reading locally is always allowed. */
    RDMA_REMOTE_WRITE  = 2,
    RDMA_REMOTE_READ   = 4,
    RDMA_REMOTE_ATOMIC = 8,
    RDMA_MW_BIND       = 16,
    RDMA_ON_DEMAND     = 64,
    RDMA_ACCESS_MASK   = 0x7f,
};

enum rdma_mpt_state { RDMA_MPT_NONE, RDMA_MPT_FREE, RDMA_MPT_VALID };
enum rdma_mpt_kind { RDMA_MPT_REGION, RDMA_MPT_WINDOW };

struct rdma_mpt {
    uint32_t key; /* As it is valid now. */
    uint8_t state, kind, page_lg2, spare;
    uint32_t access, pd;
    uint64_t first, bytes; /* Virtual addresses that it stands for. */
    uint64_t pages;        /* DMA address of its first translation entry: that of the page
                              which holds first. */
    uint32_t parent;       /* Window: the region whose pages are used. */
    uint32_t qp;           /* Window: the only queue pair that may use it. */
    uint64_t spare2[2];
};
static_assert(sizeof(struct rdma_mpt) == RDMA_MPT_BYTES, "an entry has no holes");

#define RDMA_MTT_PRESENT UINT64_C(1)
#define RDMA_MTT_WRITE   UINT64_C(2)
#define RDMA_MTT_ADDRESS (~UINT64_C(0xfff))

#endif
