/* SPDX-License-Identifier: Apache-2.0 */
/* program - runs the built iovasim as a user would, in an empty folder of its own. */
#ifndef SIM_TEST_PROGRAM_H
#define SIM_TEST_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

struct program_result {
    int status;
    char out[1 << 16], err[1 << 12]; /* Cut when there is more. */
};

/*
 * Runs `iovasim ARGUMENTS` through the shell. In the arguments, @SAMPLE/ stands for
 * traces/samples/ and @/ for the folder, which lasts for one test program.
 */
void program_run(struct program_result *r, const char *arguments);

/* The path of a file in the folder, in a buffer that the next call overwrites. */
const char *program_path(const char *name);

/* The whole file, to be freed by the caller; NULL when there is none. */
char *program_file(const char *path, size_t *bytes);

/* How many files the folder holds whose name contains part. */
unsigned program_files(const char *part);

#endif
