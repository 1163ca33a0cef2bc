/* Kernel interfaces that some C libraries have no wrapper for.
 *
 * Numbers are the same on every architecture for system calls added after Linux 5.0. The structures repeat the
 * kernel's ABI so that old headers do not matter.
 */
#ifndef LIB_SYSCALLS_H
#define LIB_SYSCALLS_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

struct sys_open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

#define SYS_RESOLVE_NO_XDEV 0x01
#define SYS_RESOLVE_NO_MAGICLINKS 0x02
#define SYS_RESOLVE_NO_SYMLINKS 0x04
#define SYS_RESOLVE_BENEATH 0x08
#define SYS_RESOLVE_IN_ROOT 0x10

static inline int sys_pidfd_open(int pid, unsigned int flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static inline int sys_pidfd_send_signal(int pid_fd, int number)
{
    return (int)syscall(SYS_pidfd_send_signal, pid_fd, number, (void *)0, 0U);
}

static inline int sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

static inline int sys_openat2(int dir_fd, const char *path, const struct sys_open_how *how)
{
    return (int)syscall(SYS_openat2, dir_fd, path, how, sizeof(*how));
}

#endif
