/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_world - random tables of a RISC-V IOMMU: directories, contexts, both stages.
 *
 * A world has one or two devices with address spaces of their own. Each of its words in
 * memory is remembered with what it is, so that a test can damage or change it, and make it
 * vanish again without touching the rest of memory.
 */
#ifndef SIM_TEST_RISCV_WORLD_H
#define SIM_TEST_RISCV_WORLD_H

#include "sim/base/memory.h"
#include "sim/base/rng.h"
#include "sim/test/riscv_oracle.h"

enum world_kind {
    WORLD_DDT,
    WORLD_DC,
    WORLD_PDT,
    WORLD_PC,
    WORLD_S1_TABLE,
    WORLD_S1_LEAF,
    WORLD_S2_TABLE,
    WORLD_S2_LEAF,
    WORLD_MSI,
    WORLD_KINDS
};

/* count equal words from pa on (a 64 KiB leaf has 16), which translate address. */
struct world_word {
    uint64_t pa, address;
    uint32_t process, pscid;
    uint8_t kind, device, count, lg2;
};

/* An address that a mapping was made for. */
struct world_target {
    uint64_t iova;
    uint32_t process;
    uint8_t device, lg2; /* lg2: of the smaller page. */
    bool pv;
};

struct world_device {
    uint32_t id, gscid, pscid[2], process[2];
    unsigned s1_mode, s2_mode; /* As in iosatp and iohgatp; 0: Bare. */
    unsigned processes;        /* 0: the first stage is the device's. */
    uint64_t dc_pa, iohgatp;
    bool redirects;
};

enum { WORLD_WORDS = 400, WORLD_TARGETS = 12, WORLD_DEVICES = 2, WORLD_GUESTS = 96 };

struct world {
    struct memory *memory;
    struct rng rng;
    uint64_t capabilities, ddtp;
    bool napot;  /* Leaves of 64 KiB may be used. */
    bool global; /* There is one address space, and its pages may be global. */
    unsigned device_count, word_count, target_count;
    struct world_device device[WORLD_DEVICES];
    struct world_word word[WORLD_WORDS];
    struct world_target target[WORLD_TARGETS];
    uint64_t guest[WORLD_GUESTS]; /* Guest-physical pages with tables. */
    unsigned guest_count, next_large;
    uint64_t next_page, next_region;
    uint32_t pscid; /* Of the address space that is being built. */
    bool has_napot; /* A leaf of 64 KiB was made. */
    bool moved;     /* Damage has given a context another space. */
};

/* Removes what is there and builds another world; memory, rng, capabilities and napot are
 * the caller's to set before the first time. */
void world_build(struct world *w);
void world_clear(struct world *w);

/* Flips a random bit of one random word, its like included. */
const struct world_word *world_damage(struct world *w);
/* A request for one of the targets, or near it. */
struct oracle_request world_request(struct world *w);

static inline uint32_t world_below(struct world *w, uint32_t bound)
{
    return rng_below(&w->rng, bound);
}
static inline bool world_chance(struct world *w, unsigned percent)
{
    return rng_below(&w->rng, 100) < percent;
}

#endif
