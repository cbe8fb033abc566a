/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one unmap costs under the simple policies, to the cycle: nothing but what the
 * parameters say. Each parameter is a digit of the total, so that the total says how often
 * each was paid.
 */
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

/* How often an unmap pays for each; the flush is what the IOMMU and its queue take. */
struct bill {
    unsigned call, range, level, entry, flush, queue;
};

enum { DIGIT = 40 }; /* Above all of them. */

static uint64_t price(unsigned digit)
{
    uint64_t p = 1;
    while (digit-- > 0)
        p *= DIGIT;
    return p;
}

static struct bill bill_of(uint64_t cycles)
{
    unsigned digit[6];
    for (unsigned i = 0; i < 6; i++) {
        digit[i] = (unsigned)(cycles % DIGIT);
        cycles /= DIGIT;
    }
    EXPECT_EQUAL(cycles, 0);
    return (struct bill){ digit[0], digit[1], digit[2], digit[3], digit[4], digit[5] };
}

static struct bill unmap_bill(struct kernel_rig *r, unsigned pages)
{
    const dma_addr_t iova =
        dma_map_phys(&r->device, 0x40000000, 4096 * pages, DMA_TO_DEVICE, 0);
    const sim_time_t begin = cpu_this()->time;
    dma_unmap_phys(&r->device, iova, 4096 * pages, DMA_TO_DEVICE, 0);
    return bill_of(cpu_this()->time - begin);
}

/* Levels: four to look the address up, three to come from the root to the leaf table. */
static void expect_bill(struct bill b, unsigned pages, unsigned flushes, unsigned queue)
{
    EXPECT_EQUAL(b.call, 1);
    EXPECT_EQUAL(b.range, 1);
    EXPECT_EQUAL(b.level, 4 + 3);
    EXPECT_EQUAL(b.entry, pages);
    EXPECT_EQUAL(b.flush, flushes);
    EXPECT_EQUAL(b.queue, queue);
}

/* Nothing costs anything but what is counted. */
static void run(const char *policy, const char *key, const char *value,
                kernel_program *body)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, policy);
    if (key != NULL)
        kernel_rig_policy_set(r, key, value);
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    memset(&r->cost, 0, sizeof r->cost);
    r->cpu_config.period_ps    = 1;
    r->cost.call_cycles        = (uint32_t)price(0);
    r->cost.unmap_range_cycles = (uint32_t)price(1);
    r->cost.table_level_cycles = (uint32_t)price(2);
    r->cost.unmap_entry_cycles = (uint32_t)price(3);
    r->fake_flush_cycles       = price(4);
    r->cost.flush_queue_cycles = (uint32_t)price(5);
    kernel_rig_run(r, body, NULL);
    kernel_rig_free(r);
}

static void one_flush(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned pages = 1; pages <= 32; pages++)
        expect_bill(unmap_bill(r, pages), pages, 1, 0);
}

TEST_CASE(flush_cost, strict_pays_for_one_flush_and_nothing_else_of_its_own)
{
    run("strict", NULL, NULL, one_flush);
    run("strict-domain", NULL, NULL, one_flush);
    run("size-encoded", NULL, NULL, one_flush);
    run("leaf-only", NULL, NULL, one_flush);
}

static void only_a_push(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned pages = 1; pages <= 32; pages++)
        expect_bill(unmap_bill(r, pages), pages, 0, 1);
}

TEST_CASE(flush_cost, what_is_deferred_pays_for_one_place_in_a_ring)
{
    run("lazy", NULL, NULL, only_a_push);
    run("lazy-sq", NULL, NULL, only_a_push);
    run("quarantine", NULL, NULL, only_a_push);
    run("never", NULL, NULL, only_a_push);
    run("xsmmu", NULL, NULL, only_a_push);
}

enum { N = 7 };

/* The N-th pays for its place, the flush, and for taking all N out. */
static void each_nth(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 1; i <= 5 * N; i++)
        if (i % N == 0)
            expect_bill(unmap_bill(r, 1), 1, 1, 1 + N);
        else
            expect_bill(unmap_bill(r, 1), 1, 0, 1);
}

TEST_CASE(flush_cost, count_pays_for_a_flush_and_the_whole_ring_at_each_nth_unmap)
{
    run("count", "unmaps", "7", each_nth);
}

/* A ring of 8 holds 7. Whoever finds it full pays for them before its own place. */
static void each_overflow(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 0; i < 5 * N; i++)
        if (i > 0 && i % N == 0)
            expect_bill(unmap_bill(r, 1), 1, 1, N + 1);
        else
            expect_bill(unmap_bill(r, 1), 1, 0, 1);
}

TEST_CASE(flush_cost, lazy_pays_for_a_flush_when_its_ring_is_found_full)
{
    run("lazy", "ring_entries", "8", each_overflow);
}

/* ---- The hardware --------------------------------------------------------------------
 *
 * The CPU takes no time but for a turn of its poll: a read of a register, there and back,
 * and two cycles of 1 ps.
 */

enum { REGISTER_NS = 100, MEMORY_NS = 90, TURN_PS = 2 * REGISTER_NS * 1000 + 2 };
enum { LINE_COMMANDS = 4, ALL_PAGES = 12 };

/* Until the status word has changed: the tail write waits for an edge of the IOMMU's clock
 * of 1 ns; then commands at a place of the queue are fetched, line by line. */
static sim_time_t done_at(const struct invq_config *q, sim_time_t begin, unsigned at,
                          unsigned commands)
{
    uint64_t ns = (begin + 999) / 1000 + REGISTER_NS + q->start_cycles;
    while (commands > 0) {
        const unsigned room    = LINE_COMMANDS - at % LINE_COMMANDS;
        const unsigned fetched = commands < room ? commands : room;
        ns += MEMORY_NS + (uint64_t)fetched * q->execute_cycles;
        commands -= fetched;
        at += fetched;
        ns += commands > 0 ? q->next_cycles : 0;
    }
    return (ns + MEMORY_NS) * 1000;
}

/* The first poll that finds it done. */
static sim_time_t seen_at(const struct invq_config *q, sim_time_t begin, unsigned at,
                          unsigned commands)
{
    const sim_time_t done = done_at(q, begin, at, commands);
    return begin + (done - begin + TURN_PS - 1) / TURN_PS * TURN_PS;
}

static sim_time_t expected_end(const struct kernel_rig *r, sim_time_t begin, unsigned pages)
{
    const struct invq_config *q = &r->settings.invq;
    unsigned at                 = (unsigned)r->shown_tail;
    if (strcmp(r->policy->name, "hybrid") == 0) /* Page by page, and one wait. */
        return seen_at(q, begin, at, pages + 1);
    const unsigned submissions = strcmp(r->policy->name, "strict-page") == 0 ? pages : 1;
    for (unsigned i = 0; i < submissions; i++, at += 2)
        begin = seen_at(q, begin, at, 2);
    return begin;
}

static void hardware(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned pages = 1; pages <= ALL_PAGES; pages++) {
        const dma_addr_t iova =
            dma_map_phys(&r->device, 0x40000000, 4096 * pages, DMA_TO_DEVICE, 0);
        const sim_time_t end = expected_end(r, cpu_this()->time, pages);
        dma_unmap_phys(&r->device, iova, 4096 * pages, DMA_TO_DEVICE, 0);
        EXPECT_EQUAL(cpu_this()->time, end);
    }
}

static struct kernel_rig *idle_cpu(const char *policy)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    kernel_rig_policy(r, policy);
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    memset(&r->cost, 0, sizeof r->cost);
    r->cpu_config.period_ps    = 1;
    r->cpu_config.pause_cycles = 1;
    r->cost.poll_cycles        = 1;
    return r;
}

/* All lengths of a command, so that every edge between two polls is met. */
TEST_CASE(flush_cost, an_invalidation_takes_what_its_commands_fetches_and_polls_take)
{
    static const char *const policy[] = { "strict", "strict-domain", "strict-page",
                                          "hybrid" };
    for (unsigned i = 0; i < sizeof policy / sizeof policy[0]; i++)
        for (unsigned execute = 1; execute < 220; execute += 3) {
            struct kernel_rig *r            = idle_cpu(policy[i]);
            r->settings.invq.execute_cycles = execute;
            kernel_rig_run(r, hardware, NULL);
            kernel_rig_free(r);
        }
}

/* Registers are read until the operation is over: each time there and back, and a pause. */
static void versioned(struct kernel_rig *r, void *state)
{
    const uint64_t round = 2 * REGISTER_NS * 1000;
    const uint64_t again =
        (r->extension_config.operation_ns * UINT64_C(1000) + round) / (round + 1);
    (void)state;
    for (unsigned pages = 1; pages <= ALL_PAGES; pages++) {
        const dma_addr_t iova =
            dma_map_phys(&r->device, 0x40000000, 4096 * pages, DMA_TO_DEVICE, 0);
        const sim_time_t begin = cpu_this()->time;
        dma_unmap_phys(&r->device, iova, 4096 * pages, DMA_TO_DEVICE, 0);
        EXPECT_EQUAL(cpu_this()->time - begin, again * (round + 1) + round);
    }
}

TEST_CASE(flush_cost, a_new_generation_takes_its_registers_whatever_it_covers)
{
    for (unsigned ns = 1; ns < 1000; ns += 7) {
        struct kernel_rig *r             = idle_cpu("versioned");
        r->extension_config.operation_ns = ns;
        kernel_rig_run(r, versioned, NULL);
        kernel_rig_free(r);
    }
}
