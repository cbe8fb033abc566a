/* SPDX-License-Identifier: Apache-2.0 */
/* Reading root and context entries: who waits how long, who is refused, what is kept. */
#include "iommu_model/iommu.h"

#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x1228, DOMAIN = 4, L = RIG_LATENCY, MAX = 8, RW = PT_READ | PT_WRITE };

static struct rig rig;
static struct iommu_response answer, got[MAX];
static uint64_t root;

static void start(void)
{
    rig_start(&rig);
    root = rig_attach(&rig, DEVICE, DOMAIN, 4);
    rig_map(&rig, root, 4, 0x1000, 0x10000, 12, RW);
}

static cycle_t translate(unsigned requester)
{
    return rig_translate(&rig, requester, 0x1000, PT_READ, &answer);
}

static cycle_t now(void)
{
    return rig.now / RIG_PERIOD_PS;
}

static cycle_t ends(void)
{
    return rig.settings.iommu.accept_cycles + rig.settings.iommu.respond_cycles;
}

/* From the look-up that misses to the next one. */
static cycle_t context_walk(void)
{
    const struct context_config *c = &rig.settings.context;
    return c->start_cycles + L + c->step_cycles + L + c->fill_cycles;
}

static cycle_t page_walk(void)
{
    const struct walker_config *w = &rig.settings.walker;
    return w->start_cycles + 4 * L + 3 * (cycle_t)w->step_cycles + w->fill_cycles;
}

static unsigned collect(void)
{
    unsigned n = 0;
    for (; n < MAX && rig_next(&rig, &answer); n++)
        got[answer.id] = answer;
    return n;
}

static uint64_t root_entry(unsigned requester)
{
    return rig.root + (uint64_t)(requester >> 8) * VTD_ROOT_BYTES;
}

static uint64_t context_entry(unsigned requester)
{
    return (memory_read64(&rig.memory, root_entry(requester)) & VTD_TABLE_MASK)
           + (uint64_t)(requester & 0xff) * VTD_CONTEXT_BYTES;
}

static uint64_t reg(uint32_t offset)
{
    return iommu_mmio_ops.read(&rig.iommu, offset, 8, rig.now);
}

/* ---- Time
 * ---------------------------------------------------------------------------------------
 */

TEST_CASE(context_walk, reads_the_root_and_the_context_entry_once)
{
    rig_defaults(&rig);
    start();
    EXPECT_EQUAL(translate(DEVICE), ends() + context_walk() + page_walk());
    EXPECT_EQUAL(answer.part[XLATE_PART_context], context_walk());
    EXPECT_EQUAL(answer.reads, 6);
    EXPECT(!answer.context_hit);
    EXPECT_EQUAL(translate(DEVICE), ends());
    EXPECT(answer.context_hit);
    EXPECT_EQUAL(rig.iommu.context_stats.read, 2);
    EXPECT_EQUAL(rig.iommu.context_stats.lookup_missed, 1);
    EXPECT_EQUAL(rig.iommu.context_stats.entry_filled, 1);
    rig_stop(&rig);
}

TEST_CASE(context_walk, each_latency_moves_the_answer_by_its_cycles)
{
    for (unsigned which = 0; which < 3; which++) {
        cycle_t took[2];
        for (unsigned more = 0; more < 2; more++) {
            rig_defaults(&rig);
            rig.settings.context.start_cycles += which == 0 ? more : 0;
            rig.settings.context.step_cycles += which == 1 ? more : 0;
            rig.settings.context.fill_cycles += which == 2 ? more : 0;
            start();
            took[more] = translate(DEVICE);
            rig_stop(&rig);
        }
        EXPECT_EQUAL(took[1] - took[0], 1);
    }
}

TEST_CASE(context_walk, requests_of_the_same_device_wait_for_one_walk)
{
    rig_defaults(&rig);
    start();
    const cycle_t began = now();
    for (unsigned i = 0; i < 3; i++)
        rig_submit(&rig, DEVICE, 0x1000, PT_READ, i);
    EXPECT_EQUAL(collect(), 3);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQUAL(got[i].due, began + ends() + context_walk() + page_walk());
        EXPECT_EQUAL(got[i].part[XLATE_PART_context], context_walk() - i);
        EXPECT_EQUAL(got[i].reads, i == 0 ? 6 : 0);
    }
    EXPECT_EQUAL(rig.iommu.context_stats.read, 2);
    rig_stop(&rig);
}

/* The engine turns to the next device in the cycle in which the first one's context is
 * written, a cycle before the first one looks up again. */
TEST_CASE(context_walk, devices_take_turns_in_the_order_of_their_misses)
{
    rig_defaults(&rig);
    start();
    for (unsigned i = 1; i < 3; i++)
        rig_pass_through(&rig, DEVICE + i, DOMAIN);
    const cycle_t began = now();
    for (unsigned i = 0; i < 5; i++) /* 0 1 2 0 1 */
        rig_submit(&rig, DEVICE + i % 3, 0x1000, PT_READ, i);
    EXPECT_EQUAL(collect(), 5);
    const cycle_t each = context_walk() - 1;
    EXPECT_EQUAL(got[1].due, began + ends() + context_walk() + each);
    EXPECT_EQUAL(got[4].due, got[1].due);
    EXPECT_EQUAL(got[2].due, began + ends() + context_walk() + 2 * each);
    EXPECT_EQUAL(got[0].due, began + ends() + context_walk() + page_walk());
    EXPECT_EQUAL(got[3].due, got[0].due);
    EXPECT_EQUAL(rig.iommu.context_stats.read, 6);
    for (unsigned i = 1; i < 3; i++) {
        EXPECT_EQUAL(got[i].outcome, XLATE_bypassed);
        EXPECT_EQUAL(got[i].pa, 0x1000);
    }
    rig_stop(&rig);
}

/* ---- The cache
 * ------------------------------------------------------------------------------------- */

TEST_CASE(context_walk, the_context_cache_has_its_sets_and_ways)
{
    rig_defaults(&rig);
    rig.settings.context.device_sets = 2;
    rig.settings.context.device_ways = 1;
    start();
    for (unsigned i = 1; i < 4; i++)
        rig_pass_through(&rig, DEVICE + i, DOMAIN);
    const unsigned device[] = { 1, 2, 1, 3, 2, 1, 1 }; /* 1 and 3 share a set. */
    const bool hit[]        = { 0, 0, 1, 0, 1, 0, 1 };
    for (unsigned i = 0; i < 7; i++) {
        translate(DEVICE + device[i]);
        EXPECT_EQUAL(answer.context_hit, hit[i]);
    }
    EXPECT_EQUAL(rig.iommu.context_stats.entry_evicted, 2);
    rig_stop(&rig);
}

static void command(struct vtd_descriptor d)
{
    rig_queue(&rig, d);
    CHECK(rig_wait(&rig) != TIME_NEVER);
}

TEST_CASE(context_walk, software_sees_its_change_after_the_invalidation)
{
    const struct {
        struct vtd_descriptor d;
        bool drops;
    } of[] = { { vtd_inv_context(VTD_DEVICE, DOMAIN + 1, DEVICE), true },
               { vtd_inv_context(VTD_DEVICE, DOMAIN, DEVICE + 1), false },
               { vtd_inv_context(VTD_DOMAIN, DOMAIN, 0), true },
               { vtd_inv_context(VTD_DOMAIN, DOMAIN + 1, DEVICE), false },
               { vtd_inv_context(VTD_GLOBAL, 0, 0), true } };
    for (unsigned i = 0; i < 5; i++) {
        rig_defaults(&rig);
        start();
        translate(DEVICE);
        rig_pass_through(&rig, DEVICE, DOMAIN);
        translate(DEVICE);
        EXPECT_EQUAL(answer.outcome, XLATE_hit); /* Nobody said so. */
        command(of[i].d);
        translate(DEVICE);
        EXPECT_EQUAL(answer.context_hit, !of[i].drops);
        EXPECT_EQUAL(answer.outcome, of[i].drops ? XLATE_bypassed : XLATE_hit);
        rig_stop(&rig);
    }
}

/* What was read before the invalidation must not be cached behind it: whoever waits reads
 * again. The second context entry here is read after the change. */
TEST_CASE(context_walk, a_walk_overtaken_by_an_invalidation_is_done_again)
{
    rig_defaults(&rig);
    rig.settings.invq.start_cycles = rig.settings.invq.execute_cycles = 1;
    start();
    const cycle_t began = now();
    rig_submit(&rig, DEVICE, 0x1000, PT_READ, 0);
    rig_run(&rig, (began + L) * RIG_PERIOD_PS);
    rig_queue(&rig, vtd_inv_context(VTD_GLOBAL, 0, 0));
    rig_ring(&rig); /* Carried out when the context entry is on its way. */
    rig_run(&rig, (began + 2 + L + 3) * RIG_PERIOD_PS);
    rig_pass_through(&rig, DEVICE, DOMAIN);
    EXPECT_EQUAL(collect(), 1);
    EXPECT_EQUAL(got[0].outcome, XLATE_bypassed);
    EXPECT_EQUAL(got[0].due, began + ends() + 2 * context_walk());
    EXPECT_EQUAL(rig.iommu.context_stats.entry_filled, 1);
    rig_stop(&rig);
}

/* ---- Refusals
 * ----------------------------------------------------------------------------------------
 */

/* What the entries of the device say, and what comes of it after how many reads. */
struct entry_case {
    uint64_t root_low, root_high, low, high; /* Added to good ones by exclusive or. */
    unsigned reads, cause;
};

static const struct entry_case refused[] = {
    { VTD_PRESENT, 0, 0, 0, 1, VTD_FAULT_ROOT_ABSENT },
    { UINT64_C(1) << 1, 0, 0, 0, 1, VTD_FAULT_ROOT_RESERVED },
    { UINT64_C(1) << 11, 0, 0, 0, 1, VTD_FAULT_ROOT_RESERVED },
    { UINT64_C(1) << 63, 0, 0, 0, 1, VTD_FAULT_ROOT_RESERVED },
    { 0, VTD_PRESENT, 0, 0, 1, VTD_FAULT_ROOT_RESERVED },
    { 0, 0, VTD_PRESENT, 0, 2, VTD_FAULT_CONTEXT_ABSENT },
    { 0, 0, UINT64_C(3) << 2, 0, 2, VTD_FAULT_CONTEXT_INVALID },
    { 0, 0, 0, 2, 2, VTD_FAULT_CONTEXT_INVALID },     /* Two levels. */
    { 0, 0, 0, 2 ^ 3, 2, VTD_FAULT_CONTEXT_INVALID }, /* Five, of four. */
    { 0, 0, UINT64_C(1) << 4, 0, 2, VTD_FAULT_CONTEXT_RESERVED },
    { 0, 0, UINT64_C(1) << 52, 0, 2, VTD_FAULT_CONTEXT_RESERVED },
    { 0, 0, 0, UINT64_C(1) << 7, 2, VTD_FAULT_CONTEXT_RESERVED },
    { 0, 0, 0, UINT64_C(1) << 24, 2, VTD_FAULT_CONTEXT_RESERVED },
};

static void flip(uint64_t pa, uint64_t bits)
{
    memory_write64(&rig.memory, pa, memory_read64(&rig.memory, pa) ^ bits);
}

static void spoil(const struct entry_case *c)
{
    const uint64_t entry = context_entry(DEVICE);
    flip(entry, c->low);
    flip(entry + 8, c->high);
    flip(root_entry(DEVICE), c->root_low);
    flip(root_entry(DEVICE) + 8, c->root_high);
}

/* A refusal saves the cycle in which the cache would be written. */
TEST_CASE(context_walk, a_bad_entry_is_refused_with_its_cause_to_the_cycle)
{
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const struct entry_case *c = &refused[i];
        rig_defaults(&rig);
        start();
        spoil(c);
        const struct context_config *t = &rig.settings.context;
        EXPECT_EQUAL(translate(DEVICE), ends() + t->start_cycles + c->reads * (cycle_t)L
                                            + (c->reads - 1) * (cycle_t)t->step_cycles
                                            + t->fill_cycles - 1);
        EXPECT_EQUAL(answer.outcome, XLATE_faulted);
        EXPECT_EQUAL(answer.cause, c->cause);
        EXPECT_EQUAL(answer.reads, c->reads);
        EXPECT_EQUAL(reg(VTD_FRCD), 0x1000);
        EXPECT_EQUAL(reg(VTD_FRCD + 8), VTD_FRCD_F | VTD_FRCD_T_READ
                                            | VTD_FRCD_FR((uint64_t)c->cause)
                                            | VTD_FRCD_SID((uint64_t)DEVICE));
        EXPECT_EQUAL(rig.iommu.context_stats.entry_filled, 0);
        spoil(c); /* Twice is never: faults are not cached. */
        translate(DEVICE);
        EXPECT_EQUAL(answer.outcome, XLATE_walked);
        rig_stop(&rig);
    }
}

TEST_CASE(context_walk, everyone_of_the_device_is_refused_and_others_go_on)
{
    rig_defaults(&rig);
    start();
    for (unsigned i = 0; i < 4; i++) /* The device beside it has no context entry. */
        rig_submit(&rig, DEVICE + i % 2, 0x1000, PT_READ, i);
    EXPECT_EQUAL(collect(), 4);
    EXPECT_EQUAL(got[0].outcome, XLATE_walked);
    EXPECT_EQUAL(got[2].outcome, XLATE_joined);
    EXPECT_EQUAL(got[1].cause, VTD_FAULT_CONTEXT_ABSENT);
    EXPECT_EQUAL(got[3].cause, VTD_FAULT_CONTEXT_ABSENT);
    EXPECT_EQUAL(got[1].due, got[3].due);
    EXPECT_EQUAL(rig.iommu.stats.fault_recorded, 2);
    rig_stop(&rig);
}

/* Fault processing disable (9.3) silences every qualified fault (7.2): all that the context
 * entry itself has a part in, absent or not, but nothing about the root entry. */
TEST_CASE(context_walk, fault_processing_disable_silences_qualified_faults)
{
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        rig_defaults(&rig);
        start();
        flip(context_entry(DEVICE), VTD_CONTEXT_FPD);
        spoil(&refused[i]);
        translate(DEVICE);
        EXPECT_EQUAL(answer.cause, refused[i].cause);
        EXPECT_EQUAL(rig.iommu.stats.fault_recorded, refused[i].reads == 1);
        rig_stop(&rig);
    }
}

TEST_CASE(context_walk, fault_processing_disable_holds_for_page_faults_too)
{
    rig_defaults(&rig);
    start();
    flip(context_entry(DEVICE), VTD_CONTEXT_FPD);
    rig_map(&rig, root, 4, 0x3000, 0x10000, 12, PT_READ);
    rig_translate(&rig, DEVICE, 0x2000, PT_READ, &answer); /* Absent. */
    EXPECT_EQUAL(answer.outcome, XLATE_faulted);
    rig_translate(&rig, DEVICE, 0x3000, PT_READ, &answer);
    rig_translate(&rig, DEVICE, 0x3000, PT_WRITE, &answer); /* A hit that is refused. */
    EXPECT_EQUAL(answer.outcome, XLATE_faulted);
    rig_translate(&rig, DEVICE, UINT64_C(1) << 48, PT_READ, &answer);
    EXPECT_EQUAL(answer.cause, VTD_FAULT_BEYOND_WIDTH);
    EXPECT_EQUAL(rig.iommu.stats.fault_recorded, 0);
    EXPECT_EQUAL(reg(VTD_FSTS), 0);
    rig_stop(&rig);
}

/* ---- Who comes late
 * ------------------------------------------------------------------------------------- */

/* What the tables lack for the requester; mended when the walk that found it is under way.
 */
enum lack { NO_ROOT, NO_CONTEXT, BAD_CONTEXT, LACKS };

static void set_lack(enum lack what, bool lacks)
{
    const uint64_t at  = what == NO_ROOT ? root_entry(DEVICE) : context_entry(DEVICE);
    const uint64_t bit = what == BAD_CONTEXT ? UINT64_C(1) << 4 : VTD_PRESENT;
    const uint64_t was = memory_read64(&rig.memory, at);
    const bool set     = lacks == (what == BAD_CONTEXT);
    memory_write64(&rig.memory, at, set ? was | bit : was & ~bit);
}

/* Without caching mode nobody tells the hardware of an entry that is new: who asks when it
 * is there must get it, though another one's walk, which found none, is under way. */
TEST_CASE(context_walk, who_joined_a_walk_that_found_nothing_has_his_own)
{
    for (unsigned what = 0; what < LACKS; what++) {
        unsigned joined = 0;
        for (unsigned after = 1; after < 3 * L; after++) {
            rig_defaults(&rig);
            start();
            set_lack(what, true);
            const cycle_t began = now();
            rig_submit(&rig, DEVICE, 0x1000, PT_READ, 0);
            rig_run(&rig, (began + after) * RIG_PERIOD_PS);
            set_lack(what, false);
            rig_submit(&rig, DEVICE, 0x1000, PT_READ, 1);
            EXPECT_EQUAL(collect(), 2);
            EXPECT(got[1].outcome != XLATE_faulted);
            EXPECT_EQUAL(got[1].pa, 0x10000);
            joined += got[0].outcome == XLATE_faulted
                      && got[1].part[XLATE_PART_context] > context_walk();
            rig_stop(&rig);
        }
        EXPECT(joined > L / 2); /* Else the test says nothing. */
    }
}

/* It was there when he came, and nobody has told that it no longer is: nothing is read
 * twice for those who came before. */
TEST_CASE(context_walk, who_came_before_the_last_entry_was_read_is_refused_with_it)
{
    rig_defaults(&rig);
    start();
    set_lack(NO_CONTEXT, true);
    const cycle_t began = now();
    rig_submit(&rig, DEVICE, 0x1000, PT_READ, 0);
    rig_run(&rig, (began + L / 2) * RIG_PERIOD_PS); /* The root entry is on its way. */
    rig_submit(&rig, DEVICE, 0x1000, PT_READ, 1);
    EXPECT_EQUAL(collect(), 2);
    EXPECT_EQUAL(got[1].cause, VTD_FAULT_CONTEXT_ABSENT);
    EXPECT_EQUAL(got[0].due, got[1].due);
    EXPECT_EQUAL(rig.iommu.context_stats.read, 2);
    rig_stop(&rig);
}

/* The table that the walk is in has been replaced, as an invalidation told that is over. */
TEST_CASE(context_walk, who_came_after_an_invalidation_is_not_refused_by_what_was_before)
{
    rig_defaults(&rig);
    rig.settings.invq.start_cycles = rig.settings.invq.execute_cycles = 1;
    rig.settings.context.step_cycles                                  = 4 * L;
    start();
    const uint64_t good = memory_read64(&rig.memory, root_entry(DEVICE));
    memory_write64(&rig.memory, root_entry(DEVICE), rig_page(&rig) | VTD_PRESENT);
    const cycle_t began = now();
    rig_submit(&rig, DEVICE, 0x1000, PT_READ, 0);
    rig_run(&rig, (began + L) * RIG_PERIOD_PS); /* The root entry has been read. */
    memory_write64(&rig.memory, root_entry(DEVICE), good);
    rig_queue(&rig, vtd_inv_context(VTD_GLOBAL, 0, 0));
    CHECK(rig_wait(&rig) != TIME_NEVER);
    EXPECT(now() < began + 4 * L);
    rig_submit(&rig, DEVICE, 0x1000, PT_READ, 1);
    EXPECT_EQUAL(collect(), 2);
    EXPECT_EQUAL(got[0].cause, VTD_FAULT_CONTEXT_ABSENT); /* He came before. */
    EXPECT_EQUAL(got[1].pa, 0x10000);
    rig_stop(&rig);
}

/* Caching mode: software tells of what is new, and until then what is absent may be kept.
 */
TEST_CASE(context_walk, a_refusal_that_is_cached_is_everyones)
{
    for (unsigned after = 1; after < 3 * L; after++) {
        rig_defaults(&rig);
        rig.vtd.caching_mode = true;
        start();
        set_lack(NO_CONTEXT, true);
        const cycle_t began = now();
        rig_submit(&rig, DEVICE, 0x1000, PT_READ, 0);
        rig_run(&rig, (began + after) * RIG_PERIOD_PS);
        rig_submit(&rig, DEVICE, 0x1000, PT_READ, 1);
        EXPECT_EQUAL(collect(), 2);
        EXPECT_EQUAL(got[1].outcome, XLATE_faulted);
        EXPECT_EQUAL(rig.iommu.context_stats.read, 2);
        rig_stop(&rig);
    }
}

/* There is no memory where the root table should be: nothing is read, and nobody waits. */
TEST_CASE(context_walk, who_joins_a_walk_that_reads_nothing_is_refused)
{
    rig_defaults(&rig);
    start();
    rig.iommu.pa_last = 0xfff;
    for (unsigned i = 0; i < 3; i++)
        rig_submit(&rig, DEVICE, 0x1000, PT_READ, i);
    EXPECT_EQUAL(collect(), 3);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQUAL(got[i].outcome, XLATE_faulted);
    EXPECT_EQUAL(rig.iommu.context_stats.read, 0);
    rig_stop(&rig);
}
