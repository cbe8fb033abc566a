/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_ctrl - an NVMe controller: registers, queues, DMA and the time of a medium.
 *
 * A passive block. Software reaches it through nvme_mmio_ops; it reaches memory through its
 * port only. Commands are fetched, their lists followed, their data moved and their
 * completions and MSI-X messages written in simulated time, by transactions of the sizes
 * that a PCI Express function uses.
 *
 * A write to memory is posted, so a fault of it that comes back after the command's
 * completion has been sent is only counted: no real device hears of it any sooner.
 *
 * Inaccuracies: data has no contents, only addresses and time; the ranges of a dataset
 * management command are fetched but not looked at. One namespace of one format, without
 * protection information; no fused commands, asynchronous events, logs or abort. Any idle
 * channel serves any block, as if none ever had to wait for one particular die. A command's
 * blocks may reach the controller in any order; only how many have arrived limits what it
 * sends. MSI-X is always enabled.
 */
#ifndef WORKLOADS_NVME_CTRL_H
#define WORKLOADS_NVME_CTRL_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/engine.h"
#include "sim/base/histogram.h"
#include "sim/base/param.h"
#include "sim/base/port.h"
#include "sim/base/rng.h"
#include "sim/base/stat.h"
#include "workloads/dueheap.h"
#include "workloads/nvme_parts.h"
#include "workloads/nvme_spec.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mmio_ops;

/* clang-format off */
#define NVME_PARAMS(P)                                                                               \
    P(u32, queues,             64, 1,    256, ANY,  "queues",   "I/O queue pairs",                   \
      "typical of server drives: 32 to 128")                                                         \
    P(u32, queue_entries,    1024, 2,  65536, ANY,  "entries",  "Largest queue",                     \
      "what the Linux driver asks for by default; drives offer 1024 to 65536")                       \
    P(u32, vectors,            65, 1,    512, ANY,  "vectors",  "MSI-X table",                       \
      "one for each queue pair and the admin queue")                                                 \
    P(u32, doorbell_stride,     0, 0,      4, ANY,  "lg2",      "CAP.DSTRD: 4 bytes << this",        \
      "0 on nearly every drive")                                                                     \
    P(u32, transfer_pages_lg2,  5, 1,     11, ANY,  "lg2",      "Largest transfer, in 4 KiB pages",  \
      "128 KiB: typical of server drives (MDTS 5)")                                                  \
    P(flag, sgl,                1, 0,      1, ANY,  "",         "SGLs for I/O commands",             \
      "common on server drives")                                                                     \
    P(u32, descriptors_max,  4096, 1,1048576, ANY,  "descriptors", "SGL descriptors of a command",   \
      "a bound against endless chains; the Linux driver uses up to 256")                             \
    P(u64, blocks,     1562824368, 8, UINT64_C(1) << 55, ANY, "blocks", "512-byte blocks",           \
      "800 GB by the IDEMA capacity rule")                                                           \
    P(u32, block_bytes,       512, 512, 4096, POW2, "bytes",    "A logical block of the format in use", \
      "most drives offer 512 and 4096 (LBADS 9 and 12)")                                             \
    P(u32, metadata_bytes,      0, 0,   1024, ANY,  "bytes",    "Metadata of each block, in a buffer of its own; 0: none", \
      "server drives offer 8, some 16 and 64 (MS)")                                                  \
    P(flag, metadata_sgl,       1, 0,      1, ANY,  "",         "Metadata in several pieces, by SGLs", \
      "SGLS bit 19; few drives")                                                                     \
    P(u32, ready_us,          100, 1,30000000, ANY, "us",       "From CC.EN to CSTS.RDY; shutdown",  \
      "drives take 1 ms to seconds; short, so that runs start soon")                                 \
    P(u32, commands,          256, 1,   4096, ANY,  "commands", "Commands in flight",                \
      "typical of server drives: 128 to 1024")                                                       \
    P(u32, fetch_entries,       8, 1,     64, ANY,  "entries",  "Most entries fetched by one read",  \
      "512 B, one read request")                                                                     \
    P(u32, fetches,             8, 1,    256, ANY,  "reads",    "Fetches in flight", "assumed")      \
    P(u32, burst,               8, 1,     64, POW2, "commands", "Arbitration burst of a queue",      \
      "assumed; software sets it by a feature")                                                      \
    P(u32, decode_ns,         200, 0, 1000000, ANY, "ns",       "From an entry's arrival to action", \
      "assumed: hardware paths of server controllers")                                               \
    P(u32, command_gap_ns,    650, 0, 1000000, ANY, "ns",       "Least time between commands",       \
      "1.5 million commands/s: typical of PCIe 4.0 server drives")                                   \
    P(u32, max_payload_bytes, 256, 128, 4096, POW2, "bytes",    "Largest memory write",              \
      "Max_Payload_Size that server platforms configure: 256 or 512")                                \
    P(u32, max_read_bytes,    512, 128, 4096, POW2, "bytes",    "Largest memory read",               \
      "Max_Read_Request_Size after reset (PCI Express Base Specification)")                          \
    P(u32, list_read_bytes,   512, 64,  4096, POW2, "bytes",    "PRP or SGL list read at a time",    \
      "64 PRP entries: 256 KiB of data")                                                             \
    P(u32, reads,             256, 1,   4096, ANY,  "reads",    "Memory reads in flight",            \
      "8-bit tags (PCI Express Base Specification)")                                                 \
    P(u32, writes,            128, 1,   4096, ANY,  "writes",   "Memory writes in flight",           \
      "assumed: 32 KiB of posted buffers")                                                           \
    P(u32, turn_bytes,       4096, 1, 1 << 30, ANY, "bytes",    "Data of a command before the next", \
      "assumed: one unit of the medium")                                                             \
    P(u32, channels,           16, 1,   1024, ANY,  "channels", "Parallel units of the medium",      \
      "typical of server drives: 7 to 32")                                                           \
    P(u32, unit_bytes,       4096, 512, 1 << 20, POW2, "bytes", "What a channel serves at a time",   \
      "the mapping unit of most drives")                                                             \
    P(u32, read_ns,          5000, 0, 1000000000, ANY, "ns",    "A channel's time to read a unit",   \
      "phase-change-class drives: about 6 us for a 4 KiB read in all; flash: 50 to 80 us")           \
    P(u32, write_ns,         5000, 0, 1000000000, ANY, "ns",    "A channel's time to write a unit",  \
      "as read_ns; drives with protected write buffers: 10 us in all")                               \
    P(u32, jitter_ns,           0, 0, 1000000000, ANY, "ns",    "Most that chance adds to either",   \
      "0: a run without chance")                                                                     \
    P(u32, read_mb_per_s,    7200, 1, 1000000, ANY, "MB/s",     "Medium to controller",              \
      "typical of PCIe 4.0 x4 server drives: 6800 to 7400")                                          \
    P(u32, write_mb_per_s,   6200, 1, 1000000, ANY, "MB/s",     "Controller to medium",              \
      "typical of phase-change-class drives: 4800 to 6200; flash: 2000 to 4000")                     \
    P(u32, coalesce_entries,    1, 1,    256, ANY,  "entries",  "Completions to an interrupt",       \
      "1: no coalescing, the state after reset")                                                     \
    P(u32, coalesce_100us,      0, 0,    255, ANY,  "100 us",   "Longest wait for them; 0: none",    \
      "the state after reset")                                                                       \
    P(flag, coalesce_restart,   0, 0,      1, ANY,  "",         "Taking completions starts count and time anew", \
      "allowed by 5.21.1.8: a head doorbell says that software is at work")

#define NVME_STATS(S)                                                                                \
    S(command,                  command, "commands", "Commands begun")                               \
    S(command_admin,            command, "commands", "... on the admin queue")                       \
    S(command_read,             command, "commands", "Read")                                         \
    S(command_write,            command, "commands", "Write")                                        \
    S(command_flush,            command, "commands", "Flush")                                        \
    S(command_zeroes,           command, "commands", "Write zeroes")                                 \
    S(command_dataset,          command, "commands", "Dataset management")                           \
    S(command_unknown,          command, "commands", "... with another opcode, on an I/O queue")     \
    S(completion,               completion, "entries", "Completion entries written")                 \
    S(completion_succeeded,     completion, "entries", "... that report success")                    \
    S(completion_failed,        completion, "entries", "... that report an error")                   \
    S(queue_full,               completion, "entries", "Completions that found their queue full")    \
    S(transaction,              transaction, "transactions", "Memory transactions submitted")        \
    S(transaction_fetch,        transaction, "transactions", "Reads of submission entries")          \
    S(transaction_list,         transaction, "transactions", "Reads of PRP and SGL lists")           \
    S(transaction_data_read,    transaction, "transactions", "Reads of data")                        \
    S(transaction_data_written, transaction, "transactions", "Writes of data")                       \
    S(transaction_completion,   transaction, "transactions", "Writes of completion entries")         \
    S(transaction_interrupt,    transaction, "transactions", "Writes of MSI-X messages")             \
    S(entry_fetched,            entry_fetched, "entries", "Submission entries asked for")            \
    S(list_bytes,               list_bytes, "bytes", "List bytes asked for")                         \
    S(data_read_bytes,          data_read_bytes, "bytes", "Data bytes asked for")                    \
    S(metadata_read_bytes,      data_read_bytes, "bytes", "... of metadata")                         \
    S(data_written_bytes,       data_written_bytes, "bytes", "Data bytes written")                   \
    S(metadata_written_bytes,   data_written_bytes, "bytes", "... of metadata")                      \
    S(interrupt_raised,         interrupt_raised, "interrupts", "Interrupts after coalescing")       \
    S(interrupt_masked,         interrupt_raised, "interrupts", "... that met a masked vector")      \
    S(interrupt_merged,         interrupt_raised, "interrupts", "... that joined one not yet sent")  \
    S(fault,                    fault, "transactions", "Transactions answered by a fault")           \
    S(fault_fetch,              fault, "transactions", "... of submission entries: fatal")           \
    S(fault_list,               fault, "transactions", "... of lists")                               \
    S(fault_data_read,          fault, "transactions", "... of data to read")                        \
    S(fault_data_written,       fault, "transactions", "... of data to write")                       \
    S(fault_completion,         fault, "transactions", "... of completion entries: fatal")           \
    S(fault_interrupt,          fault, "transactions", "... of MSI-X messages: lost")                \
    S(late_fault,               fault_data_written, "transactions", "... after the completion")      \
    S(doorbell,                 doorbell, "writes", "Doorbell writes")                               \
    S(doorbell_accepted,        doorbell, "writes", "... with a new and possible value")             \
    S(doorbell_ignored,         doorbell, "writes", "... of no queue or an impossible value")        \
    S(reset,                    reset, "resets", "Resets by CC.EN")
/* clang-format on */

struct nvme_config {
    NVME_PARAMS(PARAM_FIELD)
};
struct nvme_stats {
    NVME_STATS(STAT_FIELD)
};
extern const struct param_table nvme_param_table;
extern const struct stat_table nvme_stat_table;

enum nvme_state {
    NVME_STATE_OFF,
    NVME_STATE_ENABLING,
    NVME_STATE_READY,
    NVME_STATE_FAILED,    /* CSTS.CFS: waits for a reset. */
    NVME_STATE_RESETTING, /* Waits for the responses that are still on their way. */
};

/* For who draws a timeline: what becomes of each command. It must not change anything. */
struct nvme_watcher {
    /* A doorbell has brought so many entries of a submission queue. */
    void (*rung)(void *self, uint16_t queue, uint32_t entries, sim_time_t now);
    /* The next so many of them are being fetched, */
    void (*fetching)(void *self, uint16_t queue, uint32_t entries, sim_time_t now);
    /* and the next one is here: command has its place. */
    void (*arrived)(void *self, const struct nvme_command *command, sim_time_t now);
    /* It begins, has done all it had to, and tells so. */
    void (*begun)(void *self, const struct nvme_command *command, sim_time_t now);
    void (*done)(void *self, const struct nvme_command *command);
    void (*completing)(void *self, const struct nvme_command *command, sim_time_t now);
    /* A transaction is about to be submitted: what its request's flow shall be. */
    uint32_t (*submitting)(void *self, const struct nvme_tx *tx);
    void *self;
};

struct nvme_ctrl {
    struct nvme_config config;
    struct nvme_stats stats;
    struct histogram read_latency_ps, write_latency_ps; /* Submission to response. */

    struct port *port;
    sim_time_t *due;
    struct rng jitter;
    uint16_t requester;

    /* Registers, and what the features hold. */
    enum nvme_state state;
    uint32_t cc, csts, aqa, interrupt_mask;
    uint64_t asq, acq;
    uint32_t burst, coalesce_entries;
    uint64_t coalesce_ps;

    /* Everything that happens at a time of its own: enum nvme_due numbers the items. */
    struct dueheap timers;

    struct nvme_tx *tx;
    struct nvme_tx_fifo tx_free;
    uint32_t reads_out, writes_out;

    struct nvme_sq *sq; /* Indexed by queue id; 0 is the admin queue. */
    struct nvme_cq *cq;
    struct nvme_sq_fifo sq_turn; /* With entries to fetch. */
    struct nvme_cq_fifo cq_turn; /* With completions to write and room for them. */
    uint32_t burst_left;         /* Of the first queue's turn. */

    struct nvme_fetch *fetch;
    struct nvme_fetch_fifo fetch_free;

    struct nvme_command *command;
    struct nvme_command_fifo command_free;
    uint32_t commands_free;             /* Less those that fetches in flight will take. */
    struct nvme_command_fifo decode;    /* Fetched, in the order of their start. */
    sim_time_t decode_next;             /* Before it no further command starts. */
    struct nvme_list_fifo list_wanted;  /* Need a piece of their PRP or SGL list. */
    struct nvme_transfer_fifo mover[2]; /* Can send data, by enum nvme_flow. */
    uint32_t turn_left[2];              /* Bytes of the first one's turn. */

    struct nvme_medium_fifo medium_wait; /* With units to give to channels. */
    struct nvme_channel *channel;
    struct nvme_channel_fifo channel_free;
    sim_time_t medium_free_at; /* The path between medium and controller. */

    struct nvme_vector *vector;
    struct nvme_vector_fifo interrupts; /* MSI-X messages to send. */

    struct nvme_command_fifo identify_wait;
    struct nvme_command *identify_now; /* The one that fills the buffer. */
    uint32_t identify_writes;          /* In flight from the buffer. */
    uint8_t identify_buffer[NVME_IDENTIFY_BYTES];

    /* What the medium holds, from block 0 on: read and written by I/O commands. NULL:
     * nobody looks at it, and data has no contents. */
    uint8_t *medium;

    /* Told where the data lies that the controller moves for the host; NULL: nobody cares.
     */
    void (*data_moved)(void *self, uint64_t iova, uint32_t bytes);
    void *data_moved_self;
    const struct nvme_watcher *watcher; /* NULL: nobody watches. */
};

/*
 * A block of engine. The port's device_due becomes the controller's due slot. config is
 * copied; seed matters with jitter only. Off, with every vector masked.
 */
void nvme_ctrl_init(struct nvme_ctrl *n, struct engine *engine, struct port *port,
                    const struct nvme_config *config, uint16_t requester, uint64_t seed);
void nvme_ctrl_free(struct nvme_ctrl *n);

/* The register window: NVME_WINDOW_BYTES; self is the struct nvme_ctrl. */
extern const struct mmio_ops nvme_mmio_ops;

/* Whether no command and no transaction is under way. */
bool nvme_ctrl_idle(const struct nvme_ctrl *n);

/* Recounts the structures and holds the statistics against each other. */
bool nvme_ctrl_check(const struct nvme_ctrl *n, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
