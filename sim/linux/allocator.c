/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/allocator.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/lg2.h"

enum { LATER = 8192, TRIED_MAX = 24, SEARCHES_MAX = 2 };

/* ---- What comes later
 * -------------------------------------------------------------------------- */

static uint32_t row_at(const struct allocator *a, uint32_t position)
{
    return a->sequence == NULL ? position : a->sequence[position];
}

/* The line of a range stands where its synchronisation begins, long after it was allocated:
 * whatever came in between, it belongs there. */
static bool is_range(char context)
{
    return context == PLAN_RANGE;
}

static unsigned rank_of(char context)
{
    return context == 'h' ? 2 : context == 's';
}

/* Whether all that the CPU did from one position on until another was done by interrupts of
 * this call: its line then stands where the recording puts it, behind theirs. */
static bool was_interrupted(const struct allocator *a, uint32_t index, uint32_t from,
                            uint32_t to)
{
    const struct recording *r = a->compare->drive->calls;
    if (a->context == NULL || a->context[index] == '\0')
        return false;
    if (is_range(a->context[index]))
        return true;
    for (uint32_t p = from; p < to; p++) {
        const uint32_t other = row_at(a, p);
        if (other != index && r->row[other].cpu == r->row[index].cpu
            && a->late[other] == LATE_not
            && rank_of(a->context[other]) <= rank_of(a->context[index]))
            return false;
    }
    return true;
}

/* The CPU's allocation before this one, of that space: was it served before its turn? */
static bool follows_late(const struct allocator *a, uint32_t index)
{
    const struct recording *r = a->compare->drive->calls;
    const struct row *row     = &r->row[index];
    for (uint32_t p = a->position[index]; p-- > 0;) {
        const struct row *o = &r->row[row_at(a, p)];
        if (o->kind == ROW_allocate && o->cpu == row->cpu && o->space == row->space)
            return a->late[row_at(a, p)] != LATE_not;
    }
    return false;
}

/* How many lines to come were given by the tree what lies between. */
static unsigned searches_between(const struct allocator *a, uint64_t above, uint64_t last)
{
    const struct recording *r = a->compare->drive->calls;
    unsigned found            = 0;
    for (uint32_t p = a->position[a->row] + 1, n = 0; p < r->rows && n < LATER; p++, n++) {
        const struct row *row = &r->row[row_at(a, p)];
        found += row->kind == ROW_allocate && row->path == 's' && row->pfn > above
                 && row->pfn <= last && row->space == r->row[a->row].space
                 && a->late[row_at(a, p)] == LATE_not;
    }
    return found;
}

/* A search that one or two others came before. Where it is many, this line stands too early
 * in an order that was inferred. */
static bool is_overtaken(const struct allocator *a, uint64_t pfn)
{
    const struct row *now = &a->compare->drive->calls->row[a->row];
    return now->path != 's' || searches_between(a, now->pfn, pfn) <= SEARCHES_MAX;
}

/* A line to come that says the address, while nothing before it gives it back. */
static bool comes_later(void *self, uint64_t pfn)
{
    struct allocator *a       = self;
    const struct recording *r = a->compare->drive->calls;
    const unsigned space      = r->row[a->row].space;
    if (!is_overtaken(a, pfn))
        return false;
    for (uint32_t p = a->position[a->row] + 1, n = 0; p < r->rows && n < LATER; p++, n++) {
        const uint32_t index  = row_at(a, p);
        const struct row *row = &r->row[index];
        if (row->space != space || row->pfn != pfn || a->late[index] != LATE_not)
            continue;
        if (row->kind == ROW_release || (r->row[a->row].path == 's' && row->path != 's'))
            return false;
        a->late[index] = was_interrupted(a, index, a->position[a->row], p) ? LATE_known
                         : follows_late(a, index)                          ? LATE_run
                                                                           : LATE_race;
        a->compare->drive->resync.row = index;
        return true;
    }
    return false;
}

/* ---- Which of two races
 * ------------------------------------------------------------------------ */

/* The addresses that a CPU's magazines of one size hold, the next to come last. */
struct stack {
    uint64_t pfn[2 * IOVA_MAGAZINE + TRIED_MAX];
    uint32_t count;
};

static void stack_fill(struct stack *s, const struct iova_image *image)
{
    s->count = 0;
    for (unsigned m = 2; m-- > 0;)
        for (uint32_t i = 0; i < image->count[m]; i++)
            s->pfn[s->count++] = image->pfn[m][i];
}

static void stack_remove(struct stack *s, uint64_t pfn)
{
    for (uint32_t i = s->count; i-- > 0;)
        if (s->pfn[i] == pfn) {
            memmove(&s->pfn[i], &s->pfn[i + 1], (--s->count - i) * sizeof s->pfn[0]);
            return;
        }
}

static bool same_magazines(const struct row *a, const struct row *b)
{
    return a->cpu == b->cpu && a->space == b->space
           && lg2_ceil(a->pages) == lg2_ceil(b->pages);
}

/* How many of the CPU's next lines would not agree. */
static unsigned disagreements(const struct allocator *a, struct stack *s)
{
    const struct recording *r = a->compare->drive->calls;
    const struct row *now     = &r->row[a->row];
    unsigned found = 0, tried = 0;
    for (uint32_t p = a->position[a->row] + 1; p < r->rows && tried < TRIED_MAX; p++) {
        const struct row *row = &r->row[row_at(a, p)];
        if (!same_magazines(row, now) || a->late[row_at(a, p)] != LATE_not)
            continue;
        tried++;
        if (row->kind == ROW_release) {
            s->pfn[s->count++] = row->pfn;
            continue;
        }
        found += s->count == 0 ? row->path == 'f' : s->pfn[s->count - 1] != row->pfn;
        stack_remove(s, row->pfn);
    }
    return found;
}

static bool rather_later(void *self, uint64_t pfn)
{
    struct allocator *a   = self;
    struct drive *d       = a->compare->drive;
    const struct row *row = &d->calls->row[a->row];
    struct stack interrupted, later;
    struct iova_image now;
    iova_cache_image(&a->space[row->space], lg2_ceil(row->pages), row->cpu, &now);
    stack_fill(&interrupted, &now);
    stack_remove(&interrupted, row->pfn);
    later = interrupted;
    stack_remove(&later, pfn);
    return disagreements(a, &later) < disagreements(a, &interrupted);
}

/* ---- Searches of the tree
 * ------------------------------------------------------------------------ */

/* Another search came first: a line to come shows what it took. */
static bool shows_search(const struct row *row, uint64_t above)
{
    return row->kind == ROW_allocate && row->path == 's' && row->pfn > above;
}

/* The tree would give that address, which is not the recorded one. Behind a gap in the
 * recording it may have been taken there. */
static enum resync_rule searched(void *self, uint64_t got)
{
    const struct allocator *a = self;
    const struct recording *r = a->compare->drive->calls;
    const struct row *now     = &r->row[a->row];
    const uint64_t above      = got < now->pfn ? got : now->pfn;
    for (uint32_t p = a->position[a->row] + 1, n = 0; p < r->rows && n < LATER; p++, n++) {
        const struct row *row = &r->row[row_at(a, p)];
        if (row->space != now->space)
            continue;
        if (shows_search(row, above))
            return RULE_tree;
    }
    return now->gap && now->pfn < got ? RULE_unseen : RULE_none;
}

/* ---- The order found
 * -------------------------------------------------------------------------- */

static void put_last(struct allocator *a, uint32_t row)
{
    a->before[row] = a->last;
    a->after[row]  = NO_ROW;
    if (a->last == NO_ROW)
        a->first = row;
    else
        a->after[a->last] = row;
    a->last = row;
}

static void put_before(struct allocator *a, uint32_t row, uint32_t later)
{
    a->before[row] = a->before[later];
    a->after[row]  = later;
    if (a->before[later] == NO_ROW)
        a->first = row;
    else
        a->after[a->before[later]] = row;
    a->before[later] = row;
}

void allocator_order(const struct allocator *a, uint32_t *order)
{
    uint32_t n = 0;
    for (uint32_t row = a->first; row != NO_ROW; row = a->after[row])
        order[n++] = row;
    CHECK(n == a->compare->drive->calls->rows);
}

/* ---- Calls
 * ---------------------------------------------------------------------------------- */

/* True when it was another line's turn, which is now done: this one is to be repeated. */
static bool allocate(struct allocator *a, uint32_t index)
{
    struct drive *d       = a->compare->drive;
    const struct row *row = &d->calls->row[index];
    bool cached;
    resync_begin(&d->resync, true, row->pfn, row->path);
    d->resync.row    = index;
    d->resync.unseen = row->unseen;
    d->resync.gap    = row->gap;
    d->addr =
        iova_alloc_fast(&a->space[row->space], row->pages, row->limit, false, &cached);
    if (d->resync.rule != RULE_interrupt) {
        put_last(a, d->resync.row);
        return d->resync.served;
    }
    put_before(a, index, d->resync.before_row);
    if (was_interrupted(a, index, a->position[d->resync.before_row], a->position[index])) {
        d->resync.rule     = RULE_none;
        d->resync.got_path = row->path;
        a->compare->result->moved++;
    }
    return false;
}

static void release(struct allocator *a, uint32_t index)
{
    struct drive *d       = a->compare->drive;
    const struct row *row = &d->calls->row[index];
    resync_begin(&d->resync, false, 0, 0);
    d->resync.row = index;
    if (resync_is_live(&d->resync, row->space, row->pfn))
        iova_free_fast(&a->space[row->space], row->pfn, row->pages);
    put_last(a, index);
}

/* It was served, with its own address, before its turn. */
static void pass_over(struct allocator *a, const struct row *row, uint32_t index)
{
    struct drive *d = a->compare->drive;
    resync_begin(&d->resync, true, row->pfn, row->path);
    d->addr            = row->pfn;
    d->resync.got_path = row->path;
    if (a->late[index] == LATE_race)
        d->resync.rule = RULE_late;
    else
        a->compare->result->moved++;
}

void allocator_call(struct allocator *a, uint32_t index)
{
    const struct row *row = &a->compare->drive->calls->row[index];
    a->row                = index;
    if (row->kind == ROW_release)
        release(a, index);
    else if (a->late[index] != LATE_not)
        pass_over(a, row, index);
    else
        while (allocate(a, index))
            continue;
    a->excused[index] = (uint8_t)a->compare->drive->resync.rule;
    compare_allocator(a->compare, row);
}

/* ---- Life
 * ----------------------------------------------------------------------------------- */

void allocator_set_up(struct allocator *a, struct compare *compare,
                      const struct plan_lines *lines)
{
    struct drive *d           = compare->drive;
    const struct kernel *k    = &d->machine.kernel;
    const struct recording *r = d->calls;
    *a        = (struct allocator){ .compare = compare, .first = NO_ROW, .last = NO_ROW };
    a->space  = calloc(r->spaces, sizeof *a->space);
    a->after  = calloc(r->rows, sizeof *a->after);
    a->before = calloc(r->rows, sizeof *a->before);
    CHECK(a->space != NULL && a->after != NULL && a->before != NULL);
    a->sequence = lines == NULL ? NULL : lines->sequence;
    a->context  = lines == NULL ? NULL : lines->context;
    a->position = calloc(r->rows, sizeof *a->position);
    a->late     = calloc(r->rows, sizeof *a->late);
    a->excused  = calloc(r->rows, sizeof *a->excused);
    CHECK(a->position != NULL && a->late != NULL && a->excused != NULL);
    for (uint32_t i = 0; i < r->rows; i++)
        a->position[row_at(a, i)] = i;
    d->resync.comes_later  = comes_later;
    d->resync.rather_later = rather_later;
    d->resync.searched     = searched;
    d->resync.lines        = a;
    for (unsigned i = 0; i < r->spaces; i++) {
        iova_init(&a->space[i], &d->machine.kernel, PAGE_SHIFT, 0);
        iova_reserve(&a->space[i], k->config.msi_first >> PAGE_SHIFT,
                     k->config.msi_last >> PAGE_SHIFT);
        for (unsigned w = 0; w < k->windows; w++)
            iova_reserve(&a->space[i], k->window[w].first >> PAGE_SHIFT,
                         k->window[w].last >> PAGE_SHIFT);
        resync_watch(&d->resync, i, &a->space[i]);
    }
}

/* What a recording has not given back when it ends is given back now. */
void allocator_tear_down(struct allocator *a)
{
    struct drive *d = a->compare->drive;
    resync_end(&d->resync);
    for (unsigned i = 0; i < d->calls->spaces; i++)
        iova_free_domain(&a->space[i]);
}

void allocator_free(struct allocator *a)
{
    free(a->space);
    free(a->position);
    free(a->late);
    free(a->excused);
    free(a->after);
    free(a->before);
}
