/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_rig - hosts with an RDMA NIC each, a wire between them, no IOMMU, for tests of the
 * NIC and its driver.
 *
 * The test's program runs on the CPU of host 0; rdma_on makes another host's CPU do
 * something and waits for it. Virtual addresses of a host's one process are given frames in
 * an order that keeps no two neighbours together.
 */
#ifndef SIM_TEST_RDMA_RIG_H
#define SIM_TEST_RDMA_RIG_H

#include "iommu_model/rootport.h"
#include "sim/base/mmio.h"
#include "workloads/rdma_nic.h"
#include "workloads/verbs.h"

enum { RDMA_RIG_HOSTS = 3, RDMA_RIG_WCS = 4096 };

struct rdma_rig;
struct rdma_host {
    struct rdma_rig *rig;
    unsigned id;
    struct memory memory;
    struct mem_channel channel;
    struct rootport port;
    struct rdma_nic nic;
    struct mmio_window window;
    struct cpu cpu, *cpus[1];
    struct kernel kernel;
    struct device device;
    struct verbs_device verbs;
    struct umem_space space;
    struct verbs_cq *cq;
    struct verbs_wc wc[RDMA_RIG_WCS]; /* Completions, in order. */
    unsigned wcs, seen;
    void (*job)(struct rdma_host *h, void *arg);
    void *job_arg;
};

struct rdma_rig {
    /* To be changed before rdma_rig_run. */
    unsigned hosts;
    bool carries;
    enum blk_api api;
    struct rdma_config nic;
    struct rdma_wire_config wire_config;
    struct verbs_config verbs;
    struct umem_config umem;
    struct link_config link;

    struct linux_config linux_config;
    struct cost_config cost;
    struct cpu_config cpu_config;
    struct engine engine;
    struct rdma_wire wire;
    struct rdma_host host[RDMA_RIG_HOSTS];
    struct cpu *waiter;
    bool over;
    void (*program)(struct rdma_rig *r, void *state);
    void *state;
};

struct rdma_rig *rdma_rig_new(void);
void rdma_rig_free(struct rdma_rig *r);
/* Brings the hosts up, runs program on host 0, takes them down: nothing may be left. */
void rdma_rig_run(struct rdma_rig *r, void (*program)(struct rdma_rig *r, void *state),
                  void *state);

/* job(host, arg) on that host's CPU; returns when it has. */
void rdma_on(struct rdma_rig *r, unsigned host, void (*job)(struct rdma_host *h, void *arg),
             void *arg);

/* Waits for the next completion of a host, at most 100 ms; false: there was none. */
bool rdma_rig_next(struct rdma_rig *r, unsigned host, struct verbs_wc *wc);
void rdma_rig_sleep(struct rdma_rig *r, sim_time_t time);

/* A process's memory. */
uint64_t rdma_rig_frame(const struct rdma_host *h, uint64_t va);
void rdma_rig_put(struct rdma_host *h, uint64_t va, const void *data, size_t bytes);
void rdma_rig_get(struct rdma_host *h, uint64_t va, void *data, size_t bytes);

/* Two queue pairs, of hosts a and b, connected with each other. Each host's completions are
 * in its list. */
struct rdma_pair {
    struct verbs_qp *qp[2];
    unsigned host[2];
    uint32_t pd[2];
};
struct rdma_pair rdma_rig_connect(struct rdma_rig *r, unsigned a, unsigned b, uint8_t type);
void rdma_rig_disconnect(struct rdma_rig *r, struct rdma_pair *p);

/* The same calls as verbs_*, on the host's CPU. */
struct verbs_mr *rdma_rig_reg(struct rdma_rig *r, unsigned host, uint32_t pd, uint64_t va,
                              uint64_t bytes, uint32_t access);
void rdma_rig_dereg(struct rdma_rig *r, struct verbs_mr *mr);
int rdma_rig_post(struct rdma_rig *r, unsigned host, struct verbs_qp *qp,
                  const struct verbs_wr *wr);
int rdma_rig_receive(struct rdma_rig *r, unsigned host, struct verbs_rq *rq, uint64_t va,
                     uint32_t bytes, uint32_t key, uint64_t context);

#endif
