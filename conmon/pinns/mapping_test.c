/* Tables for the pure parsers of pinns. */
#include "mapping.h"

#include <stdio.h>
#include <string.h>

struct map_case {
    const char *sentence, *input, *text; /* text NULL: refused */
};

static const struct map_case maps[] = {
    {"one range", "0-100000-65536", "0 100000 65536\n"},
    {"a trailing separator is allowed", "0-1-2@", "0 1 2\n"},
    {"two ranges", "0-1-2@5-6-7", "0 1 2\n5 6 7\n"},
    {"the largest range", "0-0-4294967295", "0 0 4294967295\n"},
    {"empty text", "", NULL},
    {"an empty range", "0-0-0", NULL},
    {"beyond 32 bits", "1-0-4294967295", NULL},
    {"a number beyond 32 bits", "4294967296-0-1", NULL},
    {"a missing number", "0-1", NULL},
    {"a sign", "0--1-5", NULL},
    {"a colon form", "0:1:2", NULL},
    {"trailing text", "0-1-2x", NULL},
    {"two separators", "0-1-2@@", NULL},
    {"white space", " 0-1-2", NULL},
};

struct sysctl_case {
    const char *sentence, *input, *path, *value;
    enum sysctl_scope scope;
};

static const struct sysctl_case sysctls[] = {
    {"a net key", "net.ipv4.ip_forward=1", "net/ipv4/ip_forward", "1", SYSCTL_NET},
    {"slash form", "net/ipv4/conf/eth0.100/forwarding=1", "net/ipv4/conf/eth0.100/forwarding", "1", SYSCTL_NET},
    {"a dot in a name is a slash in dot form", "net.ipv4.conf.eth0/100.forwarding=1", "net/ipv4/conf/eth0.100/forwarding", "1",
     SYSCTL_NET},
    {"plus is an ordinary character", "kernel.domainname=a+kernel.core_pattern=x", "kernel/domainname", "a+kernel.core_pattern=x",
     SYSCTL_UTS},
    {"an ipc key", "kernel.sem=1 2 3 4", "kernel/sem", "1 2 3 4", SYSCTL_IPC},
    {"message queues", "fs.mqueue.msg_max=10", "fs/mqueue/msg_max", "10", SYSCTL_IPC},
    {"an empty value", "net.x=", "net/x", "", SYSCTL_NET},
    {"the host's", "kernel.core_pattern=|/x", NULL, NULL, SYSCTL_NONE},
    {"a look-alike prefix", "kernel.shmmaxx=1", NULL, NULL, SYSCTL_NONE},
    {"net alone", "net=1", NULL, NULL, SYSCTL_NONE},
    {"parent in dot form", "net..ipv4=1", NULL, NULL, SYSCTL_NONE},
    {"parent in slash form", "net/../kernel/core_pattern=1", NULL, NULL, SYSCTL_NONE},
    {"parent hidden by swapping", "net.//.kernel=1", NULL, NULL, SYSCTL_NONE},
    {"absolute", "/net/ipv4/ip_forward=1", NULL, NULL, SYSCTL_NONE},
    {"a leading dot", ".net.ipv4=1", NULL, NULL, SYSCTL_NONE},
    {"a trailing dot", "net.ipv4.=1", NULL, NULL, SYSCTL_NONE},
    {"no value", "net.ipv4", NULL, NULL, SYSCTL_NONE},
    {"no key", "=1", NULL, NULL, SYSCTL_NONE},
    {"a newline in the value", "net.ipv4.x=1\n2", NULL, NULL, SYSCTL_NONE},
    {"a space in the key", "net.ipv4 x=1", NULL, NULL, SYSCTL_NONE},
};

static int test_maps(void)
{
    char out[MAP_TEXT_BYTES];
    int failures = 0;

    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        const char *problem = mapping_parse(maps[i].input, out, sizeof out);

        if ((problem == NULL) != (maps[i].text != NULL) || (!problem && strcmp(out, maps[i].text) != 0)) {
            printf("mapping: %s: %s\n", maps[i].sentence, problem ? problem : out);
            failures++;
        }
    }
    return failures;
}

static int test_sysctls(void)
{
    char path[SYSCTL_PATH_BYTES];
    const char *value = NULL;
    enum sysctl_scope scope = SYSCTL_NONE;
    int failures = 0;

    for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++) {
        const struct sysctl_case *test = &sysctls[i];
        const char *problem = sysctl_parse(test->input, path, &value, &scope);

        if ((problem == NULL) != (test->path != NULL) ||
            (!problem && (strcmp(path, test->path) != 0 || strcmp(value, test->value) != 0 || scope != test->scope))) {
            printf("sysctl: %s: %s\n", test->sentence, problem ? problem : path);
            failures++;
        }
    }
    return failures;
}

static int test_names(void)
{
    char too_long[300];
    int failures = 0;

    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    failures += pin_name_valid("a-b.c") != true;
    failures += pin_name_valid("..") || pin_name_valid(".") || pin_name_valid("") || pin_name_valid("a/b");
    failures += pin_name_valid(too_long);
    return failures;
}

int main(void)
{
    int failures = test_maps() + test_sysctls() + test_names();

    printf("pinns mapping: %d failures\n", failures);
    return failures ? 1 : 0;
}
