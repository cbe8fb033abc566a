/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account - who owns a CPU cycle.
 *
 * Every cycle of every CPU has exactly one owner and one phase. The owners say what the
 * work was, the phases whether the cycle was part of a map call, of an unmap call, or of
 * anything else; both sum to the CPU's time, which cpu_check asks at the end of every run.
 */
#ifndef SIM_BASE_ACCOUNT_H
#define SIM_BASE_ACCOUNT_H

/* clang-format off */
#define CPU_OWNERS(O)                                                                     \
    O(driver,       "Block layer and device driver beside the DMA API")                   \
    O(dma_api,      "Entry, checks and bookkeeping of the DMA API itself")                \
    O(iova_alloc,   "Finding an I/O virtual address")                                     \
    O(pt_map,       "Writing page-table entries")                                         \
    O(map_sync,     "Invalidations that a map must wait for")                             \
    O(pt_unmap,     "Clearing page-table entries")                                        \
    O(inval_submit, "Writing descriptors and the tail register")                          \
    O(inval_lock,   "Waiting while another CPU holds the invalidation queue, or the domain over a flush") \
    O(inval_slot,   "Waiting for room in the invalidation queue")                         \
    O(inval_wait,   "Polling for an invalidation's completion")                           \
    O(iova_free,    "Giving an I/O virtual address back")                                 \
    O(flush_queue,  "Queueing deferred ranges and draining the queue")                    \
    O(bounce_copy,  "Copying through bounce buffers")                                     \
    O(lock_wait,    "Waiting for any other lock that another CPU holds")                          \
    O(io_poll,      "Polling a completion queue that has no interrupt")                           \
    O(irq,          "Interrupt entry and exit")                                           \
    O(setup,        "Probing and tearing down the machine")                               \
    O(idle,         "Nothing to do")

#define CPU_PHASES(O)                                                                     \
    O(other,        "Outside of map and unmap calls")                                     \
    O(map,          "Inside a call that maps")                                            \
    O(unmap,        "Inside a call that unmaps")                                          \
    O(deferred,     "In a flush-queue timer or a trim that an earlier unmap caused")
/* clang-format on */

#define ACCOUNT_OWNER(name, text) OWNER_##name,
#define ACCOUNT_PHASE(name, text) PHASE_##name,
enum cpu_owner { CPU_OWNERS(ACCOUNT_OWNER) OWNERS };
enum cpu_phase { CPU_PHASES(ACCOUNT_PHASE) PHASES };

#ifdef __cplusplus
extern "C" {
#endif

extern const char *const cpu_owner_name[OWNERS], *const cpu_owner_text[OWNERS];
extern const char *const cpu_phase_name[PHASES], *const cpu_phase_text[PHASES];

#ifdef __cplusplus
}
#endif

#endif
