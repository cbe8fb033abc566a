/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ftrace_line - one line of ftrace text, and the fields of the events that the importer
 * uses.
 *
 * Understands the "trace" file of tracefs with four, five or no flag characters, and the
 * same lines as `trace-cmd report` and `perf script` print them. Pure functions on
 * terminated text; what does not parse is the caller's to judge.
 */
#ifndef TRACES_FTRACE_LINE_H
#define TRACES_FTRACE_LINE_H

#include <stddef.h>

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who speaks: an interrupt's events stand between those of the task it interrupted. */
enum ftrace_context { FTRACE_TASK, FTRACE_SOFTIRQ, FTRACE_HARDIRQ, FTRACE_NMI };

struct ftrace_line {
    uint64_t time_ns;
    uint32_t cpu, pid;
    enum ftrace_context context; /* FTRACE_TASK when the line has no flags. */
    const char *event;           /* Not terminated: event_bytes long. */
    size_t event_bytes;
    const char *fields;
};

/* False when the line is not an event. */
bool ftrace_line_split(const char *text, struct ftrace_line *line);

/* The function that a probe's event is about: fields start with "(function+0x4/0x20)". */
bool ftrace_line_probes(const struct ftrace_line *line, const char *function);
/* The same of a probe at its return: "(caller+0xc0/0x120 <- function)". */
bool ftrace_line_returns(const struct ftrace_line *line, const char *function);

/* nvme_setup_cmd and nvme_complete_rq: which command of which controller. */
struct ftrace_command {
    uint64_t controller; /* A hash of its name. */
    uint32_t queue, id;
    char disk[32]; /* "" for a command that is not about a disk. */
};
bool ftrace_parse_command(const char *fields, struct ftrace_command *command);

/* block_rq_issue and block_rq_complete. */
struct ftrace_request {
    uint32_t major, minor;
    uint64_t sector;
    uint64_t bytes;
    uint64_t sectors;
    bool known; /* Its operation is one of enum trace_op; op says which. */
    enum trace_op op;
};
bool ftrace_parse_request(const char *fields, struct ftrace_request *request);

/* dma_map_phys, dma_map_page, dma_alloc, iommu's map and probes of dma_iova_link, each as
 * far as it has them. */
struct ftrace_mapping {
    uint64_t iova, pa, bytes;
};
bool ftrace_parse_dma_map(const char *fields, struct ftrace_mapping *mapping);
bool ftrace_parse_dma_alloc(const char *fields, struct ftrace_mapping *mapping);
bool ftrace_parse_iommu_map(const char *fields, struct ftrace_mapping *mapping);
bool ftrace_parse_iova_link(const char *fields, struct ftrace_mapping *mapping);

/* dma_unmap_phys, dma_unmap_page; iommu's unmap. The address and the size. */
bool ftrace_parse_dma_unmap(const char *fields, struct ftrace_mapping *mapping);
bool ftrace_parse_iommu_unmap(const char *fields, struct ftrace_mapping *mapping);

/* intel_iommu's cache_tag_flush_range: "dmar0 dmar0[0] type iotlb did 4
 * [0xfff3e000-0xfff3ffff] addr ...", the first and the last address. */
bool ftrace_parse_flush(const char *fields, uint64_t *first, uint64_t *last);

/* Probes of dma_iova_*, as far as they record it: the state that names the range, its
 * address (0: not recorded) and, of dma_iova_destroy, its mapped length. */
bool ftrace_parse_iova_state(const char *fields, uint64_t *state,
                             struct ftrace_mapping *mapping);

/* Where a piece is linked; UINT64_MAX: not recorded. */
uint64_t ftrace_link_offset(const char *fields);

/* The device in front of a dma event's fields; 0: there is none. And R, W or B by its
 * direction, 0: it says none. */
size_t ftrace_device_bytes(const char *fields);
char ftrace_direction(const char *fields);

/* The first element of a list that is unmapped. */
bool ftrace_parse_dma_unmap_sg(const char *fields, uint64_t *pa);

/* dma_map_sg: three lists. The first two have an entry for each piece of the device's view,
 * the third one for each of memory's; the kernel may have cut all three. */
struct ftrace_lists {
    const char *iova, *bytes, *pa;
};
bool ftrace_parse_dma_map_sg(const char *fields, struct ftrace_lists *lists);

/* Of how many elements the list is, also of those that the kernel has cut; 0: not said. */
uint32_t ftrace_list_elements(const char *fields);

/* The next entry of a list. 1: *value is it; 0: there is none; -1: not a list. */
int ftrace_list_next(const char **list, uint64_t *value);

/* Whether the transfer that the fields describe is one that op makes. */
bool ftrace_direction_fits(const char *fields, enum trace_op op);

/* How many events the line says were lost, or 0: "CPU:1 [LOST 12 EVENTS]". */
uint64_t ftrace_lost_events(const char *text);

#ifdef __cplusplus
}
#endif

#endif
