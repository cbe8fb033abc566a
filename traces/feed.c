/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/base/check.h"
#include "traces/text.h"

struct feed *feed_new(struct trace_source *source, struct trace_about *about)
{
    struct feed *feed = calloc(1, sizeof *feed);
    CHECK(feed != NULL);
    feed->source = source;
    feed->about  = about;
    sorter_init(&feed->sorter);
    return feed;
}

void feed_free(struct feed *feed)
{
    sorter_free(&feed->sorter);
    free(feed->device);
    free(feed);
}

static void device_note(struct feed *feed, uint32_t index, const char *name, size_t bytes)
{
    char key[32], text[64];
    if (index >= FEED_NOTES_MAX)
        return;
    snprintf(key, sizeof key, "device_%" PRIu32, index);
    snprintf(text, sizeof text, "%.*s", bytes < sizeof text ? (int)bytes : 63, name);
    trace_about_note(feed->about, key, text);
}

static struct feed_device *device_slot(struct feed_device *table, uint32_t slots,
                                       uint64_t hash)
{
    uint32_t at = (uint32_t)(hash % slots);
    while (table[at].index != 0 && table[at].hash != hash)
        at = (at + 1) % slots;
    return &table[at];
}

static void devices_grow(struct feed *feed)
{
    const uint32_t slots      = feed->slots == 0 ? FEED_SLOTS_FIRST : 2 * feed->slots;
    struct feed_device *table = calloc(slots, sizeof *table);
    CHECK(table != NULL);
    for (uint32_t i = 0; i < feed->slots; i++)
        if (feed->device[i].index != 0)
            *device_slot(table, slots, feed->device[i].hash) = feed->device[i];
    free(feed->device);
    feed->device = table;
    feed->slots  = slots;
}

bool feed_device(struct feed *feed, const char *name, size_t bytes, uint32_t *index,
                 struct error *error)
{
    const uint64_t hash = text_hash(name, bytes);
    if (2 * feed->devices >= feed->slots)
        devices_grow(feed);
    struct feed_device *const d = device_slot(feed->device, feed->slots, hash);
    if (d->index == 0) {
        if (feed->devices == TRACE_DEVICES_MAX)
            return error_set(error, "more than %d devices", TRACE_DEVICES_MAX);
        device_note(feed, feed->devices, name, bytes);
        d->hash  = hash;
        d->index = ++feed->devices;
    }
    *index = d->index - 1;
    return true;
}

bool feed_extent(struct feed *feed, struct trace_record *record, uint64_t offset,
                 uint64_t bytes, struct error *error)
{
    const uint64_t most =
        trace_op_moves_data(record->op) ? TRACE_BYTES_MAX : UINT32_MAX - TRACE_SECTOR_BYTES;
    if (bytes > most)
        return error_set(error, "size: expected at most %" PRIu64 " bytes, got %" PRIu64,
                         most, bytes);
    if (offset > UINT64_MAX - 2 * UINT64_C(0x100000000))
        return error_set(error, "offset %" PRIu64 " is out of range", offset);
    const uint64_t first = offset / TRACE_SECTOR_BYTES;
    const uint64_t end   = (offset + bytes + TRACE_SECTOR_BYTES - 1) / TRACE_SECTOR_BYTES;
    const uint64_t whole = (end - first) * TRACE_SECTOR_BYTES;
    record->lba          = first;
    record->bytes        = (uint32_t)(whole < most ? whole : most);
    feed->widened += record->bytes != bytes;
    return true;
}

static void note_count(struct feed *feed, const char *key, uint64_t count)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, count);
    if (count != 0)
        trace_about_note(feed->about, key, text);
}

static int feed_end(struct feed *feed, struct error *error)
{
    note_count(feed, "requests_skipped", feed->skipped);
    note_count(feed, "requests_made_whole_sectors", feed->widened);
    note_count(feed, "requests_out_of_order", feed->sorter.late);
    if (feed->sorter.begun)
        return 0;
    error_set(error, "line %" PRIu64 ": the file ends without one request",
              trace_source_line_number(feed->source));
    return -1;
}

int feed_next(struct feed *feed, void *self, int (*more)(void *self, struct error *error),
              struct trace_record *record, struct error *error)
{
    while (!feed->ended && !sorter_full(&feed->sorter)) {
        const int got = more(self, error);
        if (got < 0)
            return -1;
        feed->ended = got == 0;
    }
    if (sorter_empty(&feed->sorter))
        return feed_end(feed, error);
    *record = sorter_take(&feed->sorter);
    return 1;
}
