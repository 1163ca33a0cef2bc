#pragma once
/* One 512-byte tar header block. Pure. */
#include <stddef.h>
#include <stdint.h>

enum { TAR_BLOCK = 512 };

enum header_result { HEADER_OK, HEADER_ZERO, HEADER_BAD };

struct tar_header {
    char name[257]; /* prefix and name joined, ended by NUL */
    char link_name[101];
    char type;
    int64_t mode;
    int64_t uid;
    int64_t gid;
    int64_t size; /* never negative */
    int64_t mtime_s;
    int64_t device_major;
    int64_t device_minor;
};

/* Parses a block: ustar, GNU, star and old headers; octal and base-256 numbers. `problem` is set for HEADER_BAD. */
enum header_result header_parse(const uint8_t block[TAR_BLOCK], struct tar_header *out, const char **problem);

/* A numeric field, octal or base-256. Returns 0, or -1 when it is neither. */
int header_number(const uint8_t *field, size_t length, int64_t *out);
