/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_frames - which frames the pages of a process lie in: given out at first use, and for
 * good.
 */
#ifndef WORKLOADS_RDMA_FRAMES_H
#define WORKLOADS_RDMA_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

struct rdma_frames {
    uint64_t *page, *frame; /* Open addressing by the page's number plus 1; 0: free. */
    uint32_t room, used;
    unsigned unit_lg2; /* Of what is placed in one piece. */
    bool scattered;
};

/* Pages of 2^unit_lg2 bytes lie one behind the other, or are scattered over 2^34 bytes. */
void rdma_frames_init(struct rdma_frames *f, unsigned unit_lg2, bool scattered);
void rdma_frames_free(struct rdma_frames *f);

/* The physical address of a byte; a page that was never asked for gets the next frame. */
uint64_t rdma_frames_of(struct rdma_frames *f, uint64_t address);

#endif
