"""Host paths that a request names: sources of bind mounts and device nodes, looked up once and safely described."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from crio.core.config import Device, Mount, Propagation
from crio.core.errors import InvalidArgument
from crio.core.oci.inputs import DeviceKind, DeviceNode, ResolvedMount, SourcePropagation
from crio.host.mountinfo import MountEntry, mount_of, mount_table

IMAGE_VOLUME_OPTIONS = ("ro", "nosuid", "nodev", "noexec")
_DEVICE_LIMIT = 4096
_SKIPPED = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})


@dataclass(slots=True)
class Taken:
    """What looking sources up has made or mounted, so that a failed creation can give it back: directories (outermost first), images."""

    directories: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What the configuration says about sources: a prefix for all of them, and which missing ones are refused."""

    prefix: str = ""
    refuse_missing: tuple[str, ...] = ()
    storage_root: str = ""


@dataclass(frozen=True, slots=True)
class VolumePart:
    """One thing to bind for an image volume: at the mount's path, or at ``name`` below it."""

    source: str
    name: str = ""


ImageSource = Callable[[int, Mount], tuple[VolumePart, ...]]


def resolve_mounts(mounts: tuple[Mount, ...], rules: SourceRules, taken: Taken, image_source: ImageSource) -> tuple[ResolvedMount, ...]:
    """The bind mounts of a request with their sources resolved.

    A missing source is made as a directory, as users of CRI-O know it, and noted in ``taken``; those that the configuration names are
    refused. ``image_source`` says what an image volume binds. Raises InvalidArgument.
    """
    table: tuple[MountEntry, ...] = ()
    resolved = []
    for index, mount in enumerate(mounts):
        if mount.image is not None:
            for part in image_source(index, mount):
                placed = dataclasses.replace(mount, container_path=os.path.join(mount.container_path, part.name).rstrip("/"))
                resolved.append(ResolvedMount(placed, part.source, options=IMAGE_VOLUME_OPTIONS))
            continue
        source = _source(index, mount, rules, taken.directories)
        propagation = SourcePropagation.PRIVATE
        if mount.propagation is not Propagation.PRIVATE:
            table = table or mount_table()
            entry = mount_of(source, table)
            if entry is not None:
                shared = SourcePropagation.SHARED if entry.shared else SourcePropagation.PRIVATE
                propagation = SourcePropagation.SLAVE if entry.slave and not entry.shared else shared
        holds = bool(rules.storage_root) and (rules.storage_root + "/").startswith(source.rstrip("/") + "/")
        resolved.append(ResolvedMount(mount, source, propagation, holds))
    return tuple(resolved)


def _source(index: int, mount: Mount, rules: SourceRules, made: list[str]) -> str:
    path = os.path.join(rules.prefix, mount.host_path.lstrip("/")) if rules.prefix else mount.host_path
    resolved = os.path.realpath(path)
    if rules.prefix and not (resolved + "/").startswith(os.path.realpath(rules.prefix) + "/"):
        raise InvalidArgument(f"config.mounts[{index}].host_path {mount.host_path!r} leads out of {rules.prefix}")
    if os.path.lexists(resolved):
        return resolved
    if mount.host_path in rules.refuse_missing:
        raise InvalidArgument(f"config.mounts[{index}].host_path {mount.host_path!r} does not exist and must not be made")
    try:
        _make(resolved, made)
    except OSError as error:
        raise InvalidArgument(
            f"config.mounts[{index}].host_path {mount.host_path!r} does not exist and cannot be made: {error.strerror}"
        ) from error
    return resolved


def _make(path: str, made: list[str]) -> None:
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        os.mkdir(directory, 0o755)
        made.append(directory)


def device_node(host_path: str, container_path: str, permissions: str) -> DeviceNode | None:
    """The device behind a path, None when it is none. Raises OSError."""
    info = os.stat(host_path)
    if stat.S_ISCHR(info.st_mode):
        kind = DeviceKind.CHARACTER
    elif stat.S_ISBLK(info.st_mode):
        kind = DeviceKind.BLOCK
    else:
        return None
    major, minor = os.major(info.st_rdev), os.minor(info.st_rdev)
    mode = stat.S_IMODE(info.st_mode)
    return DeviceNode(container_path, kind, major, minor, mode, info.st_uid, info.st_gid, permissions or "rwm")


def resolve_devices(devices: tuple[Device, ...]) -> tuple[DeviceNode, ...]:
    """The devices of a request; a directory stands for the devices below it. Raises InvalidArgument naming the field."""
    nodes: list[DeviceNode] = []
    for index, device in enumerate(devices):
        field = f"config.devices[{index}]"
        if device.permissions.strip("rwm"):
            raise InvalidArgument(f"{field}.permissions {device.permissions!r}: expected letters of 'rwm'")
        try:
            found = _devices_at(device)
        except OSError as error:
            raise InvalidArgument(f"{field}.host_path {device.host_path!r} cannot be used: {error.strerror}") from error
        if not found:
            raise InvalidArgument(f"{field}.host_path {device.host_path!r} is not a device")
        nodes += found
    return tuple(nodes)


def _devices_at(device: Device) -> list[DeviceNode]:
    path = os.path.realpath(device.host_path)
    target = device.container_path or device.host_path
    if not os.path.isdir(path):
        node = device_node(path, target, device.permissions)
        return [node] if node is not None else []
    return _walk(path, target, device.permissions)


def _walk(directory: str, target: str, permissions: str, skipped: frozenset[str] = frozenset()) -> list[DeviceNode]:
    nodes: list[DeviceNode] = []
    for root, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in skipped)
        for name in sorted(names):
            path = os.path.join(root, name)
            if os.path.islink(path) or name == "console":
                continue
            try:
                node = device_node(path, os.path.join(target, os.path.relpath(path, directory)), permissions)
            except OSError:
                continue
            if node is not None:
                nodes.append(node)
            if len(nodes) > _DEVICE_LIMIT:
                raise InvalidArgument(f"{directory} has more than {_DEVICE_LIMIT} devices")
    return nodes


def host_devices() -> tuple[DeviceNode, ...]:
    """Every device of the host, for privileged containers."""
    return tuple(_walk("/dev", "/dev", "rwm", _SKIPPED))
