/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/ftrace_line.h"

#include <stdio.h>

#include "sim/test/shim.h"

TEST_CASE(ftrace_line, lines_are_taken_apart)
{
    struct ftrace_line line;
    REQUIRE(ftrace_line_split(" a [1] b-1 c-42  [007] dNZ2.    1.5: map: IOMMU: x", &line));
    EXPECT_EQUAL(line.cpu, 7);
    EXPECT_EQUAL(line.pid, 42);
    EXPECT_EQUAL(line.context, FTRACE_NMI);
    EXPECT_EQUAL(line.time_ns, 1500000000);
    EXPECT_EQUAL(line.event_bytes, 3);
    EXPECT_TEXT(line.fields, "IOMMU: x");
    REQUIRE(ftrace_line_split("a-1 (2) [0] ..s. 1.000000001: e: f", &line));
    EXPECT_EQUAL(line.pid, 1);
    EXPECT_EQUAL(line.context, FTRACE_SOFTIRQ);
    EXPECT_EQUAL(line.time_ns, 1000000001);
    const struct {
        const char *flags;
        enum ftrace_context context;
    } who[] = {
        { ".....", FTRACE_TASK },    { "dNsh1", FTRACE_SOFTIRQ },
        { "d.h1.", FTRACE_HARDIRQ }, { "d.H1.", FTRACE_HARDIRQ },
        { "d.z1.", FTRACE_NMI },     { "d.Z1", FTRACE_NMI },
        { "b..1.", FTRACE_TASK },    { "hsh", FTRACE_TASK },
    };
    for (unsigned i = 0; i < sizeof who / sizeof who[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "a-1 [0] %s 1.0: e: f", who[i].flags);
        REQUIRE(ftrace_line_split(text, &line));
        EXPECT_EQUAL(line.context, who[i].context);
    }
    REQUIRE(ftrace_line_split("<idle>-0 [0] 1.0: e:", &line));
    EXPECT_EQUAL(line.pid, 0);
    EXPECT_TEXT(line.fields, "");
}

TEST_CASE(ftrace_line, what_is_no_event_is_none)
{
    const char *const no[] = {
        "",
        "# comment",
        "a-1 [0]",
        "a-1 [0] ",
        "a-1 [0] 1.5:",
        "a-1 [0] 1.5: ",
        "a-1 [0] 1.5: e",
        "a-1 [0] 1.5: func <-caller",
        "a-1 [0] 1: e: f",
        "a-1 [0] .... 1.1234567890: e: f",
        "a-1 [99999999999] 1.5: e: f",
        "a-1 [0] 99999999999999999999.5: e: f",
        "[ 1.25] usb: hello",
        "  8,0  3  1  0.000000000  697  C   W 223490 + 8 [0]",
        " => some_function",
    };
    struct ftrace_line line;
    for (unsigned i = 0; i < sizeof no / sizeof no[0]; i++)
        if (!EXPECT(!ftrace_line_split(no[i], &line)))
            printf("%s\n", no[i]);
}
