/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import - the family of trace importers: one file format each.
 *
 * traces/import_X.c defines `const struct trace_importer import_X` whose name is "X"; the
 * file's name is its registration. An importer reads a stream of bytes that is already
 * decompressed, keeps a bounded amount of it, and hands out records that keep the rules of
 * struct trace_record (trace_next checks).
 */
#ifndef TRACES_IMPORT_H
#define TRACES_IMPORT_H

#include <stddef.h>

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trace_source; /* The decompressed bytes of one file. */

/* Up to bytes bytes into buf, fewer only at the end; 0 behind it; -1 with error set. */
long trace_source_read(struct trace_source *source, void *buf, size_t bytes,
                       struct error *error);

/* The next line without its newline (or carriage return and newline), terminated, in a
 * buffer of the source's that lasts until the next call; NULL at the end, with error->text
 * empty, or on error. Lines beyond TRACE_LINE_MAX bytes are an error. */
#ifdef IOVASIM_FUZZ
enum { TRACE_LINE_MAX = 1 << 13 }; /* Within a fuzzer's reach. */
#else
enum { TRACE_LINE_MAX = 1 << 20 };
#endif
const char *trace_source_line(struct trace_source *source, size_t *bytes,
                              struct error *error);

/* The number of the line handed out last, from 1. */
uint64_t trace_source_line_number(const struct trace_source *source);

/* Further files of the same recording (one for each CPU, say), from index 0; NULL behind
 * the last. A part has a name for messages, the source itself has none. */
struct trace_source *trace_source_part(struct trace_source *source, unsigned index);
const char *trace_source_name(const struct trace_source *source);

enum { IMPORT_PEEK_BYTES = 4096 };

/* What the records of a format can know, for docs/formats.md. */
enum import_knows {
    KNOWS_TIME    = 1, /* When requests were issued; otherwise only their order. */
    KNOWS_LATENCY = 2, /* When they completed, and so how many were in flight. */
    KNOWS_CPU     = 4,
    KNOWS_DEVICE  = 8,  /* Several devices are told apart. */
    KNOWS_MEMORY  = 16, /* Where the data was. */
    KNOWS_RDMA    = 32, /* Its records are RDMA work and not block requests. */
};

struct trace_importer {
    const char *name;    /* On the command line; equals the file's name. */
    const char *summary; /* One line for `iovasim formats`. */
    const char *origin;  /* Which program or collection writes such files. */
    unsigned knows;      /* Of enum import_knows. */

    /* When one recording is several files: what stands in their names before the number
     * that tells them apart (".blktrace."). NULL: a recording is one file. */
    const char *part_infix;

    /* Whether the first bytes (at most IMPORT_PEEK_BYTES, text not terminated) are of this
     * format. Two importers never both say yes to one file of the test suite. */
    bool (*recognises)(const uint8_t *first, size_t bytes);

    /* Begins reading; fills about's notes, and may go on doing so until close. NULL with
     * error set when the file is broken. */
    void *(*open)(struct trace_source *source, struct trace_about *about,
                  struct error *error);

    /* As trace_next, but never called again once it returned 0 or -1. Error text starts
     * with "line N" or "record N". */
    int (*next)(void *state, struct trace_record *record, struct error *error);

    void (*close)(void *state);
};

extern const struct trace_importer *const import_table[];

#ifdef __cplusplus
}
#endif

#endif
