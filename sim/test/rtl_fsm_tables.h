/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtl_fsm_tables - directories and page tables in the memory of an rtl_fsm_bench, laid out
 * as in the recordings, and the name of the table that each address lies in.
 */
#ifndef SIM_TEST_RTL_FSM_TABLES_H
#define SIM_TEST_RTL_FSM_TABLES_H

#include "sim/test/rtl_fsm_bench.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FSM_TABLE_PAGES = 2048 };

#define FSM_DDT      UINT64_C(0x80100000)
#define FSM_COMMANDS UINT64_C(0x80110000)
#define FSM_FAULTS   UINT64_C(0x80120000)
#define FSM_TABLES   UINT64_C(0x80140000)
#define FSM_FENCE    UINT64_C(0x80000100)

enum { FSM_QUEUE_LG2 = 12 };
#define FSM_CQB UINT64_C(0x2004400b)
#define FSM_FQB UINT64_C(0x2004800b)

/* Flags of a leaf that allows everything, and of a pointer to the next table. */
#define FSM_PTE       UINT64_C(0xdf)
#define FSM_PTE_TABLE UINT64_C(0x01)

struct fsm_tables {
    struct fsm_bench_memory *memory;
    uint64_t next;   /* Free page. */
    unsigned levels; /* Of the device directory, whose root is at FSM_DDT. */
    const char *kind[FSM_TABLE_PAGES];
};

/* An address space. host: the second stage that the tables' own addresses go through. */
struct fsm_space {
    uint64_t root;
    bool guest; /* Of the second stage. */
    struct fsm_space *host;
};

void fsm_tables_init(struct fsm_tables *t, struct fsm_bench_memory *memory,
                     unsigned levels);

/* Zeroed pages, aligned to their size. */
uint64_t fsm_tables_pages(struct fsm_tables *t, unsigned count, const char *kind);

struct fsm_space fsm_tables_space(struct fsm_tables *t, bool guest, struct fsm_space *host);

/* level: 0 is 4K, 1 2M, 2 1G. Returns where the leaf entry lies. */
uint64_t fsm_tables_map(struct fsm_tables *t, const struct fsm_space *s, uint64_t address,
                        unsigned level, uint64_t pa, uint64_t flags);

/* Where a context lies; makes the directories above it. */
uint64_t fsm_tables_device(struct fsm_tables *t, uint32_t device);
uint64_t fsm_tables_process(struct fsm_tables *t, uint64_t root, uint32_t process,
                            unsigned levels);

/* A device context of Sv39 and Sv39x4; a stage that is NULL is bare. */
void fsm_tables_set_device(struct fsm_tables *t, uint64_t at, const struct fsm_dc *dc);
struct fsm_dc fsm_tables_context(const struct fsm_space *first,
                                 const struct fsm_space *second, uint32_t pscid,
                                 uint32_t gscid);

const char *fsm_tables_kind(const struct fsm_tables *t, uint64_t pa);

#ifdef __cplusplus
}
#endif

#endif
