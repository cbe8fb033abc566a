/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's page tables: both stages, how they nest, what they update, and MSIs.
 */
#include "sim/test/riscv_oracle.h"
#include "sim/test/riscv_tables.h"
#include "sim/test/shim.h"

static struct riscv_tables tables;

#define EXPECT_CAUSE(r, want, what)                                                        \
    shim_equal((r).cause, (want), (what), __FILE__, __LINE__)

TEST_CASE(riscv_oracle, a_leaf_may_be_at_any_level_of_any_mode)
{
    static const uint64_t offset_of[] = { 0xfff, 0x1fffff, 0x3fffffff, 0x7fffffffff,
                                          0xffffffffffff };
    for (unsigned stage = 1; stage <= 2; stage++)
        for (unsigned levels = 3; levels <= 5; levels++)
            for (unsigned level = 0; level < levels; level++) {
                tables_reset(&tables);
                const struct oracle_result r = tables_walk_one(
                    &tables, stage, levels, level, TO(AT(50)) | PTE_ALL, ORACLE_WRITE);
                EXPECT(r.ok);
                EXPECT_EQUAL(r.pa, AT(50) | (tables_iova(levels) & offset_of[level]));
                EXPECT_EQUAL(r.page_lg2, 12 + 9 * level);
                EXPECT_EQUAL(r.s1_lg2, stage == 1 ? 12 + 9 * level : 0);
                EXPECT_EQUAL(r.s2_lg2, stage == 2 ? 12 + 9 * level : 0);
                EXPECT_EQUAL(r.s1_reads, stage == 1 ? levels - level : 0);
                EXPECT_EQUAL(r.s2_reads, stage == 2 ? levels - level : 0);
                EXPECT_EQUAL(r.s1_pte, stage == 1 ? TO(AT(50)) | PTE_ALL : 0);
                EXPECT_EQUAL(r.s2_pte, stage == 2 ? TO(AT(50)) | PTE_ALL : 0);
                EXPECT_EQUAL(r.update_count, 0);
            }
}

/* Entries that are the same in both stages. The cause is that of a page fault of the first
 * stage by a read, 0 or 13; both stages and all accesses follow from it. */
static const struct {
    const char *what;
    unsigned level;
    uint64_t entry, lacking;
    bool faults;
} entry_cases[] = {
    { "good", 0, PTE_ALL, 0, false },
    { "good without Svpbmt", 0, PTE_ALL, SVPBMT, false },
    { "not valid", 0, PTE_ALL & ~PTE_V, 0, true },
    { "not valid at level 2", 2, PTE_ALL & ~PTE_V, 0, true },
    { "write without read", 0, PTE_ALL & ~PTE_R, 0, true },
    { "write without read or execute", 0, PTE_ALL & ~(PTE_R | PTE_X), 0, true },
    { "a table at level 0", 0, PTE_V, 0, true },
    { "bits for software", 0, PTE_ALL | AT(8) | AT(9), 0, false },
    { "global", 0, PTE_ALL | PTE_G, 0, false },
    { "bit 54", 0, PTE_ALL | AT(54), 0, true },
    { "bit 60", 0, PTE_ALL | AT(60), 0, true },
    { "PBMT NC", 0, PTE_ALL | PTE_NC, 0, false },
    { "PBMT IO", 0, PTE_ALL | PTE_IO, 0, false },
    { "PBMT 3", 0, PTE_ALL | PTE_NC | PTE_IO, 0, true },
    { "PBMT NC without Svpbmt", 0, PTE_ALL | PTE_NC, SVPBMT, true },
    { "PBMT IO without Svpbmt", 0, PTE_ALL | PTE_IO, SVPBMT, true },
    { "64 KiB", 0, PTE_ALL | PTE_N | TO(0x8000), 0, false },
    { "64 KiB without Svpbmt", 0, PTE_ALL | PTE_N | TO(0x8000), SVPBMT, false },
    { "64 KiB with other low bits", 0, PTE_ALL | PTE_N | TO(0x9000), 0, true },
    { "NAPOT of 32 KiB", 0, PTE_ALL | PTE_N | TO(0x4000), 0, true },
    { "NAPOT of nothing", 0, PTE_ALL | PTE_N, 0, true },
    { "NAPOT at level 1", 1, PTE_ALL | PTE_N | TO(0x8000), 0, true },
    { "2 MiB misaligned", 1, PTE_ALL | TO(0x1000), 0, true },
    { "2 MiB misaligned by 1 MiB", 1, PTE_ALL | TO(0x100000), 0, true },
    { "1 GiB misaligned", 2, PTE_ALL | TO(0x1000), 0, true },
    { "1 GiB misaligned by 2 MiB", 2, PTE_ALL | TO(0x200000), 0, true },
    { "table, accessed", 1, PTE_V | PTE_A | TO(0x9000), 0, true },
    { "table, dirty", 1, PTE_V | PTE_D | TO(0x9000), 0, true },
    { "table, user", 2, PTE_V | PTE_U | TO(0x9000), 0, true },
    { "table, NAPOT", 2, PTE_V | PTE_N | TO(0x9000), 0, true },
    { "table, NC", 1, PTE_V | PTE_NC | TO(0x9000), 0, true },
    { "table, bit 55", 1, PTE_V | AT(55) | TO(0x9000), 0, true },
};

TEST_CASE(riscv_oracle, a_malformed_entry_is_a_page_fault_of_its_stage)
{
    static const unsigned cause[][3] = { { 13, 15, 12 }, { 21, 23, 20 } };
    for (unsigned i = 0; i < sizeof entry_cases / sizeof *entry_cases; i++)
        for (unsigned stage = 1; stage <= 2; stage++) {
            tables_reset(&tables);
            tables.iommu.capabilities &= ~entry_cases[i].lacking;
            const enum oracle_access access = i % 2 != 0 ? ORACLE_WRITE : ORACLE_READ;
            const struct oracle_result r    = tables_walk_one(
                   &tables, stage, 3, entry_cases[i].level, entry_cases[i].entry, access);
            EXPECT_CAUSE(r, entry_cases[i].faults ? cause[stage - 1][access] : 0,
                         entry_cases[i].what);
            EXPECT_EQUAL(r.iotval2, r.ok || stage == 1 ? 0 : SV39_IOVA);
        }
}

/* Process 0, a supervisor or a user, with one first-stage leaf. */
static struct oracle_result walk_as(uint64_t ta, bool priv, uint64_t flags,
                                    enum oracle_access access)
{
    tables_reset(&tables);
    tables_context(&tables, TC_V | TC_PDTV, 0, MODE(1) | ROOT(0x4000));
    tables_poke(&tables, 0x4000, PC_V | ta);
    tables_poke(&tables, 0x4008, TABLES_S1(8));
    tables_map(&tables, TABLES_ROOT, 3, false, SV39_IOVA, 0, TO(0x77000) | flags);
    const struct oracle_request q = {
        .iova = SV39_IOVA, .access = access, .pv = true, .priv = priv
    };
    return tables_ask(&tables, q);
}

TEST_CASE(riscv_oracle, a_first_stage_leaf_permits_by_access_and_privilege)
{
    enum { READER = PTE_V | PTE_R | PTE_A | PTE_D, WRITER = READER | PTE_W };
    enum { FETCHER = PTE_V | PTE_X | PTE_A };
    static const struct {
        const char *what;
        uint64_t ta;
        bool priv;
        uint64_t flags;
        enum oracle_access access;
        unsigned cause;
    } cases[] = {
        { "user reads U=1", 0, false, READER | PTE_U, ORACLE_READ, 0 },
        { "user reads U=0", 0, false, READER, ORACLE_READ, 13 },
        { "user writes what may be read", 0, false, READER | PTE_U, ORACLE_WRITE, 15 },
        { "user writes", 0, false, WRITER | PTE_U, ORACLE_WRITE, 0 },
        { "user writes U=0", 0, false, WRITER, ORACLE_WRITE, 15 },
        { "user executes what may be read", 0, false, READER | PTE_U, ORACLE_EXECUTE, 12 },
        { "user executes", 0, false, FETCHER | PTE_U, ORACLE_EXECUTE, 0 },
        { "user executes U=0", 0, false, FETCHER, ORACLE_EXECUTE, 12 },
        { "user reads what may be executed", 0, false, FETCHER | PTE_U, ORACLE_READ, 13 },
        { "SUM is nothing to a user", PC_SUM, false, READER, ORACLE_READ, 13 },
        { "supervisor reads U=0", PC_ENS, true, READER, ORACLE_READ, 0 },
        { "supervisor reads U=1", PC_ENS, true, READER | PTE_U, ORACLE_READ, 13 },
        { "with SUM", PC_ENS | PC_SUM, true, READER | PTE_U, ORACLE_READ, 0 },
        { "supervisor writes U=1", PC_ENS, true, WRITER | PTE_U, ORACLE_WRITE, 15 },
        { "with SUM", PC_ENS | PC_SUM, true, WRITER | PTE_U, ORACLE_WRITE, 0 },
        { "supervisor executes U=0", PC_ENS, true, FETCHER, ORACLE_EXECUTE, 0 },
        { "U=1", PC_ENS, true, FETCHER | PTE_U, ORACLE_EXECUTE, 12 },
        { "even with SUM", PC_ENS | PC_SUM, true, FETCHER | PTE_U, ORACLE_EXECUTE, 12 },
        { "without ENS", PC_SUM, true, READER, ORACLE_READ, 260 },
        { "ENS, a user", PC_ENS, false, READER | PTE_U, ORACLE_READ, 0 },
        { "not accessed", 0, false, PTE_V | PTE_R | PTE_U, ORACLE_READ, 13 },
        { "not accessed, write", 0, false, (WRITER & ~PTE_A) | PTE_U, ORACLE_WRITE, 15 },
        { "not dirty", 0, false, (WRITER & ~PTE_D) | PTE_U, ORACLE_WRITE, 15 },
        { "not dirty, read", 0, false, (WRITER & ~PTE_D) | PTE_U, ORACLE_READ, 0 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct oracle_result r =
            walk_as(cases[i].ta, cases[i].priv, cases[i].flags, cases[i].access);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        EXPECT_EQUAL(r.pa, r.ok ? 0x77abc : 0);
    }
}

TEST_CASE(riscv_oracle, without_a_process_everyone_is_a_user_who_reads_or_writes)
{
    tables_reset(&tables);
    tables_walk_one(&tables, 1, 3, 0, TO(0x77000) | PTE_V | PTE_R | PTE_A | PTE_U,
                    ORACLE_READ);
    struct oracle_request q = { .iova = SV39_IOVA, .access = ORACLE_EXECUTE, .priv = true };
    EXPECT(tables_ask(&tables, q).ok);
    q.iova = 0;
    EXPECT_EQUAL(tables_ask(&tables, q).cause, 13);
}

TEST_CASE(riscv_oracle, a_second_stage_leaf_permits_by_access_and_always_needs_u)
{
    enum { READER = PTE_V | PTE_R | PTE_A | PTE_U, WRITER = READER | PTE_W | PTE_D };
    static const struct {
        const char *what;
        uint64_t flags;
        enum oracle_access access;
        unsigned cause;
    } cases[] = {
        { "read", READER, ORACLE_READ, 0 },
        { "write what may be read", READER, ORACLE_WRITE, 23 },
        { "write", WRITER, ORACLE_WRITE, 0 },
        { "not a user's", READER & ~PTE_U, ORACLE_READ, 21 },
        { "not a user's, write", WRITER & ~PTE_U, ORACLE_WRITE, 23 },
        { "execute-only", PTE_V | PTE_X | PTE_A | PTE_U, ORACLE_READ, 21 },
        { "not accessed", READER & ~PTE_A, ORACLE_READ, 21 },
        { "not dirty, read", WRITER & ~PTE_D, ORACLE_READ, 0 },
        { "not dirty, write", WRITER & ~PTE_D, ORACLE_WRITE, 23 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_reset(&tables);
        const struct oracle_result r = tables_walk_one(
            &tables, 2, 3, 0, TO(0x77000) | cases[i].flags, cases[i].access);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        EXPECT_EQUAL(r.iotval2, r.ok ? 0 : SV39_IOVA);
    }
}

TEST_CASE(riscv_oracle, a_second_stage_execution_needs_x_and_not_u_0_of_a_supervisor)
{
    tables_reset(&tables);
    tables_context(&tables, TC_V | TC_PDTV, TABLES_S2(8), MODE(0));
    const struct oracle_request q = {
        .iova = SV39_IOVA, .access = ORACLE_EXECUTE, .pv = true, .priv = true
    };
    const uint64_t at = tables_map(&tables, TABLES_ROOT2, 3, true, SV39_IOVA, 0,
                                   TO(0x77000) | PTE_V | PTE_X | PTE_A | PTE_U);
    EXPECT_EQUAL(tables_ask(&tables, q).pa, 0x77abc);
    tables_poke(&tables, at, TO(0x77000) | PTE_V | PTE_R | PTE_A | PTE_U);
    EXPECT_EQUAL(tables_ask(&tables, q).cause, 20);
}

TEST_CASE(riscv_oracle, an_iova_must_be_canonical_and_a_guest_address_fit)
{
    static const struct {
        const char *what;
        uint64_t tc, iohgatp, fsc, iova;
        unsigned cause, reads;
    } cases[] = {
        { "Sv39 positive", 0, 0, TABLES_S1(8), AT(38) - 1, 13, 1 },
        { "Sv39 beyond", 0, 0, TABLES_S1(8), AT(38), 13, 0 },
        { "Sv39 beyond", 0, 0, TABLES_S1(8), AT(63), 13, 0 },
        { "Sv39 negative", 0, 0, TABLES_S1(8), ~(uint64_t)0 << 38, 13, 1 },
        { "Sv39 below", 0, 0, TABLES_S1(8), ~(uint64_t)0 << 39, 13, 0 },
        { "Sv48 positive", 0, 0, TABLES_S1(9), AT(47) - 1, 13, 1 },
        { "Sv48 beyond", 0, 0, TABLES_S1(9), AT(47), 13, 0 },
        { "Sv48 negative", 0, 0, TABLES_S1(9), ~(uint64_t)0 << 47, 13, 1 },
        { "Sv57 positive", 0, 0, TABLES_S1(10), AT(56) - 1, 13, 1 },
        { "Sv57 beyond", 0, 0, TABLES_S1(10), AT(56), 13, 0 },
        { "Sv57 negative", 0, 0, TABLES_S1(10), ~(uint64_t)0 << 56, 13, 1 },
        { "Sv39x4 last", 0, TABLES_S2(8), 0, AT(41) - 4, 21, 1 },
        { "Sv39x4 beyond", 0, TABLES_S2(8), 0, AT(41), 21, 0 },
        { "Sv39x4, sign-extended", 0, TABLES_S2(8), 0, ~(uint64_t)0 << 38, 21, 0 },
        { "Sv48x4 last", 0, TABLES_S2(9), 0, AT(50) - 4, 21, 1 },
        { "Sv48x4 beyond", 0, TABLES_S2(9), 0, AT(50), 21, 0 },
        { "Sv57x4 last", 0, TABLES_S2(10), 0, AT(59) - 4, 21, 1 },
        { "Sv57x4 beyond", 0, TABLES_S2(10), 0, AT(59), 21, 0 },
        { "SXL 1, 34 bits", TC_SXL, TABLES_S2(8), 0, AT(34) - 4, 21, 1 },
        { "SXL 1, 35 bits", TC_SXL, TABLES_S2(8), 0, AT(34), 21, 0 },
        { "SXL 1, all Bare", TC_SXL, 0, 0, AT(34), 0, 0 },
        { "all Bare", 0, 0, 0, ~(uint64_t)0, 0, 0 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_reset(&tables);
        tables_context(&tables, TC_V | cases[i].tc, cases[i].iohgatp, cases[i].fsc);
        const struct oracle_result r = tables_read(&tables, cases[i].iova);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        shim_equal(r.s1_reads + r.s2_reads, cases[i].reads, cases[i].what, __FILE__,
                   __LINE__);
        EXPECT_EQUAL(r.iotval2, r.cause == 21 ? cases[i].iova : 0);
        EXPECT_EQUAL(r.pa, r.ok ? cases[i].iova : 0);
    }
}

TEST_CASE(riscv_oracle, the_root_of_the_second_stage_has_2048_entries)
{
    const uint64_t gpa = (uint64_t)0x5a3 << 30 | 0x2345;
    tables_reset(&tables);
    tables_context(&tables, TC_V, TABLES_S2(8), 0);
    tables_poke(&tables, TABLES_ROOT2 + 0x5a3 * 8, TO(AT(30) * 3) | PTE_ALL);
    EXPECT_EQUAL(tables_read(&tables, gpa).pa, AT(30) * 3 + 0x2345);
}

TEST_CASE(riscv_oracle, an_unreachable_entry_is_an_access_fault_of_the_access)
{
    static const unsigned cause[] = { 5, 7 };
    for (unsigned stage = 1; stage <= 2; stage++)
        for (unsigned write = 0; write < 2; write++) {
            tables_reset(&tables);
            tables.iommu.capabilities ^= PAS(46) ^ PAS(19);
            struct oracle_result r = tables_walk_one(
                &tables, stage, 3, 1, TO(AT(19)) | PTE_V, (enum oracle_access)write);
            EXPECT_EQUAL(r.cause, cause[write]);
            EXPECT_EQUAL(r.s1_reads + r.s2_reads, 2); /* The third is beyond PAS. */
            EXPECT_EQUAL(r.iotval2, 0);
            tables.iommu.capabilities ^= PAS(46) ^ PAS(19);
            r = tables_walk_one(&tables, stage, 3, 1, TO(AT(30)) | PTE_V,
                                (enum oracle_access)write);
            EXPECT_EQUAL(r.cause, cause[write]);
            EXPECT_EQUAL(r.s1_reads + r.s2_reads, 3);
        }
    EXPECT_EQUAL(walk_as(0, false, PTE_ALL, ORACLE_EXECUTE).cause, 0);
    tables.forbidden              = TABLES_ROOT + 5 * 8;
    const struct oracle_request q = { .iova   = SV39_IOVA,
                                      .access = ORACLE_EXECUTE,
                                      .pv     = true };
    EXPECT_EQUAL(tables_ask(&tables, q).cause, 1);
}

TEST_CASE(riscv_oracle, nested_stages_read_n1_times_1_plus_n2_plus_n2_entries)
{
    for (unsigned levels = 3; levels <= 5; levels++)
        for (unsigned level = 0; level < levels; level++)
            for (unsigned levels2 = 3; levels2 <= 5; levels2++)
                for (unsigned under = 0; under < levels2; under++) {
                    const uint64_t target =
                        tables_nest(&tables, levels, level, levels2, under);
                    /* What Sv39x4 cannot address: a 256 TiB page of Sv57 under it. */
                    const bool fits   = target >> (14 + 9 * levels2) == 0;
                    const unsigned n1 = levels - level, n2 = levels2 - under;
                    struct oracle_result r = tables_read(&tables, tables_iova(levels));
                    EXPECT_EQUAL(r.cause, fits ? 0 : 21);
                    EXPECT_EQUAL(r.s1_reads, n1);
                    EXPECT_EQUAL(r.s2_reads, n1 * n2 + (fits ? n2 : 0));
                    EXPECT_EQUAL(r.gpa, target);
                    EXPECT_EQUAL(r.pa, fits ? target : 0);
                    EXPECT_EQUAL(r.page_lg2,
                                 fits ? 12 + 9 * (level < under ? level : under) : 0);
                }
}

TEST_CASE(riscv_oracle, known_nested_read_counts)
{
    static const struct {
        unsigned level, under, reads;
    } cases[] = { { 0, 0, 15 }, { 0, 1, 11 }, { 0, 2, 7 }, { 1, 0, 11 }, { 1, 1, 8 },
                  { 1, 2, 5 },  { 2, 0, 7 },  { 2, 1, 5 }, { 2, 2, 3 } };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_nest(&tables, 3, cases[i].level, 3, cases[i].under);
        const struct oracle_result r = tables_read(&tables, SV39_IOVA);
        EXPECT_EQUAL(r.s1_reads + r.s2_reads, cases[i].reads);
    }
}

TEST_CASE(riscv_oracle, the_smaller_page_and_both_permissions_count)
{
    tables_nest(&tables, 3, 1, 3, 0); /* 2 MiB under 4 KiB: guest address 0x9abc. */
    tables_map(&tables, TABLES_ROOT2, 3, true, 0x9abc, 0,
               TO(0x55000) | PTE_V | PTE_R | PTE_U | PTE_A | PTE_NC);
    struct oracle_result r = tables_read(&tables, SV39_IOVA);
    EXPECT_EQUAL(r.pa, 0x55abc);
    EXPECT_EQUAL(r.page_lg2, 12);
    EXPECT_EQUAL(r.s1_lg2, 21);
    EXPECT_EQUAL(r.s2_lg2, 12);
    EXPECT_EQUAL(r.pbmt, 1);
    EXPECT(r.readable && !r.writable && !r.executable);
    tables_map(&tables, TABLES_ROOT, 3, false, SV39_IOVA, 1, PTE_ALL | PTE_IO);
    r = tables_read(&tables, SV39_IOVA);
    EXPECT_EQUAL(r.pbmt, 2); /* The first stage overrides. */
    EXPECT_EQUAL(r.s1_pte, PTE_ALL | PTE_IO);
    EXPECT_EQUAL(r.s2_pte, TO(0x55000) | PTE_V | PTE_R | PTE_U | PTE_A | PTE_NC);
    tables_map(&tables, TABLES_ROOT2, 3, true, 0x9abc, 0, TO(0x58000) | PTE_ALL | PTE_N);
    r = tables_read(&tables, SV39_IOVA);
    EXPECT_EQUAL(r.pa, 0x59abc);
    EXPECT_EQUAL(r.page_lg2, 16);
    EXPECT_EQUAL(r.s1_lg2, 21);
    tables_map_guest(&tables, 0x9abc, TO(0x58000) | PTE_ALL | PTE_N | PTE_IO);
    tables_map(&tables, TABLES_ROOT, 3, false, SV39_IOVA, 1, PTE_ALL);
    EXPECT_EQUAL(tables_read(&tables, SV39_IOVA).pbmt, 2);
}

TEST_CASE(riscv_oracle, an_address_space_has_the_tags_of_the_stages_in_use)
{
    enum { GSCID = 0x8421, PSCID = 0x84211 };
    for (unsigned first = 0; first < 2; first++)
        for (unsigned second = 0; second < 2; second++) {
            tables_nest(&tables, 3, 0, 4, 0);
            tables_context(&tables, TC_V,
                           (second ? TABLES_S2(9) : 0) | (uint64_t)GSCID << 44,
                           first ? TABLES_S1(8) : 0);
            tables_poke(&tables, 0x1010, (uint64_t)PSCID << 12);
            const struct oracle_result r = tables_read(&tables, SV39_IOVA);
            EXPECT_EQUAL(r.gscid, second ? GSCID : 0);
            EXPECT_EQUAL(r.pscid, first ? PSCID : 0);
        }
}

TEST_CASE(riscv_oracle, 64_kib_take_the_low_page_bits_from_the_address)
{
    tables_reset(&tables);
    const struct oracle_result r =
        tables_walk_one(&tables, 1, 3, 0, TO(0x6008000) | PTE_ALL | PTE_N, ORACLE_READ);
    EXPECT_EQUAL(r.pa, 0x6009abc);
    EXPECT_EQUAL(r.s1_lg2, 16);
    EXPECT_EQUAL(r.page_lg2, 16);
    EXPECT_EQUAL(r.pbmt, 0);
}

TEST_CASE(riscv_oracle, a_guest_page_fault_of_an_implicit_access_names_the_entry)
{
    static const struct {
        const char *what;
        uint64_t page, entry;
        enum oracle_access access;
        unsigned cause;
        uint64_t iotval2;
        unsigned s1_reads, s2_reads;
    } cases[] = {
        { "root", 0x10000, 0, ORACLE_READ, 21, 0x10029, 0, 3 },
        { "root, write", 0x10000, 0, ORACLE_WRITE, 23, 0x10029, 0, 3 },
        { "middle", 0x20000, 0, ORACLE_WRITE, 23, 0x20039, 1, 6 },
        { "last", 0x21000, 0, ORACLE_READ, 21, 0x21049, 2, 9 },
        { "last execute-only", 0x21000, TO(0x21000) | PTE_V | PTE_X | PTE_U | PTE_A,
          ORACLE_READ, 21, 0x21049, 2, 9 },
        { "last not a user's", 0x21000, TO(0x21000) | PTE_V | PTE_R | PTE_A, ORACLE_READ,
          21, 0x21049, 2, 9 },
        { "last not accessed", 0x21000, TO(0x21000) | PTE_V | PTE_R | PTE_U, ORACLE_WRITE,
          23, 0x21049, 2, 9 },
        { "last read-only, not dirty", 0x21000, TO(0x21000) | PTE_V | PTE_R | PTE_U | PTE_A,
          ORACLE_WRITE, 0, 0, 3, 12 },
        { "target", 0x77000, 0, ORACLE_READ, 21, 0x77abc, 3, 12 },
        { "target read-only", 0x77000, TO(0x77000) | PTE_V | PTE_R | PTE_U | PTE_A,
          ORACLE_WRITE, 23, 0x77abc, 3, 12 },
        { "root out of reach", 0x10000, TO(AT(30)) | PTE_ALL, ORACLE_WRITE, 7, 0, 1, 3 },
        { "root beyond PAS", 0x10000, TO(AT(50)) | PTE_ALL, ORACLE_READ, 5, 0, 0, 3 },
        { "target beyond PAS", 0x77000, TO(AT(50)) | PTE_ALL, ORACLE_READ, 0, 0, 3, 12 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_nest(&tables, 3, 0, 3, 0);
        tables_map_guest(&tables, cases[i].page, cases[i].entry);
        const struct oracle_result r = tables_access(&tables, SV39_IOVA, cases[i].access);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        shim_equal(r.iotval2, cases[i].iotval2, cases[i].what, __FILE__, __LINE__);
        shim_equal(r.s1_reads, cases[i].s1_reads, cases[i].what, __FILE__, __LINE__);
        shim_equal(r.s2_reads, cases[i].s2_reads, cases[i].what, __FILE__, __LINE__);
    }
}

TEST_CASE(riscv_oracle, a_first_stage_table_beyond_the_guest_width_is_a_guest_page_fault)
{
    tables_nest(&tables, 3, 0, 3, 0);
    tables_poke(&tables, TABLES_ROOT + 0x28, TO(AT(41)) | PTE_V);
    const struct oracle_result r = tables_read(&tables, SV39_IOVA);
    EXPECT_EQUAL(r.cause, 21);
    EXPECT_EQUAL(r.iotval2, AT(41) | 0x39);
    EXPECT_EQUAL(r.s2_reads, 3);
}
