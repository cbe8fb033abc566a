/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_nic - an RDMA NIC: queue pairs, completion queues, protection and translation tables
 * and their caches, the requester's and the responder's half of the transport.
 *
 * A passive block. Software reaches it through rdma_nic_mmio_ops; it reaches memory through
 * its port only, and other NICs over a rdma_wire. Work requests are fetched when a doorbell
 * rings, protection and translation entries are read from memory when its caches miss, data
 * is gathered and scattered by transactions of the sizes that a PCI Express function uses,
 * completions, events and messages are written in order behind the data.
 *
 * Reliable connections: requests are carried out in order, acknowledged cumulatively,
 * answered in order; a receiver that is not ready, or a page that is not there, makes the
 * requester wait and send again. Datagrams: one packet, no answer.
 *
 * Inaccuracies: contexts of queues are all on the NIC. Acknowledgements leave when data is
 * on its way to memory. An atomic holds up all that was received behind it. Work requests
 * that register memory point the NIC to the driver's list of pages; real ones copy it. What
 * is posted to a receive queue after its queue pair has failed is not flushed. No
 * congestion control, path migration, multicast, XRC, or datagrams with inline scatter.
 */
#ifndef WORKLOADS_RDMA_NIC_H
#define WORKLOADS_RDMA_NIC_H

#include "sim/base/engine.h"
#include "sim/base/param.h"
#include "sim/base/port.h"
#include "sim/base/stat.h"
#include "workloads/dueheap.h"
#include "workloads/rdma_parts.h"
#include "workloads/rdma_spec.h"
#include "workloads/rdma_wire.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mmio_ops;

/* clang-format off */
#define RDMA_PARAMS(P)                                                                              \
    P(u32, qps,              256, 1,  65536, POW2, "queue pairs", "That the NIC has",               \
      "real NICs have 2^17 and more; enough for the workloads here")                                \
    P(u32, cqs,              256, 1,  65536, POW2, "queues", "Completion queues, and receive queues", \
      "as qps")                                                                                     \
    P(u32, mpt_lg2,           16, 4,     24, ANY,  "lg2",    "Entries of the protection table",     \
      "mlx4 and mlx5: 2^17 to 2^24 keys")                                                           \
    P(u32, mpt_sets,         256, 1,  65536, POW2, "sets",   "Of the cache of protection entries",  \
      "assumed: 2048 entries; measured capacities of such NICs are of a few thousand regions")      \
    P(u32, mpt_ways,           8, 2,     64, ANY,  "ways",   "Likewise", "assumed")                 \
    P(u32, mtt_sets,         512, 1,  65536, POW2, "sets",   "Of the cache of translation entries, 8 to a line", \
      "assumed: 32768 entries, 128 MiB of 4 KiB pages")                                             \
    P(u32, mtt_ways,           8, 2,     64, ANY,  "ways",   "Likewise", "assumed")                 \
    P(u32, window,            64, 1,   1024, POW2, "entries", "Work requests of a queue pair on the NIC", \
      "assumed")                                                                                    \
    P(u32, fetch_entries,      8, 1,     16, ANY,  "entries", "Most work requests that one read fetches", \
      "512 B, one read request")                                                                    \
    P(u32, tx_slots,          64, 2,   1024, ANY,  "packets", "That are made at a time",            \
      "assumed: twice a 100 Gbit/s link's bytes in a DMA latency of 1 us is 25 KB")                 \
    P(u32, rx_slots,          64, 2,   1024, ANY,  "packets", "Received ones that are worked on",   \
      "as tx_slots")                                                                                \
    P(u32, reads,            256, 8,   4096, ANY,  "reads",  "Memory reads in flight",              \
      "8-bit tags (PCI Express Base Specification)")                                                \
    P(u32, writes,           256, 8,   4096, ANY,  "writes", "Memory writes in flight",             \
      "assumed: 64 KiB of posted buffers")                                                          \
    P(u32, max_payload_bytes, 256, 128, 4096, POW2, "bytes", "Largest memory write",                \
      "Max_Payload_Size that server platforms configure: 256 or 512")                               \
    P(u32, max_read_bytes,    512, 128, 4096, POW2, "bytes", "Largest memory read",                 \
      "Max_Read_Request_Size after reset (PCI Express Base Specification)")                         \
    P(u32, wqe_ns,           100, 0, 1000000, ANY, "ns",     "From a work request's arrival to its first packet", \
      "assumed: a write of 8 B takes about 1 us one way in all (perftest on 100 Gbit/s NICs)")      \
    P(u32, message_gap_ns,     5, 0, 1000000, ANY, "ns",     "Least time between work requests",    \
      "200 million messages/s, as data sheets of 100 to 200 Gbit/s NICs say")                       \
    P(u32, receive_ns,       100, 0, 1000000, ANY, "ns",     "From a packet's arrival to action",   \
      "as wqe_ns")                                                                                  \
    P(u32, command_ns,      1000, 0, 10000000, ANY, "ns",    "To carry out a command",              \
      "assumed; firmware of real NICs takes 1 us to 100 us")                                        \
    P(u32, rnr_ns,         10000, 1000, 655360000, ANY, "ns", "A requester's wait for a receiver that was not ready", \
      "minimum RNR NAK timer of the InfiniBand specification")                                      \
    P(u32, timeout_us,     67109, 10, 100000000, ANY, "us",  "Without an acknowledgement, until all is sent again", \
      "4.096 us * 2^14, what perftest sets")

#define RDMA_STATS(S)                                                                               \
    S(transaction,        transaction, "transactions", "Memory transactions submitted")             \
    S(transaction_fetch,  transaction, "transactions", "Reads of work requests")                    \
    S(transaction_record, transaction, "transactions", "Reads of doorbell records and mailboxes")   \
    S(transaction_mpt,    transaction, "transactions", "Reads of protection entries")               \
    S(transaction_mtt,    transaction, "transactions", "Reads of translation entries")              \
    S(transaction_gather, transaction, "transactions", "Reads of data")                             \
    S(transaction_scatter, transaction, "transactions", "Writes of data")                           \
    S(transaction_atomic, transaction, "transactions", "Reads and writes of atomic operations")     \
    S(transaction_completion, transaction, "transactions", "Writes of completion entries")          \
    S(transaction_event,  transaction, "transactions", "Writes of event entries")                   \
    S(transaction_interrupt, transaction, "transactions", "Writes of MSI-X messages")               \
    S(transaction_table,  transaction, "transactions", "Writes of protection entries and command results") \
    S(fault,              transaction, "transactions", "... that were answered by a fault")         \
    S(gathered_bytes,     gathered_bytes, "bytes", "Data read from memory")                         \
    S(scattered_bytes,    scattered_bytes, "bytes", "Data written to memory")                       \
    S(inline_bytes,       inline_bytes, "bytes", "Data that came inside work requests")             \
    S(mpt_lookup,         mpt_lookup, "look-ups", "Of protection entries")                          \
    S(mpt_lookup_hit,     mpt_lookup, "look-ups", "... found in the cache")                         \
    S(mpt_lookup_missed,  mpt_lookup, "look-ups", "... not found: read from memory")                \
    S(mtt_lookup,         mtt_lookup, "look-ups", "Of translation entries")                         \
    S(mtt_lookup_hit,     mtt_lookup, "look-ups", "... found in the cache")                         \
    S(mtt_lookup_missed,  mtt_lookup, "look-ups", "... not found: a line read from memory")         \
    S(work,               work, "requests", "Send-side work requests completed")                    \
    S(work_send,          work, "requests", "Sends")                                                \
    S(work_write,         work, "requests", "Writes")                                               \
    S(work_read,          work, "requests", "Reads")                                                \
    S(work_atomic,        work, "requests", "Atomic operations")                                    \
    S(work_local,         work, "requests", "Registrations, invalidations, binds")                  \
    S(received,           received, "messages", "Receive-side work requests completed")             \
    S(flushed,            flushed, "requests", "... of either, ended by an earlier one's error")    \
    S(failed,             failed, "requests", "... of either, ended by their own error")            \
    S(packet,             packet, "packets", "Sent")                                                \
    S(packet_request,     packet, "packets", "Requests")                                            \
    S(packet_answer,      packet, "packets", "Data and values that were asked for")                 \
    S(packet_ack,         packet, "packets", "Acknowledgements of either kind")                     \
    S(nak,                packet_ack, "packets", "... that refuse")                                 \
    S(not_ready,          packet_ack, "packets", "... that ask to wait: no receive posted, or no page") \
    S(repeated,           repeated, "times", "A queue pair went back to send again")                \
    S(dropped,            dropped, "packets", "Received but not expected: out of order, or of no queue pair") \
    S(page_fault,         page_fault, "events", "Page faults reported")                             \
    S(overflow,           overflow, "queues",  "Completion queues that overflowed")                 \
    S(interrupt,          interrupt, "messages", "Interrupts raised")                               \
    S(doorbell,           doorbell, "writes", "Doorbells of send queues")                           \
    S(command,            command, "commands", "Commands carried out")
/* clang-format on */

struct rdma_config {
    RDMA_PARAMS(PARAM_FIELD)
};
struct rdma_stats {
    RDMA_STATS(STAT_FIELD)
};
extern const struct param_table rdma_param_table;
extern const struct stat_table rdma_stat_table;

/* For who draws a timeline: what becomes of each work request, by its queue pair and its
 * index of all that were ever posted there. It must not change anything. */
struct rdma_watcher {
    /* A doorbell has brought those from first up to end. */
    void (*rung)(void *self, const struct rnic_qp *q, uint32_t first, uint32_t end,
                 sim_time_t now);
    /* One is here. */
    void (*arrived)(void *self, const struct rnic_qp *q, uint32_t index,
                    const struct rnic_wqe *w, sim_time_t now);
    /* A packet of it begins to be made, or it is carried out on the NIC: returns its flow.
     */
    uint64_t (*begun)(void *self, const struct rnic_qp *q, uint32_t index, sim_time_t now);
    /* Its last packet is on the wire; when it is sent again, once more. */
    void (*sent)(void *self, const struct rnic_qp *q, uint32_t index, sim_time_t now);
    /* It is over, and all before it are; told says whether software will hear of it by a
     * completion. Returns its flow. */
    uint64_t (*finished)(void *self, const struct rnic_qp *q, uint32_t index,
                         uint8_t status, bool told, sim_time_t now);
    /* A transaction is about to be submitted: what its request's flow shall be. */
    uint32_t (*submitting)(void *self, const struct rnic_io *io, sim_time_t now);
    void *self;
};

struct rdma_nic {
    struct rdma_config config;
    struct rdma_stats stats;
    struct port *port;
    sim_time_t *due, now;
    bool again_soon; /* Something waits only for time to go on. */
    uint16_t requester;
    struct rdma_wire *wire;
    unsigned id;  /* On the wire. */
    bool carries; /* Data has contents. */

    struct dueheap timers; /* Of queue pairs: sending again, then the next request. */
    struct rnic_io *io;    /* Transactions; the index is the tag. */
    struct rnic_io_fifo io_free;
    uint32_t reads_out, writes_out;
    uint64_t serial; /* Of the newest transaction. */

    struct rnic_command command;
    struct rnic_cache mpt, mtt;
    struct rnic_line_fifo fills; /* Lines to read. */
    uint64_t mpt_base;
    uint32_t mpt_lg2; /* Of the table in memory; 0: there is none. */

    struct rnic_qp *qp;
    struct rnic_cq *cq;
    struct rnic_rq *rq;
    struct rnic_eq *eq;                  /* RNIC_EQS of them. */
    struct rnic_fetch_fifo fetch_turn;   /* With work requests to fetch. */
    struct rnic_rq_fifo rq_turn;         /* The same, and doorbell records to read. */
    struct rnic_send_fifo send_turn;     /* With requests to send. */
    struct rnic_answer_fifo answer_turn; /* With answers to send. */
    struct rnic_local_fifo local_turn;   /* Registrations and the like under way. */
    struct rnic_flush_fifo flush_turn;   /* Failed, with work requests to flush. */
    bool answers_next;
    sim_time_t message_next; /* Before it no further work request begins. */

    struct rnic_tx *tx;
    struct rnic_tx_fifo tx_free, tx_order; /* In the order in which they are to be sent. */
    struct rnic_rx *rx;
    struct rnic_rx_fifo rx_free, rx_order; /* In the order of arrival. */
    struct rnic_rx *atomic;                /* Whose operand is on its way; one at a time. */
    uint64_t atomic_serial;

    struct rnic_cqe_ring cqes;
    struct rnic_eqe_ring eqes;
    struct rnic_eq_fifo interrupts;
    struct rnic_table_ring tables; /* Protection entries to write. */
    struct rnic_fault_list faults; /* Pages that were asked for. */

    /* Told where the data lies that the NIC moves, as DMA addresses; NULL: nobody cares. */
    void (*data_moved)(void *self, uint64_t iova, uint32_t bytes);
    void *data_moved_self;
    const struct rdma_watcher *watcher; /* NULL: nobody watches. */
};

/*
 * A block of engine. The port's device_due becomes the NIC's due slot. carries: data is
 * read from and written to memory; else only its addresses and time are modelled.
 */
void rdma_nic_init(struct rdma_nic *n, struct engine *engine, struct port *port,
                   const struct rdma_config *config, uint16_t requester,
                   struct rdma_wire *wire, unsigned id, bool carries);
void rdma_nic_free(struct rdma_nic *n);

extern const struct mmio_ops rdma_nic_mmio_ops; /* Self is the struct rdma_nic. */

/* Whether no transaction, command or packet of it is under way. */
bool rdma_nic_idle(const struct rdma_nic *n);

/* Whether its counters and structures agree with each other. */
bool rdma_nic_check(const struct rdma_nic *n, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
