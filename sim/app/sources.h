/* SPDX-License-Identifier: Apache-2.0 */
/* sources - the traces that a command replays. */
#ifndef SIM_APP_SOURCES_H
#define SIM_APP_SOURCES_H

#include "workloads/replay.h"

/* As many CPUs as the beginning of the traces names, at most ENGINE_CPUS_MAX. Reads on from
 * where they stand. */
bool sources_cpus(const struct replay_source *source, unsigned sources, unsigned *cpus,
                  struct error *error);

/* Whether the traces are RDMA work, as their first records say; block requests and RDMA work
 * together are refused. Leaves them at their first records. */
bool sources_rdma(const struct replay_source *source, unsigned sources, bool *rdma,
                  struct error *error);

#endif
