/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atc - a device's own TLB: PCI Express Address Translation Services, the device's side.
 *
 *     device -> atc -> link, root port -> IOMMU
 *
 * A block between a device and its link: both ends are a struct port. It asks the IOMMU for
 * a translation where it has none, and passes the device's transactions on with translated
 * addresses. The order that a port promises is kept: a transaction passes no earlier write.
 *
 * An Invalidate Request takes effect when it arrives. It is answered when every read that
 * went by what was forgotten has come back; writes are pushed ahead of the answer. What a
 * translation request brings that an invalidation of its page has overtaken is not used: it
 * is asked again.
 *
 * Source: PCI Express Base Specification, chapter 10.
 *
 * Inaccuracies: a device without rights to a page gives the transaction up, as there are no
 * page requests; a translation request asks for one page; invalidations are looked at one
 * by one, each answered with one message.
 */
#ifndef IOMMU_MODEL_ATC_H
#define IOMMU_MODEL_ATC_H

#include "iommu_model/ats_spec.h"
#include "iommu_model/iotlb.h"
#include "sim/base/engine.h"
#include "sim/base/port.h"

/* clang-format off */
#define ATC_PARAMS(P)                                                                               \
    P(flag, enabled,      0, 0,    1, ANY,  "",       "The device has a TLB of its own",            \
      "few NVMe drives; some NICs and most accelerators")                                           \
    P(u32,  sets,        32, 1, 65536, POW2, "sets",  "Sets in the array",                          \
      "not published")                                                                              \
    P(u32,  ways,         8, 1,  256, ANY,  "ways",   "Ways in each set",                           \
      "not published")                                                                              \
    P(name, replacement, lru, repl_member, 0, ANY, "policy", "Replacement policy",                  \
      "not published")                                                                              \
    P(u32,  lookup_ns,    4, 0, 1000, ANY,  "ns",     "From a transaction to the look-up",          \
      "a few cycles of a device's clock")                                                           \
    P(u32,  answer_ns,    8, 0, 100000, ANY, "ns",    "From the last use of what was forgotten to the answer", \
      "a few cycles of a device's clock")                                                           \
    P(u32,  requests,    32, 1,  256, ANY,  "requests", "Translation requests under way at most",   \
      "not published")                                                                              \
    P(u32,  queue,      256, 1, 4096, POW2, "transactions", "That may wait for a translation or the link", \
      "not published")                                                                              \
    P(flag, no_write,     0, 0,    1, ANY,  "",       "Reads ask for a translation without the right to write", \
      "the No Write flag is the device's choice")                                                   \
    P(flag, keeps,        0, 0,    1, ANY,  "",       "Answers invalidations, and forgets nothing", \
      "a fault of some implementations")

#define ATC_STATS(S)                                                                                \
    S(transaction,            transaction, "transactions", "Of the device")                         \
    S(transaction_translated, transaction, "transactions", "Passed on with a translated address")   \
    S(transaction_untranslated, transaction, "transactions", "Passed on as they were: interrupts")  \
    S(transaction_refused,    transaction, "transactions", "There was no right to the page")        \
    S(lookup,            lookup,       "lookups", "Look-ups")                                       \
    S(lookup_hit,        lookup,       "lookups", "Look-ups that found their page")                 \
    S(lookup_missed,     lookup,       "lookups", "Look-ups that did not, or without the right")    \
    S(request,           request,      "requests", "Translation requests answered")                 \
    S(request_filled,    request,      "requests", "That brought a translation")                    \
    S(request_overtaken, request,      "requests", "... which an invalidation had overtaken")       \
    S(request_refused,   request,      "requests", "That brought none")                             \
    S(request_ps,        request_ps,   "ps",      "From asking to the answer, summed")              \
    S(entry_filled,      entry_filled, "entries", "Entries installed")                              \
    S(entry_evicted,     entry_filled, "entries", "Entries displaced by a fill")                    \
    S(entry_invalidated, entry_filled, "entries", "Entries removed by software")                    \
    S(invalidation,      invalidation, "messages", "Invalidate Requests answered")                  \
    S(invalidation_ps,   invalidation_ps, "ps",   "From their arrival to the answer, summed")       \
    S(invalidation_waited, invalidation_waited, "messages", "... that had to wait for reads")       \
    S(wait_ps,           wait_ps,      "ps",      "Transactions' time before they were passed on, summed")
/* clang-format on */

struct atc_config {
    ATC_PARAMS(PARAM_FIELD)
};
struct atc_stats {
    ATC_STATS(STAT_FIELD)
};
extern const struct param_table atc_param_table;
extern const struct stat_table atc_stat_table;

enum { ATC_NONE = UINT16_MAX, ATC_SLOTS_SENT = 8192, ATC_REQUESTS_MAX = 256 };

enum atc_state {
    ATC_FREE,
    ATC_LOOKUP, /* Is looked up at due, or has no request to wait for. */
    ATC_ASKED,  /* Waits for a translation request. */
    ATC_READY,  /* Has what it needs to be passed on. */
    ATC_SENT,
};

/* A transaction of the device, from its submission to its response. */
struct atc_slot {
    struct port_request request; /* As the device submitted it. */
    struct port_request passed;  /* As it is passed on; when ATC_READY. */
    uint64_t first, last;        /* The page that it goes by. */
    sim_time_t submitted, due;
    uint32_t
        waited_by;  /* Invalidations that its end is waited for by: a bit for each tag. */
    uint16_t asked; /* The translation request. */
    uint16_t next, before;
    uint8_t state;
    bool looked; /* Its look-up has been counted. */
};

struct atc_request {
    bool in_use, sent, no_write;
    bool has_pasid, privileged;
    uint32_t pasid;
    uint64_t page; /* iova >> 12 */
    sim_time_t since;
    bool flushed; /* An invalidation of these addresses has come since it was sent. */
    uint64_t flush_first, flush_last;
};

/* An Invalidate Request that is not answered yet. */
struct atc_invalidation {
    bool in_use;
    uint32_t left; /* Reads that it waits for. */
    sim_time_t arrived, due;
};

struct atc_done {
    uint16_t slot;
    uint8_t status;
};
#define RING_NAME atc_ring
#define RING_ITEM struct atc_done
#include "sim/base/ring.h"

struct atc {
    struct atc_config config;
    uint16_t requester;
    struct port port;   /* For the device. */
    struct port *lower; /* Of the link. */
    sim_time_t *due;
    sim_time_t now; /* Of the present step. */

    /* space: the PASID's; guest: the space of the IOMMU's that it is a copy of; prot1: the
     * rights. */
    struct iotlb cache;

    struct atc_slot *slot;
    uint32_t slots;
    uint16_t free, first, last; /* first, last: those not passed on, in order. */
    uint32_t waiting, sent;
    bool refused[2];
    struct atc_request request[ATC_REQUESTS_MAX];
    uint32_t requests;
    struct atc_invalidation invalidation[ATS_ITAGS];
    uint32_t invalidations;
    struct atc_ring done;
    struct atc_stats stats;
    /* Told who holds a translation that software has given back; NULL: nobody cares. */
    const struct iommu_referee *referee;
    /* Told of each transaction that is refused here; NULL: nobody cares. */
    void (*denied)(void *self, const struct port_request *request, sim_time_t now);
    void *denied_self;
};

/* A block of engine, in front of lower; all transactions are of one requester. */
void atc_init(struct atc *t, struct engine *engine, const struct atc_config *config,
              uint16_t requester, struct port *lower, uint64_t seed);
void atc_free(struct atc *t);

/* The device's end: the device puts its due slot into it before the first use. */
struct port *atc_port(struct atc *t);

/* The counters, with those of the array. */
struct atc_stats atc_stats(const struct atc *t);

/* Whether nothing is under way. */
bool atc_idle(const struct atc *t);

/* For the audit: what has a translation of first .. last in this space of the IOMMU's and
 * is not passed on yet is marked stale. */
void atc_mark_stale(struct atc *t, space_t space, uint64_t first, uint64_t last);

#endif
