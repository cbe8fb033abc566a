/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/rdma_packets.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

/* Operations of a reliable connection, without the three bits of the transport. */
enum {
    SEND_FIRST        = 0x00,
    SEND_MIDDLE       = 0x01,
    SEND_LAST         = 0x02,
    SEND_LAST_IMM     = 0x03,
    SEND_ONLY         = 0x04,
    SEND_ONLY_IMM     = 0x05,
    WRITE_FIRST       = 0x06,
    WRITE_MIDDLE      = 0x07,
    WRITE_LAST        = 0x08,
    WRITE_LAST_IMM    = 0x09,
    WRITE_ONLY        = 0x0a,
    WRITE_ONLY_IMM    = 0x0b,
    READ_REQUEST      = 0x0c,
    ANSWER_FIRST      = 0x0d,
    ANSWER_MIDDLE     = 0x0e,
    ANSWER_LAST       = 0x0f,
    ANSWER_ONLY       = 0x10,
    ACKNOWLEDGE       = 0x11,
    ATOMIC_ANSWER     = 0x12,
    COMPARE_SWAP      = 0x13,
    FETCH_ADD         = 0x14,
    SEND_LAST_INVALID = 0x16,
    SEND_ONLY_INVALID = 0x17,
    OPERATION_MASK    = 0x1f,
    TRANSPORT_SHIFT   = 5,
    TRANSPORT_RC      = 0,
    PSN_BITS          = 24,
};

bool rdma_opcode_begins(uint8_t opcode, enum trace_op *op)
{
    switch (opcode & OPERATION_MASK) {
    case SEND_FIRST:
    case SEND_ONLY:
    case SEND_ONLY_IMM:
    case SEND_ONLY_INVALID:
        *op = TRACE_RDMA_SEND;
        return true;
    case WRITE_FIRST:
    case WRITE_ONLY:
    case WRITE_ONLY_IMM:
        *op = TRACE_RDMA_WRITE;
        return true;
    case READ_REQUEST:
        *op = TRACE_RDMA_READ;
        return true;
    case COMPARE_SWAP:
    case FETCH_ADD:
        *op = TRACE_RDMA_ATOMIC;
        return true;
    default:
        return false;
    }
}

static bool is_first_of_many(uint8_t opcode)
{
    const unsigned operation = opcode & OPERATION_MASK;
    return operation == SEND_FIRST || operation == WRITE_FIRST;
}

static bool continues(uint8_t opcode, bool *last)
{
    switch (opcode & OPERATION_MASK) {
    case SEND_MIDDLE:
    case WRITE_MIDDLE:
        *last = false;
        return true;
    case SEND_LAST:
    case SEND_LAST_IMM:
    case SEND_LAST_INVALID:
    case WRITE_LAST:
    case WRITE_LAST_IMM:
        *last = true;
        return true;
    default:
        return false;
    }
}

struct rdma_packets *rdma_packets_new(void)
{
    struct rdma_packets *p = malloc(sizeof *p);
    CHECK(p != NULL);
    memset((char *)p + offsetof(struct rdma_packets, begun), 0,
           offsetof(struct rdma_packets, flow) - offsetof(struct rdma_packets, begun));
    window_init(&p->window);
    return p;
}

void rdma_packets_free(struct rdma_packets *p)
{
    window_free(&p->window);
    free(p);
}

bool rdma_packets_full(const struct rdma_packets *p)
{
    return window_full(&p->window);
}

bool rdma_packets_ready(const struct rdma_packets *p)
{
    return window_ready(&p->window);
}

bool rdma_packets_empty(const struct rdma_packets *p)
{
    return window_empty(&p->window);
}

static uint64_t time_of(struct rdma_packets *p, uint64_t time_ns)
{
    if (!p->begun)
        p->start_ns = time_ns;
    p->begun = true;
    if (time_ns >= p->start_ns && time_ns - p->start_ns > p->last_ns)
        p->last_ns = time_ns - p->start_ns;
    return p->last_ns;
}

static struct rdma_flow *flow_of(struct rdma_packets *p, const struct rdma_packet *packet,
                                 struct error *error)
{
    for (uint32_t i = 0; i < p->flows; i++)
        if (p->flow[i].name == packet->flow)
            return &p->flow[i];
    if (p->flows == RDMA_FLOWS_MAX) {
        error_set(error, "more than %d connections", RDMA_FLOWS_MAX);
        return NULL;
    }
    struct rdma_flow *flow = &p->flow[p->flows++];
    *flow                  = (struct rdma_flow){ .name     = packet->flow,
                                                 .from     = packet->from,
                                                 .to       = packet->to,
                                                 .peer_qp  = packet->peer_qp,
                                                 .reply_qp = packet->qp };
    return flow;
}

static struct window_key key_of(const struct rdma_packets *p, const struct rdma_flow *flow,
                                uint32_t psn)
{
    return (struct window_key){ .owner = (uint64_t)(flow - p->flow), .item = psn };
}

/* Whether a is not behind b, in numbers that wrap. */
static bool psn_reached(uint32_t a, uint32_t b)
{
    return ((b - a) & ((UINT32_C(1) << PSN_BITS) - 1)) < UINT32_C(1) << (PSN_BITS - 1);
}

static bool is_repetition(const struct rdma_flow *flow, uint32_t psn)
{
    return flow->opened && psn_reached(psn, flow->last_psn);
}

static uint64_t message_begin(struct rdma_packets *p, struct rdma_flow *flow,
                              const struct rdma_packet *packet, enum trace_op op)
{
    const struct trace_record record = {
        .time_ns        = time_of(p, packet->time_ns),
        .latency_ns     = TRACE_LATENCY_UNKNOWN,
        .bytes          = packet->whole_size ? packet->message_bytes : packet->payload,
        .cpu            = packet->cpu,
        .completion_cpu = packet->cpu,
        .device         = packet->from,
        .op             = op,
        .rdma           = { .qp      = flow->reply_qp,
                            .peer    = packet->to,
                            .peer_qp = flow->peer_qp,
                            .key     = packet->key,
                            .address = packet->address },
    };
    flow->opened   = true;
    flow->open     = is_first_of_many(packet->opcode);
    flow->last_psn = packet->psn;
    flow->message  = window_issue(&p->window, &record, key_of(p, flow, packet->psn));
    /* No acknowledgement will come over an unreliable transport. */
    if (packet->opcode >> TRANSPORT_SHIFT != TRANSPORT_RC) {
        struct window_request *r = window_at(&p->window, flow->message);
        window_complete(&p->window, r, record.time_ns, record.cpu);
        r->record.latency_ns = TRACE_LATENCY_UNKNOWN;
    }
    return flow->message;
}

static void message_go_on(struct rdma_packets *p, struct rdma_flow *flow,
                          const struct rdma_packet *packet, bool last)
{
    struct window_request *r = window_at(&p->window, flow->message);
    if (!flow->open || is_repetition(flow, packet->psn)) {
        p->repeated += flow->open;
        p->skipped += !flow->open;
        return;
    }
    flow->open     = !last;
    flow->last_psn = packet->psn;
    if (r == NULL)
        return;
    if (!packet->whole_size && r->record.op == TRACE_RDMA_SEND
        && r->record.bytes <= TRACE_MESSAGE_MAX - packet->payload)
        r->record.bytes += packet->payload;
    if (r->in_flight)
        window_rekey(&p->window, r, key_of(p, flow, packet->psn));
}

static void flight_end(struct rdma_packets *p, struct rdma_flow *flow,
                       struct window_request *r, const struct rdma_packet *packet)
{
    if (packet->qp == 0 && flow->reply_qp == 0)
        flow->reply_qp = packet->peer_qp;
    if (r->record.rdma.qp == 0)
        r->record.rdma.qp = flow->reply_qp;
    if (r->record.rdma.peer_qp == 0)
        r->record.rdma.peer_qp = packet->qp;
    window_complete(&p->window, r, time_of(p, packet->time_ns), packet->cpu);
}

/* The flow of the request that a packet answers: it runs the other way, and waits for this
 * number. A queue pair that has answered it before goes first. */
static struct rdma_flow *asked_by(struct rdma_packets *p, const struct rdma_packet *packet)
{
    struct rdma_flow *found = NULL;
    for (uint32_t i = 0; i < p->window.flights; i++) {
        const struct window_key key = p->window.flight[i].key;
        struct rdma_flow *flow      = &p->flow[key.owner];
        if (key.command || flow->name == packet->flow || flow->from != packet->to
            || flow->to != packet->from || key.item != packet->psn)
            continue;
        if (packet->peer_qp != 0 && flow->reply_qp == packet->peer_qp)
            return flow;
        if (found == NULL && (packet->peer_qp == 0 || flow->reply_qp == 0))
            found = flow;
    }
    return found;
}

/* Everything up to the acknowledged packet has arrived; reads end by their answers. */
static void on_acknowledge(struct rdma_packets *p, const struct rdma_packet *packet)
{
    struct rdma_flow *const flow = asked_by(p, packet);
    if (flow == NULL) {
        p->skipped++;
        return;
    }
    const uint64_t owner = (uint64_t)(flow - p->flow);
    for (uint32_t i = 0; i < p->window.flights;) {
        struct window_request *r    = window_at(&p->window, p->window.flight[i].number);
        const struct window_key key = p->window.flight[i].key;
        const bool open = flow->open && p->window.flight[i].number == flow->message;
        if (key.command || key.owner != owner || r->record.op == TRACE_RDMA_READ || open
            || !psn_reached((uint32_t)key.item, packet->psn))
            i++;
        else
            flight_end(p, flow, r, packet);
    }
}

static void on_answer(struct rdma_packets *p, const struct rdma_packet *packet)
{
    const unsigned operation = packet->opcode & OPERATION_MASK;
    const bool first         = operation == ANSWER_FIRST || operation == ANSWER_ONLY;
    struct rdma_flow *flow   = NULL;
    if (first && (flow = asked_by(p, packet)) != NULL) {
        const struct window_key key    = key_of(p, flow, packet->psn);
        const struct window_request *r = window_find(&p->window, key);
        flow->answering                = r != NULL && r->record.op == TRACE_RDMA_READ;
        for (uint32_t i = 0; flow->answering && i < p->window.flights; i++)
            if (window_at(&p->window, p->window.flight[i].number) == r)
                flow->reading = p->window.flight[i].number;
    }
    for (uint32_t i = 0; flow == NULL && i < p->flows; i++)
        if (p->flow[i].answering && p->flow[i].from == packet->to
            && p->flow[i].to == packet->from
            && (p->flow[i].reply_qp == packet->peer_qp || packet->peer_qp == 0))
            flow = &p->flow[i];
    if (flow == NULL || !flow->answering) {
        p->skipped++;
        return;
    }
    if (operation != ANSWER_LAST && operation != ANSWER_ONLY)
        return;
    struct window_request *r = window_at(&p->window, flow->reading);
    flow->answering          = false;
    if (r != NULL && r->in_flight)
        flight_end(p, flow, r, packet);
}

bool rdma_packets_put(struct rdma_packets *p, const struct rdma_packet *packet,
                      uint64_t *record, struct error *error)
{
    enum trace_op op;
    bool last = false;
    CHECK(!window_full(&p->window));
    *record = UINT64_MAX;
    p->packets++;
    switch (packet->opcode & OPERATION_MASK) {
    case ACKNOWLEDGE:
    case ATOMIC_ANSWER:
        on_acknowledge(p, packet);
        return true;
    case ANSWER_FIRST:
    case ANSWER_MIDDLE:
    case ANSWER_LAST:
    case ANSWER_ONLY:
        on_answer(p, packet);
        return true;
    default:
        break;
    }
    const bool begins = rdma_opcode_begins(packet->opcode, &op);
    if (!begins && !continues(packet->opcode, &last)) {
        p->skipped++;
        return true;
    }
    struct rdma_flow *const flow = flow_of(p, packet, error);
    if (flow == NULL)
        return false;
    if (!begins)
        message_go_on(p, flow, packet, last);
    else if (packet->opcode >> TRANSPORT_SHIFT == TRANSPORT_RC
             && is_repetition(flow, packet->psn))
        p->repeated++;
    else
        *record = message_begin(p, flow, packet, op);
    return true;
}

uint64_t rdma_packets_add(struct rdma_packets *p, const struct trace_record *record)
{
    struct trace_record r = *record;
    r.time_ns             = time_of(p, record->time_ns);
    /* The key is one that no packet has. */
    const struct window_key key = { .owner = RDMA_FLOWS_MAX, .item = 0 };
    const uint64_t number       = window_issue(&p->window, &r, key);
    struct window_request *w    = window_at(&p->window, number);
    window_complete(&p->window, w, r.time_ns, r.cpu);
    w->record.latency_ns = TRACE_LATENCY_UNKNOWN;
    w->record.depth      = 0;
    return number;
}

struct trace_record rdma_packets_take(struct rdma_packets *p)
{
    const struct trace_record record = window_take(&p->window);
    if (!trace_op_is_region(record.op) && record.op != TRACE_RDMA_RECEIVE)
        p->unended += record.latency_ns == TRACE_LATENCY_UNKNOWN;
    return record;
}

bool rdma_packets_end(const struct rdma_packets *p, struct trace_about *about,
                      struct error *error)
{
    const struct {
        const char *key;
        uint64_t count;
    } note[] = {
        { "connections", p->flows },
        { "packets_passed_over", p->skipped },
        { "packets_repeated", p->repeated },
        { "requests_without_completion", p->unended },
    };
    for (unsigned i = 0; i < sizeof note / sizeof note[0]; i++) {
        char text[32];
        snprintf(text, sizeof text, "%" PRIu64, note[i].count);
        if (note[i].count != 0)
            trace_about_note(about, note[i].key, text);
    }
    return p->begun || error_set(error, "the recording ends without any RDMA work");
}
