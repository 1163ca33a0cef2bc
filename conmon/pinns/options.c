/* The command line of pinns. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pinns.h"

enum { OPT_UID_MAPPING = 256, OPT_GID_MAPPING, OPT_HOSTNAME, OPT_LOOPBACK, OPT_VERSION };

enum { HOST_NAME_BYTES = 64 };

static const struct option long_options[] = {
    {"dir", required_argument, NULL, 'd'},
    {"filename", required_argument, NULL, 'f'},
    {"uts", optional_argument, NULL, 'u'},
    {"ipc", optional_argument, NULL, 'i'},
    {"net", optional_argument, NULL, 'n'},
    {"user", optional_argument, NULL, 'U'},
    {"cgroup", optional_argument, NULL, 'c'},
    {"mnt", optional_argument, NULL, 'm'},
    {"uid-mapping", required_argument, NULL, OPT_UID_MAPPING},
    {"gid-mapping", required_argument, NULL, OPT_GID_MAPPING},
    {"sysctl", required_argument, NULL, 's'},
    {"hostname", required_argument, NULL, OPT_HOSTNAME},
    {"loopback", no_argument, NULL, OPT_LOOPBACK},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

void options_usage(int fd)
{
    dprintf(fd, "Usage: pinns -d DIR -f NAME [namespaces] [options]\n"
                "Pins namespaces to DIR/<type>ns/NAME.\n\n"
                "  -d, --dir DIR           directory of the pin directories\n"
                "  -f, --filename NAME     name of each pin\n"
                "  -u, --uts[=host]        pin a new UTS namespace (=host: the present one)\n"
                "  -i, --ipc[=host]        pin a new IPC namespace\n"
                "  -n, --net[=host]        pin a new network namespace\n"
                "  -U, --user[=host]       pin a new user namespace, owner of the other new ones\n"
                "  -c, --cgroup[=host]     pin a new cgroup namespace\n"
                "  -m, --mnt[=host]        pin a new mount namespace\n"
                "      --uid-mapping=MAP   container-host-size, joined by '@'\n"
                "      --gid-mapping=MAP   container-host-size, joined by '@'\n"
                "  -s, --sysctl KEY=VALUE  set a sysctl in a new namespace; one per option, never split\n"
                "      --hostname NAME     host name of the new UTS namespace\n"
                "      --loopback          bring lo up in the new network namespace\n"
                "  -h, --help              show this text\n"
                "      --version           show the version\n");
}

static int parse_mode(enum ns_kind kind, const char *value, struct pinns_options *out)
{
    if (value && value[0] == '=') /* the short form, -u=host */
        value++;
    if (value && strcmp(value, "host") != 0)
        return complain("%s namespace: the value '%s' is unknown, only 'host' may be given", ns_table[kind].name, value);
    out->mode[kind] = value ? NS_HOST : NS_NEW;
    return 0;
}

static int parse_map(const char *option, const char *text, char *out)
{
    const char *problem = mapping_parse(text, out, MAP_TEXT_BYTES);

    return problem ? complain("--%s '%s' %s", option, text, problem) : 0;
}

static int parse_one(int option, const char *value, char **sysctls, struct pinns_options *out)
{
    switch (option) {
    case 'd':
        out->directory = value;
        return 0;
    case 'f':
        out->filename = value;
        return 0;
    case 'u':
        return parse_mode(NS_UTS, value, out);
    case 'i':
        return parse_mode(NS_IPC, value, out);
    case 'n':
        return parse_mode(NS_NET, value, out);
    case 'U':
        return parse_mode(NS_USER, value, out);
    case 'c':
        return parse_mode(NS_CGROUP, value, out);
    case 'm':
        return parse_mode(NS_MNT, value, out);
    case OPT_UID_MAPPING:
        return parse_map("uid-mapping", value, out->uid_map);
    case OPT_GID_MAPPING:
        return parse_map("gid-mapping", value, out->gid_map);
    case 's':
        sysctls[out->sysctl_count++] = (char *)value;
        return 0;
    case OPT_HOSTNAME:
        out->hostname = value;
        return 0;
    case OPT_LOOPBACK:
        out->loopback = true;
        return 0;
    case 'h':
        out->show_help = true;
        return 0;
    case OPT_VERSION:
        out->show_version = true;
        return 0;
    default:
        options_usage(STDERR_FILENO);
        return -1;
    }
}

/* A sysctl may only be written into a namespace that this run creates. */
static int check_sysctl(const char *text, const struct pinns_options *options)
{
    static const enum ns_kind owner[] = {
        [SYSCTL_NET] = NS_NET, [SYSCTL_IPC] = NS_IPC, [SYSCTL_UTS] = NS_UTS, [SYSCTL_USER] = NS_USER};
    char path[SYSCTL_PATH_BYTES];
    const char *value;
    enum sysctl_scope scope;
    const char *problem = sysctl_parse(text, path, &value, &scope);

    if (problem)
        return complain("sysctl '%s' %s", text, problem);
    if (options->mode[owner[scope]] != NS_NEW)
        return complain("sysctl '%s' needs a new %s namespace: it would change the host", text, ns_table[owner[scope]].name);
    return 0;
}

static int check_user(const struct pinns_options *options)
{
    bool is_new = options->mode[NS_USER] == NS_NEW;

    if (is_new && (!options->uid_map[0] || !options->gid_map[0]))
        return complain("user namespace: --uid-mapping and --gid-mapping are required");
    if (!is_new && (options->uid_map[0] || options->gid_map[0]))
        return complain("user namespace: a mapping is given, but no new namespace is asked for with --user");
    return 0;
}

static int check_all(const struct pinns_options *options)
{
    bool any = false;

    if (!options->directory || options->directory[0] != '/')
        return complain("--dir must be an absolute path");
    if (!options->filename || !pin_name_valid(options->filename))
        return complain("--filename must be a file name without '/'");
    for (int kind = 0; kind < NS_COUNT; kind++)
        any = any || options->mode[kind] != NS_NOT_PINNED;
    if (!any)
        return complain("no namespace is asked for");
    if (options->hostname && options->mode[NS_UTS] != NS_NEW)
        return complain("--hostname needs a new uts namespace: it would change the host");
    if (options->hostname && (!options->hostname[0] || strlen(options->hostname) > HOST_NAME_BYTES))
        return complain("--hostname must have 1 to %d bytes", HOST_NAME_BYTES);
    if (options->loopback && options->mode[NS_NET] != NS_NEW)
        return complain("--loopback needs a new net namespace: it would change the host");
    for (size_t i = 0; i < options->sysctl_count; i++) {
        if (check_sysctl(options->sysctls[i], options) < 0)
            return -1;
    }
    return check_user(options);
}

int options_parse(int argc, char **argv, char **sysctls, struct pinns_options *out)
{
    int option;

    while ((option = getopt_long(argc, argv, "d:f:u::i::n::U::c::m::s:h", long_options, NULL)) != -1) {
        if (parse_one(option, optarg, sysctls, out) < 0)
            return -1;
    }
    out->sysctls = sysctls;
    if (optind < argc)
        return complain("the argument '%s' is unexpected", argv[optind]);
    return out->show_help || out->show_version ? 0 : check_all(out);
}
