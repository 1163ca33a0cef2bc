#include "header.h"

#include <stdbool.h>
#include <string.h>

struct field {
    size_t at, length;
};

static const struct field name_field = {0, 100}, mode_field = {100, 8}, uid_field = {108, 8}, gid_field = {116, 8},
                          size_field = {124, 12}, mtime_field = {136, 12}, sum_field = {148, 8}, link_field = {157, 100},
                          magic_field = {257, 8}, major_field = {329, 8}, minor_field = {337, 8}, prefix_field = {345, 155},
                          atime_field = {345, 12}, ctime_field = {357, 12};

enum { TYPE_AT = 156, STAR_PREFIX_BYTES = 131, STAR_TRAILER_AT = 508 };

/* Base-256: the first byte's top bit marks it, the next one is the sign, the rest is big-endian two's complement. */
static int binary_number(const uint8_t *field, size_t length, int64_t *out)
{
    uint8_t fill = field[0] & 0x40 ? 0xff : 0;
    uint64_t value = 0;

    for (size_t i = 0; i < length; i++) {
        uint8_t byte = i > 0 ? field[i] : (field[0] & 0x40 ? field[0] : field[0] & 0x7f);

        if (i + 8 < length && byte != fill)
            return -1;
        value = value << 8 | byte;
    }
    /* A field of exactly 8 bytes keeps its marker in the top bit of the value. */
    if (length == 8 && !fill)
        value &= INT64_MAX;
    if (length > 8 && (value >> 63 != 0) != (fill != 0))
        return -1;
    *out = (int64_t)value;
    return 0;
}

int header_number(const uint8_t *field, size_t length, int64_t *out)
{
    uint64_t value = 0;
    size_t at = 0, end = length;

    if (length > 0 && field[0] & 0x80)
        return binary_number(field, length, out);
    while (at < end && (field[at] == ' ' || field[at] == '\0'))
        at++;
    while (end > at && (field[end - 1] == ' ' || field[end - 1] == '\0'))
        end--;
    for (; at < end && field[at] != '\0'; at++) {
        if (field[at] < '0' || field[at] > '7' || value >> 60)
            return -1;
        value = value << 3 | (uint64_t)(field[at] - '0');
    }
    *out = (int64_t)value;
    return 0;
}

/* Old tars summed signed characters, so both sums are allowed. */
static bool sum_matches(const uint8_t *block)
{
    int64_t stored, sum_unsigned = 0, sum_signed = 0;

    if (header_number(block + sum_field.at, sum_field.length, &stored) < 0)
        return false;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        uint8_t byte = i >= sum_field.at && i < sum_field.at + sum_field.length ? ' ' : block[i];

        sum_unsigned += byte;
        sum_signed += (int8_t)byte;
    }
    return stored == sum_unsigned || stored == sum_signed;
}

static void copy_text(char *out, const uint8_t *block, struct field field)
{
    size_t length = strnlen((const char *)block + field.at, field.length);

    memcpy(out, block + field.at, length);
    out[length] = '\0';
}

enum header_style { STYLE_OLD, STYLE_GNU, STYLE_USTAR, STYLE_STAR };

static enum header_style style_of(const uint8_t *block)
{
    const uint8_t *magic = block + magic_field.at;

    if (memcmp(magic, "ustar", 6) == 0)
        return memcmp(block + STAR_TRAILER_AT, "tar", 4) == 0 ? STYLE_STAR : STYLE_USTAR;
    return memcmp(magic, "ustar  ", 8) == 0 ? STYLE_GNU : STYLE_OLD;
}

static bool is_number_or_empty(const uint8_t *block, struct field field)
{
    int64_t ignored;

    return block[field.at] == 0 || header_number(block + field.at, field.length, &ignored) == 0;
}

/*
 * The image tools before 2017 wrote long names as in ustar but with GNU's magic, whose headers have two times in that place.
 * What is no time and plain ASCII is such a prefix. Readers of the other tools know this, too.
 */
static bool has_prefix_despite_gnu(const uint8_t *block)
{
    if (is_number_or_empty(block, atime_field) && is_number_or_empty(block, ctime_field))
        return false;
    for (size_t i = 0; i < prefix_field.length && block[prefix_field.at + i] != 0; i++) {
        if (block[prefix_field.at + i] >= 0x80)
            return false;
    }
    return true;
}

static void copy_name(struct tar_header *out, const uint8_t *block, enum header_style style)
{
    struct field prefix = prefix_field;
    size_t length = 0;

    if (style == STYLE_STAR)
        prefix.length = STAR_PREFIX_BYTES;
    if (style == STYLE_USTAR || style == STYLE_STAR || (style == STYLE_GNU && has_prefix_despite_gnu(block))) {
        copy_text(out->name, block, prefix);
        length = strlen(out->name);
        if (length > 0)
            out->name[length++] = '/';
    }
    copy_text(out->name + length, block, name_field);
}

static bool is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

enum header_result header_parse(const uint8_t block[TAR_BLOCK], struct tar_header *out, const char **problem)
{
    enum header_style style = style_of(block);
    struct {
        struct field field;
        int64_t *value;
        const char *problem;
    } numbers[] = {
        {mode_field, &out->mode, "its mode is not a number"},
        {uid_field, &out->uid, "its owner is not a number"},
        {gid_field, &out->gid, "its group is not a number"},
        {size_field, &out->size, "its size is not a number"},
        {mtime_field, &out->mtime_s, "its time is not a number"},
        {major_field, &out->device_major, "its device number is not a number"},
        {minor_field, &out->device_minor, "its device number is not a number"},
    };

    if (is_zero(block))
        return HEADER_ZERO;
    if (!sum_matches(block)) {
        *problem = "its checksum is wrong";
        return HEADER_BAD;
    }
    out->device_major = out->device_minor = 0;
    for (size_t i = 0; i < (style == STYLE_OLD ? 5U : 7U); i++) {
        if (header_number(block + numbers[i].field.at, numbers[i].field.length, numbers[i].value) < 0) {
            *problem = numbers[i].problem;
            return HEADER_BAD;
        }
    }
    if (out->size < 0) {
        *problem = "its size is negative";
        return HEADER_BAD;
    }
    out->type = (char)block[TYPE_AT];
    copy_name(out, block, style);
    copy_text(out->link_name, block, link_field);
    return HEADER_OK;
}
