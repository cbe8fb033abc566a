/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_oracle_walk - what the two halves of the oracle share: the specification's
 * constants and the state of one walk.
 */
#ifndef SIM_TEST_RISCV_ORACLE_WALK_H
#define SIM_TEST_RISCV_ORACLE_WALK_H

#include "sim/test/riscv_oracle.h"

#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BIT(n) ((uint64_t)1 << (n))
/* Bits high to low, both included. */
#define BITS(high, low) ((BIT((high) - (low)) * 2 - 1) << (low))

/* capabilities */
enum {
    CAP_SV39     = 9,
    CAP_SVPBMT   = 15,
    CAP_SV39X4   = 17,
    CAP_MSI_FLAT = 22,
    CAP_MSI_MRIF = 23,
    CAP_AMO_HWAD = 24,
    CAP_ATS      = 25,
    CAP_T2GPA    = 26,
    CAP_END      = 27,
    CAP_PAS      = 32,
    CAP_PD8      = 38,
};

/* fctl */
enum { FCTL_BE = 0, FCTL_GXL = 2 };

enum { DDTP_OFF, DDTP_BARE, DDTP_1LVL, DDTP_2LVL, DDTP_3LVL };

/* DC.tc */
enum {
    TC_V      = 0,
    TC_EN_ATS = 1,
    TC_EN_PRI = 2,
    TC_T2GPA  = 3,
    TC_DTF    = 4,
    TC_PDTV   = 5,
    TC_PRPR   = 6,
    TC_GADE   = 7,
    TC_SADE   = 8,
    TC_DPE    = 9,
    TC_SBE    = 10,
    TC_SXL    = 11,
};

/* Doublewords of a device context. */
enum { DC_TC, DC_IOHGATP, DC_TA, DC_FSC, DC_MSIPTP, DC_MASK, DC_PATTERN, DC_RESERVED };

/* PC.ta */
enum { PC_V = 0, PC_ENS = 1, PC_SUM = 2 };

/* The mode field of iohgatp, iosatp, pdtp and msiptp. */
enum {
    MODE_BARE = 0,
    MODE_39   = 8,
    MODE_57   = 10,
    PDTP_PD8  = 1,
    PDTP_PD20 = 3,
    MSI_OFF   = 0,
    MSI_FLAT  = 1,
};

/* Page table entries */
enum {
    PTE_V = 1 << 0,
    PTE_R = 1 << 1,
    PTE_W = 1 << 2,
    PTE_X = 1 << 3,
    PTE_U = 1 << 4,
    PTE_A = 1 << 6,
    PTE_D = 1 << 7,
};
#define PTE_RESERVED BITS(60, 54)
#define PTE_PBMT     BITS(62, 61)
#define PTE_N        BIT(63)

/* MSI page table entries */
enum { MSI_MRIF_MODE = 1, MSI_BASIC_MODE = 3 };

enum outcome { PASSED, PAGE_FAULT, ACCESS_FAULT };

struct walk {
    const struct oracle_iommu *iommu;
    const struct oracle_request *request;
    struct oracle_result *result;
    enum oracle_access access;
    bool pv, priv, sum;
    uint32_t process_id;
    uint64_t dc[8];
};

/* Where one stage has arrived. A Bare stage has an entry that permits everything. */
struct leaf {
    uint64_t pa, pte, pte_pa;
    unsigned lg2;
};

static inline uint64_t field(uint64_t word, unsigned high, unsigned low)
{
    return (word & BITS(high, low)) >> low;
}

static inline bool flag(uint64_t word, unsigned bit)
{
    return (word >> bit & 1) != 0;
}

static inline bool has(const struct walk *w, unsigned capability)
{
    return flag(w->iommu->capabilities, capability);
}

/* MODE of iohgatp, iosatp, pdtp and msiptp. */
static inline unsigned mode_of(uint64_t pointer)
{
    return (unsigned)field(pointer, 63, 60);
}

/* The page that iohgatp, iosatp, pdtp or msiptp points to. */
static inline uint64_t root_of(uint64_t pointer)
{
    return field(pointer, 43, 0) << 12;
}

/* The page that an entry of any table points to. */
static inline uint64_t target_of(uint64_t entry)
{
    return field(entry, 53, 10) << 12;
}

/* Each records a fault and returns false: the given cause, or the one of the access. */
bool oracle_fault(struct walk *w, unsigned cause);
bool oracle_access_fault(struct walk *w);
bool oracle_guest_page_fault(struct walk *w, uint64_t gpa, unsigned implicit);

/* One entry of some doublewords. All of them are accessed before any is looked at; false if
 * one violates a PMA check. first_stage says whose endianness counts, DC.tc's or fctl's. */
bool oracle_read_entry(struct walk *w, uint64_t pa, bool first_stage, uint64_t *words,
                       unsigned count, unsigned *reads);

bool oracle_permits(uint64_t pte, enum oracle_access access);
void oracle_arrive_bare(struct leaf *leaf, uint64_t address);

/* "Two-Stage Address Translation" of the privileged specification, one stage each. The
 * first records its faults; who asked for the second knows what its outcome means. */
bool oracle_first_stage(struct walk *w, uint64_t iosatp, struct leaf *leaf);
enum outcome oracle_second_stage(struct walk *w, uint64_t gpa, enum oracle_access access,
                                 struct leaf *leaf);

#ifdef __cplusplus
}
#endif

#endif
