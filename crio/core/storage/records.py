"""The records of a store: layers, images, containers and mount counts, as immutable values.

Field names are ours, the keys on disk are in ``codec``. ``extra`` holds the keys that this program does not know: they are
written back as they were, because the store is shared with programs that may be newer. Empty means absent throughout (the
format leaves empty keys out), so there is no difference between ``()`` and a missing array.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from crio.core.storage.jsonvalue import EMPTY, JsonObject
from crio.core.storage.times import ns_from_rfc3339

ZERO_TIME = "0001-01-01T00:00:00Z"
INCOMPLETE_FLAG = "incomplete"


class Compression(enum.IntEnum):
    """How a layer's blob was packed; the numbers are those of the format."""

    NONE = 0
    BZIP2 = 1
    GZIP = 2
    XZ = 3
    ZSTD = 4


@dataclass(frozen=True, slots=True)
class IdMap:
    """One range of a user namespace mapping: ids inside, ids on the host, how many."""

    container_id: int
    host_id: int
    size: int


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """One layer: of an image (with digests) or of a container (with a name and a random id).

    ``diff_size`` is None when the format says "unknown" (-1), which is legal for layers known by their TOC only.
    """

    id: str
    created: str = ZERO_TIME
    names: tuple[str, ...] = ()
    parent: str | None = None
    metadata: str = ""
    mount_label: str = ""
    compressed_digest: str = ""
    compressed_size: int = 0
    diff_digest: str = ""
    diff_size: int | None = 0
    toc_digest: str = ""
    compression: int = Compression.NONE
    uids: tuple[int, ...] = ()
    gids: tuple[int, ...] = ()
    flags: JsonObject = field(default_factory=lambda: EMPTY)
    uid_map: tuple[IdMap, ...] = ()
    gid_map: tuple[IdMap, ...] = ()
    big_data_names: tuple[str, ...] = ()
    extra: JsonObject = field(default_factory=lambda: EMPTY)

    @property
    def incomplete(self) -> bool:
        """Whether its creator or remover never finished."""
        return self.flags.get(INCOMPLETE_FLAG) is True

    @property
    def created_at_ns(self) -> int:
        """Creation time in nanoseconds since 1970, UTC; 0 when it is unset or not a time."""
        return ns_from_rfc3339(self.created)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image. ``names`` are full references, the most recently added first; ``digest`` is that of the first manifest."""

    id: str
    created: str = ""
    digest: str = ""
    names: tuple[str, ...] = ()
    names_history: tuple[str, ...] = ()
    layer: str = ""
    mapped_layers: tuple[str, ...] = ()
    metadata: str = ""
    big_data_names: tuple[str, ...] = ()
    big_data_sizes: Mapping[str, int] = field(default_factory=dict)
    big_data_digests: Mapping[str, str] = field(default_factory=dict)
    flags: JsonObject = field(default_factory=lambda: EMPTY)
    extra: JsonObject = field(default_factory=lambda: EMPTY)
    read_only: bool = False

    @property
    def created_at_ns(self) -> int:
        """Creation time in nanoseconds since 1970, UTC; 0 when it is unset or not a time."""
        return ns_from_rfc3339(self.created)

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests under which ``repo@digest`` finds this image: the first one and every manifest's."""
        found = [self.digest] if self.digest else []
        found += [self.big_data_digests[key] for key in self.big_data_names if key.startswith("manifest") and key in self.big_data_digests]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """One container of any program that shares the store; ``metadata`` is its owner's own text."""

    id: str
    created: str = ""
    names: tuple[str, ...] = ()
    image: str = ""
    layer: str = ""
    metadata: str = ""
    big_data_names: tuple[str, ...] = ()
    big_data_sizes: Mapping[str, int] = field(default_factory=dict)
    big_data_digests: Mapping[str, str] = field(default_factory=dict)
    uid_map: tuple[IdMap, ...] = ()
    gid_map: tuple[IdMap, ...] = ()
    flags: JsonObject = field(default_factory=lambda: EMPTY)
    extra: JsonObject = field(default_factory=lambda: EMPTY)

    @property
    def created_at_ns(self) -> int:
        """Creation time in nanoseconds since 1970, UTC; 0 when it is unset or not a time."""
        return ns_from_rfc3339(self.created)

    @property
    def volatile(self) -> bool:
        """Whether the container may be lost with the machine: mounted without syncs."""
        return self.flags.get("Volatile") is True

    @property
    def mount_label(self) -> str:
        """The SELinux label to mount with; empty when there is none."""
        value = self.flags.get("MountLabel")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class MountPoint:
    """How often a layer is mounted, and where; lives in the run root."""

    layer: str
    path: str
    count: int
