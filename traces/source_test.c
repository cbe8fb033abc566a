/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

/* Some text that packs to several deflate blocks' worth of different symbols. */
static struct fixture_bytes make_text(size_t bytes)
{
    struct fixture_bytes text = { malloc(bytes), bytes };
    struct rng rng            = rng_make(1, "text");
    CHECK(text.data != NULL);
    for (size_t i = 0; i < bytes; i++)
        text.data[i] =
            (uint8_t)(rng_below(&rng, 40) == 0 ? '\n' : 'a' + rng_below(&rng, 20));
    return text;
}

/* Everything that the source gives, in pieces of odd sizes; -1 when it fails. */
static long drain(struct trace_source *source, struct fixture_bytes *out,
                  struct error *error)
{
    size_t used = 0;
    for (size_t step = 1;; step = step * 3 % 1009 + 1) {
        CHECK(used + step <= out->bytes);
        const long got = trace_source_read(source, out->data + used, step, error);
        if (got < 0)
            return -1;
        used += (size_t)got;
        if ((size_t)got < step)
            return (long)used;
    }
}

static bool same_as(struct fixture_bytes stored, struct fixture_bytes want,
                    struct error *error)
{
    struct fixture_bytes out    = { malloc(want.bytes + 4096), want.bytes + 4096 };
    struct trace_source *source = trace_source_open_memory(stored.data, stored.bytes);
    error->text[0]              = '\0';
    const long got              = drain(source, &out, error);
    const bool same =
        got == (long)want.bytes && memcmp(out.data, want.data, want.bytes) == 0;
    trace_source_close(source);
    fixture_free(out);
    return same;
}

TEST_CASE(source, gives_the_same_bytes_plain_and_packed)
{
    struct fixture_bytes text   = make_text(300000);
    struct fixture_bytes packed = fixture_gzip(text);
    struct error error;
    EXPECT(same_as(text, text, &error));
    EXPECT(same_as(packed, text, &error));
    text.bytes = 0;
    EXPECT(same_as(text, text, &error));
    fixture_free(text);
    fixture_free(packed);
}

TEST_CASE(source, joins_the_members_of_a_gzip_file)
{
    struct fixture_bytes text   = make_text(5000);
    struct fixture_bytes packed = fixture_gzip(text);
    struct fixture_bytes both   = { malloc(2 * packed.bytes), 2 * packed.bytes };
    struct fixture_bytes twice  = { malloc(2 * text.bytes), 2 * text.bytes };
    struct error error;

    memcpy(both.data, packed.data, packed.bytes);
    memcpy(both.data + packed.bytes, packed.data, packed.bytes);
    memcpy(twice.data, text.data, text.bytes);
    memcpy(twice.data + text.bytes, text.data, text.bytes);
    EXPECT(same_as(both, twice, &error));
    both.data[packed.bytes] = 'x'; /* Not a member any more. */
    EXPECT(!same_as(both, twice, &error));
    EXPECT_HAS(error.text, "damaged");
    fixture_free(text);
    fixture_free(packed);
    fixture_free(both);
    fixture_free(twice);
}

TEST_CASE(source, notices_every_truncation_of_packed_data)
{
    struct fixture_bytes text   = make_text(2000);
    struct fixture_bytes packed = fixture_gzip(text);
    for (size_t bytes = 2; bytes < packed.bytes; bytes++) {
        const struct fixture_bytes cut = { packed.data, bytes };
        struct error error;
        REQUIRE(!same_as(cut, text, &error));
        REQUIRE(EXPECT_HAS(error.text, "truncated"));
    }
    fixture_free(text);
    fixture_free(packed);
}

/* Behind the ten bytes of header, of which some mean nothing to the content. */
TEST_CASE(source, notices_every_damaged_byte_of_packed_data)
{
    struct fixture_bytes text   = make_text(500);
    struct fixture_bytes packed = fixture_gzip(text);
    for (size_t at = 10; at < packed.bytes; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct error error;
            packed.data[at] = (uint8_t)(packed.data[at] ^ 1u << bit);
            REQUIRE(!same_as(packed, text, &error));
            REQUIRE(error.text[0] != '\0');
            packed.data[at] = (uint8_t)(packed.data[at] ^ 1u << bit);
        }
    fixture_free(text);
    fixture_free(packed);
}

static struct trace_source *text_source(const char *text)
{
    return trace_source_open_memory(text, strlen(text));
}

TEST_CASE(source, lines_come_without_their_ends_and_are_counted)
{
    struct trace_source *source = text_source("one\n\r\ntwo\r\n\nlast");
    const char *const want[]    = { "one", "", "two", "", "last" };
    struct error error;
    size_t bytes;

    for (unsigned i = 0; i < 5; i++) {
        const char *line = trace_source_line(source, &bytes, &error);
        REQUIRE(line != NULL);
        EXPECT_TEXT(line, want[i]);
        EXPECT_EQUAL(bytes, strlen(want[i]));
        EXPECT_EQUAL(trace_source_line_number(source), i + 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(trace_source_line(source, &bytes, &error) == NULL);
        EXPECT_TEXT(error.text, "");
    }
    trace_source_close(source);
}

/* Long enough that lines end everywhere around the borders of the buffer. */
TEST_CASE(source, lines_join_to_the_whole_text)
{
    struct fixture_bytes text   = make_text(3000000);
    struct trace_source *source = trace_source_open_memory(text.data, text.bytes);
    const char *line;
    struct error error;
    size_t bytes, used = 0;

    while ((line = trace_source_line(source, &bytes, &error)) != NULL) {
        REQUIRE(used + bytes <= text.bytes);
        REQUIRE(memcmp(text.data + used, line, bytes) == 0);
        used += bytes;
        REQUIRE(used == text.bytes || text.data[used] == '\n');
        used += used < text.bytes;
    }
    EXPECT_EQUAL(used, text.bytes);
    trace_source_close(source);
    fixture_free(text);
}

TEST_CASE(source, peeking_takes_nothing)
{
    struct trace_source *source = text_source("one\ntwo\n");
    const uint8_t *first;
    struct error error;
    size_t bytes;

    EXPECT_EQUAL(trace_source_peek(source, &first, &error), 8);
    EXPECT(memcmp(first, "one\ntwo\n", 8) == 0);
    EXPECT_TEXT(trace_source_line(source, &bytes, &error), "one");
    EXPECT_EQUAL(trace_source_peek(source, &first, &error), 4);
    char rest[16];
    EXPECT_EQUAL(trace_source_read(source, rest, sizeof rest, &error), 4);
    EXPECT(memcmp(rest, "two\n", 4) == 0);
    trace_source_close(source);
}

/* Behind a short line, so that the long one does not start at the buffer's beginning. */
static void expect_line(size_t length, bool fits)
{
    struct fixture_bytes text = { malloc(length + 3), length + 3 };
    struct error error;
    size_t bytes;
    memset(text.data, 'x', text.bytes);
    memcpy(text.data, "y\n", 2);
    text.data[text.bytes - 1] = '\n';

    struct trace_source *source = trace_source_open_memory(text.data, text.bytes);
    EXPECT_TEXT(trace_source_line(source, &bytes, &error), "y");
    const char *line = trace_source_line(source, &bytes, &error);
    EXPECT((line != NULL) == fits);
    if (line != NULL)
        EXPECT_EQUAL(strlen(line), length);
    else
        EXPECT_TEXT(error.text, "line 2: longer than 1048576 bytes");
    trace_source_close(source);
    fixture_free(text);
}

TEST_CASE(source, a_line_may_have_a_mebibyte_and_no_more)
{
    expect_line(TRACE_LINE_MAX - 1, true);
    expect_line(TRACE_LINE_MAX, true);
    expect_line(TRACE_LINE_MAX + 1, false);
    expect_line(3 * TRACE_LINE_MAX, false);
}

TEST_CASE(source, a_pipe_is_read_once)
{
    int ends[2];
    char path[32];
    struct trace_source *source;
    struct error error;
    size_t bytes;

    REQUIRE(pipe(ends) == 0);
    REQUIRE(write(ends[1], "line\n", 5) == 5);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    REQUIRE(trace_source_open(&source, path, &error));
    EXPECT_TEXT(trace_source_line(source, &bytes, &error), "line");
    EXPECT(!trace_source_rewind(source, &error));
    EXPECT_HAS(error.text, "second time");
    trace_source_close(source);
    close(ends[0]);
}
