/* SPDX-License-Identifier: Apache-2.0 */
/* What the translation logic makes of a request, from the registers alone. */
#include "sim/test/rtl_fsm_walk.h"

enum { OFF = 0, BARE = 1, ONE_LEVEL = 2, TWO_LEVELS = 3 };

#define TC_DTF  (UINT64_C(1) << 4)
#define TC_PDTV (UINT64_C(1) << 5)
#define TC_DPE  (UINT64_C(1) << 9)

static void refuse(struct fsm_look *l, uint16_t cause)
{
    l->error = true;
    l->cause = cause;
}

/* Before any cache is looked at. */
static void look_at_mode(struct fsm_look *l, uint64_t mode)
{
    const uint32_t device = l->request.device;
    if (mode == OFF) {
        refuse(l, 256);
        l->report_always = true;
    } else if (mode == BARE) {
        l->valid = true;
        l->pa    = l->request.iova;
    } else if ((mode == ONE_LEVEL && device >> 6 != 0)
               || (mode == TWO_LEVELS && device >> 15 != 0)) {
        refuse(l, 260);
        l->report_always = true;
    } else {
        l->context_access = true;
    }
}

static bool process_too_wide(const struct fsm_look *l)
{
    const uint64_t mode = FSM_MODE(l->dc.fsc);
    return (mode == 1 && l->process >> 8 != 0) || (mode == 2 && l->process >> 17 != 0);
}

static void use_tables(struct fsm_look *l, uint64_t ta, uint64_t fsc)
{
    l->iotlb_access = true;
    l->gscid        = (uint32_t)(l->dc.iohgatp >> 44 & 0xffff);
    l->root2        = FSM_ROOT(l->dc.iohgatp);
    l->pscid        = (uint32_t)(ta >> 12 & 0xfffff);
    l->root1        = FSM_ROOT(fsc);
}

static void look_at_process(struct fsm_look *l, const struct fsm *f)
{
    l->process_access = true;
    l->page           = fsm_pdtc_look(&f->pdtc, l->request.device, l->process);
    if (l->page == FSM_MISS)
        return;
    l->pc = f->pdtc.entry[l->page].pc;
    use_tables(l, l->pc.ta, l->pc.fsc);
}

static void look_at_context(struct fsm_look *l, const struct fsm *f)
{
    l->context = fsm_ddtc_look(&f->ddtc, l->request.device);
    if (l->context == FSM_MISS)
        return;
    l->dc           = f->ddtc.entry[l->context].dc;
    const bool pdtv = (l->dc.tc & TC_PDTV) != 0, dpe = (l->dc.tc & TC_DPE) != 0;
    const bool valid = l->request.has_process;
    l->process       = !valid && dpe ? 0 : l->request.process;
    if (valid && (!pdtv || process_too_wide(l)))
        refuse(l, 260);
    else if (!pdtv)
        use_tables(l, l->dc.ta, l->dc.fsc);
    else if ((!valid && !dpe) || FSM_MODE(l->dc.fsc) == 0)
        use_tables(l, 0, 0);
    else
        look_at_process(l, f);
    l->s1 = FSM_MODE(pdtv ? l->pc.fsc : l->dc.fsc) != 0;
    l->s2 = FSM_MODE(l->dc.iohgatp) != 0;
}

/* ---- The address -----------------------------------------------------------------------
 */

static uint64_t merge(uint64_t pa, uint64_t from, unsigned high)
{
    const uint64_t mask = ((UINT64_C(2) << high) - 1) & ~UINT64_C(0xfff);
    return (pa & ~mask) | (from & mask);
}

/* With both stages. A small page in a large one of the second stage takes its bits from
 * the wrong end of the entry: the RTL's own way. */
static uint64_t nested_address(const struct fsm_iotlb_entry *e, uint64_t iova, uint64_t pa)
{
    const uint64_t page1 = FSM_PPN(e->pte1);
    if (e->s2_2m)
        return merge(pa, e->s1_2m || e->s1_1g ? iova : page1, 20);
    if (!e->s2_1g)
        return pa;
    if (e->s1_1g)
        return merge(pa, iova, 29);
    return merge(pa, e->s1_2m ? merge(page1, iova, 20) : page1, 29);
}

static uint64_t address(const struct fsm_look *l, const struct fsm_iotlb_entry *e)
{
    const uint64_t iova = l->request.iova;
    uint64_t pa         = FSM_PPN(l->s2 ? e->pte2 : e->pte1) << 12 | (iova & 0xfff);
    if (l->s1 && l->s2)
        return nested_address(e, iova, pa);
    if (e->s1_1g || e->s2_1g)
        pa = merge(pa, iova, 29);
    if (e->s1_2m || e->s2_2m)
        pa = merge(pa, iova, 20);
    return pa;
}

static void use_entry(struct fsm_look *l, const struct fsm_iotlb_entry *e)
{
    const bool write1 = (e->pte1 >> 2 & 1) != 0, write2 = (e->pte2 >> 2 & 1) != 0;
    const bool user = (e->pte1 >> 4 & 1) != 0;
    if (l->s1 && (!user || (l->store && !write1)))
        refuse(l, l->store ? 15 : 13);
    else if (l->s2 && l->store && !write2)
        refuse(l, 23);
    else {
        l->valid = true;
        l->pa    = address(l, e);
    }
}

static void look_at_iotlb(struct fsm_look *l, const struct fsm *f)
{
    const struct fsm_iotlb_key key = { .iova  = l->request.iova,
                                       .pscid = l->pscid,
                                       .gscid = l->gscid,
                                       .en1   = l->s1,
                                       .en2   = l->s2 };
    const bool stage               = l->s1 || l->s2;
    if (l->iotlb_access) {
        l->iotlb      = fsm_iotlb_look(&f->iotlb, &key);
        l->ptw_starts = l->iotlb == FSM_MISS && stage;
    }
    if (l->iotlb != FSM_MISS)
        use_entry(l, &f->iotlb.entry[l->iotlb]);
    if (l->context == FSM_MISS || stage || l->error)
        return;
    if (l->page != FSM_MISS || (l->dc.tc & TC_PDTV) == 0
        || !(l->request.has_process || (l->dc.tc & TC_DPE) != 0)) {
        l->valid = true;
        l->pa    = l->request.iova;
    }
}

void fsm_look(const struct fsm *f, const struct fsm_in *in, struct fsm_look *look)
{
    *look = (struct fsm_look){ .context = FSM_MISS, .page = FSM_MISS, .iotlb = FSM_MISS };
    if (f->front.state == FSM_FRONT_IDLE)
        return;
    look->active  = true;
    look->store   = f->front.state == FSM_FRONT_WRITE;
    look->request = in->port[look->store ? FSM_AW : FSM_AR];
    look->process = look->request.process;
    look_at_mode(look, f->config.ddtp & 0xf);
    if (look->context_access)
        look_at_context(look, f);
    look->cdw_starts = look->context_access && look->context == FSM_MISS;
    if (look->context != FSM_MISS)
        look_at_iotlb(look, f);
    look->report_always |= look->context != FSM_MISS && (look->dc.tc & TC_DTF) == 0;
}
