/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel - what surrounds the DMA API: release, prices, pages, warnings.
 *
 * One struct kernel is one booted system. It owns nothing of the hardware; it knows the
 * CPUs that run it, the memory it may hand out, and the driver of its IOMMU.
 */
#ifndef DMA_API_KERNEL_H
#define DMA_API_KERNEL_H

#include "dma_api/dma-mapping.h"
#include "sim/base/cpu.h"
#include "sim/base/hostheap.h"
#include "sim/base/lock.h"
#include "sim/base/observer.h"
#include "sim/base/param.h"
#include "sim/base/stat.h"

/* clang-format off */
#define LINUX_PARAMS(P)                                                                             \
    P(name, release,  7.3, linux_release_member, 0, ANY, "release", "The kernel whose behaviour is followed", \
      "recordings of 6.12, 6.18 and 7.3")                                                           \
    P(flag, forcedac,   0, 0, 1, ANY, "", "No 32-bit addresses first (iommu.forcedac)",             \
      "drivers/iommu/dma-iommu.c")                                                                  \
    P(u64,  msi_first, 0xfee00000, 0, 0xfffffffff, ANY, "address", "Reserved for interrupts, first", \
      "VT-d: the interrupt range is never handed out")                                              \
    P(u64,  msi_last,  0xfeefffff, 0, 0xfffffffff, ANY, "address", "Reserved for interrupts, last", \
      "as msi_first")                                                                               \
    P(flag, svnapot,    1, 0, 1, ANY, "", "7.3 maps 64 KiB leaves on RISC-V; 0: its IOMMU has none", \
      "drivers/iommu/riscv takes them for granted; no capability tells")                            \
    P(flag, untrusted,  0, 0, 1, ANY, "", "The device is behind an external port: strict, and bounced where not aligned", \
      "pci_dev.untrusted (ExternalFacingPort, e.g. Thunderbolt)")                                   \
    P(u32,  bus_limit_mib, 0, 0, 4194304, ANY, "MiB", "The device reaches addresses below this only; 0: all of its mask", \
      "bus_dma_limit (dma-ranges of a host bridge)")                                                \
    P(flag, dma_debug,  0, 0, 1, ANY, "", "Check what drivers ask of the DMA API; costs no simulated time", \
      "CONFIG_DMA_API_DEBUG, kernel/dma/debug.c; the IOVA API by core-api/dma-api, part Ie")        \
    P(flag, kdump,      0, 0, 1, ANY, "", "A crash kernel: a device joins its domain at its first mapping", \
      "is_kdump_kernel, iommu_deferred_attach (drivers/iommu/iommu.c)")                             \
    P(u32,  inval_attempts, 1000, 1, 4000000000, ANY, "times", "Until the kernel gives up an invalidation that a slow device TLB has aborted each time", \
      "qi_submit_sync goes on for ever, interrupts off; the lockup detector ends it")               \
    P(u32,  swiotlb_mib, 64, 0, 4096, ANY, "MiB", "Memory for bounce buffers; 0: there is none",    \
      "swiotlb= and its default, kernel/dma/swiotlb.c")

/*
 * Beside the lines it touches (cpu.*), each piece of work has straight-line instructions.
 */
#define COST_PARAMS(P)                                                                              \
    P(u32, call_cycles,       15, 0, 100000, ANY, "cycles", "Entry of one DMA API call: dispatch, checks, attributes", \
      "about 40 instructions")                                                                      \
    P(u32, segment_cycles,    12, 0, 100000, ANY, "cycles", "One element of a scatter list, per pass",  \
      "about 30 instructions")                                                                      \
    P(u32, magazine_cycles,   12, 0, 100000, ANY, "cycles", "Push or pop of a per-CPU magazine",    \
      "about 30 instructions; what a call takes in all is predicted (docs/calibration.md)")          \
    P(u32, tree_step_cycles,   4, 0, 100000, ANY, "cycles", "One step in the tree of addresses",    \
      "compare and branch, one in two mispredicted")                                                \
    P(u32, tree_insert_cycles, 30, 0, 100000, ANY, "cycles", "Linking a node and rebalancing",      \
      "about two rotations in three inserts")                                                       \
    P(u32, slab_cycles,       40, 0, 100000, ANY, "cycles", "Getting or returning a slab object",   \
      "per-CPU free list")                                                                          \
    P(u32, page_cycles,      120, 0, 100000, ANY, "cycles", "Getting or returning a page",          \
      "per-CPU page list")                                                                          \
    P(u32, page_zero_cycles, 130, 0, 100000, ANY, "cycles", "Clearing a page",                      \
      "4 KiB at 32 bytes a cycle")                                                                  \
    P(u32, map_range_cycles, 193, 0, 100000, ANY, "cycles", "One call that maps a contiguous range", \
      "fitted: 55 ns for a 4 KiB map at 4.7 GHz (generic_pt series, i7-12700)")                     \
    P(u32, unmap_range_cycles, 270, 0, 100000, ANY, "cycles", "One call that unmaps a range",       \
      "fitted: 69 ns for a 4 KiB unmap at 4.7 GHz (same source)")                                   \
    P(u32, table_level_cycles, 10, 0, 100000, ANY, "cycles", "Descending one level",                \
      "index, present check, address: about 20 instructions")                                       \
    P(u32, map_entry_cycles,   6, 0, 100000, ANY, "cycles", "Making and writing one entry, beside its line", \
      "fitted: 391 ns for a map of 256 pages at 4.7 GHz (same source)")                             \
    P(u32, unmap_entry_cycles, 2, 0, 100000, ANY, "cycles", "Clearing one entry, beside its line",  \
      "fitted: 210 ns for an unmap of 256 pages at 4.7 GHz (same source)")                          \
    P(u32, flush_range_cycles, 40, 0, 100000, ANY, "cycles", "Choosing and building invalidations", \
      "about 100 instructions over the cache tags")                                                 \
    P(u32, queue_slot_cycles, 10, 0, 100000, ANY, "cycles", "Writing one descriptor into the queue", \
      "two 8-byte stores and bookkeeping")                                                          \
    P(u32, poll_cycles,       15, 0, 100000, ANY, "cycles", "One turn of the wait, beside its line, lock and pause", \
      "fault check of qi_submit_sync")                                                              \
    P(u32, flush_queue_cycles, 25, 0, 100000, ANY, "cycles", "Putting a range into a flush queue, or taking it out", \
      "about 60 instructions")                                                                      \
    P(u32, bounce_slot_cycles, 40, 0, 100000, ANY, "cycles", "Finding or returning a bounce buffer, beside its lock", \
      "about 100 instructions of swiotlb")                                                          \
    P(u32, bounce_line_cycles, 14, 0, 100000, ANY, "cycles", "Copying one 64-byte line",             \
      "1500 B in 0.11 us, 64 KiB in 4.65 us (True IOMMU Protection, ASPLOS 2016) at 3.1 GHz")        \
    P(u32, cache_line_cycles, 20, 0, 100000, ANY, "cycles", "Cleaning or invalidating one line for a device not coherent", \
      "as a locked operation: one maintenance instruction that leaves the core")                    \
    P(u32, vmap_page_cycles,  20, 0, 100000, ANY, "cycles", "Mapping one page for the CPU, or unmapping it", \
      "one entry and its share of the walk: about 50 instructions")

#define KERNEL_STATS(S)                                                                             \
    S(map,              map,     "calls", "Mapping calls that succeeded")                           \
    S(map_single,       map,     "calls", "dma_map_phys and its shapes")                            \
    S(map_sg,           map,     "calls", "dma_map_sg and dma_map_sgtable")                         \
    S(map_iova,         map,     "calls", "dma_iova_try_alloc")                                     \
    S(map_failed,       map_failed, "calls", "Mapping calls that failed")                           \
    S(unmap,            unmap,   "calls", "Unmapping calls")                                        \
    S(unmap_single,     unmap,   "calls", "dma_unmap_phys and its shapes")                          \
    S(unmap_sg,         unmap,   "calls", "dma_unmap_sg and dma_unmap_sgtable")                     \
    S(unmap_iova,       unmap,   "calls", "dma_iova_destroy and dma_iova_free")                     \
    S(link,             link,    "calls", "dma_iova_link")                                          \
    S(unlink,           unlink,  "calls", "dma_iova_unlink")                                        \
    S(range_mapped,     range_mapped, "ranges", "Contiguous ranges written into page tables")       \
    S(page_mapped,      page_mapped, "pages", "Granules mapped")                                    \
    S(page_unmapped,    page_unmapped, "pages", "Granules unmapped")                                \
    S(table_allocated,  table_allocated, "pages", "Page-table pages taken")                         \
    S(table_freed,      table_allocated, "pages", "Page-table pages given back")                    \
    S(submission,       submission, "submissions", "Submissions to the invalidation queue")         \
    S(descriptor,       descriptor, "descriptors", "Invalidation descriptors, waits not counted")   \
    S(descriptor_page,  descriptor, "descriptors", "Page-selective IOTLB invalidations")            \
    S(descriptor_domain, descriptor, "descriptors", "Domain-selective IOTLB invalidations")         \
    S(descriptor_global, descriptor, "descriptors", "Global IOTLB invalidations")                   \
    S(descriptor_device, descriptor, "descriptors", "Device TLB invalidations")                     \
    S(descriptor_context, descriptor, "descriptors", "Context-cache invalidations")                 \
    S(extension,        extension, "commands", "Operations and commands of the extension block")     \
    S(poll_turn,        poll_turn, "turns", "Turns of the wait for an invalidation")                \
    S(queue_full_turn,  queue_full_turn, "turns", "Turns of the wait for room in the queue")        \
    S(deferred,         deferred, "ranges", "Ranges put into a flush queue")                        \
    S(flush_full,       flush_full, "flushes", "Flushes because a flush queue was full")            \
    S(flush_timer,      flush_timer, "flushes", "Flushes by the flush-queue timer")                 \
    S(bounce,           bounce,  "buffers", "Bounce buffers taken")                                 \
    S(bounce_full,      bounce_full, "buffers", "Bounce buffers that were not to be had")           \
    S(bounce_byte,      bounce_byte, "bytes", "Copied into and out of bounce buffers")              \
    S(sync,             sync,    "calls", "dma_sync_* calls that had work to do")                   \
    S(warning,          warning, "warnings", "Warnings in the kernel log: one-time ones once")      \
    S(warning_repeated, warning_repeated, "warnings", "One-time warnings that had been given before") \
    S(finding,          finding, "findings", "What linux.dma_debug has found wrong")
/* clang-format on */

#ifdef __cplusplus
extern "C" {
#endif

struct linux_config {
    LINUX_PARAMS(PARAM_FIELD)
};
struct cost_config {
    COST_PARAMS(PARAM_FIELD)
};
struct kernel_stats {
    KERNEL_STATS(STAT_FIELD)
};
extern const struct param_table linux_param_table, cost_param_table;
extern const struct stat_table kernel_stat_table;
const char *linux_release_member(unsigned index);

/* Releases in order of age: compare with <, not with names. */
enum linux_release { LINUX_6_12, LINUX_6_18, LINUX_7_3 };

/* ---- Pages
 * --------------------------------------------------------------------------------- */

enum { KERNEL_ORDERS = 20, KERNEL_WINDOWS_MAX = 16, KERNEL_WARNINGS_MAX = 64 };

/* Page frames that the kernel hands out for its own use, by power of two. The region lies
 * far above the addresses of recorded buffers. */
struct page_pool {
    uint64_t next, end;            /* What has never been handed out. */
    uint64_t *free[KERNEL_ORDERS]; /* Given back, last in first out. */
    uint32_t free_count[KERNEL_ORDERS], free_room[KERNEL_ORDERS];
    uint64_t out; /* Pages that are handed out. */
};

struct swiotlb;
struct vmap_area;
struct policy_config;
struct mmio_window;
struct dma_debug;
struct dma_watcher;
struct p2pdma_window;

struct kernel {
    struct linux_config config;
    enum linux_release release;
    struct cost_config cost;
    struct mmio_window *extension;      /* Hardware beside the IOMMU; NULL: none. */
    struct extension_driver *extension_driver; /* extension.c. */
    const struct policy_config *policy; /* Where flush policies are moved; NULL: not. */
    struct memory *memory;
    struct cpu *const *cpu;
    unsigned cpus;
    struct page_pool pages;
    struct hostheap heap;    /* What the software keeps beside simulated memory. */
    struct swiotlb *swiotlb; /* While a device is attached that may need it. */
    unsigned swiotlb_users;
    uint64_t bounce_slots_out; /* Slots that are in use. */
    struct vmap_area *vmap;
    uint64_t vmap_bytes; /* Of addresses that were given to areas. */
    struct {
        uint64_t first, last; /* Bytes. */
    } window[KERNEL_WINDOWS_MAX];
    unsigned windows;
    const struct p2pdma_window *peer; /* Memory of other PCI devices. */
    unsigned peers;
    bool panicked;      /* The machine has stopped in the middle of it all: */
    struct error panic; /* why. */
    struct observer observer;
    struct kernel_stats stats;
    const char *last_warning;                /* Text of the newest warning, for tests. */
    const char *warned[KERNEL_WARNINGS_MAX]; /* The one-time ones that were given. */
    unsigned warned_count;
    struct dma_debug *debug;           /* NULL: off. */
    const struct dma_watcher *watcher; /* Of the DMA API's calls; NULL: nobody looks on. */
    /* Is told each finding of it, one line; may be NULL. */
    void (*finding)(void *self, const char *text);
    void *finding_self;
    /* Tests plant a fault: so many unmaps from now, an address is used again before
     * anything is invalidated; 0: never. */
    uint64_t plant_reuse;
    /* Fault injection: asked before each allocation that can fail in Linux, with what it is
     * for; true makes it fail. NULL: none does. See kernel_no_memory. */
    bool (*fails)(void *self, const char *what);
    void *fails_self;
};

void kernel_init(struct kernel *k, const struct linux_config *config,
                 const struct cost_config *cost, struct memory *memory,
                 struct cpu *const *cpu, unsigned cpus);
/* The kernel of the CPU that is running. */
static inline struct kernel *kernel_this(void)
{
    return (struct kernel *)cpu_this()->software;
}
/* Takes all host memory back, also of software that was stopped in the middle. */
void kernel_free(struct kernel *k);

/* Domains made from now on never hand these addresses out: the windows of a PCI host
 * bridge, beside the interrupt messages. */
void kernel_reserve(struct kernel *k, uint64_t first, uint64_t last);

/* A device without IOMMU (direct mapping) until a domain is attached to it. */
void kernel_add_device(struct kernel *k, struct device *dev, const char *name,
                       uint16_t requester);

/* It has left its domain, or never had one, and maps nothing any more. */
void kernel_remove_device(struct device *dev);

/*
 * Whether an allocation is to fail, by kernel.fails: asked once, in the place of the call
 * to the page, slab, vmap, bounce-buffer or kmalloc allocator that could return nothing in
 * Linux. Nothing else in the software can run out of memory.
 */
static inline bool kernel_no_memory(struct kernel *k, const char *what)
{
    return k->fails != NULL && k->fails(k->fails_self, what);
}

/* Host memory for what the software knows of its objects; what they cost is told apart. */
#define kernel_host_alloc(k, count, bytes)                                                 \
    hostheap_take(&(k)->heap, (count), (bytes), __func__)
/* The same in the place of an allocation that can fail: NULL when it is to. */
#define kernel_host_try(k, count, bytes)                                                   \
    (kernel_no_memory((k), __func__) ? NULL : kernel_host_alloc(k, count, bytes))
static inline void kernel_host_free(struct kernel *k, void *memory)
{
    hostheap_give_back(&k->heap, memory);
}

/* 2^order contiguous page frames; 0 when there are none. They cost on the present owner. */
phys_addr_t kernel_pages_get(struct kernel *k, unsigned order);
phys_addr_t kernel_pages_get_zeroed(struct kernel *k, unsigned order);
void kernel_pages_put(struct kernel *k, phys_addr_t phys, unsigned order);

/* The end: what Linux does not survive. Stops the engine, never returns; the reason is in
 * kernel.panic. */
__attribute__((format(printf, 2, 3), noreturn)) void kernel_panic(struct kernel *k,
                                                                  const char *format, ...);

/* A warning that is given each time: what Linux says with WARN_ON. */
void kernel_warn(struct kernel *k, const char *text);
/* One that is given the first time only: WARN_ON_ONCE. Each place has a text of its own,
 * which is what tells it from the others. */
void kernel_warn_once(struct kernel *k, const char *text);

#ifdef __cplusplus
}
#endif

#endif
