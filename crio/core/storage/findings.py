"""What a check of the store finds, and in which order the damaged things go."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Damage(enum.Enum):
    """Kinds of findings; the value is the word shown to people."""

    LAYER_DATA_MISSING = "layer data missing"
    LAYER_DIGEST = "layer digest differs"
    LAYER_SIZE = "layer size differs"
    LAYER_CONTENT = "layer content differs"
    LAYER_PARENT_MISSING = "parent layer missing"
    LAYER_RECIPE_MISSING = "tar-split missing"
    LAYER_UNUSED = "layer unused"
    IMAGE_LAYER_MISSING = "image layer missing"
    IMAGE_DATA = "image data differs"
    CONTAINER_LAYER_MISSING = "container layer missing"
    CONTAINER_IMAGE_MISSING = "container image missing"
    CONTAINER_DATA = "container data differs"
    ORPHAN = "directory without record"


class Kind(enum.Enum):
    """What a finding is about."""

    LAYER = "layer"
    IMAGE = "image"
    CONTAINER = "container"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as its record says. ``fatal``: its owner cannot be used until it is mended."""

    kind: Kind
    id: str
    damage: Damage
    detail: str
    fatal: bool = True

    def sentence(self) -> str:
        """Return the finding as one line for people."""
        return f"{self.kind.value} {self.id}: {self.damage.value}: {self.detail}"
