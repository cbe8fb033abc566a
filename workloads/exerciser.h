/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exerciser - a device that only reads and writes memory, as pcie-bench's does.
 *
 * Software writes a list of accesses into the device (EXERCISER_LIST, an entry of 8 bytes:
 * address, and 1 in bit 0 for a write; EXERCISER_BYTES once), starts as many of them
 * (EXERCISER_GO) and polls EXERCISER_BUSY until it reads 0. The device keeps
 * exerciser.inflight of them under way. Only its own time counts in exerciser.busy_ps: from
 * the first submission of a list to the last answer.
 *
 * Inaccuracies: an access is one transaction; nothing is told apart between the two engines
 * of the card that pcie-bench measured but exerciser.device_ns.
 */
#ifndef WORKLOADS_EXERCISER_H
#define WORKLOADS_EXERCISER_H

#include "sim/base/engine.h"
#include "sim/base/histogram.h"
#include "sim/base/mmio.h"
#include "sim/base/param.h"
#include "sim/base/port.h"
#include "sim/base/stat.h"

/* clang-format off */
#define EXERCISER_PARAMS(P)                                                                         \
    P(u32, inflight,   27, 1, 4096, ANY, "accesses", "Under way at the same time",                  \
      "fitted: pcie-bench reads 33.1 Gb/s in a window of 4 KiB, at 413 ns a read")                         \
    P(u32, device_ns,   0, 0, 1000000, ANY, "ns",    "From an answer to the access that follows it", \
      "a choice of the workload")

#define EXERCISER_STATS(S)                                                                          \
    S(access,         access,  "accesses", "Accesses answered")                                     \
    S(access_read,    access,  "accesses", "Reads")                                                 \
    S(access_written, access,  "accesses", "Writes")                                                \
    S(access_refused, access_refused, "accesses", "... that the IOMMU refused")                     \
    S(bytes,          bytes,   "bytes",    "Read and written")                                      \
    S(latency_ps,     latency_ps, "ps",    "Submission to answer, summed")                          \
    S(list,           list,    "lists",    "Lists of accesses carried out")                         \
    S(busy_ps,        busy_ps, "ps",       "First submission to last answer of a list, summed")
/* clang-format on */

struct exerciser_config {
    EXERCISER_PARAMS(PARAM_FIELD)
};
struct exerciser_stats {
    EXERCISER_STATS(STAT_FIELD)
};
extern const struct param_table exerciser_param_table;
extern const struct stat_table exerciser_stat_table;

enum {
    EXERCISER_GO       = 0x00, /* Written: how many of the list. */
    EXERCISER_BUSY     = 0x08, /* Read: how many have not been answered. */
    EXERCISER_BYTES    = 0x10, /* Of each access, 1 .. PORT_BYTES_MAX. */
    EXERCISER_LIST     = 0x1000,
    EXERCISER_LIST_MAX = 4096,
    EXERCISER_WRITES   = 1, /* In an entry of the list. */
};

struct exerciser {
    struct exerciser_config config;
    struct port *port;
    sim_time_t *due;
    uint16_t requester;
    uint64_t *list;
    uint32_t count, next, answered, bytes;
    sim_time_t began, ready; /* Of the list; when the next access may go. */
    struct exerciser_stats stats;
    struct histogram latency_ns; /* Submission to answer; whoever measures clears it. */
};

/* A block of engine; the port's device_due becomes its due slot. config is copied. */
void exerciser_init(struct exerciser *e, struct engine *engine, struct port *port,
                    const struct exerciser_config *config, uint16_t requester);
void exerciser_free(struct exerciser *e);

/* The register window; self is the struct exerciser. */
extern const struct mmio_ops exerciser_mmio_ops;

bool exerciser_idle(const struct exerciser *e);

#endif
