/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_core - what the files of the RDMA NIC ask of each other.
 */
#ifndef WORKLOADS_RDMA_CORE_H
#define WORKLOADS_RDMA_CORE_H

#include "sim/base/lg2.h"
#include "workloads/rdma_nic.h"

enum { RNIC_PSN_MASK = 0xffffff };

static inline uint32_t rnic_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}
static inline uint64_t rnic_min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint32_t rnic_psn(uint32_t psn, uint32_t more)
{
    return (psn + more) & RNIC_PSN_MASK;
}
/* How far b is behind a; more than half of all numbers: it is in front. */
static inline uint32_t rnic_psn_distance(uint32_t a, uint32_t b)
{
    return (b - a) & RNIC_PSN_MASK;
}
static inline bool rnic_psn_before(uint32_t a, uint32_t b)
{
    const uint32_t d = rnic_psn_distance(a, b);
    return d != 0 && d <= RNIC_PSN_MASK / 2;
}

/* ---- rdma_nic.c: transactions ----------------------------------------------------------
 */

static inline void rnic_kick(struct rdma_nic *n, sim_time_t now)
{
    *n->due = time_min(*n->due, now);
}
bool rnic_can_read(struct rdma_nic *n);
bool rnic_can_write(struct rdma_nic *n);
/* A free transaction to fill in, and its submission; can_read or can_write has said yes. */
struct rnic_io *rnic_io_take(struct rdma_nic *n, enum rnic_io_kind kind);
void rnic_io_submit(struct rdma_nic *n, struct rnic_io *io, uint64_t iova, uint32_t bytes,
                    void *data, sim_time_t now);
/* Whether a read of data with this serial or an earlier one is under way. */
bool rnic_reads_before(const struct rdma_nic *n, uint64_t serial);
/* Bytes from iova that one transaction of at most most bytes may have. */
uint32_t rnic_piece(uint64_t iova, uint64_t left, uint32_t most);

/* Timers of a queue pair. */
static inline uint32_t rnic_timer_again(const struct rnic_qp *q)
{
    return q->id;
}
static inline uint32_t rnic_timer_start(const struct rdma_nic *n, const struct rnic_qp *q)
{
    return n->config.qps + q->id;
}

/* ---- rdma_table.c: protection and translation -------------------------------------------
 */

struct rnic_access {
    uint32_t key, pd, qp, rights; /* rights: all of them are needed. */
    uint64_t address, bytes;      /* All of it has to be allowed; the first is looked up. */
    bool remote;
};
enum rnic_found {
    RNIC_FOUND,
    RNIC_WAITS,  /* For an entry that is read. */
    RNIC_DENIED, /* The access is not allowed. */
    RNIC_FAULTS, /* A page of an on-demand region is not there. */
};
/* *iova and *run: the DMA address of the first byte, and how many follow it. */
enum rnic_found rnic_translate(struct rdma_nic *n, const struct rnic_access *a,
                               uint64_t *iova, uint64_t *run);
/* The protection entry of a key, whatever it says. NULL: it is being read. */
struct rdma_mpt *rnic_mpt(struct rdma_nic *n, uint32_t key);
/* The entry has been changed: memory is told, too. */
void rnic_mpt_changed(struct rdma_nic *n, const struct rdma_mpt *mpt);
bool rnic_table_work(struct rdma_nic *n, sim_time_t now);
void rnic_fill_respond(struct rdma_nic *n, struct rnic_io *io, bool fault);
/* Drops what the caches hold of a key's entry, and of translation entries in memory. */
void rnic_forget_key(struct rdma_nic *n, uint32_t key);
void rnic_forget_pages(struct rdma_nic *n, uint64_t iova, uint64_t bytes);

/* Asks software for pages; once for each. */
void rnic_page_fault(struct rdma_nic *n, const struct rnic_access *a);
void rnic_faults_over(struct rdma_nic *n, uint32_t key, uint64_t first, uint64_t last);

/* ---- rdma_queue.c: entries in, completions and events out -------------------------------
 */

void rnic_doorbell(struct rdma_nic *n, uint32_t qp, uint32_t rung);
void rnic_taken_cq(struct rdma_nic *n, uint32_t cq, uint32_t taken);
void rnic_arm_cq(struct rdma_nic *n, uint32_t cq, uint32_t taken);
void rnic_arm_eq(struct rdma_nic *n, uint32_t eq, uint32_t taken);
bool rnic_queue_reads(struct rdma_nic *n, sim_time_t now);
bool rnic_queue_writes(struct rdma_nic *n, sim_time_t now);
void rnic_fetch_respond(struct rdma_nic *n, struct rnic_io *io, bool fault, sim_time_t now);
void rnic_receive_respond(struct rdma_nic *n, struct rnic_io *io, bool fault);
void rnic_record_respond(struct rdma_nic *n, struct rnic_io *io, bool fault);
void rnic_want_fetch(struct rdma_nic *n, struct rnic_qp *q);

/* The next receive entry: RNIC_FOUND, RNIC_WAITS, or RNIC_DENIED: there is none. */
enum rnic_found rnic_receive_take(struct rdma_nic *n, struct rnic_rq *rq,
                                  struct rnic_receive *receive);
/* Room for completions that something which is begun now may end with. */
bool rnic_completions_room(const struct rdma_nic *n);
/* flow: of what is completed. */
void rnic_complete(struct rdma_nic *n, uint32_t cq, uint64_t flow,
                   const struct rdma_cqe *entry);
void rnic_event(struct rdma_nic *n, uint32_t eq, const struct rdma_eqe *entry);

/* ---- rdma_send.c: the requester, and making packets
 * -------------------------------------- */

void rnic_want_send(struct rdma_nic *n, struct rnic_qp *q);
void rnic_want_answer(struct rdma_nic *n, struct rnic_qp *q);
bool rnic_send_work(struct rdma_nic *n, sim_time_t now);
sim_time_t rnic_send_due(struct rdma_nic *n, sim_time_t now);
void rnic_gather_respond(struct rdma_nic *n, struct rnic_io *io, bool fault);
void rnic_timer_expire(struct rdma_nic *n, uint32_t item, sim_time_t now);

static inline struct rnic_wqe *rnic_wqe_at(const struct rdma_nic *n,
                                           const struct rnic_qp *q, uint32_t index)
{
    return &q->wqe[index & (n->config.window - 1)];
}
bool rnic_is_read(uint8_t opcode);  /* Answered by data or a value. */
bool rnic_is_local(uint8_t opcode); /* Nothing is sent. */
struct rnic_cursor rnic_cursor_at(const struct rdma_sge *sge, uint32_t sges,
                                  uint64_t offset);
/* What the cursor points to; moving it on by bytes, at most as many as lie in the piece. */
struct rdma_sge rnic_cursor_piece(const struct rnic_cursor *c);
void rnic_cursor_move(struct rnic_cursor *c, uint32_t bytes);
const struct rdma_sge *rnic_wqe_sges(const struct rdma_wqe *w);

/* Everything before psn has arrived at the other end. */
void rnic_acknowledged(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn, sim_time_t now);
void rnic_refused(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn, uint8_t status,
                  sim_time_t now);
void rnic_not_ready(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn, sim_time_t now);
/* Sends again from there on. */
void rnic_go_back(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn);
/* Completes what is finished, in order. */
void rnic_settle(struct rdma_nic *n, struct rnic_qp *q, sim_time_t now);
/* The work request ends with this status, and with it the queue pair. */
void rnic_work_failed(struct rdma_nic *n, struct rnic_qp *q, uint32_t index, uint8_t status,
                      sim_time_t now);
void rnic_qp_fail(struct rdma_nic *n, struct rnic_qp *q);
bool rnic_flush_work(struct rdma_nic *n, sim_time_t now);
/* The work request whose packets this number is one of; NULL: none that is under way. */
struct rnic_wqe *rnic_wqe_of(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn,
                             uint32_t *index);

/* ---- rdma_receive.c: the responder
 * ------------------------------------------------------- */

bool rnic_receive_work(struct rdma_nic *n, sim_time_t now);
void rnic_scatter_respond(struct rdma_nic *n, struct rnic_io *io, sim_time_t now);
void rnic_atomic_respond(struct rdma_nic *n, struct rnic_io *io, bool fault);

/* ---- rdma_local.c: work that stays on the NIC
 * -------------------------------------------- */

bool rnic_local_work(struct rdma_nic *n, sim_time_t now);
void rnic_want_local(struct rdma_nic *n, struct rnic_qp *q);
/* A key that a peer gives back with a send: RNIC_FOUND, WAITS, DENIED. */
enum rnic_found rnic_invalidate(struct rdma_nic *n, const struct rnic_qp *q, uint32_t key,
                                bool remote);

/* ---- rdma_command.c
 * ---------------------------------------------------------------------- */

void rnic_command_begin(struct rdma_nic *n);
bool rnic_command_work(struct rdma_nic *n, sim_time_t now);
void rnic_mailbox_respond(struct rdma_nic *n, bool fault, sim_time_t now);

#endif
