/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset_vtd_scalable - the server in scalable mode: PASID tables and a first stage, as
 * Linux uses them on server parts since Sapphire Rapids. vtd.first_stage=0 is its second
 * stage.
 */
#include "sim/app/preset.h"

#include <stddef.h>

static const struct preset_value values[] = {
    { "vtd.scalable=1", "server parts since Sapphire Rapids" },
    { NULL, NULL },
};

const struct preset preset_vtd_scalable = {
    .name    = "vtd-scalable",
    .summary = "The server in scalable mode, with first-stage tables",
    .value   = values,
};
