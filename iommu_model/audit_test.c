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
static bool hostile; /* The device at the end of the wire; and what it reached. */
static struct audit_hostile reached;

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
    if (hostile)
        audit_watch_hostile(&audit, &wire.root, &reached);
    else
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
    hostile = false;
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

static uint64_t leaf_table(uint64_t iova)
{
    return rig_entry(&rig, root, LEVELS, iova, 0) & ~UINT64_C(0xfff);
}

/* ---- Parts of exposure ----------------------------------------------------------------
 */

TEST_CASE(audit, exposure_is_split_where_the_frame_becomes_reusable)
{
    prepare();
    start(false);
    for (uint64_t page = 1; page < 4; page++)
        use(page << 12);
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, 2 * PAGE);
    observer.reusable(observer.self, DOMAIN, 0x3000, PAGE, unmapped); /* Not given back. */
    run_to(unmapped + 2000000);
    observer.reusable(observer.self, DOMAIN, 0x1000, PAGE, rig.now); /* One of the two. */
    run_to(unmapped + 3000000);
    observer.reusable(observer.self, DOMAIN, 0x1000, PAGE, rig.now); /* Once. */
    const sim_time_t ends = invalidate(vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false));
    run_to(ends);
    EXPECT_EQUAL(audit.stats.exposed_page_ps, 2 * (ends - unmapped));
    EXPECT_EQUAL(audit.stats.exposed_page_ps_held, ends - unmapped + 2000000);
    EXPECT_EQUAL(audit.stats.exposed_page_ps_reusable, ends - unmapped - 2000000);
    EXPECT(stat_check(&audit_stat_table, &audit.stats, &error));
    stop();
}

TEST_CASE(audit, what_becomes_reusable_at_once_is_all_of_one_kind)
{
    prepare();
    start(false);
    use(0x1000);
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, PAGE);
    observer.reusable(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    const sim_time_t ends = invalidate(page_of(0x1000, 0));
    run_to(ends);
    EXPECT_EQUAL(audit.stats.exposed_page_ps_held, 0);
    EXPECT_EQUAL(audit.stats.exposed_page_ps_reusable, ends - unmapped);
    stop();
}

/* One page lent in part for 5 us, then stale; one whose rest is lent 2 us later. */
TEST_CASE(audit, pages_lent_in_part_count_while_mapped_and_while_stale)
{
    prepare();
    start(false);
    use(0x1000);
    const sim_time_t began = rig.now;
    observer.lent(observer.self, DOMAIN, 0x1200, 0x600, began);
    observer.lent(observer.self, DOMAIN, 0x2e00, 0x200, began);
    observer.lent(observer.self, DOMAIN, 0x3000, PAGE, began); /* Whole. */
    run_to(began + 2000000);
    observer.lent(observer.self, DOMAIN, 0x2000, 0xe00, rig.now);
    run_to(began + 5000000);
    unmap(0x1000, PAGE);
    run_to(began + 6000000);
    unmap(0x2000, 2 * PAGE);
    const sim_time_t ends = invalidate(page_of(0x1000, 0));
    run_to(ends);
    EXPECT_EQUAL(audit.stats.partial_page_ps, 7000000);
    EXPECT_EQUAL(audit.stats.exposed_partial_page_ps, ends - began - 5000000);
    EXPECT_EQUAL(audit.ledger.notes, 0);
    audit_finish(&audit, ends + 1000000);
    EXPECT_EQUAL(audit.stats.partial_page_ps, 7000000);
    stop();
}

TEST_CASE(audit, pools_count_while_they_are_mapped_and_never_become_stale)
{
    prepare();
    start_with((struct audit_promise){ .kind = AUDIT_POOL_ONLY });
    const sim_time_t began = rig.now;
    observer.pooled(observer.self, DOMAIN, 0x1000, 3 * PAGE, true, began);
    use(0x1000);
    run_to(began + 2000000);
    observer.lent(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    observer.given_back(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    EXPECT_EQUAL(audit.exposed_now, 0);
    use(0x1000); /* A hit, still. */
    EXPECT(!answer.stale);
    audit_finish(&audit, began + 4000000);
    EXPECT_EQUAL(audit.stats.pool_page_ps, 3 * UINT64_C(4000000));
    EXPECT_EQUAL(audit.pool_most, 3);
    EXPECT(audit_check(&audit, &error));
    stop();
}

/* Planted: a pool is given up while the IOTLB still holds a page of it. */
TEST_CASE(audit, a_page_that_leaves_its_pool_is_as_stale_as_any)
{
    prepare();
    start_with((struct audit_promise){ .kind = AUDIT_POOL_ONLY });
    observer.pooled(observer.self, DOMAIN, 0x1000, 3 * PAGE, true, rig.now);
    use(0x1000);
    dma(PORT_READ, 0x1000);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.stale_access, 0);
    observer.pooled(observer.self, DOMAIN, 0x1000, PAGE, false, rig.now);
    dma(PORT_READ, 0x1000);
    dma(PORT_READ, 0x2000);
    EXPECT(wire_next(&wire, &done));
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.stale_access, 1);
    EXPECT_EQUAL(audit.stats.broken_access, 1);
    stop();
}

/* No cache holds it any more, but a write with its address is on the way to memory. */
TEST_CASE(audit, a_transaction_under_way_exposes_until_it_reaches_memory)
{
    const struct inv_selector all = { .last = UINT64_MAX };
    prepare();
    start(false);
    use(0x1000);
    dma(PORT_WRITE, 0x1000);
    const sim_time_t arrives = rig.now + (20 + 64 + 100) * TIME_NS + 2 * RIG_PERIOD_PS;
    const sim_time_t written = arrives + RIG_LATENCY * RIG_PERIOD_PS;
    run_to(written - 10 * RIG_PERIOD_PS);
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, PAGE);
    iotlb_invalidate(&rig.iommu.iotlb, &all);
    EXPECT_EQUAL(audit.exposed_now, 1);
    EXPECT(wire_next(&wire, &done));
    expect_exposure(1, written - unmapped, written - unmapped);
    stop();
}

/* An unmap that leaves the entry in the table: the next walk finds it. */
TEST_CASE(audit, an_entry_that_the_unmap_left_in_the_table_is_stale_when_a_walk_finds_it)
{
    prepare();
    start(true);
    run_to(TIME_US);
    const sim_time_t unmapped = rig.now;
    observer.given_back(observer.self, DOMAIN, 0x1000, PAGE, unmapped);
    EXPECT_EQUAL(audit.exposed_now, 0);
    dma(PORT_READ, 0x1000);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.broken_access, 1);
    EXPECT_EQUAL(audit.exposed_now, 1);
    run_to(rig.now + TIME_US - rig.now % RIG_PERIOD_PS);
    const sim_time_t ends = invalidate(page_of(0x1000, 0));
    run_to(ends);
    expect_exposure(1, ends - unmapped, ends - unmapped);
    observer.handed_out(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    dma(PORT_READ, 0x1000); /* A new mapping, for all that anyone knows. */
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.stale_access, 1);
    stop();
}

/* ---- Bounded promises -------------------------------------------------------------------
 */

/* A device reads the page so long after its unmap. */
static bool is_allowed_after(struct audit_promise promise, sim_time_t after)
{
    prepare();
    start_with(promise);
    use(0x1000);
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, PAGE);
    run_to(unmapped + after);
    dma(PORT_READ, 0x1000);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.stale_access, 1);
    const bool allowed = audit.stats.broken_access == 0;
    EXPECT_EQUAL(audit_check(&audit, &error), allowed);
    stop();
    return allowed;
}

TEST_CASE(audit, an_access_later_than_the_promised_time_and_its_grace_is_caught)
{
    const struct audit_promise promise = { .kind     = AUDIT_BOUNDED_TIME,
                                           .bound    = 5 * TIME_US,
                                           .grace_ps = TIME_US };
    EXPECT(is_allowed_after(promise, TIME_US));
    EXPECT(is_allowed_after(promise, 6 * TIME_US - 500 * TIME_NS));
    EXPECT(!is_allowed_after(promise, 6 * TIME_US));
    EXPECT_HAS(error.text, "against the policy's promise");
}

/* Nobody touches the page; but it could have been touched for too long. To the ps. */
TEST_CASE(audit, a_page_that_stays_reachable_for_longer_than_promised_is_caught)
{
    for (unsigned late = 0; late < 4; late++) {
        prepare();
        start(false);
        use(0x1000);
        const sim_time_t unmapped = rig.now;
        unmap(0x1000, PAGE);
        run_to(unmapped + 3 * TIME_US);
        const sim_time_t ends = late < 2 ? invalidate(page_of(0x1000, 0)) : rig.now;
        audit.promise         = (struct audit_promise){ .kind  = AUDIT_BOUNDED_TIME,
                                                        .bound = ends - unmapped - late % 2 };
        run_to(ends);
        if (late >= 2)
            audit_finish(&audit, ends);
        EXPECT_EQUAL(audit.stats.broken_time, late % 2);
        EXPECT_EQUAL(audit_check(&audit, &error), late % 2 == 0);
        if (late % 2 == 1)
            EXPECT_HAS(error.text, "0x1000 stayed reachable for");
        stop();
    }
}

/* The page is unmapped, then so many others, then accessed. */
static bool is_allowed_behind(struct audit_promise promise, unsigned others)
{
    prepare();
    start_with(promise);
    use(0x1000);
    unmap(0x1000, PAGE);
    for (unsigned i = 0; i < others; i++)
        unmap((2 + i) * UINT64_C(0x1000), PAGE);
    dma(PORT_WRITE, 0x1000);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(audit.stats.stale_access, 1);
    const bool allowed = audit.stats.broken_access == 0;
    stop();
    return allowed;
}

TEST_CASE(audit, an_access_behind_more_unmaps_or_bytes_than_promised_is_caught)
{
    const struct audit_promise count = { .kind = AUDIT_BOUNDED_COUNT, .bound = 3 };
    const struct audit_promise bytes = { .kind = AUDIT_BOUNDED_BYTES, .bound = 3 * PAGE };
    const struct audit_promise pool  = { .kind = AUDIT_POOL_ONLY };
    EXPECT(is_allowed_behind(count, 0));
    EXPECT(is_allowed_behind(count, 3));
    EXPECT(!is_allowed_behind(count, 4));
    EXPECT(is_allowed_behind(bytes, 3));
    EXPECT(!is_allowed_behind(bytes, 4));
    EXPECT(!is_allowed_behind(pool, 0));
}

/* ---- What was reached
 * ----------------------------------------------------------------------
 */

static void reach(uint64_t iova)
{
    dma(PORT_READ, iova);
    EXPECT(wire_next(&wire, &done));
    EXPECT_EQUAL(done.status, PORT_OK);
}

TEST_CASE(audit, a_stale_access_is_told_by_what_the_page_was_then)
{
    prepare();
    start(false);
    use(0x1000);
    observer.lent(observer.self, DOMAIN, 0x1000, 0x200, rig.now);
    unmap(0x1000, PAGE);
    reach(0x1000);
    EXPECT_EQUAL(audit.stats.stale_access_held, 1);
    EXPECT_EQUAL(audit.stats.stale_other_bytes, 0);
    observer.reusable(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    reach(0x1200); /* Never lent. */
    EXPECT_EQUAL(audit.stats.stale_access_reusable, 1);
    EXPECT_EQUAL(audit.stats.stale_other_bytes, 1);
    observer.handed_out(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    reach(0x1000);
    EXPECT_EQUAL(audit.stats.stale_access_renewed, 1);
    EXPECT_EQUAL(audit.stats.stale_access, 3);
    EXPECT_EQUAL(audit.stats.hostile_access, 0);
    stop();
}

TEST_CASE(audit, each_access_of_a_hostile_device_is_told_by_what_it_reached)
{
    const struct audit_stats *s = &audit.stats;
    prepare();
    hostile = true;
    start(false);
    observer.lent(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    observer.lent(observer.self, DOMAIN, 0x2000, 0x240, rig.now);
    observer.pooled(observer.self, DOMAIN, 0x3000, 2 * PAGE, true, rig.now);
    observer.lent(observer.self, DOMAIN, 0x3800, 0x800, rig.now);
    reach(0x1000);
    reach(0x2200);
    reach(0x3800);
    EXPECT_EQUAL(s->hostile_access_lent, 3);
    reach(0x2240);
    EXPECT_EQUAL(s->hostile_access_other, 1);
    reach(0x3000);
    reach(0x4000);
    EXPECT_EQUAL(s->hostile_access_pool, 2);
    observer.given_back(observer.self, DOMAIN, 0x3800, 0x800, rig.now);
    reach(0x3800);
    EXPECT_EQUAL(s->hostile_access_pool, 3);
    const sim_time_t unmapped = rig.now;
    unmap(0x1000, PAGE);
    run_to(unmapped + 7 * TIME_US);
    reach(0x1000);
    EXPECT_EQUAL(s->hostile_access_held, 1);
    EXPECT(audit.attack_ns.min >= 7000 && audit.attack_ns.min < 7300);
    observer.reusable(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    reach(0x1000);
    EXPECT_EQUAL(s->hostile_access_reusable, 1);
    observer.handed_out(observer.self, DOMAIN, 0x1000, PAGE, rig.now);
    reach(0x1000);
    EXPECT_EQUAL(s->hostile_access_renewed, 1);
    EXPECT_EQUAL(audit.attack_ns.count, 3);
    EXPECT_EQUAL(s->hostile_access, 10);
    EXPECT_EQUAL(s->stale_access, 3);
    EXPECT(stat_check(&audit_stat_table, s, &error));
    /* And by itself, until measuring begins anew. */
    static const uint64_t each[AUDIT_REACH_COUNT] = {
        [AUDIT_REACH_lent] = 3,    [AUDIT_REACH_held] = 1, [AUDIT_REACH_reusable] = 1,
        [AUDIT_REACH_renewed] = 1, [AUDIT_REACH_pool] = 3, [AUDIT_REACH_other] = 1
    };
    for (unsigned i = 0; i < AUDIT_REACH_COUNT; i++)
        EXPECT_EQUAL(reached.reached[i], each[i]);
    EXPECT_EQUAL(reached.attack_ns.count, 3);
    EXPECT_EQUAL(reached.attack_ns.max, audit.attack_ns.max);
    audit_begin(&audit, rig.now);
    EXPECT_EQUAL(reached.attack_ns.count, 0);
    reach(0x2200);
    EXPECT_EQUAL(reached.reached[AUDIT_REACH_lent], 1);
    EXPECT_EQUAL(s->hostile_access_lent, 4);
    stop();
}

/* ---- Collateral
 * --------------------------------------------------------------------------- */

static uint64_t walked_cycles(void)
{
    uint64_t sum = 0;
    for (unsigned p = XLATE_PART_walker; p <= XLATE_PART_guest; p++)
        sum += answer.part[p];
    return sum;
}

static sim_time_t drop_domain(void)
{
    const sim_time_t ends = invalidate(vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false));
    run_to(ends);
    return ends;
}

TEST_CASE(audit, entries_dropped_while_their_page_is_mapped_cost_their_next_walk)
{
    prepare();
    start(false);
    for (uint64_t page = 1; page < 5; page++)
        use(page << 12);
    EXPECT_EQUAL(audit.stats.collateral_entry, 0);
    rig_map(&rig, root, LEVELS, 0x1000, 0, 12, 0); /* Strict: cleared, then invalidated, */
    drop_domain();
    observer.given_back(observer.self, DOMAIN, 0x1000, PAGE,
                        rig.now); /* then given back. */
    EXPECT_EQUAL(audit.stats.collateral_entry, 3);
    EXPECT_EQUAL(audit.stats.collateral_pointer, 3); /* Three levels lead to the leaf. */

    use(0x2000); /* Reads the pointers anew, too: all of it counts once. */
    EXPECT_EQUAL(audit.stats.collateral_refill, 1);
    EXPECT_EQUAL(audit.stats.pointer_refill, 3);
    EXPECT_EQUAL(audit.stats.refill_cycles, walked_cycles());
    const uint64_t first = audit.stats.refill_cycles;
    use(0x3000);
    EXPECT_EQUAL(audit.stats.collateral_refill, 2);
    EXPECT_EQUAL(audit.stats.refill_cycles, first + walked_cycles());
    use(0x5000); /* Was never cached. */
    EXPECT_EQUAL(audit.stats.collateral_refill, 2);
    unmap(0x4000, PAGE); /* Nobody wanted it again. */
    rig_map(&rig, root, LEVELS, 0x4000, 4 << 20, 12, RW);
    observer.handed_out(observer.self, DOMAIN, 0x4000, PAGE, rig.now);
    use(0x4000); /* A new mapping, though of the same frame. */
    EXPECT_EQUAL(audit.stats.collateral_refill, 2);
    stop();
}

/* The pages are new, the pointers are not. */
TEST_CASE(audit, pointers_dropped_while_their_table_is_in_use_cost_their_next_read)
{
    prepare();
    start(false);
    use(0x1000);
    drop_domain();
    use(0x5000);
    EXPECT_EQUAL(audit.stats.collateral_refill, 0);
    EXPECT_EQUAL(audit.stats.pointer_refill, 3);
    EXPECT_EQUAL(audit.stats.refill_cycles, answer.part[XLATE_PART_walk1]
                                                + answer.part[XLATE_PART_walk2]
                                                + answer.part[XLATE_PART_walk3]);
    drop_domain();
    observer.table_freed(observer.self, leaf_table(0x1000), rig.now);
    use(0x6000); /* The leaf table's page was freed, and is a table again. */
    EXPECT_EQUAL(audit.stats.pointer_refill, 5);
    stop();
}

TEST_CASE(audit, what_is_stale_when_it_is_dropped_is_no_collateral)
{
    prepare();
    start(false);
    use(0x1000);
    unmap(0x1000, PAGE);
    drop_domain();
    EXPECT_EQUAL(audit.stats.collateral_entry, 0);
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
