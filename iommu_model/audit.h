/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - the referee: measures exposure, holds a policy to its promise, watches over the
 * invariants.
 *
 * The software tells it what it gives back and hands out (sim/base/observer.h); the audit
 * looks into the caches of the model, marks what they still hold of it, and follows the
 * marks. It costs no simulated time and changes nothing that the model does.
 *
 * Exposure of a page: from the moment when its unmap has returned until nothing holds a
 * translation of it any more: no IOTLB, no device's TLB, no walk that has read its entry,
 * no transaction on its way to memory, no answer on its way to a device's TLB. A page that
 * nothing held is not exposed, and what was given back before measuring began is not
 * measured. Until software says that the page's frame may hold other data (reusable), the
 * device can only reach what was its own; from then on, anything.
 *
 * A page whose entry is still in the table after its unmap is exposed when a walk finds it.
 * Which other bytes of a page a mapping shares is known in units of 64 bytes.
 */
#ifndef IOMMU_MODEL_AUDIT_H
#define IOMMU_MODEL_AUDIT_H

#include "iommu_model/atc.h"
#include "iommu_model/ghost.h"
#include "iommu_model/ledger.h"
#include "iommu_model/rootport.h"
#include "sim/base/cpu.h"
#include "sim/base/observer.h"

enum { AUDIT_PORTS_MAX = 20, AUDIT_DEVICES_MAX = 16 };

/* clang-format off */
#define AUDIT_PARAMS(P)                                                                             \
    P(u32, grace_us,     100, 0, 1000000, ANY, "us", "Allowed beyond a promise of bounded time",    \
      "a flush begins when its timer's CPU lets interrupts in and its turn at the queue comes")

/* How a device access through a stale translation is called: what the page was then. */
#define AUDIT_STATS(S)                                                                              \
    S(page_given_back,   page_given_back, "pages", "Given back by unmaps")                          \
    S(page_exposed,      page_given_back, "pages", "... while a translation of them was held")      \
    S(exposed_page_ps,   exposed_page_ps, "page ps", "Time that pages were exposed, summed")        \
    S(exposed_page_ps_held, exposed_page_ps, "page ps", "... before their frames could be used again") \
    S(exposed_page_ps_reusable, exposed_page_ps, "page ps", "... when they could hold other data")  \
    S(partial_page_ps,   partial_page_ps, "page ps", "Time that pages were mapped of which a part was lent") \
    S(exposed_partial_page_ps, exposed_page_ps, "page ps", "... and that such pages were exposed")  \
    S(pool_page_ps,      pool_page_ps,    "page ps", "Time that pages belonged to pools that stay mapped") \
    S(stale_access,      stale_access,    "accesses", "Device accesses through stale translations") \
    S(stale_access_held, stale_access,    "accesses", "... to pages whose frames were kept")        \
    S(stale_access_reusable, stale_access, "accesses", "... to pages that could hold other data")   \
    S(stale_access_renewed, stale_access, "accesses", "... of addresses that were handed out again") \
    S(stale_other_bytes, stale_access,    "accesses", "... to bytes that no device was ever lent")  \
    S(hostile_access,    hostile_access,  "accesses", "Accesses of hostile devices that went through") \
    S(hostile_access_lent, hostile_access, "accesses", "... to what is lent to the device now")     \
    S(hostile_access_held, hostile_access, "accesses", "... to pages given back, their frames kept") \
    S(hostile_access_reusable, hostile_access, "accesses", "... to pages given back that could hold other data") \
    S(hostile_access_renewed, hostile_access, "accesses", "... through an old translation of an address in use again") \
    S(hostile_access_pool, hostile_access, "accesses", "... to bytes of a pool that are nobody's")  \
    S(hostile_access_other, hostile_access, "accesses", "... to other bytes of a page that is lent in part") \
    S(hostile_access_untranslated, hostile_access, "accesses", "... past the IOMMU, to any memory") \
    S(collateral_entry,  collateral_entry, "entries", "IOTLB entries dropped although their page was mapped") \
    S(collateral_refill, collateral_entry, "entries", "... that a walk had to fill again")          \
    S(collateral_forgotten, collateral_entry, "entries", "... that the audit lost sight of")        \
    S(collateral_pointer, collateral_pointer, "pointers", "Walk-cache entries dropped although their table was in use") \
    S(pointer_refill,    collateral_pointer, "pointers", "... that a walk had to read again") \
    S(refill_cycles,     refill_cycles,   "cycles", "Waited by translations for such walks and reads") \
    S(broken_access,     broken_access,   "times", "Invariant 1: a stale access that the policy's promise excludes") \
    S(broken_time,       broken_time,     "times", "Invariant 1: a page exposed for longer than promised") \
    S(broken_reuse,      broken_reuse,    "times", "Invariant 2: an address handed out again while a translation was stale") \
    S(broken_table,      broken_table,    "times", "Invariant 3: a table page freed while a walk could use it")
/* clang-format on */

struct audit_config {
    AUDIT_PARAMS(PARAM_FIELD)
};
struct audit_stats {
    AUDIT_STATS(STAT_FIELD)
};
extern const struct param_table audit_param_table;
extern const struct stat_table audit_stat_table;

/* What an access of a hostile device reached; the hostile_access_* above are the sums. */
#define AUDIT_REACHES(R)                                                                   \
    R(lent) R(held) R(reusable) R(renewed) R(pool) R(other) R(untranslated)
#define AUDIT_REACH_ID(name) AUDIT_REACH_##name,
enum audit_reach { AUDIT_REACHES(AUDIT_REACH_ID) AUDIT_REACH_COUNT };

struct audit;

/* A hostile device, and what came of its accesses since measuring began. */
struct audit_hostile {
    struct audit *audit;
    uint64_t reached[AUDIT_REACH_COUNT];
    struct histogram
        attack_ns; /* Of each to a page given back: how long after its unmap. */
};

struct audit_device {
    struct audit *audit;
    struct atc *atc;
};

/* What is promised of accesses through translations whose unmap has returned. */
enum audit_promise_kind {
    AUDIT_NOTHING_STALE, /* There are none. */
    AUDIT_BOUNDED_TIME,  /* None later than bound ps behind the unmap. */
    AUDIT_BOUNDED_COUNT, /* None when more than bound unmaps of its CPU returned since. */
    AUDIT_BOUNDED_BYTES, /* None when its CPU has given back more than bound bytes since. */
    AUDIT_POOL_ONLY,     /* There are none but to pools, whose pages never become stale. */
    AUDIT_NONE,
};
struct audit_promise {
    enum audit_promise_kind kind;
    uint64_t bound;
    sim_time_t grace_ps; /* On top of a bound in time. */
};

struct audit {
    struct iommu *iommu;
    struct audit_device device[AUDIT_DEVICES_MAX];
    unsigned devices;
    struct rootport *port[AUDIT_PORTS_MAX];
    unsigned ports;
    struct audit_hostile *hostile[AUDIT_PORTS_MAX]; /* Whose device is hostile. */
    unsigned hostiles;
    struct audit_promise promise;
    struct iommu_referee referee; /* What the IOMMU tells. */
    struct ledger ledger;
    struct ghosts entries, pointers;    /* Dropped although of use. */
    sim_time_t began;                   /* Only pages given back after it are measured, */
    bool over;                          /* and none from here on. */
    uint64_t stale_entries;             /* Of the IOTLB. */
    uint64_t stale_pages;               /* That anything holds. */
    uint64_t exposed_now, exposed_most; /* Of them, those that are measured. */
    uint64_t partial_now, pool_now;     /* Pages lent in part; pages of pools. */
    uint64_t pool_most;
    uint64_t exposed_peak, pool_peak; /* The most since whoever looks set them to now's. */
    sim_time_t summed;                /* Up to here their time is in the statistics. */
    /* By the CPU that gave back: a policy may keep a queue of each. */
    uint64_t unmaps[ENGINE_CPUS_MAX], given_bytes[ENGINE_CPUS_MAX];
    uint8_t cpu;                  /* That gives back at the moment. */
    struct histogram exposure_ns; /* Of each exposed page. */
    struct histogram attack_ns; /* Of each stale access of a hostile device: how long after
                                   its unmap. */
    uint64_t exposure_ps_max;
    struct audit_stats stats;
    struct error first_broken; /* One line about the first broken invariant. */
};

/* Hooks into the model's parts. */
void audit_init(struct audit *a, struct iommu *iommu, const struct audit_promise *promise);
void audit_free(struct audit *a);
void audit_watch(struct audit *a, struct rootport *port);
/* As audit_watch; and the port's device is hostile: each access that goes through is looked
 * at, and counted in h as well, which stays where it is. */
void audit_watch_hostile(struct audit *a, struct rootport *port, struct audit_hostile *h);
/* The device of a watched port has a TLB of its own. */
void audit_watch_device(struct audit *a, struct atc *atc);
struct observer audit_observer(struct audit *a);

/* When the page of a stale access that is being carried out was given back. */
sim_time_t audit_given_back(const struct audit *a, const struct dma_slot *slot);

/* Measuring begins: what was given back before is watched, but no longer measured. */
void audit_begin(struct audit *a, sim_time_t now);

/* Measuring is over: what is still exposed is counted up to now. The watch goes on. */
void audit_finish(struct audit *a, sim_time_t now);

/* How often the promise or an invariant was broken. */
uint64_t audit_broken(const struct audit_stats *stats);

/* False, with the line, when one was. */
bool audit_check(const struct audit *a, struct error *error);

#endif
