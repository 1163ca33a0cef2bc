/* Giving back memory: see footprint.h.
 *
 * A monitor lives as long as its container and does nothing most of the time, and there is one per container. Option
 * parsing, path building and the like leave some pages of stack behind, and code that has run once stays mapped.
 */
#include "conmon/footprint.h"

#include <stdint.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096UL
#define STACK_KEPT_BYTES (2 * PAGE_BYTES)
#define STACK_GIVEN_BYTES (96 * 1024UL)

/* Set by the linker. */
extern char __executable_start[];
extern char etext[];

void footprint_release(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t stack_end = (here - STACK_KEPT_BYTES) & ~(PAGE_BYTES - 1);
    uintptr_t code_start = (uintptr_t)__executable_start & ~(PAGE_BYTES - 1);
    uintptr_t code_end = ((uintptr_t)etext + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

    /* Nothing below the stack pointer is in use: there are no signal handlers. */
    for (uintptr_t at = stack_end - STACK_GIVEN_BYTES; at < stack_end; at += PAGE_BYTES) {
        (void)madvise((void *)at, PAGE_BYTES, MADV_DONTNEED);
    }
    (void)madvise((void *)code_start, code_end - code_start, MADV_DONTNEED);
}
