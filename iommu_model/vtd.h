/* SPDX-License-Identifier: Apache-2.0 */
/* vtd - what the files of the VT-d front-end share. */
#ifndef IOMMU_MODEL_VTD_H
#define IOMMU_MODEL_VTD_H

#include "iommu_model/arch.h"
#include "iommu_model/arch_vtd.h"
#include "iommu_model/vtd_spec.h"

enum vtd_event_kind { VTD_EVENT_FAULT, VTD_EVENT_WAIT, VTD_EVENTS };

struct vtd_event {
    uint32_t control, data, address, upper;
};

struct vtd {
    const struct vtd_config *config;
    uint64_t cap, ecap;
    uint32_t status;   /* GSTS as it will be when the handshake is over. */
    uint32_t changing; /* Bits of it that still show their old value. */
    sim_time_t changed_at;
    uint64_t root, root_loaded; /* RTADDR as written, and as latched by SRTP. */
    uint64_t iqa, iqercd;
    uint32_t fsts, ics;
    struct vtd_event event[VTD_EVENTS];
    uint32_t next_record;
    uint64_t record[64][2];
    sim_time_t now; /* Of the register access that is being served. */
};

static inline struct vtd *vtd_front(const struct iommu *m)
{
    return (struct vtd *)m->front;
}

/* Whether the tables in use are those of scalable mode. */
static inline bool vtd_scalable(const struct vtd *v)
{
    return vtd_rtaddr_mode(v->root_loaded) == VTD_TTM_SCALABLE;
}

/* What is being read of the tables. */
enum vtd_context_step {
    VTD_READ_ROOT,
    VTD_READ_CONTEXT,
    VTD_READ_DIRECTORY,
    VTD_READ_PASID,
};

/* Attributes of a context. The low bits are those of a scalable-mode context entry. */
#define VTD_HAS_DEVICE_TLB  (UINT64_C(1) << 60)
#define VTD_HAS_PASIDS      (UINT64_C(1) << 61)
#define VTD_RID_PRIVILEGED  (UINT64_C(1) << 62)
#define VTD_ALLOWS_PRIV     (UINT64_C(1) << 58)
#define VTD_PROTECTS_WRITES (UINT64_C(1) << 59) /* From requests with privilege, too. */

/* Second-stage leaves of these sizes exist. */
uint64_t vtd_leaf_sizes(const struct vtd_config *c);
enum context_verdict vtd_refuse(struct context_walk *w, enum vtd_fault cause);
enum arch_verdict vtd_refuse_request(struct iommu_response *r, enum vtd_fault cause);

/* Scalable mode. */
void vtd_process_first(struct context_walk *w);
enum context_verdict vtd_scalable_next(struct iommu *m, struct context_walk *w,
                                       const uint64_t *data);
enum process_verdict vtd_process(struct iommu *m, const struct iommu_request *q,
                                 const struct xlate_context *device,
                                 struct iommu_response *r, uint32_t *process);
enum arch_verdict vtd_scalable_check(const struct iommu_request *q,
                                     const struct xlate_context *context,
                                     struct iommu_response *r);
uint16_t vtd_scalable_cause(const struct iommu_request *request, unsigned stage,
                            enum arch_denial denial, uint8_t prot);
bool vtd_allows(const struct iommu_request *request, const struct xlate_context *context,
                unsigned stage, uint8_t prot);
uint64_t vtd_missing(const struct xlate_context *context, unsigned stage, uint8_t access,
                     uint8_t prot);
bool vtd_updates(const struct xlate_context *context, unsigned stage);
bool vtd_serves(const struct iommu *m, const struct iommu_request *q,
                const struct xlate_context *c, const struct iotlb_entry *e);

/* Descriptors. */
void vtd_decode(struct iommu *m, const uint64_t *words, struct iommu_command *c);

#endif
