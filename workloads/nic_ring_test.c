/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nic_ring.h"

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

#define MEM UINT64_C(0x40000000)

static void run(enum kernel_rig_hardware hardware, const char *policy, bool noncoherent,
                bool untrusted, kernel_program *body)
{
    struct kernel_rig *r      = kernel_rig_new(hardware);
    r->linux_config.dma_debug = 1;
    r->noncoherent            = noncoherent;
    r->untrusted              = untrusted;
    kernel_rig_policy(r, policy);
    kernel_rig_run(r, body, NULL);
    EXPECT_EQUAL(r->kernel.stats.finding, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    kernel_rig_free(r);
}

static void everywhere(kernel_program *body)
{
    run(RIG_FAKE, "strict", false, false, body);
    run(RIG_FAKE, "lazy", false, false, body);
    run(RIG_FAKE, "strict", true, false, body);
    run(RIG_FAKE, "strict", false, true, body);
    run(RIG_VTD, "lazy", false, false, body);
    run(RIG_VTD, "passthrough", false, false, body);
    run(RIG_DIRECT, "strict", true, false, body);
    run(RIG_DIRECT, "strict", false, false, body);
}

/* ---- The device: it follows addresses through the tables, and is never at fault -------
 */

static phys_addr_t reach(struct kernel_rig *r, dma_addr_t addr, unsigned access)
{
    uint64_t pa = addr;
    if (r->domain != NULL)
        EXPECT((kernel_rig_lookup(r, &r->domain->table, addr, &pa) & access) == access);
    return pa;
}

static phys_addr_t word_of(struct kernel_rig *r, const struct nic_ring *ring, unsigned slot,
                           unsigned word)
{
    return reach(r, ring->desc_dma + 16 * slot + 8 * word, PT_READ | PT_WRITE);
}

/* Puts a packet with a mark into the slot's buffer. */
static void device_receives(struct kernel_rig *r, const struct nic_ring *ring,
                            unsigned slot, uint64_t mark, unsigned len)
{
    const dma_addr_t addr = memory_read64(&r->memory, word_of(r, ring, slot, 0));
    memory_write64(&r->memory, reach(r, addr, PT_WRITE), mark);
    reach(r, addr + len - 1, PT_WRITE);
    memory_write64(&r->memory, word_of(r, ring, slot, 1), NIC_DESC_DONE | len);
}

/* Sends the packet that begins in the slot; returns the sum of the first words of its
 * pieces, and where the next one begins. */
static uint64_t device_sends(struct kernel_rig *r, const struct nic_ring *ring,
                             unsigned *slot, unsigned *bytes)
{
    uint64_t sum = 0, word;
    *bytes       = 0;
    do {
        const dma_addr_t addr = memory_read64(&r->memory, word_of(r, ring, *slot, 0));
        word                  = memory_read64(&r->memory, word_of(r, ring, *slot, 1));
        sum += memory_read64(&r->memory, reach(r, addr, PT_READ));
        *bytes += (unsigned)(word & NIC_DESC_LEN);
        memory_write64(&r->memory, word_of(r, ring, *slot, 1), word | NIC_DESC_DONE);
        *slot = (*slot + 1) % NIC_RING_SLOTS;
    } while (!(word & NIC_DESC_LAST));
    return sum;
}

/* ---- Receive ------------------------------------------------------------------------- */

struct stack {
    struct kernel *k;
    uint64_t next_mark, packets;
};

/* Keeps the page of every third packet, and copies the others. */
static bool deliver(void *self, struct page *page, unsigned offset, unsigned len)
{
    struct stack *s        = self;
    const phys_addr_t phys = page_to_phys(page) + offset;
    EXPECT_EQUAL(cpu_read64(cpu_this(), phys), s->next_mark++);
    EXPECT_EQUAL(len, 1000);
    if (s->packets++ % 3 != 0)
        return false;
    kernel_pages_put(s->k, page_to_phys(page), 0);
    return true;
}

static void receives(struct kernel_rig *r, void *state)
{
    struct stack s = { &r->kernel, 100, 0 };
    struct nic_rx rx;
    uint64_t mark = 100;
    unsigned slot = 0;
    (void)state;
    EXPECT_EQUAL(nic_rx_init(&rx, &r->device), 0);
    EXPECT_EQUAL(nic_rx_refill(&rx, NIC_RING_SLOTS), NIC_RING_SLOTS - 1);
    EXPECT_EQUAL(nic_rx_poll(&rx, 8, deliver, &s), 0);
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 10; i++, slot = (slot + 1) % NIC_RING_SLOTS)
            device_receives(r, &rx.ring, slot, mark++, 1000);
        EXPECT_EQUAL(nic_rx_poll(&rx, 4, deliver, &s), 4);
        EXPECT_EQUAL(nic_rx_poll(&rx, 64, deliver, &s), 6);
        EXPECT_EQUAL(nic_rx_refill(&rx, NIC_RING_SLOTS), 10);
    }
    EXPECT_EQUAL(rx.taken, 100);
    EXPECT_EQUAL(rx.recycled, 200);
    nic_rx_free(&rx);
}

TEST_CASE(nic_ring, packets_are_received_into_pages_that_are_recycled_or_taken)
{
    everywhere(receives);
}

/* ---- Transmit ------------------------------------------------------------------------ */

static void sent(void *self, const struct nic_packet *packet)
{
    const struct nic_packet **expected = self;
    EXPECT(packet == *expected);
    ++*expected;
}

static struct nic_packet packet[200];

/* The nth packet has n % 5 fragments; returns the sum of their first words. */
static uint64_t make_packet(struct kernel_rig *r, unsigned n, unsigned *bytes)
{
    struct nic_packet *p   = &packet[n];
    const phys_addr_t head = MEM + n * UINT64_C(0x10000) + 0x42 * 8;
    uint64_t sum           = n;
    p->data                = phys_to_virt(head);
    p->headlen             = 66 + n;
    p->nr_frags            = n % 5;
    *bytes                 = p->headlen;
    memory_write64(&r->memory, head, n);
    for (unsigned f = 0; f < p->nr_frags; f++) {
        const phys_addr_t page = MEM + n * UINT64_C(0x10000) + (2 * f + 1) * PAGE_SIZE;
        p->frag[f]             = (struct nic_frag){ phys_to_page(page), 64 * f, 1448 };
        memory_write64(&r->memory, page + 64 * f, 1000 * f + n);
        sum += 1000 * f + n;
        *bytes += 1448;
    }
    return sum;
}

static void transmits(struct kernel_rig *r, void *state)
{
    const struct nic_packet *expected = packet;
    struct nic_tx tx;
    unsigned slot = 0, first = 0;
    uint64_t sum[200];
    unsigned bytes[200];
    (void)state;
    EXPECT_EQUAL(nic_tx_init(&tx, &r->device, sent, &expected), 0);
    for (unsigned n = 0; n < 200; n++) {
        sum[n] = make_packet(r, n, &bytes[n]);
        while (nic_tx_xmit(&tx, &packet[n]) == -EBUSY) {
            unsigned length;
            EXPECT_EQUAL(device_sends(r, &tx.ring, &slot, &length), sum[first]);
            EXPECT_EQUAL(length, bytes[first++]);
            EXPECT_EQUAL(nic_tx_clean(&tx), 1);
        }
    }
    EXPECT(expected > packet + 100);
    EXPECT(expected < packet + 200);
    nic_tx_free(&tx); /* With packets under way. */
}

TEST_CASE(nic_ring, packets_are_sent_head_and_fragments_in_order)
{
    everywhere(transmits);
}

/* ---- Failures ------------------------------------------------------------------------ */

struct failing {
    unsigned failures;
    uint64_t nth, asked; /* The allocation that fails, and how many there were. */
    bool reached, over;
};

static void fail_each(kernel_program *try, unsigned least)
{
    struct failing f = { .reached = true };
    while (f.reached) {
        struct kernel_rig *r      = kernel_rig_new(RIG_FAKE);
        r->linux_config.dma_debug = 1;
        f.nth++;
        kernel_rig_run(r, try, &f);
        EXPECT_EQUAL(r->kernel.stats.finding, 0);
        kernel_rig_free(r);
    }
    EXPECT_EQUAL(f.failures, least);
}

static void refill_fails(struct kernel_rig *r, void *state)
{
    struct failing *f = state;
    struct stack s    = { &r->kernel, 0, 0 };
    struct nic_rx rx;
    EXPECT_EQUAL(nic_rx_init(&rx, &r->device), 0);
    kernel_rig_fail_at(r, f->nth);
    unsigned filled = nic_rx_refill(&rx, 20);
    if (kernel_rig_failed(r) && filled < 20) {
        f->failures++;
        EXPECT_EQUAL(rx.failed, 1);
        filled += nic_rx_refill(&rx, 20 - filled); /* It goes on where it stopped. */
    }
    EXPECT_EQUAL(filled, 20);
    for (unsigned i = 0; i < 20; i++)
        device_receives(r, &rx.ring, i, i, 1000);
    EXPECT_EQUAL(nic_rx_poll(&rx, 64, deliver, &s), 20);
    f->reached = kernel_rig_failed(r);
    nic_rx_free(&rx);
}

TEST_CASE(nic_ring, a_refill_without_memory_goes_on_later)
{
    fail_each(refill_fails, 20);
}

/* From the nth on all fail: a single one is tried again with the caches emptied. */
static bool runs_out(void *self, const char *what)
{
    (void)what;
    struct failing *f = self;
    f->reached        = f->nth <= ++f->asked;
    return f->reached && !f->over;
}

static void xmit_fails(struct kernel_rig *r, void *state)
{
    struct failing *f                 = state;
    const struct nic_packet *expected = packet + 4;
    unsigned bytes, length, slot = 0;
    struct nic_tx tx;
    EXPECT_EQUAL(nic_tx_init(&tx, &r->device, sent, &expected), 0);
    const unsigned leaves = kernel_rig_leaves(r, &r->domain->table, 12);
    const uint64_t sum    = make_packet(r, 4, &bytes);
    f->asked = f->over = f->reached = 0;
    r->kernel.fails = runs_out;
    r->kernel.fails_self = f;
    const int error                                   = nic_tx_xmit(&tx, &packet[4]);
    f->over                                           = true;
    EXPECT(error == 0 || error == -ENOMEM);
    if (error != 0) {
        f->failures++;
        EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), leaves);
        EXPECT_EQUAL(nic_tx_clean(&tx), 0);
        EXPECT_EQUAL(nic_tx_xmit(&tx, &packet[4]), 0);
    }
    EXPECT_EQUAL(device_sends(r, &tx.ring, &slot, &length), sum);
    EXPECT_EQUAL(length, bytes);
    EXPECT_EQUAL(nic_tx_clean(&tx), 1);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), leaves);
    f->reached = error != 0;
    kernel_rig_fail_at(r, 0);
    nic_tx_free(&tx);
}

TEST_CASE(nic_ring, a_packet_of_which_a_part_cannot_be_mapped_leaves_nothing_mapped)
{
    fail_each(xmit_fails, 5);
}
