/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings made by another allocator, which shares no code with ours and can be made to
 * do wrong in one way at a time: as it should be it agrees in every row, with races between
 * calls and records put in it is excused row by row, and each wrong one is found.
 */
#include "sim/linux/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/test/shim.h"

enum { CPUS = 2, PAGES = 1 << 20, LIVE = 1500, DEPOT = 64, ROWS = 24000 };

/* What it does wrong. */
enum wrong {
    WRONG_nothing,
    WRONG_126_in_a_magazine,
    WRONG_128_in_a_magazine,
    WRONG_oldest_first,
    WRONG_no_depot,           /* Full magazines go into the tree. */
    WRONG_older_one_to_depot, /* The other magazine goes into the depot. */
    WRONG_depot_oldest_first,
    WRONG_no_second_magazine,
    WRONG_not_rounded,
    WRONG_33_pages_cached,
    WRONG_search_from_the_top, /* Does not continue from the last insertion. */
    WRONG_hint_stays,          /* What is freed above the hint is not found first. */
    WRONG_not_aligned,
    WRONG_trims_at_once, /* More than one magazine in the depot go into the tree. */
    WRONGS,
};

struct magazine {
    unsigned count;
    uint32_t pfn[128];
};

struct other {
    enum wrong wrong;
    unsigned limit;
    struct magazine loaded[7][CPUS], previous[7][CPUS], depot[7][DEPOT];
    unsigned depots[7];
    uint32_t *length; /* Of the range that begins there; 0: none does. */
    uint8_t *taken;
    uint32_t hint; /* The lowest page of the range last inserted; PAGES: none. */
};

static unsigned order_of(unsigned pages)
{
    unsigned order = 0;
    while ((1u << order) < pages)
        order++;
    return order;
}

static bool cached(const struct other *o, unsigned pages)
{
    return pages <= (o->wrong == WRONG_33_pages_cached ? 64 : 32);
}

/* ---- The tree: one flag for each page
 * ------------------------------------------------------------------- */

static bool is_free(const struct other *o, uint32_t pfn, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        if (o->taken[pfn + i])
            return false;
    return true;
}

static uint32_t highest(const struct other *o, uint32_t end, uint32_t low, unsigned pages)
{
    const uint32_t step = o->wrong == WRONG_not_aligned ? 1 : 1u << order_of(pages);
    for (uint32_t pfn = (end - pages) / step * step; pfn >= low && pfn > 0; pfn -= step)
        if (is_free(o, pfn, pages))
            return pfn;
    return 0;
}

static uint32_t tree_get(struct other *o, unsigned pages)
{
    const bool top     = o->wrong == WRONG_search_from_the_top;
    const uint32_t end = top || o->hint > PAGES ? PAGES : o->hint;
    uint32_t pfn       = highest(o, end, 1, pages);
    if (pfn == 0)
        pfn = highest(o, PAGES, end, pages);
    CHECK(pfn != 0);
    memset(o->taken + pfn, 1, pages);
    o->length[pfn] = pages;
    o->hint        = pfn;
    return pfn;
}

static void tree_put(struct other *o, uint32_t pfn)
{
    const uint32_t pages = o->length[pfn];
    CHECK(pages > 0);
    memset(o->taken + pfn, 0, pages);
    o->length[pfn] = 0;
    if (pfn < o->hint || o->wrong == WRONG_hint_stays)
        return;
    for (pfn += pages; pfn < PAGES && !o->taken[pfn];)
        pfn++;
    o->hint = pfn;
}

/* ---- Magazines
 * ----------------------------------------------------------------------------- */

static void exchange(struct magazine *a, struct magazine *b)
{
    const struct magazine was = *a;
    *a                        = *b;
    *b                        = was;
}

static void empty_into_tree(struct other *o, struct magazine *m)
{
    for (unsigned i = 0; i < m->count; i++)
        tree_put(o, m->pfn[i]);
    m->count = 0;
}

static void take_from_depot(struct other *o, unsigned order, struct magazine *to)
{
    struct magazine *depot = o->depot[order];
    const unsigned n       = --o->depots[order];
    if (o->wrong != WRONG_depot_oldest_first) {
        *to = depot[n];
        return;
    }
    *to = depot[0];
    memmove(&depot[0], &depot[1], n * sizeof depot[0]);
}

static uint32_t magazine_get(struct other *o, unsigned order, unsigned cpu)
{
    struct magazine *m = &o->loaded[order][cpu];
    if (m->count == 0 && o->previous[order][cpu].count > 0)
        exchange(m, &o->previous[order][cpu]);
    if (m->count == 0 && o->depots[order] > 0)
        take_from_depot(o, order, m);
    if (m->count == 0)
        return 0;
    if (o->wrong != WRONG_oldest_first)
        return m->pfn[--m->count];
    const uint32_t pfn = m->pfn[0];
    memmove(&m->pfn[0], &m->pfn[1], --m->count * sizeof m->pfn[0]);
    return pfn;
}

static void make_room(struct other *o, unsigned order, struct magazine *m,
                      struct magazine *second)
{
    if (second->count < o->limit && o->wrong != WRONG_no_second_magazine) {
        exchange(m, second);
        return;
    }
    if (o->wrong == WRONG_older_one_to_depot)
        exchange(m, second);
    if (o->wrong == WRONG_no_depot
        || (o->wrong == WRONG_trims_at_once && o->depots[order] > 0)) {
        empty_into_tree(o, m);
        return;
    }
    CHECK(o->depots[order] < DEPOT);
    o->depot[order][o->depots[order]++] = *m;
    m->count                            = 0;
}

static void magazine_put(struct other *o, unsigned order, unsigned cpu, uint32_t pfn)
{
    struct magazine *m = &o->loaded[order][cpu];
    if (m->count == o->limit)
        make_room(o, order, m, &o->previous[order][cpu]);
    m->pfn[m->count++] = pfn;
}

/* ---- What is recorded
 * ------------------------------------------------------------------------- */

struct entry {
    bool release;
    uint8_t cpu;
    char path;
    unsigned pages;
    uint32_t pfn;
};

static struct entry allocate(struct other *o, unsigned cpu, unsigned pages)
{
    struct entry l = { .cpu = (uint8_t)cpu, .pages = pages, .path = 'f' };
    if (cached(o, pages))
        l.pfn = magazine_get(o, order_of(pages), cpu);
    if (l.pfn == 0) {
        const bool rounds = cached(o, pages) && o->wrong != WRONG_not_rounded;
        l.pfn             = tree_get(o, rounds ? 1u << order_of(pages) : pages);
        l.path            = 's';
    }
    return l;
}

static struct entry release(struct other *o, const struct entry *of, unsigned cpu)
{
    if (cached(o, of->pages))
        magazine_put(o, order_of(of->pages), cpu, of->pfn);
    else
        tree_put(o, of->pfn);
    return (struct entry){ true, (uint8_t)cpu, 0, of->pages, of->pfn };
}

static struct other *other_new(enum wrong wrong)
{
    struct other *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    o->wrong  = wrong;
    o->limit  = wrong == WRONG_126_in_a_magazine   ? 126
                : wrong == WRONG_128_in_a_magazine ? 128
                                                   : 127;
    o->length = calloc(PAGES, sizeof *o->length);
    o->taken  = calloc(PAGES, 1);
    o->hint   = PAGES;
    CHECK(o->length != NULL && o->taken != NULL);
    memset(o->taken + 0xfee00, 1, 0x100);             /* The interrupt window. */
    memset(o->taken + 0xc0000, 1, 0xfec00 - 0xc0000); /* The host bridge's. */
    memset(o->taken + 0xa0000, 1, 0x10000);
    return o;
}

static void other_free(struct other *o)
{
    free(o->length);
    free(o->taken);
    free(o);
}

/* Three waves of two: what is released mostly where it was allocated; on the other CPU; and
 * all allocated on one CPU, all released on the other, so that the depot is needed. */
static void record(struct entry *line, enum wrong wrong)
{
    static const unsigned size[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 5, 17, 32, 33, 70 };
    struct other *o                = other_new(wrong);
    struct entry *live             = calloc(LIVE, sizeof *live);
    uint32_t random = 1, count = 0;
    CHECK(live != NULL);
    for (uint32_t i = 0; i < ROWS; i++) {
        random           = random * 1664525 + 1013904223;
        const unsigned r = random >> 8, wave = i / 1500 % 6;
        const bool one_way = wave >= 4, grows = wave % 2 == 0;
        const unsigned cpu  = one_way ? (grows ? 0u : 1u) : r & 1;
        const unsigned grow = one_way ? 8 : 6;
        if (count == 0 || (count < LIVE && (r >> 1) % 8 < (grows ? grow : 8 - grow))) {
            line[i]       = allocate(o, cpu, one_way ? 1 : size[(r >> 5) % 16]);
            live[count++] = line[i];
            continue;
        }
        const unsigned k = (r >> 5) % count;
        line[i]          = release(o, &live[k], wave < 2 ? live[k].cpu : cpu);
        live[k]          = live[--count];
    }
    free(live);
    other_free(o);
}

/* Whether the line may stand so many lines later: its own address is not named there. */
static bool may_move(const struct entry *line, uint32_t i, uint32_t by)
{
    if (line[i].release)
        return false;
    for (uint32_t k = i + 1; k <= i + by; k++)
        if (line[k].pfn == line[i].pfn)
            return false;
    return true;
}

/* Allocations whose record comes late, behind what interrupts did. */
static void race(struct entry *line, unsigned races)
{
    uint32_t i = 0;
    for (unsigned made = 0; made < races; made++) {
        const uint32_t by = 3 + made % 30, from = (made + 1) * (ROWS - 4000) / races;
        for (i = i > from ? i : from; !may_move(line, i, by);)
            i++;
        CHECK(i + by < ROWS);
        const struct entry late = line[i];
        memmove(&line[i], &line[i + 1], by * sizeof line[0]);
        line[i + by] = late;
        i += by + 1;
    }
}

static void write_lines(const struct entry *line, const char *path)
{
    FILE *out = fopen(path, "w");
    CHECK(out != NULL);
    for (uint32_t i = 0; i < ROWS; i++)
        if (line[i].release)
            fprintf(out, "F %u v0 %x %u\n", line[i].cpu, line[i].pfn, line[i].pages);
        else
            fprintf(out, "A %u v0 %u fffff %x %c\n", line[i].cpu, line[i].pages,
                    line[i].pfn, line[i].path);
    fclose(out);
}

static void hold(struct check_result *r, enum wrong wrong, unsigned races)
{
    struct check_settings settings;
    struct error error = { "" };
    struct entry *line = calloc(ROWS, sizeof *line);
    char path[sizeof TEST_BINARY_DIR + 64]; /* Tests of this file run at the same time. */
    snprintf(path, sizeof path, TEST_BINARY_DIR "/k73-lazy.allocator_test-%d.iova.txt",
             (int)getpid());
    CHECK(line != NULL);
    memset(r, 0, sizeof *r);
    r->show = 3;
    record(line, wrong);
    race(line, races);
    write_lines(line, path);
    EXPECT(settings_of_name(&settings, path, &error));
    EXPECT(check_recording(r, path, NULL, &settings, &error));
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(r->rows, ROWS);
    remove(path);
    free(line);
}

TEST_CASE(linux_allocator, agrees_with_another_one_in_every_row)
{
    struct check_result *r = calloc(1, sizeof *r);
    hold(r, WRONG_nothing, 0);
    EXPECT_EQUAL(r->rows_agreed, ROWS);
    EXPECT_TEXT(r->shown > 0 ? r->difference[0].ours : "", "");
    free(r);
}

TEST_CASE(linux_allocator, each_race_is_about_one_row)
{
    struct check_result *r = calloc(1, sizeof *r);
    hold(r, WRONG_nothing, 30);
    EXPECT_EQUAL(r->rows_differing, 0);
    EXPECT(r->rows_excused <= 45);
    EXPECT(check_good(r));
    free(r);
}

/* Each alone could be one; so many are none. */
TEST_CASE(linux_allocator, no_more_than_a_few_races_are_excused)
{
    struct check_result *r = calloc(1, sizeof *r);
    hold(r, WRONG_nothing, 200);
    EXPECT(r->rows_excused > 120);
    EXPECT(!check_good(r));
    free(r);
}

TEST_CASE(linux_allocator, a_wrong_one_is_never_excused)
{
    struct check_result *r = calloc(1, sizeof *r);
    for (int wrong = WRONG_nothing + 1; wrong < WRONGS; wrong++) {
        hold(r, (enum wrong)wrong, 0);
        EXPECT(!check_good(r));
        if (check_good(r))
            fprintf(stderr, "wrong %d: %u excused, %u differ\n", wrong,
                    (unsigned)r->rows_excused, (unsigned)r->rows_differing);
        hold(r, (enum wrong)wrong, 20);
        EXPECT(!check_good(r));
    }
    free(r);
}
