/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PARAM_OWNER struct rdma_wire_config
#define STAT_OWNER  struct rdma_wire_stats
static const struct param_def wire_params[]    = { RDMA_WIRE_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def wire_stats[]      = { RDMA_WIRE_STATS(STAT_ROW) STAT_END };
const struct param_table rdma_wire_param_table = {
    .prefix = "wire",
    .text   = "The network between RDMA NICs",
    .def    = wire_params,
    .bytes  = sizeof(struct rdma_wire_config),
};
const struct stat_table rdma_wire_stat_table = {
    .prefix = "wire",
    .text   = "The network between RDMA NICs",
    .def    = wire_stats,
    .bytes  = sizeof(struct rdma_wire_stats),
};

void rdma_wire_init(struct rdma_wire *w, const struct rdma_wire_config *config,
                    unsigned nics)
{
    CHECK(nics > 0);
    CHECK(nics <= RDMA_WIRE_NICS_MAX);
    memset(w, 0, sizeof *w);
    w->config  = *config;
    w->nics    = nics;
    w->packets = nics * config->packets;
    w->packet  = calloc(w->packets, sizeof *w->packet);
    w->free    = calloc(w->packets, sizeof *w->free);
    CHECK(w->packet != NULL);
    CHECK(w->free != NULL);
    for (uint32_t i = 0; i < w->packets; i++)
        w->free[w->free_count++] = (uint16_t)(w->packets - 1 - i);
    for (unsigned i = 0; i < nics; i++)
        rdma_arrivals_init(&w->cable[i].arrivals, RDMA_WIRE_PACKETS_MAX);
}

void rdma_wire_free(struct rdma_wire *w)
{
    for (unsigned i = 0; i < w->nics; i++)
        rdma_arrivals_free(&w->cable[i].arrivals);
    free(w->packet);
    free(w->free);
}

void rdma_wire_attach(struct rdma_wire *w, unsigned nic, sim_time_t *nic_due)
{
    CHECK(nic < w->nics);
    w->cable[nic].nic_due = nic_due;
}

static sim_time_t wire_ps(const struct rdma_wire *w, uint32_t bytes)
{
    return ((uint64_t)bytes * TIME_US + w->config.bytes_per_us - 1)
           / w->config.bytes_per_us;
}

sim_time_t rdma_wire_ready(struct rdma_wire *w, unsigned from, unsigned to, sim_time_t now)
{
    struct rdma_cable *c = &w->cable[from];
    CHECK(to < w->nics);
    if (w->cable[to].to == w->config.packets) {
        w->stats.paused += !c->waits;
        c->waits = true;
        return TIME_NEVER;
    }
    return time_max(now, c->up_free);
}

/* What nobody looks at is not copied. */
static void copy_packet(struct rdma_packet *to, const struct rdma_packet *from)
{
    memcpy(to, from, offsetof(struct rdma_packet, data));
    if (from->has_data)
        memcpy(to->data, from->data, from->payload);
}

void rdma_wire_send(struct rdma_wire *w, const struct rdma_packet *packet, sim_time_t now)
{
    struct rdma_cable *from = &w->cable[packet->from], *to = &w->cable[packet->to];
    const uint32_t bytes  = packet->payload + packet->extra + w->config.header_bytes;
    const sim_time_t time = wire_ps(w, bytes);
    CHECK(from->up_free <= now);
    CHECK(to->to < w->config.packets);
    CHECK(packet->payload <= RDMA_MTU_MAX);
    const uint16_t slot = w->free[--w->free_count];
    copy_packet(&w->packet[slot], packet);
    from->up_free = now + time;
    to->down_free = time_max(now + w->config.latency_ns * TIME_NS, to->down_free) + time;
    to->to++;
    *rdma_arrivals_push(&to->arrivals) = (struct rdma_arrival){ to->down_free, slot };
    *to->nic_due                       = time_min(*to->nic_due, to->down_free);
    if (w->watcher != NULL)
        w->watcher(w->watcher_self, packet);
    w->stats.packet++;
    w->stats.payload_bytes += packet->payload;
    w->stats.wire_bytes += bytes;
}

sim_time_t rdma_wire_due(const struct rdma_wire *w, unsigned nic)
{
    const struct rdma_arrivals *a = &w->cable[nic].arrivals;
    return rdma_arrivals_empty(a) ? TIME_NEVER : rdma_arrivals_front(a)->due;
}

const struct rdma_packet *rdma_wire_arrived(struct rdma_wire *w, unsigned nic,
                                            sim_time_t now)
{
    if (rdma_wire_due(w, nic) > now)
        return NULL;
    return &w->packet[rdma_arrivals_front(&w->cable[nic].arrivals)->slot];
}

uint16_t rdma_wire_take(struct rdma_wire *w, unsigned nic, sim_time_t now)
{
    struct rdma_arrivals *a = &w->cable[nic].arrivals;
    CHECK(rdma_wire_due(w, nic) <= now);
    const uint16_t slot = rdma_arrivals_front(a)->slot;
    rdma_arrivals_pop(a);
    w->stats.packet_taken++;
    w->stats.payload_bytes_taken += w->packet[slot].payload;
    return slot;
}

void rdma_wire_drop(struct rdma_wire *w, uint16_t slot, sim_time_t now)
{
    struct rdma_cable *c = &w->cable[w->packet[slot].to];
    CHECK(c->to > 0);
    c->to--;
    w->free[w->free_count++] = slot;
    for (unsigned i = 0; i < w->nics; i++)
        if (w->cable[i].waits) {
            w->cable[i].waits    = false;
            *w->cable[i].nic_due = time_min(*w->cable[i].nic_due, now);
        }
}

bool rdma_wire_idle(const struct rdma_wire *w)
{
    return w->free_count == w->packets;
}

bool rdma_wire_check(const struct rdma_wire *w, struct error *error)
{
    const struct rdma_wire_stats *s = &w->stats;
    if (!rdma_wire_idle(w))
        return error_set(error, "wire: %" PRIu32 " packets were still under way",
                         w->packets - w->free_count);
    if (s->packet != s->packet_taken || s->payload_bytes != s->payload_bytes_taken)
        return error_set(error,
                         "wire: %" PRIu64 " packets and %" PRIu64 " bytes were sent, "
                         "%" PRIu64 " and %" PRIu64 " received",
                         s->packet, s->payload_bytes, s->packet_taken,
                         s->payload_bytes_taken);
    return true;
}
