"""Who is told of what happens, to count it: the port behind the metrics.

Operations tell and go on: nothing here waits or fails. A daemon without metrics has ``Unmetered``, so it neither counts nor imports
what counts.
"""

from __future__ import annotations

from typing import Protocol

from crio.host.pull.progress import PullEnd


class Meter(Protocol):
    """Is told of events; each is over in microseconds."""

    def on_call(self, method: str, seconds: float, failed: bool) -> None:
        """A unary RPC has been answered."""

    def on_network(self, step: str, seconds: float) -> None:
        """A step of a pod's network has been done."""

    def on_pull(self, end: PullEnd) -> None:
        """A pull has ended, one way or the other."""

    def on_retry(self, stage: str) -> None:
        """A request was repeated while its operation stands at ``stage``."""

    def on_oom(self, container_name: str) -> None:
        """A container was killed because it ran out of memory."""

    def on_monitor_lost(self, container_name: str) -> None:
        """A monitor ended before its container."""

    def on_removed(self, container_name: str) -> None:
        """A container is no more."""


class Unmetered:
    """Counts nothing."""

    def on_call(self, method: str, seconds: float, failed: bool) -> None:
        """Nothing."""

    def on_network(self, step: str, seconds: float) -> None:
        """Nothing."""

    def on_pull(self, end: PullEnd) -> None:
        """Nothing."""

    def on_retry(self, stage: str) -> None:
        """Nothing."""

    def on_oom(self, container_name: str) -> None:
        """Nothing."""

    def on_monitor_lost(self, container_name: str) -> None:
        """Nothing."""

    def on_removed(self, container_name: str) -> None:
        """Nothing."""
