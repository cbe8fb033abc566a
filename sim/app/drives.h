/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drives - one host and its NVMe drives, built, run and taken apart again.
 *
 *     NVMe controller (-- its TLB) -- link, root port -- IOMMU -- memory -- CPUs with
 * kernel and driver
 *
 * CPU 0 brings everything up and attaches the device under the flush policy; all CPUs
 * replay their share of the trace; CPU 0 takes everything down, and what was handed out
 * must have come back.
 */
#ifndef SIM_APP_DRIVES_H
#define SIM_APP_DRIVES_H

#include "sim/app/machine.h"

/* As machine_run, which has looked at the configuration and the sources before. */
enum machine_outcome drives_run(const struct config *config, const struct machine_run *run,
                                const struct sim_host *host, struct machine_result *result,
                                struct error *error);

#endif
