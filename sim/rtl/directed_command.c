/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_command - the command queue alone: one or several commands on a full IOTLB.
 *
 * As many pages as the IOTLB has entries are read, then the commands are put into the queue
 * and their doorbell is rung. Cycles count from the first of the doorbell's write.
 */
#include <string.h>

#include "sim/rtl/directed_result.h"

enum { FENCE_DATUM = 0x600d };

/* F: a fence that writes; f: one that does not; else what is invalidated: the whole IOTLB,
 * a process's or another's entries, a page of the device or of a process, a guest's entries
 * by either command, all contexts or the device's. */
enum command {
    FENCE       = 'f',
    FENCE_WRITE = 'F',
    ALL         = 'a',
    PROCESS     = 'p',
    OTHER       = 'o',
    PAGE        = 'v',
    PAGE_OF     = 'w',
    GUEST       = 'g',
    GUESTS      = 'G',
    CONTEXTS    = 'd',
    CONTEXT     = 'D',
};

static const struct {
    const char *experiment, *commands;
} sequences[] = {
    { "cmd.IOTINVAL.VMA.all", "a" },
    { "cmd.IOTINVAL.VMA.pscid", "p" },
    { "cmd.IOTINVAL.VMA.pscid_nomatch", "o" },
    { "cmd.IOTINVAL.VMA.addr", "v" },
    { "cmd.IOTINVAL.VMA.addr_pscid", "w" },
    { "cmd.IOTINVAL.VMA.gscid(GV=1,on S1-only entries)", "g" },
    { "cmd.IOTINVAL.GVMA.all(on S1-only entries)", "G" },
    { "cmd.IODIR.INVAL_DDT.all", "d" },
    { "cmd.IODIR.INVAL_DDT.did", "D" },
    { "cmd.IOFENCE.AV0", "f" },
    { "cmd.IOFENCE.AV1", "F" },
    { "cmd.8xIOTINVAL.VMA.addr", "vvvvvvvv" },
    { "cmd.VMA+FENCE.AV1", "aF" },
    { "cmd.FENCE.AV1+VMA(next fetch waits for B)", "Fa" },
};

/* nth: which page it is about. */
static struct riscv_command command_of(const struct directed_bench *b, enum command c,
                                       uint64_t nth)
{
    const uint64_t iova = directed_iova(&b->scenario, nth);
    switch (c) {
    case FENCE:
        return riscv_iofence(0, 0, 0);
    case FENCE_WRITE:
        return riscv_iofence(RISCV_FENCE_AV, b->tables.fence, FENCE_DATUM);
    case ALL:
        return riscv_iotinval(RISCV_VMA, 0, 0, 0, 0);
    case PROCESS:
        return riscv_iotinval(RISCV_VMA, RISCV_INVAL_PSCV, 0, DIRECTED_PSCID, 0);
    case OTHER:
        return riscv_iotinval(RISCV_VMA, RISCV_INVAL_PSCV, 0, DIRECTED_PSCID + 1, 0);
    case PAGE:
        return riscv_iotinval(RISCV_VMA, RISCV_INVAL_AV, 0, 0, iova);
    case PAGE_OF:
        return riscv_iotinval(RISCV_VMA, RISCV_INVAL_AV | RISCV_INVAL_PSCV, 0,
                              DIRECTED_PSCID, iova);
    case GUEST:
        return riscv_iotinval(RISCV_VMA, RISCV_INVAL_GV, DIRECTED_GSCID, 0, 0);
    case GUESTS:
        return riscv_iotinval(RISCV_GVMA, 0, 0, 0, 0);
    case CONTEXTS:
        return riscv_iodir(RISCV_INVAL_DDT, false, 0, 0);
    case CONTEXT:
        return riscv_iodir(RISCV_INVAL_DDT, true, b->device, 0);
    }
    UNREACHABLE("a sequence is made of these");
}

static int64_t relative(cycle_t cycle, cycle_t origin)
{
    return cycle == CYCLE_NEVER ? -1 : (int64_t)(cycle - origin);
}

static bool flushes(char command)
{
    return command != FENCE && command != FENCE_WRITE;
}

static void measure_commands(struct directed_run *run, const struct directed_bench *b,
                             const char *commands)
{
    const cycle_t origin = b->rung;
    const uint32_t count = (uint32_t)strlen(commands);
    directed_measure(run, count, "ncmds");
    directed_measure(run, DIRECTED_RESPONSE_CYCLES, "mmio_bresp");
    directed_measure(run, relative(b->tail_visible, origin), "cqt_reg_updated");
    for (uint32_t i = 0; i < count; i++) {
        directed_measure(run, relative(b->fetched[i], origin), "fetch_ar[%u]", i);
        directed_measure(run, relative(b->head[i], origin), "cqh_advance[%u]", i);
        directed_measure(run, flushes(commands[i]) ? relative(b->done[i], origin) : -1,
                         "flush_pulse[%u]", i);
    }
    directed_measure(run, relative(b->head[count - 1], origin), "last.cqh_advance");
}

/* The fence's write, if the RTL's datum reached memory as it should. */
static void measure_fence(struct directed_run *run, struct directed_bench *b)
{
    for (size_t i = 0; i < b->access_count; i++) {
        const struct directed_access *const a = &b->access[i];
        if (strcmp(a->kind, "FENCEDATA") != 0)
            continue;
        CHECK(memory_read32(&b->memory, b->tables.fence) == FENCE_DATUM);
        directed_measure(run, relative((cycle_t)a->presented, b->rung), "fence_aw");
        directed_measure(run, relative((cycle_t)a->last, b->rung), "fence_b");
    }
}

static const char *sequence_of(const char *experiment)
{
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
        if (strcmp(sequences[i].experiment, experiment) == 0)
            return sequences[i].commands;
    return NULL;
}

bool directed_command_experiment(struct directed_run *run)
{
    const char *const commands = sequence_of(run->row->experiment);
    if (commands == NULL)
        return directed_fail(run, run->row, "unknown experiment '%s'",
                             run->row->experiment);
    struct directed_bench *b = directed_bench_of(run);
    for (uint32_t i = 0; i < b->scenario.iotlb_entries; i++)
        directed_bench_touch(b, DIRECTED_READ, i, 0);
    directed_measure(run, directed_bench_entries(b), "tlb_valid_before");
    for (uint32_t i = 0; commands[i] != '\0'; i++)
        directed_bench_queue(b, command_of(b, (enum command)commands[i], i));
    directed_bench_ring(b);
    directed_bench_settle(b);
    directed_measure(run, directed_bench_entries(b), "tlb_valid_after");
    measure_commands(run, b, commands);
    measure_fence(run, b);
    directed_window(run, b, run->row->experiment, b->rung, b->rung, b->now);
    directed_bench_free(b);
    return true;
}

/* The register port, whose writer waits for each response. */
bool directed_register_experiment(struct directed_run *run)
{
    directed_note(directed_measure(run, DIRECTED_SPACING_CYCLES, "issue_spacing"),
                  DIRECTED_NOTE_WORDS, "spacing=%d", DIRECTED_SPACING_CYCLES);
    return true;
}
