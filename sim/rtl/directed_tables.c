/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/directed_tables.h"

#include <stdio.h>
#include <string.h>

#include "iommu_model/ptfmt.h"
#include "iommu_model/riscv_spec.h"

#define TABLES_BASE UINT64_C(0x80100000)
#define IOVA_BASE   UINT64_C(0x1000000000)
#define GUEST_BASE  UINT64_C(0x900000000)
#define PA_BASE     UINT64_C(0x800000000)

enum { PAGE_BYTES = 4096, PAGE_LEVELS = 3, ROOT2_PAGES = 4 };

/* ---- Pages -----------------------------------------------------------------------------
 */

static uint64_t take(struct directed_tables *t, uint32_t pages, const char *name,
                     unsigned level)
{
    const uint64_t bytes = (uint64_t)pages * PAGE_BYTES;
    CHECK(t->region_count < DIRECTED_REGIONS_MAX);
    struct directed_region *const r = &t->region[t->region_count++];
    t->next_page                    = (t->next_page + bytes - 1) & ~(bytes - 1);
    r->base                         = t->next_page;
    r->bytes                        = bytes;
    snprintf(r->kind, sizeof r->kind, level == UINT32_MAX ? "%s" : "%s%u", name, level);
    t->next_page += bytes;
    return r->base;
}

const char *directed_tables_kind(const struct directed_tables *t, uint64_t pa)
{
    for (uint32_t i = 0; i < t->region_count; i++)
        if (pa - t->region[i].base < t->region[i].bytes)
            return t->region[i].kind;
    return "?";
}

/* The table below a non-leaf entry; a new page called name and level if there is none. */
static uint64_t below(struct directed_tables *t, uint64_t entry, const char *name,
                      unsigned level)
{
    uint64_t value = memory_read64(t->memory, entry);
    if (value == 0) {
        value = riscv_directory_entry(take(t, 1, name, level));
        memory_write64(t->memory, entry, value);
    }
    return RISCV_PPN_53_10(value);
}

/* ---- Page tables -----------------------------------------------------------------------
 */

static uint64_t page_entry(uint64_t pa, uint64_t flags)
{
    return pa >> 12 << 10 | flags;
}

static uint64_t entry_offset(const struct pt_format *f, unsigned level, uint64_t address)
{
    return pt_entry_offset(f, level, level + 1 == PAGE_LEVELS, address);
}

static void map_guest(struct directed_tables *t, uint64_t guest, uint64_t pa,
                      uint64_t flags)
{
    const struct pt_format *f = ptfmt_find("rvs2");
    const unsigned lg2        = t->scenario->stage2_lg2;
    const unsigned leaf       = pt_leaf_level(f, lg2);
    uint64_t table            = t->stage2;
    for (unsigned level = PAGE_LEVELS - 1; level > leaf; level--)
        table = below(t, table + entry_offset(f, level, guest), "G_L", level - 1);
    memory_write64(t->memory, table + entry_offset(f, leaf, guest),
                   flags == 0 ? 0 : page_entry(align_down(pa, lg2), flags));
}

/* A page of first-stage tables, which the second stage maps one to one. */
static void map_table(struct directed_tables *t, uint64_t table)
{
    if (t->scenario->stages & DIRECTED_STAGE2)
        map_guest(t, table, table, DIRECTED_PTE);
}

static uint64_t below1(struct directed_tables *t, uint64_t entry, unsigned level)
{
    const bool fresh     = memory_read64(t->memory, entry) == 0;
    const uint64_t table = below(t, entry, "S_L", level);
    if (fresh)
        map_table(t, table);
    return table;
}

static void map_stage1(struct directed_tables *t, uint64_t iova, uint64_t to,
                       uint64_t flags)
{
    const struct pt_format *f = ptfmt_find("rvs1");
    const unsigned leaf       = pt_leaf_level(f, t->scenario->stage1_lg2);
    uint64_t table            = t->stage1;
    for (unsigned level = PAGE_LEVELS - 1; level > leaf; level--)
        table = below1(t, table + entry_offset(f, level, iova), level - 1);
    memory_write64(t->memory, table + entry_offset(f, leaf, iova), page_entry(to, flags));
}

static uint64_t displacement(const struct directed_scenario *s, uint64_t page)
{
    const unsigned lg2 = s->stage1_lg2 > s->stage2_lg2 ? s->stage1_lg2 : s->stage2_lg2;
    return page << (lg2 == 0 ? 12 : lg2);
}

uint64_t directed_iova(const struct directed_scenario *s, uint64_t page)
{
    return IOVA_BASE + displacement(s, page);
}

uint64_t directed_guest(const struct directed_scenario *s, uint64_t page)
{
    return s->stages & DIRECTED_STAGE1 ? GUEST_BASE + displacement(s, page)
                                       : directed_iova(s, page);
}

uint64_t directed_pa(const struct directed_scenario *s, uint64_t page)
{
    return PA_BASE + displacement(s, page);
}

void directed_tables_map(struct directed_tables *t, uint64_t page, uint64_t flags)
{
    const struct directed_scenario *s = t->scenario;
    const bool both                   = s->stages == (DIRECTED_STAGE1 | DIRECTED_STAGE2);
    const uint64_t guest = directed_guest(s, page), pa = directed_pa(s, page);
    if (s->stages & DIRECTED_STAGE2)
        map_guest(t, guest, pa, both ? DIRECTED_PTE : flags);
    if (s->stages & DIRECTED_STAGE1)
        map_stage1(t, directed_iova(s, page), both ? guest : pa, flags);
}

void directed_tables_unmap_guest(struct directed_tables *t, uint64_t page)
{
    CHECK(t->scenario->stages & DIRECTED_STAGE2);
    map_guest(t, directed_guest(t->scenario, page), 0, 0);
}

/* ---- Devices and processes -------------------------------------------------------------
 */

uint64_t directed_tables_device_root(struct directed_tables *t, uint32_t device)
{
    const struct directed_scenario *s = t->scenario;
    const unsigned top                = s->device_levels - 1;
    const unsigned index              = riscv_device_index(device, top, s->extended);
    const unsigned leaf_bytes = s->extended ? RISCV_DC_EXTENDED_BYTES : RISCV_DC_BYTES;
    return t->devices + (uint64_t)index * (top == 0 ? leaf_bytes : 8);
}

uint64_t directed_tables_device(struct directed_tables *t, uint32_t device)
{
    const struct directed_scenario *s = t->scenario;
    const unsigned leaf_bytes = s->extended ? RISCV_DC_EXTENDED_BYTES : RISCV_DC_BYTES;
    uint64_t entry            = directed_tables_device_root(t, device);
    for (unsigned level = s->device_levels - 1; level > 0; level--)
        entry = below(t, entry, "DDT_L", level)
                + (uint64_t)riscv_device_index(device, level - 1, s->extended)
                      * (level == 1 ? leaf_bytes : 8);
    return entry;
}

static void write_device(struct directed_tables *t, uint32_t device, uint64_t control,
                         uint64_t iohgatp, uint64_t attributes, uint64_t first_stage)
{
    const uint64_t at     = directed_tables_device(t, device);
    const uint64_t word[] = { control, iohgatp, attributes, first_stage };
    for (unsigned i = 0; i < 4;
         i++) /* What an extended context has more stays 0: no MSI. */
        memory_write64(t->memory, at + 8 * i, word[i]);
}

static uint64_t stage1_word(const struct directed_tables *t)
{
    return t->stage1 == 0 ? 0 : riscv_table(RISCV_SV39, t->stage1);
}

void directed_tables_attach(struct directed_tables *t, uint32_t device)
{
    const struct directed_scenario *s = t->scenario;
    const uint64_t iohgatp =
        t->stage2 == 0 ? 0 : riscv_iohgatp(RISCV_SV39, DIRECTED_GSCID, t->stage2);
    if (s->process_levels == 0) {
        write_device(t, device, RISCV_VALID, iohgatp, RISCV_TA_PSCID(DIRECTED_PSCID),
                     stage1_word(t));
        return;
    }
    const enum riscv_table_mode mode = (enum riscv_table_mode)s->process_levels;
    write_device(t, device, RISCV_VALID | RISCV_TC_PDTV, iohgatp, 0,
                 riscv_table(mode, t->processes));
}

void directed_tables_attach_bare(struct directed_tables *t, uint32_t device)
{
    write_device(t, device, RISCV_VALID, 0, 0, 0);
}

uint64_t directed_tables_process(struct directed_tables *t, uint32_t process)
{
    uint64_t table = t->processes;
    CHECK(t->scenario->process_levels > 0);
    for (unsigned level = t->scenario->process_levels - 1; level > 0; level--) {
        table =
            below(t, table + riscv_process_index(process, level) * 8ull, "PDT_L", level);
        map_table(t, table);
    }
    return table + riscv_process_index(process, 0) * (uint64_t)RISCV_PC_BYTES;
}

void directed_tables_attach_process(struct directed_tables *t, uint32_t process,
                                    uint32_t pscid)
{
    const uint64_t at = directed_tables_process(t, process);
    memory_write64(t->memory, at, RISCV_VALID | RISCV_TA_PSCID(pscid));
    memory_write64(t->memory, at + 8, stage1_word(t));
}

/* ---- All of them -----------------------------------------------------------------------
 */

void directed_tables_init(struct directed_tables *t, const struct directed_scenario *s,
                          struct memory *memory)
{
    memset(t, 0, sizeof *t);
    t->memory    = memory;
    t->scenario  = s;
    t->next_page = TABLES_BASE;
    t->devices   = take(t, 1, "DDT_L", s->device_levels);
    t->commands  = take(t, 1, "CQ", UINT32_MAX);
    t->faults    = take(t, 1, "FQ", UINT32_MAX);
    t->fence     = take(t, 1, "FENCEDATA", UINT32_MAX);
    if (s->stages & DIRECTED_STAGE2)
        t->stage2 = take(t, ROOT2_PAGES, "G_L", PAGE_LEVELS - 1);
    if (s->stages & DIRECTED_STAGE1) {
        t->stage1 = take(t, 1, "S_L", PAGE_LEVELS - 1);
        map_table(t, t->stage1);
    }
    if (s->process_levels > 0) {
        t->processes = take(t, 1, "PDT_L", s->process_levels);
        map_table(t, t->processes);
    }
}
