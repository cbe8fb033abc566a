/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export_csv - a table with every field of a record, which the importer csv reads back.
 * What is not known is an empty cell. Segments are "0xADDRESS+BYTES", joined by blanks.
 */
#include <inttypes.h>

#include "traces/csv.h"
#include "traces/export.h"

static void *csv_create(const char *path, const struct trace_about *about,
                        struct error *error)
{
    (void)about;
    struct export_text *e = export_text_create(path, error);
    if (e != NULL)
        fputs(CSV_HEADER "\n", e->out.file);
    return e;
}

static bool csv_put(void *state, const struct trace_record *r, struct error *error)
{
    struct export_text *e = state;
    FILE *const out       = e->out.file;
    fprintf(out, "%" PRIu64 ",", r->time_ns);
    if (r->latency_ns != TRACE_LATENCY_UNKNOWN)
        fprintf(out, "%" PRIu64, r->latency_ns);
    fprintf(out,
            ",%s,%" PRIu64 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32
            ",%" PRIu32 ",",
            trace_op_name(r->op), r->lba, r->bytes, r->device, r->queue, r->cpu,
            r->completion_cpu, r->depth);
    for (uint32_t i = 0; i < r->segment_count; i++)
        fprintf(out, "%s0x%" PRIx64 "+%" PRIu32, i == 0 ? "" : " ", r->segment[i].pa,
                r->segment[i].bytes);
    if (trace_op_is_rdma(r->op))
        fprintf(out,
                ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",0x%" PRIx32 ",0x%" PRIx64 ",%" PRIu64
                ",0x%" PRIx32 ",0x%" PRIx64 "\n",
                r->rdma.qp, r->rdma.peer, r->rdma.peer_qp, r->rdma.key, r->rdma.address,
                r->rdma.region_bytes, r->rdma.local_key, r->rdma.local_address);
    else
        fputs(",,,,,,,,\n", out);
    return export_text_put_done(e, error);
}

const struct trace_exporter export_csv = {
    .name    = "csv",
    .summary = "A table with every field; the format csv reads it back",
    .create  = csv_create,
    .put     = csv_put,
    .finish  = export_text_finish,
    .abandon = export_text_abandon,
};
