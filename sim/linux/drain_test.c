/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings of two CPUs that come into the middle of each other's drains, made by a flush
 * queue and an allocator that share no code with ours.
 */
#define _GNU_SOURCE /* vasprintf */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/linux/check.h"
#include "sim/test/shim.h"

enum { MAGAZINE = 127, RING = 256, LINES = 8192, DEPOT = 64, TEXT = 8192, LIVE = 4096 };

struct magazine {
    unsigned count;
    uint32_t pfn[MAGAZINE];
};

struct ring {
    struct {
        uint32_t pfn, stamp;
    } at[RING];
    unsigned head, tail;
    bool locked;
};

/* Two CPUs, one device with one-page mappings. */
struct world {
    struct magazine loaded[2], previous[2], depot[DEPOT];
    unsigned depots;
    uint32_t next_pfn, started, finished;
    struct ring ring[2];
    uint32_t live[LIVE];
    unsigned lives;
    char *call[LINES], *allocator[2 * LINES];
    unsigned calls, rows;
    unsigned inside; /* Calls that came into the middle of a drain. */
    uint32_t random, depth;
    unsigned chance; /* Of 256: that another CPU comes between two ranges. */
    bool only_maps;  /* That is all that it does then. */
};

static unsigned draw(struct world *w, unsigned below)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % below;
}

static char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text_of(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    CHECK(vasprintf(&text, format, args) > 0);
    va_end(args);
    return text;
}

/* ---- The allocator ------------------------------------------------------------------- */

static void exchange(struct magazine *a, struct magazine *b)
{
    const struct magazine was = *a;
    *a                        = *b;
    *b                        = was;
}

static uint32_t get(struct world *w, unsigned cpu, char *path)
{
    struct magazine *m = &w->loaded[cpu];
    *path              = 'f';
    if (m->count == 0 && w->previous[cpu].count > 0)
        exchange(m, &w->previous[cpu]);
    if (m->count == 0 && w->depots > 0)
        *m = w->depot[--w->depots];
    if (m->count > 0)
        return m->pfn[--m->count];
    *path = 's';
    return w->next_pfn--;
}

static void put(struct world *w, unsigned cpu, uint32_t pfn)
{
    struct magazine *m = &w->loaded[cpu];
    if (m->count == MAGAZINE) {
        if (w->previous[cpu].count < MAGAZINE) {
            exchange(m, &w->previous[cpu]);
        } else {
            CHECK(w->depots < DEPOT);
            w->depot[w->depots++] = *m;
            m->count              = 0;
        }
    }
    m->pfn[m->count++] = pfn;
}

/* ---- Calls, each with its lines --------------------------------------------------------
 */

static void add_row(struct world *w, char *text)
{
    CHECK(w->rows < 2 * LINES);
    w->allocator[w->rows++] = text;
}

/* Its line. */
static unsigned add_call(struct world *w, char *text)
{
    CHECK(w->calls < LINES);
    w->call[w->calls] = text;
    return w->calls++;
}

static void map(struct world *w, unsigned cpu)
{
    char path;
    const uint32_t pfn = get(w, cpu, &path);
    CHECK(w->lives < LIVE);
    w->live[w->lives++] = pfn;
    add_row(w, text_of("A %u v0 1 fffff %x %c", cpu, pfn, path));
    add_call(w, text_of("%ut MAP 0000:00:05.0 R phys=8000 len=4096 -> iova=%x000 "
                        "alloc=%x/1/v0/%c segs=1",
                        cpu, pfn, pfn, path));
}

static void come_in(struct world *w, unsigned cpu);

static void give_back(struct world *w, unsigned cpu, struct ring *r, char *freed)
{
    const uint32_t pfn = r->at[r->head].pfn;
    const size_t used  = strlen(freed);
    if (used > 0)
        come_in(w, 1 - cpu);
    put(w, cpu, pfn);
    add_row(w, text_of("F %u v0 %x 1", cpu, pfn));
    CHECK(used + 32 < TEXT);
    sprintf(freed + used, "%s%x/1", used > 0 ? "," : " free=", pfn);
    r->head = (r->head + 1) % RING;
}

static void drain(struct world *w, unsigned cpu, struct ring *r, char *freed)
{
    const uint32_t finished = w->finished;
    r->locked               = true;
    while (r->head != r->tail && r->at[r->head].stamp < finished)
        give_back(w, cpu, r, freed);
    r->locked = false;
}

static void unmap(struct world *w, unsigned cpu, unsigned which)
{
    char *freed        = calloc(1, TEXT);
    const uint32_t pfn = w->live[which];
    struct ring *r     = &w->ring[cpu];
    bool full;
    CHECK(freed != NULL);
    w->live[which] = w->live[--w->lives];
    drain(w, cpu, r, freed);
    full = (r->tail + 1) % RING == r->head;
    if (full) {
        w->started++;
        w->finished++;
        drain(w, cpu, r, freed);
    }
    r->at[r->tail].pfn   = pfn;
    r->at[r->tail].stamp = w->started;
    r->tail              = (r->tail + 1) % RING;
    add_call(w, text_of("%us UNMAP 0000:00:05.0 R iova=%x000 len=4096 ->%s QUEUED%s%s", cpu,
                        pfn, full ? " inv=dsi:2" : "", full ? " flushall" : "", freed));
    free(freed);
}

static void timer(struct world *w, unsigned cpu)
{
    char *freed         = calloc(1, TEXT);
    const unsigned line = add_call(w, NULL);
    CHECK(freed != NULL);
    w->started++;
    w->finished++;
    drain(w, cpu, &w->ring[0], freed);
    drain(w, cpu, &w->ring[1], freed);
    w->call[line] = text_of("%us FQFLUSH timer -> inv=dsi:2%s", cpu, freed);
    free(freed);
}

/* The other CPU may have its turn; of a ring that is being drained it would have to wait.
 */
static void come_in(struct world *w, unsigned cpu)
{
    if (draw(w, 256) >= w->chance || w->depth > 0)
        return;
    w->depth++;
    for (unsigned i = 1 + draw(w, 4); i > 0; i--) {
        if (w->only_maps || draw(w, 3) > 0 || w->ring[cpu].locked || w->lives == 0)
            map(w, cpu);
        else
            unmap(w, cpu, draw(w, w->lives));
        w->inside++;
    }
    w->depth--;
}

/* ---- Held against ours ------------------------------------------------------------------
 */

static struct world *world_new(uint32_t seed, unsigned chance)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->random   = seed;
    w->chance   = chance;
    w->next_pfn = 0xfffff;
    return w;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < w->calls; i++)
        free(w->call[i]);
    for (unsigned i = 0; i < w->rows; i++)
        free(w->allocator[i]);
    free(w);
}

static void write_lines(const char *path, const char *head, char *const *line,
                        unsigned lines, bool timed)
{
    FILE *out = fopen(path, "w");
    CHECK(out != NULL);
    fprintf(out, "%s\n", head);
    for (unsigned i = 0; i < lines; i++)
        if (timed)
            fprintf(out, "%u %s\n", i, line[i]);
        else
            fprintf(out, "%s\n", line[i]);
    fclose(out);
}

static void hold(struct check_result *r, const struct world *w, bool with_allocator)
{
    struct check_settings settings;
    struct error error = { "" };
    char calls[sizeof TEST_BINARY_DIR + 96], rows[sizeof TEST_BINARY_DIR + 96];
    memset(r, 0, sizeof *r);
    r->show = 1;
    snprintf(calls, sizeof calls, TEST_BINARY_DIR "/k612-lazy.drain-%d.oracle.txt",
             (int)getpid());
    snprintf(rows, sizeof rows, TEST_BINARY_DIR "/k612-lazy.drain-%d.iova.txt",
             (int)getpid());
    write_lines(calls, "### one", w->call, w->calls, true);
    write_lines(rows, "# cap_begin one", w->allocator, w->rows, false);
    EXPECT(settings_of_name(&settings, calls, &error));
    EXPECT(check_recording(r, calls, with_allocator ? rows : NULL, &settings, &error));
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(r->rows, w->calls);
    remove(calls);
    remove(rows);
}

/* The second magazine that a drain of 500 ranges puts into the depot is emptied by the
 * other CPU before the third comes to lie on it. */
TEST_CASE(linux_drain, another_cpu_takes_what_a_drain_has_just_given_back)
{
    struct check_result *r = calloc(1, sizeof *r);
    struct world *w        = world_new(1, 0);
    for (unsigned i = 0; i < 500; i++)
        map(w, 1);
    for (unsigned i = 0; i < 500; i++)
        unmap(w, i / 250, 0);
    w->chance    = 40;
    w->only_maps = true;
    timer(w, 0);
    w->chance = 0;
    for (unsigned i = 0; i < 100; i++)
        map(w, 1);
    EXPECT(w->inside > 100);
    hold(r, w, true);
    EXPECT_EQUAL(r->rows_agreed, r->rows);
    EXPECT_TEXT(r->shown > 0 ? r->difference[0].recorded : "", "");
    world_free(w);
    free(r);
}

/* One CPU maps more and more, the other unmaps; then the other way round. */
static void live_a_while(struct world *w, unsigned operations)
{
    for (unsigned i = 0; i < operations && w->calls < LINES - 1024; i++) {
        const unsigned wave = i / 700 % 3, cpu = draw(w, 8) == 0;
        if (draw(w, wave == 0 ? 300 : 150) == 0)
            timer(w, draw(w, 2));
        else if (w->lives == 0 || (w->lives < LIVE - 64 && draw(w, 8) < (wave < 2 ? 4 : 3)))
            map(w, (i / 2100 + cpu) % 2);
        else
            unmap(w, (i / 2100 + cpu + 1) % 2, draw(w, w->lives));
    }
}

TEST_CASE(linux_drain, whatever_comes_into_a_drain_is_replayed_there)
{
    struct check_result *r = calloc(1, sizeof *r);
    unsigned inside        = 0;
    for (uint32_t seed = 1; seed <= 12; seed++) {
        struct world *w = world_new(seed, 1u << seed % 8);
        live_a_while(w, 5000);
        inside += w->inside;
        hold(r, w, true);
        EXPECT_EQUAL(r->rows_agreed, r->rows);
        if (r->rows_agreed < r->rows)
            fprintf(stderr, "seed %u: %u excused, %u differ\n", seed,
                    (unsigned)r->rows_excused, (unsigned)r->rows_differing);
        world_free(w);
    }
    EXPECT(inside > 3000);
    free(r);
}
