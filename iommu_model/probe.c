/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe - what a request would be answered now, without any effect and in no time.
 *
 * For debuggers and direct memory interfaces. It goes the way of a translation (admission,
 * context, IOTLB, tables) by the same verbs of the architecture, on contents as memory has
 * them now.
 *
 * Inaccuracies: walk caches are not asked, so that a table which software has replaced
 * without an invalidation is found where it lies now.
 */
#include "iommu_model/arch.h"

enum { CONTEXT_STEPS_MAX = 32 };

struct probe {
    struct iommu *m;
    const struct iommu_request *request;
    struct iommu_response *response;
    bool marks;
};

static bool peek(struct iommu *m, uint64_t pa, uint32_t words, uint64_t *data)
{
    const struct memport_remote *remote = m->config.remote;
    if (pa > m->pa_last)
        return false;
    if (remote != NULL)
        return remote->peek(remote->self, pa, words, data);
    for (uint32_t i = 0; i < words; i++)
        data[i] = memory_read64(m->memory, pa + 8 * i);
    return true;
}

static bool denied(struct probe *p, uint16_t cause)
{
    p->response->outcome = XLATE_faulted;
    p->response->cause   = cause;
    return false;
}

static uint16_t cause_of(const struct probe *p, unsigned stage, enum arch_denial denial,
                         uint8_t prot)
{
    return p->m->arch->cause(p->m, p->request, stage, denial, prot);
}

/* ---- Tables -----------------------------------------------------------------------------
 */

static bool good_leaf(const struct xlate_stage *s, const struct pt_item *item)
{
    return item->kind == PT_LEAF && (s->leaf_sizes >> item->page_lg2 & 1);
}

/* The leaf of the second stage for a guest-physical address. */
static bool find_stage2(struct iommu *m, const struct xlate_stage *s, uint64_t guest,
                        struct pt_item *leaf)
{
    uint64_t table = s->root, entry;
    uint8_t above  = PT_NO_TABLES;
    if (guest >> pt_input_lg2(s->format, s->levels) != 0)
        return false;
    for (unsigned level = s->levels; level-- > 0;) {
        const bool root = level + 1u == s->levels;
        if (!peek(m, table + pt_entry_offset(s->format, level, root, guest), 1, &entry))
            return false;
        *leaf      = s->format->decode(entry, level);
        leaf->prot = pt_below(above, leaf->prot);
        if (leaf->kind != PT_TABLE)
            return good_leaf(s, leaf);
        above = leaf->prot;
        table = leaf->pa;
    }
    return false;
}

/* Where a table that lies at a guest-physical address really is. */
static bool find_table(struct iommu *m, const struct xlate_context *c, uint64_t *address)
{
    static const struct iommu_request own = { .access = PT_READ };
    struct pt_item leaf;
    if (c->stage2.format == NULL)
        return true;
    if (!find_stage2(m, &c->stage2, *address, &leaf)
        || !m->arch->allows(&own, c, STAGE_2, leaf.prot))
        return false;
    *address = leaf.pa | (*address & mask_lg2(leaf.page_lg2));
    return true;
}

static bool find_stage1(struct iommu *m, const struct xlate_context *c, uint64_t iova,
                        struct pt_item *leaf)
{
    const struct xlate_stage *s = &c->stage1;
    uint64_t table              = s->root, entry;
    uint8_t above               = PT_NO_TABLES;
    for (unsigned level = s->levels; level-- > 0;) {
        const bool root = level + 1u == s->levels;
        uint64_t at     = table + pt_entry_offset(s->format, level, root, iova);
        if (!find_table(m, c, &at) || !peek(m, at, 1, &entry))
            return false;
        *leaf      = s->format->decode(entry, level);
        leaf->prot = pt_below(above, leaf->prot);
        if (leaf->kind != PT_TABLE)
            return good_leaf(s, leaf);
        above = leaf->prot;
        table = leaf->pa;
    }
    return false;
}

/* Whether the stage lets the request pass; notes what a walk would have to write. */
static bool passes(struct probe *p, const struct xlate_context *c, unsigned stage,
                   uint8_t prot)
{
    const struct iommu_arch *arch = p->m->arch;
    if (!arch->allows(p->request, c, stage, prot))
        return denied(p, cause_of(p, stage, DENIED_PERMISSION, prot));
    if (arch->missing(c, stage, p->request->access, prot) == 0)
        return true;
    p->marks = true;
    return arch->updates(c, stage) || denied(p, cause_of(p, stage, DENIED_UNMARKED, prot));
}

/* ---- Pages ------------------------------------------------------------------------------
 */

static void answer(struct probe *p, uint64_t pa, unsigned page_lg2, uint8_t prot)
{
    struct iommu_response *r = p->response;
    r->outcome               = XLATE_walked;
    r->pa                    = pa | (p->request->iova & mask_lg2(12));
    r->page_lg2              = (uint8_t)page_lg2;
    r->prot                  = prot;
}

/* An interrupt file's page. */
static bool probe_file(struct probe *p, const struct xlate_context *c, uint64_t entry)
{
    uint64_t words[2];
    uint16_t cause;
    struct pt_item item;
    if (!peek(p->m, entry, 2, words))
        return denied(p, cause_of(p, 0, DENIED_ACCESS, 0));
    if (!p->m->arch->redirected(words, &item, &cause))
        return denied(p, cause);
    if (!passes(p, c, STAGE_2, item.prot))
        return false;
    answer(p, item.pa, 12, item.prot);
    return true;
}

static bool probe_tables(struct probe *p, const struct xlate_context *c)
{
    const uint64_t iova = p->request->iova;
    uint64_t guest      = iova, entry;
    unsigned lg2        = 63;
    uint8_t prot        = PT_ALL;
    struct pt_item leaf;
    if (c->stage1.format != NULL) {
        if (!find_stage1(p->m, c, iova, &leaf))
            return denied(p, cause_of(p, STAGE_1, DENIED_ABSENT, 0));
        if (!passes(p, c, STAGE_1, leaf.prot))
            return false;
        guest = leaf.pa | (iova & mask_lg2(leaf.page_lg2));
        lg2   = leaf.page_lg2;
        prot  = leaf.prot;
    }
    if (c->redirects && p->m->arch->redirects(c, guest, &entry))
        return probe_file(p, c, entry);
    if (c->stage2.format != NULL) {
        if (!find_stage2(p->m, &c->stage2, guest, &leaf))
            return denied(p, cause_of(p, STAGE_2, DENIED_ABSENT, 0));
        if (!passes(p, c, STAGE_2, leaf.prot))
            return false;
        guest = leaf.pa | (guest & mask_lg2(leaf.page_lg2));
        lg2   = leaf.page_lg2 < lg2 ? leaf.page_lg2 : lg2;
        prot &= leaf.prot;
    }
    answer(p, align_down(guest, 12), c->redirects ? 12 : lg2, prot);
    return true;
}

static bool probe_page(struct probe *p, const struct xlate_context *c)
{
    if (c->refused != 0)
        return denied(p, c->refused);
    struct iommu *m                 = p->m;
    const struct iommu_request *q   = p->request;
    const struct iotlb_entry *e     = iotlb_probe(&m->iotlb, c->space, q->iova);
    const enum arch_verdict verdict = m->arch->check(m, q, c, p->response);
    p->response->space              = c->space;
    if (verdict == ARCH_FAULT || verdict == ARCH_REFUSED)
        return denied(p, p->response->cause);
    if (verdict == ARCH_BYPASS) {
        answer(p, align_down(q->iova, 12), 12, PT_READ | PT_WRITE | PT_EXECUTE);
        p->response->outcome = XLATE_bypassed;
        return true;
    }
    if (e == NULL || !m->arch->serves(m, q, c, e))
        return probe_tables(p, c);
    const unsigned stage = xlate_denying_stage(m, q, c, e);
    if (stage != 0)
        return denied(p, xlate_denied_cause(m, q, stage, e));
    xlate_answer(m, q, c, e, p->response);
    p->response->outcome = XLATE_hit;
    return true;
}

/* ---- Contexts ---------------------------------------------------------------------------
 */

/* Reads the context that w is set up for; what lies at guest-physical addresses is looked
 * for through the second stage. */
static bool read_context(struct probe *p, struct context_walk *w)
{
    uint64_t data[MEMPORT_WORDS_MAX] = { 0 };
    p->m->arch->context_first(p->m, w);
    for (unsigned step = 0; step < CONTEXT_STEPS_MAX; step++) {
        uint64_t pa = w->pa;
        if (w->guest && !find_table(p->m, &w->result, &pa))
            return denied(p, cause_of(p, STAGE_2, DENIED_ABSENT, 0));
        const bool there = peek(p->m, pa, w->words, data);
        switch (p->m->arch->context_next(p->m, w, there ? data : NULL)) {
        case CONTEXT_DONE:
            return true;
        case CONTEXT_FAULT:
            return denied(p, w->cause);
        case CONTEXT_MORE:
            break;
        }
    }
    return denied(p, 0);
}

static bool probe_process(struct probe *p, struct context_walk *w, uint32_t process)
{
    const uint32_t requester = p->request->requester;
    const struct xlate_context *cached =
        context_cache_probe(&p->m->process_contexts, context_key(requester, process));
    if (cached != NULL) {
        w->result = *cached;
        return true;
    }
    w->process = true;
    w->pasid   = process;
    w->step    = 0;
    w->guest   = false;
    return read_context(p, w);
}

static bool probe_context(struct probe *p, struct context_walk *w)
{
    struct iommu *m = p->m;
    uint32_t process;
    const struct xlate_context *cached =
        context_cache_probe(&m->device_contexts, context_key(p->request->requester, 0));
    *w = (struct context_walk){ .requester = p->request->requester };
    if (cached != NULL)
        w->result = *cached;
    else if (!read_context(p, w))
        return false;
    if (!w->result.needs_process)
        return true;
    switch (m->arch->process(m, p->request, &w->result, p->response, &process)) {
    case PROCESS_NONE:
        return true;
    case PROCESS_FAULT:
        return denied(p, p->response->cause);
    case PROCESS_NEEDED:
        return probe_process(p, w, process);
    }
    UNREACHABLE("a process context is needed or not");
}

void iommu_probe(struct iommu *m, const struct iommu_request *request,
                 struct iommu_response *response, bool *marks)
{
    struct probe p = { m, request, response, false };
    struct context_walk w;
    *response = (struct iommu_response){ .iova = request->iova, .id = request->id };
    switch (m->arch->admit(m, request, response)) {
    case ARCH_FAULT:
    case ARCH_REFUSED:
        denied(&p, response->cause);
        break;
    case ARCH_BYPASS:
        answer(&p, align_down(request->iova, 12), 12, PT_READ | PT_WRITE | PT_EXECUTE);
        response->outcome = XLATE_bypassed;
        break;
    case ARCH_GO:
        if (probe_context(&p, &w))
            probe_page(&p, &w.result);
        break;
    }
    *marks = p.marks;
}
