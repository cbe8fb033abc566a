/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver - the checksum engine's driver, as it would be in Linux: it maps a page, rings the
 * doorbell, waits for the interrupt, unmaps, and looks at the result.
 */
#include "checksum.h"
#include "dma_api/dma-mapping.h"

enum { VECTOR = 40 };

static void on_interrupt(void *arg)
{
    struct checksum_driver *d = arg;
    d->done                   = true;
}

/* Numbers that differ from word to word and from buffer to buffer; their sum is returned.
 */
static uint32_t fill(phys_addr_t phys, uint32_t seed)
{
    uint32_t sum = 0;
    for (unsigned at = 0; at < PAGE_SIZE; at += 4) {
        seed = seed * 1664525u + 1013904223u;
        sum += seed;
        cpu_write32(cpu_this(), phys + at, seed);
    }
    return sum;
}

static int probe(void *self)
{
    struct checksum_driver *d = self;
    struct device *dev        = iovasim_device(d->slot);
    const int error           = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
    if (error != 0)
        return error;
    d->result = dma_alloc_coherent(dev, PAGE_SIZE, &d->result_addr, GFP_KERNEL);
    if (d->result == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < CHECKSUM_BUFFERS; i++) {
        d->buffer[i] = kernel_pages_get(dev->kernel, 0); /* Memory does not run out here. */
        d->sum[i]    = fill(d->buffer[i], i);
    }
    d->right = 0;
    cpu_handle(cpu_this(), VECTOR, on_interrupt, d);
    mmio_write64(iovasim_registers(d->slot), CHECKSUM_RESULT, d->result_addr);
    mmio_write32(iovasim_registers(d->slot), CHECKSUM_VECTOR, cpu_this()->id << 8 | VECTOR);
    return 0;
}

static void do_job(struct checksum_driver *d, unsigned i)
{
    struct device *dev       = iovasim_device(d->slot);
    struct mmio_window *regs = iovasim_registers(d->slot);
    struct cpu *cpu          = cpu_this();
    void *data               = phys_to_virt(d->buffer[i]);
    const dma_addr_t addr    = dma_map_single(dev, data, PAGE_SIZE, DMA_TO_DEVICE);
    if (dma_mapping_error(dev, addr))
        kernel_panic(dev->kernel, "no mapping for job %u", i);
    d->done = false;
    mmio_write64(regs, CHECKSUM_SOURCE, addr);
    mmio_write32(regs, CHECKSUM_LENGTH, (uint32_t)PAGE_SIZE);
    mmio_write32(regs, CHECKSUM_GO, 1);
    if (d->impatient) {
        while (!mmio_read32(regs, CHECKSUM_GO))
            cpu_relax(cpu);
        dma_unmap_single(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
    }
    while (!d->done)
        cpu_wait(cpu, TIME_NEVER);
    if (!d->impatient)
        dma_unmap_single(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
    const phys_addr_t result = virt_to_phys(d->result);
    if (cpu_read64(cpu, result + 8) == CHECKSUM_GOOD
        && cpu_read64(cpu, result) == d->sum[i])
        d->right++;
}

static void run(void *self)
{
    struct checksum_driver *d = self;
    for (unsigned job = 0; job < d->jobs; job++)
        do_job(d, job % CHECKSUM_BUFFERS);
}

/* The interrupt comes before the engine knows that its writes have arrived. */
static void remove_driver(void *self)
{
    struct checksum_driver *d = self;
    struct device *dev        = iovasim_device(d->slot);
    while (mmio_read32(iovasim_registers(d->slot), CHECKSUM_GO))
        cpu_relax(cpu_this());
    for (unsigned i = 0; i < CHECKSUM_BUFFERS; i++)
        kernel_pages_put(dev->kernel, d->buffer[i], 0);
    dma_free_coherent(dev, PAGE_SIZE, d->result, d->result_addr);
}

const struct iovasim_program checksum_program = { .probe  = probe,
                                                  .run    = run,
                                                  .remove = remove_driver };
