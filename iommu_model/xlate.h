/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xlate - the life of one translation, from the port to the answer.
 *
 *     queue -> accept -> look-up (context, then IOTLB) -> respond
 *                          |  miss                 ^
 *                          +-> context walk -------+  (looks up again)
 *                          +-> page walk, own or joined
 *
 * At most iommu.inflight translations are between acceptance and answer. One that hits goes
 * from the queue straight to its client; one that misses moves into a struct xlate. Every
 * cycle belongs to one of the parts below; they sum to the translation's latency.
 */
#ifndef IOMMU_MODEL_XLATE_H
#define IOMMU_MODEL_XLATE_H

#include "iommu_model/context.h"
#include "sim/base/port.h"
#include "sim/base/simtime.h"

/* clang-format off */
#define XLATE_PARTS(X)                                                                    \
    X(queue,    "Waiting for a slot of the pipeline")                                     \
    X(pipeline, "Accept, look-up and answer")                                             \
    X(context,  "Waiting for a context table walk")                                       \
    X(join,     "Waiting for another request's walk of the same page")                    \
    X(walker,   "Waiting for a free walk slot or walker")                                 \
    X(walk0,    "Reading a level-0 entry")                                                \
    X(walk1,    "Reading a level-1 entry")                                                \
    X(walk2,    "Reading a level-2 entry")                                                \
    X(walk3,    "Reading a level-3 entry")                                                \
    X(walk4,    "Reading a level-4 entry")                                                \
    X(guest,    "Reading second-stage entries for a first-stage walk")

/* Exclusive and exhaustive: how a translation ended. */
#define XLATE_OUTCOMES(X)                                                                 \
    X(hit,      "The IOTLB had it")                                                       \
    X(walked,   "It walked the tables itself")                                            \
    X(joined,   "It waited for another request's walk")                                   \
    X(bypassed, "No translation applies")                                                 \
    X(faulted,  "It was refused")
/* clang-format on */

#define XLATE_PART(name, text)    XLATE_PART_##name,
#define XLATE_OUTCOME(name, text) XLATE_##name,
enum xlate_part { XLATE_PARTS(XLATE_PART) XLATE_PART_COUNT };
enum xlate_outcome { XLATE_OUTCOMES(XLATE_OUTCOME) XLATE_OUTCOME_COUNT };
extern const char *const xlate_part_name[XLATE_PART_COUNT];
extern const char *const xlate_part_text[XLATE_PART_COUNT];

struct iommu_request {
    uint64_t iova;
    uint32_t id;        /* The client's own; comes back in the response. */
    uint32_t requester; /* Source id or device id. */
    uint32_t pasid;     /* When has_pasid. */
    uint8_t access;     /* PT_READ, PT_WRITE, PT_EXECUTE */
    uint8_t type;       /* enum port_type, all but PORT_INVALIDATED */
    bool has_pasid, privileged;
    bool no_write; /* Of PORT_TRANSLATION, whose access is PT_READ. */
};

struct iommu_response {
    uint64_t pa;   /* When outcome is not XLATE_faulted. */
    uint64_t iova; /* As asked. */
    cycle_t due;   /* The cycle of the answer. */
    space_t space; /* Whose tables were used. */
    uint32_t id;
    uint32_t epoch; /* For iommu_retire. */
    uint8_t outcome, page_lg2, prot, client;
    bool stale;                  /* Came from a translation that software had given back. */
    bool context_hit, iotlb_hit; /* At the first look-up of each. */
    uint16_t cause;              /* Of a fault, in the architecture's numbers. */
    uint16_t reads; /* Of context and page tables on this translation's own behalf. */
    uint32_t part[XLATE_PART_COUNT]; /* Cycles. */
};

enum xlate_step { XLATE_IDLE, XLATE_CONTEXT, XLATE_AGAIN, XLATE_WAIT, XLATE_RESPOND };

#define XLATE_NONE UINT16_MAX

/* What a translation has waited for, should a cache lose it before its next look-up. An
 * invalidation takes it away. */
struct xlate_held {
    bool has_device, has_process;
    uint32_t process_id;
    struct xlate_context device, process;
};

/* Where the cycles of a translation went, one stretch behind the other. Kept only for who
 * draws a timeline (iommu_keep_trails). */
struct xlate_trail {
    uint32_t count, room;
    struct xlate_stretch {
        enum xlate_part part;
        uint32_t cycles;
    } * stretch;
};

/* A translation that could not be answered at its first look-up. */
struct xlate {
    struct iommu_request request;
    struct iommu_response response; /* Grows as the translation goes on. */
    struct xlate_context context;   /* Once it has missed the IOTLB, */
    uint32_t contexts_dropped;      /* and that often before. */
    struct xlate_held *held;        /* Its place outside of here; rarely used. */
    struct xlate_trail *trail;      /* NULL: nobody wants it. */
    cycle_t since; /* The cycles from here on are not on any part's account yet. */
    uint16_t next; /* In whichever list it waits. */
    uint8_t step, client;
    bool quiet;     /* Its faults are not recorded. */
    bool holds;     /* Something is in held. */
    bool asked;     /* The IOTLB has been asked: what it said first is in the response. */
    bool walking;   /* Owns a walk. */
    bool recontext; /* Its context was dropped under the walk, and is being read again. */
    bool refused;   /* ... and that failed, with this cause. */
    uint16_t refused_cause;
    bool offered; /* It looks up again because a walk slot was free. */
};

void xlate_trail_add(struct xlate_trail *trail, enum xlate_part part, uint32_t cycles);

/* Puts the cycles up to now on a part's account. */
static inline void xlate_account(struct xlate *x, enum xlate_part part, cycle_t now)
{
    CHECK(now >= x->since);
    if (x->trail != NULL)
        xlate_trail_add(x->trail, part, (uint32_t)(now - x->since));
    x->response.part[part] += (uint32_t)(now - x->since);
    x->since = now;
}

/* The cycle in which it was submitted. */
static inline cycle_t xlate_submitted(const struct xlate *x)
{
    cycle_t submitted = x->since;
    for (unsigned part = 0; part < XLATE_PART_COUNT; part++)
        submitted -= x->response.part[part];
    return submitted;
}

#endif
