/* Strict integer parsing: the whole string must be the number. */
#ifndef LIB_PARSE_H
#define LIB_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* C base detection (10, 0x.., leading 0 = octal), optional sign and leading blanks. False on junk, emptiness, overflow. */
bool parse_i64(const char *text, int64_t *value);

/* As parse_i64, within the range of int. */
bool parse_int(const char *text, int *value);

/* Plain decimal digits only, at most `limit`. */
bool parse_decimal(const char *text, uint64_t limit, uint64_t *value);

#endif
