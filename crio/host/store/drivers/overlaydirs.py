"""Layer directories of the overlay driver: where they are, and the short names by which they refer to each other.

Every layer has a random short name in its file ``link``; ``<home>/l/<name>`` leads to its files. ``lower`` lists the short names of
everything below. Directories may be in several homes (own, image store, additional stores); the own home is written, all are read.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from crio.core.errors import FailedPrecondition, NotFound
from crio.core.storage.ids import LINK_BYTES, is_id, link_from_random
from crio.core.storage.overlaydir import MAX_LOWERS, lower_entries, lower_text
from crio.host.store.files import make_directory, read_file, write_new

BASE_MODE = 0o555
_SMALL_FILE_LIMIT = 64 * 1024


class LayerDirectories:
    """The directories below ``home`` and, for reading, below ``other_homes``."""

    def __init__(self, home: str, other_homes: Sequence[str]) -> None:
        self.home = home
        self._homes = (home, *other_homes)

    def exists(self, layer_id: str) -> bool:
        """Whether the layer has a usable directory here."""
        return os.path.exists(f"{self.home}/{layer_id}/diff")

    def layer_ids(self) -> list[str]:
        """Every layer directory of the own home."""
        with os.scandir(self.home) as entries:
            return [entry.name for entry in entries if is_id(entry.name)]

    def complaint(self, layer_id: str) -> str:
        """What is missing of the layer's directory."""
        place = f"{self.home}/{layer_id}"
        if not os.path.isdir(f"{place}/diff"):
            return f"{place}/diff does not exist"
        try:
            link = self.read_links(place, layer_id)[0]
        except NotFound:
            return f"{place}/link does not exist"
        return "" if link else f"{place}/link is empty"

    def diff_path(self, layer_id: str) -> str:
        """The layer's own files; raises NotFound when no home has it."""
        return f"{self._directory(layer_id)}/diff"

    def _directory(self, layer_id: str) -> str:
        for home in self._homes:
            if os.path.exists(f"{home}/{layer_id}/link"):
                return f"{home}/{layer_id}"
        raise NotFound(f"layer {layer_id} has no directory with a link file below {' or '.join(self._homes)}")

    def root_like_parent(self, diff: str, parent: str | None) -> None:
        if parent is None:
            os.chmod(diff, BASE_MODE)
            return
        try:
            status = os.stat(self.diff_path(parent))
        except NotFound:
            os.chmod(diff, BASE_MODE)
            return
        os.chown(diff, status.st_uid, status.st_gid)
        os.chmod(diff, stat.S_IMODE(status.st_mode))

    def write_links(self, place: str, layer_id: str, parent: str | None, durable: bool, link: str = "") -> None:
        link = link or link_from_random(os.urandom(LINK_BYTES))
        if parent is None:
            make_directory(f"{place}/empty")
        else:
            lower = lower_text(*self.links_of(parent))
            write_new(f"{place}/lower", lower.encode(), durable=durable, mode=0o644)
        write_new(f"{place}/link", link.encode(), durable=durable, mode=0o644)
        make_directory(f"{place}/work")
        make_directory(f"{place}/merged")

    def make_symlink(self, layer_id: str) -> None:
        link = self.links_of(layer_id)[0]
        with contextlib.suppress(FileExistsError):
            os.symlink(f"../{layer_id}/diff", f"{self.home}/l/{link}")

    def restore_symlinks(self) -> None:
        """Make the short names again when somebody has deleted them; ``link`` files have them."""
        layers = self.layer_ids()
        if len(os.listdir(f"{self.home}/l")) >= len(layers):
            return
        for layer_id in layers:
            with contextlib.suppress(NotFound):
                self.make_symlink(layer_id)

    def links_of(self, layer_id: str) -> tuple[str, str]:
        return self.read_links(self._directory(layer_id), layer_id)

    def read_links(self, place: str, layer_id: str) -> tuple[str, str]:
        try:
            link = read_file(f"{place}/link", _SMALL_FILE_LIMIT).decode().strip()
        except FileNotFoundError as error:
            raise NotFound(f"layer {layer_id} has no file {place}/link") from error
        try:
            lower = read_file(f"{place}/lower", _SMALL_FILE_LIMIT).decode().strip()
        except FileNotFoundError:
            lower = ""
        return link, lower

    def link_in(self, children: Sequence[str]) -> str:
        for child in children:
            with contextlib.suppress(NotFound):
                entries = lower_entries(self.links_of(child)[1])
                if entries:
                    return entries[0].removeprefix("l/")
        return ""

    def lower_paths(self, layer_id: str) -> tuple[str, ...]:
        """Return the lower directories of a layer, nearest first, wherever their link is."""
        entries = lower_entries(self.links_of(layer_id)[1])
        if len(entries) > MAX_LOWERS:
            raise FailedPrecondition(f"layer {layer_id} has {len(entries)} layers below it, expected at most {MAX_LOWERS}")
        paths = []
        for entry in entries:
            path = next((f"{home}/{entry}" for home in self._homes if os.path.isdir(f"{home}/{entry}")), None)
            if path is None:
                raise NotFound(f"layer {layer_id} needs {entry}, which is in none of {', '.join(self._homes)}")
            paths.append(path)
            paths += _remapped(path)
        return tuple(paths)


def _remapped(lower: str) -> list[str]:
    """Return ``diff1``, ``diff2`` … beside a lower directory: what in-place remapping of a layer left."""
    place = os.path.dirname(os.path.realpath(lower))
    found: list[str] = []
    while os.path.isdir(f"{place}/diff{len(found) + 1}"):
        found.append(f"{place}/diff{len(found) + 1}")
    return found
