/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_spec - what software sees of an NVMe controller: registers, queues and commands.
 *
 * Driver programs and the device model share this header, so it holds the layout and
 * nothing of how a device works. Structs are images of simulated memory, little-endian as
 * the machines that this program runs on.
 *
 * Spec: NVM Express Base Specification 1.4, whose section numbers are cited; revision 2.0
 * numbers the sections anew but keeps the layout of what is used here.
 */
#ifndef WORKLOADS_NVME_SPEC_H
#define WORKLOADS_NVME_SPEC_H

#include <assert.h>
#include <stdint.h>

/* ---- The register window (3.1) ------------------------------------------------------- */

enum {
    NVME_CAP   = 0x00, /* Capabilities, 64 bits. */
    NVME_VS    = 0x08, /* Version. */
    NVME_INTMS = 0x0c, /* Interrupt mask set and clear, for pins and MSI only. */
    NVME_INTMC = 0x10,
    NVME_CC    = 0x14, /* Configuration. */
    NVME_CSTS  = 0x1c, /* Status. */
    NVME_AQA   = 0x24, /* Sizes of the admin queues, zero-based. */
    NVME_ASQ   = 0x28, /* Their addresses, 64 bits each. */
    NVME_ACQ   = 0x30,

    /* Submission tail and completion head of queue q: numbers 2q and 2q + 1. */
    NVME_DOORBELL = 0x1000,

    /* MSI-X structures may lie anywhere in a memory window; these places are this
     * controller's choice (PCI Express Base Specification, MSI-X capability). */
    NVME_MSIX_TABLE   = 0x10000,
    NVME_MSIX_PENDING = 0x18000,
    NVME_WINDOW_BYTES = 0x20000,
};

static inline uint32_t nvme_sq_doorbell(unsigned queue, unsigned dstrd)
{
    return NVME_DOORBELL + ((2 * queue) << (2 + dstrd));
}

static inline uint32_t nvme_cq_doorbell(unsigned queue, unsigned dstrd)
{
    return NVME_DOORBELL + ((2 * queue + 1) << (2 + dstrd));
}

enum {
    NVME_CAP_MQES_SHIFT  = 0,  /* 16 bits: entries of the largest queue, zero-based. */
    NVME_CAP_CQR_SHIFT   = 16, /* Queues must be contiguous. */
    NVME_CAP_TO_SHIFT    = 24, /* 8 bits: longest wait for CSTS.RDY in units of 500 ms. */
    NVME_CAP_DSTRD_SHIFT = 32, /* 4 bits: doorbells are 4 << DSTRD bytes apart. */
    NVME_CAP_CSS_SHIFT   = 37, /* 8 bits, the first: the NVM command set. */
};

enum {
    NVME_VERSION_1_4 = 0x00010400,

    NVME_CC_EN           = 1 << 0,
    NVME_CC_CSS_SHIFT    = 4,  /* 3 bits: 0 selects the NVM command set. */
    NVME_CC_MPS_SHIFT    = 7,  /* 4 bits: the page size is 4096 << MPS. */
    NVME_CC_AMS_SHIFT    = 11, /* 3 bits: 0 selects round-robin arbitration. */
    NVME_CC_SHN_SHIFT    = 14, /* 2 bits: 1 announces a shutdown, 2 an abrupt one. */
    NVME_CC_IOSQES_SHIFT = 16, /* 4 bits each: entry sizes as powers of two. */
    NVME_CC_IOCQES_SHIFT = 20,

    NVME_CSTS_RDY           = 1 << 0,
    NVME_CSTS_CFS           = 1 << 1, /* A fatal error: only a reset helps. */
    NVME_CSTS_SHST_SHIFT    = 2,
    NVME_CSTS_SHST_MASK     = 3 << 2,
    NVME_CSTS_SHST_RUNNING  = 1 << 2, /* Shutting down, */
    NVME_CSTS_SHST_COMPLETE = 2 << 2, /* and done with it. */
};

/* One vector of the MSI-X table. */
struct nvme_msix_entry {
    uint64_t iova;
    uint32_t data;
    uint32_t control;
};
enum { NVME_MSIX_MASKED = 1 }; /* In control; set after power-on. */

/* ---- Queue entries ------------------------------------------------------------------- */

enum {
    NVME_PAGE_LG2   = 12,
    NVME_PAGE_BYTES = 1 << NVME_PAGE_LG2,
    NVME_SQE_LG2    = 6,
    NVME_CQE_LG2    = 4,
    NVME_SECTOR_LG2 = 9, /* The least size of a block. */
    NVME_PRP_BYTES  = 8,
    NVME_PRP_SLOTS  = NVME_PAGE_BYTES / NVME_PRP_BYTES,
};

/* A scatter-gather descriptor (4.4). */
struct nvme_sgl {
    uint64_t iova;
    uint32_t bytes;
    uint8_t reserved[3];
    uint8_t type; /* Type in the upper half, subtype in the lower. */
};

enum {
    NVME_SGL_DATA         = 0x00, /* Data block. */
    NVME_SGL_SEGMENT      = 0x20, /* Points to descriptors, the last a pointer again. */
    NVME_SGL_LAST_SEGMENT = 0x30, /* Points to descriptors of data only. */
};

/* Where a command's data is: two PRP entries (4.3) or one descriptor. */
union nvme_data_pointer {
    uint64_t prp[2];
    struct nvme_sgl sgl;
};

/* A submission queue entry (4.2). cdw[i] is command dword 10 + i. */
struct nvme_sqe {
    uint8_t opcode;
    uint8_t flags;
    uint16_t cid;
    uint32_t nsid;
    uint32_t reserved[2];
    uint64_t metadata; /* MPTR: of a piece of memory, or as flags say. */
    union nvme_data_pointer data;
    uint32_t cdw[6];
};

enum {
    NVME_FLAGS_FUSE = 0x03, /* Fused operations. */
    NVME_FLAGS_SGL =
        0x40, /* The data pointer is a descriptor; metadata, if any, is flat. */
    NVME_FLAGS_SGL_METADATA =
        0x80, /* The same, and the metadata pointer is that of an SGL segment. */
    NVME_FLAGS_PSDT = 0xc0, /* The whole field: PRP or SGL for the data transfer. */
};

/* A completion queue entry (4.6). */
struct nvme_cqe {
    uint32_t result;
    uint32_t reserved;
    uint16_t sq_head;
    uint16_t sq_id;
    uint16_t cid;
    uint16_t status; /* Bit 0 is the phase tag, the status proper lies above it. */
};

static_assert(sizeof(struct nvme_msix_entry) == 16, "MSI-X table entry");
static_assert(sizeof(struct nvme_sgl) == 16, "SGL descriptor");
static_assert(sizeof(struct nvme_sqe) == 1 << NVME_SQE_LG2, "submission queue entry");
static_assert(sizeof(struct nvme_cqe) == 1 << NVME_CQE_LG2, "completion queue entry");

/* ---- Commands ------------------------------------------------------------------------ */

enum nvme_admin_opcode {
    NVME_ADMIN_DELETE_SQ    = 0x00,
    NVME_ADMIN_CREATE_SQ    = 0x01,
    NVME_ADMIN_GET_LOG      = 0x02,
    NVME_ADMIN_DELETE_CQ    = 0x04,
    NVME_ADMIN_CREATE_CQ    = 0x05,
    NVME_ADMIN_IDENTIFY     = 0x06,
    NVME_ADMIN_SET_FEATURES = 0x09,
    NVME_ADMIN_GET_FEATURES = 0x0a,
    NVME_ADMIN_ASYNC_EVENT  = 0x0c,
    NVME_ADMIN_KEEP_ALIVE   = 0x18,
};

enum nvme_opcode {
    NVME_FLUSH        = 0x00,
    NVME_WRITE        = 0x01,
    NVME_READ         = 0x02,
    NVME_WRITE_ZEROES = 0x08,
    NVME_DATASET      = 0x09, /* Dataset management: 1 to 256 ranges of 16 bytes. */
};

enum { NVME_RANGE_BYTES = 16, NVME_NSID_ALL = -1 };
enum { NVME_DATASET_DEALLOCATE = 1 << 2 }; /* In dword 11. */

/* One of dataset management's ranges (6.7). */
struct nvme_range {
    uint32_t attributes;
    uint32_t blocks;
    uint64_t first;
};
static_assert(sizeof(struct nvme_range) == NVME_RANGE_BYTES, "dataset management range");

/* Create I/O queue (5.3, 5.4): dword 10 is the queue's id and, above, its entries less 1;
 * dword 11 has these flags, and in the upper half the vector or the completion queue. */
enum { NVME_QUEUE_CONTIGUOUS = 1 << 0, NVME_QUEUE_INTERRUPTS = 1 << 1 };

/* Identify (5.15): which structure, in the lowest byte of dword 10. */
enum {
    NVME_IDENTIFY_NAMESPACE   = 0x00,
    NVME_IDENTIFY_CONTROLLER  = 0x01,
    NVME_IDENTIFY_ACTIVE      = 0x02, /* Namespace ids above dword 1. */
    NVME_IDENTIFY_DESCRIPTORS = 0x03, /* Unique names of a namespace. */
    NVME_IDENTIFY_COMMAND_SET = 0x06, /* What the controller can of a command set; */
    NVME_IDENTIFY_INDEPENDENT = 0x08, /* a namespace, whatever its command set is (2.0). */
    NVME_IDENTIFY_BYTES       = 4096,
};

/* Offsets in the controller's structure. */
enum {
    NVME_IDCTRL_VID    = 0,
    NVME_IDCTRL_SERIAL = 4,   /* 20 characters */
    NVME_IDCTRL_MODEL  = 24,  /* 40 characters */
    NVME_IDCTRL_FIRM   = 64,  /* 8 characters */
    NVME_IDCTRL_RAB    = 72,  /* 1 byte: recommended arbitration burst, lg2 */
    NVME_IDCTRL_MDTS   = 77,  /* 1 byte: largest transfer in pages, lg2; 0: no limit */
    NVME_IDCTRL_CNTLID = 78,  /* 2 bytes */
    NVME_IDCTRL_VER    = 80,  /* 4 bytes */
    NVME_IDCTRL_SQES   = 512, /* 1 byte: entry sizes, largest above smallest, lg2 */
    NVME_IDCTRL_CQES   = 513,
    NVME_IDCTRL_MAXCMD = 514,     /* 2 bytes */
    NVME_IDCTRL_NN     = 516,     /* 4 bytes: namespaces */
    NVME_IDCTRL_ONCS   = 520,     /* 2 bytes: optional commands */
    NVME_IDCTRL_VWC    = 525,     /* 1 byte: volatile write cache */
    NVME_IDCTRL_SGLS   = 536,     /* 4 bytes: SGL support; 0: PRPs only */
    NVME_IDCTRL_KAS    = 320,     /* 2 bytes: granularity of Keep Alive's timer, 100 ms */
    NVME_IDCTRL_SUBNQN = 768,     /* 256 characters */
    NVME_IDCTRL_IOCCSZ = 1792,    /* 4 bytes: of a command capsule in units of 16 bytes, */
    NVME_IDCTRL_IORCSZ = 1796,    /* of a response capsule; both of I/O queues (Fabrics). */
    NVME_SGLS_KEYED    = 1 << 2,  /* Keyed data block descriptors. */
    NVME_SGLS_OFFSET   = 1 << 20, /* Data at an offset: in the capsule. */
    NVME_ONCS_DATASET  = 1 << 2,
    NVME_ONCS_ZEROES   = 1 << 3,
    NVME_SGLS_BYTE     = 1 << 0,  /* SGLs, of any alignment. */
    NVME_SGLS_METADATA = 1 << 19, /* Also for metadata, whose pointer is that of an SGL. */
};

/* Offsets in a namespace's structure. */
enum {
    NVME_IDNS_NSZE  = 0, /* 8 bytes each: blocks, capacity, in use */
    NVME_IDNS_NCAP  = 8,
    NVME_IDNS_NUSE  = 16,
    NVME_IDNS_NLBAF = 25,     /* 1 byte: LBA formats less 1 */
    NVME_IDNS_FLBAS = 26,     /* 1 byte: the one in use */
    NVME_IDNS_MC    = 27,     /* 1 byte: how metadata may be transferred */
    NVME_IDNS_EUI64 = 120,    /* 8 bytes */
    NVME_IDNS_LBAF  = 128,    /* 4 bytes each: bits 15:0 are the metadata's bytes, */
    NVME_LBAF_SHIFT = 16,     /* bits 23:16 the block size, lg2 */
    NVME_MC_BUFFER  = 1 << 1, /* In a buffer of its own. */
    NVME_NIDT_EUI64 = 1,      /* Type of an 8-byte name in the list of descriptors. */
};

/* Log pages (5.14): dword 10 has the page in its low byte, and with dword 11 above it the
 * number of dwords less 1. */
enum {
    NVME_LOG_HEALTH  = 0x02, /* 512 bytes. */
    NVME_LOG_EFFECTS = 0x05, /* Of 256 admin and 256 I/O commands, 4 bytes each. */
    NVME_LOG_ANA     = 0x0c, /* Asymmetric access: a header and groups of namespaces. */
    NVME_EFFECTS_SUPPORTED = 1 << 0,
    NVME_ANA_OPTIMIZED     = 1,
};

/* Features (5.21.1). */
enum {
    NVME_FEATURE_ARBITRATION = 0x01, /* Bits 2:0: burst, lg2; 7: no limit. */
    NVME_FEATURE_QUEUES      = 0x07, /* Submission and, above, completion queues, less 1. */
    NVME_FEATURE_COALESCING  = 0x08, /* Threshold less 1 and, above, time in 100 us. */
    NVME_FEATURE_VECTOR      = 0x09, /* A vector; bit 16: do not coalesce. */
    NVME_FEATURE_EVENTS      = 0x0b, /* Asynchronous events that are wanted. */
    NVME_ARBITRATION_FREE    = 7,
    NVME_VECTOR_DIRECT       = 1 << 16,
};

/* ---- Status (4.6.1) ------------------------------------------------------------------ */

/* Code in the low byte, type in the three bits above it. */
enum nvme_status {
    NVME_SUCCESS                     = 0x000,
    NVME_INVALID_OPCODE              = 0x001,
    NVME_INVALID_FIELD               = 0x002,
    NVME_DATA_TRANSFER_ERROR         = 0x004,
    NVME_INVALID_NAMESPACE           = 0x00b,
    NVME_COMMAND_SEQUENCE            = 0x00c,
    NVME_SGL_SEGMENT_INVALID         = 0x00d,
    NVME_SGL_COUNT_INVALID           = 0x00e,
    NVME_SGL_LENGTH_INVALID          = 0x00f,
    NVME_METADATA_SGL_LENGTH_INVALID = 0x010,
    NVME_SGL_TYPE_INVALID            = 0x011,
    NVME_PRP_OFFSET_INVALID          = 0x013,
    NVME_LBA_OUT_OF_RANGE            = 0x080,
    NVME_CQ_INVALID                  = 0x100,
    NVME_QUEUE_ID_INVALID            = 0x101,
    NVME_QUEUE_SIZE_INVALID          = 0x102,
    NVME_VECTOR_INVALID              = 0x108,
    NVME_QUEUE_DELETE_INVALID        = 0x10c,
    NVME_STATUS_CODE_MASK            = 0x7ff,
    NVME_STATUS_DO_NOT_RETRY         = 0x4000,
    NVME_CQE_STATUS_SHIFT            = 1,
    NVME_CQE_PHASE                   = 1,
};

#endif
