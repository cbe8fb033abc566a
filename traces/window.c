/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/window.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

void window_init(struct window *window)
{
    /* Slots are begun when they are first used: most files never need them all. */
    window->first = window->next = 0;
    window->segments = window->flights = 0;
    memset(window->cpu_flights, 0, sizeof window->cpu_flights);
}

void window_free(struct window *window)
{
    /* A slot keeps its last request's segments until it is used again. */
    for (uint64_t i = 0; i < window->next && i < WINDOW_REQUESTS_MAX; i++)
        free((void *)window->request[i].record.segment);
}

bool window_full(const struct window *window)
{
    return window->next - window->first == WINDOW_REQUESTS_MAX
           || window->segments >= WINDOW_SEGMENTS_MAX;
}

bool window_empty(const struct window *window)
{
    return window->next == window->first;
}

struct window_request *window_at(struct window *window, uint64_t number)
{
    if (number < window->first || number >= window->next)
        return NULL;
    return &window->request[number % WINDOW_REQUESTS_MAX];
}

static bool key_equal(const struct window_key *a, const struct window_key *b)
{
    return a->command == b->command && a->owner == b->owner && a->item == b->item;
}

static struct window_flight *flight_find(struct window *w, const struct window_key *key)
{
    for (uint32_t i = 0; i < w->flights; i++)
        if (key_equal(&w->flight[i].key, key))
            return &w->flight[i];
    return NULL;
}

static void flight_end(struct window *w, struct window_flight *flight)
{
    struct window_request *request = window_at(w, flight->number);
    const size_t behind            = (size_t)(&w->flight[w->flights] - flight) - 1;

    CHECK(request != NULL);
    CHECK(request->in_flight);
    CHECK(w->cpu_flights[request->record.cpu] > 0);
    w->cpu_flights[request->record.cpu]--;
    request->in_flight = false;
    memmove(flight, flight + 1, behind * sizeof *flight);
    w->flights--;
}

void window_set_segments(struct window *window, struct window_request *request,
                         const struct trace_segment *segment, uint32_t count)
{
    struct trace_segment *copy = count != 0 ? malloc(count * sizeof *copy) : NULL;

    CHECK(request->record.segment_count == 0);
    CHECK((copy != NULL) == (count != 0));
    if (count != 0)
        memcpy(copy, segment, count * sizeof *copy);
    request->record.segment       = copy;
    request->record.segment_count = count;
    window->segments += count;
}

uint64_t window_issue(struct window *window, const struct trace_record *record,
                      struct window_key key)
{
    CHECK(!window_full(window));
    struct window_flight *const lost = key.command ? flight_find(window, &key) : NULL;
    if (lost != NULL)
        flight_end(window, lost);

    const uint64_t number    = window->next++;
    struct window_request *r = window_at(window, number);
    if (number >= WINDOW_REQUESTS_MAX)
        free((void *)r->record.segment);
    *r = (struct window_request){ .record = *record, .key = key, .in_flight = true };
    r->record.segment_count = 0;
    window_set_segments(window, r, record->segment, record->segment_count);
    r->record.depth                   = ++window->cpu_flights[record->cpu];
    window->flight[window->flights++] = (struct window_flight){ key, number };
    return number;
}

struct window_request *window_find(struct window *window, struct window_key key)
{
    const struct window_flight *flight = flight_find(window, &key);
    return flight != NULL ? window_at(window, flight->number) : NULL;
}

void window_rekey(struct window *window, struct window_request *request,
                  struct window_key key)
{
    struct window_flight *flight = flight_find(window, &request->key);
    CHECK(flight != NULL);
    CHECK(window_at(window, flight->number) == request);
    request->key = flight->key = key;
}

void window_complete(struct window *window, struct window_request *request,
                     uint64_t time_ns, uint32_t cpu)
{
    struct window_flight *flight = flight_find(window, &request->key);
    CHECK(flight != NULL);
    CHECK(window_at(window, flight->number) == request);
    request->record.latency_ns     = time_ns - request->record.time_ns;
    request->record.completion_cpu = cpu;
    flight_end(window, flight);
}

bool window_ready(const struct window *window)
{
    return !window_empty(window)
           && !window->request[window->first % WINDOW_REQUESTS_MAX].in_flight;
}

struct trace_record window_take(struct window *window)
{
    struct window_request *oldest = window_at(window, window->first);
    CHECK(oldest != NULL);
    if (oldest->in_flight)
        flight_end(window,
                   &window->flight[0]); /* The oldest of all is the oldest of these. */
    window->segments -= oldest->record.segment_count;
    window->first++;
    return oldest->record;
}
