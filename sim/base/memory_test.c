/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/memory.h"

#include <string.h>

#include "sim/base/lg2.h"
#include "sim/base/rng.h"
#include "sim/test/shim.h"

enum { PAGE = 4096 };
#define LAST_PAGE ((UINT64_C(1) << MEM_PA_LG2) - PAGE)

TEST_CASE(memory, what_was_never_written_is_zero_and_takes_no_room)
{
    struct memory m;
    char bytes[3 * PAGE];
    memory_init(&m);
    memset(bytes, 1, sizeof bytes);
    EXPECT_EQUAL(memory_read64(&m, 0), 0);
    EXPECT_EQUAL(memory_read32(&m, LAST_PAGE + PAGE - 4), 0);
    memory_read(&m, 0x1ffd, bytes, sizeof bytes);
    for (unsigned i = 0; i < sizeof bytes; i++)
        EXPECT_EQUAL(bytes[i], 0);
    memory_device_write(&m, 0x5000, NULL, 64);
    memory_clear_page(&m, 0x5000);
    EXPECT_EQUAL(m.pages, 0);
    memory_free(&m);
}

TEST_CASE(memory, words_are_little_endian_and_their_halves_are_apart)
{
    struct memory m;
    uint8_t bytes[8];
    memory_init(&m);
    for (uint64_t pa = 8; pa <= LAST_PAGE + 8; pa += LAST_PAGE) {
        memory_write64(&m, pa, UINT64_C(0x0807060504030201));
        memory_read(&m, pa, bytes, 8);
        for (unsigned i = 0; i < 8; i++)
            EXPECT_EQUAL(bytes[i], i + 1);
        memory_write32(&m, pa, 0xaaaaaaaa);
        EXPECT_EQUAL(memory_read64(&m, pa), UINT64_C(0x08070605aaaaaaaa));
        memory_write32(&m, pa + 4, 0xbbbbbbbb);
        EXPECT_EQUAL(memory_read32(&m, pa), 0xaaaaaaaa);
        EXPECT_EQUAL(memory_read32(&m, pa + 4), 0xbbbbbbbb);
        EXPECT_EQUAL(memory_read64(&m, pa - 8), 0);
        EXPECT_EQUAL(memory_read64(&m, pa + 8), 0);
    }
    EXPECT_EQUAL(m.pages, 2);
    memory_free(&m);
}

TEST_CASE(memory, random_pieces_of_any_length_are_what_a_flat_array_would_hold)
{
    static uint8_t flat[4 * PAGE], got[4 * PAGE], data[2 * PAGE];
    const uint64_t base = (UINT64_C(7) << 39) - 2 * PAGE; /* Across a node of the radix. */
    struct rng rng      = rng_make(1, "memory");
    struct memory m;
    memory_init(&m);
    memset(flat, 0, sizeof flat);
    for (unsigned i = 0; i < 2000; i++) {
        const uint32_t at    = rng_below(&rng, 2 * PAGE),
                       bytes = 1 + rng_below(&rng, 2 * PAGE);
        for (uint32_t k = 0; k < bytes; k++)
            data[k] = (uint8_t)rng_next(&rng);
        memcpy(flat + at, data, bytes);
        if (i % 2 == 0)
            memory_write(&m, base + at, data, bytes);
        else
            memory_device_write(&m, base + at, data, bytes);
    }
    memory_read(&m, base, got, sizeof got);
    EXPECT(memcmp(got, flat, sizeof flat) == 0);
    EXPECT_EQUAL(m.pages, 4);
    memory_free(&m);
}

/* Whether every line of two pages is a CPU's still, but first .. last. */
static void expect_taken(struct memory *m, uint64_t first, uint64_t last)
{
    for (uint64_t pa = 0; pa < 2 * PAGE; pa += 64) {
        const bool gone = pa + 63 >= first && pa <= last;
        EXPECT_EQUAL(memory_line(m, pa)->state, gone ? LINE_DEVICE : LINE_MODIFIED);
        EXPECT_EQUAL(memory_line(m, pa)->holders, gone ? 0 : 2);
    }
}

TEST_CASE(memory, a_devices_write_takes_exactly_the_lines_that_it_touches)
{
    static const uint64_t range[][2] = { { 0, 1 },      { 63, 2 },      { 64, 64 },
                                         { 4095, 1 },   { 4095, 2 },    { 4032, 128 },
                                         { 100, 4096 }, { 0, 2 * PAGE } };
    static const uint8_t data[2 * PAGE];
    for (unsigned i = 0; i < 16; i++) {
        struct memory m;
        memory_init(&m);
        for (uint64_t pa = 0; pa < 2 * PAGE; pa += 64)
            *memory_line(&m, pa) = (struct line){ 2, LINE_MODIFIED };
        const uint64_t at = range[i / 2][0], bytes = range[i / 2][1];
        memory_device_write(&m, at, i % 2 == 0 ? data : NULL, bytes);
        expect_taken(&m, at, at + bytes - 1);
        memory_free(&m);
    }
}

TEST_CASE(memory, a_cleared_page_forgets_words_and_lines)
{
    struct memory m;
    memory_init(&m);
    memory_write64(&m, 0x3ff8, 5);
    memory_write64(&m, 0x4000, 6);
    memory_line(&m, 0x3ff8)->holders = 1;
    memory_clear_page(&m, 0x3000);
    EXPECT_EQUAL(memory_read64(&m, 0x3ff8), 0);
    EXPECT_EQUAL(memory_line(&m, 0x3ff8)->holders, 0);
    EXPECT_EQUAL(memory_read64(&m, 0x4000), 6);
    memory_free(&m);
}

static void crooked(void *arg)
{
    memory_read64(arg, 4);
}

static void beyond(void *arg)
{
    memory_read64(arg, UINT64_C(1) << MEM_PA_LG2);
}

TEST_CASE(memory, crooked_addresses_and_such_beyond_the_end_are_violations)
{
    struct memory m;
    memory_init(&m);
    EXPECT_DIES(crooked, &m, "pa & 7");
    EXPECT_DIES(beyond, &m, "MEM_PA_LG2");
    memory_free(&m);
}

static void expect_beats(struct mem_channel *c, sim_time_t accepted, uint32_t bytes,
                         sim_time_t first, sim_time_t last)
{
    const struct mem_access_times t = mem_channel_access(c, accepted, bytes);
    EXPECT_EQUAL(t.first, first);
    EXPECT_EQUAL(t.last, last);
}

TEST_CASE(memory, a_channel_has_a_latency_and_one_path_for_its_beats)
{
    struct mem_channel c = { .latency_ps = 1000, .beat_ps = 10, .beat_bytes = 64 };
    expect_beats(&c, 0, 64, 1000, 1000);
    expect_beats(&c, 0, 65, 1010, 1020); /* Behind the first: two beats. */
    expect_beats(&c, 29, 1, 1030, 1030); /* One ps too early for a free path. */
    expect_beats(&c, 41, 256, 1041, 1071);
    expect_beats(&c, 500, 64, 1500, 1500);
}

/* ---- Arithmetic and chance -------------------------------------------------------------
 */

TEST_CASE(lg2, small_numbers_exhaustively_against_their_definition)
{
    for (uint64_t x = 1; x < 5000; x++) {
        unsigned floor = 0, ceil = 0;
        while (UINT64_C(2) << floor <= x)
            floor++;
        while (UINT64_C(1) << ceil < x)
            ceil++;
        EXPECT_EQUAL(lg2_floor(x), floor);
        EXPECT_EQUAL(lg2_ceil(x), ceil);
        EXPECT_EQUAL(is_pow2(x), floor == ceil);
        EXPECT_EQUAL(align_down(x, 4), x / 16 * 16);
        EXPECT_EQUAL(align_up(x, 4), (x + 15) / 16 * 16);
    }
    EXPECT(!is_pow2(0));
    EXPECT_EQUAL(lg2_floor(UINT64_MAX), 63);
    EXPECT_EQUAL(lg2_ceil(UINT64_MAX), 64);
    EXPECT_EQUAL(mask_lg2(0), 0);
    EXPECT_EQUAL(mask_lg2(63), UINT64_MAX >> 1);
    EXPECT_EQUAL(mask_lg2(64), UINT64_MAX);
    EXPECT_EQUAL(bits_get(UINT64_MAX, 63, 0), UINT64_MAX);
    EXPECT_EQUAL(bits_get(UINT64_C(0xabcd), 11, 4), 0xbc);
    EXPECT_EQUAL(bits_put(UINT64_C(0xbc), 11, 4), 0xbc0);
}

/* SplitMix64 from state 1234567: the values that its authors' code prints. */
TEST_CASE(rng, is_splitmix64)
{
    static const uint64_t want[] = { UINT64_C(6457827717110365317),
                                     UINT64_C(3203168211198807973),
                                     UINT64_C(9817491932198370423) };
    struct rng r                 = { 1234567 };
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQUAL(rng_next(&r), want[i]);
}

TEST_CASE(rng, consumers_and_seeds_are_apart_and_bounds_hold)
{
    struct rng a = rng_make(1, "a"), again = rng_make(1, "a"), b = rng_make(1, "b"),
               c         = rng_make(2, "a");
    unsigned count[6]    = { 0 };
    const uint64_t first = rng_next(&a);
    EXPECT_EQUAL(rng_next(&again), first);
    EXPECT(rng_next(&b) != first);
    EXPECT(rng_next(&c) != first);
    for (unsigned i = 0; i < 60000; i++) {
        EXPECT_EQUAL(rng_below(&b, 1), 0);
        count[rng_below(&a, 6)]++;
    }
    for (unsigned i = 0; i < 6; i++) {
        EXPECT(count[i] > 9500);
        EXPECT(count[i] < 10500);
    }
}
