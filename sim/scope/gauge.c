/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scope/gauge.h"

#include "sim/base/lg2.h"

enum { WALKERS_SHOWN = 8 };

/* ---- The pipeline ----------------------------------------------------------------------
 */

static uint64_t waiting(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return request_ring_count(&s->iommu->queue) + request_ring_count(&s->iommu->writes);
}

static uint64_t inflight(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->accepted - s->iommu->released;
}

static uint64_t late(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->late_count;
}

static uint64_t lookup_valid(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->accepting != NULL;
}

static uint64_t lookup_iova(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->accepting == NULL
               ? 0
               : request_ring_front(s->iommu->accepting)->request.iova;
}

/* ---- Walkers ---------------------------------------------------------------------------
 */

static uint64_t walkers_busy(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->config.walker.walkers
           - (unsigned)__builtin_popcountll(s->iommu->walkers_free);
}

static uint64_t walks(const struct gauge_source *s, unsigned index)
{
    const struct iommu_stats *t = &s->iommu->stats;
    (void)index;
    return t->walk - t->walk_filled - t->walk_unfilled;
}

static const struct walk *walk_of(const struct gauge_source *s, unsigned walker)
{
    const struct iommu *m = s->iommu;
    return (m->walkers_free >> walker & 1) != 0 ? NULL : &m->walk[m->walker_walk[walker]];
}

static uint64_t walker_phase(const struct gauge_source *s, unsigned index)
{
    const struct walk *w = walk_of(s, index);
    return w == NULL ? WALK_FREE : w->phase;
}

static uint64_t walker_level(const struct gauge_source *s, unsigned index)
{
    const struct walk *w = walk_of(s, index);
    return w == NULL ? 0 : w->level;
}

static uint64_t walker_page(const struct gauge_source *s, unsigned index)
{
    const struct walk *w = walk_of(s, index);
    return w == NULL ? 0 : w->page;
}

/* ---- Caches ----------------------------------------------------------------------------
 */

static uint64_t iotlb_entries(const struct gauge_source *s, unsigned index)
{
    const struct iotlb *t = &s->iommu->iotlb;
    uint64_t sum          = 0;
    (void)index;
    for (uint64_t left = t->sizes; left != 0; left &= left - 1)
        sum += t->size_count[lg2_floor(left & -left)];
    return sum;
}

static uint64_t walkcache_entries(const struct gauge_source *s, unsigned index)
{
    const struct walkcache *w = &s->iommu->walkcache;
    uint64_t sum              = 0;
    (void)index;
    for (unsigned level = 0; level < WALKCACHE_LEVELS; level++) {
        if (!w->present[level])
            continue;
        for (uint32_t i = 0; i < walkcache_array_entries(&w->level[level]); i++)
            sum += w->level[level].entry[i].valid;
    }
    return sum;
}

static uint64_t iotlb_hits(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return (uint32_t)s->iommu->iotlb.stats.lookup_hit;
}

static uint64_t iotlb_misses(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return (uint32_t)s->iommu->iotlb.stats.lookup_missed;
}

/* ---- Queues in memory ------------------------------------------------------------------
 */

static uint64_t invq_waiting(const struct gauge_source *s, unsigned index)
{
    const struct invq *q = &s->iommu->invq;
    (void)index;
    return q->entries == 0 ? 0 : (q->tail - q->head) & (q->entries - 1);
}

static uint64_t invq_state(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->invq.state;
}

static uint64_t invq_head(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->invq.head;
}

static uint64_t invq_tail(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->invq.tail;
}

static uint64_t invq_drain(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->invq.drain;
}

static uint64_t faults_waiting(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->iommu->faultq.count;
}

/* ---- Outside of the IOMMU --------------------------------------------------------------
 */

static uint64_t reads_out(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->port->reads_out;
}

static uint64_t posted_out(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->port->posted_out;
}

static uint64_t commands(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->nvme->config.commands - s->nvme->commands_free;
}

static uint64_t requests(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return *s->requests;
}

static uint64_t packets_made(const struct gauge_source *s, unsigned index)
{
    uint64_t sum = 0;
    (void)index;
    for (const struct rnic_tx *tx = s->nic->tx_order.first; tx != NULL; tx = tx->next)
        sum++;
    return sum;
}

static uint64_t packets_received(const struct gauge_source *s, unsigned index)
{
    uint64_t sum = 0;
    (void)index;
    for (const struct rnic_rx *rx = s->nic->rx_order.first; rx != NULL; rx = rx->next)
        sum++;
    return sum;
}

static uint64_t completions_waiting(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return rnic_cqe_ring_count(&s->nic->cqes);
}

static uint64_t protection_lines(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->nic->mpt.held;
}

static uint64_t translation_lines(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->nic->mtt.held;
}

static uint64_t exposed(const struct gauge_source *s, unsigned index)
{
    (void)index;
    return s->audit->exposed_now;
}

/* ---- The list --------------------------------------------------------------------------
 */

static const struct gauge of_drive[] = {
    { "nvme.commands", "NVMe commands under way", 16, GAUGE_COUNTER, commands, 0 },
};

static const struct gauge of_nic[] = {
    { "rdma.requests", "RDMA work requests under way", 32, GAUGE_COUNTER, requests, 0 },
    { "rdma.made", "RDMA packets being made", 16, GAUGE_COUNTER, packets_made, 0 },
    { "rdma.received", "RDMA packets being received", 16, GAUGE_COUNTER, packets_received,
      0 },
    { "rdma.completions", "RDMA completions that wait", 16, GAUGE_COUNTER,
      completions_waiting, 0 },
    { "rdma.mpt", "Protection entries on the NIC", 32, GAUGE_COUNTER, protection_lines, 0 },
    { "rdma.mtt", "Lines of translation entries on the NIC", 32, GAUGE_COUNTER,
      translation_lines, 0 },
};

static const struct gauge of_device[] = {
    { "link.reads", "DMA reads under way", 16, GAUGE_COUNTER, reads_out, 0 },
    { "link.posted", "DMA writes under way", 32, GAUGE_COUNTER | GAUGE_BYTES, posted_out,
      0 },
};

static const struct gauge of_host[] = {
    { "iommu.queue", "IOMMU: requests that wait", 17, GAUGE_COUNTER | GAUGE_SIGNAL, waiting,
      0 },
    { "iommu.inflight", "IOMMU: translations under way", 16, GAUGE_COUNTER | GAUGE_SIGNAL,
      inflight, 0 },
    { "iommu.missed", "IOMMU: translations that have missed", 16, GAUGE_SIGNAL, late, 0 },
    { "iommu.lookup.valid", "A look-up is next", 1, GAUGE_SIGNAL, lookup_valid, 0 },
    { "iommu.lookup.iova", "Its I/O virtual address", 64, GAUGE_SIGNAL, lookup_iova, 0 },
    { "iommu.walks", "Page walks under way", 16, GAUGE_COUNTER | GAUGE_SIGNAL, walks, 0 },
    { "iommu.walkers", "Walkers at work", 8, GAUGE_COUNTER | GAUGE_SIGNAL, walkers_busy,
      0 },
    { "iommu.iotlb.entries", "IOTLB entries", 32, GAUGE_COUNTER | GAUGE_SIGNAL,
      iotlb_entries, 0 },
    { "iommu.iotlb.hits", "IOTLB hits so far", 32, GAUGE_SIGNAL, iotlb_hits, 0 },
    { "iommu.iotlb.misses", "IOTLB misses so far", 32, GAUGE_SIGNAL, iotlb_misses, 0 },
    { "iommu.walkcache.entries", "Walk-cache entries", 32, GAUGE_COUNTER | GAUGE_SIGNAL,
      walkcache_entries, 0 },
    { "iommu.invq.waiting", "Invalidation commands in the queue", 32,
      GAUGE_COUNTER | GAUGE_SIGNAL, invq_waiting, 0 },
    { "iommu.invq.head", "Head", 32, GAUGE_SIGNAL, invq_head, 0 },
    { "iommu.invq.tail", "Tail", 32, GAUGE_SIGNAL, invq_tail, 0 },
    { "iommu.invq.state", "State", 3, GAUGE_SIGNAL, invq_state, 0 },
    { "iommu.invq.drain", "A wait must see earlier DMA finished", 1, GAUGE_SIGNAL,
      invq_drain, 0 },
    { "iommu.faults", "Fault records that wait", 8, GAUGE_SIGNAL, faults_waiting, 0 },
    { "audit.exposed", "Pages given back and still reachable", 32, GAUGE_COUNTER, exposed,
      0 },
};

#define WALKER(i)                                                                          \
    { "iommu.walker" #i ".phase", "Phase", 3, GAUGE_SIGNAL, walker_phase, i },             \
        { "iommu.walker" #i ".level", "Level", 3, GAUGE_SIGNAL, walker_level, i },         \
    {                                                                                      \
        "iommu.walker" #i ".page", "Page", 64, GAUGE_SIGNAL, walker_page, i                \
    }
static const struct gauge walker[WALKERS_SHOWN * 3] = {
    WALKER(0), WALKER(1), WALKER(2), WALKER(3), WALKER(4), WALKER(5), WALKER(6), WALKER(7),
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
static_assert(COUNT(of_host) + COUNT(walker) <= GAUGES_MAX, "room for all gauges");

static unsigned add(struct gauge gauge[GAUGES_MAX], unsigned n, const struct gauge *more,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        gauge[n++] = more[i];
    return n;
}

unsigned gauge_list_host(const struct gauge_source *from, struct gauge gauge[GAUGES_MAX])
{
    const uint32_t walkers = from->iommu->config.walker.walkers;
    const unsigned shown   = walkers < WALKERS_SHOWN ? walkers : WALKERS_SHOWN;
    const unsigned n       = add(gauge, 0, of_host, COUNT(of_host));
    return add(gauge, n, walker, (size_t)3 * shown);
}

unsigned gauge_list_device(const struct gauge_source *from, struct gauge gauge[GAUGES_MAX])
{
    unsigned n = 0;
    if (from->nvme != NULL)
        n = add(gauge, n, of_drive, COUNT(of_drive));
    if (from->nic != NULL)
        n = add(gauge, n, of_nic, COUNT(of_nic));
    return add(gauge, n, of_device, COUNT(of_device));
}
