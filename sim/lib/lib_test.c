/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library as its user sees it: a device that does one access at a time, and programs
 * that use it well, badly, or not at all.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/preset.h"
#include "sim/lib/inside.h"
#include "sim/test/hosts.h"
#include "sim/test/shim.h"

/* ---- A device that does one access of 64 bytes at a time -------------------------------
 */

enum {
    BYTES          = 64,
    VECTOR         = 33,
    REGISTER_READ  = 0,
    REGISTER_WRITE = 8,
    REGISTER_COUNT = 16
};

struct prober {
    struct iovasim_slot *slot;
    struct port_request request;
    bool asked, told;
    unsigned out, answered, refused, resets;
    uint8_t data[BYTES];
    uint32_t message;
    bool never_idle, hasty, ticks;
    sim_time_t answered_at;
};

static void prober_step(void *self, sim_time_t now)
{
    struct prober *p  = self;
    struct port *port = iovasim_port(p->slot);
    struct port_response r;
    while (port_take(port, &r, now)) {
        p->out--;
        if (r.tag == 0)
            continue; /* The message. */
        p->answered++;
        p->refused += r.status != PORT_OK;
        p->answered_at = now;
        p->told        = true;
    }
    if (p->ticks)
        iovasim_wake(p->slot, now + 10 * TIME_US);
    if (p->hasty)
        iovasim_wake(p->slot, now);
    if (p->asked && port_ready(port, (enum port_kind)p->request.kind)) {
        port_submit(port, &p->request, now);
        p->asked = false;
        p->out++;
    }
    if (p->told && port_ready(port, PORT_WRITE)) {
        const struct port_request m = iovasim_message(p->slot, 0, &p->message);
        port_submit(port, &m, now);
        p->told = false;
        p->out++;
    }
}

static void prober_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                         sim_time_t now)
{
    struct prober *p = self;
    EXPECT_EQUAL(bytes, 8);
    p->request =
        (struct port_request){ .iova  = value,
                               .bytes = BYTES,
                               .kind  = offset == REGISTER_READ ? PORT_READ : PORT_WRITE,
                               .tag   = 1,
                               .requester = iovasim_requester(p->slot),
                               .data      = p->data };
    p->asked = true;
    iovasim_wake(p->slot, now);
}

static uint64_t prober_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    const struct prober *p = self;
    (void)bytes;
    (void)now;
    return offset == REGISTER_COUNT ? p->answered : 0;
}

static void prober_reset(void *self, struct iovasim_slot *slot)
{
    struct prober *p = self;
    *p               = (struct prober){ .slot       = slot,
                                        .message    = VECTOR,
                                        .resets     = p->resets + 1,
                                        .never_idle = p->never_idle,
                                        .hasty      = p->hasty,
                                        .ticks      = p->ticks };
}

static bool prober_idle(const void *self)
{
    const struct prober *p = self;
    return !p->never_idle && p->out == 0;
}

static const struct iovasim_device_ops prober_ops = {
    prober_reset, prober_write, prober_read, prober_step, prober_idle,
};

/* ---- A machine with one of them, and what its program needs ----------------------------
 */

struct world {
    struct iovasim_machine *m;
    struct iovasim_slot *slot;
    struct prober prober;
    phys_addr_t page;
    void (*act)(struct world *w);
    volatile unsigned interrupts;
    /* Events. */
    unsigned events[3];
    struct iovasim_event first;
    char text[256];
    uint64_t value; /* Whatever a test wants to know. */
};

static void told(void *self, const struct iovasim_event *event)
{
    struct world *w = self;
    if (w->events[event->kind]++ == 0
        && (w->text[0] == '\0' || event->kind == IOVASIM_STALE)) {
        w->first = *event;
        snprintf(w->text, sizeof w->text, "%s", event->text);
    }
}

static void on_interrupt(void *arg)
{
    struct world *w = arg;
    w->interrupts++;
}

static struct device *dev_of(struct world *w)
{
    return iovasim_device(w->slot);
}

/* The access, to its interrupt; whether it was carried out. */
static bool access_device(struct world *w, uint32_t how, dma_addr_t addr)
{
    const unsigned before = w->prober.refused, seen = w->interrupts;
    mmio_write64(iovasim_registers(w->slot), how, addr);
    while (w->interrupts == seen)
        cpu_wait(cpu_this(), TIME_NEVER);
    return w->prober.refused == before;
}

static void sleep_us(uint64_t us)
{
    const sim_time_t until = cpu_this()->time + us * TIME_US;
    while (cpu_this()->time < until)
        cpu_wait(cpu_this(), until);
}

static int probe(void *self)
{
    struct world *w = self;
    cpu_handle(cpu_this(), VECTOR, on_interrupt, w);
    w->page = kernel_pages_get_zeroed(dev_of(w)->kernel, 0);
    return dma_set_mask_and_coherent(dev_of(w), DMA_BIT_MASK(64));
}

static void run(void *self)
{
    struct world *w = self;
    if (cpu_this()->id == 0)
        w->act(w);
}

static void take_away(void *self)
{
    struct world *w = self;
    kernel_pages_put(dev_of(w)->kernel, w->page, 0);
}

static const struct iovasim_program program = { probe, run, take_away };

static struct world *world_new(const char *preset, const char *policy)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->m    = iovasim_new(preset);
    w->slot = iovasim_add_device(w->m, "prober0", &prober_ops, &w->prober);
    iovasim_set_policy(w->m, policy);
    iovasim_watch(w->m, told, w);
    return w;
}

static bool world_run(struct world *w, void (*act)(struct world *w))
{
    w->act     = act;
    w->text[0] = '\0';
    memset(w->events, 0, sizeof w->events);
    return iovasim_run(w->m, &program, w);
}

static void world_free(struct world *w)
{
    iovasim_free(w->m);
    free(w);
}

static uint64_t counted(const struct world *w, const char *name)
{
    uint64_t value = UINT64_MAX;
    EXPECT(iovasim_statistic(w->m, name, &value));
    return value;
}

/* What an access that is refused counts as: by the IOMMU, or by the device's own TLB. */
static uint64_t refusals(const struct world *w)
{
    return counted(w, "dma.fault") + counted(w, "atc.transaction_refused");
}

/* ---- Mistakes ------------------------------------------------------------------------ */

static void nothing(struct world *w)
{
    (void)w;
}

TEST_CASE(lib, a_mistake_of_a_setter_stays_and_is_named)
{
    static const struct {
        const char *preset, *key, *value, *policy;
        unsigned cpus;
        const char *says;
    } wrong[] = {
        { "no-such", NULL, NULL, NULL, 1, "preset 'no-such'" },
        { NULL, "iotlb.stes", "32", NULL, 1, "did you mean iotlb.sets?" },
        { NULL, "iotlb.sets", "33", NULL, 1,
          "iotlb.sets: expected 1 .. 65536, a power of two, got '33'" },
        { NULL, "nvme.queues", "3", NULL, 1, "nvme.queues: no such parameter" },
        { NULL, NULL, NULL, "lax", 1, "policy 'lax'" },
        { NULL, NULL, NULL, NULL, 0, "CPUs: expected 1 .. 64, got 0" },
        { NULL, NULL, NULL, NULL, 65, "CPUs: expected 1 .. 64, got 65" },
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct world *w = world_new(wrong[i].preset, "strict");
        if (wrong[i].key != NULL)
            EXPECT(!iovasim_set(w->m, wrong[i].key, wrong[i].value));
        if (wrong[i].policy != NULL)
            EXPECT(!iovasim_set_policy(w->m, wrong[i].policy));
        EXPECT(iovasim_set_cpus(w->m, wrong[i].cpus)
               == (wrong[i].cpus >= 1 && wrong[i].cpus <= 64));
        EXPECT(!iovasim_set_policy(w->m, "a later mistake"));
        EXPECT(!world_run(w, nothing));
        EXPECT_HAS(iovasim_error(w->m), wrong[i].says);
        EXPECT_EQUAL(w->prober.resets, 0);
        world_free(w);
    }
}

TEST_CASE(lib, devices_that_cannot_be_are_refused)
{
    struct iovasim_device_ops no_step = prober_ops, no_reset = prober_ops;
    struct iovasim_machine *m = iovasim_new(NULL);
    struct prober p           = { .resets = 0 };
    no_step.step              = NULL;
    no_reset.reset            = NULL;
    EXPECT(iovasim_add_device(m, "a", &no_step, &p) == NULL);
    EXPECT_TEXT(iovasim_error(m),
                "device a: expected a function for reset and one for step");
    EXPECT(iovasim_add_device(m, "b", &no_reset, &p) == NULL);
    iovasim_free(m);

    m = iovasim_new(NULL);
    for (unsigned i = 0; i < IOVASIM_DEVICES_MAX; i++)
        EXPECT(iovasim_add_device(m, "c", &prober_ops, &p) != NULL);
    EXPECT(iovasim_add_device(m, "d", &prober_ops, &p) == NULL);
    EXPECT_TEXT(iovasim_error(m), "device d: expected at most 12 devices");
    iovasim_free(m);
    iovasim_free(NULL);
}

TEST_CASE(lib, rules_between_parameters_are_asked_when_it_runs)
{
    struct world *w = world_new(NULL, "strict");
    EXPECT(iovasim_set(w->m, "atc.enabled", "1"));
    EXPECT(!world_run(w, nothing));
    EXPECT_HAS(iovasim_error(w->m), "atc.enabled: expected 0 without");
    EXPECT(iovasim_set(w->m, "vtd.device_tlb", "1"));
    EXPECT(world_run(w, nothing));
    EXPECT_TEXT(iovasim_error(w->m), "");
    EXPECT(iovasim_set_policy(w->m, "versioned"));
    EXPECT(!world_run(w, nothing));
    EXPECT_HAS(iovasim_error(w->m), "policy versioned: expected atc.enabled=0");
    const struct iovasim_program empty = { NULL, NULL, NULL };
    EXPECT(iovasim_set_policy(w->m, "strict"));
    EXPECT(!iovasim_run(w->m, &empty, w));
    EXPECT_TEXT(iovasim_error(w->m), "program: expected a function for run");
    world_free(w);
}

/* ---- What works ---------------------------------------------------------------------- */

/* The device reads what the CPU wrote and the CPU what the device wrote, and the interrupt
 * comes behind the data. */
static void both_ways(struct world *w)
{
    struct device *dev = dev_of(w);
    struct cpu *cpu    = cpu_this();
    for (unsigned i = 1; i <= 20; i++) {
        cpu_write64(cpu, w->page + 8, i);
        const dma_addr_t to =
            dma_map_single(dev, phys_to_virt(w->page), BYTES, DMA_TO_DEVICE);
        EXPECT_EQUAL(dma_mapping_error(dev, to), 0);
        EXPECT(access_device(w, REGISTER_READ, to));
        dma_unmap_single(dev, to, BYTES, DMA_TO_DEVICE);
        EXPECT_EQUAL(w->prober.data[8], i);
        EXPECT(cpu->time >= w->prober.answered_at);

        w->prober.data[8] = (uint8_t)(100 + i);
        const dma_addr_t from =
            dma_map_single(dev, phys_to_virt(w->page), BYTES, DMA_FROM_DEVICE);
        EXPECT_EQUAL(dma_mapping_error(dev, from), 0);
        EXPECT(access_device(w, REGISTER_WRITE, from));
        dma_unmap_single(dev, from, BYTES, DMA_FROM_DEVICE);
        EXPECT_EQUAL(cpu_read64(cpu, w->page + 8), 100 + i);
    }
    EXPECT_EQUAL(mmio_read64(iovasim_registers(w->slot), REGISTER_COUNT), 40);
}

static void expect_both_ways(const char *preset, const char *policy)
{
    struct world *w = world_new(preset, policy);
    EXPECT(world_run(w, both_ways));
    EXPECT_TEXT(iovasim_error(w->m), "");
    EXPECT_EQUAL(w->interrupts, 40);
    EXPECT_EQUAL(w->prober.refused, 0);
    EXPECT_EQUAL(refusals(w), 0);
    EXPECT_EQUAL(counted(w, "audit.stale_access"), 0);
    EXPECT_EQUAL(w->events[IOVASIM_FAULT] + w->events[IOVASIM_STALE], 0);
    EXPECT_EQUAL(counted(w, "kernel.map"), 40);
    EXPECT_EQUAL(counted(w, "dma.interrupt"), 40);
    EXPECT_EQUAL(counted(w, "dma.read"), 20);
    world_free(w);
}

TEST_CASE(lib, data_goes_both_ways_on_every_preset)
{
    static const char *const policy[] = { "strict", "lazy", "passthrough" };
    for (unsigned i = 0; preset_table[i] != NULL; i++)
        for (unsigned p = 0; p < 3; p++)
            expect_both_ways(preset_table[i]->name, policy[p]);
}

TEST_CASE(lib, data_goes_both_ways_under_every_policy)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        expect_both_ways("vtd-server", flush_table[i]->name);
}

static char *printed(const struct iovasim_machine *m)
{
    char *text   = NULL;
    size_t bytes = 0;
    FILE *out    = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    iovasim_print(m, out);
    fclose(out);
    return text;
}

TEST_CASE(lib, every_run_begins_at_power_on)
{
    struct world *w = world_new("vtd-server", "lazy");
    EXPECT(world_run(w, both_ways));
    char *first = printed(w->m);
    EXPECT(iovasim_set_policy(w->m, "strict"));
    EXPECT(world_run(w, both_ways));
    char *strict = printed(w->m);
    EXPECT(iovasim_set_policy(w->m, "lazy"));
    EXPECT(world_run(w, both_ways));
    char *again = printed(w->m);
    EXPECT_TEXT(again, first);
    EXPECT(strcmp(strict, first) != 0);
    EXPECT_HAS(first, "cycles.pt_map");
    EXPECT_HAS(first, "iotlb.lookup_missed");
    EXPECT_EQUAL(w->prober.resets, 3);
    free(first);
    free(strict);
    free(again);
    world_free(w);
}

/* All CPUs at work, of which the interrupts are CPU 0's. */
static void crowd(void *self)
{
    struct world *w    = self;
    struct device *dev = dev_of(w);
    for (unsigned i = 0; i < 30; i++) {
        const dma_addr_t addr =
            dma_map_single(dev, phys_to_virt(w->page), BYTES, DMA_TO_DEVICE);
        EXPECT_EQUAL(dma_mapping_error(dev, addr), 0);
        dma_unmap_single(dev, addr, BYTES, DMA_TO_DEVICE);
    }
}

/* The text of a result, for comparison: the child of the SystemC host writes it. */
static void run_hosted(const struct sim_host *host, bool run_ahead, void *result,
                       size_t bytes)
{
    struct world *w                = world_new("vtd-server", "lazy");
    const struct iovasim_program p = { probe, crowd, take_away };
    (void)run_ahead;
    iovasim_set_host(w->m, host);
    iovasim_set_cpus(w->m, 3);
    CHECK(iovasim_run(w->m, &p, w));
    char *text = printed(w->m);
    CHECK(strlen(text) < bytes);
    memcpy(result, text, strlen(text) + 1);
    free(text);
    world_free(w);
}

TEST_CASE(lib, both_hosts_give_the_same_bytes)
{
    static char direct[8192], systemc[8192];
    for (unsigned i = 0; i < HOST_CASES; i++)
        if (host_case[i].run_ahead)
            EXPECT(host_case_run(&host_case[i], run_hosted,
                                 host_case[i].systemc ? systemc : direct, sizeof direct));
    EXPECT_HAS(direct, "cycles.lock_wait");
    EXPECT_TEXT(systemc, direct);
}

TEST_CASE(lib, the_owners_share_the_time_of_all_cpus)
{
    static const unsigned cpus[] = { 1, 2, 5, 64 };
    for (unsigned i = 0; i < sizeof cpus / sizeof cpus[0]; i++) {
        struct world *w                = world_new("vtd-server", "strict");
        const struct iovasim_program p = { probe, crowd, take_away };
        uint64_t sum = 0, unmapping = 0;
        EXPECT(iovasim_set_cpus(w->m, cpus[i]));
        EXPECT(iovasim_run(w->m, &p, w));
        for (unsigned o = 0; o < OWNERS; o++) {
            sum += iovasim_cycles(w->m, (enum cpu_owner)o);
            unmapping += iovasim_cycles_in(w->m, (enum cpu_owner)o, PHASE_unmap);
        }
        EXPECT_EQUAL(sum, cpus[i] * (iovasim_time(w->m) / 323));
        EXPECT(unmapping > iovasim_cycles(w->m, OWNER_inval_wait));
        EXPECT_EQUAL(iovasim_cycles(w->m, OWNER_setup), 0);
        EXPECT_EQUAL(counted(w, "kernel.unmap"), 30 * cpus[i]);
        EXPECT((iovasim_cycles(w->m, OWNER_inval_lock) > 0) == (cpus[i] > 1));
        world_free(w);
    }
}

/* Two devices have a domain each: neither reaches what is mapped for the other. */
struct two {
    struct world *w;
    struct prober other;
    struct iovasim_slot *slot;
};

static void cross(struct world *w)
{
    struct iovasim_slot *mine = w->slot;
    struct two *t             = (struct two *)(uintptr_t)w->value;
    struct device *dev        = dev_of(w);
    /* Somewhere else than the first address of a domain, which both would be given. */
    const dma_addr_t addr =
        dma_map_single(dev, phys_to_virt(w->page), BYTES, DMA_TO_DEVICE);
    const unsigned seen = w->interrupts;
    EXPECT(access_device(w, REGISTER_READ, addr));
    mmio_write64(iovasim_registers(t->slot), REGISTER_READ, addr);
    while (w->interrupts == seen + 1)
        cpu_wait(cpu_this(), TIME_NEVER);
    EXPECT_EQUAL(t->other.refused, 1);
    EXPECT_EQUAL(w->prober.refused, 0);
    EXPECT(iovasim_requester(t->slot) != iovasim_requester(mine));
    dma_unmap_single(dev, addr, BYTES, DMA_TO_DEVICE);
}

TEST_CASE(lib, devices_have_a_domain_each)
{
    for (unsigned i = 0; preset_table[i] != NULL; i++) {
        struct two t = { .w = world_new(preset_table[i]->name, "strict") };
        t.slot       = iovasim_add_device(t.w->m, "prober1", &prober_ops, &t.other);
        t.w->value   = (uintptr_t)&t;
        EXPECT(world_run(t.w, cross));
        EXPECT_TEXT(iovasim_error(t.w->m), "");
        EXPECT_EQUAL(t.w->events[IOVASIM_FAULT], 1);
        EXPECT(t.w->first.slot == t.slot);
        EXPECT_HAS(t.w->text, "prober1: a read of 64 bytes at 0x");
        EXPECT_EQUAL(refusals(t.w), 1);
        world_free(t.w);
    }
}

/* ---- Accesses that should not be ------------------------------------------------------
 */

static void wild(struct world *w)
{
    EXPECT(!access_device(w, REGISTER_READ, 0x123440));
    EXPECT(!access_device(w, REGISTER_WRITE, 0x456780));
}

TEST_CASE(lib, an_access_that_is_refused_is_an_event)
{
    for (unsigned i = 0; preset_table[i] != NULL; i++) {
        struct world *w = world_new(preset_table[i]->name, "strict");
        EXPECT(world_run(w, wild));
        EXPECT_EQUAL(w->events[IOVASIM_FAULT], 2);
        EXPECT_EQUAL(refusals(w), 2);
        EXPECT(w->first.slot == w->slot);
        EXPECT_EQUAL(w->first.iova, 0x123440);
        EXPECT_EQUAL(w->first.bytes, BYTES);
        EXPECT(!w->first.write);
        EXPECT_HAS(w->text, "prober0: a read of 64 bytes at 0x123440 was refused");
        world_free(w);
    }
}

/* The device goes on after the unmap, at once and when the flush timer has fired. */
static void after_unmap(struct world *w)
{
    struct device *dev = dev_of(w);
    const dma_addr_t addr =
        dma_map_single(dev, phys_to_virt(w->page), BYTES, DMA_TO_DEVICE);
    EXPECT(access_device(w, REGISTER_READ, addr));
    dma_unmap_single(dev, addr, BYTES, DMA_TO_DEVICE);
    w->value = access_device(w, REGISTER_READ, addr);
    w->value += access_device(w, REGISTER_READ, addr);
    sleep_us(11000);
    EXPECT(!access_device(w, REGISTER_READ, addr));
}

TEST_CASE(lib, a_stale_access_is_an_event_and_says_how_late_it_was)
{
    for (unsigned i = 0; preset_table[i] != NULL; i++) {
        struct world *w = world_new(preset_table[i]->name, "lazy");
        EXPECT(world_run(w, after_unmap));
        EXPECT_TEXT(iovasim_error(w->m), "");
        EXPECT_EQUAL(w->value, 2);
        EXPECT_EQUAL(w->events[IOVASIM_STALE], 2);
        EXPECT_EQUAL(counted(w, "audit.stale_access"), 2);
        EXPECT_EQUAL(counted(w, "dma.stale"), 2);
        EXPECT_EQUAL(w->events[IOVASIM_FAULT], 1);
        EXPECT_EQUAL(w->first.kind, IOVASIM_STALE);
        EXPECT(w->first.late > 0);
        EXPECT(w->first.late < 5 * TIME_US);
        EXPECT_HAS(w->text, "us after its unmap");

        EXPECT(iovasim_set_policy(w->m, "strict"));
        EXPECT(world_run(w, after_unmap));
        EXPECT_EQUAL(w->value, 0);
        EXPECT_EQUAL(w->events[IOVASIM_STALE], 0);
        EXPECT_EQUAL(w->events[IOVASIM_FAULT], 3);
        EXPECT_EQUAL(counted(w, "audit.stale_access"), 0);
        world_free(w);
    }
}

/* A planted fault: the IOTLB forgets nothing more. */
static void deaf(struct world *w)
{
    struct device *dev = dev_of(w);
    const dma_addr_t addr =
        dma_map_single(dev, phys_to_virt(w->page), BYTES, DMA_TO_DEVICE);
    EXPECT(access_device(w, REGISTER_READ, addr));
    w->m->system.iommu.iotlb.plant_deaf = 1;
    dma_unmap_single(dev, addr, BYTES, DMA_TO_DEVICE);
    EXPECT(access_device(w, REGISTER_READ, addr));
}

TEST_CASE(lib, a_promise_that_is_broken_fails_the_run)
{
    struct world *w = world_new("vtd-server", "strict");
    EXPECT(!world_run(w, deaf));
    EXPECT_HAS(iovasim_error(w->m), "against the policy's promise");
    EXPECT(w->events[IOVASIM_STALE] > 0);
    EXPECT_EQUAL(counted(w, "audit.broken_access"), w->events[IOVASIM_STALE]);
    world_free(w);
}

TEST_CASE(lib, without_a_watch_the_numbers_are_the_same)
{
    struct world *w = world_new("vtd-ats", "lazy");
    EXPECT(world_run(w, after_unmap));
    char *watched = printed(w->m);
    iovasim_watch(w->m, NULL, NULL);
    EXPECT(world_run(w, after_unmap));
    char *alone = printed(w->m);
    EXPECT_EQUAL(w->events[IOVASIM_STALE], 0);
    EXPECT_TEXT(alone, watched);
    free(watched);
    free(alone);
    world_free(w);
}

static void unmap_twice(struct world *w)
{
    struct device *dev = dev_of(w);
    const dma_addr_t addr =
        dma_map_single(dev, phys_to_virt(w->page), BYTES, DMA_TO_DEVICE);
    dma_unmap_single(dev, addr, BYTES, DMA_FROM_DEVICE);
}

TEST_CASE(lib, findings_of_dma_debug_are_events)
{
    struct world *w = world_new("vtd-server", "strict");
    EXPECT(iovasim_set(w->m, "linux.dma_debug", "1"));
    EXPECT(world_run(w, unmap_twice));
    EXPECT(w->events[IOVASIM_FINDING] >= 1);
    EXPECT_HAS(w->text, "lib_test.c:");
    EXPECT(w->first.slot == NULL);
    EXPECT_EQUAL(counted(w, "kernel.finding"), w->events[IOVASIM_FINDING]);
    world_free(w);
}

/* ---- Programs that do not end well ----------------------------------------------------
 */

static int probe_fails(void *self)
{
    (void)self;
    return -ENODEV;
}

static void panics(struct world *w)
{
    kernel_panic(dev_of(w)->kernel, "no way out of %s", "here");
}

static void waits_for_ever(struct world *w)
{
    (void)w;
    for (;;)
        cpu_wait(cpu_this(), TIME_NEVER);
}

static void polls_for_ever(struct world *w)
{
    while (mmio_read64(iovasim_registers(w->slot), REGISTER_COUNT) < 100)
        cpu_relax(cpu_this());
}

static void keeps_a_page(struct world *w)
{
    w->value = kernel_pages_get(dev_of(w)->kernel, 1);
}

static void keeps_memory(struct world *w)
{
    w->value = (uintptr_t)kernel_host_alloc(dev_of(w)->kernel, 1, 100);
}

static void keeps_a_mapping(struct world *w)
{
    EXPECT_EQUAL(
        dma_mapping_error(dev_of(w), dma_map_single(dev_of(w), phys_to_virt(w->page), BYTES,
                                                    DMA_TO_DEVICE)),
        0);
}

static void is_at_work(struct world *w)
{
    w->prober.never_idle = true;
}

TEST_CASE(lib, what_ends_a_run_is_said_and_the_next_is_good)
{
    static const struct {
        void (*act)(struct world *w);
        sim_time_t limit;
        const char *says;
    } bad[] = {
        { panics, 0, "panic: no way out of here" },
        { waits_for_ever, 0, "for what never comes: nothing is due any more" },
        { polls_for_ever, 5 * TIME_MS, "the program had not ended after 5000000000 ps" },
        { keeps_a_page, 0, "2 page frames were not given back" },
        { keeps_memory, 0, "host memory that keeps_memory took was not given back" },
        { keeps_a_mapping, 0, "prober0: mappings that were never unmapped: 1" },
        { is_at_work, 0, "prober0: the device is still at work" },
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct world *w = world_new("vtd-server", "lazy");
        iovasim_set_time_limit(w->m, bad[i].limit);
        iovasim_set_cpus(w->m, 2);
        EXPECT(!world_run(w, bad[i].act));
        EXPECT_HAS(iovasim_error(w->m), bad[i].says);
        w->prober.never_idle = false;
        iovasim_set_time_limit(w->m, 100 * TIME_MS);
        EXPECT(world_run(w, both_ways));
        EXPECT_TEXT(iovasim_error(w->m), "");
        world_free(w);
    }
}

TEST_CASE(lib, a_probe_that_fails_ends_the_run)
{
    struct world *w                = world_new("vtd-server", "strict");
    const struct iovasim_program p = { probe_fails, run, NULL };
    w->act                         = nothing;
    EXPECT(!iovasim_run(w->m, &p, w));
    EXPECT_TEXT(iovasim_error(w->m), "the program's probe returned -19 (No such device)");
    EXPECT_EQUAL(iovasim_time(w->m), 0);
    world_free(w);
}

TEST_CASE(lib, a_device_that_never_sleeps_does_not_keep_the_machine_running)
{
    struct world *w = world_new("vtd-server", "strict");
    w->prober.ticks = true;
    EXPECT(world_run(w, both_ways));
    EXPECT_TEXT(iovasim_error(w->m), "");
    EXPECT(w->m->engine.now > TIME_MS);
    EXPECT(w->m->engine.now < 2 * TIME_MS);
    iovasim_set_time_limit(w->m, 10 * TIME_US);
    EXPECT(!world_run(w, both_ways));
    EXPECT_HAS(iovasim_error(w->m), "the program had not ended after 10000000 ps");
    world_free(w);
}

static volatile sig_atomic_t flag;

TEST_CASE(lib, a_flag_interrupts_a_run)
{
    struct world *w = world_new("vtd-server", "strict");
    flag            = 1;
    iovasim_set_interrupt(w->m, &flag);
    EXPECT(!world_run(w, polls_for_ever));
    EXPECT_TEXT(iovasim_error(w->m), "interrupted");
    world_free(w);
}

TEST_CASE(lib, a_mapping_that_is_kept_is_a_finding)
{
    struct world *w = world_new("vtd-server", "strict");
    EXPECT(iovasim_set(w->m, "linux.dma_debug", "1"));
    EXPECT(!world_run(w, keeps_a_mapping));
    EXPECT_EQUAL(w->events[IOVASIM_FINDING], 1);
    EXPECT_HAS(w->text, "lib_test.c:");
    world_free(w);
}

static void set_inside(struct world *w)
{
    iovasim_set(w->m, "iotlb.sets", "32");
}

static void run_hasty(void *arg)
{
    struct world *w = arg;
    world_run(w, both_ways);
}

static void run_set_inside(void *arg)
{
    world_run(arg, set_inside);
}

static void ask_outside(void *arg)
{
    struct world *w = arg;
    iovasim_device(w->slot);
}

TEST_CASE(lib, misuse_is_a_violation)
{
    struct world *w = world_new("vtd-server", "strict");
    EXPECT_DIES(run_set_inside, w, "m->running");
    EXPECT_DIES(ask_outside, w, "machine->running");
    w->prober.hasty = true;
    EXPECT_DIES(run_hasty, w, "slot->stepping");
    world_free(w);
}

/* ---- Counters ------------------------------------------------------------------------ */

TEST_CASE(lib, counters_are_found_by_the_names_that_are_listed)
{
    struct world *w = world_new("vtd-server", "strict");
    char name[96];
    uint64_t value;
    unsigned count = 0;
    for (; iovasim_statistic_name(count, name, sizeof name); count++)
        EXPECT(iovasim_statistic(w->m, name, &value));
    EXPECT(count > 150);
    EXPECT(!iovasim_statistic(w->m, "iotlb.no_such", &value));
    EXPECT(!iovasim_statistic(w->m, "iotlb", &value));
    EXPECT(!iovasim_statistic(w->m, "", &value));
    EXPECT_TEXT(iovasim_version(), "0.1.0");
    world_free(w);
}
