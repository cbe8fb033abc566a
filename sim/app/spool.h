/* SPDX-License-Identifier: Apache-2.0 */
/* spool - standard input that can be read more than once. */
#ifndef SIM_APP_SPOOL_H
#define SIM_APP_SPOOL_H

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * When standard input is no file (a pipe, say), takes all of it into a temporary one, which
 * has no name (in TMPDIR, or /tmp), and makes that the standard input. It is at its start
 * afterwards. False when there is no room, or interrupted.
 */
bool spool_standard_input(struct error *error);

#ifdef __cplusplus
}
#endif

#endif
