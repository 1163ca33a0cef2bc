/* Unit tests of options.h, logspec.h and runtime_argv.h. */
#include "conmon/options.h"

#include "conmon/logspec.h"
#include "conmon/runtime_argv.h"
#include "lib/check.h"

#define MAX_WORDS 40

struct outcome {
    enum options_result parsed, checked;
    struct options options;
    const char *pool[OPTIONS_LISTS * MAX_WORDS];
    char error[512];
};

/* Parse and check a line of words separated by single blanks; "''" stands for an empty word. */
static void run(const char *line, bool attach_pipe, struct outcome *outcome)
{
    static char words[2048];
    char *argv[MAX_WORDS] = {(char *)(uintptr_t)"conmon"};
    struct text error = text_over(outcome->error, sizeof(outcome->error));
    int argc = 1;

    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        if (strcmp(word, "''") == 0) {
            *word = '\0';
        }
        argv[argc++] = word;
    }
    outcome->checked = OPTIONS_BAD;
    outcome->parsed = options_parse(argc, argv, outcome->pool, &outcome->options, &error);
    if (outcome->parsed == OPTIONS_OK) {
        outcome->checked = options_check(&outcome->options, attach_pipe, &error);
    }
}

static void test_grammar(void)
{
    static const struct {
        const char *name, *line;
        enum options_result result;
    } cases[] = {
        {"separate value", "--name v", OPTIONS_OK},
        {"value after equals", "--name=v", OPTIONS_OK},
        {"value with a dash", "--name --cid", OPTIONS_OK},
        {"bundled flags", "-ti", OPTIONS_OK},
        {"stray word", "--api-version 1 -c x", OPTIONS_OK},
        {"flag with a value", "--sync=false", OPTIONS_OK},
        {"ignored seccomp option", "--seccomp-notify-socket x", OPTIONS_OK},
        {"end of options", "-- --unknown", OPTIONS_OK},
        {"hexadecimal integer", "-T 0x10", OPTIONS_OK},
        {"abbreviated name", "--ver", OPTIONS_BAD},
        {"unknown option", "--unknown", OPTIONS_BAD},
        {"attached short value", "-cX", OPTIONS_BAD},
        {"value letter inside a bundle", "-ct", OPTIONS_BAD},
        {"missing value", "--cid", OPTIONS_BAD},
        {"missing short value", "-c", OPTIONS_BAD},
        {"letters as an integer", "-T abc", OPTIONS_BAD},
        {"integer overflow", "-T 99999999999", OPTIONS_BAD},
        {"size with a suffix", "--log-size-max 1k", OPTIONS_BAD},
    };
    static struct outcome outcome;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run(cases[i].line, false, &outcome);
        CHECK_CASE(cases[i].name, outcome.parsed == cases[i].result);
        CHECK_CASE(cases[i].name, (outcome.error[0] != '\0') == (cases[i].result == OPTIONS_BAD) || outcome.checked == OPTIONS_BAD);
    }
}

static void test_values(void)
{
    static struct outcome outcome;

    run("-n first -n last --exit-command-arg a --exit-command-arg '' --exit-command-arg -x -T 010 -t --pidfile p", false,
        &outcome);
    CHECK_TEXT("the last one wins", outcome.options.name, "last");
    CHECK(outcome.options.exit_command_args.count == 3);
    CHECK_TEXT("an empty argument", outcome.options.exit_command_args.at[1], "");
    CHECK_TEXT("a dash argument", outcome.options.exit_command_args.at[2], "-x");
    CHECK(outcome.options.timeout_s == 8 && outcome.options.terminal && !outcome.options.standard_input);
    CHECK_TEXT("the old name of an option", outcome.options.container_pid_file, "p");
}

static void test_check(void)
{
    static const struct {
        const char *name, *line;
        bool attach_pipe;
        enum options_result result;
    } cases[] = {
        {"a plain container", "-c i -u u -r /r -l /x", false, OPTIONS_OK},
        {"no container id", "-u u -r /r -l /x", false, OPTIONS_BAD},
        {"no uuid", "-c i -r /r -l /x", false, OPTIONS_BAD},
        {"legacy exec without uuid", "-c i -r /r -l /x -e --exec-process-spec p", false, OPTIONS_OK},
        {"new exec without uuid", "-c i -r /r -l /x -e --exec-process-spec p --api-version", false, OPTIONS_BAD},
        {"no runtime", "-c i -u u -l /x", false, OPTIONS_BAD},
        {"no log", "-c i -u u -r /r", false, OPTIONS_BAD},
        {"exec without spec", "-c i -u u -r /r -l /x -e", false, OPTIONS_BAD},
        {"exec and restore", "-c i -u u -r /r -l /x -e --exec-process-spec p --restore d", false, OPTIONS_BAD},
        {"exec-attach without exec", "-c i -u u -r /r -l /x --exec-attach --api-version", true, OPTIONS_BAD},
        {"exec-attach without api", "-c i -u u -r /r -l /x -e --exec-attach --exec-process-spec p", true, OPTIONS_BAD},
        {"exec-attach without pipe", "-c i -u u -r /r -l /x -e --exec-attach --exec-process-spec p --api-version", false,
         OPTIONS_BAD},
        {"exec-attach", "-c i -u u -r /r -l /x -e --exec-attach --exec-process-spec p --api-version", true, OPTIONS_OK},
        {"negative delay", "-c i -u u -r /r -l /x --exit-delay -1", false, OPTIONS_BAD},
        {"bad level", "-c i -u u -r /r -l /x --log-level loud", false, OPTIONS_BAD},
        {"level in capitals", "-c i -u u -r /r -l /x --log-level DEBUG", false, OPTIONS_OK},
        {"negative number of files", "-c i -u u -r /r -l /x --log-max-files -1", false, OPTIONS_BAD},
        {"rotation without files", "-c i -u u -r /r -l /x --log-max-files 0 --log-rotate", false, OPTIONS_BAD},
        {"no files, no rotation", "-c i -u u -r /r -l /x --log-max-files 0", false, OPTIONS_OK},
    };
    static struct outcome outcome;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run(cases[i].line, cases[i].attach_pipe, &outcome);
        CHECK_CASE(cases[i].name, outcome.parsed == OPTIONS_OK && outcome.checked == cases[i].result);
    }
}

static void test_help(void)
{
    static char data[OPTIONS_HELP_BYTES];
    struct text help = text_over(data, sizeof(data));

    options_help(&help);
    CHECK(!help.cut && strstr(data, "--log-global-size-max") != NULL && strstr(data, "--sync") != NULL);
}

static void test_logspec(void)
{
    static const struct {
        const char *value;
        enum logspec_result result;
        enum log_driver driver;
        const char *path;
    } cases[] = {
        {"/a/b:c.log", LOGSPEC_OK, LOG_DRIVER_FILE, "/a/b:c.log"},
        {"relative.log", LOGSPEC_OK, LOG_DRIVER_FILE, "relative.log"},
        {"k8s-file:/a", LOGSPEC_OK, LOG_DRIVER_FILE, "/a"},
        {"k8s-file:/a/b:c.log", LOGSPEC_OK, LOG_DRIVER_FILE, "/a/b:c.log"},
        {"json-file:/a", LOGSPEC_OK, LOG_DRIVER_FILE, "/a"},
        {":/a", LOGSPEC_OK, LOG_DRIVER_FILE, "/a"},
        {":journald", LOGSPEC_OK, LOG_DRIVER_FILE, "journald"},
        {"journald", LOGSPEC_OK, LOG_DRIVER_JOURNALD, NULL},
        {"journald:", LOGSPEC_OK, LOG_DRIVER_JOURNALD, NULL},
        {"journald:x", LOGSPEC_OK, LOG_DRIVER_JOURNALD, NULL},
        {"none", LOGSPEC_OK, LOG_DRIVER_NONE, NULL},
        {"off:x", LOGSPEC_OK, LOG_DRIVER_NONE, NULL},
        {"null", LOGSPEC_OK, LOG_DRIVER_NONE, NULL},
        {"passthrough:", LOGSPEC_OK, LOG_DRIVER_PASSTHROUGH, NULL},
        {"k8s-file", LOGSPEC_NO_PATH, LOG_DRIVER_NONE, NULL},
        {"k8s-file:", LOGSPEC_NO_PATH, LOG_DRIVER_NONE, NULL},
        {"", LOGSPEC_EMPTY, LOG_DRIVER_NONE, NULL},
        {":", LOGSPEC_EMPTY, LOG_DRIVER_NONE, NULL},
        {"syslog:x", LOGSPEC_UNKNOWN, LOG_DRIVER_NONE, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum log_driver driver = LOG_DRIVER_NONE;
        const char *path = NULL;

        CHECK_CASE(cases[i].value, logspec_parse(cases[i].value, &driver, &path) == cases[i].result);
        CHECK_CASE(cases[i].value, driver == cases[i].driver);
        CHECK_CASE(cases[i].value, (path == NULL) == (cases[i].path == NULL));
        if (path != NULL) {
            CHECK_TEXT(cases[i].value, path, cases[i].path);
        }
    }
}

static void test_argv(void)
{
    static const struct {
        const char *line, *console, *expected;
    } cases[] = {
        {"-c i -u u -r /r -l x -s --runtime-arg --root=x --runtime-opt a --no-pivot --no-new-keyring", NULL,
         "/r --systemd-cgroup --root=x create --bundle B --pid-file P --no-pivot --no-new-keyring a i"},
        {"-c i -u u -r /r -l x -t", "S", "/r create --bundle B --pid-file P --console-socket S i"},
        {"-c i -u u -r /r -l x --restore D --restore-arg a --runtime-opt b", NULL,
         "/r restore --bundle B --pid-file P --detach --image-path D --work-path B a b i"},
        {"-c i -u u -r /r -l x -s -e -t --exec-process-spec X --runtime-arg g --runtime-opt o", "S",
         "/r g exec --pid-file P --process X --detach o --console-socket S i"},
    };
    static struct outcome outcome;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct runtime_paths paths = {.bundle = "B", .container_pid_file = "P", .console_socket = cases[i].console};
        const char *argv[64];
        char joined[512] = "";
        size_t count;

        run(cases[i].line, false, &outcome);
        CHECK(runtime_argv_slots(&outcome.options) <= 64);
        count = runtime_argv(&outcome.options, &paths, argv);
        CHECK(count < runtime_argv_slots(&outcome.options) && argv[count] == NULL);
        for (size_t word = 0; word < count; word++) {
            strcat(joined, word > 0 ? " " : "");
            strcat(joined, argv[word]);
        }
        CHECK_TEXT(cases[i].line, joined, cases[i].expected);
    }
}

int main(void)
{
    test_grammar();
    test_values();
    test_check();
    test_help();
    test_logspec();
    test_argv();
    return 0;
}
