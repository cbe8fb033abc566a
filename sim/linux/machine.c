/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/machine.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/vtd_spec.h"

enum { ONE_WAY_PS = 100000 };

/* ---- The unit
 * ------------------------------------------------------------------------------- */

static struct rec_inv iotlb(struct vtd_descriptor d)
{
    const unsigned g = vtd_inv_granularity(d);
    if (g == VTD_GLOBAL)
        return (struct rec_inv){ .kind = INV_global };
    if (g == VTD_DOMAIN)
        return (struct rec_inv){ .kind = INV_domain, .id = vtd_inv_domain(d) };
    return (struct rec_inv){ .kind = INV_page,
                             .id   = vtd_inv_domain(d),
                             .addr = d.high & VTD_TABLE_MASK_INV,
                             .am   = (uint8_t)bits_get(d.high, 5, 0),
                             .hint = (d.high & VTD_INV_IH) != 0 };
}

static struct rec_inv pasid_iotlb(struct vtd_descriptor d)
{
    struct rec_inv i = { .kind  = INV_pasid,
                         .id    = vtd_inv_domain(d),
                         .pasid = (uint32_t)bits_get(d.low, 51, 32) };
    if (vtd_inv_granularity(d) != VTD_PAGE)
        return i;
    i.kind = INV_pasid_page;
    i.addr = d.high & VTD_TABLE_MASK_INV;
    i.am   = (uint8_t)bits_get(d.high, 5, 0);
    i.hint = (d.high & VTD_INV_IH) != 0;
    return i;
}

static void note(struct machine *m, struct rec_inv inv)
{
    if (m->logged < MACHINE_LOG_MAX)
        m->log[m->logged++] = inv;
}

static void execute(struct machine *m, struct vtd_descriptor d)
{
    switch (vtd_inv_type(d)) {
    case VTD_INV_IOTLB:
        note(m, iotlb(d));
        return;
    case VTD_INV_PASID_IOTLB:
        note(m, pasid_iotlb(d));
        return;
    case VTD_INV_DEVTLB:
        note(m, (struct rec_inv){ .kind = INV_device,
                                  .id   = vtd_inv_requester(d),
                                  .addr = d.high & VTD_TABLE_MASK_INV,
                                  .hint = d.high & 1 });
        return;
    case VTD_INV_WAIT:
        if (d.low & VTD_WAIT_SW) {
            const uint32_t data = (uint32_t)(d.low >> 32);
            memory_device_write(&m->memory, d.high, &data, sizeof data);
        }
        return;
    default: /* Context and PASID caches: not part of any recorded call. */
        return;
    }
}

static void run_queue(struct machine *m, uint64_t tail)
{
    const unsigned entry = m->queue & VTD_IQA_DW ? 5u : 4u;
    const uint64_t base  = m->queue & VTD_TABLE_MASK;
    const uint64_t bytes = UINT64_C(4096) << bits_get(m->queue, 2, 0);
    while (m->head != tail) {
        const struct vtd_descriptor d = { memory_read64(&m->memory, base + m->head),
                                          memory_read64(&m->memory, base + m->head + 8) };
        execute(m, d);
        m->head = (m->head + (UINT64_C(1) << entry)) % bytes;
    }
}

static void unit_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                       sim_time_t now)
{
    struct machine *m = self;
    (void)bytes;
    (void)now;
    if (offset == VTD_GCMD)
        m->status = (uint32_t)value & ~VTD_G_WBF; /* Everything at once. */
    else if (offset == VTD_IQA)
        m->queue = value;
    else if (offset == VTD_IQT)
        run_queue(m, value);
}

static uint64_t unit_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    const struct machine *m = self;
    (void)bytes;
    (void)now;
    switch (offset) {
    case VTD_CAP:
        return m->settings->recorded.cap;
    case VTD_ECAP:
        return m->settings->recorded.ecap;
    case VTD_GSTS:
        return m->status;
    case VTD_IQH:
        return m->head;
    default:
        return 0;
    }
}

static const struct mmio_ops unit_ops = { unit_write, unit_read };

/* ---- Devices
 * -------------------------------------------------------------------------------- */

/* The recorded machine's devices: what their drivers tell the DMA API. */
static const struct {
    const char *name;
    unsigned max_segment_size, min_align_mask;
} known[] = {
    { "0000:00:05.0", UINT32_MAX, 4095 }, /* NVMe */
    { "0000:00:06.0", UINT32_MAX, 4095 }, /* NVMe */
    { "0000:00:1f.2", 65536, 0 },         /* AHCI */
};

static void add_device(struct machine *m, unsigned i)
{
    const struct rec_device *d = &m->recording->device[i];
    struct device *dev         = &m->device[i];
    kernel_add_device(&m->kernel, dev, d->name, d->requester);
    CHECK(dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)) == 0);
    dev->ats = m->settings->recorded.ats && d->requester >> 8 != 0;
    for (unsigned k = 0; k < sizeof known / sizeof known[0]; k++)
        if (strcmp(known[k].name, d->name) == 0) {
            dma_set_max_seg_size(dev, known[k].max_segment_size);
            dma_set_min_align_mask(dev, known[k].min_align_mask);
        }
}

/* The windows of the recorded machine's PCI host bridge. */
static const uint64_t bridge_window[][2] = { { 0xa0000000, 0xafffffff },
                                             { 0xc0000000, 0xfebfffff },
                                             { 0x100000000, 0x8ffffffff } };

/* ---- Life
 * ----------------------------------------------------------------------------------- */

void machine_build(struct machine *m, const struct check_settings *settings,
                   const struct recording *recording, const struct sim_host *host,
                   void (*program)(void *arg), void *arg)
{
    memset(m, 0, sizeof *m);
    m->settings  = settings;
    m->recording = recording;
    m->cpus      = recording->cpus;
    param_reset(&cpu_param_table, &m->cpu_config);
    param_reset(&cost_param_table, &m->cost);
    memory_init(&m->memory);
    engine_init(&m->engine, host, true);
    mmio_init(&m->window, &m->engine, "iommu registers", &unit_ops, m, ONE_WAY_PS);
    for (unsigned i = 0; i < m->cpus; i++) {
        m->cpu_list[i] = &m->cpu[i];
        cpu_init(&m->cpu[i], i, &m->engine, &m->memory, &m->cpu_config, program, arg);
    }
    kernel_init(&m->kernel, &settings->kernel, &m->cost, &m->memory, m->cpu_list, m->cpus);
    for (unsigned i = 0; i < sizeof bridge_window / sizeof bridge_window[0]; i++)
        kernel_reserve(&m->kernel, bridge_window[i][0], bridge_window[i][1]);
    m->barrier.count = m->cpus;
}

void machine_destroy(struct machine *m)
{
    kernel_free(&m->kernel);
    mmio_free(&m->window);
    memory_free(&m->memory);
    engine_free(&m->engine);
    free(m->domain);
}

/* The longest that a timer may be set to: the recording says when it fired. */
static void *policy_config(const struct flush_policy *policy)
{
    struct error error;
    if (policy->params == NULL)
        return NULL;
    void *config = calloc(1, policy->params->bytes);
    CHECK(config != NULL);
    param_reset(policy->params, config);
    const struct param_def *timeout = param_find(policy->params, "timeout_us");
    CHECK(timeout == NULL
          || param_set(policy->params, timeout, config, "10000000", &error));
    return config;
}

static unsigned highest_id(const struct recording *r)
{
    unsigned highest = 1, unknown = 0;
    for (unsigned i = 0; i < r->devices; i++) {
        if (r->device[i].domain_id > highest)
            highest = r->device[i].domain_id;
        unknown += r->device[i].domain_id == 0;
    }
    return highest + unknown;
}

/* Ids are given out from the lowest: those that no recorded device has belong to devices
 * that the recording does not show. */
static bool make_domains(struct machine *m, const struct backend *vtd, struct error *error)
{
    const struct flush_policy *policy = flush_find(m->settings->recorded.policy);
    void *config                      = policy_config(policy);
    bool good                         = true;
    m->domains                        = highest_id(m->recording) + 1;
    m->domain                         = calloc(m->domains, sizeof *m->domain);
    CHECK(m->domain != NULL);
    for (unsigned id = 2; id < m->domains && good; id++) {
        m->domain[id] = domain_new(&m->kernel, vtd, m->iommu, policy, config);
        good          = m->domain[id] != NULL && m->domain[id]->id == id;
    }
    free(config);
    return good || error_set(error, "a domain could not be made");
}

static unsigned id_of(const struct machine *m, unsigned device, bool *used)
{
    unsigned id = m->recording->device[device].domain_id;
    for (unsigned i = 2; id == 0 && i < m->domains; i++)
        if (!used[i])
            id = i;
    used[id] = true;
    return id;
}

bool machine_bring_up(struct machine *m, struct error *error)
{
    const struct backend *vtd = backend_find("vtd");
    m->iommu                  = vtd->probe(&m->kernel, &m->window, error);
    if (m->iommu == NULL || !make_domains(m, vtd, error))
        return false;
    bool *used = calloc(m->domains, sizeof *used);
    CHECK(used != NULL);
    for (unsigned i = 0; i < m->recording->devices; i++)
        used[m->recording->device[i].domain_id] = true;
    for (unsigned i = 0; i < m->recording->devices; i++) {
        add_device(m, i);
        CHECK(domain_attach(m->domain[id_of(m, i, used)], &m->device[i]));
    }
    free(used);
    return true;
}

void machine_take_down(struct machine *m)
{
    for (unsigned i = 0; i < m->recording->devices; i++)
        domain_detach(m->device[i].domain, &m->device[i]);
    for (unsigned id = 2; id < m->domains; id++)
        if (m->domain[id] != NULL)
            domain_free(m->domain[id]);
    backend_find("vtd")->remove(m->iommu);
}
