/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iommu - the device: a passive block that translates requests of its clients.
 *
 * Clients (root ports, a TLM module, a test) submit requests and take responses; software
 * reaches it through its registers and through simulated memory. The parts are members by
 * value, in the order of the pipeline. What differs between architectures is behind struct
 * iommu_arch; nothing here knows which one it is.
 *
 * Within a cycle, things happen in this order: translations (by slot), page walks whose
 * data arrived, the context walk, the invalidation queue, status writes, acceptance of new
 * requests, the memory port's arbitration. So a look-up sees neither a fill nor an
 * invalidation of its own cycle, and an invalidation removes what was filled in its cycle.
 */
#ifndef IOMMU_MODEL_IOMMU_H
#define IOMMU_MODEL_IOMMU_H

#include "iommu_model/ats_spec.h"
#include "iommu_model/iotlb.h"
#include "iommu_model/memport.h"
#include "iommu_model/walkcache.h"
#include "iommu_model/xlate.h"
#include "sim/base/engine.h"
#include "sim/base/mmio.h"
#include "sim/base/wheel.h"

/* clang-format off */
#define IOMMU_PARAMS(P)                                                                             \
    P(name, arch,           vtd, iommu_arch_member, 0, ANY, "name", "Architecture", "")             \
    P(u32,  period_ps,     1000, 1, 1000000, ANY, "ps",     "Clock period",                         \
      "1 GHz: uncore and I/O fabric clocks are of that order")                                      \
    P(u32,  inflight,        64, 1,    1024, ANY, "slots",  "Translations under way at most",       \
      "not published")                                                                              \
    P(u32,  queue_entries,   64, 1,   65536, POW2, "requests", "Requests that may wait for a slot", \
      "not published")                                                                              \
    P(u32,  accept_cycles,    1, 1,    1000, ANY, "cycles", "From acceptance to the look-up",       \
      "pcie-bench: a hit costs 0 to 3 ns")                                                          \
    P(u32,  respond_cycles,   1, 1,    1000, ANY, "cycles", "From the look-up's result to the answer", \
      "pcie-bench: a hit costs 0 to 3 ns")                                                          \
    P(u32,  interval_cycles,  1, 1,    1000, ANY, "cycles", "Between two acceptances",              \
      "fully pipelined")                                                                            \
    P(u32,  turnaround_cycles, 0, 0,   1000, ANY, "cycles", "From the answer until the slot is free", \
      "fully pipelined")                                                                            \
    P(flag, relookup,         0, 0,       1, ANY, "",       "A finished walk looks up again",       \
      "usual design: the walk's result is answered directly")                                       \
    P(flag, read_priority,    0, 0,       1, ANY, "",       "Waiting reads are accepted before waiting writes", \
      "usual design: one queue in order")

#define WALKER_PARAMS(P)                                                                            \
    P(u32,  walkers,          5, 1,      60, ANY, "walkers", "Page walks that read memory at a time", \
      "pcie-bench: 4.2 to 5.4 walks in flight on four server parts")                                \
    P(u32,  walks,           32, 1,    1024, ANY, "walks",  "Distinct pages waiting or walking",    \
      "not published")                                                                              \
    P(u32,  start_cycles,   180, 1,     500, ANY, "cycles", "From the miss to the first read, walk caches asked", \
      "fitted: pcie-bench, a miss costs 280 ns and one page read (docs/validation.md)")             \
    P(u32,  step_cycles,      2, 1,     500, ANY, "cycles", "From an entry's arrival to the next read", \
      "not published")                                                                              \
    P(u32,  fill_cycles,      2, 1,    1000, ANY, "cycles", "From the leaf's arrival to the result", \
      "not published")                                                                              \
    P(u32,  update_cycles,    4, 1,     500, ANY, "cycles", "To write accessed and dirty bits back", \
      "one locked write; no hardware published")                                                    \
    P(flag, fill_denied,      0, 0,       1, ANY, "",       "Caches a page that does not allow the access", \
      "VT-d 6.2.4: faulting requests are not cached")                                               \
    P(flag, fill_after_flush, 0, 0,       1, ANY, "",       "A walk under way fills after an invalidation", \
      "a fault of some implementations")                                                            \
    P(flag, fill_yields,      0, 0,       1, ANY, "",       "No fill in the cycle of an invalidation, whatever that is of", \
      "usual design: an invalidation drops what was filled in its cycle")

#define INVQ_PARAMS(P)                                                                              \
    P(u32,  start_cycles,     4, 1,     500, ANY, "cycles", "From the tail write to the fetch",     \
      "not published")                                                                              \
    P(u32,  fetch_commands,   4, 1,       4, POW2, "commands", "Commands fetched with one read",    \
      "one 64-byte line")                                                                           \
    P(u32,  execute_cycles,  16, 1,    1000, ANY, "cycles", "To carry one command out",             \
      "not published")                                                                              \
    P(u32,  next_cycles,      1, 1,     500, ANY, "cycles", "From the last command's effect to the next fetch", \
      "one pipeline step")                                                                          \
    P(u32,  write_cycles,     0, 0,     500, ANY, "cycles", "From a wait's turn to its status write on the way to memory", \
      "not published")                                                                              \
    P(u32,  device_timeout_us, 60000000, 1, 4000000000, ANY, "us", "Until a device's answer to an invalidation is overdue", \
      "PCI Express 10.3.5: 1 minute")                                                               \
    P(flag, early_head,       0, 0,       1, ANY, "",       "The head moves on a command's arrival, before its effect", \
      "a fault of some implementations")                                                            \
    P(flag, write_waits,      0, 0,       1, ANY, "",       "The queue waits until a status write is acknowledged", \
      "posted writes need no answer")

#define FAULTQ_PARAMS(P)                                                                            \
    P(u32,  depth,            4, 1,      64, ANY, "records", "Fault records that may wait to be written", \
      "not published")                                                                              \
    P(u32,  issue_cycles,     2, 1,    1000, ANY, "cycles", "From a fault to its record on the way to memory", \
      "not published")                                                                              \
    P(u32,  complete_cycles,  1, 1,    1000, ANY, "cycles", "From the record's arrival to the new tail", \
      "one pipeline step")                                                                          \
    P(flag, drops,            0, 0,       1, ANY, "",       "Records that come while one is being written are lost", \
      "a fault of some implementations")

#define IOMMU_STATS(S)                                                                              \
    S(translation,          translation, "requests", "Translations answered")                       \
    S(translation_hit,      translation, "requests", "The IOTLB had it")                            \
    S(translation_walked,   translation, "requests", "It walked the tables itself")                 \
    S(translation_joined,   translation, "requests", "It waited for another request's walk")        \
    S(translation_bypassed, translation, "requests", "No translation applies")                      \
    S(translation_faulted,  translation, "requests", "It was refused")                              \
    S(walk,                 walk,        "walks",    "Page walks begun")                            \
    S(walk_filled,          walk,        "walks",    "Walks whose result was cached")               \
    S(walk_unfilled,        walk,        "walks",    "Walks overtaken by an invalidation or refused") \
    S(command,              command,     "commands", "Commands carried out")                        \
    S(command_iotlb,        command,     "commands", "IOTLB invalidations")                         \
    S(command_context,      command,     "commands", "Context-cache invalidations")                 \
    S(command_wait,         command,     "commands", "Waits and fences")                            \
    S(command_device,       command,     "commands", "Invalidations of device TLBs")                \
    S(command_other,        command,     "commands", "Others and illegal ones")                     \
    S(queued_cycles,        queued_cycles, "command cycles", "Commands in the queue, from the tail's move to their end, summed") \
    S(drain_cycles,         drain_cycles, "cycles",  "Waits spent on earlier DMA")                  \
    S(device_wait_cycles,   device_wait_cycles, "cycles", "Waits spent on devices' answers")        \
    S(device_full_cycles,   device_full_cycles, "cycles", "Commands spent on a device that has no room") \
    S(device_answer_cycles, device_answer_cycles, "cycles", "From sending devices invalidations to their answers, summed") \
    S(device_late,          device_late, "commands", "Invalidations that a device did not answer in time") \
    S(fault_recorded,       fault_recorded, "faults", "Faults that software can read")              \
    S(fault_lost,           fault_lost,  "faults",   "Faults that found no room")
/* clang-format on */

struct iommu_config {
    IOMMU_PARAMS(PARAM_FIELD)
};
struct walker_config {
    WALKER_PARAMS(PARAM_FIELD)
};
struct invq_config {
    INVQ_PARAMS(PARAM_FIELD)
};
struct faultq_config {
    FAULTQ_PARAMS(PARAM_FIELD)
};
struct iommu_stats {
    IOMMU_STATS(STAT_FIELD)
};
extern const struct param_table iommu_param_table, walker_param_table, invq_param_table,
    faultq_param_table;
extern const struct stat_table iommu_stat_table;
const char *iommu_arch_member(unsigned index);

/* Everything that an IOMMU is configured with. arch points to the architecture's own struct
 * of parameters. */
struct iommu_settings {
    struct iommu_config iommu;
    struct context_config context;
    struct iotlb_config iotlb;
    struct walkcache_config walkcache;
    struct walker_config walker;
    struct memport_config memport;
    struct invq_config invq;
    struct faultq_config faultq;
    const void *arch;
    uint64_t write_ps; /* From issuing a status write until memory holds it. */
    const struct memport_remote *remote; /* Memory that is elsewhere: then memory of
                                            iommu_init is NULL, and write_ps without use. */
};

/* A request between its submission and its first look-up. */
struct iommu_queued {
    struct iommu_request request;
    cycle_t arrived, accepted;
    uint8_t client;
};
#define RING_NAME request_ring
#define RING_ITEM struct iommu_queued
#include "sim/base/ring.h"

#define RING_NAME response_ring
#define RING_ITEM struct iommu_response
#include "sim/base/ring.h"

enum { IOMMU_CLIENTS_MAX = 20 };

/* Answers to first look-ups, and to all others: each ring is in order of time. */
struct iommu_client {
    struct response_ring prompt, late;
    sim_time_t *due;
    bool retires, blocked; /* Says when a DMA is over; was refused and waits for room. */
    bool (*invalidate)(void *self, const struct port_invalidation *i, sim_time_t now);
    void *invalidate_self;
    bool refereed; /* Tells the referee when a stale answer is of no use any more. */
};

/* A list of translations, first in first out. */
struct xlate_list {
    uint16_t first, last;
};

enum { WALK_FILTER = 256 };

enum walk_phase { WALK_FREE, WALK_WAITING, WALK_STAGE1, WALK_STAGE2, WALK_MSI };

/* One walk of a page, and everyone who waits for it. */
struct walk {
    uint8_t phase, walker;
    bool flushed, tables_flushed; /* An invalidation of its space has overtaken it. */
    bool for_table; /* Stage 2 translates a first-stage table's address, not the page's. */
    sim_time_t stale_since;
    uint16_t owner; /* The translation that began it. */
    uint16_t next;  /* In the free list or the waiting list. */
    struct xlate_list joined;
    uint64_t page; /* iova at the smallest granule: what a joiner must share. */
    space_t space;
    /* The table that the next read is in, and what the entries above it allow. */
    uint64_t table;
    uint8_t level, above;
    /* The same of the first stage, while the second is walked for it. */
    uint64_t table1; /* Guest-physical. */
    uint8_t level1, above1;
    uint64_t guest; /* What stage 2 translates. */
    struct pt_item leaf1;
    struct pt_item
        table_leaf; /* Of stage 2, through which the first-stage table is reached. */
    uint64_t table_leaf_pa;           /* Where its entry lies. */
    uint64_t entry_pa;                /* Where the entry that was read last lies. */
    struct pt_item updated;           /* A leaf whose bits are being written back, */
    bool is_update;                   /* if this is set. */
    cycle_t read_cycles;              /* That the read which has just arrived took. */
    cycle_t refill_cycles;            /* Of reads of pointers that had been dropped. */
    uint64_t flush_first, flush_last; /* Covers what was invalidated, when flushed. */
};

struct context_walk {
    bool active, process; /* Reading the device's or the process's context. */
    bool filling;         /* The last beat is there; the cache is being written. */
    bool flushed;         /* An invalidation has overtaken it, last in flushed_at. */
    bool has_read;        /* Its last read is the memory port's last for a context. */
    cycle_t flushed_at;
    uint32_t requester, pasid;
    bool guest;  /* pa is guest-physical: result.stage2 translates it first. */
    bool nested; /* That is under way: at this level, in this table. */
    uint8_t level;
    uint64_t table;
    unsigned step; /* The architecture's own. */
    uint64_t pa;   /* The next read. */
    uint32_t words;
    struct xlate_context result;
    uint16_t cause;
    uint32_t fault_word;       /* Which of the words that have arrived is to blame. */
    bool guest_fault;          /* Stage 2 did not translate pa. */
    struct xlate_list waiting; /* Everyone who waits for any context. */
};

enum invq_state {
    INVQ_IDLE,
    INVQ_FETCHING,
    INVQ_EXECUTING,
    INVQ_DRAINING,
    INVQ_WRITING,
    INVQ_DEVICES, /* A wait is for devices to answer, */
    INVQ_TAGS,    /* or a command for one of them to have room. */
};

/* An invalidation that a device has been sent, by its tag. */
struct invq_sent {
    bool in_use;
    uint16_t requester;
    uint8_t answers; /* That have come. */
    cycle_t sent, deadline;
};

enum { INVQ_COMMANDS_MAX = 4, INVQ_WRITES_MAX = 16 };

struct invq_write {
    cycle_t due;
    uint64_t pa, data;
    uint32_t bytes;
    bool interrupts; /* When it is there. */
};
#define RING_NAME write_ring
#define RING_ITEM struct invq_write
#include "sim/base/ring.h"

/* The queue of commands in memory, as the architecture's registers describe it. */
struct invq {
    bool enabled, halted; /* halted: an illegal command stands at the head. */
    uint64_t base;
    uint32_t entries, entry_bytes;
    uint32_t head, tail; /* Indices. */
    uint8_t state;
    uint32_t fetched, next; /* Commands in data, and the one being carried out. */
    uint32_t current;       /* The index of that one. */
    cycle_t ready_at;       /* No fetch before. */
    bool fence_armed;       /* The fence at hand has begun its drain. */
    uint64_t data[MEMPORT_WORDS_MAX];
    bool drain; /* A wait must see earlier DMA finished. */
    uint32_t drain_epoch;
    cycle_t drain_since;
    struct write_ring writes;
    bool timed_out; /* A device has not answered: nothing is fetched until it is cleared. */
    bool late; /* ... since the command at hand came to its turn; a wait is given up. */
    bool void_fetch; /* ... since the fetch that is under way began; it is made again. */
    bool orphan; /* What is at hand is of a queue that was switched off: no head moves. */
    struct invq_sent sent[ATS_ITAGS];
    uint32_t sent_count;
    /* Watched only: nothing is decided by it. */
    uint32_t queued;      /* Commands not yet carried out; */
    uint32_t queued_most; /* the most since whoever looks set it to now's. */
    cycle_t queued_since; /* Up to here they are in the statistics. */
};

/* Something is at hand, or being read. */
static inline bool invq_busy(const struct invq *q)
{
    return q->state != INVQ_IDLE;
}

enum command_kind {
    COMMAND_NOTHING,
    COMMAND_IOTLB,
    COMMAND_CONTEXT,
    COMMAND_WAIT,
    COMMAND_DEVICE,  /* A device is to forget translations. */
    COMMAND_ILLEGAL, /* Or impossible. The queue stops, and the architecture sets its error
                        bits. */
};

struct iommu;

/* Records of faults on their way into a queue in memory. */
enum { FAULTQ_WORDS = 4, FAULTQ_DEPTH_MAX = 64 };

struct faultq {
    bool enabled, overflow; /* overflow: records are lost until software clears it. */
    uint64_t base;
    uint32_t entries, head, tail;
    bool busy;              /* The oldest is being written. */
    bool orphan;            /* ... and belongs to a queue that was switched off. */
    bool head_is_ours;      /* ... and has not left the buffer yet. */
    cycle_t last;           /* The newest record's cycle. */
    cycle_t pop_at, pop_to; /* When records are dropped: one in each of these cycles. */
    uint32_t count, first;
    uint64_t record[FAULTQ_DEPTH_MAX][FAULTQ_WORDS];
    uint64_t writing[FAULTQ_WORDS];
    bool unwritten; /* With a remote memory: there is no room for writing. */
    /* It was written, or found no room (lost). */
    void (*written)(struct iommu *m, bool lost, cycle_t now);
};

/* One decoded command. */
struct iommu_command {
    enum command_kind kind;
    struct inv_selector selector; /* IOTLB and walk caches */
    bool drain;
    bool (*drop_context)(const void *arg, const struct context_entry *entry);
    uint64_t context_arg[2];
    bool process_only;               /* Leaves device contexts alone, */
    bool device_only;                /* or processes'. */
    struct port_invalidation device; /* Of a COMMAND_DEVICE; itag counts later. */
    uint8_t device_depth;            /* So many of one device are under way at most. */
    uint16_t error;                  /* Of an illegal one: the architecture's number. */
    bool drains_all; /* A wait for all DMA of translations looked up before it. */
    bool writes_status, interrupts;
    bool unwritable; /* An illegal one: memory has no such place for its status. */
    uint64_t status_pa, status;
    uint32_t status_bytes;
};

enum { IOMMU_EPOCHS = 64 };

struct iommu_fault {
    uint32_t requester, pasid;
    bool has_pasid, privileged;
    uint8_t access, type;
    bool no_rights; /* The page is not there or does not allow it: nothing is malformed. */
    uint16_t cause;
    uint64_t iova, guest;
    bool has_guest, implicit, implicit_write; /* guest counts; it is a table's address. */
};

/* For tests and recordings: told about what happens in the queues and at the memory port.
 * It must not change anything. Verbs of no interest are NULL; who has read_accepted has
 * command_fetched, too. */
struct iommu_watcher {
    void (*command_fetched)(void *self, uint32_t index, cycle_t accepted);
    void (*command_done)(void *self, uint32_t index, cycle_t cycle);
    void (*head_moved)(void *self, uint32_t head, cycle_t cycle);
    void (*fault_written)(void *self, uint32_t tail, cycle_t visible);
    void (*read_accepted)(void *self, unsigned place, uint64_t pa, uint32_t words,
                          cycle_t presented, cycle_t accepted);
    /* Of a status word or a fault record: its last word is on the way to memory, and memory
     * has acknowledged it. */
    void (*write_issued)(void *self, uint64_t pa, uint32_t words, cycle_t issued,
                         cycle_t acknowledged);
    /* Translations that the selector says are void from now on; NULL: all, since contexts
     * or registers have changed. */
    void (*invalidated)(void *self, const struct inv_selector *selector);
    /* A translation that its first look-up did not answer leaves; its trail, if trails are
     * kept, is complete. */
    void (*answered)(void *self, const struct xlate *x);
    /* All that happens in this cycle has happened. */
    void (*stepped)(void *self, sim_time_t now);
    void *self;
};

/*
 * For the audit, which follows what software has given back: it must not change anything
 * but the marks. A page is held while a walk has read its entry, or an answer for a client
 * that is refereed is on its way or in use.
 */
struct iommu_referee {
    void *self;
    /* Another walk or answer holds the page at iova, which was given back; false: it was
     * not, another page of the same entry was. */
    bool (*held)(void *self, space_t space, uint64_t iova);
    void (*let_go)(void *self, space_t space, uint64_t iova, sim_time_t now);
    /* When the page was given back, if it was and has not been handed out since;
     * TIME_NEVER: it is a device's to use. */
    sim_time_t (*given_back_at)(void *self, space_t space, uint64_t iova);
    /* A walk has read a pointer into a walk cache; true: an invalidation had dropped it
     * although it was of use. */
    bool (*pointer_filled)(void *self, const struct walkcache_entry *entry);
    /* A walk has filled this entry. Translations have waited so long for it, and its own
     * one so long of that for pointers that had been dropped. */
    void (*entry_filled)(void *self, const struct iotlb_entry *entry, uint64_t waited,
                         uint64_t pointers);
};

struct iommu_arch;

struct iommu {
    struct iommu_settings config;
    const struct iommu_arch *arch;
    void *front;        /* The architecture's registers. */
    uint64_t pa_last;   /* The last address that the IOMMU can read. */
    bool caches_absent; /* The architecture wants errors of tables cached, too. */
    struct memory *memory;
    sim_time_t *due;
    struct wheel wheel;

    struct request_ring queue, writes; /* writes: its own queue under read_priority. */
    struct request_ring *accepting; /* Its oldest is accepted, on its way to the look-up. */
    bool any_blocked;
    cycle_t last_accept;
    cycle_t lookup_at; /* Of the one that is accepting: not on the wheel, as it is so
                          frequent. */
    uint64_t accepted, released; /* Translations so far. */
    cycle_t *released_at;        /* A ring of the last times, in order. */
    uint64_t released_mask;
    sim_time_t asked_time, due_time; /* Of which iommu_cycle knows the cycles. */
    cycle_t asked_cycle, due_cycle;
    uint32_t client_count;
    struct iommu_client client[IOMMU_CLIENTS_MAX];

    struct xlate_trail *trail; /* One for each, or NULL. */
    struct xlate *xlate;
    struct xlate_held *held;         /* One for each. */
    struct xlate_list free, stalled; /* stalled: found no free walk slot */
    uint32_t late_count;             /* Slots that are not free. */

    struct context_stats context_stats;
    struct context_cache device_contexts, process_contexts;
    struct context_walk context_walk;
    uint32_t contexts_dropped; /* So often. */

    struct iotlb iotlb;
    struct walkcache walkcache;
    struct walk *walk;
    uint32_t walks_active;
    uint16_t walk_free, waiting_first,
        waiting_last;      /* Lists: free ones; in want of a walker. */
    uint64_t walkers_free; /* Bit i: walker i. */
    uint16_t walker_walk[MEMPORT_PLACES];
    uint16_t page_walks[WALK_FILTER]; /* Walks under way, by the hash of their page. */

    struct memport memport;
    struct invq invq;
    struct faultq faultq;
    /* DMAs of each epoch that are not over; every epoch before oldest is. */
    uint32_t epoch, oldest, epoch_open[IOMMU_EPOCHS];

    /* Messages the IOMMU sends by itself (fault events); NULL: nobody listens. */
    void (*interrupt)(void *self, uint64_t address, uint32_t data, sim_time_t now);
    /* An interrupt line has changed its level; NULL: there are no lines. */
    void (*wire)(void *self, unsigned vector, bool high, sim_time_t now);
    void *interrupt_self;
    const struct iommu_watcher *watcher; /* NULL: nobody watches. */
    const struct iommu_referee *referee; /* NULL: nobody follows stale translations. */
    bool counts_events;                  /* The architecture wants to hear of events. */
    struct iommu_stats stats;
};

/* A block of engine (NULL for tests: then *m->due belongs to the caller). */
void iommu_init(struct iommu *m, const struct iommu_settings *config, struct engine *engine,
                sim_time_t *due, struct memory *memory, struct mem_channel *channel,
                uint64_t seed);
void iommu_free(struct iommu *m);

/* Adds a client whose due slot is set when there is something to take or room to submit. It
 * leaves at most so many responses (a power of two) untaken; a client that takes them when
 * they are due needs IOMMU_RESPONSES(m). One that retires calls iommu_retire for every
 * response that is not a fault. */
#define IOMMU_RESPONSES(m) (UINT32_C(2) << lg2_ceil((m)->config.iommu.inflight))
unsigned iommu_attach(struct iommu *m, sim_time_t *due, uint32_t responses, bool retires);

/* Whether a request can be submitted; if not, the client is told when it can. */
bool iommu_ready(struct iommu *m, unsigned client);
/* The place for the next request, to be filled in completely before iommu_submit. */
struct iommu_request *iommu_request(struct iommu *m);
void iommu_submit(struct iommu *m, unsigned client, sim_time_t now);
/* The next answer due by now, valid until the next call of any verb; or NULL, and then
 * *next is when there will be one (TIME_NEVER: nobody knows yet). */
const struct iommu_response *iommu_take(struct iommu *m, unsigned client, sim_time_t now,
                                        sim_time_t *next);

/* The client has devices with TLBs: invalidate takes a message to one of them, or returns
 * false when it has none of that requester. */
void iommu_attach_device_tlb(struct iommu *m, unsigned client,
                             bool (*invalidate)(void *self,
                                                const struct port_invalidation *i,
                                                sim_time_t now),
                             void *self);
/* A device's Invalidate Completion has arrived, behind the writes that it follows: the tags
 * in itags are done when so many completions have come. */
void iommu_invalidated(struct iommu *m, uint16_t requester, uint32_t itags,
                       unsigned completions, sim_time_t now);

/* The DMA that used a translation of this epoch has reached memory. */
void iommu_retire(struct iommu *m, uint32_t epoch, sim_time_t now);

/* Does everything due now. */
void iommu_step(void *self, sim_time_t now);

/* From now on translations know where their cycles went, stretch by stretch. */
void iommu_keep_trails(struct iommu *m);

/* A remote memory has answered the read of this place (NULL: with an error), or has
 * carried out the oldest write of that kind. */
void iommu_arrived(struct iommu *m, unsigned place, const uint64_t *data, sim_time_t now);
void iommu_written(struct iommu *m, enum memport_write kind, sim_time_t now);

/* What a request would be answered now, without any effect on caches, statistics, faults
 * or memory. A cached translation is used as it is; else the tables are walked from their
 * roots. In *response count outcome, pa, page_lg2, prot, space and cause. *marks: the walk
 * would have to set accessed or dirty bits. */
void iommu_probe(struct iommu *m, const struct iommu_request *request,
                 struct iommu_response *response, bool *marks);

/* For the audit: translations under way that could still answer with what the selector says
 * are marked stale, and so will be their answers and what they fill. */
void iommu_mark_stale(struct iommu *m, const struct inv_selector *selector, sim_time_t now);

extern const struct mmio_ops iommu_mmio_ops;

/* ---- For the parts and the architectures ----------------------------------------------
 */

/* The wheel's items in the order of a cycle, behind the first look-up of the oldest
 * request: translations by slot, walks, then the single ones. */
static inline uint32_t item_xlate(uint16_t index)
{
    return index;
}
static inline uint32_t item_walk(const struct iommu *m, unsigned walk)
{
    return m->config.iommu.inflight + walk;
}
enum iommu_item {
    ITEM_CONTEXT,
    ITEM_INVQ,
    ITEM_WRITE,
    ITEM_FAULTQ,
    ITEM_DEVICES,
    ITEM_ACCEPT,
    ITEM_MEMPORT,
    ITEMS
};
static inline uint32_t item_single(const struct iommu *m, enum iommu_item item)
{
    return m->config.iommu.inflight + m->config.walker.walks + (uint32_t)item;
}

/* Schedules a single item, or moves it there when it was due later. */
void iommu_schedule(struct iommu *m, enum iommu_item item, cycle_t due);

/* Presents a read and lets the arbiter know. */
void iommu_read(struct iommu *m, unsigned place, uint64_t pa, uint32_t words,
                cycle_t presented);
cycle_t iommu_cycle(struct iommu *m, sim_time_t now);

void xlate_list_push(struct iommu *m, struct xlate_list *list, uint16_t x);
uint16_t xlate_list_pop(struct iommu *m, struct xlate_list *list);

/* A translation of this epoch is no longer under way. */
void epoch_leave(struct iommu *m, uint32_t epoch, cycle_t now);
/* Accepts the oldest request in the queue if the time of its acceptance is known. */
bool xlate_accept(struct iommu *m, cycle_t now);
void xlate_first_lookup(struct iommu *m, cycle_t now);
void xlate_run(struct iommu *m, uint16_t x, cycle_t now);
/* Ends a translation's waiting: its answer (already in its response) leaves at due. */
void xlate_finish(struct iommu *m, uint16_t x, cycle_t due);
/* what: cause and guest addresses; the rest comes from the request. */
void xlate_fault(struct iommu *m, uint16_t x, const struct iommu_fault *what, cycle_t due);

/* The stage that does not allow the request to use the page, or 0. */
unsigned xlate_denying_stage(const struct iommu *m, const struct iommu_request *request,
                             const struct xlate_context *context,
                             const struct iotlb_entry *e);
/* The cause to report when it does not. */
uint16_t xlate_denied_cause(const struct iommu *m, const struct iommu_request *request,
                            unsigned stage, const struct iotlb_entry *e);
/* The answer when it does; one that asks for a translation is told what it may do. */
void xlate_answer(const struct iommu *m, const struct iommu_request *request,
                  const struct xlate_context *context, const struct iotlb_entry *e,
                  struct iommu_response *response);
/* The answer to one that asks for a translation, and there is none. */
void xlate_answer_nothing(struct iommu_response *response);
/* The answer for a client comes from what software has given back. */
static inline bool iommu_holds_stale(const struct iommu *m, unsigned client, space_t space,
                                     uint64_t iova)
{
    return m->referee == NULL || !m->client[client].refereed
           || m->referee->held(m->referee->self, space, iova);
}

void walker_init(struct iommu *m);
/* Joins or begins a walk for x, which missed; false when there is no slot for one. */
bool walker_begin(struct iommu *m, uint16_t x, cycle_t now);
/* Lets the oldest translation that found no slot look up again, if there is a slot now. */
void walker_offer_slot(struct iommu *m, cycle_t now);
void walker_data(struct iommu *m, unsigned walk, cycle_t now);
/* Walks under way that an invalidation selects will not fill what it covers. */
void walker_flush(struct iommu *m, const struct inv_selector *selector);
/* Whether the entry that maps a walk's page has been read: what software does to it from
 * now on, this walk does not see. */
bool walker_knows_leaf(const struct iommu *m, const struct walk *w);
/* Whether a walk under way will fill what software has given back, where the selector says:
 * marked stale, not overtaken by an invalidation, and its leaf has been read. */
bool walker_may_fill_stale(const struct iommu *m, const struct inv_selector *selector);
/* Whether a walk under way could still use the table at pa. */
bool walker_holds(const struct iommu *m, uint64_t pa);

void context_walk_begin(struct iommu *m, uint16_t x, cycle_t now);
/* Whether the context that it needs is in no cache, nor held (no effect on any). */
bool context_walk_missing(struct iommu *m, const struct xlate *x);
/* x no longer waits; what is being read is read to its end, and cached. */
void context_walk_leave(struct iommu *m, uint16_t x);
void context_walk_run(struct iommu *m, cycle_t now);
/* Contexts are invalidated: what is held or being read is void. */
void context_walk_flush(struct iommu *m);
/* Contexts were dropped: walks that go by one of them have it read again. */
void walker_refetch(struct iommu *m, cycle_t now);

/* Switches the queue off: what was fetched and not begun is forgotten. */
void invq_stop(struct iommu *m);
/* Switches a queue on that is off; its head is 0. */
void invq_start(struct iommu *m, uint64_t base, uint32_t entries, uint32_t entry_bytes);
/* The tail has moved, or the queue was switched on, or an error was cleared. */
void invq_kick(struct iommu *m, cycle_t now);
void invq_run(struct iommu *m, cycle_t now);
/* Brings the statistics of the queue's length up to now: where it changes, and before they
 * are read. */
void invq_measure(struct iommu *m, cycle_t now);
/* Whether translations are invalidated in this cycle, behind its walks. */
bool invq_invalidates(struct iommu *m, cycle_t now);
void invq_write_done(struct iommu *m, cycle_t now);
/* The deadline of a device's answer may have passed; an answer has come. */
void invq_devices_run(struct iommu *m, cycle_t now);
void invq_answered(struct iommu *m, uint16_t requester, uint32_t itags,
                   unsigned completions, cycle_t now);
/* A remote memory holds the oldest status word that it did not. */
void invq_written(struct iommu *m, cycle_t now);
/* Earlier DMA has finished: a drain may be over. */
void invq_retired(struct iommu *m, cycle_t now);

/* Switches the queue off: the record under way is written, those that wait are lost. */
void faultq_stop(struct iommu *m);
/* Switches a queue on that is off; its tail is 0. */
void faultq_start(struct iommu *m, uint64_t base, uint32_t entries);
/* Takes a record at the cycle of its fault. */
void faultq_push(struct iommu *m, const uint64_t record[FAULTQ_WORDS], cycle_t cycle);
void faultq_run(struct iommu *m, cycle_t now);
/* A remote memory holds the record that is being written. */
void faultq_written(struct iommu *m, cycle_t now);

void iommu_invalidate_translations(struct iommu *m, const struct inv_selector *selector);
/* Tells the watcher; selector as there. */
void iommu_tell_invalidated(struct iommu *m, const struct inv_selector *selector);
/* Earlier DMA, that of translations looked up so far, is over when this epoch has drained.
 */
uint32_t iommu_begin_drain(struct iommu *m);
bool iommu_drained(const struct iommu *m, uint32_t epoch);
/* Sets bits of a table's entry. */
void iommu_set_bits(struct iommu *m, uint64_t pa, uint64_t bits);

#endif
