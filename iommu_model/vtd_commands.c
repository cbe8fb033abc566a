/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtd_commands - the descriptors of VT-d's invalidation queue.
 *
 * Source: Intel VT-d architecture specification, 6.5.2. In scalable mode the context cache
 * and the cache of PASID table entries are invalidated apart, and a page-selective
 * descriptor without PASID is about second-stage translations: of both stages at once those
 * go whose guest-physical address it names.
 *
 * Inaccuracies: the function mask of a context-cache invalidation is ignored, as Linux does
 * not use it; so is the physical function of a device-TLB invalidation.
 */
#include "iommu_model/vtd.h"

enum { DEPTH_MAX = 32 };

static void illegal(struct iommu_command *c, enum vtd_queue_error error)
{
    c->kind  = COMMAND_ILLEGAL;
    c->error = (uint16_t)error;
}

static bool drop_of_requester(const void *arg, const struct context_entry *e)
{
    const uint64_t *wanted = arg;
    return (uint32_t)e->key == wanted[0];
}

static bool drop_of_domain(const void *arg, const struct context_entry *e)
{
    const uint64_t *wanted = arg;
    return space_domain(e->context.space) == wanted[0];
}

static bool drop_all(const void *arg, const struct context_entry *e)
{
    (void)arg;
    (void)e;
    return true;
}

static bool drop_of_pasid(const void *arg, const struct context_entry *e)
{
    const uint64_t *wanted = arg;
    return space_domain(e->context.space) == wanted[0] && e->key >> 32 == wanted[1];
}

/* Context-cache invalidate (6.5.2.1). The entries of scalable mode have no domain, and all
 * go where one is named. */
static void decode_context(const struct vtd *v, struct vtd_descriptor d,
                           struct iommu_command *c)
{
    c->kind        = COMMAND_CONTEXT;
    c->device_only = vtd_scalable(v);
    switch (vtd_inv_granularity(d)) {
    case VTD_GLOBAL:
        c->drop_context = drop_all;
        return;
    case VTD_DOMAIN:
        c->drop_context   = vtd_scalable(v) ? drop_all : drop_of_domain;
        c->context_arg[0] = vtd_inv_domain(d);
        return;
    case VTD_DEVICE:
        c->drop_context   = drop_of_requester;
        c->context_arg[0] = vtd_inv_requester(d);
        return;
    default:
        illegal(c, VTD_IQEI_RESERVED);
        return;
    }
}

static void select_pages(struct iommu_command *c, uint64_t high)
{
    const unsigned am     = (unsigned)(high & 0x3f);
    c->selector.first     = align_down(high, 12 + am);
    c->selector.last      = c->selector.first | mask_lg2(12 + am);
    c->selector.leaf_only = high & VTD_INV_IH;
}

/* IOTLB invalidate (6.5.2.3). */
static void decode_iotlb(const struct vtd *v, struct vtd_descriptor d,
                         struct iommu_command *c)
{
    const unsigned am = (unsigned)(d.high & 0x3f);
    c->kind           = COMMAND_IOTLB;
    c->drain          = v->config->drain && (d.low & (VTD_INV_DR | VTD_INV_DW));
    c->selector       = (struct inv_selector){ .last = UINT64_MAX };
    if (vtd_inv_granularity(d) == VTD_GLOBAL)
        return;
    c->selector.mask  = SPACE_DOMAIN_MASK;
    c->selector.value = vtd_inv_domain(d);
    if (vtd_inv_granularity(d) == VTD_DOMAIN)
        return;
    if (vtd_inv_granularity(d) != VTD_PAGE || !v->config->page_selective
        || am > v->config->mamv) {
        illegal(c, VTD_IQEI_RESERVED);
        return;
    }
    if (vtd_scalable(v)) {
        c->selector.mask |= SPACE_STAGE_2;
        c->selector.value |= SPACE_STAGE_2;
        c->selector.by_guest = v->config->nested;
    }
    select_pages(c, d.high);
}

/* PASID-based IOTLB invalidate (6.5.2.4): what the first stage has a part in. */
static void decode_pasid_iotlb(const struct vtd *v, struct vtd_descriptor d,
                               struct iommu_command *c)
{
    const bool page = vtd_inv_granularity(d) == VTD_PAGE;
    c->kind         = COMMAND_IOTLB;
    c->drain        = v->config->drain; /* It always does. */
    c->selector     = (struct inv_selector){
            .mask  = SPACE_DOMAIN_MASK | SPACE_PROCESS_MASK | SPACE_STAGE_1,
            .value = space_make(vtd_inv_domain(d), vtd_inv_pasid(d), STAGE_1),
            .last  = UINT64_MAX
    };
    if (!page && vtd_inv_granularity(d) != VTD_DOMAIN)
        illegal(c, VTD_IQEI_RESERVED);
    else if (page && (d.high & 0x3f) > v->config->mamv)
        illegal(c, VTD_IQEI_RESERVED);
    else if (page)
        select_pages(c, d.high);
}

/* PASID-cache invalidate (6.5.2.2). */
static void decode_pasid_cache(struct vtd_descriptor d, struct iommu_command *c)
{
    c->kind           = COMMAND_CONTEXT;
    c->process_only   = true;
    c->context_arg[0] = vtd_inv_domain(d);
    c->context_arg[1] = vtd_inv_pasid(d);
    switch (vtd_inv_granularity(d)) {
    case VTD_PASID_CACHE_DOMAIN:
        c->drop_context = drop_of_domain;
        return;
    case VTD_PASID_CACHE_PASID:
        c->drop_context = drop_of_pasid;
        return;
    case VTD_PASID_CACHE_GLOBAL:
        c->drop_context = drop_all;
        return;
    default:
        illegal(c, VTD_IQEI_RESERVED);
        return;
    }
}

static void select_device(struct iommu_command *c, uint64_t depth, uint64_t range, bool s)
{
    const unsigned lg2 = ats_range_lg2(range, s);
    c->kind            = COMMAND_DEVICE;
    c->device_depth    = (uint8_t)(depth == 0 ? DEPTH_MAX : depth);
    c->device.first    = align_down(range, lg2);
    c->device.last     = c->device.first | mask_lg2(lg2);
}

/* Device-TLB invalidate (6.5.2.5). */
static void decode_device(struct vtd_descriptor d, struct iommu_command *c)
{
    select_device(c, bits_get(d.low, 20, 16), d.high & VTD_TABLE_MASK_INV,
                  d.high & VTD_INV_S);
    c->device.requester = (uint16_t)vtd_inv_requester(d);
}

/* PASID-based device-TLB invalidate (6.5.2.6). */
static void decode_pasid_device(struct vtd_descriptor d, struct iommu_command *c)
{
    select_device(c, bits_get(d.low, 8, 4), d.high & VTD_TABLE_MASK_INV, d.high & ATS_S);
    c->device.requester = (uint16_t)bits_get(d.low, 31, 16);
    c->device.has_pasid = true;
    c->device.pasid     = vtd_inv_pasid(d);
    c->device.global    = d.high & 1;
}

/* Invalidation wait (6.5.2.8). Nobody claims a write beyond memory: it is lost. */
static void decode_wait(const struct iommu *m, struct vtd_descriptor d,
                        struct iommu_command *c)
{
    c->kind          = COMMAND_WAIT;
    c->status_pa     = d.high & ~UINT64_C(3);
    c->status        = d.low >> 32;
    c->status_bytes  = 4;
    c->interrupts    = d.low & VTD_WAIT_IF;
    c->writes_status = (d.low & VTD_WAIT_SW) && c->status_pa <= m->pa_last;
}

/* Bits that no field of a descriptor has, by type. The type's upper bits are not among
 * them: with one of them it is another type. */
static const struct {
    uint64_t low, high;
} reserved_of[] = {
    [VTD_INV_CONTEXT]      = { UINT64_C(0xfffc00000000f1c0), UINT64_MAX },
    [VTD_INV_IOTLB]        = { UINT64_C(0xffffffff0000f100), UINT64_C(0xf80) },
    [VTD_INV_DEVTLB]       = { UINT64_C(0x000f0000ffe001f0), UINT64_C(0xffe) },
    [VTD_INV_IEC]          = { UINT64_C(0xffff000007fff1e0), UINT64_MAX },
    [VTD_INV_WAIT]         = { UINT64_C(0x00000000fffff180), UINT64_C(0x3) },
    [VTD_INV_PASID_IOTLB]  = { UINT64_C(0xfff000000000f1c0), UINT64_C(0xf80) },
    [VTD_INV_PASID_CACHE]  = { UINT64_C(0xfff000000000f1c0), UINT64_MAX },
    [VTD_INV_PASID_DEVTLB] = { 0, UINT64_C(0x7fe) },
};

/* What is wrong with a descriptor whatever its type means. */
static enum vtd_queue_error malformed(const struct iommu *m, const uint64_t *words)
{
    const unsigned type = (unsigned)bits_get(words[0], 11, 9) << 4
                          | vtd_inv_type((struct vtd_descriptor){ words[0], words[1] });
    const bool wide = m->invq.entry_bytes > VTD_IQ_ENTRY_BYTES;
    if (vtd_scalable(vtd_front(m)) && !wide)
        return VTD_IQEI_WIDTH;
    if (type == 0 || type > VTD_INV_PASID_DEVTLB)
        return VTD_IQEI_TYPE;
    if ((words[0] & reserved_of[type].low) || (words[1] & reserved_of[type].high)
        || (wide && (words[2] != 0 || words[3] != 0)))
        return VTD_IQEI_RESERVED;
    return VTD_IQEI_NONE;
}

void vtd_decode(struct iommu *m, const uint64_t *words, struct iommu_command *c)
{
    const struct vtd *v           = m->front;
    const struct vtd_descriptor d = { words[0], words[1] };
    const unsigned type           = vtd_inv_type(d);
    const enum vtd_queue_error e  = malformed(m, words);
    if (e != VTD_IQEI_NONE)
        illegal(c, e);
    else if (type == VTD_INV_CONTEXT)
        decode_context(v, d, c);
    else if (type == VTD_INV_IOTLB)
        decode_iotlb(v, d, c);
    else if (type == VTD_INV_WAIT)
        decode_wait(m, d, c);
    else if (type == VTD_INV_IEC)
        c->kind = COMMAND_NOTHING; /* Nothing is cached: interrupts are not remapped. */
    else if (type == VTD_INV_DEVTLB && v->config->device_tlb)
        decode_device(d, c);
    else if (type == VTD_INV_PASID_IOTLB && vtd_scalable(v))
        decode_pasid_iotlb(v, d, c);
    else if (type == VTD_INV_PASID_CACHE && vtd_scalable(v))
        decode_pasid_cache(d, c);
    else if (type == VTD_INV_PASID_DEVTLB && vtd_scalable(v) && v->config->device_tlb)
        decode_pasid_device(d, c);
    else
        illegal(c, VTD_IQEI_TYPE);
}
