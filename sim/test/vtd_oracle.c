/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/vtd_oracle.h"

#define ADDRESS UINT64_C(0x000ffffffffff000)

static uint64_t bits(uint64_t x, unsigned high, unsigned low)
{
    return x >> low & ((high - low == 63 ? 0 : UINT64_C(1) << (high - low + 1)) - 1);
}

static uint64_t load(const struct vtd_oracle *o, uint64_t pa)
{
    return memory_read64(o->memory, pa);
}

/* Everything that the tables of contexts and PASIDs say of a request. */
struct setting {
    unsigned fault, pgtt, first_levels, second_levels;
    uint64_t first, second;
    bool supervisor, sre, wpe;
};

/* One walk through one stage. */
struct walked {
    enum { FOUND, ABSENT, MALFORMED } how;
    uint64_t pa, entry;
    unsigned size_lg2;
    bool r, w, u;
    bool second_fault; /* The walk failed in the second stage, below. */
    unsigned fault;
};

/* ---- Contexts --------------------------------------------------------------------------
 */

static struct setting refuse(unsigned fault)
{
    return (struct setting){ .fault = fault };
}

static bool good_second(const struct vtd_oracle *o, uint64_t low)
{
    const unsigned aw = (unsigned)bits(low, 4, 2);
    return aw >= 1 && aw + 2 <= o->second_levels_max;
}

static struct setting read_pasid(const struct vtd_oracle *o, uint64_t at, bool supervisor)
{
    const uint64_t w0 = load(o, at), w1 = load(o, at + 8), w2 = load(o, at + 16);
    const unsigned pgtt = (unsigned)bits(w0, 8, 6), flpm = (unsigned)bits(w2, 3, 2);
    const bool first = pgtt == 1 || pgtt == 3, second = pgtt == 2 || pgtt == 3 || pgtt == 4;
    if (!(w0 & 1))
        return refuse(0x59);
    if (bits(w0, 5, 5) || bits(w0, 11, 9) || w0 >> 52 || bits(w1, 22, 16) || w1 >> 25
        || bits(w2, 1, 1) || bits(w2, 11, 5) || w2 >> 52)
        return refuse(0x5a);
    for (unsigned i = 3; i < 8; i++)
        if (load(o, at + 8 * i))
            return refuse(0x5a);
    if (pgtt == 0 || pgtt > 4 || (pgtt == 3 && !o->nested)
        || (first && flpm + 4 > o->first_levels_max) || (second && !good_second(o, w0)))
        return refuse(0x5b);
    return (struct setting){ .pgtt          = pgtt,
                             .first_levels  = flpm + 4,
                             .second_levels = (unsigned)bits(w0, 4, 2) + 2,
                             .first         = w2 & ADDRESS,
                             .second        = w0 & ADDRESS,
                             .supervisor    = supervisor,
                             .sre           = w2 & 1,
                             .wpe           = w2 >> 4 & 1 };
}

static struct setting read_contexts(const struct vtd_oracle *o,
                                    const struct vtd_question *q)
{
    const unsigned function = q->requester & 0xff;
    const uint64_t root =
        load(o, o->root + 16 * (uint64_t)(q->requester >> 8) + (function > 127 ? 8 : 0));
    if (!(root & 1))
        return refuse(0x39);
    if (bits(root, 11, 1) || root >> 52)
        return refuse(0x3a);
    const uint64_t at = (root & ADDRESS) + 32 * (uint64_t)(function & 127);
    const uint64_t c0 = load(o, at), c1 = load(o, at + 8);
    if (!(c0 & 1))
        return refuse(0x41);
    if (bits(c0, 8, 4) || c0 >> 52 || c1 >> 21 || load(o, at + 16) || load(o, at + 24))
        return refuse(0x42);
    if ((c0 & 4) && !o->device_tlb)
        return refuse(0x43);
    const unsigned width = (unsigned)bits(c0, 11, 9) + 13;
    if (bits(c1, 19, 0) >> width)
        return refuse(0x48);
    if (q->translation && !(c0 & 4))
        return refuse(0x44);
    if (q->has_pasid && !(c0 & 8))
        return refuse(0x45);
    const uint64_t pasid = q->has_pasid ? q->pasid : bits(c1, 19, 0);
    if (pasid >> (width < o->pasid_bits ? width : o->pasid_bits))
        return refuse(0x46);
    const uint64_t dir = load(o, (c0 & ADDRESS) + 8 * (pasid / 64));
    if (!(dir & 1))
        return refuse(0x51);
    if (bits(dir, 11, 2) || dir >> 52)
        return refuse(0x52);
    return read_pasid(o, (dir & ADDRESS) + 64 * (pasid % 64),
                      q->has_pasid ? q->privileged : (c1 >> 20 & 1) != 0);
}

/* ---- Stages ----------------------------------------------------------------------------
 */

static struct walked walk_second(const struct vtd_oracle *o, const struct setting *s,
                                 uint64_t address)
{
    uint64_t table  = s->second;
    struct walked w = { .r = true, .w = true, .u = true };
    if (address >> (12 + 9 * s->second_levels)) {
        w.how = ABSENT;
        return w;
    }
    for (unsigned level = s->second_levels; level-- > 0;) {
        const unsigned shift = 12 + 9 * level;
        const uint64_t e     = load(o, table + 8 * (address >> shift & 511));
        if (!(e & 3)) {
            w.how = ABSENT;
            return w;
        }
        w.r             = w.r && (e & 1);
        w.w             = w.w && (e & 2);
        const bool leaf = level == 0 || (e >> 7 & 1);
        const bool have =
            level == 0 || (level == 1 && o->page_2m) || (level == 2 && o->page_1g);
        if (leaf) {
            w.how =
                have && !(e & ADDRESS & ((UINT64_C(1) << shift) - 1)) ? FOUND : MALFORMED;
            w.size_lg2 = shift;
            w.pa       = (e & ADDRESS) | (address & ((UINT64_C(1) << shift) - 1));
            return w;
        }
        table = e & ADDRESS;
    }
    return w;
}

/* Where a first-stage table is: the same, or what the second stage makes of it. */
static bool place(const struct vtd_oracle *o, const struct setting *s, uint64_t *at,
                  struct walked *out, bool write)
{
    if (s->pgtt != 3)
        return true;
    const struct walked g = walk_second(o, s, *at);
    if (g.how == FOUND && g.r) {
        *at = g.pa;
        return true;
    }
    out->second_fault = true;
    out->how          = ABSENT;
    out->fault = g.how == ABSENT ? 0x79 : g.how == MALFORMED ? 0x7a : write ? 0x85 : 0x86;
    if (g.how == MALFORMED)
        out->how = MALFORMED;
    return false;
}

static struct walked walk_first(const struct vtd_oracle *o, const struct setting *s,
                                uint64_t address, bool write)
{
    uint64_t table  = s->first;
    struct walked w = { .r = true, .w = true, .u = true };
    for (unsigned level = s->first_levels; level-- > 0;) {
        const unsigned shift = 12 + 9 * level;
        uint64_t at          = table + 8 * (address >> shift & 511);
        if (!place(o, s, &at, &w, write))
            return w;
        const uint64_t e = load(o, at);
        if (!(e & 1)) {
            w.how   = ABSENT;
            w.fault = 0x71;
            return w;
        }
        w.w = w.w && (e & 2);
        w.u = w.u && (e & 4);
        if (level == 0 || (e >> 7 & 1)) {
            const bool have = level < 2 || (level == 2 && o->first_1g);
            w.how =
                have && !(e & ADDRESS & ((UINT64_C(1) << shift) - 1)) ? FOUND : MALFORMED;
            w.fault    = 0x72;
            w.size_lg2 = shift;
            w.pa       = (e & ADDRESS) | (address & ((UINT64_C(1) << shift) - 1));
            w.entry    = at;
            return w;
        }
        table = e & ADDRESS;
    }
    return w;
}

/* ---- The answer ------------------------------------------------------------------------
 */

static struct vtd_answer fault(unsigned reason)
{
    return (struct vtd_answer){ .fault = reason };
}

/* No right and no page are no fault to a device that asks. */
static struct vtd_answer none(const struct vtd_question *q, unsigned reason)
{
    return q->translation ? (struct vtd_answer){ .size_lg2 = 12 } : fault(reason);
}

static bool may_write(const struct setting *s, const struct walked *w)
{
    return s->supervisor ? w->w || !s->wpe : w->u && w->w;
}

static struct vtd_answer ask_first(const struct vtd_oracle *o, const struct setting *s,
                                   const struct vtd_question *q)
{
    const unsigned top = 12 + 9 * s->first_levels - 1;
    if (s->supervisor && !s->sre)
        return fault(0x5d);
    if ((int64_t)(q->address << (63 - top)) >> (63 - top) != (int64_t)q->address)
        return fault(0x80);
    struct walked w = walk_first(o, s, q->address, q->write);
    if (w.how == MALFORMED)
        return fault(w.fault);
    if (w.how == ABSENT)
        return none(q, w.fault);
    const bool readable = s->supervisor || w.u, writable = may_write(s, &w);
    if (q->translation ? !readable : q->write ? !writable : !readable)
        return none(q, q->write && !w.w ? 0x85 : 0x81);
    struct vtd_answer a = { .pa       = w.pa,
                            .size_lg2 = w.size_lg2,
                            .r        = readable,
                            .w        = writable && !q->no_write,
                            .leaf     = s->pgtt == 1 ? w.entry : 0 };
    if (s->pgtt == 1)
        return a;
    const struct walked g = walk_second(o, s, w.pa);
    if (g.how == MALFORMED)
        return fault(0x7a);
    if (g.how == ABSENT)
        return none(q, 0x79);
    if (!q->translation && (q->write ? !g.w : !g.r))
        return fault(q->write ? 0x85 : 0x86);
    a.pa       = g.pa;
    a.r        = a.r && g.r;
    a.w        = a.w && g.w;
    a.size_lg2 = a.size_lg2 < g.size_lg2 ? a.size_lg2 : g.size_lg2;
    return a.r || a.w || !q->translation ? a : none(q, 0);
}

static struct vtd_answer ask_second(const struct vtd_oracle *o, const struct setting *s,
                                    const struct vtd_question *q)
{
    if (q->address >> (12 + 9 * s->second_levels))
        return fault(0x83);
    const struct walked g = walk_second(o, s, q->address);
    if (g.how == MALFORMED)
        return fault(0x7a);
    if (g.how == ABSENT)
        return none(q, 0x79);
    const struct vtd_answer a = {
        .pa = g.pa, .size_lg2 = g.size_lg2, .r = g.r, .w = g.w && !q->no_write
    };
    if (q->translation)
        return a.r || a.w ? a : none(q, 0);
    return (q->write ? g.w : g.r) ? a : fault(q->write ? 0x85 : 0x86);
}

struct vtd_answer vtd_oracle_ask(const struct vtd_oracle *o, const struct vtd_question *q)
{
    const struct setting s = read_contexts(o, q);
    if (s.fault)
        return fault(s.fault);
    if (s.pgtt == 4)
        return (struct vtd_answer){
            .pa = q->address, .size_lg2 = 12, .r = true, .w = !q->no_write
        };
    return s.pgtt == 2 ? ask_second(o, &s, q) : ask_first(o, &s, q);
}
