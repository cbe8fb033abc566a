/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_check - the requests of a recorded kernel through our driver program, held against
 * what the kernel mapped for each of them.
 *
 * Of a request are compared: the choice of one mapping, of one range of addresses for all
 * pieces, of a mapping for each piece or of a list; the number and the sizes of the
 * mappings, in order; and the unmaps. Its memory is the recording's.
 */
#ifndef SIM_APP_TRACE_CHECK_H
#define SIM_APP_TRACE_CHECK_H

#include <jansson.h>

#include "sim/app/config.h"
#include "traces/observed.h"

/* clang-format off */
/* How a request was mapped. */
#define MAPPED_WAYS(W)                                                                     \
    W(nothing,   "nothing")                                                                \
    W(single,    "one mapping")                                                            \
    W(coalesced, "one range, coalesced")                                                   \
    W(pieces,    "segment by segment")                                                     \
    W(list,      "a scatter list")                                                         \
    W(several,   "several of these")

/* Why a request is not compared, and why a call is no request's. */
#define CHECK_REASONS(R)                                                                   \
    R(compared,   "")                                                                      \
    R(other,      "of a device that the NVMe driver does not drive")                       \
    R(admin,      "an admin or passthrough command, which is no request for data")        \
    R(part,       "not whole sectors: an admin command's, as the recording has no requests") \
    R(unprobed,   "the recording has no probe of dma_iova_link, so that its calls are not seen") \
    R(cut,        "a list of more elements than the kernel's event shows")                 \
    R(shape,      "a list that no lengths of its elements explain")                        \
    R(address,    "memory at an address that the replay keeps for itself")                 \
    R(coherent,   "coherent memory: queues, and the pools of the driver's own lists")      \
    R(begun,      "the recording ends before its request is issued")                      \
    R(refused,    "a range that was asked for and not to be had")                          \
    R(unclaimed,  "mapped for no recorded request: counted as disagreeing")
/* clang-format on */

#define MAPPED_WAY(name, text)   MAPPED_##name,
#define CHECK_REASON(name, text) CHECK_##name,
enum mapped_way { MAPPED_WAYS(MAPPED_WAY) MAPPED_WAYS_COUNT };
enum check_reason { CHECK_REASONS(CHECK_REASON) CHECK_REASONS_COUNT };
const char *mapped_way_text(enum mapped_way way);
const char *check_reason_name(enum check_reason reason);
const char *check_reason_text(enum check_reason reason);

/* What of a request disagrees first. */
enum check_part { PART_bytes, PART_choice, PART_number, PART_sizes, PART_unmaps, PARTS };
const char *check_part_name(enum check_part part);

struct sizes {
    uint64_t *bytes;
    uint32_t count, room;
};

/* How a request was mapped, by the kernel or by our driver. */
struct mapped {
    enum mapped_way way;
    struct sizes map, unmap; /* Links of a range, outputs of a list; unmap: of a list, its
                              * elements. */
    uint32_t elements;       /* Of a list. */
};

/* Requests of one kind. */
struct check_row {
    enum trace_op op;
    unsigned size; /* check_size_name */
    enum mapped_way way;
    bool given; /* How many segments the block layer counted is not recorded: the choice is
                 * taken from the recording, what follows from it is compared. */
    uint64_t requests, agree;
};
const char *check_size_name(unsigned size); /* Of CHECK_SIZES classes. */

enum { CHECK_SIZES = 7 };
enum { CHECK_ROWS_MAX = 256, CHECK_DIFFERENCES_MAX = 100, CHECK_TEXT_BYTES = 320 };

struct check_difference {
    uint64_t line;
    enum check_part part;
    enum trace_op op;
    uint32_t bytes;
    char recorded[CHECK_TEXT_BYTES], ours[CHECK_TEXT_BYTES];
};

/* Where the release and the mode that a recording is checked with come from. */
enum check_source {
    CHECK_FROM_user,
    CHECK_FROM_name,
    CHECK_FROM_recording,
    CHECK_FROM_assumed
};
const char *check_source_name(enum check_source source);

struct trace_check {
    char settings[128];                   /* As one line. */
    const char *release, *policy, *named; /* named: the mode that the name says, or NULL. */
    enum check_source release_from, policy_from;
    bool translated; /* Devices were given other addresses than their memory's, as seen. */
    struct check_row row[CHECK_ROWS_MAX];
    unsigned rows;
    uint64_t requests, compared, agree, given;
    uint64_t reason[CHECK_REASONS_COUNT];             /* Requests, by reason. */
    uint64_t calls, call_reason[CHECK_REASONS_COUNT]; /* Calls that map. */
    uint64_t no_end;    /* Requests whose end is not recorded: unmaps not compared. */
    uint64_t no_unmaps; /* ... whose kind of unmaps is not recorded: likewise. */
    uint64_t
        probe_lost; /* Ranges whose dma_iova_destroy was not seen, but the IOMMU's unmap. */
    uint64_t pool_pages, our_pool_pages; /* That drives took for lists of the driver's. */
    struct check_difference difference[CHECK_DIFFERENCES_MAX];
    unsigned shown, show;
    bool foreign; /* The file is no such recording, or maps nothing. */
};

/* What the user says of the recorded kernel; NULL: nothing. policy: a mode of Linux's. */
struct check_chosen {
    const char *release, *policy;
};
/* Whether there is a mode of that name. */
bool trace_check_has_mode(const char *name);

/* The least share of agreeing requests, in per cent. */
enum { TRACE_CHECK_LEAST = 99 };
bool trace_check_good(const struct trace_check *check);

/*
 * Reads the recording at path and replays it with a copy of config; what the user has
 * chosen of chosen (NULL: nothing) overrides path and events. show: how many differences
 * are kept. False with one line: the recording cannot be read, or (stopped) Ctrl-C.
 */
bool trace_check_run(struct trace_check *check, const char *path, struct config *config,
                     const struct check_chosen *chosen, struct error *error);

/* ---- The replay: our side ---- */

/* A request as it is fed to the driver; memory is the caller's. */
struct check_feed {
    uint32_t request; /* Of the recording. */
    uint32_t drive;   /* Each has a replay of its own. */
    enum trace_op op;
    uint64_t lba;
    uint32_t bytes, cpu, depth;
    struct trace_segment *segment;
    uint32_t segments;
    struct mapped ours; /* Filled by the replay. */
};

/* Those of one drive, and how. */
struct check_replay {
    struct check_feed *feed;
    uint32_t feeds, drive;
    unsigned cpus;
    enum blk_api api;
    const char *policy;
    uint64_t pool_pages; /* That it took for lists; filled in. */
};
/* False with error, also when it was interrupted. Without requests there is no run. */
bool trace_check_replay(struct check_replay *r, const struct config *config,
                        struct error *error);

void sizes_add(struct sizes *s, uint64_t bytes);
void mapped_free(struct mapped *m);

/* ---- The command ---- */
struct trace_check_call {
    const struct config *config;
    struct check_chosen chosen; /* As in trace_check_run. */
    bool json;
    unsigned show;
};
/* Files, and folders of them; NULL behind the last. Prints everything; an exit status: 1
 * when a recording agrees in less than TRACE_CHECK_LEAST per cent, 2 when one cannot be
 * read. */
int trace_check_command(const struct trace_check_call *call, const char **argument);

/* ---- The report ---- */
void trace_check_print(const struct trace_check *check, const char *path);
json_t *trace_check_json(const struct trace_check *check, const char *path);

#endif
