/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source - the decompressed bytes of one file, or of memory.
 *
 * Content decides whether it is plain or compressed, and how (traces/unpack.h). Compressed
 * data that is cut short, damaged or followed by anything but another member of its kind is
 * an error, never a shorter trace.
 * Importers see only the verbs in import.h; this header is for the reader, tests and fuzz
 * targets.
 */
#ifndef TRACES_SOURCE_H
#define TRACES_SOURCE_H

#include "traces/import.h"

#ifdef __cplusplus
extern "C" {
#endif

/* path TRACE_STANDARD_INPUT: what standard input has from here on. */
bool trace_source_open(struct trace_source **source, const char *path, struct error *error);

/* The bytes stay the caller's and must outlive the source. */
struct trace_source *trace_source_open_memory(const void *bytes, size_t count);

/* Points *first at the next bytes, at most IMPORT_PEEK_BYTES and fewer only at the end,
 * without consuming them. Returns how many, or -1 with error set. */
long trace_source_peek(struct trace_source *source, const uint8_t **first,
                       struct error *error);

/* Back to the first byte and line 0. */
bool trace_source_rewind(struct trace_source *source, struct error *error);

void trace_source_close(struct trace_source *source);

/* Adds a file of the same recording, which is the source's from here on: it is rewound and
 * closed with it. name is for messages. */
void trace_source_add_part(struct trace_source *source, struct trace_source *part,
                           const char *name);

/*
 * Reads what source holds; name stands for the path in messages. The reader owns source
 * from here on, also when this fails.
 */
bool trace_open_source(struct trace_reader **reader, struct trace_source *source,
                       const char *name, const char *format, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
