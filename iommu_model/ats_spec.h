/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ats_spec - what a device and an IOMMU agree on: PCI Express Address Translation Services.
 *
 * Source: PCI Express Base Specification, chapter 10: "Translation Completion Data Entry",
 * "Invalidate Request", "Invalidate Completion".
 */
#ifndef IOMMU_MODEL_ATS_SPEC_H
#define IOMMU_MODEL_ATS_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/lg2.h"

#define ATS_READ  (UINT64_C(1) << 0)
#define ATS_WRITE (UINT64_C(1) << 1)
#define ATS_S     (UINT64_C(1) << 11) /* More than 4 KiB: see below. */
#define ATS_PAGE  (~UINT64_C(0xfff))

enum {
    ATS_ITAGS           = 32, /* Invalidations under way at most. */
    ATS_ENTRY_BYTES     = 8,  /* Of a completion; also of an Invalidate Request's body. */
    ATS_COMPLETIONS_MAX = 8,  /* For one invalidation; the field's 0 stands for 8. */
};

/* An address and the size of 2^page_lg2 bytes around it: with S set, the lowest 0 from bit
 * 12 on says how large (bit 12: 8 KiB). page_lg2 is at most 63. */
static inline uint64_t ats_range(uint64_t address, unsigned page_lg2)
{
    CHECK(page_lg2 >= 12);
    CHECK(page_lg2 < 64);
    if (page_lg2 == 12)
        return address & ATS_PAGE;
    const uint64_t ones = mask_lg2(page_lg2 - 1) & ATS_PAGE;
    return (align_down(address, page_lg2) | ones) | ATS_S;
}

/* page_lg2 of such a range; 64 when it is everything. */
static inline unsigned ats_range_lg2(uint64_t range, bool s)
{
    if (!s)
        return 12;
    const uint64_t zeros = ~(range | mask_lg2(12));
    return zeros == 0 ? 64 : (unsigned)__builtin_ctzll(zeros) + 1;
}

/* rights: ATS_READ, ATS_WRITE; without any there is no translation. */
static inline uint64_t ats_entry(uint64_t pa, unsigned page_lg2, uint64_t rights)
{
    return rights == 0 ? 0 : ats_range(pa, page_lg2) | rights;
}

static inline unsigned ats_entry_lg2(uint64_t entry)
{
    return ats_range_lg2(entry & ATS_PAGE, entry & ATS_S);
}

static inline uint64_t ats_entry_pa(uint64_t entry)
{
    return align_down(entry, ats_entry_lg2(entry));
}

#endif
