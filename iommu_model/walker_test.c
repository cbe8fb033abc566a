/* SPDX-License-Identifier: Apache-2.0 */
/* Page walks to the cycle: how many reads, who shares them, who waits, who is refused. */
#include "iommu_model/iommu.h"

#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, DOMAIN = 4, L = RIG_LATENCY, MAX = 8, RW = PT_READ | PT_WRITE };

static const uint64_t base = 0x40000000; /* 1 GiB: the start of a page of any size. */

static struct rig rig;
static struct iommu_response answer;
static unsigned levels;
static uint64_t root;

static void prepare(void)
{
    rig_defaults(&rig);
    rig.vtd.levels_max                    = 5;
    rig.settings.walkcache.level0_entries = rig.settings.walkcache.level1_entries = 0;
    rig.settings.walkcache.level2_entries = rig.settings.walkcache.level3_entries = 0;
}

/* The context is cached already: only the pages' walks are to be seen. */
static void start(unsigned depth)
{
    levels = depth;
    rig_start(&rig);
    root = rig_attach(&rig, DEVICE, DOMAIN, levels);
    rig_translate(&rig, DEVICE, 0, PT_READ, &answer);
    CHECK(answer.outcome == XLATE_faulted);
    iommu_mmio_ops.write(&rig.iommu, VTD_FRCD + 12, UINT32_C(1) << 31, 4, rig.now);
}

static void map(uint64_t iova, uint64_t pa, unsigned page_lg2, unsigned prot)
{
    rig_map(&rig, root, levels, iova, pa, page_lg2, prot);
}

/* From the look-up to the result: so many reads, none of which had to wait. */
static cycle_t walk_of(unsigned reads)
{
    const struct walker_config *w = &rig.settings.walker;
    return w->start_cycles + reads * (cycle_t)L + (reads - 1) * (cycle_t)w->step_cycles
           + w->fill_cycles;
}

static cycle_t ends(void)
{
    return rig.settings.iommu.accept_cycles + rig.settings.iommu.respond_cycles;
}

static cycle_t translate(uint64_t iova, unsigned access)
{
    return rig_translate(&rig, DEVICE, iova, access, &answer);
}

/* The answers to everything submitted, by id, and when they came after that time. */
static struct iommu_response got[MAX];
static unsigned order[MAX];

static unsigned collect(void)
{
    unsigned n = 0;
    while (n < MAX && rig_next(&rig, &answer)) {
        CHECK(answer.id < MAX);
        got[answer.id] = answer;
        order[n++]     = answer.id;
    }
    return n;
}

static cycle_t now(void)
{
    return rig.now / RIG_PERIOD_PS;
}

static uint64_t reg(uint32_t offset)
{
    return iommu_mmio_ops.read(&rig.iommu, offset, 8, rig.now);
}

/* ---- Reads
 * ----------------------------------------------------------------------------------- */

static void expect_parts(unsigned leaf)
{
    const struct walker_config *w = &rig.settings.walker;
    cycle_t sum                   = 0;
    for (unsigned p = 0; p < XLATE_PART_COUNT; p++)
        sum += answer.part[p];
    EXPECT_EQUAL(sum, ends() + walk_of(levels - leaf));
    EXPECT_EQUAL(answer.part[XLATE_PART_pipeline], ends() + w->fill_cycles);
    for (unsigned at = 0; at < 5; at++) {
        const cycle_t before = at + 1 == levels ? w->start_cycles : w->step_cycles;
        EXPECT_EQUAL(answer.part[XLATE_PART_walk0 + at],
                     at >= leaf && at < levels ? before + L : 0);
    }
}

TEST_CASE(walker, a_walk_reads_one_entry_for_each_level_above_its_leaf_and_the_leaf)
{
    for (unsigned depth = 3; depth <= 5; depth++)
        for (unsigned leaf = 0; leaf <= 2; leaf++) {
            prepare();
            start(depth);
            map(base, 0x1c0000000, 12 + 9 * leaf, RW);
            EXPECT_EQUAL(translate(base + 0x123, PT_READ), ends() + walk_of(depth - leaf));
            EXPECT_EQUAL(answer.reads, depth - leaf);
            EXPECT_EQUAL(answer.outcome, XLATE_walked);
            EXPECT_EQUAL(answer.pa, 0x1c0000123);
            EXPECT_EQUAL(answer.page_lg2, 12 + 9 * leaf);
            expect_parts(leaf);
            rig_stop(&rig);
        }
}

TEST_CASE(walker, each_cached_pointer_saves_one_read_to_the_cycle)
{
    rig_defaults(&rig);
    start(4);
    map(base, 0x10000, 12, RW);
    map(base + 0x1000, 0x20000, 12, RW);
    map(base + 0x200000, 0x30000, 12, RW);
    map(base + (UINT64_C(1) << 30), 0x40000, 12, RW);
    EXPECT_EQUAL(translate(base, PT_READ), ends() + walk_of(4));
    EXPECT_EQUAL(translate(base + 0x1000, PT_READ), ends() + walk_of(1));
    EXPECT_EQUAL(translate(base + 0x200000, PT_READ), ends() + walk_of(2));
    EXPECT_EQUAL(translate(base + (UINT64_C(1) << 30), PT_READ), ends() + walk_of(3));
    rig_stop(&rig);
}

TEST_CASE(walker, each_latency_moves_the_answer_by_its_cycles)
{
    const cycle_t before[4] = { 0, 4, 3, 1 };
    for (unsigned which = 1; which < 4; which++) {
        cycle_t took[2];
        for (unsigned more = 0; more < 2; more++) {
            prepare();
            rig.settings.walker.start_cycles += which == 1 ? more * 4 : 0;
            rig.settings.walker.step_cycles += which == 2 ? more : 0;
            rig.settings.walker.fill_cycles += which == 3 ? more : 0;
            start(4);
            map(base, 0x10000, 12, RW);
            took[more] = translate(base, PT_READ);
            rig_stop(&rig);
        }
        EXPECT_EQUAL(took[1] - took[0], before[which]);
    }
}

/* ---- Joining
 * ----------------------------------------------------------------------------------- */

TEST_CASE(walker, requests_for_the_page_under_way_join_its_walk)
{
    prepare();
    start(4);
    map(base, 0x10000, 12, RW);
    const cycle_t began = now();
    for (unsigned i = 0; i < 3; i++)
        rig_submit(&rig, DEVICE, base + 0x100 * i, PT_READ, i);
    EXPECT_EQUAL(collect(), 3);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQUAL(order[i], i);
        EXPECT_EQUAL(got[i].due, began + ends() + walk_of(4));
        EXPECT_EQUAL(got[i].pa, 0x10000 + 0x100 * i);
        EXPECT_EQUAL(got[i].outcome, i == 0 ? XLATE_walked : XLATE_joined);
        EXPECT_EQUAL(got[i].reads, i == 0 ? 4 : 0);
    }
    EXPECT_EQUAL(got[2].part[XLATE_PART_queue], 2); /* One acceptance a cycle. */
    EXPECT_EQUAL(got[2].part[XLATE_PART_join],
                 walk_of(4) - rig.settings.walker.fill_cycles - 2);
    EXPECT_EQUAL(rig.iommu.stats.walk, 2); /* With that of start(). */
    rig_stop(&rig);
}

/* The last cycle in which one can join is that of the leaf's arrival, before it is used. */
TEST_CASE(walker, a_walk_can_be_joined_until_its_leaf_is_there)
{
    for (unsigned late = 0; late < 2; late++) {
        prepare();
        start(4);
        map(base, 0x10000, 12, RW);
        const cycle_t leaf =
            now() + ends() - 1 + walk_of(4) - rig.settings.walker.fill_cycles;
        rig_submit(&rig, DEVICE, base, PT_READ, 0);
        rig_run(&rig, (leaf - 1 + late) * RIG_PERIOD_PS); /* Look-up a cycle later. */
        rig_submit(&rig, DEVICE, base, PT_READ, 1);
        collect();
        EXPECT_EQUAL(got[1].outcome, late ? XLATE_hit : XLATE_joined);
        EXPECT_EQUAL(got[1].part[XLATE_PART_join], 0);
        rig_stop(&rig);
    }
}

/* An entry on the way to the page before software writes it. */
static const struct {
    unsigned level;
    uint64_t entry;
} no_page[] = {
    { 0, 0 },
    { 1, 0 },
    { 1, RW | UINT64_C(1) << 7 | 0x1000 }, /* A page of 2 MiB that is not aligned. */
    { 1, RW | UINT64_C(1) << 51 },         /* No memory is there. */
};

/* Without caching mode nobody tells the hardware of a page that is new: who asks when it is
 * there must get it, though another one's walk, which found none, is under way. */
TEST_CASE(walker, who_joined_a_walk_that_found_nothing_walks_himself)
{
    for (unsigned kind = 0; kind < sizeof no_page / sizeof no_page[0]; kind++) {
        unsigned joined = 0;
        prepare();
        const cycle_t end = walk_of(4);
        for (cycle_t after = end - 3 * L; after < end + 5; after++) {
            prepare();
            start(4);
            rig.iommu.pa_last = mask_lg2(40);
            map(base, 0x10000, 12, RW);
            const uint64_t at   = rig_entry(&rig, root, 4, base, no_page[kind].level);
            const uint64_t good = memory_read64(&rig.memory, at);
            memory_write64(&rig.memory, at, no_page[kind].entry);
            const cycle_t began = now();
            rig_submit(&rig, DEVICE, base, PT_READ, 0);
            rig_run(&rig, (began + after) * RIG_PERIOD_PS);
            memory_write64(&rig.memory, at, good);
            rig_submit(&rig, DEVICE, base, PT_READ, 1);
            EXPECT_EQUAL(collect(), 2);
            EXPECT(got[1].outcome != XLATE_faulted);
            EXPECT_EQUAL(got[1].pa, 0x10000);
            joined += got[0].outcome == XLATE_faulted && got[1].part[XLATE_PART_join] > 0;
            rig_stop(&rig);
        }
        EXPECT(joined > L / 2); /* Else the test says nothing. */
    }
}

/* Nobody knows the page's size before the walk ends: each of its 4 KiB has a walk. */
TEST_CASE(walker, other_addresses_of_the_same_large_page_walk_themselves)
{
    prepare();
    start(4);
    map(base, 0x200000, 21, RW);
    const cycle_t began = now();
    rig_submit(&rig, DEVICE, base, PT_READ, 0);
    rig_submit(&rig, DEVICE, base + 0x1000, PT_READ, 1);
    EXPECT_EQUAL(collect(), 2);
    EXPECT_EQUAL(got[0].due, began + ends() + walk_of(3));
    EXPECT_EQUAL(got[1].due, began + ends() + walk_of(3) + 1);
    EXPECT_EQUAL(got[1].outcome, XLATE_walked);
    EXPECT_EQUAL(got[1].pa, 0x201000);
    EXPECT_EQUAL(rig.iommu.iotlb.stats.entry_filled, 2); /* One over the other. */
    EXPECT_EQUAL(rig.iommu.iotlb.size_count[21], 1);
    EXPECT_EQUAL(translate(base + 0x1ff000, PT_READ), ends());
    rig_stop(&rig);
}

TEST_CASE(walker, the_same_page_of_another_domain_is_another_page)
{
    prepare();
    start(4);
    const uint64_t other = rig_attach(&rig, DEVICE + 1, DOMAIN + 1, 4);
    rig_map(&rig, other, 4, base, 0x77000, 12, RW);
    map(base, 0x10000, 12, RW);
    rig_translate(&rig, DEVICE + 1, 0, PT_READ, &answer);
    rig_submit(&rig, DEVICE, base, PT_READ, 0);
    rig_submit(&rig, DEVICE + 1, base, PT_READ, 1);
    EXPECT_EQUAL(collect(), 2);
    EXPECT_EQUAL(got[0].pa, 0x10000);
    EXPECT_EQUAL(got[1].pa, 0x77000);
    EXPECT_EQUAL(got[1].outcome, XLATE_walked);
    rig_stop(&rig);
}

static void owner_and_joiner(unsigned prot, unsigned owner, unsigned joiner)
{
    start(4);
    map(base, 0x10000, 12, prot);
    rig_submit(&rig, DEVICE, base, owner, 0);
    rig_submit(&rig, DEVICE, base, joiner, 1);
    EXPECT_EQUAL(collect(), 2);
    EXPECT_EQUAL(got[0].due, got[1].due);
}

TEST_CASE(walker, a_joiner_is_refused_by_his_own_rights)
{
    prepare();
    owner_and_joiner(PT_READ, PT_READ, PT_WRITE);
    EXPECT_EQUAL(got[0].outcome, XLATE_walked);
    EXPECT_EQUAL(got[1].outcome, XLATE_faulted);
    EXPECT_EQUAL(got[1].cause, VTD_FAULT_WRITE_NOT_ALLOWED);
    EXPECT_EQUAL(translate(base, PT_READ), ends()); /* It was cached all the same. */
    rig_stop(&rig);
}

/* What a refused owner found is not cached, though the joiner is answered from it. */
TEST_CASE(walker, a_joiner_is_answered_though_the_owner_is_refused)
{
    for (unsigned fills = 0; fills < 2; fills++) {
        prepare();
        rig.settings.walker.fill_denied = fills != 0;
        owner_and_joiner(PT_WRITE, PT_READ, PT_WRITE);
        EXPECT_EQUAL(got[0].outcome, XLATE_faulted);
        EXPECT_EQUAL(got[0].cause, VTD_FAULT_READ_NOT_ALLOWED);
        EXPECT_EQUAL(got[1].outcome, XLATE_joined);
        EXPECT_EQUAL(got[1].pa, 0x10000);
        EXPECT_EQUAL(rig.iommu.stats.walk_filled, fills);
        EXPECT_EQUAL(translate(base, PT_WRITE), ends() + (fills ? 0 : walk_of(4)));
        rig_stop(&rig);
    }
}

/* ---- Walkers and slots
 * ---------------------------------------------------------------------------- */

TEST_CASE(walker, hits_go_past_a_miss)
{
    prepare();
    start(4);
    map(base, 0x10000, 12, RW);
    map(base + 0x1000, 0x20000, 12, RW);
    translate(base, PT_READ);
    const cycle_t began = now();
    rig_submit(&rig, DEVICE, base + 0x1000, PT_READ, 0);
    rig_submit(&rig, DEVICE, base, PT_READ, 1);
    EXPECT_EQUAL(collect(), 2);
    EXPECT_EQUAL(order[0], 1);
    EXPECT_EQUAL(got[1].due, began + 1 + ends());
    EXPECT_EQUAL(got[0].due, began + ends() + walk_of(4));
    rig_stop(&rig);
}

/* A freed walker takes up the oldest waiting walk in the same cycle. */
TEST_CASE(walker, walks_without_a_walker_wait_in_order_of_their_misses)
{
    prepare();
    rig.settings.walker.walkers = 1;
    start(4);
    const cycle_t began = now();
    const cycle_t each  = walk_of(4) - rig.settings.walker.fill_cycles;
    for (unsigned i = 0; i < 5; i++) {
        map(base + 0x1000 * i, 0x10000 * (i + 1), 12, RW);
        rig_submit(&rig, DEVICE, base + 0x1000 * i, PT_READ, i);
    }
    EXPECT_EQUAL(collect(), 5);
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_EQUAL(order[i], i);
        EXPECT_EQUAL(got[i].due, began + ends() + walk_of(4) + i * each);
        EXPECT_EQUAL(got[i].part[XLATE_PART_walker], i * (each - 1));
        EXPECT_EQUAL(got[i].pa, 0x10000 * (i + 1));
    }
    rig_stop(&rig);
}

TEST_CASE(walker, walkers_read_side_by_side)
{
    prepare();
    rig.settings.walker.walkers = 2;
    start(4);
    const cycle_t began = now();
    const cycle_t each  = walk_of(4) - rig.settings.walker.fill_cycles;
    for (unsigned i = 0; i < 4; i++) {
        map(base + 0x1000 * i, 0x10000 * (i + 1), 12, RW);
        rig_submit(&rig, DEVICE, base + 0x1000 * i, PT_READ, i);
    }
    EXPECT_EQUAL(collect(), 4);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQUAL(got[i].due, began + ends() + walk_of(4) + i % 2 + i / 2 * each);
    rig_stop(&rig);
}

/* Two walkers, one read at a time: the second's reads fall between the first's, each a
 * cycle behind the end of the one before. */
TEST_CASE(walker, the_port_lets_only_so_many_reads_fly)
{
    prepare();
    rig.settings.walker.walkers       = 2;
    rig.settings.walker.start_cycles  = 10;
    rig.settings.memport.inflight_max = 1;
    start(4);
    const cycle_t began = now();
    map(base, 0x10000, 12, RW);
    map(base + 0x1000, 0x20000, 12, RW);
    rig_submit(&rig, DEVICE, base, PT_READ, 0);
    rig_submit(&rig, DEVICE, base + 0x1000, PT_READ, 1);
    EXPECT_EQUAL(collect(), 2);
    const cycle_t first_read = began + 1 + 10, fill = rig.settings.walker.fill_cycles;
    EXPECT_EQUAL(got[0].due,
                 first_read + 7 * L + 6 + fill + 1); /* Every other read is its. */
    EXPECT_EQUAL(got[1].due, first_read + 8 * L + 7 + fill + 1);
    rig_stop(&rig);
}

/* With one slot, the second distinct page finds none; it looks up again a cycle after the
 * slot is free, and counts as having waited for a walker. */
TEST_CASE(walker, a_miss_without_a_walk_slot_looks_up_again)
{
    prepare();
    rig.settings.walker.walkers = rig.settings.walker.walks = 1;
    start(4);
    const cycle_t began = now();
    const cycle_t each  = walk_of(4) - rig.settings.walker.fill_cycles + 1;
    for (unsigned i = 0; i < 3; i++) {
        map(base + 0x1000 * i, 0x10000 * (i + 1), 12, RW);
        rig_submit(&rig, DEVICE, base + 0x1000 * i, PT_READ, i);
    }
    EXPECT_EQUAL(collect(), 3);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQUAL(order[i], i);
        EXPECT_EQUAL(got[i].due, began + ends() + walk_of(4) + i * each);
        EXPECT_EQUAL(got[i].outcome, XLATE_walked);
    }
    rig_stop(&rig);
}

/* One who waited for a slot and then did not need it must let the next one have it: else
 * the others wait until somebody else's walk ends, and perhaps for ever. */
TEST_CASE(walker, one_who_needs_the_free_slot_no_longer_passes_it_on)
{
    static const uint64_t page[5] = { 0, 1, 1, 1, 2 };
    prepare();
    rig.settings.walker.walkers = rig.settings.walker.walks = 1;
    start(4);
    for (unsigned i = 0; i < 5; i++) {
        map(base + 0x1000 * page[i], 0x10000 * (i + 1), 12, RW);
        rig_submit(&rig, DEVICE, base + 0x1000 * page[i], PT_READ, i);
    }
    const cycle_t began = now();
    const cycle_t each  = walk_of(4) - rig.settings.walker.fill_cycles + 1;
    EXPECT_EQUAL(collect(), 5);
    EXPECT_EQUAL(got[1].due, began + ends() + walk_of(4) + each);
    EXPECT_EQUAL(got[2].outcome, XLATE_joined);
    /* 2 and 3 hit one after the other, each a cycle behind the one before. */
    EXPECT_EQUAL(got[4].due, began + ends() + walk_of(4) + 2 * each + 2);
    rig_stop(&rig);
}

/* ---- Refusals
 * ----------------------------------------------------------------------------------------
 */

/* A record, and that it says this; in the cycle when the answer is known. */
static void expect_record(uint64_t iova, unsigned access, unsigned cause)
{
    EXPECT_EQUAL(answer.outcome, XLATE_faulted);
    EXPECT_EQUAL(answer.cause, cause);
    const uint32_t record = VTD_FRCD + 16; /* The first went in start(). */
    EXPECT_EQUAL(reg(record), iova & ~UINT64_C(0xfff));
    EXPECT_EQUAL(reg(record + 8), VTD_FRCD_F | (access == PT_READ ? VTD_FRCD_T_READ : 0)
                                      | VTD_FRCD_FR((uint64_t)cause)
                                      | VTD_FRCD_SID((uint64_t)DEVICE));
    EXPECT_EQUAL(reg(VTD_FSTS) & 0xffff, VTD_FSTS_PPF | VTD_FSTS_FRI(UINT64_C(1)));
}

/* The walk for base meets this entry at that level. */
static void meet(unsigned depth, unsigned level, uint64_t entry)
{
    prepare();
    start(depth);
    map(base, 0x10000, 12, RW);
    memory_write64(&rig.memory, rig_entry(&rig, root, levels, base, level), entry);
}

TEST_CASE(walker, an_absent_entry_is_a_fault_of_the_access_at_its_level)
{
    for (unsigned depth = 3; depth <= 5; depth++)
        for (unsigned level = 0; level < depth; level++)
            for (unsigned access = PT_READ; access <= PT_WRITE; access++) {
                meet(depth, level, 0x5000); /* An address alone does not make it present. */
                EXPECT_EQUAL(translate(base, access), ends() + walk_of(depth - level));
                EXPECT_EQUAL(answer.reads, depth - level);
                expect_record(base, access,
                              access == PT_READ ? VTD_FAULT_READ_NOT_ALLOWED
                                                : VTD_FAULT_WRITE_NOT_ALLOWED);
                EXPECT_EQUAL(rig.iommu.iotlb.stats.entry_filled, 0);
                rig_stop(&rig);
            }
}

TEST_CASE(walker, a_malformed_entry_is_a_fault_of_its_own_at_its_level)
{
    const uint64_t large = UINT64_C(1) << 7 | RW;
    for (unsigned depth = 3; depth <= 5; depth++)
        for (unsigned level = 1; level < depth; level++) {
            /* Not aligned to its size, or of a size that there is not. */
            meet(depth, level, level <= 2 ? large | 0x1000 : large);
            EXPECT_EQUAL(translate(base, PT_WRITE), ends() + walk_of(depth - level));
            expect_record(base, PT_WRITE, VTD_FAULT_ENTRY_RESERVED);
            rig_stop(&rig);
        }
}

TEST_CASE(walker, a_leaf_of_a_size_that_is_not_offered_is_malformed)
{
    for (unsigned level = 1; level <= 2; level++)
        for (unsigned offered = 0; offered <= 1; offered++) {
            prepare();
            rig.vtd.pages_2m = level == 1 ? offered : !offered;
            rig.vtd.pages_1g = level == 2 ? offered : !offered;
            start(4);
            map(base, 0x40000000, 12 + 9 * level, RW);
            translate(base, PT_READ);
            EXPECT_EQUAL(answer.outcome, offered ? XLATE_walked : XLATE_faulted);
            if (!offered)
                expect_record(base, PT_READ, VTD_FAULT_ENTRY_RESERVED);
            rig_stop(&rig);
        }
}

TEST_CASE(walker, every_level_can_withhold_a_right)
{
    for (unsigned level = 0; level < 4; level++)
        for (unsigned access = PT_READ; access <= PT_WRITE; access++) {
            meet(4, level, 0);
            map(base, 0x10000, 12, RW);
            const uint64_t at    = rig_entry(&rig, root, levels, base, level);
            const uint64_t entry = memory_read64(&rig.memory, at);
            memory_write64(&rig.memory, at, entry & ~(uint64_t)access);
            EXPECT_EQUAL(translate(base, access), ends() + walk_of(4));
            expect_record(base, access,
                          access == PT_READ ? VTD_FAULT_READ_NOT_ALLOWED
                                            : VTD_FAULT_WRITE_NOT_ALLOWED);
            translate(base, access ^ RW);
            EXPECT_EQUAL(answer.outcome, XLATE_walked);
            rig_stop(&rig);
        }
}

/* The rights above a cached pointer are cached with it. */
TEST_CASE(walker, a_right_withheld_above_a_cached_pointer_stays_withheld)
{
    rig_defaults(&rig);
    start(4);
    map(base, 0x10000, 12, RW);
    map(base + 0x1000, 0x20000, 12, RW);
    const uint64_t at = rig_entry(&rig, root, levels, base, 2);
    memory_write64(&rig.memory, at, memory_read64(&rig.memory, at) & ~(uint64_t)PT_WRITE);
    translate(base, PT_READ);
    EXPECT_EQUAL(translate(base + 0x1000, PT_WRITE), ends() + walk_of(1));
    EXPECT_EQUAL(answer.cause, VTD_FAULT_WRITE_NOT_ALLOWED);
    rig_stop(&rig);
}

TEST_CASE(walker, a_cached_page_refuses_at_the_speed_of_a_hit)
{
    prepare();
    start(4);
    map(base, 0x10000, 12, PT_READ);
    translate(base, PT_READ);
    EXPECT_EQUAL(translate(base, PT_WRITE), ends());
    expect_record(base, PT_WRITE, VTD_FAULT_WRITE_NOT_ALLOWED);
    rig_stop(&rig);
}

/* Rings for an invalidation of another domain so many cycles before or after a request that
 * misses. Returns when the answer came. */
static cycle_t race(cycle_t ring_after, bool *kept)
{
    struct iommu_response again;
    prepare();
    rig.settings.walker.fill_yields = true;
    start(3);
    map(base, 0x5000000, 12, RW);
    rig_queue(&rig, vtd_inv_iotlb(VTD_DOMAIN, DOMAIN + 1, 0, 0, false));
    const sim_time_t began = rig.now;
    rig_submit(&rig, DEVICE, base, PT_READ, 0);
    rig_run(&rig, began + ring_after * RIG_PERIOD_PS);
    rig_ring(&rig);
    CHECK(rig_next(&rig, &answer));
    rig_translate(&rig, DEVICE, base, PT_READ, &again);
    EXPECT_EQUAL(again.pa, 0x5000000);
    *kept = again.outcome == XLATE_hit;
    rig_stop(&rig);
    return answer.due - began / RIG_PERIOD_PS;
}

/* Any invalidation in the very cycle of the fill keeps it away, and the answer is the same.
 */
TEST_CASE(walker, a_fill_yields_to_an_invalidation_in_its_cycle)
{
    enum { RACES = 500 };
    bool kept;
    const cycle_t took = race(0, &kept);
    unsigned lost      = 0;
    for (cycle_t after = 0; after < RACES; after++) {
        EXPECT(race(after, &kept) - took <= 1); /* The fetch may be in a read's way. */
        EXPECT_EQUAL(answer.outcome, XLATE_walked);
        lost += !kept;
    }
    EXPECT_EQUAL(lost, 1);
}

TEST_CASE(walker, everyone_who_joined_a_failing_walk_is_refused_and_recorded)
{
    prepare();
    start(4);
    for (unsigned i = 0; i < 3; i++)
        rig_submit(&rig, DEVICE, base, i == 1 ? PT_WRITE : PT_READ, i);
    const cycle_t began = now();
    EXPECT_EQUAL(collect(), 3);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQUAL(got[i].outcome, XLATE_faulted);
        EXPECT_EQUAL(got[i].cause,
                     i == 1 ? VTD_FAULT_WRITE_NOT_ALLOWED : VTD_FAULT_READ_NOT_ALLOWED);
        EXPECT_EQUAL(got[i].due, began + ends() + walk_of(1));
    }
    EXPECT_EQUAL(rig.iommu.stats.fault_recorded, 4);
    rig_stop(&rig);
}

/* ---- Two stages
 * ----------------------------------------------------------------------------------------
 */

/* No command of VT-d's legacy mode sets up both stages; the walker knows them. */
static void start_nested(unsigned stage2_lg2)
{
    rig_defaults(&rig);
    rig_start(&rig);
    levels               = 4;
    root                 = rig_attach(&rig, DEVICE, DOMAIN, 4);
    const uint64_t root1 = rig_page(&rig);
    rig_map_first(&rig, root1, 4, base, 0x5000, 12, RW);
    for (uint64_t page = 0; page < 16; page++) /* Tables stay where they are. */
        map(stage2_lg2 == 30 ? 0 : 0x10000000 + (page << 12),
            stage2_lg2 == 30 ? 0 : 0x10000000 + (page << 12), stage2_lg2, RW);
    if (stage2_lg2 == 12)
        map(0x5000, 0x99000, 12, RW);
    const struct pt_format *f = ptfmt_find("vtdss"), *f1 = ptfmt_find("x86");
    const struct xlate_context c = { .space  = space_make(DOMAIN, 3, STAGE_1 | STAGE_2),
                                     .stage1 = { f1, root1, 4, f1->leaf_sizes },
                                     .stage2 = { f, root, 4, f->leaf_sizes } };
    context_cache_fill(&rig.iommu.device_contexts, context_key(DEVICE, 0), &c);
}

TEST_CASE(walker, two_stages_walk_every_table_of_the_first_through_the_second)
{
    start_nested(30); /* Two reads for each guest address the first time. */
    EXPECT_EQUAL(translate(base, PT_READ), ends() + walk_of(2 + 4 + 4));
    EXPECT_EQUAL(answer.reads, 10); /* The second stage's pointer to level 2 is cached. */
    EXPECT_EQUAL(answer.pa, 0x5000);
    rig_stop(&rig);

    start_nested(12);
    EXPECT_EQUAL(translate(base, PT_READ), ends() + walk_of(4 + 4 + 3 + 2));
    EXPECT_EQUAL(answer.pa, 0x99000);
    rig_stop(&rig);
}
