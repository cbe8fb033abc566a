/* SPDX-License-Identifier: Apache-2.0 */
/* The model against the recordings in traces/rtl: they agree, and every parameter counts.
 */
#include <stdio.h>
#include <string.h>

#include "sim/app/preset.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

#define RECORDINGS TEST_SOURCE_DIR "/traces/rtl"

static struct program_result r;

/* The first line of what was printed that begins so: all of its rows agree. */
static void expect_agreement(const char *label, uint64_t rows)
{
    const char *line = strstr(r.out, label);
    unsigned long all, agree;
    REQUIRE(line != NULL);
    REQUIRE(sscanf(line + strlen(label), "%lu %lu", &all, &agree) == 2);
    EXPECT_EQUAL(all, rows);
    EXPECT_EQUAL(agree, rows);
}

TEST_CASE(rtl_check, every_recorded_row_agrees)
{
    program_run(&r, "rtl-check " RECORDINGS);
    EXPECT_EQUAL(r.status, 0);
    EXPECT_TEXT(r.err, "");
    expect_agreement("cal_r0_plain requests", 2000);
    expect_agreement("cal_r1_mixed requests", 1982);
    expect_agreement("  commands", 61);
    expect_agreement("  fault records", 90);
}

/* One cycle more on each timing parameter of the preset. */
TEST_CASE(rtl_check, no_timing_parameter_is_idle)
{
    char arguments[512], key[96];
    unsigned tried = 0;
    for (const struct preset_value *v = preset_find("riscv-zdl")->value;
         v->assignment != NULL; v++) {
        unsigned cycles;
        if (sscanf(v->assignment, "%95[^=]=%u", key, &cycles) != 2
            || strstr(key, "_cycles") == NULL)
            continue;
        snprintf(arguments, sizeof arguments, "rtl-check " RECORDINGS " --set %s=%u", key,
                 cycles + 1);
        program_run(&r, arguments);
        if (r.status != 1)
            printf("%s is idle\n", key);
        EXPECT_EQUAL(r.status, 1);
        tried++;
    }
    EXPECT(tried >= 12);
}

TEST_CASE(rtl_check, policies_count_too)
{
    static const char *const other[] = {
        "iotlb.replacement=lru",     "iotlb.prefer_invalid=1", "iotlb.ways=4",
        "walker.fill_denied=0",      "iommu.relookup=0",       "faultq.drops=0",
        "context.replacement=random"
    };
    char arguments[512];
    for (unsigned i = 0; i < sizeof other / sizeof other[0]; i++) {
        snprintf(arguments, sizeof arguments, "rtl-check " RECORDINGS " --set %s",
                 other[i]);
        program_run(&r, arguments);
        if (r.status != 1)
            printf("%s is idle\n", other[i]);
        EXPECT_EQUAL(r.status, 1);
    }
}

/* A disagreement is shown as the RTL had it and as the model has it. */
TEST_CASE(rtl_check, a_disagreement_is_shown_side_by_side)
{
    program_run(&r, "rtl-check " RECORDINGS " --show 2 --set walker.fill_cycles=2");
    EXPECT_EQUAL(r.status, 1);
    EXPECT_HAS(r.out, "cal_r0_plain_req, line 7: read of 0x1000011400 by device 0x2f");
    EXPECT_HAS(r.out, "* done     320                               321\n");
    EXPECT_HAS(r.out, "cal_r0_plain_req, line 8: read of 0x100000fae0");
    EXPECT(strstr(r.out, "_req, line 9:") == NULL);
}

static void expect_refusal(const char *arguments, const char *part)
{
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, 2);
    EXPECT_HAS(r.err, part);
    const char *newline = strchr(r.err, '\n');
    EXPECT(newline != NULL && newline[1] == '\0');
}

TEST_CASE(rtl_check, bad_input_gets_one_clear_line)
{
    expect_refusal("rtl-check", "rtl-check: expected one folder");
    expect_refusal("rtl-check @/missing", "missing: No such file");
    expect_refusal("rtl-check " TEST_SOURCE_DIR "/traces/samples",
                   "expected recordings of an RTL");
    expect_refusal("rtl-check " RECORDINGS " --set iommu.period=1", "did you mean");
    expect_refusal("rtl-check " RECORDINGS " --set iommu.arch=vtd",
                   "iommu.arch: expected riscv, got 'vtd'");
    expect_refusal("rtl-check " RECORDINGS " --show x", "x: invalid numeric value");
    expect_refusal("rtl-check " RECORDINGS " --json /no/such/folder.json", "cannot write");
}

TEST_CASE(rtl_check, json_has_every_run_and_the_sum)
{
    program_run(&r, "rtl-check " RECORDINGS " --json -");
    EXPECT_EQUAL(r.status, 0);
    EXPECT(r.out[0] == '{');
    EXPECT_HAS(r.out, "\"name\": \"cal_r0_plain\"");
    EXPECT_HAS(r.out, "\"name\": \"cal_r1_mixed\"");
    EXPECT_HAS(r.out, "\"hang\": 0");
}
