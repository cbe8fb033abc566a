/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootport - what is between a device and memory: a PCI Express link, the IOMMU, the order
 * of transactions.
 *
 *     device -> link up -> IOMMU -> memory -> (reads) link down -> device
 *
 * A block that offers a struct port to one device and is a client of the IOMMU. Posted
 * writes reach memory in the order of submission, a read never passes an earlier write, and
 * a write into the interrupt range becomes an interrupt in its place in that order (PCI
 * Express Base Specification 2.4.1). A transaction lives in a slot from its submission to
 * its response.
 *
 * Every picosecond of a transaction's life belongs to one part; the parts of each sum to
 * its whole, and the IOMMU's cycles, with the way to their first edge, to its time in
 * there.
 *
 * A device with a TLB of its own (atc.h) also sends translation requests, which only the
 * IOMMU answers, translated addresses, which the IOMMU lets pass, and answers to
 * invalidations, which reach the IOMMU when the writes before them are in memory. Times of
 * transactions are those of reads and writes alone.
 *
 * Inaccuracies: completions are not split; data-link packets and flow-control updates cost
 * nothing; every device has a link of its own.
 */
#ifndef IOMMU_MODEL_ROOTPORT_H
#define IOMMU_MODEL_ROOTPORT_H

#include "iommu_model/iommu.h"
#include "sim/base/histogram.h"
#include "sim/base/port.h"

/* clang-format off */
#define LINK_PARAMS(P)                                                                              \
    P(u32, bytes_per_us,  7876, 1, 1000000, ANY, "bytes/us", "Raw rate each way",                   \
      "PCI Express 4.0 x4: 16 GT/s, 128b/130b")                                                     \
    P(u32, latency_ns,     150, 0,  100000, ANY, "ns",       "One way, device to root port",        \
      "pcie-bench: 413 ns for a 64 B read of an idle host, all told")                               \
    P(u32, header_bytes,    24, 0,    1000, ANY, "bytes",    "Around each packet's payload",        \
      "12 to 16 B header, 8 B framing, sequence and check")                                         \
    P(u32, read_tags,      256, 1,    4096, ANY, "reads",    "Reads under way at most",             \
      "8-bit tags")                                                                                 \
    P(u32, posted_bytes, 16384, 4096, 1000000, ANY, "bytes", "Posted data under way at most",       \
      "flow-control credits of a server root port")

/* Where a transaction's time goes. */
#define DMA_PARTS(X)                                                                                \
    X(link_up,    "Serialisation and flight to the root port")                                      \
    X(port,       "Waiting for the IOMMU to take it")                                               \
    X(translate,  "In the IOMMU")                                                                   \
    X(order,      "Waiting for earlier writes of the device")                                       \
    X(memory,     "In memory")                                                                      \
    X(link_down,  "Flight back of the data, or of a write's credits")

#define DMA_STATS(S)                                                                                \
    S(read,             read,       "reads",        "Reads submitted")                              \
    S(write,            write,      "writes",       "Posted writes submitted")                      \
    S(interrupt,        interrupt,  "writes",       "Writes that were interrupts")                  \
    S(read_bytes,       read_bytes, "bytes",        "Read")                                         \
    S(write_bytes,      write_bytes, "bytes",       "Written")                                      \
    S(translation,      translation, "requests",    "Translations that the device asked for")       \
    S(invalidated,      invalidated, "messages",    "Invalidations that the device answered")       \
    S(fault,            fault,      "transactions", "Refused by the IOMMU")                         \
    S(stale,            stale,      "transactions", "Carried out through a stale translation")      \
    S(link_up_ps,       link_up_ps, "ps",   "Serialisation and flight to the root port")            \
    S(port_ps,          port_ps,    "ps",   "Waiting for the IOMMU to take it")                     \
    S(translate_ps,     translate_ps, "ps", "In the IOMMU")                                         \
    S(order_ps,         order_ps,   "ps",   "Waiting for earlier writes of the device")             \
    S(memory_ps,        memory_ps,  "ps",   "In memory")                                            \
    S(link_down_ps,     link_down_ps, "ps", "Serialisation and flight back")                        \
    S(whole_ps,         whole_ps,   "ps",   "From submission to response")                          \
    S(edge_ps,          translate_ps, "ps", "Of the time in the IOMMU: up to its clock's next edge")
/* clang-format on */

#define DMA_PART(name, text) DMA_PART_##name,
enum dma_part { DMA_PARTS(DMA_PART) DMA_PART_COUNT };

struct link_config {
    LINK_PARAMS(PARAM_FIELD)
};
struct dma_stats {
    DMA_STATS(STAT_FIELD)
};
extern const struct param_table link_param_table;
extern const struct stat_table dma_stat_table;

enum { ROOTPORT_SLOTS_MAX = 8192 };

/* What the software side may want to know about DMA that is carried out; see audit.h. */
struct dma_slot {
    struct port_request request;
    sim_time_t submitted, since; /* since: not yet on any part's account. */
    uint64_t pa;
    uint64_t entry; /* Of a translation that was asked for. */
    sim_time_t part[DMA_PART_COUNT];
    uint64_t order; /* Writes submitted before this one. */
    space_t space;  /* Whose tables were used. */
    uint32_t epoch;
    uint16_t next;
    bool translated, fault, interrupt, stale, in_use;
    bool bypassed; /* The IOMMU let it pass as it was. */
    bool accessed; /* Memory has been read or written: the translation has done its work. */
};

struct dma_timed {
    sim_time_t due;
    uint16_t slot;
};
#define RING_NAME dma_ring
#define RING_ITEM struct dma_timed
#include "sim/base/ring.h"

struct dma_message {
    sim_time_t due;
    struct port_invalidation invalidation;
};
#define RING_NAME message_ring
#define RING_ITEM struct dma_message
#include "sim/base/ring.h"

/* For who draws a timeline: told of each transaction by the index of its slot, which is its
 * own until finished returns. It must not change anything. */
struct rootport_watcher {
    void (*submitted)(void *self, const struct dma_slot *slot, uint32_t index);
    /* The IOMMU has answered; slot is as it was before that. */
    void (*translated)(void *self, const struct dma_slot *slot, uint32_t index,
                       const struct iommu_response *answer);
    /* All parts of its time are known: they follow each other from submitted to since. */
    void (*finished)(void *self, const struct dma_slot *slot, uint32_t index);
    void *self;
};

struct rootport {
    struct link_config config;
    struct port port;    /* For the device. */
    struct iommu *iommu; /* NULL: no IOMMU in the way. */
    unsigned client;
    struct memory *memory;
    struct mem_channel *channel;
    sim_time_t *due;
    uint64_t ps_per_kib;

    struct dma_slot *slot;
    uint32_t slots, slots_used; /* Never more than slots_used at once, so far. */
    uint16_t free;
    uint32_t reads_out, posted_out; /* Reads, and bytes of posted writes, under way. */
    bool refused[2];                /* A request of this kind waits for room. */
    sim_time_t up_free, down_free;  /* When each direction of the link can take a packet. */

    struct dma_ring up; /* On the way to the root port, by arrival. */
    struct dma_ring memory_done;
    struct dma_ring down, credits; /* On the way back: data of reads, credits of writes. */
    struct message_ring messages;  /* Invalidations on their way down. */
    uint16_t requester;            /* The device that has a TLB. */
    struct dma_ring writes;        /* Posted writes in order; due is unused. */
    uint64_t writes_submitted, writes_issued;
    uint16_t held; /* Translated reads that wait for earlier writes: a list. */

    void (*interrupt)(void *self, uint64_t address, uint32_t data, sim_time_t now);
    void *interrupt_self;
    struct dma_stats stats;
    uint64_t xlate_cycles[XLATE_PART_COUNT]; /* Where the time in the IOMMU went. */
    struct histogram read_ps, write_ps;      /* Submission to response. */
    /* Told about every transaction that is carried out although software has given its page
     * back, or (tells_always) about every one; NULL: nobody cares. */
    void (*carried_out)(void *self, const struct dma_slot *slot, sim_time_t now);
    void *carried_out_self;
    bool tells_always;
    /* Told about every transaction that the IOMMU translated and that is over; NULL: nobody
     * cares. */
    void (*used)(void *self, const struct dma_slot *slot, sim_time_t now);
    void *used_self;
    const struct rootport_watcher *watcher; /* NULL: nobody watches. */
};

/* A block of engine. */
void rootport_init(struct rootport *r, struct engine *engine,
                   const struct link_config *config, struct iommu *iommu,
                   struct memory *memory, struct mem_channel *channel);
void rootport_free(struct rootport *r);

/* The device has a TLB: the IOMMU's invalidations for this requester go to it. */
void rootport_serve_device_tlb(struct rootport *r, uint16_t requester);

/* The device's end: the device puts its due slot into it before the first use. */
struct port *rootport_port(struct rootport *r);

/* Whether anything is under way. */
bool rootport_idle(const struct rootport *r);

#endif
