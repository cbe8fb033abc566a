/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules - the axes along which flush policies differ: when ranges are flushed, what
 * one flush covers, who waits for it, what is held back until then.
 *
 * A policy is a point in this space (struct flush_rules) and, where that is not enough, a
 * few verbs of its own (dma_api/flush.h). `--set policy.AXIS=VALUE` moves any policy along
 * an axis; its promise moves with it (flush_rules_promise).
 */
#ifndef DMA_API_RULES_H
#define DMA_API_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/param.h"
#include "sim/base/simtime.h"

/* When. */
#define FLUSH_BATCHES(B)                                                                   \
    B(each, "each", "Inside every unmap")                                                  \
    B(cpu, "cpu", "In a ring of each CPU, until it is full or a limit is reached")         \
    B(domain, "domain", "In one ring of the domain, likewise")                             \
    B(driver, "driver", "In a ring of each CPU, until the driver ends its batch")          \
    B(never, "never", "Not at all: addresses are parked until there is no room left")

/* What one flush covers. */
#define FLUSH_GRAINS(G)                                                                    \
    G(usual, "usual", "What Linux's driver of the IOMMU chooses for the range")            \
    G(page, "page", "A command for each page, and one wait")                               \
    G(page_sync, "page-sync", "A command and a wait for each page")                        \
    G(cover, "cover", "One command for the smallest power of two of pages around it")      \
    G(range, "range", "Commands for exactly these pages, of IOMMUs that have them")        \
    G(domain, "domain", "Everything of the domain")                                        \
    G(hybrid, "hybrid", "Page by page up to a number of pages, from there the domain")     \
    G(global, "global", "Everything of every domain")

#define FLUSH_BATCH(id, name, text) BATCH_##id,
#define FLUSH_GRAIN(id, name, text) GRAIN_##id,
enum flush_batch { FLUSH_BATCHES(FLUSH_BATCH) BATCHES };
enum flush_grain { FLUSH_GRAINS(FLUSH_GRAIN) GRAINS };
extern const char *const flush_batch_name[BATCHES], *const flush_batch_text[BATCHES];
extern const char *const flush_grain_name[GRAINS], *const flush_grain_text[GRAINS];

struct flush_rules {
    enum flush_batch batch;
    uint32_t ring_entries; /* Of a ring, a power of two; one stays empty. */
    uint32_t every;        /* So many ranges in a ring flush; 0: no such limit. */
    uint64_t bytes;        /* So many bytes in a ring flush; 0: no such limit. */
    uint64_t timeout_ps;   /* From a ring's first range; 0: no timer. */
    enum flush_grain grain;
    uint32_t hybrid_pages;
    bool post;        /* Nobody waits: what is unmapped is held until it is over. */
    bool hold;        /* Pages keep their data until the flush. */
    bool keep_tables; /* Page tables stay, so that pointers to them may stay cached. */
};

const char *policy_batch_member(unsigned index);
const char *policy_grain_member(unsigned index);
const char *policy_sync_member(unsigned index);
const char *policy_choice_member(unsigned index);

/* clang-format off */
#define POLICY_PARAMS(P)                                                                            \
    P(name, batch,      own, policy_batch_member, 0, ANY, "rule", "When ranges are flushed",        \
      "exploration; own: as the policy has it")                                                     \
    P(u32, ring_entries,  0, 0, 65536, ANY, "ranges", "A ring's size, a power of two; 0: as the policy has it", \
      "as policy.batch")                                                                            \
    P(u32, every,         0, 0, 65535, ANY, "ranges", "Flush when so many are in a ring; 0: as the policy has it", \
      "as policy.batch")                                                                            \
    P(u32, kib,           0, 0, 4194304, ANY, "KiB", "Flush when so much is in a ring; 0: as the policy has it", \
      "as policy.batch")                                                                            \
    P(u32, timeout_us,    0, 0, 10000000, ANY, "us", "From a ring's first range to its flush; 0: as the policy has it", \
      "as policy.batch")                                                                            \
    P(name, grain,      own, policy_grain_member, 0, ANY, "rule", "What one flush covers",          \
      "as policy.batch")                                                                            \
    P(u32, hybrid_pages,  0, 0, 1048576, ANY, "pages", "grain=hybrid: page by page up to so many; 0: as the policy has it", \
      "as policy.batch")                                                                            \
    P(name, sync,       own, policy_sync_member, 0, ANY, "rule", "Whether an unmap waits for its flush, or posts it", \
      "as policy.batch")                                                                            \
    P(name, hold,       own, policy_choice_member, 0, ANY, "own|no|yes", "Pages keep their data until the flush", \
      "as policy.batch")                                                                            \
    P(name, keep_tables, own, policy_choice_member, 0, ANY, "own|no|yes", "Page tables are never taken out", \
      "as policy.batch")
/* clang-format on */

struct policy_config {
    POLICY_PARAMS(PARAM_FIELD)
};
extern const struct param_table policy_param_table;

/* Moves rules along the axes that config names. NULL: along none. */
void flush_rules_move(struct flush_rules *rules, const struct policy_config *config);

#endif
