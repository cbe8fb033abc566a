/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu_model/vtd_spec.h"
#include "sim/base/lg2.h"
#include "sim/host/direct.h"
#include "sim/linux/allocator.h"
#include "sim/linux/derive.h"
#include "sim/linux/resolve.h"

/* Of a call that makes way for others between two ranges that it gives back. */
struct held {
    uint32_t row; /* NO_ROW: none. */
    struct compare compare;
    struct resync_held resync;
    struct rec_inv log[MACHINE_LOG_MAX];
    unsigned logged;
    bool in_halves;
};

struct run {
    struct compare compare; /* With the drive. */
    const struct check_settings *settings;
    const struct recording *calls, *allocator;
    struct plan plan;
    uint32_t next, section;
    struct held held[REC_CPUS_MAX];
    unsigned hurry;         /* The CPU whose call is to end at once; REC_CPUS_MAX: none. */
    struct allocator lines; /* Of an allocator's recording. */
    const struct plan_lines *order; /* Of its rows to begin with; NULL: as they are. */
    struct error *error;
    bool good;
};

/* ---- Taking turns
 * ---------------------------------------------------------------------------- */

/* A recording's times are those of an emulation: only their order counts, and that sections
 * lie apart. In the time between, a depot that has too many magazines is trimmed, here as
 * in an allocator's recording, whose lines have no time. */
#define SECTION_TIME (2000 * TIME_MS)

static void sleep_until(sim_time_t time)
{
    while (cpu_this()->time < time)
        cpu_wait(cpu_this(), time);
}

static void perform(struct run *run, const struct step *step)
{
    struct drive *d = run->compare.drive;
    if (step->kind == STEP_outside) {
        const struct row *row = &run->allocator->row[step->row];
        resync_begin(&d->resync, row->kind == ROW_allocate, row->pfn, row->path);
        drive_outside(d, row, run->plan.space_of[row->space],
                      run->allocator->section[row->section][0] == '\0');
        return;
    }
    const struct row *row = &run->calls->row[step->row];
    sleep_until(row->section * SECTION_TIME);
    if (row->device == NO_DEVICE) {
        compare_unknown(&run->compare, row);
        return;
    }
    compare_before(&run->compare, row);
    d->resync.unseen    = row->unseen;
    d->resync.gap       = row->gap;
    d->resync.unmatched = run->plan.unmatched[step->row];
    d->after_gap        = run->plan.after_gap[step->row] && !d->resync.unmatched;
    run->compare.place  = (enum resync_rule)run->plan.excused[step->row];
    if (step->kind == STEP_flush) {
        drive_flush(d, step->row);
        compare_flush(&run->compare, row);
    } else {
        drive_call(d, step->row);
        compare_after(&run->compare, row);
    }
}

static void pause_between(struct run *run, uint32_t row)
{
    const uint32_t section = run->calls->row[row].section;
    if (section == run->section)
        return;
    run->section = section;
    if (run->calls->section[section][0] != '\0')
        sleep_until(cpu_this()->time + SECTION_TIME);
}

/* One row of an allocator's recording, on its CPU. */
static void take_line(struct run *run)
{
    const uint32_t row = run->order == NULL ? run->next : run->order->sequence[run->next];
    pause_between(run, row);
    allocator_call(&run->lines, row);
    run->next++;
}

/* ---- Making way
 * -----------------------------------------------------------------------
 */

static unsigned whose_turn(const struct run *run)
{
    if (run->hurry < REC_CPUS_MAX)
        return run->hurry;
    if (!run->calls->allocator_only)
        return run->plan.step[run->next].cpu;
    return run->calls->row[run->order == NULL ? run->next : run->order->sequence[run->next]]
        .cpu;
}

static void pass_turn(struct run *run)
{
    const sim_time_t now = cpu_this()->time;
    struct cpu *other    = &run->compare.drive->machine.cpu[whose_turn(run)];
    if (other->spinning) /* In the middle of a call. */
        cpu_hand_over(other, now);
    else
        cpu_wake(other, now);
}

static void hold(struct run *run, struct held *held, uint32_t row)
{
    struct drive *d = run->compare.drive;
    held->row       = row;
    held->compare   = run->compare;
    held->logged    = d->machine.logged;
    held->in_halves = d->in_halves;
    memcpy(held->log, d->machine.log, sizeof held->log);
    resync_hold(&d->resync, &held->resync);
}

static void go_on(struct run *run, struct held *held)
{
    struct drive *d   = run->compare.drive;
    run->compare      = held->compare;
    d->machine.logged = held->logged;
    d->in_halves      = held->in_halves;
    memcpy(d->machine.log, held->log, sizeof held->log);
    resync_go_on(&d->resync, &held->resync);
    held->row = NO_ROW;
}

/* Before a range is given back: it may be others' turn. With locks held, and interrupts
 * off, as a call that gives back several has them. */
static void make_way(void *self)
{
    struct run *run         = self;
    struct cpu *cpu         = cpu_this();
    const struct step *step = &run->plan.step[run->next];
    if (run->next == run->plan.steps || run->hurry < REC_CPUS_MAX
        || step->kind == STEP_outside || step->cpu != cpu->id
        || step->until != run->compare.drive->resync.releases)
        return;
    hold(run, &run->held[cpu->id], step->row);
    run->next++;
    cpu_irq_disable(cpu);
    while (whose_turn(run) != cpu->id) {
        pass_turn(run);
        cpu_spin_until_handed(cpu);
    }
    cpu_irq_enable(cpu);
    go_on(run, &run->held[cpu->id]);
}

static const struct dma_domain *domain_of_row(const struct run *run, const struct row *row)
{
    const unsigned device = row->device;
    return device == NO_DEVICE ? NULL : run->compare.drive->machine.device[device].domain;
}

/* Whether the step would wait for a ring that a call which has made way has locked: that
 * call is then to end first. */
static bool must_wait(struct run *run, const struct step *step, unsigned cpu)
{
    for (unsigned c = 0; c < run->compare.drive->machine.cpus; c++) {
        const uint32_t row = run->held[c].row;
        if (c == cpu || row == NO_ROW)
            continue;
        const struct dma_domain *d = domain_of_row(run, &run->calls->row[row]);
        const bool outside         = step->kind == STEP_outside;
        const struct row *next     = outside ? NULL : &run->calls->row[step->row];
        if (d == NULL
            || (next != NULL
                && (domain_of_row(run, next) != d || row_kind_maps(next->kind))))
            continue;
        const bool all = next == NULL || next->kind == ROW_timer;
        for (unsigned k = all ? 0 : cpu; k <= (all ? run->calls->cpus - 1 : cpu); k++)
            if (batch_ring_is_locked(d->batch, k)) {
                run->hurry = c;
                return true;
            }
    }
    return false;
}

/* One step of the plan, on its CPU. */
static void take_step(struct run *run)
{
    const unsigned cpu      = cpu_this()->id;
    const struct step *step = &run->plan.step[run->next];
    if (step->kind != STEP_more) { /* Otherwise what it goes on with has ended. */
        if (must_wait(run, step, cpu))
            return;
        perform(run, step);
    }
    if (run->hurry == cpu)
        run->hurry = REC_CPUS_MAX;
    else
        run->next++;
}

static void play(struct run *run)
{
    struct machine *m    = &run->compare.drive->machine;
    struct cpu *cpu      = cpu_this();
    const uint32_t steps = run->calls->allocator_only ? run->calls->rows : run->plan.steps;
    while (run->next < steps && run->good) {
        cpu_sync(cpu);
        if (whose_turn(run) != cpu->id) {
            pass_turn(run);
            cpu_wait(cpu, TIME_NEVER);
        } else if (run->calls->allocator_only) {
            take_line(run);
        } else {
            take_step(run);
        }
    }
    for (unsigned i = 0; i < m->cpus; i++)
        cpu_wake(&m->cpu[i], cpu->time);
}

/* ---- Before and after
 * ------------------------------------------------------------------------- */

/* The order of the calls is that of the allocator's rows: where the tree did not give what
 * is recorded, it did not there. */
static enum resync_rule rule_elsewhere(void *self, uint64_t got)
{
    const struct run *run = self;
    (void)got;
    return run->compare.place;
}

static void set_up(struct run *run)
{
    struct drive *d = run->compare.drive;
    if (run->calls->allocator_only) {
        allocator_set_up(&run->lines, &run->compare, run->order);
        return;
    }
    run->good           = machine_bring_up(&d->machine, run->error);
    d->resync.releasing = make_way;
    d->resync.releaser  = run;
    d->resync.searched  = rule_elsewhere;
    d->resync.lines     = run;
    for (unsigned i = 0; run->good && i < run->calls->devices; i++)
        if (run->calls->device[i].space != NO_SPACE)
            resync_watch(&d->resync, run->calls->device[i].space,
                         &d->machine.device[i].domain->iova);
}

/* What a recording has not given back when it ends is given back now. */
static void tear_down(struct run *run)
{
    struct drive *d   = run->compare.drive;
    struct machine *m = &d->machine;
    if (run->calls->allocator_only) {
        allocator_tear_down(&run->lines);
        return;
    }
    if (run->compare.result->rows_differing > 0) {
        resync_abandon(&d->resync); /* What is handed out is not what is recorded. */
        return;
    }
    for (unsigned id = 2; id < m->domains; id++) {
        struct dma_domain *domain = m->domain[id];
        for (unsigned stage = 0; domain != NULL && stage <= FLUSH_RELEASE; stage++)
            domain_expire(domain, (enum flush_stage)stage);
    }
    resync_end(&d->resync);
    if (run->good)
        machine_take_down(m);
}

static void program(void *arg)
{
    struct run *run   = arg;
    struct machine *m = &run->compare.drive->machine;
    if (cpu_this()->id == 0)
        set_up(run);
    barrier_wait(&m->barrier, cpu_this());
    if (run->good)
        play(run);
    barrier_wait(&m->barrier, cpu_this());
    if (cpu_this()->id == 0)
        tear_down(run);
}

/* ---- One recording
 * ----------------------------------------------------------------------------- */

/* The recording of the calls and that of the allocator, either NULL when it is not there,
 * with the order found. */
struct run_pair {
    struct recording *calls, *allocator;
    const struct check_settings *settings;
    bool alone; /* The allocator's is derived from that of the calls. */
    struct order *order, *other;
    uint8_t *other_cpu; /* The CPUs of the allocator's rows in the other order. */
};

static struct run *run_new(const struct recording *calls,
                           const struct check_settings *settings,
                           struct check_result *result, struct error *error)
{
    struct run *run = calloc(1, sizeof *run);
    CHECK(run != NULL);
    run->compare.drive = calloc(1, sizeof *run->compare.drive);
    CHECK(run->compare.drive != NULL);
    run->compare.drive->calls = calls;
    run->compare.result       = result;
    run->settings             = settings;
    run->calls                = calls;
    run->error                = error;
    run->good                 = true;
    run->hurry                = REC_CPUS_MAX;
    for (unsigned i = 0; i < REC_CPUS_MAX; i++)
        run->held[i].row = NO_ROW;
    return run;
}

static bool run_all(struct run *run)
{
    struct drive *d          = run->compare.drive;
    struct direct_host *host = direct_host_new();
    resync_init(&d->resync, run->calls->spaces, run->calls->cpus);
    drive_init(d);
    machine_build(&d->machine, run->settings, run->calls, direct_host_verbs(host), program,
                  run);
    engine_run(&d->machine.engine);
    run->compare.result->stand_ins = d->stand_ins;
    machine_destroy(&d->machine);
    drive_free(d);
    resync_free(&d->resync);
    direct_host_free(host);
    return run->good;
}

static void run_free(struct run *run)
{
    allocator_free(&run->lines);
    plan_free(&run->plan);
    free(run->compare.drive);
    free(run);
}

static bool settings_fit(const struct check_settings *s, struct error *error)
{
    if (linux_param_table.check != NULL && !linux_param_table.check(&s->kernel, error))
        return false;
    const struct flush_policy *policy = flush_find(s->recorded.policy);
    return policy->translates
           || error_set(error, "recorded.policy: expected one that translates, got %s",
                        s->recorded.policy);
}

/* How an allocator's recording came out, beginning with one order of its rows. */
struct order {
    struct check_result result;
    uint32_t *row;    /* In the order found. */
    uint8_t *excused; /* Of each row: enum resync_rule. */
};

static struct order *order_new(const struct recording *lines, unsigned show)
{
    struct order *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    o->row         = calloc(lines->rows, sizeof *o->row);
    o->excused     = calloc(lines->rows, sizeof *o->excused);
    o->result.show = show;
    CHECK(o->row != NULL && o->excused != NULL);
    return o;
}

static void order_free(struct order *o)
{
    if (o == NULL)
        return;
    free(o->row);
    free(o->excused);
    free(o);
}

/* An allocator's recording alone, beginning with that order of the rows (NULL: as they
 * are). */
static bool run_allocator(const struct recording *lines,
                          const struct check_settings *settings,
                          const struct plan_lines *begin, struct order *found,
                          struct error *error)
{
    struct run *run = run_new(lines, settings, &found->result, error);
    run->order      = begin;
    const bool good = run_all(run);
    if (good) {
        allocator_order(&run->lines, found->row);
        memcpy(found->excused, run->lines.excused, lines->rows * sizeof found->excused[0]);
    }
    run_free(run);
    return good;
}

static bool explains_more(const struct check_result *a, const struct check_result *b)
{
    return a->rows_differing != b->rows_differing ? a->rows_differing < b->rows_differing
                                                  : a->rows_excused < b->rows_excused;
}

/* Exchanges the CPUs of the allocator's rows for others. */
static void exchange_cpus(struct recording *lines, uint8_t *cpu)
{
    for (uint32_t i = 0; i < lines->rows; i++) {
        const uint8_t was = lines->row[i].cpu;
        lines->row[i].cpu = cpu[i];
        cpu[i]            = was;
    }
}

/* The allocator's recording beginning with the order that the lines of the calls leave; its
 * rows are on those lines' CPUs afterwards, cpu has their own. */
static bool run_in_line_order(struct run_pair *p, struct order *found, uint8_t *cpu,
                              struct error *error)
{
    struct plan_lines begin;
    plan_lines_find(&begin, p->calls, p->allocator);
    exchange_cpus(p->allocator, begin.cpu);
    memcpy(cpu, begin.cpu, p->allocator->rows);
    const bool good = run_allocator(p->allocator, p->settings, &begin, found, error);
    plan_lines_free(&begin);
    return good;
}

/* The other of two orders, on its CPUs, and back. */
static void exchange_orders(struct run_pair *p)
{
    struct order *was = p->order;
    p->order          = p->other;
    p->other          = was;
    exchange_cpus(p->allocator, p->other_cpu);
}

/*
 * The order of the allocator's calls: from its own recording; where that is not in the
 * order in which things happened, from the order of the calls' lines, in which only
 * interrupted calls stand too late. The one that explains more is p->order, the other one,
 * if it was needed, p->other.
 */
static bool find_order(struct run_pair *p, unsigned show, struct error *error)
{
    p->order = order_new(p->allocator, show);
    if (!run_allocator(p->allocator, p->settings, NULL, p->order, error))
        return false;
    const struct check_result *own = &p->order->result;
    if (p->calls == NULL || own->rows_differing + own->rows_excused == 0)
        return true;
    p->other     = p->order;
    p->order     = order_new(p->allocator, show);
    p->other_cpu = calloc(p->allocator->rows, sizeof *p->other_cpu);
    CHECK(p->other_cpu != NULL);
    if (!run_in_line_order(p, p->order, p->other_cpu, error))
        return false;
    if (!explains_more(&p->order->result, own))
        exchange_orders(p);
    return true;
}

static bool run_planned(struct run_pair *p, struct check_result *result,
                        struct error *error)
{
    struct run *run = run_new(p->calls, p->settings, result, error);
    run->allocator  = p->allocator;
    plan_make(&run->plan, p->calls, p->allocator, p->order == NULL ? NULL : p->order->row,
              p->order == NULL ? NULL : p->order->excused);
    run->compare.alone = p->alone;
    result->moved      = run->plan.moved;
    result->outside    = run->plan.outside;
    const bool good    = run_all(run);
    run_free(run);
    return good;
}

/* The last page that a device may be given: of 48 bits, as many as the tables reach. */
static uint64_t last_page(const struct check_settings *s)
{
    const unsigned sagaw  = vtd_cap_sagaw(s->recorded.cap);
    const unsigned levels = sagaw == 0 ? 4 : 2 + lg2_floor(sagaw);
    return mask_lg2((levels < 4 ? levels : 4) * 9);
}

static bool read_twin(struct recording *twin, const char *path, struct error *error)
{
    return path == NULL || recording_read(twin, path, error);
}

static bool run_calls(struct run_pair *p, struct check_result *result, struct error *error)
{
    if (p->allocator != NULL) {
        if (!find_order(p, 0, error))
            return false;
        if (p->allocator->cpus > p->calls->cpus)
            p->calls->cpus = p->allocator->cpus;
    }
    struct check_result *second = calloc(1, sizeof *second);
    CHECK(second != NULL);
    second->show = result->show;
    bool good    = run_planned(p, result, error);
    if (good && p->other != NULL && !check_good(result)) {
        exchange_orders(p);
        good = run_planned(p, second, error);
        if (good && explains_more(second, result))
            *result = *second;
    }
    free(second);
    return good;
}

static bool run_lines(struct run_pair *p, struct check_result *result, struct error *error)
{
    if (!find_order(p, result->show, error))
        return false;
    *result = p->order->result;
    return true;
}

bool check_recording(struct check_result *result, const char *path, const char *twin,
                     const struct check_settings *settings, struct error *error)
{
    struct recording own = { 0 }, other = { 0 };
    struct run_pair p = { .settings = settings };
    bool good         = settings_fit(settings, error) && recording_read(&own, path, error)
                && read_twin(&other, twin, error);
    if (good) {
        struct recording *second = twin == NULL ? NULL : &other;
        p.calls                  = own.allocator_only ? second : &own;
        p.allocator              = own.allocator_only ? &own : second;
        if (p.calls != NULL)
            recording_resolve(p.calls);
        if (p.allocator == NULL) {
            derive_allocator(&other, &own, last_page(settings), settings->kernel.forcedac);
            p.allocator = other.rows > 0 ? &other : NULL;
            p.alone     = true;
        }
        good = own.allocator_only ? run_lines(&p, result, error)
                                  : run_calls(&p, result, error);
    }
    order_free(p.order);
    order_free(p.other);
    free(p.other_cpu);
    recording_free(&own);
    recording_free(&other);
    return good;
}
