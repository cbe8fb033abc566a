/* SPDX-License-Identifier: Apache-2.0 */
/* The RISC-V driver: bring-up, device contexts, tables. */
#include "sim/test/riscv_bench.h"
#include "sim/test/shim.h"

/* ---- Bring-up ----------------------------------------------------------------------- */

static void expect_first_commands(void)
{
    const struct rv_command *l = rv.fake.log;
    REQUIRE(rv.from == 3);
    EXPECT(is_command(l[0].command, riscv_iodir(RISCV_INVAL_DDT, false, 0, 0)));
    EXPECT(is_everything(l[1].command));
    EXPECT(is_fence(l[2].command));
    EXPECT_EQUAL(rv.fake.cqcsr, RISCV_QUEUE_ENABLE | RISCV_QUEUE_ON);
    EXPECT_EQUAL(rv.fake.fqcsr, RISCV_QUEUE_ENABLE | RISCV_QUEUE_ON);
    EXPECT_EQUAL(rv.fake.ddtp_busy, 0); /* It asked until each had settled. */
    EXPECT_EQUAL(rv.fake.cq_busy, 0);
    EXPECT_EQUAL(rv.fake.fq_busy, 0);
}

static void after_bring_up(void)
{
    expect_first_commands();
    EXPECT_EQUAL(RISCV_DDTP_MODE(rv.fake.ddtp), RISCV_DDTP_3LVL);
    EXPECT_EQUAL(riscv_queue_lg2(rv.fake.cqb), 13);
    EXPECT_EQUAL(riscv_queue_lg2(rv.fake.fqb), 12);
}

TEST_CASE(backend_riscv, asks_for_three_levels_and_queues_of_linux_size)
{
    rv_new();
    rv.attached = 0;
    rv_run(after_bring_up);
}

static void after_poor_bring_up(void)
{
    expect_first_commands();
    EXPECT_EQUAL(RISCV_DDTP_MODE(rv.fake.ddtp), RISCV_DDTP_1LVL);
    EXPECT_EQUAL(riscv_queue_lg2(rv.fake.cqb), 6);
    EXPECT_EQUAL(riscv_queue_lg2(rv.fake.fqb), 6);
}

TEST_CASE(backend_riscv, takes_what_the_implementation_keeps)
{
    rv_new();
    rv.attached      = 0;
    rv.fake.deepest  = RISCV_DDTP_1LVL;
    rv.fake.ring_lg2 = 6;
    rv_run(after_poor_bring_up);
}

static void expect_refusal(const char *why)
{
    rv_run(rv_refuses);
    EXPECT(rv.driver == NULL);
    EXPECT_HAS(rv.error.text, why);
}

TEST_CASE(backend_riscv, refuses_what_it_cannot_drive_and_keeps_no_page)
{
    rv_new();
    rv.fake.capabilities = 0x09 | RISCV_CAP_SV39;
    expect_refusal("version");
    rv_new();
    rv.fake.capabilities = 0x10 | RISCV_CAP_SV39X4;
    expect_refusal("first-stage");
    rv_new();
    rv.fake.ddtp = RISCV_DDTP_2LVL;
    expect_refusal("in use");
    rv_new();
    rv.fake.stuck = true;
    expect_refusal("switched on");
    rv_new();
    rv.fake.deepest = RISCV_DDTP_BARE;
    expect_refusal("directory");
    rv_new();
    rv_release("6.12");
    expect_refusal("linux.release");
}

TEST_CASE(backend_riscv, a_queue_that_stays_busy_is_refused)
{
    rv_new();
    rv.fake.busy_for_ever = true;
    expect_refusal("switched on");
}

/* ---- Contexts ----------------------------------------------------------------------- */

static void expect_context(uint32_t device, uint64_t tc, uint64_t ta, uint64_t fsc)
{
    const uint64_t dc = rv_context(&rv.fake, device);
    EXPECT_EQUAL(memory_read64(&rv.memory, dc), tc);
    EXPECT_EQUAL(memory_read64(&rv.memory, dc + 8), 0); /* No second stage. */
    EXPECT_EQUAL(memory_read64(&rv.memory, dc + 16), ta);
    EXPECT_EQUAL(memory_read64(&rv.memory, dc + 24), fsc);
}

static void attach_and_detach(void)
{
    const uint64_t fsc   = UINT64_C(10) << 60 | rv.domain->table.root >> 12; /* Sv57 */
    const uint64_t pages = rv.kernel.pages.out;
    EXPECT(domain_attach(rv.domain, &rv.device[0]));
    REQUIRE(rv_commands() == 3);
    EXPECT(is_directory(rv_nth(0), RV_REQUESTER));
    EXPECT(rv.fake.log[rv.from].valid);
    EXPECT(is_whole(rv_nth(1), 1));
    EXPECT(is_fence(rv_nth(2)));
    expect_context(RV_REQUESTER, 1, UINT64_C(1) << 12, fsc);
    EXPECT_EQUAL(rv.kernel.pages.out - pages, 2); /* Tables of the two levels below. */
    EXPECT(domain_attach(rv.domain, &rv.device[1]));
    expect_context(0x1234, 1, UINT64_C(1) << 12, fsc);
    expect_context(RV_REQUESTER, 1, UINT64_C(1) << 12, fsc);

    rv_begin();
    domain_detach(rv.domain, &rv.device[0]); /* Its PSCID stays in use. */
    REQUIRE(rv_commands() == 6);
    EXPECT(is_directory(rv_nth(0), RV_REQUESTER)); /* What the old context had brought, */
    EXPECT(is_whole(rv_nth(1), 1));
    EXPECT(is_fence(rv_nth(2)));
    EXPECT(!rv.fake.log[rv.from].valid); /* so it must not be read again meanwhile, */
    EXPECT(is_directory(rv_nth(3), RV_REQUESTER)); /* and the one without translation. */
    EXPECT(is_everything(rv_nth(4)));
    EXPECT(is_fence(rv_nth(5)));
    expect_context(RV_REQUESTER, 0, 0, 0);
    expect_context(0x1234, 1, UINT64_C(1) << 12, fsc);

    rv_begin();
    domain_detach(rv.domain, &rv.device[1]);
    REQUIRE(rv_commands() == 8);
    EXPECT(is_whole(rv_nth(6), 1));
    EXPECT(is_fence(rv_nth(7)));
    EXPECT_EQUAL(rv.kernel.stats.descriptor_context - rv.before.descriptor_context, 2);
    EXPECT_EQUAL(rv.kernel.stats.descriptor_global - rv.before.descriptor_global, 1);
    EXPECT_EQUAL(rv.kernel.stats.descriptor_domain - rv.before.descriptor_domain, 2);
    EXPECT_EQUAL(rv.kernel.stats.submission - rv.before.submission, 3);
}

TEST_CASE(backend_riscv, base_contexts_are_made_on_demand_and_taken_back_in_two_steps)
{
    rv_new();
    rv.attached = 0;
    rv_run(attach_and_detach);
}

TEST_CASE(backend_riscv, extended_contexts_have_twice_the_size)
{
    rv_new();
    rv.attached = 0;
    rv.fake.capabilities |= RISCV_CAP_MSI_FLAT;
    rv_run(attach_and_detach);
}

static void attach_too_wide(void)
{
    EXPECT(domain_attach(rv.domain, &rv.device[0]));
    EXPECT(!domain_attach(rv.domain, &rv.device[1])); /* 0x1234 needs two levels. */
    EXPECT(rv.device[1].domain == NULL);
}

TEST_CASE(backend_riscv, a_device_id_that_the_directory_cannot_hold_is_refused)
{
    rv_new();
    rv.attached     = 0;
    rv.fake.deepest = RISCV_DDTP_1LVL;
    rv_run(attach_too_wide);
}

static void identity(void)
{
    EXPECT(domain_attach_identity(&backend_riscv, rv.driver, &rv.device[0]));
    expect_context(RV_REQUESTER, 1, 0, 0);
    EXPECT(is_directory(rv_nth(0), RV_REQUESTER));
    EXPECT(is_everything(rv_nth(1)));
    EXPECT(is_fence(rv_nth(2)));
    domain_detach_identity(&backend_riscv, rv.driver, &rv.device[0]);
    expect_context(RV_REQUESTER, 0, 0, 0);
    EXPECT_EQUAL(rv_commands(), 9);
}

TEST_CASE(backend_riscv, identity_is_a_valid_context_without_tables)
{
    rv_new();
    rv.attached = 0;
    rv_run(identity);
}

static void ids(void)
{
    const struct flush_policy *strict = flush_find("strict");
    struct dma_domain *d[3];
    EXPECT_EQUAL(rv.domain->id, 1); /* 0 is not used. */
    for (unsigned i = 0; i < 3; i++)
        d[i] = domain_new(&rv.kernel, &backend_riscv, rv.driver, strict, NULL);
    EXPECT_EQUAL(d[0]->id, 2);
    EXPECT_EQUAL(d[2]->id, 4);
    domain_free(d[1]);
    d[1] = domain_new(&rv.kernel, &backend_riscv, rv.driver, strict, NULL);
    EXPECT_EQUAL(d[1]->id, 3);
    for (unsigned i = 0; i < 3; i++)
        domain_free(d[i]);
}

TEST_CASE(backend_riscv, a_pscid_is_the_lowest_that_is_free)
{
    rv_new();
    rv_run(ids);
}

/* ---- Tables ------------------------------------------------------------------------- */

static unsigned levels;
static const char *format;
static uint64_t leaf_sizes;

static void look_at_tables(void)
{
    levels     = rv.domain->table.levels;
    format     = rv.domain->table.format->name;
    leaf_sizes = rv.domain->table.leaf_sizes;
}

static void expect_tables(uint64_t capabilities, const char *release, unsigned want_levels,
                          const char *want_format, uint64_t want_sizes)
{
    rv_new();
    rv_release(release);
    rv.fake.capabilities = RISCV_CAP_VERSION(UINT64_C(0x10)) | capabilities;
    rv_run(look_at_tables);
    EXPECT_EQUAL(levels, want_levels);
    EXPECT_TEXT(format, want_format);
    EXPECT_EQUAL(leaf_sizes, want_sizes);
}

#define SIZE(lg2) (UINT64_C(1) << (lg2))

TEST_CASE(backend_riscv, the_deepest_tables_are_used_with_the_leaves_of_the_release)
{
    const uint64_t sv39 = SIZE(12) | SIZE(21) | SIZE(30), sv48 = sv39 | SIZE(39);
    expect_tables(RISCV_CAP_SV39, "6.18", 3, "rvs1", sv39);
    expect_tables(RISCV_CAP_SV39, "7.3", 3, "rvs1napot", sv39 | SIZE(16));
    expect_tables(RISCV_CAP_SV39 | RISCV_CAP_SV48, "6.18", 4, "rvs1", sv48);
    expect_tables(RV_CAP_ALL, "7.3", 5, "rvs1napot", sv48 | SIZE(48) | SIZE(16));
}

static uint64_t leaf_word(uint64_t iova, unsigned level)
{
    const struct pagetable *t = &rv.domain->table;
    uint64_t table            = t->root;
    for (unsigned at = t->levels - 1; at > level; at--) {
        const uint64_t e =
            memory_read64(&rv.memory, table + 8 * (iova >> (12 + 9 * at) & 511));
        EXPECT_EQUAL(e & 0x3ff, RISCV_PTE_V);
        table = RISCV_PPN_53_10(e);
    }
    return memory_read64(&rv.memory, table + 8 * (iova >> (12 + 9 * level) & 511));
}

/* A device's requests have no privilege, and nobody sets A and D later. */
static void leaves(void)
{
    const uint64_t read =
        RISCV_PTE_V | RISCV_PTE_R | RISCV_PTE_X | RISCV_PTE_U | RISCV_PTE_A;
    const uint64_t write = read | RISCV_PTE_W | RISCV_PTE_D;
    EXPECT_EQUAL(domain_map(rv.domain, 0x10000, 0x2345000, 0x1000, PT_READ), 0);
    EXPECT_EQUAL(leaf_word(0x10000, 0), read | 0x2345 << 10);
    EXPECT_EQUAL(domain_map(rv.domain, 0x11000, 0x2345000, 0x1000, PT_WRITE), 0);
    EXPECT_EQUAL(leaf_word(0x11000, 0), write | 0x2345 << 10);
    EXPECT_EQUAL(domain_map(rv.domain, 0x20000, 0x40000, 0x10000, PT_WRITE | PT_READ), 0);
    for (uint64_t i = 0; i < 16; i++)
        EXPECT_EQUAL(leaf_word(0x20000 + i * 0x1000, 0),
                     write | RISCV_PTE_N | (0x40 | 8) << 10);
    EXPECT_EQUAL(domain_map(rv.domain, 0x200000, 0x600000, 0x200000, PT_READ), 0);
    EXPECT_EQUAL(leaf_word(0x200000, 1), read | 0x600 << 10);
    EXPECT_EQUAL(rv_commands(), 0); /* What is absent is not cached: maps tell nobody. */
}

TEST_CASE(backend_riscv, leaves_are_the_users_and_need_no_update)
{
    rv_new();
    rv_run(leaves);
}
