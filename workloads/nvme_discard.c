/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvme_discard.h"

#include "dma_api/kernel.h"

bool nvme_discard_get(struct nvme_request *r)
{
    struct nvme_driver *d  = r->queue->driver;
    struct cpu *cpu        = cpu_this();
    const uint32_t block   = d->format.block_bytes;
    const uint64_t lba     = r->io.lba / (block >> NVME_SECTOR_LG2);
    const uint32_t blocks  = (uint32_t)(((uint64_t)r->io.bytes + block - 1) / block);
    const phys_addr_t page = kernel_pages_get_zeroed(d->kernel, 0);
    if (page == 0)
        return false;
    cpu_write64(cpu, page, (uint64_t)blocks << 32);
    cpu_write64(cpu, page + 8, lba);
    r->payload     = (struct blk_segment){ page, PAGE_SIZE };
    r->io.segment  = &r->payload;
    r->io.segments = 1;
    return true;
}

void nvme_discard_put(struct nvme_request *r)
{
    kernel_pages_put(r->queue->driver->kernel, r->payload.phys, 0);
    r->io.segments = 0;
}
