/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_events - recordings of Linux kernels in their compact form, *.events.txt: one
 * event a line, "time_us cpu+context CODE ...". Of these are used: NVMe commands (N, n),
 * block requests (I, C), and the memory mapped in between on the same CPU and in the same
 * context (DM, DS, TL). Sections "### name" follow one another in time.
 *
 * Inaccuracies: a request that the driver takes twice counts twice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/block_events.h"
#include "traces/events_line.h"
#include "traces/text.h"

enum { PIECES_MAX = TRACE_SEGMENTS_MAX };

/* What one CPU is doing in one context. */
struct lane {
    bool has_command, follows;
    struct window_key command;
    uint32_t queue;
    uint64_t record; /* When follows: whose list comes next. */
    uint32_t pieces;
    uint64_t bytes;
    struct trace_segment *piece;
};

struct events {
    struct trace_source *source;
    struct trace_about *about;
    bool begun;
    uint64_t base_us, last_us, start_us; /* base_us: of this section. */
    uint64_t records, skipped, unended;
    uint32_t devices;
    uint64_t device[BLOCK_DEVICES_MAX];
    struct lane lane[TRACE_CPUS_MAX * EVENTS_CONTEXTS];
    struct window window;
};

static bool events_recognises(const uint8_t *first, size_t bytes)
{
    char text[IMPORT_PEEK_BYTES + 1];
    struct events_line head;
    memcpy(text, first, bytes);
    text[bytes]    = '\0';
    const char *at = strncmp(text, "### ", 4) == 0 ? strchr(text, '\n') : NULL;
    if (at == NULL)
        return false;
    at++;
    /* The calls of the other kind of recording have longer names. */
    return events_line_split(at, &head) && strlen(head.code) <= 3
           && strcmp(head.code, "MAP") != 0;
}

static void *events_open(struct trace_source *source, struct trace_about *about,
                         struct error *error)
{
    (void)error;
    struct events *e = calloc(1, sizeof *e);
    CHECK(e != NULL);
    e->source = source;
    e->about  = about;
    window_init(&e->window);
    return e;
}

static void events_close(void *state)
{
    struct events *e = state;
    for (unsigned i = 0; i < TRACE_CPUS_MAX * EVENTS_CONTEXTS; i++)
        free(e->lane[i].piece);
    window_free(&e->window);
    free(e);
}

static struct lane *lane_of(struct events *e, const struct events_line *h)
{
    return &e->lane[h->cpu * EVENTS_CONTEXTS + h->context];
}

static void lane_clear(struct lane *lane)
{
    lane->has_command = lane->follows = false;
    lane->pieces                      = 0;
    lane->bytes                       = 0;
}

static uint64_t time_ns(struct events *e, const struct events_line *h)
{
    const uint64_t now = e->base_us + h->time_us;
    e->last_us         = now > e->last_us ? now : e->last_us;
    return (e->last_us - e->start_us) * 1000;
}

static bool piece_add(struct lane *lane, uint64_t pa, uint64_t bytes)
{
    if (lane->pieces == PIECES_MAX)
        lane->pieces = 0;
    if (lane->piece == NULL)
        lane->piece = malloc(PIECES_MAX * sizeof *lane->piece);
    CHECK(lane->piece != NULL);
    if (bytes == 0 || bytes > TRACE_BYTES_MAX || pa >> TRACE_PA_BITS != 0)
        return false;
    lane->piece[lane->pieces++] = (struct trace_segment){ pa, (uint32_t)bytes };
    lane->bytes += bytes;
    return true;
}

static bool command_take(const char *at, struct window_key *key, uint32_t *queue)
{
    struct events_command command;
    if (!events_parse_command(at, &command))
        return false;
    *queue       = command.queue;
    key->command = true;
    key->owner   = command.controller;
    key->item    = (uint64_t)command.queue << 32 | command.id;
    return true;
}

static bool on_command(struct events *e, const struct events_line *h, const char *at)
{
    struct lane *lane = lane_of(e, h);
    lane_clear(lane);
    return lane->has_command = command_take(at, &lane->command, &lane->queue);
}

static bool on_command_end(struct events *e, const struct events_line *h, const char *at)
{
    struct window_key key;
    uint32_t queue;
    if (!command_take(at, &key, &queue))
        return false;
    struct window_request *r = window_find(&e->window, key);
    if (r != NULL)
        window_complete(&e->window, r, time_ns(e, h), h->cpu);
    return true;
}

static uint32_t device_of(struct events *e, uint64_t name, bool add)
{
    uint32_t index = 0;
    char key[32], text[32];
    while (index < e->devices && e->device[index] != name)
        index++;
    if (index < e->devices || !add || index == BLOCK_DEVICES_MAX)
        return index;
    e->device[e->devices++] = name;
    snprintf(key, sizeof key, "device_%" PRIu32, index);
    snprintf(text, sizeof text, "%" PRIu64 ",%" PRIu64, name >> 32, name & UINT32_MAX);
    if (index < 8)
        trace_about_note(e->about, key, text);
    return index;
}

static struct window_key key_of(uint32_t device, const struct events_request *x)
{
    return (struct window_key){ .owner = device,
                                .item  = x->op == TRACE_FLUSH ? UINT64_MAX : x->sector };
}

static bool on_issue(struct events *e, const struct events_line *h, const char *at)
{
    struct lane *lane = lane_of(e, h);
    struct events_request x;
    if (!events_parse_request(at, &x))
        return false;
    const bool flush = x.known && x.op == TRACE_FLUSH;
    if (!x.known || (x.sectors == 0 && !flush)) {
        e->skipped++;
        lane_clear(lane);
        return true;
    }
    if (!flush
        && (x.sector > TRACE_LBA_MAX || x.sectors > TRACE_BYTES_MAX / TRACE_SECTOR_BYTES))
        return false;
    if (!e->begun)
        e->start_us = e->last_us = e->base_us + h->time_us;
    e->begun                   = true;
    const uint32_t device      = device_of(e, x.device, true);
    struct trace_record record = {
        .time_ns        = time_ns(e, h),
        .latency_ns     = TRACE_LATENCY_UNKNOWN,
        .lba            = flush ? 0 : x.sector,
        .bytes          = flush ? 0 : (uint32_t)x.sectors * TRACE_SECTOR_BYTES,
        .cpu            = h->cpu,
        .completion_cpu = h->cpu,
        .device         = device,
        .queue          = lane->has_command ? lane->queue : 0,
        .op             = x.op,
    };
    if (device == BLOCK_DEVICES_MAX)
        return false;
    if (trace_op_moves_data(x.op) && lane->has_command && lane->bytes == record.bytes) {
        record.segment       = lane->piece;
        record.segment_count = lane->pieces;
    }
    const bool by_command = lane->has_command;
    const uint64_t number =
        window_issue(&e->window, &record, by_command ? lane->command : key_of(device, &x));
    e->records++;
    lane_clear(lane);
    lane->follows = !by_command && trace_op_moves_data(x.op);
    lane->record  = number;
    return true;
}

static bool on_complete(struct events *e, const struct events_line *h, const char *at)
{
    struct events_request x;
    if (!events_parse_request(at, &x))
        return false;
    if (!x.known || !e->begun)
        return true;
    const struct window_key key = key_of(device_of(e, x.device, false), &x);
    struct window_request *r    = window_find(&e->window, key);
    if (r != NULL)
        window_complete(&e->window, r, time_ns(e, h), h->cpu);
    return true;
}

static bool on_map(struct events *e, const struct events_line *h, const char *at)
{
    struct events_mapping m;
    struct lane *lane = lane_of(e, h);
    if (!events_parse_map(at, &m))
        return false;
    return !lane->has_command || piece_add(lane, m.pa, m.bytes);
}

static bool on_link(struct events *e, const struct events_line *h, const char *at)
{
    struct events_range range;
    struct lane *lane = lane_of(e, h);
    if (!events_parse_link(at, &range))
        return false;
    return !lane->has_command || piece_add(lane, range.pa, range.bytes);
}

/* "0000:00:1f.2 R addr=fff3f900,.. len=200,.. phys=9d212900,..": as many pieces of memory
 * as of addresses, or else pages that the IOMMU joined. */
static bool on_list(struct events *e, const struct events_line *h, const char *at)
{
    struct lane *lane = lane_of(e, h);
    struct events_lists lists;
    uint64_t pa, bytes;
    if (!events_parse_list(at, &lists))
        return false;
    const char *l = lists.bytes, *p = lists.pa;
    if (!lane->has_command && !lane->follows)
        return true;
    for (;;) {
        if (!text_number(&p, 16, &pa))
            return false;
        if (!text_number(&l, 16, &bytes))
            break;
        if (!piece_add(lane, pa, bytes))
            return false;
        if (!text_word(&p, ",")) {
            struct window_request *r = window_at(&e->window, lane->record);
            if (lane->follows && *l != ',' && r != NULL && r->record.segment_count == 0
                && r->record.bytes == lane->bytes)
                window_set_segments(&e->window, r, lane->piece, lane->pieces);
            break;
        }
        if (!text_word(&l, ","))
            break;
    }
    if (lane->follows)
        lane_clear(lane);
    return true;
}

static const struct {
    const char *code;
    bool (*handle)(struct events *e, const struct events_line *h, const char *at);
} handlers[] = {
    { "N", on_command }, { "n", on_command_end }, { "I", on_issue }, { "C", on_complete },
    { "DM", on_map },    { "TL", on_link },       { "DS", on_list },
};

static bool line_handle(struct events *e, const char *at, struct error *error)
{
    struct events_line head;
    bool good = true;
    if (strncmp(at, "### ", 4) == 0) {
        e->base_us = e->last_us;
        return true;
    }
    if (*at == '\0')
        return true;
    if (!events_line_split(at, &head) || head.time_us > TRACE_TIME_MAX_NS / 1000) {
        good = false;
    } else {
        for (unsigned i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
            if (strcmp(handlers[i].code, head.code) == 0)
                good = handlers[i].handle(e, &head, head.fields);
    }
    return good
           || error_set(error, "line %" PRIu64 ": the event is not understood",
                        trace_source_line_number(e->source));
}

static int events_end(struct events *e, struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, e->skipped);
    if (e->skipped != 0)
        trace_about_note(e->about, "requests_skipped", text);
    snprintf(text, sizeof text, "%" PRIu64, e->unended);
    if (e->unended != 0)
        trace_about_note(e->about, "requests_without_completion", text);
    if (e->records != 0)
        return 0;
    error_set(error, "line %" PRIu64 ": the recording ends without one request",
              trace_source_line_number(e->source));
    return -1;
}

static int events_next(void *state, struct trace_record *record, struct error *error)
{
    struct events *e = state;
    size_t bytes;
    while (!window_ready(&e->window) && !window_full(&e->window)) {
        const char *text = trace_source_line(e->source, &bytes, error);
        if (text == NULL && error->text[0] != '\0')
            return -1;
        if (text == NULL && window_empty(&e->window))
            return events_end(e, error);
        if (text == NULL)
            break;
        if (!line_handle(e, text, error))
            return -1;
    }
    *record = window_take(&e->window);
    e->unended += record->latency_ns == TRACE_LATENCY_UNKNOWN;
    return 1;
}

const struct trace_importer import_events = {
    .name       = "events",
    .summary    = "Recordings of Linux kernels, every event of a guest (*.events.txt)",
    .origin     = "recordings as docs/linux-check.md describes them",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_DEVICE | KNOWS_MEMORY,
    .recognises = events_recognises,
    .open       = events_open,
    .next       = events_next,
    .close      = events_close,
};
