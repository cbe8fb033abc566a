/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's own TLB between a device and a root complex that the test plays: to the
 * picosecond in single cases, and with everything random against what the rules of ATS say
 * of each message.
 */
#include "iommu_model/atc.h"

#include <string.h>

#include "iommu_model/space.h"
#include "sim/base/rng.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, SPACES = 4, PAGES = 16, GENERATIONS = 512, PORT_ROOM = 64 };
enum { LOOKUP_PS = 4000, ANSWER_PS = 8000, SENT_MAX = 512 };

/* ---- The root complex, and what it knows of translations
 * ---------------------------------------------------------------------------------------
 */

/* A translation says by its address whose it is: no two have the same. */
static uint64_t pa_of(unsigned space, unsigned page, unsigned generation)
{
    return ((uint64_t)generation * SPACES * PAGES + space * PAGES + page + 1) << 12;
}

/* What the device may ask for: without PASID, PASID 5, the same with privileges, PASID 6.
 */
static const struct {
    bool has_pasid, privileged;
    uint32_t pasid;
} space_is[SPACES] = {
    { false, false, 0 }, { true, false, 5 }, { true, true, 5 }, { true, false, 6 }
};

struct page_state {
    unsigned generation;         /* Now. */
    uint8_t rights[GENERATIONS]; /* Of each. */
    int dead;                    /* The last that the device has said it forgot. */
    sim_time_t denied[2];        /* The last answer without the right. */
};

struct message {
    struct port_request request;
    struct port_response answer;
    sim_time_t arrives; /* Back at the device. */
};

struct sent_invalidation {
    bool in_use, arrived;
    struct port_invalidation message;
    sim_time_t arrives;
    int upto[SPACES][PAGES]; /* The generations that are to be forgotten; -1: none. */
};

static struct root {
    struct port port;
    struct page_state page[SPACES][PAGES];
    struct message message[SENT_MAX];
    unsigned messages;
    struct sent_invalidation invalidation[ATS_ITAGS];
    unsigned room; /* Requests of each kind that it takes at most before it says no. */
    struct rng rng;
    sim_time_t now;
    unsigned flight_ns; /* An answer takes so long at most; 0: until the test says so. */
    unsigned translated, translations, answers, refusals;
    unsigned stale, wrong, disorder, early;
    unsigned latest; /* The last submitted of those passed on. */
} root;

static struct engine engine;
static struct atc atc;
static sim_time_t device_due;

/* What the device has submitted, by its tag. */
static struct submitted {
    struct port_request request;
    unsigned space;
    bool passed, over;
    bool lacked; /* There was no right when it came. */
    sim_time_t at;
} work[1 << 16];
static unsigned submissions, responses, faults;

static bool root_ready(void *self, enum port_kind kind)
{
    (void)self;
    (void)kind;
    if (root.messages < root.room)
        return true;
    root.refusals++;
    return false;
}

static bool reads_go_by(const struct sent_invalidation *v)
{
    for (unsigned i = 0; i < root.messages; i++) {
        const struct port_request *q = &root.message[i].request;
        if (q->type != PORT_TRANSLATED || q->kind != PORT_READ)
            continue;
        const uint64_t id    = (q->iova >> 12) - 1;
        const unsigned space = id / PAGES % SPACES, page = id % PAGES;
        if ((int)(id / PAGES / SPACES) <= v->upto[space][page])
            return true;
    }
    return false;
}

static void invalidated(const struct port_request *q)
{
    const unsigned tag          = (unsigned)__builtin_ctz(q->itags);
    struct sent_invalidation *v = &root.invalidation[tag];
    root.wrong += q->itags != UINT32_C(1) << tag || q->completions != 1 || !v->arrived;
    root.early += reads_go_by(v);
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned p = 0; p < PAGES; p++)
            if (v->upto[s][p] > root.page[s][p].dead)
                root.page[s][p].dead = v->upto[s][p];
    v->in_use = false;
    root.answers++;
}

static void translated(const struct port_request *q)
{
    struct submitted *w            = &work[q->flow];
    const uint64_t id              = (q->iova >> 12) - 1;
    const unsigned generation      = (unsigned)(id / PAGES / SPACES);
    const unsigned page            = id % PAGES;
    const struct page_state *state = &root.page[w->space][page];
    root.translated++;
    root.wrong +=
        w->passed || w->over || q->kind != w->request.kind || q->bytes != w->request.bytes
        || id / PAGES % SPACES != w->space || page != w->request.iova >> 12 || q->has_pasid
        || q->privileged || (q->iova & 0xfff) != (w->request.iova & 0xfff)
        || !(state->rights[generation] & (q->kind == PORT_READ ? ATS_READ : ATS_WRITE));
    root.stale += (int)generation <= state->dead;
    w->passed = true;
    root.disorder +=
        q->kind == PORT_WRITE && q->flow < root.latest; /* Passed by that one. */
    root.latest = q->flow > root.latest ? q->flow : root.latest;
}

static unsigned space_of_request(const struct port_request *q)
{
    for (unsigned s = 0; s < SPACES; s++)
        if (space_is[s].has_pasid == q->has_pasid && space_is[s].pasid == q->pasid
            && space_is[s].privileged == q->privileged)
            return s;
    CHECK(false);
    return 0;
}

static uint64_t translate(const struct port_request *q)
{
    const unsigned space = space_of_request(q), page = (unsigned)(q->iova >> 12);
    struct page_state *s = &root.page[space][page];
    const uint8_t has    = s->rights[s->generation];
    root.translations++;
    if (!(has & ATS_READ))
        s->denied[PORT_READ] = root.now;
    if (!(has & ATS_WRITE))
        s->denied[PORT_WRITE] = root.now;
    const uint8_t rights = q->no_write ? has & ATS_READ : has;
    return ats_entry(pa_of(space, page, s->generation), 12, rights);
}

static void root_submit(void *self, const struct port_request *q, sim_time_t now)
{
    struct message *m = &root.message[root.messages];
    (void)self;
    CHECK(root.messages < SENT_MAX);
    *m = (struct message){ .request = *q,
                           .answer  = { .tag = q->tag, .kind = q->kind, .submitted = now },
                           .arrives = TIME_NEVER };
    if (q->type == PORT_INVALIDATED)
        invalidated(q);
    if (q->type == PORT_TRANSLATED)
        translated(q);
    if (q->type == PORT_TRANSLATION)
        m->answer.entry = translate(q);
    if (root.flight_ns > 0)
        m->arrives = now + (1 + rng_below(&root.rng, root.flight_ns)) * TIME_NS;
    root.messages++;
}

/* Requests are answered in any order. */
static bool root_take(void *self, struct port_response *r, sim_time_t now)
{
    (void)self;
    for (unsigned i = 0; i < root.messages; i++)
        if (root.message[i].arrives <= now) {
            *r              = root.message[i].answer;
            root.message[i] = root.message[--root.messages];
            return true;
        }
    return false;
}

static bool root_take_invalidation(void *self, struct port_invalidation *i, sim_time_t now)
{
    (void)self;
    for (unsigned tag = 0; tag < ATS_ITAGS; tag++) {
        struct sent_invalidation *v = &root.invalidation[tag];
        if (v->in_use && !v->arrived && v->arrives <= now) {
            v->arrived = true;
            *i         = v->message;
            return true;
        }
    }
    return false;
}

static const struct port_ops root_ops = { root_ready, root_submit, root_take,
                                          root_take_invalidation };

/* ---- Driving it
 * ------------------------------------------------------------------------------- */

static void start(const struct atc_config *config, uint64_t seed)
{
    memset(&root, 0, sizeof root);
    memset(work, 0, sizeof work);
    submissions = responses = faults = 0;
    root.port.ops                    = &root_ops;
    root.room                        = PORT_ROOM;
    root.rng                         = rng_make(seed, "root");
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned p = 0; p < PAGES; p++) {
            root.page[s][p].dead      = -1;
            root.page[s][p].rights[0] = ATS_READ | ATS_WRITE;
        }
    engine_init(&engine, NULL, false);
    device_due = TIME_NEVER;
    atc_init(&atc, &engine, config, DEVICE, &root.port, seed);
    atc_port(&atc)->device_due = &device_due;
}

static struct atc_config defaults(void)
{
    struct atc_config c;
    param_reset(&atc_param_table, &c);
    c.lookup_ns = LOOKUP_PS / TIME_NS;
    c.answer_ns = ANSWER_PS / TIME_NS;
    return c;
}

static void stop(void)
{
    atc_free(&atc);
    engine_free(&engine);
}

/* The root complex says when there is something to take. */
static sim_time_t next_step(void)
{
    sim_time_t due = *atc.due;
    for (unsigned i = 0; i < root.messages; i++)
        due = time_min(due, root.message[i].arrives);
    for (unsigned i = 0; i < ATS_ITAGS; i++)
        if (root.invalidation[i].in_use && !root.invalidation[i].arrived)
            due = time_min(due, root.invalidation[i].arrives);
    return due;
}

static void run_to(sim_time_t end)
{
    for (sim_time_t due = next_step(); due <= end; due = next_step()) {
        root.now = time_max(root.now, due);
        engine.block[0].step(engine.block[0].self, root.now);
    }
    root.now = end;
}

static void submit(unsigned space, enum port_kind kind, unsigned page)
{
    const struct port_request q = { .iova       = (uint64_t)page << 12 | 0x40,
                                    .bytes      = 64,
                                    .tag        = submissions,
                                    .flow       = submissions,
                                    .requester  = DEVICE,
                                    .kind       = (uint8_t)kind,
                                    .has_pasid  = space_is[space].has_pasid,
                                    .privileged = space_is[space].privileged,
                                    .pasid      = space_is[space].pasid };
    const struct page_state *p  = &root.page[space][page];
    const uint8_t right         = kind == PORT_READ ? ATS_READ : ATS_WRITE;
    work[submissions]           = (struct submitted){ .request = q,
                                                      .space   = space,
                                                      .at      = root.now,
                                                      .lacked = !(p->rights[p->generation] & right) };
    submissions++;
    port_submit(atc_port(&atc), &q, root.now);
}

static void take_responses(void)
{
    struct port_response r;
    while (port_take(atc_port(&atc), &r, root.now)) {
        struct submitted *w = &work[r.tag];
        const unsigned page = (unsigned)(w->request.iova >> 12);
        root.wrong += w->over || r.kind != w->request.kind;
        root.wrong += (r.status == PORT_OK) != w->passed;
        root.wrong += r.status == PORT_FAULT && !w->lacked
                      && root.page[w->space][page].denied[w->request.kind] < w->at;
        faults += r.status == PORT_FAULT;
        w->over = true;
        responses++;
    }
}

/* Software changes the translation of these pages in all spaces that the message names. */
static void revoke(unsigned tag, unsigned space, unsigned first, unsigned last, bool global,
                   sim_time_t arrives)
{
    struct sent_invalidation *v = &root.invalidation[tag];
    *v                          = (struct sent_invalidation){ .in_use  = true,
                                                              .message = { .first = (uint64_t)first << 12,
                                                                           .last  = ((uint64_t)last << 12) | 0xfff,
                                                                           .pasid = space_is[space].pasid,
                                                                           .requester = DEVICE,
                                                                           .itag      = (uint8_t)tag,
                                                                           .has_pasid = space_is[space].has_pasid,
                                                                           .global    = global },
                                                              .arrives = arrives };
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned p = 0; p < PAGES; p++) {
            struct page_state *state = &root.page[s][p];
            const bool meant         = global ? space_is[s].has_pasid
                                              : space_is[s].has_pasid == space_is[space].has_pasid
                                            && space_is[s].pasid == space_is[space].pasid;
            v->upto[s][p]            = -1;
            if (!meant || p < first || p > last || state->generation + 1 == GENERATIONS)
                continue;
            v->upto[s][p] = (int)state->generation++;
            state->rights[state->generation] =
                rng_below(&root.rng, 8) == 0 ? (uint8_t)rng_below(&root.rng, 4) : 3;
        }
}

/* ---- To the picosecond
 * ------------------------------------------------------------------------ */

/* The only message under way is answered now. */
static void answer_message(void)
{
    REQUIRE(root.messages == 1);
    root.message[0].arrives = root.now;
    run_to(root.now);
    take_responses();
}

TEST_CASE(atc, a_miss_asks_after_the_look_up_and_a_hit_goes_by_its_translation)
{
    const struct atc_config config = defaults();
    start(&config, 1);
    root.now = 1000;
    submit(0, PORT_READ, 3);
    run_to(1000 + LOOKUP_PS - 1);
    EXPECT_EQUAL(root.translations, 0);
    run_to(1000 + LOOKUP_PS);
    EXPECT_EQUAL(root.translations, 1);
    EXPECT_EQUAL(root.translated, 0);
    run_to(50000);
    answer_message();
    EXPECT_EQUAL(root.translated, 1); /* With the answer. */
    answer_message();
    EXPECT_EQUAL(responses, 1);
    submit(0, PORT_WRITE, 3);
    run_to(50000 + LOOKUP_PS - 1);
    EXPECT_EQUAL(root.translated, 1);
    run_to(50000 + LOOKUP_PS);
    EXPECT_EQUAL(root.translated, 2);
    EXPECT_EQUAL(root.translations, 1);
    answer_message();
    EXPECT_EQUAL(root.wrong + root.stale + root.disorder, 0);
    EXPECT_EQUAL(atc_stats(&atc).lookup_hit, 1);
    EXPECT(atc_idle(&atc));
    stop();
}

TEST_CASE(atc, an_invalidation_is_answered_when_the_last_read_that_went_by_it_is_back)
{
    const struct atc_config config = defaults();
    start(&config, 1);
    submit(1, PORT_READ, 3);
    run_to(LOOKUP_PS);
    answer_message(); /* Its translation. */
    revoke(7, 1, 0, 8, false, 20000);
    run_to(90000);
    EXPECT_EQUAL(root.answers, 0);
    root.message[0].arrives = root.now;
    run_to(90000 + ANSWER_PS - 1);
    EXPECT_EQUAL(root.answers, 0);
    run_to(90000 + ANSWER_PS);
    EXPECT_EQUAL(root.answers, 1);
    EXPECT_EQUAL(root.early, 0);
    EXPECT_EQUAL(atc_stats(&atc).invalidation_waited, 1);
    stop();
}

/* PASID 5 with privileges is mapped elsewhere. */
TEST_CASE(atc, what_a_privileged_request_brought_serves_no_other)
{
    const struct atc_config config = defaults();
    start(&config, 1);
    for (unsigned space = 1; space <= 2; space++) {
        submit(space, PORT_READ, 3);
        run_to(root.now + LOOKUP_PS);
        EXPECT_EQUAL(root.translations, space);
        answer_message();
        answer_message();
    }
    for (unsigned space = 1; space <= 2; space++) {
        submit(space, PORT_READ, 3);
        run_to(root.now + LOOKUP_PS);
        EXPECT_EQUAL(root.translations, 2);
        answer_message();
    }
    EXPECT_EQUAL(responses, 4);
    EXPECT_EQUAL(root.wrong, 0);
    revoke(0, 1, 3, 3, false, root.now); /* Of the PASID: of both. */
    run_to(root.now);
    EXPECT_EQUAL(atc_stats(&atc).entry_invalidated, 2);
    stop();
}

/* Nobody tells the device of a page that is new. */
TEST_CASE(atc, who_came_after_a_request_that_brings_nothing_asks_himself)
{
    const struct atc_config config = defaults();
    start(&config, 1);
    root.page[0][3].rights[0] = 0;
    submit(0, PORT_READ, 3);
    run_to(LOOKUP_PS);
    EXPECT_EQUAL(root.translations, 1);
    root.page[0][3].rights[0] = ATS_READ | ATS_WRITE;
    run_to(LOOKUP_PS + 1);
    submit(0, PORT_READ, 3);
    run_to(50000);
    EXPECT_EQUAL(root.translations, 1); /* It has joined. */
    answer_message();
    EXPECT_EQUAL(faults, 1);
    EXPECT_EQUAL(root.translations, 2);
    answer_message();
    answer_message();
    EXPECT_EQUAL(responses, 2);
    EXPECT_EQUAL(faults, 1);
    EXPECT_EQUAL(root.wrong, 0);
    EXPECT(atc_idle(&atc));
    stop();
}

/* ---- Everything random
 * ------------------------------------------------------------------------ */

static void random_invalidation(struct rng *rng)
{
    const unsigned tag = rng_below(rng, ATS_ITAGS), space = rng_below(rng, SPACES);
    const unsigned first = rng_below(rng, PAGES), pages = 1 + rng_below(rng, 4);
    const unsigned last = first + pages < PAGES ? first + pages - 1 : PAGES - 1;
    if (!root.invalidation[tag].in_use)
        revoke(tag, space, first, last, space_is[space].has_pasid && rng_below(rng, 8) == 0,
               root.now + (1 + rng_below(rng, 50)) * TIME_NS);
}

/* An answer never passes an invalidation that was sent before it the other way round: what
 * was translated before arrives before. */
static void keep_order(void)
{
    sim_time_t first = TIME_NEVER;
    for (unsigned i = 0; i < ATS_ITAGS; i++)
        if (root.invalidation[i].in_use && !root.invalidation[i].arrived)
            first = time_min(first, root.invalidation[i].arrives);
    for (unsigned i = 0; i < root.messages; i++)
        if (root.message[i].request.type == PORT_TRANSLATION
            && root.message[i].arrives > first)
            root.message[i].arrives = first;
}

/* A page gets rights without a word to the device. */
static void random_grant(struct rng *rng)
{
    struct page_state *p = &root.page[rng_below(rng, SPACES)][rng_below(rng, PAGES)];
    p->rights[p->generation] |= (uint8_t)(1u + rng_below(rng, 3));
}

static void random_tick(struct rng *rng, unsigned most)
{
    const sim_time_t now = root.now + (1 + rng_below(rng, 6)) * TIME_NS / 2;
    root.room            = rng_below(rng, 4) == 0 ? rng_below(rng, 4) : PORT_ROOM;
    if (root.room == PORT_ROOM && root.refusals > 0) {
        root.refusals = 0; /* Room again: the port says so. */
        *atc.due      = time_min(*atc.due, root.now);
    }
    run_to(now);
    take_responses();
    for (unsigned n = rng_below(rng, 4); n > 0 && submissions < most; n--) {
        const unsigned space      = rng_below(rng, SPACES);
        const enum port_kind kind = rng_below(rng, 2) ? PORT_READ : PORT_WRITE;
        if (port_ready(atc_port(&atc), kind))
            submit(space, kind, rng_below(rng, PAGES));
    }
    if (rng_below(rng, 5) == 0) {
        random_invalidation(rng);
        keep_order();
    }
    if (rng_below(rng, 5) == 0)
        random_grant(rng);
}

static void random_run(const struct atc_config *config, uint64_t seed, unsigned most)
{
    struct rng rng = rng_make(seed, "device");
    start(config, seed);
    root.flight_ns = 1 + rng_below(&rng, 60);
    for (unsigned idle = 0; submissions < most || idle < 4000; idle += submissions == most)
        random_tick(&rng, most);
    root.room = PORT_ROOM;
    run_to(root.now + 1000 * TIME_NS);
    take_responses();
}

TEST_CASE(atc, no_transaction_goes_by_what_was_answered_to_be_forgotten)
{
    struct rng rng   = rng_make(1, "shapes");
    unsigned denials = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct atc_config c = defaults();
        c.sets              = 1u << rng_below(&rng, 5);
        c.ways              = 1 + rng_below(&rng, 4);
        c.requests          = 1 + rng_below(&rng, 6);
        c.queue             = 1u << rng_below(&rng, 6);
        c.lookup_ns         = rng_below(&rng, 8);
        c.answer_ns         = rng_below(&rng, 20);
        c.no_write          = rng_below(&rng, 2);
        random_run(&c, seed, 3000);
        EXPECT_EQUAL(root.stale, 0);
        EXPECT_EQUAL(root.wrong, 0);
        EXPECT_EQUAL(root.disorder, 0);
        EXPECT_EQUAL(root.early, 0);
        EXPECT_EQUAL(responses, submissions);
        EXPECT_EQUAL(root.messages, 0);
        EXPECT(root.answers > 50);
        EXPECT(atc_idle(&atc));
        denials += faults;
        stop();
    }
    EXPECT(denials > 100);
}

/* The same judge on a device that forgets nothing. */
TEST_CASE(atc, one_that_keeps_what_it_should_forget_is_caught)
{
    struct atc_config c = defaults();
    c.keeps             = true;
    random_run(&c, 1, 3000);
    EXPECT(root.stale > 100);
    EXPECT(root.early > 0);
    stop();
}
