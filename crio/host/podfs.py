"""A sandbox's own files on the host: resolv.conf, hostname, hosts, .containerenv, /dev/shm."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass

from crio.host import syscalls
from crio.host.files import write_atomic

SHM_SIZE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class PodTexts:
    """What the files of a pod say."""

    resolv_conf: str
    hostname: str
    hosts: str


def host_name() -> str:
    """The machine's own name."""
    return platform.node()


def host_resolv_conf() -> str:
    """The machine's resolv.conf, for pods without a DNS configuration of their own; empty when there is none."""
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def write_pod_files(directory: str, texts: PodTexts) -> None:
    """Write the files of a pod into its run directory (which is there)."""
    for name, text in (("resolv.conf", texts.resolv_conf), ("hostname", texts.hostname), ("hosts", texts.hosts)):
        write_atomic(os.path.join(directory, name), text.encode(), 0o644)
    write_atomic(os.path.join(directory, ".containerenv"), b"", 0o644)


def mount_shm(path: str, size_bytes: int = SHM_SIZE_BYTES, owner: tuple[int, int] = (0, 0)) -> None:
    """Mount the pod's /dev/shm. Raises OSError."""
    os.makedirs(path, mode=0o1777, exist_ok=True)
    flags = syscalls.MS_NOEXEC | syscalls.MS_NOSUID | syscalls.MS_NODEV
    data = f"mode=1777,size={size_bytes},uid={owner[0]},gid={owner[1]}"
    syscalls.mount("shm", path, "tmpfs", flags, data)


def unmount_shm(path: str) -> None:
    """Unmount it; no error when it is not mounted."""
    if not path:
        return
    while True:
        try:
            syscalls.umount(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
        except OSError:
            return


def remove_empty(directory: str) -> None:
    """Remove a directory that has nothing in it; one that has, or is gone, stays as it is."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)
