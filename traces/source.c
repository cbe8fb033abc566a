/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three layers: stored bytes come from a file or from memory, an unpacker stands over them
 * when they are compressed, and a buffer on top serves peeks and lines.
 */
#include "traces/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/check.h"
#include "traces/unpack.h"

/* A fuzzer's inputs are small: they reach the end of a chunk, and are read the quicker. */
#ifdef IOVASIM_FUZZ
enum { CHUNK_BYTES = 1 << 12 };
#else
enum { CHUNK_BYTES = 1 << 16 };
#endif

/* A line of the greatest length still leaves room for a chunk and the terminator. */
enum { BUFFER_BYTES = TRACE_LINE_MAX + CHUNK_BYTES + 1 };

struct trace_source {
    int fd;   /* -1: memory. */
    off_t at; /* Of a file: the next byte, as others may read the same open file; -1: a
                 pipe. */
    const uint8_t *memory;
    size_t memory_bytes, memory_used;

    bool started, between_members, stored_end, at_end;
    const struct unpacker *unpacker; /* NULL: the bytes are plain. */
    void *unpack;                    /* The unpacker's state. */
    const uint8_t *stored_at;        /* What of stored[] is left. */
    size_t stored_bytes;

    char *name; /* For messages about a part; NULL otherwise. */
    struct trace_source **part;
    unsigned parts;

    uint64_t line_number;
    size_t head, tail; /* The bytes of buffer that are read but not yet handed out. */

    uint8_t stored[CHUNK_BYTES];
    char buffer[BUFFER_BYTES];
};

static struct trace_source *source_new(int fd)
{
    /* Not calloc: most of the buffers is never touched. */
    struct trace_source *s = malloc(sizeof *s);
    CHECK(s != NULL);
    memset(s, 0, offsetof(struct trace_source, stored));
    s->fd = fd;
    s->at = fd < 0 ? -1 : lseek(fd, 0, SEEK_CUR);
    return s;
}

bool trace_source_open(struct trace_source **source, const char *path, struct error *error)
{
    const bool standard = strcmp(path, TRACE_STANDARD_INPUT) == 0;
    const int fd        = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                   : open(path, O_RDONLY | O_CLOEXEC);
    *source             = fd >= 0 ? source_new(fd) : NULL;
    return fd >= 0 || error_set(error, "cannot open: %s", strerror(errno));
}

struct trace_source *trace_source_open_memory(const void *bytes, size_t count)
{
    struct trace_source *s = source_new(-1);
    s->memory              = bytes;
    s->memory_bytes        = count;
    return s;
}

static void unpack_stop(struct trace_source *s)
{
    if (s->unpacker != NULL)
        s->unpacker->end(s->unpack);
    s->unpacker = NULL;
    s->unpack   = NULL;
}

void trace_source_close(struct trace_source *source)
{
    for (unsigned i = 0; i < source->parts; i++)
        trace_source_close(source->part[i]);
    free(source->part);
    free(source->name);
    unpack_stop(source);
    if (source->fd >= 0)
        close(source->fd);
    free(source);
}

void trace_source_add_part(struct trace_source *source, struct trace_source *part,
                           const char *name)
{
    const size_t bytes = (source->parts + 1) * sizeof(struct trace_source *);
    CHECK(part->parts == 0);
    source->part = realloc(source->part, bytes);
    part->name   = strdup(name);
    CHECK(source->part != NULL);
    CHECK(part->name != NULL);
    source->part[source->parts++] = part;
}

struct trace_source *trace_source_part(struct trace_source *source, unsigned index)
{
    return index < source->parts ? source->part[index] : NULL;
}

const char *trace_source_name(const struct trace_source *source)
{
    return source->name;
}

bool trace_source_rewind(struct trace_source *source, struct error *error)
{
    for (unsigned i = 0; i < source->parts; i++)
        if (!trace_source_rewind(source->part[i], error))
            return error_in(error, "%s", source->part[i]->name);
    if (source->fd >= 0 && source->at < 0)
        return error_set(error, "cannot be read a second time");
    if (source->fd >= 0)
        source->at = 0;
    unpack_stop(source);
    source->started = source->between_members = source->stored_end = source->at_end = false;
    source->stored_bytes = source->memory_used = source->head = source->tail = 0;
    source->line_number                                                      = 0;
    return true;
}

static long memory_read(struct trace_source *s, void *buf, size_t bytes)
{
    const size_t left = s->memory_bytes - s->memory_used;
    const size_t got  = bytes < left ? bytes : left;
    if (got != 0)
        memcpy(buf, s->memory + s->memory_used, got);
    s->memory_used += got;
    return (long)got;
}

static ssize_t file_read(struct trace_source *s, void *buf, size_t bytes)
{
    if (s->at < 0)
        return read(s->fd, buf, bytes);
    const ssize_t got = pread(s->fd, buf, bytes, s->at);
    s->at += got > 0 ? got : 0;
    return got;
}

/* Stored bytes, fewer than asked for only at the end. */
static long stored_read(struct trace_source *s, void *buf, size_t bytes,
                        struct error *error)
{
    if (s->fd < 0)
        return memory_read(s, buf, bytes);
    size_t used = 0;
    while (used < bytes) {
        const ssize_t got = file_read(s, (uint8_t *)buf + used, bytes - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error_set(error, "cannot read: %s", strerror(errno));
            return -1;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (long)used;
}

/* Gives the layer above its next input. Returns how much, or -1. */
static long stored_refill(struct trace_source *s, struct error *error)
{
    const long got  = stored_read(s, s->stored, sizeof s->stored, error);
    s->stored_at    = s->stored;
    s->stored_bytes = got > 0 ? (size_t)got : 0;
    s->stored_end   = got >= 0 && (size_t)got < sizeof s->stored;
    return got;
}

/* Looks at the first bytes and decides how they are packed. */
static bool source_start(struct trace_source *s, struct error *error)
{
    s->started = true;
    if (stored_refill(s, error) < 0)
        return false;
    for (const struct unpacker *const *u = unpack_table; *u != NULL; u++)
        if (s->unpacker == NULL && (*u)->recognises(s->stored_at, s->stored_bytes))
            s->unpacker = *u;
    if (s->unpacker != NULL)
        s->unpack = s->unpacker->begin();
    return true;
}

/* Plain bytes: those that source_start has read already, then the rest of the file. */
static long plain_read(struct trace_source *s, void *buf, size_t bytes, struct error *error)
{
    const size_t take = bytes < s->stored_bytes ? bytes : s->stored_bytes;

    if (take != 0)
        memcpy(buf, s->stored_at, take);
    s->stored_at += take;
    s->stored_bytes -= take;
    if (take == bytes)
        return (long)take;
    const long more = stored_read(s, (uint8_t *)buf + take, bytes - take, error);
    return more < 0 ? -1 : (long)take + more;
}

/* One step of the unpacker, which also crosses from one member to the next. */
static bool unpack_step(struct trace_source *s, struct unpack_io *io, struct error *error)
{
    const size_t in_before = io->in_bytes, out_before = io->out_bytes;

    if (s->between_members)
        s->unpacker->again(s->unpack);
    const enum unpack_result result = s->unpacker->step(s->unpack, io, error);
    s->between_members              = result == UNPACK_ENDED;
    if (result == UNPACK_BROKEN)
        return false;
    if (result == UNPACK_ENDED || io->in_bytes != in_before || io->out_bytes != out_before)
        return true;
    return error_set(error, in_before == 0
                                ? "the compressed data ends too early: truncated"
                                : "the compressed data is damaged (it leads nowhere)");
}

/* Unpacked bytes. Behind the last input an unpacker may still hold output. */
static long unpack_read(struct trace_source *s, void *buf, size_t bytes,
                        struct error *error)
{
    struct unpack_io io = { NULL, 0, buf, bytes };
    while (io.out_bytes != 0) {
        if (s->stored_bytes == 0 && !s->stored_end && stored_refill(s, error) < 0)
            return -1;
        if (s->stored_bytes == 0 && s->between_members)
            break;
        io.in           = s->stored_at;
        io.in_bytes     = s->stored_bytes;
        const bool good = unpack_step(s, &io, error);
        s->stored_at    = io.in;
        s->stored_bytes = io.in_bytes;
        if (!good)
            return -1;
    }
    return (long)(bytes - io.out_bytes);
}

/* Decompressed bytes from below the buffer, fewer than asked for only at the end. */
static long lower_read(struct trace_source *s, void *buf, size_t bytes, struct error *error)
{
    if (s->at_end || bytes == 0)
        return 0;
    if (!s->started && !source_start(s, error))
        return -1;
    const long got = s->unpacker != NULL ? unpack_read(s, buf, bytes, error)
                                         : plain_read(s, buf, bytes, error);
    s->at_end      = got >= 0 && (size_t)got < bytes;
    return got;
}

/* Appends one chunk to the buffer, which the caller has found too short. */
static long buffer_fill(struct trace_source *s, struct error *error)
{
    memmove(s->buffer, s->buffer + s->head, s->tail - s->head);
    s->tail -= s->head;
    s->head = 0;
    CHECK(s->tail <= TRACE_LINE_MAX);
    const long got = lower_read(s, s->buffer + s->tail, CHUNK_BYTES, error);
    if (got > 0)
        s->tail += (size_t)got;
    return got;
}

long trace_source_peek(struct trace_source *source, const uint8_t **first,
                       struct error *error)
{
    while (source->tail - source->head < IMPORT_PEEK_BYTES) {
        const long got = buffer_fill(source, error);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
    }
    const size_t held = source->tail - source->head;
    *first            = (const uint8_t *)source->buffer + source->head;
    return (long)(held < IMPORT_PEEK_BYTES ? held : IMPORT_PEEK_BYTES);
}

long trace_source_read(struct trace_source *source, void *buf, size_t bytes,
                       struct error *error)
{
    const size_t held = source->tail - source->head;
    const size_t take = bytes < held ? bytes : held;

    CHECK(bytes <= INT32_MAX);
    memcpy(buf, source->buffer + source->head, take);
    source->head += take;
    const long more = lower_read(source, (uint8_t *)buf + take, bytes - take, error);
    return more < 0 ? -1 : (long)take + more;
}

static const char *line_too_long(const struct trace_source *s, struct error *error)
{
    error_set(error, "line %" PRIu64 ": longer than %d bytes", s->line_number + 1,
              TRACE_LINE_MAX);
    return NULL;
}

/* Hands out the length bytes at head and passes over end_bytes of newline behind them. */
static const char *line_take(struct trace_source *s, size_t length, size_t end_bytes,
                             size_t *bytes)
{
    char *line = s->buffer + s->head;
    s->head += length + end_bytes;
    s->line_number++;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    *bytes       = length;
    return line;
}

const char *trace_source_line(struct trace_source *source, size_t *bytes,
                              struct error *error)
{
    size_t searched = 0; /* Bytes behind head that are known to hold no newline. */

    error->text[0] = '\0';
    for (;;) {
        const char *const line = source->buffer + source->head;
        const size_t held      = source->tail - source->head;
        const char *const end  = memchr(line + searched, '\n', held - searched);
        if ((end != NULL ? (size_t)(end - line) : held) > TRACE_LINE_MAX)
            return line_too_long(source, error);
        if (end != NULL)
            return line_take(source, (size_t)(end - line), 1, bytes);

        const long got = buffer_fill(source, error);
        if (got < 0)
            return NULL;
        if (got == 0)
            return held == 0 ? NULL : line_take(source, held, 0, bytes);
        searched = held;
    }
}

uint64_t trace_source_line_number(const struct trace_source *source)
{
    return source->line_number;
}
