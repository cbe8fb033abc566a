/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape - the lengths of a scatter list's elements.
 *
 * A recording has the elements' physical addresses, the lengths of the merged outputs and
 * the number of contiguous ranges that were mapped, but not the elements' lengths. Any
 * lengths that are consistent with those describe the same call.
 */
#ifndef SIM_LINUX_SHAPE_H
#define SIM_LINUX_SHAPE_H

#include "sim/linux/recording.h"

enum { SHAPE_ELEMENTS_MAX = 4096 };

/* The physical address of an element; one that is not shown lies where nothing else does.
 */
uint64_t shape_phys(const struct recording *r, const struct row *row, unsigned element);

/* Fills length[] for each of row->elements; false when no lengths are consistent. */
bool shape_elements(const struct recording *r, const struct row *row,
                    unsigned max_segment_size, uint32_t *length);

#endif
