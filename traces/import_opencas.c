/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_opencas - traces of Open-CAS's standalone I/O tracer as a table: both times and
 * both CPUs of each request are known.
 */
#include "traces/columns.h"

static const struct columns_format opencas_format = {
    .separator = ',',
    .header    = "submit_ns,complete_ns,cpu,complete_cpu,op,lba512,sectors",
    .more      = true,
    .column    = { { COLUMN_TIME, 1, "submit_ns" },
                   { COLUMN_END, 1, "complete_ns" },
                   { COLUMN_CPU, 0, "cpu" },
                   { COLUMN_END_CPU, 0, "complete_cpu" },
                   { COLUMN_OP, 0, "op" },
                   { COLUMN_OFFSET, TRACE_SECTOR_BYTES, "lba512" },
                   { COLUMN_BYTES, TRACE_SECTOR_BYTES, "sectors" } },
    .word      = { { "R", TRACE_READ }, { "W", TRACE_WRITE }, { "D", TRACE_DISCARD } },
};

COLUMNS_VERBS(opencas);

const struct trace_importer import_opencas = {
    .name       = "opencas",
    .summary    = "CSV of Open-CAS I/O tracer recordings",
    .origin     = "Open-CAS standalone-linux-io-tracer, its events as a table",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU,
    .recognises = opencas_recognises,
    .open       = opencas_open,
    .next       = columns_next,
    .close      = columns_close,
};
