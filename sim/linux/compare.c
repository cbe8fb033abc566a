/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const aspect_name[ASPECTS] = {
    "address", "path",      "size",  "ranges",    "tables",
    "map inv", "unmap inv", "freed", "flush inv", "drain order",
};

const char *check_aspect_name(enum check_aspect aspect)
{
    return aspect_name[aspect];
}

/* ---- One aspect
 * -------------------------------------------------------------------------------- */

struct texts {
    char recorded[CHECK_TEXT], ours[CHECK_TEXT];
};

static void show(struct compare *c, const struct row *row, enum check_aspect aspect,
                 const struct texts *t)
{
    struct check_result *r = c->result;
    c->differs             = true;
    if (r->shown >= r->show || r->shown >= CHECK_SHOWN_MAX)
        return;
    struct check_difference *d = &r->difference[r->shown++];
    *d                         = (struct check_difference){ .line   = row->line,
                                                            .aspect = aspect,
                                                            .kind   = (enum row_kind)row->kind };
    snprintf(d->recorded, sizeof d->recorded, "%s", t->recorded);
    snprintf(d->ours, sizeof d->ours, "%s", t->ours);
}

static void judge(struct compare *c, const struct row *row, enum check_aspect aspect,
                  bool agrees, const struct texts *t)
{
    c->result->aspect[aspect].compared++;
    c->result->aspect[aspect].agreed += agrees;
    if (!agrees)
        show(c, row, aspect, t);
}

static void judge_numbers(struct compare *c, const struct row *row,
                          enum check_aspect aspect, uint64_t recorded, uint64_t ours)
{
    struct texts t;
    const char *format = aspect == ASPECT_address ? "%" PRIx64 : "%" PRIu64;
    snprintf(t.recorded, sizeof t.recorded, format, recorded);
    snprintf(t.ours, sizeof t.ours, format, ours);
    judge(c, row, aspect, recorded == ours, &t);
}

static bool same_inv(const struct rec_inv *a, const struct rec_inv *b)
{
    return a->kind == b->kind && a->id == b->id && a->pasid == b->pasid
           && a->addr == b->addr && a->am == b->am && a->hint == b->hint;
}

static void judge_inv(struct compare *c, const struct row *row, enum check_aspect aspect)
{
    const struct machine *m    = &c->drive->machine;
    const struct rec_inv *want = &c->drive->calls->inv[row->inv.first];
    bool agrees                = m->logged == row->inv.count;
    struct texts t;
    for (uint32_t i = 0; agrees && i < row->inv.count; i++)
        agrees = same_inv(&want[i], &m->log[i]);
    if (!agrees) {
        rec_inv_text(want, row->inv.count, t.recorded, sizeof t.recorded);
        rec_inv_text(m->log, m->logged, t.ours, sizeof t.ours);
    }
    judge(c, row, aspect, agrees, &t);
}

static void judge_freed(struct compare *c, const struct row *row, enum check_aspect aspect)
{
    const struct resync *s       = &c->drive->resync;
    const struct rec_range *want = &c->drive->calls->range[row->freed.first];
    bool agrees                  = s->releases == row->freed.count;
    struct texts t;
    for (uint32_t i = 0; agrees && i < row->freed.count; i++)
        agrees = want[i].pfn == s->released[i].pfn && want[i].pages == s->released[i].pages;
    if (!agrees) {
        rec_range_text(want, row->freed.count, t.recorded, sizeof t.recorded);
        rec_range_text(s->released, s->releases, t.ours, sizeof t.ours);
    }
    judge(c, row, aspect, agrees, &t);
}

/* ---- Maps
 * ----------------------------------------------------------------------------------- */

static bool excuse(struct compare *c, enum check_aspect aspect)
{
    if (c->drive->resync.rule == RULE_none)
        return false;
    c->result->aspect[aspect].compared++;
    c->result->aspect[aspect].excused++;
    c->excused = true;
    return true;
}

static void judge_path(struct compare *c, const struct row *row)
{
    const struct resync *s = &c->drive->resync;
    if (row->path == 0 || row->pfn == 0) /* A search that found nothing has none. */
        return;
    const struct texts t = { { row->path }, { s->got_path == 0 ? '-' : s->got_path } };
    if (!excuse(c, ASPECT_path))
        judge(c, row, ASPECT_path, row->path == s->got_path, &t);
}

static void out_text(const struct compare *c, const struct row *row, struct texts *t)
{
    size_t used = 0;
    for (uint32_t i = 0; i < row->out.count && used + 40 < sizeof t->recorded; i++) {
        const struct rec_piece *p = &c->drive->calls->piece[row->out.first + i];
        used += (size_t)snprintf(t->recorded + used, sizeof t->recorded - used,
                                 "%" PRIx64 "+%" PRIx64 " ", p->addr, p->bytes);
    }
    used = 0;
    snprintf(t->ours, sizeof t->ours, "none");
    for (uint32_t i = 0; i < c->drive->outs && used + 40 < sizeof t->ours; i++)
        used += (size_t)snprintf(t->ours + used, sizeof t->ours - used,
                                 "%" PRIx64 "+%" PRIx64 " ", c->drive->out[i].addr,
                                 c->drive->out[i].bytes);
}

static void judge_list(struct compare *c, const struct row *row)
{
    const struct rec_piece *want = &c->drive->calls->piece[row->out.first];
    bool agrees                  = c->drive->outs == row->out.count;
    struct texts t;
    for (uint32_t i = 0; agrees && i < row->out.count; i++)
        agrees = want[i].addr == c->drive->out[i].addr
                 && want[i].bytes == c->drive->out[i].bytes;
    if (!agrees)
        out_text(c, row, &t);
    judge(c, row, ASPECT_address, agrees, &t);
}

/* The allocator's answer was another: the call went on with the recorded one. */
static void judge_forced(struct compare *c, const struct row *row)
{
    judge_numbers(c, row, ASPECT_address, row->iova,
                  c->drive->resync.got_pfn << PAGE_SHIFT);
}

static void after_map(struct compare *c, const struct row *row)
{
    const struct kernel_stats *now = &c->drive->machine.kernel.stats;
    if (!excuse(c, ASPECT_address)) {
        if (c->drive->resync.forced)
            judge_forced(c, row);
        else if (row->kind == ROW_map_sg)
            judge_list(c, row);
        else
            judge_numbers(c, row, ASPECT_address, row->iova, c->drive->addr);
    }
    judge_path(c, row);
    if (row->path != 0)
        judge_numbers(c, row, ASPECT_size, row->pages, c->drive->resync.got_granules);
    if (row->nested) { /* Its work stands in the row that it interrupted. */
        c->excused = true;
        c->result->credited++;
        return;
    }
    if (row->has_segments)
        judge_numbers(c, row, ASPECT_segments, row->segments,
                      now->range_mapped - c->before.range_mapped);
    if (row->has_segments && c->drive->machine.kernel.release >= LINUX_6_18)
        judge_numbers(c, row, ASPECT_tables, row->tables,
                      now->table_allocated - c->before.table_allocated);
    if (!row->inv_lost)
        judge_inv(c, row, ASPECT_map_inv);
}

/* ---- Rows
 * ----------------------------------------------------------------------------------- */

void compare_before(struct compare *c, const struct row *row)
{
    const bool maps = row_kind_maps(row->kind);
    resync_begin(&c->drive->resync, maps, maps ? row->iova >> PAGE_SHIFT : 0, row->path);
    machine_log_clear(&c->drive->machine);
    c->before  = c->drive->machine.kernel.stats;
    c->differs = c->excused = false;
    c->place                = RULE_none;
}

void compare_flush(struct compare *c, const struct row *row)
{
    judge_inv(c, row, ASPECT_flush);
    c->result->rows_differing += c->differs;
}

static bool is_made_up(const struct compare *c, const struct row *row)
{
    return c->drive->made_up[row - c->drive->calls->row];
}

static void count_row(struct compare *c)
{
    struct check_result *r = c->result;
    if (c->drive->resync.rule == RULE_none)
        c->drive->resync.rule = c->place;
    c->excused |= c->drive->resync.rule != RULE_none;
    r->rows++;
    r->rule[c->drive->resync.rule]++;
    if (c->differs)
        r->rows_differing++;
    else if (c->excused)
        r->rows_excused++;
    else
        r->rows_agreed++;
}

void compare_after(struct compare *c, const struct row *row)
{
    const bool bulk = row->kind == ROW_timer || row->flush_all;
    if (row_kind_maps(row->kind)) {
        after_map(c, row);
    } else {
        if (!c->drive->in_halves)
            judge_inv(c, row, bulk ? ASPECT_flush : ASPECT_unmap_inv);
        judge_freed(c, row, bulk ? ASPECT_drain : ASPECT_freed);
        if (c->alone && is_made_up(c, row))
            c->drive->resync.rule = RULE_unseen; /* Not all of it was held against lines. */
    }
    count_row(c);
}

void compare_allocator(struct compare *c, const struct row *row)
{
    c->differs = c->excused = false;
    if (row->kind == ROW_allocate) {
        if (!excuse(c, ASPECT_address))
            judge_numbers(c, row, ASPECT_address, row->pfn,
                          c->drive->resync.forced ? c->drive->resync.got_pfn
                                                  : c->drive->addr);
        judge_path(c, row);
    }
    count_row(c);
}

void compare_unknown(struct compare *c, const struct row *row)
{
    const struct texts t = { "a call of an unknown device", "not made" };
    c->differs = c->excused = false;
    c->place                = RULE_none;
    resync_begin(&c->drive->resync, false, 0, 0);
    judge(c, row, row->kind == ROW_timer ? ASPECT_flush : ASPECT_unmap_inv, false, &t);
    count_row(c);
}
