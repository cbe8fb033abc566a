/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rdma_rig.h"

#include <stdlib.h>
#include <string.h>

#include "sim/host/direct.h"
#include "sim/test/shim.h"

#define FRAMES_FIRST (UINT64_C(1) << 44)

struct rdma_rig *rdma_rig_new(void)
{
    struct rdma_rig *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->hosts   = 2;
    r->carries = true;
    r->api     = BLK_sg;
    param_reset(&rdma_param_table, &r->nic);
    param_reset(&rdma_wire_param_table, &r->wire_config);
    param_reset(&verbs_param_table, &r->verbs);
    param_reset(&umem_param_table, &r->umem);
    param_reset(&link_param_table, &r->link);
    param_reset(&linux_param_table, &r->linux_config);
    param_reset(&cost_param_table, &r->cost);
    param_reset(&cpu_param_table, &r->cpu_config);
    r->nic.command_ns = 100;
    return r;
}

void rdma_rig_free(struct rdma_rig *r)
{
    free(r);
}

/* ---- A process's memory
 * ------------------------------------------------------------------ */

/* Neighbours are never neighbours: the number is turned around. */
uint64_t rdma_rig_frame(const struct rdma_host *h, uint64_t va)
{
    const uint64_t page = va >> PAGE_SHIFT & 0xffffff;
    (void)h;
    return FRAMES_FIRST + ((page * 0x9e3779 & 0xffffff) << PAGE_SHIFT) + (va & ~PAGE_MASK);
}

static phys_addr_t page_of(void *self, uint64_t va)
{
    return rdma_rig_frame(self, va & PAGE_MASK);
}

void rdma_rig_put(struct rdma_host *h, uint64_t va, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        memory_write(&h->memory, rdma_rig_frame(h, va + i), (const char *)data + i, 1);
}

void rdma_rig_get(struct rdma_host *h, uint64_t va, void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        memory_read(&h->memory, rdma_rig_frame(h, va + i), (char *)data + i, 1);
}

/* ---- CPUs
 * ----------------------------------------------------------------------------------- */

static void on_completion(void *self, const struct verbs_wc *wc)
{
    struct rdma_host *h = self;
    CHECK(h->wcs < RDMA_RIG_WCS);
    h->wc[h->wcs++] = *wc;
    if (h->rig->waiter != NULL)
        cpu_wake(h->rig->waiter, cpu_this()->time);
}

static void bring_up(struct rdma_host *h)
{
    struct rdma_rig *r = h->rig;
    struct error error = { "" };
    kernel_add_device(&h->kernel, &h->device, "rdma", (uint16_t)(0x30 + 8 * h->id));
    EXPECT(verbs_probe(&h->verbs, &h->device, &h->window, &r->verbs, &r->umem, r->api,
                       h->id, &error));
    EXPECT_TEXT(error.text, "");
    h->cq = verbs_create_cq(&h->verbs, 1024, 0, on_completion, h);
    EXPECT(h->cq != NULL);
}

static void take_down(struct rdma_host *h)
{
    verbs_destroy_cq(h->cq);
    verbs_remove(&h->verbs);
    kernel_remove_device(&h->device);
    cpu_sync(cpu_this());
}

static void serve(struct rdma_host *h)
{
    verbs_serve(&h->verbs);
    if (h->job == NULL)
        return;
    h->job(h, h->job_arg);
    cpu_sync(cpu_this());
    h->job = NULL;
    cpu_wake(h->rig->waiter, cpu_this()->time);
}

static void host_program(void *arg)
{
    struct rdma_host *h = arg;
    struct rdma_rig *r  = h->rig;
    bring_up(h);
    if (h->id == 0) {
        rdma_rig_sleep(r, TIME_US * 1000); /* Until the others are up. */
        r->program(r, r->state);
        r->over = true;
        for (unsigned i = 1; i < r->hosts; i++)
            cpu_wake(&r->host[i].cpu, cpu_this()->time);
    }
    while (!r->over) {
        cpu_sync(cpu_this());
        serve(h);
        if (!r->over && h->job == NULL)
            cpu_wait(cpu_this(), TIME_NEVER);
    }
    take_down(h);
}

void rdma_rig_sleep(struct rdma_rig *r, sim_time_t time)
{
    struct cpu *cpu        = cpu_this();
    const sim_time_t until = cpu->time + time;
    while (cpu->time < until) {
        cpu_wait(cpu, until);
        verbs_serve(&r->host[0].verbs);
    }
}

void rdma_on(struct rdma_rig *r, unsigned host, void (*job)(struct rdma_host *h, void *arg),
             void *arg)
{
    struct rdma_host *h = &r->host[host];
    cpu_sync(cpu_this());
    if (h->cpus[0] == cpu_this()) {
        job(h, arg);
        return;
    }
    h->job_arg = arg;
    h->job     = job;
    r->waiter  = cpu_this();
    cpu_wake(&h->cpu, cpu_this()->time);
    while (h->job != NULL) {
        cpu_wait(cpu_this(), TIME_NEVER);
        verbs_serve(&r->host[0].verbs);
    }
}

bool rdma_rig_next(struct rdma_rig *r, unsigned host, struct verbs_wc *wc)
{
    struct rdma_host *h    = &r->host[host];
    struct cpu *cpu        = cpu_this();
    const sim_time_t until = cpu->time + 1000000 * TIME_US;
    cpu_sync(cpu);
    r->waiter = cpu;
    while (h->seen == h->wcs) {
        if (cpu->time >= until)
            return false;
        cpu_wait(cpu, until);
        verbs_serve(&r->host[0].verbs);
    }
    *wc = h->wc[h->seen++];
    return true;
}

/* ---- Life
 * ------------------------------------------------------------------------------------ */

static void interrupt(void *self, uint64_t address, uint32_t data, sim_time_t now)
{
    struct rdma_host *h = self;
    CHECK((address >> 12 & 0xff) == 0);
    cpu_interrupt(&h->cpu, data & 0xff, now);
}

static void build_hardware(struct rdma_host *h, unsigned id)
{
    struct rdma_rig *r = h->rig;
    h->id              = id;
    memory_init(&h->memory);
    h->channel = (struct mem_channel){ .latency_ps = 90 * TIME_NS,
                                       .beat_ps    = 640,
                                       .beat_bytes = 64 };
    mmio_init(&h->window, &r->engine, "rdma registers", &rdma_nic_mmio_ops, &h->nic,
              250 * TIME_NS);
    rootport_init(&h->port, &r->engine, &r->link, NULL, &h->memory, &h->channel);
    rdma_nic_init(&h->nic, &r->engine, rootport_port(&h->port), &r->nic,
                  (uint16_t)(0x30 + 8 * id), &r->wire, id, r->carries);
    h->port.interrupt      = interrupt;
    h->port.interrupt_self = h;
    h->space               = (struct umem_space){ page_of, h };
}

static void expect_nothing_left(struct rdma_host *h)
{
    struct error error = { "" };
    EXPECT(rdma_nic_idle(&h->nic));
    EXPECT(rdma_nic_check(&h->nic, &error));
    EXPECT_TEXT(error.text, "");
    EXPECT(rootport_idle(&h->port));
    EXPECT_EQUAL(h->kernel.pages.out, 0);
    EXPECT_EQUAL(h->kernel.heap.out, 0);
    EXPECT_EQUAL(h->verbs.stats.region, h->verbs.stats.released);
    EXPECT(cpu_check(&h->cpu, &error));
}

static void free_host(struct rdma_host *h)
{
    kernel_free(&h->kernel);
    rdma_nic_free(&h->nic);
    rootport_free(&h->port);
    mmio_free(&h->window);
    memory_free(&h->memory);
}

void rdma_rig_run(struct rdma_rig *r, void (*program)(struct rdma_rig *r, void *state),
                  void *state)
{
    struct direct_host *direct = direct_host_new();
    struct error error         = { "" };
    r->program                 = program;
    r->state                   = state;
    engine_init(&r->engine, direct_host_verbs(direct), true);
    rdma_wire_init(&r->wire, &r->wire_config, r->hosts);
    for (unsigned i = 0; i < r->hosts; i++) {
        r->host[i].rig = r;
        build_hardware(&r->host[i], i);
    }
    for (unsigned i = 0; i < r->hosts; i++) {
        struct rdma_host *h = &r->host[i];
        h->cpus[0]          = &h->cpu;
        cpu_init(&h->cpu, 0, &r->engine, &h->memory, &r->cpu_config, host_program, h);
        kernel_init(&h->kernel, &r->linux_config, &r->cost, &h->memory, h->cpus, 1);
    }
    engine_run(&r->engine);
    EXPECT(r->over);
    EXPECT(rdma_wire_check(&r->wire, &error));
    EXPECT_TEXT(error.text, "");
    for (unsigned i = 0; i < r->hosts; i++) {
        EXPECT(r->host[i].cpu.finished);
        expect_nothing_left(&r->host[i]);
    }
    for (unsigned i = 0; i < r->hosts; i++)
        free_host(&r->host[i]);
    rdma_wire_free(&r->wire);
    engine_free(&r->engine);
    direct_host_free(direct);
}

/* ---- Calls
 * ---------------------------------------------------------------------------------- */

struct call {
    struct rdma_pair *pair;
    unsigned end;
    uint8_t type;
    struct verbs_qp *qp;
    const struct verbs_wr *wr;
    struct verbs_rq *rq;
    struct verbs_mr *mr;
    uint32_t pd, access, bytes32, key;
    uint64_t va, bytes, context;
    int result;
};

static void create(struct rdma_host *h, void *arg)
{
    struct call *c      = arg;
    c->pair->pd[c->end] = verbs_alloc_pd(&h->verbs);
    c->pair->qp[c->end] =
        verbs_create_qp(&h->verbs, c->type, c->pair->pd[c->end], h->cq, h->cq, NULL);
    EXPECT(c->pair->qp[c->end] != NULL);
}

static void connect_end(struct rdma_host *h, void *arg)
{
    struct call *c       = arg;
    const unsigned other = 1 - c->end;
    (void)h;
    EXPECT_EQUAL(verbs_connect_qp(c->pair->qp[c->end], c->pair->host[other],
                                  c->pair->qp[other]->id, 77),
                 RDMA_CMD_OK);
}

struct rdma_pair rdma_rig_connect(struct rdma_rig *r, unsigned a, unsigned b, uint8_t type)
{
    struct rdma_pair p = { .host = { a, b } };
    for (unsigned i = 0; i < 2; i++)
        rdma_on(r, p.host[i], create, &(struct call){ .pair = &p, .end = i, .type = type });
    for (unsigned i = 0; i < 2; i++)
        rdma_on(r, p.host[i], connect_end, &(struct call){ .pair = &p, .end = i });
    return p;
}

static void destroy(struct rdma_host *h, void *arg)
{
    (void)h;
    verbs_destroy_qp(arg);
}

void rdma_rig_disconnect(struct rdma_rig *r, struct rdma_pair *p)
{
    for (unsigned i = 0; i < 2; i++)
        rdma_on(r, p->host[i], destroy, p->qp[i]);
}

static void reg(struct rdma_host *h, void *arg)
{
    struct call *c = arg;
    c->mr =
        verbs_reg_mr(&h->verbs, c->pd, &h->space, c->va, c->bytes, c->access, &c->result);
    EXPECT(c->mr != NULL);
}

struct verbs_mr *rdma_rig_reg(struct rdma_rig *r, unsigned host, uint32_t pd, uint64_t va,
                              uint64_t bytes, uint32_t access)
{
    struct call c = { .pd = pd, .va = va, .bytes = bytes, .access = access };
    rdma_on(r, host, reg, &c);
    return c.mr;
}

static void dereg(struct rdma_host *h, void *arg)
{
    (void)h;
    verbs_dereg_mr(arg);
}

void rdma_rig_dereg(struct rdma_rig *r, struct verbs_mr *mr)
{
    rdma_on(r, mr->device->nic, dereg, mr);
}

static void post(struct rdma_host *h, void *arg)
{
    struct call *c = arg;
    (void)h;
    c->result = verbs_post_send(c->qp, c->wr);
}

int rdma_rig_post(struct rdma_rig *r, unsigned host, struct verbs_qp *qp,
                  const struct verbs_wr *wr)
{
    struct call c = { .qp = qp, .wr = wr };
    rdma_on(r, host, post, &c);
    return c.result;
}

static void receive(struct rdma_host *h, void *arg)
{
    struct call *c            = arg;
    const struct rdma_sge sge = { c->bytes32, c->key, c->va };
    (void)h;
    c->result = verbs_post_receive(c->rq, &sge, 1, c->context);
}

int rdma_rig_receive(struct rdma_rig *r, unsigned host, struct verbs_rq *rq, uint64_t va,
                     uint32_t bytes, uint32_t key, uint64_t context)
{
    struct call c = {
        .rq = rq, .va = va, .bytes32 = bytes, .key = key, .context = context
    };
    rdma_on(r, host, receive, &c);
    return c.result;
}
