"""Refusals of the disk as answers: a full disk is an expected outcome with a sentence, not a traceback."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from crio.core.errors import CriError, FailedPrecondition, Internal, ResourceExhausted

P = ParamSpec("P")
T = TypeVar("T")

_KINDS: dict[int, type[CriError]] = {
    errno.ENOSPC: ResourceExhausted,
    errno.EDQUOT: ResourceExhausted,
    errno.EMFILE: ResourceExhausted,
    errno.ENFILE: ResourceExhausted,
    errno.EROFS: FailedPrecondition,
}


def refusal(error: OSError) -> type[CriError]:
    """The kind of answer that a refusal of the disk is: ResourceExhausted, FailedPrecondition or Internal."""
    return _KINDS.get(error.errno or 0, Internal)


def disk_errors(verb: Callable[P, T]) -> Callable[P, T]:
    """Make ``verb`` raise ResourceExhausted, FailedPrecondition or Internal, with the path, instead of OSError."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return verb(*args, **kwargs)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise refusal(error)(f"store: {verb.__name__.replace('_', ' ')}: {error.strerror or error}{where}") from error

    return wrapped
