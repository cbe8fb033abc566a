/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptfmt_x86 - x86-64 tables, as Intel VT-d's first stage walks them.
 *
 * Source: Intel VT-d architecture specification, "First-Stage Paging Entries". Level 0
 * holds PTEs (4 KiB), 1 PDEs (2 MiB), 2 PDPEs (1 GiB). A present entry can always be read:
 * a mapping for writing only does not exist. What Linux writes: accessed, and dirty where
 * writable, in leaves; present, writable, user and accessed in tables.
 *
 * Inaccuracies: execute-disable and memory types are ignored.
 */
#include "iommu_model/ptfmt.h"

#define X86_PRESENT  (UINT64_C(1) << 0)
#define X86_WRITE    (UINT64_C(1) << 1)
#define X86_USER     (UINT64_C(1) << 2)
#define X86_ACCESSED (UINT64_C(1) << 5)
#define X86_DIRTY    (UINT64_C(1) << 6)
#define X86_PAGE     (UINT64_C(1) << 7)
#define X86_ADDR     UINT64_C(0x000ffffffffff000)

static struct pt_item x86_decode(uint64_t entry, unsigned level)
{
    if (!(entry & X86_PRESENT))
        return (struct pt_item){ .kind = PT_ABSENT };
    uint8_t prot =
        PT_READ | (entry & X86_WRITE ? PT_WRITE : 0) | (entry & X86_USER ? PT_USER : 0);
    if (level > 0 && !(entry & X86_PAGE))
        return (struct pt_item){ .kind = PT_TABLE,
                                 .pa   = entry & X86_ADDR,
                                 .prot = prot | PT_ACCESSED | PT_DIRTY };
    prot |= (entry & X86_ACCESSED ? PT_ACCESSED : 0) | (entry & X86_DIRTY ? PT_DIRTY : 0);
    const unsigned page_lg2 = 12 + 9 * level;
    const uint64_t pa       = entry & X86_ADDR;
    if (level > 2 || (pa & mask_lg2(page_lg2)))
        return (struct pt_item){ .kind = PT_MALFORMED };
    return (struct pt_item){
        .kind = PT_LEAF, .pa = pa, .page_lg2 = (uint8_t)page_lg2, .prot = prot
    };
}

static uint64_t x86_encode_leaf(uint64_t pa, unsigned level, unsigned page_lg2,
                                uint8_t prot)
{
    CHECK(page_lg2 == 12 + 9 * level);
    CHECK((pa & ~X86_ADDR) == 0);
    CHECK((pa & mask_lg2(page_lg2)) == 0);
    CHECK((prot & (PT_READ | PT_WRITE)) != 0);
    return pa | X86_PRESENT | X86_USER | X86_ACCESSED
           | (prot & PT_WRITE ? X86_WRITE | X86_DIRTY : 0) | (level > 0 ? X86_PAGE : 0);
}

static uint64_t x86_encode_table(uint64_t pa)
{
    CHECK((pa & ~X86_ADDR) == 0);
    return pa | X86_PRESENT | X86_WRITE | X86_USER | X86_ACCESSED;
}

const struct pt_format ptfmt_x86 = {
    .name          = "x86",
    .summary       = "Intel VT-d first stage, 4 or 5 levels of 9 bits",
    .levels_min    = 4,
    .levels_max    = 5,
    .page_lg2      = 12,
    .index_lg2     = 9,
    .pa_lg2        = 52,
    .leaf_sizes    = UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30,
    .sign_extended = true,
    .decode        = x86_decode,
    .encode_leaf   = x86_encode_leaf,
    .encode_table  = x86_encode_table,
};
