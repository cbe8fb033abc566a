/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory - simulated physical memory: sparse contents, and the timing of the way to it.
 *
 * Contents are bytes, little-endian; what nobody wrote reads as zero. A 4 KiB page exists
 * on the host only once something was stored in it, so payload that no one looks at costs
 * nothing. Each existing page also knows, line by line, which CPUs hold it.
 *
 * Timing belongs to channels: see struct mem_channel.
 */
#ifndef SIM_BASE_MEMORY_H
#define SIM_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/line.h"
#include "sim/base/param.h"
#include "sim/base/simtime.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MEM_PAGE_LG2  = 12,
    MEM_LINE_LG2  = 6,
    MEM_PA_LG2    = 52,
    MEM_LINES     = 1 << (MEM_PAGE_LG2 - MEM_LINE_LG2),
    MEM_WORDS     = 1 << (MEM_PAGE_LG2 - 3),
    MEM_RADIX_LG2 = 14, /* Three levels of the page index: 12, 14 and 14 bits. */
};

struct mem_page {
    uint64_t word[MEM_WORDS];
    struct line line[MEM_LINES];
};

struct memory {
    void *root[1 << (MEM_PA_LG2 - MEM_PAGE_LG2 - 2 * MEM_RADIX_LG2)];
    uint64_t pages; /* That exist on the host. */
    uint64_t last_number;
    struct mem_page *last;   /* The page found last: most accesses stay in one. */
    struct mem_chunk *chunk; /* Where new pages come from, before it older ones. */
};

void memory_init(struct memory *m);
void memory_free(struct memory *m);

/* The page that holds pa, or NULL when it does not exist; _make creates it. */
struct mem_page *memory_page(struct memory *m, uint64_t pa);
struct mem_page *memory_page_make(struct memory *m, uint64_t pa);

/* Contents; pa is aligned to the access. */
uint64_t memory_read64(struct memory *m, uint64_t pa);
uint32_t memory_read32(struct memory *m, uint64_t pa);
void memory_write64(struct memory *m, uint64_t pa, uint64_t value);
void memory_write32(struct memory *m, uint64_t pa, uint32_t value);

/* Any length and alignment. A device's write takes the lines from the CPUs; without data
 * (NULL) only that, and only where the page exists. */
void memory_read(struct memory *m, uint64_t pa, void *out, size_t bytes);
void memory_write(struct memory *m, uint64_t pa, const void *data, size_t bytes);
void memory_device_write(struct memory *m, uint64_t pa, const void *data, size_t bytes);

/* Forgets the contents and the lines of a page (it goes back to the page allocator). */
void memory_clear_page(struct memory *m, uint64_t pa);

static inline struct line *memory_line(struct memory *m, uint64_t pa)
{
    return &memory_page_make(m, pa)->line[(pa >> MEM_LINE_LG2) & (MEM_LINES - 1)];
}

/*
 * A channel: fixed latency, one shared data path that answers in order. An access accepted
 * at t delivers its first beat at t + latency or when the path is free, and then a beat
 * each beat_ps. (So does the test bench of the RTL that the model is held against.)
 */
struct mem_channel {
    uint64_t latency_ps, beat_ps;
    uint32_t beat_bytes;
    sim_time_t free_at; /* When the data path can take the next first beat. */
};

struct mem_access_times {
    sim_time_t first, last; /* The first and the last beat's time. */
};

struct mem_access_times mem_channel_access(struct mem_channel *c, sim_time_t accepted,
                                           uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
