/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/fabric.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/sampler.h"

enum { RDMA_REQUESTER = 6 << 3 }; /* Bus 0, device 6, function 0. */

struct fabric;

struct fabric_cpu {
    struct fabric_host *host;
    unsigned id;
};

struct fabric_host {
    struct fabric *fabric;
    unsigned id;
    struct memory memory;
    struct mem_channel channel;
    struct mmio_window iommu_window, nic_window, extension_window;
    struct iommu iommu;
    struct extension extension;
    struct rootport port;
    struct atc atc; /* When atc.enabled. */
    struct rdma_nic nic;
    struct audit audit;
    struct cpu cpu[ENGINE_CPUS_MAX];
    struct cpu *cpus[ENGINE_CPUS_MAX];
    struct fabric_cpu program[ENGINE_CPUS_MAX];

    struct kernel kernel;
    struct device device;
    void *backend_state;
    struct dma_domain *domain; /* NULL under passthrough. */
    struct iova_stats no_iova;
    struct verbs_device verbs;
    struct machine_counters before;
};

struct fabric {
    const struct config *config;
    const struct machine_run *run;
    struct machine_result *result;
    const struct backend *backend;
    struct engine engine;
    struct rdma_wire wire;
    struct barrier barrier;
    struct fabric_host *host;
    unsigned hosts;
    struct rdma_replay replay;
    bool replaying, failed, finished;
    unsigned taken_down;
    sim_time_t began;
    struct sampler sampler;
    struct error error;
};

/* ---- Counters -------------------------------------------------------------------------
 */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void measure_queue(struct fabric_host *h)
{
    const uint64_t period_ps = h->fabric->config->iommu.period_ps;
    invq_measure(&h->iommu, cycle_at_or_after(h->fabric->engine.now, period_ps));
}

static void count(struct fabric_host *h, struct machine_counters *c)
{
    const struct fabric *f = h->fabric;
    measure_queue(h);
    memset(c, 0, sizeof *c);
    c->kernel    = h->kernel.stats;
    c->iova      = h->domain != NULL ? h->domain->iova.stats : h->no_iova;
    c->rdma      = h->nic.stats;
    c->verbs     = h->verbs.stats;
    c->atc       = h->atc.slot != NULL ? atc_stats(&h->atc) : (struct atc_stats){ 0 };
    c->dma       = h->port.stats;
    c->iommu     = h->iommu.stats;
    c->iotlb     = h->iommu.iotlb.stats;
    c->walkcache = h->iommu.walkcache.stats;
    c->context   = h->iommu.context_stats;
    c->memport   = h->iommu.memport.stats;
    c->extension = h->extension.stats;
    c->audit     = h->audit.stats;
    c->now       = f->engine.now;
    memcpy(c->xlate_cycles, h->port.xlate_cycles, sizeof c->xlate_cycles);
    for (unsigned i = 0; i < f->run->cpus; i++)
        cpu_account(&h->cpu[i], f->engine.now, c->cycles);
    if (h->id > 0)
        return; /* Of all hosts together. */
    c->fabric = f->replay.stats;
    c->wire   = f->wire.stats;
}

static void begin_host(struct fabric_host *h)
{
    const struct machine_run *run = h->fabric->run;
    count(h, &h->before);
    memset(&h->port.read_ps, 0, sizeof h->port.read_ps);
    memset(&h->port.write_ps, 0, sizeof h->port.write_ps);
    audit_begin(&h->audit, h->fabric->engine.now);
    h->kernel.plant_reuse     = run->plant_reuse;
    h->iommu.iotlb.plant_deaf = run->plant_deaf;
}

static void end_host(struct fabric_host *h)
{
    struct machine_result *r = h->fabric->result;
    struct machine_counters c;
    audit_finish(&h->audit, h->fabric->engine.now);
    count(h, &c);
    machine_subtract(&c, &h->before);
    machine_add(&r->counters, &c);
    r->exposure_ps_max    = larger(r->exposure_ps_max, h->audit.exposure_ps_max);
    r->exposed_pages_most = larger(r->exposed_pages_most, h->audit.exposed_most);
    r->pool_pages_most    = larger(r->pool_pages_most, h->audit.pool_most);
    histogram_merge(&r->dma_read_ps, &h->port.read_ps);
    histogram_merge(&r->dma_write_ps, &h->port.write_ps);
    histogram_merge(&r->exposure_ns, &h->audit.exposure_ns);
    histogram_merge(&r->attack_ns, &h->audit.attack_ns);
}

/* ---- Over time ------------------------------------------------------------------------
 */

static void look(void *self, uint64_t *value)
{
    struct fabric *f        = self;
    value[SERIES_ID_record] = f->replay.stats.record;
    for (unsigned i = 0; i < f->hosts; i++) {
        struct fabric_host *h = &f->host[i];
        measure_queue(h);
        sampler_add_dma(value, &h->port.stats);
        sampler_add_iommu(value, &h->iommu, &h->audit);
    }
}

static void begin_measuring(struct fabric *f)
{
    f->began = f->engine.now;
    for (unsigned i = 0; i < f->hosts; i++)
        begin_host(&f->host[i]);
    sampler_begin(&f->sampler);
}

static void end_measuring(struct fabric *f)
{
    struct machine_result *r = f->result;
    sampler_end(&f->sampler);
    for (unsigned i = 0; i < f->hosts; i++)
        end_host(&f->host[i]);
    r->counters.replay.record = r->counters.fabric.record;
    r->counters.replay.failed = r->counters.fabric.failed;
    r->counters.replay.placed = r->counters.fabric.invented;
    r->time_ps                = f->engine.now - f->began;
    r->io_latency_ns          = f->replay.latency_ns;
    memcpy(r->source_records, f->replay.read_of, sizeof r->source_records);
}

/* ---- The programs ---------------------------------------------------------------------
 */

static bool has_device_tlb(const struct fabric *f)
{
    return f->config->atc.enabled && f->run->policy->translates;
}

static bool attach(struct fabric_host *h)
{
    struct fabric *f = h->fabric;
    if (!f->run->policy->translates)
        return domain_attach_identity(f->backend, h->backend_state, &h->device);
    h->domain = domain_new(&h->kernel, f->backend, h->backend_state, f->run->policy,
                           machine_policy_config(f->config, f->run->policy));
    return h->domain != NULL && domain_attach(h->domain, &h->device);
}

static bool bring_up(struct fabric_host *h)
{
    struct fabric *f       = h->fabric;
    const struct config *c = f->config;
    h->backend_state       = f->backend->probe(&h->kernel, &h->iommu_window, &f->error);
    if (h->backend_state == NULL)
        return false;
    kernel_add_device(&h->kernel, &h->device, "rdma0", RDMA_REQUESTER);
    h->device.untrusted = c->kernel.untrusted;
    h->device.ats       = has_device_tlb(f);
    if (!attach(h))
        return error_set(&f->error, "the device could not be attached to the IOMMU");
    return verbs_probe(&h->verbs, &h->device, &h->nic_window, &c->verbs, &c->umem,
                       f->run->api, h->id, &f->error);
}

static void take_down(struct fabric_host *h)
{
    const struct backend *backend = h->fabric->backend;
    verbs_remove(&h->verbs);
    kernel_remove_device(&h->device);
    if (h->domain != NULL) {
        domain_detach(h->domain, &h->device);
        domain_free(h->domain);
        h->domain = NULL;
    } else {
        domain_detach_identity(backend, h->backend_state, &h->device);
    }
    backend->remove(h->backend_state);
}

/* On one CPU, between two barriers. */
static void begin_replay(struct fabric *f)
{
    struct rdma_replay_machine machine[RDMA_HOSTS_MAX];
    const struct machine_run *run = f->run;
    for (unsigned i = 0; i < f->hosts; i++)
        machine[i] = (struct rdma_replay_machine){ &f->host[i].verbs, &f->host[i].memory,
                                                   f->host[i].cpus };
    rdma_replay_init(&f->replay, &f->config->fabric, machine, run->source, run->sources,
                     run->limit, run->seed, run->cpus);
    f->replay.progress      = run->progress;
    f->replay.progress_self = run->progress_self;
    f->replaying            = true;
}

static void meet(struct fabric *f)
{
    barrier_wait(&f->barrier, cpu_this());
}

static void set_up(struct fabric_host *h, struct cpu *cpu)
{
    struct fabric *f = h->fabric;
    cpu_own(cpu, OWNER_setup);
    if (cpu->id == 0 && !bring_up(h))
        f->failed = true;
    cpu_sync(cpu);
    meet(f);
    if (f->failed)
        return;
    if (cpu->id == 0 && h->id == 0)
        begin_replay(f);
    meet(f);
    if (cpu->id == 0)
        rdma_replay_set_up(&f->replay, h->id);
    cpu_sync(cpu);
    meet(f);
    if (cpu->id == 0 && h->id == 0)
        begin_measuring(f);
    meet(f);
}

static void finish(struct fabric_host *h, struct cpu *cpu)
{
    struct fabric *f = h->fabric;
    meet(f);
    if (cpu->id == 0 && h->id == 0)
        end_measuring(f);
    cpu_own(cpu, OWNER_setup);
    meet(f);
    if (f->replay.broken)
        return; /* Nobody asks what is left. */
    if (cpu->id == 0) {
        rdma_replay_take_down(&f->replay, h->id);
        take_down(h);
        cpu_sync(cpu);
        f->taken_down++;
    }
}

static void program(void *arg)
{
    const struct fabric_cpu *p = arg;
    struct fabric_host *h      = p->host;
    struct cpu *cpu            = cpu_this();
    set_up(h, cpu);
    if (!h->fabric->failed) {
        cpu_own(cpu, OWNER_driver);
        rdma_replay_run(&h->fabric->replay, h->id, p->id);
        finish(h, cpu);
    }
    meet(h->fabric);
    h->fabric->finished = true;
}

/* ---- Building -------------------------------------------------------------------------
 */

/* A message to the interrupt range names its CPU in bits 19:12. */
static void interrupt(void *self, uint64_t address, uint32_t data, sim_time_t now)
{
    struct fabric_host *h = self;
    const unsigned id     = (unsigned)(address >> 12) & 0xff;
    if (id < h->fabric->run->cpus)
        cpu_interrupt(&h->cpu[id], data & 0xff, now);
}

static struct port *build_port(struct fabric_host *h)
{
    struct fabric *f = h->fabric;
    if (!has_device_tlb(f))
        return rootport_port(&h->port);
    rootport_serve_device_tlb(&h->port, RDMA_REQUESTER);
    atc_init(&h->atc, &f->engine, &f->config->atc, RDMA_REQUESTER, rootport_port(&h->port),
             f->run->seed);
    audit_watch_device(&h->audit, &h->atc);
    return atc_port(&h->atc);
}

static void build_windows(struct fabric_host *h)
{
    struct engine *e                = &h->fabric->engine;
    const struct platform_config *p = &h->fabric->config->platform;
    mmio_init(&h->iommu_window, e, "iommu registers", &iommu_mmio_ops, &h->iommu,
              p->iommu_register_ns * TIME_NS);
    mmio_init(&h->nic_window, e, "rdma registers", &rdma_nic_mmio_ops, &h->nic,
              p->device_register_ns * TIME_NS);
}

static void build_hardware(struct fabric_host *h)
{
    struct fabric *f                     = h->fabric;
    const struct config *c               = f->config;
    const struct iommu_settings settings = config_settings(c);
    const struct audit_promise none      = { .kind = AUDIT_NONE }; /* Until it is known. */
    memory_init(&h->memory);
    h->channel = machine_channel(c);
    build_windows(h);
    iommu_init(&h->iommu, &settings, &f->engine, NULL, &h->memory, &h->channel,
               f->run->seed);
    rootport_init(&h->port, &f->engine, &c->link, &h->iommu, &h->memory, &h->channel);
    audit_init(&h->audit, &h->iommu, &none);
    rdma_nic_init(&h->nic, &f->engine, build_port(h), &c->rdma, RDMA_REQUESTER, &f->wire,
                  h->id, c->fabric.check);
    extension_init(&h->extension, &c->extension, f->run->policy->needs, &h->iommu,
                   &h->memory, &f->engine);
    extension_watch(&h->extension, &h->port);
    mmio_init(&h->extension_window, &f->engine, "extension registers", &extension_mmio_ops,
              &h->extension, c->platform.iommu_register_ns * TIME_NS);
    h->port.interrupt       = interrupt;
    h->port.interrupt_self  = h;
    h->iommu.interrupt      = interrupt;
    h->iommu.interrupt_self = h;
    audit_watch(&h->audit, &h->port);
}

static void build_software(struct fabric_host *h)
{
    struct fabric *f       = h->fabric;
    const struct config *c = f->config;
    for (unsigned i = 0; i < f->run->cpus; i++) {
        h->cpus[i]    = &h->cpu[i];
        h->program[i] = (struct fabric_cpu){ h, i };
        cpu_init(&h->cpu[i], i, &f->engine, &h->memory, &c->cpu, program, &h->program[i]);
    }
    kernel_init(&h->kernel, &c->kernel, &c->cost, &h->memory, h->cpus, f->run->cpus);
    h->kernel.policy       = &c->moves;
    h->kernel.extension    = &h->extension_window;
    h->kernel.observer     = audit_observer(&h->audit);
    h->audit.promise       = machine_promise(c, f->run->policy, &h->kernel, f->result);
    h->kernel.finding      = f->run->finding;
    h->kernel.finding_self = f->run->finding_self;
}

static void destroy_host(struct fabric_host *h)
{
    kernel_free(&h->kernel);
    audit_free(&h->audit);
    rdma_nic_free(&h->nic);
    if (h->atc.slot != NULL)
        atc_free(&h->atc);
    rootport_free(&h->port);
    iommu_free(&h->iommu);
    mmio_free(&h->nic_window);
    mmio_free(&h->iommu_window);
    mmio_free(&h->extension_window);
    extension_free(&h->extension);
    memory_free(&h->memory);
}

static void destroy(struct fabric *f)
{
    if (f->replaying)
        rdma_replay_free(&f->replay);
    for (unsigned i = 0; i < f->hosts; i++)
        destroy_host(&f->host[i]);
    rdma_wire_free(&f->wire);
    engine_free(&f->engine);
}

/* ---- Checks at the end ----------------------------------------------------------------
 */

static bool check_host(struct fabric_host *h, struct error *error)
{
    struct machine_counters all;
    for (unsigned i = 0; i < h->fabric->run->cpus; i++)
        if (!cpu_check(&h->cpu[i], error))
            return false;
    count(h, &all);
    if (!machine_check_stats(&all, error) || !rdma_nic_check(&h->nic, error)
        || !machine_check_kernel(&h->kernel, error))
        return false;
    if (!rootport_idle(&h->port) || !atc_idle(&h->atc) || !rdma_nic_idle(&h->nic))
        return error_set(error, "transactions were still under way");
    if (!extension_idle(&h->extension))
        return error_set(error, "the extension block was still busy");
    if (h->iommu.late_count != 0 || h->iommu.invq.state != INVQ_IDLE)
        return error_set(error, "the IOMMU was still busy");
    if (h->verbs.stats.region != h->verbs.stats.released)
        return error_set(error, "%" PRIu64 " regions were registered, %" PRIu64 " released",
                         h->verbs.stats.region, h->verbs.stats.released);
    return true;
}

/* The bytes of all messages that were replayed were placed in a host's memory (an atomic's
 * are those of its answer); parts of messages that failed were, too. */
static bool check_bytes(struct fabric *f, struct error *error)
{
    uint64_t placed = 0;
    for (unsigned i = 0; i < f->hosts; i++)
        placed += f->host[i].nic.stats.scattered_bytes;
    if (placed >= f->replay.stats.bytes)
        return true;
    return error_set(error,
                     "messages of %" PRIu64 " bytes were replayed, and %" PRIu64
                     " bytes placed in memory",
                     f->replay.stats.bytes, placed);
}

static bool check(struct fabric *f, struct error *error)
{
    for (unsigned i = 0; i < f->hosts; i++) {
        struct fabric_host *h = &f->host[i];
        const bool good = machine_check_promise(&h->audit, f->run->policy, f->result, error)
                          && check_host(h, error);
        if (!good)
            return error_in(error, "host %u", h->id);
    }
    return machine_check_owners(f->result, f->config, error)
           && rdma_wire_check(&f->wire, error) && check_bytes(f, error);
}

static enum machine_outcome judge(struct fabric *f, struct error *error)
{
    for (unsigned i = 0; i < f->hosts; i++)
        if (f->host[i].kernel.panicked) { /* Which has stopped the engine. */
            *error = f->host[i].kernel.panic;
            error_in(error, "host %u", i);
            return MACHINE_REFUSED;
        }
    if (f->engine.stopped)
        return MACHINE_STOPPED;
    if (f->failed) {
        *error = f->error;
        return MACHINE_REFUSED;
    }
    CHECK(f->finished); /* Nothing can happen any more, and the programs are not done. */
    if (f->replay.broken) {
        *error = f->replay.error;
        return f->replay.faulty ? MACHINE_BROKEN : MACHINE_TRACE;
    }
    CHECK(f->taken_down == f->hosts);
    return check(f, error) ? MACHINE_RAN : MACHINE_BROKEN;
}

static enum machine_outcome build_and_run(struct fabric *f, const struct sim_host *host,
                                          struct error *error)
{
    engine_init(&f->engine, host, f->run->run_ahead);
    f->engine.interrupted = f->run->interrupted;
    rdma_wire_init(&f->wire, &f->config->wire, f->hosts);
    for (unsigned i = 0; i < f->hosts; i++) {
        f->host[i].fabric = f;
        f->host[i].id     = i;
        build_hardware(&f->host[i]);
    }
    sampler_init(&f->sampler, &f->engine, &f->result->series, look, f);
    for (unsigned i = 0; i < f->hosts; i++)
        build_software(&f->host[i]);
    f->barrier.count = f->hosts * f->run->cpus;
    engine_run(&f->engine);
    const enum machine_outcome outcome = judge(f, error);
    for (unsigned i = 0; i < f->hosts; i++)
        f->result->findings += f->host[i].kernel.stats.finding;
    destroy(f);
    return outcome;
}

enum machine_outcome fabric_run(const struct config *config, const struct machine_run *run,
                                const struct sim_host *host, struct machine_result *result,
                                struct error *error)
{
    const unsigned hosts = config->fabric.hosts;
    if (run->attacker) {
        error_set(error, "--attacker: expected a block trace, got one of RDMA work");
        return MACHINE_REFUSED;
    }
    if (hosts * run->cpus > ENGINE_CPUS_MAX) {
        error_set(error,
                  "--cpus: expected at most %u for each of %u hosts (fabric.hosts), got %u",
                  ENGINE_CPUS_MAX / hosts, hosts, run->cpus);
        return MACHINE_REFUSED;
    }
    struct fabric *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->host = calloc(hosts, sizeof *f->host);
    CHECK(f->host != NULL);
    f->hosts                           = hosts;
    f->config                          = config;
    f->run                             = run;
    f->result                          = result;
    f->backend                         = backend_find(config->iommu.arch);
    result->cpus                       = hosts * run->cpus;
    const enum machine_outcome outcome = build_and_run(f, host, error);
    free(f->host);
    free(f);
    return outcome;
}
