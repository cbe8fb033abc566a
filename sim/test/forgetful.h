/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forgetful - a planted bug: a strict flush policy that forgets one invalidation in so
 * many.
 */
#ifndef SIM_TEST_FORGETFUL_H
#define SIM_TEST_FORGETFUL_H

#include "dma_api/flush.h"

/* The policy, counting anew; there is one at a time. */
const struct flush_policy *forgetful_policy(unsigned one_in);

#endif
