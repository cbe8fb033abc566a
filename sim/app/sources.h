/* SPDX-License-Identifier: Apache-2.0 */
/* sources - the traces that a command replays: files, standard input and generators. */
#ifndef SIM_APP_SOURCES_H
#define SIM_APP_SOURCES_H

#include "sim/app/config.h"
#include "sim/app/tracefile.h"

/*
 * Opens what the user calls path: a file, - or gen:NAME. The parameters of a generator are
 * those of config, which must outlive the reader; format NULL: a file's is recognised.
 */
bool sources_open(struct trace_reader **reader, const char *path, const char *format,
                  const struct config *config, uint64_t seed, struct error *error);

/*
 * What tells this trace from others, in hexadecimal: of a file, or of a generator's name,
 * parameters and seed. Standard input is kept first, so that it can be read again.
 */
bool sources_sha256(const char *path, const struct config *config, uint64_t seed,
                    char sha256[FILE_SHA256_CHARS + 1], struct error *error);

/* As many CPUs as the beginning of the traces names, at most ENGINE_CPUS_MAX. Reads on from
 * where they stand. */
bool sources_cpus(const struct replay_source *source, unsigned sources, unsigned *cpus,
                  struct error *error);

/* Whether the traces are RDMA work, as their first records say; block requests and RDMA
 * work together are refused. Leaves them at their first records. */
bool sources_rdma(const struct replay_source *source, unsigned sources, bool *rdma,
                  struct error *error);

#endif
