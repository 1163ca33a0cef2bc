#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_ROOT_FD = 256,
    OPT_ROOT,
    OPT_TAR_SPLIT,
    OPT_UID_MAP,
    OPT_GID_MAP,
    OPT_WHITEOUTS,
    OPT_MAX_ENTRIES,
    OPT_MAX_BYTES,
    OPT_MAX_SECONDS,
    OPT_SIZE,
    OPT_DIGEST,
    OPT_DIFF_ID,
    OPT_PROGRESS_FD,
    OPT_VERSION,
};

enum { DEFAULT_MAX_ENTRIES = 4000000 };

static const struct option long_options[] = {
    {"root-fd", required_argument, NULL, OPT_ROOT_FD},
    {"root", required_argument, NULL, OPT_ROOT},
    {"tar-split", required_argument, NULL, OPT_TAR_SPLIT},
    {"uid-map", required_argument, NULL, OPT_UID_MAP},
    {"gid-map", required_argument, NULL, OPT_GID_MAP},
    {"whiteouts", required_argument, NULL, OPT_WHITEOUTS},
    {"max-entries", required_argument, NULL, OPT_MAX_ENTRIES},
    {"max-bytes", required_argument, NULL, OPT_MAX_BYTES},
    {"max-seconds", required_argument, NULL, OPT_MAX_SECONDS},
    {"size", required_argument, NULL, OPT_SIZE},
    {"digest", required_argument, NULL, OPT_DIGEST},
    {"diff-id", required_argument, NULL, OPT_DIFF_ID},
    {"progress-fd", required_argument, NULL, OPT_PROGRESS_FD},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

void options_usage(int fd)
{
    dprintf(fd, "Usage: unpack (--root DIR | --root-fd N) --tar-split FILE [options] < BLOB\n"
                "Applies one image layer to a directory.\n\n"
                "  --root DIR, --root-fd N     the layer's directory\n"
                "  --tar-split FILE            where the tar-split file goes (gzip)\n"
                "  --size N                    expected size of the blob\n"
                "  --digest sha256:HEX         expected digest of the blob\n"
                "  --diff-id sha256:HEX        expected digest of the uncompressed archive\n"
                "  --uid-map C:H:S,...         id mapping of owners (container:host:size)\n"
                "  --gid-map C:H:S,...         id mapping of groups\n"
                "  --whiteouts overlay|apply   store whiteouts (default) or carry them out\n"
                "  --max-entries N             files, directories and links, implied ones included (default %d)\n"
                "  --max-bytes N               uncompressed bytes, and bytes written\n"
                "  --max-seconds N             processor seconds\n"
                "  --progress-fd N             descriptor for progress lines\n"
                "  -h, --help, --version\n",
            DEFAULT_MAX_ENTRIES);
}

static int parse_number(const char *text, uint64_t max, const char *stops, const char **end, uint64_t *out)
{
    uint64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (value > (INT64_MAX - 9) / 10)
            return -1;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (at == text || value > max || !strchr(stops, *at))
        return -1;
    *out = value;
    *end = at;
    return 0;
}

const char *id_map_parse(const char *text, struct id_map *out)
{
    out->count = 0;
    for (;;) {
        uint64_t inside, outside, size;

        if (out->count == ID_RANGES_MAX)
            return "has too many ranges";
        if (parse_number(text, UINT32_MAX, ":", &text, &inside) < 0 || *text++ != ':' ||
            parse_number(text, UINT32_MAX, ":", &text, &outside) < 0 || *text++ != ':' ||
            parse_number(text, UINT32_MAX, ",", &text, &size) < 0)
            return "is not a list of container:host:size";
        if (size == 0 || inside + size > UINT32_MAX || outside + size > UINT32_MAX)
            return "has an empty range or one beyond 32 bits";
        out->ranges[out->count++] = (struct id_range){(uint32_t)inside, (uint32_t)outside, (uint32_t)size};
        if (*text++ == '\0')
            return NULL;
    }
}

int id_map_lookup(const struct id_map *map, uint32_t id, uint32_t *out)
{
    if (map->count == 0) {
        *out = id;
        return 0;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct id_range *range = &map->ranges[i];

        if (id >= range->inside && id - range->inside < range->size) {
            *out = range->outside + (id - range->inside);
            return 0;
        }
    }
    return -1;
}

static int parse_digest(const char *option, const char *text, char out[SHA256_HEX_BYTES], struct failure *failure)
{
    if (strncmp(text, "sha256:", 7) != 0 || strlen(text) != 71 || strspn(text + 7, "0123456789abcdef") != 64)
        return failure_set(failure, UNPACK_USAGE, "--%s '%s' is not sha256: and 64 lower-case hexadecimal digits", option, text);
    memcpy(out, text + 7, SHA256_HEX_BYTES);
    return 0;
}

static int parse_whiteouts(const char *text, struct options *out, struct failure *failure)
{
    if (strcmp(text, "overlay") == 0)
        out->whiteouts = WHITEOUTS_OVERLAY;
    else if (strcmp(text, "apply") == 0)
        out->whiteouts = WHITEOUTS_APPLY;
    else
        return failure_set(failure, UNPACK_USAGE, "--whiteouts '%s' is neither overlay nor apply", text);
    return 0;
}

static int parse_map(const char *option, const char *text, struct id_map *out, struct failure *failure)
{
    const char *problem = id_map_parse(text, out);

    return problem ? failure_set(failure, UNPACK_USAGE, "--%s '%s' %s", option, text, problem) : 0;
}

static int parse_count(const char *option, const char *text, uint64_t max, uint64_t *out, struct failure *failure)
{
    const char *end;

    if (parse_number(text, max, "", &end, out) < 0)
        return failure_set(failure, UNPACK_USAGE, "--%s '%s' is not a number from 0 to %llu", option, text, (unsigned long long)max);
    return 0;
}

static int parse_one(int option, const char *value, struct options *out, struct failure *failure)
{
    uint64_t number = 0;
    int status = 0;

    switch (option) {
    case OPT_ROOT_FD:
        status = parse_count("root-fd", value, INT32_MAX, &number, failure);
        out->root_fd = (int)number;
        break;
    case OPT_ROOT:
        out->root_path = value;
        break;
    case OPT_TAR_SPLIT:
        out->tar_split_path = value;
        break;
    case OPT_UID_MAP:
        return parse_map("uid-map", value, &out->uids, failure);
    case OPT_GID_MAP:
        return parse_map("gid-map", value, &out->gids, failure);
    case OPT_WHITEOUTS:
        return parse_whiteouts(value, out, failure);
    case OPT_MAX_ENTRIES:
        return parse_count("max-entries", value, UINT32_MAX, &out->max_entries, failure);
    case OPT_MAX_BYTES:
        return parse_count("max-bytes", value, INT64_MAX, &out->max_bytes, failure);
    case OPT_MAX_SECONDS:
        return parse_count("max-seconds", value, INT32_MAX, &out->max_seconds, failure);
    case OPT_SIZE:
        status = parse_count("size", value, INT64_MAX, &number, failure);
        out->size = (int64_t)number;
        break;
    case OPT_DIGEST:
        return parse_digest("digest", value, out->digest, failure);
    case OPT_DIFF_ID:
        return parse_digest("diff-id", value, out->diff_id, failure);
    case OPT_PROGRESS_FD:
        status = parse_count("progress-fd", value, INT32_MAX, &number, failure);
        out->progress_fd = (int)number;
        break;
    case 'h':
        out->show_help = true;
        break;
    case OPT_VERSION:
        out->show_version = true;
        break;
    default:
        return failure_set(failure, UNPACK_USAGE, "an option is unknown or lacks its value, see --help");
    }
    return status;
}

int options_parse(int argc, char **argv, struct options *out, struct failure *failure)
{
    int option;

    out->root_fd = -1;
    out->progress_fd = -1;
    out->size = -1;
    out->max_entries = DEFAULT_MAX_ENTRIES;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (parse_one(option, optarg, out, failure) < 0)
            return -1;
    }
    if (out->show_help || out->show_version)
        return 0;
    if (optind < argc)
        return failure_set(failure, UNPACK_USAGE, "the argument '%s' is unexpected", argv[optind]);
    if ((out->root_fd < 0) == (out->root_path == NULL))
        return failure_set(failure, UNPACK_USAGE, "exactly one of --root and --root-fd is needed");
    if (!out->tar_split_path)
        return failure_set(failure, UNPACK_USAGE, "--tar-split is needed");
    if (out->root_fd >= 0 && out->root_fd < 3)
        return failure_set(failure, UNPACK_USAGE, "--root-fd %d is a standard stream", out->root_fd);
    return 0;
}
