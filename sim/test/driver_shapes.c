/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_shapes - a driver that uses every call of the DMA API as the kernel's
 * documentation (core-api/dma-api, dma-api-howto, dma-attributes) says it is to be used.
 *
 * It includes the public header and nothing else; that it compiles is half of the test.
 * driver_shapes_test.c runs it behind each kind of device.
 */
#include "dma_api/dma-mapping.h"

enum { SHAPE_BYTES = 3 * 4096, SHAPE_PIECES = 3 };

/* What a driver remembers of a buffer that it has mapped. */
struct shape_buffer {
    DEFINE_DMA_UNMAP_ADDR(addr);
    DEFINE_DMA_UNMAP_LEN(len);
};

/* ---- Probe: what the device can address ------------------------------------------------
 */

static int set_up(struct device *dev)
{
    int error = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
    if (error != 0)
        error = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32));
    if (error != 0)
        return error;
    error = dma_set_mask(dev, DMA_BIT_MASK(64));
    if (error == 0)
        error = dma_set_coherent_mask(dev, DMA_BIT_MASK(64));
    dma_set_max_seg_size(dev, 65536);
    dma_set_seg_boundary(dev, 0xffffffffUL);
    dma_set_min_align_mask(dev, 4095);
    return error;
}

/* A device on a bus that set no mask up. */
static int set_up_coerced(struct device *dev)
{
    uint64_t *mask  = dev->dma_mask;
    const int error = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
    dev->dma_mask   = mask;
    return error;
}

static int questions(struct device *dev)
{
    size_t transfer = dma_max_mapping_size(dev);
    if (dma_opt_mapping_size(dev) < transfer)
        transfer = dma_opt_mapping_size(dev);
    if (transfer < SHAPE_BYTES || dma_addressing_limited(dev))
        return -EINVAL;
    if (dma_get_mask(dev) < dma_get_required_mask(dev))
        return -EINVAL;
    if (dma_get_max_seg_size(dev) != 65536 || dma_get_min_align_mask(dev) != 4095)
        return -EINVAL;
    if (dma_get_seg_boundary(dev) != 0xffffffffUL
        || dma_get_seg_boundary_nr_pages(dev, PAGE_SHIFT) != 1UL << 20)
        return -EINVAL;
    return dma_pci_p2pdma_supported(dev) ? 0 : -EINVAL;
}

/* ---- Streaming mappings ----------------------------------------------------------------
 */

/* A received packet: the CPU looks at its header while it stays mapped. */
static int receive(struct device *dev, void *packet, size_t size)
{
    struct shape_buffer b;
    const dma_addr_t addr = dma_map_single(dev, packet, size, DMA_FROM_DEVICE);
    if (dma_mapping_error(dev, addr) != 0)
        return -ENOMEM;
    dma_unmap_addr_set(&b, addr, addr);
    dma_unmap_len_set(&b, len, (uint32_t)size);
    if (dma_need_sync(dev, addr)) {
        dma_sync_single_for_cpu(dev, addr, 64, DMA_FROM_DEVICE);
        dma_sync_single_for_device(dev, addr, 64, DMA_FROM_DEVICE);
    }
    dma_sync_single_range_for_cpu(dev, addr, 64, 64, DMA_FROM_DEVICE);
    dma_sync_single_range_for_device(dev, addr, 64, 64, DMA_FROM_DEVICE);
    if (dma_need_unmap(dev) || dma_need_sync(dev, addr))
        dma_unmap_single(dev, dma_unmap_addr(&b, addr), dma_unmap_len(&b, len),
                         DMA_FROM_DEVICE);
    return 0;
}

static int pages(struct device *dev, struct page *page)
{
    dma_addr_t addr = dma_map_page(dev, page, 512, 1024, DMA_TO_DEVICE);
    if (dma_mapping_error(dev, addr) != 0)
        return -ENOMEM;
    dma_unmap_page(dev, addr, 1024, DMA_TO_DEVICE);
    addr = dma_map_page_attrs(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL,
                              DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_WEAK_ORDERING);
    if (dma_mapping_error(dev, addr) != 0)
        return -ENOMEM;
    dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
    addr = dma_map_single_attrs(dev, phys_to_virt(page_to_phys(page)), PAGE_SIZE,
                                DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
    if (dma_mapping_error(dev, addr) != 0)
        return -ENOMEM;
    dma_unmap_single_attrs(dev, addr, PAGE_SIZE, DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
    return 0;
}

/* Registers of another device, by both of their names. */
static int registers(struct device *dev, phys_addr_t bar)
{
    dma_addr_t addr = dma_map_resource(dev, bar, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
    if (dma_mapping_error(dev, addr) != 0)
        return -ENOMEM;
    dma_unmap_resource(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
    addr = dma_map_phys(dev, bar, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
    if (dma_mapping_error(dev, addr) != 0)
        return -ENOMEM;
    dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
    return 0;
}

/* ---- Scatter lists ---------------------------------------------------------------------
 */

static void fill_list(struct scatterlist *list, struct page *page)
{
    struct scatterlist *sg;
    int i;
    sg_init_table(list, SHAPE_PIECES);
    for_each_sg(list, sg, SHAPE_PIECES, i)
    {
        if (i == 0)
            sg_set_buf(sg, phys_to_virt(page_to_phys(page)), PAGE_SIZE);
        else
            sg_set_page(sg, phys_to_page(page_to_phys(page) + (phys_addr_t)i * PAGE_SIZE),
                        PAGE_SIZE, 0);
    }
}

/* Tells the hardware count segments; returns the bytes that they have. */
static size_t write_descriptors(struct scatterlist *list, unsigned count)
{
    struct scatterlist *sg;
    size_t bytes = 0;
    unsigned i;
    for_each_sg(list, sg, count, i)
    {
        if (sg_dma_address(sg) != DMA_MAPPING_ERROR)
            bytes += sg_dma_len(sg);
    }
    return bytes;
}

/* The same bytes, as the CPU and as the device has them. */
static int walk_table(struct sg_table *table)
{
    struct scatterlist *sg;
    size_t here = 0, there = 0;
    unsigned i;
    for_each_sgtable_sg(table, sg, i)
    {
        if (virt_to_phys(sg_virt(sg)) != sg_phys(sg))
            return -EINVAL;
        here += sg->length;
    }
    for_each_sgtable_dma_sg(table, sg, i)
    {
        there += sg_dma_len(sg);
    }
    return here == SHAPE_BYTES && there == SHAPE_BYTES ? 0 : -EINVAL;
}

static int lists(struct device *dev, struct page *page)
{
    struct scatterlist list[SHAPE_PIECES];
    struct sg_table table = { list, 0, SHAPE_PIECES };
    fill_list(list, page);
    const unsigned count = dma_map_sg(dev, list, SHAPE_PIECES, DMA_TO_DEVICE);
    if (count == 0 || write_descriptors(list, count) != SHAPE_BYTES)
        return -EIO;
    dma_sync_sg_for_cpu(dev, list, SHAPE_PIECES, DMA_TO_DEVICE);
    dma_sync_sg_for_device(dev, list, SHAPE_PIECES, DMA_TO_DEVICE);
    dma_unmap_sg(dev, list, SHAPE_PIECES, DMA_TO_DEVICE);
    const unsigned again =
        dma_map_sg_attrs(dev, list, SHAPE_PIECES, DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
    if (again != count)
        return -EIO;
    dma_unmap_sg_attrs(dev, list, SHAPE_PIECES, DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
    const int error = dma_map_sgtable(dev, &table, DMA_FROM_DEVICE, 0);
    if (error != 0)
        return error;
    if (walk_table(&table) != 0)
        return -EINVAL;
    dma_sync_sgtable_for_cpu(dev, &table, DMA_FROM_DEVICE);
    dma_sync_sgtable_for_device(dev, &table, DMA_FROM_DEVICE);
    dma_unmap_sgtable(dev, &table, DMA_FROM_DEVICE, 0);
    return table.nents == count ? 0 : -EIO;
}

/* ---- Memory for the device -------------------------------------------------------------
 */

static int rings(struct device *dev)
{
    dma_addr_t coherent, combined, single;
    void *a = dma_alloc_coherent(dev, PAGE_SIZE, &coherent, GFP_KERNEL);
    void *b = dma_alloc_wc(dev, PAGE_SIZE, &combined, GFP_KERNEL | __GFP_NOWARN);
    void *c = dma_alloc_attrs(dev, PAGE_SIZE, &single, GFP_KERNEL,
                              DMA_ATTR_FORCE_CONTIGUOUS | DMA_ATTR_PRIVILEGED);
    if (c != NULL)
        dma_free_attrs(dev, PAGE_SIZE, c, single, DMA_ATTR_FORCE_CONTIGUOUS);
    if (b != NULL)
        dma_free_wc(dev, PAGE_SIZE, b, combined);
    if (a != NULL)
        dma_free_coherent(dev, PAGE_SIZE, a, coherent);
    return a != NULL && b != NULL && c != NULL ? 0 : -ENOMEM;
}

static int owned_memory(struct device *dev)
{
    dma_addr_t addr;
    struct page *page = dma_alloc_pages(dev, PAGE_SIZE, &addr, DMA_FROM_DEVICE, GFP_KERNEL);
    if (page == NULL)
        return -ENOMEM;
    dma_free_pages(dev, PAGE_SIZE, page, addr, DMA_FROM_DEVICE);
    void *memory =
        dma_alloc_noncoherent(dev, PAGE_SIZE, &addr, DMA_BIDIRECTIONAL, GFP_KERNEL);
    if (memory == NULL)
        return -ENOMEM;
    dma_sync_single_for_device(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
    dma_sync_single_for_cpu(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
    dma_free_noncoherent(dev, PAGE_SIZE, memory, addr, DMA_BIDIRECTIONAL);
    return 0;
}

/* Descriptors, each 64-byte aligned, none across a page. */
static int descriptors(struct device *dev)
{
    enum { BLOCKS = 70, BYTES = 192 };
    struct dma_pool *pool = dma_pool_create("shapes", dev, BYTES, 64, PAGE_SIZE);
    dma_addr_t addr[BLOCKS];
    void *block[BLOCKS];
    int error  = pool == NULL ? -ENOMEM : 0;
    unsigned n = 0;
    for (; error == 0 && n < BLOCKS; n++) {
        block[n] = n % 2 == 0 ? dma_pool_alloc(pool, GFP_KERNEL, &addr[n])
                              : dma_pool_zalloc(pool, GFP_KERNEL, &addr[n]);
        if (block[n] == NULL)
            break;
        if (addr[n] % 64 != 0 || addr[n] % PAGE_SIZE + BYTES > PAGE_SIZE
            || (n > 0 && addr[n] == addr[n - 1]))
            error = -EINVAL;
    }
    error = error == 0 && n < BLOCKS ? -ENOMEM : error;
    for (unsigned i = 0; i < n; i++)
        dma_pool_free(pool, block[i], addr[i]);
    dma_pool_destroy(pool);
    return error;
}

/* A camera's frame: one range for it, and a view for the CPU. */
static int frame(struct device *dev)
{
    struct sg_table *sgt = dma_alloc_noncontiguous(dev, SHAPE_BYTES, DMA_FROM_DEVICE,
                                                   GFP_KERNEL, DMA_ATTR_ALLOC_SINGLE_PAGES);
    if (sgt == NULL)
        return -ENOMEM;
    void *view = dma_vmap_noncontiguous(dev, SHAPE_BYTES, sgt);
    int error  = view == NULL ? -ENOMEM : 0;
    if (view != NULL) {
        if (is_vmalloc_addr(view) && vmalloc_to_page(view) != sg_page(sgt->sgl))
            error = -EINVAL;
        dma_sync_sgtable_for_cpu(dev, sgt, DMA_FROM_DEVICE);
        dma_sync_sgtable_for_device(dev, sgt, DMA_FROM_DEVICE);
        dma_vunmap_noncontiguous(dev, view);
    }
    dma_free_noncontiguous(dev, SHAPE_BYTES, sgt, DMA_FROM_DEVICE);
    return error;
}

/* ---- The IOVA API, with the fallback that it asks for ----------------------------------
 */

static int link_all(struct device *dev, struct dma_iova_state *state, phys_addr_t phys)
{
    size_t linked = 0;
    int error     = 0;
    while (error == 0 && linked < SHAPE_BYTES) {
        error =
            dma_iova_link(dev, state, phys + linked, linked, PAGE_SIZE, DMA_TO_DEVICE, 0);
        if (error == 0)
            linked += PAGE_SIZE;
    }
    if (error == 0)
        error = dma_iova_sync(dev, state, 0, linked);
    if (error != 0)
        dma_iova_destroy(dev, state, linked, DMA_TO_DEVICE, 0);
    return error;
}

static int one_by_one(struct device *dev, phys_addr_t phys)
{
    for (size_t at = 0; at < SHAPE_BYTES; at += PAGE_SIZE) {
        const dma_addr_t addr = dma_map_phys(dev, phys + at, PAGE_SIZE, DMA_TO_DEVICE, 0);
        if (dma_mapping_error(dev, addr) != 0)
            return -ENOMEM;
        dma_unmap_phys(dev, addr, PAGE_SIZE, DMA_TO_DEVICE, 0);
    }
    return 0;
}

static int request(struct device *dev, phys_addr_t phys)
{
    struct dma_iova_state state = { 0, 0 };
    if ((phys & dma_get_merge_boundary(dev)) != 0
        || !dma_iova_try_alloc(dev, &state, phys, SHAPE_BYTES))
        return one_by_one(dev, phys);
    const int error = link_all(dev, &state, phys);
    if (error != 0)
        return error;
    if (!dma_use_iova(&state) || dma_iova_size(&state) != SHAPE_BYTES)
        return -EINVAL;
    dma_iova_destroy(dev, &state, SHAPE_BYTES, DMA_TO_DEVICE, 0);
    return 0;
}

/* Page by page, as they are faulted in and taken away. */
static int on_demand(struct device *dev, phys_addr_t phys)
{
    struct dma_iova_state state;
    if (!dma_iova_try_alloc(dev, &state, 0, SHAPE_BYTES))
        return 0;
    int error =
        dma_iova_link(dev, &state, phys, PAGE_SIZE, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
    if (error == 0) {
        error = dma_iova_sync(dev, &state, PAGE_SIZE, PAGE_SIZE);
        dma_iova_unlink(dev, &state, PAGE_SIZE, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
    }
    dma_iova_free(dev, &state);
    return error;
}

int driver_shapes_all(struct device *dev, phys_addr_t memory, phys_addr_t bar);

int driver_shapes_all(struct device *dev, phys_addr_t memory, phys_addr_t bar)
{
    int error = set_up(dev);
    error     = error != 0 ? error : set_up_coerced(dev);
    error     = error != 0 ? error : questions(dev);
    error     = error != 0 ? error : receive(dev, phys_to_virt(memory + 128), 1500);
    error     = error != 0 ? error : pages(dev, phys_to_page(memory));
    error     = error != 0 ? error : registers(dev, bar);
    error     = error != 0 ? error : lists(dev, phys_to_page(memory));
    error     = error != 0 ? error : rings(dev);
    error     = error != 0 ? error : owned_memory(dev);
    error     = error != 0 ? error : descriptors(dev);
    error     = error != 0 ? error : frame(dev);
    error     = error != 0 ? error : request(dev, memory);
    return error != 0 ? error : on_demand(dev, memory);
}
