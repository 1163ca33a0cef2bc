/* Unit tests of parse.h. */
#include "lib/parse.h"

#include "lib/check.h"

static void test_i64(void)
{
    static const struct {
        const char *name, *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"decimal", "12", true, 12},      {"negative", "-1", true, -1},     {"hex", "0x10", true, 16},
        {"octal", "010", true, 8},        {"empty", "", false, 0},          {"junk after", "1k", false, 0},
        {"letters", "abc", false, 0},     {"overflow", "99999999999999999999", false, 0},
        {"largest", "9223372036854775807", true, INT64_MAX},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 0;

        CHECK_CASE(cases[i].name, parse_i64(cases[i].text, &value) == cases[i].ok);
        CHECK_CASE(cases[i].name, value == cases[i].value);
    }
}

static void test_int(void)
{
    int value = 7;

    CHECK(!parse_int("99999999999", &value) && value == 7);
    CHECK(parse_int("-2147483648", &value) && value == -2147483647 - 1);
}

static void test_decimal(void)
{
    uint64_t value = 7;

    CHECK(parse_decimal("65535", 65535, &value) && value == 65535);
    CHECK(!parse_decimal("65536", 65535, &value));
    CHECK(!parse_decimal("-1", 65535, &value));
    CHECK(!parse_decimal(" 1", 65535, &value));
    CHECK(!parse_decimal("", 65535, &value));
}

int main(void)
{
    test_i64();
    test_int();
    test_decimal();
    return 0;
}
