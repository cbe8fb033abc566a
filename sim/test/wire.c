/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/wire.h"

#include <string.h>

static const struct sim_host nobody = { .name = "no" };

void wire_defaults(struct wire *w)
{
    memset(w, 0, sizeof *w);
    param_reset(&link_param_table, &w->link);
    w->link.bytes_per_us = 1000;
    w->link.latency_ns   = 100;
    w->link.header_bytes = 20;
}

void wire_start(struct wire *w, struct rig *rig, bool iommu)
{
    w->rig = rig;
    engine_init(&w->engine, &nobody, false);
    rootport_init(&w->root, &w->engine, &w->link, iommu ? &rig->iommu : NULL, &rig->memory,
                  &rig->channel);
    w->port             = rootport_port(&w->root);
    w->port->device_due = &w->device_due;
    w->device_due       = TIME_NEVER;
}

void wire_stop(struct wire *w)
{
    rootport_free(&w->root);
    engine_free(&w->engine);
}

void wire_submit(struct wire *w, enum port_kind kind, unsigned requester, uint64_t iova,
                 uint32_t bytes, uint32_t tag, void *data)
{
    const struct port_request q = { .iova      = iova,
                                    .bytes     = bytes,
                                    .tag       = tag,
                                    .requester = (uint16_t)requester,
                                    .kind      = (uint8_t)kind,
                                    .data      = data };
    CHECK(port_ready(w->port, kind));
    port_submit(w->port, &q, w->rig->now);
}

static sim_time_t earliest(const struct wire *w)
{
    return time_min(w->rig->iommu_due, *w->root.due);
}

void wire_run(struct wire *w, sim_time_t until)
{
    for (sim_time_t due; (due = earliest(w)) <= until;) {
        CHECK(due >= w->rig->now);
        w->rig->now = due;
        if (w->rig->iommu_due == due)
            iommu_step(&w->rig->iommu, due);
        else
            w->engine.block[0].step(w->engine.block[0].self, due);
    }
    w->rig->now = until;
}

/* As a device does: the port says from when on there is something to take. */
bool wire_next(struct wire *w, struct port_response *response)
{
    for (;;) {
        w->device_due = TIME_NEVER;
        if (port_take(w->port, response, w->rig->now))
            return true;
        const sim_time_t due = time_min(earliest(w), w->device_due);
        if (due == TIME_NEVER)
            return false;
        wire_run(w, due);
    }
}
