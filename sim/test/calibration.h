/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibration - the measurements of pcie-bench (SIGCOMM'18) done to the model: a device
 * reads 64 bytes at random places of a window of 4 KiB pages that stays mapped.
 */
#ifndef SIM_TEST_CALIBRATION_H
#define SIM_TEST_CALIBRATION_H

#include <stdint.h>

/* Mean nanoseconds of one translation at a time, and the share of misses. */
double calibration_latency(uint64_t pages, double *misses);

/* Nanoseconds between answers with 32 requests under way. */
double calibration_interval(uint64_t pages);

#endif
