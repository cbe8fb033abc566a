/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dma_api/kernel.h"

static const char *const modes[REPLAY_MODES]     = { "closed", "open", "fast" };
static const char *const devices[REPLAY_DEVICES] = { "one", "own", "shared" };
static const char *const polled[]                = { "none", "reads", "all" };
static const char *const buffers[]               = { "any", "registered", "premapped" };
enum {
    POLLED  = sizeof polled / sizeof polled[0],
    BUFFERS = sizeof buffers / sizeof buffers[0]
};

const char *replay_mode_member(unsigned index)
{
    return index < REPLAY_MODES ? modes[index] : NULL;
}

const char *replay_devices_member(unsigned index)
{
    return index < REPLAY_DEVICES ? devices[index] : NULL;
}

const char *replay_polled_member(unsigned index)
{
    return index < POLLED ? polled[index] : NULL;
}

const char *replay_buffers_member(unsigned index)
{
    return index < BUFFERS ? buffers[index] : NULL;
}

static unsigned index_of(const char *name, const char *const *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return i;
    UNREACHABLE("a name is one of its list");
}

enum replay_devices replay_devices(const struct replay_config *config)
{
    return (enum replay_devices)index_of(config->devices, devices, REPLAY_DEVICES);
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

/* ---- Set-up
 * ---------------------------------------------------------------------------------- */

static void init_cpu(struct replay *r, unsigned i, struct cpu *cpu,
                     const struct placement_config *placement, uint64_t seed)
{
    struct replay_cpu *c = &r->cpu[i];
    c->replay            = r;
    c->cpu               = cpu;
    placement_init(&c->placement, placement, seed, i);
    bare_init(&c->bare, NULL, NULL);
    replay_ring_init(&c->waiting, r->config.window);
    c->flight = calloc(FLIGHTS, sizeof *c->flight);
    CHECK(c->flight != NULL);
}

static int submit_to_driver(void *self, const struct nvme_io *io)
{
    return nvme_driver_submit(self, io);
}

void replay_use(struct replay *r, const struct replay_disk *disk)
{
    r->driver = NULL;
    r->disk   = *disk;
}

void replay_init(struct replay *r, const struct replay_config *config,
                 const struct placement_config *placement,
                 const struct replay_source *source, unsigned sources, uint64_t limit,
                 uint64_t seed, struct nvme_driver *driver, struct cpu *const *cpu,
                 unsigned cpus)
{
    CHECK(sources <= REPLAY_SOURCES_MAX);
    memset(r, 0, sizeof *r);
    r->config  = *config;
    r->mode    = (enum replay_mode)index_of(config->mode, modes, REPLAY_MODES);
    r->polled  = (enum replay_polled)index_of(config->polled, polled, POLLED);
    r->buffers = (enum replay_buffers)index_of(config->buffers, buffers, BUFFERS);
    r->source  = source;
    r->sources = sources;
    r->limit   = limit;
    r->driver  = driver;
    if (driver != NULL)
        r->disk = (struct replay_disk){ submit_to_driver, driver,
                                        nvme_driver_limits(driver), &driver->blocks };
    r->cpus = cpus;
    r->cpu  = calloc(cpus, sizeof *r->cpu);
    CHECK(r->cpu != NULL);
    for (unsigned i = 0; i < cpus; i++)
        init_cpu(r, i, cpu[i], placement, seed);
}

void replay_free(struct replay *r)
{
    for (unsigned i = 0; i < r->cpus; i++) {
        struct replay_cpu *c = &r->cpu[i];
        for (uint32_t k = 0; k < r->config.window && k < c->waiting.tail; k++)
            free(c->waiting.item[k].segment);
        replay_ring_free(&c->waiting);
        free(c->flight);
        for (uint32_t k = 0; c->buffer != NULL && k < c->placement.config.buffers; k++)
            free(c->buffer[k].segment);
        free(c->buffer);
        bare_free(&c->bare);
    }
    free(r->cpu);
}

/* ---- The stream
 * ------------------------------------------------------------------------------ */

static void keep(struct replay_ring *ring, const struct trace_record *record,
                 uint64_t index)
{
    struct replay_record *k = replay_ring_next(ring);
    if (k->segment_room < record->segment_count) {
        k->segment_room = record->segment_count;
        k->segment      = realloc(k->segment, k->segment_room * sizeof *k->segment);
        CHECK(k->segment != NULL);
    }
    k->record = *record;
    k->index  = index;
    if (record->segment_count > 0)
        memcpy(k->segment, record->segment, record->segment_count * sizeof *k->segment);
    replay_ring_push(ring);
}

static struct replay_cpu *cpu_of(struct replay *r, const struct trace_record *record)
{
    return &r->cpu[record->cpu % r->cpus];
}

/* The simulated time of a longer replay would not fit into 64 bits. */
static uint64_t latest_ns(const struct replay *r)
{
    return UINT64_MAX / 4 / TIME_NS / r->config.time_percent * 100;
}

static bool check_bare(const struct replay *r, const struct trace_record *record,
                       struct error *error)
{
    const uint64_t index = r->read_of[r->playing];
    const uint64_t most  = (uint64_t)BLK_SEGMENTS_MAX << PAGE_SHIFT;
    if (record->op == TRACE_MAP)
        return (record->bytes <= most && record->segment_count <= BLK_SEGMENTS_MAX)
               || error_set(error,
                            "record %" PRIu64 ": bytes: expected at most %" PRIu64
                            " in %d segments to map at once, got %u in %u",
                            index, most, BLK_SEGMENTS_MAX, record->bytes,
                            record->segment_count);
    if (record->segment_count != 1
        || (record->segment[0].pa & ~PAGE_MASK) + record->bytes > PAGE_SIZE
        || record->segment[0].pa % 2 != 0)
        return error_set(error,
                         "record %" PRIu64 ": segments: expected one within a page at an "
                         "even address for a bare access, got %u",
                         index, record->segment_count);
    return r->cpu[0].bare.dev != NULL
           || error_set(error,
                        "record %" PRIu64 ": op: expected no %s among block requests: a "
                        "trace of bare accesses begins with one",
                        index, trace_op_name(record->op));
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
    if (trace_op_is_bare(record->op) && r->driver == NULL)
        return error_set(error,
                         "record %" PRIu64 ": op: expected a request for a block device "
                         "with nvmf.remote, got %s",
                         index, trace_op_name(record->op));
    if (trace_op_is_bare(record->op))
        return check_bare(r, record, error);
    const uint32_t block = r->disk.limits->block_bytes;
    if (trace_op_moves_data(record->op) && record->bytes % block != 0)
        return error_set(
            error, "record %" PRIu64 ": bytes: expected a multiple of %u%s, got %u", index,
            block, block == 512 ? "" : " (nvme.block_bytes)", record->bytes);
    if (r->buffers != REPLAY_BUFFERS_any && trace_op_moves_data(record->op)
        && record->bytes > r->config.buffer_kib << 10)
        return error_set(error,
                         "record %" PRIu64
                         ": bytes: expected at most replay.buffer_kib=%u with "
                         "replay.buffers=%s, got %u bytes",
                         index, r->config.buffer_kib, r->config.buffers, record->bytes);
    if (r->mode == REPLAY_open && r->ahead_ns + record->time_ns > latest_ns(r))
        return error_set(error,
                         "record %" PRIu64 ": time: expected at most %" PRIu64
                         " ns with replay.time_percent=%u, got %" PRIu64,
                         index, latest_ns(r), r->config.time_percent,
                         r->ahead_ns + record->time_ns);
    for (uint32_t i = 0; i < record->segment_count; i++)
        if (record->segment_count > NVME_SGL_MAX
            && record->segment[i].bytes < 1u << NVME_SECTOR_LG2)
            return error_set(
                error,
                "record %" PRIu64 ": segments: expected at least %u bytes each "
                "when there are more than %d, got %u",
                index, 1u << NVME_SECTOR_LG2, NVME_SGL_MAX, record->segment[i].bytes);
    for (uint32_t i = 0; i < record->segment_count; i++)
        if (record->segment[i].pa < PAGE_SIZE
            || record->segment[i].pa + record->segment[i].bytes > PLACEMENT_FIRST)
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
           && (got = trace_next(r->source[r->playing].reader, &record, &r->error)) == 0) {
        r->playing++;
        r->ahead_ns = r->last_ns;
    }
    if (got > 0 && !check(r, &record, &r->error)) {
        error_in(&r->error, "%s", r->source[r->playing].name);
        got = -1;
    }
    r->broken = got < 0;
    r->ended  = got <= 0;
    if (got <= 0)
        return false;
    record.time_ns += r->ahead_ns;
    r->last_ns = record.time_ns;
    r->read++;
    r->read_of[r->playing]++;
    keep(&cpu_of(r, &record)->waiting, &record, r->read - 1);
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

/* The next record of this CPU; NULL: there is none any more, or (starved) not yet. */
static struct replay_record *next_record(struct replay_cpu *c)
{
    struct replay *r = c->replay;
    cpu_sync(c->cpu);
    while (replay_ring_empty(&c->waiting)) {
        c->starved = any_full(r); /* Somebody else is far behind. */
        if (c->starved || !read_one(r))
            return NULL;
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

static bool has_data(const struct replay_record *k)
{
    return trace_op_moves_data(k->record.op) && k->record.bytes > 0;
}

/* The front of a registered buffer. */
static uint32_t cut_buffer(struct replay_cpu *c, const struct replay_buffer *b,
                           uint32_t bytes)
{
    uint32_t count = 0;
    for (; bytes > 0; count++) {
        CHECK(count < b->segments);
        c->segment[count] = b->segment[count];
        if (bytes < c->segment[count].bytes)
            c->segment[count].bytes = bytes;
        bytes -= c->segment[count].bytes;
    }
    c->replay->stats.placed++;
    return count;
}

static uint32_t segments_of(struct replay_cpu *c, const struct replay_record *k)
{
    if (!has_data(k))
        return 0;
    if (k->record.segment_count == 0 || !placement_keeps(&c->placement)) {
        c->replay->stats.placed++;
        return placement_place(&c->placement, k->record.bytes, c->segment,
                               TRACE_SEGMENTS_MAX);
    }
    for (uint32_t i = 0; i < k->record.segment_count; i++)
        c->segment[i] = (struct blk_segment){ k->segment[i].pa, k->segment[i].bytes };
    return placement_cut(&c->placement, c->segment, k->record.segment_count,
                         TRACE_SEGMENTS_MAX);
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
    if (f->buffer != NULL) {
        f->buffer->next = c->free_buffer;
        c->free_buffer  = f->buffer;
    }
    f->next = c->free;
    c->free = f;
    c->outstanding--;
}

static void polled_piece_done(void *arg, uint16_t status)
{
    struct replay_flight *f = arg;
    CHECK(f->owner->polled > 0);
    f->owner->polled--;
    piece_done(f, status);
}

static bool is_polled(const struct replay *r, const struct nvme_io *io)
{
    if (io->segments == 0 || r->driver == NULL || !nvme_driver_can_poll(r->driver))
        return false;
    return r->polled == REPLAY_POLLED_all
           || (r->polled == REPLAY_POLLED_reads && io->opcode == NVME_READ);
}

/* Until something completes, or may have. */
static void wait_for_any(struct replay_cpu *c)
{
    if (c->polled > 0)
        nvme_driver_poll(c->replay->driver);
    else
        cpu_wait(c->cpu, TIME_NEVER);
}

/* A full queue empties, and room for mappings comes back, when something completes: of this
 * CPU, or, where a queue is shared, of others. */
static void submit(struct replay_cpu *c, struct replay_flight *f, struct nvme_io *io)
{
    int error;
    f->pieces++;
    io->polled = is_polled(c->replay, io);
    io->done   = io->polled ? polled_piece_done : piece_done;
    io->arg    = f;
    c->polled += io->polled;
    while ((error = c->replay->disk.submit(c->replay->disk.self, io)) != 0) {
        if (error == -EBUSY && io->polled) {
            nvme_driver_poll(c->replay->driver);
        } else if (error == -EIO || (c->outstanding == 1 && f->pieces == 2)) {
            io->done(f, NVME_DATA_TRANSFER_ERROR); /* Nothing is under way that could. */
            return;
        } else {
            wait_for_any(c);
        }
    }
}

/* Where in a record's memory the next piece begins. */
struct place_in {
    const struct blk_segment *segment;
    uint32_t left;   /* Segments, this one included. */
    uint32_t offset; /* Into it. */
};

/* Whether a segment begins where the one before it does not let a request go on. */
static bool splits(const struct blk_segment *before, const struct nvme_limits *limits)
{
    return before[0].phys + before[0].bytes != before[1].phys
           && ((before[0].phys + before[0].bytes) | before[1].phys) & limits->boundary_mask;
}

/* The bytes of the next request, as the block layer splits: by size, segments and gaps;
 * whole blocks, unless it is the last. 0: a gap lies within a block. */
static uint32_t piece_bytes(const struct place_in *at, const struct nvme_limits *limits)
{
    const uint32_t most = limits->max_bytes;
    uint32_t bytes = 0, i = 0;
    for (; i < at->left && i < limits->max_segments && bytes < most; i++) {
        if (i > 0 && splits(&at->segment[i - 1], limits))
            break;
        bytes += at->segment[i].bytes - (i == 0 ? at->offset : 0);
    }
    if (bytes <= most && i == at->left)
        return bytes;
    bytes = bytes < most ? bytes : most;
    return bytes & ~(limits->block_bytes - 1);
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
    struct place_in at = { c->segment, segments, 0 };
    struct blk_segment piece[NVME_SGL_MAX];
    uint32_t offset = 0;
    if (c->replay->buffers == REPLAY_premapped)
        io.buffer = &f->buffer->mapped;
    while (at.left > 0) {
        io.bytes = piece_bytes(&at, c->replay->disk.limits);
        if (io.bytes == 0) { /* No request can hold it: EINVAL in Linux. */
            f->failed = true;
            return;
        }
        io.segment       = piece;
        io.segments      = take_piece(&at, io.bytes, piece);
        io.buffer_offset = offset;
        offset += io.bytes;
        c->replay->stats.split += f->pieces == 1 && at.left > 0;
        submit(c, f, &io);
        io.lba += io.bytes >> NVME_SECTOR_LG2;
    }
}

/* Requests without data: as many blocks at a time as a command can name; the range of a
 * discard can name them all. */
static void submit_range(struct replay_cpu *c, struct replay_flight *f, struct nvme_io io)
{
    const uint32_t most =
        io.opcode == NVME_DATASET ? UINT32_MAX : 1u << (16 + NVME_SECTOR_LG2);
    uint32_t left = io.bytes;
    do {
        io.bytes = left < most ? left : most;
        submit(c, f, &io);
        io.lba += io.bytes >> NVME_SECTOR_LG2;
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
        return NVME_WRITE_ZEROES;
    case TRACE_DISCARD:
        return NVME_DATASET;
    case TRACE_FLUSH:
    default: /* RDMA work has been refused. */
        break;
    }
    return NVME_FLUSH;
}

/* A drive smaller than the recorded one is written around and around. */
static uint64_t lba_on(const struct replay_disk *d, const struct trace_record *record)
{
    const uint64_t blocks = record->bytes >> NVME_SECTOR_LG2;
    return blocks < *d->blocks ? record->lba % (*d->blocks - blocks) : 0;
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
    f->began                = c->replay->mode == REPLAY_open ? c->due : c->cpu->time;
    f->failed               = false;
    f->pieces               = 1; /* Held until the last piece is submitted. */
    c->outstanding++;
    if (c->replay->watcher != NULL)
        c->replay->watcher->issued(c->replay->watcher->self, c->cpu->id, k->index);
    const struct nvme_io io = { .opcode = opcode_of(k->record.op),
                                .lba    = lba_on(&c->replay->disk, &k->record),
                                .bytes  = k->record.bytes,
                                .user   = c->replay->config.user_commands };
    uint32_t segments       = 0;
    f->buffer               = NULL;
    if (has_data(k) && c->buffer != NULL) {
        f->buffer      = c->free_buffer;
        c->free_buffer = f->buffer->next;
        segments       = cut_buffer(c, f->buffer, k->record.bytes);
    } else {
        segments = segments_of(c, k);
    }
    if (segments > 0)
        submit_data(c, f, io, segments);
    else
        submit_range(c, f, io);
    piece_done(f, NVME_SUCCESS);
}

static uint32_t depth_for(const struct replay *r, const struct trace_record *record)
{
    if (r->mode != REPLAY_closed)
        return FLIGHTS - 1;
    const uint32_t depth = r->config.depth != 0 ? r->config.depth : record->depth;
    return depth == 0 ? 1 : depth < FLIGHTS ? depth : FLIGHTS - 1;
}

/* ---- Registered buffers
 * -------------------------------------------------------------------------------- */

static bool map_buffer(struct replay_cpu *c, struct replay_buffer *b, struct error *error)
{
    const struct replay *r = c->replay;
    for (uint32_t i = 0; i < b->segments; i++)
        if ((b->segment[i].phys | b->segment[i].bytes) & ~PAGE_MASK)
            return error_set(error,
                             "placement.model: expected one of whole pages with "
                             "replay.buffers=premapped, got %s",
                             c->placement.config.model);
    if (nvme_driver_map_buffer(r->driver, b->segment, b->segments, &b->mapped) != 0)
        return error_set(error,
                         "replay.buffers: expected room to map %u of replay.buffer_kib=%u "
                         "for each CPU, and there is less",
                         c->placement.config.buffers, r->config.buffer_kib);
    return true;
}

/* Cut into pages at the most, so that there is room for all segments. */
static bool register_buffers(struct replay_cpu *c, struct error *error)
{
    const struct replay *r = c->replay;
    const uint32_t bytes = r->config.buffer_kib << 10, count = c->placement.config.buffers;
    c->buffer = calloc(count, sizeof *c->buffer);
    CHECK(c->buffer != NULL);
    for (uint32_t i = count; i-- > 0;) {
        struct replay_buffer *b = &c->buffer[i];
        b->segments = placement_place(&c->placement, bytes, c->segment, BLK_SEGMENTS_MAX);
        b->segment  = calloc(b->segments, sizeof *b->segment);
        CHECK(b->segment != NULL);
        memcpy(b->segment, c->segment, b->segments * sizeof *b->segment);
        b->next        = c->free_buffer;
        c->free_buffer = b;
        if (r->buffers == REPLAY_premapped && !map_buffer(c, b, error))
            return false;
    }
    return true;
}

static void unregister(struct replay_cpu *c)
{
    const uint32_t count = c->placement.config.buffers;
    for (uint32_t i = 0; c->replay->buffers == REPLAY_premapped && i < count; i++)
        nvme_driver_unmap_buffer(c->replay->driver, &c->buffer[i].mapped);
}

bool replay_begin(struct replay *r, struct error *error)
{
    for (unsigned i = 0; r->buffers != REPLAY_BUFFERS_any && i < r->cpus; i++)
        if (!register_buffers(&r->cpu[i], error))
            return false;
    return true;
}

/* ---- Bare work
 * ------------------------------------------------------------------------------------ */

void replay_exercise(struct replay *r, struct device *dev, struct mmio_window *registers)
{
    for (unsigned i = 0; i < r->cpus; i++) {
        r->cpu[i].bare.dev       = dev;
        r->cpu[i].bare.registers = registers;
    }
}

void replay_end(struct replay *r)
{
    for (unsigned i = 0; i < r->cpus; i++) {
        bare_end(&r->cpu[i].bare);
        unregister(&r->cpu[i]);
    }
}

static void issue_bare(struct replay_cpu *c, const struct replay_record *k)
{
    struct replay *r       = c->replay;
    const sim_time_t began = c->cpu->time;
    if (k->record.op == TRACE_MAP) {
        const uint32_t segments = segments_of(c, k);
        const int error         = bare_map(&c->bare, r->driver->dev, &r->driver->blk,
                                           r->driver->api, c->segment, segments);
        r->stats.record++;
        r->stats.failed += error != 0;
        histogram_record(&r->latency_ns, (c->cpu->time - began) / TIME_NS);
        return;
    }
    if (bare_full(&c->bare, k->record.bytes))
        bare_flush(&c->bare);
    r->stats.record++;
    r->stats.failed += !bare_access(&c->bare, k->segment[0].pa, k->record.bytes,
                                    k->record.op == TRACE_ACCESS_WRITE);
}

/* ---- The program
 * -------------------------------------------------------------------------------------- */

static sim_time_t due_of(const struct replay *r, const struct trace_record *record)
{
    return r->begin + record->time_ns * TIME_NS / 100 * r->config.time_percent;
}

/* Issues the next record if its time has come. False: this CPU has to wait. */
static bool issue_next(struct replay_cpu *c)
{
    struct replay *r = c->replay;
    if (c->next == NULL)
        c->next = next_record(c);
    if (c->next == NULL) {
        bare_flush(&c->bare);
        c->over = !c->starved;
        return false;
    }
    c->due = r->mode == REPLAY_open ? due_of(r, &c->next->record) : 0;
    if (c->due > c->cpu->time || c->outstanding >= depth_for(r, &c->next->record))
        return false;
    if (c->buffer != NULL && c->free_buffer == NULL && has_data(c->next)
        && !trace_op_is_bare(c->next->record.op))
        return false; /* Registered memory is all in use. */
    r->stats.late += r->mode == REPLAY_open && c->cpu->time > c->due + TIME_US;
    if (trace_op_is_bare(c->next->record.op)) {
        issue_bare(c, c->next);
    } else {
        bare_flush(&c->bare);
        issue(c, c->next);
    }
    drop_record(c);
    c->next = NULL;
    c->due  = 0;
    return true;
}

/* When the next record of any device is due; TIME_NEVER: something else has to happen. */
static sim_time_t next_due(struct replay *r, unsigned replays, const struct cpu *cpu)
{
    sim_time_t due = TIME_NEVER;
    for (unsigned i = 0; i < replays; i++) {
        const struct replay_cpu *c = &r[i].cpu[cpu->id];
        if (c->next != NULL && c->due > cpu->time)
            due = time_min(due, c->due);
    }
    return due;
}

static bool all_over(struct replay *r, unsigned replays, const struct cpu *cpu)
{
    for (unsigned i = 0; i < replays; i++)
        if (!r[i].cpu[cpu->id].over || r[i].cpu[cpu->id].outstanding > 0)
            return false;
    return true;
}

/* One record of each device that is ready, in turn. */
static bool issue_round(struct replay *r, unsigned replays, const struct cpu *cpu)
{
    bool any = false;
    for (unsigned i = 0; i < replays; i++)
        any = (!r[i].cpu[cpu->id].over && issue_next(&r[i].cpu[cpu->id])) || any;
    return any;
}

/* Until the next record may be issued; what is polled for is on no other CPU's mind. */
static void wait_for_next(struct replay *r, unsigned replays, struct cpu *cpu)
{
    bool polls = false;
    for (unsigned i = 0; i < replays; i++)
        if (r[i].cpu[cpu->id].polled > 0) {
            nvme_driver_poll(r[i].driver);
            polls = true;
        }
    if (!polls)
        cpu_wait(cpu, next_due(r, replays, cpu));
}

void replay_run(struct replay *r, unsigned replays)
{
    struct cpu *cpu = cpu_this();
    for (unsigned i = 0; i < replays; i++) {
        r[i].begin = r[i].begun ? r[i].begin : cpu->time;
        r[i].begun = true;
    }
    while (!all_over(r, replays, cpu))
        if (!issue_round(r, replays, cpu) && !all_over(r, replays, cpu))
            wait_for_next(r, replays, cpu);
}
