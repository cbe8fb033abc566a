/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtd_scalable - VT-d's scalable mode: PASID tables, first, second and both stages.
 *
 * Source: Intel VT-d architecture specification, chapters 3 (address translation), 7.2
 * (fault reasons) and 9 (formats). A device's context is its context entry, a process's is
 * an entry of the PASID table; requests without a PASID use the context's RID_PASID.
 *
 * Inaccuracies: accessed bits of first-stage entries that point to tables are not set; a
 * global bit of a first-stage leaf is ignored; second-stage accessed and dirty bits, page
 * request and execute requests are not offered; a second-stage entry without any right is
 * reported as SSS.2, one that lacks the right asked for as SGN.5 or SGN.6.
 */
#include "iommu_model/vtd.h"

#define X86_ACCESSED (UINT64_C(1) << 5)
#define X86_DIRTY    (UINT64_C(1) << 6)

/* ---- Tables -----------------------------------------------------------------------------
 */

/* The directory entry for 64 PASIDs. */
void vtd_process_first(struct context_walk *w)
{
    w->step  = VTD_READ_DIRECTORY;
    w->pa    = w->result.process_root + (uint64_t)(w->pasid >> 6) * 8;
    w->words = 1;
}

/* The lower half of a root entry is of functions 0 to 127, the upper of the others (9.2).
 */
static enum context_verdict root_arrived(struct context_walk *w, const uint64_t *data)
{
    const unsigned function = w->requester & 0xff;
    const uint64_t half     = data[function >= 128];
    if (!(half & VTD_PRESENT))
        return vtd_refuse(w, VTD_SRT_ABSENT);
    if (half & ~(VTD_PRESENT | VTD_TABLE_MASK))
        return vtd_refuse(w, VTD_SRT_RESERVED);
    w->step  = VTD_READ_CONTEXT;
    w->pa    = (half & VTD_TABLE_MASK) + (uint64_t)(function % 128) * VTD_SM_CONTEXT_BYTES;
    w->words = VTD_SM_CONTEXT_BYTES / 8;
    return CONTEXT_MORE;
}

/* Context entry (9.4). */
static enum context_verdict context_arrived(const struct vtd *v, struct context_walk *w,
                                            const uint64_t *data)
{
    const uint64_t known = VTD_PRESENT | VTD_CONTEXT_FPD | VTD_SM_DTE | VTD_SM_PASIDE
                           | VTD_SM_PDTS(UINT64_C(7)) | VTD_TABLE_MASK;
    struct xlate_context *c = &w->result;
    c->quiet                = data[0] & VTD_CONTEXT_FPD; /* Of absent ones, too. */
    if (!(data[0] & VTD_PRESENT))
        return vtd_refuse(w, VTD_SCT_ABSENT);
    if ((data[0] & ~known) || (data[1] & ~(mask_lg2(20) | VTD_SM_RID_PRIV)) || data[2] != 0
        || data[3] != 0)
        return vtd_refuse(w, VTD_SCT_RESERVED);
    if ((data[0] & VTD_SM_DTE) && !v->config->device_tlb)
        return vtd_refuse(w, VTD_SCT_INVALID);
    if (vtd_sm_rid_pasid(data[1]) >> vtd_sm_pasid_lg2(data[0]) != 0)
        return vtd_refuse(w, VTD_SCT_RID_PASID);
    c->needs_process = true;
    c->process_root  = data[0] & VTD_TABLE_MASK;
    c->attributes    = vtd_sm_rid_pasid(data[1]) | (uint64_t)vtd_sm_pasid_lg2(data[0]) << 32
                    | (data[0] & VTD_SM_DTE ? VTD_HAS_DEVICE_TLB : 0)
                    | (data[0] & VTD_SM_PASIDE ? VTD_HAS_PASIDS : 0)
                    | (data[1] & VTD_SM_RID_PRIV ? VTD_RID_PRIVILEGED : 0);
    return CONTEXT_DONE;
}

/* PASID directory entry (9.5). */
static enum context_verdict directory_arrived(struct context_walk *w, uint64_t entry)
{
    w->result.quiet = w->result.quiet || (entry & VTD_CONTEXT_FPD);
    if (!(entry & VTD_PRESENT))
        return vtd_refuse(w, VTD_SPD_ABSENT);
    if (entry & ~(VTD_PRESENT | VTD_CONTEXT_FPD | VTD_TABLE_MASK))
        return vtd_refuse(w, VTD_SPD_RESERVED);
    w->step  = VTD_READ_PASID;
    w->pa    = (entry & VTD_TABLE_MASK) + (uint64_t)(w->pasid & 63) * VTD_PASID_BYTES;
    w->words = VTD_PASID_BYTES / 8;
    return CONTEXT_MORE;
}

static bool first_stage(const struct vtd_config *v, uint64_t word,
                        struct xlate_stage *stage)
{
    const unsigned flpm = (unsigned)bits_get(word, 3, 2);
    *stage =
        (struct xlate_stage){ ptfmt_find("x86"), word & VTD_TABLE_MASK, (uint8_t)(flpm + 4),
                              UINT64_C(1) << 12 | UINT64_C(1) << 21
                                  | (uint64_t)v->first_1g << 30 };
    return v->first_stage && flpm + 4 <= v->first_levels_max;
}

static bool second_stage(const struct vtd_config *v, uint64_t word,
                         struct xlate_stage *stage)
{
    const unsigned levels = vtd_pasid_aw(word) + 2;
    *stage = (struct xlate_stage){ ptfmt_find("vtdss"), word & VTD_TABLE_MASK,
                                   (uint8_t)levels, vtd_leaf_sizes(v) };
    return levels >= 3 && levels <= v->levels_max;
}

static bool stages(const struct vtd_config *v, const uint64_t *data,
                   struct xlate_context *c)
{
    struct xlate_stage ignored;
    switch (vtd_pasid_pgtt(data[0])) {
    case VTD_PGTT_FIRST:
        return first_stage(v, data[2], &c->stage1);
    case VTD_PGTT_SECOND:
        return second_stage(v, data[0], &c->stage2);
    case VTD_PGTT_NESTED:
        return v->nested && first_stage(v, data[2], &c->stage1)
               && second_stage(v, data[0], &c->stage2);
    case VTD_PGTT_PASS_THROUGH:
        return second_stage(v, data[0], &ignored); /* AW counts. */
    default:
        return false;
    }
}

static bool reserved(const uint64_t *data)
{
    const uint64_t low = VTD_PRESENT | VTD_CONTEXT_FPD | bits_put(7, 4, 2)
                         | bits_put(7, 8, 6) | VTD_TABLE_MASK;
    const uint64_t first =
        VTD_PASID_SRE | bits_put(3, 3, 2) | VTD_PASID_WPE | VTD_TABLE_MASK;
    return (data[0] & ~low) || (data[1] & ~(mask_lg2(16) | VTD_PASID_SNOOP))
           || (data[2] & ~first) || data[3] || data[4] || data[5] || data[6] || data[7];
}

/* PASID table entry (9.6). */
static enum context_verdict pasid_arrived(const struct vtd *v, struct context_walk *w,
                                          const uint64_t *data)
{
    struct xlate_context *c = &w->result;
    const uint32_t domain   = (uint32_t)bits_get(data[1], 15, 0);
    c->quiet                = c->quiet || (data[0] & VTD_CONTEXT_FPD);
    if (!(data[0] & VTD_PRESENT))
        return vtd_refuse(w, VTD_SPT_ABSENT);
    if (reserved(data))
        return vtd_refuse(w, VTD_SPT_RESERVED);
    if (!stages(v->config, data, c))
        return vtd_refuse(w, VTD_SPT_INVALID);
    const bool s1    = c->stage1.format != NULL;
    const unsigned s = (s1 ? STAGE_1 : 0u) | (c->stage2.format != NULL ? STAGE_2 : 0u);
    c->needs_process = false;
    c->attributes |= (data[2] & VTD_PASID_SRE ? VTD_ALLOWS_PRIV : 0)
                     | (data[2] & VTD_PASID_WPE ? VTD_PROTECTS_WRITES : 0);
    c->domain = domain;
    c->space  = space_make(domain, s1 ? w->pasid : 0, s);
    return CONTEXT_DONE;
}

/* There is no memory where the table should be. */
static enum vtd_fault access_fault(const struct context_walk *w)
{
    static const enum vtd_fault of[] = { [VTD_READ_ROOT]      = VTD_SRT_ACCESS,
                                         [VTD_READ_CONTEXT]   = VTD_SCT_ACCESS,
                                         [VTD_READ_DIRECTORY] = VTD_SPD_ACCESS,
                                         [VTD_READ_PASID]     = VTD_SPT_ACCESS };
    return of[w->step];
}

enum context_verdict vtd_scalable_next(struct iommu *m, struct context_walk *w,
                                       const uint64_t *data)
{
    if (data == NULL)
        return vtd_refuse(w, access_fault(w));
    switch ((enum vtd_context_step)w->step) {
    case VTD_READ_ROOT:
        return root_arrived(w, data);
    case VTD_READ_CONTEXT:
        return context_arrived(m->front, w, data);
    case VTD_READ_DIRECTORY:
        return directory_arrived(w, data[0]);
    case VTD_READ_PASID:
        return pasid_arrived(m->front, w, data);
    }
    UNREACHABLE("a table is one of four");
}

/* ---- Requests
 * ----------------------------------------------------------------------------- */

static enum process_verdict refuse_process(struct iommu_response *r, enum vtd_fault cause)
{
    r->cause = (uint16_t)cause;
    return PROCESS_FAULT;
}

enum process_verdict vtd_process(struct iommu *m, const struct iommu_request *q,
                                 const struct xlate_context *device,
                                 struct iommu_response *r, uint32_t *process)
{
    const uint64_t a     = device->attributes;
    const unsigned width = (unsigned)bits_get(a, 39, 32);
    const uint32_t own   = vtd_front(m)->config->pasid_lg2;
    if (q->type != PORT_UNTRANSLATED && !(a & VTD_HAS_DEVICE_TLB))
        return refuse_process(r, VTD_SCT_NO_DEVICE_TLB);
    if (q->has_pasid && !(a & VTD_HAS_PASIDS))
        return refuse_process(r, VTD_SCT_NO_PASID);
    *process = q->has_pasid ? q->pasid : (uint32_t)bits_get(a, 19, 0);
    if (*process >> (width < own ? width : own) != 0)
        return refuse_process(r, VTD_SCT_PASID_TOO_LARGE);
    return q->type == PORT_TRANSLATED ? PROCESS_NONE : PROCESS_NEEDED;
}

/* Sign-extended from the top bit of the first stage's addresses. */
static bool canonical(const struct xlate_stage *stage, uint64_t iova)
{
    const unsigned width = pt_input_lg2(stage->format, stage->levels);
    const uint64_t upper = iova >> (width - 1);
    return upper == 0 || upper == mask_lg2(64 - (width - 1));
}

static bool privileged(const struct iommu_request *q, const struct xlate_context *c)
{
    return q->has_pasid ? q->privileged : (c->attributes & VTD_RID_PRIVILEGED) != 0;
}

enum arch_verdict vtd_scalable_check(const struct iommu_request *q,
                                     const struct xlate_context *c,
                                     struct iommu_response *r)
{
    if (q->type == PORT_TRANSLATED)
        return ARCH_BYPASS; /* vtd_process has looked at the context entry. */
    if (c->stage1.format != NULL) {
        if (privileged(q, c) && !(c->attributes & VTD_ALLOWS_PRIV))
            return vtd_refuse_request(r, VTD_SPT_NO_PRIVILEGE);
        return canonical(&c->stage1, q->iova)
                   ? ARCH_GO
                   : vtd_refuse_request(r, VTD_SGN_NOT_CANONICAL);
    }
    if (c->stage2.format == NULL)
        return ARCH_BYPASS;
    if (q->iova >> pt_input_lg2(c->stage2.format, c->stage2.levels) != 0)
        return vtd_refuse_request(r, VTD_SGN_BEYOND_WIDTH);
    return ARCH_GO;
}

uint16_t vtd_scalable_cause(const struct iommu_request *q, unsigned stage,
                            enum arch_denial denial, uint8_t prot)
{
    const bool first = stage == STAGE_1;
    if (denial == DENIED_ACCESS)
        return first ? VTD_SFS_ACCESS : VTD_SSS_ACCESS;
    if (denial == DENIED_MALFORMED)
        return first ? VTD_SFS_RESERVED : VTD_SSS_RESERVED;
    if (denial == DENIED_ABSENT)
        return first ? VTD_SFS_ABSENT : VTD_SSS_ABSENT;
    if ((q->access & PT_WRITE) && !(prot & PT_WRITE))
        return VTD_SGN_WRITE;
    if (first && !(prot & PT_USER))
        return VTD_SGN_USER;
    return q->access & PT_WRITE ? VTD_SGN_WRITE : VTD_SGN_READ;
}

/* ---- Rights, accessed and dirty bits
 * ------------------------------------------------------- */

bool vtd_allows(const struct iommu_request *q, const struct xlate_context *c,
                unsigned stage, uint8_t prot)
{
    const uint8_t lacks = q->access & (PT_READ | PT_WRITE) & (uint8_t)~prot;
    if (stage == STAGE_2)
        return lacks == 0;
    if (!privileged(q, c))
        return lacks == 0 && (prot & PT_USER);
    return (lacks & ~PT_WRITE) == 0
           && (lacks == 0 || !(c->attributes & VTD_PROTECTS_WRITES));
}

uint64_t vtd_missing(const struct xlate_context *c, unsigned stage, uint8_t access,
                     uint8_t prot)
{
    (void)c;
    if (stage == STAGE_2)
        return 0;
    return (prot & PT_ACCESSED ? 0 : X86_ACCESSED)
           | (!(access & PT_WRITE) || (prot & PT_DIRTY) ? 0 : X86_DIRTY);
}

/* The first stage's are always set by the hardware. */
bool vtd_updates(const struct xlate_context *c, unsigned stage)
{
    (void)c;
    return stage == STAGE_1;
}

/* A first write needs the dirty bit set: by another walk. */
bool vtd_serves(const struct iommu *m, const struct iommu_request *q,
                const struct xlate_context *c, const struct iotlb_entry *e)
{
    const bool writes =
        (q->access & PT_WRITE) || (q->type == PORT_TRANSLATION && !q->no_write);
    (void)m;
    if (!writes || e->prot1 == PT_ALL || (e->prot1 & PT_DIRTY))
        return true;
    struct iommu_request write = *q;
    write.access               = PT_WRITE;
    return !vtd_allows(&write, c, STAGE_1, e->prot1); /* There is no write to mark. */
}
