/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-bounce.h"

#include "dma_api/pci-p2pdma.h"
#include "sim/test/failing.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, BOTH = PT_READ | PT_WRITE };
#define MEM UINT64_C(0x40000000)

static void run(const char *policy, const char *release, kernel_program *program)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, policy);
    r->untrusted                = true;
    r->linux_config.release     = release;
    r->linux_config.swiotlb_mib = 1;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

static phys_addr_t behind(struct kernel_rig *r, dma_addr_t addr)
{
    uint64_t pa = 0;
    return kernel_rig_lookup(r, &r->domain->table, addr, &pa) == 0 ? 0 : pa;
}

static void expect_empty(struct kernel_rig *r)
{
    EXPECT_EQUAL(r->domain->iova.live, 0);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

static void put(struct kernel_rig *r, phys_addr_t phys, uint64_t value)
{
    memory_write64(&r->memory, phys, value);
}

static uint64_t get(struct kernel_rig *r, phys_addr_t phys)
{
    return memory_read64(&r->memory, phys);
}

/* ---- Policies --------------------------------------------------------------------------
 */

static void policies(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_TEXT(r->policy->name, "strict");
    const dma_addr_t a = dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0);
    dma_unmap_phys(&r->device, a, PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->kernel.stats.deferred, 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 1);
}

TEST_CASE(dma_bounce, an_untrusted_device_is_strict_whatever_is_wanted)
{
    run("lazy", "7.3", policies);
    run("passthrough", "7.3", policies);
    run("strict", "6.12", policies);
}

static void trusted(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_TEXT(r->policy->name, "lazy");
    EXPECT(r->kernel.swiotlb == NULL); /* Nobody who would need it. */
    struct device guest;
    kernel_add_device(&r->kernel, &guest, "guest", 0x500);
    guest.untrusted = true;
    EXPECT(!domain_attach(r->domain, &guest));
    EXPECT(!domain_attach_identity(r->backend, r->backend_state, &guest));
    const dma_addr_t a = dma_map_phys(&r->device, MEM + 5, 9, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(behind(r, a), MEM + 5);
    EXPECT_EQUAL(dma_max_mapping_size(&r->device), SIZE_MAX);
    dma_unmap_phys(&r->device, a, 9, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->kernel.stats.bounce, 0);
}

TEST_CASE(dma_bounce, an_untrusted_device_is_let_into_no_domain_that_is_not_strict)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, "lazy");
    kernel_rig_run(r, trusted, NULL);
    kernel_rig_free(r);
}

/* ---- Single ranges ---------------------------------------------------------------------
 */

static void singles(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    dma_set_min_align_mask(dev, PAGE - 1);
    put(r, MEM + 0x100, 1);
    put(r, MEM + 0x108, 2); /* Beside the buffer. */
    EXPECT(!dma_need_sync(dev, 0));
    const dma_addr_t a = dma_map_phys(dev, MEM + 0x100, 8, DMA_BIDIRECTIONAL, 0);
    EXPECT(dma_need_sync(dev, a));
    EXPECT_EQUAL(a % PAGE, 0x100);
    const phys_addr_t slot = behind(r, a);
    EXPECT(swiotlb_holds(&r->kernel, slot));
    EXPECT_EQUAL(get(r, slot), 1);
    EXPECT_EQUAL(get(r, slot + 8), 0);
    put(r, slot, 3);
    put(r, slot + 8, 4); /* The device writes too far. */
    dma_unmap_phys(dev, a, 8, DMA_BIDIRECTIONAL, 0);
    EXPECT_EQUAL(get(r, MEM + 0x100), 3);
    EXPECT_EQUAL(get(r, MEM + 0x108), 2);
    const dma_addr_t b = dma_map_phys(dev, MEM + 0x100, 8, DMA_FROM_DEVICE, 0);
    EXPECT_EQUAL(get(r, behind(r, b) + 8), 0); /* Never what somebody left there. */
    dma_unmap_phys(dev, b, 8, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    expect_empty(r);
}

TEST_CASE(dma_bounce, an_untrusted_device_sees_nothing_beside_the_buffer)
{
    run("strict", "7.3", singles);
    run("strict", "6.12", singles);
}

static void zeroes(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    dma_set_min_align_mask(dev, PAGE - 1);
    for (unsigned i = 0; i < 512; i++) { /* Round the pool: every slot has leftovers. */
        const dma_addr_t a     = dma_map_phys(dev, MEM + 0x100, 8, DMA_TO_DEVICE, 0);
        const phys_addr_t slot = behind(r, a);
        EXPECT_EQUAL(get(r, slot - 8), 0);
        EXPECT_EQUAL(get(r, slot + 8), 0);
        EXPECT_EQUAL(get(r, slot - 0x100), 0);
        EXPECT_EQUAL(get(r, slot - 0x100 + PAGE - 8), 0);
        for (unsigned at = 0; at < PAGE; at += 8)
            put(r, slot - 0x100 + at, 77);
        dma_unmap_phys(dev, a, 8, DMA_TO_DEVICE, 0);
    }
}

TEST_CASE(dma_bounce, what_was_in_a_slot_is_cleared_around_the_data)
{
    run("strict", "7.3", zeroes);
}

static void which(struct kernel_rig *r, void *state)
{
    static const struct {
        unsigned offset, size, bounced;
    } some[]           = { { 0, PAGE, 0 }, { 0, 2 * PAGE, 0 },     { 0, 8, 1 },
                           { 8, PAGE, 1 }, { 8, 2 * PAGE - 8, 1 }, { 0, PAGE + 8, 1 } };
    struct device *dev = &r->device;
    (void)state;
    for (unsigned i = 0; i < sizeof some / sizeof some[0]; i++) {
        const uint64_t before = r->kernel.stats.bounce;
        const dma_addr_t a =
            dma_map_phys(dev, MEM + some[i].offset, some[i].size, DMA_TO_DEVICE, 0);
        EXPECT_EQUAL(r->kernel.stats.bounce - before, some[i].bounced);
        EXPECT_EQUAL(swiotlb_holds(&r->kernel, behind(r, a)), some[i].bounced);
        dma_unmap_phys(dev, a, some[i].size, DMA_TO_DEVICE, 0);
        expect_empty(r);
    }
}

TEST_CASE(dma_bounce, a_streaming_map_bounces_as_a_whole_if_an_end_is_inside_a_granule)
{
    run("strict", "7.3", which);
}

static void refused(struct kernel_rig *r, void *state)
{
    static const unsigned long attrs[] = { DMA_ATTR_MMIO, DMA_ATTR_REQUIRE_COHERENT };
    struct device *dev                 = &r->device;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQUAL(dma_map_phys(dev, MEM, 8, DMA_TO_DEVICE, attrs[i]), DMA_MAPPING_ERROR);
        const dma_addr_t a = dma_map_phys(dev, MEM, PAGE, DMA_TO_DEVICE, attrs[i]);
        EXPECT_EQUAL(behind(r, a), MEM);
        dma_unmap_phys(dev, a, PAGE, DMA_TO_DEVICE, attrs[i]);
    }
    EXPECT_EQUAL(dma_map_phys(dev, MEM, PAGE, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED),
                 DMA_MAPPING_ERROR);
    dma_unmap_phys(dev, MEM, PAGE, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED);
    EXPECT_EQUAL(dma_map_phys(dev, MEM, (256 << 10) + 1, DMA_TO_DEVICE, DMA_ATTR_NO_WARN),
                 DMA_MAPPING_ERROR);
    dma_set_min_align_mask(dev, 2 * PAGE - 1);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(dma_map_phys(dev, MEM, 8, DMA_FROM_DEVICE, 0), DMA_MAPPING_ERROR);
    EXPECT_TEXT(r->kernel.last_warning, "map: min_align_mask beyond the granule");
    expect_empty(r); /* The slot went back. */
}

TEST_CASE(dma_bounce, a_map_that_may_not_bounce_fails_instead)
{
    run("strict", "7.3", refused);
}

/* What a policy has no reason to bounce, the machine may have. */
static void refused_by_the_machine(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(dma_map_phys(dev, MEM, 8, DMA_FROM_DEVICE, DMA_ATTR_MMIO),
                 DMA_MAPPING_ERROR);
    const dma_addr_t a = dma_map_phys(dev, MEM, 8, DMA_TO_DEVICE, DMA_ATTR_MMIO);
    EXPECT_EQUAL(behind(r, a), MEM);
    dma_unmap_phys(dev, a, 8, DMA_TO_DEVICE, DMA_ATTR_MMIO);
}

TEST_CASE(dma_bounce, registers_that_share_a_line_are_refused_whatever_the_policy)
{
    static const char *const policy[] = { "strict", "shadow", "pooled-bounce" };
    for (unsigned i = 0; i < 3; i++) {
        struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
        kernel_rig_policy(r, policy[i]);
        r->noncoherent              = true;
        r->linux_config.swiotlb_mib = 1;
        kernel_rig_run(r, refused_by_the_machine, NULL);
        kernel_rig_free(r);
    }
}

/* ---- The IOVA API ----------------------------------------------------------------------
 */

/* Links offset .. offset + size of MEM, expects which granules bounce, and destroys. */
static void link_shape(struct kernel_rig *r, size_t offset, size_t size)
{
    struct dma_iova_state s;
    struct device *dev  = &r->device;
    const size_t end    = offset + size;
    const uint64_t used = r->kernel.stats.bounce;
    put(r, MEM + offset, 5);
    put(r, MEM + end - 8, 6);
    EXPECT(dma_iova_try_alloc(dev, &s, MEM + offset, size));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + offset, 0, size, DMA_FROM_DEVICE, 0), 0);
    EXPECT_EQUAL(dma_iova_size(&s), size);
    unsigned bounced = 0;
    for (size_t page = 0; page < end; page += PAGE) {
        const bool partly      = page < offset || page + PAGE > end;
        const phys_addr_t phys = behind(r, s.addr - offset + page);
        EXPECT_EQUAL(swiotlb_holds(&r->kernel, phys), partly);
        EXPECT(partly || phys == MEM + page);
        bounced += partly;
    }
    EXPECT_EQUAL(r->kernel.stats.bounce - used, bounced);
    EXPECT_EQUAL((s.__size & DMA_IOVA_USE_SWIOTLB) != 0, bounced > 0);
    EXPECT_EQUAL(get(r, behind(r, s.addr)), size == 8 ? 6 : 5);
    put(r, behind(r, s.addr + size - 8), 7);
    EXPECT_EQUAL(dma_iova_sync(dev, &s, 0, size), 0);
    dma_iova_destroy(dev, &s, size, DMA_FROM_DEVICE, 0);
    EXPECT_EQUAL(get(r, MEM + end - 8), 7); /* Copied back. */
    expect_empty(r);
}

static void link_shapes(struct kernel_rig *r, void *state)
{
    (void)state;
    dma_set_min_align_mask(&r->device, PAGE - 1);
    link_shape(r, 0, PAGE);
    link_shape(r, 0, 3 * PAGE);
    link_shape(r, 0x100, 8);            /* Inside one granule. */
    link_shape(r, 0, 0x800);            /* Only a tail: the middle is empty. */
    link_shape(r, 0x900, PAGE - 0x900); /* Only a head. */
    link_shape(r, 0x900, PAGE);         /* Head and tail, nothing between. */
    link_shape(r, 0x900, 4 * PAGE);
    link_shape(r, 0x900, 5 * PAGE - 0x900); /* Ends with a granule. */
    link_shape(r, 0, 2 * PAGE + 0x10);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(dma_bounce, a_link_bounces_the_first_and_the_last_granule_and_nothing_between)
{
    run("strict", "7.3", link_shapes);
    run("strict", "6.18", link_shapes);
}

/* Every offset and length around the sizes of slots and granules. */
static void link_grid(struct kernel_rig *r, void *state)
{
    static const size_t edge[] = { 0, 8, 2040, 2048, 2056, 4088 };
    (void)state;
    dma_set_min_align_mask(&r->device, PAGE - 1);
    for (unsigned pages = 0; pages < 4; pages++)
        for (unsigned i = 0; i < 6; i++)
            for (unsigned j = 0; j < 6; j++) {
                const size_t size = pages * PAGE + edge[j];
                if (size > 0)
                    link_shape(r, edge[i], size);
            }
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(dma_bounce, links_of_every_alignment_show_no_more_than_their_bytes)
{
    run("strict", "7.3", link_grid);
}

static void link_errnos(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    struct device *dev = &r->device;
    (void)state;
    EXPECT(dma_iova_try_alloc(dev, &s, 0, 8 * PAGE));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 0, 8, DMA_TO_DEVICE, DMA_ATTR_MMIO), -EPERM);
    EXPECT_EQUAL(
        dma_iova_link(dev, &s, MEM, 0, 8, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT),
        -EPERM);
    EXPECT_EQUAL(
        dma_iova_link(dev, &s, MEM, 0, PAGE, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT), 0);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + 8, PAGE, 8, DMA_TO_DEVICE, 0), -EIO);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, PAGE, 8, DMA_NONE, 0), -EINVAL);
    EXPECT_EQUAL(r->kernel.stats.warning, 2);
    EXPECT_EQUAL(s.__size & DMA_IOVA_USE_SWIOTLB, 0); /* Only what was linked counts. */
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, PAGE, 8, DMA_TO_DEVICE, 0), 0);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 2 * PAGE, PAGE, DMA_TO_DEVICE,
                               DMA_ATTR_REQUIRE_COHERENT),
                 -EOPNOTSUPP);
    EXPECT_TEXT(r->kernel.last_warning, "dma_iova_link: the range has bounced already");
    EXPECT_EQUAL(r->kernel.stats.warning, 3);
    dma_iova_unlink(dev, &s, 0, PAGE + 8, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(s.__size >> 63, 1); /* An unlink does not take the mark away. */
    dma_iova_free(dev, &s);
    expect_empty(r);
}

TEST_CASE(dma_bounce, each_reason_why_a_link_may_not_bounce_has_its_errno)
{
    run("strict", "7.3", link_errnos);
}

static void unwinds(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    struct device *dev = &r->device;
    (void)state;
    dma_set_min_align_mask(dev, PAGE - 1);
    EXPECT(dma_iova_try_alloc(dev, &s, MEM + 8, 8 * PAGE - 8));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 6 * PAGE - 8, PAGE, DMA_TO_DEVICE, 0), 0);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + 8, 0, 6 * PAGE, DMA_TO_DEVICE, 0),
                 -EADDRINUSE); /* The tail meets what is there. */
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 1);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 5 * PAGE - 8, PAGE + 8, DMA_TO_DEVICE, 0),
                 -EADDRINUSE); /* Not what comes before its own offset. */
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 1);
    dma_iova_unlink(dev, &s, 6 * PAGE - 8, PAGE, DMA_TO_DEVICE, 0);
    dma_set_min_align_mask(dev,
                           0); /* Then a slot is not where the data is in its granule. */
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + 8, 0, 16, DMA_TO_DEVICE, 0), -ENXIO);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, PAGE - 8, 8, DMA_TO_DEVICE, 0), 0);
    dma_iova_unlink(dev, &s, 2 * PAGE - 8, PAGE, DMA_TO_DEVICE, 0); /* Nothing is there. */
    EXPECT_EQUAL(r->kernel.stats.warning, 2); /* Before and in the tables. */
    dma_iova_unlink(dev, &s, PAGE - 8, 8, DMA_TO_DEVICE, 0);
    dma_iova_free(dev, &s);
    expect_empty(r);
}

TEST_CASE(dma_bounce, a_link_that_fails_takes_back_only_what_it_had_linked)
{
    run("strict", "7.3", unwinds);
}

static void empties(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    struct device *dev = &r->device;
    (void)state;
    dma_set_min_align_mask(dev, PAGE - 1);
    const dma_addr_t a = dma_map_phys(dev, MEM + 8, 0, DMA_BIDIRECTIONAL, 0);
    EXPECT(swiotlb_holds(&r->kernel, behind(r, a))); /* Never the page itself. */
    dma_unmap_phys(dev, a, 0, DMA_BIDIRECTIONAL, 0);
    EXPECT(dma_iova_try_alloc(dev, &s, MEM + 8, 64));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + 8, 0, 0, DMA_BIDIRECTIONAL, 0), 0);
    EXPECT(swiotlb_holds(&r->kernel, behind(r, s.addr)));
    dma_iova_unlink(dev, &s, 0, 0, DMA_BIDIRECTIONAL, 0);
    dma_iova_free(dev, &s);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    expect_empty(r);
}

TEST_CASE(dma_bounce, a_range_without_bytes_shows_nothing_and_leaves_nothing)
{
    run("strict", "7.3", empties);
}

static void orders(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    struct device *dev = &r->device;
    (void)state;
    dma_addr_t a    = dma_map_phys(dev, MEM, 8, DMA_FROM_DEVICE, 0);
    unsigned from   = r->events;
    uint64_t copied = r->kernel.stats.bounce_byte;
    dma_unmap_phys(dev, a, 8, DMA_FROM_DEVICE, 0);
    EXPECT_EQUAL(r->kernel.stats.bounce_byte - copied, 8);
    const sim_time_t flushed = kernel_rig_event(r, EVENT_FLUSHED, from, 0)->time;
    EXPECT(cpu_this()->time - flushed >= r->cost.bounce_line_cycles * 323); /* After. */
    EXPECT(dma_iova_try_alloc(dev, &s, 0, PAGE));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 0, 8, DMA_FROM_DEVICE, 0), 0);
    from = r->events;
    put(r, behind(r, s.addr), 9);
    const sim_time_t before = cpu_this()->time;
    dma_iova_unlink(dev, &s, 0, 8, DMA_FROM_DEVICE, 0);
    EXPECT_EQUAL(get(r, MEM), 9);
    EXPECT(kernel_rig_event(r, EVENT_FLUSHED, from, 0)->time - before
           >= r->cost.bounce_line_cycles * 323); /* Before. */
    dma_iova_free(dev, &s);
    expect_empty(r);
}

TEST_CASE(dma_bounce, an_unmap_copies_after_the_invalidation_an_unlink_before_it)
{
    run("strict", "7.3", orders);
}

/* ---- Scatter lists ---------------------------------------------------------------------
 */

static void lists(struct kernel_rig *r, void *state)
{
    struct scatterlist list[3];
    struct sg_table table = { list, 0, 3 };
    struct device *dev    = &r->device;
    (void)state;
    sg_init_table(list, 3);
    for (unsigned i = 0; i < 3; i++)
        sg_set_page(&list[i], phys_to_page(MEM + i * PAGE), PAGE, 0);
    list[2].length = 512;
    EXPECT_EQUAL(dma_map_sgtable(dev, &table, DMA_FROM_DEVICE, 0), 0);
    EXPECT_EQUAL(table.nents, 3); /* Nothing merges. */
    EXPECT_EQUAL(behind(r, sg_dma_address(&list[1])), MEM + PAGE);
    EXPECT(swiotlb_holds(&r->kernel, behind(r, sg_dma_address(&list[2]))));
    EXPECT_EQUAL(sg_dma_len(&list[2]), 512);
    put(r, behind(r, sg_dma_address(&list[2])), 8);
    dma_sync_sgtable_for_cpu(dev, &table, DMA_FROM_DEVICE);
    EXPECT_EQUAL(get(r, MEM + 2 * PAGE), 8);
    put(r, MEM + 2 * PAGE, 9);
    dma_sync_sgtable_for_device(dev, &table, DMA_BIDIRECTIONAL);
    EXPECT_EQUAL(get(r, behind(r, sg_dma_address(&list[2]))), 9);
    dma_unmap_sgtable(dev, &table, DMA_FROM_DEVICE, 0);
    EXPECT_EQUAL(list[0].dma_flags, 0);
    expect_empty(r);
    list[0].length        = 512;
    const uint64_t copied = r->kernel.stats.bounce_byte;
    list[1].length        = 300 << 10; /* Of pages; the next does not fit into a buffer. */
    list[2].length        = (300 << 10) + 1;
    EXPECT_EQUAL(dma_map_sgtable(dev, &table, DMA_FROM_DEVICE, DMA_ATTR_NO_WARN), -EIO);
    EXPECT_EQUAL(r->kernel.stats.bounce_byte - copied, 512); /* In, and not back. */
    EXPECT_EQUAL(dma_map_sg(dev, list, 3, DMA_FROM_DEVICE), 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    expect_empty(r);
}

TEST_CASE(dma_bounce, the_elements_of_an_untrusted_devices_list_are_mapped_one_by_one)
{
    run("strict", "7.3", lists);
}

/* ---- On the hardware --------------------------------------------------------------------
 */

static void hardware(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct dma_iova_state s;
    uint64_t pa;
    (void)state;
    dma_set_min_align_mask(dev, PAGE - 1);
    EXPECT(dma_iova_try_alloc(dev, &s, MEM + 0x200, 3 * PAGE));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + 0x200, 0, 3 * PAGE, DMA_TO_DEVICE, 0), 0);
    EXPECT_EQUAL(dma_iova_sync(dev, &s, 0, 3 * PAGE), 0);
    EXPECT(kernel_rig_reach(r, s.addr, PT_READ, &pa));
    EXPECT(swiotlb_holds(&r->kernel, pa));
    EXPECT(kernel_rig_reach(r, s.addr + PAGE, PT_READ, &pa));
    EXPECT_EQUAL(pa, MEM + PAGE + 0x200);
    EXPECT(kernel_rig_reach(r, s.addr + 3 * PAGE - 8, PT_READ, &pa));
    EXPECT(swiotlb_holds(&r->kernel, pa));
    dma_iova_destroy(dev, &s, 3 * PAGE, DMA_TO_DEVICE, 0);
    EXPECT(!kernel_rig_reach(r, s.addr, PT_READ, &pa)); /* Strict: nothing stale. */
    const dma_addr_t a = dma_map_phys(dev, MEM, 8, DMA_FROM_DEVICE, 0);
    EXPECT(kernel_rig_reach(r, a, PT_WRITE, &pa));
    const uint64_t answer = 42;
    memory_device_write(&r->memory, pa, &answer, sizeof answer);
    dma_unmap_phys(dev, a, 8, DMA_FROM_DEVICE, 0);
    EXPECT_EQUAL(get(r, MEM), 42);
    EXPECT(!kernel_rig_reach(r, a, PT_WRITE, &pa));
    expect_empty(r);
}

TEST_CASE(dma_bounce, a_device_reaches_bounce_buffers_and_only_while_they_are_mapped)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    kernel_rig_policy(r, "lazy");
    r->untrusted = true;
    kernel_rig_run(r, hardware, NULL);
    kernel_rig_free(r);
}

/* ---- Many CPUs --------------------------------------------------------------------------
 */

static void together(struct kernel_rig *r, void *state)
{
    struct device *dev     = &r->device;
    const uint64_t me      = cpu_this()->id;
    const phys_addr_t mine = MEM + me * 16 * PAGE + 0x18;
    (void)state;
    if (me == 0)
        dma_set_min_align_mask(dev, PAGE - 1);
    kernel_rig_meet(r);
    for (uint64_t i = 0; i < 100; i++) {
        struct dma_iova_state s;
        const size_t size = 8 * (1 + (i * 37 + me) % 1500);
        put(r, mine + size - 8, i);
        const dma_addr_t a     = dma_map_phys(dev, mine, size, DMA_BIDIRECTIONAL, 0);
        const phys_addr_t slot = behind(r, a + size - 8);
        EXPECT_EQUAL(get(r, slot), i);
        put(r, slot, i + 1000 * me);
        dma_unmap_phys(dev, a, size, DMA_BIDIRECTIONAL, 0);
        EXPECT_EQUAL(get(r, mine + size - 8), i + 1000 * me);
        EXPECT(dma_iova_try_alloc(dev, &s, mine, size));
        EXPECT_EQUAL(dma_iova_link(dev, &s, mine, 0, size, DMA_FROM_DEVICE, 0), 0);
        put(r, behind(r, s.addr + size - 8), i + 7);
        dma_iova_destroy(dev, &s, size, DMA_FROM_DEVICE, 0);
        EXPECT_EQUAL(get(r, mine + size - 8), i + 7);
    }
    kernel_rig_meet(r);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    expect_empty(r);
}

TEST_CASE(dma_bounce, cpus_bounce_at_the_same_time_and_lose_nothing)
{
    struct kernel_rig *r        = kernel_rig_new(RIG_FAKE);
    r->cpus                     = 6;
    r->untrusted                = true;
    r->linux_config.swiotlb_mib = 1;
    r->cpu_config.wake_cycles   = 0;
    kernel_rig_run(r, together, NULL);
    kernel_rig_free(r);
}

/* ---- Failing allocations ---------------------------------------------------------------
 */

static bool try_map(struct kernel_rig *r)
{
    const dma_addr_t a = dma_map_phys(&r->device, MEM + 8, 16, DMA_BIDIRECTIONAL, 0);
    if (a != DMA_MAPPING_ERROR)
        dma_unmap_phys(&r->device, a, 16, DMA_BIDIRECTIONAL, 0);
    return a != DMA_MAPPING_ERROR;
}

static bool try_link(struct kernel_rig *r)
{
    const size_t size = (2 << 20) + 9 * PAGE;
    struct dma_iova_state s;
    if (!dma_iova_try_alloc(&r->device, &s, MEM + 8, size))
        return false;
    const int error = dma_iova_link(&r->device, &s, MEM + 8, 0, size, DMA_TO_DEVICE, 0);
    EXPECT(error == 0 || error == -ENOMEM);
    dma_iova_destroy(&r->device, &s, error == 0 ? size : 0, DMA_TO_DEVICE, 0);
    return error == 0;
}

static bool try_list(struct kernel_rig *r)
{
    struct scatterlist list[3];
    sg_init_table(list, 3);
    for (unsigned i = 0; i < 3; i++)
        sg_set_page(&list[i], phys_to_page(MEM + i * PAGE), 100, 8);
    struct sg_table table = { list, 0, 3 };
    const int error       = dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, 0);
    EXPECT(error == 0 || error == -EIO);
    if (error == 0)
        dma_unmap_sgtable(&r->device, &table, DMA_TO_DEVICE, 0);
    return error == 0;
}

static void distrust(struct kernel_rig *r)
{
    r->untrusted = true;
}

static void align(struct kernel_rig *r)
{
    dma_set_min_align_mask(&r->device, PAGE - 1);
}

static unsigned fail_each(bool (*try)(struct kernel_rig *r))
{
    static const struct failing_calls how = { RIG_FAKE, distrust, align, expect_empty,
                                              .warns = true };
    return failing_calls(&how, try, NULL);
}

TEST_CASE(dma_bounce, no_memory_at_any_place_leaves_nothing_behind)
{
    EXPECT_EQUAL(fail_each(try_map), 4); /* A slot, and three tables. */
    EXPECT(fail_each(try_link) >= 6);    /* Two slots, and four tables. */
    EXPECT_EQUAL(fail_each(try_list), 6);
}

/* ---- Other devices' memory ------------------------------------------------------------
 */

enum { BY_BUS, THROUGH, NO_WAY, WINDOWS };
static const struct p2pdma_window windows[WINDOWS] = {
    { 0xe0000000, 0xe0ffffff, PCI_P2PDMA_MAP_BUS_ADDR, 0x1000000000 },
    { 0xe1000000, 0xe1ffffff, PCI_P2PDMA_MAP_THRU_HOST_BRIDGE, 0 },
    { 0xe2000000, 0xe2ffffff, PCI_P2PDMA_MAP_NOT_SUPPORTED, 0 },
};

static int map_table(struct kernel_rig *r, struct scatterlist list[4],
                     struct sg_table *table, unsigned last)
{
    const phys_addr_t phys[] = { windows[THROUGH].first, windows[BY_BUS].first, MEM,
                                 windows[last].first };
    *table                   = (struct sg_table){ .sgl = list, .orig_nents = 4 };
    sg_init_table(list, 4);
    for (unsigned i = 0; i < 4; i++)
        sg_set_page(&list[i], phys_to_page(phys[i]), PAGE, 0);
    return dma_map_sgtable(&r->device, table, DMA_BIDIRECTIONAL, 0);
}

static void peers(struct kernel_rig *r, void *state)
{
    struct scatterlist list[4];
    struct sg_table table;
    (void)state;
    pci_p2pdma_add_windows(&r->kernel, windows, WINDOWS);
    EXPECT_EQUAL(map_table(r, list, &table, NO_WAY), -EREMOTEIO);
    const uint64_t live = r->domain->iova.live; /* Of the policy's own. */
    EXPECT_EQUAL(map_table(r, list, &table, BY_BUS), 0);
    EXPECT_EQUAL(table.nents, 4);
    EXPECT_EQUAL(behind(r, sg_dma_address(&list[0])), windows[THROUGH].first);
    EXPECT_EQUAL(sg_dma_address(&list[1]), windows[BY_BUS].first + windows[BY_BUS].bus_off);
    EXPECT(list[1].dma_flags & SG_DMA_BUS_ADDRESS);
    EXPECT_EQUAL(sg_dma_address(&list[3]), sg_dma_address(&list[1]));
    dma_sync_sgtable_for_cpu(&r->device, &table, DMA_BIDIRECTIONAL);
    dma_sync_sgtable_for_device(&r->device, &table, DMA_BIDIRECTIONAL);
    dma_unmap_sgtable(&r->device, &table, DMA_BIDIRECTIONAL, 0);
    EXPECT_EQUAL(list[1].dma_flags, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    EXPECT_EQUAL(r->domain->iova.live, live);
}

TEST_CASE(dma_bounce, peers_memory_is_reached_past_a_policy_that_keeps_mappings)
{
    static const char *const policy[] = { "strict", "shadow", "pooled-bounce" };
    for (unsigned i = 0; i < 3; i++) {
        struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
        kernel_rig_policy(r, policy[i]);
        r->linux_config.swiotlb_mib = 1;
        kernel_rig_run(r, peers, NULL);
        kernel_rig_free(r);
    }
}
