/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommu_model/riscv_spec.h"
#include "sim/base/check.h"
#include "sim/base/memory.h"
#include "sim/rtl/csv.h"
#include "sim/rtl/grow.h"
#include "sim/rtl/parameters.h"

/* ---- Requests --------------------------------------------------------------------------
 */

#define REQUEST_COLUMNS                                                                    \
    "issue_cycle,iova,device_id,pv,pid,done_cycle,latency,pa,cause,nreads,watchdog,"       \
    "channel,is_write,result,ddtc,iotlb"
enum request_column {
    ISSUED,
    IOVA,
    DEVICE,
    PV,
    PID,
    DONE,
    LATENCY,
    PA,
    CAUSE,
    READS,
    WATCHDOG,
    REQUEST_NUMBERS, /* Those before are numbers. */
    CHANNEL = REQUEST_NUMBERS,
    IS_WRITE,
    RESULT,
    DDTC,
    IOTLB,
    REQUEST_COLUMN_COUNT,
};
static const uint64_t request_max[REQUEST_NUMBERS] = {
    [ISSUED]   = INT64_MAX,
    [IOVA]     = UINT64_MAX,
    [DEVICE]   = UINT32_MAX >> 8,
    [PV]       = 1,
    [PID]      = 0xfffff,
    [DONE]     = INT64_MAX,
    [LATENCY]  = INT64_MAX,
    [PA]       = UINT64_MAX,
    [CAUSE]    = UINT16_MAX,
    [READS]    = UINT16_MAX,
    [WATCHDOG] = 1,
};

/* One of two words, by index. */
static bool choose(const struct csv *csv, unsigned column, const char *const words[2],
                   const char *what, bool *second, struct error *error)
{
    const char *const field = csv_field(csv, column);
    *second                 = strcmp(field, words[1]) == 0;
    return *second || strcmp(field, words[0]) == 0
           || csv_expected(csv, column, what, error);
}

static bool take_flag(const struct csv *csv, unsigned column, int8_t *flag,
                      struct error *error)
{
    int64_t value;
    if (!csv_i64(csv, column, &value, error))
        return false;
    if (value < RTL_UNKNOWN || value > 1)
        return csv_expected(csv, column, "-1, 0 or 1", error);
    *flag = (int8_t)value;
    return true;
}

static bool take_words(struct rtl_request *r, const struct csv *csv, const unsigned *column,
                       struct error *error)
{
    static const char *const channel[] = { "AR", "AW" }, *const write[] = { "0", "1" },
                             *const result[] = { "OK", "FAULT" };
    bool second;
    if (!choose(csv, column[CHANNEL], channel, "AR or AW", &second, error))
        return false;
    r->channel = second ? RTL_AW : RTL_AR;
    if (!choose(csv, column[IS_WRITE], write, "0 or 1", &second, error))
        return false;
    if (second != (r->channel == RTL_AW))
        return csv_expected(csv, column[IS_WRITE], "1 on AW and 0 on AR", error);
    return choose(csv, column[RESULT], result, "OK or FAULT", &r->fault, error)
           && take_flag(csv, column[DDTC], &r->context_hit, error)
           && take_flag(csv, column[IOTLB], &r->iotlb_hit, error);
}

static bool take_request(struct rtl_request *r, const struct csv *csv,
                         const unsigned *column, struct error *error)
{
    uint64_t number[REQUEST_NUMBERS];
    for (unsigned i = 0; i < REQUEST_NUMBERS; i++)
        if (!csv_below(csv, column[i], request_max[i], &number[i], error))
            return false;
    r->line        = csv_line(csv);
    r->issued      = number[ISSUED];
    r->done        = number[DONE];
    r->iova        = number[IOVA];
    r->device      = (uint32_t)number[DEVICE];
    r->has_process = number[PV] != 0;
    r->process     = (uint32_t)number[PID];
    r->pa          = number[PA];
    r->cause       = (uint16_t)number[CAUSE];
    r->reads       = (uint16_t)number[READS];
    r->hung        = number[WATCHDOG] != 0;
    if (r->done < r->issued || r->done - r->issued != number[LATENCY])
        return csv_expected(csv, column[LATENCY], "done_cycle - issue_cycle", error);
    return take_words(r, csv, column, error);
}

/* A channel has one request at a time, and rows are in order of completion. */
static bool check_order(const struct rtl_run *run, const struct csv *csv,
                        const unsigned *column, cycle_t free_at[RTL_CHANNELS],
                        struct error *error)
{
    const struct rtl_request *r = &run->request[run->requests - 1];
    if (run->requests > 1 && r->done < r[-1].done)
        return csv_expected(csv, column[DONE], "rows in order of completion", error);
    if (r->issued < free_at[r->channel])
        return csv_expected(csv, column[ISSUED], "one request of a channel at a time",
                            error);
    free_at[r->channel] = r->done + 1;
    return true;
}

static bool read_requests(struct rtl_run *run, struct csv *csv, struct error *error)
{
    unsigned column[REQUEST_COLUMN_COUNT];
    cycle_t free_at[RTL_CHANNELS] = { 0, 0 };
    struct rtl_request *request;
    int got;
    if (!rtl_parameters_take(&run->parameters, csv, error)
        || !csv_columns(csv, REQUEST_COLUMNS, column, error))
        return false;
    while ((got = csv_next(csv, error)) == 1) {
        GROW(run, request, requests, request);
        if (!take_request(request, csv, column, error)
            || !check_order(run, csv, column, free_at, error))
            return false;
    }
    const uint64_t announced = run->parameters.requests;
    if (got == 0 && announced != 0 && announced != run->requests)
        return error_set(error, "%s: expected %" PRIu64 " requests, got %zu", csv_name(csv),
                         announced, run->requests);
    return got == 0;
}

/* ---- Memory ----------------------------------------------------------------------------
 */

/* A word of memory: its address and what it holds. */
static bool take_store(const struct csv *csv, unsigned pa, unsigned value,
                       struct rtl_store *store, struct error *error)
{
    if (!csv_below(csv, pa, mask_lg2(MEM_PA_LG2), &store->pa, error)
        || !csv_u64(csv, value, &store->value, error))
        return false;
    return (store->pa & 7) == 0 || csv_expected(csv, pa, "a multiple of 8", error);
}

static bool read_image(struct rtl_run *run, struct csv *csv, struct error *error)
{
    unsigned column[2];
    struct rtl_store *word;
    int got;
    if (!csv_columns(csv, "addr,value", column, error))
        return false;
    while ((got = csv_next(csv, error)) == 1) {
        GROW(run, word, words, word);
        if (!take_store(csv, column[0], column[1], word, error))
            return false;
    }
    return got == 0;
}

#define ACCESS_COLUMNS                                                                     \
    "axi_id,addr,beats,valid_cycle,accept_cycle,first_data_cycle,last_cycle,rw,kind"
enum { ACCESS_NUMBERS = 7, ACCESS_COLUMN_COUNT = 9 };

static bool take_access(struct rtl_access *a, const struct csv *csv, const unsigned *column,
                        struct error *error)
{
    static const char *const direction[]      = { "R", "W" };
    static const uint64_t max[ACCESS_NUMBERS] = { UINT32_MAX, UINT64_MAX, UINT32_MAX,
                                                  INT64_MAX,  INT64_MAX,  INT64_MAX,
                                                  INT64_MAX };
    uint64_t number[ACCESS_NUMBERS];
    for (unsigned i = 0; i < ACCESS_NUMBERS; i++)
        if (!csv_below(csv, column[i], max[i], &number[i], error))
            return false;
    a->engine    = (uint32_t)number[0];
    a->pa        = number[1];
    a->beats     = (uint32_t)number[2];
    a->presented = number[3];
    a->accepted  = number[4];
    a->first     = number[5];
    a->last      = number[6];
    snprintf(a->kind, sizeof a->kind, "%s", csv_field(csv, column[8]));
    return choose(csv, column[7], direction, "R or W", &a->write, error);
}

static bool read_accesses(struct rtl_run *run, struct csv *csv, struct error *error)
{
    unsigned column[ACCESS_COLUMN_COUNT];
    struct rtl_access *access;
    int got;
    if (!csv_columns(csv, ACCESS_COLUMNS, column, error))
        return false;
    while ((got = csv_next(csv, error)) == 1) {
        GROW(run, access, accesses, access);
        if (!take_access(access, csv, column, error))
            return false;
    }
    return got == 0;
}

/* ---- Events ----------------------------------------------------------------------------
 */

enum event_column { TYPE, CYCLE, A, B, C, D, E, EVENT_COLUMN_COUNT };

/* -1 stands for never. */
static bool take_keyed_cycle(const struct csv *csv, unsigned column, const char *key,
                             cycle_t *cycle, struct error *error)
{
    int64_t value;
    if (!csv_keyed_i64(csv, column, key, &value, error))
        return false;
    *cycle = value < 0 ? CYCLE_NEVER : (cycle_t)value;
    return value >= -1 || csv_expected(csv, column, "a cycle or -1", error);
}

static bool add_store(struct rtl_run *run, const struct csv *csv, const unsigned *column,
                      cycle_t cycle, struct error *error)
{
    struct rtl_store *store;
    GROW(run, store, stores, store);
    store->cycle = cycle;
    return take_store(csv, column[A], column[B], store, error);
}

static bool add_doorbell(struct rtl_run *run, const struct csv *csv, const unsigned *column,
                         cycle_t cycle, struct error *error)
{
    struct rtl_doorbell *doorbell;
    int64_t tail;
    GROW(run, doorbell, doorbells, doorbell);
    if (!csv_keyed_i64(csv, column[A], "cqt", &tail, error))
        return false;
    doorbell->cycle = cycle;
    doorbell->tail  = (uint32_t)tail;
    return (tail >= 0 && tail >> riscv_queue_lg2(run->parameters.cqb) == 0)
           || csv_expected(csv, column[A], "an index of the queue", error);
}

static bool add_command(struct rtl_run *run, const struct csv *csv, const unsigned *column,
                        cycle_t cycle, struct error *error)
{
    const uint64_t mask = mask_lg2(riscv_queue_lg2(run->parameters.cqb));
    struct rtl_command *command;
    int64_t index;
    GROW(run, command, commands, command);
    if (!csv_keyed_i64(csv, column[A], "idx", &index, error))
        return false;
    command->fetched = cycle;
    command->index   = (uint32_t)((uint64_t)index & mask);
    return csv_u64(csv, column[B], &command->low, error)
           && csv_u64(csv, column[C], &command->high, error)
           && take_keyed_cycle(csv, column[D], "flush_cycle", &command->flushed, error)
           && take_keyed_cycle(csv, column[E], "cqh_cycle", &command->head, error);
}

static bool add_fault(struct rtl_run *run, const struct csv *csv, const unsigned *column,
                      cycle_t cycle, struct error *error)
{
    uint64_t tail;
    struct rtl_fault *fault;
    GROW(run, fault, faults, fault);
    if (!csv_below(csv, column[A], mask_lg2(riscv_queue_lg2(run->parameters.fqb)), &tail,
                   error))
        return false;
    *fault = (struct rtl_fault){ cycle, (uint32_t)tail };
    return true;
}

/* The request's row says the same. */
static bool skip_watchdog(struct rtl_run *run, const struct csv *csv,
                          const unsigned *column, cycle_t cycle, struct error *error)
{
    (void)run, (void)csv, (void)column, (void)cycle, (void)error;
    return true;
}

static bool take_event(struct rtl_run *run, const struct csv *csv, const unsigned *column,
                       struct error *error)
{
    static const struct {
        const char *type;
        bool (*add)(struct rtl_run *, const struct csv *, const unsigned *, cycle_t,
                    struct error *);
    } events[] = { { "MEMW", add_store },
                   { "DOORBELL", add_doorbell },
                   { "CMD", add_command },
                   { "FQT", add_fault },
                   { "WATCHDOG", skip_watchdog } };
    uint64_t cycle;
    if (!csv_below(csv, column[CYCLE], INT64_MAX, &cycle, error))
        return false;
    for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++)
        if (strcmp(csv_field(csv, column[TYPE]), events[i].type) == 0)
            return events[i].add(run, csv, column, cycle, error);
    return csv_expected(csv, column[TYPE], "MEMW, DOORBELL, CMD, FQT or WATCHDOG", error);
}

static bool read_events(struct rtl_run *run, struct csv *csv, struct error *error)
{
    unsigned column[EVENT_COLUMN_COUNT];
    int got;
    if (!csv_columns(csv, "type,cycle,a,b,c,d,e", column, error))
        return false;
    while ((got = csv_next(csv, error)) == 1)
        if (!take_event(run, csv, column, error))
            return false;
    return got == 0;
}

/* Orders by the cycle, which all events begin with; equal ones stay as they are. */
static void sort(void *array, size_t count, size_t bytes)
{
    char *const end = (char *)array + count * bytes, swap[sizeof(struct rtl_command)];
    CHECK(bytes <= sizeof swap);
    for (char *at = (char *)array + bytes; count > 1 && at < end; at += bytes) {
        char *to = at;
        while (to > (char *)array && *(cycle_t *)(to - bytes) > *(cycle_t *)at)
            to -= bytes;
        if (to == at)
            continue;
        memcpy(swap, at, bytes);
        memmove(to + bytes, to, (size_t)(at - to));
        memcpy(to, swap, bytes);
    }
}

/* ---- Files -----------------------------------------------------------------------------
 */

static const char *const suffixes[] = { "_req.csv.gz", "_req.csv" };

static const char *suffix_of(const char *path)
{
    const size_t bytes = strlen(path);
    for (unsigned i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const size_t length = strlen(suffixes[i]);
        if (bytes > length && strcmp(path + bytes - length, suffixes[i]) == 0)
            return path + bytes - length;
    }
    return NULL;
}

bool rtl_run_is(const char *path)
{
    return suffix_of(path) != NULL;
}

/* NAME_PART.csv.gz, or the same without .gz when that is the one that exists. */
static void part_path(const struct rtl_run *run, const char *part, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s_%s.csv", run->name, part);
    if (access(out, F_OK) != 0)
        snprintf(out, bytes, "%s_%s.csv.gz", run->name, part);
}

static bool read_file(struct rtl_run *run, const char *path,
                      bool (*read)(struct rtl_run *, struct csv *, struct error *),
                      struct error *error)
{
    struct csv *csv;
    if (!csv_open(&csv, path, error))
        return false;
    const bool done = read(run, csv, error);
    csv_close(csv);
    return done;
}

static bool read_part(struct rtl_run *run, const char *part,
                      bool (*read)(struct rtl_run *, struct csv *, struct error *),
                      struct error *error)
{
    const size_t bytes = strlen(run->name) + sizeof "_events.csv.gz";
    char *path         = malloc(bytes);
    CHECK(path != NULL);
    part_path(run, part, path, bytes);
    const bool optional = read == read_accesses;
    bool done           = true;
    if (!optional || access(path, F_OK) == 0) {
        done = read_file(run, path, read, error);
        run->has_accesses |= optional;
    }
    free(path);
    return done;
}

bool rtl_run_load(struct rtl_run *run, const char *path, struct error *error)
{
    const char *suffix = suffix_of(path);
    *run               = (struct rtl_run){ .name = NULL };
    if (suffix == NULL)
        return error_set(error, "%s: expected a name that ends in _req.csv or _req.csv.gz",
                         path);
    run->name = strndup(path, (size_t)(suffix - path));
    CHECK(run->name != NULL);
    if (!read_file(run, path, read_requests, error)
        || !read_part(run, "image", read_image, error)
        || !read_part(run, "events", read_events, error)
        || !read_part(run, "mem", read_accesses, error))
        return false;
    sort(run->store, run->stores, sizeof *run->store);
    sort(run->doorbell, run->doorbells, sizeof *run->doorbell);
    sort(run->command, run->commands, sizeof *run->command);
    sort(run->fault, run->faults, sizeof *run->fault);
    return true;
}

void rtl_run_free(struct rtl_run *run)
{
    free(run->name);
    free(run->request);
    free(run->word);
    free(run->store);
    free(run->doorbell);
    free(run->command);
    free(run->fault);
    free(run->access);
}
