"""How a registry is asked. Apart from the client, so that naming an option does not load it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crio import __version__


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How requests are made. ``stall_s`` is how long a peer may send nothing."""

    certs_dirs: tuple[Path, ...] = ()
    stall_s: float = 120.0
    user_agent: str = f"cri-o/{__version__}"
