/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_host - the host's side of NVMe over RDMA, shaped like drivers/nvme/host/rdma.c.
 *
 * A queue pair for each CPU, and one for admin commands. For each request its capsule is
 * mapped, and its data: a small write's goes with the capsule, other memory is registered
 * by a work request in front of the send. A request is over when its capsule was sent, its
 * response is there, and its region invalidated, by the target or by a work request; then
 * all of it is unmapped.
 *
 * nvmf_start.c makes of connected queue pairs a controller that is ready, with the commands
 * that Linux's host sends, keeps it alive, and shuts it down.
 *
 * Inaccuracies: queue pairs find each other without discovery and without messages of the
 * connection manager. No partitions are looked for. Nothing is tried again when a command
 * of the start or a Keep Alive fails. Completions are handled in the interrupt, Linux's in
 * a softirq behind it; Keep Alive is sent in the timer's, Linux's by a worker.
 */
#ifndef WORKLOADS_NVMF_HOST_H
#define WORKLOADS_NVMF_HOST_H

#include "workloads/nvmf.h"

struct nvmf_host_queue;

struct nvmf_request {
    struct nvmf_host_queue *queue;
    struct nvmf_request *next; /* In the free list. */
    struct nvme_io io;
    struct nvme_sqe sqe;
    bool admin;       /* An admin or Fabrics command: io has its memory and who is told. */
    uint64_t *result; /* Whose answer comes here; may be NULL. */
    struct nvmf_buffer capsule;
    struct blk_mapping mapping;
    uint32_t room;             /* Segments that the mapping has memory for. */
    uint32_t bytes;            /* That the capsule names. */
    struct blk_segment ranges; /* Of a discard: the page that they are in. */
    struct verbs_mr *mr;       /* NULL: no region is in use. */
    unsigned left;             /* Completions that have to come. */
    uint16_t cid, status;
    bool busy;
};

struct nvmf_host_queue {
    struct nvmf_host *host;
    unsigned id, cpu; /* 0: the admin queue; its CPU is 0, that of the others id - 1. */
    uint32_t entries, inline_bytes;
    struct verbs_cq *cq;
    struct verbs_qp *qp;
    struct nvmf_request *request, *free;
    struct nvmf_buffer *response; /* As many as requests. */
    struct verbs_mr *regions;     /* That are free. */
    uint16_t failed;              /* enum rdma_status of what ended the queue. */
};

struct nvmf_host {
    struct verbs_device *verbs;
    struct device *dev;
    struct kernel *kernel;
    struct nvmf_config config;
    struct blk_config blk;
    enum blk_api api;
    uint32_t pd;
    struct nvme_limits limits;
    uint64_t blocks; /* Of the target's namespace, of 512 bytes. */
    struct nvmf_host_queue admin, queue[ENGINE_CPUS_MAX];
    unsigned queues;
    bool has_admin, ready;
    struct nvmf_request *event; /* The Asynchronous Event Request, which nothing answers. */
    struct cpu_timer keep_alive;
    bool keeping_alive; /* One is under way. */
    struct nvmf_stats stats;
};

/* Queues for all CPUs, buffers and regions; on CPU 0. False with one line. */
bool nvmf_host_probe(struct nvmf_host *h, struct verbs_device *verbs,
                     const struct nvmf_config *config, const struct blk_config *blk,
                     struct error *error);
/* What a queue's connection request tells the target; queue 0 is the admin queue. */
struct nvmf_private_data nvmf_host_private_data(const struct nvmf_host *h, unsigned queue);
/* The target's queue pairs are there, on that NIC: qp[0] of the admin queue, then those of
 * the others. */
bool nvmf_host_connect(struct nvmf_host *h, unsigned nic, const uint32_t *qp,
                       struct error *error);
/* On CPU 0, while the target's programs run: from connected queue pairs to a controller
 * that is ready, whose namespace and limits are known. False with one line. */
bool nvmf_host_start(struct nvmf_host *h, struct error *error);
/* Likewise, when every request has been completed; nothing where a queue has failed. */
void nvmf_host_stop(struct nvmf_host *h);
void nvmf_host_remove(struct nvmf_host *h);

/* An admin or Fabrics command (all but its id and descriptor), with a piece of memory or
 * none (NULL). done is told in the interrupt of the queue's CPU, when *result is there.
 * 0, -EBUSY, -ENOMEM or -EIO. */
int nvmf_host_command(struct nvmf_host_queue *q, const struct nvme_sqe *sqe,
                      const struct blk_segment *data, uint64_t *result,
                      void (*done)(void *arg, uint16_t status), void *arg);
/* The one command that stays under way until the queue goes. */
int nvmf_host_await_event(struct nvmf_host *h);

/* As nvme_driver_submit. */
int nvmf_host_submit(struct nvmf_host *h, const struct nvme_io *io);

#endif
