/* SPDX-License-Identifier: Apache-2.0 */
/* sweep_report - ready questions to a sweep's database. */
#ifndef SIM_APP_SWEEP_REPORT_H
#define SIM_APP_SWEEP_REPORT_H

#include <sqlite3.h>
#include <stdio.h>

#include "sim/base/error.h"

/*
 * The runs that no other run beats in all the metrics of a comma-separated list (better in
 * one and not worse in the others; the directions are the metrics' own), by the first of
 * them, with the values of the axes. False for a metric that is not known or has no
 * direction.
 */
bool sweep_pareto(sqlite3 *db, const char *metrics, FILE *out, struct error *error);

/*
 * For each axis, the share of the metric's variance that its values explain by themselves:
 * the variance of the group means over that of all runs, values in at most SWEEP_GROUPS_MAX
 * groups. The largest share first, with the groups of the least and greatest mean.
 */
enum { SWEEP_GROUPS_MAX = 8 };
bool sweep_sensitivity(sqlite3 *db, const char *metric, FILE *out, struct error *error);

#endif
