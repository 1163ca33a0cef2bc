/* The container's output: reading it and handing it to the logs and the attach clients.
 *
 * Index 0 is stdout (a pipe, or the terminal), 1 is stderr (always a pipe; before the container runs it carries the
 * runtime's own messages, which are captured for the failure report and become container output on success).
 *
 * A read takes up to 128 KiB. When it was full, more is waiting, so an unfinished line at its end is carried over to the
 * next read; otherwise it is logged at once as a partial record. A pipe that was found full is enlarged, so that only
 * chatty containers cost kernel memory. A writer of many small pieces would cost a read, a write and a wake-up for
 * each of them; when reads follow each other closely and find little, the monitor naps for some 60 microseconds first,
 * much less than such a writer needs to fill the pipe. An answer to somebody's input is never made to wait.
 */
#ifndef CONMON_STREAMS_H
#define CONMON_STREAMS_H

#include "conmon/attach.h"
#include "conmon/logs.h"
#include "conmon/loop.h"

#define STREAM_READ_BYTES (128 * 1024)
#define CAPTURE_BYTES 8192

struct stream {
    int fd; /* owned; -1: not open (any more) */
    unsigned int index;
    bool is_terminal;
    bool ready; /* may have data */
    bool enlarged;
    int64_t wait_until_ns; /* the policy's */
    int64_t read_ns;       /* of the last read that found little, 0 otherwise */
    uint64_t answered;     /* packets of input that were there at the last look */
    size_t carried;        /* bytes of an unfinished line at the start of `data` */
    char *data;            /* STREAM_BUFFER_BYTES, borrowed */
    struct watch watch;
    struct streams *owner;
};

#define STREAM_BUFFER_BYTES (PIECE_BYTES + 1 + STREAM_READ_BYTES + FRAMING_SLACK)

struct streams {
    struct stream stream[2];
    struct logs *logs;
    struct attach *attach;
    struct loop *loop;
    char *buffers; /* what trimming gives back, page-aligned */
    size_t buffers_bytes;
    bool capturing; /* stderr is the runtime's still */
    char *capture;  /* CAPTURE_BYTES, borrowed */
    size_t captured;
    bool capture_passed; /* it was full and has become output already */
};

void streams_init(struct streams *streams);

/* Read from `fd` (taken). Returns 0 or a negative errno. */
int stream_open(struct streams *streams, unsigned int index, int fd, bool is_terminal);

/* Read what is there, a bounded amount. True when there is more to do at once. */
bool streams_work(struct streams *streams);

/* The runtime has succeeded: what it wrote is container output from now on. */
void streams_end_capture(struct streams *streams);

/* The runtime has failed: gather what stderr holds without waiting. Returns the length in `capture`. */
size_t streams_collect_capture(struct streams *streams);

/* At the end: everything that is queued in the kernel now, but not what is written from now on. */
void streams_drain(struct streams *streams);

void streams_close(struct streams *streams);

#endif
