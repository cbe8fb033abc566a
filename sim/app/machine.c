/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/fabric.h"
#include "sim/app/sampler.h"

enum {
    NVME_REQUESTER      = 5 << 3,
    EXERCISER_REQUESTER = 1 << 8
}; /* Bus 0, device 5, function 0; the next is device 6. */

/* A drive: its link, its software, and the traces that are replayed on it. */
struct drive {
    struct rootport port;
    struct atc atc; /* When atc.enabled. */
    struct nvme_ctrl nvme;
    struct mmio_window window;
    char name[16];
    struct device device;
    struct dma_domain *domain; /* NULL under passthrough. */
    struct nvme_driver driver;
};

struct machine {
    const struct config *config;
    const struct machine_run *run;
    struct machine_result *result;
    struct engine engine;
    struct memory memory;
    struct mem_channel channel;
    struct mmio_window iommu_window, extension_window;
    struct iommu iommu;
    struct extension extension;
    struct rootport attacker_port;
    struct attacker attacker;
    /* A device for bare accesses, when the trace begins with one. */
    bool exercises;
    struct rootport exerciser_port;
    struct exerciser exerciser;
    struct mmio_window exerciser_window;
    struct device exerciser_device;
    struct dma_domain *exerciser_domain;
    struct audit audit;
    struct sampler sampler;
    struct cpu cpu[ENGINE_CPUS_MAX];
    struct cpu *cpus[ENGINE_CPUS_MAX];
    struct barrier barrier;

    struct kernel kernel;
    const struct backend *backend;
    void *backend_state;
    struct drive drive[MACHINE_DRIVES_MAX];
    struct replay replay[MACHINE_DRIVES_MAX];
    unsigned drives;
    struct machine_counters before;
    struct machine_drive drive_before[MACHINE_DRIVES_MAX];
    struct iommu_watcher watcher; /* For timeline and waves. */
    bool failed, finished;
    struct error error;
};

/* ---- Counters
 * ------------------------------------------------------------------------------------ */

#define TABLE(name, table)                                                                 \
    {                                                                                      \
        &table, offsetof(struct machine_counters, name)                                    \
    }
static const struct {
    const struct stat_table *table;
    size_t offset;
} tables[] = {
    TABLE(replay, replay_stat_table),
    TABLE(driver, driver_stat_table),
    TABLE(kernel, kernel_stat_table),
    TABLE(iova, iova_stat_table),
    TABLE(nvme, nvme_stat_table),
    TABLE(fabric, fabric_stat_table),
    TABLE(verbs, verbs_stat_table),
    TABLE(rdma, rdma_stat_table),
    TABLE(wire, rdma_wire_stat_table),
    TABLE(atc, atc_stat_table),
    TABLE(dma, dma_stat_table),
    TABLE(iommu, iommu_stat_table),
    TABLE(iotlb, iotlb_stat_table),
    TABLE(walkcache, walkcache_stat_table),
    TABLE(context, context_stat_table),
    TABLE(memport, memport_stat_table),
    TABLE(extension, extension_stat_table),
    TABLE(audit, audit_stat_table),
    TABLE(attacker, attacker_stat_table),
    TABLE(exerciser, exerciser_stat_table),
};
enum { TABLES = sizeof tables / sizeof tables[0] };

const struct stat_table *machine_stats(const struct machine_counters *c, unsigned index,
                                       const void **stats)
{
    if (index >= TABLES)
        return NULL;
    *stats = c == NULL ? NULL : (const char *)c + tables[index].offset;
    return tables[index].table;
}

void machine_subtract(struct machine_counters *later,
                      const struct machine_counters *earlier)
{
    for (unsigned i = 0; i < TABLES; i++)
        stat_subtract(tables[i].table, (char *)later + tables[i].offset,
                      (const char *)earlier + tables[i].offset);
    for (unsigned i = 0; i < XLATE_PART_COUNT; i++)
        later->xlate_cycles[i] -= earlier->xlate_cycles[i];
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            later->cycles[p][o] -= earlier->cycles[p][o];
}

static void add(const struct stat_table *table, void *sum, const void *one)
{
    for (const struct stat_def *def = table->def; def->name != NULL; def++)
        *(uint64_t *)((char *)sum + def->offset) += stat_value(def, one);
}

void machine_add(struct machine_counters *sum, const struct machine_counters *one)
{
    for (unsigned i = 0; i < TABLES; i++)
        add(tables[i].table, (char *)sum + tables[i].offset,
            (const char *)one + tables[i].offset);
    for (unsigned i = 0; i < XLATE_PART_COUNT; i++)
        sum->xlate_cycles[i] += one->xlate_cycles[i];
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            sum->cycles[p][o] += one->cycles[p][o];
}

static void count_drive(const struct machine *m, unsigned i, struct machine_counters *c)
{
    const struct drive *d = &m->drive[i];
    const struct atc_stats atc =
        d->atc.slot != NULL ? atc_stats(&d->atc) : (struct atc_stats){ 0 };
    const bool first_of_domain = i == 0 || d->domain != m->drive[0].domain;
    add(&replay_stat_table, &c->replay, &m->replay[i].stats);
    add(&nvme_stat_table, &c->nvme, &d->nvme.stats);
    add(&atc_stat_table, &c->atc, &atc);
    add(&dma_stat_table, &c->dma, &d->port.stats);
    if (d->domain != NULL && first_of_domain)
        add(&iova_stat_table, &c->iova, &d->domain->iova.stats);
    for (unsigned k = 0; k < XLATE_PART_COUNT; k++)
        c->xlate_cycles[k] += d->port.xlate_cycles[k];
    for (unsigned q = 0; q < d->driver.queues; q++)
        add(&driver_stat_table, &c->driver, &d->driver.queue[q].stats);
}

static void measure_queue(struct machine *m)
{
    const uint64_t period_ps = m->config->iommu.period_ps;
    invq_measure(&m->iommu, cycle_at_or_after(m->engine.now, period_ps));
}

static void count(struct machine *m, struct machine_counters *c)
{
    measure_queue(m);
    memset(c, 0, sizeof *c);
    c->kernel    = m->kernel.stats;
    c->iommu     = m->iommu.stats;
    c->iotlb     = m->iommu.iotlb.stats;
    c->walkcache = m->iommu.walkcache.stats;
    c->context   = m->iommu.context_stats;
    c->memport   = m->iommu.memport.stats;
    c->extension = m->extension.stats;
    c->audit     = m->audit.stats;
    c->attacker  = m->attacker.stats;
    c->exerciser = m->exerciser.stats;
    c->now       = m->engine.now;
    for (unsigned i = 0; i < m->drives; i++)
        count_drive(m, i, c);
    if (m->exercises) {
        add(&dma_stat_table, &c->dma, &m->exerciser_port.stats);
        for (unsigned k = 0; k < XLATE_PART_COUNT; k++)
            c->xlate_cycles[k] += m->exerciser_port.xlate_cycles[k];
        if (m->exerciser_domain != NULL)
            add(&iova_stat_table, &c->iova, &m->exerciser_domain->iova.stats);
    }
    for (unsigned i = 0; i < m->run->cpus; i++)
        cpu_account(&m->cpu[i], m->engine.now, c->cycles);
}

/* ---- Over time
 * ---------------------------------------------------------------------------------- */

static void look(void *self, uint64_t *value)
{
    struct machine *m = self;
    measure_queue(m);
    for (unsigned i = 0; i < m->drives; i++) {
        value[SERIES_ID_record] += m->replay[i].stats.record;
        sampler_add_dma(value, &m->drive[i].port.stats);
    }
    if (m->exercises)
        sampler_add_dma(value, &m->exerciser_port.stats);
    sampler_add_iommu(value, &m->iommu, &m->audit);
}

/* ---- The programs
 * --------------------------------------------------------------------------------- */

const void *machine_policy_config(const struct config *config,
                                  const struct flush_policy *policy)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (flush_table[i] == policy)
            return config->policy[i];
    return NULL;
}

struct audit_promise machine_promise(const struct config *config,
                                     const struct flush_policy *policy,
                                     const struct kernel *kernel,
                                     struct machine_result *result)
{
    static const enum audit_promise_kind kind[] = {
        [PROMISE_NOTHING_STALE] = AUDIT_NOTHING_STALE,
        [PROMISE_BOUNDED_TIME]  = AUDIT_BOUNDED_TIME,
        [PROMISE_BOUNDED_COUNT] = AUDIT_BOUNDED_COUNT,
        [PROMISE_BOUNDED_BYTES] = AUDIT_BOUNDED_BYTES,
        [PROMISE_POOL_ONLY]     = AUDIT_POOL_ONLY,
        [PROMISE_NONE]          = AUDIT_NONE,
    };
    struct audit_promise p = { .grace_ps = config->audit.grace_us * TIME_US };
    result->promise = flush_policy_promise(policy, machine_policy_config(config, policy),
                                           kernel->policy, &p.bound);
    p.kind          = kind[result->promise];
    return p;
}

static bool shares_domain(const struct machine *m, unsigned i)
{
    return i > 0 && replay_devices(&m->config->replay) == REPLAY_shared;
}

static bool attach(struct machine *m, unsigned i)
{
    struct drive *d = &m->drive[i];
    if (!m->run->policy->translates)
        return domain_attach_identity(m->backend, m->backend_state, &d->device);
    d->domain = shares_domain(m, i)
                    ? m->drive[0].domain
                    : domain_new(&m->kernel, m->backend, m->backend_state, m->run->policy,
                                 machine_policy_config(m->config, m->run->policy));
    return d->domain != NULL && domain_attach(d->domain, &d->device);
}

/* The device's TLB is on when the kernel switches it on: not where there is nothing to
 * translate. */
static bool has_device_tlb(const struct machine *m)
{
    return m->config->atc.enabled && m->run->policy->translates;
}

static bool bring_up_drive(struct machine *m, unsigned i)
{
    struct drive *d = &m->drive[i];
    snprintf(d->name, sizeof d->name, "nvme%u", i);
    kernel_add_device(&m->kernel, &d->device, d->name, d->nvme.requester);
    d->device.untrusted = m->config->kernel.untrusted;
    d->device.ats       = has_device_tlb(m);
    if (!attach(m, i))
        return error_set(&m->error, "the device could not be attached to the IOMMU");
    return nvme_driver_probe(&d->driver, &d->device, &d->window, &m->config->driver,
                             &m->config->blk, m->run->api, i, &m->error);
}

static bool bring_up_exerciser(struct machine *m)
{
    kernel_add_device(&m->kernel, &m->exerciser_device, "exerciser", EXERCISER_REQUESTER);
    dma_set_mask_and_coherent(&m->exerciser_device, DMA_BIT_MASK(64));
    if (!m->run->policy->translates)
        return domain_attach_identity(m->backend, m->backend_state, &m->exerciser_device);
    m->exerciser_domain =
        domain_new(&m->kernel, m->backend, m->backend_state, m->run->policy,
                   machine_policy_config(m->config, m->run->policy));
    return m->exerciser_domain != NULL
           && domain_attach(m->exerciser_domain, &m->exerciser_device);
}

static void take_down_exerciser(struct machine *m)
{
    kernel_remove_device(&m->exerciser_device);
    if (m->exerciser_domain != NULL) {
        domain_detach(m->exerciser_domain, &m->exerciser_device);
        domain_free(m->exerciser_domain);
        m->exerciser_domain = NULL;
    } else {
        domain_detach_identity(m->backend, m->backend_state, &m->exerciser_device);
    }
}

static bool bring_up(struct machine *m)
{
    m->backend_state = m->backend->probe(&m->kernel, &m->iommu_window, &m->error);
    if (m->backend_state == NULL)
        return false;
    for (unsigned i = 0; i < m->drives; i++)
        if (!bring_up_drive(m, i))
            return false;
    return !m->exercises || bring_up_exerciser(m)
           || error_set(&m->error, "the exerciser could not be attached to the IOMMU");
}

static void take_down_drive(struct machine *m, unsigned i)
{
    struct drive *d = &m->drive[i];
    nvme_driver_remove(&d->driver);
    kernel_remove_device(&d->device);
    if (d->domain != NULL)
        domain_detach(d->domain, &d->device);
    else
        domain_detach_identity(m->backend, m->backend_state, &d->device);
}

/* A shared domain goes after the last of its devices. */
static void take_down(struct machine *m)
{
    if (m->exercises)
        take_down_exerciser(m);
    for (unsigned i = m->drives; i-- > 0;) {
        struct drive *d = &m->drive[i];
        take_down_drive(m, i);
        if (d->domain != NULL && !shares_domain(m, i))
            domain_free(d->domain);
        d->domain = NULL;
    }
    m->backend->remove(m->backend_state);
}

/* What a drive has done so far. */
static struct machine_drive drive_so_far(const struct machine *m, unsigned i)
{
    struct machine_drive r = { .dma    = m->drive[i].port.stats,
                               .replay = m->replay[i].stats };
    for (unsigned q = 0; q < m->drive[i].driver.queues; q++)
        add(&driver_stat_table, &r.driver, &m->drive[i].driver.queue[q].stats);
    return r;
}

/* ---- Who looks on
 * ---------------------------------------------------------------------------------------
 */

static void answered(void *self, const struct xlate *x)
{
    const struct machine *m = self;
    if (m->run->timeline != NULL)
        timeline_answered(m->run->timeline, x);
}

static void stepped(void *self, sim_time_t now)
{
    const struct machine *m = self;
    if (m->run->timeline != NULL)
        timeline_stepped(m->run->timeline, now);
    if (m->run->waves != NULL)
        waves_stepped(m->run->waves, now);
}

static void begin_looking(struct machine *m)
{
    struct drive *d          = &m->drive[0];
    const struct scope scope = { &m->engine, m->cpu,   m->run->cpus, &m->iommu,
                                 &d->port,   &d->nvme, &d->driver,   &m->audit };
    char name[128];
    if (m->run->timeline == NULL && m->run->waves == NULL)
        return;
    snprintf(name, sizeof name, "%s, %s, %s", m->config->preset, m->run->policy->name,
             blk_api_name[m->run->api]);
    m->watcher =
        (struct iommu_watcher){ .answered = answered, .stepped = stepped, .self = m };
    m->iommu.watcher = &m->watcher;
    if (m->run->timeline != NULL)
        timeline_begin(m->run->timeline, name, &scope, m->engine.now);
    if (m->run->waves != NULL)
        waves_begin(m->run->waves, &scope, m->engine.now);
}

static void end_looking(struct machine *m)
{
    if (m->run->timeline != NULL)
        timeline_end(m->run->timeline, m->engine.now);
    if (m->run->waves != NULL)
        waves_end(m->run->waves, m->engine.now);
}

/* Whatever became of the run. */
static void leave_looking(struct machine *m)
{
    if (m->iommu.watcher != &m->watcher)
        return;
    end_looking(m);
    if (m->run->timeline != NULL)
        timeline_leave(m->run->timeline);
}

static void begin_measuring(struct machine *m)
{
    count(m, &m->before);
    for (unsigned i = 0; i < m->drives; i++) {
        struct rootport *port = &m->drive[i].port;
        memset(&port->read_ps, 0, sizeof port->read_ps);
        memset(&port->write_ps, 0, sizeof port->write_ps);
        m->drive_before[i] = drive_so_far(m, i);
    }
    audit_begin(&m->audit, m->engine.now);
    m->kernel.plant_reuse     = m->run->plant_reuse;
    m->iommu.iotlb.plant_deaf = m->run->plant_deaf;
    if (m->run->attacker)
        attacker_start(&m->attacker, m->engine.now);
    sampler_begin(&m->sampler);
    begin_looking(m);
}

static void measure_drive(struct machine *m, unsigned i)
{
    struct machine_result *r    = m->result;
    struct machine_drive *drive = &r->drive[i];
    const struct replay *replay = &m->replay[i];
    *drive                      = drive_so_far(m, i);
    drive->requester            = m->drive[i].nvme.requester;
    stat_subtract(&dma_stat_table, &drive->dma, &m->drive_before[i].dma);
    stat_subtract(&driver_stat_table, &drive->driver, &m->drive_before[i].driver);
    drive->io_latency_ns = replay->latency_ns;
    histogram_merge(&r->io_latency_ns, &replay->latency_ns);
    histogram_merge(&r->dma_read_ps, &m->drive[i].port.read_ps);
    histogram_merge(&r->dma_write_ps, &m->drive[i].port.write_ps);
    for (unsigned k = 0; k < replay->sources; k++)
        r->source_records[replay->source + k - m->run->source] = replay->read_of[k];
}

static void end_measuring(struct machine *m)
{
    struct machine_result *r = m->result;
    end_looking(m);
    attacker_stop(&m->attacker);
    sampler_end(&m->sampler);
    audit_finish(&m->audit, m->engine.now);
    count(m, &r->counters);
    machine_subtract(&r->counters, &m->before);
    r->time_ps            = m->engine.now - m->before.now;
    r->exposure_ps_max    = m->audit.exposure_ps_max;
    r->exposed_pages_most = m->audit.exposed_most;
    r->exposure_ns        = m->audit.exposure_ns;
    r->attack_ns          = m->audit.attack_ns;
    r->pool_pages_most    = m->audit.pool_most;
    for (unsigned i = 0; i < m->drives; i++)
        measure_drive(m, i);
    if (m->exercises) {
        histogram_merge(&r->dma_read_ps, &m->exerciser_port.read_ps);
        histogram_merge(&r->dma_write_ps, &m->exerciser_port.write_ps);
    }
}

/* Each drive has the traces of its own, or the only one all of them. */
static void prepare_replay(struct machine *m, unsigned i)
{
    const struct machine_run *run = m->run;
    struct replay *r              = &m->replay[i];
    const bool all                = m->drives == 1;
    replay_init(r, &m->config->replay, &m->config->placement, run->source + i,
                all ? run->sources : 1, run->limit, run->seed + i, &m->drive[i].driver,
                m->cpus, run->cpus);
    if (m->exercises)
        replay_exercise(r, &m->exerciser_device, &m->exerciser_window);
    r->progress      = run->progress;
    r->progress_self = run->progress_self;
}

static void cpu0_before(struct machine *m, struct cpu *cpu)
{
    cpu_own(cpu, OWNER_setup);
    m->failed = !bring_up(m);
    cpu_sync(cpu);
    if (m->failed)
        return;
    for (unsigned i = 0; i < m->drives; i++)
        prepare_replay(m, i);
    begin_measuring(m);
}

static void cpu0_after(struct machine *m, struct cpu *cpu)
{
    end_measuring(m);
    cpu_own(cpu, OWNER_setup);
    for (unsigned i = 0; i < m->drives; i++)
        replay_end(&m->replay[i]);
    take_down(m);
    cpu_sync(cpu);
    m->finished = true;
}

/* What every CPU runs. CPU 0 is alone before the first barrier and after the last. */
static void program(void *arg)
{
    struct machine *m = arg;
    struct cpu *cpu   = cpu_this();
    if (cpu->id == 0)
        cpu0_before(m, cpu);
    barrier_wait(&m->barrier, cpu);
    if (!m->failed) {
        cpu_own(cpu, OWNER_driver);
        replay_run(m->replay, m->drives);
        barrier_wait(&m->barrier, cpu);
        if (cpu->id == 0)
            cpu0_after(m, cpu);
    }
    barrier_wait(&m->barrier, cpu);
}

/* ---- Building
 * ----------------------------------------------------------------------------------------
 */

/* A message to the interrupt range names its CPU in bits 19:12. */
static void interrupt(void *self, uint64_t address, uint32_t data, sim_time_t now)
{
    struct machine *m = self;
    const unsigned id = (unsigned)(address >> 12) & 0xff;
    if (id < m->run->cpus)
        cpu_interrupt(&m->cpu[id], data & 0xff, now);
}

static struct port *build_port(struct machine *m, struct drive *d, uint16_t requester)
{
    if (!has_device_tlb(m))
        return rootport_port(&d->port);
    rootport_serve_device_tlb(&d->port, requester);
    atc_init(&d->atc, &m->engine, &m->config->atc, requester, rootport_port(&d->port),
             m->run->seed);
    audit_watch_device(&m->audit, &d->atc);
    return atc_port(&d->atc);
}

static void learn(void *self, uint64_t iova, uint32_t bytes)
{
    attacker_learn(self, iova, bytes);
}

/* It looks like the first NVMe controller to the IOMMU, over a link of its own. */
static void build_attacker(struct machine *m)
{
    const struct config *c = m->config;
    rootport_init(&m->attacker_port, &m->engine, &c->link, &m->iommu, &m->memory,
                  &m->channel);
    attacker_init(&m->attacker, &m->engine, rootport_port(&m->attacker_port), &c->attacker,
                  NVME_REQUESTER, m->run->seed);
    m->drive[0].nvme.data_moved      = learn;
    m->drive[0].nvme.data_moved_self = &m->attacker;
    audit_watch_hostile(&m->audit, &m->attacker_port);
}

struct mem_channel machine_channel(const struct config *config)
{
    const struct platform_config *p = &config->platform;
    return (struct mem_channel){ .latency_ps = p->memory_latency_ns * TIME_NS,
                                 .beat_ps    = p->memory_beat_ps,
                                 .beat_bytes = p->memory_beat_bytes };
}

/* Behind its port and its registers, which come first. */
static void finish_drive(struct machine *m, unsigned i)
{
    struct drive *d          = &m->drive[i];
    const uint16_t requester = (uint16_t)(NVME_REQUESTER + (i << 3));
    nvme_ctrl_init(&d->nvme, &m->engine, build_port(m, d, requester), &m->config->nvme,
                   requester, m->run->seed + i);
    d->port.interrupt      = interrupt;
    d->port.interrupt_self = m;
}

/* One more beside the first. */
static void build_drive(struct machine *m, unsigned i)
{
    const struct config *c = m->config;
    struct drive *d        = &m->drive[i];
    mmio_init(&d->window, &m->engine, "nvme registers", &nvme_mmio_ops, &d->nvme,
              c->platform.device_register_ns * TIME_NS);
    rootport_init(&d->port, &m->engine, &c->link, &m->iommu, &m->memory, &m->channel);
    finish_drive(m, i);
    extension_watch(&m->extension, &d->port);
    audit_watch(&m->audit, &d->port);
}

static void build_exerciser(struct machine *m)
{
    const struct config *c = m->config;
    rootport_init(&m->exerciser_port, &m->engine, &c->link, &m->iommu, &m->memory,
                  &m->channel);
    exerciser_init(&m->exerciser, &m->engine, rootport_port(&m->exerciser_port),
                   &c->exerciser, EXERCISER_REQUESTER);
    mmio_init(&m->exerciser_window, &m->engine, "exerciser registers", &exerciser_mmio_ops,
              &m->exerciser, c->platform.device_register_ns * TIME_NS);
    extension_watch(&m->extension, &m->exerciser_port);
    audit_watch(&m->audit, &m->exerciser_port);
}

static void build_hardware(struct machine *m)
{
    const struct config *c               = m->config;
    const struct platform_config *p      = &c->platform;
    const struct iommu_settings settings = config_settings(c);
    memory_init(&m->memory);
    m->channel = machine_channel(c);
    mmio_init(&m->iommu_window, &m->engine, "iommu registers", &iommu_mmio_ops, &m->iommu,
              p->iommu_register_ns * TIME_NS);
    mmio_init(&m->drive[0].window, &m->engine, "nvme registers", &nvme_mmio_ops,
              &m->drive[0].nvme, p->device_register_ns * TIME_NS);
    iommu_init(&m->iommu, &settings, &m->engine, NULL, &m->memory, &m->channel,
               m->run->seed);
    rootport_init(&m->drive[0].port, &m->engine, &c->link, &m->iommu, &m->memory,
                  &m->channel);
    const struct audit_promise none = { .kind = AUDIT_NONE }; /* Until it is known. */
    audit_init(&m->audit, &m->iommu, &none);
    finish_drive(m, 0);
    extension_init(&m->extension, &c->extension, m->run->policy->needs, &m->iommu,
                   &m->memory, &m->engine);
    extension_watch(&m->extension, &m->drive[0].port);
    mmio_init(&m->extension_window, &m->engine, "extension registers", &extension_mmio_ops,
              &m->extension, p->iommu_register_ns * TIME_NS);
    m->iommu.interrupt      = interrupt;
    m->iommu.interrupt_self = m;
    audit_watch(&m->audit, &m->drive[0].port);
    for (unsigned i = 1; i < m->drives; i++)
        build_drive(m, i);
    if (m->exercises)
        build_exerciser(m);
    if (m->run->attacker) {
        build_attacker(m);
        extension_watch(&m->extension, &m->attacker_port);
    }
    sampler_init(&m->sampler, &m->engine, &m->result->series, look, m);
}

static void build_software(struct machine *m)
{
    for (unsigned i = 0; i < m->run->cpus; i++) {
        m->cpus[i] = &m->cpu[i];
        cpu_init(&m->cpu[i], i, &m->engine, &m->memory, &m->config->cpu, program, m);
    }
    kernel_init(&m->kernel, &m->config->kernel, &m->config->cost, &m->memory, m->cpus,
                m->run->cpus);
    m->kernel.policy    = &m->config->moves;
    m->kernel.extension = &m->extension_window;
    m->kernel.observer  = audit_observer(&m->audit);
    m->audit.promise    = machine_promise(m->config, m->run->policy, &m->kernel, m->result);
    m->barrier.count    = m->run->cpus;

    m->kernel.finding      = m->run->finding;
    m->kernel.finding_self = m->run->finding_self;
}

static void destroy(struct machine *m)
{
    leave_looking(m);
    for (unsigned i = 0; i < m->drives; i++)
        if (m->replay[i].cpu != NULL)
            replay_free(&m->replay[i]);
    kernel_free(&m->kernel);
    audit_free(&m->audit);
    for (unsigned i = 0; i < m->drives; i++) {
        struct drive *d = &m->drive[i];
        nvme_ctrl_free(&d->nvme);
        if (d->atc.slot != NULL)
            atc_free(&d->atc);
        rootport_free(&d->port);
        mmio_free(&d->window);
    }
    if (m->exercises) {
        exerciser_free(&m->exerciser);
        rootport_free(&m->exerciser_port);
        mmio_free(&m->exerciser_window);
    }
    if (m->run->attacker) {
        attacker_free(&m->attacker);
        rootport_free(&m->attacker_port);
    }
    iommu_free(&m->iommu);
    mmio_free(&m->iommu_window);
    mmio_free(&m->extension_window);
    extension_free(&m->extension);
    memory_free(&m->memory);
    engine_free(&m->engine);
}

/* ---- Checks at the end
 * --------------------------------------------------------------------------------- */

bool machine_check_stats(const struct machine_counters *all, struct error *error)
{
    for (unsigned i = 0; i < TABLES; i++)
        if (!stat_check(tables[i].table, (const char *)all + tables[i].offset, error))
            return false;
    return true;
}

static bool check_stats(struct machine *m, struct error *error)
{
    struct machine_counters all;
    count(m, &all);
    return machine_check_stats(&all, error);
}

bool machine_check_owners(const struct machine_result *r, const struct config *config,
                          struct error *error)
{
    const uint64_t had = r->cpus * (r->time_ps / config->cpu.period_ps);
    uint64_t owned     = 0;
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            owned += r->counters.cycles[p][o];
    if (owned != had)
        return error_set(error,
                         "the CPUs had %" PRIu64 " cycles for the replay but their owners "
                         "sum to %" PRIu64,
                         had, owned);
    return true;
}

bool machine_check_kernel(const struct kernel *k, struct error *error)
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

static bool check_everything_back(const struct machine *m, struct error *error)
{
    if (!machine_check_kernel(&m->kernel, error))
        return false;
    for (unsigned i = 0; i < m->drives; i++)
        if (!rootport_idle(&m->drive[i].port) || !atc_idle(&m->drive[i].atc)
            || !nvme_ctrl_idle(&m->drive[i].nvme))
            return error_set(error, "transactions were still under way");
    if (!rootport_idle(&m->exerciser_port) || !exerciser_idle(&m->exerciser))
        return error_set(error, "bare accesses were still under way");
    if (!rootport_idle(&m->attacker_port))
        return error_set(error, "transactions of the attacker were still under way");
    if (!extension_idle(&m->extension))
        return error_set(error, "the extension block was still busy");
    if (m->iommu.late_count != 0 || m->iommu.invq.state != INVQ_IDLE)
        return error_set(error, "the IOMMU was still busy");
    return true;
}

bool machine_check_promise(const struct audit *audit, const struct flush_policy *policy,
                           struct machine_result *result, struct error *error)
{
    struct error what = { "" };
    if (audit_check(audit, &what))
        return true;
    if (!policy->negative) {
        *error = what;
        return false;
    }
    result->broken = what;
    return true;
}

static bool check(struct machine *m, struct error *error)
{
    for (unsigned i = 0; i < m->run->cpus; i++)
        if (!cpu_check(&m->cpu[i], error))
            return false;
    for (unsigned i = 0; i < m->drives; i++)
        if (!nvme_ctrl_check(&m->drive[i].nvme, error))
            return false;
    return machine_check_promise(&m->audit, m->run->policy, m->result, error)
           && check_stats(m, error) && machine_check_owners(m->result, m->config, error)
           && check_everything_back(m, error);
}

static enum machine_outcome judge(struct machine *m, struct error *error)
{
    if (m->kernel.panicked) {
        *error = m->kernel.panic;
        return MACHINE_REFUSED;
    }
    if (m->engine.stopped)
        return MACHINE_STOPPED;
    if (m->failed) {
        *error = m->error;
        return MACHINE_REFUSED;
    }
    CHECK(m->finished); /* Nothing can happen any more, and the programs are not done. */
    for (unsigned i = 0; i < m->drives; i++)
        if (m->replay[i].broken) {
            *error = m->replay[i].error;
            return MACHINE_TRACE;
        }
    return check(m, error) ? MACHINE_RAN : MACHINE_BROKEN;
}

/* Whether any of the traces begins with a bare access. They are read from their starts
 * afterwards. */
static bool look_for_accesses(struct machine *m, struct error *error)
{
    for (unsigned i = 0; i < m->run->sources; i++) {
        struct trace_reader *reader = m->run->source[i].reader;
        struct trace_record record;
        const int got = trace_next(reader, &record, error);
        m->exercises |=
            got == 1 && (record.op == TRACE_ACCESS_READ || record.op == TRACE_ACCESS_WRITE);
        if (got < 0 || !trace_rewind(reader, error))
            return false;
    }
    m->result->exerciser = m->exercises;
    return true;
}

static enum machine_outcome build_and_run(struct machine *m, const struct sim_host *host,
                                          struct error *error)
{
    engine_init(&m->engine, host, m->run->run_ahead);
    m->engine.interrupted = m->run->interrupted;
    build_hardware(m);
    build_software(m);
    engine_run(&m->engine);
    const enum machine_outcome outcome = judge(m, error);
    m->result->findings                = m->kernel.stats.finding;
    destroy(m);
    return outcome;
}

enum machine_outcome machine_run(const struct config *config, const struct machine_run *run,
                                 const struct sim_host *host, struct machine_result *result,
                                 struct error *error)
{
    struct machine *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    CHECK(run->cpus > 0);
    CHECK(run->cpus <= ENGINE_CPUS_MAX);
    memset(result, 0, sizeof *result);
    result->preset          = config->preset;
    result->api             = blk_api_name[run->api];
    result->policy          = run->policy->name;
    result->translates      = run->policy->translates;
    result->negative        = run->policy->negative;
    result->attacker        = run->attacker;
    result->rdma            = run->rdma;
    result->cpus            = run->cpus;
    result->seed            = run->seed;
    result->iommu_period_ps = config->iommu.period_ps;
    m->config               = config;
    m->run                  = run;
    m->result               = result;
    m->backend              = backend_find(config->iommu.arch);
    m->drives      = replay_devices(&config->replay) == REPLAY_one ? 1 : run->sources;
    result->drives = m->drives;

    enum machine_outcome outcome = MACHINE_REFUSED;
    if (m->drives > MACHINE_DRIVES_MAX)
        error_set(error, "replay.devices: expected at most %u traces, got %u",
                  MACHINE_DRIVES_MAX, m->drives);
    else if (has_device_tlb(m) && run->policy->needs != 0)
        error_set(
            error,
            "policy %s: expected atc.enabled=0, as the hardware that it needs does not "
            "reach a device's TLB",
            run->policy->name);
    else if (!look_for_accesses(m, error))
        outcome = MACHINE_TRACE;
    else if ((run->timeline != NULL || run->waves != NULL)
             && (m->drives > 1 || m->exercises || run->rdma))
        error_set(error, "--timeline, --vcd: expected one NVMe drive, got %s",
                  m->exercises ? "a trace of bare accesses"
                  : run->rdma  ? "RDMA work"
                               : "replay.devices with several");
    else if (m->backend != NULL)
        outcome = run->rdma ? fabric_run(config, run, host, result, error)
                            : build_and_run(m, host, error);
    else
        error_set(error, "iommu.arch: a replay needs a driver, and there is none for %s",
                  config->iommu.arch);
    free(m);
    return outcome;
}
