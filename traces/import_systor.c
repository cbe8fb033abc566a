/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_systor - the block traces of a virtual desktop infrastructure, SYSTOR '17 (SNIA
 * IOTTA 4964): Unix seconds. Requests whose kind is empty are left out and counted.
 */
#include "traces/columns.h"

static const struct columns_format systor_format = {
    .separator = ',',
    .header    = "Timestamp,Response,IOType,LUN,Offset,Size",
    .column    = { { COLUMN_TIME, 1000000000, "Timestamp" },
                   { COLUMN_LATENCY, 1000000000, "Response" },
                   { COLUMN_OP, 0, "IOType" },
                   { COLUMN_DEVICE, 0, "LUN" },
                   { COLUMN_OFFSET, 1, "Offset" },
                   { COLUMN_BYTES, 1, "Size" } },
    .word      = { { "R", TRACE_READ }, { "W", TRACE_WRITE } },
    .empty_ops = true,
};

COLUMNS_VERBS(systor);

const struct trace_importer import_systor = {
    .name       = "systor",
    .summary    = "CSV of the SYSTOR '17 collection",
    .origin     = "SNIA IOTTA, Systor '17 traces",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_DEVICE,
    .recognises = systor_recognises,
    .open       = systor_open,
    .next       = columns_next,
    .close      = columns_close,
};
