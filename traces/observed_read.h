/* SPDX-License-Identifier: Apache-2.0 */
/* observed_read - the forms of recordings that observed_read knows; for it alone. */
#ifndef TRACES_OBSERVED_READ_H
#define TRACES_OBSERVED_READ_H

#include "traces/observed.h"

struct observed_reader;

/* How a recording is written. */
struct observed_form {
    const struct trace_importer *importer;
    const char *not_understood; /* What is said of an event that cannot be parsed. */
    /* One line; false with what is wrong, without the line's number. */
    bool (*line)(struct observed_reader *reader, uint64_t number, const char *text,
                 struct error *error);
    /* The fields of an event; false when they cannot be parsed. */
    bool (*command)(const char *fields, struct observe_command *command);
    bool (*request)(const char *fields, struct observe_request *request);
    bool (*flush)(const char *fields, uint64_t *first, uint64_t *last);
    /* The next number of a list: 1; 0 at its end; -1 when it is none. */
    int (*list_next)(const char **list, uint64_t *value);
};
extern const struct observed_form observed_events, observed_ftrace;

/* What a reader keeps from line to line. */
struct observed_reader {
    const struct observed_form *form;
    struct observed *o;
    uint64_t base_us, last_us; /* Of the compact form: of this section; of the last line. */
    uint64_t lost;             /* Events that the recording says it has lost. */
};

/* What is done with an event; false with what is wrong. */
typedef bool observed_handler(struct observed_reader *reader, const struct observe_line *at,
                              const char *fields, struct error *error);
/* These are of every form. */
observed_handler observed_on_command, observed_on_command_end, observed_on_issue,
    observed_on_complete, observed_on_flush, observed_on_flush_all;

/* A list that is mapped: where its three lists begin. */
struct observed_lists {
    uint32_t device;
    char dir;
    const char *pa, *iova, *bytes;
};
/* The call that maps it; NULL with what is wrong. */
struct observed_call *observed_list(struct observed_reader *reader,
                                    const struct observe_line *at,
                                    const struct observed_lists *lists,
                                    struct error *error);

/* False, with what the form says of an event that cannot be parsed. */
bool observed_bad(const struct observed_reader *reader, struct error *error);

#endif
