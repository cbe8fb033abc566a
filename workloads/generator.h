/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generator - the family of synthetic workloads: each makes the records of a trace, one
 * after the other, in constant memory.
 *
 * workloads/gen_X.c defines `const struct generator gen_X` whose name is "X"; the file's
 * name is its registration. Wherever a command takes a trace, gen:X stands for this one:
 *
 *     iovasim replay gen:randread --set gen.block_kib=16 --set gen.requests=50000
 *
 * What all of them share are the parameters gen.*, below; what is one's own has the name
 * that the user typed as its prefix (gen:randrw.read_percent). The same seed and parameters
 * make the same records.
 */
#ifndef WORKLOADS_GENERATOR_H
#define WORKLOADS_GENERATOR_H

#include "sim/base/param.h"
#include "sim/base/rng.h"
#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define GEN_PARAMS(P)                                                                               \
    P(u64, requests,    10000, 1, UINT64_C(1) << 40, ANY, "records", "Records to make",             \
      "a choice of the workload")                                                                   \
    P(u32, cpus,            2, 1,   4096, ANY, "CPUs",    "That issue them in turn",                \
      "a choice of the workload")                                                                   \
    P(u32, depth,          32, 1,   4095, ANY, "requests", "In flight on each CPU",                 \
      "a choice of the workload")                                                                   \
    P(u32, interval_ns,     0, 0, 1000000000, ANY, "ns",  "From one record to the next; 0: all are wanted at once", \
      "a choice of the workload")                                                                   \
    P(u32, block_kib,       4, 1, 1048576, ANY, "KiB",    "Of one request or message",              \
      "a choice of the workload")                                                                   \
    P(u64, span_mib,    65536, 1, UINT64_C(1) << 32, ANY, "MiB", "Of the medium that requests lie in", \
      "a choice of the workload")
/* clang-format on */

struct gen_config {
    GEN_PARAMS(PARAM_FIELD)
};
extern const struct param_table gen_param_table;

/* What a generator works on while it makes records. */
struct gen_stream {
    const struct gen_config *config;
    const void *own; /* Its own parameters; NULL: it has none. */
    uint64_t made;   /* Records before this one. */
    struct rng rng;  /* From the seed and the generator's name. */
    struct trace_segment
        *piece;  /* Room for TRACE_SEGMENTS_MAX: for the record's segments. */
    void *state; /* state_bytes of its own, zeroed at the first record. */
};

struct generator {
    const char *name;                 /* Behind gen: on the command line. */
    const char *summary;              /* One line. */
    const struct param_table *params; /* prefix "gen:NAME"; NULL: none of its own. */
    size_t state_bytes;
    bool turns; /* RDMA: the trace says so (trace_takes_turns). */

    /*
     * The record number s->made. What every record has is there already: time by
     * gen.interval_ns, CPUs in turn, gen.depth, device 0, no latency. It sets op and what
     * op needs, and may change the rest (but time: never earlier than the record before).
     * False: it has come to an end before gen.requests.
     */
    bool (*next)(struct gen_stream *s, struct trace_record *record);

    /* A rule between the parameters; NULL: there is none. */
    bool (*check)(const struct gen_config *config, const void *own, struct error *error);
};

extern const struct generator *const gen_table[];

#define GENERATOR_PREFIX "gen:"

/* Whether a path is meant as a generator: it begins with the prefix. */
bool generator_is(const char *path);

/* The generator that path ("gen:NAME") names; NULL with one line. */
const struct generator *generator_find(const char *path, struct error *error);

/* A reader of its records. The configurations stay the caller's and outlive it. */
bool generator_open(struct trace_reader **reader, const struct generator *generator,
                    const struct gen_config *config, const void *own, uint64_t seed,
                    struct error *error);

/* A request's place on the medium: the nth of as many as fit into gen.span_mib, in sectors,
 * where nth may be larger than that. bytes are a multiple of a sector. */
uint64_t gen_lba(const struct gen_stream *s, uint64_t nth, uint32_t bytes);

/* A place that is as likely as any other. */
uint64_t gen_random_lba(struct gen_stream *s, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
