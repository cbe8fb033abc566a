/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/histogram.h"

#include "sim/base/check.h"
#include "sim/base/lg2.h"

enum { SUB = 1 << HISTOGRAM_SUB_LG2 };

/* Values below 2*SUB are their own bucket; above, the top HISTOGRAM_SUB_LG2+1 bits are. */
static unsigned bucket_of(uint64_t value)
{
    if (value < 2 * SUB)
        return (unsigned)value;
    const unsigned shift = lg2_floor(value) - HISTOGRAM_SUB_LG2;
    return (shift << HISTOGRAM_SUB_LG2) + (unsigned)(value >> shift);
}

uint64_t histogram_bucket_first(unsigned bucket)
{
    CHECK(bucket < HISTOGRAM_BUCKETS);
    if (bucket < 2 * SUB)
        return bucket;
    const unsigned shift = (bucket >> HISTOGRAM_SUB_LG2) - 1;
    return (uint64_t)(SUB + (bucket & (SUB - 1))) << shift;
}

uint64_t histogram_bucket_last(unsigned bucket)
{
    if (bucket < 2 * SUB)
        return bucket;
    return histogram_bucket_first(bucket) + mask_lg2((bucket >> HISTOGRAM_SUB_LG2) - 1);
}

void histogram_record(struct histogram *h, uint64_t value)
{
    if (h->count == 0 || value < h->min)
        h->min = value;
    if (h->count == 0 || value > h->max)
        h->max = value;
    h->count++;
    h->sum += value;
    h->bucket[bucket_of(value)]++;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    CHECK(percent >= 0.0);
    CHECK(percent <= 100.0);
    if (h->count == 0)
        return 0;
    const double exact = percent / 100.0 * (double)h->count;
    uint64_t rank      = (uint64_t)exact + ((double)(uint64_t)exact < exact);
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen += h->bucket[b];
        if (seen >= rank) {
            const uint64_t last = histogram_bucket_last(b);
            return last < h->max ? last : h->max;
        }
    }
    UNREACHABLE("the buckets hold every record");
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (into->count == 0 || from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        into->bucket[b] += from->bucket[b];
}
