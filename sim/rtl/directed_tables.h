/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_tables - what the directed experiments had in memory, made from their columns.
 *
 * One address space: page n of the device lies n strides above a base, a stride being the
 * larger of the two stages' leaves, and is mapped to the same place above another base, by
 * way of a third one (guest-physical) when both stages are on. The tables of the first
 * stage are then themselves guest-physical, mapped one to one by leaves of the second
 * stage's size. Every page of tables is known by the name that the recordings give it.
 */
#ifndef SIM_RTL_DIRECTED_TABLES_H
#define SIM_RTL_DIRECTED_TABLES_H

#include "sim/base/memory.h"
#include "sim/rtl/directed_file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DIRECTED_REGIONS_MAX = 512 };

/* Pages of one table. */
struct directed_region {
    uint64_t base, bytes;
    char kind[DIRECTED_KIND_MAX];
};

struct directed_tables {
    struct memory *memory;
    const struct directed_scenario *scenario;
    uint64_t next_page;
    uint64_t devices, processes, stage1, stage2; /* Roots. */
    uint64_t commands, faults, fence;            /* The two queues; the fence's datum. */
    uint32_t region_count;
    struct directed_region region[DIRECTED_REGIONS_MAX];
};

enum directed_queue { DIRECTED_QUEUE_LG2 = 7 }; /* Entries of either queue. */

/* The process that the device context of a scenario without process directory has. */
#define DIRECTED_PSCID UINT32_C(11)
#define DIRECTED_GSCID UINT32_C(22)

/* Page-table entries: everything allowed, A and D set; and the same of a read-only page. */
#define DIRECTED_PTE      UINT64_C(0xdf)
#define DIRECTED_PTE_READ UINT64_C(0xd3)

void directed_tables_init(struct directed_tables *t, const struct directed_scenario *s,
                          struct memory *memory);

/* Where the device's context lies; makes the tables above it. */
uint64_t directed_tables_device(struct directed_tables *t, uint32_t device);
/* The address of the entry of the topmost device table, or of the context itself. */
uint64_t directed_tables_device_root(struct directed_tables *t, uint32_t device);
/* A context that translates as the scenario says. */
void directed_tables_attach(struct directed_tables *t, uint32_t device);
/* A context under which nothing is translated. */
void directed_tables_attach_bare(struct directed_tables *t, uint32_t device);

/* Where the process's context lies, and one with an address-space id of its own. */
uint64_t directed_tables_process(struct directed_tables *t, uint32_t process);
void directed_tables_attach_process(struct directed_tables *t, uint32_t process,
                                    uint32_t pscid);

/* The address of page n for the device, for the second stage, and in memory. */
uint64_t directed_iova(const struct directed_scenario *s, uint64_t page);
uint64_t directed_guest(const struct directed_scenario *s, uint64_t page);
uint64_t directed_pa(const struct directed_scenario *s, uint64_t page);

/* Maps page n; flags are those of the last entry of the first stage that is on. */
void directed_tables_map(struct directed_tables *t, uint64_t page, uint64_t flags);
/* Takes the second stage's mapping of page n away again. */
void directed_tables_unmap_guest(struct directed_tables *t, uint64_t page);

/* The name of the table that an address lies in, "?" outside of all. */
const char *directed_tables_kind(const struct directed_tables *t, uint64_t pa);

#ifdef __cplusplus
}
#endif

#endif
