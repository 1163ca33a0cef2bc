/* The event loop: see loop.h. */
#include "conmon/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "conmon/footprint.h"

#define SECOND_NS 1000000000LL
#define TRIM_AFTER_NS SECOND_NS

int64_t monotonic_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

int loop_start(struct loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};

    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        return -errno;
    }
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->timer_fd < 0) {
        return -errno;
    }
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) < 0 ? -errno : 0;
}

int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET, .data = {.ptr = watch}};

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        return -errno;
    }
    watch->fd = fd;
    return 0;
}

void loop_forget(struct loop *loop, struct watch *watch)
{
    if (watch->fd < 0) {
        return;
    }
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    for (int i = 0; i < loop->batch_count; i++) {
        if (loop->batch[i] == watch) {
            loop->batch[i] = NULL;
        }
    }
}

static int64_t earliest(const struct loop *loop)
{
    int64_t due_ns = 0;

    for (int i = 0; i < TIMER_COUNT; i++) {
        if (loop->timers[i].due_ns > 0 && (due_ns == 0 || loop->timers[i].due_ns < due_ns)) {
            due_ns = loop->timers[i].due_ns;
        }
    }
    return due_ns;
}

static void arm(struct loop *loop)
{
    int64_t due_ns = earliest(loop);

    if (due_ns != loop->armed_ns) {
        struct itimerspec when = {.it_interval = {0, 0},
                                  .it_value = {.tv_sec = due_ns / SECOND_NS, .tv_nsec = due_ns % SECOND_NS}};

        (void)timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
        loop->armed_ns = due_ns;
    }
}

void loop_set_timer(struct loop *loop, enum timer_id id, int64_t due_ns)
{
    loop->timers[id].due_ns = due_ns > 0 ? due_ns : 1;
}

void loop_clear_timer(struct loop *loop, enum timer_id id)
{
    loop->timers[id].due_ns = 0;
}

static void deliver_timers(struct loop *loop)
{
    int64_t now_ns = monotonic_ns();
    uint64_t ticks;

    (void)!read(loop->timer_fd, &ticks, sizeof(ticks));
    loop->armed_ns = 0;
    for (int i = 0; i < TIMER_COUNT; i++) {
        struct timer *timer = &loop->timers[i];

        if (timer->due_ns > 0 && timer->due_ns <= now_ns) {
            timer->due_ns = 0;
            timer->on_due(timer->owner);
        }
    }
}

/* Returns the number of events or a negative errno. */
static int wait_for_events(struct loop *loop, struct epoll_event *events, bool has_work)
{
    int count;

    if (!has_work && loop->release_next) {
        loop->release_next = false;
        return footprint_wait(loop->epoll_fd, events, LOOP_BATCH);
    }
    count = epoll_wait(loop->epoll_fd, events, LOOP_BATCH, has_work ? 0 : -1);
    return count < 0 ? -errno : count;
}

/* Something has happened: look again in a while whether all is quiet. */
static void note_activity(struct loop *loop)
{
    loop->active = true;
    if (loop->timers[TIMER_TRIM].due_ns == 0 && loop->timers[TIMER_TRIM].on_due != NULL) {
        loop_set_timer(loop, TIMER_TRIM, monotonic_ns() + TRIM_AFTER_NS);
    }
}

bool loop_is_quiet(struct loop *loop)
{
    if (loop->active) {
        loop->active = false;
        loop_set_timer(loop, TIMER_TRIM, monotonic_ns() + TRIM_AFTER_NS);
        return false;
    }
    return true;
}

int loop_turn(struct loop *loop, bool has_work)
{
    struct epoll_event events[LOOP_BATCH];
    bool timers_due = false;
    int count;

    arm(loop);
    count = wait_for_events(loop, events, has_work);
    if (count < 0) {
        return count == -EINTR ? 0 : count;
    }
    loop->batch_count = count;
    for (int i = 0; i < count; i++) {
        loop->batch[i] = events[i].data.ptr;
        timers_due = timers_due || events[i].data.ptr == NULL;
    }
    for (int order = 0; order < ORDER_COUNT; order++) {
        for (int i = 0; i < count; i++) {
            struct watch *watch = loop->batch[i];

            if (watch != NULL && (int)watch->order == order) {
                watch->on_ready(watch->owner, events[i].events);
            }
        }
    }
    loop->batch_count = 0;
    if (count > (timers_due ? 1 : 0)) {
        note_activity(loop);
    }
    if (timers_due) {
        deliver_timers(loop);
    }
    return 0;
}
