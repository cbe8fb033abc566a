/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-mapping.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

static void physical(struct kernel_rig *r, void *state)
{
    struct dma_iova_state iova = { 1, 1 };
    uint64_t pa;
    (void)state;
    EXPECT(r->domain == NULL);
    const unsigned writes = r->tail_writes;
    const dma_addr_t addr = dma_map_phys(&r->device, 0x40000e10, 64, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(addr, 0x40000e10);
    EXPECT(kernel_rig_reach(r, addr, PT_READ | PT_WRITE, &pa));
    EXPECT_EQUAL(pa, addr);
    dma_unmap_phys(&r->device, addr, 64, DMA_TO_DEVICE, 0);
    EXPECT(kernel_rig_reach(r, addr, PT_WRITE, &pa)); /* As ever. */
    EXPECT(!dma_iova_try_alloc(&r->device, &iova, 0, 4096));
    EXPECT(!dma_use_iova(&iova));
    EXPECT(!dma_need_unmap(&r->device));
    EXPECT_EQUAL(dma_get_merge_boundary(&r->device), 0);
    EXPECT_EQUAL(r->tail_writes, writes);
    EXPECT_EQUAL(r->kernel.stats.page_mapped, 0);
}

TEST_CASE(flush_passthrough, addresses_are_physical_and_nothing_is_invalidated)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    kernel_rig_policy(r, "passthrough");
    kernel_rig_run(r, physical, NULL);
    kernel_rig_free(r);
}

TEST_CASE(flush_passthrough, every_policy_is_found_by_its_name_and_says_what_it_promises)
{
    unsigned promises = 0;
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        EXPECT(flush_find(flush_table[i]->name) == flush_table[i]);
        EXPECT_TEXT(flush_member(i), flush_table[i]->name);
        EXPECT(flush_promise_text(flush_table[i]->promise)[0] != '\0');
        EXPECT(flush_table[i]->translates || flush_table[i]->promise == PROMISE_NONE);
        EXPECT(!flush_table[i]->negative || flush_table[i]->promise == PROMISE_NONE);
        promises |= 1u << flush_table[i]->promise;
    }
    EXPECT_EQUAL(promises, (1u << (PROMISE_NONE + 1)) - 1);
    EXPECT(flush_find("ever") == NULL);
}
