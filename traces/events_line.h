/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events_line - one line of a recording in its compact form, *.events.txt, and the fields
 * of the events that its readers use: "time_us cpu+context CODE ...".
 *
 * Pure functions on terminated text; false when it is something else.
 */
#ifndef TRACES_EVENTS_LINE_H
#define TRACES_EVENTS_LINE_H

#include <stddef.h>

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EVENTS_CONTEXTS = 3 };

struct events_line {
    uint64_t time_us;
    uint32_t cpu;
    unsigned context; /* Of a task, of a soft or of a hard interrupt. */
    char code[8];
    const char *fields;
};
bool events_line_split(const char *text, struct events_line *line);

/* N and n: "nvme0 q2 c960 read 47432+8", the latter without the place. */
struct events_command {
    uint64_t controller; /* A hash of its name. */
    uint32_t queue, id;
    uint64_t sector, sectors; /* In the controller's blocks; sectors 0: it has no place. */
};
bool events_parse_command(const char *fields, struct events_command *command);

/* I and C: "259:0 RS 47432+8". */
struct events_request {
    uint64_t device; /* Major and minor. */
    bool known;      /* Its operation is op. */
    enum trace_op op;
    uint64_t sector, sectors;
};
bool events_parse_request(const char *fields, struct events_request *request);

/* DM, DU, CA, CF, each as far as it has them: "0000:00:05.0 R fffbe000 4096 3199000 -". */
struct events_mapping {
    const char *device; /* Not terminated: device_bytes long. */
    size_t device_bytes;
    char dir; /* R, W, B; 0 where there is none. */
    uint64_t iova, bytes, pa;
};
bool events_parse_map(const char *fields, struct events_mapping *mapping);
bool events_parse_unmap(const char *fields, struct events_mapping *mapping);
bool events_parse_coherent(const char *fields, struct events_mapping *mapping);

/* TL, TA, TD: "s0 ffee0000 1000 9d616000 4096 R", "s0 9d612000 131072 1 ffee0000 20000" and
 * "s0 ffee0000 131072 R". */
struct events_range {
    uint32_t state; /* Its name; another range may have it later. */
    uint64_t base, offset, pa, bytes;
    bool good; /* TA: there were addresses. */
};
bool events_parse_link(const char *fields, struct events_range *range);
bool events_parse_try_alloc(const char *fields, struct events_range *range);
bool events_parse_destroy(const char *fields, struct events_range *range);

/* U: "d1 fffbe000 4096". */
bool events_parse_cleared(const char *fields, uint64_t *iova, uint64_t *bytes);

/* FR: "fffbe000 fffbefff 1", first and last address. */
bool events_parse_flush(const char *fields, uint64_t *first, uint64_t *last);

/* DS: "0000:00:1f.2 R addr=fff3f900,.. len=200,.. phys=9d212900,..", lists of hexadecimal
 * numbers; and DV: "0000:00:1f.2 R n=1 first=9d212900". */
struct events_lists {
    const char *device;
    size_t device_bytes;
    char dir;
    const char *iova, *bytes, *pa;
};
bool events_parse_list(const char *fields, struct events_lists *lists);
bool events_parse_list_unmap(const char *fields, struct events_mapping *mapping);

/* The next number of such a list. 1: *value is it; 0: there is none; -1: not a list. */
int events_list_next(const char **list, uint64_t *value);

#ifdef __cplusplus
}
#endif

#endif
