/* SPDX-License-Identifier: Apache-2.0 */
/* text - strings that are made to measure. */
#ifndef SIM_APP_TEXT_H
#define SIM_APP_TEXT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Formatted, to be freed. */
__attribute__((format(printf, 1, 2))) char *text_make(const char *format, ...);

/* One word of a shell's command line that means text, to be freed: as it is where that
 * needs no marks, in apostrophes otherwise. */
char *text_shell_word(const char *text);

/* Makes a value at least 0 less than 1000, as far as there are letters, and returns its
 * letter: k, M, G or T for thousands, millions ...; 0: it has none. */
char text_thousands(double *value);

#ifdef __cplusplus
}
#endif

#endif
