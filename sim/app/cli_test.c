/* SPDX-License-Identifier: Apache-2.0 */
/* The program as a user meets it: what it prints, writes and refuses. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/config.h"
#include "sim/base/check.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

#define SINGLE "@SAMPLE/nvme-randread-4k.iovatrace"
#define MULTI  "@SAMPLE/nvme-seqread-128k.iovatrace"

static struct program_result r;

/* One clear line on standard error, nothing on standard output, the right status. */
static void expect_refusal(const char *arguments, int status, const char *part)
{
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, status);
    EXPECT_TEXT(r.out, "");
    EXPECT_HAS(r.err, part);
    const char *newline = strchr(r.err, '\n');
    if (newline == NULL || newline[1] != '\0')
        EXPECT_TEXT(r.err, "one line");
    EXPECT(strncmp(r.err, "iovasim: ", 9) == 0);
}

TEST_CASE(cli, every_command_explains_itself)
{
    static const char *const command[] = { "",        "replay",   "trace",   "params",
                                           "presets", "policies", "formats", "linux-check",
                                           "export",  "gate",     "diff",    "suite",
                                           "sweep",   "query",    "compare" };
    char arguments[64];
    for (unsigned i = 0; i < sizeof command / sizeof command[0]; i++) {
        snprintf(arguments, sizeof arguments, "%s --help", command[i]);
        program_run(&r, arguments);
        EXPECT_EQUAL(r.status, 0);
        EXPECT(strlen(r.out) > 100);
        EXPECT_TEXT(r.err, "");
    }
    static const char *const short_form[] = { "-h", "replay -h", "params -h", "trace -h",
                                              "trace info -h" };
    for (unsigned i = 0; i < sizeof short_form / sizeof short_form[0]; i++) {
        program_run(&r, short_form[i]);
        EXPECT_EQUAL(r.status, 0);
        EXPECT(strlen(r.out) > 100);
    }
    program_run(&r, "help gate");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "iovasim gate [OPTION...] BASELINE RESULT");
    program_run(&r, "--version");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "iovasim ");
}

TEST_CASE(cli, wrong_words_get_one_clear_line)
{
    expect_refusal("bogus", 2, "bogus");
    expect_refusal("replay", 2, "expected a trace");
    expect_refusal("replay " SINGLE " --bogus", 2, "--bogus");
    expect_refusal("replay " SINGLE " --api foo", 2, "--api: expected iova");
    expect_refusal("replay " SINGLE " --policy foo", 2, "--policy: 'foo'");
    expect_refusal("replay " SINGLE " --preset foo", 2, "preset 'foo'");
    expect_refusal("replay " SINGLE " --cpus 65", 2, "--cpus: expected 1 to 64, got '65'");
    expect_refusal("replay " SINGLE " --cpus 0", 2, "--cpus: expected 1 to 64, got '0'");
    expect_refusal("replay " SINGLE " --cpus two", 2, "--cpus: expected 1 to 64");
    expect_refusal("replay " SINGLE " --limit -1", 2, "--limit: expected a number of at");
    expect_refusal("replay " SINGLE " --limit 0", 2, "at least 1, got '0'");
    expect_refusal("replay " SINGLE " --limit abc", 2, "--limit: ");
    expect_refusal("replay " SINGLE " --limit 5k", 2, "got '5k'");
    expect_refusal("replay " SINGLE " --seed ''", 2, "--seed: ");
    expect_refusal("replay " SINGLE " --seed 9223372036854775808", 2, "--seed: ");
    expect_refusal("trace cat " SINGLE " --limit abc", 2, "--limit: ");
    expect_refusal("replay " SINGLE " --host gem5", 2, "--host");
    expect_refusal("replay " SINGLE " --json ''", 2, "--json: expected a file");
    expect_refusal("replay " SINGLE " --progress maybe", 2, "--progress");
    expect_refusal("params nothing-like-it", 2, "nothing matches");
    expect_refusal("replay " SINGLE " --format csv", 2, "expected NAME=FILE");
    expect_refusal("replay " SINGLE " --format xls=@/x", 2,
                   "expected one of baseline, bencher,");
    expect_refusal("export @/a.json", 2, "expected --format NAME");
    expect_refusal("export --format csv", 2, "expected one result");
    expect_refusal("export @/none.json --format csv", 3, "none.json: cannot open");
    expect_refusal("linux-check", 2, "expected one folder");
    expect_refusal("linux-check /nowhere/at/all", 2, "/nowhere/at/all");
    expect_refusal("linux-check @SAMPLE/", 2, "found none");
    expect_refusal("linux-check @SAMPLE/../linux --show 1000", 2, "--show");
    expect_refusal("linux-check @SAMPLE/../linux --set bogus=1", 2, "--set: bogus");
}

TEST_CASE(cli, recordings_of_kernels_are_checked)
{
    program_run(&r, "linux-check @SAMPLE/../linux");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "k612-lazy.oracle.txt.gz (Linux 6.12, lazy");
    EXPECT_HAS(r.out, "drain order");
    EXPECT_TEXT(r.err, "");
    program_run(&r, "linux-check @SAMPLE/../linux --set recorded.policy=lazy --show 1");
    EXPECT_EQUAL(r.status, 1);
    EXPECT_HAS(r.out, "recorded psi:");
    program_run(&r, "linux-check @SAMPLE/../linux --json @/check.json");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_EQUAL(program_files("check.json"), 1);
}

TEST_CASE(cli, unknown_keys_and_impossible_parameters_are_named)
{
    expect_refusal("replay " SINGLE " --set iotlb.set=4", 2, "did you mean iotlb.sets?");
    expect_refusal("compaer", 2, "'compaer': no such command; did you mean compare?");
    expect_refusal("replay " SINGLE " --policy stict", 2, "did you mean strict?");
    expect_refusal("replay " SINGLE " --preset vtd-serer", 2, "did you mean vtd-server?");
    expect_refusal("compare " SINGLE " --policies lazzy", 2, "did you mean lazy?");
    expect_refusal("compare " SINGLE " --sort cpu_cycles", 2,
                   "did you mean cpu_cycles_per_io?");
    expect_refusal("replay " SINGLE " --cpus 4 --set nvme.vectors=3", 2,
                   "nvme.vectors: expected at least 5, one for the admin queue and one for "
                   "each CPU (--cpus), got 3");
    expect_refusal("replay " SINGLE " --set vtd.address_lg2=40", 2,
                   "vtd.address_lg2: expected 52 (memory here has so many bits), got 40");
    expect_refusal("replay " SINGLE " --preset riscv-perf --set riscv.pa_lg2=46", 2,
                   "riscv.pa_lg2: expected 52");
    expect_refusal("replay " SINGLE " --set bogus.key=4", 2,
                   "bogus.key: no such parameter; `iovasim params`");
    expect_refusal("replay " SINGLE " --set iotlb.sets=3", 2, "a power of two, got '3'");
    expect_refusal("replay " SINGLE " --set iotlb.sets", 2, "expected key=value");
    expect_refusal("replay " SINGLE " --set iotlb.sets=", 2, "iotlb.sets: expected");
    expect_refusal("replay " SINGLE " --set walker.walkers=60", 2, "walker.walks");
    expect_refusal("replay " SINGLE " --set linux.release=5.4", 2, "6.12|6.18|7.3");
    expect_refusal("replay " SINGLE " --cpus 3 --set nvme.queues=2", 2,
                   "nvme.queues: expected at least 3, one for each CPU (--cpus), got 2");
    /* A device that is always too slow: Linux would ask it for ever. */
    expect_refusal("replay " SINGLE " --preset vtd-ats --policy strict --api streaming "
                   "--set invq.device_timeout_us=1 --set atc.answer_ns=5000",
                   2, "1000 times (linux.inval_attempts); Linux would go on for ever");
    expect_refusal("replay " SINGLE " --set linux.release=6.12 --api iova", 2,
                   "no IOVA API");
    expect_refusal("replay " SINGLE " --set linux.untrusted=1 --policy strict,lazy", 2,
                   "an untrusted device (linux.untrusted) is always strict, got 'lazy'");
    expect_refusal("replay " SINGLE " --preset riscv-perf --set linux.release=6.12", 2,
                   "linux.release: expected 6.18");
    expect_refusal("replay " SINGLE " --preset riscv-zdl --set linux.svnapot=1", 2,
                   "linux.svnapot: expected 0");
}

/* What a parameter has by itself can be said, too. */
TEST_CASE(cli, every_default_is_in_its_range)
{
    char arguments[512];
    size_t index, bytes;
    json_t *one;
    program_run(&r, "params --json >@/params.json");
    char *text  = program_file(program_path("params.json"), &bytes);
    json_t *all = text == NULL ? NULL : json_loadb(text, bytes, 0, NULL);
    REQUIRE(all != NULL);
    struct config config;
    struct error error;
    CHECK(config_init(&config, NULL, &error));
    json_array_foreach(all, index, one)
    {
        const json_t *value = json_object_get(one, "default");
        char *word          = json_is_string(value) ? strdup(json_string_value(value))
                                                    : json_dumps(value, JSON_ENCODE_ANY);
        snprintf(arguments, sizeof arguments, "%s=%s",
                 json_string_value(json_object_get(one, "key")),
                 json_is_true(value)    ? "1"
                 : json_is_false(value) ? "0"
                                        : word);
        if (!config_set(&config, arguments, &error))
            EXPECT_TEXT(error.text, "");
        free(word);
    }
    EXPECT(json_array_size(all) > 300);
    config_free(&config);
    json_decref(all);
    free(text);
}

TEST_CASE(cli, broken_traces_are_named_with_their_record)
{
    expect_refusal("replay @/missing", 3, "missing: cannot open");
    program_run(&r, "trace info " SINGLE);
    size_t bytes;
    char *whole =
        program_file(TEST_SOURCE_DIR "/traces/samples/nvme-randread-4k.iovatrace", &bytes);
    for (unsigned third = 1; third < 3; third++) {
        FILE *cut = fopen(program_path("cut"), "wb");
        CHECK(fwrite(whole, 1, bytes * third / 3, cut) == bytes * third / 3);
        fclose(cut);
        expect_refusal("replay @/cut --json @/cut.json", 3, "/cut: record ");
        EXPECT_EQUAL(program_files("cut.json") + program_files("bad.json"), 0);
    }
    whole[bytes / 2] ^= 1;
    FILE *bad = fopen(program_path("bad"), "wb");
    CHECK(fwrite(whole, 1, bytes, bad) == bytes);
    fclose(bad);
    free(whole);
    expect_refusal("replay @/bad --json @/bad.json", 3, "/bad: record ");
    EXPECT_EQUAL(program_files("cut.json") + program_files("bad.json"), 0);
}

TEST_CASE(cli, an_output_that_cannot_be_written_leaves_nothing_behind)
{
    expect_refusal("replay " SINGLE " --json @/no/such/folder.json", 2, "cannot write");
    expect_refusal("replay " SINGLE " --limit 5 --json /dev/full", 2, "cannot write");
    EXPECT_EQUAL(program_files("cut.json") + program_files("bad.json"), 0);
}

TEST_CASE(cli, what_standard_output_does_not_take_is_said)
{
    static const char *const command[] = {
        "--help",
        "presets",
        "params iotlb --json",
        "trace info " SINGLE,
        "trace cat " SINGLE,
        "replay " SINGLE " --limit 5 --policy strict --api iova",
        "compare " SINGLE " --limit 5 --policies strict",
        "gate @/same.json @/same.json",
        "diff @/same.json @/same.json",
        "export @/same.json --format csv",
    };
    char arguments[256];
    program_run(&r, "replay " SINGLE " --limit 5 --policy strict --json @/same.json");
    EXPECT_EQUAL(r.status, 0);
    for (unsigned i = 0; i < sizeof command / sizeof command[0]; i++) {
        snprintf(arguments, sizeof arguments, "%s >/dev/full", command[i]);
        expect_refusal(arguments, 2, "cannot write");
    }
    program_run(&r, "--version >&-");
    EXPECT_EQUAL(r.status, 2);
}

/* A recording or a result is not lost because its name was written behind an option. */
TEST_CASE(cli, what_is_read_is_not_overwritten)
{
    static const char *const command[] = {
        "replay @/kept.iovatrace --json @/kept.iovatrace --limit 1",
        "replay @/kept.iovatrace --html @/./kept.iovatrace --limit 1",
        "replay @/kept.iovatrace --timeline @/kept.iovatrace --limit 1",
        "compare @/kept.iovatrace --csv @/kept.iovatrace",
        "compare @SAMPLE/tiny.iovatrace @/kept.iovatrace --html @/kept.iovatrace",
        "report @/kept.json --html @/kept.json",
        "report @/kept.json --baseline @/base.json --html @/base.json",
        "gate @/base.json @/kept.json --summary @/base.json",
        "gate @/base.json @/kept.json --format junit=@/kept.json",
        "suite run @/kept.yaml --json @/kept.yaml",
    };
    size_t bytes, after;
    program_run(&r, "--version; cp @SAMPLE/tiny.iovatrace @/kept.iovatrace");
    program_run(&r, "replay @/kept.iovatrace --policy strict --json @/kept.json");
    program_run(&r,
                "--version; cp @/kept.json @/base.json; echo 'cases: [ { name: a, trace: "
                "gen:randread, limit: 1 } ]' >@/kept.yaml");
    free(program_file(program_path("kept.json"), &bytes));
    for (unsigned i = 0; i < sizeof command / sizeof command[0]; i++)
        expect_refusal(command[i], 2, "it is read, and would be overwritten");
    free(program_file(program_path("kept.json"), &after));
    EXPECT_EQUAL(after, bytes);
    program_run(&r, "gate @/kept.json @/kept.json --bless"); /* What is asked for. */
    EXPECT_EQUAL(r.status, 0);
}

/* One says --policy, the other --policies: nobody can know which. */
TEST_CASE(cli, replay_and_compare_take_the_name_of_either)
{
    program_run(&r, "replay @SAMPLE/tiny.iovatrace --policies window --api sg");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "window sg");
    program_run(&r, "compare @SAMPLE/tiny.iovatrace --policy window,strict --api sg");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, " window ");
}

TEST_CASE(cli, two_outputs_do_not_go_into_one_file)
{
    static const char *const both[] = {
        "--json @/one --html @/one",     "--json - --html -",
        "--json - --format csv=-",       "--format csv=@/one --format markdown=@/one",
        "--json @/one --vcd @/one",      "--timeline @/one --vcd @/one",
        "--html @/one --timeline @/one",
    };
    char arguments[256];
    for (unsigned i = 0; i < sizeof both / sizeof both[0]; i++) {
        snprintf(arguments, sizeof arguments,
                 "replay " SINGLE " --limit 5 --policy strict --api iova %s", both[i]);
        expect_refusal(arguments, 2, "two outputs cannot go there");
    }
    expect_refusal("compare " SINGLE " --limit 5 --csv - --json -", 2,
                   "standard output: two outputs");
    expect_refusal("compare " SINGLE " --limit 5 --csv @/one.svg --plot @/one.svg", 2,
                   "one.svg: two outputs");
    EXPECT_EQUAL(program_files("one"), 0);
    program_run(&r, "replay " SINGLE " --limit 5 --policy strict --json /dev/null "
                    "--html /dev/null");
    EXPECT_EQUAL(r.status, 0);
}

TEST_CASE(cli, release_6_12_compares_what_it_has)
{
    program_run(&r, "replay " MULTI " --limit 20 --set linux.release=6.12 --policy strict");
    EXPECT_EQUAL(r.status, 0);
    EXPECT(strstr(r.out, "iova ") == NULL);
    EXPECT_HAS(r.out, "streaming");
    EXPECT_HAS(r.out, "sg");
}

TEST_CASE(cli, tables_fit_eighty_columns)
{
    program_run(&r, "replay " MULTI " --limit 30");
    EXPECT_EQUAL(r.status, 0);
    for (char *line = strtok(r.out, "\n"); line != NULL; line = strtok(NULL, "\n"))
        EXPECT(strlen(line) <= 80);
    program_run(&r, "replay " MULTI " --limit 30 --preset vtd-server,riscv-zdl,riscv-perf");
    EXPECT_EQUAL(r.status, 0);
    for (char *line = strtok(r.out, "\n"); line != NULL; line = strtok(NULL, "\n"))
        EXPECT(strlen(line) <= 80);
}

TEST_CASE(cli, reports_are_written_beside_the_table_and_by_export_alike)
{
    program_run(&r, "replay " SINGLE " --limit 30 --json @/x.json --format csv=@/x.csv "
                    "--format junit=@/x.xml");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "cycles per I/O");
    size_t bytes, again;
    char *first = program_file(program_path("x.csv"), &bytes);
    program_run(&r, "export @/x.json --format csv -o @/y.csv");
    EXPECT_EQUAL(r.status, 0);
    char *second = program_file(program_path("y.csv"), &again);
    REQUIRE(first != NULL && second != NULL);
    EXPECT_TEXT(second, first);
    free(first);
    free(second);
    EXPECT_EQUAL(program_files("x.xml"), 1);
    program_run(&r, "export @/x.json --format csv");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "workload,preset,policy,api,cpus,seed,ios,");
    program_run(&r, "replay " SINGLE " --limit 30 --format openmetrics=-");
    EXPECT(strncmp(r.out, "# TYPE iovasim_ios gauge\n", 25) == 0); /* And no table. */
    program_run(&r, "export");
    EXPECT_EQUAL(r.status, 0);
    EXPECT_HAS(r.out, "google-benchmark  ");
}

static unsigned times(const char *text, const char *word)
{
    unsigned n = 0;
    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

TEST_CASE(cli, several_presets_stand_side_by_side)
{
    const char *const call =
        "replay " SINGLE " --limit 50 --policy strict --preset riscv-zdl,riscv-perf";
    program_run(&r, call);
    EXPECT_EQUAL(r.status, 0);
    EXPECT_EQUAL(times(r.out, "riscv-zdl"), 3); /* A table of its own, two columns. */
    EXPECT_EQUAL(times(r.out, "riscv-perf"), 3);
    EXPECT_HAS(r.out, "ns per DMA       riscv-zdl            riscv-perf\n");
    program_run(&r,
                "replay " SINGLE " --limit 50 --policy strict --api iova --json @/p.json "
                "--preset riscv-zdl,riscv-perf,riscv-zdl --set iotlb.sets=4");
    EXPECT_EQUAL(r.status, 0);
    size_t bytes;
    char *json = program_file(program_path("p.json"), &bytes);
    REQUIRE(json != NULL);
    EXPECT_EQUAL(times(json, "\"preset\": \"riscv-zdl\""), 3); /* config, configs, run */
    EXPECT_EQUAL(times(json, "\"preset\": \"riscv-perf\""), 2);
    EXPECT_EQUAL(times(json, "\"sets\": 4"), 3); /* --set is for all of them. */
    EXPECT_EQUAL(times(json, "\"api\": "), 2);
    free(json);
    expect_refusal("replay " SINGLE " --preset vtd-tiny,foo", 2, "preset 'foo'");
    expect_refusal("replay " SINGLE " --preset vtd-tiny,riscv-zdl --set linux.svnapot=1", 2,
                   "preset riscv-zdl: linux.svnapot");
}

/* The records of one of the traces of a result. */
static uint64_t records_of(const json_t *trace, const char *name)
{
    EXPECT_HAS(json_string_value(json_object_get(trace, "path")), name);
    return (uint64_t)json_integer_value(json_object_get(trace, "records"));
}

TEST_CASE(cli, several_traces_play_one_after_the_other_and_count_their_own_records)
{
    program_run(&r, "replay " SINGLE " " MULTI " " SINGLE " --limit 3100 --api iova "
                    "--policy strict --json @/two.json");
    EXPECT_EQUAL(r.status, 0);
    json_t *result = json_load_file(program_path("two.json"), 0, NULL);
    REQUIRE(result != NULL);
    const json_t *traces = json_object_get(result, "traces");
    EXPECT_EQUAL(json_array_size(traces), 3);
    EXPECT_EQUAL(records_of(json_object_get(result, "trace"), "randread"), 3000);
    EXPECT_EQUAL(records_of(json_array_get(traces, 0), "randread"), 3000);
    EXPECT_EQUAL(records_of(json_array_get(traces, 1), "seqread"), 100);
    EXPECT_EQUAL(records_of(json_array_get(traces, 2), "randread"), 0);
    json_decref(result);
}

/* The same JSON, byte for byte, whatever carries the simulation. */
static void expect_same_bytes(const char *what, const char *first, size_t bytes)
{
    char arguments[640];
    size_t other_bytes;
    snprintf(arguments, sizeof arguments, "replay %s --limit 400 --seed 7 --json @/b.json",
             what);
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, 0);
    char *other = program_file(program_path("b.json"), &other_bytes);
    REQUIRE(other != NULL);
    EXPECT_EQUAL(other_bytes, bytes);
    EXPECT(other_bytes == bytes && memcmp(first, other, bytes) == 0);
    free(other);
}

static void compare_all_ways(const char *trace)
{
    static const char *const way[] = { "", "--run-ahead off", "--host direct",
                                       "--host direct --run-ahead off" };
    char arguments[512];
    size_t bytes;
    snprintf(arguments, sizeof arguments, "replay %s --limit 400 --seed 7 --json @/a.json",
             trace);
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, 0);
    char *first = program_file(program_path("a.json"), &bytes);
    REQUIRE(first != NULL);
    EXPECT(bytes > 10000);
    for (unsigned i = 0; i < sizeof way / sizeof way[0]; i++) {
        snprintf(arguments, sizeof arguments, "%s %s", trace, way[i]);
        expect_same_bytes(arguments, first, bytes);
    }
    free(first);
}

TEST_CASE(cli, both_hosts_with_and_without_running_ahead_write_the_same_bytes)
{
    compare_all_ways(SINGLE);
    compare_all_ways("@SAMPLE/nvme-randrw-mixed.iovatrace");
    compare_all_ways("@SAMPLE/nvme-randrw-mixed.iovatrace --cpus 4 --preset vtd-tiny "
                     "--set replay.depth=16");
    compare_all_ways(MULTI " --cpus 3 --preset riscv-zdl,riscv-perf --policy strict");
}

TEST_CASE(cli, listings_are_json_when_asked)
{
    static const char *const command[] = { "params", "presets", "policies", "formats" };
    char arguments[64];
    for (unsigned i = 0; i < sizeof command / sizeof command[0]; i++) {
        snprintf(arguments, sizeof arguments, "%s --json", command[i]);
        program_run(&r, arguments);
        EXPECT_EQUAL(r.status, 0);
        EXPECT(r.out[0] == '[');
    }
}

/* SIGINT after the first moments of a run of many. */
static void interrupt_a_long_replay(const char *host)
{
    char arguments[4096] =
        "--help >/dev/null; timeout --foreground --preserve-status -s INT "
        "1.5 " TEST_BINARY_DIR "/iovasim replay --json @/interrupted.json --host ";
    strcat(arguments, host);
    for (unsigned i = 0; i < 32; i++)
        strcat(arguments, " " SINGLE);
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, 130);
    const char *said = strstr(r.err, "iovasim: "); /* A sanitizer may greet before it. */
    EXPECT_TEXT(said != NULL ? said : r.err, "iovasim: interrupted\n");
    EXPECT_EQUAL(program_files("interrupted"), 0);
}

TEST_CASE(cli, an_interrupt_stops_a_long_replay_cleanly)
{
    interrupt_a_long_replay("systemc");
    interrupt_a_long_replay("direct");
}
