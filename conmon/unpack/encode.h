#pragma once
/* Text encodings of the tar-split file and the result line. Pure; each returns the number of bytes written to `out`. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Standard alphabet with padding: 4 bytes for every 3 begun. */
size_t base64_encode(const uint8_t *bytes, size_t length, char *out);
/* The inside of a JSON string: at most 6 bytes for every one. The text must be UTF-8. */
size_t json_escape(const char *text, char *out);
bool utf8_valid(const char *text);
