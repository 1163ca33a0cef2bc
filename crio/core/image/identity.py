"""Whether a signature that names one image may speak for another, and what a signature's payload says.

Source: containers-policy.json(5), "signedIdentity"; containers-signature(5); specification D.5 to D.7.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from crio.core.image.digest import Digest, parse_digest
from crio.core.image.document import Fields, parse_object
from crio.core.image.errors import BadDocument, BadReference
from crio.core.image.reference import Reference, parse_reference
from crio.core.image.registries import prefix_length

SIMPLE_TYPE = "atomic container signature"
COSIGN_TYPE = "cosign container image signature"


class IdentityKind(enum.Enum):
    """The ways of comparing the signed name with the one that was asked for."""

    EXACT = "matchExact"
    REPO_DIGEST_OR_EXACT = "matchRepoDigestOrExact"
    REPOSITORY = "matchRepository"
    EXACT_REFERENCE = "exactReference"
    EXACT_REPOSITORY = "exactRepository"
    REMAP = "remapIdentity"


_MEMBERS = {
    IdentityKind.EXACT: (),
    IdentityKind.REPO_DIGEST_OR_EXACT: (),
    IdentityKind.REPOSITORY: (),
    IdentityKind.EXACT_REFERENCE: ("dockerReference",),
    IdentityKind.EXACT_REPOSITORY: ("dockerRepository",),
    IdentityKind.REMAP: ("prefix", "signedPrefix"),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """A ``signedIdentity``; ``first`` and ``second`` are the members that its kind has, in the order of the manual."""

    kind: IdentityKind
    first: str = ""
    second: str = ""


def default_identity() -> Identity:
    """What holds when a requirement has no ``signedIdentity``."""
    return Identity(IdentityKind.REPO_DIGEST_OR_EXACT)


def parse_identity(fields: Fields) -> Identity:
    """Parses a ``signedIdentity``.

    :raises BadDocument: an unknown type, a missing or an extra member, a name that is none
    """
    try:
        kind = IdentityKind(fields.text("type"))
    except ValueError as error:
        raise fields.wrong("type", " or ".join(item.value for item in IdentityKind)) from error
    members = _MEMBERS[kind]
    fields.only(frozenset({"type", *members}))
    values = [fields.text(member) for member in members]
    for member, value in zip(members, values, strict=True):
        if not value:
            raise fields.wrong(member, "a text that is not empty")
    if kind in {IdentityKind.EXACT_REFERENCE, IdentityKind.EXACT_REPOSITORY}:
        try:
            parse_reference(values[0])
        except BadReference as error:
            raise fields.wrong(members[0], "an image reference") from error
    return Identity(kind, *values)


def identity_accepts(identity: Identity, asked: Reference, signed_text: str) -> bool:
    """Whether a signature for ``signed_text`` is good for the image that was asked for as ``asked``."""
    try:
        signed = parse_reference(signed_text)
        return _accepts(identity, asked, signed)
    except BadReference:
        return False


def _accepts(identity: Identity, asked: Reference, signed: Reference) -> bool:
    kind = identity.kind
    if kind is IdentityKind.EXACT:
        return _same_tagged(asked, signed)
    if kind is IdentityKind.REPOSITORY:
        return asked.repository == signed.repository
    if kind is IdentityKind.EXACT_REFERENCE:
        return _same_tagged(parse_reference(identity.first), signed)
    if kind is IdentityKind.EXACT_REPOSITORY:
        return parse_reference(identity.first).repository == signed.repository
    if kind is IdentityKind.REMAP:
        return _repo_digest_or_exact(_remapped(identity, asked), signed)
    return _repo_digest_or_exact(asked, signed)


def _same_tagged(asked: Reference, signed: Reference) -> bool:
    """Equal names; both must say which image they mean, or two bare names would match anything."""
    says = all(name.tag is not None or name.digest is not None for name in (asked, signed))
    return says and str(asked) == str(signed)


def _repo_digest_or_exact(asked: Reference, signed: Reference) -> bool:
    if asked.digest is not None:
        return asked.repository == signed.repository
    return _same_tagged(asked, signed)


def _remapped(identity: Identity, asked: Reference) -> Reference:
    text = str(asked)
    covered = None if identity.first.startswith("*.") else prefix_length(identity.first, text)
    return asked if covered is None else parse_reference(identity.second + text[covered:])


@dataclass(frozen=True, slots=True)
class SignedClaim:
    """What a signature says: this digest is the image of this name."""

    reference: str
    digest: Digest


def parse_claim(payload: bytes, kind: str) -> SignedClaim:
    """Parses the payload of a signature.

    :param kind: ``SIMPLE_TYPE`` or ``COSIGN_TYPE``; a payload of the other kind is refused
    :raises BadDocument: not exactly the members that ``critical`` has to have
    """
    fields = parse_object(payload, "signature", unique_keys=True)
    fields.only(frozenset({"critical", "optional"}))
    critical = fields.child("critical")
    _exactly(critical, {"type", "image", "identity"})
    if critical.text("type") != kind:
        raise critical.wrong("type", repr(kind))
    image, identity = critical.child("image"), critical.child("identity")
    _exactly(image, {"docker-manifest-digest"})
    _exactly(identity, {"docker-reference"})
    fields.child("optional")
    try:
        digest = parse_digest(image.text("docker-manifest-digest"))
    except BadReference as error:
        raise BadDocument(f"{image.path}: {error.message}") from error
    return SignedClaim(identity.text("docker-reference"), digest)


def _exactly(fields: Fields, members: set[str]) -> None:
    fields.only(frozenset(members))
    for member in sorted(members):
        if not fields.has(member):
            raise fields.wrong(member, "a value")
