#include "member.h"

#include <stdlib.h>
#include <string.h>

static const int64_t latest_second = INT64_MAX / 1000000000; /* in 2262 */

static int bad(struct member_reader *reader, const char *problem)
{
    return failure_set(reader->failure, UNPACK_BAD_ARCHIVE, "the archive is damaged: %s", problem);
}

static int bad_member(struct member_reader *reader, const char *name, const char *problem)
{
    return failure_set(reader->failure, UNPACK_BAD_ARCHIVE, "entry '%s': %s", show_name(name).text, problem);
}

static int out_of_memory(struct member_reader *reader)
{
    return failure_set(reader->failure, UNPACK_BUDGET, "there is not enough memory for the headers of an entry");
}

int64_t member_take_raw(struct member_reader *reader, void *to, uint64_t length)
{
    uint64_t done = 0;

    while (done < length) {
        const uint8_t *at;
        long shown = stream_peek(reader->stream, &at);
        size_t taken = (uint64_t)shown < length - done ? (size_t)shown : (size_t)(length - done);

        if (shown < 0)
            return -1;
        if (shown == 0)
            break;
        if (to)
            memcpy((char *)to + done, at, taken);
        if (split_raw(reader->split, at, taken) < 0)
            return -1;
        stream_skip(reader->stream, taken);
        done += taken;
    }
    return (int64_t)done;
}

int member_take_padding(struct member_reader *reader, uint64_t size)
{
    uint64_t padding = (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;

    /* An archive may end without the last padding. */
    return member_take_raw(reader, NULL, padding) < 0 ? -1 : 0;
}

int member_take_rest(struct member_reader *reader)
{
    return member_take_raw(reader, NULL, UINT64_MAX) < 0 ? -1 : 0;
}

/* Takes the content of an extension header, ended by a NUL. */
static int take_meta(struct member_reader *reader, uint64_t size, struct bytes *out)
{
    if (size > META_BYTES_MAX - reader->meta_bytes)
        return failure_set(reader->failure, UNPACK_HOSTILE_ENTRY, "the extended headers of an entry have more than %d bytes",
                           META_BYTES_MAX);
    reader->meta_bytes += size;
    if (size + 1 > out->capacity) {
        char *grown = realloc(out->at, size + 1);

        if (!grown)
            return out_of_memory(reader);
        out->at = grown;
        out->capacity = size + 1;
    }
    out->length = size;
    out->at[size] = '\0';
    if (member_take_raw(reader, out->at, size) != (int64_t)size)
        return reader->failure->code ? -1 : bad(reader, "it ends inside an extended header");
    return member_take_padding(reader, size);
}

enum header_step { STEP_FAILED = -1, STEP_END = 0, STEP_HEADER = 1, STEP_ZERO = 2 };

static enum header_step next_header(struct member_reader *reader)
{
    uint8_t block[TAR_BLOCK];
    const char *problem = NULL;
    int64_t got = member_take_raw(reader, block, TAR_BLOCK);

    if (got < 0)
        return STEP_FAILED;
    if (got == 0)
        return STEP_END;
    if (got < TAR_BLOCK)
        return bad(reader, "it ends inside a header");
    switch (header_parse(block, &reader->header, &problem)) {
    case HEADER_ZERO:
        return STEP_ZERO;
    case HEADER_BAD:
        return failure_set(reader->failure, UNPACK_BAD_ARCHIVE, "the archive is damaged: a header is wrong, %s", problem);
    case HEADER_OK:
        break;
    }
    return STEP_HEADER;
}

/* One zero block may only be followed by another one or by the end. */
static enum header_step end_blocks(struct member_reader *reader)
{
    enum header_step step = next_header(reader);

    if (step == STEP_HEADER)
        return bad(reader, "a header follows an end block");
    return step == STEP_FAILED ? STEP_FAILED : STEP_END;
}

struct pax_facts {
    const char *path, *link_path, *sparse_name, *sparse_map, *sparse_major, *sparse_minor;
    int64_t uid, gid, size, real_size; /* -1: absent */
    bool has_mtime, has_atime;
    int64_t mtime_s, atime_s;
    uint32_t mtime_ns, atime_ns;
    size_t xattr_count, run_count;
    bool run_is_open; /* an offset whose length has not come yet */
};

static int add_xattr(struct member_reader *reader, struct pax_facts *facts, const char *name, const struct pax_record *record)
{
    if (facts->xattr_count == reader->xattr_capacity) {
        size_t capacity = reader->xattr_capacity ? reader->xattr_capacity * 2 : 16;
        struct xattr *grown = realloc(reader->xattrs, capacity * sizeof *grown);

        if (!grown)
            return out_of_memory(reader);
        reader->xattrs = grown;
        reader->xattr_capacity = capacity;
    }
    reader->xattrs[facts->xattr_count++] = (struct xattr){name, record->value, record->value_length};
    return 0;
}

static int reserve_runs(struct member_reader *reader, size_t count)
{
    struct sparse_run *grown;
    size_t capacity = reader->run_capacity ? reader->run_capacity : 64;

    if (count <= reader->run_capacity)
        return 0;
    while (capacity < count)
        capacity *= 2;
    grown = realloc(reader->runs, capacity * sizeof *grown);
    if (!grown)
        return out_of_memory(reader);
    reader->runs = grown;
    reader->run_capacity = capacity;
    return 0;
}

/* Format 0.0: a pair of records per run. */
static int add_run_part(struct member_reader *reader, struct pax_facts *facts, bool is_offset, const char *value)
{
    int64_t number;

    if (facts->run_is_open == is_offset || pax_number(value, &number) < 0 || number < 0)
        return bad(reader, "a sparse map is malformed");
    if (is_offset) {
        if (reserve_runs(reader, facts->run_count + 1) < 0)
            return -1;
        reader->runs[facts->run_count].offset = (uint64_t)number;
    } else {
        reader->runs[facts->run_count++].length = (uint64_t)number;
    }
    facts->run_is_open = is_offset;
    return 0;
}

static int set_text(struct member_reader *reader, const struct pax_record *record, const char **out)
{
    if (strlen(record->value) != record->value_length)
        return bad(reader, "a name in an extended header has a NUL byte");
    if (record->value_length > 0)
        *out = record->value;
    return 0;
}

static int set_number(struct member_reader *reader, const struct pax_record *record, int64_t *out)
{
    int64_t number;

    if (record->value_length == 0)
        return 0;
    if (strlen(record->value) != record->value_length || pax_number(record->value, &number) < 0 || number < 0)
        return failure_set(reader->failure, UNPACK_BAD_ARCHIVE, "the archive is damaged: '%s' in an extended header is not a number",
                           show_name(record->key).text);
    *out = number;
    return 0;
}

static int set_time(struct member_reader *reader, const struct pax_record *record, bool *has, int64_t *seconds, uint32_t *nanoseconds)
{
    if (record->value_length == 0)
        return 0;
    if (strlen(record->value) != record->value_length || pax_time(record->value, seconds, nanoseconds) < 0)
        return bad(reader, "a time in an extended header is malformed");
    *has = true;
    return 0;
}

static int add_record(struct member_reader *reader, struct pax_facts *facts, const struct pax_record *record)
{
    static const char xattr_prefix[] = "SCHILY.xattr.";
    const char *key = record->key;

    if (strncmp(key, xattr_prefix, sizeof xattr_prefix - 1) == 0)
        return add_xattr(reader, facts, key + sizeof xattr_prefix - 1, record);
    if (strcmp(key, "path") == 0)
        return set_text(reader, record, &facts->path);
    if (strcmp(key, "linkpath") == 0)
        return set_text(reader, record, &facts->link_path);
    if (strcmp(key, "size") == 0)
        return set_number(reader, record, &facts->size);
    if (strcmp(key, "uid") == 0)
        return set_number(reader, record, &facts->uid);
    if (strcmp(key, "gid") == 0)
        return set_number(reader, record, &facts->gid);
    if (strcmp(key, "mtime") == 0)
        return set_time(reader, record, &facts->has_mtime, &facts->mtime_s, &facts->mtime_ns);
    if (strcmp(key, "atime") == 0)
        return set_time(reader, record, &facts->has_atime, &facts->atime_s, &facts->atime_ns);
    if (strncmp(key, "GNU.sparse.", 11) != 0)
        return 0;
    if (strcmp(key, "GNU.sparse.name") == 0)
        return set_text(reader, record, &facts->sparse_name);
    if (strcmp(key, "GNU.sparse.map") == 0)
        return set_text(reader, record, &facts->sparse_map);
    if (strcmp(key, "GNU.sparse.major") == 0)
        return set_text(reader, record, &facts->sparse_major);
    if (strcmp(key, "GNU.sparse.minor") == 0)
        return set_text(reader, record, &facts->sparse_minor);
    if (strcmp(key, "GNU.sparse.realsize") == 0 || strcmp(key, "GNU.sparse.size") == 0)
        return set_number(reader, record, &facts->real_size);
    if (strcmp(key, "GNU.sparse.offset") == 0 || strcmp(key, "GNU.sparse.numbytes") == 0)
        return add_run_part(reader, facts, key[11] == 'o', record->value);
    return 0;
}

static int parse_pax(struct member_reader *reader, struct pax_facts *facts)
{
    char *cursor = reader->pax.at;
    char *end = cursor + reader->pax.length;
    struct pax_record record;

    for (;;) {
        switch (pax_next(&cursor, end, &record)) {
        case PAX_END:
            return 0;
        case PAX_BAD:
            return bad(reader, "an extended header is malformed");
        case PAX_RECORD:
            if (add_record(reader, facts, &record) < 0)
                return -1;
        }
    }
}

static int set_sparse(struct member_reader *reader, const struct pax_facts *facts, struct member *out)
{
    bool is_1_0 = facts->sparse_major && facts->sparse_minor && strcmp(facts->sparse_major, "1") == 0 &&
                  strcmp(facts->sparse_minor, "0") == 0;
    size_t commas = 0;
    long parsed;

    if (out->type != MEMBER_FILE || (!is_1_0 && !facts->sparse_map && facts->run_count == 0))
        return 0;
    if (facts->real_size < 0)
        return bad_member(reader, out->name, "it is sparse without a size");
    out->sparse = true;
    out->sparse_map_in_content = is_1_0;
    out->real_size = (uint64_t)facts->real_size;
    out->run_count = facts->run_count;
    if (!is_1_0 && facts->sparse_map) {
        for (const char *at = facts->sparse_map; *at; at++)
            commas += *at == ',';
        if (reserve_runs(reader, commas / 2 + 1) < 0)
            return -1;
        parsed = sparse_parse_list(facts->sparse_map, reader->runs, reader->run_capacity);
        if (parsed < 0)
            return bad_member(reader, out->name, "its sparse map is malformed");
        out->run_count = (size_t)parsed;
    }
    out->runs = reader->runs;
    return 0;
}

static bool type_of(char type, const char *name, enum member_type *out)
{
    size_t length = strlen(name);

    switch (type) {
    case '\0': /* old archives mark directories by the name only */
        *out = length > 0 && name[length - 1] == '/' ? MEMBER_DIRECTORY : MEMBER_FILE;
        return true;
    case '0':
        *out = MEMBER_FILE;
        return true;
    case '1':
        *out = MEMBER_HARDLINK;
        return true;
    case '2':
        *out = MEMBER_SYMLINK;
        return true;
    case '3':
        *out = MEMBER_CHARACTER;
        return true;
    case '4':
        *out = MEMBER_BLOCK;
        return true;
    case '5':
        *out = MEMBER_DIRECTORY;
        return true;
    case '6':
        *out = MEMBER_FIFO;
        return true;
    default:
        return false;
    }
}

static int set_owner(struct member_reader *reader, const char *name, int64_t id, uint32_t *out)
{
    /* The largest value means "leave as it is" to the kernel. */
    if (id < 0 || id >= UINT32_MAX)
        return failure_set(reader->failure, UNPACK_HOSTILE_ENTRY, "entry '%s': the owner or group %lld is not from 0 to 4294967294",
                           show_name(name).text, (long long)id);
    *out = (uint32_t)id;
    return 0;
}

static int set_device(struct member_reader *reader, const char *name, int64_t number, uint32_t *out)
{
    if (number < 0 || number > UINT32_MAX)
        return bad_member(reader, name, "its device number is out of range");
    *out = (uint32_t)number;
    return 0;
}

static void set_times(const struct tar_header *header, const struct pax_facts *facts, struct member *out)
{
    out->mtime_s = facts->has_mtime ? facts->mtime_s : header->mtime_s;
    out->mtime_ns = facts->has_mtime ? facts->mtime_ns : 0;
    if (out->mtime_s < 0 || out->mtime_s >= latest_second)
        out->mtime_s = out->mtime_ns = 0;
    out->atime_s = out->mtime_s;
    out->atime_ns = out->mtime_ns;
    if (facts->has_atime && facts->atime_s < latest_second &&
        (facts->atime_s > out->mtime_s || (facts->atime_s == out->mtime_s && facts->atime_ns > out->mtime_ns))) {
        out->atime_s = facts->atime_s;
        out->atime_ns = facts->atime_ns;
    }
}

/* Puts the header, the GNU long names and the PAX records together; GNU names win over PAX ones. */
static int merge(struct member_reader *reader, const struct pax_facts *facts, bool has_name, bool has_link, struct member *out)
{
    const struct tar_header *header = &reader->header;

    *out = (struct member){.name = header->name, .link_name = header->link_name};
    if (facts->path)
        out->name = facts->path;
    if (facts->sparse_name)
        out->name = facts->sparse_name;
    if (facts->link_path)
        out->link_name = facts->link_path;
    if (has_name)
        out->name = reader->long_name.at;
    if (has_link)
        out->link_name = reader->long_link.at;
    if (header->type == 'S')
        return bad_member(reader, out->name, "it is sparse in the old GNU format, which is not supported");
    if (!type_of(header->type, out->name, &out->type))
        return failure_set(reader->failure, UNPACK_BAD_ARCHIVE, "entry '%s': its type 0x%02x is not supported", show_name(out->name).text,
                           (unsigned)(unsigned char)header->type);
    if (out->type == MEMBER_FILE)
        out->size = (uint64_t)(facts->size >= 0 ? facts->size : header->size);
    out->mode = (uint32_t)header->mode & 07777;
    out->xattrs = reader->xattrs;
    out->xattr_count = facts->xattr_count;
    set_times(header, facts, out);
    if (set_owner(reader, out->name, facts->uid >= 0 ? facts->uid : header->uid, &out->uid) < 0 ||
        set_owner(reader, out->name, facts->gid >= 0 ? facts->gid : header->gid, &out->gid) < 0)
        return -1;
    if ((out->type == MEMBER_CHARACTER || out->type == MEMBER_BLOCK) &&
        (set_device(reader, out->name, header->device_major, &out->device_major) < 0 ||
         set_device(reader, out->name, header->device_minor, &out->device_minor) < 0))
        return -1;
    return set_sparse(reader, facts, out);
}

int member_next(struct member_reader *reader, struct member *out)
{
    struct pax_facts facts = {.uid = -1, .gid = -1, .size = -1, .real_size = -1};
    struct bytes ignored = {0};
    bool has_name = false, has_link = false, has_extension = false;

    reader->meta_bytes = 0;
    for (;;) {
        enum header_step step = next_header(reader);
        uint64_t size = (uint64_t)reader->header.size;
        int status = 0;

        if (step == STEP_ZERO)
            step = end_blocks(reader);
        if (step == STEP_END && has_extension)
            return bad(reader, "it ends behind an extended header");
        if (step != STEP_HEADER)
            return (int)step;
        has_extension = has_extension || reader->header.type != 'g';
        switch (reader->header.type) {
        case 'x': /* the last one counts */
            facts = (struct pax_facts){.uid = -1, .gid = -1, .size = -1, .real_size = -1};
            status = take_meta(reader, size, &reader->pax);
            if (status == 0)
                status = parse_pax(reader, &facts);
            break;
        case 'g': /* global settings are ignored */
            status = take_meta(reader, size, &ignored);
            free(ignored.at);
            ignored = (struct bytes){0};
            break;
        case 'L':
            has_name = true;
            status = take_meta(reader, size, &reader->long_name);
            break;
        case 'K':
            has_link = true;
            status = take_meta(reader, size, &reader->long_link);
            break;
        default:
            return merge(reader, &facts, has_name, has_link, out) < 0 ? -1 : 1;
        }
        if (status < 0)
            return -1;
    }
}

/* The numbers of a format 1.0 map, one per line, read block by block. */
struct map_text {
    uint8_t block[TAR_BLOCK];
    size_t at;
    uint64_t taken;
};

static int next_map_number(struct member_reader *reader, struct map_text *text, const struct member *member, uint64_t *out)
{
    uint64_t value = 0;

    for (size_t digits = 0;; digits++) {
        uint8_t c;

        if (text->at == TAR_BLOCK || text->taken == 0) {
            if (text->taken >= META_BYTES_MAX || text->taken + TAR_BLOCK > member->size)
                return bad_member(reader, member->name, "its sparse map is too long");
            if (member_take_raw(reader, text->block, TAR_BLOCK) != TAR_BLOCK)
                return reader->failure->code ? -1 : bad(reader, "it ends inside a sparse map");
            text->taken += TAR_BLOCK;
            text->at = 0;
        }
        c = text->block[text->at++];
        if (c == '\n' && digits > 0) {
            *out = value;
            return 0;
        }
        if (c < '0' || c > '9' || value > (INT64_MAX - 9) / 10)
            return bad_member(reader, member->name, "its sparse map is malformed");
        value = value * 10 + (uint64_t)(c - '0');
    }
}

int member_read_sparse_map(struct member_reader *reader, struct member *member, uint64_t *taken)
{
    struct map_text text = {.at = TAR_BLOCK};
    uint64_t count;

    if (next_map_number(reader, &text, member, &count) < 0)
        return -1;
    if (count > META_BYTES_MAX / 4)
        return bad_member(reader, member->name, "its sparse map is too long");
    if (reserve_runs(reader, (size_t)count) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (next_map_number(reader, &text, member, &reader->runs[i].offset) < 0 ||
            next_map_number(reader, &text, member, &reader->runs[i].length) < 0)
            return -1;
    }
    member->runs = reader->runs;
    member->run_count = (size_t)count;
    *taken = text.taken;
    return 0;
}

void member_reader_free(struct member_reader *reader)
{
    free(reader->pax.at);
    free(reader->long_name.at);
    free(reader->long_link.at);
    free(reader->xattrs);
    free(reader->runs);
}
