/* Fuzz entry for the pure parsers of unpack: whatever the bytes, no overrun, and the promises of their headers hold. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "header.h"
#include "pathname.h"
#include "pax.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void fuzz_header(const uint8_t *data, size_t size)
{
    uint8_t block[TAR_BLOCK] = {0};
    struct tar_header header;
    const char *problem = NULL;
    int64_t value;

    memcpy(block, data, size < TAR_BLOCK ? size : TAR_BLOCK);
    if (header_parse(block, &header, &problem) == HEADER_OK)
        require(header.size >= 0 && strlen(header.name) < sizeof header.name);
    header_number(data, size < 12 ? size : 12, &value);
}

static void fuzz_path(const char *text)
{
    struct clean_path path;
    const char *hidden = NULL;
    enum path_result result = path_clean(text, 2048, &path);

    if (result != PATH_OK)
        return;
    require(path.length == strlen(path.text) && path.base < path.length && path.text[0] != '/');
    require(strcmp(path.text, "..") != 0 && strncmp(path.text, "../", 3) != 0 && !strstr(path.text, "/../") && !strstr(path.text, "//"));
    if (whiteout_of(&path, &hidden) == WHITEOUT_NAME)
        require(hidden[0] && strcmp(hidden, ".") != 0 && strcmp(hidden, "..") != 0 && !strchr(hidden, '/'));
}

static void fuzz_pax(char *text, size_t size)
{
    char *cursor = text;
    struct pax_record record;
    struct sparse_run runs[64];

    while (pax_next(&cursor, text + size, &record) == PAX_RECORD) {
        int64_t number;
        uint32_t nanoseconds = 0;
        long count = sparse_parse_list(record.value, runs, 64);

        require(record.value[record.value_length] == '\0' && record.key[0]);
        if (count > 0)
            sparse_valid(runs, (size_t)count, 1000, 100);
        pax_number(record.value, &number);
        if (pax_time(record.value, &number, &nanoseconds) == 0)
            require(nanoseconds < 1000000000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *out = malloc(size * 6 + 8);

    if (text && out) {
        memcpy(text, data, size);
        text[size] = '\0';
        fuzz_header(data, size);
        fuzz_path(text);
        json_escape(text, out);
        utf8_valid(text);
        base64_encode(data, size, out);
        fuzz_pax(text, size);
    }
    free(text);
    free(out);
    return 0;
}
