/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_per_device - strict for devices that could be hostile, lazy for the others.
 *
 * Which is which is known from where the device is: behind an external port, or inside. A
 * domain is as careful as its most suspicious device.
 */
#include "dma_api/domain.h"

/* clang-format off */
#define PER_DEVICE_PARAMS(P) \
    P(u32, ring_entries, 256, 2, 65536, POW2, "ranges", "Ring of each CPU, of trusted devices; one slot stays empty", "as lazy") \
    P(u32, timeout_us, 10000, 1, 10000000, ANY, "us", "From the first range to the flush, of trusted devices", "as lazy") \
    P(flag, suspicious, 0, 0, 1, ANY, "", "Every device counts as hostile", "to compare")
/* clang-format on */

struct per_device_config {
    PER_DEVICE_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct per_device_config
static const struct param_def per_device_params[]      = { PER_DEVICE_PARAMS(PARAM_ROW)
                                                               PARAM_END };
static const struct param_table per_device_param_table = {
    "per-device", "Strictness by device", per_device_params,
    sizeof(struct per_device_config), NULL
};

static void per_device_rules(const void *config, struct flush_rules *r)
{
    const struct per_device_config *c = config;
    r->batch                          = BATCH_cpu;
    r->grain                          = GRAIN_domain;
    r->ring_entries                   = c->ring_entries;
    r->timeout_ps                     = c->timeout_us * TIME_US;
}

static bool hostile(const struct dma_domain *d, const struct per_device_config *c)
{
    bool any = c->suspicious;
    for (unsigned i = 0; i < d->devices; i++)
        any |= d->device[i]->untrusted;
    return any;
}

static void per_device_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    if (hostile(d, state))
        batch_flush_now(d->batch, range);
    else
        batch_unmap(d->batch, range);
}

const struct flush_policy flush_per_device = {
    .name       = "per-device",
    .summary    = "Strict for untrusted devices, a flush queue for the others",
    .source     = "Linux forces untrusted devices strict; per-device lazy (catalogue 41)",
    .promise    = PROMISE_BOUNDED_TIME,
    .translates = true,
    .params     = &per_device_param_table,
    .rules      = per_device_rules,
    .unmap      = per_device_unmap,
};
