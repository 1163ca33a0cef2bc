"""How one OCI runtime is called, and what its answers mean.

Every call is ``PATH GLOBAL… --root ROOT [--systemd-cgroup] --log-format json VERB … ID``. Without a log file both runtimes write
their log to standard error, one JSON object a line; the last error in it is the sentence that callers see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from crio.core.errors import CriError, FailedPrecondition, Internal, NotFound
from crio.core.oci.features import RuntimeFeatures
from crio.host.process import PATH

_MISSING = ("does not exist", "no such container")
_GONE = ("not running", "no such process", "process already finished", "is not running", "stopped container")


@dataclass(frozen=True, slots=True)
class RuntimeCommand:
    """One handler's runtime. ``global_args`` go in front of everything; ``path`` is what is executed (it may be a wrapper)."""

    handler: str
    path: str
    root: str
    features: RuntimeFeatures = RuntimeFeatures()
    systemd_cgroup: bool = False
    global_args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH})

    def argv(self, *words: str) -> list[str]:
        """The command line for a verb and its words."""
        systemd = ["--systemd-cgroup"] if self.systemd_cgroup else []
        return [self.path, *self.global_args, "--root", self.root, *systemd, "--log-format", "json", *words]

    def monitor_args(self) -> tuple[str, ...]:
        """What a monitor puts between the path (its ``--runtime``) and a verb: one ``--runtime-arg`` each.

        ``--systemd-cgroup`` is not among them: the monitor has an option of its own for it.
        """
        return (*self.global_args, f"--root={self.root}")


def error_text(stderr: bytes) -> str:
    """The last error of a runtime's log, or its last line as it is, at most 2000 letters."""
    last = ""
    for line in stderr.decode(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            last = line.strip() or last
            continue
        if isinstance(entry, dict) and entry.get("level", "error") in ("error", "fatal", "panic"):
            last = str(entry.get("msg", "")) or last
    return last[-2000:]


def is_missing(container_id: str, text: str) -> bool:
    """Whether a runtime says that it does not know the container."""
    lowered = text.lower()
    if any(words in lowered for words in _MISSING):
        return True
    # crun has no words of its own for it: its folder of the container, or the first file in there, cannot be opened.
    return "no such file or directory" in lowered and any(f"/{container_id}{end}" in text for end in ("/status", "'", "`"))


def is_gone(text: str) -> bool:
    """Whether a runtime says that the container's process has ended."""
    lowered = text.lower()
    return any(words in lowered for words in _GONE)


def to_error(verb: str, container_id: str, text: str) -> CriError:
    """The expected outcome behind a failed call."""
    if is_missing(container_id, text):
        return NotFound(f"container {container_id!r} is not known to the runtime")
    if is_gone(text):
        return FailedPrecondition(f"container {container_id!r} does not run: cannot {verb}: {text}")
    return Internal(f"runtime cannot {verb} container {container_id!r}: {text or 'it gave no reason'}")
