"""policy.json: which images may be pulled from where.

Parsing is strict, since a misread policy is a hole: unknown and repeated keys, missing keys and empty lists are errors. The
scope nearest to the image decides, and every requirement of its list has to be satisfied.

Source: containers-policy.json(5); specification D.5.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from crio.core.image.document import Fields, parse_object
from crio.core.image.errors import BadConfigFile, BadDocument
from crio.core.image.identity import Identity, default_identity, parse_identity
from crio.core.image.reference import Reference

KeyMaterial: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class AcceptAnything:
    """No signature is needed."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Nothing satisfies this."""

    why: str = "the policy rejects every image of this scope"


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A simple signature by one of the OpenPGP keys; ``keys`` are paths or key data."""

    keys: tuple[KeyMaterial, ...]
    identity: Identity


@dataclass(frozen=True, slots=True)
class Fulcio:
    """Short-lived certificates of a Fulcio authority for one mail address."""

    authority: KeyMaterial
    oidc_issuer: str
    subject_email: str


@dataclass(frozen=True, slots=True)
class Pki:
    """Certificates of an ordinary authority."""

    roots: KeyMaterial
    intermediates: KeyMaterial | None
    subject_email: str
    subject_hostname: str


@dataclass(frozen=True, slots=True)
class SigstoreSigned:
    """A sigstore signature: by one of ``keys``, or with a certificate of ``fulcio`` or ``pki``."""

    identity: Identity
    keys: tuple[KeyMaterial, ...] = ()
    fulcio: Fulcio | None = None
    pki: Pki | None = None
    rekor_keys: tuple[KeyMaterial, ...] = ()


Requirement: TypeAlias = AcceptAnything | Reject | SignedBy | SigstoreSigned


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy: the default, and per transport the lists by scope."""

    source: str
    default: tuple[Requirement, ...]
    transports: Mapping[str, Mapping[str, tuple[Requirement, ...]]]

    def requirements(self, transport: str, scopes: Iterator[str]) -> tuple[Requirement, ...]:
        """The requirements for an image: those of its nearest scope, else of the transport, else the default."""
        table = self.transports.get(transport, {})
        for scope in scopes:
            if scope in table:
                return table[scope]
        return table.get("", self.default)


def docker_scopes(reference: Reference) -> Iterator[str]:
    """The scopes of an image in a registry, nearest first."""
    settled = reference.settled()
    yield str(settled)
    name = settled.repository
    while "/" in name:
        yield name
        name = name.rpartition("/")[0]
    yield name
    host = name.rpartition(":")[0] or name
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"


def path_scopes(path: str, image: str = "") -> Iterator[str]:
    """The scopes of an image in a file or directory: ``path:image``, the path, then its ancestors."""
    if image:
        yield f"{path}:{image}"
    while path not in {"", "/"}:
        yield path
        path = path.rpartition("/")[0]
    yield "/"


def parse_policy(body: bytes, source: str) -> Policy:
    """Parses a policy file.

    :raises BadConfigFile: names the file, the place in it and what was expected
    """
    try:
        fields = parse_object(body, "", unique_keys=True)
        fields.only(frozenset({"default", "transports"}))
        transports = fields.child("transports")
        tables = {
            name: {scope: _requirements(transports.child(name), scope) for scope in transports.child(name).values}
            for name in transports.values
        }
        return Policy(source, _requirements(fields, "default"), tables)
    except BadDocument as error:
        raise BadConfigFile(f"{source}: {error.message}") from error


def _requirements(fields: Fields, key: str) -> tuple[Requirement, ...]:
    found = tuple(_requirement(item) for item in fields.children(key))
    if not found:
        raise fields.wrong(key, "a list of at least one requirement")
    return found


def _requirement(fields: Fields) -> Requirement:
    kind = fields.text("type")
    if kind == "insecureAcceptAnything":
        fields.only(frozenset({"type"}))
        return AcceptAnything()
    if kind == "reject":
        fields.only(frozenset({"type"}))
        return Reject()
    if kind == "signedBy":
        return _signed_by(fields)
    if kind == "signedBaseLayer":
        fields.only(frozenset({"type", "baseLayerIdentity"}))
        parse_identity(fields.child("baseLayerIdentity"))
        return Reject("signedBaseLayer cannot be checked")
    if kind == "sigstoreSigned":
        return _sigstore_signed(fields)
    raise fields.wrong("type", "insecureAcceptAnything, reject, signedBy, signedBaseLayer or sigstoreSigned")


def _signed_by(fields: Fields) -> Requirement:
    fields.only(frozenset({"type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"}))
    kind = fields.text("keyType")
    if kind not in {"GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs"}:
        raise fields.wrong("keyType", "GPGKeys")
    keys = _keys(fields, "keyPath", "keyPaths", "keyData", None)
    if not keys:
        raise fields.wrong("keyPath", "exactly one of keyPath, keyPaths and keyData")
    identity = _identity(fields)
    return SignedBy(keys, identity) if kind == "GPGKeys" else Reject(f"keyType {kind} is not supported")


def _sigstore_signed(fields: Fields) -> SigstoreSigned:
    sources = ("keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki")
    rekor = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
    fields.only(frozenset({"type", "signedIdentity", *sources, *rekor}))
    if sum(fields.has(key) for key in sources) != 1:
        raise fields.wrong("keyPath", f"exactly one of {', '.join(sources)}")
    if sum(fields.has(key) for key in rekor) > 1:
        raise fields.wrong(rekor[0], f"at most one of {', '.join(rekor)}")
    rekor_keys = _keys(fields, *rekor)
    if fields.has("fulcio") and not rekor_keys:
        raise fields.wrong(rekor[0], "a Rekor key, which fulcio needs")
    if fields.has("pki") and rekor_keys:
        raise fields.wrong("pki", "no Rekor key beside it")
    return SigstoreSigned(
        identity=_identity(fields),
        keys=_keys(fields, "keyPath", "keyPaths", "keyData", "keyDatas"),
        fulcio=_fulcio(fields.child("fulcio")) if fields.has("fulcio") else None,
        pki=_pki(fields.child("pki")) if fields.has("pki") else None,
        rekor_keys=rekor_keys,
    )


def _identity(fields: Fields) -> Identity:
    return parse_identity(fields.child("signedIdentity")) if fields.has("signedIdentity") else default_identity()


def _keys(fields: Fields, path: str, paths: str, data: str, datas: str | None) -> tuple[KeyMaterial, ...]:
    """The keys of whichever member is there; more than one member is an error."""
    names = [name for name in (path, paths, data, datas) if name is not None and fields.has(name)]
    if len(names) > 1:
        raise fields.wrong(names[1], f"nothing, since {names[0]} is there")
    if not names:
        return ()
    name = names[0]
    if name == path:
        return (_nonempty(fields, path),)
    if name == data:
        return (_decoded(fields, data, fields.text(data)),)
    texts = fields.texts(name)
    if not texts:
        raise fields.wrong(name, "a list of at least one")
    return texts if name == paths else tuple(_decoded(fields, name, text) for text in texts)


def _decoded(fields: Fields, key: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise fields.wrong(key, "base64") from error


def _nonempty(fields: Fields, key: str) -> str:
    text = fields.text(key)
    if not text:
        raise fields.wrong(key, "a text that is not empty")
    return text


def _fulcio(fields: Fields) -> Fulcio:
    fields.only(frozenset({"caPath", "caData", "oidcIssuer", "subjectEmail"}))
    return Fulcio(_one_material(fields, "caPath", "caData"), _nonempty(fields, "oidcIssuer"), _nonempty(fields, "subjectEmail"))


def _pki(fields: Fields) -> Pki:
    intermediates = ("caIntermediatesPath", "caIntermediatesData")
    fields.only(frozenset({"caRootsPath", "caRootsData", *intermediates, "subjectEmail", "subjectHostname"}))
    email, hostname = fields.text("subjectEmail"), fields.text("subjectHostname")
    if not email and not hostname:
        raise fields.wrong("subjectEmail", "subjectEmail, subjectHostname or both")
    has_intermediates = any(fields.has(key) for key in intermediates)
    return Pki(
        _one_material(fields, "caRootsPath", "caRootsData"),
        _one_material(fields, *intermediates) if has_intermediates else None,
        email,
        hostname,
    )


def _one_material(fields: Fields, path: str, data: str) -> KeyMaterial:
    if fields.has(path) == fields.has(data):
        raise fields.wrong(path, f"exactly one of {path} and {data}")
    return _nonempty(fields, path) if fields.has(path) else _decoded(fields, data, fields.text(data))
