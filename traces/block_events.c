/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/block_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

bool block_op_of_letters(const char *letters, enum trace_op *op)
{
    if (letters[0] == 'F' && letters[1] != '\0' && strchr("WDFR", letters[1]) != NULL)
        letters++;
    switch (letters[0]) {
    case 'R':
        *op = TRACE_READ;
        return true;
    case 'W':
        *op = letters[1] == 'Z' ? TRACE_WRITE_ZEROES : TRACE_WRITE;
        return true;
    case 'D':
        *op = TRACE_DISCARD;
        return true;
    case 'F':
        *op = TRACE_FLUSH;
        return true;
    default:
        return false;
    }
}

struct block_events *block_events_new(struct trace_about *about, const char *unit,
                                      int (*pull)(void *self, struct block_event *event,
                                                  struct error *error),
                                      void *self)
{
    struct block_events *b = malloc(sizeof *b);
    CHECK(b != NULL);
    memset(b, 0, offsetof(struct block_events, device));
    window_init(&b->window);
    b->heap = malloc(BLOCK_EVENTS_HELD * sizeof *b->heap);
    CHECK(b->heap != NULL);
    b->about = about;
    b->unit  = unit;
    b->pull  = pull;
    b->self  = self;
    return b;
}

void block_events_free(struct block_events *b)
{
    window_free(&b->window);
    free(b->heap);
    free(b);
}

/* ---- The order of events
 * ------------------------------------------------------------------------- */

static bool earlier(const struct block_event *a, const struct block_event *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->number < b->number;
}

static void heap_put(struct block_events *b, const struct block_event *event)
{
    uint32_t at = b->held++;
    for (; at > 0 && earlier(event, &b->heap[(at - 1) / 2]); at = (at - 1) / 2)
        b->heap[at] = b->heap[(at - 1) / 2];
    b->heap[at] = *event;
}

static struct block_event heap_take(struct block_events *b)
{
    const struct block_event top  = b->heap[0];
    const struct block_event last = b->heap[--b->held];
    uint32_t at                   = 0;
    for (uint32_t child; (child = 2 * at + 1) < b->held; at = child) {
        child += child + 1 < b->held && earlier(&b->heap[child + 1], &b->heap[child]);
        if (!earlier(&b->heap[child], &last))
            break;
        b->heap[at] = b->heap[child];
    }
    b->heap[at] = last;
    return top;
}

static bool heap_fill(struct block_events *b, struct error *error)
{
    struct block_event event;
    while (!b->ended && b->held < BLOCK_EVENTS_HELD) {
        const int got = b->pull(b->self, &event, error);
        if (got < 0)
            return false;
        b->ended     = got == 0;
        event.number = b->number++;
        if (got == 1)
            heap_put(b, &event);
    }
    return true;
}

/* Issues make the records, unless the first events have none of them. */
static void begin(struct block_events *b)
{
    bool issues = false, queues = false;
    for (uint32_t i = 0; i < b->held; i++) {
        issues |= b->heap[i].action == BLOCK_ISSUE;
        queues |= b->heap[i].action == BLOCK_QUEUE;
    }
    b->begun  = true;
    b->begins = issues || !queues ? BLOCK_ISSUE : BLOCK_QUEUE;
    trace_about_note(b->about, "records_begin_at",
                     b->begins == BLOCK_ISSUE ? "issue to the driver" : "queueing");
}

/* ---- Records
 * ------------------------------------------------------------------------------------- */

static void device_note(struct block_events *b, const struct block_event *e, uint32_t index)
{
    enum { NOTED = 8 };
    char key[32], text[32];
    if (index >= NOTED)
        return;
    snprintf(key, sizeof key, "device_%" PRIu32, index);
    snprintf(text, sizeof text, "%" PRIu32 ",%" PRIu32, e->major, e->minor);
    trace_about_note(b->about, key, text);
}

/* The device's index; when it is not known and not to be added, devices. */
static uint32_t device_of(struct block_events *b, const struct block_event *e, bool add)
{
    const uint64_t name = (uint64_t)e->major << 32 | e->minor;
    uint32_t index      = 0;
    while (index < b->devices && b->device[index] != name)
        index++;
    if (index == b->devices && add && index < BLOCK_DEVICES_MAX) {
        b->device[b->devices++] = name;
        device_note(b, e, index);
    }
    return index;
}

/* A flush has no place. */
static struct window_key key_of(uint32_t device, enum trace_op op, uint64_t sector)
{
    const struct window_key key = {
        .owner = device,
        .item  = op == TRACE_FLUSH ? UINT64_MAX : sector,
    };
    return key;
}

static uint64_t time_of(struct block_events *b, const struct block_event *e)
{
    const uint64_t since = e->time_ns - b->start_ns;
    if (e->time_ns >= b->start_ns && since >= b->last_ns)
        b->last_ns = since;
    else
        b->late++;
    return b->last_ns;
}

static bool event_check(const struct block_event *e, struct error *error)
{
    const uint64_t most = trace_op_moves_data(e->op) ? TRACE_BYTES_MAX : UINT32_MAX;
    if (e->cpu >= TRACE_CPUS_MAX)
        return error_set(error, "cpu %" PRIu32 " must be below %d", e->cpu, TRACE_CPUS_MAX);
    if (e->bytes > most)
        return error_set(error, "%" PRIu64 " bytes are more than %" PRIu64, e->bytes, most);
    return e->sector <= TRACE_LBA_MAX || e->op == TRACE_FLUSH
           || error_set(error, "sector %" PRIu64 " is out of range", e->sector);
}

static bool on_begin(struct block_events *b, const struct block_event *e,
                     struct error *error)
{
    if (!e->known || (e->bytes == 0 && e->op != TRACE_FLUSH)) {
        b->skipped++;
        return true;
    }
    if (!event_check(e, error))
        return false;
    const uint32_t device = device_of(b, e, true);
    if (device == BLOCK_DEVICES_MAX)
        return error_set(error, "more than %d devices", BLOCK_DEVICES_MAX);
    if (b->records++ == 0)
        b->start_ns = e->time_ns;
    const struct trace_record record = {
        .time_ns        = time_of(b, e),
        .latency_ns     = TRACE_LATENCY_UNKNOWN,
        .lba            = e->op == TRACE_FLUSH ? 0 : e->sector,
        .bytes          = e->op == TRACE_FLUSH ? 0 : (uint32_t)e->bytes,
        .cpu            = e->cpu,
        .completion_cpu = e->cpu,
        .device         = device,
        .op             = e->op,
    };
    window_issue(&b->window, &record, key_of(device, e->op, e->sector));
    return true;
}

/* A request may complete in parts; the next part begins where this one ended. */
static void on_complete(struct block_events *b, const struct block_event *e)
{
    b->completes = true;
    if (b->records == 0 || !e->known || e->cpu >= TRACE_CPUS_MAX)
        return;
    const uint32_t device    = device_of(b, e, false);
    struct window_request *r = window_find(&b->window, key_of(device, e->op, e->sector));
    if (r == NULL)
        return;
    const uint64_t end = e->sector + e->bytes / TRACE_SECTOR_BYTES;
    if (e->bytes != 0 && e->bytes < r->record.bytes && e->op == r->record.op
        && end < r->record.lba + r->record.bytes / TRACE_SECTOR_BYTES)
        window_rekey(&b->window, r, key_of(device, e->op, end));
    else
        window_complete(&b->window, r, time_of(b, e), e->cpu);
}

static struct trace_record record_take(struct block_events *b)
{
    struct trace_record record = window_take(&b->window);
    b->unended += record.latency_ns == TRACE_LATENCY_UNKNOWN;
    if (!b->completes)
        record.depth = 0; /* Without completions there is no knowing. */
    return record;
}

static void note_count(struct block_events *b, const char *key, uint64_t count)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, count);
    if (count != 0)
        trace_about_note(b->about, key, text);
}

static int at_end(struct block_events *b, struct error *error)
{
    note_count(b, "requests_skipped", b->skipped);
    note_count(b, "requests_without_completion", b->unended);
    note_count(b, "events_out_of_order", b->late);
    if (b->records != 0)
        return 0;
    error_set(error, "the recording ends without one request");
    return -1;
}

int block_events_next(struct block_events *b, struct trace_record *record,
                      struct error *error)
{
    while (!window_ready(&b->window) && !window_full(&b->window)) {
        if (!heap_fill(b, error))
            return -1;
        if (!b->begun)
            begin(b);
        if (b->held == 0 && window_empty(&b->window))
            return at_end(b, error);
        if (b->held == 0)
            break;
        const struct block_event e = heap_take(b);
        if (e.action == b->begins && !on_begin(b, &e, error)) {
            error_in(error, "%s %" PRIu64, b->unit, e.place);
            return -1;
        }
        if (e.action == BLOCK_COMPLETE)
            on_complete(b, &e);
    }
    *record = record_take(b);
    return 1;
}
