/* libFuzzer: framing and policy. Whatever is logged must be the input, cut into records, byte for byte. */
#include "conmon/framing.h"
#include "conmon/policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_policy(struct policy *policy, const struct piece *piece, int64_t now_ns)
{
    if (policy_judge(policy, piece->length, piece->whole, now_ns) == POLICY_KEEP_AFTER_GAP) {
        char marker[192];
        struct text text = text_over(marker, sizeof(marker));

        policy_marker(policy, now_ns, &text);
        if (text.cut) {
            abort();
        }
        policy_gap_done(policy);
    }
    if (policy_wait_ns(policy, now_ns) < 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *input = malloc(size + FRAMING_SLACK);
    char *out = malloc(RECORD_PREFIX + PIECE_BYTES + 2 * FRAMING_SLACK);
    struct policy policy = {.updated_ns = 0};
    struct policy_rule rule;
    struct record_prefix prefix;
    const char *at = input;
    const char *expected = input;
    struct piece piece;
    int64_t now_ns = 1;

    memcpy(input, data, size);
    record_prefix_set(&prefix, "2026-01-02T03:04:05.000000006+00:00", true);
    (void)policy_parse(size % 2 == 0 ? "drop,lines=10,bytes=100/300" : "block,bytes=1000", &rule);
    policy_start(&policy, &rule, now_ns);
    while (piece_next(&at, input + size, size % 3 != 0, &piece)) {
        size_t bytes = record_put(out, &prefix, &piece);

        if (piece.at != expected || out[bytes - 1] != '\n' || memcmp(out + RECORD_PREFIX, piece.at, piece.length) != 0 ||
            memchr(piece.at, '\n', piece.length) != NULL || piece.length > PIECE_BYTES) {
            abort();
        }
        expected += piece.length + (piece.whole ? 1 : 0);
        now_ns += (int64_t)piece.length * 1000000;
        check_policy(&policy, &piece, now_ns);
    }
    if (at != expected) {
        abort();
    }
    free(input);
    free(out);
    return 0;
}
