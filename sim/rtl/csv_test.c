/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/csv.h"

#include <string.h>

#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"
#include "traces/source.h"

static const char table[] = "# rtl=some/design@1 L=50 inval_every~2000\n"
                            "# device did=0x2f stage=S1\n"
                            "\n"
                            "n,value,note\n"
                            "0,0x10,\n"
                            "1,-5,a b\r\n"
                            "\n"
                            "2,idx=7,last\n";

static struct csv *open_text(const char *text, struct error *error)
{
    struct csv *c;
    csv_open_source(&c, trace_source_open_memory(text, strlen(text)), "t.csv", error);
    return c;
}

TEST_CASE(rtl_csv, header_words_keep_their_lines)
{
    struct error error;
    struct csv *c = open_text(table, &error);
    size_t count;
    REQUIRE(c != NULL);
    const struct csv_word *word = csv_words(c, &count);
    REQUIRE(count == 6);
    EXPECT_TEXT(word[0].key, "rtl");
    EXPECT_TEXT(word[0].value, "some/design@1");
    EXPECT_TEXT(word[2].key, "inval_every~2000");
    EXPECT(word[2].value == NULL);
    EXPECT_TEXT(word[3].key, "device");
    EXPECT_EQUAL(word[3].line, 2);
    EXPECT_TEXT(word[5].value, "S1");
    csv_close(c);
}

TEST_CASE(rtl_csv, rows_come_with_line_numbers_and_typed_fields)
{
    struct error error;
    struct csv *c = open_text(table, &error);
    unsigned column[2];
    uint64_t u;
    int64_t i;
    REQUIRE(c != NULL);
    EXPECT(csv_columns(c, "note,value", column, &error));
    EXPECT_EQUAL(column[0], 2);
    EXPECT_TEXT(csv_column_name(c, 1), "value");
    EXPECT(csv_column_name(c, 3) == NULL);
    EXPECT_EQUAL(csv_next(c, &error), 1);
    EXPECT(csv_u64(c, column[1], &u, &error));
    EXPECT_EQUAL(u, 16);
    EXPECT_TEXT(csv_field(c, column[0]), "");
    EXPECT_EQUAL(csv_next(c, &error), 1);
    EXPECT_EQUAL(csv_line(c), 6);
    EXPECT(csv_i64(c, column[1], &i, &error));
    EXPECT(i == -5);
    EXPECT_TEXT(csv_field(c, column[0]), "a b");
    EXPECT(!csv_u64(c, column[1], &u, &error));
    EXPECT_TEXT(error.text, "t.csv, line 6: column value: expected a number, got '-5'");
    EXPECT_EQUAL(csv_next(c, &error), 1);
    EXPECT(csv_keyed_i64(c, column[1], "idx", &i, &error));
    EXPECT_EQUAL(i, 7);
    EXPECT(!csv_keyed_i64(c, column[1], "cqt", &i, &error));
    EXPECT_HAS(error.text, "line 8: column value: expected cqt=NUMBER, got 'idx=7'");
    EXPECT_EQUAL(csv_next(c, &error), 0);
    csv_close(c);
}

TEST_CASE(rtl_csv, a_comma_between_parentheses_belongs_to_its_field)
{
    struct error error = { "" };
    struct csv *c      = open_text("a,b,c\nf(x,(y,z)),1,n\n)(,2,open (p,q\n", &error);
    REQUIRE(c != NULL);
    EXPECT_EQUAL(csv_next(c, &error), 1);
    EXPECT_TEXT(csv_field(c, 0), "f(x,(y,z))");
    EXPECT_TEXT(csv_field(c, 2), "n");
    EXPECT_EQUAL(csv_next(c, &error), -1); /* The first parenthesis is never closed. */
    EXPECT_HAS(error.text, "line 3: expected 3 fields, got 1");
    csv_close(c);
}

static void expect_broken(const char *text, const char *message)
{
    struct error error = { "" };
    struct csv *c      = open_text(text, &error);
    int got            = 1;
    while (c != NULL && (got = csv_next(c, &error)) == 1)
        continue;
    EXPECT(c == NULL || got == -1);
    EXPECT_TEXT(error.text, message);
    if (c != NULL)
        csv_close(c);
}

TEST_CASE(rtl_csv, broken_tables_are_refused)
{
    expect_broken("", "t.csv: no line of column names");
    expect_broken("# only=this\n", "t.csv: no line of column names");
    expect_broken("a,b\n1,2\n3\n", "t.csv, line 3: expected 2 fields, got 1");
    expect_broken("a,b\n1,2,3\n", "t.csv, line 2: expected 2 fields, got 3");
    expect_broken("a,a\n1,2\n",
                  "t.csv, line 1: expected column names, all different, got 'a'");
    expect_broken("a,,b\n", "t.csv, line 1: expected column names, all different, got ''");
}

TEST_CASE(rtl_csv, missing_files_and_columns_are_named)
{
    struct error error;
    struct csv *c;
    unsigned column;
    EXPECT(!csv_open(&c, "/no/such.csv", &error));
    EXPECT_HAS(error.text, "/no/such.csv: cannot open: ");
    c = open_text(table, &error);
    REQUIRE(c != NULL);
    EXPECT(!csv_column(c, "val", &column, &error));
    EXPECT_TEXT(error.text, "t.csv: expected a column val");
    csv_close(c);
}

TEST_CASE(rtl_csv, numbers_are_whole_words)
{
    uint64_t u;
    EXPECT(csv_parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
    EXPECT(!csv_parse_u64("18446744073709551616", &u));
    EXPECT(!csv_parse_u64("", &u));
    EXPECT(!csv_parse_u64("0x", &u));
    EXPECT(!csv_parse_u64("1 ", &u));
    EXPECT(!csv_parse_u64("+1", &u));
}

TEST_CASE(rtl_csv, a_gzipped_file_cut_short_is_an_error)
{
    const struct fixture_bytes plain  = { (uint8_t *)(uintptr_t)table, sizeof table - 1 };
    const struct fixture_bytes packed = fixture_gzip(plain);
    struct error error                = { "" };
    struct csv *c;
    REQUIRE(csv_open_source(&c, trace_source_open_memory(packed.data, packed.bytes), "z",
                            &error));
    for (unsigned rows = 0; rows < 3; rows++)
        EXPECT_EQUAL(csv_next(c, &error), 1);
    EXPECT_EQUAL(csv_next(c, &error), 0);
    csv_close(c);
    EXPECT(!csv_open_source(&c, trace_source_open_memory(packed.data, packed.bytes - 9),
                            "z", &error)
           || csv_next(c, &error) < 1);
    EXPECT_HAS(error.text, "z");
    if (c != NULL)
        csv_close(c);
    fixture_free(packed);
}
