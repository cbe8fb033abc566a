/* SPDX-License-Identifier: Apache-2.0 */
/* option - what the options of all commands have in common. */
#ifndef SIM_APP_OPTION_H
#define SIM_APP_OPTION_H

#include <stdbool.h>
#include <stdint.h>

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

#ifdef __cplusplus
}
#endif

#endif
