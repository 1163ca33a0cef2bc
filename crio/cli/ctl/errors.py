"""What can go wrong for a client, each with its exit code."""

from __future__ import annotations

from typing import ClassVar, Final

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_NOT_FOUND: Final = 4
EXIT_TIMED_OUT: Final = 124


class CtlError(Exception):
    """An expected end of a command; ``str(error)`` is the sentence for the user."""

    exit_code: ClassVar[int] = EXIT_REFUSED


class BadInput(CtlError):
    """The command line or a file cannot be understood."""

    exit_code = EXIT_USAGE


class Unreachable(CtlError):
    """Nobody answers on the socket."""

    exit_code = EXIT_UNREACHABLE


class NoSuchObject(CtlError):
    """The runtime does not know the object."""

    exit_code = EXIT_NOT_FOUND


class TimedOut(CtlError):
    """The runtime did not answer in time."""

    exit_code = EXIT_TIMED_OUT


class Refused(CtlError):
    """The runtime answered with an error; ``code`` is the name of its gRPC status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
