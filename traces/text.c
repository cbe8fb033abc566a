/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/text.h"

#include <string.h>

bool text_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool text_is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || text_is_digit(c) || c == '_';
}

const char *text_skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

static unsigned digit_value(char c)
{
    if (text_is_digit(c))
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

bool text_number(const char **at, unsigned base, uint64_t *value)
{
    const char *c  = *at;
    uint64_t total = 0;
    for (unsigned digit; (digit = digit_value(*c)) < base; c++)
        if (__builtin_mul_overflow(total, base, &total)
            || __builtin_add_overflow(total, digit, &total))
            return false;
    if (c == *at)
        return false;
    *value = total;
    *at    = c;
    return true;
}

bool text_number32(const char **at, uint32_t *value)
{
    const char *c = *at;
    uint64_t wide;
    if (!text_number(&c, 10, &wide) || wide > UINT32_MAX)
        return false;
    *value = (uint32_t)wide;
    *at    = c;
    return true;
}

bool text_any_number(const char **at, uint64_t *value)
{
    const bool hex = (*at)[0] == '0' && (*at)[1] == 'x';
    const char *c  = *at + (hex ? 2 : 0);
    if (!text_number(&c, hex ? 16 : 10, value))
        return false;
    *at = c;
    return true;
}

bool text_word(const char **at, const char *word)
{
    const size_t bytes = strlen(word);
    if (strncmp(*at, word, bytes) != 0)
        return false;
    *at += bytes;
    return true;
}

bool text_decimal(const char **at, uint64_t unit, uint64_t *value)
{
    const char *c = *at;
    uint64_t total;
    if (!text_number(&c, 10, &total) || __builtin_mul_overflow(total, unit, &total))
        return false;
    if (*c == '.' && text_is_digit(c[1])) {
        for (c++; text_is_digit(*c); c++) {
            unit /= 10;
            if (__builtin_add_overflow(total, (uint64_t)(*c - '0') * unit, &total))
                return false;
        }
    }
    *value = total;
    *at    = c;
    return true;
}

uint64_t text_hash(const char *text, size_t bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}
