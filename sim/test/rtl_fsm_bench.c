/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rtl_fsm_bench.h"

#include <stdlib.h>

#include "sim/base/check.h"
#include "sim/rtl/grow.h"

/* ---- Memory ----------------------------------------------------------------------------
 */

static struct fsm_bench_page *page_of(const struct fsm_bench_memory *m, uint64_t pa)
{
    const uint64_t number = pa >> 12;
    uint64_t at           = (number ^ number >> 9) % FSM_BENCH_PAGES;
    CHECK(number != 0);
    for (unsigned tries = 0; tries < FSM_BENCH_PAGES;
         tries++, at = (at + 1) % FSM_BENCH_PAGES)
        if (m->page[at].number == number || m->page[at].number == 0)
            return &m->page[at];
    UNREACHABLE("memory of the bench is full");
}

uint64_t fsm_bench_load(const struct fsm_bench_memory *m, uint64_t pa)
{
    if (pa >> 12 == 0)
        return 0;
    const struct fsm_bench_page *p = page_of(m, pa);
    return p->number == 0 ? 0 : p->word[pa >> 3 & 511];
}

void fsm_bench_store(struct fsm_bench_memory *m, uint64_t pa, uint64_t value)
{
    struct fsm_bench_page *p = page_of(m, pa);
    p->number                = pa >> 12;
    p->word[pa >> 3 & 511]   = value;
}

static void accept_read(struct fsm_bench *b, const struct fsm_read *r, size_t access)
{
    CHECK(b->bursts < FSM_BENCH_BURSTS);
    CHECK(r->beats <= FSM_BENCH_BEATS);
    struct fsm_bench_burst *burst =
        &b->burst[(b->burst_first + b->bursts++) % FSM_BENCH_BURSTS];
    *burst = (struct fsm_bench_burst){ .due    = b->now + b->log.parameters.read_latency,
                                       .id     = r->id,
                                       .beats  = r->beats,
                                       .access = access };
    for (uint32_t i = 0; i < r->beats; i++)
        burst->data[i] = fsm_bench_load(&b->memory, r->pa + 8 * i);
}

/* The beat on the channel in this cycle, which is always taken. */
static void offer_beat(struct fsm_bench *b, struct fsm_in *in)
{
    struct fsm_bench_burst *burst = &b->burst[b->burst_first];
    if (b->bursts == 0 || burst->due > b->now)
        return;
    struct rtl_access *access = &b->log.access[burst->access];
    if (burst->sent == 0)
        access->first = b->now;
    const uint64_t data = burst->data[burst->sent++];
    in->beat            = (struct fsm_beat){
                   .valid = true, .id = burst->id, .data = data, .last = burst->sent == burst->beats
    };
    if (!in->beat.last)
        return;
    access->last   = b->now;
    b->burst_first = (b->burst_first + 1) % FSM_BENCH_BURSTS;
}

static void offer_response(struct fsm_bench *b, struct fsm_in *in)
{
    if (b->responses == 0 || b->response[0].due > b->now)
        return;
    in->response_valid                        = true;
    in->response_id                           = b->response[0].id;
    b->log.access[b->response[0].access].last = b->now;
    b->responses--;
    for (uint32_t i = 0; i < b->responses; i++)
        b->response[i] = b->response[i + 1];
}

/* ---- Stimuli ---------------------------------------------------------------------------
 */

void fsm_bench_issue(struct fsm_bench *b, enum fsm_channel channel,
                     const struct fsm_request *request)
{
    struct fsm_bench_port *port = &b->port[channel];
    CHECK(!port->request.valid);
    *port               = (struct fsm_bench_port){ .request   = *request,
                                                   .issued    = b->now,
                                                   .iotlb_hit = RTL_UNKNOWN };
    port->request.valid = true;
}

void fsm_bench_software_store(struct fsm_bench *b, uint64_t pa, uint64_t value)
{
    struct rtl_store *store;
    struct rtl_run *log = &b->log;
    GROW(log, store, stores, store);
    *store = (struct rtl_store){ .cycle = b->now, .pa = pa, .value = value };
    fsm_bench_store(&b->memory, pa, value);
}

void fsm_bench_ring(struct fsm_bench *b, uint32_t tail)
{
    struct rtl_doorbell *doorbell;
    struct rtl_run *log = &b->log;
    CHECK(b->now >= b->register_free);
    GROW(log, doorbell, doorbells, doorbell);
    *doorbell        = (struct rtl_doorbell){ .cycle = b->now, .tail = tail };
    b->register_free = b->now + 4;
    b->doorbell      = tail;
    b->rings         = true;
}

/* ---- Recorder --------------------------------------------------------------------------
 */

static struct rtl_access *new_access(struct fsm_bench *b, uint64_t pa, uint32_t beats,
                                     uint32_t engine)
{
    struct rtl_run *log = &b->log;
    struct rtl_access *access;
    GROW(log, access, accesses, access);
    *access = (struct rtl_access){
        .presented = b->now, .accepted = b->now, .pa = pa, .beats = beats, .engine = engine
    };
    return access;
}

static void record_fetch(struct fsm_bench *b, uint64_t pa)
{
    struct rtl_run *log = &b->log;
    struct rtl_command *command;
    GROW(log, command, commands, command);
    *command = (struct rtl_command){ .fetched = b->now,
                                     .flushed = CYCLE_NEVER,
                                     .index   = b->fsm.cq.head,
                                     .low     = fsm_bench_load(&b->memory, pa),
                                     .high    = fsm_bench_load(&b->memory, pa + 8) };
}

static void record_read(struct fsm_bench *b, bool ready)
{
    const struct fsm_read *r = &b->out.read;
    if (r->valid && !b->showing)
        b->valid_since = b->now;
    b->showing = r->valid && !ready;
    if (!r->valid || !ready)
        return;
    struct rtl_access *access = new_access(b, r->pa, r->beats, r->id);
    access->presented         = b->valid_since;
    accept_read(b, r, b->log.accesses - 1);
    if (r->id == FSM_ID_CQ)
        record_fetch(b, r->pa);
    else
        b->reads++;
}

static void record_write(struct fsm_bench *b)
{
    const struct fsm_out *out = &b->out;
    if (out->write.valid) {
        new_access(b, out->write.pa, out->write.beats, out->write.id)->write = true;
        b->write_access[out->write.id] = b->log.accesses - 1;
    }
    if (!out->datum_valid || !out->datum_last)
        return;
    CHECK(b->responses < FSM_BENCH_BURSTS);
    b->log.access[b->write_access[out->datum_id]].first = b->now;
    b->response[b->responses++] =
        (struct fsm_bench_response){ .due    = b->now + b->log.parameters.write_latency,
                                     .id     = out->datum_id,
                                     .access = b->write_access[out->datum_id] };
}

/* The flags of a request are those of its first look-ups. */
static void record_flags(struct fsm_bench *b)
{
    const struct fsm_seen *seen = &b->out.seen;
    struct fsm_bench_port *port = &b->port[seen->channel];
    if (!seen->active)
        return;
    if (!port->flagged) {
        port->context_hit = seen->context_hit;
        port->served      = b->now;
    }
    if (!port->looked && seen->looked)
        port->iotlb_hit = seen->hit;
    port->flagged = true;
    port->looked |= seen->looked;
}

static void record_done(struct fsm_bench *b)
{
    const struct fsm_done *done = &b->out.done;
    struct fsm_bench_port *port = &b->port[done->channel];
    struct rtl_run *log         = &b->log;
    struct rtl_request *r;
    GROW(log, request, requests, r);
    *r                  = (struct rtl_request){ .issued      = port->issued,
                                                .done        = b->now,
                                                .iova        = port->request.iova,
                                                .pa          = done->pa,
                                                .device      = port->request.device,
                                                .process     = port->request.process,
                                                .cause       = done->cause,
                                                .reads       = b->reads,
                                                .channel     = done->channel,
                                                .context_hit = port->context_hit,
                                                .iotlb_hit   = port->iotlb_hit,
                                                .has_process = port->request.has_process,
                                                .fault       = done->fault };
    port->request.valid = false;
    b->reads            = 0;
}

/* What the registers show in this cycle that they did not in the last. */
static void record_registers(struct fsm_bench *b)
{
    struct rtl_run *log = &b->log;
    if (b->fsm.cq.head != b->head)
        log->command[log->commands - 1].head = b->now;
    if (b->fsm.fq.tail != b->tail) {
        struct rtl_fault *fault;
        GROW(log, fault, faults, fault);
        *fault = (struct rtl_fault){ .cycle = b->now, .tail = b->fsm.fq.tail };
    }
    b->head = b->fsm.cq.head;
    b->tail = b->fsm.fq.tail;
}

/* ---- The cycle -------------------------------------------------------------------------
 */

bool fsm_bench_cycle(struct fsm_bench *b)
{
    struct fsm_in in = { .port       = { b->port[0].request, b->port[1].request },
                         .tail_valid = b->rings,
                         .tail       = b->doorbell,
                         .read_ready = b->bursts < b->log.parameters.outstanding_max };
    b->rings         = false;
    record_registers(b);
    offer_beat(b, &in);
    offer_response(b, &in);
    fsm_clock(&b->fsm, &in, &b->out);
    if (in.beat.valid && in.beat.last)
        b->bursts--;
    record_read(b, in.read_ready);
    record_write(b);
    record_flags(b);
    if (b->out.flush)
        b->log.command[b->log.commands - 1].flushed = b->now;
    if (b->out.done.valid)
        record_done(b);
    b->now++;
    return b->out.done.valid;
}

void fsm_bench_init(struct fsm_bench *b, const struct rtl_parameters *parameters)
{
    const struct fsm_config config = {
        .iotlb_entries    = (uint32_t)parameters->iotlb_entries,
        .device_entries   = (uint32_t)parameters->device_entries,
        .process_entries  = (uint32_t)parameters->process_entries,
        .process_contexts = parameters->process_contexts != 0,
        .ddtp             = parameters->ddtp,
        .cqb              = parameters->cqb,
        .fqb              = parameters->fqb,
    };
    CHECK(parameters->beats_per_cycle == 1);
    CHECK(parameters->msi_flat == 0);
    *b             = (struct fsm_bench){ .log = { .parameters = *parameters } };
    b->memory.page = calloc(FSM_BENCH_PAGES, sizeof *b->memory.page);
    CHECK(b->memory.page != NULL);
    b->log.has_accesses = true;
    fsm_init(&b->fsm, &config);
}

void fsm_bench_free(struct fsm_bench *b)
{
    rtl_run_free(&b->log);
    free(b->memory.page);
}

/* ---- Replay ----------------------------------------------------------------------------
 */

enum { PATIENCE = 100000 };

/* The next request of a channel, in the order in which they were issued. */
static size_t next_of(const struct rtl_run *run, size_t at, uint8_t channel)
{
    while (at < run->requests && run->request[at].channel != channel)
        at++;
    return at;
}

static void replay_request(struct fsm_bench *b, const struct rtl_run *run, size_t *at,
                           uint8_t channel)
{
    if (*at == run->requests || b->port[channel].request.valid
        || run->request[*at].issued > b->now)
        return;
    const struct rtl_request *r    = &run->request[*at];
    const struct fsm_request issue = { .iova        = r->iova,
                                       .device      = r->device,
                                       .process     = r->process,
                                       .has_process = r->has_process };
    fsm_bench_issue(b, channel, &issue);
    *at = next_of(run, *at + 1, channel);
}

static void replay_software(struct fsm_bench *b, const struct rtl_run *run, size_t *store,
                            size_t *doorbell)
{
    for (; *store < run->stores && run->store[*store].cycle <= b->now; ++*store)
        fsm_bench_software_store(b, run->store[*store].pa, run->store[*store].value);
    if (*doorbell < run->doorbells && run->doorbell[*doorbell].cycle <= b->now)
        fsm_bench_ring(b, run->doorbell[(*doorbell)++].tail);
}

static bool replay_is_over(const struct fsm_bench *b, const struct rtl_run *run)
{
    return b->log.requests == run->requests && b->fsm.cq.head == b->fsm.cq.tail
           && b->fsm.fq.state == FSM_FQ_IDLE && b->responses == 0 && b->bursts == 0
           && b->head == b->fsm.cq.head && b->tail == b->fsm.fq.tail;
}

bool fsm_bench_replay(struct fsm_bench *b, const struct rtl_run *run)
{
    size_t at[FSM_BENCH_PORTS] = { next_of(run, 0, FSM_AR), next_of(run, 0, FSM_AW) };
    size_t store = 0, doorbell = 0;
    cycle_t heard = 0;
    for (size_t i = 0; i < run->words; i++)
        fsm_bench_store(&b->memory, run->word[i].pa, run->word[i].value);
    while (!replay_is_over(b, run) || doorbell < run->doorbells) {
        replay_software(b, run, &store, &doorbell);
        for (uint8_t channel = 0; channel < FSM_BENCH_PORTS; channel++)
            replay_request(b, run, &at[channel], channel);
        if (fsm_bench_cycle(b))
            heard = b->now;
        if (b->now > heard + PATIENCE)
            return false;
    }
    return true;
}
