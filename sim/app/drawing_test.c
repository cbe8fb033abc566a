/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/drawing.h"

#include <stdio.h>
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
            "--vcd: nothing happens in the window");
    refuses("replay " SAMPLE "--timeline @/drawn --timeline-window 1s+1s",
            "--timeline: nothing happens in the window");
    refuses("replay " SAMPLE "--timeline -", "expected a file");
    refuses("replay " SAMPLE "--timeline @/no/drawn", "cannot write");
    refuses("replay " SAMPLE "--timeline-window 5us", "expected --timeline or --vcd");
}

/* A run's words, with one policy and API. */
static void draw(const char *words, const char *timeline, const char *vcd, const char *more)
{
    char arguments[512];
    snprintf(arguments, sizeof arguments,
             "replay %s --timeline @/%s%s%s --api sg --policy lazy %s", words, timeline,
             vcd != NULL ? " --vcd @/" : "", vcd != NULL ? vcd : "", more);
    program_run(&r, arguments);
    EXPECT_TEXT(r.err, "");
    EXPECT_EQUAL(r.status, 0);
}

static void expect_same(const char *const *name, unsigned count)
{
    size_t bytes[2];
    char *first = program_file(program_path(name[0]), &bytes[0]);
    REQUIRE(first != NULL);
    EXPECT(bytes[0] > 4000);
    for (unsigned i = 1; i < count; i++) {
        char *other = program_file(program_path(name[i]), &bytes[1]);
        REQUIRE(other != NULL);
        EXPECT(bytes[0] == bytes[1] && memcmp(first, other, bytes[0]) == 0);
        free(other);
    }
    for (unsigned i = 0; i < count; i++)
        remove(program_path(name[i]));
    free(first);
}

/* Whatever is drawn, and however it is run: the same. */
static void expect_one_drawing(const char *words)
{
    static const char *const drawn[] = { "drawn0", "drawn1", "drawn2" };
    static const char *const waves[] = { "w0", "w1" };
    draw(words, drawn[0], waves[0], "");
    draw(words, drawn[1], NULL, "--host direct");
    draw(words, drawn[2], waves[1], "--run-ahead off");
    expect_same(drawn, 3);
    expect_same(waves, 2);
}

TEST_CASE(drawing, both_hosts_and_both_ways_of_running_draw_the_same)
{
    expect_one_drawing(SAMPLE);
    expect_one_drawing("@SAMPLE/rdma-rping.verbs.txt.gz --limit 20");
    expect_one_drawing(SAMPLE "--set nvmf.remote=1");
    expect_one_drawing("gen:randread gen:randwrite --limit 6 --set replay.devices=own");
}

/* The result of a run that is drawn is that of one that is not, to the byte. */
TEST_CASE(drawing, nothing_changes_because_somebody_looks)
{
    static const char *const words[] = {
        "@SAMPLE/rdma-rping.verbs.txt.gz --limit 30 --set fabric.registration=demand",
        "gen:rdma_write_bw --limit 20 --set fabric.registration=each --preset vtd-ats",
        "@SAMPLE/nvmeof-read-64k.verbs.txt.gz --limit 30 --set fabric.hosts=3",
        SAMPLE "--set nvmf.remote=1",
    };
    static const char *const name[] = { "plain.json", "drawn.json" };
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        char arguments[512];
        snprintf(arguments, sizeof arguments,
                 "replay %s --api sg --policy lazy --json @/plain.json", words[i]);
        program_run(&r, arguments);
        EXPECT_EQUAL(r.status, 0);
        draw(words[i], "drawn", "w", "--timeline-window all --json @/drawn.json");
        expect_same(name, 2);
        remove(program_path("drawn"));
        remove(program_path("w"));
    }
}
