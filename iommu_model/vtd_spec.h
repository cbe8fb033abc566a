/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtd_spec - what software and hardware agree on: Intel VT-d registers, tables and queues.
 *
 * Source: Intel Virtualization Technology for Directed I/O, Architecture Specification,
 * chapters 6 (queued invalidation), 9 (table formats) and 11 (registers).
 */
#ifndef IOMMU_MODEL_VTD_SPEC_H
#define IOMMU_MODEL_VTD_SPEC_H

#include <stdint.h>

#include "sim/base/lg2.h"

/* ---- Registers (11.4), offsets in bytes ------------------------------------------------
 */
enum vtd_register {
    VTD_VER          = 0x00,
    VTD_CAP          = 0x08,
    VTD_ECAP         = 0x10,
    VTD_GCMD         = 0x18,
    VTD_GSTS         = 0x1c,
    VTD_RTADDR       = 0x20,
    VTD_CCMD         = 0x28,
    VTD_FSTS         = 0x34,
    VTD_FECTL        = 0x38,
    VTD_FEDATA       = 0x3c,
    VTD_FEADDR       = 0x40,
    VTD_FEUADDR      = 0x44,
    VTD_IQH          = 0x80,
    VTD_IQT          = 0x88,
    VTD_IQA          = 0x90,
    VTD_ICS          = 0x9c,
    VTD_IECTL        = 0xa0,
    VTD_IEDATA       = 0xa4,
    VTD_IEADDR       = 0xa8,
    VTD_IEUADDR      = 0xac,
    VTD_IQERCD       = 0xb0,
    VTD_FRCD         = 0x220, /* The first fault recording register; CAP.FRO says so. */
    VTD_WINDOW_BYTES = 0x1000,
};

/* CAP (11.4.2) */
#define VTD_CAP_ND(x) bits_put(x, 2, 0) /* 16-bit domain ids: 6 */
#define VTD_CAP_SAGAW(x)                                                                   \
    bits_put(x, 12, 8)                       /* bit 1: 3 levels, 2: 4 levels, 3: 5 levels  \
                                              */
#define VTD_CAP_MGAW(x)  bits_put(x, 21, 16) /* widest guest address - 1 */
#define VTD_CAP_FRO(x)   bits_put(x, 33, 24) /* in 16 bytes */
#define VTD_CAP_SLLPS(x) bits_put(x, 37, 34) /* bit 0: 2 MiB, bit 1: 1 GiB */
#define VTD_CAP_PSI      (UINT64_C(1) << 39)
#define VTD_CAP_NFR(x)   bits_put(x, 47, 40) /* fault recording registers - 1 */
#define VTD_CAP_MAMV(x)  bits_put(x, 53, 48)
#define VTD_CAP_DWD      (UINT64_C(1) << 54)
#define VTD_CAP_DRD      (UINT64_C(1) << 55)
#define VTD_CAP_FL1GP    (UINT64_C(1) << 56) /* first-stage leaves of 1 GiB */
#define VTD_CAP_FL5LP    (UINT64_C(1) << 60) /* first-stage tables of 5 levels */
#define VTD_CAP_RWBF     (UINT64_C(1) << 4)
#define VTD_CAP_CM       (UINT64_C(1) << 7)

static inline unsigned vtd_cap_sagaw(uint64_t cap)
{
    return (unsigned)bits_get(cap, 12, 8);
}
static inline unsigned vtd_cap_mamv(uint64_t cap)
{
    return (unsigned)bits_get(cap, 53, 48);
}
static inline unsigned vtd_cap_sllps(uint64_t cap)
{
    return (unsigned)bits_get(cap, 37, 34);
}

/* ECAP (11.4.3) */
#define VTD_ECAP_C      (UINT64_C(1) << 0) /* table walks snoop the caches */
#define VTD_ECAP_QI     (UINT64_C(1) << 1)
#define VTD_ECAP_DT     (UINT64_C(1) << 2)  /* device TLBs */
#define VTD_ECAP_PT     (UINT64_C(1) << 6)  /* pass-through contexts */
#define VTD_ECAP_NEST   (UINT64_C(1) << 26) /* nested translation */
#define VTD_ECAP_SRS    (UINT64_C(1) << 31) /* requests with privilege */
#define VTD_ECAP_PASID  (UINT64_C(1) << 40)
#define VTD_ECAP_SMTS   (UINT64_C(1) << 43) /* scalable mode */
#define VTD_ECAP_SLTS   (UINT64_C(1) << 46) /* second-stage tables, in scalable mode */
#define VTD_ECAP_FLTS   (UINT64_C(1) << 47) /* first-stage tables */
#define VTD_ECAP_RPS    (UINT64_C(1) << 49) /* RID_PASID may be other than 0 */
#define VTD_ECAP_IRO(x) bits_put(x, 17, 8)
#define VTD_ECAP_PSS(x) bits_put(x, 39, 35) /* bits of a PASID - 1 */

/* GCMD and GSTS (11.4.4): a command bit and its status bit stand at the same place. */
#define VTD_G_TE  (UINT32_C(1) << 31)
#define VTD_G_RTP (UINT32_C(1) << 30) /* SRTP, one-shot; status RTPS */
#define VTD_G_QI  (UINT32_C(1) << 26)
#define VTD_G_WBF (UINT32_C(1) << 27) /* one-shot; the status bit is set while it runs */

/* FSTS (11.4.9) */
#define VTD_FSTS_PFO    (UINT32_C(1) << 0)
#define VTD_FSTS_PPF    (UINT32_C(1) << 1)
#define VTD_FSTS_IQE    (UINT32_C(1) << 4)
#define VTD_FSTS_ICE    (UINT32_C(1) << 5)
#define VTD_FSTS_ITE    (UINT32_C(1) << 6)
#define VTD_FSTS_FRI(x) ((uint32_t)bits_put(x, 15, 8))

/* FECTL and IECTL: the event's message is masked; one waits behind the mask. */
#define VTD_EVENT_IM (UINT32_C(1) << 31)
#define VTD_EVENT_IP (UINT32_C(1) << 30)

/* IQERCD: what stopped the queue, and the source ids of ITE and ICE. */
#define VTD_IQERCD_IQEI(x)   bits_put(x, 3, 0)
#define VTD_IQERCD_ITESID(x) bits_put(x, 47, 32)
#define VTD_IQERCD_ICESID(x) bits_put(x, 63, 48)

enum vtd_queue_error {
    VTD_IQEI_NONE      = 0,
    VTD_IQEI_TAIL      = 1, /* The tail lies beyond the queue. */
    VTD_IQEI_FETCH     = 2, /* Memory has no such queue. */
    VTD_IQEI_TYPE      = 3, /* Not known, or not of this mode. */
    VTD_IQEI_RESERVED  = 4, /* A reserved field is not 0. */
    VTD_IQEI_WIDTH     = 5, /* Of 16 bytes in scalable mode, of 32 where there is none. */
    VTD_IQEI_ALIGNMENT = 6, /* The tail lies inside a descriptor of 32 bytes. */
};

/* Fault recording register (11.4.14), two quadwords. */
#define VTD_FRCD_F      (UINT64_C(1) << 63)
#define VTD_FRCD_T_READ (UINT64_C(1) << 62)
#define VTD_FRCD_AT(x)  bits_put(x, 61, 60)
#define VTD_FRCD_PV(x)  bits_put(x, 59, 40)
#define VTD_FRCD_FR(x)  bits_put(x, 39, 32)
#define VTD_FRCD_PP     (UINT64_C(1) << 31) /* PV counts. */
#define VTD_FRCD_PRIV   (UINT64_C(1) << 29)
#define VTD_FRCD_SID(x) bits_put(x, 15, 0)

/* Fault reasons (7.2): up to 0xd of legacy mode, the others of scalable mode. */
enum vtd_fault {
    VTD_FAULT_ROOT_ABSENT       = 0x1,
    VTD_FAULT_CONTEXT_ABSENT    = 0x2,
    VTD_FAULT_CONTEXT_INVALID   = 0x3,
    VTD_FAULT_BEYOND_WIDTH      = 0x4,
    VTD_FAULT_WRITE_NOT_ALLOWED = 0x5,
    VTD_FAULT_READ_NOT_ALLOWED  = 0x6,
    VTD_FAULT_TABLE_ACCESS      = 0x7, /* Memory has no such page table, */
    VTD_FAULT_ROOT_ACCESS       = 0x8, /* root table, */
    VTD_FAULT_CONTEXT_ACCESS    = 0x9, /* or context table. */
    VTD_FAULT_ROOT_RESERVED     = 0xa,
    VTD_FAULT_CONTEXT_RESERVED  = 0xb,
    VTD_FAULT_ENTRY_RESERVED    = 0xc,
    VTD_FAULT_TYPE_BLOCKED      = 0xd, /* The context wants no such requests of ATS. */

    VTD_SRTA_MODE           = 0x30, /* RTADDR: a mode that does not exist */
    VTD_SRTA_PASID          = 0x31, /* ... and legacy mode has no PASIDs. */
    VTD_SRT_ACCESS          = 0x38, /* Root entry */
    VTD_SRT_ABSENT          = 0x39,
    VTD_SRT_RESERVED        = 0x3a,
    VTD_SCT_ACCESS          = 0x40, /* Scalable-mode context entry */
    VTD_SCT_ABSENT          = 0x41,
    VTD_SCT_RESERVED        = 0x42,
    VTD_SCT_INVALID         = 0x43,
    VTD_SCT_NO_DEVICE_TLB   = 0x44,
    VTD_SCT_NO_PASID        = 0x45,
    VTD_SCT_PASID_TOO_LARGE = 0x46,
    VTD_SCT_RID_PASID       = 0x48,
    VTD_SPD_ACCESS          = 0x50, /* PASID directory entry */
    VTD_SPD_ABSENT          = 0x51,
    VTD_SPD_RESERVED        = 0x52,
    VTD_SPT_ACCESS          = 0x58, /* PASID table entry */
    VTD_SPT_ABSENT          = 0x59,
    VTD_SPT_RESERVED        = 0x5a,
    VTD_SPT_INVALID         = 0x5b,
    VTD_SPT_NO_PRIVILEGE    = 0x5d, /* SRE is clear. */
    VTD_SFS_ACCESS          = 0x70, /* First-stage entry */
    VTD_SFS_ABSENT          = 0x71,
    VTD_SFS_RESERVED        = 0x72,
    VTD_SSS_ACCESS          = 0x78, /* Second-stage entry */
    VTD_SSS_ABSENT          = 0x79, /* Neither R nor W is set. */
    VTD_SSS_RESERVED        = 0x7a,
    VTD_SGN_NOT_CANONICAL   = 0x80, /* The request as a whole */
    VTD_SGN_USER            = 0x81,
    VTD_SGN_BEYOND_WIDTH    = 0x83,
    VTD_SGN_WRITE           = 0x85,
    VTD_SGN_READ            = 0x86,
};

/* ---- Root and context entries (9.1, 9.3), 16 bytes each --------------------------------
 */
enum { VTD_ROOT_BYTES = 16, VTD_CONTEXT_BYTES = 16 };

#define VTD_PRESENT       UINT64_C(1)
#define VTD_TABLE_MASK    UINT64_C(0x000ffffffffff000)
#define VTD_CONTEXT_FPD   (UINT64_C(1) << 1)
#define VTD_CONTEXT_TT(x) bits_put(x, 3, 2)

enum vtd_translation_type {
    VTD_TT_UNTRANSLATED = 0, /* Only untranslated requests; they go through the tables. */
    VTD_TT_DEVICE_TLB   = 1,
    VTD_TT_PASS_THROUGH = 2,
};

static inline unsigned vtd_context_tt(uint64_t low)
{
    return (unsigned)bits_get(low, 3, 2);
}

/* Adjusted guest address width: 1, 2, 3 for tables of 3, 4, 5 levels. */
static inline uint64_t vtd_context_high(unsigned aw, unsigned domain)
{
    return bits_put(aw, 2, 0) | bits_put(domain, 23, 8);
}
static inline unsigned vtd_context_aw(uint64_t high)
{
    return (unsigned)bits_get(high, 2, 0);
}
static inline unsigned vtd_context_domain(uint64_t high)
{
    return (unsigned)bits_get(high, 23, 8);
}

/* ---- Scalable mode (9.2, 9.4 to 9.6) ---------------------------------------------------
 */
enum {
    VTD_SM_CONTEXT_BYTES = 32, /* A root entry has two tables of 128, by devfn. */
    VTD_PASID_BYTES      = 64,
};
enum vtd_table_mode { VTD_TTM_LEGACY = 0, VTD_TTM_SCALABLE = 1, VTD_TTM_ABORT = 3 };
#define VTD_RTADDR_SCALABLE (UINT64_C(1) << 10) /* TTM */
static inline unsigned vtd_rtaddr_mode(uint64_t rtaddr)
{
    return (unsigned)bits_get(rtaddr, 11, 10);
}

/* Words 0 and 1 of a context entry. pdts: the directory has 2^(pdts + 7) entries, each for
 * 64 PASIDs. */
#define VTD_SM_DTE     (UINT64_C(1) << 2) /* The device may have a device TLB. */
#define VTD_SM_PASIDE  (UINT64_C(1) << 3) /* Requests may have a PASID. */
#define VTD_SM_PDTS(x) bits_put(x, 11, 9)
#define VTD_SM_RID_PRIV                                                                    \
    (UINT64_C(1) << 20) /* Word 1: requests without PASID have privilege. */
static inline unsigned vtd_sm_pasid_lg2(uint64_t low)
{
    return (unsigned)bits_get(low, 11, 9) + 7 + 6;
}
static inline uint32_t vtd_sm_rid_pasid(uint64_t high)
{
    return (uint32_t)bits_get(high, 19, 0);
}

enum vtd_pasid_translation {
    VTD_PGTT_FIRST        = 1,
    VTD_PGTT_SECOND       = 2,
    VTD_PGTT_NESTED       = 3,
    VTD_PGTT_PASS_THROUGH = 4,
};

/* Words 0 to 2 of a PASID table entry. aw as in a context entry, for the second stage. */
static inline uint64_t vtd_pasid_low(unsigned aw, unsigned pgtt, uint64_t second)
{
    return VTD_PRESENT | bits_put(aw, 4, 2) | bits_put(pgtt, 8, 6) | second;
}
static inline uint64_t vtd_pasid_first(unsigned levels, uint64_t first)
{
    return bits_put(levels - 4, 3, 2) | first;
}

static inline unsigned vtd_pasid_aw(uint64_t low)
{
    return (unsigned)bits_get(low, 4, 2);
}
static inline unsigned vtd_pasid_pgtt(uint64_t low)
{
    return (unsigned)bits_get(low, 8, 6);
}
/* Bits of word 2. */
#define VTD_PASID_SRE (UINT64_C(1) << 0) /* Requests with privilege are allowed, */
#define VTD_PASID_WPE (UINT64_C(1) << 4) /* and may not write what is read-only. */
/* Bits of word 1 that only ask for snooping. */
#define VTD_PASID_SNOOP (UINT64_C(3) << 23)

/* ---- Invalidation queue (6.5.2), descriptors of 16 or 32 bytes -------------------------
 */
enum { VTD_IQ_ENTRY_BYTES = 16, VTD_IQ_ENTRY_LG2 = 4 };

enum vtd_descriptor_type {
    VTD_INV_CONTEXT      = 0x1,
    VTD_INV_IOTLB        = 0x2,
    VTD_INV_DEVTLB       = 0x3,
    VTD_INV_IEC          = 0x4,
    VTD_INV_WAIT         = 0x5,
    VTD_INV_PASID_IOTLB  = 0x6,
    VTD_INV_PASID_CACHE  = 0x7,
    VTD_INV_PASID_DEVTLB = 0x8,
};

/* The address of an invalidation, beside its low bits. */
#define VTD_TABLE_MASK_INV (~UINT64_C(0xfff))

enum vtd_granularity { VTD_GLOBAL = 1, VTD_DOMAIN = 2, VTD_PAGE = 3, VTD_DEVICE = 3 };

struct vtd_descriptor {
    uint64_t low, high;
};

static inline unsigned vtd_inv_type(struct vtd_descriptor d)
{
    return (unsigned)bits_get(d.low, 3, 0);
}
static inline unsigned vtd_inv_granularity(struct vtd_descriptor d)
{
    return (unsigned)bits_get(d.low, 5, 4);
}
static inline unsigned vtd_inv_domain(struct vtd_descriptor d)
{
    return (unsigned)bits_get(d.low, 31, 16);
}
static inline unsigned vtd_inv_requester(struct vtd_descriptor d)
{
    return (unsigned)bits_get(d.low, 47, 32);
}

#define VTD_INV_DW (UINT64_C(1) << 6) /* IOTLB: drain writes */
#define VTD_INV_DR (UINT64_C(1) << 7) /* IOTLB: drain reads */
#define VTD_INV_IH (UINT64_C(1) << 6) /* In the high quadword: leaf entries only. */

/* addr is aligned to 2^(12 + am); ih keeps the paging-structure caches. */
static inline struct vtd_descriptor vtd_inv_iotlb(enum vtd_granularity granularity,
                                                  unsigned domain, uint64_t addr,
                                                  unsigned am, bool ih)
{
    const struct vtd_descriptor d = {
        VTD_INV_IOTLB | bits_put(granularity, 5, 4) | VTD_INV_DW | VTD_INV_DR
            | bits_put(domain, 31, 16),
        granularity == VTD_PAGE ? addr | (ih ? VTD_INV_IH : 0) | am : 0
    };
    return d;
}

static inline struct vtd_descriptor vtd_inv_context(enum vtd_granularity granularity,
                                                    unsigned domain, unsigned requester)
{
    const struct vtd_descriptor d = { VTD_INV_CONTEXT | bits_put(granularity, 5, 4)
                                          | bits_put(domain, 31, 16)
                                          | bits_put(requester, 47, 32),
                                      0 };
    return d;
}

/*
 * Device TLB (6.5.2.5). order 0: one page; else the S bit is set and the address ends in
 * order - 1 ones above the page offset. depth is the device's queue depth, 0 standing
 * for 32.
 */
#define VTD_INV_S UINT64_C(1)

static inline struct vtd_descriptor vtd_inv_devtlb(unsigned requester, unsigned depth,
                                                   uint64_t addr, unsigned order)
{
    const uint64_t ones           = order > 0 ? mask_lg2(12 + order - 1) : 0;
    const struct vtd_descriptor d = {
        VTD_INV_DEVTLB | bits_put(depth, 20, 16) | bits_put(requester, 47, 32),
        order > 0 ? ((addr | ones) & VTD_TABLE_MASK_INV) | VTD_INV_S : addr
    };
    return d;
}

/* PASID-based IOTLB (6.5.2.4): VTD_PAGE, or VTD_DOMAIN for the whole PASID. */
static inline struct vtd_descriptor vtd_inv_pasid_iotlb(enum vtd_granularity granularity,
                                                        unsigned domain, unsigned pasid,
                                                        uint64_t addr, unsigned am, bool ih)
{
    const struct vtd_descriptor d = {
        VTD_INV_PASID_IOTLB | bits_put(granularity, 5, 4) | bits_put(domain, 31, 16)
            | bits_put(pasid, 51, 32),
        granularity == VTD_PAGE ? addr | (ih ? VTD_INV_IH : 0) | am : 0
    };
    return d;
}

/* PASID cache (6.5.2.2): 1 is one PASID of a domain. */
static inline struct vtd_descriptor vtd_inv_pasid_cache(unsigned domain, unsigned pasid)
{
    const struct vtd_descriptor d = { VTD_INV_PASID_CACHE | bits_put(1, 5, 4)
                                          | bits_put(domain, 31, 16)
                                          | bits_put(pasid, 51, 32),
                                      0 };
    return d;
}

/* PASID-based device TLB (6.5.2.6). global: of every PASID. */
static inline struct vtd_descriptor vtd_inv_pasid_devtlb(unsigned requester, unsigned depth,
                                                         unsigned pasid, bool global,
                                                         uint64_t addr, unsigned order)
{
    const struct vtd_descriptor plain = vtd_inv_devtlb(requester, 0, addr, order);
    const struct vtd_descriptor d     = { VTD_INV_PASID_DEVTLB | bits_put(depth, 8, 4)
                                              | bits_put(requester, 31, 16)
                                              | bits_put(pasid, 51, 32),
                                          (plain.high & VTD_TABLE_MASK_INV)
                                              | (plain.high & VTD_INV_S) << 11 | global };
    return d;
}
static inline unsigned vtd_inv_pasid(struct vtd_descriptor d)
{
    return (unsigned)bits_get(d.low, 51, 32);
}
enum { VTD_PASID_CACHE_DOMAIN, VTD_PASID_CACHE_PASID, VTD_PASID_CACHE_GLOBAL = 3 };

#define VTD_WAIT_IF (UINT64_C(1) << 4)
#define VTD_WAIT_SW (UINT64_C(1) << 5)
#define VTD_WAIT_FN (UINT64_C(1) << 6)

static inline struct vtd_descriptor vtd_inv_wait(uint64_t status_pa, uint32_t data)
{
    const struct vtd_descriptor d = { VTD_INV_WAIT | VTD_WAIT_SW | (uint64_t)data << 32,
                                      status_pa };
    return d;
}

#define VTD_IQA_DW (UINT64_C(1) << 11) /* Descriptors of 32 bytes: scalable mode. */

/* IQA: base address, and a queue of 2^(qs + 8) descriptors of 16 bytes. */
static inline uint64_t vtd_iqa(uint64_t base, unsigned qs)
{
    CHECK((base & 0xfff) == 0);
    CHECK(qs <= 7);
    return base | qs;
}

/* Interrupt messages go here and are not translated. */
#define VTD_MSI_FIRST UINT64_C(0xfee00000)
#define VTD_MSI_LAST  UINT64_C(0xfeefffff)

static inline bool vtd_in_msi_range(uint64_t iova)
{
    return iova >= VTD_MSI_FIRST && iova <= VTD_MSI_LAST;
}

#endif
