/* SPDX-License-Identifier: Apache-2.0 */
/* observed_read - the kinds of recordings that observed_read knows; for it alone. */
#ifndef TRACES_OBSERVED_READ_H
#define TRACES_OBSERVED_READ_H

#include "traces/observed.h"

/* What a reader keeps from line to line. */
struct observed_reader {
    struct observed *o;
    uint64_t base_us, last_us; /* Of the compact form: of this section; of the last line. */
    uint64_t lost;             /* Events that the recording says it has lost. */
};

/* One line; false with what is wrong, without the line's number. */
bool observed_events_line(struct observed_reader *reader, uint64_t number, const char *text,
                          struct error *error);
bool observed_ftrace_line(struct observed_reader *reader, uint64_t number, const char *text,
                          struct error *error);

#endif
