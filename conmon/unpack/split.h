#pragma once
/*
 * The tar-split file: everything of the archive but the file contents, so that it can be put together again byte by byte.
 *
 * One gzip stream of JSON lines. Type 2 lines carry raw bytes, type 1 lines stand for the content of a file.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common.h"

enum { SPLIT_SEGMENT_BYTES = 24 * 1024, SPLIT_TEXT_BYTES = 128 * 1024 };

struct split;

/* Takes the descriptor. NULL when memory is short. */
struct split *split_new(int fd, struct failure *failure);

/* Appends bytes of headers, padding or anything else that is not file content. Returns 0 or -1. */
int split_raw(struct split *split, const uint8_t *bytes, size_t length);

/* Appends a member; `crc` is the CRC-64/ISO of its content and counts only when `size` > 0. Returns 0 or -1. */
int split_member(struct split *split, const char *name, uint64_t size, uint64_t crc);

/* Writes what is left, ends the gzip stream and closes the descriptor. Returns 0 or -1. */
int split_close(struct split *split);
