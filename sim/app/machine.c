/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NVME_REQUESTER = 5 << 3 }; /* Bus 0, device 5, function 0. */

struct machine {
    const struct config *config;
    const struct machine_run *run;
    struct machine_result *result;
    struct engine engine;
    struct memory memory;
    struct mem_channel channel;
    struct mmio_window iommu_window, nvme_window, extension_window;
    struct iommu iommu;
    struct extension extension;
    struct rootport port;
    struct atc atc; /* When atc.enabled. */
    struct nvme_ctrl nvme;
    struct rootport attacker_port;
    struct attacker attacker;
    struct audit audit;
    struct cpu cpu[ENGINE_CPUS_MAX];
    struct cpu *cpus[ENGINE_CPUS_MAX];
    struct barrier barrier;

    struct kernel kernel;
    struct device device;
    const struct backend *backend;
    void *backend_state;
    struct dma_domain *domain; /* NULL under passthrough. */
    struct nvme_driver driver;
    struct replay replay;
    struct machine_counters before;
    struct iova_stats no_iova;    /* Of a machine without a domain. */
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

static void add_driver(struct driver_stats *sum, const struct driver_stats *one)
{
    for (const struct stat_def *def = driver_stat_table.def; def->name != NULL; def++)
        *(uint64_t *)((char *)sum + def->offset) += stat_value(def, one);
}

static void count(const struct machine *m, struct machine_counters *c)
{
    memset(c, 0, sizeof *c);
    c->replay    = m->replay.stats;
    c->kernel    = m->kernel.stats;
    c->iova      = m->domain != NULL ? m->domain->iova.stats : m->no_iova;
    c->nvme      = m->nvme.stats;
    c->atc       = m->atc.slot != NULL ? atc_stats(&m->atc) : (struct atc_stats){ 0 };
    c->dma       = m->port.stats;
    c->iommu     = m->iommu.stats;
    c->iotlb     = m->iommu.iotlb.stats;
    c->walkcache = m->iommu.walkcache.stats;
    c->context   = m->iommu.context_stats;
    c->memport   = m->iommu.memport.stats;
    c->extension = m->extension.stats;
    c->audit     = m->audit.stats;
    c->attacker  = m->attacker.stats;
    c->now       = m->engine.now;
    memcpy(c->xlate_cycles, m->port.xlate_cycles, sizeof c->xlate_cycles);
    for (unsigned i = 0; i < m->driver.queues; i++)
        add_driver(&c->driver, &m->driver.queue[i].stats);
    for (unsigned i = 0; i < m->run->cpus; i++)
        cpu_account(&m->cpu[i], m->engine.now, c->cycles);
}

static void subtract(struct machine_counters *later, const struct machine_counters *earlier)
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

/* ---- The programs
 * --------------------------------------------------------------------------------- */

/* The parameters of a policy of the family; one that a test brings along has none. */
static const void *policy_config(const struct machine *m)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (flush_table[i] == m->run->policy)
            return m->config->policy[i];
    return NULL;
}

static struct audit_promise promise(const struct machine *m)
{
    static const enum audit_promise_kind kind[] = {
        [PROMISE_NOTHING_STALE] = AUDIT_NOTHING_STALE,
        [PROMISE_BOUNDED_TIME]  = AUDIT_BOUNDED_TIME,
        [PROMISE_BOUNDED_COUNT] = AUDIT_BOUNDED_COUNT,
        [PROMISE_BOUNDED_BYTES] = AUDIT_BOUNDED_BYTES,
        [PROMISE_POOL_ONLY]     = AUDIT_POOL_ONLY,
        [PROMISE_NONE]          = AUDIT_NONE,
    };
    struct audit_promise p = { .grace_ps = m->config->audit.grace_us * TIME_US };
    m->result->promise =
        flush_policy_promise(m->run->policy, policy_config(m), m->kernel.policy, &p.bound);
    p.kind = kind[m->result->promise];
    return p;
}

static bool attach(struct machine *m)
{
    if (!m->run->policy->translates)
        return domain_attach_identity(m->backend, m->backend_state, &m->device);
    m->domain = domain_new(&m->kernel, m->backend, m->backend_state, m->run->policy,
                           policy_config(m));
    return m->domain != NULL && domain_attach(m->domain, &m->device);
}

/* The device's TLB is on when the kernel switches it on: not where there is nothing to
 * translate. */
static bool has_device_tlb(const struct machine *m)
{
    return m->config->atc.enabled && m->run->policy->translates;
}

static bool bring_up(struct machine *m)
{
    m->backend_state = m->backend->probe(&m->kernel, &m->iommu_window, &m->error);
    if (m->backend_state == NULL)
        return false;
    kernel_add_device(&m->kernel, &m->device, "nvme0", NVME_REQUESTER);
    m->device.untrusted = m->config->kernel.untrusted;
    m->device.ats       = has_device_tlb(m);
    if (!attach(m))
        return error_set(&m->error, "the device could not be attached to the IOMMU");
    return nvme_driver_probe(&m->driver, &m->device, &m->nvme_window, &m->config->driver,
                             &m->config->blk, m->run->api, &m->error);
}

static void take_down(struct machine *m)
{
    nvme_driver_remove(&m->driver);
    kernel_remove_device(&m->device);
    if (m->domain != NULL) {
        domain_detach(m->domain, &m->device);
        domain_free(m->domain);
        m->domain = NULL;
    } else {
        domain_detach_identity(m->backend, m->backend_state, &m->device);
    }
    m->backend->remove(m->backend_state);
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
    const struct scope scope = { &m->engine, m->cpu,   m->run->cpus, &m->iommu,
                                 &m->port,   &m->nvme, &m->driver,   &m->audit };
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
    memset(&m->port.read_ps, 0, sizeof m->port.read_ps);
    memset(&m->port.write_ps, 0, sizeof m->port.write_ps);
    audit_begin(&m->audit, m->engine.now);
    m->kernel.plant_reuse     = m->run->plant_reuse;
    m->iommu.iotlb.plant_deaf = m->run->plant_deaf;
    if (m->run->attacker)
        attacker_start(&m->attacker, m->engine.now);
    begin_looking(m);
}

static void end_measuring(struct machine *m)
{
    struct machine_result *r = m->result;
    end_looking(m);
    attacker_stop(&m->attacker);
    audit_finish(&m->audit, m->engine.now);
    count(m, &r->counters);
    subtract(&r->counters, &m->before);
    r->time_ps            = m->engine.now - m->before.now;
    r->exposure_ps_max    = m->audit.exposure_ps_max;
    r->exposed_pages_most = m->audit.exposed_most;
    r->io_latency_ns      = m->replay.latency_ns;
    r->dma_read_ps        = m->port.read_ps;
    r->dma_write_ps       = m->port.write_ps;
    r->exposure_ns        = m->audit.exposure_ns;
    r->attack_ns          = m->audit.attack_ns;
    r->pool_pages_most    = m->audit.pool_most;
    memcpy(r->source_records, m->replay.read_of, sizeof r->source_records);
}

static void cpu0_before(struct machine *m, struct cpu *cpu)
{
    cpu_own(cpu, OWNER_setup);
    m->failed = !bring_up(m);
    cpu_sync(cpu);
    if (m->failed)
        return;
    replay_init(&m->replay, &m->config->replay, m->run->source, m->run->sources,
                m->run->limit, m->run->seed, &m->driver, m->cpus, m->run->cpus);
    m->replay.progress      = m->run->progress;
    m->replay.progress_self = m->run->progress_self;
    begin_measuring(m);
}

static void cpu0_after(struct machine *m, struct cpu *cpu)
{
    end_measuring(m);
    cpu_own(cpu, OWNER_setup);
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
        replay_run(&m->replay);
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

static struct port *build_port(struct machine *m)
{
    if (!has_device_tlb(m))
        return rootport_port(&m->port);
    rootport_serve_device_tlb(&m->port, NVME_REQUESTER);
    atc_init(&m->atc, &m->engine, &m->config->atc, NVME_REQUESTER, rootport_port(&m->port),
             m->run->seed);
    audit_watch_device(&m->audit, &m->atc);
    return atc_port(&m->atc);
}

static void learn(void *self, uint64_t iova, uint32_t bytes)
{
    attacker_learn(self, iova, bytes);
}

/* It looks like the NVMe controller to the IOMMU, over a link of its own. */
static void build_attacker(struct machine *m)
{
    const struct config *c = m->config;
    rootport_init(&m->attacker_port, &m->engine, &c->link, &m->iommu, &m->memory,
                  &m->channel);
    attacker_init(&m->attacker, &m->engine, rootport_port(&m->attacker_port), &c->attacker,
                  NVME_REQUESTER, m->run->seed);
    m->nvme.data_moved      = learn;
    m->nvme.data_moved_self = &m->attacker;
    audit_watch_hostile(&m->audit, &m->attacker_port);
}

static void build_hardware(struct machine *m)
{
    const struct config *c               = m->config;
    const struct platform_config *p      = &c->platform;
    const struct iommu_settings settings = config_settings(c);
    memory_init(&m->memory);
    m->channel = (struct mem_channel){ .latency_ps = p->memory_latency_ns * TIME_NS,
                                       .beat_ps    = p->memory_beat_ps,
                                       .beat_bytes = p->memory_beat_bytes };
    mmio_init(&m->iommu_window, &m->engine, "iommu registers", &iommu_mmio_ops, &m->iommu,
              p->iommu_register_ns * TIME_NS);
    mmio_init(&m->nvme_window, &m->engine, "nvme registers", &nvme_mmio_ops, &m->nvme,
              p->device_register_ns * TIME_NS);
    iommu_init(&m->iommu, &settings, &m->engine, NULL, &m->memory, &m->channel,
               m->run->seed);
    rootport_init(&m->port, &m->engine, &c->link, &m->iommu, &m->memory, &m->channel);
    const struct audit_promise none = { .kind = AUDIT_NONE }; /* Until it is known. */
    audit_init(&m->audit, &m->iommu, &none);
    nvme_ctrl_init(&m->nvme, &m->engine, build_port(m), &c->nvme, NVME_REQUESTER,
                   m->run->seed);
    extension_init(&m->extension, &c->extension, m->run->policy->needs, &m->iommu,
                   &m->memory, &m->engine);
    extension_watch(&m->extension, &m->port);
    mmio_init(&m->extension_window, &m->engine, "extension registers", &extension_mmio_ops,
              &m->extension, p->iommu_register_ns * TIME_NS);
    m->port.interrupt       = interrupt;
    m->port.interrupt_self  = m;
    m->iommu.interrupt      = interrupt;
    m->iommu.interrupt_self = m;
    audit_watch(&m->audit, &m->port);
    if (!m->run->attacker)
        return;
    build_attacker(m);
    extension_watch(&m->extension, &m->attacker_port);
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
    m->audit.promise    = promise(m);
    m->barrier.count    = m->run->cpus;

    m->kernel.finding      = m->run->finding;
    m->kernel.finding_self = m->run->finding_self;
}

static void destroy(struct machine *m)
{
    leave_looking(m);
    if (m->replay.cpu != NULL)
        replay_free(&m->replay);
    kernel_free(&m->kernel);
    audit_free(&m->audit);
    nvme_ctrl_free(&m->nvme);
    if (m->atc.slot != NULL)
        atc_free(&m->atc);
    rootport_free(&m->port);
    if (m->run->attacker) {
        attacker_free(&m->attacker);
        rootport_free(&m->attacker_port);
    }
    iommu_free(&m->iommu);
    mmio_free(&m->nvme_window);
    mmio_free(&m->iommu_window);
    mmio_free(&m->extension_window);
    extension_free(&m->extension);
    memory_free(&m->memory);
    engine_free(&m->engine);
}

/* ---- Checks at the end
 * --------------------------------------------------------------------------------- */

static bool check_stats(struct machine *m, struct error *error)
{
    struct machine_counters all;
    count(m, &all);
    for (unsigned i = 0; i < TABLES; i++)
        if (!stat_check(tables[i].table, (const char *)&all + tables[i].offset, error))
            return false;
    return true;
}

/* The account of the replay is complete: as many cycles as its CPUs had time for. */
static bool check_owners(const struct machine *m, struct error *error)
{
    const struct machine_result *r = m->result;
    const uint64_t had             = r->cpus * (r->time_ps / m->config->cpu.period_ps);
    uint64_t owned                 = 0;
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

static bool check_everything_back(const struct machine *m, struct error *error)
{
    if (m->kernel.pages.out != 0)
        return error_set(error, "%" PRIu64 " page frames were not given back",
                         m->kernel.pages.out);
    if (m->kernel.stats.table_allocated != m->kernel.stats.table_freed)
        return error_set(error,
                         "%" PRIu64 " page-table pages were taken, %" PRIu64 " freed",
                         m->kernel.stats.table_allocated, m->kernel.stats.table_freed);
    if (m->kernel.bounce_slots_out != 0)
        return error_set(error, "%" PRIu64 " slots of bounce buffers were not given back",
                         m->kernel.bounce_slots_out);
    if (m->kernel.heap.out != 0)
        return error_set(error, "host memory that %s took was not given back",
                         hostheap_taker(&m->kernel.heap));
    if (!rootport_idle(&m->port) || !atc_idle(&m->atc) || !nvme_ctrl_idle(&m->nvme)
        || !rootport_idle(&m->attacker_port))
        return error_set(error, "transactions were still under way");
    if (!extension_idle(&m->extension))
        return error_set(error, "the extension block was still busy");
    if (m->iommu.late_count != 0 || m->iommu.invq.state != INVQ_IDLE)
        return error_set(error, "the IOMMU was still busy");
    return true;
}

/* A negative control has to break something; how often is in the statistics. */
static bool check_promise(struct machine *m, struct error *error)
{
    struct error what = { "" };
    if (audit_check(&m->audit, &what))
        return true;
    if (!m->run->policy->negative) {
        *error = what;
        return false;
    }
    m->result->broken = what;
    return true;
}

static bool check(struct machine *m, struct error *error)
{
    for (unsigned i = 0; i < m->run->cpus; i++)
        if (!cpu_check(&m->cpu[i], error))
            return false;
    return check_promise(m, error) && check_stats(m, error) && check_owners(m, error)
           && nvme_ctrl_check(&m->nvme, error) && check_everything_back(m, error);
}

static enum machine_outcome judge(struct machine *m, struct error *error)
{
    if (m->engine.stopped)
        return MACHINE_STOPPED;
    if (m->failed) {
        *error = m->error;
        return MACHINE_REFUSED;
    }
    CHECK(m->finished); /* Nothing can happen any more, and the programs are not done. */
    if (m->replay.broken) {
        *error = m->replay.error;
        return MACHINE_TRACE;
    }
    return check(m, error) ? MACHINE_RAN : MACHINE_BROKEN;
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
    result->cpus            = run->cpus;
    result->seed            = run->seed;
    result->iommu_period_ps = config->iommu.period_ps;
    m->config               = config;
    m->run                  = run;
    m->result               = result;
    m->backend              = backend_find(config->iommu.arch);

    enum machine_outcome outcome = MACHINE_REFUSED;
    if (has_device_tlb(m) && run->policy->needs != 0)
        error_set(
            error,
            "policy %s: expected atc.enabled=0, as the hardware that it needs does not "
            "reach a device's TLB",
            run->policy->name);
    else if (m->backend != NULL)
        outcome = build_and_run(m, host, error);
    else
        error_set(error, "iommu.arch: a replay needs a driver, and there is none for %s",
                  config->iommu.arch);
    free(m);
    return outcome;
}
