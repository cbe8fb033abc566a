/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rtl_fsm_walk.h"

enum { BEATS_PROCESS = 2, BEATS_DEVICE = 4 };

#define TC_V    UINT64_C(1)
#define TC_PDTV (UINT64_C(1) << 5)
#define TC_DPE  (UINT64_C(1) << 9)
/* All but V, DTF, PDTV and DPE is reserved or not supported. */
#define TC_WRONG            (~(TC_V | UINT64_C(1) << 4 | TC_PDTV | TC_DPE))
#define TA_WRONG            (~UINT64_C(0xfffff000))
#define PC_TA_WRONG         (~UINT64_C(0xfffff007))
#define TABLE_WRONG(x)      (((x) >> 44 & 0xffff) != 0)
#define DIRECTORY_WRONG     (~(UINT64_C(0xfffffffffff) << 10 | 1))
#define MODE_NOT_SV39(mode) ((mode) != 0 && (mode) != 8)

uint32_t fsm_cdw_beats(const struct fsm_cdw *w)
{
    if (w->level != 1)
        return 1;
    return w->device_walk ? BEATS_DEVICE : BEATS_PROCESS;
}

/* Where in its table a directory entry or context lies. */
static uint64_t device_offset(uint32_t device, uint32_t level)
{
    return level == 3   ? (uint64_t)(device >> 16 & 0xff) << 3
           : level == 2 ? (uint64_t)(device >> 7 & 0x1ff) << 3
                        : (uint64_t)(device & 0x7f) << 5;
}
static uint64_t process_offset(uint32_t process, uint32_t level)
{
    return level == 3   ? (uint64_t)(process >> 17 & 7) << 3
           : level == 2 ? (uint64_t)(process >> 8 & 0x1ff) << 3
                        : (uint64_t)(process & 0xff) << 4;
}

static void clock_idle(struct fsm_cdw *w, const struct fsm_config *config,
                       const struct fsm_look *look)
{
    w->device      = look->request.device;
    w->device_walk = false;
    w->beats       = 0;
    w->wait_last   = false;
    if (look->cdw_starts && !w->edge) {
        w->state       = FSM_CDW_MEM_ACCESS;
        w->device_walk = true;
        w->level       = (uint32_t)(config->ddtp & 0xf) - 1;
        w->pointer     = FSM_PPN(config->ddtp) << 12 | device_offset(w->device, w->level);
    } else if (look->process_access && look->page == FSM_MISS) {
        w->state   = FSM_CDW_MEM_ACCESS; /* On no edge. */
        w->process = look->process;
        w->level   = (uint32_t)FSM_MODE(look->dc.fsc);
        w->pointer = FSM_ROOT(look->dc.fsc) << 12 | process_offset(w->process, w->level);
    }
}

static void fail(struct fsm_cdw *w, uint16_t cause_of_device, bool wait_last)
{
    w->state     = FSM_CDW_ERROR;
    w->cause     = (uint16_t)(cause_of_device + (w->device_walk ? 0 : 8));
    w->wait_last = wait_last;
}

static void descend(struct fsm_cdw *w, uint64_t page)
{
    w->level--;
    w->pointer = page << 12
                 | (w->device_walk ? device_offset(w->device, w->level)
                                   : process_offset(w->process, w->level));
    w->state = FSM_CDW_MEM_ACCESS;
}

static void clock_non_leaf(struct fsm_cdw *w, const struct fsm_beat *beat,
                           const struct fsm_look *look, const struct fsm_walked *ptw)
{
    const bool mine = beat->valid && beat->id == FSM_ID_CDW;
    if (!mine && !ptw->context_done && !ptw->context_flush)
        return;
    if (mine && (beat->data & 1) == 0)
        fail(w, 258, false);
    else if (mine && (beat->data & DIRECTORY_WRONG) != 0)
        fail(w, 259, false);
    else
        descend(w, !w->device_walk && look->s2 ? ptw->page : FSM_PPN(beat->data));
    if (ptw->context_flush)
        w->state = FSM_CDW_IDLE;
}

static bool device_word_wrong(const struct fsm_cdw *w, uint64_t word)
{
    const uint64_t mode = FSM_MODE(word);
    switch (w->beats) {
    case 0:
        return (word & TC_WRONG) != 0 || ((word & TC_DPE) != 0 && (word & TC_PDTV) == 0);
    case 1:
        return MODE_NOT_SV39(mode) || (mode != 0 && (word & 3) != 0);
    case 2:
        return (word & TA_WRONG) != 0;
    default:
        return TABLE_WRONG(word)
               || ((w->word[0] & TC_PDTV) != 0 ? mode > 3 : MODE_NOT_SV39(mode));
    }
}

static bool process_word_wrong(const struct fsm_cdw *w, uint64_t word)
{
    return w->beats == 0 ? (word & PC_TA_WRONG) != 0
                         : TABLE_WRONG(word) || MODE_NOT_SV39(FSM_MODE(word));
}

/* One more word of the context. Errors before its last word wait for that. */
static void take_word(struct fsm_cdw *w, uint64_t word, const struct fsm_look *look)
{
    const bool last = w->beats + 1 == fsm_cdw_beats(w);
    const bool wrong =
        w->device_walk ? device_word_wrong(w, word) : process_word_wrong(w, word);
    w->word[w->beats] = word;
    if (w->beats == 0 && (word & 1) == 0)
        fail(w, 258, !last);
    else if (wrong)
        fail(w, 259, !last);
    else if (w->device_walk && last && look->s2 && (w->word[0] & TC_PDTV) != 0)
        w->state = FSM_CDW_GUEST;
    w->beats++;
}

static void clock_leaf(struct fsm_cdw *w, const struct fsm_beat *beat,
                       const struct fsm_look *look, const struct fsm_walked *ptw,
                       struct fsm_context_walked *walked)
{
    const bool loaded = w->beats == fsm_cdw_beats(w);
    const bool waits =
        w->device_walk && look->s2 && (w->word[0] & TC_PDTV) != 0 && !w->ptw_done;
    if (loaded && !waits) {
        w->state               = FSM_CDW_IDLE;
        walked->update_device  = w->device_walk;
        walked->update_process = !w->device_walk;
    } else if (!loaded && beat->valid && beat->id == FSM_ID_CDW) {
        take_word(w, beat->data, look);
    }
    if (ptw->context_done)
        w->word[3] = (w->word[3] & ~UINT64_C(0xfffffffffff)) | ptw->page;
    if (ptw->context_flush)
        w->state = FSM_CDW_IDLE;
}

static bool guest_word_good(const struct fsm_in *in)
{
    return (in->beat.data & 1) != 0 && (in->beat.data & DIRECTORY_WRONG) == 0;
}

struct fsm_implicit fsm_cdw_implicit(const struct fsm *f, const struct fsm_in *in)
{
    const struct fsm_cdw *w        = &f->cdw;
    const struct fsm_implicit none = { .valid = false };
    if (w->state != FSM_CDW_GUEST)
        return none;
    if (w->device_walk)
        return (struct fsm_implicit){ .valid = true,
                                      .page  = w->word[3] & 0x1fffffff,
                                      .root2 = FSM_ROOT(w->word[1]) };
    if (!in->beat.valid || in->beat.id != FSM_ID_CDW || !guest_word_good(in))
        return none;
    /* The second stage's root is not there during a walk for a process: it is 0. */
    return (struct fsm_implicit){ .valid = true,
                                  .page  = FSM_PPN(in->beat.data) & 0x1fffffff };
}

static void clock_guest(struct fsm_cdw *w, const struct fsm_in *in)
{
    if (w->device_walk) {
        w->state = FSM_CDW_LEAF;
        return;
    }
    if (!in->beat.valid || in->beat.id != FSM_ID_CDW)
        return;
    if ((in->beat.data & 1) == 0)
        fail(w, 258, false);
    else if (!guest_word_good(in))
        fail(w, 259, false);
    else
        w->state = FSM_CDW_NON_LEAF;
}

static void clock_access(struct fsm_cdw *w, const struct fsm_look *look)
{
    if (w->level == 1)
        w->state = FSM_CDW_LEAF;
    else
        w->state = !w->device_walk && look->s2 ? FSM_CDW_GUEST : FSM_CDW_NON_LEAF;
}

static void clock_error(struct fsm_cdw *w, const struct fsm_in *in,
                        struct fsm_context_walked *walked)
{
    if (w->wait_last && !(in->beat.valid && in->beat.last))
        return;
    walked->error = true;
    walked->cause = w->cause;
    w->state      = FSM_CDW_IDLE;
}

static void offer(const struct fsm_cdw *w, struct fsm_context_walked *walked)
{
    walked->device =
        (struct fsm_ddtc_entry){ .valid  = true,
                                 .device = w->device,
                                 .dc = { w->word[0], w->word[1], w->word[2], w->word[3] } };
    walked->process = (struct fsm_pdtc_entry){ .valid   = true,
                                               .device  = w->device,
                                               .process = w->process,
                                               .pc      = { w->word[0], w->word[1] } };
}

void fsm_cdw_clock(struct fsm *f, const struct fsm_in *in, const struct fsm_look *look,
                   const struct fsm_walked *ptw, bool granted,
                   struct fsm_context_walked *walked)
{
    struct fsm_cdw *w = &f->cdw;
    *walked           = (struct fsm_context_walked){ .error = false };
    offer(w, walked);
    switch (w->state) {
    case FSM_CDW_IDLE:
        clock_idle(w, &f->config, look);
        break;
    case FSM_CDW_MEM_ACCESS:
        if (granted)
            clock_access(w, look);
        break;
    case FSM_CDW_NON_LEAF:
        clock_non_leaf(w, &in->beat, look, ptw);
        break;
    case FSM_CDW_LEAF:
        clock_leaf(w, &in->beat, look, ptw, walked);
        break;
    case FSM_CDW_GUEST:
        clock_guest(w, in);
        break;
    case FSM_CDW_ERROR:
        clock_error(w, in, walked);
        break;
    }
    w->ptw_done = ptw->context_done;
    w->edge     = look->cdw_starts;
}
