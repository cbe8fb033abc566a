/* SPDX-License-Identifier: Apache-2.0 */
/* trace_check_replay - what our driver maps for each request, on a whole machine. */
#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-watch.h"
#include "sim/app/interrupt.h"
#include "sim/app/machine.h"
#include "sim/app/trace_check.h"
#include "sim/host/direct.h"

/* What is mapped now: whose it is. */
struct out {
    dma_addr_t addr;
    uint32_t feed;
};

struct taking {
    struct check_feed **feed;     /* Of this drive. */
    uint32_t feeds, next;         /* next: to be read. */
    uint32_t at[ENGINE_CPUS_MAX]; /* What each CPU maps for. */
    struct out *out;
    uint32_t outs, room;
    uint64_t pool_pages;
};

void sizes_add(struct sizes *s, uint64_t bytes)
{
    if (s->count == s->room) {
        s->room  = s->room == 0 ? 4 : 2 * s->room;
        s->bytes = realloc(s->bytes, s->room * sizeof *s->bytes);
        CHECK(s->bytes != NULL);
    }
    s->bytes[s->count++] = bytes;
}

void mapped_free(struct mapped *m)
{
    free(m->map.bytes);
    free(m->unmap.bytes);
    memset(m, 0, sizeof *m);
}

/* ---- The requests as a trace
 * ---------------------------------------------------------------- */

/* The reader owns no more than the place of it all. */
struct made {
    struct taking *taking;
};

static void *made_open(const void *self, struct trace_about *about, struct error *error)
{
    (void)about, (void)error;
    struct made *m = malloc(sizeof *m);
    CHECK(m != NULL);
    *m              = *(const struct made *)self;
    m->taking->next = 0;
    return m;
}

static int made_next(void *state, struct trace_record *record, struct error *error)
{
    struct taking *t = ((struct made *)state)->taking;
    (void)error;
    if (t->next == t->feeds)
        return 0;
    const struct check_feed *f = t->feed[t->next];
    *record                    = (struct trace_record){ .time_ns        = t->next,
                                                        .latency_ns     = TRACE_LATENCY_UNKNOWN,
                                                        .lba            = f->lba,
                                                        .bytes          = f->bytes,
                                                        .cpu            = f->cpu,
                                                        .completion_cpu = f->cpu,
                                                        .depth          = f->depth,
                                                        .op             = f->op,
                                                        .segment_count  = f->segments,
                                                        .segment        = f->segment };
    t->next++;
    return 1;
}

static const struct trace_maker maker = {
    .format = "requests",
    .open   = made_open,
    .next   = made_next,
    .close  = free,
    .forget = free,
};

/* ---- The driver's calls
 * ---------------------------------------------------------------------- */

static void issued(void *self, unsigned cpu, uint64_t index)
{
    struct taking *t = self;
    CHECK(index < t->feeds);
    t->at[cpu] = (uint32_t)index;
}

static void put_out(struct taking *t, dma_addr_t addr, uint32_t feed)
{
    if (t->outs == t->room) {
        t->room = t->room == 0 ? 64 : 2 * t->room;
        t->out  = realloc(t->out, t->room * sizeof *t->out);
        CHECK(t->out != NULL);
    }
    t->out[t->outs++] = (struct out){ addr, feed };
}

static struct mapped *take_out(struct taking *t, dma_addr_t addr)
{
    for (uint32_t i = t->outs; i-- > 0;)
        if (t->out[i].addr == addr) {
            struct mapped *m = &t->feed[t->out[i].feed]->ours;
            t->out[i]        = t->out[--t->outs];
            return m;
        }
    return NULL;
}

/* One more mapping of a request that may have some. */
static void go_on(struct mapped *m, enum mapped_way way)
{
    if (m->way == MAPPED_nothing)
        m->way = way;
    else if ((m->way == MAPPED_single || m->way == MAPPED_pieces) && way == MAPPED_single)
        m->way = MAPPED_pieces;
    else
        m->way = MAPPED_several;
}

static void mapped_list(struct mapped *m, const struct dma_watched *call)
{
    const struct scatterlist *sg = call->sgl;
    go_on(m, MAPPED_list);
    m->elements = (uint32_t)call->nents;
    for (int i = 0; i < call->mapped; i++, sg = sg_next((struct scatterlist *)sg))
        sizes_add(&m->map, sg->dma_length);
}

static void maps(struct taking *t, const struct dma_watched *call, uint32_t feed)
{
    struct mapped *m = &t->feed[feed]->ours;
    switch (call->kind) {
    case DMA_WATCH_MAP:
        go_on(m, MAPPED_single);
        sizes_add(&m->map, call->size);
        break;
    case DMA_WATCH_MAP_SG:
        mapped_list(m, call);
        break;
    case DMA_WATCH_TRY_ALLOC:
        if (call->addr == 0)
            return;
        go_on(m, MAPPED_coalesced);
        break;
    default:
        sizes_add(&m->map, call->size);
        return;
    }
    put_out(t, call->addr, feed);
}

static void called(void *self, const struct device *dev, const struct dma_watched *call)
{
    struct taking *t = self;
    struct mapped *m;
    (void)dev;
    switch (call->kind) {
    case DMA_WATCH_COHERENT:
        t->pool_pages++;
        break;
    case DMA_WATCH_UNLINK: /* The driver only destroys. */
        break;
    case DMA_WATCH_UNMAP:
    case DMA_WATCH_DESTROY:
        if ((m = take_out(t, call->addr)) != NULL)
            sizes_add(&m->unmap, call->size);
        break;
    case DMA_WATCH_UNMAP_SG:
        if ((m = take_out(t, call->addr)) != NULL)
            sizes_add(&m->unmap, (uint64_t)call->nents);
        break;
    default:
        maps(t, call, t->at[cpu_this()->id]);
    }
}

/* ---- The run
 * --------------------------------------------------------------------------------- */

static bool run_machine(struct taking *t, struct trace_reader *reader,
                        const struct check_replay *r, const struct config *config,
                        struct error *error)
{
    const struct replay_source source   = { "the recording", reader };
    const struct replay_watcher records = { issued, t };
    const struct dma_watcher calls      = { called, t };
    const struct machine_run run        = { .api         = r->api,
                                            .policy      = flush_find(r->policy),
                                            .cpus        = r->cpus,
                                            .limit       = UINT64_MAX,
                                            .run_ahead   = true,
                                            .source      = &source,
                                            .sources     = 1,
                                            .interrupted = &interrupt_seen,
                                            .records     = &records,
                                            .calls       = &calls };
    struct machine_result *result       = calloc(1, sizeof *result);
    struct direct_host *host            = direct_host_new();
    CHECK(result != NULL);
    const enum machine_outcome outcome =
        machine_run(config, &run, direct_host_verbs(host), result, error);
    direct_host_free(host);
    free(result);
    if (outcome == MACHINE_STOPPED)
        return error_set(error, "interrupted");
    return outcome == MACHINE_RAN;
}

static bool run_drive(struct taking *t, const struct check_replay *r,
                      const struct config *config, struct error *error)
{
    struct trace_reader *reader;
    struct made *made = malloc(sizeof *made);
    CHECK(made != NULL);
    made->taking = t;
    if (!trace_open_made(&reader, &maker, made, "the recording", error))
        return false;
    const bool good = run_machine(t, reader, r, config, error);
    trace_close(reader);
    return good;
}

bool trace_check_replay(struct check_replay *r, const struct config *config,
                        struct error *error)
{
    struct taking t = { .feed = calloc(r->feeds + 1, sizeof *t.feed) };
    CHECK(t.feed != NULL);
    for (uint32_t i = 0; i < r->feeds; i++)
        if (r->feed[i].drive == r->drive)
            t.feed[t.feeds++] = &r->feed[i];
    const bool good = t.feeds == 0 || run_drive(&t, r, config, error);
    r->pool_pages   = t.pool_pages;
    free(t.out);
    free(t.feed);
    return good;
}
