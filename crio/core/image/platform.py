"""Which entry of an index is for this machine.

Source: OCI image index; specification E.4 for the order of variants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ZSTD_ANNOTATION = "io.github.containers.compression.zstd"

_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
}
_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "arm64": ("v8",)}


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and an architecture in Go's names."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        variant = f", variant {self.variant!r}" if self.variant else ""
        return f"architecture {self.architecture!r}{variant}, OS {self.os!r}"


def platform_of_machine(machine: str) -> Platform:
    """The platform of a Linux machine whose kernel calls itself ``machine`` (``uname -m``)."""
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def wanted_variants(platform: Platform) -> tuple[str, ...]:
    """The variants that run here, best first; the empty string stands for "says nothing"."""
    known = _VARIANTS.get(platform.architecture, ())
    if platform.variant in known:
        return (*known[known.index(platform.variant) :], "")
    if platform.variant:
        return (platform.variant, "")
    return ("", *known)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of an index as far as the choice looks at it."""

    platform: Platform | None
    annotations: Mapping[str, str]


def choose_entry(entries: tuple[Candidate, ...], wanted: Platform) -> int | None:
    """The position of the best entry for ``wanted``, or None.

    The best variant wins, then an entry compressed with zstd, then the order of the index. Entries that name no
    platform come last: they are the only entry of an index that somebody wrote for one platform.
    """
    variants = wanted_variants(wanted)
    best: tuple[int, int, int] | None = None
    for position, entry in enumerate(entries):
        rank = _rank(entry.platform, wanted, variants)
        if rank is None:
            continue
        plain = 0 if entry.annotations.get(ZSTD_ANNOTATION) == "true" else 1
        key = (rank, plain, position)
        best = key if best is None else min(best, key)
    return None if best is None else best[2]


def _rank(platform: Platform | None, wanted: Platform, variants: tuple[str, ...]) -> int | None:
    if platform is None:
        return len(variants)
    if platform.os != wanted.os or platform.architecture != wanted.architecture:
        return None
    return variants.index(platform.variant) if platform.variant in variants else None
