/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim/base/rng.h"
#include "sim/test/rdma_rig.h"
#include "sim/test/shim.h"

#define VA_A 0x100000000ull
#define VA_B 0x200000000ull

enum { ALL = RDMA_LOCAL_WRITE | RDMA_REMOTE_WRITE | RDMA_REMOTE_READ | RDMA_REMOTE_ATOMIC };

static void run(void (*program)(struct rdma_rig *r, void *state))
{
    struct rdma_rig *r = rdma_rig_new();
    rdma_rig_run(r, program, NULL);
    rdma_rig_free(r);
}

static void fill(uint8_t *data, size_t bytes, uint64_t seed)
{
    struct rng rng = rng_make(seed, "data");
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)rng_next(&rng);
}

static void expect_done(struct rdma_rig *r, unsigned host, uint64_t context, uint8_t status)
{
    struct verbs_wc wc;
    REQUIRE(rdma_rig_next(r, host, &wc));
    EXPECT_EQUAL(wc.context, context);
    EXPECT_EQUAL(wc.status, status);
}

static void one_of_each(struct rdma_rig *r, void *state)
{
    static uint8_t data[20000], got[20000];
    struct rdma_pair p        = rdma_rig_connect(r, 0, 1, RDMA_RC);
    struct verbs_mr *a        = rdma_rig_reg(r, 0, p.pd[0], VA_A + 100, 50000, ALL);
    struct verbs_mr *b        = rdma_rig_reg(r, 1, p.pd[1], VA_B + 3, 50000, ALL);
    const struct rdma_sge sge = { sizeof data, a->key, VA_A + 100 };
    (void)state;
    fill(data, sizeof data, 1);
    rdma_rig_put(&r->host[0], VA_A + 100, data, sizeof data);
    struct verbs_wr wr = { .opcode  = RDMA_WRITE,
                           .flags   = RDMA_FLAG_SIGNALED,
                           .context = 1,
                           .sge     = &sge,
                           .sges    = 1,
                           .address = VA_B + 3,
                           .key     = b->key };
    EXPECT_EQUAL(rdma_rig_post(r, 0, p.qp[0], &wr), 0);
    expect_done(r, 0, 1, RDMA_SUCCESS);
    rdma_rig_sleep(r, 2 * TIME_US);
    rdma_rig_get(&r->host[1], VA_B + 3, got, sizeof got);
    EXPECT(memcmp(data, got, sizeof got) == 0);

    /* Back into another place. */
    const struct rdma_sge back = { 10001, a->key, VA_A + 30000 };
    wr.opcode                  = RDMA_READ;
    wr.context                 = 2;
    wr.sge                     = &back;
    wr.address                 = VA_B + 3 + 17;
    EXPECT_EQUAL(rdma_rig_post(r, 0, p.qp[0], &wr), 0);
    expect_done(r, 0, 2, RDMA_SUCCESS);
    rdma_rig_get(&r->host[0], VA_A + 30000, got, 10001);
    EXPECT(memcmp(data + 17, got, 10001) == 0);

    EXPECT_EQUAL(rdma_rig_receive(r, 1, p.qp[1]->rq, VA_B + 25000, 20001, b->key, 3), 0);
    wr.opcode  = RDMA_SEND;
    wr.context = 4;
    wr.sge     = &sge;
    EXPECT_EQUAL(rdma_rig_post(r, 0, p.qp[0], &wr), 0);
    expect_done(r, 0, 4, RDMA_SUCCESS);
    expect_done(r, 1, 3, RDMA_SUCCESS);
    EXPECT_EQUAL(r->host[1].wc[0].bytes, sizeof data);
    rdma_rig_get(&r->host[1], VA_B + 25000, got, sizeof got);
    EXPECT(memcmp(data, got, sizeof got) == 0);

    rdma_rig_dereg(r, a);
    rdma_rig_dereg(r, b);
    rdma_rig_disconnect(r, &p);
}

TEST_CASE(rdma_nic, write_read_and_send_put_the_bytes_where_they_belong)
{
    run(one_of_each);
}

/* ---- Protection -------------------------------------------------------------------------
 */

/* A pair with a region at each end, and a request that may be wrong. */
struct wrong {
    struct rdma_rig *r;
    struct rdma_pair p;
    struct verbs_mr *a, *b;
    struct rdma_sge sge;
    struct verbs_wr wr;
};

static struct wrong begin_wrong(struct rdma_rig *r, uint32_t access_a, uint32_t access_b)
{
    struct wrong w = { .r = r, .p = rdma_rig_connect(r, 0, 1, RDMA_RC) };
    w.a            = rdma_rig_reg(r, 0, w.p.pd[0], VA_A, 8192, access_a);
    w.b            = rdma_rig_reg(r, 1, w.p.pd[1], VA_B, 8192, access_b);
    w.sge          = (struct rdma_sge){ 5000, w.a->key, VA_A };
    w.wr           = (struct verbs_wr){ .opcode  = RDMA_WRITE,
                                        .flags   = RDMA_FLAG_SIGNALED,
                                        .context = 7,
                                        .sges    = 1,
                                        .address = VA_B,
                                        .key     = w.b->key };
    return w;
}

static void end_wrong(struct rdma_rig *r, struct wrong *w)
{
    rdma_rig_dereg(r, w->a);
    rdma_rig_dereg(r, w->b);
    rdma_rig_disconnect(r, &w->p);
}

/* It ends with this status, and what is posted behind it is flushed; nothing was written.
 */
static void expect_refusal(struct wrong *w, uint8_t status)
{
    struct rdma_rig *r = w->r;
    uint8_t got[16], zero[16] = { 0 };
    const uint8_t ones[16] = { 1, 1, 1 };
    rdma_rig_put(&r->host[0], VA_A, ones, sizeof ones);
    w->wr.sge = &w->sge;
    EXPECT_EQUAL(rdma_rig_post(r, 0, w->p.qp[0], &w->wr), 0);
    expect_done(r, 0, 7, status);
    struct verbs_wr next = w->wr;
    next.context         = 8;
    EXPECT_EQUAL(rdma_rig_post(r, 0, w->p.qp[0], &next), 0);
    expect_done(r, 0, 8, RDMA_FLUSHED);
    rdma_rig_get(&r->host[1], VA_B, got, sizeof got);
    if (w->wr.opcode != RDMA_READ)
        EXPECT(memcmp(got, zero, sizeof got) == 0);
    rdma_rig_dereg(r, w->a);
    rdma_rig_dereg(r, w->b);
    rdma_rig_disconnect(r, &w->p);
}

static void every_refusal(struct rdma_rig *r, void *state)
{
    const uint32_t reads = RDMA_LOCAL_WRITE | RDMA_REMOTE_READ;
    struct wrong w;
    (void)state;

    w = begin_wrong(r, ALL, ALL); /* A key with another variant. */
    w.wr.key ^= 1;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w        = begin_wrong(r, ALL, ALL); /* A key that nobody has. */
    w.wr.key = 0x12345678;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w        = begin_wrong(r, ALL, ALL); /* The key for DMA addresses is not for peers. */
    w.wr.key = RDMA_KEY_DMA;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w            = begin_wrong(r, ALL, ALL); /* One byte too far, and one too early. */
    w.wr.address = VA_B + 8192 - 4999;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w = begin_wrong(r, ALL, ALL);
    w.wr.address--;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w            = begin_wrong(r, ALL, ALL); /* An end that is not a number any more. */
    w.wr.address = UINT64_MAX - 100;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w = begin_wrong(r, ALL, reads); /* No right to write there, */
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w = begin_wrong(r, ALL, RDMA_LOCAL_WRITE | RDMA_REMOTE_WRITE); /* read there, */
    w.wr.opcode = RDMA_READ;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w           = begin_wrong(r, ALL, reads | RDMA_REMOTE_WRITE); /* nor change there. */
    w.wr.opcode = RDMA_FETCH_ADD;
    w.sge.bytes = 8;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    w           = begin_wrong(r, ALL, ALL); /* An operand that lies crooked. */
    w.wr.opcode = RDMA_FETCH_ADD;
    w.sge.bytes = 8;
    w.wr.address += 4;
    expect_refusal(&w, RDMA_REMOTE_INVALID);
    w           = begin_wrong(r, ALL, ALL); /* An atomic of another size. */
    w.wr.opcode = RDMA_FETCH_ADD;
    w.sge.bytes = 16;
    expect_refusal(&w, RDMA_LOCAL_LENGTH);
    w = begin_wrong(r, ALL, ALL); /* Its own key is wrong, */
    w.sge.key ^= 1;
    expect_refusal(&w, RDMA_LOCAL_PROTECTION);
    w             = begin_wrong(r, ALL, ALL); /* or its range, */
    w.sge.address = VA_A + 8192 - 4999;
    expect_refusal(&w, RDMA_LOCAL_PROTECTION);
    w           = begin_wrong(r, RDMA_REMOTE_READ, ALL); /* or it may not write there. */
    w.wr.opcode = RDMA_READ;
    expect_refusal(&w, RDMA_LOCAL_PROTECTION);
    w           = begin_wrong(r, ALL, ALL); /* An opcode that there is not. */
    w.wr.opcode = 77;
    expect_refusal(&w, RDMA_LOCAL_QP_OPERATION);
}

TEST_CASE(rdma_nic, every_kind_of_wrong_access_ends_with_its_status)
{
    run(every_refusal);
}

static void other_domain(struct rdma_rig *r, void *state)
{
    struct wrong w           = begin_wrong(r, ALL, ALL);
    struct verbs_mr *foreign = rdma_rig_reg(r, 1, w.p.pd[1] + 100, VA_B, 8192, ALL);
    (void)state;
    w.wr.key = foreign->key; /* Of another protection domain. */
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
    rdma_rig_dereg(r, foreign);

    w         = begin_wrong(r, ALL, ALL);
    foreign   = rdma_rig_reg(r, 0, w.p.pd[0] + 100, VA_A, 8192, ALL);
    w.sge.key = foreign->key;
    expect_refusal(&w, RDMA_LOCAL_PROTECTION);
    rdma_rig_dereg(r, foreign);

    w                     = begin_wrong(r, ALL, ALL); /* A region that has been. */
    const uint32_t before = w.b->key;
    rdma_rig_dereg(r, w.b);
    w.b      = rdma_rig_reg(r, 1, w.p.pd[1], VA_B, 8192, ALL);
    w.wr.key = before;
    expect_refusal(&w, RDMA_REMOTE_ACCESS);
}

TEST_CASE(rdma_nic, keys_of_other_protection_domains_and_of_old_regions_open_nothing)
{
    run(other_domain);
}

static void short_receive(struct rdma_rig *r, void *state)
{
    struct wrong w = begin_wrong(r, ALL, ALL);
    struct verbs_wc wc;
    (void)state;
    EXPECT_EQUAL(rdma_rig_receive(r, 1, w.p.qp[1]->rq, VA_B, 4999, w.b->key, 1), 0);
    EXPECT_EQUAL(rdma_rig_receive(r, 1, w.p.qp[1]->rq, VA_B, 4999, w.b->key, 2), 0);
    w.wr.opcode = RDMA_SEND;
    w.wr.sge    = &w.sge;
    EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
    expect_done(r, 0, 7, RDMA_REMOTE_INVALID);
    expect_done(r, 1, 1, RDMA_LOCAL_LENGTH);
    expect_done(r, 1, 2, RDMA_FLUSHED);
    EXPECT(!(r->host[1].seen < r->host[1].wcs && rdma_rig_next(r, 1, &wc)));
    end_wrong(r, &w);

    w = begin_wrong(r, ALL,
                    RDMA_REMOTE_WRITE); /* A receive into what may not be written. */
    EXPECT_EQUAL(rdma_rig_receive(r, 1, w.p.qp[1]->rq, VA_B, 5000, w.b->key, 1), 0);
    w.wr.opcode = RDMA_SEND;
    w.wr.sge    = &w.sge;
    EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
    expect_done(r, 0, 7, RDMA_REMOTE_OPERATION);
    expect_done(r, 1, 1, RDMA_LOCAL_PROTECTION);
    end_wrong(r, &w);
}

TEST_CASE(rdma_nic, a_receive_that_does_not_fit_ends_both_sides)
{
    run(short_receive);
}

/* ---- Waiting for a receiver
 * ------------------------------------------------------------------ */

static void late_receive(struct rdma_rig *r, void *state)
{
    struct wrong w = begin_wrong(r, ALL, ALL);
    (void)state;
    w.wr.opcode = RDMA_SEND;
    w.wr.sge    = &w.sge;
    EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
    rdma_rig_sleep(r, 50 * TIME_US);
    EXPECT_EQUAL(r->host[0].wcs, 0);
    EXPECT(r->host[1].nic.stats.not_ready >= 3);
    EXPECT_EQUAL(rdma_rig_receive(r, 1, w.p.qp[1]->rq, VA_B, 5000, w.b->key, 1), 0);
    expect_done(r, 0, 7, RDMA_SUCCESS);
    expect_done(r, 1, 1, RDMA_SUCCESS);
    end_wrong(r, &w);
}

TEST_CASE(rdma_nic, a_send_waits_for_its_receive)
{
    run(late_receive);
}

static void no_receive(struct rdma_rig *r, void *state)
{
    struct wrong w = begin_wrong(r, ALL, ALL);
    (void)state;
    w.wr.opcode = RDMA_SEND;
    expect_refusal(&w, RDMA_RNR_RETRIES_EXCEEDED);
    EXPECT_EQUAL(r->host[1].nic.stats.not_ready, 3);
}

TEST_CASE(rdma_nic, or_gives_up_when_it_has_waited_often_enough)
{
    struct rdma_rig *r   = rdma_rig_new();
    r->verbs.rnr_retries = 2;
    rdma_rig_run(r, no_receive, NULL);
    rdma_rig_free(r);
}

static void dead_peer(struct rdma_rig *r, void *state)
{
    struct wrong w = begin_wrong(r, ALL, ALL);
    struct wrong v = begin_wrong(r, ALL, ALL);
    (void)state;
    /* The peer's queue pair has failed by itself: it answers nothing. */
    struct verbs_wr bad       = v.wr;
    const struct rdma_sge sge = { 8, 0x777700, VA_B };
    bad.sge                   = &sge;
    bad.key                   = w.a->key;
    bad.address               = VA_A;
    EXPECT_EQUAL(rdma_rig_post(r, 1, w.p.qp[1], &bad), 0);
    expect_done(r, 1, 7, RDMA_LOCAL_PROTECTION);
    expect_refusal(&w, RDMA_RETRIES_EXCEEDED);
    rdma_rig_dereg(r, v.a);
    rdma_rig_dereg(r, v.b);
    rdma_rig_disconnect(r, &v.p);
}

TEST_CASE(rdma_nic, a_peer_that_answers_nothing_ends_the_request_after_its_retries)
{
    struct rdma_rig *r = rdma_rig_new();
    r->verbs.retries   = 2;
    r->nic.timeout_us  = 100;
    rdma_rig_run(r, dead_peer, NULL);
    rdma_rig_free(r);
}

/* ---- By work request
 * ---------------------------------------------------------------------------- */

struct fast {
    uint32_t pd;
    struct verbs_mr *mr;
    int result;
};

static void alloc_fast(struct rdma_host *h, void *arg)
{
    struct fast *f = arg;
    int error;
    f->mr = verbs_alloc_mr(&h->verbs, f->pd, 8, &error);
    EXPECT(f->mr != NULL);
}

static void map_fast(struct rdma_host *h, void *arg)
{
    struct fast *f = arg;
    f->result      = verbs_map_fast(f->mr, &h->space, VA_B + 5, 20000, ALL);
}

static void unmap_fast(struct rdma_host *h, void *arg)
{
    struct fast *f = arg;
    (void)h;
    verbs_unmap_fast(f->mr);
}

static void fast_registration(struct rdma_rig *r, void *state)
{
    static uint8_t data[5000], got[5000];
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct wrong w  = begin_wrong(r, ALL, ALL);
        struct fast f   = { .pd = w.p.pd[1] };
        const bool send = round == 2; /* The key goes back with a send. */
        rdma_on(r, 1, alloc_fast, &f);
        rdma_on(r, 1, map_fast, &f);
        EXPECT_EQUAL(f.result, 0);
        struct verbs_wr reg = {
            .opcode = RDMA_REG_MR, .flags = RDMA_FLAG_SIGNALED, .context = 1, .region = f.mr
        };
        EXPECT_EQUAL(rdma_rig_post(r, 1, w.p.qp[1], &reg), 0);
        expect_done(r, 1, 1, RDMA_SUCCESS);
        fill(data, sizeof data, round);
        rdma_rig_put(&r->host[0], VA_A, data, sizeof data);
        w.wr.sge     = &w.sge;
        w.wr.key     = f.mr->key;
        w.wr.address = VA_B + 5 + 15000;
        EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
        expect_done(r, 0, 7, RDMA_SUCCESS);
        rdma_rig_sleep(r, 2 * TIME_US);
        rdma_rig_get(&r->host[1], VA_B + 5 + 15000, got, sizeof got);
        EXPECT(memcmp(data, got, sizeof got) == 0);

        if (send) {
            EXPECT_EQUAL(rdma_rig_receive(r, 1, w.p.qp[1]->rq, VA_B, 16, w.b->key, 2), 0);
            struct verbs_wr inv = { .opcode    = RDMA_SEND_INV,
                                    .flags     = RDMA_FLAG_SIGNALED,
                                    .context   = 3,
                                    .immediate = f.mr->key };
            EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &inv), 0);
            expect_done(r, 0, 3, RDMA_SUCCESS);
            expect_done(r, 1, 2, RDMA_SUCCESS);
            EXPECT(r->host[1].wc[r->host[1].seen - 1].has_invalidated);
        } else {
            struct verbs_wr inv = { .opcode    = RDMA_LOCAL_INV,
                                    .flags     = RDMA_FLAG_SIGNALED,
                                    .context   = 2,
                                    .immediate = f.mr->key };
            EXPECT_EQUAL(rdma_rig_post(r, 1, w.p.qp[1], &inv), 0);
            expect_done(r, 1, 2, RDMA_SUCCESS);
        }
        rdma_on(r, 1, unmap_fast, &f);
        if (round == 1) { /* From now on it opens nothing. */
            rdma_rig_put(&r->host[1], VA_B, (uint8_t[16]){ 0 }, 16);
            expect_refusal(&w, RDMA_REMOTE_ACCESS);
        } else {
            end_wrong(r, &w);
        }
        rdma_rig_dereg(r, f.mr);
    }
}

TEST_CASE(rdma_nic, regions_come_and_go_by_work_request)
{
    run(fast_registration);
}

/* ---- Windows
 * ------------------------------------------------------------------------------------- */

static void alloc_window(struct rdma_host *h, void *arg)
{
    struct fast *f = arg;
    f->mr          = verbs_alloc_mw(&h->verbs, f->pd);
    EXPECT(f->mr != NULL);
}

static void windows(struct rdma_rig *r, void *state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct wrong w = begin_wrong(r, ALL, ALL | RDMA_MW_BIND);
        struct fast f  = { .pd = w.p.pd[1] };
        rdma_on(r, 1, alloc_window, &f);
        const uint32_t key   = f.mr->key + 1;
        struct verbs_wr bind = { .opcode  = RDMA_BIND_MW,
                                 .flags   = RDMA_FLAG_SIGNALED,
                                 .context = 1,
                                 .region  = f.mr,
                                 .key     = key,
                                 .parent  = w.b->key,
                                 .address = VA_B + 1000,
                                 .length  = 6000,
                                 .access  = RDMA_REMOTE_WRITE };
        w.wr.key             = key;
        w.wr.address         = VA_B + 2000;
        if (round == 3)
            bind.length = 8000; /* Beyond its region. */
        EXPECT_EQUAL(rdma_rig_post(r, 1, w.p.qp[1], &bind), 0);
        expect_done(r, 1, 1, round == 3 ? RDMA_BIND_ERROR : RDMA_SUCCESS);
        if (round == 0) {
            w.wr.sge = &w.sge;
            EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
            expect_done(r, 0, 7, RDMA_SUCCESS);
            w.wr.address++; /* One byte beyond the window, though not the region. */
        }
        if (round == 1)
            w.wr.opcode = RDMA_READ; /* The region allows it, the window does not. */
        if (round == 2)
            w.wr.address = VA_B; /* In front of it. */
        if (round < 3) {
            expect_refusal(&w, RDMA_REMOTE_ACCESS);
        } else {
            end_wrong(r, &w);
        }
        rdma_rig_dereg(r, f.mr);
    }
}

TEST_CASE(rdma_nic, a_window_opens_its_part_of_a_region_and_no_more)
{
    run(windows);
}

/* ---- Datagrams and shared receive queues
 * ---------------------------------------------------------- */

static void datagrams(struct rdma_rig *r, void *state)
{
    static uint8_t data[3000], got[3000];
    struct rdma_pair p        = rdma_rig_connect(r, 0, 1, RDMA_UD);
    struct verbs_mr *a        = rdma_rig_reg(r, 0, p.pd[0], VA_A, 8192, ALL);
    struct verbs_mr *b        = rdma_rig_reg(r, 1, p.pd[1], VA_B, 8192, ALL);
    const struct rdma_sge sge = { sizeof data, a->key, VA_A };
    struct verbs_wr wr        = { .opcode  = RDMA_SEND,
                                  .flags   = RDMA_FLAG_SIGNALED,
                                  .context = 1,
                                  .sge     = &sge,
                                  .sges    = 1,
                                  .qp      = p.qp[1]->id };
    (void)state;
    fill(data, sizeof data, 9);
    rdma_rig_put(&r->host[0], VA_A, data, sizeof data);
    /* Nobody has posted a receive: it is lost, and the sender does not know. */
    EXPECT_EQUAL(rdma_rig_post(r, 0, p.qp[0], &wr), 0);
    expect_done(r, 0, 1, RDMA_SUCCESS);
    rdma_rig_sleep(r, 10 * TIME_US);
    EXPECT_EQUAL(r->host[1].wcs, 0);
    EXPECT_EQUAL(r->host[1].nic.stats.dropped, 1);

    EXPECT_EQUAL(rdma_rig_receive(r, 1, p.qp[1]->rq, VA_B, 4000, b->key, 2), 0);
    EXPECT_EQUAL(rdma_rig_post(r, 0, p.qp[0], &wr), 0);
    expect_done(r, 0, 1, RDMA_SUCCESS);
    expect_done(r, 1, 2, RDMA_SUCCESS);
    EXPECT_EQUAL(r->host[1].wc[0].bytes, sizeof data + RDMA_GRH_BYTES);
    EXPECT_EQUAL(r->host[1].wc[0].source_qp, p.qp[0]->id);
    rdma_rig_get(&r->host[1], VA_B + RDMA_GRH_BYTES, got, sizeof got);
    EXPECT(memcmp(data, got, sizeof got) == 0);

    wr.opcode = RDMA_WRITE; /* Is not for datagrams. */
    EXPECT_EQUAL(rdma_rig_post(r, 0, p.qp[0], &wr), 0);
    expect_done(r, 0, 1, RDMA_LOCAL_QP_OPERATION);
    rdma_rig_dereg(r, a);
    rdma_rig_dereg(r, b);
    rdma_rig_disconnect(r, &p);
}

TEST_CASE(rdma_nic, datagrams_arrive_behind_their_header_or_not_at_all)
{
    run(datagrams);
}

struct shared {
    struct verbs_rq *rq;
    struct verbs_qp *qp[2];
    struct verbs_mr *mr;
};

static void make_shared(struct rdma_host *h, void *arg)
{
    struct shared *s = arg;
    int error;
    s->mr = verbs_reg_mr(&h->verbs, 5, &h->space, VA_B, 8192, ALL, &error);
    s->rq = verbs_create_rq(&h->verbs, 5, 16);
    for (unsigned i = 0; i < 2; i++)
        s->qp[i] = verbs_create_qp(&h->verbs, RDMA_RC, 5, h->cq, h->cq, s->rq);
    for (unsigned i = 0; i < 6; i++) {
        const struct rdma_sge sge = { 100, s->mr->key, VA_B + 1000 * i };
        EXPECT_EQUAL(verbs_post_receive(s->rq, &sge, 1, 100 + i), 0);
    }
}

static void connect_shared(struct rdma_host *h, void *arg)
{
    struct shared *s = arg;
    (void)h;
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQUAL(verbs_connect_qp(s->qp[i], 0, i, 0), 0);
}

static void end_shared(struct rdma_host *h, void *arg)
{
    struct shared *s = arg;
    (void)h;
    for (unsigned i = 0; i < 2; i++)
        verbs_destroy_qp(s->qp[i]);
    verbs_destroy_rq(s->rq);
    verbs_dereg_mr(s->mr);
}

static void shared_queue(struct rdma_rig *r, void *state)
{
    struct verbs_device *d = &r->host[0].verbs;
    struct shared s;
    struct verbs_qp *qp[2];
    struct verbs_wc wc;
    (void)state;
    rdma_on(r, 1, make_shared, &s);
    for (unsigned i = 0; i < 2; i++) {
        qp[i] = verbs_create_qp(d, RDMA_RC, 1, r->host[0].cq, r->host[0].cq, NULL);
        EXPECT_EQUAL(qp[i]->id, i);
        EXPECT_EQUAL(verbs_connect_qp(qp[i], 1, s.qp[i]->id, 0), 0);
    }
    rdma_on(r, 1, connect_shared, &s);
    for (unsigned i = 0; i < 6; i++) {
        uint8_t data[24]         = { (uint8_t)(i + 1) };
        const struct verbs_wr wr = { .opcode  = RDMA_SEND,
                                     .flags   = RDMA_FLAG_SIGNALED | RDMA_FLAG_INLINE,
                                     .context = i,
                                     .data    = data,
                                     .bytes   = sizeof data };
        uint8_t got;
        EXPECT_EQUAL(verbs_post_send(qp[i % 2], &wr), 0);
        expect_done(r, 0, i, RDMA_SUCCESS);
        REQUIRE(rdma_rig_next(r, 1, &wc));
        EXPECT_EQUAL(wc.context, 100 + i); /* In the order of posting, whoever sends. */
        EXPECT_EQUAL(wc.qp, s.qp[i % 2]->id);
        rdma_rig_get(&r->host[1], VA_B + 1000 * i, &got, 1);
        EXPECT_EQUAL(got, i + 1);
    }
    EXPECT_EQUAL(r->host[0].nic.stats.inline_bytes, 6 * 24);
    EXPECT_EQUAL(r->host[0].nic.stats.gathered_bytes, 0);
    for (unsigned i = 0; i < 2; i++)
        verbs_destroy_qp(qp[i]);
    rdma_on(r, 1, end_shared, &s);
}

TEST_CASE(rdma_nic, queue_pairs_share_receives_and_inline_data_is_not_fetched)
{
    run(shared_queue);
}

/* Destroyed while the NIC reads entry after entry: none is under way afterwards, and what
 * comes in its place finds its own entries. */
struct early {
    struct verbs_rq *rq;
    struct verbs_qp *qp;
    struct verbs_mr *mr;
    sim_time_t delay;
    unsigned reading;
};

static void make_early(struct rdma_host *h, void *arg)
{
    struct early *e = arg;
    int error;
    e->mr = verbs_reg_mr(&h->verbs, 5, &h->space, VA_B, 8192, ALL, &error);
    e->rq = verbs_create_rq(&h->verbs, 5, 16);
    e->qp = verbs_create_qp(&h->verbs, RDMA_RC, 5, h->cq, h->cq, e->rq);
    for (unsigned i = 0; i < 16; i++) {
        const struct rdma_sge sge = { 100, e->mr->key, VA_B + 100 * i };
        EXPECT_EQUAL(verbs_post_receive(e->rq, &sge, 1, i), 0);
    }
    EXPECT_EQUAL(verbs_connect_qp(e->qp, 0, 0, 0), 0);
}

static void end_early(struct rdma_host *h, void *arg)
{
    struct early *e               = arg;
    const struct rdma_nic *n      = &h->nic;
    const struct rnic_rq *const q = &n->rq[e->rq->id];
    cpu_wait(cpu_this(), cpu_this()->time + e->delay);
    verbs_destroy_qp(e->qp);
    e->reading += q->taken != q->posted && q->asked != q->posted;
    verbs_destroy_rq(e->rq);
    for (uint32_t i = 0; i < n->config.reads + n->config.writes; i++)
        EXPECT(
            !n->io[i].busy
            || (n->io[i].kind != RNIC_IO_RECEIVE_FETCH && n->io[i].kind != RNIC_IO_RECORD));
    EXPECT(rnic_rq_fifo_empty(&n->rq_turn));
    verbs_dereg_mr(e->mr);
}

static void early_destruction(struct rdma_rig *r, void *state)
{
    struct verbs_device *d   = &r->host[0].verbs;
    const uint8_t data[8]    = { 1 };
    const struct verbs_wr wr = {
        .opcode = RDMA_SEND, .flags = RDMA_FLAG_INLINE, .data = data, .bytes = sizeof data
    };
    struct early e = { .reading = 0 };
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        e.delay = i * 500 * TIME_NS;
        rdma_on(r, 1, make_early, &e);
        struct verbs_qp *qp =
            verbs_create_qp(d, RDMA_RC, 1, r->host[0].cq, r->host[0].cq, NULL);
        EXPECT_EQUAL(verbs_connect_qp(qp, 1, e.qp->id, 0), 0);
        EXPECT_EQUAL(verbs_post_send(qp, &wr), 0);
        rdma_on(r, 1, end_early, &e);
        verbs_destroy_qp(qp);
    }
    EXPECT(e.reading > 4); /* Else the test says nothing. */
}

TEST_CASE(rdma_nic, a_receive_queue_is_destroyed_when_nothing_reads_it_any_more)
{
    struct rdma_rig *r   = rdma_rig_new();
    r->link.latency_ns   = 2000;
    r->nic.fetch_entries = 1;
    rdma_rig_run(r, early_destruction, NULL);
    rdma_rig_free(r);
}

/* The nth allocation fails. */
struct shortage {
    unsigned left;
    bool hit;
};

static bool runs_short(void *self, const char *what)
{
    struct shortage *s = self;
    (void)what;
    s->hit |= s->left == 0;
    return s->left-- == 0;
}

static void no_memory(struct rdma_rig *r, void *state)
{
    struct rdma_host *h = &r->host[0];
    struct kernel *k    = &h->kernel;
    struct shortage s   = { .hit = true };
    unsigned failed     = 0;
    (void)state;
    struct verbs_rq *rq = verbs_create_rq(&h->verbs, 1, 8);
    REQUIRE(rq != NULL);
    for (unsigned shared = 0; shared < 2; shared++)
        for (unsigned nth = 0; s.hit || nth == 0; nth++) {
            const uint64_t pages = k->pages.out, heap = k->heap.out;
            s             = (struct shortage){ .left = nth };
            k->fails_self = &s;
            k->fails      = runs_short;
            struct verbs_qp *qp =
                verbs_create_qp(&h->verbs, RDMA_RC, 1, h->cq, h->cq, shared ? rq : NULL);
            k->fails = NULL;
            EXPECT_EQUAL(qp == NULL, s.hit);
            failed += qp == NULL;
            if (qp != NULL)
                verbs_destroy_qp(qp);
            EXPECT_EQUAL(k->pages.out, pages);
            EXPECT_EQUAL(k->heap.out, heap);
        }
    EXPECT(failed >= 4); /* Receives, their record, sends; and sends alone. */
    for (uint32_t i = 0; i < h->verbs.cqs; i++)
        EXPECT_EQUAL(h->verbs.rq_taken[i], i == rq->id);
    verbs_destroy_rq(rq);
}

TEST_CASE(rdma_nic, a_queue_pair_that_cannot_be_had_leaves_nothing)
{
    run(no_memory);
}

static void every_key(struct rdma_rig *r, void *state)
{
    enum { KEYS = 30 };
    struct rdma_host *h = &r->host[0];
    struct verbs_mr *mr[KEYS];
    int error = 0;
    (void)state;
    EXPECT_EQUAL(verbs_keys(&h->verbs), KEYS);
    for (unsigned i = 0; i < KEYS; i++) {
        mr[i] = verbs_reg_mr(&h->verbs, 1, &h->space, VA_A, 100, ALL, &error);
        REQUIRE(mr[i] != NULL);
    }
    EXPECT(verbs_reg_mr(&h->verbs, 1, &h->space, VA_A, 100, ALL, &error) == NULL);
    EXPECT_EQUAL(error, -ENOSPC);
    EXPECT(verbs_alloc_mr(&h->verbs, 1, 8, &error) == NULL);
    EXPECT_EQUAL(error, -ENOSPC);
    EXPECT(verbs_alloc_mw(&h->verbs, 1) == NULL);
    verbs_dereg_mr(mr[7]);
    mr[7] = verbs_reg_mr(&h->verbs, 1, &h->space, VA_A, 100, ALL, &error);
    EXPECT(mr[7] != NULL);
    for (unsigned i = 0; i < KEYS; i++)
        verbs_dereg_mr(mr[i]);
    /* One byte more than the largest region takes neither key nor memory. */
    const uint64_t most = verbs_region_bytes_max(&h->verbs);
    for (unsigned demand = 0; demand < 2; demand++) {
        const uint32_t access = demand ? ALL | RDMA_ON_DEMAND : ALL;
        EXPECT(verbs_reg_mr(&h->verbs, 1, &h->space, VA_A, most + 1, access, &error)
               == NULL);
        EXPECT_EQUAL(error, -EINVAL);
    }
}

TEST_CASE(rdma_nic, there_are_as_many_keys_as_the_driver_was_told_and_regions_as_large)
{
    struct rdma_rig *r = rdma_rig_new();
    r->verbs.keys_lg2  = 5;
    rdma_rig_run(r, every_key, NULL);
    rdma_rig_free(r);
}

/* What wraps or is nothing: it is refused, and takes neither key nor memory. */
static void no_region(struct rdma_rig *r, void *state)
{
    struct verbs_device *d     = &r->host[0].verbs;
    const uint32_t keys        = d->free_keys;
    const uint64_t pages       = r->host[0].kernel.pages.out;
    const uint64_t most        = verbs_region_bytes_max(d) / PAGE_SIZE;
    const uint64_t region[][2] = { { VA_A, 0 },
                                   { VA_A, UINT64_MAX },
                                   { UINT64_MAX, 1 },
                                   { UINT64_MAX - 4095, 4096 },
                                   { UINT64_MAX - 4095, 8192 } };
    const uint64_t fast[]      = { 0, most + 1, UINT64_C(1) << 61, UINT64_MAX };
    int error;
    (void)state;
    for (unsigned i = 0; i < sizeof region / sizeof region[0]; i++)
        for (unsigned demand = 0; demand < 2; demand++) {
            error = 0;
            EXPECT(verbs_reg_mr(d, 1, &r->host[0].space, region[i][0], region[i][1],
                                demand ? ALL | RDMA_ON_DEMAND : ALL, &error)
                   == NULL);
            EXPECT_EQUAL(error, -EINVAL);
        }
    for (unsigned i = 0; i < sizeof fast / sizeof fast[0]; i++) {
        error = 0;
        EXPECT(verbs_alloc_mr(d, 1, fast[i], &error) == NULL);
        EXPECT_EQUAL(error, -EINVAL);
    }
    struct verbs_mr *mr = verbs_alloc_mr(d, 1, 8, &error);
    REQUIRE(mr != NULL);
    for (unsigned i = 0; i < sizeof region / sizeof region[0]; i++)
        EXPECT_EQUAL(verbs_map_fast(mr, &r->host[0].space, region[i][0], region[i][1], ALL),
                     -EIO);
    verbs_dereg_mr(mr);
    EXPECT_EQUAL(d->free_keys, keys);
    EXPECT_EQUAL(r->host[0].kernel.pages.out, pages);
}

TEST_CASE(rdma_nic, a_region_of_nothing_or_around_the_end_is_refused)
{
    run(no_region);
}

/* ---- Completion queues
 * ---------------------------------------------------------------------- */

enum { FEW = 16 };

struct crowded {
    struct verbs_cq *cq;
    struct verbs_qp *qp[2], *other;
    struct verbs_mr *mr;
    unsigned events[RDMA_EVENT_CQ_ERROR + 1];
};

static void note_error(void *self, uint32_t event, uint32_t number)
{
    struct crowded *c = self;
    (void)number;
    c->events[event]++;
}

/* A queue that is polled, two queue pairs of this NIC that complete to it, and one that
 * does not, each connected with itself. */
static struct crowded crowd(struct rdma_rig *r)
{
    struct rdma_host *h = &r->host[0];
    struct crowded c    = { .cq = verbs_create_cq(&h->verbs, FEW, 0, NULL, NULL) };
    int error;
    for (unsigned i = 0; i < 3; i++) {
        struct verbs_cq *cq = i < 2 ? c.cq : h->cq;
        struct verbs_qp *qp = verbs_create_qp(&h->verbs, RDMA_RC, 1, cq, cq, NULL);
        EXPECT_EQUAL(verbs_connect_qp(qp, 0, qp->id, 0), 0);
        *(i < 2 ? &c.qp[i] : &c.other) = qp;
    }
    c.mr = verbs_reg_mr(&h->verbs, 1, &h->space, VA_A, 8192, ALL, &error);
    return c;
}

static void disperse(struct crowded *c)
{
    c->mr->device->on_error = NULL;
    verbs_destroy_qp(c->qp[0]);
    verbs_destroy_qp(c->qp[1]);
    verbs_destroy_qp(c->other);
    verbs_destroy_cq(c->cq);
    verbs_dereg_mr(c->mr);
}

static void post_writes(struct crowded *c, struct verbs_qp *qp, unsigned count)
{
    static const uint8_t data[8];
    for (unsigned i = 0; i < count; i++) {
        const struct verbs_wr wr = { .opcode  = RDMA_WRITE,
                                     .flags   = RDMA_FLAG_SIGNALED | RDMA_FLAG_INLINE,
                                     .context = 100 + i,
                                     .data    = data,
                                     .bytes   = sizeof data,
                                     .address = VA_A,
                                     .key     = c->mr->key };
        EXPECT_EQUAL(verbs_post_send(qp, &wr), 0);
    }
}

static unsigned poll_all(struct verbs_cq *cq, unsigned most, uint8_t status)
{
    struct verbs_wc wc;
    unsigned got = 0;
    for (; got < most && verbs_poll_cq(cq, &wc); got++)
        EXPECT_EQUAL(wc.status, status);
    return got;
}

static void overflowing(struct rdma_rig *r, void *state)
{
    struct rdma_host *h = &r->host[0];
    struct crowded c    = crowd(r);
    struct verbs_wc wc;
    (void)state;
    h->verbs.on_error      = note_error;
    h->verbs.on_error_self = &c;
    post_writes(&c, c.qp[0], FEW); /* As many as it has room for, */
    rdma_rig_sleep(r, 50 * TIME_US);
    EXPECT_EQUAL(c.events[RDMA_EVENT_CQ_ERROR], 0);
    post_writes(&c, c.qp[1], 1); /* and one more, of the other queue pair. */
    rdma_rig_sleep(r, 50 * TIME_US);
    EXPECT_EQUAL(c.events[RDMA_EVENT_CQ_ERROR], 1);
    EXPECT_EQUAL(c.events[RDMA_EVENT_QP_ERROR], 2);
    EXPECT(c.cq->failed);
    EXPECT_EQUAL(h->nic.stats.overflow, 1);
    EXPECT_EQUAL(h->nic.qp[c.qp[0]->id].state, RNIC_QP_FAILED);
    EXPECT_EQUAL(h->nic.qp[c.qp[1]->id].state, RNIC_QP_FAILED);
    EXPECT_EQUAL(h->nic.qp[c.other->id].state, RNIC_QP_READY);
    /* Those that are in it are not overwritten; nothing comes any more. */
    EXPECT_EQUAL(poll_all(c.cq, 100, RDMA_SUCCESS), FEW);
    post_writes(&c, c.qp[0], 1);
    rdma_rig_sleep(r, 50 * TIME_US);
    EXPECT(!verbs_poll_cq(c.cq, &wc));
    EXPECT_EQUAL(c.events[RDMA_EVENT_CQ_ERROR], 1);
    post_writes(&c, c.other, 1);
    expect_done(r, 0, 100, RDMA_SUCCESS);
    disperse(&c);
}

TEST_CASE(rdma_nic, a_completion_queue_that_overflows_fails_and_its_queue_pairs_with_it)
{
    run(overflowing);
}

/* Seven eighths are always outstanding, round after round, however few are taken at once.
 */
static void crowded_but_read(struct rdma_rig *r, void *state)
{
    struct crowded c = crowd(r);
    unsigned posted = 0, taken = 0;
    (void)state;
    for (unsigned step = 1; posted < 20 * FEW; step = step % 5 + 1) {
        const unsigned more = FEW * 7 / 8 - (posted - taken);
        post_writes(&c, c.qp[step % 2], more);
        posted += more;
        rdma_rig_sleep(r, 20 * TIME_US);
        EXPECT_EQUAL(poll_all(c.cq, step, RDMA_SUCCESS), step);
        taken += step;
    }
    EXPECT_EQUAL(r->host[0].nic.stats.overflow, 0);
    EXPECT_EQUAL(poll_all(c.cq, 100, RDMA_SUCCESS), posted - taken);
    disperse(&c);
}

TEST_CASE(rdma_nic, a_completion_queue_that_is_read_in_time_does_not_overflow)
{
    run(crowded_but_read);
}

/* ---- Faults of the memory
 * ---------------------------------------------------------------------- */

/* A port that answers reads of one address by a fault. */
struct bad_port {
    struct port port, *real;
    uint64_t iova;
    uint32_t tag;
    bool hit;
};

static bool bad_ready(void *self, enum port_kind kind)
{
    const struct bad_port *b = self;
    return port_ready(b->real, kind);
}

static void bad_submit(void *self, const struct port_request *request, sim_time_t now)
{
    struct bad_port *b = self;
    if (request->kind == PORT_READ && request->iova == b->iova) {
        b->tag = request->tag;
        b->hit = true;
    }
    port_submit(b->real, request, now);
}

static bool bad_take(void *self, struct port_response *response, sim_time_t now)
{
    struct bad_port *b = self;
    if (!port_take(b->real, response, now))
        return false;
    if (b->hit && response->kind == PORT_READ && response->tag == b->tag) {
        response->status = PORT_FAULT;
        b->hit           = false;
    }
    return true;
}

static const struct port_ops bad_ops = { bad_ready, bad_submit, bad_take, NULL };

static void faulty_operand(struct rdma_rig *r, void *state)
{
    enum { BEHIND = 12 };
    struct wrong w       = begin_wrong(r, ALL, ALL);
    struct rdma_nic *nic = &r->host[1].nic;
    struct bad_port bad  = { .port = { .ops = &bad_ops, .self = &bad },
                             .real = nic->port,
                             .iova = rdma_rig_frame(&r->host[1], VA_B) };
    struct verbs_wr next = w.wr;
    (void)state;
    nic->port   = &bad.port;
    w.wr.opcode = RDMA_FETCH_ADD;
    w.sge.bytes = RDMA_ATOMIC_BYTES;
    w.wr.sge    = &w.sge;
    next.flags |= RDMA_FLAG_INLINE; /* So that it is there before the operand is. */
    next.sges  = 0;
    next.data  = &w.r;
    next.bytes = 8;
    EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
    for (unsigned i = 0; i < BEHIND; i++)
        EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &next), 0);
    expect_done(r, 0, 7, RDMA_REMOTE_OPERATION);
    for (unsigned i = 0; i < BEHIND; i++)
        expect_done(r, 0, 7, RDMA_FLUSHED);
    EXPECT_EQUAL(nic->stats.fault, 1);
    rdma_rig_sleep(r, 20 * TIME_US);
    EXPECT_EQUAL(nic->stats.dropped, BEHIND);
    EXPECT(rdma_nic_idle(nic)); /* What came behind it does not stay. */
    nic->port = bad.real;
    end_wrong(r, &w);
}

TEST_CASE(rdma_nic, an_operand_that_cannot_be_read_ends_the_request_and_holds_up_nothing)
{
    struct rdma_rig *r = rdma_rig_new();
    r->link.latency_ns = 2000; /* Long enough for the rest to arrive meanwhile. */
    rdma_rig_run(r, faulty_operand, NULL);
    rdma_rig_free(r);
}

/* ---- Pages that are not there
 * ------------------------------------------------------------------ */

static void long_read(struct rdma_rig *r, void *state)
{
    static uint8_t data[8192], got[8192];
    struct wrong w = begin_wrong(r, ALL, ALL | RDMA_ON_DEMAND);
    (void)state;
    fill(data, sizeof data, 4);
    rdma_rig_put(&r->host[1], VA_B, data, sizeof data);
    w.wr.opcode = RDMA_READ;
    w.wr.sge    = &w.sge;
    for (unsigned i = 0; i < 2; i++) { /* The first page alone, then all: the second. */
        w.sge.bytes = i == 0 ? 8 : sizeof data;
        EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
        expect_done(r, 0, 7, RDMA_SUCCESS);
    }
    rdma_rig_sleep(r, 2 * TIME_US);
    rdma_rig_get(&r->host[0], VA_A, got, sizeof got);
    EXPECT(memcmp(data, got, sizeof got) == 0);
    EXPECT_EQUAL(r->host[1].nic.stats.page_fault, 2);
    EXPECT_EQUAL(r->host[1].nic.stats.nak, 0);
    end_wrong(r, &w);
}

/* Its packets are more than are made at a time: while a page is asked for, those behind it
 * are not begun again and again. */
TEST_CASE(rdma_nic, an_answer_of_many_packets_waits_for_its_pages)
{
    struct rdma_rig *r = rdma_rig_new();
    r->verbs.mtu       = 1024;
    r->nic.tx_slots    = 2;
    rdma_rig_run(r, long_read, NULL);
    rdma_rig_free(r);
}

enum { READERS = 70 }; /* More than the NIC reports faults of at a time. */

/* Each reads from a page of its own to the end of the region, so that every fault overlaps
 * every other one, and while one is served the others ask again. */
static void overlapping_faults(struct rdma_rig *r, void *state)
{
    static struct rdma_pair p[READERS];
    const uint64_t bytes = READERS * PAGE_SIZE;
    struct verbs_mr *a, *b;
    (void)state;
    for (unsigned i = 0; i < READERS; i++) {
        r->host[0].verbs.pds = r->host[1].verbs.pds = 0; /* All of one domain. */
        p[i]                                        = rdma_rig_connect(r, 0, 1, RDMA_RC);
    }
    a = rdma_rig_reg(r, 0, p[0].pd[0], VA_A, bytes, ALL);
    b = rdma_rig_reg(r, 1, p[0].pd[1], VA_B, bytes, ALL | RDMA_ON_DEMAND);
    for (unsigned i = 0; i < READERS; i++) {
        const uint64_t first      = bytes - (i + 1) * PAGE_SIZE;
        const struct rdma_sge sge = { (uint32_t)(bytes - first), a->key, VA_A };
        const struct verbs_wr wr  = { .opcode  = RDMA_READ,
                                      .flags   = RDMA_FLAG_SIGNALED,
                                      .sge     = &sge,
                                      .sges    = 1,
                                      .address = VA_B + first,
                                      .key     = b->key };
        EXPECT_EQUAL(rdma_rig_post(r, 0, p[i].qp[0], &wr), 0);
    }
    for (unsigned i = 0; i < READERS; i++)
        expect_done(r, 0, 0, RDMA_SUCCESS);
    EXPECT(r->host[1].nic.stats.page_fault <= READERS);
    EXPECT(r->host[1].nic.stats.page_fault >= RDMA_FAULTS_MAX);
    EXPECT_EQUAL(r->host[1].verbs.stats.event_fault, r->host[1].nic.stats.page_fault);
    EXPECT_EQUAL(r->host[1].nic.faults.count, 0);
    rdma_rig_dereg(r, a);
    rdma_rig_dereg(r, b);
    for (unsigned i = 0; i < READERS; i++)
        rdma_rig_disconnect(r, &p[i]);
}

TEST_CASE(rdma_nic, a_fault_is_over_when_it_is_answered_not_when_one_beside_it_is)
{
    struct rdma_rig *r = rdma_rig_new();
    r->nic.command_ns  = 20000; /* Longer than they wait before they ask again. */
    rdma_rig_run(r, overlapping_faults, NULL);
    rdma_rig_free(r);
}

/* ---- Packets and transactions
 * ------------------------------------------------------------------------ */

static void counted(struct rdma_rig *r, void *state)
{
    struct wrong w             = begin_wrong(r, ALL, ALL);
    const struct rdma_stats a0 = r->host[0].nic.stats, b0 = r->host[1].nic.stats;
    const struct rdma_stats *a = &r->host[0].nic.stats, *b = &r->host[1].nic.stats;
    (void)state;
    w.wr.sge = &w.sge;
    EXPECT_EQUAL(rdma_rig_post(r, 0, w.p.qp[0], &w.wr), 0);
    expect_done(r, 0, 7, RDMA_SUCCESS);
    rdma_rig_sleep(r, 2 * TIME_US);
    /* 5000 bytes at an MTU of 1024: 5 packets, one acknowledgement at least. */
    EXPECT_EQUAL(a->packet_request - a0.packet_request, 5);
    EXPECT_EQUAL(b->packet_ack - b0.packet_ack, 1);
    /* A page of 4096 bytes begins a new read; of 512 bytes each: 8 and 2. */
    EXPECT_EQUAL(a->transaction_gather - a0.transaction_gather, 10);
    EXPECT_EQUAL(a->gathered_bytes - a0.gathered_bytes, 5000);
    EXPECT_EQUAL(b->transaction_scatter - b0.transaction_scatter, 20);
    EXPECT_EQUAL(b->scattered_bytes - b0.scattered_bytes, 5000);
    EXPECT_EQUAL(a->transaction_fetch - a0.transaction_fetch, 1);
    EXPECT_EQUAL(a->transaction_completion - a0.transaction_completion, 1);
    EXPECT_EQUAL(a->transaction_interrupt - a0.transaction_interrupt, 1);
    /* Each end looks its region up for the first time: one entry, two pages of one line. */
    EXPECT_EQUAL(a->transaction_mpt - a0.transaction_mpt, 1);
    EXPECT_EQUAL(a->transaction_mtt - a0.transaction_mtt, 1);
    EXPECT_EQUAL(b->transaction_mpt - b0.transaction_mpt, 1);
    EXPECT_EQUAL(b->transaction_mtt - b0.transaction_mtt, 1);
    end_wrong(r, &w);
}

TEST_CASE(rdma_nic, a_write_takes_these_packets_and_transactions)
{
    struct rdma_rig *r = rdma_rig_new();
    r->verbs.mtu       = 1024;
    rdma_rig_run(r, counted, NULL);
    rdma_rig_free(r);
}
