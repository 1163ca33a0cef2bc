/* What happens inside the new namespaces: creating them, host name, loopback, sysctls. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "pinns.h"

/* From the kernel's ABI; its headers are not part of every C library. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
enum { PROC_MAGIC = 0x9fa0, OPEN_NO_XDEV = 0x01, OPEN_NO_MAGICLINKS = 0x02, OPEN_NO_SYMLINKS = 0x04, OPEN_BENEATH = 0x08 };
#define GET_MNT_NUMBER _IOR(0xb7, 0x5, unsigned long long)
struct open_rule {
    unsigned long long flags, mode, resolve;
};

/* The number of this process's mount namespace; 0 where the kernel does not tell. */
static unsigned long long mnt_number(void)
{
    unsigned long long number = 0;
    int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (ioctl(fd, GET_MNT_NUMBER, &number) < 0)
            number = 0;
        close(fd);
    }
    return number;
}

/*
 * A mount namespace can only be bound in one with a lower number. Since Linux 6.18 every processor deals out numbers from a
 * batch of its own, so a new namespace may have a lower one than the old; but not if it is made on the processor that made
 * the old one. Which that was nobody knows: try them all.
 */
static int unshare_mnt(void)
{
    unsigned long long old = mnt_number();
    cpu_set_t allowed, one;
    int cpu = 0;

    if (unshare(CLONE_NEWNS) < 0)
        return -1;
    if (old == 0 || mnt_number() > old || sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return 0;
    for (; cpu < CPU_SETSIZE && mnt_number() <= old; cpu++) {
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) == 0 && unshare(CLONE_NEWNS) < 0)
            return -1;
    }
    sched_setaffinity(0, sizeof allowed, &allowed);
    return 0;
}

int inside_unshare(const struct pinns_options *options)
{
    for (int kind = NS_MNT; kind < NS_COUNT; kind++) {
        if (options->mode[kind] == NS_NEW && (kind == NS_MNT ? unshare_mnt() : unshare(ns_table[kind].clone_flag)) < 0)
            return fail("%s namespace: cannot be created", ns_table[kind].name);
    }
    /* What the host unmounts leaves the new mount namespace too; nothing goes the other way. */
    if (options->mode[NS_MNT] == NS_NEW && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return fail("mnt namespace: propagation cannot be set");
    return 0;
}

static int loopback_up(void)
{
    struct ifreq request;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* any family hands interface ioctls on */
    int status = 0;

    if (fd < 0)
        return fail("net namespace: no socket for lo");
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        status = fail("net namespace: the flags of lo cannot be read");
    request.ifr_flags |= IFF_UP;
    if (status == 0 && ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        status = fail("net namespace: lo cannot be brought up");
    close(fd);
    return status;
}

/* Opens a file below /proc/sys for writing, without following any link and without leaving procfs. */
static int open_sysctl(int root_fd, const char *path)
{
    struct open_rule rule = {.flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                             .resolve = OPEN_NO_XDEV | OPEN_NO_MAGICLINKS | OPEN_NO_SYMLINKS | OPEN_BENEATH};
    int fd = (int)syscall(SYS_openat2, root_fd, path, &rule, sizeof rule);

    /* Kernels before 5.6: the path has no dot component and procfs has no links there. */
    return fd < 0 && errno == ENOSYS ? openat(root_fd, path, (int)rule.flags) : fd;
}

static int write_sysctl(int root_fd, const char *text)
{
    char path[SYSCTL_PATH_BYTES];
    const char *value;
    enum sysctl_scope scope;
    const char *problem = sysctl_parse(text, path, &value, &scope);
    int fd, status = 0;
    size_t length;

    if (problem)
        return complain("sysctl '%s' %s", text, problem);
    fd = open_sysctl(root_fd, path);
    if (fd < 0)
        return fail("sysctl '%s': /proc/sys/%s cannot be opened", text, path);
    length = strlen(value);
    if (write(fd, value, length) != (ssize_t)length)
        status = fail("sysctl '%s': the value is refused", text);
    close(fd);
    return status;
}

static int write_sysctls(const struct pinns_options *options)
{
    struct statfs filesystem;
    int root_fd = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int status = 0;

    if (root_fd < 0 || fstatfs(root_fd, &filesystem) < 0)
        return fail("/proc/sys cannot be opened");
    if (filesystem.f_type != PROC_MAGIC)
        status = complain("/proc/sys is not procfs");
    for (size_t i = 0; i < options->sysctl_count && status == 0; i++)
        status = write_sysctl(root_fd, options->sysctls[i]);
    close(root_fd);
    return status;
}

int inside_configure(const struct pinns_options *options)
{
    if (options->hostname && sethostname(options->hostname, strlen(options->hostname)) < 0)
        return fail("uts namespace: the host name '%s' is refused", options->hostname);
    if (options->loopback && loopback_up() < 0)
        return -1;
    return options->sysctl_count ? write_sysctls(options) : 0;
}
