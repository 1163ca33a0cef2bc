/* Journal entries: see journal_text.h. */
#include "conmon/journal_text.h"

#include <string.h>

#define SHORT_ID 12

static bool label_is_good(const char *label)
{
    const char *equals = strchr(label, '=');

    if (equals == NULL || equals == label || strchr(equals + 1, '=') != NULL) {
        return false;
    }
    for (const char *at = label; at < equals; at++) {
        if (!((*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || *at == '_')) {
            return false;
        }
    }
    return true;
}

bool journal_check(const struct options *options, struct text *error)
{
    if (strlen(options->container_id) <= SHORT_ID) {
        text_join(error, "container id \"", options->container_id, "\" is too short for journald, expected more than 12 characters",
                  NULL);
        return false;
    }
    for (size_t i = 0; i < options->log_labels.count; i++) {
        if (!label_is_good(options->log_labels.at[i])) {
            text_join(error, "--log-label has the value \"", options->log_labels.at[i],
                      "\", expected NAME=VALUE with a name of A-Z, 0-9 and _", NULL);
            return false;
        }
    }
    return true;
}

static void put_length(char *at, uint64_t length)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (char)(length >> (8 * i));
    }
}

static void add_field(struct text *out, const char *name, size_t name_length, const char *value, size_t length)
{
    text_bytes(out, name, name_length);
    if (memchr(value, '\n', length) != NULL) {
        char size[8];

        put_length(size, length);
        text_char(out, '\n');
        text_bytes(out, size, sizeof(size));
    } else {
        text_char(out, '=');
    }
    text_bytes(out, value, length);
    text_char(out, '\n');
}

static void add_named(struct text *out, const char *name, const char *value)
{
    add_field(out, name, strlen(name), value, strlen(value));
}

void journal_fields(const struct options *options, struct text *out)
{
    char short_id[SHORT_ID + 1];
    const char *identifier = short_id;

    memcpy(short_id, options->container_id, SHORT_ID);
    short_id[SHORT_ID] = '\0';
    add_named(out, "CONTAINER_ID", short_id);
    if (options->name != NULL) {
        identifier = options->name;
    }
    if (options->log_tag != NULL) {
        identifier = options->log_tag;
        add_named(out, "CONTAINER_TAG", options->log_tag);
    }
    if (options->name != NULL) {
        add_named(out, "CONTAINER_NAME", options->name);
    }
    add_named(out, "SYSLOG_IDENTIFIER", identifier);
}

void journal_labels(const struct options *options, struct text *out)
{
    for (size_t i = 0; i < options->log_labels.count; i++) {
        const char *label = options->log_labels.at[i];
        const char *equals = strchr(label, '=');

        add_field(out, label, (size_t)(equals - label), equals + 1, strlen(equals + 1));
    }
}

size_t journal_fields_bytes(const struct options *options)
{
    size_t bytes = 256 + strlen(options->container_id);

    bytes += options->name != NULL ? 2 * strlen(options->name) : 0;
    bytes += options->log_tag != NULL ? 2 * strlen(options->log_tag) : 0;
    for (size_t i = 0; i < options->log_labels.count; i++) {
        bytes += strlen(options->log_labels.at[i]) + 16;
    }
    return bytes;
}

static void set_piece(struct iovec *piece, const void *data, size_t length)
{
    piece->iov_base = (void *)(uintptr_t)data;
    piece->iov_len = length;
}

size_t journal_compose(const struct journal_entry *entry, const struct journal_constant *constant, char *head,
                       struct iovec *vector)
{
    size_t count = 0;

    memcpy(head, "MESSAGE\n", 8);
    put_length(head + 8, entry->length + (entry->newline ? 1 : 0));
    set_piece(&vector[count++], head, 16);
    set_piece(&vector[count++], entry->message, entry->length);
    set_piece(&vector[count++], "\n\n", entry->newline ? 2 : 1);
    set_piece(&vector[count++], constant->id_full, constant->id_full_length);
    set_piece(&vector[count++], entry->is_stderr ? "PRIORITY=3\n" : "PRIORITY=6\n", 11);
    set_piece(&vector[count++], constant->fields, constant->fields_length);
    if (entry->partial) {
        set_piece(&vector[count++], "CONTAINER_PARTIAL_MESSAGE=true\n", 31);
    }
    if (constant->labels_length > 0) {
        set_piece(&vector[count++], constant->labels, constant->labels_length);
    }
    return count;
}
