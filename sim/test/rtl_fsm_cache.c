/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rtl_fsm_cache.h"

#include "sim/base/check.h"

/* ---- Replacement -----------------------------------------------------------------------
 */

static uint32_t tree_victim(const struct fsm_tree *t)
{
    uint32_t first = 0, node = 0;
    for (uint32_t half = t->entries / 2; half != 0; half /= 2) {
        const uint32_t upper = t->upper[node];
        first += upper * half;
        node = 2 * node + 1 + upper;
    }
    CHECK(first < t->entries);
    return first;
}

/* Every node on the way to a hit points away from it. */
static void tree_hit(struct fsm_tree *t, int hit)
{
    uint32_t node = 0, entry = (uint32_t)hit;
    if (hit == FSM_MISS)
        return;
    for (uint32_t half = t->entries / 2; half != 0; half /= 2) {
        const uint32_t upper = entry / half % 2;
        t->upper[node]       = !upper;
        node                 = 2 * node + 1 + upper;
    }
}

/* ---- IOTLB -----------------------------------------------------------------------------
 */

static uint64_t vpn0(uint64_t vpn)
{
    return vpn & 0x1ff;
}
static uint64_t vpn1(uint64_t vpn)
{
    return vpn >> 9 & 0x1ff;
}
static uint64_t vpn2(uint64_t vpn, bool wide)
{
    return vpn >> 18 & (wide ? 0x7ff : 0x1ff);
}

/* The reach of an entry is the smaller one of its stages' pages. */
static bool reach_1g(const struct fsm_iotlb_entry *e)
{
    return (!e->en1 || e->s1_1g) && (!e->en2 || e->s2_1g);
}
static bool reach_2m(const struct fsm_iotlb_entry *e)
{
    return (!e->en1 || e->s1_1g || e->s1_2m) && (!e->en2 || e->s2_1g || e->s2_2m);
}

static bool iotlb_matches(const struct fsm_iotlb_entry *e, const struct fsm_iotlb_key *k)
{
    const uint64_t vpn = k->iova >> 12;
    if (!e->valid || e->en1 != k->en1 || e->en2 != k->en2)
        return false;
    if (k->en1 && e->pscid != k->pscid && (e->pte1 >> 5 & 1) == 0)
        return false;
    if (k->en2 && e->gscid != k->gscid)
        return false;
    if (vpn2(vpn, !k->en1) != vpn2(e->vpn, !k->en1))
        return false;
    return reach_1g(e)
           || (vpn1(vpn) == vpn1(e->vpn) && (reach_2m(e) || vpn0(vpn) == vpn0(e->vpn)));
}

int fsm_iotlb_look(const struct fsm_iotlb *c, const struct fsm_iotlb_key *key)
{
    int hit = FSM_MISS;
    for (uint32_t i = 0; i < c->tree.entries; i++)
        if (iotlb_matches(&c->entry[i], key))
            hit = (int)i; /* Of several, which should not be, the last. */
    return hit;
}

static bool covers(uint64_t a, uint64_t b, bool wide, bool is_2m, bool is_1g)
{
    if (vpn2(a, wide) != vpn2(b, wide))
        return false;
    if (is_1g)
        return true;
    return vpn1(a) == vpn1(b) && (is_2m || vpn0(a) == vpn0(b));
}

static bool vma_drops(const struct fsm_iotlb_entry *e, const struct fsm_pulse *p)
{
    if (!e->en1 || e->en2 != p->gv || (p->gv && e->gscid != p->gscid))
        return false;
    if (p->pscv && (e->pscid != p->pscid || (e->pte1 >> 5 & 1) != 0))
        return false;
    return !p->av || covers(p->vpn, e->vpn, false, e->s1_2m, e->s1_1g);
}

/* The page of the guest that an entry's address lies in. */
static uint64_t guest_page(const struct fsm_iotlb_entry *e)
{
    const uint64_t offset = e->s1_1g ? 0x3ffff : e->s1_2m ? 0x1ff : 0;
    if (!e->en1)
        return e->vpn;
    return ((e->pte1 >> 10 & UINT64_C(0x1fffffff)) & ~offset) | (e->vpn & offset);
}

static bool gvma_drops(const struct fsm_iotlb_entry *e, const struct fsm_pulse *p)
{
    if (!e->en2 || (p->gv && e->gscid != p->gscid))
        return false;
    return !p->gv || !p->av || covers(p->vpn, guest_page(e), true, e->s2_2m, e->s2_1g);
}

void fsm_iotlb_clock(struct fsm_iotlb *c, const struct fsm_pulse *pulse, int hit,
                     const struct fsm_iotlb_entry *fill)
{
    if (pulse->vma || pulse->gvma) {
        for (uint32_t i = 0; i < c->tree.entries; i++)
            if (pulse->vma ? vma_drops(&c->entry[i], pulse)
                           : gvma_drops(&c->entry[i], pulse))
                c->entry[i].valid = false;
    } else if (fill != NULL) {
        c->entry[tree_victim(&c->tree)] = *fill;
    }
    tree_hit(&c->tree, hit);
}

/* ---- Contexts --------------------------------------------------------------------------
 */

int fsm_ddtc_look(const struct fsm_ddtc *c, uint32_t device)
{
    for (uint32_t i = 0; i < c->tree.entries; i++)
        if (c->entry[i].valid && c->entry[i].device == device)
            return (int)i;
    return FSM_MISS;
}

void fsm_ddtc_clock(struct fsm_ddtc *c, const struct fsm_pulse *pulse, int hit,
                    const struct fsm_ddtc_entry *fill)
{
    if (pulse->context) {
        for (uint32_t i = 0; i < c->tree.entries; i++)
            if (!pulse->dv || c->entry[i].device == pulse->device)
                c->entry[i].valid = false;
    } else if (fill != NULL) {
        c->entry[tree_victim(&c->tree)] = *fill;
    }
    tree_hit(&c->tree, hit);
}

int fsm_pdtc_look(const struct fsm_pdtc *c, uint32_t device, uint32_t process)
{
    for (uint32_t i = 0; i < c->tree.entries; i++)
        if (c->entry[i].valid && c->entry[i].device == device
            && c->entry[i].process == process)
            return (int)i;
    return FSM_MISS;
}

static bool process_drops(const struct fsm_pdtc_entry *e, const struct fsm_pulse *p)
{
    if (p->pv)
        return e->device == p->device && e->process == p->pid;
    return !p->dv || e->device == p->device;
}

void fsm_pdtc_clock(struct fsm_pdtc *c, const struct fsm_pulse *pulse, int hit,
                    const struct fsm_pdtc_entry *fill)
{
    if (pulse->process) {
        for (uint32_t i = 0; i < c->tree.entries; i++)
            if (process_drops(&c->entry[i], pulse))
                c->entry[i].valid = false;
    } else if (fill != NULL) {
        c->entry[tree_victim(&c->tree)] = *fill;
    }
    tree_hit(&c->tree, hit);
}
