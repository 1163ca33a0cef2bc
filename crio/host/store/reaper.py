"""Physical removal of what has been renamed out of the store, after every lock is released and the caller has its answer.

One thread that lives as long as there is something to remove. What it has not removed when the daemon is killed is in a staging
area without owner, and goes at the next opening.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from crio.host.store.staging import remove_trees

_log = logging.getLogger(__name__)


class Reaper:
    """Removes trees in the background."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: deque[str] = deque()
        self._busy = False

    def submit(self, *paths: str | None) -> None:
        """Remove ``paths`` (None is nothing) soon."""
        wanted = [path for path in paths if path is not None]
        if not wanted:
            return
        with self._changed:
            self._paths.extend(wanted)
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, name="store-reaper", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is left to remove; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, timeout_s)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._paths:
                    self._busy = False
                    self._changed.notify_all()
                    return
                paths = list(self._paths)
                self._paths.clear()
            try:
                remove_trees(paths)
            except OSError:
                # The tree is out of the store already; the next opening tries again.
                _log.debug("cannot remove %s yet", paths, exc_info=True)
