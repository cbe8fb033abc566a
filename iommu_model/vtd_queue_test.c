/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of VT-d's invalidation queue, device TLBs that do not answer, and caching mode. */
#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, OTHER = 0x30, DOMAIN = 7, TIMEOUT_US = 5 };

static struct rig rig;
static struct port_invalidation sent[64];
static unsigned count;

static bool take(void *self, const struct port_invalidation *i, sim_time_t now)
{
    (void)self;
    (void)now;
    if (i->requester != DEVICE)
        return false;
    CHECK(count < 64);
    sent[count++] = *i;
    return true;
}

static uint64_t reg(uint32_t offset)
{
    return iommu_mmio_ops.read(&rig.iommu, offset, 8, rig.now);
}

static void set_reg(uint32_t offset, uint64_t value)
{
    iommu_mmio_ops.write(&rig.iommu, offset, value, 4, rig.now);
}

static void start_with(uint32_t fetch_commands, bool early_head)
{
    rig_defaults(&rig);
    rig.vtd.device_tlb                  = true;
    rig.settings.invq.device_timeout_us = TIMEOUT_US;
    rig.settings.invq.fetch_commands    = fetch_commands;
    rig.settings.invq.early_head        = early_head;
    rig_start(&rig);
    iommu_attach_device_tlb(&rig.iommu, rig.client, take, NULL);
    count = 0;
}

static void start(void)
{
    start_with(4, false);
}

static uint32_t status(void)
{
    return memory_read32(&rig.memory, rig.status);
}

static void queue_wait(uint32_t value)
{
    memory_write32(&rig.memory, rig.status, 0);
    rig_queue(&rig, vtd_inv_wait(rig.status, value));
    rig_ring(&rig);
}

static void run_for(uint64_t cycles)
{
    rig_run(&rig, rig.now + cycles * RIG_PERIOD_PS);
}

TEST_CASE(vtd_queue, a_wait_waits_for_the_devices_answers)
{
    start();
    rig_queue(&rig, vtd_inv_devtlb(DEVICE, 0, 0x5000, 0));
    rig_queue(&rig, vtd_inv_devtlb(DEVICE, 0, 0x200000, 9));
    queue_wait(3);
    run_for(1000);
    EXPECT_EQUAL(count, 2);
    EXPECT_EQUAL(sent[0].first, 0x5000);
    EXPECT_EQUAL(sent[0].last, 0x5fff);
    EXPECT_EQUAL(sent[1].first, 0x200000);
    EXPECT_EQUAL(sent[1].last, 0x3fffff);
    EXPECT(sent[0].itag != sent[1].itag);
    EXPECT_EQUAL(status(), 0);
    iommu_invalidated(&rig.iommu, DEVICE, UINT32_C(1) << sent[1].itag, 1, rig.now);
    run_for(100);
    EXPECT_EQUAL(status(), 0);
    iommu_invalidated(&rig.iommu, DEVICE, UINT32_C(1) << sent[0].itag, 2, rig.now);
    run_for(100);
    EXPECT_EQUAL(status(), 0); /* One of two has come. */
    iommu_invalidated(&rig.iommu, DEVICE, UINT32_C(1) << sent[0].itag, 2, rig.now);
    run_for(RIG_LATENCY - 1);
    EXPECT_EQUAL(status(), 0);
    run_for(1); /* The status write is under way for so long. */
    EXPECT_EQUAL(status(), 3);
    EXPECT_EQUAL(reg(VTD_FSTS), 0);
    EXPECT_EQUAL(rig.iommu_due, TIME_NEVER); /* No deadline stands any more. */
    rig_stop(&rig);
}

TEST_CASE(vtd_queue, no_more_invalidations_are_under_way_than_the_descriptor_allows)
{
    start();
    for (unsigned i = 0; i < 3; i++)
        rig_queue(&rig, vtd_inv_devtlb(DEVICE, 2, i << 12, 0));
    queue_wait(3);
    run_for(1000);
    EXPECT_EQUAL(count, 2);
    EXPECT_EQUAL(reg(VTD_IQH) >> VTD_IQ_ENTRY_LG2, 2);
    iommu_invalidated(&rig.iommu, DEVICE, UINT32_C(1) << sent[0].itag, 1, rig.now);
    run_for(100);
    EXPECT_EQUAL(count, 3);
    iommu_invalidated(&rig.iommu, DEVICE,
                      UINT32_C(1) << sent[1].itag | UINT32_C(1) << sent[2].itag, 1,
                      rig.now);
    run_for(200);
    EXPECT_EQUAL(status(), 3);
    rig_stop(&rig);
}

TEST_CASE(vtd_queue, a_device_that_does_not_answer_stops_the_queue_until_ite_is_cleared)
{
    start();
    rig_queue(&rig, vtd_inv_devtlb(OTHER, 0, 0x5000, 0)); /* Nobody has it. */
    queue_wait(3);
    run_for(1000);
    queue_wait(4);
    EXPECT_EQUAL(reg(VTD_FSTS), 0);
    run_for(TIMEOUT_US * 1000);
    EXPECT_EQUAL(count, 0);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_ITE);
    EXPECT_EQUAL(bits_get(reg(VTD_IQERCD), 47, 32), OTHER);
    EXPECT_EQUAL(reg(VTD_IQH) >> VTD_IQ_ENTRY_LG2, 2); /* The wait was given up, */
    EXPECT_EQUAL(status(), 0);                         /* without a word. */
    EXPECT_EQUAL(rig.iommu.stats.device_late, 1);
    set_reg(VTD_FSTS, VTD_FSTS_ITE);
    run_for(1000);
    EXPECT_EQUAL(reg(VTD_FSTS), 0);
    EXPECT_EQUAL(status(), 4); /* What was not fetched then. */
    rig_stop(&rig);
}

/* Wherever the wait is when the device's time runs out: no software may take it for done.
 */
TEST_CASE(vtd_queue,
          no_wait_that_was_under_way_when_a_device_was_late_says_that_all_is_done)
{
    for (unsigned before = 0; before < 200; before++) {
        start();
        rig_queue(&rig, vtd_inv_devtlb(OTHER, 0, 0x5000, 0));
        rig_ring(&rig);
        run_for(100);
        EXPECT_EQUAL(rig.iommu.invq.sent_count, 1);
        const cycle_t late = rig.iommu.invq.sent[0].deadline;
        rig_run(&rig, (late - before) * RIG_PERIOD_PS);
        queue_wait(3);
        run_for(before + 1000);
        EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_ITE);
        EXPECT_EQUAL(status(), 0);
        rig_stop(&rig);
    }
}

/* A head that moves on a command's arrival: one that arrives when the time has run out is
 * not carried out, but it is not lost. */
TEST_CASE(vtd_queue, with_an_early_head_no_command_is_lost_to_a_late_device)
{
    for (unsigned before = 0; before < 200; before++) {
        start_with(1, true);
        rig_queue(&rig, vtd_inv_devtlb(OTHER, 0, 0x5000, 0));
        rig_ring(&rig);
        run_for(100);
        EXPECT_EQUAL(rig.iommu.invq.sent_count, 1);
        const cycle_t late = rig.iommu.invq.sent[0].deadline;
        rig_run(&rig, (late - before) * RIG_PERIOD_PS);
        for (unsigned i = 0; i < 4; i++)
            rig_queue(&rig, vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false));
        rig_ring(&rig);
        run_for(before + 1000);
        EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_ITE);
        set_reg(VTD_FSTS, VTD_FSTS_ITE);
        run_for(1000);
        EXPECT_EQUAL(rig.iommu.stats.command, 5);
        EXPECT_EQUAL(reg(VTD_IQH) >> VTD_IQ_ENTRY_LG2, 5);
        rig_stop(&rig);
    }
}

/* What was fetched and not begun when the time ran out is fetched again (6.5.2.10), however
 * soon software clears the error: it may have changed the queue. */
TEST_CASE(vtd_queue, what_was_fetched_when_a_device_was_late_is_fetched_again)
{
    unsigned begun = 0;
    for (unsigned before = 0; before < 200; before++) {
        start();
        rig_queue(&rig, vtd_inv_devtlb(OTHER, 0, 0x5000, 0));
        rig_ring(&rig);
        run_for(100);
        const cycle_t late = rig.iommu.invq.sent[0].deadline;
        rig_run(&rig, (late - before) * RIG_PERIOD_PS);
        rig_queue(&rig, vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false));
        queue_wait(3); /* In the same line. */
        rig_run(&rig, late * RIG_PERIOD_PS);
        EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_ITE);
        const bool over    = status() == 3 || reg(VTD_IQH) >> VTD_IQ_ENTRY_LG2 == 3;
        const bool at_hand = rig.iommu.invq.late && rig.iommu.invq.next == 1;
        const struct vtd_descriptor d = vtd_inv_wait(rig.status, 5);
        memory_write(&rig.memory, rig.queue + 2 * sizeof d, &d, sizeof d);
        set_reg(VTD_FSTS, VTD_FSTS_ITE);
        run_for(1000);
        EXPECT_EQUAL(reg(VTD_FSTS), 0);
        EXPECT_EQUAL(reg(VTD_IQH) >> VTD_IQ_ENTRY_LG2, 3);
        EXPECT_EQUAL(rig.iommu.stats.command, 3);
        EXPECT_EQUAL(status(), over || at_hand ? 0 : 5);
        begun += over || at_hand;
        rig_stop(&rig);
    }
    EXPECT(begun > 10);
    EXPECT(begun < 190);
}

TEST_CASE(vtd_queue, a_wait_that_stands_for_a_drain_is_given_up_with_the_late_device)
{
    static sim_time_t due;
    const struct iommu_response *answer;
    sim_time_t next;
    start();
    due                = TIME_NEVER;
    const unsigned dma = iommu_attach(&rig.iommu, &due, 16, true);
    rig_map(&rig, rig_attach(&rig, DEVICE, DOMAIN, 4), 4, 0x5000, 0x9000, 12, PT_READ);
    *iommu_request(&rig.iommu) =
        (struct iommu_request){ .iova = 0x5000, .requester = DEVICE, .access = PT_READ };
    iommu_submit(&rig.iommu, dma, rig.now);
    run_for(2000);
    EXPECT((answer = iommu_take(&rig.iommu, dma, rig.now, &next)) != NULL);
    const uint32_t epoch = answer->epoch;
    rig_queue(&rig, vtd_inv_devtlb(OTHER, 0, 0x5000, 0));
    rig_queue(&rig, vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x5000, 0, true));
    queue_wait(3);
    run_for(1000);
    EXPECT_EQUAL(rig.iommu.invq.state, INVQ_DRAINING);
    run_for(TIMEOUT_US * 1000);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_ITE);
    set_reg(VTD_FSTS, VTD_FSTS_ITE); /* Before the drain is over, too. */
    queue_wait(4);
    run_for(1000);
    EXPECT_EQUAL(status(), 0); /* This one waits for the DMA. */
    iommu_retire(&rig.iommu, epoch, rig.now);
    for (unsigned i = 0; i < 1000; i++) {
        EXPECT(status() != 3);
        run_for(1);
    }
    EXPECT_EQUAL(status(), 4);
    rig_stop(&rig);
}

TEST_CASE(vtd_queue, an_answer_that_was_not_asked_for_is_ice)
{
    start();
    iommu_invalidated(&rig.iommu, DEVICE, 1, 1, rig.now);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_ICE);
    EXPECT_EQUAL(bits_get(reg(VTD_IQERCD), 63, 48), DEVICE);
    set_reg(VTD_FSTS, VTD_FSTS_ICE);
    rig_queue(&rig, vtd_inv_devtlb(DEVICE, 0, 0, 0));
    rig_ring(&rig);
    run_for(1000);
    iommu_invalidated(&rig.iommu, OTHER, UINT32_C(1) << sent[0].itag, 1, rig.now);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_ICE); /* Another device's. */
    EXPECT_EQUAL(rig.iommu.invq.sent_count, 1);
    rig_stop(&rig);
}

TEST_CASE(vtd_queue, errors_say_what_is_wrong)
{
    start();
    rig_queue(&rig, vtd_inv_pasid_cache(DOMAIN, 0)); /* Not in legacy mode. */
    queue_wait(3);
    run_for(1000);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQERCD), VTD_IQEI_TYPE);
    EXPECT_EQUAL(status(), 0);
    rig_stop(&rig);

    start();
    set_reg(VTD_IQT, 8);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQERCD), VTD_IQEI_TAIL);
    rig_stop(&rig);
}

TEST_CASE(vtd_queue, caching_mode_caches_what_is_absent_until_it_is_told)
{
    struct iommu_response r;
    rig_defaults(&rig);
    rig.vtd.caching_mode = true;
    rig_start(&rig);
    rig_translate(&rig, DEVICE, 0x5000, PT_READ, &r);
    EXPECT_EQUAL(r.cause, VTD_FAULT_ROOT_ABSENT);
    const uint64_t root = rig_attach(&rig, DEVICE, DOMAIN, 4);
    rig_translate(&rig, DEVICE, 0x5000, PT_READ, &r);
    EXPECT_EQUAL(r.cause, VTD_FAULT_ROOT_ABSENT);
    rig_queue(&rig, vtd_inv_context(VTD_DOMAIN, 0, 0)); /* Cached under domain 0. */
    rig_wait(&rig);
    rig_translate(&rig, DEVICE, 0x5000, PT_READ, &r);
    EXPECT_EQUAL(r.cause, VTD_FAULT_READ_NOT_ALLOWED);
    rig_map(&rig, root, 4, 0x5000, 0x9000, 12, PT_READ);
    rig_translate(&rig, DEVICE, 0x5000, PT_READ, &r);
    EXPECT_EQUAL(r.outcome, XLATE_faulted);
    EXPECT(r.iotlb_hit);
    rig_queue(&rig, vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x5000, 0, true));
    rig_wait(&rig);
    rig_translate(&rig, DEVICE, 0x5000, PT_READ, &r);
    EXPECT_EQUAL(r.outcome, XLATE_walked);
    EXPECT_EQUAL(r.pa, 0x9000);
    rig_stop(&rig);
}

/* ---- Switched off and on --------------------------------------------------------------
 */

static void set_gcmd(bool queue)
{
    set_reg(VTD_GCMD, VTD_G_TE | (queue ? VTD_G_QI : 0));
}

static void queue_status(unsigned i, uint32_t data)
{
    rig_queue(&rig, vtd_inv_wait(rig.status + 64 + 4 * (uint64_t)i, data));
}

static uint32_t status_of(unsigned i)
{
    return memory_read32(&rig.memory, rig.status + 64 + 4 * (uint64_t)i);
}

static bool is_on(void)
{
    return reg(VTD_GSTS) & VTD_G_QI;
}

static void restart(bool polls, bool wide)
{
    set_gcmd(false);
    for (unsigned i = 0; polls && is_on(); i++) {
        REQUIRE(i < 1000);
        run_for(1);
    }
    if (polls) {
        EXPECT_EQUAL(reg(VTD_IQH), 0);
    }
    rig.tail     = 0;
    rig.scalable = wide;
    set_reg(VTD_IQT, 0);
    iommu_mmio_ops.write(&rig.iommu, VTD_IQA,
                         vtd_iqa(rig.queue, 1) | (wide ? VTD_IQA_DW : 0), 8, rig.now);
    set_gcmd(true);
}

static void check_restart(unsigned after, bool polls, bool wide)
{
    for (unsigned i = 0; i < 6; i++)
        queue_status(i, 7);
    rig_ring(&rig);
    run_for(after);
    restart(polls, wide);
    EXPECT_EQUAL(reg(VTD_IQH), 0);
    for (unsigned i = 8; i < 11; i++)
        queue_status(i, 8);
    rig_ring(&rig);
    run_for(1000);
    for (unsigned i = 8; i < 11; i++)
        EXPECT_EQUAL(status_of(i), 8);
    EXPECT_EQUAL(reg(VTD_IQH), 3 * (uint64_t)VTD_IQ_ENTRY_BYTES << wide);
    EXPECT_EQUAL(reg(VTD_FSTS), 0);
    EXPECT(is_on());
    for (unsigned i = 1; i < 6; i++) /* In order, without a gap. */
        EXPECT(status_of(i) == 0 || status_of(i - 1) == 7);
}

TEST_CASE(vtd_queue, one_switched_on_again_carries_out_all_of_its_descriptors)
{
    for (unsigned how = 0; how < 8; how++)
        for (unsigned after = 0; after < 250; after++) {
            rig_defaults(&rig);
            rig.vtd.scalable              = how & 2;
            rig.settings.invq.write_waits = how & 4;
            rig_start(&rig);
            check_restart(after, how & 1, how & 2);
            rig_stop(&rig);
        }
}

/* A descriptor of the other width at hand: it is what it was when it is tried again. */
TEST_CASE(vtd_queue, a_wait_at_hand_keeps_its_width)
{
    start();
    rig_queue(&rig, vtd_inv_devtlb(DEVICE, 0, 0x5000, 0));
    queue_status(0, 1);
    queue_status(1, 2);
    rig_ring(&rig);
    run_for(500);
    EXPECT_EQUAL(rig.iommu.invq.state, INVQ_DEVICES);
    set_gcmd(false);
    run_for(100);
    EXPECT(is_on()); /* A device has not answered. */
    set_reg(VTD_IQT, 0);
    set_gcmd(true);
    rig.tail = 0;
    queue_status(2, 3);
    rig_ring(&rig);
    run_for(500);
    EXPECT_EQUAL(status_of(2), 0);
    iommu_invalidated(&rig.iommu, DEVICE, UINT32_C(1) << sent[0].itag, 1, rig.now);
    run_for(500);
    EXPECT_EQUAL(status_of(0), 1);
    EXPECT_EQUAL(status_of(1), 0);
    EXPECT_EQUAL(status_of(2), 3);
    EXPECT_EQUAL(reg(VTD_IQH), VTD_IQ_ENTRY_BYTES);
    rig_stop(&rig);
}

static void answer_at_random(struct rng *r)
{
    const unsigned tag = rng_below(r, ATS_ITAGS);
    iommu_invalidated(&rig.iommu, DEVICE, UINT32_C(1) << tag, 1, rig.now);
}

static void write_at_random(struct rng *r)
{
    static const struct vtd_descriptor bad = { 0, 0 };
    switch (rng_below(r, 9)) {
    case 0:
        set_gcmd(false);
        return;
    case 1:
        set_gcmd(true);
        return;
    case 2:
        set_reg(VTD_IQT, rng_below(r, 300) << VTD_IQ_ENTRY_LG2 | (rng_below(r, 9) == 0));
        return;
    case 3:
        rig_queue(&rig, bad);
        return;
    case 4:
        rig_queue(&rig, vtd_inv_devtlb(rng_below(r, 2) ? DEVICE : OTHER, rng_below(r, 3),
                                       0x5000, 0));
        return;
    case 5:
        set_reg(VTD_FSTS, rng_below(r, 128));
        return;
    case 6:
        answer_at_random(r);
        return;
    case 7:
        rig_queue(&rig, vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false));
        return;
    default:
        queue_status(rng_below(r, 4), 7);
        rig_ring(&rig);
    }
}

/* Whatever software does with the registers, and devices with their answers: what follows
 * is a good queue. */
TEST_CASE(vtd_queue, a_good_one_follows_whatever_was_done_to_those_before)
{
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct rng r = rng_make(seed, "queues");
        rig_defaults(&rig);
        rig.vtd.device_tlb                  = true;
        rig.vtd.scalable                    = seed & 2;
        rig.settings.invq.device_timeout_us = 1;
        rig.settings.invq.fetch_commands    = seed & 1 ? 4 : 1;
        rig_start(&rig);
        iommu_attach_device_tlb(&rig.iommu, rig.client, take, NULL);
        for (unsigned i = 0; i < 80; i++) {
            count = 0;
            write_at_random(&r);
            run_for(rng_below(&r, 60));
        }
        if (seed & 8) /* No device of before is late any more. */
            run_for(3000);
        restart(seed & 4, seed & 2);
        set_reg(VTD_FSTS, UINT32_MAX);
        const uint64_t late = rig.iommu.stats.device_late;
        queue_status(8, 8);
        queue_status(9, 8);
        rig_ring(&rig);
        for (unsigned i = 0; i < 20; i++) {
            run_for(500);
            set_reg(VTD_FSTS, VTD_FSTS_ITE | VTD_FSTS_ICE); /* Of those before. */
        }
        /* A device that was asked before may abort them. */
        const bool aborted = rig.iommu.stats.device_late != late;
        EXPECT(!aborted || !(seed & 8));
        EXPECT(aborted || status_of(8) == 8);
        EXPECT(aborted || status_of(9) == 8);
        EXPECT_EQUAL(reg(VTD_IQH), UINT64_C(2) * VTD_IQ_ENTRY_BYTES << (seed >> 1 & 1));
        EXPECT_EQUAL(reg(VTD_FSTS), 0);
        rig_stop(&rig);
    }
}

/* ---- Errors of the queue itself -------------------------------------------------------
 */

/* Nothing is fetched from the error on, wherever the queue is; all is when it is cleared.
 */
TEST_CASE(vtd_queue, a_wrong_tail_stops_the_queue_in_the_middle_of_its_work)
{
    for (unsigned after = 0; after < 300; after++) {
        start();
        for (unsigned i = 0; i < 12; i++)
            queue_status(i, 7);
        rig_ring(&rig);
        run_for(after);
        set_reg(VTD_IQT, 8);
        EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
        const bool reading   = rig.iommu.invq.state == INVQ_FETCHING;
        const uint64_t reads = rig.iommu.memport.stats.read_command;
        run_for(2000);
        EXPECT(rig.iommu.memport.stats.read_command <= reads + reading);
        EXPECT_EQUAL(rig.iommu.invq.state, INVQ_IDLE);
        set_reg(VTD_FSTS, VTD_FSTS_IQE);
        run_for(2000);
        EXPECT_EQUAL(reg(VTD_IQH) >> VTD_IQ_ENTRY_LG2, 12);
        EXPECT_EQUAL(status_of(11), 7);
        rig_stop(&rig);
    }
}

static void ask(void *self, unsigned place, uint64_t pa, uint32_t words, sim_time_t now)
{
    (void)pa;
    (void)words;
    (void)now;
    *(unsigned *)self = place;
}

TEST_CASE(vtd_queue, a_queue_that_memory_does_not_have_says_so)
{
    static unsigned asked;
    static sim_time_t due;
    const struct memport_remote remote = { .read = ask, .self = &asked };
    rig_defaults(&rig);
    rig.settings.remote = &remote;
    asked               = MEMPORT_PLACES;
    due                 = TIME_NEVER;
    iommu_init(&rig.iommu, &rig.settings, NULL, &due, NULL, NULL, 1);
    set_reg(VTD_IQT, 1 << VTD_IQ_ENTRY_LG2);
    set_reg(VTD_GCMD, VTD_G_QI);
    while (asked == MEMPORT_PLACES) {
        rig.now = due;
        iommu_step(&rig.iommu, rig.now);
    }
    EXPECT_EQUAL(asked, MEMPORT_INVQ);
    iommu_arrived(&rig.iommu, asked, NULL, rig.now);
    iommu_step(&rig.iommu, rig.now);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQERCD), VTD_IQEI_FETCH);
    EXPECT_EQUAL(reg(VTD_IQH), 0);
    rig_stop(&rig);
}

/* What the address has beyond the width of memory's is not there. */
TEST_CASE(vtd_queue, the_queue_is_in_memory)
{
    rig_defaults(&rig);
    rig.vtd.address_lg2 = 46;
    rig_start(&rig);
    set_gcmd(false);
    iommu_mmio_ops.write(&rig.iommu, VTD_IQA, vtd_iqa(rig.queue, 0) | UINT64_C(1) << 47, 8,
                         rig.now);
    set_gcmd(true);
    queue_wait(3);
    run_for(1000);
    EXPECT_EQUAL(status(), 3);
    rig_stop(&rig);
}

/* The write is lost, as one that nobody claims; the wait is done. */
TEST_CASE(vtd_queue, a_status_that_memory_does_not_have_is_written_nowhere)
{
    start();
    rig_queue(&rig, vtd_inv_wait(UINT64_MAX & ~UINT64_C(3), 5));
    queue_wait(3);
    run_for(1000);
    EXPECT_EQUAL(status(), 3);
    EXPECT_EQUAL(reg(VTD_IQH) >> VTD_IQ_ENTRY_LG2, 2);
    rig_stop(&rig);
}

/* While the queue is off its size is not known: the tail is looked at when it is on. */
TEST_CASE(vtd_queue, the_tail_belongs_to_the_queue_that_is_to_come)
{
    start();
    set_gcmd(false);
    iommu_mmio_ops.write(&rig.iommu, VTD_IQA, vtd_iqa(rig.queue, 1), 8, rig.now);
    set_reg(VTD_IQT, 300 << VTD_IQ_ENTRY_LG2);
    EXPECT_EQUAL(reg(VTD_FSTS), 0);
    EXPECT_EQUAL(reg(VTD_IQT) >> VTD_IQ_ENTRY_LG2, 300);
    rig_stop(&rig);
    start();
    set_gcmd(false);
    set_reg(VTD_IQT, 300 << VTD_IQ_ENTRY_LG2);
    set_gcmd(true);
    run_for(1000);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQERCD), VTD_IQEI_TAIL);
    EXPECT_EQUAL(rig.iommu.stats.command, 0);
    rig_stop(&rig);
}

TEST_CASE(vtd_queue, a_width_that_does_not_go_with_the_tables_is_an_error)
{
    start(); /* Not of scalable mode. */
    set_gcmd(false);
    iommu_mmio_ops.write(&rig.iommu, VTD_IQA, vtd_iqa(rig.queue, 1) | VTD_IQA_DW, 8,
                         rig.now);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQERCD), VTD_IQEI_WIDTH);
    rig_stop(&rig);
    rig_defaults(&rig);
    rig.vtd.scalable = true;
    rig_start(&rig);
    set_gcmd(false);
    iommu_mmio_ops.write(&rig.iommu, VTD_IQA, vtd_iqa(rig.queue, 0), 8, rig.now);
    set_gcmd(true);
    rig.scalable = false;
    queue_wait(3);
    run_for(1000);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQERCD), VTD_IQEI_WIDTH);
    EXPECT_EQUAL(status(), 0);
    rig_stop(&rig);
}

TEST_CASE(vtd_queue, a_tail_inside_a_descriptor_is_an_error)
{
    rig_defaults(&rig);
    rig.vtd.scalable = true;
    rig_start(&rig);
    set_reg(VTD_IQT, 1 << VTD_IQ_ENTRY_LG2);
    EXPECT_EQUAL(reg(VTD_FSTS), VTD_FSTS_IQE);
    EXPECT_EQUAL(reg(VTD_IQERCD), VTD_IQEI_ALIGNMENT);
    EXPECT_EQUAL(reg(VTD_IQT), 0);
    rig_stop(&rig);
}

/* Every bit of every descriptor: those that no field has are refused, the others not for
 * being set. By the layouts of 6.5.2, field by field. */
struct layout {
    struct vtd_descriptor plain;
    struct {
        unsigned last, first;
    } field[8]; /* Bits of both quadwords. */
};

static bool has_field(const struct layout *l, unsigned bit)
{
    for (unsigned i = 0; i < 8; i++)
        if (l->field[i].last != 0 && bit >= l->field[i].first && bit <= l->field[i].last)
            return true;
    return false;
}

static uint64_t error_of(struct vtd_descriptor d)
{
    rig_defaults(&rig);
    rig.vtd.scalable   = true;
    rig.vtd.device_tlb = true;
    rig_start(&rig);
    rig_queue(&rig, d);
    rig_ring(&rig);
    run_for(200);
    const uint64_t is = reg(VTD_FSTS) & VTD_FSTS_IQE ? reg(VTD_IQERCD) & 0xf : 0;
    rig_stop(&rig);
    return is;
}

TEST_CASE(vtd_queue, reserved_bits_of_descriptors_are_refused)
{
    const struct layout of[] = {
        { vtd_inv_context(VTD_GLOBAL, 0, 0), { { 5, 0 }, { 31, 16 }, { 49, 32 } } },
        { vtd_inv_iotlb(VTD_DOMAIN, 0, 0, 0, false),
          { { 7, 0 }, { 31, 16 }, { 70, 64 }, { 127, 76 } } },
        { { VTD_INV_DEVTLB, 0 },
          { { 3, 0 }, { 20, 12 }, { 47, 32 }, { 63, 52 }, { 64, 64 }, { 127, 76 } } },
        { { VTD_INV_IEC, 0 }, { { 4, 0 }, { 31, 27 }, { 47, 32 } } },
        { { VTD_INV_WAIT, 0 }, { { 6, 0 }, { 63, 32 }, { 127, 66 } } },
        { vtd_inv_pasid_iotlb(VTD_DOMAIN, 0, 0, 0, 0, false),
          { { 5, 0 }, { 31, 16 }, { 51, 32 }, { 70, 64 }, { 127, 76 } } },
        { vtd_inv_pasid_cache(0, 0), { { 5, 0 }, { 31, 16 }, { 51, 32 } } },
        { { VTD_INV_PASID_DEVTLB, 0 },
          { { 8, 0 }, { 63, 12 }, { 64, 64 }, { 75, 75 }, { 127, 76 } } },
    };
    for (unsigned i = 0; i < sizeof of / sizeof of[0]; i++)
        for (unsigned bit = 4; bit < 128; bit++) {
            struct vtd_descriptor d = of[i].plain;
            *(bit < 64 ? &d.low : &d.high) ^= UINT64_C(1) << bit % 64;
            if (bit == 4 || bit == 5) /* The granularity, which may make it another one. */
                continue;
            EXPECT_EQUAL(error_of(d), bit >= 9 && bit <= 11    ? VTD_IQEI_TYPE
                                      : has_field(&of[i], bit) ? VTD_IQEI_NONE
                                                               : VTD_IQEI_RESERVED);
        }
}

/* ---- The wait's interrupt --------------------------------------------------------------
 */

static struct {
    unsigned count;
    uint32_t status_then;
} message;

static void receive(void *self, uint64_t address, uint32_t data, sim_time_t now)
{
    (void)self;
    (void)address;
    (void)data;
    (void)now;
    message.count++;
    message.status_then = status();
}

/* Who is interrupted finds the status written (6.5.2.8). */
TEST_CASE(vtd_queue, the_interrupt_of_a_wait_comes_behind_its_status)
{
    for (unsigned waits = 0; waits < 2; waits++) {
        rig_defaults(&rig);
        rig.settings.invq.write_waits = waits;
        rig_start(&rig);
        message.count       = 0;
        rig.iommu.interrupt = receive;
        set_reg(VTD_IECTL, 0);
        struct vtd_descriptor d = vtd_inv_wait(rig.status, 9);
        d.low |= VTD_WAIT_IF;
        rig_queue(&rig, d);
        rig_ring(&rig);
        run_for(1000);
        EXPECT_EQUAL(message.count, 1);
        EXPECT_EQUAL(message.status_then, 9);
        EXPECT_EQUAL(reg(VTD_ICS), 1);
        rig_queue(&rig, d); /* IWC stands: no second message. */
        rig_ring(&rig);
        run_for(1000);
        EXPECT_EQUAL(message.count, 1);
        set_reg(VTD_ICS, 1);
        rig_queue(&rig, d);
        rig_ring(&rig);
        run_for(1000);
        EXPECT_EQUAL(message.count, 2);
        rig_stop(&rig);
    }
}
