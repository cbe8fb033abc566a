/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtd_oracle - what VT-d's scalable-mode tables say about one request, by the book.
 *
 * Reads memory and nothing else: no cache, no time, no code or constant of the model. It is
 * what a model with all its caches must answer whenever the software has told it of every
 * change.
 */
#ifndef SIM_TEST_VTD_ORACLE_H
#define SIM_TEST_VTD_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/memory.h"

/* What the hardware has. */
struct vtd_oracle {
    struct memory *memory;
    uint64_t root;
    unsigned second_levels_max, first_levels_max, pasid_bits;
    bool nested, device_tlb, page_2m, page_1g, first_1g;
};

struct vtd_question {
    uint64_t address;
    unsigned requester, pasid;
    bool has_pasid, privileged, write;
    bool translation, no_write; /* A device asks for a translation. */
};

struct vtd_answer {
    unsigned fault; /* The reason; 0: none. */
    uint64_t pa;
    unsigned size_lg2; /* Of the page; 12 without tables. */
    bool r, w;         /* Of a translation that is asked for. */
    uint64_t leaf;     /* Where the first stage's leaf lies, when it is not nested; or 0. */
};

struct vtd_answer vtd_oracle_ask(const struct vtd_oracle *o, const struct vtd_question *q);

#endif
