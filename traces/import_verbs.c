/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_verbs - ftrace text of Linux's software RoCE driver with probes at its entries:
 * registration of memory, packets sent, and the copies through memory regions.
 *
 * A message begins with the packet that carries its first bytes. Its local address is that
 * of the copy out of a region which the same thread made just before; its remote one is
 * where the far side's copies without a work request of their own (no copy_data before)
 * land or come from, in the order of the messages. All queue pairs are of one device.
 *
 * Inaccuracies: local addresses of reads and of receives are not known; the
 * acknowledgement's departure stands for its arrival; a user's doorbell (post_send) is not
 * looked at, because it does not say what was posted.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/ftrace_line.h"
#include "traces/import.h"
#include "traces/rdma_packets.h"
#include "traces/text.h"

enum { AWAITED_MAX = 1024, MAPPED_MAX = 1024, ACKNOWLEDGE = 0x11 };

/* A message whose remote memory has not all been seen. */
struct awaited {
    uint64_t record, next;
    uint32_t left;
    bool begun;
};

struct awaited_list {
    uint32_t count;
    struct awaited item[AWAITED_MAX];
};

/* What a CPU copied last. */
struct copied {
    bool by_request; /* copy_data came just before. */
    bool out;        /* Out of a region: local memory of what is sent next. */
    uint32_t key;
    uint64_t address;
};

struct verbs {
    struct trace_source *source;
    struct trace_about *about;
    struct rdma_packets *packets;
    struct copied copied[TRACE_CPUS_MAX];
    struct awaited_list writes, reads;
    uint32_t mapped;
    struct {
        uint64_t address, bytes;
    } map[MAPPED_MAX];
};

static bool line_is(const struct ftrace_line *line, const char *event)
{
    return strlen(event) == line->event_bytes
           && memcmp(line->event, event, line->event_bytes) == 0;
}

/* Any event that only these recordings have, within the first lines. */
static bool verbs_recognises(const uint8_t *first, size_t bytes)
{
    static const char *const event[] = { "reg_user_mr", "post_send", "post_recv",
                                         "xmit",        "mr_copy",   "create_qp",
                                         "create_cq",   "cq_post",   "cm_id_attach",
                                         "alloc_mr" };
    char text[IMPORT_PEEK_BYTES + 1];
    struct ftrace_line line;
    memcpy(text, first, bytes);
    text[bytes] = '\0';
    char *at    = text;
    for (char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        if (!ftrace_line_split(at, &line))
            continue;
        for (unsigned i = 0; i < sizeof event / sizeof event[0]; i++)
            if (line_is(&line, event[i]))
                return true;
    }
    return false;
}

static bool number(const char *fields, const char *key, uint64_t *value)
{
    const size_t bytes = strlen(key);
    for (const char *at = fields; (at = strstr(at, key)) != NULL; at += bytes) {
        const char *value_at = at + bytes;
        if (at != fields && text_is_name(at[-1]))
            continue;
        return text_any_number(&value_at, value);
    }
    return false;
}

static bool number32(const char *fields, const char *key, uint32_t *value)
{
    uint64_t wide;
    if (!number(fields, key, &wide) || wide > UINT32_MAX)
        return false;
    *value = (uint32_t)wide;
    return true;
}

static struct trace_record record_of(const struct ftrace_line *line, enum trace_op op)
{
    return (struct trace_record){ .time_ns        = line->time_ns,
                                  .latency_ns     = TRACE_LATENCY_UNKNOWN,
                                  .cpu            = line->cpu,
                                  .completion_cpu = line->cpu,
                                  .op             = op };
}

static bool region_add(struct verbs *v, struct trace_record *r)
{
    if (r->rdma.region_bytes == 0 || r->rdma.address > UINT64_MAX - r->rdma.region_bytes)
        return false;
    rdma_packets_add(v->packets, r);
    return true;
}

static bool on_register(struct verbs *v, const struct ftrace_line *line)
{
    struct trace_record r = record_of(line, TRACE_RDMA_REGISTER);
    if (!number(line->fields, "iova=", &r.rdma.address)
        || !number(line->fields, "length=", &r.rdma.region_bytes))
        return false;
    if (!number32(line->fields, "rkey=", &r.rdma.key))
        return true; /* The probe at its entry, which does not know the key. */
    return region_add(v, &r);
}

static bool on_map(struct verbs *v, const struct ftrace_line *line)
{
    if (v->mapped == MAPPED_MAX)
        memmove(v->map, v->map + 1, --v->mapped * sizeof v->map[0]);
    if (!number(line->fields, "iova=", &v->map[v->mapped].address)
        || !number(line->fields, "length=", &v->map[v->mapped].bytes))
        return false;
    v->mapped++;
    return true;
}

/* Registrations by work request are carried out in the order in which they were mapped. */
static bool on_fast_register(struct verbs *v, const struct ftrace_line *line)
{
    struct trace_record r = record_of(line, TRACE_RDMA_FAST_REGISTER);
    if (!number32(line->fields, "key=", &r.rdma.key))
        return false;
    if (v->mapped == 0)
        return true; /* It was mapped before the recording began. */
    r.rdma.address      = v->map[0].address;
    r.rdma.region_bytes = v->map[0].bytes;
    memmove(v->map, v->map + 1, --v->mapped * sizeof v->map[0]);
    return region_add(v, &r);
}

static bool on_end_of_region(struct verbs *v, const struct ftrace_line *line,
                             enum trace_op op)
{
    struct trace_record r = record_of(line, op);
    if (!number32(line->fields,
                  op == TRACE_RDMA_DEREGISTER ? "lkey=" : "key=", &r.rdma.key))
        return false;
    rdma_packets_add(v->packets, &r);
    return true;
}

static bool on_invalidate(struct verbs *v, const struct ftrace_line *line)
{
    return on_end_of_region(v, line, TRACE_RDMA_INVALIDATE);
}

static bool on_deregister(struct verbs *v, const struct ftrace_line *line)
{
    return on_end_of_region(v, line, TRACE_RDMA_DEREGISTER);
}

static bool on_receive(struct verbs *v, const struct ftrace_line *line)
{
    struct trace_record r = record_of(line, TRACE_RDMA_RECEIVE);
    if (!number32(line->fields, "qpn=", &r.rdma.qp) || r.rdma.qp >> TRACE_QP_BITS != 0)
        return false;
    rdma_packets_add(v->packets, &r);
    return true;
}

static bool on_copy_data(struct verbs *v, const struct ftrace_line *line)
{
    v->copied[line->cpu].by_request = true;
    return true;
}

/* The first message that a piece of remote memory fits: one that goes on with it, or the
 * oldest that has none. */
static void remote_copy(struct verbs *v, struct awaited_list *list, uint32_t key,
                        uint64_t address, uint32_t bytes)
{
    uint32_t at = list->count;
    for (uint32_t i = list->count; i-- > 0;) {
        const struct awaited *a = &list->item[i];
        if (a->begun ? a->next == address : at == list->count || !list->item[at].begun)
            at = i;
    }
    if (at == list->count)
        return;
    struct awaited *const a        = &list->item[at];
    struct window_request *request = window_at(&v->packets->window, a->record);
    if (!a->begun && request != NULL && address <= UINT64_MAX - request->record.bytes) {
        request->record.rdma.address = address;
        request->record.rdma.key     = key;
    }
    a->begun = true;
    a->next  = address + bytes;
    a->left -= bytes < a->left ? bytes : a->left;
    if (a->left == 0) {
        list->count--;
        memmove(a, a + 1, (list->count - at) * sizeof *a);
    }
}

static bool on_mr_copy(struct verbs *v, const struct ftrace_line *line)
{
    struct copied *const c = &v->copied[line->cpu];
    uint64_t address, out;
    uint32_t key, bytes;
    if (!number32(line->fields, "lkey=", &key) || !number(line->fields, "iova=", &address)
        || !number32(line->fields, "length=", &bytes)
        || !number(line->fields, "dir=", &out))
        return false;
    if (!c->by_request)
        remote_copy(v, out != 0 ? &v->reads : &v->writes, key, address, bytes);
    else
        *c = (struct copied){ .out = out != 0, .key = key, .address = address };
    c->by_request = false;
    return true;
}

/* Its key is not recorded. */
static bool on_mr_atomic(struct verbs *v, const struct ftrace_line *line)
{
    (void)v;
    (void)line;
    return true;
}

static void await(struct awaited_list *list, uint64_t record, uint32_t bytes)
{
    if (list->count == AWAITED_MAX)
        memmove(list->item, list->item + 1, --list->count * sizeof list->item[0]);
    if (bytes != 0)
        list->item[list->count++] = (struct awaited){ .record = record, .left = bytes };
}

static bool on_transmit(struct verbs *v, const struct ftrace_line *line,
                        struct error *error)
{
    struct rdma_packet k   = { .time_ns = line->time_ns, .cpu = line->cpu };
    struct copied *const c = &v->copied[line->cpu];
    uint64_t opcode, record;
    enum trace_op op;
    if (!number32(line->fields, "qpn=", &k.qp) || !number(line->fields, "opcode=", &opcode)
        || !number32(line->fields, "psn=", &k.psn) || opcode > UINT8_MAX
        || k.qp >> TRACE_QP_BITS != 0 || k.psn >> 24 != 0)
        return error_set(error, "its fields are not understood");
    k.opcode = (uint8_t)opcode;
    k.flow   = k.qp;
    if (rdma_opcode_begins(k.opcode, &op)
        && (!number32(line->fields, "wqe_len=", &k.message_bytes)
            || k.message_bytes > TRACE_MESSAGE_MAX))
        return error_set(error, "the probe must record wqe_len=");
    k.whole_size = true;
    if (!rdma_packets_put(v->packets, &k, &record, error))
        return false;
    struct window_request *r = window_at(&v->packets->window, record);
    if (r != NULL && rdma_opcode_begins(k.opcode, &op)) {
        const bool sends = op == TRACE_RDMA_SEND || op == TRACE_RDMA_WRITE;
        if (sends && c->out && c->address <= UINT64_MAX - k.message_bytes) {
            r->record.rdma.local_key     = c->key;
            r->record.rdma.local_address = c->address;
        }
        if (op == TRACE_RDMA_WRITE || op == TRACE_RDMA_READ)
            await(op == TRACE_RDMA_WRITE ? &v->writes : &v->reads, record, k.message_bytes);
    }
    *c = (struct copied){ 0 };
    return true;
}

static const struct {
    const char *event;
    bool (*handle)(struct verbs *v, const struct ftrace_line *line);
} handlers[] = {
    { "mr_copy", on_mr_copy },           { "copy_data", on_copy_data },
    { "reg_user_mr", on_register },      { "map_mr_sg", on_map },
    { "reg_fast_mr", on_fast_register }, { "invalidate_mr", on_invalidate },
    { "dereg_mr", on_deregister },       { "post_recv", on_receive },
    { "mr_atomic", on_mr_atomic },
};

static bool event_handle(struct verbs *v, const struct ftrace_line *line,
                         struct error *error)
{
    if (line_is(line, "xmit"))
        return on_transmit(v, line, error);
    for (unsigned i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (line_is(line, handlers[i].event))
            return handlers[i].handle(v, line)
                   || error_set(error, "its fields are not understood");
    return true;
}

static bool line_handle(struct verbs *v, const char *text, struct error *error)
{
    struct ftrace_line line;
    if (text[0] == '#' || !ftrace_line_split(text, &line))
        return true;
    const bool good = line.cpu < TRACE_CPUS_MAX
                          ? event_handle(v, &line, error)
                          : error_set(error, "cpu %" PRIu32 " must be below %d", line.cpu,
                                      TRACE_CPUS_MAX);
    return good
           || error_in(error, "line %" PRIu64 ": %.*s", trace_source_line_number(v->source),
                       (int)line.event_bytes, line.event);
}

static void *verbs_open(struct trace_source *source, struct trace_about *about,
                        struct error *error)
{
    (void)error;
    struct verbs *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->source  = source;
    v->about   = about;
    v->packets = rdma_packets_new();
    return v;
}

static int verbs_next(void *state, struct trace_record *record, struct error *error)
{
    struct verbs *v = state;
    size_t bytes;
    while (!rdma_packets_full(v->packets)) {
        const char *text = trace_source_line(v->source, &bytes, error);
        if (text == NULL && error->text[0] != '\0')
            return -1;
        if (text == NULL && rdma_packets_empty(v->packets))
            return rdma_packets_end(v->packets, v->about, error) ? 0 : -1;
        if (text == NULL)
            break;
        if (!line_handle(v, text, error))
            return -1;
    }
    *record = rdma_packets_take(v->packets);
    return 1;
}

static void verbs_close(void *state)
{
    struct verbs *v = state;
    rdma_packets_free(v->packets);
    free(v);
}

const struct trace_importer import_verbs = {
    .name       = "verbs",
    .summary    = "Text of Linux ftrace with probes of RDMA verbs",
    .origin     = "ftrace with probes of the rdma_rxe driver (traces/FORMAT.md)",
    .knows      = KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_MEMORY | KNOWS_RDMA,
    .recognises = verbs_recognises,
    .open       = verbs_open,
    .next       = verbs_next,
    .close      = verbs_close,
};
