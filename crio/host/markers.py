"""Version and shutdown markers: what ``crio wipe`` and other tools judge a node by after a reboot, an upgrade or a crash.

The version file on tmpfs is gone after a reboot; the persistent one tells an upgrade. ``clean.shutdown`` is there only after an orderly
end, and its ``.supported`` sibling says that the scheme is in use. Source: CRI-O's clean shutdown files.
"""

from __future__ import annotations

import os

import orjson

from crio import __version__
from crio.core.settings.root import RootSettings
from crio.host.files import remove_quietly, sync_directory, write_atomic


def on_start(root: RootSettings) -> None:
    """The daemon runs: record its version, take the mark of the last clean end away. Raises OSError."""
    for path in (root.version_file, root.version_file_persist):
        if path:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_atomic(path, orjson.dumps(__version__), 0o644, sync=True)
    if root.clean_shutdown_file:
        directory = os.path.dirname(root.clean_shutdown_file)
        os.makedirs(directory, exist_ok=True)
        remove_quietly(root.clean_shutdown_file)
        write_atomic(f"{root.clean_shutdown_file}.supported", b"", 0o644)
        sync_directory(directory)


def was_unclean(root: RootSettings) -> bool:
    """Whether an earlier daemon that knows the scheme ended without its orderly end."""
    path = root.clean_shutdown_file
    return bool(path) and os.path.exists(f"{path}.supported") and not os.path.exists(path)


def on_clean_stop(root: RootSettings) -> None:
    """Everything is closed and on disk. Raises OSError."""
    if root.clean_shutdown_file:
        write_atomic(root.clean_shutdown_file, b"", 0o644, sync=True)
