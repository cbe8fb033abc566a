/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mmio.h"

#include <string.h>

#include "sim/host/direct.h"
#include "sim/test/shim.h"

enum { ONE_WAY = 1000, POST = 7, WRITES = 5 };

static struct {
    struct engine engine;
    struct memory memory;
    struct cpu_config config;
    struct cpu cpu;
    struct mmio_window window;
    struct {
        uint32_t offset;
        uint64_t value;
        unsigned bytes;
        sim_time_t time;
    } seen[16];
    unsigned count;
} w;

static void see(uint32_t offset, uint64_t value, unsigned bytes, sim_time_t now)
{
    CHECK(w.count < 16);
    w.seen[w.count].offset = offset;
    w.seen[w.count].value  = value;
    w.seen[w.count].bytes  = bytes;
    w.seen[w.count++].time = now;
}

static void on_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                     sim_time_t now)
{
    (void)self;
    see(offset, value, bytes, now);
}

static uint64_t on_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    (void)self;
    see(offset, 0, bytes, now);
    return UINT64_C(0x123456789abcdef0);
}

static const struct mmio_ops ops = { on_write, on_read };

static void run(void (*program)(void *arg))
{
    struct direct_host *host = direct_host_new();
    memset(&w, 0, sizeof w);
    w.config.period_ps             = 1;
    w.config.uncached_write_cycles = POST;
    memory_init(&w.memory);
    engine_init(&w.engine, direct_host_verbs(host), true);
    mmio_init(&w.window, &w.engine, "window", &ops, NULL, ONE_WAY);
    cpu_init(&w.cpu, 0, &w.engine, &w.memory, &w.config, program, NULL);
    engine_run(&w.engine);
    EXPECT(w.cpu.finished);
    engine_free(&w.engine);
    mmio_free(&w.window);
    memory_free(&w.memory);
    direct_host_free(host);
}

static void writes(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < WRITES; i++)
        mmio_write32(&w.window, 4 * i, i);
    EXPECT_EQUAL(w.cpu.time, WRITES * POST); /* Posted: the CPU goes on. */
    EXPECT_EQUAL(w.count, 0);
    EXPECT_EQUAL(mmio_read32(&w.window, 40), 0x9abcdef0);
    EXPECT_EQUAL(w.cpu.time, WRITES * POST + 2 * ONE_WAY);
    EXPECT_EQUAL(w.count, WRITES + 1); /* The read came behind every write. */
    EXPECT_EQUAL(w.seen[WRITES].offset, 40);
    EXPECT_EQUAL(w.seen[WRITES].time, WRITES * POST + ONE_WAY);
    EXPECT_EQUAL(cpu_owner_cycles(&w.cpu, OWNER_driver), w.cpu.time);
}

TEST_CASE(mmio, writes_are_posted_in_order_and_a_read_waits_for_both_ways)
{
    run(writes);
    for (unsigned i = 0; i < WRITES; i++) {
        EXPECT_EQUAL(w.seen[i].offset, 4 * i);
        EXPECT_EQUAL(w.seen[i].value, i);
        EXPECT_EQUAL(w.seen[i].bytes, 4);
        EXPECT_EQUAL(w.seen[i].time, (i + 1) * POST + ONE_WAY);
    }
}

static void wide(void *arg)
{
    (void)arg;
    mmio_write64(&w.window, 8, UINT64_MAX);
    EXPECT_EQUAL(mmio_read64(&w.window, 16), UINT64_C(0x123456789abcdef0));
    EXPECT_EQUAL(w.seen[0].bytes, 8);
    EXPECT_EQUAL(w.seen[0].value, UINT64_MAX);
    EXPECT_EQUAL(w.seen[1].bytes, 8);
}

TEST_CASE(mmio, registers_of_64_bits_go_in_one_piece)
{
    run(wide);
}

static void crooked(void *arg)
{
    (void)arg;
    mmio_write64(&w.window, 4, 0);
}

static void run_crooked(void *arg)
{
    (void)arg;
    run(crooked);
}

TEST_CASE(mmio, a_crooked_register_is_a_violation)
{
    EXPECT_DIES(run_crooked, NULL, "offset % bytes");
}
