/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset_riscv_perf - a RISC-V IOMMU as one would build it for throughput: pipelined, with
 * several walkers, walk caches and a large IOTLB, and 64-byte beats on its way to memory.
 *
 * No such implementation has published its figures, so most are chosen: the clock and the
 * system are those of riscv-zdl, so that between the two only the structure differs.
 */
#include "sim/app/preset.h"

#include <stddef.h>

static const struct preset_value values[] = {
    { "iommu.arch=riscv", "RISC-V IOMMU specification 1.0" },
    { "iommu.period_ps=1000", "as riscv-zdl" },
    { "iommu.inflight=64", "chosen: the device's reads and writes under way" },
    { "iommu.queue_entries=64", "chosen" },
    { "iommu.accept_cycles=1", "chosen: one pipeline step, as riscv-zdl" },
    { "iommu.respond_cycles=1", "chosen: one pipeline step, as riscv-zdl" },
    { "iommu.interval_cycles=1", "chosen: fully pipelined" },
    { "context.device_sets=16", "chosen: 64 device contexts" },
    { "context.device_ways=4", "chosen" },
    { "context.process_sets=16", "chosen" },
    { "context.process_ways=4", "chosen" },
    { "context.replacement=plru", "chosen" },
    { "iotlb.sets=64", "chosen: 512 translations" },
    { "iotlb.ways=8", "chosen" },
    { "iotlb.replacement=plru", "chosen: what eight ways can afford" },
    { "walkcache.level0_entries=128", "Fast & Safe (SOSP'24) infers 64 to 128 on servers" },
    { "walkcache.level1_entries=32", "chosen" },
    { "walkcache.level2_entries=16", "chosen" },
    { "walkcache.level3_entries=4", "chosen" },
    { "walkcache.ways=4", "chosen" },
    { "walkcache.replacement=plru", "chosen" },
    { "walker.walkers=8", "chosen: above the 4.2 to 5.4 that pcie-bench sees on servers" },
    { "walker.walks=64", "chosen: one for each translation under way" },
    { "walker.start_cycles=4",
      "chosen: three steps more than riscv-zdl, for the walk caches" },
    { "walker.step_cycles=1", "as riscv-zdl" },
    { "walker.fill_cycles=1", "as riscv-zdl" },
    { "memport.inflight_max=16", "chosen: walkers, context walk and queues" },
    { "memport.arbiter=round_robin", "chosen" },
    { "invq.start_cycles=1", "as riscv-zdl" },
    { "invq.fetch_commands=4", "one 64-byte beat" },
    { "invq.execute_cycles=4", "chosen: the sets of a way are searched in parallel" },
    { "invq.next_cycles=1", "chosen: one pipeline step" },
    { "faultq.depth=16", "chosen" },
    { "riscv.stage1_levels_max=4", "chosen: Sv48" },
    { "riscv.stage2_levels_max=4", "chosen: Sv48x4" },
    { "riscv.napot=1", "specification 6.4: Svnapot is supported" },
    { "riscv.msi_flat=1", "chosen: interrupt files need it" },
    { "riscv.process_contexts=1", "chosen" },
    { "platform.memory_beat_bytes=64", "chosen: a cache line" },
    { NULL, NULL },
};

const struct preset preset_riscv_perf = {
    .name    = "riscv-perf",
    .summary = "A RISC-V IOMMU for throughput: pipelined, eight walkers, walk caches",
    .value   = values,
};
