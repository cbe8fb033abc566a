/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

/* Where things lie, in pages from the start of the tables. */
enum { TOP, CONTEXTS, LEVEL2, LEVEL1, LEVEL0, LEVEL3, QUEUE, STATUS };

static uint64_t page(uint64_t tables, unsigned number)
{
    return tables + 4096ull * number;
}

static void clear(const struct bus *bus, uint64_t tables)
{
    for (unsigned i = 0; i < 8 * 512; i++)
        bus->write_memory(bus->self, tables + 8ull * i, 0);
}

static uint64_t slot(uint64_t table, uint64_t iova, unsigned level)
{
    return table + 8 * (iova >> (12 + 9 * level) & 511);
}

/* ---- Intel VT-d, legacy mode: root table, context table, four levels */

enum {
    VTD_GCMD   = 0x18,
    VTD_GSTS   = 0x1c,
    VTD_RTADDR = 0x20,
    VTD_IQT    = 0x88,
    VTD_IQA    = 0x90,
};
#define VTD_TE  (1u << 31) /* translation */
#define VTD_RTP (1u << 30) /* root table pointer */
#define VTD_QI  (1u << 26) /* queued invalidation */

static void vtd_command(const struct bus *bus, uint32_t command, uint32_t wanted)
{
    bus->write_register(bus->self, VTD_GCMD, command, 4);
    while (!(bus->read_register(bus->self, VTD_GSTS, 4) & wanted)) {
    }
}

void vtd_start(const struct bus *bus, uint64_t tables, unsigned device, uint64_t iova,
               uint64_t pa, unsigned pages)
{
    const uint64_t level[] = { page(tables, LEVEL0), page(tables, LEVEL1),
                               page(tables, LEVEL2), page(tables, LEVEL3) };
    const uint64_t context = page(tables, CONTEXTS) + 16 * (device & 255);
    clear(bus, tables);
    bus->write_memory(bus->self, page(tables, TOP) + 16 * (device >> 8),
                      page(tables, CONTEXTS) | 1);
    bus->write_memory(bus->self, context, level[3] | 1);
    bus->write_memory(bus->self, context + 8, 2 /* four levels */ | 1 << 8 /* domain */);
    for (unsigned l = 3; l > 0; l--)
        bus->write_memory(bus->self, slot(level[l], iova, l), level[l - 1] | 3);
    for (unsigned i = 0; i < pages; i++)
        bus->write_memory(bus->self, slot(level[0], iova, 0) + 8 * i,
                          (pa + 4096ull * i) | 3);
    bus->write_register(bus->self, VTD_RTADDR, page(tables, TOP), 8);
    vtd_command(bus, VTD_RTP, VTD_RTP);
    bus->write_register(bus->self, VTD_IQA, page(tables, QUEUE), 8);
    bus->write_register(bus->self, VTD_IQT, 0, 8);
    vtd_command(bus, VTD_QI, VTD_QI);
    vtd_command(bus, VTD_QI | VTD_TE, VTD_TE);
}

void vtd_unmap_first(const struct bus *bus, uint64_t tables, uint64_t iova)
{
    const uint64_t queue = page(tables, QUEUE), status = page(tables, STATUS);
    bus->write_memory(bus->self, slot(page(tables, LEVEL0), iova, 0), 0);
    /* IOTLB invalidate of one page of domain 1, draining; then a wait that writes 1. */
    bus->write_memory(bus->self, queue, 2 | 3 << 4 | 3 << 6 | 1 << 16);
    bus->write_memory(bus->self, queue + 8, iova);
    bus->write_memory(bus->self, queue + 16, 5 | 1 << 5 | 1ull << 32);
    bus->write_memory(bus->self, queue + 24, status);
    bus->write_register(bus->self, VTD_IQT, 32, 8);
    while ((bus->read_memory(bus->self, status) & 0xffffffff) != 1) {
    }
}

/* ---- RISC-V IOMMU: device directory of one level, Sv39 */

enum {
    RISCV_CAPABILITIES = 0x00,
    RISCV_DDTP         = 0x10,
    RISCV_CQB          = 0x18,
    RISCV_CQT          = 0x24,
    RISCV_CQCSR        = 0x48,
};
#define RISCV_MSI_FLAT (1ull << 22) /* then device contexts have 64 bytes */

static uint64_t ppn(uint64_t address)
{
    return address >> 12 << 10;
}

void riscv_start(const struct bus *bus, uint64_t tables, unsigned device, uint64_t iova,
                 uint64_t pa, unsigned pages)
{
    const uint64_t capabilities = bus->read_register(bus->self, RISCV_CAPABILITIES, 8);
    const uint64_t bytes        = capabilities & RISCV_MSI_FLAT ? 64 : 32;
    const uint64_t context      = page(tables, TOP) + bytes * device;
    const uint64_t level[]      = { page(tables, LEVEL0), page(tables, LEVEL1),
                                    page(tables, LEVEL2) };
    clear(bus, tables);
    bus->write_memory(bus->self, context, 1);
    bus->write_memory(bus->self, context + 16, 1 << 12 /* PSCID */);
    bus->write_memory(bus->self, context + 24, 8ull << 60 /* Sv39 */ | level[2] >> 12);
    for (unsigned l = 2; l > 0; l--)
        bus->write_memory(bus->self, slot(level[l], iova, l), ppn(level[l - 1]) | 1);
    for (unsigned i = 0; i < pages; i++) /* D A U W R V */
        bus->write_memory(bus->self, slot(level[0], iova, 0) + 8 * i,
                          ppn(pa + 4096ull * i) | 0xd7);
    bus->write_register(bus->self, RISCV_CQB, ppn(page(tables, QUEUE)) | 7, 8);
    bus->write_register(bus->self, RISCV_CQCSR, 1, 4);
    bus->write_register(bus->self, RISCV_DDTP, ppn(page(tables, TOP)) | 2, 8);
}

void riscv_unmap_first(const struct bus *bus, uint64_t tables, uint64_t iova)
{
    const uint64_t queue = page(tables, QUEUE), status = page(tables, STATUS);
    bus->write_memory(bus->self, slot(page(tables, LEVEL0), iova, 0), 0);
    /* IOTINVAL.VMA of one address of PSCID 1; then IOFENCE.C that writes 1. */
    bus->write_memory(bus->self, queue, 1 | 1 << 10 | 1 << 12 | 1ull << 32);
    bus->write_memory(bus->self, queue + 8, iova >> 12 << 10);
    bus->write_memory(bus->self, queue + 16, 2 | 1 << 10 | 3 << 12 | 1ull << 32);
    bus->write_memory(bus->self, queue + 24, status >> 2);
    bus->write_register(bus->self, RISCV_CQT, 2, 4);
    while ((bus->read_memory(bus->self, status) & 0xffffffff) != 1) {
    }
}
