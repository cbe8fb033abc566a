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
    fprintf(
        out,
        "\n**One queue, many CPUs.** A receiver in a guest, one flow for each "
        "core, host\nstrict (Fast & Safe repository, October 2025). Here each CPU unmaps "
        "10 pages, flushes, and\nworks for %g us, which is what the single core did; the "
        "other rows are predicted\n(`sim/test/published.c`).\n\n",
        PUBLISHED_WORK_US);
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

/* ---- pcie-bench ------------------------------------------------------------------------
 */

#define WINDOW                                                                             \
    "gen:window --set gen.requests=40000 --policy strict --api streaming --cpus 1 \\\n"    \
    "    --set gen:window.kib=%u"

/* Xeon E5-2630 v4, superpages off, host cache warm: Gb/s and mean ns of one at a time. */
static const struct window_point {
    unsigned kib;
    double gbps, ns;
} window_point[] = {
    { 4, 33.1, 415 },    { 16, 33.4, 415 },   { 256, 33.6, 415 },  { 512, 22.9, 440 },
    { 1024, 15.4, 572 }, { 1536, 13.1, 615 }, { 2048, 12.2, 637 }, { 3072, 11.1, 679 },
    { 4096, 10.7, 700 }, { 8192, 10.2, 739 }, { 16384, 9.9, 758 }, { 65536, 9.8, 774 },
};

static double exerciser_stat(const json_t *runs, const char *name)
{
    const json_t *device = json_object_get(json_array_get(runs, 0), "device");
    return json_number_value(json_object_get(json_object_get(device, "exerciser"), name));
}

static void window_name(unsigned kib, char *out, size_t bytes)
{
    if (kib < 1024)
        snprintf(out, bytes, "%u KiB", kib);
    else
        snprintf(out, bytes, "%g MiB", kib / 1024.0);
}

static void window_row(FILE *out, const struct docs *docs, const struct window_point *p)
{
    char arguments[256], alone[320], name[32];
    snprintf(arguments, sizeof arguments, WINDOW, p->kib);
    snprintf(alone, sizeof alone, "%s --set exerciser.inflight=1", arguments);
    window_name(p->kib, name, sizeof name);
    json_t *many = docs_runs(docs, arguments);
    json_t *one  = docs_runs(docs, alone);
    const double gbps =
        exerciser_stat(many, "bytes") * 8e3 / exerciser_stat(many, "busy_ps");
    const double ns =
        exerciser_stat(one, "latency_ps") * 1e-3 / exerciser_stat(one, "access");
    const char *rate = p->kib == 4       ? "fitted with `exerciser.inflight`"
                       : p->kib == 65536 ? "fitted with `walker.walkers`"
                                         : "predicted";
    fprintf(out, "| %s | %.1f | %.1f | %+.0f %% | %s | %.0f | %.0f | %+.0f %% | %s |\n",
            name, p->gbps, gbps, 100.0 * (gbps / p->gbps - 1.0), rate, p->ns, ns,
            100.0 * (ns / p->ns - 1.0),
            p->kib == 4      ? "fitted with `link.latency_ns`"
            : p->kib == 1024 ? "fitted with `walker.start_cycles`"
                             : "predicted");
    json_decref(many);
    json_decref(one);
}

static void put_windows(FILE *out, const struct docs *docs)
{
    fputs("\n**A window at random places.** pcie-bench (SIGCOMM 2018), Xeon E5-2630 v4, "
          "superpages off,\nwarm host cache: reads of 64 bytes, as many as go at once "
          "(Gb/s) and one at a time (mean ns).\nHere, for a window of 4 KiB,\n\n```sh\n"
          "iovasim replay ",
          out);
    fprintf(out, WINDOW, 4u);
    fputs("\n```\n\nand for one at a time the same with `--set exerciser.inflight=1`.\n\n"
          "| window | published, Gb/s | model | error | role | published, ns | model | "
          "error | "
          "role |\n| --- | --: | --: | --: | --- | --: | --: | --: | --- |\n",
          out);
    for (unsigned i = 0; i < sizeof window_point / sizeof window_point[0]; i++)
        window_row(out, docs, &window_point[i]);
}

void docs_put_published(FILE *out, const struct docs *docs)
{
    put_ratios(out, docs);
    put_contention(out);
    put_walks(out, docs);
    put_windows(out, docs);
}
