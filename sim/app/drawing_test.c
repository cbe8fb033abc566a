/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/drawing.h"

#include <stdlib.h>
#include <string.h>

#include "sim/test/program.h"
#include "sim/test/shim.h"

#define SAMPLE "@SAMPLE/nvme-randread-4k.iovatrace --limit 3 "

static struct program_result r;

TEST_CASE(drawing, a_window_is_a_length_or_a_place_and_a_length_or_all)
{
    static const struct {
        const char *text;
        sim_time_t from, to;
    } good[]                       = { { "1ns", 0, 1000 },
                                       { "50us", 0, 50 * TIME_US },
                                       { "0us+7ns", 0, 7000 },
                                       { "2ms+3us", 2 * TIME_MS, 2 * TIME_MS + 3 * TIME_US },
                                       { "1s+1s", 1000 * TIME_MS, 2000 * TIME_MS },
                                       { "all", 0, TIME_NEVER } };
    static const char *const bad[] = { "",
                                       "5",
                                       "us",
                                       "0us",
                                       "5us+",
                                       "5us+5",
                                       "5us+0us",
                                       "-5us",
                                       " 5us",
                                       "5 us",
                                       "5us ",
                                       "all+5us",
                                       "5us+1h",
                                       "5us+-1us",
                                       "99999999999999999999s",
                                       "9999999999s+1s" };
    struct scope_window w;
    struct error error;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        EXPECT(window_parse(good[i].text, &w, &error));
        EXPECT_EQUAL(w.from, good[i].from);
        EXPECT_EQUAL(w.to, good[i].to);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT(!window_parse(bad[i], &w, &error));
        EXPECT_HAS(error.text, "--timeline-window: expected");
    }
}

static void refuses(const char *arguments, const char *part)
{
    program_run(&r, arguments);
    EXPECT_EQUAL(r.status, 2);
    EXPECT_TEXT(r.out, "");
    EXPECT_HAS(r.err, part);
    EXPECT_EQUAL(program_files("drawn"), 0); /* Nothing half-written is left. */
}

TEST_CASE(drawing, what_cannot_be_drawn_is_refused_in_one_line)
{
    refuses("replay " SAMPLE "--vcd @/drawn", "expected one run, got 9");
    refuses("replay " SAMPLE "--vcd @/drawn --api sg --policy lazy --host direct",
            "expected --host systemc");
    refuses("replay " SAMPLE "--vcd /dev/null --api sg --policy lazy", "not an ordinary");
    refuses("replay " SAMPLE "--vcd @/drawn --api sg --policy lazy --timeline-window 1s+1s",
            "nothing happens in the window");
    refuses("replay " SAMPLE "--timeline -", "expected a file");
    refuses("replay " SAMPLE "--timeline @/no/drawn", "cannot write");
    refuses("replay " SAMPLE "--timeline-window 5us", "expected --timeline or --vcd");
}

TEST_CASE(drawing, both_hosts_and_both_ways_of_running_draw_the_same)
{
    size_t bytes[3];
    char *drawn[3];
    program_run(&r,
                "replay " SAMPLE "--timeline @/drawn0 --vcd @/w0 --api sg --policy lazy");
    EXPECT_EQUAL(r.status, 0);
    program_run(&r, "replay " SAMPLE
                    "--timeline @/drawn1 --api sg --policy lazy --host direct");
    program_run(&r,
                "replay " SAMPLE "--timeline @/drawn2 --vcd @/w1 --api sg --policy lazy "
                "--run-ahead off");
    static const char *const name[] = { "drawn0", "drawn1", "drawn2", "w0", "w1" };
    for (unsigned i = 0; i < 3; i++) {
        drawn[i] = program_file(program_path(name[i]), &bytes[i]);
        REQUIRE(drawn[i] != NULL);
        EXPECT(bytes[i] > 10000);
        EXPECT(bytes[i] == bytes[0] && memcmp(drawn[i], drawn[0], bytes[0]) == 0);
    }
    for (unsigned i = 0; i < 3; i++)
        free(drawn[i]);
    for (unsigned i = 0; i < 2; i++) {
        drawn[i] = program_file(program_path(name[3 + i]), &bytes[i]);
        REQUIRE(drawn[i] != NULL);
    }
    EXPECT(bytes[1] == bytes[0] && memcmp(drawn[0], drawn[1], bytes[0]) == 0);
    for (unsigned i = 0; i < 5; i++)
        remove(program_path(name[i]));
    free(drawn[0]);
    free(drawn[1]);
}
