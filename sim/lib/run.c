/* SPDX-License-Identifier: Apache-2.0 */
/* run - a machine from power-on to the checks at its end. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "sim/base/keys.h"
#include "sim/host/direct.h"
#include "sim/lib/inside.h"

enum { FIRST_REQUESTER = 5 << 3 }; /* Bus 0, device 5, function 0; the next is device 6. */

/* So long may what is under way go on behind the program; a device that is never asleep
 * does not keep the machine running. */
#define SETTLE TIME_MS

#define INTERRUPT_RANGE UINT64_C(0xfee00000) /* Bits 19:12 name the CPU. */

/* ---- Slots --------------------------------------------------------------------------- */

/* What a slot has only while the machine runs. */
static struct iovasim_slot *running(struct iovasim_slot *slot)
{
    CHECK(slot->machine->running);
    return slot;
}

struct port *iovasim_port(struct iovasim_slot *slot)
{
    return slot_port(&running(slot)->slot);
}

uint16_t iovasim_requester(const struct iovasim_slot *slot)
{
    return slot->slot.requester;
}

void iovasim_wake(struct iovasim_slot *slot, sim_time_t at)
{
    /* A device that is due at the time of its own step would be stepped for ever. */
    CHECK(!slot->stepping || at > slot->machine->engine.now);
    *running(slot)->due = time_min(*slot->due, at);
}

struct port_request iovasim_message(const struct iovasim_slot *slot, unsigned cpu,
                                    uint32_t *vector)
{
    return (struct port_request){ .iova      = INTERRUPT_RANGE | (uint64_t)cpu << 12,
                                  .bytes     = sizeof *vector,
                                  .requester = iovasim_requester(slot),
                                  .kind      = PORT_WRITE,
                                  .data      = vector };
}

struct device *iovasim_device(struct iovasim_slot *slot)
{
    return &running(slot)->slot.device;
}

struct mmio_window *iovasim_registers(struct iovasim_slot *slot)
{
    return &running(slot)->slot.window;
}

static void write_register(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                           sim_time_t now)
{
    const struct iovasim_slot *slot = self;
    if (slot->ops.write != NULL)
        slot->ops.write(slot->self, offset, value, bytes, now);
}

static uint64_t read_register(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    const struct iovasim_slot *slot = self;
    return slot->ops.read != NULL ? slot->ops.read(slot->self, offset, bytes, now)
           : bytes == 4           ? UINT32_MAX
                                  : UINT64_MAX;
}

static const struct mmio_ops register_ops = { write_register, read_register };

static void step_device(void *self, sim_time_t now)
{
    struct iovasim_slot *slot = self;
    *slot->due                = TIME_NEVER;
    slot->stepping            = true;
    slot->ops.step(slot->self, now);
    slot->stepping = false;
}

/* ---- Events -------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
tell(struct iovasim_machine *m, struct iovasim_event *event, const char *format, ...)
{
    struct error line;
    va_list args;
    va_start(args, format);
    vsnprintf(line.text, sizeof line.text, format, args);
    va_end(args);
    event->time = m->engine.now;
    event->text = line.text;
    m->told(m->told_self, event);
}

/* "12.345678 us" */
#define IN_US     "%" PRIu64 ".%06" PRIu64 " us"
#define US_OF(ps) (ps) / TIME_US, (ps) % TIME_US

static struct iovasim_event event_of(struct iovasim_slot *slot,
                                     const struct port_request *q,
                                     enum iovasim_event_kind kind)
{
    return (struct iovasim_event){
        .kind  = kind,
        .slot  = slot,
        .iova  = q->type == PORT_TRANSLATED ? q->origin.iova : q->iova,
        .bytes = q->bytes,
        .write = q->kind == PORT_WRITE,
    };
}

static void refused(void *self, const struct port_request *request, sim_time_t now)
{
    struct iovasim_slot *slot  = self;
    struct iovasim_event event = event_of(slot, request, IOVASIM_FAULT);
    tell(slot->machine, &event,
         IN_US ": %s: a %s of %" PRIu32 " bytes at 0x%" PRIx64 " was refused", US_OF(now),
         slot->name, event.write ? "write" : "read", event.bytes, event.iova);
}

static void submitted(void *self, const struct dma_slot *dma, uint32_t index)
{
    (void)self;
    (void)dma;
    (void)index;
}

static void translated(void *self, const struct dma_slot *dma, uint32_t index,
                       const struct iommu_response *answer)
{
    (void)answer;
    submitted(self, dma, index);
}

static void finished(void *self, const struct dma_slot *dma, uint32_t index)
{
    const struct iovasim_slot *slot = self;
    const bool asks = dma->request.type == PORT_TRANSLATION; /* For its TLB. */
    (void)index;
    if (dma->fault && !asks)
        refused(self, &dma->request, slot->machine->engine.now);
}

static void stale(struct iovasim_slot *slot, const struct dma_slot *dma, sim_time_t now)
{
    struct iovasim_machine *m  = slot->machine;
    struct iovasim_event event = event_of(slot, &dma->request, IOVASIM_STALE);
    event.late                 = now - audit_given_back(&m->system.audit, dma);
    tell(m, &event,
         IN_US ": %s: a %s of %" PRIu32 " bytes at 0x%" PRIx64 " went through, " IN_US
               " after its unmap",
         US_OF(now), slot->name, event.write ? "write" : "read", event.bytes, event.iova,
         US_OF(event.late));
}

/* In front of the referee, which may forget then when the page was given back. */
static void carried_out(void *self, const struct dma_slot *dma, sim_time_t now)
{
    struct iovasim_slot *slot = self;
    if (dma->stale)
        stale(slot, dma, now);
    slot->referee(slot->referee_self, dma, now);
}

static void finding(void *self, const char *text)
{
    struct iovasim_machine *m  = self;
    struct iovasim_event event = { .kind = IOVASIM_FINDING };
    tell(m, &event, "%s", text);
}

static void watch(struct iovasim_slot *slot)
{
    struct rootport *port = &slot->slot.port;
    slot->watcher      = (struct rootport_watcher){ submitted, translated, finished, slot };
    slot->referee      = port->carried_out;
    slot->referee_self = port->carried_out_self;
    port->watcher      = &slot->watcher;
    port->carried_out  = carried_out;
    port->carried_out_self     = slot;
    slot->slot.atc.denied      = refused;
    slot->slot.atc.denied_self = slot;
}

/* ---- The program --------------------------------------------------------------------- */

static void count(struct iovasim_machine *m, struct system_counters *c)
{
    system_count(&m->system, c);
    for (unsigned i = 0; i < m->slots; i++) {
        slot_count(&m->slot[i]->slot, c);
        slot_count_domain(&m->slot[i]->slot, c);
    }
}

static bool bring_up(struct iovasim_machine *m)
{
    if (!system_boot(&m->system, &m->error))
        return false;
    for (unsigned i = 0; i < m->slots; i++)
        if (!slot_attach(&m->slot[i]->slot, m->slot[i]->name, NULL))
            return error_set(&m->error, "%s could not be attached to the IOMMU",
                             m->slot[i]->name);
    const int error = m->program->probe == NULL ? 0 : m->program->probe(m->program_self);
    if (error != 0)
        return error_set(&m->error, "the program's probe returned %d (%s)", error,
                         error < 0 ? strerror(-error) : "not an errno");
    return true;
}

static bool take_down(struct iovasim_machine *m)
{
    for (unsigned i = m->slots; i-- > 0;) {
        const uint64_t left = slot_detach(&m->slot[i]->slot, false);
        if (left != 0)
            return error_set(&m->error, "%s: mappings that were never unmapped: %" PRIu64,
                             m->slot[i]->name, left);
    }
    system_halt(&m->system);
    return true;
}

static void before(struct iovasim_machine *m, struct cpu *cpu)
{
    cpu_own(cpu, OWNER_setup);
    m->failed = !bring_up(m);
    cpu_sync(cpu);
    if (m->failed)
        return;
    count(m, &m->before);
    audit_begin(&m->system.audit, m->engine.now);
}

static void after(struct iovasim_machine *m, struct cpu *cpu)
{
    audit_finish(&m->system.audit, m->engine.now);
    count(m, &m->result);
    system_subtract(&m->result, &m->before);
    m->time = m->engine.now - m->before.now;
    cpu_own(cpu, OWNER_setup);
    if (m->program->remove != NULL)
        m->program->remove(m->program_self);
    m->failed = !take_down(m);
    cpu_sync(cpu);
    m->finished  = true;
    *m->deadline = m->engine.now + SETTLE;
}

/* What every CPU runs. CPU 0 is alone before the first barrier and behind the second; no
 * CPU is switched off before it has counted what they did. */
static void program(void *arg)
{
    struct iovasim_machine *m = arg;
    struct cpu *cpu           = cpu_this();
    if (cpu->id == 0)
        before(m, cpu);
    barrier_wait(&m->barrier, cpu);
    if (!m->failed) {
        cpu_own(cpu, OWNER_driver);
        m->program->run(m->program_self);
        cpu_own(cpu, OWNER_driver);
        barrier_wait(&m->barrier, cpu);
        if (cpu->id == 0)
            after(m, cpu);
    }
    barrier_wait(&m->barrier, cpu);
}

/* ---- Building ------------------------------------------------------------------------ */

static void out_of_time(void *self, sim_time_t now)
{
    struct iovasim_machine *m = self;
    (void)now;
    *m->deadline      = TIME_NEVER;
    m->late           = !m->finished;
    m->engine.stopped = true;
}

static void build_slot(struct iovasim_machine *m, unsigned i)
{
    struct iovasim_slot *slot = m->slot[i];
    const uint16_t requester  = (uint16_t)(FIRST_REQUESTER + (i << 3));
    memset(&slot->slot, 0, sizeof slot->slot);
    slot_build(&slot->slot, &m->system, requester, system_has_device_tlb(&m->system),
               slot->name, &register_ops, slot);
    slot->stepping = false;
    slot->due      = engine_add_block(&m->engine, slot->name, step_device, slot);
    slot_port(&slot->slot)->device_due = slot->due;
    if (m->told != NULL)
        watch(slot);
}

static void build(struct iovasim_machine *m, const struct sim_host *host)
{
    void *argument[ENGINE_CPUS_MAX];
    engine_init(&m->engine, host, true);
    m->engine.interrupted = m->interrupted;
    memset(&m->system, 0, sizeof m->system);
    system_build_iommu(&m->system, &m->config, m->policy, &m->engine, m->seed);
    for (unsigned i = 0; i < m->slots; i++)
        build_slot(m, i);
    system_build_extension(&m->system);
    m->deadline = engine_add_block(&m->engine, "time limit", out_of_time, m);
    if (m->limit != 0)
        *m->deadline = m->limit;
    for (unsigned i = 0; i < m->cpus; i++)
        argument[i] = m;
    system_build_software(&m->system, m->cpus, program, argument);
    m->barrier = (struct barrier){ .count = m->cpus };
    if (m->told != NULL) {
        m->system.kernel.finding      = finding;
        m->system.kernel.finding_self = m;
    }
    for (unsigned i = 0; i < m->slots; i++)
        m->slot[i]->ops.reset(m->slot[i]->self, m->slot[i]);
}

static void destroy(struct iovasim_machine *m)
{
    for (unsigned i = 0; i < m->slots; i++)
        slot_destroy(&m->slot[i]->slot);
    system_destroy(&m->system);
    engine_free(&m->engine);
}

/* ---- Checks -------------------------------------------------------------------------- */

static bool can_run(const struct iovasim_machine *m, struct error *error)
{
    if (!keys_check(system_config_table, &m->config, error)
        || !system_config_rules(&m->config, error))
        return false;
    if (backend_find(m->config.iommu.arch) == NULL)
        return error_set(error, "iommu.arch: there is no driver for %s",
                         m->config.iommu.arch);
    if (m->config.atc.enabled && m->policy->translates && m->policy->needs != 0)
        return error_set(error,
                         "policy %s: expected atc.enabled=0, as the hardware that it needs "
                         "does not reach a device's TLB",
                         m->policy->name);
    if (m->program->run == NULL)
        return error_set(error, "program: expected a function for run");
    return true;
}

/* Nothing can happen any more, and the program is not done. */
static bool stuck(struct iovasim_machine *m)
{
    unsigned i = 0;
    while (m->system.cpu[i].finished)
        i++;
    return error_set(&m->error,
                     "CPU %u waits at %" PRIu64 " ps for what never comes: nothing is due "
                     "any more",
                     i, m->engine.now);
}

static bool check_devices(const struct iovasim_machine *m, struct error *error)
{
    for (unsigned i = 0; i < m->slots; i++) {
        const struct iovasim_slot *slot = m->slot[i];
        if (!slot_idle(&slot->slot))
            return error_set(error, "%s: transactions were still under way", slot->name);
        if (slot->ops.idle != NULL && !slot->ops.idle(slot->self))
            return error_set(error, "%s: the device is still at work", slot->name);
    }
    return true;
}

static bool check_promise(const struct iovasim_machine *m, struct error *error)
{
    struct error what = { "" };
    if (m->policy->negative || audit_check(&m->system.audit, &what))
        return true;
    *error = what;
    return false;
}

static bool check_stats(struct iovasim_machine *m, struct error *error)
{
    const struct stat_table *table;
    const void *stats;
    for (unsigned i = 0; (table = system_stats(&m->result, i, &stats)) != NULL; i++)
        if (!stat_check(table, stats, error))
            return false;
    return system_check_owners(&m->result, m->cpus, m->time, m->config.cpu.period_ps,
                               error);
}

static bool judge(struct iovasim_machine *m)
{
    if (m->system.kernel.panicked) {
        m->error = m->system.kernel.panic;
        return error_in(&m->error, "panic");
    }
    if (m->late)
        return error_set(&m->error, "the program had not ended after %" PRIu64 " ps",
                         m->limit);
    if (m->failed)
        return false;
    if (!m->finished)
        return m->engine.stopped ? error_set(&m->error, "interrupted") : stuck(m);
    return system_check_cpus(&m->system, &m->error) && check_promise(m, &m->error)
           && check_stats(m, &m->error) && system_check_kernel(&m->system.kernel, &m->error)
           && check_devices(m, &m->error) && system_check_idle(&m->system, &m->error);
}

bool iovasim_run(struct iovasim_machine *m, const struct iovasim_program *what, void *self)
{
    CHECK(!m->running);
    m->program      = what;
    m->program_self = self;
    m->failed = m->finished = m->late = false;
    m->error                          = (struct error){ "" };
    m->time                           = 0;
    memset(&m->result, 0, sizeof m->result);
    if (m->mistake.text[0] != '\0' || !can_run(m, &m->error))
        return false;
    struct direct_host *own = m->host == NULL ? direct_host_new() : NULL;
    m->running              = true;
    build(m, own != NULL ? direct_host_verbs(own) : m->host);
    engine_run(&m->engine);
    const bool good = judge(m);
    m->running      = false;
    destroy(m);
    if (own != NULL)
        direct_host_free(own);
    return good;
}
