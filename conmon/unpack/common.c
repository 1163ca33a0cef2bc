#include "common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *unpack_code_name(enum unpack_code code)
{
    static const char *const names[] = {
        [UNPACK_OK] = "ok",
        [UNPACK_TRUNCATED] = "truncated",
        [UNPACK_DIGEST_MISMATCH] = "digest_mismatch",
        [UNPACK_SIZE_MISMATCH] = "size_mismatch",
        [UNPACK_DIFFID_MISMATCH] = "diffid_mismatch",
        [UNPACK_BAD_ARCHIVE] = "bad_archive",
        [UNPACK_HOSTILE_ENTRY] = "hostile_entry",
        [UNPACK_BUDGET] = "budget",
        [UNPACK_NO_SPACE] = "no_space",
        [UNPACK_IO] = "io",
        [UNPACK_USAGE] = "usage",
    };

    return names[code];
}

__attribute__((format(printf, 3, 0))) static int failure_record(struct failure *failure, enum unpack_code code, const char *format, va_list arguments)
{
    if (failure->code == UNPACK_OK) {
        vsnprintf(failure->text, sizeof failure->text, format, arguments);
        failure->code = code;
    }
    return -1;
}

int failure_set(struct failure *failure, enum unpack_code code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    failure_record(failure, code, format, arguments);
    va_end(arguments);
    return -1;
}

/* Refusals that follow from what the archive asks for, not from the state of the machine. */
static enum unpack_code code_of_errno(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return UNPACK_NO_SPACE;
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case EEXIST:
    case ENOTEMPTY:
    case ELOOP:
    case ENOENT:
    case EMLINK:
    case EINVAL:
    case EFBIG:
    case E2BIG:
    case ERANGE:
        return UNPACK_BAD_ARCHIVE;
    default:
        return UNPACK_IO;
    }
}

int failure_errno(struct failure *failure, const char *format, ...)
{
    int error = errno;
    char text[FAILURE_TEXT_BYTES - 128];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return failure_set(failure, code_of_errno(error), "%s: %s", text, strerror(error));
}

struct shown_name show_name(const char *name)
{
    struct shown_name shown;
    size_t used = 0;

    for (; *name && used + 8 < sizeof shown.text; name++) {
        unsigned char c = (unsigned char)*name;

        if (c >= 0x20 && c < 0x7f && c != '\\')
            shown.text[used++] = (char)c;
        else
            used += (size_t)snprintf(shown.text + used, 5, "\\x%02x", c);
    }
    if (*name) {
        memcpy(shown.text + used, "...", 3);
        used += 3;
    }
    shown.text[used] = '\0';
    return shown;
}
