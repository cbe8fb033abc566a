/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

static void write_github(const struct result *result, FILE *out)
{
    report_github(result, METRIC_higher, out);
}

const struct report_format report_github_bigger = {
    .name    = "github-bigger",
    .summary = "github-action-benchmark, tool customBiggerIsBetter",
    .write   = write_github,
};
