/* Writes TOTAL bytes of lines of LINE bytes (newline included) to stdout, in writes of about BATCH bytes (whole lines; 0: line by line).
 *
 *   writer GO_FIFO LINE TOTAL BATCH
 *
 * It first opens GO_FIFO for reading, which blocks until the measurement opens it for writing.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_all(const char *data, size_t length)
{
    while (length > 0) {
        ssize_t put = write(STDOUT_FILENO, data, length);

        if (put <= 0) {
            return -1;
        }
        data += put;
        length -= (size_t)put;
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t line, total, batch, size;
    char *data;

    if (argc != 5 || open(argv[1], O_RDONLY) < 0) {
        return 2;
    }
    line = strtoul(argv[2], NULL, 10);
    total = strtoul(argv[3], NULL, 10);
    batch = strtoul(argv[4], NULL, 10);
    size = batch >= line ? batch - batch % line : line;
    data = malloc(size);
    if (data == NULL) {
        return 2;
    }
    memset(data, 'x', size);
    for (size_t at = line - 1; at < size; at += line) {
        data[at] = '\n';
    }
    for (size_t done = 0; done < total; done += size) {
        if (write_all(data, size < total - done ? size : total - done) != 0) {
            return 1;
        }
    }
    return 0;
}
