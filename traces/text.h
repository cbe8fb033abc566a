/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text - what readers of lines have in common. Each verb looks at terminated text, moves
 * *at behind what it took, and leaves *at alone when it returns false.
 */
#ifndef TRACES_TEXT_H
#define TRACES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

bool text_is_digit(char c);

/* A letter, a digit or an underscore. */
bool text_is_name(char c);

const char *text_skip_blanks(const char *at);

/* A number without sign in base 10 or 16; false also when it exceeds 64 (or 32) bits. */
bool text_number(const char **at, unsigned base, uint64_t *value);
bool text_number32(const char **at, uint32_t *value);

/* 0x1f is hexadecimal, 31 is not. */
bool text_any_number(const char **at, uint64_t *value);

bool text_word(const char **at, const char *word);

/*
 * "12.0345" in units of unit: 12034 when the unit is 1000. Digits behind the point that the
 * unit cannot hold are dropped, unit must be a power of ten.
 */
bool text_decimal(const char **at, uint64_t unit, uint64_t *value);

/* FNV-1a: of a whole text, to tell names apart. */
uint64_t text_hash(const char *text, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
