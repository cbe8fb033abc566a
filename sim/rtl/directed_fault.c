/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_fault - one fault at a time, its record, and bursts of faults.
 *
 * Where a case wants the context (or an entry) cached, another request goes ahead of the
 * one that faults, and the port is idle for a while between the two. Cycles count from the
 * request that faults.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/rtl/directed_result.h"

enum {
    IDLE_CYCLES   = 20, /* Behind the request that goes ahead. */
    BURST_MAX     = 64,
    LIST_BYTES    = 1024,
    UNKNOWN_OTHER = 9,   /* A device without context in the table of the others. */
    DEVICE_BITS   = 256, /* More than a table of one level tells apart. */
};
#define ROOT_SPAN UINT64_C(0x40000000) /* Of an entry of a page table's root. */
#define BAD_MODE  UINT64_C(5)          /* Of a page table: reserved. */

/* How the tables differ from what translates. */
enum flaw {
    FLAW_NONE,
    FLAW_FLAGS, /* The page's entry has the case's flags; none: the page is not there. */
    FLAW_GUEST, /* The second stage does not map the page. */
    FLAW_DEVICE_ROOT,
    FLAW_DEVICE,
    FLAW_STAGE1_MODE,
    FLAW_STAGE2_MODE,
    FLAW_PROCESS,
};

enum ahead { AHEAD_NONE, AHEAD_PAGE0, AHEAD_PAGE1 }; /* A read of that page. */

static const struct fault_case {
    const char *experiment;
    enum flaw flaw;
    enum ahead ahead;
    enum directed_channel channel;
    uint64_t page, flags, offset; /* offset: from the page's address. */
    uint32_t device;              /* Instead of the one that is attached, if not 0. */
    bool nested;                  /* Both stages, of the smallest leaves. */
    bool process_too_wide;
} cases[] = {
    { .experiment = "fault.page_fault_invalid_L0",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE0,
      .page       = 1 },
    { .experiment = "fault.page_fault_invalid_L2",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE0,
      .offset     = ROOT_SPAN },
    { .experiment = "fault.page_fault_A0",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE0,
      .page       = 1,
      .flags      = DIRECTED_PTE & ~RISCV_PTE_A },
    { .experiment = "fault.store_to_RO_iotlb_hit",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE0,
      .channel    = DIRECTED_WRITE,
      .flags      = DIRECTED_PTE_READ },
    { .experiment = "fault.store_to_RO_D1_iotlb_miss",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE1,
      .channel    = DIRECTED_WRITE,
      .flags      = DIRECTED_PTE_READ },
    { .experiment = "fault.store_D0_iotlb_miss",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE1,
      .channel    = DIRECTED_WRITE,
      .flags      = DIRECTED_PTE & ~RISCV_PTE_D },
    { .experiment = "fault.store_D0_after_read_filled_iotlb",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE0,
      .channel    = DIRECTED_WRITE,
      .flags      = DIRECTED_PTE & ~RISCV_PTE_D },
    { .experiment = "fault.user_bit0_iotlb_miss",
      .flaw       = FLAW_FLAGS,
      .ahead      = AHEAD_PAGE1,
      .flags      = DIRECTED_PTE & ~RISCV_PTE_U },
    { .experiment = "fault.ddt_entry_invalid_1LVL", .device = UNKNOWN_OTHER },
    { .experiment = "fault.guest_page_fault_final",
      .flaw       = FLAW_GUEST,
      .ahead      = AHEAD_PAGE0,
      .page       = 1,
      .nested     = true },
    { .experiment = "fault.device_id_too_wide", .device = DEVICE_BITS },
    { .experiment = "fault.ddt_root_entry_invalid", .flaw = FLAW_DEVICE_ROOT },
    { .experiment = "fault.leaf_DC_V0", .flaw = FLAW_DEVICE },
    { .experiment = "fault.DC_misconfigured_in_fsc(last beat)", .flaw = FLAW_STAGE1_MODE },
    { .experiment = "fault.DC_misconfigured_in_iohgatp(2nd beat)",
      .flaw       = FLAW_STAGE2_MODE },
    { .experiment = "fault.PC_V0(PD8,ddtc miss)", .flaw = FLAW_PROCESS },
    { .experiment = "fault.pid_too_wide(PD8,ddtc miss)", .process_too_wide = true },
};

static const struct fault_case *case_of(const char *experiment)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].experiment, experiment) == 0)
            return &cases[i];
    return NULL;
}

/* ---- The request and its tables --------------------------------------------------------
 */

static struct directed_request faulty_request(const struct directed_bench *b,
                                              const struct fault_case *c)
{
    struct directed_request q = directed_page(b, c->page, c->offset);
    if (c->device != 0)
        q.device = c->device;
    q.has_process = b->scenario.process_levels > 0;
    if (c->process_too_wide)
        q.process = UINT32_C(1) << riscv_process_lg2(b->scenario.process_levels);
    return q;
}

static void spoil_mode(struct directed_bench *b, unsigned word)
{
    const uint64_t at    = directed_tables_device(&b->tables, b->device) + 8 * word;
    const uint64_t value = memory_read64(&b->memory, at);
    memory_write64(&b->memory, at, (value & mask_lg2(60)) | BAD_MODE << 60);
}

static void spoil(struct directed_bench *b, const struct fault_case *c)
{
    struct directed_tables *const t = &b->tables;
    switch (c->flaw) {
    case FLAW_NONE:
        return;
    case FLAW_FLAGS:
        if (c->flags != 0)
            directed_tables_map(t, c->page, c->flags);
        return;
    case FLAW_GUEST:
        directed_tables_map(t, c->page, DIRECTED_PTE);
        directed_tables_unmap_guest(t, c->page);
        return;
    case FLAW_DEVICE_ROOT:
        memory_write64(&b->memory, directed_tables_device_root(t, b->device), 0);
        return;
    case FLAW_DEVICE:
        memory_write64(&b->memory, directed_tables_device(t, b->device), 0);
        return;
    case FLAW_STAGE1_MODE:
        spoil_mode(b, 3);
        return;
    case FLAW_STAGE2_MODE:
        spoil_mode(b, 1);
        return;
    case FLAW_PROCESS:
        memory_write64(&b->memory, directed_tables_process(t, 0), 0);
        return;
    }
    UNREACHABLE("a case has one of these flaws");
}

static void go_ahead(struct directed_bench *b, const struct fault_case *c)
{
    if (c->ahead == AHEAD_NONE)
        return;
    const uint64_t page = c->ahead == AHEAD_PAGE1;
    if (page != c->page || c->offset != 0)
        directed_tables_map(&b->tables, page, DIRECTED_PTE);
    const struct directed_request q = directed_page(b, page, 0);
    directed_bench_access(b, DIRECTED_READ, &q);
    directed_bench_run(b, b->now + IDLE_CYCLES);
}

/* ---- What was seen ---------------------------------------------------------------------
 */

static void measure_answer(struct directed_run *run, const struct directed_bench *b,
                           const struct directed_answer *a)
{
    const int64_t latency = directed_latency(a);
    directed_note(directed_measure(run, latency, "axi_handshake_lat"), DIRECTED_NOTE_EQUAL,
                  "fault=%d cause=%u", a->cause != 0, a->cause);
    directed_measure(run, latency - b->settings.iommu.respond_cycles,
                     "detect(first error cycle)");
    directed_measure(run, latency + DIRECTED_DEVICE_CYCLES, "dev_response");

    struct directed_measure *m = directed_measure(run, latency, "latency");
    if (a->cause == RISCV_PDT_NOT_VALID) {
        directed_note(m, DIRECTED_NOTE_WORDS, "cause=%u", a->cause);
        directed_exclude_partly(m, DIRECTED_stray_process_walk);
    } else {
        directed_note(m, DIRECTED_NOTE_EQUAL, "cause=%u reads=%u", a->cause,
                      directed_bench_reads(b, a->issued, a->done));
    }
}

static const struct directed_access *record_write(const struct directed_bench *b)
{
    for (size_t i = 0; i < b->access_count; i++)
        if (strcmp(b->access[i].kind, "FQ") == 0)
            return &b->access[i];
    return NULL;
}

static void measure_record(struct directed_run *run, struct directed_bench *b,
                           cycle_t origin)
{
    const struct directed_access *const w = record_write(b);
    const int64_t from                    = (int64_t)origin;
    CHECK((w != NULL) == (b->faults > 0));
    directed_measure(run, w == NULL ? -1 : w->presented - from, "fq_aw_valid");
    directed_measure(run, w == NULL ? -1 : w->data - from, "fq_wlast");
    directed_measure(run, w == NULL ? -1 : w->last - from, "fq_b");
    directed_measure(run, w == NULL ? -1 : (int64_t)b->fault_visible[0] - from,
                     "fqt_updated");
    for (unsigned i = 0; i < RISCV_FAULT_BYTES / 8; i++)
        directed_note(directed_measure(run, 0, "fq_record_dw%u", i), DIRECTED_NOTE_EQUAL,
                      "0x%016" PRIx64, memory_read64(&b->memory, b->tables.faults + 8 * i));
}

static struct directed_bench *bench_for(const struct directed_run *run,
                                        const struct fault_case *c)
{
    struct directed_scenario s = run->row->scenario;
    if (c->nested) {
        s.stages     = DIRECTED_STAGE1 | DIRECTED_STAGE2;
        s.stage1_lg2 = s.stage2_lg2 = 12;
    }
    struct directed_bench *b = directed_bench_make(&s, run->settings);
    if (s.process_levels > 0)
        directed_tables_attach_process(&b->tables, 0, DIRECTED_PSCID);
    return b;
}

bool directed_fault_experiment(struct directed_run *run)
{
    const struct fault_case *const c = case_of(run->row->experiment);
    if (c == NULL)
        return directed_fail(run, run->row, "unknown experiment '%s'",
                             run->row->experiment);
    if ((c->flaw == FLAW_PROCESS || c->process_too_wide)
        && run->row->scenario.process_levels == 0)
        return directed_fail(run, run->row, "%s: expected a process directory",
                             run->row->experiment);
    struct directed_bench *b = bench_for(run, c);
    const cycle_t first      = b->now;
    spoil(b, c);
    go_ahead(b, c);
    const struct directed_request q = faulty_request(b, c);
    const struct directed_answer a  = directed_bench_access(b, c->channel, &q);
    directed_bench_settle(b);
    measure_answer(run, b, &a);
    measure_record(run, b, a.issued);
    directed_window(run, b, run->row->experiment, a.issued, first, b->now);
    directed_bench_free(b);
    return true;
}

/* ---- Bursts ----------------------------------------------------------------------------
 */

/* Appends "12 " and so on. */
static void append(char *text, size_t bytes, cycle_t cycle)
{
    const size_t at = strlen(text);
    snprintf(text + at, bytes - at, "%" PRIu64 " ", cycle);
}

static void burst(struct directed_run *run, uint32_t count)
{
    char done[LIST_BYTES] = "", tails[LIST_BYTES] = "";
    struct directed_request q[BURST_MAX];
    struct directed_answer a[BURST_MAX];
    struct directed_bench *b = directed_bench_of(run);
    directed_tables_map(&b->tables, 0, DIRECTED_PTE_READ);
    for (uint32_t i = 0; i < count; i++)
        q[i] = directed_page(b, 0, 0);
    directed_bench_access(b, DIRECTED_READ, q);
    directed_bench_run(b, b->now + IDLE_CYCLES);
    const cycle_t origin = b->now;
    directed_bench_stream(b, DIRECTED_WRITE, origin, q, a, count);
    directed_bench_settle(b);

    for (uint32_t i = 0; i < count; i++)
        append(done, sizeof done, a[i].done - origin);
    for (uint32_t i = 0; i < b->faults; i++)
        append(tails, sizeof tails, b->fault_visible[i] - origin);
    directed_note(directed_measure(run, b->faults, "n_faults=%u.records_written", count),
                  DIRECTED_NOTE_EQUAL, "last_done_rel=%" PRIu64,
                  a[count - 1].done - origin);
    directed_note(directed_measure(run, count, "n_faults=%u.done_rel", count),
                  DIRECTED_NOTE_EQUAL, "%s", done);
    directed_note(directed_measure(run, b->faults, "n_faults=%u.fqt_updates_rel", count),
                  DIRECTED_NOTE_EQUAL, "%s", tails);
    directed_bench_free(b);
}

bool directed_fault_burst_experiment(struct directed_run *run)
{
    unsigned largest = 1, count;
    for (size_t i = 0; i < run->rows; i++)
        if (run->row[i].metric != NULL
            && sscanf(run->row[i].metric, "n_faults=%u.", &count) == 1 && count > largest)
            largest = count;
    if (largest > BURST_MAX)
        return directed_fail(run, run->row, "expected at most %d faults, got %u", BURST_MAX,
                             largest);
    for (count = 1; count <= largest; count++)
        burst(run, count);
    return true;
}
