/* Log driver specifications: see logspec.h. */
#include "conmon/logspec.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_name(const char *value, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(value, name, length) == 0;
}

enum logspec_result logspec_parse(const char *value, enum log_driver *driver, const char **path)
{
    const char *colon = strchr(value, ':');
    size_t length = colon != NULL ? (size_t)(colon - value) : strlen(value);
    const char *rest = colon != NULL ? colon + 1 : "";

    if (value[0] == '\0' || strcmp(value, ":") == 0) {
        return LOGSPEC_EMPTY;
    }
    if (value[0] == '/') {
        *driver = LOG_DRIVER_FILE;
        *path = value;
        return LOGSPEC_OK;
    }
    if (is_name(value, length, "journald")) {
        *driver = LOG_DRIVER_JOURNALD;
        return LOGSPEC_OK;
    }
    if (is_name(value, length, "none") || is_name(value, length, "off") || is_name(value, length, "null")) {
        *driver = LOG_DRIVER_NONE;
        return LOGSPEC_OK;
    }
    if (is_name(value, length, "passthrough")) {
        *driver = LOG_DRIVER_PASSTHROUGH;
        return LOGSPEC_OK;
    }
    if (length == 0 || is_name(value, length, "k8s-file") || is_name(value, length, "json-file")) {
        if (rest[0] == '\0') {
            return LOGSPEC_NO_PATH;
        }
        *driver = LOG_DRIVER_FILE;
        *path = rest;
        return LOGSPEC_OK;
    }
    if (colon != NULL) {
        return LOGSPEC_UNKNOWN;
    }
    *driver = LOG_DRIVER_FILE;
    *path = value;
    return LOGSPEC_OK;
}
