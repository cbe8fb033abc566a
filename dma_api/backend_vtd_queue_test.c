/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VT-d driver's side of the invalidation queue against a unit that is slow, that stops
 * at a descriptor, or whose device TLBs do not answer: each line of qi_submit_sync.
 */
#include <string.h>

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { QUEUE = 256, DEVICES = 15, EACH = 12, OTHER = 0x100 };

/* Registers of a unit that carries its queue out one descriptor after the other. */
struct unit {
    struct memory *memory;
    sim_time_t free_at, each_ps;
    uint64_t iqa, iqercd;
    uint32_t gsts, fsts, head, tail;
    unsigned done[8];    /* Descriptors that were carried out, by type. */
    unsigned most;       /* Descriptors in the queue at a time. */
    unsigned silent;     /* So many device TLB invalidations are not answered, */
    unsigned silent_who; /* of this device. */
    unsigned spoil;      /* The first descriptor of this tail write becomes illegal. */
    unsigned tail_writes;
};

static struct vtd_descriptor at_head(const struct unit *u)
{
    const uint64_t at = (u->iqa & VTD_TABLE_MASK) + (uint64_t)u->head * VTD_IQ_ENTRY_BYTES;
    return (struct vtd_descriptor){ memory_read64(u->memory, at),
                                    memory_read64(u->memory, at + 8) };
}

/* The waits behind what did not answer are dropped. */
static void time_out(struct unit *u, unsigned requester)
{
    while (vtd_inv_type(at_head(u)) != VTD_INV_WAIT)
        u->head = (u->head + 1) % QUEUE;
    u->head = (u->head + 1) % QUEUE;
    u->fsts |= VTD_FSTS_ITE;
    u->iqercd = (uint64_t)requester << 32;
    u->silent--;
}

static void execute(struct unit *u, struct vtd_descriptor d)
{
    const unsigned type = vtd_inv_type(d);
    if (type == 0) {
        u->fsts |= VTD_FSTS_IQE;
        return;
    }
    if (type == VTD_INV_DEVTLB && u->silent > 0 && vtd_inv_requester(d) == u->silent_who) {
        time_out(u, u->silent_who);
        return;
    }
    if (type == VTD_INV_WAIT) {
        const uint32_t data = (uint32_t)(d.low >> 32);
        memory_device_write(u->memory, d.high, &data, sizeof data);
    }
    u->done[type & 7]++;
    u->head = (u->head + 1) % QUEUE;
}

static void advance(struct unit *u, sim_time_t now)
{
    const uint32_t stopped = VTD_FSTS_IQE | VTD_FSTS_ITE;
    while (u->head != u->tail && !(u->fsts & stopped) && u->free_at <= now) {
        execute(u, at_head(u));
        u->free_at += u->each_ps;
    }
}

static void new_tail(struct unit *u, uint32_t tail, sim_time_t now)
{
    if (++u->tail_writes == u->spoil)
        memory_write64(u->memory,
                       (u->iqa & VTD_TABLE_MASK) + (uint64_t)u->tail * VTD_IQ_ENTRY_BYTES,
                       0);
    if (u->head == u->tail)
        u->free_at = now + u->each_ps;
    u->tail             = tail;
    const unsigned many = (tail + QUEUE - u->head) % QUEUE;
    u->most             = many > u->most ? many : u->most;
}

static void unit_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                       sim_time_t now)
{
    struct unit *u = self;
    (void)bytes;
    advance(u, now);
    if (offset == VTD_GCMD)
        u->gsts = (uint32_t)value & ~VTD_G_WBF;
    else if (offset == VTD_IQA)
        u->iqa = value;
    else if (offset == VTD_IQT)
        new_tail(u, (uint32_t)value >> VTD_IQ_ENTRY_LG2, now);
    else if (offset == VTD_FSTS)
        u->fsts &= ~(uint32_t)value;
    u->free_at = u->free_at < now ? now : u->free_at;
}

static uint64_t unit_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    struct unit *u = self;
    (void)bytes;
    advance(u, now);
    switch (offset) {
    case VTD_CAP:
        return VTD_CAP_SAGAW(UINT64_C(4)) | VTD_CAP_PSI | VTD_CAP_MAMV(UINT64_C(18));
    case VTD_ECAP:
        return VTD_ECAP_QI | VTD_ECAP_DT | VTD_ECAP_PT;
    case VTD_GSTS:
        return u->gsts;
    case VTD_FSTS:
        return u->fsts;
    case VTD_IQH:
        return (uint64_t)u->head << VTD_IQ_ENTRY_LG2;
    case VTD_IQT:
        return (uint64_t)u->tail << VTD_IQ_ENTRY_LG2;
    case VTD_IQERCD:
        return u->iqercd;
    default:
        return 0;
    }
}

static const struct mmio_ops unit_ops = { unit_write, unit_read };

/* ---- A driver of its own for it, a domain for each CPU ---------------------------------
 */

static struct {
    struct unit unit;
    const struct mmio_ops *ops;
    void *self, *driver;
    struct dma_domain *domain[RIG_CPUS_MAX];
    struct device device[RIG_CPUS_MAX][DEVICES];
    unsigned devices; /* Of each domain, that keep translations. */
} q;

static void add_domain(struct kernel_rig *r, unsigned i)
{
    q.domain[i] = domain_new(&r->kernel, r->backend, q.driver, &flush_strict, NULL);
    CHECK(q.domain[i] != NULL);
    for (unsigned k = 0; k < q.devices; k++) {
        struct device *dev = &q.device[i][k];
        kernel_add_device(&r->kernel, dev, "ats", (uint16_t)(OTHER + i * DEVICES + k));
        dev->ats = true;
        CHECK(domain_attach(q.domain[i], dev));
    }
}

static void remove_domain(unsigned i)
{
    for (unsigned k = 0; k < q.devices; k++)
        domain_detach(q.domain[i], &q.device[i][k]);
    domain_free(q.domain[i]);
}

static void set_up(struct kernel_rig *r)
{
    struct error error = { "" };
    q.ops              = r->window.ops;
    q.self             = r->window.self;
    q.unit.memory      = &r->memory;
    r->window.ops      = &unit_ops;
    r->window.self     = &q.unit;
    q.driver           = r->backend->probe(&r->kernel, &r->window, &error);
    CHECK(q.driver != NULL);
    for (unsigned i = 0; i < r->cpus; i++)
        add_domain(r, i);
    memset(q.unit.done, 0, sizeof q.unit.done);
    q.unit.tail_writes = 0;
}

/* The driver's last writes are still on their way when it has gone. */
static void take_down(struct kernel_rig *r)
{
    for (unsigned i = 0; i < r->cpus; i++)
        remove_domain(i);
    r->backend->remove(q.driver);
    kernel_rig_sleep_until(cpu_this()->time + 10 * TIME_US);
    r->window.ops  = q.ops;
    r->window.self = q.self;
}

static void flush_mine(struct kernel_rig *r, uint64_t page)
{
    r->backend->flush_range(q.driver, q.domain[cpu_this()->id], page << 12,
                            (page << 12) + 0xfff, false, 12);
}

static void run(unsigned cpus, unsigned devices, kernel_program *program)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    r->cpus              = cpus;
    q.devices            = devices;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

static void begin(sim_time_t each_ps)
{
    memset(&q, 0, sizeof q);
    q.unit.each_ps = each_ps;
}

/* ---- Tests ------------------------------------------------------------------------------
 */

static void all_at_once(struct kernel_rig *r, void *state)
{
    (void)state;
    if (cpu_this()->id == 0)
        set_up(r);
    kernel_rig_meet(r);
    const uint64_t before = r->kernel.stats.submission;
    kernel_rig_meet(r);
    for (unsigned i = 0; i < EACH; i++)
        flush_mine(r, i);
    EXPECT_EQUAL(cpu_this()->irq_off, 0);
    kernel_rig_meet(r);
    if (cpu_this()->id == 0) {
        const unsigned calls = r->cpus * EACH;
        EXPECT_EQUAL(r->kernel.stats.submission - before,
                     calls * ((1 + q.devices + 15) / 16));
        EXPECT_EQUAL(q.unit.done[VTD_INV_IOTLB], calls);
        EXPECT_EQUAL(q.unit.done[VTD_INV_DEVTLB], calls * q.devices);
        EXPECT_EQUAL(q.unit.head, q.unit.tail); /* Every flush has returned behind it. */
        take_down(r);
    }
    kernel_rig_meet(r);
}

static void fills(struct kernel_rig *r, void *state)
{
    all_at_once(r, state);
    EXPECT(r->kernel.stats.queue_full_turn > 0);
    EXPECT(q.unit.most <= QUEUE - 1); /* One more, and it would look empty. */
    EXPECT(q.unit.most > QUEUE - 2 * (DEVICES + 2));
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(backend_vtd_queue, a_full_queue_is_waited_for_and_never_overrun)
{
    begin(200 * TIME_NS);
    run(16, DEVICES, fills);
}

static void does_not_fill(struct kernel_rig *r, void *state)
{
    all_at_once(r, state);
    EXPECT_EQUAL(r->kernel.stats.queue_full_turn, 0);
}

TEST_CASE(backend_vtd_queue, sixteen_devices_and_their_iotlb_are_one_batch_and_a_rest)
{
    begin(10 * TIME_NS);
    run(4, DEVICES, does_not_fill);
    begin(10 * TIME_NS);
    run(16, 1, does_not_fill);
}

/* One that is slow to answer: what waited is made again. */
static void answers_late(struct kernel_rig *r, void *state)
{
    (void)state;
    set_up(r);
    q.unit.silent         = 2;
    q.unit.silent_who     = q.device[0][0].requester;
    const uint64_t before = r->kernel.stats.submission;
    flush_mine(r, 1);
    EXPECT_EQUAL(r->kernel.stats.submission - before, 3);
    EXPECT_EQUAL(q.unit.done[VTD_INV_IOTLB], 3);
    EXPECT_EQUAL(q.unit.done[VTD_INV_DEVTLB], 1);
    EXPECT_EQUAL(q.unit.done[VTD_INV_WAIT], 1);
    EXPECT_EQUAL(q.unit.silent, 0);
    EXPECT_EQUAL(q.unit.fsts, 0);
    EXPECT_EQUAL(cpu_this()->irq_off, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    for (unsigned i = 0; i < 2 * QUEUE; i++)
        flush_mine(r, i); /* No place in the queue was lost. */
    EXPECT_EQUAL(r->kernel.stats.queue_full_turn, 0);
    take_down(r);
}

TEST_CASE(backend_vtd_queue, a_submission_that_a_time_out_aborted_is_made_again)
{
    begin(20 * TIME_NS);
    run(1, 1, answers_late);
}

/* Whoever sees it first tells the others, whose waits the unit dropped, too. */
static void answers_late_to_many(struct kernel_rig *r, void *state)
{
    (void)state;
    if (cpu_this()->id == 0) {
        set_up(r);
        q.unit.silent     = 5;
        q.unit.silent_who = q.device[1][0].requester;
    }
    kernel_rig_meet(r);
    for (unsigned i = 0; i < EACH; i++)
        flush_mine(r, i);
    kernel_rig_meet(r);
    if (cpu_this()->id == 0) {
        EXPECT_EQUAL(q.unit.silent, 0);
        EXPECT(q.unit.done[VTD_INV_DEVTLB] >= r->cpus * EACH);
        EXPECT(q.unit.done[VTD_INV_WAIT] >= r->cpus * EACH);
        EXPECT_EQUAL(r->kernel.stats.warning, 0);
        take_down(r);
    }
    kernel_rig_meet(r);
}

TEST_CASE(backend_vtd_queue, a_time_out_is_survived_by_everybody_in_the_queue)
{
    for (unsigned cpus = 2; cpus <= 16; cpus += 7) {
        begin(20 * TIME_NS);
        run(cpus, 1, answers_late_to_many);
    }
}

static void never_answers(struct kernel_rig *r, void *state)
{
    (void)state;
    set_up(r);
    q.unit.silent         = 1000;
    q.unit.silent_who     = q.device[0][0].requester;
    q.device[0][0].gone   = true;
    const uint64_t before = r->kernel.stats.submission;
    flush_mine(r, 1);
    EXPECT_EQUAL(r->kernel.stats.submission - before, 1); /* -ETIMEDOUT: not again. */
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_HAS(r->kernel.last_warning, "gone");
    EXPECT_EQUAL(q.unit.fsts, 0);
    q.unit.silent = 0;
    for (unsigned i = 0; i < 2 * QUEUE; i++)
        flush_mine(r, i);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(r->kernel.stats.queue_full_turn, 0);
    take_down(r);
}

TEST_CASE(backend_vtd_queue, a_device_that_is_gone_is_not_asked_again)
{
    begin(20 * TIME_NS);
    run(1, 1, never_answers);
}

/* Only who queued the illegal descriptor is refused; the others' go on behind it. */
static void one_is_illegal(struct kernel_rig *r, void *state)
{
    (void)state;
    if (cpu_this()->id == 0) {
        set_up(r);
        q.unit.spoil = 7;
    }
    kernel_rig_meet(r);
    for (unsigned i = 0; i < EACH; i++)
        flush_mine(r, i);
    kernel_rig_meet(r);
    if (cpu_this()->id == 0) {
        EXPECT_EQUAL(r->kernel.stats.warning, 1);
        EXPECT_HAS(r->kernel.last_warning, "refused");
        EXPECT_EQUAL(q.unit.done[VTD_INV_IOTLB], r->cpus * EACH - 1);
        EXPECT_EQUAL(q.unit.fsts, 0);
        for (unsigned i = 0; i < 2 * QUEUE; i++)
            flush_mine(r, i);
        take_down(r);
    }
    kernel_rig_meet(r);
}

TEST_CASE(backend_vtd_queue, an_illegal_descriptor_costs_its_submitter_only)
{
    for (unsigned cpus = 1; cpus <= 9; cpus += 4) {
        begin(20 * TIME_NS);
        run(cpus, 1, one_is_illegal);
    }
}

static void completion_error(struct kernel_rig *r, void *state)
{
    (void)state;
    set_up(r);
    q.unit.fsts = VTD_FSTS_ICE;
    flush_mine(r, 1);
    flush_mine(r, 2);
    EXPECT_EQUAL(q.unit.fsts, 0);
    EXPECT_EQUAL(q.unit.done[VTD_INV_WAIT], 2);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    take_down(r);
}

TEST_CASE(backend_vtd_queue, a_completion_error_is_cleared_and_nothing_more)
{
    begin(1000 * TIME_NS);
    run(1, 1, completion_error);
}

/* No page for the root table, the queue or the status words. */
static void probe_without_memory(struct kernel_rig *r, void *state)
{
    const uint64_t out = r->kernel.pages.out;
    (void)state;
    for (unsigned nth = 1; nth <= 3; nth++) {
        struct error error = { "" };
        kernel_rig_fail_at(r, nth);
        EXPECT(r->backend->probe(&r->kernel, &r->window, &error) == NULL);
        EXPECT_HAS(error.text, "no memory");
        EXPECT_EQUAL(r->kernel.pages.out, out);
    }
    kernel_rig_fail_at(r, 0);
}

TEST_CASE(backend_vtd_queue, without_memory_for_it_the_unit_is_not_driven)
{
    kernel_rig_once(RIG_VTD, probe_without_memory);
}
