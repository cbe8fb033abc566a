/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_errors - every refusal of Linux's DMA API on an IOMMU: a table whose rows are run.
 *
 * A row is one call that must be refused, or must warn, on one kind of machine: its errno,
 * the words of its warning, and whether they are given once or each time. Each row runs
 * twice on a machine of its own, and leaves nothing mapped, bounced or reserved.
 *
 * What takes more than one call to reach is below the table, or tested with its part:
 * exhausted bounce buffers, magazines and flush queues (swiotlb, iova_cache, iova_pressure,
 * flush_lazy), the invalidation queue (backend_vtd_queue), how far a refused map came
 * (pagetable), and allocation failures, which dma_failure injects at each place of each
 * call.
 */
#include "dma_api/dma-mapping.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "dma_api/iommu.h"
#include "dma_api/pci-p2pdma.h"
#include "dma_api/swiotlb.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, SEGMENT = 256 << 10 };
#define MEM    UINT64_C(0x40000000)
#define BEYOND (UINT64_C(1) << 54) /* More than the tables can point to. */

static void expect_empty(struct kernel_rig *r)
{
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    if (r->domain == NULL)
        return;
    EXPECT_EQUAL(r->domain->iova.live, 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

static void expect_warnings(const struct kernel_rig *r, uint64_t given, uint64_t repeated)
{
    EXPECT_EQUAL(r->kernel.stats.warning, given);
    EXPECT_EQUAL(r->kernel.stats.warning_repeated, repeated);
}

/* ---- The table --------------------------------------------------------------------------
 */

enum machine { PLAIN, UNTRUSTED, NONCOHERENT, NO_POOL, DIRECT, OLD, MACHINES };

struct row {
    const char *what;
    enum machine machine;
    int want;            /* Of run: an errno, or REFUSED where there is none. */
    const char *warning; /* NULL: none. */
    bool once;           /* The warning is a one-time one. */
    int (*run)(struct kernel_rig *r);
};
enum { REFUSED = -1000 };

static int cookie(dma_addr_t addr)
{
    return dma_mapping_error(NULL, addr);
}

/* dma_iova_try_alloc */

static int try_alloc(struct kernel_rig *r, size_t size)
{
    struct dma_iova_state s = { 1, 1 };
    if (dma_iova_try_alloc(&r->device, &s, 0, size)) {
        dma_iova_free(&r->device, &s);
        return 0;
    }
    return s.addr == 0 && s.__size == 0 ? REFUSED : 0;
}

static int no_size(struct kernel_rig *r)
{
    return try_alloc(r, 0);
}

static int bit_63(struct kernel_rig *r)
{
    return try_alloc(r, DMA_IOVA_USE_SWIOTLB + 1);
}

static int one_page(struct kernel_rig *r)
{
    return try_alloc(r, PAGE);
}

static int no_room(struct kernel_rig *r)
{
    EXPECT_EQUAL(dma_set_mask(&r->device, 0xfff), 0);
    return try_alloc(r, PAGE);
}

/* dma_iova_link */

struct piece {
    phys_addr_t phys;
    size_t offset, size;
    enum dma_data_direction dir;
    unsigned long attrs;
};

/* Links first, if it has a size, and then what must be refused. */
static int link_piece(struct kernel_rig *r, const struct piece *first, struct piece p)
{
    struct device *dev = &r->device;
    struct dma_iova_state s;
    const phys_addr_t at = first != NULL ? first->phys : p.offset == 0 ? p.phys : 0;
    EXPECT(dma_iova_try_alloc(dev, &s, at, 8 * PAGE));
    if (first != NULL)
        EXPECT_EQUAL(
            dma_iova_link(dev, &s, first->phys, 0, first->size, first->dir, first->attrs),
            0);
    const int error = dma_iova_link(dev, &s, p.phys, p.offset, p.size, p.dir, p.attrs);
    dma_iova_destroy(dev, &s, first == NULL ? 0 : first->size, DMA_TO_DEVICE, 0);
    return error;
}

static int unaligned_behind(struct kernel_rig *r)
{
    return link_piece(r, NULL, (struct piece){ MEM + 8, PAGE, 8, DMA_TO_DEVICE, 0 });
}

static int coherent_after_bounce(struct kernel_rig *r)
{
    const struct piece first = { MEM + 8, 0, PAGE - 8, DMA_TO_DEVICE, 0 };
    dma_set_min_align_mask(&r->device, PAGE - 1);
    return link_piece(r, &first,
                      (struct piece){ MEM + PAGE, PAGE - 8, PAGE, DMA_TO_DEVICE,
                                      DMA_ATTR_REQUIRE_COHERENT });
}

static int coherent_link(struct kernel_rig *r)
{
    return link_piece(
        r, NULL, (struct piece){ MEM, 0, PAGE, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT });
}

static int small_coherent_link(struct kernel_rig *r)
{
    return link_piece(
        r, NULL, (struct piece){ MEM, 0, 8, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT });
}

static int small_mmio_link(struct kernel_rig *r)
{
    return link_piece(r, NULL, (struct piece){ MEM, 0, 8, DMA_TO_DEVICE, DMA_ATTR_MMIO });
}

static int small_link(struct kernel_rig *r)
{
    return link_piece(r, NULL, (struct piece){ MEM, 0, 8, DMA_TO_DEVICE, 0 });
}

static int crooked_offset(struct kernel_rig *r)
{
    return link_piece(r, NULL, (struct piece){ MEM, 512, PAGE, DMA_TO_DEVICE, 0 });
}

static int overlap(struct kernel_rig *r)
{
    const struct piece first = { MEM, 0, 2 * PAGE, DMA_TO_DEVICE, 0 };
    return link_piece(r, &first, (struct piece){ MEM, PAGE, PAGE, DMA_TO_DEVICE, 0 });
}

/* A prefix fits before what is there: it is taken back. */
static int overlap_behind(struct kernel_rig *r)
{
    struct device *dev = &r->device;
    struct dma_iova_state s;
    uint64_t pa;
    EXPECT(dma_iova_try_alloc(dev, &s, 0, 4 * PAGE));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 2 * PAGE, PAGE, DMA_TO_DEVICE, 0), 0);
    const int error = dma_iova_link(dev, &s, MEM, 0, 4 * PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, s.addr, &pa), 0);
    EXPECT(kernel_rig_lookup(r, &r->domain->table, s.addr + 2 * PAGE, &pa) != 0);
    dma_iova_unlink(dev, &s, 2 * PAGE, PAGE, DMA_TO_DEVICE, 0);
    dma_iova_free(dev, &s);
    return error;
}

static int empty_link(struct kernel_rig *r)
{
    return link_piece(r, NULL, (struct piece){ MEM, 0, 0, DMA_TO_DEVICE, 0 });
}

static int beyond_link(struct kernel_rig *r)
{
    return link_piece(r, NULL, (struct piece){ BEYOND, 0, PAGE, DMA_TO_DEVICE, 0 });
}

static int link_nowhere(struct kernel_rig *r)
{
    return link_piece(r, NULL, (struct piece){ MEM, 0, PAGE, DMA_NONE, 0 });
}

/* dma_map_phys and its shapes */

static int map_attrs(struct kernel_rig *r, phys_addr_t phys, size_t size,
                     unsigned long attrs)
{
    return cookie(dma_map_phys(&r->device, phys, size, DMA_TO_DEVICE, attrs));
}

static int no_mask(struct kernel_rig *r)
{
    uint64_t *mask     = r->device.dma_mask;
    r->device.dma_mask = NULL;
    const int error    = map_attrs(r, MEM, 8, 0);
    r->device.dma_mask = mask;
    return error;
}

static int coherent_map(struct kernel_rig *r)
{
    return map_attrs(r, MEM, PAGE, DMA_ATTR_REQUIRE_COHERENT);
}

static int shared_map(struct kernel_rig *r)
{
    dma_unmap_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED); /* Nothing. */
    return map_attrs(r, MEM, PAGE, DMA_ATTR_CC_SHARED);
}

static int mmio_page(struct kernel_rig *r)
{
    return cookie(dma_map_page_attrs(&r->device, phys_to_page(MEM), 0, PAGE, DMA_TO_DEVICE,
                                     DMA_ATTR_MMIO));
}

static int small_registers(struct kernel_rig *r)
{
    return cookie(dma_map_resource(&r->device, MEM, 8, DMA_TO_DEVICE, 0));
}

static int small_coherent_map(struct kernel_rig *r)
{
    return map_attrs(r, MEM, 8, DMA_ATTR_REQUIRE_COHERENT);
}

static int long_map(struct kernel_rig *r)
{
    return map_attrs(r, MEM, SEGMENT + 8, 0);
}

static int long_quiet_map(struct kernel_rig *r)
{
    return map_attrs(r, MEM, SEGMENT + 8, DMA_ATTR_NO_WARN);
}

static int small_map(struct kernel_rig *r)
{
    return map_attrs(r, MEM, 8, 0);
}

static int wide_alignment(struct kernel_rig *r)
{
    dma_set_min_align_mask(&r->device, 2 * PAGE - 1);
    return map_attrs(r, MEM, PAGE, 0);
}

static int narrow_map(struct kernel_rig *r)
{
    EXPECT_EQUAL(dma_set_mask(&r->device, 0xfff), 0);
    return map_attrs(r, MEM, PAGE, 0);
}

static int beyond_map(struct kernel_rig *r)
{
    return map_attrs(r, BEYOND, PAGE, 0);
}

static int beyond_mask(struct kernel_rig *r)
{
    EXPECT_EQUAL(dma_set_mask(&r->device, DMA_BIT_MASK(24)), 0);
    return map_attrs(r, MEM, PAGE, 0);
}

static int vmalloc_map(struct kernel_rig *r)
{
    void *at = (void *)(uintptr_t)0xfe00000000000000;
    return cookie(dma_map_single(&r->device, at, 64, DMA_TO_DEVICE));
}

static int tiny_mask(struct kernel_rig *r)
{
    EXPECT_EQUAL(dma_set_coherent_mask(&r->device, DMA_BIT_MASK(23)), -EIO);
    EXPECT_EQUAL(dma_set_mask_and_coherent(&r->device, DMA_BIT_MASK(23)), -EIO);
    return dma_set_mask(&r->device, DMA_BIT_MASK(23));
}

static int mask_without_place(struct kernel_rig *r)
{
    uint64_t *mask     = r->device.dma_mask;
    r->device.dma_mask = NULL;
    const int error    = dma_set_mask(&r->device, DMA_BIT_MASK(32));
    r->device.dma_mask = mask;
    return error;
}

/* Unmaps */

static int unmap_no_bytes(struct kernel_rig *r)
{
    const dma_addr_t a = dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0);
    dma_unmap_phys(&r->device, a, 0, DMA_TO_DEVICE, 0);
    dma_unmap_phys(&r->device, a, PAGE, DMA_TO_DEVICE, 0);
    return 0;
}

static int unmap_nothing(struct kernel_rig *r)
{
    dma_unmap_phys(&r->device, 0x1000, PAGE, DMA_TO_DEVICE, 0);
    return 0;
}

static int unmap_more(struct kernel_rig *r)
{
    const dma_addr_t a = dma_map_phys(&r->device, MEM, 3 * PAGE, DMA_TO_DEVICE, 0);
    dma_unmap_phys(&r->device, a, 4 * PAGE, DMA_TO_DEVICE, 0); /* Of both, 4 addresses. */
    return 0;
}

static int unlink_nothing(struct kernel_rig *r)
{
    struct dma_iova_state s;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, PAGE));
    dma_iova_unlink(&r->device, &s, 0, PAGE, DMA_TO_DEVICE, 0);
    dma_iova_free(&r->device, &s);
    return 0;
}

/* Scatter lists */

static int map_table(struct kernel_rig *r, phys_addr_t second, unsigned length,
                     unsigned long attrs)
{
    struct scatterlist list[2];
    struct sg_table table = { .sgl = list, .orig_nents = 2 };
    sg_init_table(list, 2);
    sg_set_page(&list[0], phys_to_page(MEM), PAGE, 0);
    sg_set_page(&list[1], phys_to_page(second), length, 0);
    const int error = dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, attrs);
    EXPECT_EQUAL(dma_map_sg_attrs(&r->device, list, 2, DMA_TO_DEVICE, attrs), 0);
    EXPECT_EQUAL(list[0].dma_flags & SG_DMA_BUS_ADDRESS, 0);
    return error;
}

static int list_without_mask(struct kernel_rig *r)
{
    struct scatterlist list;
    uint64_t *mask = r->device.dma_mask;
    sg_init_table(&list, 1);
    sg_set_page(&list, phys_to_page(MEM), PAGE, 0);
    r->device.dma_mask = NULL;
    const unsigned n   = dma_map_sg(&r->device, &list, 1, DMA_TO_DEVICE);
    r->device.dma_mask = mask;
    return n == 0 ? REFUSED : 0;
}

static int narrow_list(struct kernel_rig *r)
{
    EXPECT_EQUAL(dma_set_mask(&r->device, 0xfff), 0);
    return map_table(r, MEM + 8 * PAGE, PAGE, 0);
}

static int beyond_list(struct kernel_rig *r)
{
    return map_table(r, BEYOND, PAGE, 0);
}

static int direct_list(struct kernel_rig *r)
{
    EXPECT_EQUAL(dma_set_mask(&r->device, DMA_BIT_MASK(31)), 0);
    return map_table(r, UINT64_C(1) << 31, PAGE, 0);
}

static int coherent_list(struct kernel_rig *r)
{
    return map_table(r, MEM + 8 * PAGE, PAGE, DMA_ATTR_REQUIRE_COHERENT);
}

static int bounced_list(struct kernel_rig *r)
{
    return map_table(r, MEM + 64 * PAGE, SEGMENT + 8, DMA_ATTR_NO_WARN);
}

static int peer_list(struct kernel_rig *r)
{
    static const struct p2pdma_window windows[] = {
        { MEM, MEM + PAGE - 1, PCI_P2PDMA_MAP_BUS_ADDR, 0 },
        { MEM + 8 * PAGE, MEM + 9 * PAGE - 1, PCI_P2PDMA_MAP_NOT_SUPPORTED, 0 },
    };
    pci_p2pdma_add_windows(&r->kernel, windows, 2);
    return map_table(r, MEM + 8 * PAGE, PAGE, 0);
}

/* Memory for devices */

static int of_memory(const void *memory)
{
    return memory == NULL ? REFUSED : 0;
}

static int compound(struct kernel_rig *r)
{
    dma_addr_t a;
    return of_memory(dma_alloc_coherent(&r->device, PAGE, &a, GFP_KERNEL | __GFP_COMP));
}

static int compound_pages(struct kernel_rig *r)
{
    dma_addr_t a;
    return of_memory(
        dma_alloc_pages(&r->device, PAGE, &a, DMA_TO_DEVICE, GFP_KERNEL | __GFP_COMP));
}

static int zone(struct kernel_rig *r)
{
    dma_addr_t a;
    return of_memory(
        dma_alloc_pages(&r->device, PAGE, &a, DMA_TO_DEVICE, GFP_KERNEL | __GFP_DMA32));
}

static int mmio_pieces(struct kernel_rig *r)
{
    return of_memory(dma_alloc_noncontiguous(&r->device, PAGE, DMA_TO_DEVICE, GFP_KERNEL,
                                             DMA_ATTR_MMIO));
}

static int compound_pieces(struct kernel_rig *r)
{
    return of_memory(dma_alloc_noncontiguous(&r->device, PAGE, DMA_TO_DEVICE,
                                             GFP_KERNEL | __GFP_COMP, 0));
}

static int narrow_memory(struct kernel_rig *r)
{
    dma_addr_t a;
    EXPECT_EQUAL(dma_set_coherent_mask(&r->device, 0xfff), 0);
    return of_memory(dma_alloc_coherent(&r->device, PAGE, &a, GFP_KERNEL));
}

static int narrow_pieces(struct kernel_rig *r)
{
    EXPECT_EQUAL(dma_set_coherent_mask(&r->device, 0xfff), 0);
    return of_memory(
        dma_alloc_noncontiguous(&r->device, PAGE, DMA_TO_DEVICE, GFP_KERNEL, 0));
}

static int no_coherent_mask(struct kernel_rig *r)
{
    dma_addr_t a;
    r->device.coherent_dma_mask = 0;
    void *memory                = dma_alloc_coherent(&r->device, PAGE, &a, GFP_KERNEL);
    if (memory != NULL)
        dma_free_coherent(&r->device, PAGE, memory, a);
    return 0;
}

static int no_coherent_mask_for_pages(struct kernel_rig *r)
{
    dma_addr_t a;
    r->device.coherent_dma_mask = 0;
    struct page *page = dma_alloc_pages(&r->device, PAGE, &a, DMA_TO_DEVICE, GFP_KERNEL);
    if (page != NULL)
        dma_free_pages(&r->device, PAGE, page, a, DMA_TO_DEVICE);
    return 0;
}

static int free_with_interrupts_off(struct kernel_rig *r)
{
    dma_addr_t a;
    void *memory = dma_alloc_coherent(&r->device, PAGE, &a, GFP_KERNEL);
    cpu_irq_disable(cpu_this());
    dma_free_coherent(&r->device, PAGE, memory, a);
    cpu_irq_enable(cpu_this());
    return 0;
}

static int crooked_pool(struct kernel_rig *r)
{
    return of_memory(dma_pool_create("crooked", &r->device, 100, 24, 0));
}

/* Setting up a device's addresses: one that fails keeps direct mapping. */

static int attach(struct kernel_rig *r, uint64_t first, uint64_t last)
{
    struct device other;
    kernel_add_device(&r->kernel, &other, "other", 0x100);
    other.dma_range_first = first;
    other.dma_range_last  = last;
    EXPECT(domain_attach(r->domain, &other));
    const bool translates = other.dma_iommu;
    const dma_addr_t a    = dma_map_phys(&other, MEM, PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(a == MEM, !translates);
    dma_unmap_phys(&other, a, PAGE, DMA_TO_DEVICE, 0);
    kernel_remove_device(&other);
    domain_detach(r->domain, &other);
    return translates ? 0 : -EFAULT;
}

static int out_of_reach(struct kernel_rig *r)
{
    return attach(r, UINT64_C(1) << 50, UINT64_MAX);
}

static int another_granule(struct kernel_rig *r)
{
    r->domain->iova.granule_lg2++;
    const int error = attach(r, 0, 0);
    r->domain->iova.granule_lg2--;
    return error;
}

/* Domains whose addresses the caller chooses */

static int unmanaged_map(struct kernel_rig *r, dma_addr_t iova, phys_addr_t phys,
                         size_t size, int prot)
{
    struct iommu_domain *d = iommu_paging_domain_alloc(&r->device);
    EXPECT_EQUAL(iommu_map(d, 0x200000, MEM, PAGE, IOMMU_READ), 0);
    const int error = iommu_map(d, iova, phys, size, prot);
    EXPECT_EQUAL(iommu_iova_to_phys(d, iova & ~UINT64_C(0xfff)),
                 iova == 0x200000 ? MEM : 0);
    EXPECT_EQUAL(iommu_unmap(d, 0x200000, PAGE), PAGE);
    iommu_domain_free(d);
    return error;
}

static int unmanaged_empty(struct kernel_rig *r)
{
    return unmanaged_map(r, 0x1000, MEM, 0, IOMMU_READ);
}

static int unmanaged_forbidden(struct kernel_rig *r)
{
    return unmanaged_map(r, 0x1000, MEM, PAGE, 0);
}

static int unmanaged_crooked(struct kernel_rig *r)
{
    return unmanaged_map(r, 0x1200, MEM, PAGE, IOMMU_READ);
}

static int unmanaged_beyond(struct kernel_rig *r)
{
    return unmanaged_map(r, UINT64_C(1) << 60, MEM, PAGE, IOMMU_READ);
}

static int unmanaged_wrap(struct kernel_rig *r)
{
    return unmanaged_map(r, UINT64_MAX << 12, MEM, 2 * PAGE, IOMMU_READ);
}

static int unmanaged_twice(struct kernel_rig *r)
{
    return unmanaged_map(r, 0x200000, MEM, PAGE, IOMMU_READ);
}

static int attach_twice(struct kernel_rig *r)
{
    struct iommu_domain *d = iommu_paging_domain_alloc(&r->device);
    EXPECT_EQUAL(iommu_attach_device(d, &r->device), 0);
    const int error = iommu_attach_device(d, &r->device);
    iommu_detach_device(d, &r->device);
    iommu_domain_free(d);
    return error;
}

static int unmanaged_without(struct kernel_rig *r)
{
    return of_memory(iommu_paging_domain_alloc(&r->device));
}

/* clang-format off */
static const struct row rows[] = {
    { "try_alloc: no size", PLAIN, REFUSED, "dma_iova_try_alloc: no size", true, no_size },
    { "try_alloc: bit 63", PLAIN, REFUSED, "dma_iova_try_alloc: the size is too large", true, bit_63 },
    { "try_alloc: no addresses", PLAIN, REFUSED, NULL, false, no_room },
    { "try_alloc: no IOMMU", DIRECT, REFUSED, NULL, false, one_page },
    { "try_alloc: before 6.16", OLD, REFUSED, NULL, false, one_page },
    { "link: unaligned behind the first", PLAIN, -EIO, "dma_iova_link: only the first piece may begin unaligned", true, unaligned_behind },
    { "link: bounced, must be coherent", UNTRUSTED, -EOPNOTSUPP, "dma_iova_link: the range has bounced already", true, coherent_after_bounce },
    { "link: not coherent", NONCOHERENT, -EOPNOTSUPP, NULL, false, coherent_link },
    { "link: to bounce, must be coherent", UNTRUSTED, -EPERM, NULL, false, small_coherent_link },
    { "link: to bounce, registers", UNTRUSTED, -EPERM, NULL, false, small_mmio_link },
    { "link: to bounce, no pool", NO_POOL, -ENOMEM, "swiotlb: there are no bounce buffers", true, small_link },
    { "link: crooked offset", PLAIN, -ENXIO, NULL, false, crooked_offset },
    { "link: overlap", PLAIN, -EADDRINUSE, NULL, false, overlap },
    { "link: overlap behind a prefix", PLAIN, -EADDRINUSE, NULL, false, overlap_behind },
    { "link: no size", PLAIN, -EINVAL, NULL, false, empty_link },
    { "link: beyond the output", PLAIN, -ERANGE, NULL, false, beyond_link },
    { "link: no direction", PLAIN, -EINVAL, "map: neither read nor write", false, link_nowhere },
    { "map: no mask pointer", PLAIN, -ENOMEM, "dma_map_phys: the device has no DMA mask", true, no_mask },
    { "map: not coherent", NONCOHERENT, -ENOMEM, NULL, false, coherent_map },
    { "map: shared with the host", PLAIN, -ENOMEM, NULL, false, shared_map },
    { "map: a page, registers", PLAIN, -ENOMEM, NULL, false, mmio_page },
    { "map: to bounce, registers", UNTRUSTED, -ENOMEM, NULL, false, small_registers },
    { "map: to bounce, must be coherent", UNTRUSTED, -ENOMEM, NULL, false, small_coherent_map },
    { "map: to bounce, longer than a segment", UNTRUSTED, -ENOMEM, "swiotlb: no bounce buffer is free", false, long_map },
    { "map: the same, quietly", UNTRUSTED, -ENOMEM, NULL, false, long_quiet_map },
    { "map: to bounce, no pool", NO_POOL, -ENOMEM, "swiotlb: there are no bounce buffers", true, small_map },
    { "map: min_align_mask", PLAIN, -ENOMEM, "map: min_align_mask beyond the granule", true, wide_alignment },
    { "map: no addresses", PLAIN, -ENOMEM, NULL, false, narrow_map },
    { "map: beyond the output", PLAIN, -ENOMEM, NULL, false, beyond_map },
    { "map: direct, beyond the mask", DIRECT, -ENOMEM, NULL, false, beyond_mask },
    { "map: vmalloc memory", PLAIN, -ENOMEM, "dma_map_single: vmalloc memory cannot be mapped", true, vmalloc_map },
    { "mask: direct, below 24 bits", DIRECT, -EIO, NULL, false, tiny_mask },
    { "mask: no place for it", PLAIN, -EIO, NULL, false, mask_without_place },
    { "unmap: no bytes", PLAIN, 0, "unmap: a range of no bytes", false, unmap_no_bytes },
    { "unmap: nothing is mapped", PLAIN, 0, "unmap: nothing is mapped there", false, unmap_nothing },
    { "unmap: another amount", PLAIN, 0, "unmap: not what was mapped", false, unmap_more },
    { "unlink: nothing is linked", PLAIN, 0, "unmap: not what was mapped", false, unlink_nothing },
    { "list: no mask pointer", PLAIN, REFUSED, "dma_map_sg: the device has no DMA mask", true, list_without_mask },
    { "list: no addresses", PLAIN, -ENOMEM, NULL, false, narrow_list },
    { "list: an errno of the tables", PLAIN, -EINVAL, NULL, false, beyond_list },
    { "list: direct, beyond the mask", DIRECT, -EIO, NULL, false, direct_list },
    { "list: not coherent", NONCOHERENT, -EOPNOTSUPP, NULL, false, coherent_list },
    { "list: an element that cannot bounce", UNTRUSTED, -EIO, NULL, false, bounced_list },
    { "list: no way to a peer", PLAIN, -EREMOTEIO, NULL, false, peer_list },
    { "list: direct, no way to a peer", DIRECT, -EREMOTEIO, NULL, false, peer_list },
    { "memory: compound pages", PLAIN, REFUSED, "dma_alloc_attrs: compound pages cannot be had", true, compound },
    { "memory: no coherent mask", PLAIN, 0, "dma_alloc_attrs: the device has no coherent DMA mask", true, no_coherent_mask },
    { "memory: no addresses", PLAIN, REFUSED, NULL, false, narrow_memory },
    { "pages: compound", PLAIN, REFUSED, "dma_alloc_pages: compound pages cannot be had", true, compound_pages },
    { "pages: a zone", PLAIN, REFUSED, "dma_alloc_pages: the zone follows from the mask", true, zone },
    { "pages: no coherent mask", PLAIN, 0, "dma_alloc_pages: the device has no coherent DMA mask", true, no_coherent_mask_for_pages },
    { "pieces: an attribute", PLAIN, REFUSED, "dma_alloc_noncontiguous: an attribute that it does not have", true, mmio_pieces },
    { "pieces: compound", PLAIN, REFUSED, "dma_alloc_noncontiguous: compound pages cannot be had", true, compound_pieces },
    { "pieces: no addresses", PLAIN, REFUSED, NULL, false, narrow_pieces },
    { "free: interrupts off", PLAIN, 0, "dma_free_attrs: interrupts are off", false, free_with_interrupts_off },
    { "pool: an alignment", PLAIN, REFUSED, NULL, false, crooked_pool },
    { "attach: a range out of reach", PLAIN, -EFAULT, "attach: the DMA range lies outside of the IOMMU's reach", false, out_of_reach },
    { "attach: another granule", PLAIN, -EFAULT, "attach: the addresses were set up for another granule", false, another_granule },
    { "iommu_map: no size", PLAIN, -EINVAL, NULL, false, unmanaged_empty },
    { "iommu_map: neither", PLAIN, -EINVAL, "map: neither read nor write", false, unmanaged_forbidden },
    { "iommu_map: misaligned", PLAIN, -ENXIO, NULL, false, unmanaged_crooked },
    { "iommu_map: beyond the tables", PLAIN, -ERANGE, NULL, false, unmanaged_beyond },
    { "iommu_map: around the end", PLAIN, -EOVERFLOW, NULL, false, unmanaged_wrap },
    { "iommu_map: mapped already", PLAIN, -EADDRINUSE, NULL, false, unmanaged_twice },
    { "iommu_attach_device: not in its own", PLAIN, -EBUSY, NULL, false, attach_twice },
    { "iommu_paging_domain_alloc: no IOMMU", DIRECT, REFUSED, NULL, false, unmanaged_without },
};
/* clang-format on */

/* Says which row it is when anything about it is wrong. */
static void run_row(struct kernel_rig *r, void *state)
{
    const struct row *row = state;
    for (unsigned i = 0; i < 2; i++) {
        const struct kernel_stats before = r->kernel.stats;
        const int got                    = row->run(r);
        const uint64_t given             = r->kernel.stats.warning - before.warning;
        const uint64_t again = r->kernel.stats.warning_repeated - before.warning_repeated;
        const bool repeats   = row->once && i == 1;
        const bool warned    = row->warning == NULL ? given + again == 0
                               : repeats            ? given == 0 && again > 0
                                                    : given == 1;
        if (got != row->want || !warned)
            EXPECT_TEXT("wrong errno or warning", row->what);
        EXPECT_EQUAL(got, row->want);
        if (row->warning != NULL && i == 0)
            EXPECT_TEXT(r->kernel.last_warning, row->warning);
        expect_empty(r);
    }
}

TEST_CASE(dma_errors, each_row_is_refused_with_its_errno_and_its_warning)
{
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const enum machine m        = rows[i].machine;
        struct kernel_rig *r        = kernel_rig_new(m == DIRECT ? RIG_DIRECT : RIG_FAKE);
        r->untrusted                = m == UNTRUSTED || m == NO_POOL;
        r->noncoherent              = m == NONCOHERENT;
        r->linux_config.swiotlb_mib = m == NO_POOL ? 0 : 1;
        if (m == OLD)
            r->linux_config.release = "6.12";
        kernel_rig_run(r, run_row, (void *)&rows[i]);
        kernel_rig_free(r);
    }
}

/* ---- No warning is forgotten ------------------------------------------------------------
 */

/* Those that take more than one call, or other hardware, and where they are tested. */
static const char *const elsewhere[] = {
    "swiotlb: access outside of the mapping",        /* swiotlb, below */
    "swiotlb: access beyond the end of the mapping", /* the same */
    "dma_iova_unlink: nothing is linked there",      /* below */
    "invalidation queue: a device that is gone",     /* backend_vtd_queue */
    "invalidation queue: descriptor refused",        /* backend_vtd_queue */
    "command queue: stopped by an error",            /* backend_riscv_flush */
    "command queue: a command was dropped",          /* backend_riscv_flush */
    "a queue was not switched off", /* backend_riscv: only broken hardware */
};

static bool is_tested(const char *text)
{
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].warning != NULL && strcmp(rows[i].warning, text) == 0)
            return true;
    for (unsigned i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (strcmp(elsewhere[i], text) == 0)
            return true;
    return false;
}

/* The texts of kernel_warn and kernel_warn_once in one file; returns how many. */
static unsigned read_warnings(const char *path)
{
    static char all[1 << 17], text[256];
    unsigned count = 0;
    FILE *in       = fopen(path, "r");
    CHECK(in != NULL);
    all[fread(all, 1, sizeof all - 1, in)] = '\0';
    CHECK(feof(in));
    fclose(in);
    for (const char *at = all; (at = strstr(at, "kernel_warn")) != NULL; at++) {
        const size_t end = strcspn(at, ";{"), quote = strcspn(at, "\"");
        if (quote >= end)
            continue; /* Its definition, or a text that a variable holds. */
        const size_t n = strcspn(at + quote + 1, "\"");
        CHECK(n < sizeof text);
        memcpy(text, at + quote + 1, n);
        text[n] = '\0';
        if (!is_tested(text))
            EXPECT_TEXT("in no row of the table", text);
        count++;
    }
    return count;
}

TEST_CASE(dma_errors, every_warning_of_the_dma_api_is_in_the_table)
{
    glob_t found;
    unsigned warnings = 0;
    REQUIRE(glob(TEST_SOURCE_DIR "/dma_api/*.c", 0, NULL, &found) == 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (strstr(found.gl_pathv[i], "_test.c") == NULL)
            warnings += read_warnings(found.gl_pathv[i]);
    globfree(&found);
    EXPECT(warnings >= 30);
}

/* ---- A crash kernel ---------------------------------------------------------------------
 */

/* The IOMMU does not know the device until it maps something, by whichever call. */
static void joins_late(struct kernel_rig *r, void *state)
{
    static const unsigned calls[] = { 0, 1, 2, 3, 4 };
    const unsigned call           = *(const unsigned *)state;
    struct device *dev            = &r->device;
    struct scatterlist list;
    struct dma_iova_state s;
    dma_addr_t a = 0;
    uint64_t pa;
    CHECK(call < sizeof calls / sizeof calls[0]);
    sg_init_table(&list, 1);
    sg_set_page(&list, phys_to_page(MEM), PAGE, 0);
    EXPECT(dev->attach_deferred);
    EXPECT(!kernel_rig_reach(r, 0x1000, PT_READ, &pa));
    kernel_rig_fail_at(r, 1); /* There is no page for its context. */
    EXPECT_EQUAL(dma_map_phys(dev, MEM, PAGE, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    kernel_rig_fail_at(r, 1);
    EXPECT_EQUAL(dma_map_sg(dev, &list, 1, DMA_TO_DEVICE), 0);
    kernel_rig_fail_at(r, 1);
    EXPECT(!dma_iova_try_alloc(dev, &s, 0, PAGE));
    kernel_rig_fail_at(r, 2);
    EXPECT(dma_alloc_noncontiguous(dev, PAGE, DMA_TO_DEVICE, GFP_KERNEL, 0) == NULL);
    kernel_rig_fail_at(r, 2);
    EXPECT(dma_alloc_coherent(dev, PAGE, &a, GFP_KERNEL) == NULL);
    kernel_rig_fail_at(r, 0);
    EXPECT(dev->attach_deferred);
    expect_empty(r);
    if (call == 1)
        EXPECT_EQUAL(dma_map_sg(dev, &list, 1, DMA_TO_DEVICE), 1);
    else if (call == 2)
        EXPECT(dma_iova_try_alloc(dev, &s, 0, PAGE));
    a = dma_map_phys(dev, MEM, PAGE, DMA_TO_DEVICE, 0);
    EXPECT(!dev->attach_deferred);
    EXPECT(kernel_rig_reach(r, a, PT_READ, &pa));
    EXPECT_EQUAL(pa, MEM);
    dma_unmap_phys(dev, a, PAGE, DMA_TO_DEVICE, 0);
    EXPECT(!kernel_rig_reach(r, a, PT_READ, &pa));
    if (call == 1)
        dma_unmap_sg(dev, &list, 1, DMA_TO_DEVICE);
    else if (call == 2)
        dma_iova_free(dev, &s);
    expect_empty(r);
}

TEST_CASE(dma_errors, a_device_of_a_crash_kernel_joins_its_domain_at_its_first_mapping)
{
    for (unsigned call = 0; call < 3; call++) {
        struct kernel_rig *r  = kernel_rig_new(RIG_VTD);
        r->linux_config.kdump = true;
        r->vtd.scalable       = call == 2;
        kernel_rig_run(r, joins_late, &call);
        kernel_rig_free(r);
    }
}

static void never_maps(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT(r->device.attach_deferred);
}

TEST_CASE(dma_errors, a_device_of_a_crash_kernel_may_never_join)
{
    struct kernel_rig *r  = kernel_rig_new(RIG_VTD);
    r->linux_config.kdump = true;
    kernel_rig_run(r, never_maps, NULL);
    kernel_rig_free(r);
}

/* ---- Beside a device's DMA range --------------------------------------------------------
 */

static void within_a_range(struct kernel_rig *r, void *state)
{
    struct device dev;
    struct dma_domain *d =
        domain_new(&r->kernel, r->backend, r->backend_state, &flush_strict, NULL);
    (void)state;
    kernel_add_device(&r->kernel, &dev, "ranged", 0x100);
    dev.dma_range_first = 0x10000000;
    dev.dma_range_last  = 0x1001ffff;
    EXPECT(domain_attach(d, &dev));
    EXPECT(dev.dma_iommu);
    dma_addr_t a[33];
    for (unsigned i = 0; i < 33; i++) {
        a[i] = dma_map_phys(&dev, MEM, PAGE, DMA_TO_DEVICE, 0);
        EXPECT_EQUAL(a[i] == DMA_MAPPING_ERROR, i == 32);
        if (i < 32)
            EXPECT(a[i] >= 0x10000000 && a[i] <= 0x1001f000);
    }
    for (unsigned i = 0; i < 32; i++)
        dma_unmap_phys(&dev, a[i], PAGE, DMA_TO_DEVICE, 0);
    domain_detach(d, &dev);
    domain_free(d);
}

TEST_CASE(dma_errors, no_address_lies_beside_what_the_devices_bus_passes_on)
{
    kernel_rig_once(RIG_FAKE, within_a_range);
}

/* ---- Once, and each time ---------------------------------------------------------------
 */

/* Whichever came before: each has its own warning, and has it once. */
static void once(struct kernel_rig *r, void *state)
{
    static int (*const mistake[])(struct kernel_rig *) = {
        no_size, bit_63, unaligned_behind, no_mask, list_without_mask, wide_alignment,
    };
    enum { MISTAKES = sizeof mistake / sizeof mistake[0] };
    (void)state;
    for (unsigned i = 0; i < MISTAKES; i++) {
        mistake[i](r);
        expect_warnings(r, i + 1, i);
        mistake[i](r);
        expect_warnings(r, i + 1, i + 1);
    }
    for (unsigned i = 0; i < MISTAKES; i++)
        mistake[i](r);
    expect_warnings(r, MISTAKES, 2 * MISTAKES);
    expect_empty(r);
}

TEST_CASE(dma_errors, a_one_time_warning_is_given_once_for_each_place)
{
    kernel_rig_once(RIG_FAKE, once);
}

/* Syncs of 16 bytes in which 8 bytes are mapped, and beside them. */
static void sync_outside(struct kernel_rig *r, void *state)
{
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, MEM, 8, DMA_FROM_DEVICE, 0);
    for (unsigned i = 0; i < 3; i++) {
        dma_sync_single_for_cpu(&r->device, a, 16, DMA_FROM_DEVICE);
        dma_sync_single_for_cpu(&r->device, a + 64, 8, DMA_FROM_DEVICE);
    }
    expect_warnings(r, 2, 4);
    dma_unmap_phys(&r->device, a, 8, DMA_FROM_DEVICE, 0);
    expect_empty(r);
}

static void each_time(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 1; i < 4; i++) {
        dma_unmap_phys(&r->device, 0x1000, PAGE, DMA_TO_DEVICE, 0);
        expect_warnings(r, i, 0);
    }
    expect_empty(r);
}

static void without_direction(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, PAGE));
    for (unsigned i = 1; i < 3; i++) {
        EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, 0, PAGE, DMA_NONE, 0), -EINVAL);
        expect_warnings(r, i, 0);
        EXPECT_TEXT(r->kernel.last_warning, "map: neither read nor write");
    }
    dma_iova_free(&r->device, &s);
    expect_empty(r);
}

static void run(uint32_t swiotlb_mib, bool untrusted, bool noncoherent,
                kernel_program *program)
{
    struct kernel_rig *r        = kernel_rig_new(RIG_FAKE);
    r->linux_config.swiotlb_mib = swiotlb_mib;
    r->untrusted                = untrusted;
    r->noncoherent              = noncoherent;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

TEST_CASE(dma_errors, a_one_time_warning_of_a_sync_is_given_once_too)
{
    run(1, true, false, sync_outside);
}

TEST_CASE(dma_errors, a_warning_that_is_not_one_time_is_given_each_time)
{
    kernel_rig_once(RIG_FAKE, each_time);
}

TEST_CASE(dma_errors, without_a_direction_a_link_warns_and_is_invalid)
{
    kernel_rig_once(RIG_FAKE, without_direction);
}

/* ---- Bounce buffers --------------------------------------------------------------------
 */

static void no_pool(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, 3 * PAGE));
    EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, 0, PAGE, DMA_TO_DEVICE, 0), 0);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, PAGE, PAGE + 8, DMA_TO_DEVICE, 0),
                     -ENOMEM);
    expect_warnings(r, 1, 1);
    EXPECT_EQUAL(s.__size, 3 * PAGE); /* Nothing of it has bounced. */
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 1);
    dma_iova_destroy(&r->device, &s, PAGE, DMA_TO_DEVICE, 0);
    expect_empty(r);
}

TEST_CASE(dma_errors, a_link_without_bounce_buffers_leaves_only_earlier_links)
{
    run(0, true, false, no_pool);
}

/* One granule of buffers is left: the head of the link gets it, the tail finds none. */
static void full_pool(struct kernel_rig *r, void *state)
{
    static const size_t size[4] = { SEGMENT - 8, SEGMENT - 8, SEGMENT - 8,
                                    SEGMENT - PAGE - 8 };
    struct device *dev          = &r->device;
    struct dma_iova_state s;
    dma_addr_t a[4];
    uint64_t pa;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        a[i] = dma_map_phys(dev, MEM, size[i], DMA_TO_DEVICE, 0);
    const uint64_t out = r->kernel.bounce_slots_out;
    dma_set_min_align_mask(dev, PAGE - 1);
    EXPECT_EQUAL(out, 510);
    EXPECT(dma_iova_try_alloc(dev, &s, MEM + 8, 6 * PAGE - 8));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 4 * PAGE - 8, PAGE, DMA_TO_DEVICE, 0), 0);
    const unsigned from = r->events;
    EXPECT_EQUAL(
        dma_iova_link(dev, &s, MEM + 8, 0, 3 * PAGE, DMA_TO_DEVICE, DMA_ATTR_NO_WARN),
        -ENOMEM);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, out);
    expect_warnings(r, 0, 0);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    REQUIRE(e != NULL);
    EXPECT_EQUAL(e->first, s.addr - 8); /* Head and middle, at once. */
    EXPECT_EQUAL(e->last, s.addr - 8 + 3 * PAGE - 1);
    EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, s.addr, &pa), 0);
    EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, s.addr + PAGE, &pa), 0);
    EXPECT(kernel_rig_lookup(r, &r->domain->table, s.addr - 8 + 4 * PAGE, &pa) != 0);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + 8, 0, PAGE - 8, DMA_TO_DEVICE, 0), 0);
    dma_iova_unlink(dev, &s, 0, PAGE - 8, DMA_TO_DEVICE, 0);
    dma_iova_unlink(dev, &s, 4 * PAGE - 8, PAGE, DMA_TO_DEVICE, 0);
    dma_iova_free(dev, &s);
    for (unsigned i = 0; i < 4; i++)
        dma_unmap_phys(dev, a[i], size[i], DMA_TO_DEVICE, 0);
    expect_warnings(r, 0, 0);
    expect_empty(r);
}

TEST_CASE(dma_errors, a_full_pool_at_the_tail_takes_the_whole_link_back)
{
    run(1, true, false, full_pool);
}

/* ---- Unmaps of something else ----------------------------------------------------------
 */

static void unlinks_nothing(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(dev, &s, 0, 4 * PAGE));
    dma_iova_unlink(dev, &s, 0, PAGE, DMA_FROM_DEVICE, 0);
    expect_warnings(r, 2, 0); /* No memory to maintain, and no entry. */
    dma_iova_unlink(dev, &s, 0, PAGE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    expect_warnings(r, 3, 0); /* Nobody asks for the memory. */
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 0, 2 * PAGE, DMA_FROM_DEVICE, 0), 0);
    dma_iova_unlink(dev, &s, 0, 4 * PAGE, DMA_FROM_DEVICE, 0);
    expect_warnings(r, 5, 0); /* What was there is unlinked. */
    dma_iova_free(dev, &s);
    expect_empty(r);
}

TEST_CASE(dma_errors, an_unlink_of_nothing_warns_and_goes_on)
{
    run(1, false, true, unlinks_nothing);
}

/* Three pages are mapped, four unmapped: of both the addresses are four. */
static void unmaps_more(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 1; i < 3; i++) {
        const dma_addr_t a  = dma_map_phys(&r->device, MEM, 3 * PAGE, DMA_TO_DEVICE, 0);
        const unsigned from = r->events;
        dma_unmap_phys(&r->device, a, 4 * PAGE, DMA_TO_DEVICE, 0);
        expect_warnings(r, i, 0);
        EXPECT_TEXT(r->kernel.last_warning, "unmap: not what was mapped");
        EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), 1);
    }
    expect_empty(r);
}

TEST_CASE(dma_errors, an_unmap_of_more_than_was_mapped_warns_flushes_and_frees)
{
    kernel_rig_once(RIG_FAKE, unmaps_more);
}
