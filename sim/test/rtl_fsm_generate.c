/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rtl_fsm_generate.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/rtl/grow.h"

enum { START = 107, SETTLE_CYCLES = 5000 };

#define IOVA       UINT64_C(0x1000000000)
#define IOVA_LARGE UINT64_C(0x1080000000)
#define GUEST      UINT64_C(0x4000000000)

uint32_t fsm_below(struct fsm_generator *g, uint32_t bound)
{
    return rng_below(&g->rng, bound);
}

bool fsm_chance(struct fsm_generator *g, uint32_t percent)
{
    return fsm_below(g, 100) < percent;
}

/* A page of memory that no other has. */
uint64_t fsm_new_page(struct fsm_generator *g, unsigned level)
{
    const uint64_t bytes = UINT64_C(1) << (12 + 9 * level);
    const uint64_t pa    = (g->next_pa + bytes - 1) / bytes * bytes;
    g->next_pa           = pa + bytes;
    return pa;
}

/* ---- Tables ----------------------------------------------------------------------------
 */

/* The faulty leaves of the recordings: read-only, invalid, never accessed, and read-only
 * that was not written. */
static uint64_t leaf_flags(struct fsm_generator *g)
{
    static const uint64_t faulty[] = { 0xdb, 0xde, 0x9f, 0x5b };
    return fsm_chance(g, g->plan.faulty_pct) ? faulty[fsm_below(g, 4)] : FSM_PTE;
}

static unsigned draw_level(struct fsm_generator *g)
{
    return !fsm_chance(g, g->plan.superpage_pct) ? 0 : fsm_chance(g, 80) ? 1 : 2;
}

/* One page through the stages that the device has; with both, of one size. */
static void make_page(struct fsm_generator *g, struct fsm_device *d,
                      const struct fsm_space *first, struct fsm_page *page, unsigned n)
{
    const unsigned level = draw_level(g);
    const uint64_t pa    = fsm_new_page(g, level);
    const uint64_t flags = leaf_flags(g);
    const bool both = d->stages == FSM_NESTED, guilty = fsm_chance(g, 50);
    const uint64_t guest  = both ? GUEST ^ (pa & UINT64_C(0x1ffffffffff)) : pa;
    const uint64_t spread = (uint64_t)n * (n % 3 == 0 ? 1 : 37);
    page->level           = level;
    page->iova            = level == 0 ? IOVA + (spread << 12)
                                       : IOVA_LARGE + ((uint64_t)(n + 1) << (12 + 9 * level));
    if (d->stages == FSM_S2 || both)
        page->leaf = fsm_tables_map(&g->tables, &d->second, both ? guest : page->iova,
                                    level, pa, both && guilty ? FSM_PTE : flags);
    if (d->stages == FSM_S1 || both)
        page->leaf = fsm_tables_map(&g->tables, first, page->iova, level, guest,
                                    both && !guilty ? FSM_PTE : flags);
}

static void make_pages(struct fsm_generator *g, struct fsm_device *d,
                       const struct fsm_space *first, struct fsm_target *target)
{
    target->pages = g->plan.pages;
    for (unsigned n = 0; n < target->pages; n++)
        make_page(g, d, first, &target->page[n], n);
}

/* A process of its own tables; returns its context. */
static struct fsm_pc make_process(struct fsm_generator *g, struct fsm_device *d,
                                  struct fsm_target *target)
{
    struct fsm_space first = fsm_tables_space(&g->tables, false, NULL);
    make_pages(g, d, &first, target);
    const struct fsm_pc pc = { .ta  = 1 | (uint64_t)target->pscid << 12,
                               .fsc = UINT64_C(8) << 60 | first.root >> 12 };
    return pc;
}

static void make_directory(struct fsm_generator *g, struct fsm_device *d, struct fsm_dc *dc)
{
    static const char *const kind[] = { "PDT_L1", "PDT_L2", "PDT_L3" };
    static const unsigned lg2[]     = { 8, 17, 20 };
    const unsigned levels           = g->plan.pdt_levels;
    const uint64_t root             = fsm_tables_pages(&g->tables, 1, kind[levels - 1]);
    d->targets                      = 2 + fsm_below(g, FSM_PROCESSES_MAX - 1);
    for (unsigned i = 0; i < d->targets; i++) {
        struct fsm_target *target = &d->target[i];
        target->has_process       = true;
        target->pscid             = 100 * (d->id + 1) % 0xfffff + i;
        do
            target->process = fsm_below(g, 1u << lg2[levels - 1]);
        while (i != 0 && target->process == target[-1].process);
        const uint64_t at = fsm_tables_process(&g->tables, root, target->process, levels);
        const struct fsm_pc pc = make_process(g, d, target);
        fsm_bench_store(&g->bench.memory, at, pc.ta);
        fsm_bench_store(&g->bench.memory, at + 8, pc.fsc);
    }
    dc->tc |= 1 << 5;
    dc->fsc = (uint64_t)levels << 60 | root >> 12;
}

/* The n-th kind of stages that the plan allows, in turn. */
static enum fsm_stages stages_of(const struct fsm_plan *plan, unsigned n)
{
    unsigned kinds[4], count = 0;
    for (unsigned bit = 0; bit < 4; bit++)
        if ((plan->stages >> bit & 1) != 0)
            kinds[count++] = 1u << bit;
    CHECK(count != 0);
    return (enum fsm_stages)kinds[n % count];
}

static uint32_t draw_device(struct fsm_generator *g, unsigned n)
{
    static const uint32_t bound[] = { 0, 0x40, 0x8000, 0x1000000 };
    for (;;) {
        const uint32_t id = fsm_below(g, bound[g->plan.ddt_levels]);
        unsigned i        = 0;
        while (i < n && g->device[i].id != id)
            i++;
        if (i == n)
            return id;
    }
}

static void make_device(struct fsm_generator *g, unsigned n)
{
    struct fsm_device *d = &g->device[n];
    d->stages            = stages_of(&g->plan, n);
    d->id                = draw_device(g, n);
    d->targets           = 1;
    d->target[0].pscid   = 10 + n;
    const bool second    = d->stages == FSM_S2 || d->stages == FSM_NESTED;
    d->gscid             = second ? 20 + n : 0;
    d->directory = g->plan.pdt_levels != 0 && d->stages == FSM_S1 && !fsm_chance(g, 20);
    if (second)
        d->second = fsm_tables_space(&g->tables, true, NULL);
    const bool first = (d->stages == FSM_S1 || d->stages == FSM_NESTED) && !d->directory;
    if (first)
        d->first = fsm_tables_space(&g->tables, false, second ? &d->second : NULL);
    struct fsm_dc dc =
        fsm_tables_context(first ? &d->first : NULL, second ? &d->second : NULL,
                           first ? d->target[0].pscid : 0, d->gscid);
    if (d->directory)
        make_directory(g, d, &dc);
    else
        make_pages(g, d, &d->first, &d->target[0]);
    fsm_tables_set_device(&g->tables, fsm_tables_device(&g->tables, d->id), &dc);
}

/* ---- The image -------------------------------------------------------------------------
 */

static int compare_words(const void *a, const void *b)
{
    const struct rtl_store *x = a, *y = b;
    return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static void keep_image(struct fsm_bench *b)
{
    struct rtl_run *log = &b->log;
    for (unsigned p = 0; p < FSM_BENCH_PAGES; p++)
        for (unsigned i = 0; b->memory.page[p].number != 0 && i < 512; i++) {
            struct rtl_store *word;
            if (b->memory.page[p].word[i] == 0)
                continue;
            GROW(log, word, words, word);
            *word = (struct rtl_store){ .pa    = b->memory.page[p].number * 4096 + 8 * i,
                                        .value = b->memory.page[p].word[i] };
        }
    qsort(log->word, log->words, sizeof *log->word, compare_words);
}

/* ---- Traffic ---------------------------------------------------------------------------
 */

static void make_odd(struct fsm_generator *g, struct fsm_request *r)
{
    switch (fsm_below(g, 4)) {
    case 0:
        r->has_process = !r->has_process;
        break;
    case 1:
        r->process = fsm_below(g, 1u << 20);
        break;
    case 2:
        r->device ^= 1u << fsm_below(g, 5);
        break;
    default:
        r->iova ^= UINT64_C(1) << (12 + fsm_below(g, 24));
        break;
    }
}

static struct fsm_request draw_request(struct fsm_generator *g)
{
    struct fsm_device *d       = &g->device[fsm_below(g, g->plan.devices)];
    struct fsm_target *target  = &d->target[fsm_below(g, d->targets)];
    const bool local           = fsm_chance(g, g->plan.locality_pct);
    target->last               = local ? target->last : fsm_below(g, target->pages);
    const struct fsm_page *p   = &target->page[target->last];
    const uint64_t mask        = (UINT64_C(1) << (12 + 9 * p->level)) - 8;
    struct fsm_request request = { .iova        = p->iova | (rng_next(&g->rng) & mask),
                                   .device      = d->id,
                                   .process     = target->process,
                                   .has_process = target->has_process };
    if (fsm_chance(g, g->plan.odd_pct))
        make_odd(g, &request);
    return request;
}

static void issue(struct fsm_generator *g, unsigned stream)
{
    struct fsm_stream *s = &g->stream[stream];
    if (s->waiting || g->issued == g->plan.requests || g->bench.now < s->issue
        || g->bench.now < g->held_until)
        return;
    const enum fsm_channel channel   = g->plan.streams == 2 ? (enum fsm_channel)stream
                                       : fsm_chance(g, g->plan.write_pct) ? FSM_AW
                                                                          : FSM_AR;
    const struct fsm_request request = draw_request(g);
    fsm_bench_issue(&g->bench, channel, &request);
    g->rescued_at[channel] = 0;
    s->waiting             = true;
    g->issued++;
}

static void finish(struct fsm_generator *g)
{
    const uint8_t channel                = g->bench.out.done.channel;
    struct rtl_run *log                  = &g->bench.log;
    struct fsm_stream *s                 = &g->stream[g->plan.streams == 2 ? channel : 0];
    s->waiting                           = false;
    s->issue                             = g->bench.now + fsm_below(g, g->plan.gap_max + 1);
    log->request[log->requests - 1].hung = g->rescued_at[channel] != 0;
}

static bool quiet(const struct fsm_generator *g)
{
    return !g->stream[0].waiting && !g->stream[1].waiting;
}

static void software(struct fsm_generator *g)
{
    struct fsm_bench *b  = &g->bench;
    const bool quiesced  = g->plan.invalidation == FSM_QUIESCED;
    const bool empty     = b->fsm.cq.head == g->tail;
    const bool in_flight = g->held_until == CYCLE_NEVER;
    if (in_flight && empty)
        g->held_until = b->now + 1;
    if (g->plan.invalidation == FSM_NONE || b->now < g->batch || in_flight)
        return;
    if (quiesced)
        g->held_until = b->now + 1; /* Until the last request is done. */
    if (b->now < b->register_free || (quiesced && !quiet(g)))
        return;
    fsm_generate_commands(g);
    g->batch = b->now + g->plan.every / 2 + fsm_below(g, g->plan.every);
    if (quiesced)
        g->held_until = CYCLE_NEVER;
}

static cycle_t patience(const struct fsm_generator *g)
{
    return 3000 + 100 * g->bench.log.parameters.read_latency;
}

/* A request that has been under way for too long is rescued. */
static void watch(struct fsm_generator *g, enum fsm_channel channel)
{
    const struct fsm_bench *b         = &g->bench;
    const struct fsm_bench_port *port = &b->port[channel];
    const cycle_t since               = cycle_max(port->served, g->rescued_at[channel]);
    if (!port->request.valid || !port->flagged || b->now < since + patience(g)
        || b->now < b->register_free)
        return;
    fsm_generate_rescue(g, port->request.device);
    g->rescued_at[channel] = b->now;
}

static bool over(const struct fsm_generator *g)
{
    const struct fsm_bench *b = &g->bench;
    return b->log.requests == g->plan.requests && b->fsm.cq.head == g->tail
           && b->fsm.cq.state == FSM_CQ_IDLE && b->fsm.fq.state == FSM_FQ_IDLE
           && b->bursts == 0 && b->fsm.fq.tail == b->tail && b->fsm.cq.head == b->head;
}

/* Nothing is under way: the run could have ended here. */
static void mark(struct fsm_generator *g)
{
    const struct fsm_bench *b = &g->bench;
    if (!quiet(g) || b->fsm.cq.head != g->tail || b->fsm.cq.state != FSM_CQ_IDLE
        || b->fsm.fq.state != FSM_FQ_IDLE || b->bursts != 0 || b->fsm.fq.tail != b->tail
        || b->fsm.cq.head != b->head)
        return;
    g->mark = (struct fsm_mark){ b->log.requests, b->log.stores, b->log.doorbells,
                                 b->log.commands, b->log.faults, b->log.accesses };
}

/* A request hangs for good (the context's walker missed its edge): the run is what was
 * done before. */
static void cut(struct fsm_generator *g)
{
    struct rtl_run *log      = &g->bench.log;
    log->requests            = g->mark.requests;
    log->stores              = g->mark.stores;
    log->doorbells           = g->mark.doorbells;
    log->commands            = g->mark.commands;
    log->faults              = g->mark.faults;
    log->accesses            = g->mark.accesses;
    log->parameters.requests = log->requests;
    g->plan.requests         = (uint32_t)log->requests;
}

static void run(struct fsm_generator *g)
{
    cycle_t heard = g->bench.now;
    while (!over(g)) {
        mark(g);
        if (g->bench.log.requests < g->plan.requests)
            software(g);
        watch(g, FSM_AR);
        watch(g, FSM_AW);
        for (unsigned s = 0; s < g->plan.streams; s++)
            issue(g, s);
        if (fsm_bench_cycle(&g->bench)) {
            finish(g);
            heard = g->bench.now;
        }
        if (g->bench.now > heard + patience(g) * 3) {
            cut(g);
            return;
        }
    }
}

/* ---- The plan --------------------------------------------------------------------------
 */

static void take(uint32_t *field, uint32_t fallback)
{
    if (*field == 0)
        *field = fallback;
}

static void complete(struct fsm_plan *p)
{
    take(&p->requests, 400);
    take(&p->iotlb, 16);
    take(&p->ddtc, 4);
    take(&p->pdtc, 4);
    take(&p->read_latency, 50);
    take(&p->write_latency, p->read_latency);
    take(&p->outstanding, 64);
    take(&p->ddt_levels, 1);
    take(&p->devices, 1);
    take(&p->stages, FSM_S1);
    take(&p->pages, 32);
    take(&p->write_pct, 30);
    take(&p->gap_max, 20);
    take(&p->locality_pct, 50);
    take(&p->streams, 1);
    take(&p->every, 2000);
    CHECK(p->devices <= FSM_DEVICES_MAX);
    CHECK(p->pages <= FSM_PAGES_MAX);
}

static struct rtl_parameters parameters_of(const struct fsm_plan *p)
{
    const struct rtl_parameters parameters = { .iotlb_entries    = p->iotlb,
                                               .device_entries   = p->ddtc,
                                               .process_entries  = p->pdtc,
                                               .process_contexts = p->pdt_levels != 0,
                                               .read_latency     = p->read_latency,
                                               .write_latency    = p->write_latency,
                                               .beats_per_cycle  = 1,
                                               .outstanding_max  = p->outstanding,
                                               .ddtp             = FSM_DDT >> 12 << 10
                                                       | (p->ddt_levels + 1),
                                               .cqb      = FSM_CQB,
                                               .fqb      = FSM_FQB,
                                               .requests = p->requests };
    return parameters;
}

void fsm_generate(struct fsm_generator *g, const struct fsm_plan *plan)
{
    *g = (struct fsm_generator){ .plan = *plan };
    complete(&g->plan);
    g->rng                                 = rng_make(g->plan.seed, "rtl_fsm");
    g->next_pa                             = UINT64_C(0x800001000);
    const struct rtl_parameters parameters = parameters_of(&g->plan);
    fsm_bench_init(&g->bench, &parameters);
    fsm_tables_init(&g->tables, &g->bench.memory, g->plan.ddt_levels);
    for (unsigned n = 0; n < g->plan.devices; n++)
        make_device(g, n);
    keep_image(&g->bench);
    g->bench.now = START;
    g->batch     = START + g->plan.every / 2;
    for (unsigned s = 0; s < FSM_STREAMS_MAX; s++)
        g->stream[s].issue = START + 1;
    run(g);
}

void fsm_generator_free(struct fsm_generator *g)
{
    fsm_bench_free(&g->bench);
}
