#pragma once
/* What the process gives up before it looks at a byte of the archive. */
#include <stdbool.h>

#include "options.h"

/* Closes every descriptor above 2 except the `count` ascending ones in `kept`. Returns 0 or -1. */
int sandbox_close_others(const int *kept, unsigned count, struct failure *failure);

/* Whether ids are mapped: no device can be made then. Needs /proc, so before sandbox_enter(). */
bool sandbox_in_user_namespace(void);

/*
 * Makes the directory `root_fd` the root, sets limits, keeps only the capabilities that applying a layer needs, and forbids
 * new ones for good. Returns a descriptor of the new root, or -1.
 */
int sandbox_enter(int root_fd, const struct options *options, struct failure *failure);

/* Leaves the calling thread only the system calls of its work. Anything else ends the process. Returns 0 or -1. */
int sandbox_seal_writer(struct failure *failure);
/* The same for the reading thread, which loses all capabilities too. */
int sandbox_seal_reader(struct failure *failure);
