/* SPDX-License-Identifier: Apache-2.0 */
/* The invalidation queue to the cycle: fetches, statuses, errors, effects. */
#include "iommu_model/iommu.h"

#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, DOMAIN = 4, L = RIG_LATENCY, W = RIG_LATENCY, QUEUE = 256 };
enum { RW = PT_READ | PT_WRITE };

static struct rig rig;
static struct iommu_response answer;
static uint64_t root;

static void prepare(void)
{
    rig_defaults(&rig);
}

static void start(void)
{
    rig_start(&rig);
    root = rig_attach(&rig, DEVICE, DOMAIN, 4);
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

static cycle_t wait_cycles(void)
{
    const sim_time_t took = rig_wait(&rig);
    return took == TIME_NEVER ? CYCLE_NEVER : took / RIG_PERIOD_PS;
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

static void set_reg(uint32_t offset, uint64_t value)
{
    iommu_mmio_ops.write(&rig.iommu, offset, value, 4, rig.now);
}

static cycle_t S(void)
{
    return rig.settings.invq.start_cycles;
}

static cycle_t E(void)
{
    return rig.settings.invq.execute_cycles;
}

/* ---- Fetch and execution
 * ---------------------------------------------------------------------------- */

TEST_CASE(invq, a_wait_alone_costs_fetch_execution_and_the_write)
{
    start_plain();
    EXPECT_EQUAL(wait_cycles(), S() + L + E() + W);
    EXPECT_EQUAL(rig.iommu.stats.command_wait, 1);
    rig_stop(&rig);
}

/* Two commands: both are in the queue until the first is done, then one. */
TEST_CASE(invq, its_length_is_summed_from_the_tails_move_to_the_end_of_each_command)
{
    start_plain();
    queue_page(0x1000, 0);
    rig.iommu.invq.queued_most = 0;
    const uint64_t before      = rig.iommu.stats.queued_cycles;
    wait_cycles();
    EXPECT_EQUAL(rig.iommu.stats.queued_cycles - before, 2 * (S() + L + E()) + E());
    EXPECT_EQUAL(rig.iommu.invq.queued_most, 2);
    EXPECT_EQUAL(rig.iommu.invq.queued, 0);
    invq_measure(&rig.iommu, 1000000000); /* Nothing is in it: nothing is added. */
    EXPECT_EQUAL(rig.iommu.stats.queued_cycles - before, 2 * (S() + L + E()) + E());
    rig_stop(&rig);
}

TEST_CASE(invq, each_latency_moves_the_status_by_its_cycles)
{
    cycle_t took[4];
    for (unsigned which = 0; which < 4; which++) {
        prepare();
        rig.settings.invq.start_cycles += which == 1;
        rig.settings.invq.execute_cycles += which == 2;
        rig.settings.write_ps += which == 3 ? 1 : 0; /* A status write ends at an edge. */
        start();
        queue_page(0x1000, 0);
        took[which] = wait_cycles();
        rig_stop(&rig);
    }
    EXPECT_EQUAL(took[1], took[0] + 1);
    EXPECT_EQUAL(took[2], took[0] + 2);
    EXPECT_EQUAL(took[3], took[0] + 1);
}

/* The commands of one line come with one read; the next read is presented a cycle after the
 * last of them. */
TEST_CASE(invq, a_line_of_commands_is_fetched_at_once)
{
    for (unsigned fetch = 1; fetch <= 4; fetch *= 2)
        for (unsigned skip = 0; skip < 4; skip++)
            for (unsigned n = 1; n <= 9; n++) {
                prepare();
                rig.settings.invq.fetch_commands = fetch;
                start();
                for (unsigned i = 0; i < skip; i++)
                    wait_cycles();
                for (unsigned i = 1; i < n; i++)
                    queue_page(0x1000, 0);
                cycle_t reads = 1; /* Of so many, none reaching into another line. */
                for (unsigned i = 0, had = 0; i < n; i++, had++)
                    if (had > 0 && (had == fetch || (skip + i) % 4 == 0)) {
                        reads++;
                        had = 0;
                    }
                EXPECT_EQUAL(wait_cycles(), S() + reads * (L + 1) - 1 + n * E() + W);
                rig_stop(&rig);
            }
}

TEST_CASE(invq, commands_that_come_while_it_is_busy_are_fetched_behind)
{
    start_plain();
    queue_page(0x1000, 0);
    rig_ring(&rig);
    const cycle_t began = now();
    run_to(began + S() + L + 1); /* The first is being carried out. */
    const cycle_t took = wait_cycles();
    EXPECT_EQUAL(now() - began, S() + L + E() + 1 + L + E() + W);
    EXPECT(took < now() - began);
    rig_stop(&rig);
}

TEST_CASE(invq, a_tail_that_does_not_move_fetches_nothing)
{
    start_plain();
    rig_ring(&rig);
    EXPECT_EQUAL(rig.iommu_due, TIME_NEVER);
    wait_cycles();
    rig_ring(&rig);
    EXPECT_EQUAL(rig.iommu_due, TIME_NEVER);
    EXPECT_EQUAL(rig.iommu.memport.stats.read_command, 1);
    rig_stop(&rig);
}

TEST_CASE(invq, the_queue_wraps_wherever_a_batch_lies)
{
    prepare();
    rig.settings.invq.execute_cycles = 1;
    start();
    uint64_t commands = 0;
    for (unsigned batch = 1; batch < 40; batch++) {
        for (unsigned i = 1; i < batch; i++)
            queue_page(0x1000, 0);
        REQUIRE(wait_cycles() != CYCLE_NEVER);
        commands += batch;
        EXPECT_EQUAL(rig.iommu.stats.command, commands);
        EXPECT_EQUAL(reg(VTD_IQH), commands % QUEUE * VTD_IQ_ENTRY_BYTES);
        EXPECT_EQUAL(reg(VTD_IQT), reg(VTD_IQH));
    }
    EXPECT(commands > 3 * QUEUE);
    rig_stop(&rig);
}

/* All entries but one in use, wherever the head is. */
TEST_CASE(invq, a_full_queue_across_its_end_is_carried_out_once)
{
    start_plain();
    for (unsigned round = 1; round < 4; round++) {
        for (unsigned i = 0; i < QUEUE - 2; i++)
            queue_page(0x1000, 0);
        EXPECT(wait_cycles() != CYCLE_NEVER);
        EXPECT_EQUAL(rig.iommu.stats.command, round * (QUEUE - 1));
        EXPECT_EQUAL(reg(VTD_IQH), (QUEUE - round) * VTD_IQ_ENTRY_BYTES);
    }
    rig_stop(&rig);
}

/* ---- Status
 * --------------------------------------------------------------------------------------------
 */

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

TEST_CASE(invq, statuses_become_visible_one_by_one_to_the_cycle)
{
    for (unsigned waits = 0; waits < 2; waits++) {
        prepare();
        rig.settings.invq.write_waits = waits != 0;
        start();
        for (unsigned i = 0; i < 3; i++)
            queue_status(i);
        rig_ring(&rig);
        const cycle_t first = now() + S() + L + E() + W, each = E() + (waits ? W : 0);
        for (unsigned i = 0; i < 3; i++) {
            run_to(first + i * each - 1);
            EXPECT_EQUAL(statuses(3), i);
            run_to(first + i * each);
            EXPECT_EQUAL(statuses(3), i + 1);
        }
        rig_stop(&rig);
    }
}

/* Sixteen writes may be under way: the next wait stands until the first is through. */
TEST_CASE(invq, a_wait_without_room_for_its_write_stands)
{
    prepare();
    rig.settings.invq.execute_cycles = 1;
    rig.settings.write_ps            = 1000 * RIG_PERIOD_PS;
    start();
    for (unsigned i = 0; i < 20; i++)
        queue_status(i);
    rig_ring(&rig);
    const cycle_t first = now() + S() + L + 1 + 1000;
    run_to(first - 1);
    EXPECT_EQUAL(statuses(20), 0);
    EXPECT_EQUAL(reg(VTD_IQH), 16 * VTD_IQ_ENTRY_BYTES);
    run_to(first);
    EXPECT_EQUAL(statuses(20), 1);
    EXPECT_EQUAL(reg(VTD_IQH), 17 * VTD_IQ_ENTRY_BYTES);
    run_to(first + 999);
    EXPECT_EQUAL(statuses(20), 16);
    run_to(first + 1000);
    EXPECT_EQUAL(statuses(20), 17);
    run_to(first + 1100);
    EXPECT_EQUAL(statuses(20), 20);
    rig_stop(&rig);
}

TEST_CASE(invq, a_wait_can_ask_for_no_write_and_for_an_interrupt)
{
    start_plain();
    rig_queue(&rig, (struct vtd_descriptor){ VTD_INV_WAIT | VTD_WAIT_IF, rig.status });
    rig_ring(&rig);
    rig_run(&rig, rig.now + 1000 * RIG_PERIOD_PS);
    EXPECT_EQUAL(memory_read32(&rig.memory, rig.status), 0);
    EXPECT_EQUAL(reg(VTD_ICS), 1);
    set_reg(VTD_ICS, 1);
    EXPECT_EQUAL(reg(VTD_ICS), 0);
    EXPECT_EQUAL(reg(VTD_IQH), VTD_IQ_ENTRY_BYTES);
    rig_stop(&rig);
}

/* ---- Illegal commands
 * -------------------------------------------------------------------------------------- */

static void expect_stops_at(struct vtd_descriptor bad)
{
    queue_status(0);
    rig_queue(&rig, bad);
    queue_status(1);
    rig_ring(&rig);
    rig_run(&rig, rig.now + 10000 * RIG_PERIOD_PS);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQH), VTD_IQ_ENTRY_BYTES); /* It stands there. */
    EXPECT_EQUAL(statuses(2), 1);
    rig_ring(&rig); /* A new tail does not help. */
    rig_run(&rig, rig.now + 10000 * RIG_PERIOD_PS);
    EXPECT_EQUAL(statuses(2), 1);
}

/* Software repairs the command and clears the error: it is fetched again. */
static void expect_goes_on(void)
{
    const struct vtd_descriptor good = vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false);
    memory_write64(&rig.memory, rig.queue + VTD_IQ_ENTRY_BYTES, good.low);
    memory_write64(&rig.memory, rig.queue + VTD_IQ_ENTRY_BYTES + 8, good.high);
    const cycle_t began = now();
    set_reg(VTD_FSTS, VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_FSTS), 0);
    run_to(began + S() + L + 2 * E() + W - 1);
    EXPECT_EQUAL(statuses(2), 1);
    run_to(began + S() + L + 2 * E() + W);
    EXPECT_EQUAL(statuses(2), 2);
}

TEST_CASE(invq, an_illegal_command_stops_the_queue_until_software_repairs_it)
{
    const struct vtd_descriptor bad[] = {
        { 0, 0 },
        { VTD_INV_DEVTLB, 0 },
        { 6, 0 },
        { 15, 0 },
        vtd_inv_context(0, DOMAIN, DEVICE),
        vtd_inv_iotlb(0, DOMAIN, 0, 0, false),
        vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 19, true),
        vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 63, true),
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        start_plain();
        expect_stops_at(bad[i]);
        expect_goes_on();
        rig_stop(&rig);
    }
}

TEST_CASE(invq, pages_cannot_be_selected_where_hardware_does_not_offer_it)
{
    prepare();
    rig.vtd.page_selective = 0;
    start();
    expect_stops_at(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, true));
    expect_goes_on();
    rig_stop(&rig);
}

TEST_CASE(invq, a_tail_beyond_the_queue_is_an_error)
{
    start_plain();
    iommu_mmio_ops.write(&rig.iommu, VTD_IQT, (uint64_t)QUEUE << VTD_IQ_ENTRY_LG2, 8,
                         rig.now);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQT), 0);
    EXPECT_EQUAL(rig.iommu_due, TIME_NEVER);
    set_reg(VTD_FSTS, VTD_FSTS_IQE);
    EXPECT_EQUAL(wait_cycles(), S() + L + E() + W);
    rig_stop(&rig);
}

/* ---- What they drop
 * ------------------------------------------------------------------------------------------
 */

/* Which of the pages 1 to 15 are cached, as bits. */
static unsigned cached(void)
{
    unsigned bits = 0;
    for (uint64_t page = 1; page < 16; page++)
        if (iotlb_probe(&rig.iommu.iotlb, space_make(DOMAIN, 0, STAGE_2), page << 12))
            bits |= 1u << page;
    return bits;
}

static void fill_all(void)
{
    for (uint64_t page = 1; page < 16; page++)
        translate(page << 12);
    CHECK(cached() == 0xfffe);
}

TEST_CASE(invq, each_granularity_drops_what_it_says)
{
    const struct {
        struct vtd_descriptor d;
        unsigned left;
    } of[] = { { vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false), 0 },
               { vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false), 0 },
               { vtd_inv_iotlb(VTD_DOMAIN, DOMAIN + 1, 0, 0, false), 0xfffe },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN + 1, 0, 18, false), 0xfffe },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, false), 0xfffc },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x4000, 2, true), 0xff0e },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x8000, 3, true), 0x00fe },
               { vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0, 18, false), 0 },
               { vtd_inv_context(VTD_GLOBAL, 0, 0), 0xfffe },
               { { VTD_INV_IEC, 0 }, 0xfffe } };
    for (unsigned i = 0; i < sizeof of / sizeof of[0]; i++) {
        start_plain();
        fill_all();
        rig_queue(&rig, of[i].d);
        EXPECT(wait_cycles() != CYCLE_NEVER);
        EXPECT_EQUAL(cached(), of[i].left);
        rig_stop(&rig);
    }
}

/* An invalidation counts from the cycle behind the one it is carried out in. */
TEST_CASE(invq, a_look_up_in_the_cycle_of_an_invalidation_still_hits)
{
    for (unsigned late = 0; late < 2; late++) {
        start_plain();
        translate(0x1000);
        const cycle_t carried_out = now() + S() + L + E();
        queue_page(0x1000, 0);
        rig_ring(&rig);
        run_to(carried_out - rig.settings.iommu.accept_cycles + late);
        translate(0x1000);
        EXPECT_EQUAL(answer.outcome, late ? XLATE_walked : XLATE_hit);
        rig_stop(&rig);
    }
}
