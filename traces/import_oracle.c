/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_oracle - recordings of what drivers asked of Linux's DMA API, *.oracle.txt: each
 * mapping is a request of just that memory, which ends when it is unmapped. The device's
 * place on the medium is not known; such recordings are of network cards, too.
 *
 * Inaccuracies: coherent memory is no request; a list whose pieces the IOMMU has joined
 * does not say how large each was, and becomes a request that does not know its memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/feed.h"
#include "traces/text.h"
#include "traces/window.h"

struct oracle {
    struct feed *feed; /* For its table of devices only. */
    struct window window;
    bool begun;
    uint64_t base_us, last_us, start_us;
    uint64_t skipped, unended, records;
    struct trace_segment piece[TRACE_SEGMENTS_MAX];
};

enum { RANGES = TRACE_DEVICES_MAX }; /* Owner of ranges, which do not name a device. */

struct call {
    struct window_key key; /* By which its unmapping finds it. */
    uint64_t time_us;
    uint32_t cpu, device;
    enum trace_op op;
    uint32_t pieces;
    uint64_t bytes;
};

/* "769502 0h UNMAP " */
static bool head_take(const char **at, struct call *c, const char **name, size_t *bytes)
{
    if (!text_number(at, 10, &c->time_us) || !text_word(at, " ")
        || !text_number32(at, &c->cpu) || c->cpu >= TRACE_CPUS_MAX
        || (**at != 't' && **at != 's' && **at != 'h') || (*at)[1] != ' ')
        return false;
    *at += 2;
    *name  = *at;
    *bytes = strcspn(*at, " ");
    *at    = text_skip_blanks(*at + *bytes);
    return *bytes != 0;
}

static bool is(const char *name, size_t bytes, const char *want)
{
    return strlen(want) == bytes && memcmp(name, want, bytes) == 0;
}

static bool oracle_recognises(const uint8_t *first, size_t bytes)
{
    static const char *const names[] = { "MAP",      "MAPSG",   "MAPIOVA",
                                         "UNMAP",    "UNMAPSG", "UNMAPIOVA",
                                         "COHALLOC", "COHFREE", "FQFLUSH" };
    char text[IMPORT_PEEK_BYTES + 1];
    struct call call;
    const char *name;
    size_t name_bytes;
    memcpy(text, first, bytes);
    text[bytes]    = '\0';
    const char *at = strncmp(text, "### ", 4) == 0 ? strchr(text, '\n') : NULL;
    if (at == NULL || !(at++, head_take(&at, &call, &name, &name_bytes)))
        return false;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is(name, name_bytes, names[i]))
            return true;
    return false;
}

static void *oracle_open(struct trace_source *source, struct trace_about *about,
                         struct error *error)
{
    (void)error;
    struct oracle *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    o->feed = feed_new(source, about);
    window_init(&o->window);
    return o;
}

static void oracle_close(void *state)
{
    struct oracle *o = state;
    window_free(&o->window);
    feed_free(o->feed);
    free(o);
}

/* "0000:00:05.0 R " */
static bool device_take(struct oracle *o, const char **at, struct call *c,
                        struct error *error)
{
    const size_t bytes = strcspn(*at, " ");
    if (!feed_device(o->feed, *at, bytes, &c->device, error))
        return false;
    *at          = text_skip_blanks(*at + bytes);
    c->op        = **at == 'W' ? TRACE_WRITE : TRACE_READ;
    c->key.owner = c->device;
    return **at == 'R' || **at == 'W' || **at == 'B' || error_set(error, "no direction");
}

static const char *field(const char *at, const char *key)
{
    const char *found = strstr(at, key);
    return found != NULL ? found + strlen(key) : NULL;
}

static bool piece_add(struct oracle *o, struct call *c, uint64_t pa, uint64_t bytes)
{
    if (c->pieces == TRACE_SEGMENTS_MAX || bytes == 0 || bytes > TRACE_BYTES_MAX
        || pa >> TRACE_PA_BITS != 0)
        return false;
    o->piece[c->pieces++] = (struct trace_segment){ pa, (uint32_t)bytes };
    c->bytes += bytes;
    return c->bytes <= TRACE_BYTES_MAX;
}

/* "phys=3199000 len=4096 -> iova=fffbe000" */
static bool take_single(struct oracle *o, const char *at, struct call *c)
{
    const char *p = field(at, "phys="), *l = field(at, "len="), *i = field(at, "-> iova=");
    uint64_t pa, bytes;
    return p != NULL && l != NULL && i != NULL && text_number(&p, 16, &pa)
           && text_number(&l, 10, &bytes) && text_number(&i, 16, &c->key.item)
           && piece_add(o, c, pa, bytes);
}

/* "phys=a,b len=x,y -> addr=i,j" */
static bool take_list(struct oracle *o, const char *at, struct call *c)
{
    const char *p = field(at, "phys="), *l = field(at, "len="), *i = field(at, "-> addr=");
    uint64_t pa, bytes, total                                      = 0;
    bool same = true;
    if (p == NULL || l == NULL || i == NULL || !text_number(&i, 16, &pa))
        return false;
    /* Unmapping a list names its first piece. */
    const char *first = p;
    c->key.command    = text_number(&first, 16, &c->key.item);
    for (const char *all = l; text_number(&all, 16, &bytes);) {
        total += bytes;
        if (total > TRACE_BYTES_MAX || !text_word(&all, ","))
            break;
    }
    while (same && text_number(&p, 16, &pa) && text_number(&l, 16, &bytes)) {
        if (!piece_add(o, c, pa, bytes))
            return false;
        const bool more = text_word(&p, ",");
        same            = text_word(&l, ",") == more;
        if (!more)
            break;
    }
    if (!same)
        c->pieces = 0;
    c->bytes = total;
    return total != 0 && total <= TRACE_BYTES_MAX;
}

/* "base=ffee0000 len=131072 links=9d612000+4096@0,..." */
static bool take_links(struct oracle *o, const char *at, struct call *c)
{
    const char *b = field(at, "base="), *l = field(at, "links=");
    uint64_t pa, bytes, offset;
    if (b == NULL || l == NULL || !text_number(&b, 16, &c->key.item))
        return false;
    c->key.owner = RANGES;
    do {
        if (!text_number(&l, 16, &pa) || !text_word(&l, "+") || !text_number(&l, 10, &bytes)
            || !text_word(&l, "@") || !text_number(&l, 16, &offset)
            || !piece_add(o, c, pa, bytes))
            return false;
    } while (text_word(&l, ","));
    return true;
}

static uint64_t time_ns(struct oracle *o, const struct call *c)
{
    const uint64_t now = o->base_us + c->time_us;
    if (!o->begun)
        o->start_us = o->last_us = now;
    o->begun   = true;
    o->last_us = now > o->last_us ? now : o->last_us;
    return (o->last_us - o->start_us) * 1000;
}

static bool on_map(struct oracle *o, struct call *c)
{
    const struct trace_record record = {
        .time_ns        = time_ns(o, c),
        .latency_ns     = TRACE_LATENCY_UNKNOWN,
        .bytes          = (uint32_t)c->bytes,
        .cpu            = c->cpu,
        .completion_cpu = c->cpu,
        .device         = c->device,
        .op             = c->op,
        .segment_count  = c->pieces,
        .segment        = o->piece,
    };
    o->records++;
    window_issue(&o->window, &record, c->key);
    return true;
}

/* The unmapping of a range knows what its mapping does not say: the direction. */
static void on_unmap(struct oracle *o, const struct call *c)
{
    struct window_request *r = o->begun ? window_find(&o->window, c->key) : NULL;
    if (r == NULL)
        return;
    if (c->key.owner == RANGES)
        r->record.op = c->op;
    window_complete(&o->window, r, time_ns(o, c), c->cpu);
}

static bool unmap_parse(struct oracle *o, const char *at, struct call *c, bool range,
                        struct error *error)
{
    const char *item;
    if (range) {
        c->key.owner = RANGES;
        c->op        = *at == 'W' ? TRACE_WRITE : TRACE_READ;
        item         = field(at, "base=");
    } else {
        if (!device_take(o, &at, c, error))
            return false;
        c->key.owner   = c->device;
        item           = field(at, "iova=");
        c->key.command = item == NULL;
        item           = item == NULL ? field(at, "first=") : item;
    }
    if (item == NULL || !text_number(&item, 16, &c->key.item))
        return error_set(error, "the unmapping is not understood");
    on_unmap(o, c);
    return true;
}

static bool line_parse(struct oracle *o, const char *at, struct error *error)
{
    struct call c = { 0 };
    const char *name;
    size_t bytes;
    if (!head_take(&at, &c, &name, &bytes) || c.time_us > TRACE_TIME_MAX_NS / 1000)
        return error_set(error, "not a call");
    if (is(name, bytes, "MAP"))
        return device_take(o, &at, &c, error)
               && (take_single(o, at, &c) ? on_map(o, &c)
                                          : error_set(error, "MAP is not understood"));
    if (is(name, bytes, "MAPSG"))
        return device_take(o, &at, &c, error)
               && (take_list(o, at, &c) ? on_map(o, &c)
                                        : error_set(error, "MAPSG is not understood"));
    if (is(name, bytes, "MAPIOVA"))
        return take_links(o, at, &c) ? on_map(o, &c)
                                     : error_set(error, "MAPIOVA is not understood");
    if (is(name, bytes, "UNMAP") || is(name, bytes, "UNMAPSG"))
        return unmap_parse(o, at, &c, false, error);
    if (is(name, bytes, "UNMAPIOVA"))
        return unmap_parse(o, at, &c, true, error);
    return true;
}

static int oracle_end(struct oracle *o, struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, o->unended);
    if (o->unended != 0)
        trace_about_note(o->feed->about, "requests_without_completion", text);
    if (o->records != 0)
        return 0;
    error_set(error, "line %" PRIu64 ": the recording ends without one mapping",
              trace_source_line_number(o->feed->source));
    return -1;
}

static int oracle_next(void *state, struct trace_record *record, struct error *error)
{
    struct oracle *o = state;
    size_t bytes;
    while (!window_ready(&o->window) && !window_full(&o->window)) {
        const char *text = trace_source_line(o->feed->source, &bytes, error);
        if (text == NULL && error->text[0] != '\0')
            return -1;
        if (text == NULL && window_empty(&o->window))
            return oracle_end(o, error);
        if (text == NULL)
            break;
        if (strncmp(text, "### ", 4) == 0)
            o->base_us = o->last_us;
        else if (bytes != 0 && !line_parse(o, text, error)) {
            error_in(error, "line %" PRIu64, trace_source_line_number(o->feed->source));
            return -1;
        }
    }
    *record = window_take(&o->window);
    o->unended += record->latency_ns == TRACE_LATENCY_UNKNOWN;
    return 1;
}

const struct trace_importer import_oracle = {
    .name       = "oracle",
    .summary    = "Recordings of Linux kernels, calls of the DMA API (*.oracle.txt)",
    .origin     = "recordings as docs/linux-check.md describes them",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_DEVICE | KNOWS_MEMORY,
    .recognises = oracle_recognises,
    .open       = oracle_open,
    .next       = oracle_next,
    .close      = oracle_close,
};
