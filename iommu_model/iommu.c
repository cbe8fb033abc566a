/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/iommu.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/arch.h"

const char *iommu_arch_member(unsigned index)
{
    return arch_table[index] == NULL ? NULL : arch_table[index]->name;
}

const struct iommu_arch *iommu_arch_find(const char *name)
{
    for (unsigned i = 0; arch_table[i] != NULL; i++)
        if (strcmp(arch_table[i]->name, name) == 0)
            return arch_table[i];
    UNREACHABLE("iommu.arch is a member of its family");
}

static bool walker_config_check(const void *config, struct error *error)
{
    const struct walker_config *c = config;
    if (c->walks < c->walkers)
        return error_set(error,
                         "walker.walks: expected at least walker.walkers (%u), got %u",
                         c->walkers, c->walks);
    return true;
}

static bool invq_config_check(const void *config, struct error *error)
{
    const struct invq_config *c = config;
    if (c->early_head && c->fetch_commands != 1)
        return error_set(error,
                         "invq.early_head: expected invq.fetch_commands=1 with it, got %u",
                         c->fetch_commands);
    return true;
}

#define PARAM_OWNER struct iommu_config
static const struct param_def iommu_params[] = { IOMMU_PARAMS(PARAM_ROW) PARAM_END };
#undef PARAM_OWNER
#define PARAM_OWNER struct walker_config
static const struct param_def walker_params[] = { WALKER_PARAMS(PARAM_ROW) PARAM_END };
#undef PARAM_OWNER
#define PARAM_OWNER struct invq_config
static const struct param_def invq_params[] = { INVQ_PARAMS(PARAM_ROW) PARAM_END };
#undef PARAM_OWNER
#define PARAM_OWNER struct faultq_config
static const struct param_def faultq_params[] = { FAULTQ_PARAMS(PARAM_ROW) PARAM_END };
#define STAT_OWNER struct iommu_stats
static const struct stat_def iommu_stats[] = { IOMMU_STATS(STAT_ROW) STAT_END };

const struct param_table iommu_param_table  = { "iommu", "The IOMMU's pipeline",
                                                iommu_params, sizeof(struct iommu_config),
                                                NULL };
const struct param_table walker_param_table = { "walker", "The page walkers", walker_params,
                                                sizeof(struct walker_config),
                                                walker_config_check };
const struct param_table invq_param_table = { "invq", "The invalidation queue", invq_params,
                                              sizeof(struct invq_config),
                                              invq_config_check };
const struct param_table faultq_param_table = { "faultq", "The queue of fault records",
                                                faultq_params, sizeof(struct faultq_config),
                                                NULL };
const struct stat_table iommu_stat_table    = { "iommu", "The IOMMU", iommu_stats,
                                                sizeof(struct iommu_stats) };

/* ---- Set-up
 * ------------------------------------------------------------------------------ */

static void init_contexts(struct iommu *m, uint64_t seed)
{
    const struct context_config *c      = &m->config.context;
    const struct repl_policy *repl      = repl_find(c->replacement);
    const struct setassoc_shape device  = { c->device_sets, c->device_ways, repl,
                                            c->prefer_invalid, c->touch_on_fill };
    const struct setassoc_shape process = { c->process_sets, c->process_ways, repl,
                                            c->prefer_invalid, c->touch_on_fill };
    context_cache_init(&m->device_contexts, &device, rng_make(seed, "device contexts"),
                       &m->context_stats);
    context_cache_init(&m->process_contexts, &process, rng_make(seed, "process contexts"),
                       &m->context_stats);
    m->context_walk.waiting = (struct xlate_list){ XLATE_NONE, XLATE_NONE };
}

static void init_slots(struct iommu *m)
{
    m->xlate = calloc(m->config.iommu.inflight, sizeof *m->xlate);
    m->walk  = calloc(m->config.walker.walks, sizeof *m->walk);
    m->held  = calloc(m->config.iommu.inflight, sizeof *m->held);
    CHECK(m->xlate != NULL);
    CHECK(m->held != NULL);
    CHECK(m->walk != NULL);
    m->free = m->stalled = (struct xlate_list){ XLATE_NONE, XLATE_NONE };
    for (uint32_t i = 0; i < m->config.iommu.inflight; i++) {
        m->xlate[i].held = &m->held[i];
        xlate_list_push(m, &m->free, (uint16_t)i);
    }
    walker_init(m);
    m->released_mask = mask_lg2(lg2_ceil(2 * m->config.iommu.inflight));
    m->released_at   = calloc(m->released_mask + 1, sizeof *m->released_at);
    CHECK(m->released_at != NULL);
    wheel_init(&m->wheel, item_single(m, ITEMS));
}

void iommu_init(struct iommu *m, const struct iommu_settings *config, struct engine *engine,
                sim_time_t *due, struct memory *memory, struct mem_channel *channel,
                uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->config  = *config;
    m->arch    = iommu_arch_find(config->iommu.arch);
    m->memory  = memory;
    m->due     = engine != NULL ? engine_add_block(engine, "iommu", iommu_step, m) : due;
    m->pa_last = UINT64_MAX;
    m->epoch = m->oldest = 1;
    m->lookup_at         = CYCLE_NEVER;
    request_ring_init(&m->queue, config->iommu.queue_entries);
    request_ring_init(&m->writes, config->iommu.queue_entries);
    init_slots(m);
    init_contexts(m, seed);
    iotlb_init(&m->iotlb, &config->iotlb, rng_make(seed, "iotlb"));
    walkcache_init(&m->walkcache, &config->walkcache, seed);
    memport_init(&m->memport, &config->memport, memory, channel, config->iommu.period_ps);
    m->memport.remote = config->remote;
    write_ring_init(&m->invq.writes, INVQ_WRITES_MAX);
    m->invq.entry_bytes = m->arch->command_bytes;
    m->arch->init(m);
}

void iommu_keep_trails(struct iommu *m)
{
    if (m->trail != NULL)
        return;
    m->trail = calloc(m->config.iommu.inflight, sizeof *m->trail);
    CHECK(m->trail != NULL);
    for (uint32_t i = 0; i < m->config.iommu.inflight; i++)
        if (m->xlate[i].step == XLATE_IDLE) /* Others would be known by half. */
            m->xlate[i].trail = &m->trail[i];
}

static void free_trails(struct iommu *m)
{
    for (uint32_t i = 0; m->trail != NULL && i < m->config.iommu.inflight; i++)
        free(m->trail[i].stretch);
    free(m->trail);
}

void iommu_free(struct iommu *m)
{
    m->arch->free(m);
    free_trails(m);
    write_ring_free(&m->invq.writes);
    walkcache_free(&m->walkcache);
    iotlb_free(&m->iotlb);
    context_cache_free(&m->device_contexts);
    context_cache_free(&m->process_contexts);
    wheel_free(&m->wheel);
    request_ring_free(&m->queue);
    request_ring_free(&m->writes);
    free(m->released_at);
    for (uint32_t i = 0; i < m->client_count; i++) {
        response_ring_free(&m->client[i].prompt);
        response_ring_free(&m->client[i].late);
    }
    free(m->xlate);
    free(m->held);
    free(m->walk);
}

/* ---- Time
 * --------------------------------------------------------------------------------- */

/* Most calls are for the time of the last one or for the time published as due: no
 * division. */
cycle_t iommu_cycle(struct iommu *m, sim_time_t now)
{
    if (now == m->asked_time)
        return m->asked_cycle;
    m->asked_time  = now;
    m->asked_cycle = now == m->due_time ? m->due_cycle
                                        : cycle_at_or_after(now, m->config.iommu.period_ps);
    return m->asked_cycle;
}

static void publish_due(struct iommu *m)
{
    m->due_cycle = wheel_due(&m->wheel);
    if (m->lookup_at < m->due_cycle)
        m->due_cycle = m->lookup_at;
    m->due_time = cycle_time(m->due_cycle, m->config.iommu.period_ps);
    *m->due     = m->due_time;
}

/* Something was scheduled for this cycle: due then, if not earlier. */
static void publish_earlier(struct iommu *m, cycle_t due)
{
    const sim_time_t time = due * m->config.iommu.period_ps;
    if (time >= *m->due)
        return;
    m->due_cycle = due;
    m->due_time = *m->due = time;
}

void iommu_schedule(struct iommu *m, enum iommu_item item, cycle_t due)
{
    const uint32_t index  = item_single(m, item);
    const cycle_t present = wheel_item_due(&m->wheel, index);
    if (due >= present) /* CYCLE_NEVER is the latest of all. */
        return;
    if (present != CYCLE_NEVER)
        wheel_remove(&m->wheel, index);
    wheel_put(&m->wheel, index, due);
}

void iommu_read(struct iommu *m, unsigned place, uint64_t pa, uint32_t words,
                cycle_t presented)
{
    memport_present(&m->memport, place, pa, words, m->asked_cycle, presented);
    iommu_schedule(m, ITEM_MEMPORT, memport_due(&m->memport, m->asked_cycle));
}

static void tell_watcher(const struct iommu *m, unsigned place, cycle_t now)
{
    const struct memport_read *r  = &m->memport.read[place];
    const struct iommu_watcher *w = m->watcher;
    w->read_accepted(w->self, place, r->pa, r->words, r->presented, now);
    if (place == MEMPORT_INVQ)
        w->command_fetched(w->self, m->invq.head, now);
}

static void expect(struct iommu *m, unsigned place, cycle_t arrives)
{
    if (place == MEMPORT_INVQ)
        iommu_schedule(m, ITEM_INVQ, arrives);
    else if (place == MEMPORT_CONTEXT)
        iommu_schedule(m, ITEM_CONTEXT, arrives);
    else
        wheel_put(&m->wheel, item_walk(m, m->walker_walk[place - MEMPORT_WALKER]), arrives);
}

static void arbitrate(struct iommu *m, cycle_t now)
{
    cycle_t arrives;
    const unsigned place = memport_arbitrate(&m->memport, now, &arrives);
    if (m->watcher != NULL && m->watcher->read_accepted != NULL && place != MEMPORT_PLACES)
        tell_watcher(m, place, now);
    if (place != MEMPORT_PLACES && arrives != CYCLE_NEVER)
        expect(m, place, arrives);
    iommu_schedule(m, ITEM_MEMPORT, memport_due(&m->memport, m->asked_cycle));
}

static void run_single(struct iommu *m, uint32_t item, cycle_t now)
{
    switch ((enum iommu_item)item) {
    case ITEM_CONTEXT:
        context_walk_run(m, now);
        return;
    case ITEM_INVQ:
        invq_run(m, now);
        return;
    case ITEM_WRITE:
        invq_write_done(m, now);
        return;
    case ITEM_FAULTQ:
        faultq_run(m, now);
        return;
    case ITEM_DEVICES:
        invq_devices_run(m, now);
        return;
    case ITEM_ACCEPT:
        xlate_accept(m, now);
        return;
    case ITEM_MEMPORT:
        arbitrate(m, now);
        return;
    case ITEMS:
        break;
    }
    UNREACHABLE("an item of the wheel is one of these");
}

static void run_wheel(struct iommu *m, cycle_t now)
{
    const uint32_t inflight = m->config.iommu.inflight;
    const uint32_t walks    = m->config.walker.walks;
    uint32_t item;
    while ((item = wheel_take(&m->wheel, now)) != WHEEL_NONE) {
        if (item < inflight)
            xlate_run(m, (uint16_t)item, now);
        else if (item < inflight + walks)
            walker_data(m, item - inflight, now);
        else
            run_single(m, item - inflight - walks, now);
    }
}

void iommu_step(void *self, sim_time_t time)
{
    struct iommu *m   = self;
    const cycle_t now = iommu_cycle(m, time);
    if (m->lookup_at == now)
        xlate_first_lookup(m, now);
    if (wheel_any(&m->wheel))
        run_wheel(m, now);
    publish_due(m);
    if (m->watcher != NULL && m->watcher->stepped != NULL)
        m->watcher->stepped(m->watcher->self, time);
}

/* ---- Memory that is elsewhere
 * ------------------------------------------------------------- */

void iommu_arrived(struct iommu *m, unsigned place, const uint64_t *data, sim_time_t now)
{
    memport_deliver(&m->memport, place, data);
    expect(m, place, iommu_cycle(m, now));
    publish_due(m);
}

void iommu_written(struct iommu *m, enum memport_write kind, sim_time_t now)
{
    if (kind == MEMPORT_STATUS)
        invq_written(m, iommu_cycle(m, now));
    else
        faultq_written(m, iommu_cycle(m, now));
    publish_due(m);
}

void iommu_set_bits(struct iommu *m, uint64_t pa, uint64_t bits)
{
    const struct memport_remote *remote = m->config.remote;
    if (remote != NULL) {
        remote->set_bits(remote->self, pa, bits);
        return;
    }
    const uint64_t entry = memory_read64(m->memory, pa) | bits;
    memory_device_write(m->memory, pa, &entry, sizeof entry);
}

/* ---- Clients
 * ------------------------------------------------------------------------------ */

unsigned iommu_attach(struct iommu *m, sim_time_t *due, uint32_t responses, bool retires)
{
    CHECK(m->client_count < IOMMU_CLIENTS_MAX);
    struct iommu_client *c = &m->client[m->client_count];
    response_ring_init(&c->prompt, responses);
    response_ring_init(&c->late, responses);
    c->due     = due;
    c->retires = retires;
    return m->client_count++;
}

void iommu_attach_device_tlb(struct iommu *m, unsigned client,
                             bool (*invalidate)(void *self,
                                                const struct port_invalidation *i,
                                                sim_time_t now),
                             void *self)
{
    CHECK(client < m->client_count);
    m->client[client].invalidate      = invalidate;
    m->client[client].invalidate_self = self;
}

bool iommu_ready(struct iommu *m, unsigned client)
{
    CHECK(client < m->client_count);
    if (!request_ring_full(&m->queue) && !request_ring_full(&m->writes))
        return true;
    m->client[client].blocked = true;
    m->any_blocked            = true;
    return false;
}

struct iommu_request *iommu_request(struct iommu *m)
{
    return &request_ring_next(&m->queue)->request;
}

/* Reads and writes wait apart, and the choice is made at the end of the cycle. */
static void submit_by_kind(struct iommu *m, const struct iommu_queued *q, cycle_t now)
{
    if (q->request.access & PT_WRITE)
        *request_ring_push(&m->writes) = *q;
    else
        request_ring_push(&m->queue);
    iommu_schedule(m, ITEM_ACCEPT, now);
    publish_earlier(m, now);
}

void iommu_submit(struct iommu *m, unsigned client, sim_time_t time)
{
    CHECK(client < m->client_count);
    const cycle_t now      = iommu_cycle(m, time);
    struct iommu_queued *q = request_ring_next(&m->queue);
    q->arrived             = now;
    q->client              = (uint8_t)client;
    if (m->config.iommu.read_priority) {
        submit_by_kind(m, q, now);
        return;
    }
    request_ring_push(&m->queue);
    if (m->accepting != NULL)
        return;
    if (xlate_accept(m, now))
        publish_earlier(m, m->lookup_at);
    else
        publish_due(m); /* It may have to be asked again when a slot is free. */
}

static inline struct response_ring *next_ring(struct iommu_client *c, cycle_t *due)
{
    const cycle_t prompt = response_ring_empty(&c->prompt)
                               ? CYCLE_NEVER
                               : response_ring_front(&c->prompt)->due;
    const cycle_t late =
        response_ring_empty(&c->late) ? CYCLE_NEVER : response_ring_front(&c->late)->due;
    *due = prompt <= late ? prompt : late;
    return prompt <= late ? &c->prompt : &c->late;
}

const struct iommu_response *iommu_take(struct iommu *m, unsigned client, sim_time_t now,
                                        sim_time_t *next)
{
    cycle_t due;
    struct response_ring *ring = next_ring(&m->client[client], &due);
    *next                      = cycle_time(due, m->config.iommu.period_ps);
    if (*next > now)
        return NULL;
    const struct iommu_response *response = response_ring_front(ring);
    response_ring_pop(ring);
    return response;
}

void epoch_leave(struct iommu *m, uint32_t epoch, cycle_t now)
{
    CHECK(epoch >= m->oldest);
    CHECK(epoch <= m->epoch);
    CHECK(m->epoch_open[epoch % IOMMU_EPOCHS] > 0);
    if (--m->epoch_open[epoch % IOMMU_EPOCHS] > 0)
        return;
    while (m->oldest < m->epoch && m->epoch_open[m->oldest % IOMMU_EPOCHS] == 0)
        m->oldest++;
    invq_retired(m, now);
}

void iommu_retire(struct iommu *m, uint32_t epoch, sim_time_t time)
{
    epoch_leave(m, epoch, iommu_cycle(m, time));
    if (wheel_item_due(&m->wheel, item_single(m, ITEM_INVQ)) != CYCLE_NEVER)
        publish_due(m); /* It may have ended a drain. */
}

void iommu_invalidated(struct iommu *m, uint16_t requester, uint32_t itags,
                       unsigned completions, sim_time_t time)
{
    CHECK(completions > 0);
    CHECK(completions <= ATS_COMPLETIONS_MAX);
    invq_answered(m, requester, itags, completions, iommu_cycle(m, time));
    publish_due(m);
}

static bool concerns(const struct inv_selector *s, space_t space, uint64_t iova)
{
    return inv_selects_space(s, space) && iova >= s->first && iova <= s->last;
}

static void mark_answer(const struct iommu *m, struct iommu_response *a,
                        const struct inv_selector *s)
{
    if (!a->stale && a->outcome != XLATE_faulted && concerns(s, a->space, a->iova))
        a->stale = iommu_holds_stale(m, a->client, a->space, a->iova);
}

static void mark_answers(const struct iommu *m, struct response_ring *r,
                         const struct inv_selector *s)
{
    for (uint32_t i = 0; i < response_ring_count(r); i++)
        mark_answer(m, response_ring_at(r, i), s);
}

static void mark_slots(struct iommu *m, const struct inv_selector *s)
{
    for (uint32_t i = 0; i < m->config.iommu.inflight; i++) {
        if (m->xlate[i].step == XLATE_RESPOND)
            mark_answer(m, &m->xlate[i].response, s);
    }
}

static void mark_walks(struct iommu *m, const struct inv_selector *s, sim_time_t now)
{
    for (uint32_t i = 0, left = m->walks_active; left > 0; i++) {
        struct walk *w = &m->walk[i];
        if (w->phase == WALK_FREE)
            continue;
        left--;
        if (w->stale_since != TIME_NEVER || !concerns(s, w->space, w->page << 12)
            || !walker_knows_leaf(m, w))
            continue;
        w->stale_since = now;
        if (m->referee != NULL)
            m->referee->held(m->referee->self, w->space, w->page << 12);
    }
}

void iommu_mark_stale(struct iommu *m, const struct inv_selector *s, sim_time_t now)
{
    for (uint32_t i = 0; i < m->client_count; i++) {
        mark_answers(m, &m->client[i].prompt, s);
        mark_answers(m, &m->client[i].late, s);
    }
    if (m->late_count == 0)
        return;
    mark_slots(m, s);
    mark_walks(m, s, now);
}

/* ---- Registers
 * ---------------------------------------------------------------------------- */

static void window_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                         sim_time_t now)
{
    struct iommu *m = self;
    m->arch->write(m, offset, value, bytes, now);
    publish_due(m);
}

static uint64_t window_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct iommu *m = self;
    return m->arch->read(m, offset, bytes, now);
}

const struct mmio_ops iommu_mmio_ops = { window_write, window_read };
