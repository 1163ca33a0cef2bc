#pragma once
/* The command line of unpack, parsed once. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common.h"
#include "sha256.h"

enum { ID_RANGES_MAX = 340, DEPTH_MAX = 2048 };

struct id_range {
    uint32_t inside, outside, size;
};

/* Without ranges ids stay as they are. */
struct id_map {
    size_t count;
    struct id_range ranges[ID_RANGES_MAX];
};

enum whiteout_mode {
    WHITEOUTS_OVERLAY, /* stored as 0:0 devices and opaque attributes */
    WHITEOUTS_APPLY,   /* carried out: the directory is the full tree */
};

struct options {
    bool show_help;
    bool show_version;
    int root_fd; /* -1: open root_path */
    const char *root_path;
    const char *tar_split_path;
    int progress_fd; /* -1: none */
    enum whiteout_mode whiteouts;
    uint64_t max_entries;
    uint64_t max_bytes;   /* 0: no limit */
    uint64_t max_seconds; /* 0: no limit */
    int64_t size;         /* -1: unknown */
    char digest[SHA256_HEX_BYTES];  /* empty: unknown */
    char diff_id[SHA256_HEX_BYTES]; /* empty: unknown */
    struct id_map uids, gids;
};

int options_parse(int argc, char **argv, struct options *out, struct failure *failure);
void options_usage(int fd);

/* Pure: "c:h:s,c:h:s". Returns NULL, or what is wrong with the text. */
const char *id_map_parse(const char *text, struct id_map *out);
/* Translates an id of the archive. Returns 0, or -1 when the map does not have it. */
int id_map_lookup(const struct id_map *map, uint32_t id, uint32_t *out);
