"""The expected ways in which an image cannot be had.

Two of them carry a first word that the kubelet recognises: it strips the status code only from UNKNOWN errors and then
compares the beginning of the sentence, so these must be UNKNOWN and must begin with exactly that word.
"""

from __future__ import annotations

from typing import Final

from crio.core.errors import (
    Code,
    CriError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
)


class BadReference(InvalidArgument):
    """The name of an image is not one: names the text and the rule that it breaks."""


class AmbiguousShortName(InvalidArgument):
    """A short name has several candidates and the mode forbids guessing."""


class BadDocument(CriError):
    """A document from outside (manifest, configuration, token reply) is malformed, too big or contradicts itself."""


class BadConfigFile(FailedPrecondition):
    """A configuration file (registries.conf, policy.json, auth file) has an error: names the file and the key."""


class DigestMismatch(CriError):
    """Content does not have the digest or the size that was promised for it."""


class BadLayer(CriError):
    """A layer is truncated, malformed or hostile."""


class LayerOverBudget(DeadlineExceeded):
    """Unpacking a layer takes more processor time than any layer may have; it would do so again."""

    passing = False


class NoMatchingPlatform(NotFound):
    """An index has no image for this machine: names architecture, variant and OS."""


class ManifestUnknown(NotFound):
    """The registry answered and does not have this image."""


class RegistryUnauthorized(Unauthenticated):
    """The registry wants other credentials for this image; the kubelet tries those that it has in turn."""

    passing = True


class RegistryDenied(PermissionDenied):
    """The registry knows who asks and refuses; so it does with credentials that have run out."""

    passing = True


class BlockedRegistry(PermissionDenied):
    """registries.conf blocks every access to this registry."""


class NotAnImage(CriError):
    """The reference names an OCI artifact, which has no root file system."""


class EncryptedLayer(Unimplemented):
    """A layer is encrypted and there is no key for it."""


class RegistryUnavailable(CriError):
    """The registry cannot be reached now. Source: k8s.io/cri-api errors, ErrRegistryUnavailable."""

    code = Code.UNKNOWN
    passing = True

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(f"RegistryUnavailable: {message}", reason)


class SignatureValidationFailed(CriError):
    """The policy rejects the image. Source: k8s.io/cri-api errors, ErrSignatureValidationFailed."""

    code = Code.UNKNOWN

    def __init__(self, message: str) -> None:
        super().__init__(f"SignatureValidationFailed: {message}")


CONNECTION_REFUSED: Final = "CONNECTION_REFUSED"
CONNECTION_TIMEOUT: Final = "CONNECTION_TIMEOUT"
# Source: OCI distribution specification, "Error codes"; UNAVAILABLE and UNKNOWN are Docker's.
REGISTRY_CODES: Final = frozenset(
    {
        *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID"),
        *("MANIFEST_UNKNOWN", "MANIFEST_UNVERIFIED", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "TAG_INVALID", "UNAUTHORIZED"),
        *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS", "UNAVAILABLE", "UNKNOWN"),
    }
)


def failure_reason(error: BaseException) -> str:
    """Why a pull failed, in one word of a closed list: the registry's code, else what is known about the connection."""
    if isinstance(error, CriError) and error.reason:
        return error.reason
    classes = (
        (RegistryUnauthorized, "UNAUTHORIZED"),
        (RegistryDenied, "DENIED"),
        (NotFound, "NOT_FOUND"),
        (DeadlineExceeded, CONNECTION_TIMEOUT),
    )
    return next((word for kind, word in classes if isinstance(error, kind)), "UNKNOWN")
