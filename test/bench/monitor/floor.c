/* The floor under a log's cost: a loop of read(2) and write(2) that copies a child's output to a file as it is.
 *
 *   floor FILE SIZE LINE PROGRAM ARGUMENT...
 *
 * SIZE is how much is read at once. With LINE > 0 each write is longer by 45 bytes per LINE bytes: the volume of a log with
 * its prefixes, without the work of making them. Exits with 0 when the child has ended.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX_BYTES 45

int main(int argc, char **argv)
{
    int ends[2];
    size_t size, line, length;
    ssize_t got;
    char *data;
    int out;

    if (argc < 5 || pipe(ends) != 0) {
        return 2;
    }
    out = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0640);
    size = strtoul(argv[2], NULL, 10);
    line = strtoul(argv[3], NULL, 10);
    data = calloc(1, size + (line > 0 ? size / line * PREFIX_BYTES : 0));
    if (out < 0 || data == NULL) {
        return 2;
    }
    if (fork() == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        execv(argv[4], argv + 4);
        _exit(127);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], data, size)) > 0) {
        length = (size_t)got + (line > 0 ? (size_t)got / line * PREFIX_BYTES : 0);
        if (write(out, data, length) != (ssize_t)length) {
            return 1;
        }
    }
    (void)waitpid(-1, NULL, 0);
    return 0;
}
