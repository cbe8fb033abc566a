/* SPDX-License-Identifier: Apache-2.0 */
/* The gate as CI meets it: what passes, what does not, and what it is put down to. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

#define REPLAY                                                                             \
    "replay @SAMPLE/nvme-randrw-mixed.iovatrace --limit 60 --host direct "                 \
    "--policy strict,lazy "

static struct program_result r;

static void run(const char *arguments, int status)
{
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, status);
}

static json_t *load(const char *name)
{
    json_t *document = json_load_file(program_path(name), 0, NULL);
    CHECK(document != NULL);
    return document;
}

static void save(json_t *document, const char *name)
{
    CHECK(json_dump_file(document, program_path(name), JSON_INDENT(1)) == 0);
    json_decref(document);
}

static void put(const char *name, const char *text)
{
    FILE *out = fopen(program_path(name), "w");
    CHECK(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0);
}

/* One line on standard error, which has part in it. */
static void refused(const char *arguments, const char *part)
{
    run(arguments, 2);
    EXPECT_HAS(r.err, part);
    const char *newline = strchr(r.err, '\n');
    EXPECT(newline != NULL && newline[1] == '\0');
}

static void make_baseline(void)
{
    static bool made;
    if (!made)
        run(REPLAY "--json @/base.json", 0);
    made = true;
}

TEST_CASE(gate, the_same_result_passes_and_needs_no_baseline_to_begin_with)
{
    make_baseline();
    run("gate @/base.json @/base.json", 0);
    EXPECT_HAS(r.out, "## iovasim gate: passed");
    EXPECT_HAS(r.out, "6 runs, ");
    run("gate @/kept.json @/base.json --bless", 0);
    run("gate @/kept.json @/base.json", 0);
    EXPECT_EQUAL(program_files("kept.json"), 1);
}

TEST_CASE(gate, the_first_baseline_has_nothing_to_be_compared_with)
{
    make_baseline();
    run("--version >/dev/null; rm -f @/first.json; " TEST_BINARY_DIR
        "/iovasim gate @/first.json @/base.json --bless",
        0);
    EXPECT(strncmp(r.out, program_path("base.json"), 4) == 0); /* No blank line before. */
}

TEST_CASE(gate, a_result_from_standard_input_becomes_the_baseline)
{
    make_baseline();
    for (unsigned i = 0; i < 2; i++) { /* Where there is none, and where there is one. */
        run("gate @/piped.json - --bless < @/base.json", 0);
        EXPECT_HAS(r.out, "- is the baseline now.");
    }
    EXPECT_HAS(r.out, "## iovasim gate: passed");
    run("gate @/piped.json - < @/base.json", 0);
}

/* Before the result is read: the one here does not exist. */
TEST_CASE(gate, what_cannot_be_written_is_said_before_the_work)
{
    run("gate @/none.json @/none.json --summary @/nowhere/gate.md", 2);
    EXPECT_HAS(r.err, "nowhere/gate.md: cannot write");
    EXPECT_TEXT(r.out, "");
    run("gate @/nowhere/base.json @/none.json --bless", 2);
    EXPECT_HAS(r.err, "nowhere/base.json: cannot write");
}

/* The configuration says what it said; the model does something else. */
static void plant(const char *of, const char *set, const char *name)
{
    char arguments[256];
    json_t *base = load(of);
    snprintf(arguments, sizeof arguments, REPLAY "--json @/changed.json %s", set);
    run(arguments, 0);
    json_t *changed = load("changed.json");
    json_object_set(changed, "config", json_object_get(base, "config"));
    json_decref(base);
    save(changed, name);
}

TEST_CASE(gate, a_dearer_primitive_is_found_named_and_put_down_to_its_owner)
{
    make_baseline();
    plant("base.json", "--set cost.call_cycles=16", "planted.json");
    run("gate @/base.json @/planted.json --format junit=@/gate.xml --summary @/gate.md", 1);
    EXPECT_HAS(r.out, "regression");
    EXPECT_HAS(r.out, "What grew in most runs\n\n- dma_api in ");
    EXPECT_HAS(r.out, ": in 6 of 6 runs, +");
    EXPECT_HAS(r.out, "| `map_cycles_per_io` | nvme-randrw-mixed/vtd-server/");
    size_t bytes;
    char *xml = program_file(program_path("gate.xml"), &bytes);
    char *md  = program_file(program_path("gate.md"), &bytes);
    REQUIRE(xml != NULL && md != NULL);
    EXPECT_HAS(xml, "<failure message=\"map_cycles_per_io cycles: ");
    EXPECT_TEXT(md, r.out);
    free(xml);
    free(md);
    run("diff @/base.json @/planted.json --run strict/iova", 0);
    EXPECT_HAS(r.out, "the same configuration");
    EXPECT_HAS(r.out, "dma_api in map ");
    EXPECT(strstr(r.out, "lazy") == NULL);
}

/* On one CPU nobody waits for anybody, so that nothing else moves with it. */
TEST_CASE(gate, two_tenths_of_a_percent_of_a_primitive_are_put_down_to_it_alone)
{
    run(REPLAY "--cpus 1 --api iova --set cost.map_range_cycles=500 --json @/one.json", 0);
    plant("one.json", "--cpus 1 --api iova --set cost.map_range_cycles=501", "dearer.json");
    run("gate @/one.json @/dearer.json", 1);
    EXPECT_HAS(r.out, "## iovasim gate: 2 regressions\n");
    EXPECT_HAS(r.out, "What grew in most runs\n\n- pt_map in map: in 2 of 2 runs, +0.1");
    /* Once for each of the 302 ranges of 60 I/Os. */
    EXPECT_HAS(r.out, "`map_cycles_per_io` of nvme-randrw-mixed/vtd-server/strict/iova: "
                      "pt_map in map +5.033 cycles (100 % of the change)");
    plant("one.json", "--cpus 1 --api iova --set cost.map_range_cycles=500", "dearer.json");
    run("gate @/one.json @/dearer.json", 0);
}

/* 0.2 % more in one owner of one run, and all sums follow. */
static void perturb(double factor, const char *name)
{
    json_t *base        = load("base.json");
    json_t *run0        = json_array_get(json_object_get(base, "runs"), 0);
    json_t *phase       = json_object_get(json_object_get(run0, "cpu_phases"), "map");
    const double ios    = json_number_value(json_object_get(
           json_object_get(json_object_get(run0, "software"), "replay"), "record"));
    const double before = json_number_value(json_object_get(phase, "pt_map"));
    json_object_set_new(phase, "pt_map", json_integer((json_int_t)(before * factor)));
    const double added = ((double)(json_int_t)(before * factor) - before) / ios;
    static const char *const metric[] = { "map_cycles_per_io", "cpu_cycles_per_io" };
    for (unsigned i = 0; i < 2; i++) {
        json_t *m = json_object_get(json_object_get(run0, "metrics"), metric[i]);
        json_object_set_new(
            m, "value", json_real(json_number_value(json_object_get(m, "value")) + added));
    }
    save(base, name);
}

TEST_CASE(gate, two_tenths_of_a_percent_in_one_owner_are_enough)
{
    make_baseline();
    perturb(1.002, "perturbed.json");
    run("gate @/base.json @/perturbed.json", 1);
    EXPECT_HAS(r.out, "## iovasim gate: 1 regression\n");
    EXPECT_HAS(r.out, "| +0.1");
    EXPECT_HAS(r.out, "| `map_cycles_per_io` | nvme-randrw-mixed/vtd-server/strict/iova |");
    EXPECT_HAS(r.out, "pt_map in map +");
    EXPECT_HAS(r.out, "(100 % of the change)");
    perturb(1.0002, "perturbed.json");
    run("gate @/base.json @/perturbed.json", 0);
    perturb(0.99, "perturbed.json");
    run("gate @/base.json @/perturbed.json", 0);
    EXPECT_HAS(r.out, "### Better: ");
}

TEST_CASE(gate, what_was_run_must_be_the_same)
{
    make_baseline();
    run(REPLAY "--json @/other.json --set iotlb.sets=32", 0);
    run("gate @/base.json @/other.json", 2);
    EXPECT_HAS(r.out, "## iovasim gate: not comparable");
    EXPECT_HAS(r.out, "- iotlb.sets: 16 -> 32 (all runs)");
    EXPECT(strstr(r.out, "| change |") == NULL); /* No number stands there. */
    put("ignore.yaml", "ignore_parameters: [iotlb.*]\nseverity: ignore\n");
    run("gate @/base.json @/other.json --config @/ignore.yaml", 0);
    run(REPLAY "--json @/other.json --seed 4", 0);
    run("gate @/base.json @/other.json", 2);
    EXPECT_HAS(r.out, "- seed: 0 -> 4");
    run("replay @SAMPLE/nvme-randrw-mixed.iovatrace --limit 59 --host direct --policy "
        "strict,lazy --json @/other.json",
        0);
    run("gate @/base.json @/other.json", 2);
    EXPECT_HAS(r.out, "- trace 1 records: 60 -> 59");
    run("diff @/base.json @/other.json --run lazy/sg --top 2", 0);
    EXPECT_HAS(r.out, "trace 1 records: 60 -> 59");
}

TEST_CASE(gate, what_is_missing_is_not_passed_over)
{
    make_baseline();
    json_t *fewer = load("base.json");
    json_array_remove(json_object_get(fewer, "runs"), 1);
    json_t *metrics =
        json_object_get(json_array_get(json_object_get(fewer, "runs"), 0), "metrics");
    json_object_del(metrics, "iops");
    save(fewer, "fewer.json");
    run("gate @/base.json @/fewer.json", 2);
    EXPECT_HAS(r.out, "### Missing in ");
    EXPECT_HAS(r.out, "- nvme-randrw-mixed/vtd-server/strict/streaming\n");
    EXPECT_HAS(r.out, "- nvme-randrw-mixed/vtd-server/strict/iova/iops\n");
    put("allow.yaml", "allow_missing: ['*/streaming', '*/iops']\n");
    run("gate @/base.json @/fewer.json --config @/allow.yaml", 0);
    run("gate @/fewer.json @/base.json", 0); /* What is new is said. */
    EXPECT_HAS(r.out, "2 runs or metrics are new");
}

/* A parameter that only one side knows has no other value there. */
TEST_CASE(gate, a_parameter_that_is_new_is_named_and_does_not_stop)
{
    make_baseline();
    json_t *newer = load("base.json");
    json_object_set_new(json_object_get(json_object_get(newer, "config"), "iotlb"), "new",
                        json_integer(3));
    save(newer, "newer.json");
    run("gate @/base.json @/newer.json", 0);
    EXPECT_HAS(r.out, "- iotlb.new: 3, only the second knows it (all runs)");
}

TEST_CASE(gate, rules_say_how_much_and_in_which_direction)
{
    make_baseline();
    perturb(1.01, "perturbed.json");
    put("rules.yaml", "metrics:\n  - { match: '*/map_cycles_per_io', tolerance: 5 % }\n"
                      "  - { match: cpu_*, severity: warn }\n");
    run("gate @/base.json @/perturbed.json --config @/rules.yaml", 0);
    EXPECT_HAS(r.out, "### Worse, for information: 1");
    EXPECT(strstr(r.out, "Rules that no metric") == NULL);
    put("rules.yaml", "metrics:\n  - { match: 'cycles_*', tolerance: 5 % }\n"
                      "  - { match: '*', tolerance: 9 % }\n  - { match: ios }\n");
    run("gate @/base.json @/perturbed.json --config @/rules.yaml", 0);
    EXPECT_HAS(r.out, "\nRules that no metric went by: cycles_*, ios.\n");
    put("rules.yaml", "metrics:\n  - { match: '*_cycles_per_io', floor: 1e9 }\n");
    run("gate @/base.json @/perturbed.json --config @/rules.yaml", 0);
    put("rules.yaml", "better: same\n");
    perturb(0.99, "perturbed.json");
    run("gate @/base.json @/perturbed.json --config @/rules.yaml", 1);
    put("rules.yaml", "metrics:\n  - { match: '*cycles*', better: higher }\n");
    run("gate @/base.json @/perturbed.json --config @/rules.yaml", 1);
}

TEST_CASE(gate, bad_input_gets_one_line_and_status_2)
{
    make_baseline();
    put("bad.json", "{\"schema\": \n 5");
    refused("gate @/bad.json @/base.json", "bad.json: line 2, column 2: not JSON: ");
    refused("gate @/none.json @/base.json", "none.json: cannot open");
    refused("gate @/base.json @/bad.json --bless", "bad.json: line 2");
    refused("gate @/base.json", "expected a baseline and a result");
    static const char *const config[][2] = {
        { "metrics: 5\n", ":1: metrics: expected a list of rules" },
        { "\ntolerance: -1\n", ":2: tolerance: expected a number from 0" },
        { "tolerance: lots\n", "got 'lots'" },
        { "metrics:\n - { tolerance: 1 }\n", ":2: a rule: expected match: PATTERN" },
        { "metrics:\n - { match: a, better: up }\n", "better: expected one of as_metric" },
        { "bogus: 1\n", "'bogus': expected tolerance" },
        { "floor: 1\nfloor: 2\n", ":2: the file: 'floor' stands there twice" },
        { "a: [\n", "not YAML" },
        { "", "the file is empty" },
        { "- 1\n", "expected `key: value` lines" },
        { "allow_missing: [[a]]\n", "allow_missing: expected one word" },
    };
    for (unsigned i = 0; i < sizeof config / sizeof config[0]; i++) {
        put("bad.yaml", config[i][0]);
        refused("gate @/base.json @/base.json --config @/bad.yaml", config[i][1]);
    }
}

TEST_CASE(suite, cases_of_a_file_become_one_result)
{
    put("suite.yaml", "defaults: { trace: tiny.iovatrace, policy: strict }\n"
                      "cases:\n"
                      "  - { name: one, api: [iova, sg] }\n"
                      "  - { name: two, api: iova, set: { iotlb.sets: 4 } }\n");
    run("--version >/dev/null; cp @SAMPLE/tiny.iovatrace @/ && " TEST_BINARY_DIR
        "/iovasim suite run @/suite.yaml --json @/suite.json --format csv=- -j 2",
        0);
    EXPECT_HAS(r.out, "\r\none,vtd-server,strict,iova,2,0,3,");
    EXPECT_HAS(r.out, "\r\none,vtd-server,strict,sg,");
    EXPECT_HAS(r.out, "\r\ntwo,vtd-server,strict,iova,");
    run("gate @/suite.json @/suite.json", 0);
    EXPECT_HAS(r.out, ": 3 runs, ");
    run("suite run @/suite.yaml --json @/again.json -j 1", 0);
    size_t bytes, again;
    char *a = program_file(program_path("suite.json"), &bytes);
    char *b = program_file(program_path("again.json"), &again);
    EXPECT(bytes == again && memcmp(a, b, bytes) == 0);
    free(a);
    free(b);
}

TEST_CASE(suite, mistakes_are_named_with_their_line)
{
    static const char *const file[][2] = {
        { "cases:\n  - { name: a }\n", ":2: case a: expected a trace" },
        { "cases:\n  - { trace: x }\n", ":2: a case: expected a name" },
        { "cases: []\n", "cases: the list is empty" },
        { "cases:\n  - { name: a, trace: x, tarce: y }\n", ":2: 'tarce': expected name" },
        { "defaults: { sets: 1 }\ncases: []\n", "'sets': expected trace" },
        { "cases:\n  - { name: a, trace: tiny.iovatrace, policy: bogus }\n",
          ":2: case a: --policy: 'bogus' is not known" },
        { "cases:\n  - name: a\n    trace: tiny.iovatrace\n    set: { iotlb.set: 1 }\n",
          ":2: case a: --set: iotlb.set: no such parameter" },
        { "cases:\n  - { name: a, trace: t }\n  - { name: a, trace: t }\n",
          ":3: a second case 'a'" },
    };
    for (unsigned i = 0; i < sizeof file / sizeof file[0]; i++) {
        put("bad.yaml", file[i][0]);
        refused("suite run @/bad.yaml --json @/never.json", file[i][1]);
    }
    put("bad.yaml", "cases:\n  - { name: a, trace: missing }\n");
    run("suite run @/bad.yaml --json @/never.json", 3);
    EXPECT_HAS(r.err, "case a: ");
    EXPECT_EQUAL(program_files("never"), 0);
}
