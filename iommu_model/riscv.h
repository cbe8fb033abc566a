/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv - what the files of the RISC-V front-end share: arch_riscv.c (contexts, requests,
 * faults), riscv_registers.c (registers and interrupts), riscv_commands.c (the command
 * queue's language), riscv_counters.c (the performance monitor).
 */
#ifndef IOMMU_MODEL_RISCV_H
#define IOMMU_MODEL_RISCV_H

#include "iommu_model/arch.h"
#include "iommu_model/arch_riscv.h"
#include "iommu_model/riscv_spec.h"

enum { RISCV_COUNTERS = 31, RISCV_MSI_VECTORS = 16 };

struct riscv_counter {
    uint64_t event, count; /* iohpmevt, iohpmctr */
};

struct riscv {
    const struct riscv_config *config;
    uint64_t capabilities, ddtp, cqb, fqb, icvec;
    bool extended; /* Device contexts of 64 bytes. */
    uint32_t fctl, cqcsr, fqcsr, ipsr, iocountinh;
    struct {
        uint64_t address;
        uint32_t data, control;
    } msi[RISCV_MSI_VECTORS];
    uint32_t wires_high;       /* Bit i: vector i's interrupt line. */
    uint32_t messages_pending; /* Bit i: vector i is masked and has one to send. */
    /* The cycle counter is cycles_at when it last changed, at cycle cycles_since. */
    uint64_t cycles_at;
    bool cycles_overflowed;
    cycle_t cycles_since;
    struct riscv_counter counter[RISCV_COUNTERS];
};

/* In xlate_context.attributes, above the first doubleword of the device context. */
#define RISCV_FROM_PROCESS      (UINT64_C(1) << 32)
#define RISCV_ALLOWS_SUPERVISOR (UINT64_C(1) << 33) /* ENS */
#define RISCV_SUM               (UINT64_C(1) << 34)

static inline struct riscv *riscv_front(const struct iommu *m)
{
    return (struct riscv *)m->front;
}

/* A request without a process id is a user's, whatever it says. */
static inline bool riscv_supervisor(const struct iommu_request *q)
{
    return q->privileged && q->has_pasid;
}

/* Nor can it be told from a read that it fetches instructions. */
static inline uint8_t riscv_access(uint8_t access, bool has_process)
{
    return access & PT_EXECUTE && !has_process ? (uint8_t)((access & ~PT_EXECUTE) | PT_READ)
                                               : access;
}

void riscv_set_space(struct xlate_context *c, uint32_t pscid);
uint16_t riscv_cause(const struct iommu *m, const struct iommu_request *q, unsigned stage,
                     enum arch_denial denial, uint8_t prot);
bool riscv_redirects(const struct xlate_context *c, uint64_t guest, uint64_t *pa);

/* riscv_registers.c */
void riscv_write(struct iommu *m, uint32_t offset, uint64_t value, unsigned bytes,
                 sim_time_t now);
uint64_t riscv_read(struct iommu *m, uint32_t offset, unsigned bytes, sim_time_t now);
/* Makes an interrupt pending and, unless it was, sends it. */
void riscv_interrupt(struct iommu *m, enum riscv_interrupt which, cycle_t now);

/* riscv_commands.c */
void riscv_decode(struct iommu *m, const uint64_t *words, struct iommu_command *c);
void riscv_illegal(struct iommu *m, const struct iommu_command *c, cycle_t now);
void riscv_completed(struct iommu *m, const struct iommu_command *c, cycle_t now);

/* riscv_counters.c */
void riscv_event(struct iommu *m, enum arch_event event, const struct iommu_request *q,
                 const struct xlate_context *c);
uint64_t riscv_counter_read(struct iommu *m, uint32_t offset, cycle_t now);
void riscv_counter_write(struct iommu *m, uint32_t offset, uint64_t value, cycle_t now);

#endif
