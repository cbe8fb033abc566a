/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/compare.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/app/interrupt.h"
#include "sim/app/sources.h"
#include "sim/host/direct.h"

/* ---- In the process of a job
 * -------------------------------------------------------------
 */

/* What goes through the pipe: how far it is, and at the end, what came out. Both ends are
 * the same program, so that constants and static text are at the same addresses. */
enum message_kind { MESSAGE_PROGRESS = 1, MESSAGE_RESULT };
struct message {
    uint32_t kind;
    enum machine_outcome outcome;
    uint64_t records;
};

struct worker {
    int out;
    double told; /* When it last said how far it is. */
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void send(int out, const void *data, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = write(out, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(EXIT_FAILURE); /* Nobody listens any more. */
        data = (const char *)data + n;
        bytes -= (size_t)n;
    }
}

static void tell_progress(void *self, uint64_t records)
{
    struct worker *w = self;
    if (seconds() - w->told < 0.1)
        return;
    w->told                     = seconds();
    const struct message report = { .kind = MESSAGE_PROGRESS, .records = records };
    send(w->out, &report, sizeof report);
}

static bool open_all(const struct compare_setup *setup, struct replay_source *source,
                     struct error *error)
{
    for (unsigned i = 0; i < setup->paths; i++) {
        source[i].name = setup->path[i];
        if (!sources_open(&source[i].reader, setup->path[i], NULL, setup->config,
                          setup->run.seed, error))
            return false;
    }
    return true;
}

static void work(const struct compare_setup *setup, const struct flush_policy *policy,
                 int out)
{
    static struct machine_result result;
    struct replay_source source[REPLAY_SOURCES_MAX] = { { NULL, NULL } };
    struct error error                              = { "" };
    struct worker worker                            = { .out = out };
    struct message report  = { .kind = MESSAGE_RESULT, .outcome = MACHINE_TRACE };
    struct machine_run run = setup->run;
    run.policy             = policy;
    run.source             = source;
    run.sources            = setup->paths;
    run.interrupted        = &interrupt_seen;
    run.progress           = tell_progress;
    run.progress_self      = &worker;
    if (open_all(setup, source, &error)) {
        struct direct_host *host = direct_host_new();
        report.outcome =
            machine_run(setup->config, &run, direct_host_verbs(host), &result, &error);
    }
    send(out, &report, sizeof report);
    send(out, &error, sizeof error);
    send(out, &result, sizeof result);
    _exit(EXIT_SUCCESS);
}

/* ---- In the process that compares
 * ----------------------------------------------------------
 */

/* A process under way. */
struct child {
    pid_t pid; /* 0: the place is free. */
    int in;
    unsigned job;
    uint64_t records;
    size_t got; /* Bytes of the message under way. */
    struct {
        struct message head;
        struct error error;
        struct machine_result result;
    } message;
};

struct team {
    const struct compare_setup *setup;
    struct compare_job *job;
    unsigned jobs, begun, ended;
    struct child *child; /* setup->processes of them. */
    struct progress *progress;
    uint64_t records_done; /* Of jobs that have ended. */
    struct error *error;
};

static bool start(struct team *t, struct child *c)
{
    int end[2];
    fflush(NULL); /* The child must not write it once more. */
    if (pipe(end) != 0)
        return error_set(t->error, "cannot start a process: %s", strerror(errno));
    const pid_t parent = getpid();
    const pid_t pid    = fork();
    if (pid == 0) {
        close(end[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(EXIT_FAILURE);
        work(t->setup, t->job[t->begun].policy, end[1]);
    }
    close(end[1]);
    if (pid < 0) {
        close(end[0]);
        return error_set(t->error, "cannot start a process: %s", strerror(errno));
    }
    *c = (struct child){ .pid = pid, .in = end[0], .job = t->begun++ };
    return true;
}

static void take_result(struct team *t, struct child *c)
{
    struct compare_job *j = &t->job[c->job];
    j->done               = true;
    j->outcome            = c->message.head.outcome;
    j->error              = c->message.error;
    j->result             = c->message.result;
    if (j->outcome == MACHINE_RAN)
        metric_values(&j->result, j->metric);
    c->records = j->result.counters.replay.record;
    c->got     = 0;
}

/* How much of the message there is to be, as far as is known. */
static size_t expected(const struct child *c)
{
    const bool short_one =
        c->got < sizeof c->message.head || c->message.head.kind == MESSAGE_PROGRESS;
    return short_one ? sizeof c->message.head : sizeof c->message;
}

static void take_message(struct team *t, struct child *c)
{
    if (c->got < expected(c))
        return;
    if (c->message.head.kind == MESSAGE_PROGRESS) {
        c->records = c->message.head.records;
        c->got     = 0;
    } else {
        take_result(t, c);
    }
}

/* The process is gone: it has told its result, or it has failed. */
static bool reap(struct team *t, struct child *c)
{
    int status                  = 0;
    const struct compare_job *j = &t->job[c->job];
    close(c->in);
    waitpid(c->pid, &status, 0);
    c->pid = 0;
    t->ended++;
    t->records_done += c->records;
    if (j->done)
        return true;
    if (WIFSIGNALED(status))
        return error_set(t->error, "%s: its process was ended by signal %d",
                         j->policy->name, WTERMSIG(status));
    return error_set(t->error, "%s: its process ended without a result", j->policy->name);
}

static bool receive(struct team *t, struct child *c)
{
    const ssize_t n = read(c->in, (char *)&c->message + c->got, expected(c) - c->got);
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0)
        return reap(t, c);
    c->got += (size_t)n;
    take_message(t, c);
    return true;
}

static void show_progress(struct team *t)
{
    uint64_t records = t->records_done;
    for (unsigned i = 0; i < t->setup->processes; i++)
        records += t->child[i].pid != 0 ? t->child[i].records : 0;
    t->progress->piece = t->ended < t->jobs ? t->ended + 1 : t->jobs;
    if (t->ended > 0)
        t->progress->total = t->records_done / t->ended * t->jobs;
    progress_update(t->progress, records);
}

static bool wait_for_any(struct team *t)
{
    struct pollfd fd[COMPARE_JOBS_MAX];
    unsigned place[COMPARE_JOBS_MAX], n = 0;
    for (unsigned i = 0; i < t->setup->processes; i++) {
        if (t->child[i].pid == 0)
            continue;
        fd[n]      = (struct pollfd){ .fd = t->child[i].in, .events = POLLIN };
        place[n++] = i;
    }
    if (poll(fd, n, 200) < 0 && errno != EINTR)
        return error_set(t->error, "cannot wait for a process: %s", strerror(errno));
    if (interrupt_seen)
        return error_set(t->error, "interrupted");
    for (unsigned i = 0; i < n; i++)
        if (fd[i].revents != 0 && !receive(t, &t->child[place[i]]))
            return false;
    show_progress(t);
    return true;
}

static void stop_all(struct team *t)
{
    for (unsigned i = 0; i < t->setup->processes; i++) {
        struct child *c = &t->child[i];
        if (c->pid == 0)
            continue;
        kill(c->pid, SIGKILL); /* It has nothing to put away. */
        close(c->in);
        waitpid(c->pid, NULL, 0);
        c->pid = 0;
    }
}

static bool run_team(struct team *t)
{
    while (t->ended < t->jobs) {
        for (unsigned i = 0; i < t->setup->processes && t->begun < t->jobs; i++)
            if (t->child[i].pid == 0 && !start(t, &t->child[i]))
                return false;
        if (!wait_for_any(t))
            return false;
    }
    return true;
}

bool compare_run(const struct compare_setup *setup, struct compare_job *job, unsigned jobs,
                 struct progress *progress, struct error *error)
{
    struct team t = {
        .setup = setup, .job = job, .jobs = jobs, .progress = progress, .error = error
    };
    CHECK(setup->processes > 0);
    CHECK(setup->processes <= COMPARE_JOBS_MAX);
    t.child = calloc(setup->processes, sizeof *t.child);
    CHECK(t.child != NULL);
    progress_begin(progress, "policies", 1, jobs, 0);
    const bool done = run_team(&t);
    progress_end(progress);
    stop_all(&t);
    free(t.child);
    return done;
}

/* ---- Which are best
 * ------------------------------------------------------------------------
 */

double compare_reach(const struct compare_job *j)
{
    if (!j->result.translates)
        return INFINITY;
    return j->metric[METRIC_ID_exposure_page_us_per_io]
           + j->metric[METRIC_ID_pool_page_us_per_io];
}

/* a is at least as good as b in both, and better in one; less is better. */
static bool beats(double a_reach, double a_cost, double b_reach, double b_cost)
{
    return a_reach <= b_reach && a_cost <= b_cost && (a_reach < b_reach || a_cost < b_cost);
}

static bool is_best(const struct compare_job *job, unsigned jobs,
                    const struct compare_job *of, enum metric_id by, double sign)
{
    for (unsigned i = 0; i < jobs; i++)
        if (job[i].outcome == MACHINE_RAN
            && beats(compare_reach(&job[i]), sign * job[i].metric[by], compare_reach(of),
                     sign * of->metric[by]))
            return false;
    return true;
}

void compare_mark_best(struct compare_job *job, unsigned jobs)
{
    for (unsigned i = 0; i < jobs; i++) {
        if (job[i].outcome != MACHINE_RAN)
            continue;
        job[i].cheap = is_best(job, jobs, &job[i], METRIC_ID_cpu_cycles_per_io, 1.0);
        job[i].fast  = is_best(job, jobs, &job[i], METRIC_ID_iops, -1.0);
    }
}

static bool goes_before(const struct compare_job *a, const struct compare_job *b,
                        enum metric_id by)
{
    const bool a_ran = a->outcome == MACHINE_RAN, b_ran = b->outcome == MACHINE_RAN;
    if (a_ran != b_ran || !a_ran)
        return a_ran && !b_ran;
    return metric_def[by].better == METRIC_higher ? a->metric[by] > b->metric[by]
                                                  : a->metric[by] < b->metric[by];
}

/* By insertion, so that equals stay in their order. */
void compare_sort(struct compare_job **job, unsigned jobs, enum metric_id by)
{
    for (unsigned i = 1; i < jobs; i++) {
        struct compare_job *moved = job[i];
        unsigned at               = i;
        for (; at > 0 && goes_before(moved, job[at - 1], by); at--)
            job[at] = job[at - 1];
        job[at] = moved;
    }
}
