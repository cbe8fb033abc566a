/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_vtd - Intel VT-d: registers, legacy-mode tables, faults; scalable mode is in
 * vtd_scalable.c, the descriptors are in vtd_commands.c.
 *
 * Source: Intel VT-d architecture specification; sections are named where they apply.
 *
 * Inaccuracies: register-based invalidation (CCMD, IOTLB registers) is not offered, as the
 * queue is always there; a global command completes after a fixed time, whatever is under
 * way; root entries and PASID directory entries are not cached; page requests are not
 * offered; with vtd.write_buffer, a flush takes its time, but writes are seen without it.
 */
#include "iommu_model/arch_vtd.h"

#include <stdlib.h>

#include "iommu_model/vtd.h"

#define PARAM_OWNER struct vtd_config
static const struct param_def vtd_params[] = { VTD_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table vtd_param_table = { "vtd", "Intel VT-d: what the hardware offers",
                                             vtd_params, sizeof(struct vtd_config), NULL };

/* ---- Capabilities -----------------------------------------------------------------------
 */

static uint64_t capabilities(const struct vtd_config *c)
{
    const uint64_t sagaw = mask_lg2(c->levels_max - 2)
                           << 1; /* 3 levels up to levels_max. */
    const uint64_t width = 12 + 9 * (uint64_t)c->levels_max;
    return VTD_CAP_ND(UINT64_C(6)) | VTD_CAP_SAGAW(sagaw) | VTD_CAP_MGAW(width - 1)
           | VTD_CAP_FRO((uint64_t)VTD_FRCD / 16)
           | VTD_CAP_SLLPS((uint64_t)(c->pages_2m | c->pages_1g << 1))
           | VTD_CAP_NFR((uint64_t)c->fault_records - 1) | VTD_CAP_MAMV((uint64_t)c->mamv)
           | (c->page_selective ? VTD_CAP_PSI : 0) | (c->caching_mode ? VTD_CAP_CM : 0)
           | (c->write_buffer ? VTD_CAP_RWBF : 0) | (c->first_1g ? VTD_CAP_FL1GP : 0)
           | (c->first_levels_max > 4 ? VTD_CAP_FL5LP : 0)
           | (c->drain ? VTD_CAP_DWD | VTD_CAP_DRD : 0);
}

static uint64_t extended_capabilities(const struct vtd_config *c)
{
    const uint64_t ecap = VTD_ECAP_C | VTD_ECAP_QI | VTD_ECAP_PT
                          | VTD_ECAP_IRO(UINT64_C(0x10))
                          | (c->device_tlb ? VTD_ECAP_DT : 0);
    if (!c->scalable)
        return ecap;
    return ecap | VTD_ECAP_SMTS | VTD_ECAP_SLTS | VTD_ECAP_RPS | VTD_ECAP_SRS
           | VTD_ECAP_PASID | VTD_ECAP_PSS((uint64_t)c->pasid_lg2 - 1)
           | (c->first_stage ? VTD_ECAP_FLTS : 0)
           | (c->first_stage && c->nested ? VTD_ECAP_NEST : 0);
}

static void vtd_init(struct iommu *m)
{
    struct vtd *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->config                         = m->config.arch;
    v->cap                            = capabilities(v->config);
    v->ecap                           = extended_capabilities(v->config);
    v->event[VTD_EVENT_FAULT].control = VTD_EVENT_IM; /* Masked after reset. */
    v->event[VTD_EVENT_WAIT].control  = VTD_EVENT_IM;
    m->front                          = v;
    m->pa_last                        = mask_lg2(v->config->address_lg2);
    m->caches_absent                  = v->config->caching_mode;
}

static void vtd_free(struct iommu *m)
{
    free(m->front);
    m->front = NULL;
}

/* ---- Registers --------------------------------------------------------------------------
 */

/* A queue is shown as on until what it has begun is done. */
static uint32_t shown_status(const struct iommu *m)
{
    const struct vtd *v  = vtd_front(m);
    const uint32_t shown = v->now >= v->changed_at ? v->status : v->status ^ v->changing;
    return shown | (invq_busy(&m->invq) ? VTD_G_QI : 0);
}

static void set_status(struct iommu *m, uint32_t status)
{
    struct vtd *v = vtd_front(m);
    v->changing   = shown_status(m) ^ status;
    v->status     = status;
    v->changed_at =
        v->now + (uint64_t)v->config->handshake_cycles * m->config.iommu.period_ps;
}

/* Whether descriptors have 32 bytes. */
static unsigned vtd_wide(const struct vtd *v)
{
    return (v->iqa & VTD_IQA_DW) != 0;
}

/* ---- Events
 * ------------------------------------------------------------------------------- */

static void send(struct iommu *m, const struct vtd_event *e, cycle_t now)
{
    if (m->interrupt != NULL)
        m->interrupt(m->interrupt_self, (uint64_t)e->upper << 32 | e->address, e->data,
                     cycle_time(now, m->config.iommu.period_ps));
}

/* While it is masked, one message waits (11.4.10, 11.4.15). */
static void raise_event(struct iommu *m, enum vtd_event_kind kind, cycle_t now)
{
    struct vtd_event *e = &vtd_front(m)->event[kind];
    if (e->control & VTD_EVENT_IM)
        e->control |= VTD_EVENT_IP;
    else
        send(m, e, now);
}

static void write_control(struct iommu *m, enum vtd_event_kind kind, uint32_t value)
{
    struct vtd_event *e = &vtd_front(m)->event[kind];
    e->control          = (e->control & VTD_EVENT_IP) | (value & VTD_EVENT_IM);
    if (e->control != VTD_EVENT_IP)
        return;
    e->control = 0;
    send(m, e, iommu_cycle(m, vtd_front(m)->now));
}

/* The registers of an event stand side by side: control, data, address, its upper half. */
static void write_event(struct iommu *m, enum vtd_event_kind kind, uint32_t at,
                        uint32_t value)
{
    struct vtd_event *e = &vtd_front(m)->event[kind];
    if (at == 0)
        write_control(m, kind, value);
    else if (at == 4)
        e->data = value;
    else if (at == 8)
        e->address = value;
    else
        e->upper = value;
}

static uint32_t read_event(const struct vtd *v, enum vtd_event_kind kind, uint32_t at)
{
    const struct vtd_event *e = &v->event[kind];
    return at == 0 ? e->control : at == 4 ? e->data : at == 8 ? e->address : e->upper;
}

static bool fault_pending(const struct vtd *v)
{
    for (uint32_t i = 0; i < v->config->fault_records; i++)
        if (v->record[i][1] & VTD_FRCD_F)
            return true;
    return false;
}

static uint32_t fault_status(const struct vtd *v)
{
    return v->fsts & (VTD_FSTS_PFO | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE);
}

/* A message that waits behind its mask is void once its cause has been seen to. */
static void forget_serviced(struct vtd *v)
{
    if (!fault_pending(v) && fault_status(v) == 0)
        v->event[VTD_EVENT_FAULT].control &= ~VTD_EVENT_IP;
}

/* A condition of FSTS sets its event off unless another one stands already (7.4). */
static void raise_status(struct iommu *m, uint32_t bit, cycle_t now)
{
    struct vtd *v    = vtd_front(m);
    const bool first = fault_status(v) == 0 && !fault_pending(v);
    v->fsts |= bit;
    if (first)
        raise_event(m, VTD_EVENT_FAULT, now);
}

static void queue_error(struct iommu *m, enum vtd_queue_error info, cycle_t now)
{
    struct vtd *v  = vtd_front(m);
    m->invq.halted = true;
    v->iqercd      = (v->iqercd & ~mask_lg2(4)) | VTD_IQERCD_IQEI((uint64_t)info);
    raise_status(m, VTD_FSTS_IQE, now);
}

/* ---- Queue and status
 * --------------------------------------------------------------------- */

static void enable_queue(struct iommu *m, bool on)
{
    const struct vtd *v    = vtd_front(m);
    struct invq *q         = &m->invq;
    const unsigned wide    = vtd_wide(v);
    const uint32_t entries = UINT32_C(1) << (bits_get(v->iqa, 2, 0) + 8 - wide);
    if (on == q->enabled)
        return;
    if (!on) {
        invq_stop(m);
        return;
    }
    invq_start(m, v->iqa & VTD_TABLE_MASK & m->pa_last, entries,
               (uint32_t)VTD_IQ_ENTRY_BYTES << wide);
    if (q->tail < entries)
        return;
    q->tail = 0; /* It was written when no size was known. */
    queue_error(m, VTD_IQEI_TAIL, iommu_cycle(m, v->now));
}

/* GCMD (11.4.4.1): SRTP and WBF are one-shot, the others hold their state. */
static void write_gcmd(struct iommu *m, uint32_t value)
{
    struct vtd *v   = vtd_front(m);
    uint32_t status = v->status & VTD_G_RTP;
    if (value & VTD_G_RTP) {
        v->root_loaded = v->root;
        status |= VTD_G_RTP;
    }
    status |= value & (VTD_G_TE | VTD_G_QI);
    enable_queue(m, value & VTD_G_QI);
    if ((value & VTD_G_RTP) || ((status ^ v->status) & VTD_G_TE))
        iommu_tell_invalidated(m, NULL);
    set_status(m, status);
    v->changing |= value & VTD_G_WBF; /* Shown while the flush runs. */
    invq_kick(m, iommu_cycle(m, v->now));
}

static void write_tail(struct iommu *m, uint64_t value)
{
    struct invq *q       = &m->invq;
    const unsigned lg2   = VTD_IQ_ENTRY_LG2 + vtd_wide(vtd_front(m));
    const uint64_t below = value & mask_lg2(lg2);
    const cycle_t now    = iommu_cycle(m, vtd_front(m)->now);
    if (below == UINT64_C(1) << VTD_IQ_ENTRY_LG2)
        queue_error(m, VTD_IQEI_ALIGNMENT, now);
    else if (below != 0 || value >> lg2 > UINT32_MAX
             || (q->enabled && value >> lg2 >= q->entries))
        queue_error(m, VTD_IQEI_TAIL, now);
    else
        q->tail = (uint32_t)(value >> lg2);
    invq_kick(m, now);
}

static void write_queue_address(struct iommu *m, uint64_t value)
{
    struct vtd *v     = vtd_front(m);
    const bool narrow = !v->config->scalable;
    v->iqa            = narrow ? value & ~VTD_IQA_DW : value;
    if (narrow && (value & VTD_IQA_DW))
        queue_error(m, VTD_IQEI_WIDTH, iommu_cycle(m, v->now));
}

/* FSTS (11.4.9): error bits are cleared by writing ones; the queue then goes on. */
static void write_fsts(struct iommu *m, uint32_t value)
{
    struct vtd *v = vtd_front(m);
    v->fsts &= ~(value & (VTD_FSTS_PFO | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE));
    if (value & VTD_FSTS_IQE)
        m->invq.halted = false;
    if (value & VTD_FSTS_ITE)
        m->invq.timed_out = false;
    forget_serviced(v);
    invq_kick(m, iommu_cycle(m, v->now));
}

/* 0 while the queue is off. */
static uint64_t shown_head(const struct iommu *m)
{
    return m->invq.enabled || invq_busy(&m->invq) ? m->invq.head : 0;
}

static void write_record(struct vtd *v, uint32_t offset, uint64_t value, unsigned bytes)
{
    const uint32_t index   = (offset - VTD_FRCD) / 16;
    const uint32_t byte    = (offset - VTD_FRCD) % 16;
    const uint64_t shifted = bytes == 4 && byte == 12 ? value << 32 : value;
    if (byte >= 8 && index < v->config->fault_records && (shifted & VTD_FRCD_F))
        v->record[index][1] &= ~VTD_FRCD_F;
    forget_serviced(v);
}

static void vtd_write(struct iommu *m, uint32_t offset, uint64_t value, unsigned bytes,
                      sim_time_t now)
{
    struct vtd *v = vtd_front(m);
    v->now        = now;
    if (offset >= VTD_FRCD && offset < VTD_FRCD + 16 * v->config->fault_records) {
        write_record(v, offset, value, bytes);
        return;
    }
    switch (offset) {
    case VTD_GCMD:
        write_gcmd(m, (uint32_t)value);
        return;
    case VTD_RTADDR:
        v->root = value;
        return;
    case VTD_FSTS:
        write_fsts(m, (uint32_t)value);
        return;
    case VTD_FECTL:
    case VTD_FEDATA:
    case VTD_FEADDR:
    case VTD_FEUADDR:
        write_event(m, VTD_EVENT_FAULT, offset - VTD_FECTL, (uint32_t)value);
        return;
    case VTD_IECTL:
    case VTD_IEDATA:
    case VTD_IEADDR:
    case VTD_IEUADDR:
        write_event(m, VTD_EVENT_WAIT, offset - VTD_IECTL, (uint32_t)value);
        return;
    case VTD_IQA:
        write_queue_address(m, value);
        return;
    case VTD_IQT:
        write_tail(m, value);
        return;
    case VTD_ICS:
        v->ics &= ~(uint32_t)value;
        if (v->ics == 0)
            v->event[VTD_EVENT_WAIT].control &= ~VTD_EVENT_IP;
        return;
    default: /* Reserved and read-only registers ignore writes. */
        return;
    }
}

static uint64_t vtd_read(struct iommu *m, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct vtd *v = vtd_front(m);
    v->now        = now;
    if (offset >= VTD_FRCD && offset < VTD_FRCD + 16 * v->config->fault_records) {
        const uint32_t at   = offset - VTD_FRCD;
        const uint64_t half = v->record[at / 16][(at % 16) / 8];
        return bytes == 4 && at % 8 == 4 ? half >> 32 : half;
    }
    switch (offset) {
    case VTD_VER:
        return 0x10;
    case VTD_CAP:
        return v->cap;
    case VTD_ECAP:
        return v->ecap;
    case VTD_GSTS:
        return shown_status(m);
    case VTD_RTADDR:
        return v->root;
    case VTD_FSTS:
        return v->fsts | (fault_pending(v) ? VTD_FSTS_PPF : 0);
    case VTD_FECTL:
    case VTD_FEDATA:
    case VTD_FEADDR:
    case VTD_FEUADDR:
        return read_event(v, VTD_EVENT_FAULT, offset - VTD_FECTL);
    case VTD_IECTL:
    case VTD_IEDATA:
    case VTD_IEADDR:
    case VTD_IEUADDR:
        return read_event(v, VTD_EVENT_WAIT, offset - VTD_IECTL);
    case VTD_IQERCD:
        return v->iqercd;
    case VTD_IQH:
        return shown_head(m) << (VTD_IQ_ENTRY_LG2 + vtd_wide(v));
    case VTD_IQT:
        return (uint64_t)m->invq.tail << (VTD_IQ_ENTRY_LG2 + vtd_wide(v));
    case VTD_IQA:
        return v->iqa;
    case VTD_ICS:
        return v->ics;
    default:
        return 0;
    }
}

/* ---- Contexts ---------------------------------------------------------------------------
 */

enum arch_verdict vtd_refuse_request(struct iommu_response *r, enum vtd_fault cause)
{
    r->cause = (uint16_t)cause;
    return ARCH_FAULT;
}

/* Requests that are interrupts (3.14): they pass, as interrupts are not remapped. */
static bool vtd_is_interrupt(const struct iommu_request *q)
{
    return !q->has_pasid && vtd_in_msi_range(q->iova) && (q->access & PT_WRITE)
           && q->type == PORT_UNTRANSLATED;
}

static enum arch_verdict vtd_admit(struct iommu *m, const struct iommu_request *q,
                                   struct iommu_response *r)
{
    const struct vtd *v = vtd_front(m);
    if (!(v->status & VTD_G_TE))
        return q->type == PORT_TRANSLATION ? ARCH_REFUSED : ARCH_BYPASS;
    if (vtd_is_interrupt(q))
        return ARCH_BYPASS;
    switch (vtd_rtaddr_mode(v->root_loaded)) {
    case VTD_TTM_LEGACY:
        return q->has_pasid ? vtd_refuse_request(r, VTD_SRTA_PASID) : ARCH_GO;
    case VTD_TTM_SCALABLE:
        return v->config->scalable ? ARCH_GO : vtd_refuse_request(r, VTD_SRTA_MODE);
    case VTD_TTM_ABORT:
        return ARCH_REFUSED;
    default:
        return vtd_refuse_request(r, VTD_SRTA_MODE);
    }
}

static void vtd_context_first(struct iommu *m, struct context_walk *w)
{
    const uint64_t root = vtd_front(m)->root_loaded & VTD_TABLE_MASK;
    if (w->process) {
        vtd_process_first(w);
        return;
    }
    w->step  = VTD_READ_ROOT;
    w->pa    = root + (uint64_t)(w->requester >> 8 & 0xff) * VTD_ROOT_BYTES;
    w->words = 2;
}

enum context_verdict vtd_refuse(struct context_walk *w, enum vtd_fault cause)
{
    w->cause = cause;
    return CONTEXT_FAULT;
}

/* Root entry (9.1): present bit and the context table's address. */
static enum context_verdict root_arrived(struct context_walk *w, const uint64_t *data)
{
    if (!(data[0] & VTD_PRESENT))
        return vtd_refuse(w, VTD_FAULT_ROOT_ABSENT);
    if ((data[0] & ~(VTD_PRESENT | VTD_TABLE_MASK)) || data[1] != 0)
        return vtd_refuse(w, VTD_FAULT_ROOT_RESERVED);
    w->step = VTD_READ_CONTEXT;
    w->pa =
        (data[0] & VTD_TABLE_MASK) + (uint64_t)(w->requester & 0xff) * VTD_CONTEXT_BYTES;
    w->words = 2;
    return CONTEXT_MORE;
}

uint64_t vtd_leaf_sizes(const struct vtd_config *c)
{
    return UINT64_C(1) << 12 | (uint64_t)c->pages_2m << 21 | (uint64_t)c->pages_1g << 30;
}

/* Context entry (9.3). */
static enum context_verdict context_arrived(struct iommu *m, struct context_walk *w,
                                            const uint64_t *data)
{
    const struct vtd_config *c = vtd_front(m)->config;
    const unsigned levels      = vtd_context_aw(data[1]) + 2;
    const unsigned tt          = vtd_context_tt(data[0]);
    w->result.quiet            = data[0] & VTD_CONTEXT_FPD; /* Of absent ones, too. */
    if (!(data[0] & VTD_PRESENT))
        return vtd_refuse(w, VTD_FAULT_CONTEXT_ABSENT);
    if (tt == 3 || (tt == VTD_TT_DEVICE_TLB && !c->device_tlb) || levels < 3
        || levels > c->levels_max)
        return vtd_refuse(w, VTD_FAULT_CONTEXT_INVALID);
    if ((data[0] & ~(mask_lg2(4) | VTD_TABLE_MASK)) || (data[1] & ~mask_lg2(24))
        || (data[1] & 0x80))
        return vtd_refuse(w, VTD_FAULT_CONTEXT_RESERVED);
    if (tt != VTD_TT_PASS_THROUGH)
        w->result.stage2 =
            (struct xlate_stage){ ptfmt_find("vtdss"), data[0] & VTD_TABLE_MASK,
                                  (uint8_t)levels, vtd_leaf_sizes(c) };
    w->result.space      = space_make(vtd_context_domain(data[1]), 0, STAGE_2);
    w->result.attributes = tt == VTD_TT_DEVICE_TLB ? VTD_HAS_DEVICE_TLB : 0;
    return CONTEXT_DONE;
}

static enum context_verdict vtd_context_next(struct iommu *m, struct context_walk *w,
                                             const uint64_t *data)
{
    if (vtd_scalable(vtd_front(m)))
        return vtd_scalable_next(m, w, data);
    if (data == NULL)
        return vtd_refuse(w, w->step == VTD_READ_ROOT ? VTD_FAULT_ROOT_ACCESS
                                                      : VTD_FAULT_CONTEXT_ACCESS);
    return w->step == VTD_READ_ROOT ? root_arrived(w, data) : context_arrived(m, w, data);
}

/* Requests of a device TLB (3.2, 9.3: TT): only where the context lets the device have one.
 */
static enum arch_verdict check_legacy(const struct iommu_request *q,
                                      const struct xlate_context *context,
                                      struct iommu_response *r)
{
    const struct xlate_stage *stage = &context->stage2;
    if (q->type != PORT_UNTRANSLATED && !(context->attributes & VTD_HAS_DEVICE_TLB))
        return vtd_refuse_request(r, VTD_FAULT_TYPE_BLOCKED);
    if (stage->format == NULL || q->type == PORT_TRANSLATED)
        return ARCH_BYPASS;
    if (q->iova >> pt_input_lg2(stage->format, stage->levels) != 0)
        return vtd_refuse_request(r, VTD_FAULT_BEYOND_WIDTH);
    return ARCH_GO;
}

static enum arch_verdict vtd_check(struct iommu *m, const struct iommu_request *q,
                                   const struct xlate_context *context,
                                   struct iommu_response *r)
{
    return vtd_scalable(vtd_front(m)) ? vtd_scalable_check(q, context, r)
                                      : check_legacy(q, context, r);
}

/* ---- Faults
 * ------------------------------------------------------------------------------ */

static uint16_t vtd_cause(const struct iommu *m, const struct iommu_request *request,
                          unsigned stage, enum arch_denial denial, uint8_t prot)
{
    if (vtd_scalable(m->front))
        return vtd_scalable_cause(request, stage, denial, prot);
    if (denial == DENIED_ACCESS)
        return VTD_FAULT_TABLE_ACCESS;
    if (denial == DENIED_MALFORMED)
        return VTD_FAULT_ENTRY_RESERVED;
    return request->access & PT_WRITE ? VTD_FAULT_WRITE_NOT_ALLOWED
                                      : VTD_FAULT_READ_NOT_ALLOWED;
}

/* Tables that cannot be read or say what they must not. */
static bool vtd_aborts(uint16_t cause)
{
    switch (cause) {
    case VTD_FAULT_TABLE_ACCESS:
    case VTD_FAULT_ROOT_ACCESS:
    case VTD_FAULT_CONTEXT_ACCESS:
    case VTD_FAULT_CONTEXT_INVALID:
    case VTD_FAULT_ROOT_RESERVED:
    case VTD_FAULT_CONTEXT_RESERVED:
    case VTD_FAULT_ENTRY_RESERVED:
    case VTD_SRT_ACCESS:
    case VTD_SRT_RESERVED:
    case VTD_SCT_ACCESS:
    case VTD_SCT_RESERVED:
    case VTD_SCT_INVALID:
    case VTD_SPD_ACCESS:
    case VTD_SPD_RESERVED:
    case VTD_SPT_ACCESS:
    case VTD_SPT_RESERVED:
    case VTD_SPT_INVALID:
    case VTD_SFS_ACCESS:
    case VTD_SFS_RESERVED:
    case VTD_SSS_ACCESS:
    case VTD_SSS_RESERVED:
        return true;
    default:
        return false;
    }
}

/* AT of a fault recording register: as in a transaction's header. */
static uint64_t address_type(uint8_t type)
{
    return type == PORT_TRANSLATION ? 1 : type == PORT_TRANSLATED ? 2 : 0;
}

/* Primary fault logging (7.3.1): the records are used in turn; none free is an overflow. */
static void vtd_record(struct iommu *m, const struct iommu_fault *f, cycle_t now)
{
    struct vtd *v    = vtd_front(m);
    uint64_t *record = v->record[v->next_record];
    const bool first = !fault_pending(v);
    const bool event = first && fault_status(v) == 0;
    if ((v->fsts & VTD_FSTS_PFO) || (record[1] & VTD_FRCD_F)) {
        v->fsts |= VTD_FSTS_PFO;
        m->stats.fault_lost++;
        return;
    }
    record[0] = align_down(f->iova, 12); /* FI: bits 12 to 63 (11.4.14). */
    record[1] = VTD_FRCD_F | (f->access & PT_WRITE ? 0 : VTD_FRCD_T_READ)
                | VTD_FRCD_AT(address_type(f->type)) | VTD_FRCD_FR((uint64_t)f->cause)
                | VTD_FRCD_SID((uint64_t)f->requester);
    if (f->has_pasid)
        record[1] |= VTD_FRCD_PP | VTD_FRCD_PV((uint64_t)f->pasid)
                     | (f->privileged ? VTD_FRCD_PRIV : 0);
    m->stats.fault_recorded++;
    if (first)
        v->fsts = (v->fsts & ~VTD_FSTS_FRI(UINT64_C(0xff)))
                  | VTD_FSTS_FRI((uint64_t)v->next_record);
    v->next_record = (v->next_record + 1) % v->config->fault_records;
    if (event)
        raise_event(m, VTD_EVENT_FAULT, now);
}

/* ---- The queue
 * -------------------------------------------------------------------------------- */

static void vtd_illegal(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    queue_error(m, c->unwritable ? VTD_IQEI_FETCH : c->error, now);
}

/* IWC of ICS: the first one sets the event off. */
static void vtd_completed(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    struct vtd *v = vtd_front(m);
    if (!c->interrupts || v->ics != 0)
        return;
    v->ics = 1;
    raise_event(m, VTD_EVENT_WAIT, now);
}

static void vtd_device_late(struct iommu *m, uint16_t requester, cycle_t now)
{
    struct vtd *v = vtd_front(m);
    v->iqercd =
        (v->iqercd & ~(mask_lg2(16) << 32)) | VTD_IQERCD_ITESID((uint64_t)requester);
    raise_status(m, VTD_FSTS_ITE, now);
}

static void vtd_device_wrong(struct iommu *m, uint16_t requester, cycle_t now)
{
    struct vtd *v = vtd_front(m);
    v->iqercd     = (v->iqercd & mask_lg2(48)) | VTD_IQERCD_ICESID((uint64_t)requester);
    raise_status(m, VTD_FSTS_ICE, now);
}

/* By its domain id. The driver uses the first stage where there is one, without PASID. */
static space_t vtd_space(const struct iommu *m, uint32_t number)
{
    const struct vtd_config *c = vtd_front(m)->config;
    return space_make(number, 0, c->scalable && c->first_stage ? STAGE_1 : STAGE_2);
}

const struct iommu_arch arch_vtd = {
    .name          = "vtd",
    .summary       = "Intel VT-d, legacy and scalable mode, device TLBs",
    .params        = &vtd_param_table,
    .window_bytes  = VTD_WINDOW_BYTES,
    .command_bytes = VTD_IQ_ENTRY_BYTES,
    .requester_lg2 = 16,
    .pasid_lg2     = 20,
    .space         = vtd_space,
    .init          = vtd_init,
    .free          = vtd_free,
    .write         = vtd_write,
    .read          = vtd_read,
    .admit         = vtd_admit,
    .context_first = vtd_context_first,
    .context_next  = vtd_context_next,
    .process       = vtd_process,
    .check         = vtd_check,
    .cause         = vtd_cause,
    .allows        = vtd_allows,
    .missing       = vtd_missing,
    .updates       = vtd_updates,
    .serves        = vtd_serves,
    .aborts        = vtd_aborts,
    .record        = vtd_record,
    .decode        = vtd_decode,
    .illegal       = vtd_illegal,
    .completed     = vtd_completed,
    .device_late   = vtd_device_late,
    .device_wrong  = vtd_device_wrong,
};
