/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port - how a device reaches memory: plain requests one way, plain responses the other.
 *
 * A device knows nothing of what is behind its port: a link, a root complex, an IOMMU. It
 * submits memory transactions in its own I/O virtual addresses and takes responses.
 *
 * Every request gets exactly one response. A read's arrives with the data. A write is
 * posted: the device need not wait for it, and its response only says that the write has
 * been carried out and that its buffer and flow-control credits are free again. Writes of
 * one port take effect in the order of submission, and no read overtakes an earlier write
 * (PCI Express ordering, Base Specification 2.4.1).
 *
 * With Address Translation Services (Base Specification, chapter 10) a device may also ask
 * for a translation, keep it, submit translated addresses, and is told to forget. An
 * address type goes with every request.
 */
#ifndef SIM_BASE_PORT_H
#define SIM_BASE_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/simtime.h"

#ifdef __cplusplus
extern "C" {
#endif

enum port_kind { PORT_READ, PORT_WRITE };

enum {
    PORT_BYTES_MAX = 4096, /* Of one request; it must not cross a 4 KiB boundary. */
    PORT_PASID_MAX = 1 << 20,
};

/* The address type of a request, and the one message that a device sends by itself. */
enum port_type {
    PORT_UNTRANSLATED,
    PORT_TRANSLATION, /* A PORT_READ of one translation; its response has the entry. */
    PORT_TRANSLATED,  /* iova is what a translation said. */
    PORT_INVALIDATED, /* A PORT_WRITE without address: an Invalidate Completion. */
};

/* What a referee may want to know of a PORT_TRANSLATED request. No hardware looks at it. */
struct port_origin {
    uint64_t iova, space;
    bool stale; /* The translation had been given back when it was used. */
};

struct port_request {
    uint64_t iova;
    uint32_t bytes;     /* 1 .. PORT_BYTES_MAX */
    uint32_t tag;       /* The device's own; comes back in the response. */
    uint16_t requester; /* Bus, device, function: the source of the request. */
    uint8_t kind;       /* enum port_kind */
    uint8_t type;       /* enum port_type */
    bool has_pasid, privileged;
    bool no_write; /* PORT_TRANSLATION: only reads are going to use it. */
    uint32_t pasid;
    uint32_t itags;      /* PORT_INVALIDATED: bit i: the invalidation tagged i is done; */
    uint8_t completions; /* so many completions come for each of them. */
    uint32_t flow;       /* For who draws a timeline; no hardware looks at it. 0: none. */
    struct port_origin origin;
    /* What is written, or where what is read goes; the device's own memory, valid until the
     * response. NULL: payload that nobody looks at, only its time is modelled. */
    void *data;
};

enum port_status { PORT_OK, PORT_FAULT };

struct port_response {
    uint32_t tag;
    uint8_t kind, status;
    bool stale;           /* PORT_TRANSLATION: for a referee, as in port_origin; */
    uint64_t space;       /* the same; */
    uint64_t entry;       /* the Translation Completion's data (ats_spec.h). */
    sim_time_t submitted; /* When the device submitted the request. */
};

/* An Invalidate Request: the device forgets translations of first .. last. */
struct port_invalidation {
    uint64_t first, last;
    uint32_t pasid;
    uint16_t requester;
    uint8_t itag;
    bool has_pasid;
    bool global; /* Of every PASID. */
};

struct port_ops {
    /* Whether a request of this kind can be submitted now. When it could not, the device's
     * due slot is set as soon as it can. */
    bool (*ready)(void *self, enum port_kind kind);
    /* Submits; ready must be true. */
    void (*submit)(void *self, const struct port_request *request, sim_time_t now);
    /* The next response that has arrived by now. */
    bool (*take)(void *self, struct port_response *response, sim_time_t now);
    /* The next Invalidate Request that has arrived by now; NULL: none ever comes. Take it
     * before the responses: it never passes one that was sent before it. */
    bool (*take_invalidation)(void *self, struct port_invalidation *invalidation,
                              sim_time_t now);
};

/* One end of a device's link. Whoever implements the port sets *device_due (to the time of
 * the event, never later than what stands there) when there is something to take. */
struct port {
    const struct port_ops *ops;
    void *self;
    sim_time_t *device_due;
};

static inline bool port_ready(struct port *p, enum port_kind kind)
{
    return p->ops->ready(p->self, kind);
}

static inline void port_submit(struct port *p, const struct port_request *r, sim_time_t now)
{
    CHECK(r->bytes > 0 || r->type == PORT_INVALIDATED);
    CHECK(r->bytes <= PORT_BYTES_MAX - (r->iova & (PORT_BYTES_MAX - 1)));
    p->ops->submit(p->self, r, now);
}

static inline bool port_take(struct port *p, struct port_response *r, sim_time_t now)
{
    return p->ops->take(p->self, r, now);
}

static inline bool port_take_invalidation(struct port *p, struct port_invalidation *i,
                                          sim_time_t now)
{
    return p->ops->take_invalidation != NULL && p->ops->take_invalidation(p->self, i, now);
}

#ifdef __cplusplus
}
#endif

#endif
