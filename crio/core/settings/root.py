"""``[crio]``: where the daemon keeps things. Source: crio-interfaces §2.2."""

from __future__ import annotations

from dataclasses import dataclass

from crio.core.settings.rules import ABSOLUTE_PATH
from crio.core.settings.schema import Flag, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSettings:
    """Storage locations, version markers and the behaviour at start-up."""

    root: str = setting(
        "/var/lib/containers/storage",
        "Directory of the image and container store; when unset, graphroot of storage.conf.",
        Flag("root", "CONTAINER_ROOT", short="r"),
    )
    runroot: str = setting(
        "/run/containers/storage",
        "Directory of the store's state that a reboot may lose; when unset, runroot of storage.conf.",
        Flag("runroot", "CONTAINER_RUNROOT"),
    )
    imagestore: str = setting(
        "", "Separate directory for pulled images; empty keeps them in root.", Flag("imagestore", "CONTAINER_IMAGESTORE")
    )
    storage_driver: str = setting(
        "overlay",
        "Driver of the store; when unset, driver of storage.conf.",
        Flag("storage-driver", "CONTAINER_STORAGE_DRIVER", short="s"),
    )
    storage_option: tuple[str, ...] = setting(
        (),
        "Options of the storage driver, each driver.key=value; every file adds to the list instead of replacing it.",
        Flag("storage-opt", "CONTAINER_STORAGE_OPT"),
    )
    log_dir: str = setting(
        "/var/log/crio/pods",
        "Directory for container logs of pods for which the kubelet names none.",
        Flag("log-dir", "CONTAINER_LOG_DIR"),
        rule=ABSOLUTE_PATH,
    )
    version_file: str = setting(
        "/var/run/crio/version",
        "Version marker on a temporary file system; when it is gone, the machine was rebooted.",
        Flag("version-file", "CONTAINER_VERSION_FILE"),
    )
    version_file_persist: str = setting(
        "",
        "Version marker that survives a reboot and reveals an upgrade; empty turns that off.",
        Flag("version-file-persist", "CONTAINER_VERSION_FILE_PERSIST"),
    )
    clean_shutdown_file: str = setting(
        "/var/lib/crio/clean.shutdown",
        "File that is written at the end of an orderly stop; empty turns the marker off.",
        Flag("clean-shutdown-file", "CONTAINER_CLEAN_SHUTDOWN_FILE"),
    )
    internal_wipe: bool = setting(
        True,
        "Remove what a reboot or an upgrade left behind when the daemon starts.",
        Flag("internal-wipe", "CONTAINER_INTERNAL_WIPE"),
        deprecated="the daemon decides by what it finds",
    )
    internal_repair: bool = setting(
        True,
        "Check and repair the store at start-up when the last stop was not an orderly one.",
        Flag("internal-repair", "CONTAINER_INTERNAL_REPAIR"),
    )
