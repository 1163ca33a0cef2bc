#pragma once
/* Counters that both threads raise, and the lines that tell the daemon about them. */
#include <stdatomic.h>
#include <stdint.h>

struct progress {
    int fd; /* -1: nobody listens */
    int64_t last_ms;
    atomic_uint_fast64_t read;    /* bytes of the blob */
    atomic_uint_fast64_t written; /* bytes of file content */
    atomic_uint_fast64_t entries; /* members of the archive */
};

void progress_init(struct progress *progress, int fd);
/* Writes a line when 100 ms have passed since the last one. Called by the reading thread only. */
void progress_tick(struct progress *progress);
/* Writes the last line. */
void progress_end(struct progress *progress);
