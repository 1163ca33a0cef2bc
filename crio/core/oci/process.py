"""The ``process`` object: what runs, with which environment, as whom and within which limits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from crio.core.capabilities import CapabilitySet, privileged_set, resolve_capabilities
from crio.core.config import Capabilities, ContainerConfig
from crio.core.errors import InvalidArgument
from crio.core.facts import UNLIMITED, HostFacts
from crio.core.oci.annotations import lookup
from crio.core.oci.document import Document, without_empty
from crio.core.oci.inputs import ContainerSpecRequest, ImageRuntimeConfig, SpecSettings, Ulimit
from crio.core.user import ResolvedUser

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OOM_SCORE_RANGE = 1000
INFRA_OOM_SCORE_ADJ = -998
_RLIMIT_NAMES = "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK"
RLIMITS = frozenset("RLIMIT_" + name for name in _RLIMIT_NAMES.split())
# A working directory behind a descriptor could lead out of the container through one that a runtime forgot to close.
_BEHIND_A_DESCRIPTOR = re.compile(r"/(proc/[^/]+(/task/[^/]+)?|dev)/fd(/.*)?")
_UMASK = re.compile(r"[0-7]{1,4}")


def resolve_args(config: ContainerConfig, image: ImageRuntimeConfig) -> tuple[str, ...]:
    """The command line: the request's command stands for the image's entrypoint and its cmd, its args for the cmd alone.

    :raises InvalidArgument: nothing to run, NUL in a word
    """
    args = config.command + config.args if config.command else image.entrypoint + (config.args or image.cmd)
    if not args or not args[0]:
        raise InvalidArgument("no command specified: neither the request nor the image has one")
    if any("\0" in word for word in args):
        raise InvalidArgument("command or args hold a NUL character: expected words without it")
    return args


def is_systemd(args: tuple[str, ...]) -> bool:
    """Whether a command line starts systemd as the init of a container."""
    return args[0] == "/sbin/init" or args[0].rsplit("/", 1)[-1] == "systemd"


def resolve_env(request: ContainerSpecRequest, args: tuple[str, ...]) -> dict[str, str]:
    """The environment: built-in values, ``default_env``, the image's, the request's; the later one wins.

    :raises InvalidArgument: a name that is empty or holds ``=``, NUL anywhere
    """
    env = {"PATH": DEFAULT_PATH}
    if request.config.tty:
        env["TERM"] = "xterm"
    if request.hostname:
        env["HOSTNAME"] = request.hostname
    for entry in (*request.settings.default_env, *request.image.env):
        name, _, value = entry.partition("=")
        _put(env, name, value)
    for name, value in request.config.envs:
        _put(env, name, value)
    if is_systemd(args):
        env["container"] = "crio"
    return env


def _put(env: dict[str, str], name: str, value: str) -> None:
    if not name or "=" in name or "\0" in name or "\0" in value:
        raise InvalidArgument(f"environment name {name!r} is not usable: expected a name without '=' and no NUL in name or value")
    env[name] = value


def gomaxprocs(request: ContainerSpecRequest, env: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """The GOMAXPROCS to give a burstable or best-effort container without a CPU quota, or an empty text."""
    floor, resources = request.settings.min_injected_gomaxprocs, request.config.resources
    parent = request.sandbox.cgroup_parent.lower()
    if floor <= 0 or "GOMAXPROCS" in env or not ("burstable" in parent or "besteffort" in parent):
        return ""
    if resources.cpu_quota_us > 0 or annotations.get("skip-gomaxprocs.crio.io") == "true":
        return ""
    return str(max(math.ceil(2 * resources.cpu_shares / 1024), 1, floor))


def resolve_cwd(config: ContainerConfig, image: ImageRuntimeConfig) -> str:
    """The working directory, absolute.

    :raises InvalidArgument: it lies behind a file descriptor
    """
    cwd = config.working_dir or image.working_dir or "/"
    cwd = cwd if cwd.startswith("/") else "/" + cwd
    if "\0" in cwd or _BEHIND_A_DESCRIPTOR.fullmatch(re.sub("/+(\\./+)*", "/", cwd)):
        raise InvalidArgument(f"working_dir {cwd!r} is not usable: expected a folder of the container, not a file descriptor")
    return cwd


def build_capabilities(request: ContainerSpecRequest, warnings: list[str]) -> CapabilitySet:
    """The container's capabilities; those that this host cannot give are left out with a warning."""
    bounding, settings = request.host.capabilities, request.settings
    if request.config.security.privileged:
        return privileged_set(bounding, settings.add_inheritable_capabilities)
    changes = request.config.security.capabilities
    found = resolve_capabilities(settings.default_capabilities, changes, bounding, settings.add_inheritable_capabilities)
    if found.dropped:
        warnings.append(f"capabilities {', '.join(found.dropped)} are not given: they are not in this host's bounding set")
    return found


def capabilities_document(found: CapabilitySet) -> Document:
    """The OCI form; sets that are empty are written too, so that a runtime has nothing to guess."""
    return {
        "bounding": found.names,
        "effective": found.names,
        "permitted": found.names,
        "inheritable": found.inheritable,
        "ambient": found.ambient,
    }


def build_rlimits(ulimits: Iterable[Ulimit], host: HostFacts, warnings: list[str]) -> list[Document]:
    """``default_ulimits`` in the OCI form, not above what this process could set itself."""
    limits: list[Document] = []
    for ulimit in ulimits:
        name = "RLIMIT_" + ulimit.name.upper().removeprefix("RLIMIT_")
        if name not in RLIMITS:
            raise InvalidArgument(f"ulimit {ulimit.name!r} is unknown: expected a name of getrlimit(2)")
        soft, hard = (UNLIMITED if value < 0 else value for value in (ulimit.soft, ulimit.hard))
        if soft > hard:
            raise InvalidArgument(f"ulimit {ulimit.name!r}: soft limit {soft} is above the hard limit {hard}")
        most = UNLIMITED if host.may_raise_limits else host.rlimit_hard.get(name, UNLIMITED)
        if hard > most:
            warnings.append(f"{name} is {most} instead of {_limit_text(hard)}: this host may not raise its hard limit")
        limits.append({"type": name, "soft": min(soft, most), "hard": min(hard, most)})
    return limits


def _limit_text(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def oom_score_adj(wanted: int, host: HostFacts, warnings: list[str]) -> int:
    """The score, not below what this process could set itself; raises InvalidArgument outside -1000 to 1000."""
    if not -OOM_SCORE_RANGE <= wanted <= OOM_SCORE_RANGE:
        raise InvalidArgument(f"oom_score_adj {wanted} is out of range: expected -{OOM_SCORE_RANGE} to {OOM_SCORE_RANGE}")
    if wanted >= host.oom_score_adj or host.may_raise_limits:
        return wanted
    warnings.append(f"oom_score_adj is {host.oom_score_adj} instead of {wanted}: this host may not lower its own score")
    return host.oom_score_adj


def build_user(user: ResolvedUser, annotations: Mapping[str, str]) -> Document:
    """The ``user`` object, with the umask of an allowed annotation.

    :raises InvalidArgument: the umask is not octal
    """
    document: Document = {"uid": user.uid, "gid": user.gid, "additionalGids": user.additional_gids}
    umask = lookup(annotations, "umask.crio.io")
    if umask:
        if _UMASK.fullmatch(umask) is None:
            raise InvalidArgument(f"umask {umask!r} is not a mask: expected one to four octal digits")
        document["umask"] = int(umask, 8)
    return document


def build_process(request: ContainerSpecRequest, annotations: Mapping[str, str], warnings: list[str]) -> Document:
    """The object for a container, without the labels and profiles that ``crio.core.oci.security`` adds."""
    config = request.config
    args = resolve_args(config, request.image)
    env = resolve_env(request, args)
    injected = gomaxprocs(request, env, annotations)
    if injected:
        env["GOMAXPROCS"] = injected
    found = build_capabilities(request, warnings)
    if config.security.no_new_privs and (config.security.privileged or "CAP_SYS_ADMIN" in found.names):
        warnings.append("no_new_privs has little meaning: the container is privileged or has CAP_SYS_ADMIN")
    return without_empty(
        {
            "terminal": config.tty,
            "user": build_user(request.user, annotations),
            "args": args,
            "env": [f"{name}={value}" for name, value in env.items()],
            "cwd": resolve_cwd(config, request.image),
            "capabilities": capabilities_document(found),
            "rlimits": build_rlimits(request.settings.default_ulimits, request.host, warnings),
            "noNewPrivileges": config.security.no_new_privs,
            "oomScoreAdj": oom_score_adj(config.resources.oom_score_adj, request.host, warnings),
        }
    )


def infra_process(command: tuple[str, ...], user: ResolvedUser, settings: SpecSettings, host: HostFacts, warnings: list[str]) -> Document:
    """The object for a sandbox's own process: the default capabilities, and the last to be killed for memory."""
    found = resolve_capabilities(settings.default_capabilities, Capabilities(), host.capabilities)
    return without_empty(
        {
            "terminal": False,
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.additional_gids},
            "args": command,
            "env": ["PATH=" + DEFAULT_PATH],
            "cwd": "/",
            "capabilities": capabilities_document(found),
            "rlimits": build_rlimits(settings.default_ulimits, host, warnings),
            "noNewPrivileges": True,
            "oomScoreAdj": oom_score_adj(INFRA_OOM_SCORE_ADJ, host, []),
        }
    )
