/* SPDX-License-Identifier: Apache-2.0 */
/* `iovasim trace check`: recorded kernels agree, and planted faults are found and named. */
#include "sim/app/trace_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "traces/source.h"

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/traces/%s", name);
    return path;
}

/* What came of it; NULL, with error filled, when it could not be read. To be freed. */
static struct trace_check *run_chosen(const char *path, const struct check_chosen *chosen,
                                      const char *set, struct error *error)
{
    struct trace_check *c = calloc(1, sizeof *c);
    struct config config;
    CHECK(c != NULL);
    CHECK(config_init(&config, "vtd-server", error));
    CHECK(set == NULL || config_set(&config, set, error));
    error->text[0]  = '\0';
    c->show         = 3;
    const bool good = trace_check_run(c, path, &config, chosen, error);
    config_free(&config);
    if (good)
        return c;
    free(c);
    return NULL;
}

static struct trace_check *run(const char *path, const char *release, const char *set,
                               struct error *error)
{
    return run_chosen(path, &(struct check_chosen){ .release = release }, set, error);
}

static void expect_agrees(const char *name, uint64_t compared, uint64_t given)
{
    struct error error;
    struct trace_check *c = run(path_of(name), NULL, NULL, &error);
    EXPECT_TEXT(error.text, "");
    if (!EXPECT(c != NULL))
        return;
    EXPECT_EQUAL(c->compared, compared);
    EXPECT_EQUAL(c->agree, compared);
    EXPECT_EQUAL(c->given, given);
    EXPECT_EQUAL(c->call_reason[CHECK_unclaimed], 0);
    EXPECT_TEXT(c->shown > 0 ? c->difference[0].ours : "", "");
    free(c);
}

/* ---- As recorded
 * ---------------------------------------------------------------------------- */

static const struct check_row *row_with(const struct trace_check *c, enum mapped_way way)
{
    for (unsigned i = 0; i < c->rows; i++)
        if (c->row[i].way == way)
            return &c->row[i];
    return NULL;
}

TEST_CASE(trace_check, compact_recording_of_7_3)
{
    struct error error;
    struct trace_check *c =
        run(path_of("linux/k73-strict.events.txt.gz"), NULL, NULL, &error);
    REQUIRE(c != NULL);
    EXPECT_EQUAL(c->agree, c->compared);
    EXPECT(c->compared > 200);
    EXPECT(c->given < c->compared);
    for (enum mapped_way way = MAPPED_nothing; way <= MAPPED_pieces; way++)
        EXPECT(row_with(c, way) != NULL);
    EXPECT_HAS(c->settings, "Linux 7.3, strict, --api iova");
    uint64_t calls = 0;
    for (unsigned i = 0; i < CHECK_REASONS_COUNT; i++)
        calls += c->call_reason[i];
    EXPECT_EQUAL(calls, c->calls);
    free(c);
}

TEST_CASE(trace_check, text_of_ftrace)
{
    expect_agrees("linux/k612-strict.ftrace.txt.gz", 89, 45);
    expect_agrees("linux/k73-passthrough.ftrace.txt.gz", 52, 13);
    expect_agrees("samples/nvme-randrw-mixed.ftrace.txt.gz", 97, 9);
    expect_agrees("samples/ext4-fdatasync.ftrace.txt.gz", 68, 0);
}

TEST_CASE(trace_check, calls_alone)
{
    expect_agrees("linux/k612-lazy.oracle.txt.gz", 326, 0);
    expect_agrees("linux/k73-strict.oracle.txt.gz", 26, 0);
    expect_agrees("linux/k618-lazy-sm-fs-cm.oracle.txt.gz", 106, 0);
}

/* A page with the range is mapped for a discard; what moves nothing maps nothing. */
TEST_CASE(trace_check, discards_map_their_ranges)
{
    static const char *const text =
        "### a\n1 0t N nvme0 q1 c1 dsm -\n2 0t DM 0000:00:05.0 W 1000 4096 9000 -\n"
        "3 0t I 259:0 D 8+2097152\n4 0h DU 0000:00:05.0 W 1000 4096 -\n"
        "5 0h n nvme0 q1 c1\n6 0t N nvme0 q1 c2 flush -\n7 0t I 259:0 FF 0+0\n"
        "8 0h n nvme0 q1 c2\n9 0t N nvme0 q1 c3 write_zeroes 8+8\n"
        "10 0t I 259:0 WZ 8+8\n11 0h n nvme0 q1 c3\n";
    struct error error;
    const char *const path = program_path("k73-strict.events.txt");
    FILE *out              = fopen(path, "w");
    CHECK(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0);
    struct trace_check *c = run(path, NULL, NULL, &error);
    REQUIRE(c != NULL);
    EXPECT_EQUAL(c->compared, 3);
    EXPECT_EQUAL(c->agree, 3);
    EXPECT_EQUAL(row_with(c, MAPPED_single)->op, TRACE_DISCARD);
    free(c);
}

TEST_CASE(trace_check, network_cards_are_no_drives)
{
    struct error error;
    const char *const name[] = { "linux/k612-lazy-vnet-ats.oracle.txt.gz",
                                 "linux/k73-strict-vnet-ats.oracle.txt.gz" };
    for (unsigned i = 0; i < 2; i++) {
        struct trace_check *c = run(path_of(name[i]), NULL, NULL, &error);
        REQUIRE(c != NULL);
        EXPECT_EQUAL(c->compared, 0);
        EXPECT_EQUAL(c->reason[CHECK_other], c->requests);
        free(c);
    }
}

/* What another kernel does, or another drive, is not what was recorded. */
TEST_CASE(trace_check, another_kernel_disagrees)
{
    struct error error;
    const char *const path = path_of("linux/k73-strict.events.txt.gz");
    struct trace_check *c  = run(path, "6.12", NULL, &error);
    REQUIRE(c != NULL);
    EXPECT(!trace_check_good(c));
    EXPECT_EQUAL(c->difference[0].part, PART_choice);
    EXPECT_HAS(c->difference[0].recorded, "one range, coalesced");
    EXPECT_HAS(c->difference[0].ours, "a scatter list");
    free(c);
    c = run(path, NULL, "nvme.sgl=0", &error); /* Gaps, and one segment of many pages. */
    REQUIRE(c != NULL);
    EXPECT(!trace_check_good(c));
    EXPECT_HAS(c->difference[0].recorded, "one mapping: 131072");
    EXPECT_HAS(c->difference[0].ours, "one range, coalesced: 131072");
    free(c);
}

/* ---- Planted faults
 * ------------------------------------------------------------------------- */

struct text {
    char **line;
    unsigned lines, room;
};

static void text_add(struct text *t, const char *line)
{
    if (t->lines == t->room) {
        t->room = t->room == 0 ? 1024 : 2 * t->room;
        t->line = realloc(t->line, t->room * sizeof *t->line);
        CHECK(t->line != NULL);
    }
    t->line[t->lines] = strdup(line);
    CHECK(t->line[t->lines] != NULL);
    t->lines++;
}

static void text_read(struct text *t, const char *path)
{
    struct trace_source *source;
    struct error error = { "" };
    const char *line;
    size_t bytes;
    *t = (struct text){ 0 };
    CHECK(trace_source_open(&source, path, &error));
    while ((line = trace_source_line(source, &bytes, &error)) != NULL)
        text_add(t, line);
    trace_source_close(source);
}

static void text_free(struct text *t)
{
    for (unsigned i = 0; i < t->lines; i++)
        free(t->line[i]);
    free(t->line);
}

static void set_line(struct text *t, unsigned at, const char *line)
{
    free(t->line[at]);
    t->line[at] = strdup(line);
    CHECK(t->line[at] != NULL);
}

/* Writes it and checks it; an emptied line keeps its number. */
static struct trace_check *run_text(const struct text *t, const char *name,
                                    struct error *error)
{
    const char *const path = program_path(name);
    FILE *out              = fopen(path, "w");
    CHECK(out != NULL);
    for (unsigned i = 0; i < t->lines; i++)
        fprintf(out, "%s\n", t->line[i]);
    CHECK(fclose(out) == 0);
    return run(path, NULL, NULL, error);
}

static bool has_code(const char *line, const char *code)
{
    const char *at = strchr(line, ' ');
    at             = at == NULL ? NULL : strchr(at + 1, ' ');
    const size_t n = strlen(code);
    return at != NULL && strncmp(at + 1, code, n) == 0 && at[1 + n] == ' ';
}

static unsigned line_with(const struct text *t, unsigned from, const char *code,
                          const char *part)
{
    unsigned i = from;
    while (i < t->lines
           && !(has_code(t->line[i], code) && strstr(t->line[i], part) != NULL))
        i++;
    CHECK(i < t->lines);
    return i;
}

static void recorded_events(struct text *t)
{
    text_read(t, path_of("linux/k73-strict.events.txt.gz"));
}

/* One request disagrees, and its first call, or itself, stands on that line (from 1). */
static void expect_found(struct trace_check *c, enum check_part part, unsigned line,
                         const char *recorded, const char *ours)
{
    if (!EXPECT(c != NULL))
        return;
    EXPECT_EQUAL(c->compared - c->agree, 1);
    if (EXPECT(c->shown > 0)) {
        EXPECT_EQUAL(c->difference[0].part, part);
        EXPECT_EQUAL(c->difference[0].line, line);
        EXPECT_HAS(c->difference[0].recorded, recorded);
        EXPECT_HAS(c->difference[0].ours, ours);
    }
    free(c);
}

TEST_CASE(trace_check, removed_mapping_is_found)
{
    struct text t;
    struct error error;
    recorded_events(&t);
    const unsigned at = line_with(&t, line_with(&t, 0, "N", "q1 c8961 write 98326+14"),
                                  "DM", "0000:00:06.0 W");
    set_line(&t, at + 1, ""); /* Not the first of seven. */
    unsigned second = at + 1;
    while (!has_code(t.line[second], "DM"))
        second++;
    set_line(&t, second, "");
    expect_found(run_text(&t, "k73-strict.events.txt", &error), PART_bytes, at + 1,
                 "segment by segment: 6 x 1024; unmapped 6 x 1024",
                 "7168 bytes to map, of which 6144 are recorded");
    text_free(&t);
}

TEST_CASE(trace_check, changed_size_is_found)
{
    struct text t;
    struct error error;
    recorded_events(&t);
    const unsigned at = line_with(&t, 0, "TL", " 0 ");
    char *bytes       = strstr(t.line[at], " 4096 R");
    REQUIRE(bytes != NULL);
    memcpy(bytes, " 8192 R", 7);
    unsigned begin = at;
    while (!has_code(t.line[begin], "TA"))
        begin--;
    expect_found(run_text(&t, "k73-strict.events.txt", &error), PART_bytes, begin + 1,
                 "one range, coalesced: 8192, ", "of which 135168 are recorded");
    text_free(&t);
}

/* The pieces of the range that is begun at a line become mappings of their own. Their
 * addresses are the range's; its end becomes their unmaps. */
static void turn_into_pieces(struct text *t, unsigned begin)
{
    char state[16], line[160], unmaps[8192] = "";
    unsigned long long base, offset, pa, bytes;
    CHECK(sscanf(t->line[begin], "%*u %*s TA %15s", state) == 1);
    set_line(t, begin, "");
    for (unsigned i = begin; i < t->lines; i++) {
        char of[16], dir;
        unsigned time;
        if (sscanf(t->line[i], "%u %*s TL %15s %llx %llx %llx %llu %c", &time, of, &base,
                   &offset, &pa, &bytes, &dir)
                == 7
            && strcmp(of, state) == 0) {
            snprintf(line, sizeof line, "%u 1t DM 0000:00:05.0 %c %llx %llu %llx -", time,
                     dir, base + offset, bytes, pa);
            set_line(t, i, line);
            snprintf(unmaps + strlen(unmaps), sizeof unmaps - strlen(unmaps),
                     "%s999999 1h DU 0000:00:05.0 %c %llx %llu -",
                     unmaps[0] == '\0' ? "" : "\n", dir, base + offset, bytes);
        } else if (sscanf(t->line[i], "%u %*s TD %15s", &time, of) == 2
                   && strcmp(of, state) == 0) {
            set_line(t, i, unmaps);
            return;
        }
    }
    CHECK(false);
}

TEST_CASE(trace_check, coalesced_turned_to_segment_wise_is_found)
{
    struct text t;
    struct error error;
    recorded_events(&t);
    const unsigned begin = line_with(&t, 0, "TA", "131072 1");
    unsigned first       = begin;
    while (!has_code(t.line[first], "TL"))
        first++;
    REQUIRE(strstr(t.line[begin], " 1t TA ") != NULL);
    turn_into_pieces(&t, begin);
    expect_found(run_text(&t, "k73-strict.events.txt", &error), PART_choice, first + 1,
                 "segment by segment: ", "one range, coalesced: ");
    text_free(&t);
}

TEST_CASE(trace_check, missing_and_wrong_unmaps_are_found)
{
    struct text t;
    struct error error;
    recorded_events(&t);
    const unsigned n  = line_with(&t, 0, "N", "q1 c8961 write 98326+14");
    const unsigned at = line_with(&t, n, "DM", "0000:00:06.0 W");
    const unsigned du = line_with(&t, at, "DU", "0000:00:06.0 W");
    char *const whole = strdup(t.line[du]);
    set_line(&t, du, "");
    expect_found(run_text(&t, "k73-strict.events.txt", &error), PART_unmaps, at + 1,
                 "unmapped 6 x 1024", "unmapped 7 x 1024");
    memcpy(strstr(whole, " 1024 "), " 2048 ", 6);
    set_line(&t, du, whole);
    expect_found(run_text(&t, "k73-strict.events.txt", &error), PART_unmaps, at + 1,
                 "unmapped 2048, 6 x 1024", "unmapped 7 x 1024");
    free(whole);
    text_free(&t);
}

/* No line that maps or unmaps can be lost without a difference; of those, every
 * seventeenth. */
TEST_CASE(trace_check, no_lost_line_goes_unseen)
{
    static const char *const codes[] = { "DM", "TL", "DU", "I", "TD" };
    struct text t;
    struct error error;
    recorded_events(&t);
    struct trace_check *whole = run_text(&t, "k73-strict.events.txt", &error);
    REQUIRE(whole != NULL);
    unsigned nth = 0, planted = 0;
    for (unsigned i = 0; i < t.lines; i++)
        for (unsigned k = 0; k < sizeof codes / sizeof codes[0]; k++) {
            if (!has_code(t.line[i], codes[k]) || nth++ % 17 != 0)
                continue;
            char *const was = strdup(t.line[i]);
            set_line(&t, i, "");
            struct trace_check *c = run_text(&t, "k73-strict.events.txt", &error);
            const bool seen =
                c == NULL || c->agree < c->compared
                || c->call_reason[CHECK_unclaimed] > 0
                /* Or what was compared is known not to be: the IOMMU's own event stands
                 * for the unmap; a flush is gone as a whole. */
                || c->probe_lost > whole->probe_lost
                || (k == 3 && c->compared == whole->compared - 1
                    && strstr(was, " 0+0") != NULL)
                || c->call_reason[CHECK_begun] > whole->call_reason[CHECK_begun];
            if (!EXPECT(seen))
                printf("line %u: %s\n", i + 1, was);
            planted++;
            set_line(&t, i, was);
            free(was);
            free(c);
        }
    EXPECT(planted > 30);
    free(whole);
    text_free(&t);
}

/* Faults in the calls alone, and in text of ftrace. */
TEST_CASE(trace_check, faults_in_other_recordings_are_found)
{
    struct text t;
    struct error error;
    text_read(&t, path_of("linux/k612-strict.ftrace.txt.gz"));
    unsigned at = 0;
    while (strstr(t.line[at], "dma_map_sg:") == NULL)
        at++;
    char *out = strstr(t.line[at], "ents=1/1 dma_addrs={"); /* Two outputs of one. */
    REQUIRE(out != NULL);
    char line[4096];
    const int before = (int)(strstr(t.line[at], "dma_addrs=") - t.line[at]);
    snprintf(line, sizeof line,
             "%.*sdma_addrs={0xffe20000,0xffe30000} sizes={0x1000,0x1000} %s", before,
             t.line[at], strstr(t.line[at], "phys_addrs="));
    set_line(&t, at, line);
    struct trace_check *c = run_text(&t, "k612-strict.ftrace.txt", &error);
    REQUIRE(c != NULL);
    EXPECT_EQUAL(c->compared - c->agree + c->reason[CHECK_shape], 1);
    free(c);
    text_free(&t);

    text_read(&t, path_of("linux/k73-strict.oracle.txt.gz"));
    for (at = 0; strstr(t.line[at], " UNMAP ") == NULL;)
        at++;
    set_line(&t, at, "1 0t COHFREE 0000:00:05.0 1000 512 ->");
    c = run_text(&t, "k73-strict.oracle.txt", &error);
    REQUIRE(c != NULL);
    EXPECT_EQUAL(c->no_end, 1); /* A request of the calls ends when it is unmapped. */
    free(c);
    text_free(&t);
}

/* ---- The release and the mode
 * --------------------------------------------------------------- */

/* A recording under another name, and without the lines that have that part (NULL: whole).
 */
static struct trace_check *run_renamed(const char *recording, const char *name,
                                       const char *without,
                                       const struct check_chosen *chosen)
{
    struct text t;
    struct error error;
    text_read(&t, path_of(recording));
    for (unsigned i = 0; without != NULL && i < t.lines; i++)
        if (strstr(t.line[i], without) != NULL)
            set_line(&t, i, "");
    struct trace_check *c = run_text(&t, name, &error);
    if (c != NULL && chosen != NULL) {
        free(c);
        c = run_chosen(program_path(name), chosen, NULL, &error);
    }
    EXPECT_TEXT(c == NULL ? error.text : "", "");
    text_free(&t);
    return c;
}

static void expect_settings(struct trace_check *c, const char *settings)
{
    if (!EXPECT(c != NULL))
        return;
    EXPECT_TEXT(c->settings, settings);
    EXPECT(c->compared > 0);
    EXPECT_EQUAL(c->agree, c->compared);
    free(c);
}

TEST_CASE(trace_check, a_recording_without_a_telling_name_tells_itself)
{
    expect_settings(
        run_renamed("linux/k73-passthrough.ftrace.txt.gz", "mine.ftrace.txt", NULL, NULL),
        "Linux 7.3 by its calls, passthrough as recorded, --api iova");
    expect_settings(
        run_renamed("linux/k612-strict.ftrace.txt.gz", "mine.ftrace.txt", NULL, NULL),
        "Linux 6.12 by its calls, strict as recorded, --api sg");
    expect_settings(
        run_renamed("linux/k73-strict.events.txt.gz", "mine.events.txt", NULL, NULL),
        "Linux 7.3 by its calls, strict as recorded, --api iova");
    expect_settings(
        run_renamed("linux/k612-lazy.oracle.txt.gz", "mine.oracle.txt", NULL, NULL),
        "Linux 7.3 assumed, lazy as recorded, --api iova"); /* Pages one by one. */
    expect_settings(
        run_renamed("linux/k73-strict.oracle.txt.gz", "mine.oracle.txt", NULL, NULL),
        "Linux 7.3 assumed, strict as recorded, --api iova");
}

TEST_CASE(trace_check, what_is_assumed_is_said)
{
    static struct program_result r;
    struct trace_check *c =
        run_renamed("linux/k73-strict.events.txt.gz", "mine.events.txt", " FR ", NULL);
    REQUIRE(c != NULL);
    EXPECT_EQUAL(c->policy_from, CHECK_FROM_assumed);
    EXPECT(c->translated);
    expect_settings(c, "Linux 7.3 by its calls, strict assumed, --api iova");
    program_run(&r, "trace check @/mine.events.txt");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out,
               "mine.events.txt (Linux 7.3 by its calls, strict assumed, --api iova)\n"
               "  strict is assumed: lazy, which it could be as well, maps alike\n");
    program_run(&r, "trace check --json @/mine.events.txt");
    EXPECT_HAS(r.out, "\"release\": \"7.3\"");
    EXPECT_HAS(r.out, "\"release_from\": \"recording\"");
    EXPECT_HAS(r.out, "\"policy\": \"strict\"");
    EXPECT_HAS(r.out, "\"policy_from\": \"assumed\"");
}

/* Which is what that line promises: every figure is the same. */
TEST_CASE(trace_check, lazy_maps_as_strict_does)
{
    static const char *const name[] = { "linux/k73-strict.events.txt.gz",
                                        "linux/k612-strict.ftrace.txt.gz",
                                        "linux/k73-lazy-dac.oracle.txt.gz" };
    for (unsigned i = 0; i < 3; i++) {
        struct trace_check *c[2];
        struct error error;
        for (unsigned lazy = 0; lazy < 2; lazy++) {
            const struct check_chosen chosen = { .policy = lazy ? "lazy" : "strict" };
            c[lazy] = run_chosen(path_of(name[i]), &chosen, NULL, &error);
            REQUIRE(c[lazy] != NULL);
            EXPECT_TEXT(c[lazy]->policy, chosen.policy);
            EXPECT_EQUAL(c[lazy]->policy_from, CHECK_FROM_user);
        }
        EXPECT_EQUAL(memcmp(c[0]->row, c[1]->row, sizeof c[0]->row), 0);
        EXPECT_EQUAL(c[0]->agree, c[1]->agree);
        free(c[0]);
        free(c[1]);
    }
}

/* What is seen is more than a name, which may be that of any folder. */
TEST_CASE(trace_check, a_name_that_is_wrong_is_told_of)
{
    expect_settings(run_renamed("linux/k73-passthrough.ftrace.txt.gz",
                                "k73-strict.ftrace.txt", NULL, NULL),
                    "Linux 7.3, passthrough as recorded, though named strict, --api iova");
    expect_settings(
        run_renamed("linux/k73-strict.events.txt.gz", "k73-lazy.events.txt", NULL, NULL),
        "Linux 7.3, strict as recorded, though named lazy, --api iova");
    expect_settings(
        run_renamed("linux/k73-strict.events.txt.gz", "k73-lazy.events.txt", " FR ", NULL),
        "Linux 7.3, lazy, --api iova"); /* Nothing speaks against it. */
    expect_settings(run_renamed("linux/k73-strict.events.txt.gz",
                                "k73-passthrough.events.txt", " FR ", NULL),
                    "Linux 7.3, strict assumed, though named passthrough, --api iova");
}

/* The user has the last word, also where it is wrong. */
TEST_CASE(trace_check, the_user_says_the_mode)
{
    const struct check_chosen chosen = { .policy = "passthrough" };
    static struct program_result r;
    struct trace_check *c = run_renamed("linux/k73-strict.events.txt.gz",
                                        "k73-strict.events.txt", NULL, &chosen);
    REQUIRE(c != NULL);
    EXPECT_TEXT(c->settings, "Linux 7.3, passthrough, --api iova");
    EXPECT(c->agree < c->compared); /* Ranges are not to be had. */
    free(c);
    program_run(&r, "trace check --policy passthrough " TEST_SOURCE_DIR
                    "/traces/linux/k73-strict.events.txt.gz");
    EXPECT_EQUAL(r.status, 1);
    EXPECT_HAS(r.out, "(Linux 7.3, passthrough, --api iova)");
}

/* ---- The command
 * ---------------------------------------------------------------------------- */

TEST_CASE(trace_check, command_prints_tables_and_a_sum)
{
    static struct program_result r;
    program_run(&r, "trace check " TEST_SOURCE_DIR "/traces/linux");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_TEXT(r.err, "");
    EXPECT_HAS(r.out, "k73-strict.events.txt.gz (Linux 7.3, strict, --api iova)");
    EXPECT_HAS(r.out, "segment by segment");
    EXPECT_HAS(r.out, "nothing to compare: no request of the NVMe driver");
    EXPECT_HAS(r.out, "agree (100.000 %)");
    program_run(&r, "trace check --json " TEST_SOURCE_DIR
                    "/traces/linux/k73-strict.events.txt.gz");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "\"share_percent\": 100.0");
    EXPECT_HAS(r.out, "\"mapped_as\": \"segment by segment\"");
    program_run(&r, "trace check --set linux.release=6.12 --show 1 " TEST_SOURCE_DIR
                    "/traces/linux/k73-strict.events.txt.gz");
    EXPECT_EQUAL(r.status, 1);
    EXPECT_HAS(r.err, "in 1 recording less than 99 % of the requests agree\n");
    EXPECT_HAS(r.out, "k73-strict.events.txt.gz, line ");
}

/* A folder may hold other things; a file that is named may not be another thing. */
TEST_CASE(trace_check, other_files_of_a_folder_are_counted_and_left_alone)
{
    static struct program_result r;
    program_run(&r, "--version; mkdir -p @/mixed; cp " TEST_SOURCE_DIR
                    "/traces/linux/k73-strict.events.txt.gz @SAMPLE/LICENSE* @/mixed; "
                    "echo text >@/mixed/other.trace; "
                    "printf '### a\\n1 0t I 259:0 R 0+8\\n' >@/mixed/none.events.txt");
    program_run(&r, "trace check @/mixed");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_TEXT(r.err, "");
    EXPECT_HAS(r.out, "2 other files have no calls of the DMA API that map\n");
    program_run(&r, "trace check @/mixed/other.trace");
    EXPECT_EQUAL(r.status, 2);
}

TEST_CASE(trace_check, mistakes_give_one_line)
{
    static struct program_result r;
    static const struct {
        const char *arguments, *says;
    } all[] = {
        { "trace check", "trace check: expected PATH..., got 0 arguments" },
        { "trace check @/none.txt", "none.txt: " },
        { "trace check @SAMPLE/tiny.iovatrace", "tiny.iovatrace: expected a recording of "
                                                "block requests and calls of the DMA API" },
        { "trace check @SAMPLE/nvme-mixed.iolog.gz", "expected a recording of block" },
        { "trace check @SAMPLE/licences", "licences: expected recordings (*.events.txt" },
        { "trace check --set linux.release=5.0 @SAMPLE/linux-nvme.events.txt.gz",
          "linux.release" },
        { "trace check --show 1000 @SAMPLE/linux-nvme.events.txt.gz",
          "--show: expected 0" },
        { "trace check --policy damn @SAMPLE/linux-nvme.events.txt.gz",
          "--policy: expected strict, lazy or passthrough, got 'damn'" },
        { "trace check " TEST_SOURCE_DIR "/traces/linux/k73-strict-vnet-ats.oracle.txt.gz",
          "trace check: expected requests of the NVMe driver, found none to compare" },
    };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        program_run(&r, all[i].arguments);
        EXPECT_EQUAL(r.status, 2);
        EXPECT_HAS(r.err, all[i].says);
        EXPECT(strchr(r.err, '\n') == r.err + strlen(r.err) - 1);
    }
}

/* A line that is broken is named. */
TEST_CASE(trace_check, broken_lines_are_named)
{
    static const struct {
        const char *name, *text, *says;
    } all[] = {
        { "x.events.txt", "### a\n1 0t DM 0000:00:05.0 R fff 4096\n",
          "line 2: the event is not understood" },
        { "x.events.txt", "### a\n1 0t N nvme0 q1 c1 read 0+8\n2 0t TL s0 f 0 0 x R\n",
          "line 3: the event is not understood" },
        { "x.events.txt",
          "### a\n1 0t N nvme0 q1 c1 read 0+8\n2 0t DS d R addr=1 len=1,2 "
          "phys=1\n",
          "line 3: the event is not understood" },
        { "x.events.txt", "### a\n1 0t N nvme0 q1 c1 read 0+8\n2 0t I 259:0 R 0+8\n",
          "expected calls of the DMA API that map, found none" },
        { "x.oracle.txt", "### a\n1 0t MAP 0000:00:05.0 R phys=1000 len=4096\n",
          "line 2: the outcome of the map is missing" },
        { "x.ftrace.txt",
          "# tracer: nop\n a-1 [000] ..... 1.000000: dma_map_phys: d "
          "dir=TO_DEVICE size=4096\n",
          "line 2: dma_map_phys: its fields are not understood" },
        { "x.ftrace.txt",
          "# tracer: nop\n a-1 [000] ..... 1.000000: dma_iova_link: "
          "(dma_iova_link+0x4/0x350) state=0x1\n",
          "line 2: dma_iova_link: the probe must record phys= and size=" },
        { "x.ftrace.txt", "# tracer: nop\nCPU:1 [LOST 12 EVENTS]\n",
          "12 events were lost: nothing can be compared" },
    };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct error error;
        const char *const path = program_path(all[i].name);
        FILE *out              = fopen(path, "w");
        CHECK(out != NULL && fputs(all[i].text, out) >= 0 && fclose(out) == 0);
        struct trace_check *c = run(path, NULL, NULL, &error);
        EXPECT(c == NULL);
        EXPECT_HAS(error.text, all[i].says);
        EXPECT_HAS(error.text, all[i].name);
        free(c);
    }
}
