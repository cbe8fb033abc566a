/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile - a hostile device in a machine or a host of a fabric: it shows the requester id
 * of its victim, over a link of its own, and is told where the victim's data lies.
 *
 *     hostile_build(&h, system, config, requester, seed);   behind the system's extension
 *     victim.data_moved = hostile_learn;  victim.data_moved_self = &h;
 *     attacker_start(&h.attacker, now);  ...  attacker_stop(&h.attacker);
 *     hostile_destroy(&h);
 *
 * One that is all zeros is none: it does nothing, is idle, and need not be destroyed.
 */
#ifndef SIM_APP_HOSTILE_H
#define SIM_APP_HOSTILE_H

#include "sim/app/config.h"
#include "sim/system/system.h"

struct hostile {
    bool built;
    struct rootport port;
    struct attacker attacker;
};

void hostile_build(struct hostile *h, struct system *s, const struct config *config,
                   uint16_t requester, uint64_t seed);
void hostile_destroy(struct hostile *h);

/* The data_moved of its victim; self is the struct hostile. */
void hostile_learn(void *self, uint64_t iova, uint32_t bytes);

/* Whether nothing of it is under way. */
bool hostile_idle(const struct hostile *h);

#endif
