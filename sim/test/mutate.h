/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutate - what the fuzz targets as ordinary tests share: the beginnings of samples,
 * and changes to them of the kinds that parsers dislike.
 */
#ifndef SIM_TEST_MUTATE_H
#define SIM_TEST_MUTATE_H

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/rng.h"
#include "sim/test/trace_fixture.h"
#include "traces/source.h"

/* One change of a few bytes, behind the first from. */
static inline void mutate(struct rng *rng, struct fixture_bytes *input, size_t from)
{
    const size_t at   = from + rng_below(rng, (uint32_t)(input->bytes - from));
    const size_t left = input->bytes - at;
    const size_t span = 1 + rng_below(rng, left < 40 ? (uint32_t)left : 40);

    switch (rng_below(rng, 6)) {
    case 0:
        input->data[at] = (uint8_t)rng_next(rng);
        break;
    case 1:
        input->data[at] = (uint8_t)(input->data[at] ^ 1u << rng_below(rng, 8));
        break;
    case 2: /* Cut out. */
        memmove(input->data + at, input->data + at + span, left - span);
        input->bytes -= span;
        break;
    case 3: /* Copied from elsewhere. */
        memmove(input->data + at,
                input->data + rng_below(rng, (uint32_t)(input->bytes - span)), span);
        break;
    case 4: /* The largest number, in text and in varints. */
        memset(input->data + at, rng_below(rng, 2) ? '9' : 0xff, span);
        break;
    default:
        input->bytes = at + (from == 0);
    }
}

/* The input becomes plain, which it has room for, with up to three such changes. */
static inline void mutate_anew(struct rng *rng, struct fixture_bytes *input,
                               struct fixture_bytes plain, size_t from)
{
    input->bytes = plain.bytes;
    memcpy(input->data, plain.data, plain.bytes);
    for (uint32_t n = rng_below(rng, 4); n > 0 && input->bytes > 2; n--)
        mutate(rng, input, from);
}

/* The first bytes of a sample, at most so many, unpacked. */
static inline struct fixture_bytes mutate_sample(const char *sample, size_t bytes)
{
    struct trace_source *source;
    struct error error;
    struct fixture_bytes plain = { (uint8_t *)malloc(bytes), 0 };
    CHECK(plain.data != NULL);
    CHECK(trace_source_open(&source, fixture_sample(sample), &error));
    const long got = trace_source_read(source, plain.data, bytes, &error);
    CHECK(got > 0);
    plain.bytes = (size_t)got;
    trace_source_close(source);
    return plain;
}

#endif
