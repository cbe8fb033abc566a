/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline to the cycle: acceptance, slots, the queue, answers; and fault records. */
#include "iommu_model/xlate.h"

#include "sim/base/rng.h"
#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, DOMAIN = 4, MAX = 64, RW = PT_READ | PT_WRITE };

static struct rig rig;
static struct iommu_response answer, got[MAX];
static unsigned order[MAX];
static uint64_t root;

/* Page 1 is in the IOTLB; page 2 and those behind it are mapped. */
static void start_warm(unsigned levels)
{
    rig_start(&rig);
    root = rig_attach(&rig, DEVICE, DOMAIN, levels);
    for (uint64_t page = 1; page < 16; page++)
        rig_map(&rig, root, levels, page << 12, page << 20, 12, RW);
    rig_translate(&rig, DEVICE, 0x1000, PT_READ, &answer);
    CHECK(answer.outcome == XLATE_walked);
}

static cycle_t now(void)
{
    return rig.now / RIG_PERIOD_PS;
}

static cycle_t ends(void)
{
    return rig.settings.iommu.accept_cycles + rig.settings.iommu.respond_cycles;
}

static cycle_t translate(uint64_t iova)
{
    return rig_translate(&rig, DEVICE, iova, PT_READ, &answer);
}

static void submit(unsigned id, uint64_t iova)
{
    rig_submit(&rig, DEVICE, iova, PT_READ, id);
}

static unsigned collect(void)
{
    unsigned n = 0;
    while (n < MAX && rig_next(&rig, &answer)) {
        got[answer.id] = answer;
        order[n++]     = answer.id;
    }
    return n;
}

static uint64_t reg(uint32_t offset)
{
    return iommu_mmio_ops.read(&rig.iommu, offset, 8, rig.now);
}

static void set_reg(uint32_t offset, uint64_t value)
{
    iommu_mmio_ops.write(&rig.iommu, offset, value, 4, rig.now);
}

/* ---- Time of a hit
 * ------------------------------------------------------------------------------- */

TEST_CASE(xlate, a_hit_costs_acceptance_and_answer_and_nothing_else)
{
    for (unsigned accept = 1; accept <= 3; accept++)
        for (unsigned respond = 1; respond <= 3; respond++) {
            rig_defaults(&rig);
            rig.settings.iommu.accept_cycles  = accept;
            rig.settings.iommu.respond_cycles = respond;
            start_warm(4);
            EXPECT_EQUAL(translate(0x1abc), accept + respond);
            EXPECT_EQUAL(answer.pa, 0x100abc);
            EXPECT_EQUAL(answer.part[XLATE_PART_pipeline], accept + respond);
            EXPECT_EQUAL(answer.part[XLATE_PART_queue], 0);
            EXPECT(answer.context_hit && answer.iotlb_hit);
            rig_stop(&rig);
        }
}

/* What arrives between two edges is seen at the next one. */
TEST_CASE(xlate, a_request_between_edges_counts_from_the_next_edge)
{
    rig_defaults(&rig);
    start_warm(4);
    const cycle_t began = now();
    rig.now += 1;
    submit(0, 0x1000);
    EXPECT_EQUAL(collect(), 1);
    EXPECT_EQUAL(got[0].due, began + 1 + ends());
    rig_stop(&rig);
}

TEST_CASE(xlate, acceptances_are_an_interval_apart)
{
    for (unsigned interval = 1; interval <= 3; interval++) {
        rig_defaults(&rig);
        rig.settings.iommu.interval_cycles = interval;
        start_warm(4);
        rig_run(&rig, rig.now + 10 * RIG_PERIOD_PS);
        const cycle_t began = now();
        for (unsigned i = 0; i < 5; i++)
            submit(i, 0x1000);
        EXPECT_EQUAL(collect(), 5);
        for (unsigned i = 0; i < 5; i++) {
            EXPECT_EQUAL(got[i].due, began + i * interval + ends());
            EXPECT_EQUAL(got[i].part[XLATE_PART_queue], i * interval);
        }
        rig_stop(&rig);
    }
}

/* ---- Slots
 * ---------------------------------------------------------------------------------------
 */

TEST_CASE(xlate, with_all_slots_taken_the_next_is_accepted_with_an_answer)
{
    for (unsigned turnaround = 0; turnaround < 3; turnaround++) {
        rig_defaults(&rig);
        rig.settings.iommu.inflight          = 2;
        rig.settings.iommu.accept_cycles     = 6;
        rig.settings.iommu.respond_cycles    = 4;
        rig.settings.iommu.turnaround_cycles = turnaround;
        start_warm(4);
        rig_run(&rig, rig.now + 10 * RIG_PERIOD_PS);
        const cycle_t began = now();
        for (unsigned i = 0; i < 6; i++)
            submit(i, 0x1000);
        EXPECT_EQUAL(collect(), 6);
        EXPECT_EQUAL(got[0].due, began + 10);
        EXPECT_EQUAL(got[1].due - got[0].due, 1);
        for (unsigned i = 2; i < 6; i++)
            EXPECT_EQUAL(got[i].due, got[i - 2].due + turnaround + 10);
        rig_stop(&rig);
    }
}

/* A miss keeps its slot; hits share what is left, each accepted when the one before it has
 * been answered. */
TEST_CASE(xlate, a_miss_keeps_its_slot_while_hits_take_turns_in_the_other)
{
    rig_defaults(&rig);
    rig.settings.iommu.inflight = 2;
    start_warm(4);
    const cycle_t began = now();
    submit(0, 0x2000);
    for (unsigned i = 1; i < 5; i++)
        submit(i, 0x1000);
    EXPECT_EQUAL(collect(), 5);
    for (unsigned i = 1; i < 5; i++)
        EXPECT_EQUAL(got[i].due, began + 1 + i * ends());
    EXPECT_EQUAL(order[4], 0);
    rig_stop(&rig);
}

/* Between a hit's look-up and its answer its slot is not free, but it is known when it will
 * be: whoever is submitted then is accepted in that cycle, whatever else is under way. */
TEST_CASE(xlate, a_request_that_comes_between_look_up_and_answer_is_accepted_in_time)
{
    for (unsigned early = 0; early < 4; early++) {
        rig_defaults(&rig);
        rig.settings.iommu.inflight       = 2;
        rig.settings.iommu.respond_cycles = 4;
        start_warm(4);
        submit(0, 0x2000);
        rig_run(&rig, rig.now + 10 * RIG_PERIOD_PS);
        const cycle_t began = now();
        submit(1, 0x1000);
        rig_run(&rig, (began + ends() - early) * RIG_PERIOD_PS);
        submit(2, 0x1000);
        EXPECT_EQUAL(collect(), 3);
        EXPECT_EQUAL(got[1].due, began + ends());
        EXPECT_EQUAL(got[2].due, began + 2 * ends());
        rig_stop(&rig);
    }
}

/* A hit's slot is known to be free later, then a miss's is free at once: it counts first.
 */
TEST_CASE(xlate, the_slot_that_is_free_first_is_taken_first)
{
    rig_defaults(&rig);
    rig.settings.iommu.inflight       = 2;
    rig.settings.iommu.respond_cycles = 20;
    start_warm(4);
    const cycle_t alone = translate(0x2000);
    const cycle_t began = now();
    submit(0, 0x3000);
    rig_run(&rig, (began + alone - 5) * RIG_PERIOD_PS);
    submit(1, 0x1000);
    submit(2, 0x1000);
    EXPECT_EQUAL(collect(), 3);
    EXPECT_EQUAL(got[0].due, began + alone);
    EXPECT_EQUAL(got[1].due, began + alone - 5 + ends());
    EXPECT_EQUAL(got[2].due, began + alone + ends());
    rig_stop(&rig);
}

TEST_CASE(xlate, one_slot_that_walks_lets_nobody_in)
{
    rig_defaults(&rig);
    rig.settings.iommu.inflight = 1;
    start_warm(4);
    const cycle_t alone = translate(0x2000);
    const cycle_t began = now();
    submit(0, 0x3000);
    submit(1, 0x1000);
    EXPECT_EQUAL(collect(), 2);
    EXPECT_EQUAL(got[0].due, began + alone);
    EXPECT_EQUAL(got[1].due, began + alone + ends());
    EXPECT_EQUAL(got[1].part[XLATE_PART_queue], alone);
    rig_stop(&rig);
}

TEST_CASE(xlate, a_full_queue_tells_the_client_when_there_is_room)
{
    rig_defaults(&rig);
    rig.settings.iommu.queue_entries = 2;
    start_warm(4);
    submit(0, 0x1000);
    EXPECT(iommu_ready(&rig.iommu, rig.client));
    submit(1, 0x1000);
    EXPECT(!iommu_ready(&rig.iommu, rig.client));
    rig.client_due      = TIME_NEVER;
    const cycle_t began = now();
    rig_run(&rig, rig.iommu_due); /* The first look-up takes one out. */
    EXPECT_EQUAL(now(), began + rig.settings.iommu.accept_cycles);
    EXPECT_EQUAL(rig.client_due, rig.now);
    EXPECT(iommu_ready(&rig.iommu, rig.client));
    submit(2, 0x1000);
    EXPECT_EQUAL(collect(), 3);
    rig_stop(&rig);
}

/* ---- Clients
 * ---------------------------------------------------------------------------------------
 */

TEST_CASE(xlate, answers_go_to_whom_they_belong_in_order_of_time)
{
    struct iommu_response first, second;
    const struct iommu_response *taken;
    sim_time_t due = TIME_NEVER, next;
    rig_defaults(&rig);
    start_warm(4);
    const unsigned other = iommu_attach(&rig.iommu, &due, 16, false);
    submit(0, 0x2000); /* Late. */
    *iommu_request(&rig.iommu) = (struct iommu_request){
        .iova = 0x1000, .id = 7, .requester = DEVICE, .access = PT_READ
    };
    iommu_submit(&rig.iommu, other, rig.now);
    submit(1, 0x1000); /* Prompt. */
    EXPECT(rig_next(&rig, &first));
    EXPECT(rig_next(&rig, &second));
    EXPECT_EQUAL(first.id, 1);
    EXPECT_EQUAL(second.id, 0);
    EXPECT(!rig_next(&rig, &first));
    taken = iommu_take(&rig.iommu, other, rig.now, &next);
    REQUIRE(taken != NULL);
    EXPECT_EQUAL(taken->id, 7);
    EXPECT_EQUAL(due, taken->due * RIG_PERIOD_PS);
    EXPECT(iommu_take(&rig.iommu, other, rig.now, &next) == NULL);
    EXPECT_EQUAL(next, TIME_NEVER);
    rig_stop(&rig);
}

TEST_CASE(xlate, an_answer_cannot_be_taken_before_its_time)
{
    sim_time_t next;
    rig_defaults(&rig);
    rig.settings.iommu.respond_cycles = 5;
    start_warm(4);
    const sim_time_t due = rig.now + ends() * RIG_PERIOD_PS;
    submit(0, 0x1000);
    rig_run(&rig, due - 1);
    EXPECT(iommu_take(&rig.iommu, rig.client, due - 1, &next) == NULL);
    EXPECT_EQUAL(next, due);
    EXPECT(iommu_take(&rig.iommu, rig.client, due, &next) != NULL);
    rig_stop(&rig);
}

/* ---- Accounts
 * ---------------------------------------------------------------------------------------
 */

static void tiny_pipeline(void)
{
    rig_defaults(&rig);
    rig.settings.iommu.inflight          = 6;
    rig.settings.iommu.turnaround_cycles = 1;
    rig.settings.iotlb.sets              = 1;
    rig.settings.iotlb.ways              = 3;
    rig.settings.walker.walkers          = 2;
    rig.settings.walker.walks            = 3;
    rig.settings.walker.start_cycles     = 7;
    rig.settings.memport.inflight_max    = 2;
    rig.settings.context.device_sets     = 1;
    rig.settings.context.device_ways     = 1;
}

/* Whatever happens to a translation, each of its cycles has one owner. */
TEST_CASE(xlate, the_parts_of_every_translation_sum_to_its_time)
{
    static cycle_t began[MAX];
    struct rng rng = rng_make(1, "xlate test");
    tiny_pipeline();
    start_warm(4);
    rig_pass_through(&rig, DEVICE + 1, DOMAIN);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < MAX / 2; i++) {
            began[i] = now();
            rig_submit(&rig,
                       DEVICE + (rng_below(&rng, 8) == 0 ? 1 + rng_below(&rng, 2) : 0),
                       (uint64_t)rng_below(&rng, 18) << 12, 1 + rng_below(&rng, 2), i);
            rig_run(&rig, rig.now + rng_below(&rng, 40) * RIG_PERIOD_PS);
        }
        if (!EXPECT_EQUAL(collect(), MAX / 2))
            break;
        for (unsigned i = 0; i < MAX / 2; i++) {
            cycle_t sum = 0;
            for (unsigned p = 0; p < XLATE_PART_COUNT; p++)
                sum += got[i].part[p];
            if (got[i].due - began[i] != sum)
                EXPECT_EQUAL(sum, got[i].due - began[i]);
        }
    }
    const struct iommu_stats *s = &rig.iommu.stats;
    EXPECT_EQUAL(s->translation, s->translation_hit + s->translation_walked
                                     + s->translation_joined + s->translation_bypassed
                                     + s->translation_faulted);
    EXPECT(s->translation_joined > 20 && s->translation_hit > 20
           && s->translation_faulted > 20);
    EXPECT_EQUAL(s->walk, s->walk_filled + s->walk_unfilled);
    rig_stop(&rig);
}

/* ---- Without tables
 * ------------------------------------------------------------------------------------- */

TEST_CASE(xlate, with_translation_off_everything_passes_at_the_speed_of_a_hit)
{
    rig_defaults(&rig);
    start_warm(4);
    set_reg(VTD_GCMD, VTD_G_QI);
    EXPECT_EQUAL(rig_translate(&rig, 0x9999, 0x123456789abc, PT_WRITE, &answer), ends());
    EXPECT_EQUAL(answer.outcome, XLATE_bypassed);
    EXPECT_EQUAL(answer.pa, 0x123456789abc);
    EXPECT_EQUAL(answer.reads, 0);
    rig_stop(&rig);
}

TEST_CASE(xlate, an_address_beyond_the_tables_width_is_refused_at_the_speed_of_a_hit)
{
    for (unsigned levels = 3; levels <= 5; levels++) {
        const uint64_t end = UINT64_C(1) << (12 + 9 * levels);
        rig_defaults(&rig);
        rig.vtd.levels_max    = 5;
        rig.vtd.fault_records = 1;
        start_warm(levels);
        rig_map(&rig, root, levels, end - 0x1000, 0x5000, 12, PT_READ);
        translate(end - 1);
        EXPECT_EQUAL(answer.pa, 0x5fff);
        EXPECT_EQUAL(translate(end), ends());
        EXPECT_EQUAL(answer.cause, VTD_FAULT_BEYOND_WIDTH);
        EXPECT_EQUAL(reg(VTD_FRCD), end);
        rig_stop(&rig);
    }
}

/* The record has all bits from 12 to 63 of the address (11.4.14). */
TEST_CASE(xlate, a_record_has_the_whole_address)
{
    rig_defaults(&rig);
    rig.vtd.levels_max = 5;
    start_warm(5);
    translate(UINT64_C(0x01f123456789abcd));
    EXPECT_EQUAL(answer.cause, VTD_FAULT_READ_NOT_ALLOWED);
    EXPECT_EQUAL(reg(VTD_FRCD), UINT64_C(0x01f123456789a000));
    translate(UINT64_C(0xfedcba9876543210));
    EXPECT_EQUAL(reg(VTD_FRCD + 16), UINT64_C(0xfedcba9876543000));
    rig_stop(&rig);
}

/* ---- Looking up again
 * -------------------------------------------------------------------------------------- */

TEST_CASE(xlate, looking_up_again_costs_nothing_more)
{
    cycle_t took[2];
    for (unsigned again = 0; again < 2; again++) {
        rig_defaults(&rig);
        rig.settings.iommu.relookup = again != 0;
        start_warm(4);
        took[again] = translate(0x2000);
        EXPECT_EQUAL(answer.outcome, XLATE_walked);
        EXPECT_EQUAL(answer.pa, 0x200000);
        rig_stop(&rig);
    }
    EXPECT_EQUAL(took[0], took[1]);
}

/* The page is filled and thrown out before its result is used. */
TEST_CASE(xlate, who_looks_up_again_in_vain_walks_again)
{
    for (unsigned again = 0; again < 2; again++) {
        rig_defaults(&rig);
        rig.settings.iommu.relookup     = again != 0;
        rig.settings.walker.fill_cycles = 100;
        rig.settings.invq.start_cycles = rig.settings.invq.execute_cycles = 1;
        start_warm(4);
        const cycle_t alone = translate(0x2000);
        const cycle_t began = now();
        submit(0, 0x3000);
        rig_run(&rig, (began + alone - 80) * RIG_PERIOD_PS);
        EXPECT_EQUAL(rig.iommu.stats.walk_filled, 3);
        rig_queue(&rig, vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x3000, 0, true));
        rig_ring(&rig);
        EXPECT_EQUAL(collect(), 1);
        EXPECT_EQUAL(got[0].reads, again ? 2 : 1);
        EXPECT_EQUAL(got[0].due, began + alone + (again ? alone - ends() : 0));
        rig_stop(&rig);
    }
}

/* ---- Fault records
 * --------------------------------------------------------------------------------------------
 */

static unsigned interrupts;
static uint64_t interrupt_address;
static uint32_t interrupt_data;
static sim_time_t interrupt_time;

static void note_interrupt(void *self, uint64_t address, uint32_t data, sim_time_t when)
{
    (void)self;
    interrupts++;
    interrupt_address = address;
    interrupt_data    = data;
    interrupt_time    = when;
}

static void fault_at(uint64_t iova)
{
    translate(iova);
    EXPECT_EQUAL(answer.outcome, XLATE_faulted);
}

static void clear_record(unsigned index)
{
    set_reg(VTD_FRCD + 16 * index + 12, UINT32_C(1) << 31);
}

TEST_CASE(xlate, records_are_used_in_turn_and_one_too_many_is_an_overflow)
{
    rig_defaults(&rig);
    rig.vtd.fault_records = 2;
    start_warm(4);
    fault_at(0x100000);
    fault_at(0x200000);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_PPF | VTD_FSTS_FRI(UINT64_C(0)));
    fault_at(0x300000);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_PPF | VTD_FSTS_PFO);
    EXPECT_EQUAL(rig.iommu.stats.fault_recorded, 2);
    EXPECT_EQUAL(rig.iommu.stats.fault_lost, 1);
    clear_record(0);
    clear_record(1);
    fault_at(0x400000); /* The overflow still stands. */
    EXPECT_EQUAL(rig.iommu.stats.fault_lost, 2);
    EXPECT_EQUAL(reg(VTD_FSTS) & VTD_FSTS_PPF, 0);
    set_reg(VTD_FSTS, VTD_FSTS_PFO);
    EXPECT_EQUAL(reg(VTD_FSTS) & VTD_FSTS_PFO, 0);
    fault_at(0x500000);
    EXPECT_EQUAL(reg(VTD_FRCD), 0x500000);
    clear_record(0);
    fault_at(0x600000);
    EXPECT_EQUAL(reg(VTD_FRCD + 16), 0x600000);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_PPF | VTD_FSTS_FRI(UINT64_C(1)));
    rig_stop(&rig);
}

TEST_CASE(xlate, the_first_pending_fault_sends_one_event_when_its_answer_is_known)
{
    rig_defaults(&rig);
    start_warm(4);
    rig.iommu.interrupt = note_interrupt;
    interrupts          = 0;
    set_reg(VTD_FEDATA, 0x4021);
    set_reg(VTD_FEADDR, 0xfee00000);
    set_reg(VTD_FEUADDR, 0x1);
    fault_at(0x100000); /* Events are masked after reset. */
    EXPECT_EQUAL(interrupts, 0);
    clear_record(0);
    set_reg(VTD_FECTL, 0);
    fault_at(0x100000);
    EXPECT_EQUAL(interrupts, 1);
    EXPECT_EQUAL(interrupt_address, UINT64_C(0x1fee00000));
    EXPECT_EQUAL(interrupt_data, 0x4021);
    EXPECT_EQUAL(interrupt_time,
                 (answer.due - rig.settings.iommu.respond_cycles) * RIG_PERIOD_PS);
    fault_at(0x200000); /* One is pending: no other event. */
    EXPECT_EQUAL(interrupts, 1);
    rig_stop(&rig);
}
