/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run - one recorded random run of the RTL, as its files say.
 *
 * X_req.csv holds every request and, in its header, what the RTL was built and driven with;
 * X_image.csv what memory held at the start; X_events.csv what software stored, rang and
 * saw; X_mem.csv (which may be missing) every access of the RTL to memory. All may be
 * gzipped. A parameter that is missing, unknown or not modelled is an error: a run is
 * replayed as it was recorded, or not at all.
 */
#ifndef SIM_RTL_RUN_H
#define SIM_RTL_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/simtime.h"
#include "sim/rtl/parameters.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The AXI channels of the device's port. */
enum rtl_channel { RTL_AR, RTL_AW, RTL_CHANNELS };

enum { RTL_UNKNOWN = -1 }; /* Of a hit flag: not recorded. */

struct rtl_request {
    cycle_t issued, done;
    uint64_t iova, pa;
    uint64_t line; /* In the file. */
    uint32_t device, process;
    uint16_t cause, reads;
    uint8_t channel;
    int8_t context_hit, iotlb_hit; /* RTL_UNKNOWN, 0 or 1. */
    bool has_process, fault;
    bool hung; /* Until software dropped the device's context. */
};

/* A word that software stored; reads accepted from that cycle on see it. */
struct rtl_store {
    cycle_t cycle;
    uint64_t pa, value;
};

/* The command queue's new tail, and the cycle in which its write was presented. */
struct rtl_doorbell {
    cycle_t cycle;
    uint32_t tail;
};

struct rtl_command {
    cycle_t fetched;       /* Its read was accepted. */
    cycle_t flushed, head; /* Its effect (CYCLE_NEVER: none); the head shows it is read. */
    uint32_t index;        /* In the queue. */
    uint64_t low, high;
};

/* The fault queue's new tail. */
struct rtl_fault {
    cycle_t cycle;
    uint32_t tail;
};

enum { RTL_KIND_MAX = 12 };

/* An access of the RTL to memory. */
struct rtl_access {
    cycle_t presented, accepted, first, last; /* first, last: of the data. */
    uint64_t pa;
    uint32_t beats, engine; /* The AXI id: reads 0 PTW, 1 CDW, 2 CQ; writes 0 CQ, 1 FQ. */
    bool write;
    char kind[RTL_KIND_MAX]; /* The table that it lies in. */
};

struct rtl_run {
    char *name; /* The path without _req.csv and so on. */
    struct rtl_parameters parameters;
    size_t requests, words, stores, doorbells, commands, faults, accesses;
    struct rtl_request *request; /* In order of completion. */
    struct rtl_store *word;      /* Memory at the start; cycle is 0. */
    struct rtl_store *store;     /* These and the following in order of time. */
    struct rtl_doorbell *doorbell;
    struct rtl_command *command;
    struct rtl_fault *fault;
    struct rtl_access *access;
    bool has_accesses; /* There is a file of them. */
};

/* Whether a file's name is that of a run's requests. */
bool rtl_run_is(const char *path);

/* Reads the run whose requests are at path; run is to be freed also when this fails. */
bool rtl_run_load(struct rtl_run *run, const char *path, struct error *error);
void rtl_run_free(struct rtl_run *run);

#ifdef __cplusplus
}
#endif

#endif
