/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/account.h"

#define NAME(name, text) #name,
#define TEXT(name, text) text,

const char *const cpu_owner_name[OWNERS] = { CPU_OWNERS(NAME) };
const char *const cpu_owner_text[OWNERS] = { CPU_OWNERS(TEXT) };
const char *const cpu_phase_name[PHASES] = { CPU_PHASES(NAME) };
const char *const cpu_phase_text[PHASES] = { CPU_PHASES(TEXT) };
