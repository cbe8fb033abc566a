/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/directed_file.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/lg2.h"
#include "sim/rtl/csv.h"
#include "sim/rtl/grow.h"

enum { LATENCY_MAX = 10000, ENTRIES_MAX = 256 };

#define KEY_COLUMNS                                                                        \
    "exp,iotlb_entries,pc_enabled,ddt_levels,pdt_levels,stage,s1_leaf,s2_leaf,L,LW"
#define METRIC_COLUMNS "metric,value,note"
#define ACCESS_COLUMNS "n,rw,axi_id,kind,beats,valid_rel,accept_rel,first_data_rel,last_rel"

/* In the order of the lists above. */
enum key_column {
    KEY_EXPERIMENT,
    KEY_ENTRIES,
    KEY_PROCESSES,
    KEY_DEVICE_LEVELS,
    KEY_PROCESS_LEVELS,
    KEY_STAGE,
    KEY_LEAF1,
    KEY_LEAF2,
    KEY_READ,
    KEY_WRITE,
    KEY_COUNT,
};
enum metric_column { METRIC_NAME = KEY_COUNT, METRIC_VALUE, METRIC_NOTE };
enum access_column {
    ACCESS_INDEX = KEY_COUNT,
    ACCESS_RW,
    ACCESS_ENGINE,
    ACCESS_KIND,
    ACCESS_BEATS,
    ACCESS_PRESENTED,
    ACCESS_ACCEPTED,
    ACCESS_DATA,
    ACCESS_LAST,
    COLUMN_COUNT,
};

/* ---- One row ---------------------------------------------------------------------------
 */

static bool read_u32(const struct csv *c, const unsigned *column, unsigned which,
                     uint32_t max, uint32_t *out, struct error *error)
{
    uint64_t value;
    if (!csv_below(c, column[which], max, &value, error))
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool read_stage(const struct csv *c, unsigned column, uint32_t *stages,
                       struct error *error)
{
    static const char *const name[] = { "bare", "S1", "S2", "S1+S2" };
    for (*stages = 0; *stages < 4; ++*stages)
        if (strcmp(csv_field(c, column), name[*stages]) == 0)
            return true;
    return csv_expected(c, column, "bare, S1, S2 or S1+S2", error);
}

/* A leaf's size where the stage is on, and none where it is off. */
static bool read_leaf(const struct csv *c, unsigned column, bool on, uint32_t *lg2,
                      struct error *error)
{
    static const struct {
        const char *name;
        uint32_t lg2;
    } leaf[] = { { "-", 0 }, { "4K", 12 }, { "2M", 21 }, { "1G", 30 } };
    for (size_t i = 0; i < sizeof leaf / sizeof *leaf; i++)
        if (strcmp(csv_field(c, column), leaf[i].name) == 0 && (i != 0) == on) {
            *lg2 = leaf[i].lg2;
            return true;
        }
    return csv_expected(c, column, on ? "4K, 2M or 1G" : "- (the stage is off)", error);
}

static bool is_extended(const struct csv *c)
{
    const char *const slash = strrchr(csv_name(c), '/');
    return strstr(slash == NULL ? csv_name(c) : slash, "extDC") != NULL;
}

static bool read_scenario(const struct csv *c, const unsigned *column,
                          struct directed_scenario *s, struct error *error)
{
    uint32_t processes = 0;
    if (!read_u32(c, column, KEY_ENTRIES, ENTRIES_MAX, &s->iotlb_entries, error)
        || !read_u32(c, column, KEY_PROCESSES, 1, &processes, error)
        || !read_u32(c, column, KEY_DEVICE_LEVELS, 3, &s->device_levels, error)
        || !read_u32(c, column, KEY_PROCESS_LEVELS, 3, &s->process_levels, error)
        || !read_stage(c, column[KEY_STAGE], &s->stages, error)
        || !read_leaf(c, column[KEY_LEAF1], s->stages & DIRECTED_STAGE1, &s->stage1_lg2,
                      error)
        || !read_leaf(c, column[KEY_LEAF2], s->stages & DIRECTED_STAGE2, &s->stage2_lg2,
                      error)
        || !read_u32(c, column, KEY_READ, LATENCY_MAX, &s->read_latency, error)
        || !read_u32(c, column, KEY_WRITE, LATENCY_MAX, &s->write_latency, error))
        return false;
    s->process_contexts = processes;
    s->extended         = is_extended(c);
    if (!is_pow2(s->iotlb_entries))
        return csv_expected(c, column[KEY_ENTRIES], "a power of two", error);
    if (s->read_latency == 0)
        return csv_expected(c, column[KEY_READ], "at least one cycle", error);
    if (s->device_levels == 0)
        return csv_expected(c, column[KEY_DEVICE_LEVELS], "1 to 3 levels", error);
    return true;
}

static bool read_access(const struct csv *c, const unsigned *column,
                        struct directed_row *row, struct error *error)
{
    struct directed_access *a = &row->access;
    const char *const rw      = csv_field(c, column[ACCESS_RW]);
    const char *const kind    = csv_field(c, column[ACCESS_KIND]);
    if (strcmp(rw, "R") != 0 && strcmp(rw, "W") != 0)
        return csv_expected(c, column[ACCESS_RW], "R or W", error);
    if (strlen(kind) >= sizeof a->kind)
        return csv_expected(c, column[ACCESS_KIND], "a shorter name", error);
    a->write = rw[0] == 'W';
    memcpy(a->kind, kind, strlen(kind) + 1);
    return csv_u64(c, column[ACCESS_INDEX], &row->index, error)
           && read_u32(c, column, ACCESS_ENGINE, 64, &a->engine, error)
           && read_u32(c, column, ACCESS_BEATS, 256, &a->beats, error)
           && csv_i64(c, column[ACCESS_PRESENTED], &a->presented, error)
           && csv_i64(c, column[ACCESS_ACCEPTED], &a->accepted, error)
           && csv_i64(c, column[ACCESS_DATA], &a->data, error)
           && csv_i64(c, column[ACCESS_LAST], &a->last, error);
}

static const char *copy(const char *text)
{
    char *const s = strdup(text);
    CHECK(s != NULL);
    return s;
}

static bool read_metric(const struct csv *c, const unsigned *column,
                        struct directed_row *row, struct error *error)
{
    if (!csv_i64(c, column[METRIC_VALUE], &row->value, error))
        return false;
    row->metric = copy(csv_field(c, column[METRIC_NAME]));
    row->note   = copy(csv_field(c, column[METRIC_NOTE]));
    return true;
}

/* ---- All of them -----------------------------------------------------------------------
 */

static bool read_rows(struct directed_file *file, struct csv *c, struct error *error)
{
    unsigned column[COLUMN_COUNT];
    int got;
    if (!csv_columns(c, KEY_COLUMNS, column, error)
        || !csv_columns(c, file->accesses ? ACCESS_COLUMNS : METRIC_COLUMNS,
                        column + KEY_COUNT, error))
        return false;
    while ((got = csv_next(c, error)) == 1) {
        struct directed_row *row;
        GROW(file, row, count, row);
        row->line       = csv_line(c);
        row->experiment = copy(csv_field(c, column[KEY_EXPERIMENT]));
        if (!read_scenario(c, column, &row->scenario, error)
            || !(file->accesses ? read_access : read_metric)(c, column, row, error))
            return false;
    }
    return got == 0;
}

static bool has_column(const struct csv *c, const char *name)
{
    const char *column;
    for (unsigned i = 0; (column = csv_column_name(c, i)) != NULL; i++)
        if (strcmp(column, name) == 0)
            return true;
    return false;
}

bool directed_file_is(const char *path)
{
    struct error error = { "" };
    struct csv *c;
    if (!csv_open(&c, path, &error))
        return false;
    const bool is = has_column(c, "exp");
    csv_close(c);
    return is;
}

bool directed_file_load(struct directed_file *file, const char *path, struct error *error)
{
    struct csv *c;
    memset(file, 0, sizeof *file);
    if (!csv_open(&c, path, error))
        return false;
    file->name = strdup(path);
    CHECK(file->name != NULL);
    file->accesses = has_column(c, "beats");
    const bool ok  = read_rows(file, c, error);
    csv_close(c);
    return ok;
}

void directed_file_free(struct directed_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        free((char *)file->row[i].experiment);
        free((char *)file->row[i].metric);
        free((char *)file->row[i].note);
    }
    free(file->row);
    free(file->name);
    memset(file, 0, sizeof *file);
}

static bool same_scenario(const struct directed_scenario *a,
                          const struct directed_scenario *b)
{
    return a->iotlb_entries == b->iotlb_entries && a->device_levels == b->device_levels
           && a->process_levels == b->process_levels && a->read_latency == b->read_latency
           && a->write_latency == b->write_latency && a->stages == b->stages
           && a->stage1_lg2 == b->stage1_lg2 && a->stage2_lg2 == b->stage2_lg2
           && a->process_contexts == b->process_contexts && a->extended == b->extended;
}

size_t directed_group(const struct directed_file *file, size_t first)
{
    const struct directed_row *const r = &file->row[first];
    size_t n                           = 1;
    CHECK(first < file->count);
    while (first + n < file->count && strcmp(r[n].experiment, r->experiment) == 0
           && same_scenario(&r[n].scenario, &r->scenario))
        n++;
    return n;
}
