"""Options of the process that are no configuration keys: which files to read, where to log, what to profile.

Source: crio-interfaces §1.3. ``--strict-config`` is ours.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from crio.core.settings.rules import PORT
from crio.core.settings.schema import Flag, setting


class LogFormat(enum.StrEnum):
    """The form of a log line."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """What only the command line and the environment can say."""

    config: str = setting(
        "/etc/crio/crio.conf",
        "Configuration file; empty reads none.",
        Flag("config", "CONTAINER_CONFIG", short="c"),
    )
    config_dir: str = setting(
        "/etc/crio/crio.conf.d",
        "Directory of configuration files that are read after it; empty reads none.",
        Flag("config-dir", "CONTAINER_CONFIG_DIR", short="d"),
    )
    strict_config: bool = setting(False, "Treat unknown configuration keys as errors.", Flag("strict-config", "CRIO_STRICT_CONFIG"))
    log: str = setting("", "Log file; empty logs to standard error.", Flag("log", "CONTAINER_LOG"))
    log_format: LogFormat = setting(LogFormat.TEXT, "Form of the log lines.", Flag("log-format", "CONTAINER_LOG_FORMAT"))
    profile: bool = setting(False, "Serve profiles over HTTP on the loopback address.", Flag("profile", "CONTAINER_PROFILE"))
    profile_port: int = setting(6060, "Port of the profile server.", Flag("profile-port", "CONTAINER_PROFILE_PORT"), rule=PORT)
    profile_cpu: str = setting("", "File for a CPU profile of the whole run.", Flag("profile-cpu", "CONTAINER_PROFILE_CPU"))
    profile_mem: str = setting("", "File for a memory profile written at the end.", Flag("profile-mem", "CONTAINER_PROFILE_MEM"))
    enable_profile_unix_socket: bool = setting(
        False,
        "Serve profiles on the daemon's socket as well.",
        Flag("enable-profile-unix-socket", "ENABLE_PROFILE_UNIX_SOCKET"),
    )
    registries_conf: str = setting(
        "",
        "Registry configuration file instead of the usual ones.",
        Flag("registries-conf", "CONTAINER_REGISTRIES_CONF", hidden=True),
    )
    registries_conf_dir: str = setting(
        "",
        "Registry configuration directory instead of the usual one.",
        Flag("registries-conf-dir", "CONTAINER_REGISTRIES_CONF_DIR", hidden=True),
    )
    address: str = setting("", "Address that a shim passes to publish.", Flag("address", hidden=True))
