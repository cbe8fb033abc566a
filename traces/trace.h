/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace - recorded requests as the replayer sees them, and the native file format.
 *
 * A trace is a stream of records, one request each, in the order in which they were issued;
 * messages count them from 0. Reading and writing take constant memory, whatever the length
 * of the file. FORMAT.md describes the native format byte by byte.
 */
#ifndef TRACES_TRACE_H
#define TRACES_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum trace_op {
    TRACE_READ,         /* The device writes memory. */
    TRACE_WRITE,        /* The device reads memory. */
    TRACE_FLUSH,        /* No data, and bytes is 0. */
    TRACE_DISCARD,      /* bytes are a range of the medium; none of its data is moved. */
    TRACE_WRITE_ZEROES, /* As discard. */
    TRACE_BLOCK_OPS,

    /* Bare work, of a bench rather than of a drive. */
    TRACE_ACCESS_READ = TRACE_BLOCK_OPS, /* One access of a device that reads memory, */
    TRACE_ACCESS_WRITE, /* or writes it. The memory stays mapped from its first access on.
                         */
    TRACE_MAP,          /* Memory is mapped and unmapped; no device is asked. */
    TRACE_PLAIN_OPS,

    /* Work for an RDMA NIC; struct trace_rdma says more. */
    TRACE_RDMA_SEND = TRACE_PLAIN_OPS,
    TRACE_RDMA_RECEIVE,       /* A buffer for a send of the peer. */
    TRACE_RDMA_WRITE,         /* Into the peer's memory. */
    TRACE_RDMA_READ,          /* From it. */
    TRACE_RDMA_ATOMIC,        /* On 8 bytes of it. */
    TRACE_RDMA_REGISTER,      /* A memory region comes, by a call, */
    TRACE_RDMA_FAST_REGISTER, /* or by a work request. */
    TRACE_RDMA_INVALIDATE,    /* It goes, by a work request, */
    TRACE_RDMA_DEREGISTER,    /* or by a call. */
    TRACE_OPS,
};

/*
 * What RDMA work is about; what is not known is 0. Addresses are virtual: those of the
 * region that the key stands for.
 */
struct trace_rdma {
    uint32_t qp;      /* Queue pair that the work was posted to. */
    uint32_t peer;    /* Device at the other end, as trace_record.device. */
    uint32_t peer_qp; /* The queue pair there. */
    uint32_t key;     /* Of the memory at the peer; of the region that comes or goes. */
    uint64_t address; /* Likewise. */
    uint64_t region_bytes;  /* Of a region that comes; 0 otherwise. */
    uint32_t local_key;     /* Of the poster's own memory, its first piece. */
    uint64_t local_address; /* Likewise. */
};

/* A physically contiguous piece of the request's memory. */
struct trace_segment {
    uint64_t pa;
    uint32_t bytes;
};

/* What a record may hold. The limits leave room: a replayer may convert times to
 * picoseconds and sectors to bytes in 64 bits without looking for overflow. */
enum {
    TRACE_SEGMENTS_MAX = 4096,    /* Of one record: 16 MiB of scattered 4 KiB pages. */
    TRACE_BYTES_MAX    = 1 << 30, /* Of one record that moves data. */
    TRACE_CPUS_MAX     = 4096,
    TRACE_DEVICES_MAX  = 65536,
    TRACE_QUEUES_MAX   = 65536, /* Of one device. */
    TRACE_PA_BITS      = 56,
    TRACE_SECTOR_BYTES = 512,
    TRACE_QP_BITS      = 24,
};
#define TRACE_MESSAGE_MAX (UINT32_C(1) << 31)        /* Bytes of one RDMA message. */
#define TRACE_TIME_MAX_NS UINT64_C(9000000000000000) /* 104 days. */
#define TRACE_LBA_MAX     (UINT64_MAX / TRACE_SECTOR_BYTES)

/* What is not known is 0, and depth is then 0 too; this marks a missing latency. */
#define TRACE_LATENCY_UNKNOWN UINT64_MAX

struct trace_record {
    uint64_t time_ns;    /* Issue; the first record's is 0, and it never decreases. */
    uint64_t latency_ns; /* Issue to completion, or TRACE_LATENCY_UNKNOWN. */
    uint64_t lba;        /* In 512-byte sectors; 0 in RDMA work. */
    uint32_t bytes;      /* Of the medium; the sum of the segments when there are any. Of an
                            RDMA message; 0 when a region comes or goes. */
    uint32_t cpu;        /* That issued it. */
    uint32_t completion_cpu;
    uint32_t device; /* Index into the devices of the trace, in order of appearance. */
    uint32_t queue;  /* Hardware queue of the device; 0 when unknown. */
    uint32_t depth;  /* Requests of this CPU in flight right after the issue; 0: unknown. */
    enum trace_op op;
    uint32_t segment_count; /* 0: the trace does not know where the buffers were. */
    const struct trace_segment *segment; /* Owned by the reader until the next record. */
    struct trace_rdma rdma;              /* All 0 in block requests. */
};

/* True for bare accesses and bare mappings. */
static inline bool trace_op_is_bare(enum trace_op op)
{
    return op >= TRACE_BLOCK_OPS && op < TRACE_PLAIN_OPS;
}

/* True when the record is about memory: a block request that moves data, or bare work. */
static inline bool trace_op_moves_data(enum trace_op op)
{
    return op == TRACE_READ || op == TRACE_WRITE || trace_op_is_bare(op);
}

static inline bool trace_op_is_rdma(enum trace_op op)
{
    return op >= TRACE_PLAIN_OPS && op < TRACE_OPS;
}

/* True for the RDMA operations that a memory region comes or goes with. */
static inline bool trace_op_is_region(enum trace_op op)
{
    return op >= TRACE_RDMA_REGISTER && op <= TRACE_RDMA_DEREGISTER;
}

/* True for the two with which a region comes. */
static inline bool trace_op_registers(enum trace_op op)
{
    return op == TRACE_RDMA_REGISTER || op == TRACE_RDMA_FAST_REGISTER;
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

/* Adds a note, or replaces the value of a key that is there. Too long a text is cut,
 * control characters become '?', and a note beyond TRACE_NOTES_MAX is dropped. */
void trace_about_note(struct trace_about *about, const char *key, const char *value);

/* The value of a note, or NULL. */
const char *trace_about_find(const struct trace_about *about, const char *key);

/*
 * How RDMA messages depend on each other. Without this note they do not, but for their
 * depth. With it each waits, on its connection, for the one before: until its poster has
 * seen that one arrive when it was the peer's, or complete when it was its own.
 */
#define TRACE_NOTE_ORDER  "order"
#define TRACE_ORDER_TURNS "ping-pong"
bool trace_takes_turns(const struct trace_about *about);

/*
 * Reading any format.
 *
 * open recognises the format by content. False, with *reader NULL and one line naming the
 * file (and the line or record), when there is none, it is not known, or it is broken.
 */
struct trace_reader;
#define TRACE_STANDARD_INPUT "-" /* As a path. */
bool trace_open(struct trace_reader **reader, const char *path, struct error *error);

/* As trace_open, but insists on the importer called format (NULL: by content). */
bool trace_open_as(struct trace_reader **reader, const char *path, const char *format,
                   struct error *error);

/* Whether the file at path is another piece of the recording that the reader reads, as
 * blktrace's files of several CPUs are. */
bool trace_holds(const struct trace_reader *reader, const char *path);

/* What is known so far: some notes (counts, say) only come with the last record. */
const struct trace_about *trace_about(const struct trace_reader *reader);

/* 1: *record is the next one; 0: the trace has ended, whole; -1: error holds one line.
 * An end and an error are final: every later call gives the same again. */
int trace_next(struct trace_reader *reader, struct trace_record *record,
               struct error *error);

/* Back to the first record. False when the file cannot be read again. */
bool trace_rewind(struct trace_reader *reader, struct error *error);

void trace_close(struct trace_reader *reader); /* NULL is fine. */

/*
 * Records that no file holds, made one after the other by somebody's own verbs. open begins
 * with the first record, and may add notes; NULL with error set when it cannot. next and
 * close are as trace_next and trace_close. self belongs to the reader from here on, also
 * when this fails: forget gives it back.
 */
struct trace_maker {
    const char *format; /* As in struct trace_about. */
    void *(*open)(const void *self, struct trace_about *about, struct error *error);
    int (*next)(void *state, struct trace_record *record, struct error *error);
    void (*close)(void *state);
    void (*forget)(void *self);
};
bool trace_open_made(struct trace_reader **reader, const struct trace_maker *maker,
                     void *self, const char *name, struct error *error);

/*
 * Writing the native format. The file appears under path only when finish succeeds; until
 * then it is a temporary beside it, which abandon removes. A writer ends with exactly one
 * finish (whether it succeeds or not) or abandon. When create fails, *writer is NULL.
 */
struct trace_writer;
bool trace_create(struct trace_writer **writer, const char *path,
                  const struct trace_about *about, struct error *error);

/* A record that breaks a rule of struct trace_record is refused and named by its index. */
bool trace_put(struct trace_writer *writer, const struct trace_record *record,
               struct error *error);

/* A note that was not known at create, or has another value now; it goes to the end. */
void trace_writer_note(struct trace_writer *writer, const char *key, const char *value);

bool trace_finish(struct trace_writer *writer, struct error *error);
void trace_abandon(struct trace_writer *writer); /* NULL is fine. */

/* Whether a record keeps the rules above; the text names the field. Those between records
 * (the first time is 0, no time decreases) are the reader's and the writer's to check. */
bool trace_record_check(const struct trace_record *record, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
