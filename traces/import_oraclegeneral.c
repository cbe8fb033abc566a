/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_oraclegeneral - libCacheSim's oracleGeneral: packed records of 24 bytes, time in
 * seconds (u32), object (u64), its size (u32), and when it is used next (i64).
 *
 * Objects of a cache are not places on a disk: each is put at its number times 4 KiB,
 * modulo 2^55 sectors, and every use is a read, as the format does not say otherwise.
 * There is no magic number: the times of the first records must not decrease and each
 * record must name a later use than itself, or none.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/feed.h"

enum { RECORD_BYTES = 24, RECORDS_LOOKED_AT = 64, RECORDS_NEEDED = 2, SECTORS_APART = 8 };

struct oracle {
    struct feed *feed;
    uint64_t records;
};

static uint64_t get(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | in[i];
    return value;
}

static bool plausible(const uint8_t *in, uint64_t index, uint32_t *time)
{
    const uint32_t now  = (uint32_t)get(in, 4);
    const uint64_t size = get(in + 12, 4);
    const int64_t next  = (int64_t)get(in + 16, 8);
    const bool good     = now >= *time && size != 0 && size <= TRACE_BYTES_MAX
                      && (next == -1 || next == INT64_MAX
                          || (next > (int64_t)index && next < INT64_C(1) << 48));
    *time = now;
    return good;
}

static bool oraclegeneral_recognises(const uint8_t *first, size_t bytes)
{
    const uint64_t records = bytes / RECORD_BYTES;
    uint32_t time          = 0;
    bool binary            = false;
    if (records < RECORDS_NEEDED
        || (bytes < IMPORT_PEEK_BYTES && bytes % RECORD_BYTES != 0))
        return false;
    for (uint64_t i = 0; i < records && i < RECORDS_LOOKED_AT; i++)
        if (!plausible(first + i * RECORD_BYTES, i, &time))
            return false;
    for (size_t i = 0; i < RECORDS_NEEDED * RECORD_BYTES; i++)
        binary |=
            first[i] < ' ' && first[i] != '\n' && first[i] != '\r' && first[i] != '\t';
    return binary;
}

static void *oraclegeneral_open(struct trace_source *source, struct trace_about *about,
                                struct error *error)
{
    (void)error;
    struct oracle *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    o->feed = feed_new(source, about);
    return o;
}

static bool record_put(struct oracle *o, const uint8_t *in, struct error *error)
{
    const uint64_t size        = get(in + 12, 4);
    const uint64_t sector      = get(in + 4, 8) % (TRACE_LBA_MAX / SECTORS_APART / 2);
    struct trace_record record = {
        .time_ns    = get(in, 4) * UINT64_C(1000000000),
        .latency_ns = TRACE_LATENCY_UNKNOWN,
        .op         = TRACE_READ,
    };
    if (size == 0) {
        o->feed->skipped++;
        return true;
    }
    if (!feed_extent(o->feed, &record, sector * SECTORS_APART * TRACE_SECTOR_BYTES, size,
                     error))
        return false;
    sorter_put(&o->feed->sorter, &record);
    return true;
}

static int oraclegeneral_more(void *self, struct error *error)
{
    struct oracle *o = self;
    uint8_t in[RECORD_BYTES];
    const long got = trace_source_read(o->feed->source, in, sizeof in, error);
    if (got <= 0)
        return (int)got;
    const bool good = got == RECORD_BYTES
                          ? record_put(o, in, error)
                          : error_set(error, "the file ends here, truncated");
    if (!good)
        error_in(error, "record %" PRIu64, o->records);
    o->records++;
    return good ? 1 : -1;
}

static int oraclegeneral_next(void *state, struct trace_record *record, struct error *error)
{
    struct oracle *o = state;
    return feed_next(o->feed, o, oraclegeneral_more, record, error);
}

static void oraclegeneral_close(void *state)
{
    struct oracle *o = state;
    feed_free(o->feed);
    free(o);
}

const struct trace_importer import_oraclegeneral = {
    .name       = "oraclegeneral",
    .summary    = "Binary cache traces of libCacheSim, oracleGeneral",
    .origin     = "github.com/1a1a11a/libCacheSim",
    .knows      = KNOWS_TIME,
    .recognises = oraclegeneral_recognises,
    .open       = oraclegeneral_open,
    .next       = oraclegeneral_next,
    .close      = oraclegeneral_close,
};
