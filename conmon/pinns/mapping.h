#pragma once
/* Pure parsers of pinns: id mappings, sysctl assignments, pin names. No I/O, no allocation. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the 340 lines the kernel accepts, 33 bytes each. */
enum { MAP_TEXT_BYTES = 340 * 33, SYSCTL_PATH_BYTES = 256, SYSCTL_VALUE_BYTES = 4096 };

/* The namespace a sysctl belongs to; SYSCTL_NONE: not namespaced, writing it would change the host. */
enum sysctl_scope { SYSCTL_NONE, SYSCTL_NET, SYSCTL_IPC, SYSCTL_UTS, SYSCTL_USER };

/*
 * Turns "container-host-size@container-host-size" into the text of /proc/PID/uid_map.
 * Returns NULL and fills `out`, or a static sentence part that says what is wrong.
 */
const char *mapping_parse(const char *text, char *out, size_t out_size);

/*
 * Splits "key=value", turns the key into a path below /proc/sys and finds its scope.
 * Dots separate components; when a slash comes first, slashes do (as with sysctl(8)).
 * Returns NULL and fills the out-parameters, or a static sentence part that says what is wrong.
 */
const char *sysctl_parse(const char *text, char path[SYSCTL_PATH_BYTES], const char **value, enum sysctl_scope *scope);

/* Whether `name` is one path component that may be created: not empty, no slash, not a dot name. */
bool pin_name_valid(const char *name);
