/* Unit tests of framing.h, policy.h and attach_queue.h. */
#include "conmon/framing.h"

#include "conmon/attach_queue.h"
#include "conmon/policy.h"
#include "lib/check.h"

#define SECOND_NS 1000000000LL
#define STAMP "2026-01-02T03:04:05.000000006+00:00"

/* Frame `in` and return the records; `left` gets what was not taken. */
static const char *frame(const char *in, size_t length, bool flush, size_t *left)
{
    static char input[65536 + FRAMING_SLACK], out[262144];
    struct record_prefix prefix;
    const char *at = input;
    struct piece piece;
    size_t used = 0;

    memcpy(input, in, length);
    record_prefix_set(&prefix, STAMP, false);
    while (piece_next(&at, input + length, flush, &piece)) {
        size_t bytes = record_put(out + used, &prefix, &piece);

        CHECK(bytes == record_bytes(&piece));
        used += bytes;
    }
    out[used] = '\0';
    *left = (size_t)(input + length - at);
    return out;
}

static void test_records(void)
{
    static const struct {
        const char *name, *in;
        bool flush;
        const char *out;
        size_t left;
    } cases[] = {
        {"a line", "ab\n", true, STAMP " stdout F ab\n", 0},
        {"an empty line", "\n", true, STAMP " stdout F \n", 0},
        {"a rest", "ab", true, STAMP " stdout P ab\n", 0},
        {"a rest that waits", "x\nab", false, STAMP " stdout F x\n", 2},
        {"two lines and a rest", "a\nb\nc", true,
         STAMP " stdout F a\n" STAMP " stdout F b\n" STAMP " stdout P c\n", 0},
        {"carriage return stays", "a\r\n", true, STAMP " stdout F a\r\n", 0},
        {"nothing", "", true, "", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t left;

        CHECK_TEXT(cases[i].name, frame(cases[i].in, strlen(cases[i].in), cases[i].flush, &left), cases[i].out);
        CHECK_CASE(cases[i].name, left == cases[i].left);
    }
}

/* One pass over whole lines must give what finding and copying give, at every length, and stop at the limit. */
static void test_quick_lines(void)
{
    static char input[4096 + FRAMING_SLACK], quick[8192], slow[8192];
    struct record_prefix prefix;

    record_prefix_set(&prefix, STAMP, true);
    for (size_t length = 0; length < 2048; length++) {
        const char *at = input;
        const char *again = input;
        char *out = quick;
        struct piece piece;

        memset(input, 'a' + (char)(length % 26), sizeof(input));
        input[length] = '\n';
        CHECK(!record_put_line(&out, &prefix, &at, input + length) && at == input && out == quick);
        if (!record_put_line(&out, &prefix, &at, input + length + 1)) {
            CHECK(EXACT_READS);
            continue;
        }
        CHECK(piece_next(&again, input + length + 1, true, &piece) && piece.whole);
        CHECK(at == again && (size_t)(out - quick) == record_put(slow, &prefix, &piece));
        CHECK(memcmp(quick, slow, (size_t)(out - quick)) == 0);
    }
}

/* Lengths around the piece size: the pieces must add up, and only the last one is whole. */
static void test_long_lines(void)
{
    static char in[60000];
    static const size_t lengths[] = {1, 15, 16, 17, 511, 512, 513, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES};

    memset(in, 'x', sizeof(in));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t length = lengths[i], left, content = 0, partial = 0;
        const char *record;

        in[length] = '\n';
        for (record = frame(in, length + 1, true, &left); *record != '\0';) {
            const char *end = strchr(record, '\n');

            partial += record[43] == 'P' ? 1 : 0;
            content += (size_t)(end - record) - RECORD_PREFIX;
            record = end + 1;
        }
        CHECK(content == length && left == 0);
        CHECK(partial == (length == 0 ? 0 : (length - 1) / PIECE_BYTES));
        in[length] = 'x';
    }
}

static void test_policy_text(void)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"none", "none"},
        {"drop,lines=10", "drop,lines=10/10"},
        {"block,bytes=1M/4M", "block,bytes=1048576/4194304"},
        {"sample,lines=5/20,bytes=1K,every=3", "sample,lines=5/20,bytes=1024/1024,every=3"},
        {"drop", NULL},
        {"drop,lines=x", NULL},
        {"drop,lines=10/0", NULL},
        {"drop,colour=1", NULL},
        {"sample,lines=1,every=0", NULL},
        {"dropping,lines=1", NULL},
        {"", NULL},
        {"drop,lines=99999999999999999999", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_rule rule;
        char data[128];
        struct text text = text_over(data, sizeof(data));
        bool good = policy_parse(cases[i].text, &rule);

        CHECK_CASE(cases[i].text, good == (cases[i].shown != NULL));
        if (good) {
            policy_describe(&rule, &text);
            CHECK_TEXT(cases[i].text, data, cases[i].shown);
        }
    }
}

static void start(struct policy *policy, const char *text)
{
    struct policy_rule rule;

    memset(policy, 0, sizeof(*policy));
    CHECK(policy_parse(text, &rule));
    policy_start(policy, &rule, SECOND_NS);
}

static void test_drop(void)
{
    struct policy policy;
    int kept = 0;

    start(&policy, "drop,lines=10/10");
    for (int i = 0; i < 100; i++) {
        kept += policy_judge(&policy, 5, true, SECOND_NS) != POLICY_LEAVE_OUT ? 1 : 0;
    }
    CHECK(kept == 10 && policy.gap.lines == 90 && policy.gap.bytes == 540);
    /* Half of the burst must be back before the gap ends. */
    CHECK(policy_judge(&policy, 5, true, SECOND_NS + SECOND_NS / 4) == POLICY_LEAVE_OUT);
    CHECK(policy_judge(&policy, 5, true, SECOND_NS + SECOND_NS / 2) == POLICY_KEEP_AFTER_GAP);
    policy_gap_done(&policy);
    CHECK(policy_judge(&policy, 5, true, SECOND_NS + SECOND_NS / 2) == POLICY_KEEP);
}

static void test_drop_whole_lines(void)
{
    struct policy policy;

    start(&policy, "drop,bytes=10/10");
    CHECK(policy_judge(&policy, 10000, false, SECOND_NS) == POLICY_KEEP);
    CHECK(policy_judge(&policy, 10000, true, SECOND_NS) == POLICY_KEEP);
    CHECK(policy_judge(&policy, 1, false, SECOND_NS) == POLICY_LEAVE_OUT);
    CHECK(policy_judge(&policy, 1, true, SECOND_NS + 9000 * SECOND_NS) == POLICY_LEAVE_OUT);
    CHECK(policy.gap.lines == 1 && policy.gap.bytes == 3);
    CHECK(policy_judge(&policy, 1, true, SECOND_NS + 9000 * SECOND_NS) == POLICY_KEEP_AFTER_GAP);
}

static void test_sample(void)
{
    struct policy policy;
    int kept = 0;

    start(&policy, "sample,lines=10/10,every=5");
    for (int i = 0; i < 110; i++) {
        kept += policy_judge(&policy, 5, true, SECOND_NS) != POLICY_LEAVE_OUT ? 1 : 0;
    }
    CHECK(kept == 10 + 20 && policy.gap.lines == 80);
}

static void test_block(void)
{
    struct policy policy;

    start(&policy, "block,bytes=1000/1000");
    CHECK(policy_judge(&policy, 999, true, SECOND_NS) == POLICY_KEEP);
    CHECK(policy_wait_ns(&policy, SECOND_NS) == 0);
    CHECK(policy_judge(&policy, 1999, true, SECOND_NS) == POLICY_KEEP);
    CHECK(policy_wait_ns(&policy, SECOND_NS) == 2 * SECOND_NS);
    CHECK(policy_wait_ns(&policy, 3 * SECOND_NS) == 0);
}

static void test_queue(void)
{
    struct packet_queue queue = {.first = NULL, .last = NULL, .bytes = 0};
    static char data[8192];
    size_t length;

    CHECK(queue_peek(&queue, &length) == NULL);
    for (int i = 0; i < 100; i++) {
        memset(data, i, sizeof(data));
        CHECK(queue_put(&queue, 2, data, (size_t)(i + 1) * 80));
    }
    for (int i = 0; i < 100; i++) {
        const char *packet = queue_peek(&queue, &length);

        CHECK(packet != NULL && length == (size_t)(i + 1) * 80 + 1 && packet[0] == 2 && packet[length - 1] == i);
        queue_drop(&queue);
    }
    CHECK(queue.bytes == 0 && queue.first == NULL && queue.last == NULL);
    CHECK(queue_put(&queue, 3, data, 1));
    queue_free(&queue);
    CHECK(queue_peek(&queue, &length) == NULL);
}

int main(void)
{
    test_records();
    test_quick_lines();
    test_long_lines();
    test_policy_text();
    test_drop();
    test_drop_whole_lines();
    test_sample();
    test_block();
    test_queue();
    return 0;
}
