/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_fio - the I/O logs of fio (write_iolog), versions 2 and 3.
 *
 * Version 3 gives each request its time in microseconds since the start. Version 2 has
 * none, only waits, each from the one before: requests between two waits share a time. A
 * sync is a flush, a trim a discard.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/feed.h"
#include "traces/text.h"

struct fio {
    struct feed *feed;
    unsigned version;
    uint64_t time_us; /* Of version 2: the sum of the waits. */
};

static bool fio_recognises(const uint8_t *first, size_t bytes)
{
    return bytes > 19 && memcmp(first, "fio version ", 12) == 0
           && memcmp(first + 13, " iolog", 6) == 0;
}

static void *fio_open(struct trace_source *source, struct trace_about *about,
                      struct error *error)
{
    size_t bytes;
    const char *text = trace_source_line(source, &bytes, error);
    if (text == NULL)
        return NULL;
    if (strcmp(text, "fio version 2 iolog") != 0
        && strcmp(text, "fio version 3 iolog") != 0) {
        error_set(error, "line 1: expected 'fio version 2 iolog' or 3, got '%.60s'", text);
        return NULL;
    }
    struct fio *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->version = text[12] == '2' ? 2 : 3;
    f->feed    = feed_new(source, about);
    trace_about_note(about, "iolog_version", f->version == 2 ? "2" : "3");
    return f;
}

/* A word up to the next blank. */
static size_t word_take(const char **at, const char **word)
{
    *word = *at        = text_skip_blanks(*at);
    const size_t bytes = strcspn(*at, " \t");
    *at                = text_skip_blanks(*at + bytes);
    return bytes;
}

static const struct fio_action {
    const char *name;
    bool counts, waits; /* Is a request; is a wait. */
    enum trace_op op;
} actions[] = {
    { "read", true, false, TRACE_READ },      { "write", true, false, TRACE_WRITE },
    { "trim", true, false, TRACE_DISCARD },   { "sync", true, false, TRACE_FLUSH },
    { "datasync", true, false, TRACE_FLUSH }, { "wait", false, true, TRACE_OPS },
    { "add", false, false, TRACE_OPS },       { "open", false, false, TRACE_OPS },
    { "close", false, false, TRACE_OPS },
};

static const struct fio_action *action_find(const char *word, size_t bytes)
{
    for (unsigned i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strlen(actions[i].name) == bytes && memcmp(actions[i].name, word, bytes) == 0)
            return &actions[i];
    return NULL;
}

static bool request_put(struct fio *f, const struct fio_action *action, const char *file,
                        size_t file_bytes, uint64_t time_us, const char *at,
                        struct error *error)
{
    struct trace_record record = { .latency_ns = TRACE_LATENCY_UNKNOWN, .op = action->op };
    uint64_t offset = 0, size = 0;

    if (__builtin_mul_overflow(time_us, (uint64_t)1000, &record.time_ns))
        return error_set(error, "time %" PRIu64 " is out of range", time_us);
    if (action->op != TRACE_FLUSH) {
        if (!text_number(&at, 10, &offset) || *at != ' ')
            return error_set(error, "expected an offset, got '%.40s'", at);
        at = text_skip_blanks(at);
        if (!text_number(&at, 10, &size) || *text_skip_blanks(at) != '\0')
            return error_set(error, "expected a length and the end, got '%.40s'", at);
    }
    if (size == 0 && action->op != TRACE_FLUSH) {
        f->feed->skipped++;
        return true;
    }
    if (!feed_device(f->feed, file, file_bytes, &record.device, error))
        return false;
    if (action->op != TRACE_FLUSH && !feed_extent(f->feed, &record, offset, size, error))
        return false;
    sorter_put(&f->feed->sorter, &record);
    return true;
}

static bool line_take(struct fio *f, const char *text, struct error *error)
{
    const char *at   = text_skip_blanks(text), *file, *word;
    uint64_t time_us = f->time_us, wait;

    if (f->version == 3 && !(text_number(&at, 10, &time_us) && *at == ' '))
        return error_set(error, "expected a time in microseconds, got '%.40s'", at);
    const size_t file_bytes           = word_take(&at, &file);
    const size_t word_bytes           = word_take(&at, &word);
    const struct fio_action *const go = action_find(word, word_bytes);
    if (file_bytes == 0 || go == NULL)
        return error_set(error,
                         "expected a file and add, open, close, read, write, trim, sync, "
                         "datasync or wait, got '%.60s'",
                         text);
    if (go->counts)
        return request_put(f, go, file, file_bytes, time_us, at, error);
    if (!go->waits)
        return true;
    if (f->version == 3)
        return error_set(error, "version 3 has no wait");
    if (!text_number(&at, 10, &wait)
        || __builtin_add_overflow(f->time_us, wait, &f->time_us))
        return error_set(error, "expected microseconds to wait, got '%.40s'", at);
    return true;
}

static int fio_more(void *self, struct error *error)
{
    struct fio *f = self;
    size_t bytes;
    const char *text = trace_source_line(f->feed->source, &bytes, error);
    if (text == NULL)
        return error->text[0] != '\0' ? -1 : 0;
    if (bytes == 0)
        return 1;
    if (strlen(text) != bytes)
        error_set(error, "a zero byte in the text");
    else if (line_take(f, text, error))
        return 1;
    error_in(error, "line %" PRIu64, trace_source_line_number(f->feed->source));
    return -1;
}

static int fio_next(void *state, struct trace_record *record, struct error *error)
{
    struct fio *f = state;
    return feed_next(f->feed, f, fio_more, record, error);
}

static void fio_close(void *state)
{
    struct fio *f = state;
    feed_free(f->feed);
    free(f);
}

const struct trace_importer import_fio = {
    .name       = "fio",
    .summary    = "I/O logs of fio, versions 2 and 3",
    .origin     = "fio --write_iolog=FILE",
    .knows      = KNOWS_TIME | KNOWS_DEVICE,
    .recognises = fio_recognises,
    .open       = fio_open,
    .next       = fio_next,
    .close      = fio_close,
};
