/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/kernel.h"

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { LATER = 1000000000 };

/* Each CPU has its place beside a block's: what the CPU will never do, the block still
 * does. */
static void panics(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 0; i < r->engine.block_count; i++)
        r->engine.due[i] = r->engine.now + LATER + i;
    kernel_panic(&r->kernel, "no way out of %s", "here");
}

TEST_CASE(kernel, a_panic_ends_its_cpu_and_touches_no_block)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    r->panics            = true;
    kernel_rig_run(r, panics, NULL);
    EXPECT_TEXT(r->panic.text, "no way out of here");
    EXPECT(r->engine.block_count > 0);
    for (unsigned i = 0; i < r->engine.block_count; i++)
        EXPECT_EQUAL(r->engine.due[i], r->engine.now + LATER + i);
    EXPECT_EQUAL(engine_cpu_due(&r->engine, 0), TIME_NEVER);
    kernel_rig_free(r);
}
