/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/generator.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/sources.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

static struct config config;

static void configure(const char *const *set)
{
    struct error error = { "" };
    REQUIRE(config_init(&config, NULL, &error));
    for (; *set != NULL; set++)
        REQUIRE(config_set(&config, *set, &error));
}

static struct trace_reader *open_path(const char *path, uint64_t seed)
{
    struct error error = { "" };
    struct trace_reader *reader;
    CHECK(sources_open(&reader, path, NULL, &config, seed, &error));
    return reader;
}

static uint64_t digest_of(struct trace_reader *reader, uint64_t *records)
{
    struct trace_record r;
    struct error error = { "" };
    uint64_t digest    = 0;
    for (*records = 0; trace_next(reader, &r, &error) == 1; ++*records)
        digest = fixture_digest(digest, &r);
    EXPECT_TEXT(error.text, "");
    return digest;
}

static void each_path(unsigned i, char path[64])
{
    snprintf(path, 64, "gen:%s", gen_table[i]->name);
}

/* trace_next checks each record against the rules of every trace. */
TEST_CASE(generator, every_one_makes_the_same_legal_records_again_and_others_by_seed)
{
    static const char *const set[] = { "gen.requests=3000", "gen.cpus=3", NULL };
    configure(set);
    for (unsigned i = 0; gen_table[i] != NULL; i++) {
        char path[64];
        struct error error = { "" };
        uint64_t records, again, other;
        each_path(i, path);
        struct trace_reader *reader = open_path(path, 1), *second = open_path(path, 2);
        const uint64_t digest = digest_of(reader, &records);
        EXPECT(records > 0);
        EXPECT(records <= 3000);
        REQUIRE(trace_rewind(reader, &error));
        EXPECT_EQUAL(digest_of(reader, &again), digest);
        EXPECT_EQUAL(again, records);
        const bool by_chance = strncmp(gen_table[i]->name, "seq", 3) != 0
                               && strncmp(gen_table[i]->name, "rdma_", 5) != 0
                               && strcmp(gen_table[i]->name, "churn") != 0;
        EXPECT_EQUAL(digest_of(second, &other) != digest, by_chance);
        EXPECT_EQUAL(other, records);
        EXPECT_TEXT(trace_about(reader)->format, "generated");
        EXPECT_TEXT(trace_about_find(trace_about(reader), "generator"), gen_table[i]->name);
        trace_close(reader);
        trace_close(second);
    }
    config_free(&config);
}

TEST_CASE(generator, a_block_request_lies_within_the_span_whatever_its_size)
{
    static const char *const set[] = {
        "gen.requests=2000",    "gen.span_mib=1",
        "gen.block_kib=300",    "gen:mix.sequential_percent=50",
        "gen:mix.weight_1m=20", NULL
    };
    const char *const path[] = { "gen:randread", "gen:randwrite", "gen:seqread",
                                 "gen:seqwrite", "gen:randrw",    "gen:mix" };
    configure(set);
    for (unsigned i = 0; i < sizeof path / sizeof path[0]; i++) {
        struct trace_reader *reader = open_path(path[i], 5);
        struct error error;
        struct trace_record r;
        uint64_t last = 0;
        while (trace_next(reader, &r, &error) == 1) {
            EXPECT(r.lba * 512 + r.bytes <= 1 << 20);
            last = r.lba > last ? r.lba : last;
        }
        EXPECT(last > 0 || i == 5); /* Not all at one place. */
        trace_close(reader);
    }
    config_free(&config);
}

TEST_CASE(generator, shares_are_those_that_were_asked_for)
{
    static const char *const set[] = { "gen.requests=20000", "gen:randrw.read_percent=25",
                                       NULL };
    struct trace_record r;
    struct error error;
    uint64_t reads = 0, small = 0, all = 0;
    configure(set);
    struct trace_reader *reader = open_path("gen:randrw", 1);
    while (trace_next(reader, &r, &error) == 1)
        reads += r.op == TRACE_READ;
    EXPECT(reads > 4700);
    EXPECT(reads < 5300);
    trace_close(reader);
    reader = open_path("gen:mix", 1);
    while (trace_next(reader, &r, &error) == 1) {
        small += r.bytes == 4096;
        all++;
    }
    EXPECT(small > all * 58 / 100);
    EXPECT(small < all * 62 / 100);
    trace_close(reader);
    config_free(&config);
}

TEST_CASE(generator, a_sequential_one_goes_on_where_it_ended_and_around_at_the_end)
{
    static const char *const set[] = { "gen.requests=17", "gen.span_mib=1",
                                       "gen.block_kib=64", NULL };
    struct trace_record r;
    struct error error;
    uint64_t n = 0;
    configure(set);
    struct trace_reader *reader = open_path("gen:seqwrite", 1);
    for (; trace_next(reader, &r, &error) == 1; n++)
        EXPECT_EQUAL(r.lba, n % 16 * 128);
    EXPECT_EQUAL(n, 17);
    trace_close(reader);
    config_free(&config);
}

/* As recorded: data, journal, flush, commit block. */
TEST_CASE(generator, a_burst_of_fsync_has_the_order_of_the_recorded_file_system)
{
    static const char *const set[]    = { "gen.requests=10", "gen:fsync.data_requests=2",
                                          NULL };
    static const enum trace_op want[] = { TRACE_WRITE, TRACE_WRITE, TRACE_WRITE,
                                          TRACE_FLUSH, TRACE_WRITE };
    struct trace_record r;
    struct error error;
    uint64_t n = 0;
    configure(set);
    struct trace_reader *reader = open_path("gen:fsync", 1);
    for (; trace_next(reader, &r, &error) == 1; n++) {
        EXPECT_EQUAL(r.op, want[n % 5]);
        EXPECT_EQUAL(r.depth, n % 5 < 2 ? 32 : 1);
    }
    EXPECT_EQUAL(n, 10);
    trace_close(reader);
    config_free(&config);
}

TEST_CASE(generator, an_interval_sets_times_and_one_that_never_ends_is_refused)
{
    static const char *const set[] = { "gen.requests=1099511627776",
                                       "gen.interval_ns=1000000000", NULL };
    struct trace_record r;
    struct error error = { "" };
    uint64_t n         = 0;
    int got;
    configure(set);
    struct trace_reader *reader = open_path("gen:seqread", 1);
    for (; (got = trace_next(reader, &r, &error)) == 1 && n < 20000000; n++)
        EXPECT_EQUAL(r.time_ns, n * 1000000000);
    EXPECT_EQUAL(got, -1);
    EXPECT_EQUAL(n, 9000001);
    EXPECT_HAS(error.text, "gen:seqread: record 9000001: gen.interval_ns");
    trace_close(reader);
    config_free(&config);
}

TEST_CASE(generator, mistakes_are_one_line_that_names_the_key)
{
    static const char *const none[] = { NULL };
    struct error error              = { "" };
    struct trace_reader *reader     = NULL;
    configure(none);
    EXPECT(!sources_open(&reader, "gen:randreed", NULL, &config, 0, &error));
    EXPECT_HAS(error.text, "gen:randreed: no such generator; there are: ");
    EXPECT_HAS(error.text, "randread");
    EXPECT(reader == NULL);
    EXPECT(!sources_open(&reader, "gen:mix", "fio", &config, 0, &error));
    EXPECT_HAS(error.text, "--from: expected no format for gen:mix, got fio");
    EXPECT(!config_set(&config, "gen:randrw.read_percent=101", &error));
    EXPECT_HAS(error.text, "gen:randrw.read_percent");
    REQUIRE(config_set(&config, "gen:trim.discard_percent=80", &error));
    EXPECT(!config_check(&config, &error));
    EXPECT_HAS(error.text, "gen:trim.zeroes_percent: expected at most 20");
    config_free(&config);
}

TEST_CASE(generator, a_sum_tells_apart_what_gives_other_records)
{
    static const char *const none[] = { NULL };
    struct error error;
    char a[FILE_SHA256_CHARS + 1], b[FILE_SHA256_CHARS + 1];
    configure(none);
    REQUIRE(sources_sha256("gen:mix", &config, 1, a, &error));
    REQUIRE(sources_sha256("gen:mix", &config, 2, b, &error));
    EXPECT(strcmp(a, b) != 0);
    REQUIRE(config_set(&config, "gen:mix.weight_8k=16", &error));
    REQUIRE(sources_sha256("gen:mix", &config, 1, b, &error));
    EXPECT(strcmp(a, b) != 0);
    EXPECT(!sources_sha256("gen:foo", &config, 1, a, &error));
    EXPECT_HAS(error.text, "gen:foo");
    config_free(&config);
}
