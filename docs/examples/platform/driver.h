/* SPDX-License-Identifier: Apache-2.0 */
/* driver - programs an IOMMU the way an operating system does: tables and commands in
 * memory, registers through a window. Plain C; it knows nothing of SystemC. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How this driver reaches the platform. */
struct bus {
    void (*write_memory)(void *self, uint64_t address, uint64_t value); /* 8 bytes */
    uint64_t (*read_memory)(void *self, uint64_t address);
    void (*write_register)(void *self, uint32_t offset, uint64_t value, unsigned bytes);
    uint64_t (*read_register)(void *self, uint32_t offset, unsigned bytes);
    void *self;
};

/* Maps pages of 4 KiB from iova on to pa for one device and switches translation on. The
 * tables are written from the page at tables on. */
void vtd_start(const struct bus *bus, uint64_t tables, unsigned device, uint64_t iova,
               uint64_t pa, unsigned pages);
void riscv_start(const struct bus *bus, uint64_t tables, unsigned device, uint64_t iova,
                 uint64_t pa, unsigned pages);

/* Takes the first page away again: clears its entry, invalidates, and waits until the IOMMU
 * has written the status word. */
void vtd_unmap_first(const struct bus *bus, uint64_t tables, uint64_t iova);
void riscv_unmap_first(const struct bus *bus, uint64_t tables, uint64_t iova);

#ifdef __cplusplus
}
#endif

#endif
