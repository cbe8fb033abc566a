/* SPDX-License-Identifier: Apache-2.0 */
/* option - what the options of all commands have in common. */
#ifndef SIM_APP_OPTION_H
#define SIM_APP_OPTION_H

#include <popt.h>
#include <stdbool.h>
#include <stdint.h>

#include "dma_api/flush.h"
#include "sim/app/metric.h"
#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OPTION_NO_MOST ((uint64_t)INT64_MAX) /* What JSON can hold. */

/*
 * The number of an option, decimal or 0x hexadecimal, from least to most; text NULL (not
 * given) leaves *number. False with a line that names the option.
 */
bool option_number(const char *option, const char *text, uint64_t least, uint64_t most,
                   uint64_t *number, struct error *error);

/* An option that popt does not store: its number, and its argument, which is the callee's
 * to keep or to free. False with a line. */
typedef bool option_take(void *self, int option, char *text, struct error *error);

/* Reads all options of a command; those that have a number name no place for their
 * argument. The first mistake ends it: false with its line. */
bool options_read(poptContext context, option_take *take, void *self, struct error *error);

/* Those of a command whose options popt stores all. An exit status; prints its line. */
int options_store(poptContext context);

/* What has this name; NULL with a line that names the nearest. */
const struct flush_policy *option_policy(const char *option, const char *name,
                                         struct error *error);
const struct metric_def *option_metric(const char *name, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
