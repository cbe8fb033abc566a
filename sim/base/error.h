/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error - one line of text for the user.
 *
 * A function that can fail because of what the user gave it returns bool and takes a
 * struct error last. The text names the file, record or key and says what was expected.
 * Only sim/app prints it and decides the exit status.
 */
#ifndef SIM_BASE_ERROR_H
#define SIM_BASE_ERROR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct error {
    char text[640];
};

/* Fills e with a formatted line and returns false, so that callers can return it. */
__attribute__((format(printf, 2, 3))) bool error_set(struct error *e, const char *format,
                                                     ...);

/* Puts a formatted prefix and ": " before the text that e already holds; returns false. */
__attribute__((format(printf, 2, 3))) bool error_in(struct error *e, const char *format,
                                                    ...);

#ifdef __cplusplus
}
#endif

#endif
