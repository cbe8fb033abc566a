/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd - values as a waveform file (IEEE 1364 Value Change Dump), through SystemC's tracing.
 *
 * Only under the SystemC host: what the values are when its time moves on is written for
 * the time that they had.
 */
#ifndef SIM_HOST_VCD_H
#define SIM_HOST_VCD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vcd_signal {
    const char *name; /* Dots separate scopes. */
    unsigned bits;    /* 1 to 64; a value that needs more is written as unknown. */
    const uint64_t *value;
};

struct vcd;

/* Begins the file "BASE.vcd"; values and names stay the caller's until vcd_close. */
struct vcd *vcd_open(const char *base, const struct vcd_signal *signal, unsigned signals);
void vcd_close(struct vcd *vcd);

#ifdef __cplusplus
}
#endif

#endif
