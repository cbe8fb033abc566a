/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_import - any bytes as a trace of one format: the build makes a target of this file
 * for each importer, whose name is FUZZ_IMPORTER.
 */
#include "sim/fuzz/fuzz_reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_twice(data, size, FUZZ_IMPORTER);
    return 0;
}
