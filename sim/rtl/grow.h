/* SPDX-License-Identifier: Apache-2.0 */
/* grow - arrays that grow by one zeroed item at a time. */
#ifndef SIM_RTL_GROW_H
#define SIM_RTL_GROW_H

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

/* The array, which may have moved: at powers of two it doubles. *item is the new one. */
static inline void *grow(void *array, size_t *count, size_t bytes, void **item)
{
    if ((*count & (*count - 1)) == 0) {
        array = realloc(array, (*count == 0 ? 1 : 2 * *count) * bytes);
        CHECK(array != NULL);
    }
    *item = (char *)array + *count * bytes;
    memset(*item, 0, bytes);
    ++*count;
    return array;
}

#define GROW(owner, array, count, item)                                                    \
    do {                                                                                   \
        void *grown;                                                                       \
        (owner)->array =                                                                   \
            grow((owner)->array, &(owner)->count, sizeof *(owner)->array, &grown);         \
        (item) = grown;                                                                    \
    } while (0)

#endif
