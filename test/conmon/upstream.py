"""What Debian's conmon 2.1.6 is known not to do, by test: the name (of one row: with its brackets) and why.

Numbers with # are rows of the table of known defects, a version is the one that brought the behaviour.
"""

from __future__ import annotations

KNOWN: dict[str, str] = {}


def known(name: str) -> str | None:
    """Why upstream fails the test ``name``; None when it has to pass."""
    return KNOWN.get(name) or KNOWN.get(name.partition("[")[0])
