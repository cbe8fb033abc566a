/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_tables - a mebibyte of memory with tables of a RISC-V IOMMU written by hand, for
 * the tests of the oracle. Constants are written down again here: a test that took them
 * from the oracle would repeat its mistakes.
 */
#ifndef SIM_TEST_RISCV_TABLES_H
#define SIM_TEST_RISCV_TABLES_H

#include "sim/test/riscv_oracle.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AT(n)    ((uint64_t)1 << (n))
#define MODE(n)  ((uint64_t)(n) << 60)
#define TO(pa)   ((uint64_t)(pa) >> 12 << 10) /* The page number of an entry. */
#define ROOT(pa) ((uint64_t)(pa) >> 12)       /* The page number of a root pointer. */

/* capabilities */
#define SV39     AT(9)
#define SV48     AT(10)
#define SV57     AT(11)
#define SVPBMT   AT(15)
#define SV39X4   AT(17)
#define SV48X4   AT(18)
#define SV57X4   AT(19)
#define MSI_FLAT AT(22)
#define MSI_MRIF AT(23)
#define AMO_HWAD AT(24)
#define ATS      AT(25)
#define T2GPA    AT(26)
#define END      AT(27)
#define PD8      AT(38)
#define PD17     AT(39)
#define PD20     AT(40)
#define PAS(n)   ((uint64_t)(n) << 32)

/* DC.tc */
#define TC_V      AT(0)
#define TC_EN_ATS AT(1)
#define TC_EN_PRI AT(2)
#define TC_T2GPA  AT(3)
#define TC_DTF    AT(4)
#define TC_PDTV   AT(5)
#define TC_PRPR   AT(6)
#define TC_GADE   AT(7)
#define TC_SADE   AT(8)
#define TC_DPE    AT(9)
#define TC_SBE    AT(10)
#define TC_SXL    AT(11)

/* PC.ta */
#define PC_V   AT(0)
#define PC_ENS AT(1)
#define PC_SUM AT(2)

/* Page table entries: a table, and a leaf that lets a user do everything. */
#define PTE_V   AT(0)
#define PTE_R   AT(1)
#define PTE_W   AT(2)
#define PTE_X   AT(3)
#define PTE_U   AT(4)
#define PTE_G   AT(5)
#define PTE_A   AT(6)
#define PTE_D   AT(7)
#define PTE_NC  AT(61)
#define PTE_IO  AT(62)
#define PTE_N   AT(63)
#define PTE_ALL (PTE_V | PTE_R | PTE_W | PTE_X | PTE_U | PTE_A | PTE_D)

enum { TABLES_BYTES = 1 << 20, TABLES_ROOT = 0x10000, TABLES_ROOT2 = 0x14000 };

struct riscv_tables {
    struct oracle_iommu iommu;
    uint64_t words[TABLES_BYTES / 8];
    uint64_t next_page;
    uint64_t forbidden; /* A doubleword that may not be read, 0: none. */
    uint64_t read_only; /* One that may not be written. */
};

/* All capabilities, one-level device directory at 0x1000 with the valid context of device 0
 * in extended format, both stages Bare. Everything else is zero. */
void tables_reset(struct riscv_tables *t);
void tables_poke(struct riscv_tables *t, uint64_t pa, uint64_t word);
uint64_t tables_peek(const struct riscv_tables *t, uint64_t pa);
void tables_context(struct riscv_tables *t, uint64_t tc, uint64_t iohgatp, uint64_t fsc);

/* Puts an entry at a level, with tables above it taken from the memory beyond 0x20000; wide
 * is for the second stage. Returns where it has put it. */
uint64_t tables_map(struct riscv_tables *t, uint64_t root, unsigned levels, bool wide,
                    uint64_t address, unsigned level, uint64_t entry);

struct oracle_result tables_read(struct riscv_tables *t, uint64_t iova);
struct oracle_result tables_access(struct riscv_tables *t, uint64_t iova,
                                   enum oracle_access access);
struct oracle_result tables_ask(struct riscv_tables *t, struct oracle_request request);

#define TABLES_S1(mode) (MODE(mode) | ROOT(TABLES_ROOT))
#define TABLES_S2(mode) (MODE(mode) | ROOT(TABLES_ROOT2))

/* Its indices are 1, 3, 5, 7 and 9 from the highest of Sv57 down, and the offset 0xabc;
 * with Sv48 and Sv39 the upper ones fall away. */
#define SV57_IOVA ((uint64_t)1 << 48 | SV48_IOVA)
#define SV48_IOVA ((uint64_t)3 << 39 | SV39_IOVA)
#define SV39_IOVA ((uint64_t)5 << 30 | (uint64_t)7 << 21 | (uint64_t)9 << 12 | 0xabc)

uint64_t tables_iova(unsigned levels);

/* One stage, the other Bare: maps the iova of so many levels by a leaf, and asks for it. */
struct oracle_result tables_walk_one(struct riscv_tables *t, unsigned stage,
                                     unsigned levels, unsigned level, uint64_t entry,
                                     enum oracle_access access);

/* Nested: first-stage tables with a leaf at level, each page of which the second stage maps
 * to itself by a leaf at under. Returns the guest address of the iova. With 3 levels and a
 * leaf at 0, the first-stage tables are at 0x10000, 0x20000 and 0x21000, the entries at
 * 0x28, 0x38 and 0x48 of these. */
uint64_t tables_nest(struct riscv_tables *t, unsigned levels, unsigned level,
                     unsigned levels2, unsigned under);
/* Changes what such a second stage of three levels says of a page. */
uint64_t tables_map_guest(struct riscv_tables *t, uint64_t page, uint64_t entry);

#ifdef __cplusplus
}
#endif

#endif
