/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

/* A benchmark's iteration is a record; its times are simulated ones. */
static json_t *benchmark(const struct result_run *run)
{
    const double ios    = result_metric_value(run, "ios");
    const double cycles = result_metric_value(run, "cpu_cycles_per_io");
    const double time   = result_metric_value(run, "sim_time_ns");
    const double period = result_number(run->config, "cpu.period_ps", 0.0);
    json_t *o =
        json_pack("{sssssssisisIsIsfsfss}", "name", run->name, "run_name", run->name,
                  "run_type", "iteration", "repetitions", 1, "repetition_index", 0,
                  "threads", (json_int_t)run->cpus, "iterations", (json_int_t)ios,
                  "real_time", ios > 0.0 ? time / ios : 0.0, "cpu_time",
                  cycles * period / 1000.0, "time_unit", "ns");
    for (unsigned m = 0; m < run->metrics; m++)
        json_object_set_new(o, run->metric[m].name, json_real(run->metric[m].value));
    return o;
}

static void write_google_benchmark(const struct result *result, FILE *out)
{
    const double period = result_number(result->run[0].config, "cpu.period_ps", 0.0);
    json_t *all         = json_array();
    for (unsigned i = 0; i < result->runs; i++)
        json_array_append_new(all, benchmark(&result->run[i]));
    json_t *context =
        json_pack("{sssIsisbsss[]}", "executable", "iovasim", "num_cpus",
                  (json_int_t)result->run[0].cpus, "mhz_per_cpu",
                  period > 0.0 ? (int)(1e6 / period) : 0, "cpu_scaling_enabled", 0,
                  "library_build_type", "release", "caches");
    report_put_json(out, json_pack("{soso}", "context", context, "benchmarks", all));
}

const struct report_format report_google_benchmark = {
    .name    = "google-benchmark",
    .summary = "google-benchmark's JSON, for its compare.py; times are simulated",
    .write   = write_google_benchmark,
};
