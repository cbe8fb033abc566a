/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_list - where a command's data is: PRP entries (4.3) and SGL descriptors (4.4); and
 * where its metadata is: in one piece, or as SGL descriptors say (MPTR, 4.2).
 *
 * Lists are read in pieces of list_read_bytes. The one item or two that a command itself
 * holds are treated as a list that is already in the buffer.
 */
#include <string.h>

#include "workloads/nvme_core.h"

enum { SGL_BYTES = sizeof(struct nvme_sgl), PAGE_MASK = NVME_PAGE_BYTES - 1 };

static uint32_t held(const struct nvme_list *l)
{
    return l->end - l->start;
}

static void put(struct nvme_list *l, const void *item, uint32_t bytes)
{
    memcpy(l->buffer, item, bytes);
    l->start = 0;
    l->end   = bytes;
}

static void set_extent(struct nvme_transfer *t, uint64_t iova, uint32_t bytes)
{
    CHECK(bytes > 0);
    CHECK(bytes <= t->bytes - t->mapped);
    t->extent_iova  = iova;
    t->extent_bytes = bytes;
    t->mapped += bytes;
}

/* ---- PRP ----------------------------------------------------------------------------- */

static uint64_t prp_take(struct nvme_list *l)
{
    uint64_t entry;
    CHECK(held(l) >= NVME_PRP_BYTES);
    memcpy(&entry, l->buffer + l->start, sizeof entry);
    l->start += NVME_PRP_BYTES;
    return entry;
}

/* A page's last slot points to the next page of the list only if the entries that are still
 * needed do not fit otherwise. */
static void prp_open(struct nvme_list *l, uint64_t iova)
{
    const uint32_t slots =
        (NVME_PAGE_BYTES - (uint32_t)(iova & PAGE_MASK)) / NVME_PRP_BYTES;
    l->chained    = l->entries_left > slots;
    l->items_left = nvme_min(l->entries_left, slots);
    l->iova       = iova;
    l->bytes_left = (uint64_t)l->items_left * NVME_PRP_BYTES;
    l->start = l->end = 0;
}

static uint16_t prp_follow(struct nvme_list *l)
{
    if (!l->chained || l->items_left != 1 || held(l) < NVME_PRP_BYTES)
        return NVME_SUCCESS;
    const uint64_t next = prp_take(l);
    if (next & PAGE_MASK)
        return NVME_PRP_OFFSET_INVALID;
    prp_open(l, next);
    return NVME_SUCCESS;
}

static uint16_t prp_start(struct nvme_transfer *t)
{
    const union nvme_data_pointer *data = &t->command->sqe.data;
    const uint64_t first = data->prp[0], second = data->prp[1];
    if (first & 3)
        return NVME_PRP_OFFSET_INVALID;
    set_extent(t, first,
               nvme_min(t->bytes, NVME_PAGE_BYTES - (uint32_t)(first & PAGE_MASK)));
    const uint32_t rest = t->bytes - t->mapped;
    if (rest == 0)
        return NVME_SUCCESS;
    t->list.entries_left = (rest + PAGE_MASK) >> NVME_PAGE_LG2;
    if (rest > NVME_PAGE_BYTES) { /* The second entry points to a list. */
        prp_open(&t->list, second);
        return second & (NVME_PRP_BYTES - 1) ? NVME_PRP_OFFSET_INVALID : NVME_SUCCESS;
    }
    t->list.items_left = 1;
    put(&t->list, &second, sizeof second);
    return second & PAGE_MASK ? NVME_PRP_OFFSET_INVALID : NVME_SUCCESS;
}

static uint16_t prp_next(struct nvme_transfer *t)
{
    struct nvme_list *l   = &t->list;
    const uint16_t status = prp_follow(l);
    if (status != NVME_SUCCESS || held(l) < NVME_PRP_BYTES)
        return status;
    const uint64_t page = prp_take(l);
    if (page & PAGE_MASK)
        return NVME_PRP_OFFSET_INVALID;
    CHECK(l->items_left > 0);
    CHECK(l->entries_left > 0);
    l->items_left--;
    l->entries_left--;
    set_extent(t, page, nvme_min(t->bytes - t->mapped, NVME_PAGE_BYTES));
    return prp_follow(l);
}

/* ---- SGL ----------------------------------------------------------------------------- */

static struct nvme_sgl sgl_peek(const struct nvme_list *l)
{
    struct nvme_sgl d;
    CHECK(held(l) >= SGL_BYTES);
    memcpy(&d, l->buffer + l->start, sizeof d);
    return d;
}

static void sgl_drop(struct nvme_list *l)
{
    CHECK(l->items_left > 0);
    l->items_left--;
    l->descriptors++;
    l->start += SGL_BYTES;
}

/* Whether a descriptor may stand where it stands. */
static uint16_t sgl_check(const struct nvme_list *l, const struct nvme_sgl *d)
{
    if (d->type == NVME_SGL_DATA) /* All but the last segment must end in a pointer. */
        return l->chained && !l->lone && l->items_left == 1 ? NVME_SGL_SEGMENT_INVALID
                                                            : NVME_SUCCESS;
    if (d->type != NVME_SGL_SEGMENT && d->type != NVME_SGL_LAST_SEGMENT)
        return NVME_SGL_TYPE_INVALID;
    if (!l->chained || d->bytes == 0 || d->bytes % SGL_BYTES != 0 || d->iova % 8 != 0)
        return NVME_SGL_SEGMENT_INVALID;
    return l->items_left == 1 ? NVME_SUCCESS : NVME_SGL_COUNT_INVALID;
}

static void sgl_open(struct nvme_list *l, const struct nvme_sgl *d)
{
    l->chained    = d->type == NVME_SGL_SEGMENT;
    l->lone       = false;
    l->items_left = d->bytes / SGL_BYTES;
    l->bytes_left = d->bytes;
    l->iova       = d->iova;
    l->start = l->end = 0;
}

/* Passes over pointers and empty blocks up to the next block of data, if it is here. */
static uint16_t sgl_follow(const struct nvme_ctrl *n, struct nvme_list *l)
{
    while (held(l) >= SGL_BYTES) {
        const struct nvme_sgl d = sgl_peek(l);
        uint16_t status         = sgl_check(l, &d);
        if (l->descriptors == n->config.descriptors_max)
            status = NVME_SGL_COUNT_INVALID;
        if (status != NVME_SUCCESS)
            return status;
        if (d.type == NVME_SGL_DATA && d.bytes != 0)
            return NVME_SUCCESS;
        sgl_drop(l);
        if (d.type != NVME_SGL_DATA)
            sgl_open(l, &d);
    }
    return NVME_SUCCESS;
}

static uint16_t wrong_length(const struct nvme_transfer *t)
{
    return t == &t->command->metadata ? NVME_METADATA_SGL_LENGTH_INVALID
                                      : NVME_SGL_LENGTH_INVALID;
}

/* The blocks must describe neither less nor more than the command moves: the controller
 * does not claim to accept longer ones in SGLS. */
static uint16_t sgl_next(const struct nvme_ctrl *n, struct nvme_transfer *t)
{
    struct nvme_list *l = &t->list;
    uint16_t status     = sgl_follow(n, l);
    if (status != NVME_SUCCESS)
        return status;
    if (held(l) < SGL_BYTES)
        return l->items_left == 0 ? wrong_length(t) : NVME_SUCCESS;
    const struct nvme_sgl d = sgl_peek(l);
    if (d.bytes > t->bytes - t->mapped)
        return wrong_length(t);
    sgl_drop(l);
    set_extent(t, d.iova, d.bytes);
    if (t->mapped < t->bytes)
        return sgl_follow(n, l);
    return l->items_left > 0 ? wrong_length(t) : NVME_SUCCESS;
}

/* The command's descriptor is the last segment if it is data, else a segment of one. */
static uint16_t sgl_start(const struct nvme_ctrl *n, struct nvme_transfer *t)
{
    t->list.items_left = 1;
    t->list.chained    = t->command->sqe.data.sgl.type != NVME_SGL_DATA;
    put(&t->list, &t->command->sqe.data.sgl, sizeof t->command->sqe.data.sgl);
    return sgl_next(n, t);
}

/* ---- Metadata ------------------------------------------------------------------------ */

/* One piece of memory, of multiples of 4 bytes where PRPs describe the data; or a segment
 * of exactly one descriptor, which describes all or points to those that do. */
static uint16_t metadata_start(struct nvme_transfer *t)
{
    const struct nvme_sqe *sqe = &t->command->sqe;
    if (t->sgl) {
        const struct nvme_sgl segment = { .iova  = sqe->metadata,
                                          .bytes = SGL_BYTES,
                                          .type  = NVME_SGL_SEGMENT };
        sgl_open(&t->list, &segment);
        t->list.lone = true;
        return sqe->metadata % 8 != 0 ? NVME_INVALID_FIELD : NVME_SUCCESS;
    }
    if ((sqe->flags & NVME_FLAGS_PSDT) == 0 && sqe->metadata % 4 != 0)
        return NVME_INVALID_FIELD;
    set_extent(t, sqe->metadata, t->bytes);
    return NVME_SUCCESS;
}

/* ---- Either -------------------------------------------------------------------------- */

uint16_t nvme_list_start(const struct nvme_ctrl *n, struct nvme_transfer *t)
{
    CHECK(t->mapped == 0);
    CHECK(t->bytes > 0);
    if (t == &t->command->metadata)
        return metadata_start(t);
    return t->sgl ? sgl_start(n, t) : prp_start(t);
}

uint16_t nvme_list_advance(const struct nvme_ctrl *n, struct nvme_transfer *t)
{
    if (t->mapped == t->bytes)
        return NVME_SUCCESS;
    if (t->extent_bytes == 0)
        return t->sgl ? sgl_next(n, t) : prp_next(t);
    return t->sgl ? sgl_follow(n, &t->list) : prp_follow(&t->list);
}

bool nvme_list_hungry(const struct nvme_transfer *t)
{
    const uint32_t item = t->sgl ? SGL_BYTES : NVME_PRP_BYTES;
    return held(&t->list) < item && t->list.bytes_left > 0 && !t->in_list && !t->list_out;
}

void nvme_list_feed(struct nvme_list *l, uint32_t bytes)
{
    CHECK(bytes <= l->bytes_left);
    l->end += bytes;
    l->iova += bytes;
    l->bytes_left -= bytes;
}

/* To the next natural boundary of a piece, behind what is left of the piece before. */
void nvme_list_send(struct nvme_ctrl *n, sim_time_t now)
{
    struct nvme_transfer *t = nvme_list_fifo_pop(&n->list_wanted);
    struct nvme_command *c  = t->command;
    struct nvme_list *l     = &t->list;
    const uint32_t most     = nvme_min(n->config.list_read_bytes, n->config.max_read_bytes);
    const uint32_t piece    = most - (uint32_t)(l->iova & (most - 1));
    t->in_list              = false;
    if (c->status != NVME_SUCCESS) {
        nvme_command_settle(n, c);
        return;
    }
    CHECK(held(l) < SGL_BYTES);
    memmove(l->buffer, l->buffer + l->start, held(l));
    l->end -= l->start;
    l->start             = 0;
    const uint32_t bytes = l->bytes_left < piece ? (uint32_t)l->bytes_left : piece;
    struct nvme_tx *tx   = nvme_tx_take(n, NVME_TX_LIST);
    tx->command          = c;
    tx->transfer         = t;
    t->list_out          = true;
    c->reads_out++;
    n->stats.transaction_list++;
    n->stats.list_bytes += bytes;
    nvme_tx_submit(n, tx, l->iova, bytes, l->buffer + l->end, now);
}
