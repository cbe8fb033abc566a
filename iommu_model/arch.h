/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arch - the family of IOMMU architectures: registers, tables and commands.
 *
 * iommu_model/arch_X.c defines `const struct iommu_arch arch_X`: everything that one
 * architecture's specification says about what software sees. Caches, walkers, queues and
 * their timing are the core's.
 */
#ifndef IOMMU_MODEL_ARCH_H
#define IOMMU_MODEL_ARCH_H

#include "iommu_model/iommu.h"

/* ARCH_REFUSED: a fault that is not recorded. */
enum arch_verdict { ARCH_GO, ARCH_BYPASS, ARCH_FAULT, ARCH_REFUSED };
enum context_verdict { CONTEXT_MORE, CONTEXT_DONE, CONTEXT_FAULT };

/* Why a page walk or a permission check failed. */
enum arch_denial {
    DENIED_ABSENT,
    DENIED_MALFORMED,
    DENIED_PERMISSION,
    DENIED_UNMARKED,
    DENIED_ACCESS,  /* Memory has no such address. */
    DENIED_BY_FILE, /* An interrupt file does not serve such accesses. */
};

/* PROCESS_NONE: the device's context says everything. */
enum process_verdict { PROCESS_NONE, PROCESS_NEEDED, PROCESS_FAULT };

enum arch_event {
    EVENT_REQUEST,
    EVENT_IOTLB_MISS,
    EVENT_DEVICE_WALK,
    EVENT_PROCESS_WALK,
    EVENT_STAGE1_WALK,
    EVENT_STAGE2_WALK,
};

struct iommu_arch {
    const char *name, *summary; /* The name equals the file's. */
    const struct param_table *params;
    uint32_t window_bytes; /* Of the registers. */
    uint32_t command_bytes;
    uint32_t requester_lg2, pasid_lg2; /* How wide they are. */

    /* The space that a driver knows by this number (sim/base/observer.h). */
    space_t (*space)(const struct iommu *m, uint32_t number);

    void (*init)(struct iommu *m); /* Allocates m->front and resets the registers. */
    void (*free)(struct iommu *m);
    void (*write)(struct iommu *m, uint32_t offset, uint64_t value, unsigned bytes,
                  sim_time_t now);
    uint64_t (*read)(struct iommu *m, uint32_t offset, unsigned bytes, sim_time_t now);

    /* Before any look-up: does this request need translation at all? Sets the response's
     * cause on ARCH_FAULT. */
    enum arch_verdict (*admit)(struct iommu *m, const struct iommu_request *request,
                               struct iommu_response *response);

    /* Begins the walk for w->requester (and pasid, if w->process): sets w->pa and words. */
    void (*context_first)(struct iommu *m, struct context_walk *w);
    /* data has arrived, or w->pa is beyond memory (NULL): asks for more, or fills
     * w->result, or sets w->cause. */
    enum context_verdict (*context_next)(struct iommu *m, struct context_walk *w,
                                         const uint64_t *data);

    /* Which process context the request needs beside this device context, if any. NULL: the
     * architecture has none. */
    enum process_verdict (*process)(struct iommu *m, const struct iommu_request *request,
                                    const struct xlate_context *device,
                                    struct iommu_response *response, uint32_t *process);

    /* Once the context is known, before the IOTLB is asked. */
    enum arch_verdict (*check)(struct iommu *m, const struct iommu_request *request,
                               const struct xlate_context *context,
                               struct iommu_response *response);

    /* The cause to report. stage is STAGE_1 or STAGE_2; 0: an interrupt file's table. prot:
     * what the page allows, of DENIED_PERMISSION. */
    uint16_t (*cause)(const struct iommu *m, const struct iommu_request *request,
                      unsigned stage, enum arch_denial denial, uint8_t prot);

    /* Whether what a stage allows of a page (PT_* bits) is enough for the request. */
    bool (*allows)(const struct iommu_request *request, const struct xlate_context *context,
                   unsigned stage, uint8_t prot);

    /* The bits that the access needs set in the leaf's entry and that are not; a walk sets
     * them if updates says so and fails otherwise. */
    uint64_t (*missing)(const struct xlate_context *context, unsigned stage, uint8_t access,
                        uint8_t prot);
    bool (*updates)(const struct xlate_context *context, unsigned stage);
    /* Whether a cached translation serves the request although bits are missing. */
    bool (*serves)(const struct iommu *m, const struct iommu_request *request,
                   const struct xlate_context *context, const struct iotlb_entry *e);

    /* Whether a guest-physical address is an interrupt file's, and where its entry of two
     * words lies. NULL: never. */
    bool (*redirects)(const struct xlate_context *context, uint64_t guest, uint64_t *pa);
    /* What that entry says; false with *cause. */
    bool (*redirected)(const uint64_t *words, struct pt_item *item, uint16_t *cause);

    /* Something that the architecture's counters may count, when m->counts_events. */
    void (*event)(struct iommu *m, enum arch_event event,
                  const struct iommu_request *request, const struct xlate_context *context);

    /* Whether a device that asks for a translation and meets this cause is answered with
     * Completer Abort (what the tables say is broken) instead of Unsupported Request (it is
     * not to ask). NULL: never. */
    bool (*aborts)(uint16_t cause);

    void (*record)(struct iommu *m, const struct iommu_fault *fault, cycle_t now);

    /* What a command says; no effect. */
    void (*decode)(struct iommu *m, const uint64_t *words, struct iommu_command *command);
    /* The queue stops at an illegal one. */
    void (*illegal)(struct iommu *m, const struct iommu_command *command, cycle_t now);
    /* A command is done, and its status is in memory if it has one; wait commands also ask
     * for their interrupt. */
    void (*completed)(struct iommu *m, const struct iommu_command *command, cycle_t now);

    /* A device has not answered an invalidation in time, or has answered one that it was
     * not sent. The queue stands still until the front-end clears invq.timed_out. NULL: the
     * architecture has no device TLBs. */
    void (*device_late)(struct iommu *m, uint16_t requester, cycle_t now);
    void (*device_wrong)(struct iommu *m, uint16_t requester, cycle_t now);
};

extern const struct iommu_arch *const arch_table[];
/* One that is there. */
const struct iommu_arch *iommu_arch_find(const char *name);

#endif
