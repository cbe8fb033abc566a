/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

static void write_github(const struct result *result, FILE *out)
{
    report_github(result, METRIC_lower, out);
}

const struct report_format report_github_smaller = {
    .name    = "github-smaller",
    .summary = "github-action-benchmark, tool customSmallerIsBetter",
    .write   = write_github,
};
