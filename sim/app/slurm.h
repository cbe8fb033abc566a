/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slurm - a sweep's points as tasks of a job array of a Slurm cluster, which shares the
 * folder of the results with the machine that submits.
 *
 * A folder holds lists of points (todo-N) and one result file for each finished one
 * (point-N.json, written beside and renamed, so it is there whole or not at all). A task
 * takes every so-manieth point of its list by its array index. Whatever happens to a task
 * or a node: a point without a file is missing, and is submitted again.
 */
#ifndef SIM_APP_SLURM_H
#define SIM_APP_SLURM_H

#include <stdbool.h>

#include "sim/base/error.h"

enum { SLURM_TASKS_MAX = 1000 }; /* Slurm's MaxArraySize is 1001 unless it is set. */

struct slurm {
    const char *folder, *spec;
    const char *options; /* More for sbatch, or "". */
    unsigned points;
    const bool *done; /* Of each; taken sets it. */
    void *self;
    /* The answer to a point that has come; false, with the error set, stops everything. */
    bool (*taken)(void *self, unsigned point, const char *answer, struct error *error);
    bool (*stop)(void);
};

enum slurm_outcome { SLURM_DONE, SLURM_STOPPED, SLURM_FAILED };

/* Submits, collects, submits again what is missing, until all points are there. */
enum slurm_outcome slurm_run(struct slurm *s, struct error *error);

/* ---- In a task ---- */

/* The points of this task, from the list and SLURM_ARRAY_TASK_ID, without those whose file
 * is there: how many, in point[]. */
bool slurm_task_points(const char *todo, unsigned tasks, const char *folder,
                       unsigned **point, unsigned *points, struct error *error);
bool slurm_task_answer(const char *folder, unsigned point, const char *answer,
                       struct error *error);

#endif
