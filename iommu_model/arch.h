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

enum arch_verdict { ARCH_GO, ARCH_BYPASS, ARCH_FAULT };
enum context_verdict { CONTEXT_MORE, CONTEXT_DONE, CONTEXT_FAULT };

/* Why a page walk or a permission check failed. */
enum arch_denial { DENIED_ABSENT, DENIED_MALFORMED, DENIED_PERMISSION };

struct iommu_arch {
    const char *name, *summary; /* The name equals the file's. */
    const struct param_table *params;
    uint32_t window_bytes; /* Of the registers. */
    uint32_t command_bytes;

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
    /* data has arrived: asks for more, or fills w->result, or sets w->cause. */
    enum context_verdict (*context_next)(struct iommu *m, struct context_walk *w,
                                         const uint64_t *data);

    /* Once the context is known, before the IOTLB is asked. */
    enum arch_verdict (*check)(struct iommu *m, const struct iommu_request *request,
                               const struct xlate_context *context,
                               struct iommu_response *response);

    /* The cause to report. stage is STAGE_1 or STAGE_2. */
    uint16_t (*cause)(const struct iommu_request *request, unsigned stage,
                      enum arch_denial denial);

    /* Whether what a stage allows of a page (PT_* bits) is enough for the request. */
    bool (*allows)(const struct iommu_request *request, unsigned stage, uint8_t prot);

    void (*record)(struct iommu *m, const struct iommu_fault *fault, cycle_t now);

    void (*decode)(struct iommu *m, const uint64_t *words, struct iommu_command *command);
    /* The queue's head has moved; wait commands also ask for their interrupt. */
    void (*completed)(struct iommu *m, const struct iommu_command *command, cycle_t now);
};

extern const struct iommu_arch *const arch_table[];

#endif
