/* SPDX-License-Identifier: Apache-2.0 */
/* listing - the commands that list what there is: for people, or with --json for programs.
 */
#ifndef SIM_APP_LISTING_H
#define SIM_APP_LISTING_H

#include <jansson.h>
#include <stdio.h>

/*
 * Parses [--json] [FILTER] and prints one of the two. text prints for people what matches
 * the filter (NULL: all) and returns how much it was; json returns an array of everything.
 * Returns an exit status.
 */
int listing_run(const char *name, int argc, const char **argv,
                unsigned (*text)(FILE *out, const char *filter), json_t *(*json)(void));

#endif
