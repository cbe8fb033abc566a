/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed files, of each kind: cut anywhere, damaged, of several members, and followed
 * by something else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"
#include "traces/import.h"
#include "traces/source.h"
#include "traces/unpack.h"

/* A sample of each compression, small enough to be cut at every byte. */
static const struct packed {
    const char *unpacker, *sample;
    unsigned every; /* Of so many places to cut, one is tried. */
} packed[] = {
    { "gzip", "nvme-mixed.iolog.gz", 97 },
    { "zstd", "handmade.oracleGeneral.zst", 7 },
    { "xz", "nvme-randrw-mixed.trace-cmd.txt.xz", 97 },
    { "bzip2", "rocksdb-ycsb-a.opencas.csv.bz2", 397 },
};
enum { PACKED = sizeof packed / sizeof packed[0] };

/* All that the bytes unpack to, as one number, and how much; -1 with error set. */
static long drain(struct fixture_bytes bytes, uint64_t *sum, struct error *error)
{
    static uint8_t chunk[5000];
    struct trace_source *source = trace_source_open_memory(bytes.data, bytes.bytes);
    long total                  = 0, got;
    *sum                        = 0;
    while ((got = trace_source_read(source, chunk, sizeof chunk, error)) > 0) {
        for (long i = 0; i < got; i++)
            *sum = *sum * 31 + chunk[i];
        total += got;
    }
    trace_source_close(source);
    return got < 0 ? -1 : total;
}

TEST_CASE(unpack, every_compression_has_a_sample)
{
    unsigned found = 0;
    for (const struct unpacker *const *u = unpack_table; *u != NULL; u++)
        for (unsigned i = 0; i < PACKED; i++)
            found += strcmp((*u)->name, packed[i].unpacker) == 0;
    EXPECT_EQUAL(found, PACKED);
    EXPECT(unpack_table[PACKED] == NULL);
}

TEST_CASE(unpack, a_file_that_is_cut_anywhere_is_noticed)
{
    for (unsigned i = 0; i < PACKED; i++) {
        struct fixture_bytes whole = fixture_load(fixture_sample(packed[i].sample));
        const size_t bytes         = whole.bytes;
        uint64_t sum;
        for (size_t keep = 6; keep < bytes; keep += packed[i].every) {
            struct error error = { "" };
            whole.bytes        = keep;
            if (!EXPECT(drain(whole, &sum, &error) < 0))
                break;
            EXPECT_HAS(error.text, "truncated");
        }
        fixture_free(whole);
    }
}

TEST_CASE(unpack, damage_is_noticed_or_changes_nothing)
{
    for (unsigned i = 0; i < PACKED; i++) {
        struct fixture_bytes whole = fixture_load(fixture_sample(packed[i].sample));
        struct error error         = { "" };
        uint64_t sum, good;
        const long bytes = drain(whole, &good, &error);
        unsigned noticed = 0;
        EXPECT(bytes > 0);
        for (size_t at = 20; at + 1 < whole.bytes; at += packed[i].every) {
            whole.data[at] ^= 0x55;
            const long got = drain(whole, &sum, &error);
            noticed += got < 0;
            /* zstd's usual files from its command line have a checksum, as all others. */
            EXPECT(got < 0 || (got == bytes && sum == good));
            whole.data[at] ^= 0x55;
        }
        EXPECT(noticed > 0);
        fixture_free(whole);
    }
}

TEST_CASE(unpack, members_follow_one_another_and_nothing_else_does)
{
    for (unsigned i = 0; i < PACKED; i++) {
        struct fixture_bytes one  = fixture_load(fixture_sample(packed[i].sample));
        struct fixture_bytes more = { malloc(2 * one.bytes + 8), 2 * one.bytes };
        struct error error        = { "" };
        uint64_t sum;
        CHECK(more.data != NULL);
        memcpy(more.data, one.data, one.bytes);
        memcpy(more.data + one.bytes, one.data, one.bytes);
        const long single = drain(one, &sum, &error);
        EXPECT_EQUAL(drain(more, &sum, &error), 2 * single);
        EXPECT_TEXT(error.text, "");
        memcpy(more.data + more.bytes, "rubbish\n", 8);
        more.bytes += 8;
        EXPECT(drain(more, &sum, &error) < 0);
        fixture_free(more);
        fixture_free(one);
    }
}
