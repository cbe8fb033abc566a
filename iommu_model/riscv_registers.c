/* SPDX-License-Identifier: Apache-2.0 */
/* riscv_registers - the register file of the RISC-V IOMMU (chapter 5) and its interrupts.
 */
#include "iommu_model/riscv.h"

/* ---- Interrupts (5.18, 5.23, 5.24)
 * --------------------------------------------------------
 */

static unsigned vector_of(const struct riscv *v, enum riscv_interrupt which)
{
    return (unsigned)(v->icvec >> 4 * which & 0xf);
}

/* To where the vector's entry says, once it is not masked. */
static void send(struct iommu *m, unsigned vector, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    if (v->msi[vector].control & 1) {
        v->messages_pending |= UINT32_C(1) << vector;
        return;
    }
    v->messages_pending &= ~(UINT32_C(1) << vector);
    if (m->interrupt != NULL)
        m->interrupt(m->interrupt_self, v->msi[vector].address, v->msi[vector].data,
                     cycle_time(now, m->config.iommu.period_ps));
}

/* A vector's line is high while an interrupt of that vector pends and fctl.WSI is set. */
static uint32_t wires_wanted(const struct riscv *v)
{
    uint32_t wires = 0;
    if (!(v->fctl & RISCV_FCTL_WSI))
        return 0;
    for (unsigned i = RISCV_CIP; i <= RISCV_PIP; i++)
        if (v->ipsr >> i & 1)
            wires |= UINT32_C(1) << vector_of(v, (enum riscv_interrupt)i);
    return wires;
}

static void drive_wires(struct iommu *m, cycle_t now)
{
    struct riscv *v        = riscv_front(m);
    const uint32_t wanted  = wires_wanted(v);
    const uint32_t changed = wanted ^ v->wires_high;
    v->wires_high          = wanted;
    for (unsigned i = 0; i < RISCV_MSI_VECTORS && m->wire != NULL; i++)
        if (changed >> i & 1)
            m->wire(m->interrupt_self, i, wanted >> i & 1,
                    cycle_time(now, m->config.iommu.period_ps));
}

void riscv_interrupt(struct iommu *m, enum riscv_interrupt which, cycle_t now)
{
    struct riscv *v    = riscv_front(m);
    const uint32_t bit = UINT32_C(1) << which;
    if (v->ipsr & bit)
        return;
    v->ipsr |= bit;
    if (v->fctl & RISCV_FCTL_WSI)
        drive_wires(m, now);
    else
        send(m, vector_of(v, which), now);
}

/* Bits of cqcsr that stop the queue, and all that interrupt. */
#define CQ_ERRORS (RISCV_QUEUE_MF | RISCV_CQ_CMD_TO | RISCV_CQ_CMD_ILL)
#define CQ_CAUSES (CQ_ERRORS | RISCV_CQ_FENCE_WIP)

/* What lasts of the queues' causes pends. */
static void raise_causes(struct iommu *m, cycle_t now)
{
    const struct riscv *v = riscv_front(m);
    if ((v->cqcsr & RISCV_QUEUE_IE) && (v->cqcsr & CQ_CAUSES))
        riscv_interrupt(m, RISCV_CIP, now);
    if ((v->fqcsr & RISCV_QUEUE_IE) && (v->fqcsr & (RISCV_QUEUE_MF | RISCV_FQ_OF)))
        riscv_interrupt(m, RISCV_FIP, now);
}

/* A cleared bit comes back at once while its cause lasts. */
static void write_ipsr(struct iommu *m, uint32_t value, cycle_t now)
{
    riscv_front(m)->ipsr &= ~value;
    raise_causes(m, now);
    drive_wires(m, now); /* One whose cause lasts has not moved. */
}

/* ---- The queues (5.6 to 5.16)
 * -------------------------------------------------------------
 */

/* Where a queue is: at a multiple of its size. */
static uint64_t queue_start(uint64_t qb, uint32_t entries, unsigned record_bytes)
{
    return RISCV_PPN_53_10(qb) & ~((uint64_t)entries * record_bytes - 1);
}

static uint32_t queue_entries(uint64_t qb)
{
    return UINT32_C(1) << riscv_queue_lg2(qb);
}

/* cqon and busy, fqon and busy. */
static uint32_t activity(bool enabled, bool busy)
{
    return (enabled || busy ? RISCV_QUEUE_ON : 0)
           | (!enabled && busy ? RISCV_QUEUE_BUSY : 0);
}

static void enable_commands(struct iommu *m, bool on)
{
    struct riscv *v        = riscv_front(m);
    struct invq *q         = &m->invq;
    const uint32_t entries = queue_entries(v->cqb);
    if (on == q->enabled)
        return;
    if (!on) {
        invq_stop(m);
        return;
    }
    invq_start(m, queue_start(v->cqb, entries, RISCV_COMMAND_BYTES), entries,
               RISCV_COMMAND_BYTES);
    for (uint32_t i = 0; i < write_ring_count(&q->writes); i++)
        write_ring_at(&q->writes, i)->interrupts = false; /* Fences of the one before. */
    q->halted = false;
    q->tail &= entries - 1;
    v->cqcsr = 0;
}

static void write_cqcsr(struct iommu *m, uint32_t value, cycle_t now)
{
    struct riscv *v        = riscv_front(m);
    const uint32_t cleared = value & CQ_CAUSES;
    enable_commands(m, value & RISCV_QUEUE_ENABLE);
    v->cqcsr &= ~(cleared | RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE);
    v->cqcsr |= value & (RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE);
    m->invq.halted = v->cqcsr & CQ_ERRORS;
    raise_causes(m, now);
    invq_kick(m, now);
}

static void enable_faults(struct iommu *m, bool on)
{
    struct riscv *v        = riscv_front(m);
    struct faultq *q       = &m->faultq;
    const uint32_t entries = queue_entries(v->fqb);
    if (on == q->enabled)
        return;
    if (!on) {
        faultq_stop(m);
        return;
    }
    faultq_start(m, queue_start(v->fqb, entries, RISCV_FAULT_BYTES), entries);
    q->head &= entries - 1;
    v->fqcsr = 0;
}

static void write_fqcsr(struct iommu *m, uint32_t value, cycle_t now)
{
    struct riscv *v        = riscv_front(m);
    const uint32_t cleared = value & (RISCV_QUEUE_MF | RISCV_FQ_OF);
    enable_faults(m, value & RISCV_QUEUE_ENABLE);
    v->fqcsr &= ~(cleared | RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE);
    v->fqcsr |= value & (RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE);
    m->faultq.overflow = v->fqcsr & RISCV_FQ_OF;
    raise_causes(m, now);
}

/* Only as many bits can be written as an index of the queue has: of the one that is on, or
 * that would be. */
static void write_tail(struct iommu *m, uint32_t value, cycle_t now)
{
    struct invq *q         = &m->invq;
    const uint32_t entries = q->enabled ? q->entries : queue_entries(riscv_front(m)->cqb);
    q->tail                = value & (entries - 1);
    invq_kick(m, now);
}

static void write_fault_head(struct iommu *m, uint32_t value)
{
    struct faultq *q       = &m->faultq;
    const uint32_t entries = q->enabled ? q->entries : queue_entries(riscv_front(m)->fqb);
    q->head                = value & (entries - 1);
}

/* ---- The register file
 * --------------------------------------------------------------------
 */

/* A register of 8 bytes as it is after a write of a half or of all of it. */
static uint64_t merged(uint64_t old, uint32_t offset, uint64_t value, unsigned bytes)
{
    if (bytes == 8)
        return value;
    return offset & 4 ? (old & mask_lg2(32)) | value << 32
                      : (old & ~mask_lg2(32)) | (value & mask_lg2(32));
}

static uint64_t part(uint64_t value, uint32_t offset, unsigned bytes)
{
    if (bytes == 8)
        return value;
    return offset & 4 ? value >> 32 : value & mask_lg2(32);
}

static bool is_counter(uint32_t offset)
{
    return offset >= RISCV_IOHPMCYCLES && offset < RISCV_IOHPMEVT + 8 * RISCV_COUNTERS;
}

static bool is_message(uint32_t offset)
{
    return offset >= RISCV_MSI_CFG && offset < RISCV_MSI_CFG + 16 * RISCV_MSI_VECTORS;
}

/* Clearing the mask sends what has waited for it. */
static void write_vector_control(struct iommu *m, uint32_t index, uint32_t value,
                                 cycle_t now)
{
    struct riscv *v       = riscv_front(m);
    v->msi[index].control = value & 1;
    if (!(value & 1) && (v->messages_pending >> index & 1))
        send(m, index, now);
}

static void write_message(struct iommu *m, uint32_t offset, uint64_t value, unsigned bytes,
                          cycle_t now)
{
    struct riscv *v      = riscv_front(m);
    const uint32_t index = (offset - RISCV_MSI_CFG) / 16;
    switch (offset % 16) {
    case 8:
        v->msi[index].data = (uint32_t)value;
        if (bytes == 8)
            write_vector_control(m, index, (uint32_t)(value >> 32), now);
        return;
    case 12:
        write_vector_control(m, index, (uint32_t)value, now);
        return;
    default:
        v->msi[index].address = merged(v->msi[index].address, offset, value, bytes)
                                & (mask_lg2(56) & ~UINT64_C(3));
    }
}

static uint64_t read_message(const struct riscv *v, uint32_t offset, unsigned bytes)
{
    const uint32_t index = (offset - RISCV_MSI_CFG) / 16;
    const uint64_t high  = (uint64_t)v->msi[index].control << 32 | v->msi[index].data;
    return part(offset % 16 < 8 ? v->msi[index].address : high, offset, bytes);
}

/* Page numbers beyond memory and modes that do not exist are not legal: WARL. */
static uint64_t legal_ppn(const struct iommu *m, uint64_t value)
{
    return value & (m->pa_last >> 12 & mask_lg2(44)) << 10;
}

static void write_ddtp(struct iommu *m, uint64_t value)
{
    if (RISCV_DDTP_MODE(value) <= RISCV_DDTP_3LVL)
        riscv_front(m)->ddtp = legal_ppn(m, value) | RISCV_DDTP_MODE(value);
    iommu_tell_invalidated(m, NULL);
}

enum { QUEUE_LG2_MAX = 31 };

static uint64_t legal_queue_base(const struct iommu *m, uint64_t value)
{
    const unsigned lg2 = riscv_queue_lg2(value);
    return legal_ppn(m, value) | ((lg2 < QUEUE_LG2_MAX ? lg2 : QUEUE_LG2_MAX) - 1);
}

/* The registers of 4 bytes. */
static void write_word(struct iommu *m, uint32_t offset, uint32_t value, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    switch (offset) {
    case RISCV_FCTL:
        v->fctl = v->config->wired_interrupts ? value & RISCV_FCTL_WSI : 0;
        drive_wires(m, now);
        return;
    case RISCV_CQT:
        write_tail(m, value, now);
        return;
    case RISCV_FQH:
        write_fault_head(m, value);
        return;
    case RISCV_CQCSR:
        write_cqcsr(m, value, now);
        return;
    case RISCV_FQCSR:
        write_fqcsr(m, value, now);
        return;
    case RISCV_IPSR:
        write_ipsr(m, value, now);
        return;
    default: /* Read-only and reserved ones ignore writes. */
        return;
    }
}

void riscv_write(struct iommu *m, uint32_t offset, uint64_t value, unsigned bytes,
                 sim_time_t time)
{
    struct riscv *v   = riscv_front(m);
    const cycle_t now = iommu_cycle(m, time);
    if (is_message(offset)) {
        write_message(m, offset, value, bytes, now);
        return;
    }
    if (is_counter(offset) || offset == RISCV_IOCOUNTINH) {
        const uint64_t old = riscv_counter_read(m, offset & ~7u, now);
        riscv_counter_write(
            m, offset == RISCV_IOCOUNTINH ? offset : offset & ~7u,
            offset == RISCV_IOCOUNTINH ? value : merged(old, offset, value, bytes), now);
        return;
    }
    switch (offset & ~7u) {
    case RISCV_DDTP:
        write_ddtp(m, merged(v->ddtp, offset, value, bytes));
        return;
    case RISCV_CQB:
        v->cqb = legal_queue_base(m, merged(v->cqb, offset, value, bytes));
        return;
    case RISCV_FQB:
        v->fqb = legal_queue_base(m, merged(v->fqb, offset, value, bytes));
        return;
    case RISCV_ICVEC:
        v->icvec = merged(v->icvec, offset, value, bytes) & 0xffff;
        drive_wires(m, now);
        return;
    default:
        write_word(m, offset, (uint32_t)value, now);
        return;
    }
}

static uint32_t read_word(struct iommu *m, uint32_t offset, cycle_t now)
{
    const struct riscv *v = riscv_front(m);
    switch (offset) {
    case RISCV_FCTL:
        return v->fctl;
    case RISCV_CQH:
        return m->invq.head;
    case RISCV_CQT:
        return m->invq.tail;
    case RISCV_FQH:
        return m->faultq.head;
    case RISCV_FQT:
        return m->faultq.tail;
    case RISCV_CQCSR:
        return v->cqcsr | activity(m->invq.enabled, invq_busy(&m->invq));
    case RISCV_FQCSR:
        return v->fqcsr | activity(m->faultq.enabled, m->faultq.busy);
    case RISCV_IPSR:
        return v->ipsr;
    case RISCV_IOCOUNTOVF:
    case RISCV_IOCOUNTINH:
        return (uint32_t)riscv_counter_read(m, offset, now);
    default:
        return 0;
    }
}

uint64_t riscv_read(struct iommu *m, uint32_t offset, unsigned bytes, sim_time_t time)
{
    const struct riscv *v = riscv_front(m);
    const cycle_t now     = iommu_cycle(m, time);
    if (is_message(offset))
        return read_message(v, offset, bytes);
    if (is_counter(offset))
        return part(riscv_counter_read(m, offset & ~7u, now), offset, bytes);
    switch (offset & ~7u) {
    case RISCV_CAPABILITIES:
        return part(v->capabilities, offset, bytes);
    case RISCV_DDTP:
        return part(v->ddtp, offset, bytes);
    case RISCV_CQB:
        return part(v->cqb, offset, bytes);
    case RISCV_FQB:
        return part(v->fqb, offset, bytes);
    case RISCV_ICVEC:
        return part(v->icvec, offset, bytes);
    default:
        return read_word(m, offset, now);
    }
}
