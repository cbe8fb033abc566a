/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three layers: stored bytes come from a file or from memory, an inflater stands over them
 * when they are gzip, and a buffer on top serves peeks and lines. zlib's own gzread is not
 * used, because it takes a damaged second member for a silent end of the file.
 */
#include "traces/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "sim/base/check.h"

/* A line of the greatest length still leaves room for a chunk and the terminator. */
enum { CHUNK_BYTES = 1 << 16, BUFFER_BYTES = TRACE_LINE_MAX + CHUNK_BYTES + 1 };

enum { GZIP_WINDOW_BITS = 15 + 16 }; /* The largest window; gzip headers only. */

struct trace_source {
    int fd; /* -1: memory. */
    const uint8_t *memory;
    size_t memory_bytes, memory_used;

    bool started, gzip, between_members, at_end;
    z_stream inflater; /* Its input is stored[] or, for memory, the memory itself. */

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
    return s;
}

bool trace_source_open(struct trace_source **source, const char *path, struct error *error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    *source      = fd >= 0 ? source_new(fd) : NULL;
    return fd >= 0 || error_set(error, "cannot open: %s", strerror(errno));
}

struct trace_source *trace_source_open_memory(const void *bytes, size_t count)
{
    struct trace_source *s = source_new(-1);
    s->memory              = bytes;
    s->memory_bytes        = count;
    return s;
}

void trace_source_close(struct trace_source *source)
{
    if (source->gzip)
        inflateEnd(&source->inflater);
    if (source->fd >= 0)
        close(source->fd);
    free(source);
}

bool trace_source_rewind(struct trace_source *source, struct error *error)
{
    if (source->fd >= 0 && lseek(source->fd, 0, SEEK_SET) != 0)
        return error_set(error, "cannot be read a second time");
    if (source->gzip)
        inflateEnd(&source->inflater);
    memset(&source->inflater, 0, sizeof source->inflater);
    source->started = source->gzip = source->between_members = source->at_end = false;
    source->memory_used = source->head = source->tail = 0;
    source->line_number                               = 0;
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

/* Stored bytes, fewer than asked for only at the end. */
static long stored_read(struct trace_source *s, void *buf, size_t bytes,
                        struct error *error)
{
    if (s->fd < 0)
        return memory_read(s, buf, bytes);
    size_t used = 0;
    while (used < bytes) {
        const ssize_t got = read(s->fd, (uint8_t *)buf + used, bytes - used);
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

/* Gives the inflater its next input. Returns how much, or -1. */
static long stored_refill(struct trace_source *s, struct error *error)
{
    const long got       = stored_read(s, s->stored, sizeof s->stored, error);
    s->inflater.next_in  = s->stored;
    s->inflater.avail_in = got > 0 ? (uInt)got : 0;
    return got;
}

/* Looks at the first bytes and decides between plain and gzip. */
static bool source_start(struct trace_source *s, struct error *error)
{
    s->started = true;
    if (stored_refill(s, error) < 0)
        return false;
    s->gzip = s->inflater.avail_in >= 2 && s->stored[0] == 0x1f && s->stored[1] == 0x8b;
    if (s->gzip)
        CHECK(inflateInit2(&s->inflater, GZIP_WINDOW_BITS) == Z_OK);
    return true;
}

/* Plain bytes: those that source_start has read already, then the rest of the file. */
static long plain_read(struct trace_source *s, void *buf, size_t bytes, struct error *error)
{
    const size_t held = s->inflater.avail_in;
    const size_t take = bytes < held ? bytes : held;

    memcpy(buf, s->inflater.next_in, take);
    s->inflater.next_in += take;
    s->inflater.avail_in -= (uInt)take;
    if (take == bytes)
        return (long)take;
    const long more = stored_read(s, (uint8_t *)buf + take, bytes - take, error);
    return more < 0 ? -1 : (long)take + more;
}

/* One call of inflate, which also crosses from one gzip member to the next. */
static bool inflate_step(struct trace_source *s, struct error *error)
{
    if (s->between_members)
        CHECK(inflateReset(&s->inflater) == Z_OK);
    const int result   = inflate(&s->inflater, Z_NO_FLUSH);
    s->between_members = result == Z_STREAM_END;
    if (result == Z_OK || result == Z_STREAM_END)
        return true;
    const char *const why = s->inflater.msg != NULL ? s->inflater.msg : zError(result);
    return error_set(error, "the compressed data is damaged (%s)", why);
}

/* Makes sure that there is input. 1: there is; 0: there is no more, as there should be;
 * -1. */
static int gzip_refill(struct trace_source *s, struct error *error)
{
    const long got = s->inflater.avail_in != 0 ? 1 : stored_refill(s, error);
    if (got > 0)
        return 1;
    if (got == 0 && s->between_members)
        return 0;
    if (got == 0)
        error_set(error, "the compressed data ends too early: truncated");
    return -1;
}

static long gzip_read(struct trace_source *s, void *buf, size_t bytes, struct error *error)
{
    s->inflater.next_out  = buf;
    s->inflater.avail_out = (uInt)bytes;
    while (s->inflater.avail_out != 0) {
        const int more = gzip_refill(s, error);
        if (more < 0 || (more > 0 && !inflate_step(s, error)))
            return -1;
        if (more == 0)
            break;
    }
    return (long)(bytes - s->inflater.avail_out);
}

/* Decompressed bytes from below the buffer, fewer than asked for only at the end. */
static long lower_read(struct trace_source *s, void *buf, size_t bytes, struct error *error)
{
    if (s->at_end || bytes == 0)
        return 0;
    if (!s->started && !source_start(s, error))
        return -1;
    const long got =
        s->gzip ? gzip_read(s, buf, bytes, error) : plain_read(s, buf, bytes, error);
    s->at_end = got >= 0 && (size_t)got < bytes;
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
