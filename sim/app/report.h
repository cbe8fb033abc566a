/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - the family of file formats that a result is written in, for people and for CI
 * tools: one file each, sim/app/report_X.c, which defines `const struct report_format
 * report_X` whose name is "X" (with dashes for X's underscores).
 *
 * A writer is a pure function of the result: the same bytes for the same result, always. It
 * takes names, units and directions from the result's metrics and knows none of them
 * itself.
 */
#ifndef SIM_APP_REPORT_H
#define SIM_APP_REPORT_H

#include <stdio.h>

#include "sim/app/result.h"

struct report_format {
    const char *name;
    const char *summary; /* One line: what it is, and who reads it. */

    /* What the stream did not take is found by its closing. */
    void (*write)(const struct result *result, FILE *out);
};

extern const struct report_format *const report_table[];

/* NULL with a line that names the formats. */
const struct report_format *report_find(const char *name, struct error *error);

/* ---- Files asked for on the command line ---- */

enum { REPORT_FILES_MAX = 16 };

/* "NAME=FILE" each. */
struct report_files {
    struct {
        const struct report_format *format;
        char *path;
    } file[REPORT_FILES_MAX];
    unsigned files;
};

/* Finds out, too, whether the file can be written: before the work, not after it. */
bool report_files_add(struct report_files *files, const char *assignment,
                      struct error *error);
bool report_files_write(const struct report_files *files, const struct result *result,
                        struct error *error);
bool report_files_to_stdout(const struct report_files *files);
void report_files_free(struct report_files *files);

/* Rows of popt for --json FILE, --html FILE and --format NAME=FILE. */
enum report_option { REPORT_OPTION_JSON = 0x100, REPORT_OPTION_HTML, REPORT_OPTION_FORMAT };
#define REPORT_FILES_OPTIONS                                                               \
    { "json",                                                                              \
      0,                                                                                   \
      POPT_ARG_STRING,                                                                     \
      NULL,                                                                                \
      REPORT_OPTION_JSON,                                                                  \
      "Write the result there; - is standard output",                                      \
      "FILE" },                                                                            \
        { "html",                                                                          \
          0,                                                                               \
          POPT_ARG_STRING,                                                                 \
          NULL,                                                                            \
          REPORT_OPTION_HTML,                                                              \
          "Write a page with charts there",                                                \
          "FILE" },                                                                        \
    {                                                                                      \
        "format", 0, POPT_ARG_STRING, NULL, REPORT_OPTION_FORMAT,                          \
            "Write a report there (`iovasim export` lists them)", "NAME=FILE"              \
    }

/* What one of these options asks for, added to self, the report_files; an option_take. */
bool report_files_take(void *self, int option, char *text, struct error *error);

/* One file; "-" is standard output. */
bool report_write(const struct report_format *format, const struct result *result,
                  const char *path, struct error *error);

/* ---- What writers share ---- */

/* The names of all runs' metrics, each once, in order, NULL behind the last (to be freed).
 */
const char **report_metric_names(const struct result *result);

/* An array for customSmallerIsBetter or customBiggerIsBetter of github-action-benchmark. */
void report_github(const struct result *result, enum metric_better better, FILE *out);

/* A field of CSV (RFC 4180). */
void report_csv_text(FILE *out, const char *text);

/* JSON with an end of line. Takes over the value. */
void report_put_json(FILE *out, json_t *value);

#endif
