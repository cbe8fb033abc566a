/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prices - what mapping costs a CPU by itself: page-table calls, single pages against one
 * range, copies. One CPU of the defaults, and an IOMMU that is told everything for nothing.
 */
#ifndef SIM_TEST_PRICES_H
#define SIM_TEST_PRICES_H

#include <stdbool.h>
#include <stddef.h>

struct price {
    double map, unmap; /* CPU cycles. */
};

/* One call for count leaves of 2^page_lg2 bytes, tables in place and lines held. */
struct price price_of_range(const char *format, unsigned levels, unsigned page_lg2,
                            unsigned count);

/* So many pages apart in memory, all calls of them: as one IOVA range, or a mapping each.
 */
struct price price_of_pages(unsigned pages, bool iova);

/* Copying so many bytes into a bounce buffer. */
double price_of_copy(size_t bytes);

#endif
