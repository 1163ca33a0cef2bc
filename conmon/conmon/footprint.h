/* Giving back memory that only starting, or the last piece of work, needed. */
#ifndef CONMON_FOOTPRINT_H
#define CONMON_FOOTPRINT_H

struct epoll_event;

/* Once, when the container runs: make the page that waits a mapping of its own. */
void footprint_prepare(void);

/* epoll_wait(2) without a time limit, for a monitor that expects to wait long: releases the deep part of the stack and
 * unmaps the program's code but for one page. Returns a count or a negative errno. */
int footprint_wait(int epoll_fd, struct epoll_event *events, int capacity);

#endif
