#include "entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int entry_errno(struct entries *entries, const char *what)
{
    return failure_errno(entries->failure, "entry '%s': %s", entries->shown.text, what);
}

static int entry_bad(struct entries *entries, enum unpack_code code, const char *what)
{
    return failure_set(entries->failure, code, "entry '%s': %s", entries->shown.text, what);
}

struct owner {
    uint32_t uid, gid;
};

static int map_owner(struct entries *entries, const struct member *member, struct owner *out)
{
    if (id_map_lookup(&entries->options->uids, member->uid, &out->uid) < 0)
        return failure_set(entries->failure, UNPACK_BAD_ARCHIVE, "entry '%s': its owner %u is outside the id mapping", entries->shown.text,
                           member->uid);
    if (id_map_lookup(&entries->options->gids, member->gid, &out->gid) < 0)
        return failure_set(entries->failure, UNPACK_BAD_ARCHIVE, "entry '%s': its group %u is outside the id mapping", entries->shown.text,
                           member->gid);
    return 0;
}

static void member_times(const struct member *member, struct timespec out[2])
{
    out[0] = (struct timespec){.tv_sec = member->atime_s, .tv_nsec = (long)member->atime_ns};
    out[1] = (struct timespec){.tv_sec = member->mtime_s, .tv_nsec = (long)member->mtime_ns};
}

/* Attributes that must not come from an archive: those steer overlay, which would then look at other files. */
static int check_xattrs(struct entries *entries, const struct member *member)
{
    for (size_t i = 0; i < member->xattr_count; i++) {
        const char *name = member->xattrs[i].name;

        if (strncmp(name, "trusted.overlay.", 16) == 0)
            return failure_set(entries->failure, UNPACK_HOSTILE_ENTRY, "entry '%s': the attribute '%s' may not come from an archive",
                               entries->shown.text, show_name(name).text);
    }
    return 0;
}

/* A refusal to set an attribute; a full disk and an attribute too large for the file system look the same here. */
static int xattr_refused(struct entries *entries, const char *name)
{
    struct statfs filesystem;

    if (errno == ENOTSUP)
        return 0;
    if (errno == EPERM && entries->tree->in_user_namespace)
        return 0;
    if (errno == ENOSPC && fstatfs(entries->tree->root_fd, &filesystem) == 0 && filesystem.f_bfree > 0)
        errno = E2BIG;
    if (errno == EPERM)
        errno = EINVAL;
    return failure_errno(entries->failure, "entry '%s': the attribute '%s' cannot be set", entries->shown.text, show_name(name).text);
}

/* Sets the attributes of `fd`, or of `name` in the current directory when `fd` is -1. */
static int set_xattrs(struct entries *entries, const struct member *member, int fd, const char *name)
{
    for (size_t i = 0; i < member->xattr_count; i++) {
        const struct xattr *xattr = &member->xattrs[i];
        int status;

        if (strcmp(xattr->name, "security.selinux") == 0)
            continue;
        if (strcmp(xattr->name, "system.posix_acl_default") == 0)
            entries->inherits_modes = true;
        status = fd >= 0 ? fsetxattr(fd, xattr->name, xattr->value, xattr->value_length, 0)
                         : lsetxattr(name, xattr->name, xattr->value, xattr->value_length, 0);
        if (status < 0 && xattr_refused(entries, xattr->name) < 0)
            return -1;
    }
    return 0;
}

/* The same for something that cannot be opened: a link or a device. There is no call with a directory before Linux 6.13. */
static int set_xattrs_at(struct entries *entries, const struct member *member, int directory_fd, const char *name)
{
    int status;

    if (member->xattr_count == 0)
        return 0;
    if (fchdir(directory_fd) < 0)
        return entry_errno(entries, "its directory cannot be entered");
    status = set_xattrs(entries, member, -1, name);
    if (fchdir(entries->tree->root_fd) < 0)
        return entry_errno(entries, "the root cannot be entered");
    return status;
}

/* Owner, mode, attributes and times of something made by name. Symbolic links have no mode. */
static int set_metadata_at(struct entries *entries, const struct member *member, int directory_fd, const char *name, bool has_mode)
{
    struct owner owner;
    struct timespec times[2];

    if (map_owner(entries, member, &owner) < 0)
        return -1;
    if (fchownat(directory_fd, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return entry_errno(entries, "its owner cannot be set");
    /* The caller has just made this name and knows that it is no link. */
    if (has_mode && fchmodat(directory_fd, name, member->mode, 0) < 0)
        return entry_errno(entries, "its mode cannot be set");
    if (set_xattrs_at(entries, member, directory_fd, name) < 0)
        return -1;
    member_times(member, times);
    if (utimensat(directory_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return entry_errno(entries, "its times cannot be set");
    return 0;
}

static int remember_times(struct entries *entries, const struct member *member, size_t length)
{
    struct directory_time *time;

    if (entries->time_count == entries->time_capacity) {
        size_t capacity = entries->time_capacity ? entries->time_capacity * 2 : 256;
        struct directory_time *grown = realloc(entries->times, capacity * sizeof *grown);

        if (!grown)
            return entry_bad(entries, UNPACK_BUDGET, "there is not enough memory for so many directories");
        entries->times = grown;
        entries->time_capacity = capacity;
    }
    if (entries->time_paths_length + length + 1 > entries->time_paths_capacity) {
        size_t capacity = (entries->time_paths_capacity + PATHNAME_BYTES) * 2;
        char *grown = realloc(entries->time_paths, capacity);

        if (!grown)
            return entry_bad(entries, UNPACK_BUDGET, "there is not enough memory for so many directories");
        entries->time_paths = grown;
        entries->time_paths_capacity = capacity;
    }
    time = &entries->times[entries->time_count++];
    *time = (struct directory_time){entries->time_paths_length, length,           member->mtime_s,
                                    member->atime_s,            member->mtime_ns, member->atime_ns};
    memcpy(entries->time_paths + entries->time_paths_length, entries->path.text, length);
    entries->time_paths_length += length;
    return 0;
}

/* Owner, mode and attributes of a directory; its times come last of all. */
static int set_directory(struct entries *entries, const struct member *member, int fd, size_t path_length)
{
    struct owner owner;

    if (map_owner(entries, member, &owner) < 0)
        return -1;
    if (fchown(fd, owner.uid, owner.gid) < 0)
        return entry_errno(entries, "its owner cannot be set");
    if (fchmod(fd, member->mode) < 0)
        return entry_errno(entries, "its mode cannot be set");
    if (set_xattrs(entries, member, fd, NULL) < 0)
        return -1;
    return remember_times(entries, member, path_length);
}

static int apply_directory(struct entries *entries, const struct member *member, const struct open_directory *parent, const char *name)
{
    const struct open_directory *made;

    if (mkdirat(parent->fd, name, 0700) < 0) {
        struct stat status;

        if (errno != EEXIST)
            return entry_errno(entries, "the directory cannot be made");
        if (fstatat(parent->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return entry_errno(entries, "what is there cannot be examined");
        if (!S_ISDIR(status.st_mode) && (tree_remove(entries->tree, parent->fd, name, entries->shown.text) < 0 ||
                                         (mkdirat(parent->fd, name, 0700) < 0 && entry_errno(entries, "the directory cannot be made") < 0)))
            return -1;
    }
    if (tree_open(entries->tree, entries->path.text, entries->path.length, false, entries->shown.text, &made) != DIRECTORY_OK)
        return entries->failure->code ? -1 : entry_errno(entries, "the directory cannot be opened");
    if (set_directory(entries, member, made->fd, entries->path.length) < 0)
        return -1;
    /* Its group may have changed. */
    ((struct open_directory *)made)->gid_is_zero = false;
    return 0;
}

static int apply_symlink(struct entries *entries, const struct member *member, int parent_fd, const char *name)
{
    if (member->link_name[0] == '\0')
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "it is a symbolic link to nothing");
    if (symlinkat(member->link_name, parent_fd, name) < 0 &&
        (errno != EEXIST || tree_remove(entries->tree, parent_fd, name, entries->shown.text) < 0 ||
         symlinkat(member->link_name, parent_fd, name) < 0))
        return entries->failure->code ? -1 : entry_errno(entries, "the symbolic link cannot be made");
    return set_metadata_at(entries, member, parent_fd, name, false);
}

static int apply_node(struct entries *entries, const struct member *member, int parent_fd, const char *name)
{
    mode_t kind = member->type == MEMBER_CHARACTER ? S_IFCHR : member->type == MEMBER_BLOCK ? S_IFBLK : S_IFIFO;
    dev_t device = makedev(member->device_major, member->device_minor);
    int status;

    if (kind == S_IFIFO)
        device = 0;
    else if (entries->tree->in_user_namespace)
        return 0;
    if (member->device_major > 0xfff || member->device_minor > 0xfffff)
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "its device number is out of range");
    status = mknodat(parent_fd, name, kind | 0600, device);
    if (status < 0 && errno == EEXIST && tree_remove(entries->tree, parent_fd, name, entries->shown.text) == 0)
        status = mknodat(parent_fd, name, kind | 0600, device);
    if (status < 0)
        return entries->failure->code ? -1 : entry_errno(entries, "the device or pipe cannot be made");
    return set_metadata_at(entries, member, parent_fd, name, true);
}

/* Setting what is set already would cost a call, and chown would drop the file's capabilities. */
static int set_hardlink_metadata(struct entries *entries, const struct member *member, int parent_fd, const char *name)
{
    struct owner owner;
    struct stat status;
    struct timespec times[2];
    bool chowned = false;

    if (map_owner(entries, member, &owner) < 0)
        return -1;
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return entry_errno(entries, "the hard link cannot be examined");
    if (S_ISLNK(status.st_mode))
        return 0;
    if (status.st_uid != owner.uid || status.st_gid != owner.gid) {
        chowned = true;
        if (fchownat(parent_fd, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
            return entry_errno(entries, "its owner cannot be set");
    }
    if ((chowned || (status.st_mode & 07777) != member->mode) && fchmodat(parent_fd, name, member->mode, 0) < 0)
        return entry_errno(entries, "its mode cannot be set");
    if (set_xattrs_at(entries, member, parent_fd, name) < 0)
        return -1;
    member_times(member, times);
    if (utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return entry_errno(entries, "its times cannot be set");
    return 0;
}

static int missing_target(struct entries *entries, const struct member *member)
{
    return failure_set(entries->failure, UNPACK_BAD_ARCHIVE, "entry '%s': it is a hard link to '%s', which is not in this layer",
                       entries->shown.text, show_name(member->link_name).text);
}

/* Finds the target of a hard link: its directory and what it is now. Returns 0 or -1. */
static int find_target(struct entries *entries, const struct member *member, const struct open_directory **directory, struct stat *status)
{
    const struct clean_path *target = &entries->link_path;

    switch (tree_open(entries->tree, target->text, target->base > 0 ? target->base - 1 : 0, false, entries->shown.text, directory)) {
    case DIRECTORY_FAILED:
        return -1;
    case DIRECTORY_BLOCKED:
        return missing_target(entries, member);
    case DIRECTORY_OK:
        break;
    }
    if (fstatat((*directory)->fd, target->text + target->base, status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? missing_target(entries, member) : entry_errno(entries, "the target of the hard link cannot be examined");
    return S_ISDIR(status->st_mode) ? entry_bad(entries, UNPACK_BAD_ARCHIVE, "it is a hard link to a directory") : 0;
}

/* Removes what is in the place of a hard link, but never the target itself: `a` as a link to `a` has none. */
static int clear_for_link(struct entries *entries, const struct member *member, int parent_fd, const char *name, const struct stat *target)
{
    struct stat present;

    if (fstatat(parent_fd, name, &present, AT_SYMLINK_NOFOLLOW) < 0)
        return entry_errno(entries, "what is in the place of the hard link cannot be examined");
    if (present.st_dev == target->st_dev && present.st_ino == target->st_ino)
        return missing_target(entries, member);
    return tree_remove(entries->tree, parent_fd, name, entries->shown.text);
}

static int apply_hardlink(struct entries *entries, const struct member *member, int parent_fd, const char *name)
{
    const char *target = entries->link_path.text;
    enum path_result cleaned = path_clean(member->link_name, DEPTH_MAX, &entries->link_path);
    const struct open_directory *directory;
    struct stat status;
    int linked;

    if (cleaned == PATH_CLIMBS)
        return failure_set(entries->failure, UNPACK_HOSTILE_ENTRY, "entry '%s': it is a hard link to '%s', which is above the root",
                           entries->shown.text, show_name(member->link_name).text);
    if (cleaned != PATH_OK)
        return missing_target(entries, member);
    target += entries->link_path.base;
    if (find_target(entries, member, &directory, &status) < 0)
        return -1;
    linked = linkat(directory->fd, target, parent_fd, name, 0);
    if (linked < 0 && errno == EEXIST) {
        if (clear_for_link(entries, member, parent_fd, name, &status) < 0 || find_target(entries, member, &directory, &status) < 0)
            return -1;
        linked = linkat(directory->fd, target, parent_fd, name, 0);
    }
    if (linked < 0)
        return entry_errno(entries, "the hard link cannot be made");
    return set_hardlink_metadata(entries, member, parent_fd, name);
}

/* Whether the mode can be given at creation: no bit that chown would clear, and nothing that alters it. */
static bool mode_at_creation(const struct entries *entries, const struct member *member)
{
    return (member->mode & 07000) == 0 && !entries->inherits_modes;
}

/* Makes the file and gives it its owner and mode, which an open file keeps however its content is written. */
static int open_file(struct entries *entries, const struct member *member, const struct open_directory *parent, const char *name)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    bool early_mode = mode_at_creation(entries, member);
    mode_t mode = early_mode ? member->mode : 0600;
    bool owned_by_group_zero = parent->gid_is_zero;
    struct owner owner;
    int fd;

    if (map_owner(entries, member, &owner) < 0)
        return -1;
    fd = openat(parent->fd, name, flags, mode);
    if (fd < 0 && errno == EEXIST && tree_remove(entries->tree, parent->fd, name, entries->shown.text) == 0)
        fd = openat(parent->fd, name, flags, mode);
    if (fd < 0)
        return entries->failure->code ? -1 : entry_errno(entries, "the file cannot be made");
    if ((owner.uid != 0 || owner.gid != 0 || !owned_by_group_zero) && fchown(fd, owner.uid, owner.gid) < 0) {
        entry_errno(entries, "its owner cannot be set");
        close(fd);
        return -1;
    }
    return fd;
}

int entry_finish(struct entries *entries, const struct member *member, int file_fd)
{
    struct timespec times[2];
    int status = 0;

    /* Writing clears setuid bits and capabilities, so they follow the content. */
    if (!mode_at_creation(entries, member) && fchmod(file_fd, member->mode) < 0)
        status = entry_errno(entries, "its mode cannot be set");
    if (status == 0)
        status = set_xattrs(entries, member, file_fd, NULL);
    member_times(member, times);
    if (status == 0 && futimens(file_fd, times) < 0)
        status = entry_errno(entries, "its times cannot be set");
    if (close(file_fd) < 0 && status == 0)
        status = entry_errno(entries, "it cannot be closed");
    return status;
}

static enum entry_result apply_opaque(struct entries *entries)
{
    const struct open_directory *directory;
    size_t length = entries->path.base > 0 ? entries->path.base - 1 : 0;
    bool overlay = entries->options->whiteouts == WHITEOUTS_OVERLAY;
    const char *attribute = entries->tree->in_user_namespace ? "user.overlay.opaque" : "trusted.overlay.opaque";

    switch (tree_open(entries->tree, entries->path.text, length, true, entries->shown.text, &directory)) {
    case DIRECTORY_FAILED:
        return ENTRY_FAILED;
    case DIRECTORY_BLOCKED:
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "it makes something opaque that is no directory");
    case DIRECTORY_OK:
        break;
    }
    if (!overlay)
        return tree_empty(entries->tree, &entries->path, entries->shown.text) < 0 ? ENTRY_FAILED : ENTRY_DISCARDS;
    if (fsetxattr(directory->fd, attribute, "y", 1, 0) < 0)
        return entry_errno(entries, "its directory cannot be made opaque");
    return ENTRY_DISCARDS;
}

static enum entry_result apply_whiteout(struct entries *entries, const struct member *member, const char *hidden)
{
    const struct open_directory *parent;
    struct owner owner;
    size_t length = entries->path.base > 0 ? entries->path.base - 1 : 0;
    struct clean_path target;

    switch (tree_open(entries->tree, entries->path.text, length, entries->options->whiteouts == WHITEOUTS_OVERLAY, entries->shown.text,
                      &parent)) {
    case DIRECTORY_FAILED:
        return ENTRY_FAILED;
    case DIRECTORY_BLOCKED:
        return ENTRY_DISCARDS; /* nothing is there that could be hidden */
    case DIRECTORY_OK:
        break;
    }
    memcpy(target.text, entries->path.text, entries->path.base);
    strcpy(target.text + entries->path.base, hidden);
    if (path_set_get(&entries->tree->paths, target.text, strlen(target.text)) & PATH_MADE)
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "it hides what the same layer has brought");
    if (entries->options->whiteouts == WHITEOUTS_APPLY)
        return tree_remove(entries->tree, parent->fd, hidden, entries->shown.text) < 0 ? ENTRY_FAILED : ENTRY_DISCARDS;
    if (map_owner(entries, member, &owner) < 0)
        return ENTRY_FAILED;
    if (mknodat(parent->fd, hidden, S_IFCHR, 0) < 0)
        return errno == EEXIST ? entry_bad(entries, UNPACK_BAD_ARCHIVE, "it hides what the same layer has brought")
                               : entry_errno(entries, "the whiteout cannot be made");
    if ((owner.uid != 0 || owner.gid != 0 || !parent->gid_is_zero) &&
        fchownat(parent->fd, hidden, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return entry_errno(entries, "the owner of the whiteout cannot be set");
    return ENTRY_DISCARDS;
}

static int apply_root(struct entries *entries, const struct member *member)
{
    const struct open_directory *root;

    if (member->type != MEMBER_DIRECTORY)
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "it names the root but is no directory");
    if (!entries->path.absolute)
        return 0; /* "." and "./" leave the root as it is */
    if (tree_open(entries->tree, "", 0, false, entries->shown.text, &root) != DIRECTORY_OK)
        return entries->failure->code ? -1 : entry_errno(entries, "the root cannot be opened");
    if (set_directory(entries, member, root->fd, 0) < 0)
        return -1;
    ((struct open_directory *)root)->gid_is_zero = false;
    return 0;
}

static enum entry_result apply_ordinary(struct entries *entries, const struct member *member, int *file_fd)
{
    const char *name = entries->path.text + entries->path.base;
    const struct open_directory *parent;
    enum directory_result found =
        tree_open(entries->tree, entries->path.text, entries->path.base > 0 ? entries->path.base - 1 : 0, true, entries->shown.text, &parent);

    if (found == DIRECTORY_BLOCKED)
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "it lies below something that is no directory");
    if (found == DIRECTORY_FAILED)
        return ENTRY_FAILED;
    if (tree_note_made(entries->tree, entries->path.text, entries->path.length) < 0)
        return ENTRY_FAILED;
    switch (member->type) {
    case MEMBER_FILE:
        *file_fd = open_file(entries, member, parent, name);
        return *file_fd < 0 ? ENTRY_FAILED : ENTRY_WANTS_CONTENT;
    case MEMBER_DIRECTORY:
        return (enum entry_result)apply_directory(entries, member, parent, name);
    case MEMBER_SYMLINK:
        return (enum entry_result)apply_symlink(entries, member, parent->fd, name);
    case MEMBER_HARDLINK:
        return (enum entry_result)apply_hardlink(entries, member, parent->fd, name);
    case MEMBER_CHARACTER:
    case MEMBER_BLOCK:
    case MEMBER_FIFO:
        return (enum entry_result)apply_node(entries, member, parent->fd, name);
    }
    return ENTRY_FAILED;
}

/* Cleans the name and refuses those that climb, are too long, or came before. */
static int place(struct entries *entries, const struct member *member, enum path_result *cleaned)
{
    int before;

    entries->shown = show_name(member->name);
    *cleaned = path_clean(member->name, DEPTH_MAX, &entries->path);
    switch (*cleaned) {
    case PATH_CLIMBS:
        return entry_bad(entries, UNPACK_HOSTILE_ENTRY, "its name leads above the root of the layer");
    case PATH_TOO_LONG:
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "its name is too long");
    case PATH_TOO_DEEP:
        return entry_bad(entries, UNPACK_BUDGET, "it lies too deep");
    case PATH_OK:
    case PATH_ROOT:
        break;
    }
    if (*cleaned == PATH_ROOT && entries->path.absolute)
        before = path_set_add(&entries->tree->paths, "/", 1, PATH_MEMBER);
    else
        before = path_set_add(&entries->tree->paths, entries->path.text, entries->path.length, PATH_MEMBER);
    if (before < 0)
        return entry_bad(entries, UNPACK_BUDGET, "there is not enough memory for the set of paths");
    if (before & PATH_MEMBER)
        return entry_bad(entries, UNPACK_BAD_ARCHIVE, "its path has come before in this layer (duplicate)");
    return 0;
}

enum entry_result entry_apply(struct entries *entries, const struct member *member, int *file_fd)
{
    enum path_result cleaned;
    const char *hidden = NULL;

    if (tree_count(entries->tree) < 0 || place(entries, member, &cleaned) < 0)
        return ENTRY_FAILED;
    if (cleaned == PATH_OK) {
        switch (whiteout_of(&entries->path, &hidden)) {
        case WHITEOUT_BAD:
            return entry_bad(entries, UNPACK_HOSTILE_ENTRY, "it is a whiteout of no name");
        case WHITEOUT_OPAQUE:
            return apply_opaque(entries);
        case WHITEOUT_NAME:
            return apply_whiteout(entries, member, hidden);
        case WHITEOUT_NONE:
            break;
        }
    }
    if (id_set_add(&entries->uids, member->uid) < 0 || id_set_add(&entries->gids, member->gid) < 0)
        return entry_bad(entries, UNPACK_BUDGET, "there is not enough memory for the set of owners");
    if (check_xattrs(entries, member) < 0)
        return ENTRY_FAILED;
    if (cleaned == PATH_ROOT)
        return (enum entry_result)apply_root(entries, member);
    return apply_ordinary(entries, member, file_fd);
}

int entries_finish(struct entries *entries)
{
    for (size_t i = 0; i < entries->time_count; i++) {
        const struct directory_time *time = &entries->times[i];
        const struct timespec times[2] = {{.tv_sec = time->atime_s, .tv_nsec = (long)time->atime_ns},
                                          {.tv_sec = time->mtime_s, .tv_nsec = (long)time->mtime_ns}};
        const char *path = entries->time_paths + time->path_at;
        const struct open_directory *parent;
        char name[256] = ".";
        size_t base = time->path_length;

        while (base > 0 && path[base - 1] != '/')
            base--;
        if (time->path_length > 0) {
            memcpy(name, path + base, time->path_length - base);
            name[time->path_length - base] = '\0';
        }
        /* A directory may have been replaced through another name; then there is nothing to do. */
        switch (tree_open(entries->tree, path, base > 0 ? base - 1 : 0, false, "directory times", &parent)) {
        case DIRECTORY_FAILED:
            return -1;
        case DIRECTORY_BLOCKED:
            continue;
        case DIRECTORY_OK:
            break;
        }
        if (utimensat(parent->fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return failure_errno(entries->failure, "entry '%.*s': its times cannot be set", (int)time->path_length, path);
    }
    return 0;
}

void entries_free(struct entries *entries)
{
    id_set_free(&entries->uids);
    id_set_free(&entries->gids);
    free(entries->time_paths);
    free(entries->times);
}
