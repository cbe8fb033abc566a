/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_wire - the network between RDMA NICs: a switch with a cable to each, or, of two,
 * just a cable.
 *
 * Lossless and in order: a packet may only be sent when the receiver has room for it (as
 * with priority flow control), so that one receiver that is behind holds up whoever sends
 * to it. Each NIC's cable carries one packet at a time each way; a packet for several
 * senders' common receiver waits for the receiver's cable.
 *
 * Inaccuracies: cut through without a minimum; pause frames take no time; a packet from a
 * NIC to itself takes the same way as any other.
 */
#ifndef WORKLOADS_RDMA_WIRE_H
#define WORKLOADS_RDMA_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/param.h"
#include "sim/base/simtime.h"
#include "sim/base/stat.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define RDMA_WIRE_PARAMS(P)                                                                         \
    P(u32, bytes_per_us, 12500, 1, 1000000, ANY, "bytes/us", "Each way on each cable",              \
      "100 Gbit/s")                                                                                 \
    P(u32, latency_ns,     300, 0, 1000000, ANY, "ns",       "From NIC to NIC, beside the packet's own time", \
      "a few metres of cable and the two ports: a half round trip of perftest is about 1 us in all") \
    P(u32, header_bytes,    82, 0,    1000, ANY, "bytes",    "Around each packet: Ethernet, IP, UDP, transport, checks", \
      "RoCEv2: 20 + 18 Ethernet with preamble and gap, 20 IPv4, 8 UDP, 12 BTH, 4 ICRC")             \
    P(u32, packets,        128, 1,    4096, ANY, "packets",  "Under way to a receiver at most, or in its buffer", \
      "512 KiB at a path MTU of 4096")

#define RDMA_WIRE_STATS(S)                                                                          \
    S(packet,      packet,    "packets", "Sent")                                                    \
    S(packet_taken, packet_taken, "packets", "Received")                                            \
    S(payload_bytes, payload_bytes, "bytes", "Of payload sent")                                     \
    S(payload_bytes_taken, payload_bytes_taken, "bytes", "Of payload received")                     \
    S(wire_bytes,  wire_bytes, "bytes", "On cables, headers included")                              \
    S(paused,      paused,    "times",   "A sender found its receiver full")
/* clang-format on */

struct rdma_wire_config {
    RDMA_WIRE_PARAMS(PARAM_FIELD)
};
struct rdma_wire_stats {
    RDMA_WIRE_STATS(STAT_FIELD)
};
extern const struct param_table rdma_wire_param_table;
extern const struct stat_table rdma_wire_stat_table;

enum { RDMA_WIRE_NICS_MAX = 8, RDMA_MTU_MAX = 4096, RDMA_WIRE_PACKETS_MAX = 4096 };

enum rdma_packet_kind {
    RDMA_PACKET_SEND,
    RDMA_PACKET_WRITE,
    RDMA_PACKET_READ,   /* A request to read. */
    RDMA_PACKET_ATOMIC, /* Likewise. */
    RDMA_PACKET_DATA,   /* What was read. */
    RDMA_PACKET_VALUE,  /* What an atomic found. */
    RDMA_PACKET_ACK,
    RDMA_PACKET_NAK,
    RDMA_PACKET_RNR,
};

/* Bytes of the extended headers that a packet of this kind may have. */
enum {
    RDMA_RETH_BYTES       = 16,
    RDMA_AETH_BYTES       = 4,
    RDMA_ATOMIC_ETH_BYTES = 28,
    RDMA_ATOMIC_ACK_BYTES = 8,
    RDMA_DETH_BYTES       = 8,
    RDMA_IMM_BYTES        = 4,
};

struct rdma_packet {
    uint8_t kind;   /* enum rdma_packet_kind */
    uint8_t opcode; /* enum rdma_opcode of the work */
    uint8_t status; /* NAK: enum rdma_status at the requester */
    bool first, last, datagram;
    uint8_t to, from;                            /* NICs. */
    uint32_t qp, source_qp, psn, payload, extra; /* extra: bytes of extended headers. */
    uint32_t immediate, qkey;
    uint32_t key;     /* WRITE (every packet), READ, ATOMIC. */
    uint64_t address; /* Of this packet's first byte. */
    uint64_t length;  /* READ: of all that is asked for; WRITE: of the message. */
    uint64_t swap_add, compare;
    uint64_t flow; /* Of the work it is for, for who draws it: no NIC looks at it. */
    bool has_data;
    uint8_t data[RDMA_MTU_MAX];
};

struct rdma_arrival {
    sim_time_t due;
    uint16_t slot;
};
#define RING_NAME rdma_arrivals
#define RING_ITEM struct rdma_arrival
#include "sim/base/ring.h"

struct rdma_cable {
    sim_time_t *nic_due;
    sim_time_t up_free, down_free;
    struct rdma_arrivals arrivals;
    uint32_t to; /* Packets under way to this NIC, or in its buffer. */
    bool waits;  /* Its NIC has something to send that could not go. */
};

struct rdma_wire {
    /* Told of each packet that is sent. It must not change anything; NULL: nobody is. */
    void (*watcher)(void *self, const struct rdma_packet *packet);
    void *watcher_self;
    struct rdma_wire_config config;
    struct rdma_wire_stats stats;
    unsigned nics;
    struct rdma_cable cable[RDMA_WIRE_NICS_MAX];
    struct rdma_packet *packet;
    uint16_t *free;
    uint32_t free_count, packets;
};

void rdma_wire_init(struct rdma_wire *w, const struct rdma_wire_config *config,
                    unsigned nics);
void rdma_wire_free(struct rdma_wire *w);

/* nic_due is set when there is something to receive, or room to send. */
void rdma_wire_attach(struct rdma_wire *w, unsigned nic, sim_time_t *nic_due);

/* When a packet may be sent from there to there: now or later; TIME_NEVER: when there is
 * room, of which the sender is told. */
sim_time_t rdma_wire_ready(struct rdma_wire *w, unsigned from, unsigned to, sim_time_t now);

/* Sends a copy; ready has said now. Data is copied if the packet has any. */
void rdma_wire_send(struct rdma_wire *w, const struct rdma_packet *packet, sim_time_t now);

/* The oldest packet that has arrived, which stays in the receiver's buffer until drop;
 * NULL: none. */
const struct rdma_packet *rdma_wire_arrived(struct rdma_wire *w, unsigned nic,
                                            sim_time_t now);
/* Takes it out of the order of arrival; its place is given back by _drop. */
uint16_t rdma_wire_take(struct rdma_wire *w, unsigned nic, sim_time_t now);
static inline const struct rdma_packet *rdma_wire_packet(const struct rdma_wire *w,
                                                         uint16_t slot)
{
    return &w->packet[slot];
}
void rdma_wire_drop(struct rdma_wire *w, uint16_t slot, sim_time_t now);

/* When the next packet for this NIC arrives. */
sim_time_t rdma_wire_due(const struct rdma_wire *w, unsigned nic);

bool rdma_wire_idle(const struct rdma_wire *w);
/* Whether all that was sent has been received. */
bool rdma_wire_check(const struct rdma_wire *w, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
