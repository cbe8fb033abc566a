/* SPDX-License-Identifier: Apache-2.0 */
/* The FSM against the recorded sweep: a flush placed in every cycle around a request. */
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/rtl/csv.h"
#include "sim/test/rtl_fsm_tables.h"
#include "sim/test/shim.h"

enum {
    DEVICE       = 5,
    PSCID        = 11,
    GSCID        = 22,
    PAUSE_CYCLES = 100,
    IDLE_CYCLES  = 500,
    HANG_CYCLES  = 1500
};
enum { FIRST = -3, AFTER = -99999 };

#define IOVA  UINT64_C(0x1000000000)
#define GUEST UINT64_C(0x2000000)
#define PA    UINT64_C(0x800000000)

static struct fsm_bench bench;
static struct fsm_tables tables;
static uint32_t tail;

/* What a row of the recording was measured on. */
struct scenario {
    char exp[32], stage[8], metric[40], note[128];
    uint64_t read_latency, write_latency;
    int64_t value;
};

struct outcome {
    int64_t latency, flush_at;
    uint64_t pa;
    uint32_t reads;
};

static void map_page(const struct fsm_space *first, const struct fsm_space *second,
                     unsigned page)
{
    const uint64_t offset = (uint64_t)page << 12;
    if (second != NULL)
        fsm_tables_map(&tables, second, GUEST + offset, 0, PA + offset, FSM_PTE);
    fsm_tables_map(&tables, first, IOVA + offset, 0, (second ? GUEST : PA) + offset,
                   FSM_PTE);
}

static void begin(const struct scenario *s)
{
    const struct rtl_parameters p = { .iotlb_entries   = 16,
                                      .device_entries  = 4,
                                      .process_entries = 4,
                                      .read_latency    = s->read_latency,
                                      .write_latency   = s->write_latency,
                                      .beats_per_cycle = 1,
                                      .outstanding_max = 64,
                                      .ddtp            = FSM_DDT >> 12 << 10 | 2,
                                      .cqb             = FSM_CQB,
                                      .fqb             = FSM_FQB };
    const bool nested             = strcmp(s->stage, "S1+S2") == 0;
    struct fsm_space first, second;
    fsm_bench_init(&bench, &p);
    fsm_tables_init(&tables, &bench.memory, 1);
    if (nested)
        second = fsm_tables_space(&tables, true, NULL);
    first = fsm_tables_space(&tables, false, nested ? &second : NULL);
    for (unsigned page = 0; page < 4; page++)
        map_page(&first, nested ? &second : NULL, page);
    const struct fsm_dc dc =
        fsm_tables_context(&first, nested ? &second : NULL, PSCID, nested ? GSCID : 0);
    fsm_tables_set_device(&tables, fsm_tables_device(&tables, DEVICE), &dc);
    bench.now = 1000;
    tail      = 0;
}

/* Rings for one command. */
static void command(const char *kind, bool nested)
{
    const uint64_t gv = nested ? UINT64_C(1) << 33 | (uint64_t)GSCID << 44 : 0;
    const uint64_t low =
        strcmp(kind, "IODIR") == 0 ? 3 : gv | (strcmp(kind, "GVMA") == 0 ? 0x81 : 1);
    fsm_bench_store(&bench.memory, FSM_COMMANDS + 16 * tail, low);
    fsm_bench_ring(&bench, ++tail);
}

static void idle(unsigned cycles)
{
    for (unsigned i = 0; i < cycles; i++)
        fsm_bench_cycle(&bench);
}

/* A request of a page, with the command's flush pulse meant for cycle `at` after its issue,
 * unless there is none. The request may be left hanging. */
static struct outcome request(unsigned page, const char *kind, bool nested, int at)
{
    const struct fsm_request r = { .iova   = IOVA + ((uint64_t)page << 12),
                                   .device = DEVICE };
    const int effect           = (int)bench.log.parameters.read_latency + 5;
    struct outcome o           = { .latency = -1, .flush_at = AFTER };
    const cycle_t issue = bench.now + PAUSE_CYCLES, end = issue + HANG_CYCLES;
    const cycle_t ring = issue + (cycle_t)(at - effect);
    for (bool done = false; !done && bench.now < end;) {
        if (kind != NULL && bench.now == ring)
            command(kind, nested);
        if (bench.now == issue)
            fsm_bench_issue(&bench, FSM_AR, &r);
        done = fsm_bench_cycle(&bench);
        if (bench.out.flush && !done)
            o.flush_at = (int64_t)(bench.now - 1) - (int64_t)issue;
    }
    if (!bench.port[FSM_AR].request.valid) {
        const struct rtl_request *last = &bench.log.request[bench.log.requests - 1];
        o.latency                      = (int64_t)(last->done - last->issued);
        o.pa                           = last->pa;
        o.reads                        = last->reads;
    }
    return o;
}

static void expect_row(const struct scenario *s, int64_t got, int64_t want,
                       const char *what)
{
    if (got == want)
        return;
    printf("%s %s L=%" PRIu64 " %s (%s): %s is %" PRId64 ", recorded %" PRId64 "\n", s->exp,
           s->stage, s->read_latency, s->metric, s->note, what, got, want);
    shim_true(false, what, __FILE__, __LINE__);
}

static int64_t noted(const struct scenario *s, const char *key)
{
    const char *at = strstr(s->note, key);
    CHECK(at != NULL);
    return strtoll(at + strlen(key), NULL, 0);
}

static bool has(const struct scenario *s, const char *text)
{
    return strstr(s->note, text) != NULL;
}

/* The page once more, when all is quiet. */
static void expect_next(const struct scenario *s)
{
    idle(IDLE_CYCLES);
    request(1, NULL, false, 0);
    const struct rtl_request *next = &bench.log.request[bench.log.requests - 1];
    expect_row(s, next->iotlb_hit, has(s, "tlb=hit") || has(s, "tlb=1"), "next at IOTLB");
    if (has(s, "next_ddt"))
        expect_row(s, next->context_hit, has(s, "next_ddt=hit"), "next at DDTC");
    if (has(s, "lat="))
        expect_row(s, (int64_t)(next->done - next->issued), noted(s, "lat="), "next");
}

/* A row of a miss, or of a hit on the page (inflight_hit). */
static void sweep_row(const struct scenario *s, int at)
{
    const char *kind  = strchr(s->exp, '.') + 1;
    const bool nested = strcmp(s->stage, "S1+S2") == 0;
    const bool hit    = strncmp(s->exp, "inflight_hit", 12) == 0;
    begin(s);
    if (hit || strncmp(s->metric, "ddthit", 6) == 0)
        request(hit ? 1 : 0, NULL, false, 0);
    const struct outcome o = request(1, kind, nested, at);
    expect_row(s, o.latency, s->value, "latency");
    if (!hit || o.flush_at != AFTER)
        expect_row(s, o.flush_at, strtoll(strchr(s->metric, '=') + 1, NULL, 0), "flush");
    if (has(s, " reads="))
        expect_row(s, o.reads, noted(s, " reads="), "reads");
    if (has(s, "ok pa="))
        expect_row(s, (int64_t)(o.pa != 0), noted(s, "ok pa=") != 0, "address");
    if (s->value >= 0)
        expect_next(s);
}

/* The row behind one that hung, which still hangs. */
static void recovered_row(const struct scenario *s)
{
    cycle_t flush = 0;
    command("IODIR", false);
    while (!fsm_bench_cycle(&bench))
        if (bench.out.flush)
            flush = bench.now - 1;
    expect_row(s, (int64_t)(bench.now - 1 - flush), s->value, "recovery");
}

static bool next_scenario(struct csv *csv, struct scenario *s, struct error *error)
{
    unsigned column[7];
    if (csv_next(csv, error) != 1
        || !csv_columns(csv, "exp,stage,L,LW,metric,value,note", column, error))
        return false;
    snprintf(s->exp, sizeof s->exp, "%s", csv_field(csv, column[0]));
    snprintf(s->stage, sizeof s->stage, "%s", csv_field(csv, column[1]));
    snprintf(s->metric, sizeof s->metric, "%s", csv_field(csv, column[4]));
    snprintf(s->note, sizeof s->note, "%s", csv_field(csv, column[6]));
    return csv_u64(csv, column[2], &s->read_latency, error)
           && csv_u64(csv, column[3], &s->write_latency, error)
           && csv_i64(csv, column[5], &s->value, error);
}

static unsigned sweep(struct csv *csv, struct error *error)
{
    struct scenario s;
    unsigned rows = 0;
    int at        = FIRST;
    bool running  = false;
    char last[48] = "";
    while (next_scenario(csv, &s, error)) {
        const bool flush = strstr(s.metric, "flush_at") != NULL;
        if (strcmp(last, s.exp) != 0 || strstr(s.metric, "undisturbed_lat") != NULL)
            at = FIRST;
        snprintf(last, sizeof last, "%s", s.exp);
        if (strstr(s.metric, "recovered") != NULL) {
            recovered_row(&s);
        } else if (flush) {
            if (running)
                fsm_bench_free(&bench);
            sweep_row(&s, at++);
            running = true;
        }
        rows += flush;
    }
    if (running)
        fsm_bench_free(&bench);
    return rows;
}

static unsigned sweep_file(const char *path)
{
    struct csv *csv;
    struct error error = { "" };
    unsigned rows      = 0;
    if (csv_open(&csv, path, &error)) {
        rows = sweep(csv, &error);
        csv_close(csv);
    }
    EXPECT_TEXT(error.text, "");
    return rows;
}

TEST_CASE(rtl_fsm, is_the_rtl_around_every_placement_of_a_flush)
{
    const char *folder = getenv("RTL_RECORDINGS");
    char pattern[600];
    glob_t found;
    unsigned rows = 0;
    snprintf(pattern, sizeof pattern, "%s/inflight_*.csv.gz",
             folder != NULL ? folder : TEST_SOURCE_DIR "/traces/rtl/directed");
    REQUIRE(glob(pattern, 0, NULL, &found) == 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        rows += sweep_file(found.gl_pathv[i]);
    globfree(&found);
    EXPECT(rows > 200);
}
