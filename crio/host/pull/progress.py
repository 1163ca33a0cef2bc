"""How far a pull is, layer by layer, for everybody who wants to look.

The pull writes into plain counters; a look takes a frozen copy. Nobody waits for anybody.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field


class PullState(enum.Enum):
    """What a pull as a whole does."""

    RESOLVING = "resolving"
    CONFIG = "reading the configuration"
    LAYERS = "fetching layers"
    COMMITTING = "recording the image"
    DONE = "done"
    FAILED = "failed"


class LayerState(enum.Enum):
    """What happens to one layer."""

    WAITING = "waiting"
    PRESENT = "already present"
    FETCHING = "fetching and unpacking"
    UNPACKED = "unpacked"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """One layer: ``total_bytes`` is the size of its blob, of which ``fetched_bytes`` have arrived."""

    digest: str
    total_bytes: int
    fetched_bytes: int
    state: LayerState
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One pull. ``endpoint`` is the repository that answered, which may be a mirror; ``idle_s`` how long nothing has moved."""

    reference: str
    state: PullState
    endpoint: str
    layers: tuple[LayerProgress, ...]
    idle_s: float = 0.0

    @property
    def fetched_bytes(self) -> int:
        """Bytes that have arrived, over all layers."""
        return sum(layer.fetched_bytes for layer in self.layers)

    @property
    def total_bytes(self) -> int:
        """Bytes of all layers that are not there yet."""
        return sum(layer.total_bytes for layer in self.layers if layer.state is not LayerState.PRESENT)


@dataclass(frozen=True, slots=True)
class PullEnd:
    """How a pull ended: what had come by then, and the error, None for a success."""

    progress: PullProgress
    error: BaseException | None = None


@dataclass(slots=True)
class LayerCounter:
    """The live counters of one layer."""

    digest: str
    total_bytes: int
    on_change: Callable[[], None]
    media_type: str = ""
    fetched_bytes: int = 0
    state: LayerState = LayerState.WAITING

    def add(self, count: int) -> None:
        """More bytes have arrived."""
        self.fetched_bytes += count
        self.on_change()

    def enter(self, state: LayerState) -> None:
        """The layer is now in ``state``."""
        self.state = state
        self.on_change()

    def copy(self) -> LayerProgress:
        """The counters as they are now."""
        return LayerProgress(self.digest, self.total_bytes, self.fetched_bytes, self.state, self.media_type)


@dataclass(slots=True)
class PullCounter:
    """The live state of one pull."""

    reference: str
    clock: Callable[[], float]
    listeners: list[Callable[[PullProgress], None]] = field(default_factory=list)
    interval_s: float = 0.1
    state: PullState = PullState.RESOLVING
    endpoint: str = ""
    layers: list[LayerCounter] = field(default_factory=list)
    askers: int = 0
    _told_at_s: float = 0.0
    _moved_at_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._moved_at_s = self.clock()

    def restart(self) -> None:
        """The pull begins, again if need be."""
        self.layers.clear()
        self.endpoint = ""
        self.enter(PullState.RESOLVING)

    def enter(self, state: PullState) -> None:
        """The pull is now in ``state``; listeners hear of it at once."""
        self.state = state
        self._tell()

    def add_layer(self, digest: str, total_bytes: int, media_type: str = "") -> LayerCounter:
        """A counter for one more layer."""
        counter = LayerCounter(digest, total_bytes, self.on_bytes, media_type)
        self.layers.append(counter)
        return counter

    def on_bytes(self) -> None:
        """Something moved; listeners hear of it unless they heard something just now."""
        self._moved_at_s = self.clock()
        if self.listeners and self._moved_at_s - self._told_at_s >= self.interval_s:
            self._tell()

    def copy(self) -> PullProgress:
        """The state as it is now."""
        layers = tuple(layer.copy() for layer in self.layers)
        return PullProgress(self.reference, self.state, self.endpoint, layers, self.clock() - self._moved_at_s)

    def _tell(self) -> None:
        self._told_at_s = self._moved_at_s = self.clock()
        if self.listeners:
            seen = self.copy()
            for listener in self.listeners:
                listener(seen)
