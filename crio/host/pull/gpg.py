"""Checking a simple signature with gpg, in a keyring that holds nothing but the keys of the requirement.

Source: containers-signature(5); specification D.6.
"""

from __future__ import annotations

import asyncio
import base64
import re
import tempfile
from collections.abc import Iterable

from crio.core.errors import CriError
from crio.core.image.digest import Digest
from crio.core.image.errors import BadConfigFile, BadDocument
from crio.core.image.identity import SIMPLE_TYPE, identity_accepts, parse_claim
from crio.core.image.policy import KeyMaterial, SignedBy
from crio.core.image.reference import Reference
from crio.host import process
from crio.host.registry.conffiles import read_bounded_file

GPG = "/usr/bin/gpg"
GPG_S = 30.0
_OPENPGP_BIT = 0x80
_FINGERPRINT = re.compile(r"[0-9A-F]{40,64}")
_FATAL_STATUS = frozenset({"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY"})


def is_simple_signature(signature: bytes) -> bool:
    """Whether a blob is an OpenPGP message rather than a sigstore signature."""
    return bool(signature) and bool(signature[0] & _OPENPGP_BIT)


async def verify_simple(requirement: SignedBy, asked: Reference, digest: Digest, signature: bytes) -> str | None:
    """None when ``signature`` satisfies the requirement for the image ``asked`` with manifest ``digest``, else what is wrong.

    :raises BadConfigFile: a key file that cannot be read or holds no key
    """
    if not is_simple_signature(signature):
        return "not a simple signature"
    keys = await asyncio.to_thread(lambda: [load_key(key) for key in requirement.keys])
    with tempfile.TemporaryDirectory(prefix="crio-gpg-") as home:
        trusted = await _import_keys(home, keys)
        done = await _gpg(home, "--decrypt", stdin=signature)
        statuses = _statuses(done.stderr)
        problem = _signer_problem(statuses, trusted)
        if problem is not None:
            return problem
    return _claim_problem(done.stdout, requirement, asked, digest)


def load_key(key: KeyMaterial) -> bytes:
    """The bytes of a key that is given by path or as data.

    :raises BadConfigFile: the file cannot be read
    """
    if isinstance(key, bytes):
        return key
    try:
        return read_bounded_file(key)
    except OSError as error:
        raise BadConfigFile(f"{key}: {error.strerror}") from error


async def _import_keys(home: str, keys: Iterable[bytes]) -> frozenset[str]:
    for key in keys:
        await _gpg(home, "--import", stdin=_dearmored(key))
    listed = await _gpg(home, "--with-colons", "--fingerprint", "--list-keys")
    found: set[str] = set()
    primary = False
    for line in listed.stdout.decode(errors="replace").splitlines():
        columns = line.split(":")
        if columns[0] in {"pub", "sub"}:
            primary = columns[0] == "pub"
        elif columns[0] == "fpr" and primary and len(columns) > 9:
            found.add(columns[9])
    if not found:
        raise BadConfigFile("policy: the keys of signedBy hold no OpenPGP public key")
    return frozenset(found)


def _dearmored(key: bytes) -> bytes:
    """Key data may be base64 of a key once more; gpg itself reads binary and ASCII armour."""
    if key[:1] and not key[0] & _OPENPGP_BIT and not key.lstrip().startswith(b"-----"):
        try:
            return base64.b64decode(key, validate=True)
        except ValueError:
            return key
    return key


async def _gpg(home: str, *arguments: str, stdin: bytes = b"") -> process.Completed:
    argv = (GPG, "--homedir", home, "--batch", "--no-tty", "--no-autostart", "--trust-model", "always")
    try:
        return await process.run((*argv, "--status-fd", "2", *arguments), stdin=stdin, timeout_s=GPG_S)
    except CriError as error:
        raise BadConfigFile(f"policy: signedBy needs {GPG}: {error.message}") from error


def _statuses(stderr: bytes) -> list[list[str]]:
    lines = stderr.decode(errors="replace").splitlines()
    return [line.split()[1:] for line in lines if line.startswith("[GNUPG:] ")]


def _signer_problem(statuses: list[list[str]], trusted: frozenset[str]) -> str | None:
    words = [status[0] for status in statuses if status]
    fatal = [word for word in words if word in _FATAL_STATUS]
    if fatal:
        return f"invalid signature ({fatal[0]})"
    valid = [status for status in statuses if status and status[0] == "VALIDSIG"]
    if words.count("NEWSIG") != 1 or len(valid) != 1 or words.count("GOODSIG") != 1:
        return "not exactly one good signature"
    primary = valid[0][-1]
    if _FINGERPRINT.fullmatch(primary) is None or primary not in trusted:
        return f"signed by key {primary[:64]}, which is not in the policy"
    return None


def _claim_problem(payload: bytes, requirement: SignedBy, asked: Reference, digest: Digest) -> str | None:
    try:
        claim = parse_claim(payload, SIMPLE_TYPE)
    except BadDocument as error:
        return error.message
    if not identity_accepts(requirement.identity, asked, claim.reference):
        return f"signature for identity {claim.reference!r} is not accepted"
    if claim.digest != digest:
        return f"signature for digest {claim.digest} does not match {digest}"
    return None
