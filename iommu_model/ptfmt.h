/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptfmt - the family of page-table formats: pure functions on 64-bit entries.
 *
 * No memory, no time, no state: the walker, which spends cycles, and the driver side, which
 * writes tables, share one format. Level 0 holds only leaves; the top level of an n-level
 * table is n - 1. iommu_model/ptfmt_X.c defines `const struct pt_format ptfmt_X`.
 */
#ifndef IOMMU_MODEL_PTFMT_H
#define IOMMU_MODEL_PTFMT_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/lg2.h"

enum {
    PT_READ     = 1 << 0,
    PT_WRITE    = 1 << 1,
    PT_EXECUTE  = 1 << 2,
    PT_USER     = 1 << 3, /* Reachable without privilege. */
    PT_GLOBAL   = 1 << 4, /* The same in every process of the address space. */
    PT_ACCESSED = 1 << 5,
    PT_DIRTY    = 1 << 6,
    PT_ALL      = 0xff, /* Of a stage that is off. */
};

enum {
    PT_NO_TABLES =
        PT_ALL & ~PT_GLOBAL, /* What no table at all says about those below it. */
};

/* What holds below a table of which above says what holds down to it, and own what it adds:
 * a right needs every table's word, a global mapping only one's. */
static inline uint8_t pt_below(uint8_t above, uint8_t own)
{
    return (uint8_t)((above & own & ~PT_GLOBAL) | ((above | own) & PT_GLOBAL));
}

enum { PT_LEVELS_MAX = 6, PT_ENTRY_LG2 = 3 };

enum pt_kind { PT_ABSENT, PT_TABLE, PT_LEAF, PT_MALFORMED };

struct pt_item {
    enum pt_kind kind;
    uint8_t page_lg2; /* Of a leaf. */
    uint8_t prot;     /* PT_* bits; a table's restrict what lies below it. */
    uint64_t pa;      /* Of the page or the next table. */
};

struct pt_format {
    const char *name; /* Equals the file's name. */
    const char *summary;
    uint8_t levels_min, levels_max;
    uint8_t page_lg2;    /* The granule: a level-0 leaf. */
    uint8_t index_lg2;   /* Entries of a table, as a power of two. */
    uint8_t root_lg2;    /* Additional index bits of the top table (concatenated roots). */
    uint8_t pa_lg2;      /* Output addresses are below 2^pa_lg2. */
    uint64_t leaf_sizes; /* Bit n: leaves of 2^n bytes exist. */
    bool sign_extended;  /* Input addresses are sign-extended from their top bit. */

    struct pt_item (*decode)(uint64_t entry, unsigned level);

    /* A leaf of 2^page_lg2 bytes at this level; pa is aligned to it and prot is not empty.
     * A leaf larger than the level's span is written into every entry that it covers. */
    uint64_t (*encode_leaf)(uint64_t pa, unsigned level, unsigned page_lg2, uint8_t prot);
    uint64_t (*encode_table)(uint64_t pa);
};

extern const struct pt_format *const ptfmt_table[];

/* The format called name, or NULL. */
const struct pt_format *ptfmt_find(const char *name);

/* The bytes that one entry of a level spans, as a power of two. */
static inline unsigned pt_span_lg2(const struct pt_format *f, unsigned level)
{
    return f->page_lg2 + level * f->index_lg2;
}

/* The width of input addresses of a table of so many levels. */
static inline unsigned pt_input_lg2(const struct pt_format *f, unsigned levels)
{
    return pt_span_lg2(f, levels) + f->root_lg2;
}

/* Where in its table of this level the entry for an address lies, in bytes. */
static inline uint64_t pt_entry_offset(const struct pt_format *f, unsigned level, bool root,
                                       uint64_t address)
{
    const unsigned bits = f->index_lg2 + (root ? f->root_lg2 : 0u);
    return ((address >> pt_span_lg2(f, level)) & mask_lg2(bits)) << PT_ENTRY_LG2;
}

/* The lowest level whose entries span at least 2^page_lg2 bytes when it is a natural size,
 * or the level that holds its replicas when it is not. */
static inline unsigned pt_leaf_level(const struct pt_format *f, unsigned page_lg2)
{
    CHECK(page_lg2 >= f->page_lg2);
    return (page_lg2 - f->page_lg2) / f->index_lg2;
}

#endif
