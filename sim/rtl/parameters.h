/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parameters - what the RTL of a recorded run was built and driven with.
 *
 * The header of the run's requests says it. Every word is known: it is modelled, or it only
 * says how the requests were drawn. A parameter that is missing, unknown or not modelled is
 * an error, as a run is replayed as it was recorded or not at all.
 */
#ifndef SIM_RTL_PARAMETERS_H
#define SIM_RTL_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct csv;

/* A device, and whether both stages translate its addresses. */
struct rtl_device {
    uint32_t id;
    bool nested;
};

enum { RTL_DEVICES_MAX = 256 };

struct rtl_parameters {
    uint64_t iotlb_entries, device_entries, process_entries;
    uint64_t process_contexts, msi_flat; /* InclPC, MSITrans. */
    uint64_t read_latency, write_latency, beats_per_cycle, outstanding_max;
    uint64_t ddtp, cqb, fqb;
    uint64_t requests; /* As announced; 0: not. */
    unsigned devices;
    struct rtl_device device[RTL_DEVICES_MAX];
};

/* Takes them from the header of a file. */
bool rtl_parameters_take(struct rtl_parameters *p, const struct csv *csv,
                         struct error *error);

bool rtl_device_nested(const struct rtl_parameters *p, uint32_t device);

/* The n-th parameter of the simulator that follows from them, as "key=value"; false behind
 * the last. They go on top of the preset of this RTL. */
bool rtl_parameters_setting(const struct rtl_parameters *p, unsigned n, char *out,
                            size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
