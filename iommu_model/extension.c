/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/extension.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/arch.h"
#include "sim/base/lg2.h"

#define PARAM_OWNER struct extension_config
#define STAT_OWNER  struct extension_stats
static const struct param_def extension_params[] = { EXTENSION_PARAMS(PARAM_ROW)
                                                         PARAM_END };
static const struct stat_def extension_stats[]   = { EXTENSION_STATS(STAT_ROW) STAT_END };
const struct param_table extension_param_table   = { "extension",
                                                     "Hardware that proposals add",
                                                     extension_params,
                                                     sizeof(struct extension_config), NULL };
const struct stat_table extension_stat_table = { "extension", "Hardware that proposals add",
                                                 extension_stats,
                                                 sizeof(struct extension_stats) };

/* ---- Invalidations ------------------------------------------------------------------- */

static void drop_selected(struct extension *e, uint32_t domain, uint64_t first,
                          uint64_t last, bool leaf_only)
{
    const struct inv_selector s = { .mask      = SPACE_MASK,
                                    .value     = e->iommu->arch->space(e->iommu, domain),
                                    .first     = first,
                                    .last      = last,
                                    .leaf_only = leaf_only };
    iommu_cycle(e->iommu, e->now); /* It is now for what goes. */
    iommu_invalidate_translations(e->iommu, &s);
}

/* As a draining command of the invalidation queue. */
static void begin_drain(struct ext_bank *b, struct iommu *m)
{
    b->draining    = true;
    b->drain_epoch = iommu_begin_drain(m);
}

/* ---- Operations ---------------------------------------------------------------------- */

static void carry_out(struct extension *e, struct ext_bank *b)
{
    const uint32_t domain = ext_domain(b->control);
    b->effect_at          = TIME_NEVER;
    switch (ext_operation(b->control)) {
    case EXT_OP_VERSION:
        e->stats.version++;
        drop_selected(e, domain, 0, UINT64_MAX, b->control & EXT_LEAF_ONLY);
        begin_drain(b, e->iommu);
        return;
    case EXT_OP_HIDE:
        e->stats.hidden++;
        drop_selected(e, domain, b->first, b->last, b->control & EXT_LEAF_ONLY);
        begin_drain(b, e->iommu);
        return;
    case EXT_OP_SHOW:
        e->stats.shown++;
        return;
    default: /* Reserved. */
        return;
    }
}

/* ---- Queues -------------------------------------------------------------------------- */

static void read_command(struct extension *e, struct ext_bank *b)
{
    const uint64_t at = b->base + ((uint64_t)(b->head & b->mask) << EXT_COMMAND_LG2);
    memory_read(e->memory, at, b->command, sizeof b->command);
}

static void write_status(struct extension *e, const struct ext_bank *b)
{
    const uint32_t done = 1;
    if (b->command[3] != 0 && b->command[3] <= e->iommu->pa_last - 3)
        memory_device_write(e->memory, b->command[3] & ~UINT64_C(3), &done, sizeof done);
}

/* One step of the queue; the next is due at b->due. */
static void queue_step(struct extension *e, struct ext_bank *b)
{
    const struct extension_config *c = &e->config;
    switch ((enum ext_step)b->step) {
    case EXT_IDLE:
        return;
    case EXT_FETCH:
        read_command(e, b);
        b->step = EXT_EXECUTE;
        b->due  = e->now + c->execute_ns * TIME_NS;
        return;
    case EXT_EXECUTE:
        e->stats.command++;
        drop_selected(e, ext_domain(b->command[2]), b->command[0], b->command[1],
                      b->command[2] & EXT_LEAF_ONLY);
        begin_drain(b, e->iommu);
        b->step = EXT_DRAIN;
        b->due  = e->now;
        return;
    case EXT_DRAIN:
        if (iommu_drained(e->iommu, b->drain_epoch)) {
            b->draining = false;
            b->step     = EXT_STATUS;
            b->due      = e->now + c->status_ns * TIME_NS;
        } else {
            b->due = e->now + e->iommu->config.iommu.period_ps; /* Looks each cycle. */
        }
        return;
    case EXT_STATUS:
        write_status(e, b);
        b->head++;
        b->step = b->head == b->tail ? EXT_IDLE : EXT_FETCH;
        b->due  = b->head == b->tail ? TIME_NEVER : e->now + c->fetch_ns * TIME_NS;
        return;
    }
}

/* ---- Expiry -------------------------------------------------------------------------- */

static bool still_there(const struct extension *e, uint32_t place, uint64_t fill)
{
    return e->entry[place].fill == fill && e->iommu->iotlb.array.entry[place].valid;
}

/* Drops exactly this entry. expires: nothing else would. */
static void drop_entry(struct extension *e, uint32_t place, bool expires, sim_time_t now)
{
    const struct iotlb_entry *entry = &e->iommu->iotlb.array.entry[place];
    const uint64_t first            = entry->page << entry->page_lg2;
    const struct inv_selector s     = { .mask  = ~UINT64_C(0),
                                        .value = entry->space,
                                        .first = first,
                                        .last  = first | mask_lg2(entry->page_lg2) };
    iommu_cycle(e->iommu, now);
    if (expires && iotlb_is_deaf(&e->iommu->iotlb, &s))
        return;
    iotlb_invalidate(&e->iommu->iotlb, &s);
}

static void expire(struct extension *e)
{
    while (!ext_expiry_ring_empty(&e->expiry)
           && ext_expiry_ring_front(&e->expiry)->at <= e->now) {
        const struct ext_expiry x = *ext_expiry_ring_front(&e->expiry);
        ext_expiry_ring_pop(&e->expiry);
        if (!still_there(e, x.place, x.fill))
            continue;
        drop_entry(e, x.place, true, e->now);
        e->stats.expired++;
    }
}

static void note_expiry(struct extension *e, uint32_t place)
{
    struct ext_expiry_ring *r = &e->expiry;
    while (!ext_expiry_ring_empty(r)) { /* Entries that are gone make room. */
        const struct ext_expiry *x = ext_expiry_ring_front(r);
        if (still_there(e, x->place, x->fill))
            break;
        ext_expiry_ring_pop(r);
    }
    if (ext_expiry_ring_full(r)) { /* More fills than any cache holds: the oldest goes. */
        const struct ext_expiry x = *ext_expiry_ring_front(r);
        ext_expiry_ring_pop(r);
        if (still_there(e, x.place, x.fill))
            drop_entry(e, x.place, true, e->iommu->asked_time);
    }
    *ext_expiry_ring_push(r) =
        (struct ext_expiry){ .at   = e->iommu->asked_time + e->config.lifetime_ns * TIME_NS,
                             .fill = e->fills,
                             .place = place };
    *e->due = time_min(*e->due, ext_expiry_ring_front(r)->at);
}

/* ---- Rings --------------------------------------------------------------------------- */

/* The ring of an address, or NULL. */
static struct ext_ring *ring_of(struct extension *e, uint64_t iova)
{
    if (e->ring_lg2 == 0 || iova < e->ring_base)
        return NULL;
    const uint64_t index = (iova - e->ring_base) >> e->ring_lg2;
    return index < EXT_RINGS_MAX ? &e->ring[index] : NULL;
}

static void note_in_ring(struct extension *e, struct ext_ring *r, uint32_t place)
{
    if (r->count == e->config.ring_entries) {
        const uint32_t oldest = r->entry[r->first].place;
        if (oldest != place && still_there(e, oldest, r->entry[r->first].fill)) {
            drop_entry(e, oldest, false, e->iommu->asked_time);
            e->stats.displaced++;
        }
        r->first = (r->first + 1) % EXT_RING_ENTRIES_MAX;
        r->count--;
    }
    const uint32_t at  = (r->first + r->count++) % EXT_RING_ENTRIES_MAX;
    r->entry[at].place = place;
    r->entry[at].fill  = e->fills;
}

/* ---- What the IOMMU tells ------------------------------------------------------------ */

static void filled(void *self, const struct iotlb_entry *entry)
{
    struct extension *e  = self;
    const uint32_t place = (uint32_t)(entry - e->iommu->iotlb.array.entry);
    e->entry[place]      = (struct ext_entry){ .fill = ++e->fills };
    if (e->cap & EXT_CAP_LIFETIME)
        note_expiry(e, place);
    if (e->cap & EXT_CAP_RINGS) {
        struct ext_ring *r = ring_of(e, entry->page << entry->page_lg2);
        if (r != NULL)
            note_in_ring(e, r, place);
    }
}

static void used(void *self, const struct dma_slot *slot, sim_time_t now)
{
    struct extension *e             = self;
    const struct port_request *q    = &slot->request;
    const struct iotlb_entry *entry = iotlb_probe(&e->iommu->iotlb, slot->space, q->iova);
    if (entry == NULL)
        return;
    const uint32_t place = (uint32_t)(entry - e->iommu->iotlb.array.entry);
    e->entry[place].used += q->bytes;
    if (e->entry[place].used >> entry->page_lg2 == 0)
        return;
    drop_entry(e, place, false, now);
    e->stats.used_up++;
}

/* ---- Registers ----------------------------------------------------------------------- */

static struct ext_bank *bank_at(struct extension *e, uint32_t offset)
{
    const uint32_t index = (offset - EXT_BANKS) / EXT_BANK;
    return offset < EXT_BANKS || index >= EXT_BANKS_MAX ? NULL : &e->bank[index];
}

static void ring_doorbell(struct extension *e, struct ext_bank *b, uint32_t tail)
{
    if (!(e->cap & EXT_CAP_QUEUES) || b->mask == 0)
        return;
    b->tail = tail;
    if (b->step != EXT_IDLE || b->head == b->tail)
        return;
    b->step = EXT_FETCH;
    b->due  = e->now + e->config.fetch_ns * TIME_NS;
    *e->due = time_min(*e->due, b->due);
}

static void set_queue(struct ext_bank *b, uint64_t value)
{
    b->base = value & ~UINT64_C(0xfff);
    b->mask = (UINT32_C(1) << (value & 0x1f)) - 1;
    b->head = b->tail = 0;
    b->step           = EXT_IDLE;
    b->due            = TIME_NEVER;
}

static void go(struct extension *e, struct ext_bank *b, uint64_t control)
{
    b->control   = control;
    b->effect_at = e->now + e->config.operation_ns * TIME_NS;
    *e->due      = time_min(*e->due, b->effect_at);
}

static void ext_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                      sim_time_t now)
{
    struct extension *e = self;
    struct ext_bank *b  = bank_at(e, offset);
    (void)bytes;
    e->now = now;
    if (offset == EXT_RING_BASE)
        e->ring_base = value;
    if (offset == EXT_RING_LG2)
        e->ring_lg2 = (uint32_t)value & 0x3f;
    if (b == NULL)
        return;
    switch ((offset - EXT_BANKS) % EXT_BANK) {
    case EXT_FIRST:
        b->first = value;
        return;
    case EXT_LAST:
        b->last = value;
        return;
    case EXT_GO:
        go(e, b, value);
        return;
    case EXT_QUEUE:
        set_queue(b, value);
        return;
    case EXT_TAIL:
        ring_doorbell(e, b, (uint32_t)value);
        return;
    default:
        return;
    }
}

static uint64_t ext_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct extension *e = self;
    struct ext_bank *b  = bank_at(e, offset);
    (void)bytes;
    e->now = now;
    if (offset == EXT_CAP)
        return e->cap;
    if (b == NULL || (offset - EXT_BANKS) % EXT_BANK != EXT_GO)
        return 0;
    if (b->effect_at != TIME_NEVER)
        return 1;
    if (b->draining && iommu_drained(e->iommu, b->drain_epoch))
        b->draining = false;
    return b->draining;
}

const struct mmio_ops extension_mmio_ops = { ext_write, ext_read };

/* ---- Life ---------------------------------------------------------------------------- */

static void step(void *self, sim_time_t now)
{
    struct extension *e = self;
    e->now              = now;
    expire(e);
    *e->due = ext_expiry_ring_empty(&e->expiry) ? TIME_NEVER
                                                : ext_expiry_ring_front(&e->expiry)->at;
    for (unsigned i = 0; i < EXT_BANKS_MAX; i++) {
        struct ext_bank *b = &e->bank[i];
        if (b->effect_at <= now)
            carry_out(e, b);
        while (b->step != EXT_IDLE && b->due <= now)
            queue_step(e, b);
        *e->due = time_min(*e->due, b->effect_at);
        *e->due = time_min(*e->due, b->due);
    }
}

static uint64_t capabilities(const struct extension_config *c, uint64_t needs)
{
    const uint64_t on =
        (c->versions ? EXT_CAP_VERSIONS : 0) | (c->filter ? EXT_CAP_FILTER : 0)
        | (c->lifetime ? EXT_CAP_LIFETIME : 0) | (c->oneshot ? EXT_CAP_ONESHOT : 0)
        | (c->rings ? EXT_CAP_RINGS : 0) | (c->queues ? EXT_CAP_QUEUES : 0) | needs;
    return on | (on & EXT_CAP_FILTER ? EXT_CAP_FILTERS(c->filter_ranges) : 0)
           | (on & EXT_CAP_LIFETIME ? EXT_CAP_LIFETIME_NS(c->lifetime_ns) : 0);
}

void extension_init(struct extension *e, const struct extension_config *config,
                    uint64_t needs, struct iommu *iommu, struct memory *memory,
                    struct engine *engine)
{
    const uint32_t entries = iotlb_array_entries(&iommu->iotlb.array);
    memset(e, 0, sizeof *e);
    e->config = *config;
    e->iommu  = iommu;
    e->memory = memory;
    e->cap    = capabilities(config, needs);
    e->entry  = calloc(entries, sizeof *e->entry);
    CHECK(e->entry != NULL);
    ext_expiry_ring_init(&e->expiry, UINT32_C(4) << lg2_ceil(entries));
    for (unsigned i = 0; i < EXT_BANKS_MAX; i++)
        e->bank[i].effect_at = e->bank[i].due = TIME_NEVER;
    e->due  = engine_add_block(engine, "extension", step, e);
    *e->due = TIME_NEVER;
    if (e->cap & (EXT_CAP_LIFETIME | EXT_CAP_RINGS | EXT_CAP_ONESHOT)) {
        iommu->iotlb.filled      = filled;
        iommu->iotlb.filled_self = e;
    }
}

void extension_free(struct extension *e)
{
    ext_expiry_ring_free(&e->expiry);
    free(e->entry);
}

void extension_watch(struct extension *e, struct rootport *port)
{
    if (!(e->cap & EXT_CAP_ONESHOT))
        return;
    port->used      = used;
    port->used_self = e;
}

bool extension_idle(const struct extension *e)
{
    for (unsigned i = 0; i < EXT_BANKS_MAX; i++)
        if (e->bank[i].step != EXT_IDLE || e->bank[i].effect_at != TIME_NEVER)
            return false;
    return true;
}
