/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/onlooker.h"

#include <stdio.h>

static void answered(void *self, const struct xlate *x)
{
    const struct onlooker_host *h = self;
    if (h->onlooker->timeline != NULL)
        timeline_answered(h->onlooker->timeline, h->id, x);
}

static void stepped(void *self, sim_time_t now)
{
    const struct onlooker_host *h = self;
    if (h->onlooker->timeline != NULL)
        timeline_stepped(h->onlooker->timeline, h->id, now);
    if (h->onlooker->waves != NULL)
        waves_stepped(h->onlooker->waves, h->id, now);
}

void onlooker_begin(struct onlooker *o, const struct machine_run *run, const char *preset,
                    const struct scope *scope, unsigned hosts, sim_time_t now)
{
    char name[128];
    *o = (struct onlooker){ .timeline = run->timeline, .waves = run->waves };
    if (o->timeline == NULL && o->waves == NULL)
        return;
    CHECK(hosts <= SCOPE_HOSTS_MAX);
    o->looks = true;
    snprintf(name, sizeof name, "%s, %s, %s", preset, run->policy->name,
             blk_api_name[run->api]);
    for (unsigned i = 0; i < hosts; i++) {
        struct onlooker_host *h = &o->host[i];
        h->onlooker             = o;
        h->id                   = i;
        h->watcher =
            (struct iommu_watcher){ .answered = answered, .stepped = stepped, .self = h };
        scope[i].iommu->watcher = &h->watcher;
    }
    if (o->timeline != NULL)
        timeline_begin(o->timeline, name, scope, hosts, now);
    if (o->waves != NULL)
        waves_begin(o->waves, scope, hosts, now);
}

void onlooker_end(struct onlooker *o, sim_time_t now)
{
    if (o->timeline != NULL)
        timeline_end(o->timeline, now);
    if (o->waves != NULL)
        waves_end(o->waves, now);
}

void onlooker_leave(struct onlooker *o, sim_time_t now)
{
    if (!o->looks)
        return;
    onlooker_end(o, now);
    if (o->timeline != NULL)
        timeline_leave(o->timeline);
}
