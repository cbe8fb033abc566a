/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

enum { FIRST_ROOM = 1 << 12, ENTRIES = 512, PAGE_LG2 = 12 };

void oracle_init(struct dma_oracle *o, struct memory *memory)
{
    memset(o, 0, sizeof *o);
    o->memory = memory;
    o->clock  = 1;
    o->room   = FIRST_ROOM;
    o->page   = calloc(o->room, sizeof *o->page);
    CHECK(o->page != NULL);
}

void oracle_free(struct dma_oracle *o)
{
    free(o->page);
}

void oracle_complain(struct dma_oracle *o, const char *format, ...)
{
    va_list args;
    if (o->complaints++ >= ORACLE_COMPLAINTS || o->quiet)
        return;
    fprintf(stderr, "oracle (%s, tick %" PRIu64 "): ", o->context, o->clock);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- The table of pages -------------------------------------------------------------- */

static struct oracle_page *place(const struct oracle_page *table, uint64_t room,
                                 uint64_t key)
{
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & (room - 1);
    while (table[at].key != 0 && table[at].key != key)
        at = (at + 1) & (room - 1);
    return (struct oracle_page *)&table[at];
}

static void grow(struct dma_oracle *o)
{
    struct oracle_page *more = calloc(2 * o->room, sizeof *more);
    CHECK(more != NULL);
    for (uint64_t i = 0; i < o->room; i++)
        if (o->page[i].key != 0)
            *place(more, 2 * o->room, o->page[i].key) = o->page[i];
    free(o->page);
    o->page = more;
    o->room *= 2;
}

static struct oracle_page *page_at(struct dma_oracle *o, uint64_t iova)
{
    const uint64_t key = (iova >> PAGE_LG2) + 1;
    if (2 * o->used > o->room)
        grow(o);
    struct oracle_page *p = place(o->page, o->room, key);
    o->used += p->key == 0;
    p->key = key;
    return p;
}

/* ---- What calls did ------------------------------------------------------------------ */

void oracle_begin(struct dma_oracle *o, unsigned slot)
{
    CHECK(o->in_flight[slot] == 0);
    o->in_flight[slot] = ++o->clock;
}

void oracle_end(struct dma_oracle *o, unsigned slot)
{
    CHECK(o->in_flight[slot] != 0);
    o->clock++;
    for (unsigned i = 0; i < ORACLE_UNDONE; i++)
        if (o->undone[i].ended == 0 && o->undone[i].began == o->in_flight[slot])
            o->undone[i].ended = o->clock;
    o->in_flight[slot] = 0;
}

void oracle_undone(struct dma_oracle *o, unsigned slot)
{
    CHECK(o->in_flight[slot] != 0);
    const unsigned at   = o->undone_count++ % ORACLE_UNDONE;
    o->undone[at].began = o->in_flight[slot];
    o->undone[at].ended = 0;
}

/* Whether a call that failed was under way at some time between. */
static bool overlaps_undone(const struct dma_oracle *o, uint64_t began, uint64_t ended)
{
    for (unsigned i = 0; i < ORACLE_UNDONE; i++)
        if (o->undone[i].began != 0 && o->undone[i].began <= ended
            && (o->undone[i].ended == 0 || o->undone[i].ended >= began))
            return true;
    return false;
}

bool oracle_unsettled(const struct dma_oracle *o, uint64_t since)
{
    for (unsigned i = 0; i < sizeof o->in_flight / sizeof o->in_flight[0]; i++)
        if (o->in_flight[i] != 0 && o->in_flight[i] <= since)
            return true;
    return false;
}

static void end_unmap(struct dma_oracle *o, struct oracle_page *p)
{
    p->moving  = false;
    p->stale   = p->defers;
    p->old_pa  = p->pa;
    p->old_may = p->may;
    p->may     = 0;
    o->live--;
    p->unmap_ended = p->changed = ++o->clock;
}

static void take(struct dma_oracle *o, uint64_t iova, uint64_t owner)
{
    struct oracle_page *p = page_at(o, iova);
    if (p->taken && !p->leaving)
        oracle_complain(o, "0x%" PRIx64 " was handed out twice", iova);
    if (p->moving) /* The unmap has done its work, and has not returned yet. */
        end_unmap(o, p);
    if (p->stale && o->flushed <= p->unmap_began)
        oracle_complain(o, "0x%" PRIx64 " was handed out while it was stale", iova);
    p->taken = true;
    p->stale = p->leaving = false;
    p->owner              = owner;
    p->changed            = o->clock;
}

void oracle_take(struct dma_oracle *o, uint64_t iova, uint64_t pages, uint64_t owner)
{
    if (iova >> PAGE_LG2 == 0)
        oracle_complain(o, "address 0 was handed out");
    for (uint64_t i = 0; i < pages; i++)
        take(o, iova + (i << PAGE_LG2), owner);
}

void oracle_leaving(struct dma_oracle *o, uint64_t iova, uint64_t pages, uint64_t owner)
{
    for (uint64_t i = 0; i < pages; i++) {
        struct oracle_page *p = page_at(o, iova + (i << PAGE_LG2));
        CHECK(p->owner == owner);
        p->leaving = true;
    }
}

void oracle_give(struct dma_oracle *o, uint64_t iova, uint64_t pages, uint64_t owner)
{
    for (uint64_t i = 0; i < pages; i++) {
        struct oracle_page *p = page_at(o, iova + (i << PAGE_LG2));
        if (p->owner != owner)
            continue;
        CHECK(p->may == 0);
        p->taken = p->leaving = false;
        p->owner              = 0;
    }
}

void oracle_map(struct dma_oracle *o, uint64_t iova, uint64_t owner, uint64_t pa,
                unsigned may)
{
    struct oracle_page *p = page_at(o, iova);
    CHECK(p->owner == owner);
    CHECK(p->may == 0);
    CHECK(may != 0);
    p->pa       = pa;
    p->may      = (uint8_t)may;
    p->unsynced = false;
    p->changed  = ++o->clock;
    o->live++;
}

void oracle_awaits_sync(struct dma_oracle *o, uint64_t iova, uint64_t owner)
{
    struct oracle_page *p = page_at(o, iova);
    CHECK(p->owner == owner);
    CHECK(p->may != 0);
    p->unsynced = true;
}

void oracle_synced(struct dma_oracle *o, uint64_t iova, uint64_t owner)
{
    struct oracle_page *p = page_at(o, iova);
    CHECK(p->owner == owner);
    if (!p->unsynced)
        return;
    p->unsynced = false;
    p->changed  = ++o->clock;
}

void oracle_unmapping(struct dma_oracle *o, uint64_t iova, uint64_t owner, bool defers)
{
    struct oracle_page *p = page_at(o, iova);
    CHECK(p->owner == owner);
    CHECK(p->may != 0);
    p->moving      = true;
    p->defers      = defers;
    p->unmap_began = p->changed = ++o->clock;
}

bool oracle_unmapped(struct dma_oracle *o, uint64_t iova, uint64_t owner)
{
    struct oracle_page *p = page_at(o, iova);
    if (p->owner != owner)
        return false;
    CHECK(p->moving);
    end_unmap(o, p);
    return true;
}

void oracle_flushed(struct dma_oracle *o, uint64_t began)
{
    const unsigned at = o->flush_count++ % ORACLE_FLUSHES;
    if (o->flush[at].began > o->flushed_before)
        o->flushed_before = o->flush[at].began;
    o->flush[at].began = began;
    o->flush[at].ended = ++o->clock;
    if (began > o->flushed)
        o->flushed = began;
}

/* ---- Tables -------------------------------------------------------------------------- */

struct entry {
    bool leaf, table;
    unsigned may, lg2;
    uint64_t pa;
};

#define ADDRESS UINT64_C(0x000ffffffffff000)

static struct entry decode_vtd(uint64_t e, unsigned level)
{
    const bool leaf = level == 0 || (e >> 7 & 1);
    const bool here = (e & 3) != 0;
    return (struct entry){ here && leaf, here && !leaf, e & 3, PAGE_LG2 + 9 * level,
                           e & ADDRESS };
}

static struct entry decode_x86(uint64_t e, unsigned level)
{
    const bool leaf = level == 0 || (e >> 7 & 1);
    const bool here = e & 1;
    return (struct entry){ here && leaf, here && !leaf,
                           ORACLE_READ | (e >> 1 & 1 ? ORACLE_WRITE : 0u),
                           PAGE_LG2 + 9 * level, e & ADDRESS };
}

static struct entry decode_riscv(uint64_t e, unsigned level)
{
    const bool here = e & 1, leaf = (e >> 1 & 7) != 0, napot = e >> 63 & 1;
    const uint64_t pa  = (e >> 10 & ((UINT64_C(1) << 44) - 1)) << PAGE_LG2;
    const unsigned may = (e >> 1 & 1 ? ORACLE_READ : 0u) | (e >> 2 & 1 ? ORACLE_WRITE : 0u);
    return (struct entry){ here && leaf, here && !leaf, leaf ? may : 3u,
                           napot ? 16u : PAGE_LG2 + 9 * level,
                           napot ? pa & ~UINT64_C(0xffff) : pa };
}

static struct entry entry_of(const struct dma_oracle *o, uint64_t table, unsigned level,
                             uint64_t index)
{
    const uint64_t e = memory_read64(o->memory, table + 8 * index);
    if (o->format == ORACLE_VTD)
        return decode_vtd(e, level);
    return o->format == ORACLE_X86 ? decode_x86(e, level) : decode_riscv(e, level);
}

unsigned oracle_walk(const struct dma_oracle *o, uint64_t iova, uint64_t *pa)
{
    uint64_t table = o->root;
    unsigned may   = 3;
    for (unsigned level = o->levels; level-- > 0;) {
        const struct entry e =
            entry_of(o, table, level, iova >> (PAGE_LG2 + 9 * level) & (ENTRIES - 1));
        const uint64_t inside = (UINT64_C(1) << e.lg2) - 1;
        if (!e.leaf && !e.table)
            return 0;
        may &= e.may;
        *pa = (e.pa & ~inside) | (iova & inside);
        if (e.leaf)
            return may;
        table = e.pa;
    }
    return 0;
}

void oracle_flip_entry(struct dma_oracle *o, uint64_t iova)
{
    uint64_t table = o->root;
    CHECK(o->format == ORACLE_VTD);
    for (unsigned level = o->levels; level-- > 0;) {
        const uint64_t index = iova >> (PAGE_LG2 + 9 * level) & (ENTRIES - 1);
        const struct entry e = entry_of(o, table, level, index);
        const uint64_t word  = memory_read64(o->memory, table + 8 * index);
        if (e.leaf)
            memory_write64(o->memory, table + 8 * index,
                           e.may == ORACLE_WRITE ? word | ORACLE_READ
                                                 : word ^ ORACLE_WRITE);
        if (!e.table)
            return;
        table = e.pa;
    }
}

static void compare_page(struct dma_oracle *o, uint64_t iova, uint64_t pa, unsigned may)
{
    const struct oracle_page *p = page_at(o, iova);
    o->checked++;
    if (p->may != may || p->pa != pa)
        oracle_complain(o,
                        "0x%" PRIx64 ": the tables have 0x%" PRIx64
                        " (%u), expected 0x%" PRIx64 " (%u)",
                        iova, pa, may, p->pa, p->may);
}

static void compare_walk(struct dma_oracle *o, uint64_t iova)
{
    uint64_t pa        = 0;
    const unsigned may = oracle_walk(o, iova, &pa);
    compare_page(o, iova, pa, may);
}

/* Compares what hangs below one table; returns how many pages it maps. */
static uint64_t audit_table(struct dma_oracle *o, uint64_t table, unsigned level,
                            uint64_t iova)
{
    uint64_t pages = 0;
    for (uint64_t i = 0; i < ENTRIES; i++) {
        const struct entry e = entry_of(o, table, level, i);
        const uint64_t from  = iova | i << (PAGE_LG2 + 9 * level);
        if (e.table) {
            pages += audit_table(o, e.pa, level - 1, from);
            continue;
        }
        for (uint64_t j = 0; e.leaf && j < UINT64_C(1) << 9 * level; j++, pages++)
            compare_walk(o, from + (j << PAGE_LG2));
    }
    return pages;
}

void oracle_audit(struct dma_oracle *o)
{
    const uint64_t pages = audit_table(o, o->root, o->levels - 1, 0);
    if (pages == o->live)
        return;
    oracle_complain(o, "the tables map %" PRIu64 " pages, expected %" PRIu64, pages,
                    o->live);
    for (uint64_t i = 0; i < o->room; i++)
        if (o->page[i].may != 0)
            compare_walk(o, (o->page[i].key - 1) << PAGE_LG2);
}

/* ---- Accesses ------------------------------------------------------------------------ */

/* The latest begin of a flush of everything that had ended by then. */
static uint64_t flushed_by(const struct dma_oracle *o, uint64_t then)
{
    uint64_t latest = o->flushed_before;
    for (unsigned i = 0; i < ORACLE_FLUSHES; i++)
        if (o->flush[i].ended <= then && o->flush[i].began > latest)
            latest = o->flush[i].began;
    return latest;
}

/* Whether the page may still be cached from before its unmap, for an access from then. */
static bool may_be_stale(const struct dma_oracle *o, const struct oracle_page *p,
                         uint64_t began)
{
    if (p->unmap_ended > began) /* It was mapped, or being unmapped, when that began. */
        return true;
    return p->stale && flushed_by(o, began) <= p->unmap_ended;
}

static bool explained(const struct dma_oracle *o, const struct oracle_page *p,
                      unsigned access, uint64_t began, uint64_t pa)
{
    if (p->may & access && p->pa == pa)
        return true;
    return p->old_may & access && p->old_pa == pa && may_be_stale(o, p, began);
}

bool oracle_access(struct dma_oracle *o, uint64_t iova, unsigned access, uint64_t began,
                   uint64_t ended, bool reached, uint64_t pa)
{
    const struct oracle_page *p = page_at(o, iova);
    pa &= ~((UINT64_C(1) << PAGE_LG2) - 1);
    if (!reached) {
        o->checked++;
        if (p->may & access && !p->moving && !p->unsynced && p->changed < began)
            oracle_complain(o, "an access to 0x%" PRIx64 " was refused, which is mapped",
                            iova);
        return true;
    }
    if (!explained(o, p, access, began, pa) && oracle_unsettled(o, ended))
        return false;
    o->checked++;
    if (!explained(o, p, access, began, pa) && p->changed < began
        && !overlaps_undone(o, began, ended))
        oracle_complain(o,
                        "an access (%u) to 0x%" PRIx64 " reached 0x%" PRIx64
                        "; mapped is 0x%" PRIx64 " (%u), was 0x%" PRIx64
                        " (%u, stale %d, ended at %" PRIu64 ", flushed %" PRIu64 ")",
                        access, iova, pa, p->pa, p->may, p->old_pa, p->old_may, p->stale,
                        p->unmap_ended, o->flushed);
    return true;
}
