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

/* By message to where the vector's entry says; by wire to address 0. */
static void send(struct iommu *m, enum riscv_interrupt which, cycle_t now)
{
    const struct riscv *v = riscv_front(m);
    const unsigned vector = vector_of(v, which);
    const bool wire       = v->fctl & RISCV_FCTL_WSI;
    if (m->interrupt == NULL || (!wire && (v->msi[vector].control & 1)))
        return;
    m->interrupt(m->interrupt_self, wire ? 0 : v->msi[vector].address,
                 wire ? vector : v->msi[vector].data,
                 cycle_time(now, m->config.iommu.period_ps));
}

void riscv_interrupt(struct iommu *m, enum riscv_interrupt which, cycle_t now)
{
    struct riscv *v    = riscv_front(m);
    const uint32_t bit = UINT32_C(1) << which;
    if (v->ipsr & bit)
        return;
    v->ipsr |= bit;
    send(m, which, now);
}

/* A cleared bit comes back at once while its cause lasts. */
static void write_ipsr(struct iommu *m, uint32_t value, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    const uint32_t causes =
        RISCV_QUEUE_MF | RISCV_CQ_CMD_TO | RISCV_CQ_CMD_ILL | RISCV_CQ_FENCE_WIP;
    v->ipsr &= ~value;
    if ((v->cqcsr & RISCV_QUEUE_IE) && (v->cqcsr & causes))
        riscv_interrupt(m, RISCV_CIP, now);
    if ((v->fqcsr & RISCV_QUEUE_IE) && (v->fqcsr & (RISCV_QUEUE_MF | RISCV_FQ_OF)))
        riscv_interrupt(m, RISCV_FIP, now);
}

/* ---- The queues (5.6 to 5.16)
 * -------------------------------------------------------------
 */

static void enable_commands(struct iommu *m, bool on)
{
    struct riscv *v = riscv_front(m);
    struct invq *q  = &m->invq;
    if (on && !q->enabled) {
        q->base    = RISCV_PPN_53_10(v->cqb);
        q->entries = UINT32_C(1) << riscv_queue_lg2(v->cqb);
        q->head    = 0;
        q->halted  = false;
        q->tail &= q->entries - 1;
        v->cqcsr = 0;
    }
    q->enabled = on;
}

static void write_cqcsr(struct iommu *m, uint32_t value, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    const uint32_t cleared =
        value & (RISCV_QUEUE_MF | RISCV_CQ_CMD_TO | RISCV_CQ_CMD_ILL | RISCV_CQ_FENCE_WIP);
    enable_commands(m, value & RISCV_QUEUE_ENABLE);
    v->cqcsr &= ~(cleared | RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE | RISCV_QUEUE_ON);
    v->cqcsr |= value & (RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE);
    v->cqcsr |= m->invq.enabled ? RISCV_QUEUE_ON : 0;
    if (cleared & RISCV_CQ_CMD_ILL)
        m->invq.halted = false;
    invq_kick(m, now);
}

static void enable_faults(struct iommu *m, bool on)
{
    struct riscv *v  = riscv_front(m);
    struct faultq *q = &m->faultq;
    if (on && !q->enabled) {
        q->base     = RISCV_PPN_53_10(v->fqb);
        q->entries  = UINT32_C(1) << riscv_queue_lg2(v->fqb);
        q->tail     = 0;
        q->overflow = false;
        q->head &= q->entries - 1;
        v->fqcsr = 0;
    }
    q->enabled = on;
}

static void write_fqcsr(struct iommu *m, uint32_t value)
{
    struct riscv *v        = riscv_front(m);
    const uint32_t cleared = value & (RISCV_QUEUE_MF | RISCV_FQ_OF);
    enable_faults(m, value & RISCV_QUEUE_ENABLE);
    v->fqcsr &= ~(cleared | RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE | RISCV_QUEUE_ON);
    v->fqcsr |= value & (RISCV_QUEUE_ENABLE | RISCV_QUEUE_IE);
    v->fqcsr |= m->faultq.enabled ? RISCV_QUEUE_ON : 0;
    m->faultq.overflow = v->fqcsr & RISCV_FQ_OF;
}

static void write_tail(struct iommu *m, uint32_t value, cycle_t now)
{
    struct invq *q = &m->invq;
    q->tail        = q->entries == 0 ? value : value & (q->entries - 1);
    invq_kick(m, now);
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

static void write_message(struct riscv *v, uint32_t offset, uint64_t value, unsigned bytes)
{
    const uint32_t index = (offset - RISCV_MSI_CFG) / 16;
    switch (offset % 16) {
    case 8:
        v->msi[index].data = (uint32_t)value;
        if (bytes == 8)
            v->msi[index].control = (uint32_t)(value >> 32) & 1;
        return;
    case 12:
        v->msi[index].control = (uint32_t)value & 1;
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

static void write_ddtp(struct riscv *v, uint64_t value)
{
    if (RISCV_DDTP_MODE(value) <= RISCV_DDTP_3LVL) /* Others are not legal: WARL. */
        v->ddtp = value & (mask_lg2(4) | mask_lg2(44) << 10);
}

/* The registers of 4 bytes. */
static void write_word(struct iommu *m, uint32_t offset, uint32_t value, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    switch (offset) {
    case RISCV_FCTL:
        v->fctl = v->config->wired_interrupts ? value & RISCV_FCTL_WSI : 0;
        return;
    case RISCV_CQT:
        write_tail(m, value, now);
        return;
    case RISCV_FQH:
        m->faultq.head = m->faultq.entries == 0 ? value : value & (m->faultq.entries - 1);
        return;
    case RISCV_CQCSR:
        write_cqcsr(m, value, now);
        return;
    case RISCV_FQCSR:
        write_fqcsr(m, value);
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
        write_message(v, offset, value, bytes);
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
        write_ddtp(v, merged(v->ddtp, offset, value, bytes));
        return;
    case RISCV_CQB:
        v->cqb = merged(v->cqb, offset, value, bytes);
        return;
    case RISCV_FQB:
        v->fqb = merged(v->fqb, offset, value, bytes);
        return;
    case RISCV_ICVEC:
        v->icvec = merged(v->icvec, offset, value, bytes) & 0xffff;
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
        return v->cqcsr;
    case RISCV_FQCSR:
        return v->fqcsr;
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
