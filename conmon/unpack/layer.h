#pragma once
/* The writing thread: reads members from the stream, applies them, copies contents, keeps the tar-split file. */
#include "entry.h"
#include "member.h"
#include "options.h"
#include "progress.h"
#include "split.h"
#include "stream.h"
#include "tree.h"

struct layer {
    const struct options *options; /* borrowed */
    struct stream *stream;         /* borrowed */
    struct split *split;           /* borrowed */
    struct progress *progress;     /* borrowed */
    struct failure *failure;       /* borrowed */
    struct member_reader reader;
    struct entries entries;
    uint64_t members;
    uint64_t written;
};

/* Applies the whole archive below `tree`. Returns 0 or -1. */
int layer_run(struct layer *layer, struct tree *tree);
void layer_free(struct layer *layer);
