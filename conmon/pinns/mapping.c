#include "mapping.h"

#include <stdio.h>
#include <string.h>

/* Reads a decimal 32-bit number that is followed by `stop`; moves the cursor behind it. */
static bool read_u32(const char **cursor, const char *stops, uint32_t *out)
{
    const char *at = *cursor;
    uint64_t value = 0;

    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > UINT32_MAX)
            return false;
    }
    if (!strchr(stops, *at))
        return false;
    *out = (uint32_t)value;
    *cursor = at;
    return true;
}

const char *mapping_parse(const char *text, char *out, size_t out_size)
{
    size_t used = 0;

    while (*text) {
        uint32_t inside, outside, size;
        int written;

        if (!read_u32(&text, "-", &inside) || *text++ != '-' || !read_u32(&text, "-", &outside) || *text++ != '-' ||
            !read_u32(&text, "@", &size))
            return "is not a list of container-host-size numbers joined by '@'";
        if (size == 0)
            return "has an empty range";
        if ((uint64_t)inside + size > UINT32_MAX || (uint64_t)outside + size > UINT32_MAX)
            return "has a range beyond 32 bits";
        if (*text == '@')
            text++;
        written = snprintf(out + used, out_size - used, "%u %u %u\n", inside, outside, size);
        if (written < 0 || (size_t)written >= out_size - used)
            return "has too many ranges";
        used += (size_t)written;
    }
    return used ? NULL : "is empty";
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The scope of a path below /proc/sys: exact families the kernel keeps per namespace, everything else is the host's. */
static enum sysctl_scope scope_of(const char *path)
{
    static const char *const ipc[] = {"kernel/sem", "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
                                      "kernel/shm_next_id", "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/msg_next_id",
                                      "kernel/sem_next_id", "kernel/auto_msgmni"};

    if (starts_with(path, "net/"))
        return SYSCTL_NET;
    if (starts_with(path, "fs/mqueue/"))
        return SYSCTL_IPC;
    if (starts_with(path, "user/"))
        return SYSCTL_USER;
    if (strcmp(path, "kernel/domainname") == 0 || strcmp(path, "kernel/hostname") == 0)
        return SYSCTL_UTS;
    for (size_t i = 0; i < sizeof ipc / sizeof *ipc; i++) {
        if (strcmp(path, ipc[i]) == 0)
            return SYSCTL_IPC;
    }
    return SYSCTL_NONE;
}

static bool key_char_valid(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-/:@", c);
}

/* Whether every component of a relative path is a real name. */
static bool components_valid(const char *path)
{
    for (;;) {
        size_t length = strcspn(path, "/");

        if (length == 0 || (length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (path[length] == '\0')
            return true;
        path += length + 1;
    }
}

const char *sysctl_parse(const char *text, char path[SYSCTL_PATH_BYTES], const char **value, enum sysctl_scope *scope)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0;
    size_t first;
    enum sysctl_scope found;

    if (!equals || length == 0)
        return "is not of the form key=value";
    if (length >= SYSCTL_PATH_BYTES || strlen(equals + 1) >= SYSCTL_VALUE_BYTES)
        return "is too long";
    if (text[0] == '/')
        return "has a key that starts with '/'";
    first = strcspn(text, "./");
    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (c == '\0' || !key_char_valid(c))
            return "has a character in its key that no sysctl name has";
        if (i + 1 < length && c == '.' && text[i + 1] == '.')
            return "has '..' in its key";
        if (text[first] == '.')
            c = c == '.' ? '/' : c == '/' ? '.' : c;
        path[i] = c;
    }
    path[length] = '\0';
    if (!components_valid(path))
        return "has an empty or dotted component in its key";
    for (const char *c = equals + 1; *c; c++) {
        if ((unsigned char)*c < 0x20 ? *c != '\t' : *c == 0x7f)
            return "has a control character in its value";
    }
    found = scope_of(path);
    if (found == SYSCTL_NONE)
        return "belongs to no namespace: it would change the host";
    *scope = found;
    *value = equals + 1;
    return NULL;
}

bool pin_name_valid(const char *name)
{
    return *name && strlen(name) <= 255 && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}
