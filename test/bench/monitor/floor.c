/* The floor under a log's cost: a loop of read(2) and write(2) that copies a child's output to a file as it is.
 *
 *   floor FILE SIZE PROGRAM ARGUMENT...
 *
 * SIZE is the buffer. Exits with 0 when the child has ended.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int ends[2];
    size_t size;
    ssize_t got;
    char *data;
    int out;

    if (argc < 4 || pipe(ends) != 0) {
        return 2;
    }
    out = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0640);
    size = strtoul(argv[2], NULL, 10);
    data = malloc(size);
    if (out < 0 || data == NULL) {
        return 2;
    }
    if (fork() == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        execv(argv[3], argv + 3);
        _exit(127);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], data, size)) > 0) {
        if (write(out, data, (size_t)got) != got) {
            return 1;
        }
    }
    (void)waitpid(-1, NULL, 0);
    return 0;
}
