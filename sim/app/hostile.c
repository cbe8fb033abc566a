/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/hostile.h"

#include <stdio.h>
#include <string.h>

void hostile_learn(void *self, uint64_t iova, uint32_t bytes)
{
    struct hostile *h = self;
    attacker_learn(&h->attacker, iova, bytes);
}

void hostile_build(struct hostile *h, struct system *s, const struct config *config,
                   uint16_t requester, uint64_t seed)
{
    CHECK(!h->built);
    h->built = true;
    rootport_init(&h->port, s->engine, &config->link, &s->iommu, &s->memory, &s->channel);
    attacker_init(&h->attacker, s->engine, rootport_port(&h->port), &config->attacker,
                  requester, seed);
    audit_watch_hostile(&s->audit, &h->port, &h->reached);
    extension_watch(&s->extension, &h->port);
}

void hostile_destroy(struct hostile *h)
{
    if (!h->built)
        return;
    attacker_free(&h->attacker);
    rootport_free(&h->port);
    h->built = false;
}

void hostile_start(struct hostile *h, sim_time_t now)
{
    if (!h->built)
        return;
    h->before = h->attacker.stats;
    attacker_start(&h->attacker, now);
}

void hostile_stop(struct hostile *h)
{
    if (h->built)
        attacker_stop(&h->attacker);
}

void hostile_tell(const struct hostile *h, const char *host, const char *victim,
                  struct machine_result *result)
{
    if (!h->built)
        return;
    CHECK(result->attackers < MACHINE_ATTACKERS_MAX);
    struct machine_attacker *r = &result->attack[result->attackers++];
    *r = (struct machine_attacker){ .requester = h->attacker.requester,
                                    .stats     = h->attacker.stats };
    snprintf(r->host, sizeof r->host, "%s", host != NULL ? host : "");
    snprintf(r->victim, sizeof r->victim, "%s", victim);
    stat_subtract(&attacker_stat_table, &r->stats, &h->before);
    memcpy(r->reached, h->reached.reached, sizeof r->reached);
    r->late_ns_p50 = histogram_percentile(&h->reached.attack_ns, 50.0);
    r->late_ns_max = histogram_percentile(&h->reached.attack_ns, 100.0);
}

bool hostile_idle(const struct hostile *h)
{
    return !h->built || rootport_idle(&h->port);
}
