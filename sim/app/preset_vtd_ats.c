/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset_vtd_ats - the server in scalable mode, and the drive keeps translations in a TLB
 * of its own: Address Translation Services.
 */
#include "sim/app/preset.h"

#include <stddef.h>

static const struct preset_value values[] = {
    { "vtd.scalable=1", "server parts since Sapphire Rapids" },
    { "vtd.device_tlb=1", "most server parts" },
    { "atc.enabled=1", "chosen" },
    { NULL, NULL },
};

const struct preset preset_vtd_ats = {
    .name    = "vtd-ats",
    .summary = "The scalable-mode server, and a drive with a TLB of its own (ATS)",
    .value   = values,
};
