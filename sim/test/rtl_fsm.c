/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/rtl_fsm.h"

#include <string.h>

#include "sim/base/check.h"
#include "sim/test/rtl_fsm_walk.h"

/* The reads' arbiter knows two more requesters, which never ask. */
enum { REQUEST_CQ = 2, REQUEST_CDW = 3, REQUEST_PTW = 4, READ_LEAVES = 8 };
enum { WRITE_FQ = 1, WRITE_CQ = 2, WRITE_LEAVES = 4, NOBODY = -1 };

/* ---- Arbiters --------------------------------------------------------------------------
 */

/* Down the tree of requesters; where both halves ask, the bit of rr decides. */
static int arbiter_choice(uint32_t asking, uint32_t rr, uint32_t leaves)
{
    uint32_t first = 0;
    if (asking == 0)
        return NOBODY;
    for (uint32_t half = leaves / 2; half != 0; half /= 2) {
        const uint32_t lower = asking >> first & ((1u << half) - 1);
        const uint32_t upper = asking >> (first + half) & ((1u << half) - 1);
        if (upper != 0 && (lower == 0 || (rr & half) != 0))
            first += half;
    }
    return (int)first;
}

/* The lowest requester above rr, or the lowest of all. */
static uint32_t arbiter_next(uint32_t asking, uint32_t rr)
{
    const uint32_t above = asking & ~((2u << rr) - 1);
    return (uint32_t)__builtin_ctz(above != 0 ? above : asking);
}

/* Who is presented; ready: and accepted. Until then nobody else comes in. */
static int arbiter_clock(struct fsm_arbiter *a, uint32_t asking, bool ready,
                         uint32_t leaves)
{
    const uint32_t set = a->locked ? a->frozen : asking;
    const int choice   = arbiter_choice(set, a->rr, leaves);
    a->frozen          = set;
    a->locked          = choice != NOBODY && !ready;
    if (choice != NOBODY && ready)
        a->rr = arbiter_next(set, a->rr);
    return choice;
}

/* The read that is presented, as f stands. */
static int present_read(struct fsm *f, const struct fsm_in *in, struct fsm_read *read)
{
    const uint32_t asking = (f->cq.state == FSM_CQ_FETCH ? 1u << REQUEST_CQ : 0)
                            | (f->cdw.state == FSM_CDW_MEM_ACCESS ? 1u << REQUEST_CDW : 0)
                            | (f->ptw.state == FSM_PTW_MEM_ACCESS ? 1u << REQUEST_PTW : 0);
    const int choice = arbiter_clock(&f->read_arbiter, asking, in->read_ready, READ_LEAVES);
    read->valid      = choice != NOBODY;
    read->beats      = 1;
    if (choice == REQUEST_CQ) {
        read->id    = FSM_ID_CQ;
        read->pa    = f->cq.pointer;
        read->beats = 2;
    } else if (choice == REQUEST_CDW) {
        read->id    = FSM_ID_CDW;
        read->pa    = f->cdw.pointer;
        read->beats = fsm_cdw_beats(&f->cdw);
    } else if (choice == REQUEST_PTW) {
        read->id = FSM_ID_PTW;
        read->pa = f->ptw.pointer;
    }
    return in->read_ready ? choice : NOBODY;
}

/* The address of a write goes out; its data follow in the order of the addresses. */
static int present_write(struct fsm *f, struct fsm_write *write)
{
    const uint32_t asking = (f->cq.state == FSM_CQ_AW ? 1u << WRITE_CQ : 0)
                            | (f->fq.state == FSM_FQ_AW ? 1u << WRITE_FQ : 0);
    const int choice = arbiter_clock(&f->write_arbiter, asking, true, WRITE_LEAVES);
    write->valid     = choice != NOBODY;
    write->id        = choice == WRITE_CQ ? FSM_ID_WRITE_CQ : FSM_ID_WRITE_FQ;
    write->pa        = choice == WRITE_CQ ? f->cq.pointer : f->fq.pointer;
    write->beats     = choice == WRITE_CQ ? 1 : FSM_RECORD;
    return choice;
}

/* Whose data are on the channel in this clock. */
static int present_datum(const struct fsm *f, struct fsm_out *out)
{
    const bool cq = f->cq.state == FSM_CQ_W, fq = f->fq.state == FSM_FQ_W;
    if (f->write_owners == 0 || !(f->write_owner[0] == WRITE_CQ ? cq : fq))
        return NOBODY;
    const bool command = f->write_owner[0] == WRITE_CQ;
    out->datum_valid   = true;
    out->datum_id      = command ? FSM_ID_WRITE_CQ : FSM_ID_WRITE_FQ;
    out->datum         = command ? f->cq.low >> 32 : f->fq.record.word[f->fq.beat];
    out->datum_last    = command || f->fq.beat + 1 == FSM_RECORD;
    return command ? WRITE_CQ : WRITE_FQ;
}

static void clock_owners(struct fsm *f, int accepted, bool last)
{
    if (last) {
        f->write_owner[0] = f->write_owner[1];
        f->write_owners--;
    }
    if (accepted != NOBODY) {
        CHECK(f->write_owners < 2);
        f->write_owner[f->write_owners++] = (uint32_t)accepted;
    }
}

/* ---- Command queue ---------------------------------------------------------------------
 */

enum { IOTINVAL = 1, IOFENCE = 2, IODIR = 3 };

static bool bit(uint64_t word, unsigned n)
{
    return (word >> n & 1) != 0;
}

static struct fsm_pulse pulse_of(const struct fsm_cq *q)
{
    const uint64_t low = q->low, opcode = low & 0x7f, function = low >> 7 & 7;
    struct fsm_pulse p = { .av     = bit(low, 10),
                           .pscv   = bit(low, 32),
                           .gv     = bit(low, 33),
                           .dv     = bit(low, 33),
                           .vpn    = q->high >> 10 & 0x1fffffff,
                           .gscid  = (uint32_t)(low >> 44 & 0xffff),
                           .pscid  = (uint32_t)(low >> 12 & 0xfffff),
                           .pid    = (uint32_t)(low >> 12 & 0xfffff),
                           .device = (uint32_t)(low >> 40) };
    if (q->state != FSM_CQ_DECODE)
        return p;
    p.vma     = opcode == IOTINVAL && function == 0;
    p.gvma    = opcode == IOTINVAL && function == 1;
    p.context = opcode == IODIR && function == 0;
    p.process = opcode == IODIR && function <= 1;
    p.pv      = opcode == IODIR && function == 1;
    return p;
}

static void cq_decode(struct fsm_cq *q)
{
    const uint64_t opcode = q->low & 0x7f;
    q->state              = FSM_CQ_IDLE;
    if (opcode == IOFENCE && bit(q->low, 10)) {
        q->pointer = (q->high & UINT64_C(0x3fffffffffffffff)) << 2;
        q->state   = FSM_CQ_AW;
    } else if (opcode < IOTINVAL || opcode > IODIR) {
        q->state = FSM_CQ_ERROR;
    }
}

static uint32_t ring_mask(uint64_t base)
{
    return (2u << (base & 0x1f)) - 1;
}

static void cq_register(struct fsm_cq *q, const struct fsm_beat *beat, uint32_t mask)
{
    if (!beat->valid || beat->id != FSM_ID_CQ)
        return;
    *(beat->last ? &q->high : &q->low) = beat->data;
    if (!beat->last)
        return;
    q->head  = (q->head + 1) & mask;
    q->state = FSM_CQ_DECODE;
}

/* sent: its address, or its datum, was accepted in this clock. */
static void cq_clock(struct fsm *f, const struct fsm_in *in, bool granted, bool sent)
{
    struct fsm_cq *q = &f->cq;
    switch (q->state) {
    case FSM_CQ_IDLE:
        if (q->head != q->tail) {
            q->state   = FSM_CQ_FETCH;
            q->pointer = FSM_PPN(f->config.cqb) << 12 | (uint64_t)q->head << 4;
        }
        break;
    case FSM_CQ_FETCH:
        if (granted)
            q->state = FSM_CQ_REGISTER;
        break;
    case FSM_CQ_REGISTER:
        cq_register(q, &in->beat, ring_mask(f->config.cqb));
        break;
    case FSM_CQ_DECODE:
        cq_decode(q);
        break;
    case FSM_CQ_AW:
    case FSM_CQ_W:
        if (sent)
            q->state = q->state == FSM_CQ_AW ? FSM_CQ_W : FSM_CQ_B;
        break;
    case FSM_CQ_B:
        if (in->response_valid && in->response_id == FSM_ID_WRITE_CQ)
            q->state = FSM_CQ_IDLE;
        break;
    case FSM_CQ_ERROR:
        break;
    }
}

/* The register port: a tail written in cycle t shows in t + 2. */
static void tail_clock(struct fsm_cq *q, const struct fsm_in *in)
{
    if (q->tail_delay != 0 && --q->tail_delay == 0)
        q->tail = q->tail_next;
    if (in->tail_valid) {
        CHECK(q->tail_delay == 0);
        q->tail_next  = in->tail;
        q->tail_delay = 1;
    }
}

/* ---- Fault queue -----------------------------------------------------------------------
 */

static struct fsm_fault fault_of(const struct fsm_look *l, uint16_t cause)
{
    const uint64_t type = l->store ? 3 : 2, pv = l->request.has_process;
    struct fsm_fault f = { { 0 } };
    f.word[0]          = cause | type << 34 | pv << 32 | (uint64_t)l->request.device << 40
                | (pv ? (uint64_t)l->request.process << 12 : 0);
    f.word[2] = l->request.iova;
    return f;
}

/* The FIFO falls through: what is pushed into an empty one is seen at once, and if it is
 * popped in the same clock it was never there. */
static void fifo_clock(struct fsm_fq *q, bool push, bool pop, const struct fsm_fault *fault)
{
    if (push && pop && q->count == 0)
        return;
    if (pop && q->count != 0) {
        memmove(&q->fifo[0], &q->fifo[1], sizeof q->fifo - sizeof q->fifo[0]);
        q->count--;
    }
    if (push) {
        CHECK(q->count < FSM_FIFO);
        q->fifo[q->count++] = *fault;
    }
}

static void fq_idle(struct fsm_fq *q, uint64_t fqb, bool push,
                    const struct fsm_fault *fault)
{
    const uint32_t mask = ring_mask(fqb);
    if (!push && q->count == 0)
        return;
    q->record  = q->count != 0 ? q->fifo[0] : *fault;
    q->pointer = FSM_PPN(fqb) << 12 | (uint64_t)q->tail << 5;
    q->state   = ((q->tail + 1) & mask) == q->head ? FSM_FQ_ERROR : FSM_FQ_AW;
}

static void fq_clock(struct fsm *f, const struct fsm_in *in, bool event, bool sent,
                     const struct fsm_fault *fault)
{
    struct fsm_fq *q = &f->fq;
    const bool full  = q->count == FSM_FIFO;
    const bool push = event && !q->edge && !full, pop = q->state == FSM_FQ_B;
    if (q->state == FSM_FQ_IDLE) {
        fq_idle(q, f->config.fqb, push, fault);
    } else if (q->state == FSM_FQ_AW && sent) {
        q->state = FSM_FQ_W;
        q->beat  = 0;
    } else if (q->state == FSM_FQ_W && sent) {
        if (++q->beat == FSM_RECORD)
            q->state = FSM_FQ_B;
    } else if (q->state == FSM_FQ_B && in->response_valid
               && in->response_id == FSM_ID_WRITE_FQ) {
        q->tail  = (q->tail + 1) & ring_mask(f->config.fqb);
        q->state = FSM_FQ_IDLE;
    }
    fifo_clock(q, push, pop, fault);
    q->edge = event;
}

/* ---- Front end -------------------------------------------------------------------------
 */

struct verdict {
    bool valid, error;
    uint16_t cause;
};

static struct verdict verdict_of(const struct fsm_look *look,
                                 const struct fsm_walked *walked,
                                 const struct fsm_context_walked *context)
{
    const struct verdict v = { .valid = look->valid,
                               .error = look->error || context->error || walked->error,
                               .cause = look->error      ? look->cause
                                        : context->error ? context->cause
                                                         : walked->cause };
    return v;
}

static void front_done(const struct fsm_front *front, const struct fsm_look *look,
                       struct fsm_done *done)
{
    if (!front->resume)
        return;
    done->valid   = true;
    done->fault   = front->fault;
    done->channel = look->store ? FSM_AW : FSM_AR;
    done->cause   = front->fault ? front->cause : 0;
    done->pa      = front->fault ? 0 : look->pa;
}

static void front_clock(struct fsm *f, const struct fsm_in *in, const struct verdict *v)
{
    struct fsm_front *front = &f->front;
    const bool full         = f->fq.count == FSM_FIFO;
    if (front->state == FSM_FRONT_IDLE) {
        front->state = in->port[FSM_AR].valid   ? FSM_FRONT_READ
                       : in->port[FSM_AW].valid ? FSM_FRONT_WRITE
                                                : FSM_FRONT_IDLE;
    } else if (front->resume) {
        front->state  = FSM_FRONT_IDLE;
        front->resume = false;
    } else if (v->valid) {
        front->resume = true;
        front->fault  = false;
    } else if (v->error && !full) {
        front->resume = true;
        front->fault  = true;
        front->cause  = v->cause;
    }
}

/* ---- The whole -------------------------------------------------------------------------
 */

static void see(const struct fsm_look *look, struct fsm_out *out)
{
    out->seen = (struct fsm_seen){ .active      = look->active,
                                   .context_hit = look->context != FSM_MISS,
                                   .looked  = look->iotlb_access && (look->s1 || look->s2),
                                   .hit     = look->iotlb != FSM_MISS,
                                   .channel = look->store ? FSM_AW : FSM_AR };
}

static void caches_clock(struct fsm *f, const struct fsm_look *look,
                         const struct fsm_pulse *pulse, const struct fsm_walked *walked,
                         const struct fsm_context_walked *context)
{
    fsm_iotlb_clock(&f->iotlb, pulse, look->iotlb, walked->update ? &walked->entry : NULL);
    fsm_ddtc_clock(&f->ddtc, pulse, look->context,
                   context->update_device ? &context->device : NULL);
    fsm_pdtc_clock(&f->pdtc, pulse, look->page,
                   context->update_process ? &context->process : NULL);
}

static void queues_clock(struct fsm *f, const struct fsm_in *in,
                         const struct fsm_look *look, const struct verdict *v, bool report,
                         int read, struct fsm_out *out)
{
    const int address            = present_write(f, &out->write);
    const int datum              = present_datum(f, out);
    const bool cq_sent           = address == WRITE_CQ || datum == WRITE_CQ;
    const bool fq_sent           = address == WRITE_FQ || datum == WRITE_FQ;
    const struct fsm_fault fault = fault_of(look, v->cause);
    clock_owners(f, address, out->datum_last);
    cq_clock(f, in, read == REQUEST_CQ, cq_sent);
    tail_clock(&f->cq, in);
    fq_clock(f, in, report, fq_sent, &fault);
}

void fsm_clock(struct fsm *f, const struct fsm_in *in, struct fsm_out *out)
{
    struct fsm_look look;
    struct fsm_walked walked;
    struct fsm_context_walked context;
    *out                               = (struct fsm_out){ .flush = false };
    const struct fsm_pulse pulse       = pulse_of(&f->cq);
    const struct fsm_implicit implicit = fsm_cdw_implicit(f, in);
    const bool device_walk             = f->cdw.device_walk;
    fsm_look(f, in, &look);
    see(&look, out);
    front_done(&f->front, &look, &out->done);
    const int read = present_read(f, in, &out->read);
    fsm_ptw_clock(f, in, &look, &implicit, read == REQUEST_PTW, &walked);
    fsm_cdw_clock(f, in, &look, &walked, read == REQUEST_CDW, &context);
    const struct verdict v = verdict_of(&look, &walked, &context);
    const bool report = v.error && (look.report_always || (context.error && device_walk));
    out->flush        = pulse.vma || pulse.gvma || pulse.process;
    out->fill         = walked.update;
    front_clock(f, in, &v);
    queues_clock(f, in, &look, &v, report, read, out);
    caches_clock(f, &look, &pulse, &walked, &context);
}

void fsm_init(struct fsm *f, const struct fsm_config *config)
{
    *f                    = (struct fsm){ .config = *config };
    f->iotlb.tree.entries = config->iotlb_entries;
    f->ddtc.tree.entries  = config->device_entries;
    f->pdtc.tree.entries  = config->process_entries;
    CHECK(config->iotlb_entries <= FSM_ENTRIES_MAX);
    CHECK(config->device_entries <= FSM_ENTRIES_MAX);
    CHECK(config->process_entries <= FSM_ENTRIES_MAX);
}
