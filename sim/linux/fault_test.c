/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings with one wrong thing in one line: whatever a line says is compared, in every
 * variant whose code differs, with the allocator's recording and without.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/linux/check.h"
#include "sim/test/shim.h"
#include "traces/import.h"
#include "traces/source.h"

enum { LINES_MAX = 1024, ROOM = 64, PLANTED_MAX = 3 };

/* ---- Texts --------------------------------------------------------------------------- */

/* The value of " key=" in the line, or NULL. */
static char *value_of(char *line, const char *key)
{
    char text[16];
    snprintf(text, sizeof text, " %s=", key);
    char *at = strstr(line, text);
    return at == NULL ? NULL : at + strlen(text);
}

/* Puts other text in the place of so many characters; the line has ROOM to grow. */
static void replace(char *at, size_t length, const char *by)
{
    memmove(at + strlen(by), at + length, strlen(at + length) + 1);
    memcpy(at, by, strlen(by));
}

static bool add_to_number(char *at, int base, long long by)
{
    char *end, text[32];
    if (at == NULL || !isxdigit((unsigned char)*at))
        return false;
    const long long value = (long long)strtoull(at, &end, base) + by;
    snprintf(text, sizeof text, base == 16 ? "%llx" : "%lld", value);
    replace(at, (size_t)(end - at), text);
    return true;
}

/* What stands behind the so many-th such sign. */
static char *behind(char *at, char sign, unsigned count)
{
    while (at != NULL && count-- > 0) {
        const size_t n = strcspn(at, " ");
        char *next     = memchr(at, sign, n);
        at             = next == NULL ? NULL : next + 1;
    }
    return at;
}

/* The line's first descriptor if it is of that kind, behind its colon. */
static char *descriptor(char *line, const char *kind)
{
    char *inv = value_of(line, "inv");
    return inv != NULL && strncmp(inv, kind, strlen(kind)) == 0 && inv[strlen(kind)] == ':'
               ? inv + strlen(kind) + 1
               : NULL;
}

static char *page_descriptor(char *line, unsigned *domain_fields)
{
    char *d        = descriptor(line, "psi");
    *domain_fields = 1;
    if (d != NULL)
        return d;
    *domain_fields = 2;
    return descriptor(line, "ppsi");
}

/* ---- Faults -------------------------------------------------------------------------- */

/* A page further down, wherever the line says the address. */
static bool wrong_address(char *line)
{
    static const char *const key[] = { "iova", "base", "addr" };
    char *alloc                    = value_of(line, "alloc");
    bool said                      = false;
    if (alloc == NULL || !add_to_number(alloc, 16, -1))
        return false;
    for (unsigned i = 0; i < 3 && !said; i++)
        said = add_to_number(value_of(line, key[i]), 16, -0x1000);
    char *coherent = strstr(line, "COHALLOC ");
    return said || add_to_number(behind(coherent + 9, ' ', 0) + 13, 16, -0x1000);
}

static bool wrong_size(char *line)
{
    return add_to_number(behind(value_of(line, "alloc"), '/', 1), 10, 1);
}

static bool wrong_path(char *line)
{
    char *path = behind(value_of(line, "alloc"), '/', 3);
    if (path == NULL || path[1] == ',')
        return false;
    *path = *path == 'f' ? 's' : 'f';
    return true;
}

static bool wrong_ranges(char *line)
{
    return add_to_number(value_of(line, "segs"), 10, 1);
}

static bool wrong_tables(char *line)
{
    char *ranges = value_of(line, "segs");
    if (ranges == NULL || strstr(line, " pt=") != NULL)
        return add_to_number(value_of(line, "pt"), 10, 1);
    replace(ranges + strcspn(ranges, " "), 0, " pt=1");
    return true;
}

/* All of the domain instead of pages; everything instead of a domain. */
static bool wrong_type(char *line)
{
    char *inv = value_of(line, "inv");
    if (inv == NULL)
        return false;
    const size_t length = strcspn(inv, " +");
    if (strncmp(inv, "psi:", 4) == 0)
        replace(inv, length, "dsi:3");
    else if (strncmp(inv, "ppsi:", 5) == 0)
        replace(inv, length, "pasid:3:0");
    else if (strncmp(inv, "pasid:", 6) == 0)
        replace(inv, length, "dsi:3");
    else
        replace(inv, length, "glob");
    return true;
}

static bool wrong_domain(char *line)
{
    char *inv = value_of(line, "inv");
    return inv != NULL && strncmp(inv, "dev", 3) != 0
           && add_to_number(behind(inv, ':', 1), 10, 17);
}

static bool wrong_invalidated_address(char *line)
{
    unsigned fields;
    char *d = page_descriptor(line, &fields);
    return add_to_number(behind(d, ':', fields), 16, 0x1000);
}

static bool wrong_mask(char *line)
{
    unsigned fields;
    char *d = page_descriptor(line, &fields);
    return add_to_number(behind(d, ':', fields + 1), 10, 1);
}

static bool flip(char *at)
{
    if (at == NULL || (*at != '0' && *at != '1'))
        return false;
    *at ^= 1;
    return true;
}

static bool wrong_hint(char *line)
{
    unsigned fields;
    char *d = page_descriptor(line, &fields);
    return flip(behind(d, ':', fields + 2));
}

static bool wrong_pasid(char *line)
{
    char *d = descriptor(line, "pasid");
    d       = d != NULL ? d : descriptor(line, "ppsi");
    return add_to_number(behind(d, ':', 1), 10, 1);
}

static bool wrong_requester(char *line)
{
    char *d = value_of(line, "inv");
    d       = d == NULL ? NULL : strstr(d, "dev:sid");
    return d != NULL && add_to_number(d + 7, 16, 1);
}

static bool wrong_device_size(char *line)
{
    char *d = value_of(line, "inv");
    d       = d == NULL ? NULL : strstr(d, "dev:sid");
    return d != NULL && flip(behind(d, ':', 3));
}

static bool no_invalidation(char *line)
{
    char *inv = value_of(line, "inv");
    if (inv == NULL)
        return false;
    replace(inv - 5, 5 + strcspn(inv, " "), "");
    return true;
}

static bool one_of_two_invalidations(char *line)
{
    char *inv  = value_of(line, "inv");
    char *plus = inv == NULL ? NULL : behind(inv, '+', 1);
    if (plus == NULL)
        return false;
    replace(plus - 1, 1 + strcspn(plus, " "), "");
    return true;
}

static bool one_more_invalidation(char *line)
{
    char *inv   = value_of(line, "inv");
    char *arrow = strstr(line, "->");
    if (inv != NULL)
        replace(inv + strcspn(inv, " "), 0, "+dsi:3");
    else if (arrow != NULL)
        replace(arrow + 2, 0, " inv=dsi:3");
    return inv != NULL || arrow != NULL;
}

static bool one_freed_less(char *line)
{
    char *freed = value_of(line, "free");
    if (freed == NULL)
        return false;
    const size_t length = strcspn(freed, " ,");
    if (freed[length] == ',')
        replace(freed, length + 1, "");
    else
        replace(freed - 6, 6 + length, "");
    return true;
}

static bool one_freed_more(char *line)
{
    char *freed = value_of(line, "free");
    if (freed == NULL)
        return false;
    replace(freed + strcspn(freed, " "), 0, ",12345/1");
    return true;
}

static bool freed_in_another_order(char *line)
{
    char *first = value_of(line, "free"), *second = behind(first, ',', 1), text[64];
    if (second == NULL)
        return false;
    const size_t a = (size_t)(second - first - 1), b = strcspn(second, ", ");
    snprintf(text, sizeof text, "%.*s,%.*s", (int)b, second, (int)a, first);
    replace(first, a + 1 + b, text);
    return true;
}

static bool wrong_freed_size(char *line)
{
    return add_to_number(behind(value_of(line, "free"), '/', 1), 10, 1);
}

static const struct fault {
    const char *name;
    bool (*plant)(char *line); /* False: the line has nothing of the kind. */
} faults[] = {
    { "address", wrong_address },
    { "size", wrong_size },
    { "path", wrong_path },
    { "ranges", wrong_ranges },
    { "tables", wrong_tables },
    { "type", wrong_type },
    { "domain", wrong_domain },
    { "invalidated address", wrong_invalidated_address },
    { "mask", wrong_mask },
    { "hint", wrong_hint },
    { "pasid", wrong_pasid },
    { "requester", wrong_requester },
    { "device size", wrong_device_size },
    { "no invalidation", no_invalidation },
    { "one of two", one_of_two_invalidations },
    { "one more", one_more_invalidation },
    { "freed less", one_freed_less },
    { "freed more", one_freed_more },
    { "freed order", freed_in_another_order },
    { "freed size", wrong_freed_size },
};
enum { FAULTS = sizeof faults / sizeof faults[0] };

/* ---- Variants -------------------------------------------------------------------------
 */

struct variant {
    const char *name;
    const char *lines; /* NULL: those of traces/linux. */
};

/* Lists and ranges, which the beginnings of the recordings do not have. A range that is
 * unmapped is queued on 6.18 and invalidated at once on 7.3, under the flush queue too. */
#define LISTS(unmap_range, first_drain)                                                    \
    "### one\n"                                                                            \
    "1 0t MAP 0000:00:05.0 R phys=8000 len=4096 -> iova=fffff000 alloc=fffff/1/v0/s "      \
    "segs=1 pt=3\n"                                                                        \
    "2 0h UNMAP 0000:00:05.0 R iova=fffff000 len=4096 -> QUEUED\n"                         \
    "3 0t MAPIOVA base=ffff8000 len=12288 links=10000+4096@0,20000+8192@1000 "             \
    "alloc=ffff8/3/v0/s segs=2\n"                                                          \
    "4 0h UNMAPIOVA R base=ffff8000 len=12288 -> " unmap_range "\n"                        \
    "5 0s FQFLUSH timer -> inv=dsi:3 free=fffff/1" first_drain "\n"                        \
    "6 1t MAPSG 0000:00:05.0 R phys=30000,50000 len=2000 -> addr=ffff6000 "                \
    "alloc=ffff6/2/v0/s segs=2\n"                                                          \
    "7 1h UNMAPSG 0000:00:05.0 R n=2 first=30000 -> QUEUED\n"                              \
    "8 1s FQFLUSH timer -> inv=dsi:3 free=ffff6/2\n"                                       \
    "9 0t MAP 0000:00:05.0 W phys=8000 len=4096 -> iova=fffff000 alloc=fffff/1/v0/f "      \
    "segs=1\n"                                                                             \
    "10 0h UNMAP 0000:00:05.0 W iova=fffff000 len=4096 -> QUEUED\n"                        \
    "11 0t MAPIOVA base=ffff8000 len=12288 links=10000+4096@0,20000+8192@1000 "            \
    "alloc=ffff8/3/v0/f segs=2\n"                                                          \
    "12 0h UNMAPIOVA R base=ffff8000 len=12288 -> " unmap_range "\n"                       \
    "13 0s FQFLUSH timer -> inv=dsi:3 free=fffff/1" first_drain "\n"
static const char lists_6_18[] = LISTS("QUEUED", ",ffff8/3");
static const char lists_7_3[]  = LISTS("inv=psi:3:ffff8000:2:1 free=ffff8/3", "");

static const struct variant variants[] = {
    { "k618-lazy", lists_6_18 },     { "k73-lazy", lists_7_3 },
    { "k73-strict", NULL },          { "k612-lazy", NULL },
    { "k73-strict-cm", NULL },       { "k73-strict-sm-fs", NULL },
    { "k73-strict-vnet-ats", NULL }, { "k612-lazy-vnet-ats", NULL },
    { "k618-lazy-aw39-cm", NULL },   { "k618-lazy-sm-fs-cm", NULL },
    { "k73-lazy-sm-ss", NULL },      { "k73-lazy-dac", NULL },
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

struct text {
    char *line[LINES_MAX];
    unsigned lines;
};

static void text_read(struct text *t, const char *path)
{
    struct trace_source *source;
    struct error error = { "" };
    const char *line;
    size_t bytes;
    CHECK(trace_source_open(&source, path, &error));
    while ((line = trace_source_line(source, &bytes, &error)) != NULL) {
        CHECK(t->lines < LINES_MAX);
        t->line[t->lines++] = strdup(line);
    }
    trace_source_close(source);
}

static void text_copy(struct text *t, const char *lines)
{
    for (const char *end; *lines != '\0'; lines = end + 1) {
        end = strchr(lines, '\n');
        CHECK(end != NULL && t->lines < LINES_MAX);
        t->line[t->lines++] = strndup(lines, (size_t)(end - lines));
    }
}

static void text_free(struct text *t)
{
    for (unsigned i = 0; i < t->lines; i++)
        free(t->line[i]);
}

/* Checks it with another line in the place of one; twin NULL: the calls alone. */
static void check_with(struct check_result *r, const struct variant *v,
                       const struct text *t, unsigned at, const char *instead,
                       const char *twin)
{
    struct check_settings settings;
    struct error error = { "" };
    char path[sizeof TEST_BINARY_DIR + 96], named[128];
    memset(r, 0, sizeof *r);
    r->show = 1;
    snprintf(path, sizeof path, TEST_BINARY_DIR "/%s-fault-%d.oracle.txt", v->name,
             (int)getpid());
    FILE *out = fopen(path, "w");
    CHECK(out != NULL);
    for (unsigned i = 0; i < t->lines; i++)
        fprintf(out, "%s\n", i == at ? instead : t->line[i]);
    fclose(out);
    snprintf(named, sizeof named, "%s.oracle.txt", v->name);
    EXPECT(settings_of_name(&settings, named, &error));
    EXPECT(check_recording(r, path, twin, &settings, &error));
    EXPECT_TEXT(error.text, "");
    remove(path);
}

/* The numbers of up to so many lines that can have the fault: the first, the last, some
 * between them. */
static unsigned choose(const struct fault *f, const struct text *t,
                       unsigned at[PLANTED_MAX])
{
    unsigned able[LINES_MAX], count = 0;
    for (unsigned i = 0; i < t->lines; i++) {
        char *copy = calloc(1, strlen(t->line[i]) + ROOM);
        CHECK(copy != NULL);
        strcpy(copy, t->line[i]);
        if (t->line[i][0] != '#' && f->plant(copy))
            able[count++] = i;
        free(copy);
    }
    if (count <= PLANTED_MAX) {
        memcpy(at, able, count * sizeof able[0]);
        return count;
    }
    for (unsigned i = 0; i < PLANTED_MAX; i++)
        at[i] = able[i * (count - 1) / (PLANTED_MAX - 1)];
    return PLANTED_MAX;
}

/* Without the allocator's recording, behind the first section, what is said may rest on
 * what happened in the gap: the row is then not taken for right, but excused. */
static bool is_found(const struct check_result *r, const struct check_result *before,
                     const struct text *t, unsigned at, bool alone)
{
    unsigned sections = 0;
    for (unsigned i = 0; i < at; i++)
        sections += t->line[i][0] == '#';
    return r->rows_differing > 0
           || (alone && sections > 1 && r->rule[RULE_unseen] > before->rule[RULE_unseen]);
}

/* Returns how many were planted. */
static unsigned plant_all(const struct variant *v, const struct fault *f,
                          const struct text *t, const char *twin,
                          const struct check_result *before)
{
    struct check_result *r = calloc(1, sizeof *r);
    unsigned at[PLANTED_MAX];
    const unsigned planted = choose(f, t, at);
    CHECK(r != NULL);
    for (unsigned i = 0; i < planted; i++) {
        char *copy = calloc(1, strlen(t->line[at[i]]) + ROOM);
        CHECK(copy != NULL);
        strcpy(copy, t->line[at[i]]);
        CHECK(f->plant(copy));
        check_with(r, v, t, at[i], copy, twin);
        const bool found = is_found(r, before, t, at[i], twin == NULL);
        if (!found)
            fprintf(stderr, "%s%s, %s, line %u: %s\n", v->name,
                    twin == NULL ? " alone" : "", f->name, at[i] + 1, copy);
        EXPECT(found);
        free(copy);
    }
    free(r);
    return planted;
}

static void text_of(struct text *t, const struct variant *v)
{
    char path[256];
    if (v->lines != NULL) {
        text_copy(t, v->lines);
        return;
    }
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/traces/linux/%s.oracle.txt.gz", v->name);
    text_read(t, path);
}

static unsigned plant_in_variant(const struct variant *v, const char *twin)
{
    struct text *t         = calloc(1, sizeof *t);
    struct check_result *r = calloc(1, sizeof *r);
    unsigned planted       = 0;
    CHECK(t != NULL && r != NULL);
    text_of(t, v);
    check_with(r, v, t, LINES_MAX, NULL, twin); /* None so far. */
    EXPECT_EQUAL(r->rows_differing, 0);
    EXPECT_TEXT(r->shown > 0 ? r->difference[0].ours : "", "");
    for (unsigned i = 0; i < FAULTS; i++)
        if (faults[i].plant != wrong_tables || strncmp(v->name, "k612", 4) != 0)
            planted += plant_all(v, &faults[i], t, twin, r);
    text_free(t);
    free(t);
    free(r);
    return planted;
}

TEST_CASE(linux_fault, each_in_the_calls_is_found_with_the_allocators_recording)
{
    char path[256];
    unsigned planted = 0;
    for (unsigned i = 0; i < VARIANTS; i++) {
        if (variants[i].lines != NULL)
            continue;
        snprintf(path, sizeof path, TEST_SOURCE_DIR "/traces/linux/%s.iova.txt.gz",
                 variants[i].name);
        planted += plant_in_variant(&variants[i], path);
    }
    EXPECT(planted > 300);
}

TEST_CASE(linux_fault, each_in_the_calls_alone_is_found)
{
    unsigned planted = 0;
    for (unsigned i = 0; i < VARIANTS; i++)
        planted += plant_in_variant(&variants[i], NULL);
    EXPECT(planted > 300);
}

/* ---- Mangled recordings -----------------------------------------------------------------
 */

static uint32_t random_below(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}

/* One line is missing, comes twice, changes places with another, or has another digit. */
static void mangle(struct text *t, uint32_t *state)
{
    const unsigned a = random_below(state, t->lines), b = random_below(state, t->lines);
    char *was = t->line[a];
    switch (random_below(state, 4)) {
    case 0:
        memmove(&t->line[a], &t->line[a + 1], (--t->lines - a) * sizeof t->line[0]);
        free(was);
        return;
    case 1:
        was = strdup(was); /* Before: it may be the same line. */
        free(t->line[b]);
        t->line[b] = was;
        return;
    case 2:
        t->line[a] = t->line[b];
        t->line[b] = was;
        return;
    default:
        for (unsigned i = 0; i < 20; i++) {
            char *at = was + random_below(state, (uint32_t)strlen(was));
            if (isxdigit((unsigned char)*at)) {
                *at = "0123456789abcdef"[random_below(state, 16)];
                return;
            }
        }
    }
}

/* Whether it can be read at all is not the point, but that every one has an end. */
static void check_mangled(const struct variant *v, uint32_t seed, const char *twin,
                          unsigned *differ)
{
    struct text *t         = calloc(1, sizeof *t);
    struct check_result *r = calloc(1, sizeof *r);
    struct check_settings settings;
    struct error error = { "" };
    char path[sizeof TEST_BINARY_DIR + 96], named[128];
    CHECK(t != NULL && r != NULL);
    text_of(t, v);
    for (unsigned i = 0; i <= seed % 4; i++)
        mangle(t, &seed);
    snprintf(path, sizeof path, TEST_BINARY_DIR "/%s-mangled-%d.oracle.txt", v->name,
             (int)getpid());
    FILE *out = fopen(path, "w");
    CHECK(out != NULL);
    for (unsigned i = 0; i < t->lines; i++)
        fprintf(out, "%s\n", t->line[i]);
    fclose(out);
    snprintf(named, sizeof named, "%s.oracle.txt", v->name);
    EXPECT(settings_of_name(&settings, named, &error));
    if (check_recording(r, path, twin, &settings, &error))
        *differ += r->rows_differing > 0;
    else
        EXPECT_HAS(error.text, path);
    remove(path);
    text_free(t);
    free(t);
    free(r);
}

TEST_CASE(linux_fault, a_mangled_recording_does_not_end_the_program)
{
    char twin[256];
    unsigned differ = 0;
    for (uint32_t seed = 0; seed < 240; seed++) {
        const struct variant *v = &variants[seed % VARIANTS];
        const bool with         = v->lines == NULL && seed / VARIANTS % 2 == 0;
        snprintf(twin, sizeof twin, TEST_SOURCE_DIR "/traces/linux/%s.iova.txt.gz",
                 v->name);
        check_mangled(v, seed, with ? twin : NULL, &differ);
    }
    EXPECT(differ > 60);
}
