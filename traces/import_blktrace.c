/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_blktrace - the binary files of blktrace, versions 7 and 8, of either byte order.
 *
 * Each CPU has its file, DEVICE.blktrace.CPU; naming one of them reads all that lie beside
 * it, merged by time. Every event is a fixed structure that begins with a magic number,
 * whose lowest byte is the version, and may have more behind it, which is passed over.
 *
 * Inaccuracies: a request that the driver gives back (requeue) and takes again counts
 * twice; version 7 does not tell a zeroing write from one with data.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/block_events.h"

enum {
    EVENT_BYTES_V7 = 48,
    EVENT_BYTES_V8 = 64,
    PARTS_MAX      = TRACE_CPUS_MAX,

    ACTION_QUEUE    = 1,
    ACTION_ISSUE    = 7,
    ACTION_COMPLETE = 8,

    CATEGORY_WRITE   = 1 << 1,
    CATEGORY_FLUSH   = 1 << 2,
    CATEGORY_PC      = 1 << 9,
    CATEGORY_NOTIFY  = 1 << 10,
    CATEGORY_DISCARD = 1 << 13,
};

#define MAGIC UINT32_C(0x65617400)

/* One file, and its next event. */
struct blktrace_part {
    struct trace_source *source;
    bool swapped; /* Its byte order is not little-endian. */
    bool known;   /* The byte order is. */
    uint64_t records;
    bool has;
    struct block_event event;
};

struct blktrace {
    struct block_events *events;
    unsigned parts;
    struct blktrace_part part[];
};

static uint64_t get(const struct blktrace_part *p, const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[p->swapped ? i : bytes - 1 - i];
    return value;
}

static bool magic_is(uint32_t magic)
{
    return (magic & ~UINT32_C(0xff)) == MAGIC;
}

static uint32_t little(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16
           | (uint32_t)at[3] << 24;
}

static bool blktrace_recognises(const uint8_t *first, size_t bytes)
{
    return bytes >= 4
           && (magic_is(little(first)) || magic_is(__builtin_bswap32(little(first))));
}

static bool version_check(struct blktrace_part *p, const uint8_t *in, unsigned *version,
                          struct error *error)
{
    const uint32_t magic = little(in);
    if (!p->known) {
        p->swapped = !magic_is(magic);
        p->known   = true;
    }
    const uint32_t ours = p->swapped ? __builtin_bswap32(magic) : magic;
    if (!magic_is(ours))
        return error_set(error, "expected the magic 0x%" PRIx32 "07 or 08, got 0x%" PRIx32,
                         MAGIC >> 8, ours);
    *version = ours & 0xff;
    return *version == 7 || *version == 8
           || error_set(error, "version %u of blktrace is not known (7 and 8 are)",
                        *version);
}

static bool pass_over(struct blktrace_part *p, size_t bytes, struct error *error)
{
    uint8_t waste[4096];
    while (bytes > 0) {
        const size_t want = bytes < sizeof waste ? bytes : sizeof waste;
        const long got    = trace_source_read(p->source, waste, want, error);
        if (got < 0)
            return false;
        if ((size_t)got < want)
            return error_set(error, "the file ends here, truncated");
        bytes -= want;
    }
    return true;
}

static void event_decode_op(struct block_event *e, unsigned category)
{
    e->known = (category & CATEGORY_PC) == 0;
    if (category & CATEGORY_DISCARD)
        e->op = TRACE_DISCARD;
    else if (e->bytes == 0 && (category & CATEGORY_FLUSH))
        e->op = TRACE_FLUSH;
    else
        e->op = category & CATEGORY_WRITE ? TRACE_WRITE : TRACE_READ;
}

static enum block_action action_of(uint64_t action)
{
    if (action >> 16 & CATEGORY_NOTIFY)
        return BLOCK_OTHER;
    switch (action & 0xff) {
    case ACTION_QUEUE:
        return BLOCK_QUEUE;
    case ACTION_ISSUE:
        return BLOCK_ISSUE;
    case ACTION_COMPLETE:
        return BLOCK_COMPLETE;
    default:
        return BLOCK_OTHER;
    }
}

/* Both versions begin alike and differ in the width of the action. */
static void event_decode(struct blktrace_part *p, const uint8_t *in, unsigned version)
{
    struct block_event *const e = &p->event;
    const bool wide             = version == 8;
    const uint64_t action       = wide ? get(p, in + 32, 8) : get(p, in + 28, 4);
    const uint32_t device       = (uint32_t)get(p, in + (wide ? 40 : 36), 4);

    *e = (struct block_event){
        .place   = p->records,
        .time_ns = get(p, in + 8, 8),
        .sector  = get(p, in + 16, 8),
        .bytes   = get(p, in + 24, 4),
        .cpu     = (uint32_t)get(p, in + (wide ? 44 : 40), 4),
        .major   = device >> 20,
        .minor   = device & 0xfffff,
        .action  = action_of(action),
    };
    event_decode_op(e, (unsigned)(action >> 16));
}

/* The next event of the part, whatever it is about: 1, 0 or -1. */
static int event_read(struct blktrace_part *p, struct error *error)
{
    uint8_t in[EVENT_BYTES_V8];
    unsigned version = 0;
    const long got   = trace_source_read(p->source, in, EVENT_BYTES_V7, error);
    if (got <= 0)
        return (int)got;
    bool good = got == EVENT_BYTES_V7 || error_set(error, "the file ends here, truncated");
    good      = good && version_check(p, in, &version, error);
    if (good && version == 8) {
        const size_t more = EVENT_BYTES_V8 - EVENT_BYTES_V7;
        const long rest   = trace_source_read(p->source, in + EVENT_BYTES_V7, more, error);
        good              = rest == (long)more
               || (rest >= 0 && error_set(error, "the file ends here, truncated"));
    }
    if (good) {
        event_decode(p, in, version);
        good = pass_over(p, get(p, in + (version == 8 ? 50 : 46), 2), error);
    }
    if (!good)
        error_in(error, "record %" PRIu64, p->records);
    p->records++;
    return good ? 1 : -1;
}

/* The next event of the part that matters. */
static bool part_advance(struct blktrace_part *p, struct error *error)
{
    int got;
    do
        got = event_read(p, error);
    while (got == 1 && p->event.action == BLOCK_OTHER);
    p->has = got == 1;
    if (got < 0 && trace_source_name(p->source) != NULL)
        error_in(error, "%s", trace_source_name(p->source));
    return got >= 0;
}

static int blktrace_pull(void *self, struct block_event *event, struct error *error)
{
    struct blktrace *b         = self;
    struct blktrace_part *best = NULL;
    for (unsigned i = 0; i < b->parts; i++) {
        struct blktrace_part *const p = &b->part[i];
        if (p->has && (best == NULL || p->event.time_ns < best->event.time_ns))
            best = p;
    }
    if (best == NULL)
        return 0;
    *event = best->event;
    return part_advance(best, error) ? 1 : -1;
}

static void blktrace_close(void *state)
{
    struct blktrace *b = state;
    block_events_free(b->events);
    free(b);
}

static void *blktrace_open(struct trace_source *source, struct trace_about *about,
                           struct error *error)
{
    unsigned parts = 1;
    while (parts < PARTS_MAX && trace_source_part(source, parts - 1) != NULL)
        parts++;
    struct blktrace *b = calloc(1, sizeof *b + parts * sizeof b->part[0]);
    CHECK(b != NULL);
    b->parts  = parts;
    b->events = block_events_new(about, "record", blktrace_pull, b);
    for (unsigned i = 0; i < parts; i++)
        b->part[i].source = i == 0 ? source : trace_source_part(source, i - 1);
    for (unsigned i = 0; i < parts; i++) {
        if (!part_advance(&b->part[i], error)) {
            blktrace_close(b);
            return NULL;
        }
    }
    return b;
}

static int blktrace_next(void *state, struct trace_record *record, struct error *error)
{
    struct blktrace *b = state;
    return block_events_next(b->events, record, error);
}

const struct trace_importer import_blktrace = {
    .name       = "blktrace",
    .summary    = "Binary files of blktrace, versions 7 and 8, one for each CPU",
    .origin     = "blktrace -d DEVICE",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_DEVICE,
    .part_infix = ".blktrace.",
    .recognises = blktrace_recognises,
    .open       = blktrace_open,
    .next       = blktrace_next,
    .close      = blktrace_close,
};
