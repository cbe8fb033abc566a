/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rig.h"

#include <string.h>

enum { QUEUE_LG2 = 8 };

void rig_defaults(struct rig *r)
{
    memset(r, 0, sizeof *r);
    memory_init(&r->memory);
    param_reset(&iommu_param_table, &r->settings.iommu);
    param_reset(&context_param_table, &r->settings.context);
    param_reset(&iotlb_param_table, &r->settings.iotlb);
    param_reset(&walkcache_param_table, &r->settings.walkcache);
    param_reset(&walker_param_table, &r->settings.walker);
    param_reset(&memport_param_table, &r->settings.memport);
    param_reset(&invq_param_table, &r->settings.invq);
    param_reset(&vtd_param_table, &r->vtd);
    r->settings.arch            = &r->vtd;
    r->settings.iommu.period_ps = RIG_PERIOD_PS;
    r->settings.write_ps        = RIG_LATENCY * RIG_PERIOD_PS;
    r->vtd.handshake_cycles     = 0;
    r->channel = (struct mem_channel){ RIG_LATENCY * RIG_PERIOD_PS, RIG_PERIOD_PS, 64, 0 };
    r->next_page = 0x10000000;
}

uint64_t rig_page(struct rig *r)
{
    const uint64_t page = r->next_page;
    r->next_page += 4096;
    return page;
}

static void reg(struct rig *r, uint32_t offset, uint64_t value, unsigned bytes)
{
    iommu_mmio_ops.write(&r->iommu, offset, value, bytes, r->now);
}

void rig_start(struct rig *r)
{
    r->iommu_due = r->client_due = TIME_NEVER;
    iommu_init(&r->iommu, &r->settings, NULL, &r->iommu_due, &r->memory, &r->channel, 1);
    r->client   = iommu_attach(&r->iommu, &r->client_due, 4096, false);
    r->root     = rig_page(r);
    r->status   = rig_page(r);
    r->queue    = rig_page(r);
    r->scalable = r->vtd.scalable;
    if (r->scalable)
        rig_page(r); /* The queue has two. */
    reg(r, VTD_RTADDR, r->root | (r->scalable ? VTD_RTADDR_SCALABLE : 0), 8);
    reg(r, VTD_GCMD, VTD_G_RTP, 4);
    reg(r, VTD_IQA,
        r->scalable ? vtd_iqa(r->queue, 1) | VTD_IQA_DW : vtd_iqa(r->queue, QUEUE_LG2 - 8),
        8);
    reg(r, VTD_GCMD, VTD_G_QI, 4);
    reg(r, VTD_GCMD, VTD_G_QI | VTD_G_TE, 4);
}

void rig_stop(struct rig *r)
{
    iommu_free(&r->iommu);
    memory_free(&r->memory);
}

static uint64_t context_entry(struct rig *r, unsigned requester)
{
    const uint64_t entry = r->root + (uint64_t)(requester >> 8) * VTD_ROOT_BYTES;
    if (!(memory_read64(&r->memory, entry) & VTD_PRESENT))
        memory_write64(&r->memory, entry, rig_page(r) | VTD_PRESENT);
    return (memory_read64(&r->memory, entry) & VTD_TABLE_MASK)
           + (uint64_t)(requester & 0xff) * VTD_CONTEXT_BYTES;
}

uint64_t rig_attach(struct rig *r, unsigned requester, unsigned domain, unsigned levels)
{
    const uint64_t entry = context_entry(r, requester);
    const uint64_t root  = rig_page(r);
    memory_write64(&r->memory, entry + 8, vtd_context_high(levels - 2, domain));
    memory_write64(&r->memory, entry, root | VTD_PRESENT);
    return root;
}

void rig_pass_through(struct rig *r, unsigned requester, unsigned domain)
{
    const uint64_t entry = context_entry(r, requester);
    memory_write64(&r->memory, entry + 8, vtd_context_high(2, domain));
    memory_write64(&r->memory, entry,
                   VTD_PRESENT | VTD_CONTEXT_TT((uint64_t)VTD_TT_PASS_THROUGH));
}

static uint64_t entry_as(struct rig *r, const struct pt_format *f, uint64_t root,
                         unsigned levels, uint64_t iova, unsigned level)
{
    uint64_t table = root;
    for (unsigned at = levels - 1; at > level; at--) {
        const uint64_t entry = table + pt_entry_offset(f, at, at == levels - 1, iova);
        if (memory_read64(&r->memory, entry) == 0)
            memory_write64(&r->memory, entry, f->encode_table(rig_page(r)));
        table = memory_read64(&r->memory, entry) & VTD_TABLE_MASK;
    }
    return table + pt_entry_offset(f, level, level == levels - 1, iova);
}

uint64_t rig_entry(struct rig *r, uint64_t root, unsigned levels, uint64_t iova,
                   unsigned level)
{
    return entry_as(r, ptfmt_find("vtdss"), root, levels, iova, level);
}

static void map_as(struct rig *r, const struct pt_format *f, uint64_t root, unsigned levels,
                   uint64_t iova, uint64_t pa, unsigned page_lg2, unsigned prot)
{
    const unsigned level = pt_leaf_level(f, page_lg2);
    const uint64_t entry = entry_as(r, f, root, levels, iova, level);
    memory_write64(&r->memory, entry,
                   prot == 0 ? 0 : f->encode_leaf(pa, level, page_lg2, (uint8_t)prot));
}

void rig_map(struct rig *r, uint64_t root, unsigned levels, uint64_t iova, uint64_t pa,
             unsigned page_lg2, unsigned prot)
{
    map_as(r, ptfmt_find("vtdss"), root, levels, iova, pa, page_lg2, prot);
}

void rig_map_first(struct rig *r, uint64_t root, unsigned levels, uint64_t iova,
                   uint64_t pa, unsigned page_lg2, unsigned prot)
{
    map_as(r, ptfmt_find("x86"), root, levels, iova, pa, page_lg2, prot);
}

/* The address in an entry, made when there is none. */
static uint64_t table_at(struct rig *r, uint64_t entry)
{
    if (memory_read64(&r->memory, entry) == 0)
        memory_write64(&r->memory, entry, rig_page(r) | VTD_PRESENT);
    return memory_read64(&r->memory, entry) & VTD_TABLE_MASK;
}

static uint64_t context_at(struct rig *r, unsigned requester)
{
    const unsigned function = requester & 0xff, upper = function >= 128;
    const uint64_t root = r->root + (uint64_t)(requester >> 8) * VTD_ROOT_BYTES + 8 * upper;
    return table_at(r, root) + (uint64_t)(function % 128) * VTD_SM_CONTEXT_BYTES;
}

uint64_t rig_context(struct rig *r, unsigned requester, uint64_t low, uint64_t high)
{
    const uint64_t at = context_at(r, requester);
    memory_write64(&r->memory, at, rig_page(r) | low | VTD_PRESENT);
    memory_write64(&r->memory, at + 8, high);
    return at;
}

uint64_t rig_pasid(struct rig *r, unsigned requester, unsigned pasid, uint64_t low,
                   uint64_t domain, uint64_t first)
{
    const uint64_t context = memory_read64(&r->memory, context_at(r, requester));
    const uint64_t dir     = (context & VTD_TABLE_MASK) + 8 * (uint64_t)(pasid >> 6);
    const uint64_t at      = table_at(r, dir) + (uint64_t)(pasid & 63) * VTD_PASID_BYTES;
    memory_write64(&r->memory, at, low);
    memory_write64(&r->memory, at + 8, domain);
    memory_write64(&r->memory, at + 16, first);
    return at;
}

void rig_queue(struct rig *r, struct vtd_descriptor d)
{
    const uint64_t slot =
        r->queue + (uint64_t)r->tail * (VTD_IQ_ENTRY_BYTES << r->scalable);
    memory_write64(&r->memory, slot, d.low);
    memory_write64(&r->memory, slot + 8, d.high);
    r->tail = (r->tail + 1) % (1 << QUEUE_LG2);
}

void rig_ring(struct rig *r)
{
    reg(r, VTD_IQT, (uint64_t)r->tail << (VTD_IQ_ENTRY_LG2 + r->scalable), 8);
}

sim_time_t rig_wait(struct rig *r)
{
    const sim_time_t began = r->now;
    memory_write32(&r->memory, r->status, 0);
    rig_queue(r, vtd_inv_wait(r->status, 2));
    rig_ring(r);
    while (memory_read32(&r->memory, r->status) != 2) {
        if (r->iommu_due == TIME_NEVER)
            return TIME_NEVER;
        rig_run(r, r->iommu_due);
    }
    return r->now - began;
}

void rig_submit(struct rig *r, unsigned requester, uint64_t iova, unsigned access,
                uint32_t id)
{
    CHECK(iommu_ready(&r->iommu, r->client));
    *iommu_request(&r->iommu) = (struct iommu_request){
        .iova = iova, .id = id, .requester = requester, .access = (uint8_t)access
    };
    iommu_submit(&r->iommu, r->client, r->now);
}

void rig_run(struct rig *r, sim_time_t until)
{
    while (r->iommu_due <= until) {
        r->now = r->iommu_due;
        iommu_step(&r->iommu, r->now);
    }
    r->now = until;
}

bool rig_next(struct rig *r, struct iommu_response *response)
{
    const struct iommu_response *taken;
    sim_time_t next;
    while ((taken = iommu_take(&r->iommu, r->client, r->now, &next)) == NULL) {
        const sim_time_t due = time_min(r->iommu_due, next);
        if (due == TIME_NEVER)
            return false;
        rig_run(r, due);
    }
    *response = *taken;
    return true;
}

cycle_t rig_translate(struct rig *r, unsigned requester, uint64_t iova, unsigned access,
                      struct iommu_response *response)
{
    const sim_time_t began = r->now;
    rig_submit(r, requester, iova, access, 0);
    return rig_next(r, response) ? (r->now - began) / RIG_PERIOD_PS : CYCLE_NEVER;
}
