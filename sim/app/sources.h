/* SPDX-License-Identifier: Apache-2.0 */
/* sources - the traces that a command replays: files, standard input and generators. */
#ifndef SIM_APP_SOURCES_H
#define SIM_APP_SOURCES_H

#include "sim/app/config.h"

/*
 * Opens what the user calls path: a file, - or gen:NAME. The parameters of a generator are
 * those of config, which must outlive the reader; format NULL: a file's is recognised.
 */
bool sources_open(struct trace_reader **reader, const char *path, const char *format,
                  const struct config *config, uint64_t seed, struct error *error);

/* What tells the records of a generator: its parameters and the seed, in one line of at
 * most bytes. False: path is no generator. */
bool sources_recipe(const char *path, const struct config *config, uint64_t seed, char *out,
                    size_t bytes);

/* As many CPUs as the beginning of the traces names, at most ENGINE_CPUS_MAX. Reads on from
 * where they stand. */
bool sources_cpus(const struct replay_source *source, unsigned sources, unsigned *cpus,
                  struct error *error);

#endif
