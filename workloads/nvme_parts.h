/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_parts - what an NVMe controller is made of, for the files of nvme_*.c only.
 */
#ifndef WORKLOADS_NVME_PARTS_H
#define WORKLOADS_NVME_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/simtime.h"
#include "workloads/nvme_spec.h"

struct nvme_sq;

/* ---- Commands ------------------------------------------------------------------------ */

enum nvme_flow {
    NVME_FLOW_TO_HOST,
    NVME_FLOW_FROM_HOST,
    NVME_FLOW_NONE,
};

/*
 * A walk along a PRP or SGL list: what lies in the buffer, and what of the present page or
 * segment is still in memory. An item is an entry or a descriptor.
 */
struct nvme_list {
    uint8_t *buffer;
    uint32_t start, end;   /* Of the bytes in the buffer that were not taken yet. */
    uint64_t iova;         /* Of the next byte to read, */
    uint64_t bytes_left;   /* and how many follow in this page or segment. */
    uint32_t items_left;   /* In this page or segment, those in the buffer included. */
    uint32_t entries_left; /* PRP: pages of data that no entry was taken for yet. */
    uint32_t descriptors;  /* SGL: taken so far. */
    bool chained;          /* The last item points to the next page or segment. */
    bool lone;             /* SGL: or, as there is but one, it may describe all. */
};

struct nvme_command;

/* What is moved between a command's memory and the controller: its data, or its metadata.
 */
struct nvme_transfer {
    struct nvme_transfer *next;      /* In mover. */
    struct nvme_transfer *list_next; /* In list_wanted. */
    struct nvme_command *command;
    bool sgl; /* Described by SGLs; else by PRPs or by one address. */
    bool in_mover, in_list, list_out;
    uint32_t bytes;   /* To move, */
    uint32_t mapped;  /* whose addresses are known, */
    uint32_t moved;   /* that were submitted to the port, */
    uint32_t arrived; /* that the controller has: from the medium or from memory. */
    uint32_t extent_bytes;
    uint64_t extent_iova; /* The next address. */
    struct nvme_list list;
};

struct nvme_command {
    struct nvme_command *next;        /* In decode, a completion queue, free, ... */
    struct nvme_command *medium_next; /* In medium_wait. */
    struct nvme_sq *sq;
    struct nvme_sqe sqe;
    sim_time_t start_at;
    uint32_t serial; /* Changes when the slot is freed, so that late responses miss it. */
    uint32_t result;
    uint16_t status;
    uint8_t flow; /* enum nvme_flow */
    bool done, in_medium, medium_done;
    uint8_t *payload;   /* Of the data; NULL: nobody looks at it. */
    uint32_t reads_out; /* Reads of data, metadata and lists in flight. */
    struct nvme_transfer data, metadata;

    uint32_t units_left, units_busy; /* To give to channels; at work in them. */
    uint32_t medium_bytes;           /* Of the former. */
};

#define FIFO_NAME nvme_command_fifo
#define FIFO_ITEM struct nvme_command
#define FIFO_LINK next
#include "workloads/fifo.h"

#define FIFO_NAME nvme_transfer_fifo
#define FIFO_ITEM struct nvme_transfer
#define FIFO_LINK next
#include "workloads/fifo.h"

#define FIFO_NAME nvme_list_fifo
#define FIFO_ITEM struct nvme_transfer
#define FIFO_LINK list_next
#include "workloads/fifo.h"

#define FIFO_NAME nvme_medium_fifo
#define FIFO_ITEM struct nvme_command
#define FIFO_LINK medium_next
#include "workloads/fifo.h"

/* ---- Queues -------------------------------------------------------------------------- */

/* One read of submission entries. */
struct nvme_fetch {
    struct nvme_fetch *next;
    struct nvme_sq *sq;
    struct nvme_sqe *entry;
    uint32_t count;
    bool arrived;
};

#define FIFO_NAME nvme_fetch_fifo
#define FIFO_ITEM struct nvme_fetch
#define FIFO_LINK next
#include "workloads/fifo.h"

struct nvme_sq {
    struct nvme_sq *next; /* In sq_turn. */
    struct nvme_cq *cq;
    uint64_t iova;
    uint32_t entries;
    uint32_t tail, asked, head;     /* Rung for; asked for by fetches; consumed. */
    uint32_t under_way;             /* Commands asked for and not yet completed. */
    struct nvme_fetch_fifo fetches; /* In flight; entries are consumed in order. */
    struct nvme_command *deleter;   /* The command that waits for the last of them. */
    uint16_t id;
    bool valid, in_turn;
};

struct nvme_cq {
    struct nvme_cq *next; /* In cq_turn. */
    uint64_t iova;
    uint32_t entries, tail, head, submission_queues;
    struct nvme_command_fifo done; /* Commands whose entries are to be written. */
    uint16_t id, vector;
    bool valid, interrupts, phase, in_turn;
};

#define FIFO_NAME nvme_sq_fifo
#define FIFO_ITEM struct nvme_sq
#define FIFO_LINK next
#include "workloads/fifo.h"

#define FIFO_NAME nvme_cq_fifo
#define FIFO_ITEM struct nvme_cq
#define FIFO_LINK next
#include "workloads/fifo.h"

/* ---- The rest ------------------------------------------------------------------------ */

struct nvme_vector {
    struct nvme_vector *next; /* In interrupts. */
    struct nvme_msix_entry entry;
    uint32_t waiting; /* Completions since the last interrupt. */
    bool in_turn, pending, direct;
};

#define FIFO_NAME nvme_vector_fifo
#define FIFO_ITEM struct nvme_vector
#define FIFO_LINK next
#include "workloads/fifo.h"

/* A parallel unit of the medium, and what it works on. */
struct nvme_channel {
    struct nvme_channel *next; /* In channel_free. */
    struct nvme_command *command;
    uint32_t bytes;
    bool to_transfer; /* Read, and not yet on the path to the controller. */
};

#define FIFO_NAME nvme_channel_fifo
#define FIFO_ITEM struct nvme_channel
#define FIFO_LINK next
#include "workloads/fifo.h"

enum nvme_tx_kind {
    NVME_TX_FETCH,
    NVME_TX_LIST,
    NVME_TX_DATA_READ,
    NVME_TX_DATA_WRITTEN,
    NVME_TX_COMPLETION,
    NVME_TX_INTERRUPT,
};

/* A memory transaction in flight; its index is the tag. */
struct nvme_tx {
    struct nvme_tx *next; /* In tx_free. */
    struct nvme_command *command;
    struct nvme_transfer *transfer; /* Of the command: whose data or list this is. */
    struct nvme_fetch *fetch;
    uint32_t serial, bytes; /* The command's serial when this was submitted. */
    uint8_t kind;
    bool busy, identify;
    union {
        struct nvme_cqe cqe;
        uint32_t message;
    } own; /* What small writes send. */
};

#define FIFO_NAME nvme_tx_fifo
#define FIFO_ITEM struct nvme_tx
#define FIFO_LINK next
#include "workloads/fifo.h"

/* Items of the heap of timers: these, then the vectors, then the channels. */
enum nvme_due {
    NVME_DUE_READY,
    NVME_DUE_SHUTDOWN,
    NVME_DUE_VECTORS,
};

#endif
