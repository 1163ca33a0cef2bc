/* Giving back memory: see footprint.h.
 *
 * A monitor lives as long as its container and does nothing most of the time, and there is one per container. Option
 * parsing, path building and the like leave some pages of stack behind, and code that has run once stays mapped: with a
 * single monitor on the machine that is most of what it is charged.
 *
 * The kernel maps 16 pages of a file around the one that is touched, within one mapping. So the function that waits has a
 * page of its own, which is made a mapping of its own by giving it another advice, and nothing else is touched from the
 * release of the code until the next event.
 */
#include "conmon/footprint.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE_BYTES 4096UL
#define STACK_KEPT_BYTES PAGE_BYTES
#define STACK_GIVEN_BYTES (96 * 1024UL)
#define WAIT_FUNCTION __attribute__((noinline, aligned(4096), section(".text.footprint_wait")))

/* Set by the linker: between the two, everything is read-only and comes from the file. */
extern char __executable_start[];
extern __attribute__((visibility("hidden"))) char __init_array_start[];

/* A system call that touches no other page. */
static inline __attribute__((always_inline)) long call(long number, long a, long b, long c, long d)
{
    long result;

#if defined(__x86_64__)
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = 0;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long word __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = 0;

    __asm__ volatile("svc 0"
                     : "+r"(first)
                     : "r"(word), "r"(second), "r"(third), "r"(fourth), "r"(fifth)
                     : "memory");
    result = first;
#else
#error "this architecture needs its system call here"
#endif
    return result;
}

WAIT_FUNCTION int footprint_wait(int epoll_fd, struct epoll_event *events, int capacity)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t stack_end = (here - STACK_KEPT_BYTES) & ~(PAGE_BYTES - 1);
    uintptr_t code_start = (uintptr_t)__executable_start & ~(PAGE_BYTES - 1);
    uintptr_t code_end = (uintptr_t)__init_array_start & ~(PAGE_BYTES - 1);

    /* Nothing below the stack pointer is in use: there are no signal handlers. One page after the other, because the
     * stack's mapping may end anywhere. */
    for (uintptr_t at = stack_end; at > stack_end - STACK_GIVEN_BYTES; at -= PAGE_BYTES) {
        if (call(SYS_madvise, (long)(at - PAGE_BYTES), (long)PAGE_BYTES, MADV_DONTNEED, 0) != 0) {
            break;
        }
    }
    (void)call(SYS_madvise, (long)code_start, (long)(code_end - code_start), MADV_DONTNEED, 0);
    return (int)call(SYS_epoll_pwait, epoll_fd, (long)(uintptr_t)events, capacity, -1);
}

void footprint_prepare(void)
{
    uintptr_t page = (uintptr_t)footprint_wait & ~(PAGE_BYTES - 1);

    (void)madvise((void *)page, PAGE_BYTES, MADV_RANDOM);
}
