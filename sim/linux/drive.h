/* SPDX-License-Identifier: Apache-2.0 */
/* drive - performs one recorded call through the public API; for check.c. */
#ifndef SIM_LINUX_DRIVE_H
#define SIM_LINUX_DRIVE_H

#include "sim/linux/machine.h"
#include "sim/linux/plan.h"
#include "sim/linux/resync.h"

struct coherent;

struct drive {
    struct machine machine;
    const struct recording *calls;
    struct resync resync;
    void **state;              /* Of map rows: the list or range, until it is unmapped. */
    struct coherent *coherent; /* Memory that is allocated. */
    bool *flushed;             /* Of timer rows: the first half is done. */
    bool *made_up;             /* Of rows: they gave back what no line before has mapped. */
    bool in_halves;            /* The last timer row's first half was done before. */
    bool after_gap;            /* What was not recorded may show in the next row. */
    uint64_t stand_ins;
    uint64_t addr; /* What the last map returned. */
    struct {
        uint64_t addr, bytes;
    } out[512]; /* Of a list. */
    uint32_t outs;
};

void drive_init(struct drive *d);
void drive_free(struct drive *d);

/* On the row's CPU. */
void drive_call(struct drive *d, uint32_t row);
void drive_flush(struct drive *d, uint32_t row); /* The first half of a timer row. */

/* What the allocator did outside the recorded calls: its row, the space of a device.
 * between: nothing else was recorded then. */
void drive_outside(struct drive *d, const struct row *row, unsigned space, bool between);

#endif
