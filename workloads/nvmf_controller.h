/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_controller - what a target's controller answers to Fabrics and admin commands, in
 * the shape of drivers/nvme/target/fabrics-cmd.c and admin-cmd.c: its properties, whose
 * queues are connected, and the structures and logs that a host reads at its start.
 *
 * It knows commands and bytes, and nothing of how they travel.
 *
 * Inaccuracies: one controller of one namespace for one host, without authentication.
 * Nobody watches whether Keep Alive comes in time. The host is told of no asynchronous
 * event.
 */
#ifndef WORKLOADS_NVMF_CONTROLLER_H
#define WORKLOADS_NVMF_CONTROLLER_H

#include "sim/base/engine.h"
#include "workloads/nvmf.h"

struct nvmf_controller {
    uint32_t entries; /* Of an I/O queue. */
    uint32_t queues;  /* I/O queues that there are. */
    uint32_t inline_bytes, max_bytes;
    uint64_t blocks; /* Of the namespace. */
    unsigned block_lg2;

    uint32_t cc, csts, keep_alive_ms;
    bool connected[1 + ENGINE_CPUS_MAX]; /* By queue id; 0: the admin queue. */
};

/* An answer's data: bytes of it are set, what follows is zero. */
struct nvmf_answer {
    uint64_t result; /* Dwords 0 and 1 of the completion. */
    uint32_t bytes;
    uint8_t data[NVMF_ANA_BYTES];
};

void nvmf_controller_init(struct nvmf_controller *c, const struct nvmf_config *config,
                          unsigned queues, uint64_t blocks, unsigned block_lg2);

/* Whether the queue may have I/O commands carried out: 0 or the status. */
uint16_t nvmf_controller_admits(const struct nvmf_controller *c, unsigned queue);

/* A Fabrics command of any queue, or an admin command, with the data that came with it. The
 * answer (data of at most room bytes), and the status. An Asynchronous Event Request is not
 * for here: it has no answer. */
uint16_t nvmf_controller_execute(struct nvmf_controller *c, unsigned queue,
                                 const struct nvme_sqe *sqe, const void *data,
                                 uint32_t bytes, uint32_t room, struct nvmf_answer *answer);

#endif
