/* One value of --log-path: which driver, and for files which path. Pure.
 *
 * The driver's name ends at the first colon; a value that starts with a slash is always a path, colons included.
 * `json-file` means `k8s-file`: both callers write and read that format under either name.
 */
#ifndef CONMON_LOGSPEC_H
#define CONMON_LOGSPEC_H

enum log_driver { LOG_DRIVER_NONE, LOG_DRIVER_FILE, LOG_DRIVER_JOURNALD, LOG_DRIVER_PASSTHROUGH };

enum logspec_result { LOGSPEC_OK, LOGSPEC_EMPTY, LOGSPEC_NO_PATH, LOGSPEC_UNKNOWN };

/* Parse `value`; `*driver` and `*path` (borrowed from value, only for LOG_DRIVER_FILE) are written on LOGSPEC_OK. */
enum logspec_result logspec_parse(const char *value, enum log_driver *driver, const char **path);

#endif
