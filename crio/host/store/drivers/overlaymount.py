"""Mounting an overlay whatever the number of its lower directories.

The old mount call takes one page of options; that is enough for most images and is a single system call. Beyond it, kernels with
``lowerdir+`` (6.7) take each lower directory as a parameter of its own. On older ones a directory of numbered links makes the
names short enough: the links are resolved while mounting and are not needed afterwards.
"""

from __future__ import annotations

import os
import tempfile

from crio.core.storage.overlaydir import MOUNT_DATA_LIMIT, OverlayMount
from crio.host import syscalls

_MAX_PARAMETER = 255
_FLAG_OPTIONS = {"nodev": syscalls.MS_NODEV, "nosuid": syscalls.MS_NOSUID, "noexec": syscalls.MS_NOEXEC, "ro": syscalls.MS_RDONLY}
_ATTR_OPTIONS = {
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
    "ro": syscalls.MOUNT_ATTR_RDONLY,
}


def mount_overlay(mount: OverlayMount, target: str) -> None:
    """Mount ``mount`` at ``target`` with private propagation. Raises OSError."""
    flags, mount = _split_flags(mount)
    data = mount.data()
    if len(data.encode()) <= MOUNT_DATA_LIMIT:
        syscalls.mount("overlay", target, "overlay", flags, data)
    else:
        try:
            _mount_by_parameters(mount, target, flags)
            return
        except OSError:
            _mount_by_short_names(mount, target, flags)
    syscalls.mount("", target, "", syscalls.MS_PRIVATE)


def _split_flags(mount: OverlayMount) -> tuple[int, OverlayMount]:
    """Return the options that are flags of the mount call as such, and the rest."""
    flags = 0
    rest = []
    for option in mount.options:
        if option in _FLAG_OPTIONS:
            flags |= _FLAG_OPTIONS[option]
        else:
            rest.append(option)
    return flags, OverlayMount(mount.lowers, mount.upper, mount.work, tuple(rest), mount.label)


def _mount_by_parameters(mount: OverlayMount, target: str, flags: int) -> None:
    context = syscalls.fsopen("overlay")
    try:
        for lower in mount.lowers:
            if len(lower.encode()) > _MAX_PARAMETER:
                raise OSError(36, "path too long for a mount parameter", lower)
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "lowerdir+", lower)
        if mount.upper:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "upperdir", mount.upper)
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "workdir", mount.work)
        for option in mount.options:
            key, separator, value = option.partition("=")
            kind = syscalls.FSCONFIG_SET_STRING if separator else syscalls.FSCONFIG_SET_FLAG
            syscalls.fsconfig(context, kind, key, value)
        if mount.label:
            syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "context", mount.label)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        attributes = sum(value for key, value in _ATTR_OPTIONS.items() if flags & _FLAG_OPTIONS[key])
        mounted = syscalls.fsmount(context, attributes)
    finally:
        os.close(context)
    try:
        syscalls.move_mount(mounted, target)
        syscalls.mount("", target, "", syscalls.MS_PRIVATE)
    finally:
        os.close(mounted)


def _mount_by_short_names(mount: OverlayMount, target: str, flags: int) -> None:
    with tempfile.TemporaryDirectory(prefix="l", dir="/tmp") as folder:
        short = []
        for number, lower in enumerate(mount.lowers):
            link = f"{folder}/{number}"
            os.symlink(os.path.realpath(lower), link)
            short.append(link)
        data = mount.data(short)
        if len(data.encode()) > MOUNT_DATA_LIMIT:
            raise OSError(7, f"{len(mount.lowers)} lower directories do not fit the mount options of this kernel", target)
        syscalls.mount("overlay", target, "overlay", flags, data)
