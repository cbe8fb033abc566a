/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/replay.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/riscv_spec.h"
#include "sim/rtl/grow.h"

enum {
    DOORBELL_CYCLES = 2, /* From a register write's presentation until it is there. */
    ASK_REQUESTS    = 1024,
    SEED            = 1,
};

/* A request that is issued a second time. */
struct again {
    cycle_t cycle;
    size_t request;
};

struct player {
    const struct rtl_replay *replay;
    const struct rtl_run *run;
    struct rtl_result *result;
    struct memory memory;
    struct mem_channel channel;
    struct iommu_settings settings;
    struct iommu_watcher watcher;
    struct iommu iommu;
    sim_time_t iommu_due, client_due;
    unsigned client;

    cycle_t *issue; /* When each request is issued, at the earliest. */
    size_t oldest;  /* Request that is not answered: in order of their recorded ends. */
    struct again *again;
    size_t agains, again_next;
    size_t next[RTL_CHANNELS]; /* The next request of each channel. */
    size_t store_next, doorbell_next;
    size_t commands_done, heads_moved;
    uint64_t answered;
    cycle_t bus_free; /* When the next beat can be on the memory's data path. */
    bool empties_faults, stuck;
};

/* ---- What is noted ---------------------------------------------------------------------
 */

static void on_fetched(void *self, uint32_t index, cycle_t accepted)
{
    struct player *p = self;
    struct rtl_command *command;
    GROW(p->result, command, commands, command);
    command->index   = index;
    command->fetched = accepted;
    command->flushed = command->head = CYCLE_NEVER;
}

static void on_done(void *self, uint32_t index, cycle_t cycle)
{
    struct player *p = self;
    CHECK(p->commands_done < p->result->commands);
    CHECK(p->result->command[p->commands_done].index == index);
    p->result->command[p->commands_done++].flushed = cycle;
}

static void on_head(void *self, uint32_t head, cycle_t cycle)
{
    struct player *p = self;
    (void)head;
    CHECK(p->heads_moved < p->result->commands);
    p->result->command[p->heads_moved++].head = cycle;
}

static void on_fault(void *self, uint32_t tail, cycle_t visible)
{
    struct player *p = self;
    struct rtl_fault *fault;
    GROW(p->result, fault, faults, fault);
    *fault = (struct rtl_fault){ visible, tail };
}

/* The RTL's number of the engine at a place. */
static uint32_t engine_of(unsigned place)
{
    return place >= MEMPORT_WALKER ? 0 : place == MEMPORT_CONTEXT ? 1 : 2;
}

static void on_read(void *self, unsigned place, uint64_t pa, uint32_t words,
                    cycle_t presented, cycle_t accepted)
{
    struct player *p               = self;
    const struct rtl_parameters *r = &p->run->parameters;
    struct rtl_access *access;
    GROW(p->result, access, accesses, access);
    access->presented = presented;
    access->accepted  = accepted;
    access->pa        = pa;
    access->beats     = words;
    access->engine    = engine_of(place);
    access->first     = cycle_max(accepted + r->read_latency, p->bus_free);
    access->last      = access->first + (words - 1) / r->beats_per_cycle;
    p->bus_free       = access->last + 1;
}

/* ---- Set-up ----------------------------------------------------------------------------
 */

static sim_time_t time_of(const struct player *p, cycle_t cycle)
{
    return cycle_time(cycle, p->settings.iommu.period_ps);
}

/* The fault queue of some runs is emptied by software, which the recording does not show
 * but for the tail that comes round. */
static bool comes_round(const struct rtl_run *run)
{
    for (size_t i = 1; i < run->faults; i++)
        if (run->fault[i].tail < run->fault[i - 1].tail)
            return true;
    return false;
}

static bool drops_context(const struct rtl_command *c, uint32_t device)
{
    const struct riscv_command command = { c->low, c->high };
    return RISCV_CMD_OPCODE(c->low) == RISCV_IODIR
           && RISCV_CMD_FUNC(c->low) == RISCV_INVAL_DDT
           && ((c->low & RISCV_DIR_DV) == 0 || riscv_dir_device(command) == device);
}

cycle_t rtl_rescue(const struct rtl_run *run, const struct rtl_request *request,
                   cycle_t after)
{
    for (size_t i = 0; i < run->commands && run->command[i].fetched < request->done; i++) {
        const struct rtl_command *c = &run->command[i];
        if (c->flushed != CYCLE_NEVER && c->flushed > after && c->flushed < request->done
            && drops_context(c, request->device))
            return c->flushed;
    }
    return CYCLE_NEVER;
}

/* The request that waited behind a hung one, in the other channel, waits until its end. */
static void hold_next(struct player *p, size_t hung)
{
    const struct rtl_request *r = &p->run->request[hung];
    for (size_t i = hung + 1; i < p->run->requests; i++) {
        if (p->run->request[i].channel == r->channel)
            continue;
        if (p->run->request[i].issued <= r->done)
            p->issue[i] = r->done + 1;
        return;
    }
}

static void plan(struct player *p)
{
    p->issue = calloc(p->run->requests + 1, sizeof *p->issue);
    CHECK(p->issue != NULL);
    for (size_t i = 0; i < p->run->requests; i++)
        p->issue[i] = p->run->request[i].issued;
    for (size_t i = 0; i < p->run->requests; i++) {
        const cycle_t rescue = p->replay->rescue[i];
        if (rescue == 0)
            continue;
        hold_next(p, i);
        if (rescue == CYCLE_NEVER)
            continue;
        struct again *again;
        GROW(p, again, agains, again);
        *again = (struct again){ rescue, i };
    }
}

/* The device issued it when all that had ended before were answered, and does so here. */
static bool free_to_issue(const struct player *p, size_t index)
{
    return p->oldest >= index
           || p->run->request[p->oldest].done >= p->run->request[index].issued;
}

static void skip_to_channel(struct player *p, unsigned channel)
{
    size_t *next = &p->next[channel];
    while (*next < p->run->requests && p->run->request[*next].channel != channel)
        ++*next;
}

static void register_write(struct player *p, uint32_t offset, uint64_t value,
                           unsigned bytes, cycle_t cycle)
{
    iommu_mmio_ops.write(&p->iommu, offset, value, bytes, time_of(p, cycle));
}

/* Before the recorded cycles begin. */
static void bring_up(struct player *p)
{
    register_write(p, RISCV_CQB, p->run->parameters.cqb, 8, 0);
    register_write(p, RISCV_CQT, 0, 4, 0);
    register_write(p, RISCV_CQCSR, RISCV_QUEUE_ENABLE, 4, 0);
    register_write(p, RISCV_FQB, p->run->parameters.fqb, 8, 0);
    register_write(p, RISCV_FQH, 0, 4, 0);
    register_write(p, RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4, 0);
    register_write(p, RISCV_DDTP, p->run->parameters.ddtp, 8, 0);
}

/* The memory and the write path of the RTL's bench, in the model's clock. */
static void connect(struct player *p)
{
    const struct rtl_parameters *r = &p->run->parameters;
    const uint64_t period          = p->replay->settings->iommu.period_ps;
    p->settings                    = *p->replay->settings;
    p->settings.write_ps           = r->write_latency * period;
    p->channel = (struct mem_channel){ .latency_ps = r->read_latency * period,
                                       .beat_ps    = period,
                                       .beat_bytes = (uint32_t)(8 * r->beats_per_cycle) };
    memory_init(&p->memory);
    for (size_t i = 0; i < p->run->words; i++)
        memory_write64(&p->memory, p->run->word[i].pa, p->run->word[i].value);
}

static void start(struct player *p)
{
    connect(p);
    p->iommu_due = p->client_due = TIME_NEVER;
    iommu_init(&p->iommu, &p->settings, NULL, &p->iommu_due, &p->memory, &p->channel, SEED);
    p->client  = iommu_attach(&p->iommu, &p->client_due, IOMMU_RESPONSES(&p->iommu), false);
    p->watcher = (struct iommu_watcher){ .command_fetched = on_fetched,
                                         .command_done    = on_done,
                                         .head_moved      = on_head,
                                         .fault_written   = on_fault,
                                         .read_accepted   = on_read,
                                         .self            = p };
    p->iommu.watcher  = &p->watcher;
    p->empties_faults = comes_round(p->run);
    p->result->answer = calloc(p->run->requests + 1, sizeof *p->result->answer);
    CHECK(p->result->answer != NULL);
    for (size_t i = 0; i < p->run->requests; i++)
        p->result->answer[i].done = CYCLE_NEVER;
    plan(p);
    for (unsigned c = 0; c < RTL_CHANNELS; c++)
        skip_to_channel(p, c);
    bring_up(p);
}

static void stop(struct player *p)
{
    iommu_free(&p->iommu);
    memory_free(&p->memory);
    free(p->issue);
    free(p->again);
}

/* ---- A cycle ---------------------------------------------------------------------------
 */

static void store(struct player *p, cycle_t now)
{
    for (; p->store_next < p->run->stores && p->run->store[p->store_next].cycle <= now;
         p->store_next++) {
        const struct rtl_store *s = &p->run->store[p->store_next];
        memory_write64(&p->memory, s->pa, s->value);
    }
}

static void ring(struct player *p, cycle_t now)
{
    for (; p->doorbell_next < p->run->doorbells
           && p->run->doorbell[p->doorbell_next].cycle + DOORBELL_CYCLES <= now;
         p->doorbell_next++)
        register_write(p, RISCV_CQT, p->run->doorbell[p->doorbell_next].tail, 4, now);
}

static void submit(struct player *p, size_t index, cycle_t now)
{
    const struct rtl_request *r = &p->run->request[index];
    if (!iommu_ready(&p->iommu, p->client)) {
        p->stuck = true; /* Nothing is answered any more. */
        return;
    }
    struct iommu_request *q = iommu_request(&p->iommu);
    *q                      = (struct iommu_request){ .iova      = r->iova,
                                                      .id        = (uint32_t)index,
                                                      .requester = r->device,
                                                      .pasid     = r->process,
                                                      .access    = r->channel == RTL_AW ? PT_WRITE : PT_READ,
                                                      .has_pasid = r->has_process };
    iommu_submit(&p->iommu, p->client, time_of(p, now));
}

static void issue(struct player *p, cycle_t now)
{
    for (; p->again_next < p->agains && p->again[p->again_next].cycle <= now;
         p->again_next++)
        submit(p, p->again[p->again_next].request, now);
    for (unsigned channel = 0; channel < RTL_CHANNELS; channel++)
        while (p->next[channel] < p->run->requests && p->issue[p->next[channel]] <= now
               && free_to_issue(p, p->next[channel])) {
            submit(p, p->next[channel]++, now);
            skip_to_channel(p, channel);
        }
}

/* An answer came later than recorded: what waited for it follows in the next cycle. */
static void release(struct player *p, cycle_t now)
{
    while (p->oldest < p->run->requests && p->result->answer[p->oldest].done != CYCLE_NEVER)
        p->oldest++;
    for (unsigned channel = 0; channel < RTL_CHANNELS; channel++) {
        const size_t next = p->next[channel];
        if (next < p->run->requests && p->issue[next] <= now && free_to_issue(p, next))
            p->issue[next] = now + 1;
    }
}

static void take(struct player *p, cycle_t now)
{
    const struct iommu_response *r;
    while ((r = iommu_take(&p->iommu, p->client, time_of(p, now), &p->client_due))
           != NULL) {
        struct rtl_answer *a = &p->result->answer[r->id];
        a->left              = r->due;
        if (a->done != CYCLE_NEVER)
            continue; /* Issued a second time. */
        *a = (struct rtl_answer){ .done        = r->due,
                                  .left        = r->due,
                                  .pa          = r->pa,
                                  .cause       = r->cause,
                                  .reads       = r->reads,
                                  .fault       = r->outcome == XLATE_faulted,
                                  .context_hit = r->context_hit,
                                  .iotlb_hit   = r->iotlb_hit };
        p->answered++;
        release(p, now);
    }
}

/* When something happens next. */
static sim_time_t due(const struct player *p)
{
    cycle_t next[3 + RTL_CHANNELS] = { 0 };
    sim_time_t first               = time_min(p->iommu_due, p->client_due);
    unsigned count                 = 0;
    if (p->store_next < p->run->stores)
        next[count++] = p->run->store[p->store_next].cycle;
    if (p->doorbell_next < p->run->doorbells)
        next[count++] = p->run->doorbell[p->doorbell_next].cycle + DOORBELL_CYCLES;
    if (p->again_next < p->agains)
        next[count++] = p->again[p->again_next].cycle;
    for (unsigned channel = 0; channel < RTL_CHANNELS; channel++)
        if (p->next[channel] < p->run->requests && free_to_issue(p, p->next[channel]))
            next[count++] = p->issue[p->next[channel]];
    for (unsigned i = 0; i < count; i++)
        first = time_min(first, time_of(p, next[i]));
    return first;
}

static void play(struct player *p, cycle_t now)
{
    const size_t faults = p->result->faults;
    store(p, now);
    ring(p, now);
    issue(p, now);
    if (p->iommu_due <= time_of(p, now))
        iommu_step(&p->iommu, time_of(p, now));
    take(p, now);
    if (p->empties_faults && p->result->faults > faults)
        register_write(p, RISCV_FQH, p->result->fault[p->result->faults - 1].tail, 4, now);
}

bool rtl_replay(const struct rtl_replay *replay, struct rtl_result *result)
{
    struct player *p = calloc(1, sizeof *p);
    uint64_t asked   = 0;
    bool wanted      = true;
    CHECK(p != NULL);
    *result   = (struct rtl_result){ .answer = NULL };
    p->replay = replay;
    p->run    = replay->run;
    p->result = result;
    start(p);
    for (sim_time_t now; wanted && !p->stuck && (now = due(p)) != TIME_NEVER;) {
        play(p, cycle_at_or_after(now, p->settings.iommu.period_ps));
        if (replay->go_on != NULL && p->answered >= asked) {
            wanted = replay->go_on(replay->self, p->answered);
            asked  = p->answered + ASK_REQUESTS;
        }
    }
    stop(p);
    free(p);
    return wanted;
}

void rtl_result_free(struct rtl_result *result)
{
    free(result->answer);
    free(result->command);
    free(result->fault);
    free(result->access);
}
