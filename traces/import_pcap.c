/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_pcap - packet captures of RoCEv2 (UDP port 4791), as pcap or pcapng.
 *
 * A write, read or atomic names its remote address, key and length in its first packet; a
 * send has no address and is as long as its packets. A request ends with its
 * acknowledgement. A host of the capture is a device. Captures may be cut (a snap length of
 * 100 bytes is enough), packets of other protocols and of connection management are passed
 * over.
 *
 * Inaccuracies: what a capture cannot show is not there: registration of memory, receives,
 * local addresses; packets in IP fragments are passed over.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/import.h"
#include "traces/rdma_packets.h"
#include "traces/text.h"

enum {
    PCAP_HEADER_BYTES   = 24,
    PCAP_PACKET_BYTES   = 16,
    CAPTURED_MAX        = 1 << 18, /* The largest snap length of tcpdump. */
    BLOCK_MAX           = CAPTURED_MAX + 4096,
    INTERFACES_MAX      = 256,
    HOSTS_MAX           = 4096,
    LINK_ETHERNET       = 1,
    LINK_RAW            = 101,
    LINK_COOKED         = 113,
    LINK_COOKED2        = 276,
    ROCE_PORT           = 4791,
    BTH_BYTES           = 12,
    ICRC_BYTES          = 4,
    MANAGEMENT_QP       = 1,
    BLOCK_SECTION       = 0x0a0d0d0a,
    BLOCK_INTERFACE     = 1,
    BLOCK_PACKET        = 6,
    OPTION_RESOLUTION   = 9,
    OPERATION_ATOMIC    = 0x13,
    OPERATION_FETCH_ADD = 0x14,
};

#define PCAP_MICRO UINT32_C(0xa1b2c3d4)
#define PCAP_NANO  UINT32_C(0xa1b23c4d)

struct host {
    uint8_t bytes, address[16];
};

struct pcap {
    struct trace_source *source;
    struct trace_about *about;
    struct rdma_packets *packets;
    bool next_generation, swapped, nano;
    uint64_t number, others; /* Packets read; and those that are not RoCE. */
    uint32_t link, interfaces;
    struct {
        uint32_t link;
        uint64_t coarser, second; /* So many ticks are one; so many of these a second. */
    } interface[INTERFACES_MAX];
    uint32_t hosts;
    struct host host[HOSTS_MAX];
    uint8_t data[BLOCK_MAX];
};

static uint64_t get(const struct pcap *p, const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[p->swapped ? i : bytes - 1 - i];
    return value;
}

/* As it is on the wire. */
static uint64_t big(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static uint32_t little32(const uint8_t *at)
{
    return __builtin_bswap32((uint32_t)big(at, 4));
}

static bool is_pcap(uint32_t magic)
{
    return magic == PCAP_MICRO || magic == PCAP_NANO;
}

static bool pcap_recognises(const uint8_t *first, size_t bytes)
{
    if (bytes < 4)
        return false;
    const uint32_t magic = little32(first);
    return is_pcap(magic) || is_pcap(__builtin_bswap32(magic)) || magic == BLOCK_SECTION;
}

/* 1: bytes bytes came; 0: the file ended before the first; -1. */
static int take(struct pcap *p, void *buf, size_t bytes, struct error *error)
{
    const long got = trace_source_read(p->source, buf, bytes, error);
    if (got > 0 && (size_t)got < bytes)
        error_set(error, "the file ends here, truncated");
    return got <= 0 ? (int)got : (size_t)got < bytes ? -1 : 1;
}

static bool must_take(struct pcap *p, void *buf, size_t bytes, struct error *error)
{
    const int got = bytes == 0 ? 1 : take(p, buf, bytes, error);
    if (got == 0)
        error_set(error, "the file ends here, truncated");
    return got == 1;
}

static bool link_check(uint32_t link, struct error *error)
{
    return link == LINK_ETHERNET || link == LINK_RAW || link == LINK_COOKED
           || link == LINK_COOKED2
           || error_set(error,
                        "captures of link type %" PRIu32
                        " are not read (Ethernet, raw IP and Linux cooked ones are)",
                        link);
}

/* ---- Headers
 * ------------------------------------------------------------------------------------- */

/* What is left of a packet. */
struct view {
    const uint8_t *at;
    size_t bytes;
};

static bool skip(struct view *v, size_t bytes)
{
    if (v->bytes < bytes)
        return false;
    v->at += bytes;
    v->bytes -= bytes;
    return true;
}

/* To the IP header: over the link's, with any VLAN tags. */
static bool to_network(uint32_t link, struct view *v)
{
    if (link == LINK_RAW)
        return true;
    if (link == LINK_COOKED || link == LINK_COOKED2)
        return skip(v, link == LINK_COOKED ? 16 : 20);
    if (!skip(v, 12))
        return false;
    for (unsigned tags = 0; tags < 4 && v->bytes >= 2; tags++) {
        const uint64_t type = big(v->at, 2);
        if (type == 0x8100 || type == 0x88a8) {
            if (!skip(v, 4))
                return false;
            continue;
        }
        return (type == 0x0800 || type == 0x86dd) && skip(v, 2);
    }
    return false;
}

/* To the base transport header; udp_bytes: of all that is behind the UDP header. */
static bool to_transport(struct view *v, struct host *from, struct host *to,
                         size_t *udp_bytes)
{
    if (v->bytes < 20)
        return false;
    const bool v6      = v->at[0] >> 4 == 6;
    const size_t bytes = v6 ? 40 : 4 * (size_t)(v->at[0] & 0xf);
    if ((!v6 && v->at[0] >> 4 != 4) || bytes < 20 || v->bytes < bytes + 8)
        return false;
    if (v->at[v6 ? 6 : 9] != 17 || (!v6 && (big(v->at + 6, 2) & 0x3fff) != 0))
        return false;
    from->bytes = to->bytes = v6 ? 16 : 4;
    memcpy(from->address, v->at + (v6 ? 8 : 12), from->bytes);
    memcpy(to->address, v->at + (v6 ? 24 : 16), to->bytes);
    skip(v, bytes);
    if (big(v->at + 2, 2) != ROCE_PORT)
        return false;
    const size_t udp = big(v->at + 4, 2);
    *udp_bytes       = udp - 8;
    return udp >= 8 + BTH_BYTES + ICRC_BYTES && skip(v, 8) && v->bytes >= BTH_BYTES;
}

static void host_note(struct pcap *p, const struct host *host, uint32_t index)
{
    enum { NOTED = 8 };
    char key[32], text[64] = "";
    if (index >= NOTED)
        return;
    snprintf(key, sizeof key, "device_%" PRIu32, index);
    for (unsigned i = 0, used = 0; i < host->bytes; i++)
        used += (unsigned)snprintf(text + used, sizeof text - used,
                                   host->bytes == 4 ? "%s%u" : "%s%02x",
                                   i == 0             ? ""
                                   : host->bytes == 4 ? "."
                                   : i % 2 == 0       ? ":"
                                                      : "",
                                   host->address[i]);
    trace_about_note(p->about, key, text);
}

static bool host_index(struct pcap *p, const struct host *host, uint32_t *index,
                       struct error *error)
{
    for (*index = 0; *index < p->hosts; ++*index)
        if (p->host[*index].bytes == host->bytes
            && memcmp(p->host[*index].address, host->address, host->bytes) == 0)
            return true;
    if (p->hosts == HOSTS_MAX)
        return error_set(error, "more than %d hosts", HOSTS_MAX);
    p->host[p->hosts++] = *host;
    host_note(p, host, *index);
    return true;
}

/* The extended headers; what is left is payload, as the packet was, not as it was cut. */
static bool extended(struct rdma_packet *k, struct view v, size_t bytes, unsigned pad)
{
    const unsigned operation = k->opcode & 0x1f;
    const unsigned transport = k->opcode >> 5;
    enum trace_op op;
    size_t headers = 0;
    if (transport == 3) { /* A datagram: its sender stands in it. */
        if (v.bytes < 8)
            return false;
        k->qp   = (uint32_t)big(v.at + 5, 3);
        headers = 8;
    } else if (rdma_opcode_begins(k->opcode, &op) && op != TRACE_RDMA_SEND) {
        const bool atomic = op == TRACE_RDMA_ATOMIC;
        if (v.bytes < 16)
            return false;
        k->address       = big(v.at, 8);
        k->key           = (uint32_t)big(v.at + 8, 4);
        k->message_bytes = atomic ? 8 : (uint32_t)big(v.at + 12, 4);
        k->whole_size    = true;
        headers          = atomic ? 28 : 16;
    }
    /* Immediate data or a key to invalidate: 4 bytes. */
    headers += operation == 3 || operation == 5 || operation == 9 || operation == 0xb
                       || operation == 0x16 || operation == 0x17
                   ? 4
                   : 0;
    const size_t tail = headers + pad + ICRC_BYTES;
    k->payload        = bytes > tail ? (uint32_t)(bytes - tail) : 0;
    return k->message_bytes <= TRACE_MESSAGE_MAX
           && k->address <= UINT64_MAX - k->message_bytes;
}

/* Takes one captured packet in. */
static bool packet_put(struct pcap *p, uint32_t link, uint64_t time_ns, struct view v,
                       struct error *error)
{
    struct rdma_packet k = { .time_ns = time_ns };
    struct host from, to;
    size_t bytes;
    uint64_t record;
    p->number++;
    if (!to_network(link, &v) || !to_transport(&v, &from, &to, &bytes)) {
        p->others++;
        return true;
    }
    const unsigned pad = v.at[1] >> 4 & 3;
    k.opcode           = v.at[0];
    k.peer_qp          = (uint32_t)big(v.at + 5, 3);
    k.psn              = (uint32_t)big(v.at + 9, 3);
    skip(&v, BTH_BYTES);
    if (k.opcode >> 5 > 3 || k.peer_qp <= MANAGEMENT_QP) {
        p->others++;
        return true;
    }
    if (!extended(&k, v, bytes - BTH_BYTES, pad))
        return error_set(error, "its RDMA header is cut or out of range");
    if (!host_index(p, &from, &k.from, error) || !host_index(p, &to, &k.to, error))
        return false;
    k.flow = (uint64_t)k.from << 48 ^ (uint64_t)k.to << 24 ^ k.peer_qp
             ^ (k.opcode >> 5 == 3 ? (uint64_t)k.qp << 36 : 0);
    return rdma_packets_put(p->packets, &k, &record, error);
}

/* ---- Containers
 * ---------------------------------------------------------------------------------- */

static bool pcap_begin(struct pcap *p, const uint8_t *magic, struct error *error)
{
    uint8_t in[PCAP_HEADER_BYTES];
    p->swapped          = !is_pcap(little32(magic));
    const uint32_t kind = p->swapped ? __builtin_bswap32(little32(magic)) : little32(magic);
    p->nano             = kind == PCAP_NANO;
    if (!must_take(p, in, PCAP_HEADER_BYTES - 4, error))
        return error_in(error, "the header");
    p->link = (uint32_t)get(p, in + 16, 4) & 0xffff;
    return link_check(p->link, error);
}

static int pcap_packet(struct pcap *p, struct error *error)
{
    uint8_t in[PCAP_PACKET_BYTES];
    const int got = take(p, in, sizeof in, error);
    if (got != 1)
        return got;
    const uint64_t captured = get(p, in + 8, 4), fraction = get(p, in + 4, 4);
    if (captured > CAPTURED_MAX) {
        error_set(error, "it claims %" PRIu64 " captured bytes", captured);
        return -1;
    }
    const uint64_t time =
        get(p, in, 4) * UINT64_C(1000000000) + fraction * (p->nano ? 1 : 1000);
    return must_take(p, p->data, captured, error)
                   && packet_put(p, p->link, time, (struct view){ p->data, captured },
                                 error)
               ? 1
               : -1;
}

/* Ticks of an interface are 10^-n or 2^-n seconds, 10^-6 when it does not say. Finer ones
 * than nanoseconds are made coarser first. */
static void interface_unit(struct pcap *p, uint32_t index, const uint8_t *at, size_t bytes)
{
    p->interface[index].coarser = 1;
    p->interface[index].second  = 1000000;
    while (bytes >= 4) {
        const size_t option = get(p, at, 2), length = get(p, at + 2, 2);
        const size_t whole = 4 + (length + 3) / 4 * 4;
        if (option == 0 || whole > bytes)
            return;
        if (option == OPTION_RESOLUTION && length == 1) {
            const unsigned n = at[4] & 0x7f, base = at[4] & 0x80 ? 2 : 10;
            const unsigned most         = base == 2 ? 30 : 9;
            p->interface[index].coarser = 1;
            p->interface[index].second  = 1;
            for (unsigned i = 0; i < n && i < most; i++)
                p->interface[index].second *= base;
            for (unsigned i = most; i < n && p->interface[index].coarser < UINT32_MAX; i++)
                p->interface[index].coarser *= base;
        }
        at += whole;
        bytes -= whole;
    }
}

static uint64_t interface_time(const struct pcap *p, uint64_t index, uint64_t ticks)
{
    const uint64_t second = p->interface[index].second;
    ticks /= p->interface[index].coarser;
    return ticks / second * 1000000000 + ticks % second * 1000000000 / second;
}

static bool interface_add(struct pcap *p, size_t bytes, struct error *error)
{
    if (bytes < 8 || p->interfaces == INTERFACES_MAX)
        return error_set(error, "an interface that cannot be read");
    const uint32_t index     = p->interfaces++;
    p->interface[index].link = (uint32_t)get(p, p->data, 2);
    interface_unit(p, index, p->data + 8, bytes - 8);
    return link_check(p->interface[index].link, error);
}

static bool enhanced_packet(struct pcap *p, size_t bytes, struct error *error)
{
    if (bytes < 20)
        return error_set(error, "its block is too small");
    const uint64_t index = get(p, p->data, 4), captured = get(p, p->data + 12, 4);
    if (index >= p->interfaces || captured > bytes - 20)
        return error_set(error,
                         "its block names interface %" PRIu64 " and %" PRIu64 " bytes",
                         index, captured);
    const uint64_t ticks = get(p, p->data + 4, 4) << 32 | get(p, p->data + 8, 4);
    return packet_put(p, p->interface[index].link, interface_time(p, index, ticks),
                      (struct view){ p->data + 20, captured }, error);
}

/* The order of bytes of a section stands in its header, behind the length that needs it. */
static bool section_begin(struct pcap *p, uint8_t *length, struct error *error)
{
    if (!must_take(p, p->data, 4, error))
        return false;
    p->swapped = little32(p->data) != UINT32_C(0x1a2b3c4d);
    if (get(p, p->data, 4) != UINT32_C(0x1a2b3c4d))
        return error_set(error, "the byte order of a section is not known");
    const uint64_t bytes = get(p, length, 4);
    p->interfaces        = 0;
    return ((bytes >= 28 && bytes <= BLOCK_MAX && bytes % 4 == 0)
            || error_set(error, "a block claims %" PRIu64 " bytes", bytes))
           && must_take(p, p->data, bytes - 12, error);
}

static int next_block(struct pcap *p, struct error *error)
{
    uint8_t in[8];
    const int got = take(p, in, sizeof in, error);
    if (got != 1)
        return got;
    if (little32(in) == BLOCK_SECTION)
        return section_begin(p, in + 4, error) ? 1 : -1;
    const uint64_t type = get(p, in, 4), bytes = get(p, in + 4, 4);
    if (bytes < 12 || bytes > BLOCK_MAX || bytes % 4 != 0) {
        error_set(error, "a block claims %" PRIu64 " bytes", bytes);
        return -1;
    }
    if (!must_take(p, p->data, bytes - 8, error))
        return -1;
    if (type == BLOCK_INTERFACE)
        return interface_add(p, bytes - 12, error) ? 1 : -1;
    if (type == BLOCK_PACKET)
        return enhanced_packet(p, bytes - 12, error) ? 1 : -1;
    return 1;
}

static void pcap_close(void *state)
{
    struct pcap *p = state;
    rdma_packets_free(p->packets);
    free(p);
}

static void *pcap_open(struct trace_source *source, struct trace_about *about,
                       struct error *error)
{
    uint8_t magic[4] = { 0 };
    struct pcap *p   = malloc(sizeof *p);
    CHECK(p != NULL);
    memset(p, 0, offsetof(struct pcap, data));
    p->source  = source;
    p->about   = about;
    p->packets = rdma_packets_new();

    bool good = must_take(p, magic, sizeof magic, error);
    if (good && little32(magic) == BLOCK_SECTION) {
        uint8_t length[4];
        p->next_generation = true;
        good =
            must_take(p, length, sizeof length, error) && section_begin(p, length, error);
    } else if (good) {
        good = pcap_recognises(magic, sizeof magic)
                   ? pcap_begin(p, magic, error)
                   : error_set(error, "not a capture: the first bytes are others");
    }
    if (good)
        return p;
    error_in(error, "record 0");
    pcap_close(p);
    return NULL;
}

static int pcap_end(struct pcap *p, struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, p->others);
    if (p->others != 0)
        trace_about_note(p->about, "packets_of_other_kinds", text);
    return rdma_packets_end(p->packets, p->about, error) ? 0 : -1;
}

static int pcap_next(void *state, struct trace_record *record, struct error *error)
{
    struct pcap *p = state;
    while (!rdma_packets_ready(p->packets) && !rdma_packets_full(p->packets)) {
        const int got = p->next_generation ? next_block(p, error) : pcap_packet(p, error);
        if (got < 0) {
            error_in(error, "record %" PRIu64, p->number);
            return -1;
        }
        if (got == 0 && rdma_packets_empty(p->packets))
            return pcap_end(p, error);
        if (got == 0)
            break;
    }
    *record = rdma_packets_take(p->packets);
    return 1;
}

const struct trace_importer import_pcap = {
    .name       = "pcap",
    .summary    = "Packet captures of RoCEv2, pcap or pcapng",
    .origin     = "tcpdump -s 160 -w FILE udp port 4791",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_DEVICE | KNOWS_RDMA,
    .recognises = pcap_recognises,
    .open       = pcap_open,
    .next       = pcap_next,
    .close      = pcap_close,
};
