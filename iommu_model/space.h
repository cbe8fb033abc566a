/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space - which address space a cached translation belongs to, packed into one word.
 *
 * domain: VT-d domain id, RISC-V GSCID, Arm VMID. process: PASID, PSCID or ASID. stages
 * says which stages of translation were on. A part that does not apply is 0.
 */
#ifndef IOMMU_MODEL_SPACE_H
#define IOMMU_MODEL_SPACE_H

#include <stdint.h>

#include "sim/base/lg2.h"

typedef uint64_t space_t;

enum { STAGE_1 = 1, STAGE_2 = 2 };

#define SPACE_DOMAIN_LAST  19
#define SPACE_PROCESS_LAST 39
#define SPACE_STAGES_LAST  41

#define SPACE_DOMAIN_MASK  (mask_lg2(20))
#define SPACE_PROCESS_MASK (mask_lg2(20) << 20)
#define SPACE_STAGES_MASK  (mask_lg2(2) << 40)
#define SPACE_MASK         (SPACE_DOMAIN_MASK | SPACE_PROCESS_MASK | SPACE_STAGES_MASK)
#define SPACE_STAGE_1      ((space_t)STAGE_1 << 40)
#define SPACE_STAGE_2      ((space_t)STAGE_2 << 40)

static inline space_t space_make(uint32_t domain, uint32_t process, unsigned stages)
{
    CHECK(domain >> 20 == 0);
    CHECK(process >> 20 == 0);
    CHECK(stages <= (STAGE_1 | STAGE_2));
    return (space_t)domain | (space_t)process << 20 | (space_t)stages << 40;
}

static inline uint32_t space_domain(space_t space)
{
    return (uint32_t)(space & SPACE_DOMAIN_MASK);
}

/*
 * What an invalidation is to drop: entries whose space agrees with value in the bits of
 * mask and, unless everything is meant, that translate an address in first .. last.
 */
struct inv_selector {
    space_t mask, value;
    uint64_t first, last; /* Inclusive; 0 .. UINT64_MAX is every address. */
    bool keep_global;     /* Entries that are global stay. */
    bool leaf_only;       /* Pointers to tables may stay cached. */
    bool by_guest; /* first and last are guest-physical: compare between the stages. */
    bool at_first_stage; /* Compare at the size of the first-stage page, not the entry's. */
};

static inline bool inv_selects_space(const struct inv_selector *s, space_t space)
{
    return ((space ^ s->value) & s->mask) == 0;
}

#endif
