/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_host - the host's side of NVMe over RDMA, shaped like drivers/nvme/host/rdma.c.
 *
 * A queue pair for each CPU. For each request its capsule is mapped, and its data: a small
 * write's goes with the capsule, other memory is registered by a work request in front of
 * the send. A request is over when its capsule was sent, its response is there, and its
 * region invalidated, by the target or by a work request; then all of it is unmapped.
 *
 * Inaccuracies: queues are connected without discovery, connect command, admin queue or
 * keep-alive. Completions are handled in the interrupt, Linux's in a softirq behind it.
 */
#ifndef WORKLOADS_NVMF_HOST_H
#define WORKLOADS_NVMF_HOST_H

#include "workloads/nvmf.h"

struct nvmf_host_queue;

struct nvmf_request {
    struct nvmf_host_queue *queue;
    struct nvmf_request *next; /* In the free list. */
    struct nvme_io io;
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
    unsigned cpu;
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
    struct nvmf_host_queue queue[ENGINE_CPUS_MAX];
    unsigned queues;
    struct nvmf_stats stats;
};

/* Queues for all CPUs, buffers and regions; on CPU 0. False with one line. */
bool nvmf_host_probe(struct nvmf_host *h, struct verbs_device *verbs,
                     const struct nvmf_config *config, const struct blk_config *blk,
                     struct error *error);
/* The target's queue pairs are there: as many, on that NIC. Its namespace has so many
 * times 512 bytes, in blocks of so many. */
bool nvmf_host_connect(struct nvmf_host *h, unsigned nic, const uint32_t *qp,
                       uint64_t blocks, uint32_t block_bytes, struct error *error);
/* Every request has been completed. */
void nvmf_host_remove(struct nvmf_host *h);

/* As nvme_driver_submit. */
int nvmf_host_submit(struct nvmf_host *h, const struct nvme_io *io);

#endif
