/* SPDX-License-Identifier: Apache-2.0 */
/* Waits that stand until earlier DMA is over, and walks that invalidations overtake. */
#include "iommu_model/iommu.h"

#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, DOMAIN = 4, L = RIG_LATENCY, W = RIG_LATENCY };
enum { RW = PT_READ | PT_WRITE };

static struct rig rig;
static struct iommu_response answer;
static uint64_t root;
static unsigned dma; /* A client that says when its DMA is over. */
static sim_time_t dma_due;

static void prepare(void)
{
    rig_defaults(&rig);
}

static void start(void)
{
    rig_start(&rig);
    dma_due = TIME_NEVER;
    dma     = iommu_attach(&rig.iommu, &dma_due, 256, true);
    root    = rig_attach(&rig, DEVICE, DOMAIN, 4);
    for (uint64_t page = 1; page < 16; page++)
        rig_map(&rig, root, 4, page << 12, page << 20, 12, RW);
}

static void start_plain(void)
{
    prepare();
    start();
}

static cycle_t now(void)
{
    return rig.now / RIG_PERIOD_PS;
}

static cycle_t translate(uint64_t iova)
{
    return rig_translate(&rig, DEVICE, iova, PT_READ, &answer);
}

static void queue_page(uint64_t iova, unsigned am)
{
    rig_queue(&rig, vtd_inv_iotlb(VTD_PAGE, DOMAIN, iova, am, true));
}

static void run_to(cycle_t cycle)
{
    rig_run(&rig, cycle * RIG_PERIOD_PS);
}

static uint64_t reg(uint32_t offset)
{
    return iommu_mmio_ops.read(&rig.iommu, offset, 8, rig.now);
}

static cycle_t S(void)
{
    return rig.settings.invq.start_cycles;
}

static cycle_t E(void)
{
    return rig.settings.invq.execute_cycles;
}

static void queue_status(unsigned i)
{
    rig_queue(&rig, vtd_inv_wait(rig.status + 64 + 4 * (uint64_t)i, 100 + i));
}

static unsigned statuses(unsigned n)
{
    unsigned there = 0;
    for (unsigned i = 0; i < n; i++)
        there += memory_read32(&rig.memory, rig.status + 64 + 4 * (uint64_t)i) == 100 + i;
    return there;
}

/* ---- Drains
 * ----------------------------------------------------------------------------------------------------
 */

static void dma_submit(uint64_t iova)
{
    *iommu_request(&rig.iommu) =
        (struct iommu_request){ .iova = iova, .requester = DEVICE, .access = PT_READ };
    iommu_submit(&rig.iommu, dma, rig.now);
}

static struct iommu_response dma_take(void)
{
    const struct iommu_response *taken;
    sim_time_t next;
    while ((taken = iommu_take(&rig.iommu, dma, rig.now, &next)) == NULL) {
        CHECK(rig.iommu_due != TIME_NEVER || next != TIME_NEVER);
        rig_run(&rig, time_min(rig.iommu_due, next));
    }
    return *taken;
}

static struct iommu_response dma_begin(uint64_t iova)
{
    dma_submit(iova);
    return dma_take();
}

static void dma_end(const struct iommu_response *r)
{
    iommu_retire(&rig.iommu, r->epoch, rig.now);
}

/* The wait behind what is queued already; runs until it should have executed. */
static cycle_t wait_begin(unsigned commands)
{
    queue_status(0);
    rig_ring(&rig);
    const cycle_t due = now() + S() + L + (commands + 1) * E() + W;
    return due;
}

TEST_CASE(invq_drain, a_wait_stands_until_earlier_dma_is_over_to_the_cycle)
{
    start_plain();
    const struct iommu_response r = dma_begin(0x1000);
    queue_page(0x1000, 0);
    const cycle_t due = wait_begin(1);
    run_to(due + 500);
    EXPECT_EQUAL(statuses(1), 0);
    EXPECT_EQUAL(reg(VTD_IQH), VTD_IQ_ENTRY_BYTES);
    rig.now += 1; /* Between two edges. */
    dma_end(&r);
    run_to(due + 500 + W);
    EXPECT_EQUAL(statuses(1), 0);
    run_to(due + 501 + W);
    EXPECT_EQUAL(statuses(1), 1);
    EXPECT_EQUAL(rig.iommu.stats.drain_cycles, 501 + W);
    rig_stop(&rig);
}

TEST_CASE(invq_drain, dma_that_is_over_before_the_wait_costs_nothing)
{
    start_plain();
    const struct iommu_response r = dma_begin(0x1000);
    queue_page(0x1000, 0);
    const cycle_t end = wait_begin(1);
    run_to(end - W - 1);
    dma_end(&r);
    run_to(end - 1);
    EXPECT_EQUAL(statuses(1), 0);
    run_to(end);
    EXPECT_EQUAL(statuses(1), 1);
    EXPECT_EQUAL(rig.iommu.stats.drain_cycles, 0);
    rig_stop(&rig);
}

TEST_CASE(invq_drain, dma_behind_the_invalidation_does_not_hold_up_the_wait)
{
    start_plain();
    const struct iommu_response before = dma_begin(0x1000);
    queue_page(0x1000, 0);
    const cycle_t due = wait_begin(1);
    run_to(due - W - E() + 1); /* The invalidation is done, the wait is not. */
    dma_submit(0x2000);
    dma_end(&before);
    run_to(due - 1);
    EXPECT_EQUAL(statuses(1), 0);
    run_to(due);
    EXPECT_EQUAL(statuses(1), 1);
    rig_stop(&rig);
}

/* One invalidation behind the other: no look-up lies between them, but they are not alone.
 * The second one must not wait for what is looked up after both. */
TEST_CASE(invq_drain,
          dma_behind_the_last_of_several_invalidations_does_not_hold_up_the_wait)
{
    for (unsigned n = 2; n < 5; n++) {
        start_plain();
        translate(0x1000);
        const struct iommu_response before = dma_begin(0x1000);
        for (unsigned i = 0; i < n; i++)
            queue_page(0x1000 * (i + 1), 0);
        queue_status(0);
        rig_ring(&rig);
        run_to(now() + 400); /* The wait stands. */
        EXPECT_EQUAL(statuses(1), 0);
        const struct iommu_response after = dma_begin(0x5000);
        EXPECT(after.epoch > before.epoch);
        dma_end(&before);
        run_to(now() + W);
        EXPECT_EQUAL(statuses(1), 1);
        rig_stop(&rig);
    }
}

TEST_CASE(invq_drain, several_waits_drain_each_up_to_its_own_invalidation)
{
    start_plain();
    const struct iommu_response first = dma_begin(0x1000);
    queue_page(0x1000, 0);
    queue_status(0);
    rig_ring(&rig);
    run_to(now() + 300);
    const struct iommu_response second = dma_begin(0x2000);
    queue_page(0x2000, 0);
    queue_status(1);
    rig_ring(&rig);
    run_to(now() + 1000);
    EXPECT_EQUAL(statuses(2), 0);
    dma_end(&first);
    run_to(now() + 1000);
    EXPECT_EQUAL(statuses(2), 1);
    dma_end(&second);
    run_to(now() + W);
    EXPECT_EQUAL(statuses(2), 2);
    rig_stop(&rig);
}

/* Out of order, and over more invalidations than there are epochs to tell apart. */
TEST_CASE(invq_drain, many_drains_with_one_old_dma_end_when_it_does)
{
    static struct iommu_response r[100];
    start_plain();
    for (unsigned i = 0; i < 100; i++) {
        r[i] = dma_begin(0x1000);
        queue_page(0x1000, 0);
        rig_ring(&rig);
        run_to(now() + 200);
    }
    queue_status(0);
    rig_ring(&rig);
    for (unsigned i = 100; i-- > 1;)
        dma_end(&r[i]);
    run_to(now() + 1000);
    EXPECT_EQUAL(statuses(1), 0);
    dma_end(&r[0]);
    run_to(now() + W);
    EXPECT_EQUAL(statuses(1), 1);
    rig_stop(&rig);
}

TEST_CASE(invq_drain, without_drain_a_wait_does_not_stand)
{
    for (unsigned way = 0; way < 3; way++) {
        prepare();
        rig.vtd.drain = way != 0;
        start();
        dma_begin(0x1000);
        struct vtd_descriptor d = vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, true);
        if (way == 1) /* Nobody asked for it. */
            d.low &= ~(VTD_INV_DR | VTD_INV_DW);
        if (way == 2) /* Contexts do not drain. */
            d = vtd_inv_context(VTD_GLOBAL, 0, 0);
        rig_queue(&rig, d);
        run_to(wait_begin(1));
        EXPECT_EQUAL(statuses(1), 1);
        rig_stop(&rig);
    }
}

TEST_CASE(invq_drain, either_drain_bit_is_enough)
{
    const uint64_t bits[] = { VTD_INV_DR, VTD_INV_DW };
    for (unsigned i = 0; i < 2; i++) {
        start_plain();
        const struct iommu_response r = dma_begin(0x1000);
        struct vtd_descriptor d       = vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false);
        d.low &= ~bits[i];
        rig_queue(&rig, d);
        run_to(wait_begin(1) + 100);
        EXPECT_EQUAL(statuses(1), 0);
        dma_end(&r);
        run_to(now() + W);
        EXPECT_EQUAL(statuses(1), 1);
        rig_stop(&rig);
    }
}

/* ---- Walks under way
 * -------------------------------------------------------------------------------------------------
 */

/* A walk has read its page's entry when the invalidation comes: its answer still leaves,
 * is not cached, and the wait stands until its DMA is over. */
static struct iommu_response overtake(struct vtd_descriptor d, uint64_t page)
{
    translate(0x1000);
    const cycle_t walk =
        rig.settings.walker.start_cycles + L + rig.settings.walker.fill_cycles;
    const cycle_t lookup = now() + rig.settings.iommu.accept_cycles;
    dma_submit(page);
    rig_queue(&rig, d);
    run_to(lookup + walk - 10 - S() - L - E()); /* 10 cycles before the answer. */
    const cycle_t due = wait_begin(1);
    run_to(lookup + walk - 20);
    rig_map(&rig, root, 4, page, 0, 12, 0);
    const struct iommu_response r = dma_take();
    EXPECT_EQUAL(r.due, lookup + walk + rig.settings.iommu.respond_cycles);
    EXPECT_EQUAL(r.outcome, XLATE_walked);
    run_to(due + 100);
    EXPECT_EQUAL(statuses(1), 0);
    dma_end(&r);
    run_to(due + 100 + W);
    EXPECT_EQUAL(statuses(1), 1);
    return r;
}

TEST_CASE(invq_drain, a_walk_that_an_invalidation_overtakes_is_answered_but_not_cached)
{
    const struct {
        struct vtd_descriptor d;
        bool covers;
    } of[] = { { vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false), true },
               { vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false), true },
               { vtd_inv_iotlb(VTD_DOMAIN, DOMAIN + 1, 0, 0, false), false },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x2000, 0, true), true },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x3000, 0, true), false },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0, 1, true), false },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0, 2, true), true } };
    for (unsigned i = 0; i < sizeof of / sizeof of[0]; i++)
        for (unsigned broken = 0; broken < 2; broken++) {
            prepare();
            rig.settings.walker.fill_after_flush = broken != 0;
            start();
            overtake(of[i].d, 0x2000);
            translate(0x2000);
            EXPECT_EQUAL(answer.outcome,
                         of[i].covers && !broken ? XLATE_faulted : XLATE_hit);
            rig_stop(&rig);
        }
}

TEST_CASE(invq_drain, nobody_joins_a_walk_that_has_been_overtaken)
{
    start_plain();
    translate(0x1000);
    const cycle_t began = now();
    dma_submit(0x2000);
    queue_page(0x2000, 0);
    rig_ring(&rig);
    run_to(began + S() + L + E() + 1);
    translate(0x2000);
    EXPECT_EQUAL(answer.outcome, XLATE_walked);
    const struct iommu_response first = dma_take();
    EXPECT(first.due < answer.due);
    rig_stop(&rig);
}

TEST_CASE(invq_drain, a_refused_translation_is_over_with_its_answer)
{
    start_plain();
    translate(0x1000);
    dma_submit(0x100000);
    queue_page(0x1000, 0);
    const cycle_t due = wait_begin(1);
    run_to(due + 1000);
    EXPECT_EQUAL(statuses(1), 1);
    EXPECT_EQUAL(dma_take().outcome, XLATE_faulted);
    rig_stop(&rig);
}
