/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline - one row of a recorded run, as the RTL had it and as the model has it, side by
 * side: cycles, reads, outcome. Lines that differ are marked.
 */
#ifndef SIM_RTL_TIMELINE_H
#define SIM_RTL_TIMELINE_H

#include <stdio.h>

#include "sim/rtl/compare.h"

#ifdef __cplusplus
extern "C" {
#endif

void rtl_timeline(FILE *out, const struct rtl_run *run, const struct rtl_result *result,
                  const struct rtl_row *row);

#ifdef __cplusplus
}
#endif

#endif
