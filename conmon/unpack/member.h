#pragma once
/* Members of the archive: header blocks and what extends them, merged into one description. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common.h"
#include "header.h"
#include "pax.h"
#include "split.h"
#include "stream.h"

enum { META_BYTES_MAX = 1024 * 1024 };

enum member_type { MEMBER_FILE, MEMBER_HARDLINK, MEMBER_SYMLINK, MEMBER_CHARACTER, MEMBER_BLOCK, MEMBER_DIRECTORY, MEMBER_FIFO };

struct xattr {
    const char *name;
    const char *value;
    size_t value_length;
};

struct member {
    enum member_type type;
    const char *name;
    const char *link_name;
    uint64_t size; /* bytes of content in the archive; 0 unless a file */
    uint32_t mode; /* permission bits */
    uint32_t uid, gid;
    int64_t mtime_s, atime_s;
    uint32_t mtime_ns, atime_ns;
    uint32_t device_major, device_minor;
    const struct xattr *xattrs;
    size_t xattr_count;

    bool sparse;
    bool sparse_map_in_content; /* format 1.0: the map precedes the content */
    uint64_t real_size;
    const struct sparse_run *runs;
    size_t run_count;
};

/* A buffer that grows. */
struct bytes {
    char *at;
    size_t length, capacity;
};

struct member_reader {
    struct stream *stream;   /* borrowed */
    struct split *split;     /* borrowed */
    struct failure *failure; /* borrowed */
    struct bytes pax, long_name, long_link;
    struct xattr *xattrs;
    size_t xattr_capacity;
    struct sparse_run *runs;
    size_t run_capacity;
    struct tar_header header;
    size_t meta_bytes; /* of extension headers since the last member */
};

/* Reads up to the next member's content. Strings live until the next call. Returns 1, 0 at the end, -1 on failure. */
int member_next(struct member_reader *reader, struct member *out);

/*
 * Takes `length` bytes of the archive into the tar-split file, and into `to` unless that is NULL.
 * Returns the number of bytes, less only at the end of the archive, or -1.
 */
int64_t member_take_raw(struct member_reader *reader, void *to, uint64_t length);

/* Takes the padding behind `size` bytes of content. Returns 0 or -1. */
int member_take_padding(struct member_reader *reader, uint64_t size);

/* Takes everything to the end of the archive. Returns 0 or -1. */
int member_take_rest(struct member_reader *reader);

/* Reads the map at the start of a format 1.0 sparse file. `taken` is the number of bytes it had. Returns 0 or -1. */
int member_read_sparse_map(struct member_reader *reader, struct member *member, uint64_t *taken);

void member_reader_free(struct member_reader *reader);
