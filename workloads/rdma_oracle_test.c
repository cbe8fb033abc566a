/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random work on one to four queue pairs against a model of memory that shares nothing with
 * the NIC: arrays of bytes, and what each request means, carried out one after the other.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/base/rng.h"
#include "sim/test/rdma_rig.h"
#include "sim/test/shim.h"

enum { SPACE = 40000, POSTS = 40, PAIRS = 4, SLOT = 9000 };
#define BASE(host) (UINT64_C(0x100000) + 0x1000000 * (host) + 123)

struct trial {
    uint64_t seed;
    bool demand, fast_dereg;
    unsigned pairs;
    struct rng rng;
    uint8_t memory[2][SPACE]; /* What it should be. */
    struct rdma_pair pair[PAIRS];
    struct verbs_mr *mr[PAIRS][2];
    unsigned outstanding;
};

static uint32_t up_to(struct trial *t, uint32_t most)
{
    return (uint32_t)(rng_next(&t->rng) % (most + 1));
}

/* Each queue pair has a part of either memory for itself, so that order between queue pairs
 * does not matter; within one it does: requests overlap as chance will have it. */
static uint64_t offset_in(struct trial *t, unsigned pair, uint32_t bytes)
{
    return (uint64_t)pair * SLOT + up_to(t, SLOT - bytes);
}

static struct verbs_mr *mr_of(const struct trial *t, unsigned pair, unsigned host)
{
    return t->mr[pair][host];
}

static void set_up(struct rdma_rig *r, struct trial *t)
{
    const uint32_t access = RDMA_LOCAL_WRITE | RDMA_REMOTE_WRITE | RDMA_REMOTE_READ
                            | RDMA_REMOTE_ATOMIC | (t->demand ? RDMA_ON_DEMAND : 0);
    for (unsigned h = 0; h < 2; h++) {
        for (unsigned i = 0; i < SPACE; i++)
            t->memory[h][i] = (uint8_t)rng_next(&t->rng);
        rdma_rig_put(&r->host[h], BASE(h), t->memory[h], SPACE);
    }
    for (unsigned p = 0; p < t->pairs; p++) {
        t->pair[p] = rdma_rig_connect(r, 0, 1, RDMA_RC);
        for (unsigned h = 0; h < 2; h++)
            t->mr[p][h] = rdma_rig_reg(r, h, t->pair[p].pd[h], BASE(h), SPACE, access);
    }
}

/* Waits for n more completions, all good. */
static void settle(struct rdma_rig *r, struct trial *t)
{
    struct verbs_wc wc;
    for (unsigned turn = 0; t->outstanding > 0; turn++) {
        REQUIRE(turn < 100000);
        const unsigned host = r->host[0].seen < r->host[0].wcs   ? 0
                              : r->host[1].seen < r->host[1].wcs ? 1
                                                                 : 2;
        if (host == 2) {
            rdma_rig_sleep(r, TIME_US);
            continue;
        }
        REQUIRE(rdma_rig_next(r, host, &wc));
        EXPECT_EQUAL(wc.status, RDMA_SUCCESS);
        t->outstanding--;
    }
}

/* Several pieces of local memory, each in the queue pair's part. */
static uint32_t pieces(struct trial *t, unsigned pair, unsigned host, uint32_t bytes,
                       struct rdma_sge *sge, uint64_t *first)
{
    const uint64_t at    = offset_in(t, pair, bytes);
    const uint32_t count = bytes <= 8 ? 1 : 1 + up_to(t, 1); /* Atomics have one. */
    const uint32_t cut   = count == 1 ? bytes : up_to(t, bytes);
    *first               = at;
    sge[0] = (struct rdma_sge){ cut, mr_of(t, pair, host)->key, BASE(host) + at };
    sge[1] =
        (struct rdma_sge){ bytes - cut, mr_of(t, pair, host)->key, BASE(host) + at + cut };
    return count;
}

/* In a batch, work goes one way and changes memory at its end only: then the order in which
 * a queue pair carries it out is the only one that matters. */
static void post_one(struct rdma_rig *r, struct trial *t, unsigned from, bool batch)
{
    static const uint8_t opcode[] = { RDMA_WRITE, RDMA_READ, RDMA_SEND, RDMA_FETCH_ADD,
                                      RDMA_COMPARE_SWAP };
    const unsigned pair = up_to(t, t->pairs - 1), to = 1 - from;
    const uint8_t op     = opcode[batch ? 2 * up_to(t, 1) : up_to(t, 4)];
    const bool atomic    = op == RDMA_FETCH_ADD || op == RDMA_COMPARE_SWAP;
    const uint32_t bytes = atomic ? 8 : up_to(t, up_to(t, 1) == 0 ? 40 : SLOT - 1);
    struct rdma_sge sge[2];
    uint8_t inlined[32];
    uint64_t local;
    const uint32_t sges = pieces(t, pair, from, bytes, sge, &local);
    uint64_t remote     = offset_in(t, pair, bytes);
    if (atomic) {
        remote = (uint64_t)pair * SLOT + up_to(t, (SLOT - 16) / 8) * 8;
        remote += (8 - (BASE(to) + remote) % 8) % 8;
    }
    struct verbs_wr wr = { .opcode   = op,
                           .flags    = RDMA_FLAG_SIGNALED,
                           .sge      = sge,
                           .sges     = sges,
                           .address  = BASE(to) + remote,
                           .key      = mr_of(t, pair, to)->key,
                           .swap_add = rng_next(&t->rng),
                           .compare  = 5 };
    uint8_t *mine = t->memory[from] + local, *its = t->memory[to] + remote;
    if ((op == RDMA_WRITE || op == RDMA_SEND) && bytes <= sizeof inlined) {
        wr.flags |= RDMA_FLAG_INLINE; /* It need not be in memory at all. */
        for (uint32_t i = 0; i < bytes; i++)
            inlined[i] = (uint8_t)rng_next(&t->rng);
        wr.data  = inlined;
        wr.bytes = bytes;
        mine     = inlined;
        wr.sges  = 0;
    }
    if (op == RDMA_SEND) {
        EXPECT_EQUAL(rdma_rig_receive(r, to, t->pair[pair].qp[to]->rq, BASE(to) + remote,
                                      bytes + up_to(t, 3) * (remote + bytes + 3 < SPACE),
                                      mr_of(t, pair, to)->key, 0),
                     0);
        t->outstanding++;
    }
    if (atomic) {
        uint64_t word, old;
        memcpy(&word, its, 8);
        old = word;
        if (up_to(t, 1) == 0)
            wr.compare = word; /* It will match. */
        if (op == RDMA_FETCH_ADD)
            word += wr.swap_add;
        else if (word == wr.compare)
            word = wr.swap_add;
        memcpy(its, &word, 8);
        memcpy(mine, &old, 8);
    } else if (op == RDMA_READ) {
        memcpy(mine, its, bytes);
    } else {
        memcpy(its, mine, bytes);
    }
    EXPECT_EQUAL(rdma_rig_post(r, from, t->pair[pair].qp[from], &wr), 0);
    t->outstanding++;
}

static void compare(struct rdma_rig *r, const struct trial *t)
{
    static uint8_t got[SPACE];
    for (unsigned h = 0; h < 2; h++) {
        rdma_rig_get(&r->host[h], BASE(h), got, SPACE);
        unsigned first = 0;
        while (first < SPACE && got[first] == t->memory[h][first])
            first++;
        EXPECT_EQUAL(first, SPACE); /* Nothing else has changed, either. */
    }
}

struct drop {
    uint64_t first, bytes;
};

static void drop_pages(struct rdma_host *h, void *arg)
{
    const struct drop *d = arg;
    verbs_invalidate_pages(&h->verbs, &h->space, d->first, d->bytes);
}

static void work(struct rdma_rig *r, void *state)
{
    struct trial *t = state;
    set_up(r, t);
    for (unsigned i = 0; i < POSTS; i++) {
        const unsigned batch = up_to(t, 1) == 0 ? 0 : up_to(t, 5), from = up_to(t, 1);
        for (unsigned k = 0; k <= batch; k++)
            post_one(r, t, from, batch > 0);
        if (t->demand && up_to(t, 5) == 0) {
            const unsigned h    = up_to(t, 1);
            const struct drop d = { BASE(h) + up_to(t, SPACE - 9000), 9000 };
            rdma_on(r, h, drop_pages, (void *)(uintptr_t)&d);
        }
        settle(r, t);
        rdma_rig_sleep(r, 2 * TIME_US); /* Until writes that are on their way are there. */
        if (i % 8 == 0)
            compare(r, t);
    }
    compare(r, t);
    for (unsigned p = 0; p < t->pairs; p++)
        for (unsigned h = 0; h < 2; h++)
            rdma_rig_dereg(r, t->mr[p][h]);
    for (unsigned p = 0; p < t->pairs; p++)
        rdma_rig_disconnect(r, &t->pair[p]);
}

static void try(uint64_t seed, bool demand, unsigned pairs, enum blk_api api, bool tiny)
{
    struct rdma_rig *r = rdma_rig_new();
    struct trial *t    = calloc(1, sizeof *t);
    CHECK(t != NULL);
    t->seed   = seed;
    t->demand = demand;
    t->pairs  = pairs;
    t->rng    = rng_make(seed, "rdma oracle");
    r->api    = api;
    if (tiny) { /* Everything is in the way of everything. */
        r->nic.mpt_sets = r->nic.mtt_sets = 1;
        r->nic.mpt_ways = r->nic.mtt_ways = 2;
        r->nic.tx_slots = r->nic.rx_slots = 2;
        r->nic.window = r->nic.fetch_entries = 1;
        r->nic.reads = r->nic.writes = 8;
        r->wire_config.packets       = 2;
        r->verbs.mtu                 = 256;
        r->verbs.reads               = 1;
    }
    rdma_rig_run(r, work, t);
    rdma_rig_free(r);
    free(t);
}

TEST_CASE(rdma_oracle, random_work_leaves_memory_as_it_should_be)
{
    for (uint64_t seed = 0; seed < 6; seed++)
        try(seed, false, 1 + (unsigned)seed % PAIRS, (enum blk_api)(seed % BLK_API_COUNT),
            false);
}

TEST_CASE(rdma_oracle, also_on_demand_with_pages_that_go_and_come)
{
    for (uint64_t seed = 100; seed < 106; seed++)
        try(seed, true, 1 + (unsigned)seed % PAIRS, (enum blk_api)(seed % BLK_API_COUNT),
            false);
}

TEST_CASE(rdma_oracle, also_in_the_smallest_nic_there_can_be)
{
    for (uint64_t seed = 200; seed < 206; seed++)
        try(seed, seed % 2 == 0, 1 + (unsigned)seed % PAIRS, BLK_sg, true);
}
