"""The expected outcomes of an operation that are not success.

A ``CriError`` is an answer, not a bug: it carries a code that the gRPC edge maps to a status once (``crio.cri.status``),
and a sentence that names the field, the value and what was expected. Everything that is not a ``CriError`` is a bug and
travels to the task root with its traceback.
"""

from __future__ import annotations

import enum
from typing import ClassVar


class Code(enum.Enum):
    """What kind of answer an error is; the values are the gRPC status names. Source: gRPC status codes."""

    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"


class CriError(Exception):
    """An expected outcome with a code; ``str(error)`` is the sentence that the caller reads.

    ``passing``: it says nothing about what was asked for. The same request may succeed in a while, so what was done for it already
    is worth keeping for a time.
    ``reason`` is one word of a closed list for those who count failures; empty where the class says enough.
    """

    code: ClassVar[Code] = Code.UNKNOWN
    passing: ClassVar[bool] = False

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class InvalidArgument(CriError):
    """The request itself is wrong: names the field, the value and what was expected."""

    code = Code.INVALID_ARGUMENT


class NotFound(CriError):
    """The object that the request names does not exist."""

    code = Code.NOT_FOUND


class AmbiguousId(NotFound):
    """Several objects have an id that starts like this: which one is meant is not known, and removal does not pass over it."""


class AlreadyExists(CriError):
    """A name or id is taken by something else."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(CriError):
    """The object is not in a state that allows the request."""

    code = Code.FAILED_PRECONDITION


class PermissionDenied(CriError):
    """A policy refuses the request."""

    code = Code.PERMISSION_DENIED


class Unauthenticated(CriError):
    """A registry wants other credentials."""

    code = Code.UNAUTHENTICATED


class ResourceExhausted(CriError):
    """A limit of the daemon or of the machine (disk, descriptors, sessions) is reached."""

    code = Code.RESOURCE_EXHAUSTED


class DeadlineExceeded(CriError):
    """The time for the operation ran out."""

    code = Code.DEADLINE_EXCEEDED
    passing = True


class Unavailable(CriError):
    """Something outside (registry, network plugin) cannot be reached now; a retry may help."""

    code = Code.UNAVAILABLE
    passing = True


class Aborted(CriError):
    """The operation was given up because something newer or stronger overtook it."""

    code = Code.ABORTED
    passing = True


class Unimplemented(CriError):
    """The verb or option does not exist here."""

    code = Code.UNIMPLEMENTED


class Internal(CriError):
    """Something below (runtime, kernel, disk) failed in a way that the caller cannot mend by asking otherwise."""

    code = Code.INTERNAL
