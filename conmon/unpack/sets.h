#pragma once
/* Two hash sets: the paths of this layer, and the owners it names. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of a path. */
enum path_flag {
    PATH_MEMBER = 1, /* a member of this name has been read */
    PATH_MADE = 2,   /* something was created there by this layer */
    PATH_ABOVE = 4,  /* something was created below it by this layer */
};

/*
 * Paths are kept as 120-bit keyed hashes with their flags in the last byte: 16 bytes per path however long it is. The
 * key is random per run, so that an archive cannot be built to collide.
 */
struct path_set {
    uint64_t key[4];
    uint64_t *slots; /* pairs; a pair of zeros is empty */
    size_t capacity, count;
};

/* `key` comes from the kernel's random source. Returns 0, or -1 when memory is short. */
int path_set_init(struct path_set *set, const uint64_t key[4]);
void path_set_free(struct path_set *set);
/* The flags of a path before `flags` were added to it; -1 when memory is short. */
int path_set_add(struct path_set *set, const char *path, size_t length, unsigned flags);
unsigned path_set_get(const struct path_set *set, const char *path, size_t length);

struct id_set {
    uint64_t *slots; /* id + 1; 0 is empty */
    size_t capacity, count;
    uint32_t last;
    bool has_last;
};

/* Returns 0, or -1 when memory is short. A zeroed set is ready for use. */
int id_set_add(struct id_set *set, uint32_t id);
/* The ids in ascending order, `set->count` of them, to be freed; NULL when memory is short or the set is empty. */
uint32_t *id_set_sorted(const struct id_set *set);
void id_set_free(struct id_set *set);
