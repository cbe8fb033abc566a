/* SPDX-License-Identifier: Apache-2.0 */
/*
 * published - measurements of others that nothing was fitted to, repeated on the model, for
 * a test and for docs/validation.md.
 */
#ifndef SIM_TEST_PUBLISHED_H
#define SIM_TEST_PUBLISHED_H

/* So many CPUs that each unmap 10 pages and flush, strictly, and then work for a while. */
/* The work between two of them: what the published single core did, 97 000 flushes a
 * second, less a flush of 1 us. */
#define PUBLISHED_WORK_US 9.3

struct published_contention {
    double invalidations_per_us; /* Of all CPUs. */
    double submit_us;            /* Mean of one unmap, most of it the queue. */
};
struct published_contention published_contend(unsigned cpus, double work_us);

#endif
