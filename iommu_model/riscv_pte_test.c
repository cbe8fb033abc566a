/* SPDX-License-Identifier: Apache-2.0 */
/* The RISC-V page-table formats: what is encoded is decoded, at every level and size. */
#include "iommu_model/riscv_pte.h"
#include "sim/test/shim.h"

static const char *const formats[] = { "rvs1", "rvs1napot", "rvs2", "rvs2napot" };

/* Physical addresses with the highest and the lowest bit of their number. */
static void check_leaf(const struct pt_format *f, unsigned lg2, uint8_t prot)
{
    const unsigned level = pt_leaf_level(f, lg2);
    const uint64_t pas[] = { 0, UINT64_C(1) << lg2, UINT64_C(1) << 55,
                             align_down(mask_lg2(56), lg2) };
    for (unsigned i = 0; i < 4; i++) {
        const struct pt_item is =
            f->decode(f->encode_leaf(pas[i], level, lg2, prot), level);
        EXPECT_EQUAL(is.kind, PT_LEAF);
        EXPECT_EQUAL(is.page_lg2, lg2);
        EXPECT_EQUAL(is.pa, pas[i]);
        EXPECT_EQUAL(is.prot & prot, prot);
        EXPECT(is.prot & PT_ACCESSED);
        EXPECT_EQUAL((is.prot & PT_DIRTY) != 0, (prot & PT_WRITE) != 0);
    }
}

TEST_CASE(riscv_pte, leaves_of_every_size_and_right_come_back)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct pt_format *f = ptfmt_find(formats[i]);
        for (unsigned lg2 = 12; lg2 < 49; lg2++)
            for (unsigned prot = 1; f->leaf_sizes >> lg2 & 1 && prot < 32; prot++)
                if (prot & (PT_READ | PT_WRITE | PT_EXECUTE))
                    check_leaf(f, lg2, (uint8_t)prot);
    }
}

TEST_CASE(riscv_pte, tables_come_back)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct pt_format *f = ptfmt_find(formats[i]);
        const struct pt_item is   = f->decode(f->encode_table(mask_lg2(56) & ~0xfffu), 2);
        EXPECT_EQUAL(is.kind, PT_TABLE);
        EXPECT_EQUAL(is.pa, mask_lg2(56) & ~0xfffu);
        EXPECT_EQUAL(f->decode(0, 1).kind, PT_ABSENT);
        EXPECT_EQUAL(f->decode(~RISCV_PTE_V, 1).kind, PT_ABSENT);
    }
}

/* Every single bit that must be zero, in a leaf and in a pointer. */
TEST_CASE(riscv_pte, reserved_bits_are_malformed)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct pt_format *f = ptfmt_find(formats[i]);
        const uint64_t leaf = RISCV_PTE_V | RISCV_PTE_R, table = RISCV_PTE_V;
        for (unsigned bit = 54; bit < 64; bit++) {
            EXPECT_EQUAL(f->decode(leaf | UINT64_C(1) << bit, 0).kind, PT_MALFORMED);
            EXPECT_EQUAL(f->decode(table | UINT64_C(1) << bit, 1).kind, PT_MALFORMED);
        }
        EXPECT_EQUAL(f->decode(table | RISCV_PTE_A, 1).kind, PT_MALFORMED);
        EXPECT_EQUAL(f->decode(table | RISCV_PTE_D, 1).kind, PT_MALFORMED);
        EXPECT_EQUAL(f->decode(table | RISCV_PTE_U, 1).kind, PT_MALFORMED);
        EXPECT_EQUAL(f->decode(table | RISCV_PTE_G, 1).kind, PT_TABLE);
        EXPECT_EQUAL(f->decode(RISCV_PTE_V | RISCV_PTE_W, 0).kind, PT_MALFORMED);
        for (unsigned level = 1; level < 5; level++) /* Misaligned. */
            EXPECT_EQUAL(f->decode(leaf | UINT64_C(1) << (9 + 9 * level), level).kind,
                         PT_MALFORMED);
    }
}

TEST_CASE(riscv_pte, only_64k_is_a_naturally_aligned_power_of_two)
{
    const uint64_t leaf = RISCV_PTE_V | RISCV_PTE_R | RISCV_PTE_N;
    for (uint64_t low = 0; low < 16; low++) {
        EXPECT_EQUAL(ptfmt_find("rvs1napot")->decode(leaf | low << 10, 0).kind,
                     low == 8 ? PT_LEAF : PT_MALFORMED);
        EXPECT_EQUAL(ptfmt_find("rvs2")->decode(leaf | low << 10, 0).kind, PT_MALFORMED);
    }
    EXPECT_EQUAL(ptfmt_find("rvs2napot")->decode(leaf | 8 << 10, 1).kind, PT_MALFORMED);
}
