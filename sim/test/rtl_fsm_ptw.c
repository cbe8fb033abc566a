/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rtl_fsm_walk.h"

#include "sim/base/check.h"

#define BIT(entry, n)  (((entry) >> (n)&1) != 0)
#define PTE_V(pte)     BIT(pte, 0)
#define PTE_R(pte)     BIT(pte, 1)
#define PTE_W(pte)     BIT(pte, 2)
#define PTE_X(pte)     BIT(pte, 3)
#define PTE_U(pte)     BIT(pte, 4)
#define PTE_G(pte)     BIT(pte, 5)
#define PTE_A(pte)     BIT(pte, 6)
#define PTE_D(pte)     BIT(pte, 7)
#define GPA_MASK       UINT64_C(0x1ffffffffff)
#define GUEST_PPN_MASK UINT64_C(0x1fffffff)

enum { LEVELS = 3 };

/* The address of a second-stage root's entry. */
static uint64_t root2_pointer(uint64_t root2, uint64_t gpa)
{
    return (root2 & ~UINT64_C(3)) << 12 | (gpa & GPA_MASK) >> 30 << 3;
}
static uint64_t table_pointer(uint64_t pte, uint64_t address, uint32_t level)
{
    return FSM_PPN(pte) << 12 | (address >> (level == 1 ? 21 : 12) & 0x1ff) << 3;
}
/* The low bits of an address that a leaf of this level leaves alone. */
static uint64_t offset_of(uint32_t level)
{
    return (UINT64_C(1) << (30 - 9 * level)) - 1;
}

/* ---- Start -----------------------------------------------------------------------------
 */

static void start_implicit(struct fsm_ptw *w, const struct fsm_implicit *implicit,
                           uint64_t root2)
{
    w->stage     = FSM_STAGE_2_FINAL;
    w->iova      = implicit->page << 12;
    w->final_gpa = w->iova & GPA_MASK;
    w->pointer   = root2_pointer(root2, w->final_gpa);
}

static void start_walk(struct fsm_ptw *w, const struct fsm_look *look)
{
    const uint64_t iova = look->request.iova, index = (iova >> 30 & 0x1ff) << 3;
    w->iova = iova;
    if (look->s1 && look->s2) {
        w->stage   = FSM_STAGE_2_INTERMEDIATE;
        w->gpa     = (look->root1 << 12 | index) & GPA_MASK;
        w->pointer = root2_pointer(look->root2, w->gpa);
    } else if (look->s1) {
        w->stage   = FSM_STAGE_1;
        w->pointer = look->root1 << 12 | index;
    } else {
        w->stage     = FSM_STAGE_2_FINAL;
        w->final_gpa = iova & GPA_MASK;
        w->pointer   = root2_pointer(look->root2, iova);
    }
}

static void clock_idle(struct fsm_ptw *w, const struct fsm_look *look,
                       const struct fsm_implicit *implicit)
{
    w->level = w->level1 = 0;
    w->global            = false;
    w->final_gpa         = 0;
    w->leaf1             = 0;
    if (!implicit->valid && (!look->ptw_starts || w->edge))
        return;
    w->state    = FSM_PTW_MEM_ACCESS;
    w->pscid    = look->pscid;
    w->gscid    = look->gscid;
    w->implicit = implicit->valid;
    if (implicit->valid)
        start_implicit(w, implicit, implicit->root2);
    else
        start_walk(w, look);
}

/* ---- An entry --------------------------------------------------------------------------
 */

/* The next read is of the second stage, of a first-stage table's entry at gpa. */
static void descend_guest(struct fsm_ptw *w, const struct fsm_look *look, uint64_t gpa)
{
    w->stage   = FSM_STAGE_2_INTERMEDIATE;
    w->gpa     = gpa & GPA_MASK;
    w->pointer = root2_pointer(look->root2, w->gpa);
    w->level1  = w->level + 1;
    w->level   = 0;
}

static bool non_leaf(struct fsm_ptw *w, uint64_t pte, const struct fsm_look *look)
{
    const enum fsm_stage stage = w->stage;
    const uint64_t address     = stage == FSM_STAGE_1                ? w->iova
                                 : stage == FSM_STAGE_2_INTERMEDIATE ? w->gpa
                                                                     : w->final_gpa;
    if (PTE_A(pte) || PTE_D(pte) || PTE_U(pte) || w->level == LEVELS - 1)
        return false;
    const uint64_t next = table_pointer(pte, address, w->level + 1);
    if (stage == FSM_STAGE_1 && look->s2) {
        descend_guest(w, look, next);
    } else {
        w->pointer = next;
        w->level++;
    }
    w->state = FSM_PTW_MEM_ACCESS;
    return true;
}

static bool leaf_is_good(const struct fsm_ptw *w, uint64_t pte, bool store)
{
    const uint64_t page = FSM_PPN(pte) << 12;
    if ((page & offset_of(w->level)) != 0)
        return false;
    if (!PTE_A(pte) || !PTE_R(pte) || (store && !PTE_D(pte)))
        return false;
    return w->stage == FSM_STAGE_1 || PTE_U(pte);
}

/* What the IOTLB would take: stages of now, addresses of the start. */
static struct fsm_iotlb_entry entry_of(const struct fsm_ptw *w, uint64_t pte,
                                       const struct fsm_look *look)
{
    const uint64_t global    = (uint64_t)w->global << 5;
    struct fsm_iotlb_entry e = { .valid = true,
                                 .en1   = look->s1,
                                 .en2   = look->s2,
                                 .pscid = w->pscid,
                                 .gscid = w->gscid,
                                 .vpn   = w->iova >> 12 & GUEST_PPN_MASK,
                                 .pte1  = (look->s2 ? w->leaf1 : pte) | global,
                                 .pte2  = look->s2 ? pte : 0 };
    const uint32_t level1    = look->s2 ? w->level1 : w->level;
    e.s1_1g                  = look->s1 && level1 == 0;
    e.s1_2m                  = look->s1 && level1 == 1;
    e.s2_1g                  = look->s2 && w->level == 0;
    e.s2_2m                  = look->s2 && w->level == 1;
    return e;
}

static void offer(struct fsm_ptw *w, uint64_t pte, const struct fsm_look *look,
                  struct fsm_walked *walked)
{
    if (w->stage != FSM_STAGE_2_FINAL && look->s2)
        return;
    walked->page         = FSM_PPN(pte);
    walked->context_done = w->implicit;
    walked->entry        = entry_of(w, pte, look);
    /* Without a request that hits its context no stage is enabled: nothing to keep. */
    walked->update = !w->implicit
                     && ((look->s1 && PTE_V(walked->entry.pte1))
                         || (look->s2 && PTE_V(walked->entry.pte2)));
}

static bool leaf(struct fsm_ptw *w, uint64_t pte, const struct fsm_look *look,
                 struct fsm_walked *walked)
{
    const uint64_t offset = offset_of(w->level);
    if (!leaf_is_good(w, pte, look->store))
        return false;
    offer(w, pte, look, walked);
    w->state = FSM_PTW_IDLE;
    if (w->stage == FSM_STAGE_1 && look->s2) {
        w->leaf1     = pte;
        w->final_gpa = ((FSM_PPN(pte) << 12 & ~offset) | (w->iova & offset)) & GPA_MASK;
        w->level1    = w->level;
        w->level     = 0;
        w->stage     = FSM_STAGE_2_FINAL;
        w->pointer   = root2_pointer(look->root2, w->final_gpa);
        w->state     = FSM_PTW_MEM_ACCESS;
    } else if (w->stage == FSM_STAGE_2_INTERMEDIATE) {
        w->pointer = (FSM_PPN(pte) << 12 & ~offset) | (w->gpa & offset);
        w->level   = w->level1;
        w->stage   = FSM_STAGE_1;
        w->state   = FSM_PTW_MEM_ACCESS;
    }
    return true;
}

static bool process_entry(struct fsm_ptw *w, uint64_t pte, const struct fsm_look *look,
                          struct fsm_walked *walked)
{
    if (w->stage == FSM_STAGE_1 && PTE_G(pte))
        w->global = true;
    if (w->stage == FSM_STAGE_1 && look->s2 && FSM_PPN(pte) > GUEST_PPN_MASK) {
        w->stage = FSM_STAGE_2_INTERMEDIATE; /* Makes it a fault of the guest's page. */
        return false;
    }
    if (!PTE_V(pte) || (!PTE_R(pte) && PTE_W(pte)) || pte >> 54 != 0)
        return false;
    if (PTE_R(pte) || PTE_X(pte))
        return leaf(w, pte, look, walked);
    return non_leaf(w, pte, look);
}

/* ---- The clock -------------------------------------------------------------------------
 */

static void clock_error(struct fsm_ptw *w, const struct fsm_look *look,
                        struct fsm_walked *walked)
{
    walked->error = true;
    walked->cause =
        w->stage == FSM_STAGE_1 ? (look->store ? 15 : 13) : (look->store ? 23 : 21);
    walked->context_flush = w->implicit;
    w->state              = FSM_PTW_IDLE;
}

void fsm_ptw_clock(struct fsm *f, const struct fsm_in *in, const struct fsm_look *look,
                   const struct fsm_implicit *implicit, bool granted,
                   struct fsm_walked *walked)
{
    struct fsm_ptw *w = &f->ptw;
    *walked           = (struct fsm_walked){ .error = false };
    switch (w->state) {
    case FSM_PTW_IDLE:
        clock_idle(w, look, implicit);
        break;
    case FSM_PTW_MEM_ACCESS:
        if (granted)
            w->state = FSM_PTW_PROC_PTE;
        break;
    case FSM_PTW_PROC_PTE:
        if (in->beat.valid && in->beat.id == FSM_ID_PTW
            && !process_entry(w, in->beat.data, look, walked))
            w->state = FSM_PTW_ERROR;
        break;
    case FSM_PTW_ERROR:
        clock_error(w, look, walked);
        break;
    }
    w->edge = look->ptw_starts;
}
