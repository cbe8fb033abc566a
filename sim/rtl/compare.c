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
    cycle_t *rescue; /* As of struct rtl_replay. */
    bool *settled;   /* A request's rescue is known for good. */
    size_t walks, disturbances;
    struct stretch *walk;        /* Of walks that nobody waits for. */
    struct stretch *disturbance; /* Around excluded requests. */
    cycle_t busy;     /* Until then they begin with requests at different times. */
    uint64_t strange; /* So many more fills until contents of excluded ones are gone. */
    bool again;       /* A request was found to have hung: the replay has to know. */
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

/* CONTENTS: so many fills for each entry, and what was in a cache is gone. */
enum { CONTENTS = 4 };
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

/* Reads, in order of their acceptance. */
struct reads {
    const struct rtl_access *access;
    size_t count;
};

/* The read behind that one by the same engine, presented in the next cycle. */
static bool goes_on(const struct reads *m, size_t access)
{
    const struct rtl_access *a = &m->access[access];
    for (size_t i = access + 1; i < m->count && m->access[i].presented <= a->last + 1; i++)
        if (!m->access[i].write && m->access[i].engine == a->engine
            && m->access[i].presented == a->last + 1)
            return true;
    return false;
}

static size_t first_access(const struct reads *m, cycle_t from)
{
    size_t low = 0, high = m->count;
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

/* The cycle in which a walk for this request fills a cache just when a flush pulse of the
 * recording comes: that of the leaf's arrival, or, for contexts, the next one, when the
 * context is dropped. CYCLE_NEVER: there is none. */
static cycle_t met_among(const struct comparison *c, const struct rtl_request *r,
                         const struct reads *m)
{
    for (size_t i = first_access(m, r->issued);
         i < m->count && m->access[i].accepted < r->done; i++) {
        const struct rtl_access *a = &m->access[i];
        if (a->write || a->engine == ENGINE_QUEUE || goes_on(m, i))
            continue;
        const cycle_t filled            = a->last + (a->engine == ENGINE_CONTEXT);
        const struct rtl_command *flush = first_flush(c->run, filled, filled);
        if (flush != NULL && (a->engine == ENGINE_WALKER || is_iodir(flush)))
            return filled;
    }
    return CYCLE_NEVER;
}

/* As the recording itself shows, if it has the accesses, or by the model's own walk. */
static cycle_t flush_met_fill(const struct comparison *c, const struct rtl_request *r)
{
    const struct reads recorded = { c->run->access, c->run->accesses };
    const struct reads modelled = { c->result->access, c->result->accesses };
    const cycle_t met = c->run->has_accesses ? met_among(c, r, &recorded) : CYCLE_NEVER;
    return met != CYCLE_NEVER ? met : met_among(c, r, &modelled);
}

static const struct stretch *under(const struct stretch *stretch, size_t count,
                                   cycle_t from, cycle_t to)
{
    for (size_t i = count; i-- > 0;)
        if (stretch[i].from <= to && stretch[i].to >= from)
            return &stretch[i];
    return NULL;
}

/* When the request, if it hung, was taken up again: at the first drop of its context after
 * the flush that met its fill, or after it has found the walker busy with a walk that
 * nobody waits for. CYCLE_NEVER: it did not hang. */
static cycle_t taken_up(const struct comparison *c, const struct rtl_request *r,
                        const struct rtl_answer *a, bool busy)
{
    const cycle_t filled = flush_met_fill(c, r);
    if (filled != CYCLE_NEVER)
        return rtl_rescue(c->run, r, filled);
    return busy && a->done < r->done ? rtl_rescue(c->run, r, a->done - 2) : CYCLE_NEVER;
}

/* A request of which it is known that it hung. The bench's watchdog says so, but not since
 * when: the model's own walk shows that. */
static void settle(struct comparison *c, size_t i)
{
    const cycle_t filled = flush_met_fill(c, &c->run->request[i]);
    if (c->settled[i] || filled == CYCLE_NEVER)
        return;
    const cycle_t rescue = rtl_rescue(c->run, &c->run->request[i], filled);
    c->settled[i]        = true;
    c->again             = rescue != c->rescue[i];
    c->rescue[i]         = rescue;
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

static bool same_result(const struct rtl_request *r, const struct rtl_answer *a)
{
    return a->done != CYCLE_NEVER && a->fault == r->fault
           && (r->fault ? a->cause == r->cause : a->pa == r->pa);
}

/* One of the two was not free in the cycle in which the other began with it. */
static bool delayed(const struct comparison *c, size_t i)
{
    const struct rtl_request *r = &c->run->request[i];
    return same_result(r, &c->result->answer[i])
           && begin(r->issued, i == 0 ? 0 : r[-1].done) <= c->busy;
}

static bool differ(int8_t recorded, bool modelled)
{
    return recorded != RTL_UNKNOWN && modelled != (recorded == 1);
}

/* One of the two finds in a cache what the other does not, or something older. */
static bool contents(const struct comparison *c, size_t i)
{
    const struct rtl_request *r = &c->run->request[i];
    const struct rtl_answer *a  = &c->result->answer[i];
    if (c->strange == 0)
        return false;
    return same_otherwise(r, a)
           || (same_result(r, a)
               && (differ(r->context_hit, a->context_hit)
                   || differ(r->iotlb_hit, a->iotlb_hit)));
}

/* The context that it needs was dropped while it was under way. */
static bool refetch(const struct comparison *c, const struct rtl_request *r)
{
    return r->fault && rtl_rescue(c->run, r, r->issued) != CYCLE_NEVER;
}

static enum rtl_verdict judge(struct comparison *c, size_t i)
{
    const struct rtl_request *r = &c->run->request[i];
    const struct rtl_answer *a  = &c->result->answer[i];
    if (c->rescue[i] != 0) {
        settle(c, i);
        return RTL_hang;
    }
    if (rtl_same(r, a))
        return RTL_agrees;
    if (zero(c->run, r, a))
        return RTL_zero;
    if (nested_pa(c, r, a))
        return RTL_nested_pa;
    if (delayed(c, i))
        return RTL_delayed;
    const cycle_t from = i == 0 ? r->issued : r[-1].done + 1; /* Reads count from there. */
    const struct stretch *walk =
        under(c->walk, c->walks, from < r->issued ? from : r->issued, r->issued);
    const cycle_t rescue = taken_up(c, r, a, walk != NULL);
    if (rescue != CYCLE_NEVER) {
        c->rescue[i]  = rescue;
        c->settled[i] = c->again = true;
        return RTL_hang;
    }
    if (walk != NULL)
        return walk->rule;
    if (contents(c, i))
        return RTL_contents;
    if (refetch(c, r))
        return RTL_refetch;
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

static void stretch_disturbance(struct comparison *c, const struct rtl_request *r,
                                enum rtl_verdict rule, cycle_t to)
{
    struct stretch *stretch;
    GROW(c, disturbance, disturbances, stretch);
    *stretch = (struct stretch){ r->issued, to, rule };
}

/* What an excluded request leaves behind. */
static void disturb(struct comparison *c, size_t i, enum rtl_verdict rule)
{
    const struct rtl_request *r = &c->run->request[i];
    const struct rtl_answer *a  = &c->result->answer[i];
    cycle_t to                  = r->done;
    if (a->done != CYCLE_NEVER)
        to = cycle_max(r->done, a->done);
    if (rule == RTL_zero) {
        const struct rtl_command *flush = first_flush(c->run, r->done - 1, r->done - 1);
        leave_walk(c, r, is_iodir(flush), RTL_useless);
        to = c->walk[c->walks - 1].to;
    }
    stretch_disturbance(c, r, rule, to);
    if (a->done != CYCLE_NEVER && a->left != r->done)
        c->busy = cycle_max(c->busy, cycle_max(a->left, r->done) + 1);
    c->strange = CONTENTS * c->run->parameters.iotlb_entries;
}

/* A fault, excluded or not, may leave a walk of a directory behind that the model does not
 * make; one whose context was dropped leaves no record, either. */
static void leave_walks_of_faults(struct comparison *c, const struct rtl_request *r)
{
    if (process_fault(r))
        leave_walk(c, r, true, RTL_repeat);
    if (!refetch(c, r))
        return;
    leave_walk(c, r, true, RTL_refetch);
    stretch_disturbance(c, r, RTL_refetch, c->walk[c->walks - 1].to);
    c->strange = CONTENTS * c->run->parameters.iotlb_entries;
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
        else if (c->strange != 0 && c->run->request[i].iotlb_hit == 0)
            c->strange--;
        leave_walks_of_faults(c, &c->run->request[i]);
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
                                       .rescue   = c->rescue,
                                       .go_on    = c->check->go_on,
                                       .self     = c->check->self };
    rtl_result_free(c->result);
    memset(c->report, 0, sizeof *c->report);
    c->again   = false;
    c->busy    = 0;
    c->strange = 0;
    c->walks = c->disturbances = 0;
    free(c->walk);
    free(c->disturbance);
    c->walk = c->disturbance = NULL;
    if (!rtl_replay(&replay, c->result))
        return false;
    compare_requests(c);
    return true;
}

/* At first as if the bench's watchdog had come last. */
static void begin_rescues(struct comparison *c)
{
    const struct rtl_run *run = c->run;
    c->rescue                 = calloc(run->requests + 1, sizeof *c->rescue);
    c->settled                = calloc(run->requests + 1, sizeof *c->settled);
    CHECK(c->rescue != NULL);
    CHECK(c->settled != NULL);
    for (size_t i = 0; i < run->requests; i++) {
        const struct rtl_request *r = &run->request[i];
        if (!r->hung)
            continue;
        c->rescue[i] = CYCLE_NEVER;
        for (cycle_t drop = r->issued; (drop = rtl_rescue(run, r, drop)) != CYCLE_NEVER;)
            c->rescue[i] = drop;
    }
}

bool rtl_check_run(const struct rtl_check *check, struct rtl_result *result,
                   struct rtl_report *report)
{
    struct comparison c = {
        .check = check, .run = check->run, .result = result, .report = report
    };
    *result = (struct rtl_result){ .answer = NULL };
    begin_rescues(&c);
    bool done;
    do
        done = pass(&c);
    while (done && c.again); /* Each pass finds one more. */
    if (done) {
        compare_commands(&c);
        compare_faults(&c);
    }
    free(c.rescue);
    free(c.settled);
    free(c.walk);
    free(c.disturbance);
    return done;
}
