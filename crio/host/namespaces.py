"""The pinned namespaces of a sandbox.

``pinns`` (C) unshares in a process of its own and binds each namespace to ``<namespaces dir>/<type>ns/<name>``, so that no thread
of the daemon ever changes namespace. The pins live as long as the bind mounts. Source: the pinns command line.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.config import EMPTY, IdMapping
from crio.core.errors import Internal
from crio.core.records import NamespacePaths
from crio.host import process, syscalls

KINDS = ("net", "ipc", "uts", "user")


@dataclass(frozen=True, slots=True)
class PinRequest:
    """Which namespaces a sandbox gets of its own. ``name`` is the file name of the pins."""

    pinns: str
    directory: str
    name: str
    net: bool
    ipc: bool
    hostname: str = ""
    sysctls: Mapping[str, str] = EMPTY
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


def pin_paths(request: PinRequest) -> NamespacePaths:
    """Where the pins of a request will be, before they are there."""

    def path(kind: str, wanted: bool) -> str:
        return os.path.join(request.directory, f"{kind}ns", request.name) if wanted else ""

    user = bool(request.uid_mappings)
    return NamespacePaths(path("net", request.net), path("ipc", request.ipc), path("uts", True), path("user", user))


def _mapping(ranges: tuple[IdMapping, ...]) -> str:
    return "@".join(f"{item.container_id}-{item.host_id}-{item.length}" for item in ranges)


async def pin(request: PinRequest) -> None:
    """Create and pin the namespaces; raises Internal with pinns's words, which name the namespace or sysctl."""
    argv = [request.pinns, "-d", request.directory, "-f", request.name, "--uts"]
    if request.hostname:
        argv.append(f"--hostname={request.hostname}")
    if request.net:
        argv += ["--net", "--loopback"]
    if request.ipc:
        argv.append("--ipc")
    if request.uid_mappings:
        argv += ["--user", f"--uid-mapping={_mapping(request.uid_mappings)}", f"--gid-mapping={_mapping(request.gid_mappings)}"]
    for key, value in request.sysctls.items():
        argv += ["-s", f"{key}={value}"]
    done = await process.run(argv)
    if done.returncode != 0:
        raise Internal(f"cannot create the namespaces of the sandbox: {done.text()}")


def unpin(paths: NamespacePaths) -> None:
    """Remove the pins; those that are gone already are no error."""
    for path in (paths.net, paths.ipc, paths.uts, paths.user):
        if not path:
            continue
        while True:
            try:
                syscalls.umount(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
            except OSError:
                break
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def prepare_directory(directory: str) -> None:
    """Create the directories of the pins."""
    for kind in KINDS:
        os.makedirs(os.path.join(directory, f"{kind}ns"), mode=0o755, exist_ok=True)


def is_pinned(path: str) -> bool:
    """Whether a pin is there and is a namespace, not the empty file below a lost mount."""
    try:
        return syscalls.fs_type(path) == syscalls.NSFS_MAGIC
    except OSError:
        return False
