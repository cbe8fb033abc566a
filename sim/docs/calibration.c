/* SPDX-License-Identifier: Apache-2.0 */
/* calibration - the page that holds the defaults against published measurements. */
#include "sim/test/calibration.h"

#include "sim/app/config.h"
#include "sim/docs/docs.h"
#include "sim/test/prices.h"

/* ---- The IOMMU
 * ------------------------------------------------------------------------------------- */

static void heading(FILE *out, const char *what, const char *unit)
{
    fprintf(out,
            "| %s | published, %s | model | model / published | role |\n"
            "| --- | --: | --: | --: | --- |\n",
            what, unit);
}

static void row(FILE *out, const char *what, double published, double model,
                const char *role)
{
    const int digits = published < 10.0 ? 2 : published < 100.0 ? 1 : 0;
    fprintf(out, "| %s | %.*f | %.*f | %.2f | %s |\n", what, digits, published, digits,
            model, model / published, role);
}

static void put_misses(FILE *out)
{
    static const struct {
        const char *window;
        unsigned pages;
        double published;
    } row_of[] = {
        { "512 KiB", 128, 9.0 },
        { "1 MiB", 256, 56.0 },
        { "1.5 MiB", 384, 71.0 },
        { "2 MiB", 512, 79.0 },
    };
    for (unsigned i = 0; i < sizeof row_of / sizeof row_of[0]; i++) {
        char what[64];
        double misses;
        calibration_latency(row_of[i].pages, &misses);
        snprintf(what, sizeof what, "misses in a window of %s, %%", row_of[i].window);
        row(out, what, row_of[i].published, 100.0 * misses,
            "predicted from the IOTLB's size");
    }
}

static void put_iommu(FILE *out)
{
    double few, many;
    const double hit  = calibration_latency(16, &few);
    const double miss = calibration_latency(16384, &many);
    fputs("## The IOMMU\n\n"
          "A device reads 64 bytes at random places of a window of 4 KiB pages that stays\n"
          "mapped. Published: raw data of pcie-bench (SIGCOMM 2018), "
          "Xeon\n"
          "E5-2630 v4, superpages off, derived as [validation.md](validation.md) says.\n\n",
          out);
    heading(out, "quantity", "ns or %");
    row(out, "an IOTLB hit adds", 2.7, hit, "chosen: two pipeline steps");
    row(out, "an IOTLB miss adds, one read at a time", 280.0, (miss - hit) / many,
        "fitted with `walker.start_cycles`");
    row(out, "between reads that all miss, 32 under way", 52.0, calibration_interval(16384),
        "fitted with `walker.walkers`");
    put_misses(out);
}

/* ---- The software
 * ---------------------------------------------------------------------------------- */

static void put_calls(FILE *out, const json_t *strict)
{
    fputs("\n## Mapping and unmapping one page\n\n"
          "Published: average cycles of a 40 Gbit/s NIC driver at 3.1 GHz with a\n"
          "constant-time IOVA allocator, strict (rIOMMU, ASPLOS 2015, table 1, "
          "second-hand). The\n"
          "kernel there is much older than those modelled.\n\n",
          out);
    heading(out, "owner", "cycles");
    row(out, "`iova_alloc`", 92, docs_owner_per_io(strict, "iova_alloc"), "predicted");
    row(out, "`pt_map`", 590, docs_owner_per_io(strict, "pt_map"),
        "fitted to newer page tables, see below");
    row(out, "`pt_unmap`", 427, docs_owner_per_io(strict, "pt_unmap"), "as above");
    row(out, "`inval_submit` + `inval_wait`", 2135,
        docs_owner_per_io(strict, "inval_submit") + docs_owner_per_io(strict, "inval_wait"),
        "predicted");
    row(out, "`iova_free`", 62, docs_owner_per_io(strict, "iova_free"), "predicted");
    fputs(
        "\nPublished for the page tables of today alone: 55 and 69 ns to map and unmap one "
        "page at\n4.7 GHz (the series that brought Linux's generic page tables).\n\n",
        out);
    const struct price page = price_of_range("vtdss", 4, 12, 1);
    heading(out, "call", "cycles");
    row(out, "map", 55 * 4.7, page.map, "fitted with `cost.map_range_cycles`");
    row(out, "unmap", 69 * 4.7, page.unmap, "fitted with `cost.unmap_range_cycles`");
}

static double added_us(const json_t *run, const json_t *base)
{
    struct config defaults;
    struct error error;
    CHECK(config_init(&defaults, NULL, &error));
    const double us =
        (docs_metric(run, "cpu_cycles_per_io") - docs_metric(base, "cpu_cycles_per_io"))
        * defaults.cpu.period_ps * 1e-6;
    config_free(&defaults);
    return us;
}

static void put_policies(FILE *out, const json_t *strict, const json_t *lazy,
                         const json_t *passthrough)
{
    fputs("\n## What a policy adds to one I/O\n\n"
          "Published: 5.01, 1.93 and 0.57 million I/Os a second of one fast NVMe drive "
          "under\n"
          "passthrough, lazy and strict (a report on the Linux block mailing list of "
          "November\n"
          "2025), taken as the time of one CPU.\n\n",
          out);
    heading(out, "CPU time that is added", "us");
    row(out, "lazy", 1.0 / 1.93 - 1.0 / 5.01, added_us(lazy, passthrough), "predicted");
    row(out, "strict", 1.0 / 0.57 - 1.0 / 5.01, added_us(strict, passthrough), "predicted");
}

void docs_calibration(FILE *out, const struct docs *docs)
{
    json_t *runs = docs_runs(docs, DOCS_ONE_BY_ONE);
    fputs("# Calibration\n\n", out);
    docs_notice(out);
    fputs("The preset `vtd-server` against published measurements. *Fitted*: a parameter "
          "was\n"
          "chosen so that this figure comes out. *Predicted*: it was not.\n\n",
          out);
    put_iommu(out);
    put_calls(out, json_array_get(runs, 0));
    put_policies(out, json_array_get(runs, 0), json_array_get(runs, 1),
                 json_array_get(runs, 2));
    fputs("\nThe last three tables come from\n\n```sh\niovasim replay " DOCS_ONE_BY_ONE
          " --json -\n```\n",
          out);
    json_decref(runs);
}
