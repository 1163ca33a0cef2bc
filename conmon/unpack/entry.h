#pragma once
/* One member applied to the tree: its place, its kind, its owner, mode, attributes and times. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "member.h"
#include "tree.h"

struct directory_time {
    size_t path_at, path_length;
    int64_t mtime_s, atime_s;
    uint32_t mtime_ns, atime_ns;
};

/* Everything that applying needs and that lasts as long as the layer. */
struct entries {
    struct tree *tree;             /* borrowed */
    const struct options *options; /* borrowed */
    struct failure *failure;       /* borrowed */
    struct id_set uids, gids;      /* the header's owners, whiteouts left out */
    bool inherits_modes;           /* a default ACL may change the modes of what is made */
    struct clean_path path;        /* of the member at hand */
    struct clean_path link_path;
    struct shown_name shown;
    char *time_paths;
    size_t time_paths_length, time_paths_capacity;
    struct directory_time *times;
    size_t time_count, time_capacity;
};

enum entry_result {
    ENTRY_FAILED = -1,
    ENTRY_DONE = 0,
    ENTRY_WANTS_CONTENT = 1, /* a file has been opened */
    ENTRY_DISCARDS = 2,      /* done, and content that follows belongs to nothing */
};

/* Applies a member. With ENTRY_WANTS_CONTENT `file_fd` is the caller's, to be filled and given to entry_finish(). */
enum entry_result entry_apply(struct entries *entries, const struct member *member, int *file_fd);

/* Sets what belongs to a filled file, and closes it. Returns 0 or -1. */
int entry_finish(struct entries *entries, const struct member *member, int file_fd);

/* Sets the times of all directories, after everything has been made. Returns 0 or -1. */
int entries_finish(struct entries *entries);
void entries_free(struct entries *entries);
