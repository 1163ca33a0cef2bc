"""TLS for what the daemon serves: a certificate and its key from two files, made when neither exists, and read again when they change.

A pair is judged before it is used: it must belong together and be valid now. A new pair that is not good leaves the old one in use.
Connections that are open keep the certificate that they began with. Source: crio-interfaces §2.10, §3.3.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crio.core.ciphers import openssl_cipher
from crio.core.errors import InvalidArgument
from crio.core.settings.api import TlsVersion
from crio.host import inotify
from crio.host.files import read_bounded, write_atomic

# An old self-signed certificate keeps a daemon from starting, and nobody renews it.
SELF_SIGNED_LIFE: Final = datetime.timedelta(days=3650)
_PEM_LIMIT_BYTES: Final = 1 << 20
_CHANGES: Final = inotify.IN_CLOSE_WRITE | inotify.IN_MOVED_TO | inotify.IN_CREATE
# Kubernetes replaces the files of a Secret all at once by renaming this link beside them.
_SECRET_LINK: Final = "..data"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PairFiles:
    """Where a certificate and its key are, and which settings name the two files."""

    cert: str
    key: str
    cert_setting: str
    key_setting: str

    def __str__(self) -> str:
        return f"{self.cert_setting} {self.cert!r} and {self.key_setting} {self.key!r}"


@dataclass(frozen=True, slots=True)
class TlsRules:
    """What clients must be able to do. ``cipher_suites`` are IANA names, for TLS 1.2; none leaves the choice to the library."""

    minimum: TlsVersion
    cipher_suites: tuple[str, ...] = ()


def ensure_pair(files: PairFiles, host: str) -> None:
    """Make a self-signed pair when neither file exists: for the name of this machine, and for ``host`` if that is an address.

    :raises InvalidArgument: only one of the two exists, or they cannot be written
    """
    there = (os.path.exists(files.cert), os.path.exists(files.key))
    if all(there):
        return
    if any(there):
        setting, path = (files.key_setting, files.key) if there[0] else (files.cert_setting, files.cert)
        raise InvalidArgument(f"{setting} {path!r} does not exist: expected both files of the pair, or neither, to have one made")
    cert, key = _self_signed(host)
    try:
        for path, body in ((files.key, key), (files.cert, cert)):
            os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
            write_atomic(path, body, 0o600)
    except OSError as error:
        raise InvalidArgument(f"{files} cannot be made: {error.strerror}: expected a folder that can be written to") from error
    log.info("%s did not exist: a self-signed pair has been made", files)


def _self_signed(host: str) -> tuple[bytes, bytes]:
    """A certificate and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    machine = socket.gethostname()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, machine[:64])])
    names: list[x509.GeneralName] = [x509.DNSName(machine)]
    with contextlib.suppress(ValueError):
        names.append(x509.IPAddress(ipaddress.ip_address(host)))
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + SELF_SIGNED_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return builder.sign(key, hashes.SHA256()).public_bytes(encoding), secret


class ServerTls:
    """The TLS of one server; ``context`` is what it listens with. ``close`` it after the server."""

    def __init__(self, files: PairFiles, rules: TlsRules) -> None:
        """:raises InvalidArgument: the pair cannot be used, or no cipher suite is left"""
        self._files = files
        self._rules = rules
        self._present = self._load()
        self.context = self._load()
        self.context.sni_callback = self._choose
        self._watch = inotify.DirectoryWatch(self._on_change)
        for folder in {os.path.dirname(path) or "." for path in (files.cert, files.key)}:
            self._watch.add(folder, _CHANGES)

    def close(self) -> None:
        """Stop watching the files."""
        self._watch.close()

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _: str | None, __: ssl.SSLContext) -> None:
        """Each handshake takes the newest good pair. Loading into the context in use could leave a half-changed one."""
        connection.context = self._present

    def _on_change(self, _: str, name: str, mask: int) -> None:
        names = {os.path.basename(self._files.cert), os.path.basename(self._files.key), _SECRET_LINK}
        if name not in names and not mask & inotify.IN_Q_OVERFLOW:
            return
        try:
            self._present = self._load()
        except InvalidArgument as error:
            log.warning("the certificate in use is kept: %s", error)
        else:
            log.info("%s have been read again", self._files)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        modern = self._rules.minimum is TlsVersion.TLS13
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if modern else ssl.TLSVersion.TLSv1_2
        suites = () if modern else self._rules.cipher_suites
        if suites:
            _told("tls_cipher_suites", ", ".join(suites), lambda: context.set_ciphers(":".join(map(openssl_cipher, suites))))
        try:
            # Without a password to give, the library would ask for that of an encrypted key on the terminal.
            context.load_cert_chain(self._files.cert, self._files.key, password=lambda: b"")
            _check_dates(read_bounded(self._files.cert, _PEM_LIMIT_BYTES))
        except (ssl.SSLError, OSError, ValueError) as error:
            said = error.reason if isinstance(error, ssl.SSLError) and error.reason else error
            raise InvalidArgument(f"{self._files} cannot be used: {said}: expected a certificate that is valid now and its key") from error
        return context


def _told(setting: str, value: str, apply: Callable[[], None]) -> None:
    try:
        apply()
    except ssl.SSLError as error:
        raise InvalidArgument(f"{setting} {value!r} cannot be used: expected a suite that this machine's OpenSSL still has") from error


def _check_dates(pem: bytes) -> None:
    """:raises ValueError: the certificate is not valid now"""
    certificate = x509.load_pem_x509_certificate(pem)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= datetime.datetime.now(datetime.UTC) <= end:
        raise ValueError(f"the certificate is valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC only")
