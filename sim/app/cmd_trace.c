/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_trace - looks at trace files of any known format, and makes native ones of them.
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
#include "sim/app/tracefile.h"
#include "sim/base/check.h"
#include "traces/trace.h"

enum { TAKES_FROM = 1, TAKES_JSON = 2, TAKES_LIMIT = 4, TAKES_NOTE = 8 };

/* One call of a subcommand: what its options and arguments said. */
struct trace_call {
    const struct subcommand *sub;
    int json;
    char *limit_text;
    uint64_t limit;
    char *from;
    struct trace_about notes; /* --note, in order. */
    const char **file;        /* The arguments, NULL behind the last. */
};

struct subcommand {
    const char *name, *usage, *summary;
    unsigned takes;
    int files_min, files_max;
    int (*run)(const struct trace_call *call);
};

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
    printf("%-25s min %" PRIu64 ", p50 %" PRIu64 ", p99 %" PRIu64 ", max %" PRIu64
           ", mean %.1f %s\n",
           name, h->min, histogram_percentile(h, 50.0), histogram_percentile(h, 99.0),
           h->max, (double)h->sum / (double)h->count, unit);
}

static void summary_print(const struct tracefile_summary *s, const char *path,
                          const char *sha256)
{
    printf("%-25s %s\n%-25s %s\n%-25s %s\n", "file", path, "sha256", sha256, "format",
           s->about.format);
    for (uint32_t i = 0; i < s->about.note_count; i++)
        printf("note %-20s %s\n", s->about.note[i].key, s->about.note[i].value);
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

    if (!tracefile_summarise(&summary, call->file[0], call->from, &error)
        || !file_sha256(call->file[0], sha256, &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    if (call->json)
        json_print(summary_json(&summary, call->file[0], sha256), JSON_INDENT(2));
    else
        summary_print(&summary, call->file[0], sha256);
    return output_status();
}

/* cat */

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
    printf("%s\n", r->segment_count == 0 ? "-" : "");
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

    if (!trace_open_as(&reader, call->file[0], call->from, &error))
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

/* convert */

/* Moves the records; the status is EXIT_FINE when all of them have arrived. */
static int records_copy(const struct trace_call *call, struct trace_reader *reader,
                        struct trace_writer *writer)
{
    struct trace_record record;
    struct error error;
    int got = 0;

    for (uint64_t i = 0; (got = next_below(call, reader, &record, i, &error)) == 1; i++) {
        if (!trace_put(writer, &record, &error))
            return command_fail(EXIT_USAGE, "%s", error.text);
        if (command_interrupted())
            return EXIT_STOPPED;
    }
    return got == 0 ? EXIT_FINE : command_fail(EXIT_INPUT, "%s", error.text);
}

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

static int trace_convert(const struct trace_call *call)
{
    struct trace_reader *reader;
    struct trace_writer *writer;
    struct error error;

    if (!trace_open_as(&reader, call->file[0], call->from, &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    struct trace_about about = notes_join(call, trace_about(reader));
    if (!trace_create(&writer, call->file[1], &about, &error)) {
        trace_close(reader);
        return command_fail(EXIT_USAGE, "%s", error.text);
    }
    const int status = records_copy(call, reader, writer);
    about            = notes_join(call, trace_about(reader));
    for (uint32_t i = 0; i < about.note_count; i++)
        trace_writer_note(writer, about.note[i].key, about.note[i].value);
    trace_close(reader);
    if (status != EXIT_FINE)
        trace_abandon(writer);
    else if (!trace_finish(writer, &error))
        return command_fail(EXIT_USAGE, "%s", error.text);
    return status;
}

/* validate */

static bool file_validate(const struct trace_call *call, const char *path)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;
    uint64_t records = 0;
    int got;

    if (!trace_open_as(&reader, path, call->from, &error)) {
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

static const struct subcommand subcommands[] = {
    { "info", "FILE", "What a trace holds, in numbers", TAKES_FROM | TAKES_JSON, 1, 1,
      trace_info },
    { "cat", "FILE", "Prints the records, one line each",
      TAKES_FROM | TAKES_JSON | TAKES_LIMIT, 1, 1, trace_cat },
    { "convert", "IN OUT", "Writes a trace of any format as a native one",
      TAKES_FROM | TAKES_LIMIT | TAKES_NOTE, 2, 2, trace_convert },
    { "validate", "FILE...", "Reads traces to their ends: one line for each", TAKES_FROM, 1,
      INT_MAX, trace_validate },
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

enum { ARGUMENTS_END = -1, NOTE_VALUE = 'n', OPTIONS_MAX = 6 };

/* The options that the subcommand takes, and --help. */
static void options_fill(struct trace_call *call, struct poptOption out[OPTIONS_MAX])
{
    const struct poptOption from = {
        "from",      '\0', POPT_ARG_STRING,
        &call->from, 0,    "Do not look at the content for the format",
        "FORMAT"
    };
    const struct poptOption json  = { "json", '\0',         POPT_ARG_NONE, &call->json,
                                      0,      "Print JSON", NULL };
    const struct poptOption limit = {
        "limit", '\0', POPT_ARG_STRING, &call->limit_text, 0, "Stop after N records", "N"
    };
    const struct poptOption note = {
        "note",     '\0',       POPT_ARG_STRING,
        NULL,       NOTE_VALUE, "Add a note, or replace one; repeatable",
        "KEY=VALUE"
    };
    const struct poptOption tail[] = { POPT_AUTOHELP POPT_TABLEEND };
    const unsigned takes           = call->sub->takes;

    if (takes & TAKES_FROM)
        *out++ = from;
    if (takes & TAKES_JSON)
        *out++ = json;
    if (takes & TAKES_LIMIT)
        *out++ = limit;
    if (takes & TAKES_NOTE)
        *out++ = note;
    memcpy(out, tail, sizeof tail);
}

/* KEY=VALUE */
static bool note_take(struct trace_call *call, poptContext context)
{
    char *const text   = poptGetOptArg(context);
    char *const equals = strchr(text, '=');
    const bool good    = equals != NULL && equals != text;

    if (good) {
        *equals = '\0';
        trace_about_note(&call->notes, text, equals + 1);
    } else {
        command_fail(EXIT_USAGE, "--note: expected KEY=VALUE, got '%s'", text);
    }
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

/* Fills call in; the files live as long as context. False with a line printed. */
static bool arguments_take(struct trace_call *call, poptContext context)
{
    int got;
    while ((got = poptGetNextOpt(context)) == NOTE_VALUE)
        if (!note_take(call, context))
            return false;
    if (got != ARGUMENTS_END) {
        command_fail(EXIT_USAGE, "%s: %s", poptBadOption(context, 0), poptStrerror(got));
        return false;
    }
    struct error error;
    if (!option_number("--limit", call->limit_text, 0, OPTION_NO_MOST, &call->limit,
                       &error)) {
        command_fail(EXIT_USAGE, "%s", error.text);
        return false;
    }
    return files_take(call, context);
}

static int subcommand_run(const struct subcommand *sub, int argc, const char **argv)
{
    struct trace_call call = { .sub = sub, .limit = UINT64_MAX };
    struct poptOption options[OPTIONS_MAX];
    char name[64], usage[64];

    options_fill(&call, options);
    snprintf(name, sizeof name, "iovasim trace %s", sub->name);
    snprintf(usage, sizeof usage, "[OPTION...] %s", sub->usage);
    argv[0]             = name; /* For the usage line of --help. */
    poptContext context = poptGetContext(NULL, argc, argv, options, 0);
    CHECK(context != NULL);
    poptSetOtherOptionHelp(context, usage);

    const int status = arguments_take(&call, context) ? sub->run(&call) : EXIT_USAGE;
    free(call.from);
    free(call.limit_text);
    poptFreeContext(context);
    return status;
}

static void usage_print(FILE *out)
{
    fprintf(out, "Usage: iovasim trace SUBCOMMAND [OPTION...] FILE...\n\n");
    for (unsigned i = 0; i < SUBCOMMANDS; i++)
        fprintf(out, "  %-9s %-8s %s\n", subcommands[i].name, subcommands[i].usage,
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
    .summary = "Look at trace files, check them, and convert them to the native format",
    .run     = trace_run,
};
