/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/directed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/app/config.h"
#include "sim/test/shim.h"

#define FILES TEST_SOURCE_DIR "/traces/rtl/directed/"

static const char *const files[] = {
    "iotlb4.csv.gz",
    "iotlb16.csv.gz",
    "iotlb16_pdt.csv.gz",
    "iotlb16_extDC.csv.gz",
    "ddt_pdt_faults.csv.gz",
    "iotlb16_memaccess.csv.gz",
    "iotlb16_pdt_memaccess.csv.gz",
    "iotlb16_extDC_memaccess.csv.gz",
    "inflight_stage1.csv.gz",
    "inflight_nested.csv.gz",
};

/* The RTL's preset with one more assignment (NULL: none) on all files from first to last.
 */
static void check_files(const char *assignment, unsigned first, unsigned last,
                        struct directed_report *report)
{
    struct config config;
    struct error error = { "" };
    memset(report, 0, sizeof *report);
    REQUIRE(config_init(&config, "riscv-zdl", &error));
    if (assignment != NULL)
        EXPECT(config_set(&config, assignment, &error));
    EXPECT(config_check(&config, &error));
    const struct iommu_settings settings = config_settings(&config);
    for (unsigned i = first; i <= last; i++) {
        char path[512];
        snprintf(path, sizeof path, FILES "%s", files[i]);
        EXPECT(directed_is(path));
        EXPECT(directed_check(path, &settings, report, &error));
        EXPECT_TEXT(error.text, "");
    }
    config_free(&config);
}

static uint64_t sum(const uint64_t *of_rule)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < DIRECTED_RULE_COUNT; i++)
        all += of_rule[i];
    return all;
}

TEST_CASE(rtl_directed, every_row_agrees_or_is_left_out_by_a_rule)
{
    static struct directed_report r;
    check_files(NULL, 0, sizeof files / sizeof *files - 1, &r);
    EXPECT_EQUAL(r.files, sizeof files / sizeof *files);
    EXPECT_EQUAL(r.all.rows, 3047);
    EXPECT_EQUAL(r.all.disagreed, 0);
    EXPECT_EQUAL(r.all.agreed + sum(r.all.excluded), r.all.rows);
    EXPECT(r.all.agreed > 2600);
    for (uint32_t i = 0; i < r.shown; i++)
        EXPECT_TEXT(r.disagreement[i].text, "");
}

/* A parameter, and a file whose rows are not the same with another value of it. */
struct seen {
    const char *assignment;
    unsigned file;
};

static void expect_seen(const struct seen *other, size_t count)
{
    static struct directed_report r;
    for (size_t i = 0; i < count; i++) {
        check_files(other[i].assignment, other[i].file, other[i].file, &r);
        if (!EXPECT(r.all.disagreed > 0))
            EXPECT_TEXT(other[i].assignment, "a parameter that matters");
        EXPECT(r.shown > 0);
    }
}

TEST_CASE(rtl_directed, a_cycle_more_in_any_parameter_is_found)
{
    static const struct seen other[] = {
        { "iommu.accept_cycles=2", 0 },     { "iommu.respond_cycles=2", 0 },
        { "iommu.turnaround_cycles=2", 0 }, { "context.start_cycles=2", 0 },
        { "context.step_cycles=2", 3 },     { "context.fill_cycles=3", 0 },
        { "context.fault_cycles=2", 4 },    { "walker.start_cycles=2", 0 },
        { "walker.step_cycles=2", 0 },      { "walker.fill_cycles=2", 0 },
        { "invq.start_cycles=2", 0 },       { "invq.execute_cycles=2", 0 },
        { "invq.next_cycles=3", 0 },        { "invq.write_cycles=3", 0 },
        { "faultq.issue_cycles=6", 0 },     { "faultq.complete_cycles=2", 0 },
    };
    expect_seen(other, sizeof other / sizeof *other);
}

TEST_CASE(rtl_directed, another_choice_than_the_rtls_is_found)
{
    static const struct seen other[] = {
        { "iommu.read_priority=0", 0 },       { "iommu.relookup=0", 8 },
        { "context.refetch=0", 8 },           { "context.fill_after_flush=0", 8 },
        { "walker.fill_after_flush=0", 8 },   { "memport.arbiter=fixed", 8 },
        { "memport.arbiter=round_robin", 8 }, { "memport.inflight_max=1", 0 },
        { "invq.write_waits=0", 0 },          { "faultq.drops=0", 0 },
        { "iotlb.replacement=lru", 0 },       { "iotlb.prefer_invalid=1", 0 },
        { "riscv.recheck_dirty=1", 0 },       { "walkcache.level1_entries=4", 0 },
    };
    expect_seen(other, sizeof other / sizeof *other);
}

/* ---- Files that are not as they should be ----------------------------------------------
 */

#define COLUMNS                                                                            \
    "exp,iotlb_entries,pc_enabled,ddt_levels,pdt_levels,stage,s1_leaf,s2_leaf,L,LW,"       \
    "metric,value,note\n"

static bool check_text(const char *text, struct directed_report *report,
                       struct error *error)
{
    struct config config;
    char path[]  = "/tmp/iovasim-directed-XXXXXX";
    const int fd = mkstemp(path);
    memset(report, 0, sizeof *report);
    error->text[0] = '\0';
    if (!EXPECT(fd >= 0) || !EXPECT(config_init(&config, "riscv-zdl", error)))
        return false;
    FILE *const f = fdopen(fd, "w");
    fputs(text, f);
    fclose(f);
    const struct iommu_settings settings = config_settings(&config);
    const bool ok                        = directed_check(path, &settings, report, error);
    config_free(&config);
    unlink(path);
    return ok;
}

static void expect_refused(const char *text, const char *part)
{
    static struct directed_report r;
    struct error error;
    EXPECT(!check_text(text, &r, &error));
    EXPECT_HAS(error.text, part);
}

TEST_CASE(rtl_directed, what_is_not_known_is_an_error_with_its_line)
{
    expect_refused(COLUMNS "speed,4,0,1,0,S1,4K,-,10,10,any,1,\n",
                   ", line 2: unknown experiment 'speed'");
    expect_refused(COLUMNS "cmd.NOP,4,0,1,0,S1,4K,-,10,10,any,1,\n",
                   ", line 2: unknown experiment 'cmd.NOP'");
    expect_refused(COLUMNS "latency.first,4,0,1,0,S1,4K,-,10,10,any,1,\n",
                   ", line 2: unknown experiment 'latency.first'");
    expect_refused(COLUMNS "latency,4,0,1,0,S1,4K,-,10,10,first_page_again,2,hit\n"
                           "latency,4,0,1,0,S1,4K,-,10,10,warmth,2,\n",
                   ", line 3: latency: unknown metric 'warmth'");
    expect_refused(COLUMNS "latency,4,0,1,0,S1,4K,4K,10,10,any,1,\n",
                   ", line 2: column s2_leaf: expected - (the stage is off), got '4K'");
    expect_refused(COLUMNS "latency,4,0,4,0,S1,4K,-,10,10,any,1,\n",
                   ", line 2: column ddt_levels: expected a number of at most 3, got '4'");
    expect_refused(COLUMNS "latency_pdt,4,1,1,0,S1,4K,-,10,10,all_hit,1,\n",
                   ", line 2: latency_pdt: expected a process directory");
}

TEST_CASE(rtl_directed, a_wrong_value_or_note_is_a_disagreement)
{
    static struct directed_report r;
    struct error error;
    EXPECT(check_text(COLUMNS "latency,8,0,2,0,S1,2M,-,7,3,first_page_again,2,hit\n"
                              "latency,8,0,2,0,S1,2M,-,7,3,first_page_again,3,hit\n"
                              "latency,8,0,2,0,S1,2M,-,7,3,first_page_again,2,nohit\n",
                      &r, &error));
    EXPECT_EQUAL(r.all.rows, 3);
    EXPECT_EQUAL(r.all.agreed, 1);
    EXPECT_EQUAL(r.all.disagreed, 2);
    EXPECT_EQUAL(r.shown, 2);
    EXPECT_HAS(r.disagreement[0].text,
               ", line 3: latency: first_page_again: RTL 3 'hit', model 2 'hit'");
}
