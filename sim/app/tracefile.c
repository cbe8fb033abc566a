/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/tracefile.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/base/check.h"

/* Feeds the whole file to the digest. */
static bool digest_file(EVP_MD_CTX *digest, FILE *file, struct error *error)
{
    static uint8_t chunk[1 << 16];
    size_t bytes;

    errno = 0;
    while ((bytes = fread(chunk, 1, sizeof chunk, file)) > 0)
        CHECK(EVP_DigestUpdate(digest, chunk, bytes) == 1);
    return !ferror(file) || error_set(error, "cannot read: %s", strerror(errno));
}

static void digest_print(EVP_MD_CTX *digest, char hex[FILE_SHA256_CHARS + 1])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    CHECK(EVP_DigestFinal_ex(digest, sum, &bytes) == 1);
    CHECK(bytes == FILE_SHA256_CHARS / 2);
    for (unsigned i = 0; i < bytes; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", sum[i]);
}

void text_sha256(const char *text, char hex[FILE_SHA256_CHARS + 1])
{
    EVP_MD_CTX *const digest = EVP_MD_CTX_new();
    CHECK(digest != NULL);
    CHECK(EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    CHECK(EVP_DigestUpdate(digest, text, strlen(text)) == 1);
    digest_print(digest, hex);
    EVP_MD_CTX_free(digest);
}

bool file_sha256(const char *path, char hex[FILE_SHA256_CHARS + 1], struct error *error)
{
    FILE *const file = fopen(path, "rbe");
    if (file == NULL)
        return error_set(error, "%s: cannot open: %s", path, strerror(errno));
    EVP_MD_CTX *const digest = EVP_MD_CTX_new();
    CHECK(digest != NULL);
    CHECK(EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);

    const bool good = digest_file(digest, file, error);
    if (good)
        digest_print(digest, hex);
    EVP_MD_CTX_free(digest);
    fclose(file);
    return good || error_in(error, "%s", path);
}

/* Counts a size in the ascending list; once that is full, new ones count together. */
static void tally_size(struct tracefile_summary *s, uint64_t bytes)
{
    uint32_t at = 0;
    while (at < s->size_count && s->size[at].value < bytes)
        at++;
    if (at < s->size_count && s->size[at].value == bytes) {
        s->size[at].count++;
        return;
    }
    if (s->size_count == TRACEFILE_SIZES_MAX) {
        s->size_others++;
        return;
    }
    memmove(&s->size[at + 1], &s->size[at], (s->size_count - at) * sizeof s->size[0]);
    s->size[at] = (struct tracefile_tally){ bytes, 1 };
    s->size_count++;
}

static bool record_is_aligned(const struct trace_record *r)
{
    uint64_t low = 0;
    for (uint32_t i = 0; i < r->segment_count; i++)
        low |= r->segment[i].pa | r->segment[i].bytes;
    return low % 4096 == 0;
}

static void add_data(struct tracefile_summary *s, const struct trace_record *r)
{
    s->moved++;
    tally_size(s, r->bytes);
    histogram_record(&s->request_bytes, r->bytes);
    if (r->segment_count == 0) {
        s->moved_unknown++;
        return;
    }
    s->segments += r->segment_count;
    s->moved_unaligned += !record_is_aligned(r);
    histogram_record(&s->request_segments, r->segment_count);
}

static void add_completion(struct tracefile_summary *s, const struct trace_record *r)
{
    if (r->latency_ns == TRACE_LATENCY_UNKNOWN) {
        s->completed_unknown++;
        return;
    }
    s->completed_elsewhere += r->completion_cpu != r->cpu;
    histogram_record(&s->latency_ns, r->latency_ns);
}

static void add_record(struct tracefile_summary *s, const struct trace_record *r,
                       bool cpu_seen[TRACE_CPUS_MAX])
{
    s->records++;
    s->op_records[r->op]++;
    s->op_bytes[r->op] += r->bytes;
    s->span_ns = r->time_ns;
    s->cpus += !cpu_seen[r->cpu];
    cpu_seen[r->cpu] = true;
    if (r->device >= s->devices)
        s->devices = r->device + 1;
    if (r->depth > s->depth_max)
        s->depth_max = r->depth;
    if (trace_op_moves_data(r->op))
        add_data(s, r);
    add_completion(s, r);
}

bool tracefile_summarise(struct tracefile_summary *summary, struct trace_reader *reader,
                         struct error *error)
{
    struct trace_record record;
    bool cpu_seen[TRACE_CPUS_MAX] = { false };
    int got;

    memset(summary, 0, sizeof *summary);
    while ((got = trace_next(reader, &record, error)) == 1) {
        if (command_interrupted())
            return error_set(error, "interrupted");
        add_record(summary, &record, cpu_seen);
    }
    summary->about = *trace_about(reader);
    return got == 0;
}
