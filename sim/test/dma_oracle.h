/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_oracle - what a device may reach, as a flat table of pages; for tests of the DMA API.
 *
 * It is told what each call did, by page, and asked what a device access or a walk of the
 * tables may find. It shares nothing with the model or the driver: no allocator, no table
 * code, no policy. Tables are read from simulated memory by decoders of its own.
 *
 * Every call has a begin and an end, numbered by one clock that ticks with each. Where
 * calls of several CPUs overlap, an answer that either order explains is accepted, and no
 * other.
 */
#ifndef SIM_TEST_DMA_ORACLE_H
#define SIM_TEST_DMA_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/memory.h"

enum oracle_format { ORACLE_VTD, ORACLE_X86, ORACLE_RISCV };
enum { ORACLE_READ = 1, ORACLE_WRITE = 2, ORACLE_COMPLAINTS = 20 };
enum { ORACLE_UNDONE = 64, ORACLE_FLUSHES = 64 };

/* One page of I/O virtual addresses. */
struct oracle_page {
    uint64_t key; /* Its number + 1; 0: the place in the table is free. */
    uint64_t pa;  /* Mapped now, if may is not 0. */
    uint8_t may, old_may;
    bool taken; /* Handed out. */
    bool stale; /* Unmapped, perhaps still cached: until a flush that began after it. */
    bool moving, defers; /* A call that unmaps it is under way; a flush comes later. */
    bool leaving;        /* A call that gives it back is under way. */
    bool unsynced;       /* Mapped, and the device may not see it yet. */
    uint64_t owner, old_pa, unmap_began, unmap_ended;
    uint64_t changed;
};

struct dma_oracle {
    struct memory *memory;
    enum oracle_format format;
    unsigned levels;
    uint64_t root;
    struct oracle_page *page;
    uint64_t room, used;
    uint64_t live; /* Pages that are mapped. */
    uint64_t clock;
    uint64_t flushed; /* The latest begin of a flush of everything that has ended. */
    struct {
        uint64_t began, ended;
    } flush[ORACLE_FLUSHES]; /* The last of them; */
    unsigned flush_count;
    uint64_t flushed_before; /* the latest begin of those before. */
    uint64_t in_flight[64];  /* Begins of calls that may map, 0: none. */
    struct {
        uint64_t began, ended; /* 0: it is still under way. */
    } undone[ORACLE_UNDONE];   /* The last calls that failed. */
    unsigned undone_count;
    uint64_t checked, complaints;
    bool quiet;          /* Complaints are expected. */
    const char *context; /* Printed with a complaint. */
};

void oracle_init(struct dma_oracle *o, struct memory *memory);
void oracle_free(struct dma_oracle *o);
__attribute__((format(printf, 2, 3))) void oracle_complain(struct dma_oracle *o,
                                                           const char *format, ...);

/* A call that may map is under way, at most one for each slot. */
void oracle_begin(struct dma_oracle *o, unsigned slot);
void oracle_end(struct dma_oracle *o, unsigned slot);
/* The call of this slot, still under way, has failed: what it had mapped for a while, it
 * took back. An access at the same time may have reached it, and no later one. */
void oracle_undone(struct dma_oracle *o, unsigned slot);
/* Whether a call that was under way at that time still is. */
bool oracle_unsettled(const struct dma_oracle *o, uint64_t since);

/* These pages were handed out to an owner, any number but 0. Once a call begins that gives
 * them back (leaving), others may have them, and what the old owner says is void. */
void oracle_take(struct dma_oracle *o, uint64_t iova, uint64_t pages, uint64_t owner);
void oracle_leaving(struct dma_oracle *o, uint64_t iova, uint64_t pages, uint64_t owner);
void oracle_give(struct dma_oracle *o, uint64_t iova, uint64_t pages, uint64_t owner);

/* One page is mapped; an unmap of it begins, after which it is stale, if that defers, until
 * everything has been flushed; and has ended. False: another owner has it already. */
void oracle_map(struct dma_oracle *o, uint64_t iova, uint64_t owner, uint64_t pa,
                unsigned may);
void oracle_unmapping(struct dma_oracle *o, uint64_t iova, uint64_t owner, bool defers);
bool oracle_unmapped(struct dma_oracle *o, uint64_t iova, uint64_t owner);

/* A mapped page that the device sees for sure only when a call that syncs it has ended. */
void oracle_awaits_sync(struct dma_oracle *o, uint64_t iova, uint64_t owner);
void oracle_synced(struct dma_oracle *o, uint64_t iova, uint64_t owner);

/* A flush of everything, begun at that tick, has ended. */
void oracle_flushed(struct dma_oracle *o, uint64_t began);

/* What the tables in memory say of an address: permissions, and where it goes. */
unsigned oracle_walk(const struct dma_oracle *o, uint64_t iova, uint64_t *pa);

/* For the tests of the test: changes what the leaf of a mapped page allows. */
void oracle_flip_entry(struct dma_oracle *o, uint64_t iova);

/* An access to a page, between those ticks, got through to pa, or did not. False: it cannot
 * be told yet, as calls are under way that may explain it; ask again. */
bool oracle_access(struct dma_oracle *o, uint64_t iova, unsigned access, uint64_t began,
                   uint64_t ended, bool reached, uint64_t pa);

/* With no call under way: the tables map exactly what is mapped, page by page. */
void oracle_audit(struct dma_oracle *o);

#endif
