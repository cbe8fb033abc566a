/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rtl_fsm_tables.h"

#include "sim/base/check.h"

enum { PAGE = 4096, ROOT_PAGES = 4 };

void fsm_tables_init(struct fsm_tables *t, struct fsm_bench_memory *memory, unsigned levels)
{
    CHECK(levels >= 1 && levels <= 3);
    *t = (struct fsm_tables){ .memory = memory, .next = FSM_TABLES, .levels = levels };
}

uint64_t fsm_tables_pages(struct fsm_tables *t, unsigned count, const char *kind)
{
    const uint64_t bytes = (uint64_t)count * PAGE;
    const uint64_t at    = (t->next + bytes - 1) / bytes * bytes;
    const uint64_t index = (at - FSM_TABLES) / PAGE;
    t->next              = at + bytes;
    CHECK(index + count <= FSM_TABLE_PAGES);
    for (unsigned i = 0; i < count; i++)
        t->kind[index + i] = kind;
    return at;
}

static uint64_t table_entry(uint64_t table)
{
    return table >> 12 << 10 | FSM_PTE_TABLE;
}

/* A table of the first stage has to be reached through the second, one to one. */
static uint64_t new_table(struct fsm_tables *t, const struct fsm_space *s, unsigned level)
{
    static const char *const kind[2][3] = { { "S_L0", "S_L1", "S_L2" },
                                            { "G_L0", "G_L1", "G_L2" } };
    const unsigned pages                = s->guest && level == 2 ? ROOT_PAGES : 1;
    const uint64_t table                = fsm_tables_pages(t, pages, kind[s->guest][level]);
    if (s->host != NULL)
        fsm_tables_map(t, s->host, table, 0, table, FSM_PTE);
    return table;
}

struct fsm_space fsm_tables_space(struct fsm_tables *t, bool guest, struct fsm_space *host)
{
    struct fsm_space s = { .guest = guest, .host = host };
    s.root             = new_table(t, &s, 2);
    return s;
}

uint64_t fsm_tables_map(struct fsm_tables *t, const struct fsm_space *s, uint64_t address,
                        unsigned level, uint64_t pa, uint64_t flags)
{
    uint64_t table = s->root, at;
    for (unsigned l = 2;; l--) {
        const uint64_t mask = l == 2 && s->guest ? 0x7ff : 0x1ff;
        at                  = table + 8 * (address >> (12 + 9 * l) & mask);
        if (l == level)
            break;
        if (fsm_bench_load(t->memory, at) == 0)
            fsm_bench_store(t->memory, at, table_entry(new_table(t, s, l - 1)));
        table = fsm_bench_load(t->memory, at) >> 10 << 12;
    }
    fsm_bench_store(t->memory, at, pa >> 12 << 10 | flags);
    return at;
}

/* The table below an entry of a directory. */
static uint64_t directory(struct fsm_tables *t, uint64_t at, const char *kind)
{
    if (fsm_bench_load(t->memory, at) == 0)
        fsm_bench_store(t->memory, at, table_entry(fsm_tables_pages(t, 1, kind)));
    return fsm_bench_load(t->memory, at) >> 10 << 12;
}

uint64_t fsm_tables_device(struct fsm_tables *t, uint32_t device)
{
    uint64_t table = FSM_DDT;
    if (t->levels >= 3)
        table = directory(t, table + 8 * (device >> 16), "DDT_L2");
    if (t->levels >= 2)
        table = directory(t, table + 8 * (device >> 7 & 0x1ff), "DDT_L1");
    return table + 32 * (device & 0x7f);
}

uint64_t fsm_tables_process(struct fsm_tables *t, uint64_t root, uint32_t process,
                            unsigned levels)
{
    uint64_t table = root;
    if (levels >= 3)
        table = directory(t, table + 8 * (process >> 17), "PDT_L2");
    if (levels >= 2)
        table = directory(t, table + 8 * (process >> 8 & 0x1ff), "PDT_L1");
    return table + 16 * (process & 0xff);
}

void fsm_tables_set_device(struct fsm_tables *t, uint64_t at, const struct fsm_dc *dc)
{
    fsm_bench_store(t->memory, at, dc->tc);
    fsm_bench_store(t->memory, at + 8, dc->iohgatp);
    fsm_bench_store(t->memory, at + 16, dc->ta);
    fsm_bench_store(t->memory, at + 24, dc->fsc);
}

static uint64_t sv39(const struct fsm_space *s)
{
    return s == NULL ? 0 : UINT64_C(8) << 60 | s->root >> 12;
}

struct fsm_dc fsm_tables_context(const struct fsm_space *first,
                                 const struct fsm_space *second, uint32_t pscid,
                                 uint32_t gscid)
{
    const struct fsm_dc dc = { .tc      = 1,
                               .iohgatp = sv39(second) | (uint64_t)gscid << 44,
                               .ta      = (uint64_t)pscid << 12,
                               .fsc     = sv39(first) };
    return dc;
}

const char *fsm_tables_kind(const struct fsm_tables *t, uint64_t pa)
{
    static const char *const directories[] = { "DDT_L1", "DDT_L2", "DDT_L3" };
    if (pa >= FSM_TABLES && pa < t->next && t->kind[(pa - FSM_TABLES) / PAGE] != NULL)
        return t->kind[(pa - FSM_TABLES) / PAGE];
    if (pa >= FSM_DDT && pa < FSM_DDT + PAGE)
        return directories[t->levels - 1];
    return pa >= FSM_FAULTS && pa < FSM_TABLES     ? "FQ"
           : pa >= FSM_COMMANDS && pa < FSM_FAULTS ? "CQ"
                                                   : "?";
}
