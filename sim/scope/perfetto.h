/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perfetto - writes a Perfetto trace: packets of tracks, slices, instants, counters, flows.
 *
 * The encoding is Protocol Buffers', the messages and field numbers are those that Perfetto
 * publishes (protos/perfetto/trace/: trace.proto, trace_packet.proto, interned_data,
 * track_event/). Names of events and annotations are interned: the same pointer is the same
 * name. Packets may be written out of the order of time, but for those of one track whose
 * times are equal.
 */
#ifndef SIM_SCOPE_PERFETTO_H
#define SIM_SCOPE_PERFETTO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PERFETTO_NAMES_MAX = 256, PERFETTO_BYTES_MAX = 2048 };

struct perfetto_buffer {
    uint8_t byte[PERFETTO_BYTES_MAX];
    size_t used;
};

struct perfetto {
    FILE *out;
    struct perfetto_buffer packet, event, part;
    const char *event_name[PERFETTO_NAMES_MAX], *annotation_name[PERFETTO_NAMES_MAX];
    unsigned event_names, annotation_names;
};

/* Something that is said of a slice. */
struct perfetto_note {
    const char *name; /* NULL: there is none. */
    uint64_t value;
    const char *text; /* In place of value, if not NULL. */
};
enum { PERFETTO_NOTES_MAX = 6 };

/* Where and when, and which flows go through. */
struct perfetto_event {
    uint64_t track;
    uint64_t time_ns;
    const char *name;
    const uint64_t *flow;
    unsigned flows;
    struct perfetto_note note[PERFETTO_NOTES_MAX];
};

enum perfetto_unit { PERFETTO_COUNT = 2, PERFETTO_BYTES = 3 };

/* Writes the beginning; out stays the caller's. */
void perfetto_begin(struct perfetto *p, FILE *out);

/* Tracks: a process, and below it threads, tracks of slices, counters. Ids are the
 * caller's, not 0. Of children the lower rank comes first; those of one name are drawn as
 * one. */
void perfetto_process(struct perfetto *p, uint64_t id, int pid, const char *name);
void perfetto_thread(struct perfetto *p, uint64_t id, uint64_t parent, int pid, int tid,
                     const char *name, int rank);
void perfetto_track(struct perfetto *p, uint64_t id, uint64_t parent, const char *name,
                    int rank);
void perfetto_counter(struct perfetto *p, uint64_t id, uint64_t parent, const char *name,
                      enum perfetto_unit unit, int rank);

/* A slice begins; slices of a track nest. */
void perfetto_slice(struct perfetto *p, const struct perfetto_event *event);
void perfetto_slice_end(struct perfetto *p, uint64_t track, uint64_t time_ns);
void perfetto_instant(struct perfetto *p, const struct perfetto_event *event);
void perfetto_count(struct perfetto *p, uint64_t track, uint64_t time_ns, uint64_t value);

#endif
