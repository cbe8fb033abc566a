/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram - log-linear buckets over 64-bit values.
 *
 * Values below 256 are exact; above, each power of two has 128 buckets, so a bucket is
 * less than 0.8 % wide. Count, sum, minimum and maximum are exact. Recording is a handful
 * of instructions and never allocates.
 */
#ifndef SIM_BASE_HISTOGRAM_H
#define SIM_BASE_HISTOGRAM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HISTOGRAM_SUB_LG2 = 7, /* Buckets to a power of two, as a power of two. */
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_LG2 + 1) << HISTOGRAM_SUB_LG2,
};

struct histogram {
    uint64_t count, sum, min, max; /* min and max mean nothing while count is 0. */
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *h, uint64_t value);

/* The smallest and the largest value that fall into a bucket. */
uint64_t histogram_bucket_first(unsigned bucket);
uint64_t histogram_bucket_last(unsigned bucket);

/*
 * The value that at least percent of 100 of the records do not exceed: the bucket's last
 * value, but never more than the maximum. 0 for an empty histogram.
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);

void histogram_merge(struct histogram *into, const struct histogram *from);

#ifdef __cplusplus
}
#endif

#endif
