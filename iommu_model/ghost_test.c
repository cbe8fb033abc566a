/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/ghost.h"

#include "sim/test/shim.h"

static struct ghosts ghosts;

static bool add(uint64_t first, unsigned lg2, uint64_t target)
{
    const struct ghost g = {
        .first = first, .space = 9, .target = target, .lg2 = (uint8_t)lg2
    };
    return ghosts_add(&ghosts, &g);
}

TEST_CASE(ghost, is_taken_once_and_only_for_what_it_was)
{
    ghosts_init(&ghosts, 10);
    EXPECT(!add(0x5000, 12, 0x77000));
    EXPECT(!ghosts_take(&ghosts, 8, 0x5000, 12, 0x77000));
    EXPECT(!ghosts_take(&ghosts, 9, 0x6000, 12, 0x77000));
    EXPECT(!ghosts_take(&ghosts, 9, 0x5000, 21, 0x77000));
    EXPECT(!ghosts_take(&ghosts, 9, 0x5000, 12, 0x78000)); /* Another mapping by now. */
    EXPECT(ghosts_take(&ghosts, 9, 0x5000, 12, 0x77000));
    EXPECT(!ghosts_take(&ghosts, 9, 0x5000, 12, 0x77000));
    EXPECT_EQUAL(ghosts.count, 0);
    ghosts_free(&ghosts);
}

TEST_CASE(ghost, ranges_and_targets_are_forgotten_and_others_stay)
{
    for (unsigned wide = 0; wide < 2;
         wide++) { /* Narrow ranges are probed, wide ones not. */
        ghosts_init(&ghosts, 10);
        add(0x200000, 21, 0x40000000);
        for (uint64_t page = 1; page < 9; page++)
            add(page << 12, 12, page << 20);
        ghosts_forget(&ghosts, 8, 0, UINT64_MAX);
        EXPECT_EQUAL(ghosts.count, 9);
        ghosts_forget(&ghosts, 9, 0x3000, wide ? UINT64_MAX >> 12 : 0x5fff);
        EXPECT_EQUAL(ghosts.count, wide ? 2 : 6);
        ghosts_forget(&ghosts, 9, 0x234567, 0x234567);
        EXPECT_EQUAL(ghosts.count, wide ? 2 : 5);
        ghosts_forget_target(&ghosts, 1 << 20);
        EXPECT_EQUAL(ghosts.count, wide ? 1 : 4);
        EXPECT(ghosts_take(&ghosts, 9, 0x2000, 12, 2 << 20));
        ghosts_free(&ghosts);
    }
}

TEST_CASE(ghost, a_newer_one_takes_the_place_and_says_so)
{
    ghosts_init(&ghosts, 1);
    unsigned forgotten = 0;
    for (uint64_t page = 0; page < 100; page++)
        forgotten += add(page << 12, 12, page << 20);
    EXPECT_EQUAL(forgotten + ghosts.count, 100);
    EXPECT(ghosts_take(&ghosts, 9, 99 << 12, 12, 99 << 20)); /* The newest is there. */
    ghosts_free(&ghosts);
}
