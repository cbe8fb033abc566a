/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/system/system.h"

#include <inttypes.h>
#include <string.h>

/* ---- Building ------------------------------------------------------------------------ */

/* A message to the interrupt range names its CPU in bits 19:12. */
static void interrupt(void *self, uint64_t address, uint32_t data, sim_time_t now)
{
    struct system *s  = self;
    const unsigned id = (unsigned)(address >> 12) & 0xff;
    if (id < s->cpu_count)
        cpu_interrupt(&s->cpu[id], data & 0xff, now);
}

void system_build_iommu(struct system *s, const struct system_config *config,
                        const struct flush_policy *policy, struct engine *engine,
                        uint64_t seed)
{
    const struct iommu_settings settings = system_iommu_settings(config);
    const struct audit_promise none      = { .kind = AUDIT_NONE }; /* Until it is known. */
    s->config                            = config;
    s->policy                            = policy;
    s->engine                            = engine;
    s->seed                              = seed;
    s->backend                           = backend_find(config->iommu.arch);
    memory_init(&s->memory);
    s->channel = system_channel(config);
    mmio_init(&s->iommu_window, engine, "iommu registers", &iommu_mmio_ops, &s->iommu,
              config->platform.iommu_register_ns * TIME_NS);
    iommu_init(&s->iommu, &settings, engine, NULL, &s->memory, &s->channel, seed);
    s->iommu.interrupt      = interrupt;
    s->iommu.interrupt_self = s;
    audit_init(&s->audit, &s->iommu, &none);
}

void system_build_extension(struct system *s)
{
    extension_init(&s->extension, &s->config->extension, s->policy->needs, &s->iommu,
                   &s->memory, s->engine);
    mmio_init(&s->extension_window, s->engine, "extension registers", &extension_mmio_ops,
              &s->extension, s->config->platform.iommu_register_ns * TIME_NS);
    for (unsigned i = 0; i < s->audit.ports; i++)
        extension_watch(&s->extension, s->audit.port[i]);
}

void system_build_software(struct system *s, unsigned cpus, void (*program)(void *arg),
                           void *const *argument)
{
    const struct system_config *c = s->config;
    enum flush_promise promise;
    CHECK(cpus > 0);
    CHECK(cpus <= ENGINE_CPUS_MAX);
    s->cpu_count = cpus;
    for (unsigned i = 0; i < cpus; i++) {
        s->cpus[i] = &s->cpu[i];
        cpu_init(&s->cpu[i], i, s->engine, &s->memory, &c->cpu, program, argument[i]);
    }
    kernel_init(&s->kernel, &c->kernel, &c->cost, &s->memory, s->cpus, cpus);
    s->kernel.policy    = &c->moves;
    s->kernel.extension = &s->extension_window;
    s->kernel.observer  = audit_observer(&s->audit);
    s->audit.promise    = system_promise(s, &promise);
}

void system_destroy(struct system *s)
{
    kernel_free(&s->kernel);
    audit_free(&s->audit);
    iommu_free(&s->iommu);
    mmio_free(&s->iommu_window);
    mmio_free(&s->extension_window);
    extension_free(&s->extension);
    memory_free(&s->memory);
}

bool system_boot(struct system *s, struct error *error)
{
    s->backend_state = s->backend->probe(&s->kernel, &s->iommu_window, error);
    return s->backend_state != NULL;
}

void system_halt(struct system *s)
{
    s->backend->remove(s->backend_state);
    s->backend_state = NULL;
}

struct audit_promise system_promise(const struct system *s, enum flush_promise *promise)
{
    static const enum audit_promise_kind kind[] = {
        [PROMISE_NOTHING_STALE] = AUDIT_NOTHING_STALE,
        [PROMISE_BOUNDED_TIME]  = AUDIT_BOUNDED_TIME,
        [PROMISE_BOUNDED_COUNT] = AUDIT_BOUNDED_COUNT,
        [PROMISE_BOUNDED_BYTES] = AUDIT_BOUNDED_BYTES,
        [PROMISE_POOL_ONLY]     = AUDIT_POOL_ONLY,
        [PROMISE_NONE]          = AUDIT_NONE,
    };
    struct audit_promise p = { .grace_ps = s->config->audit.grace_us * TIME_US };
    *promise = flush_policy_promise(s->policy, system_policy_config(s->config, s->policy),
                                    s->kernel.policy, &p.bound);
    p.kind   = kind[*promise];
    if (*promise == PROMISE_BOUNDED_TIME && (s->policy->needs & EXT_CAP_LIFETIME))
        p.bound = time_max(p.bound, s->config->extension.lifetime_ns * TIME_NS);
    return p;
}

/* ---- Slots --------------------------------------------------------------------------- */

static void build_device_tlb(struct slot *slot)
{
    struct system *s = slot->system;
    rootport_serve_device_tlb(&slot->port, slot->requester);
    atc_init(&slot->atc, s->engine, &s->config->atc, slot->requester,
             rootport_port(&slot->port), s->seed);
    audit_watch_device(&s->audit, &slot->atc);
}

void slot_build(struct slot *slot, struct system *s, uint16_t requester, bool device_tlb,
                const char *window_name, const struct mmio_ops *registers, void *device)
{
    slot->system    = s;
    slot->requester = requester;
    mmio_init(&slot->window, s->engine, window_name, registers, device,
              s->config->platform.device_register_ns * TIME_NS);
    rootport_init(&slot->port, s->engine, &s->config->link, &s->iommu, &s->memory,
                  &s->channel);
    slot->port.interrupt      = interrupt;
    slot->port.interrupt_self = s;
    if (device_tlb)
        build_device_tlb(slot);
    if (s->extension.iommu != NULL)
        extension_watch(&s->extension, &slot->port);
    audit_watch(&s->audit, &slot->port);
}

void slot_destroy(struct slot *slot)
{
    if (slot->atc.slot != NULL)
        atc_free(&slot->atc);
    rootport_free(&slot->port);
    mmio_free(&slot->window);
}

struct port *slot_port(struct slot *slot)
{
    return slot->atc.slot != NULL ? atc_port(&slot->atc) : rootport_port(&slot->port);
}

bool slot_attach(struct slot *slot, const char *name, struct dma_domain *shared)
{
    struct system *s = slot->system;
    kernel_add_device(&s->kernel, &slot->device, name, slot->requester);
    slot->device.untrusted = s->config->kernel.untrusted;
    slot->device.ats       = slot->atc.slot != NULL;
    if (!s->policy->translates)
        return domain_attach_identity(s->backend, s->backend_state, &slot->device);
    slot->domain = shared != NULL
                       ? shared
                       : domain_new(&s->kernel, s->backend, s->backend_state, s->policy,
                                    system_policy_config(s->config, s->policy));
    return slot->domain != NULL && domain_attach(slot->domain, &slot->device);
}

uint64_t slot_detach(struct slot *slot, bool shared)
{
    struct system *s          = slot->system;
    struct dma_domain *domain = slot->domain;
    uint64_t left             = 0;
    kernel_remove_device(&slot->device);
    slot->domain = NULL;
    if (domain == NULL) {
        domain_detach_identity(s->backend, s->backend_state, &slot->device);
        return 0;
    }
    domain_detach(domain, &slot->device);
    if (!shared)
        left = domain_drain(domain);
    if (!shared && left == 0)
        domain_free(domain);
    return left;
}

bool slot_idle(const struct slot *slot)
{
    return rootport_idle(&slot->port) && (slot->atc.slot == NULL || atc_idle(&slot->atc));
}

/* ---- Counters ------------------------------------------------------------------------ */

void system_measure_queue(struct system *s)
{
    invq_measure(&s->iommu, cycle_at_or_after(s->engine->now, s->config->iommu.period_ps));
}

const struct stat_table *system_stats(const struct system_counters *c, unsigned index,
                                      const void **stats)
{
#define PLACE(type, name, table) SYSTEM_STAT_PLACE(system_counters, name, table)
    static const struct system_stat_place place[] = { SYSTEM_COUNTERS(PLACE) };
    if (index >= sizeof place / sizeof place[0])
        return NULL;
    *stats = c == NULL ? NULL : (const char *)c + place[index].offset;
    return place[index].table;
}

void system_subtract_cycles(struct system_counters *later,
                            const struct system_counters *earlier)
{
    for (unsigned i = 0; i < XLATE_PART_COUNT; i++)
        later->xlate_cycles[i] -= earlier->xlate_cycles[i];
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            later->cycles[p][o] -= earlier->cycles[p][o];
}

void system_add_cycles(struct system_counters *sum, const struct system_counters *one)
{
    for (unsigned i = 0; i < XLATE_PART_COUNT; i++)
        sum->xlate_cycles[i] += one->xlate_cycles[i];
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            sum->cycles[p][o] += one->cycles[p][o];
}

void system_subtract(struct system_counters *later, const struct system_counters *earlier)
{
    const struct stat_table *table;
    const void *to, *from;
    for (unsigned i = 0; (table = system_stats(later, i, &to)) != NULL; i++) {
        system_stats(earlier, i, &from);
        stat_subtract(table, (void *)to, from);
    }
    system_subtract_cycles(later, earlier);
}

void system_add_stats(const struct stat_table *table, void *sum, const void *one)
{
    for (const struct stat_def *def = table->def; def->name != NULL; def++)
        *(uint64_t *)((char *)sum + def->offset) += stat_value(def, one);
}

void system_count(struct system *s, struct system_counters *c)
{
    system_measure_queue(s);
    memset(c, 0, sizeof *c);
    c->kernel    = s->kernel.stats;
    c->iommu     = s->iommu.stats;
    c->iotlb     = s->iommu.iotlb.stats;
    c->walkcache = s->iommu.walkcache.stats;
    c->context   = s->iommu.context_stats;
    c->memport   = s->iommu.memport.stats;
    c->extension = s->extension.stats;
    c->audit     = s->audit.stats;
    c->now       = s->engine->now;
    for (unsigned i = 0; i < s->cpu_count; i++)
        cpu_account(&s->cpu[i], s->engine->now, c->cycles);
}

void slot_count(const struct slot *slot, struct system_counters *c)
{
    system_add_stats(&dma_stat_table, &c->dma, &slot->port.stats);
    for (unsigned k = 0; k < XLATE_PART_COUNT; k++)
        c->xlate_cycles[k] += slot->port.xlate_cycles[k];
    if (slot->atc.slot == NULL)
        return;
    const struct atc_stats atc = atc_stats(&slot->atc);
    system_add_stats(&atc_stat_table, &c->atc, &atc);
}

void slot_count_domain(const struct slot *slot, struct system_counters *c)
{
    if (slot->domain != NULL)
        system_add_stats(&iova_stat_table, &c->iova, &slot->domain->iova.stats);
}

/* ---- Checks at the end --------------------------------------------------------------- */

bool system_check_kernel(const struct kernel *k, struct error *error)
{
    if (k->pages.out != 0)
        return error_set(error, "%" PRIu64 " page frames were not given back",
                         k->pages.out);
    if (k->stats.table_allocated != k->stats.table_freed)
        return error_set(error,
                         "%" PRIu64 " page-table pages were taken, %" PRIu64 " freed",
                         k->stats.table_allocated, k->stats.table_freed);
    if (k->bounce_slots_out != 0)
        return error_set(error, "%" PRIu64 " slots of bounce buffers were not given back",
                         k->bounce_slots_out);
    if (k->heap.out != 0)
        return error_set(error, "host memory that %s took was not given back",
                         hostheap_taker(&k->heap));
    return true;
}

bool system_check_idle(const struct system *s, struct error *error)
{
    if (!extension_idle(&s->extension))
        return error_set(error, "the extension block was still busy");
    if (s->iommu.late_count != 0 || s->iommu.invq.state != INVQ_IDLE)
        return error_set(error, "the IOMMU was still busy");
    return true;
}

bool system_check_cpus(const struct system *s, struct error *error)
{
    for (unsigned i = 0; i < s->cpu_count; i++)
        if (!cpu_check(&s->cpu[i], error))
            return false;
    return true;
}

bool system_check_owners(const struct system_counters *c, unsigned cpus, sim_time_t time_ps,
                         uint64_t period_ps, struct error *error)
{
    const uint64_t had = cpus * (time_ps / period_ps);
    uint64_t owned     = 0;
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            owned += c->cycles[p][o];
    if (owned != had)
        return error_set(error,
                         "the CPUs had %" PRIu64 " cycles for the replay but their owners "
                         "sum to %" PRIu64,
                         had, owned);
    return true;
}
