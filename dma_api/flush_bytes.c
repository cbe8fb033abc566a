/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_bytes - flush when so many bytes are waiting.
 *
 * The bound is on what is reachable, whatever the size of requests; there is no timer.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define BYTES_PARAMS(P)          \
    P(u32, kib, 1024, 4, 4194304, ANY, "KiB", "Flush when so much is waiting", \
     "256 pages: a flush queue of single pages")
/* clang-format on */

struct bytes_config {
    BYTES_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct bytes_config
static const struct param_def bytes_params[]      = { BYTES_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table bytes_param_table = { "bytes", "The byte-limited batch",
                                                      bytes_params,
                                                      sizeof(struct bytes_config), NULL };

static void bytes_rules(const void *config, struct flush_rules *r)
{
    const struct bytes_config *c = config;
    r->batch                     = BATCH_domain;
    r->grain                     = GRAIN_domain;
    r->ring_entries              = 65536;
    r->bytes                     = (uint64_t)c->kib << 10;
}

const struct flush_policy flush_bytes = {
    .name       = "bytes",
    .summary    = "Flush the domain when B bytes are waiting; no timer",
    .source     = "a point of the design space (catalogue 18)",
    .promise    = PROMISE_BOUNDED_BYTES,
    .translates = true,
    .params     = &bytes_param_table,
    .rules      = bytes_rules,
};
