/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_target - the target's side of NVMe over RDMA, shaped like drivers/nvme/target/rdma.c
 * over a local NVMe drive.
 *
 * A queue pair for each CPU, whose program is the work queue that completions are handled
 * in, and one for admin commands on CPU 0, which nvmf_controller.h answers. Buffers of
 * capsules, responses and the data of small writes are mapped once. Other data goes through
 * pages that are allocated for each command and mapped for the NIC while it reads or writes
 * the host's memory (rdma_rw.h where the API is iova), and then, by the drive's own driver,
 * for the drive.
 *
 * Inaccuracies: a drive's completion is handled in the work queue, Linux's in the
 * interrupt. Shared receive queues are not used (Linux's default).
 */
#ifndef WORKLOADS_NVMF_TARGET_H
#define WORKLOADS_NVMF_TARGET_H

#include "workloads/nvmf_controller.h"
#include "workloads/rdma_rw.h"

struct nvmf_target_queue;

/* A receive: a capsule's buffer and pages for what may come with it. */
struct nvmf_receive {
    struct nvmf_buffer capsule;
    struct nvmf_buffer page[NVMF_INLINE_PAGES];
};

enum nvmf_step {
    NVMF_TAKEN,    /* The capsule is here, */
    NVMF_FETCHED,  /* its data is, too, */
    NVMF_EXECUTED, /* the drive has done its part, */
    NVMF_SENT,     /* the response has gone. */
};

/* A command under way. */
struct nvmf_command {
    struct nvmf_target_queue *queue;
    struct nvmf_command
        *next; /* In the free list, or in a list of those to be worked on. */
    struct nvmf_receive *receive;
    struct nvme_sqe sqe;
    struct nvmf_buffer response;
    uint8_t step;
    bool keyed,
        mapped; /* Its data is at the host, under this key; is mapped for the NIC. */
    bool gives; /* The key goes back with the response. */
    sim_time_t waits_since; /* For memory; 0: it does not. */
    uint16_t status;
    uint64_t result;
    uint32_t key, bytes;
    uint64_t address;
    struct blk_segment *segment; /* Of its data, here: NVMF_PAGES_MAX of them. */
    uint32_t segments;
    uint32_t at_segment, begun; /* Segments (or ranges) and bytes the drive was given. */
    uint32_t pieces;            /* Of them, that it has not done. */
    struct blk_mapping mapping;
    struct rdma_rw_ctx rw;
    struct bio_vec *bvec;
    bool by_rw;
};

#define FIFO_NAME nvmf_command_fifo
#define FIFO_ITEM struct nvmf_command
#define FIFO_LINK next
#include "workloads/fifo.h"

struct nvmf_target;
struct nvmf_target_queue {
    struct nvmf_target *target;
    unsigned id, cpu; /* 0: the admin queue; its CPU is 0, that of the others id - 1. */
    uint32_t entries, inline_pages;
    struct verbs_cq *cq;
    struct verbs_qp *qp;
    struct nvmf_receive *receive;
    struct nvmf_command *command, *free;
    struct nvmf_command_fifo ready, waiting; /* Waiting: for room or memory. */
    uint32_t busy;
    bool freed; /* Something completed or was unmapped: those that wait may try again. */
    bool failed;
    struct rdma_sge *sge; /* Of the work requests of one response. */
    struct verbs_wr *wr;
};

struct nvmf_target {
    struct verbs_device *verbs;
    struct device *dev;
    struct kernel *kernel;
    struct nvme_driver *drive;
    struct nvmf_config config;
    struct blk_config blk;
    enum blk_api api;
    uint32_t pd;
    struct nvmf_target_queue admin, queue[ENGINE_CPUS_MAX];
    unsigned queues;
    bool has_admin;
    struct nvmf_controller controller;
    struct nvmf_answer answer[2]; /* Of the admin queue's command, and of any other's. */
    bool over;                    /* The hosts have no more requests. */
    sim_time_t freed_at;          /* Something was last given back, on any CPU. */
    struct nvmf_stats stats;
};

/* Queues for all CPUs and their buffers; on CPU 0. False with one line. */
bool nvmf_target_probe(struct nvmf_target *t, struct verbs_device *verbs,
                       struct nvme_driver *drive, const struct nvmf_config *config,
                       const struct blk_config *blk, struct error *error);
/* The queues with those queue pairs of that NIC, as their connection requests (wants) say:
 * the admin queue's is the first. False where one cannot be had. */
bool nvmf_target_connect(struct nvmf_target *t, unsigned nic, const uint32_t *qp,
                         const struct nvmf_private_data *wants, struct error *error);
/* Every command has been answered. */
void nvmf_target_remove(struct nvmf_target *t);

/* The program of the running CPU: returns after nvmf_target_end, when all is answered. It
 * may be run again after nvmf_target_again, once all CPUs have returned. */
void nvmf_target_run(struct nvmf_target *t);
void nvmf_target_end(struct nvmf_target *t);
void nvmf_target_again(struct nvmf_target *t);

#endif
