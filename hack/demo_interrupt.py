"""Ctrl-C and TERM, felt only where nothing is half done.

An exception out of a signal handler can strike inside the gRPC library while it holds a lock, and closing the connection then waits for
ever. So the handler only takes a note, and the places that wait look at it.
"""

from __future__ import annotations

import signal
import threading

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_asked = threading.Event()


class Interrupted(Exception):
    """Somebody wants us to end."""


def listen() -> None:
    """From here on a signal is a note."""
    for number in ENDING:
        signal.signal(number, lambda *_: _asked.set())


def check() -> None:
    """Raise Interrupted when a signal came, once: what follows is the clean-up."""
    if _asked.is_set():
        _asked.clear()
        raise Interrupted
