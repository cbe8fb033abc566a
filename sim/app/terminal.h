/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal - what a stream that people read can show: colour, lines of so many columns,
 * text that goes on in the next one.
 */
#ifndef SIM_APP_TERMINAL_H
#define SIM_APP_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

enum { TERMINAL_COLUMNS = 80 }; /* Of what is no terminal, and of every wrapped text. */

/* Whether it is a terminal on which a line can be wiped and written again: not TERM=dumb.
 */
bool terminal_moves(FILE *stream);

/* Whether colour is welcome: on such a terminal, unless NO_COLOR is set (no-color.org). */
bool terminal_colours(FILE *stream);

/* The terminal's columns; TERMINAL_COLUMNS where there is none. */
unsigned terminal_columns(FILE *stream);

/*
 * A paragraph: words behind the `used` columns that a line has already, then in lines of
 * their own that begin with `indent` blanks. None is longer than TERMINAL_COLUMNS, unless a
 * single word is. Ends the last line.
 */
void terminal_wrap(FILE *out, unsigned used, unsigned indent, const char *text);

/* The same of a formatted text. */
__attribute__((format(printf, 4, 5))) void
terminal_wrapf(FILE *out, unsigned used, unsigned indent, const char *format, ...);

#endif
