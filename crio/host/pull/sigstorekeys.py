"""The cryptography of sigstore signatures: keys, the log's timestamp, certificate chains.

Source: cosign signature specification; Fulcio's certificate extensions; RFC 5280; specification D.7.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from crio.core.image.errors import BadConfigFile
from crio.core.image.policy import Fulcio, KeyMaterial, Pki, SigstoreSigned
from crio.core.image.sigstoreblob import (
    BUNDLE_KEY,
    CERTIFICATE_KEY,
    CHAIN_KEY,
    RekorEntry,
    SigstoreBlob,
    entry_is_about,
    parse_rekor_bundle,
)
from crio.host.pull.gpg import load_key

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
MAX_CHAIN = 6
E = TypeVar("E", bound=x509.ExtensionType)
_ISSUER_RAW = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_DER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_UTF8_STRING = 0x0C


class SignatureProblem(Exception):
    """What is wrong with a signature."""


def check_signer(requirement: SigstoreSigned, blob: SigstoreBlob) -> None:
    """Checks that somebody whom the requirement trusts has signed the payload of ``blob``.

    :raises SignatureProblem: nobody has
    :raises BadDocument: the annotations are malformed
    :raises BadConfigFile: the policy's keys are unusable
    """
    if requirement.fulcio is not None:
        _check_fulcio(requirement, requirement.fulcio, blob)
    elif requirement.pki is not None:
        _check_pki(requirement.pki, blob)
    else:
        _check_keys(requirement, blob)


def _check_keys(requirement: SigstoreSigned, blob: SigstoreBlob) -> None:
    for material in requirement.keys:
        key = _policy_key(material)
        if _verifies(key, blob.signature, blob.payload):
            if requirement.rekor_keys:
                entry = _rekor_entry(requirement.rekor_keys, blob)
                if _der(_public_key(entry.public_key_pem)) != _der(key):
                    raise SignatureProblem("the log entry is for another key")
            return
    raise SignatureProblem("invalid signature: made by none of the keys of the policy")


def _check_fulcio(requirement: SigstoreSigned, fulcio: Fulcio, blob: SigstoreBlob) -> None:
    entry = _rekor_entry(requirement.rekor_keys, blob)
    leaf, others = _certificates(blob)
    logged = _one_certificate(entry.public_key_pem)
    if logged != leaf:
        raise SignatureProblem("the log entry is for another certificate")
    moment = datetime.datetime.fromtimestamp(entry.integrated_at_s, datetime.UTC)
    _check_chain(leaf, others, _policy_certificates(fulcio.authority), moment)
    issuer = _oidc_issuer(leaf)
    if issuer != fulcio.oidc_issuer:
        raise SignatureProblem(f"certificate of OIDC issuer {issuer!r}, expected {fulcio.oidc_issuer!r}")
    if fulcio.subject_email not in _names(leaf, x509.RFC822Name):
        raise SignatureProblem(f"certificate is not for {fulcio.subject_email!r}")
    if not _verifies(_usable(leaf.public_key()), blob.signature, blob.payload):
        raise SignatureProblem("invalid signature: not made with its certificate")


def _check_pki(pki: Pki, blob: SigstoreBlob) -> None:
    leaf, others = _certificates(blob)
    if pki.intermediates is not None:
        others = [*others, *_policy_certificates(pki.intermediates)]
    _check_chain(leaf, others, _policy_certificates(pki.roots), datetime.datetime.now(datetime.UTC))
    if pki.subject_email and pki.subject_email not in _names(leaf, x509.RFC822Name):
        raise SignatureProblem(f"certificate is not for {pki.subject_email!r}")
    if pki.subject_hostname and pki.subject_hostname not in _names(leaf, x509.DNSName):
        raise SignatureProblem(f"certificate is not for host {pki.subject_hostname!r}")
    if not _verifies(_usable(leaf.public_key()), blob.signature, blob.payload):
        raise SignatureProblem("invalid signature: not made with its certificate")


def _rekor_entry(keys: Sequence[KeyMaterial], blob: SigstoreBlob) -> RekorEntry:
    """The log entry of ``blob``, its timestamp verified by one of the log's keys."""
    if BUNDLE_KEY not in blob.annotations:
        raise SignatureProblem("the policy wants an entry in the transparency log, and there is none")
    entry = parse_rekor_bundle(blob.annotations[BUNDLE_KEY])
    if not any(_verifies(_policy_key(key), entry.timestamp_signature, entry.signed_bytes) for key in keys):
        raise SignatureProblem("the log entry's timestamp is signed by none of the keys of the policy")
    if not entry_is_about(entry, blob.payload, blob.signature):
        raise SignatureProblem("the log entry is about another signature")
    return entry


def _certificates(blob: SigstoreBlob) -> tuple[x509.Certificate, list[x509.Certificate]]:
    text = blob.annotations.get(CERTIFICATE_KEY, "")
    if not text:
        raise SignatureProblem("the policy wants a certificate, and there is none")
    leaf = _one_certificate(text.encode())
    chain = blob.annotations.get(CHAIN_KEY, "")
    return leaf, _parse_certificates(chain.encode()) if chain else []


def _check_chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    moment: datetime.datetime,
) -> None:
    """Checks that ``leaf`` is a code signing certificate that leads to one of ``roots``, all of them valid at ``moment``."""
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise SignatureProblem("the certificate is not for code signing")
    if not _leads_to_root(leaf, intermediates, roots, moment, 0):
        raise SignatureProblem("the certificate does not lead to an authority of the policy")


def _leads_to_root(
    certificate: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    moment: datetime.datetime,
    below: int,
) -> bool:
    """``below`` counts the authorities between ``certificate`` and the leaf, which path length limits speak of."""
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc or below > MAX_CHAIN:
        return False
    if any(_issued(root, certificate, below) and _valid(root, moment) for root in roots):
        return True
    return any(
        _issued(one, certificate, below) and _leads_to_root(one, intermediates, roots, moment, below + 1)
        for one in intermediates
        if one != certificate
    )


def _valid(certificate: x509.Certificate, moment: datetime.datetime) -> bool:
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


def _issued(authority: x509.Certificate, certificate: x509.Certificate, below: int) -> bool:
    constraints = _extension(authority, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return False
    if constraints.path_length is not None and below > constraints.path_length:
        return False
    usage = _extension(authority, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _names(certificate: x509.Certificate, kind: type[x509.RFC822Name] | type[x509.DNSName]) -> list[str]:
    alternatives = _extension(certificate, x509.SubjectAlternativeName)
    return [] if alternatives is None else alternatives.get_values_for_type(kind)


def _oidc_issuer(certificate: x509.Certificate) -> str:
    """The identity provider that Fulcio noted; both spellings may be there and must then agree."""
    found: set[str] = set()
    for extension in certificate.extensions:
        if not isinstance(extension.value, x509.UnrecognizedExtension):
            continue
        raw = extension.value.value
        if extension.oid == _ISSUER_RAW:
            found.add(raw.decode(errors="replace"))
        elif extension.oid == _ISSUER_DER:
            if len(raw) < 2 or raw[0] != _UTF8_STRING or raw[1] != len(raw) - 2 or raw[1] >= 0x80:
                raise SignatureProblem("the certificate's OIDC issuer is not a short UTF-8 string")
            found.add(raw[2:].decode(errors="replace"))
    if len(found) != 1:
        raise SignatureProblem("the certificate names no single OIDC issuer")
    return found.pop()


def _verifies(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), SHA256())
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _usable(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        return key
    raise SignatureProblem(f"keys of type {type(key).__name__} are not supported")


def _public_key(pem: bytes) -> PublicKey:
    try:
        return _usable(load_pem_public_key(pem))
    except ValueError as error:
        raise SignatureProblem("the log entry holds no public key") from error


def _policy_key(material: KeyMaterial) -> PublicKey:
    try:
        return _usable(load_pem_public_key(load_key(material)))
    except (ValueError, SignatureProblem) as error:
        where = material if isinstance(material, str) else "key data"
        raise BadConfigFile(f"policy: {where} is not a public key in PEM: {error}") from error


def _policy_certificates(material: KeyMaterial) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(load_key(material))
    except ValueError as error:
        where = material if isinstance(material, str) else "certificate data"
        raise BadConfigFile(f"policy: {where} is not a certificate in PEM: {error}") from error


def _parse_certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise SignatureProblem(f"a certificate is malformed: {error}") from error


def _one_certificate(pem: bytes) -> x509.Certificate:
    found: Iterable[x509.Certificate] = _parse_certificates(pem)
    return next(iter(found))


def _der(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
