/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line - which CPUs hold one cache line, and what touching it costs.
 *
 * Inaccuracies: private caches never run out of space, so a line is lost only when somebody
 * else writes it; there is one socket.
 */
#ifndef SIM_BASE_LINE_H
#define SIM_BASE_LINE_H

#include <stdint.h>

enum line_state {
    LINE_COLD,   /* Nobody touched it yet: it comes from the last-level cache or memory. */
    LINE_SHARED, /* Clean in the caches of the holders. */
    LINE_MODIFIED, /* Dirty in the cache of its one holder. */
    LINE_DEVICE,   /* Written by a device into the last-level cache. */
};

/* All zero is a cold line. */
struct line {
    uint64_t holders; /* Bit i: CPU i holds it. */
    uint8_t state;
};

/* A device or the IOMMU wrote the line: every CPU loses its copy. */
static inline void line_device_wrote(struct line *line)
{
    line->holders = 0;
    line->state   = LINE_DEVICE;
}

#endif
