/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/fabric.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/hostile.h"
#include "sim/app/onlooker.h"
#include "sim/app/sampler.h"
#include "sim/app/storage.h"

enum { RDMA_REQUESTER = 6 << 3 }; /* Bus 0, device 6, function 0. */

struct fabric;

struct fabric_cpu {
    struct fabric_host *host;
    unsigned id;
};

struct fabric_host {
    struct fabric *fabric;
    unsigned id;
    struct system system;
    struct slot slot;
    struct rdma_nic nic;
    struct hostile hostile; /* With run->attacker: beside the NIC. */
    struct fabric_cpu program[ENGINE_CPUS_MAX];
    struct verbs_device verbs;
    struct machine_counters before;
    char name[16];
};

struct fabric {
    const struct config *config;
    const struct machine_run *run;
    struct machine_result *result;
    struct engine engine;
    struct rdma_wire wire;
    struct barrier barrier;
    struct fabric_host *host;
    unsigned hosts;
    struct rdma_replay replay;
    struct storage *storage; /* Block requests go over it; NULL: RDMA work is replayed. */
    bool turns;              /* Messages take turns: programs look at what has arrived. */
    bool replaying, failed, finished;
    unsigned taken_down;
    sim_time_t began;
    struct sampler sampler;
    struct onlooker onlooker;
    struct error error;
};

/* ---- Counters -------------------------------------------------------------------------
 */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void count(struct fabric_host *h, struct machine_counters *c)
{
    const struct fabric *f = h->fabric;
    memset(c, 0, sizeof *c);
    system_count(&h->system, &c->system);
    slot_count(&h->slot, &c->system);
    slot_count_domain(&h->slot, &c->system);
    c->rdma     = h->nic.stats;
    c->verbs    = h->verbs.stats;
    c->attacker = h->hostile.attacker.stats;
    if (f->storage != NULL)
        storage_count(f->storage, h->id, c);
    if (h->id > 0)
        return; /* Of all hosts together. */
    c->fabric = f->replay.stats;
    c->wire   = f->wire.stats;
}

static void forget_latencies(struct rootport *port)
{
    memset(&port->read_ps, 0, sizeof port->read_ps);
    memset(&port->write_ps, 0, sizeof port->write_ps);
}

static void merge_latencies(struct machine_result *r, const struct rootport *port)
{
    histogram_merge(&r->dma_read_ps, &port->read_ps);
    histogram_merge(&r->dma_write_ps, &port->write_ps);
}

static bool has_drive(const struct fabric_host *h)
{
    return h->fabric->storage != NULL && h->id == STORAGE_SERVER;
}

/* Of several; NULL: there is one. */
static const char *name_of(const struct fabric_host *h)
{
    static const char *const end[] = {
        [STORAGE_CLIENT] = "host", [STORAGE_SERVER] = "target"
    };
    if (h->fabric->hosts == 1)
        return NULL;
    return h->fabric->storage != NULL ? end[h->id] : h->name;
}

static bool fails(void *self, const char *what)
{
    const struct fabric_host *h   = self;
    const struct machine_run *run = h->fabric->run;
    return run->fails(run->fails_self, h->id, what);
}

static void let_fail(struct fabric_host *h)
{
    h->system.kernel.fails      = h->fabric->run->fails != NULL ? fails : NULL;
    h->system.kernel.fails_self = h;
}

static void begin_host(struct fabric_host *h)
{
    const struct machine_run *run = h->fabric->run;
    count(h, &h->before);
    forget_latencies(&h->slot.port);
    if (has_drive(h))
        forget_latencies(&h->fabric->storage->slot.port);
    audit_begin(&h->system.audit, h->fabric->engine.now);
    h->system.kernel.plant_reuse     = run->plant_reuse;
    h->system.iommu.iotlb.plant_deaf = run->plant_deaf;
    let_fail(h);
    hostile_start(&h->hostile, h->fabric->engine.now);
    if (has_drive(h))
        hostile_start(&h->fabric->storage->hostile, h->fabric->engine.now);
}

static void end_host(struct fabric_host *h)
{
    struct machine_result *r = h->fabric->result;
    struct machine_counters c;
    h->system.kernel.fails = NULL;
    hostile_stop(&h->hostile);
    if (has_drive(h))
        hostile_stop(&h->fabric->storage->hostile);
    audit_finish(&h->system.audit, h->fabric->engine.now);
    count(h, &c);
    machine_subtract(&c, &h->before);
    machine_add(&r->counters, &c);
    if (h->fabric->storage != NULL)
        r->end[h->id] = c;
    r->exposure_ps_max    = larger(r->exposure_ps_max, h->system.audit.exposure_ps_max);
    r->exposed_pages_most = larger(r->exposed_pages_most, h->system.audit.exposed_most);
    r->pool_pages_most    = larger(r->pool_pages_most, h->system.audit.pool_most);
    merge_latencies(r, &h->slot.port);
    hostile_tell(&h->hostile, name_of(h), "rdma0", r);
    if (has_drive(h)) {
        merge_latencies(r, &h->fabric->storage->slot.port);
        hostile_tell(&h->fabric->storage->hostile, name_of(h), "nvme0", r);
    }
    histogram_merge(&r->exposure_ns, &h->system.audit.exposure_ns);
    histogram_merge(&r->attack_ns, &h->system.audit.attack_ns);
}

/* ---- Over time ------------------------------------------------------------------------
 */

static void look(void *self, uint64_t *value)
{
    struct fabric *f        = self;
    value[SERIES_ID_record] = f->replay.stats.record;
    for (unsigned i = 0; i < f->hosts; i++) {
        struct fabric_host *h = &f->host[i];
        system_measure_queue(&h->system);
        sampler_add_dma(value, &h->slot.port.stats);
        sampler_add_iommu(value, &h->system.iommu, &h->system.audit);
    }
    if (f->storage != NULL)
        storage_look(f->storage, value);
}

/* ---- Who looks on ---------------------------------------------------------------------
 */

static struct scope scope_of(struct fabric_host *h)
{
    const struct fabric *f = h->fabric;
    struct scope scope     = { .engine  = h->system.engine,
                               .cpu     = h->system.cpu,
                               .cpus    = f->run->cpus,
                               .iommu   = &h->system.iommu,
                               .audit   = &h->system.audit,
                               .devices = 1 };
    scope.name             = name_of(h);
    scope.device[0]        = (struct scope_device){
               .name = "rdma0", .port = &h->slot.port, .nic = &h->nic, .verbs = &h->verbs
    };
    if (has_drive(h))
        scope.device[scope.devices++] =
            (struct scope_device){ .name   = "nvme0",
                                   .port   = &f->storage->slot.port,
                                   .nvme   = &f->storage->nvme,
                                   .driver = &f->storage->driver };
    return scope;
}

static void begin_looking(struct fabric *f)
{
    struct scope scope[RDMA_HOSTS_MAX];
    static_assert((int)RDMA_HOSTS_MAX <= (int)SCOPE_HOSTS_MAX, "room for all hosts");
    for (unsigned i = 0; i < f->hosts; i++)
        scope[i] = scope_of(&f->host[i]);
    onlooker_begin(&f->onlooker, f->run, f->config->preset, scope, f->hosts, f->engine.now);
}

static void begin_measuring(struct fabric *f)
{
    f->began = f->engine.now;
    for (unsigned i = 0; i < f->hosts; i++)
        begin_host(&f->host[i]);
    sampler_begin(&f->sampler);
    begin_looking(f);
}

static void end_measuring(struct fabric *f)
{
    struct machine_result *r = f->result;
    onlooker_end(&f->onlooker, f->engine.now);
    sampler_end(&f->sampler);
    if (f->storage != NULL)
        storage_end(f->storage);
    for (unsigned i = 0; i < f->hosts; i++)
        end_host(&f->host[i]);
    r->time_ps = f->engine.now - f->began;
    if (f->storage != NULL) {
        r->io_latency_ns = f->storage->replay.latency_ns;
        memcpy(r->source_records, f->storage->replay.read_of, sizeof r->source_records);
        return;
    }
    r->counters.replay.record = r->counters.fabric.record;
    r->counters.replay.failed = r->counters.fabric.failed;
    r->counters.replay.placed = r->counters.fabric.invented;
    r->io_latency_ns          = f->replay.latency_ns;
    memcpy(r->source_records, f->replay.read_of, sizeof r->source_records);
}

/* ---- The programs ---------------------------------------------------------------------
 */

static bool bring_up(struct fabric_host *h)
{
    struct fabric *f       = h->fabric;
    const struct config *c = f->config;
    if (!system_boot(&h->system, &f->error))
        return false;
    if (!slot_attach(&h->slot, "rdma0", NULL))
        return error_set(&f->error, "the device could not be attached to the IOMMU");
    const struct verbs_config verbs =
        f->storage != NULL ? nvmf_verbs_config(&c->verbs, &c->nvmf) : c->verbs;
    return verbs_probe(&h->verbs, &h->slot.device, &h->slot.window, &verbs, &c->umem,
                       f->run->api, h->id, &f->error)
           && (!has_drive(h) || storage_bring_up(f->storage, &f->error));
}

static void take_down(struct fabric_host *h)
{
    if (has_drive(h))
        storage_take_down(h->fabric->storage);
    verbs_remove(&h->verbs);
    CHECK(slot_detach(&h->slot, false) == 0);
    system_halt(&h->system);
}

/* On one CPU, between two barriers. */
static void begin_replay(struct fabric *f)
{
    struct rdma_replay_machine machine[RDMA_HOSTS_MAX];
    const struct machine_run *run = f->run;
    if (f->storage != NULL) {
        f->failed = !storage_begin(f->storage, &f->host[STORAGE_CLIENT].system, &f->error);
        return;
    }
    for (unsigned i = 0; i < f->hosts; i++)
        machine[i] =
            (struct rdma_replay_machine){ &f->host[i].verbs, &f->host[i].system.memory,
                                          f->host[i].system.cpus };
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

/* What making the controller ready costs is beside the replay. */
static void begin_start(struct fabric *f)
{
    f->began = f->engine.now;
    for (unsigned i = 0; i < f->hosts; i++) {
        count(&f->host[i], &f->host[i].before);
        let_fail(&f->host[i]);
    }
}

static void end_start(struct fabric *f)
{
    f->result->start_ps = f->engine.now - f->began;
    for (unsigned i = 0; i < f->hosts; i++) {
        count(&f->host[i], &f->result->start[i]);
        machine_subtract(&f->result->start[i], &f->host[i].before);
    }
    storage_again(f->storage);
}

/* From two ends to a controller that is ready; false: there is something that they lack. */
static bool make_ready(struct fabric_host *h, struct cpu *cpu)
{
    struct fabric *f = h->fabric;
    if (cpu->id == 0 && !storage_connect(f->storage, h->id, &f->error))
        f->failed = true;
    cpu_sync(cpu);
    meet(f);
    if (f->failed)
        return false;
    if (cpu->id == 0 && h->id == 0)
        begin_start(f);
    meet(f);
    if (!storage_start(f->storage, h->id, &f->error))
        f->failed = true;
    cpu_sync(cpu);
    meet(f);
    if (cpu->id == 0 && h->id == 0)
        end_start(f);
    return !f->failed;
}

/* What the program of the hosts needs, on both; likewise. */
static bool prepare(struct fabric_host *h, struct cpu *cpu)
{
    struct fabric *f  = h->fabric;
    struct storage *s = f->storage;
    if (cpu->id == 0 && s == NULL)
        rdma_replay_set_up(&f->replay, h->id);
    if (cpu->id == 0 && s != NULL && !storage_probe(s, h->id, &h->verbs, &f->error))
        f->failed = true;
    cpu_sync(cpu);
    meet(f);
    return !f->failed && (s == NULL || make_ready(h, cpu));
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
    if (!prepare(h, cpu))
        return;
    if (cpu->id == 0 && h->id == 0)
        begin_measuring(f);
    meet(f);
}

static void finish(struct fabric_host *h, struct cpu *cpu)
{
    struct fabric *f = h->fabric;
    meet(f);
    if (cpu->id == 0 && h->id == 0) {
        end_measuring(f);
        if (f->storage != NULL)
            storage_again(f->storage);
    }
    cpu_own(cpu, OWNER_setup);
    meet(f);
    if (f->storage != NULL) {
        storage_stop(f->storage, h->id);
        meet(f);
    }
    if (f->replay.broken)
        return; /* Nobody asks what is left. */
    if (cpu->id == 0) {
        if (f->storage != NULL)
            storage_remove(f->storage, h->id);
        else
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
        if (h->fabric->storage != NULL)
            storage_run(h->fabric->storage, h->id);
        else
            rdma_replay_run(&h->fabric->replay, h->id, p->id);
        finish(h, cpu);
    }
    meet(h->fabric);
    h->fabric->finished = true;
}

/* ---- Building -------------------------------------------------------------------------
 */

static void build_hardware(struct fabric_host *h)
{
    struct fabric *f       = h->fabric;
    const struct config *c = f->config;
    system_build_iommu(&h->system, &c->system, f->run->policy, &f->engine, f->run->seed);
    slot_build(&h->slot, &h->system, RDMA_REQUESTER, system_has_device_tlb(&h->system),
               "rdma registers", &rdma_nic_mmio_ops, &h->nic);
    rdma_nic_init(&h->nic, &f->engine, slot_port(&h->slot), &c->rdma, RDMA_REQUESTER,
                  &f->wire, h->id, c->fabric.check || f->turns || f->storage != NULL);
    system_build_extension(&h->system);
    if (!f->run->attacker)
        return;
    hostile_build(&h->hostile, &h->system, c, RDMA_REQUESTER, f->run->seed + h->id);
    h->nic.data_moved      = hostile_learn;
    h->nic.data_moved_self = &h->hostile;
}

static void build_software(struct fabric_host *h)
{
    struct fabric *f = h->fabric;
    void *argument[ENGINE_CPUS_MAX];
    for (unsigned i = 0; i < f->run->cpus; i++) {
        h->program[i] = (struct fabric_cpu){ h, i };
        argument[i]   = &h->program[i];
    }
    system_build_software(&h->system, f->run->cpus, program, argument);
    system_promise(&h->system, &f->result->promise);
    h->system.kernel.finding      = f->run->finding;
    h->system.kernel.finding_self = f->run->finding_self;
}

static void destroy_host(struct fabric_host *h)
{
    hostile_destroy(&h->hostile);
    rdma_nic_free(&h->nic);
    slot_destroy(&h->slot);
    system_destroy(&h->system);
}

static void destroy(struct fabric *f)
{
    onlooker_leave(&f->onlooker, f->engine.now);
    if (f->replaying)
        rdma_replay_free(&f->replay);
    if (f->storage != NULL)
        storage_destroy(f->storage);
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
    if (!system_check_cpus(&h->system, error))
        return false;
    count(h, &all);
    if (!machine_check_stats(&all, error) || !rdma_nic_check(&h->nic, error)
        || !system_check_kernel(&h->system.kernel, error))
        return false;
    if (!slot_idle(&h->slot) || !rdma_nic_idle(&h->nic))
        return error_set(error, "transactions were still under way");
    if (!hostile_idle(&h->hostile))
        return error_set(error, "transactions of the attacker were still under way");
    if (!system_check_idle(&h->system, error))
        return false;
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
        const bool good       = machine_check_promise(&h->system.audit, f->result, error)
                          && check_host(h, error);
        if (!good)
            return error_in(error, "host %u", h->id);
    }
    return machine_check_owners(f->result, f->config, error)
           && rdma_wire_check(&f->wire, error)
           && (f->storage != NULL ? storage_check(f->storage, error)
                                  : check_bytes(f, error));
}

static enum machine_outcome judge(struct fabric *f, struct error *error)
{
    for (unsigned i = 0; i < f->hosts; i++)
        if (f->host[i].system.kernel.panicked) { /* Which has stopped the engine. */
            *error = f->host[i].system.kernel.panic;
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
    if (f->storage != NULL && f->storage->replay.broken) {
        *error = f->storage->replay.error;
        return MACHINE_TRACE;
    }
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
        snprintf(f->host[i].name, sizeof f->host[i].name, "host %u", i);
        build_hardware(&f->host[i]);
    }
    f->wire.watcher      = f->run->packet;
    f->wire.watcher_self = f->run->packet_self;
    if (f->storage != NULL
        && !storage_build(f->storage, f->config, f->run, &f->host[STORAGE_SERVER].system,
                          error)) {
        destroy(f);
        return MACHINE_REFUSED;
    }
    sampler_init(&f->sampler, &f->engine, &f->result->series, look, f);
    for (unsigned i = 0; i < f->hosts; i++)
        build_software(&f->host[i]);
    f->barrier.count = f->hosts * f->run->cpus;
    engine_run(&f->engine);
    const enum machine_outcome outcome = judge(f, error);
    for (unsigned i = 0; i < f->hosts; i++)
        f->result->findings += f->host[i].system.kernel.stats.finding;
    destroy(f);
    return outcome;
}

enum machine_outcome fabric_run(const struct config *config, const struct machine_run *run,
                                const struct sim_host *host, struct machine_result *result,
                                struct error *error)
{
    const unsigned hosts    = config->fabric.hosts;
    struct storage *storage = NULL;
    if (!run->rdma && !storage_check_run(config, run, error))
        return MACHINE_REFUSED;
    const bool turns = trace_takes_turns(trace_about(run->source[0].reader));
    for (unsigned i = 1; i < run->sources; i++)
        if (trace_takes_turns(trace_about(run->source[i].reader)) != turns) {
            error_set(error,
                      "%s, %s: messages of one take turns, of the other not: they "
                      "cannot be replayed together",
                      run->source[0].name, run->source[i].name);
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
    f->hosts = hosts;
    f->turns = turns;
    if (!run->rdma) {
        storage = calloc(1, sizeof *storage);
        CHECK(storage != NULL);
    }
    f->storage                         = storage;
    f->config                          = config;
    f->run                             = run;
    f->result                          = result;
    result->cpus                       = hosts * run->cpus;
    const enum machine_outcome outcome = build_and_run(f, host, error);
    free(storage);
    free(f->host);
    free(f);
    return outcome;
}
