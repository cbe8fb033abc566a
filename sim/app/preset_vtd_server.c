/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset_vtd_server - an x86 server with VT-d and a fast NVMe drive: the defaults.
 *
 * The defaults of every table describe this machine; docs/validation.md says which of them
 * were fitted to what.
 */
#include "sim/app/preset.h"

#include <stddef.h>

static const struct preset_value values[] = { { NULL, NULL } };

const struct preset preset_vtd_server = {
    .name    = "vtd-server",
    .summary = "x86 server of 2018 to 2022 with VT-d, PCI Express 4.0 NVMe drive",
    .value   = values,
};
