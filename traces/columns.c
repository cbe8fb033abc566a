/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/columns.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sim/base/check.h"
#include "traces/feed.h"
#include "traces/text.h"

struct columns {
    const struct columns_format *format;
    struct feed *feed;
    bool header_seen;
};

/* What one line says, before it is a record. */
struct columns_line {
    uint64_t time_ns, latency_ns, end_ns, offset, bytes;
    bool has_end, known; /* known: its operation is one of ours. */
    uint32_t cpu, end_cpu;
    bool has_end_cpu;
    enum trace_op op;
    char device[64];
    size_t device_bytes;
};

/* The next field: blanks around it are nobody's. */
struct field {
    const char *at;
    size_t bytes;
};

/* False when there is none. */
static bool field_take(const char **at, char separator, struct field *field)
{
    if (*at == NULL)
        return false;
    const char *c   = text_skip_blanks(*at);
    const char *end = c;
    if (separator == ' ') {
        end += strcspn(c, " \t");
        *field = (struct field){ c, (size_t)(end - c) };
        end    = text_skip_blanks(end);
        *at    = *end != '\0' ? end : NULL;
        return field->bytes != 0;
    }
    while (*end != '\0' && *end != separator)
        end++;
    *at = *end == separator ? end + 1 : NULL;
    while (end > c && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *field = (struct field){ c, (size_t)(end - c) };
    return true;
}

static bool field_decimal(struct field field, uint64_t unit, uint64_t *value)
{
    const char *at = field.at;
    return text_decimal(&at, unit, value) && at == field.at + field.bytes;
}

static bool field_number(struct field field, uint64_t unit, uint64_t *value)
{
    const char *at = field.at;
    return text_number(&at, 10, value) && at == field.at + field.bytes
           && !__builtin_mul_overflow(*value, unit, value);
}

static bool field_cpu(struct field field, uint32_t *cpu)
{
    uint64_t value;
    if (!field_number(field, 1, &value) || value >= TRACE_CPUS_MAX)
        return false;
    *cpu = (uint32_t)value;
    return true;
}

static bool field_op(const struct columns_format *format, struct field field,
                     struct columns_line *line)
{
    line->known = false;
    if (field.bytes == 0)
        return format->empty_ops;
    for (const struct column_word *w = format->word; w->word != NULL; w++) {
        if (strlen(w->word) != field.bytes)
            continue;
        if (format->case_free ? strncasecmp(w->word, field.at, field.bytes) != 0
                              : memcmp(w->word, field.at, field.bytes) != 0)
            continue;
        line->op    = w->op;
        line->known = true;
        return true;
    }
    return false;
}

/* Two columns of a name are joined by a point. */
static bool field_device(struct field field, struct columns_line *line)
{
    const size_t point = line->device_bytes != 0;
    if (field.bytes == 0 || line->device_bytes + point + field.bytes > sizeof line->device)
        return false;
    if (point)
        line->device[line->device_bytes] = '.';
    memcpy(line->device + line->device_bytes + point, field.at, field.bytes);
    line->device_bytes += point + field.bytes;
    return true;
}

static bool column_take(const struct columns_format *format, const struct column *column,
                        struct field field, struct columns_line *line)
{
    uint64_t unused;
    switch (column->kind) {
    case COLUMN_TIME:
        return field_decimal(field, column->unit, &line->time_ns);
    case COLUMN_LATENCY:
        return field_decimal(field, column->unit, &line->latency_ns);
    case COLUMN_END:
        return line->has_end = field_decimal(field, column->unit, &line->end_ns);
    case COLUMN_OP:
        return field_op(format, field, line);
    case COLUMN_OFFSET:
        return field_number(field, column->unit, &line->offset);
    case COLUMN_BYTES:
        return field_number(field, column->unit, &line->bytes);
    case COLUMN_CPU:
        return field_cpu(field, &line->cpu);
    case COLUMN_END_CPU:
        return line->has_end_cpu = field_cpu(field, &line->end_cpu);
    case COLUMN_DEVICE:
        return field_device(field, line);
    case COLUMN_NUMBER:
        return field_number(field, 1, &unused);
    case COLUMN_IGNORE:
    case COLUMN_NONE:
        break;
    }
    return true;
}

static bool line_parse(const struct columns_format *format, const char *text,
                       struct columns_line *line, struct error *error)
{
    const char *at = text;
    struct field field;

    *line = (struct columns_line){ .latency_ns = TRACE_LATENCY_UNKNOWN, .known = true };
    for (const struct column *c = format->column; c->kind != COLUMN_NONE; c++) {
        if (!field_take(&at, format->separator, &field))
            return error_set(error, "%s: the line ends before it", c->name);
        if (!column_take(format, c, field, line))
            return error_set(error, "%s: cannot be '%.*s'", c->name,
                             field.bytes < 60 ? (int)field.bytes : 60, field.at);
    }
    if (at != NULL && !format->more)
        return error_set(error, "there is more behind the last column: '%.40s'", at);
    return true;
}

static bool is_header(const struct columns_format *format, const char *text)
{
    return format->header != NULL
           && strncmp(text, format->header, strlen(format->header)) == 0;
}

/* The first line that is no header decides; when the peek ends in it there is none. */
bool columns_recognises(const struct columns_format *format, const uint8_t *first,
                        size_t bytes)
{
    char text[IMPORT_PEEK_BYTES + 1];
    struct columns_line line;
    struct error error;

    if (memchr(first, '\0', bytes) != NULL)
        return false;
    memcpy(text, first, bytes);
    text[bytes]     = '\0';
    const char *at  = text;
    char *const end = strchr(text, '\n');
    if (end == NULL && bytes == IMPORT_PEEK_BYTES)
        return false;
    if (format->header != NULL)
        return is_header(format, at);
    if (end != NULL)
        *(end > text && end[-1] == '\r' ? end - 1 : end) = '\0';
    return line_parse(format, at, &line, &error);
}

void *columns_open(const struct columns_format *format, struct trace_source *source,
                   struct trace_about *about, struct error *error)
{
    (void)error;
    struct columns *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->format = format;
    c->feed   = feed_new(source, about);
    return c;
}

static bool line_put(struct columns *c, const struct columns_line *line,
                     struct error *error)
{
    struct trace_record record = {
        .time_ns        = line->time_ns,
        .latency_ns     = line->latency_ns,
        .cpu            = line->cpu,
        .completion_cpu = line->has_end_cpu ? line->end_cpu : line->cpu,
        .op             = line->op,
    };
    if (!line->known || (line->bytes == 0 && line->op != TRACE_FLUSH)) {
        c->feed->skipped++;
        return true;
    }
    if (line->has_end && line->end_ns < line->time_ns)
        return error_set(error, "it completes before it is issued");
    if (line->has_end)
        record.latency_ns = line->end_ns - line->time_ns;
    if (line->device_bytes != 0
        && !feed_device(c->feed, line->device, line->device_bytes, &record.device, error))
        return false;
    if (line->op != TRACE_FLUSH
        && !feed_extent(c->feed, &record, line->offset, line->bytes, error))
        return false;
    sorter_put(&c->feed->sorter, &record);
    return true;
}

static int columns_more(void *self, struct error *error)
{
    struct columns *c = self;
    struct columns_line line;
    size_t bytes;
    const char *text = trace_source_line(c->feed->source, &bytes, error);

    if (text == NULL)
        return error->text[0] != '\0' ? -1 : 0;
    const bool header = !c->header_seen && is_header(c->format, text);
    c->header_seen    = true;
    if (header || bytes == 0)
        return 1;
    if (strlen(text) != bytes)
        error_set(error, "a zero byte in the text");
    else if (line_parse(c->format, text, &line, error) && line_put(c, &line, error))
        return 1;
    error_in(error, "line %" PRIu64, trace_source_line_number(c->feed->source));
    return -1;
}

int columns_next(void *state, struct trace_record *record, struct error *error)
{
    struct columns *c = state;
    return feed_next(c->feed, c, columns_more, record, error);
}

void columns_close(void *state)
{
    struct columns *c = state;
    feed_free(c->feed);
    free(c);
}
