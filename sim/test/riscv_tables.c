/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/riscv_tables.h"

#include <string.h>

#include "sim/base/check.h"

static bool read_word(void *self, uint64_t pa, uint64_t *word)
{
    const struct riscv_tables *t = self;
    CHECK(pa % 8 == 0);
    if (pa >= TABLES_BYTES || (pa == t->forbidden && pa != 0))
        return false;
    *word = t->words[pa / 8];
    return true;
}

static bool may_write(void *self, uint64_t pa)
{
    const struct riscv_tables *t = self;
    return pa != t->read_only;
}

void tables_reset(struct riscv_tables *t)
{
    memset(t, 0, sizeof(*t));
    t->iommu.capabilities = 0x10 | SV39 | SV48 | SV57 | SVPBMT | SV39X4 | SV48X4 | SV57X4
                            | MSI_FLAT | MSI_MRIF | AMO_HWAD | ATS | T2GPA | END | PAS(46)
                            | PD8 | PD17 | PD20;
    t->iommu.ddtp         = TO(0x1000) | 2;
    t->iommu.gxl_writable = true;
    t->iommu.read         = read_word;
    t->iommu.writable     = may_write;
    t->iommu.self         = t;
    t->next_page          = 0x20000;
    tables_context(t, TC_V, 0, 0);
}

void tables_poke(struct riscv_tables *t, uint64_t pa, uint64_t word)
{
    CHECK(pa % 8 == 0);
    CHECK(pa < TABLES_BYTES);
    t->words[pa / 8] = word;
}

uint64_t tables_peek(const struct riscv_tables *t, uint64_t pa)
{
    CHECK(pa % 8 == 0);
    CHECK(pa < TABLES_BYTES);
    return t->words[pa / 8];
}

void tables_context(struct riscv_tables *t, uint64_t tc, uint64_t iohgatp, uint64_t fsc)
{
    tables_poke(t, 0x1000, tc);
    tables_poke(t, 0x1008, iohgatp);
    tables_poke(t, 0x1018, fsc);
}

uint64_t tables_map(struct riscv_tables *t, uint64_t root, unsigned levels, bool wide,
                    uint64_t address, unsigned level, uint64_t entry)
{
    uint64_t table = root;
    CHECK(level < levels);
    for (unsigned l = levels; l-- > 0;) {
        const uint64_t mask = wide && l == levels - 1 ? 0x7ff : 0x1ff;
        const uint64_t at   = table + (address >> (12 + 9 * l) & mask) * 8;
        if (l == level) {
            tables_poke(t, at, entry);
            return at;
        }
        if (tables_peek(t, at) == 0) {
            tables_poke(t, at, TO(t->next_page) | PTE_V);
            t->next_page += 0x1000;
        }
        table = tables_peek(t, at) >> 10 << 12;
    }
    UNREACHABLE("the level is below the root");
}

struct oracle_result tables_ask(struct riscv_tables *t, struct oracle_request request)
{
    return oracle_translate(&t->iommu, &request);
}

struct oracle_result tables_access(struct riscv_tables *t, uint64_t iova,
                                   enum oracle_access access)
{
    return tables_ask(t, (struct oracle_request){ .iova = iova, .access = access });
}

struct oracle_result tables_read(struct riscv_tables *t, uint64_t iova)
{
    return tables_access(t, iova, ORACLE_READ);
}

uint64_t tables_iova(unsigned levels)
{
    return levels == 5 ? SV57_IOVA : levels == 4 ? SV48_IOVA : SV39_IOVA;
}

struct oracle_result tables_walk_one(struct riscv_tables *t, unsigned stage,
                                     unsigned levels, unsigned level, uint64_t entry,
                                     enum oracle_access access)
{
    const uint64_t iova = tables_iova(levels);
    CHECK(stage == 1 || stage == 2);
    if (stage == 1)
        tables_context(t, TC_V, 0, TABLES_S1(levels + 5));
    else
        tables_context(t, TC_V, TABLES_S2(levels + 5), 0);
    tables_map(t, stage == 1 ? TABLES_ROOT : TABLES_ROOT2, levels, stage == 2, iova, level,
               entry);
    return tables_access(t, iova, access);
}

uint64_t tables_nest(struct riscv_tables *t, unsigned levels, unsigned level,
                     unsigned levels2, unsigned under)
{
    const uint64_t iova   = tables_iova(levels);
    const uint64_t gpa    = level == 0 ? 0x77000 : 0;
    const uint64_t target = gpa | (iova & ((AT(12) << (9 * level)) - 1));
    const uint64_t low    = (AT(12) << (9 * under)) - 1;
    tables_reset(t);
    tables_context(t, TC_V, TABLES_S2(levels2 + 5), TABLES_S1(levels + 5));
    tables_map(t, TABLES_ROOT, levels, false, iova, level, TO(gpa) | PTE_ALL);
    const uint64_t last = t->next_page; /* After the tables of the first stage. */
    for (uint64_t page = TABLES_ROOT; page < last; page += 0x1000)
        tables_map(t, TABLES_ROOT2, levels2, true, page, under,
                   TO(under == 0 ? page : 0) | PTE_ALL);
    tables_map(t, TABLES_ROOT2, levels2, true, target, under, TO(target & ~low) | PTE_ALL);
    return target;
}

uint64_t tables_map_guest(struct riscv_tables *t, uint64_t page, uint64_t entry)
{
    return tables_map(t, TABLES_ROOT2, 3, true, page, 0, entry);
}
