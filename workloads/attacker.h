/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attacker - a hostile device: it keeps accessing addresses that a victim was once given.
 *
 * A passive block behind a port of its own that shows the victim's requester id. It is told
 * the addresses of the data that the victim moves (attacker_learn), remembers the newest of
 * them, and accesses the pages that they lie in, at a steady rate, whether they are still
 * lent to the victim or not. It learns nothing but whether an access was answered; what it
 * really reached is for the audit to say.
 *
 * The victim is a drive or an RDMA NIC. Only data is aimed at, and writes carry no bytes:
 * what they would have destroyed is counted, not destroyed, so that the software under
 * attack goes on.
 */
#ifndef WORKLOADS_ATTACKER_H
#define WORKLOADS_ATTACKER_H

#include "sim/base/engine.h"
#include "sim/base/param.h"
#include "sim/base/port.h"
#include "sim/base/rng.h"
#include "sim/base/stat.h"

#ifdef __cplusplus
extern "C" {
#endif

const char *attacker_strategy_member(unsigned index);

/* clang-format off */
#define ATTACKER_PARAMS(P)                                                                          \
    P(u32,  per_us,          1, 1,    1000, ANY, "accesses/us", "Accesses tried",                   \
      "one in the time of a fast drive's command phase: noticeable, not a flood")                   \
    P(name, strategy, random, attacker_strategy_member, 0, ANY, "", "Which remembered page is next", \
      "")                                                                                           \
    P(u32,  writes_percent, 50, 0,     100, ANY, "%",     "Share of the accesses that write",       \
      "half and half")                                                                              \
    P(u32,  addresses,    1024, 1, 1048576, ANY, "pages", "Remembered, the newest",                 \
      "four flush rings of Linux")                                                                  \
    P(u32,  bytes,          64, 1,    4096, POW2, "bytes", "Of one access, aligned to its size",    \
      "one cache line")

#define ATTACKER_STATS(S)                                                                           \
    S(page_learnt,      page_learnt, "pages", "Pages that the victim was given data in")            \
    S(access,           access,      "accesses", "Accesses tried")                                  \
    S(access_passed,    access,      "accesses", "... that were answered")                          \
    S(access_refused,   access,      "accesses", "... that the IOMMU refused")                      \
    S(write,            access,      "accesses", "... that wrote")                                  \
    S(beat_skipped,     beat_skipped, "beats",   "Beats at which the link had no room")
/* clang-format on */

struct attacker_config {
    ATTACKER_PARAMS(PARAM_FIELD)
};
struct attacker_stats {
    ATTACKER_STATS(STAT_FIELD)
};
extern const struct param_table attacker_param_table;
extern const struct stat_table attacker_stat_table;

struct attacker {
    struct attacker_config config;
    struct port *port;
    sim_time_t *due;
    uint16_t requester;
    struct rng rng;
    uint64_t *page; /* A ring of the pages learnt, config.addresses of them. */
    uint64_t learnt;
    uint64_t next; /* Of a sweep. */
    bool running;
    sim_time_t beat; /* The next access. */
    struct attacker_stats stats;
};

/* A block of engine; the port's device_due becomes its due slot. config is copied. It does
 * nothing until it is started. */
void attacker_init(struct attacker *a, struct engine *engine, struct port *port,
                   const struct attacker_config *config, uint16_t requester, uint64_t seed);
void attacker_free(struct attacker *a);

/* The victim has been given these addresses for data. */
void attacker_learn(struct attacker *a, uint64_t iova, uint32_t bytes);

void attacker_start(struct attacker *a, sim_time_t now);
/* What is under way still comes back. */
void attacker_stop(struct attacker *a);

#ifdef __cplusplus
}
#endif

#endif
