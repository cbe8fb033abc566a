/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_plan - from records of an RDMA trace to steps of the CPUs' programs; for the files
 * of the replay only.
 */
#ifndef WORKLOADS_RDMA_PLAN_H
#define WORKLOADS_RDMA_PLAN_H

#include "workloads/rdma_replay.h"

enum { RDMA_BUCKETS = 4096, RDMA_STEPS_MAX = 16 };

/* In the low bits of a work request's context. */
enum { RDMA_TAG_FLIGHT, RDMA_TAG_REGISTERED, RDMA_TAG_INVALIDATED };

/* The newest message of a connection. */
struct rdma_turn_before {
    const struct rdma_end *end; /* That it is from; NULL: there was none. */
    enum trace_op op;
    uint64_t address, bytes; /* Where it goes. */
};

/* One end of a connection. */
struct rdma_end {
    struct rdma_end *next, *bucket_next;
    struct rdma_end *peer;
    struct rdma_replay_host *host;
    uint32_t device, number; /* As recorded; 0: not known. */
    struct verbs_qp *qp;
    bool connected;
    struct rdma_replay_cpu *cpu; /* Whose completion queue it has. */
    /* Receives: planned, posted, completed; those to post, in order. */
    uint64_t receives, receives_posted, receives_done, sends_posted;
    struct rdma_flight *receive_first, *receive_last;
    struct rdma_end *next_receiving;
    bool receiving; /* It is in its CPU's list. */
    /* Where messages take turns: the newest that was planned on the connection, the newest
     * that this end knows to be over or has seen arrive, and when it posted its last. */
    uint64_t turn, turn_seen;
    struct rdma_turn_before turn_before;
    sim_time_t turn_posted_at;
    struct rdma_region *buffer; /* For what the trace does not know. */
    uint64_t buffer_address, buffer_bytes, buffer_next;
};

/* A key of the trace, or (not known) memory that was accessed under it. */
struct rdma_key {
    struct rdma_key *bucket_next;
    uint32_t key;
    unsigned host; /* Where it is, when not known. */
    bool known, fast;
    uint32_t cpu;
    uint64_t address, bytes;
    struct rdma_region *region[RDMA_HOSTS_MAX];
};

struct rdma_region {
    struct rdma_region *next, *next_release;
    struct rdma_replay_host *host;
    struct rdma_replay_cpu *cpu; /* That registers and releases it. */
    struct rdma_end *end;        /* Whose queue its work requests go to. */
    uint64_t address, bytes;
    struct verbs_mr *mr;
    uint32_t users;
    bool fast, once, posted, ready, leaving;
};

struct rdma_place {
    struct rdma_end *end;
    struct rdma_region *region;
    uint64_t address;
};

/* A message. */
struct rdma_flight {
    struct rdma_flight *next, *next_receive;
    struct rdma_replay_cpu *cpu;
    enum trace_op op;
    uint64_t index; /* Of its record. */
    uint64_t bytes;
    struct rdma_place local, remote; /* remote of a send: where it is received. */
    uint64_t receive_number;         /* Receives that the peer has to have posted. */
    uint32_t depth;
    unsigned parts;
    /* Its turn on the connection, from 1 on; 0: messages do not take turns. Where the one
     * before is the peer's write, this is where its last byte comes to lie; else 0. */
    uint64_t turn, watched;
    sim_time_t posted_at;
    bool begun, done, failed, reaped;
};

/* ---- rdma_turns.c: messages that take turns ---- */

/* Gives the message its turn. */
void rdma_turn_plan(struct rdma_replay *r, struct rdma_flight *f);
/* The last byte of a message that takes turns says which one it is: software that waits for
 * a write looks at it again and again. */
uint8_t rdma_turn_mark(const struct rdma_flight *f);
void rdma_turn_write_mark(struct rdma_replay_cpu *c, const struct rdma_flight *f);
/* Whether it is this message's turn: looks into memory where that tells. */
bool rdma_turn_has_come(struct rdma_replay_cpu *c, const struct rdma_flight *f);
/* The end has seen that this turn is over, or (arrived) its message come. */
void rdma_turn_over(struct rdma_replay *r, struct rdma_end *e, uint64_t turn, bool arrived);
/* Its data, when that is so little that it is put into the work request: fills data and is
 * true. */
bool rdma_turn_inline(struct rdma_replay_cpu *c, const struct rdma_flight *f, void *data);

/* Reads a record and plans it; room for RDMA_STEPS_MAX steps in every ring, and a flight,
 * are there. False: there is none any more, or (replay.broken) it is wrong. */
bool rdma_plan_read(struct rdma_replay *r);
void rdma_plan_free(struct rdma_replay *r);

/* How many receives the end may have posted. */
static inline uint64_t rdma_receives_most(const struct rdma_end *e)
{
    const struct rdma_replay *r = e->host->replay;
    const uint32_t ring         = e->host->verbs->config.queue_entries;
    return r->config.receives_ahead < ring ? r->config.receives_ahead : ring;
}
static inline bool rdma_receives_full(const struct rdma_end *e)
{
    return e->receives_posted - e->receives_done >= rdma_receives_most(e);
}
/* The end may have receives to post now: its CPU is to look. */
void rdma_plan_receiving(struct rdma_end *e);

/* A region for registration by work request, of so many bytes; kept for reuse. NULL and
 * *error, as of verbs_alloc_mr: there is no more room for one. */
struct verbs_mr *rdma_plan_take_mr(struct rdma_replay_host *h, uint64_t bytes, int *error);
void rdma_plan_free_mrs(struct rdma_replay_host *h);
/* The invalidation of a region has completed. */
void rdma_plan_invalidated(struct rdma_replay *r, struct rdma_region *region);
/* The region is gone. */
void rdma_plan_released(struct rdma_replay *r, struct rdma_region *region);

#endif
