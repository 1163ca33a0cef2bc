/* Unit tests of the text formats: json.h, ctl.h, cgroup_text.h, notify_filter.h, timestamp.h, journal_text.h. */
#include "conmon/cgroup_text.h"
#include "conmon/ctl.h"
#include "conmon/journal_text.h"
#include "conmon/json.h"
#include "conmon/notify_filter.h"
#include "conmon/timestamp.h"
#include "lib/check.h"

static void test_json(void)
{
    static const struct {
        const char *name, *in, *out;
    } cases[] = {
        {"plain", "a/b", "a/b"},
        {"quotes and backslash", "\"\\", "\\\"\\\\"},
        {"named controls", "\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
        {"other controls", "\x01\x7f", "\\u0001\\u007f"},
        {"good UTF-8", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"lone tail byte", "\x80", "\xef\xbf\xbd"},
        {"overlong slash", "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"surrogate", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"cut character", "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"beyond Unicode", "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    char data[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text out = text_over(data, sizeof(data));

        json_escape(&out, cases[i].in, strlen(cases[i].in));
        CHECK_TEXT(cases[i].name, data, cases[i].out);
    }
}

static void test_report(void)
{
    char data[64];
    struct text out = text_over(data, sizeof(data));

    json_report(&out, "pid", 42, NULL, 0);
    CHECK_TEXT("without a message", data, "{\"pid\": 42}\n");
    text_clear(&out);
    json_report(&out, "data", -1, "a\nb", 3);
    CHECK_TEXT("with a message", data, "{\"data\": -1, \"message\": \"a\\nb\"}\n");
    text_clear(&out);
    json_report(&out, "data", -1, "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 30);
    CHECK_TEXT("a message that does not fit stays valid", data + out.length - 5, "\\n\"}\n");
}

static void test_lines(void)
{
    static const struct {
        const char *name, *pieces[4], *lines;
    } cases[] = {
        {"one", {"1 2 3\n"}, "[1 2 3]"},
        {"merged", {"a\nb\n"}, "[a][b]"},
        {"split", {"1 2", " 3\n4"}, "[1 2 3]"},
        {"empty line", {"\na\n"}, "[][a]"},
        {"bad in two pieces, then good", {"bad", "\n", "good\n"}, "[bad][good]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct line_buffer buffer;
        char got[256] = "";

        memset(&buffer, 0, sizeof(buffer));
        for (size_t piece = 0; piece < 4 && cases[i].pieces[piece] != NULL; piece++) {
            const char *at = cases[i].pieces[piece];
            const char *end = at + strlen(at);
            const char *line;

            while ((line = line_next(&buffer, &at, end)) != NULL) {
                strcat(strcat(strcat(got, "["), line), "]");
            }
        }
        CHECK_TEXT(cases[i].name, got, cases[i].lines);
    }
}

static void test_long_line(void)
{
    static struct line_buffer buffer;
    char data[320];
    const char *at = data;
    const char *line;

    memset(data, 'x', sizeof(data));
    memcpy(data + 300, "\n1 5 6\n", 7);
    line = line_next(&buffer, &at, data + 307);
    CHECK(line != NULL);
    CHECK_TEXT("the line after one of 300 bytes", line, "1 5 6");
}

static void test_ctl(void)
{
    static const struct {
        const char *line;
        enum ctl_kind kind;
        int rows, columns;
    } cases[] = {
        {"1 24 80", CTL_RESIZE, 24, 80},     {"  1   24  80  ", CTL_RESIZE, 24, 80}, {"1 24 80\r", CTL_RESIZE, 24, 80},
        {"1 024 080 more", CTL_RESIZE, 24, 80}, {"1 65535 0", CTL_RESIZE, 65535, 0},    {"1 65536 1", CTL_BAD, 0, 0},
        {"1 -1 5", CTL_BAD, 0, 0},           {"1 5", CTL_BAD, 0, 0},                 {"2 0 0", CTL_REOPEN, 0, 0},
        {"9 1 1", CTL_BAD, 1, 1},            {"garbage", CTL_BAD, 0, 0},             {"", CTL_BAD, 0, 0},
        {"1 0x20 5", CTL_BAD, 0, 0},         {"4 0 0", CTL_COUNTERS, 0, 0},          {"3 0 drop,lines=5", CTL_POLICY, 0, 0},
        {"3 3 drop,lines=5", CTL_BAD, 0, 0}, {"3 1", CTL_BAD, 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctl_message message = ctl_parse(cases[i].line);

        CHECK_CASE(cases[i].line, message.kind == cases[i].kind);
        CHECK_CASE(cases[i].line, message.rows == cases[i].rows && message.columns == cases[i].columns);
    }
}

static void test_cgroup(void)
{
    static const struct {
        const char *name, *text, *controller, *path;
    } cases[] = {
        {"v2", "0::/a/b\n", NULL, "/a/b"},
        {"v2 after v1 lines", "3:cpu,cpuacct:/x\n0::/a\n", NULL, "/a"},
        {"v1 memory", "3:cpu,cpuacct:/x\n2:memory:/m/n\n0::/a\n", "memory", "/m/n"},
        {"v1 in a list", "3:cpu,memory,pids:/x\n", "memory", "/x"},
        {"only a part of a name", "3:memory2:/x\n", "memory", NULL},
        {"none", "3:cpu:/x\n", "memory", NULL},
        {"colon in the path", "2:memory:/a:b\n", "memory", "/a:b"},
        {"empty", "", NULL, NULL},
        {"no newline at the end", "0::/a", NULL, "/a"},
        {"named hierarchy", "1:name=systemd:/s\n", NULL, NULL},
    };
    struct memory_events events = memory_events_parse("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n");

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = NULL;
        size_t length = 0;
        bool found = cgroup_find_path(cases[i].text, cases[i].controller, &path, &length);

        CHECK_CASE(cases[i].name, found == (cases[i].path != NULL));
        if (found) {
            CHECK_CASE(cases[i].name, length == strlen(cases[i].path) && memcmp(path, cases[i].path, length) == 0);
        }
    }
    CHECK(events.oom == 3 && events.oom_kill == 4);
}

static void test_notify(void)
{
    static const struct {
        const char *name, *in, *out;
    } cases[] = {
        {"ready", "READY=1", "READY=1"},
        {"not as a part of a name", "X_READY=1", ""},
        {"main pid is dropped", "MAINPID=1\nREADY=1", "READY=1"},
        {"carriage returns", "READY=1\r\nSTATUS=ok\r\n", "READY=1\nSTATUS=ok"},
        {"all kinds", "STOPPING=1\nWATCHDOG=trigger\nERRNO=2\nBUSERROR=x\nMONOTONIC_USEC=5",
         "STOPPING=1\nWATCHDOG=trigger\nERRNO=2\nBUSERROR=x\nMONOTONIC_USEC=5"},
        {"store is dropped", "FDSTORE=1\nEXTEND_TIMEOUT_USEC=1", ""},
        {"another value", "READY=2", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[256];
        size_t length = notify_filter(cases[i].in, strlen(cases[i].in), out);

        out[length] = '\0';
        CHECK_TEXT(cases[i].name, out, cases[i].out);
    }
}

static void test_timestamp(void)
{
    static const struct {
        int64_t second;
        int32_t offset_s;
        const char *text;
    } cases[] = {
        {0, 0, "1970-01-01T00:00:00.000000005+00:00"},
        {951782400, 0, "2000-02-29T00:00:00.000000005+00:00"},
        {1709251199, 0, "2024-02-29T23:59:59.000000005+00:00"},
        {1709251200, 19800, "2024-03-01T05:30:00.000000005+05:30"},
        {1709251200, -12600, "2024-02-29T20:30:00.000000005-03:30"},
        {4102444799, 0, "2099-12-31T23:59:59.000000005+00:00"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct timestamp stamp = {.text = ""};
        struct timespec now = {.tv_sec = cases[i].second, .tv_nsec = 5};

        timestamp_set_at(&stamp, &now, cases[i].offset_s);
        CHECK_TEXT(cases[i].text, stamp.text, cases[i].text);
        CHECK(strlen(stamp.text) == TIMESTAMP_BYTES);
    }
}

static void test_journal(void)
{
    const char *labels[] = {"A_1=x", "B=two\nlines"};
    struct options options = {.container_id = "0123456789abcdef", .name = "nm", .log_labels = {labels, 2}};
    char data[512], head[16], error_data[128];
    struct text text = text_over(data, sizeof(data));
    struct text error = text_over(error_data, sizeof(error_data));
    struct journal_entry entry = {.message = "hi", .length = 2, .newline = true, .is_stderr = true, .partial = false};
    struct journal_constant constant = {.id_full = "I\n", .id_full_length = 2};
    struct iovec vector[JOURNAL_PIECES];
    size_t count, sum = 0;

    CHECK(journal_check(&options, &error));
    journal_fields(&options, &text);
    CHECK_TEXT("fields", data, "CONTAINER_ID=0123456789ab\nCONTAINER_NAME=nm\nSYSLOG_IDENTIFIER=nm\n");
    options.log_tag = "tag";
    text_clear(&text);
    journal_fields(&options, &text);
    CHECK_TEXT("fields with a tag", data,
               "CONTAINER_ID=0123456789ab\nCONTAINER_TAG=tag\nCONTAINER_NAME=nm\nSYSLOG_IDENTIFIER=tag\n");
    text_clear(&text);
    journal_labels(&options, &text);
    CHECK(text.length == 6 + 2 + 8 + 9 + 1 && memcmp(data, "A_1=x\nB\n\x09\0\0\0\0\0\0\0two\nlines\n", text.length) == 0);
    count = journal_compose(&entry, &constant, head, vector);
    for (size_t i = 0; i < count; i++) {
        if (vector[i].iov_len > 0) {
            memcpy(data + sum, vector[i].iov_base, vector[i].iov_len);
        }
        sum += vector[i].iov_len;
    }
    CHECK(sum == 33 && memcmp(data, "MESSAGE\n\x03\0\0\0\0\0\0\0hi\n\nI\nPRIORITY=3\n", sum) == 0);
    labels[0] = "lower=x";
    CHECK(!journal_check(&options, &error));
    labels[0] = "A=b=c";
    CHECK(!journal_check(&options, &error));
    options.container_id = "012345678901";
    CHECK(!journal_check(&options, &error));
}

int main(void)
{
    test_json();
    test_report();
    test_lines();
    test_long_line();
    test_ctl();
    test_cgroup();
    test_notify();
    test_timestamp();
    test_journal();
    return 0;
}
