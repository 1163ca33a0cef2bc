/* Journal entries in journald's native datagram format. Pure.
 *
 * A field is `NAME=VALUE\n`, or, when the value has a newline, `NAME\n`, 64 bits of length (little endian), the value and
 * a newline. Everything but MESSAGE, PRIORITY and the partial flag is the same for all entries of a container and is
 * prepared once.
 */
#ifndef CONMON_JOURNAL_TEXT_H
#define CONMON_JOURNAL_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "conmon/options.h"
#include "lib/text.h"

#define JOURNAL_PIECES 9

/* Check what the journald driver demands of the options; false adds one sentence to `error`. */
bool journal_check(const struct options *options, struct text *error);

/* The constant fields after PRIORITY: short id, tag, name, identifier. */
void journal_fields(const struct options *options, struct text *out);

/* The labels, which come last. */
void journal_labels(const struct options *options, struct text *out);

/* Bytes needed for journal_fields and journal_labels together. */
size_t journal_fields_bytes(const struct options *options);

struct journal_entry {
    const char *message;
    size_t length;
    bool newline; /* the message ends with a newline that is not in `message` */
    bool is_stderr;
    bool partial; /* mark as partial */
};

struct journal_constant {
    const char *id_full; /* "CONTAINER_ID_FULL=...\n" */
    size_t id_full_length;
    const char *fields;
    size_t fields_length;
    const char *labels;
    size_t labels_length;
};

/* Fill `vector` (JOURNAL_PIECES entries) for one entry; `head` (at least 16 bytes) holds the start of MESSAGE.
 * Returns the number of entries used. */
size_t journal_compose(const struct journal_entry *entry, const struct journal_constant *constant, char *head,
                       struct iovec *vector);

#endif
