/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns - importers for tables in text: one request a line, its fields in fixed columns.
 *
 * A format is a table of its columns and words; COLUMNS_VERBS makes an importer's verbs of
 * it. Reading is strict: a line that does not fit is an error with its number.
 */
#ifndef TRACES_COLUMNS_H
#define TRACES_COLUMNS_H

#include <assert.h>

#include "traces/import.h"

#ifdef __cplusplus
extern "C" {
#endif

enum column_kind {
    COLUMN_NONE,   /* Behind the last. */
    COLUMN_IGNORE, /* Anything at all. */
    COLUMN_NUMBER, /* A number that is not used. */
    COLUMN_TIME,   /* unit: nanoseconds, a power of ten. */
    COLUMN_LATENCY,
    COLUMN_END, /* The time of the completion. */
    COLUMN_OP,
    COLUMN_OFFSET, /* unit: bytes. */
    COLUMN_BYTES,
    COLUMN_CPU,
    COLUMN_END_CPU,
    COLUMN_DEVICE, /* A name; two such columns make one. */
};

struct column {
    enum column_kind kind;
    uint64_t unit;
    const char *name; /* For messages. */
};

/* word NULL: the request is left out (an empty column). */
struct column_word {
    const char *word;
    enum trace_op op;
};

enum { COLUMNS_MAX = 16, COLUMN_WORDS_MAX = 12 };

struct columns_format {
    char separator;     /* ' ': any blanks. */
    bool more;          /* Further columns may follow. */
    bool empty_ops;     /* A request may be of no known kind: it is left out. */
    bool case_free;     /* Words are the same in capitals. */
    const char *header; /* NULL: the first line is a request already. */
    struct column column[COLUMNS_MAX];
    struct column_word word[COLUMN_WORDS_MAX];
};

bool columns_recognises(const struct columns_format *format, const uint8_t *first,
                        size_t bytes);
void *columns_open(const struct columns_format *format, struct trace_source *source,
                   struct trace_about *about, struct error *error);
int columns_next(void *state, struct trace_record *record, struct error *error);
void columns_close(void *state);

/* The two verbs that know the format; an importer takes the others as they are. */
#define COLUMNS_VERBS(NAME)                                                                \
    static bool NAME##_recognises(const uint8_t *first, size_t bytes)                      \
    {                                                                                      \
        return columns_recognises(&NAME##_format, first, bytes);                           \
    }                                                                                      \
    static void *NAME##_open(struct trace_source *source, struct trace_about *about,       \
                             struct error *error)                                          \
    {                                                                                      \
        return columns_open(&NAME##_format, source, about, error);                         \
    }                                                                                      \
    static_assert(sizeof NAME##_format.column / sizeof NAME##_format.column[0]             \
                      == COLUMNS_MAX,                                                      \
                  "a table of columns")

#ifdef __cplusplus
}
#endif

#endif
