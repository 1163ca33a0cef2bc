/* Log policy: see policy.h. */
#include "conmon/policy.h"

#include <string.h>

#define SECOND_NS 1000000000LL
#define DEBT_LIMIT_NS (3600 * SECOND_NS)
#define DEFAULT_EVERY 10
#define LARGEST_LIMIT (1ULL << 40)

static const struct {
    const char *name;
    enum policy_action action;
} actions[] = {
    {"none", POLICY_NONE}, {"block", POLICY_BLOCK}, {"drop", POLICY_DROP}, {"sample", POLICY_SAMPLE}};

static const char *action_name(enum policy_action action)
{
    return actions[action].name;
}

static const char *take_count(const char *at, uint64_t *value)
{
    uint64_t sum = 0;
    unsigned int shift = 0;
    const char *first = at;

    for (; *at >= '0' && *at <= '9'; at++) {
        sum = sum * 10 + (uint64_t)(*at - '0');
        if (sum > LARGEST_LIMIT) {
            return NULL;
        }
    }
    if (at == first) {
        return NULL;
    }
    if (*at == 'K' || *at == 'k') {
        shift = 10;
    } else if (*at == 'M' || *at == 'm') {
        shift = 20;
    } else if (*at == 'G' || *at == 'g') {
        shift = 30;
    }
    if (shift > 0) {
        at++;
        if (sum > LARGEST_LIMIT >> shift) {
            return NULL;
        }
    }
    *value = sum << shift;
    return at;
}

static const char *take_limit(const char *at, struct policy_limit *limit)
{
    at = take_count(at, &limit->per_s);
    limit->burst = limit->per_s;
    if (at != NULL && *at == '/') {
        at = take_count(at + 1, &limit->burst);
    }
    if (at != NULL && limit->per_s > 0 && limit->burst == 0) {
        return NULL;
    }
    return at;
}

static const char *take_setting(const char *at, struct policy_rule *rule)
{
    if (strncmp(at, "lines=", 6) == 0) {
        return take_limit(at + 6, &rule->lines);
    }
    if (strncmp(at, "bytes=", 6) == 0) {
        return take_limit(at + 6, &rule->bytes);
    }
    if (strncmp(at, "every=", 6) == 0) {
        uint64_t every = 0;

        at = take_count(at + 6, &every);
        if (every == 0 || every > UINT32_MAX) {
            return NULL;
        }
        rule->every = (uint32_t)every;
        return at;
    }
    return NULL;
}

static bool is_end(char character)
{
    return character == '\0' || character == ' ' || character == '\r' || character == '\t';
}

bool policy_parse(const char *text, struct policy_rule *rule)
{
    struct policy_rule parsed = {.action = POLICY_NONE, .every = DEFAULT_EVERY, .lines = {0, 0}, .bytes = {0, 0}};
    const char *at = NULL;

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        size_t length = strlen(actions[i].name);

        if (strncmp(text, actions[i].name, length) == 0 && (is_end(text[length]) || text[length] == ',')) {
            parsed.action = actions[i].action;
            at = text + length;
        }
    }
    while (at != NULL && *at == ',') {
        at = take_setting(at + 1, &parsed);
    }
    if (at == NULL || !is_end(*at)) {
        return false;
    }
    if (parsed.action != POLICY_NONE && parsed.lines.per_s == 0 && parsed.bytes.per_s == 0) {
        return false;
    }
    *rule = parsed;
    return true;
}

static void describe_limit(const char *name, const struct policy_limit *limit, struct text *out)
{
    if (limit->per_s > 0) {
        text_join(out, ",", name, "=", NULL);
        text_unsigned(out, limit->per_s);
        text_char(out, '/');
        text_unsigned(out, limit->burst);
    }
}

void policy_describe(const struct policy_rule *rule, struct text *out)
{
    text_add(out, action_name(rule->action));
    if (rule->action == POLICY_NONE) {
        return;
    }
    describe_limit("lines", &rule->lines, out);
    describe_limit("bytes", &rule->bytes, out);
    if (rule->action == POLICY_SAMPLE) {
        text_add(out, ",every=");
        text_unsigned(out, rule->every);
    }
}

void policy_start(struct policy *policy, const struct policy_rule *rule, int64_t now_ns)
{
    policy->rule = *rule;
    policy->line_debt_ns = 0;
    policy->byte_debt_ns = 0;
    policy->updated_ns = now_ns;
    policy->sample_count = 0;
}

static int64_t cost_ns(const struct policy_limit *limit, uint64_t units)
{
    if (limit->per_s == 0) {
        return 0;
    }
    if (units / limit->per_s >= DEBT_LIMIT_NS / SECOND_NS) {
        return DEBT_LIMIT_NS;
    }
    return (int64_t)(units / limit->per_s) * SECOND_NS +
           (int64_t)(((unsigned __int128)(units % limit->per_s) * SECOND_NS) / limit->per_s);
}

static int64_t pay(int64_t debt_ns, int64_t elapsed_ns)
{
    return debt_ns > elapsed_ns ? debt_ns - elapsed_ns : 0;
}

static void pay_back(struct policy *policy, int64_t now_ns)
{
    int64_t elapsed_ns = now_ns - policy->updated_ns;

    if (elapsed_ns > 0) {
        policy->line_debt_ns = pay(policy->line_debt_ns, elapsed_ns);
        policy->byte_debt_ns = pay(policy->byte_debt_ns, elapsed_ns);
        policy->updated_ns = now_ns;
    }
}

/* Whether `cost` more debt is within the burst; what is larger than the whole burst fits an empty debt. */
static bool fits(const struct policy_limit *limit, int64_t debt_ns, int64_t cost, bool in_gap)
{
    int64_t burst_ns = cost_ns(limit, limit->burst);

    if (limit->per_s == 0 || debt_ns == 0) {
        return true;
    }
    if (in_gap && debt_ns > burst_ns / 2) {
        return false;
    }
    return debt_ns + cost <= burst_ns;
}

static void charge(struct policy *policy, int64_t line_cost, int64_t byte_cost)
{
    policy->line_debt_ns += line_cost;
    policy->byte_debt_ns += byte_cost;
    if (policy->line_debt_ns > DEBT_LIMIT_NS) {
        policy->line_debt_ns = DEBT_LIMIT_NS;
    }
    if (policy->byte_debt_ns > DEBT_LIMIT_NS) {
        policy->byte_debt_ns = DEBT_LIMIT_NS;
    }
}

/* Judge the first piece of a line. */
static enum policy_verdict judge_line(struct policy *policy, int64_t line_cost, int64_t byte_cost, int64_t now_ns)
{
    bool limited = policy->rule.action == POLICY_DROP || policy->rule.action == POLICY_SAMPLE;

    pay_back(policy, now_ns);
    if (!limited || (fits(&policy->rule.lines, policy->line_debt_ns, line_cost, policy->in_gap) &&
                     fits(&policy->rule.bytes, policy->byte_debt_ns, byte_cost, policy->in_gap))) {
        charge(policy, line_cost, byte_cost);
        return policy->in_gap ? POLICY_KEEP_AFTER_GAP : POLICY_KEEP;
    }
    if (!policy->in_gap) {
        policy->in_gap = true;
        policy->gap = (struct policy_gap){.lines = 0, .bytes = 0, .since_ns = now_ns};
        policy->sample_count = 0;
    }
    if (policy->rule.action == POLICY_SAMPLE && ++policy->sample_count >= policy->rule.every) {
        policy->sample_count = 0;
        return POLICY_KEEP;
    }
    policy->gap.lines++;
    return POLICY_LEAVE_OUT;
}

enum policy_verdict policy_judge(struct policy *policy, size_t bytes, bool whole, int64_t now_ns)
{
    int64_t byte_cost = cost_ns(&policy->rule.bytes, bytes + (whole ? 1 : 0));
    enum policy_verdict verdict;

    if (policy->inside_line) {
        verdict = policy->keep_line ? POLICY_KEEP : POLICY_LEAVE_OUT;
        if (policy->keep_line) {
            charge(policy, 0, byte_cost);
        }
    } else {
        verdict = judge_line(policy, cost_ns(&policy->rule.lines, 1), byte_cost, now_ns);
        policy->keep_line = verdict != POLICY_LEAVE_OUT;
    }
    if (verdict == POLICY_LEAVE_OUT) {
        policy->gap.bytes += bytes + (whole ? 1 : 0);
    }
    policy->inside_line = !whole;
    return verdict;
}

void policy_gap_done(struct policy *policy)
{
    policy->in_gap = false;
}

int64_t policy_wait_ns(struct policy *policy, int64_t now_ns)
{
    int64_t lines_over, bytes_over;

    if (policy->rule.action != POLICY_BLOCK) {
        return 0;
    }
    pay_back(policy, now_ns);
    lines_over = policy->line_debt_ns - cost_ns(&policy->rule.lines, policy->rule.lines.burst);
    bytes_over = policy->byte_debt_ns - cost_ns(&policy->rule.bytes, policy->rule.bytes.burst);
    if (lines_over < bytes_over) {
        lines_over = bytes_over;
    }
    return lines_over > 0 ? lines_over : 0;
}

void policy_marker(const struct policy *policy, int64_t now_ns, struct text *out)
{
    uint64_t gap_ms = (uint64_t)(now_ns - policy->gap.since_ns) / 1000000;

    text_join(out, "[conmon: log policy ", action_name(policy->rule.action), ": ", NULL);
    text_unsigned(out, policy->gap.lines);
    text_add(out, " lines, ");
    text_unsigned(out, policy->gap.bytes);
    text_add(out, " bytes left out in ");
    text_unsigned(out, gap_ms / 1000);
    text_char(out, '.');
    text_padded(out, gap_ms % 1000, 3);
    text_add(out, " s]");
}
