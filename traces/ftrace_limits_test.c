/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the importer does when a text has more of something than it keeps.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"
#include "traces/ftrace_gather.h"
#include "traces/source.h"
#include "traces/window.h"

static struct trace_reader *open_text(const char *text, size_t bytes)
{
    struct trace_source *source = trace_source_open_memory(text, bytes);
    struct trace_reader *reader;
    struct error error;
    CHECK(trace_open_source(&reader, source, "text", "ftrace", &error));
    return reader;
}

/* The next record, which there must be. */
static struct trace_record next(struct trace_reader *reader)
{
    struct trace_record record;
    struct error error;
    CHECK(trace_next(reader, &record, &error) == 1);
    return record;
}

static bool ended(struct trace_reader *reader)
{
    struct trace_record record;
    struct error error;
    return trace_next(reader, &record, &error) == 0;
}

static size_t append(char *text, size_t used, size_t limit, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int bytes = vsnprintf(text + used, limit - used, format, args);
    va_end(args);
    CHECK(bytes > 0 && (size_t)bytes < limit - used);
    return used + (size_t)bytes;
}

/* The first request never completes: the others must come out all the same, in order, and
 * with what is known of them. */
TEST_CASE(ftrace_limits, a_request_that_never_completes_leaves_with_the_window)
{
    enum { REQUESTS = 3 * WINDOW_REQUESTS_MAX, LINE = 128 };
    const size_t limit = (size_t)REQUESTS * 2 * LINE;
    char *text         = malloc(limit);
    size_t used        = 0;
    CHECK(text != NULL);
    for (unsigned i = 0; i < REQUESTS; i++) {
        used =
            append(text, used, limit,
                   "a-1 [0] 1.%06u: block_rq_issue: 8,0 R 4096 () %u + 8 [a]\n", i, i * 8);
        if (i != 0)
            used = append(text, used, limit,
                          "a-1 [0] 1.%06u: block_rq_complete: 8,0 R () %u + 8 [0]\n", i,
                          i * 8);
    }
    struct trace_reader *reader = open_text(text, used);
    for (unsigned i = 0; i < REQUESTS; i++) {
        const struct trace_record record = next(reader);
        REQUIRE(EXPECT_EQUAL(record.lba, i * 8));
        REQUIRE((record.latency_ns == TRACE_LATENCY_UNKNOWN) == (i == 0));
        REQUIRE(EXPECT_EQUAL(record.depth, i > 0 && i < WINDOW_REQUESTS_MAX ? 2 : 1));
    }
    EXPECT(ended(reader));
    trace_close(reader);
    free(text);
}

/* The silent threads are forgotten, the last ones are not. */
TEST_CASE(ftrace_limits, threads_beyond_the_limit_are_forgotten)
{
    enum { THREADS = GATHER_THREADS_MAX + 1 };
    static char text[(THREADS + 4) * 512];
    size_t used = 0;
    for (unsigned i = 0; i < THREADS; i++)
        used = append(text, used, sizeof text,
                      "a-%u [0] 1.%06u: nvme_setup_cmd: nvme0: qid=1, cmdid=%u, cmd=()\n"
                      "a-%u [0] 1.%06u: dma_map_phys: x size=4096 phys_addr=%x000\n",
                      i + 1, i, i, i + 1, i, i);
    for (unsigned thread = 2; thread <= THREADS; thread += THREADS - 2)
        used = append(text, used, sizeof text,
                      "a-%u [0] 1.1: block_rq_issue: 8,0 R 4096 () 0 + 8 [a]\n", thread);
    used                        = append(text, used, sizeof text,
                                         "a-1 [0] 1.1: block_rq_issue: 8,0 R 4096 () 0 + 8 [a]\n");
    struct trace_reader *reader = open_text(text, used);
    EXPECT_EQUAL(next(reader).segment_count, 1);
    const struct trace_record last = next(reader);
    REQUIRE(EXPECT_EQUAL(last.segment_count, 1));
    EXPECT_EQUAL(last.segment[0].pa, (THREADS - 1) * 4096);
    EXPECT_EQUAL(next(reader).segment_count, 0);
    EXPECT(ended(reader));
    trace_close(reader);
}

/* The events of a request made of that many pages, appended to text. */
static size_t append_scattered(char *text, size_t used, size_t limit, unsigned id,
                               unsigned pieces)
{
    used = append(text, used, limit,
                  "a-1 [0] 1.1: nvme_setup_cmd: nvme0: qid=1, cmdid=%u\n", id);
    for (unsigned i = 0; i < pieces; i++)
        used = append(text, used, limit,
                      "a-1 [0] 1.1: dma_map_phys: x size=4096 phys_addr=%x000\n", 2 * i);
    return append(text, used, limit,
                  "a-1 [0] 1.1: block_rq_issue: 8,0 R %u () %u + %u [a]\n", pieces * 4096,
                  id, pieces * 8);
}

/* Requests that never complete are kept only while there is room for their segments, which
 * the depth shows: those that have left count no more. */
TEST_CASE(ftrace_limits, the_window_is_full_of_segments_as_well)
{
    enum { FIT = WINDOW_SEGMENTS_MAX / TRACE_SEGMENTS_MAX, REQUESTS = FIT + 6 };
    const size_t limit = (size_t)(REQUESTS + 1) * TRACE_SEGMENTS_MAX * 64;
    char *text         = malloc(limit);
    CHECK(text != NULL);
    size_t used =
        append(text, 0, limit, "a-1 [0] 1.0: block_rq_complete: 8,0 N () 0 + 0 [0]\n");
    for (unsigned i = 0; i < REQUESTS; i++)
        used = append_scattered(text, used, limit, i, TRACE_SEGMENTS_MAX);

    struct trace_reader *reader = open_text(text, used);
    for (unsigned i = 0; i < REQUESTS; i++) {
        const struct trace_record record = next(reader);
        REQUIRE(EXPECT_EQUAL(record.segment_count, TRACE_SEGMENTS_MAX));
        REQUIRE(EXPECT_EQUAL(record.lba, i));
        REQUIRE(EXPECT_EQUAL(record.depth, i < FIT ? i + 1 : FIT));
    }
    EXPECT(ended(reader));
    trace_close(reader);
    free(text);
}

/* A request of more pieces than a record may have is one whose memory is not known. */
TEST_CASE(ftrace_limits, too_many_pieces_leave_the_memory_unknown)
{
    for (unsigned pieces = TRACE_SEGMENTS_MAX; pieces <= TRACE_SEGMENTS_MAX + 1; pieces++) {
        const size_t limit = (size_t)pieces * 128 + 1024;
        char *text         = malloc(limit);
        CHECK(text != NULL);
        struct trace_reader *reader =
            open_text(text, append_scattered(text, 0, limit, 1, pieces));
        EXPECT_EQUAL(next(reader).segment_count,
                     pieces == TRACE_SEGMENTS_MAX ? TRACE_SEGMENTS_MAX : 0);
        EXPECT(ended(reader));
        trace_close(reader);
        free(text);
    }
}

/* Devices are numbered; there is an end to it. */
TEST_CASE(ftrace_limits, too_many_devices_are_an_error)
{
    const size_t limit = (size_t)(TRACE_DEVICES_MAX + 2) * 80;
    char *text         = malloc(limit);
    size_t used        = 0;
    struct trace_record record;
    struct error error = { "" };
    CHECK(text != NULL);
    for (unsigned i = 0; i <= TRACE_DEVICES_MAX; i++)
        used = append(text, used, limit,
                      "a-1 [0] 1.1: block_rq_issue: %u,%u R 4096 () 0 + 8 [a]\n", i / 64,
                      i % 64);
    struct trace_reader *reader = open_text(text, used);
    while (trace_next(reader, &record, &error) == 1)
        continue;
    EXPECT_TEXT(error.text, "text: line 4097: block_rq_issue: more than 4096 devices");
    trace_close(reader);
    free(text);
}
