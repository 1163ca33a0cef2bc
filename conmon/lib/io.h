/* Reads and writes that survive EINTR and short counts.
 *
 * All functions return a negative errno on failure. None of them uses stdio or the heap.
 */
#ifndef LIB_IO_H
#define LIB_IO_H

#include <stddef.h>
#include <sys/types.h>

/* One read(2), restarted on EINTR. Returns the count (0 = end of file) or a negative errno. */
ssize_t io_read(int fd, void *data, size_t capacity);

/* Write everything, restarting on EINTR and short writes; waits for readiness on EAGAIN. Returns 0 or a negative errno. */
int io_write_all(int fd, const void *data, size_t length);

/* Read a small file below `dir_fd` (AT_FDCWD allowed) into `data`, at most capacity-1 bytes, NUL-terminated.
 * Returns the length or a negative errno. */
ssize_t io_read_file(int dir_fd, const char *path, char *data, size_t capacity);

/* Write `path` below `dir_fd` through `<path>.XXXXXX` and rename, so that nobody sees a partial file. No fsync.
 * Returns 0 or a negative errno; on failure nothing is left behind. */
int io_write_file_atomic(int dir_fd, const char *path, const void *data, size_t length, mode_t mode);

#endif
