/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/trace_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "sim/base/check.h"
#include "traces/source.h"

void fixture_free(struct fixture_bytes bytes)
{
    free(bytes.data);
}

struct fixture_bytes fixture_load(const char *path)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    const long bytes           = ftell(file);
    struct fixture_bytes whole = { malloc((size_t)bytes + 1), (size_t)bytes };
    CHECK(whole.data != NULL);
    rewind(file);
    CHECK(fread(whole.data, 1, whole.bytes, file) == whole.bytes);
    fclose(file);
    return whole;
}

void fixture_save(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(data, 1, bytes, file) == bytes);
    CHECK(fclose(file) == 0);
}

struct fixture_bytes fixture_gunzip(struct fixture_bytes packed)
{
    const size_t room          = 64 * packed.bytes + 4096;
    struct fixture_bytes plain = { malloc(room), 0 };
    z_stream z                 = { .next_in   = packed.data,
                                   .avail_in  = (uInt)packed.bytes,
                                   .next_out  = plain.data,
                                   .avail_out = (uInt)room };
    CHECK(plain.data != NULL);
    CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
    CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END);
    plain.bytes = z.total_out;
    inflateEnd(&z);
    return plain;
}

struct fixture_bytes fixture_gzip(struct fixture_bytes plain)
{
    const size_t room           = plain.bytes + 4096;
    struct fixture_bytes packed = { malloc(room), 0 };
    z_stream z                  = { .next_in   = plain.data,
                                    .avail_in  = (uInt)plain.bytes,
                                    .next_out  = packed.data,
                                    .avail_out = (uInt)room };
    CHECK(packed.data != NULL);
    CHECK(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    packed.bytes = z.total_out;
    deflateEnd(&z);
    return packed;
}

const char *fixture_sample(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/traces/samples/%s", TEST_SOURCE_DIR, name);
    return path;
}

struct fixture_folder fixture_folder_make(void)
{
    struct fixture_folder folder;
    snprintf(folder.path, sizeof folder.path, "%s/scratch.XXXXXX", TEST_BINARY_DIR);
    CHECK(mkdtemp(folder.path) != NULL);
    return folder;
}

const char *fixture_folder_file(struct fixture_folder *folder, const char *name)
{
    const int bytes =
        snprintf(folder->file, sizeof folder->file, "%s/%s", folder->path, name);
    CHECK(bytes > 0 && (size_t)bytes < sizeof folder->file);
    return folder->file;
}

/* Visits the entries; removes them if told. */
static unsigned folder_walk(const struct fixture_folder *folder, bool remove_them)
{
    struct fixture_folder entry_path = *folder;
    unsigned count                   = 0;
    DIR *directory                   = opendir(folder->path);
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (remove_them)
            unlink(fixture_folder_file(&entry_path, entry->d_name));
    }
    closedir(directory);
    return count;
}

unsigned fixture_folder_count(const struct fixture_folder *folder)
{
    return folder_walk(folder, false);
}

void fixture_folder_remove(const struct fixture_folder *folder)
{
    folder_walk(folder, true);
    CHECK(rmdir(folder->path) == 0);
}

/* Mostly below usual, sometimes anything below limit, sometimes the last value. */
static uint64_t pick(struct rng *rng, uint32_t usual, uint64_t limit)
{
    const uint32_t die = rng_below(rng, 16);
    if (die == 0)
        return limit - 1;
    return die == 1 ? rng_next(rng) % limit : rng_below(rng, usual);
}

static uint32_t pick_segments(struct rng *rng)
{
    const uint32_t die = rng_below(rng, 64);
    if (die == 0)
        return TRACE_SEGMENTS_MAX;
    return die < 32 ? 1 : rng_below(rng, 40);
}

static void segments_make(struct rng *rng, struct trace_record *r,
                          struct trace_segment *segment)
{
    const unsigned unit_lg2 = rng_below(rng, 2) * 12;
    r->segment_count        = pick_segments(rng);
    r->segment              = segment;
    for (uint32_t i = 0; i < r->segment_count; i++) {
        const uint32_t bytes = (1 + rng_below(rng, 16)) << unit_lg2;
        const uint64_t last  = ((UINT64_C(1) << TRACE_PA_BITS) - bytes) >> unit_lg2;
        segment[i].bytes     = bytes;
        segment[i].pa        = pick(rng, 1 << 20, last + 1) << unit_lg2;
        r->bytes += bytes;
    }
    if (r->segment_count == 0)
        r->bytes = 1 + (uint32_t)pick(rng, 1 << 17, TRACE_BYTES_MAX);
}

static void rdma_make(struct rng *rng, struct trace_record *r)
{
    const bool region = trace_op_is_region(r->op);
    r->lba = r->queue = 0;
    r->bytes          = region ? 0 : (uint32_t)pick(rng, 1 << 20, TRACE_MESSAGE_MAX + 1ull);
    r->rdma           = (struct trace_rdma){
                  .qp            = (uint32_t)pick(rng, 64, 1 << TRACE_QP_BITS),
                  .peer          = (uint32_t)pick(rng, 2, TRACE_DEVICES_MAX),
                  .peer_qp       = (uint32_t)pick(rng, 64, 1 << TRACE_QP_BITS),
                  .key           = (uint32_t)pick(rng, 4096, UINT64_C(1) << 32),
                  .address       = pick(rng, 1 << 30, UINT64_C(1) << 63),
                  .local_key     = (uint32_t)pick(rng, 4096, UINT64_C(1) << 32),
                  .local_address = pick(rng, 1 << 30, UINT64_C(1) << 63),
    };
    if (trace_op_registers(r->op))
        r->rdma.region_bytes = 1 + pick(rng, 1 << 30, UINT64_C(1) << 62);
}

struct trace_record fixture_record(struct rng *rng, uint64_t *time_ns)
{
    static struct trace_segment segment[TRACE_SEGMENTS_MAX];
    struct trace_record r = {
        .time_ns        = *time_ns,
        .latency_ns     = pick(rng, 1 << 20, TRACE_TIME_MAX_NS + 1),
        .lba            = pick(rng, 1 << 24, TRACE_LBA_MAX + 1),
        .cpu            = (uint32_t)pick(rng, 4, TRACE_CPUS_MAX),
        .completion_cpu = (uint32_t)pick(rng, 4, TRACE_CPUS_MAX),
        .device         = (uint32_t)pick(rng, 2, TRACE_DEVICES_MAX),
        .queue          = (uint32_t)pick(rng, 8, TRACE_QUEUES_MAX),
        .depth          = (uint32_t)pick(rng, 64, UINT64_C(1) << 32),
        .op             = (enum trace_op)rng_below(rng, TRACE_OPS),
    };
    if (rng_below(rng, 8) == 0)
        r.latency_ns = TRACE_LATENCY_UNKNOWN;
    if (trace_op_is_rdma(r.op))
        rdma_make(rng, &r);
    else if (trace_op_moves_data(r.op))
        segments_make(rng, &r, segment);
    else if (r.op != TRACE_FLUSH)
        r.bytes = (uint32_t)pick(rng, 1 << 20, UINT64_C(1) << 32);
    *time_ns +=
        rng_below(rng, 8) == 0 ? UINT64_C(1) << rng_below(rng, 40) : rng_below(rng, 2000);
    return r;
}

static uint64_t mix(uint64_t digest, uint64_t value)
{
    struct rng rng = { digest ^ value };
    return rng_next(&rng);
}

uint64_t fixture_digest(uint64_t digest, const struct trace_record *r)
{
    const uint64_t field[] = { r->time_ns,
                               r->latency_ns,
                               r->lba,
                               r->bytes,
                               r->cpu,
                               r->completion_cpu,
                               r->device,
                               r->queue,
                               r->depth,
                               r->op,
                               r->segment_count,
                               r->rdma.qp,
                               r->rdma.peer,
                               r->rdma.peer_qp,
                               r->rdma.key,
                               r->rdma.address,
                               r->rdma.region_bytes,
                               r->rdma.local_key,
                               r->rdma.local_address };
    for (size_t i = 0; i < sizeof field / sizeof field[0]; i++)
        digest = mix(digest, field[i]);
    for (uint32_t i = 0; i < r->segment_count; i++)
        digest = mix(mix(digest, r->segment[i].pa), r->segment[i].bytes);
    return digest;
}

static long reader_drain(struct trace_reader *reader, uint64_t *digest, struct error *error)
{
    struct trace_record record;
    uint64_t sum = 0;
    long records = 0;
    int got;
    while ((got = trace_next(reader, &record, error)) == 1) {
        sum = fixture_digest(sum, &record);
        records++;
    }
    trace_close(reader);
    if (digest != NULL)
        *digest = sum;
    return got == 0 ? records : -1;
}

long fixture_read(struct fixture_bytes trace, const char *format, uint64_t *digest,
                  struct error *error)
{
    struct trace_reader *reader;
    struct trace_source *source = trace_source_open_memory(trace.data, trace.bytes);
    if (!trace_open_source(&reader, source, "memory", format, error))
        return -1;
    return reader_drain(reader, digest, error);
}

long fixture_read_file(const char *path, uint64_t *digest, struct error *error)
{
    struct trace_reader *reader;
    return trace_open(&reader, path, error) ? reader_drain(reader, digest, error) : -1;
}

struct fixture_bytes fixture_native(uint64_t seed, unsigned records, uint64_t *digest)
{
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "native");
    struct rng rng               = rng_make(seed, "native");
    struct trace_about about     = { 0 };
    uint64_t time_ns             = 0;
    struct trace_writer *writer;
    struct error error;

    trace_about_note(&about, "origin", "random records");
    *digest = 0;
    CHECK(trace_create(&writer, path, &about, &error));
    for (unsigned i = 0; i < records; i++) {
        const struct trace_record r = fixture_record(&rng, &time_ns);
        *digest                     = fixture_digest(*digest, &r);
        CHECK(trace_put(writer, &r, &error));
    }
    trace_writer_note(writer, "end", "reached");
    CHECK(trace_finish(writer, &error));
    const struct fixture_bytes trace = fixture_load(path);
    fixture_folder_remove(&folder);
    return trace;
}
