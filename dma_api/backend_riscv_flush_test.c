/* SPDX-License-Identifier: Apache-2.0 */
/* The RISC-V driver: which commands a flush sends, and the queue that carries them. */
#include "sim/test/riscv_bench.h"
#include "sim/test/shim.h"

/* ---- Flushes ------------------------------------------------------------------------ */

/* n commands, one for each stride from first on, and a fence. */
static void expect_pages(uint64_t first, uint64_t n, uint64_t stride)
{
    EXPECT_EQUAL(rv_commands(), n + 1);
    for (unsigned i = 0; i < n; i++)
        if (!EXPECT(is_page(rv_nth(i), 1, first + i * stride)))
            return;
    EXPECT(is_fence(rv_nth((unsigned)n)));
    EXPECT_EQUAL(rv.kernel.stats.descriptor_page - rv.before.descriptor_page, n);
    EXPECT_EQUAL(rv.kernel.stats.descriptor - rv.before.descriptor, n);
    EXPECT_EQUAL(rv.kernel.stats.submission - rv.before.submission, 1);
}

static void expect_whole(void)
{
    EXPECT_EQUAL(rv_commands(), 2);
    EXPECT(is_whole(rv_nth(0), 1));
    EXPECT(is_fence(rv_nth(1)));
    EXPECT_EQUAL(rv.kernel.stats.descriptor_domain - rv.before.descriptor_domain, 1);
    EXPECT_EQUAL(rv.kernel.stats.descriptor - rv.before.descriptor, 1);
}

static void flush(uint64_t first, uint64_t bytes, bool tables, unsigned leaf_lg2)
{
    rv_begin();
    backend_riscv.flush_range(rv.driver, rv.domain, first, first + bytes - 1, tables,
                              leaf_lg2);
}

enum { PAGE = 0x1000, MEGA = 1 << 20 };

static void flushes_of_6_18(void)
{
    flush(0x7000, PAGE, false, 12);
    expect_pages(0x7000, 1, PAGE);
    flush(0x7000, 32 * PAGE, false, 12);
    expect_pages(0x7000, 32, PAGE);
    flush(0x7000, 511 * PAGE, false, 12);
    expect_pages(0x7000, 511, PAGE);
    flush(0x7000, 512 * PAGE, false, 12); /* 2 MiB: too many. */
    expect_whole();
    flush(4 * MEGA, 2 * MEGA, false, 21); /* Also when it was one leaf. */
    expect_whole();
    flush(0x7000, PAGE, true, 12);
    expect_whole();
    rv_begin();
    backend_riscv.flush_all(rv.driver, rv.domain);
    expect_whole();
}

TEST_CASE(backend_riscv, release_6_18_tells_page_by_page_below_two_megabytes)
{
    rv_new();
    rv_release("6.18");
    rv_run(flushes_of_6_18);
}

static void flushes_of_7_3(void)
{
    flush(0x7000, 32 * PAGE, false, 12);
    expect_pages(0x7000, 32, PAGE);
    flush(0x7000, 512 * PAGE, false, 12);
    expect_pages(0x7000, 512, PAGE);
    flush(0x7000, 513 * PAGE, false, 12);
    expect_whole();
    flush(4 * MEGA, 6 * MEGA, false, 21); /* Three leaves of 2 MiB: three commands. */
    expect_pages(4 * MEGA, 3, 2 * MEGA);
    flush(4 * MEGA, 6 * MEGA, false, 0); /* Nobody knows what was there. */
    expect_whole();
    flush(0x7000, PAGE, true, 12);
    expect_whole();
    rv_begin();
    backend_riscv.flush_all(rv.driver, rv.domain);
    expect_whole();
}

TEST_CASE(backend_riscv, release_7_3_strides_by_the_smallest_leaf_up_to_512_times)
{
    rv_new();
    rv_run(flushes_of_7_3);
}

static void unmap_and_flush(uint64_t iova, uint64_t phys, uint64_t bytes)
{
    struct flush_range range = { .iova = iova, .bytes = bytes };
    EXPECT_EQUAL(domain_map(rv.domain, iova, phys, bytes, PT_READ), 0);
    EXPECT(domain_unmap(rv.domain, &range));
    rv_begin();
    domain_flush_range(rv.domain, &range);
}

/* What an unmap knows reaches the driver. */
static void through_the_domain(void)
{
    unmap_and_flush(0x7000, 0x5000, 4 * PAGE);
    expect_pages(0x7000, 4, PAGE);
    unmap_and_flush(0x10000, 0x50000, 0x10000); /* 16 entries of level 0: 16 commands. */
    expect_pages(0x10000, 16, PAGE);
    unmap_and_flush(4 * MEGA, 8 * MEGA, 4 * MEGA);
    expect_pages(4 * MEGA, 2, 2 * MEGA);
    unmap_and_flush(4 * MEGA - PAGE, 8 * MEGA - PAGE, 2 * MEGA + PAGE); /* 4 KiB + 2 MiB */
    expect_whole();
    unmap_and_flush(4 * MEGA, 8 * MEGA, 2 * MEGA + PAGE); /* 2 MiB + 4 KiB */
    expect_whole();
    unmap_and_flush(4 * MEGA, 0x1000, 2 * MEGA); /* Empties a table of 512 pages. */
    expect_whole();
}

TEST_CASE(backend_riscv, an_unmap_decides_what_its_flush_must_say)
{
    rv_new();
    rv_run(through_the_domain);
}

static void detached(void)
{
    const uint64_t barriers =
        rv.kernel.cost.flush_range_cycles + rv.cpu_config.barrier_cycles;
    const uint64_t before = cpu_this()->time;
    flush(0x7000, PAGE, false, 12);
    EXPECT_EQUAL(rv_commands(), 0);
    EXPECT_EQUAL(cpu_this()->time - before, barriers * rv.cpu_config.period_ps);
}

TEST_CASE(backend_riscv, without_a_device_there_is_nobody_to_tell)
{
    rv_new();
    rv.attached = 0;
    rv_run(detached);
}

static void two_devices(void)
{
    flush(0x7000, 2 * PAGE, false, 12);
    expect_pages(0x7000, 2, PAGE);
}

TEST_CASE(backend_riscv, two_devices_of_one_domain_are_told_once)
{
    rv_new();
    rv.attached = 2;
    rv_run(two_devices);
}

/* ---- The queue ---------------------------------------------------------------------- */

static void many_flushes(void)
{
    for (unsigned i = 0; i < 50; i++) {
        flush(0x7000 + i * PAGE, 3 * PAGE, false, 12);
        expect_pages(0x7000 + i * PAGE, 3, PAGE);
        EXPECT(rv.fake.log[rv.fake.logged - 1].done <= cpu_this()->time);
    }
}

/* A ring of 8 wraps 25 times; the fake checks each doorbell. */
TEST_CASE(backend_riscv, the_ring_wraps)
{
    rv_new();
    rv.fake.ring_lg2 = 3;
    rv_run(many_flushes);
}

static void long_flush(void)
{
    flush(0x7000, 100 * PAGE, false, 12);
    expect_pages(0x7000, 100, PAGE);
    EXPECT(rv.kernel.stats.queue_full_turn > 0);
    EXPECT(cpu_owner_cycles(cpu_this(), OWNER_inval_slot) > 0);
    EXPECT(rv.fake.log[rv.fake.logged - 1].done <= cpu_this()->time);
}

TEST_CASE(backend_riscv, a_full_ring_waits_for_the_head)
{
    rv_new();
    rv.fake.ring_lg2   = 2;
    rv.fake.command_ps = 2 * TIME_US;
    rv_run(long_flush);
}

static uint64_t wait_cycles(enum cpu_owner owner)
{
    return cpu_owner_cycles(cpu_this(), owner);
}

/* A turn is two reads, each both ways over the register path. */
static void slow_fence(void)
{
    const uint64_t waited = wait_cycles(OWNER_inval_wait);
    const uint64_t sent   = wait_cycles(OWNER_inval_submit);
    flush(0x7000, PAGE, false, 12);
    const uint64_t turns = rv.kernel.stats.poll_turn - rv.before.poll_turn;
    const uint64_t ps = (wait_cycles(OWNER_inval_wait) - waited) * rv.cpu_config.period_ps;
    EXPECT(turns > 20);
    EXPECT(ps >= turns * 400 * TIME_NS);
    EXPECT(ps <= turns * 450 * TIME_NS);
    EXPECT(wait_cycles(OWNER_inval_submit) - sent
           > 2 * rv.cpu_config.uncached_write_cycles);
    EXPECT(rv.fake.log[rv.fake.logged - 1].done <= cpu_this()->time);
}

TEST_CASE(backend_riscv, a_fence_is_waited_for_over_the_register_path)
{
    rv_new();
    rv.fake.command_ps = 5 * TIME_US;
    rv_run(slow_fence);
}

enum { ROUNDS = 20, RANGE = 32 };

static void contend(void)
{
    const unsigned id = cpu_this()->id;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t first = (uint64_t)(id + 1) << 32 | (uint64_t)i * RANGE * PAGE;
        backend_riscv.flush_range(rv.driver, rv.domain, first, first + RANGE * PAGE - 1,
                                  false, 12);
        EXPECT_EQUAL(cpu_this()->irq_off, 0);
        unsigned unfinished = 0;
        for (unsigned n = 0; n < rv_commands(); n++)
            unfinished += riscv_inval_address(rv_nth(n)) >= first
                          && riscv_inval_address(rv_nth(n)) < first + RANGE * PAGE
                          && rv.fake.log[rv.from + n].done > cpu_this()->time;
        EXPECT_EQUAL(unfinished, 0); /* On return, nothing of it is still to come. */
    }
}

/* Each CPU's commands are all there, in its order, with its fences among them. */
static void expect_both(unsigned ring_lg2)
{
    uint64_t next[RV_CPUS_MAX] = { UINT64_C(1) << 32, UINT64_C(2) << 32 };
    unsigned fences = 0, others = 0, alternations = 0, last = 0;
    rv_new();
    rv.cpus          = 2;
    rv.fake.ring_lg2 = ring_lg2;
    rv_run(contend);
    for (unsigned n = 0; n < 2 * ROUNDS * (RANGE + 1); n++) {
        const struct riscv_command c = rv_nth(n);
        const unsigned cpu           = (unsigned)(riscv_inval_address(c) >> 32) - 1;
        if (is_fence(c)) {
            fences++;
        } else if (cpu < RV_CPUS_MAX && is_page(c, 1, next[cpu])) {
            next[cpu] += PAGE;
            alternations += cpu != last;
            last = cpu;
        } else {
            others++;
        }
    }
    EXPECT_EQUAL(others, 0);
    EXPECT_EQUAL(fences, 2 * ROUNDS);
    EXPECT(alternations > ROUNDS);
    EXPECT(cpu_owner_cycles(&rv.cpu[0], OWNER_inval_lock) > 0);
    EXPECT(cpu_owner_cycles(&rv.cpu[1], OWNER_inval_lock) > 0);
}

TEST_CASE(backend_riscv, two_cpus_share_the_ring_and_lose_nothing)
{
    expect_both(13);
}

TEST_CASE(backend_riscv, two_cpus_share_a_ring_of_four)
{
    expect_both(2);
}

/* ---- What goes wrong ---------------------------------------------------------------- */

static void stopped(void)
{
    flush(0x7000, 4 * PAGE, false, 12);
    EXPECT_EQUAL(mmio_read64(&rv.window, RISCV_CAPABILITIES), RV_CAP_ALL); /* Behind all. */
    EXPECT_EQUAL(rv.fake.errors_cleared, 1);
    EXPECT_HAS(rv.kernel.last_warning, "error");
    flush(0x7000, 4 * PAGE, false, 12); /* And it goes on. */
    expect_pages(0x7000, 4, PAGE);
    EXPECT_EQUAL(rv.kernel.stats.warning, 1);
}

TEST_CASE(backend_riscv, an_error_of_the_queue_is_said_and_cleared)
{
    rv_new();
    rv.fake.illegal_at = 8; /* Behind bring-up and attach. */
    rv_run(stopped);
}

static void stopping(void)
{
    const sim_time_t before = cpu_this()->time;
    rv.fake.dead            = true;
    flush(0x7000, 8 * PAGE, false, 12);
    EXPECT_EQUAL(rv_commands(), 3); /* As many as a ring of four holds. */
    EXPECT(cpu_this()->time - before >= 150 * TIME_MS);
    EXPECT(cpu_this()->time - before < 151 * TIME_MS);
    EXPECT_HAS(rv.kernel.last_warning, "dropped");
    EXPECT_EQUAL(rv.kernel.stats.warning, 1);
}

TEST_CASE(backend_riscv, a_queue_that_stops_moving_is_given_up_after_150_ms)
{
    rv_new();
    rv.fake.ring_lg2 = 2;
    rv_run(stopping);
}
