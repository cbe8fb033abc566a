/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmio - a device's registers as a CPU reaches them: uncached, over a path with latency.
 *
 * Writes are posted: the CPU goes on, and the device sees them in order one way later. A
 * read stalls the CPU for both ways and is answered after the writes that went before it.
 */
#ifndef SIM_BASE_MMIO_H
#define SIM_BASE_MMIO_H

#include "sim/base/cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a device offers. offset is in bytes; bytes is 4 or 8. */
struct mmio_ops {
    void (*write)(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                  sim_time_t now);
    uint64_t (*read)(void *self, uint32_t offset, unsigned bytes, sim_time_t now);
};

struct mmio_posted {
    sim_time_t arrives;
    uint64_t value;
    uint32_t offset;
    unsigned bytes;
};

#define RING_NAME mmio_ring
#define RING_ITEM struct mmio_posted
#include "sim/base/ring.h"

enum { MMIO_POSTED_MAX = 1024 };

struct mmio_window {
    const struct mmio_ops *ops;
    void *self;
    uint64_t one_way_ps;
    sim_time_t *due;
    struct mmio_ring posted;
};

/* A block of engine. */
void mmio_init(struct mmio_window *w, struct engine *engine, const char *name,
               const struct mmio_ops *ops, void *self, uint64_t one_way_ps);
void mmio_free(struct mmio_window *w);

void mmio_write32(struct mmio_window *w, uint32_t offset, uint32_t value);
void mmio_write64(struct mmio_window *w, uint32_t offset, uint64_t value);
uint32_t mmio_read32(struct mmio_window *w, uint32_t offset);
uint64_t mmio_read64(struct mmio_window *w, uint32_t offset);

#ifdef __cplusplus
}
#endif

#endif
