/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/published.h"

#include "sim/test/shim.h"

/* What docs/validation.md says of the shape: up to 8 CPUs more CPUs do more, and with 16
 * the queue is the limit. It does not collapse as measured: a miss that is reported there.
 */
TEST_CASE(published, the_queue_saturates_where_it_was_measured_to_collapse)
{
    const struct published_contention one     = published_contend(1, PUBLISHED_WORK_US);
    const struct published_contention eight   = published_contend(8, PUBLISHED_WORK_US);
    const struct published_contention sixteen = published_contend(16, PUBLISHED_WORK_US);
    EXPECT(eight.invalidations_per_us > 3.0 * one.invalidations_per_us);
    EXPECT(eight.submit_us > one.submit_us);
    EXPECT(sixteen.submit_us > eight.submit_us);
    EXPECT(sixteen.invalidations_per_us < 2.0 * eight.invalidations_per_us);
}
