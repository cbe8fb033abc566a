/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/drives.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/hostile.h"
#include "sim/app/onlooker.h"
#include "sim/app/sampler.h"

enum {
    NVME_REQUESTER      = 5 << 3,
    EXERCISER_REQUESTER = 1 << 8
}; /* Bus 0, device 5, function 0; the next is device 6. */

/* A drive: its link, its software, and the traces that are replayed on it. */
struct drive {
    struct slot slot;
    struct nvme_ctrl nvme;
    char name[16];
    struct nvme_driver driver;
    struct hostile hostile; /* With run->attacker: beside it. */
};

struct machine {
    const struct config *config;
    const struct machine_run *run;
    struct machine_result *result;
    struct engine engine;
    struct system system;
    /* A device for bare accesses, when the trace begins with one. */
    bool exercises;
    struct slot exerciser_slot;
    struct exerciser exerciser;
    struct sampler sampler;
    struct barrier barrier;
    struct drive drive[MACHINE_DRIVES_MAX];
    struct replay replay[MACHINE_DRIVES_MAX];
    unsigned drives;
    struct machine_counters before;
    struct machine_drive drive_before[MACHINE_DRIVES_MAX];
    struct onlooker onlooker;
    bool failed, finished;
    struct error error;
};

/* ---- Counters
 * ------------------------------------------------------------------------------------ */

static void count_drive(const struct machine *m, unsigned i, struct machine_counters *c)
{
    const struct drive *d      = &m->drive[i];
    const bool first_of_domain = i == 0 || d->slot.domain != m->drive[0].slot.domain;
    system_add_stats(&replay_stat_table, &c->replay, &m->replay[i].stats);
    system_add_stats(&nvme_stat_table, &c->nvme, &d->nvme.stats);
    system_add_stats(&attacker_stat_table, &c->attacker, &d->hostile.attacker.stats);
    slot_count(&d->slot, &c->system);
    if (first_of_domain)
        slot_count_domain(&d->slot, &c->system);
    for (unsigned q = 0; q < d->driver.queues; q++)
        system_add_stats(&driver_stat_table, &c->driver, &d->driver.queue[q].stats);
}

static void count(struct machine *m, struct machine_counters *c)
{
    memset(c, 0, sizeof *c);
    system_count(&m->system, &c->system);
    c->exerciser = m->exerciser.stats;
    for (unsigned i = 0; i < m->drives; i++)
        count_drive(m, i, c);
    if (m->exercises) {
        slot_count(&m->exerciser_slot, &c->system);
        slot_count_domain(&m->exerciser_slot, &c->system);
    }
}

/* ---- Over time
 * ---------------------------------------------------------------------------------- */

static void look(void *self, uint64_t *value)
{
    struct machine *m = self;
    system_measure_queue(&m->system);
    for (unsigned i = 0; i < m->drives; i++) {
        value[SERIES_ID_record] += m->replay[i].stats.record;
        sampler_add_dma(value, &m->drive[i].slot.port.stats);
    }
    if (m->exercises)
        sampler_add_dma(value, &m->exerciser_slot.port.stats);
    sampler_add_iommu(value, &m->system.iommu, &m->system.audit);
}

/* ---- The programs
 * --------------------------------------------------------------------------------- */

static bool shares_domain(const struct machine *m, unsigned i)
{
    return i > 0 && replay_devices(&m->config->replay) == REPLAY_shared;
}

static bool bring_up_drive(struct machine *m, unsigned i)
{
    struct drive *d = &m->drive[i];
    snprintf(d->name, sizeof d->name, "nvme%u", i);
    if (!slot_attach(&d->slot, d->name,
                     shares_domain(m, i) ? m->drive[0].slot.domain : NULL))
        return error_set(&m->error, "the device could not be attached to the IOMMU");
    return nvme_driver_probe(&d->driver, &d->slot.device, &d->slot.window,
                             &m->config->driver, &m->config->blk, m->run->api, i,
                             &m->error);
}

static bool bring_up_exerciser(struct machine *m)
{
    if (!slot_attach(&m->exerciser_slot, "exerciser", NULL))
        return error_set(&m->error, "the exerciser could not be attached to the IOMMU");
    dma_set_mask_and_coherent(&m->exerciser_slot.device, DMA_BIT_MASK(64));
    return true;
}

static bool bring_up(struct machine *m)
{
    if (!system_boot(&m->system, &m->error))
        return false;
    for (unsigned i = 0; i < m->drives; i++)
        if (!bring_up_drive(m, i))
            return false;
    return !m->exercises || bring_up_exerciser(m);
}

/* A shared domain goes with the last of its devices. */
static void take_down(struct machine *m)
{
    if (m->exercises)
        CHECK(slot_detach(&m->exerciser_slot, false) == 0);
    for (unsigned i = m->drives; i-- > 0;) {
        nvme_driver_remove(&m->drive[i].driver);
        CHECK(slot_detach(&m->drive[i].slot, shares_domain(m, i)) == 0);
    }
    system_halt(&m->system);
}

/* What a drive has done so far. */
static struct machine_drive drive_so_far(const struct machine *m, unsigned i)
{
    struct machine_drive r = { .dma    = m->drive[i].slot.port.stats,
                               .replay = m->replay[i].stats };
    for (unsigned q = 0; q < m->drive[i].driver.queues; q++)
        system_add_stats(&driver_stat_table, &r.driver, &m->drive[i].driver.queue[q].stats);
    return r;
}

/* ---- Who looks on
 * ---------------------------------------------------------------------------------------
 */

static void begin_looking(struct machine *m)
{
    struct scope scope = { .engine  = &m->engine,
                           .cpu     = m->system.cpu,
                           .cpus    = m->run->cpus,
                           .iommu   = &m->system.iommu,
                           .audit   = &m->system.audit,
                           .devices = m->drives };
    static_assert((int)MACHINE_DRIVES_MAX < (int)SCOPE_DEVICES_MAX,
                  "room for all drives, and one");
    for (unsigned i = 0; i < m->drives; i++) {
        struct drive *d = &m->drive[i];
        scope.device[i] = (struct scope_device){
            .name = d->name, .port = &d->slot.port, .nvme = &d->nvme, .driver = &d->driver
        };
    }
    if (m->exercises)
        scope.device[scope.devices++] =
            (struct scope_device){ .name = "exerciser", .port = &m->exerciser_slot.port };
    onlooker_begin(&m->onlooker, m->run, m->config->preset, &scope, 1, m->engine.now);
}

static void begin_measuring(struct machine *m)
{
    count(m, &m->before);
    for (unsigned i = 0; i < m->drives; i++) {
        struct rootport *port = &m->drive[i].slot.port;
        memset(&port->read_ps, 0, sizeof port->read_ps);
        memset(&port->write_ps, 0, sizeof port->write_ps);
        m->drive_before[i] = drive_so_far(m, i);
    }
    memset(&m->exerciser.latency_ns, 0, sizeof m->exerciser.latency_ns);
    audit_begin(&m->system.audit, m->engine.now);
    m->system.kernel.plant_reuse     = m->run->plant_reuse;
    m->system.iommu.iotlb.plant_deaf = m->run->plant_deaf;
    for (unsigned i = 0; i < m->drives; i++)
        hostile_start(&m->drive[i].hostile, m->engine.now);
    m->system.kernel.watcher = m->run->calls;
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
    hostile_tell(&m->drive[i].hostile, NULL, m->drive[i].name, r);
    histogram_merge(&r->io_latency_ns, &replay->latency_ns);
    histogram_merge(&r->dma_read_ps, &m->drive[i].slot.port.read_ps);
    histogram_merge(&r->dma_write_ps, &m->drive[i].slot.port.write_ps);
    for (unsigned k = 0; k < replay->sources; k++)
        r->source_records[replay->source + k - m->run->source] = replay->read_of[k];
}

static void end_measuring(struct machine *m)
{
    struct machine_result *r = m->result;
    onlooker_end(&m->onlooker, m->engine.now);
    m->system.kernel.watcher = NULL;
    for (unsigned i = 0; i < m->drives; i++)
        hostile_stop(&m->drive[i].hostile);
    sampler_end(&m->sampler);
    audit_finish(&m->system.audit, m->engine.now);
    count(m, &r->counters);
    machine_subtract(&r->counters, &m->before);
    r->time_ps            = m->engine.now - m->before.now;
    r->exposure_ps_max    = m->system.audit.exposure_ps_max;
    r->exposed_pages_most = m->system.audit.exposed_most;
    r->exposure_ns        = m->system.audit.exposure_ns;
    r->attack_ns          = m->system.audit.attack_ns;
    r->pool_pages_most    = m->system.audit.pool_most;
    for (unsigned i = 0; i < m->drives; i++)
        measure_drive(m, i);
    if (m->exercises) {
        histogram_merge(&r->io_latency_ns, &m->exerciser.latency_ns);
        histogram_merge(&r->dma_read_ps, &m->exerciser_slot.port.read_ps);
        histogram_merge(&r->dma_write_ps, &m->exerciser_slot.port.write_ps);
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
                m->system.cpus, run->cpus);
    if (m->exercises)
        replay_exercise(r, &m->exerciser_slot.device, &m->exerciser_slot.window);
    r->progress      = run->progress;
    r->progress_self = run->progress_self;
    r->watcher       = run->records;
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
    for (unsigned i = 0; i < m->drives && !m->failed; i++)
        m->failed = !replay_begin(&m->replay[i], &m->error);
    cpu_sync(cpu);
    if (m->failed)
        return;
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

/* It looks like that NVMe controller to the IOMMU. */
static void build_attacker(struct machine *m, unsigned i)
{
    struct drive *d = &m->drive[i];
    hostile_build(&d->hostile, &m->system, m->config, d->nvme.requester, m->run->seed + i);
    d->nvme.data_moved      = hostile_learn;
    d->nvme.data_moved_self = &d->hostile;
}

static void build_drive(struct machine *m, unsigned i)
{
    struct drive *d          = &m->drive[i];
    const uint16_t requester = (uint16_t)(NVME_REQUESTER + (i << 3));
    slot_build(&d->slot, &m->system, requester, system_has_device_tlb(&m->system),
               "nvme registers", &nvme_mmio_ops, &d->nvme);
    nvme_ctrl_init(&d->nvme, &m->engine, slot_port(&d->slot), &m->config->nvme, requester,
                   m->run->seed + i);
}

static void build_exerciser(struct machine *m)
{
    slot_build(&m->exerciser_slot, &m->system, EXERCISER_REQUESTER, false,
               "exerciser registers", &exerciser_mmio_ops, &m->exerciser);
    exerciser_init(&m->exerciser, &m->engine, slot_port(&m->exerciser_slot),
                   &m->config->exerciser, EXERCISER_REQUESTER);
}

static void build_hardware(struct machine *m)
{
    system_build_iommu(&m->system, &m->config->system, m->run->policy, &m->engine,
                       m->run->seed);
    build_drive(m, 0);
    system_build_extension(&m->system);
    for (unsigned i = 1; i < m->drives; i++)
        build_drive(m, i);
    if (m->exercises)
        build_exerciser(m);
    for (unsigned i = 0; m->run->attacker && i < m->drives; i++)
        build_attacker(m, i);
    sampler_init(&m->sampler, &m->engine, &m->result->series, look, m);
}

static void build_software(struct machine *m)
{
    void *argument[ENGINE_CPUS_MAX];
    for (unsigned i = 0; i < m->run->cpus; i++)
        argument[i] = m;
    system_build_software(&m->system, m->run->cpus, program, argument);
    system_promise(&m->system, &m->result->promise);
    m->barrier.count              = m->run->cpus;
    m->system.kernel.finding      = m->run->finding;
    m->system.kernel.finding_self = m->run->finding_self;
}

static void destroy(struct machine *m)
{
    onlooker_leave(&m->onlooker, m->engine.now);
    for (unsigned i = 0; i < m->drives; i++)
        if (m->replay[i].cpu != NULL)
            replay_free(&m->replay[i]);
    for (unsigned i = 0; i < m->drives; i++) {
        hostile_destroy(&m->drive[i].hostile);
        nvme_ctrl_free(&m->drive[i].nvme);
        slot_destroy(&m->drive[i].slot);
    }
    if (m->exercises) {
        exerciser_free(&m->exerciser);
        slot_destroy(&m->exerciser_slot);
    }
    system_destroy(&m->system);
    engine_free(&m->engine);
}

/* ---- Checks at the end
 * --------------------------------------------------------------------------------- */

static bool check_stats(struct machine *m, struct error *error)
{
    struct machine_counters all;
    count(m, &all);
    return machine_check_stats(&all, error);
}

static bool check_everything_back(const struct machine *m, struct error *error)
{
    if (!system_check_kernel(&m->system.kernel, error))
        return false;
    for (unsigned i = 0; i < m->drives; i++)
        if (!slot_idle(&m->drive[i].slot) || !nvme_ctrl_idle(&m->drive[i].nvme))
            return error_set(error, "transactions were still under way");
    if (!slot_idle(&m->exerciser_slot) || !exerciser_idle(&m->exerciser))
        return error_set(error, "bare accesses were still under way");
    for (unsigned i = 0; i < m->drives; i++)
        if (!hostile_idle(&m->drive[i].hostile))
            return error_set(error, "transactions of an attacker were still under way");
    return system_check_idle(&m->system, error);
}

static bool check(struct machine *m, struct error *error)
{
    if (!system_check_cpus(&m->system, error))
        return false;
    for (unsigned i = 0; i < m->drives; i++)
        if (!nvme_ctrl_check(&m->drive[i].nvme, error))
            return false;
    return machine_check_promise(&m->system.audit, m->result, error)
           && check_stats(m, error) && machine_check_owners(m->result, m->config, error)
           && check_everything_back(m, error);
}

static enum machine_outcome judge(struct machine *m, struct error *error)
{
    if (m->system.kernel.panicked) {
        *error = m->system.kernel.panic;
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

enum machine_outcome drives_run(const struct config *config, const struct machine_run *run,
                                const struct sim_host *host, struct machine_result *result,
                                struct error *error)
{
    struct machine *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    m->config    = config;
    m->run       = run;
    m->result    = result;
    m->drives    = result->drives;
    m->exercises = result->exerciser;
    engine_init(&m->engine, host, run->run_ahead);
    m->engine.interrupted = run->interrupted;
    build_hardware(m);
    build_software(m);
    engine_run(&m->engine);
    const enum machine_outcome outcome = judge(m, error);
    result->findings                   = m->system.kernel.stats.finding;
    destroy(m);
    free(m);
    return outcome;
}
