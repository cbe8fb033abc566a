/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch_riscv - the RISC-V IOMMU: device and process directories, two stages, queues.
 *
 * Source: RISC-V IOMMU Architecture Specification, version 1.0; sections are named where
 * they apply.
 *
 * Inaccuracies: no page-request queue, ATS, memory-resident interrupt files, debug
 * interface or big-endian tables; mode changes of ddtp take effect at once, and so does
 * switching a queue on; memory reports an access fault only beyond riscv.pa_lg2; interrupt
 * messages are delivered without being ordered behind fault records.
 */
#include "iommu_model/arch_riscv.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/riscv.h"

#define PARAM_OWNER struct riscv_config
static const struct param_def riscv_params[] = { RISCV_PARAMS(PARAM_ROW) PARAM_END };

static bool riscv_config_check(const void *config, struct error *error)
{
    const struct riscv_config *c = config;
    const uint32_t s1 = c->stage1_levels_max, s2 = c->stage2_levels_max;
    if ((s1 != 0 && s1 < 3) || (s2 != 0 && s2 < 3))
        return error_set(error,
                         "riscv.stage1_levels_max, riscv.stage2_levels_max: expected 0, 3, "
                         "4 or 5, got %u and %u",
                         s1, s2);
    return true;
}

const struct param_table riscv_param_table = { "riscv",
                                               "RISC-V IOMMU: what the hardware offers",
                                               riscv_params, sizeof(struct riscv_config),
                                               riscv_config_check };

/* ---- Set-up
 * ------------------------------------------------------------------------------ */

static uint64_t capabilities(const struct riscv_config *c)
{
    const uint32_t s1 = c->stage1_levels_max, s2 = c->stage2_levels_max;
    return RISCV_CAP_VERSION(UINT64_C(0x10)) | (s1 >= 3 ? RISCV_CAP_SV39 : 0)
           | (s1 >= 4 ? RISCV_CAP_SV48 : 0) | (s1 >= 5 ? RISCV_CAP_SV57 : 0)
           | (s2 >= 3 ? RISCV_CAP_SV39X4 : 0) | (s2 >= 4 ? RISCV_CAP_SV48X4 : 0)
           | (s2 >= 5 ? RISCV_CAP_SV57X4 : 0) | (c->msi_flat ? RISCV_CAP_MSI_FLAT : 0)
           | (c->amo_hwad ? RISCV_CAP_AMO_HWAD : 0)
           | RISCV_CAP_IGS((uint64_t)(c->wired_interrupts ? RISCV_IGS_BOTH : RISCV_IGS_MSI))
           | (c->hpm_counters > 0 ? RISCV_CAP_HPM : 0) | RISCV_CAP_PAS((uint64_t)c->pa_lg2)
           | (c->process_contexts ? RISCV_CAP_PD8 | RISCV_CAP_PD17 | RISCV_CAP_PD20 : 0);
}

static void record_written(struct iommu *m, bool lost, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    if (lost)
        v->fqcsr |= RISCV_FQ_OF;
    if (v->fqcsr & RISCV_QUEUE_IE)
        riscv_interrupt(m, RISCV_FIP, now);
}

static void riscv_init(struct iommu *m)
{
    struct riscv *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->config         = m->config.arch;
    v->capabilities   = capabilities(v->config);
    v->extended       = v->config->msi_flat;
    m->front          = v;
    m->pa_last        = mask_lg2(v->config->pa_lg2);
    m->faultq.written = record_written;
}

static void riscv_free(struct iommu *m)
{
    free(m->front);
    m->front = NULL;
}

/* ---- Device contexts (2.1)
 * ---------------------------------------------------------------
 */

static enum arch_verdict refuse_request(struct iommu_response *r, enum riscv_cause cause)
{
    r->cause = cause;
    return ARCH_FAULT;
}

static enum arch_verdict riscv_admit(struct iommu *m, const struct iommu_request *q,
                                     struct iommu_response *r)
{
    const struct riscv *v = riscv_front(m);
    const unsigned mode   = (unsigned)RISCV_DDTP_MODE(v->ddtp);
    if (mode == RISCV_DDTP_OFF)
        return refuse_request(r, RISCV_ALL_DISALLOWED);
    if (mode == RISCV_DDTP_BARE)
        return q->type == PORT_UNTRANSLATED
                   ? ARCH_BYPASS
                   : refuse_request(r, RISCV_TYPE_DISALLOWED);
    if (q->requester >> riscv_device_lg2(mode - RISCV_DDTP_BARE, v->extended) != 0)
        return refuse_request(r, RISCV_TYPE_DISALLOWED);
    return ARCH_GO;
}

enum { STEP_PROCESS = 8 }; /* Steps below are levels of the device directory. */

static uint32_t device_context_bytes(const struct riscv *v)
{
    return v->extended ? RISCV_DC_EXTENDED_BYTES : RISCV_DC_BYTES;
}

static void read_device(const struct riscv *v, struct context_walk *w, uint64_t table,
                        unsigned level)
{
    const unsigned index = riscv_device_index(w->requester, level, v->extended);
    w->step              = level;
    w->pa    = table + (uint64_t)index * (level > 0 ? 8 : device_context_bytes(v));
    w->words = level > 0 ? 1 : device_context_bytes(v) / 8;
    if (level == 0 && v->extended && !v->config->read_reserved)
        w->words--;
}

static void read_process(struct context_walk *w, uint64_t table, unsigned level)
{
    const unsigned index = riscv_process_index(w->pasid, level);
    w->step              = STEP_PROCESS + level;
    w->guest             = w->result.stage2.format != NULL;
    w->pa                = table + (uint64_t)index * (level > 0 ? 8 : RISCV_PC_BYTES);
    w->words             = level > 0 ? 1 : RISCV_PC_BYTES / 8;
}

static void riscv_context_first(struct iommu *m, struct context_walk *w)
{
    const struct riscv *v = riscv_front(m);
    if (w->process)
        read_process(w, w->result.process_root, w->result.process_levels - 1u);
    else
        read_device(v, w, RISCV_PPN_53_10(v->ddtp),
                    (unsigned)RISCV_DDTP_MODE(v->ddtp) - RISCV_DDTP_1LVL);
}

static enum context_verdict refuse(struct context_walk *w, enum riscv_cause cause,
                                   uint32_t word)
{
    w->cause      = cause;
    w->fault_word = word;
    return CONTEXT_FAULT;
}

/* An entry above the leaves of either directory. */
static enum context_verdict directory_arrived(const struct riscv *v, struct context_walk *w,
                                              uint64_t entry)
{
    const bool process = w->step >= STEP_PROCESS;
    if (!(entry & RISCV_VALID))
        return refuse(w, process ? RISCV_PDT_NOT_VALID : RISCV_DDT_NOT_VALID, 0);
    if (entry & ~(RISCV_VALID | mask_lg2(44) << 10))
        return refuse(w, process ? RISCV_PDT_MISCONFIGURED : RISCV_DDT_MISCONFIGURED, 0);
    if (process)
        read_process(w, RISCV_PPN_53_10(entry), w->step - STEP_PROCESS - 1);
    else
        read_device(v, w, RISCV_PPN_53_10(entry), w->step - 1);
    return CONTEXT_MORE;
}

/* A table of levels that the implementation knows; mode Bare is none. */
static bool decode_stage(const char *format, unsigned mode, uint64_t root,
                         unsigned levels_max, struct xlate_stage *stage)
{
    const unsigned levels = mode - RISCV_SV39 + 3;
    *stage                = (struct xlate_stage){ 0 };
    if (mode == RISCV_BARE)
        return true;
    if (mode < RISCV_SV39 || levels > levels_max)
        return false;
    const struct pt_format *f = ptfmt_find(format);
    *stage = (struct xlate_stage){ f, root, (uint8_t)levels, f->leaf_sizes };
    return true;
}

static bool decode_stage1(const struct riscv *v, uint64_t iosatp, struct xlate_stage *stage)
{
    if (iosatp & RISCV_TABLE_RESERVED)
        return false;
    return decode_stage(v->config->napot ? "rvs1napot" : "rvs1", riscv_table_mode(iosatp),
                        riscv_table_root(iosatp), v->config->stage1_levels_max, stage);
}

/* The first doubleword (2.1.3.1, 2.1.4). */
static bool good_control(const struct riscv *v, uint64_t tc)
{
    const bool pdtv = tc & RISCV_TC_PDTV;
    if (tc
        & (RISCV_TC_RESERVED | RISCV_TC_EN_ATS | RISCV_TC_EN_PRI | RISCV_TC_T2GPA
           | RISCV_TC_PRPR | RISCV_TC_SBE | RISCV_TC_SXL))
        return false;
    if (!v->config->amo_hwad && (tc & (RISCV_TC_GADE | RISCV_TC_SADE)))
        return false;
    return pdtv || !(tc & RISCV_TC_DPE);
}

static bool good_stage2(const struct riscv *v, uint64_t iohgatp, struct xlate_stage *stage)
{
    return decode_stage(v->config->napot ? "rvs2napot" : "rvs2", riscv_table_mode(iohgatp),
                        riscv_table_root(iohgatp), v->config->stage2_levels_max, stage)
           && (stage->format == NULL || (stage->root & mask_lg2(14)) == 0);
}

/* fsc is the process directory's or the first stage's table, as PDTV says. */
static bool good_first_stage(const struct riscv *v, uint64_t tc, uint64_t fsc,
                             struct xlate_context *c)
{
    const unsigned mode = riscv_table_mode(fsc);
    if (!(tc & RISCV_TC_PDTV))
        return decode_stage1(v, fsc, &c->stage1);
    if ((fsc & RISCV_TABLE_RESERVED) || mode > RISCV_PD20
        || (mode != RISCV_BARE && !v->config->process_contexts))
        return false;
    c->needs_process  = true;
    c->process_root   = riscv_table_root(fsc);
    c->process_levels = (uint8_t)mode;
    return true;
}

static bool good_interrupt_files(uint64_t msiptp, const uint64_t *data,
                                 struct xlate_context *c)
{
    const unsigned mode = riscv_table_mode(msiptp);
    if ((msiptp & RISCV_TABLE_RESERVED) || mode > RISCV_MSI_FLAT || data[5] >> 52 != 0
        || data[6] >> 52 != 0)
        return false;
    if (mode == RISCV_MSI_OFF)
        return true;
    c->redirects   = true;
    c->msi_root    = riscv_table_root(msiptp);
    c->msi_mask    = data[5];
    c->msi_pattern = data[6];
    return true;
}

/* The device context is there, all but perhaps the reserved last word (2.1.4: checks). */
static enum context_verdict device_arrived(const struct riscv *v, struct context_walk *w,
                                           const uint64_t *data)
{
    struct xlate_context *c = &w->result;
    if (!(data[0] & RISCV_VALID))
        return refuse(w, RISCV_DDT_NOT_VALID, 0);
    c->attributes = data[0];
    if (!good_control(v, data[0]))
        return refuse(w, RISCV_DDT_MISCONFIGURED, 0);
    if (!good_stage2(v, data[1], &c->stage2))
        return refuse(w, RISCV_DDT_MISCONFIGURED, 1);
    if (data[2] & ~RISCV_TA_PSCID(mask_lg2(20)))
        return refuse(w, RISCV_DDT_MISCONFIGURED, 2);
    if (!good_first_stage(v, data[0], data[3], c))
        return refuse(w, RISCV_DDT_MISCONFIGURED, 3);
    if (v->extended && !good_interrupt_files(data[4], data, c))
        return refuse(w, RISCV_DDT_MISCONFIGURED, 6);
    if (w->words == 8 && data[7] != 0)
        return refuse(w, RISCV_DDT_MISCONFIGURED, 7);
    c->quiet  = data[0] & RISCV_TC_DTF; /* Of the context itself, faults are recorded. */
    c->domain = c->stage2.format != NULL ? riscv_iohgatp_gscid(data[1]) : 0;
    riscv_set_space(c, riscv_ta_pscid(data[2]));
    return CONTEXT_DONE;
}

void riscv_set_space(struct xlate_context *c, uint32_t pscid)
{
    const bool s1 = c->stage1.format != NULL, s2 = c->stage2.format != NULL;
    c->space = space_make(c->domain, s1 ? pscid : 0,
                          (unsigned)(s1 ? STAGE_1 : 0) | (unsigned)(s2 ? STAGE_2 : 0));
}

/* Process context (2.3). */
static enum context_verdict process_arrived(const struct riscv *v, struct context_walk *w,
                                            const uint64_t *data)
{
    struct xlate_context *c = &w->result;
    if (!(data[0] & RISCV_VALID))
        return refuse(w, RISCV_PDT_NOT_VALID, 0);
    if (data[0]
        & ~(RISCV_VALID | RISCV_TA_ENS | RISCV_TA_SUM | RISCV_TA_PSCID(mask_lg2(20))))
        return refuse(w, RISCV_PDT_MISCONFIGURED, 0);
    if (!decode_stage1(v, data[1], &c->stage1))
        return refuse(w, RISCV_PDT_MISCONFIGURED, 1);
    c->needs_process = false;
    c->attributes |= RISCV_FROM_PROCESS;
    c->attributes |= data[0] & RISCV_TA_ENS ? RISCV_ALLOWS_SUPERVISOR : 0;
    c->attributes |= data[0] & RISCV_TA_SUM ? RISCV_SUM : 0;
    riscv_set_space(c, riscv_ta_pscid(data[0]));
    return CONTEXT_DONE;
}

static enum context_verdict riscv_context_next(struct iommu *m, struct context_walk *w,
                                               const uint64_t *data)
{
    const struct riscv *v = riscv_front(m);
    if (data == NULL)
        return refuse(
            w, w->step >= STEP_PROCESS ? RISCV_PDT_ACCESS_FAULT : RISCV_DDT_ACCESS_FAULT,
            0);
    if (w->step == 0)
        return device_arrived(v, w, data);
    if (w->step == STEP_PROCESS)
        return process_arrived(v, w, data);
    return directory_arrived(v, w, data[0]);
}

/* ---- Requests (2.3: the translation of an IOVA)
 * ------------------------------------------
 */

/* Without ATS in the capabilities no context can let a device have a TLB (EN_ATS). */
static enum process_verdict riscv_process(struct iommu *m, const struct iommu_request *q,
                                          const struct xlate_context *device,
                                          struct iommu_response *r, uint32_t *process)
{
    (void)m;
    if (q->type != PORT_UNTRANSLATED) {
        r->cause = RISCV_TYPE_DISALLOWED;
        return PROCESS_FAULT;
    }
    if (!q->has_pasid && !(device->attributes & RISCV_TC_DPE))
        return PROCESS_NONE;
    if (device->process_levels == 0) /* The directory is Bare. */
        return PROCESS_NONE;
    *process = q->has_pasid ? q->pasid : 0;
    if (*process >> riscv_process_lg2(device->process_levels) == 0)
        return PROCESS_NEEDED;
    r->cause = RISCV_TYPE_DISALLOWED;
    return PROCESS_FAULT;
}

/* Sign-extended from the top bit of the first stage's addresses. */
static bool canonical(const struct xlate_stage *stage, uint64_t iova)
{
    const unsigned width = pt_input_lg2(stage->format, stage->levels);
    const uint64_t upper = iova >> (width - 1);
    return upper == 0 || upper == mask_lg2(64 - (width - 1));
}

static enum arch_verdict riscv_check(struct iommu *m, const struct iommu_request *q,
                                     const struct xlate_context *c,
                                     struct iommu_response *r)
{
    uint64_t ignored;
    (void)m;
    if (q->type != PORT_UNTRANSLATED
        || (q->has_pasid && !(c->attributes & RISCV_TC_PDTV)))
        return refuse_request(r, RISCV_TYPE_DISALLOWED);
    if (riscv_supervisor(q) && (c->attributes & RISCV_FROM_PROCESS)
        && !(c->attributes & RISCV_ALLOWS_SUPERVISOR))
        return refuse_request(r, RISCV_TYPE_DISALLOWED);
    if (c->stage1.format != NULL)
        return canonical(&c->stage1, q->iova)
                   ? ARCH_GO
                   : refuse_request(r, riscv_cause(m, q, STAGE_1, DENIED_ABSENT, 0));
    if (c->redirects && riscv_redirects(c, q->iova, &ignored))
        return ARCH_GO;
    if (c->stage2.format == NULL)
        return ARCH_BYPASS;
    if (q->iova >> pt_input_lg2(c->stage2.format, c->stage2.levels) == 0)
        return ARCH_GO;
    return refuse_request(r, riscv_cause(m, q, STAGE_2, DENIED_ABSENT, 0));
}

static uint16_t access_fault(uint8_t access)
{
    return access & PT_WRITE     ? RISCV_WRITE_ACCESS_FAULT
           : access & PT_EXECUTE ? RISCV_FETCH_ACCESS_FAULT
                                 : RISCV_READ_ACCESS_FAULT;
}

uint16_t riscv_cause(const struct iommu *m, const struct iommu_request *q, unsigned stage,
                     enum arch_denial denial, uint8_t prot)
{
    (void)m;
    (void)prot;
    const uint8_t access = riscv_access(q->access, q->has_pasid);
    if (denial == DENIED_BY_FILE) /* They only refuse to be fetched from. */
        return RISCV_FETCH_ACCESS_FAULT;
    if (denial == DENIED_ACCESS)
        return stage == 0 ? RISCV_MSI_ACCESS_FAULT : access_fault(access);
    if (access & PT_WRITE)
        return stage == STAGE_1 ? RISCV_WRITE_PAGE_FAULT : RISCV_WRITE_GUEST_PAGE_FAULT;
    if (access & PT_EXECUTE)
        return stage == STAGE_1 ? RISCV_FETCH_PAGE_FAULT : RISCV_FETCH_GUEST_PAGE_FAULT;
    return stage == STAGE_1 ? RISCV_READ_PAGE_FAULT : RISCV_READ_GUEST_PAGE_FAULT;
}

static bool riscv_allows(const struct iommu_request *q, const struct xlate_context *c,
                         unsigned stage, uint8_t prot)
{
    const bool user      = prot & PT_USER;
    const uint8_t access = riscv_access(q->access, q->has_pasid);
    if ((access & (PT_READ | PT_WRITE | PT_EXECUTE) & ~prot) != 0)
        return false;
    if (stage == STAGE_2 || !riscv_supervisor(q))
        return user;
    return !user || ((c->attributes & RISCV_SUM) && !(access & PT_EXECUTE));
}

static uint64_t riscv_missing(const struct xlate_context *c, unsigned stage, uint8_t access,
                              uint8_t prot)
{
    (void)c;
    (void)stage;
    return (prot & PT_ACCESSED ? 0 : RISCV_PTE_A)
           | (!(access & PT_WRITE) || (prot & PT_DIRTY) ? 0 : RISCV_PTE_D);
}

static bool riscv_updates(const struct xlate_context *c, unsigned stage)
{
    return c->attributes & (stage == STAGE_1 ? RISCV_TC_SADE : RISCV_TC_GADE);
}

static bool riscv_serves(const struct iommu *m, const struct iommu_request *q,
                         const struct xlate_context *c, const struct iotlb_entry *e)
{
    (void)c;
    const struct riscv *v = m->front;
    const uint8_t marks   = e->prot1 & e->prot2;
    return (marks & PT_ACCESSED)
           && (!(q->access & PT_WRITE) || !v->config->recheck_dirty || (marks & PT_DIRTY));
}

/* ---- Interrupt files (2.1.3.6; AIA, "MSI page table")
 * ------------------------------------
 */

/* The bits of x at the places of mask, packed together. */
static uint64_t extract(uint64_t x, uint64_t mask)
{
    uint64_t packed = 0;
    for (unsigned to = 0; mask != 0; mask &= mask - 1, to++)
        packed |= (x >> __builtin_ctzll(mask) & 1) << to;
    return packed;
}

bool riscv_redirects(const struct xlate_context *c, uint64_t guest, uint64_t *pa)
{
    const uint64_t page = guest >> 12;
    if (((page ^ c->msi_pattern) & ~c->msi_mask) != 0)
        return false;
    *pa = c->msi_root + 16 * extract(page, c->msi_mask);
    return true;
}

/* The second word of an entry in basic mode is ignored. */
static bool riscv_redirected(const uint64_t *words, struct pt_item *item, uint16_t *cause)
{
    const uint64_t entry = words[0];
    if (!(entry & RISCV_VALID)) {
        *cause = RISCV_MSI_NOT_VALID;
        return false;
    }
    if (RISCV_MSI_MODE(entry) != RISCV_MSI_BASIC || (entry & RISCV_MSI_RESERVED)) {
        *cause = RISCV_MSI_MISCONFIGURED;
        return false;
    }
    *item = (struct pt_item){ .kind     = PT_LEAF,
                              .page_lg2 = 12,
                              .prot = PT_READ | PT_WRITE | PT_USER | PT_ACCESSED | PT_DIRTY,
                              .pa   = RISCV_PPN_53_10(entry) };
    return true;
}

/* ---- Faults (3.2)
 * -------------------------------------------------------------------------
 */

/* What comes before the refusal of every request of ATS. */
static bool riscv_aborts(uint16_t cause)
{
    return cause == RISCV_DDT_ACCESS_FAULT || cause == RISCV_DDT_MISCONFIGURED;
}

static bool is_guest_fault(uint16_t cause)
{
    return cause >= RISCV_FETCH_GUEST_PAGE_FAULT && cause <= RISCV_WRITE_GUEST_PAGE_FAULT;
}

/* Translated requests are as far behind untranslated ones as their kinds are. */
static uint64_t transaction_type(const struct iommu_fault *f)
{
    const uint8_t access = riscv_access(f->access, f->has_pasid);
    const uint64_t kind  = access & PT_WRITE     ? RISCV_TTYP_WRITE
                           : access & PT_EXECUTE ? RISCV_TTYP_FETCH
                                                 : RISCV_TTYP_READ;
    if (f->type == PORT_TRANSLATION)
        return RISCV_TTYP_TRANSLATION;
    return f->type == PORT_TRANSLATED
               ? kind + RISCV_TTYP_TRANSLATED_FETCH - RISCV_TTYP_FETCH
               : kind;
}

/* A guest page fault without a walk is the request's own address's. */
static void riscv_record(struct iommu *m, const struct iommu_fault *f, cycle_t now)
{
    const uint64_t guest = !is_guest_fault(f->cause) ? 0
                           : f->has_guest            ? f->guest & ~UINT64_C(3)
                                                     : f->iova & ~UINT64_C(3);
    const uint64_t how   = (f->implicit ? RISCV_IOTVAL2_IMPLICIT : 0)
                         | (f->implicit_write ? RISCV_IOTVAL2_WRITE : 0);
    const uint64_t record[FAULTQ_WORDS] = {
        bits_put(f->cause, 11, 0) | bits_put(f->has_pasid ? f->pasid : 0, 31, 12)
            | (f->has_pasid ? RISCV_FAULT_PV : 0)
            | (f->has_pasid && f->privileged ? RISCV_FAULT_PRIV : 0)
            | bits_put(transaction_type(f), 39, 34) | bits_put(f->requester, 63, 40),
        0, f->iova, guest | how
    };
    faultq_push(m, record, now);
}

/* By its PSCID: the driver maps in the first stage alone. */
static space_t riscv_space(const struct iommu *m, uint32_t number)
{
    (void)m;
    return space_make(0, number, STAGE_1);
}

const struct iommu_arch arch_riscv = {
    .name          = "riscv",
    .summary       = "RISC-V IOMMU 1.0, device and process directories, two stages",
    .params        = &riscv_param_table,
    .window_bytes  = RISCV_WINDOW_BYTES,
    .command_bytes = RISCV_COMMAND_BYTES,
    .requester_lg2 = 24,
    .pasid_lg2     = 20,
    .space         = riscv_space,
    .init          = riscv_init,
    .free          = riscv_free,
    .write         = riscv_write,
    .read          = riscv_read,
    .admit         = riscv_admit,
    .context_first = riscv_context_first,
    .context_next  = riscv_context_next,
    .process       = riscv_process,
    .check         = riscv_check,
    .cause         = riscv_cause,
    .allows        = riscv_allows,
    .missing       = riscv_missing,
    .updates       = riscv_updates,
    .serves        = riscv_serves,
    .redirects     = riscv_redirects,
    .redirected    = riscv_redirected,
    .event         = riscv_event,
    .aborts        = riscv_aborts,
    .record        = riscv_record,
    .decode        = riscv_decode,
    .illegal       = riscv_illegal,
    .completed     = riscv_completed,
};
