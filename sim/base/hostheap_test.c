/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/hostheap.h"

#include <stdalign.h>
#include <string.h>

#include "sim/test/shim.h"

static struct hostheap heap, other;

TEST_CASE(hostheap, what_is_taken_is_zero_aligned_and_counted)
{
    for (size_t bytes = 1; bytes < 200; bytes += 13) {
        const unsigned char *memory = hostheap_take(&heap, 3, bytes, "me");
        EXPECT((uintptr_t)memory % alignof(max_align_t) == 0);
        for (size_t i = 0; i < 3 * bytes; i++)
            EXPECT_EQUAL(memory[i], 0);
    }
    EXPECT_EQUAL(heap.out, 16);
    hostheap_release(&heap);
    EXPECT_EQUAL(heap.out, 0);
}

TEST_CASE(hostheap, blocks_come_back_in_any_order)
{
    enum { BLOCKS = 64 };
    void *block[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = memset(hostheap_take(&heap, 1, 8, "me"), 0xff, 8);
    for (unsigned i = 0; i < BLOCKS; i++) /* 37 is odd: every block once. */
        hostheap_give_back(&heap, block[i * 37 % BLOCKS]);
    hostheap_give_back(&heap, NULL);
    EXPECT_EQUAL(heap.out, 0);
    EXPECT(hostheap_taker(&heap) == NULL);
}

TEST_CASE(hostheap, the_taker_of_what_is_missing_is_known)
{
    void *first = hostheap_take(&heap, 1, 8, "first");
    hostheap_take(&heap, 1, 8, "second");
    hostheap_give_back(&heap, first);
    EXPECT_TEXT(hostheap_taker(&heap), "second");
    hostheap_release(&heap);
    EXPECT(hostheap_taker(&heap) == NULL);
}

static void give_to_other(void *memory)
{
    hostheap_give_back(&other, memory);
}

TEST_CASE(hostheap, a_block_of_another_heap_is_a_violation)
{
    void *memory = hostheap_take(&heap, 1, 8, "me");
    EXPECT_DIES(give_to_other, memory, "b->heap == heap");
    hostheap_release(&heap);
}
