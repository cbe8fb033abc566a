/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring - a bounded first-in first-out queue of plain structs, as an include template.
 *
 *     #define RING_NAME  reply_ring
 *     #define RING_ITEM  struct reply
 *     #include "sim/base/ring.h"
 *
 * defines struct reply_ring and its verbs. Capacity is a power of two given to init.
 * Pushing into a full ring is a violation: ask _full first, or _grow it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "sim/base/check.h"
#include "sim/base/lg2.h"

#define RING_JOIN2(a, b) a##b
#define RING_JOIN(a, b)  RING_JOIN2(a, b)
#define RING_FN(verb)    RING_JOIN(RING_NAME, verb)

struct RING_NAME {
    RING_ITEM *item;
    uint32_t mask, head, tail; /* head and tail run freely; their difference is the fill. */
};

__attribute__((unused)) static inline void RING_FN(_init)(struct RING_NAME *r,
                                                          uint32_t capacity)
{
    CHECK(is_pow2(capacity));
    r->item = (RING_ITEM *)calloc(capacity, sizeof(RING_ITEM));
    CHECK(r->item != NULL);
    r->mask = capacity - 1;
    r->head = r->tail = 0;
}

__attribute__((unused)) static inline void RING_FN(_free)(struct RING_NAME *r)
{
    free(r->item);
    r->item = NULL;
}

__attribute__((unused)) static inline uint32_t RING_FN(_count)(const struct RING_NAME *r)
{
    return r->tail - r->head;
}

__attribute__((unused)) static inline bool RING_FN(_empty)(const struct RING_NAME *r)
{
    return r->tail == r->head;
}

__attribute__((unused)) static inline bool RING_FN(_full)(const struct RING_NAME *r)
{
    return r->tail - r->head > r->mask;
}

/* Makes room for one item at the tail and returns it for filling in. */
__attribute__((unused)) static inline RING_ITEM *RING_FN(_push)(struct RING_NAME *r)
{
    CHECK(!RING_FN(_full)(r));
    return &r->item[r->tail++ & r->mask];
}

/* The item that the next push will return, to be filled in before it. */
__attribute__((unused)) static inline RING_ITEM *RING_FN(_next)(const struct RING_NAME *r)
{
    CHECK(!RING_FN(_full)(r));
    return &r->item[r->tail & r->mask];
}

/* Takes the item pushed last back again. */
__attribute__((unused)) static inline void RING_FN(_unpush)(struct RING_NAME *r)
{
    CHECK(r->tail != r->head);
    r->tail--;
}

/* The i-th oldest item. */
__attribute__((unused)) static inline RING_ITEM *RING_FN(_at)(const struct RING_NAME *r,
                                                              uint32_t i)
{
    CHECK(i < r->tail - r->head);
    return &r->item[(r->head + i) & r->mask];
}

__attribute__((unused)) static inline RING_ITEM *RING_FN(_front)(const struct RING_NAME *r)
{
    CHECK(r->tail != r->head);
    return &r->item[r->head & r->mask];
}

__attribute__((unused)) static inline void RING_FN(_pop)(struct RING_NAME *r)
{
    CHECK(r->tail != r->head);
    r->head++;
}

/* Twice the capacity; the items have moved. */
__attribute__((unused)) static inline void RING_FN(_grow)(struct RING_NAME *r)
{
    struct RING_NAME larger;
    CHECK(r->mask < UINT32_MAX / 2);
    RING_FN(_init)(&larger, 2 * (r->mask + 1));
    while (!RING_FN(_empty)(r)) {
        *RING_FN(_push)(&larger) = *RING_FN(_front)(r);
        RING_FN(_pop)(r);
    }
    RING_FN(_free)(r);
    *r = larger;
}

#undef RING_NAME
#undef RING_ITEM
#undef RING_JOIN2
#undef RING_JOIN
#undef RING_FN
