/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RISC-V IOMMU's queues, switched off and on in every cycle of what they do (5.15,
 * 5.16): nothing of the old queue may reach into the new one, and none says that it is off
 * while it still reads or writes memory.
 */
#include "iommu_model/riscv_spec.h"
#include "sim/test/riscv_rig.h"
#include "sim/test/shim.h"

enum { CYCLES = 150 }; /* What three commands or faults take, and some more. */

static struct riscv_rig rig;

static uint32_t reg(uint32_t offset)
{
    return (uint32_t)riscv_rig_read(&rig, offset, 4);
}

static void set(uint32_t offset, uint64_t value)
{
    riscv_rig_write(&rig, offset, value,
                    offset == RISCV_CQB || offset == RISCV_FQB ? 8 : 4);
}

static void run_for(uint64_t cycles)
{
    riscv_rig_run(&rig, rig.now + cycles * RISCV_RIG_PERIOD_PS);
}

static void end(void)
{
    riscv_rig_stop(&rig);
    riscv_rig_close(&rig);
}

/* ---- The command queue ----------------------------------------------------------------
 */

static void begin(uint32_t fetch_commands, bool early_head, bool write_waits)
{
    riscv_rig_open(&rig);
    rig.settings.invq.fetch_commands = fetch_commands;
    rig.settings.invq.early_head     = early_head;
    rig.settings.invq.write_waits    = write_waits;
    riscv_rig_start(&rig);
}

static void queue_fence(unsigned i, uint32_t data)
{
    riscv_rig_queue(&rig, riscv_iofence(RISCV_FENCE_AV, RISCV_RIG_STATUS + 4 * i, data));
}

static uint32_t status(unsigned i)
{
    return memory_read32(&rig.memory, RISCV_RIG_STATUS + 4 * (uint64_t)i);
}

/* Off, and on again at once or when the queue says that it is off, in another place. */
static void restart_commands(bool polls)
{
    set(RISCV_CQCSR, 0);
    while (polls && (reg(RISCV_CQCSR) & (RISCV_QUEUE_ON | RISCV_QUEUE_BUSY)))
        run_for(1);
    rig.tail = 0;
    set(RISCV_CQT, 0);
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE);
}

/* The next one carries out all of its commands, whatever was done to those before. */
static void expect_new_queue(bool polls)
{
    restart_commands(polls);
    EXPECT_EQUAL(reg(RISCV_CQH), 0);
    for (unsigned i = 4; i < 6; i++)
        queue_fence(i, 8);
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    EXPECT_EQUAL(status(4), 8);
    EXPECT_EQUAL(status(5), 8);
    EXPECT_EQUAL(reg(RISCV_CQH), 2);
    EXPECT_EQUAL(reg(RISCV_CQCSR), RISCV_QUEUE_ENABLE | RISCV_QUEUE_ON);
}

static void check_restart(unsigned after, bool polls)
{
    for (unsigned i = 0; i < 3; i++)
        queue_fence(i, 7);
    riscv_rig_ring(&rig);
    run_for(after);
    expect_new_queue(polls);
}

TEST_CASE(riscv_queues, a_command_queue_switched_on_again_carries_out_all_of_its_commands)
{
    for (unsigned how = 0; how < 16; how++)
        for (unsigned after = 0; after < CYCLES; after++) {
            begin(how & 1 ? 4 : 1, (how & 3) == 2, how & 4);
            check_restart(after, how & 8);
            end();
        }
}

TEST_CASE(riscv_queues, an_illegal_command_of_a_queue_that_is_off_does_not_stop_the_new_one)
{
    for (unsigned after = 0; after < CYCLES; after++) {
        begin(4, false, false);
        riscv_rig_queue(&rig, (struct riscv_command){ 0 });
        riscv_rig_ring(&rig);
        run_for(after);
        restart_commands(false);
        queue_fence(0, 5);
        riscv_rig_ring(&rig);
        riscv_rig_settle(&rig);
        EXPECT_EQUAL(status(0), 5);
        EXPECT_EQUAL(reg(RISCV_CQCSR), RISCV_QUEUE_ENABLE | RISCV_QUEUE_ON);
        end();
    }
}

static struct {
    unsigned reads, late; /* late: arrived when the queue said that it was off. */
    bool off;
} seen;

static void accepted(void *self, unsigned place, uint64_t pa, uint32_t words,
                     cycle_t presented, cycle_t at)
{
    (void)self;
    (void)pa;
    (void)words;
    (void)presented;
    (void)at;
    seen.reads += place == MEMPORT_INVQ;
    seen.late += place == MEMPORT_INVQ && seen.off;
}

static void fetched(void *self, uint32_t index, cycle_t at)
{
    (void)self;
    (void)index;
    (void)at;
}

/* Neither reads, nor commands at hand, nor acknowledgements are awaited once cqon is 0. */
TEST_CASE(riscv_queues, a_command_queue_is_on_and_busy_until_what_it_has_begun_is_done)
{
    const struct iommu_watcher w = { .read_accepted   = accepted,
                                     .command_fetched = fetched };
    unsigned busy                = 0;
    for (unsigned after = 0; after < CYCLES; after++) {
        begin(4, false, true);
        rig.iommu.watcher = &w;
        seen.off          = false;
        seen.late         = 0;
        for (unsigned i = 0; i < 3; i++)
            queue_fence(i, 7);
        riscv_rig_ring(&rig);
        run_for(after);
        set(RISCV_CQCSR, 0);
        const uint32_t both = RISCV_QUEUE_ON | RISCV_QUEUE_BUSY;
        busy += reg(RISCV_CQCSR) == both;
        for (unsigned i = 0; reg(RISCV_CQCSR) != 0; i++) {
            REQUIRE(i < CYCLES);
            EXPECT_EQUAL(reg(RISCV_CQCSR), both);
            run_for(1);
        }
        seen.off              = true;
        const uint64_t before = rig.iommu.stats.command;
        EXPECT_EQUAL(rig.iommu.invq.state, INVQ_IDLE);
        riscv_rig_settle(&rig);
        EXPECT_EQUAL(seen.late, 0);
        EXPECT_EQUAL(rig.iommu.stats.command, before);
        EXPECT_EQUAL(reg(RISCV_CQCSR), 0);
        end();
    }
    EXPECT(busy > 20);
    EXPECT(busy < CYCLES);
}

/* A fence that stands for DMA keeps the queue on; the new one's commands come behind it. */
TEST_CASE(riscv_queues, a_fence_that_stands_for_dma_keeps_its_queue_busy)
{
    static sim_time_t due;
    const struct iommu_response *answer;
    sim_time_t next;
    for (unsigned polls = 0; polls < 2; polls++) {
        begin(4, false, false);
        due                = TIME_NEVER;
        const unsigned dma = iommu_attach(&rig.iommu, &due, 16, true);
        riscv_rig_write(&rig, RISCV_DDTP, riscv_ddtp(0, RISCV_DDTP_BARE), 8);
        *iommu_request(&rig.iommu) = (struct iommu_request){ .access = PT_WRITE };
        iommu_submit(&rig.iommu, dma, rig.now);
        run_for(100);
        REQUIRE((answer = iommu_take(&rig.iommu, dma, rig.now, &next)) != NULL);
        const uint32_t epoch = answer->epoch;
        riscv_rig_queue(
            &rig, riscv_iofence(RISCV_FENCE_PW | RISCV_FENCE_AV, RISCV_RIG_STATUS, 1));
        riscv_rig_ring(&rig);
        run_for(200);
        EXPECT_EQUAL(rig.iommu.invq.state, INVQ_DRAINING);
        set(RISCV_CQCSR, 0);
        EXPECT_EQUAL(reg(RISCV_CQCSR), RISCV_QUEUE_ON | RISCV_QUEUE_BUSY);
        if (polls)
            iommu_retire(&rig.iommu, epoch, rig.now);
        restart_commands(polls);
        queue_fence(1, 2);
        riscv_rig_ring(&rig);
        run_for(200);
        if (!polls) {
            EXPECT_EQUAL(status(1), 0);
            iommu_retire(&rig.iommu, epoch, rig.now);
        }
        riscv_rig_settle(&rig);
        EXPECT_EQUAL(status(0), 1);
        EXPECT_EQUAL(status(1), 2);
        EXPECT_EQUAL(reg(RISCV_CQH), 1);
        end();
    }
}

/* Its data is on the way to memory when the queue is switched off and on. */
TEST_CASE(riscv_queues,
          a_fence_of_a_queue_that_was_switched_off_does_not_interrupt_the_new_one)
{
    unsigned early = 0;
    for (unsigned how = 0; how < 120; how++) {
        const unsigned after = how / 2;
        begin(4, false, false);
        set(RISCV_FCTL, RISCV_FCTL_WSI);
        set(RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE);
        riscv_rig_queue(
            &rig, riscv_iofence(RISCV_FENCE_WSI | RISCV_FENCE_AV, RISCV_RIG_STATUS, 3));
        riscv_rig_ring(&rig);
        run_for(after);
        early += status(0) == 3 && (reg(RISCV_CQCSR) & RISCV_CQ_FENCE_WIP);
        EXPECT_EQUAL((reg(RISCV_CQCSR) & RISCV_CQ_FENCE_WIP) != 0, status(0) == 3);
        set(RISCV_CQCSR, RISCV_QUEUE_IE);
        restart_commands(how & 1);
        riscv_rig_settle(&rig);
        EXPECT_EQUAL(reg(RISCV_CQCSR), RISCV_QUEUE_ENABLE | RISCV_QUEUE_ON);
        end();
    }
    EXPECT(early > 10);
    EXPECT(early < 110);
}

/* Only LOG2SZ bits are writable: those of cqb, wherever the queue was before. */
TEST_CASE(riscv_queues, the_indices_have_the_bits_of_the_queue_that_is_to_come)
{
    begin(4, false, false);
    set(RISCV_CQCSR, 0);
    set(RISCV_CQB, riscv_queue_base(RISCV_RIG_COMMANDS, RISCV_RIG_QUEUE_LG2 + 1));
    set(RISCV_CQT, UINT32_MAX);
    EXPECT_EQUAL(reg(RISCV_CQT), (2 << RISCV_RIG_QUEUE_LG2) - 1);
    set(RISCV_FQCSR, 0);
    set(RISCV_FQB, riscv_queue_base(RISCV_RIG_FAULTS, 2));
    set(RISCV_FQH, UINT32_MAX);
    EXPECT_EQUAL(reg(RISCV_FQH), 3);
    set(RISCV_FQB, riscv_queue_base(RISCV_RIG_FAULTS, RISCV_RIG_QUEUE_LG2 + 1));
    set(RISCV_FQH, UINT32_MAX);
    EXPECT_EQUAL(reg(RISCV_FQH), (2 << RISCV_RIG_QUEUE_LG2) - 1);
    end();
}

/* Whatever software does with the registers, and whenever: the next queue is a good one. */
static void write_at_random(struct rng *r)
{
    static const struct riscv_command bad = { 0, 0 };
    switch (rng_below(r, 9)) {
    case 0:
        set(RISCV_CQCSR, 0);
        return;
    case 1:
    case 2:
        set(RISCV_CQCSR,
            RISCV_QUEUE_ENABLE | rng_below(r, 2) * RISCV_QUEUE_IE | rng_below(r, 16) << 8);
        return;
    case 3:
        set(RISCV_CQT, rng_below(r, 1 << RISCV_RIG_QUEUE_LG2));
        return;
    case 4:
        riscv_rig_queue(&rig, bad);
        return;
    case 5:
        riscv_rig_queue(&rig, riscv_iotinval(RISCV_VMA, 0, 0, 0, 0));
        return;
    case 6:
        set(RISCV_IPSR, rng_below(r, 16));
        return;
    case 7:
        set(RISCV_FQCSR, rng_below(r, 2) * RISCV_QUEUE_ENABLE | rng_below(r, 4) << 8);
        return;
    default:
        queue_fence(rng_below(r, 4), 7);
        riscv_rig_ring(&rig);
    }
}

TEST_CASE(riscv_queues, a_good_queue_follows_whatever_was_done_to_those_before)
{
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct rng r = rng_make(seed, "queues");
        begin(seed & 1 ? 4 : 1, (seed & 3) == 2, seed & 4);
        for (unsigned i = 0; i < 80; i++) {
            write_at_random(&r);
            if (rng_below(&r, 4) == 0) {
                const struct iommu_request q = { .requester = i, .access = PT_READ };
                riscv_rig_submit(&rig, &q);
            }
            run_for(rng_below(&r, 40));
        }
        expect_new_queue(seed & 8);
        end();
    }
}

/* ---- The fault queue -------------------------------------------------------------------
 */

enum { OLD = 0x100, NEW = 0x200, FAULTS = 4 };

/* ddtp is Off: every request faults. */
static void submit_faults(uint32_t device, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct iommu_request q = { .requester = device + i, .access = PT_READ };
        riscv_rig_submit(&rig, &q);
    }
}

static void take_answers(unsigned n)
{
    struct iommu_response r;
    for (unsigned i = 0; i < n; i++)
        EXPECT(riscv_rig_next(&rig, &r));
    riscv_rig_settle(&rig);
}

static void restart_faults(bool polls)
{
    set(RISCV_FQCSR, 0);
    while (polls && (reg(RISCV_FQCSR) & (RISCV_QUEUE_ON | RISCV_QUEUE_BUSY)))
        run_for(1);
    set(RISCV_FQH, 0);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE);
}

TEST_CASE(riscv_queues, a_fault_queue_switched_on_again_holds_no_fault_of_before)
{
    uint64_t record[4];
    unsigned lost = 0;
    for (unsigned how = 0; how < 4; how++)
        for (unsigned after = 0; after < CYCLES; after++) {
            riscv_rig_open(&rig);
            rig.settings.faultq.drops = how & 2;
            riscv_rig_start(&rig);
            submit_faults(OLD, FAULTS);
            run_for(after);
            restart_faults(how & 1);
            EXPECT_EQUAL(reg(RISCV_FQT), 0);
            riscv_rig_settle(&rig);
            const uint32_t written = reg(RISCV_FQT); /* Those that came later. */
            set(RISCV_FQH, written);
            submit_faults(NEW, 1);
            take_answers(FAULTS + 1);
            EXPECT_EQUAL(reg(RISCV_FQT), (written + 1) % (1 << RISCV_RIG_QUEUE_LG2));
            EXPECT(riscv_rig_fault(&rig, record));
            EXPECT_EQUAL(RISCV_FAULT_DID(record[0]), NEW);
            EXPECT_EQUAL(rig.iommu.stats.fault_lost + rig.iommu.stats.fault_recorded,
                         FAULTS + 1);
            lost += rig.iommu.stats.fault_lost > 0;
            end();
        }
    EXPECT(lost > 20);
}

/* A record that is on its way to memory keeps the queue on. */
TEST_CASE(riscv_queues, a_fault_queue_is_on_until_the_record_under_way_is_written)
{
    unsigned busy = 0;
    for (unsigned after = 0; after < CYCLES; after++) {
        riscv_rig_open(&rig);
        riscv_rig_start(&rig);
        submit_faults(OLD, FAULTS);
        run_for(after);
        const uint32_t tail = reg(RISCV_FQT);
        set(RISCV_FQCSR, 0);
        const bool was_busy = reg(RISCV_FQCSR) != 0;
        for (unsigned i = 0; reg(RISCV_FQCSR) != 0; i++) {
            REQUIRE(i < CYCLES);
            EXPECT_EQUAL(reg(RISCV_FQCSR), RISCV_QUEUE_ON | RISCV_QUEUE_BUSY);
            run_for(1);
        }
        EXPECT_EQUAL(reg(RISCV_FQT), tail + was_busy);
        busy += was_busy;
        take_answers(FAULTS);
        EXPECT_EQUAL(reg(RISCV_FQT), tail + was_busy);
        EXPECT_EQUAL(rig.iommu.stats.fault_lost + rig.iommu.stats.fault_recorded, FAULTS);
        end();
    }
    EXPECT(busy > 20);
}

/* What waited when the queue was found full is lost with it, and not written later. */
TEST_CASE(riscv_queues, an_overflow_loses_the_records_that_wait_behind_it)
{
    uint64_t record[4];
    riscv_rig_open(&rig);
    riscv_rig_reset(&rig);
    set(RISCV_FQB, riscv_queue_base(RISCV_RIG_FAULTS, 1));
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE);
    submit_faults(OLD, FAULTS);
    take_answers(FAULTS);
    EXPECT_EQUAL(reg(RISCV_FQT), 1);
    EXPECT(reg(RISCV_FQCSR) & RISCV_FQ_OF);
    EXPECT_EQUAL(rig.iommu.stats.fault_lost, FAULTS - 1);
    EXPECT(riscv_rig_fault(&rig, record));
    EXPECT_EQUAL(RISCV_FAULT_DID(record[0]), OLD);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_FQ_OF);
    riscv_rig_settle(&rig);
    EXPECT_EQUAL(reg(RISCV_FQT), 1);
    submit_faults(NEW, 1);
    take_answers(1);
    EXPECT(riscv_rig_fault(&rig, record));
    EXPECT_EQUAL(RISCV_FAULT_DID(record[0]), NEW);
    end();
}
