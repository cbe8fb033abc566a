/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile - a hostile device in a machine or a host of a fabric: it shows the requester id
 * of its victim, over a link of its own, and is told where the victim's data lies.
 *
 *     hostile_build(&h, system, config, requester, seed);   behind the system's extension
 *     victim.data_moved = hostile_learn;  victim.data_moved_self = &h;
 *     hostile_start(&h, now);  ...  hostile_stop(&h);  hostile_tell(&h, ..., &result);
 *     hostile_destroy(&h);
 *
 * One that is all zeros is none: it does nothing, is idle, and need not be destroyed.
 */
#ifndef SIM_APP_HOSTILE_H
#define SIM_APP_HOSTILE_H

#include "sim/app/machine.h"
#include "sim/system/system.h"

struct hostile {
    bool built;
    struct rootport port;
    struct attacker attacker;
    struct audit_hostile reached;
    struct attacker_stats before; /* It started. */
};

void hostile_build(struct hostile *h, struct system *s, const struct config *config,
                   uint16_t requester, uint64_t seed);
void hostile_destroy(struct hostile *h);

/* The data_moved of its victim; self is the struct hostile. */
void hostile_learn(void *self, uint64_t iova, uint32_t bytes);

/* When measuring has begun (audit_begin), and when it ends. */
void hostile_start(struct hostile *h, sim_time_t now);
void hostile_stop(struct hostile *h);

/* Adds what it has done since it started: its victim is that device of that host (NULL:
 * there is one). Nothing for none. */
void hostile_tell(const struct hostile *h, const char *host, const char *victim,
                  struct machine_result *result);

/* Whether nothing of it is under way. */
bool hostile_idle(const struct hostile *h);

#endif
