/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onlooker - lets a timeline and waveforms look on while a machine, or the hosts of a
 * fabric, replay.
 *
 *     onlooker_begin(&o, run, "vtd-server", scope, hosts, now);     the replay begins
 *     onlooker_end(&o, now);                                        ... and ends
 *     onlooker_leave(&o, now);      before the machine goes away, whatever became of it
 *
 * When run has neither of them, nothing happens.
 */
#ifndef SIM_APP_ONLOOKER_H
#define SIM_APP_ONLOOKER_H

#include "sim/app/machine.h"

struct onlooker;

struct onlooker_host {
    struct onlooker *onlooker;
    unsigned id;
    struct iommu_watcher watcher;
};

struct onlooker {
    struct timeline *timeline;
    struct waves *waves;
    bool looks;
    struct onlooker_host host[SCOPE_HOSTS_MAX];
};

void onlooker_begin(struct onlooker *o, const struct machine_run *run, const char *preset,
                    const struct scope *scope, unsigned hosts, sim_time_t now);
void onlooker_end(struct onlooker *o, sim_time_t now);
void onlooker_leave(struct onlooker *o, sim_time_t now);

#endif
