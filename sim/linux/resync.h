/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resync - holds an allocator to a recording: compares each answer and, where a race of the
 * recorded machine is the reason for another one, puts the allocator into the state that
 * the recording shows, so that one race is one row.
 *
 * The races, tried in this order:
 *
 * - interrupt: the call did happen, with this very answer, but some calls of its CPU
 *   earlier than its line says: an interrupt came between the operation and its record.
 *   The smallest distance for which this call and all in between come out as recorded.
 * - late: what the allocator gives is what a later line says: that call happened first, and
 *   its task was interrupted or moved to another CPU before the record. It is served now,
 *   and this call is repeated; a run of such lines is one row. (Only where the lines are
 * the allocator's own, so that those to come are known.)
 * - migration: the address is in a magazine, though not where this CPU would take it: the
 *   call ran on another CPU than its line says, or the order of two releases is not
 *   recorded. It is taken out from where it is; the order of the others stays.
 * - tree: the range is free in the tree, but not the one that the search finds: another
 *   CPU's search came in between. Exactly that range is taken; the next search begins
 *   where this one would have.
 *
 * - unseen: the range is free in the tree and was in a magazine, where what the allocator
 *   was asked between the recorded sections is not recorded: it was allocated and given
 *   back there. Only the first time that the section names it.
 *
 * Where both an interrupt and a late record explain an answer, the one with which more of
 * the CPU's next lines agree is taken.
 *
 * If the recorded address is not free, there is no excuse.
 */
#ifndef SIM_LINUX_RESYNC_H
#define SIM_LINUX_RESYNC_H

#include "dma_api/iova.h"
#include "sim/linux/recording.h"

enum resync_rule {
    RULE_none,
    RULE_interrupt,
    RULE_late,
    RULE_migration,
    RULE_tree,
    RULE_unseen,
    RULES
};
const char *resync_rule_name(enum resync_rule rule);

enum { RESYNC_RELEASED_MAX = 4096 };

struct resync_history;
struct live_range;

struct resync {
    /* What the next allocation is to answer; path 0: not known. */
    bool expects;
    uint64_t pfn;
    char path;
    bool unseen;    /* It may have come into a magazine by what no line shows. */
    bool gap;       /* Something that is not recorded came before its section. */
    bool unmatched; /* The other recording says something else: nothing is excused. */
    uint32_t row;   /* Its number, for those who want to know the order. */

    /* Whether a line to come says this address; it is then the one that is served, and its
     * number goes into row. NULL: what comes is not known. */
    bool (*comes_later)(void *self, uint64_t pfn);
    /* Whether the lines to come agree better when a later line took this address than when
     * the present one happened earlier. */
    bool (*rather_later)(void *self, uint64_t pfn);
    /* Why the tree would give that address and not the recorded one; RULE_none: it is not
     * known. */
    enum resync_rule (*searched)(void *self, uint64_t got);
    void *lines; /* self of all three. */

    /* Called before each range is given back; NULL: nobody asks. */
    void (*releasing)(void *self);
    void *releaser; /* self of it. */

    /* What it answered by itself, and what was done about it. */
    bool outside; /* The call is none of the recorded ones. */
    uint64_t got_pfn, got_granules;
    char got_path; /* 0: nothing was allocated. */
    enum resync_rule rule;
    bool
        forced; /* No rule explains it: the caller got the recorded address all the same. */
    bool served; /* It was the turn of one that waits: the call is to be repeated. */
    uint32_t before_row; /* RULE_interrupt: the first call that it came before. */

    struct rec_range released[RESYNC_RELEASED_MAX];
    uint32_t releases; /* Since resync_begin. */

    struct iova_image before; /* As the allocation under way found things. */
    struct iova_hints hints;
    uint64_t limit;
    unsigned cpus;
    struct resync_history *history; /* By space, size and CPU. */
    struct live_range **live;
    struct resync_space *space;
    unsigned spaces;
};

/* For so many allocators. */
void resync_init(struct resync *s, unsigned spaces, unsigned cpus);
void resync_free(struct resync *s);

/* Stops watching and gives nothing back: the allocators have lost their way. */
void resync_abandon(struct resync *s);

/* Watches the allocator from now on, as number space. */
void resync_watch(struct resync *s, unsigned space, struct iova_domain *d);

/* The call that follows is to allocate pfn, or (expects false) whatever it does. */
void resync_begin(struct resync *s, bool expects, uint64_t pfn, char path);

/* A call that gives back ranges makes way for others in the middle: what it has done so
 * far, and to go on with it. */
struct resync_held {
    struct rec_range *released;
    uint32_t releases, row;
    bool outside;
};
void resync_hold(const struct resync *s, struct resync_held *held);
void resync_go_on(struct resync *s, struct resync_held *held);

/* Whether the address is handed out, and taking note that it is for another reason. */
bool resync_is_live(const struct resync *s, unsigned space, uint64_t pfn);
bool resync_is_outside(const struct resync *s, unsigned space, uint64_t pfn);
/* A recorded call has it now. */
void resync_adopt(struct resync *s, unsigned space, uint64_t pfn);

/* The magazines were changed by other means: what was before cannot be done again. */
void resync_forget(struct resync *s, unsigned space, unsigned order);

/* Stops watching and gives back whatever is still handed out. On a CPU. */
void resync_end(struct resync *s);

#endif
