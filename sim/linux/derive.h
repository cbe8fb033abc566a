/* SPDX-License-Identifier: Apache-2.0 */
/*
 * derive - what the allocator was asked in a run of which only the calls were recorded.
 *
 * The calls' lines say what each of them allocated and gave back, in the order of the
 * lines. What happened between the recorded sections shows only in its effects: an address
 * that is given back, and was not allocated, was allocated there; one that is allocated
 * twice was given back in between. What lies above the first recorded address of a device
 * was taken before it, since addresses are given out from the top down.
 */
#ifndef SIM_LINUX_DERIVE_H
#define SIM_LINUX_DERIVE_H

#include "sim/linux/recording.h"

/* calls: resolved; those that RULE_unseen may be about are marked. limit: the last page
 * number that a device may be given, 32-bit addresses first unless forcedac. Give allocator
 * to recording_free. */
void derive_allocator(struct recording *allocator, struct recording *calls, uint64_t limit,
                      bool forcedac);

#endif
