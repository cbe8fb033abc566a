/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf - NVMe over Fabrics on RDMA: what both ends share. Capsules of the NVM Express over
 * Fabrics specification 1.1 (4.1, 7.3), parameters and counters.
 *
 * A request becomes a command capsule of 64 bytes, sent. Data of a small write comes behind
 * it; other memory of the host is named by a key, and the target reads or writes it. The
 * response capsule of 16 bytes gives the key back (send with invalidate).
 */
#ifndef WORKLOADS_NVMF_H
#define WORKLOADS_NVMF_H

#include "sim/base/param.h"
#include "sim/base/stat.h"
#include "workloads/nvme_driver.h"
#include "workloads/verbs.h"

/* clang-format off */
#define NVMF_PARAMS(P)                                                                              \
    P(flag, remote,           0, 0,     1, ANY,  "",       "Block requests go over RDMA to a drive of another host", \
      "a choice of the replay")                                                                     \
    P(u32,  queue_entries,  128, 2,  1024, POW2, "entries", "Depth of an I/O queue",                \
      "queue_size of nvme connect: 128")                                                            \
    P(u32,  inline_kib,       4, 0,    16, ANY,  "KiB",    "Data that a write's capsule may carry, in whole pages; 0: none", \
      "inline_data_size of nvmet-rdma: a page, at most 16 KiB")                                     \
    P(u32,  max_transfer_kib, 1024, 4, 1024, POW2, "KiB",  "Largest request",                       \
      "NVMET_RDMA_MAX_MDTS, and a registration of 256 pages in nvme-rdma: 1 MiB")                   \
    P(u32,  submit_cycles,  700, 0, 1000000, ANY, "cycles", "The host: one request, beside mapping and posting", \
      "as driver.submit_cycles: the same block layer above it")                                     \
    P(u32,  complete_cycles, 450, 0, 1000000, ANY, "cycles", "The host: one response, beside unmapping", \
      "as driver.complete_cycles")                                                                  \
    P(u32,  command_cycles, 900, 0, 1000000, ANY, "cycles", "The target: one command, from its capsule to the block layer", \
      "parsing, a bio and its pages: about 2000 instructions")                                      \
    P(u32,  respond_cycles, 300, 0, 1000000, ANY, "cycles", "The target: one response, beside posting", \
      "about 700 instructions")

#define NVMF_STATS(S)                                                                               \
    S(request,           request,  "requests", "Completed by the host")                             \
    S(request_read,      request,  "requests", "Reads")                                             \
    S(request_write,     request,  "requests", "Writes")                                            \
    S(request_other,     request,  "requests", "Flushes, discards and the like")                    \
    S(bytes,             bytes,    "bytes",    "Data moved")                                        \
    S(failed,            failed,   "requests", "... of those that ended with an error")             \
    S(retried,           retried,  "requests", "Could not be begun at once")                        \
    S(inlined,           inlined,  "requests", "Writes whose data came in the capsule")             \
    S(registered,        registered, "regions", "Registered by work request, one for a request")    \
    S(invalidated,       invalidated, "regions", "... given back by the target with its response")  \
    S(command,           command,  "capsules", "Commands that the target took")                     \
    S(response,          response, "capsules", "Responses that it sent")                            \
    S(data_read,         data_read, "requests", "RDMA reads that it posted")                        \
    S(data_written,      data_written, "requests", "RDMA writes that it posted")                    \
    S(piece,             piece,    "requests", "Given to the drive's driver")                       \
    S(waited,            waited,   "times",    "A command waited for room in a queue, or memory")   \
    S(compared_bytes,    compared_bytes, "bytes", "Of reads, compared with what was written (fabric.check)") \
    S(medium_bytes,      medium_bytes, "bytes", "Compared on the drive's medium at the end")        \
    S(uncertain_bytes,   uncertain_bytes, "bytes", "Not compared: another request used them at the same time") \
    S(mismatched,        mismatched, "requests", "... that were not what was written")
/* clang-format on */

struct nvmf_config {
    NVMF_PARAMS(PARAM_FIELD)
};
struct nvmf_stats {
    NVMF_STATS(STAT_FIELD)
};
extern const struct param_table nvmf_param_table;
extern const struct stat_table nvmf_stat_table;

enum {
    NVMF_COMMAND_BYTES  = 64,
    NVMF_RESPONSE_BYTES = 16,
    NVMF_INLINE_PAGES = 4, /* Of data in a capsule, and pieces that it is gathered from. */
    NVMF_PAGES_MAX    = 256, /* Of one request: 1 MiB. */
    NVMF_INTERNAL_ERROR  = 0x006,
    NVMF_SGL_OFFSET      = 0x01, /* Data block at an offset: in the capsule. */
    NVMF_SGL_KEYED       = 0x40, /* Keyed data block, */
    NVMF_SGL_KEYED_GIVEN = 0x4f, /* whose key the response gives back. */
};

/* A keyed data block descriptor. */
struct nvmf_keyed_sgl {
    uint64_t address;
    uint8_t bytes[3], key[4], type;
};
static_assert(sizeof(struct nvmf_keyed_sgl) == sizeof(struct nvme_sgl), "one descriptor");

/* What the driver of either end's NIC has to offer, from what the user asked for: rings for
 * so many requests, entries for so many pieces. */
struct verbs_config nvmf_verbs_config(const struct verbs_config *verbs,
                                      const struct nvmf_config *config);

/* A small piece of kernel memory, mapped for good or for one use. */
struct nvmf_buffer {
    phys_addr_t phys;
    dma_addr_t dma;
};

/* 64-bit words between a buffer in memory and a struct. */
void nvmf_put(phys_addr_t phys, const void *from, uint32_t bytes);
void nvmf_get(phys_addr_t phys, void *to, uint32_t bytes);

#endif
