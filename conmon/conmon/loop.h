/* The event loop: epoll for descriptors, one timerfd for all deadlines.
 *
 * Everything is watched edge-triggered and stays registered for life; the owner keeps a "ready" flag and works until
 * the kernel says EAGAIN. Pausing a source then means just not reading it, and a hung-up pty or pipe makes one event
 * instead of a busy loop. Events are delivered in the order of `enum watch_order`: the kernel raises an OOM event
 * before the victim dies, and output is read before the exit is looked at.
 */
#ifndef CONMON_LOOP_H
#define CONMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

enum watch_order { ORDER_OOM, ORDER_NORMAL, ORDER_EXIT, ORDER_COUNT };

enum timer_id {
    TIMER_TIMEOUT,  /* --timeout */
    TIMER_POLICY,   /* a blocked stream may be read again */
    TIMER_TRIM,     /* nothing has happened for a while: give memory back */
    TIMER_COUNTERS, /* write the counters file */
    TIMER_ACCEPT,   /* out of descriptors: try again */
    TIMER_STALL,    /* a full client has had its time */
    TIMER_FOREIGN,  /* ask again for the status of a process that is not our child */
    TIMER_COUNT
};

struct watch {
    int fd;
    enum watch_order order;
    void (*on_ready)(void *owner, uint32_t events);
    void *owner;
};

struct timer {
    int64_t due_ns; /* 0: not armed */
    void (*on_due)(void *owner);
    void *owner;
};

#define LOOP_BATCH 32

struct loop {
    int epoll_fd;
    int timer_fd;
    int64_t armed_ns;
    struct timer timers[TIMER_COUNT];
    struct watch *batch[LOOP_BATCH]; /* of the turn that is running */
    int batch_count;
    bool active;       /* something happened since TIMER_TRIM looked */
    bool release_next; /* the next wait is expected to be long: give memory back */
};

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t monotonic_ns(void);

/* Returns 0 or a negative errno. */
int loop_start(struct loop *loop);

/* Watch `fd` (borrowed) for `events`, edge-triggered. The watch must stay where it is until loop_forget. */
int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events);

/* Stop watching; safe for a watch that was never added, and in the middle of a turn. */
void loop_forget(struct loop *loop, struct watch *watch);

void loop_set_timer(struct loop *loop, enum timer_id id, int64_t due_ns);
void loop_clear_timer(struct loop *loop, enum timer_id id);

/* For TIMER_TRIM's owner: true when nothing has happened since the last look; else it is asked again later. */
bool loop_is_quiet(struct loop *loop);

/* Wait for events (not at all when there is other work) and deliver one batch. Returns 0 or a negative errno. */
int loop_turn(struct loop *loop, bool has_work);

#endif
