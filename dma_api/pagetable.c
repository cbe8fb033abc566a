/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/pagetable.h"

#include "sim/base/lg2.h"

/* ---- Table pages
 * ---------------------------------------------------------------------------- */

static void list_add(struct kernel *k, struct table_list *list, phys_addr_t phys)
{
    struct table_page *page = kernel_host_alloc(k, 1, sizeof *page);
    *page                   = (struct table_page){ phys, NULL };
    if (list->last == NULL)
        list->first = page;
    else
        list->last->next = page;
    list->last = page;
}

void table_list_move(struct table_list *to, struct table_list *from)
{
    if (from->first == NULL)
        return;
    if (to->last == NULL)
        to->first = from->first;
    else
        to->last->next = from->first;
    to->last = from->last;
    *from    = (struct table_list){ NULL, NULL };
}

static void give_back(struct kernel *k, phys_addr_t phys)
{
    kernel_pages_put(k, phys, 0);
    k->stats.table_freed++;
    if (k->observer.table_freed != NULL)
        k->observer.table_freed(k->observer.self, phys, cpu_this()->time);
}

void table_list_free(struct kernel *k, struct table_list *list)
{
    while (list->first != NULL) {
        struct table_page *page = list->first;
        list->first             = page->next;
        give_back(k, page->phys);
        kernel_host_free(k, page);
    }
    list->last = NULL;
}

static phys_addr_t new_table(struct kernel *k, unsigned pages_lg2)
{
    const phys_addr_t table = kernel_pages_get_zeroed(k, pages_lg2);
    if (table != 0)
        k->stats.table_allocated++;
    return table;
}

bool pagetable_init(struct pagetable *t, struct kernel *k, const struct pt_format *format,
                    unsigned levels, uint64_t leaf_sizes)
{
    CHECK(levels >= format->levels_min);
    CHECK(levels <= format->levels_max);
    CHECK((leaf_sizes & ~format->leaf_sizes) == 0);
    *t = (struct pagetable){
        .kernel = k, .format = format, .levels = levels, .leaf_sizes = leaf_sizes
    };
    t->root = new_table(k, format->root_lg2);
    return t->root != 0;
}

/* ---- Entries
 * -------------------------------------------------------------------------------- */

static phys_addr_t entry_at(const struct pagetable *t, phys_addr_t table, unsigned level,
                            uint64_t iova)
{
    return table + pt_entry_offset(t->format, level, level + 1 == t->levels, iova);
}

static struct pt_item item_at(struct pagetable *t, phys_addr_t entry, unsigned level)
{
    struct cpu *cpu     = cpu_this();
    const uint64_t word = cpu_read64(cpu, entry);
    return t->format->decode(word, level);
}

/*
 * The line of entries that a call is working on. A core writes a run of entries out of its
 * store buffer: the line is paid for when it is taken, and each entry for itself.
 */
struct held_line {
    uint64_t number;
};
enum { LINE_LG2 = 6 };
static const struct held_line no_line = { UINT64_MAX };

/* Before the entry is written. */
static void hold(struct pagetable *t, phys_addr_t entry, struct held_line *held)
{
    if (held->number == entry >> LINE_LG2)
        return;
    cpu_store(cpu_this(), memory_line(t->kernel->memory, entry));
    held->number = entry >> LINE_LG2;
}

/* What an entry holds, for nothing: whoever looks has paid or will pay for its line. */
static struct pt_item peek(const struct pagetable *t, phys_addr_t entry, unsigned level)
{
    return t->format->decode(memory_read64(t->kernel->memory, entry), level);
}

/* One level down: one entry read and decoded. */
static struct pt_item descend(struct pagetable *t, phys_addr_t table, unsigned level,
                              uint64_t iova)
{
    cpu_spend(cpu_this(), t->kernel->cost.table_level_cycles);
    return item_at(t, entry_at(t, table, level, iova), level);
}

/*
 * Puts a new table under an absent entry, by compare and exchange: another CPU may have
 * been faster, and its table is then used. 0: no memory.
 */
static phys_addr_t grow(struct pagetable *t, phys_addr_t entry, unsigned level)
{
    struct cpu *cpu        = cpu_this();
    const phys_addr_t mine = new_table(t->kernel, 0);
    if (mine == 0)
        return 0;
    cpu_atomic(cpu, memory_line(t->kernel->memory, entry));
    const struct pt_item now =
        t->format->decode(memory_read64(t->kernel->memory, entry), level);
    if (now.kind == PT_ABSENT) {
        memory_write64(t->kernel->memory, entry, t->format->encode_table(mine));
        return mine;
    }
    give_back(t->kernel, mine);
    return now.kind == PT_TABLE ? now.pa : 0;
}

/* ---- Subtrees
 * ------------------------------------------------------------------------------- */

static uint64_t entries_of(const struct pagetable *t, unsigned level)
{
    const unsigned extra = level + 1 == t->levels ? t->format->root_lg2 : 0u;
    return UINT64_C(1) << (t->format->index_lg2 + extra);
}

/* Whether no leaf hangs below the table. The depth is bounded by its level. */
static bool has_no_leaf(struct pagetable *t, phys_addr_t table, unsigned level)
{
    for (uint64_t i = 0; i < entries_of(t, level); i++) {
        const struct pt_item item = item_at(t, table + (i << PT_ENTRY_LG2), level);
        if (item.kind == PT_LEAF
            || (item.kind == PT_TABLE && !has_no_leaf(t, item.pa, level - 1)))
            return false;
    }
    return true;
}

static void collect(struct pagetable *t, phys_addr_t table, unsigned level,
                    struct table_list *freed)
{
    for (uint64_t i = 0; level > 0 && i < entries_of(t, level); i++) {
        const struct pt_item item = item_at(t, table + (i << PT_ENTRY_LG2), level);
        if (item.kind == PT_TABLE)
            collect(t, item.pa, level - 1, freed);
    }
    list_add(t->kernel, freed, table);
}

void pagetable_free(struct pagetable *t)
{
    struct table_list all = { NULL, NULL };
    collect(t, t->root, t->levels - 1, &all);
    if (t->format->root_lg2 == 0) {
        table_list_free(t->kernel, &all);
        return;
    }
    struct table_page *root = all.last; /* Several pages: collected last. */
    struct table_list rest  = { NULL, NULL };
    while (all.first != root) {
        struct table_page *page = all.first;
        all.first               = page->next;
        list_add(t->kernel, &rest, page->phys);
        kernel_host_free(t->kernel, page);
    }
    table_list_free(t->kernel, &rest);
    kernel_pages_put(t->kernel, root->phys, t->format->root_lg2);
    t->kernel->stats.table_freed++;
    kernel_host_free(t->kernel, root);
}

/* ---- Map
 * ------------------------------------------------------------------------------------ */

/* The largest leaf that fits at this place, as a power of two; 0: none does. */
static unsigned best_leaf(const struct pagetable *t, uint64_t iova, phys_addr_t phys,
                          uint64_t bytes)
{
    uint64_t sizes = t->leaf_sizes & mask_lg2(lg2_floor(bytes) + 1);
    if ((iova | phys) != 0)
        sizes &= mask_lg2((unsigned)__builtin_ctzll(iova | phys) + 1);
    return sizes == 0 ? 0 : lg2_floor(sizes);
}

/* How many leaves of this size come before a larger one can be used or the bytes end. */
static uint64_t leaves_before_larger(const struct pagetable *t, unsigned page_lg2,
                                     uint64_t iova, phys_addr_t phys, uint64_t bytes)
{
    const uint64_t larger = t->leaf_sizes & ~mask_lg2(page_lg2 + 1);
    if (larger != 0) {
        const unsigned next = (unsigned)__builtin_ctzll(larger);
        const uint64_t gap  = align_up(iova, next) - iova;
        if (((iova ^ phys) & mask_lg2(next)) == 0 && gap != 0
            && bytes >= gap + (UINT64_C(1) << next))
            return gap >> page_lg2;
    }
    return bytes >> page_lg2;
}

/* The table of this level for iova, made where it is missing. */
static int find_table(struct pagetable *t, uint64_t iova, unsigned level,
                      phys_addr_t *found)
{
    phys_addr_t table = t->root;
    for (unsigned at = t->levels - 1; at > level; at--) {
        const struct pt_item item = descend(t, table, at, iova);
        if (item.kind == PT_ABSENT)
            table = grow(t, entry_at(t, table, at, iova), at);
        else if (item.kind == PT_TABLE)
            table = item.pa;
        else
            return -EADDRINUSE;
        if (table == 0)
            return -ENOMEM;
    }
    cpu_spend(cpu_this(), t->kernel->cost.table_level_cycles);
    *found = table;
    return 0;
}

static int write_leaf(struct pagetable *t, phys_addr_t entry, unsigned level, uint64_t word,
                      struct held_line *held, struct table_list *freed)
{
    hold(t, entry, held);
    cpu_spend(cpu_this(), t->kernel->cost.map_entry_cycles);
    const struct pt_item item = peek(t, entry, level);
    if (item.kind == PT_TABLE && has_no_leaf(t, item.pa, level - 1))
        collect(t, item.pa, level - 1, freed); /* A large leaf replaces empty tables. */
    else if (item.kind != PT_ABSENT)
        return -EADDRINUSE;
    memory_write64(t->kernel->memory, entry, word);
    return 0;
}

/* A leaf of so many entries of one table, or nothing: all of them are looked at before the
 * first one is written. */
static int write_leaves(struct pagetable *t, phys_addr_t table, unsigned level,
                        uint64_t iova, uint64_t copies, uint64_t word,
                        struct held_line *held, struct table_list *freed)
{
    const unsigned natural = pt_span_lg2(t->format, level);
    int error              = 0;
    for (uint64_t i = 0; copies > 1 && i < copies; i++) {
        const phys_addr_t entry   = entry_at(t, table, level, iova + (i << natural));
        const struct pt_item item = peek(t, entry, level);
        if (item.kind == PT_LEAF
            || (item.kind == PT_TABLE && !has_no_leaf(t, item.pa, level - 1))) {
            hold(t, entry, held);
            return -EADDRINUSE;
        }
    }
    for (uint64_t i = 0; i < copies && error == 0; i++)
        error = write_leaf(t, entry_at(t, table, level, iova + (i << natural)), level, word,
                           held, freed);
    return error;
}

/* Up to count leaves of one size, as far as one table reaches. */
static int map_in_table(struct pagetable *t, uint64_t iova, phys_addr_t phys,
                        unsigned page_lg2, uint64_t count, unsigned prot, uint64_t *mapped,
                        struct table_list *freed)
{
    const unsigned level   = pt_leaf_level(t->format, page_lg2);
    const unsigned natural = pt_span_lg2(t->format, level);
    struct held_line held  = no_line;
    phys_addr_t table      = 0;
    int error              = find_table(t, iova, level, &table);
    const uint64_t room =
        (entries_of(t, level)
         - (pt_entry_offset(t->format, level, level + 1 == t->levels, iova)
            >> PT_ENTRY_LG2))
        >> (page_lg2 - natural);
    count = count < room ? count : room;
    for (; error == 0 && count > 0; count--) {
        const uint64_t word =
            t->format->encode_leaf(phys, level, page_lg2, (uint8_t)(prot | t->leaf_prot));
        error = write_leaves(t, table, level, iova, UINT64_C(1) << (page_lg2 - natural),
                             word, &held, freed);
        if (error != 0)
            break;
        iova += UINT64_C(1) << page_lg2;
        phys += UINT64_C(1) << page_lg2;
        *mapped += UINT64_C(1) << page_lg2;
    }
    return error;
}

static int map_check(const struct pagetable *t, uint64_t iova, phys_addr_t phys,
                     uint64_t bytes, unsigned prot)
{
    const unsigned input = pt_input_lg2(t->format, t->levels);
    if (!(prot & (PT_READ | PT_WRITE))) {
        kernel_warn(t->kernel, "map: neither read nor write");
        return -EINVAL;
    }
    if (bytes == 0)
        return -EINVAL;
    if (iova + bytes - 1 < iova)
        return -EOVERFLOW;
    if ((iova + bytes - 1) >> input != 0 || (phys + bytes - 1) >> t->format->pa_lg2 != 0)
        return -ERANGE;
    return 0;
}

int pagetable_map(struct pagetable *t, uint64_t iova, phys_addr_t phys, uint64_t bytes,
                  unsigned prot, uint64_t *mapped, struct table_list *freed)
{
    int error = map_check(t, iova, phys, bytes, prot);
    *mapped   = 0;
    cpu_spend(cpu_this(), t->kernel->cost.map_range_cycles);
    while (error == 0 && *mapped < bytes) {
        const uint64_t at = iova + *mapped, left = bytes - *mapped;
        const phys_addr_t to    = phys + *mapped;
        const unsigned page_lg2 = best_leaf(t, at, to, left);
        if (page_lg2 == 0)
            return -ENXIO;
        error = map_in_table(t, at, to, page_lg2,
                             leaves_before_larger(t, page_lg2, at, to, left), prot, mapped,
                             freed);
    }
    if (error == 0)
        t->kernel->stats.range_mapped++;
    t->kernel->stats.page_mapped += *mapped >> t->format->page_lg2;
    return error;
}

/* ---- Unmap
 * ---------------------------------------------------------------------------------- */

struct unmap {
    struct pagetable *t;
    uint64_t next, last; /* What is left to do, inclusive. */
    bool stuck;          /* A hole, or the inside of a leaf. */
    unsigned leaf_lg2;   /* The smallest entries so far that held a leaf; or 0. */
    struct held_line held;
    struct table_list *freed;
};

static void clear_leaf(struct unmap *u, phys_addr_t table, unsigned level,
                       const struct pt_item *leaf)
{
    const unsigned natural = pt_span_lg2(u->t->format, level);
    if ((u->next & mask_lg2(leaf->page_lg2)) != 0) {
        u->stuck = true;
        return;
    }
    for (uint64_t copy = 0; copy >> (leaf->page_lg2 - natural) == 0; copy++) {
        const phys_addr_t entry = entry_at(u->t, table, level, u->next + (copy << natural));
        hold(u->t, entry, &u->held);
        cpu_spend(cpu_this(), u->t->kernel->cost.unmap_entry_cycles);
        memory_write64(u->t->kernel->memory, entry, 0);
    }
    u->next += UINT64_C(1) << leaf->page_lg2;
    if (u->leaf_lg2 == 0 || natural < u->leaf_lg2)
        u->leaf_lg2 = natural;
}

static bool covers(const struct unmap *u, uint64_t start, unsigned span_lg2)
{
    const uint64_t first = align_down(start, span_lg2);
    return first == start && (first | mask_lg2(span_lg2)) <= u->last;
}

/* An entry that will be cleared is taken for writing at once, any other is read. */
static struct pt_item examine(struct unmap *u, phys_addr_t entry, unsigned level)
{
    struct cpu *cpu = cpu_this();
    if (u->held.number != entry >> LINE_LG2)
        cpu_sync(cpu); /* Another CPU may be about to change it. */
    const struct pt_item item = peek(u->t, entry, level);
    if (item.kind == PT_LEAF)
        hold(u->t, entry, &u->held);
    else if (u->held.number != entry >> LINE_LG2)
        cpu_load(cpu, memory_line(u->t->kernel->memory, entry));
    return item;
}

/* Works through one table until its end or that of the range; depth is bounded by level. */
static void unmap_table(struct unmap *u, phys_addr_t table, unsigned level)
{
    const unsigned span = pt_span_lg2(u->t->format, level);
    const uint64_t end  = u->next | mask_lg2(pt_span_lg2(u->t->format, level + 1));
    while (!u->stuck && u->next <= u->last && u->next <= end) {
        const phys_addr_t entry   = entry_at(u->t, table, level, u->next);
        const struct pt_item item = examine(u, entry, level);
        const uint64_t start      = u->next;
        const bool whole          = covers(u, start, span);
        if (item.kind == PT_LEAF) {
            clear_leaf(u, table, level, &item);
        } else if (item.kind == PT_TABLE) {
            cpu_spend(cpu_this(), u->t->kernel->cost.table_level_cycles);
            unmap_table(u, item.pa, level - 1);
            if (whole && !u->stuck && !u->t->keeps_tables) {
                cpu_write64(cpu_this(), entry, 0);
                list_add(u->t->kernel, u->freed, item.pa);
            }
        } else {
            u->stuck = true;
        }
        if (u->next < start) /* The very top of the address space. */
            return;
    }
}

uint64_t pagetable_unmap(struct pagetable *t, uint64_t iova, uint64_t bytes,
                         struct table_list *freed, unsigned *leaf_lg2)
{
    CHECK(bytes > 0);
    struct unmap u = { t, iova, iova + bytes - 1, false, 0, no_line, freed };
    cpu_spend(cpu_this(), t->kernel->cost.unmap_range_cycles);
    if ((iova + bytes - 1) >> pt_input_lg2(t->format, t->levels) == 0)
        unmap_table(&u, t->root, t->levels - 1);
    if (leaf_lg2 != NULL)
        *leaf_lg2 = u.leaf_lg2;
    t->kernel->stats.page_unmapped += (u.next - iova) >> t->format->page_lg2;
    return u.next - iova;
}

phys_addr_t pagetable_lookup(struct pagetable *t, uint64_t iova)
{
    phys_addr_t table = t->root;
    if (iova >> pt_input_lg2(t->format, t->levels) != 0)
        return 0;
    for (unsigned level = t->levels - 1;; level--) {
        const struct pt_item item = descend(t, table, level, iova);
        if (item.kind == PT_LEAF)
            return item.pa | (iova & mask_lg2(item.page_lg2));
        if (item.kind != PT_TABLE || level == 0)
            return 0;
        table = item.pa;
    }
}
