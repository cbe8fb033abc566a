/* SPDX-License-Identifier: Apache-2.0 */
/* published - results of others that nothing was fitted to, for docs/validation.md. */
#include "sim/test/published.h"

#include <math.h>

#include "sim/docs/docs.h"

static void heading(FILE *out)
{
    fputs("| quantity | published | model | error | tolerance | |\n"
          "| --- | --: | --: | --: | --: | --- |\n",
          out);
}

static void row(FILE *out, const char *what, double published, double model,
                double tolerance)
{
    const double error = 100.0 * (model / published - 1.0);
    fprintf(out, "| %s | %.3g | %.3g | %+.0f %% | %.0f %% | %s |\n", what, published, model,
            error, tolerance, fabs(error) <= tolerance ? "met" : "**missed**");
}

/* ---- Strict, lazy, passthrough ---------------------------------------------------------
 */

#define BUSY                                                                               \
    "traces/samples/nvme-randread-4k.iovatrace --api streaming --cpus 1 \\\n"              \
    "    --set replay.depth=32 --policy strict,lazy,passthrough"

static double cycles(const json_t *run)
{
    return docs_metric(run, "cpu_cycles_per_io");
}

static void put_ratios(FILE *out, const struct docs *docs)
{
    json_t *runs              = docs_runs(docs, BUSY);
    const json_t *strict      = json_array_get(runs, 0);
    const json_t *lazy        = json_array_get(runs, 1);
    const json_t *off         = json_array_get(runs, 2);
    const double iops_strict  = docs_metric(strict, "iops");
    const double iops_lazy    = docs_metric(lazy, "iops");
    const double iops_off     = docs_metric(off, "iops");
    const double added_strict = cycles(strict) - cycles(off);
    const double added_lazy   = cycles(lazy) - cycles(off);
    fputs("**Strict, lazy, passthrough.** One fast NVMe drive, one submitter "
          "(5.01, 1.93 and\n0.57 million I/Os a second; Linux block list, November 2025); "
          "here\n\n```sh\niovasim replay " BUSY "\n```\n\n",
          out);
    heading(out);
    row(out, "lazy / passthrough", 1.93 / 5.01, iops_lazy / iops_off, 20);
    row(out, "strict / passthrough", 0.57 / 5.01, iops_strict / iops_off, 20);
    row(out, "strict / lazy", 0.57 / 1.93, iops_strict / iops_lazy, 20);
    row(out, "what strict adds by what lazy adds",
        (1 / 0.57 - 1 / 5.01) / (1 / 1.93 - 1 / 5.01), added_strict / added_lazy, 50);
    json_decref(runs);
}

/* ---- Contention ------------------------------------------------------------------------
 */

/* Flushes a us: pages by invalidations for each page. */
static double flushes(double gbps, double for_each_page)
{
    return gbps * 1e9 / 8 / 4096 * for_each_page * 1e-6;
}

static void put_contention(FILE *out)
{
    const struct published_contention one     = published_contend(1, PUBLISHED_WORK_US);
    const struct published_contention two     = published_contend(2, PUBLISHED_WORK_US);
    const struct published_contention eight   = published_contend(8, PUBLISHED_WORK_US);
    const struct published_contention sixteen = published_contend(16, PUBLISHED_WORK_US);
    fputs(
        "\n**One queue, many CPUs.** A receiver in a guest, one flow for each "
        "core, host\nstrict (Fast & Safe repository, October 2025). Here each CPU unmaps "
        "10 pages, flushes, and\nworks for 9.3 us, which is what the single core did; the "
        "other rows are predicted\n(`sim/test/published.c`).\n\n",
        out);
    heading(out);
    row(out, "flushes a us, 1 core (the work was chosen by it)", flushes(47.3, 0.067),
        one.invalidations_per_us, 10);
    row(out, "2 cores", flushes(84.3, 0.080), two.invalidations_per_us, 20);
    row(out, "8 cores", flushes(237.8, 0.104), eight.invalidations_per_us, 20);
    row(out, "16 cores", flushes(25.0, 0.110), sixteen.invalidations_per_us, 20);
    row(out, "time of a submission, 16 by 8 cores", 68872.0 / 8213.0,
        sixteen.submit_us / eight.submit_us, 30);
}

/* ---- Walk caches -----------------------------------------------------------------------
 */

#define WALKS "traces/samples/nvme-randrw-mixed.iovatrace --policy strict,fns"

/* Walks that no pointer to a leaf table was cached for, for each page. */
static double leaf_misses(const json_t *run)
{
    const json_t *w = json_object_get(json_object_get(run, "iommu"), "walkcache");
    return (json_number_value(json_object_get(w, "lookup"))
            - json_number_value(json_object_get(w, "lookup_level0")))
           / docs_metric(run, "pages");
}

static void put_walks(FILE *out, const struct docs *docs)
{
    json_t *runs        = docs_runs(docs, WALKS);
    const double strict = leaf_misses(json_array_get(runs, 0));
    const double fns    = leaf_misses(json_array_get(runs, 1));
    fputs(
        "\n**Walk caches.** Leaf-table pointers that a walk did not find cached, for each "
        "page\n(Fast & Safe, SOSP 2024: 100 Gbit/s receiver, 5 cores); here\n\n```sh\n"
        "iovasim replay " WALKS "\n```\n\n",
        out);
    heading(out);
    row(out, "strict, 5 flows", 0.36, strict, 30);
    fprintf(out, "| contiguous addresses (`fns`) | at most 0.045 | %.2g | | | %s |\n", fns,
            fns <= 0.045 ? "met" : "**missed**");
    json_decref(runs);
}

void docs_put_published(FILE *out, const struct docs *docs)
{
    put_ratios(out, docs);
    put_contention(out);
    put_walks(out, docs);
}
