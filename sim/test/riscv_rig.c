/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/riscv_rig.h"

#include <string.h>

enum { ENTRIES = 1 << RISCV_RIG_QUEUE_LG2, RESPONSES = 256 };

void riscv_rig_defaults(struct riscv_rig *r)
{
    memset(&r->settings, 0, sizeof r->settings);
    param_reset(&iommu_param_table, &r->settings.iommu);
    param_reset(&context_param_table, &r->settings.context);
    param_reset(&iotlb_param_table, &r->settings.iotlb);
    param_reset(&walkcache_param_table, &r->settings.walkcache);
    param_reset(&walker_param_table, &r->settings.walker);
    param_reset(&memport_param_table, &r->settings.memport);
    param_reset(&invq_param_table, &r->settings.invq);
    param_reset(&faultq_param_table, &r->settings.faultq);
    param_reset(&riscv_param_table, &r->riscv);
    r->settings.arch            = &r->riscv;
    r->settings.iommu.arch      = "riscv";
    r->settings.iommu.period_ps = RISCV_RIG_PERIOD_PS;
    r->settings.write_ps        = RISCV_RIG_LATENCY * RISCV_RIG_PERIOD_PS;
}

void riscv_rig_open(struct riscv_rig *r)
{
    memset(r, 0, sizeof *r);
    memory_init(&r->memory);
    riscv_rig_defaults(r);
}

void riscv_rig_close(struct riscv_rig *r)
{
    memory_free(&r->memory);
}

void riscv_rig_reset(struct riscv_rig *r)
{
    r->now       = 0;
    r->iommu_due = r->client_due = TIME_NEVER;
    r->tail                      = 0;
    r->channel                   = (struct mem_channel){
                          .latency_ps = RISCV_RIG_LATENCY * RISCV_RIG_PERIOD_PS,
                          .beat_ps    = RISCV_RIG_PERIOD_PS,
                          .beat_bytes = 8,
    };
    iommu_init(&r->iommu, &r->settings, NULL, &r->iommu_due, &r->memory, &r->channel, 1);
    r->client = iommu_attach(&r->iommu, &r->client_due, RESPONSES, false);
}

void riscv_rig_start(struct riscv_rig *r)
{
    riscv_rig_reset(r);
    riscv_rig_write(r, RISCV_CQB, riscv_queue_base(RISCV_RIG_COMMANDS, RISCV_RIG_QUEUE_LG2),
                    8);
    riscv_rig_write(r, RISCV_CQCSR, RISCV_QUEUE_ENABLE, 4);
    riscv_rig_write(r, RISCV_FQB, riscv_queue_base(RISCV_RIG_FAULTS, RISCV_RIG_QUEUE_LG2),
                    8);
    riscv_rig_write(r, RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4);
}

void riscv_rig_stop(struct riscv_rig *r)
{
    iommu_free(&r->iommu);
}

void riscv_rig_write(struct riscv_rig *r, uint32_t offset, uint64_t value, unsigned bytes)
{
    iommu_mmio_ops.write(&r->iommu, offset, value, bytes, r->now);
}

uint64_t riscv_rig_read(struct riscv_rig *r, uint32_t offset, unsigned bytes)
{
    return iommu_mmio_ops.read(&r->iommu, offset, bytes, r->now);
}

void riscv_rig_queue(struct riscv_rig *r, struct riscv_command c)
{
    const uint64_t slot = RISCV_RIG_COMMANDS + (uint64_t)r->tail * RISCV_COMMAND_BYTES;
    memory_write64(&r->memory, slot, c.low);
    memory_write64(&r->memory, slot + 8, c.high);
    r->tail = (r->tail + 1) % ENTRIES;
}

void riscv_rig_ring(struct riscv_rig *r)
{
    riscv_rig_write(r, RISCV_CQT, r->tail, 4);
}

bool riscv_rig_fence(struct riscv_rig *r, uint64_t flags)
{
    r->stamp++;
    riscv_rig_queue(r, riscv_iofence(flags | RISCV_FENCE_AV, RISCV_RIG_STATUS, r->stamp));
    riscv_rig_ring(r);
    while (memory_read32(&r->memory, RISCV_RIG_STATUS) != r->stamp) {
        if (r->iommu_due == TIME_NEVER)
            return false;
        riscv_rig_run(r, r->iommu_due);
    }
    return true;
}

void riscv_rig_submit(struct riscv_rig *r, const struct iommu_request *request)
{
    CHECK(iommu_ready(&r->iommu, r->client));
    *iommu_request(&r->iommu) = *request;
    iommu_submit(&r->iommu, r->client, r->now);
}

void riscv_rig_run(struct riscv_rig *r, sim_time_t until)
{
    while (r->iommu_due <= until) {
        r->now = r->iommu_due;
        iommu_step(&r->iommu, r->now);
    }
    r->now = until;
}

void riscv_rig_settle(struct riscv_rig *r)
{
    while (r->iommu_due != TIME_NEVER)
        riscv_rig_run(r, r->iommu_due);
}

bool riscv_rig_next(struct riscv_rig *r, struct iommu_response *response)
{
    const struct iommu_response *taken;
    sim_time_t next;
    while ((taken = iommu_take(&r->iommu, r->client, r->now, &next)) == NULL) {
        const sim_time_t due = time_min(r->iommu_due, next);
        if (due == TIME_NEVER)
            return false;
        riscv_rig_run(r, due);
    }
    *response = *taken;
    return true;
}

bool riscv_rig_translate(struct riscv_rig *r, const struct iommu_request *request,
                         struct iommu_response *response)
{
    riscv_rig_submit(r, request);
    return riscv_rig_next(r, response);
}

bool riscv_rig_fault(struct riscv_rig *r, uint64_t record[4])
{
    const uint32_t head = (uint32_t)riscv_rig_read(r, RISCV_FQH, 4);
    if (head == (uint32_t)riscv_rig_read(r, RISCV_FQT, 4))
        return false;
    for (unsigned i = 0; i < 4; i++)
        record[i] = memory_read64(
            &r->memory, RISCV_RIG_FAULTS + (uint64_t)head * RISCV_FAULT_BYTES + 8 * i);
    riscv_rig_write(r, RISCV_FQH, (head + 1) % ENTRIES, 4);
    return true;
}
