/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - assertions that stay on in release builds.
 *
 * A failed CHECK is a violation: our own mistake, never the user's and never modelled
 * behaviour. It prints the condition, the place and whatever the registered witnesses know
 * (simulated time, seed, translations in flight), then aborts.
 */
#ifndef SIM_BASE_CHECK_H
#define SIM_BASE_CHECK_H

#include <assert.h> /* static_assert, for everyone */
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CHECK(condition)                                                                   \
    (__builtin_expect(!!(condition), 1) ? (void)0                                          \
                                        : check_failed(#condition, __FILE__, __LINE__))

/* Whole-structure audits: on in debug, sanitizer and fuzz builds (IOVASIM_SLOW_CHECKS). */
#ifdef IOVASIM_SLOW_CHECKS
#define CHECK_SLOW(condition) CHECK(condition)
#else
#define CHECK_SLOW(condition) ((void)0)
#endif

#define UNREACHABLE(why) check_failed("unreachable: " why, __FILE__, __LINE__)

__attribute__((noreturn, cold)) void check_failed(const char *condition, const char *file,
                                                  int line);

/* A witness adds lines to the report of a violation. At most 8; the newest speaks first. */
typedef void check_witness_fn(void *self, FILE *out);
void check_witness_add(check_witness_fn *witness, void *self);
void check_witness_remove(void *self);

#ifdef __cplusplus
}
#endif

#endif
