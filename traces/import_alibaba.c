/* SPDX-License-Identifier: Apache-2.0 */
/* import_alibaba - the block traces of Alibaba Cloud, 2020: Unix microseconds, bytes. */
#include "traces/columns.h"

static const struct columns_format alibaba_format = {
    .separator = ',',
    .column    = { { COLUMN_DEVICE, 0, "device_id" },
                   { COLUMN_OP, 0, "opcode" },
                   { COLUMN_OFFSET, 1, "offset" },
                   { COLUMN_BYTES, 1, "length" },
                   { COLUMN_TIME, 1000, "timestamp" } },
    .word      = { { "R", TRACE_READ }, { "W", TRACE_WRITE } },
};

COLUMNS_VERBS(alibaba);

const struct trace_importer import_alibaba = {
    .name       = "alibaba",
    .summary    = "CSV of the Alibaba Cloud block traces",
    .origin     = "github.com/alibaba/block-traces",
    .knows      = KNOWS_TIME | KNOWS_DEVICE,
    .recognises = alibaba_recognises,
    .open       = alibaba_open,
    .next       = columns_next,
    .close      = columns_close,
};
