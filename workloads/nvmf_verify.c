/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvmf_verify.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << NVME_SECTOR_LG2, ROOM_FIRST = 4096 };
#define UNKNOWN UINT64_MAX /* In place of a write's number; 0: never written. */

/* A request under way. */
struct nvmf_flight {
    struct nvmf_flight *next;
    struct nvmf_verify *verify;
    struct nvme_io io; /* As it was submitted: its segments are in the array below. */
    struct blk_segment segment[NVME_SGL_MAX];
    uint64_t id;
    bool spoiled;
};

static void *allocate(uint64_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    CHECK(memory != NULL);
    return memory;
}

/* ---- What each block holds -------------------------------------------------------------
 */

static uint64_t slot_of(const struct nvmf_verify *v, uint64_t block)
{
    uint64_t at = block * UINT64_C(0x9e3779b97f4a7c15) >> 20 & (v->room - 1);
    while (v->lba[at] != 0 && v->lba[at] != block + 1)
        at = (at + 1) & (v->room - 1);
    return at;
}

static void grow(struct nvmf_verify *v)
{
    uint64_t *const lba = v->lba, *const id = v->id, room = v->room;
    v->room *= 2;
    v->lba = allocate(v->room, sizeof *v->lba);
    v->id  = allocate(v->room, sizeof *v->id);
    for (uint64_t i = 0; i < room; i++)
        if (lba[i] != 0) {
            const uint64_t at = slot_of(v, lba[i] - 1);
            v->lba[at]        = lba[i];
            v->id[at]         = id[i];
        }
    free(lba);
    free(id);
}

static void note(struct nvmf_verify *v, uint64_t block, uint64_t id)
{
    const uint64_t at = slot_of(v, block);
    v->used += v->lba[at] == 0;
    v->lba[at] = block + 1;
    v->id[at]  = id;
    if (v->used * 2 > v->room)
        grow(v);
}

static uint64_t holds(const struct nvmf_verify *v, uint64_t block)
{
    const uint64_t at = slot_of(v, block);
    return v->lba[at] == 0 ? 0 : v->id[at];
}

/* The bytes that the write with that number puts there. */
static void pattern(uint64_t block, uint64_t id, uint8_t *data)
{
    for (unsigned i = 0; i < BLOCK / 8; i++) {
        uint64_t x = (block * UINT64_C(0x9e3779b97f4a7c15)) ^ (id << 20 | i);
        x          = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        x          = id == 0 ? 0 : x ^ x >> 32;
        memcpy(data + 8 * i, &x, sizeof x);
    }
}

/* ---- The memory of a request -----------------------------------------------------------
 */

/* A block of its data, from memory or into it: segments may end within blocks. */
static void move_block(const struct nvmf_flight *f, uint32_t nth, uint8_t *data, bool put)
{
    uint64_t skip = (uint64_t)nth * BLOCK;
    uint32_t done = 0;
    for (uint32_t i = 0; done < BLOCK && i < f->io.segments; i++) {
        const struct blk_segment *s = &f->segment[i];
        if (skip >= s->bytes) {
            skip -= s->bytes;
            continue;
        }
        const uint64_t left  = s->bytes - skip;
        const uint32_t bytes = left < BLOCK - done ? (uint32_t)left : BLOCK - done;
        if (put)
            memory_write(f->verify->memory, s->phys + skip, data + done, bytes);
        else
            memory_read(f->verify->memory, s->phys + skip, data + done, bytes);
        done += bytes;
        skip = 0;
    }
    CHECK(done == BLOCK);
}

static uint32_t blocks_of(const struct nvmf_flight *f)
{
    return f->io.bytes >> NVME_SECTOR_LG2;
}

static void fill(struct nvmf_flight *f)
{
    uint8_t data[BLOCK];
    for (uint32_t i = 0; i < blocks_of(f); i++) {
        pattern(f->io.lba + i, f->id, data);
        move_block(f, i, data, true);
    }
}

static void compare(struct nvmf_flight *f)
{
    struct nvmf_stats *s = f->verify->stats;
    uint8_t want[BLOCK], got[BLOCK];
    bool same = true;
    for (uint32_t i = 0; i < blocks_of(f); i++) {
        const uint64_t id = holds(f->verify, f->io.lba + i);
        if (id == UNKNOWN) {
            s->uncertain_bytes += BLOCK;
            continue;
        }
        pattern(f->io.lba + i, id, want);
        move_block(f, i, got, false);
        same &= memcmp(want, got, BLOCK) == 0;
        s->compared_bytes += BLOCK;
    }
    s->mismatched += !same;
}

/* ---- Requests --------------------------------------------------------------------------
 */

static bool changes(const struct nvme_io *io)
{
    return io->opcode != NVME_READ && io->opcode != NVME_FLUSH;
}

static bool share_memory(const struct nvmf_flight *f, const struct nvmf_flight *g)
{
    for (uint32_t i = 0; i < f->io.segments; i++)
        for (uint32_t k = 0; k < g->io.segments; k++)
            if (f->segment[i].phys < g->segment[k].phys + g->segment[k].bytes
                && g->segment[k].phys < f->segment[i].phys + f->segment[i].bytes)
                return true;
    return false;
}

static bool conflict(const struct nvmf_flight *f, const struct nvmf_flight *g)
{
    const bool blocks =
        f->io.lba < g->io.lba + blocks_of(g) && g->io.lba < f->io.lba + blocks_of(f);
    return (blocks && (changes(&f->io) || changes(&g->io))) || share_memory(f, g);
}

static struct nvmf_flight *take_flight(struct nvmf_verify *v, const struct nvme_io *io)
{
    struct nvmf_flight *f = v->spare;
    if (f == NULL)
        f = allocate(1, sizeof *f);
    else
        v->spare = f->next;
    f->verify  = v;
    f->io      = *io;
    f->id      = ++v->ids;
    f->spoiled = false;
    CHECK(io->segments <= NVME_SGL_MAX);
    if (io->segments > 0)
        memcpy(f->segment, io->segment, io->segments * sizeof *io->segment);
    for (struct nvmf_flight *g = v->flying; g != NULL; g = g->next)
        if (conflict(f, g))
            f->spoiled = g->spoiled = true;
    f->next   = v->flying;
    v->flying = f;
    return f;
}

static void give_flight(struct nvmf_verify *v, struct nvmf_flight *f)
{
    struct nvmf_flight **link = &v->flying;
    while (*link != f)
        link = &(*link)->next;
    *link    = f->next;
    f->next  = v->spare;
    v->spare = f;
}

static void done(void *arg, uint16_t status)
{
    struct nvmf_flight *f   = arg;
    struct nvmf_verify *v   = f->verify;
    const struct nvme_io io = f->io;
    const bool good         = status == NVME_SUCCESS && !f->spoiled;
    const bool known        = good && io.opcode == NVME_WRITE;
    for (uint32_t i = 0; changes(&io) && i < blocks_of(f); i++)
        note(v, io.lba + i, known ? f->id : UNKNOWN);
    if (io.opcode == NVME_READ && good)
        compare(f);
    else if (!good)
        v->stats->uncertain_bytes += io.segments > 0 ? io.bytes : 0;
    give_flight(v, f);
    io.done(io.arg, status);
}

int nvmf_verify_submit(void *self, const struct nvme_io *io)
{
    struct nvmf_verify *v = self;
    struct nvmf_flight *f = take_flight(v, io);
    struct nvme_io below  = *io;
    if (io->opcode == NVME_WRITE)
        fill(f);
    below.done      = done;
    below.arg       = f;
    const int error = v->below.submit(v->below.self, &below);
    if (error != 0)
        give_flight(v, f);
    return error;
}

/* ---- Life ------------------------------------------------------------------------------
 */

void nvmf_verify_init(struct nvmf_verify *v, struct memory *memory,
                      const struct replay_disk *below, struct nvmf_stats *stats)
{
    *v = (struct nvmf_verify){
        .memory = memory, .below = *below, .stats = stats, .room = ROOM_FIRST
    };
    v->lba = allocate(v->room, sizeof *v->lba);
    v->id  = allocate(v->room, sizeof *v->id);
}

static void free_flights(struct nvmf_flight *f)
{
    while (f != NULL) {
        struct nvmf_flight *next = f->next;
        free(f);
        f = next;
    }
}

void nvmf_verify_free(struct nvmf_verify *v)
{
    free_flights(v->flying);
    free_flights(v->spare);
    free(v->lba);
    free(v->id);
}

void nvmf_verify_medium(struct nvmf_verify *v, const uint8_t *medium)
{
    uint8_t want[BLOCK];
    for (uint64_t i = 0; i < v->room; i++) {
        if (v->lba[i] == 0 || v->id[i] == UNKNOWN)
            continue;
        const uint64_t block = v->lba[i] - 1;
        pattern(block, v->id[i], want);
        v->stats->medium_bytes += BLOCK;
        v->stats->mismatched += memcmp(want, medium + block * BLOCK, BLOCK) != 0;
    }
}
