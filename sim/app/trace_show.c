/* SPDX-License-Identifier: Apache-2.0 */
/* trace_show - what a trace holds, in numbers, and record by record. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/terminal.h"
#include "sim/app/trace_call.h"
#include "sim/app/tracefile.h"
#include "sim/base/check.h"

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

int trace_info(const struct trace_call *call)
{
    static struct tracefile_summary summary;
    char sha256[FILE_SHA256_CHARS + 1];
    struct error error;

    struct trace_reader *reader;
    /* What a pipe brought cannot be read again, and what is generated is in no file. */
    const bool file =
        strcmp(call->file[0], TRACE_STANDARD_INPUT) != 0 && !generator_is(call->file[0]);

    snprintf(sha256, sizeof sha256, "-");
    if (!trace_call_open(call, call->file[0], &reader, &error))
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
    return EXIT_FINE;
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

int trace_cat(const struct trace_call *call)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;
    int got = 0;

    if (!trace_call_open(call, call->file[0], &reader, &error))
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
    return command_interrupted() ? EXIT_STOPPED : EXIT_FINE;
}
