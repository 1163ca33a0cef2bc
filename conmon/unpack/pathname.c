#include "pathname.h"

#include <string.h>

enum path_result path_clean(const char *name, unsigned max_depth, struct clean_path *out)
{
    unsigned depth = 0;
    size_t length = 0, base = 0;

    out->absolute = name[0] == '/';
    out->slash_at_end = false;
    while (*name) {
        size_t part = strcspn(name, "/");

        if (part == 2 && name[0] == '.' && name[1] == '.') {
            if (depth == 0)
                return PATH_CLIMBS;
            depth--;
            length = base > 0 ? base - 1 : 0;
            for (base = length; base > 0 && out->text[base - 1] != '/'; base--)
                ;
        } else if (part > 0 && !(part == 1 && name[0] == '.')) {
            if (length + 1 + part >= sizeof out->text)
                return PATH_TOO_LONG;
            if (++depth > max_depth)
                return PATH_TOO_DEEP;
            if (length > 0)
                out->text[length++] = '/';
            base = length;
            memcpy(out->text + length, name, part);
            length += part;
        }
        name += part;
        out->slash_at_end = *name == '/';
        while (*name == '/')
            name++;
    }
    out->text[length] = '\0';
    out->length = length;
    out->base = base;
    return length == 0 ? PATH_ROOT : PATH_OK;
}

enum whiteout_kind whiteout_of(const struct clean_path *path, const char **hidden)
{
    const char *base = path->text + path->base;

    if (strncmp(base, ".wh.", 4) != 0)
        return WHITEOUT_NONE;
    if (strcmp(base, ".wh..wh..opq") == 0)
        return WHITEOUT_OPAQUE;
    if (base[4] == '\0' || strcmp(base + 4, ".") == 0 || strcmp(base + 4, "..") == 0)
        return WHITEOUT_BAD;
    *hidden = base + 4;
    return WHITEOUT_NAME;
}
