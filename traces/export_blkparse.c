/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export_blkparse - text as blkparse prints it: an issue for each request and, where the
 * trace knows it, its completion, in the order of their times. Devices are named as their
 * notes say (259,0), 8,0 and so on otherwise. RDMA work cannot be written.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/export.h"

enum { PENDING_MAX = 1 << 16 };

struct completion {
    uint64_t time_ns, number, lba;
    uint32_t bytes, cpu, device;
    enum trace_op op;
};

struct blkparse_text {
    struct export_text text; /* First: the shared verbs take it for the state. */
    struct trace_about about;
    uint64_t number;
    uint32_t pending;
    uint32_t sequence[TRACE_CPUS_MAX];
    struct completion heap[PENDING_MAX]; /* The earliest at the top. */
};

static void *blkparse_create(const char *path, const struct trace_about *about,
                             struct error *error)
{
    struct blkparse_text *b = malloc(sizeof *b);
    CHECK(b != NULL);
    memset(b, 0, offsetof(struct blkparse_text, heap));
    if (about != NULL)
        b->about = *about;
    if (outfile_open(&b->text.out, path, error))
        return b;
    free(b);
    return NULL;
}

static bool earlier(const struct completion *a, const struct completion *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->number < b->number;
}

static void heap_put(struct blkparse_text *b, struct completion c)
{
    uint32_t at = b->pending++;
    for (; at > 0 && earlier(&c, &b->heap[(at - 1) / 2]); at = (at - 1) / 2)
        b->heap[at] = b->heap[(at - 1) / 2];
    b->heap[at] = c;
}

static struct completion heap_take(struct blkparse_text *b)
{
    const struct completion top  = b->heap[0];
    const struct completion last = b->heap[--b->pending];
    uint32_t at                  = 0;
    for (uint32_t child; (child = 2 * at + 1) < b->pending; at = child) {
        child += child + 1 < b->pending && earlier(&b->heap[child + 1], &b->heap[child]);
        if (!earlier(&b->heap[child], &last))
            break;
        b->heap[at] = b->heap[child];
    }
    b->heap[at] = last;
    return top;
}

static void device_print(const struct blkparse_text *b, uint32_t device, char *out,
                         size_t room)
{
    uint32_t major = 8, minor = device * 16;
    char key[32];
    snprintf(key, sizeof key, "device_%" PRIu32, device);
    const char *note = trace_about_find(&b->about, key);
    if (note == NULL || sscanf(note, "%" SCNu32 ",%" SCNu32, &major, &minor) != 2) {
        major = 8;
        minor = device * 16;
    }
    snprintf(out, room, "%3" PRIu32 ",%-3" PRIu32, major, minor);
}

static const char *letters_of(enum trace_op op)
{
    static const char *const letters[TRACE_BLOCK_OPS] = {
        [TRACE_READ] = "R",    [TRACE_WRITE] = "W",         [TRACE_FLUSH] = "FN",
        [TRACE_DISCARD] = "D", [TRACE_WRITE_ZEROES] = "WZ",
    };
    return letters[op];
}

static void event_print(struct blkparse_text *b, char action, const struct completion *c)
{
    FILE *const out = b->text.out.file;
    char device[32];
    device_print(b, c->device, device, sizeof device);
    fprintf(out, "%s %2" PRIu32 " %8" PRIu32 " %5" PRIu64 ".%09" PRIu64 " %5d  %c %3s ",
            device, c->cpu, ++b->sequence[c->cpu], c->time_ns / 1000000000,
            c->time_ns % 1000000000, 0, action, letters_of(c->op));
    if (c->bytes != 0)
        fprintf(out, "%" PRIu64 " + %" PRIu32 " ", c->lba,
                (c->bytes + TRACE_SECTOR_BYTES - 1) / TRACE_SECTOR_BYTES);
    else if (action == 'C')
        fprintf(out, "%" PRIu64 " ", c->lba);
    fputs(action == 'C' ? "[0]\n" : "[iovasim]\n", out);
}

static bool blkparse_put(void *state, const struct trace_record *r, struct error *error)
{
    struct blkparse_text *b = state;
    struct completion c     = { .time_ns = r->time_ns,
                                .lba     = r->lba,
                                .bytes   = r->bytes,
                                .cpu     = r->cpu,
                                .device  = r->device,
                                .op      = r->op };
    if (trace_op_is_rdma(r->op))
        return export_text_refuse(&b->text, "block events have no RDMA work", error);
    if (trace_op_is_bare(r->op))
        return export_text_refuse(&b->text, "block events have no bare accesses", error);
    while (b->pending > 0
           && (b->heap[0].time_ns <= r->time_ns || b->pending == PENDING_MAX)) {
        const struct completion done = heap_take(b);
        event_print(b, 'C', &done);
    }
    event_print(b, 'D', &c);
    if (r->latency_ns != TRACE_LATENCY_UNKNOWN) {
        c.time_ns += r->latency_ns;
        c.number = b->number++;
        c.cpu    = r->completion_cpu;
        heap_put(b, c);
    }
    return export_text_put_done(&b->text, error);
}

static bool blkparse_finish(void *state, struct error *error)
{
    struct blkparse_text *b = state;
    while (b->pending > 0) {
        const struct completion done = heap_take(b);
        event_print(b, 'C', &done);
    }
    return export_text_finish(b, error);
}

const struct trace_exporter export_blkparse = {
    .name    = "blkparse",
    .summary = "Text as blkparse prints it: issues and completions",
    .create  = blkparse_create,
    .put     = blkparse_put,
    .finish  = blkparse_finish,
    .abandon = export_text_abandon,
};
