/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/repl.h"

#include <string.h>

const struct repl_policy *repl_find(const char *name)
{
    for (unsigned i = 0; repl_table[i] != NULL; i++)
        if (strcmp(repl_table[i]->name, name) == 0)
            return repl_table[i];
    return NULL;
}

const char *repl_member(unsigned index)
{
    return repl_table[index] == NULL ? NULL : repl_table[index]->name;
}
