/* SPDX-License-Identifier: Apache-2.0 */
/* prices - the tables of what mapping costs a CPU, for docs/validation.md. */
#include "sim/test/prices.h"

#include <string.h>

#include "sim/docs/docs.h"

/* Of the machines of the sources. */
#define GHZ_OF_TABLES 4.7 /* i7-12700, one core busy */
#define GHZ_OF_CPU    3.1 /* cpu.period_ps */

static void heading(FILE *out, const char *what, const char *unit)
{
    fprintf(out,
            "| %s | published, %s | model | error | role |\n"
            "| --- | --: | --: | --: | --- |\n",
            what, unit);
}

static void row(FILE *out, const char *what, double published, double model,
                const char *role)
{
    const int digits = published < 10.0 ? 2 : 0;
    fprintf(out, "| %s | %.*f | %.*f | %+.0f %% | %s |\n", what, digits, published, digits,
            model, 100.0 * (model / published - 1.0), role);
}

/* ---- Page tables --------------------------------------------------------------------- */

static const struct {
    const char *format, *what;
    unsigned page_lg2, count;
    double map, unmap;
    const char *map_role, *unmap_role;
} range[] = {
    { "vtdss", "VT-d second stage, 4 KiB", 12, 1, 55, 69,
      "fitted with `cost.map_range_cycles`", "fitted with `cost.unmap_range_cycles`" },
    { "vtdss", "256 times 4 KiB", 12, 256, 391, 210, "fitted with `cost.map_entry_cycles`",
      "fitted with `cost.unmap_entry_cycles`" },
    { "vtdss", "256 times 2 MiB", 21, 256, 383, 255, "predicted", "predicted" },
    { "x86", "x86-64 (AMD v2), 4 KiB", 12, 1, 56, 71, "predicted", "predicted" },
    { "x86", "256 times 4 KiB", 12, 256, 405, 228, "predicted", "predicted" },
    { "x86", "256 times 2 MiB", 21, 256, 393, 254, "predicted", "predicted" },
};

static void put_ranges(FILE *out)
{
    fprintf(out,
            "**Page tables.** One call, from the series that brought Linux's generic "
            "page tables\n(i7-12700; taken as %.1f GHz).\n\n",
            GHZ_OF_TABLES);
    heading(out, "call", "ns");
    for (unsigned i = 0; i < sizeof range / sizeof range[0]; i++) {
        const struct price p =
            price_of_range(range[i].format, 4, range[i].page_lg2, range[i].count);
        char what[96];
        snprintf(what, sizeof what, "%s, map", range[i].what);
        row(out, what, range[i].map, p.map / GHZ_OF_TABLES, range[i].map_role);
        snprintf(what, sizeof what, "%s, unmap", range[i].what);
        row(out, what, range[i].unmap, p.unmap / GHZ_OF_TABLES, range[i].unmap_role);
    }
}

/* ---- The parts of a call ------------------------------------------------------------- */

/* Cycles for each I/O inside calls that map or unmap; owner NULL: of all owners. */
static double inside(const json_t *run, const char *phase, const char *owner)
{
    const json_t *owners = json_object_get(json_object_get(run, "cpu_phases"), phase);
    const char *key;
    json_t *value;
    double sum = 0.0;
    json_object_foreach((json_t *)owners, key, value)
    {
        if (owner == NULL || strcmp(owner, key) == 0)
            sum += json_number_value(value);
    }
    return sum / docs_metric(run, "ios");
}

static double unmaps(const json_t *run, const char *owner)
{
    return inside(run, "unmap", owner) + inside(run, "deferred", owner);
}

static void put_calls(FILE *out, const char *column, const json_t *run,
                      const double published[9])
{
    const double alloc = inside(run, "map", "iova_alloc"),
                 table = inside(run, "map", "pt_map"), map = inside(run, "map", NULL),
                 unmap = unmaps(run, NULL), given = unmaps(run, "iova_free"),
                 clear       = unmaps(run, "pt_unmap"),
                 invalidates = unmaps(run, "inval_submit") + unmaps(run, "inval_wait");
    fputs("\n", out);
    heading(out, column, "cycles");
    row(out, "map: find an address", published[0], alloc, "predicted");
    row(out, "map: page table", published[1], table, "left alone: fitted to newer tables");
    row(out, "map: other", published[2], map - alloc - table, "predicted");
    row(out, "map in all", published[3], map, "predicted");
    row(out, "unmap: free the address", published[4], given, "predicted");
    row(out, "unmap: page table", published[5], clear, "left alone, as above");
    row(out, "unmap: invalidation", published[6], invalidates, "predicted");
    row(out, "unmap: other", published[7], unmap - given - clear - invalidates,
        "predicted");
    row(out, "unmap in all, without finding the range", published[8], unmap, "predicted");
}

static void put_parts(FILE *out, const json_t *strict, const json_t *lazy)
{
    static const double strict_plus[9]   = { 92, 590, 45, 727, 62, 427, 2135, 25, 2649 },
                        deferred_plus[9] = { 108, 577, 42, 727, 57, 504, 9, 216, 786 };
    fputs("\n**The parts of a call.** Mean cycles for one page of a NIC driver at 3.1 GHz "
          "with a\nconstant-time allocator (rIOMMU, ASPLOS 2015, table 1, second-hand). "
          "There, an unmap first\nfinds its range in a tree: 418 cycles strict, 454 "
          "deferred. Linux has not done so since its\nallocator has caches; they are taken "
          "off the sums.\n",
          out);
    put_calls(out, "strict", strict, strict_plus);
    put_calls(out, "deferred", lazy, deferred_plus);
}

/* ---- Single figures ------------------------------------------------------------------ */

static double strict_invalidation(const json_t *strict)
{
    return unmaps(strict, "inval_submit") + unmaps(strict, "inval_wait");
}

static void put_invalidations(FILE *out, const json_t *strict)
{
    const double us = strict_invalidation(strict) / GHZ_OF_CPU * 1e-3;
    fputs("\n**One synchronous invalidation**, submitted and waited for, one CPU; and "
          "copying.\n\n",
          out);
    heading(out, "quantity", "us");
    row(out, "3.1 GHz Xeon E3, 2015 (rIOMMU)", 0.69, us, "predicted");
    row(out, "the same year's Xeon (True IOMMU Protection, ASPLOS 2016)", 0.61, us,
        "predicted");
    row(out, "Xeon Silver 4314, 2.4 GHz (2548 cycles, second-hand)", 1.06, us,
        "left alone: another generation");
    row(out, "host of a cloud server, kernel 6.12 (Fast & Safe repository)", 2.07, us,
        "left alone: a shared queue");
    row(out, "copy of 1500 bytes (ASPLOS 2016)", 0.11,
        price_of_copy(1500) / GHZ_OF_CPU * 1e-3, "fitted with `cost.bounce_line_cycles`");
    row(out, "copy of 64 KiB", 4.65, price_of_copy(65536) / GHZ_OF_CPU * 1e-3,
        "fitted, the same");
}

static void put_saving(FILE *out, unsigned pages, const char *fault, double published,
                       const json_t *strict)
{
    const struct price each = price_of_pages(pages, false),
                       one  = price_of_pages(pages, true);
    const double calls = (each.map + each.unmap - one.map - one.unmap) / pages / GHZ_OF_CPU;
    const double flushes = strict_invalidation(strict) * (pages - 1) / pages / GHZ_OF_CPU;
    char what[96];
    snprintf(what, sizeof what, "%s, calls alone", fault);
    row(out, what, published, calls, "predicted");
    snprintf(what, sizeof what, "%s, and an invalidation for each unmap", fault);
    row(out, what, published, calls + flushes, "predicted");
}

static void put_savings(FILE *out, const json_t *strict)
{
    fputs("\n**One range against a mapping for each page.** What `dma_iova_*` saves for "
          "each page that\nis mapped and unmapped. Published: CPU time of a GPU's page "
          "fault with migration before and\nafter (Linux DRM, early 2026): 552.4 and 224.8 "
          "us for 2 MiB, 24.98 and 14.66 us for 64 KiB. The\nmode of the IOMMU is not "
          "said, so there are two predictions.\n\n",
          out);
    heading(out, "saved for each 4 KiB page", "ns");
    put_saving(out, 512, "2 MiB", (552.4 - 224.8) * 1000.0 / 512, strict);
    put_saving(out, 16, "64 KiB", (24.98 - 14.66) * 1000.0 / 16, strict);
}

void docs_put_prices(FILE *out, const struct docs *docs)
{
    json_t *runs         = docs_runs(docs, DOCS_ONE_BY_ONE);
    const json_t *strict = json_array_get(runs, 0);
    put_ranges(out);
    put_parts(out, strict, json_array_get(runs, 1));
    put_invalidations(out, strict);
    put_savings(out, strict);
    json_decref(runs);
}
