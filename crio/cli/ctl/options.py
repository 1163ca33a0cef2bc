"""The options of one command, looked up by name with their type."""

from __future__ import annotations

import argparse

from crio.cli.ctl.errors import BadInput


class Options:
    """What was given on the command line; an option that a command does not have is empty."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given

    def text(self, name: str) -> str:
        """A text, empty when it was not given."""
        value: object = getattr(self._given, name, "")
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """Whether a switch was given."""
        return getattr(self._given, name, False) is True

    def number(self, name: str) -> int:
        """A number, 0 when it was not given."""
        value: object = getattr(self._given, name, 0)
        return value if isinstance(value, int) else 0

    def words(self, name: str) -> list[str]:
        """The remaining words, without the ``--`` that may stand before them."""
        value: object = getattr(self._given, name, None)
        words = [str(item) for item in value] if isinstance(value, list) else []
        return words[1:] if words[:1] == ["--"] else words

    def object_id(self, kind: str) -> str:
        """The id, given with ``--id`` or alone; raises BadInput."""
        wanted = self.text("id") or self.text("object")
        if not wanted:
            raise BadInput(f"--id is missing: expected the id of a {kind}")
        return wanted

    def reference(self) -> str:
        """The image, given with ``--id`` or alone; raises BadInput."""
        wanted = self.text("image") or self.text("id")
        if not wanted:
            raise BadInput("expected the reference or id of an image")
        return wanted


def label_selector(options: Options) -> dict[str, str]:
    """The labels of every ``--label key=value``; raises BadInput."""
    selector = {}
    for item in options.words("label"):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise BadInput(f"--label {item!r}: expected key=value")
        selector[key] = value
    return selector
