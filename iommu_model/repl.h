/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repl - the family of replacement policies: verbs on the age bytes of one set.
 *
 * A set of n ways has n bytes, which only the policy reads. The array (setassoc.h) calls
 * on_hit for every look-up that hits (a second one in a row for the same way must change
 * nothing, and may be left out), on_fill when an entry is installed or replaced in its
 * place (unless the cache is configured otherwise), on_invalidate when one is dropped, and
 * victim to choose the way that a fill replaces; whether an invalid way is preferred to the
 * victim is the cache's choice. iommu_model/repl_X.c defines `const struct repl_policy
 * repl_X`.
 */
#ifndef IOMMU_MODEL_REPL_H
#define IOMMU_MODEL_REPL_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/rng.h"

struct repl_policy {
    const char *name; /* Equals the file's name. */
    const char *summary;
    bool ways_pow2; /* Works only for a power of two of ways. */
    bool by_fill;   /* Goes by the order of fills: hears of each, use or not. */
    void (*reset)(uint8_t *age, uint32_t ways);
    void (*on_hit)(uint8_t *age, uint32_t ways, uint32_t way);
    void (*on_fill)(uint8_t *age, uint32_t ways, uint32_t way);
    void (*on_invalidate)(uint8_t *age, uint32_t ways, uint32_t way);
    uint32_t (*victim)(const uint8_t *age, uint32_t ways, struct rng *rng);
};

extern const struct repl_policy *const repl_table[];

const struct repl_policy *repl_find(const char *name); /* NULL when there is none. */
const char *repl_member(unsigned index);               /* For parameters of type name. */

#endif
