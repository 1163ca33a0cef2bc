"""Names of images: one owner per name, newest first, and a history that survives untagging.

A change of names returns the new records of every image that it touches: giving a name to one image takes it from its former
owner in the same write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from crio.core.storage.records import ImageRecord


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return ``names`` without repetitions, first occurrences in order."""
    return tuple(dict.fromkeys(names))


def history_after(history: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the history after the image got ``names``: each in turn moves to the front, so the last one ends up first."""
    result = list(history)
    for name in names:
        if name in result:
            result.remove(name)
        result.insert(0, name)
    return tuple(result)


def with_names(images: Sequence[ImageRecord], image_id: str, names: Sequence[str]) -> tuple[ImageRecord, ...]:
    """Return ``images`` after image ``image_id`` got exactly ``names``, taken from whoever had them."""
    wanted = unique(names)
    taken = frozenset(wanted)
    result = []
    for image in images:
        if image.id == image_id:
            history = history_after(image.names_history, wanted)
            result.append(replace(image, names=wanted, names_history=history))
        elif taken.isdisjoint(image.names):
            result.append(image)
        else:
            result.append(replace(image, names=tuple(name for name in image.names if name not in taken)))
    return tuple(result)


def names_plus(image: ImageRecord, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of ``image`` with ``names`` added in front."""
    return unique([*names, *image.names])


def names_minus(image: ImageRecord, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of ``image`` without ``names``."""
    gone = frozenset(names)
    return tuple(name for name in image.names if name not in gone)
