/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_ns3 - flow files of the RDMA simulations for ns-3 (HPCC, ConWeave, SimAI): how
 * many flows, then a line for each: source, destination, priority group, port, bytes, start
 * in seconds. A flow is a row of RDMA writes of 1 MiB or less, one after the other;
 * addresses are not known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/feed.h"
#include "traces/text.h"

enum { MESSAGE_BYTES = 1 << 20 };

struct ns3 {
    struct feed *feed;
    uint64_t announced, flows;
    struct trace_record message; /* Of the flow that is being cut up. */
    uint64_t left;
};

/* The count alone, then a line of six numbers, the last with or without a point. */
static bool flow_parse(const char *at, uint64_t value[5], uint64_t *time_ns)
{
    for (unsigned i = 0; i < 5; i++) {
        at = text_skip_blanks(at);
        if (!text_number(&at, 10, &value[i]) || (*at != ' ' && *at != '\t'))
            return false;
    }
    at = text_skip_blanks(at);
    return text_decimal(&at, 1000000000, time_ns) && *text_skip_blanks(at) == '\0';
}

static bool count_parse(const char *at, uint64_t *count)
{
    at = text_skip_blanks(at);
    return text_number(&at, 10, count) && *text_skip_blanks(at) == '\0';
}

static bool ns3_recognises(const uint8_t *first, size_t bytes)
{
    char text[IMPORT_PEEK_BYTES + 1];
    uint64_t value[5], time_ns, count;
    memcpy(text, first, bytes);
    text[bytes]  = '\0';
    char *second = strchr(text, '\n');
    if (second == NULL)
        return false;
    *second++                       = '\0';
    second[strcspn(second, "\r\n")] = '\0';
    text[strcspn(text, "\r")]       = '\0';
    return count_parse(text, &count) && flow_parse(second, value, &time_ns);
}

static void ns3_close(void *state)
{
    struct ns3 *n = state;
    feed_free(n->feed);
    free(n);
}

static void *ns3_open(struct trace_source *source, struct trace_about *about,
                      struct error *error)
{
    struct ns3 *n = calloc(1, sizeof *n);
    size_t bytes;
    CHECK(n != NULL);
    n->feed          = feed_new(source, about);
    const char *text = trace_source_line(source, &bytes, error);
    if (text != NULL && count_parse(text, &n->announced))
        return n;
    if (error->text[0] == '\0')
        error_set(error, "line 1: expected the number of flows");
    ns3_close(n);
    return NULL;
}

static bool flow_begin(struct ns3 *n, const char *text, struct error *error)
{
    enum { SOURCE, DESTINATION, GROUP, PORT, BYTES };
    uint64_t value[5], time_ns;
    char name[24];
    struct trace_record *const r = &n->message;
    if (!flow_parse(text, value, &time_ns))
        return error_set(error, "expected source, destination, priority group, port, bytes "
                                "and start");
    *r               = (struct trace_record){ .time_ns    = time_ns,
                                              .latency_ns = TRACE_LATENCY_UNKNOWN,
                                              .op         = TRACE_RDMA_WRITE };
    const int source = snprintf(name, sizeof name, "%" PRIu64, value[SOURCE]);
    if (!feed_device(n->feed, name, (size_t)source, &r->device, error))
        return false;
    const int peer = snprintf(name, sizeof name, "%" PRIu64, value[DESTINATION]);
    if (!feed_device(n->feed, name, (size_t)peer, &r->rdma.peer, error))
        return false;
    /* A flow has its own connection; numbers 0 and 1 are for management. */
    n->flows++;
    r->rdma.qp = r->rdma.peer_qp = (uint32_t)((n->flows + 1) & ((1 << TRACE_QP_BITS) - 1));
    n->left                      = value[BYTES];
    n->feed->skipped += n->left == 0;
    return true;
}

static int ns3_more(void *self, struct error *error)
{
    struct ns3 *n = self;
    size_t bytes;
    if (n->left != 0) {
        n->message.bytes = n->left < MESSAGE_BYTES ? (uint32_t)n->left : MESSAGE_BYTES;
        n->left -= n->message.bytes;
        sorter_put(&n->feed->sorter, &n->message);
        return 1;
    }
    const char *text = trace_source_line(n->feed->source, &bytes, error);
    if (text == NULL && error->text[0] != '\0')
        return -1;
    const uint64_t line = trace_source_line_number(n->feed->source);
    if (text == NULL && n->flows == n->announced)
        return 0;
    if (text != NULL && bytes == 0)
        return 1;
    if (text == NULL)
        error_set(error, "the file ends with flow %" PRIu64 " of %" PRIu64, n->flows,
                  n->announced);
    else if (n->flows == n->announced)
        error_set(error, "there are more flows than the %" PRIu64 " announced",
                  n->announced);
    else if (flow_begin(n, text, error))
        return 1;
    error_in(error, "line %" PRIu64, line);
    return -1;
}

static int ns3_next(void *state, struct trace_record *record, struct error *error)
{
    struct ns3 *n = state;
    return feed_next(n->feed, n, ns3_more, record, error);
}

const struct trace_importer import_ns3 = {
    .name       = "ns3",
    .summary    = "Flow files of RDMA simulations for ns-3",
    .origin     = "HPCC, ConWeave or SimAI, flow.txt",
    .knows      = KNOWS_TIME | KNOWS_DEVICE | KNOWS_RDMA,
    .recognises = ns3_recognises,
    .open       = ns3_open,
    .next       = ns3_next,
    .close      = ns3_close,
};
