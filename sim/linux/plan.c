/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/plan.h"

#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/check.h"

enum { LOOK_AHEAD = 8192, PENDING_MAX = 8192, NEAR = 256 };

/* One allocation or release that a row of the calls' recording shows. */
struct event {
    uint32_t row, index; /* index: among what the row gives back. */
    bool release, taken;
    uint64_t pfn, pages; /* pages 0: not known. */
};

/* A row that gives back several ranges, while other CPUs' rows come in between. */
struct drain {
    uint32_t row;         /* NO_ROW: none. */
    uint32_t given, held; /* Ranges given back so far; of them, by the steps so far. */
};

struct maker {
    struct plan *plan;
    const struct recording *r, *a;
    const uint32_t *order;
    struct event *event;
    uint32_t events;
    uint32_t *section_event; /* The first event of each section; one behind the last. */
    uint32_t *event_of;      /* Of each row of the allocator's: the event, or NO_ROW. */
    uint32_t *row_of;        /* Of each row of the allocator's: the call, or NO_ROW. */
    bool *timed, *begun, *done,
        *flushed;                 /* Of calls: has an event; emitted; first half, too. */
    uint32_t *first_at, *last_at; /* Of calls: the places of its events in the order. */
    struct drain under_way[REC_CPUS_MAX];
    uint32_t *stamp;                   /* Of queued calls: flushes of the device before. */
    uint32_t flushes[REC_DEVICES_MAX]; /* Emitted so far. */
    uint32_t *drain;      /* Of queued calls: the row that gives the range back. */
    uint32_t *not_before; /* Of queued calls: the timer row that passed it by. */
    uint8_t *passed;      /* Whether one did. */
    uint8_t *cpu;         /* Of calls: where they run. */
    uint32_t next;        /* The first call that may not have been emitted. */
};

static void *zeroed(size_t count, size_t bytes)
{
    void *all = calloc(count + 1, bytes);
    CHECK(all != NULL);
    return all;
}

static uint32_t *no_rows(size_t count)
{
    uint32_t *all = zeroed(count, sizeof *all);
    for (size_t i = 0; i <= count; i++)
        all[i] = NO_ROW;
    return all;
}

static void step_add(struct plan *p, struct step step)
{
    if (p->steps == p->room) {
        p->room = p->room == 0 ? 4096 : 2 * p->room;
        p->step = realloc(p->step, p->room * sizeof *p->step);
        CHECK(p->step != NULL);
    }
    p->step[p->steps++] = step;
}

/* ---- Which call each line of the allocator's recording belongs to
 * ------------------------------------------------------------------------------------ */

static void list_events(struct maker *m)
{
    const struct recording *r = m->r;
    m->event                  = zeroed(r->rows + r->ranges, sizeof *m->event);
    m->section_event          = zeroed(r->sections + 1u, sizeof *m->section_event);
    uint32_t section          = 0;
    for (uint32_t i = 0; i < r->rows; i++) {
        const struct row *row = &r->row[i];
        while (section < row->section)
            m->section_event[++section] = m->events;
        if (row_kind_maps(row->kind))
            m->event[m->events++] =
                (struct event){ .row   = i,
                                .pfn   = row->nested ? row->iova >> PAGE_SHIFT : row->pfn,
                                .pages = row->nested ? 0 : row->pages };
        for (uint32_t k = 0; k < row->freed.count; k++)
            m->event[m->events++] =
                (struct event){ .row     = i,
                                .index   = k,
                                .release = true,
                                .pfn     = r->range[row->freed.first + k].pfn,
                                .pages   = r->range[row->freed.first + k].pages };
    }
    while (section < r->sections + 1u)
        m->section_event[++section] = m->events;
}

/* loosely: on another CPU or from another place than the line of the call says. */
static bool is_event(const struct maker *m, const struct event *e, const struct row *a,
                     bool loosely)
{
    const struct row *row = &m->r->row[e->row];
    const uint8_t space   = m->plan->space_of[a->space];
    return !e->taken && e->release == (a->kind == ROW_release) && e->pfn == a->pfn
           && (e->pages == 0 || e->pages == a->pages)
           && (loosely
               || (row->cpu == a->cpu
                   && (e->release || row->path == 0 || row->path == a->path)))
           && (space == NO_SPACE || row->space == NO_SPACE || row->space == space);
}

/* The events of a section from first on; moves *first over those that are taken. Of one
 * space the first with that address is the one, wherever it ran; which space it is, CPU and
 * place have to tell, too. */
static uint32_t find_event(struct maker *m, const struct row *a, uint32_t *first,
                           uint32_t end)
{
    while (*first < end && m->event[*first].taken)
        (*first)++;
    const bool known = m->plan->space_of[a->space] != NO_SPACE;
    for (unsigned loosely = known; loosely < 2; loosely++)
        for (uint32_t i = *first; i < end && i - *first < LOOK_AHEAD; i++)
            if (is_event(m, &m->event[i], a, loosely != 0))
                return i;
    return NO_ROW;
}

static uint32_t section_called(const struct recording *r, const char *name)
{
    for (uint32_t s = 0; s < r->sections && name[0] != '\0'; s++)
        if (strcmp(r->section[s], name) == 0)
            return s;
    return NO_ROW;
}

static void match(struct maker *m)
{
    const struct recording *a = m->a;
    uint32_t section = NO_ROW, in = NO_ROW, first = 0, end = 0;
    for (uint32_t i = 0; i < a->rows; i++) {
        const struct row *row = &a->row[i];
        if (row->section != section) {
            section = row->section;
            in      = section_called(m->r, a->section[section]);
            first   = in == NO_ROW ? 0 : m->section_event[in];
            end     = in == NO_ROW ? 0 : m->section_event[in + 1];
        }
        const uint32_t e = in == NO_ROW ? NO_ROW : find_event(m, row, &first, end);
        if (e == NO_ROW)
            continue;
        m->event[e].taken = true;
        m->event_of[i]    = e;
        if (row->kind == ROW_allocate)
            m->cpu[m->event[e].row] = row->cpu; /* Where it did run. */
        m->row_of[i]              = m->event[e].row;
        m->timed[m->event[e].row] = true;
        if (m->r->row[m->event[e].row].space != NO_SPACE)
            m->plan->space_of[row->space] = m->r->row[m->event[e].row].space;
    }
}

/* ---- Which drain gives each queued range back
 * -------------------------------------------------------------------------- */

struct waiting {
    uint64_t pfn;
    uint32_t row; /* The queued call, or the drain that comes before its line. */
};

struct waiting_list {
    struct waiting at[PENDING_MAX];
    unsigned count;
};

static uint32_t wait_take(struct waiting_list *w, uint64_t pfn)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->at[i].pfn == pfn) {
            const uint32_t row = w->at[i].row;
            memmove(&w->at[i], &w->at[i + 1], (--w->count - i) * sizeof w->at[0]);
            return row;
        }
    return NO_ROW;
}

static void wait_add(struct waiting_list *w, uint64_t pfn, uint32_t row)
{
    if (w->count == PENDING_MAX)
        memmove(&w->at[0], &w->at[1], --w->count * sizeof w->at[0]);
    w->at[w->count++] = (struct waiting){ pfn, row };
}

/* Of these the line stands where they begin. */
static bool begins_at_line(const struct row *row)
{
    return row->kind == ROW_unmap_sg || row->kind == ROW_unmap_iova
           || row->kind == ROW_coherent_free;
}

/* A timer does not give back what a line before it has queued: that call had begun then,
 * but not queued. The next one must. */
static void pass_by(struct maker *m, uint32_t row, uint32_t timer)
{
    if (begins_at_line(&m->r->row[row]) && m->passed[row]++ == 0)
        m->not_before[row] = timer;
    else
        m->not_before[row] = NO_ROW;
}

/* A drain: what it gives back was queued before; what it leaves, after. */
static void note_drain(struct maker *m, uint32_t index, struct waiting_list *queued,
                       struct waiting_list *early)
{
    const struct row *row = &m->r->row[index];
    for (uint32_t k = 0; k < row->freed.count; k++) {
        const uint64_t pfn = m->r->range[row->freed.first + k].pfn;
        const uint32_t q   = wait_take(queued, pfn);
        if (q == NO_ROW) {
            wait_add(early, pfn, index);
            continue;
        }
        m->drain[q] = index;
        if (row->kind != ROW_timer)
            m->not_before[q] = NO_ROW; /* A flush had covered it, though not its drain. */
    }
    for (unsigned i = 0; row->kind == ROW_timer && i < queued->count; i++)
        pass_by(m, queued->at[i].row, index);
}

static void find_drains(struct maker *m)
{
    struct waiting_list *queued = zeroed(REC_DEVICES_MAX, sizeof *queued);
    struct waiting_list *early  = zeroed(REC_DEVICES_MAX, sizeof *early);
    for (uint32_t i = 0; i < m->r->rows; i++) {
        const struct row *row = &m->r->row[i];
        if (row->device == NO_DEVICE)
            continue;
        if (row->kind == ROW_timer || row->flush_all || (row->queued && row->freed.count))
            note_drain(m, i, &queued[row->device], &early[row->device]);
        if (!row->queued)
            continue;
        const uint64_t pfn = row->iova >> PAGE_SHIFT;
        m->drain[i]        = wait_take(&early[row->device], pfn);
        if (m->drain[i] != NO_ROW && i - m->drain[i] > NEAR)
            m->drain[i] = NO_ROW; /* Of an earlier life of the address. */
        if (m->drain[i] == NO_ROW)
            wait_add(&queued[row->device], pfn, i);
    }
    free(queued);
    free(early);
}

/* ---- Emission
 * ------------------------------------------------------------------------------- */

static void emit(struct maker *m, uint32_t row);
static void emit_queued(struct maker *m, uint32_t timer, const uint32_t *belongs);

/* The row on that CPU gives back so many ranges before somebody else's turn. */
static void add_part(struct maker *m, uint8_t cpu, uint32_t until)
{
    struct drain *d = &m->under_way[cpu];
    step_add(m->plan,
             (struct step){ .row   = d->row,
                            .until = until,
                            .kind  = (uint8_t)(d->held == 0 ? STEP_call : STEP_more),
                            .cpu   = cpu });
    d->held = until;
}

static void end_drain(struct maker *m, uint8_t cpu)
{
    const uint32_t row = m->under_way[cpu].row;
    add_part(m, cpu, STEP_TO_THE_END);
    m->under_way[cpu].row = NO_ROW;
    m->done[row]          = true;
    if (m->r->row[row].kind == ROW_timer)
        emit_queued(m, row, m->not_before);
}

/* It is that CPU's turn: what is under way on others is held as far as it has come. */
static void hold_others(struct maker *m, uint8_t cpu)
{
    for (uint8_t c = 0; c < REC_CPUS_MAX; c++) {
        const struct drain *d = &m->under_way[c];
        if (c != cpu && d->row != NO_ROW && d->given > d->held)
            add_part(m, c, d->given);
    }
}

/* A step of another row on that CPU. */
static void add(struct maker *m, enum step_kind kind, uint32_t row, uint8_t cpu)
{
    hold_others(m, cpu);
    if (m->under_way[cpu].row != NO_ROW)
        end_drain(m, cpu);
    step_add(m->plan, (struct step){ row, STEP_TO_THE_END, (uint8_t)kind, cpu });
}

static bool is_under_way(const struct maker *m, uint32_t row)
{
    return m->under_way[m->cpu[row]].row == row;
}

/* The newest call that queued one of the ranges that this one gives back. */
static uint32_t newest_queued(const struct maker *m, uint32_t index)
{
    for (uint32_t i = index; i > 0 && index - i < LOOK_AHEAD; i--)
        if (m->drain[i - 1] == index)
            return i - 1;
    return NO_ROW;
}

/* The first timer of the row's device from a line on, in the row's section; or NO_ROW. */
static uint32_t timer_from(const struct maker *m, const struct row *row, uint32_t from)
{
    for (uint32_t i = from; i < m->r->rows && m->r->row[i].section == row->section; i++)
        if (m->r->row[i].kind == ROW_timer && m->r->row[i].device == row->device)
            return i;
    return NO_ROW;
}

/* A call that gives back what a flush has covered, without a flush of its own. */
static bool finds_covered(const struct maker *m, uint32_t index)
{
    const struct row *row = &m->r->row[index];
    return row->queued && !row->flush_all && row->freed.count > 0;
}

/* Such a call comes between the flush of the first timer after its ranges were queued, and
 * that timer's drain: the timer's row, or NO_ROW if a flush has covered them already. */
static uint32_t timer_around(const struct maker *m, uint32_t index)
{
    const struct row *row = &m->r->row[index];
    if (!finds_covered(m, index))
        return NO_ROW;
    const uint32_t queued = newest_queued(m, index);
    if (queued == NO_ROW || (m->done[queued] && m->stamp[queued] < m->flushes[row->device]))
        return NO_ROW;
    return timer_from(m, row, queued);
}

static void count_flush(struct maker *m, uint32_t row)
{
    if (m->r->row[row].device != NO_DEVICE && !m->flushed[row])
        m->flushes[m->r->row[row].device]++;
    m->flushed[row] = true;
}

static void emit_flush(struct maker *m, uint32_t timer)
{
    if (timer == NO_ROW || m->done[timer] || m->flushed[timer])
        return;
    add(m, STEP_flush, timer, m->r->row[timer].cpu);
    count_flush(m, timer);
}

/* Whether the allocator's order says itself where in the timer's row the call comes. */
static bool comes_by_itself(const struct maker *m, uint32_t call, uint32_t timer)
{
    return m->first_at[call] != NO_ROW && m->last_at[timer] != NO_ROW
           && m->first_at[call] < m->last_at[timer];
}

/* Whether the call gives back what the timer's drain would if it came first. */
static bool takes_from(const struct maker *m, uint32_t call, uint32_t timer)
{
    if (m->done[call] || m->r->row[call].device != m->r->row[timer].device
        || !finds_covered(m, call) || comes_by_itself(m, call, timer))
        return false;
    const uint32_t queued = newest_queued(m, call);
    return queued != NO_ROW && m->done[queued];
}

/* A timer that another CPU's call comes into the middle of: that CPU's calls up to there.
 */
static void emit_inside(struct maker *m, uint32_t timer)
{
    for (uint32_t i = timer + 1; i < m->r->rows && i - timer < NEAR; i++) {
        if (!takes_from(m, i, timer))
            continue;
        if (timer_around(m, i) != NO_ROW)
            emit_flush(m, timer);
        for (uint32_t k = timer + 1; k <= i; k++)
            if (m->r->row[k].cpu == m->r->row[i].cpu)
                emit(m, k);
    }
}

/* Queued calls near the drain, before or behind its line, that belong to its other side. */
static void emit_queued(struct maker *m, uint32_t timer, const uint32_t *belongs)
{
    const uint32_t from = timer < LOOK_AHEAD ? 0 : timer - LOOK_AHEAD;
    for (uint32_t i = from; i < m->r->rows && i < timer + LOOK_AHEAD; i++)
        if (belongs[i] == timer && !m->done[i] && m->r->row[i].queued)
            emit(m, i);
}

/* What comes before the row. */
static void begin(struct maker *m, uint32_t row)
{
    const bool timer = m->r->row[row].kind == ROW_timer;
    if ((timer || m->r->row[row].flush_all) && !m->begun[row]) {
        m->begun[row] = true;
        emit_queued(m, row, m->drain); /* Only then is the ring full. */
        if (timer)
            emit_inside(m, row);
    }
}

/* What the row does to the flush queue: a flush, and then what it queues. */
static void note_queue(struct maker *m, uint32_t row)
{
    const struct row *of = &m->r->row[row];
    if (of->kind == ROW_timer || of->flush_all)
        count_flush(m, row);
    if (of->queued && of->device != NO_DEVICE)
        m->stamp[row] = m->flushes[of->device];
}

static void emit(struct maker *m, uint32_t row)
{
    if (m->done[row])
        return;
    if (is_under_way(m, row)) {
        hold_others(m, m->cpu[row]);
        end_drain(m, m->cpu[row]);
        return;
    }
    begin(m, row);
    const bool timer = m->r->row[row].kind == ROW_timer;
    m->done[row]     = true;
    emit_flush(m, timer_around(m, row));
    m->plan->moved += row != m->next && !timer;
    add(m, STEP_call, row, m->cpu[row]);
    note_queue(m, row);
    if (timer)
        emit_queued(m, row, m->not_before);
}

/* The rows of a CPU's ring are in the order of its lines: what no event places comes before
 * a later one that an event does. */
static void emit_queued_before(struct maker *m, uint32_t row)
{
    for (uint32_t i = m->next; i < row; i++)
        if (!m->done[i] && !m->timed[i] && m->r->row[i].queued && m->cpu[i] == m->cpu[row]
            && m->not_before[i] == NO_ROW)
            emit(m, i);
}

static void begin_drain(struct maker *m, uint32_t row)
{
    const uint8_t cpu = m->cpu[row];
    begin(m, row);
    emit_flush(m, timer_around(m, row));
    if (m->done[row])
        return;
    m->plan->moved += row != m->next && m->r->row[row].kind != ROW_timer;
    hold_others(m, cpu);
    if (m->under_way[cpu].row != NO_ROW)
        end_drain(m, cpu);
    note_queue(m, row);
    m->under_way[cpu].row   = row;
    m->under_way[cpu].given = m->under_way[cpu].held = 0;
}

/* One of the ranges that a row gives back, which may go on when others have had their turn.
 */
static void give_back(struct maker *m, const struct event *e)
{
    const uint8_t cpu     = m->cpu[e->row];
    struct drain *d       = &m->under_way[cpu];
    const uint32_t ranges = m->r->row[e->row].freed.count;
    if (m->done[e->row])
        return;
    if (d->row != e->row)
        begin_drain(m, e->row);
    if (d->row != e->row)
        return; /* What comes before it has come to it. */
    hold_others(m, cpu);
    if (e->index >= d->given)
        d->given = e->index + 1;
    if (d->given == ranges)
        end_drain(m, cpu);
}

/* What the next row of the allocator's recording belongs to. */
static void emit_event(struct maker *m, uint32_t index)
{
    const struct event *e = &m->event[m->event_of[index]];
    const struct row *row = &m->r->row[e->row];
    if (row->queued && !m->done[e->row])
        emit_queued_before(m, e->row);
    if (e->release && row->freed.count > 1)
        give_back(m, e);
    else
        emit(m, e->row);
}

/* Whether the call must wait for a timer that has not been emitted. */
static bool waits(const struct maker *m, uint32_t row)
{
    const uint32_t timer = m->not_before[row];
    return m->r->row[row].queued && timer != NO_ROW && !m->done[timer];
}

/* Calls without an event of their own go where their lines stand. */
static void advance(struct maker *m, uint32_t end)
{
    for (; m->next < end; m->next++) {
        if (m->done[m->next] || waits(m, m->next))
            continue;
        if (m->timed[m->next])
            return;
        emit(m, m->next);
    }
}

static uint32_t section_end(const struct recording *r, uint32_t section)
{
    uint32_t row = 0;
    while (row < r->rows && r->row[row].section <= section)
        row++;
    return row;
}

/* Whatever is left of the sections up to this row, in the order of the lines. */
static void finish(struct maker *m, uint32_t end)
{
    for (; m->next < end; m->next++)
        if (!waits(m, m->next))
            emit(m, m->next);
}

static void emit_by_allocator(struct maker *m)
{
    uint32_t section = NO_ROW, end = 0;
    for (uint32_t k = 0; k < m->a->rows; k++) {
        const uint32_t i      = m->order[k];
        const struct row *row = &m->a->row[i];
        if (section == NO_ROW || row->section > section) {
            finish(m, end);
            section           = row->section;
            const uint32_t in = section_called(m->r, m->a->section[section]);
            if (in != NO_ROW)
                end = section_end(m->r, in);
        }
        advance(m, end);
        if (m->event_of[i] != NO_ROW) {
            emit_event(m, i);
        } else if (m->plan->space_of[row->space] != NO_SPACE) {
            add(m, STEP_outside, i, row->cpu);
            m->plan->outside++;
        }
    }
}

static void find_places(struct maker *m)
{
    for (uint32_t k = 0; k < m->a->rows; k++) {
        const uint32_t e = m->event_of[m->order[k]];
        if (e == NO_ROW)
            continue;
        const uint32_t row = m->event[e].row;
        m->last_at[row]    = k;
        if (m->first_at[row] == NO_ROW)
            m->first_at[row] = k;
    }
}

static void note_unmatched(struct maker *m)
{
    for (uint32_t e = 0; e < m->events; e++) {
        const uint32_t row = m->event[e].row;
        if (!m->event[e].taken
            && section_called(m->a, m->r->section[m->r->row[row].section]) != NO_ROW)
            m->plan->unmatched[row] = true;
    }
}

/* Up to a device's first timer in a section. */
static void note_gaps(struct maker *m)
{
    uint32_t last[REC_DEVICES_MAX]; /* The section of its last timer. */
    memset(last, 0xff, sizeof last);
    for (uint32_t i = 0; i < m->r->rows; i++) {
        const struct row *row = &m->r->row[i];
        if (row->device == NO_DEVICE)
            continue;
        m->plan->after_gap[i] = last[row->device] != row->section;
        if (row->kind == ROW_timer)
            last[row->device] = row->section;
    }
}

static void maker_free(struct maker *m)
{
    free(m->event);
    free(m->section_event);
    free(m->event_of);
    free(m->row_of);
    free(m->timed);
    free(m->first_at);
    free(m->last_at);
    free(m->cpu);
    free(m->begun);
    free(m->done);
    free(m->flushed);
    free(m->stamp);
    free(m->drain);
    free(m->passed);
    free(m->not_before);
}

void plan_make(struct plan *p, const struct recording *calls,
               const struct recording *allocator, const uint32_t *order,
               const uint8_t *excused)
{
    struct maker m = { .plan = p, .r = calls, .a = allocator, .order = order };
    memset(p, 0, sizeof *p);
    memset(p->space_of, NO_SPACE, sizeof p->space_of);
    p->calls     = calls;
    p->allocator = allocator;
    m.timed      = zeroed(calls->rows, sizeof *m.timed);
    m.cpu        = zeroed(calls->rows, sizeof *m.cpu);
    for (uint32_t i = 0; i < calls->rows; i++)
        m.cpu[i] = calls->row[i].cpu;
    for (unsigned i = 0; i < REC_CPUS_MAX; i++)
        m.under_way[i].row = NO_ROW;
    m.first_at   = no_rows(calls->rows);
    m.last_at    = no_rows(calls->rows);
    m.begun      = zeroed(calls->rows, sizeof *m.begun);
    m.done       = zeroed(calls->rows, sizeof *m.done);
    m.flushed    = zeroed(calls->rows, sizeof *m.flushed);
    p->unmatched = zeroed(calls->rows, sizeof *p->unmatched);
    p->after_gap = zeroed(calls->rows, sizeof *p->after_gap);
    note_gaps(&m);
    m.stamp      = zeroed(calls->rows, sizeof *m.stamp);
    m.drain      = no_rows(calls->rows);
    m.not_before = no_rows(calls->rows);
    m.passed     = zeroed(calls->rows, sizeof *m.passed);
    p->excused   = zeroed(calls->rows, sizeof *p->excused);
    find_drains(&m);
    if (allocator != NULL) {
        m.row_of   = no_rows(allocator->rows);
        m.event_of = no_rows(allocator->rows);
        list_events(&m);
        match(&m);
        for (uint32_t i = 0; i < allocator->rows; i++)
            if (m.row_of[i] != NO_ROW && excused[i] != 0)
                p->excused[m.row_of[i]] = excused[i];
        note_unmatched(&m);
        find_places(&m);
        emit_by_allocator(&m);
    }
    finish(&m, calls->rows);
    for (unsigned i = 0; i < REC_CPUS_MAX; i++)
        CHECK(m.under_way[i].row == NO_ROW);
    maker_free(&m);
}

void plan_free(struct plan *p)
{
    free(p->step);
    free(p->excused);
    free(p->unmatched);
    free(p->after_gap);
    memset(p, 0, sizeof *p);
}

/* ---- The order of the lines
 * -------------------------------------------------------------------- */

struct place {
    uint32_t row, event; /* event: the row's own, or that of the row before it. */
};

static int by_event(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->event != y->event)
        return x->event < y->event ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Sections stay where they are: only the rows of one are sorted. */
static void sort_places(struct place *place, const struct recording *allocator)
{
    uint32_t from = 0;
    for (uint32_t i = 1; i <= allocator->rows; i++)
        if (i == allocator->rows
            || allocator->row[i].section != allocator->row[from].section) {
            qsort(place + from, i - from, sizeof *place, by_event);
            from = i;
        }
}

static void place_rows(const struct maker *m, struct plan_lines *l)
{
    const struct recording *a = m->a;
    struct place *place       = zeroed(a->rows, sizeof *place);
    uint32_t event            = 0;
    for (uint32_t i = 0; i < a->rows; i++) {
        if (i > 0 && a->row[i].section != a->row[i - 1].section)
            event = 0;
        event    = m->event_of[i] == NO_ROW ? event : m->event_of[i];
        place[i] = (struct place){ i, event };
    }
    sort_places(place, a);
    for (uint32_t i = 0; i < a->rows; i++)
        l->sequence[i] = place[i].row;
    free(place);
}

void plan_lines_find(struct plan_lines *l, const struct recording *calls,
                     const struct recording *allocator)
{
    struct plan unused = { .calls = calls, .allocator = allocator };
    struct maker m     = { .plan = &unused, .r = calls, .a = allocator };
    memset(unused.space_of, NO_SPACE, sizeof unused.space_of);
    m.timed     = zeroed(calls->rows, sizeof *m.timed);
    m.cpu       = zeroed(calls->rows, sizeof *m.cpu);
    m.row_of    = no_rows(allocator->rows);
    m.event_of  = no_rows(allocator->rows);
    l->sequence = zeroed(allocator->rows, sizeof *l->sequence);
    l->cpu      = zeroed(allocator->rows, sizeof *l->cpu);
    l->context  = zeroed(allocator->rows, sizeof *l->context);
    list_events(&m);
    match(&m);
    place_rows(&m, l);
    for (uint32_t i = 0; i < allocator->rows; i++) {
        const struct row *row = m.row_of[i] == NO_ROW ? NULL : &calls->row[m.row_of[i]];
        l->cpu[i]             = row == NULL ? allocator->row[i].cpu : row->cpu;
        l->context[i]         = row == NULL ? '\0' : row->context;
        if (row != NULL && row->kind == ROW_map_iova && row->context == 't')
            l->context[i] = PLAN_RANGE;
    }
    maker_free(&m);
}

void plan_lines_free(struct plan_lines *l)
{
    free(l->sequence);
    free(l->cpu);
    free(l->context);
    memset(l, 0, sizeof *l);
}
