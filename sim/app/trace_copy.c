/* SPDX-License-Identifier: Apache-2.0 */
/* trace_copy - traces made of others: convert, cut, merge, scale, anonymise. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/progress.h"
#include "sim/app/trace_call.h"
#include "sim/base/check.h"

enum { INPUTS_MAX = 256 };

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
        if (!trace_call_open(c->call, c->call->file[i], &input->reader, &error)) {
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
    if (!trace_call_open(call, call->file[0], &reader, &error)) {
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

static struct copy *copy_new(const struct trace_call *call)
{
    struct copy *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->call = call;
    return c;
}

/* Its exit status. */
static int copy_end(struct copy *c)
{
    for (unsigned i = 0; i < c->inputs; i++)
        trace_close(c->input[i].reader);
    const int status = c->status;
    free(c);
    return status;
}

int trace_convert(const struct trace_call *call)
{
    const unsigned files = file_count(call);
    struct copy *c       = copy_new(call);
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
    return copy_end(c);
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

int trace_merge(const struct trace_call *call)
{
    const unsigned files = file_count(call);
    struct copy *c       = copy_new(call);
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
    return copy_end(c);
}
