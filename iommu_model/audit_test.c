/* SPDX-License-Identifier: Apache-2.0 */
/* The referee: exposure in cases worked out by hand, and bugs planted for each invariant.
 */
#include "iommu_model/audit.h"

#include "sim/test/shim.h"
#include "sim/test/wire.h"

enum { DEVICE = 0x28, DOMAIN = 4, LEVELS = 4, RW = PT_READ | PT_WRITE, PAGE = 4096 };

static struct rig rig;
static struct wire wire;
static struct audit audit;
static struct observer observer;
static struct iommu_response answer;
static struct port_response done;
static struct error error;
static uint64_t root;

static void prepare(void)
{
    rig_defaults(&rig);
    wire_defaults(&wire);
}

static void start_with(struct audit_promise promise)
{
    rig_start(&rig);
    wire_start(&wire, &rig, true);
    root = rig_attach(&rig, DEVICE, DOMAIN, LEVELS);
    for (uint64_t page = 1; page < 9; page++)
        rig_map(&rig, root, LEVELS, page << 12, page << 20, 12, RW);
    rig_map(&rig, root, LEVELS, 0x200000, 0x40000000, 21, RW);
    audit_init(&audit, &rig.iommu, &promise);
    audit_watch(&audit, &wire.root);
    observer = audit_observer(&audit);
    error    = (struct error){ 0 };
}

static void start(bool promises_nothing_stale)
{
    start_with((struct audit_promise){ .kind = promises_nothing_stale ? AUDIT_NOTHING_STALE
                                                                      : AUDIT_NONE });
}

static void stop(void)
{
    audit_free(&audit);
    wire_stop(&wire);
    rig_stop(&rig);
}

static void run_to(sim_time_t until)
{
    wire_run(&wire, until);
}

static void use(uint64_t iova)
{
    rig_translate(&rig, DEVICE, iova, PT_READ, &answer);
    EXPECT(answer.outcome != XLATE_faulted);
}

/* Software takes the mapping back, without a word to the IOMMU. */
static void unmap(uint64_t iova, uint64_t bytes)
{
    for (uint64_t at = iova; at < iova + bytes; at += PAGE)
        if (at < 0x200000)
            rig_map(&rig, root, LEVELS, at, 0, 12, 0);
    observer.given_back(observer.self, DOMAIN, iova, bytes, rig.now);
}

/* Queues an invalidation; returns the time at which it will be carried out. */
static sim_time_t invalidate(struct vtd_descriptor d)
{
    const struct invq_config *q = &rig.settings.invq;
    rig_queue(&rig, d);
    rig_ring(&rig);
    return rig.now + (q->start_cycles + RIG_LATENCY + q->execute_cycles) * RIG_PERIOD_PS;
}

static struct vtd_descriptor page_of(uint64_t iova, unsigned am)
{
    return vtd_inv_iotlb(VTD_PAGE, DOMAIN, iova, am, true);
}

static void expect_exposure(uint64_t pages, uint64_t page_ps, uint64_t longest_ps)
{
    EXPECT_EQUAL(audit.exposed_now, 0);
    EXPECT_EQUAL(audit.stats.page_exposed, pages);
    EXPECT_EQUAL(audit.stats.exposed_page_ps, page_ps);
    EXPECT_EQUAL(audit.exposure_ps_max, longest_ps);
    EXPECT_EQUAL(audit.exposure_ns.count, pages);
}

/* ---- Exposure
 * ------------------------------------------------------------------------------------------
 */

TEST_CASE(audit, a_page_is_exposed_from_its_unmap_to_its_invalidation)
{
    prepare();
    start(false);
    use(0x1000);
    use(0x2000);
    rig.now += 12345; /* Not at an edge. */
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, PAGE);
    EXPECT_EQUAL(audit.exposed_now, 1);
    run_to(unmapped + 1000000 - unmapped % RIG_PERIOD_PS);
    const sim_time_t ends = invalidate(page_of(0x1000, 0));
    run_to(ends + 5000000);
    expect_exposure(1, ends - unmapped, ends - unmapped);
    EXPECT_EQUAL(audit.exposure_ns.max, (ends - unmapped) / 1000);
    EXPECT_EQUAL(audit.stats.page_given_back, 1);
    EXPECT_EQUAL(audit.exposed_most, 1);
    stop();
}

TEST_CASE(audit, pages_that_no_cache_holds_are_not_exposed)
{
    prepare();
    start(false);
    use(0x1000);
    run_to(invalidate(page_of(0x1000, 0)) + 1000000);
    unmap(0x1000, 3 * PAGE); /* Dropped before, and never used. */
    observer.given_back(observer.self, DOMAIN + 1, 0x1000, PAGE, rig.now);
    run_to(rig.now + 1000000);
    expect_exposure(0, 0, 0);
    EXPECT_EQUAL(audit.stats.page_given_back, 4);
    stop();
}

/* Two pages given back 3 us apart, dropped together; one beside them stays the device's. */
TEST_CASE(audit, each_page_counts_by_its_own_time)
{
    prepare();
    start(false);
    for (uint64_t page = 1; page < 4; page++)
        use(page << 12);
    const sim_time_t first = rig.now;
    unmap(0x1000, PAGE);
    run_to(first + 3000000);
    unmap(0x2000, PAGE);
    unmap(0x2000, PAGE); /* Twice is once. */
    EXPECT_EQUAL(audit.exposed_most, 2);
    const sim_time_t ends = invalidate(vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false));
    run_to(ends);
    expect_exposure(2, 2 * (ends - first) - 3000000, ends - first);
    EXPECT_EQUAL(audit.exposure_ns.min, (ends - first) / 1000 - 3000);
    stop();
}

TEST_CASE(audit, a_large_page_counts_as_all_of_its_pages)
{
    prepare();
    start(false);
    use(0x234000);
    const sim_time_t unmapped = rig.now;
    unmap(0x200000, 512 * PAGE);
    const sim_time_t ends = invalidate(page_of(0x200000, 9));
    run_to(ends);
    expect_exposure(512, 512 * (ends - unmapped), ends - unmapped);
    EXPECT_EQUAL(audit.stats.page_given_back, 512);
    stop();
}

TEST_CASE(audit, an_eviction_ends_an_exposure_too)
{
    prepare();
    rig.settings.iotlb.sets = 1;
    rig.settings.iotlb.ways = 2;
    start(false);
    use(0x1000);
    use(0x2000);
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, PAGE);
    use(0x3000); /* Takes its place when the leaf arrives. */
    const sim_time_t filled =
        answer.due * RIG_PERIOD_PS
        - (rig.settings.walker.fill_cycles + rig.settings.iommu.respond_cycles)
              * (sim_time_t)RIG_PERIOD_PS;
    expect_exposure(1, filled - unmapped, filled - unmapped);
    stop();
}

TEST_CASE(audit, what_is_still_exposed_counts_up_to_the_end)
{
    prepare();
    start(false);
    use(0x1000);
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, PAGE);
    audit_finish(&audit, unmapped + 7654321);
    expect_exposure(1, 7654321, 7654321);
    audit_finish(&audit, unmapped + 9999999); /* Once. */
    expect_exposure(1, 7654321, 7654321);
    EXPECT(audit_check(&audit, &error));
    stop();
}

/* The walk has read the entry before it was cleared, and fills behind the unmap: exposed
 * since the unmap, as the device could not have been stopped. */
TEST_CASE(audit, a_walk_that_fills_behind_the_unmap_exposes_since_the_unmap)
{
    prepare();
    start(false);
    use(0x1000);
    const sim_time_t began = rig.now;
    rig_submit(&rig, DEVICE, 0x2000, PT_READ, 0);
    const cycle_t read =
        rig.settings.iommu.accept_cycles + rig.settings.walker.start_cycles;
    run_to(began + (read + 10) * RIG_PERIOD_PS);
    const sim_time_t unmapped = rig.now;
    unmap(0x2000, PAGE);
    EXPECT_EQUAL(audit.exposed_now, 1); /* In no cache yet, but on its way there. */
    EXPECT(rig_next(&rig, &answer));
    EXPECT(answer.stale);
    EXPECT_EQUAL(audit.exposed_now, 1);
    const sim_time_t ends = invalidate(page_of(0x2000, 0));
    run_to(ends);
    expect_exposure(1, ends - unmapped, ends - unmapped);
    stop();
}

/* An invalidation in time keeps the walk from filling: the page is exposed until the walk
 * ends, or longer if the walker is of those that fill all the same. */
TEST_CASE(audit, a_walk_that_an_invalidation_overtakes_exposes_until_it_ends)
{
    for (unsigned broken = 0; broken < 2; broken++) {
        prepare();
        rig.settings.walker.fill_after_flush = broken != 0;
        start(false);
        use(0x1000);
        const sim_time_t began = rig.now;
        rig_submit(&rig, DEVICE, 0x2000, PT_READ, 0);
        run_to(began + 150 * RIG_PERIOD_PS);
        invalidate(
            page_of(0x2000, 0)); /* 220 cycles behind began: the leaf comes at 231. */
        run_to(began + 190 * RIG_PERIOD_PS);
        unmap(0x2000, PAGE);
        EXPECT(rig_next(&rig, &answer));
        EXPECT(answer.stale);
        EXPECT_EQUAL(audit.exposed_now, broken);
        EXPECT_EQUAL(audit.stats.page_exposed, 1);
        audit_finish(&audit, rig.now);
        const sim_time_t leaf = began + 231 * RIG_PERIOD_PS;
        EXPECT_EQUAL(audit.stats.exposed_page_ps,
                     (broken ? rig.now : leaf) - (began + 190 * RIG_PERIOD_PS));
        stop();
    }
}

/* ---- Invariant 1
 * -----------------------------------------------------------------------------------------
 */

static void dma(enum port_kind kind, uint64_t iova)
{
    wire_submit(&wire, kind, DEVICE, iova, 64, 0, NULL);
}

/* Planted: the driver forgets the invalidation. */
TEST_CASE(audit, an_access_through_a_forgotten_invalidation_breaks_invariant_1)
{
    for (unsigned kind = PORT_READ; kind <= PORT_WRITE; kind++)
        for (unsigned promises = 0; promises < 2; promises++) {
            prepare();
            start(promises != 0);
            use(0x1000);
            unmap(0x1000, PAGE);
            dma((enum port_kind)kind, 0x1fc0);
            EXPECT(wire_next(&wire, &done));
            EXPECT_EQUAL(done.status, PORT_OK); /* It went through. */
            EXPECT_EQUAL(audit.stats.stale_access, 1);
            EXPECT_EQUAL(audit.stats.broken_access, promises);
            EXPECT_EQUAL(wire.root.stats.stale, 1);
            EXPECT_EQUAL(audit_check(&audit, &error), !promises);
            if (promises)
                EXPECT_HAS(error.text, "invariant 1: device 0028 reached 0x1fc0");
            stop();
        }
}

TEST_CASE(audit, accesses_behind_the_invalidation_or_beside_the_page_break_nothing)
{
    prepare();
    start(true);
    use(0x1000);
    use(0x2000);
    unmap(0x1000, PAGE);
    dma(PORT_READ, 0x2000);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(done.status, PORT_OK);
    run_to(invalidate(page_of(0x1000, 0)));
    dma(PORT_READ, 0x1000);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(done.status, PORT_FAULT);
    EXPECT_EQUAL(audit.stats.stale_access, 0);
    EXPECT(audit_check(&audit, &error));
    stop();
}

/* Translated before the unmap and still on its way to memory behind it: that is what the
 * drain is for, and planted here is a driver that does not wait. */
TEST_CASE(audit, a_dma_translated_before_the_unmap_is_seen_when_it_writes_behind_it)
{
    for (unsigned late = 0; late < 2; late++) {
        prepare();
        start(true);
        use(0x1000);
        dma(PORT_WRITE, 0x1000);
        const sim_time_t arrives = rig.now + (20 + 64 + 100) * TIME_NS + 2 * RIG_PERIOD_PS;
        const sim_time_t written = arrives + RIG_LATENCY * RIG_PERIOD_PS;
        run_to(late ? written : written - RIG_PERIOD_PS);
        unmap(0x1000, PAGE);
        EXPECT(wire_next(&wire, &done));
        EXPECT_EQUAL(audit.stats.stale_access, !late);
        EXPECT_EQUAL(audit_check(&audit, &error), late != 0);
        stop();
    }
}

TEST_CASE(audit, a_dma_in_another_domain_or_of_another_page_is_not_stale)
{
    prepare();
    start(true);
    use(0x1000);
    dma(PORT_WRITE, 0x1000);
    run_to(rig.now + (20 + 64 + 100) * TIME_NS + 3 * RIG_PERIOD_PS);
    EXPECT(wire.root.slot[0].translated);
    observer.given_back(observer.self, DOMAIN + 1, 0x1000, PAGE, rig.now);
    observer.given_back(observer.self, DOMAIN, 0x2000, PAGE, rig.now);
    observer.given_back(observer.self, DOMAIN, 0x0, PAGE, rig.now);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.stale_access, 0);
    stop();
}

TEST_CASE(audit, an_answer_that_waits_to_be_taken_is_marked_too)
{
    prepare();
    rig.settings.iommu.respond_cycles = 100;
    start(true);
    use(0x1000);
    dma(PORT_READ, 0x1000);
    run_to(rig.now + 200 * TIME_NS); /* Looked up, not yet answered. */
    unmap(0x1000, PAGE);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.stale_access, 1);
    stop();
}

/* ---- Invariant 2
 * -------------------------------------------------------------------------------------------
 */

/* Planted: the address is handed out before the invalidation. */
TEST_CASE(audit, an_address_handed_out_while_it_is_stale_breaks_invariant_2)
{
    for (unsigned early = 0; early < 2; early++) {
        prepare();
        start(false);
        use(0x1000);
        use(0x4000);
        unmap(0x1000, PAGE);
        const sim_time_t ends = invalidate(page_of(0x1000, 0));
        run_to(early ? ends - 1 : ends);
        observer.handed_out(observer.self, DOMAIN, 0x4000, PAGE, rig.now);
        observer.handed_out(observer.self, DOMAIN + 1, 0x1000, PAGE, rig.now);
        observer.handed_out(observer.self, DOMAIN, 0x2000, 0x10000, rig.now);
        EXPECT_EQUAL(audit.stats.broken_reuse, 0);
        observer.handed_out(observer.self, DOMAIN, 0x0, 2 * PAGE, rig.now);
        EXPECT_EQUAL(audit.stats.broken_reuse, early);
        EXPECT_EQUAL(audit_check(&audit, &error), !early);
        if (early)
            EXPECT_HAS(error.text, "invariant 2: 0x0 of space 4 was handed out again");
        stop();
    }
}

/* The same while nothing is cached yet: a walk has read the old entry and will fill it. */
TEST_CASE(audit, an_address_handed_out_while_a_walk_still_knows_it_breaks_invariant_2)
{
    prepare();
    start(false);
    use(0x1000);
    const sim_time_t began = rig.now;
    rig_submit(&rig, DEVICE, 0x2000, PT_READ, 0);
    run_to(began + 195 * RIG_PERIOD_PS); /* The read is under way. */
    unmap(0x2000, PAGE);
    observer.handed_out(observer.self, DOMAIN, 0x3000, PAGE, rig.now);
    EXPECT_EQUAL(audit.stats.broken_reuse, 0);
    observer.handed_out(observer.self, DOMAIN, 0x2000, PAGE, rig.now);
    EXPECT_EQUAL(audit.stats.broken_reuse, 1);
    EXPECT(rig_next(&rig, &answer));
    EXPECT_EQUAL(audit.exposed_now, 1); /* Here it is. */
    audit_finish(&audit, rig.now);
    stop();
}

/* It has not read its leaf when the page is handed out, or an invalidation has overtaken
 * it: a device that pokes at what is not mapped must not look like a driver's bug. */
TEST_CASE(audit, an_address_may_be_handed_out_under_a_walk_that_cannot_know_it)
{
    for (unsigned flush = 0; flush < 2; flush++) {
        prepare();
        start(false);
        use(0x1000);
        const sim_time_t began = rig.now;
        rig_submit(&rig, DEVICE, 0x2000, PT_READ, 0);
        run_to(began + 150 * RIG_PERIOD_PS);
        if (flush)
            invalidate(page_of(0x2000, 0)); /* Carried out at 220. */
        run_to(began + (flush ? 195u : 170u) * RIG_PERIOD_PS);
        unmap(0x2000, PAGE);
        run_to(began + (flush ? 221u : 170u) * RIG_PERIOD_PS);
        observer.handed_out(observer.self, DOMAIN, 0x2000, PAGE, rig.now);
        EXPECT_EQUAL(audit.stats.broken_reuse, 0);
        EXPECT(rig_next(&rig, &answer));
        EXPECT_EQUAL(audit.stats.page_exposed, flush); /* While the walk knew it. */
        EXPECT_EQUAL(audit.exposed_now, 0);
        stop();
    }
}

/* ---- Invariant 3
 * -------------------------------------------------------------------------------------------
 */

static uint64_t leaf_table(uint64_t iova)
{
    return rig_entry(&rig, root, LEVELS, iova, 0) & ~UINT64_C(0xfff);
}

/* Planted: only the leaves are invalidated before the table is freed. */
TEST_CASE(audit, a_table_freed_while_a_walk_cache_points_to_it_breaks_invariant_3)
{
    for (unsigned hint = 0; hint < 2; hint++) {
        prepare();
        start(false);
        use(0x1000);
        const uint64_t table = leaf_table(0x1000);
        run_to(invalidate(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0, 9, hint != 0)));
        observer.table_freed(observer.self, table + PAGE, rig.now);
        EXPECT_EQUAL(audit.stats.broken_table, 0);
        observer.table_freed(observer.self, table, rig.now);
        EXPECT_EQUAL(audit.stats.broken_table, hint);
        EXPECT_EQUAL(audit_check(&audit, &error), !hint);
        if (hint)
            EXPECT_HAS(error.text, "invariant 3: the table page at 0x1000");
        stop();
    }
}

/* No cache holds it, but a walk under way is about to read it. */
TEST_CASE(audit, a_table_freed_under_a_walk_breaks_invariant_3)
{
    prepare();
    rig.settings.walkcache.level0_entries = rig.settings.walkcache.level1_entries = 0;
    rig.settings.walkcache.level2_entries = rig.settings.walkcache.level3_entries = 0;
    start(false);
    use(0x1000);
    const uint64_t table   = leaf_table(0x1000);
    const sim_time_t began = rig.now;
    rig_submit(&rig, DEVICE, 0x2000, PT_READ, 0);
    run_to(began + 200 * RIG_PERIOD_PS); /* At the root. */
    observer.table_freed(observer.self, table, rig.now);
    EXPECT_EQUAL(audit.stats.broken_table, 0);
    run_to(began + 181 * RIG_PERIOD_PS + (3 * 52 + 10) * (sim_time_t)RIG_PERIOD_PS);
    observer.table_freed(observer.self, table, rig.now);
    EXPECT_EQUAL(audit.stats.broken_table, 1);
    EXPECT(rig_next(&rig, &answer));
    observer.table_freed(observer.self, table, rig.now);
    EXPECT_EQUAL(audit.stats.broken_table, 1);
    stop();
}

/* ---- The report
 * -----------------------------------------------------------------------------------------------
 */

TEST_CASE(audit, the_first_broken_invariant_is_the_one_that_is_told)
{
    prepare();
    start(true);
    use(0x1000);
    unmap(0x1000, PAGE);
    observer.handed_out(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    dma(PORT_READ, 0x1000);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.broken_reuse, 1);
    EXPECT_EQUAL(audit.stats.broken_access, 1);
    EXPECT(!audit_check(&audit, &error));
    EXPECT_HAS(error.text, "invariant 2");
    stop();
}
