/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's directories: ddtp, device and process contexts, requests that no context
 * allows. All addresses and causes are worked out by hand from the specification.
 */
#include "sim/test/riscv_oracle.h"
#include "sim/test/riscv_tables.h"
#include "sim/test/shim.h"

static struct riscv_tables tables;

enum { IOVA = 0x12345678 };

#define EXPECT_CAUSE(r, want, what)                                                        \
    shim_equal((r).cause, (want), (what), __FILE__, __LINE__)

TEST_CASE(riscv_oracle, off_allows_nothing_and_bare_passes_everything_untranslated)
{
    static const struct {
        const char *what;
        uint64_t ddtp;
        bool translated;
        unsigned cause;
    } cases[] = {
        { "off", 0, false, 256 },
        { "off, translated", 0, true, 256 },
        { "bare", 1, false, 0 },
        { "bare, busy", 0x11, false, 0 },
        { "bare, translated", 1, true, 260 },
        { "a reserved mode", 5, false, 256 },
    };
    tables_reset(&tables);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables.iommu.ddtp            = TO(0x1000) | cases[i].ddtp;
        const struct oracle_result r = tables_ask(
            &tables, (struct oracle_request){ .device_id  = 0xffffff,
                                              .iova       = IOVA,
                                              .translated = cases[i].translated });
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        EXPECT_EQUAL(r.ok, cases[i].cause == 0);
        EXPECT_EQUAL(r.reported, cases[i].cause != 0);
        EXPECT_EQUAL(r.pa, r.ok ? IOVA : 0);
        EXPECT_EQUAL(r.iotval, IOVA);
        EXPECT_EQUAL(r.ddt_reads, 0);
    }
    tables.iommu.ddtp = TO(0x1000) | 0x12; /* One level, busy. */
    EXPECT(tables_read(&tables, IOVA).ok);
}

TEST_CASE(riscv_oracle, a_device_id_must_fit_the_levels_of_the_directory)
{
    static const struct {
        bool extended;
        unsigned levels;
        uint32_t widest;
    } cases[] = { { false, 1, 0x7f },  { true, 1, 0x3f },      { false, 2, 0xffff },
                  { true, 2, 0x7fff }, { false, 3, 0xffffff }, { true, 3, 0xffffff } };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_reset(&tables);
        tables.iommu.ddtp = TO(0x8000) | (cases[i].levels + 1); /* All zero there. */
        if (!cases[i].extended)
            tables.iommu.capabilities &= ~MSI_FLAT;
        struct oracle_request q = { .device_id = cases[i].widest };
        EXPECT_EQUAL(tables_ask(&tables, q).cause, 258);
        q.device_id++;
        EXPECT_EQUAL(tables_ask(&tables, q).cause, 260);
        EXPECT_EQUAL(tables_ask(&tables, q).ddt_reads, 0);
        EXPECT(tables_ask(&tables, q).reported);
    }
}

/* Three levels of directory to the context of device 0x12345. */
static struct oracle_request deep(bool extended)
{
    tables_reset(&tables);
    tables.iommu.ddtp = TO(0x1000) | 4;
    tables_poke(&tables, 0x1000, 0);
    if (!extended)
        tables.iommu.capabilities &= ~MSI_FLAT;
    tables_poke(&tables, extended ? 0x1010 : 0x1008, TO(0x2000) | 1);
    tables_poke(&tables, extended ? 0x2468 : 0x2230, TO(0x3000) | 1);
    tables_poke(&tables, extended ? 0x3140 : 0x38a0, TC_V);
    return (struct oracle_request){ .device_id = 0x12345, .iova = IOVA };
}

TEST_CASE(riscv_oracle, a_device_id_is_split_by_the_format_of_the_context)
{
    for (unsigned extended = 0; extended < 2; extended++) {
        const struct oracle_request q = deep(extended != 0);
        const struct oracle_result r  = tables_ask(&tables, q);
        EXPECT(r.ok);
        EXPECT_EQUAL(r.pa, IOVA);
        EXPECT_EQUAL(r.ddt_reads, 3);
        EXPECT_EQUAL(r.page_lg2, 12);
        EXPECT(r.readable && r.writable && r.executable);
    }
}

TEST_CASE(riscv_oracle, a_directory_entry_faults_where_it_is_read)
{
    static const struct {
        const char *what;
        uint64_t pa, word;
        unsigned cause, reads;
    } cases[] = {
        { "third level not valid", 0x1010, TO(0x2000) | 0x3fe, 258, 1 },
        { "third level, bit 1", 0x1010, TO(0x2000) | 1 | AT(1), 259, 1 },
        { "third level, bit 9", 0x1010, TO(0x2000) | 1 | AT(9), 259, 1 },
        { "third level, bit 54", 0x1010, TO(0x2000) | 1 | AT(54), 259, 1 },
        { "third level, bit 63", 0x1010, TO(0x2000) | 1 | AT(63), 259, 1 },
        { "second level not valid", 0x2468, 0, 258, 2 },
        { "second level, bit 5", 0x2468, TO(0x3000) | 1 | AT(5), 259, 2 },
        { "second level beyond memory", 0x1010, TO(AT(30)) | 1, 257, 2 },
        { "second level beyond PAS", 0x1010, TO(AT(46)) | 1, 257, 1 },
        { "context beyond PAS", 0x2468, TO(AT(55)) | 1, 257, 2 },
        { "context not valid", 0x3140, ~TC_V, 258, 3 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct oracle_request q = deep(true);
        tables_poke(&tables, cases[i].pa, cases[i].word);
        const struct oracle_result r = tables_ask(&tables, q);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        shim_equal(r.ddt_reads, cases[i].reads, cases[i].what, __FILE__, __LINE__);
        EXPECT(r.reported);
        EXPECT_EQUAL(r.iotval2, 0);
    }
}

TEST_CASE(riscv_oracle, a_context_is_accessed_as_a_whole_before_it_is_looked_at)
{
    for (unsigned word = 0; word < 8; word++) {
        const struct oracle_request q = deep(true);
        tables_poke(&tables, 0x3140, 0);
        tables.forbidden = 0x3140 + 8 * word;
        EXPECT_EQUAL(tables_ask(&tables, q).cause, 257);
    }
    const struct oracle_request q = deep(false);
    tables.forbidden              = 0x38a0 + 32; /* Not of the base format. */
    EXPECT(tables_ask(&tables, q).ok);
}

enum { TC, IOHGATP, TA, FSC, MSIPTP, MASK, PATTERN, RESERVED };

/* One doubleword besides tc. Tables are empty: a mode that is accepted ends in a page fault
 * of its stage, Bare in none. */
static const struct {
    const char *what;
    uint64_t tc;
    unsigned word;
    uint64_t value;
    uint64_t lacking;
    unsigned cause;
} context_cases[] = {
    { "plain", 0, TA, 0, 0, 0 },
    { "tc bit 12", AT(12), TA, 0, 0, 259 },
    { "tc bit 23", AT(23), TA, 0, 0, 259 },
    { "tc bit 24, custom", AT(24), TA, 0, 0, 0 },
    { "tc bit 31, custom", AT(31), TA, 0, 0, 0 },
    { "tc bit 32", AT(32), TA, 0, 0, 259 },
    { "tc bit 63", AT(63), TA, 0, 0, 259 },
    { "ta bit 0", 0, TA, AT(0), 0, 259 },
    { "ta bit 11", 0, TA, AT(11), 0, 259 },
    { "ta PSCID", 0, TA, 0xfffff000, 0, 0 },
    { "ta bit 32", 0, TA, AT(32), 0, 259 },
    { "ta bit 63", 0, TA, AT(63), 0, 259 },
    { "ta bit 0 with a directory", TC_PDTV, TA, AT(0), 0, 259 },
    { "iosatp PPN of Bare", 0, FSC, AT(43), 0, 0 },
    { "iosatp bit 44", 0, FSC, AT(44), 0, 259 },
    { "iosatp bit 59", 0, FSC, AT(59), 0, 259 },
    { "pdtp bit 44", TC_PDTV, FSC, AT(44), 0, 259 },
    { "pdtp bit 59", TC_PDTV, FSC, AT(59), 0, 259 },
    { "msiptp bit 44", 0, MSIPTP, AT(44), 0, 259 },
    { "msiptp bit 59", 0, MSIPTP, AT(59), 0, 259 },
    { "msiptp bit 59 of nothing", 0, MSIPTP, AT(59), MSI_FLAT, 0 },
    { "mask bit 51", 0, MASK, AT(51), 0, 0 },
    { "mask bit 52", 0, MASK, AT(52), 0, 259 },
    { "mask bit 63", 0, MASK, AT(63), 0, 259 },
    { "pattern bit 51", 0, PATTERN, AT(51), 0, 0 },
    { "pattern bit 52", 0, PATTERN, AT(52), 0, 259 },
    { "pattern bit 63", 0, PATTERN, AT(63), 0, 259 },
    { "last doubleword", 0, RESERVED, AT(17), 0, 259 },
    { "last doubleword of nothing", 0, RESERVED, AT(17), MSI_FLAT, 0 },
    { "msiptp flat", 0, MSIPTP, MODE(1), 0, 0 },
    { "msiptp mode 2", 0, MSIPTP, MODE(2), 0, 259 },
    { "msiptp mode 13", 0, MSIPTP, MODE(13), 0, 259 },
    { "msiptp mode 15", 0, MSIPTP, MODE(15), 0, 259 },
    { "EN_ATS", TC_EN_ATS, TA, 0, 0, 0 },
    { "EN_ATS, EN_PRI", TC_EN_ATS | TC_EN_PRI, TA, 0, 0, 0 },
    { "EN_ATS, EN_PRI, PRPR", TC_EN_ATS | TC_EN_PRI | TC_PRPR, TA, 0, 0, 0 },
    { "EN_ATS without ATS", TC_EN_ATS, TA, 0, ATS, 259 },
    { "EN_PRI without ATS", TC_EN_ATS | TC_EN_PRI, TA, 0, ATS, 259 },
    { "EN_PRI without EN_ATS", TC_EN_PRI, TA, 0, 0, 259 },
    { "PRPR without EN_PRI", TC_EN_ATS | TC_PRPR, TA, 0, 0, 259 },
    { "PRPR alone", TC_PRPR, TA, 0, 0, 259 },
    { "T2GPA", TC_EN_ATS | TC_T2GPA, IOHGATP, TABLES_S2(8), 0, 21 },
    { "T2GPA without the capability", TC_EN_ATS | TC_T2GPA, IOHGATP, TABLES_S2(8), T2GPA,
      259 },
    { "T2GPA without EN_ATS", TC_T2GPA, IOHGATP, TABLES_S2(8), 0, 259 },
    { "T2GPA with iohgatp Bare", TC_EN_ATS | TC_T2GPA, TA, 0, 0, 259 },
    { "pdtp Bare", TC_PDTV, FSC, MODE(0), 0, 0 },
    { "pdtp PD8", TC_PDTV, FSC, MODE(1), 0, 0 },
    { "pdtp PD8 without it", TC_PDTV, FSC, MODE(1), PD8, 259 },
    { "pdtp PD17", TC_PDTV, FSC, MODE(2), 0, 0 },
    { "pdtp PD17 without it", TC_PDTV, FSC, MODE(2), PD17, 259 },
    { "pdtp PD20", TC_PDTV, FSC, MODE(3), 0, 0 },
    { "pdtp PD20 without it", TC_PDTV, FSC, MODE(3), PD20, 259 },
    { "pdtp mode 4", TC_PDTV, FSC, MODE(4), 0, 259 },
    { "pdtp mode 8", TC_PDTV, FSC, MODE(8), 0, 259 },
    { "pdtp mode 14", TC_PDTV, FSC, MODE(14), 0, 259 },
    { "DPE", TC_PDTV | TC_DPE, FSC, MODE(0), 0, 0 },
    { "DPE without PDTV", TC_DPE, TA, 0, 0, 259 },
    { "iosatp mode 1", 0, FSC, TABLES_S1(1), 0, 259 },
    { "iosatp mode 7", 0, FSC, TABLES_S1(7), 0, 259 },
    { "iosatp Sv39", 0, FSC, TABLES_S1(8), 0, 13 },
    { "iosatp Sv39 without it", 0, FSC, TABLES_S1(8), SV39, 259 },
    { "iosatp Sv48", 0, FSC, TABLES_S1(9), 0, 13 },
    { "iosatp Sv48 without it", 0, FSC, TABLES_S1(9), SV48, 259 },
    { "iosatp Sv57", 0, FSC, TABLES_S1(10), 0, 13 },
    { "iosatp Sv57 without it", 0, FSC, TABLES_S1(10), SV57, 259 },
    { "iosatp mode 11", 0, FSC, TABLES_S1(11), 0, 259 },
    { "iosatp mode 15", 0, FSC, TABLES_S1(15), 0, 259 },
    { "SXL", TC_SXL, FSC, 0, 0, 0 },
    { "SXL, iosatp mode 8", TC_SXL, FSC, TABLES_S1(8), 0, 259 },
    { "SXL, iosatp mode 9", TC_SXL, FSC, TABLES_S1(9), 0, 259 },
    { "iohgatp mode 1", 0, IOHGATP, TABLES_S2(1), 0, 259 },
    { "iohgatp mode 7", 0, IOHGATP, TABLES_S2(7), 0, 259 },
    { "iohgatp Sv39x4", 0, IOHGATP, TABLES_S2(8), 0, 21 },
    { "iohgatp Sv39x4 without it", 0, IOHGATP, TABLES_S2(8), SV39X4, 259 },
    { "iohgatp Sv48x4", 0, IOHGATP, TABLES_S2(9), 0, 21 },
    { "iohgatp Sv48x4 without it", 0, IOHGATP, TABLES_S2(9), SV48X4, 259 },
    { "iohgatp Sv57x4", 0, IOHGATP, TABLES_S2(10), 0, 21 },
    { "iohgatp Sv57x4 without it", 0, IOHGATP, TABLES_S2(10), SV57X4, 259 },
    { "iohgatp mode 11", 0, IOHGATP, TABLES_S2(11), 0, 259 },
    { "iohgatp mode 15", 0, IOHGATP, TABLES_S2(15), 0, 259 },
    { "iohgatp mode 1 with a directory", TC_PDTV, IOHGATP, TABLES_S2(1), 0, 259 },
    { "iohgatp root not at 16 KiB", 0, IOHGATP, TABLES_S2(8) | 1, 0, 259 },
    { "iohgatp root not at 16 KiB", 0, IOHGATP, TABLES_S2(8) | 2, 0, 259 },
    { "iohgatp Bare, any PPN", 0, IOHGATP, 3, 0, 0 },
    { "GADE", TC_GADE, TA, 0, 0, 0 },
    { "GADE without AMO_HWAD", TC_GADE, TA, 0, AMO_HWAD, 259 },
    { "SADE", TC_SADE, TA, 0, 0, 0 },
    { "SADE without AMO_HWAD", TC_SADE, TA, 0, AMO_HWAD, 259 },
    { "SBE", TC_SBE, TA, 0, 0, 0 },
    { "SBE without END", TC_SBE, TA, 0, END, 259 },
};

TEST_CASE(riscv_oracle, a_device_context_is_checked_for_everything_the_specification_lists)
{
    for (unsigned i = 0; i < sizeof context_cases / sizeof *context_cases; i++) {
        tables_reset(&tables);
        tables.iommu.capabilities &= ~context_cases[i].lacking;
        tables_poke(&tables, 0x1000, TC_V | context_cases[i].tc);
        tables_poke(&tables, 0x1000 + 8 * context_cases[i].word, context_cases[i].value);
        const struct oracle_result r = tables_read(&tables, IOVA);
        EXPECT_CAUSE(r, context_cases[i].cause, context_cases[i].what);
        EXPECT_EQUAL(r.ok, r.cause == 0);
    }
}

TEST_CASE(riscv_oracle, the_guest_width_in_fctl_limits_the_modes_and_widths_of_a_context)
{
    static const struct {
        const char *what;
        uint64_t fctl, tc, iohgatp;
        bool writable;
        unsigned cause;
    } cases[] = {
        { "64 fixed, SXL 0", 0, 0, 0, false, 0 },
        { "64 fixed, SXL 1", 0, TC_SXL, 0, false, 259 },
        { "64 for now, SXL 1", 0, TC_SXL, 0, true, 0 },
        { "32, SXL 0", AT(2), 0, 0, true, 259 },
        { "32 fixed, SXL 0", AT(2), 0, 0, false, 259 },
        { "32, SXL 1", AT(2), TC_SXL, 0, true, 0 },
        { "32 fixed, SXL 1", AT(2), TC_SXL, 0, false, 0 },
        { "32, iohgatp mode 8", AT(2), TC_SXL, TABLES_S2(8), true, 259 },
        { "32, iohgatp mode 9", AT(2), TC_SXL, TABLES_S2(9), true, 259 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_reset(&tables);
        tables.iommu.fctl         = cases[i].fctl;
        tables.iommu.gxl_writable = cases[i].writable;
        tables_context(&tables, TC_V | cases[i].tc, cases[i].iohgatp, 0);
        EXPECT_CAUSE(tables_read(&tables, IOVA), cases[i].cause, cases[i].what);
    }
}

TEST_CASE(riscv_oracle, what_a_context_allows_is_decided_before_anything_is_translated)
{
    static const struct {
        const char *what;
        uint64_t tc, fsc;
        struct oracle_request q;
        unsigned cause;
    } cases[] = {
        { "a process without a directory", 0, 0, { .pv = true }, 260 },
        { "Translated without EN_ATS", 0, 0, { .translated = true }, 260 },
        { "Translated with EN_ATS", TC_EN_ATS, 0, { .translated = true }, 0 },
        { "Translated, tables not used",
          TC_EN_ATS,
          TABLES_S1(8),
          { .translated = true },
          0 },
        { "Translated with a process",
          TC_EN_ATS,
          0,
          { .translated = true, .pv = true },
          260 },
        { "process 255 of PD8", TC_PDTV, MODE(1), { .process_id = 0xff, .pv = true }, 266 },
        { "process 256 of PD8",
          TC_PDTV,
          MODE(1),
          { .process_id = 0x100, .pv = true },
          260 },
        { "last of PD17", TC_PDTV, MODE(2), { .process_id = 0x1ffff, .pv = true }, 266 },
        { "beyond PD17", TC_PDTV, MODE(2), { .process_id = 0x20000, .pv = true }, 260 },
        { "last of PD20", TC_PDTV, MODE(3), { .process_id = 0xfffff, .pv = true }, 266 },
        { "beyond PD20", TC_PDTV, MODE(3), { .process_id = 0x100000, .pv = true }, 260 },
        { "any of Bare", TC_PDTV, MODE(0), { .process_id = 0xfffff, .pv = true }, 0 },
        { "supervisor of Bare", TC_PDTV, MODE(0), { .pv = true, .priv = true }, 0 },
        { "no process, no default", TC_PDTV, MODE(1), { .pv = false }, 0 },
        { "no process, default", TC_PDTV | TC_DPE, MODE(1), { .pv = false }, 266 },
        { "process_id without pv", 0, 0, { .process_id = 7 }, 0 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_reset(&tables);
        tables_context(&tables, TC_V | cases[i].tc, 0, cases[i].fsc | ROOT(0x8000));
        struct oracle_request q      = cases[i].q;
        q.iova                       = IOVA;
        const struct oracle_result r = tables_ask(&tables, q);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        EXPECT_EQUAL(r.pa, r.ok ? IOVA : 0);
    }
}

TEST_CASE(riscv_oracle, a_translated_request_with_t2gpa_is_a_guest_physical_address)
{
    tables_reset(&tables);
    tables_context(&tables, TC_V | TC_EN_ATS | TC_T2GPA, TABLES_S2(8), TABLES_S1(8));
    tables_map(&tables, TABLES_ROOT2, 3, true, IOVA, 0, TO(0x77000) | PTE_ALL);
    const struct oracle_request q = { .iova = IOVA, .translated = true };
    const struct oracle_result r  = tables_ask(&tables, q);
    EXPECT(r.ok);
    EXPECT_EQUAL(r.pa, 0x77678);
    EXPECT_EQUAL(r.s1_reads, 0);
    EXPECT_EQUAL(r.s2_reads, 3);
    EXPECT_EQUAL(tables_read(&tables, IOVA).cause, 21); /* Its first-stage root, too. */
}

/* Process 0xabcde of device 0, three levels down, Bare; at 0x6de0. */
static struct oracle_request process(void)
{
    tables_reset(&tables);
    tables_context(&tables, TC_V | TC_PDTV, 0, MODE(3) | ROOT(0x4000));
    tables_poke(&tables, 0x4028, TO(0x5000) | 1);
    tables_poke(&tables, 0x55e0, TO(0x6000) | 1);
    tables_poke(&tables, 0x6de0, PC_V | 0x12345000);
    return (struct oracle_request){ .iova = IOVA, .pv = true, .process_id = 0xabcde };
}

TEST_CASE(riscv_oracle, a_process_id_is_split_into_3_9_and_8_bits)
{
    const struct oracle_request q = process();
    const struct oracle_result r  = tables_ask(&tables, q);
    EXPECT(r.ok);
    EXPECT_EQUAL(r.pa, IOVA);
    EXPECT_EQUAL(r.pdt_reads, 3);
    EXPECT_EQUAL(r.ddt_reads, 1);
    EXPECT_EQUAL(r.pscid, 0); /* Not used when Bare. */
}

TEST_CASE(riscv_oracle, a_process_context_is_checked_for_everything_the_specification_lists)
{
    static const struct {
        const char *what;
        uint64_t pa, word, tc, lacking;
        bool priv;
        unsigned cause, reads;
    } cases[] = {
        { "third level not valid", 0x4028, ~AT(0), 0, 0, false, 266, 1 },
        { "third level, bit 1", 0x4028, TO(0x5000) | 3, 0, 0, false, 267, 1 },
        { "third level, bit 9", 0x4028, TO(0x5000) | 0x201, 0, 0, false, 267, 1 },
        { "third level, bit 54", 0x4028, AT(54) | TO(0x5000) | 1, 0, 0, false, 267, 1 },
        { "third level, bit 63", 0x4028, AT(63) | TO(0x5000) | 1, 0, 0, false, 267, 1 },
        { "second level not valid", 0x55e0, 0, 0, 0, false, 266, 2 },
        { "second level beyond memory", 0x4028, TO(AT(30)) | 1, 0, 0, false, 265, 2 },
        { "second level beyond PAS", 0x4028, TO(AT(46)) | 1, 0, 0, false, 265, 1 },
        { "not valid", 0x6de0, ~PC_V, 0, 0, false, 266, 3 },
        { "ENS and SUM", 0x6de0, PC_V | PC_ENS | PC_SUM, 0, 0, true, 0, 3 },
        { "ta bit 3", 0x6de0, PC_V | AT(3), 0, 0, false, 267, 3 },
        { "ta bit 11", 0x6de0, PC_V | AT(11), 0, 0, false, 267, 3 },
        { "ta bit 32", 0x6de0, PC_V | AT(32), 0, 0, false, 267, 3 },
        { "ta bit 63", 0x6de0, PC_V | AT(63), 0, 0, false, 267, 3 },
        { "fsc bit 44", 0x6de8, AT(44), 0, 0, false, 267, 3 },
        { "fsc bit 59", 0x6de8, AT(59), 0, 0, false, 267, 3 },
        { "mode 1", 0x6de8, TABLES_S1(1), 0, 0, false, 267, 3 },
        { "mode 7", 0x6de8, TABLES_S1(7), 0, 0, false, 267, 3 },
        { "mode 11", 0x6de8, TABLES_S1(11), 0, 0, false, 267, 3 },
        { "mode 15", 0x6de8, TABLES_S1(15), 0, 0, false, 267, 3 },
        { "Sv39", 0x6de8, TABLES_S1(8), 0, 0, false, 13, 3 },
        { "Sv39 without it", 0x6de8, TABLES_S1(8), 0, SV39, false, 267, 3 },
        { "Sv48", 0x6de8, TABLES_S1(9), 0, 0, false, 13, 3 },
        { "Sv48 without it", 0x6de8, TABLES_S1(9), 0, SV48, false, 267, 3 },
        { "Sv57", 0x6de8, TABLES_S1(10), 0, 0, false, 13, 3 },
        { "Sv57 without it", 0x6de8, TABLES_S1(10), 0, SV57, false, 267, 3 },
        { "SXL, Bare", 0x6de8, 0, TC_SXL, 0, false, 0, 3 },
        { "SXL, mode 8", 0x6de8, TABLES_S1(8), TC_SXL, 0, false, 267, 3 },
        { "a supervisor without ENS", 0x6de8, 0, 0, 0, true, 260, 3 },
        { "misconfigured before ENS", 0x6de8, TABLES_S1(1), 0, 0, true, 267, 3 },
        { "ENS before the tables", 0x6de8, TABLES_S1(8), 0, 0, true, 260, 3 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct oracle_request q = process();
        q.priv                  = cases[i].priv;
        tables.iommu.capabilities &= ~cases[i].lacking;
        tables_poke(&tables, 0x1000, TC_V | TC_PDTV | cases[i].tc);
        tables_poke(&tables, cases[i].pa, cases[i].word);
        const struct oracle_result r = tables_ask(&tables, q);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        shim_equal(r.pdt_reads, cases[i].reads, cases[i].what, __FILE__, __LINE__);
    }
}

TEST_CASE(riscv_oracle, a_process_context_is_accessed_as_a_whole_before_it_is_looked_at)
{
    const struct oracle_request q = process();
    tables_poke(&tables, 0x6de0, 0);
    tables.forbidden = 0x6de8;
    EXPECT_EQUAL(tables_ask(&tables, q).cause, 265);
}

TEST_CASE(riscv_oracle, the_default_process_is_0_and_a_user)
{
    tables_reset(&tables);
    tables_context(&tables, TC_V | TC_PDTV | TC_DPE, 0, MODE(1) | ROOT(0x4000));
    tables_poke(&tables, 0x4000, PC_V | 0x54321000); /* No ENS. */
    tables_poke(&tables, 0x4008, TABLES_S1(8));
    tables_map(&tables, TABLES_ROOT, 3, false, IOVA, 0, TO(0x77000) | PTE_ALL);
    const struct oracle_request q = { .iova = IOVA, .priv = true, .process_id = 9 };
    const struct oracle_result r  = tables_ask(&tables, q);
    EXPECT(r.ok);
    EXPECT_EQUAL(r.pa, 0x77678);
    EXPECT_EQUAL(r.pscid, 0x54321);
    EXPECT_EQUAL(r.pdt_reads, 1);
    EXPECT_EQUAL(r.s1_reads, 3);
}

TEST_CASE(riscv_oracle, the_second_stage_translates_each_directory_entry)
{
    static const struct {
        const char *what;
        uint64_t page; /* Whose mapping is changed. */
        uint64_t entry;
        enum oracle_access access;
        unsigned cause;
        uint64_t iotval2;
        unsigned pdt_reads, s2_reads;
    } cases[] = {
        { "all mapped", 0x4000, TO(0x4000) | PTE_ALL, ORACLE_READ, 0, 0, 3, 12 },
        { "readable suffices", 0x4000, TO(0x4000) | PTE_V | PTE_R | PTE_U | PTE_A,
          ORACLE_WRITE, 0, 0, 3, 12 },
        { "root not mapped", 0x4000, 0, ORACLE_READ, 21, 0x4029, 0, 3 },
        { "root not mapped, write", 0x4000, 0, ORACLE_WRITE, 23, 0x4029, 0, 3 },
        { "root not mapped, fetch", 0x4000, 0, ORACLE_EXECUTE, 20, 0x4029, 0, 3 },
        { "root not readable", 0x4000, TO(0x4000) | PTE_V | PTE_X | PTE_U | PTE_A,
          ORACLE_READ, 21, 0x4029, 0, 3 },
        { "root not a user's", 0x4000, TO(0x4000) | PTE_V | PTE_R | PTE_A, ORACLE_READ, 21,
          0x4029, 0, 3 },
        { "root not accessed", 0x4000, TO(0x4000) | PTE_V | PTE_R | PTE_U, ORACLE_READ, 21,
          0x4029, 0, 3 },
        { "middle not mapped", 0x5000, 0, ORACLE_WRITE, 23, 0x55e1, 1, 6 },
        { "context not mapped", 0x6000, 0, ORACLE_READ, 21, 0x6de1, 2, 9 },
        { "context elsewhere", 0x6000, TO(AT(30)) | PTE_ALL, ORACLE_READ, 265, 0, 3, 9 },
        { "context beyond PAS", 0x6000, TO(AT(50)) | PTE_ALL, ORACLE_READ, 265, 0, 2, 9 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct oracle_request q = process();
        q.access                = cases[i].access;
        tables_context(&tables, TC_V | TC_PDTV, TABLES_S2(8), MODE(3) | ROOT(0x4000));
        for (uint64_t page = 0x4000; page <= 0x6000; page += 0x1000)
            tables_map(&tables, TABLES_ROOT2, 3, true, page, 0,
                       page == cases[i].page ? cases[i].entry : TO(page) | PTE_ALL);
        tables_map(&tables, TABLES_ROOT2, 3, true, IOVA, 0, TO(0x88000) | PTE_ALL);
        const struct oracle_result r = tables_ask(&tables, q);
        EXPECT_CAUSE(r, cases[i].cause, cases[i].what);
        shim_equal(r.iotval2, cases[i].iotval2, cases[i].what, __FILE__, __LINE__);
        shim_equal(r.pdt_reads, cases[i].pdt_reads, cases[i].what, __FILE__, __LINE__);
        shim_equal(r.s2_reads, cases[i].s2_reads, cases[i].what, __FILE__, __LINE__);
        EXPECT_EQUAL(r.pa, r.ok ? 0x88678 : 0);
    }
}

TEST_CASE(riscv_oracle, a_second_stage_table_out_of_reach_is_a_directory_access_fault)
{
    const struct oracle_request q = process();
    tables_context(&tables, TC_V | TC_PDTV, TABLES_S2(8), MODE(3) | ROOT(0x4000));
    tables_poke(&tables, TABLES_ROOT2, TO(AT(30)) | PTE_V);
    const struct oracle_result r = tables_ask(&tables, q);
    EXPECT_EQUAL(r.cause, 265);
    EXPECT_EQUAL(r.iotval2, 0);
    EXPECT_EQUAL(r.s2_reads, 2);
}

TEST_CASE(riscv_oracle, dtf_keeps_faults_of_a_located_context_out_of_the_queue)
{
    static const struct {
        uint64_t tc, iohgatp, fsc;
        unsigned cause;
        bool reported;
    } cases[] = {
        { TC_DTF, 0, TABLES_S1(8), 13, false },
        { 0, 0, TABLES_S1(8), 13, true },
        { TC_DTF, TABLES_S2(8), 0, 21, false },
        { TC_DTF | TC_SXL, 0, TABLES_S1(8), 259, true },
        { TC_DTF | TC_PDTV | TC_DPE, 0, MODE(1) | ROOT(0x8000), 266, false },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        tables_reset(&tables);
        tables_context(&tables, TC_V | cases[i].tc, cases[i].iohgatp, cases[i].fsc);
        const struct oracle_result r = tables_read(&tables, IOVA);
        EXPECT_EQUAL(r.cause, cases[i].cause);
        EXPECT_EQUAL(r.reported, cases[i].reported);
    }
    tables_reset(&tables);
    tables_context(&tables, TC_DTF, 0, 0); /* Not valid. */
    EXPECT(tables_read(&tables, IOVA).reported);
    tables_context(&tables, TC_V | TC_DTF, 0, 0);
    const struct oracle_request q = { .pv = true };
    EXPECT_EQUAL(tables_ask(&tables, q).cause, 260);
    EXPECT(!tables_ask(&tables, q).reported);
}

TEST_CASE(riscv_oracle, a_fault_record_names_the_transaction)
{
    uint64_t record[4];
    tables_reset(&tables);
    struct oracle_request q      = { .device_id  = 0xabcdef,
                                     .process_id = 0x12345,
                                     .iova       = IOVA,
                                     .access     = ORACLE_WRITE,
                                     .pv         = true,
                                     .priv       = true };
    const struct oracle_result r = tables_ask(&tables, q);
    oracle_fault_record(&q, &r, record);
    EXPECT_EQUAL(record[0], 0xabcdef0f12345104); /* TTYP 3, PRIV, PV; cause 260. */
    EXPECT_EQUAL(record[1], 0);
    EXPECT_EQUAL(record[2], IOVA);
    EXPECT_EQUAL(record[3], 0);
    q.access = ORACLE_EXECUTE, q.priv = false;
    oracle_fault_record(&q, &r, record);
    EXPECT_EQUAL(record[0], 0xabcdef0512345104);
    q.pv = false, q.translated = true, q.priv = true;
    oracle_fault_record(&q, &r, record);
    EXPECT_EQUAL(record[0], 0xabcdef1800000104); /* A Translated read. */
}
