/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/timeline.h"

#include <inttypes.h>
#include <string.h>

enum { CELL = 40, READS_MAX = 64 };

/* One line of two cells; differ says whether they do. */
static void line(FILE *out, const char *label, const char *recorded, const char *modelled)
{
    fprintf(out, "  %c %-8s %-33s %s\n", strcmp(recorded, modelled) == 0 ? ' ' : '*', label,
            recorded, modelled);
}

static void put_cycle(char cell[CELL], cycle_t cycle)
{
    if (cycle == CYCLE_NEVER)
        snprintf(cell, CELL, "never");
    else
        snprintf(cell, CELL, "%" PRIu64, cycle);
}

static void cycle_line(FILE *out, const char *label, cycle_t recorded, cycle_t modelled)
{
    char cell[2][CELL];
    put_cycle(cell[0], recorded);
    put_cycle(cell[1], modelled);
    line(out, label, cell[0], cell[1]);
}

/* ---- Reads ----------------------------------------------------------------------------
 */

static void put_read(char cell[CELL], const struct rtl_access *a)
{
    if (a == NULL)
        snprintf(cell, CELL, "-");
    else
        snprintf(cell, CELL, "%" PRIu64 " 0x%" PRIx64 " x%" PRIu32 " %" PRIu64,
                 a->presented, a->pa, a->beats, a->last);
}

/* The reads that were presented in from .. to; of each at most READS_MAX. */
static size_t pick(const struct rtl_access *all, size_t count, cycle_t from, cycle_t to,
                   const struct rtl_access *picked[READS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < count && n < READS_MAX; i++)
        if (!all[i].write && all[i].presented >= from && all[i].presented <= to)
            picked[n++] = &all[i];
    return n;
}

static void reads(FILE *out, const struct rtl_run *run, const struct rtl_result *m,
                  cycle_t from, cycle_t to)
{
    static const char *const engine[] = { "PTW", "CDW", "CQ" };
    const struct rtl_access *r[READS_MAX], *a[READS_MAX];
    char cell[2][CELL], label[32];
    const size_t recorded = pick(run->access, run->accesses, from, to, r);
    const size_t modelled = pick(m->access, m->accesses, from, to, a);
    for (size_t i = 0; i < recorded || i < modelled; i++) {
        const struct rtl_access *one = i < modelled ? a[i] : r[i];
        put_read(cell[0], i < recorded ? r[i] : NULL);
        put_read(cell[1], i < modelled ? a[i] : NULL);
        snprintf(label, sizeof label, "%s", one->engine < 3 ? engine[one->engine] : "read");
        if (run->has_accesses)
            line(out, label, cell[0], cell[1]);
        else
            fprintf(out, "    %-8s %-33s %s\n", label, "not recorded", cell[1]);
    }
}

/* ---- Rows -----------------------------------------------------------------------------
 */

static void put_outcome(char cell[CELL], bool fault, uint16_t cause, uint64_t pa)
{
    if (fault)
        snprintf(cell, CELL, "FAULT %" PRIu16, cause);
    else
        snprintf(cell, CELL, "OK 0x%" PRIx64, pa);
}

static const char *hit(int flag)
{
    return flag == RTL_UNKNOWN ? "not recorded" : flag == 0 ? "miss" : "hit";
}

static void flag_line(FILE *out, const char *label, int recorded, bool modelled)
{
    line(out, label, hit(recorded == RTL_UNKNOWN ? modelled : recorded), hit(modelled));
}

static void request(FILE *out, const struct rtl_run *run, const struct rtl_result *m,
                    size_t index)
{
    const struct rtl_request *r = &run->request[index];
    const struct rtl_answer *a  = &m->answer[index];
    const cycle_t last = a->done != CYCLE_NEVER && a->done > r->done ? a->done : r->done;
    char cell[2][CELL];
    fprintf(out, "  %s_req, line %" PRIu64 ": %s of 0x%" PRIx64 " by device 0x%" PRIx32,
            run->name, r->line, r->channel == RTL_AW ? "write" : "read", r->iova,
            r->device);
    if (r->has_process)
        fprintf(out, ", process 0x%" PRIx32, r->process);
    fprintf(out, "\n");
    line(out, "", "recorded", "modelled");
    cycle_line(out, "issued", r->issued, r->issued);
    reads(out, run, m, r->issued, last);
    cycle_line(out, "done", r->done, a->done);
    put_outcome(cell[0], r->fault, r->cause, r->pa);
    put_outcome(cell[1], a->fault, a->cause, a->pa);
    line(out, "result", cell[0], a->done == CYCLE_NEVER ? "none" : cell[1]);
    flag_line(out, "context", r->context_hit, a->context_hit);
    flag_line(out, "IOTLB", r->iotlb_hit, a->iotlb_hit);
    snprintf(cell[0], CELL, "%" PRIu16, r->reads);
    snprintf(cell[1], CELL, "%" PRIu16, a->reads);
    line(out, "reads", cell[0], cell[1]);
}

static void command(FILE *out, const struct rtl_run *run, const struct rtl_result *m,
                    const struct rtl_row *row)
{
    static const struct rtl_command none = {
        CYCLE_NEVER, CYCLE_NEVER, CYCLE_NEVER, 0, 0, 0
    };
    const struct rtl_command *r =
        row->recorded == SIZE_MAX ? &none : &run->command[row->recorded];
    const struct rtl_command *a =
        row->modelled == SIZE_MAX ? &none : &m->command[row->modelled];
    fprintf(out, "  %s_events: command %zu, 0x%" PRIx64 " 0x%" PRIx64 "\n", run->name,
            row->recorded == SIZE_MAX ? row->modelled : row->recorded, r->low, r->high);
    line(out, "", "recorded", "modelled");
    cycle_line(out, "fetched", r->fetched, a->fetched);
    cycle_line(out, "flushed", r->flushed,
               r->flushed == CYCLE_NEVER ? CYCLE_NEVER : a->flushed);
    cycle_line(out, "head", r->head, a->head);
}

static void fault(FILE *out, const struct rtl_run *run, const struct rtl_result *m,
                  const struct rtl_row *row)
{
    fprintf(out, "  %s_events: fault record %zu\n", run->name,
            row->recorded == SIZE_MAX ? row->modelled : row->recorded);
    line(out, "", "recorded", "modelled");
    cycle_line(out, "tail",
               row->recorded == SIZE_MAX ? CYCLE_NEVER : run->fault[row->recorded].cycle,
               row->modelled == SIZE_MAX ? CYCLE_NEVER : m->fault[row->modelled].cycle);
}

void rtl_timeline(FILE *out, const struct rtl_run *run, const struct rtl_result *result,
                  const struct rtl_row *row)
{
    switch (row->kind) {
    case RTL_ROW_REQUEST:
        request(out, run, result, row->recorded);
        return;
    case RTL_ROW_COMMAND:
        command(out, run, result, row);
        return;
    case RTL_ROW_FAULT:
        fault(out, run, result, row);
        return;
    }
    UNREACHABLE("a row is of one of three kinds");
}
