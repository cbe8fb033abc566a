/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/host/direct.h"
#include "sim/linux/allocator.h"
#include "sim/linux/resolve.h"

struct run {
    struct compare compare; /* With the drive. */
    const struct check_settings *settings;
    const struct recording *calls, *allocator;
    struct plan plan;
    uint32_t next;
    struct allocator lines;   /* Of an allocator's recording. */
    const uint32_t *sequence; /* The order of its rows to begin with; NULL: as they are. */
    struct error *error;
    bool good;
};

/* ---- Taking turns
 * ---------------------------------------------------------------------------- */

/* The recorded time, unless it is over. */
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
    sleep_until(row->time_us * TIME_US);
    if (row->device == NO_DEVICE) {
        compare_unknown(&run->compare, row);
        return;
    }
    compare_before(&run->compare, row);
    if (step->kind == STEP_flush) {
        drive_flush(d, step->row);
        compare_flush(&run->compare, row);
    } else {
        drive_call(d, step->row);
        compare_after(&run->compare, row);
    }
}

static void play(struct run *run)
{
    struct machine *m    = &run->compare.drive->machine;
    struct cpu *cpu      = cpu_this();
    const uint32_t steps = run->calls->allocator_only ? run->calls->rows : run->plan.steps;
    while (run->next < steps && run->good) {
        const uint32_t row  = run->sequence == NULL ? run->next : run->sequence[run->next];
        const unsigned turn = run->calls->allocator_only ? run->calls->row[row].cpu
                                                         : run->plan.step[run->next].cpu;
        cpu_sync(cpu);
        if (turn != cpu->id) {
            cpu_wake(&m->cpu[turn], cpu->time);
            cpu_wait(cpu, TIME_NEVER);
            continue;
        }
        if (run->calls->allocator_only)
            allocator_call(&run->lines, row);
        else
            perform(run, &run->plan.step[run->next]);
        run->next++;
    }
    for (unsigned i = 0; i < m->cpus; i++)
        cpu_wake(&m->cpu[i], cpu->time);
}

/* ---- Before and after
 * ------------------------------------------------------------------------- */

static void set_up(struct run *run)
{
    struct drive *d = run->compare.drive;
    if (run->calls->allocator_only) {
        allocator_set_up(&run->lines, &run->compare, run->sequence);
        return;
    }
    run->good = machine_bring_up(&d->machine, run->error);
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

/* A recording of calls and, unless NULL, that of the allocator, with the order found. */
struct run_pair {
    const struct recording *calls, *allocator;
    const struct check_settings *settings;
    uint32_t *order;
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

/* An allocator's recording alone, beginning with the rows in this order (NULL: as they
 * are); found, unless NULL, gets the order of its calls. */
static bool run_allocator(const struct recording *lines,
                          const struct check_settings *settings,
                          struct check_result *result, const uint32_t *sequence,
                          uint32_t *found, struct error *error)
{
    struct run *run = run_new(lines, settings, result, error);
    run->sequence   = sequence;
    const bool good = run_all(run);
    if (good && found != NULL)
        allocator_order(&run->lines, found);
    run_free(run);
    return good;
}

/* Rows that no order explains. */
static uint64_t unexplained(const struct check_result *r)
{
    return r->rows_differing + r->rule[RULE_late] + r->rule[RULE_migration]
           + r->rule[RULE_tree];
}

/*
 * The order of the allocator's calls: from its own recording; where that is not in the
 * order in which things happened, from the order of the calls' lines, in which only
 * interrupted calls stand too late.
 */
static bool find_order(struct run_pair *p, struct error *error)
{
    struct check_result *own = calloc(2, sizeof *own), *lines = own + 1;
    uint32_t *sequence = calloc(p->allocator->rows, sizeof *sequence);
    uint32_t *found    = calloc(p->allocator->rows, sizeof *found);
    CHECK(own != NULL && sequence != NULL && found != NULL);
    bool good = run_allocator(p->allocator, p->settings, own, NULL, p->order, error);
    if (good && unexplained(own) > 0) {
        plan_line_order(p->calls, p->allocator, sequence);
        good = run_allocator(p->allocator, p->settings, lines, sequence, found, error);
        if (good && unexplained(lines) < unexplained(own))
            memcpy(p->order, found, p->allocator->rows * sizeof *found);
    }
    free(own);
    free(sequence);
    free(found);
    return good;
}

static bool run_planned(struct run_pair *p, struct check_result *result,
                        struct error *error)
{
    struct run *run = run_new(p->calls, p->settings, result, error);
    run->allocator  = p->allocator;
    plan_make(&run->plan, p->calls, p->allocator, p->order);
    result->moved   = run->plan.moved;
    result->outside = run->plan.outside;
    const bool good = run_all(run);
    run_free(run);
    return good;
}

static bool run_calls(struct recording *calls, const char *allocator,
                      const struct check_settings *settings, struct check_result *result,
                      struct error *error)
{
    struct recording twin = { 0 };
    struct run_pair p     = { .calls = calls, .settings = settings };
    bool good             = true;
    recording_resolve(calls);
    if (allocator != NULL) {
        good = recording_read(&twin, allocator, error);
        if (good) {
            p.allocator = &twin;
            p.order     = calloc(twin.rows, sizeof *p.order);
            CHECK(p.order != NULL);
            good = find_order(&p, error);
        }
        if (twin.cpus > calls->cpus)
            calls->cpus = twin.cpus;
    }
    good = good && run_planned(&p, result, error);
    recording_free(&twin);
    free(p.order);
    return good;
}

bool check_recording(struct check_result *result, const char *path, const char *allocator,
                     const struct check_settings *settings, struct error *error)
{
    struct recording calls = { 0 };
    bool good = settings_fit(settings, error) && recording_read(&calls, path, error);
    if (good && calls.allocator_only)
        good = run_allocator(&calls, settings, result, NULL, NULL, error);
    else if (good)
        good = run_calls(&calls, allocator, settings, result, error);
    recording_free(&calls);
    return good;
}
