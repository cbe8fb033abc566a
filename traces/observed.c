/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/observed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

/* What one thread has begun: commands that are set up, an inner one by a task that
 * preempted the other's, and calls that belong to none of the requests before. */
struct lane {
    uint64_t thread;
    struct {
        struct observe_command is;
        uint32_t from; /* The first pending call that may be for it. */
    } command[OBSERVED_COMMANDS_MAX];
    unsigned commands;
    uint32_t *pending, pendings, room;
    uint32_t follows; /* A request without a command: its list comes behind it. */
};

enum { LIVE_BUCKETS = 1 << 14 };

/* Invalidations follow soon, but on the other CPUs more may be unmapped in between; nothing
 * that a driver maps is larger than that. */
enum { CLEARED_REMEMBERED = 64, CLEARED_LARGEST = 1 << 30 };

struct observer {
    struct lane lane[OBSERVED_LANES_MAX];
    unsigned lanes;
    uint64_t *disk;
    uint32_t disks_room;
    uint32_t *flight, flights, flights_room; /* Requests without an end. */
    uint32_t live[LIVE_BUCKETS]; /* Calls without an unmap, from 1: the newest first. */
    uint32_t *range, ranges, ranges_room; /* Of them, those of the IOVA API. */
    uint32_t *cpu_flights, cpus_room;
    bool command_ends; /* Commands say when they end; else their requests do. */
    struct observed_piece cleared[CLEARED_REMEMBERED]; /* And not invalidated so far. */
};

/* ---- Memory
 * ---------------------------------------------------------------------------------- */

static void *grown(void *array, uint32_t count, uint32_t *room, size_t bytes)
{
    if (count < *room)
        return array;
    *room = *room == 0 ? 8 : 2 * *room;
    array = realloc(array, *room * bytes);
    CHECK(array != NULL);
    return array;
}

static void push(uint32_t **array, uint32_t *count, uint32_t *room, uint32_t value)
{
    *array               = grown(*array, *count, room, sizeof **array);
    (*array)[(*count)++] = value;
}

void observe_begin(struct observed *o, const char *path, const char *format)
{
    memset(o, 0, sizeof *o);
    o->path     = strdup(path);
    o->format   = format;
    o->building = calloc(1, sizeof *o->building);
    CHECK(o->path != NULL && o->building != NULL);
}

static void builder_free(struct observer *b)
{
    for (unsigned i = 0; b != NULL && i < b->lanes; i++)
        free(b->lane[i].pending);
    if (b == NULL)
        return;
    free(b->disk);
    free(b->flight);
    free(b->range);
    free(b->cpu_flights);
    free(b);
}

void observed_free(struct observed *o)
{
    builder_free(o->building);
    for (uint32_t i = 0; i < o->calls; i++) {
        free(o->call[i].piece);
        free(o->call[i].out);
    }
    free(o->call);
    free(o->request);
    free(o->path);
    memset(o, 0, sizeof *o);
}

/* ---- Threads
 * --------------------------------------------------------------------------------- */

static struct lane *lane_find(struct observer *b, uint64_t thread)
{
    for (unsigned i = 0; i < b->lanes; i++)
        if (b->lane[i].thread == thread)
            return &b->lane[i];
    return NULL;
}

static bool lane_busy(const struct lane *lane)
{
    return lane->commands > 0 || lane->follows != OBSERVED_NONE;
}

static void lane_forget(struct lane *lane)
{
    lane->commands = 0;
    lane->pendings = 0;
    lane->follows  = OBSERVED_NONE;
}

/* One that has nothing under way makes room. */
static struct lane *lane_of(struct observer *b, uint64_t thread, struct error *error)
{
    struct lane *lane = lane_find(b, thread);
    if (lane != NULL)
        return lane;
    if (b->lanes < OBSERVED_LANES_MAX)
        lane = &b->lane[b->lanes++];
    for (unsigned i = 0; lane == NULL && i < b->lanes; i++)
        if (!lane_busy(&b->lane[i]))
            lane = &b->lane[i];
    if (lane == NULL) {
        error_set(error, "more than %d threads map at once", OBSERVED_LANES_MAX);
        return NULL;
    }
    lane->thread = thread;
    lane_forget(lane);
    return lane;
}

uint32_t observe_device(struct observed *o, const char *name, size_t bytes)
{
    if (bytes >= sizeof o->device[0].name)
        bytes = sizeof o->device[0].name - 1;
    for (uint32_t i = 0; i < o->devices; i++)
        if (strlen(o->device[i].name) == bytes
            && memcmp(o->device[i].name, name, bytes) == 0)
            return i;
    if (o->devices == OBSERVED_DEVICES_MAX)
        return OBSERVED_NONE;
    memcpy(o->device[o->devices].name, name, bytes);
    return o->devices++;
}

/* ---- Commands
 * -------------------------------------------------------------------------------- */

static bool same_command(const struct observe_command *a, const struct observe_command *b)
{
    return a->controller == b->controller && a->id == b->id;
}

bool observe_command(struct observed *o, const struct observe_line *at,
                     const struct observe_command *command, struct error *error)
{
    struct lane *lane = lane_of(o->building, at->thread, error);
    if (lane == NULL)
        return false;
    if (command->sectors == 0 || lane->commands == OBSERVED_COMMANDS_MAX
        || (lane->commands > 0
            && same_command(&lane->command[lane->commands - 1].is, command)))
        lane_forget(lane);
    if (lane->commands == 0)
        lane->pendings = 0;
    lane->follows                        = OBSERVED_NONE;
    lane->command[lane->commands].is     = *command;
    lane->command[lane->commands++].from = lane->pendings;
    return true;
}

static void set_key(struct observed_request *r, bool command, uint64_t owner, uint64_t item)
{
    r->key[0] = owner << 1 | command;
    r->key[1] = item;
}

/* The oldest one with that key. */
static void end_flight(struct observed *o, bool command, uint64_t owner, uint64_t item)
{
    struct observer *b             = o->building;
    struct observed_request wanted = { 0 };
    const bool by_place            = !command && !b->command_ends;
    set_key(&wanted, command, owner, item);
    for (uint32_t i = 0; i < b->flights; i++) {
        struct observed_request *r = &o->request[b->flight[i]];
        if ((r->key[0] != wanted.key[0] || r->key[1] != wanted.key[1])
            && !(by_place && r->command && r->disk == owner && r->lba == item))
            continue;
        r->completed = true;
        b->cpu_flights[r->cpu]--;
        memmove(&b->flight[i], &b->flight[i + 1], (--b->flights - i) * sizeof b->flight[0]);
        return;
    }
}

void observe_command_end(struct observed *o, const struct observe_command *command)
{
    o->building->command_ends = true;
    end_flight(o, true, command->controller, command->id);
}

/* ---- Calls
 * ----------------------------------------------------------------------------------- */

static uint64_t sum_of(const struct observed_call *call)
{
    uint64_t sum = call->kind == OBSERVED_single ? call->bytes : 0;
    if (call->kind == OBSERVED_range)
        for (uint32_t i = 0; i < call->pieces; i++)
            sum += call->piece[i].bytes;
    for (uint32_t i = 0; i < call->outs; i++)
        sum += call->out[i].bytes;
    return sum;
}

/* A range that was asked for and not to be had: nothing is linked into it. */
static bool was_refused(const struct observed_call *c)
{
    return c->kind == OBSERVED_range && c->pieces == 0;
}

static uint32_t *bucket_of(struct observer *b, enum observed_kind kind, uint64_t value)
{
    const uint64_t mixed = (value ^ (uint64_t)kind << 60) * UINT64_C(0x9e3779b97f4a7c15);
    return &b->live[mixed >> 50];
}

/* The newest that has the value: an older one's unmap was not seen. */
static struct observed_call *live_find(struct observed *o, enum observed_kind kind,
                                       uint32_t device, uint64_t value)
{
    for (uint32_t i = *bucket_of(o->building, kind, value); i != 0;
         i          = o->call[i - 1].next_live) {
        struct observed_call *c = &o->call[i - 1];
        if (c->kind == kind && c->value == value
            && (device == OBSERVED_NONE || c->device == device))
            return c;
    }
    return NULL;
}

static void live_add(struct observed *o, uint32_t call)
{
    struct observer *b      = o->building;
    struct observed_call *c = &o->call[call];
    uint32_t *bucket        = bucket_of(b, c->kind, c->value);
    c->next_live            = *bucket;
    *bucket                 = call + 1;
    if (c->kind == OBSERVED_range)
        push(&b->range, &b->ranges, &b->ranges_room, call);
}

static void live_remove(struct observed *o, struct observed_call *c)
{
    struct observer *b  = o->building;
    const uint32_t mine = (uint32_t)(c - o->call) + 1;
    uint32_t *link      = bucket_of(b, c->kind, c->value);
    while (*link != mine)
        link = &o->call[*link - 1].next_live;
    *link   = c->next_live;
    c->live = false;
    for (uint32_t i = b->ranges; c->kind == OBSERVED_range && i-- > 0;)
        if (b->range[i] + 1 == mine) {
            b->range[i] = b->range[--b->ranges];
            return;
        }
}

static void attach(struct observed *o, uint32_t request, uint32_t call)
{
    struct observed_request *r = &o->request[request];
    struct observed_call *c    = &o->call[call];
    c->request                 = request;
    c->next                    = OBSERVED_NONE;
    if (r->first == OBSERVED_NONE)
        r->first = call;
    else
        o->call[r->last].next = call;
    r->last = call;
    if (c->device != OBSERVED_NONE)
        r->device = c->device;
    if (r->command && c->device != OBSERVED_NONE)
        o->device[c->device].nvme = true;
    if (c->live && was_refused(c))
        live_remove(o, c);
}

struct observed_call *observe_map(struct observed *o, const struct observe_line *at,
                                  enum observed_kind kind, uint32_t device, uint64_t value,
                                  struct error *error)
{
    struct observer *b         = o->building;
    struct lane *lane          = lane_of(b, at->thread, error);
    struct observed_call *over = live_find(o, kind, device, value);
    const uint32_t mine        = o->calls;
    if (lane == NULL)
        return NULL;
    if (over != NULL)
        live_remove(o, over);
    o->call       = grown(o->call, o->calls, &o->calls_room, sizeof *o->call);
    o->call[mine] = (struct observed_call){ .kind    = kind,
                                            .line    = at->line,
                                            .value   = value,
                                            .device  = device,
                                            .request = OBSERVED_NONE,
                                            .next    = OBSERVED_NONE,
                                            .live    = true };
    o->calls++;
    o->has_links |= kind == OBSERVED_range;
    live_add(o, mine);
    if (kind == OBSERVED_list && lane->follows != OBSERVED_NONE) {
        attach(o, lane->follows, mine);
        lane->follows = OBSERVED_NONE;
    } else if (kind != OBSERVED_coherent) {
        push(&lane->pending, &lane->pendings, &lane->room, mine);
    }
    return &o->call[mine];
}

void observe_piece(struct observed_call *call, uint64_t addr, uint64_t bytes)
{
    call->piece = grown(call->piece, call->pieces, &call->pieces_room, sizeof *call->piece);
    call->piece[call->pieces++] = (struct observed_piece){ addr, bytes };
    if (call->kind == OBSERVED_list)
        call->elements = call->elements > call->pieces ? call->elements : call->pieces;
}

void observe_out(struct observed_call *call, uint64_t addr, uint64_t bytes)
{
    call->out = grown(call->out, call->outs, &call->outs_room, sizeof *call->out);
    call->out[call->outs++] = (struct observed_piece){ addr, bytes };
    call->addr              = call->out[0].addr;
    call->bytes += bytes;
}

struct observed_call *observe_range(struct observed *o, const struct observe_line *at,
                                    uint64_t state, uint64_t offset, struct error *error)
{
    struct observed_call *c = live_find(o, OBSERVED_range, OBSERVED_NONE, state);
    if (c != NULL && c->request == OBSERVED_NONE && (offset != 0 || c->pieces == 0))
        return c;
    return observe_map(o, at, OBSERVED_range, OBSERVED_NONE, state, error);
}

struct observed_call *observe_unmap(struct observed *o, uint64_t line,
                                    enum observed_kind kind, uint32_t device,
                                    uint64_t value, uint64_t bytes)
{
    struct observed_call *c = live_find(o, kind, device, value);
    o->has_unmaps[kind]     = true;
    if (c == NULL) {
        o->stray_unmaps++;
        return NULL;
    }
    c->unmap_line  = line;
    c->unmap_bytes = bytes;
    live_remove(o, c);
    return c;
}

/* Whether that address was mapped by itself. Of lists the unmap names the memory: they tell
 * the mode of kernels alone that have no ranges, which lazy ones may invalidate at once. */
static bool is_no_range(struct observed *o, uint64_t addr)
{
    const bool ranges = o->new_maps || o->has_links;
    return !ranges || live_find(o, OBSERVED_single, OBSERVED_NONE, addr) != NULL;
}

void observe_cleared(struct observed *o, uint64_t addr, uint64_t bytes)
{
    const uint64_t inside    = 4095;
    const struct observer *b = o->building;
    for (uint32_t i = b->ranges; i-- > 0;) {
        struct observed_call *c = &o->call[b->range[i]];
        const uint64_t whole    = ((c->addr & inside) + c->bytes + inside) & ~inside;
        if (!c->cleared && (c->addr & ~inside) == addr && whole == bytes) {
            c->cleared                    = true;
            o->has_unmaps[OBSERVED_range] = true;
            return;
        }
    }
    if (is_no_range(o, addr))
        o->building->cleared[o->cleared++ % CLEARED_REMEMBERED] =
            (struct observed_piece){ addr, bytes };
}

void observe_flushed(struct observed *o, uint64_t first, uint64_t last)
{
    o->has_flushes = true;
    if (last - first > CLEARED_LARGEST)
        return; /* Of everything: a queue is flushed. */
    for (unsigned i = 0; i < CLEARED_REMEMBERED; i++) {
        struct observed_piece *p = &o->building->cleared[i];
        if (p->bytes == 0 || p->addr < first || p->addr + p->bytes - 1 > last)
            continue;
        p->bytes = 0;
        o->flushed++;
    }
}

/* ---- The mode
 * -------------------------------------------------------------------------------- */

/* Whether a call gave the device its memory's address (1) or another one (-1); 0: it does
 * not say. */
static int own_address(const struct observed_call *c)
{
    if (c->pieces == 0 || c->kind == OBSERVED_coherent
        || (c->kind == OBSERVED_list && c->outs == 0))
        return 0;
    return c->kind != OBSERVED_range && c->addr == c->piece[0].addr ? 1 : -1;
}

static enum observed_mode mode_of_unmaps(const struct observed *o)
{
    const bool tells = o->has_flushes && o->cleared > 0;
    if (tells && o->flushed * 10 >= o->cleared * 9)
        return OBSERVED_STRICT;
    if (tells && o->flushed * 10 <= o->cleared)
        return OBSERVED_LAZY;
    return OBSERVED_TRANSLATED;
}

enum observed_mode observed_mode(const struct observed *o)
{
    uint64_t own = 0, other = 0;
    for (uint32_t i = 0; i < o->calls; i++) {
        own += own_address(&o->call[i]) > 0;
        other += own_address(&o->call[i]) < 0;
    }
    if (own == other)
        return OBSERVED_UNKNOWN;
    return own > other ? OBSERVED_PASSTHROUGH : mode_of_unmaps(o);
}

/* ---- Requests
 * -------------------------------------------------------------------------------- */

static uint32_t disk_of(struct observed *o, uint64_t name)
{
    struct observer *b = o->building;
    for (uint32_t i = 0; i < o->disks; i++)
        if (b->disk[i] == name)
            return i;
    b->disk           = grown(b->disk, o->disks, &b->disks_room, sizeof *b->disk);
    b->disk[o->disks] = name;
    return o->disks++;
}

static struct observed_request *add_request(struct observed *o,
                                            const struct observe_line *at)
{
    struct observer *b = o->building;
    o->request = grown(o->request, o->requests, &o->requests_room, sizeof *o->request);
    struct observed_request *r = &o->request[o->requests++];
    *r                         = (struct observed_request){ .line    = at->line,
                                                            .time_ns = at->time_ns,
                                                            .cpu     = at->cpu,
                                                            .device  = OBSERVED_NONE,
                                                            .first   = OBSERVED_NONE,
                                                            .last    = OBSERVED_NONE };
    while (o->cpus <= at->cpu) {
        b->cpu_flights =
            grown(b->cpu_flights, o->cpus, &b->cpus_room, sizeof *b->cpu_flights);
        b->cpu_flights[o->cpus++] = 0;
    }
    return r;
}

/* Whether the command is the one of this request: by its place, in units of 512 or 4096
 * bytes, where that is recorded. */
static bool command_fits(const struct observe_command *c, const struct observe_request *r)
{
    const uint64_t sectors = r->bytes / TRACE_SECTOR_BYTES;
    if (c->sectors == 0 || !r->known || sectors == 0)
        return true;
    return (c->sector == r->sector && c->sectors == sectors)
           || (c->sector * 8 == r->sector && c->sectors * 8 == sectors);
}

static unsigned command_of(const struct lane *lane, const struct observe_request *r)
{
    for (unsigned i = lane->commands; i-- > 0;)
        if (command_fits(&lane->command[i].is, r))
            return i;
    return OBSERVED_COMMANDS_MAX;
}

/* The thread that set the command up: this one, unless its task went to another CPU. */
static struct lane *lane_with(struct observer *b, struct lane *lane,
                              const struct observe_request *r)
{
    if (command_of(lane, r) < OBSERVED_COMMANDS_MAX || !r->known || r->bytes == 0)
        return lane;
    for (unsigned i = 0; i < b->lanes; i++) {
        const unsigned c = command_of(&b->lane[i], r);
        if (c < OBSERVED_COMMANDS_MAX && b->lane[i].command[c].is.sectors != 0)
            return &b->lane[i];
    }
    return lane;
}

static uint64_t sum_between(const struct observed *o, const struct lane *lane,
                            uint32_t first, uint32_t end)
{
    uint64_t sum = 0;
    for (uint32_t i = first; i < end; i++)
        sum += sum_of(&o->call[lane->pending[i]]);
    return sum;
}

/* The pending calls [first, end) are the request's. */
static void take_between(struct observed *o, struct lane *lane, uint32_t first,
                         uint32_t end, uint32_t request)
{
    const uint32_t n = end - first;
    for (uint32_t i = first; i < end; i++)
        attach(o, request, lane->pending[i]);
    memmove(&lane->pending[first], &lane->pending[end],
            (lane->pendings - end) * sizeof lane->pending[0]);
    lane->pendings -= n;
    for (unsigned i = 0; i < lane->commands; i++)
        if (lane->command[i].from > first)
            lane->command[i].from -=
                lane->command[i].from < first + n ? lane->command[i].from - first : n;
}

/* The last calls of the lane, not before from, that are for a request of so many bytes (0:
 * all of them). */
static void take_last(struct observed *o, struct lane *lane, uint32_t from,
                      uint32_t request, uint64_t bytes)
{
    uint64_t sum   = 0;
    uint32_t first = lane->pendings;
    while (first > from && (bytes == 0 || sum < bytes))
        sum += sum_of(&o->call[lane->pending[--first]]);
    while (first > from && was_refused(&o->call[lane->pending[first - 1]]))
        first--;
    if (first < lane->pendings)
        take_between(o, lane, first, lane->pendings, request);
}

/* Those between this command and the next one that the thread has set up, if they are just
 * what is to be mapped. */
static void take_of_command(struct observed *o, struct lane *lane, unsigned which,
                            uint32_t request, uint64_t bytes)
{
    const uint32_t from = lane->command[which].from;
    const uint32_t end =
        which + 1 < lane->commands ? lane->command[which + 1].from : lane->pendings;
    if (bytes != 0 && sum_between(o, lane, from, end) == bytes)
        take_between(o, lane, from, end, request);
    else
        take_last(o, lane, from, request, bytes);
}

static uint64_t taken_for(const struct observed *o, uint32_t request)
{
    uint64_t sum = 0;
    for (uint32_t i = o->request[request].first; i != OBSERVED_NONE; i = o->call[i].next)
        sum += sum_of(&o->call[i]);
    return sum;
}

/* own: where it is issued; when the task went there after it had set the command up, it may
 * have mapped there. */
static void issue_by_command(struct observed *o, struct lane *lane, unsigned which,
                             struct lane *own, uint32_t request,
                             const struct observe_request *r)
{
    const struct observe_command *c = &lane->command[which].is;
    struct observed_request *made   = &o->request[request];
    const uint64_t bytes            = r->known ? r->bytes : 0;
    made->command                   = true;
    made->admin                     = c->admin;
    set_key(made, true, c->controller, c->id);
    take_of_command(o, lane, which, request, bytes);
    const uint64_t taken = taken_for(o, request);
    if (own != lane && taken < bytes)
        take_last(o, own, 0, request, bytes - taken);
    memmove(&lane->command[which], &lane->command[which + 1],
            (--lane->commands - which) * sizeof lane->command[0]);
}

/* Without a command: its own was not recorded, and what was just mapped is just as large;
 * or it is another driver's, which maps a list behind it. */
static void issue_alone(struct observed *o, struct lane *lane, uint32_t request,
                        const struct observe_request *r)
{
    const bool moves    = r->known && trace_op_moves_data(r->op);
    const uint32_t mine = lane->pendings;
    uint32_t first      = mine;
    uint64_t sum        = 0;
    while (moves && first > 0 && sum < r->bytes)
        sum += sum_of(&o->call[lane->pending[--first]]);
    if (moves && sum == r->bytes && mine > 0)
        take_between(o, lane, first, mine, request);
    else if (!r->known)
        take_last(o, lane, 0, request, r->bytes);
    lane_forget(lane);
    if (moves && o->request[request].first == OBSERVED_NONE)
        lane->follows = request;
}

bool observe_issue(struct observed *o, const struct observe_line *at,
                   const struct observe_request *request, struct error *error)
{
    struct observer *b = o->building;
    struct lane *own   = lane_of(b, at->thread, error);
    if (own == NULL)
        return false;
    if (request->bytes > UINT32_MAX)
        return error_set(error, "%" PRIu64 " bytes are more than %" PRIu32, request->bytes,
                         UINT32_MAX);
    struct observed_request *r = add_request(o, at);
    const uint32_t index       = o->requests - 1;
    r->op                      = request->op;
    r->known                   = request->known;
    r->lba                     = request->sector;
    r->bytes                   = (uint32_t)request->bytes;
    r->disk                    = disk_of(o, request->disk);
    set_key(r, false, r->disk, r->op == TRACE_FLUSH ? UINT64_MAX : r->lba);
    push(&b->flight, &b->flights, &b->flights_room, index);
    r->depth             = ++b->cpu_flights[at->cpu];
    struct lane *lane    = lane_with(b, own, request);
    const unsigned which = command_of(lane, request);
    if (which < OBSERVED_COMMANDS_MAX)
        issue_by_command(o, lane, which, own, index, request);
    else
        issue_alone(o, own, index, request);
    if (lane->commands == 0)
        lane->pendings = 0;
    return true;
}

void observe_complete(struct observed *o, const struct observe_request *request)
{
    end_flight(o, false, disk_of(o, request->disk),
               request->known && request->op == TRACE_FLUSH ? UINT64_MAX : request->sector);
}

struct observed_request *observe_alone(struct observed *o, const struct observe_line *at,
                                       enum trace_op op)
{
    const uint64_t bytes       = sum_of(&o->call[o->calls - 1]);
    struct observed_request *r = add_request(o, at);
    r->op                      = op;
    r->known = r->inferred = true;
    r->bytes               = (uint32_t)bytes;
    r->device              = o->call[o->calls - 1].device;
    attach(o, o->requests - 1, o->calls - 1);
    return r;
}

void observe_gap(struct observed *o)
{
    struct observer *b = o->building;
    for (unsigned i = 0; i < b->lanes; i++) {
        struct lane *lane = &b->lane[i];
        for (uint32_t k = 0; lane->commands > 0 && k < lane->pendings; k++)
            o->call[lane->pending[k]].begun = true;
        lane_forget(lane);
    }
    for (uint32_t i = 0; i < o->cpus; i++)
        b->cpu_flights[i] = 0;
    b->flights = 0;
}

bool observe_end(struct observed *o, struct error *error)
{
    observe_gap(o);
    builder_free(o->building);
    o->building = NULL;
    o->foreign  = o->calls == 0;
    return !o->foreign
           || error_set(error, "expected calls of the DMA API that map, found none");
}
