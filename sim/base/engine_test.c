/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/engine.h"

#include <string.h>

#include "sim/base/cpu.h"
#include "sim/base/lock.h"
#include "sim/base/mmio.h"
#include "sim/base/rng.h"
#include "sim/test/hosts.h"
#include "sim/test/shim.h"

enum { CPUS = 4 };

/* Four CPUs and two hardware blocks that do everything a party can do to another. */
struct world {
    struct engine engine;
    struct memory memory;
    struct cpu_config config;
    struct cpu cpu[CPUS];
    struct lock lock;
    struct line line;
    struct mmio_window window;
    struct cpu_timer timer[CPUS];
    sim_time_t *pulse_due;
    struct rng pulse_rng;
    uint64_t hash, events, inside;
    uint64_t accounts_wrong, account[CPUS][PHASES][OWNERS];
};

static void note(struct world *w, uint64_t what)
{
    w->hash = (w->hash ^ what ^ (w->engine.now << 8)) * UINT64_C(0x100000001b3);
    w->events++;
}

/* At any moment every cycle up to then has an owner, who keeps it. */
static void take_account(struct world *w, unsigned i, sim_time_t now)
{
    uint64_t sum[PHASES][OWNERS] = { 0 }, owned = 0;
    const uint64_t lived = cpu_account(&w->cpu[i], now, sum);
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++) {
            owned += sum[p][o];
            w->accounts_wrong += sum[p][o] < w->account[i][p][o];
        }
    w->accounts_wrong += owned != lived || lived != now / w->config.period_ps;
    memcpy(w->account[i], sum, sizeof sum);
    note(w, sum[PHASE_other][OWNER_idle] ^ sum[PHASE_map][OWNER_irq]);
}

static void pulse_step(void *self, sim_time_t now)
{
    struct world *w = self;
    note(w, 1);
    cpu_interrupt(&w->cpu[rng_below(&w->pulse_rng, CPUS)], 40, now);
    memory_device_write(&w->memory, 0x5000, &now, sizeof now);
    for (unsigned i = 0; i < CPUS; i++)
        take_account(w, i, now);
    *w->pulse_due =
        now > 400 * TIME_US ? TIME_NEVER : now + 1 + rng_below(&w->pulse_rng, 900000);
}

static void window_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                         sim_time_t now)
{
    struct world *w = self;
    (void)now;
    note(w, 2 + offset + value + bytes);
}

static uint64_t window_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct world *w = self;
    note(w, 3 + offset + bytes);
    return now;
}

static const struct mmio_ops window_ops = { window_write, window_read };

static void on_interrupt(void *arg)
{
    struct world *w = arg;
    struct cpu *cpu = cpu_this();
    note(w, 16 + cpu->id);
    cpu_store(cpu, &w->line);
    lock_take(cpu, &w->lock);
    CHECK(w->inside++ == 0);
    cpu_spend(cpu, 50);
    cpu_sync(cpu);
    w->inside--;
    lock_release(cpu, &w->lock);
}

static void on_timer(void *arg)
{
    struct world *w = arg;
    note(w, 32 + cpu_this()->id);
}

static void do_something(struct world *w, struct cpu *cpu, struct rng *rng, unsigned depth)
{
    switch (rng_below(rng, 10)) {
    case 0:
        lock_take(cpu, &w->lock);
        CHECK(w->inside++ == 0);
        cpu_spend(cpu, rng_below(rng, 300));
        cpu_store(cpu, &w->line);
        w->inside--;
        lock_release(cpu, &w->lock);
        break;
    case 1:
        cpu_write64(cpu, 0x4000 + 8 * rng_below(rng, 16), cpu->time);
        break;
    case 2:
        note(w, cpu_read64(cpu, 0x4000 + 8 * rng_below(rng, 16)));
        break;
    case 3:
        mmio_write32(&w->window, 4 * rng_below(rng, 8), cpu->id);
        break;
    case 4:
        note(w, mmio_read32(&w->window, 64));
        break;
    case 5:
        if (w->timer[cpu->id].cpu == NULL)
            cpu_timer_arm(cpu, &w->timer[cpu->id], cpu->time + rng_below(rng, 3000000));
        break;
    case 6:
        cpu_wait(cpu, cpu->time + rng_below(rng, 2000000));
        break;
    case 7:
        cpu_sync(cpu);
        cpu_wake(&w->cpu[rng_below(rng, CPUS)], cpu->time);
        break;
    case 8:
        note(w, cpu_read64(cpu, 0x5000));
        break;
    default:
        cpu_spend(cpu, rng_below(rng, 1000));
        cpu_own(cpu, rng_below(rng, OWNER_idle));
        cpu_enter_phase(cpu, rng_below(rng, PHASES));
        cpu_spend(cpu, rng_below(rng, 1000));
        if (depth < 30)
            do_something(w, cpu, rng, depth + 1); /* Deep stacks must just work. */
    }
}

static void program(void *arg)
{
    struct world *w = arg;
    struct cpu *cpu = cpu_this();
    char name[8]    = { 'p', (char)('0' + cpu->id), '\0' };
    struct rng rng  = rng_make(11, name);
    cpu_handle(cpu, 40, on_interrupt, w);
    for (unsigned i = 0; i < 3000; i++) {
        do_something(w, cpu, &rng, 0);
        note(w, 64 + cpu->id);
    }
    while (cpu->time < 600 * TIME_US) /* Outlive the pulses, to take their interrupts. */
        cpu_wait(cpu, 600 * TIME_US);
}

struct outcome {
    uint64_t hash, events, now, accounts_wrong;
    uint64_t cycles[CPUS][PHASES][OWNERS];
    bool sums;
};

static void world_body(const struct sim_host *host, bool run_ahead, void *result,
                       size_t bytes)
{
    static struct world w;
    struct outcome *o = result;
    CHECK(bytes == sizeof *o);
    memset(&w, 0, sizeof w);
    memory_init(&w.memory);
    param_reset(&cpu_param_table, &w.config);
    engine_init(&w.engine, host, run_ahead);
    mmio_init(&w.window, &w.engine, "window", &window_ops, &w, 120 * TIME_NS);
    w.pulse_rng  = rng_make(5, "pulse");
    w.pulse_due  = engine_add_block(&w.engine, "pulse", pulse_step, &w);
    *w.pulse_due = 1000;
    for (unsigned i = 0; i < CPUS; i++) {
        cpu_init(&w.cpu[i], i, &w.engine, &w.memory, &w.config, program, &w);
        w.timer[i] = (struct cpu_timer){ .fire = on_timer, .arg = &w };
    }
    engine_run(&w.engine);

    o->sums = true;
    for (unsigned i = 0; i < CPUS; i++) {
        struct error error;
        CHECK(w.cpu[i].finished);
        o->sums &= cpu_check(&w.cpu[i], &error);
        memcpy(o->cycles[i], w.cpu[i].cycles, sizeof w.cpu[i].cycles);
    }
    o->hash           = w.hash;
    o->events         = w.events;
    o->now            = w.engine.now;
    o->accounts_wrong = w.accounts_wrong;
    engine_free(&w.engine);
    mmio_free(&w.window);
    memory_free(&w.memory);
}

TEST_CASE(engine, every_host_with_and_without_running_ahead_gives_the_same_events)
{
    struct outcome first = { 0 };
    REQUIRE(host_case_run(&host_case[0], world_body, &first, sizeof first));
    EXPECT(first.events > 20000);
    EXPECT(first.sums);
    EXPECT_EQUAL(first.accounts_wrong, 0);
    for (unsigned i = 1; i < HOST_CASES; i++) {
        struct outcome o = { 0 };
        EXPECT(host_case_run(&host_case[i], world_body, &o, sizeof o));
        EXPECT_EQUAL(o.events, first.events);
        EXPECT_EQUAL(o.hash, first.hash);
        EXPECT(memcmp(&o, &first, sizeof o) == 0);
    }
}
