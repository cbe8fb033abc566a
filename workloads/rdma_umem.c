/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_umem.h"

#include "dma_api/kernel.h"

#define PARAM_OWNER struct umem_config
static const struct param_def umem_params[] = { UMEM_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table umem_param_table   = {
      .prefix = "umem",
      .text   = "Mapping a process's memory for an RDMA NIC",
      .def    = umem_params,
      .bytes  = sizeof(struct umem_config),
};

/* Nothing of a region may be copied, as a bounce buffer would: both sides use it at once.
 */
#define UMEM_ATTRS DMA_ATTR_REQUIRE_COHERENT
#define UMEM_DIR   DMA_BIDIRECTIONAL

enum { SEGMENT_BYTES_MAX = 1 << 30 };

/* ---- The pages --------------------------------------------------------------------------
 */

static void begin(struct rdma_umem *u, struct device *dev, const struct umem_config *config,
                  enum blk_api api, uint64_t address, uint64_t bytes)
{
    const uint64_t end = (address + bytes + PAGE_SIZE - 1) & PAGE_MASK;
    *u                 = (struct rdma_umem){ .dev    = dev,
                                             .config = config,
                                             .api    = api,
                                             .first  = address & PAGE_MASK,
                                             .pages  = (end - (address & PAGE_MASK)) >> PAGE_SHIFT };
    CHECK(bytes > 0);
}

/* Runs of pages that follow each other in memory; array NULL: only how many. */
static uint32_t runs(const struct rdma_umem *u, const struct umem_space *space,
                     struct blk_segment *array)
{
    uint32_t count = 0, bytes = 0;
    phys_addr_t next = 0;
    for (uint64_t i = 0; i < u->pages; i++) {
        const phys_addr_t phys =
            space->page(space->self, u->first + (i << PAGE_SHIFT)) & PAGE_MASK;
        if (count == 0 || phys != next || bytes >= SEGMENT_BYTES_MAX) {
            if (array != NULL)
                array[count] = (struct blk_segment){ phys, 0 };
            count++;
            bytes = 0;
        }
        if (array != NULL)
            array[count - 1].bytes += (uint32_t)PAGE_SIZE;
        bytes += (uint32_t)PAGE_SIZE;
        next = phys + PAGE_SIZE;
    }
    return count;
}

/* ---- Pinned
 * ------------------------------------------------------------------------------ */

static int map_list(struct rdma_umem *u, const struct blk_segment *segment)
{
    struct kernel *k = u->dev->kernel;
    struct scatterlist *sg;
    unsigned int i;
    u->sgl              = kernel_host_alloc(k, u->segments, sizeof *u->sgl);
    struct sg_table sgt = { .sgl = u->sgl, .orig_nents = u->segments };
    sg_init_table(u->sgl, u->segments);
    for_each_sg(u->sgl, sg, u->segments, i)
        sg_set_page(sg, phys_to_page(segment[i].phys), segment[i].bytes, 0);
    const int error = dma_map_sgtable(u->dev, &sgt, UMEM_DIR, UMEM_ATTRS);
    if (error != 0)
        return error == -ENOMEM ? -ENOMEM : -EIO;
    u->kind   = BLK_LIST;
    u->ranges = sgt.nents;
    for_each_sg(u->sgl, sg, sgt.nents, i) u->range[i] =
        (struct blk_range){ sg_dma_address(sg), sg_dma_len(sg) };
    return 0;
}

static void unmap_pieces(struct rdma_umem *u)
{
    for (uint32_t i = 0; dma_need_unmap(u->dev) && i < u->ranges; i++)
        dma_unmap_phys(u->dev, u->range[i].addr, u->range[i].bytes, UMEM_DIR, UMEM_ATTRS);
}

static int map_pieces(struct rdma_umem *u, const struct blk_segment *segment)
{
    u->kind = BLK_PIECES;
    for (u->ranges = 0; u->ranges < u->segments; u->ranges++) {
        const struct blk_segment *s = &segment[u->ranges];
        const dma_addr_t addr =
            dma_map_phys(u->dev, s->phys, s->bytes, UMEM_DIR, UMEM_ATTRS);
        if (dma_mapping_error(u->dev, addr)) {
            unmap_pieces(u);
            return -ENOMEM;
        }
        u->range[u->ranges] = (struct blk_range){ addr, s->bytes };
    }
    return 0;
}

/* The range is one; ranges of the list hold 32 bits of bytes each. */
static void describe_range(struct rdma_umem *u)
{
    uint64_t at   = u->state.addr;
    uint64_t left = u->pages << PAGE_SHIFT;
    for (u->ranges = 0; left > 0; u->ranges++) {
        const uint32_t bytes =
            left < SEGMENT_BYTES_MAX ? (uint32_t)left : SEGMENT_BYTES_MAX;
        u->range[u->ranges] = (struct blk_range){ at, bytes };
        at += bytes;
        left -= bytes;
    }
}

static int map_range(struct rdma_umem *u, const struct blk_segment *segment)
{
    const size_t bytes = u->pages << PAGE_SHIFT;
    size_t linked      = 0;
    if (!dma_iova_try_alloc(u->dev, &u->state, segment[0].phys, bytes))
        return map_pieces(u, segment);
    for (uint32_t i = 0; i < u->segments; i++) {
        const int error = dma_iova_link(u->dev, &u->state, segment[i].phys, linked,
                                        segment[i].bytes, UMEM_DIR, UMEM_ATTRS);
        if (error != 0) {
            if (linked > 0)
                dma_iova_destroy(u->dev, &u->state, linked, UMEM_DIR, UMEM_ATTRS);
            else
                dma_iova_free(u->dev, &u->state);
            if (error == -EOPNOTSUPP) /* A range that might be bounced. */
                return map_pieces(u, segment);
            return error == -ENOMEM ? -ENOMEM : -EIO;
        }
        linked += segment[i].bytes;
    }
    if (dma_iova_sync(u->dev, &u->state, 0, linked) != 0) {
        dma_iova_destroy(u->dev, &u->state, linked, UMEM_DIR, UMEM_ATTRS);
        return -EIO;
    }
    u->kind = BLK_COALESCED;
    describe_range(u);
    return 0;
}

static void forget_arrays(struct rdma_umem *u)
{
    kernel_host_free(u->dev->kernel, u->range);
    kernel_host_free(u->dev->kernel, u->sgl);
    u->range = NULL;
    u->sgl   = NULL;
}

int rdma_umem_map(struct rdma_umem *u, struct device *dev, const struct umem_config *config,
                  enum blk_api api, const struct umem_space *space, uint64_t address,
                  uint64_t bytes, bool pinned)
{
    struct kernel *k = dev->kernel;
    begin(u, dev, config, api, address, bytes);
    cpu_spend(cpu_this(), pinned ? u->pages * config->pin_cycles : 0);
    u->segments                 = runs(u, space, NULL);
    struct blk_segment *segment = kernel_host_alloc(k, u->segments, sizeof *segment);
    /* As many as runs, but a range of the IOVA API is also cut where 32 bits end. */
    u->range =
        kernel_host_alloc(k, u->segments + 1 + (u->pages << PAGE_SHIFT) / SEGMENT_BYTES_MAX,
                          sizeof *u->range);
    runs(u, space, segment);
    cpu_spend(cpu_this(), (uint64_t)u->segments * config->segment_cycles);
    const int error = api == BLK_sg     ? map_list(u, segment)
                      : api == BLK_iova ? map_range(u, segment)
                                        : map_pieces(u, segment);
    kernel_host_free(k, segment);
    if (error != 0)
        forget_arrays(u);
    return error;
}

void rdma_umem_unmap(struct rdma_umem *u, bool pinned)
{
    struct sg_table sgt = { .sgl = u->sgl, .nents = u->ranges, .orig_nents = u->segments };
    CHECK(!u->on_demand);
    if (u->kind == BLK_COALESCED)
        dma_iova_destroy(u->dev, &u->state, u->pages << PAGE_SHIFT, UMEM_DIR, UMEM_ATTRS);
    else if (u->kind == BLK_LIST)
        dma_unmap_sgtable(u->dev, &sgt, UMEM_DIR, UMEM_ATTRS);
    else
        unmap_pieces(u);
    cpu_spend(cpu_this(), pinned ? u->pages * u->config->pin_cycles / 2 : 0);
    forget_arrays(u);
    u->kind = BLK_UNMAPPED;
}

/* ---- What the NIC sees
 * -------------------------------------------------------------------- */

/* Bits in which the pages' addresses for the process and for the NIC differ, or at which
 * one run ends and another begins, cannot be offsets in a page (as ib_umem_find_best_pgsz).
 */
unsigned rdma_umem_page_lg2(const struct rdma_umem *u, uint64_t address, uint64_t bytes)
{
    uint64_t va = u->first, mask = 0;
    for (uint32_t i = 0; i < u->ranges; i++) {
        const bool joined =
            i > 0 && u->range[i - 1].addr + u->range[i - 1].bytes == u->range[i].addr;
        mask |= va ^ u->range[i].addr;
        if (i > 0 && !joined)
            mask |= va | u->range[i].addr;
        va += u->range[i].bytes;
    }
    /* No larger than what holds all of it. */
    const uint64_t differ = address ^ (address + bytes - 1);
    unsigned lg2          = differ == 0 ? 0 : 64 - (unsigned)__builtin_clzll(differ);
    if (mask != 0 && (unsigned)__builtin_ctzll(mask) < lg2)
        lg2 = (unsigned)__builtin_ctzll(mask);
    if (lg2 > u->config->page_lg2_max)
        lg2 = u->config->page_lg2_max;
    return lg2 < PAGE_SHIFT ? PAGE_SHIFT : lg2;
}

void rdma_umem_pages(const struct rdma_umem *u, unsigned page_lg2,
                     void (*put)(void *self, uint64_t index, dma_addr_t addr), void *self)
{
    const uint64_t mask = ((uint64_t)1 << page_lg2) - 1;
    uint64_t va = u->first, index = 0, next = u->first & ~mask;
    for (uint32_t i = 0; i < u->ranges; i++) {
        const uint64_t end = va + u->range[i].bytes;
        for (; next < end; next += mask + 1)
            put(self, index++, (u->range[i].addr + (next - va)) & ~mask);
        va = end;
    }
}

/* ---- On demand
 * ------------------------------------------------------------------------------ */

int rdma_umem_reserve(struct rdma_umem *u, struct device *dev,
                      const struct umem_config *config, enum blk_api api, uint64_t address,
                      uint64_t bytes)
{
    begin(u, dev, config, api, address, bytes);
    u->on_demand = true;
    if (api == BLK_iova)
        return hmm_dma_map_alloc(dev, &u->hmm, u->pages, PAGE_SIZE);
    if (dma_need_sync(dev, 0))
        return -EOPNOTSUPP;
    u->page_address = kernel_host_alloc(dev->kernel, u->pages, sizeof *u->page_address);
    for (uint64_t i = 0; i < u->pages; i++)
        u->page_address[i] = DMA_MAPPING_ERROR;
    return 0;
}

bool rdma_umem_has(const struct rdma_umem *u, uint64_t index)
{
    CHECK(index < u->pages);
    if (u->page_address == NULL)
        return (u->hmm.pfn_list[index] & HMM_PFN_DMA_MAPPED) != 0;
    return u->page_address[index] != DMA_MAPPING_ERROR;
}

dma_addr_t rdma_umem_fault(struct rdma_umem *u, uint64_t index, phys_addr_t phys)
{
    struct pci_p2pdma_map_state none = { 0 };
    CHECK(index < u->pages);
    cpu_spend(cpu_this(), u->config->fault_cycles);
    if (u->page_address == NULL) {
        hmm_pfn_fault(&u->hmm, index, phys, HMM_PFN_VALID | HMM_PFN_WRITE);
        return hmm_dma_map_pfn(u->dev, &u->hmm, index, &none);
    }
    if (u->page_address[index] == DMA_MAPPING_ERROR) {
        const dma_addr_t addr =
            dma_map_phys(u->dev, phys & PAGE_MASK, PAGE_SIZE, UMEM_DIR, UMEM_ATTRS);
        if (!dma_mapping_error(u->dev, addr))
            u->page_address[index] = addr;
    }
    return u->page_address[index];
}

bool rdma_umem_drop(struct rdma_umem *u, uint64_t index)
{
    CHECK(index < u->pages);
    if (u->page_address == NULL) {
        const bool dropped = hmm_dma_unmap_pfn(u->dev, &u->hmm, index);
        u->hmm.pfn_list[index] &= HMM_PFN_STICKY;
        return dropped;
    }
    if (u->page_address[index] == DMA_MAPPING_ERROR)
        return false;
    dma_unmap_phys(u->dev, u->page_address[index], PAGE_SIZE, UMEM_DIR, UMEM_ATTRS);
    u->page_address[index] = DMA_MAPPING_ERROR;
    return true;
}

void rdma_umem_release(struct rdma_umem *u)
{
    CHECK(u->on_demand);
    if (u->page_address == NULL)
        hmm_dma_map_free(u->dev, &u->hmm);
    kernel_host_free(u->dev->kernel, u->page_address);
    u->page_address = NULL;
    u->on_demand    = false;
}
