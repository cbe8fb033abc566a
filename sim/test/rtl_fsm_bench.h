/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtl_fsm_bench - the RTL's test bench around rtl_fsm: memory, device, software, recorder.
 *
 * Memory samples a burst when its address is accepted, offers it some cycles later on one
 * in-order channel, one beat a cycle, and answers a write some cycles after its last datum.
 * What happens at the ports is kept in the form of a recorded run.
 */
#ifndef SIM_TEST_RTL_FSM_BENCH_H
#define SIM_TEST_RTL_FSM_BENCH_H

#include "sim/rtl/run.h"
#include "sim/test/rtl_fsm.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FSM_BENCH_PAGES  = 1 << 12,
    FSM_BENCH_BURSTS = 128,
    FSM_BENCH_BEATS  = 4,
    FSM_BENCH_PORTS  = 2
};

struct fsm_bench_page {
    uint64_t number; /* 0: none. */
    uint64_t word[512];
};

struct fsm_bench_memory {
    struct fsm_bench_page *page; /* Hashed by number. */
};

uint64_t fsm_bench_load(const struct fsm_bench_memory *m, uint64_t pa);
void fsm_bench_store(struct fsm_bench_memory *m, uint64_t pa, uint64_t value);

struct fsm_bench_burst {
    uint64_t due; /* Of its next beat, at the earliest. */
    uint32_t id, beats, sent;
    uint64_t data[FSM_BENCH_BEATS];
    size_t access; /* Its row. */
};

struct fsm_bench_response {
    uint64_t due;
    uint32_t id;
    size_t access;
};

/* A device's port: the request under way. */
struct fsm_bench_port {
    struct fsm_request request;
    cycle_t issued, served; /* served: the front end began with it. */
    bool flagged, looked;
    int8_t context_hit, iotlb_hit;
};

struct fsm_bench {
    struct fsm fsm;
    struct fsm_bench_memory memory;
    cycle_t now;
    struct rtl_run log;
    struct fsm_bench_port port[FSM_BENCH_PORTS];
    struct fsm_bench_burst burst[FSM_BENCH_BURSTS];
    uint32_t burst_first, bursts;
    struct fsm_bench_response response[FSM_BENCH_BURSTS];
    uint32_t responses;
    size_t write_access[2]; /* The row of either writer's last address. */
    uint16_t reads;         /* Of both walkers since a request was done. */
    uint32_t head, tail;    /* As they showed in the last cycle. */
    cycle_t valid_since;
    bool showing;
    cycle_t register_free; /* The register port takes the next write. */
    uint32_t doorbell;     /* Is rung in this cycle, when rings. */
    bool rings;
    struct fsm_out out; /* Of the last cycle. */
};

/* parameters: of the run; log.parameters is a copy. */
void fsm_bench_init(struct fsm_bench *b, const struct rtl_parameters *parameters);
void fsm_bench_free(struct fsm_bench *b);

/* From this cycle on, until it is done. */
void fsm_bench_issue(struct fsm_bench *b, enum fsm_channel channel,
                     const struct fsm_request *request);
/* Software's stores and writes of cqt, seen in this cycle; both are logged. */
void fsm_bench_software_store(struct fsm_bench *b, uint64_t pa, uint64_t value);
void fsm_bench_ring(struct fsm_bench *b, uint32_t tail);

/* One cycle; true when out.done of it is valid, and log has one more request. */
bool fsm_bench_cycle(struct fsm_bench *b);

/* Plays a recorded run's requests, stores and doorbells in their cycles; answers and
 * effects are those of the FSM. False when it did not end. */
bool fsm_bench_replay(struct fsm_bench *b, const struct rtl_run *recorded);

#ifdef __cplusplus
}
#endif

#endif
