/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_spec - what software and hardware agree on: RISC-V IOMMU registers, tables, queues.
 *
 * Source: RISC-V IOMMU Architecture Specification, version 1.0, chapters 2 (data
 * structures), 3 (in-memory queues) and 5 (registers); RISC-V Privileged Architecture for
 * the page-table entries.
 */
#ifndef IOMMU_MODEL_RISCV_SPEC_H
#define IOMMU_MODEL_RISCV_SPEC_H

#include <stdint.h>

#include "sim/base/lg2.h"

/* ---- Registers (5), offsets in bytes; all but capabilities can be accessed by halves ----
 */
enum riscv_register {
    RISCV_CAPABILITIES = 0x000,
    RISCV_FCTL         = 0x008,
    RISCV_DDTP         = 0x010,
    RISCV_CQB          = 0x018,
    RISCV_CQH          = 0x020,
    RISCV_CQT          = 0x024,
    RISCV_FQB          = 0x028,
    RISCV_FQH          = 0x030,
    RISCV_FQT          = 0x034,
    RISCV_PQB          = 0x038,
    RISCV_CQCSR        = 0x048,
    RISCV_FQCSR        = 0x04c,
    RISCV_PQCSR        = 0x050,
    RISCV_IPSR         = 0x054,
    RISCV_IOCOUNTOVF   = 0x058,
    RISCV_IOCOUNTINH   = 0x05c,
    RISCV_IOHPMCYCLES  = 0x060,
    RISCV_IOHPMCTR     = 0x068, /* 31 of 8 bytes */
    RISCV_IOHPMEVT     = 0x160, /* 31 of 8 bytes */
    RISCV_ICVEC        = 0x2f8,
    RISCV_MSI_CFG      = 0x300, /* 16 of 16 bytes: address, data, vector control */
    RISCV_WINDOW_BYTES = 0x1000,
};

/* capabilities (5.3) */
#define RISCV_CAP_VERSION(x) bits_put(x, 7, 0) /* 0x10: version 1.0 */
#define RISCV_CAP_SV39       (UINT64_C(1) << 9)
#define RISCV_CAP_SV48       (UINT64_C(1) << 10)
#define RISCV_CAP_SV57       (UINT64_C(1) << 11)
#define RISCV_CAP_SVPBMT     (UINT64_C(1) << 15)
#define RISCV_CAP_SV39X4     (UINT64_C(1) << 17)
#define RISCV_CAP_SV48X4     (UINT64_C(1) << 18)
#define RISCV_CAP_SV57X4     (UINT64_C(1) << 19)
#define RISCV_CAP_AMO_MRIF   (UINT64_C(1) << 21)
#define RISCV_CAP_MSI_FLAT   (UINT64_C(1) << 22)
#define RISCV_CAP_MSI_MRIF   (UINT64_C(1) << 23)
#define RISCV_CAP_AMO_HWAD   (UINT64_C(1) << 24)
#define RISCV_CAP_ATS        (UINT64_C(1) << 25)
#define RISCV_CAP_T2GPA      (UINT64_C(1) << 26)
#define RISCV_CAP_END        (UINT64_C(1) << 27)
#define RISCV_CAP_IGS(x)     bits_put(x, 29, 28)
#define RISCV_CAP_HPM        (UINT64_C(1) << 30)
#define RISCV_CAP_DBG        (UINT64_C(1) << 31)
#define RISCV_CAP_PAS(x)     bits_put(x, 37, 32)
#define RISCV_CAP_PD8        (UINT64_C(1) << 38)
#define RISCV_CAP_PD17       (UINT64_C(1) << 39)
#define RISCV_CAP_PD20       (UINT64_C(1) << 40)

enum riscv_igs { RISCV_IGS_MSI, RISCV_IGS_WSI, RISCV_IGS_BOTH };

#define RISCV_FCTL_WSI UINT32_C(2) /* 5.4: interrupts by wire, not by message */

/* ddtp (5.5) */
enum riscv_ddtp_mode {
    RISCV_DDTP_OFF,
    RISCV_DDTP_BARE,
    RISCV_DDTP_1LVL,
    RISCV_DDTP_2LVL,
    RISCV_DDTP_3LVL,
};
#define RISCV_DDTP_MODE(x) bits_get(x, 3, 0)
#define RISCV_DDTP_BUSY    (UINT64_C(1) << 4)
#define RISCV_PPN_53_10(x)                                                                 \
    (bits_get(x, 53, 10) << 12) /* The address in ddtp, cqb, DDT... */

static inline uint64_t riscv_ddtp(uint64_t root, enum riscv_ddtp_mode mode)
{
    CHECK((root & 0xfff) == 0);
    return bits_put(root >> 12, 53, 10) | (uint64_t)mode;
}

/* cqb, fqb (5.6, 5.9): the address of a ring of 2^lg2 records. */
static inline uint64_t riscv_queue_base(uint64_t base, unsigned lg2)
{
    CHECK((base & 0xfff) == 0);
    CHECK(lg2 >= 1);
    return bits_put(base >> 12, 53, 10) | bits_put(lg2 - 1, 4, 0);
}
static inline unsigned riscv_queue_lg2(uint64_t qb)
{
    return (unsigned)bits_get(qb, 4, 0) + 1;
}

/* cqcsr, fqcsr (5.15, 5.16) */
#define RISCV_QUEUE_ENABLE (UINT32_C(1) << 0)
#define RISCV_QUEUE_IE     (UINT32_C(1) << 1)
#define RISCV_QUEUE_MF     (UINT32_C(1) << 8)
#define RISCV_CQ_CMD_TO    (UINT32_C(1) << 9)
#define RISCV_CQ_CMD_ILL   (UINT32_C(1) << 10)
#define RISCV_CQ_FENCE_WIP (UINT32_C(1) << 11)
#define RISCV_FQ_OF        (UINT32_C(1) << 9)
#define RISCV_QUEUE_ON     (UINT32_C(1) << 16)
#define RISCV_QUEUE_BUSY   (UINT32_C(1) << 17)

/* ipsr (5.18), and the fields of icvec (5.23) in the same order */
enum riscv_interrupt { RISCV_CIP, RISCV_FIP, RISCV_PMIP, RISCV_PIP };

/* iohpmevt (5.22) */
#define RISCV_EVT_ID(x)   bits_get(x, 14, 0)
#define RISCV_EVT_DMASK   (UINT64_C(1) << 15)
#define RISCV_EVT_PID(x)  bits_get(x, 35, 16)
#define RISCV_EVT_DID(x)  bits_get(x, 59, 36)
#define RISCV_EVT_PV_PSCV (UINT64_C(1) << 60)
#define RISCV_EVT_DV_GSCV (UINT64_C(1) << 61)
#define RISCV_EVT_IDT     (UINT64_C(1) << 62)
#define RISCV_EVT_OF      (UINT64_C(1) << 63)

enum riscv_event {
    RISCV_EVENT_NONE,
    RISCV_EVENT_UNTRANSLATED,
    RISCV_EVENT_TRANSLATED,
    RISCV_EVENT_ATS,
    RISCV_EVENT_IOTLB_MISS,
    RISCV_EVENT_DDT_WALK,
    RISCV_EVENT_PDT_WALK,
    RISCV_EVENT_S_WALK,
    RISCV_EVENT_G_WALK,
    RISCV_EVENTS,
};

/* ---- Device directory (2.1) ------------------------------------------------------------
 */
enum { RISCV_DC_BYTES = 32, RISCV_DC_EXTENDED_BYTES = 64, RISCV_PC_BYTES = 16 };

#define RISCV_VALID                                                                        \
    UINT64_C(1) /* Of a DDT or PDT entry, a DC, a PC, a PTE, an MSI PTE.                   \
                 */

static inline uint64_t riscv_directory_entry(uint64_t table)
{
    CHECK((table & 0xfff) == 0);
    return RISCV_VALID | bits_put(table >> 12, 53, 10);
}

/* The index of a device id in the table of a level, 0 being the leaf's. */
static inline unsigned riscv_device_index(uint32_t device, unsigned level, bool extended)
{
    const unsigned shift = level == 0 ? 0 : (extended ? 6u : 7u) + 9 * (level - 1);
    const unsigned bits  = level == 0               ? (extended ? 6u : 7u)
                           : level == 1 || extended ? 9u
                                                    : 8u;
    return (unsigned)(device >> shift & mask_lg2(bits));
}
/* The bits of a device id that tables of so many levels can tell apart. */
static inline unsigned riscv_device_lg2(unsigned levels, bool extended)
{
    return levels == 3 ? 24 : (extended ? 6u : 7u) + 9 * (levels - 1);
}

/* Translation control, the first doubleword of a device context (2.1.3.1) */
#define RISCV_TC_EN_ATS   (UINT64_C(1) << 1)
#define RISCV_TC_EN_PRI   (UINT64_C(1) << 2)
#define RISCV_TC_T2GPA    (UINT64_C(1) << 3)
#define RISCV_TC_DTF      (UINT64_C(1) << 4) /* faults of translations are not recorded */
#define RISCV_TC_PDTV     (UINT64_C(1) << 5)
#define RISCV_TC_PRPR     (UINT64_C(1) << 6)
#define RISCV_TC_GADE     (UINT64_C(1) << 7)
#define RISCV_TC_SADE     (UINT64_C(1) << 8)
#define RISCV_TC_DPE      (UINT64_C(1) << 9)
#define RISCV_TC_SBE      (UINT64_C(1) << 10)
#define RISCV_TC_SXL      (UINT64_C(1) << 11)
#define RISCV_TC_RESERVED (~mask_lg2(32) | UINT64_C(0xfff000))

/* iohgatp, iosatp and pdtp: mode and root of a table */
enum riscv_table_mode {
    RISCV_BARE     = 0,
    RISCV_PD8      = 1, /* pdtp */
    RISCV_PD17     = 2,
    RISCV_PD20     = 3,
    RISCV_SV39     = 8, /* iosatp; iohgatp: Sv39x4 and so on */
    RISCV_SV48     = 9,
    RISCV_SV57     = 10,
    RISCV_MSI_OFF  = 0, /* msiptp */
    RISCV_MSI_FLAT = 1,
};
static inline unsigned riscv_table_mode(uint64_t x)
{
    return (unsigned)bits_get(x, 63, 60);
}
static inline uint64_t riscv_table_root(uint64_t x)
{
    return bits_get(x, 43, 0) << 12;
}
static inline uint32_t riscv_iohgatp_gscid(uint64_t x)
{
    return (uint32_t)bits_get(x, 59, 44);
}
static inline uint64_t riscv_iohgatp(enum riscv_table_mode mode, uint32_t gscid,
                                     uint64_t root)
{
    return bits_put(mode, 63, 60) | bits_put(gscid, 59, 44) | bits_put(root >> 12, 43, 0);
}
/* iosatp, pdtp, msiptp */
static inline uint64_t riscv_table(enum riscv_table_mode mode, uint64_t root)
{
    return bits_put(mode, 63, 60) | bits_put(root >> 12, 43, 0);
}
#define RISCV_TABLE_RESERVED (mask_lg2(16) << 44) /* Of iosatp, pdtp, msiptp. */

/* The first doubleword of a process context (2.3), and the third of a device context */
#define RISCV_TA_ENS      (UINT64_C(1) << 1)
#define RISCV_TA_SUM      (UINT64_C(1) << 2)
#define RISCV_TA_PSCID(x) bits_put(x, 31, 12)
static inline uint64_t riscv_ta(uint32_t pscid)
{
    return bits_put(pscid, 31, 12);
}
static inline uint32_t riscv_ta_pscid(uint64_t ta)
{
    return (uint32_t)bits_get(ta, 31, 12);
}

/* The index of a process id in the table of a level of the process directory (2.3) */
static inline unsigned riscv_process_index(uint32_t process, unsigned level)
{
    static const unsigned shift[] = { 0, 8, 17 }, bits[] = { 8, 9, 3 };
    CHECK(level < 3);
    return (unsigned)(process >> shift[level] & mask_lg2(bits[level]));
}
static inline unsigned riscv_process_lg2(unsigned levels)
{
    return levels == 1 ? 8 : levels == 2 ? 17 : 20;
}

/* ---- Page-table entries ----------------------------------------------------------------
 */
#define RISCV_PTE_V    (UINT64_C(1) << 0)
#define RISCV_PTE_R    (UINT64_C(1) << 1)
#define RISCV_PTE_W    (UINT64_C(1) << 2)
#define RISCV_PTE_X    (UINT64_C(1) << 3)
#define RISCV_PTE_U    (UINT64_C(1) << 4)
#define RISCV_PTE_G    (UINT64_C(1) << 5)
#define RISCV_PTE_A    (UINT64_C(1) << 6)
#define RISCV_PTE_D    (UINT64_C(1) << 7)
#define RISCV_PTE_N    (UINT64_C(1) << 63)
#define RISCV_PTE_PBMT (UINT64_C(3) << 61)

/* MSI page table (2.1.3.6, and the AIA specification): entries of 16 bytes */
#define RISCV_MSI_BASIC    UINT64_C(3) /* The mode in bits 2:1 that rewrites the address. */
#define RISCV_MSI_MODE(x)  bits_get(x, 2, 1)
#define RISCV_MSI_RESERVED (~(mask_lg2(3) | mask_lg2(44) << 10)) /* Of a basic entry. */

/* ---- Commands (3.1), 16 bytes -----------------------------------------------------------
 */
enum { RISCV_COMMAND_BYTES = 16, RISCV_COMMAND_LG2 = 4 };

enum riscv_opcode { RISCV_IOTINVAL = 1, RISCV_IOFENCE = 2, RISCV_IODIR = 3, RISCV_ATS = 4 };
enum riscv_iotinval { RISCV_VMA = 0, RISCV_GVMA = 1 };
enum riscv_iodir { RISCV_INVAL_DDT = 0, RISCV_INVAL_PDT = 1 };

struct riscv_command {
    uint64_t low, high;
};

#define RISCV_CMD_OPCODE(x) bits_get(x, 6, 0)
#define RISCV_CMD_FUNC(x)   bits_get(x, 9, 7)
#define RISCV_INVAL_AV      (UINT64_C(1) << 10)
#define RISCV_INVAL_PSCV    (UINT64_C(1) << 32)
#define RISCV_INVAL_GV      (UINT64_C(1) << 33)
#define RISCV_FENCE_AV      (UINT64_C(1) << 10)
#define RISCV_FENCE_WSI     (UINT64_C(1) << 11)
#define RISCV_FENCE_PR      (UINT64_C(1) << 12)
#define RISCV_FENCE_PW      (UINT64_C(1) << 13)
#define RISCV_DIR_DV        (UINT64_C(1) << 33)

static inline uint32_t riscv_inval_pscid(struct riscv_command c)
{
    return (uint32_t)bits_get(c.low, 31, 12);
}
static inline uint32_t riscv_inval_gscid(struct riscv_command c)
{
    return (uint32_t)bits_get(c.low, 59, 44);
}
static inline uint64_t riscv_inval_address(struct riscv_command c)
{
    return bits_get(c.high, 61, 10) << 12;
}
static inline uint32_t riscv_dir_device(struct riscv_command c)
{
    return (uint32_t)bits_get(c.low, 63, 40);
}
static inline uint32_t riscv_dir_process(struct riscv_command c)
{
    return (uint32_t)bits_get(c.low, 31, 12);
}

/* flags: RISCV_INVAL_*; what they do not name is ignored. */
static inline struct riscv_command riscv_iotinval(enum riscv_iotinval kind, uint64_t flags,
                                                  uint32_t gscid, uint32_t pscid,
                                                  uint64_t address)
{
    const struct riscv_command c = {
        RISCV_IOTINVAL | bits_put(kind, 9, 7) | flags | bits_put(pscid, 31, 12)
            | bits_put(gscid, 59, 44),
        bits_put(address >> 12, 61, 10),
    };
    return c;
}
/* flags: RISCV_FENCE_*; address is a multiple of 4. */
static inline struct riscv_command riscv_iofence(uint64_t flags, uint64_t address,
                                                 uint32_t data)
{
    const struct riscv_command c = { RISCV_IOFENCE | flags | bits_put(data, 63, 32),
                                     address >> 2 };
    return c;
}
static inline struct riscv_command riscv_iodir(enum riscv_iodir kind, bool dv,
                                               uint32_t device, uint32_t process)
{
    const struct riscv_command c = { RISCV_IODIR | bits_put(kind, 9, 7)
                                         | (dv ? RISCV_DIR_DV : 0)
                                         | bits_put(process, 31, 12)
                                         | bits_put(device, 63, 40),
                                     0 };
    return c;
}

/* ---- Faults (3.2), records of 32 bytes
 * --------------------------------------------------- */
enum { RISCV_FAULT_BYTES = 32, RISCV_FAULT_LG2 = 5 };

enum riscv_cause {
    RISCV_FETCH_ACCESS_FAULT     = 1,
    RISCV_READ_ACCESS_FAULT      = 5,
    RISCV_WRITE_ACCESS_FAULT     = 7,
    RISCV_FETCH_PAGE_FAULT       = 12,
    RISCV_READ_PAGE_FAULT        = 13,
    RISCV_WRITE_PAGE_FAULT       = 15,
    RISCV_FETCH_GUEST_PAGE_FAULT = 20,
    RISCV_READ_GUEST_PAGE_FAULT  = 21,
    RISCV_WRITE_GUEST_PAGE_FAULT = 23,
    RISCV_ALL_DISALLOWED         = 256,
    RISCV_DDT_ACCESS_FAULT       = 257,
    RISCV_DDT_NOT_VALID          = 258,
    RISCV_DDT_MISCONFIGURED      = 259,
    RISCV_TYPE_DISALLOWED        = 260,
    RISCV_MSI_ACCESS_FAULT       = 261,
    RISCV_MSI_NOT_VALID          = 262,
    RISCV_MSI_MISCONFIGURED      = 263,
    RISCV_PDT_ACCESS_FAULT       = 265,
    RISCV_PDT_NOT_VALID          = 266,
    RISCV_PDT_MISCONFIGURED      = 267,
};

enum riscv_ttyp {
    RISCV_TTYP_NONE,
    RISCV_TTYP_FETCH,
    RISCV_TTYP_READ,
    RISCV_TTYP_WRITE,
    RISCV_TTYP_TRANSLATED_FETCH = 5,
    RISCV_TTYP_TRANSLATED_READ,
    RISCV_TTYP_TRANSLATED_WRITE,
    RISCV_TTYP_TRANSLATION, /* A request of ATS. */
};

#define RISCV_FAULT_CAUSE(x)   bits_get(x, 11, 0)
#define RISCV_FAULT_PV         (UINT64_C(1) << 32)
#define RISCV_FAULT_PRIV       (UINT64_C(1) << 33)
#define RISCV_FAULT_TTYP(x)    bits_get(x, 39, 34)
#define RISCV_FAULT_DID(x)     bits_get(x, 63, 40)
#define RISCV_IOTVAL2_IMPLICIT UINT64_C(1) /* The access was the walk's own. */
#define RISCV_IOTVAL2_WRITE    UINT64_C(2)

#endif
