/* JSON for the caller's pipes: one object per line. Pure. */
#ifndef CONMON_JSON_H
#define CONMON_JSON_H

#include <stdint.h>

#include "lib/text.h"

/* Add `data` as the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD, so any decoder accepts it.
 * Stops before a character that does not fit as a whole. */
void json_escape(struct text *out, const void *data, size_t length);

/* Add `{"KEY": VALUE}` or, with a non-empty message, `{"KEY": VALUE, "message": "..."}`, and a newline. A message that
 * does not fit is cut so that the object stays valid. */
void json_report(struct text *out, const char *key, int64_t value, const void *message, size_t message_length);

#endif
