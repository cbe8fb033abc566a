/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_vtd - Intel VT-d in legacy mode: root and context tables, second-stage translation.
 *
 * Source: Intel VT-d architecture specification; sections are named where they apply.
 *
 * Inaccuracies: register-based invalidation (CCMD, IOTLB registers) is not offered, as the
 * queue is always there; a global command completes after a fixed time, whatever is under
 * way; root entries are not cached.
 */
#include "iommu_model/arch_vtd.h"

#include <stdlib.h>

#include "iommu_model/arch.h"
#include "iommu_model/vtd_spec.h"

#define PARAM_OWNER struct vtd_config
static const struct param_def vtd_params[] = { VTD_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table vtd_param_table = { "vtd", "Intel VT-d: what the hardware offers",
                                             vtd_params, sizeof(struct vtd_config), NULL };

struct vtd {
    const struct vtd_config *config;
    uint64_t cap, ecap;
    uint32_t status;   /* GSTS as it will be when the handshake is over. */
    uint32_t changing; /* Bits of it that still show their old value. */
    sim_time_t changed_at;
    uint64_t root, root_loaded; /* RTADDR as written, and as latched by SRTP. */
    uint64_t iqa;
    uint32_t fsts, fectl, fedata, feaddr, feuaddr, ics;
    uint32_t next_record;
    uint64_t record[64][2];
    sim_time_t now; /* Of the register access that is being served. */
};

static struct vtd *front(const struct iommu *m)
{
    return m->front;
}

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
           | (c->write_buffer ? VTD_CAP_RWBF : 0)
           | (c->drain ? VTD_CAP_DWD | VTD_CAP_DRD : 0);
}

static void vtd_init(struct iommu *m)
{
    struct vtd *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->config = m->config.arch;
    v->cap    = capabilities(v->config);
    v->ecap   = VTD_ECAP_C | VTD_ECAP_QI | VTD_ECAP_PT | VTD_ECAP_IRO(UINT64_C(0x10));
    v->fectl  = UINT32_C(1) << 31; /* Fault events are masked after reset. */
    m->front  = v;
}

static void vtd_free(struct iommu *m)
{
    free(m->front);
    m->front = NULL;
}

/* ---- Registers --------------------------------------------------------------------------
 */

static uint32_t shown_status(const struct vtd *v)
{
    return v->now >= v->changed_at ? v->status : v->status ^ v->changing;
}

static void set_status(struct iommu *m, uint32_t status)
{
    struct vtd *v = front(m);
    v->changing   = shown_status(v) ^ status;
    v->status     = status;
    v->changed_at =
        v->now + (uint64_t)v->config->handshake_cycles * m->config.iommu.period_ps;
}

static void enable_queue(struct iommu *m, bool on)
{
    const struct vtd *v = front(m);
    struct invq *q      = &m->invq;
    if (on && !q->enabled) {
        q->base    = v->iqa & VTD_TABLE_MASK;
        q->entries = UINT32_C(1) << (bits_get(v->iqa, 2, 0) + 8);
        q->head    = 0;
        q->tail &= q->entries - 1; /* It was written when no size was known. */
    }
    q->enabled = on;
}

/* GCMD (11.4.4.1): SRTP and WBF are one-shot, the others hold their state. */
static void write_gcmd(struct iommu *m, uint32_t value)
{
    struct vtd *v   = front(m);
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
    struct invq *q      = &m->invq;
    const uint32_t tail = (uint32_t)(value >> VTD_IQ_ENTRY_LG2);
    if (q->entries == 0 || tail < q->entries) /* Software clears it before it enables. */
        q->tail = tail;
    else
        front(m)->fsts |= VTD_FSTS_IQE;
    invq_kick(m, iommu_cycle(m, front(m)->now));
}

/* FSTS (11.4.9): error bits are cleared by writing ones; the queue then goes on. */
static void write_fsts(struct iommu *m, uint32_t value)
{
    struct vtd *v = front(m);
    v->fsts &= ~(value & (VTD_FSTS_PFO | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE));
    if (value & VTD_FSTS_IQE) {
        m->invq.halted = false;
        invq_kick(m, iommu_cycle(m, v->now));
    }
}

static void write_record(struct vtd *v, uint32_t offset, uint64_t value, unsigned bytes)
{
    const uint32_t index   = (offset - VTD_FRCD) / 16;
    const uint32_t byte    = (offset - VTD_FRCD) % 16;
    const uint64_t shifted = bytes == 4 && byte == 12 ? value << 32 : value;
    if (byte >= 8 && index < v->config->fault_records && (shifted & VTD_FRCD_F))
        v->record[index][1] &= ~VTD_FRCD_F;
}

static void vtd_write(struct iommu *m, uint32_t offset, uint64_t value, unsigned bytes,
                      sim_time_t now)
{
    struct vtd *v = front(m);
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
        v->fectl = (uint32_t)value & (UINT32_C(1) << 31);
        return;
    case VTD_FEDATA:
        v->fedata = (uint32_t)value;
        return;
    case VTD_FEADDR:
        v->feaddr = (uint32_t)value;
        return;
    case VTD_FEUADDR:
        v->feuaddr = (uint32_t)value;
        return;
    case VTD_IQA:
        v->iqa = value;
        return;
    case VTD_IQT:
        write_tail(m, value);
        return;
    case VTD_ICS:
        v->ics &= ~(uint32_t)value;
        return;
    default: /* Reserved and read-only registers ignore writes. */
        return;
    }
}

static bool fault_pending(const struct vtd *v)
{
    for (uint32_t i = 0; i < v->config->fault_records; i++)
        if (v->record[i][1] & VTD_FRCD_F)
            return true;
    return false;
}

static uint64_t vtd_read(struct iommu *m, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct vtd *v = front(m);
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
        return shown_status(v);
    case VTD_RTADDR:
        return v->root;
    case VTD_FSTS:
        return v->fsts | (fault_pending(v) ? VTD_FSTS_PPF : 0);
    case VTD_FECTL:
        return v->fectl;
    case VTD_FEDATA:
        return v->fedata;
    case VTD_FEADDR:
        return v->feaddr;
    case VTD_FEUADDR:
        return v->feuaddr;
    case VTD_IQH:
        return (uint64_t)m->invq.head << VTD_IQ_ENTRY_LG2;
    case VTD_IQT:
        return (uint64_t)m->invq.tail << VTD_IQ_ENTRY_LG2;
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

static enum arch_verdict vtd_admit(struct iommu *m, const struct iommu_request *q,
                                   struct iommu_response *r)
{
    (void)q;
    (void)r;
    return front(m)->status & VTD_G_TE ? ARCH_GO : ARCH_BYPASS;
}

enum vtd_context_step { READ_ROOT, READ_CONTEXT };

static void vtd_context_first(struct iommu *m, struct context_walk *w)
{
    const uint64_t root = front(m)->root_loaded & VTD_TABLE_MASK;
    w->step             = READ_ROOT;
    w->pa               = root + (uint64_t)(w->requester >> 8 & 0xff) * VTD_ROOT_BYTES;
    w->words            = 2;
}

static enum context_verdict refuse(struct context_walk *w, enum vtd_fault cause)
{
    w->cause = cause;
    return CONTEXT_FAULT;
}

/* Root entry (9.1): present bit and the context table's address. */
static enum context_verdict root_arrived(struct context_walk *w, const uint64_t *data)
{
    if (!(data[0] & VTD_PRESENT))
        return refuse(w, VTD_FAULT_ROOT_ABSENT);
    if ((data[0] & ~(VTD_PRESENT | VTD_TABLE_MASK)) || data[1] != 0)
        return refuse(w, VTD_FAULT_ROOT_RESERVED);
    w->step = READ_CONTEXT;
    w->pa =
        (data[0] & VTD_TABLE_MASK) + (uint64_t)(w->requester & 0xff) * VTD_CONTEXT_BYTES;
    w->words = 2;
    return CONTEXT_MORE;
}

static uint64_t leaf_sizes(const struct vtd_config *c)
{
    return UINT64_C(1) << 12 | (uint64_t)c->pages_2m << 21 | (uint64_t)c->pages_1g << 30;
}

/* Context entry (9.3). */
static enum context_verdict context_arrived(struct iommu *m, struct context_walk *w,
                                            const uint64_t *data)
{
    const struct vtd_config *c = front(m)->config;
    const unsigned levels      = vtd_context_aw(data[1]) + 2;
    const unsigned tt          = vtd_context_tt(data[0]);
    w->result.quiet            = data[0] & VTD_CONTEXT_FPD; /* Of absent ones, too. */
    if (!(data[0] & VTD_PRESENT))
        return refuse(w, VTD_FAULT_CONTEXT_ABSENT);
    if (tt == 3 || levels < 3 || levels > c->levels_max)
        return refuse(w, VTD_FAULT_CONTEXT_INVALID);
    if ((data[0] & ~(mask_lg2(4) | VTD_TABLE_MASK)) || (data[1] & ~mask_lg2(24))
        || (data[1] & 0x80))
        return refuse(w, VTD_FAULT_CONTEXT_RESERVED);
    if (tt != VTD_TT_PASS_THROUGH)
        w->result.stage2 =
            (struct xlate_stage){ ptfmt_find("vtdss"), data[0] & VTD_TABLE_MASK,
                                  (uint8_t)levels, leaf_sizes(c) };
    w->result.space = space_make(vtd_context_domain(data[1]), 0, STAGE_2);
    return CONTEXT_DONE;
}

static enum context_verdict vtd_context_next(struct iommu *m, struct context_walk *w,
                                             const uint64_t *data)
{
    if (data == NULL)
        return refuse(w, w->step == READ_ROOT ? VTD_FAULT_ROOT_ACCESS
                                              : VTD_FAULT_CONTEXT_ACCESS);
    return w->step == READ_ROOT ? root_arrived(w, data) : context_arrived(m, w, data);
}

static enum arch_verdict vtd_check(struct iommu *m, const struct iommu_request *q,
                                   const struct xlate_context *context,
                                   struct iommu_response *r)
{
    const struct xlate_stage *stage = &context->stage2;
    (void)m;
    if (stage->format == NULL)
        return ARCH_BYPASS;
    if (q->iova >> pt_input_lg2(stage->format, stage->levels) != 0) {
        r->cause = VTD_FAULT_BEYOND_WIDTH;
        return ARCH_FAULT;
    }
    return ARCH_GO;
}

/* ---- Faults
 * ------------------------------------------------------------------------------ */

static uint16_t vtd_cause(const struct iommu_request *request, unsigned stage,
                          enum arch_denial denial)
{
    (void)stage;
    if (denial == DENIED_MALFORMED)
        return VTD_FAULT_ENTRY_RESERVED;
    if (denial == DENIED_ACCESS)
        return VTD_FAULT_TABLE_ACCESS;
    return request->access & PT_WRITE ? VTD_FAULT_WRITE_NOT_ALLOWED
                                      : VTD_FAULT_READ_NOT_ALLOWED;
}

static bool vtd_allows(const struct iommu_request *request,
                       const struct xlate_context *context, unsigned stage, uint8_t prot)
{
    (void)context;
    (void)stage;
    return (request->access & (PT_READ | PT_WRITE) & ~prot) == 0;
}

static void send_fault_event(struct iommu *m, cycle_t now)
{
    const struct vtd *v = front(m);
    if (!(v->fectl & UINT32_C(1) << 31) && m->interrupt != NULL)
        m->interrupt(m->interrupt_self, (uint64_t)v->feuaddr << 32 | v->feaddr, v->fedata,
                     cycle_time(now, m->config.iommu.period_ps));
}

/* Primary fault logging (7.3.1): the records are used in turn; none free is an overflow. */
static void vtd_record(struct iommu *m, const struct iommu_fault *f, cycle_t now)
{
    struct vtd *v    = front(m);
    uint64_t *record = v->record[v->next_record];
    const bool first = !fault_pending(v);
    if ((v->fsts & VTD_FSTS_PFO) || (record[1] & VTD_FRCD_F)) {
        v->fsts |= VTD_FSTS_PFO;
        m->stats.fault_lost++;
        return;
    }
    record[0] = align_down(f->iova, 12); /* FI: bits 12 to 63 (11.4.14). */
    record[1] = VTD_FRCD_F | (f->access & PT_WRITE ? 0 : VTD_FRCD_T_READ)
                | VTD_FRCD_FR((uint64_t)f->cause) | VTD_FRCD_SID((uint64_t)f->requester);
    m->stats.fault_recorded++;
    if (first)
        v->fsts = (v->fsts & ~VTD_FSTS_FRI(UINT64_C(0xff)))
                  | VTD_FSTS_FRI((uint64_t)v->next_record);
    v->next_record = (v->next_record + 1) % v->config->fault_records;
    if (first)
        send_fault_event(m, now);
}

/* ---- Commands
 * ----------------------------------------------------------------------------- */

static bool drop_of_requester(const void *arg, const struct context_entry *e)
{
    const uint64_t *wanted = arg;
    return (uint32_t)e->key == wanted[0];
}

static bool drop_of_domain(const void *arg, const struct context_entry *e)
{
    const uint64_t *wanted = arg;
    return space_domain(e->context.space) == wanted[0];
}

static bool drop_all(const void *arg, const struct context_entry *e)
{
    (void)arg;
    (void)e;
    return true;
}

/* Context-cache invalidate (6.5.2.1). A function mask is not used by Linux and not offered.
 */
static void decode_context(struct vtd_descriptor d, struct iommu_command *c)
{
    c->kind = COMMAND_CONTEXT;
    switch (vtd_inv_granularity(d)) {
    case VTD_GLOBAL:
        c->drop_context = drop_all;
        return;
    case VTD_DOMAIN:
        c->drop_context   = drop_of_domain;
        c->context_arg[0] = vtd_inv_domain(d);
        return;
    case VTD_DEVICE:
        c->drop_context   = drop_of_requester;
        c->context_arg[0] = vtd_inv_requester(d);
        return;
    default:
        c->kind = COMMAND_ILLEGAL;
        return;
    }
}

/* IOTLB invalidate (6.5.2.3). */
static void decode_iotlb(const struct vtd *v, struct vtd_descriptor d,
                         struct iommu_command *c)
{
    const unsigned am = (unsigned)(d.high & 0x3f);
    c->kind           = COMMAND_IOTLB;
    c->drain          = v->config->drain && (d.low & (VTD_INV_DR | VTD_INV_DW));
    c->selector       = (struct inv_selector){ .last = UINT64_MAX };
    if (vtd_inv_granularity(d) == VTD_GLOBAL)
        return;
    c->selector.mask  = SPACE_DOMAIN_MASK;
    c->selector.value = vtd_inv_domain(d);
    if (vtd_inv_granularity(d) == VTD_DOMAIN)
        return;
    if (vtd_inv_granularity(d) != VTD_PAGE || !v->config->page_selective
        || am > v->config->mamv) {
        c->kind = COMMAND_ILLEGAL;
        return;
    }
    c->selector.first     = align_down(d.high, 12 + am);
    c->selector.last      = c->selector.first | mask_lg2(12 + am);
    c->selector.leaf_only = d.high & VTD_INV_IH;
}

/* Invalidation wait (6.5.2.8). */
static void decode_wait(struct vtd_descriptor d, struct iommu_command *c)
{
    c->kind          = COMMAND_WAIT;
    c->writes_status = d.low & VTD_WAIT_SW;
    c->interrupts    = d.low & VTD_WAIT_IF;
    c->status_pa     = d.high & ~UINT64_C(3);
    c->status        = d.low >> 32;
    c->status_bytes  = 4;
}

static void vtd_decode(struct iommu *m, const uint64_t *words, struct iommu_command *c)
{
    const struct vtd_descriptor d = { words[0], words[1] };
    switch (vtd_inv_type(d)) {
    case VTD_INV_CONTEXT:
        decode_context(d, c);
        break;
    case VTD_INV_IOTLB:
        decode_iotlb(front(m), d, c);
        break;
    case VTD_INV_WAIT:
        decode_wait(d, c);
        break;
    case VTD_INV_IEC: /* Nothing is cached: interrupts are not remapped. */
        c->kind = COMMAND_NOTHING;
        break;
    default:
        c->kind = COMMAND_ILLEGAL;
        break;
    }
}

static void vtd_illegal(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    (void)c;
    (void)now;
    front(m)->fsts |= VTD_FSTS_IQE;
}

static void vtd_completed(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    (void)now;
    if (c->interrupts)
        front(m)->ics |= 1; /* IWC; its event is not used by Linux. */
}

/* By its domain id. */
static space_t vtd_space(uint32_t number)
{
    return space_make(number, 0, STAGE_2);
}

const struct iommu_arch arch_vtd = {
    .name          = "vtd",
    .summary       = "Intel VT-d, legacy mode",
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
    .check         = vtd_check,
    .cause         = vtd_cause,
    .allows        = vtd_allows,
    .record        = vtd_record,
    .decode        = vtd_decode,
    .illegal       = vtd_illegal,
    .completed     = vtd_completed,
};
