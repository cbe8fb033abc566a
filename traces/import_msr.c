/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_msr - the block traces of Microsoft Research Cambridge (SNIA IOTTA 388): times are
 * Windows file times, in 100 ns since 1601, and so are the response times.
 */
#include "traces/columns.h"

static const struct columns_format msr_format = {
    .separator = ',',
    .column    = { { COLUMN_TIME, 100, "Timestamp" },
                   { COLUMN_DEVICE, 0, "Hostname" },
                   { COLUMN_DEVICE, 0, "DiskNumber" },
                   { COLUMN_OP, 0, "Type" },
                   { COLUMN_OFFSET, 1, "Offset" },
                   { COLUMN_BYTES, 1, "Size" },
                   { COLUMN_LATENCY, 100, "ResponseTime" } },
    .word      = { { "Read", TRACE_READ }, { "Write", TRACE_WRITE } },
    .case_free = true,
};

COLUMNS_VERBS(msr);

const struct trace_importer import_msr = {
    .name       = "msr",
    .summary    = "CSV of the MSR Cambridge collection",
    .origin     = "SNIA IOTTA, MSR Cambridge traces",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_DEVICE,
    .recognises = msr_recognises,
    .open       = msr_open,
    .next       = columns_next,
    .close      = columns_close,
};
