/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace - recorded requests as the replayer sees them, and the native file format.
 *
 * A trace is a stream of records, one request each, in the order in which they were issued.
 * Reading and writing take constant memory, whatever the length of the file. FORMAT.md
 * describes the native format byte by byte.
 */
#ifndef TRACES_TRACE_H
#define TRACES_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/error.h"

enum trace_op {
    TRACE_READ,         /* The device writes memory. */
    TRACE_WRITE,        /* The device reads memory. */
    TRACE_FLUSH,        /* No data. */
    TRACE_DISCARD,      /* bytes are a range of the medium; no data is moved. */
    TRACE_WRITE_ZEROES, /* As discard. */
    TRACE_OPS,
};

/* A physically contiguous piece of the request's memory. */
struct trace_segment {
    uint64_t pa;
    uint32_t bytes;
};

enum {
    TRACE_SEGMENTS_MAX = 4096,    /* Of one record: 16 MiB of scattered 4 KiB pages. */
    TRACE_BYTES_MAX    = 1 << 30, /* Of one record. */
    TRACE_CPUS_MAX     = 4096,
    TRACE_SECTOR_BYTES = 512,
};

/* What is not known is 0, and depth is then 0 too; UNKNOWN_TIME marks a missing latency. */
#define TRACE_LATENCY_UNKNOWN UINT64_MAX

struct trace_record {
    uint64_t time_ns;    /* Issue, from the first record's; never decreases. */
    uint64_t latency_ns; /* Issue to completion, or TRACE_LATENCY_UNKNOWN. */
    uint64_t lba;        /* In 512-byte sectors. */
    uint32_t bytes; /* Of the medium; equals the sum of the segments when there are any. */
    uint32_t cpu;   /* That issued it. */
    uint32_t completion_cpu;
    uint32_t device; /* Index into the devices of the trace, in order of appearance. */
    uint32_t queue;  /* Hardware queue of the device; 0 when unknown. */
    uint32_t depth;  /* Requests of this CPU in flight right after the issue; 0: unknown. */
    enum trace_op op;
    uint32_t segment_count; /* 0: the trace does not know where the buffers were. */
    const struct trace_segment *segment; /* Owned by the reader until the next record. */
};

/* True when the request moves data between memory and the device. */
static inline bool trace_op_moves_data(enum trace_op op)
{
    return op == TRACE_READ || op == TRACE_WRITE;
}

const char *trace_op_name(enum trace_op op); /* "read", "write", ... */

/* One line of free text about the whole trace, for `trace info`: key and value. */
struct trace_note {
    char key[32];
    char value[224];
};

enum { TRACE_NOTES_MAX = 32 };

struct trace_about {
    const char *format; /* The importer's name: "native", "ftrace", ... */
    uint32_t note_count;
    struct trace_note note[TRACE_NOTES_MAX]; /* origin, kernel, mode, ... */
};

/* Adds a note; too long a key or value is cut. */
void trace_about_note(struct trace_about *about, const char *key, const char *value);

/*
 * Reading any format.
 *
 * open recognises the format by content. False with one line naming the file (and the line
 * or record) when there is none, it is not known, or it is broken.
 */
struct trace_reader;
bool trace_open(struct trace_reader **reader, const char *path, struct error *error);

/* As trace_open, but insists on the importer called format (NULL: by content). */
bool trace_open_as(struct trace_reader **reader, const char *path, const char *format,
                   struct error *error);

const struct trace_about *trace_about(const struct trace_reader *reader);

/* 1: *record is the next one; 0: the trace has ended, whole; -1: error holds one line. */
int trace_next(struct trace_reader *reader, struct trace_record *record,
               struct error *error);

/* Back to the first record. False when the file cannot be read again. */
bool trace_rewind(struct trace_reader *reader, struct error *error);

void trace_close(struct trace_reader *reader);

/*
 * Writing the native format. The file appears under path only when finish succeeds; until
 * then it is a temporary beside it, which abandon removes.
 */
struct trace_writer;
bool trace_create(struct trace_writer **writer, const char *path,
                  const struct trace_about *about, struct error *error);

/* A record that breaks a rule of struct trace_record is refused and named by its index. */
bool trace_put(struct trace_writer *writer, const struct trace_record *record,
               struct error *error);

bool trace_finish(struct trace_writer *writer, struct error *error);
void trace_abandon(struct trace_writer *writer);

/* Whether a record keeps the rules above; the text names the field. */
bool trace_record_check(const struct trace_record *record, struct error *error);

#endif
