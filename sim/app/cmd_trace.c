/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_trace - looks at trace files of any known format, and makes others of them.
 */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/progress.h"
#include "sim/app/sources.h"
#include "sim/app/terminal.h"
#include "sim/app/trace_check.h"
#include "sim/app/trace_edit.h"
#include "sim/app/trace_stats.h"
#include "sim/app/tracefile.h"
#include "sim/base/check.h"
#include "traces/export.h"
#include "traces/text.h"
#include "traces/trace.h"

enum {
    TAKES_FROM  = 1,
    TAKES_JSON  = 2,
    TAKES_LIMIT = 4,
    TAKES_NOTE  = 8,
    TAKES_TO    = 16,
    TAKES_CUT   = 32,
    TAKES_SCALE = 64,
    TAKES_SEED  = 128,
    TAKES_SVG   = 256,
    TAKES_CHECK = 512,
};

enum { INPUTS_MAX = 256 };

/* One call of a subcommand: what its options and arguments said. */
struct trace_call {
    const struct subcommand *sub;
    int json;
    char *limit_text;
    uint64_t limit;
    char *from, *to, *svg;
    char *skip_text, *begin_text, *end_text, *device_text, *cpu_text, *factor_text;
    char *seed_text, *show_text, *policy;
    bool release_set;
    struct config config; /* For generators; for check, of the machine. */
    struct edit_cut cut;
    uint64_t millionths, seed, show;
    const struct trace_exporter *exporter;
    struct trace_about notes; /* --note, in order. */
    const char **file;        /* The arguments, NULL behind the last. */
};

struct subcommand {
    const char *name, *usage, *summary;
    unsigned takes;
    int files_min, files_max;
    int (*run)(const struct trace_call *call);
};

/* Opens one of the arguments. */
static bool call_open(const struct trace_call *call, const char *path,
                      struct trace_reader **reader, struct error *error)
{
    return sources_open(reader, path, call->from, &call->config, call->seed, error);
}

/* Text of a file as a JSON string; bytes that are not UTF-8 become '?'. */
static json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string != NULL)
        return string;
    char *plain = strdup(text);
    CHECK(plain != NULL);
    for (char *c = plain; *c != '\0'; c++)
        if (*c & 0x80)
            *c = '?';
    string = json_string(plain);
    free(plain);
    return string;
}

static json_t *json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* Prints object, which it consumes, and a newline. */
static void json_print(json_t *object, size_t flags)
{
    CHECK(object != NULL);
    json_dumpf(object, stdout, flags);
    putchar('\n');
    json_decref(object);
}

/* The status of a command whose work is done but whose output may not have arrived. */
static int output_status(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_FINE;
    return command_fail(EXIT_USAGE, "cannot write to standard output");
}

/* info */

static json_t *histogram_json(const struct histogram *h)
{
    if (h->count == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:f}", "min", json_count(h->min), "p50",
                     json_count(histogram_percentile(h, 50.0)), "p99",
                     json_count(histogram_percentile(h, 99.0)), "max", json_count(h->max),
                     "mean", (double)h->sum / (double)h->count);
}

static json_t *notes_json(const struct trace_about *about)
{
    json_t *notes = json_object();
    for (uint32_t i = 0; i < about->note_count; i++)
        json_object_set_new_nocheck(notes, about->note[i].key,
                                    json_text(about->note[i].value));
    return notes;
}

static json_t *ops_json(const struct tracefile_summary *s)
{
    json_t *ops = json_object();
    for (enum trace_op op = 0; op < TRACE_OPS; op++)
        if (op < TRACE_BLOCK_OPS || s->op_records[op] != 0)
            json_object_set_new(ops, trace_op_name(op),
                                json_pack("{s:o, s:o}", "records",
                                          json_count(s->op_records[op]), "bytes",
                                          json_count(s->op_bytes[op])));
    return ops;
}

static json_t *sizes_json(const struct tracefile_summary *s)
{
    json_t *sizes = json_array();
    for (uint32_t i = 0; i < s->size_count; i++)
        json_array_append_new(sizes,
                              json_pack("{s:o, s:o}", "bytes", json_count(s->size[i].value),
                                        "records", json_count(s->size[i].count)));
    return sizes;
}

static json_t *summary_json(const struct tracefile_summary *s, const char *path,
                            const char *sha256)
{
    json_t *root = json_object();
    json_object_set_new(root, "file", json_text(path));
    json_object_set_new(root, "sha256", json_text(sha256));
    json_object_set_new(root, "format", json_text(s->about.format));
    json_object_set_new(root, "notes", notes_json(&s->about));
    json_object_set_new(root, "records", json_count(s->records));
    json_object_set_new(root, "ops", ops_json(s));
    json_object_set_new(root, "segments", json_count(s->segments));
    json_object_set_new(root, "segments_per_request", histogram_json(&s->request_segments));
    json_object_set_new(root, "request_bytes", histogram_json(&s->request_bytes));
    json_object_set_new(root, "sizes", sizes_json(s));
    json_object_set_new(root, "sizes_others", json_count(s->size_others));
    json_object_set_new(root, "span_ns", json_count(s->span_ns));
    json_object_set_new(root, "latency_ns", histogram_json(&s->latency_ns));
    json_object_set_new(root, "cpus", json_count(s->cpus));
    json_object_set_new(root, "devices", json_count(s->devices));
    json_object_set_new(root, "depth_max", json_count(s->depth_max));
    json_object_set_new(root, "without_segments", json_count(s->moved_unknown));
    json_object_set_new(root, "not_whole_pages", json_count(s->moved_unaligned));
    json_object_set_new(root, "without_completion", json_count(s->completed_unknown));
    json_object_set_new(root, "completed_on_another_cpu",
                        json_count(s->completed_elsewhere));
    return root;
}

static void count_print(const char *name, uint64_t value, const char *text)
{
    printf("%-25s %12" PRIu64 "  %s\n", name, value, text);
}

static void histogram_print(const char *name, const struct histogram *h, const char *unit)
{
    if (h->count == 0)
        return;
    terminal_wrapf(stdout, (unsigned)printf("%-25s ", name), 26,
                   "min %" PRIu64 ", p50 %" PRIu64 ", p99 %" PRIu64 ", max %" PRIu64
                   ", mean %.1f %s",
                   h->min, histogram_percentile(h, 50.0), histogram_percentile(h, 99.0),
                   h->max, (double)h->sum / (double)h->count, unit);
}

static void summary_print(const struct tracefile_summary *s, const char *path,
                          const char *sha256)
{
    printf("%-25s %s\n%-25s %s\n%-25s %s\n", "file", path, "sha256", sha256, "format",
           s->about.format);
    for (uint32_t i = 0; i < s->about.note_count; i++)
        terminal_wrap(stdout, (unsigned)printf("note %-20s ", s->about.note[i].key), 26,
                      s->about.note[i].value);
    count_print("records", s->records, "");
    for (enum trace_op op = 0; op < TRACE_OPS; op++)
        if (s->op_records[op] != 0)
            printf("  %-23s %12" PRIu64 "  %" PRIu64 " bytes\n", trace_op_name(op),
                   s->op_records[op], s->op_bytes[op]);
    count_print("segments", s->segments, "physically contiguous pieces of memory");
    count_print("without_segments", s->moved_unknown, "requests whose memory is not known");
    count_print("not_whole_pages", s->moved_unaligned,
                "requests with a part of a 4 KiB page");
    count_print("without_completion", s->completed_unknown, "requests");
    count_print("completed_on_another_cpu", s->completed_elsewhere, "requests");
    count_print("cpus", s->cpus, "that issued requests");
    count_print("devices", s->devices, "");
    count_print("depth_max", s->depth_max, "requests of one CPU in flight");
    printf("%-25s %.6f s\n", "span", (double)s->span_ns / 1e9);
    histogram_print("segments_per_request", &s->request_segments, "segments");
    histogram_print("latency", &s->latency_ns, "ns");
    histogram_print("request_bytes", &s->request_bytes, "bytes");
    for (uint32_t i = 0; i < s->size_count; i++)
        printf("  %-23" PRIu64 " %12" PRIu64 "\n", s->size[i].value, s->size[i].count);
    if (s->size_others != 0)
        printf("  %-23s %12" PRIu64 "\n", "others", s->size_others);
}

static int trace_info(const struct trace_call *call)
{
    static struct tracefile_summary summary;
    char sha256[FILE_SHA256_CHARS + 1];
    struct error error;

    struct trace_reader *reader;
    /* What a pipe brought cannot be read again, and what is generated is in no file. */
    const bool file =
        strcmp(call->file[0], TRACE_STANDARD_INPUT) != 0 && !generator_is(call->file[0]);

    snprintf(sha256, sizeof sha256, "-");
    if (!call_open(call, call->file[0], &reader, &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    const bool good = tracefile_summarise(&summary, reader, &error);
    trace_close(reader);
    if (command_interrupted())
        return EXIT_STOPPED;
    if (!good || (file && !file_sha256(call->file[0], sha256, &error)))
        return command_fail(EXIT_INPUT, "%s", error.text);
    if (call->json)
        json_print(summary_json(&summary, call->file[0], sha256), JSON_INDENT(2));
    else
        summary_print(&summary, call->file[0], sha256);
    return output_status();
}

/* cat */

/* Addresses and keys as text: JSON's numbers have 53 bits for most readers. */
static json_t *rdma_json(const struct trace_rdma *r)
{
    char address[24], local_address[24];
    snprintf(address, sizeof address, "0x%" PRIx64, r->address);
    snprintf(local_address, sizeof local_address, "0x%" PRIx64, r->local_address);
    return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:s}", "qp", json_count(r->qp),
                     "peer", json_count(r->peer), "peer_qp", json_count(r->peer_qp), "key",
                     json_count(r->key), "address", address, "region_bytes",
                     json_count(r->region_bytes), "local_key", json_count(r->local_key),
                     "local_address", local_address);
}

static json_t *record_json(const struct trace_record *r, uint64_t index)
{
    json_t *object   = json_object();
    json_t *segments = json_array();
    json_object_set_new(object, "record", json_count(index));
    json_object_set_new(object, "time_ns", json_count(r->time_ns));
    json_object_set_new(object, "latency_ns",
                        r->latency_ns == TRACE_LATENCY_UNKNOWN ? json_null()
                                                               : json_count(r->latency_ns));
    json_object_set_new(object, "op", json_text(trace_op_name(r->op)));
    json_object_set_new(object, "lba", json_count(r->lba));
    json_object_set_new(object, "bytes", json_count(r->bytes));
    json_object_set_new(object, "device", json_count(r->device));
    json_object_set_new(object, "queue", json_count(r->queue));
    json_object_set_new(object, "cpu", json_count(r->cpu));
    json_object_set_new(object, "completion_cpu", json_count(r->completion_cpu));
    json_object_set_new(object, "depth", json_count(r->depth));
    for (uint32_t i = 0; i < r->segment_count; i++)
        json_array_append_new(segments,
                              json_pack("{s:o, s:o}", "pa", json_count(r->segment[i].pa),
                                        "bytes", json_count(r->segment[i].bytes)));
    json_object_set_new(object, "segments", segments);
    if (trace_op_is_rdma(r->op))
        json_object_set_new(object, "rdma", rdma_json(&r->rdma));
    return object;
}

static void record_print(const struct trace_record *r, uint64_t index)
{
    printf("%" PRIu64 "\t%" PRIu64 "\t", index, r->time_ns);
    if (r->latency_ns == TRACE_LATENCY_UNKNOWN)
        printf("-");
    else
        printf("%" PRIu64, r->latency_ns);
    printf("\t%s\t%" PRIu64 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32
           "\t%" PRIu32 "\t",
           trace_op_name(r->op), r->lba, r->bytes, r->device, r->queue, r->cpu,
           r->completion_cpu, r->depth);
    for (uint32_t i = 0; i < r->segment_count; i++)
        printf("%s0x%" PRIx64 "+%" PRIu32, i == 0 ? "" : ",", r->segment[i].pa,
               r->segment[i].bytes);
    printf("%s", r->segment_count == 0 ? "-" : "");
    if (trace_op_is_rdma(r->op))
        printf("\tqp=%" PRIu32 " peer=%" PRIu32 "/%" PRIu32 " key=0x%" PRIx32
               " address=0x%" PRIx64 " region_bytes=%" PRIu64 " local=0x%" PRIx32
               "@0x%" PRIx64,
               r->rdma.qp, r->rdma.peer, r->rdma.peer_qp, r->rdma.key, r->rdma.address,
               r->rdma.region_bytes, r->rdma.local_key, r->rdma.local_address);
    putchar('\n');
}

/* The next record below the limit: 1, 0 or -1 as trace_next. */
static int next_below(const struct trace_call *call, struct trace_reader *reader,
                      struct trace_record *record, uint64_t index, struct error *error)
{
    return index < call->limit ? trace_next(reader, record, error) : 0;
}

static int trace_cat(const struct trace_call *call)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;
    int got = 0;

    if (!call_open(call, call->file[0], &reader, &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    if (!call->json)
        printf("#record\ttime_ns\tlatency_ns\top\tlba\tbytes\tdevice\tqueue\tcpu\t"
               "completion_cpu\tdepth\tsegments\n");
    for (uint64_t i = 0; !command_interrupted() && !ferror(stdout); i++) {
        if ((got = next_below(call, reader, &record, i, &error)) != 1)
            break;
        if (call->json)
            json_print(record_json(&record, i), JSON_COMPACT);
        else
            record_print(&record, i);
    }
    trace_close(reader);
    if (got < 0)
        return command_fail(EXIT_INPUT, "%s", error.text);
    return command_interrupted() ? EXIT_STOPPED : output_status();
}

/* convert, cut, merge, scale, anonymise */

/* One of the traces that are read, and its next record. */
struct input {
    struct trace_reader *reader;
    struct trace_record record;
    bool has;
    uint32_t first_device; /* What its device 0 is called in the output. */
};

struct copy {
    const struct trace_call *call;
    struct input input[INPUTS_MAX];
    unsigned inputs;
    void *out;
    uint64_t taken, put; /* Records of the inputs, and of the output. */
    uint64_t start_ns;   /* Of the first record that is put. */
    struct progress progress;
    struct trace_segment segment[TRACE_SEGMENTS_MAX];
    int status;
};

/* The notes of the source, then those of the command line, which win. */
static struct trace_about notes_join(const struct trace_call *call,
                                     const struct trace_about *source)
{
    struct trace_about all = *source;
    if (trace_about_find(&all, "source_format") == NULL
        && strcmp(source->format, "native") != 0)
        trace_about_note(&all, "source_format", source->format);
    for (uint32_t i = 0; i < call->notes.note_count; i++)
        trace_about_note(&all, call->notes.note[i].key, call->notes.note[i].value);
    return all;
}

static bool input_advance(struct copy *c, struct input *input)
{
    struct error error;
    const int got = trace_next(input->reader, &input->record, &error);
    if (got < 0)
        c->status = command_fail(EXIT_INPUT, "%s", error.text);
    input->has = got == 1;
    return got >= 0;
}

static bool inputs_open(struct copy *c, unsigned count)
{
    struct error error;
    for (unsigned i = 0; i < count; i++) {
        struct input *const input = &c->input[i];
        if (!call_open(c->call, c->call->file[i], &input->reader, &error)) {
            c->status = command_fail(EXIT_INPUT, "%s", error.text);
            return false;
        }
        c->inputs++;
    }
    return true;
}

/* The earliest next record; of equal times, of the trace that was named first. */
static struct input *input_earliest(struct copy *c)
{
    struct input *best = NULL;
    for (unsigned i = 0; i < c->inputs; i++)
        if (c->input[i].has
            && (best == NULL || c->input[i].record.time_ns < best->record.time_ns))
            best = &c->input[i];
    return best;
}

/* What the subcommand does to one record: 1: it stays; 0: it goes; -1: it cannot be. */
static int record_change(struct copy *c, struct trace_record *r, uint64_t index,
                         struct error *error)
{
    const struct trace_call *const call = c->call;
    if ((call->sub->takes & TAKES_CUT) && !edit_cut_keeps(&call->cut, r, index))
        return 0;
    if ((call->sub->takes & TAKES_SCALE) && !edit_scale(r, call->millionths, error))
        return -1;
    if (call->sub->takes & TAKES_SEED) {
        if (r->segment_count != 0)
            memcpy(c->segment, r->segment, r->segment_count * sizeof c->segment[0]);
        edit_anonymise(r, c->segment, call->seed);
    }
    return 1;
}

static bool record_move(struct copy *c, struct input *input)
{
    struct trace_record r = input->record;
    struct error error;
    r.device += input->first_device;
    if (trace_op_is_rdma(r.op))
        r.rdma.peer += input->first_device;
    const int stays = record_change(c, &r, c->taken++, &error);
    if (stays < 0)
        c->status = command_fail(EXIT_INPUT, "%s: record %" PRIu64 ": %s", c->call->file[0],
                                 c->taken - 1, error.text);
    if (stays <= 0)
        return stays == 0;
    if (c->put == 0)
        c->start_ns = r.time_ns;
    r.time_ns -= c->start_ns;
    if (!c->call->exporter->put(c->out, &r, &error)) {
        c->status = command_fail(EXIT_USAGE, "%s", error.text);
        return false;
    }
    c->put++;
    if (c->put % 65536 == 0)
        progress_update(&c->progress, c->put);
    return true;
}

static void records_copy(struct copy *c)
{
    struct input *input;
    for (unsigned i = 0; i < c->inputs; i++)
        if (!input_advance(c, &c->input[i]))
            return;
    while (c->put < c->call->limit && (input = input_earliest(c)) != NULL) {
        if (command_interrupted()) {
            c->status = EXIT_STOPPED;
            return;
        }
        /* Behind the end of a cut nothing can come any more. */
        if ((c->call->sub->takes & TAKES_CUT)
            && input->record.time_ns >= c->call->cut.end_ns)
            return;
        if (!record_move(c, input) || !input_advance(c, input))
            return;
    }
}

/* The notes that only came with the last record. */
static void late_notes(struct copy *c)
{
    const struct trace_about about = notes_join(c->call, trace_about(c->input[0].reader));
    for (uint32_t i = 0; c->call->exporter->note != NULL && i < about.note_count; i++)
        c->call->exporter->note(c->out, about.note[i].key, about.note[i].value);
}

static bool no_late_notes(const struct trace_call *call)
{
    return (call->sub->takes & TAKES_SEED) != 0;
}

static void copy_run(struct copy *c, const char *path, const struct trace_about *about)
{
    struct error error;
    c->out = c->call->exporter->create(path, about, &error);
    if (c->out == NULL) {
        c->status = command_fail(EXIT_USAGE, "%s", error.text);
        return;
    }
    CHECK(progress_init(&c->progress, "auto", &error));
    progress_begin(&c->progress, c->call->sub->name, 1, 1,
                   c->call->limit != UINT64_MAX ? c->call->limit : 0);
    records_copy(c);
    progress_end(&c->progress);
    if (c->status == EXIT_FINE && c->inputs == 1 && !no_late_notes(c->call))
        late_notes(c);
    if (c->status == EXIT_FINE && c->put == 0 && (c->call->sub->takes & TAKES_CUT))
        c->status =
            command_fail(EXIT_USAGE, "trace cut: %s has no record there", c->call->file[0]);
    if (c->status != EXIT_FINE)
        c->call->exporter->abandon(c->out);
    else if (!c->call->exporter->finish(c->out, &error))
        c->status = command_fail(EXIT_USAGE, "%s", error.text);
}

static unsigned file_count(const struct trace_call *call)
{
    unsigned count = 0;
    while (call->file[count] != NULL)
        count++;
    return count;
}

/* Inputs that are pieces of the first one are read with it. */
static bool pieces_of_the_first(const struct trace_call *call, unsigned inputs)
{
    struct trace_reader *reader;
    struct error error;
    if (inputs == 1)
        return true;
    if (!call_open(call, call->file[0], &reader, &error)) {
        command_fail(EXIT_INPUT, "%s", error.text);
        return false;
    }
    bool good = true;
    for (unsigned i = 1; good && i < inputs; i++)
        if (!trace_holds(reader, call->file[i])) {
            command_fail(EXIT_USAGE,
                         "trace %s: '%s' is another recording than '%s'; see trace merge",
                         call->sub->name, call->file[i], call->file[0]);
            good = false;
        }
    trace_close(reader);
    return good;
}

static int trace_convert(const struct trace_call *call)
{
    const unsigned files = file_count(call);
    struct copy *c       = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->call = call;
    if (!pieces_of_the_first(call, files - 1))
        c->status = EXIT_USAGE;
    else if (inputs_open(c, 1)) {
        struct trace_about about = notes_join(call, trace_about(c->input[0].reader));
        if (no_late_notes(call)) {
            about = call->notes;
            trace_about_note(&about, "anonymised", "places, memory, keys and notes");
        }
        copy_run(c, call->file[files - 1], &about);
    }
    for (unsigned i = 0; i < c->inputs; i++)
        trace_close(c->input[i].reader);
    const int status = c->status;
    free(c);
    return status;
}

/* How many devices a trace has is only known at its end. */
static bool devices_count(struct copy *c)
{
    uint32_t devices = 0;
    struct error error;
    for (unsigned i = 0; i < c->inputs; i++) {
        struct trace_record r;
        uint32_t own = 0;
        int got;
        while ((got = trace_next(c->input[i].reader, &r, &error)) == 1
               && !command_interrupted()) {
            own = r.device >= own ? r.device + 1 : own;
            if (trace_op_is_rdma(r.op) && r.rdma.peer >= own)
                own = r.rdma.peer + 1;
        }
        if (command_interrupted()) {
            c->status = EXIT_STOPPED;
            return false;
        }
        if (got < 0 || !trace_rewind(c->input[i].reader, &error)) {
            c->status = command_fail(EXIT_INPUT, "%s", error.text);
            return false;
        }
        c->input[i].first_device = devices;
        devices += own;
        if (devices > TRACE_DEVICES_MAX) {
            c->status = command_fail(EXIT_INPUT, "%s: more than %d devices with it",
                                     c->call->file[i], TRACE_DEVICES_MAX);
            return false;
        }
    }
    return true;
}

static int trace_merge(const struct trace_call *call)
{
    const unsigned files = file_count(call);
    struct copy *c       = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->call = call;
    if (files - 1 > INPUTS_MAX)
        c->status =
            command_fail(EXIT_USAGE, "trace merge: more than %d traces", INPUTS_MAX);
    else if (inputs_open(c, files - 1) && devices_count(c)) {
        struct trace_about about = call->notes;
        for (unsigned i = 0; i < files - 1 && i < 16; i++) {
            char key[32], value[224];
            snprintf(key, sizeof key, "merged_%u", i);
            snprintf(value, sizeof value, "devices from %" PRIu32 ": %.180s",
                     c->input[i].first_device, call->file[i]);
            trace_about_note(&about, key, value);
        }
        copy_run(c, call->file[files - 1], &about);
    }
    for (unsigned i = 0; i < c->inputs; i++)
        trace_close(c->input[i].reader);
    const int status = c->status;
    free(c);
    return status;
}

/* stats */

static bool svg_write(const struct trace_call *call, const struct trace_stats *stats,
                      struct error *error)
{
    struct output out;
    if (!output_open(&out, call->svg, error))
        return false;
    trace_stats_svg(stats, call->file[0], out.stream);
    return output_finish(&out, error);
}

static int trace_stats_run(const struct trace_call *call)
{
    static struct trace_stats stats;
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;
    int got = 0;

    if (!call_open(call, call->file[0], &reader, &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    trace_stats_init(&stats);
    while (stats.records < call->limit && !command_interrupted()
           && (got = trace_next(reader, &record, &error)) == 1)
        trace_stats_add(&stats, &record);
    trace_close(reader);
    if (command_interrupted())
        return EXIT_STOPPED;
    if (got < 0)
        return command_fail(EXIT_INPUT, "%s", error.text);
    if (call->svg != NULL && !svg_write(call, &stats, &error))
        return command_fail(EXIT_USAGE, "%s", error.text);
    trace_stats_print(&stats, stdout);
    return output_status();
}

/* validate */

static bool file_validate(const struct trace_call *call, const char *path)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;
    uint64_t records = 0;
    int got;

    if (!call_open(call, path, &reader, &error)) {
        printf("%s\n", error.text);
        return false;
    }
    while ((got = trace_next(reader, &record, &error)) == 1 && !command_interrupted())
        records++;
    if (got == 0)
        printf("%s: ok, %" PRIu64 " records, %s\n", path, records,
               trace_about(reader)->format);
    else if (got < 0)
        printf("%s\n", error.text);
    trace_close(reader);
    return got == 0;
}

static int trace_validate(const struct trace_call *call)
{
    bool good = true;
    for (const char **file = call->file; *file != NULL && !command_interrupted(); file++)
        good = file_validate(call, *file) && good;
    if (command_interrupted())
        return EXIT_STOPPED;
    const int status = output_status();
    return good ? status : EXIT_INPUT;
}

/* check */

static int trace_check_recordings(const struct trace_call *call)
{
    const char *const release = call->release_set ? call->config.kernel.release : NULL;
    const struct trace_check_call check = { .config = &call->config,
                                            .chosen = { release, call->policy },
                                            .json   = call->json != 0,
                                            .show   = (unsigned)call->show };
    if (call->policy != NULL && !trace_check_has_mode(call->policy))
        return command_fail(EXIT_USAGE,
                            "--policy: expected strict, lazy or passthrough, got '%s'",
                            call->policy);
    return trace_check_command(&check, call->file);
}

enum { TAKES_COPY = TAKES_FROM | TAKES_TO | TAKES_LIMIT | TAKES_NOTE };

static const struct subcommand subcommands[] = {
    { "info", "FILE", "What a trace holds, in numbers", TAKES_FROM | TAKES_JSON, 1, 1,
      trace_info },
    { "stats", "FILE", "Sizes, alignment, gaps, requests in flight, reuse",
      TAKES_FROM | TAKES_LIMIT | TAKES_SVG, 1, 1, trace_stats_run },
    { "cat", "FILE", "Prints the records, one line each",
      TAKES_FROM | TAKES_JSON | TAKES_LIMIT, 1, 1, trace_cat },
    { "convert", "IN... OUT", "Writes a trace in another format", TAKES_COPY, 2, INT_MAX,
      trace_convert },
    { "cut", "IN OUT", "Takes a part of a trace", TAKES_COPY | TAKES_CUT, 2, 2,
      trace_convert },
    { "merge", "IN... OUT", "Joins traces by time, each with its own devices", TAKES_COPY,
      2, INT_MAX, trace_merge },
    { "scale", "IN OUT", "Makes a trace slower or faster", TAKES_COPY | TAKES_SCALE, 2, 2,
      trace_convert },
    { "anonymise", "IN OUT", "Hides places, memory and notes, but not how they relate",
      TAKES_COPY | TAKES_SEED, 2, 2, trace_convert },
    { "validate", "FILE...", "Reads traces to their ends: one line for each", TAKES_FROM, 1,
      INT_MAX, trace_validate },
    { "check", "PATH...", "Our driver's mappings against those of a recorded kernel",
      TAKES_CHECK | TAKES_JSON, 1, INT_MAX, trace_check_recordings },
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

enum { NOTE_VALUE = 'n', SET_VALUE = 's', OPTIONS_MAX = 16 };

/* The options that the subcommand takes, and --help. */
static void options_fill(struct trace_call *call, struct poptOption out[OPTIONS_MAX])
{
    const struct {
        unsigned takes;
        struct poptOption option;
    } all[] = {
        { TAKES_FROM,
          { "from", 0, POPT_ARG_STRING, &call->from, 0,
            "Do not look at the content for the format", "FORMAT" } },
        { TAKES_TO,
          { "to", 0, POPT_ARG_STRING, &call->to, 0,
            "native (default), csv, fio or blkparse", "FORMAT" } },
        { TAKES_JSON, { "json", 0, POPT_ARG_NONE, &call->json, 0, "Print JSON", NULL } },
        { TAKES_CUT,
          { "skip", 0, POPT_ARG_STRING, &call->skip_text, 0,
            "Leave out the first N records", "N" } },
        { TAKES_CUT,
          { "begin", 0, POPT_ARG_STRING, &call->begin_text, 0,
            "Leave out what was issued before", "NS" } },
        { TAKES_CUT,
          { "end", 0, POPT_ARG_STRING, &call->end_text, 0,
            "Leave out what was issued then or later", "NS" } },
        { TAKES_CUT,
          { "device", 0, POPT_ARG_STRING, &call->device_text, 0, "Only this device",
            "N" } },
        { TAKES_CUT,
          { "cpu", 0, POPT_ARG_STRING, &call->cpu_text, 0, "Only what this CPU issued",
            "N" } },
        { TAKES_SCALE,
          { "time", 0, POPT_ARG_STRING, &call->factor_text, 0,
            "Times become so many times as long: 0.5 is twice as fast", "FACTOR" } },
        { TAKES_FROM,
          { "set", 0, POPT_ARG_STRING, NULL, SET_VALUE,
            "A parameter of a generator (gen:NAME); repeatable", "KEY=VALUE" } },
        { TAKES_CHECK,
          { "set", 0, POPT_ARG_STRING, NULL, SET_VALUE,
            "A parameter of the machine, as linux.release (default: the recording's); "
            "repeatable",
            "KEY=VALUE" } },
        { TAKES_CHECK,
          { "policy", 0, POPT_ARG_STRING, &call->policy, 0,
            "The recorded mode: strict, lazy or passthrough (default: the recording's)",
            "NAME" } },
        { TAKES_CHECK,
          { "show", 0, POPT_ARG_STRING, &call->show_text, 0,
            "How many differences of each recording to show (default 5)", "N" } },
        { TAKES_FROM,
          { "seed", 0, POPT_ARG_STRING, &call->seed_text, 0,
            call->sub->takes & TAKES_SEED
                ? "The secret that the change depends on; and of a generator"
                : "Seed of a generator (default 0)",
            "N" } },
        { TAKES_SVG,
          { "svg", 0, POPT_ARG_STRING, &call->svg, 0,
            "Draw the picture into a file as well", "FILE" } },
        { TAKES_LIMIT,
          { "limit", 0, POPT_ARG_STRING, &call->limit_text, 0, "Stop after N records",
            "N" } },
        { TAKES_NOTE,
          { "note", 0, POPT_ARG_STRING, NULL, NOTE_VALUE,
            "Add a note, or replace one; repeatable", "KEY=VALUE" } },
    };
    const struct poptOption tail[] = { POPT_AUTOHELP POPT_TABLEEND };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        if (call->sub->takes & all[i].takes)
            *out++ = all[i].option;
    memcpy(out, tail, sizeof tail);
}

static bool note_take(struct trace_call *call, char *text, struct error *error)
{
    char *const equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return error_set(error, "--note: expected KEY=VALUE, got '%s'", text);
    *equals = '\0';
    trace_about_note(&call->notes, text, equals + 1);
    return true;
}

static bool option_taken(void *self, int option, char *text, struct error *error)
{
    struct trace_call *call = self;
    call->release_set |= strncmp(text, "linux.release=", 14) == 0;
    const bool good = option == NOTE_VALUE ? note_take(call, text, error)
                                           : config_set(&call->config, text, error)
                                                 || error_in(error, "--set");
    free(text);
    return good;
}

static bool files_take(struct trace_call *call, poptContext context)
{
    static const char *none[] = { NULL };
    int count                 = 0;

    call->file = poptGetArgs(context);
    if (call->file == NULL)
        call->file = none;
    while (call->file[count] != NULL)
        count++;
    if (count >= call->sub->files_min && count <= call->sub->files_max)
        return true;
    command_fail(EXIT_USAGE, "trace %s: expected %s, got %d argument%s", call->sub->name,
                 call->sub->usage, count, count == 1 ? "" : "s");
    return false;
}

static bool exporter_take(struct trace_call *call)
{
    const char *const name = call->to != NULL ? call->to : "native";
    for (const struct trace_exporter *const *e = export_table; *e != NULL; e++)
        if (strcmp((*e)->name, name) == 0)
            call->exporter = *e;
    if (call->exporter != NULL)
        return true;
    command_fail(EXIT_USAGE, "--to: expected native, csv, fio or blkparse, got '%s'", name);
    return false;
}

/* "0.5" as millionths. */
static bool factor_take(struct trace_call *call, struct error *error)
{
    const char *at = call->factor_text;
    if (!(call->sub->takes & TAKES_SCALE))
        return true;
    if (at == NULL)
        return error_set(error, "trace scale: expected --time FACTOR");
    if (text_decimal(&at, 1000000, &call->millionths) && *at == '\0'
        && call->millionths >= 1 && call->millionths <= UINT64_C(1000000000000))
        return true;
    return error_set(error, "--time: expected 0.000001 to 1000000, got '%s'",
                     call->factor_text);
}

static bool numbers_take(struct trace_call *call, struct error *error)
{
    call->cut =
        (struct edit_cut){ .end_ns = UINT64_MAX, .device = UINT64_MAX, .cpu = UINT64_MAX };
    return option_number("--limit", call->limit_text, 0, OPTION_NO_MOST, &call->limit,
                         error)
           && option_number("--skip", call->skip_text, 0, OPTION_NO_MOST, &call->cut.skip,
                            error)
           && option_number("--begin", call->begin_text, 0, OPTION_NO_MOST,
                            &call->cut.begin_ns, error)
           && option_number("--end", call->end_text, 0, OPTION_NO_MOST, &call->cut.end_ns,
                            error)
           && option_number("--device", call->device_text, 0, TRACE_DEVICES_MAX - 1,
                            &call->cut.device, error)
           && option_number("--cpu", call->cpu_text, 0, TRACE_CPUS_MAX - 1, &call->cut.cpu,
                            error)
           && option_number("--show", call->show_text, 0, CHECK_DIFFERENCES_MAX,
                            &call->show, error)
           && option_number("--seed", call->seed_text, 0, OPTION_NO_MOST, &call->seed,
                            error)
           && factor_take(call, error);
}

/* Fills call in; the files live as long as context. False with a line printed. */
static bool arguments_take(struct trace_call *call, poptContext context)
{
    struct error error;
    if (!options_read(context, option_taken, call, &error) || !numbers_take(call, &error)
        || !config_check(&call->config, &error)) {
        command_fail(EXIT_USAGE, "%s", error.text);
        return false;
    }
    return exporter_take(call) && files_take(call, context);
}

static int subcommand_run(const struct subcommand *sub, int argc, const char **argv)
{
    struct trace_call call = { .sub = sub, .limit = UINT64_MAX, .show = 5 };
    struct poptOption options[OPTIONS_MAX];
    struct error error;
    char name[64], usage[64];

    CHECK(
        config_init(&call.config, sub->takes & TAKES_CHECK ? "vtd-server" : NULL, &error));
    options_fill(&call, options);
    snprintf(name, sizeof name, "iovasim trace %s", sub->name);
    snprintf(usage, sizeof usage, "[OPTION...] %s", sub->usage);
    argv[0]             = name; /* For the usage line of --help. */
    poptContext context = poptGetContext(NULL, argc, argv, options, 0);
    CHECK(context != NULL);
    poptSetOtherOptionHelp(context, usage);

    const int status = arguments_take(&call, context) ? sub->run(&call) : EXIT_USAGE;
    if (status == EXIT_STOPPED)
        command_fail(status, "interrupted");
    char *const text[] = { call.from,        call.to,         call.svg,
                           call.skip_text,   call.begin_text, call.end_text,
                           call.device_text, call.cpu_text,   call.factor_text,
                           call.seed_text,   call.limit_text, call.show_text,
                           call.policy };
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++)
        free(text[i]);
    config_free(&call.config);
    poptFreeContext(context);
    return status;
}

static void usage_print(FILE *out)
{
    fprintf(out, "Usage: iovasim trace SUBCOMMAND [OPTION...] FILE...\n\n");
    for (unsigned i = 0; i < SUBCOMMANDS; i++)
        fprintf(out, "  %-9s %-9s %s\n", subcommands[i].name, subcommands[i].usage,
                subcommands[i].summary);
    fprintf(out, "\n`iovasim trace SUBCOMMAND --help` lists the options.\n");
}

static int trace_run(int argc, const char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        usage_print(stdout);
        return output_status();
    }
    for (unsigned i = 0; argc >= 2 && i < SUBCOMMANDS; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommand_run(&subcommands[i], argc - 1, argv + 1);
    if (argc >= 2)
        command_fail(EXIT_USAGE, "trace has no subcommand '%s'", argv[1]);
    usage_print(stderr);
    return EXIT_USAGE;
}

const struct command cmd_trace = {
    .name    = "trace",
    .summary = "Look at trace files, check them, and make others of them",
    .run     = trace_run,
};
