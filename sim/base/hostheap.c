/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/hostheap.h"

#include <stdalign.h>
#include <stdlib.h>

#include "sim/base/check.h"

/* In front of what the taker sees. */
struct hostheap_block {
    alignas(max_align_t) struct hostheap_block *older;
    struct hostheap_block *newer;
    const struct hostheap *heap;
    const char *taker;
};

void *hostheap_take(struct hostheap *heap, size_t count, size_t bytes, const char *taker)
{
    CHECK(bytes > 0);
    CHECK(count <= (SIZE_MAX - sizeof(struct hostheap_block)) / bytes);
    struct hostheap_block *b = calloc(1, sizeof *b + count * bytes);
    CHECK(b != NULL);
    b->heap  = heap;
    b->taker = taker;
    b->older = heap->newest;
    if (b->older != NULL)
        b->older->newer = b;
    heap->newest = b;
    heap->out++;
    return b + 1;
}

void hostheap_give_back(struct hostheap *heap, void *memory)
{
    if (memory == NULL)
        return;
    struct hostheap_block *b = (struct hostheap_block *)memory - 1;
    CHECK(b->heap == heap); /* Taken elsewhere, or given back before. */
    CHECK(heap->out > 0);
    if (b->older != NULL)
        b->older->newer = b->newer;
    if (b->newer != NULL)
        b->newer->older = b->older;
    else
        heap->newest = b->older;
    heap->out--;
    b->heap = NULL;
    free(b);
}

const char *hostheap_taker(const struct hostheap *heap)
{
    return heap->newest == NULL ? NULL : heap->newest->taker;
}

void hostheap_release(struct hostheap *heap)
{
    while (heap->newest != NULL)
        hostheap_give_back(heap, heap->newest + 1);
    CHECK(heap->out == 0);
}
