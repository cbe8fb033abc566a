/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_tencent - the cloud block storage traces of Tencent (SNIA IOTTA 27917): Unix
 * seconds, which many requests share, and 512-byte sectors.
 */
#include "traces/columns.h"

static const struct columns_format tencent_format = {
    .separator = ',',
    .column    = { { COLUMN_TIME, 1000000000, "Timestamp" },
                   { COLUMN_OFFSET, TRACE_SECTOR_BYTES, "Offset" },
                   { COLUMN_BYTES, TRACE_SECTOR_BYTES, "Size" },
                   { COLUMN_OP, 0, "IOType" },
                   { COLUMN_DEVICE, 0, "VolumeID" } },
    .word      = { { "0", TRACE_READ }, { "1", TRACE_WRITE } },
};

COLUMNS_VERBS(tencent);

const struct trace_importer import_tencent = {
    .name       = "tencent",
    .summary    = "CSV of the Tencent block storage traces",
    .origin     = "SNIA IOTTA, Tencent CBS",
    .knows      = KNOWS_TIME | KNOWS_DEVICE,
    .recognises = tencent_recognises,
    .open       = tencent_open,
    .next       = columns_next,
    .close      = columns_close,
};
