/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/exerciser.h"

#include <stdlib.h>
#include <string.h>

#define PARAM_OWNER struct exerciser_config
#define STAT_OWNER  struct exerciser_stats
static const struct param_def exerciser_params[]  = { EXERCISER_PARAMS(PARAM_ROW)
                                                          PARAM_END };
static const struct stat_def exerciser_counters[] = { EXERCISER_STATS(STAT_ROW) STAT_END };

const struct param_table exerciser_param_table = {
    "exerciser", "A device that only reads and writes memory", exerciser_params,
    sizeof(struct exerciser_config), NULL
};
const struct stat_table exerciser_stat_table = { "exerciser",
                                                 "What the bare accesses came to",
                                                 exerciser_counters,
                                                 sizeof(struct exerciser_stats) };

static void submit_ready(struct exerciser *e, sim_time_t now)
{
    while (e->next < e->count && e->next - e->answered < e->config.inflight) {
        const uint64_t entry           = e->list[e->next];
        const bool writes              = (entry & EXERCISER_WRITES) != 0;
        const struct port_request want = { .iova      = entry & ~(uint64_t)EXERCISER_WRITES,
                                           .bytes     = e->bytes,
                                           .requester = e->requester,
                                           .kind      = writes ? PORT_WRITE : PORT_READ };
        if (e->ready > now) {
            *e->due = time_min(*e->due, e->ready);
            return;
        }
        if (!port_ready(e->port, (enum port_kind)want.kind))
            return;
        port_submit(e->port, &want, now);
        e->stats.access_written += writes;
        e->stats.access_read += !writes;
        e->next++;
    }
}

static void answer(struct exerciser *e, const struct port_response *r, sim_time_t now)
{
    e->answered++;
    e->ready = now + e->config.device_ns * TIME_NS;
    e->stats.access++;
    e->stats.access_refused += r->status != PORT_OK;
    e->stats.bytes += e->bytes;
    e->stats.latency_ps += now - r->submitted;
    histogram_record(&e->latency_ns, (now - r->submitted) / TIME_NS);
    if (e->answered < e->count)
        return;
    e->stats.list++;
    e->stats.busy_ps += now - e->began;
}

static void exerciser_step(void *self, sim_time_t now)
{
    struct exerciser *e = self;
    struct port_response response;
    *e->due = TIME_NEVER;
    while (port_take(e->port, &response, now))
        answer(e, &response, now);
    submit_ready(e, now);
}

bool exerciser_idle(const struct exerciser *e)
{
    return e->answered == e->count;
}

/* What is not in range is ignored, as a device does. */
static void write_register(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                           sim_time_t now)
{
    struct exerciser *e  = self;
    const uint32_t entry = (offset - EXERCISER_LIST) / 8;
    (void)bytes;
    if (offset >= EXERCISER_LIST && entry < EXERCISER_LIST_MAX) {
        e->list[entry] = value;
    } else if (offset == EXERCISER_BYTES && value >= 1 && value <= PORT_BYTES_MAX) {
        e->bytes = (uint32_t)value;
    } else if (offset == EXERCISER_GO && exerciser_idle(e) && value <= EXERCISER_LIST_MAX) {
        e->count = (uint32_t)value;
        e->next = e->answered = 0;
        e->began = e->ready = now;
        *e->due             = time_min(*e->due, now);
    }
}

static uint64_t read_register(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    const struct exerciser *e = self;
    (void)bytes;
    (void)now;
    return offset == EXERCISER_BUSY ? e->count - e->answered : 0;
}

const struct mmio_ops exerciser_mmio_ops = { .write = write_register,
                                             .read  = read_register };

void exerciser_init(struct exerciser *e, struct engine *engine, struct port *port,
                    const struct exerciser_config *config, uint16_t requester)
{
    memset(e, 0, sizeof *e);
    e->config    = *config;
    e->port      = port;
    e->requester = requester;
    e->bytes     = 64;
    e->list      = calloc(EXERCISER_LIST_MAX, sizeof *e->list);
    CHECK(e->list != NULL);
    e->due           = engine_add_block(engine, "exerciser", exerciser_step, e);
    port->device_due = e->due;
}

void exerciser_free(struct exerciser *e)
{
    free(e->list);
}
