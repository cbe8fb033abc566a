/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_fixture - traces in memory, random records and scratch folders for tests.
 */
#ifndef SIM_TEST_TRACE_FIXTURE_H
#define SIM_TEST_TRACE_FIXTURE_H

#include <stddef.h>

#include "sim/base/rng.h"
#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fixture_bytes {
    uint8_t *data;
    size_t bytes;
};

void fixture_free(struct fixture_bytes bytes);

/* The whole file, with room for one byte more; one that cannot be read ends the program. */
struct fixture_bytes fixture_load(const char *path);
void fixture_save(const char *path, const void *data, size_t bytes);
struct fixture_bytes fixture_gunzip(struct fixture_bytes packed);
struct fixture_bytes fixture_gzip(struct fixture_bytes plain);

/* "SOURCE/traces/samples/NAME", in a static buffer. */
const char *fixture_sample(const char *name);

/* A new empty folder, and a path in it; both last until the test program ends or the
 * folder is removed, with all that is in it. */
struct fixture_folder {
    char path[512];
    char file[640];
};
struct fixture_folder fixture_folder_make(void);
const char *fixture_folder_file(struct fixture_folder *folder, const char *name);
unsigned fixture_folder_count(const struct fixture_folder *folder);
void fixture_folder_remove(const struct fixture_folder *folder);

/* A record within the rules, later than *time_ns, which moves on. Now and then a field
 * takes one of its extreme values. The segments are in a buffer that the next call uses. */
struct trace_record fixture_record(struct rng *rng, uint64_t *time_ns);

/* All records of a trace as one number: equal traces have equal digests. */
uint64_t fixture_digest(uint64_t digest, const struct trace_record *record);

/* Reads a trace in memory to its end: how many records, or -1 with error set. digest may
 * be NULL; format NULL: by content. */
long fixture_read(struct fixture_bytes trace, const char *format, uint64_t *digest,
                  struct error *error);
long fixture_read_file(const char *path, uint64_t *digest, struct error *error);

/* A native trace of random records. */
struct fixture_bytes fixture_native(uint64_t seed, unsigned records, uint64_t *digest);

#ifdef __cplusplus
}
#endif

#endif
