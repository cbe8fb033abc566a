/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve - what a recording's lines leave to be inferred from one another: the devices of
 * calls that name only an address, the domain id of each device, the map of each unmap.
 */
#ifndef SIM_LINUX_RESOLVE_H
#define SIM_LINUX_RESOLVE_H

#include "sim/linux/recording.h"

/* Fills device, space, pair and (for lists) iova of rows, and the devices' domain ids. */
void recording_resolve(struct recording *r);

#endif
