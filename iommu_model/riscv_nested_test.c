/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a nested translation reads: with n1 first-stage entries, n2 second-stage entries
 * for each of their tables and m2 for the page, n1 (1 + n2) + m2, without any walk cache.
 */
#include <stdio.h>

#include "sim/test/riscv_rig.h"
#include "sim/test/shim.h"

enum { WORDS_MAX = 256 };

/* Guest-physical tables lie at 0, pages where the second stage's top entry is another;
 * either where an entry of any size can put it. */
#define TABLES_PA  (UINT64_C(1) << 48)
#define PAGES_PA   (UINT64_C(1) << 49)
#define DIRECTORY  UINT64_C(0x20000000)
#define STAGE2     UINT64_C(0x20010000)
#define MORE_PAGES UINT64_C(0x20020000)
#define OFFSET     UINT64_C(0x34567abc) /* Of the address, below the top entries. */

struct bench {
    struct riscv_rig rig;
    uint64_t word[WORDS_MAX];
    unsigned word_count;
    uint64_t next1, next2; /* Pages for tables of either stage. */
    uint64_t iova;
};

struct leaf {
    unsigned lg2, level;
};

static void put(struct bench *b, uint64_t pa, uint64_t value)
{
    CHECK(b->word_count < WORDS_MAX);
    b->word[b->word_count++] = pa;
    memory_write64(&b->rig.memory, pa, value);
}

static void clear(struct bench *b)
{
    while (b->word_count > 0)
        memory_write64(&b->rig.memory, b->word[--b->word_count], 0);
    b->next1 = 0x1000;
    b->next2 = MORE_PAGES;
}

/* The i-th size of leaves that a table of so many levels has; the last is 64 KiB. */
static struct leaf leaf(unsigned levels, unsigned i)
{
    return i == levels ? (struct leaf){ 16, 0 } : (struct leaf){ 12 + 9 * i, i };
}

/* at: how far tables lie from where their pointers say. */
static void map(struct bench *b, const char *format, unsigned levels, uint64_t root,
                uint64_t at, uint64_t *next, uint64_t address, struct leaf l, uint64_t pa)
{
    const struct pt_format *f = ptfmt_find(format);
    uint64_t table            = root;
    for (unsigned level = levels - 1;; level--) {
        const uint64_t entry =
            at + table + pt_entry_offset(f, level, level + 1 == levels, address);
        if (level == l.level) {
            put(b, entry,
                f->encode_leaf(align_down(pa, l.lg2), level, l.lg2,
                               PT_READ | PT_WRITE | PT_USER));
            return;
        }
        if (memory_read64(&b->rig.memory, entry) == 0) {
            put(b, entry, f->encode_table(*next));
            *next += 0x1000;
        }
        table = f->decode(memory_read64(&b->rig.memory, entry), level).pa;
    }
}

static void attach(struct bench *b, unsigned s1, unsigned s2)
{
    const uint64_t fsc = riscv_table((enum riscv_table_mode)(RISCV_SV39 + s1 - 3), 0);
    put(b, DIRECTORY, RISCV_VALID);
    put(b, DIRECTORY + 8,
        riscv_iohgatp((enum riscv_table_mode)(RISCV_SV39 + s2 - 3), 7, STAGE2));
    put(b, DIRECTORY + 24, fsc);
}

/* The second stage maps the tables' guest-physical pages by one size, the page by another.
 */
static void build(struct bench *b, unsigned s1, struct leaf page, unsigned s2,
                  struct leaf under_tables, struct leaf under_page)
{
    const uint64_t pages = UINT64_C(1) << (12 + 9 * (s2 - 1));
    b->iova              = (pages & mask_lg2(12 + 9 * s1 - 1)) | OFFSET;
    const uint64_t guest = pages | (OFFSET & mask_lg2(page.lg2));
    attach(b, s1, s2);
    map(b, "rvs1napot", s1, 0, TABLES_PA, &b->next1, b->iova, page, guest);
    for (uint64_t table = 0; table < b->next1; table += 0x1000)
        if (table == 0 || under_tables.level == 0)
            map(b, "rvs2napot", s2, STAGE2, 0, &b->next2, table, under_tables,
                TABLES_PA + table);
    map(b, "rvs2napot", s2, STAGE2, 0, &b->next2, guest, under_page, PAGES_PA + guest);
}

static void forget(struct bench *b)
{
    riscv_rig_queue(&b->rig, riscv_iodir(RISCV_INVAL_DDT, false, 0, 0));
    riscv_rig_queue(&b->rig, riscv_iotinval(RISCV_GVMA, 0, 0, 0, 0));
    EXPECT(riscv_rig_fence(&b->rig, 0));
}

static unsigned reads(struct bench *b)
{
    struct iommu_response r;
    const struct iommu_request q = { .iova = b->iova, .access = PT_READ };
    if (!EXPECT(riscv_rig_translate(&b->rig, &q, &r)))
        return 0;
    EXPECT_EQUAL(r.outcome, XLATE_walked);
    EXPECT_EQUAL(r.pa & 0xfff, OFFSET & 0xfff);
    return r.reads - 1u; /* But that of the device's context. */
}

static void start(struct bench *b, uint32_t walkcache_entries)
{
    riscv_rig_open(&b->rig);
    struct walkcache_config *c = &b->rig.settings.walkcache;
    c->level0_entries = c->level1_entries = c->level2_entries = c->level3_entries =
        walkcache_entries;
    b->rig.riscv.msi_flat = 0;
    riscv_rig_start(&b->rig);
    riscv_rig_write(&b->rig, RISCV_DDTP, riscv_ddtp(DIRECTORY, RISCV_DDTP_1LVL), 8);
    b->word_count = 0;
}

static void stop(struct bench *b)
{
    riscv_rig_stop(&b->rig);
    riscv_rig_close(&b->rig);
}

static void check_one(struct bench *b, unsigned s1, unsigned page, unsigned s2,
                      unsigned tables, unsigned pages, bool exactly)
{
    const struct leaf l1 = leaf(s1, page), t2 = leaf(s2, tables), p2 = leaf(s2, pages);
    const unsigned n1 = s1 - l1.level, n2 = s2 - t2.level, m2 = s2 - p2.level;
    clear(b);
    build(b, s1, l1, s2, t2, p2);
    forget(b);
    const unsigned is = reads(b), most = n1 * (1 + n2) + m2;
    if (exactly)
        EXPECT_EQUAL(is, most);
    else
        EXPECT(is <= most);
}

static void check_all(uint32_t walkcache_entries)
{
    struct bench b;
    start(&b, walkcache_entries);
    for (unsigned s1 = 3; s1 <= 5; s1++)
        for (unsigned page = 0; page <= s1; page++)
            for (unsigned s2 = 3; s2 <= 5; s2++)
                for (unsigned i = 0; i < (s2 + 1) * (s2 + 1); i++)
                    check_one(&b, s1, page, s2, i / (s2 + 1), i % (s2 + 1),
                              walkcache_entries == 0);
    stop(&b);
}

TEST_CASE(riscv_nested, reads_what_the_specification_says_for_all_depths_and_leaves)
{
    check_all(0);
}

TEST_CASE(riscv_nested, never_reads_more_with_walk_caches)
{
    check_all(16);
}

/* All second-stage leaves alike: the cases of the formula as it is usually written. */
TEST_CASE(riscv_nested, at_most_35_reads_at_five_levels)
{
    struct bench b;
    start(&b, 0);
    clear(&b);
    build(&b, 5, leaf(5, 0), 5, leaf(5, 0), leaf(5, 0));
    EXPECT_EQUAL(reads(&b), 35);
    stop(&b);
}
