/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/ptfmt.h"
#include "sim/test/shim.h"

TEST_CASE(ptfmt_x86, what_is_encoded_is_decoded)
{
    const struct pt_format *f = ptfmt_find("x86");
    for (unsigned level = 0; level < 3; level++) {
        const uint64_t pa    = UINT64_C(5) << 40;
        const uint64_t entry = f->encode_leaf(pa, level, 12 + 9 * level, PT_READ);
        struct pt_item item  = f->decode(entry, level);
        EXPECT_EQUAL(item.kind, PT_LEAF);
        EXPECT_EQUAL(item.pa, pa);
        EXPECT_EQUAL(item.page_lg2, 12 + 9 * level);
        EXPECT_EQUAL(item.prot, PT_READ | PT_USER | PT_ACCESSED);
        item = f->decode(f->encode_leaf(pa, level, 12 + 9 * level, PT_WRITE), level);
        EXPECT_EQUAL(item.prot, PT_READ | PT_WRITE | PT_USER | PT_ACCESSED | PT_DIRTY);
    }
    const struct pt_item table = f->decode(f->encode_table(0x7000), 2);
    EXPECT_EQUAL(table.kind, PT_TABLE);
    EXPECT_EQUAL(table.pa, 0x7000);
}

/* The bits that Linux's generic page table writes. */
TEST_CASE(ptfmt_x86, entries_have_linuxs_bits)
{
    const struct pt_format *f = ptfmt_find("x86");
    EXPECT_EQUAL(f->encode_leaf(0x1000, 0, 12, PT_READ), 0x1025);
    EXPECT_EQUAL(f->encode_leaf(0x1000, 0, 12, PT_READ | PT_WRITE), 0x1067);
    EXPECT_EQUAL(f->encode_leaf(0x200000, 1, 21, PT_READ), 0x2000a5);
    EXPECT_EQUAL(f->encode_table(0x1000), 0x1027);
}

TEST_CASE(ptfmt_x86, what_is_no_entry_is_refused)
{
    const struct pt_format *f = ptfmt_find("x86");
    EXPECT_EQUAL(f->decode(0x1002, 0).kind, PT_ABSENT);    /* Writable, but not present. */
    EXPECT_EQUAL(f->decode(0x1081, 1).kind, PT_MALFORMED); /* 2 MiB at 4 KiB. */
    EXPECT_EQUAL(f->decode(0x81, 3).kind, PT_MALFORMED);   /* No leaf of 512 GiB. */
}
