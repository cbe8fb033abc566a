/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waves - the IOMMUs' signals of one run as a VCD file, for GTKWave and others: their
 * values at the end of each of an IOMMU's cycles in which anything happens. Of several
 * hosts, each is a scope. Under the SystemC host only.
 *
 * Times are picoseconds since the replay began. The same run gives the same bytes.
 */
#ifndef SIM_SCOPE_WAVES_H
#define SIM_SCOPE_WAVES_H

#include <stdio.h>

#include "sim/base/error.h"
#include "sim/scope/scope.h"

struct waves;

/* base: of a file of its own that SystemC writes, BASE.vcd; out gets the result. */
struct waves *waves_new(FILE *out, const char *base, const struct scope_window *window);
/* scope: of each of so many hosts, SCOPE_HOSTS_MAX at most. */
void waves_begin(struct waves *w, const struct scope *scope, unsigned hosts,
                 sim_time_t now);
void waves_stepped(struct waves *w, unsigned host, sim_time_t now);
/* The replay has ended: nothing more is written. */
void waves_end(struct waves *w, sim_time_t now);

/* Writes to out what came of it; false: error says why. */
bool waves_free(struct waves *w, struct error *error);

#endif
