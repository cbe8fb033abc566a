/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

int driver_shapes_all(struct device *dev, phys_addr_t memory, phys_addr_t bar);

static void drives(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(driver_shapes_all(&r->device, UINT64_C(0x40000000), 0xd0000000), 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(r->kernel.stats.bounce != 0, r->untrusted);
}

static void run(enum kernel_rig_hardware hardware, const char *policy, bool untrusted,
                bool noncoherent)
{
    struct kernel_rig *r = kernel_rig_new(hardware);
    kernel_rig_policy(r, policy);
    r->untrusted   = untrusted;
    r->noncoherent = noncoherent;
    kernel_rig_run(r, drives, NULL);
    kernel_rig_free(r);
}

TEST_CASE(driver_shapes, every_call_does_what_a_driver_expects_behind_each_device)
{
    run(RIG_DIRECT, "strict", false, false);
    run(RIG_DIRECT, "strict", false, true);
    run(RIG_FAKE, "lazy", false, false);
    run(RIG_FAKE, "strict", false, true);
    run(RIG_FAKE, "lazy", true, false);
    run(RIG_FAKE, "lazy", true, true);
    run(RIG_VTD, "strict", false, false);
    run(RIG_VTD, "lazy", false, false);
    run(RIG_VTD, "strict", true, false);
    run(RIG_VTD, "passthrough", false, false);
}
