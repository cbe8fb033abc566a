/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/preset.h"

#include <stddef.h>
#include <string.h>

const struct preset *preset_find(const char *name)
{
    for (unsigned i = 0; preset_table[i] != NULL; i++)
        if (strcmp(preset_table[i]->name, name) == 0)
            return preset_table[i];
    return NULL;
}
