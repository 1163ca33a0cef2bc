"""Which failures pass by themselves. A new class has to be put in the table: the default takes a pull's layers away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crio.core import errors
from crio.core.errors import CriError
from crio.core.image import errors as image
from crio.core.image.replies import error_for_status
from crio.core.image.unpacked import error_for_code
from crio.host.pull.unpacker import UnpackerKilled
from crio.host.registry.client import CannotResume
from crio.host.registry.http import BrokenDownload

PASSING: dict[type[CriError], str] = {
    errors.DeadlineExceeded: "no byte came for the stall time",
    errors.Unavailable: "the daemon shuts down, something outside is not there",
    errors.Aborted: "something newer overtook it",
    image.RegistryUnavailable: "no connection, 429 until it was given up, 5xx",
    image.RegistryUnauthorized: "a token ran out; other credentials are tried next",
    image.RegistryDenied: "credentials or a signed address ran out",
    BrokenDownload: "the connection was cut",
    CannotResume: "the connection was cut, and this registry cannot go on in the middle",
    UnpackerKilled: "a lack of memory, or a person",
}
LASTING: dict[type[CriError], str] = {
    CriError: "nobody knows: a redirect in a circle, an answer that is no HTTP, a certificate that is not trusted",
    errors.InvalidArgument: "asked wrongly",
    errors.NotFound: "not there",
    errors.AmbiguousId: "asked wrongly",
    errors.AlreadyExists: "taken",
    errors.FailedPrecondition: "the disk is read-only",
    errors.PermissionDenied: "a policy",
    errors.Unauthenticated: "a policy",
    errors.ResourceExhausted: "the disk is full: the room is needed more than the layers",
    errors.Unimplemented: "cannot be had here",
    errors.Internal: "the unpacker crashed on the content, the disk has errors",
    image.BadReference: "no name",
    image.AmbiguousShortName: "no name",
    image.BadDocument: "manifest or configuration are wrong",
    image.BadConfigFile: "a file of the host is wrong",
    image.DigestMismatch: "content that was not promised",
    image.BadLayer: "truncated, malformed, hostile",
    image.LayerOverBudget: "a bomb",
    image.NoMatchingPlatform: "for other machines",
    image.ManifestUnknown: "the registry does not have it",
    image.BlockedRegistry: "a policy",
    image.NotAnImage: "an artifact",
    image.EncryptedLayer: "no key",
    image.SignatureValidationFailed: "the policy refuses it",
}


def _known(top: type[CriError]) -> Iterator[type[CriError]]:
    """The classes of the three places that a pull's errors come from."""
    for one in top.__subclasses__():
        if one.__module__.startswith(("crio.core.errors", "crio.core.image.", "crio.host.registry.", "crio.host.pull.")):
            yield one
        yield from _known(one)


@pytest.mark.parametrize(("kind", "passes"), [(kind, kind in PASSING) for kind in {**PASSING, **LASTING}])
def test_a_failure_passes_or_lasts(kind: type[CriError], passes: bool) -> None:
    assert kind.passing is passes


def test_every_failure_of_a_pull_is_in_the_table() -> None:
    assert {CriError, *_known(CriError)} == {*PASSING, *LASTING}


STATUSES = {401: True, 403: True, 404: False, 418: False, 429: True, 500: True, 503: True}
CODES = {
    ("digest_mismatch", ""): False,
    ("size_mismatch", ""): False,
    ("truncated", ""): False,
    ("hostile_entry", ""): False,
    ("no_space", ""): False,
    ("budget", "more seconds than"): False,
    ("internal", ""): False,
}


@pytest.mark.parametrize("status", STATUSES)
def test_an_answer_of_a_registry_passes_or_lasts(status: int) -> None:
    assert error_for_status(status, b"", "asked").passing is STATUSES[status]


@pytest.mark.parametrize(("code", "message"), CODES)
def test_what_the_unpacker_finds_lasts(code: str, message: str) -> None:
    assert error_for_code(code, message).passing is CODES[code, message]
