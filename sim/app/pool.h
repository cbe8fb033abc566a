/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - pieces of work in processes of their own, as many at a time as there are cores.
 *
 * The caller's process hands out pieces by number and takes the answers, in the order in
 * which they are finished. A process that dies, whatever the reason, loses only its piece,
 * which is given to another one; when the caller's process dies, all of them do.
 */
#ifndef SIM_APP_POOL_H
#define SIM_APP_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/error.h"

struct pool {
    unsigned workers; /* 0: as many as there are cores. */
    void *self;

    /* In each process, once, before anything else; NULL: nothing. */
    void (*begin)(void *self);

    /* In a process of its own: the answer to a piece, allocated. */
    char *(*work)(void *self, unsigned piece);

    /* In the caller's: the next piece, false behind the last; and an answer (a string).
     * done returns false, with the error set, to stop everything. */
    bool (*next)(void *self, unsigned *piece);
    bool (*done)(void *self, unsigned piece, const char *answer, struct error *error);

    /* Asked all the time; true stops everything. */
    bool (*stop)(void);
};

enum pool_outcome { POOL_DONE, POOL_STOPPED, POOL_FAILED };

/* FAILED: done returned false, or a piece killed its process three times; error says it. */
enum pool_outcome pool_run(const struct pool *pool, struct error *error);

/* The cores that this process may use. */
unsigned pool_cores(void);

#endif
