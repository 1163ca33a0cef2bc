"""The progress of a pull: bars on a terminal, lines elsewhere.

The daemon's status API, on the same socket as the CRI, tells how far every layer is. A runtime without it, or one that is too quick to
be asked, costs nothing: the pull goes on and there is simply less to see.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TextIO, TypeVar

import orjson

from crio.cli.ctl.present import size
from crio.cli.status import ask
from crio.core.errors import CriError

T = TypeVar("T")
POLL_S: Final = 0.1
DONE: Final = frozenset({"PRESENT", "UNPACKED", "COMMITTED"})
WORDS: Final[Mapping[str, str]] = {
    "WAITING": "waiting",
    "PRESENT": "already there",
    "FETCHING": "fetching",
    "UNPACKED": "unpacked",
    "COMMITTED": "done",
}
_BAR_MAX: Final = 40
_UP: Final = "\x1b[{}F"
_CLEAR: Final = "\x1b[J"


@dataclass(frozen=True, slots=True)
class Layer:
    """How far one layer is, as the daemon tells."""

    digest: str
    state: str
    fetched_bytes: int
    total_bytes: int

    @property
    def share(self) -> float:
        """The part that is there, 0 to 1."""
        if self.state in DONE:
            return 1.0
        return min(1.0, self.fetched_bytes / self.total_bytes) if self.total_bytes else 0.0


def parse_layers(body: bytes, reference: str) -> tuple[Layer, ...]:
    """The layers of the pull of ``reference`` in an answer of ``/pulls``; the only pull there is counts as the one meant."""
    try:
        pulls = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ()
    if not isinstance(pulls, list):
        return ()
    named = [pull for pull in pulls if isinstance(pull, dict)]
    ours = [pull for pull in named if str(pull.get("reference", "")).endswith(reference)] or (named if len(named) == 1 else [])
    if not ours:
        return ()
    return tuple(_layer(item) for item in ours[0].get("layers", ()) if isinstance(item, dict))


def _layer(item: Mapping[str, object]) -> Layer:
    def number(name: str) -> int:
        value = item.get(name, 0)
        return value if isinstance(value, int) else 0

    return Layer(str(item.get("digest", "")), str(item.get("state", "")), number("fetched_bytes"), number("total_bytes"))


def bar(share: float, width: int) -> str:
    """A bar of ``width`` cells."""
    full = round(share * width)
    return "█" * full + "░" * (width - full)


def layer_line(layer: Layer, columns: int) -> str:
    """One layer on one line of at most ``columns`` cells."""
    name = layer.digest.removeprefix("sha256:")[:12]
    amount = size(layer.total_bytes) if layer.state in DONE else f"{size(layer.fetched_bytes)} / {size(layer.total_bytes)}"
    words = WORDS.get(layer.state, layer.state.lower())
    width = max(8, min(_BAR_MAX, columns - 50))
    return f"{name}  {bar(layer.share, width)}  {words:<13} {amount}"[:columns]


class TerminalView:
    """Bars that are drawn over each other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0

    def show(self, layers: Sequence[Layer]) -> None:
        """Draw the present state."""
        columns, lines = shutil.get_terminal_size()
        shown = layers[: max(1, lines - 2)]
        back = _UP.format(self._drawn) + _CLEAR if self._drawn else ""
        self._stream.write(back + "".join(f"{layer_line(layer, columns - 1)}\n" for layer in shown))
        self._stream.flush()
        self._drawn = len(shown)

    def finish(self, layers: Sequence[Layer]) -> None:
        """Draw the end."""
        if layers:
            self.show([Layer(item.digest, item.state if item.state in DONE else "COMMITTED", 0, item.total_bytes) for item in layers])


class LineView:
    """A line for every change of a layer's state."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: dict[str, str] = {}

    def show(self, layers: Sequence[Layer]) -> None:
        """Tell what changed."""
        for layer in layers:
            if self._told.get(layer.digest) != layer.state:
                self._told[layer.digest] = layer.state
                name = layer.digest.removeprefix("sha256:")[:12]
                words = WORDS.get(layer.state, layer.state.lower())
                self._stream.write(f"layer {name}: {words} ({size(layer.total_bytes)})\n")
        self._stream.flush()

    def finish(self, layers: Sequence[Layer]) -> None:
        """Nothing more to tell."""


class SilentView:
    """Shows nothing."""

    def show(self, layers: Sequence[Layer]) -> None:
        """Nothing."""

    def finish(self, layers: Sequence[Layer]) -> None:
        """Nothing."""


View = TerminalView | LineView | SilentView


def view_for(stream: TextIO, *, quiet: bool) -> View:
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        return SilentView()
    return TerminalView(stream) if stream.isatty() else LineView(stream)


def watch_pull(socket_path: str, reference: str, wait: Callable[[float], T | None], *, quiet: bool) -> T:
    """Wait for the end of a pull and show meanwhile how far it is, on standard error. ``wait`` raises when the pull fails."""
    view = view_for(sys.stderr, quiet=quiet)
    layers: tuple[Layer, ...] = ()
    asks = not quiet
    while True:
        answer = wait(POLL_S)
        if answer is not None:
            view.finish(layers)
            return answer
        if not asks:
            continue
        try:
            layers = parse_layers(ask(socket_path, "/pulls"), reference) or layers
        except (CriError, ValueError):
            asks = False
        view.show(layers)
