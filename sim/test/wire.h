/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - a root port on the bench, with the test at the device's end of the link.
 *
 * It stands beside a rig that has been started, whose memory, channel and IOMMU it uses; a
 * link without an IOMMU in the way needs the rig only for its memory.
 */
#ifndef SIM_TEST_WIRE_H
#define SIM_TEST_WIRE_H

#include "iommu_model/rootport.h"
#include "sim/test/rig.h"

struct wire {
    struct rig *rig;
    struct engine engine; /* Keeps the port's due slot; it never runs. */
    struct link_config link;
    struct rootport root;
    struct port *port;
    sim_time_t device_due;
};

/* A link of 1000 bytes/us, so that a byte is a nanosecond, 100 ns long, with headers of 20
 * bytes; change link between wire_defaults and wire_start. */
void wire_defaults(struct wire *w);
void wire_start(struct wire *w, struct rig *rig, bool iommu);
void wire_stop(struct wire *w);

/* At rig->now. data may be NULL. */
void wire_submit(struct wire *w, enum port_kind kind, unsigned requester, uint64_t iova,
                 uint32_t bytes, uint32_t tag, void *data);

/* Does everything up to and including that time. */
void wire_run(struct wire *w, sim_time_t until);
/* Runs until the device can take a response and takes it; false when none ever comes. */
bool wire_next(struct wire *w, struct port_response *response);

#endif
