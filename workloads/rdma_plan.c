/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_EVERY = 256, UNKNOWN_DEPTH = 16, BUFFER_ALIGN = 64 };

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    CHECK(memory != NULL);
    return memory;
}

static uint32_t bucket_of(uint64_t name)
{
    return (uint32_t)(name * UINT64_C(0x9e3779b97f4a7c15) >> 40) % RDMA_BUCKETS;
}

static struct rdma_replay_cpu *cpu_of(struct rdma_replay_host *h, uint32_t recorded)
{
    return &h->cpu[recorded % h->replay->cpus];
}

static void plan(struct rdma_replay_cpu *c, const struct rdma_step *step)
{
    *rdma_step_ring_push(&c->waiting) = *step;
}

/* ---- Queue pairs
 * ------------------------------------------------------------------------- */

static uint64_t end_name(uint32_t device, uint32_t number)
{
    return (uint64_t)device << 32 | number;
}

static struct rdma_end *find_end(struct rdma_replay *r, uint32_t device, uint32_t number)
{
    struct rdma_end *e = r->end_of[bucket_of(end_name(device, number))];
    while (e != NULL && (e->device != device || e->number != number))
        e = e->bucket_next;
    return number == 0 ? NULL : e;
}

/* From now on this end is the one of that name. */
static void name_end(struct rdma_replay *r, struct rdma_end *e, uint32_t device,
                     uint32_t number)
{
    struct rdma_end **bucket = &r->end_of[bucket_of(end_name(device, number))];
    e->device                = device;
    e->number                = number;
    if (number == 0)
        return;
    e->bucket_next = *bucket;
    *bucket        = e;
}

static struct rdma_end *new_end(struct rdma_replay *r, unsigned host, uint32_t device,
                                uint32_t number)
{
    struct rdma_end *e = allocate(sizeof *e);
    e->host            = &r->host[host % r->config.hosts];
    e->next            = r->ends;
    r->ends            = e;
    name_end(r, e, device, number);
    return e;
}

static struct rdma_end *new_pair(struct rdma_replay *r, const struct trace_record *record)
{
    const bool apart = record->device != record->rdma.peer;
    struct rdma_end *e =
        new_end(r, apart ? record->device : 0, record->device, record->rdma.qp);
    struct rdma_end *p =
        new_end(r, apart ? record->rdma.peer : 1, record->rdma.peer, record->rdma.peer_qp);
    struct rdma_end *both[] = { e, p };
    e->peer                 = p;
    p->peer                 = e;
    for (unsigned i = 0; i < 2; i++) {
        struct rdma_replay_cpu *c = cpu_of(both[i]->host, record->cpu);
        both[i]->cpu              = c;
        plan(c, &(struct rdma_step){ .kind = RDMA_STEP_CREATE, .end = both[i] });
    }
    for (unsigned i = 0; i < 2; i++) {
        struct rdma_replay_cpu *c = cpu_of(both[i]->host, record->cpu);
        plan(c, &(struct rdma_step){ .kind = RDMA_STEP_CONNECT, .end = both[i] });
    }
    return e;
}

static bool fits(const struct rdma_end *e, uint32_t device, uint32_t number)
{
    return number == 0 || e->number == 0 || (e->device == device && e->number == number);
}

/* The end that a record was posted to. What the record knows more is kept; a number that
 * has another peer now is another queue pair. */
static struct rdma_end *end_of(struct rdma_replay *r, const struct trace_record *record)
{
    const struct trace_rdma *d = &record->rdma;
    struct rdma_end *e         = find_end(r, record->device, d->qp);
    if (e == NULL) {
        struct rdma_end *p = find_end(r, d->peer, d->peer_qp);
        e                  = p != NULL ? p->peer : NULL;
    }
    if (e == NULL || !fits(e, record->device, d->qp) || !fits(e->peer, d->peer, d->peer_qp))
        return new_pair(r, record);
    if (e->number == 0)
        name_end(r, e, record->device, d->qp);
    if (e->peer->number == 0)
        name_end(r, e->peer, d->peer, d->peer_qp);
    return e;
}

/* ---- Regions
 * ------------------------------------------------------------------------------- */

static struct rdma_region *new_region(struct rdma_replay *r, struct rdma_end *e,
                                      uint64_t address, uint64_t bytes, bool fast,
                                      uint32_t cpu)
{
    struct rdma_region *g = allocate(sizeof *g);
    g->host               = e->host;
    g->cpu                = cpu_of(e->host, cpu);
    g->end                = e;
    g->address            = address;
    g->bytes              = bytes;
    g->fast               = fast;
    g->next               = e->host->regions;
    e->host->regions      = g;
    plan(g->cpu, &(struct rdma_step){ .kind = RDMA_STEP_REGISTER, .region = g });
    (void)r;
    return g;
}

void rdma_plan_released(struct rdma_replay *r, struct rdma_region *region)
{
    struct rdma_region **link = &region->host->regions;
    while (*link != region)
        link = &(*link)->next;
    *link = region->next;
    (void)r;
    free(region);
}

void rdma_plan_invalidated(struct rdma_replay *r, struct rdma_region *region)
{
    struct rdma_replay_host *h = region->host;
    verbs_unmap_fast(region->mr);
    region->mr->next = h->pool;
    h->pool          = region->mr;
    rdma_plan_released(r, region);
}

/* Of the pool when one there has that size; a power of two of pages. */
struct verbs_mr *rdma_plan_take_mr(struct rdma_replay_host *h, uint64_t bytes, int *error)
{
    const uint64_t want = (bytes >> PAGE_SHIFT) + 2;
    uint64_t pages      = 1;
    while (pages < want)
        pages *= 2;
    for (struct verbs_mr **link = &h->pool; *link != NULL; link = &(*link)->next)
        if ((*link)->most_pages == pages) {
            struct verbs_mr *mr = *link;
            *link               = mr->next;
            return mr;
        }
    return verbs_alloc_mr(h->verbs, h->pd, pages, error);
}

void rdma_plan_free_mrs(struct rdma_replay_host *h)
{
    while (h->pool != NULL) {
        struct verbs_mr *mr = h->pool;
        h->pool             = mr->next;
        verbs_dereg_mr(mr);
    }
}

/* ---- Keys
 * ------------------------------------------------------------------------------------ */

static struct rdma_key *add_key(struct rdma_replay *r, const struct rdma_key *key)
{
    struct rdma_key *k       = allocate(sizeof *k);
    struct rdma_key **bucket = &r->key_of[bucket_of(key->key)];
    *k                       = *key;
    k->bucket_next           = *bucket;
    *bucket                  = k;
    return k;
}

static bool holds(const struct rdma_key *k, uint64_t address, uint64_t bytes)
{
    return address >= k->address && address - k->address <= k->bytes
           && bytes <= k->bytes - (address - k->address);
}

/* The newest that fits: a key that the trace registered, or memory of that host. */
static struct rdma_key *find_key(struct rdma_replay *r, unsigned host, uint32_t key,
                                 uint64_t address, uint64_t bytes)
{
    struct rdma_key *k = r->key_of[bucket_of(key)];
    while (k != NULL
           && !(k->key == key && (k->known || k->host == host) && holds(k, address, bytes)))
        k = k->bucket_next;
    return k;
}

/* Memory around an access under a key whose region was not recorded. */
static struct rdma_key *imply_key(struct rdma_replay *r, unsigned host, uint32_t key,
                                  uint64_t address, uint64_t bytes, uint32_t cpu)
{
    const uint64_t unit  = (uint64_t)r->config.region_kib << 10;
    const uint64_t first = address & ~(unit - 1);
    uint64_t end         = address + bytes;
    end                  = end > UINT64_MAX - unit ? end : (end + unit - 1) & ~(unit - 1);
    const struct rdma_key k = { .key     = key,
                                .host    = host,
                                .cpu     = cpu,
                                .address = first,
                                .bytes   = (end > first ? end : first + unit) - first };
    return add_key(r, &k);
}

static struct rdma_place once(struct rdma_replay *r, struct rdma_end *e, uint64_t address,
                              uint64_t bytes, uint32_t cpu)
{
    struct rdma_region *g = new_region(r, e, address, bytes == 0 ? 1 : bytes, true, cpu);
    g->once               = true;
    return (struct rdma_place){ e, g, address };
}

static bool registers_each(const struct rdma_replay *r)
{
    return strcmp(r->config.registration, "each") == 0;
}

/* Memory of an end that the trace names. */
static struct rdma_place known_place(struct rdma_replay *r, struct rdma_end *e,
                                     uint32_t key, uint64_t address, uint64_t bytes,
                                     uint32_t cpu)
{
    const unsigned host = e->host->id;
    struct rdma_key *k  = find_key(r, host, key, address, bytes);
    if (registers_each(r) && (k == NULL || !k->fast))
        return once(r, e, address, bytes, cpu);
    if (k == NULL) {
        k = imply_key(r, host, key, address, bytes, cpu);
        r->stats.invented++;
    }
    if (k->region[host] == NULL)
        k->region[host] = new_region(r, e, k->address, k->bytes, k->fast, k->cpu);
    return (struct rdma_place){ e, k->region[host], address };
}

/* The next piece of an end's own buffer. */
static struct rdma_place buffer_place(struct rdma_replay *r, struct rdma_end *e,
                                      uint64_t bytes, uint32_t cpu)
{
    const uint64_t step = (bytes + BUFFER_ALIGN - 1) & ~(uint64_t)(BUFFER_ALIGN - 1);
    r->stats.invented++;
    if (e->buffer_bytes < step || e->buffer_bytes == 0) {
        uint64_t room = (uint64_t)r->config.buffer_kib << 10;
        while (room < step)
            room *= 2;
        e->buffer_address = e->host->next_buffer;
        e->buffer_bytes   = room;
        e->buffer_next    = 0;
        e->buffer         = NULL;
        e->host->next_buffer += room + PAGE_SIZE;
        e->host->next_buffer = (e->host->next_buffer + PAGE_SIZE - 1) & PAGE_MASK;
    }
    if (e->buffer_next + step > e->buffer_bytes)
        e->buffer_next = 0;
    const uint64_t address = e->buffer_address + e->buffer_next;
    e->buffer_next += step;
    if (registers_each(r))
        return once(r, e, address, bytes, cpu);
    if (e->buffer == NULL)
        e->buffer = new_region(r, e, e->buffer_address, e->buffer_bytes, false, cpu);
    return (struct rdma_place){ e, e->buffer, address };
}

/* ---- Records
 * ------------------------------------------------------------------------------------ */

static void plan_register(struct rdma_replay *r, const struct trace_record *record)
{
    const struct rdma_key k = { .key     = record->rdma.key,
                                .known   = true,
                                .fast    = record->op == TRACE_RDMA_FAST_REGISTER,
                                .cpu     = record->cpu,
                                .address = record->rdma.address,
                                .bytes   = record->rdma.region_bytes };
    add_key(r, &k);
    r->stats.record++;
}

/* The key means nothing from here on; its regions go when nobody uses them. */
static void plan_release(struct rdma_replay *r, const struct trace_record *record)
{
    struct rdma_key **link = &r->key_of[bucket_of(record->rdma.key)];
    while (*link != NULL && ((*link)->key != record->rdma.key || !(*link)->known))
        link = &(*link)->bucket_next;
    struct rdma_key *k = *link;
    r->stats.record++;
    if (k == NULL)
        return; /* It was registered before the recording began. */
    *link = k->bucket_next;
    for (unsigned i = 0; i < r->config.hosts; i++) {
        struct rdma_region *g = k->region[i];
        if (g == NULL)
            continue;
        g->leaving = true;
        plan(g->cpu, &(struct rdma_step){ .kind = RDMA_STEP_RELEASE, .region = g });
    }
    free(k);
}

static uint32_t depth_of(const struct rdma_replay *r, const struct trace_record *record)
{
    if (r->config.depth != 0)
        return r->config.depth;
    return record->depth != 0 ? record->depth : UNKNOWN_DEPTH;
}

static struct rdma_flight *take_flight(struct rdma_replay *r)
{
    struct rdma_flight *f = r->free_flight;
    r->free_flight        = f->next;
    memset(f, 0, sizeof *f);
    f->next   = r->flying;
    r->flying = f;
    r->flying_count++;
    return f;
}

static struct rdma_place local_place(struct rdma_replay *r, struct rdma_end *e,
                                     const struct trace_record *record, uint64_t bytes)
{
    const struct trace_rdma *d = &record->rdma;
    if (d->local_key == 0 && d->local_address == 0)
        return buffer_place(r, e, bytes, record->cpu);
    return known_place(r, e, d->local_key, d->local_address, bytes, record->cpu);
}

static struct rdma_place remote_place(struct rdma_replay *r, struct rdma_end *e,
                                      const struct trace_record *record, uint64_t bytes)
{
    const struct trace_rdma *d = &record->rdma;
    const bool unknown         = d->key == 0 && d->address == 0;
    const bool crooked         = record->op == TRACE_RDMA_ATOMIC && d->address % 8 != 0;
    if (record->op == TRACE_RDMA_SEND || unknown || crooked)
        return buffer_place(r, e, bytes, record->cpu);
    return known_place(r, e, d->key, d->address, bytes, record->cpu);
}

void rdma_plan_receiving(struct rdma_end *e)
{
    if (e->receiving || e->receive_first == NULL || rdma_receives_full(e))
        return;
    e->receiving      = true;
    e->next_receiving = e->cpu->receiving;
    e->cpu->receiving = e;
}

/* The receive of a send, behind those that are planned already. */
static void plan_receive(struct rdma_replay *r, struct rdma_end *e, struct rdma_flight *f)
{
    r->sends          = true;
    f->receive_number = ++e->receives;
    if (e->receive_first == NULL)
        e->receive_first = f;
    else
        e->receive_last->next_receive = f;
    e->receive_last = f;
    rdma_plan_receiving(e);
}

static void plan_message(struct rdma_replay *r, const struct trace_record *record,
                         uint64_t index)
{
    struct rdma_end *e    = end_of(r, record);
    struct rdma_flight *f = take_flight(r);
    const bool sends      = record->op == TRACE_RDMA_SEND;
    f->op                 = record->op;
    f->index              = index;
    f->bytes  = record->op == TRACE_RDMA_ATOMIC ? RDMA_ATOMIC_BYTES : record->bytes;
    f->local  = local_place(r, e, record, f->bytes);
    f->remote = remote_place(r, e->peer, record, f->bytes);
    f->depth  = depth_of(r, record);
    f->parts  = sends ? 2 : 1;
    rdma_turn_plan(r, f);
    f->local.region->users++;
    f->remote.region->users++;
    if (sends)
        plan_receive(r, e->peer, f);
    plan(cpu_of(e->host, record->cpu),
         &(struct rdma_step){ .kind = RDMA_STEP_POST, .flight = f });
}

static bool check(const struct rdma_replay *r, const struct trace_record *record,
                  uint64_t index, struct error *error)
{
    const uint64_t most        = verbs_region_bytes_max(r->host[0].verbs);
    const struct trace_rdma *d = &record->rdma;
    if (!trace_op_is_rdma(record->op))
        return error_set(error, "record %" PRIu64 ": op: expected RDMA work, got %s", index,
                         trace_op_name(record->op));
    if (record->bytes > UINT32_MAX / 4)
        return error_set(error,
                         "record %" PRIu64 ": bytes: expected at most 1 GiB, got %" PRIu32,
                         index, record->bytes);
    if (d->address > UINT64_MAX - UINT32_MAX || d->local_address > UINT64_MAX - UINT32_MAX)
        return error_set(
            error, "record %" PRIu64 ": address: it is at the end of all of them", index);
    if (trace_op_registers(record->op)
        && (d->region_bytes == 0 || d->region_bytes > most
            || d->address > UINT64_MAX - d->region_bytes - PAGE_SIZE))
        return error_set(error,
                         "record %" PRIu64 ": region: expected 1 B to %" PRIu64
                         " GiB (verbs.region_gib) below 2^64, got %" PRIu64
                         " B at 0x%" PRIx64,
                         index, most >> 30, d->region_bytes, d->address);
    return true;
}

static void plan_record(struct rdma_replay *r, const struct trace_record *record,
                        uint64_t index)
{
    if (trace_op_registers(record->op))
        plan_register(r, record);
    else if (trace_op_is_region(record->op))
        plan_release(r, record);
    else if (record->op == TRACE_RDMA_RECEIVE)
        r->stats.record++; /* It comes with the send. */
    else
        plan_message(r, record, index);
}

bool rdma_plan_read(struct rdma_replay *r)
{
    struct trace_record record;
    if (r->read == r->limit || r->ended)
        return false;
    int got = 0;
    while (r->playing < r->sources
           && (got = trace_next(r->source[r->playing].reader, &record, &r->error)) == 0)
        r->playing++;
    if (got > 0 && !check(r, &record, r->read_of[r->playing], &r->error)) {
        error_in(&r->error, "%s", r->source[r->playing].name);
        got = -1;
    }
    r->broken |= got < 0;
    r->ended = got <= 0;
    if (got <= 0)
        return false;
    r->read_of[r->playing]++;
    plan_record(r, &record, r->read++);
    if (r->read % PROGRESS_EVERY == 0 && r->progress != NULL)
        r->progress(r->progress_self, r->read);
    return true;
}

void rdma_plan_free(struct rdma_replay *r)
{
    while (r->ends != NULL) {
        struct rdma_end *e = r->ends;
        r->ends            = e->next;
        free(e);
    }
    for (unsigned i = 0; i < RDMA_BUCKETS; i++)
        while (r->key_of[i] != NULL) {
            struct rdma_key *k = r->key_of[i];
            r->key_of[i]       = k->bucket_next;
            free(k);
        }
    for (unsigned i = 0; i < r->config.hosts; i++)
        while (r->host[i].regions != NULL) { /* Only of a replay that was given up. */
            struct rdma_region *g = r->host[i].regions;
            r->host[i].regions    = g->next;
            free(g);
        }
}
