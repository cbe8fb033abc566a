/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_csv - the table that `iovasim trace convert --to csv` writes: a way in for any
 * format that this program does not know. Cells may be empty: no latency, 0 otherwise.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/csv.h"
#include "traces/import.h"
#include "traces/text.h"

struct csv {
    struct trace_source *source;
    struct trace_segment segment[TRACE_SEGMENTS_MAX];
};

static bool csv_recognises(const uint8_t *first, size_t bytes)
{
    const size_t header = strlen(CSV_HEADER);
    return bytes > header && memcmp(first, CSV_HEADER, header) == 0
           && (first[header] == '\n' || first[header] == '\r');
}

static void *csv_open(struct trace_source *source, struct trace_about *about,
                      struct error *error)
{
    (void)about;
    size_t bytes;
    const char *text = trace_source_line(source, &bytes, error);
    if (text == NULL || strcmp(text, CSV_HEADER) != 0) {
        if (text != NULL || error->text[0] == '\0')
            error_set(error, "line 1: expected the header of a table of records");
        return NULL;
    }
    struct csv *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->source = source;
    return c;
}

/* A number and the comma (or end) behind it; an empty cell is empty. */
static bool cell(const char **at, uint64_t most, uint64_t empty, uint64_t *value)
{
    *value = empty;
    if (**at != ',' && **at != '\0' && (!text_any_number(at, value) || *value > most))
        return false;
    if (**at == ',')
        ++*at;
    else if (**at != '\0')
        return false;
    return true;
}

static bool cell32(const char **at, uint32_t *value)
{
    uint64_t wide;
    if (!cell(at, UINT32_MAX, 0, &wide))
        return false;
    *value = (uint32_t)wide;
    return true;
}

static bool cell_op(const char **at, enum trace_op *op)
{
    const size_t bytes = strcspn(*at, ",");
    for (*op = 0; *op < TRACE_OPS; ++*op) {
        const char *name = trace_op_name(*op);
        if (strlen(name) == bytes && memcmp(name, *at, bytes) == 0) {
            *at += bytes + ((*at)[bytes] == ',');
            return true;
        }
    }
    return false;
}

static bool cell_segments(struct csv *c, const char **at, uint32_t *count)
{
    uint64_t bytes;
    for (*count = 0; **at != ',' && **at != '\0'; ++*count) {
        struct trace_segment *s = &c->segment[*count];
        if (*count == TRACE_SEGMENTS_MAX || !text_any_number(at, &s->pa)
            || !text_word(at, "+") || !text_number(at, 10, &bytes) || bytes > UINT32_MAX)
            return false;
        s->bytes = (uint32_t)bytes;
        *at      = text_skip_blanks(*at);
    }
    *at += **at == ',';
    return true;
}

static bool line_parse(struct csv *c, const char *at, struct trace_record *r)
{
    *r = (struct trace_record){ .segment = c->segment };
    return cell(&at, UINT64_MAX, 0, &r->time_ns)
           && cell(&at, TRACE_TIME_MAX_NS, TRACE_LATENCY_UNKNOWN, &r->latency_ns)
           && cell_op(&at, &r->op) && cell(&at, UINT64_MAX, 0, &r->lba)
           && cell32(&at, &r->bytes) && cell32(&at, &r->device) && cell32(&at, &r->queue)
           && cell32(&at, &r->cpu) && cell32(&at, &r->completion_cpu)
           && cell32(&at, &r->depth) && cell_segments(c, &at, &r->segment_count)
           && cell32(&at, &r->rdma.qp) && cell32(&at, &r->rdma.peer)
           && cell32(&at, &r->rdma.peer_qp) && cell32(&at, &r->rdma.key)
           && cell(&at, UINT64_MAX, 0, &r->rdma.address)
           && cell(&at, UINT64_MAX, 0, &r->rdma.region_bytes)
           && cell32(&at, &r->rdma.local_key)
           && cell(&at, UINT64_MAX, 0, &r->rdma.local_address) && *at == '\0';
}

static int csv_next(void *state, struct trace_record *record, struct error *error)
{
    struct csv *c = state;
    size_t bytes;
    const char *text;
    do
        text = trace_source_line(c->source, &bytes, error);
    while (text != NULL && bytes == 0);
    if (text == NULL)
        return error->text[0] != '\0' ? -1 : 0;
    struct error why = { "" };
    bool good        = strlen(text) == bytes && line_parse(c, text, record);
    if (!good)
        error_set(&why, "not a record of this table: '%.60s'", text);
    else
        good = trace_record_check(record, &why);
    if (good)
        return 1;
    error_set(error, "line %" PRIu64 ": %s", trace_source_line_number(c->source), why.text);
    return -1;
}

static void csv_close(void *state)
{
    free(state);
}

const struct trace_importer import_csv = {
    .name    = "csv",
    .summary = "A table with every field of a record",
    .origin  = "iovasim trace convert --to csv; a script of your own",
    .knows =
        KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_DEVICE | KNOWS_MEMORY | KNOWS_RDMA,
    .recognises = csv_recognises,
    .open       = csv_open,
    .next       = csv_next,
    .close      = csv_close,
};
