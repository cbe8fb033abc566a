/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of the DMA API, behind every kind of device, without memory at each of the
 * places at which it asks for some, one after the other: the call says so or does without,
 * leaves nothing behind, the device reaches nothing new, and the next try succeeds.
 */
#include <string.h>

#include "dma_api/iommu.h"
#include "dma_api/pci-p2pdma.h"
#include "sim/test/dma_oracle.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"
#include "workloads/hmm_dma.h"

enum { PAGE = 4096, MANY = 2 << 20, ATTEMPTS_MAX = 400 };
#define MEM UINT64_C(0x40000000)

/* 0, or the errno of what failed; whatever succeeded is undone. *at: where it was mapped.
 */
typedef int attempt(struct kernel_rig *r, uint64_t *at);

static int of_address(struct kernel_rig *r, dma_addr_t addr, uint64_t *at)
{
    if (addr != DMA_MAPPING_ERROR)
        *at = addr;
    return dma_mapping_error(&r->device, addr);
}

/* ---- The calls --------------------------------------------------------------------------
 */

static int map_large(struct kernel_rig *r, uint64_t *at)
{
    const dma_addr_t a = dma_map_phys(&r->device, MEM + PAGE, MANY, DMA_TO_DEVICE, 0);
    if (a != DMA_MAPPING_ERROR)
        dma_unmap_phys(&r->device, a, MANY, DMA_TO_DEVICE, 0);
    return of_address(r, a, at);
}

static int map_small(struct kernel_rig *r, uint64_t *at)
{
    void *buffer       = phys_to_virt(MEM + 8);
    const dma_addr_t a = dma_map_single(&r->device, buffer, 16, DMA_FROM_DEVICE);
    if (a != DMA_MAPPING_ERROR)
        dma_unmap_single(&r->device, a, 16, DMA_FROM_DEVICE);
    return of_address(r, a, at);
}

static int map_page(struct kernel_rig *r, uint64_t *at)
{
    struct page *page  = phys_to_page(MEM);
    const dma_addr_t a = dma_map_page(&r->device, page, 100, PAGE, DMA_BIDIRECTIONAL);
    if (a != DMA_MAPPING_ERROR)
        dma_unmap_page(&r->device, a, PAGE, DMA_BIDIRECTIONAL);
    return of_address(r, a, at);
}

static int map_registers(struct kernel_rig *r, uint64_t *at)
{
    const dma_addr_t a =
        dma_map_resource(&r->device, 0xd0000000, PAGE, DMA_BIDIRECTIONAL, 0);
    if (a != DMA_MAPPING_ERROR)
        dma_unmap_resource(&r->device, a, PAGE, DMA_BIDIRECTIONAL, 0);
    return of_address(r, a, at);
}

static void fill(struct scatterlist *list, unsigned n)
{
    sg_init_table(list, n);
    for (unsigned i = 0; i < n; i++)
        sg_set_page(&list[i], phys_to_page(MEM + 2 * i * MANY), i == 1 ? 3 * PAGE : 100,
                    i == 1 ? 0 : 8);
}

static int map_list(struct kernel_rig *r, uint64_t *at)
{
    struct scatterlist list[3];
    fill(list, 3);
    const unsigned n = dma_map_sg(&r->device, list, 3, DMA_TO_DEVICE);
    if (n == 0)
        return -ENOMEM;
    *at = sg_dma_address(list);
    dma_unmap_sg(&r->device, list, 3, DMA_TO_DEVICE);
    return 0;
}

static int map_table(struct kernel_rig *r, uint64_t *at)
{
    struct scatterlist list[3];
    struct sg_table table = { list, 0, 3 };
    fill(list, 3);
    const int error = dma_map_sgtable(&r->device, &table, DMA_FROM_DEVICE, 0);
    if (error != 0)
        return error;
    *at = sg_dma_address(list);
    dma_unmap_sgtable(&r->device, &table, DMA_FROM_DEVICE, 0);
    return 0;
}

static int coherent(struct kernel_rig *r, uint64_t *at)
{
    dma_addr_t a;
    void *memory = dma_alloc_coherent(&r->device, 3 * PAGE, &a, GFP_KERNEL);
    if (memory == NULL)
        return -ENOMEM;
    *at = a;
    dma_free_coherent(&r->device, 3 * PAGE, memory, a);
    return 0;
}

static int pages(struct kernel_rig *r, uint64_t *at)
{
    dma_addr_t a;
    struct page *page =
        dma_alloc_pages(&r->device, 2 * PAGE, &a, DMA_FROM_DEVICE, GFP_KERNEL);
    if (page == NULL)
        return -ENOMEM;
    *at = a;
    dma_free_pages(&r->device, 2 * PAGE, page, a, DMA_FROM_DEVICE);
    return 0;
}

static int noncontiguous(struct kernel_rig *r, uint64_t *at)
{
    struct device *dev   = &r->device;
    struct sg_table *sgt = dma_alloc_noncontiguous(dev, 5 * PAGE, DMA_FROM_DEVICE,
                                                   GFP_KERNEL, DMA_ATTR_ALLOC_SINGLE_PAGES);
    if (sgt == NULL)
        return -ENOMEM;
    *at        = sg_dma_address(sgt->sgl);
    void *view = dma_vmap_noncontiguous(dev, 5 * PAGE, sgt);
    if (view != NULL)
        dma_vunmap_noncontiguous(dev, view);
    dma_free_noncontiguous(dev, 5 * PAGE, sgt, DMA_FROM_DEVICE);
    return view == NULL ? -ENOMEM : 0;
}

static int pool(struct kernel_rig *r, uint64_t *at)
{
    struct dma_pool *p = dma_pool_create("failing", &r->device, 100, 8, 0);
    dma_addr_t a       = 0;
    if (p == NULL)
        return -ENOMEM;
    void *block = dma_pool_zalloc(p, GFP_ATOMIC, &a);
    if (block != NULL)
        dma_pool_free(p, block, a);
    *at = block == NULL ? *at : a;
    dma_pool_destroy(p);
    return block == NULL ? -ENOMEM : 0;
}

/* Falls back to nothing: a range that cannot be had is the caller's dma_map_phys. */
static int range(struct kernel_rig *r, uint64_t *at, bool destroys)
{
    static const size_t piece[] = { PAGE - 24, MANY, 100 };
    struct device *dev          = &r->device;
    struct dma_iova_state s;
    uint64_t phys = MEM + 24;
    size_t done   = 0;
    int error     = 0;
    if (!dma_iova_try_alloc(dev, &s, MEM + 24, PAGE + MANY + 100))
        return r->kernel.release < LINUX_6_18 || !r->device.dma_iommu ? 0 : -ENOMEM;
    *at = s.addr;
    for (unsigned i = 0; i < 3 && error == 0; i++) {
        error = dma_iova_link(dev, &s, phys, done, piece[i], DMA_BIDIRECTIONAL, 0);
        done += error == 0 ? piece[i] : 0;
        phys += piece[i];
    }
    if (error == 0)
        EXPECT_EQUAL(dma_iova_sync(dev, &s, 0, done), 0);
    if (!destroys && done > 0)
        dma_iova_unlink(dev, &s, 0, done, DMA_BIDIRECTIONAL, 0);
    if (destroys)
        dma_iova_destroy(dev, &s, done, DMA_BIDIRECTIONAL, 0);
    else
        dma_iova_free(dev, &s);
    return error;
}

static int range_destroyed(struct kernel_rig *r, uint64_t *at)
{
    return range(r, at, true);
}

static int range_unlinked(struct kernel_rig *r, uint64_t *at)
{
    return range(r, at, false);
}

/* One element by bus address, one through the bridge, one of memory. */
static int map_peers(struct kernel_rig *r, uint64_t *at)
{
    static const struct p2pdma_window windows[] = {
        { 0xe0000000, 0xe0ffffff, PCI_P2PDMA_MAP_BUS_ADDR, 0x1000000000 },
        { 0xe1000000, 0xe1ffffff, PCI_P2PDMA_MAP_THRU_HOST_BRIDGE, 0 },
    };
    static const phys_addr_t phys[] = { 0xe1000000, 0xe0000000, MEM };
    struct scatterlist list[3];
    struct sg_table table = { .sgl = list, .orig_nents = 3 };
    pci_p2pdma_add_windows(&r->kernel, windows, 2);
    sg_init_table(list, 3);
    for (unsigned i = 0; i < 3; i++)
        sg_set_page(&list[i], phys_to_page(phys[i]), PAGE, 0);
    const int error = dma_map_sgtable(&r->device, &table, DMA_BIDIRECTIONAL, 0);
    pci_p2pdma_add_windows(&r->kernel, NULL, 0);
    if (error != 0)
        return error;
    *at = sg_dma_address(list);
    dma_unmap_sgtable(&r->device, &table, DMA_BIDIRECTIONAL, 0);
    return 0;
}

/* A domain of the caller's addresses: two leaves, of which only the second needs tables. */
static int unmanaged(struct kernel_rig *r, uint64_t *at)
{
    struct device *dev = &r->device;
    (void)at;
    if (r->domain == NULL)
        return 0;
    struct iommu_domain *d = iommu_paging_domain_alloc(dev);
    if (d == NULL)
        return -ENOMEM;
    const bool attached = iommu_attach_device(d, dev) == 0;
    int error           = attached ? 0 : -ENOMEM;
    if (attached) {
        error = iommu_map(d, 0x200000 - PAGE, MEM + 0x200000 - PAGE, 2 * PAGE, IOMMU_READ);
        EXPECT_EQUAL(iommu_iova_to_phys(d, 0x200000 - PAGE) == 0, error != 0);
        if (error == 0)
            EXPECT_EQUAL(iommu_unmap(d, 0x200000 - PAGE, 2 * PAGE), 2 * PAGE);
        iommu_detach_device(d, dev);
    }
    iommu_domain_free(d);
    return error;
}

/* Page by page, as HMM links and syncs. */
static int hmm(struct kernel_rig *r, uint64_t *at)
{
    struct pci_p2pdma_map_state none = { .windows = NULL };
    struct device *dev               = &r->device;
    struct hmm_dma_map map;
    dma_addr_t a = 0;
    dma_set_mask(dev, DMA_BIT_MASK(64));
    int error = hmm_dma_map_alloc(dev, &map, 4, PAGE);
    if (error == -EOPNOTSUPP) /* Not coherent. */
        return 0;
    if (error != 0)
        return error;
    for (size_t i = 0; i < 4 && a != DMA_MAPPING_ERROR; i++) {
        hmm_pfn_fault(&map, i, MEM + 2 * i * PAGE, HMM_PFN_VALID);
        a = hmm_dma_map_pfn(dev, &map, i, &none);
    }
    *at = a == DMA_MAPPING_ERROR ? *at : a;
    for (size_t i = 0; i < 4; i++)
        hmm_dma_unmap_pfn(dev, &map, i);
    hmm_dma_map_free(dev, &map);
    return a == DMA_MAPPING_ERROR ? -ENOMEM : 0;
}

/* More than two magazines hold: the third may not be had, and the tree takes the rest. */
static int churn(struct kernel_rig *r, uint64_t *at)
{
    enum { RANGES = 2 * IOVA_MAGAZINE + 4 };
    static dma_addr_t a[RANGES];
    int error = 0;
    for (unsigned i = 0; i < RANGES; i++) {
        a[i] = dma_map_phys(&r->device, MEM + i * PAGE, PAGE, DMA_TO_DEVICE, 0);
        if (a[i] == DMA_MAPPING_ERROR)
            error = -ENOMEM;
    }
    *at = a[RANGES / 2];
    for (unsigned i = 0; i < RANGES; i++)
        if (a[i] != DMA_MAPPING_ERROR)
            dma_unmap_phys(&r->device, a[i], PAGE, DMA_TO_DEVICE, 0);
    return error;
}

/* ---- The modes --------------------------------------------------------------------------
 */

struct mode {
    enum kernel_rig_hardware hardware;
    const char *policy, *release;
    bool untrusted, noncoherent;
    int list_errno; /* Of a list whose elements are mapped one by one: -EIO. */
};

static const struct mode modes[] = {
    { RIG_VTD, "strict", "7.3", false, false, -ENOMEM },
    { RIG_VTD, "lazy", "7.3", false, false, -ENOMEM },
    { RIG_VTD, "lazy", "6.18", false, false, -ENOMEM },
    { RIG_VTD, "strict", "6.12", false, false, -ENOMEM },
    { RIG_VTD, "strict", "7.3", true, false, -EIO },
    { RIG_FAKE, "strict", "6.18", true, false, -EIO },
    { RIG_FAKE, "lazy", "7.3", false, true, -ENOMEM },
    { RIG_RISCV, "strict", "7.3", false, false, -ENOMEM },
    { RIG_RISCV, "lazy", "6.18", false, false, -ENOMEM },
    { RIG_RISCV, "strict", "7.3", true, false, -EIO },
    { RIG_DIRECT, "strict", "7.3", false, false, -ENOMEM },
};

struct failing {
    attempt *call;
    const struct mode *mode;
    uint64_t nth, at; /* at: where the call maps when it succeeds. */
    bool failed;
    int error;
};

/* ---- One failure ------------------------------------------------------------------------
 */

static enum oracle_format format_of(const struct kernel_rig *r)
{
    return r->hardware == RIG_RISCV ? ORACLE_RISCV : ORACLE_VTD;
}

static void expect_nothing_mapped(struct kernel_rig *r, const struct failing *f)
{
    struct dma_oracle o;
    uint64_t pa;
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    EXPECT(r->kernel.vmap == NULL);
    if (r->domain == NULL)
        return;
    oracle_init(&o, &r->memory);
    o.context = "after a failure";
    o.format  = format_of(r);
    o.levels  = r->domain->table.levels;
    o.root    = r->domain->table.root;
    oracle_audit(&o); /* The oracle knows of no page. */
    EXPECT_EQUAL(o.complaints, 0);
    oracle_free(&o);
    iova_audit(&r->domain->iova);
    if (f->at != 0 && f->error != 0 && r->hardware != RIG_FAKE)
        EXPECT(!kernel_rig_reach(r, f->at, PT_READ, &pa));
}

/* Table pages may stay; no other page does, beside those that were there before. */
static uint64_t other_pages(struct kernel_rig *r)
{
    return r->kernel.pages.out
           - (r->domain == NULL ? 0 : kernel_rig_tables(r, &r->domain->table));
}

static bool settles(const struct kernel_rig *r)
{
    return r->domain == NULL || r->policy->promise == PROMISE_NOTHING_STALE;
}

static void fail_once(struct kernel_rig *r, void *state)
{
    struct failing *f = state;
    uint64_t at       = 0;
    dma_set_min_align_mask(&r->device, PAGE - 1);
    const uint64_t before = other_pages(r);
    kernel_rig_fail_at(r, f->nth);
    f->error  = f->call(r, &at);
    f->failed = kernel_rig_failed(r);
    kernel_rig_fail_at(r, 0);
    EXPECT(f->error == 0 || f->failed);
    EXPECT(f->error == 0 || f->error == -ENOMEM
           || ((f->call == map_table || f->call == map_peers)
               && f->error == f->mode->list_errno));
    expect_nothing_mapped(r, f);
    if (settles(r)) {
        EXPECT_EQUAL(other_pages(r), before);
        EXPECT(r->domain == NULL || r->domain->iova.live == 0);
    }
    EXPECT_EQUAL(f->call(r, &f->at), 0); /* Later there is memory again. */
    expect_nothing_mapped(r, &(struct failing){ .at = 0 });
}

static void one_machine(struct failing *f)
{
    struct kernel_rig *r = kernel_rig_new(f->mode->hardware);
    kernel_rig_policy(r, f->mode->policy);
    r->linux_config.release     = f->mode->release;
    r->linux_config.swiotlb_mib = 1;
    r->untrusted                = f->mode->untrusted;
    r->noncoherent              = f->mode->noncoherent;
    kernel_rig_run(r, fail_once, f);
    kernel_rig_free(r);
}

/* Fails the first allocation, then the second, ... until the call needs fewer. */
static unsigned fail_each(attempt *call)
{
    unsigned refused = 0;
    for (unsigned m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct failing f = { .call = call, .mode = &modes[m], .failed = true };
        for (f.nth = 1; f.failed && f.nth < ATTEMPTS_MAX; f.nth++) {
            one_machine(&f);
            refused += f.error != 0;
        }
        EXPECT(!f.failed);
        EXPECT_EQUAL(f.error, 0);
    }
    return refused;
}

TEST_CASE(dma_failure, single_maps_at_every_allocation)
{
    EXPECT(fail_each(map_large) > 30);
    EXPECT(fail_each(map_small) > 30);
    EXPECT(fail_each(map_page) > 30);
    EXPECT(fail_each(map_registers) > 30);
}

TEST_CASE(dma_failure, scatter_lists_at_every_allocation)
{
    EXPECT(fail_each(map_list) > 30);
    EXPECT(fail_each(map_table) > 30);
    EXPECT(fail_each(map_peers) > 30);
}

TEST_CASE(dma_failure, memory_for_devices_at_every_allocation)
{
    EXPECT(fail_each(coherent) > 30);
    EXPECT(fail_each(pages) > 30);
    EXPECT(fail_each(noncontiguous) > 80);
    EXPECT(fail_each(pool) > 30);
}

TEST_CASE(dma_failure, the_iova_api_at_every_allocation)
{
    EXPECT(fail_each(range_destroyed) > 40);
    EXPECT(fail_each(range_unlinked) > 40);
}

TEST_CASE(dma_failure, domains_of_the_callers_addresses_and_hmm_at_every_allocation)
{
    EXPECT(fail_each(unmanaged) > 30);
    EXPECT(fail_each(hmm) > 30);
}

/* Every single one of 258 maps and unmaps would take long: every 7th place. */
TEST_CASE(dma_failure, magazines_and_nodes_at_many_allocations)
{
    for (unsigned m = 0; m < 2; m++) {
        struct failing f = { .call = churn, .mode = &modes[m], .failed = true };
        for (f.nth = 1; f.failed && f.nth < ATTEMPTS_MAX; f.nth += f.nth < 250 ? 25 : 1)
            one_machine(&f);
        EXPECT(!f.failed);
        EXPECT(f.nth > 2 * IOVA_MAGAZINE + 4);
    }
}

/* ---- Domains ----------------------------------------------------------------------------
 */

static void domain(struct kernel_rig *r, void *state)
{
    uint64_t *counts      = state;
    const uint64_t before = r->kernel.pages.out;
    for (unsigned nth = 1; nth < 20; nth++) {
        const uint64_t heap = r->kernel.heap.out;
        kernel_rig_fail_at(r, nth);
        struct dma_domain *d = domain_new(&r->kernel, r->backend, r->backend_state,
                                          r->policy, r->policy_config);
        const bool failed    = kernel_rig_failed(r);
        kernel_rig_fail_at(r, 0);
        counts[0] += d == NULL;
        counts[1] += failed && d != NULL && d->policy == &flush_strict;
        if (d != NULL)
            domain_free(d);
        EXPECT_EQUAL(r->kernel.pages.out, before);
        EXPECT_EQUAL(r->kernel.heap.out, heap);
        if (!failed)
            EXPECT(d != NULL);
    }
}

/* Without memory for its queue a lazy domain is strict, and says nothing. */
TEST_CASE(dma_failure, a_domain_at_every_allocation)
{
    static const enum kernel_rig_hardware hardware[] = { RIG_FAKE, RIG_VTD, RIG_RISCV };
    for (unsigned i = 0; i < 3; i++) {
        uint64_t counts[2]   = { 0, 0 };
        struct kernel_rig *r = kernel_rig_new(hardware[i]);
        kernel_rig_policy(r, "lazy");
        kernel_rig_run(r, domain, counts);
        EXPECT_EQUAL(r->kernel.stats.warning, 0);
        EXPECT_EQUAL(counts[0], 3); /* Itself, its root, its magazines. */
        EXPECT_EQUAL(counts[1], 1);
        kernel_rig_free(r);
    }
}
