/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chapter "Data Structures" of the IOMMU specification read backwards: MSI page tables,
 * process contexts, device contexts, then "Process to translate an IOVA", whose steps are
 * named at the functions.
 */
#include "sim/test/riscv_oracle_walk.h"

/* MSI page tables: "Process to translate addresses of MSIs" ------------------------------
 */

static uint64_t extract(uint64_t x, uint64_t mask)
{
    uint64_t packed = 0;
    for (unsigned from = 0, to = 0; from < 64; from++)
        if (flag(mask, from))
            packed |= (x >> from & 1) << to++;
    return packed;
}

static bool is_interrupt_file(const struct walk *w, uint64_t gpa)
{
    if (!has(w, CAP_MSI_FLAT) || mode_of(w->dc[DC_MSIPTP]) == MSI_OFF)
        return false;
    return (((gpa >> 12) ^ w->dc[DC_PATTERN]) & ~w->dc[DC_MASK]) == 0;
}

static bool msi_mrif(struct walk *w, const uint64_t pte[2])
{
    struct oracle_result *r = w->result;
    if (!has(w, CAP_MSI_MRIF) || (pte[0] & (BITS(62, 54) | BITS(6, 3))) != 0
        || (pte[1] & (BITS(63, 61) | BITS(59, 54))) != 0)
        return oracle_fault(w, ORACLE_MSI_MISCONFIGURED);
    r->is_mrif   = true;
    r->mrif_pa   = field(pte[0], 53, 7) << 9;
    r->notice_pa = target_of(pte[1]);
    r->notice_id = (uint32_t)(field(pte[1], 60, 60) << 10 | field(pte[1], 9, 0));
    return true;
}

/* The second doubleword of an entry in basic translate mode is ignored. */
static bool msi_basic(struct walk *w, uint64_t gpa, const uint64_t pte[2])
{
    if ((pte[0] & (BITS(62, 54) | BITS(9, 3))) != 0)
        return oracle_fault(w, ORACLE_MSI_MISCONFIGURED);
    w->result->pa = target_of(pte[0]) | (gpa & 0xfff);
    return true;
}

static bool translate_msi(struct walk *w, uint64_t gpa)
{
    const uint64_t file = extract(gpa >> 12, w->dc[DC_MASK]);
    uint64_t pte[2];
    if (!oracle_read_entry(w, root_of(w->dc[DC_MSIPTP]) | file * 16, false, pte, 2,
                           &w->result->msi_reads))
        return oracle_fault(w, ORACLE_MSI_ACCESS_FAULT);
    const uint64_t mode = field(pte[0], 2, 1);
    if (!flag(pte[0], 0))
        return oracle_fault(w, ORACLE_MSI_NOT_VALID);
    if (flag(pte[0], 63) || (mode != MSI_BASIC_MODE && mode != MSI_MRIF_MODE))
        return oracle_fault(w, ORACLE_MSI_MISCONFIGURED);
    if (mode == MSI_BASIC_MODE ? !msi_basic(w, gpa, pte) : !msi_mrif(w, pte))
        return false;
    w->result->is_msi = true;
    return w->access != ORACLE_EXECUTE || oracle_fault(w, ORACLE_INSTRUCTION_ACCESS_FAULT);
}

/* Steps 17 to 20: the address -----------------------------------------------------------
 */

static void resolve(struct walk *w, const struct leaf *first, const struct leaf *second)
{
    struct oracle_result *r = w->result;
    const uint64_t both     = first->pte & second->pte;
    const uint64_t pbmt     = field(first->pte, 62, 61);
    r->s1_lg2               = first->lg2;
    r->s2_lg2               = second->lg2;
    r->s1_pte               = first->lg2 == 0 ? 0 : first->pte;
    r->s2_pte               = second->lg2 == 0 ? 0 : second->pte;
    r->page_lg2             = first->lg2;
    if (first->lg2 == 0 || (second->lg2 != 0 && second->lg2 < first->lg2))
        r->page_lg2 = second->lg2;
    if (r->page_lg2 == 0 || r->is_msi)
        r->page_lg2 = 12;
    r->pbmt       = (unsigned)(pbmt != 0 ? pbmt : field(second->pte, 62, 61));
    r->readable   = oracle_permits(both, ORACLE_READ);
    r->writable   = oracle_permits(both, ORACLE_WRITE);
    r->executable = oracle_permits(both, ORACLE_EXECUTE) && !r->is_msi;
}

static bool two_stages(struct walk *w, uint64_t iosatp, uint64_t pscid)
{
    struct oracle_result *r = w->result;
    struct leaf first, second;
    r->pscid = mode_of(iosatp) == MODE_BARE ? 0 : (uint32_t)pscid;
    if (mode_of(w->dc[DC_IOHGATP]) != MODE_BARE)
        r->gscid = (uint32_t)field(w->dc[DC_IOHGATP], 59, 44);
    if (!oracle_first_stage(w, iosatp, &first))
        return false;
    r->gpa = first.pa;
    oracle_arrive_bare(&second, r->gpa);
    if (is_interrupt_file(w, r->gpa)) {
        if (!translate_msi(w, r->gpa))
            return false;
    } else {
        const enum outcome reached = oracle_second_stage(w, r->gpa, w->access, &second);
        if (reached == PAGE_FAULT)
            return oracle_guest_page_fault(w, r->gpa, 0);
        if (reached == ACCESS_FAULT)
            return oracle_access_fault(w);
        r->pa = second.pa;
    }
    resolve(w, &first, &second);
    return true;
}

static bool pass_through(struct walk *w)
{
    struct leaf leaf;
    oracle_arrive_bare(&leaf, w->request->iova);
    w->result->pa = w->result->gpa = leaf.pa;
    resolve(w, &leaf, &leaf);
    return true;
}

/* Process contexts: "Process to locate the Process-context" ------------------------------
 */

/* Encodings of iosatp.MODE that tc.SXL and the capabilities allow. */
static bool is_first_stage_mode(const struct walk *w, uint64_t iosatp)
{
    const unsigned mode = mode_of(iosatp);
    if (mode == MODE_BARE)
        return true;
    return !flag(w->dc[DC_TC], TC_SXL) && mode >= MODE_39 && mode <= MODE_57
           && has(w, CAP_SV39 + mode - MODE_39);
}

/* An entry of the directory, whose address the second stage may have to translate. */
static bool read_directory(struct walk *w, uint64_t gpa, uint64_t *words, unsigned count)
{
    struct leaf under;
    const enum outcome reached = oracle_second_stage(w, gpa, ORACLE_READ, &under);
    if (reached == PAGE_FAULT)
        return oracle_guest_page_fault(w, gpa, 1);
    if (reached == ACCESS_FAULT
        || !oracle_read_entry(w, under.pa, true, words, count, &w->result->pdt_reads))
        return oracle_fault(w, ORACLE_PDT_ACCESS_FAULT);
    if (!flag(words[0], PC_V))
        return oracle_fault(w, ORACLE_PDT_NOT_VALID);
    return true;
}

static bool locate_process_context(struct walk *w, uint64_t pc[2])
{
    uint64_t table = root_of(w->dc[DC_FSC]);
    for (unsigned level = mode_of(w->dc[DC_FSC]) - 1; level > 0; level--) {
        const uint64_t index = w->process_id >> (8 + 9 * (level - 1)) & 0x1ff;
        uint64_t entry;
        if (!read_directory(w, table + index * 8, &entry, 1))
            return false;
        if ((entry & (BITS(63, 54) | BITS(9, 1))) != 0)
            return oracle_fault(w, ORACLE_PDT_MISCONFIGURED);
        table = target_of(entry);
    }
    if (!read_directory(w, table + (w->process_id & 0xff) * 16, pc, 2))
        return false;
    if ((pc[0] & (BITS(63, 32) | BITS(11, 3))) != 0 || (pc[1] & BITS(59, 44)) != 0
        || !is_first_stage_mode(w, pc[1]))
        return oracle_fault(w, ORACLE_PDT_MISCONFIGURED);
    return true;
}

/* Device contexts: "Process to locate the Device-context" --------------------------------
 */

static bool has_reserved_bits(const struct walk *w)
{
    const uint64_t *dc = w->dc;
    if ((dc[DC_TC] & (BITS(63, 32) | BITS(23, 12))) != 0
        || (dc[DC_TA] & (BITS(63, 32) | BITS(11, 0))) != 0
        || (dc[DC_FSC] & BITS(59, 44)) != 0)
        return true;
    if (!has(w, CAP_MSI_FLAT))
        return false;
    return (dc[DC_MSIPTP] & BITS(59, 44)) != 0 || (dc[DC_MASK] & BITS(63, 52)) != 0
           || (dc[DC_PATTERN] & BITS(63, 52)) != 0 || dc[DC_RESERVED] != 0;
}

static bool breaks_ats_rules(const struct walk *w)
{
    const uint64_t tc = w->dc[DC_TC];
    const bool ats = flag(tc, TC_EN_ATS), pri = flag(tc, TC_EN_PRI),
               prpr  = flag(tc, TC_PRPR);
    const bool t2gpa = flag(tc, TC_T2GPA);
    return (!has(w, CAP_ATS) && (ats || pri || prpr)) || (!ats && (t2gpa || pri))
           || (!pri && prpr)
           || (t2gpa && (!has(w, CAP_T2GPA) || mode_of(w->dc[DC_IOHGATP]) == MODE_BARE));
}

static bool breaks_first_stage_rules(const struct walk *w)
{
    const uint64_t tc = w->dc[DC_TC], fsc = w->dc[DC_FSC];
    const unsigned mode = mode_of(fsc);
    if (!flag(tc, TC_PDTV))
        return flag(tc, TC_DPE) || !is_first_stage_mode(w, fsc);
    return mode != MODE_BARE && (mode > PDTP_PD20 || !has(w, CAP_PD8 + mode - PDTP_PD8));
}

static bool breaks_second_stage_rules(const struct walk *w)
{
    const uint64_t iohgatp = w->dc[DC_IOHGATP];
    const unsigned mode    = mode_of(iohgatp);
    if (has(w, CAP_MSI_FLAT) && mode_of(w->dc[DC_MSIPTP]) > MSI_FLAT)
        return true;
    if (mode == MODE_BARE)
        return false;
    return flag(w->iommu->fctl, FCTL_GXL) || mode < MODE_39 || mode > MODE_57
           || !has(w, CAP_SV39X4 + mode - MODE_39) || (iohgatp & 3) != 0;
}

static bool breaks_width_and_order_rules(const struct walk *w)
{
    const uint64_t tc = w->dc[DC_TC];
    const bool gxl = flag(w->iommu->fctl, FCTL_GXL), sxl = flag(tc, TC_SXL);
    if (!has(w, CAP_AMO_HWAD) && (flag(tc, TC_SADE) || flag(tc, TC_GADE)))
        return true;
    if (!has(w, CAP_END) && flag(tc, TC_SBE) != flag(w->iommu->fctl, FCTL_BE))
        return true;
    return gxl ? !sxl : sxl && !w->iommu->gxl_writable;
}

static bool read_device_table(struct walk *w, uint64_t pa, uint64_t *words, unsigned count)
{
    if (!oracle_read_entry(w, pa, false, words, count, &w->result->ddt_reads))
        return oracle_fault(w, ORACLE_DDT_ACCESS_FAULT);
    if (!flag(words[0], TC_V))
        return oracle_fault(w, ORACLE_DDT_NOT_VALID);
    return true;
}

static bool is_misconfigured(const struct walk *w)
{
    return has_reserved_bits(w) || breaks_ats_rules(w) || breaks_first_stage_rules(w)
           || breaks_second_stage_rules(w) || breaks_width_and_order_rules(w);
}

static bool locate_device_context(struct walk *w)
{
    const unsigned words  = has(w, CAP_MSI_FLAT) ? 8 : 4;
    const unsigned bits   = has(w, CAP_MSI_FLAT) ? 6 : 7; /* Of the lowest index. */
    const unsigned levels = (unsigned)field(w->iommu->ddtp, 3, 0) - DDTP_1LVL + 1;
    const uint64_t id     = w->request->device_id;
    uint64_t table        = target_of(w->iommu->ddtp);
    if (id >> (levels == 3 ? 24 : bits + 9 * (levels - 1)) != 0)
        return oracle_fault(w, ORACLE_TYPE_DISALLOWED); /* Step 5. */
    for (unsigned level = levels - 1; level > 0; level--) {
        uint64_t entry;
        const uint64_t index = id >> (bits + 9 * (level - 1)) & 0x1ff;
        if (!read_device_table(w, table + index * 8, &entry, 1))
            return false;
        if ((entry & (BITS(63, 54) | BITS(9, 1))) != 0)
            return oracle_fault(w, ORACLE_DDT_MISCONFIGURED);
        table = target_of(entry);
    }
    const uint64_t index = id & (BIT(bits) - 1);
    if (!read_device_table(w, table + index * words * 8, w->dc, words))
        return false;
    return !is_misconfigured(w) || oracle_fault(w, ORACLE_DDT_MISCONFIGURED);
}

/* Process to translate an IOVA -----------------------------------------------------------
 */

/* Step 7. */
static bool is_disallowed(const struct walk *w)
{
    static const unsigned width[] = { 32, 8, 17, 20 };
    const uint64_t tc             = w->dc[DC_TC];
    if (w->request->translated && !flag(tc, TC_EN_ATS))
        return true;
    if (!w->pv)
        return false;
    return !flag(tc, TC_PDTV)
           || (uint64_t)w->process_id >> width[mode_of(w->dc[DC_FSC])] != 0;
}

/* Steps 8 to 16. */
static bool translate_for_device(struct walk *w)
{
    const uint64_t tc = w->dc[DC_TC], fsc = w->dc[DC_FSC];
    uint64_t pc[2];
    if (is_disallowed(w))
        return oracle_fault(w, ORACLE_TYPE_DISALLOWED);
    if (w->request->translated)
        return flag(tc, TC_T2GPA) ? two_stages(w, MODE_BARE, 0) : pass_through(w);
    if (!flag(tc, TC_PDTV))
        return two_stages(w, fsc, field(w->dc[DC_TA], 31, 12));
    if (!w->pv && !flag(tc, TC_DPE))
        return two_stages(w, MODE_BARE, 0);
    if (mode_of(fsc) == MODE_BARE)
        return two_stages(w, MODE_BARE, 0);
    if (!locate_process_context(w, pc))
        return false;
    if (w->priv && !flag(pc[0], PC_ENS))
        return oracle_fault(w, ORACLE_TYPE_DISALLOWED);
    w->sum = flag(pc[0], PC_SUM);
    return two_stages(w, pc[1], field(pc[0], 31, 12));
}

/* Steps 1 to 6. */
static bool translate(struct walk *w)
{
    const uint64_t mode = field(w->iommu->ddtp, 3, 0);
    if (mode == DDTP_OFF || mode > DDTP_3LVL)
        return oracle_fault(w, ORACLE_ALL_DISALLOWED);
    if (mode == DDTP_BARE && w->request->translated)
        return oracle_fault(w, ORACLE_TYPE_DISALLOWED);
    if (mode == DDTP_BARE)
        return pass_through(w);
    return locate_device_context(w) && translate_for_device(w);
}

static bool is_reported(unsigned cause, uint64_t tc)
{
    return !flag(tc, TC_DTF)
           || (cause >= ORACLE_ALL_DISALLOWED && cause <= ORACLE_DDT_MISCONFIGURED);
}

struct oracle_result oracle_translate(const struct oracle_iommu *iommu,
                                      const struct oracle_request *request)
{
    struct oracle_result result;
    memset(&result, 0, sizeof(result));
    result.iotval = request->iova;
    struct walk w = { .iommu      = iommu,
                      .request    = request,
                      .result     = &result,
                      .access     = request->access,
                      .pv         = request->pv,
                      .priv       = request->pv && request->priv,
                      .process_id = request->pv ? request->process_id : 0 };
    if (w.access == ORACLE_EXECUTE && !w.pv)
        w.access = ORACLE_READ;
    result.ok = translate(&w);
    if (!result.ok) {
        result.reported = is_reported(result.cause, w.dc[DC_TC]);
        result.is_msi = result.is_mrif = false;
        result.pa = result.mrif_pa = result.notice_pa = 0;
        result.notice_id                              = 0;
    }
    return result;
}

void oracle_fault_record(const struct oracle_request *request,
                         const struct oracle_result *result, uint64_t record[4])
{
    static const uint64_t type[] = { 2, 3, 1 };
    const bool fetch             = request->access == ORACLE_EXECUTE && request->pv;
    uint64_t ttyp                = request->translated ? 4 : 0;
    ttyp +=
        type[request->access == ORACLE_EXECUTE && !fetch ? ORACLE_READ : request->access];
    record[0] = result->cause | ttyp << 34 | (uint64_t)request->device_id << 40;
    if (request->pv)
        record[0] |=
            (uint64_t)request->process_id << 12 | BIT(32) | (request->priv ? BIT(33) : 0);
    record[1] = 0;
    record[2] = result->iotval;
    record[3] = result->iotval2;
}
