/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/riscv_world.h"

#include "sim/test/riscv_tables.h"

/* Table pages come one after the other, regions for larger leaves in units of 2 MiB. */
#define PAGES   UINT64_C(0x20000000)
#define REGIONS UINT64_C(0x40000000)
#define NOWHERE UINT64_C(0x1f000000) /* Takes what is mapped nowhere. */

enum { PAGE_LG2 = 12, NAPOT_LG2 = 16 };

static uint64_t low(unsigned lg2)
{
    return lg2 == 64 ? UINT64_MAX : ((uint64_t)1 << lg2) - 1;
}

/* ---- Words ----------------------------------------------------------------------------
 */

static struct world_word *put(struct world *w, enum world_kind kind, unsigned device,
                              uint64_t pa, unsigned count, uint64_t value)
{
    CHECK(w->word_count < WORLD_WORDS);
    struct world_word *word = &w->word[w->word_count++];
    *word                   = (struct world_word){
                          .pa     = pa,
                          .kind   = (uint8_t)kind,
                          .device = (uint8_t)device,
                          .count  = (uint8_t)count,
                          .pscid  = w->pscid,
    };
    for (unsigned i = 0; i < count; i++)
        memory_write64(w->memory, pa + 8 * i, value);
    return word;
}

void world_clear(struct world *w)
{
    for (unsigned i = 0; i < w->word_count; i++)
        for (unsigned k = 0; k < w->word[i].count; k++)
            memory_write64(w->memory, w->word[i].pa + 8 * k, 0);
    w->word_count = w->target_count = w->device_count = 0;
    w->guest_count                                    = 0;
    w->next_large                                     = 1;
    w->next_page                                      = PAGES;
    w->next_region                                    = REGIONS;
    w->has_napot = w->moved = false;
}

static uint64_t new_page(struct world *w, unsigned pages)
{
    const uint64_t page = w->next_page;
    w->next_page += 0x1000 * pages;
    return page;
}

/* Somewhere in memory for 2^lg2 bytes of which only few are used. */
static uint64_t new_region(struct world *w, unsigned lg2)
{
    if (lg2 == PAGE_LG2)
        return new_page(w, 1);
    if (lg2 == 30)
        return (uint64_t)(w->next_large++) << 37;
    if (lg2 == 39)
        return AT(44) + ((uint64_t)(w->next_large++) << 39);
    if (lg2 == 48)
        return (uint64_t)(1 + w->next_large++ % 15) << 48;
    const uint64_t region = w->next_region;
    w->next_region += 1 << 21;
    return region;
}

/* An address whose digits come from a small set, so that tables are shared. */
static uint64_t digits(struct world *w, unsigned levels, bool wide)
{
    static const uint16_t digit[] = { 0, 1, 5, 511 };
    uint64_t address              = wide ? world_below(w, 4) : 0;
    for (unsigned i = 0; i < levels; i++)
        address = address << 9 | digit[world_below(w, 4)];
    return address << PAGE_LG2;
}

/* ---- Tables ---------------------------------------------------------------------------
 */

static unsigned levels_of(unsigned mode)
{
    return mode - 5;
}

/* Where the second stage puts an address, as far as its tables say. */
static uint64_t physical(struct world *w, const struct world_device *d, uint64_t guest)
{
    uint64_t table = (d->iohgatp & low(44)) << PAGE_LG2;
    if (d->s2_mode == 0)
        return guest;
    for (unsigned level = levels_of(d->s2_mode); level-- > 0;) {
        const unsigned shift = PAGE_LG2 + 9 * level;
        const unsigned bits  = level + 1 == levels_of(d->s2_mode) ? 11 : 9;
        const uint64_t entry =
            memory_read64(w->memory, table + (guest >> shift & low(bits)) * 8);
        const unsigned lg2 = entry & PTE_N ? NAPOT_LG2 : shift;
        table              = (entry >> 10 & low(44)) << PAGE_LG2;
        if (entry & (PTE_R | PTE_X))
            return (table & ~low(lg2)) | (guest & low(lg2));
    }
    return NOWHERE;
}

static unsigned leaf_lg2(struct world *w, unsigned levels)
{
    if (w->napot && world_chance(w, 15))
        return NAPOT_LG2;
    const unsigned pick  = world_below(w, 10);
    const unsigned level = pick < 6   ? 0
                           : pick < 8 ? 1
                           : pick < 9 ? 2
                                      : world_below(w, levels);
    return PAGE_LG2 + 9 * level;
}

static unsigned leaf_level(unsigned lg2)
{
    return (lg2 - PAGE_LG2) / 9;
}

struct place {
    struct world_device *d;
    unsigned stage, levels;
    uint64_t root; /* Guest-physical in the first stage of a nested translation. */
};

static uint64_t guest_page(struct world *w, struct world_device *d);

/* Walks, and makes tables, down to the entry for a leaf at that level; less deep when a
 * leaf is met on the way. */
static uint64_t reach(struct world *w, const struct place *p, uint64_t address,
                      unsigned *level)
{
    const enum world_kind kind = p->stage == 1 ? WORLD_S1_TABLE : WORLD_S2_TABLE;
    const unsigned device      = (unsigned)(p->d - w->device);
    uint64_t table             = p->root;
    for (unsigned at = p->levels - 1;; at--) {
        const unsigned bits  = p->stage == 2 && at + 1 == p->levels ? 11 : 9;
        const uint64_t index = address >> (PAGE_LG2 + 9 * at) & low(bits);
        const uint64_t pa = (p->stage == 1 ? physical(w, p->d, table) : table) + index * 8;
        const uint64_t entry = memory_read64(w->memory, pa);
        if (at == *level || entry & (PTE_R | PTE_X)) {
            *level = at;
            return pa;
        }
        table = (entry >> 10 & low(44)) << PAGE_LG2;
        if (entry != 0)
            continue;
        table = p->stage == 1 ? guest_page(w, p->d) : new_page(w, 1);
        put(w, kind, device, pa, 1,
            TO(table) | PTE_V
                | (p->stage == 1 && w->global && world_chance(w, 5) ? PTE_G : 0))
            ->address = address;
    }
}

/* A leaf of that size for the address, unless there is one already; returns its size. */
static unsigned map(struct world *w, const struct place *p, uint64_t address, unsigned lg2,
                    uint64_t pa, uint64_t flags)
{
    unsigned level      = leaf_level(lg2);
    const bool napot    = lg2 == NAPOT_LG2;
    const uint64_t at   = reach(w, p, address, &level);
    const uint64_t here = memory_read64(w->memory, at);
    if (here != 0 || level != leaf_level(lg2)) {
        const bool found = here & (PTE_R | PTE_X);
        return found && !(here & PTE_N) ? PAGE_LG2 + 9 * level : found ? NAPOT_LG2 : 0;
    }
    const uint64_t entry = flags | TO(pa & ~low(lg2)) | (napot ? PTE_N | AT(13) : 0);
    const uint64_t first = napot ? at & ~UINT64_C(127) : at;
    for (unsigned i = 0; napot && i < 16; i++)
        if (memory_read64(w->memory, first + 8 * i) != 0)
            return 0;
    struct world_word *word =
        put(w, p->stage == 1 ? WORLD_S1_LEAF : WORLD_S2_LEAF, (unsigned)(p->d - w->device),
            first, napot ? 16 : 1, entry);
    word->address = address;
    word->lg2     = (uint8_t)lg2;
    w->has_napot |= napot;
    return lg2;
}

static struct place second_stage(struct world_device *d)
{
    return (struct place){ d, 2, levels_of(d->s2_mode),
                           (d->iohgatp & low(44)) << PAGE_LG2 };
}

static uint64_t new_guest(struct world *w, unsigned levels)
{
    CHECK(w->guest_count < WORLD_GUESTS);
    for (;;) {
        const uint64_t guest = digits(w, levels, true);
        unsigned i           = 0;
        while (i < w->guest_count && w->guest[i] != guest)
            i++;
        if (i == w->guest_count)
            return w->guest[w->guest_count++] = guest;
    }
}

/* A page for a table that the second stage translates, when there is one. */
static uint64_t guest_page(struct world *w, struct world_device *d)
{
    if (d->s2_mode == 0)
        return new_page(w, 1);
    const struct place p = second_stage(d);
    const uint64_t guest = new_guest(w, p.levels);
    const unsigned lg2   = leaf_lg2(w, p.levels);
    uint64_t flags       = PTE_ALL;
    flags &= ~(world_chance(w, 3) ? PTE_A : 0) & ~(world_chance(w, 15) ? PTE_D : 0)
             & ~(world_chance(w, 8) ? PTE_W | PTE_D : 0);
    map(w, &p, guest, lg2, new_region(w, lg2), flags);
    return guest;
}

/* ---- Pages ----------------------------------------------------------------------------
 */

static uint64_t page_flags(struct world *w, bool first_stage)
{
    uint64_t f = PTE_ALL;
    f &= ~(world_chance(w, 15) ? PTE_W : 0) & ~(world_chance(w, 30) ? PTE_X : 0);
    if (world_chance(w, 3))
        f = (f & ~(PTE_R | PTE_W)) | PTE_X;
    f &= ~(first_stage && world_chance(w, 15) ? PTE_U : 0);
    f &= ~(world_chance(w, 6) ? PTE_A : 0) & ~(world_chance(w, 20) ? PTE_D : 0);
    return f | (first_stage && w->global && world_chance(w, 20) ? PTE_G : 0);
}

/* The second stage's mapping of an address; returns its size, and 0 where there is none. */
static unsigned map_guest(struct world *w, struct world_device *d, uint64_t guest)
{
    const struct place p = second_stage(d);
    const unsigned lg2   = leaf_lg2(w, p.levels);
    if (world_chance(w, 4))
        return 0;
    return map(w, &p, guest, lg2, new_region(w, lg2), page_flags(w, false));
}

static uint64_t some_iova(struct world *w, unsigned levels)
{
    const unsigned width = PAGE_LG2 + 9 * levels;
    uint64_t iova        = digits(w, levels, false);
    if (world_chance(w, 30))
        iova = rng_next(&w->rng) & low(width) & ~low(PAGE_LG2);
    return iova >> (width - 1) & 1 ? iova | ~low(width) : iova;
}

/* Returns the guest-physical address. */
static uint64_t map_target(struct world *w, struct world_device *d, uint64_t root,
                           struct world_target *t)
{
    uint64_t guest = d->s2_mode == 0 ? rng_next(&w->rng) & low(52)
                                     : digits(w, levels_of(d->s2_mode), true);
    t->lg2         = 64;
    if (d->s1_mode != 0) {
        const struct place p = { d, 1, levels_of(d->s1_mode), root };
        const unsigned lg2   = leaf_lg2(w, p.levels);
        t->iova              = some_iova(w, p.levels);
        const unsigned is =
            map(w, &p, t->iova, lg2, guest & ~low(lg2), page_flags(w, true));
        t->lg2 = (uint8_t)(is == 0 ? PAGE_LG2 : is);
        guest  = (guest & ~low(lg2)) | (t->iova & low(lg2) & ~low(PAGE_LG2));
    } else {
        t->iova = d->s2_mode == 0 ? rng_next(&w->rng) & ~low(PAGE_LG2) : guest;
        guest   = t->iova;
    }
    if (d->s2_mode != 0) {
        const unsigned is = map_guest(w, d, guest);
        t->lg2            = (uint8_t)(is < PAGE_LG2 ? PAGE_LG2 : is < t->lg2 ? is : t->lg2);
    }
    if (t->lg2 == 64)
        t->lg2 = PAGE_LG2;
    return guest;
}

static void add_targets(struct world *w, struct world_device *d, uint64_t root, bool pv,
                        uint32_t process, uint64_t *guest)
{
    const unsigned count = 1 + world_below(w, 3);
    for (unsigned i = 0; i < count; i++) {
        struct world_target *t = &w->target[w->target_count++];
        CHECK(w->target_count <= WORLD_TARGETS);
        *t     = (struct world_target){ .device  = (uint8_t)(d - w->device),
                                        .process = process,
                                        .pv      = pv };
        *guest = map_target(w, d, root, t);
    }
}

/* ---- Contexts -------------------------------------------------------------------------
 */

static unsigned some_mode(struct world *w, unsigned first_capability, unsigned bare_percent)
{
    unsigned count = 0;
    while (count < 3 && (w->capabilities >> (first_capability + count) & 1))
        count++;
    return count == 0 || world_chance(w, bare_percent) ? 0 : 8 + world_below(w, count);
}

static uint64_t first_stage(struct world *w, struct world_device *d, uint64_t *root)
{
    *root = 0;
    if (d->s1_mode == 0)
        return 0;
    *root = guest_page(w, d);
    return MODE(d->s1_mode) | ROOT(*root);
}

/* The directory's entries for one process; returns where its context is to be. */
static uint64_t reach_process(struct world *w, struct world_device *d, unsigned levels,
                              uint64_t root, uint32_t process)
{
    const unsigned device = (unsigned)(d - w->device);
    uint64_t table        = root;
    for (unsigned level = levels - 1; level > 0; level--) {
        const uint64_t at =
            physical(w, d, table) + (process >> (8 + 9 * (level - 1)) & 0x1ff) * 8;
        if (memory_read64(w->memory, at) == 0)
            put(w, WORLD_PDT, device, at, 1, TO(guest_page(w, d)) | 1);
        table = (memory_read64(w->memory, at) >> 10 & low(44)) << PAGE_LG2;
    }
    return physical(w, d, table) + (process & 0xff) * 16;
}

static void add_process(struct world *w, struct world_device *d, unsigned levels,
                        uint64_t directory, unsigned i, uint64_t *guest)
{
    uint64_t root;
    const unsigned device = (unsigned)(d - w->device);
    w->pscid              = d->pscid[i];
    const uint64_t iosatp = first_stage(w, d, &root);
    const uint64_t at     = reach_process(w, d, levels, directory, d->process[i]);
    const uint64_t ta     = PC_V | (world_chance(w, 75) ? PC_ENS : 0)
                        | (world_chance(w, 50) ? PC_SUM : 0) | (uint64_t)d->pscid[i] << 12;
    if (memory_read64(w->memory, at) != 0)
        return;
    put(w, WORLD_PC, device, at, 1, ta)->process         = d->process[i];
    put(w, WORLD_PC, device, at + 8, 1, iosatp)->process = d->process[i];
    add_targets(w, d, root, d->process[i] != 0 || world_chance(w, 50), d->process[i],
                guest);
}

static uint64_t add_processes(struct world *w, struct world_device *d, uint64_t *guest)
{
    const unsigned levels = 1 + world_below(w, 3);
    const unsigned width  = levels == 1 ? 8 : levels == 2 ? 17 : 20;
    if (world_chance(w, 5))
        return 0; /* A directory in mode Bare. */
    const uint64_t directory = guest_page(w, d);
    for (unsigned i = 0; i < d->processes; i++) {
        d->process[i] =
            i == 0 && world_chance(w, 50) ? 0 : world_below(w, UINT32_C(1) << width);
        add_process(w, d, levels, directory, i, guest);
    }
    return MODE(levels) | ROOT(directory);
}

/* Some page of the device's is an interrupt file's. */
static void add_interrupt_files(struct world *w, struct world_device *d, uint64_t guest)
{
    const unsigned device = (unsigned)(d - w->device);
    const uint64_t page   = guest >> PAGE_LG2 & low(52);
    const uint64_t mask   = (world_below(w, 16) | (uint64_t)world_below(w, 2) << 9);
    const uint64_t root   = new_page(w, 2);
    uint64_t file         = 0;
    for (unsigned from = 0, to = 0; from < 10; from++)
        if (mask >> from & 1)
            file |= (page >> from & 1) << to++;
    d->redirects = true;
    put(w, WORLD_DC, device, d->dc_pa + 32, 1, MODE(1) | ROOT(root));
    put(w, WORLD_DC, device, d->dc_pa + 40, 1, mask);
    put(w, WORLD_DC, device, d->dc_pa + 48, 1, page ^ (rng_next(&w->rng) & mask));
    put(w, WORLD_MSI, device, root + 16 * file, 1,
        TO(rng_next(&w->rng) & low(52)) | (world_chance(w, 90) ? 7 : 3))
        ->address = guest;
    put(w, WORLD_MSI, device, root + 16 * file + 8, 1,
        world_chance(w, 20) ? rng_next(&w->rng) : 0)
        ->address = guest;
}

static uint64_t some_control(struct world *w, bool processes)
{
    uint64_t tc = TC_V | (world_chance(w, 10) ? TC_DTF : 0);
    if (processes)
        tc |= TC_PDTV | (world_chance(w, 60) ? TC_DPE : 0);
    if (w->capabilities & AMO_HWAD)
        tc |= (world_chance(w, 60) ? TC_GADE : 0) | (world_chance(w, 60) ? TC_SADE : 0);
    return tc;
}

static void add_context(struct world *w, struct world_device *d)
{
    static const uint32_t pscids[] = { 0x00007, 0x00700, 0x70000, 0x07070 };
    const unsigned device          = (unsigned)(d - w->device);
    uint64_t guest                 = rng_next(&w->rng), fsc, root;
    d->s1_mode                     = some_mode(w, 9, 20);
    d->s2_mode                     = some_mode(w, 17, 40);
    d->gscid     = device == 0 ? 0x0007 : 0x7770; /* Far apart: damage must not mix them. */
    d->processes = !(w->capabilities & PD8) || world_chance(w, 60) ? 0
                   : w->global                                     ? 1
                                                                   : 1 + world_below(w, 2);
    for (unsigned i = 0; i < 2; i++)
        d->pscid[i] = pscids[2 * device + i];
    w->pscid   = d->pscid[0];
    d->iohgatp = d->s2_mode == 0 ? 0
                                 : MODE(d->s2_mode) | (uint64_t)d->gscid << 44
                                       | ROOT((new_page(w, 7) + 0x3fff) & ~low(14));
    if (d->processes > 0) {
        fsc = add_processes(w, d, &guest);
    } else {
        fsc = first_stage(w, d, &root);
        add_targets(w, d, root, false, 0, &guest);
    }
    put(w, WORLD_DC, device, d->dc_pa, 1, some_control(w, d->processes > 0));
    put(w, WORLD_DC, device, d->dc_pa + 8, 1, d->iohgatp);
    put(w, WORLD_DC, device, d->dc_pa + 16, 1, (uint64_t)d->pscid[0] << 12);
    put(w, WORLD_DC, device, d->dc_pa + 24, 1, fsc);
    if (w->capabilities & MSI_FLAT && world_chance(w, 35))
        add_interrupt_files(w, d, guest);
    else if (w->capabilities & MSI_FLAT)
        for (unsigned i = 4; i < 8; i++)
            put(w, WORLD_DC, device, d->dc_pa + 8 * i, 1, 0);
}

/* ---- The device directory ---------------------------------------------------------------
 */

static uint64_t reach_device(struct world *w, unsigned levels, uint64_t root, uint32_t id,
                             unsigned device)
{
    const bool extended   = w->capabilities & MSI_FLAT;
    const unsigned lowest = extended ? 6 : 7;
    uint64_t table        = root;
    for (unsigned level = levels - 1; level > 0; level--) {
        const uint64_t at = table + (id >> (lowest + 9 * (level - 1)) & 0x1ff) * 8;
        if (memory_read64(w->memory, at) == 0)
            put(w, WORLD_DDT, device, at, 1, TO(new_page(w, 1)) | 1);
        table = (memory_read64(w->memory, at) >> 10 & low(44)) << PAGE_LG2;
    }
    return table + (id & low(lowest)) * (extended ? 64 : 32);
}

void world_build(struct world *w)
{
    world_clear(w);
    const unsigned pick   = world_below(w, 100);
    const unsigned mode   = pick < 1 ? 0 : pick < 3 ? 1 : 2 + world_below(w, 3);
    const unsigned levels = mode < 2 ? 1 : mode - 1;
    const bool extended   = w->capabilities & MSI_FLAT;
    const unsigned width  = levels == 3 ? 24 : (extended ? 6 : 7) + 9 * (levels - 1);
    const uint64_t root   = new_page(w, 1);
    w->ddtp               = TO(root) | mode;
    w->global             = world_chance(w, 30);
    const unsigned count  = w->global ? 1 : 1 + world_below(w, WORLD_DEVICES);
    for (unsigned i = 0; i < count; i++) {
        struct world_device *d = &w->device[i];
        *d       = (struct world_device){ .id = world_below(w, UINT32_C(1) << width) };
        d->dc_pa = reach_device(w, levels, root, d->id, i);
        if (i > 0 && d->id == w->device[0].id)
            break;
        w->device_count = i + 1;
        add_context(w, d);
    }
    if (w->target_count == 0) /* Mode Bare of a directory: any address will do. */
        w->target[w->target_count++] =
            (struct world_target){ .iova = 0x1000, .lg2 = PAGE_LG2 };
}

/* ---- Damage and requests ----------------------------------------------------------------
 */

static unsigned some_bit(struct world *w, unsigned kind)
{
    if (kind >= WORLD_S1_TABLE && kind <= WORLD_S2_LEAF && world_chance(w, 60))
        return world_below(w, 8);
    return world_chance(w, 25) ? world_below(w, 12) : world_below(w, 64);
}

const struct world_word *world_damage(struct world *w)
{
    const unsigned wanted  = world_below(w, WORLD_KINDS);
    const unsigned start   = world_below(w, w->word_count);
    struct world_word *hit = &w->word[start];
    for (unsigned i = 0; i < w->word_count; i++)
        if (w->word[(start + i) % w->word_count].kind == wanted) {
            hit = &w->word[(start + i) % w->word_count];
            break;
        }
    unsigned bit = some_bit(w, hit->kind);
    w->moved |= hit->kind <= WORLD_PC;
    if (!w->global && AT(bit) == PTE_G)
        bit = 0;
    if (AT(bit) == PTE_N && hit->count == 1) /* One of 16 entries; or not known at all. */
        bit = 0;
    for (unsigned i = 0; i < hit->count; i++) {
        const uint64_t pa = hit->pa + 8 * i;
        memory_write64(w->memory, pa, memory_read64(w->memory, pa) ^ AT(bit));
    }
    return hit;
}

struct oracle_request world_request(struct world *w)
{
    static const uint8_t access[] = { ORACLE_READ, ORACLE_READ, ORACLE_WRITE, ORACLE_WRITE,
                                      ORACLE_EXECUTE };
    const struct world_target *t  = &w->target[world_below(w, w->target_count)];
    const unsigned reach          = world_chance(w, 60) ? PAGE_LG2 : t->lg2;
    struct oracle_request q       = { .device_id = w->device[t->device].id,
                                      .iova      = (t->iova & ~low(reach))
                                              | ((t->iova ^ rng_next(&w->rng)) & low(reach)),
                                      .access     = access[world_below(w, 5)],
                                      .pv         = t->pv,
                                      .process_id = t->pv ? t->process : 0,
                                      .priv       = world_chance(w, 30) };
    if (reach == PAGE_LG2)
        q.iova = (t->iova & ~low(PAGE_LG2)) | (q.iova & low(PAGE_LG2));
    if (world_chance(w, 4))
        q.iova ^= AT(world_below(w, 64));
    if (world_chance(w, 2))
        q.device_id ^= UINT32_C(1) << world_below(w, 24);
    if (world_chance(w, 2))
        q.pv = !q.pv;
    if (q.pv && world_chance(w, 3))
        q.process_id ^= UINT32_C(1) << world_below(w, 20);
    return q;
}
