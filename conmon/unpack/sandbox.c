#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the system call filter does not know this architecture"
#endif

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Sanitizers need more memory and more system calls than a real run. */
#ifdef UNPACK_SANITIZED
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static const uint64_t memory_limit = UINT64_C(640) << 20;

int sandbox_close_others(const int *kept, unsigned count, struct failure *failure)
{
    unsigned first = 3;

    for (unsigned i = 0; i <= count; i++) {
        unsigned last = i < count ? (unsigned)kept[i] - 1 : ~0U;

        if (last >= first && last + 1 != first && syscall(SYS_close_range, first, last, 0U) < 0 && errno != ENOSYS)
            return failure_errno(failure, "inherited descriptors cannot be closed");
        if (i < count)
            first = (unsigned)kept[i] + 1;
    }
    return 0;
}

bool sandbox_in_user_namespace(void)
{
    unsigned inside = 0, outside = 0, size = UINT32_MAX;
    FILE *file = fopen("/proc/self/uid_map", "re");

    if (!file)
        return false;
    if (fscanf(file, "%u %u %u", &inside, &outside, &size) != 3)
        size = UINT32_MAX;
    fclose(file);
    return inside != 0 || outside != 0 || size != UINT32_MAX;
}

static int set_limit(int resource, uint64_t value, struct failure *failure)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return failure_errno(failure, "limit %d cannot be read", resource);
    /* Never above what is allowed already. */
    if (limit.rlim_max == RLIM_INFINITY || value < limit.rlim_max)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit) < 0 ? failure_errno(failure, "limit %d cannot be set", resource) : 0;
}

static int set_limits(const struct options *options, struct failure *failure)
{
    enum { DESCRIPTORS = 64, GRACE_SECONDS = 5 };

    if (set_limit(RLIMIT_CORE, 0, failure) < 0 || set_limit(RLIMIT_NOFILE, DESCRIPTORS, failure) < 0)
        return -1;
    if (!sanitized && set_limit(RLIMIT_AS, memory_limit, failure) < 0)
        return -1;
    /* The budgets are checked in the program, which can say so; these limits are the wall behind them. */
    if (options->max_seconds && set_limit(RLIMIT_CPU, options->max_seconds + GRACE_SECONDS, failure) < 0)
        return -1;
    /* The tar-split file is at most 4/3 of the archive and some words per entry. */
    if (options->max_bytes && set_limit(RLIMIT_FSIZE, options->max_bytes * 2 + (UINT64_C(1) << 30), failure) < 0)
        return -1;
    return 0;
}

static int set_capabilities(uint64_t kept, struct failure *failure)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return failure_errno(failure, "capabilities cannot be read");
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(kept >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return failure_errno(failure, "capabilities cannot be dropped");
    return 0;
}

int sandbox_enter(int root_fd, const struct options *options, struct failure *failure)
{
    /* SYS_ADMIN is what the kernel asks for to set trusted.overlay.opaque; the filter forbids all else it would allow. */
    const uint64_t kept = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |
                          UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_MKNOD | UINT64_C(1) << CAP_SETFCAP |
                          UINT64_C(1) << CAP_SYS_ADMIN;
    int new_root_fd;

    if (fchdir(root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return failure_errno(failure, "the layer's directory cannot become the root");
    new_root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (new_root_fd < 0)
        return failure_errno(failure, "the layer's directory cannot be opened");
    if (set_limits(options, failure) < 0)
        return -1;
    /* A file larger than the limit is an error to be reported, not a signal to die of; the same for a closed pipe. */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    umask(0);
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failure_errno(failure, "privileges cannot be given up");
    return set_capabilities(kept, failure) < 0 ? -1 : new_root_fd;
}

enum { FILTER_MAX = 128 };

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short length;
};

static void emit(struct filter *filter, struct sock_filter instruction)
{
    filter->code[filter->length++] = instruction;
}

static void load(struct filter *filter, size_t offset)
{
    emit(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void answer(struct filter *filter, uint32_t value)
{
    emit(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

static void allow(struct filter *filter, long number)
{
    emit(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1));
    answer(filter, SECCOMP_RET_ALLOW);
}

/* Memory may be mapped, but never as code. */
static void allow_without_exec(struct filter *filter, long number)
{
    emit(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4));
    load(filter, offsetof(struct seccomp_data, args[2]));
    emit(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
    answer(filter, SECCOMP_RET_ALLOW);
    answer(filter, SECCOMP_RET_KILL_PROCESS);
}

static void begin(struct filter *filter)
{
    static const long common[] = {SYS_write,  SYS_futex,         SYS_munmap,        SYS_mremap,         SYS_brk,
                                  SYS_madvise, SYS_clock_gettime, SYS_exit,          SYS_exit_group,     SYS_rt_sigreturn,
                                  SYS_rt_sigprocmask, SYS_restart_syscall};

    filter->length = 0;
    load(filter, offsetof(struct seccomp_data, arch));
    emit(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0));
    answer(filter, SECCOMP_RET_KILL_PROCESS);
    load(filter, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        allow(filter, common[i]);
    allow_without_exec(filter, SYS_mmap);
    allow_without_exec(filter, SYS_mprotect);
}

static int install(struct filter *filter, struct failure *failure)
{
    struct sock_fprog program = {.len = filter->length, .filter = filter->code};

    answer(filter, SECCOMP_RET_KILL_PROCESS);
    program.len = filter->length;
    if (sanitized)
        return 0;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return failure_errno(failure, "the system call filter cannot be installed");
    return 0;
}

int sandbox_seal_writer(struct failure *failure)
{
    static const long calls[] = {SYS_openat,   SYS_openat2,   SYS_close,     SYS_mkdirat,   SYS_mknodat, SYS_symlinkat,
                                 SYS_linkat,   SYS_unlinkat,  SYS_fchown,    SYS_fchownat,  SYS_fchmod,  SYS_fchmodat,
                                 SYS_fchmodat2, SYS_utimensat, SYS_fsetxattr, SYS_lsetxattr, SYS_fstat,   SYS_newfstatat,
                                 SYS_fstatfs,  SYS_lseek,     SYS_ftruncate, SYS_getdents64, SYS_fchdir};
    struct filter filter;

    begin(&filter);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        allow(&filter, calls[i]);
    return install(&filter, failure);
}

int sandbox_seal_reader(struct failure *failure)
{
    struct filter filter;

    if (set_capabilities(0, failure) < 0)
        return -1;
    begin(&filter);
    allow(&filter, SYS_read);
    return install(&filter, failure);
}
