#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DIRENT_BYTES = 16 * 1024, VISITED_PER_ENTRY = 8 };

int tree_init(struct tree *tree, const struct options *options, int root_fd, const uint64_t key[4], struct failure *failure)
{
    tree->options = options;
    tree->failure = failure;
    tree->root_fd = root_fd;
    tree->entries = tree->visited = tree->clock = 0;
    for (size_t i = 0; i < TREE_CACHE; i++)
        tree->cache[i].fd = -1;
    if (path_set_init(&tree->paths, key) < 0)
        return failure_set(failure, UNPACK_IO, "there is no memory for the set of paths");
    return 0;
}

static void forget_directories(struct tree *tree)
{
    for (size_t i = 0; i < TREE_CACHE; i++) {
        if (tree->cache[i].fd >= 0)
            close(tree->cache[i].fd);
        tree->cache[i].fd = -1;
    }
}

void tree_free(struct tree *tree)
{
    forget_directories(tree);
    path_set_free(&tree->paths);
    close(tree->root_fd);
}

int tree_count(struct tree *tree)
{
    if (++tree->entries > tree->options->max_entries)
        return failure_set(tree->failure, UNPACK_BUDGET, "the layer has more than the allowed %" PRIu64 " entries",
                           tree->options->max_entries);
    return 0;
}

/* Opens a directory below the root; links in the path are followed, but never out of the root. */
static int open_in_root(const struct tree *tree, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, tree->root_fd, path[0] ? path : ".", &how, sizeof how);

    /* Before Linux 5.6 the chroot alone keeps the lookup inside. */
    return fd < 0 && errno == ENOSYS ? openat(tree->root_fd, path[0] ? path : ".", (int)how.flags) : fd;
}

static struct open_directory *find_cached(struct tree *tree, const char *path, size_t length)
{
    for (size_t i = 0; i < TREE_CACHE; i++) {
        struct open_directory *directory = &tree->cache[i];

        if (directory->fd >= 0 && directory->length == length && memcmp(directory->path, path, length) == 0) {
            directory->used = ++tree->clock;
            return directory;
        }
    }
    return NULL;
}

/* Takes the descriptor into the cache. */
static struct open_directory *cache_directory(struct tree *tree, const char *path, size_t length, int fd)
{
    struct open_directory *oldest = &tree->cache[0];
    struct stat status;

    for (size_t i = 0; i < TREE_CACHE && oldest->fd >= 0; i++) {
        if (tree->cache[i].fd < 0 || tree->cache[i].used < oldest->used)
            oldest = &tree->cache[i];
    }
    if (oldest->fd >= 0)
        close(oldest->fd);
    oldest->fd = fd;
    oldest->gid_is_zero = fstat(fd, &status) == 0 && status.st_gid == 0;
    oldest->used = ++tree->clock;
    oldest->length = length;
    memcpy(oldest->path, path, length);
    oldest->path[length] = '\0';
    return oldest;
}

/* Directories that no member describes belong to the root of the image. */
static int own_by_root(struct tree *tree, int fd, const char *subject)
{
    uint32_t uid, gid;

    if (tree->options->uids.count == 0 && tree->options->gids.count == 0)
        return fchown(fd, 0, 0) < 0 ? failure_errno(tree->failure, "entry '%s': a parent cannot be given to root", subject) : 0;
    if (id_map_lookup(&tree->options->uids, 0, &uid) < 0 || id_map_lookup(&tree->options->gids, 0, &gid) < 0)
        return failure_set(tree->failure, UNPACK_BAD_ARCHIVE, "entry '%s': its parent is missing and id 0 is not mapped", subject);
    return fchown(fd, uid, gid) < 0 ? failure_errno(tree->failure, "entry '%s': a parent cannot be given to root", subject) : 0;
}

int tree_note_made(struct tree *tree, const char *path, size_t length)
{
    int before = path_set_add(&tree->paths, path, length, PATH_MADE);

    /* Only carried-out opaque markers ask what lies above. A path that is noted already has its way noted, too. */
    while (before >= 0 && length > 0 && tree->options->whiteouts == WHITEOUTS_APPLY) {
        while (length > 0 && path[length - 1] != '/')
            length--;
        if (length == 0)
            break;
        before = path_set_add(&tree->paths, path, --length, PATH_ABOVE);
        if (before > 0 && (before & PATH_ABOVE))
            break;
    }
    return before < 0 ? failure_set(tree->failure, UNPACK_BUDGET, "there is not enough memory for the set of paths") : 0;
}

static enum directory_result make_directory(struct tree *tree, int parent_fd, const char *path, size_t length, const char *name,
                                            const char *subject, const struct open_directory **out)
{
    int fd;

    if (tree_count(tree) < 0)
        return DIRECTORY_FAILED;
    if (mkdirat(parent_fd, name, 0755) < 0) {
        if (errno == EEXIST)
            return failure_set(tree->failure, UNPACK_BAD_ARCHIVE, "entry '%s': its parent is a link that leads nowhere inside the layer",
                               subject);
        return failure_errno(tree->failure, "entry '%s': a parent cannot be made", subject);
    }
    if (tree_note_made(tree, path, length) < 0)
        return DIRECTORY_FAILED;
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failure_errno(tree->failure, "entry '%s': a parent cannot be opened", subject);
    if (own_by_root(tree, fd, subject) < 0) {
        close(fd);
        return DIRECTORY_FAILED;
    }
    *out = cache_directory(tree, path, length, fd);
    return DIRECTORY_OK;
}

/* Opens what exists of `text` and makes the rest; `text` is cut and mended on the way. */
static enum directory_result open_or_make(struct tree *tree, char *text, size_t length, bool make, const char *subject,
                                          const struct open_directory **out)
{
    const struct open_directory *parent = NULL;
    enum directory_result result;
    size_t base = length;
    int fd;

    *out = find_cached(tree, text, length);
    if (*out)
        return DIRECTORY_OK;
    fd = open_in_root(tree, text);
    if (fd >= 0) {
        *out = cache_directory(tree, text, length, fd);
        return DIRECTORY_OK;
    }
    if (errno == ENOTDIR || (errno == ENOENT && !make))
        return DIRECTORY_BLOCKED;
    if (errno != ENOENT)
        return failure_errno(tree->failure, "entry '%s': its directory cannot be opened", subject);
    while (base > 0 && text[base - 1] != '/')
        base--;
    if (base > 0)
        text[base - 1] = '\0';
    result = open_or_make(tree, base > 0 ? text : (char[]){""}, base > 0 ? base - 1 : 0, make, subject, &parent);
    if (base > 0)
        text[base - 1] = '/';
    return result == DIRECTORY_OK ? make_directory(tree, parent->fd, text, length, text + base, subject, out) : result;
}

enum directory_result tree_open(struct tree *tree, const char *path, size_t length, bool make, const char *subject,
                                const struct open_directory **out)
{
    char text[PATHNAME_BYTES];

    *out = find_cached(tree, path, length);
    if (*out)
        return DIRECTORY_OK;
    memcpy(text, path, length);
    text[length] = '\0';
    return open_or_make(tree, text, length, make, subject, out);
}

/* One directory on the way down while removing. Only the deepest is open; the way back is "..", checked by identity. */
struct level {
    dev_t device;
    ino_t inode;
    char name[256]; /* in its parent */
};

struct descent {
    struct level *levels;
    size_t depth, capacity;
    int fd; /* of the deepest */
};

static int enter(struct descent *descent, int fd, const char *name)
{
    struct stat status;

    if (descent->depth == descent->capacity) {
        size_t capacity = descent->capacity ? descent->capacity * 2 : 16;
        struct level *grown = realloc(descent->levels, capacity * sizeof *grown);

        if (!grown)
            return -1;
        descent->levels = grown;
        descent->capacity = capacity;
    }
    if (fstat(fd, &status) < 0)
        return -1;
    descent->levels[descent->depth].device = status.st_dev;
    descent->levels[descent->depth].inode = status.st_ino;
    strncpy(descent->levels[descent->depth].name, name, 255);
    descent->levels[descent->depth].name[255] = '\0';
    descent->depth++;
    descent->fd = fd;
    return 0;
}

/* Goes back to the parent and removes the directory just emptied. */
static int leave(struct descent *descent)
{
    const struct level *parent = &descent->levels[descent->depth - 2];
    struct stat status;
    int fd = openat(descent->fd, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (fstat(fd, &status) < 0 || status.st_dev != parent->device || status.st_ino != parent->inode) {
        close(fd);
        errno = EIO;
        return -1;
    }
    close(descent->fd);
    descent->fd = fd;
    descent->depth--;
    return unlinkat(fd, descent->levels[descent->depth].name, AT_REMOVEDIR);
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int count_visit(struct tree *tree)
{
    uint64_t allowed = tree->options->max_entries * VISITED_PER_ENTRY;

    if (++tree->visited > allowed)
        return failure_set(tree->failure, UNPACK_BUDGET, "whiteouts make more than %" PRIu64 " entries be looked at", allowed);
    return 0;
}

enum sweep { SWEEP_FAILED = -1, SWEEP_EMPTY = 0, SWEEP_DESCEND = 1 };

/* Removes what is not a directory, until a directory is met, which is entered. */
static enum sweep sweep(struct tree *tree, struct descent *descent, char *buffer)
{
    ssize_t length;

    if (lseek(descent->fd, 0, SEEK_SET) < 0)
        return SWEEP_FAILED;
    while ((length = getdents64(descent->fd, buffer, DIRENT_BYTES)) > 0) {
        for (ssize_t at = 0; at < length;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            int fd;

            at += entry->d_reclen;
            if (is_dots(entry->d_name))
                continue;
            if (count_visit(tree) < 0)
                return SWEEP_FAILED;
            if (unlinkat(descent->fd, entry->d_name, 0) == 0)
                continue;
            if (errno != EISDIR && errno != EPERM)
                return SWEEP_FAILED;
            fd = openat(descent->fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (fd < 0)
                return SWEEP_FAILED;
            close(descent->fd);
            return enter(descent, fd, entry->d_name) < 0 ? SWEEP_FAILED : SWEEP_DESCEND;
        }
    }
    return length < 0 ? SWEEP_FAILED : SWEEP_EMPTY;
}

/* Empties the directory `fd`, which it takes. */
static int empty_directory(struct tree *tree, int fd)
{
    struct descent descent = {.fd = fd};
    char *buffer = malloc(DIRENT_BYTES);
    int status = buffer && enter(&descent, fd, "") == 0 ? 0 : -1;

    while (status == 0) {
        enum sweep step = sweep(tree, &descent, buffer);

        if (step == SWEEP_FAILED)
            status = -1;
        else if (step == SWEEP_EMPTY && descent.depth == 1)
            break;
        else if (step == SWEEP_EMPTY)
            status = leave(&descent);
    }
    close(descent.fd);
    free(descent.levels);
    free(buffer);
    return status;
}

/* What was removed may have been a cached directory, or a link on the way to one; the caller's directory was not. */
static void forget_others(struct tree *tree, int directory_fd)
{
    for (size_t i = 0; i < TREE_CACHE; i++) {
        if (tree->cache[i].fd >= 0 && tree->cache[i].fd != directory_fd) {
            close(tree->cache[i].fd);
            tree->cache[i].fd = -1;
        }
    }
}

int tree_remove(struct tree *tree, int directory_fd, const char *name, const char *subject)
{
    int fd;

    if (unlinkat(directory_fd, name, 0) < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != EISDIR && errno != EPERM)
            return failure_errno(tree->failure, "entry '%s': what it replaces cannot be removed", subject);
        fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || empty_directory(tree, fd) < 0 || unlinkat(directory_fd, name, AT_REMOVEDIR) < 0)
            return failure_errno(tree->failure, "entry '%s': what it replaces cannot be removed", subject);
    }
    forget_others(tree, directory_fd);
    return 0;
}

/* What tree_empty() does in one directory; the names are read first, because removing while reading may skip some. */
static int empty_one(struct tree *tree, char *path, size_t length, const char *subject);

static int empty_child(struct tree *tree, int fd, char *path, size_t length, const char *name, const char *subject)
{
    size_t name_length = strlen(name);
    size_t child = length + (length > 0) + name_length;
    unsigned flags;
    struct stat status;

    if (child >= PATHNAME_BYTES)
        return failure_set(tree->failure, UNPACK_BAD_ARCHIVE, "entry '%s': a path below it is too long", subject);
    if (length > 0)
        path[length] = '/';
    memcpy(path + child - name_length, name, name_length + 1);
    flags = path_set_get(&tree->paths, path, child);
    if (!(flags & (PATH_MADE | PATH_ABOVE)))
        return tree_remove(tree, fd, name, subject);
    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return failure_errno(tree->failure, "entry '%s': its content cannot be examined", subject);
    return S_ISDIR(status.st_mode) ? empty_one(tree, path, child, subject) : 0;
}

struct names {
    char *text; /* NUL-ended names, one after the other */
    size_t length, capacity;
};

static int read_names(struct tree *tree, int fd, struct names *out)
{
    char buffer[DIRENT_BYTES];
    ssize_t length;

    while ((length = getdents64(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < length;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            size_t bytes = strlen(entry->d_name) + 1;

            at += entry->d_reclen;
            if (is_dots(entry->d_name))
                continue;
            if (count_visit(tree) < 0)
                return -1;
            if (out->length + bytes > out->capacity) {
                size_t capacity = out->capacity * 2 + DIRENT_BYTES;
                char *grown = realloc(out->text, capacity);

                if (!grown)
                    return -1;
                out->text = grown;
                out->capacity = capacity;
            }
            memcpy(out->text + out->length, entry->d_name, bytes);
            out->length += bytes;
        }
    }
    return length < 0 ? -1 : 0;
}

static int empty_one(struct tree *tree, char *path, size_t length, const char *subject)
{
    struct names names = {0};
    int fd, status;

    path[length] = '\0';
    fd = open_in_root(tree, path);
    status = fd < 0 ? -1 : read_names(tree, fd, &names);
    if (status < 0)
        failure_errno(tree->failure, "entry '%s': its directory cannot be read", subject);
    for (size_t at = 0; at < names.length && status == 0; at += strlen(names.text + at) + 1)
        status = empty_child(tree, fd, path, length, names.text + at, subject);
    free(names.text);
    if (fd >= 0)
        close(fd);
    return status;
}

int tree_empty(struct tree *tree, const struct clean_path *path, const char *subject)
{
    char text[PATHNAME_BYTES];
    size_t length = path->base > 0 ? path->base - 1 : 0;
    int status;

    memcpy(text, path->text, length);
    status = empty_one(tree, text, length, subject);
    forget_directories(tree);
    return status;
}
