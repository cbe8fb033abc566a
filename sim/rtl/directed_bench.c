/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/directed_bench.h"

#include <stdlib.h>
#include <string.h>

#include "sim/rtl/grow.h"

enum {
    QUIET_CYCLES = 64,      /* Behind the set-up. */
    CYCLES_MAX   = 1 << 30, /* No scenario takes so long. */
    RESPONSES    = 64,
    ENGINE_WALK  = 0, /* AXI ids of reads, and of writes. */
    ENGINE_CONTEXT,
    ENGINE_COMMANDS,
    ENGINE_FENCE  = 0,
    ENGINE_FAULTS = 1,
};

/* ---- Watching --------------------------------------------------------------------------
 */

static void on_read(void *self, unsigned place, uint64_t pa, uint32_t words,
                    cycle_t presented, cycle_t accepted)
{
    struct directed_bench *b = self;
    struct directed_access *a;
    GROW(b, access, access_count, a);
    const cycle_t first =
        cycle_max(accepted + b->scenario.read_latency, b->bus_free); /* In order. */
    b->bus_free = first + words;
    (void)presented; /* The port shows one read at a time: the one that is accepted next. */
    *a = (struct directed_access){
        .engine    = place == MEMPORT_INVQ      ? ENGINE_COMMANDS
                     : place == MEMPORT_CONTEXT ? ENGINE_CONTEXT
                                                : ENGINE_WALK,
        .beats     = words,
        .presented = (int64_t)accepted,
        .accepted  = (int64_t)accepted,
        .data      = (int64_t)first,
        .last      = (int64_t)first + words - 1,
    };
    strcpy(a->kind, directed_tables_kind(&b->tables, pa));
}

/* The address goes one cycle ahead of the first beat. */
static void on_write(void *self, uint64_t pa, uint32_t words, cycle_t issued, cycle_t acked)
{
    struct directed_bench *b = self;
    struct directed_access *a;
    GROW(b, access, access_count, a);
    strcpy(a->kind, directed_tables_kind(&b->tables, pa));
    a->write     = true;
    a->engine    = strcmp(a->kind, "FQ") == 0 ? ENGINE_FAULTS : ENGINE_FENCE;
    a->beats     = words;
    a->presented = a->accepted = (int64_t)issued - words;
    a->data                    = (int64_t)issued;
    a->last                    = (int64_t)acked;
}

static void on_fetched(void *self, uint32_t index, cycle_t accepted)
{
    ((struct directed_bench *)self)->fetched[index] = accepted;
}

/* Walks that are over. Those that were to fill the IOTLB in a command's cycle did not. */
static uint64_t walks_over(const struct directed_bench *b)
{
    return b->iommu.stats.walk_filled + b->iommu.stats.walk_unfilled;
}

static void on_done(void *self, uint32_t index, cycle_t cycle)
{
    struct directed_bench *b = self;
    b->done[index]           = cycle;
    b->met_fill[index]       = walks_over(b) != b->fills;
}

static void on_head(void *self, uint32_t head, cycle_t cycle)
{
    const uint32_t index                         = (head - 1) % DIRECTED_QUEUE_ENTRIES;
    ((struct directed_bench *)self)->head[index] = cycle;
}

static void on_fault(void *self, uint32_t tail, cycle_t visible)
{
    struct directed_bench *b = self;
    CHECK(tail == (b->faults + 1) % DIRECTED_QUEUE_ENTRIES);
    CHECK(b->faults < DIRECTED_QUEUE_ENTRIES);
    b->fault_visible[b->faults++] = visible;
}

/* ---- Set-up ----------------------------------------------------------------------------
 */

static void write_register(struct directed_bench *b, uint32_t offset, uint64_t value,
                           unsigned bytes)
{
    iommu_mmio_ops.write(&b->iommu, offset, value, bytes,
                         b->now * b->settings.iommu.period_ps);
}

static uint64_t read_register(struct directed_bench *b, uint32_t offset, unsigned bytes)
{
    return iommu_mmio_ops.read(&b->iommu, offset, bytes,
                               b->now * b->settings.iommu.period_ps);
}

void directed_bench_mode(struct directed_bench *b, enum riscv_ddtp_mode mode)
{
    const bool walks = mode >= RISCV_DDTP_1LVL;
    write_register(b, RISCV_DDTP, riscv_ddtp(walks ? b->tables.devices : 0, mode), 8);
    directed_bench_run(b, b->now + QUIET_CYCLES);
}

static void switch_on(struct directed_bench *b)
{
    write_register(b, RISCV_CQB, riscv_queue_base(b->tables.commands, DIRECTED_QUEUE_LG2),
                   8);
    write_register(b, RISCV_FQB, riscv_queue_base(b->tables.faults, DIRECTED_QUEUE_LG2), 8);
    write_register(b, RISCV_CQCSR, RISCV_QUEUE_ENABLE, 4);
    write_register(b, RISCV_FQCSR, RISCV_QUEUE_ENABLE, 4);
    directed_bench_run(b, b->now + QUIET_CYCLES);
    CHECK(read_register(b, RISCV_CQCSR, 4) & RISCV_QUEUE_ON);
    CHECK(read_register(b, RISCV_FQCSR, 4) & RISCV_QUEUE_ON);
}

static void settle_settings(struct directed_bench *b, const struct iommu_settings *base)
{
    const struct directed_scenario *s = &b->scenario;
    const uint64_t period             = base->iommu.period_ps;
    b->settings                       = *base;
    b->riscv                          = *(const struct riscv_config *)base->arch;
    b->riscv.process_contexts         = s->process_contexts;
    b->riscv.msi_flat                 = s->extended;
    b->settings.arch                  = &b->riscv;
    b->settings.iotlb.sets            = 1;
    b->settings.iotlb.ways            = s->iotlb_entries;
    b->settings.write_ps              = s->write_latency * period;
    b->channel = (struct mem_channel){ s->read_latency * period, period, 8, 0 };
    b->watcher = (struct iommu_watcher){ .command_fetched = on_fetched,
                                         .command_done    = on_done,
                                         .head_moved      = on_head,
                                         .fault_written   = on_fault,
                                         .read_accepted   = on_read,
                                         .write_issued    = on_write,
                                         .self            = b };
}

/* The largest id that the directory's levels hold is not round, so that each index differs.
 */
static uint32_t device_of(const struct directed_scenario *s)
{
    static const uint32_t id[] = { 0x5, 0x1235, 0x123457 };
    return id[s->device_levels - 1];
}

struct directed_bench *directed_bench_make(const struct directed_scenario *s,
                                           const struct iommu_settings *base)
{
    struct directed_bench *b = calloc(1, sizeof *b);
    CHECK(b != NULL);
    b->scenario = *s;
    b->device   = device_of(s);
    b->rung = b->tail_visible = CYCLE_NEVER;
    memset(b->fetched, 0xff, sizeof b->fetched);
    memset(b->done, 0xff, sizeof b->done);
    memset(b->head, 0xff, sizeof b->head);
    settle_settings(b, base);
    memory_init(&b->memory);
    directed_tables_init(&b->tables, &b->scenario, &b->memory);
    directed_tables_attach(&b->tables, b->device);
    b->iommu_due = b->client_due = TIME_NEVER;
    iommu_init(&b->iommu, &b->settings, NULL, &b->iommu_due, &b->memory, &b->channel, 1);
    b->iommu.watcher = &b->watcher;
    b->client        = iommu_attach(&b->iommu, &b->client_due, RESPONSES, false);
    switch_on(b);
    directed_bench_mode(
        b, (enum riscv_ddtp_mode)(RISCV_DDTP_1LVL + b->scenario.device_levels - 1));
    return b;
}

void directed_bench_free(struct directed_bench *b)
{
    iommu_free(&b->iommu);
    memory_free(&b->memory);
    free(b->access);
    free(b);
}

/* ---- One cycle -------------------------------------------------------------------------
 */

static void submit(struct directed_bench *b, struct directed_stream *s,
                   enum directed_channel channel)
{
    const struct directed_request *const q = &s->request[s->next];
    CHECK(iommu_ready(&b->iommu, b->client));
    *iommu_request(&b->iommu) = (struct iommu_request){
        .iova      = q->iova,
        .id        = channel,
        .requester = q->device,
        .pasid     = q->process,
        .access    = channel == DIRECTED_READ ? PT_READ : PT_WRITE,
        .has_pasid = q->has_process,
    };
    iommu_submit(&b->iommu, b->client, b->now * b->settings.iommu.period_ps);
    s->answer[s->next].issued = b->now;
    s->waiting                = true;
}

/* Reads first: a front end that is free takes them before writes of the same cycle. */
static void submit_all(struct directed_bench *b)
{
    for (unsigned c = 0; c < DIRECTED_CHANNELS; c++) {
        struct directed_stream *s = &b->stream[c];
        if (s->next < s->count && !s->waiting && s->issue == b->now)
            submit(b, s, (enum directed_channel)c);
    }
}

static void take_all(struct directed_bench *b)
{
    const struct iommu_response *r;
    sim_time_t next;
    while (
        (r = iommu_take(&b->iommu, b->client, b->now * b->settings.iommu.period_ps, &next))
        != NULL) {
        struct directed_stream *s = &b->stream[r->id];
        CHECK(s->waiting);
        struct directed_answer *const a = &s->answer[s->next++];
        a->done                         = r->due;
        a->cause                        = r->outcome == XLATE_faulted ? r->cause : 0;
        a->pa                           = r->outcome == XLATE_faulted ? 0 : r->pa;
        a->reads                        = r->reads;
        a->context_hit                  = r->context_hit;
        a->iotlb_hit                    = r->iotlb_hit;
        s->waiting                      = false;
        s->issue                        = r->due + 1 + s->gap;
    }
}

static void work_registers(struct directed_bench *b)
{
    if (b->rung == CYCLE_NEVER || b->tail_visible != CYCLE_NEVER)
        return;
    if (b->now == b->rung + DIRECTED_REGISTER_CYCLES)
        write_register(b, RISCV_CQT, b->rung_tail, 4);
    if (read_register(b, RISCV_CQT, 4) == b->rung_tail)
        b->tail_visible = b->now;
}

void directed_bench_cycle(struct directed_bench *b)
{
    const sim_time_t time = b->now * b->settings.iommu.period_ps;
    work_registers(b);
    submit_all(b);
    while (b->iommu_due <= time)
        iommu_step(&b->iommu, time);
    take_all(b);
    b->fills = walks_over(b);
    b->now++;
    CHECK(b->now < CYCLES_MAX);
}

void directed_bench_run(struct directed_bench *b, cycle_t until)
{
    while (b->now < until)
        directed_bench_cycle(b);
}

static bool streaming(const struct directed_bench *b)
{
    return b->stream[DIRECTED_READ].next < b->stream[DIRECTED_READ].count
           || b->stream[DIRECTED_WRITE].next < b->stream[DIRECTED_WRITE].count;
}

void directed_bench_settle(struct directed_bench *b)
{
    while (streaming(b) || b->iommu_due != TIME_NEVER
           || (b->rung != CYCLE_NEVER && b->tail_visible == CYCLE_NEVER))
        directed_bench_cycle(b);
}

/* ---- Commands --------------------------------------------------------------------------
 */

void directed_bench_queue(struct directed_bench *b, struct riscv_command command)
{
    const uint64_t slot =
        b->tables.commands + b->tail % DIRECTED_QUEUE_ENTRIES * RISCV_COMMAND_BYTES;
    memory_write64(&b->memory, slot, command.low);
    memory_write64(&b->memory, slot + 8, command.high);
    b->tail++;
}

void directed_bench_ring(struct directed_bench *b)
{
    b->rung         = b->now;
    b->rung_tail    = b->tail % DIRECTED_QUEUE_ENTRIES;
    b->tail_visible = CYCLE_NEVER;
}

void directed_bench_command(struct directed_bench *b, struct riscv_command command)
{
    directed_bench_queue(b, command);
    directed_bench_ring(b);
    directed_bench_settle(b);
}

/* ---- Requests --------------------------------------------------------------------------
 */

void directed_bench_stream(struct directed_bench *b, enum directed_channel channel,
                           cycle_t first, const struct directed_request *request,
                           struct directed_answer *answer, uint32_t count)
{
    struct directed_stream *s = &b->stream[channel];
    CHECK(s->next == s->count);
    CHECK(first >= b->now);
    *s = (struct directed_stream){
        .request = request, .answer = answer, .count = count, .issue = first
    };
}

void directed_bench_finish(struct directed_bench *b)
{
    while (streaming(b))
        directed_bench_cycle(b);
}

struct directed_answer directed_bench_access(struct directed_bench *b,
                                             enum directed_channel channel,
                                             const struct directed_request *request)
{
    struct directed_answer answer;
    directed_bench_stream(b, channel, b->now, request, &answer, 1);
    directed_bench_finish(b);
    return answer;
}

struct directed_request directed_page(const struct directed_bench *b, uint64_t page,
                                      uint64_t offset)
{
    return (struct directed_request){ .iova   = directed_iova(&b->scenario, page) + offset,
                                      .device = b->device };
}

struct directed_answer directed_bench_touch(struct directed_bench *b,
                                            enum directed_channel channel, uint64_t page,
                                            uint64_t offset)
{
    const struct directed_request request = directed_page(b, page, offset);
    directed_tables_map(&b->tables, page, DIRECTED_PTE);
    return directed_bench_access(b, channel, &request);
}

cycle_t directed_lookup_cycle(const struct directed_bench *b,
                              const struct directed_answer *a)
{
    return a->done - b->settings.iommu.respond_cycles;
}

uint32_t directed_bench_entries(const struct directed_bench *b)
{
    const struct iotlb_array *const array = &b->iommu.iotlb.array;
    uint32_t valid                        = 0;
    for (uint32_t i = 0; i < array->shape.sets * array->shape.ways; i++)
        valid += array->entry[i].valid;
    return valid;
}

uint32_t directed_bench_reads(const struct directed_bench *b, cycle_t first, cycle_t last)
{
    uint32_t reads = 0;
    for (size_t i = 0; i < b->access_count; i++) {
        const struct directed_access *const a = &b->access[i];
        reads += !a->write && a->engine != ENGINE_COMMANDS
                 && (cycle_t)a->accepted - first <= last - first;
    }
    return reads;
}
