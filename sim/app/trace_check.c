/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/trace_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/dmacalls.h"
#include "sim/linux/shape.h"

#define TEXT(name, text) text,
#define NAME(name, text) #name,
static const char *const way_text[MAPPED_WAYS_COUNT]      = { MAPPED_WAYS(TEXT) };
static const char *const reason_name[CHECK_REASONS_COUNT] = { CHECK_REASONS(NAME) };
static const char *const reason_text[CHECK_REASONS_COUNT] = { CHECK_REASONS(TEXT) };
static const char *const part_name[PARTS] = { "bytes", "choice", "number", "sizes",
                                              "unmaps" };

const char *mapped_way_text(enum mapped_way way)
{
    return way_text[way];
}

const char *check_reason_name(enum check_reason reason)
{
    return reason_name[reason];
}

const char *check_reason_text(enum check_reason reason)
{
    return reason_text[reason];
}

const char *check_part_name(enum check_part part)
{
    return part_name[part];
}

static const struct {
    uint64_t most;
    const char *name;
} size_class[CHECK_SIZES] = {
    { 0, "no data" },        { 4095, "below 4 KiB" }, { 4096, "4 KiB" },
    { 16384, "to 16 KiB" },  { 65536, "to 64 KiB" },  { 131072, "to 128 KiB" },
    { UINT64_MAX, "above" },
};

static unsigned size_of(uint64_t bytes)
{
    unsigned i = 0;
    while (bytes > size_class[i].most)
        i++;
    return i;
}

const char *check_size_name(unsigned size)
{
    return size_class[size].name;
}

bool trace_check_good(const struct trace_check *c)
{
    const uint64_t held = c->compared + c->call_reason[CHECK_unclaimed];
    return c->agree * 100 >= held * TRACE_CHECK_LEAST;
}

/* ---- What the kernel did
 * -------------------------------------------------------------------- */

/* One request of the recording on its way through the comparison. */
struct one {
    const struct observed *o;
    const struct observed_request *r;
    struct mapped recorded;
    enum check_reason reason;
    bool given, unended, probe_lost;
    bool unmaps_unseen; /* The recording has no unmaps of this kind at all. */
    bool asked;         /* For a range that was not to be had. */
    uint64_t sum;
    struct trace_segment segment[TRACE_SEGMENTS_MAX];
    uint32_t segments;
};

static const struct observed_call *first_call(const struct one *x)
{
    return x->r->first == OBSERVED_NONE ? NULL : &x->o->call[x->r->first];
}

static const struct observed_call *next_call(const struct one *x,
                                             const struct observed_call *c)
{
    return c->next == OBSERVED_NONE ? NULL : &x->o->call[c->next];
}

/* A range that was asked for and not to be had has no links. */
static bool was_refused(const struct observed_call *c)
{
    return c->kind == OBSERVED_range && c->pieces == 0;
}

static void add_way(struct mapped *m, enum mapped_way way)
{
    if (m->way == MAPPED_nothing)
        m->way = way;
    else if (way == MAPPED_single && (m->way == MAPPED_single || m->way == MAPPED_pieces))
        m->way = MAPPED_pieces;
    else
        m->way = MAPPED_several;
}

static void add_unmap(struct one *x, const struct observed_call *c)
{
    if (c->unmap_line != 0) {
        sizes_add(&x->recorded.unmap, c->unmap_bytes);
    } else if (c->cleared) {
        x->probe_lost = true;
        sizes_add(&x->recorded.unmap, c->bytes);
    }
}

static void describe(struct one *x)
{
    struct mapped *m = &x->recorded;
    bool unseen      = false;
    for (const struct observed_call *c = first_call(x); c != NULL; c = next_call(x, c)) {
        if (was_refused(c)) {
            x->asked = true;
            continue;
        }
        add_way(m, c->kind == OBSERVED_single  ? MAPPED_single
                   : c->kind == OBSERVED_range ? MAPPED_coalesced
                                               : MAPPED_list);
        const bool list                   = c->kind == OBSERVED_list;
        const uint32_t n                  = list ? c->outs : c->pieces;
        const struct observed_piece *part = list ? c->out : c->piece;
        m->elements += list ? c->elements : 0;
        for (uint32_t i = 0; i < n; i++) {
            sizes_add(&m->map, part[i].bytes);
            x->sum += part[i].bytes;
        }
        unseen |= !x->o->has_unmaps[c->kind];
        add_unmap(x, c);
    }
    x->unended       = !x->r->completed && m->unmap.count == 0;
    x->unmaps_unseen = unseen && m->unmap.count == 0;
}

/* ---- Its memory
 * ----------------------------------------------------------------------------- */

static bool put_segment(struct one *x, uint64_t pa, uint64_t bytes)
{
    if (x->segments == TRACE_SEGMENTS_MAX || bytes == 0 || bytes > TRACE_BYTES_MAX)
        return false;
    x->segment[x->segments++] = (struct trace_segment){ pa, (uint32_t)bytes };
    return true;
}

/* A run that the block layer counted as several segments: pages, or halves of one. */
static bool cut_run(struct one *x)
{
    const struct trace_segment run = x->segment[0];
    uint64_t left = run.bytes, pa = run.pa;
    const bool halves = (pa & ~PAGE_MASK) + left <= PAGE_SIZE;
    x->segments       = 0;
    while (left > 0) {
        uint64_t n = PAGE_SIZE - (pa & ~PAGE_MASK);
        if (halves && x->segments == 0)
            n = left > TRACE_SECTOR_BYTES ? left / 2 & ~(uint64_t)(TRACE_SECTOR_BYTES - 1)
                                          : left / 2;
        n = n < left ? n : left;
        if (!put_segment(x, pa, n))
            return false;
        pa += n;
        left -= n;
    }
    return true;
}

/* The lengths of the elements of a list are not recorded: any that explain its outputs. */
static bool list_segments(struct one *x, const struct observed_call *c)
{
    static uint32_t length[SHAPE_ELEMENTS_MAX];
    struct recording r = { 0 };
    struct row row     = { .elements = c->elements };
    bool good          = c->elements == c->pieces && c->pieces <= SHAPE_ELEMENTS_MAX;
    if (!good)
        return false;
    r.piece = calloc(c->pieces + c->outs, sizeof *r.piece);
    CHECK(r.piece != NULL);
    row.in  = (struct rec_list){ 0, c->pieces };
    row.out = (struct rec_list){ c->pieces, c->outs };
    for (uint32_t i = 0; i < c->pieces; i++)
        r.piece[i].addr = c->piece[i].addr;
    for (uint32_t i = 0; i < c->outs; i++)
        r.piece[c->pieces + i] = (struct rec_piece){ c->out[i].addr, c->out[i].bytes, 0 };
    good = shape_elements(&r, &row, UINT32_MAX, length);
    for (uint32_t i = 0; good && i < c->pieces; i++)
        good = put_segment(x, c->piece[i].addr, length[i]);
    free(r.piece);
    return good;
}

static bool within_a_page(const struct trace_segment *s)
{
    return (s->pa & ~PAGE_MASK) + s->bytes <= PAGE_SIZE;
}

/*
 * Runs of memory as the calls name them. One run of several pages may have been one segment
 * of the block layer's or several; a run within a page is one, unless the kernel itself
 * says otherwise. There the recorded choice says which.
 */
static void find_memory(struct one *x)
{
    for (const struct observed_call *c               = first_call(x);
         c != NULL && x->reason == CHECK_compared; c = next_call(x, c)) {
        if (c->kind == OBSERVED_list && !list_segments(x, c))
            x->reason = c->elements > c->pieces ? CHECK_cut : CHECK_shape;
        for (uint32_t i = 0; c->kind != OBSERVED_list && i < c->pieces; i++)
            if (!put_segment(x, c->piece[i].addr, c->piece[i].bytes))
                x->reason = CHECK_shape;
    }
    if (x->segments != 1 || x->reason != CHECK_compared)
        return;
    const bool one = x->recorded.way == MAPPED_single && !x->asked;
    x->given       = !one || !within_a_page(&x->segment[0]);
    if (!one && !cut_run(x))
        x->reason = CHECK_shape;
}

static bool addresses_fit(const struct one *x)
{
    for (uint32_t i = 0; i < x->segments; i++)
        if (x->segment[i].pa < PAGE_SIZE
            || x->segment[i].pa + x->segment[i].bytes > PLACEMENT_FIRST)
            return false;
    return true;
}

/* Whether the kernel is new enough for the IOVA API, and it was not recorded. */
static bool may_be_unseen(const struct one *x, bool new_kernel)
{
    return new_kernel && !x->asked && !x->o->has_links && x->recorded.way == MAPPED_nothing
           && trace_op_moves_data(x->r->op);
}

static enum check_reason reason_of(const struct one *x, bool new_kernel)
{
    const struct observed_request *r = x->r;
    const bool drive = r->device != OBSERVED_NONE && x->o->device[r->device].nvme;
    if (r->inferred)
        return !drive                               ? CHECK_other
               : r->bytes % TRACE_SECTOR_BYTES != 0 ? CHECK_part
                                                    : CHECK_compared;
    if (!r->known || r->admin)
        return CHECK_admin;
    if (!r->command && !drive) /* Or its command was not recorded. */
        return CHECK_other;
    return may_be_unseen(x, new_kernel) ? CHECK_unprobed : CHECK_compared;
}

static void look(struct one *x, const struct observed *o, uint32_t index, bool new_kernel)
{
    x->o        = o;
    x->r        = &o->request[index];
    x->reason   = CHECK_compared;
    x->sum      = 0;
    x->segments = 0;
    x->given = x->unended = x->probe_lost = x->asked = false;
    memset(&x->recorded, 0, sizeof x->recorded);
    describe(x);
    x->reason = reason_of(x, new_kernel);
    if (x->reason == CHECK_compared)
        find_memory(x);
    if (x->reason == CHECK_compared && !addresses_fit(x))
        x->reason = CHECK_address;
}

/* ---- The comparison
 * ------------------------------------------------------------------------- */

static bool same_sizes(const struct sizes *a, const struct sizes *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->bytes[i] != b->bytes[i])
            return false;
    return true;
}

static enum check_part compare(const struct one *x, const struct mapped *ours)
{
    const struct mapped *kernel = &x->recorded;
    const bool moves            = trace_op_moves_data(x->r->op);
    if (moves && x->sum != x->r->bytes)
        return PART_bytes;
    if (kernel->way != ours->way)
        return PART_choice;
    if (kernel->map.count != ours->map.count || kernel->elements != ours->elements)
        return PART_number;
    if (!same_sizes(&kernel->map, &ours->map))
        return PART_sizes;
    if (!x->unended && !x->unmaps_unseen && !same_sizes(&kernel->unmap, &ours->unmap))
        return PART_unmaps;
    return PARTS;
}

/* "4096, 30 x 8192, 512" */
static size_t sizes_text(char *out, size_t bytes, const struct sizes *s)
{
    size_t used = 0;
    for (uint32_t i = 0, n; i < s->count && used + 32 < bytes; i += n) {
        for (n = 1; i + n < s->count && s->bytes[i + n] == s->bytes[i];)
            n++;
        used += (size_t)snprintf(out + used, bytes - used, "%s", i == 0 ? "" : ", ");
        if (n > 1)
            used += (size_t)snprintf(out + used, bytes - used, "%" PRIu32 " x ", n);
        used += (size_t)snprintf(out + used, bytes - used, "%" PRIu64, s->bytes[i]);
    }
    return used;
}

static void mapped_text(char *out, size_t bytes, const struct mapped *m)
{
    size_t used = (size_t)snprintf(out, bytes, "%s", mapped_way_text(m->way));
    if (m->way == MAPPED_nothing)
        return;
    if (m->way == MAPPED_list)
        used += (size_t)snprintf(out + used, bytes - used, " of %" PRIu32, m->elements);
    used += (size_t)snprintf(out + used, bytes - used, ": ");
    used += sizes_text(out + used, bytes / 2 - used, &m->map);
    used += (size_t)snprintf(out + used, bytes - used, "; unmapped ");
    if (m->unmap.count == 0)
        snprintf(out + used, bytes - used, "never");
    else
        sizes_text(out + used, bytes - used, &m->unmap);
}

static void keep_difference(struct trace_check *c, const struct one *x,
                            const struct mapped *ours, enum check_part part)
{
    if (c->shown == c->show)
        return;
    const struct observed_call *call = first_call(x);
    struct check_difference *d       = &c->difference[c->shown++];
    d->line                          = call == NULL ? x->r->line : call->line;
    d->part                          = part;
    d->op                            = x->r->op;
    d->bytes                         = x->r->bytes;
    mapped_text(d->recorded, sizeof d->recorded, &x->recorded);
    if (part == PART_bytes)
        snprintf(d->ours, sizeof d->ours,
                 "%" PRIu32 " bytes to map, of which %" PRIu64 " are recorded", x->r->bytes,
                 x->sum);
    else
        mapped_text(d->ours, sizeof d->ours, ours);
}

static struct check_row *row_for(struct trace_check *c, const struct one *x)
{
    const struct check_row key = { .op    = x->r->op,
                                   .size  = size_of(x->r->bytes),
                                   .way   = x->recorded.way,
                                   .given = x->given };
    for (unsigned i = 0; i < c->rows; i++) {
        struct check_row *row = &c->row[i];
        if (row->op == key.op && row->size == key.size && row->way == key.way
            && row->given == key.given)
            return row;
    }
    CHECK(c->rows < CHECK_ROWS_MAX);
    c->row[c->rows] = key;
    return &c->row[c->rows++];
}

static void judge(struct trace_check *c, const struct one *x, const struct mapped *ours)
{
    const enum check_part part = compare(x, ours);
    struct check_row *row      = row_for(c, x);
    row->requests++;
    row->agree += part == PARTS;
    c->compared++;
    c->agree += part == PARTS;
    c->given += x->given;
    c->no_end += x->unended;
    c->no_unmaps += x->unmaps_unseen && !x->unended && ours->unmap.count > 0;
    c->probe_lost += x->probe_lost;
    if (part != PARTS)
        keep_difference(c, x, ours, part);
}

/* ---- Calls
 * ----------------------------------------------------------------------------------- */

static enum check_reason reason_of_call(const struct observed *o,
                                        const struct observed_call *c,
                                        const enum check_reason *of_request)
{
    if (c->kind == OBSERVED_coherent)
        return CHECK_coherent;
    if (c->request != OBSERVED_NONE)
        return was_refused(c) ? CHECK_refused : of_request[c->request];
    if (was_refused(c))
        return CHECK_refused;
    if (c->device != OBSERVED_NONE && !o->device[c->device].nvme)
        return CHECK_other;
    return c->begun ? CHECK_begun : CHECK_unclaimed;
}

/* Queues are of other sizes, but for a completion queue of 256 entries. */
static bool is_pool_page(const struct observed *o, const struct observed_call *c)
{
    return c->kind == OBSERVED_coherent && c->bytes == PAGE_SIZE
           && c->device != OBSERVED_NONE && o->device[c->device].nvme;
}

static void count_calls(struct trace_check *c, const struct observed *o,
                        const enum check_reason *of_request)
{
    c->calls = o->calls;
    for (uint32_t i = 0; i < o->calls; i++) {
        const enum check_reason reason = reason_of_call(o, &o->call[i], of_request);
        c->call_reason[reason]++;
        c->pool_pages += is_pool_page(o, &o->call[i]);
        if (reason == CHECK_unclaimed && c->shown < c->show) {
            struct check_difference *d = &c->difference[c->shown++];
            *d = (struct check_difference){ .line = o->call[i].line, .part = PART_number };
            snprintf(d->recorded, sizeof d->recorded,
                     "%" PRIu64 " bytes mapped for no request", o->call[i].bytes);
            snprintf(d->ours, sizeof d->ours, "nothing is mapped without one");
        }
    }
}

/* ---- Settings
 * -------------------------------------------------------------------------------- */

/* Whether one of the path's words, from the last one on, says so. */
static bool path_says(const char *path, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = strstr(path, word); at != NULL; at = strstr(at + 1, word))
        if ((at == path || strchr("/-._", at[-1]) != NULL)
            && (at[n] == '\0' || strchr("/-._", at[n]) != NULL))
            return true;
    return false;
}

/* The file's name before its folder's. */
static const char *said_by(const char *path, const char *const (*words)[2])
{
    const char *slash = strrchr(path, '/');
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; words[i][0] != NULL; i++)
            if (path_says(pass == 0 && slash != NULL ? slash : path, words[i][0]))
                return words[i][1];
    return NULL;
}

const char *check_source_name(enum check_source source)
{
    static const char *const all[] = { "user", "name", "recording", "assumed" };
    return all[source];
}

/* Whether the NVMe driver maps lists, as it did before there were ranges. */
static bool maps_lists(const struct observed *o)
{
    for (uint32_t i = 0; i < o->calls; i++) {
        const struct observed_call *c = &o->call[i];
        const bool drive = c->device != OBSERVED_NONE && o->device[c->device].nvme;
        if (c->kind == OBSERVED_list && c->request != OBSERVED_NONE
            && (drive || o->request[c->request].command))
            return true;
    }
    return false;
}

/* By the calls that only one of them makes; NULL: there are none. */
static const char *seen_release(const struct observed *o)
{
    if (o->new_maps || o->has_links)
        return "7.3";
    return o->old_maps || maps_lists(o) ? "6.12" : NULL;
}

static void find_release(struct trace_check *c, const char *path, const struct observed *o,
                         const char *chosen)
{
    static const char *const words[][2] = { { "k612", "6.12" }, { "k618", "6.18" },
                                            { "k73", "7.3" },   { "6.12", "6.12" },
                                            { "6.18", "6.18" }, { "7.3", "7.3" },
                                            { NULL, NULL } };
    const char *const named             = said_by(path, words);
    const char *const seen              = seen_release(o);
    c->release                          = chosen != NULL  ? chosen
                                          : named != NULL ? named
                                          : seen != NULL  ? seen
                                                          : "7.3";
    c->release_from                     = chosen != NULL  ? CHECK_FROM_user
                                          : named != NULL ? CHECK_FROM_name
                                          : seen != NULL  ? CHECK_FROM_recording
                                                          : CHECK_FROM_assumed;
}

static const char *const modes[][2] = { { "strict", "strict" },
                                        { "lazy", "lazy" },
                                        { "passthrough", "passthrough" },
                                        { NULL, NULL } };

bool trace_check_has_mode(const char *name)
{
    for (unsigned i = 0; modes[i][0] != NULL; i++)
        if (strcmp(modes[i][0], name) == 0)
            return true;
    return false;
}

/* What can be seen in the recording, its name left aside; NULL: it could be several. */
static const char *seen_policy(enum observed_mode mode, const char *named)
{
    const bool names_translation = named != NULL && strcmp(named, "passthrough") != 0;
    switch (mode) {
    case OBSERVED_PASSTHROUGH:
        return "passthrough";
    case OBSERVED_STRICT:
        return "strict";
    case OBSERVED_LAZY:
        return "lazy";
    case OBSERVED_TRANSLATED:
        return names_translation ? named : NULL;
    case OBSERVED_UNKNOWN:
        return named;
    }
    UNREACHABLE("a mode is one of these");
}

/* What is seen in the recording is more than what somebody called it. */
static void find_policy(struct trace_check *c, const char *path, const struct observed *o,
                        const char *chosen)
{
    const enum observed_mode mode = observed_mode(o);
    c->named                      = said_by(path, modes);
    c->translated                 = mode >= OBSERVED_TRANSLATED;
    const char *const seen        = seen_policy(mode, c->named);
    c->policy      = chosen != NULL ? chosen : seen != NULL ? seen : "strict";
    c->policy_from = chosen != NULL ? CHECK_FROM_user
                     : seen == NULL ? CHECK_FROM_assumed
                     : c->named != NULL && strcmp(seen, c->named) == 0
                         ? CHECK_FROM_name
                         : CHECK_FROM_recording;
}

/* In one line; a name that says something else is told of. */
static void put_settings(struct trace_check *c, enum blk_api api)
{
    static const char *const how[] = { "", "", " as recorded", " assumed" };
    static const char *const by[]  = { "", "", " by its calls", " assumed" };
    const bool other               = c->policy_from != CHECK_FROM_user && c->named != NULL
                       && strcmp(c->named, c->policy) != 0;
    snprintf(c->settings, sizeof c->settings, "Linux %s%s, %s%s%s%s, --api %s", c->release,
             by[c->release_from], c->policy, how[c->policy_from],
             other ? ", though named " : "", other ? c->named : "", blk_api_name[api]);
}

/* ---- One recording
 * ----------------------------------------------------------------------------- */

/* Everything of a run. */
struct run {
    struct trace_check *c;
    struct observed o;
    struct one one;
    enum check_reason *reason; /* Of each request. */
    struct check_feed *feed;
    uint32_t feeds;
    bool new_kernel;
};

/* Of requests without their recording, the device tells the drives apart. */
static uint32_t drive_of(const struct observed_request *r)
{
    return r->inferred ? r->device : r->disk;
}

static void feed_request(struct run *u, uint32_t index)
{
    const struct one *x  = &u->one;
    const bool moves     = trace_op_moves_data(x->r->op);
    struct check_feed *f = &u->feed[u->feeds++];
    *f                   = (struct check_feed){ .request  = index,
                                                .drive    = drive_of(x->r),
                                                .op       = x->r->op,
                                                .lba      = x->r->lba,
                                                .bytes    = x->r->bytes,
                                                .cpu      = x->r->cpu,
                                                .depth    = x->r->depth,
                                                .segments = moves ? x->segments : 0 };
    f->segment           = malloc((x->segments + 1) * sizeof *f->segment);
    CHECK(f->segment != NULL);
    memcpy(f->segment, x->segment, x->segments * sizeof *f->segment);
}

/* Requests whose recorded memory is not all of it disagree without being replayed. */
static bool can_be_fed(const struct one *x)
{
    return x->reason == CHECK_compared
           && (!trace_op_moves_data(x->r->op)
               || (x->sum == x->r->bytes && x->segments > 0));
}

static void feed_all(struct run *u)
{
    u->reason = calloc(u->o.requests + 1, sizeof *u->reason);
    u->feed   = calloc(u->o.requests + 1, sizeof *u->feed);
    CHECK(u->reason != NULL && u->feed != NULL);
    for (uint32_t i = 0; i < u->o.requests; i++) {
        look(&u->one, &u->o, i, u->new_kernel);
        u->reason[i] = u->one.reason;
        u->c->requests++;
        u->c->reason[u->one.reason]++;
        if (can_be_fed(&u->one))
            feed_request(u, i);
        mapped_free(&u->one.recorded);
    }
}

static void judge_all(struct run *u)
{
    static const struct mapped nothing = { 0 };
    for (uint32_t i = 0, f = 0; i < u->o.requests; i++) {
        const struct mapped *ours = &nothing;
        if (f < u->feeds && u->feed[f].request == i)
            ours = &u->feed[f++].ours;
        if (u->reason[i] != CHECK_compared)
            continue;
        look(&u->one, &u->o, i, u->new_kernel);
        judge(u->c, &u->one, ours);
        mapped_free(&u->one.recorded);
    }
    count_calls(u->c, &u->o, u->reason);
}

static void run_free(struct run *u)
{
    for (uint32_t i = 0; i < u->feeds; i++) {
        mapped_free(&u->feed[i].ours);
        free(u->feed[i].segment);
    }
    free(u->feed);
    free(u->reason);
    observed_free(&u->o);
    free(u);
}

static bool replay(struct run *u, struct config *config, struct error *error)
{
    const unsigned most             = ENGINE_CPUS_MAX;
    const unsigned cpus             = u->o.cpus < most ? u->o.cpus : most;
    const enum blk_api api          = u->new_kernel ? BLK_iova : BLK_sg;
    config->kernel.release          = u->c->release;
    config->nvme.transfer_pages_lg2 = 11; /* The recorded drive's limit is not known. */
    put_settings(u->c, api);
    for (uint32_t drive = 0; drive < u->o.disks + u->o.devices; drive++) {
        struct check_replay r = { .feed   = u->feed,
                                  .feeds  = u->feeds,
                                  .drive  = drive,
                                  .cpus   = cpus,
                                  .api    = api,
                                  .policy = u->c->policy };
        if (!trace_check_replay(&r, config, error))
            return false;
        u->c->our_pool_pages += r.pool_pages;
    }
    return true;
}

bool trace_check_run(struct trace_check *check, const char *path, struct config *config,
                     const struct check_chosen *chosen, struct error *error)
{
    struct run *u       = calloc(1, sizeof *u);
    const unsigned show = check->show;
    CHECK(u != NULL);
    memset(check, 0, sizeof *check);
    check->show    = show;
    u->c           = check;
    bool good      = dmacalls_is(path) ? dmacalls_read(&u->o, path, error)
                                       : observed_read(&u->o, path, error);
    check->foreign = u->o.foreign;
    if (good) {
        find_release(check, path, &u->o, chosen != NULL ? chosen->release : NULL);
        find_policy(check, path, &u->o, chosen != NULL ? chosen->policy : NULL);
        u->new_kernel = strcmp(check->release, "6.12") != 0;
        feed_all(u);
        good = replay(u, config, error) || error_in(error, "%s", path);
        if (good)
            judge_all(u);
    }
    run_free(u);
    return good;
}
