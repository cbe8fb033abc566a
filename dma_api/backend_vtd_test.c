/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/backend.h"

#include <string.h>

#include "dma_api/domain.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, LEAF_ONLY = 1 };
#define MEM UINT64_C(0x40000000)

static const struct vtd_descriptor *sent(const struct kernel_rig *r, unsigned i)
{
    CHECK(i < r->descriptors);
    return &r->descriptor[i].words;
}

static void expect_sent(const struct kernel_rig *r, unsigned i, struct vtd_descriptor d)
{
    REQUIRE(i < r->descriptors);
    EXPECT_EQUAL(sent(r, i)->low, d.low);
    EXPECT_EQUAL(sent(r, i)->high, d.high);
}

/* A wait that writes DONE into a status slot of its own. */
static void expect_wait(const struct kernel_rig *r, unsigned i)
{
    REQUIRE(i < r->descriptors);
    EXPECT_EQUAL(vtd_inv_type(*sent(r, i)), VTD_INV_WAIT);
    EXPECT(sent(r, i)->low & VTD_WAIT_SW);
    EXPECT(!(sent(r, i)->low & VTD_WAIT_IF));
    EXPECT_EQUAL(sent(r, i)->high % PAGE, 4 * (i % RIG_QUEUE_ENTRIES));
}

static void flush(struct kernel_rig *r, uint64_t first, uint64_t last, bool tables)
{
    r->backend->flush_range(r->backend_state, r->domain, first, last, tables, 0);
}

static void run(struct kernel_rig *r, kernel_program *program)
{
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

/* ---- Coming up and going down ----------------------------------------------------------
 */

static void comes_up(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(r->descriptors, 4);
    expect_sent(r, 0, vtd_inv_context(VTD_GLOBAL, 0, 0));
    expect_wait(r, 1);
    expect_sent(r, 2, vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false));
    expect_wait(r, 3);
    EXPECT_EQUAL(r->domain->id, 2); /* 0 and 1 are reserved. */
    EXPECT_EQUAL(r->domain->table.levels, 4);
    EXPECT_EQUAL(r->domain->table.leaf_sizes, UINT64_C(0x40201000));
    EXPECT_EQUAL(r->domain->aperture_last, (UINT64_C(1) << 48) - 1);
    domain_detach(r->domain, &r->device);
    expect_sent(r, 4, vtd_inv_context(VTD_DEVICE, 0, RIG_REQUESTER));
    expect_sent(r, 6, vtd_inv_iotlb(VTD_DOMAIN, 2, 0, 0, false));
    EXPECT_EQUAL(r->descriptors, 8);
    CHECK(domain_attach(r->domain, &r->device));
    EXPECT_EQUAL(r->descriptors, 8); /* An absent context is not cached. */
}

TEST_CASE(backend_vtd, probing_and_detaching_invalidate_what_linux_invalidates)
{
    kernel_rig_once(RIG_VTD, comes_up);
}

static void caching_mode(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(r->descriptors, 8);
    expect_sent(r, 4, vtd_inv_context(VTD_DEVICE, 0, RIG_REQUESTER));
    expect_sent(r, 6, vtd_inv_iotlb(VTD_DOMAIN, 2, 0, 0, false));
    const dma_addr_t a = dma_map_phys(&r->device, MEM, 3 * PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->descriptors, 10); /* Absent entries may be cached. */
    expect_sent(r, 8, vtd_inv_iotlb(VTD_PAGE, 2, a, 2, false));
    dma_unmap_phys(&r->device, a, 3 * PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->descriptors, 12);
    expect_sent(r, 10, vtd_inv_iotlb(VTD_PAGE, 2, a, 2, true));
}

TEST_CASE(backend_vtd, in_caching_mode_an_attach_and_every_map_invalidate_too)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    r->vtd.caching_mode  = true;
    run(r, caching_mode);
}

static void capabilities(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(r->domain->table.levels, 5);
    EXPECT_EQUAL(r->domain->table.leaf_sizes, PAGE);
    EXPECT_EQUAL(r->domain->aperture_last, (UINT64_C(1) << 57) - 1);
}

TEST_CASE(backend_vtd, tables_are_as_deep_and_leaves_as_large_as_the_hardware_says)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    r->vtd.levels_max    = 5;
    r->vtd.pages_2m = r->vtd.pages_1g = false;
    run(r, capabilities);
}

static void ids(struct kernel_rig *r, void *state)
{
    struct dma_domain *d[3];
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        d[i] = domain_new(&r->kernel, r->backend, r->backend_state, r->policy, NULL);
        EXPECT_EQUAL(d[i]->id, 3 + i);
    }
    const unsigned from = r->descriptors;
    domain_free(d[1]);
    expect_sent(r, from, vtd_inv_iotlb(VTD_DOMAIN, 4, 0, 0, false)); /* Its last traces. */
    d[1] = domain_new(&r->kernel, r->backend, r->backend_state, r->policy, NULL);
    EXPECT_EQUAL(d[1]->id, 4);
    for (unsigned i = 0; i < 3; i++)
        domain_free(d[i]);
}

TEST_CASE(backend_vtd, an_id_is_used_again_after_its_domain_was_flushed)
{
    kernel_rig_once(RIG_VTD, ids);
}

static void no_memory(struct kernel_rig *r, void *state)
{
    struct device far;
    (void)state;
    kernel_add_device(&r->kernel, &far, "far", 0x500);
    const uint64_t out = r->kernel.pages.out;
    kernel_rig_fail_at(r, 1);
    EXPECT(domain_new(&r->kernel, r->backend, r->backend_state, r->policy, NULL) == NULL);
    kernel_rig_fail_at(r, 1);
    EXPECT(!domain_attach(r->domain, &far)); /* No context table for its bus. */
    EXPECT(!far.dma_iommu);
    EXPECT_EQUAL(r->kernel.pages.out, out);
    kernel_rig_fail_at(r, 0);
    EXPECT(domain_attach(r->domain, &far));
    EXPECT_EQUAL(r->kernel.pages.out, out + 1);
    domain_detach(r->domain, &far);
}

TEST_CASE(backend_vtd, without_memory_there_is_no_domain_and_no_attachment)
{
    kernel_rig_once(RIG_VTD, no_memory);
}

/* ---- Which descriptor for which range --------------------------------------------------
 */

static struct vtd_descriptor naive(uint64_t first, uint64_t last, bool tables)
{
    unsigned order = 0;
    while (first >> order != last >> order)
        order++;
    return vtd_inv_iotlb(VTD_PAGE, 2, first >> order << order << 12, order, !tables);
}

static void small_ranges(struct kernel_rig *r, void *state)
{
    (void)state;
    for (uint64_t first = 0; first < 40; first++)
        for (uint64_t last = first; last < 40; last++) {
            const unsigned i = r->descriptors, writes = r->tail_writes;
            const bool tables = (first + last) % 3 == 0;
            flush(r, first << 12, (last << 12) + 0xfff, tables);
            EXPECT_EQUAL(r->descriptors, i + 2); /* One wait, one write of the tail. */
            EXPECT_EQUAL(r->tail_writes, writes + 1);
            expect_sent(r, i, naive(first, last, tables));
            expect_wait(r, i + 1);
        }
    EXPECT_EQUAL(r->kernel.stats.descriptor_page, 820);
    EXPECT_EQUAL(r->kernel.stats.submission, 822);
}

TEST_CASE(backend_vtd, a_range_becomes_the_smallest_aligned_block_around_it)
{
    kernel_rig_once(RIG_VTD, small_ranges);
}

static unsigned mask_of(struct kernel_rig *r, uint64_t first, uint64_t last)
{
    const unsigned i = r->descriptors;
    flush(r, first, last, true);
    const struct vtd_descriptor d = *sent(r, i);
    EXPECT_EQUAL(vtd_inv_domain(d), 2);
    if (vtd_inv_granularity(d) == VTD_DOMAIN) {
        EXPECT_EQUAL(d.high, 0);
        return 99;
    }
    EXPECT_EQUAL(vtd_inv_granularity(d), VTD_PAGE);
    return (unsigned)(d.high & 63);
}

static void large_ranges(struct kernel_rig *r, void *state)
{
    const uint64_t g1 = UINT64_C(1) << 30;
    (void)state;
    EXPECT_EQUAL(mask_of(r, g1, 2 * g1 - 1), 18);
    EXPECT_EQUAL(mask_of(r, g1, 2 * g1), 99);               /* A page too many. */
    EXPECT_EQUAL(mask_of(r, g1 - PAGE, g1 + PAGE - 1), 99); /* Two pages, order 18 + 1. */
    EXPECT_EQUAL(mask_of(r, g1 / 2 - PAGE, g1 / 2 + PAGE - 1), 18);
    EXPECT_EQUAL(mask_of(r, 0, UINT64_MAX), 99);
    const unsigned i = r->descriptors;
    r->backend->flush_all(r->backend_state, r->domain);
    expect_sent(r, i, vtd_inv_iotlb(VTD_DOMAIN, 2, 0, 0, false));
    EXPECT_EQUAL(r->kernel.stats.descriptor_domain, 4);
    EXPECT_EQUAL(r->kernel.stats.descriptor_page, 2);
}

TEST_CASE(backend_vtd, beyond_the_largest_mask_the_whole_domain_is_invalidated)
{
    kernel_rig_once(RIG_VTD, large_ranges);
}

static void small_masks(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(mask_of(r, 8 * PAGE, 16 * PAGE - 1), 3);
    EXPECT_EQUAL(mask_of(r, 8 * PAGE, 16 * PAGE), 99);
    EXPECT_EQUAL(mask_of(r, 7 * PAGE, 9 * PAGE - 1), 99);
}

static void no_pages(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(mask_of(r, PAGE, 2 * PAGE - 1), 99);
}

TEST_CASE(backend_vtd, the_limit_and_page_selection_are_the_hardwares)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    r->vtd.mamv          = 3;
    run(r, small_masks);
    r                     = kernel_rig_new(RIG_VTD);
    r->vtd.page_selective = false;
    run(r, no_pages);
}

static void hints(struct kernel_rig *r, void *state)
{
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, MEM, 32 * PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->descriptors, 4); /* A map sends nothing. */
    dma_unmap_phys(&r->device, a, 32 * PAGE, DMA_TO_DEVICE, 0);
    expect_sent(r, 4, vtd_inv_iotlb(VTD_PAGE, 2, a, 5, true));
    const dma_addr_t b = dma_map_phys(&r->device, MEM + PAGE, 2 << 20, DMA_TO_DEVICE, 0);
    dma_unmap_phys(&r->device, b, 2 << 20, DMA_TO_DEVICE, 0);
    expect_sent(r, 6, vtd_inv_iotlb(VTD_PAGE, 2, b, 9, false)); /* A table came out. */
    EXPECT_EQUAL(r->descriptors, 8);
}

TEST_CASE(backend_vtd, walk_caches_are_spared_unless_a_table_came_out)
{
    kernel_rig_once(RIG_VTD, hints);
}

/* ---- The queue -------------------------------------------------------------------------
 */

static void wraps(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 0; i < 3 * RIG_QUEUE_ENTRIES; i++) {
        flush(r, (uint64_t)i << 12, ((uint64_t)i << 12) + 0xfff, false);
        EXPECT_EQUAL(r->descriptors, 4 + 2 * (i + 1));
        expect_sent(r, 4 + 2 * i, naive(i, i, false));
        expect_wait(r, 5 + 2 * i); /* Status slots go round with the queue. */
        EXPECT_EQUAL(r->iommu.stats.command_iotlb, 2 + i); /* It is done on return. */
    }
    EXPECT_EQUAL(r->kernel.stats.queue_full_turn, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(backend_vtd, the_queue_goes_round_and_every_flush_has_returned_when_it_is_done)
{
    kernel_rig_once(RIG_VTD, wraps);
}

/* Each turn of the wait: a look at the slot, one at the fault register, the lock let go and
 * taken again, and a pause; all on its own account. */
static void polls(struct kernel_rig *r, void *state)
{
    const struct cpu_config *c = &r->cpu_config;
    const struct cpu *cpu      = &r->cpu[0];
    const uint64_t one_way     = r->window.one_way_ps;
    const uint64_t read        = 2 * ((one_way + c->period_ps - 1) / c->period_ps);
    const uint64_t turn        = c->hit_cycles + r->cost.poll_cycles + read + c->hit_cycles
                          + c->pause_cycles + c->hit_cycles + c->locked_cycles;
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        const uint64_t wait  = cpu_owner_cycles(cpu, OWNER_inval_wait);
        const uint64_t turns = r->kernel.stats.poll_turn, reads = r->status_reads;
        flush(r, 0, 0xfff, false);
        const uint64_t turned = r->kernel.stats.poll_turn - turns;
        EXPECT(turned > 0);
        EXPECT_EQUAL(r->status_reads - reads, turned);
        EXPECT_EQUAL(cpu_owner_cycles(cpu, OWNER_inval_wait) - wait,
                     turned * turn + c->llc_cycles);
    }
    EXPECT_EQUAL(cpu_owner_cycles(cpu, OWNER_inval_lock), 0);
    EXPECT_EQUAL(cpu->irq_off, 0);
}

TEST_CASE(backend_vtd, every_turn_of_the_wait_has_the_price_of_its_parts)
{
    kernel_rig_once(RIG_VTD, polls);
}

enum { EACH = 150 };

/* Every CPU flushes a domain of its own: only the queue is shared. */
static void contends(struct kernel_rig *r, void *state)
{
    const unsigned me    = cpu_this()->id;
    struct dma_domain *d = r->domain;
    (void)state;
    for (unsigned i = 1; i < r->cpus; i++) {
        if (me == i)
            d = domain_new(&r->kernel, r->backend, r->backend_state, r->policy, NULL);
        kernel_rig_meet(r);
    }
    const unsigned from = r->descriptors;
    kernel_rig_meet(r);
    for (uint64_t i = 0; i < EACH; i++)
        r->backend->flush_range(r->backend_state, d, i << 12, (i << 12) + 0xfff, false, 0);
    kernel_rig_meet(r);
    unsigned mine = 0, switches = 0;
    for (unsigned i = from; i < r->descriptors; i += 2) {
        EXPECT_EQUAL(vtd_inv_type(*sent(r, i)), VTD_INV_IOTLB);
        expect_wait(r, i + 1); /* Submissions interleave, their parts do not. */
        if (vtd_inv_domain(*sent(r, i)) == d->id)
            EXPECT_EQUAL(sent(r, i)->high & ~(uint64_t)0xfff, (uint64_t)mine++ << 12);
        switches +=
            i > from && vtd_inv_domain(*sent(r, i)) != vtd_inv_domain(*sent(r, i - 2));
    }
    EXPECT_EQUAL(mine, EACH);
    EXPECT(switches > EACH);
    EXPECT(cpu_owner_cycles(cpu_this(), OWNER_inval_lock) > 0);
    kernel_rig_meet(r);
    for (unsigned i = 1; i < r->cpus; i++) {
        if (me == i)
            domain_free(d);
        kernel_rig_meet(r);
    }
}

TEST_CASE(backend_vtd, cpus_share_the_queue_by_whole_submissions)
{
    for (unsigned cpus = 2; cpus <= 8; cpus += 3) {
        struct kernel_rig *r = kernel_rig_new(RIG_VTD);
        r->cpus              = cpus;
        run(r, contends);
    }
}

/* One domain: its tags' lock is held over the flush, so nobody polls beside another. */
static void one_domain(struct kernel_rig *r, void *state)
{
    (void)state;
    kernel_rig_meet(r);
    for (uint64_t i = 0; i < EACH; i++)
        flush(r, i << 12, (i << 12) + 0xfff, false);
    kernel_rig_meet(r);
    EXPECT(r->domain->tag_lock.contended > EACH);
    EXPECT_EQUAL(r->domain->tag_lock.taken, 2 * EACH);
}

TEST_CASE(backend_vtd, flushes_of_one_domain_wait_for_each_other)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    r->cpus              = 2;
    run(r, one_domain);
}

/* ---- Broken hardware -------------------------------------------------------------------
 */

static void refused_probe(struct kernel_rig *r, void *state)
{
    struct error error = { "" };
    const uint64_t out = r->kernel.pages.out;
    (void)state;
    r->ecap_hidden = VTD_ECAP_QI;
    EXPECT(r->backend->probe(&r->kernel, &r->window, &error) == NULL);
    EXPECT_HAS(error.text, "queued invalidation");
    EXPECT_EQUAL(r->kernel.pages.out, out);
}

TEST_CASE(backend_vtd, a_probe_that_fails_says_why_and_gives_its_pages_back)
{
    kernel_rig_once(RIG_VTD, refused_probe);
}

enum { HANDSHAKE = 50000 };

static void write_buffer(struct kernel_rig *r, void *state)
{
    const sim_time_t before = cpu_this()->time;
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0);
    EXPECT(cpu_this()->time - before >= HANDSHAKE * r->settings.iommu.period_ps);
    EXPECT(cpu_owner_cycles(cpu_this(), OWNER_map_sync) > 0);
    EXPECT_EQUAL(r->descriptors, 4);
    dma_unmap_phys(&r->device, a, PAGE, DMA_TO_DEVICE, 0);
}

TEST_CASE(backend_vtd, a_map_waits_until_write_buffers_are_flushed)
{
    struct kernel_rig *r    = kernel_rig_new(RIG_VTD);
    r->vtd.write_buffer     = true;
    r->vtd.handshake_cycles = HANDSHAKE;
    run(r, write_buffer);
}

/* An illegal descriptor stops the queue; the driver puts its wait there, and goes on. */
static void illegal(struct kernel_rig *r, void *state)
{
    (void)state;
    r->spoil = true;
    flush(r, 0, 0xfff, false);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(cpu_this()->irq_off, 0);
    for (unsigned i = 0; i < 2 * RIG_QUEUE_ENTRIES; i++)
        flush(r, 0, 0xfff, false); /* No slot of the queue is lost by it. */
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(r->kernel.stats.queue_full_turn, 0);
}

TEST_CASE(backend_vtd, an_illegal_descriptor_is_refused_and_the_queue_goes_on)
{
    kernel_rig_once(RIG_VTD, illegal);
}

/* ---- A device's TLB --------------------------------------------------------------------
 */

/* The device is slow to answer, and then it is not; it has the page before that. */
static void late_device(struct kernel_rig *r, void *state)
{
    uint64_t pa;
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, 0x40000000, 4096, DMA_TO_DEVICE, 0);
    EXPECT(kernel_rig_reach(r, a, PT_READ, &pa));
    EXPECT(kernel_rig_reach(r, a, PT_READ, &pa));
    EXPECT_EQUAL(pa, 0x40000000);
    EXPECT_EQUAL(r->tlb_hits, 1);
    const uint64_t before = r->kernel.stats.submission;
    const sim_time_t from = cpu_this()->time;
    r->answer_after       = 12 * TIME_US; /* The first and the second are given up. */
    r->answers_faster     = 9 * TIME_US;
    dma_unmap_phys(&r->device, a, 4096, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->kernel.stats.submission - before, 2);
    EXPECT(r->iommu.stats.device_late >= 1);
    EXPECT(cpu_this()->time - from > 5 * TIME_US);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT(!kernel_rig_reach(r, a, PT_READ, &pa));
}

TEST_CASE(backend_vtd, a_device_that_answers_late_is_asked_again_until_it_answers)
{
    for (unsigned scalable = 0; scalable < 2; scalable++) {
        struct kernel_rig *r               = kernel_rig_new(RIG_VTD);
        r->ats                             = true;
        r->vtd.scalable                    = scalable;
        r->settings.invq.device_timeout_us = 5;
        kernel_rig_run(r, late_device, NULL);
        kernel_rig_free(r);
    }
}

/* The driver gives up: nothing goes on, and it is said why. */
static void always_late(struct kernel_rig *r, void *state)
{
    uint64_t pa;
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, 0x40000000, 4096, DMA_TO_DEVICE, 0);
    EXPECT(kernel_rig_reach(r, a, PT_READ, &pa));
    r->answer_after = 12 * TIME_US;
    dma_unmap_phys(&r->device, a, 4096, DMA_TO_DEVICE, 0);
    EXPECT(!"nobody comes back from a panic");
}

TEST_CASE(backend_vtd, a_device_that_always_answers_late_ends_the_run)
{
    struct kernel_rig *r               = kernel_rig_new(RIG_VTD);
    r->ats                             = true;
    r->panics                          = true;
    r->linux_config.inval_attempts     = 7;
    r->settings.invq.device_timeout_us = 5;
    kernel_rig_run(r, always_late, NULL);
    EXPECT_HAS(r->panic.text, "7 times (linux.inval_attempts)");
    kernel_rig_free(r);
}
