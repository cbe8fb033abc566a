/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_packets - records of RDMA work out of the packets that it became.
 *
 * A flow is one direction of one connection: the packets to one queue pair, or from one.
 * The first packet of a message begins a record, later ones lengthen a send, and the
 * acknowledgement, or the last packet of a read's answer, ends it. Only packets of requests
 * begin records, so that each message counts once.
 */
#ifndef TRACES_RDMA_PACKETS_H
#define TRACES_RDMA_PACKETS_H

#include "traces/window.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RDMA_FLOWS_MAX = 4096 };

/* One packet; what its headers do not say is 0. */
struct rdma_packet {
    uint64_t time_ns;
    uint32_t cpu;
    uint32_t from, to; /* Devices. */
    uint64_t flow;     /* What tells this direction of this connection from others. */
    uint32_t qp;       /* Of the sender, when known. */
    uint32_t peer_qp;  /* Of the receiver, when known. */
    uint8_t opcode;    /* Of the base transport header. */
    uint32_t psn;
    uint32_t payload; /* Bytes of data in it. */
    bool whole_size;  /* message_bytes is that of the whole message. */
    uint32_t message_bytes, key;
    uint64_t address;
};

struct rdma_flow {
    uint64_t name;
    uint32_t from, to;
    uint32_t peer_qp, reply_qp;
    bool open, opened; /* A message is being sent; there has been one. */
    uint64_t message;  /* Its number in the window. */
    uint32_t last_psn;
    uint64_t reading; /* The read that is being answered, and whether there is one. */
    bool answering;
};

struct rdma_packets {
    struct window window;
    bool begun;
    uint64_t start_ns, last_ns;
    uint64_t packets, skipped, repeated, unended;
    uint32_t flows;
    struct rdma_flow flow[RDMA_FLOWS_MAX];
};

struct rdma_packets *rdma_packets_new(void);
void rdma_packets_free(struct rdma_packets *p);

bool rdma_packets_full(const struct rdma_packets *p);
bool rdma_packets_ready(const struct rdma_packets *p);
bool rdma_packets_empty(const struct rdma_packets *p);

/* Takes a packet in, while not full; *record is the number of the record that it began, or
 * UINT64_MAX. False when there are too many flows. */
bool rdma_packets_put(struct rdma_packets *p, const struct rdma_packet *packet,
                      uint64_t *record, struct error *error);

/* A record that is complete by itself: a region that comes or goes, a receive. Its time is
 * as in the file. */
uint64_t rdma_packets_add(struct rdma_packets *p, const struct trace_record *record);

struct trace_record rdma_packets_take(struct rdma_packets *p);

/* Notes about what was not used; false when there was no record at all. */
bool rdma_packets_end(const struct rdma_packets *p, struct trace_about *about,
                      struct error *error);

/* Whether a packet of this kind is the first of a request's message. */
bool rdma_opcode_begins(uint8_t opcode, enum trace_op *op);

#ifdef __cplusplus
}
#endif

#endif
