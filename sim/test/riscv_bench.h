/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_bench - the RISC-V driver on a booted kernel, above registers that write down what
 * they are told.
 *
 * The registers settle late, keep only what they are said to have, and consume one command
 * after the other in a fixed time; whatever the driver sends is in their log. CPU 0 brings
 * everything up before the body runs on every CPU, and takes it down after it; then nothing
 * may be left, and every run asks that.
 */
#ifndef SIM_TEST_RISCV_BENCH_H
#define SIM_TEST_RISCV_BENCH_H

#include "dma_api/domain.h"
#include "iommu_model/riscv_spec.h"
#include "sim/base/barrier.h"

extern const struct backend backend_riscv;

enum { RV_LOG_MAX = 4096, RV_CPUS_MAX = 2, RV_REQUESTER = 5 << 3, RV_BUSY_READS = 3 };

#define RV_CAP_ALL                                                                         \
    (RISCV_CAP_VERSION(UINT64_C(0x10)) | RISCV_CAP_SV39 | RISCV_CAP_SV48 | RISCV_CAP_SV57)

struct rv_command {
    struct riscv_command command;
    sim_time_t done;
    bool valid; /* The context that it is about was, when the doorbell rang. */
};

/* Consumes one command after the other, each in command_ps. */
struct rv_registers {
    uint64_t capabilities;
    unsigned deepest;  /* ddtp modes up to this one are kept. */
    unsigned ring_lg2; /* The largest ring. */
    uint64_t command_ps;
    unsigned illegal_at; /* This command stops the queue for a while; 0: none. */
    bool dead, stuck;    /* Consumes nothing; never switches a queue on. */
    bool busy_for_ever;  /* ... or never says that it is done with that. */

    uint64_t ddtp, cqb, fqb;
    uint32_t cqcsr, fqcsr, cqt, fqh;
    unsigned ddtp_busy, cq_busy, fq_busy; /* Reads until it is not. */
    unsigned errors_cleared;
    struct rv_command log[RV_LOG_MAX];
    unsigned logged;
    struct memory *memory;
};

/* Capabilities, configuration, cpus and attached are to be changed before rv_run. */
struct riscv_bench {
    struct rv_registers fake;
    struct linux_config linux_config;
    unsigned cpus, attached;

    struct engine engine;
    struct memory memory;
    struct mmio_window window;
    struct cpu cpu[RV_CPUS_MAX], *cpu_list[RV_CPUS_MAX];
    struct cpu_config cpu_config;
    struct cost_config cost;
    struct barrier barrier;
    struct kernel kernel;
    struct device device[2];
    void *driver; /* NULL: it refused. */
    struct dma_domain *domain;
    struct error error;
    unsigned from; /* Commands before the body began. */
    struct kernel_stats before;
    void (*body)(void);
};
extern struct riscv_bench rv;

/* One CPU, one device attached to one domain, everything that an IOMMU can have. */
void rv_new(void);
void rv_release(const char *name);
void rv_run(void (*body)(void));
/* The body of a test whose driver is to refuse. */
void rv_refuses(void);

/* From here on commands and statistics count. */
void rv_begin(void);
unsigned rv_commands(void);
/* The nth of them; all zero when there are fewer. */
struct riscv_command rv_nth(unsigned n);

/* Where the specification says that a device's context is. */
uint64_t rv_context(const struct rv_registers *f, uint32_t device);

bool is_command(struct riscv_command x, struct riscv_command y);
bool is_fence(struct riscv_command c);
bool is_page(struct riscv_command c, uint32_t pscid, uint64_t iova);
bool is_whole(struct riscv_command c, uint32_t pscid);
bool is_everything(struct riscv_command c);
bool is_directory(struct riscv_command c, uint32_t device);

#endif
