/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the oracle says of accessed and dirty bits, of the order of bytes, and of MSIs.
 */
#include "sim/base/rng.h"
#include "sim/test/riscv_oracle.h"
#include "sim/test/riscv_tables.h"
#include "sim/test/shim.h"

static struct riscv_tables tables;

#define EXPECT_CAUSE(r, want, what)                                                        \
    shim_equal((r).cause, (want), (what), __FILE__, __LINE__)

TEST_CASE(riscv_oracle, hardware_sets_accessed_and_dirty_where_the_context_says)
{
    static const struct {
        const char *what;
        unsigned stage;
        uint64_t tc, flags;
        enum oracle_access access;
        unsigned cause;
        uint64_t set;
    } cases[] = {
        { "1: nothing to do", 1, TC_SADE, PTE_ALL, ORACLE_WRITE, 0, 0 },
        { "1: A", 1, TC_SADE, PTE_ALL & ~(PTE_A | PTE_D), ORACLE_READ, 0, PTE_A },
        { "1: D is not for a read", 1, TC_SADE, PTE_ALL & ~PTE_D, ORACLE_READ, 0, 0 },
        { "1: D", 1, TC_SADE, PTE_ALL & ~PTE_D, ORACLE_WRITE, 0, PTE_D },
        { "1: both", 1, TC_SADE, PTE_ALL & ~(PTE_A | PTE_D), ORACLE_WRITE, 0,
          PTE_A | PTE_D },
        { "1: only GADE", 1, TC_GADE, PTE_ALL & ~PTE_A, ORACLE_READ, 13, 0 },
        { "1: permissions first", 1, TC_SADE, PTE_V | PTE_R | PTE_U, ORACLE_WRITE, 15, 0 },
        { "2: A", 2, TC_GADE, PTE_ALL & ~(PTE_A | PTE_D), ORACLE_READ, 0, PTE_A },
        { "2: D", 2, TC_GADE, PTE_ALL & ~PTE_D, ORACLE_WRITE, 0, PTE_D },
        { "2: both", 2, TC_GADE, PTE_ALL & ~(PTE_A | PTE_D), ORACLE_WRITE, 0,
          PTE_A | PTE_D },
        { "2: only SADE", 2, TC_SADE, PTE_ALL & ~PTE_D, ORACLE_WRITE, 23, 0 },
        { "2: permissions first", 2, TC_GADE, PTE_V | PTE_R | PTE_U, ORACLE_WRITE, 23, 0 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_reset(&tables);
        tables_walk_one(&tables, cases[i].stage, 3, 0, TO(0x77000) | cases[i].flags,
                        cases[i].access);
        tables_poke(&tables, 0x1000, TC_V | cases[i].tc);
        const struct oracle_result r = tables_access(&tables, SV39_IOVA, cases[i].access);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        shim_equal(r.update_count, cases[i].set != 0, cases[i].what, __FILE__, __LINE__);
        EXPECT_EQUAL(r.updates[0].pa, cases[i].set != 0 ? 0x21048 : 0);
        EXPECT_EQUAL(r.updates[0].value,
                     cases[i].set != 0 ? TO(0x77000) | cases[i].flags | cases[i].set : 0);
        EXPECT_EQUAL(tables_peek(&tables, 0x21048), TO(0x77000) | cases[i].flags);
    }
}

TEST_CASE(riscv_oracle, an_update_that_may_not_be_written_is_an_access_fault)
{
    for (unsigned stage = 1; stage <= 2; stage++) {
        tables_reset(&tables);
        tables_walk_one(&tables, stage, 3, 0, TO(0x77000) | (PTE_ALL & ~PTE_D),
                        ORACLE_WRITE);
        tables_poke(&tables, 0x1000, TC_V | TC_SADE | TC_GADE);
        tables.read_only = 0x21048;
        EXPECT_EQUAL(tables_access(&tables, SV39_IOVA, ORACLE_READ).cause, 0);
        const struct oracle_result r = tables_access(&tables, SV39_IOVA, ORACLE_WRITE);
        EXPECT_EQUAL(r.cause, 7);
        EXPECT_EQUAL(r.update_count, 0);
    }
}

/* Nested 4 KiB under 4 KiB, the last first-stage entry with flags, its page with under. */
static struct oracle_result update_nested(uint64_t tc, uint64_t flags, uint64_t under)
{
    tables_nest(&tables, 3, 0, 3, 0);
    tables_poke(&tables, 0x1000, TC_V | tc);
    tables_poke(&tables, 0x21048, TO(0x77000) | flags);
    tables_map_guest(&tables, 0x21000, TO(0x21000) | under);
    return tables_access(&tables, SV39_IOVA, ORACLE_WRITE);
}

TEST_CASE(riscv_oracle, an_update_of_the_first_stage_is_a_write_to_the_second)
{
    enum { CLEAN = PTE_ALL & ~PTE_D, READER = PTE_V | PTE_R | PTE_U | PTE_A };
    static const struct {
        const char *what;
        uint64_t tc, flags, under;
        unsigned cause;
        uint64_t iotval2;
        unsigned updates;
    } cases[] = {
        { "writable and dirty", TC_SADE, CLEAN, PTE_ALL, 0, 0, 1 },
        { "only readable", TC_SADE, CLEAN, READER, 23, 0x2104b, 0 },
        { "only readable, GADE", TC_SADE | TC_GADE, CLEAN, READER, 23, 0x2104b, 0 },
        { "writable and clean", TC_SADE, CLEAN, CLEAN, 23, 0x2104b, 0 },
        { "writable and clean, GADE", TC_SADE | TC_GADE, CLEAN, CLEAN, 0, 0, 2 },
        { "nothing to write", TC_SADE, PTE_ALL, READER, 0, 0, 0 },
        { "nothing to write, clean", TC_SADE | TC_GADE, PTE_ALL, CLEAN, 0, 0, 0 },
        { "not by hardware", TC_GADE, CLEAN, PTE_ALL, 15, 0, 0 },
        { "not accessed", TC_SADE, CLEAN, PTE_ALL & ~PTE_A, 23, 0x21049, 0 },
        { "neither, GADE", TC_SADE | TC_GADE, CLEAN, CLEAN & ~PTE_A, 0, 0, 3 },
        { "permissions first", TC_SADE, PTE_V | PTE_R | PTE_U, READER, 15, 0, 0 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct oracle_result r =
            update_nested(cases[i].tc, cases[i].flags, cases[i].under);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        shim_equal(r.iotval2, cases[i].iotval2, cases[i].what, __FILE__, __LINE__);
        shim_equal(r.update_count, cases[i].updates, cases[i].what, __FILE__, __LINE__);
    }
}

TEST_CASE(riscv_oracle, updates_come_in_order_and_are_seen_by_later_reads)
{
    enum { CLEAN = PTE_ALL & ~(PTE_A | PTE_D) };
    tables_nest(&tables, 3, 0, 3, 0);
    tables_poke(&tables, 0x1000, TC_V | TC_SADE | TC_GADE);
    tables_poke(&tables, 0x21048, TO(0x77000) | CLEAN);
    const uint64_t root    = tables_map_guest(&tables, 0x10000, TO(0x10000) | CLEAN);
    const uint64_t middle  = tables_map_guest(&tables, 0x20000, TO(0x20000) | CLEAN);
    const uint64_t last    = tables_map_guest(&tables, 0x21000, TO(0x21000) | CLEAN);
    const uint64_t target  = tables_map_guest(&tables, 0x77000, TO(0x77000) | CLEAN);
    struct oracle_result r = tables_access(&tables, SV39_IOVA, ORACLE_WRITE);
    const struct oracle_update want[] = {
        { root, TO(0x10000) | CLEAN | PTE_A }, { middle, TO(0x20000) | CLEAN | PTE_A },
        { last, TO(0x21000) | CLEAN | PTE_A }, { last, TO(0x21000) | PTE_ALL },
        { 0x21048, TO(0x77000) | PTE_ALL },    { target, TO(0x77000) | PTE_ALL },
    };
    EXPECT(r.ok);
    EXPECT_EQUAL(r.update_count, 6);
    for (unsigned i = 0; i < 6; i++) {
        EXPECT_EQUAL(r.updates[i].pa, want[i].pa);
        EXPECT_EQUAL(r.updates[i].value, want[i].value);
        tables_poke(&tables, r.updates[i].pa, r.updates[i].value);
    }
    EXPECT_EQUAL(r.s1_reads + r.s2_reads, 15);
    r = tables_access(&tables, SV39_IOVA, ORACLE_WRITE);
    EXPECT(r.ok);
    EXPECT_EQUAL(r.update_count, 0);
    /* One leaf under all: set once, not once for each entry. */
    tables_nest(&tables, 3, 0, 3, 1);
    tables_poke(&tables, 0x1000, TC_V | TC_GADE);
    tables_map(&tables, TABLES_ROOT2, 3, true, 0, 1, CLEAN);
    r = tables_read(&tables, SV39_IOVA);
    EXPECT(r.ok);
    EXPECT_EQUAL(r.update_count, 1);
}

TEST_CASE(riscv_oracle, the_deepest_walk_has_11_updates)
{
    enum { CLEAN = PTE_ALL & ~(PTE_A | PTE_D) };
    tables_nest(&tables, 5, 0, 5, 0);
    tables_poke(&tables, 0x1000, TC_V | TC_PDTV | TC_DPE | TC_SADE | TC_GADE);
    tables_poke(&tables, 0x1018, MODE(3) | ROOT(0x4000));
    tables_poke(&tables, 0x4000, TO(0x5000) | 1);
    tables_poke(&tables, 0x5000, TO(0x6000) | 1);
    tables_poke(&tables, 0x6000, PC_V);
    tables_poke(&tables, 0x6008, TABLES_S1(10));
    tables_map(&tables, TABLES_ROOT, 5, false, SV57_IOVA, 0, TO(0x77000) | CLEAN);
    const uint64_t pages[] = { 0x4000,  0x5000,  0x6000,  0x10000, 0x20000,
                               0x21000, 0x22000, 0x23000, 0x77000 };
    for (unsigned i = 0; i < sizeof pages / sizeof *pages; i++)
        tables_map(&tables, TABLES_ROOT2, 5, true, pages[i], 0, TO(pages[i]) | CLEAN);
    const struct oracle_result r = tables_access(&tables, SV57_IOVA, ORACLE_WRITE);
    EXPECT(r.ok);
    EXPECT_EQUAL(r.update_count, ORACLE_UPDATES_MAX);
    EXPECT_EQUAL(r.pdt_reads, 3);
    EXPECT_EQUAL(r.s1_reads, 5);
    EXPECT_EQUAL(r.s2_reads, 45);
}

TEST_CASE(riscv_oracle, the_first_stage_is_updated_even_if_the_second_then_faults)
{
    tables_nest(&tables, 3, 0, 3, 0);
    tables_poke(&tables, 0x1000, TC_V | TC_SADE);
    tables_poke(&tables, 0x21048, TO(0x77000) | (PTE_ALL & ~PTE_A));
    tables_map_guest(&tables, 0x77000, 0);
    const struct oracle_result r = tables_read(&tables, SV39_IOVA);
    EXPECT_EQUAL(r.cause, 21);
    EXPECT_EQUAL(r.iotval2, 0x77abc);
    EXPECT_EQUAL(r.update_count, 1);
}

static uint64_t swapped(uint64_t word)
{
    return __builtin_bswap64(word);
}

TEST_CASE(riscv_oracle, each_stage_has_its_own_order_of_bytes)
{
    for (unsigned first = 0; first < 2; first++)
        for (unsigned second = 0; second < 2; second++) {
            tables_nest(&tables, 3, 0, 3, 0);
            tables.iommu.fctl = second;
            tables_poke(&tables, 0x1000, TC_V | TC_SADE | (first ? TC_SBE : 0));
            tables_poke(&tables, 0x21048, TO(0x77000) | (PTE_ALL & ~PTE_A));
            for (uint64_t pa = 0; pa < TABLES_BYTES; pa += 8) {
                const uint64_t page = pa >> 12;
                if (page == 0x10 || page == 0x20 || page == 0x21 ? first : second)
                    tables_poke(&tables, pa, swapped(tables_peek(&tables, pa)));
            }
            const struct oracle_result r = tables_read(&tables, SV39_IOVA);
            EXPECT(r.ok);
            EXPECT_EQUAL(r.pa, 0x77abc);
            EXPECT_EQUAL(r.update_count, 1);
            EXPECT_EQUAL(first ? swapped(r.updates[0].value) : r.updates[0].value,
                         TO(0x77000) | PTE_ALL);
        }
}

TEST_CASE(riscv_oracle, a_process_directory_has_the_order_of_the_first_stage)
{
    tables_reset(&tables);
    tables_context(&tables, TC_V | TC_PDTV | TC_DPE | TC_SBE, 0, MODE(1) | ROOT(0x4000));
    tables_poke(&tables, 0x4000, swapped(PC_V));
    EXPECT_EQUAL(tables_read(&tables, 0x1234).pa, 0x1234);
}

TEST_CASE(riscv_oracle, one_order_of_bytes_means_the_same_for_both_stages)
{
    tables_reset(&tables);
    tables.iommu.capabilities &= ~END;
    tables.iommu.fctl = 1;
    tables_poke(&tables, 0x1000, swapped(TC_V));
    EXPECT_EQUAL(tables_read(&tables, 0).cause, 259);
    tables_poke(&tables, 0x1000, swapped(TC_V | TC_SBE));
    EXPECT_EQUAL(tables_read(&tables, 0).cause, 0);
}

/* Interrupt files at guest pages 0x300b? and 0x301b?, where ? has bits 0 and 3 free: file
 * numbers are bits 8 (of 0x100), 3 and 0 of the page, packed. */
enum { FILES = 0x300b6, FILES_MASK = 0x109, MSI_TABLE = 0x5000 };

static void interrupt_files(uint64_t tc, uint64_t iohgatp, uint64_t file, uint64_t low,
                            uint64_t high)
{
    tables_reset(&tables);
    tables_context(&tables, TC_V | tc, iohgatp, 0);
    tables_poke(&tables, 0x1020, MODE(1) | ROOT(MSI_TABLE));
    tables_poke(&tables, 0x1028, FILES_MASK);
    tables_poke(&tables, 0x1030, FILES);
    tables_poke(&tables, MSI_TABLE + file * 16, low);
    tables_poke(&tables, MSI_TABLE + file * 16 + 8, high);
}

TEST_CASE(riscv_oracle, the_free_bits_of_an_interrupt_file_are_its_number)
{
    for (uint64_t file = 0; file < 8; file++) {
        const uint64_t page = FILES | (file & 1) | (file & 2) << 2 | (file & 4) << 6;
        interrupt_files(0, 0, file, TO(0x67000) | 7, ~(uint64_t)0);
        const struct oracle_result r =
            tables_access(&tables, page << 12 | 0x123, ORACLE_WRITE);
        EXPECT(r.ok && r.is_msi && !r.is_mrif);
        EXPECT_EQUAL(r.pa, 0x67123);
        EXPECT_EQUAL(r.page_lg2, 12);
        EXPECT_EQUAL(r.msi_reads, 1);
        EXPECT(r.readable && r.writable && !r.executable);
    }
    /* Bits that are not free must be those of the pattern, up to bit 63 of the address. */
    interrupt_files(0, 0, 0, TO(0x66000) | 7, 0);
    const uint64_t not_files[] = { 0x300b7 ^ 2, FILES ^ 0x10, FILES | AT(51),
                                   FILES ^ 0x200 };
    for (unsigned i = 0; i < 4; i++) {
        const struct oracle_result r = tables_read(&tables, not_files[i] << 12);
        EXPECT(r.ok && !r.is_msi);
        EXPECT_EQUAL(r.pa, not_files[i] << 12);
        EXPECT_EQUAL(r.msi_reads, 0);
    }
}

TEST_CASE(riscv_oracle, an_msi_entry_is_checked_for_everything_the_specification_lists)
{
    enum { GOOD = 7, MRIF = 3 };
    static const struct {
        const char *what;
        uint64_t low, high, lacking;
        enum oracle_access access;
        unsigned cause;
    } cases[] = {
        { "basic", GOOD, ~(uint64_t)0, 0, ORACLE_WRITE, 0 },
        { "basic, read", GOOD, 0, 0, ORACLE_READ, 0 },
        { "basic, fetch", GOOD, 0, 0, ORACLE_EXECUTE, 1 },
        { "not valid", GOOD - 1, 0, 0, ORACLE_WRITE, 262 },
        { "not valid, fetch", ~AT(0), 0, 0, ORACLE_EXECUTE, 262 },
        { "custom", GOOD | AT(63), 0, 0, ORACLE_WRITE, 263 },
        { "mode 0", 1, 0, 0, ORACLE_WRITE, 263 },
        { "mode 2", 5, 0, 0, ORACLE_WRITE, 263 },
        { "mode 2, fetch", 5, 0, 0, ORACLE_EXECUTE, 263 },
        { "basic, bit 3", GOOD | AT(3), 0, 0, ORACLE_WRITE, 263 },
        { "basic, bit 9", GOOD | AT(9), 0, 0, ORACLE_WRITE, 263 },
        { "basic, bit 54", GOOD | AT(54), 0, 0, ORACLE_WRITE, 263 },
        { "basic, bit 62", GOOD | AT(62), 0, 0, ORACLE_WRITE, 263 },
        { "MRIF", MRIF, 0, 0, ORACLE_WRITE, 0 },
        { "MRIF, fetch", MRIF, 0x155, 0, ORACLE_EXECUTE, 1 },
        { "MRIF without it", MRIF, 0, MSI_MRIF, ORACLE_WRITE, 263 },
        { "MRIF, bit 3", MRIF | AT(3), 0, 0, ORACLE_WRITE, 263 },
        { "MRIF, bit 6", MRIF | AT(6), 0, 0, ORACLE_WRITE, 263 },
        { "MRIF, bit 54", MRIF | AT(54), 0, 0, ORACLE_WRITE, 263 },
        { "MRIF, bit 62", MRIF | AT(62), 0, 0, ORACLE_WRITE, 263 },
        { "MRIF, second bit 54", MRIF, AT(54), 0, ORACLE_WRITE, 263 },
        { "MRIF, second bit 59", MRIF, AT(59), 0, ORACLE_WRITE, 263 },
        { "MRIF, second bit 61", MRIF, AT(61), 0, ORACLE_WRITE, 263 },
        { "MRIF, second bit 63", MRIF, AT(63), 0, ORACLE_WRITE, 263 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        interrupt_files(TC_PDTV, TABLES_S2(8), 0, cases[i].low, cases[i].high);
        tables.iommu.capabilities &= ~cases[i].lacking;
        const struct oracle_request q = { .iova   = (uint64_t)FILES << 12,
                                          .access = cases[i].access,
                                          .pv     = true };
        const struct oracle_result r  = tables_ask(&tables, q);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        EXPECT_EQUAL(r.iotval2, 0);
        EXPECT_EQUAL(r.s2_reads, 0);
        EXPECT_EQUAL(r.is_msi, r.ok);
        EXPECT_EQUAL(r.notice_id, 0);
    }
}

TEST_CASE(riscv_oracle, a_memory_resident_interrupt_file_has_a_notice)
{
    interrupt_files(0, 0, 0, AT(53) | (uint64_t)0x2469 << 7 | 3,
                    AT(60) | TO(0x45000) | 0x155);
    const struct oracle_result r =
        tables_access(&tables, (uint64_t)FILES << 12 | 4, ORACLE_WRITE);
    EXPECT(r.ok && r.is_msi && r.is_mrif);
    EXPECT_EQUAL(r.mrif_pa, AT(55) | 0x2469 * 512);
    EXPECT_EQUAL(r.notice_pa, 0x45000);
    EXPECT_EQUAL(r.notice_id, 0x555);
    EXPECT_EQUAL(r.pa, 0);
    tables_poke(&tables, MSI_TABLE + 8, TO(0x45000) | 0x155);
    EXPECT_EQUAL(tables_read(&tables, (uint64_t)FILES << 12).notice_id, 0x155);
}

TEST_CASE(riscv_oracle, an_msi_table_has_the_order_of_the_device_directory)
{
    for (unsigned first = 0; first < 2; first++) {
        interrupt_files(first ? TC_SBE : 0, 0, 0, TO(0x67000) | 7, 0);
        EXPECT_EQUAL(tables_read(&tables, (uint64_t)FILES << 12).pa, 0x67000);
    }
    for (uint64_t pa = 0; pa < TABLES_BYTES; pa += 8)
        tables_poke(&tables, pa, swapped(tables_peek(&tables, pa)));
    tables.iommu.fctl = 1;
    EXPECT_EQUAL(tables_read(&tables, (uint64_t)FILES << 12).pa, 0x67000);
}

TEST_CASE(riscv_oracle, an_msi_entry_out_of_reach_is_its_own_fault)
{
    interrupt_files(0, 0, 0, 0, 0);
    tables.forbidden       = MSI_TABLE + 8;
    struct oracle_result r = tables_access(&tables, (uint64_t)FILES << 12, ORACLE_WRITE);
    EXPECT_EQUAL(r.cause, 261);
    tables_poke(&tables, 0x1020, MODE(1) | ROOT(AT(50)));
    r = tables_access(&tables, (uint64_t)FILES << 12, ORACLE_WRITE);
    EXPECT_EQUAL(r.cause, 261);
    EXPECT_EQUAL(r.msi_reads, 0);
}

TEST_CASE(riscv_oracle, an_msi_is_found_behind_the_first_stage_and_before_the_second)
{
    interrupt_files(0, TABLES_S2(8), 0, TO(0x66000) | 7, 0);
    tables_poke(&tables, 0x1018, TABLES_S1(8));
    const uint64_t leaf = tables_map(&tables, TABLES_ROOT, 3, false, SV39_IOVA, 0,
                                     TO((uint64_t)FILES << 12) | PTE_ALL);
    tables_map(&tables, TABLES_ROOT2, 3, true, 0, 2, PTE_ALL); /* All to itself. */
    struct oracle_result r = tables_access(&tables, SV39_IOVA, ORACLE_WRITE);
    EXPECT(r.ok && r.is_msi);
    EXPECT_EQUAL(r.pa, 0x66abc);
    EXPECT_EQUAL(r.gpa, (uint64_t)FILES << 12 | 0xabc);
    EXPECT_EQUAL(r.s1_reads, 3);
    EXPECT_EQUAL(r.s2_reads, 3);
    /* The first stage is asked first, and its permissions stay. */
    tables_poke(&tables, leaf, TO((uint64_t)FILES << 12) | PTE_V | PTE_R | PTE_U | PTE_A);
    r = tables_access(&tables, SV39_IOVA, ORACLE_WRITE);
    EXPECT_EQUAL(r.cause, 15);
    EXPECT_EQUAL(r.msi_reads, 0);
    r = tables_read(&tables, SV39_IOVA);
    EXPECT(r.ok && r.readable && !r.writable);
    /* Turned off, the second stage translates it as any address. */
    tables_poke(&tables, 0x1020, 0);
    r = tables_read(&tables, SV39_IOVA);
    EXPECT(r.ok && !r.is_msi);
    EXPECT_EQUAL(r.pa, (uint64_t)FILES << 12 | 0xabc);
}

/* A word that is often a good entry of some table, and seldom quite good. The page of a
 * leaf is 0, so that it is aligned at any level. */
static uint64_t some_entry(struct rng *rng)
{
    uint64_t word = TO((uint64_t)rng_below(rng, TABLES_BYTES / 0x1000) << 12) | PTE_V;
    if (rng_below(rng, 2) == 0)
        word = PTE_ALL & ~(rng_below(rng, 2) != 0 ? PTE_A : PTE_D);
    if (rng_below(rng, 64) == 0)
        word ^= AT(rng_below(rng, 64));
    return word;
}

/* Not for its answers, but for the sanitizers and the bounds of what it returns. */
TEST_CASE(riscv_oracle, random_tables_upset_nothing)
{
    struct rng rng   = rng_make(1, "riscv_oracle");
    unsigned good    = 0;
    uint64_t updates = 0;
    tables_reset(&tables);
    for (unsigned i = 0; i < 60000; i++) {
        if (i % 1000 == 0)
            for (uint64_t pa = 0x4000; pa < TABLES_BYTES; pa += 8)
                tables_poke(&tables, pa, some_entry(&rng));
        const uint64_t tc = (rng_below(&rng, 4) != 0 ? TC_SADE : 0)
                            | (rng_below(&rng, 4) != 0 ? TC_GADE : 0)
                            | (rng_below(&rng, 2) != 0 ? TC_PDTV | TC_DPE : 0);
        const uint64_t first =
            (tc & TC_PDTV) != 0 ? 1 + rng_below(&rng, 3) : 8 + rng_below(&rng, 3);
        tables_context(&tables, TC_V | tc, TABLES_S2(8 + rng_below(&rng, 3)),
                       MODE(first) | ROOT(TABLES_ROOT));
        const struct oracle_result r =
            tables_access(&tables, (uint64_t)rng_below(&rng, 1 << 26) << 12,
                          (enum oracle_access)rng_below(&rng, 3));
        EXPECT_EQUAL(r.ok, r.cause == 0);
        EXPECT_EQUAL(r.reported, !r.ok);
        EXPECT(r.update_count <= ORACLE_UPDATES_MAX);
        good += r.ok;
        updates += r.update_count;
    }
    EXPECT(good > 10000);
    EXPECT(updates > 20000);
}
