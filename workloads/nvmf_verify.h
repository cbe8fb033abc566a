/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_verify - between a replay and a disk whose data has contents: fills what is written
 * with bytes of its own, compares what is read with what was written there last (zeroes:
 * nothing was), and the medium at the end.
 *
 * Requests that use the same blocks or the same memory at the same time, and do not only
 * read blocks, are not compared, and what they wrote is not known from then on.
 */
#ifndef WORKLOADS_NVMF_VERIFY_H
#define WORKLOADS_NVMF_VERIFY_H

#include "workloads/nvmf.h"
#include "workloads/replay.h"

struct nvmf_flight;

struct nvmf_verify {
    struct memory *memory; /* That requests' segments lie in. */
    struct replay_disk below;
    struct nvmf_stats *stats;
    struct nvmf_flight *flying, *spare;
    uint64_t *lba, *id; /* Of written blocks: open addressing by the block plus 1. */
    uint64_t room, used, ids;
};

void nvmf_verify_init(struct nvmf_verify *v, struct memory *memory,
                      const struct replay_disk *below, struct nvmf_stats *stats);
void nvmf_verify_free(struct nvmf_verify *v);

/* As struct replay_disk's; self is the struct nvmf_verify. */
int nvmf_verify_submit(void *self, const struct nvme_io *io);

/* Compares the medium, from block 0 on, with all that was written. */
void nvmf_verify_medium(struct nvmf_verify *v, const uint8_t *medium);

#endif
