/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scope/perfetto.h"

#include <string.h>

#include "sim/base/check.h"

/* Field numbers, message by message. */
enum {
    TRACE_PACKET              = 1,
    PACKET_TIMESTAMP          = 8,
    PACKET_SEQUENCE           = 10,
    PACKET_EVENT              = 11,
    PACKET_INTERNED           = 12,
    PACKET_FLAGS              = 13,
    PACKET_TRACK              = 60,
    INTERNED_EVENT_NAMES      = 2,
    INTERNED_ANNOTATION_NAMES = 3,
    NAME_ID                   = 1,
    NAME_TEXT                 = 2,
    TRACK_ID                  = 1,
    TRACK_NAME                = 2,
    TRACK_PROCESS             = 3,
    TRACK_THREAD              = 4,
    TRACK_PARENT              = 5,
    TRACK_COUNTER             = 8,
    TRACK_CHILD_ORDERING      = 11,
    TRACK_RANK                = 12,
    PROCESS_PID               = 1,
    PROCESS_NAME              = 6,
    THREAD_PID                = 1,
    THREAD_TID                = 2,
    THREAD_NAME               = 5,
    COUNTER_UNIT              = 3,
    EVENT_ANNOTATION          = 4,
    EVENT_TYPE                = 9,
    EVENT_NAME                = 10,
    EVENT_TRACK               = 11,
    EVENT_VALUE               = 30,
    EVENT_FLOW                = 47,
    ANNOTATION_NAME           = 1,
    ANNOTATION_UNSIGNED       = 3,
    ANNOTATION_TEXT           = 6,
};
enum { SEQUENCE = 1, FLAG_CLEARED = 1, FLAG_NEEDED = 2, ORDER_EXPLICIT = 3 };
enum { TYPE_BEGIN = 1, TYPE_END = 2, TYPE_INSTANT = 3, TYPE_COUNTER = 4 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

/* ---- Protocol Buffers ------------------------------------------------------------------
 */

static void put_byte(struct perfetto_buffer *b, uint8_t byte)
{
    CHECK(b->used < PERFETTO_BYTES_MAX);
    b->byte[b->used++] = byte;
}

static void put_varint(struct perfetto_buffer *b, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        put_byte(b, (uint8_t)(value | 0x80));
    put_byte(b, (uint8_t)value);
}

static void put_key(struct perfetto_buffer *b, unsigned field, unsigned wire)
{
    put_varint(b, field << 3 | wire);
}

static void put_number(struct perfetto_buffer *b, unsigned field, uint64_t value)
{
    put_key(b, field, WIRE_VARINT);
    put_varint(b, value);
}

static void put_fixed64(struct perfetto_buffer *b, unsigned field, uint64_t value)
{
    put_key(b, field, WIRE_FIXED64);
    for (unsigned i = 0; i < 8; i++)
        put_byte(b, (uint8_t)(value >> 8 * i));
}

static void put_bytes(struct perfetto_buffer *b, unsigned field, const void *bytes,
                      size_t count)
{
    put_key(b, field, WIRE_BYTES);
    put_varint(b, count);
    CHECK(count <= PERFETTO_BYTES_MAX - b->used);
    memcpy(b->byte + b->used, bytes, count);
    b->used += count;
}

static void put_text(struct perfetto_buffer *b, unsigned field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

static void put_message(struct perfetto_buffer *b, unsigned field,
                        const struct perfetto_buffer *message)
{
    put_bytes(b, field, message->byte, message->used);
}

/* ---- Packets ---------------------------------------------------------------------------
 */

static void packet_begin(struct perfetto *p, unsigned flags)
{
    p->packet.used = 0;
    put_number(&p->packet, PACKET_SEQUENCE, SEQUENCE);
    put_number(&p->packet, PACKET_FLAGS, flags);
}

static void packet_end(struct perfetto *p)
{
    struct perfetto_buffer head = { .used = 0 };
    put_key(&head, TRACE_PACKET, WIRE_BYTES);
    put_varint(&head, p->packet.used);
    fwrite(head.byte, 1, head.used, p->out); /* Who closes the stream asks for errors. */
    fwrite(p->packet.byte, 1, p->packet.used, p->out);
}

/* The id of a name, which goes into the trace when it is new. */
static uint64_t intern(struct perfetto *p, const char **known, unsigned *count,
                       unsigned field, const char *name)
{
    for (unsigned i = 0; i < *count; i++)
        if (known[i] == name)
            return i + 1;
    CHECK(*count < PERFETTO_NAMES_MAX);
    known[(*count)++]            = name;
    struct perfetto_buffer entry = { .used = 0 }, table = { .used = 0 };
    put_number(&entry, NAME_ID, *count);
    put_text(&entry, NAME_TEXT, name);
    put_message(&table, field, &entry);
    packet_begin(p, FLAG_NEEDED);
    put_message(&p->packet, PACKET_INTERNED, &table);
    packet_end(p);
    return *count;
}

void perfetto_begin(struct perfetto *p, FILE *out)
{
    p->out         = out;
    p->event_names = p->annotation_names = 0;
    packet_begin(p, FLAG_CLEARED);
    packet_end(p);
}

/* ---- Tracks ----------------------------------------------------------------------------
 */

static void track_begin(struct perfetto *p, uint64_t id, uint64_t parent, const char *name,
                        int rank)
{
    p->event.used = p->part.used = 0;
    put_number(&p->event, TRACK_ID, id);
    if (parent != 0) {
        put_number(&p->event, TRACK_PARENT, parent);
        put_number(&p->event, TRACK_RANK, (uint64_t)rank);
    }
    put_text(&p->event, TRACK_NAME, name);
}

static void track_end(struct perfetto *p)
{
    packet_begin(p, 0);
    put_message(&p->packet, PACKET_TRACK, &p->event);
    packet_end(p);
}

void perfetto_process(struct perfetto *p, uint64_t id, int pid, const char *name)
{
    track_begin(p, id, 0, name, 0);
    put_number(&p->event, TRACK_CHILD_ORDERING, ORDER_EXPLICIT);
    put_number(&p->part, PROCESS_PID, (uint64_t)pid);
    put_text(&p->part, PROCESS_NAME, name);
    put_message(&p->event, TRACK_PROCESS, &p->part);
    track_end(p);
}

void perfetto_thread(struct perfetto *p, uint64_t id, uint64_t parent, int pid, int tid,
                     const char *name, int rank)
{
    track_begin(p, id, parent, name, rank);
    put_number(&p->part, THREAD_PID, (uint64_t)pid);
    put_number(&p->part, THREAD_TID, (uint64_t)tid);
    put_text(&p->part, THREAD_NAME, name);
    put_message(&p->event, TRACK_THREAD, &p->part);
    track_end(p);
}

void perfetto_track(struct perfetto *p, uint64_t id, uint64_t parent, const char *name,
                    int rank)
{
    track_begin(p, id, parent, name, rank);
    track_end(p);
}

void perfetto_counter(struct perfetto *p, uint64_t id, uint64_t parent, const char *name,
                      enum perfetto_unit unit, int rank)
{
    track_begin(p, id, parent, name, rank);
    put_number(&p->part, COUNTER_UNIT, unit);
    put_message(&p->event, TRACK_COUNTER, &p->part);
    track_end(p);
}

/* ---- Events ----------------------------------------------------------------------------
 */

static void put_note(struct perfetto *p, const struct perfetto_note *note, uint64_t name)
{
    p->part.used = 0;
    put_number(&p->part, ANNOTATION_NAME, name);
    if (note->text != NULL)
        put_text(&p->part, ANNOTATION_TEXT, note->text);
    else
        put_number(&p->part, ANNOTATION_UNSIGNED, note->value);
    put_message(&p->event, EVENT_ANNOTATION, &p->part);
}

static void write_event(struct perfetto *p, unsigned type,
                        const struct perfetto_event *event)
{
    p->event.used = 0;
    put_number(&p->event, EVENT_TYPE, type);
    put_number(&p->event, EVENT_TRACK, event->track);
    if (event->name != NULL)
        put_number(
            &p->event, EVENT_NAME,
            intern(p, p->event_name, &p->event_names, INTERNED_EVENT_NAMES, event->name));
    for (unsigned i = 0; i < event->flows; i++)
        put_fixed64(&p->event, EVENT_FLOW, event->flow[i]);
    for (unsigned i = 0; i < PERFETTO_NOTES_MAX && event->note[i].name != NULL; i++)
        put_note(p, &event->note[i],
                 intern(p, p->annotation_name, &p->annotation_names,
                        INTERNED_ANNOTATION_NAMES, event->note[i].name));
    packet_begin(p, FLAG_NEEDED);
    put_number(&p->packet, PACKET_TIMESTAMP, event->time_ns);
    put_message(&p->packet, PACKET_EVENT, &p->event);
    packet_end(p);
}

void perfetto_slice(struct perfetto *p, const struct perfetto_event *event)
{
    write_event(p, TYPE_BEGIN, event);
}

void perfetto_slice_end(struct perfetto *p, uint64_t track, uint64_t time_ns)
{
    const struct perfetto_event event = { .track = track, .time_ns = time_ns };
    write_event(p, TYPE_END, &event);
}

void perfetto_instant(struct perfetto *p, const struct perfetto_event *event)
{
    write_event(p, TYPE_INSTANT, event);
}

void perfetto_count(struct perfetto *p, uint64_t track, uint64_t time_ns, uint64_t value)
{
    p->event.used = 0;
    put_number(&p->event, EVENT_TYPE, TYPE_COUNTER);
    put_number(&p->event, EVENT_TRACK, track);
    put_number(&p->event, EVENT_VALUE, value);
    packet_begin(p, FLAG_NEEDED);
    put_number(&p->packet, PACKET_TIMESTAMP, time_ns);
    put_message(&p->packet, PACKET_EVENT, &p->event);
    packet_end(p);
}
