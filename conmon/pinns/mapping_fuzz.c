/* Fuzz entry for the parsers of pinns: any text, no crash, and what is accepted stays inside /proc/sys. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char map[MAP_TEXT_BYTES];
    char *text = malloc(size + 1);
    char path[SYSCTL_PATH_BYTES];
    const char *value;
    enum sysctl_scope scope;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    mapping_parse(text, map, sizeof map);
    if (!sysctl_parse(text, path, &value, &scope) && (path[0] == '/' || strstr(path, "..//") || strstr(path, "/../")))
        abort();
    pin_name_valid(text);
    free(text);
    return 0;
}
