"""Rules of the overlay driver's directories: the chain of short links, and the data of a mount.

``lower`` names the layers below, nearest first, as ``l/<link>`` joined by colons; a base layer has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_LOWERS = 500
MOUNT_DATA_LIMIT = 4096 - 64
"""Bytes of mount data that the old mount call takes: one page less a margin."""


def lower_text(parent_link: str, parent_lower: str) -> str:
    """Return the content of ``lower`` for a child of the layer with ``parent_link`` and ``parent_lower``."""
    return f"l/{parent_link}:{parent_lower}" if parent_lower else f"l/{parent_link}"


def lower_entries(text: str) -> tuple[str, ...]:
    """Return the entries of a ``lower`` file, nearest first."""
    return tuple(entry for entry in text.strip().split(":") if entry)


@dataclass(frozen=True, slots=True)
class OverlayMount:
    """One overlay mount: lower directories from the top down, and, when it is writable, upper and work directory."""

    lowers: tuple[str, ...]
    upper: str = ""
    work: str = ""
    options: tuple[str, ...] = ()
    label: str = ""

    def data(self, lowers: Sequence[str] | None = None) -> str:
        """Return the data string of the old mount call, with other spellings of the lower directories if given."""
        parts = ["lowerdir=" + ":".join(escape(lower) for lower in (self.lowers if lowers is None else lowers))]
        parts += [f"{key}={value}" for key, value in self.writable_options()]
        parts += self.options
        if self.label:
            parts.append(f'context="{self.label}"')
        return ",".join(parts)

    def writable_options(self) -> tuple[tuple[str, str], ...]:
        """Return upper and work directory as options; empty for a read-only mount."""
        return (("upperdir", escape(self.upper)), ("workdir", escape(self.work))) if self.upper else ()


def escape(path: str) -> str:
    """Return ``path`` as overlayfs reads it: backslash, colon and comma escaped."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
