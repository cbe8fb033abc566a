/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_file - a YAML document, walked with the line of everything at hand.
 *
 * Each function that returns NULL or false has put one line into the file's error:
 * "PATH:LINE: what was expected, what is there". Lines count from 1.
 */
#ifndef SIM_APP_YAML_FILE_H
#define SIM_APP_YAML_FILE_H

#include <yaml.h>

#include "sim/base/error.h"

struct yaml_file {
    yaml_document_t document;
    const char *path;
    struct error *error;
};

/* One document whose root is a mapping. */
bool yaml_file_open(struct yaml_file *y, const char *path, struct error *error);
void yaml_file_close(struct yaml_file *y);

yaml_node_t *yaml_root(struct yaml_file *y);

/* "PATH:LINE: ..." about the node; false. */
__attribute__((format(printf, 3, 4))) bool
yaml_refuse(struct yaml_file *y, const yaml_node_t *node, const char *format, ...);

/* The index-th pair of a mapping; false behind the last. A mapping's keys are scalars, each
 * there once (yaml_is_map has asked). */
bool yaml_pair(struct yaml_file *y, const yaml_node_t *map, unsigned index,
               const char **key, yaml_node_t **value);

/* The index-th item of a sequence, or the node itself as the only one; NULL behind the
 * last. */
yaml_node_t *yaml_item(struct yaml_file *y, yaml_node_t *list, unsigned index);

bool yaml_is_map(struct yaml_file *y, const yaml_node_t *node, const char *what);
const char *yaml_text(struct yaml_file *y, const yaml_node_t *node, const char *what);

/* A number from least to most; percent: "0.1 %" and "0.1" are the same. */
bool yaml_number(struct yaml_file *y, const yaml_node_t *node, const char *what,
                 double least, double most, bool percent, double *number);

#endif
