/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_driver - the software side of an NVMe controller, shaped like
 * drivers/nvme/host/pci.c.
 *
 * One queue pair and one interrupt vector for each CPU. A request is mapped through one of
 * the APIs of blk_dma.h, described to the controller with PRPs or SGLs by Linux's rules,
 * submitted, completed in the interrupt of the CPU that submitted it, and unmapped there.
 *
 * Where blocks have metadata, a request of data has buffers for it (blk_integrity.h), which
 * are mapped behind the data and unmapped before it.
 *
 * Inaccuracies: several pieces of metadata become one range of addresses only if they
 * themselves meet at pages, as data does; Linux 7.3 asks the data's gaps instead. Requests
 * of 6.12 and 6.18 have one piece each: there, bios whose metadata leaves gaps are not
 * merged.
 */
#ifndef WORKLOADS_NVME_DRIVER_H
#define WORKLOADS_NVME_DRIVER_H

#include "sim/base/histogram.h"
#include "sim/base/lock.h"
#include "sim/base/mmio.h"
#include "sim/base/stat.h"
#include "workloads/blk_dma.h"
#include "workloads/blk_integrity.h"
#include "workloads/nvme_spec.h"

/* clang-format off */
#define DRIVER_PARAMS(P)                                                                            \
    P(u32, queue_entries,   1024, 2, 4096, ANY, "entries", "Depth of an I/O queue",                 \
      "io_queue_depth, drivers/nvme/host/pci.c")                                                    \
    P(u32, max_transfer_kib, 8192, 4, 8192, ANY, "KiB",    "Largest transfer the driver offers",    \
      "NVME_MAX_BYTES; MDTS and dma_opt_mapping_size make it smaller")                              \
    P(u32, sgl_threshold_kib,  32, 0, 1048576, ANY, "KiB", "Average segment from which SGLs are used; 0: never", \
      "sgl_threshold, drivers/nvme/host/pci.c")                                                     \
    P(u32, submit_cycles,     700, 0, 1000000, ANY, "cycles", "One request, submission beside mapping", \
      "5.01 M IOPS of one CPU without translation are 620 cycles an I/O, polled and batched; not batched here") \
    P(u32, complete_cycles,   450, 0, 1000000, ANY, "cycles", "One request, completion beside unmapping", \
      "as submit_cycles")                                                                           \
    P(u32, prp_cycles,          3, 0, 1000000, ANY, "cycles", "One PRP entry, beside its line",     \
      "about 8 instructions")                                                                       \
    P(u32, sgl_cycles,          4, 0, 1000000, ANY, "cycles", "One SGL descriptor, beside its line", \
      "about 10 instructions")

#define DRIVER_STATS(S)                                                                             \
    S(request,            request,  "requests", "Requests completed")                               \
    S(request_read,       request,  "requests", "Reads")                                            \
    S(request_write,      request,  "requests", "Writes")                                           \
    S(request_other,      request,  "requests", "Flushes, discards and the like")                   \
    S(bytes,              bytes,    "bytes",    "Data moved")                                       \
    S(segment,            segment,  "segments", "Physical segments of the requests")                \
    S(mapped_single,      request,  "requests", "Mapped as one segment")                            \
    S(mapped_coalesced,   request,  "requests", "Mapped as one range by the IOVA API")              \
    S(mapped_pieces,      request,  "requests", "Mapped segment by segment")                        \
    S(mapped_list,        request,  "requests", "Mapped as a scatter list")                         \
    S(described_prp,      request,  "requests", "Described by PRPs")                                \
    S(described_sgl,      request,  "requests", "Described by SGLs")                                \
    S(metadata,           request,  "requests", "With metadata")                                    \
    S(metadata_pointer,   metadata, "requests", "... whose pointer is that of the metadata")        \
    S(metadata_sgl,       metadata, "requests", "... whose pointer is that of an SGL segment")      \
    S(metadata_piece,     metadata_piece, "pieces", "Buffers of metadata, one for each bio")        \
    S(address_bytes,      address_bytes, "bytes", "Kept from map to unmap")                         \
    S(failed,             failed,   "requests", "Ended with an error status")                       \
    S(retried,            retried,  "requests", "Could not be mapped at once")
/* clang-format on */

struct driver_config {
    DRIVER_PARAMS(PARAM_FIELD)
};
struct driver_stats {
    DRIVER_STATS(STAT_FIELD)
};
extern const struct param_table driver_param_table;
extern const struct stat_table driver_stat_table;

enum {
    NVME_LISTS_MAX   = 5,   /* PRP list pages of one request. */
    NVME_SGL_MAX     = 256, /* Descriptors of one request: one page. */
    NVME_SMALL_BYTES = 256,
    NVME_METADATA_MAX =
        15, /* Pieces of metadata: a small list, less its first descriptor. */
    NVME_FIRST_VECTOR = 48, /* CPU vectors: of the first queue. */
    NVME_DRIVER_CPUS  = ENGINE_CPUS_MAX,
};

/* What is to be done: data within nvme_driver_limits. */
struct nvme_io {
    enum nvme_opcode opcode;
    uint64_t lba;   /* In 512-byte blocks. */
    uint32_t bytes; /* Of the medium. */
    const struct blk_segment *segment;
    uint32_t segments; /* 0: no data. */
    void (*done)(void *arg, uint16_t status);
    void *arg;
};

/* A page of PRPs or SGL descriptors, or a part of one. */
struct nvme_list_page {
    void *cpu_addr;
    dma_addr_t dma;
};

struct nvme_queue;
struct nvme_request {
    struct nvme_queue *queue;
    struct nvme_request *next; /* In the free list. */
    struct nvme_io io;
    struct blk_mapping mapping;
    struct blk_segment payload; /* Of a discard: see nvme_discard.h. */
    uint32_t room;              /* Segments that the mapping has memory for. */
    struct nvme_list_page list[NVME_LISTS_MAX];
    uint32_t lists;
    bool small_list;
    uint16_t cid;
    struct blk_mapping metadata; /* Of the pieces, when there are any. */
    struct blk_segment *metadata_segment;
    uint32_t metadata_segments;
    struct nvme_list_page metadata_list; /* cpu_addr NULL: there is none. */
};

struct nvme_ring {
    void *cpu_addr;
    dma_addr_t dma;
    uint32_t entries;
};

struct nvme_queue {
    struct nvme_driver *driver;
    uint32_t id, sq_tail, cq_head, phase;
    struct nvme_ring sq, cq;
    struct lock sq_lock;
    struct nvme_request *request, *free;
    uint32_t requests, requests_used; /* The first so many have been in use. */
    struct integrity_pool integrity;
    struct driver_stats stats;
};

/* What the block layer splits requests by, as Linux computes it. */
struct nvme_limits {
    uint32_t max_bytes;    /* max_hw_sectors_kb */
    uint32_t max_segments; /* Runs that do not touch; a page of descriptors at most. */
    unsigned long boundary_mask; /* virt_boundary_mask: a gap below it ends a request. */
    uint32_t block_bytes;        /* logical_block_size: requests are multiples. */
    uint32_t metadata_segments;  /* max_integrity_segments */
};

/* For who draws a timeline. It must not change anything. */
struct driver_watcher {
    /* A command's doorbell is on its way to the controller; */
    void (*submitted)(void *self, uint32_t queue, uint16_t cid, unsigned cpu,
                      sim_time_t now);
    /* the driver has found its completion. */
    void (*found)(void *self, uint32_t queue, uint16_t cid, unsigned cpu, sim_time_t now);
    void *self;
};

struct nvme_driver {
    struct device *dev;
    struct mmio_window *registers;
    struct kernel *kernel;
    struct driver_config config;
    struct blk_config blk;
    enum blk_api api;
    uint32_t stride, ready_polls;
    struct nvme_limits limits;
    uint64_t blocks; /* Of the namespace, of 512 bytes. */
    struct integrity_format format;
    bool has_sgl;
    unsigned vector;
    struct nvme_queue admin;
    struct nvme_queue queue[NVME_DRIVER_CPUS];
    struct dma_pool *small_pool, *page_pool; /* For the lists of all queues of the node. */
    unsigned queues;
    const struct driver_watcher *watcher; /* NULL: nobody watches. */
};

/* Brings the controller up, with a queue for each of the kernel's CPUs; on CPU 0. nth tells
 * the drives of a machine apart: each has interrupt vectors of its own. False with one line
 * when it is not what the driver needs. */
bool nvme_driver_probe(struct nvme_driver *d, struct device *dev,
                       struct mmio_window *registers, const struct driver_config *config,
                       const struct blk_config *blk, enum blk_api api, unsigned nth,
                       struct error *error);

/* Every request has been completed; gives everything back. On CPU 0. */
void nvme_driver_remove(struct nvme_driver *d);

static inline const struct nvme_limits *nvme_driver_limits(const struct nvme_driver *d)
{
    return &d->limits;
}

/* Submits on this CPU's queue; done is called in its interrupt. -EBUSY when the queue is
 * full, -ENOMEM when it could not be mapped: try again after a completion. -EIO: never. */
int nvme_driver_submit(struct nvme_driver *d, const struct nvme_io *io);

#endif
