"""Limits and use of directory trees through project quotas of ext4 and xfs.

A tree gets a project id of its own that everything made in it inherits; the file system counts and limits what has that id. So a
limit costs nothing, and neither does the question how much a container has written. It needs a file system mounted with
``prjquota``; where it is not, a limit is refused rather than ignored.

Source: quotactl(2), the kernel's dqblk_xfs.h and fs.h.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from crio.core.errors import FailedPrecondition
from crio.host import syscalls

_FIRST_ID = 0x40000000
_ID_COUNT = 0x3FFFFFFF
_GET_ATTRIBUTES = 0x801C581F
_SET_ATTRIBUTES = 0x401C5820
_ATTRIBUTES = struct.Struct("=IIIII8s")
_INHERIT = 0x200
_PROJECT = 2
_GET_QUOTA = ((ord("X") << 8 | 3) << 8) | _PROJECT
_SET_QUOTA = ((ord("X") << 8 | 4) << 8) | _PROJECT
_QUOTA = struct.Struct("=bbHIQQQQQQ56s")
_ALL_LIMITS = 0x0F
_BLOCK_BYTES = 512


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """What a tree holds."""

    used_bytes: int
    used_inodes: int


class ProjectQuota:
    """Project quotas of the file system below ``home``."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._works: bool | None = None

    @property
    def works(self) -> bool:
        """Whether the file system counts projects; found out once."""
        if self._works is None:
            try:
                _quota_of(self._home, 0)
                self._works = True
            except OSError:
                self._works = False
        return self._works

    def require(self) -> None:
        """Raise FailedPrecondition, saying what to do, where limits are not possible."""
        if not self.works:
            raise FailedPrecondition(
                f"a size limit for containers needs project quotas, and the file system of {self._home} has none: use ext4"
                " (feature project, tune2fs -O project,quota) or xfs, mounted with prjquota, or leave the option size out"
            )

    def limit(self, paths: Sequence[str], size_bytes: int, inodes: int) -> None:
        """Give the (empty) directories ``paths`` one new project with these limits; 0 is no limit, only counting."""
        if size_bytes or inodes:
            self.require()
        elif not self.works:
            return
        project = self._free_id()
        if size_bytes or inodes:
            self._set_limits(project, size_bytes, inodes)
        for path in paths:
            _set_project(path, project)

    def release(self, path: str) -> None:
        """Take the limits from the project of ``path``, whose tree is about to go, so that its id is free again."""
        project = self._project(path)
        if project:
            self._set_limits(project, 0, 0)

    def usage(self, path: str) -> TreeUsage | None:
        """Return what the project of ``path`` holds; None when it has none."""
        project = self._project(path)
        if not project:
            return None
        fields = _quota_of(self._home, project)
        return TreeUsage(used_bytes=fields[8] * _BLOCK_BYTES, used_inodes=fields[9])

    def _project(self, path: str) -> int:
        if not self.works:
            return 0
        try:
            project = _attributes(path)[3]
        except OSError:
            return 0
        return project if _FIRST_ID <= project < _FIRST_ID + _ID_COUNT else 0

    def _free_id(self) -> int:
        while True:
            project = _FIRST_ID + secrets.randbelow(_ID_COUNT)
            try:
                fields = _quota_of(self._home, project)
            except FileNotFoundError:
                return project
            if not any(fields[4:10]):
                return project

    def _set_limits(self, project: int, size_bytes: int, inodes: int) -> None:
        blocks = -(-size_bytes // _BLOCK_BYTES)
        value = bytearray(_QUOTA.pack(1, _PROJECT, _ALL_LIMITS, project, blocks, blocks, inodes, inodes, 0, 0, b""))
        _call(self._home, _SET_QUOTA, project, value)


def _quota_of(home: str, project: int) -> tuple[int, ...]:
    value = bytearray(_QUOTA.size)
    _call(home, _GET_QUOTA, project, value)
    fields: tuple[int, ...] = _QUOTA.unpack(value)[:10]
    return fields


def _call(home: str, command: int, project: int, value: bytearray) -> None:
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.quotactl_fd(fd, command, project, value)
    finally:
        os.close(fd)


def _attributes(path: str) -> tuple[int, int, int, int, int, bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags, extent, extents, project, cow, rest = _ATTRIBUTES.unpack(fcntl.ioctl(fd, _GET_ATTRIBUTES, bytes(_ATTRIBUTES.size)))
    finally:
        os.close(fd)
    return flags, extent, extents, project, cow, rest


def _set_project(path: str, project: int) -> None:
    flags, extent, extents, _, cow, rest = _attributes(path)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _SET_ATTRIBUTES, _ATTRIBUTES.pack(flags | _INHERIT, extent, extents, project, cow, rest))
    finally:
        os.close(fd)
