/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export_fio - an I/O log of version 3 for `fio --read_iolog`. Devices become files named
 * as their notes, device0 otherwise. Times are whole microseconds. Zeroing is written as a
 * trim; RDMA work cannot be written.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/export.h"

struct fio_log {
    struct export_text text; /* First: the shared verbs take it for the state. */
    struct trace_about about;
    uint64_t last_us;
    bool opened[TRACE_DEVICES_MAX];
};

static void *fio_create(const char *path, const struct trace_about *about,
                        struct error *error)
{
    struct fio_log *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    if (about != NULL)
        f->about = *about;
    if (!outfile_open(&f->text.out, path, error)) {
        free(f);
        return NULL;
    }
    fputs("fio version 3 iolog\n", f->text.out.file);
    return f;
}

/* A name without blanks: that is how fio reads them. */
static void name_print(const struct fio_log *f, uint32_t device, char *out, size_t room)
{
    char key[32];
    snprintf(key, sizeof key, "device_%" PRIu32, device);
    const char *note = trace_about_find(&f->about, key);
    if (note != NULL && note[0] == '/' && strpbrk(note, " \t") == NULL)
        snprintf(out, room, "%s", note);
    else
        snprintf(out, room, "device%" PRIu32, device);
}

static const char *action_of(enum trace_op op)
{
    switch (op) {
    case TRACE_READ:
        return "read";
    case TRACE_WRITE:
        return "write";
    case TRACE_FLUSH:
        return "sync";
    case TRACE_DISCARD:
    case TRACE_WRITE_ZEROES:
        return "trim";
    default:
        return NULL;
    }
}

static bool fio_put(void *state, const struct trace_record *r, struct error *error)
{
    struct fio_log *f        = state;
    FILE *const out          = f->text.out.file;
    const char *const action = action_of(r->op);
    char name[256];
    if (action == NULL)
        return export_text_refuse(&f->text,
                                  trace_op_is_bare(r->op) ? "fio logs have no bare accesses"
                                                          : "fio logs have no RDMA work",
                                  error);
    name_print(f, r->device, name, sizeof name);
    f->last_us = r->time_ns / 1000;
    if (!f->opened[r->device])
        fprintf(out, "%" PRIu64 " %s add\n%" PRIu64 " %s open\n", f->last_us, name,
                f->last_us, name);
    f->opened[r->device] = true;
    /* fio reads an offset and a length behind every action. */
    fprintf(out, "%" PRIu64 " %s %s %" PRIu64 " %" PRIu32 "\n", f->last_us, name, action,
            r->lba * TRACE_SECTOR_BYTES, r->bytes);
    return export_text_put_done(&f->text, error);
}

static bool fio_finish(void *state, struct error *error)
{
    struct fio_log *f = state;
    char name[256];
    for (uint32_t i = 0; i < TRACE_DEVICES_MAX; i++) {
        if (!f->opened[i])
            continue;
        name_print(f, i, name, sizeof name);
        fprintf(f->text.out.file, "%" PRIu64 " %s close\n", f->last_us, name);
    }
    return export_text_finish(f, error);
}

const struct trace_exporter export_fio = {
    .name    = "fio",
    .summary = "An I/O log for fio --read_iolog, version 3",
    .create  = fio_create,
    .put     = fio_put,
    .finish  = fio_finish,
    .abandon = export_text_abandon,
};
