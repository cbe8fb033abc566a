/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_core - what the files of the NVMe controller ask of each other.
 */
#ifndef WORKLOADS_NVME_CORE_H
#define WORKLOADS_NVME_CORE_H

#include "sim/base/lg2.h"
#include "workloads/nvme_ctrl.h"

static inline uint32_t nvme_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Of the namespace, in its own format. */
static inline uint64_t nvme_blocks(const struct nvme_ctrl *n)
{
    return n->config.blocks / (n->config.block_bytes >> NVME_SECTOR_LG2);
}

/* Whether the metadata pointer may be that of an SGL segment. */
static inline bool nvme_metadata_sgl(const struct nvme_ctrl *n)
{
    return n->config.sgl && n->config.metadata_sgl && n->config.metadata_bytes > 0;
}

/* ---- nvme_ctrl.c: states and transactions -------------------------------------------- */

void nvme_enable(struct nvme_ctrl *n, sim_time_t now);
void nvme_disable(struct nvme_ctrl *n, sim_time_t now);
void nvme_shut_down(struct nvme_ctrl *n, sim_time_t now);

/* CSTS.CFS: nothing more is done until a reset. */
void nvme_fail(struct nvme_ctrl *n);

/* Has the controller stepped at now: a register was written. */
static inline void nvme_kick(struct nvme_ctrl *n, sim_time_t now)
{
    *n->due = time_min(*n->due, now);
}

/* A free transaction to fill in, and its submission. The port must be ready. */
struct nvme_tx *nvme_tx_take(struct nvme_ctrl *n, enum nvme_tx_kind kind);
void nvme_tx_submit(struct nvme_ctrl *n, struct nvme_tx *tx, uint64_t iova, uint32_t bytes,
                    void *data, sim_time_t now);

/* ---- nvme_queue.c: submission and completion queues ---------------------------------- */

void nvme_doorbell_write(struct nvme_ctrl *n, uint32_t index, uint32_t value,
                         sim_time_t now);

void nvme_sq_create(struct nvme_ctrl *n, uint32_t id, struct nvme_cq *cq, uint64_t iova,
                    uint32_t entries);
void nvme_cq_create(struct nvme_ctrl *n, uint32_t id, uint64_t iova, uint32_t entries);

/* Completes deleter once the queue's last command is through. */
void nvme_sq_delete(struct nvme_ctrl *n, struct nvme_sq *sq, struct nvme_command *deleter);

bool nvme_fetch_wanted(struct nvme_ctrl *n);
void nvme_fetch_send(struct nvme_ctrl *n, sim_time_t now);
void nvme_fetch_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                        sim_time_t now);

/* Queues the command's completion. */
void nvme_cq_enqueue(struct nvme_ctrl *n, struct nvme_command *c);
void nvme_cq_send(struct nvme_ctrl *n, sim_time_t now);

/* ---- nvme_msix.c: interrupts --------------------------------------------------------- */

/* A completion for the vector; direct when it is never to be coalesced. */
void nvme_interrupt_note(struct nvme_ctrl *n, uint32_t vector, bool direct, sim_time_t now);
void nvme_interrupt_expire(struct nvme_ctrl *n, uint32_t vector);
/* Software has taken completions of one of the vector's queues. */
void nvme_interrupt_taken(struct nvme_ctrl *n, uint32_t vector, sim_time_t now);
/* Completions that have been written and not taken. */
uint32_t nvme_cq_untaken(const struct nvme_cq *cq);
void nvme_interrupt_send(struct nvme_ctrl *n, sim_time_t now);
uint32_t nvme_msix_read(const struct nvme_ctrl *n, uint32_t offset);
void nvme_msix_write(struct nvme_ctrl *n, uint32_t offset, uint32_t value);

/* ---- nvme_command.c: the life of a command ------------------------------------------- */

/* Begins what an opcode asks for: returns a status, or that it will be completed later. */
enum { NVME_UNFINISHED = 0xffff };
typedef uint16_t nvme_run_fn(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now);
nvme_run_fn nvme_admin_run, nvme_identify_run;

void nvme_command_start(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now);

/* Ends the command with this status as soon as nothing of it is under way any more; the
 * first status stays. */
void nvme_command_fail(struct nvme_ctrl *n, struct nvme_command *c, uint16_t status);

/* Makes a free slot of it; what it owns stays. */
void nvme_command_reset(struct nvme_command *c, uint32_t serial);

/* Ends the command if it has done all it had to. */
void nvme_command_settle(struct nvme_ctrl *n, struct nvme_command *c);
void nvme_command_finish(struct nvme_ctrl *n, struct nvme_command *c);

/* Starts the next identify command when the buffer is free. */
bool nvme_identify_pump(struct nvme_ctrl *n);

/* ---- nvme_list.c: PRP and SGL -------------------------------------------------------- */

/* Sets the first extent of a transfer whose bytes are set, or returns a status; so does
 * _advance for a later one, as far as the list has arrived. */
uint16_t nvme_list_start(const struct nvme_ctrl *n, struct nvme_transfer *t);
uint16_t nvme_list_advance(const struct nvme_ctrl *n, struct nvme_transfer *t);

/* Whether a piece of the list should be read now. */
bool nvme_list_hungry(const struct nvme_transfer *t);
void nvme_list_send(struct nvme_ctrl *n, sim_time_t now);
/* Takes over what has been read. */
void nvme_list_feed(struct nvme_list *l, uint32_t bytes);

/* ---- nvme_data.c: moving data -------------------------------------------------------- */

/* Begins to move a command's data, and as many bytes of metadata: 0, there are none. */
uint16_t nvme_data_start(struct nvme_ctrl *n, struct nvme_command *c, enum nvme_flow flow,
                         uint32_t bytes, uint32_t metadata_bytes);

/* Takes the transfer up again after something of it has arrived. */
void nvme_data_wake(struct nvme_ctrl *n, struct nvme_transfer *t);
void nvme_data_send(struct nvme_ctrl *n, enum nvme_flow flow, sim_time_t now);
void nvme_list_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault, sim_time_t now);
void nvme_data_read_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                            sim_time_t now);
void nvme_data_written_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                               sim_time_t now);

/* ---- nvme_medium.c: service times ---------------------------------------------------- */

/* Reads or writes that many bytes; 0 for a command that only takes a write's time. */
void nvme_medium_start(struct nvme_ctrl *n, struct nvme_command *c, uint32_t bytes,
                       sim_time_t now);
void nvme_medium_expire(struct nvme_ctrl *n, uint32_t channel, sim_time_t now);

#endif
