#pragma once
/* What every part of unpack shares: how a failure is described. */
#include <stdint.h>

/* The documented ways to fail; `code` in the last line on standard output. */
enum unpack_code {
    UNPACK_OK,
    UNPACK_TRUNCATED,
    UNPACK_DIGEST_MISMATCH,
    UNPACK_SIZE_MISMATCH,
    UNPACK_DIFFID_MISMATCH,
    UNPACK_BAD_ARCHIVE,
    UNPACK_HOSTILE_ENTRY,
    UNPACK_BUDGET,
    UNPACK_NO_SPACE,
    UNPACK_IO,
    UNPACK_USAGE,
};

enum { FAILURE_TEXT_BYTES = 1024 };

/* The first failure of one thread. Later ones are consequences and are not recorded. */
struct failure {
    enum unpack_code code;
    char text[FAILURE_TEXT_BYTES];
};

/* The word for a code as it stands in the JSON line. */
const char *unpack_code_name(enum unpack_code code);

/* Records a failure; always returns -1, so that callers can return it. */
__attribute__((format(printf, 3, 4))) int failure_set(struct failure *failure, enum unpack_code code, const char *format, ...);

/* Records the failure of a system call from errno: a full disk, a refusal caused by the archive, or an I/O error. */
__attribute__((format(printf, 2, 3))) int failure_errno(struct failure *failure, const char *format, ...);

/* Makes a name printable for a message: control and non-ASCII bytes become \xNN, long names are cut. */
struct shown_name {
    char text[260];
};
struct shown_name show_name(const char *name);
