/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings of real kernels (traces/linux), and what is said of others. */
#include "sim/linux/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/linux/shape.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "traces/import.h"
#include "traces/source.h"

static void path_of(char *path, size_t bytes, const char *name, const char *kind)
{
    snprintf(path, bytes, TEST_SOURCE_DIR "/traces/linux/%s.%s.txt.gz", name, kind);
}

static void check(struct check_result *r, const char *name, const char *kind,
                  const char *setting)
{
    struct check_settings settings;
    struct error error = { "" };
    char path[256], twin[256];
    memset(r, 0, sizeof *r);
    r->show = 3;
    path_of(path, sizeof path, name, kind);
    path_of(twin, sizeof twin, name, strcmp(kind, "iova") == 0 ? "oracle" : "iova");
    EXPECT(settings_of_name(&settings, path, &error));
    EXPECT(setting == NULL || settings_set(&settings, setting, &error));
    EXPECT(check_recording(r, path, twin, &settings, &error));
    EXPECT_TEXT(error.text, "");
}

static void expect_all(const char *name, unsigned calls, unsigned allocator)
{
    struct check_result *r = calloc(1, sizeof *r);
    check(r, name, "oracle", NULL);
    EXPECT_EQUAL(r->rows, calls);
    EXPECT_EQUAL(r->rows_agreed, calls);
    EXPECT_TEXT(r->shown > 0 ? r->difference[0].ours : "", "");
    check(r, name, "iova", NULL);
    EXPECT_EQUAL(r->rows, allocator);
    EXPECT_EQUAL(r->rows_agreed, allocator);
    free(r);
}

TEST_CASE(linux_check, flush_queue_of_6_12)
{
    expect_all("k612-lazy", 683, 672);
}

TEST_CASE(linux_check, strict_7_3)
{
    expect_all("k73-strict", 72, 72);
}

TEST_CASE(linux_check, caching_mode_invalidates_on_map)
{
    expect_all("k73-strict-cm", 72, 72);
}

TEST_CASE(linux_check, device_tlbs_go_with_the_iotlb)
{
    expect_all("k73-strict-vnet-ats", 642, 442);
}

TEST_CASE(linux_check, first_stage_is_invalidated_by_pasid)
{
    expect_all("k73-strict-sm-fs", 72, 72);
}

TEST_CASE(linux_check, variants_stand_together)
{
    expect_all("k612-lazy-vnet-ats", 736, 712);
    expect_all("k618-lazy-aw39-cm", 72, 72); /* Caching mode: strict all the same. */
    expect_all("k618-lazy-sm-fs-cm", 255, 232);
    expect_all("k73-lazy-sm-ss", 252, 232);
    expect_all("k73-lazy-dac", 249, 232); /* Two devices with the same addresses waiting. */
}

/* The calls alone say enough. */
TEST_CASE(linux_check, calls_without_their_allocators_recording)
{
    static const char *const name[] = { "k612-lazy",          "k73-strict-cm",
                                        "k73-strict-sm-fs",   "k612-lazy-vnet-ats",
                                        "k618-lazy-sm-fs-cm", "k73-lazy-dac" };
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++) {
        struct check_result *r = calloc(1, sizeof *r);
        struct check_settings settings;
        struct error error = { "" };
        char path[256];
        path_of(path, sizeof path, name[i], "oracle");
        r->show = 1;
        EXPECT(settings_of_name(&settings, path, &error));
        EXPECT(check_recording(r, path, NULL, &settings, &error));
        EXPECT_TEXT(r->shown > 0 ? r->difference[0].ours : "", "");
        EXPECT_EQUAL(r->rows_differing, 0);
        free(r);
    }
}

/* ---- Faults in the calls alone
 * -----------------------------------------------------------------
 *
 * Nothing is excused because there is no allocator's recording, but where what happened
 * between two sections may be the reason.
 */
enum plant { PLANT_path, PLANT_mask, PLANT_nothing };
enum { LINES_MAX = 1024 };

/* Of the line: the other place of its allocation, one more in its mask, no invalidation.
 * False when it has none. */
static bool plant(char *line, enum plant what)
{
    char *inv = strstr(line, " inv="), *alloc = strstr(line, " alloc="), *mask, *rest;
    if (what == PLANT_path) {
        char *end = alloc == NULL ? NULL : alloc + 1 + strcspn(alloc + 1, " ,");
        if (end == NULL || *end == ',')
            return false;
        end[-1] = end[-1] == 'f' ? 's' : 'f';
        return true;
    }
    if (inv == NULL)
        return false;
    if (what == PLANT_mask) {
        mask = strncmp(inv, " inv=psi:", 9) == 0 ? strchr(inv + 9, ':') : NULL;
        mask = mask == NULL ? NULL : strchr(mask + 1, ':');
        if (mask == NULL || mask[1] == '9')
            return false;
        mask[1]++;
        return true;
    }
    rest = inv + 1 + strcspn(inv + 1, " ");
    memmove(inv, rest, strlen(rest) + 1);
    return true;
}

static unsigned read_lines(const char *name, char *line[LINES_MAX])
{
    struct trace_source *source;
    struct error error = { "" };
    char path[256];
    const char *text;
    size_t bytes;
    unsigned count = 0;
    path_of(path, sizeof path, name, "oracle");
    CHECK(trace_source_open(&source, path, &error));
    while ((text = trace_source_line(source, &bytes, &error)) != NULL) {
        CHECK(count < LINES_MAX);
        line[count++] = strdup(text);
    }
    trace_source_close(source);
    return count;
}

static void check_with(struct check_result *r, const char *name, char *const *line,
                       unsigned lines, unsigned at, const char *instead)
{
    struct check_settings settings;
    struct error error = { "" };
    char path[sizeof TEST_BINARY_DIR + 96];
    memset(r, 0, sizeof *r);
    snprintf(path, sizeof path, TEST_BINARY_DIR "/%s-%d.oracle.txt", name, (int)getpid());
    FILE *out = fopen(path, "w");
    CHECK(out != NULL);
    for (unsigned i = 0; i < lines; i++)
        fprintf(out, "%s\n", i == at ? instead : line[i]);
    fclose(out);
    char named[128];
    snprintf(named, sizeof named, "%s.oracle.txt", name);
    EXPECT(settings_of_name(&settings, named, &error));
    EXPECT(check_recording(r, path, NULL, &settings, &error));
    EXPECT_TEXT(error.text, "");
    remove(path);
}

/* Plants one fault at a time, in every so many lines that can have it; returns how many
 * were planted, and of how many no row differs. */
static unsigned plant_each(const char *name, enum plant what, unsigned every,
                           unsigned *missed)
{
    char *line[LINES_MAX];
    struct check_result *r = calloc(1, sizeof *r);
    const unsigned lines   = read_lines(name, line);
    unsigned able = 0, planted = 0;
    *missed = 0;
    for (unsigned i = 0; i < lines; i++) {
        char *changed = strdup(line[i]);
        if (plant(changed, what) && able++ % every == 0) {
            check_with(r, name, line, lines, i, changed);
            planted++;
            *missed += r->rows_differing == 0;
            if (r->rows_differing == 0 && r->rule[RULE_unseen] != 1)
                EXPECT_TEXT(changed, "");
        }
        free(changed);
    }
    for (unsigned i = 0; i < lines; i++)
        free(line[i]);
    free(r);
    return planted;
}

TEST_CASE(linux_check, one_fault_in_the_calls_alone_is_found)
{
    unsigned missed;
    EXPECT_EQUAL(plant_each("k73-strict", PLANT_mask, 2, &missed), 14);
    EXPECT_EQUAL(missed, 0);
    EXPECT_EQUAL(plant_each("k73-strict", PLANT_nothing, 2, &missed), 14);
    EXPECT_EQUAL(missed, 0);
    EXPECT_EQUAL(plant_each("k73-strict", PLANT_path, 2, &missed), 22);
    EXPECT_EQUAL(missed, 0);
    EXPECT_EQUAL(plant_each("k612-lazy", PLANT_nothing, 1, &missed), 11);
    EXPECT_EQUAL(missed, 0);
    EXPECT_EQUAL(plant_each("k612-lazy", PLANT_path, 8, &missed), 43);
    EXPECT_EQUAL(missed, 0);
    /* The first of a section that its CPU takes from the tree. */
    EXPECT_EQUAL(plant_each("k618-lazy-sm-fs-cm", PLANT_path, 3, &missed), 42);
    EXPECT_EQUAL(missed, 1);
}

/* A comparison that cannot fail is worth nothing: other settings must differ. */
static void expect_differences(const char *name, const char *setting,
                               enum check_aspect aspect)
{
    struct check_result *r = calloc(1, sizeof *r);
    check(r, name, "oracle", setting);
    EXPECT(r->rows_differing > 0);
    EXPECT(r->aspect[aspect].agreed < r->aspect[aspect].compared);
    EXPECT_EQUAL(r->shown, 3);
    EXPECT(!check_good(r));
    free(r);
}

TEST_CASE(linux_check, other_settings_differ)
{
    expect_differences("k73-strict", "recorded.policy=lazy", ASPECT_unmap_inv);
    expect_differences("k612-lazy", "recorded.policy=strict", ASPECT_flush);
    expect_differences("k73-strict-cm", "recorded.cap=0xd2008c222f0606", ASPECT_map_inv);
    expect_differences("k73-strict-vnet-ats", "recorded.ats=0", ASPECT_unmap_inv);
    expect_differences("k73-strict-sm-fs", "recorded.ecap=0xf42", ASPECT_unmap_inv);
    expect_differences("k612-lazy-vnet-ats", "recorded.ats=0", ASPECT_flush);
    expect_differences("k618-lazy-aw39-cm", "recorded.policy=lazy", ASPECT_unmap_inv);
    expect_differences("k618-lazy-sm-fs-cm", "recorded.ecap=0xf42", ASPECT_flush);
    expect_differences("k73-lazy-sm-ss", "recorded.policy=strict", ASPECT_flush);
}

/* No other search shows that would have come first. */
TEST_CASE(linux_check, another_search_of_the_tree_is_no_race)
{
    struct check_result *r = calloc(1, sizeof *r);
    check(r, "k73-strict", "oracle", "linux.forcedac=1");
    EXPECT(r->rows_differing > 10);
    EXPECT(!check_good(r));
    free(r);
}

/* ---- What cannot be read --------------------------------------------------------------
 */

static void expect_unreadable(const char *kind, const char *text, const char *part)
{
    struct recording r;
    struct error error = { "" };
    char path[256];
    snprintf(path, sizeof path, TEST_BINARY_DIR "/linux_check_test-%d.%s.txt",
             (int)getpid(), kind);
    FILE *out = fopen(path, "w");
    REQUIRE(out != NULL);
    fputs(text, out);
    fclose(out);
    EXPECT(!recording_read(&r, path, &error));
    EXPECT_HAS(error.text, part);
    EXPECT_HAS(error.text, path);
    recording_free(&r);
    remove(path);
}

TEST_CASE(linux_check, every_mistake_in_a_recording_is_named_with_its_line)
{
    static const char *const wrong[][2] = {
        { "", "expected recorded calls, got none" },
        { "### one\n1 0t MAPX\n", "line 2: expected a recorded call, got 'MAPX'" },
        { "x 0t MAP\n", "line 1: expected microseconds" },
        { "1 0x MAP\n", "a CPU and its context" },
        { "1 16t MAP\n", "a CPU below 16" },
        { "1 0t MAP 00:05.0 R\n", "a device as 0000:00:05.0" },
        { "1 0t MAP 0000:00:05.0 X\n", "expected W, R or B" },
        { "1 0t MAP 0000:00:05.0 R phys=1000\n", "the outcome of the map is missing" },
        { "1 0t MAP 0000:00:05.0 R phys=1000 iova=1000\n", "len= is missing" },
        { "1 0t MAP 0000:00:05.0 R phys=zz\n", "expected a physical address, got 'zz'" },
        { "1 0t MAP 0000:00:05.0 R bogus=1\n", "expected a known field, got 'bogus'" },
        { "1 0t MAP 0000:00:05.0 R iova=1000 len=1 alloc=1/1/v0/x\n", "expected f or s" },
        { "1 0t UNMAP 0000:00:05.0 R iova=1000 len=1 -> inv=psi:1\n",
          "expected an invalidation, got 'psi" },
        { "1 0t UNMAP 0000:00:05.0 R iova=1000 len=1 -> free=1/0\n", "1 to 2^24 pages" },
        { "1 0t MAPSG 0000:00:05.0 R phys=1000 len=10,20 -> addr=1000\n",
          "as many addresses as lengths" },
        { "1 0t MAPIOVA base=1000 len=1000 links=1+2\n", "expected an offset" },
        { "1 0t FQFLUSH queue\n", "expected timer, got 'queue'" },
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_unreadable("oracle", wrong[i][0], wrong[i][1]);
    expect_unreadable("iova", "A 0 v0 1 fffff fffff x\n", "line 1: expected f or s");
    expect_unreadable("iova", "F 0 x0 fffff 1\n", "an address space vN");
    expect_unreadable("iova", "Z 0\n", "expected A or F, got 'Z'");
}

TEST_CASE(linux_check, settings_follow_from_the_name)
{
    struct check_settings s;
    struct error error = { "" };
    EXPECT(settings_of_name(&s, "some/where/k618-lazy-aw39-dac.oracle.txt.gz", &error));
    EXPECT_TEXT(s.kernel.release, "6.18");
    EXPECT_TEXT(s.recorded.policy, "lazy");
    EXPECT_EQUAL(s.recorded.cap, 0xd2008c22260206);
    EXPECT(s.kernel.forcedac);
    EXPECT(settings_of_name(&s, "k612-lazy-aw39-cm-vnet-ats.oracle.txt.gz", &error));
    EXPECT_EQUAL(s.recorded.cap, 0xd2008c22260286);
    EXPECT_EQUAL(s.recorded.ecap, 0xf46);
    EXPECT_TEXT(s.recorded.policy, "strict");
    EXPECT(settings_of_name(&s, "k618-lazy-sm-fs-cm.oracle.txt.gz", &error));
    EXPECT_TEXT(s.recorded.policy, "lazy");
    EXPECT(settings_of_name(&s, "some/where/k618-lazy-aw39-dac.oracle.txt.gz", &error));
    EXPECT(!settings_of_name(&s, "k99-strict.oracle.txt.gz", &error));
    EXPECT_HAS(error.text, "'k99' in the name is not known");
    EXPECT(!settings_set(&s, "recorded.bogus=1", &error));
    EXPECT_HAS(error.text, "recorded.bogus: not known");
    EXPECT(!settings_set(&s, "bogus", &error));
    EXPECT_HAS(error.text, "expected key=value");
}

/* ---- Domain ids
 * ---------------------------------------------------------------------------- */

/* Checks lines that stand in a file of this name. */
static void check_lines(struct check_result *r, const char *name, const char *lines)
{
    struct check_settings settings;
    struct error error = { "" };
    char file[128];
    memset(r, 0, sizeof *r);
    r->show = 3;
    snprintf(file, sizeof file, "%s.oracle.txt", name); /* It says what was recorded. */
    const char *const path = program_path(file);
    FILE *out              = fopen(path, "w");
    CHECK(out != NULL);
    fputs(lines, out);
    fclose(out);
    EXPECT(settings_of_name(&settings, path, &error));
    EXPECT(check_recording(r, path, NULL, &settings, &error));
    EXPECT_TEXT(error.text, "");
    remove(path);
}

/* One page mapped and unmapped again and again; of each time, the id that the invalidation
 * names. Half of them in a second section. */
static void check_ids(struct check_result *r, const char *name, const unsigned *id,
                      unsigned count)
{
    const bool lazy = strstr(name, "lazy") != NULL;
    char lines[8192], *at = lines, *const end = lines + sizeof lines;
    for (unsigned i = 0; i < count; i++) {
        if (i == 0 || i == count / 2)
            at += snprintf(at, (size_t)(end - at), "### part-%u\n", i);
        at += snprintf(at, (size_t)(end - at),
                       "%u 0t MAP 0000:00:05.0 R phys=8000 len=4096 -> iova=fffff000 "
                       "alloc=fffff/1/v0/%c segs=1\n"
                       "%u 0t UNMAP 0000:00:05.0 R iova=fffff000 len=4096 -> ",
                       30000 * i, i == 0 ? 's' : 'f', 30000 * i + 1);
        if (lazy)
            at += snprintf(at, (size_t)(end - at),
                           "QUEUED\n%u 0s FQFLUSH timer -> inv=dsi:%u", 30000 * i + 10002,
                           id[i]);
        else
            at += snprintf(at, (size_t)(end - at), "inv=psi:%u:fffff000:0:1", id[i]);
        at += snprintf(at, (size_t)(end - at), " free=fffff/1\n");
    }
    CHECK(at < end);
    check_lines(r, name, lines);
}

/* Both flush policies: the device of a line is in it, and is not. */
static void expect_ids(const unsigned *id, unsigned count, unsigned differ)
{
    struct check_result *r = calloc(1, sizeof *r);
    check_ids(r, "k612-strict-vfio", id, count);
    EXPECT_EQUAL(r->rows, 2 * count);
    EXPECT_EQUAL(r->rows_differing, differ);
    EXPECT_EQUAL(r->rows_excused, 0);
    check_ids(r, "k612-lazy-vfio", id, count);
    EXPECT_EQUAL(r->rows, 3 * count);
    EXPECT_EQUAL(r->rows_differing, differ);
    EXPECT_EQUAL(r->rows_excused, 0);
    free(r);
}

TEST_CASE(linux_check, a_device_may_find_its_domain_under_another_id)
{
    expect_ids((const unsigned[]){ 2, 2, 2, 7, 7, 7 }, 6, 0);
    expect_ids((const unsigned[]){ 2, 2, 2, 2, 7, 7, 7, 9, 9, 9 }, 10, 0);
    expect_ids((const unsigned[]){ 2, 2 }, 2, 0); /* Few lines, but nothing against them. */
}

TEST_CASE(linux_check, an_odd_id_is_no_new_name)
{
    for (unsigned at = 0; at < 8; at++) {
        unsigned id[] = { 3, 3, 3, 3, 3, 3, 3, 3 };
        id[at]        = 5;
        expect_ids(id, 8, 1);
        id[(at + 3) % 8] = 5;
        expect_ids(id, 8, 2);
    }
    expect_ids((const unsigned[]){ 3, 3, 3, 3, 3, 3, 5, 5 }, 8, 2);
    expect_ids((const unsigned[]){ 5, 5, 3, 3, 3, 3, 3, 3 }, 8, 2);
    expect_ids((const unsigned[]){ 3, 3, 5, 5, 5, 3, 3, 3 }, 8, 3); /* It came back. */
    expect_ids((const unsigned[]){ 2, 2, 2, 7, 7, 7, 7, 2 }, 8, 4); /* The old one. */
}

/* ---- Shapes of scatter lists ------------------------------------------------------------
 */

static bool shape(const char *line, unsigned longest, uint32_t *length)
{
    struct recording r;
    struct error error = { "" };
    char path[256];
    snprintf(path, sizeof path, TEST_BINARY_DIR "/linux_shape_test-%d.oracle.txt",
             (int)getpid());
    FILE *out = fopen(path, "w");
    CHECK(out != NULL);
    fputs(line, out);
    fclose(out);
    EXPECT(recording_read(&r, path, &error));
    EXPECT_TEXT(error.text, "");
    const bool found = shape_elements(&r, &r.row[0], longest, length);
    recording_free(&r);
    remove(path);
    return found;
}

TEST_CASE(linux_check, lengths_of_a_list_fit_outputs_and_ranges)
{
    uint32_t n[8];
    /* Unaligned beginning and end. */
    EXPECT(shape("1 0t MAPSG 0000:00:05.0 R phys=1200,8000 len=1000 -> addr=ff200 "
                 "alloc=ff/2/v0/s segs=2\n",
                 65536, n));
    EXPECT_EQUAL(n[0], 0xe00);
    EXPECT_EQUAL(n[1], 0x200);
    /* Two elements of 64 KiB that continue each other are one range. */
    EXPECT(shape("1 0t MAPSG 0000:00:1f.2 R phys=10000,20000 len=10000,10000 -> "
                 "addr=100000,110000 alloc=100/32/v0/s segs=1\n",
                 65536, n));
    EXPECT_EQUAL(n[0], 0x10000);
    EXPECT_EQUAL(n[1], 0x10000);
    /* An output that ends early does so because the next element did not fit. */
    EXPECT(shape("1 0t MAPSG 0000:00:1f.2 R phys=10000,80000,90000 len=f000,3000 -> "
                 "addr=100000,10f000 alloc=100/18/v0/s segs=3\n",
                 65536, n));
    EXPECT(n[1] >= 0x2000);
    EXPECT_EQUAL(n[0] + n[1] + n[2], 0x12000);
    EXPECT(!shape("1 0t MAPSG 0000:00:1f.2 R phys=10000,80000 len=1000 -> "
                  "addr=100000 alloc=100/1/v0/s segs=2\n",
                  65536, n));
}
