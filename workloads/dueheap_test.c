/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/dueheap.h"

#include "sim/test/shim.h"

TEST_CASE(dueheap, items_come_out_by_time_and_then_by_number)
{
    struct dueheap h;
    dueheap_init(&h, 64);
    for (uint32_t i = 0; i < 64; i++)
        dueheap_put(&h, i, 1000 + (i * 37) % 8);
    dueheap_put(&h, 5, 2000);       /* Later, */
    dueheap_put(&h, 6, 1);          /* sooner, */
    dueheap_put(&h, 7, TIME_NEVER); /* not at all. */
    EXPECT_EQUAL(dueheap_take(&h, 0), DUEHEAP_NONE);
    EXPECT_EQUAL(dueheap_take(&h, 1), 6);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 61; i++) {
        const sim_time_t due = dueheap_due(&h);
        const uint32_t item  = dueheap_take(&h, TIME_NEVER - 1);
        EXPECT(due << 8 | item);
        EXPECT(last < (due << 8 | item));
        EXPECT_EQUAL(dueheap_item_due(&h, item), TIME_NEVER);
        last = due << 8 | item;
    }
    EXPECT_EQUAL(dueheap_take(&h, 2000), 5);
    EXPECT_EQUAL(dueheap_due(&h), TIME_NEVER);
    dueheap_free(&h);
}
