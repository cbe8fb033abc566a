/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_spc - the SPC trace file format 1.0.1, as the UMass repository has it (Financial,
 * WebSearch): the place in blocks of 512 bytes, the size in bytes, seconds from the start.
 * Further fields may follow and are not looked at.
 */
#include "traces/columns.h"

static const struct columns_format spc_format = {
    .separator = ',',
    .more      = true,
    .column    = { { COLUMN_DEVICE, 0, "ASU" },
                   { COLUMN_OFFSET, TRACE_SECTOR_BYTES, "LBA" },
                   { COLUMN_BYTES, 1, "Size" },
                   { COLUMN_OP, 0, "Opcode" },
                   { COLUMN_TIME, 1000000000, "Timestamp" } },
    .word      = { { "r", TRACE_READ }, { "w", TRACE_WRITE } },
    .case_free = true,
};

COLUMNS_VERBS(spc);

const struct trace_importer import_spc = {
    .name       = "spc",
    .summary    = "SPC-1 trace files, as of the UMass repository",
    .origin     = "UMass Trace Repository, Storage",
    .knows      = KNOWS_TIME | KNOWS_DEVICE,
    .recognises = spc_recognises,
    .open       = spc_open,
    .next       = columns_next,
    .close      = columns_close,
};
