/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_ftrace - ftrace text of a Linux host: block, nvme, dma, iommu and iova events.
 *
 * block_rq_issue makes a record. The NVMe driver sets a command up, maps the memory and
 * issues the request, all in one thread, so what that thread maps in between is the
 * request's memory: dma_map_page (6.12) or dma_map_phys (6.18 and later) for each piece,
 * dma_map_sg with the IOMMU's map events, or a probe of dma_iova_link. SCSI drivers issue
 * first and then map a scatter list in the same thread. A file that has only block events
 * gives records that do not know their memory.
 *
 * Interrupts stand in between and are told apart by the flags of the line; unmapping is
 * their business and is not looked at, because every request ends with an unmapping of all
 * that was mapped for it.
 *
 * Inaccuracies: a request that is requeued by the driver after its issue counts twice;
 * commands that are neither reads, writes, flushes, discards nor zeroings are left out;
 * without flags (as from trace-cmd) an interrupt that itself issues a request in the middle
 * of another's mapping is taken for the task.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/block_events.h"
#include "traces/ftrace_gather.h"
#include "traces/ftrace_line.h"
#include "traces/import.h"
#include "traces/window.h"

struct ftrace_device {
    uint32_t major, minor;
};

struct ftrace_reader {
    struct trace_source *source;
    struct trace_about *about;
    bool issued;                /* A request has been seen, and start_ns is its time. */
    uint64_t start_ns, last_ns; /* last_ns from start_ns on, and never decreasing. */
    bool nvme_completes, completes, maps; /* Which kinds of events the file has. */
    uint32_t device_count;
    struct ftrace_device device[BLOCK_DEVICES_MAX];
    struct gather_table gather;
    struct window window;

    /* For the notes at the end. */
    uint64_t events, events_announced; /* In the file, and in the buffer it is from. */
    uint64_t events_lost, requests_skipped, completions_missing, segments_missing;
};

/* Recordings of verbs are text of ftrace, too, but of other events. */
extern const struct trace_importer import_verbs;

static bool ftrace_recognises(const uint8_t *first, size_t bytes)
{
    if (import_verbs.recognises(first, bytes))
        return false;
    char text[IMPORT_PEEK_BYTES + 1];
    struct ftrace_line line;

    memcpy(text, first, bytes);
    text[bytes] = '\0';
    if (strncmp(text, "# tracer:", 9) == 0)
        return true;
    /* The last line may be cut and is no proof; neither is text behind a zero byte. */
    char *at = text;
    for (char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        if (ftrace_line_split(at, &line))
            return true;
    }
    return false;
}

/* "10 requests" of a kind, if there are any. */
static void note_count(struct ftrace_reader *f, const char *key, uint64_t count)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, count);
    if (count != 0)
        trace_about_note(f->about, key, text);
}

static void note_device(struct ftrace_reader *f, const char *disk)
{
    enum { DEVICES_NOTED = 8 };
    char key[32];
    char text[64];
    const uint32_t index = f->device_count - 1;
    const char *space    = disk[0] != '\0' ? " " : "";

    if (index >= DEVICES_NOTED)
        return;
    snprintf(key, sizeof key, "device_%" PRIu32, index);
    snprintf(text, sizeof text, "%" PRIu32 ",%" PRIu32 "%s%s", f->device[index].major,
             f->device[index].minor, space, disk);
    trace_about_note(f->about, key, text);
}

/* The index of the request's device, which may be new. */
static bool device_index(struct ftrace_reader *f, const struct ftrace_request *request,
                         const char *disk, uint32_t *index, struct error *error)
{
    for (*index = 0; *index < f->device_count; ++*index)
        if (f->device[*index].major == request->major
            && f->device[*index].minor == request->minor)
            return true;
    if (*index == BLOCK_DEVICES_MAX)
        return error_set(error, "more than %d devices", BLOCK_DEVICES_MAX);
    f->device[f->device_count++] = (struct ftrace_device){ request->major, request->minor };
    note_device(f, disk);
    return true;
}

/* Nanoseconds since the first issue. The kernel merges its buffers by time, so a step back
 * is only ever a rounding, and counts as none. */
static uint64_t time_of(struct ftrace_reader *f, const struct ftrace_line *line)
{
    if (!f->issued)
        return 0;
    if (line->time_ns >= f->start_ns && line->time_ns - f->start_ns > f->last_ns)
        f->last_ns = line->time_ns - f->start_ns;
    return f->last_ns;
}

static struct window_key key_of_command(const struct ftrace_command *command)
{
    const struct window_key key = {
        .command = true,
        .owner   = command->controller,
        .item    = (uint64_t)command->queue << 32 | command->id,
    };
    return key;
}

/* A flush has no place: its sector is 0 at the issue and all ones at the completion. */
static struct window_key key_of_sector(uint32_t device, enum trace_op op, uint64_t sector)
{
    const struct window_key key = {
        .owner = device,
        .item  = op == TRACE_FLUSH ? UINT64_MAX : sector,
    };
    return key;
}

static const char *fields_not_understood = "its fields are not understood";

static bool on_setup(struct ftrace_reader *f, const struct ftrace_line *line,
                     struct error *error)
{
    struct ftrace_command command;
    if (!ftrace_parse_command(line->fields, &command))
        return error_set(error, "%s", fields_not_understood);
    gather_open(&f->gather, line)->command = command;
    return true;
}

/* Its memory comes after the request. */
static void gather_await(struct gather *gather, uint64_t number,
                         const struct ftrace_request *request)
{
    gather->follows = true;
    gather->record  = number;
    gather->bytes   = request->bytes;
    gather->op      = request->op;
}

/* Hands the request to the window. gather is what its thread mapped for it, or NULL. */
static bool issue(struct ftrace_reader *f, const struct ftrace_line *line,
                  const struct ftrace_request *request, struct gather *gather,
                  uint64_t *number, struct error *error)
{
    const char *const disk     = gather != NULL ? gather->command.disk : "";
    const bool flush           = request->op == TRACE_FLUSH;
    struct trace_record record = {
        .time_ns        = time_of(f, line),
        .latency_ns     = TRACE_LATENCY_UNKNOWN,
        .lba            = flush ? 0 : request->sector,
        .bytes          = flush ? 0 : (uint32_t)request->bytes,
        .cpu            = line->cpu,
        .completion_cpu = line->cpu,
        .queue          = gather != NULL ? gather->command.queue : 0,
        .op             = request->op,
    };
    if (!device_index(f, request, disk, &record.device, error))
        return false;
    if (gather != NULL && trace_op_moves_data(request->op))
        record.segment = gather_segments(gather, record.bytes, &record.segment_count);
    const struct window_key key =
        gather != NULL ? key_of_command(&gather->command)
                       : key_of_sector(record.device, request->op, request->sector);
    *number = window_issue(&f->window, &record, key);
    return true;
}

/* Commands that pass through the block layer are not requests for data of the medium, and
 * an empty write is a flush that has been done already. */
static bool request_counts(const struct ftrace_request *request)
{
    return request->known && (request->bytes != 0 || request->op == TRACE_FLUSH);
}

static bool request_fits(const struct ftrace_line *line,
                         const struct ftrace_request *request, struct error *error)
{
    const uint64_t most = trace_op_moves_data(request->op) ? TRACE_BYTES_MAX : UINT32_MAX;
    if (request->bytes > most)
        return error_set(error, "%" PRIu64 " bytes are more than %" PRIu64, request->bytes,
                         most);
    if (line->cpu >= TRACE_CPUS_MAX)
        return error_set(error, "cpu %" PRIu32 " must be below %d", line->cpu,
                         TRACE_CPUS_MAX);
    return true;
}

/* What the thread has mapped for the request that it issues now. Anything left from the
 * request before is forgotten: its memory never came. */
static struct gather *gathered(struct ftrace_reader *f, const struct ftrace_line *line)
{
    struct gather *gather = gather_find(&f->gather, line);
    if (gather == NULL || !gather->follows)
        return gather;
    gather_close(&f->gather, gather);
    return NULL;
}

static bool on_issue(struct ftrace_reader *f, const struct ftrace_line *line,
                     struct error *error)
{
    struct ftrace_request request;
    struct gather *gather = gathered(f, line);
    uint64_t number       = 0;

    if (!ftrace_parse_request(line->fields, &request))
        return error_set(error, "%s", fields_not_understood);
    const bool counts = request_counts(&request);
    f->requests_skipped += !counts;
    if (counts && !f->issued)
        f->start_ns = line->time_ns;
    f->issued |= counts;
    if (counts
        && (!request_fits(line, &request, error)
            || !issue(f, line, &request, gather, &number, error)))
        return false;
    if (gather != NULL)
        gather_close(&f->gather, gather);
    else if (counts && trace_op_moves_data(request.op))
        gather_await(gather_open(&f->gather, line), number, &request);
    return true;
}

static bool on_nvme_complete(struct ftrace_reader *f, const struct ftrace_line *line,
                             struct error *error)
{
    struct ftrace_command command;
    if (!ftrace_parse_command(line->fields, &command))
        return error_set(error, "%s", fields_not_understood);
    f->nvme_completes = f->completes = true;
    struct window_request *request   = window_find(&f->window, key_of_command(&command));
    if (request != NULL && line->cpu < TRACE_CPUS_MAX)
        window_complete(&f->window, request, time_of(f, line), line->cpu);
    return true;
}

/* The oldest command in flight for this sector: only looked for in files whose commands
 * never complete by themselves. */
static struct window_request *command_at(struct ftrace_reader *f, uint32_t device,
                                         const struct ftrace_request *request)
{
    const uint64_t lba = request->op == TRACE_FLUSH ? 0 : request->sector;
    for (uint32_t i = 0; i < f->window.flights && !f->nvme_completes; i++) {
        struct window_request *r = window_at(&f->window, f->window.flight[i].number);
        if (r->key.command && r->record.device == device && r->record.lba == lba
            && r->record.op == request->op)
            return r;
    }
    return NULL;
}

/* A request may complete in parts; the next part begins where this one ended. */
static bool on_block_complete(struct ftrace_reader *f, const struct ftrace_line *line,
                              struct error *error)
{
    struct ftrace_request request;
    uint32_t device = 0;

    if (!ftrace_parse_request(line->fields, &request))
        return error_set(error, "%s", fields_not_understood);
    f->completes = true;
    if (!request_counts(&request) || line->cpu >= TRACE_CPUS_MAX)
        return true;
    while (device < f->device_count
           && (f->device[device].major != request.major
               || f->device[device].minor != request.minor))
        device++;

    const struct window_key key = key_of_sector(device, request.op, request.sector);
    struct window_request *r    = window_find(&f->window, key);
    if (r == NULL)
        r = command_at(f, device, &request);
    if (r == NULL)
        return true;
    const uint64_t end = request.sector + request.sectors;
    if (!r->key.command && end < r->record.lba + r->record.bytes / TRACE_SECTOR_BYTES)
        window_rekey(&f->window, r, key_of_sector(device, request.op, end));
    else
        window_complete(&f->window, r, time_of(f, line), line->cpu);
    return true;
}

static bool on_map_single(struct ftrace_reader *f, const struct ftrace_line *line,
                          struct error *error)
{
    struct ftrace_mapping piece;
    struct gather *gather = gather_find(&f->gather, line);

    if (!ftrace_parse_dma_map(line->fields, &piece))
        return error_set(error, "%s", fields_not_understood);
    f->maps = true;
    if (gather != NULL && !gather->follows)
        gather_add(gather, &piece);
    return true;
}

/* The list that a driver maps for a request which it has just issued. */
static void follow_up(struct ftrace_reader *f, const struct ftrace_line *line,
                      struct gather *gather)
{
    struct window_request *request = window_at(&f->window, gather->record);
    uint32_t count;
    const struct trace_segment *segment = gather_segments(gather, gather->bytes, &count);

    if (request != NULL && count != 0 && ftrace_direction_fits(line->fields, gather->op))
        window_set_segments(&f->window, request, segment, count);
    gather_close(&f->gather, gather);
}

static bool on_map_list(struct ftrace_reader *f, const struct ftrace_line *line,
                        struct error *error)
{
    struct ftrace_lists lists;
    struct gather *gather = gather_find(&f->gather, line);

    if (!ftrace_parse_dma_map_sg(line->fields, &lists))
        return error_set(error, "%s", fields_not_understood);
    f->maps = true;
    if (gather == NULL)
        return true;
    if (!gather_add_lists(gather, lists))
        return error_set(error, "%s", fields_not_understood);
    if (gather->follows)
        follow_up(f, line, gather);
    return true;
}

static bool on_link(struct ftrace_reader *f, const struct ftrace_line *line,
                    struct error *error)
{
    struct ftrace_mapping piece;
    struct gather *gather = gather_find(&f->gather, line);

    if (!ftrace_parse_iova_link(line->fields, &piece))
        return error_set(error, "the probe must record phys= and size=");
    f->maps = true;
    if (gather != NULL && !gather->follows)
        gather_add(gather, &piece);
    return true;
}

static bool on_iommu_map(struct ftrace_reader *f, const struct ftrace_line *line,
                         struct error *error)
{
    struct ftrace_mapping run;
    struct gather *gather = gather_find(&f->gather, line);

    if (strncmp(line->fields, "IOMMU:", 6) != 0)
        return true; /* Somebody's probe of this name. */
    if (!ftrace_parse_iommu_map(line->fields, &run))
        return error_set(error, "%s", fields_not_understood);
    f->maps = true;
    if (gather != NULL)
        gather_add_run(gather, &run);
    return true;
}

/* Memory of the driver's own, for its lists, perhaps: its mapping was not the request's. */
static bool on_alloc(struct ftrace_reader *f, const struct ftrace_line *line,
                     struct error *error)
{
    struct ftrace_mapping own;
    struct gather *gather = gather_find(&f->gather, line);

    if (!ftrace_parse_dma_alloc(line->fields, &own))
        return error_set(error, "%s", fields_not_understood);
    if (gather != NULL)
        gather_drop_runs(gather, &own);
    return true;
}

static const struct {
    const char *name;
    bool (*handle)(struct ftrace_reader *f, const struct ftrace_line *line,
                   struct error *error);
} handlers[] = {
    { "map", on_iommu_map },           { "dma_map_phys", on_map_single },
    { "dma_map_page", on_map_single }, { "dma_map_sg", on_map_list },
    { "block_rq_issue", on_issue },    { "block_rq_complete", on_block_complete },
    { "nvme_setup_cmd", on_setup },    { "nvme_complete_rq", on_nvme_complete },
    { "dma_alloc", on_alloc },
};

static bool event_is(const struct ftrace_line *line, const char *name)
{
    return strncmp(line->event, name, line->event_bytes) == 0
           && name[line->event_bytes] == '\0';
}

/* Probes may have any name, also one of the kernel's; they are known by their function. */
static bool event_handle(struct ftrace_reader *f, const struct ftrace_line *line,
                         struct error *error)
{
    if (line->fields[0] == '(')
        return !ftrace_line_probes(line, "dma_iova_link") || on_link(f, line, error);
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (event_is(line, handlers[i].name))
            return handlers[i].handle(f, line, error);
    return true;
}

static bool line_handle(struct ftrace_reader *f, const char *text, struct error *error)
{
    struct ftrace_line line;

    if (text[0] == '#')
        return true;
    if (!ftrace_line_split(text, &line)) {
        f->events_lost += ftrace_lost_events(text);
        return true;
    }
    f->events++;
    if (event_handle(f, &line, error))
        return true;
    return error_in(error, "line %" PRIu64 ": %.*s", trace_source_line_number(f->source),
                    (int)line.event_bytes, line.event);
}

/* "# entries-in-buffer/entries-written: 30000/30000   #P:2": fewer in the buffer than were
 * written means that the recording has lost its beginning. */
static void note_header(struct ftrace_reader *f, const char *text)
{
    uint64_t kept, written;
    char value[80];

    if (sscanf(text, "# entries-in-buffer/entries-written: %" SCNu64 "/%" SCNu64, &kept,
               &written)
        != 2)
        return;
    snprintf(value, sizeof value, "%" PRIu64 " of %" PRIu64 " events", kept, written);
    trace_about_note(f->about, "ftrace_buffer", value);
    f->events_announced = kept;
}

static void ftrace_close(void *state)
{
    struct ftrace_reader *f = state;
    gather_table_free(&f->gather);
    window_free(&f->window);
    free(f);
}

/* Reads the comments at the start, whose notes are wanted before the first record, and
 * with them the first line that is none. */
static void *ftrace_open(struct trace_source *source, struct trace_about *about,
                         struct error *error)
{
    struct ftrace_reader *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->source = source;
    f->about  = about;

    size_t bytes;
    const char *text;
    while ((text = trace_source_line(source, &bytes, error)) != NULL && text[0] == '#')
        note_header(f, text);
    if (text != NULL ? line_handle(f, text, error) : error->text[0] == '\0')
        return f;
    ftrace_close(f);
    return NULL;
}

/* Takes the oldest request out of the window and completes its record. */
static int record_take(struct ftrace_reader *f, struct trace_record *record)
{
    *record = window_take(&f->window);
    f->completions_missing += record->latency_ns == TRACE_LATENCY_UNKNOWN;
    f->segments_missing += record->segment_count == 0 && trace_op_moves_data(record->op);
    if (!f->completes)
        record->depth = 0; /* Without completions there is no knowing. */
    return 1;
}

static int ftrace_end(struct ftrace_reader *f, struct error *error)
{
    if (f->events < f->events_announced)
        note_count(f, "events_missing", f->events_announced - f->events);
    note_count(f, "events_lost", f->events_lost);
    note_count(f, "requests_skipped", f->requests_skipped);
    note_count(f, "requests_without_completion", f->completions_missing);
    if (f->maps)
        note_count(f, "requests_without_segments", f->segments_missing);
    if (f->issued)
        return 0;
    error_set(error, "line %" PRIu64 ": the file ends without one block_rq_issue event",
              trace_source_line_number(f->source));
    return -1;
}

static int ftrace_next(void *state, struct trace_record *record, struct error *error)
{
    struct ftrace_reader *f = state;
    size_t bytes;

    while (!window_ready(&f->window) && !window_full(&f->window)) {
        const char *text = trace_source_line(f->source, &bytes, error);
        if (text == NULL && error->text[0] != '\0')
            return -1;
        if (text == NULL)
            return window_empty(&f->window) ? ftrace_end(f, error) : record_take(f, record);
        if (!line_handle(f, text, error))
            return -1;
    }
    return record_take(f, record);
}

const struct trace_importer import_ftrace = {
    .name       = "ftrace",
    .summary    = "Text of Linux ftrace: block, nvme, dma and iommu events",
    .origin     = "/sys/kernel/tracing/trace, trace-cmd report, perf script",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_DEVICE | KNOWS_MEMORY,
    .recognises = ftrace_recognises,
    .open       = ftrace_open,
    .next       = ftrace_next,
    .close      = ftrace_close,
};
