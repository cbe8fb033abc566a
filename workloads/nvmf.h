/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf - NVMe over Fabrics on RDMA: what both ends share. Capsules, commands and private
 * data of the NVM Express over Fabrics specification 1.1 (3, 4.1, 7.3), parameters and
 * counters.
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
    P(u32,  keep_alive_ms, 5000, 0, 3600000, ANY, "ms",    "Time-out of Keep Alive, which is sent every half of it; 0: none", \
      "keep_alive_tmo of nvme connect: 5 s")                                                        \
    P(u32,  submit_cycles,  700, 0, 1000000, ANY, "cycles", "The host: one request, beside mapping and posting", \
      "as driver.submit_cycles: the same block layer above it")                                     \
    P(u32,  complete_cycles, 450, 0, 1000000, ANY, "cycles", "The host: one response, beside unmapping", \
      "as driver.complete_cycles")                                                                  \
    P(u32,  command_cycles, 900, 0, 1000000, ANY, "cycles", "The target: one command, from its capsule to the block layer", \
      "parsing, a bio and its pages: about 2000 instructions")                                      \
    P(u32,  respond_cycles, 300, 0, 1000000, ANY, "cycles", "The target: one response, beside posting", \
      "about 700 instructions")                                                                     \
    P(u32,  admin_cycles,  1500, 0, 1000000, ANY, "cycles", "The target: carrying out one admin or Fabrics command", \
      "about 3000 instructions of nvmet; the bytes of its answer are written beside that")

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
    S(admin,             admin,    "commands", "Admin and Fabrics commands, completed by the host") \
    S(admin_connect,     admin,    "commands", "... Connect")                                       \
    S(admin_property,    admin,    "commands", "... Property Get and Set")                          \
    S(admin_keep_alive,  admin,    "commands", "... Keep Alive")                                    \
    S(admin_other,       admin,    "commands", "... Identify, Get Log Page, Set Features")          \
    S(admin_failed,      admin_failed, "commands", "... of all of these that ended with an error")  \
    S(admin_bytes,       admin_bytes, "bytes", "Data that they moved")                              \
    S(command,           command,  "capsules", "Requests that the target took")                     \
    S(response,          response, "capsules", "Responses to them that it sent")                    \
    S(admin_command,     admin_command, "capsules", "Admin and Fabrics commands that the target took") \
    S(admin_response,    admin_response, "capsules", "Responses to them that it sent")              \
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
    NVMF_CONNECT_FORMAT  = 0x180, /* Status of Connect. */
    NVMF_CONNECT_INVALID = 0x182,
    NVMF_SGL_OFFSET      = 0x01, /* Data block at an offset: in the capsule. */
    NVMF_SGL_KEYED       = 0x40, /* Keyed data block, */
    NVMF_SGL_KEYED_GIVEN = 0x4f, /* whose key the response gives back. */
};

/* Fabrics commands: their type is where other commands have the namespace. */
enum {
    NVMF_FABRICS      = 0x7f,
    NVMF_PROPERTY_SET = 0x00,
    NVMF_CONNECT      = 0x01,
    NVMF_PROPERTY_GET = 0x04,

    NVMF_PROPERTY_8_BYTES = 1,  /* In dword 10 of the last two; the offset is dword 11. */
    NVMF_ADMIN_ENTRIES    = 32, /* Of the admin queue: NVME_AQ_DEPTH of Linux's host. */
    NVMF_CONTROLLER_ANY   = 0xffff,
    NVMF_NAME_BYTES       = 256,
    NVMF_ANA_BYTES = 8208, /* Log that the host reads: a header, a group, 2040 more ids. */
};

/* Data of Connect (3.3). */
struct nvmf_connect_data {
    uint8_t host_id[16];
    uint16_t controller;
    uint8_t reserved[238];
    char subsystem[NVMF_NAME_BYTES], host[NVMF_NAME_BYTES];
    uint8_t reserved2[256];
};
static_assert(sizeof(struct nvmf_connect_data) == 1024, "data of Connect");

/* What the host's connection request carries (7.3.6.4). */
struct nvmf_private_data {
    uint16_t format, queue;
    uint16_t receives, sends; /* Entries of its queue; of the sends less 1. */
    uint16_t controller;
    uint8_t reserved[22];
};
static_assert(sizeof(struct nvmf_private_data) == 32, "private data");

/* Which way a command's data goes: the low bits of its opcode or Fabrics type. */
enum nvmf_way { NVMF_NOWHERE, NVMF_TO_CONTROLLER, NVMF_TO_HOST };

static inline enum nvmf_way nvmf_way_of(const struct nvme_sqe *sqe)
{
    return (enum nvmf_way)((sqe->opcode == NVMF_FABRICS ? sqe->nsid : sqe->opcode) & 3);
}

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
