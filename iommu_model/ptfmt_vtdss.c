/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptfmt_vtdss - Intel VT-d second-stage tables.
 *
 * Source: Intel VT-d architecture specification, "Second-Stage Translation" and
 * "Second-Stage Paging Entries". Level 0 holds SS-PTEs (4 KiB), 1 SS-PDEs (2 MiB), 2
 * SS-PDPEs (1 GiB). There is no present bit: an entry is present when it grants anything.
 *
 * Inaccuracies: accessed, dirty, snoop and memory-type bits are ignored.
 */
#include "iommu_model/ptfmt.h"

#define SS_READ  (UINT64_C(1) << 0)
#define SS_WRITE (UINT64_C(1) << 1)
#define SS_PAGE  (UINT64_C(1) << 7)
#define SS_ADDR  UINT64_C(0x000ffffffffff000)

static struct pt_item vtdss_decode(uint64_t entry, unsigned level)
{
    const uint8_t prot = (uint8_t)(entry & (SS_READ | SS_WRITE));
    if (prot == 0)
        return (struct pt_item){ .kind = PT_ABSENT };
    if (level > 0 && !(entry & SS_PAGE))
        return (struct pt_item){ .kind = PT_TABLE, .pa = entry & SS_ADDR, .prot = prot };
    if (level > 2)
        return (struct pt_item){ .kind = PT_MALFORMED }; /* No leaf of 512 GiB. */

    const unsigned page_lg2 = 12 + 9 * level;
    const uint64_t pa       = entry & SS_ADDR;
    if (pa & mask_lg2(page_lg2))
        return (struct pt_item){ .kind =
                                     PT_MALFORMED }; /* Reserved address bits are set. */
    return (struct pt_item){
        .kind = PT_LEAF, .pa = pa, .page_lg2 = (uint8_t)page_lg2, .prot = prot
    };
}

static uint64_t vtdss_encode_leaf(uint64_t pa, unsigned level, unsigned page_lg2,
                                  uint8_t prot)
{
    CHECK(page_lg2 == 12 + 9 * level);
    CHECK((pa & ~SS_ADDR) == 0);
    CHECK((pa & mask_lg2(page_lg2)) == 0);
    CHECK((prot & (PT_READ | PT_WRITE)) != 0);
    return pa | (prot & (PT_READ | PT_WRITE)) | (level > 0 ? SS_PAGE : 0);
}

static uint64_t vtdss_encode_table(uint64_t pa)
{
    CHECK((pa & ~SS_ADDR) == 0);
    return pa | SS_READ | SS_WRITE;
}

static_assert(SS_READ == PT_READ && SS_WRITE == PT_WRITE, "permission bits are shared");

const struct pt_format ptfmt_vtdss = {
    .name         = "vtdss",
    .summary      = "Intel VT-d second stage, 3 to 5 levels of 9 bits",
    .levels_min   = 3,
    .levels_max   = 5,
    .page_lg2     = 12,
    .index_lg2    = 9,
    .pa_lg2       = 52,
    .leaf_sizes   = UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30,
    .decode       = vtdss_decode,
    .encode_leaf  = vtdss_encode_leaf,
    .encode_table = vtdss_encode_table,
};
