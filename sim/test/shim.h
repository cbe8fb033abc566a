/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim - GoogleTest for test bodies written in C.
 *
 *     TEST_CASE(iotlb, fill_makes_its_entry_the_youngest)
 *     {
 *         EXPECT_EQUAL(table.stats.lookup, 3);
 *     }
 *
 * registers itself; one C++ file (gtest_shim.cc) hands it to GoogleTest. An expectation
 * that fails is reported and the body goes on; REQUIRE returns from the body.
 */
#ifndef SIM_TEST_SHIM_H
#define SIM_TEST_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void shim_register(const char *suite, const char *name, const char *file, int line,
                   void (*body)(void));
bool shim_true(bool got, const char *text, const char *file, int line);
bool shim_equal(uint64_t got, uint64_t want, const char *text, const char *file, int line);
bool shim_text_equal(const char *got, const char *want, const char *text, const char *file,
                     int line);
bool shim_text_has(const char *got, const char *part, const char *text, const char *file,
                   int line);
/* Runs action in a child process and expects it to die with part in its error output. */
bool shim_dies(void (*action)(void *), void *arg, const char *part, const char *text,
               const char *file, int line);

#define TEST_CASE(suite, name)                                                             \
    static void suite##_##name(void);                                                      \
    __attribute__((constructor)) static void register_##suite##_##name(void)               \
    {                                                                                      \
        shim_register(#suite, #name, __FILE__, __LINE__, suite##_##name);                  \
    }                                                                                      \
    static void suite##_##name(void)

#define EXPECT(condition) shim_true((condition), #condition, __FILE__, __LINE__)
#define EXPECT_EQUAL(got, want)                                                            \
    shim_equal((uint64_t)(got), (uint64_t)(want), #got " == " #want, __FILE__, __LINE__)
#define EXPECT_TEXT(got, want)                                                             \
    shim_text_equal((got), (want), #got " == " #want, __FILE__, __LINE__)
#define EXPECT_HAS(got, part)                                                              \
    shim_text_has((got), (part), #got " contains " #part, __FILE__, __LINE__)
#define EXPECT_DIES(action, arg, part)                                                     \
    shim_dies((action), (arg), (part), #action "(" #arg ") dies", __FILE__, __LINE__)
#define REQUIRE(condition)                                                                 \
    do {                                                                                   \
        if (!EXPECT(condition))                                                            \
            return;                                                                        \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
