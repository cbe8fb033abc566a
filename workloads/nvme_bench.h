/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_bench - what the tests of the NVMe controller put it on.
 *
 * Behind its port a memory of fixed latency that writes down every transaction and can be
 * made to stall, to answer reads out of order, to fault, or to return garbage. In front of
 * it a host that is not a CPU: it writes registers and queues in no time at all.
 */
#ifndef WORKLOADS_NVME_BENCH_H
#define WORKLOADS_NVME_BENCH_H

#include "sim/base/memory.h"
#include "workloads/nvme_ctrl.h"

enum {
    BENCH_PENDING_MAX = 16384,
    BENCH_RECORDS_MAX = 65536,
    BENCH_FAULTS_MAX  = 8,
    BENCH_QUEUES      = 9, /* The admin queue and eight more. */
    BENCH_VECTORS     = 16,
    BENCH_MESSAGE     = 0x4000, /* Vector v sends this + v. */
};

/* Where things are. Queue q is that many strides behind the first. */
#define BENCH_SQ     UINT64_C(0x10000000)
#define BENCH_CQ     UINT64_C(0x20000000)
#define BENCH_STRIDE UINT64_C(0x00400000)
#define BENCH_LISTS  UINT64_C(0x40000000)
#define BENCH_DATA   UINT64_C(0x80000000)
#define BENCH_MSI    UINT64_C(0xfee00000)

struct bench_record {
    sim_time_t time;
    uint64_t iova;
    uint32_t bytes, kind, tag;
};

struct bench_pending {
    struct port_request request;
    sim_time_t submitted, due;
    uint64_t number;
};

struct bench_fault {
    enum port_kind kind;
    uint64_t start, last;
};

struct bench_queue {
    uint32_t entries, cq_entries, tail, head, phase;
    uint16_t sq_head; /* As the last completion reported it. */
};

struct bench {
    struct direct_host *host;
    struct engine engine;
    struct memory memory;
    struct nvme_config config;
    struct nvme_ctrl n;
    sim_time_t *probe_due;
    uint64_t seed;
    uint16_t next_cid;
    struct bench_queue queue[BENCH_QUEUES];

    /* The fake port. */
    struct port port;
    uint64_t latency_ps[2]; /* By enum port_kind; read bytes cost nothing. */
    uint32_t room[2];       /* Transactions in flight before it is not ready. */
    bool closed[2];
    uint32_t reorder_ps;   /* Most that chance adds to a read. */
    uint32_t fault_one_in; /* Chance faults that often; 0: never. */
    bool garbage;          /* Reads return chance. */
    struct rng chance;
    struct bench_fault fault[BENCH_FAULTS_MAX];
    unsigned faults;
    uint32_t in_flight[2], most_in_flight[2], pending_count;
    uint64_t submitted;
    struct bench_pending pending[BENCH_PENDING_MAX];
    uint32_t records, messages[BENCH_VECTORS];
    struct bench_record record[BENCH_RECORDS_MAX];
};

/* A bench with default parameters to change; _start makes the controller. */
struct bench *bench_new(void);
void bench_start(struct bench *b);

/* Expects that the controller's audit finds nothing. */
void bench_free(struct bench *b);

/* Runs until nothing is due, or up to and including a time. */
void bench_run(struct bench *b);
void bench_run_until(struct bench *b, sim_time_t time);

void bench_write32(struct bench *b, uint32_t offset, uint32_t value);
void bench_write64(struct bench *b, uint32_t offset, uint64_t value);
uint32_t bench_read32(struct bench *b, uint32_t offset);

/* _start, vectors unmasked, admin queues of so many entries, enabled and ready. */
void bench_bring_up(struct bench *b, uint32_t admin_entries);

/* And I/O queue pairs 1 .. count of so many entries, each with the vector of its number. */
struct bench *bench_with_queues(uint32_t count, uint32_t entries);
void bench_make_queues(struct bench *b, uint32_t count, uint32_t entries);

/* Puts an entry into a queue (and gives it a command id); _ring tells the controller. */
void bench_put(struct bench *b, uint32_t queue, const struct nvme_sqe *sqe);
void bench_ring(struct bench *b, uint32_t queue);

/* The next completion, if it is there; _done tells the controller. */
bool bench_get(struct bench *b, uint32_t queue, struct nvme_cqe *cqe);
void bench_done(struct bench *b, uint32_t queue);

/* Puts, rings, runs and gets one; the completion's status without phase. */
uint32_t bench_execute(struct bench *b, uint32_t queue, const struct nvme_sqe *sqe);
uint32_t bench_execute_for(struct bench *b, uint32_t queue, const struct nvme_sqe *sqe,
                           uint32_t *result);

/* A read or write of so many bytes at a block, with PRP entries still to set. */
struct nvme_sqe bench_io(uint8_t opcode, uint64_t block, uint32_t bytes);

/* A transfer to pages of BENCH_DATA, the first at an offset, by PRPs; a list begins at an
 * offset in its page and goes on in pages two further. */
struct nvme_sqe bench_prp_io(struct bench *b, uint8_t opcode, uint32_t bytes,
                             uint32_t offset, uint32_t list_offset);

/* Page i of BENCH_DATA: its pages are not neighbours. */
uint64_t bench_page(uint32_t i);

/* Whether transactions of a kind covered exactly these bytes, in order, without gap. */
bool bench_covered(const struct bench *b, enum port_kind kind, uint64_t iova,
                   uint32_t bytes);
/* Bytes and transactions of a kind in a range. */
uint64_t bench_bytes(const struct bench *b, enum port_kind kind, uint64_t start,
                     uint64_t last);
uint32_t bench_count(const struct bench *b, enum port_kind kind, uint64_t start,
                     uint64_t last);
void bench_forget(struct bench *b);

void bench_fault_on(struct bench *b, enum port_kind kind, uint64_t start, uint64_t last);

#endif
