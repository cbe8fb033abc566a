/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/placement.h"

#include <string.h>

#include "sim/test/shim.h"

enum { ROOM = 4096 };
static struct blk_segment segment[ROOM], again[ROOM];

static bool same(const struct blk_segment *a, const struct blk_segment *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (a[i].phys != b[i].phys || a[i].bytes != b[i].bytes)
            return false;
    return true;
}

static struct placement make(const char *model, uint32_t folio_kib, uint64_t seed)
{
    const struct placement_config c = { model, folio_kib, 64 };
    struct placement p;
    placement_init(&p, &c, seed, 0);
    return p;
}

static uint64_t sum(const struct blk_segment *s, uint32_t n)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < n; i++) {
        EXPECT(s[i].bytes > 0);
        EXPECT(s[i].phys >= PLACEMENT_FIRST);
        all += s[i].bytes;
    }
    return all;
}

TEST_CASE(placement, every_model_gives_all_bytes_within_the_room_and_the_same_by_seed)
{
    static const uint32_t size[] = { 512, 4096, 4608, 131072, 1 << 20, (1 << 30) - 512 };
    const char *name;
    for (unsigned m = 0; (name = placement_model_member(m)) != NULL; m++)
        for (unsigned i = 0; i < sizeof size / sizeof size[0]; i++) {
            struct placement a = make(name, 0, 7), b = make(name, 0, 7);
            for (unsigned k = 0; k < 3; k++) {
                const uint32_t n = placement_place(&a, size[i], segment, ROOM);
                REQUIRE(n <= ROOM);
                EXPECT_EQUAL(sum(segment, n), size[i]);
                EXPECT_EQUAL(placement_place(&b, size[i], again, ROOM), n);
                EXPECT(same(segment, again, n));
            }
        }
}

TEST_CASE(placement, contiguous_memory_is_one_segment_and_huge_pages_end_one)
{
    struct placement p = make("contiguous", 0, 1);
    EXPECT_EQUAL(placement_place(&p, 9 << 20, segment, ROOM), 1);
    p = make("hugepages", 0, 1);
    for (unsigned i = 0; i < 100; i++) {
        EXPECT_EQUAL(placement_place(&p, 5 << 20, segment, ROOM), 3);
        EXPECT_EQUAL(segment[0].phys % (2 << 20), 0);
        EXPECT_EQUAL(placement_place(&p, 48 << 10, segment, ROOM), 1);
        EXPECT_EQUAL(segment[0].phys / (2 << 20),
                     (segment[0].phys + segment[0].bytes - 1) / (2 << 20));
    }
}

/* Joined, heap memory has the mean run that was measured: 3.2 thousand requests. */
TEST_CASE(placement, heap_runs_are_as_long_as_measured_and_their_folios_are_pages)
{
    uint64_t runs = 0, segments = 0, single = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct placement p = make("heap", 0, seed);
        for (unsigned i = 0; i < 64; i++) {
            const uint32_t n = placement_place(&p, 128 << 10, segment, ROOM);
            EXPECT_EQUAL(n, 32);
            segments += n;
            for (uint32_t k = 0, length = 1; k < n; k++, length++) {
                EXPECT_EQUAL(segment[k].bytes, 4096);
                if (k + 1 < n && segment[k].phys + 4096 == segment[k + 1].phys)
                    continue;
                runs++;
                single += length == 1;
                length = 0;
            }
        }
    }
    EXPECT(single * 100 > runs * 90);
    EXPECT(segments * 100 / runs > 130); /* Mean pages of a run, by hundredths. */
    EXPECT(segments * 100 / runs < 190);
}

TEST_CASE(placement, buffers_come_round_again_with_the_same_layout)
{
    struct placement p = make("heap", 0, 3);
    const uint32_t n   = placement_place(&p, 64 << 10, segment, ROOM);
    for (unsigned i = 0; i < 63; i++) {
        placement_place(&p, 64 << 10, again, ROOM);
        EXPECT(!same(segment, again, n));
    }
    EXPECT_EQUAL(placement_place(&p, 64 << 10, again, ROOM), n);
    EXPECT(same(segment, again, n));
}

TEST_CASE(placement, unaligned_memory_begins_at_a_sector_inside_a_page_and_has_no_gap)
{
    struct placement p = make("unaligned", 0, 1);
    for (unsigned i = 0; i < 64; i++) {
        const uint32_t n = placement_place(&p, 8192, segment, ROOM);
        EXPECT_EQUAL(n, 3);
        EXPECT(segment[0].phys % 4096 != 0);
        EXPECT_EQUAL(segment[0].phys % 512, 0);
        EXPECT_EQUAL((segment[0].phys + segment[0].bytes) % 4096, 0);
        EXPECT_EQUAL(segment[1].phys % 4096, 0);
        EXPECT_EQUAL(segment[2].phys % 4096, 0);
    }
}

TEST_CASE(placement, cutting_keeps_every_byte_in_order_or_leaves_all_as_it_was)
{
    const struct blk_segment known[] = { { 0x11e00, 0x2300 }, { 0x50000, 0x1000 } };
    struct placement p               = make("captured", 4, 0);
    EXPECT(placement_keeps(&p));
    memcpy(segment, known, sizeof known);
    REQUIRE(placement_cut(&p, segment, 2, ROOM) == 5);
    const struct blk_segment want[] = { { 0x11e00, 0x200 },
                                        { 0x12000, 0x1000 },
                                        { 0x13000, 0x1000 },
                                        { 0x14000, 0x100 },
                                        { 0x50000, 0x1000 } };
    EXPECT(same(segment, want, 5));
    memcpy(segment, known, sizeof known);
    EXPECT_EQUAL(placement_cut(&p, segment, 2, 4), 2);
    EXPECT(same(segment, known, 2));
}
