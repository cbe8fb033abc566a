/* SPDX-License-Identifier: Apache-2.0 */
/* The link and the order of transactions, to the picosecond. */
#include "iommu_model/rootport.h"

#include <string.h>

#include "sim/base/rng.h"
#include "sim/test/shim.h"
#include "sim/test/wire.h"

enum { DEVICE = 0x28, DOMAIN = 4, RW = PT_READ | PT_WRITE };
enum { HEADER_PS = 20 * 1000, FLIGHT_PS = 100 * 1000, BYTE_PS = 1000 };
enum { MEMORY_PS = RIG_LATENCY * RIG_PERIOD_PS, BEAT_PS = RIG_PERIOD_PS };

static struct rig rig;
static struct wire wire;
static struct port_response answer;
static uint64_t table;

static void start_without_iommu(void)
{
    rig_defaults(&rig);
    rig.iommu_due = TIME_NEVER;
    wire_start(&wire, &rig, false);
}

/* Pages 1 to 8 are mapped to 0x100000 on; page 1 and the context are cached. */
static void start_with_iommu(void)
{
    struct iommu_response warm;
    rig_defaults(&rig);
    rig_start(&rig);
    table = rig_attach(&rig, DEVICE, DOMAIN, 4);
    for (uint64_t page = 1; page < 9; page++)
        rig_map(&rig, table, 4, page << 12, page << 20, 12, RW);
    rig_translate(&rig, DEVICE, 0x1000, PT_READ, &warm);
    wire_start(&wire, &rig, true);
    wire_run(&wire, 1000000);
}

static void stop(void)
{
    EXPECT(rootport_idle(&wire.root));
    wire_stop(&wire);
    if (wire.root.iommu != NULL)
        iommu_free(&rig.iommu);
    memory_free(&rig.memory);
}

static void submit_read(uint64_t iova, uint32_t bytes, uint32_t tag, void *data)
{
    wire_submit(&wire, PORT_READ, DEVICE, iova, bytes, tag, data);
}

static void submit_write(uint64_t iova, uint32_t bytes, uint32_t tag, void *data)
{
    wire_submit(&wire, PORT_WRITE, DEVICE, iova, bytes, tag, data);
}

/* The next response is this one, at that time. */
static bool expect_next(uint32_t tag, sim_time_t at)
{
    return EXPECT(wire_next(&wire, &answer)) && EXPECT_EQUAL(answer.tag, tag)
           && EXPECT_EQUAL(rig.now, at);
}

static void take_all(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        EXPECT(wire_next(&wire, &answer));
    EXPECT(!wire_next(&wire, &answer));
}

/* ---- The link
 * ---------------------------------------------------------------------------------------
 */

TEST_CASE(rootport, a_read_pays_both_ways_and_the_memory)
{
    wire_defaults(&wire);
    start_without_iommu();
    rig.now = 777;
    submit_read(0x1000, 64, 5, NULL);
    expect_next(5, 777 + HEADER_PS + FLIGHT_PS + MEMORY_PS + HEADER_PS + 64 * BYTE_PS
                       + FLIGHT_PS);
    EXPECT_EQUAL(answer.kind, PORT_READ);
    EXPECT_EQUAL(answer.status, PORT_OK);
    EXPECT_EQUAL(answer.submitted, 777);
    EXPECT_EQUAL(wire.root.stats.link_up_ps, HEADER_PS + FLIGHT_PS);
    EXPECT_EQUAL(wire.root.stats.memory_ps, MEMORY_PS);
    EXPECT_EQUAL(wire.root.stats.link_down_ps, HEADER_PS + 64 * BYTE_PS + FLIGHT_PS);
    EXPECT_EQUAL(wire.root.stats.port_ps + wire.root.stats.order_ps, 0);
    EXPECT_EQUAL(wire.root.read_ps.count, 1);
    EXPECT_EQUAL(wire.root.stats.read_bytes, 64);
    stop();
}

/* A write's payload goes up; what comes back are its credits, which take no room. */
TEST_CASE(rootport, a_write_pays_for_its_payload_upwards)
{
    wire_defaults(&wire);
    start_without_iommu();
    submit_write(0x1000, 100, 6, NULL);
    expect_next(6, HEADER_PS + 100 * BYTE_PS + FLIGHT_PS + MEMORY_PS + BEAT_PS + FLIGHT_PS);
    EXPECT_EQUAL(answer.kind, PORT_WRITE);
    EXPECT_EQUAL(wire.root.stats.memory_ps, MEMORY_PS + BEAT_PS); /* Two beats of 64. */
    EXPECT_EQUAL(wire.root.stats.write_bytes, 100);
    stop();
}

/* One packet and one header, whatever its size: who splits is the device. */
TEST_CASE(rootport, the_largest_payload_is_one_packet)
{
    wire_defaults(&wire);
    start_without_iommu();
    const sim_time_t memory = MEMORY_PS + 63 * BEAT_PS, packet = HEADER_PS + 4096 * BYTE_PS;
    submit_write(0x1000, 4096, 0, NULL);
    expect_next(0, packet + FLIGHT_PS + memory + FLIGHT_PS);
    const sim_time_t began = rig.now;
    submit_read(0x1000, 4096, 1, NULL);
    expect_next(1, began + HEADER_PS + FLIGHT_PS + memory + packet + FLIGHT_PS);
    stop();
}

TEST_CASE(rootport, packets_follow_each_other_on_each_direction_of_the_link)
{
    wire_defaults(&wire);
    start_without_iommu();
    for (unsigned i = 0; i < 3; i++)
        submit_read(0x1000, 200, i, NULL);
    const sim_time_t first = HEADER_PS + FLIGHT_PS + MEMORY_PS + 3 * BEAT_PS;
    const sim_time_t down  = HEADER_PS + 200 * BYTE_PS; /* Slower than the way up. */
    for (unsigned i = 0; i < 3; i++)
        expect_next(i, first + (i + 1) * down + FLIGHT_PS);
    rig.now += 1; /* The link is free again. */
    const sim_time_t began = rig.now;
    submit_read(0x1000, 64, 9, NULL);
    expect_next(9, began + HEADER_PS + FLIGHT_PS + MEMORY_PS + HEADER_PS + 64 * BYTE_PS
                       + FLIGHT_PS);
    stop();
}

/* 24 bytes at 7876 bytes/us are 3047.2 ps; a part of a picosecond counts as one, and the
 * rate itself is rounded to the picosecond for 1024 bytes. */
TEST_CASE(rootport, odd_rates_round_up_to_the_picosecond)
{
    wire_defaults(&wire);
    wire.link.bytes_per_us = 7876;
    wire.link.header_bytes = 24;
    start_without_iommu();
    submit_read(0x1000, 64, 0, NULL);
    const sim_time_t request = 3048, completion = 11174; /* 88 bytes: 11173.2 ps. */
    expect_next(0, request + FLIGHT_PS + MEMORY_PS + completion + FLIGHT_PS);
    submit_write(0x1000, 1000, 1, NULL);
    const sim_time_t began = rig.now;
    expect_next(1, began + 130016 + FLIGHT_PS + MEMORY_PS + 15 * BEAT_PS + FLIGHT_PS);
    stop();
}

TEST_CASE(rootport, each_parameter_of_the_link_moves_the_answer)
{
    sim_time_t took[4];
    for (unsigned which = 0; which < 4; which++) {
        wire_defaults(&wire);
        wire.link.latency_ns += which == 1;
        wire.link.header_bytes += which == 2;
        wire.link.bytes_per_us *= which == 3 ? 2 : 1;
        start_without_iommu();
        submit_read(0x1000, 64, 0, NULL);
        EXPECT(wire_next(&wire, &answer));
        took[which] = rig.now;
        stop();
    }
    EXPECT_EQUAL(took[1] - took[0], 2 * 1000);
    EXPECT_EQUAL(took[2] - took[0], 2 * BYTE_PS);
    EXPECT_EQUAL(took[0] - took[3], (20 + 20 + 64) * BYTE_PS / 2);
}

/* ---- Room
 * -----------------------------------------------------------------------------------------------
 */

TEST_CASE(rootport, a_read_without_a_tag_waits_for_a_response_taken)
{
    wire_defaults(&wire);
    wire.link.read_tags = 2;
    start_without_iommu();
    submit_read(0x1000, 64, 0, NULL);
    submit_read(0x1000, 64, 1, NULL);
    EXPECT(!port_ready(wire.port, PORT_READ));
    EXPECT(port_ready(wire.port, PORT_WRITE));
    wire_run(&wire, 1000000);
    EXPECT(!port_ready(wire.port, PORT_READ)); /* They are there, but nobody took them. */
    wire.device_due = TIME_NEVER;
    EXPECT(port_take(wire.port, &answer, rig.now));
    EXPECT_EQUAL(wire.device_due, rig.now);
    EXPECT(port_ready(wire.port, PORT_READ));
    take_all(1);
    stop();
}

TEST_CASE(rootport, posted_bytes_are_bounded_by_the_largest_write)
{
    wire_defaults(&wire);
    wire.link.posted_bytes = 8192;
    start_without_iommu();
    submit_write(0x1000, 4096, 0, NULL);
    EXPECT(port_ready(wire.port, PORT_WRITE));
    submit_write(0x1000, 1, 1, NULL);
    EXPECT(!port_ready(wire.port, PORT_WRITE)); /* 4095 bytes are left. */
    EXPECT(port_ready(wire.port, PORT_READ));
    EXPECT(wire_next(&wire, &answer));
    EXPECT(port_ready(wire.port, PORT_WRITE));
    take_all(1);
    stop();
}

/* ---- With the IOMMU
 * -----------------------------------------------------------------------------------------
 */

/* An arrival between two edges is accepted at the next one. */
TEST_CASE(rootport, a_translation_adds_its_cycles_and_the_way_to_the_edge)
{
    for (unsigned off = 0; off < 2; off++) {
        wire_defaults(&wire);
        start_with_iommu();
        rig.now += off;
        const sim_time_t began = rig.now;
        const sim_time_t hit =
            (rig.settings.iommu.accept_cycles + rig.settings.iommu.respond_cycles)
            * (sim_time_t)RIG_PERIOD_PS;
        submit_read(0x1040, 64, 0, NULL);
        expect_next(0, began + HEADER_PS + FLIGHT_PS + (off ? RIG_PERIOD_PS - 1 : 0) + hit
                           + MEMORY_PS + HEADER_PS + 64 * BYTE_PS + FLIGHT_PS);
        EXPECT_EQUAL(wire.root.stats.translate_ps, hit + (off ? RIG_PERIOD_PS - 1 : 0));
        stop();
    }
}

TEST_CASE(rootport, data_goes_to_and_comes_from_where_the_tables_say)
{
    char out[300], in[300];
    wire_defaults(&wire);
    start_with_iommu();
    for (unsigned i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 7);
    submit_write(0x2ed4, sizeof out, 0, out);
    EXPECT(wire_next(&wire, &answer));
    memory_read(&rig.memory, 0x200ed4, in, sizeof in);
    EXPECT(memcmp(in, out, sizeof in) == 0);
    memset(in, 0, sizeof in);
    submit_read(0x2ed4, sizeof in, 1, in);
    EXPECT(wire_next(&wire, &answer));
    EXPECT(memcmp(in, out, sizeof in) == 0);
    stop();
}

TEST_CASE(rootport, a_refused_transaction_does_not_touch_memory)
{
    uint64_t data = 0x1122334455667788;
    wire_defaults(&wire);
    start_with_iommu();
    submit_write(0x100000, 8, 0, &data);
    submit_read(0x100000, 8, 1, &data);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(wire_next(&wire, &answer));
        EXPECT_EQUAL(answer.status, PORT_FAULT);
    }
    EXPECT_EQUAL(data, 0x1122334455667788);
    EXPECT_EQUAL(wire.root.stats.fault, 2);
    EXPECT_EQUAL(wire.root.stats.memory_ps, 0);
    /* The read's refusal is a packet without payload; of the write only credits return. */
    EXPECT_EQUAL(wire.root.stats.link_down_ps, HEADER_PS + 2 * FLIGHT_PS);
    stop();
}

/* ---- Order
 * ------------------------------------------------------------------------------------------------------
 */

/* The first write's page has to be walked for, the second's is known; and yet. */
TEST_CASE(rootport, writes_reach_memory_in_the_order_of_submission)
{
    uint32_t one = 1, two = 2;
    wire_defaults(&wire);
    start_with_iommu();
    rig_map(&rig, table, 4, 0x9000, 0x100000, 12, RW); /* The same memory as page 1. */
    submit_write(0x9000, 4, 0, &one);
    submit_write(0x1000, 4, 1, &two);
    EXPECT(wire_next(&wire, &answer));
    EXPECT_EQUAL(answer.tag, 0);
    EXPECT_EQUAL(memory_read32(&rig.memory, 0x100000), 2); /* A beat behind the first. */
    EXPECT(wire_next(&wire, &answer));
    EXPECT(wire.root.stats.order_ps > 100000);
    EXPECT_EQUAL(memory_read32(&rig.memory, 0x100000), 2);
    stop();
}

TEST_CASE(rootport, a_read_waits_for_an_earlier_write_of_another_page)
{
    wire_defaults(&wire);
    start_with_iommu();
    submit_write(0x2000, 64, 0, NULL); /* Walks. */
    submit_read(0x1000, 64, 1, NULL);  /* Hits. */
    EXPECT(wire_next(&wire, &answer));
    EXPECT_EQUAL(answer.tag, 0);
    const sim_time_t written = rig.now - FLIGHT_PS;
    expect_next(1, written + BEAT_PS + HEADER_PS + 64 * BYTE_PS + FLIGHT_PS);
    EXPECT(wire.root.stats.order_ps > 0);
    stop();
}

TEST_CASE(rootport, later_reads_and_writes_pass_a_read_that_walks)
{
    wire_defaults(&wire);
    start_with_iommu();
    submit_read(0x2000, 64, 0, NULL);
    submit_read(0x1000, 64, 1, NULL);
    submit_write(0x1000, 64, 2, NULL);
    const unsigned order[3] = { 1, 2, 0 };
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(wire_next(&wire, &answer));
        EXPECT_EQUAL(answer.tag, order[i]);
    }
    EXPECT_EQUAL(wire.root.stats.order_ps, 0);
    stop();
}

TEST_CASE(rootport, a_refused_write_lets_those_behind_it_go_on)
{
    uint32_t one = 1;
    wire_defaults(&wire);
    start_with_iommu();
    submit_write(0x100000, 4, 0, &one);
    submit_write(0x1000, 4, 1, &one);
    submit_read(0x1000, 4, 2, NULL);
    take_all(3);
    EXPECT_EQUAL(memory_read32(&rig.memory, 0x100000), 1);
    stop();
}

/* What the device wrote before, its read must see (PCI Express 2.4.1), however close the
 * two are, in part or in whole. */
TEST_CASE(rootport, a_read_sees_the_writes_before_it)
{
    for (unsigned iommu = 0; iommu < 2; iommu++) {
        const uint64_t base = iommu ? 0x1000 : 0x100000;
        uint32_t one[4] = { 1, 2, 3, 4 }, two[2] = { 5, 6 }, in[4] = { 9, 9, 9, 9 };
        wire_defaults(&wire);
        if (iommu)
            start_with_iommu();
        else
            start_without_iommu();
        memory_write32(&rig.memory, 0x100000 + 16, 7);
        submit_write(base, 16, 0, one);
        submit_write(base + 8, 8, 1, two);
        submit_read(base + 4, 16, 2, in);
        take_all(3);
        EXPECT_EQUAL(in[0], 2);
        EXPECT_EQUAL(in[1], 5);
        EXPECT_EQUAL(in[2], 6);
        EXPECT_EQUAL(in[3], 7);
        stop();
    }
}

/* ---- Interrupts
 * -------------------------------------------------------------------------------------------------
 */

static unsigned interrupts;
static uint64_t interrupt_address;
static uint32_t interrupt_data, seen_in_memory;
static sim_time_t interrupt_time;

static void note_interrupt(void *self, uint64_t address, uint32_t data, sim_time_t now)
{
    (void)self;
    interrupts++;
    interrupt_address = address;
    interrupt_data    = data;
    interrupt_time    = now;
    seen_in_memory    = memory_read32(&rig.memory, 0x200000);
}

TEST_CASE(rootport, an_interrupt_comes_behind_the_data_it_tells_of)
{
    uint32_t data = 0xabcd, vector = 0x4021;
    wire_defaults(&wire);
    start_with_iommu();
    wire.root.interrupt = note_interrupt;
    interrupts          = 0;
    submit_write(0x2000, 4, 0, &data); /* Has to walk. */
    submit_write(0xfee01004, 4, 1, &vector);
    EXPECT(wire_next(&wire, &answer));
    const sim_time_t written = rig.now - FLIGHT_PS;
    EXPECT(wire_next(&wire, &answer));
    EXPECT_EQUAL(interrupts, 1);
    EXPECT_EQUAL(interrupt_address, 0xfee01004);
    EXPECT_EQUAL(interrupt_data, 0x4021);
    EXPECT_EQUAL(interrupt_time, written + BEAT_PS);
    EXPECT_EQUAL(seen_in_memory, 0xabcd);
    EXPECT_EQUAL(wire.root.stats.interrupt, 1);
    EXPECT_EQUAL(memory_read32(&rig.memory, 0xfee01004), 0);
    EXPECT_EQUAL(rig.iommu.stats.translation, 2); /* Of the warm-up and of the data. */
    stop();
}

TEST_CASE(rootport, only_words_inside_the_range_are_interrupts)
{
    uint32_t word[2] = { 1, 2 };
    const struct {
        uint64_t iova;
        uint32_t bytes, interrupts;
    } of[] = { { 0xfee00000, 4, 1 },
               { 0xfeefffff, 4, 1 },
               { 0xfedffffc, 4, 0 },
               { 0xfef00000, 4, 0 },
               { 0xfee00000, 8, 0 } };
    for (unsigned i = 0; i < 4; i += 1) {
        if ((of[i].iova & 0xfff) == 0xfff)
            continue; /* Would cross a page. */
        wire_defaults(&wire);
        start_without_iommu();
        wire.root.interrupt = note_interrupt;
        interrupts          = 0;
        submit_write(of[i].iova, of[i].bytes, 0, word);
        take_all(1);
        EXPECT_EQUAL(interrupts, of[i].interrupts);
        stop();
    }
}

/* ---- Accounts
 * ----------------------------------------------------------------------------------------------------
 */

TEST_CASE(rootport, every_picosecond_of_every_transaction_has_one_owner)
{
    struct rng rng = rng_make(1, "rootport test");
    unsigned taken = 0, out = 0;
    wire_defaults(&wire);
    wire.link.read_tags    = 8;
    wire.link.posted_bytes = 8192;
    start_with_iommu();
    while (taken < 3000) {
        const enum port_kind kind = rng_below(&rng, 2) ? PORT_READ : PORT_WRITE;
        if (out < 12 && port_ready(wire.port, kind)) {
            const uint32_t page = 1 + rng_below(&rng, 9); /* The ninth is absent. */
            wire_submit(&wire, kind, DEVICE, page << 12, 1 + rng_below(&rng, 4096), taken,
                        NULL);
            out++;
        } else {
            REQUIRE(wire_next(&wire, &answer));
            taken++;
            out--;
        }
        wire_run(&wire, rig.now + rng_below(&rng, 50000));
    }
    take_all(out);
    const struct dma_stats *s = &wire.root.stats;
    EXPECT_EQUAL(s->whole_ps, s->link_up_ps + s->port_ps + s->translate_ps + s->order_ps
                                  + s->memory_ps + s->link_down_ps);
    EXPECT(s->fault > 100 && s->order_ps > 0 && s->read > 1000 && s->write > 1000);
    EXPECT_EQUAL(wire.root.posted_out + wire.root.reads_out, 0);
    stop();
}

/* The IOMMU's queue is full: the link stands, and time passes on the port's account. */
TEST_CASE(rootport, a_full_iommu_stops_the_link_and_nothing_is_lost)
{
    wire_defaults(&wire);
    wire.link.bytes_per_us = 1000000;
    wire.link.latency_ns   = 0;
    rig_defaults(&rig);
    rig.settings.iommu.queue_entries = 1;
    rig.settings.iommu.inflight      = 1;
    rig_start(&rig);
    table = rig_attach(&rig, DEVICE, DOMAIN, 4);
    rig_map(&rig, table, 4, 0x1000, 0x100000, 12, RW);
    wire_start(&wire, &rig, true);
    for (unsigned i = 0; i < 20; i++)
        submit_read(0x1000, 64, i, NULL);
    for (unsigned i = 0; i < 20; i++) {
        REQUIRE(wire_next(&wire, &answer));
        EXPECT_EQUAL(answer.tag, i);
    }
    EXPECT(wire.root.stats.port_ps > 0);
    stop();
}

/* Tags whose time is up come again while their first messages are still on the link. */
TEST_CASE(rootport,
          invalidations_that_the_device_has_not_seen_are_not_limited_by_their_tags)
{
    enum { MESSAGES = 3 * ATS_ITAGS };
    struct port_invalidation i;
    wire_defaults(&wire);
    start_with_iommu();
    rootport_serve_device_tlb(&wire.root, DEVICE);
    const struct iommu_client *c = &rig.iommu.client[wire.root.client];
    for (unsigned n = 0; n < MESSAGES; n++) {
        i = (struct port_invalidation){
            .first = n, .last = n, .requester = DEVICE, .itag = (uint8_t)(n % ATS_ITAGS)
        };
        EXPECT(c->invalidate(c->invalidate_self, &i, rig.now));
    }
    EXPECT(!port_take_invalidation(wire.port, &i, rig.now));
    wire_run(&wire, rig.now + 1000000 * TIME_NS);
    for (unsigned n = 0; n < MESSAGES; n++) {
        REQUIRE(port_take_invalidation(wire.port, &i, rig.now + 1000000 * TIME_NS));
        EXPECT_EQUAL(i.first, n);
    }
    stop();
}
