/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/hmm_dma.h"

#include "sim/test/failing.h"
#include "sim/test/shim.h"

#define MEM UINT64_C(0x40000000)
enum { PAGES = 16 };

static struct pci_p2pdma_map_state no_peer;

static void run(enum kernel_rig_hardware hardware, const char *release, const char *policy,
                kernel_program *body)
{
    struct kernel_rig *r      = kernel_rig_new(hardware);
    r->linux_config.release   = release;
    r->linux_config.dma_debug = 1;
    kernel_rig_policy(r, policy);
    kernel_rig_run(r, body, NULL);
    EXPECT_EQUAL(r->kernel.stats.finding, 0);
    kernel_rig_free(r);
}

/* A page that is not beside its neighbour in memory. */
static phys_addr_t page_of(size_t idx)
{
    return MEM + (phys_addr_t)(7 * idx % PAGES) * 3 * PAGE_SIZE;
}

static void expect_reaches(struct kernel_rig *r, dma_addr_t addr, phys_addr_t phys)
{
    uint64_t pa = addr;
    if (r->domain != NULL)
        EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, addr, &pa),
                     PT_READ | PT_WRITE);
    EXPECT_EQUAL(pa, phys);
}

static void expect_unreachable(struct kernel_rig *r, dma_addr_t addr)
{
    uint64_t pa;
    if (r->domain != NULL)
        EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, addr, &pa), 0);
}

static void faults_and_takes_away(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct hmm_dma_map map;
    dma_addr_t addr[PAGES];
    (void)state;
    dma_set_mask(dev, DMA_BIT_MASK(64));
    EXPECT_EQUAL(hmm_dma_map_alloc(dev, &map, PAGES, PAGE_SIZE), 0);
    const bool use_iova = dma_use_iova(&map.state);
    EXPECT_EQUAL(use_iova, r->domain != NULL && r->kernel.release >= LINUX_6_18);
    EXPECT_EQUAL(map.dma_list != NULL, r->domain != NULL && !use_iova);
    EXPECT(!hmm_dma_unmap_pfn(dev, &map, 3)); /* Nothing is there. */
    for (size_t i = 0; i < PAGES; i++) {
        hmm_pfn_fault(&map, i, page_of(i), HMM_PFN_VALID);
        EXPECT(!hmm_dma_unmap_pfn(dev, &map, i)); /* Valid, but not mapped. */
        addr[i] = hmm_dma_map_pfn(dev, &map, i, &no_peer);
        EXPECT(addr[i] != DMA_MAPPING_ERROR);
        expect_reaches(r, addr[i], page_of(i));
        EXPECT(!use_iova || addr[i] == map.state.addr + i * PAGE_SIZE);
    }
    const uint64_t links = r->kernel.stats.link;
    hmm_pfn_fault(&map, 5, page_of(5), HMM_PFN_VALID | HMM_PFN_WRITE); /* Now to write. */
    EXPECT(map.pfn_list[5] & HMM_PFN_DMA_MAPPED);
    EXPECT_EQUAL(hmm_dma_map_pfn(dev, &map, 5, &no_peer), addr[5]);
    EXPECT_EQUAL(r->kernel.stats.link, links);
    for (size_t i = 0; i < PAGES; i++) {
        EXPECT(hmm_dma_unmap_pfn(dev, &map, i));
        EXPECT(!hmm_dma_unmap_pfn(dev, &map, i));
        EXPECT_EQUAL(map.pfn_list[i] & HMM_PFN_STICKY, 0);
        expect_unreachable(r, addr[i]);
    }
    hmm_pfn_fault(&map, 0, page_of(9), HMM_PFN_VALID); /* Another page, as it comes. */
    addr[0] = hmm_dma_map_pfn(dev, &map, 0, &no_peer);
    expect_reaches(r, addr[0], page_of(9));
    EXPECT(hmm_dma_unmap_pfn(dev, &map, 0));
    hmm_dma_map_free(dev, &map);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(hmm_dma, pages_are_mapped_and_taken_away_one_by_one)
{
    run(RIG_FAKE, "7.3", "strict", faults_and_takes_away);
    run(RIG_FAKE, "7.3", "lazy", faults_and_takes_away);
    run(RIG_FAKE, "6.12", "strict", faults_and_takes_away);
    run(RIG_VTD, "7.3", "lazy", faults_and_takes_away);
    run(RIG_VTD, "7.3", "passthrough", faults_and_takes_away);
    run(RIG_DIRECT, "7.3", "strict", faults_and_takes_away);
}

/* Each page is synced when it comes and flushed when it goes, lazy or not. */
static void one_by_one(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct hmm_dma_map map;
    (void)state;
    EXPECT_EQUAL(hmm_dma_map_alloc(dev, &map, PAGES / 2, 2 * PAGE_SIZE), 0);
    const unsigned from = r->events;
    for (size_t i = 0; i < PAGES / 4; i++) {
        hmm_pfn_fault(&map, i, MEM + i * 8 * PAGE_SIZE, HMM_PFN_VALID);
        const dma_addr_t addr = hmm_dma_map_pfn(dev, &map, i, &no_peer);
        EXPECT_EQUAL(addr, map.state.addr + i * 2 * PAGE_SIZE);
        expect_reaches(r, addr + PAGE_SIZE, MEM + (i * 8 + 1) * PAGE_SIZE);
    }
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, from), PAGES / 4);
    for (size_t i = 0; i < PAGES / 4; i++)
        EXPECT(hmm_dma_unmap_pfn(dev, &map, i));
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), PAGES / 4);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_ALL, from), 0);
    hmm_dma_map_free(dev, &map);
}

TEST_CASE(hmm_dma, each_page_is_synced_and_flushed_by_itself_under_lazy_too)
{
    run(RIG_FAKE, "7.3", "lazy", one_by_one);
    run(RIG_FAKE, "7.3", "strict", one_by_one);
}

static void peers(struct kernel_rig *r, void *state)
{
    static const struct p2pdma_window window[] = {
        { 0xd0000000, 0xd00fffff, PCI_P2PDMA_MAP_BUS_ADDR, 0x1000000000 },
        { 0xd0100000, 0xd01fffff, PCI_P2PDMA_MAP_THRU_HOST_BRIDGE, 0 },
        { 0xd0200000, 0xd02fffff, PCI_P2PDMA_MAP_NOT_SUPPORTED, 0 },
    };
    struct pci_p2pdma_map_state p2pdma = { .windows = window, .count = 3 };
    struct device *dev                 = &r->device;
    struct hmm_dma_map map;
    (void)state;
    dma_set_mask(dev, DMA_BIT_MASK(64));
    EXPECT_EQUAL(hmm_dma_map_alloc(dev, &map, PAGES, PAGE_SIZE), 0);
    hmm_pfn_fault(&map, 0, 0xd0003000, HMM_PFN_VALID);
    hmm_pfn_fault(&map, 1, 0xd0103000, HMM_PFN_VALID);
    hmm_pfn_fault(&map, 2, 0xd0203000, HMM_PFN_VALID);
    const uint64_t mapped = r->kernel.stats.page_mapped;
    EXPECT_EQUAL(hmm_dma_map_pfn(dev, &map, 0, &p2pdma), 0x10d0003000);
    EXPECT_EQUAL(hmm_dma_map_pfn(dev, &map, 0, &p2pdma), 0x10d0003000); /* Again. */
    EXPECT_EQUAL(r->kernel.stats.page_mapped, mapped);
    EXPECT(map.pfn_list[0] & HMM_PFN_P2PDMA_BUS);
    const dma_addr_t through = hmm_dma_map_pfn(dev, &map, 1, &p2pdma);
    expect_reaches(r, through, 0xd0103000);
    EXPECT(map.pfn_list[1] & HMM_PFN_P2PDMA);
    EXPECT_EQUAL(hmm_dma_map_pfn(dev, &map, 2, &p2pdma), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(map.pfn_list[2] & HMM_PFN_STICKY, 0);
    EXPECT(hmm_dma_unmap_pfn(dev, &map, 0));
    EXPECT(hmm_dma_unmap_pfn(dev, &map, 1));
    EXPECT(!hmm_dma_unmap_pfn(dev, &map, 2));
    hmm_dma_map_free(dev, &map);
}

TEST_CASE(hmm_dma, memory_of_a_peer_goes_by_bus_address_or_as_registers_or_not)
{
    run(RIG_FAKE, "7.3", "strict", peers);
    run(RIG_FAKE, "6.12", "strict", peers);
    run(RIG_DIRECT, "7.3", "strict", peers);
}

static void refuses(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct hmm_dma_map map;
    (void)state;
    dma_set_mask(dev, DMA_BIT_MASK(28)); /* 32 are required. */
    EXPECT_EQUAL(hmm_dma_map_alloc(dev, &map, PAGES, PAGE_SIZE), -EOPNOTSUPP);
    dma_set_mask(dev, DMA_BIT_MASK(32));
    EXPECT_EQUAL(hmm_dma_map_alloc(dev, &map, 1, 2 * PAGE_SIZE), 0); /* Warns, goes on. */
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    hmm_dma_map_free(dev, &map);
    dev->noncoherent = true;
    EXPECT_EQUAL(hmm_dma_map_alloc(dev, &map, PAGES, PAGE_SIZE), -EOPNOTSUPP);
    dev->noncoherent = false;
    dev->bounced     = true;
    EXPECT_EQUAL(hmm_dma_map_alloc(dev, &map, PAGES, PAGE_SIZE), -EOPNOTSUPP);
    dev->bounced = false;
}

TEST_CASE(hmm_dma, a_device_that_must_sync_or_cannot_reach_all_memory_is_refused)
{
    run(RIG_FAKE, "7.3", "strict", refuses);
}

/* Every allocation in turn fails; the entry is then as before, and it works again. */
static void unwinds(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct hmm_dma_map map;
    struct failing *f = state;
    kernel_rig_fail_at(r, f->nth);
    int error = hmm_dma_map_alloc(dev, &map, PAGES, PAGE_SIZE);
    EXPECT(error == 0 || error == -ENOMEM);
    for (size_t i = 0; error == 0 && i < PAGES; i++) {
        hmm_pfn_fault(&map, i, page_of(i), HMM_PFN_VALID);
        if (hmm_dma_map_pfn(dev, &map, i, &no_peer) != DMA_MAPPING_ERROR)
            continue;
        f->failures++;
        EXPECT(!hmm_dma_unmap_pfn(dev, &map, i));
        EXPECT_EQUAL(map.pfn_list[i] & HMM_PFN_STICKY, 0);
        EXPECT(hmm_dma_map_pfn(dev, &map, i, &no_peer) != DMA_MAPPING_ERROR);
    }
    for (size_t i = 0; error == 0 && i < PAGES; i++)
        EXPECT(hmm_dma_unmap_pfn(dev, &map, i));
    if (error == 0)
        hmm_dma_map_free(dev, &map);
    f->reached = kernel_rig_failed(r);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

TEST_CASE(hmm_dma, every_failed_allocation_leaves_the_entry_as_it_was)
{
    EXPECT(failing_each("7.3", "strict", unwinds) > 0);
    EXPECT(failing_each("6.12", "strict", unwinds) > 0);
}

/* Two CPUs, each with its own entries of one map. */
static struct hmm_dma_map shared;

static void together(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    const unsigned id  = cpu_this()->id;
    (void)state;
    if (id == 0)
        EXPECT_EQUAL(hmm_dma_map_alloc(dev, &shared, PAGES, PAGE_SIZE), 0);
    kernel_rig_meet(r);
    for (unsigned round = 0; round < 20; round++)
        for (size_t i = id; i < PAGES; i += 2) {
            hmm_pfn_fault(&shared, i, page_of(i), HMM_PFN_VALID);
            const dma_addr_t addr = hmm_dma_map_pfn(dev, &shared, i, &no_peer);
            expect_reaches(r, addr, page_of(i));
            EXPECT(hmm_dma_unmap_pfn(dev, &shared, i));
        }
    kernel_rig_meet(r);
    if (id == 0)
        hmm_dma_map_free(dev, &shared);
}

TEST_CASE(hmm_dma, cpus_map_different_entries_of_one_map_at_a_time)
{
    struct kernel_rig *r      = kernel_rig_new(RIG_VTD);
    r->cpus                   = 2;
    r->linux_config.dma_debug = 1;
    kernel_rig_run(r, together, NULL);
    EXPECT_EQUAL(r->kernel.stats.finding, 0);
    kernel_rig_free(r);
}
