"""What the demo shows: steps with a spinner and their time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TICK_S = 0.08
TITLE_WIDTH = 22
TIME_WIDTH = 10
NARROWEST = 60
WIDEST = 110
CLEAR_LINE = "\r\x1b[2K"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an operation, in nanoseconds since the operation began."""

    name: str
    start_ns: int
    end_ns: int


class Step:
    """A step under way; say more about it with ``tell``."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.words = ""
        self.began_s = time.monotonic()

    def tell(self, words: str) -> None:
        """What is shown beside the title from now on."""
        self.words = words


def duration(seconds: float) -> str:
    """A time with a sensible unit."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def gantt(stage: Stage, total_ns: int, width: int) -> str:
    """A bar that shows when a stage ran within its operation."""
    if total_ns <= 0:
        return " " * width
    first = min(width - 1, int(stage.start_ns * width / total_ns))
    last = max(first + 1, min(width, round(stage.end_ns * width / total_ns)))
    return "·" * first + "█" * (last - first) + "·" * (width - last)


class Display:
    """Writes to one stream; fancy on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._fancy = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colored = self._fancy and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """Columns to use."""
        return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns)) if self._fancy else WIDEST

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colored else text

    def line(self, text: str = "") -> None:
        """One line."""
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def headline(self, text: str) -> None:
        """A line that begins something."""
        self.line(self._paint(text, "1"))

    def quote(self, title: str, text: str) -> None:
        """What somebody else said, set off from our own lines."""
        self.line(f"  {self._paint(title, '1')}")
        for part in text.rstrip("\n").splitlines() or ["(nothing)"]:
            self.line(f"  {self._paint('│', '36')} {part}")

    def stages(self, stages: Sequence[Stage], total_ns: int) -> None:
        """The stages of one operation, each as a bar on the operation's time."""
        names = max((len(stage.name) for stage in stages), default=0)
        cells = max(12, self.width - names - TIME_WIDTH - 12)
        for stage in stages:
            bar = self._paint(gantt(stage, total_ns, cells), "34")
            took = duration((stage.end_ns - stage.start_ns) / 1e9).rjust(TIME_WIDTH)
            self.line(f"      {stage.name.ljust(names)}  {bar}  {took}")

    def _row(self, mark: str, step: Step, took_s: float) -> str:
        room = self.width - TITLE_WIDTH - TIME_WIDTH - 8
        words = step.words if len(step.words) <= room else step.words[: room - 1] + "…"
        return f"  {mark} {step.title.ljust(TITLE_WIDTH)}  {words.ljust(room)}  {duration(took_s).rjust(TIME_WIDTH)}"

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step: a spinner while the block runs, then a mark and the time it took."""
        step = Step(title)
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(step, ended), name="spinner", daemon=True)
        if self._fancy:
            ticker.start()
        good = False
        try:
            yield step
            good = True
        finally:
            took_s = time.monotonic() - step.began_s
            ended.set()
            if self._fancy:
                ticker.join()
                self._stream.write(CLEAR_LINE)
            mark = self._paint("✓", "32") if good else self._paint("✗", "31")
            plain = "ok    " if good else "FAILED"
            self.line(self._row(mark if self._fancy else plain, step, took_s))

    def _tick(self, step: Step, ended: threading.Event) -> None:
        number = 0
        while True:
            frame = self._paint(FRAMES[number % len(FRAMES)], "33")
            with self._lock:
                self._stream.write(CLEAR_LINE + self._row(frame, step, time.monotonic() - step.began_s))
                self._stream.flush()
            if ended.wait(TICK_S):
                return
            number += 1
