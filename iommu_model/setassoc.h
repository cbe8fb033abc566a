/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setassoc - a set-associative array of entries, as an include template.
 *
 *     #define SETASSOC_NAME   iotlb_array
 *     #define SETASSOC_ENTRY  struct iotlb_entry     (has a member bool valid)
 *     #include "iommu_model/setassoc.h"
 *
 * defines struct iotlb_array and its verbs. The caller computes the set and compares the
 * entries: those differ from cache to cache. What is shared is the geometry, the choice of
 * a victim and the bookkeeping of the replacement policy.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "iommu_model/repl.h"
#include "sim/base/check.h"

#ifndef IOMMU_MODEL_SETASSOC_H
#define IOMMU_MODEL_SETASSOC_H
struct setassoc_shape {
    uint32_t sets, ways;
    const struct repl_policy *repl;
    bool prefer_invalid; /* A fill takes an invalid way before it asks for a victim. */
    bool touch_on_fill;  /* A fill counts as a use. */
};
#endif

#define SA_JOIN2(a, b) a##b
#define SA_JOIN(a, b)  SA_JOIN2(a, b)
#define SA_FN(verb)    SA_JOIN(SETASSOC_NAME, verb)

struct SETASSOC_NAME {
    struct setassoc_shape shape;
    SETASSOC_ENTRY *entry; /* sets x ways */
    uint8_t *age;
    struct rng rng;
};

__attribute__((unused)) static inline void
SA_FN(_init)(struct SETASSOC_NAME *a, const struct setassoc_shape *shape, struct rng rng)
{
    CHECK(shape->sets > 0);
    CHECK(shape->ways > 0);
    CHECK(shape->ways <= 256);
    a->shape = *shape;
    a->rng   = rng;
    a->entry =
        (SETASSOC_ENTRY *)calloc((size_t)shape->sets * shape->ways, sizeof(SETASSOC_ENTRY));
    a->age = (uint8_t *)calloc((size_t)shape->sets * shape->ways, 1);
    CHECK(a->entry != NULL);
    CHECK(a->age != NULL);
    for (uint32_t set = 0; set < shape->sets; set++)
        shape->repl->reset(&a->age[(size_t)set * shape->ways], shape->ways);
}

__attribute__((unused)) static inline void SA_FN(_free)(struct SETASSOC_NAME *a)
{
    free(a->entry);
    free(a->age);
    a->entry = NULL;
    a->age   = NULL;
}

/* The ways of a set, one behind the other. */
__attribute__((unused)) static inline SETASSOC_ENTRY *
SA_FN(_set)(const struct SETASSOC_NAME *a, uint32_t set)
{
    CHECK(set < a->shape.sets);
    return &a->entry[(size_t)set * a->shape.ways];
}

__attribute__((unused)) static inline uint32_t
SA_FN(_entries)(const struct SETASSOC_NAME *a)
{
    return a->shape.sets * a->shape.ways;
}

/* A look-up found this entry, in this set. */
__attribute__((unused)) static inline void
SA_FN(_hit)(struct SETASSOC_NAME *a, uint32_t set, const SETASSOC_ENTRY *entry)
{
    const size_t first = (size_t)set * a->shape.ways;
    a->shape.repl->on_hit(&a->age[first], a->shape.ways,
                          (uint32_t)(entry - &a->entry[first]));
}

/* A fill goes into this entry of this set. _place says so itself; a caller says it when a
 * fill replaces an entry where it lies. */
__attribute__((unused)) static inline void
SA_FN(_filled)(struct SETASSOC_NAME *a, uint32_t set, const SETASSOC_ENTRY *entry)
{
    const size_t first = (size_t)set * a->shape.ways;
    if (a->shape.touch_on_fill || a->shape.repl->by_fill)
        a->shape.repl->on_fill(&a->age[first], a->shape.ways,
                               (uint32_t)(entry - &a->entry[first]));
}

/* Chooses the entry that a fill of this set goes into; if it is valid, it is evicted. */
__attribute__((unused)) static inline SETASSOC_ENTRY *SA_FN(_place)(struct SETASSOC_NAME *a,
                                                                    uint32_t set)
{
    SETASSOC_ENTRY *entry = SA_FN(_set)(a, set);
    const uint32_t ways   = a->shape.ways;
    uint32_t way          = 0;
    if (a->shape.prefer_invalid)
        while (way < ways && entry[way].valid)
            way++;
    else
        way = ways;
    if (way == ways)
        way = a->shape.repl->victim(&a->age[(size_t)set * ways], ways, &a->rng);
    CHECK(way < ways);
    SA_FN(_filled)(a, set, &entry[way]);
    return &entry[way];
}

/* Drops a valid entry. */
__attribute__((unused)) static inline void SA_FN(_drop)(struct SETASSOC_NAME *a,
                                                        SETASSOC_ENTRY *entry)
{
    const uint32_t index = (uint32_t)(entry - a->entry);
    const uint32_t set = index / a->shape.ways, way = index % a->shape.ways;
    CHECK(entry->valid);
    entry->valid = false;
    a->shape.repl->on_invalidate(&a->age[(size_t)set * a->shape.ways], a->shape.ways, way);
}

#undef SETASSOC_NAME
#undef SETASSOC_ENTRY
#undef SA_JOIN2
#undef SA_JOIN
#undef SA_FN
