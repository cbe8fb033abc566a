/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec - one experiment as a YAML file says it: a case of a suite, the base or a point of a
 * sweep. The keys are the words of `iovasim replay`:
 *
 *     trace: FILE or a list     relative to the YAML file; or gen:NAME
 *     preset, policy, api: NAME or a list
 *     cpus, limit, seed: N
 *     attacker: on or off
 *     set: { iotlb.sets: 64 }
 */
#ifndef SIM_APP_SPEC_H
#define SIM_APP_SPEC_H

#include "sim/app/experiment.h"
#include "sim/app/yaml_file.h"

struct spec {
    char *preset, *policy, *api, *cpus, *limit, *seed, *attacker; /* NULL: not said. */
    char **set;                                                   /* "key=value" */
    unsigned sets;
    char **trace; /* NULL behind the last. */
    unsigned traces;
};

/* Adds what a key says; *known is false, and nothing done, for another key. */
bool spec_read(struct spec *s, struct yaml_file *y, const char *key, yaml_node_t *value,
               bool *known);

/* One of the words above, or else a parameter; replaces what was said before. */
void spec_assign(struct spec *s, const char *key, const char *value);

void spec_copy(struct spec *to, const struct spec *from);
void spec_free(struct spec *s);

/* Hands it to an experiment, which must not outlive it. */
void spec_apply(const struct spec *s, struct experiment *e);

/* All of it in one line, the same for the same spec; to be freed. */
char *spec_line(const struct spec *s);

/* As the words of `iovasim replay`. */
void spec_put_words(const struct spec *s, FILE *out);

/* A path as the file says it, seen from the folder of the file; to be freed. */
char *spec_path(const char *file, const char *path);

#endif
