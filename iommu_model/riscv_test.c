/* SPDX-License-Identifier: Apache-2.0 */
/* The RISC-V IOMMU's registers, interrupts, fault queue and counters (chapter 5). */
#include "iommu_model/riscv_spec.h"
#include "sim/test/riscv_rig.h"
#include "sim/test/shim.h"

#include <string.h>

static struct riscv_rig rig;

static struct {
    unsigned count;
    uint64_t address;
    uint32_t data;
} message;

static void receive(void *self, uint64_t address, uint32_t data, sim_time_t now)
{
    (void)self;
    (void)now;
    message.count++;
    message.address = address;
    message.data    = data;
}

static void begin(void)
{
    riscv_rig_open(&rig);
    riscv_rig_start(&rig);
    rig.iommu.interrupt = receive;
    message.count       = 0;
}

static void end(void)
{
    riscv_rig_stop(&rig);
    riscv_rig_close(&rig);
}

static uint64_t reg(uint32_t offset)
{
    const bool word = offset == RISCV_FCTL || (offset >= RISCV_CQH && offset < RISCV_FQB)
                      || (offset >= RISCV_FQH && offset < RISCV_PQB)
                      || (offset >= RISCV_CQCSR && offset < RISCV_IOHPMCYCLES);
    return riscv_rig_read(&rig, offset, word ? 4 : 8);
}

static void set(uint32_t offset, uint64_t value, unsigned bytes)
{
    riscv_rig_write(&rig, offset, value, bytes);
}

/* ddtp is Off: every request faults with 256. */
static void fault(uint32_t device)
{
    struct iommu_response r;
    const struct iommu_request q = { .requester = device, .access = PT_READ };
    EXPECT(riscv_rig_translate(&rig, &q, &r));
    EXPECT_EQUAL(r.cause, RISCV_ALL_DISALLOWED);
    riscv_rig_settle(&rig);
}

/* ---- Fields ----------------------------------------------------------------------------
 */

TEST_CASE(riscv_registers, capabilities_cannot_be_written)
{
    begin();
    const uint64_t is = reg(RISCV_CAPABILITIES);
    set(RISCV_CAPABILITIES, ~is, 8);
    EXPECT_EQUAL(reg(RISCV_CAPABILITIES), is);
    EXPECT_EQUAL(riscv_rig_read(&rig, RISCV_CAPABILITIES + 4, 4), is >> 32);
    end();
}

TEST_CASE(riscv_registers, ddtp_keeps_legal_modes_and_no_reserved_bits)
{
    begin();
    set(RISCV_DDTP, UINT64_MAX & ~UINT64_C(0xf), 8);
    EXPECT_EQUAL(reg(RISCV_DDTP) & 0xf, RISCV_DDTP_OFF);
    EXPECT_EQUAL(reg(RISCV_DDTP) & ~(mask_lg2(44) << 10), 0);
    for (unsigned mode = 0; mode < 16; mode++) {
        set(RISCV_DDTP, riscv_ddtp(0x5000, RISCV_DDTP_2LVL), 8);
        set(RISCV_DDTP, mode, 4);
        EXPECT_EQUAL(reg(RISCV_DDTP) & 0xf,
                     mode <= RISCV_DDTP_3LVL ? mode : RISCV_DDTP_2LVL);
    }
    end();
}

TEST_CASE(riscv_registers, halves_of_ddtp_are_written_apart)
{
    begin();
    const uint64_t is = riscv_ddtp(UINT64_C(0x8765432109000), RISCV_DDTP_3LVL);
    set(RISCV_DDTP, is & mask_lg2(32), 4);
    set(RISCV_DDTP + 4, is >> 32, 4);
    EXPECT_EQUAL(reg(RISCV_DDTP), is);
    EXPECT_EQUAL(riscv_rig_read(&rig, RISCV_DDTP, 4), is & mask_lg2(32));
    EXPECT_EQUAL(riscv_rig_read(&rig, RISCV_DDTP + 4, 4), is >> 32);
    end();
}

TEST_CASE(riscv_registers, queue_bases_hold_no_reserved_bits)
{
    riscv_rig_open(&rig);
    riscv_rig_reset(&rig);
    const uint32_t base[] = { RISCV_CQB, RISCV_FQB };
    for (unsigned i = 0; i < 2; i++) {
        set(base[i], UINT64_MAX, 8);
        EXPECT_EQUAL(reg(base[i]) & ~(mask_lg2(44) << 10 | mask_lg2(5)), 0);
        set(base[i], riscv_queue_base(0x7000, 4), 8);
        EXPECT_EQUAL(reg(base[i]), riscv_queue_base(0x7000, 4));
    }
    end();
}

/* The largest size that LOG2SZ can say, at the highest address. */
TEST_CASE(riscv_registers, the_largest_queues_can_be_used)
{
    riscv_rig_open(&rig);
    riscv_rig_reset(&rig);
    set(RISCV_CQB, UINT64_MAX, 8);
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE, 4);
    set(RISCV_FQB, UINT64_MAX, 8);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4);
    fault(1);
    EXPECT_EQUAL(reg(RISCV_FQT), 1);
    set(RISCV_CQT, 1, 4); /* A command of zeros is illegal. */
    riscv_rig_settle(&rig);
    EXPECT(reg(RISCV_CQCSR) & RISCV_CQ_CMD_ILL);
    end();
}

TEST_CASE(riscv_registers, indices_have_the_bits_of_their_queue)
{
    riscv_rig_open(&rig);
    riscv_rig_reset(&rig);
    set(RISCV_FQB, riscv_queue_base(RISCV_RIG_FAULTS, 3), 8);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4);
    set(RISCV_FQH, 0xffff, 4);
    EXPECT_EQUAL(reg(RISCV_FQH), 7);
    set(RISCV_FQT, 5, 4); /* Read-only. */
    EXPECT_EQUAL(reg(RISCV_FQT), 0);
    set(RISCV_CQB, riscv_queue_base(RISCV_RIG_COMMANDS, 2), 8);
    set(RISCV_CQT, 0xfffc, 4);
    EXPECT_EQUAL(reg(RISCV_CQT) & 3, 0);
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE, 4);
    EXPECT_EQUAL(reg(RISCV_CQT), 0);
    set(RISCV_CQH, 3, 4);
    EXPECT_EQUAL(reg(RISCV_CQH), 0);
    end();
}

TEST_CASE(riscv_registers, queues_tell_when_they_are_on)
{
    begin();
    const uint32_t csr[] = { RISCV_CQCSR, RISCV_FQCSR };
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQUAL(reg(csr[i]), RISCV_QUEUE_ENABLE | RISCV_QUEUE_ON);
        set(csr[i], RISCV_QUEUE_IE, 4);
        EXPECT_EQUAL(reg(csr[i]), RISCV_QUEUE_IE);
        set(csr[i], RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE | RISCV_QUEUE_ON, 4);
        EXPECT_EQUAL(reg(csr[i]), RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE | RISCV_QUEUE_ON);
    }
    end();
}

TEST_CASE(riscv_registers, wired_interrupts_are_chosen_where_they_exist)
{
    for (uint32_t wired = 0; wired <= 1; wired++) {
        riscv_rig_open(&rig);
        rig.riscv.wired_interrupts = wired;
        riscv_rig_start(&rig);
        set(RISCV_FCTL, UINT32_MAX, 4);
        EXPECT_EQUAL(reg(RISCV_FCTL), wired ? RISCV_FCTL_WSI : 0);
        end();
    }
}

TEST_CASE(riscv_registers, message_vectors_hold_aligned_addresses)
{
    begin();
    for (uint32_t i = 0; i < 16; i++) {
        const uint32_t at = RISCV_MSI_CFG + 16 * i;
        set(at, UINT64_MAX, 8);
        EXPECT_EQUAL(reg(at), mask_lg2(56) & ~UINT64_C(3));
        set(at, 0x1234, 4);
        EXPECT_EQUAL(reg(at), (mask_lg2(24) << 32) | 0x1234);
        set(at + 8, 0xabcd0000 + i, 4);
        set(at + 12, UINT32_MAX, 4);
        EXPECT_EQUAL(riscv_rig_read(&rig, at + 8, 4), 0xabcd0000 + i);
        EXPECT_EQUAL(riscv_rig_read(&rig, at + 12, 4), 1);
    }
    set(RISCV_ICVEC, UINT64_MAX, 8);
    EXPECT_EQUAL(reg(RISCV_ICVEC), 0xffff);
    end();
}

/* ---- Interrupts ------------------------------------------------------------------------
 */

static void vector(unsigned index, uint64_t address, uint32_t data, uint32_t control)
{
    const uint32_t at = RISCV_MSI_CFG + 16 * index;
    set(at, address, 8);
    set(at + 8, data, 4);
    set(at + 12, control, 4);
}

TEST_CASE(riscv_interrupts, a_fault_sends_the_message_of_its_vector_once)
{
    begin();
    vector(5, 0x28000000, 77, 0);
    set(RISCV_ICVEC, 5 << 4 * RISCV_FIP, 8);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    fault(1);
    EXPECT_EQUAL(message.count, 1);
    EXPECT_EQUAL(message.address, 0x28000000);
    EXPECT_EQUAL(message.data, 77);
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_FIP);
    fault(1); /* Still pending. */
    EXPECT_EQUAL(message.count, 1);
    set(RISCV_IPSR, 1 << RISCV_FIP, 4);
    EXPECT_EQUAL(reg(RISCV_IPSR), 0);
    fault(1);
    EXPECT_EQUAL(message.count, 2);
    end();
}

TEST_CASE(riscv_interrupts, a_masked_vector_sends_when_it_is_unmasked)
{
    begin();
    vector(0, 0x28000000, 1, 1);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    fault(1);
    EXPECT_EQUAL(message.count, 0);
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_FIP);
    set(RISCV_MSI_CFG + 12, 0, 4);
    EXPECT_EQUAL(message.count, 1);
    set(RISCV_MSI_CFG + 12, 1, 4);
    set(RISCV_MSI_CFG + 12, 0, 4);
    EXPECT_EQUAL(message.count, 1);
    end();
}

static struct {
    uint32_t high;
    unsigned moves;
} wires;

static void move(void *self, unsigned vector, bool high, sim_time_t now)
{
    (void)self;
    (void)now;
    EXPECT_EQUAL(wires.high >> vector & 1, !high); /* Only changes are told. */
    wires.high = (wires.high & ~(UINT32_C(1) << vector)) | (uint32_t)high << vector;
    wires.moves++;
}

TEST_CASE(riscv_interrupts, a_wire_is_high_while_its_interrupt_pends)
{
    begin();
    memset(&wires, 0, sizeof wires);
    rig.iommu.wire = move;
    set(RISCV_ICVEC, 3 << 4 * RISCV_FIP, 8);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    fault(1);
    EXPECT_EQUAL(wires.moves, 0); /* A message has gone. */
    EXPECT_EQUAL(message.count, 1);
    set(RISCV_FCTL, RISCV_FCTL_WSI, 4);
    EXPECT_EQUAL(wires.high, 1 << 3);
    fault(1);
    EXPECT_EQUAL(wires.moves, 1);
    set(RISCV_IPSR, 1 << RISCV_CIP, 4); /* Another's. */
    EXPECT_EQUAL(wires.high, 1 << 3);
    set(RISCV_ICVEC, 5 << 4 * RISCV_FIP, 8);
    EXPECT_EQUAL(wires.high, 1 << 5);
    set(RISCV_IPSR, 1 << RISCV_FIP, 4);
    EXPECT_EQUAL(wires.high, 0);
    fault(1);
    EXPECT_EQUAL(wires.high, 1 << 5);
    set(RISCV_FCTL, 0, 4);
    EXPECT_EQUAL(wires.high, 0);
    EXPECT_EQUAL(message.count, 1);
    end();
}

TEST_CASE(riscv_interrupts, a_wire_stays_high_when_its_cause_lasts_and_two_may_share_one)
{
    begin();
    memset(&wires, 0, sizeof wires);
    rig.iommu.wire = move;
    set(RISCV_FCTL, RISCV_FCTL_WSI, 4);
    riscv_rig_queue(&rig, (struct riscv_command){ 0 });
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    fault(1);
    EXPECT_EQUAL(wires.high, 1);
    set(RISCV_IPSR, 1 << RISCV_CIP | 1 << RISCV_FIP, 4); /* The command still stands. */
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_CIP);
    EXPECT_EQUAL(wires.moves, 1);
    fault(1);
    set(RISCV_CQT, 0, 4);
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE | RISCV_CQ_CMD_ILL, 4);
    set(RISCV_IPSR, 1 << RISCV_CIP, 4);
    EXPECT_EQUAL(wires.high, 1); /* The fault's. */
    set(RISCV_IPSR, 1 << RISCV_FIP, 4);
    EXPECT_EQUAL(wires.high, 0);
    EXPECT_EQUAL(wires.moves, 2);
    end();
}

TEST_CASE(riscv_interrupts, a_cause_that_lasts_pends_again)
{
    begin();
    riscv_rig_queue(&rig, (struct riscv_command){ 0 });
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_CIP);
    set(RISCV_IPSR, 1 << RISCV_CIP, 4);
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_CIP);
    EXPECT_EQUAL(message.count, 2);
    set(RISCV_CQT, 0, 4);
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE | RISCV_CQ_CMD_ILL, 4);
    set(RISCV_IPSR, 1 << RISCV_CIP, 4);
    EXPECT_EQUAL(reg(RISCV_IPSR), 0);
    end();
}

TEST_CASE(riscv_interrupts, enabling_them_reports_what_has_happened)
{
    begin();
    riscv_rig_queue(&rig, (struct riscv_command){ 0 });
    riscv_rig_ring(&rig);
    riscv_rig_settle(&rig);
    EXPECT_EQUAL(reg(RISCV_IPSR), 0);
    set(RISCV_CQCSR, RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE, 4);
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_CIP);
    end();
}

/* ---- The fault queue -------------------------------------------------------------------
 */

TEST_CASE(riscv_faults, a_full_queue_overflows_until_software_says_so)
{
    riscv_rig_open(&rig);
    riscv_rig_reset(&rig);
    set(RISCV_FQB, riscv_queue_base(RISCV_RIG_FAULTS, 2), 8);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4);
    for (uint32_t i = 0; i < 3; i++)
        fault(i);
    EXPECT_EQUAL(reg(RISCV_FQT), 3);
    EXPECT(!(reg(RISCV_FQCSR) & RISCV_FQ_OF));
    fault(3);
    EXPECT_EQUAL(reg(RISCV_FQT), 3);
    EXPECT(reg(RISCV_FQCSR) & RISCV_FQ_OF);
    set(RISCV_FQH, 3, 4);
    fault(4);
    EXPECT_EQUAL(reg(RISCV_FQT), 3); /* Lost, too. */
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE | RISCV_FQ_OF, 4);
    fault(5);
    EXPECT_EQUAL(reg(RISCV_FQT), 0);
    EXPECT_EQUAL(memory_read64(&rig.memory, RISCV_RIG_FAULTS + 96) >> 40, 5);
    end();
}

TEST_CASE(riscv_faults, nothing_is_recorded_while_the_queue_is_off)
{
    begin();
    set(RISCV_FQCSR, 0, 4);
    fault(1);
    set(RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4);
    riscv_rig_settle(&rig);
    EXPECT_EQUAL(reg(RISCV_FQT), 0);
    fault(2);
    EXPECT_EQUAL(reg(RISCV_FQT), 1);
    end();
}

/* ---- Counters --------------------------------------------------------------------------
 */

static void count(unsigned counter, uint64_t event)
{
    set(RISCV_IOHPMEVT + 8 * counter, event, 8);
    set(RISCV_IOHPMCTR + 8 * counter, 0, 8);
}

static uint64_t counted(unsigned counter)
{
    return reg(RISCV_IOHPMCTR + 8 * counter);
}

/* A device whose context must be read: one request all the same. */
TEST_CASE(riscv_counters, a_request_counts_once)
{
    struct iommu_response r;
    const struct iommu_request q = { .requester = 3, .access = PT_READ };
    begin();
    count(0, RISCV_EVENT_UNTRANSLATED);
    count(1, RISCV_EVENT_DDT_WALK);
    memory_write64(&rig.memory, 0x5000 + 3 * RISCV_DC_EXTENDED_BYTES, RISCV_VALID);
    set(RISCV_DDTP, riscv_ddtp(0x5000, RISCV_DDTP_1LVL), 8);
    EXPECT(riscv_rig_translate(&rig, &q, &r));
    EXPECT_EQUAL(r.outcome, XLATE_bypassed);
    EXPECT_EQUAL(counted(0), 1);
    EXPECT_EQUAL(counted(1), 1);
    EXPECT(riscv_rig_translate(&rig, &q, &r));
    EXPECT_EQUAL(counted(0), 2);
    EXPECT_EQUAL(counted(1), 1);
    end();
}

TEST_CASE(riscv_counters, filters_compare_devices_under_their_mask)
{
    begin();
    const uint64_t only = RISCV_EVENT_UNTRANSLATED | RISCV_EVT_DV_GSCV;
    count(0, only | bits_put(UINT64_C(0x14), 59, 36));
    count(1, only | bits_put(UINT64_C(0x13), 59, 36) | RISCV_EVT_DMASK); /* 0x10 to 0x17 */
    for (uint32_t device = 0x0e; device < 0x1a; device++)
        fault(device);
    EXPECT_EQUAL(counted(0), 1);
    EXPECT_EQUAL(counted(1), 8);
    end();
}

TEST_CASE(riscv_counters, an_overflow_is_told_once)
{
    begin();
    count(2, RISCV_EVENT_UNTRANSLATED);
    set(RISCV_IOHPMCTR + 16, UINT64_MAX, 8);
    fault(1);
    EXPECT_EQUAL(counted(2), 0);
    EXPECT_EQUAL(reg(RISCV_IOCOUNTOVF), 1 << 3);
    EXPECT_EQUAL(reg(RISCV_IPSR), 1 << RISCV_PMIP);
    set(RISCV_IPSR, 1 << RISCV_PMIP, 4);
    set(RISCV_IOHPMCTR + 16, UINT64_MAX, 8);
    fault(1);
    EXPECT_EQUAL(reg(RISCV_IPSR), 0); /* OF is still set. */
    end();
}

TEST_CASE(riscv_counters, inhibited_ones_stand_still)
{
    begin();
    count(0, RISCV_EVENT_UNTRANSLATED);
    count(1, RISCV_EVENT_UNTRANSLATED);
    set(RISCV_IOCOUNTINH, 1 | 1 << 1, 4);
    const uint64_t cycles = reg(RISCV_IOHPMCYCLES);
    fault(1);
    EXPECT_EQUAL(counted(0), 0);
    EXPECT_EQUAL(counted(1), 1);
    EXPECT_EQUAL(reg(RISCV_IOHPMCYCLES), cycles);
    set(RISCV_IOCOUNTINH, 0, 4);
    const sim_time_t began = rig.now;
    fault(1);
    EXPECT_EQUAL(reg(RISCV_IOHPMCYCLES), cycles + (rig.now - began) / RISCV_RIG_PERIOD_PS);
    end();
}

TEST_CASE(riscv_counters, unknown_events_cannot_be_chosen)
{
    begin();
    count(0, RISCV_EVENT_DDT_WALK);
    set(RISCV_IOHPMEVT, RISCV_EVENTS, 8);
    EXPECT_EQUAL(reg(RISCV_IOHPMEVT), RISCV_EVENT_DDT_WALK);
    EXPECT_EQUAL(riscv_rig_read(&rig, RISCV_IOHPMEVT + 8 * 30, 8), 0);
    end();
}
