/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_parts - what an RDMA NIC is made of, for the files of rdma_*.c only.
 */
#ifndef WORKLOADS_RDMA_PARTS_H
#define WORKLOADS_RDMA_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/simtime.h"
#include "workloads/rdma_spec.h"
#include "workloads/rdma_wire.h"

/* ---- Caches of tables in memory -------------------------------------------------------
 */

enum { RNIC_LINE_BYTES = 64, RNIC_MTT_LINE = RNIC_LINE_BYTES / RDMA_MTT_BYTES };
enum rnic_line_state { RNIC_LINE_EMPTY, RNIC_LINE_FILLING, RNIC_LINE_VALID };

/* A line is 64 bytes of memory at the DMA address tag; 0: none. */
struct rnic_line {
    struct rnic_line *next; /* In fills. */
    uint64_t tag, used;     /* used: by age. */
    sim_time_t filled_at;
    uint8_t state;
    bool doomed; /* What is on its way is out of date already. */
    bool is_mpt;
    union {
        struct rdma_mpt mpt;
        uint64_t mtt[RNIC_MTT_LINE];
        uint8_t bytes[RNIC_LINE_BYTES];
    } data;
};

#define FIFO_NAME rnic_line_fifo
#define FIFO_ITEM struct rnic_line
#define FIFO_LINK next
#include "workloads/fifo.h"

struct rnic_cache {
    uint32_t sets, ways;
    uint32_t held; /* Lines that are valid. */
    uint64_t clock;
    struct rnic_line *line;
};

/* ---- Transactions ---------------------------------------------------------------------
 */

enum rnic_io_kind {
    RNIC_IO_FETCH, /* Reads: */
    RNIC_IO_RECEIVE_FETCH,
    RNIC_IO_RECORD,
    RNIC_IO_MAILBOX,
    RNIC_IO_MPT,
    RNIC_IO_MTT,
    RNIC_IO_GATHER,
    RNIC_IO_ATOMIC_READ,
    RNIC_IO_SCATTER, /* Writes: */
    RNIC_IO_ATOMIC_WRITE,
    RNIC_IO_CQE,
    RNIC_IO_EQE,
    RNIC_IO_INTERRUPT,
    RNIC_IO_TABLE,
    RNIC_IO_STATUS,
};

struct rnic_tx;
struct rnic_rx;
struct rnic_qp;
struct rnic_rq;

struct rnic_io {
    struct rnic_io *next;
    uint64_t serial;
    uint8_t kind;
    bool busy;
    uint32_t bytes;
    union {
        struct rnic_tx *tx;
        struct rnic_rx *rx;
        struct rnic_line *line;
        struct rnic_qp *qp;
        struct rnic_rq *rq;
    } of;
    uint32_t first, count; /* Fetches: entries; a completion's: its queue, place in it. */
    uint64_t flow;         /* For who draws a timeline: as the packet's; 0: none. */
    union {
        struct rdma_cqe cqe;
        struct rdma_eqe eqe;
        struct rdma_mpt mpt;
        uint64_t word;
        uint32_t message;
        uint8_t entries[16 * RDMA_WQE_BYTES];
    } own;
};

#define FIFO_NAME rnic_io_fifo
#define FIFO_ITEM struct rnic_io
#define FIFO_LINK next
#include "workloads/fifo.h"

/* ---- Work of a requester --------------------------------------------------------------
 */

/* A work request on the NIC. */
struct rnic_wqe {
    struct rdma_wqe raw;
    sim_time_t ready_at;
    uint32_t first_psn, packets;
    uint64_t bytes; /* Of the message. */
    uint64_t got;   /* Of what was asked for: is at home. */
    bool sent;      /* All its packets have been made. */
    bool finished;
    uint8_t status;
};

/* How far into the data segments of a work request. */
struct rnic_cursor {
    const struct rdma_sge *sge;
    uint32_t left, offset; /* Segments, this one included; into it. */
};

enum rnic_qp_state { RNIC_QP_NONE, RNIC_QP_RESET, RNIC_QP_READY, RNIC_QP_FAILED };

enum { RNIC_ANSWERS = 64, RNIC_ATOMICS = 64, RNIC_RETRIES_ENDLESS = 7 };

struct rnic_answer {
    uint8_t kind; /* enum rdma_packet_kind */
    uint8_t status;
    uint32_t psn, key;
    uint64_t address, bytes, sent, value;
    uint64_t flow; /* As the packet's that is answered. */
};
#define RING_NAME rnic_answer_ring
#define RING_ITEM struct rnic_answer
#include "sim/base/ring.h"

/* A receive entry that a message is put into. */
struct rnic_receive {
    struct rdma_sge sge[RDMA_WQE_BYTES / RDMA_SGE_BYTES];
    uint32_t sges, index;
    uint64_t room, filled;
};

struct rnic_qp {
    struct rnic_qp *fetch_next, *send_next, *answer_next, *local_next, *flush_next;
    bool in_fetch, in_send, in_answer, in_local, in_flush;
    uint32_t id, pd;
    uint8_t type, state;
    uint32_t send_cq, receive_cq;
    struct rnic_rq *rq;
    bool shared;

    /* The other end. */
    uint8_t remote_nic;
    uint32_t remote_qp, mtu, qkey, reads_max;
    uint8_t retries_max, rnr_retries_max;

    /* The send queue: indices count all entries ever. done <= next <= arrived <= asked. */
    uint64_t sq_base;
    uint32_t sq_entries, sq_lg2;
    uint32_t rung, asked, arrived, next, done;
    struct rnic_wqe *wqe; /* config.window of them. */
    uint64_t offset;      /* Bytes of the next one that packets were made of. */
    uint32_t psn;         /* Of the next packet. */
    uint32_t acked;       /* Everything before it is acknowledged. */
    uint32_t reads_out;   /* Reads and atomics that are not answered. */
    uint8_t retries, rnr_retries;
    bool waits;         /* For a time: the timer says until when. */
    bool stalls;        /* Until a page is there. */
    bool halts;         /* One has failed: nothing more is begun. */
    uint8_t local_step; /* Of the entry with this index: */
    uint32_t local_index;
    uint64_t local_serial;

    /* The responder. */
    uint32_t expected;
    bool answering_stalls;
    bool in_message;         /* Between a message's first and last packet. */
    bool has_receive;        /* The entry below is in use. */
    uint64_t message_bytes;  /* Of a write that have arrived. */
    struct rnic_rx *rx_busy; /* The packet that is worked on: one at a time. */
    struct rnic_receive receive;
    struct rnic_answer_ring answers; /* Until their last packet has left. */
    uint32_t made; /* Of them: all packets made. Counts as the ring does. */
    struct {
        uint32_t psn;
        uint64_t value;
    } atomic[RNIC_ATOMICS]; /* What the newest ones found. */
    uint32_t atomics;
    uint32_t tx_out, rx_out; /* Slots that belong to it. */
};

#define FIFO_NAME rnic_fetch_fifo
#define FIFO_ITEM struct rnic_qp
#define FIFO_LINK fetch_next
#include "workloads/fifo.h"
#define FIFO_NAME rnic_send_fifo
#define FIFO_ITEM struct rnic_qp
#define FIFO_LINK send_next
#include "workloads/fifo.h"
#define FIFO_NAME rnic_answer_fifo
#define FIFO_ITEM struct rnic_qp
#define FIFO_LINK answer_next
#include "workloads/fifo.h"
#define FIFO_NAME rnic_local_fifo
#define FIFO_ITEM struct rnic_qp
#define FIFO_LINK local_next
#include "workloads/fifo.h"
#define FIFO_NAME rnic_flush_fifo
#define FIFO_ITEM struct rnic_qp
#define FIFO_LINK flush_next
#include "workloads/fifo.h"

/* ---- Receive queues --------------------------------------------------------------------
 */

enum { RNIC_RECEIVES = 16 };

struct rnic_rq {
    struct rnic_rq *next; /* In rq_turn. */
    bool in_turn, valid;
    uint32_t id, pd, entries, lg2;
    uint64_t base, record;
    uint32_t posted;                /* As the doorbell record said last. */
    uint32_t asked, arrived, taken; /* taken <= arrived <= asked <= posted */
    uint32_t reads_out;             /* Of entries and of the record. */
    bool wants_probe, probing;      /* The record is to be read; is being read. */
    bool waited_for;     /* Somebody needs an entry: a reading from now on counts, */
    bool counts, probed; /* as the present one, and the last one, did. */
    struct rnic_receive entry[RNIC_RECEIVES];
};

#define FIFO_NAME rnic_rq_fifo
#define FIFO_ITEM struct rnic_rq
#define FIFO_LINK next
#include "workloads/fifo.h"

/* ---- Completions and events ------------------------------------------------------------
 */

enum { RNIC_EQS = 64 };

struct rnic_cq {
    bool valid, armed, failed;
    uint64_t base;
    uint32_t entries, produced, eq;
    uint32_t taken; /* As far as the NIC has been told. */
};

struct rnic_eq {
    struct rnic_eq *next; /* In interrupts. */
    bool valid, armed, in_turn;
    uint64_t base, message_address;
    uint32_t entries, produced, taken, message_data;
};

#define FIFO_NAME rnic_eq_fifo
#define FIFO_ITEM struct rnic_eq
#define FIFO_LINK next
#include "workloads/fifo.h"

struct rnic_cqe {
    uint32_t cq;
    uint64_t flow; /* Of what is completed, for who draws a timeline. */
    struct rdma_cqe entry;
};
#define RING_NAME rnic_cqe_ring
#define RING_ITEM struct rnic_cqe
#include "sim/base/ring.h"

struct rnic_eqe {
    uint32_t eq;
    struct rdma_eqe entry;
};
#define RING_NAME rnic_eqe_ring
#define RING_ITEM struct rnic_eqe
#include "sim/base/ring.h"

struct rnic_table {
    uint64_t iova;
    struct rdma_mpt entry;
};
#define RING_NAME rnic_table_ring
#define RING_ITEM struct rnic_table
#include "sim/base/ring.h"

/* ---- Packets ---------------------------------------------------------------------------
 */

/* A packet that is being made: its data gathered. */
struct rnic_tx {
    struct rnic_tx *next;
    struct rnic_qp *qp;
    struct rdma_packet packet;
    struct rnic_cursor cursor; /* Of a request; an answer gathers from one piece: */
    struct rdma_sge piece;
    bool is_answer, dead, faulted, ends; /* ends: the last packet of its work. */
    uint32_t index;                      /* Of the request, or of the answer. */
    uint32_t asked;                      /* Bytes that reads were submitted for. */
    uint32_t reads_out;
};

#define FIFO_NAME rnic_tx_fifo
#define FIFO_ITEM struct rnic_tx
#define FIFO_LINK next
#include "workloads/fifo.h"

enum rnic_rx_step {
    RNIC_RX_BEGIN,  /* Whether it is expected, and where it goes. */
    RNIC_RX_LOOK,   /* Its addresses are looked up. */
    RNIC_RX_COMMIT, /* Its transactions are submitted. */
    RNIC_RX_VALUE,  /* An atomic's old value is on its way, */
    RNIC_RX_CHANGE, /* is there. */
    RNIC_RX_FINISH, /* It is answered. */
    RNIC_RX_DONE,   /* But for the credits of its writes. */
};

/* A packet that was received. */
struct rnic_rx {
    struct rnic_rx *next;
    struct rnic_qp *qp;
    uint16_t slot; /* On the wire. */
    uint8_t step;
    bool again;    /* It has been carried out before. */
    bool to_local; /* It goes into memory that its receiver named. */
    uint32_t rights, bytes;
    uint32_t looked, submitted, writes_out;
    struct rnic_cursor cursor;
    struct rdma_sge sge[RDMA_WQE_BYTES / RDMA_SGE_BYTES];
    uint32_t sges, offset; /* Where in them it begins. */
    struct rnic_wqe *wqe;  /* That asked for it. */
    uint32_t index;        /* Of that. */
    uint64_t iova;         /* Of an atomic's operand; */
    bool faulted;          /* it could not be read. */
    uint64_t value;        /* An atomic's: old, then new. */
    uint64_t old;
};

#define FIFO_NAME rnic_rx_fifo
#define FIFO_ITEM struct rnic_rx
#define FIFO_LINK next
#include "workloads/fifo.h"

/* ---- Commands and faults ----------------------------------------------------------------
 */

enum rnic_command_step {
    RNIC_COMMAND_IDLE,
    RNIC_COMMAND_READ,    /* The mailbox is to be read, */
    RNIC_COMMAND_READING, /* is being read, */
    RNIC_COMMAND_WORK,    /* takes its time, */
    RNIC_COMMAND_DRAIN,   /* waits for what is under way, */
    RNIC_COMMAND_ANSWER,  /* is to be answered. */
};

struct rnic_command {
    uint8_t step;
    uint64_t mailbox;
    sim_time_t due;
    uint64_t serial;    /* Drain: reads of data up to this one. */
    struct rnic_qp *qp; /* Drain: what is destroyed. */
    struct rnic_rq *rq;
    uint32_t error;
    uint64_t word[RDMA_MAILBOX_WORDS];
};

/* A page that software was asked for. */
struct rnic_fault {
    uint32_t key;
    uint64_t first, last;
};
struct rnic_fault_list {
    uint32_t count;
    struct rnic_fault item[RDMA_FAULTS_MAX];
};

#endif
