"""Version and shutdown markers: what ``crio wipe`` and other tools judge a node by after a reboot, an upgrade or a crash.

The version file on tmpfs is gone after a reboot; the persistent one tells an upgrade. ``clean.shutdown`` is there only after an orderly
end, and its ``.supported`` sibling says that the scheme is in use. Source: CRI-O's clean shutdown files.
"""

from __future__ import annotations

import contextlib
import logging
import os

import orjson

from crio import __version__
from crio.core.settings.root import RootSettings
from crio.host.files import NO_ROOM, read_bounded, remove_quietly, sync_directory, write_atomic

log = logging.getLogger(__name__)


def on_start(root: RootSettings) -> None:
    """The daemon runs: record its version, take the mark of the last clean end away. Raises OSError.

    On a full disk it runs without the new marks: a node whose disk is full needs its daemon to make room.
    """
    for path in (root.version_file, root.version_file_persist):
        if path:
            _mark(path, orjson.dumps(__version__), sync=True)
    if root.clean_shutdown_file:
        remove_quietly(root.clean_shutdown_file)
        _mark(f"{root.clean_shutdown_file}.supported", b"", sync=False)
        sync_directory(os.path.dirname(root.clean_shutdown_file))


def _mark(path: str, content: bytes, *, sync: bool) -> None:
    """Have a file with this content; one that has it already is left alone."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(OSError, ValueError):
        if read_bounded(path, len(content)) == content:
            return
    try:
        write_atomic(path, content, 0o644, sync=sync)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        log.warning("%s cannot be written: %s", path, error.strerror)


def was_unclean(root: RootSettings) -> bool:
    """Whether an earlier daemon that knows the scheme ended without its orderly end."""
    path = root.clean_shutdown_file
    return bool(path) and os.path.exists(f"{path}.supported") and not os.path.exists(path)


def on_clean_stop(root: RootSettings) -> None:
    """Everything is closed and on disk. Raises OSError."""
    if root.clean_shutdown_file:
        write_atomic(root.clean_shutdown_file, b"", 0o644, sync=True)
