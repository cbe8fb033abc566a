/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_mqsim - the ASCII traces of MQSim (and, but for the meaning of its type, DiskSim):
 * time, device, sector, sectors, type, where 0 writes and 1 reads. Their unit of time is
 * set in MQSim's own configuration; nanoseconds, as in its examples, are taken.
 */
#include "traces/columns.h"

static const struct columns_format mqsim_format = {
    .separator = ' ',
    .column    = { { COLUMN_TIME, 1, "time" },
                   { COLUMN_DEVICE, 0, "device" },
                   { COLUMN_OFFSET, TRACE_SECTOR_BYTES, "address" },
                   { COLUMN_BYTES, TRACE_SECTOR_BYTES, "size" },
                   { COLUMN_OP, 0, "type" } },
    .word      = { { "0", TRACE_WRITE }, { "1", TRACE_READ } },
};

COLUMNS_IMPORTER(mqsim, mqsim_format, "ASCII traces of MQSim",
                 "github.com/CMU-SAFARI/MQSim", KNOWS_TIME | KNOWS_DEVICE);
