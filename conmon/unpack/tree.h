#pragma once
/*
 * The layer's directory: opening directories inside it, making missing ones, clearing the way, removing subtrees.
 *
 * The process is in a chroot of the directory, and every lookup is resolved below it as well, so that no link and no name
 * leads out. A few directories stay open, because neighbours in an archive are neighbours in the tree.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common.h"
#include "options.h"
#include "pathname.h"
#include "sets.h"

enum { TREE_CACHE = 8 };

struct open_directory {
    int fd; /* -1: unused */
    bool gid_is_zero; /* what is made inside gets group 0 by itself */
    uint64_t used;
    size_t length;
    char path[PATHNAME_BYTES];
};

struct tree {
    const struct options *options; /* borrowed */
    struct failure *failure;       /* borrowed */
    struct path_set paths;
    int root_fd;
    bool in_user_namespace;
    uint64_t entries; /* members and implied directories so far */
    uint64_t visited; /* directory entries looked at while removing */
    uint64_t clock;
    struct open_directory cache[TREE_CACHE];
};

/* Takes `root_fd`. Returns 0 or -1. */
int tree_init(struct tree *tree, const struct options *options, int root_fd, const uint64_t key[4], struct failure *failure);
void tree_free(struct tree *tree);

/* Counts one more entry against the budget. Returns 0 or -1. */
int tree_count(struct tree *tree);

enum directory_result { DIRECTORY_FAILED = -1, DIRECTORY_OK = 0, DIRECTORY_BLOCKED = 1 };

/*
 * Opens the directory of `length` bytes of `path` ("" is the root), making it and its parents when `make`. The result is
 * borrowed and lives until TREE_CACHE others have been opened or something is removed.
 * DIRECTORY_BLOCKED: something in the way is no directory; no failure is recorded.
 * `subject` is the entry named in messages.
 */
enum directory_result tree_open(struct tree *tree, const char *path, size_t length, bool make, const char *subject,
                                const struct open_directory **out);

/* Removes whatever `name` in `directory_fd` is. Descriptors borrowed before are void, but `directory_fd` stays open. */
int tree_remove(struct tree *tree, int directory_fd, const char *name, const char *subject);

/* Notes that this layer has made `path`, so that opaque markers spare it and the way to it. Returns 0 or -1. */
int tree_note_made(struct tree *tree, const char *path, size_t length);

/* Removes everything below the directory of `path` that this layer has not made. */
int tree_empty(struct tree *tree, const struct clean_path *path, const char *subject);
