/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_call - one call of a subcommand of `iovasim trace`, and those that are files of
 * their own.
 */
#ifndef SIM_APP_TRACE_CALL_H
#define SIM_APP_TRACE_CALL_H

#include "sim/app/config.h"
#include "sim/app/trace_edit.h"
#include "traces/export.h"
#include "traces/trace.h"

/* Options that a subcommand takes. */
enum {
    TAKES_FROM  = 1,
    TAKES_JSON  = 2,
    TAKES_LIMIT = 4,
    TAKES_NOTE  = 8,
    TAKES_TO    = 16,
    TAKES_CUT   = 32,
    TAKES_SCALE = 64,
    TAKES_SEED  = 128,
    TAKES_SVG   = 256,
    TAKES_CHECK = 512,
};

/* What its options and arguments said. */
struct trace_call {
    const struct subcommand *sub;
    int json;
    char *limit_text;
    uint64_t limit;
    char *from, *to, *svg;
    char *skip_text, *begin_text, *end_text, *device_text, *cpu_text, *factor_text;
    char *seed_text, *show_text, *policy;
    bool release_set;
    struct config config; /* For generators; for check, of the machine. */
    struct edit_cut cut;
    uint64_t millionths, seed, show;
    const struct trace_exporter *exporter;
    struct trace_about notes; /* --note, in order. */
    const char **file;        /* The arguments, NULL behind the last. */
};

struct subcommand {
    const char *name, *usage, *summary;
    unsigned takes;
    int files_min, files_max;
    int (*run)(const struct trace_call *call);
};

/* Opens one of the arguments. */
bool trace_call_open(const struct trace_call *call, const char *path,
                     struct trace_reader **reader, struct error *error);

/* trace_show.c: numbers of a trace, and its records. An exit status. */
int trace_info(const struct trace_call *call);
int trace_cat(const struct trace_call *call);

/* trace_copy.c: convert, cut, scale and anonymise; and merge. Likewise. */
int trace_convert(const struct trace_call *call);
int trace_merge(const struct trace_call *call);

#endif
