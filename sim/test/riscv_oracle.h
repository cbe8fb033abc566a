/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_oracle - what the RISC-V IOMMU Architecture Specification 1.0 says of one request.
 *
 * A walk of the tables in memory, without caches and without time, for tests that hold a
 * timing model against it. It is written from the specification, its own constants
 * included, and shares no line with the model.
 *
 * Where the specification leaves a choice, this is the one taken:
 *  - Memory is never written. Updates of A and D are reported, in order, and later reads of
 *    the same walk see them.
 *  - An update of a first-stage leaf is, at the second stage, a write to its entry: it
 * needs W there, and sets D (GADE) or faults. Any other implicit access is a read. The
 * second-stage leaf that the read has found is used; its tables are not read again.
 *  - Faults of the second stage on the way to a directory entry: a guest page fault of the
 *    original access (bit 0 of iotval2 set), or an access fault as 265.
 *  - iotval and iotval2 keep the page offset; of an implicit access, that of the entry.
 *  - Supervisor privilege and execution count only with a process_id; without, an execution
 * is a read. An execution needs X, not R.
 *  - A translated address beyond capabilities.PAS is the IO bridge's business; only
 * accesses of the IOMMU itself are held against PAS, and an address in a context is not
 * looked at before it is used.
 *  - A, D or U in a non-leaf entry is reserved, and so a page fault.
 *  - MSI page tables are used also when the second stage is Bare. An entry with C=1 is
 *    misconfigured.
 *  - fctl.BE is writable exactly when capabilities.END is set; fctl.GXL when gxl_writable
 * is.
 *  - ddtp.iommu_mode above 3LVL, which the register cannot hold, is Off.
 *
 * Inaccuracies: Sv32 and Sv32x4 are taken as absent; no PCIe ATS translation requests; no
 * data corruption (causes 268 to 271 and 274).
 */
#ifndef SIM_TEST_RISCV_ORACLE_H
#define SIM_TEST_RISCV_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum oracle_access { ORACLE_READ, ORACLE_WRITE, ORACLE_EXECUTE };

enum oracle_cause {
    ORACLE_INSTRUCTION_ACCESS_FAULT = 1,
    ORACLE_READ_ACCESS_FAULT        = 5,
    ORACLE_WRITE_ACCESS_FAULT       = 7,
    ORACLE_INSTRUCTION_PAGE_FAULT   = 12,
    ORACLE_READ_PAGE_FAULT          = 13,
    ORACLE_WRITE_PAGE_FAULT         = 15,
    ORACLE_INSTRUCTION_GUEST_FAULT  = 20,
    ORACLE_READ_GUEST_FAULT         = 21,
    ORACLE_WRITE_GUEST_FAULT        = 23,
    ORACLE_ALL_DISALLOWED           = 256,
    ORACLE_DDT_ACCESS_FAULT         = 257,
    ORACLE_DDT_NOT_VALID            = 258,
    ORACLE_DDT_MISCONFIGURED        = 259,
    ORACLE_TYPE_DISALLOWED          = 260,
    ORACLE_MSI_ACCESS_FAULT         = 261,
    ORACLE_MSI_NOT_VALID            = 262,
    ORACLE_MSI_MISCONFIGURED        = 263,
    ORACLE_PDT_ACCESS_FAULT         = 265,
    ORACLE_PDT_NOT_VALID            = 266,
    ORACLE_PDT_MISCONFIGURED        = 267,
};

struct oracle_iommu {
    uint64_t capabilities, fctl, ddtp; /* The registers. */
    bool gxl_writable;
    /* The eight bytes at pa, lowest address first in the lowest byte; false if the access
     * violates a PMA or PMP check. Called once for each doubleword, in order. */
    bool (*read)(void *self, uint64_t pa, uint64_t *word);
    /* Whether an entry may be written there; null: everywhere. */
    bool (*writable)(void *self, uint64_t pa);
    void *self;
};

struct oracle_request {
    uint32_t device_id;
    uint32_t process_id; /* Ignored unless pv. */
    uint64_t iova;
    enum oracle_access access;
    bool pv, priv;
    bool translated; /* A PCIe ATS Translated request. */
};

/* One doubleword that hardware writes: value is as it lies in memory. */
struct oracle_update {
    uint64_t pa, value;
};

/* The second-stage leaves under 3 directory entries, 5 first-stage entries, the last of
 * these once more, and the final address; and the first-stage leaf. */
enum { ORACLE_UPDATES_MAX = 11 };

struct oracle_result {
    bool ok;
    bool reported;     /* A fault, and DC.tc.DTF does not keep it out of the fault queue. */
    unsigned cause;    /* 0 if ok. */
    uint64_t iotval;   /* The IOVA, faulted or not. */
    uint64_t iotval2;  /* 0 unless a guest page fault. */
    uint64_t pa;       /* 0 if the access goes to an MRIF. */
    uint64_t gpa;      /* What the first stage made of iova, if it came so far. */
    unsigned page_lg2; /* The smaller of the pages; 12 where nothing is translated. */
    unsigned s1_lg2, s2_lg2; /* Leaf sizes; 0 if the stage is Bare or bypassed. */
    uint64_t s1_pte, s2_pte; /* Leaf entries, updated; 0 likewise. */
    unsigned pbmt;           /* Resolved between the stages: 0 PMA, 1 NC, 2 IO. */
    bool readable, writable, executable; /* What both stages permit. */
    bool is_msi, is_mrif;
    uint64_t mrif_pa, notice_pa;
    uint32_t notice_id;
    uint32_t gscid, pscid; /* Tags of the address space; 0 if its stage is Bare. */
    /* Entries read: a context counts once, a read that violates a PMA check counts, one
     * that is beyond PAS does not. s2_reads has implicit accesses, those for the PDT
     * included. */
    unsigned ddt_reads, pdt_reads, s1_reads, s2_reads, msi_reads;
    unsigned update_count;
    struct oracle_update updates[ORACLE_UPDATES_MAX];
};

struct oracle_result oracle_translate(const struct oracle_iommu *iommu,
                                      const struct oracle_request *request);

/* The doublewords of the fault record, before fctl.BE. */
void oracle_fault_record(const struct oracle_request *request,
                         const struct oracle_result *result, uint64_t record[4]);

#ifdef __cplusplus
}
#endif

#endif
