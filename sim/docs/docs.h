/* SPDX-License-Identifier: Apache-2.0 */
/* docs - the parts of iovasim_docs: each writes one page. */
#ifndef SIM_DOCS_DOCS_H
#define SIM_DOCS_DOCS_H

#include <jansson.h>
#include <stdio.h>

struct docs {
    const char *root;     /* Of the sources. */
    const char *programs; /* Where iovasim lies. */
};

/* The line that says that a page is generated. */
void docs_notice(FILE *out);

/* The rest of a stream, to be freed. */
char *docs_read_all(FILE *in);

/* What a shell command prints in the root, with iovasim in its path; to be freed. A command
 * that fails ends the program. */
char *docs_run(const struct docs *docs, const char *command);

/* The runs[] of `iovasim replay ARGUMENTS --json -`, to be released with json_decref. */
json_t *docs_runs(const struct docs *docs, const char *arguments);

/* The replay behind the prices of calls: one request of 4 KiB at a time on one CPU. */
#define DOCS_ONE_BY_ONE                                                                    \
    "traces/samples/nvme-randread-4k.iovatrace --api streaming \\\n"                       \
    "    --cpus 1 --set replay.depth=1 --policy strict,lazy,passthrough"

/* CPU cycles for each record: of one owner. */
double docs_owner_per_io(const json_t *run, const char *owner);
double docs_metric(const json_t *run, const char *name);

/*
 * Copies a page. Below each "$ iovasim ..." or "$ ./..." line of a console block
 * stands what the command prints now; between a line that names a part of a source file and
 * the end of it, that part as it is now:
 *
 *     <!-- code FILE FUNCTION... -->
 *     <!-- functions FILE -->
 *     <!-- measured prices -->
 *     <!-- measured published -->
 *     <!-- measured nvme -->
 *     <!-- measured attack -->
 *     <!-- end -->
 */
void docs_renew_examples(FILE *out, const struct docs *docs, const char *page);

/* The definitions of some functions of a file, in a block of code. */
void docs_put_code(FILE *out, const struct docs *docs, const char *file, const char *names);
/* A table of what a header declares, by its headings. */
void docs_put_functions(FILE *out, const struct docs *docs, const char *file);

/* The tables of what mapping costs a CPU, against what is published. */
void docs_put_prices(FILE *out, const struct docs *docs);

/* The tables of published results that nothing was fitted to. */
void docs_put_published(FILE *out, const struct docs *docs);

/* The tables of what each feature of an NVMe drive and its driver changes. */
void docs_put_nvme(FILE *out, const struct docs *docs);

/* The table of what hostile devices beside RDMA NICs reach. */
void docs_put_attack(FILE *out, const struct docs *docs);

void docs_result(FILE *out, const struct docs *docs);
void docs_calibration(FILE *out, const struct docs *docs);
void docs_figure(FILE *out, const struct docs *docs);

#endif
