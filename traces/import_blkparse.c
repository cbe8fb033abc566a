/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_blkparse - what blkparse prints in its usual form: device, CPU, sequence, time,
 * process, action, RWBS, and what the action is about. Other forms (blkparse -f) do not
 * match and are refused. The summary at the end is passed over.
 *
 * Inaccuracies: a request that the driver gives back (requeue) and takes again counts
 * twice.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/block_events.h"
#include "traces/text.h"

struct blkparse {
    struct trace_source *source;
    struct block_events *events;
    bool summary; /* The events are over. */
};

static bool take_blanks(const char **at)
{
    const char *const from = *at;
    *at                    = text_skip_blanks(from);
    return *at != from;
}

/* "  259,0    1       55     0.000012345   183  " */
static bool take_head(const char **at, struct block_event *e)
{
    uint64_t unused;
    *at = text_skip_blanks(*at);
    return text_number32(at, &e->major) && text_word(at, ",")
           && text_number32(at, &e->minor) && take_blanks(at) && text_number32(at, &e->cpu)
           && take_blanks(at) && text_number(at, 10, &unused) && take_blanks(at)
           && text_decimal(at, 1000000000, &e->time_ns) && take_blanks(at)
           && text_number(at, 10, &unused) && take_blanks(at);
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The action is of one or two letters. */
static bool take_action(const char **at, struct block_event *e)
{
    const char *const from = *at;
    while (is_letter(**at))
        ++*at;
    const size_t bytes = (size_t)(*at - from);
    e->action          = BLOCK_OTHER;
    if (bytes == 1)
        e->action = *from == 'Q'   ? BLOCK_QUEUE
                    : *from == 'D' ? BLOCK_ISSUE
                    : *from == 'C' ? BLOCK_COMPLETE
                                   : BLOCK_OTHER;
    return bytes >= 1 && bytes <= 2;
}

/* "47432 + 8 [fio]", or "[fio]" without data, or "(12 00 ..) [fio]" of a command. */
static bool take_extent(const char *at, struct block_event *e)
{
    uint64_t sectors;
    if (text_number(&at, 10, &e->sector)) {
        at = text_skip_blanks(at);
        if (text_word(&at, "+ ")) {
            if (!text_number(&at, 10, &sectors)
                || __builtin_mul_overflow(sectors, (uint64_t)TRACE_SECTOR_BYTES, &e->bytes))
                return false;
        } else if (*at == '(') {
            e->known = false;
            return true;
        }
        at = text_skip_blanks(at);
    }
    if (*at == '(') {
        /* An elapsed time (blkparse -t), or a command's bytes. */
        e->known = e->known && e->bytes != 0;
        return true;
    }
    return *at == '[' || *at == '\0';
}

static bool line_parse(const char *text, struct block_event *e)
{
    const char *at = text;
    char letters[16];
    size_t bytes = 0;

    *e = (struct block_event){ 0 };
    if (!take_head(&at, e) || !take_action(&at, e) || !take_blanks(&at))
        return false;
    while (is_letter(at[bytes]) && bytes + 1 < sizeof letters) {
        letters[bytes] = at[bytes];
        bytes++;
    }
    letters[bytes] = '\0';
    at             = text_skip_blanks(at + bytes);
    if (e->action == BLOCK_OTHER)
        return bytes != 0;
    e->known = block_op_of_letters(letters, &e->op);
    if (bytes == 0 || !take_extent(at, e))
        return false;
    if (e->bytes == 0 && letters[0] == 'F')
        e->op = TRACE_FLUSH;
    return true;
}

static bool blkparse_recognises(const uint8_t *first, size_t bytes)
{
    char text[IMPORT_PEEK_BYTES + 1];
    struct block_event event;

    memcpy(text, first, bytes);
    text[bytes] = '\0';
    char *end   = strchr(text, '\n');
    if (end == NULL && bytes == IMPORT_PEEK_BYTES)
        return false;
    if (end != NULL)
        *(end > text && end[-1] == '\r' ? end - 1 : end) = '\0';
    return memchr(first, '\0', bytes) == NULL && line_parse(text, &event);
}

/* "CPU0 (nvme0n1):" and "Total (nvme0n1):" begin the summary. */
static bool is_summary(const char *text)
{
    uint64_t cpu;
    if (text_word(&text, "Total ("))
        return true;
    return text_word(&text, "CPU") && text_number(&text, 10, &cpu)
           && text_word(&text, " (");
}

static int blkparse_pull(void *self, struct block_event *event, struct error *error)
{
    struct blkparse *b = self;
    const char *text;
    size_t bytes;

    while ((text = trace_source_line(b->source, &bytes, error)) != NULL) {
        b->summary |= is_summary(text);
        if (b->summary || bytes == 0)
            continue;
        if (strlen(text) != bytes || !line_parse(text, event)) {
            error_set(error, "line %" PRIu64 ": not as blkparse prints an event: '%.60s'",
                      trace_source_line_number(b->source), text);
            return -1;
        }
        event->place = trace_source_line_number(b->source);
        if (event->action != BLOCK_OTHER)
            return 1;
    }
    return error->text[0] != '\0' ? -1 : 0;
}

static void *blkparse_open(struct trace_source *source, struct trace_about *about,
                           struct error *error)
{
    (void)error;
    struct blkparse *b = calloc(1, sizeof *b);
    CHECK(b != NULL);
    b->source = source;
    b->events = block_events_new(about, "line", blkparse_pull, b);
    return b;
}

static int blkparse_next(void *state, struct trace_record *record, struct error *error)
{
    struct blkparse *b = state;
    return block_events_next(b->events, record, error);
}

static void blkparse_close(void *state)
{
    struct blkparse *b = state;
    block_events_free(b->events);
    free(b);
}

const struct trace_importer import_blkparse = {
    .name       = "blkparse",
    .summary    = "Text of blkparse in its usual form",
    .origin     = "blkparse -i DEVICE",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_DEVICE,
    .recognises = blkparse_recognises,
    .open       = blkparse_open,
    .next       = blkparse_next,
    .close      = blkparse_close,
};
