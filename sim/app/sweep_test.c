/* SPDX-License-Identifier: Apache-2.0 */
/* Which points a sweep has, and what is left of one that is killed. */
#include "sim/app/sweep_spec.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/rng.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

static struct program_result r;

static void put(const char *name, const char *text)
{
    FILE *out = fopen(program_path(name), "w");
    CHECK(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0);
}

static void run(const char *arguments, int status)
{
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, status);
}

static bool load(struct sweep *s, const char *text, struct error *error)
{
    char path[512];
    put("s.yaml", text);
    snprintf(path, sizeof path, "%s", program_path("s.yaml"));
    return sweep_load(s, path, error);
}

#define BASE "base: { trace: t, policy: strict, api: iova }\n"

/* The value of a parameter in a point; the sweeps below set one or two. */
static const char *value_of(const struct spec *point, const char *key)
{
    const size_t n = strlen(key);
    for (unsigned i = 0; i < point->sets; i++)
        if (strncmp(point->set[i], key, n) == 0 && point->set[i][n] == '=')
            return point->set[i] + n + 1;
    return "";
}

TEST_CASE(sweep, a_grid_has_every_combination_once)
{
    struct sweep s;
    struct error error;
    REQUIRE(load(&s,
                 BASE "axes:\n  a.x: [1, 2, 2]\n  policy: [strict, lazy]\n"
                      "  b.y: { from: 2, to: 20, scale: pow2 }\n"
                      "  c.z: { from: 1, to: 7, step: 3 }\n",
                 &error));
    EXPECT_EQUAL(s.drawn, 3 * 2 * 4 * 3);
    EXPECT_EQUAL(s.points, 2 * 2 * 4 * 3); /* 2 stands there twice. */
    EXPECT_TEXT(value_of(&s.point[0], "b.y"), "2");
    EXPECT_TEXT(value_of(&s.point[1], "c.z"), "4");
    EXPECT_TEXT(value_of(&s.point[47], "b.y"), "16");
    EXPECT_TEXT(s.point[47].policy, "lazy");
    EXPECT(strstr(s.point[0].trace[0], "/t") != NULL); /* Beside the file. */
    sweep_free(&s);
}

TEST_CASE(sweep, a_latin_hypercube_uses_each_stratum_of_each_axis_once)
{
    struct sweep s, again;
    struct error error;
    static const char text[] = BASE "method: latin-hypercube\nsamples: 50\nseed: 3\naxes:\n"
                                    "  a.x: { from: 0, to: 49 }\n"
                                    "  b.y: { from: 100, to: 599 }\n"
                                    "  c.z: [0, 1, 2, 3, 4]\n";
    unsigned x[50] = { 0 }, y[50] = { 0 }, z[5] = { 0 };
    REQUIRE(load(&s, text, &error));
    REQUIRE(load(&again, text, &error));
    EXPECT_EQUAL(s.points, 50);
    for (unsigned i = 0; i < s.points; i++) {
        x[strtoul(value_of(&s.point[i], "a.x"), NULL, 10)]++;
        y[(strtoul(value_of(&s.point[i], "b.y"), NULL, 10) - 100) / 10]++;
        z[strtoul(value_of(&s.point[i], "c.z"), NULL, 10)]++;
        EXPECT_TEXT(s.line[i], again.line[i]);
    }
    for (unsigned i = 0; i < 50; i++) {
        EXPECT_EQUAL(x[i], 1);
        EXPECT_EQUAL(y[i], 1);
    }
    for (unsigned i = 0; i < 5; i++)
        EXPECT_EQUAL(z[i], 10);
    sweep_free(&s);
    sweep_free(&again);
}

TEST_CASE(sweep, random_points_stay_in_their_ranges_and_reach_the_ends)
{
    struct sweep s;
    struct error error;
    unsigned low = 0, high = 0, below_100 = 0;
    REQUIRE(load(&s,
                 BASE "method: random\nsamples: 3000\naxes:\n"
                      "  a.x: { from: 3, to: 7 }\n"
                      "  b.y: { from: 1, to: 9999, scale: log }\n",
                 &error));
    EXPECT_EQUAL(s.drawn, 3000);
    EXPECT(s.points > 1500 && s.points < 3000); /* Some fall on the same numbers. */
    for (unsigned i = 0; i < s.points; i++) {
        const unsigned long x = strtoul(value_of(&s.point[i], "a.x"), NULL, 10);
        const unsigned long y = strtoul(value_of(&s.point[i], "b.y"), NULL, 10);
        EXPECT(x >= 3 && x <= 7 && y >= 1 && y <= 9999);
        low += x == 3;
        high += x == 7;
        below_100 += y < 100;
    }
    EXPECT(low > 300 && high > 300);
    EXPECT(below_100 > s.points / 5); /* Linear: one in a hundred. */
    sweep_free(&s);
}

TEST_CASE(sweep, mistakes_are_named_with_their_line)
{
    static const char *const file[][2] = {
        { "axes: {}\n", "axes: expected at least one" },
        { BASE, "expected axes:" },
        { BASE "method: gird\n", ":2: method: expected grid, list, random" },
        { BASE "method: random\naxes: { a.b: [1] }\n", "expected samples: N" },
        { BASE "axes:\n  a.b: { from: 5, to: 2 }\n", ":3: a.b: expected from and a to" },
        { BASE "axes:\n  a.b: { from: 0, to: 2, scale: pow2 }\n",
          "from: expected at least 1" },
        { BASE "axes:\n  a.b: { from: 0, to: 300000 }\n", "more than 100000 values" },
        { BASE "axes:\n  a.b: { from: 1, to: 2000 }\n  c.d: { from: 1, to: 2000 }\n",
          "4000000 points; at most 100000" },
        { BASE "axes:\n  a.b: { from: 1.5, to: 3 }\n", "from: expected a whole number" },
        { BASE "axes:\n  a.b: { form: 1, to: 3 }\n", "'form': expected from, to, step" },
        { BASE "axes:\n  a.b: []\n", "a.b: the list is empty" },
        { "base: { trace: t, api: iova }\naxes: { a.b: [1] }\n", "a point is one run" },
        { "base: { trace: t, api: all, policy: strict }\naxes: { a.b: [1] }\n",
          "a point is one run" },
        { "base: { policy: strict, api: iova }\naxes: { a.b: [1] }\n", "expected a trace" },
        { BASE "method: list\npoints: []\n", "points: the list is empty" },
        { BASE "method: list\npoints: [ 5 ]\n", "a point: expected `key: value` lines" },
        { BASE "smaples: 5\n", ":2: 'smaples': expected name" },
        { BASE "samples: 5\naxes: { a.b: [1] }\n", "method grid: samples: it draws none" },
        { BASE "points: [ { a.b: 1 } ]\n", "method grid: expected axes:, got points:" },
        { BASE "method: list\npoints: [ { a.b: 1 } ]\naxes: { a.b: [1] }\n",
          ":4: method list: expected points:, got axes:" },
    };
    struct sweep s;
    for (unsigned i = 0; i < sizeof file / sizeof file[0]; i++) {
        struct error error = { "" };
        EXPECT(!load(&s, file[i][0], &error));
        EXPECT_HAS(error.text, file[i][1]);
        EXPECT_HAS(error.text, "s.yaml:");
    }
}

TEST_CASE(sweep, a_list_that_is_too_long_is_refused_and_not_cut)
{
    struct error error = { "" };
    struct sweep s;
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    fputs(BASE "method: list\npoints:\n", out);
    for (unsigned i = 0; i <= SWEEP_POINTS_MAX; i++)
        fprintf(out, "- {a.b: %u}\n", i);
    fclose(out);
    EXPECT(!load(&s, text, &error));
    EXPECT_HAS(error.text, "s.yaml:4: 100001 points; at most 100000");
    free(text);
}

/* ---- The program ---- */

static void write_spec(unsigned points)
{
    char text[512];
    snprintf(text, sizeof text,
             "name: kill\nbase: { trace: tiny.iovatrace, api: iova }\naxes:\n"
             "  policy: [strict, lazy]\n  linux.release: ['7.3', '6.12']\n"
             "  iotlb.ways: { from: 1, to: %u }\n",
             points / 4);
    put("kill.yaml", text);
    run("--version; cp @SAMPLE/tiny.iovatrace @/", 0);
}

static char *rows(const char *db)
{
    char arguments[256];
    snprintf(arguments, sizeof arguments,
             "query @/%s.db 'SELECT * FROM run ORDER BY point' --csv > @/%s.csv", db, db);
    run(arguments, 0);
    size_t bytes;
    char name[64];
    snprintf(name, sizeof name, "%s.csv", db);
    char *text = program_file(program_path(name), &bytes);
    CHECK(text != NULL);
    return text;
}

/* How many are there, as the database counts them. */
static unsigned count_rows(const char *db)
{
    char arguments[128];
    snprintf(arguments, sizeof arguments, "query @/%s.db 'SELECT count(*) FROM run' --csv",
             db);
    program_run(&r, arguments);
    const char *line = strchr(r.out, '\n');
    return r.status != 0 || line == NULL ? 0 : (unsigned)strtoul(line + 1, NULL, 10);
}

/* Kills the sweep and its processes after some ms; returns whether it was still running. */
static bool kill_after(unsigned ms)
{
    char arguments[512];
    snprintf(arguments, sizeof arguments,
             "--version >/dev/null; timeout -s KILL %u.%03u " TEST_BINARY_DIR
             "/iovasim sweep @/kill.yaml --db @/killed.db",
             ms / 1000, ms % 1000);
    program_run(&r, arguments);
    return r.status != 0;
}

/* Until it has been killed so many times, with rows or without; then to the end. */
TEST_CASE(sweep_kill, what_is_killed_and_resumed_equals_what_was_left_alone)
{
    const bool campaign   = getenv("IOVASIM_CAMPAIGN") != NULL;
    const unsigned points = campaign ? 1000 : 60, kills = campaign ? 10 : 3;
    const char *seed = getenv("IOVASIM_CAMPAIGN_SEED");
    struct rng rng   = rng_make(seed != NULL ? strtoul(seed, NULL, 10) : 1, "kill");
    unsigned killed = 0, before = 0;
    write_spec(points);
    run("sweep @/kill.yaml --db @/alone.db -j 1", 0);
    for (unsigned tries = 0; killed < kills && tries < 40 * kills; tries++) {
        killed += kill_after(15 + rng_below(&rng, campaign ? 250 : 90));
        const unsigned now = count_rows("killed");
        EXPECT(now >= before && now <= points);
        before = now;
        if (now == points)
            break; /* It was faster. */
    }
    EXPECT(campaign ? killed == kills : killed > 0);
    run("sweep @/kill.yaml --db @/killed.db", 0);
    char wanted[96];
    snprintf(wanted, sizeof wanted, "kill: %u points, %u run now, %u were there", points,
             points - before, before);
    EXPECT_HAS(r.out, wanted);
    EXPECT_EQUAL(count_rows("killed"), points);
    char *killed_rows = rows("killed"), *alone = rows("alone");
    EXPECT(strcmp(killed_rows, alone) == 0);
    EXPECT(strlen(alone) > 1000 * points / 4);
    free(killed_rows);
    free(alone);
}

TEST_CASE(sweep, rows_say_what_was_run_and_what_was_refused)
{
    write_spec(8);
    run("sweep @/kill.yaml --db @/rows.db", 0);
    EXPECT_HAS(r.out, " were refused; the column error says why\n  point ");
    EXPECT_HAS(r.out, "Linux 6.12 has no IOVA API");
    run("query @/rows.db \"SELECT \\\"iotlb.ways\\\" w, policy, status, records FROM "
        "result "
        "WHERE status = 'done' ORDER BY point\" --csv",
        0);
    EXPECT_TEXT(r.out, "w,policy,status,records\r\n1,strict,done,3\r\n2,strict,done,3\r\n"
                       "1,lazy,done,3\r\n2,lazy,done,3\r\n");
    run("query @/rows.db 'SELECT DISTINCT error FROM run WHERE error IS NOT NULL' --json",
        0);
    EXPECT_HAS(r.out, "Linux 6.12 has no IOVA API");
    run("query @/rows.db \"SELECT policy, api, preset IS NULL, iops IS NULL FROM result "
        "WHERE status = 'refused' ORDER BY point LIMIT 1\" --csv",
        0);
    EXPECT_HAS(r.out, "\nstrict,iova,1,1\r\n"); /* What was told, and nothing else. */
    run("query @/rows.db", 0);
    EXPECT_HAS(r.out, "runs refused");
    run("sweep @/kill.yaml --list", 0);
    EXPECT_HAS(r.out, "tiny.iovatrace --policy lazy --api iova --set linux.release=6.12 "
                      "--set iotlb.ways=2\n");
}

TEST_CASE(sweep, a_name_that_is_none_is_no_result)
{
    static const char *const file[][2] = {
        { "axes: { iotlb.set: [1, 2] }\n",
          "s.yaml: point 0: iotlb.set: no such parameter; did you mean iotlb.sets?" },
        { "axes: { policy: [strict, stict] }\n",
          "point 1: policy: 'stict' is not known; did you mean strict?" },
        { "axes: { preset: [vtd-server, vtd-severe] }\n", "did you mean vtd-server?" },
        { "axes: { api: [iova, both_of] }\n", "api: expected iova, streaming or sg" },
        { "method: list\npoints: [ { iotlb.sets: 1 }, { iotlb.stes: 2 } ]\n", "point 1: " },
    };
    char text[256];
    for (unsigned i = 0; i < sizeof file / sizeof file[0]; i++) {
        snprintf(text, sizeof text,
                 "base: { trace: gen:randread, policy: strict, api: iova, limit: 1 }\n%s",
                 file[i][0]);
        put("s.yaml", text);
        run("sweep @/s.yaml --db @/slip.db", 2);
        EXPECT_HAS(r.err, file[i][1]);
        EXPECT_EQUAL(program_files("slip"), 0);
    }
}

TEST_CASE(sweep, a_row_is_what_replay_gives_for_the_same_words)
{
    put("one.yaml", "base: { trace: tiny.iovatrace }\nmethod: list\npoints:\n"
                    "  - { policy: lazy, api: sg, seed: 4, iotlb.sets: 2 }\n");
    run("--version; cp @SAMPLE/tiny.iovatrace @/", 0);
    run("sweep @/one.yaml --db @/one.db", 0);
    run("replay @/tiny.iovatrace --policy lazy --api sg --seed 4 --set iotlb.sets=2 "
        "--format csv=-",
        0);
    char *replayed = strdup(r.out);
    CHECK(replayed != NULL);
    run("query @/one.db 'SELECT sim_time_ns, cpu_cycles_per_io, iotlb_hit_rate FROM run' "
        "--csv",
        0);
    char *figure                  = strchr(r.out, '\n') + 1;
    figure[strcspn(figure, "\r")] = '\0';
    for (char *one = strtok(figure, ","); one != NULL; one = strtok(NULL, ","))
        EXPECT_HAS(replayed, one);
    free(replayed);
}

/* Written without marks, both points would read the same. */
TEST_CASE(sweep, spaces_in_a_path_make_no_two_points_one)
{
    put("apart.yaml",
        "base: { policy: lazy, api: sg }\nmethod: list\npoints:\n"
        "  - { trace: 'tiny iotlb.sets=2' }\n  - { trace: tiny, iotlb.sets: 2 }\n"
        "  - { trace: \"it's\" }\n");
    run("--version; cp @SAMPLE/tiny.iovatrace '@/tiny iotlb.sets=2'; "
        "cp @SAMPLE/nvme-unaligned-4608.iovatrace @/tiny; "
        "cp @SAMPLE/tiny.iovatrace \"@/it's\"",
        0);
    run("sweep @/apart.yaml --list", 0);
    EXPECT_HAS(r.out, "/tiny iotlb.sets=2' --policy lazy --api sg\n1\t");
    EXPECT_HAS(r.out, "/tiny --policy lazy --api sg --set iotlb.sets=2\n2\t");
    EXPECT_HAS(r.out, "/it'\\''s' --policy lazy --api sg\n");
    run("sweep @/apart.yaml --db @/spaces.db", 0);
    EXPECT_HAS(r.out, "3 points, 3 run now");
    run("query @/spaces.db 'SELECT records FROM run ORDER BY point' --csv", 0);
    EXPECT_TEXT(r.out, "records\r\n3\r\n500\r\n3\r\n");
}

/* Two hosts of the fabric have so many each. */
TEST_CASE(sweep, cpus_are_those_that_were_asked_for)
{
    put("cpus.yaml", "base: { trace: rping, policy: lazy, api: iova, limit: 20 }\n"
                     "axes: { cpus: [1, 2] }\n");
    run("--version; cp @SAMPLE/rdma-rping.verbs.txt.gz @/rping", 0);
    run("sweep @/cpus.yaml --db @/cpus.db", 0);
    run("query @/cpus.db \"SELECT cpus, json_extract(config, '\\$.fabric.hosts') h "
        "FROM run ORDER BY point\" --csv",
        0);
    EXPECT_TEXT(r.out, "cpus,h\r\n1,2\r\n2,2\r\n");
    run("query @/cpus.db --sensitivity cpu_cycles_per_io", 0);
    EXPECT_HAS(r.out, " at 2");
}

TEST_CASE(sweep, reports_find_what_a_plain_search_finds)
{
    put("front.yaml",
        "base: { trace: tiny.iovatrace, api: iova }\naxes:\n  policy: [strict, lazy]\n"
        "  iotlb.ways: [1, 2]\n  cost.call_cycles: [10, 20, 400]\n");
    run("--version; cp @SAMPLE/tiny.iovatrace @/", 0);
    run("sweep @/front.yaml --db @/front.db", 0);
    run("query @/front.db \"SELECT count(*) FROM run a WHERE NOT EXISTS (SELECT 1 FROM run "
        "b "
        "WHERE b.cpu_cycles_per_io <= a.cpu_cycles_per_io AND b.exposure_page_us_per_io <= "
        "a.exposure_page_us_per_io AND (b.cpu_cycles_per_io < a.cpu_cycles_per_io OR "
        "b.exposure_page_us_per_io < a.exposure_page_us_per_io))\" --csv",
        0);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\n%lu of 12 runs\n",
             strtoul(strchr(r.out, '\n') + 1, NULL, 10));
    run("query @/front.db --pareto cpu_cycles_per_io,exposure_page_us_per_io", 0);
    EXPECT_HAS(r.out, wanted);
    run("query @/front.db --sensitivity map_cycles_per_io", 0);
    EXPECT_HAS(r.out, "\ncost.call_cycles ");
    const char *first = strstr(r.out, "greatest mean\n");
    REQUIRE(first != NULL);
    EXPECT(strncmp(first + 14, "cost.call_cycles", 16) == 0); /* It explains the most. */
}

/* Points that differ only in a word's end, or in what has no column of its own. */
TEST_CASE(sweep, a_metric_that_nothing_moves_is_put_down_to_no_axis)
{
    put("flat.yaml", "base: { trace: gen:randread, policy: strict, api: sg, limit: 7 }\n"
                     "axes: { iotlb.sets: [1, 2, 4], walker.walkers: [1, 3] }\n");
    run("sweep @/flat.yaml --db @/flat.db", 0);
    run("query @/flat.db --sensitivity dma_address_bytes_per_io", 0);
    EXPECT_TEXT(r.out, "dma_address_bytes_per_io: 6 runs, 8 bytes in each: no axis moves "
                       "it\n");
}

TEST_CASE(sweep, reports_tell_apart_whatever_an_axis_says)
{
    put("apart.yaml",
        "base: { api: iova, policy: lazy, limit: 40 }\naxes:\n"
        "  trace: [the-same-long-beginning-of-a-read.gz, the-same-long-beginning-of-a.gz]\n"
        "  attacker: ['off', 'on']\n");
    run("--version; cp @SAMPLE/nvme-randread-4k.iovatrace "
        "@/the-same-long-beginning-of-a.gz; "
        "cp @SAMPLE/nvme-randrw-mixed.iovatrace @/the-same-long-beginning-of-a-read.gz",
        0);
    run("sweep @/apart.yaml --db @/apart.db", 0);
    EXPECT_HAS(r.out, "4 points, 4 run now, 0 were there:");
    run("query @/apart.db --sensitivity stale_hits", 0);
    EXPECT_HAS(r.out, " at the-same-long-beginning-of-a.gz\n");
    EXPECT_HAS(r.out, " at the-same-long-beginning-of-a-read.gz ");
    EXPECT_HAS(r.out, "\nattacker ");
    EXPECT_HAS(r.out, " 0 at 0 ");
    EXPECT_HAS(r.out, " at 1\n");
    run("query @/apart.db --pareto cpu_cycles_per_io,stale_hits", 0);
    EXPECT_HAS(r.out, "the-same-long-beginning-of-a.gz          0 ");
    run("report @/apart.db --html @/apart.html", 0);
    size_t bytes;
    char *page = program_file(program_path("apart.html"), &bytes);
    REQUIRE(page != NULL);
    EXPECT_HAS(page, "\"label\":\"the-same-long-beginning-of-a.gz attacker=0\"");
    EXPECT_HAS(page, "\"label\":\"the-same-long-beginning-of-a-read.gz attacker=1\"");
    free(page);
}

TEST_CASE(sweep, another_sweep_another_trace_and_wrong_questions_are_refused)
{
    write_spec(4);
    run("sweep @/kill.yaml --db @/own.db", 0);
    write_spec(8);
    run("sweep @/kill.yaml --db @/own.db", 2);
    EXPECT_HAS(r.err, "own.db: it belongs to another sweep: point 1 is not the same");
    write_spec(4);
    run("--version; cp @SAMPLE/nvme-unaligned-4608.iovatrace @/tiny.iovatrace", 0);
    run("sweep @/kill.yaml --db @/own.db", 2);
    EXPECT_HAS(r.err, "tiny.iovatrace: it has changed since ");
    run("--version; rm @/tiny.iovatrace", 0);
    run("sweep @/kill.yaml --db @/fresh.db", 2);
    EXPECT_HAS(r.err, "tiny.iovatrace: cannot open");
    put("text.db", "not a database at all, but long enough to be looked at by somebody");
    run("query @/text.db", 3);
    EXPECT_HAS(r.err, "expected a database of `iovasim sweep`");
    run("sweep @/kill.yaml --db @/text.db", 2);
    EXPECT_HAS(r.err, "text.db: ");
    run("query @/own.db 'DELETE FROM run'", 2);
    EXPECT_HAS(r.err, "readonly");
    run("query @/own.db 'SELEC 1'", 2);
    EXPECT_HAS(r.err, "SQL: ");
    run("query @/own.db 'SELECT 1; SELECT 2'", 2);
    EXPECT_HAS(r.err, "SQL: expected one statement");
    run("query @/own.db 'SELECT 1; nonsense'", 2);
    run("query @/own.db 'SELECT 1 ; -- fine'", 0);
    run("query @/own.db --csv --json 'SELECT 1'", 2);
    EXPECT_HAS(r.err, "expected one of --csv and --json");
    run("query @/own.db --csv --pareto iops", 2);
    EXPECT_HAS(r.err, "are for rows");
    run("query @/own.db --pareto bogus", 2);
    EXPECT_HAS(r.err, "'bogus': no such metric");
    run("query @/own.db --pareto ios", 2);
    EXPECT_HAS(r.err, "neither better nor worse");
    EXPECT_EQUAL(count_rows("own"), 4);
}
