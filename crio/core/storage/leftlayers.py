"""Layers that pulls have in hand, or have left in the store: what is written down about each.

A layer belongs to nobody's image until its pull ends, and longer when the pull fails in a way that passes: then it stays for the next
pull until its time is over. Other programs' layers without an image look the same, so what is ours has to be on record, and on disk
before the layer is.

::

    a pull needs it      a passing failure       its time is over, or the failure lasts
    ─────────────── HELD ───────────────── LEFT ────────────────────────────────────────  removed
                      │  ─────────────────  │
                      │   a pull needs it   │
                      └─────────────────────┴───────────────────────────────────────────  an image has it: off the record

A daemon that dies leaves what it held as HELD; nobody pulls at start, so from then on that is LEFT.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace


class PullOutcome(enum.Enum):
    """How a pull ended, as far as its layers are concerned."""

    DONE = enum.auto()
    PASSING = enum.auto()
    LASTING = enum.auto()


@dataclass(frozen=True, slots=True)
class LeftLayer:
    """A layer on record. Its record in the store says ``created_at_ns`` if it is the one that is meant.

    ``until_ns`` is when it may be removed, in nanoseconds since 1970; 0 while a pull holds it.
    """

    created_at_ns: int
    until_ns: int = 0


@dataclass(frozen=True, slots=True)
class LeftRecord:
    """The whole record: layers by id."""

    layers: Mapping[str, LeftLayer]


def found_at_start(layers: Mapping[str, LeftLayer], now_ns: int, keep_ns: int) -> dict[str, LeftLayer]:
    """The layers that an earlier daemon had on record: held ones are left now, and a clock that went back makes none stay longer."""
    latest_ns = now_ns + keep_ns
    return {one: replace(layer, until_ns=min(layer.until_ns or latest_ns, latest_ns)) for one, layer in layers.items()}


def after_pull(layer: LeftLayer, end: PullOutcome, now_ns: int, keep_ns: int) -> LeftLayer | None:
    """What is on record about a layer when the last pull that held it ended; None: nothing, an image has it."""
    if end is PullOutcome.DONE:
        return None
    return replace(layer, until_ns=now_ns + (keep_ns if end is PullOutcome.PASSING else 0))
