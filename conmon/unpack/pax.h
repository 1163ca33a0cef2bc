#pragma once
/* PAX extended header records and the sparse maps they carry. Pure; nothing is copied. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "length key=value\n". Both strings are ended by a NUL that pax_next() writes over '=' and '\n'. */
struct pax_record {
    const char *key;
    const char *value;
    size_t value_length; /* values may contain NUL */
};

enum pax_result { PAX_RECORD, PAX_END, PAX_BAD };

/* Takes the next record from [*cursor, end). */
enum pax_result pax_next(char **cursor, char *end, struct pax_record *out);

/* A decimal number, as PAX writes uid, gid and size. Returns 0 or -1. */
int pax_number(const char *text, int64_t *out);

/* "seconds.fraction", possibly negative. Digits beyond nanoseconds are dropped. Returns 0 or -1. */
int pax_time(const char *text, int64_t *seconds, uint32_t *nanoseconds);

struct sparse_run {
    uint64_t offset, length;
};

/* Parses "offset,length,offset,length…" (format 0.0 and 0.1). Returns the number of runs, or -1. */
long sparse_parse_list(const char *text, struct sparse_run *runs, size_t capacity);

/* Whether the runs ascend, do not overlap, stay within `real_size` and add up to `stored_size`. */
bool sparse_valid(const struct sparse_run *runs, size_t count, uint64_t real_size, uint64_t stored_size);
