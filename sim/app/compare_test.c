/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of policies: which are best, and the command as a user meets it. */
#include "sim/app/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/test/program.h"
#include "sim/test/shim.h"

/* ---- Which are best
 * ---------------------------------------------------------------------- */

static struct compare_job job[6];

static void put(unsigned i, double reach, double cycles, double iops)
{
    job[i] = (struct compare_job){ .policy = &flush_strict, .outcome = MACHINE_RAN };
    job[i].result.translates                         = !isinf(reach);
    job[i].metric[METRIC_ID_exposure_page_us_per_io] = isinf(reach) ? 0.0 : reach / 4.0;
    job[i].metric[METRIC_ID_pool_page_us_per_io]     = isinf(reach) ? 0.0 : reach * 0.75;
    job[i].metric[METRIC_ID_cpu_cycles_per_io]       = cycles;
    job[i].metric[METRIC_ID_iops]                    = iops;
}

TEST_CASE(compare, the_best_are_those_that_no_other_beats)
{
    put(0, 0.0, 9000.0, 100.0);
    put(1, 8.0, 7000.0, 90.0);
    put(2, 8.0, 7000.0, 90.0);       /* Equals are both best, or neither. */
    put(3, 16.0, 8000.0, 120.0);     /* Dearer and farther than 1, but faster. */
    put(4, INFINITY, 1000.0, 110.0); /* Cheapest, with all of memory in reach. */
    put(5, 0.0, 1.0, 999.0);         /* Would beat them all, but did not run. */
    job[5].outcome = MACHINE_REFUSED;
    compare_mark_best(job, 6);
    static const bool cheap[] = { true, true, true, false, true, false };
    static const bool fast[]  = { true, false, false, true, false, false };
    for (unsigned i = 0; i < 6; i++) {
        EXPECT_EQUAL(job[i].cheap, cheap[i]);
        EXPECT_EQUAL(job[i].fast, fast[i]);
    }
}

static void expect_order(enum metric_id by, const char *wanted)
{
    struct compare_job *order[6];
    char got[8] = "";
    for (unsigned i = 0; i < 6; i++)
        order[i] = &job[i];
    compare_sort(order, 6, by);
    for (unsigned i = 0; i < 6; i++)
        got[i] = (char)('0' + (order[i] - job));
    EXPECT_TEXT(got, wanted);
}

TEST_CASE(compare, rows_are_sorted_as_the_metric_is_judged_and_equals_stay_in_order)
{
    put(0, 0.0, 9000.0, 100.0);
    put(1, 8.0, 7000.0, 90.0);
    put(2, 8.0, 7000.0, 90.0);
    put(3, 16.0, 8000.0, 120.0);
    put(4, INFINITY, 1000.0, 110.0);
    put(5, 0.0, 1.0, 999.0);
    job[5].outcome = MACHINE_REFUSED;
    expect_order(METRIC_ID_cpu_cycles_per_io, "412305");
    expect_order(METRIC_ID_iops, "340125");
}

/* ---- The command
 * ------------------------------------------------------------------------- */

#define MIXED "@SAMPLE/nvme-randrw-mixed.iovatrace --limit 100"
#define THREE " --policies lazy,strict,passthrough"

static struct program_result r, again;

static void expect_refusal(const char *arguments, int status, const char *part)
{
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, status);
    EXPECT_TEXT(r.out, "");
    EXPECT_HAS(r.err, part);
    const char *newline = strchr(r.err, '\n');
    EXPECT(newline != NULL && newline[1] == '\0');
}

TEST_CASE(compare, mistakes_get_one_clear_line)
{
    expect_refusal("compare", 2, "expected a trace");
    expect_refusal("compare " MIXED " --bogus", 2, "--bogus");
    expect_refusal("compare " MIXED " --policies strict,foo", 2, "--policies: 'foo'");
    expect_refusal("compare " MIXED " --policies ,", 2, "--policies: the list is empty");
    expect_refusal("compare " MIXED " --sort foo", 2,
                   "--sort: 'foo': no such metric; docs");
    expect_refusal("compare " MIXED " --api all", 2, "--api: expected iova");
    expect_refusal("compare " MIXED " --preset foo", 2, "preset 'foo'");
    expect_refusal("compare " MIXED " --set attacker.strategy=x", 2, "attacker.strategy");
    expect_refusal("compare " MIXED " --plot @/refused.png", 2, "ends in .svg");
    expect_refusal("compare " MIXED " --plot @/no/refused.svg", 2, "cannot write");
    expect_refusal("compare " MIXED " --processes 0", 2, "--processes: expected 1 to 64");
    expect_refusal("compare @/missing.iovatrace", 3, "missing.iovatrace");
    expect_refusal("compare " MIXED " --set linux.release=6.12", 2, "no IOVA API");
    EXPECT_EQUAL(program_files("refused."), 0);
}

TEST_CASE(compare, the_same_bytes_come_out_whatever_the_number_of_processes)
{
    program_run(&r, "compare " MIXED THREE " --attacker --processes 1 --csv -");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_TEXT(r.err, "");
    program_run(&again, "compare " MIXED THREE " --attacker --processes 3 --csv -");
    EXPECT_EQUAL(again.status, 0);
    EXPECT_TEXT(again.out, r.out);
    EXPECT(strncmp(r.out, "policy,promise,best_cycles,", 27) == 0);
    EXPECT_HAS(r.out, "\npassthrough,none,1,1,inf,100,");
    EXPECT_HAS(r.out, "\nstrict,nothing stale,1,1,0,100,");
    const char *passthrough = strstr(r.out, "\npassthrough,");
    EXPECT(strstr(r.out, "\nstrict,") > passthrough); /* Cheapest first. */
    program_run(&r, "compare " MIXED THREE " --sort exposure_page_us_per_io --csv -");
    EXPECT(strstr(r.out, "\nlazy,") > strstr(r.out, "\nstrict,"));
}

/* What replay says of a policy is what compare says. */
TEST_CASE(compare, a_row_is_what_a_replay_of_its_policy_gives)
{
    char text[64];
    program_run(&r, "replay " MIXED " --api streaming --policy strict --json -");
    const char *cycles = strstr(r.out, "\"cpu_cycles_per_io\": {");
    REQUIRE(cycles != NULL);
    const double wanted = strtod(strstr(cycles, "value") + 8, NULL);
    program_run(&again, "compare " MIXED " --api streaming --policies strict --csv -");
    snprintf(text, sizeof text, ",%.9g,", wanted);
    EXPECT_HAS(again.out, text);
}

/* Of a metric in a row of what --csv has written; -1: there is none. */
static double csv_value(const char *csv, const char *row, const char *metric)
{
    const char *line = csv + strcspn(csv, "\n") + 1;
    while (strncmp(line, row, strlen(row)) != 0 && *line != '\0')
        line += strcspn(line, "\n") + 1;
    for (const char *name = csv; *name != '\n'; name += strcspn(name, ",\r\n") + 1) {
        const size_t n = strcspn(name, ",\r\n");
        if (n == strlen(metric) && strncmp(name, metric, n) == 0)
            return strtod(line, NULL);
        if (name[n] != ',')
            break;
        line += strcspn(line, ",") + 1;
    }
    return -1.0;
}

/* Pages that were lent in part show the rest of themselves under strict, too: that is no
 * less wrong than what is stale. Each access that the attacker got through is in one
 * metric. */
TEST_CASE(compare, what_a_hostile_device_reaches_beside_a_buffer_is_wrong)
{
    static const char *const metric[] = { "stale_hits", "attack_passed_pool",
                                          "attack_passed_other",
                                          "attack_passed_untranslated" };
    static const char *const policy[] = { "strict,", "damn,", "passthrough," };
    char *line, text[64];
    program_run(&again,
                "compare @SAMPLE/nvme-unaligned-4608.iovatrace --attacker --limit 200 "
                "--policies strict,damn,passthrough --csv @/wrong.csv");
    size_t bytes;
    char *csv = program_file(program_path("wrong.csv"), &bytes);
    REQUIRE(csv != NULL);
    EXPECT(csv_value(csv, "strict,", "attack_passed_other") > 0.0);
    EXPECT(csv_value(csv, "damn,", "attack_passed_pool") > 0.0);
    EXPECT(csv_value(csv, "passthrough,", "attack_passed_untranslated") > 0.0);
    for (unsigned i = 0; i < 3; i++) {
        double wrong = 0.0;
        for (unsigned m = 0; m < 4; m++)
            wrong += csv_value(csv, policy[i], metric[m]);
        snprintf(text, sizeof text, " %.*s ", (int)strlen(policy[i]) - 1, policy[i]);
        line = strstr(again.out, text);
        REQUIRE(line != NULL);
        snprintf(text, sizeof text, " %.0f ", wrong); /* The last figure of the row. */
        EXPECT(wrong < 1000.0 && strstr(line, text) < line + strcspn(line, "\n"));
        EXPECT_HAS(line, text);
    }
    free(csv);
}

/* Each process reads for itself, of one pipe that can be read once. */
TEST_CASE(compare, a_pipe_gives_what_its_file_gives)
{
    program_run(&r, "compare @SAMPLE/nvme-mixed.iolog.gz --limit 100" THREE " --csv -");
    EXPECT_EQUAL(r.status, 0);
    program_run(&again,
                "trace convert @SAMPLE/nvme-mixed.iolog.gz --to csv - | " TEST_BINARY_DIR
                "/iovasim compare - --limit 100" THREE " --csv -");
    EXPECT_EQUAL(again.status, 0);
    EXPECT_TEXT(again.out, r.out);
    program_run(&again, "compare - --limit 100" THREE " --csv - --processes 3 "
                        "--json @/piped.json < @SAMPLE/nvme-mixed.iolog.gz");
    EXPECT_EQUAL(again.status, 0);
    EXPECT_TEXT(again.out, r.out);
}

TEST_CASE(compare, a_generator_has_a_result_like_a_file)
{
    program_run(&r, "compare gen:randread --limit 100" THREE " --json @/made.json");
    EXPECT_EQUAL(r.status, 0);
    program_run(&again,
                "compare gen:randread --limit 100" THREE " --seed 1 --json @/b.json");
    size_t bytes;
    char *a = program_file(program_path("made.json"), &bytes);
    char *b = program_file(program_path("b.json"), &bytes);
    REQUIRE(a != NULL && b != NULL);
    const char *first = strstr(a, "\"sha256\": \""), *second = strstr(b, "\"sha256\": \"");
    REQUIRE(first != NULL && second != NULL);
    EXPECT(strncmp(first, second, 76) != 0); /* Another seed, another trace. */
    free(a);
    free(b);
}

#define RPING "@SAMPLE/rdma-rping.verbs.txt.gz"

TEST_CASE(compare, block_requests_and_rdma_work_have_a_table_each)
{
    static struct program_result rdma;
    program_run(&r, "compare " MIXED THREE);
    program_run(&rdma, "compare " RPING " --limit 100" THREE);
    program_run(&again, "compare " RPING " " MIXED THREE);
    EXPECT_EQUAL(again.status, 0);
    EXPECT_TEXT(again.err, "");
    EXPECT(strncmp(again.out, "block requests\n", 15) == 0);
    EXPECT_HAS(again.out, r.out);
    EXPECT_HAS(again.out, "\nRDMA work\n");
    EXPECT_HAS(again.out, rdma.out);
    expect_refusal("compare " RPING " " MIXED " --csv @/refused.csv", 2,
                   "expected traces of block requests or of RDMA work, got both");
    expect_refusal("compare " RPING " " MIXED " --json @/refused.json", 2, "got both");
    EXPECT_EQUAL(program_files("refused."), 0);
}

TEST_CASE(compare, every_policy_has_its_row_and_its_point)
{
    char name[64];
    size_t bytes;
    program_run(&r, "compare " MIXED " --progress never --plot @/all.svg");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_TEXT(r.err, "");
    char *plot = program_file(program_path("all.svg"), &bytes);
    REQUIRE(plot != NULL);
    EXPECT(strncmp(plot, "<svg ", 5) == 0);
    EXPECT_HAS(plot, "</svg>\n");
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        snprintf(name, sizeof name, "\n%s did not run: ", flush_table[i]->name);
        if (strstr(r.out, name) != NULL)
            continue; /* It needs hardware that this preset has not got. */
        snprintf(name, sizeof name, " %s ", flush_table[i]->name);
        EXPECT_HAS(r.out, name);
        snprintf(name, sizeof name, ">%s</text>", flush_table[i]->name);
        EXPECT_HAS(plot, name);
    }
    for (const char *line = r.out; *line != '\0'; line += strcspn(line, "\n") + 1)
        EXPECT(strcspn(line, "\n") <= 80);
    free(plot);
}

/* What cannot run is told, and the others do. */
TEST_CASE(compare, a_policy_that_cannot_run_is_listed_with_the_reason)
{
    program_run(&r, "compare " MIXED THREE " --set linux.untrusted=1");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, " strict ");
    EXPECT_HAS(r.out, "lazy did not run: an untrusted device (linux.untrusted) is always");
    expect_refusal("compare " MIXED " --policies strict --set nvme.queues=1", 2,
                   "strict: nvme.queues: expected at least 2");
}
