"""Which images the kubelet's garbage collection must leave alone.

Source: CRI-O's ``pinned_images``; specification G.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PinnedImages:
    """The patterns, in lower case and split by their kind."""

    exact: frozenset[str]
    contained: tuple[str, ...]

    def matches(self, names: Iterable[str]) -> bool:
        """Whether any of an image's names is pinned."""
        for name in names:
            low = name.lower()
            if low in self.exact or any(part in low for part in self.contained):
                return True
        return False


def pinned_images(patterns: Iterable[str], pause_image: str = "") -> PinnedImages:
    """Compiles ``pinned_images`` and the pause image.

    ``*word*`` and ``text*`` both match anywhere in a name (upstream never anchored the second kind, and nodes rely on
    it); anything else is a whole name. Case does not matter, every other character is literal.
    """
    exact: set[str] = {pause_image.lower()} if pause_image else set()
    contained: list[str] = []
    for pattern in patterns:
        low = pattern.lower()
        if len(low) > 1 and low.startswith("*") and low.endswith("*"):
            contained.append(low[1:-1])
        elif low.endswith("*"):
            contained.append(low[:-1])
        elif low:
            exact.add(low)
    return PinnedImages(frozenset(exact), tuple(contained))
