/*
 * unpack: applies one image layer to a directory.
 *
 * The blob comes on standard input. One thread reads, hashes and decompresses it, the other hashes the archive, parses it,
 * writes the files and records the tar-split file. Before the first byte is looked at the process is in a chroot of the
 * layer's directory, without descriptors, capabilities and system calls that its work does not need. The outcome is one
 * JSON line on standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "encode.h"
#include "layer.h"
#include "options.h"
#include "reader.h"
#include "sandbox.h"
#include "version.h"

enum { PIPE_BYTES = 1024 * 1024, READER_STACK_BYTES = 256 * 1024 };

/* Everything of a run. */
struct job {
    struct options options;
    struct failure failure;
    struct progress progress;
    struct ring ring;
    struct reader reader;
    struct stream stream;
    struct tree tree;
    struct layer layer;
    pthread_t reader_thread;
    int root_fd, split_fd;
    bool in_user_namespace;
    char diff_id[SHA256_HEX_BYTES];
};

static void write_out(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}

/* The last line of a failed run. */
static int report_failure(const struct failure *failure)
{
    char text[FAILURE_TEXT_BYTES * 6 + 64];
    size_t length = (size_t)snprintf(text, 64, "{\"error\":\"%s\",\"message\":\"", unpack_code_name(failure->code));

    length += json_escape(utf8_valid(failure->text) ? failure->text : "a message that is not UTF-8", text + length);
    memcpy(text + length, "\"}\n", 3);
    write_out(text, length + 3);
    return 1;
}

/* Appends "[1,2,3]". Returns the end, or NULL when memory is short. */
static char *append_ids(char *at, const struct id_set *set)
{
    uint32_t *ids = id_set_sorted(set);

    if (set->count > 0 && !ids)
        return NULL;
    *at++ = '[';
    for (size_t i = 0; i < set->count; i++)
        at += sprintf(at, i > 0 ? ",%" PRIu32 : "%" PRIu32, ids[i]);
    *at++ = ']';
    free(ids);
    return at;
}

static int report_success(struct job *job)
{
    const struct entries *entries = &job->layer.entries;
    char *text = malloc(512 + 11 * (entries->uids.count + entries->gids.count));
    char *at = text;

    if (text) {
        at += sprintf(at,
                      "{\"digest\":\"sha256:%s\",\"size\":%" PRIu64 ",\"diff_id\":\"sha256:%s\",\"diff_size\":%" PRIu64
                      ",\"compression\":%d,\"entries\":%" PRIu64 ",\"uids\":",
                      job->reader.digest, job->reader.size, job->diff_id, job->stream.length, (int)job->reader.compression,
                      job->layer.members);
        at = append_ids(at, &entries->uids);
    }
    if (text && at) {
        memcpy(at, ",\"gids\":", 8);
        at = append_ids(at + 8, &entries->gids);
    }
    if (!text || !at)
        return failure_set(&job->failure, UNPACK_IO, "there is no memory for the result");
    memcpy(at, "}\n", 2);
    write_out(text, (size_t)(at + 2 - text));
    free(text);
    return 0;
}

static int open_files(struct job *job)
{
    const struct options *options = &job->options;

    job->root_fd = options->root_fd;
    if (job->root_fd < 0)
        job->root_fd = open(options->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job->root_fd < 0)
        return failure_set(&job->failure, UNPACK_IO, "the directory '%s' cannot be opened: %s", options->root_path, strerror(errno));
    job->split_fd = open(options->tar_split_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (job->split_fd < 0)
        return failure_set(&job->failure, UNPACK_IO, "the file '%s' cannot be made: %s", options->tar_split_path, strerror(errno));
    return 0;
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int confine(struct job *job)
{
    int kept[3] = {job->root_fd, job->split_fd};
    unsigned count = 2;
    int new_root_fd;

    if (job->options.progress_fd > 2)
        kept[count++] = job->options.progress_fd;
    qsort(kept, count, sizeof *kept, compare_fds);
    if (sandbox_close_others(kept, count, &job->failure) < 0)
        return -1;
    job->in_user_namespace = sandbox_in_user_namespace();
    new_root_fd = sandbox_enter(job->root_fd, &job->options, &job->failure);
    if (new_root_fd < 0)
        return -1;
    close(job->root_fd);
    job->root_fd = new_root_fd;
    return 0;
}

static void *reader_main(void *argument)
{
    struct reader *reader = argument;

    if (sandbox_seal_reader(&reader->failure) < 0)
        ring_end(reader->ring);
    else
        reader_run(reader);
    return NULL;
}

static int start_reader(struct job *job)
{
    uint8_t *memory = malloc((size_t)RING_BUFFERS * RING_BUFFER_BYTES + READER_BUFFER_BYTES);
    pthread_attr_t attributes;
    int error;

    if (!memory)
        return failure_set(&job->failure, UNPACK_IO, "there is no memory for the buffers");
    ring_init(&job->ring, memory);
    job->reader = (struct reader){.fd = STDIN_FILENO,
                                  .expected_size = job->options.size,
                                  .expected_digest = job->options.digest,
                                  .ring = &job->ring,
                                  .progress = &job->progress,
                                  .buffer = memory + (size_t)RING_BUFFERS * RING_BUFFER_BYTES};
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, READER_STACK_BYTES);
    error = pthread_create(&job->reader_thread, &attributes, reader_main, &job->reader);
    pthread_attr_destroy(&attributes);
    return error ? failure_set(&job->failure, UNPACK_IO, "the reading thread cannot be started: %s", strerror(error)) : 0;
}

static int prepare(struct job *job)
{
    uint64_t key[4];

    fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_BYTES); /* fewer and larger reads, where it is a pipe */
    progress_init(&job->progress, job->options.progress_fd);
    mallopt(M_ARENA_MAX, 1);
    if (open_files(job) < 0 || confine(job) < 0)
        return -1;
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return failure_set(&job->failure, UNPACK_IO, "there are no random numbers");
    if (tree_init(&job->tree, &job->options, job->root_fd, key, &job->failure) < 0)
        return -1;
    job->tree.in_user_namespace = job->in_user_namespace;
    job->layer.split = split_new(job->split_fd, &job->failure);
    return job->layer.split ? start_reader(job) : -1;
}

static int apply(struct job *job)
{
    if (sandbox_seal_writer(&job->failure) < 0)
        return -1;
    stream_init(&job->stream, &job->ring, &job->reader.compression, job->options.max_bytes, &job->failure);
    job->layer.options = &job->options;
    job->layer.stream = &job->stream;
    job->layer.progress = &job->progress;
    job->layer.failure = &job->failure;
    if (layer_run(&job->layer, &job->tree) < 0)
        return -1;
    return split_close(job->layer.split);
}

/*
 * Whether the reader's verdict is worth waiting for after a failure: when it has ended already, or when the failure may
 * come from a damaged download, which the digest of the whole blob will show.
 */
static bool wants_verdict(const struct job *job)
{
    return job->stream.ended || (job->options.digest[0] &&
                                 (job->failure.code == UNPACK_BAD_ARCHIVE || job->failure.code == UNPACK_HOSTILE_ENTRY));
}

static int conclude(struct job *job)
{
    if (job->failure.code != UNPACK_OK) {
        ring_abandon(&job->ring);
        if (!wants_verdict(job))
            return -1;
    }
    pthread_join(job->reader_thread, NULL);
    if (job->reader.failure.code != UNPACK_OK)
        job->failure = job->reader.failure;
    if (job->failure.code != UNPACK_OK)
        return -1;
    if (job->reader.compression == COMPRESSION_NONE)
        memcpy(job->diff_id, job->reader.digest, sizeof job->diff_id);
    else
        sha256_hex(&job->stream.sha, job->diff_id);
    if (job->options.diff_id[0] && strcmp(job->options.diff_id, job->diff_id) != 0)
        return failure_set(&job->failure, UNPACK_DIFFID_MISMATCH, "the archive's digest is sha256:%s, expected sha256:%s", job->diff_id,
                           job->options.diff_id);
    progress_end(&job->progress);
    return report_success(job);
}

static int run(struct job *job)
{
    if (prepare(job) < 0)
        return -1;
    apply(job);
    return conclude(job);
}

int main(int argc, char **argv)
{
    struct job *job = calloc(1, sizeof *job);
    int status;

    if (!job)
        return 1;
    status = options_parse(argc, argv, &job->options, &job->failure);
    if (status == 0 && job->options.show_help) {
        options_usage(STDOUT_FILENO);
        return 0;
    }
    if (status == 0 && job->options.show_version) {
        dprintf(STDOUT_FILENO, "unpack version " CRIO_VERSION "\ncommit: " CRIO_COMMIT "\n");
        return 0;
    }
    if (status == 0)
        status = run(job);
    status = status < 0 ? report_failure(&job->failure) : 0;
    /* The reading thread may still wait for a blob that nobody wants any more. */
    _exit(status);
}
