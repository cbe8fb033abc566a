/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibration - published measurements, done to the model.
 *
 * The hardware: pcie-bench (SIGCOMM'18). A device reads 64 bytes at random places of a
 * window of 4 KiB pages that stays mapped. The software: what each owner takes of a CPU to
 * map and unmap one page, one request at a time.
 */
#ifndef SIM_TEST_CALIBRATION_H
#define SIM_TEST_CALIBRATION_H

#include "sim/app/machine.h"

/* Mean nanoseconds of one translation at a time, and the share of misses. */
double calibration_latency(uint64_t pages, double *misses);

/* Nanoseconds between answers with 32 requests under way. */
double calibration_interval(uint64_t pages);

/*
 * Mean CPU cycles of each owner for one I/O of 4 KiB on one CPU under a flush policy, from
 * all of a trace of such I/Os.
 */
void calibration_calls(const char *trace, const char *policy, double cycles[OWNERS]);

#endif
