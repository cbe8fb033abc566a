/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page-table half of the oracle: chapters "Supervisor-Level ISA" and "Hypervisor
 * Extension" of the privileged specification, with Svnapot, Svpbmt and Svadu.
 */
#include "sim/test/riscv_oracle_walk.h"

bool oracle_fault(struct walk *w, unsigned cause)
{
    w->result->cause = cause;
    return false;
}

bool oracle_access_fault(struct walk *w)
{
    static const unsigned cause[] = { 5, 7, 1 };
    return oracle_fault(w, cause[w->access]);
}

static bool page_fault(struct walk *w)
{
    static const unsigned cause[] = { 13, 15, 12 };
    return oracle_fault(w, cause[w->access]);
}

bool oracle_guest_page_fault(struct walk *w, uint64_t gpa, unsigned implicit)
{
    static const unsigned cause[] = { 21, 23, 20 };
    w->result->iotval2            = (gpa & ~(uint64_t)3) | implicit;
    return oracle_fault(w, cause[w->access]);
}

/* Memory ------------------------------------------------------------------------------ */

static uint64_t reverse_bytes(uint64_t word)
{
    uint64_t reversed = 0;
    for (unsigned i = 0; i < 8; i++)
        reversed |= (word >> (8 * i) & 0xff) << (56 - 8 * i);
    return reversed;
}

static bool is_big_endian(const struct walk *w, bool first_stage)
{
    return first_stage ? flag(w->dc[DC_TC], TC_SBE) : flag(w->iommu->fctl, FCTL_BE);
}

bool oracle_read_entry(struct walk *w, uint64_t pa, bool first_stage, uint64_t *words,
                       unsigned count, unsigned *reads)
{
    const struct oracle_result *r = w->result;
    if (pa >> field(w->iommu->capabilities, CAP_PAS + 5, CAP_PAS) != 0)
        return false;
    ++*reads;
    for (unsigned i = 0; i < count; i++) {
        if (!w->iommu->read(w->iommu->self, pa + 8 * i, &words[i]))
            return false;
        for (unsigned u = 0; u < r->update_count; u++)
            if (r->updates[u].pa == pa + 8 * i)
                words[i] = r->updates[u].value;
        if (is_big_endian(w, first_stage))
            words[i] = reverse_bytes(words[i]);
    }
    return true;
}

/* Page table entries ------------------------------------------------------------------- */

enum kind { KIND_BAD, KIND_TABLE, KIND_LEAF };

/* Steps 3 and 4 of the privileged specification's "Virtual Address Translation Process". */
static enum kind kind_of(const struct walk *w, uint64_t pte, unsigned level)
{
    const uint64_t pbmt = field(pte, 62, 61);
    if ((pte & PTE_V) == 0 || (pte & (PTE_R | PTE_W)) == PTE_W)
        return KIND_BAD;
    if ((pte & PTE_RESERVED) != 0 || pbmt == 3 || (pbmt != 0 && !has(w, CAP_SVPBMT)))
        return KIND_BAD;
    if ((pte & (PTE_R | PTE_X)) != 0)
        return KIND_LEAF;
    if ((pte & (PTE_N | PTE_PBMT | PTE_U | PTE_A | PTE_D)) != 0)
        return KIND_BAD;
    return level == 0 ? KIND_BAD : KIND_TABLE;
}

/* No misaligned superpage, and of the NAPOT encodings only 64 KiB. */
static bool is_aligned(uint64_t pte, unsigned level)
{
    const uint64_t ppn = field(pte, 53, 10);
    if ((pte & PTE_N) != 0)
        return level == 0 && (ppn & 15) == 8;
    return (ppn & (BIT(9 * level) - 1)) == 0;
}

bool oracle_permits(uint64_t pte, enum oracle_access access)
{
    static const unsigned needs[] = { PTE_R, PTE_W, PTE_X };
    return (pte & needs[access]) != 0;
}

static void arrive(struct leaf *leaf, uint64_t pte, unsigned level, uint64_t address)
{
    leaf->pte              = pte;
    leaf->lg2              = (pte & PTE_N) != 0 ? 16 : 12 + 9 * level;
    const uint64_t offsets = BIT(leaf->lg2) - 1;
    leaf->pa               = (target_of(pte) & ~offsets) | (address & offsets);
}

void oracle_arrive_bare(struct leaf *leaf, uint64_t address)
{
    *leaf = (struct leaf){ .pa = address, .pte = 0xff };
}

static bool lacks_accessed_or_dirty(uint64_t pte, bool store)
{
    return (pte & PTE_A) == 0 || (store && (pte & PTE_D) == 0);
}

/* Step "if pte.a = 0, or if the memory access is a store and pte.d = 0". */
static enum outcome set_accessed_and_dirty(struct walk *w, struct leaf *leaf, bool store,
                                           bool first_stage)
{
    struct oracle_result *r = w->result;
    if (!lacks_accessed_or_dirty(leaf->pte, store))
        return PASSED;
    if (!flag(w->dc[DC_TC], first_stage ? TC_SADE : TC_GADE))
        return PAGE_FAULT;
    if (w->iommu->writable != NULL && !w->iommu->writable(w->iommu->self, leaf->pte_pa))
        return ACCESS_FAULT;
    leaf->pte |= store ? PTE_A | PTE_D : PTE_A;
    const uint64_t value =
        is_big_endian(w, first_stage) ? reverse_bytes(leaf->pte) : leaf->pte;
    r->updates[r->update_count++] = (struct oracle_update){ leaf->pte_pa, value };
    return PASSED;
}

/* Second stage ------------------------------------------------------------------------- */

/* Here every access is one of a user. */
static enum outcome second_stage_leaf(struct walk *w, struct leaf *leaf, unsigned level,
                                      enum oracle_access access)
{
    if ((leaf->pte & PTE_U) == 0 || !oracle_permits(leaf->pte, access))
        return PAGE_FAULT;
    if (!is_aligned(leaf->pte, level))
        return PAGE_FAULT;
    return set_accessed_and_dirty(w, leaf, access == ORACLE_WRITE, false);
}

enum outcome oracle_second_stage(struct walk *w, uint64_t gpa, enum oracle_access access,
                                 struct leaf *leaf)
{
    const uint64_t iohgatp = w->dc[DC_IOHGATP];
    const unsigned levels  = mode_of(iohgatp) - 5;
    if (mode_of(iohgatp) == MODE_BARE) {
        oracle_arrive_bare(leaf, gpa);
        return PASSED;
    }
    if (gpa >> (14 + 9 * levels) != 0 || (flag(w->dc[DC_TC], TC_SXL) && gpa >> 34 != 0))
        return PAGE_FAULT;
    uint64_t table = root_of(iohgatp);
    for (unsigned level = levels; level-- > 0;) {
        const uint64_t widest = level == levels - 1 ? 0x7ff : 0x1ff;
        uint64_t pte;
        leaf->pte_pa = table + (gpa >> (12 + 9 * level) & widest) * 8;
        if (!oracle_read_entry(w, leaf->pte_pa, false, &pte, 1, &w->result->s2_reads))
            return ACCESS_FAULT;
        switch (kind_of(w, pte, level)) {
        case KIND_BAD:
            return PAGE_FAULT;
        case KIND_LEAF:
            arrive(leaf, pte, level, gpa);
            return second_stage_leaf(w, leaf, level, access);
        case KIND_TABLE:
            table = target_of(pte);
        }
    }
    return PAGE_FAULT;
}

/* First stage -------------------------------------------------------------------------- */

static bool privilege_suffices(const struct walk *w, uint64_t pte)
{
    const bool user_page = (pte & PTE_U) != 0;
    if (!w->priv)
        return user_page;
    return !user_page || (w->sum && w->access != ORACLE_EXECUTE);
}

/* The update of a first-stage leaf that lies where the second stage has put it. */
static bool update_first_stage(struct walk *w, struct leaf *leaf, uint64_t pte_gpa,
                               struct leaf *under)
{
    const bool store = w->access == ORACLE_WRITE;
    if (!lacks_accessed_or_dirty(leaf->pte, store))
        return true;
    if (!flag(w->dc[DC_TC], TC_SADE))
        return page_fault(w);
    if (!oracle_permits(under->pte, ORACLE_WRITE))
        return oracle_guest_page_fault(w, pte_gpa, 3);
    switch (set_accessed_and_dirty(w, under, true, false)) {
    case PASSED:
        break;
    case PAGE_FAULT:
        return oracle_guest_page_fault(w, pte_gpa, 3);
    case ACCESS_FAULT:
        return oracle_access_fault(w);
    }
    return set_accessed_and_dirty(w, leaf, store, true) == PASSED || oracle_access_fault(w);
}

static bool is_canonical(uint64_t iova, unsigned bits)
{
    const uint64_t high = iova >> (bits - 1);
    return high == 0 || high == UINT64_MAX >> (bits - 1);
}

static bool first_stage_leaf(struct walk *w, struct leaf *leaf, unsigned level,
                             uint64_t gpa, struct leaf *under)
{
    if (!oracle_permits(leaf->pte, w->access) || !privilege_suffices(w, leaf->pte)
        || !is_aligned(leaf->pte, level))
        return page_fault(w);
    leaf->pte_pa = under->pa;
    return update_first_stage(w, leaf, gpa, under);
}

bool oracle_first_stage(struct walk *w, uint64_t iosatp, struct leaf *leaf)
{
    const uint64_t iova   = w->request->iova;
    const unsigned levels = mode_of(iosatp) - 5;
    if (mode_of(iosatp) == MODE_BARE) {
        oracle_arrive_bare(leaf, iova);
        return true;
    }
    if (!is_canonical(iova, 12 + 9 * levels))
        return page_fault(w);
    uint64_t table = root_of(iosatp);
    for (unsigned level = levels; level-- > 0;) {
        const uint64_t gpa = table + (iova >> (12 + 9 * level) & 0x1ff) * 8;
        struct leaf under;
        uint64_t pte;
        const enum outcome reached = oracle_second_stage(w, gpa, ORACLE_READ, &under);
        if (reached == PAGE_FAULT)
            return oracle_guest_page_fault(w, gpa, 1);
        if (reached == ACCESS_FAULT
            || !oracle_read_entry(w, under.pa, true, &pte, 1, &w->result->s1_reads))
            return oracle_access_fault(w);
        switch (kind_of(w, pte, level)) {
        case KIND_BAD:
            return page_fault(w);
        case KIND_LEAF:
            arrive(leaf, pte, level, iova);
            return first_stage_leaf(w, leaf, level, gpa, &under);
        case KIND_TABLE:
            table = target_of(pte);
        }
    }
    return page_fault(w);
}
