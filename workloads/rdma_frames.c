/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_frames.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

/* As replay.c's buffers: above what a recording may name. */
#define FRAMES_FIRST (UINT64_C(1) << 50)
enum { SPREAD_LG2 = 34, ROOM_FIRST = 1024 };

void rdma_frames_init(struct rdma_frames *f, unsigned unit_lg2, bool scattered)
{
    memset(f, 0, sizeof *f);
    f->unit_lg2  = unit_lg2;
    f->scattered = scattered;
    f->room      = ROOM_FIRST;
    f->page      = calloc(f->room, sizeof *f->page);
    f->frame     = calloc(f->room, sizeof *f->frame);
    CHECK(f->page != NULL);
    CHECK(f->frame != NULL);
}

void rdma_frames_free(struct rdma_frames *f)
{
    free(f->page);
    free(f->frame);
}

static uint32_t place_of(const struct rdma_frames *f, uint64_t page)
{
    uint32_t at = (uint32_t)(page * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (f->room - 1);
    while (f->page[at] != 0 && f->page[at] != page)
        at = (at + 1) & (f->room - 1);
    return at;
}

static void grow(struct rdma_frames *f)
{
    const struct rdma_frames old = *f;
    f->room *= 2;
    f->page  = calloc(f->room, sizeof *f->page);
    f->frame = calloc(f->room, sizeof *f->frame);
    CHECK(f->page != NULL);
    CHECK(f->frame != NULL);
    for (uint32_t i = 0; i < old.room; i++)
        if (old.page[i] != 0) {
            const uint32_t at = place_of(f, old.page[i]);
            f->page[at]       = old.page[i];
            f->frame[at]      = old.frame[i];
        }
    free(old.page);
    free(old.frame);
}

/* The nth frame: one behind the other, or (an odd factor makes a permutation, as long as
 * there are not more of them) far from each other. */
static uint64_t nth_frame(const struct rdma_frames *f, uint64_t n)
{
    const uint64_t mask = (UINT64_C(1) << (SPREAD_LG2 - f->unit_lg2)) - 1;
    if (f->scattered && n <= mask)
        n = n * (UINT64_C(0x9e3779b97f4a7c15) & mask) & mask;
    return FRAMES_FIRST + (n << f->unit_lg2);
}

uint64_t rdma_frames_of(struct rdma_frames *f, uint64_t address)
{
    const uint64_t page = (address >> f->unit_lg2) + 1;
    uint32_t at         = place_of(f, page);
    if (f->page[at] == 0) {
        if (f->used >= f->room / 2) {
            grow(f);
            at = place_of(f, page);
        }
        f->page[at]  = page;
        f->frame[at] = nth_frame(f, f->used++);
    }
    return f->frame[at] + (address & ((UINT64_C(1) << f->unit_lg2) - 1));
}
