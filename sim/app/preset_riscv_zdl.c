/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset_riscv_zdl - an open RISC-V IOMMU in RTL, to the cycle.
 *
 * The micro-architecture of zero-day-labs/riscv-iommu at commit 18ad30a, as measured in
 * simulation of its RTL; `iovasim rtl-check` holds it against those recordings. One request
 * at a time, no walk caches, caches of four entries as its top level has them.
 */
#include "sim/app/preset.h"

#include <stddef.h>

#define RTL "measured: RTL simulation of commit 18ad30a"

static const struct preset_value values[] = {
    { "iommu.arch=riscv", RTL },
    { "iommu.period_ps=1000", "chosen: the RTL has no clock of its own" },
    { "iommu.inflight=1", RTL },
    { "iommu.accept_cycles=1", RTL },
    { "iommu.respond_cycles=1", RTL },
    { "iommu.turnaround_cycles=1", RTL },
    { "iommu.relookup=1", RTL },
    { "iommu.read_priority=1", RTL },
    { "context.device_sets=1", RTL },
    { "context.device_ways=4", "its top level's default" },
    { "context.process_sets=1", RTL },
    { "context.process_ways=4", "its top level's default" },
    { "context.replacement=plru", RTL },
    { "context.prefer_invalid=0", RTL },
    { "context.touch_on_fill=0", RTL },
    { "context.start_cycles=1", RTL },
    { "context.step_cycles=1", RTL },
    { "context.fill_cycles=2", RTL },
    { "context.fault_cycles=1", RTL },
    { "context.fill_after_flush=1", RTL },
    { "context.refetch=1", RTL },
    { "iotlb.sets=1", RTL },
    { "iotlb.ways=4", "its top level's default" },
    { "iotlb.replacement=plru", RTL },
    { "iotlb.prefer_invalid=0", RTL },
    { "iotlb.touch_on_fill=0", RTL },
    { "walkcache.level0_entries=0", RTL },
    { "walkcache.level1_entries=0", RTL },
    { "walkcache.level2_entries=0", RTL },
    { "walkcache.level3_entries=0", RTL },
    { "walker.walkers=1", RTL },
    { "walker.walks=1", RTL },
    { "walker.start_cycles=1", RTL },
    { "walker.step_cycles=1", RTL },
    { "walker.fill_cycles=1", RTL },
    { "walker.fill_denied=1", RTL },
    { "walker.fill_after_flush=1", RTL },
    { "walker.fill_yields=1", RTL },
    { "memport.inflight_max=3", RTL },
    { "memport.arbiter=tree", RTL },
    { "invq.start_cycles=1", RTL },
    { "invq.fetch_commands=1", RTL },
    { "invq.execute_cycles=1", RTL },
    { "invq.next_cycles=2", RTL },
    { "invq.write_cycles=2", RTL },
    { "invq.early_head=1", RTL },
    { "invq.write_waits=1", RTL },
    { "faultq.depth=4", RTL },
    { "faultq.issue_cycles=5", RTL },
    { "faultq.complete_cycles=1", RTL },
    { "faultq.drops=1", RTL },
    { "riscv.stage1_levels_max=3", RTL },
    { "riscv.stage2_levels_max=3", RTL },
    { "riscv.napot=0", RTL },
    { "riscv.msi_flat=0", "its top level's default" },
    { "riscv.process_contexts=0", "its top level's default" },
    { "riscv.hpm_counters=0", "its top level's default" },
    { "riscv.recheck_dirty=0", RTL },
    { "riscv.read_reserved=0", RTL },
    { "riscv.fence_drains=0", RTL },
    { "linux.svnapot=0", "it walks no 64 KiB leaves, and no capability could say so" },
    { NULL, NULL },
};

const struct preset preset_riscv_zdl = {
    .name = "riscv-zdl",
    .summary =
        "An open RISC-V IOMMU in RTL, to the cycle: one request at a time, no walk caches",
    .value = values,
};
