/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/hostile.h"

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
    audit_watch_hostile(&s->audit, &h->port);
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

bool hostile_idle(const struct hostile *h)
{
    return !h->built || rootport_idle(&h->port);
}
