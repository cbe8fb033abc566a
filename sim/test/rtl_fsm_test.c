/* SPDX-License-Identifier: Apache-2.0 */
/* The FSM against the recordings: it has to be the RTL in every column and cycle. */
#include "sim/test/rtl_fsm_bench.h"

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"

static struct fsm_bench bench;

/* Rows that differ; the first ones are shown. */
struct difference {
    const char *name;
    uint64_t rows, differ;
};

static void differ(struct difference *d, const char *what, size_t row, uint64_t got,
                   uint64_t want)
{
    if (d->differ++ < 5)
        printf("%s: %s %zu: got %" PRIu64 ", recorded %" PRIu64 "\n", d->name, what, row,
               got, want);
}

#define COMPARE(field)                                                                     \
    do {                                                                                   \
        if (got->field != want->field) {                                                   \
            differ(d, what, i, (uint64_t)got->field, (uint64_t)want->field);               \
            return;                                                                        \
        }                                                                                  \
    } while (0)

static void compare_request(struct difference *d, size_t i, const struct rtl_request *got,
                            const struct rtl_request *want)
{
    const char *what = "request";
    COMPARE(done);
    COMPARE(issued);
    COMPARE(iova);
    COMPARE(channel);
    COMPARE(device);
    COMPARE(process);
    COMPARE(has_process);
    COMPARE(fault);
    COMPARE(pa);
    COMPARE(cause);
    COMPARE(context_hit);
    COMPARE(iotlb_hit);
    COMPARE(reads);
}

static void compare_command(struct difference *d, size_t i, const struct rtl_command *got,
                            const struct rtl_command *want)
{
    const char *what = "command";
    COMPARE(fetched);
    COMPARE(flushed);
    COMPARE(head);
    COMPARE(index);
    COMPARE(low);
    COMPARE(high);
}

static void compare_fault(struct difference *d, size_t i, const struct rtl_fault *got,
                          const struct rtl_fault *want)
{
    const char *what = "fault";
    COMPARE(cycle);
    COMPARE(tail);
}

static void compare_access(struct difference *d, size_t i, const struct rtl_access *got,
                           const struct rtl_access *want)
{
    const char *what = "access";
    COMPARE(presented);
    COMPARE(accepted);
    COMPARE(first);
    COMPARE(last);
    COMPARE(pa);
    COMPARE(beats);
    COMPARE(engine);
    COMPARE(write);
}

#define COMPARE_ALL(array, count, compare)                                                 \
    do {                                                                                   \
        EXPECT_EQUAL(got->count, want->count);                                             \
        for (size_t i = 0; i < got->count && i < want->count; i++, d->rows++)              \
            compare(d, i, &got->array[i], &want->array[i]);                                \
    } while (0)

static void compare_runs(struct difference *d, const struct rtl_run *got,
                         const struct rtl_run *want)
{
    COMPARE_ALL(request, requests, compare_request);
    COMPARE_ALL(command, commands, compare_command);
    COMPARE_ALL(fault, faults, compare_fault);
    if (want->has_accesses)
        COMPARE_ALL(access, accesses, compare_access);
}

static uint64_t replay(const char *path)
{
    struct rtl_run recorded;
    struct error error  = { "" };
    struct difference d = { .name = path };
    const bool loaded   = rtl_run_load(&recorded, path, &error);
    EXPECT_TEXT(error.text, "");
    if (loaded) {
        fsm_bench_init(&bench, &recorded.parameters);
        EXPECT(fsm_bench_replay(&bench, &recorded));
        compare_runs(&d, &bench.log, &recorded);
        EXPECT_EQUAL(d.differ, 0);
        fsm_bench_free(&bench);
    }
    rtl_run_free(&recorded);
    return d.rows;
}

/* Those in the tree are the beginnings of two runs; RTL_RECORDINGS names a folder of whole
 * ones. */
TEST_CASE(rtl_fsm, is_the_recorded_rtl_in_every_cycle)
{
    const char *folder = getenv("RTL_RECORDINGS");
    char pattern[600];
    glob_t found;
    uint64_t rows = 0;
    snprintf(pattern, sizeof pattern, "%s/*_req.csv.gz",
             folder != NULL ? folder : TEST_SOURCE_DIR "/traces/rtl");
    REQUIRE(glob(pattern, 0, NULL, &found) == 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        rows += replay(found.gl_pathv[i]);
    globfree(&found);
    EXPECT(rows > 4000);
}
