/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_trace - any bytes as a trace file. The properties: it ends, in bounded memory, in an
 * end or an error with a text; every record keeps the rules; reading again gives the same;
 * and the native encoding gives back what it was given.
 *
 * The first byte chooses a door. Checksums keep mutations of a native file out at the
 * gate, so one door leads behind it: the bytes are the contents of a block of records.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/fuzz/fuzz_reading.h"
#include "traces/native.h"
#include "traces/source.h"

enum door { DOOR_ANY, DOOR_FTRACE, DOOR_NATIVE, DOOR_BLOCK, DOORS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first two bytes say how many records the block claims to have. */
static void read_block(const uint8_t *data, size_t size)
{
    static struct trace_segment segment[TRACE_SEGMENTS_MAX];
    static struct native_decoder decoder;
    struct trace_record record;
    struct error error = { "" };

    if (size < 2 || !native_decoder_begin(&decoder, data + 2, size - 2, &error))
        return;
    for (uint64_t left = native_get(data, 2); left > 0; left--) {
        if (!native_decode(&decoder, &record, segment, &error)) {
            CHECK(error.text[0] != '\0');
            return;
        }
        if (trace_record_check(&record, &error))
            check_encoding(&record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch ((enum door)(data[0] % DOORS)) {
    case DOOR_FTRACE:
        read_twice(data + 1, size - 1, "ftrace");
        break;
    case DOOR_NATIVE:
        read_twice(data + 1, size - 1, "native");
        break;
    case DOOR_BLOCK:
        read_block(data + 1, size - 1);
        break;
    default:
        read_twice(data + 1, size - 1, NULL);
    }
    return 0;
}
