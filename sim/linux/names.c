/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/names.h"

#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/check.h"

/* So many lines make a name: one odd line, or two, do not. */
enum { LINES_OF_A_NAME = 3, NAMES_MAX = 64 };

/* What is said of an id as that of one device. */
struct name {
    uint32_t id, lines;
    uint32_t first, last; /* Rows. */
};

struct names {
    struct recording *r;
    struct device_names {
        struct name name[NAMES_MAX];
        unsigned count;
        /* Those that it really had, one after the other. */
        struct name had[NAMES_MAX];
        unsigned changes;
        uint32_t kept; /* What all of them are renamed to. */
    } device[REC_DEVICES_MAX];
    uint32_t highest;
};

static bool has_domain(const struct rec_inv *inv)
{
    return inv->kind == INV_page || inv->kind == INV_domain || inv->kind == INV_pasid_page
           || inv->kind == INV_pasid;
}

static void note(struct device_names *d, uint32_t id, uint32_t row)
{
    unsigned i = 0;
    while (i < d->count && d->name[i].id != id)
        i++;
    if (i == NAMES_MAX)
        return; /* None of so many is right. */
    if (i == d->count)
        d->name[d->count++] = (struct name){ .id = id, .first = row };
    d->name[i].lines++;
    d->name[i].last = row;
}

/* ---- Lines that say their device
 * ----------------------------------------------------------------- */

static void note_row(struct names *n, uint32_t index)
{
    const struct row *row = &n->r->row[index];
    if (row->device == NO_DEVICE || row->nested)
        return;
    for (uint32_t i = 0; i < row->inv.count; i++) {
        const struct rec_inv *inv = &n->r->inv[row->inv.first + i];
        if (has_domain(inv))
            note(&n->device[row->device], inv->id, index);
    }
}

/* ---- Timers, which do not
 * -----------------------------------------------------------------
 *
 * Two devices may have the same addresses waiting, as after their probes. Over the whole
 * recording, the device of an id is the one that queued what its timers give back: each
 * range that it queued since the id's last timer, in this section, counts for it if this
 * one gives it back, and against it if not. A timer runs on the CPU that queued first: that
 * breaks ties.
 */
enum { TIMED_MAX = 256, VOTE = 16 };

struct votes {
    uint32_t id[TIMED_MAX], last[TIMED_MAX]; /* last: the row of the id's last timer. */
    int64_t vote[TIMED_MAX][REC_DEVICES_MAX];
    unsigned ids;
};

static bool gives_back(const struct recording *r, const struct row *timer, uint64_t pfn)
{
    for (uint32_t i = 0; i < timer->freed.count; i++)
        if (r->range[timer->freed.first + i].pfn == pfn)
            return true;
    return false;
}

/* The id that the timer's row names, 0: none. */
static uint32_t id_of_timer(const struct recording *r, const struct row *row)
{
    const struct rec_inv *inv = &r->inv[row->inv.first];
    return row->kind == ROW_timer && row->inv.count > 0 && has_domain(inv) ? inv->id : 0;
}

static unsigned number_of(struct votes *v, uint32_t id)
{
    unsigned i = 0;
    while (i < v->ids && v->id[i] != id)
        i++;
    if (i == v->ids && i < TIMED_MAX)
        v->id[v->ids++] = id;
    return i;
}

static void vote(const struct recording *r, struct votes *v, uint32_t index)
{
    const struct row *timer = &r->row[index];
    const unsigned id       = number_of(v, id_of_timer(r, timer));
    if (id == TIMED_MAX)
        return;
    for (uint32_t i = index; i-- > v->last[id] && r->row[i].section == timer->section;) {
        const struct row *row = &r->row[i];
        if (!row->queued || row->device == NO_DEVICE || row->iova == 0)
            continue;
        const bool here = gives_back(r, timer, row->iova >> PAGE_SHIFT);
        v->vote[id][row->device] += here ? VOTE + (row->cpu == timer->cpu) : -VOTE;
    }
    v->last[id] = index;
}

/* The device that most speaks for; NO_DEVICE when none does more than against. */
static unsigned elected(const struct recording *r, struct votes *v, uint32_t id)
{
    const unsigned number = number_of(v, id);
    unsigned device       = NO_DEVICE;
    int64_t most          = 0;
    for (unsigned d = 0; d < r->devices && number < TIMED_MAX; d++)
        if (v->vote[number][d] > most) {
            most   = v->vote[number][d];
            device = d;
        }
    return device;
}

static void note_timers(struct names *n)
{
    struct votes *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    for (uint32_t i = 0; i < n->r->rows; i++)
        if (id_of_timer(n->r, &n->r->row[i]) != 0)
            vote(n->r, v, i);
    for (uint32_t i = 0; i < n->r->rows; i++) {
        const uint32_t id     = id_of_timer(n->r, &n->r->row[i]);
        const unsigned device = id == 0 ? NO_DEVICE : elected(n->r, v, id);
        if (device != NO_DEVICE)
            note(&n->device[device], id, i);
    }
    free(v);
}

/* ---- Which names a device had
 * ------------------------------------------------------------- */

static const struct name *most_lines(const struct device_names *d)
{
    const struct name *most = NULL;
    for (unsigned i = 0; i < d->count; i++)
        if (most == NULL || d->name[i].lines > most->lines)
            most = &d->name[i];
    return most;
}

static bool is_stronger(const struct name *a, const struct name *b)
{
    return a->lines != b->lines ? a->lines > b->lines : a->first < b->first;
}

/* Whether no stronger name is the device's at that time, too. */
static bool is_alone(const struct device_names *d, const struct name *name)
{
    for (unsigned i = 0; i < d->count; i++) {
        const struct name *other = &d->name[i];
        if (other != name && is_stronger(other, name) && other->first < name->last
            && name->first < other->last)
            return false;
    }
    return true;
}

static int by_first(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static void find_changes(struct device_names *d)
{
    qsort(d->name, d->count, sizeof d->name[0], by_first);
    for (unsigned i = 0; i < d->count; i++)
        if (d->name[i].lines >= LINES_OF_A_NAME && is_alone(d, &d->name[i]))
            d->had[d->changes++] = d->name[i];
    if (d->changes == 0 && d->count > 0)
        d->had[d->changes++] = *most_lines(d);
    d->kept = d->changes == 0 ? 0 : d->had[0].id;
}

/* The device's name when that row came; 0: it has none. */
static const struct name *name_at(const struct device_names *d, uint32_t row)
{
    const struct name *name = NULL;
    for (unsigned i = 0; i < d->changes; i++)
        if (i == 0 || d->had[i].first <= row)
            name = &d->had[i];
    return name;
}

/* Its first name was that of another device, which had given it up: it gets one that nobody
 * has. */
static void keep_apart(struct names *n, unsigned device)
{
    struct device_names *d = &n->device[device];
    for (unsigned other = 0; d->changes > 0 && other < n->r->devices; other++) {
        const struct device_names *o = &n->device[other];
        if (other != device && o->changes > 1 && o->had[0].id == d->had[0].id
            && o->had[1].first < d->had[0].first)
            d->kept = ++n->highest;
    }
}

/* ---- Renaming
 * ---------------------------------------------------------------------------- */

/* The device whose name it is when the row comes: the row's own, or the newest. */
static const struct device_names *device_named(const struct names *n, uint32_t index,
                                               uint32_t id)
{
    const struct device_names *found = NULL;
    uint32_t since                   = 0;
    for (unsigned i = 0; i < n->r->devices; i++) {
        const struct name *name = name_at(&n->device[i], index);
        if (name == NULL || name->id != id)
            continue;
        if (n->r->row[index].device == i)
            return &n->device[i];
        if (found == NULL || name->first > since) {
            found = &n->device[i];
            since = name->first;
        }
    }
    return found;
}

static void rename_row(struct names *n, uint32_t index)
{
    const struct rec_list *of = &n->r->row[index].inv;
    for (uint32_t i = of->first; i < of->first + of->count; i++) {
        struct rec_inv *inv = &n->r->inv[i];
        const struct device_names *d =
            has_domain(inv) ? device_named(n, index, inv->id) : NULL;
        if (d != NULL)
            inv->id = d->kept;
    }
}

void names_find(struct recording *r)
{
    struct names *n = calloc(1, sizeof *n);
    CHECK(n != NULL);
    n->r = r;
    for (uint32_t i = 0; i < r->invs; i++)
        if (has_domain(&r->inv[i]) && r->inv[i].id > n->highest)
            n->highest = r->inv[i].id;
    for (uint32_t i = 0; i < r->rows; i++)
        note_row(n, i);
    note_timers(n);
    for (unsigned i = 0; i < r->devices; i++)
        find_changes(&n->device[i]);
    for (unsigned i = 0; i < r->devices; i++)
        keep_apart(n, i);
    for (uint32_t i = 0; i < r->rows; i++)
        rename_row(n, i);
    for (unsigned i = 0; i < r->devices; i++)
        r->device[i].domain_id = n->device[i].kept;
    free(n);
}
