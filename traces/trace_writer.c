/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sim/base/check.h"
#include "traces/native.h"
#include "traces/outfile.h"

/* Columns pack well at once: higher levels cost several times as long and save 2 %. */
enum { PACK_LEVEL = 1 };

struct trace_writer {
    struct outfile out;
    struct trace_about known; /* The notes that the file holds already. */
    struct trace_about late;  /* Those for its end. */
    struct native_totals total;
    uint64_t time_ns;              /* Of the last record. */
    struct native_encoder encoder; /* Of the block being filled. */
    uint8_t raw[NATIVE_RAW_BYTES_MAX];
    uint8_t packed[NATIVE_PACKED_BYTES_MAX];
};

static bool writer_put(struct trace_writer *w, const void *bytes, size_t count,
                       struct error *error)
{
    return fwrite(bytes, 1, count, w->out.file) == count || outfile_failed(&w->out, error);
}

static bool header_write(struct trace_writer *w, struct error *error)
{
    uint8_t out[NATIVE_FILE_HEADER_BYTES + NATIVE_NOTES_BYTES_MAX + NATIVE_CRC_BYTES];
    const size_t notes = native_notes_encode(&w->known, out + NATIVE_FILE_HEADER_BYTES);
    const size_t bytes = NATIVE_FILE_HEADER_BYTES + notes;

    CHECK(notes <= NATIVE_NOTES_BYTES_MAX);
    memcpy(out, NATIVE_MAGIC, NATIVE_MAGIC_BYTES);
    native_put(out + 8, 2, NATIVE_VERSION);
    native_put(out + 10, 2, 0);
    native_put(out + 12, 4, notes);
    native_put(out + bytes, 4, native_crc(out, bytes));
    return writer_put(w, out, bytes + NATIVE_CRC_BYTES, error);
}

static struct trace_writer *writer_new(const struct trace_about *about)
{
    struct trace_writer *w = malloc(sizeof *w);
    CHECK(w != NULL);
    memset(w, 0, offsetof(struct trace_writer, encoder));
    native_encoder_begin(&w->encoder);
    for (uint32_t i = 0; about != NULL && i < about->note_count; i++)
        trace_about_note(&w->known, about->note[i].key, about->note[i].value);
    return w;
}

bool trace_create(struct trace_writer **writer, const char *path,
                  const struct trace_about *about, struct error *error)
{
    *writer                = NULL;
    struct trace_writer *w = writer_new(about);
    if (!outfile_open(&w->out, path, error)) {
        free(w);
        return false;
    }
    if (!header_write(w, error)) {
        trace_abandon(w);
        return false;
    }
    *writer = w;
    return true;
}

/* Packs and writes the raw_bytes at raw as one block. */
static bool block_write(struct trace_writer *w, struct native_block block,
                        struct error *error)
{
    uint8_t header[NATIVE_BLOCK_HEADER_BYTES];
    uLongf packed_bytes = sizeof w->packed;

    CHECK(block.raw_bytes <= NATIVE_RAW_BYTES_MAX);
    CHECK(compress2(w->packed, &packed_bytes, w->raw, block.raw_bytes, PACK_LEVEL) == Z_OK);
    block.packed_bytes = (uint32_t)packed_bytes;
    block.crc          = native_block_crc(&block, w->packed);
    native_block_encode(&block, header);
    return writer_put(w, header, sizeof header, error)
           && writer_put(w, w->packed, packed_bytes, error);
}

static bool records_write(struct trace_writer *w, struct error *error)
{
    const struct native_block block = {
        .kind      = NATIVE_RECORDS,
        .records   = w->encoder.records,
        .first     = w->total.records - w->encoder.records,
        .raw_bytes = (uint32_t)native_encoder_take(&w->encoder, w->raw),
    };
    w->total.blocks++;
    native_encoder_begin(&w->encoder);
    return block_write(w, block, error);
}

static bool writer_check(const struct trace_writer *w, const struct trace_record *record,
                         struct error *error)
{
    if (!trace_record_check(record, error))
        return false;
    if (w->total.records == 0 && record->time_ns != 0)
        return error_set(error, "time_ns of the first record must be 0");
    if (record->time_ns < w->time_ns)
        return error_set(error, "time_ns decreases");
    return true;
}

bool trace_put(struct trace_writer *writer, const struct trace_record *record,
               struct error *error)
{
    struct trace_writer *w = writer;

    if (!writer_check(w, record, error))
        return error_in(error, "%s: record %" PRIu64, w->out.path, w->total.records);
    native_encode(&w->encoder, record);
    w->total.records++;
    w->total.segments += record->segment_count;
    w->time_ns = record->time_ns;
    return !native_encoder_full(&w->encoder) || records_write(w, error);
}

void trace_writer_note(struct trace_writer *writer, const char *key, const char *value)
{
    /* Compared as stored: what was cut at create has not changed since. */
    struct trace_about stored = { 0 };
    trace_about_note(&stored, key, value);
    const char *const known = trace_about_find(&writer->known, stored.note[0].key);
    if (known == NULL || strcmp(known, stored.note[0].value) != 0)
        trace_about_note(&writer->late, key, value);
}

static bool end_write(struct trace_writer *w, struct error *error)
{
    if (w->encoder.records != 0 && !records_write(w, error))
        return false;
    native_totals_encode(&w->total, w->raw);
    const size_t notes = native_notes_encode(&w->late, w->raw + NATIVE_TOTALS_BYTES);
    const struct native_block block = {
        .kind      = NATIVE_END,
        .first     = w->total.records,
        .raw_bytes = (uint32_t)(NATIVE_TOTALS_BYTES + notes),
    };
    return block_write(w, block, error);
}

bool trace_finish(struct trace_writer *writer, struct error *error)
{
    struct trace_writer *w = writer;

    bool good = end_write(w, error);
    if (good)
        good = outfile_finish(&w->out, error);
    else
        outfile_abandon(&w->out);
    free(w);
    return good;
}

void trace_abandon(struct trace_writer *writer)
{
    if (writer == NULL)
        return;
    outfile_abandon(&writer->out);
    free(writer);
}
