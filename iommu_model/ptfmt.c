/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/ptfmt.h"

#include <string.h>

const struct pt_format *ptfmt_find(const char *name)
{
    for (unsigned i = 0; ptfmt_table[i] != NULL; i++)
        if (strcmp(ptfmt_table[i]->name, name) == 0)
            return ptfmt_table[i];
    return NULL;
}
