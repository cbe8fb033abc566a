/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/resync.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/lg2.h"

enum { HISTORY = 512, LIVE_BUCKETS = 1 << 14 };

static const char *const rule_name[RULES] = { "none",      "interrupt", "late",
                                              "migration", "tree",      "unseen" };

const char *resync_rule_name(enum resync_rule rule)
{
    return rule_name[rule];
}

/* One call of a CPU's magazines of one size, and what they held before it. */
struct operation {
    struct iova_image before;
    uint64_t pfn;
    uint32_t row;
    bool release, cached;
};

struct resync_history {
    struct operation *at; /* A ring of HISTORY; NULL until it is needed. */
    uint64_t count;
};

struct resync_space {
    struct resync *resync;
    struct iova_domain *allocator;
    struct iova_watch watch;
    unsigned number;
};

struct live_range {
    struct live_range *next;
    unsigned space;
    bool outside;
    bool astray; /* It went elsewhere where nothing is recorded. */
    uint64_t pfn, granules;
};

/* ---- What is handed out
 * ------------------------------------------------------------------------ */

static struct live_range **bucket(const struct resync *s, unsigned space, uint64_t pfn)
{
    return &s->live[(pfn * 2654435761u + space) % LIVE_BUCKETS];
}

static struct live_range **find_live(const struct resync *s, unsigned space, uint64_t pfn)
{
    struct live_range **link = bucket(s, space, pfn);
    while (*link != NULL && ((*link)->space != space || (*link)->pfn != pfn))
        link = &(*link)->next;
    return link;
}

bool resync_is_live(const struct resync *s, unsigned space, uint64_t pfn)
{
    return *find_live(s, space, pfn) != NULL;
}

bool resync_is_outside(const struct resync *s, unsigned space, uint64_t pfn)
{
    const struct live_range *l = *find_live(s, space, pfn);
    return l != NULL && l->outside;
}

void resync_adopt(struct resync *s, unsigned space, uint64_t pfn)
{
    struct live_range *l = *find_live(s, space, pfn);
    CHECK(l != NULL);
    l->outside = false;
}

static void note_live(struct resync *s, unsigned space, uint64_t pfn, uint64_t granules)
{
    struct live_range **first = bucket(s, space, pfn);
    struct live_range *l      = malloc(sizeof *l);
    CHECK(l != NULL);
    *l     = (struct live_range){ *first, space, s->outside, false, pfn, granules };
    *first = l;
}

static void drop_live(struct resync *s, unsigned space, uint64_t pfn)
{
    struct live_range **link = find_live(s, space, pfn);
    struct live_range *l     = *link;
    if (l == NULL)
        return;
    *link = l->next;
    free(l);
}

/* ---- Astray
 * ------------------------------------------------------------------------------
 *
 * What happened in a gap of the recording shows where an allocator that has not seen it
 * gives an address that was not there any more: it is put aside, until a line says that it
 * is used.
 */
static void lead_astray(struct resync *s, struct iova_domain *d, unsigned space,
                        uint64_t pfn, uint64_t granules)
{
    note_live(s, space, pfn, granules);
    struct live_range *l = *find_live(s, space, pfn);
    l->outside = l->astray = true;
    d->live++;
}

/* The range put aside that has the page in it, or NULL. */
static struct live_range *astray_around(const struct resync *s, unsigned space,
                                        uint64_t pfn)
{
    for (unsigned order = 0; order < IOVA_ORDERS; order++) {
        struct live_range *l = *find_live(s, space, align_down(pfn, order));
        if (l != NULL && l->astray && pfn - l->pfn < l->granules)
            return l;
    }
    return NULL;
}

/* The caller gets the recorded range, which was put aside; it may be a part of what was. */
static bool found_again(struct resync *s, struct iova_domain *d, unsigned space,
                        uint64_t granules)
{
    const struct live_range *l = astray_around(s, space, s->pfn);
    if (l == NULL)
        return false;
    const struct live_range all = *l;
    drop_live(s, space, all.pfn);
    d->live--;
    if (all.granules != granules)
        iova_tree_free(d, &all.pfn, 1);
    if (all.granules != granules && !iova_tree_claim(d, s->pfn, granules))
        return false;
    for (uint64_t pfn = all.pfn; pfn < all.pfn + all.granules; pfn++)
        if (all.granules != granules && iova_tree_claim(d, pfn, 1))
            lead_astray(s, d, space, pfn, 1);
    s->rule = RULE_unseen;
    return true;
}

/* ---- History
 * -------------------------------------------------------------------------------- */

static struct resync_history *history_of(struct resync *s, unsigned space, unsigned order)
{
    return &s->history[(space * IOVA_ORDERS + order) * s->cpus + cpu_this()->id];
}

static struct operation *operation_back(const struct resync_history *h, uint64_t back)
{
    return &h->at[(h->count - back) % HISTORY];
}

static void remember(struct resync_history *h, const struct iova_image *before,
                     struct operation o)
{
    o.before = *before;
    if (h->at == NULL)
        h->at = malloc(HISTORY * sizeof *h->at);
    CHECK(h->at != NULL);
    h->at[h->count++ % HISTORY] = o;
}

static bool is_empty(const struct iova_domain *d, unsigned order)
{
    struct iova_image now;
    iova_cache_image(d, order, cpu_this()->id, &now);
    return now.count[0] + now.count[1] == 0;
}

/* Takes from this CPU's magazines, 0: they are empty. The depot is left alone: false when
 * it would be asked. */
static bool take_own(struct iova_domain *d, unsigned order, uint64_t *pfn)
{
    *pfn = 0;
    if (is_empty(d, order))
        return d->cache[order].depot_size == 0;
    *pfn = iova_cache_get(d, order, UINT64_MAX);
    return true;
}

/* Does it once more; false when it does not come out as it did. */
static bool redo(struct iova_domain *d, unsigned order, const struct operation *o)
{
    uint64_t pfn;
    if (o->release)
        return iova_cache_put(d, order, o->pfn);
    return take_own(d, order, &pfn) && pfn == (o->cached ? o->pfn : 0);
}

/* Whether the depot has changed since the image by this CPU's pushes only. */
static bool depot_is_own(const struct iova_domain *d, unsigned order,
                         const struct iova_image *then)
{
    const struct iova_cache *c = &d->cache[order];
    return d->stats.depot_pop == then->depot_popped && c->depot_size >= then->depot
           && d->stats.depot_push - then->depot_pushed == c->depot_size - then->depot;
}

/* ---- Interrupt
 * ---------------------------------------------------------------------------- */

/* What this CPU's magazines would have given then; 0: they were empty. */
static uint64_t top_of(const struct iova_image *image)
{
    for (unsigned m = 0; m < 2; m++)
        if (image->count[m] > 0)
            return image->pfn[m][image->count[m] - 1];
    return 0;
}

/* The allocation so many calls earlier; on success those calls are done again behind it. */
static bool happened_earlier(struct resync *s, struct iova_domain *d, unsigned order,
                             struct resync_history *h, uint64_t back)
{
    const unsigned cpu = cpu_this()->id;
    struct iova_image now;
    uint64_t pfn;
    iova_cache_restore(d, order, cpu, &operation_back(h, back)->before);
    bool good = take_own(d, order, &pfn) && pfn == (s->path == 's' ? 0 : s->pfn);
    for (uint64_t i = back; good && i > 0; i--)
        good = redo(d, order, operation_back(h, i));
    if (good)
        return true;
    iova_cache_image(d, order, cpu, &now);
    iova_cache_restore(d, order, cpu, &operation_back(h, back)->before);
    for (uint64_t i = back; i > 0; i--)
        CHECK(redo(d, order, operation_back(h, i)));
    return false;
}

/* Writes the history anew: the allocation, then what it came before. */
static void rewrite(struct resync *s, struct iova_domain *d, unsigned order,
                    struct resync_history *h, uint64_t back)
{
    const unsigned cpu     = cpu_this()->id;
    struct operation *tail = malloc(back * sizeof *tail);
    struct iova_image now;
    CHECK(tail != NULL);
    for (uint64_t i = 0; i < back; i++)
        tail[i] = *operation_back(h, back - i);
    iova_cache_restore(d, order, cpu, &tail[0].before);
    h->count -= back;
    const struct operation first = { .pfn    = s->pfn,
                                     .row    = s->row,
                                     .cached = s->path != 's' };
    s->before_row                = tail[0].row;
    for (uint64_t i = 0; i <= back; i++) {
        const struct operation *o = i == 0 ? &first : &tail[i - 1];
        iova_cache_image(d, order, cpu, &now);
        remember(h, &now, *o);
        CHECK(redo(d, order, o));
    }
    free(tail);
}

/* What the search finds; it is left where it is. */
static uint64_t tree_would_give(const struct resync *s, struct iova_domain *d,
                                uint64_t granules)
{
    const struct iova_hints before = iova_tree_hints(d);
    const uint64_t found           = iova_tree_alloc(d, granules, s->limit);
    iova_tree_withdraw(d, found, before);
    return found;
}

static bool try_interrupt(struct resync *s, struct iova_domain *d, unsigned space,
                          unsigned order, uint64_t granules)
{
    struct resync_history *h = history_of(s, space, order);
    const uint64_t held      = h->count < HISTORY - 1 ? h->count : HISTORY - 1;
    if (s->path == 's' && tree_would_give(s, d, granules) != s->pfn)
        return false;
    for (uint64_t back = 1; back <= held; back++) {
        if (!depot_is_own(d, order, &operation_back(h, back)->before))
            return false;
        if (top_of(&operation_back(h, back)->before) != (s->path == 's' ? 0 : s->pfn)
            || !happened_earlier(s, d, order, h, back))
            continue;
        rewrite(s, d, order, h, back);
        CHECK(s->path != 's' || iova_tree_alloc(d, granules, s->limit) == s->pfn);
        s->rule = RULE_interrupt;
        return true;
    }
    return false;
}

/* ---- Answers
 * ---------------------------------------------------------------------------------- */

static bool cacheable(uint64_t granules)
{
    return lg2_ceil(granules) < IOVA_ORDERS;
}

static void asked(void *self, struct iova_domain *d, uint64_t granules, uint64_t limit)
{
    struct resync_space *at = self;
    at->resync->hints       = iova_tree_hints(d);
    at->resync->limit       = limit;
    if (cacheable(granules))
        iova_cache_image(d, lg2_ceil(granules), cpu_this()->id, &at->resync->before);
}

/* The answer goes back to where it came from. */
static void undo(struct resync *s, struct iova_domain *d, unsigned order, uint64_t pfn,
                 bool cached)
{
    if (pfn == 0)
        return;
    if (!cached)
        iova_tree_withdraw(d, pfn, s->hints);
    else if (d->stats.depot_pop == s->before.depot_popped)
        iova_cache_restore(d, order, cpu_this()->id, &s->before);
    else
        iova_cache_put(d, order, pfn);
}

/* A magazine was changed from outside: what was before cannot be done again. */
void resync_forget(struct resync *s, unsigned space, unsigned order)
{
    for (unsigned cpu = 0; cpu < s->cpus; cpu++)
        s->history[(space * IOVA_ORDERS + order) * s->cpus + cpu].count = 0;
}

/* Whether this CPU would come to the recorded address, sooner or later. */
static bool is_within_reach(const struct resync *s, const struct iova_domain *d,
                            unsigned order)
{
    const struct iova_cache *c        = &d->cache[order];
    const struct iova_cpu_cache *mine = &c->cpu[cpu_this()->id];
    const struct iova_magazine *m[2]  = { mine->loaded, mine->previous };
    for (unsigned i = 0; i < 2; i++)
        for (uint32_t k = 0; k < m[i]->count; k++)
            if (m[i]->pfn[k] == s->pfn)
                return true;
    for (const struct iova_magazine *full = c->depot; full != NULL; full = full->next)
        for (uint32_t k = 0; k < full->count; k++)
            if (full->pfn[k] == s->pfn)
                return true;
    return false;
}

/* Takes the recorded range instead; the rule says how. */
static bool is_later_turn(struct resync *s, const struct iova_domain *d, unsigned order,
                          uint64_t got)
{
    if (s->comes_later == NULL || !is_within_reach(s, d, order)
        || !s->comes_later(s->lines, got))
        return false;
    s->served = true;
    return true;
}

/* Takes the recorded range out of the tree, if there is a reason for it. */
static enum resync_rule rule_of_tree(struct resync *s, struct iova_domain *d,
                                     unsigned space, uint64_t granules)
{
    if (s->path == 'f')
        return s->unseen && iova_tree_claim(d, s->pfn, granules) ? RULE_unseen : RULE_none;
    const uint64_t found = tree_would_give(s, d, granules);
    if (found == s->pfn)
        return iova_tree_alloc(d, granules, s->limit) == found ? RULE_tree : RULE_none;
    const enum resync_rule rule = s->searched(s->lines, found);
    if (rule == RULE_none || !iova_tree_claim(d, s->pfn, granules))
        return RULE_none;
    if (rule == RULE_unseen && s->gap && found != 0 && iova_tree_claim(d, found, granules))
        lead_astray(s, d, space, found, granules);
    return rule;
}

/* The search found what a line to come says that it found. */
static bool is_later_search(struct resync *s, struct iova_domain *d, uint64_t granules,
                            uint64_t got)
{
    if (s->comes_later == NULL || s->path != 's' || tree_would_give(s, d, granules) != got
        || !s->comes_later(s->lines, got))
        return false;
    s->served = true;
    return true;
}

/* The recorded address lies below one that the CPU's magazines would give first. */
static bool was_on_top(struct resync *s, struct iova_domain *d, unsigned space,
                       unsigned order)
{
    uint64_t first, second;
    struct iova_image now;
    if (!s->gap || is_empty(d, order))
        return false;
    iova_cache_image(d, order, cpu_this()->id, &now);
    if (take_own(d, order, &first) && take_own(d, order, &second) && second == s->pfn) {
        lead_astray(s, d, space, first, UINT64_C(1) << order);
        resync_forget(s, space, order);
        return true;
    }
    iova_cache_restore(d, order, cpu_this()->id, &now);
    return false;
}

static bool take_recorded(struct resync *s, struct iova_domain *d, unsigned space,
                          uint64_t granules, uint64_t got)
{
    const unsigned order = lg2_ceil(granules);
    if (cacheable(granules)) {
        granules = UINT64_C(1) << order;
        if (s->rather_later != NULL && s->rather_later(s->lines, got)
            && is_later_turn(s, d, order, got))
            return true;
        if (try_interrupt(s, d, space, order, granules) || is_later_turn(s, d, order, got))
            return true;
        if (was_on_top(s, d, space, order)) {
            s->rule = RULE_unseen;
            return true;
        }
        if (iova_cache_take(d, order, s->pfn)) {
            resync_forget(s, space, order);
            s->rule = RULE_migration;
            return true;
        }
    }
    if (is_later_search(s, d, granules, got))
        return true;
    const enum resync_rule rule = rule_of_tree(s, d, space, granules);
    if (rule == RULE_none)
        return false;
    if (cacheable(granules) && !is_empty(d, order))
        resync_forget(s, space, order); /* A CPU that did not look into its magazines. */
    s->rule = rule;
    return true;
}

/* There is no excuse; but what comes later is compared with what the recording shows. */
static bool take_anyhow(struct resync *s, struct iova_domain *d, unsigned space,
                        uint64_t granules)
{
    const unsigned order = lg2_ceil(granules);
    const bool cached    = cacheable(granules) && iova_cache_take(d, order, s->pfn);
    if (cacheable(granules))
        granules = UINT64_C(1) << order;
    if (!cached && !iova_tree_claim(d, s->pfn, granules))
        return false;
    if (cacheable(granules))
        resync_forget(s, space, order);
    s->forced = true;
    return true;
}

/* The answer is not the recorded one: the address that the caller gets, 0 for none yet. */
static uint64_t settle(struct resync *s, struct iova_domain *d, unsigned space,
                       uint64_t granules, uint64_t pfn, bool cached)
{
    const unsigned order = lg2_ceil(granules);
    undo(s, d, order, pfn, cached);
    if (found_again(s, d, space, cacheable(granules) ? UINT64_C(1) << order : granules))
        return s->pfn;
    if (!s->unmatched && take_recorded(s, d, space, granules, pfn) && !s->served)
        return s->pfn;
    if (!s->served && take_anyhow(s, d, space, granules))
        return s->pfn;
    if (cached)
        CHECK(iova_cache_get(d, order, UINT64_MAX) == pfn);
    else
        CHECK(
            iova_tree_claim(d, pfn, cacheable(granules) ? UINT64_C(1) << order : granules));
    return pfn;
}

static uint64_t answered(void *self, struct iova_domain *d, uint64_t granules, uint64_t pfn,
                         bool cached)
{
    struct resync_space *at = self;
    struct resync *s        = at->resync;
    s->got_pfn              = pfn;
    s->got_granules         = granules;
    s->got_path             = pfn == 0 ? 0 : cached ? 'f' : 's';
    s->served = s->forced = false;
    if (s->expects && s->pfn != pfn && s->pfn != 0 && pfn != 0)
        pfn = settle(s, d, at->number, granules, pfn, cached);
    else if (s->unseen && s->pfn == pfn && s->path == 'f' && !cached)
        s->rule = RULE_unseen;
    const bool plain = !s->forced && (s->rule == RULE_none || s->rule == RULE_tree);
    if (plain && cacheable(granules) && pfn != 0
        && (s->rule == RULE_none || is_empty(d, lg2_ceil(granules))))
        remember(history_of(s, at->number, lg2_ceil(granules)), &s->before,
                 (struct operation){
                     .pfn = pfn, .row = s->row, .cached = s->rule == RULE_none && cached });
    if (pfn != 0)
        note_live(s, at->number, pfn, granules);
    return pfn;
}

static void released(void *self, struct iova_domain *d, uint64_t pfn, uint64_t granules)
{
    struct resync_space *at = self;
    struct resync *s        = at->resync;
    struct iova_image before;
    if (s->releasing != NULL)
        s->releasing(s->releaser);
    if (s->releases < RESYNC_RELEASED_MAX)
        s->released[s->releases++] = (struct rec_range){ pfn, granules };
    drop_live(s, at->number, pfn);
    if (!cacheable(granules))
        return;
    iova_cache_image(d, lg2_ceil(granules), cpu_this()->id, &before);
    remember(history_of(s, at->number, lg2_ceil(granules)), &before,
             (struct operation){ .pfn = pfn, .row = s->row, .release = true });
}

/* ---- Life
 * ----------------------------------------------------------------------------------- */

void resync_init(struct resync *s, unsigned spaces, unsigned cpus)
{
    memset(s, 0, sizeof *s);
    s->cpus    = cpus;
    s->spaces  = spaces;
    s->space   = calloc(spaces, sizeof *s->space);
    s->history = calloc((size_t)spaces * IOVA_ORDERS * cpus, sizeof *s->history);
    s->live    = calloc(LIVE_BUCKETS, sizeof(struct live_range *));
    CHECK(s->space != NULL && s->history != NULL && s->live != NULL);
}

void resync_watch(struct resync *s, unsigned space, struct iova_domain *d)
{
    CHECK(space < s->spaces);
    struct resync_space *at = &s->space[space];
    *at       = (struct resync_space){ .resync = s, .allocator = d, .number = space };
    at->watch = (struct iova_watch){ at, asked, answered, released };
    d->watch  = &at->watch;
}

void resync_begin(struct resync *s, bool expects, uint64_t pfn, char path)
{
    s->expects   = expects;
    s->pfn       = pfn;
    s->path      = path;
    s->got_pfn   = 0;
    s->got_path  = 0;
    s->rule      = RULE_none;
    s->releases  = 0;
    s->outside   = false;
    s->row       = 0;
    s->unseen    = false;
    s->gap       = false;
    s->unmatched = false;
    s->forced    = false;
}

void resync_hold(const struct resync *s, struct resync_held *held)
{
    const size_t bytes = s->releases * sizeof *held->released;
    *held = (struct resync_held){ malloc(bytes + 1), s->releases, s->row, s->outside };
    CHECK(held->released != NULL);
    memcpy(held->released, s->released, bytes);
}

void resync_go_on(struct resync *s, struct resync_held *held)
{
    resync_begin(s, false, 0, 0);
    s->releases = held->releases;
    s->row      = held->row;
    s->outside  = held->outside;
    memcpy(s->released, held->released, held->releases * sizeof *held->released);
    free(held->released);
    held->released = NULL;
}

static struct live_range *unlink_any(struct resync *s, unsigned bucket_number)
{
    struct live_range *l = s->live[bucket_number];
    if (l != NULL)
        s->live[bucket_number] = l->next;
    return l;
}

static void stop_watching(struct resync *s)
{
    for (unsigned i = 0; i < s->spaces; i++)
        if (s->space[i].allocator != NULL)
            s->space[i].allocator->watch = NULL;
}

void resync_end(struct resync *s)
{
    struct live_range *l;
    stop_watching(s);
    for (unsigned b = 0; b < LIVE_BUCKETS; b++)
        while ((l = unlink_any(s, b)) != NULL) {
            iova_free_fast(s->space[l->space].allocator, l->pfn, l->granules);
            free(l);
        }
}

void resync_abandon(struct resync *s)
{
    struct live_range *l;
    stop_watching(s);
    for (unsigned b = 0; b < LIVE_BUCKETS; b++)
        while ((l = unlink_any(s, b)) != NULL)
            free(l);
}

void resync_free(struct resync *s)
{
    for (size_t i = 0; i < (size_t)s->spaces * IOVA_ORDERS * s->cpus; i++)
        free(s->history[i].at);
    free(s->history);
    free(s->space);
    free(s->live);
}
