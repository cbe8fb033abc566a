/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/riscv_pte.h"

/* For future use, and Svpbmt. */
#define RISCV_PTE_RESERVED (UINT64_C(0x1ff) << 54)

/* R, W, X, U, G, A, D stand one place higher in an entry than in PT_*, but for G and U. */
static uint8_t riscv_pte_prot(uint64_t entry)
{
    return (uint8_t)((entry & RISCV_PTE_R ? PT_READ : 0)
                     | (entry & RISCV_PTE_W ? PT_WRITE : 0)
                     | (entry & RISCV_PTE_X ? PT_EXECUTE : 0)
                     | (entry & RISCV_PTE_U ? PT_USER : 0)
                     | (entry & RISCV_PTE_G ? PT_GLOBAL : 0)
                     | (entry & RISCV_PTE_A ? PT_ACCESSED : 0)
                     | (entry & RISCV_PTE_D ? PT_DIRTY : 0));
}

static struct pt_item riscv_pte_leaf(uint64_t entry, unsigned level, bool napot)
{
    const bool n        = entry & RISCV_PTE_N;
    const uint64_t ppn  = bits_get(entry, 53, 10);
    const unsigned page = n ? RISCV_NAPOT_LG2 : 12u + 9u * level;
    const uint64_t low  = ppn & mask_lg2(page - 12);
    if ((n && (!napot || level != 0 || low != 8)) || (!n && low != 0))
        return (struct pt_item){ .kind = PT_MALFORMED };
    return (struct pt_item){ .kind     = PT_LEAF,
                             .page_lg2 = (uint8_t)page,
                             .prot     = riscv_pte_prot(entry),
                             .pa       = align_down(ppn << 12, page) };
}

struct pt_item riscv_pte_decode(uint64_t entry, unsigned level, bool napot)
{
    const bool r = entry & RISCV_PTE_R, w = entry & RISCV_PTE_W, x = entry & RISCV_PTE_X;
    if (!(entry & RISCV_PTE_V))
        return (struct pt_item){ .kind = PT_ABSENT };
    if ((w && !r) || (entry & RISCV_PTE_RESERVED))
        return (struct pt_item){ .kind = PT_MALFORMED };
    if (r || x)
        return riscv_pte_leaf(entry, level, napot);
    if (entry & (RISCV_PTE_A | RISCV_PTE_D | RISCV_PTE_U | RISCV_PTE_N))
        return (struct pt_item){ .kind = PT_MALFORMED };
    return (struct pt_item){
        .kind = PT_TABLE,
        .prot = entry & RISCV_PTE_G ? PT_ALL : PT_ALL & ~PT_GLOBAL,
        .pa   = bits_get(entry, 53, 10) << 12,
    };
}

uint64_t riscv_pte_encode(uint64_t pa, unsigned level, unsigned page_lg2, uint8_t prot)
{
    const bool napot = page_lg2 == RISCV_NAPOT_LG2;
    CHECK(napot ? level == 0 : page_lg2 == 12 + 9 * level);
    CHECK((pa & mask_lg2(page_lg2)) == 0);
    CHECK(pa >> 56 == 0);
    return RISCV_PTE_V | RISCV_PTE_A | (prot & PT_READ ? RISCV_PTE_R : 0)
           | (prot & PT_WRITE ? RISCV_PTE_R | RISCV_PTE_W | RISCV_PTE_D : 0)
           | (prot & PT_EXECUTE ? RISCV_PTE_X : 0) | (prot & PT_USER ? RISCV_PTE_U : 0)
           | (prot & PT_GLOBAL ? RISCV_PTE_G : 0) | pa >> 12 << 10
           | (napot ? RISCV_PTE_N | UINT64_C(8) << 10 : 0);
}

uint64_t riscv_pte_encode_table(uint64_t pa)
{
    CHECK((pa & 0xfff) == 0);
    return RISCV_PTE_V | pa >> 12 << 10;
}
