/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/sorter.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

void sorter_init(struct sorter *sorter)
{
    memset(sorter, 0, sizeof *sorter);
}

/* Room for twice as many records. The new slots are the vacant ones. */
static void grow(struct sorter *s)
{
    const uint32_t room = s->room == 0 ? SORTER_RECORDS_FIRST : 2 * s->room;
    s->key              = realloc(s->key, room * sizeof *s->key);
    s->vacant           = realloc(s->vacant, room * sizeof *s->vacant);
    s->slot             = realloc(s->slot, room * sizeof *s->slot);
    CHECK(s->key != NULL);
    CHECK(s->vacant != NULL);
    CHECK(s->slot != NULL);
    CHECK(s->waiting == s->room);
    for (uint32_t i = 0; i < room - s->room; i++)
        s->vacant[i] = s->room + i;
    s->vacancies = room - s->room;
    s->room      = room;
}

void sorter_free(struct sorter *sorter)
{
    free(sorter->key);
    free(sorter->flight);
    free(sorter->vacant);
    free(sorter->slot);
}

bool sorter_full(const struct sorter *sorter)
{
    return sorter->waiting == SORTER_RECORDS_MAX;
}

bool sorter_empty(const struct sorter *sorter)
{
    return sorter->waiting == 0;
}

static bool before(const struct sorter_key *a, const struct sorter_key *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->number < b->number;
}

void sorter_put(struct sorter *sorter, const struct trace_record *record)
{
    CHECK(!sorter_full(sorter));
    CHECK(record->segment_count == 0);
    if (sorter->vacancies == 0)
        grow(sorter);
    const uint32_t slot       = sorter->vacant[--sorter->vacancies];
    const struct sorter_key k = { record->time_ns, sorter->number++, slot };
    uint32_t at               = sorter->waiting++;

    sorter->slot[slot] = *record;
    for (; at > 0 && before(&k, &sorter->key[(at - 1) / 2]); at = (at - 1) / 2)
        sorter->key[at] = sorter->key[(at - 1) / 2];
    sorter->key[at] = k;
}

static struct sorter_key key_take(struct sorter *s)
{
    const struct sorter_key top  = s->key[0];
    const struct sorter_key last = s->key[--s->waiting];
    uint32_t at                  = 0;
    for (uint32_t child; (child = 2 * at + 1) < s->waiting; at = child) {
        child += child + 1 < s->waiting && before(&s->key[child + 1], &s->key[child]);
        if (!before(&s->key[child], &last))
            break;
        s->key[at] = s->key[child];
    }
    s->key[at]                = last;
    s->vacant[s->vacancies++] = top.slot;
    return top;
}

static void flight_drop(struct sorter *s)
{
    const struct sorter_flight last = s->flight[s->flights - 1];
    uint32_t at                     = 0;
    s->cpu_flights[s->flight[0].cpu]--;
    s->flights--;
    for (uint32_t child; (child = 2 * at + 1) < s->flights; at = child) {
        child +=
            child + 1 < s->flights && s->flight[child + 1].end_ns < s->flight[child].end_ns;
        if (s->flight[child].end_ns >= last.end_ns)
            break;
        s->flight[at] = s->flight[child];
    }
    s->flight[at] = last;
}

static void flight_add(struct sorter *s, struct sorter_flight flight)
{
    if (s->flights == SORTER_FLIGHTS_MAX)
        flight_drop(s);
    if (s->flights == s->flight_room) {
        s->flight_room = s->flight_room == 0 ? SORTER_RECORDS_FIRST : 2 * s->flight_room;
        s->flight      = realloc(s->flight, s->flight_room * sizeof *s->flight);
        CHECK(s->flight != NULL);
    }
    uint32_t at = s->flights++;
    for (; at > 0 && flight.end_ns < s->flight[(at - 1) / 2].end_ns; at = (at - 1) / 2)
        s->flight[at] = s->flight[(at - 1) / 2];
    s->flight[at] = flight;
    s->cpu_flights[flight.cpu]++;
}

/* Those of the CPU in flight right after the issue, this one included; one that ends at
 * this very time has made room. */
static uint32_t depth_of(struct sorter *s, const struct trace_record *r)
{
    if (r->latency_ns == TRACE_LATENCY_UNKNOWN || r->latency_ns > TRACE_TIME_MAX_NS
        || r->time_ns > TRACE_TIME_MAX_NS)
        return 0;
    while (s->flights > 0 && s->flight[0].end_ns <= r->time_ns)
        flight_drop(s);
    flight_add(s, (struct sorter_flight){ r->time_ns + r->latency_ns, r->cpu });
    return s->cpu_flights[r->cpu];
}

struct trace_record sorter_take(struct sorter *sorter)
{
    CHECK(!sorter_empty(sorter));
    const struct sorter_key key = key_take(sorter);
    struct trace_record record  = sorter->slot[key.slot];

    if (!sorter->begun)
        sorter->first_ns = record.time_ns;
    sorter->begun = true;
    if (record.time_ns < sorter->first_ns + sorter->last_ns) {
        sorter->late++;
        record.time_ns = sorter->first_ns + sorter->last_ns;
    }
    record.time_ns -= sorter->first_ns;
    sorter->last_ns = record.time_ns;
    record.depth    = depth_of(sorter, &record);
    return record;
}
