/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/iommu.h"

#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, DOMAIN = 4, L = RIG_LATENCY };

static struct rig rig;
static struct iommu_response answer;

static uint64_t start_with_page(unsigned levels)
{
    rig_start(&rig);
    const uint64_t root = rig_attach(&rig, DEVICE, DOMAIN, levels);
    rig_map(&rig, root, levels, 0xfff00000, 0x12345000, 12, PT_READ | PT_WRITE);
    return root;
}

/* accept 1, context miss: start 1, two reads of L and a step between, fill 2, and so on. */
TEST_CASE(iommu, the_first_translation_pays_for_context_and_walk_to_the_cycle)
{
    rig_defaults(&rig);
    start_with_page(4);
    const struct iommu_settings *s = &rig.settings;
    const cycle_t context =
        s->context.start_cycles + L + s->context.step_cycles + L + s->context.fill_cycles;
    const cycle_t walk =
        s->walker.start_cycles + 4 * L + 3 * s->walker.step_cycles + s->walker.fill_cycles;
    const cycle_t ends = s->iommu.accept_cycles + s->iommu.respond_cycles;
    EXPECT_EQUAL(rig_translate(&rig, DEVICE, 0xfff00123, PT_READ, &answer),
                 ends + context + walk);
    EXPECT_EQUAL(answer.pa, 0x12345123);
    EXPECT_EQUAL(answer.outcome, XLATE_walked);
    EXPECT_EQUAL(answer.reads, 2 + 4);
    EXPECT_EQUAL(answer.part[XLATE_PART_context], context);

    /* Again: a hit. */
    EXPECT_EQUAL(rig_translate(&rig, DEVICE, 0xfff00456, PT_WRITE, &answer), ends);
    EXPECT_EQUAL(answer.pa, 0x12345456);
    EXPECT_EQUAL(answer.outcome, XLATE_hit);
    rig_stop(&rig);
}
