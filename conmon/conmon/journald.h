/* The journald driver: one datagram per line to journald's native socket.
 *
 * Pieces of a line are gathered until its newline comes, up to one piece's size per stream. Nothing is ever waited for
 * longer than a moment: when journald does not take an entry, entries are dropped and counted, without further waiting,
 * until one gets through again; then a marker entry tells the gap. No journald at all means silent dropping.
 */
#ifndef CONMON_JOURNALD_H
#define CONMON_JOURNALD_H

#include "conmon/framing.h"
#include "conmon/journal_text.h"
#include "conmon/options.h"

struct journald {
    int fd; /* -1: no such driver */
    bool stuck;
    bool mark_partial;
    struct journal_constant constant;
    uint64_t lost_entries, lost_bytes, all_lost_entries, all_lost_bytes;
    char *partial[2]; /* PIECE_BYTES + FRAMING_SLACK each, borrowed */
    size_t partial_length[2];
};

/* Prepare the driver. `partial` is room for both streams' partial lines. Returns 0 or a negative errno. */
int journald_open(struct journald *journald, const struct options *options, char *partial);

void journald_add(struct journald *journald, unsigned int stream, const struct piece *piece);

/* Send what is left of an unfinished line, marked partial. */
void journald_flush(struct journald *journald, unsigned int stream);

#endif
