/* SPDX-License-Identifier: Apache-2.0 */
/* result - the page on the JSON that a replay writes. */
#include <stdlib.h>

#include "sim/app/metric.h"
#include "sim/app/series.h"
#include "sim/docs/docs.h"

static void put_structure(FILE *out)
{
    fputs(
        "`iovasim replay TRACE... --json FILE` writes one JSON object; `--json -` writes "
        "it\n"
        "to standard output and no table. The same command writes the same bytes: on both\n"
        "hosts, with and without running ahead, on every machine. Keys are only added "
        "within\n"
        "a schema version; a reader ignores those that it does not know. The file appears\n"
        "when the last run has ended; a run that fails leaves none. `--format NAME=FILE` "
        "writes\n"
        "formats of other programs, `iovasim suite run` several results into one file "
        "([ci.md](ci.md)).\n\n"
        "| key | type | meaning |\n| --- | --- | --- |\n"
        "| `schema` | string | `iovasim.result/1` |\n"
        "| `tool` | object | `name` and `version` of the program |\n"
        "| `config` | object | every resolved parameter: `preset`, then one object for "
        "each "
        "table of [parameters.md](parameters.md); flush policies have one of their name "
        "|\n"
        "| `configs` | array | only with several presets: one object like `config` for "
        "each "
        "|\n",
        out);
}

static void put_trace(FILE *out)
{
    fputs("| `trace` | object | the (first) trace |\n"
          "| `trace.path` | string | as given on the command line |\n"
          "| `trace.sha256` | string | of the file's bytes as stored |\n"
          "| `trace.format` | string | the importer that reads it (`iovasim formats`) |\n"
          "| `trace.records` | integer | records of it that each run replayed |\n"
          "| `traces` | array | only with several traces: one object like `trace` for each "
          "|\n"
          "| `runs` | array | one object for each preset, policy and API, in that order "
          "|\n\n",
          out);
}

static void put_run(FILE *out)
{
    fputs(
        "## One run\n\n| key of `runs[]` | type | meaning |\n| --- | --- | --- |\n"
        "| `api` | string | `iova`, `streaming` or `sg` |\n"
        "| `policy` | string | a flush policy ([policies.md](policies.md)) |\n"
        "| `promise` | string | what the policy guarantees of pages given back, as the run "
        "was held to it |\n"
        "| `broken` | string | only of a negative control, or under attack of hardware "
        "that is "
        "known for it: how an invariant was first broken |\n"
        "| `leak` | string | the latter: the parameter of the hardware that lets it "
        "|\n"
        "| `preset` | string | the machine before any `--set` |\n"
        "| `seed` | integer | of everything random |\n"
        "| `cpus` | integer | simulated CPUs |\n"
        "| `findings` | integer | what `linux.dma_debug` has found wrong, bring-up and "
        "tear-down included; the exit status is then 4 |\n"
        "| `metrics` | object | see below |\n"
        "| `cpu_breakdown` | object | CPU cycles by owner, see below; they sum to `cpus` "
        "times `sim_time_ns`, in cycles of `cpu.period_ps` |\n"
        "| `cpu_phases` | object | the same cycles by phase, then owner; zeros left out |\n"
        "| `software` | object | counters: `replay`, `driver`, `kernel`, `iova` |\n"
        "| `device` | object | counters: `nvme`, `dma`; with `--attacker`, `attacker` |\n"
        "| `attackers` | array | only with `--attacker`: one object for each hostile "
        "device: "
        "the counters `attacker` of it alone; `victim`, `requester` and, of several hosts, "
        "`host`; `reached`: its accesses that went through by what they reached, as "
        "`hostile_access_*` of `audit`; `late_ns_p50`, `late_ns_max`: how long after the "
        "unmap "
        "those to pages given back went through |\n"
        "| `ends` | object | only with `nvmf.remote`: `host` and `target`, each with "
        "`cpu_breakdown`, `cpu_phases` and its own counters `kernel`, `iova`, `verbs`, "
        "`rdma`, `nvme`, `dma`, `iommu`, `iotlb`, with `--attacker` `attacker` and "
        "`audit`; "
        "the two make up those of the run. "
        "`start` "
        "in each: the same before the replay, from connected queue pairs to a controller "
        "that is ready: `time_ns`, `cpu_breakdown`, `cpu_phases`, `nvmf`, `kernel`, "
        "`iova`, "
        "`verbs` |\n"
        "| `iommu` | object | counters: `iommu`, `iotlb`, `walkcache`, `context`, "
        "`memport`, "
        "`audit`; and `cycles`, see below |\n"
        "| `histograms` | object | distributions, see below |\n"
        "| `series` | object | the replay over time, see below |\n\n"
        "All counters are explained in [statistics.md](statistics.md). Everything in a run "
        "is\n"
        "measured from the moment when all CPUs begin to replay until all have finished;\n"
        "bring-up and tear-down are left out.\n\n",
        out);
}

static void put_metrics(FILE *out)
{
    fputs("## Metrics\n\nEach key of `metrics` is an object: `value` (number), `unit` and\n"
          "`better` (`lower`, `higher` or `none`: a description, not a merit).\n\n"
          "| name | unit | better | meaning |\n| --- | --- | --- | --- |\n",
          out);
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", metric_def[i].name, metric_def[i].unit,
                metric_better_name(metric_def[i].better), metric_def[i].text);
    fputs(
        "\nA latency percentile is read off a histogram and is the upper end of a "
        "bucket, up\n"
        "to 0.8 % above the true value. A look-up that finds its page's walk under way, "
        "and\n"
        "joins it, counts as one that missed. Exposure runs from the end of an unmap "
        "until\n"
        "nothing holds a translation of the page: no IOTLB, no walk that has read its "
        "entry,\n"
        "no transaction on its way to memory; a page that nothing held has none. It is "
        "held\n"
        "exposure until the page's frame may be used for other data, and reuse exposure "
        "from\n"
        "then on; where a policy does not keep pages back, all of it is the latter. A "
        "device\n"
        "can write what software reads in either. Pools are mapped by design and count\n"
        "apart. A refill is a walk for an entry that an invalidation has dropped although "
        "its\n"
        "page was mapped; its stall is what the translations that waited for it lost.\n"
        "Where all records are bare accesses of a device (`gen:window`), `iops` and\n"
        "`throughput_gbps` are of the time that the device was busy, without that in "
        "which\n"
        "software wrote their lists into its registers.\n\n",
        out);
}

static void put_names(FILE *out, const char *heading, const char *text,
                      const char *const *name, const char *const *meaning, unsigned count)
{
    fprintf(out, "## %s\n\n%s\n\n| key | meaning |\n| --- | --- |\n", heading, text);
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "| `%s` | %s |\n", name[i], meaning[i]);
    fputc('\n', out);
}

static void put_histograms(FILE *out)
{
    fputs(
        "## Histograms\n\n| key of `histograms` | unit | of |\n| --- | --- | --- |\n"
        "| `io_latency` | ns | records, first submission to last completion; of bare "
        "accesses, "
        "to the answer |\n"
        "| `dma_read_latency` | ps | the device's reads, submission to data |\n"
        "| `dma_write_latency` | ps | the device's posted writes, submission to credit |\n"
        "| `exposure` | ns | exposed pages, unmap to the end of exposure |\n"
        "| `attack` | ns | with `--attacker`: its accesses to pages given back, unmap to "
        "access |\n\n"
        "Each has `unit`, `count`, `sum`, `min`, `max` and `buckets`: an array of\n"
        "`[first, last, count]`, both ends inclusive, empty ones left out. Buckets are\n"
        "log-linear.\n\n",
        out);
}

static void put_series(FILE *out)
{
    fprintf(
        out,
        "## Over time\n\nUnder `series`: arrays of the same length, at most %d, one "
        "place for each\nwindow of time. `end_ps` is when the window ended, in ps since "
        "the beginning of the\nreplay; it began where the one before ended, the first "
        "at 0. Windows are 1 us long in\na short run; each time there are %d of them, "
        "each two become one and those to come\nare twice as long. The last is shorter. "
        "Looking costs no simulated time.\n\n"
        "| key | unit | in a window | meaning |\n| --- | --- | --- | --- |\n",
        SERIES_MAX, SERIES_MAX);
    for (unsigned i = 0; i < SERIES_COLUMN_COUNT; i++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", series_def[i].name, series_def[i].unit,
                series_def[i].kind == SERIES_sum ? "sum" : "largest", series_def[i].text);
    fputs("\nA column of sums, summed, is the run's counter; the mean length of the "
          "invalidation\nqueue in a window is `queued_cycles` over the IOMMU's cycles in "
          "it.\n\n",
          out);
}

static void put_example(FILE *out, const struct docs *docs)
{
    static const char command[] = "iovasim replay traces/samples/tiny.iovatrace --json - | "
                                  "sed -n '/\"trace\": {/,/\"pages\": {/p'";
    char *text                  = docs_run(docs, command);
    fprintf(out, "## Example\n\n```console\n$ %s\n%s```\n", command, text);
    free(text);
}

void docs_result(FILE *out, const struct docs *docs)
{
    fputs("# The result: schema iovasim.result/1\n\n", out);
    docs_notice(out);
    put_structure(out);
    put_trace(out);
    put_run(out);
    put_metrics(out);
    put_names(out, "Owners of CPU cycles",
              "Under `cpu_breakdown`. Each cycle of each CPU has one owner.",
              cpu_owner_name, cpu_owner_text, OWNERS);
    put_names(out, "Phases", "Under `cpu_phases`. Each cycle also belongs to one phase.",
              cpu_phase_name, cpu_phase_text, PHASES);
    put_names(out, "Where a translation's time goes",
              "Under `iommu.cycles`, in cycles of the IOMMU, summed over all translations.",
              xlate_part_name, xlate_part_text, XLATE_PART_COUNT);
    put_histograms(out);
    put_series(out);
    put_example(out, docs);
}
