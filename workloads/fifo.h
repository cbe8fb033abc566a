/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fifo - an intrusive first-in first-out list, as an include template.
 *
 *     #define FIFO_NAME  command_fifo
 *     #define FIFO_ITEM  struct command
 *     #define FIFO_LINK  next
 *     #include "workloads/fifo.h"
 *
 * defines struct command_fifo and its verbs. An item is in at most one list per link; a
 * zeroed list is empty.
 */
#include <stdbool.h>
#include <stddef.h>

#include "sim/base/check.h"

#define FIFO_JOIN2(a, b) a##b
#define FIFO_JOIN(a, b)  FIFO_JOIN2(a, b)
#define FIFO_FN(verb)    FIFO_JOIN(FIFO_NAME, verb)

struct FIFO_NAME {
    FIFO_ITEM *first, *last;
};

__attribute__((unused)) static inline bool FIFO_FN(_empty)(const struct FIFO_NAME *f)
{
    return f->first == NULL;
}

__attribute__((unused)) static inline void FIFO_FN(_push)(struct FIFO_NAME *f,
                                                          FIFO_ITEM *item)
{
    item->FIFO_LINK = NULL;
    if (f->first == NULL)
        f->first = item;
    else
        f->last->FIFO_LINK = item;
    f->last = item;
}

__attribute__((unused)) static inline FIFO_ITEM *FIFO_FN(_pop)(struct FIFO_NAME *f)
{
    FIFO_ITEM *item = f->first;
    CHECK(item != NULL);
    f->first        = item->FIFO_LINK;
    item->FIFO_LINK = NULL;
    return item;
}

/* The first becomes the last: its turn is over. */
__attribute__((unused)) static inline void FIFO_FN(_rotate)(struct FIFO_NAME *f)
{
    FIFO_FN(_push)(f, FIFO_FN(_pop)(f));
}

#undef FIFO_NAME
#undef FIFO_ITEM
#undef FIFO_LINK
#undef FIFO_JOIN2
#undef FIFO_JOIN
#undef FIFO_FN
