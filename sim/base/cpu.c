/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/cpu.h"

#include <inttypes.h>
#include <string.h>

#include "sim/base/lg2.h"

#define PARAM_OWNER struct cpu_config
static const struct param_def cpu_params[] = { CPU_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table cpu_param_table   = { "cpu",
                                               "A simulated CPU: the price of each primitive",
                                               cpu_params, sizeof(struct cpu_config), NULL };

/* The host runs one coroutine at a time on one thread; tests may use several threads. */
static _Thread_local struct cpu *running;

struct cpu *cpu_this(void)
{
    CHECK(running != NULL);
    return running;
}

struct cpu *cpu_running(void)
{
    return running;
}

static void cpu_entry(void *arg)
{
    struct cpu *cpu = arg;
    cpu->program(cpu->program_arg);
    cpu->finished = true;
}

void cpu_init(struct cpu *cpu, unsigned id, struct engine *engine, struct memory *memory,
              const struct cpu_config *config, void (*program)(void *arg), void *arg)
{
    CHECK(id < ENGINE_CPUS_MAX);
    memset(cpu, 0, sizeof *cpu);
    cpu->engine  = engine;
    cpu->config  = config;
    cpu->memory  = memory;
    cpu->id      = id;
    cpu->started = cycle_at_or_after(engine->now, config->period_ps) * config->period_ps;
    cpu->time    = cpu->started;
    cpu->owner   = OWNER_driver;
    cpu->phase   = PHASE_other;
    cpu->program = program;
    cpu->program_arg = arg;
    char name[16];
    /* Of all that there are: several hosts may each have a CPU 0. */
    snprintf(name, sizeof name, "cpu%u", engine->cpu_count);
    cpu->coroutine = engine->host->spawn(engine->host->self, name, cpu_entry, cpu);
    cpu->place     = engine_add_cpu(engine, cpu, cpu->time);
}

void cpu_resume(struct cpu *cpu)
{
    struct cpu *before = running;
    CHECK(!cpu->finished);
    running = cpu;
    cpu->engine->host->resume(cpu->engine->host->self, cpu->coroutine);
    running = before;
}

void cpu_yield(struct cpu *cpu)
{
    CHECK(running == cpu);
    cpu->engine->host->yield(cpu->engine->host->self, cpu->coroutine);
}

/* Everything due before this CPU's local time happens first. */
static void catch_up(struct cpu *cpu)
{
    engine_wait_turn(cpu->engine, cpu->time);
}

/* Moves local time to t, or the next edge after it, on somebody's account. */
static void pass_time(struct cpu *cpu, sim_time_t t, enum cpu_owner owner)
{
    const uint64_t period = cpu->config->period_ps;
    if (t <= cpu->time)
        return;
    const uint64_t cycles = (t - cpu->time + period - 1) / period;
    cpu_tell_owned(cpu, cpu->owner);
    cpu->time += cycles * period;
    cpu->cycles[cpu->phase][owner] += cycles;
    cpu_tell_owned(cpu, owner);
}

static int next_vector(const struct cpu *cpu)
{
    for (int i = CPU_VECTORS / 64 - 1; i >= 0; i--)
        if (cpu->pending[i] != 0)
            return i * 64 + (int)lg2_floor(cpu->pending[i]);
    return -1;
}

/* Runs fn(arg) the way an interrupt would: interrupts off, entry and exit paid for. */
static void take(struct cpu *cpu, void (*fn)(void *arg), void *arg)
{
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_other);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_irq);
    cpu_irq_disable(cpu);
    cpu_spend(cpu, cpu->config->irq_entry_cycles);
    cpu_own(cpu, OWNER_driver);
    fn(arg);
    cpu_own(cpu, OWNER_irq);
    cpu_spend(cpu, cpu->config->irq_exit_cycles);
    cpu_irq_enable(cpu);
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
    cpu->kicked = true;
}

static bool take_one(struct cpu *cpu)
{
    const int vector = next_vector(cpu);
    if (vector >= 0) {
        cpu->pending[vector / 64] &= ~(UINT64_C(1) << (vector % 64));
        CHECK(cpu->vector[vector].handle != NULL);
        take(cpu, cpu->vector[vector].handle, cpu->vector[vector].arg);
        return true;
    }
    struct cpu_timer *timer = cpu->timer;
    if (timer == NULL || timer->due > cpu->time)
        return false;
    cpu->timer = timer->next;
    timer->cpu = NULL;
    take(cpu, timer->fire, timer->arg);
    return true;
}

void cpu_sync(struct cpu *cpu)
{
    CHECK(running == cpu);
    catch_up(cpu);
    while (cpu->irq_off == 0 && take_one(cpu))
        catch_up(cpu);
}

/* ---- Lines and memory ---------------------------------------------------------------- */

static uint32_t load_cost(const struct cpu *cpu, const struct line *line)
{
    if (line->holders & UINT64_C(1) << cpu->id)
        return cpu->config->hit_cycles;
    switch ((enum line_state)line->state) {
    case LINE_COLD:
        return cpu->config->cold_cycles;
    case LINE_MODIFIED:
        return cpu->config->transfer_cycles;
    case LINE_SHARED:
    case LINE_DEVICE:
        return cpu->config->llc_cycles;
    }
    UNREACHABLE("a line has one of four states");
}

static uint32_t store_cost(const struct cpu *cpu, const struct line *line)
{
    const uint64_t me = UINT64_C(1) << cpu->id;
    if (line->holders == me)
        return cpu->config->hit_cycles;
    if (line->holders & ~me)
        return cpu->config->transfer_cycles;
    return line->state == LINE_COLD ? cpu->config->cold_cycles : cpu->config->llc_cycles;
}

void cpu_load(struct cpu *cpu, struct line *line)
{
    cpu_sync(cpu);
    const uint32_t cost = load_cost(cpu, line);
    const uint64_t me   = UINT64_C(1) << cpu->id;
    if (line->state != LINE_MODIFIED || line->holders != me)
        line->state = LINE_SHARED;
    line->holders |= me;
    cpu_spend(cpu, cost);
}

void cpu_store(struct cpu *cpu, struct line *line)
{
    cpu_sync(cpu);
    const uint32_t cost = store_cost(cpu, line);
    line->holders       = UINT64_C(1) << cpu->id;
    line->state         = LINE_MODIFIED;
    cpu_spend(cpu, cost);
}

void cpu_atomic(struct cpu *cpu, struct line *line)
{
    cpu_store(cpu, line);
    cpu_spend(cpu, cpu->config->locked_cycles);
}

void cpu_barrier(struct cpu *cpu)
{
    cpu_sync(cpu);
    cpu_spend(cpu, cpu->config->barrier_cycles);
}

/* The effect takes place at the synchronised time; the cost follows it. */
uint64_t cpu_read64(struct cpu *cpu, uint64_t pa)
{
    cpu_load(cpu, memory_line(cpu->memory, pa));
    return memory_read64(cpu->memory, pa);
}

uint32_t cpu_read32(struct cpu *cpu, uint64_t pa)
{
    cpu_load(cpu, memory_line(cpu->memory, pa));
    return memory_read32(cpu->memory, pa);
}

void cpu_write64(struct cpu *cpu, uint64_t pa, uint64_t value)
{
    cpu_store(cpu, memory_line(cpu->memory, pa));
    memory_write64(cpu->memory, pa, value);
}

void cpu_write32(struct cpu *cpu, uint64_t pa, uint32_t value)
{
    cpu_store(cpu, memory_line(cpu->memory, pa));
    memory_write32(cpu->memory, pa, value);
}

/* ---- Waiting ------------------------------------------------------------------------- */

void cpu_wait(struct cpu *cpu, sim_time_t until)
{
    CHECK(cpu->irq_off == 0);
    cpu_sync(cpu);
    if (cpu->kicked || cpu->time >= until) {
        cpu->kicked = false;
        return;
    }
    if (cpu->timer != NULL)
        until = time_min(until, cpu->timer->due);
    cpu->waiting = true;
    engine_wait_turn(cpu->engine, until);
    cpu->waiting = false;
    pass_time(cpu, cpu->engine->now, OWNER_idle);
    cpu_spend(cpu, cpu->config->wake_cycles);
    cpu_sync(cpu);
    cpu->kicked = false;
}

/* A wait, if there is one, is over at that time at the latest. */
static void end_wait(struct cpu *cpu, sim_time_t at)
{
    if (cpu->waiting && engine_cpu_due(cpu->engine, cpu->place) > at)
        engine_set_cpu_due(cpu->engine, cpu->place, at);
}

void cpu_wake(struct cpu *cpu, sim_time_t now)
{
    cpu->kicked = true;
    end_wait(cpu, now);
}

void cpu_stall_until(struct cpu *cpu, sim_time_t until)
{
    pass_time(cpu, until, cpu->owner);
    catch_up(cpu);
}

void cpu_spin_until_handed(struct cpu *cpu)
{
    CHECK(cpu->irq_off > 0);
    cpu->spinning = true;
    engine_wait_turn(cpu->engine, TIME_NEVER); /* Only the holder knows. */
    CHECK(!cpu->spinning);
    pass_time(cpu, cpu->engine->now, cpu->owner);
}

void cpu_hand_over(struct cpu *cpu, sim_time_t at)
{
    CHECK(cpu->spinning);
    cpu->spinning = false;
    engine_set_cpu_due(cpu->engine, cpu->place, at);
}

/* ---- Interrupts and timers ----------------------------------------------------------- */

void cpu_handle(struct cpu *cpu, unsigned vector, void (*handle)(void *arg), void *arg)
{
    CHECK(vector < CPU_VECTORS);
    cpu->vector[vector].handle = handle;
    cpu->vector[vector].arg    = arg;
}

void cpu_interrupt(struct cpu *cpu, unsigned vector, sim_time_t now)
{
    CHECK(vector < CPU_VECTORS);
    cpu->pending[vector / 64] |= UINT64_C(1) << (vector % 64);
    end_wait(cpu, now);
}

void cpu_timer_arm(struct cpu *cpu, struct cpu_timer *timer, sim_time_t due)
{
    CHECK(timer->cpu == NULL);
    struct cpu_timer **link = &cpu->timer;
    while (*link != NULL && (*link)->due <= due)
        link = &(*link)->next;
    timer->due  = due;
    timer->cpu  = cpu;
    timer->next = *link;
    *link       = timer;
    end_wait(cpu, due);
}

bool cpu_timer_cancel(struct cpu_timer *timer)
{
    if (timer->cpu == NULL)
        return false;
    struct cpu_timer **link = &timer->cpu->timer;
    while (*link != timer)
        link = &(*link)->next;
    *link      = timer->next;
    timer->cpu = NULL;
    return true;
}

/* ---- Audit --------------------------------------------------------------------------- */

static uint64_t cycles_until(const struct cpu *cpu, sim_time_t t)
{
    return t <= cpu->started ? 0 : (t - cpu->started) / cpu->config->period_ps;
}

/* The cycles after now, which a CPU ahead of it has been charged, newest tenure first. */
static void take_off(const struct cpu *cpu, sim_time_t now, uint64_t sum[PHASES][OWNERS])
{
    struct cpu_tenure t = { cpu->time, cpu->owner, cpu->phase };
    for (uint64_t left = cpu->tenures; t.until > now; left--) {
        const bool known              = left > 0 && cpu->tenures - left < CPU_TENURES;
        const struct cpu_tenure *last = &cpu->tenure[(left - 1) % CPU_TENURES];
        const sim_time_t from         = known && last->until > now ? last->until : now;
        sum[t.phase][t.owner] -= cycles_until(cpu, t.until) - cycles_until(cpu, from);
        if (from == now)
            return;
        t = *last;
    }
}

uint64_t cpu_account(const struct cpu *cpu, sim_time_t now, uint64_t sum[PHASES][OWNERS])
{
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            sum[p][o] += cpu->cycles[p][o];
    if (cpu->finished && cpu->time < now)
        now = cpu->time;
    if (cpu->time > now)
        take_off(cpu, now, sum);
    else
        sum[cpu->phase][cpu->waiting ? OWNER_idle : cpu->owner] +=
            cycles_until(cpu, now) - cycles_until(cpu, cpu->time);
    return cycles_until(cpu, now);
}

bool cpu_check(const struct cpu *cpu, struct error *error)
{
    uint64_t owned = 0;
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            owned += cpu->cycles[p][o];
    const uint64_t lived = (cpu->time - cpu->started) / cpu->config->period_ps;
    if (owned != lived)
        return error_set(error,
                         "cpu%u lived %" PRIu64 " cycles but its owners sum to %" PRIu64,
                         cpu->id, lived, owned);
    return true;
}

void cpu_describe(const struct cpu *cpu, FILE *out)
{
    fprintf(out, "  cpu%u at %" PRIu64 " ps, %s, owner %s%s\n", cpu->id, cpu->time,
            cpu->finished   ? "finished"
            : cpu->spinning ? "spinning for a lock"
            : cpu->waiting  ? "waiting"
                            : "running",
            cpu_owner_name[cpu->owner], cpu->irq_off ? ", interrupts off" : "");
}

uint64_t cpu_owner_cycles(const struct cpu *cpu, enum cpu_owner owner)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < PHASES; p++)
        sum += cpu->cycles[p][owner];
    return sum;
}
