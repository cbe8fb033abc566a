/* SPDX-License-Identifier: Apache-2.0 */
/* riscv_counters - the RISC-V IOMMU's performance monitor (5.19 to 5.22). */
#include "iommu_model/riscv.h"

#define INHIBIT_CYCLES UINT32_C(1)

/* ---- Events
 * -------------------------------------------------------------------------------
 */

/* A number compared as iohpmevt says; with DMASK only above its lowest clear bit. */
static bool same(uint64_t wanted, uint64_t is, bool masked)
{
    const uint64_t ignored = masked ? wanted ^ (wanted + 1) : 0;
    return ((wanted ^ is) & ~ignored) == 0;
}

static bool selected(uint64_t event, const struct iommu_request *q,
                     const struct xlate_context *c)
{
    const bool by_space = event & RISCV_EVT_IDT;
    if (by_space && c == NULL)
        return !(event & (RISCV_EVT_PV_PSCV | RISCV_EVT_DV_GSCV));
    const uint64_t device  = by_space ? space_domain(c->space) : q->requester;
    const uint64_t process = by_space ? (c->space & SPACE_PROCESS_MASK) >> 20 : q->pasid;
    if ((event & RISCV_EVT_DV_GSCV)
        && !same(RISCV_EVT_DID(event), device, event & RISCV_EVT_DMASK))
        return false;
    return !(event & RISCV_EVT_PV_PSCV)
           || ((by_space || q->has_pasid) && process == RISCV_EVT_PID(event));
}

static void count(struct iommu *m, unsigned index)
{
    struct riscv *v         = riscv_front(m);
    struct riscv_counter *n = &v->counter[index];
    if (++n->count != 0 || (n->event & RISCV_EVT_OF))
        return;
    n->event |= RISCV_EVT_OF;
    riscv_interrupt(m, RISCV_PMIP, m->asked_cycle);
}

void riscv_event(struct iommu *m, enum arch_event what, const struct iommu_request *q,
                 const struct xlate_context *c)
{
    static const uint8_t id[] = {
        [EVENT_REQUEST]      = RISCV_EVENT_UNTRANSLATED,
        [EVENT_IOTLB_MISS]   = RISCV_EVENT_IOTLB_MISS,
        [EVENT_DEVICE_WALK]  = RISCV_EVENT_DDT_WALK,
        [EVENT_PROCESS_WALK] = RISCV_EVENT_PDT_WALK,
        [EVENT_STAGE1_WALK]  = RISCV_EVENT_S_WALK,
        [EVENT_STAGE2_WALK]  = RISCV_EVENT_G_WALK,
    };
    const struct riscv *v = riscv_front(m);
    for (unsigned i = 0; i < v->config->hpm_counters; i++)
        if (RISCV_EVT_ID(v->counter[i].event) == id[what] && !(v->iocountinh >> (i + 1) & 1)
            && selected(v->counter[i].event, q, c))
            count(m, i);
}

/* ---- Registers
 * ----------------------------------------------------------------------------
 */

/* Brings the cycle counter up to date; 63 bits, and whether it has passed its end. */
static void settle_cycles(struct riscv *v, cycle_t now)
{
    if (!(v->iocountinh & INHIBIT_CYCLES)) {
        v->cycles_at += now - v->cycles_since;
        v->cycles_overflowed |= v->cycles_at >> 63;
        v->cycles_at &= mask_lg2(63);
    }
    v->cycles_since = now;
}

static uint32_t overflows(const struct riscv *v)
{
    uint32_t bits = v->cycles_overflowed;
    for (unsigned i = 0; i < v->config->hpm_counters; i++)
        bits |= v->counter[i].event & RISCV_EVT_OF ? UINT32_C(2) << i : 0;
    return bits;
}

static uint32_t index_of(const struct riscv *v, uint32_t offset, uint32_t first)
{
    const uint32_t index = (offset - first) / 8;
    return index < v->config->hpm_counters ? index : RISCV_COUNTERS;
}

uint64_t riscv_counter_read(struct iommu *m, uint32_t offset, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    if (v->config->hpm_counters == 0)
        return 0;
    settle_cycles(v, now);
    if (offset == RISCV_IOCOUNTOVF)
        return overflows(v);
    if (offset == RISCV_IOCOUNTINH)
        return v->iocountinh;
    if (offset == RISCV_IOHPMCYCLES)
        return v->cycles_at | (uint64_t)v->cycles_overflowed << 63;
    const bool events    = offset >= RISCV_IOHPMEVT;
    const uint32_t index = index_of(v, offset, events ? RISCV_IOHPMEVT : RISCV_IOHPMCTR);
    if (index == RISCV_COUNTERS)
        return 0;
    return events ? v->counter[index].event : v->counter[index].count;
}

static void find_out_what_counts(struct iommu *m)
{
    const struct riscv *v = riscv_front(m);
    m->counts_events      = false;
    for (unsigned i = 0; i < v->config->hpm_counters; i++)
        m->counts_events |= RISCV_EVT_ID(v->counter[i].event) != 0;
}

void riscv_counter_write(struct iommu *m, uint32_t offset, uint64_t value, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    if (v->config->hpm_counters == 0)
        return;
    settle_cycles(v, now);
    if (offset == RISCV_IOCOUNTINH) {
        v->iocountinh = (uint32_t)(value & mask_lg2(v->config->hpm_counters + 1));
        return;
    }
    if (offset == RISCV_IOHPMCYCLES) {
        v->cycles_at         = value & mask_lg2(63);
        v->cycles_overflowed = value >> 63;
        return;
    }
    const bool events    = offset >= RISCV_IOHPMEVT;
    const uint32_t index = index_of(v, offset, events ? RISCV_IOHPMEVT : RISCV_IOHPMCTR);
    if (index == RISCV_COUNTERS)
        return;
    if (!events)
        v->counter[index].count = value;
    else if (RISCV_EVT_ID(value) < RISCV_EVENTS) /* Others are not legal: WARL. */
        v->counter[index].event = value;
    find_out_what_counts(m);
}
