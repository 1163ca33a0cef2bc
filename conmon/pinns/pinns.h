#pragma once
/* Shared types of pinns. One `struct pinns_options` is parsed once and then only read. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "mapping.h"

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

/* In the order in which they have to be created: the user namespace owns the others. */
enum ns_kind { NS_USER, NS_MNT, NS_CGROUP, NS_UTS, NS_IPC, NS_NET, NS_COUNT };

enum ns_mode { NS_NOT_PINNED, NS_NEW, NS_HOST };

struct ns_info {
    const char *name; /* below /proc/PID/ns, and the pin directory without its suffix "ns" */
    int clone_flag;
};

struct pinns_options {
    const char *directory;
    const char *filename;
    enum ns_mode mode[NS_COUNT];
    const char *hostname; /* NULL: leave as it is */
    bool loopback;
    bool show_help;
    bool show_version;
    char *const *sysctls; /* "key=value" each */
    size_t sysctl_count;
    char uid_map[MAP_TEXT_BYTES];
    char gid_map[MAP_TEXT_BYTES];
};

extern const struct ns_info ns_table[NS_COUNT];

/* Prints "pinns: ...: strerror(errno)" and returns -1; complain() does so without errno. */
__attribute__((format(printf, 1, 2))) int fail(const char *format, ...);
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/* options.c: 0, or -1 after complaining. `sysctls` must have room for argc pointers. */
int options_parse(int argc, char **argv, char **sysctls, struct pinns_options *out);
void options_usage(int fd);

/* inside.c: makes the new namespaces of `options` in the calling process, except a user namespace. */
int inside_unshare(const struct pinns_options *options);
/* inside.c: host name, loopback and sysctls of the calling process's namespaces. */
int inside_configure(const struct pinns_options *options);

/*
 * pin.c: binds /proc/<pid>/ns/<kind> to DIR/<kind>ns/NAME. An older pin of that name is replaced (or kept when it is
 * the very namespace asked for). Returns 0 or -1 after complaining.
 */
int pin_bind(const struct pinns_options *options, enum ns_kind kind, pid_t pid);
/* pin.c: removes the pin again, after a later step failed. */
void pin_undo(const struct pinns_options *options, enum ns_kind kind);
