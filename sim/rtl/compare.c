/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/compare.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/riscv_spec.h"
#include "sim/base/lg2.h"
#include "sim/rtl/grow.h"

#define NAME(name, text) #name,
#define TEXT(name, text) text,
const char *const rtl_verdict_name[RTL_VERDICTS] = { "agrees", "disagrees",
                                                     RTL_RULES(NAME) };
const char *const rtl_verdict_text[RTL_VERDICTS] = { "agrees", "disagrees",
                                                     RTL_RULES(TEXT) };

/* A stretch of time in which the RTL does what the model does not. */
struct stretch {
    cycle_t from, to;
    enum rtl_verdict rule;
};

struct comparison {
    const struct rtl_check *check;
    const struct rtl_run *run;
    struct rtl_result *result;
    struct rtl_report *report;
    bool *hung;
    size_t walks, disturbances;
    struct stretch *walk;        /* Of walks that nobody waits for. */
    struct stretch *disturbance; /* Around excluded requests. */
    size_t late;                 /* The last excluded request, or SIZE_MAX. */
    bool again; /* A request was found to have hung: the replay has to know. */
};

/* ---- Flush pulses ----------------------------------------------------------------------
 */

/* The first command that took effect in from .. to; NULL: none. Commands take effect in
 * order, those that have one. */
static const struct rtl_command *first_flush(const struct rtl_run *run, cycle_t from,
                                             cycle_t to)
{
    size_t low = 0, high = run->commands;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (run->command[middle].head < from)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < run->commands && run->command[low].fetched < to; low++)
        if (run->command[low].flushed >= from && run->command[low].flushed <= to)
            return &run->command[low];
    return NULL;
}

static bool is_iodir(const struct rtl_command *c)
{
    return RISCV_CMD_OPCODE(c->low) == RISCV_IODIR;
}

/* ---- Walks that nobody waits for -------------------------------------------------------
 */

enum { LEVELS = 3, NESTED_READS = 15, CONTEXT_BEATS = 8, SLACK_CYCLES = 8 };

/* How long the longest walk takes, with some contention. */
static cycle_t walk_cycles(const struct rtl_run *run, uint32_t device, bool context)
{
    const cycle_t read = run->parameters.read_latency + 1;
    const unsigned reads =
        !context ? rtl_device_nested(&run->parameters, device) ? NESTED_READS : LEVELS
                 : 2 * LEVELS;
    return reads * read + (context ? 2 * CONTEXT_BEATS : 0) + SLACK_CYCLES;
}

static void leave_walk(struct comparison *c, const struct rtl_request *r, bool context,
                       enum rtl_verdict rule)
{
    struct stretch *walk;
    GROW(c, walk, walks, walk);
    *walk = (struct stretch){ r->done, r->done + walk_cycles(c->run, r->device, context),
                              rule };
}

/* A fault of the process directory leaves a walk behind, too. */
static bool process_fault(const struct rtl_request *r)
{
    return r->fault && r->cause >= RISCV_PDT_ACCESS_FAULT
           && r->cause <= RISCV_PDT_MISCONFIGURED;
}

/* ---- Rules ----------------------------------------------------------------------------
 */

bool rtl_same(const struct rtl_request *r, const struct rtl_answer *a)
{
    return a->done == r->done && a->fault == r->fault
           && (r->fault ? a->cause == r->cause : a->pa == r->pa) && a->reads == r->reads
           && (r->context_hit == RTL_UNKNOWN || a->context_hit == (r->context_hit == 1))
           && (r->iotlb_hit == RTL_UNKNOWN || a->iotlb_hit == (r->iotlb_hit == 1));
}

/* The same but for the addresses. */
static bool same_otherwise(const struct rtl_request *r, const struct rtl_answer *a)
{
    struct rtl_request moved = *r;
    moved.pa                 = a->pa;
    return !r->fault && rtl_same(&moved, a);
}

static bool zero(const struct rtl_run *run, const struct rtl_request *r,
                 const struct rtl_answer *a)
{
    return r->pa < 0x1000 && r->done > 0 && a->done == r->done && !r->fault && !a->fault
           && first_flush(run, r->done - 1, r->done - 1) != NULL;
}

/* The model's read behind that one by the same engine, presented in that cycle. */
static bool goes_on(const struct rtl_result *m, size_t access)
{
    const struct rtl_access *a = &m->access[access];
    for (size_t i = access + 1; i < m->accesses && m->access[i].presented <= a->last + 1;
         i++)
        if (m->access[i].engine == a->engine && m->access[i].presented == a->last + 1)
            return true;
    return false;
}

static size_t first_access(const struct rtl_result *m, cycle_t from)
{
    size_t low = 0, high = m->accesses;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (m->access[middle].accepted < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum { ENGINE_WALKER, ENGINE_CONTEXT, ENGINE_QUEUE };

/* A flush pulse of the recording falls into the cycle in which a walk of the model's, for
 * this request, fills a cache: in that of the leaf's arrival, or, for contexts, in the next
 * one, when the context is dropped. */
static bool flush_met_fill(const struct comparison *c, const struct rtl_request *r)
{
    const struct rtl_result *m = c->result;
    for (size_t i = first_access(m, r->issued);
         i < m->accesses && m->access[i].accepted < r->done; i++) {
        const struct rtl_access *a = &m->access[i];
        if (a->engine == ENGINE_QUEUE || goes_on(m, i))
            continue;
        const cycle_t filled            = a->last + (a->engine == ENGINE_CONTEXT);
        const struct rtl_command *flush = first_flush(c->run, filled, filled);
        if (flush != NULL && (a->engine == ENGINE_WALKER || is_iodir(flush)))
            return true;
    }
    return false;
}

static const struct stretch *under(const struct stretch *stretch, size_t count,
                                   cycle_t from, cycle_t to)
{
    for (size_t i = count; i-- > 0;)
        if (stretch[i].from <= to && stretch[i].to >= from)
            return &stretch[i];
    return NULL;
}

/* The request ended late: did it wait for its context to be dropped? */
static bool waited(const struct comparison *c, const struct rtl_request *r,
                   const struct rtl_answer *a)
{
    return a->done < r->done && rtl_rescue(c->run, r) != CYCLE_NEVER
           && rtl_rescue(c->run, r) > a->done - 2;
}

static bool nested_flush(const struct comparison *c, const struct rtl_request *r)
{
    if (!rtl_device_nested(&c->run->parameters, r->device) || r->done == 0)
        return false;
    for (cycle_t from = r->issued; from < r->done;) {
        const struct rtl_command *flush = first_flush(c->run, from, r->done - 1);
        if (flush == NULL)
            return false;
        if (is_iodir(flush))
            return true;
        from = flush->flushed + 1;
    }
    return false;
}

static bool nested_pa(const struct comparison *c, const struct rtl_request *r,
                      const struct rtl_answer *a)
{
    const uint64_t inside = mask_lg2(30) & ~mask_lg2(12);
    return rtl_device_nested(&c->run->parameters, r->device) && same_otherwise(r, a)
           && ((r->pa ^ a->pa) & ~inside) == 0;
}

/* When the front end could begin with a request: the one before it has left. */
static cycle_t begin(cycle_t issued, cycle_t previous)
{
    return cycle_max(issued, previous + 1);
}

/* The excluded one before it ended at another time here. */
static bool delayed(const struct comparison *c, size_t i)
{
    const struct rtl_request *r = &c->run->request[i];
    const struct rtl_answer *a  = &c->result->answer[i];
    struct rtl_request moved    = *r;
    if (i == 0 || c->late != i - 1 || a->done == CYCLE_NEVER)
        return false;
    const cycle_t recorded = r->done - begin(r->issued, r[-1].done);
    moved.done             = begin(r->issued, a[-1].done) + recorded;
    return rtl_same(&moved, a);
}

static enum rtl_verdict judge(struct comparison *c, size_t i)
{
    const struct rtl_request *r = &c->run->request[i];
    const struct rtl_answer *a  = &c->result->answer[i];
    if (c->hung[i])
        return RTL_hang;
    if (rtl_same(r, a))
        return RTL_agrees;
    if (zero(c->run, r, a))
        return RTL_zero;
    if (nested_pa(c, r, a))
        return RTL_nested_pa;
    if (delayed(c, i))
        return RTL_delayed;
    const struct stretch *walk = under(c->walk, c->walks, r->issued, r->issued);
    if (waited(c, r, a) && (walk != NULL || flush_met_fill(c, r))) {
        c->hung[i] = c->again = true;
        return RTL_hang;
    }
    if (walk != NULL)
        return walk->rule;
    return nested_flush(c, r) ? RTL_nested_flush : RTL_disagrees;
}

/* ---- Requests --------------------------------------------------------------------------
 */

static void count(struct rtl_tally *tally, enum rtl_verdict verdict)
{
    tally->rows++;
    tally->verdict[verdict]++;
}

static void show(struct rtl_report *report, enum rtl_row_kind kind, size_t recorded,
                 size_t modelled)
{
    if (report->shown < RTL_SHOWN_MAX)
        report->row[report->shown++] = (struct rtl_row){ kind, recorded, modelled };
}

/* What an excluded request leaves behind. */
static void disturb(struct comparison *c, size_t i, enum rtl_verdict rule)
{
    const struct rtl_request *r = &c->run->request[i];
    const struct rtl_answer *a  = &c->result->answer[i];
    struct stretch *stretch;
    if (rule == RTL_zero) {
        const struct rtl_command *flush = first_flush(c->run, r->done - 1, r->done - 1);
        leave_walk(c, r, is_iodir(flush), RTL_useless);
    }
    GROW(c, disturbance, disturbances, stretch);
    *stretch = (struct stretch){ r->issued, r->done, rule };
    if (a->done != CYCLE_NEVER)
        stretch->to = cycle_max(r->done, a->done);
    if (rule == RTL_zero)
        stretch->to = c->walk[c->walks - 1].to;
    c->late = i;
}

static void compare_requests(struct comparison *c)
{
    for (size_t i = 0; i < c->run->requests && !c->again; i++) {
        const enum rtl_verdict verdict = judge(c, i);
        count(&c->report->requests, verdict);
        if (verdict == RTL_disagrees)
            show(c->report, RTL_ROW_REQUEST, i, i);
        else if (verdict != RTL_agrees)
            disturb(c, i, verdict);
        if (process_fault(&c->run->request[i]))
            leave_walk(c, &c->run->request[i], true, RTL_repeat);
    }
}

/* ---- Commands --------------------------------------------------------------------------
 */

static bool same_command(const struct rtl_command *r, const struct rtl_command *m)
{
    return r->index == m->index && r->fetched == m->fetched && r->head == m->head
           && (r->flushed == CYCLE_NEVER || r->flushed == m->flushed);
}

/* The same at another time. */
static bool same_duration(const struct rtl_command *r, const struct rtl_command *m)
{
    return r->index == m->index && r->head - r->fetched == m->head - m->fetched
           && r->fetched - r[-1].fetched == m->fetched - m[-1].fetched;
}

static enum rtl_verdict judge_command(const struct comparison *c, size_t i,
                                      enum rtl_verdict before)
{
    const struct rtl_command *r = &c->run->command[i], *m = &c->result->command[i];
    if (i >= c->result->commands)
        return RTL_disagrees;
    if (same_command(r, m))
        return RTL_agrees;
    if (under(c->disturbance, c->disturbances,
              r->fetched < m->fetched ? r->fetched : m->fetched, r->head)
            != NULL
        || (before == RTL_bus && same_duration(r, m)))
        return RTL_bus;
    return RTL_disagrees;
}

static void compare_commands(struct comparison *c)
{
    enum rtl_verdict verdict = RTL_agrees;
    const size_t recorded = c->run->commands, modelled = c->result->commands;
    for (size_t i = 0; i < recorded || i < modelled; i++) {
        verdict = i < recorded ? judge_command(c, i, verdict) : RTL_disagrees;
        count(&c->report->commands, verdict);
        if (verdict == RTL_disagrees)
            show(c->report, RTL_ROW_COMMAND, i < recorded ? i : SIZE_MAX,
                 i < modelled ? i : SIZE_MAX);
    }
}

/* ---- Faults ----------------------------------------------------------------------------
 */

/* A record that only one side has: others were lost instead, for as long as it takes to
 * write one. */
static enum rtl_verdict judge_fault(struct comparison *c, cycle_t cycle)
{
    const cycle_t writing = c->run->parameters.write_latency + SLACK_CYCLES;
    const cycle_t from    = cycle > 2 * writing ? cycle - 2 * writing : 0;
    struct stretch *stretch;
    if (under(c->disturbance, c->disturbances, from, cycle) == NULL)
        return RTL_disagrees;
    GROW(c, disturbance, disturbances, stretch);
    *stretch = (struct stretch){ cycle, cycle, RTL_bus };
    return RTL_bus;
}

static void compare_faults(struct comparison *c)
{
    const struct rtl_run *run  = c->run;
    const struct rtl_result *m = c->result;
    for (size_t i = 0, j = 0; i < run->faults || j < m->faults;) {
        const cycle_t recorded  = i < run->faults ? run->fault[i].cycle : CYCLE_NEVER;
        const cycle_t modelled  = j < m->faults ? m->fault[j].cycle : CYCLE_NEVER;
        const bool has_recorded = recorded <= modelled, has_modelled = modelled <= recorded;
        const enum rtl_verdict verdict =
            has_recorded && has_modelled
                ? RTL_agrees
                : judge_fault(c, has_recorded ? recorded : modelled);
        count(&c->report->faults, verdict);
        if (verdict == RTL_disagrees)
            show(c->report, RTL_ROW_FAULT, has_recorded ? i : SIZE_MAX,
                 has_modelled ? j : SIZE_MAX);
        i += has_recorded;
        j += has_modelled;
    }
}

/* ---- A run -----------------------------------------------------------------------------
 */

/* Replays and compares once; c->again afterwards says that it has to be done again. */
static bool pass(struct comparison *c)
{
    const struct rtl_replay replay = { .run      = c->run,
                                       .settings = c->check->settings,
                                       .hung     = c->hung,
                                       .go_on    = c->check->go_on,
                                       .self     = c->check->self };
    rtl_result_free(c->result);
    memset(c->report, 0, sizeof *c->report);
    c->again = false;
    c->late  = SIZE_MAX;
    c->walks = c->disturbances = 0;
    free(c->walk);
    free(c->disturbance);
    c->walk = c->disturbance = NULL;
    if (!rtl_replay(&replay, c->result))
        return false;
    compare_requests(c);
    return true;
}

bool rtl_check_run(const struct rtl_check *check, struct rtl_result *result,
                   struct rtl_report *report)
{
    struct comparison c = {
        .check = check, .run = check->run, .result = result, .report = report
    };
    *result = (struct rtl_result){ .answer = NULL };
    c.hung  = calloc(check->run->requests + 1, sizeof *c.hung);
    CHECK(c.hung != NULL);
    for (size_t i = 0; i < check->run->requests; i++)
        c.hung[i] = check->run->request[i].hung;
    bool done;
    do
        done = pass(&c);
    while (done && c.again); /* Each pass finds one more. */
    if (done) {
        compare_commands(&c);
        compare_faults(&c);
    }
    free(c.hung);
    free(c.walk);
    free(c.disturbance);
    return done;
}
