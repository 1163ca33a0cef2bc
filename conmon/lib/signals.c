#include "lib/signals.h"

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's own structure and mask: sigaction(3) refuses the numbers that its library uses (32 to 34 in musl, 32 and 33 in
 * glibc), but whoever started us may have ignored those as well. */
struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

void signals_default(void)
{
    const struct kernel_action action = {0};
    const uint64_t none = 0;

    for (int number = 1; number < NSIG; number++) {
        (void)syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask));
    }
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}
