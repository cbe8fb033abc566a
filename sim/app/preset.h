/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset - the family of machines that have a name: sets of parameter values with sources.
 *
 * sim/app/preset_X.c defines `const struct preset preset_X`; its name on the command line
 * is given in the struct, with '-' for '_'.
 */
#ifndef SIM_APP_PRESET_H
#define SIM_APP_PRESET_H

struct preset_value {
    const char *assignment; /* "key=value" */
    const char *source;
};

struct preset {
    const char *name, *summary;
    const struct preset_value *value; /* assignment NULL ends it. */
};

extern const struct preset *const preset_table[];
const struct preset *preset_find(const char *name); /* NULL when there is none. */

#endif
