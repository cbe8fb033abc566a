/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - the referee: measures exposure and watches over the invariants.
 *
 * The software tells it what it gives back and hands out (sim/base/observer.h); the audit
 * looks into the caches of the model, marks what they still hold of it, and follows the
 * marks. It costs no simulated time and changes nothing that the model does.
 *
 * Exposure of a page: from the moment when its unmap is done until no cache of the IOMMU
 * holds a translation of it. Pages that no cache held are not exposed, and what was given
 * back before measuring began is not measured.
 *
 * A device's TLB is one more cache that holds translations. A page that both it and the
 * IOTLB hold is exposed, and counted, in each. What a device's TLB fills from a translation
 * that was given back on its way there is exposed from then on.
 */
#ifndef IOMMU_MODEL_AUDIT_H
#define IOMMU_MODEL_AUDIT_H

#include "iommu_model/atc.h"
#include "iommu_model/rootport.h"
#include "sim/base/observer.h"

enum { AUDIT_PORTS_MAX = 16, AUDIT_DEVICES_MAX = 16 };

/* clang-format off */
#define AUDIT_STATS(S)                                                                              \
    S(page_given_back,   page_given_back, "pages", "Given back by unmaps")                          \
    S(page_exposed,      page_given_back, "pages", "... while the IOTLB held them")                 \
    S(exposed_page_ps,   exposed_page_ps, "page ps", "Time that pages were exposed, summed")        \
    S(stale_access,      stale_access,    "accesses", "Device accesses through stale translations") \
    S(broken_access,     broken_access,   "times", "Invariant 1: a stale access under a policy that promises none") \
    S(broken_reuse,      broken_reuse,    "times", "Invariant 2: an address handed out again while a translation was stale") \
    S(broken_table,      broken_table,    "times", "Invariant 3: a table page freed while a walk could use it")
/* clang-format on */

struct audit_stats {
    AUDIT_STATS(STAT_FIELD)
};
extern const struct stat_table audit_stat_table;

struct audit;

struct audit_device {
    struct audit *audit;
    struct atc *atc;
};

struct audit {
    struct iommu *iommu;
    struct audit_device device[AUDIT_DEVICES_MAX];
    unsigned devices;
    struct rootport *port[AUDIT_PORTS_MAX];
    unsigned ports;
    bool promises_nothing_stale;
    sim_time_t began;                   /* Only pages given back after it are measured. */
    uint64_t stale_now;                 /* Pages that the IOTLB holds stale. */
    uint64_t exposed_now, exposed_most; /* Of them, those that are measured. */
    struct histogram exposure_ns;       /* Of each exposed page. */
    uint64_t exposure_ps_max;
    struct audit_stats stats;
    struct error first_broken; /* One line about the first broken invariant. */
};

/* Hooks into the model's parts; promises_nothing_stale arms invariant 1. */
void audit_init(struct audit *a, struct iommu *iommu, bool promises_nothing_stale);
void audit_watch(struct audit *a, struct rootport *port);
/* The device has a TLB of its own. */
void audit_watch_device(struct audit *a, struct atc *atc);
struct observer audit_observer(struct audit *a);

/* Measuring begins: what was given back before is watched, but no longer measured. */
void audit_begin(struct audit *a, sim_time_t now);

/* Measuring is over: what is still exposed is counted up to now. */
void audit_finish(struct audit *a, sim_time_t now);

/* False, with the line, when an invariant was broken. */
bool audit_check(const struct audit *a, struct error *error);

#endif
