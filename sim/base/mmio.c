/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mmio.h"

static void mmio_step(void *self, sim_time_t now)
{
    struct mmio_window *w = self;
    while (!mmio_ring_empty(&w->posted) && mmio_ring_front(&w->posted)->arrives <= now) {
        const struct mmio_posted p = *mmio_ring_front(&w->posted);
        mmio_ring_pop(&w->posted);
        w->ops->write(w->self, p.offset, p.value, p.bytes, now);
    }
    *w->due =
        mmio_ring_empty(&w->posted) ? TIME_NEVER : mmio_ring_front(&w->posted)->arrives;
}

void mmio_init(struct mmio_window *w, struct engine *engine, const char *name,
               const struct mmio_ops *ops, void *self, uint64_t one_way_ps)
{
    w->ops        = ops;
    w->self       = self;
    w->one_way_ps = one_way_ps;
    mmio_ring_init(&w->posted, MMIO_POSTED_MAX);
    w->due = engine_add_block(engine, name, mmio_step, w);
}

void mmio_free(struct mmio_window *w)
{
    mmio_ring_free(&w->posted);
}

static void post(struct mmio_window *w, uint32_t offset, uint64_t value, unsigned bytes)
{
    struct cpu *cpu = cpu_this();
    CHECK(offset % bytes == 0);
    cpu_spend(cpu, cpu->config->uncached_write_cycles);
    cpu_sync(cpu);
    *mmio_ring_push(&w->posted) =
        (struct mmio_posted){ cpu->time + w->one_way_ps, value, offset, bytes };
    if (*w->due == TIME_NEVER)
        *w->due = cpu->time + w->one_way_ps;
}

static uint64_t fetch(struct mmio_window *w, uint32_t offset, unsigned bytes)
{
    struct cpu *cpu = cpu_this();
    CHECK(offset % bytes == 0);
    cpu_sync(cpu);
    cpu_stall_until(cpu, cpu->time + w->one_way_ps);
    const uint64_t value = w->ops->read(w->self, offset, bytes, cpu->time);
    cpu_stall_until(cpu, cpu->time + w->one_way_ps);
    return value;
}

void mmio_write32(struct mmio_window *w, uint32_t offset, uint32_t value)
{
    post(w, offset, value, 4);
}

void mmio_write64(struct mmio_window *w, uint32_t offset, uint64_t value)
{
    post(w, offset, value, 8);
}

uint32_t mmio_read32(struct mmio_window *w, uint32_t offset)
{
    return (uint32_t)fetch(w, offset, 4);
}

uint64_t mmio_read64(struct mmio_window *w, uint32_t offset)
{
    return fetch(w, offset, 8);
}
