/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_table - protection and translation of an RDMA NIC: the tables in memory, the caches,
 * the rules.
 */
#include <string.h>

#include "workloads/rdma_core.h"

/* ---- Caches ----------------------------------------------------------------------------
 */

static struct rnic_line *set_of(const struct rnic_cache *c, uint64_t tag)
{
    const uint64_t line = tag / RNIC_LINE_BYTES;
    return &c->line[((line ^ line >> 12) & (c->sets - 1)) * c->ways];
}

static struct rnic_line *find(struct rnic_cache *c, uint64_t tag)
{
    struct rnic_line *set = set_of(c, tag);
    for (uint32_t i = 0; i < c->ways; i++)
        if (set[i].state != RNIC_LINE_EMPTY && set[i].tag == tag)
            return &set[i];
    return NULL;
}

/* The one that was not used for the longest time. NULL: all of them are being filled, or
 * have just been and whoever waits for them has not had its turn. */
static struct rnic_line *victim(struct rdma_nic *n, struct rnic_cache *c, uint64_t tag)
{
    struct rnic_line *set = set_of(c, tag), *oldest = NULL;
    for (uint32_t i = 0; i < c->ways; i++) {
        if (set[i].state == RNIC_LINE_EMPTY)
            return &set[i];
        if (set[i].state == RNIC_LINE_VALID && set[i].filled_at == n->now)
            n->again_soon = true;
        else if (set[i].state == RNIC_LINE_VALID
                 && (oldest == NULL || set[i].used < oldest->used))
            oldest = &set[i];
    }
    return oldest;
}

/* The line at this DMA address; NULL: it is being read. */
static struct rnic_line *look_up(struct rdma_nic *n, struct rnic_cache *c, uint64_t tag,
                                 uint64_t *lookup, uint64_t *hit, uint64_t *missed)
{
    struct rnic_line *line = find(c, tag);
    if (line != NULL && line->state == RNIC_LINE_FILLING)
        return NULL;
    if (line != NULL) {
        (*lookup)++;
        (*hit)++;
        line->used = ++c->clock;
        return line;
    }
    line = victim(n, c, tag);
    if (line == NULL)
        return NULL;
    (*lookup)++;
    (*missed)++;
    c->held -= line->state == RNIC_LINE_VALID;
    line->tag    = tag;
    line->state  = RNIC_LINE_FILLING;
    line->doomed = false;
    line->is_mpt = c == &n->mpt;
    rnic_line_fifo_push(&n->fills, line);
    return NULL;
}

/* Reads lines that are wanted, writes entries that were changed. */
bool rnic_table_work(struct rdma_nic *n, sim_time_t now)
{
    bool progress = false;
    while (!rnic_table_ring_empty(&n->tables) && rnic_can_write(n)) {
        const struct rnic_table *t = rnic_table_ring_front(&n->tables);
        struct rnic_io *io         = rnic_io_take(n, RNIC_IO_TABLE);
        io->own.mpt                = t->entry;
        rnic_io_submit(n, io, t->iova, sizeof io->own.mpt, &io->own.mpt, now);
        rnic_table_ring_pop(&n->tables);
        progress = true;
    }
    /* No read of an entry passes the writes of it that still wait here. */
    while (rnic_table_ring_empty(&n->tables) && !rnic_line_fifo_empty(&n->fills)
           && rnic_can_read(n)) {
        struct rnic_line *line = rnic_line_fifo_pop(&n->fills);
        struct rnic_io *io     = rnic_io_take(n, line->is_mpt ? RNIC_IO_MPT : RNIC_IO_MTT);
        io->of.line            = line;
        rnic_io_submit(n, io, line->tag, RNIC_LINE_BYTES, line->data.bytes, now);
        progress = true;
    }
    return progress;
}

/* What cannot be read allows nothing. */
void rnic_fill_respond(struct rdma_nic *n, struct rnic_io *io, bool fault)
{
    struct rnic_line *line = io->of.line;
    struct rnic_cache *c   = line->is_mpt ? &n->mpt : &n->mtt;
    CHECK(line->state == RNIC_LINE_FILLING);
    if (fault)
        memset(line->data.bytes, 0, sizeof line->data.bytes);
    line->state = line->doomed ? RNIC_LINE_EMPTY : RNIC_LINE_VALID;
    c->held += line->state == RNIC_LINE_VALID;
    line->used      = ++c->clock;
    line->filled_at = n->now;
}

static void forget(struct rnic_cache *c, struct rnic_line *line)
{
    c->held -= line->state == RNIC_LINE_VALID;
    if (line->state == RNIC_LINE_FILLING)
        line->doomed = true;
    else
        line->state = RNIC_LINE_EMPTY;
}

static uint64_t mpt_tag(const struct rdma_nic *n, uint32_t key)
{
    const uint64_t index = key >> RDMA_KEY_VARIANT_BITS;
    return n->mpt_base + index * RDMA_MPT_BYTES;
}

void rnic_forget_key(struct rdma_nic *n, uint32_t key)
{
    struct rnic_line *line = find(&n->mpt, mpt_tag(n, key));
    if (line != NULL)
        forget(&n->mpt, line);
}

void rnic_forget_pages(struct rdma_nic *n, uint64_t iova, uint64_t bytes)
{
    struct rnic_cache *c = &n->mtt;
    const uint64_t first = align_down(iova, 6), last = iova + bytes;
    if (bytes == 0)
        return;
    if ((last - first) / RNIC_LINE_BYTES > (uint64_t)c->sets * c->ways) {
        for (uint32_t i = 0; i < c->sets * c->ways; i++)
            if (c->line[i].state != RNIC_LINE_EMPTY && c->line[i].tag >= first
                && c->line[i].tag < last)
                forget(c, &c->line[i]);
        return;
    }
    for (uint64_t tag = first; tag < last; tag += RNIC_LINE_BYTES) {
        struct rnic_line *line = find(c, tag);
        if (line != NULL)
            forget(c, line);
    }
}

/* ---- Protection ------------------------------------------------------------------------
 */

struct rdma_mpt *rnic_mpt(struct rdma_nic *n, uint32_t key)
{
    struct rnic_line *line = look_up(n, &n->mpt, mpt_tag(n, key), &n->stats.mpt_lookup,
                                     &n->stats.mpt_lookup_hit, &n->stats.mpt_lookup_missed);
    return line == NULL ? NULL : &line->data.mpt;
}

void rnic_mpt_changed(struct rdma_nic *n, const struct rdma_mpt *mpt)
{
    *rnic_table_ring_push(&n->tables) = (struct rnic_table){ mpt_tag(n, mpt->key), *mpt };
}

static bool key_exists(const struct rdma_nic *n, uint32_t key)
{
    return n->mpt_lg2 != 0 && key >> RDMA_KEY_VARIANT_BITS >> n->mpt_lg2 == 0;
}

static bool allows(const struct rdma_mpt *m, const struct rnic_access *a)
{
    const uint64_t offset = a->address - m->first;
    return m->state == RDMA_MPT_VALID && m->key == a->key && m->pd == a->pd
           && (a->rights & ~m->access) == 0 && a->address >= m->first && offset <= m->bytes
           && a->bytes <= m->bytes - offset;
}

/* A window lies in a region, whose pages are used; the region has to be there still. */
static enum rnic_found region_of(struct rdma_nic *n, const struct rnic_access *a,
                                 const struct rdma_mpt *window,
                                 const struct rdma_mpt **region)
{
    if (!a->remote || window->qp != a->qp || !key_exists(n, window->parent))
        return RNIC_DENIED;
    const struct rdma_mpt *m = rnic_mpt(n, window->parent);
    if (m == NULL)
        return RNIC_WAITS;
    const uint64_t offset = a->address - m->first;
    if (m->state != RDMA_MPT_VALID || m->kind != RDMA_MPT_REGION || m->key != window->parent
        || m->pd != a->pd || a->address < m->first || offset > m->bytes
        || a->bytes > m->bytes - offset)
        return RNIC_DENIED;
    *region = m;
    return RNIC_FOUND;
}

/* ---- Translation -----------------------------------------------------------------------
 */

static enum rnic_found page_of(struct rdma_nic *n, const struct rnic_access *a,
                               const struct rdma_mpt *m, uint64_t *iova, uint64_t *run)
{
    const uint64_t index = (a->address >> m->page_lg2) - (m->first >> m->page_lg2);
    const uint64_t at    = m->pages + index * RDMA_MTT_BYTES;
    const uint64_t tag   = align_down(at, 6);
    const bool writes =
        (a->rights & (RDMA_LOCAL_WRITE | RDMA_REMOTE_WRITE | RDMA_REMOTE_ATOMIC)) != 0;
    const struct rnic_line *line =
        look_up(n, &n->mtt, tag, &n->stats.mtt_lookup, &n->stats.mtt_lookup_hit,
                &n->stats.mtt_lookup_missed);
    if (line == NULL)
        return RNIC_WAITS;
    const uint64_t entry = line->data.mtt[(at - tag) / RDMA_MTT_BYTES];
    if (!(entry & RDMA_MTT_PRESENT) || (writes && !(entry & RDMA_MTT_WRITE)))
        return m->access & RDMA_ON_DEMAND ? RNIC_FAULTS : RNIC_DENIED;
    const uint64_t offset = a->address & mask_lg2(m->page_lg2);
    *iova                 = (entry & RDMA_MTT_ADDRESS) + offset;
    *run                  = mask_lg2(m->page_lg2) - offset + 1;
    return RNIC_FOUND;
}

enum rnic_found rnic_translate(struct rdma_nic *n, const struct rnic_access *a,
                               uint64_t *iova, uint64_t *run)
{
    if (a->key == RDMA_KEY_DMA && !a->remote) {
        *iova = a->address;
        *run  = UINT64_MAX - a->address;
        return RNIC_FOUND;
    }
    if (!key_exists(n, a->key) || a->key >> RDMA_KEY_VARIANT_BITS <= 1)
        return RNIC_DENIED;
    const struct rdma_mpt *m = rnic_mpt(n, a->key);
    if (m == NULL)
        return RNIC_WAITS;
    if (!allows(m, a))
        return RNIC_DENIED;
    if (m->kind == RDMA_MPT_WINDOW) {
        const enum rnic_found found = region_of(n, a, m, &m);
        if (found != RNIC_FOUND)
            return found;
    }
    if (a->bytes == 0) { /* Nothing to look up. */
        *iova = *run = 0;
        return RNIC_FOUND;
    }
    return page_of(n, a, m, iova, run);
}

/* ---- Pages that are not there
 * ------------------------------------------------------------ */

void rnic_page_fault(struct rdma_nic *n, const struct rnic_access *a)
{
    const uint64_t last = a->address + (a->bytes == 0 ? 0 : a->bytes - 1);
    const bool writes =
        (a->rights & (RDMA_LOCAL_WRITE | RDMA_REMOTE_WRITE | RDMA_REMOTE_ATOMIC)) != 0;
    for (uint32_t i = 0; i < n->faults.count; i++) {
        const struct rnic_fault *f = &n->faults.item[i];
        if (f->key == a->key && f->first <= a->address && f->last >= a->address)
            return;
    }
    if (n->faults.count == RDMA_FAULTS_MAX)
        return; /* Whoever wants it will try again. */
    n->faults.item[n->faults.count++] = (struct rnic_fault){ a->key, a->address, last };
    n->stats.page_fault++;
    const struct rdma_eqe entry = { .type    = RDMA_EVENT_PAGE_FAULT,
                                    .number  = a->qp,
                                    .key     = a->key,
                                    .write   = writes,
                                    .address = a->address,
                                    .bytes   = a->bytes };
    rnic_event(n, 0, &entry);
}

/* Those that overlap it stay: software has them in its queue still, and will answer each.
 */
void rnic_faults_over(struct rdma_nic *n, uint32_t key, uint64_t first, uint64_t last)
{
    for (uint32_t i = n->faults.count; i-- > 0;) {
        const struct rnic_fault *f = &n->faults.item[i];
        if (f->key == key && f->first == first && f->last == last)
            n->faults.item[i] = n->faults.item[--n->faults.count];
    }
    for (uint32_t i = 0; i < n->config.qps; i++) {
        struct rnic_qp *q = &n->qp[i]; /* One that has failed still answers. */
        if (q->stalls) {
            q->stalls = false;
            rnic_want_send(n, q);
        }
        if (q->answering_stalls) {
            q->answering_stalls = false;
            rnic_want_answer(n, q);
        }
    }
}
