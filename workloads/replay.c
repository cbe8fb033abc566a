/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dma_api/kernel.h"

static const char *const placements[] = { "scattered", "contiguous", NULL };

const char *replay_placement_member(unsigned index)
{
    return placements[index];
}

#define PARAM_OWNER struct replay_config
#define STAT_OWNER  struct replay_stats
static const struct param_def replay_params[] = { REPLAY_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def replay_stats[]   = { REPLAY_STATS(STAT_ROW) STAT_END };

const struct param_table replay_param_table = { "replay", "How a trace is replayed",
                                                replay_params, sizeof(struct replay_config),
                                                NULL };
const struct stat_table replay_stat_table   = { "replay", "The replay", replay_stats,
                                                sizeof(struct replay_stats) };

enum { FLIGHTS = 4096, PROGRESS_EVERY = 256 };
/* Invented buffers lie above what a recording may name; there are 16 GiB of them. */
#define PLACED_FIRST (UINT64_C(1) << 50)
#define PLACED_MASK  ((UINT64_C(1) << 22) - 1)

/* ---- Set-up
 * ---------------------------------------------------------------------------------- */

static void init_cpu(struct replay *r, unsigned i, struct cpu *cpu, uint64_t seed)
{
    struct replay_cpu *c = &r->cpu[i];
    char name[32];
    snprintf(name, sizeof name, "placement %u", i);
    c->replay    = r;
    c->cpu       = cpu;
    c->placement = rng_make(seed, name);
    replay_ring_init(&c->waiting, r->config.window);
    c->flight = calloc(FLIGHTS, sizeof *c->flight);
    CHECK(c->flight != NULL);
}

void replay_init(struct replay *r, const struct replay_config *config,
                 const struct replay_source *source, unsigned sources, uint64_t limit,
                 uint64_t seed, struct nvme_driver *driver, struct cpu *const *cpu,
                 unsigned cpus)
{
    CHECK(sources <= REPLAY_SOURCES_MAX);
    memset(r, 0, sizeof *r);
    r->config  = *config;
    r->source  = source;
    r->sources = sources;
    r->limit   = limit;
    r->driver  = driver;
    r->cpus    = cpus;
    r->cpu     = calloc(cpus, sizeof *r->cpu);
    CHECK(r->cpu != NULL);
    for (unsigned i = 0; i < cpus; i++)
        init_cpu(r, i, cpu[i], seed);
}

void replay_free(struct replay *r)
{
    for (unsigned i = 0; i < r->cpus; i++) {
        struct replay_cpu *c = &r->cpu[i];
        for (uint32_t k = 0; k < r->config.window && k < c->waiting.tail; k++)
            free(c->waiting.item[k].segment);
        replay_ring_free(&c->waiting);
        free(c->flight);
    }
    free(r->cpu);
}

/* ---- The stream
 * ------------------------------------------------------------------------------ */

static void keep(struct replay_ring *ring, const struct trace_record *record)
{
    struct replay_record *k = replay_ring_next(ring);
    if (k->segment_room < record->segment_count) {
        k->segment_room = record->segment_count;
        k->segment      = realloc(k->segment, k->segment_room * sizeof *k->segment);
        CHECK(k->segment != NULL);
    }
    k->record = *record;
    if (record->segment_count > 0)
        memcpy(k->segment, record->segment, record->segment_count * sizeof *k->segment);
    replay_ring_push(ring);
}

static struct replay_cpu *cpu_of(struct replay *r, const struct trace_record *record)
{
    return &r->cpu[record->cpu % r->cpus];
}

/* What a trace may say but this machine cannot do. */
static bool check(const struct replay *r, const struct trace_record *record,
                  struct error *error)
{
    const uint64_t index = r->read_of[r->playing];
    if (trace_op_is_rdma(record->op))
        return error_set(error,
                         "record %" PRIu64 ": op: expected a request for a block device, "
                         "got %s",
                         index, trace_op_name(record->op));
    if (trace_op_moves_data(record->op) && record->bytes % (1u << NVME_BLOCK_LG2) != 0)
        return error_set(error,
                         "record %" PRIu64 ": bytes: expected a multiple of %u, got %u",
                         index, 1u << NVME_BLOCK_LG2, record->bytes);
    for (uint32_t i = 0; i < record->segment_count; i++)
        if (record->segment_count > NVME_SGL_MAX
            && record->segment[i].bytes < 1u << NVME_BLOCK_LG2)
            return error_set(
                error,
                "record %" PRIu64 ": segments: expected at least %u bytes each "
                "when there are more than %d, got %u",
                index, 1u << NVME_BLOCK_LG2, NVME_SGL_MAX, record->segment[i].bytes);
    for (uint32_t i = 0; i < record->segment_count; i++)
        if (record->segment[i].pa < PAGE_SIZE
            || record->segment[i].pa + record->segment[i].bytes > PLACED_FIRST)
            return error_set(error,
                             "record %" PRIu64
                             ": address: expected 0x1000 (page 0 is nobody's "
                             "buffer) to 2^50, got 0x%" PRIx64,
                             index, record->segment[i].pa);
    return true;
}

static bool any_full(const struct replay *r)
{
    for (unsigned i = 0; i < r->cpus; i++)
        if (replay_ring_full(&r->cpu[i].waiting))
            return true;
    return false;
}

/* Reads one record into its CPU's window. False at the end, or when the trace is broken. */
static bool read_one(struct replay *r)
{
    struct trace_record record;
    if (r->read == r->limit || r->ended)
        return false;
    int got = 0;
    while (r->playing < r->sources
           && (got = trace_next(r->source[r->playing].reader, &record, &r->error)) == 0)
        r->playing++;
    if (got > 0 && !check(r, &record, &r->error)) {
        error_in(&r->error, "%s", r->source[r->playing].name);
        got = -1;
    }
    r->broken = got < 0;
    r->ended  = got <= 0;
    if (got <= 0)
        return false;
    r->read++;
    r->read_of[r->playing]++;
    keep(&cpu_of(r, &record)->waiting, &record);
    if (r->read % PROGRESS_EVERY == 0 && r->progress != NULL)
        r->progress(r->progress_self, r->read);
    return true;
}

static void wake_starved(struct replay *r, sim_time_t now)
{
    for (unsigned i = 0; i < r->cpus; i++)
        if (r->cpu[i].starved) {
            r->cpu[i].starved = false;
            cpu_wake(r->cpu[i].cpu, now);
        }
}

/* The next record of this CPU, or NULL when there is none any more. */
static struct replay_record *next_record(struct replay_cpu *c)
{
    struct replay *r = c->replay;
    cpu_sync(c->cpu);
    while (replay_ring_empty(&c->waiting)) {
        if (any_full(r)) { /* Somebody else is far behind. */
            c->starved = true;
            cpu_wait(c->cpu, TIME_NEVER);
        } else if (!read_one(r)) {
            return NULL;
        }
    }
    return replay_ring_front(&c->waiting);
}

static void drop_record(struct replay_cpu *c)
{
    const bool was_full = replay_ring_full(&c->waiting);
    replay_ring_pop(&c->waiting);
    if (was_full)
        wake_starved(c->replay, c->cpu->time);
}

/* ---- Buffers
 * ----------------------------------------------------------------------------------- */

static uint64_t some_page(struct replay_cpu *c)
{
    return PLACED_FIRST + ((rng_next(&c->placement) & PLACED_MASK) << PAGE_SHIFT);
}

static uint64_t next_pages(struct replay_cpu *c, uint64_t pages)
{
    const uint64_t first = c->placed_pages & PLACED_MASK;
    c->placed_pages += pages;
    return PLACED_FIRST + (first << PAGE_SHIFT);
}

/* Invents the memory of a record that does not know its own: page by page (or, when that
 * were too many pieces, in the shortest runs that are few enough), or in one piece. */
static uint32_t place(struct replay_cpu *c, uint32_t bytes)
{
    const bool scattered = c->replay->config.placement == placements[0];
    const uint64_t pages = (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    const uint64_t run =
        scattered ? (pages + TRACE_SEGMENTS_MAX - 1) / TRACE_SEGMENTS_MAX : pages;
    uint32_t count = 0;
    c->replay->stats.placed++;
    for (uint64_t left = bytes; left > 0; count++) {
        const uint64_t piece = left < run << PAGE_SHIFT ? left : run << PAGE_SHIFT;
        const uint64_t phys  = run == 1 && scattered ? some_page(c) : next_pages(c, run);
        c->segment[count]    = (struct blk_segment){ phys, (uint32_t)piece };
        left -= piece;
    }
    return count;
}

static uint32_t segments_of(struct replay_cpu *c, const struct replay_record *k)
{
    if (!trace_op_moves_data(k->record.op) || k->record.bytes == 0)
        return 0;
    if (k->record.segment_count == 0)
        return place(c, k->record.bytes);
    for (uint32_t i = 0; i < k->record.segment_count; i++)
        c->segment[i] = (struct blk_segment){ k->segment[i].pa, k->segment[i].bytes };
    return k->record.segment_count;
}

/* ---- Requests
 * ---------------------------------------------------------------------------------- */

static void piece_done(void *arg, uint16_t status)
{
    struct replay_flight *f = arg;
    struct replay_cpu *c    = f->owner;
    struct replay *r        = c->replay;
    f->failed |= status != NVME_SUCCESS;
    if (--f->pieces > 0)
        return;
    r->stats.record++;
    r->stats.failed += f->failed;
    histogram_record(&r->latency_ns, (cpu_this()->time - f->began) / TIME_NS);
    f->next = c->free;
    c->free = f;
    c->outstanding--;
}

/* A full queue empties, and room for mappings comes back, when something completes. */
static void submit(struct replay_cpu *c, struct replay_flight *f, struct nvme_io *io)
{
    int error;
    f->pieces++;
    io->done = piece_done;
    io->arg  = f;
    while ((error = nvme_driver_submit(c->replay->driver, io)) != 0) {
        if (error == -EIO || (c->outstanding == 1 && f->pieces == 2)) {
            piece_done(f, NVME_DATA_TRANSFER_ERROR); /* Nothing is under way that could. */
            return;
        }
        cpu_wait(c->cpu, TIME_NEVER);
    }
}

/* Where in a record's memory the next piece begins. */
struct place_in {
    const struct blk_segment *segment;
    uint32_t left;   /* Segments, this one included. */
    uint32_t offset; /* Into it. */
};

/* The bytes of the next request: limited by what the driver takes and by descriptors; whole
 * blocks, unless it is the last. */
static uint32_t piece_bytes(const struct place_in *at, uint32_t most)
{
    uint32_t bytes = 0, i = 0;
    for (; i < at->left && i < NVME_SGL_MAX && bytes < most; i++)
        bytes += at->segment[i].bytes - (i == 0 ? at->offset : 0);
    if (bytes <= most && i == at->left)
        return bytes;
    bytes = bytes < most ? bytes : most;
    return bytes & ~(uint32_t)((1 << NVME_BLOCK_LG2) - 1);
}

static uint32_t take_piece(struct place_in *at, uint32_t bytes, struct blk_segment *piece)
{
    uint32_t count = 0;
    while (bytes > 0) {
        const uint32_t have = at->segment->bytes - at->offset;
        const uint32_t take = have < bytes ? have : bytes;
        piece[count++]      = (struct blk_segment){ at->segment->phys + at->offset, take };
        bytes -= take;
        at->offset += take;
        if (at->offset == at->segment->bytes) {
            at->segment++;
            at->left--;
            at->offset = 0;
        }
    }
    return count;
}

static void submit_data(struct replay_cpu *c, struct replay_flight *f, struct nvme_io io,
                        uint32_t segments)
{
    const uint32_t most = nvme_driver_max_bytes(c->replay->driver);
    struct place_in at  = { c->segment, segments, 0 };
    struct blk_segment piece[NVME_SGL_MAX];
    while (at.left > 0) {
        io.bytes = piece_bytes(&at, most);
        CHECK(io.bytes > 0);
        io.segment  = piece;
        io.segments = take_piece(&at, io.bytes, piece);
        c->replay->stats.split += f->pieces == 1 && at.left > 0;
        submit(c, f, &io);
        io.lba += io.bytes >> NVME_BLOCK_LG2;
    }
}

/* Requests without data: as many blocks at a time as a command can name. */
static void submit_range(struct replay_cpu *c, struct replay_flight *f, struct nvme_io io)
{
    const uint32_t most = 1u << (16 + NVME_BLOCK_LG2);
    uint32_t left       = io.bytes;
    do {
        io.bytes = left < most ? left : most;
        submit(c, f, &io);
        io.lba += io.bytes >> NVME_BLOCK_LG2;
        left -= io.bytes;
    } while (left > 0);
}

static enum nvme_opcode opcode_of(enum trace_op op)
{
    switch (op) {
    case TRACE_READ:
        return NVME_READ;
    case TRACE_WRITE:
        return NVME_WRITE;
    case TRACE_WRITE_ZEROES:
    case TRACE_DISCARD: /* Deallocates, moving no data: the same to an IOMMU. */
        return NVME_WRITE_ZEROES;
    case TRACE_FLUSH:
    default: /* RDMA work has been refused. */
        break;
    }
    return NVME_FLUSH;
}

/* A drive smaller than the recorded one is written around and around. */
static uint64_t lba_on(const struct nvme_driver *d, const struct trace_record *record)
{
    const uint64_t blocks = record->bytes >> NVME_BLOCK_LG2;
    return blocks < d->blocks ? record->lba % (d->blocks - blocks) : 0;
}

/* Those that were never of use are not touched: most CPUs have few under way. */
static struct replay_flight *take_flight(struct replay_cpu *c)
{
    struct replay_flight *f = c->free;
    if (f != NULL) {
        c->free = f->next;
        return f;
    }
    CHECK(c->flights < FLIGHTS);
    f        = &c->flight[c->flights++];
    f->owner = c;
    return f;
}

static void issue(struct replay_cpu *c, const struct replay_record *k)
{
    struct replay_flight *f = take_flight(c);
    f->began                = c->cpu->time;
    f->failed               = false;
    f->pieces               = 1; /* Held until the last piece is submitted. */
    c->outstanding++;
    const struct nvme_io io = { .opcode = opcode_of(k->record.op),
                                .lba    = lba_on(c->replay->driver, &k->record),
                                .bytes  = k->record.bytes };
    const uint32_t segments = segments_of(c, k);
    if (segments > 0)
        submit_data(c, f, io, segments);
    else
        submit_range(c, f, io);
    piece_done(f, NVME_SUCCESS);
}

static uint32_t depth_for(const struct replay *r, const struct trace_record *record)
{
    const uint32_t depth = r->config.depth != 0 ? r->config.depth : record->depth;
    return depth == 0 ? 1 : depth < FLIGHTS ? depth : FLIGHTS - 1;
}

void replay_run(struct replay *r)
{
    struct cpu *cpu      = cpu_this();
    struct replay_cpu *c = &r->cpu[cpu->id];
    struct replay_record *k;
    while ((k = next_record(c)) != NULL) {
        while (c->outstanding >= depth_for(r, &k->record))
            cpu_wait(cpu, TIME_NEVER);
        issue(c, k);
        drop_record(c);
    }
    while (c->outstanding > 0)
        cpu_wait(cpu, TIME_NEVER);
}
