/* Log policy: how much of a stream may reach the logs. Pure; the clock is an argument.
 *
 * Every stream has a rule and two token buckets, one for lines and one for bytes. A bucket is kept as the time it needs
 * to become full again (its debt): spending adds units/rate, time passing subtracts, and a line fits as long as the
 * debt stays within burst/rate. A limit of 0 means no limit.
 *
 *   block   everything is logged; when the debt exceeds the burst the stream is not read until it is paid back, so the
 *           container feels a slow pipe.
 *   drop    lines that do not fit are left out. So that a steady overload does not make a gap of every second line, a
 *           gap lasts until half of the burst is there again.
 *   sample  as drop, but one of every N lines inside a gap is kept.
 *
 * A line cut into pieces is judged once, at its first piece. When a gap ends the caller writes one marker line.
 *
 * Text form, for the option and for ctl: ACTION[,lines=N[/BURST]][,bytes=N[/BURST]][,every=N], N with K, M or G (binary)
 * allowed, BURST defaults to one second's worth, every to 10. `none` turns it off.
 */
#ifndef CONMON_POLICY_H
#define CONMON_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/text.h"

enum policy_action { POLICY_NONE, POLICY_BLOCK, POLICY_DROP, POLICY_SAMPLE };

struct policy_limit {
    uint64_t per_s; /* 0: no limit */
    uint64_t burst;
};

struct policy_rule {
    enum policy_action action;
    uint32_t every;
    struct policy_limit lines, bytes;
};

struct policy_gap {
    uint64_t lines, bytes;
    int64_t since_ns;
};

struct policy {
    struct policy_rule rule;
    int64_t line_debt_ns, byte_debt_ns, updated_ns;
    bool in_gap, inside_line, keep_line;
    uint32_t sample_count;
    struct policy_gap gap;
};

enum policy_verdict {
    POLICY_KEEP,
    POLICY_KEEP_AFTER_GAP, /* write the marker for `gap` first, then call policy_gap_done */
    POLICY_LEAVE_OUT
};

/* Parse the text form. False leaves `rule` alone. */
bool policy_parse(const char *text, struct policy_rule *rule);

/* Add the text form of a rule. */
void policy_describe(const struct policy_rule *rule, struct text *out);

/* Begin with a rule; a gap that is open stays open and is reported when it ends. */
void policy_start(struct policy *policy, const struct policy_rule *rule, int64_t now_ns);

/* Judge a piece of `bytes` content bytes; `whole` tells that it ends its line. */
enum policy_verdict policy_judge(struct policy *policy, size_t bytes, bool whole, int64_t now_ns);

/* The marker was written. */
void policy_gap_done(struct policy *policy);

/* How long the stream must not be read (block only); 0 = not at all. */
int64_t policy_wait_ns(struct policy *policy, int64_t now_ns);

/* The marker's content. */
void policy_marker(const struct policy *policy, int64_t now_ns, struct text *out);

#endif
