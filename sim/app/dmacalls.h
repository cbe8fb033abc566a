/* SPDX-License-Identifier: Apache-2.0 */
/* dmacalls - what drivers mapped, from a recording of the calls alone (*.oracle.txt). */
#ifndef SIM_APP_DMACALLS_H
#define SIM_APP_DMACALLS_H

#include "traces/observed.h"

/* Whether the file's name says that it is one. */
bool dmacalls_is(const char *path);

/*
 * Each call that maps becomes a request of just that. The recording does not name drivers:
 * a device is taken for an NVMe drive if its first coherent memory is that of its admin
 * queues; or, where their allocation is not recorded, if nine tenths of its single mappings
 * are whole sectors that begin at one. False with FILE, line and what is wrong.
 */
bool dmacalls_read(struct observed *o, const char *path, struct error *error);

#endif
