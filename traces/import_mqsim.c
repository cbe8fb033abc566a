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

COLUMNS_VERBS(mqsim);

const struct trace_importer import_mqsim = {
    .name       = "mqsim",
    .summary    = "ASCII traces of MQSim",
    .origin     = "github.com/CMU-SAFARI/MQSim",
    .knows      = KNOWS_TIME | KNOWS_DEVICE,
    .recognises = mqsim_recognises,
    .open       = mqsim_open,
    .next       = columns_next,
    .close      = columns_close,
};
