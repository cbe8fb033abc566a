/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observed - what a recorded kernel's drivers mapped for each block request, call by call.
 *
 * A recording is text of ftrace (import_ftrace.c) or its compact form (import_events.c). An
 * NVMe driver sets a command up, maps and issues in one thread, so that what is mapped in
 * between is the request's; a driver that issues first maps one list behind it. Every call
 * keeps its line and, when it was seen, that of its unmap.
 *
 * Who has a recording of another kind builds the same with observe_* (sim/app/dmacalls.c).
 *
 * Inaccuracies: a thread of the compact form is a CPU's task, soft or hard interrupt; where
 * one task preempts another one between the map and the issue, the last calls that sum to
 * the request are taken for its own.
 */
#ifndef TRACES_OBSERVED_H
#define TRACES_OBSERVED_H

#include "traces/import.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OBSERVED_NONE UINT32_MAX
enum { OBSERVED_DEVICES_MAX = 64, OBSERVED_LANES_MAX = 512, OBSERVED_COMMANDS_MAX = 8 };

enum observed_kind {
    OBSERVED_single,   /* dma_map_page, dma_map_phys */
    OBSERVED_range,    /* dma_iova_try_alloc and its links */
    OBSERVED_list,     /* dma_map_sg */
    OBSERVED_coherent, /* dma_alloc_*: queues, and the pools of the driver's own lists */
    OBSERVED_KINDS,
};

struct observed_piece {
    uint64_t addr, bytes;
};

struct observed_call {
    enum observed_kind kind;
    char dir;                        /* R, W, B; 0: not recorded. */
    uint64_t line, unmap_line;       /* unmap_line 0: no unmap was seen. */
    uint64_t addr, bytes;            /* The device's address, and what was asked for. */
    uint64_t unmap_bytes;            /* As the unmap says; of a list, its elements. */
    uint64_t value;                  /* What its unmap names: see observe_map. */
    struct observed_piece *piece;    /* Memory: links, or a list's elements, bytes 0. */
    struct observed_piece *out;      /* The device's view of a list. */
    uint32_t pieces, outs, elements; /* elements: as told, also those that are not shown. */
    uint32_t pieces_room, outs_room;
    uint32_t request, next; /* Whose it is, and its next call. */
    uint32_t next_live;     /* While it is built. */
    uint32_t device;        /* OBSERVED_NONE: the call does not name one. */
    bool live;              /* Mapped where the recording is now. */
    bool cleared;           /* The IOMMU was seen to unmap all of it. */
    bool begun;             /* The recording ends between it and its request. */
};

struct observed_request {
    uint64_t line, time_ns, lba;
    uint32_t bytes, cpu, depth; /* depth: as in struct trace_record. */
    uint32_t disk;              /* Of the block layer, in order of appearance. */
    uint32_t device;            /* That its calls name; OBSERVED_NONE: none does. */
    enum trace_op op;
    bool known;           /* Its operation is op. */
    bool command;         /* An NVMe driver set a command up for it ... */
    bool admin;           /* ... in the admin queue. */
    bool completed;       /* Its end is recorded: what is unmapped by then was seen. */
    bool inferred;        /* It was not recorded: made up from its calls. */
    uint32_t first, last; /* Calls; OBSERVED_NONE: none. */
    uint64_t key[2];      /* By which its completion finds it. */
};

struct observed {
    char *path;
    const char *format;
    struct observed_request *request;
    struct observed_call *call;
    uint32_t requests, calls, requests_room, calls_room;
    struct {
        char name[32];
        bool nvme; /* Commands were set up for what it maps. */
    } device[OBSERVED_DEVICES_MAX];
    uint32_t devices, disks, cpus;
    bool has_links;                  /* Calls of the IOVA API were recorded. */
    bool has_unmaps[OBSERVED_KINDS]; /* ... and unmaps of each kind. */
    bool old_maps, new_maps;         /* dma_map_page; dma_map_phys or the IOVA API. */
    uint64_t stray_unmaps;           /* Of what was mapped before the recording. */
    uint64_t cleared;                /* What the IOMMU unmapped and was no range, */
    uint64_t flushed;                /* and of it, what was invalidated at once. */
    bool has_flushes;                /* Invalidations were recorded, of whatever. */
    bool foreign;                    /* It is no such recording, or maps nothing. */
    struct observer *building;       /* NULL when it is read. */
};

/* Reads all of it. False with FILE, line and what is wrong. */
bool observed_read(struct observed *o, const char *path, struct error *error);
void observed_free(struct observed *o);

/* What can be seen of the kernel's mode: devices were given addresses of their memory, or
 * others; and of these, whether unmaps waited for their invalidation. */
enum observed_mode {
    OBSERVED_UNKNOWN,
    OBSERVED_PASSTHROUGH,
    OBSERVED_TRANSLATED, /* Strict or lazy: invalidations were not recorded. */
    OBSERVED_STRICT,
    OBSERVED_LAZY,
};
enum observed_mode observed_mode(const struct observed *o);

/* ---- Building: in the order of the lines. A thread is any number that tells it from
 * others.
 */

void observe_begin(struct observed *o, const char *path, const char *format);
/* A gap in the recording: what is under way there has no end. */
void observe_gap(struct observed *o);

/* All lines have been seen. False (foreign) when there was nothing in them to look at. */
bool observe_end(struct observed *o, struct error *error);

struct observe_line {
    uint64_t line, thread, time_ns;
    uint32_t cpu;
};

/* The device of that name, which may be new; OBSERVED_NONE: there are too many. */
uint32_t observe_device(struct observed *o, const char *name, size_t bytes);

/* An NVMe command is set up; sectors 0: its place is not recorded. */
struct observe_command {
    uint64_t controller, id;
    bool admin;
    uint64_t sector, sectors;
};
bool observe_command(struct observed *o, const struct observe_line *at,
                     const struct observe_command *command, struct error *error);
void observe_command_end(struct observed *o, const struct observe_command *command);

struct observe_request {
    uint64_t disk; /* Any number. */
    enum trace_op op;
    bool known;
    uint64_t sector, bytes;
};
bool observe_issue(struct observed *o, const struct observe_line *at,
                   const struct observe_request *request, struct error *error);
void observe_complete(struct observed *o, const struct observe_request *request);

/*
 * A call that maps; its pieces are added to what is returned, which lasts until the next
 * one is made. value is what its unmap will name: the device's address, of a list its first
 * element's memory, of a range its state. An older one that has the same is over. NULL: too
 * many threads map at once.
 */
struct observed_call *observe_map(struct observed *o, const struct observe_line *at,
                                  enum observed_kind kind, uint32_t device, uint64_t value,
                                  struct error *error);
void observe_piece(struct observed_call *call, uint64_t addr, uint64_t bytes);
void observe_out(struct observed_call *call, uint64_t addr, uint64_t bytes);

/* The range of that state to which a piece is linked at this offset (UINT64_MAX: it is not
 * recorded): the one that was begun for a request that is not issued yet, or a new one. */
struct observed_call *observe_range(struct observed *o, const struct observe_line *at,
                                    uint64_t state, uint64_t offset, struct error *error);

/* What a call unmaps; NULL when it was not seen to be mapped. */
struct observed_call *observe_unmap(struct observed *o, uint64_t line,
                                    enum observed_kind kind, uint32_t device,
                                    uint64_t value, uint64_t bytes);

/* The IOMMU's own event: [addr, addr + bytes) is unmapped. */
void observe_cleared(struct observed *o, uint64_t addr, uint64_t bytes);

/* The IOMMU's caches are told that [first, last] is unmapped: at once where that is what
 * was unmapped just before. */
void observe_flushed(struct observed *o, uint64_t first, uint64_t last);

/* A request of just that call, which is the last one that was made. */
struct observed_request *observe_alone(struct observed *o, const struct observe_line *at,
                                       enum trace_op op);

#ifdef __cplusplus
}
#endif

#endif
