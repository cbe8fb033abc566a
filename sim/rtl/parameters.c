/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/parameters.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "iommu_model/riscv_spec.h"
#include "sim/base/memory.h"
#include "sim/rtl/csv.h"

enum { ENTRIES_MAX = 256, CYCLES_MAX = 100000, REQUESTS_MAX = 100000000 };

enum rule { IGNORED, NUMBER, POWER, DEVICE, STAGE };

/* A key of the header. Ignored ones say how the requests were drawn. */
static const struct key {
    const char *name;
    enum rule rule;
    bool required;
    size_t offset;
    uint64_t min, max;
} keys[] = {
#define FIELD(x) offsetof(struct rtl_parameters, x)
    { "InclPC", NUMBER, true, FIELD(process_contexts), 0, 1 },
    { "MSITrans", NUMBER, true, FIELD(msi_flat), 0, 1 },
    { "InclBC", NUMBER, false, SIZE_MAX, 0, 0 },
    { "InclDBG", NUMBER, false, SIZE_MAX, 0, 0 },
    { "iotlb_entries", POWER, true, FIELD(iotlb_entries), 1, ENTRIES_MAX },
    { "ddtc_entries", POWER, true, FIELD(device_entries), 1, ENTRIES_MAX },
    { "pdtc_entries", POWER, true, FIELD(process_entries), 1, ENTRIES_MAX },
    { "mem_read_latency_L", NUMBER, true, FIELD(read_latency), 1, CYCLES_MAX },
    { "write_resp_latency_LW", NUMBER, true, FIELD(write_latency), 1, CYCLES_MAX },
    { "read_beats_per_cycle", POWER, true, FIELD(beats_per_cycle), 1, 64 },
    { "mem_max_outstanding", NUMBER, true, FIELD(outstanding_max), 1, CYCLES_MAX },
    { "requests", NUMBER, false, FIELD(requests), 0, REQUESTS_MAX },
    { "ddtp", NUMBER, true, FIELD(ddtp), 0, UINT64_MAX },
    { "cqb", NUMBER, true, FIELD(cqb), 0, UINT64_MAX },
    { "fqb", NUMBER, true, FIELD(fqb), 0, UINT64_MAX },
#undef FIELD
    { "rtl", IGNORED, false, 0, 0, 0 },
    { "seed", IGNORED, false, 0, 0, 0 },
    { "ddt_levels", IGNORED, false, 0, 0, 0 },
    { "pdt_levels", IGNORED, false, 0, 0, 0 },
    { "ndev", IGNORED, false, 0, 0, 0 },
    { "footprint_pages_per_device", IGNORED, false, 0, 0, 0 },
    { "superpage_pct", IGNORED, false, 0, 0, 0 },
    { "faulty_page_pct", IGNORED, false, 0, 0, 0 },
    { "write_pct", IGNORED, false, 0, 0, 0 },
    { "gap_max", IGNORED, false, 0, 0, 0 },
    { "locality_pct", IGNORED, false, 0, 0, 0 },
    { "streams", IGNORED, false, 0, 0, 0 },
    { "inval_mode", IGNORED, false, 0, 0, 0 },
    { "inval_every", IGNORED, false, 0, 0, 0 },
    { "cq_log2", IGNORED, false, 0, 0, 0 },
    { "fq_log2", IGNORED, false, 0, 0, 0 },
    { "did", DEVICE, false, 0, 0, 0 },
    { "stage", STAGE, false, 0, 0, 0 },
    { "pscid", IGNORED, false, 0, 0, 0 },
    { "gscid", IGNORED, false, 0, 0, 0 },
    { "pdt", IGNORED, false, 0, 0, 0 },
};
enum { KEYS = sizeof keys / sizeof keys[0] };

static const struct key *find_key(const char *name)
{
    for (unsigned i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static bool wrong_word(const struct csv *csv, const struct csv_word *word, const char *what,
                       struct error *error)
{
    return error_set(error, "%s, line %" PRIu64 ": %s: expected %s, got '%s'",
                     csv_name(csv), word->line, word->key, what, word->value);
}

static void describe(const struct key *key, char *out, size_t bytes)
{
    if (key->min == key->max)
        snprintf(out, bytes, "%" PRIu64 " (nothing else is modelled)", key->min);
    else if (key->max == UINT64_MAX)
        snprintf(out, bytes, "a number");
    else
        snprintf(out, bytes, "%s of %" PRIu64 " .. %" PRIu64,
                 key->rule == POWER ? "a power of two" : "a number", key->min, key->max);
}

static bool take_value(struct rtl_parameters *p, const struct csv *csv,
                       const struct csv_word *word, const struct key *key,
                       struct error *error)
{
    uint64_t value;
    char what[80];
    if (csv_parse_u64(word->value, &value) && value >= key->min && value <= key->max
        && (key->rule != POWER || is_pow2(value))) {
        if (key->offset != SIZE_MAX)
            memcpy((char *)p + key->offset, &value, sizeof value);
        return true;
    }
    describe(key, what, sizeof what);
    return wrong_word(csv, word, what, error);
}

/* Words in parentheses, which may hold blanks, are remarks. */
static bool remark(const struct csv_word *word, bool *open)
{
    const bool inside     = *open;
    const char *const end = word->value != NULL ? word->value : word->key;
    if (strchr(end, '(') != NULL)
        *open = true;
    if (strchr(end, ')') != NULL)
        *open = false;
    return inside || word->value == NULL;
}

static bool take_device(struct rtl_parameters *p, const struct csv *csv,
                        const struct csv_word *word, struct error *error)
{
    uint64_t id;
    if (p->devices == RTL_DEVICES_MAX)
        return wrong_word(csv, word, "fewer devices", error);
    if (!csv_parse_u64(word->value, &id) || id >> 24 != 0)
        return wrong_word(csv, word, "a device id of 24 bits", error);
    p->device[p->devices++].id = (uint32_t)id;
    return true;
}

/* Of the device that the same line has named. */
static bool take_stage(struct rtl_parameters *p, const struct csv *csv,
                       const struct csv_word *word, struct error *error)
{
    if (p->devices == 0)
        return wrong_word(csv, word, "did= before it", error);
    p->device[p->devices - 1].nested =
        strstr(word->value, "S1") != NULL && strstr(word->value, "S2") != NULL;
    return true;
}

static bool take_word(struct rtl_parameters *p, bool seen[KEYS], const struct csv *csv,
                      const struct csv_word *word, struct error *error)
{
    const struct key *key = find_key(word->key);
    if (key == NULL)
        return error_set(error,
                         "%s, line %" PRIu64 ": %s=%s: no such parameter is modelled",
                         csv_name(csv), word->line, word->key, word->value);
    if (key->rule == IGNORED)
        return true;
    if (key->rule == DEVICE)
        return take_device(p, csv, word, error);
    if (key->rule == STAGE)
        return take_stage(p, csv, word, error);
    if (seen[key - keys])
        return wrong_word(csv, word, "one value only", error);
    seen[key - keys] = true;
    return take_value(p, csv, word, key, error);
}

/* The queues that the registers describe have to be ones that the model can be given. */
static bool check_registers(const struct rtl_parameters *p, const struct csv *csv,
                            struct error *error)
{
    if (RISCV_DDTP_MODE(p->ddtp) > RISCV_DDTP_3LVL)
        return error_set(error, "%s: ddtp: expected a mode of 0 .. 4, got 0x%" PRIx64,
                         csv_name(csv), p->ddtp);
    if ((RISCV_PPN_53_10(p->ddtp) | RISCV_PPN_53_10(p->cqb) | RISCV_PPN_53_10(p->fqb))
            >> MEM_PA_LG2
        != 0)
        return error_set(error, "%s: ddtp, cqb, fqb: expected addresses below 2^%d",
                         csv_name(csv), MEM_PA_LG2);
    return true;
}

bool rtl_parameters_take(struct rtl_parameters *p, const struct csv *csv,
                         struct error *error)
{
    bool seen[KEYS] = { false }, open = false;
    size_t count;
    const struct csv_word *word = csv_words(csv, &count);
    for (size_t i = 0; i < count; i++)
        if (!remark(&word[i], &open) && !take_word(p, seen, csv, &word[i], error))
            return false;
    for (unsigned i = 0; i < KEYS; i++)
        if (keys[i].required && !seen[i])
            return error_set(error, "%s: expected %s= in the header", csv_name(csv),
                             keys[i].name);
    return check_registers(p, csv, error);
}

bool rtl_device_nested(const struct rtl_parameters *p, uint32_t device)
{
    for (unsigned i = 0; i < p->devices; i++)
        if (p->device[i].id == device)
            return p->device[i].nested;
    return false;
}

bool rtl_parameters_setting(const struct rtl_parameters *p, unsigned n, char *out,
                            size_t bytes)
{
    const uint64_t inflight = p->outstanding_max < 64 ? p->outstanding_max : 64;
    const struct {
        const char *key;
        uint64_t value;
    } settings[] = {
        { "iotlb.sets", 1 },
        { "iotlb.ways", p->iotlb_entries },
        { "context.device_sets", 1 },
        { "context.device_ways", p->device_entries },
        { "context.process_sets", 1 },
        { "context.process_ways", p->process_entries },
        { "memport.inflight_max", inflight },
        { "riscv.process_contexts", p->process_contexts },
        { "riscv.msi_flat", p->msi_flat },
    };
    if (n >= sizeof settings / sizeof settings[0])
        return false;
    snprintf(out, bytes, "%s=%" PRIu64, settings[n].key, settings[n].value);
    return true;
}
