/* SPDX-License-Identifier: Apache-2.0 */
/* Over a disk in host memory that does what it is told wrong: it has to be noticed. */
#include "workloads/nvmf_verify.h"

#include <stdlib.h>
#include <string.h>

#include "sim/test/shim.h"

enum { BLOCKS = 64, FLIGHTS = 8 };
enum wrong { NOTHING, LOSES_A_WRITE, SWAPS_BLOCKS, FLIPS_A_BIT, READS_LATE_BYTES, WRONGS };

struct disk {
    struct memory memory;
    uint8_t medium[BLOCKS * 512];
    struct nvmf_stats stats;
    struct nvmf_verify verify;
    enum wrong wrong;
    struct nvme_io held[FLIGHTS]; /* Until finish. */
    struct blk_segment segment[FLIGHTS];
    unsigned holds;
    bool busy; /* Refuses what comes. */
};

static int take(void *self, const struct nvme_io *io)
{
    struct disk *d = self;
    if (d->busy)
        return -EBUSY;
    CHECK(d->holds < FLIGHTS);
    d->segment[d->holds]      = io->segment[0];
    d->held[d->holds]         = *io;
    d->held[d->holds].segment = &d->segment[d->holds];
    d->holds++;
    return 0;
}

static void carry_out(struct disk *d, const struct nvme_io *io)
{
    uint8_t *at         = d->medium + io->lba * 512;
    const uint64_t phys = io->segment[0].phys;
    if (io->opcode == NVME_WRITE && d->wrong == LOSES_A_WRITE)
        return;
    if (io->opcode == NVME_WRITE)
        memory_read(&d->memory, phys, at, io->bytes);
    else
        memory_write(&d->memory, phys, at, io->bytes);
    if (io->opcode == NVME_WRITE && d->wrong == SWAPS_BLOCKS) {
        uint8_t first[512];
        memcpy(first, at, 512);
        memcpy(at, at + 512, 512);
        memcpy(at + 512, first, 512);
    }
    if (io->opcode == NVME_WRITE && d->wrong == FLIPS_A_BIT)
        at[700] ^= 4;
    if (io->opcode == NVME_READ && d->wrong == READS_LATE_BYTES)
        memory_write(&d->memory, phys + io->bytes - 1, "", 1);
}

static void finish(struct disk *d)
{
    for (unsigned i = 0; i < d->holds; i++) {
        carry_out(d, &d->held[i]);
        d->held[i].done(d->held[i].arg, NVME_SUCCESS);
    }
    d->holds = 0;
}

static void count_done(void *arg, uint16_t status)
{
    *(unsigned *)arg += status == NVME_SUCCESS;
}

static int submit(struct disk *d, enum nvme_opcode opcode, uint64_t lba, uint64_t phys,
                  unsigned *done)
{
    const struct blk_segment segment = { phys, 1024 };
    const struct nvme_io io          = { .opcode   = opcode,
                                         .lba      = lba,
                                         .bytes    = 1024,
                                         .segment  = &segment,
                                         .segments = 1,
                                         .done     = count_done,
                                         .arg      = done };
    return nvmf_verify_submit(&d->verify, &io);
}

static struct disk *new_disk(enum wrong wrong)
{
    struct disk *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    memory_init(&d->memory);
    d->wrong                       = wrong;
    const struct replay_disk below = { take, d, NULL, NULL };
    nvmf_verify_init(&d->verify, &d->memory, &below, &d->stats);
    return d;
}

static void free_disk(struct disk *d)
{
    nvmf_verify_free(&d->verify);
    memory_free(&d->memory);
    free(d);
}

TEST_CASE(nvmf_verify, what_a_disk_does_wrong_is_noticed)
{
    for (unsigned wrong = NOTHING; wrong < WRONGS; wrong++) {
        struct disk *d = new_disk((enum wrong)wrong);
        unsigned done  = 0;
        EXPECT_EQUAL(submit(d, NVME_READ, 40, 0x5000, &done), 0); /* Never written. */
        EXPECT_EQUAL(submit(d, NVME_WRITE, 8, 0x1000, &done), 0);
        finish(d);
        EXPECT_EQUAL(submit(d, NVME_READ, 8, 0x3000, &done), 0);
        finish(d);
        const bool reads = wrong != NOTHING;
        EXPECT_EQUAL(done, 3);
        EXPECT_EQUAL(d->stats.compared_bytes, 2048);
        EXPECT_EQUAL(d->stats.mismatched, reads);
        nvmf_verify_medium(&d->verify, d->medium);
        EXPECT_EQUAL(d->stats.medium_bytes, 1024);
        EXPECT_EQUAL(d->stats.mismatched > reads,
                     wrong != NOTHING && wrong != READS_LATE_BYTES);
        free_disk(d);
    }
}

/* A write and a read of one block beside each other, then two writes of one buffer. */
TEST_CASE(nvmf_verify, what_depends_on_the_order_is_not_compared)
{
    struct disk *d = new_disk(NOTHING);
    unsigned done  = 0;
    EXPECT_EQUAL(submit(d, NVME_WRITE, 8, 0x1000, &done), 0);
    EXPECT_EQUAL(submit(d, NVME_READ, 9, 0x3000, &done), 0);
    EXPECT_EQUAL(submit(d, NVME_READ, 10, 0x7000, &done), 0); /* Beside them. */
    finish(d);
    EXPECT_EQUAL(d->stats.compared_bytes, 1024);
    EXPECT_EQUAL(d->stats.uncertain_bytes, 2048);
    EXPECT_EQUAL(submit(d, NVME_WRITE, 20, 0x1000, &done), 0);
    EXPECT_EQUAL(submit(d, NVME_WRITE, 30, 0x1200, &done), 0);
    finish(d);
    EXPECT_EQUAL(submit(d, NVME_READ, 20, 0x3000, &done), 0); /* Not known any more. */
    finish(d);
    EXPECT_EQUAL(d->stats.compared_bytes, 1024);
    EXPECT_EQUAL(submit(d, NVME_WRITE, 20, 0x1000, &done), 0); /* Known again. */
    finish(d);
    EXPECT_EQUAL(submit(d, NVME_READ, 20, 0x3000, &done), 0);
    finish(d);
    EXPECT_EQUAL(d->stats.compared_bytes, 2048);
    EXPECT_EQUAL(d->stats.mismatched, 0);
    EXPECT_EQUAL(done, 8);
    free_disk(d);
}

TEST_CASE(nvmf_verify, what_is_refused_was_never_there)
{
    struct disk *d = new_disk(NOTHING);
    unsigned done  = 0;
    d->busy        = true;
    EXPECT_EQUAL(submit(d, NVME_WRITE, 8, 0x1000, &done), -EBUSY);
    d->busy = false;
    EXPECT_EQUAL(submit(d, NVME_READ, 8, 0x1000, &done), 0);
    finish(d);
    EXPECT_EQUAL(d->stats.compared_bytes, 1024); /* Zeroes. */
    EXPECT_EQUAL(d->stats.mismatched, 0);
    EXPECT_EQUAL(d->stats.uncertain_bytes, 0);
    free_disk(d);
}
