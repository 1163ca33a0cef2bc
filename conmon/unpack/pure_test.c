/* Unit tests of the pure parts of unpack: names, headers, PAX records, sparse maps, encodings, hashes, sets. */
#include <stdint.h>
#include <stdlib.h>

#include "encode.h"
#include "header.h"
#include "lib/check.h"
#include "pathname.h"
#include "pax.h"
#include "sets.h"
#include "sha256.h"

static void test_path_clean(void)
{
    static const struct {
        const char *name, *input;
        enum path_result result;
        const char *text;
        size_t base;
    } cases[] = {
        {"a plain name", "a", PATH_OK, "a", 0},
        {"two components", "a/b", PATH_OK, "a/b", 2},
        {"dots and slashes", "./a//./b/.", PATH_OK, "a/b", 2},
        {"absolute", "/a/b", PATH_OK, "a/b", 2},
        {"dot dot inside", "a/b/../c", PATH_OK, "a/c", 2},
        {"dot dot to the root", "a/..", PATH_ROOT, "", 0},
        {"dot dot and down again", "a/b/../../c/d", PATH_OK, "c/d", 2},
        {"empty", "", PATH_ROOT, "", 0},
        {"the root", "/", PATH_ROOT, "", 0},
        {"dot", "./", PATH_ROOT, "", 0},
        {"above", "..", PATH_CLIMBS, NULL, 0},
        {"above on the way", "a/../../b/c", PATH_CLIMBS, NULL, 0},
        {"above, absolute", "/..", PATH_CLIMBS, NULL, 0},
        {"three dots are a name", "...", PATH_OK, "...", 0},
        {"too deep", "1/2/3/4/5/6", PATH_TOO_DEEP, NULL, 0},
    };
    static char longest[PATHNAME_BYTES + 8];
    struct clean_path path;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_CASE(cases[i].name, path_clean(cases[i].input, 5, &path) == cases[i].result);
        if (!cases[i].text)
            continue;
        CHECK_TEXT(cases[i].name, path.text, cases[i].text);
        CHECK_CASE(cases[i].name, path.base == cases[i].base && path.length == strlen(cases[i].text));
    }
    memset(longest, 'x', PATHNAME_BYTES - 2);
    CHECK(path_clean(longest, 5, &path) == PATH_OK);
    memset(longest, 'x', PATHNAME_BYTES);
    CHECK(path_clean(longest, 5, &path) == PATH_TOO_LONG);
}

static void test_whiteouts(void)
{
    static const struct {
        const char *input;
        enum whiteout_kind kind;
        const char *hidden;
    } cases[] = {
        {"d/.wh.x", WHITEOUT_NAME, "x"},   {".wh..wh..opq", WHITEOUT_OPAQUE, NULL}, {".wh..wh.aufs", WHITEOUT_NAME, ".wh.aufs"},
        {".wh.", WHITEOUT_BAD, NULL},      {".wh..", WHITEOUT_BAD, NULL},           {".wh...", WHITEOUT_BAD, NULL},
        {".wh....", WHITEOUT_NAME, "..."}, {".wh.d/x", WHITEOUT_NONE, NULL},        {"x.wh.y", WHITEOUT_NONE, NULL},
    };
    struct clean_path path;
    const char *hidden = NULL;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(path_clean(cases[i].input, 5, &path) == PATH_OK);
        CHECK_CASE(cases[i].input, whiteout_of(&path, &hidden) == cases[i].kind);
        if (cases[i].hidden)
            CHECK_TEXT(cases[i].input, hidden, cases[i].hidden);
    }
}

static void test_numbers(void)
{
    static const struct {
        const char *name, *field;
        size_t length;
        int status;
        int64_t value;
    } cases[] = {
        {"octal", "0000644\0", 8, 0, 0644},
        {"octal without an end", "77777777", 8, 0, 077777777},
        {"spaces around", "  644 \0\0", 8, 0, 0644},
        {"empty", "\0\0\0\0\0\0\0\0", 8, 0, 0},
        {"no octal digit", "0000849\0", 8, -1, 0},
        {"a sign", "-000001\0", 8, -1, 0},
        {"a digit after the end is ignored", "12\0" "34567", 8, 0, 012},
        {"binary", "\x80\0\0\0\0\0\x01\0", 8, 0, 256},
        {"binary, minus one", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 0, -1},
        {"binary in twelve bytes", "\x80\0\0\0\0\0\0\x01\0\0\0\0", 12, 0, INT64_C(1) << 32},
        {"binary, negative in twelve bytes", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12, 0, -2},
        {"binary beyond 64 bits", "\x80\0\x01\0\0\0\0\0\0\0\0\0", 12, -1, 0},
        {"binary beyond 63 bits", "\x80\0\0\0\x80\0\0\0\0\0\0\0", 12, -1, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 0;

        CHECK_CASE(cases[i].name, header_number((const uint8_t *)cases[i].field, cases[i].length, &value) == cases[i].status);
        CHECK_CASE(cases[i].name, cases[i].status < 0 || value == cases[i].value);
    }
}

static void set_sum(uint8_t block[TAR_BLOCK])
{
    unsigned sum = 0;

    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
}

static void fill_prefix(uint8_t block[TAR_BLOCK], const char *text)
{
    memset(block + 345, 0, 155);
    memcpy(block + 345, text, strlen(text));
    set_sum(block);
}

static void make_block(uint8_t block[TAR_BLOCK], const char *magic)
{
    memset(block, 0, TAR_BLOCK);
    memset(block, 'n', 100);
    memcpy(block + 100, "0000644", 8);
    memcpy(block + 108, "0000000", 8);
    memcpy(block + 116, "0000000", 8);
    memcpy(block + 124, "00000000012", 12);
    memcpy(block + 136, "00000000000", 12);
    block[156] = '0';
    memcpy(block + 257, magic, 8);
    memset(block + 345, 'p', 155);
    set_sum(block);
}

static void test_header(void)
{
    uint8_t block[TAR_BLOCK] = {0};
    struct tar_header header;
    const char *problem = NULL;

    CHECK(header_parse(block, &header, &problem) == HEADER_ZERO);
    make_block(block, "ustar\00000");
    CHECK(header_parse(block, &header, &problem) == HEADER_OK);
    CHECK(strlen(header.name) == 256 && header.name[155] == '/' && header.size == 10 && header.mode == 0644);
    make_block(block, "ustar  ");
    CHECK(header_parse(block, &header, &problem) == HEADER_OK && strlen(header.name) == 256);
    fill_prefix(block, "14700000000");
    CHECK(header_parse(block, &header, &problem) == HEADER_OK && strlen(header.name) == 100);
    fill_prefix(block, "caf\xc3\xa9");
    CHECK(header_parse(block, &header, &problem) == HEADER_OK && strlen(header.name) == 100);
    block[0] ^= 1;
    CHECK(header_parse(block, &header, &problem) == HEADER_BAD && problem);
}

static void test_pax(void)
{
    static const struct {
        const char *name, *input;
        enum pax_result result;
        const char *key, *value;
    } cases[] = {
        {"a record", "9 key=va\n", PAX_RECORD, "key", "va"},
        {"an empty value", "7 key=\n", PAX_RECORD, "key", ""},
        {"an equals sign in the value", "8 k=a=b\n", PAX_RECORD, "k", "a=b"},
        {"nothing", "", PAX_END, NULL, NULL},
        {"a length beyond the end", "11 key=va\n", PAX_BAD, NULL, NULL},
        {"a length that ends early", "8 key=va\n", PAX_BAD, NULL, NULL},
        {"no length", " key=va\n", PAX_BAD, NULL, NULL},
        {"no key", "6 =va\n", PAX_BAD, NULL, NULL},
        {"no equals sign", "6 key\n", PAX_BAD, NULL, NULL},
        {"a length within itself", "1 k=v\n", PAX_BAD, NULL, NULL},
        {"a huge length", "99999999999999999999999 k=v\n", PAX_BAD, NULL, NULL},
        {"zero", "0 k=v\n", PAX_BAD, NULL, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        char *cursor = text;
        struct pax_record record;

        strcpy(text, cases[i].input);
        CHECK_CASE(cases[i].name, pax_next(&cursor, text + strlen(text), &record) == cases[i].result);
        if (cases[i].result != PAX_RECORD)
            continue;
        CHECK_TEXT(cases[i].name, record.key, cases[i].key);
        CHECK_TEXT(cases[i].name, record.value, cases[i].value);
    }
}

static void test_pax_times(void)
{
    static const struct {
        const char *input;
        int status;
        int64_t seconds;
        uint32_t nanoseconds;
    } cases[] = {
        {"12", 0, 12, 0},        {"12.5", 0, 12, 500000000}, {"12.", 0, 12, 0},      {"1.0000000019", 0, 1, 1}, {"-1.25", 0, -2, 750000000},
        {"-3", 0, -3, 0},        {"", -1, 0, 0},             {".5", -1, 0, 0},       {"1,5", -1, 0, 0},         {"1.5x", -1, 0, 0},
        {"9999999999999999999999", -1, 0, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t seconds = 0;
        uint32_t nanoseconds = 0;

        CHECK_CASE(cases[i].input, pax_time(cases[i].input, &seconds, &nanoseconds) == cases[i].status);
        CHECK_CASE(cases[i].input, seconds == cases[i].seconds || cases[i].status < 0);
        CHECK_CASE(cases[i].input, nanoseconds == cases[i].nanoseconds || cases[i].status < 0);
    }
}

static void test_sparse(void)
{
    struct sparse_run runs[4];

    CHECK(sparse_parse_list("", runs, 4) == 0);
    CHECK(sparse_parse_list("1,2,5,6", runs, 4) == 2 && runs[1].offset == 5 && runs[1].length == 6);
    CHECK(sparse_parse_list("1,2,3", runs, 4) == -1 && sparse_parse_list("1,2,", runs, 4) == -1);
    CHECK(sparse_parse_list("1,2,3,4,5,6,7,8,9,10", runs, 4) == -1 && sparse_parse_list("a,b", runs, 4) == -1);
    CHECK(sparse_parse_list("1,2,5,6", runs, 4) == 2);
    CHECK(sparse_valid(runs, 2, 11, 8) && !sparse_valid(runs, 2, 10, 8) && !sparse_valid(runs, 2, 11, 9));
    runs[1].offset = 2;
    CHECK(!sparse_valid(runs, 2, 11, 8));
    runs[0] = (struct sparse_run){UINT64_MAX, 2};
    CHECK(!sparse_valid(runs, 1, UINT64_MAX, 2));
}

static void test_encodings(void)
{
    static const struct {
        const char *name, *input;
        bool valid;
    } texts[] = {
        {"ASCII", "abc", true},         {"two bytes", "\xc3\xa4", true},          {"four bytes", "\xf0\x9f\x98\x80", true},
        {"alone", "\x80", false},       {"cut", "\xe2\x82", false},               {"overlong", "\xc0\xaf", false},
        {"surrogate", "\xed\xa0\x80", false}, {"beyond", "\xf4\x90\x80\x80", false}, {"five bytes", "\xf8\x88\x80\x80\x80", false},
    };
    char out[64];

    out[base64_encode((const uint8_t *)"foobar", 6, out)] = '\0';
    CHECK_TEXT("whole groups", out, "Zm9vYmFy");
    out[base64_encode((const uint8_t *)"fooba", 5, out)] = '\0';
    CHECK_TEXT("one sign of padding", out, "Zm9vYmE=");
    out[base64_encode((const uint8_t *)"\xfb\xff\xfe\xff", 4, out)] = '\0';
    CHECK_TEXT("the last digits", out, "+//+/w==");
    out[json_escape("a\"\\\n\x7f/", out)] = '\0';
    CHECK_TEXT("escapes", out, "a\\\"\\\\\\u000a\\u007f/");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK_CASE(texts[i].name, utf8_valid(texts[i].input) == texts[i].valid);
}

static void hash_in_pieces(sha256_compress *compress, const uint8_t *data, size_t length, size_t piece, char out[SHA256_HEX_BYTES])
{
    struct sha256 sha;

    sha256_init(&sha);
    if (compress)
        sha.compress = compress;
    for (size_t at = 0; at < length; at += piece)
        sha256_update(&sha, data + at, length - at < piece ? length - at : piece);
    sha256_hex(&sha, out);
}

static void test_sha256(void)
{
    static uint8_t data[1000];
    char portable[SHA256_HEX_BYTES], accelerated[SHA256_HEX_BYTES];

    hash_in_pieces(NULL, data, 0, 1, portable);
    CHECK_TEXT("nothing", portable, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_in_pieces(NULL, (const uint8_t *)"abc", 3, 3, portable);
    CHECK_TEXT("abc", portable, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_in_pieces(sha256_portable(), (const uint8_t *)"abc", 3, 1, portable);
    CHECK_TEXT("abc, portable", portable, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 131 + i / 7);
    for (size_t length = 0; length < sizeof data; length += 13) {
        hash_in_pieces(sha256_portable(), data, length, 1 + length / 3, portable);
        hash_in_pieces(sha256_accelerated(), data, length, 64, accelerated);
        CHECK_TEXT("both ways", portable, accelerated);
    }
}

static void test_sets(void)
{
    static const uint64_t key[4] = {1, 2, 3, 4};
    struct path_set paths;
    struct id_set ids = {0};
    uint32_t *sorted;
    char text[16];

    CHECK(path_set_init(&paths, key) == 0);
    for (int i = 0; i < 5000; i++)
        CHECK(path_set_add(&paths, text, (size_t)snprintf(text, sizeof text, "p%d", i), PATH_MEMBER) == 0);
    CHECK(paths.count == 5000);
    CHECK(path_set_add(&paths, "p77", 3, PATH_MADE) == PATH_MEMBER);
    CHECK(path_set_get(&paths, "p77", 3) == (PATH_MEMBER | PATH_MADE) && path_set_get(&paths, "p5000", 5) == 0);
    path_set_free(&paths);
    for (uint32_t i = 0; i < 1000; i++)
        CHECK(id_set_add(&ids, (i * 7919) % 500) == 0);
    CHECK(id_set_add(&ids, UINT32_MAX - 1) == 0 && ids.count == 501);
    sorted = id_set_sorted(&ids);
    CHECK(sorted && sorted[0] == 0 && sorted[499] == 499 && sorted[500] == UINT32_MAX - 1);
    free(sorted);
    id_set_free(&ids);
}

int main(void)
{
    test_path_clean();
    test_whiteouts();
    test_numbers();
    test_header();
    test_pax();
    test_pax_times();
    test_sparse();
    test_encodings();
    test_sha256();
    test_sets();
    return 0;
}
