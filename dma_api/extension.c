/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/extension.h"

#include "dma_api/domain.h"

enum { QUEUE_LG2 = 6 }; /* Commands: one page holds them and their status words. */

struct extension_driver {
    struct kernel *kernel;
    unsigned users;     /* Domains: the block's queues are one for all of them. */
    struct lock shared; /* Of bank 0, where all CPUs use that. */
    struct mmio_window *registers;
    phys_addr_t *queue; /* A page of each bank. */
    uint32_t *tail;
};

uint64_t extension_capabilities(struct kernel *k)
{
    return k->extension == NULL ? 0 : mmio_read64(k->extension, EXT_CAP);
}

static uint32_t bank_register(unsigned bank, uint32_t offset)
{
    return EXT_BANKS + bank * EXT_BANK + offset;
}

/* Commands first, then a word for each. */
static phys_addr_t command_at(const struct extension_driver *x, unsigned bank, uint32_t i)
{
    return x->queue[bank] + ((phys_addr_t)(i % (1U << QUEUE_LG2)) << EXT_COMMAND_LG2);
}

static phys_addr_t word_at(const struct extension_driver *x, unsigned bank, uint32_t i)
{
    return x->queue[bank] + (UINT64_C(1) << (QUEUE_LG2 + EXT_COMMAND_LG2))
           + 4 * (i % (1U << QUEUE_LG2));
}

static void place_queues(struct extension_driver *x)
{
    for (unsigned i = 0; i < x->kernel->cpus; i++) {
        x->queue[i] = kernel_pages_get_zeroed(x->kernel, 0);
        CHECK(x->queue[i] != 0);
        mmio_write64(x->registers, bank_register(i, EXT_QUEUE), x->queue[i] | QUEUE_LG2);
    }
}

struct extension_driver *extension_probe(struct kernel *k)
{
    const uint64_t cap         = extension_capabilities(k);
    struct extension_driver *x = k->extension_driver;
    if (cap == 0)
        return NULL;
    if (x != NULL) {
        x->users++;
        return x;
    }
    x                   = kernel_host_alloc(k, 1, sizeof *x);
    k->extension_driver = x;
    x->users            = 1;
    x->kernel           = k;
    x->registers        = k->extension;
    x->queue            = kernel_host_alloc(k, k->cpus, sizeof *x->queue);
    x->tail             = kernel_host_alloc(k, k->cpus, sizeof *x->tail);
    if (cap & EXT_CAP_QUEUES)
        place_queues(x);
    return x;
}

void extension_remove(struct extension_driver *x)
{
    struct kernel *k = x->kernel;
    if (--x->users > 0)
        return;
    k->extension_driver = NULL;
    for (unsigned i = 0; i < k->cpus; i++)
        if (x->queue[i] != 0)
            kernel_pages_put(k, x->queue[i], 0);
    kernel_host_free(k, x->queue);
    kernel_host_free(k, x->tail);
    kernel_host_free(k, x);
}

void extension_operate(struct extension_driver *x, const struct dma_domain *d,
                       enum ext_operation operation, uint64_t first, uint64_t last)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_submit);
    const unsigned bank        = cpu->id;
    cpu_irq_disable(cpu); /* The bank is this CPU's, but not its interrupts' at a time. */
    mmio_write64(x->registers, bank_register(bank, EXT_FIRST), first);
    mmio_write64(x->registers, bank_register(bank, EXT_LAST), last);
    mmio_write64(x->registers, bank_register(bank, EXT_GO), EXT_CONTROL(d->id, operation));
    x->kernel->stats.extension++;
    cpu_own(cpu, OWNER_inval_wait);
    while (mmio_read64(x->registers, bank_register(bank, EXT_GO)) != 0)
        cpu_relax(cpu);
    cpu_irq_enable(cpu);
    cpu_own(cpu, owner);
}

static void write_command(struct extension_driver *x, const struct dma_domain *d,
                          unsigned bank, uint32_t index, const struct flush_range *range)
{
    struct cpu *cpu        = cpu_this();
    const phys_addr_t at   = command_at(x, bank, index);
    const phys_addr_t word = word_at(x, bank, index);
    const bool tables      = range->tables.first != NULL;
    cpu_spend(cpu, x->kernel->cost.queue_slot_cycles);
    cpu_write32(cpu, word, 0);
    cpu_write64(cpu, at, range->iova);
    cpu_write64(cpu, at + 8, range->iova + range->bytes - 1);
    cpu_write64(cpu, at + 16, EXT_CONTROL(d->id, 0) | (tables ? 0 : EXT_LEAF_ONLY));
    cpu_write64(cpu, at + 24, word);
}

struct lock *extension_shared_lock(struct extension_driver *x)
{
    return &x->shared;
}

void extension_flush(struct extension_driver *x, const struct dma_domain *d, unsigned bank,
                     const struct flush_range *range)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_submit);
    cpu_irq_disable(cpu);
    cpu_spend(cpu, x->kernel->cost.flush_range_cycles);
    const uint32_t index = x->tail[bank]++;
    write_command(x, d, bank, index, range);
    mmio_write32(x->registers, bank_register(bank, EXT_TAIL), x->tail[bank]);
    x->kernel->stats.extension++;
    cpu_own(cpu, OWNER_inval_wait);
    while (cpu_read32(cpu, word_at(x, bank, index)) == 0) {
        cpu_spend(cpu, x->kernel->cost.poll_cycles);
        cpu_relax(cpu);
    }
    cpu_irq_enable(cpu);
    cpu_own(cpu, owner);
}

void extension_place_rings(struct extension_driver *x, dma_addr_t base, unsigned ring_lg2)
{
    mmio_write64(x->registers, EXT_RING_BASE, base);
    mmio_write64(x->registers, EXT_RING_LG2, ring_lg2);
}
