#include "sets.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 1024 };

static const uint64_t flag_mask = 0xff;

static uint64_t rotate_left(uint64_t value, int count)
{
    return value << count | value >> (64 - count);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

/* SipHash-2-4 with 128 bits of output, keyed by half of the set's key; the other half whitens the start. */
static void hash_path(const uint64_t key[4], const char *path, size_t length, uint64_t out[2])
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575 ^ key[2], key[1] ^ 0x646f72616e646f6d ^ 0xee, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573 ^ key[3]};
    uint64_t word = (uint64_t)length << 56;
    size_t whole = length / 8 * 8;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t part;

        memcpy(&part, path + i, 8);
        v[3] ^= part;
        sip_round(v);
        sip_round(v);
        v[0] ^= part;
    }
    for (size_t i = whole; i < length; i++)
        word |= (uint64_t)(unsigned char)path[i] << (8 * (i - whole));
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
    for (int half = 0; half < 2; half++) {
        v[half == 0 ? 2 : 1] ^= half == 0 ? 0xee : 0xdd;
        for (int i = 0; i < 4; i++)
            sip_round(v);
        out[half] = v[0] ^ v[1] ^ v[2] ^ v[3];
    }
    out[1] &= ~flag_mask;
    if (out[0] == 0)
        out[0] = 1;
}

int path_set_init(struct path_set *set, const uint64_t key[4])
{
    memcpy(set->key, key, sizeof set->key);
    set->capacity = FIRST_CAPACITY;
    set->count = 0;
    set->slots = calloc(set->capacity, 2 * sizeof *set->slots);
    return set->slots ? 0 : -1;
}

void path_set_free(struct path_set *set)
{
    free(set->slots);
    set->slots = NULL;
}

static uint64_t *find_slot(uint64_t *slots, size_t capacity, const uint64_t hash[2])
{
    for (size_t at = hash[0] & (capacity - 1);; at = (at + 1) & (capacity - 1)) {
        uint64_t *slot = slots + 2 * at;

        if (slot[0] == 0 || (slot[0] == hash[0] && (slot[1] & ~flag_mask) == hash[1]))
            return slot;
    }
}

static int grow_paths(struct path_set *set)
{
    size_t capacity = set->capacity * 2;
    uint64_t *slots = calloc(capacity, 2 * sizeof *slots);

    if (!slots)
        return -1;
    for (size_t i = 0; i < set->capacity; i++) {
        const uint64_t *old = set->slots + 2 * i;
        uint64_t *slot = slots;

        if (old[0] == 0)
            continue;
        slot = find_slot(slots, capacity, (const uint64_t[2]){old[0], old[1] & ~flag_mask});
        slot[0] = old[0];
        slot[1] = old[1];
    }
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    return 0;
}

int path_set_add(struct path_set *set, const char *path, size_t length, unsigned flags)
{
    uint64_t hash[2];
    uint64_t *slot;
    unsigned before;

    if (set->count * 4 >= set->capacity * 3 && grow_paths(set) < 0)
        return -1;
    hash_path(set->key, path, length, hash);
    slot = find_slot(set->slots, set->capacity, hash);
    if (slot[0] == 0) {
        slot[0] = hash[0];
        slot[1] = hash[1];
        set->count++;
    }
    before = (unsigned)(slot[1] & flag_mask);
    slot[1] |= flags;
    return (int)before;
}

unsigned path_set_get(const struct path_set *set, const char *path, size_t length)
{
    uint64_t hash[2];
    const uint64_t *slot;

    hash_path(set->key, path, length, hash);
    slot = find_slot(set->slots, set->capacity, hash);
    return slot[0] ? (unsigned)(slot[1] & flag_mask) : 0;
}

static uint64_t *find_id(uint64_t *slots, size_t capacity, uint32_t id)
{
    size_t at = (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (capacity - 1);

    while (slots[at] != 0 && slots[at] != (uint64_t)id + 1)
        at = (at + 1) & (capacity - 1);
    return slots + at;
}

static int grow_ids(struct id_set *set)
{
    size_t capacity = set->capacity ? set->capacity * 2 : 64;
    uint64_t *slots = calloc(capacity, sizeof *slots);

    if (!slots)
        return -1;
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i])
            *find_id(slots, capacity, (uint32_t)(set->slots[i] - 1)) = set->slots[i];
    }
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    return 0;
}

int id_set_add(struct id_set *set, uint32_t id)
{
    uint64_t *slot;

    if (set->has_last && set->last == id)
        return 0;
    if (set->count * 2 >= set->capacity && grow_ids(set) < 0)
        return -1;
    slot = find_id(set->slots, set->capacity, id);
    if (*slot == 0) {
        *slot = (uint64_t)id + 1;
        set->count++;
    }
    set->last = id;
    set->has_last = true;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

uint32_t *id_set_sorted(const struct id_set *set)
{
    uint32_t *ids = set->count ? malloc(set->count * sizeof *ids) : NULL;
    size_t count = 0;

    if (!ids)
        return NULL;
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i])
            ids[count++] = (uint32_t)(set->slots[i] - 1);
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    return ids;
}

void id_set_free(struct id_set *set)
{
    free(set->slots);
    set->slots = NULL;
}
