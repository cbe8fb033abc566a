/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs - the driver of the RDMA NIC: protection domains, completion queues, queue pairs,
 * memory regions and windows, in the shape of rdma/ib_verbs.h and of drivers/infiniband.
 *
 * Rings, tables and doorbell records are coherent memory that is mapped for life. What maps
 * and unmaps is the registration of memory: pinned, on demand, or by work request.
 *
 * Page faults of the NIC are served in verbs_serve, which a program calls whenever it wakes
 * up (the kernel's work queue); completions are told in the interrupt.
 */
#ifndef WORKLOADS_VERBS_H
#define WORKLOADS_VERBS_H

#include "dma_api/kernel.h"
#include "sim/base/mmio.h"
#include "workloads/rdma_spec.h"
#include "workloads/rdma_umem.h"

/* clang-format off */
#define VERBS_PARAMS(P)                                                                             \
    P(u32, queue_entries,  128, 8, 32768, POW2, "entries", "Of each send and receive queue",        \
      "perftest: 128 for sends, 512 for receives")                                                  \
    P(u32, wqe_bytes,       64, 64,  512, POW2, "bytes",   "Of a send entry: 2 pieces of memory in 64, 30 in 512", \
      "mlx5: blocks of 64 bytes")                                                                   \
    P(u32, receive_bytes,   16, 16,  512, POW2, "bytes",   "Of a receive entry: one piece in 16",   \
      "mlx5: 16 bytes and more")                                                                    \
    P(u32, mtu,           4096, 256, 4096, POW2, "bytes",  "Payload of a packet",                   \
      "the largest path MTU")                                                                       \
    P(u32, reads,           16, 1,    16, ANY,  "requests", "Reads and atomics of a queue pair at once", \
      "max_rd_atomic of mlx5")                                                                      \
    P(u32, retries,          7, 0,     7, ANY,  "times",   "To send again when nothing is answered", \
      "perftest: 7")                                                                                \
    P(u32, rnr_retries,      7, 0,     7, ANY,  "times",   "To wait for a receiver; 7: forever",    \
      "perftest: 7")                                                                                \
    P(u32, keys_lg2,        12, 4,    24, ANY,  "lg2",    "Memory keys that the driver makes a table for; rdma.mpt_lg2 at most", \
      "as many regions as the traces here need; mlx5: 2^17 and more")                                               \
    P(u32, region_gib,      64, 1,   512, ANY,  "GiB",    "Largest memory region (max_mr_size)",    \
      "bounded by the host memory that a simulated one takes: about 70 B a page")                   \
    P(u32, post_cycles,     60, 0, 1000000, ANY, "cycles", "Posting one work request, beside its lines", \
      "fitted to nothing: about 150 instructions of a user-space provider")                         \
    P(u32, poll_cycles,     40, 0, 1000000, ANY, "cycles", "Taking one completion, beside its line", \
      "about 100 instructions")                                                                     \
    P(u32, event_cycles,   200, 0, 1000000, ANY, "cycles", "One event entry, to its handler",       \
      "about 500 instructions")                                                                     \
    P(u32, region_cycles, 1200, 0, 1000000, ANY, "cycles", "Making a region or taking it apart, beside its pages", \
      "key cache, objects and their locks: about 0.4 us; a system call's entry is in it")           \
    P(u32, mtt_cycles,       3, 0, 1000000, ANY, "cycles", "One translation entry, beside its line", \
      "about 8 instructions")

#define VERBS_STATS(S)                                                                              \
    S(posted,            posted,   "requests", "Send-side work requests posted")                    \
    S(posted_receive,    posted_receive, "requests", "Receive-side work requests posted")           \
    S(completed,         completed, "requests", "Work requests completed")                          \
    S(failed,            completed, "requests", "... with an error")                                \
    S(bytes,             bytes,    "bytes",   "Moved by requests that succeeded")                   \
    S(completion,        completion, "entries", "Completion entries taken")                         \
    S(event,             event,    "entries", "Event entries taken")                                \
    S(event_completion,  event,    "entries", "... of completion queues")                           \
    S(event_fault,       event,    "entries", "... of pages that are not there")                    \
    S(event_error,       event,    "entries", "... of queue pairs that failed")                     \
    S(event_overflow,    event,    "entries", "... of completion queues that overflowed")           \
    S(command,           command,  "commands", "Given to the NIC")                                  \
    S(region,            region,   "regions", "Registered")                                         \
    S(region_pinned,     region,   "regions", "... pinned and mapped at once")                      \
    S(region_demand,     region,   "regions", "... mapped page by page on demand")                  \
    S(region_fast,       region,   "regions", "... by work request")                                \
    S(released,          region,   "regions", "Deregistered or invalidated")                        \
    S(page,              page,   "pages", "4 KiB pages of pinned regions and those by work request") \
    S(translation,       translation, "entries", "Translation entries written")                     \
    S(demand_mapped,     demand_mapped, "pages", "Mapped on demand")                                \
    S(demand_dropped,    demand_mapped, "pages", "... and taken away again")                        \
    S(address_bytes,     address_bytes, "bytes", "Kept from map to unmap, beside what the NIC reads")
/* clang-format on */

struct verbs_config {
    VERBS_PARAMS(PARAM_FIELD)
};
struct verbs_stats {
    VERBS_STATS(STAT_FIELD)
};
extern const struct param_table verbs_param_table;
extern const struct stat_table verbs_stat_table;

enum { VERBS_VECTOR = 49 };

struct verbs_device;

/* Coherent memory that the NIC reaches, too. */
struct verbs_memory {
    void *cpu_addr;
    dma_addr_t dma;
    size_t bytes;
};

/* A completion as ib_wc has it. */
struct verbs_wc {
    uint64_t context; /* What the work request was posted with. */
    uint32_t qp, bytes, immediate, source_qp;
    uint8_t opcode, status; /* enum rdma_opcode, enum rdma_status */
    bool has_immediate, has_invalidated;
};

/* Called in the interrupt of its CPU for each completion; the queue is armed again by the
 * driver. NULL: the queue is polled. */
typedef void verbs_done_fn(void *self, const struct verbs_wc *wc);

struct verbs_cq {
    struct verbs_device *device;
    struct verbs_cq *next; /* In the device's list. */
    struct verbs_memory ring;
    uint32_t id, entries, taken, told; /* told: what the NIC knows of taken. */
    bool failed;                       /* It has overflowed. */
    unsigned cpu;
    verbs_done_fn *done;
    void *done_self;
};

/* A ring of work requests, and what each was posted with. */
struct verbs_ring {
    struct verbs_memory memory;
    uint32_t entries, lg2, posted, completed;
    uint64_t *context;
    uint32_t *bytes;
    struct lock lock;
};

struct verbs_rq {
    struct verbs_device *device;
    struct verbs_ring ring;
    struct verbs_memory record;
    uint32_t id;
};

struct verbs_qp {
    struct verbs_device *device;
    struct verbs_ring ring;
    struct verbs_cq *send_cq, *receive_cq;
    struct verbs_rq *rq;
    bool shared;
    uint32_t id, pd;
    uint8_t type;
};

/* A memory region or window. */
struct verbs_mr {
    struct verbs_device *device;
    struct verbs_mr *next; /* Of those on demand. */
    uint32_t key, pd, access;
    uint64_t address, bytes;
    struct rdma_umem umem;
    const struct umem_space *space;
    struct verbs_memory pages; /* Translation entries. */
    unsigned page_lg2;
    uint64_t most_pages; /* By work request: at most so many. */
    bool mapped, on_demand, fast, window;
    bool listed;      /* Fast: its pages are those of memory that somebody else mapped. */
    struct lock lock; /* On demand: over faults and invalidations. */
};

struct verbs_wr {
    uint8_t opcode, flags; /* enum rdma_opcode, RDMA_FLAG_* */
    uint64_t context;
    const struct rdma_sge *sge;
    uint32_t sges;
    const void *data; /* RDMA_FLAG_INLINE: so many bytes. */
    uint32_t bytes;
    uint32_t immediate; /* Or the key to invalidate. */
    uint64_t address;   /* At the peer; or of a window. */
    uint32_t key;       /* Likewise. */
    uint32_t qp;        /* Datagrams. */
    uint64_t swap_add, compare;
    const struct verbs_mr *region; /* REG_MR: verbs_map_fast has been called. BIND_MW: the
                                      window. */
    uint32_t parent, access;       /* BIND_MW: the region, and what is allowed, */
    uint64_t length;               /* on so many bytes from address on. */
};

struct verbs_event_queue {
    struct verbs_device *device;
    struct verbs_memory ring;
    uint32_t entries, taken;
    unsigned cpu;
};

/* For who draws a timeline. It must not change anything. */
struct verbs_watcher {
    /* The doorbell of a work request is on its way to the NIC: the one with this index of
     * all that were posted to the queue pair, whose ring has so many entries; */
    void (*posted)(void *self, uint32_t qp, uint32_t index, uint32_t entries, unsigned cpu,
                   sim_time_t now);
    /* a program has found the completion at this place of all that a queue ever had. */
    void (*found)(void *self, uint32_t cq, uint32_t place, unsigned cpu, sim_time_t now);
    void *self;
};

struct verbs_device {
    struct device *dev;
    struct kernel *kernel;
    struct mmio_window *registers;
    struct verbs_config config;
    struct umem_config umem;
    enum blk_api api;
    unsigned nic;
    struct lock command_lock, key_lock;
    struct verbs_memory table, mailbox;
    uint32_t keys, cqs, qps; /* Limits. */
    uint32_t *free_key, free_keys;
    bool *cq_taken, *rq_taken, *qp_taken;
    struct verbs_cq **cq; /* By id. */
    struct verbs_qp **qp;
    struct verbs_event_queue eq[ENGINE_CPUS_MAX];
    unsigned eqs;
    uint32_t pds;
    struct verbs_mr *on_demand;
    /* Told in the interrupt of each asynchronous error, as a handler of ib_event is: an
     * enum rdma_event and the number of the queue or queue pair. NULL: nobody listens. */
    void (*on_error)(void *self, uint32_t event, uint32_t number);
    void *on_error_self;
    struct {
        uint32_t key;
        uint64_t address, bytes;
    } fault[RDMA_FAULTS_MAX]; /* To be served: the NIC keeps to the bound. */
    uint32_t fault_head, fault_tail;
    struct verbs_stats stats;
    const struct verbs_watcher *watcher; /* NULL: nobody watches. */
};

/* Brings the NIC up; on CPU 0. False with one line. */
bool verbs_probe(struct verbs_device *d, struct device *dev, struct mmio_window *registers,
                 const struct verbs_config *config, const struct umem_config *umem,
                 enum blk_api api, unsigned nic, struct error *error);
/* All that was made of it has been destroyed. On CPU 0. */
void verbs_remove(struct verbs_device *d);

/* A command; 0 or enum rdma_command_error. Waits for the NIC, interrupts off. */
uint32_t verbs_command(struct verbs_device *d, const uint64_t *word, unsigned words);

uint32_t verbs_alloc_pd(struct verbs_device *d);

/* A power of two of entries. The NIC is told of what was taken at least every eighth of
 * them: 7/8 may be outstanding at any time. With more than all of them the queue fails
 * (RDMA_EVENT_CQ_ERROR), and the queue pairs with it. NULL: there are no more of them.
 * Completions of the queue interrupt that CPU. */
struct verbs_cq *verbs_create_cq(struct verbs_device *d, uint32_t entries, unsigned cpu,
                                 verbs_done_fn *done, void *self);
void verbs_destroy_cq(struct verbs_cq *cq);
/* The next completion of a queue that is polled. */
bool verbs_poll_cq(struct verbs_cq *cq, struct verbs_wc *wc);

struct verbs_rq *verbs_create_rq(struct verbs_device *d, uint32_t pd, uint32_t entries);
void verbs_destroy_rq(struct verbs_rq *rq);

/* rq NULL: one of its own. */
struct verbs_qp *verbs_create_qp(struct verbs_device *d, uint8_t type, uint32_t pd,
                                 struct verbs_cq *send_cq, struct verbs_cq *receive_cq,
                                 struct verbs_rq *rq);
/* From reset to ready to send. qkey: of datagrams. */
uint32_t verbs_connect_qp(struct verbs_qp *qp, unsigned remote_nic, uint32_t remote_qp,
                          uint32_t qkey);
void verbs_destroy_qp(struct verbs_qp *qp);

/* 0; -ENOMEM: the queue is full; -EINVAL: the entry has no room for it. */
int verbs_post_send(struct verbs_qp *qp, const struct verbs_wr *wr);
/* All of them, in order and with one doorbell, or none; count is 1 at least. */
int verbs_post_sends(struct verbs_qp *qp, const struct verbs_wr *wr, uint32_t count);
int verbs_post_receive(struct verbs_rq *rq, const struct rdma_sge *sge, uint32_t sges,
                       uint64_t context);

/* A user's region, pinned or (access RDMA_ON_DEMAND) on demand. NULL and *error when it
 * cannot be: -EINVAL: nothing, larger than verbs.region_gib, or around the end of all
 * addresses; -ENOSPC: no key is free (verbs_keys); -ENOMEM, -EIO: it could not be mapped.
 * space outlives it. */
struct verbs_mr *verbs_reg_mr(struct verbs_device *d, uint32_t pd,
                              const struct umem_space *space, uint64_t address,
                              uint64_t bytes, uint32_t access, int *error);
/* Nothing uses it any more. */
void verbs_dereg_mr(struct verbs_mr *mr);

/* How many keys there are: verbs.keys_lg2 and rdma.mpt_lg2 bound them. */
static inline uint32_t verbs_keys(const struct verbs_device *d)
{
    return d->keys - 2; /* The first two are nobody's. */
}
static inline uint64_t verbs_region_bytes_max(const struct verbs_device *d)
{
    return (uint64_t)d->config.region_gib << 30;
}

/* For registration by work request: map_fast maps memory and lists its pages under a new
 * key; then RDMA_REG_MR is posted. After RDMA_LOCAL_INV has completed, unmap_fast. 0 or
 * -ENOMEM, -EIO. alloc_mr: as reg_mr, of so many pages of 4 KiB. */
struct verbs_mr *verbs_alloc_mr(struct verbs_device *d, uint32_t pd, uint64_t most_pages,
                                int *error);
int verbs_map_fast(struct verbs_mr *mr, const struct umem_space *space, uint64_t address,
                   uint64_t bytes, uint32_t access);
void verbs_unmap_fast(struct verbs_mr *mr);

/* The same for memory that the caller has mapped, as ib_map_mr_sg: the region begins at the
 * first range's address. -EINVAL: a range begins or ends within a page that it should not,
 * or they have more pages than the region. */
int verbs_list_fast(struct verbs_mr *mr, const struct blk_range *range, uint32_t ranges,
                    uint32_t access);
void verbs_unlist_fast(struct verbs_mr *mr);

/* A window, to be bound by RDMA_BIND_MW. NULL: no key is free. */
struct verbs_mr *verbs_alloc_mw(struct verbs_device *d, uint32_t pd);

/* The memory-management side takes pages of an address space away: all regions on demand
 * that hold any of it let them go. On return the NIC reaches none of them. */
void verbs_invalidate_pages(struct verbs_device *d, const struct umem_space *space,
                            uint64_t address, uint64_t bytes);

/* Serves page faults that have been reported; true: there were some. */
bool verbs_serve(struct verbs_device *d);

#endif
