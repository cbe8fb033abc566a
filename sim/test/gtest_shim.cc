// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "sim/test/shim.h"

namespace
{
struct CTest : testing::Test {
    explicit CTest(void (*body)(void)) : body_(body)
    {
    }
    void TestBody() override
    {
        body_();
    }
    void (*body_)(void);
};
} // namespace

extern "C" void shim_register(const char *suite, const char *name, const char *file,
                              int line, void (*body)(void))
{
    testing::RegisterTest(suite, name, nullptr, nullptr, file, line,
                          [body]() -> CTest * { return new CTest(body); });
}

extern "C" bool shim_true(bool got, const char *text, const char *file, int line)
{
    if (!got)
        ADD_FAILURE_AT(file, line) << text;
    return got;
}

extern "C" bool shim_equal(uint64_t got, uint64_t want, const char *text, const char *file,
                           int line)
{
    if (got != want)
        ADD_FAILURE_AT(file, line)
            << text << "\n  got  " << got << " (0x" << std::hex << got << ")\n  want "
            << std::dec << want << " (0x" << std::hex << want << ")";
    return got == want;
}

extern "C" bool shim_text_equal(const char *got, const char *want, const char *text,
                                const char *file, int line)
{
    const bool equal = std::string(got) == want;
    if (!equal)
        ADD_FAILURE_AT(file, line) << text << "\n  got  " << got << "\n  want " << want;
    return equal;
}

extern "C" bool shim_text_has(const char *got, const char *part, const char *text,
                              const char *file, int line)
{
    const bool has = std::string(got).find(part) != std::string::npos;
    if (!has)
        ADD_FAILURE_AT(file, line) << text << "\n  got  " << got << "\n  want " << part;
    return has;
}

extern "C" bool shim_dies(void (*action)(void *), void *arg, const char *part,
                          const char *text, const char *file, int line)
{
    const bool failed_before = testing::Test::HasNonfatalFailure();
    EXPECT_DEATH(action(arg), part) << file << ":" << line << ": " << text;
    return failed_before || !testing::Test::HasNonfatalFailure();
}

int main(int argc, char **argv)
{
    testing::InitGoogleTest(&argc, argv);
    testing::FLAGS_gtest_death_test_style = "fast";
    return RUN_ALL_TESTS();
}
