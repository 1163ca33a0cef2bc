#pragma once
/* Names of archive members, cleaned lexically. Pure. */
#include <stdbool.h>
#include <stddef.h>

enum { PATHNAME_BYTES = 4096 };

enum path_result {
    PATH_OK,
    PATH_ROOT,   /* the name means the root of the layer */
    PATH_CLIMBS, /* ".." would leave the root */
    PATH_TOO_LONG,
    PATH_TOO_DEEP,
};

struct clean_path {
    char text[PATHNAME_BYTES]; /* relative, no empty, "." or ".." component; empty for the root */
    size_t length;
    size_t base; /* offset of the last component; the directory part is text[0..base-1) */
    bool absolute; /* the name began with '/' */
    bool slash_at_end;
};

/* Cleans `name`. `out` is complete for PATH_OK and PATH_ROOT only. */
enum path_result path_clean(const char *name, unsigned max_depth, struct clean_path *out);

enum whiteout_kind {
    WHITEOUT_NONE,
    WHITEOUT_NAME,   /* ".wh.NAME" hides NAME */
    WHITEOUT_OPAQUE, /* ".wh..wh..opq" hides everything of lower layers in its directory */
    WHITEOUT_BAD,    /* ".wh." of nothing, "." or ".." */
};

/* What the last component of a cleaned path means; `hidden` points to NAME for WHITEOUT_NAME. */
enum whiteout_kind whiteout_of(const struct clean_path *path, const char **hidden);
