/* SPDX-License-Identifier: Apache-2.0 */
/* first - what mapping a page costs a driver (docs/library.md). */
#include <iovasim.h>

static void driver(void *slot)
{
    struct device *dev     = iovasim_device(slot);
    const phys_addr_t page = kernel_pages_get(dev->kernel, 0);
    for (int i = 0; i < 1000; i++) {
        dma_addr_t addr = dma_map_phys(dev, page, PAGE_SIZE, DMA_TO_DEVICE, 0);
        if (dma_mapping_error(dev, addr))
            kernel_panic(dev->kernel, "there is no mapping %d", i);
        dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_TO_DEVICE, 0);
    }
    kernel_pages_put(dev->kernel, page, 0);
}

int main(void)
{
    struct iovasim_machine *m = iovasim_new("vtd-server");
    struct iovasim_slot *slot = iovasim_add_device(m, "nic0", NULL, NULL);
    iovasim_set(m, "iotlb.sets", "32");
    iovasim_set_policy(m, "strict");
    if (!iovasim_run(m, &(struct iovasim_program){ .run = driver }, slot)) {
        fprintf(stderr, "%s\n", iovasim_error(m));
        return 1;
    }
    iovasim_print(m, stdout);
    iovasim_free(m);
    return 0;
}
