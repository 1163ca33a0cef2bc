/* The bundle directory as the monitor uses it: a descriptor, so that no path length and no later change of the working
 * directory matters, plus the link to it in the socket directory. */
#ifndef CONMON_BUNDLE_H
#define CONMON_BUNDLE_H

#include <limits.h>
#include <stdbool.h>

#include "conmon/options.h"

struct bundle {
    int dir_fd; /* owned; -1: no bundle is known (exec without one) */
    const char *path;
    bool listening;   /* the attach socket exists */
    bool has_link;
    char link[PATH_MAX];
    char working_directory[PATH_MAX];
};

/* Find and open the bundle. Returns 0 or a negative errno. */
int bundle_open(struct bundle *bundle, const struct options *options);

/* Put the link into the socket directory. Returns 0 or a negative errno. */
int bundle_link(struct bundle *bundle, const struct options *options);

/* Bind a new socket of `type` to `name` below directory `dir_fd`, replacing what is there. Returns the descriptor
 * (owned by the caller) or a negative errno. */
int bundle_bind(int dir_fd, const char *name, int type, unsigned int mode);

/* Remove attach socket, fifos and link. */
void bundle_clean(struct bundle *bundle);

#endif
