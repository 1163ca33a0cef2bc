"""The certificate of a server: made, judged, read again; clients that verify it decide."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import pathlib
import ssl
from collections.abc import AsyncIterator, Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crio.core.errors import InvalidArgument
from crio.core.settings.api import TlsVersion
from crio.host.servertls import PairFiles, ServerTls, TlsRules, ensure_pair

RULES = TlsRules(TlsVersion.TLS12)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def files(tmp_path: pathlib.Path) -> PairFiles:
    """Where the pair is; nothing is there yet."""
    return PairFiles(str(tmp_path / "tls/c.pem"), str(tmp_path / "tls/k.pem"), "metrics_cert", "metrics_key")


def write_pair(files: PairFiles, begin: datetime.timedelta = -DAY, end: datetime.timedelta = DAY, password: bytes = b"") -> None:
    """A pair of somebody else's making, valid from ``begin`` to ``end`` from now on."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now + begin, now + end)
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    pathlib.Path(files.cert).parent.mkdir(exist_ok=True)
    pathlib.Path(files.key).write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, lock))
    pathlib.Path(files.cert).write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))


@contextlib.asynccontextmanager
async def serving(files: PairFiles, rules: TlsRules = RULES) -> AsyncIterator[int]:
    """A TLS server with this pair that says goodbye at once; its port."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    tls = ServerTls(files, rules)
    try:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls.context)
        async with server:
            yield server.sockets[0].getsockname()[1]
    finally:
        tls.close()


async def seen(port: int, context: ssl.SSLContext | None = None) -> ssl.SSLObject:
    """What a client sees of the server's TLS; by default it verifies nothing."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object")
    writer.close()
    assert isinstance(found, ssl.SSLObject)
    return found


async def test_a_made_pair_convinces_a_client_that_trusts_it(files: PairFiles) -> None:
    ensure_pair(files, "127.0.0.1")
    assert [oct(os.stat(path).st_mode & 0o777) for path in (files.cert, files.key)] == ["0o600", "0o600"]
    assert oct(os.stat(os.path.dirname(files.key)).st_mode & 0o777) == "0o700"
    context = ssl.create_default_context(cafile=files.cert)
    async with serving(files) as port:
        assert (await seen(port, context)).getpeercert()


def test_a_pair_that_is_there_is_left_alone(files: PairFiles) -> None:
    write_pair(files)
    before = pathlib.Path(files.cert).read_bytes()
    ensure_pair(files, "localhost")
    assert pathlib.Path(files.cert).read_bytes() == before


@pytest.mark.parametrize("missing", ["cert", "key"])
def test_half_a_pair_is_refused(files: PairFiles, missing: str) -> None:
    write_pair(files)
    path = getattr(files, missing)
    os.unlink(path)
    with pytest.raises(InvalidArgument, match=f"metrics_{missing} '{path}' does not exist: expected both files"):
        ensure_pair(files, "localhost")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    files = PairFiles(str(tmp_path / "file/c.pem"), str(tmp_path / "file/k.pem"), "metrics_cert", "metrics_key")
    with pytest.raises(InvalidArgument, match="cannot be made: File exists: expected a folder"):
        ensure_pair(files, "localhost")


def _garbage(files: PairFiles) -> None:
    write_pair(files)
    pathlib.Path(files.cert).write_text("no certificate")


def _strangers(files: PairFiles) -> None:
    write_pair(files)
    cert = pathlib.Path(files.cert).read_bytes()
    write_pair(files)
    pathlib.Path(files.cert).write_bytes(cert)


BAD_PAIRS: dict[str, tuple[Callable[[PairFiles], None], str]] = {
    "garbage": (_garbage, "expected a certificate"),
    "of two makers": (_strangers, "KEY_VALUES_MISMATCH"),
    "over": (lambda files: write_pair(files, -2 * DAY, -DAY), "is valid from .* only"),
    "not yet begun": (lambda files: write_pair(files, DAY, 2 * DAY), "is valid from .* only"),
    "locked with a password": (lambda files: write_pair(files, password=b"secret"), "expected a certificate"),
    "a folder": (lambda files: [os.makedirs(path) for path in (files.cert, files.key)] and None, "expected a certificate"),
}


@pytest.mark.parametrize("case", BAD_PAIRS)
async def test_a_bad_pair_is_refused_that_is(files: PairFiles, case: str) -> None:
    make, words = BAD_PAIRS[case]
    make(files)
    with pytest.raises(InvalidArgument, match=words) as caught:
        ServerTls(files, RULES)
    assert f"metrics_cert {files.cert!r} and metrics_key {files.key!r} cannot be used" in caught.value.message


async def test_cipher_suites_that_are_gone_are_refused(files: PairFiles) -> None:
    write_pair(files)
    with pytest.raises(InvalidArgument, match="tls_cipher_suites 'TLS_RSA_WITH_RC4_128_SHA' cannot be used"):
        ServerTls(files, TlsRules(TlsVersion.TLS12, ("TLS_RSA_WITH_RC4_128_SHA",)))


async def test_the_rules_hold(files: PairFiles) -> None:
    write_pair(files)
    suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(files, TlsRules(TlsVersion.TLS12, (suite,))) as port:
        cipher = (await seen(port, old)).cipher()
        assert cipher is not None and cipher[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    async with serving(files, TlsRules(TlsVersion.TLS13, (suite,))) as port:
        assert (await seen(port)).version() == "TLSv1.3"
        # An alert, or no more than a closed connection: asyncio does not wait for its own alert to go out.
        with pytest.raises(OSError):
            await seen(port, old)


def spoil(files: PairFiles) -> None:
    """The key's file is changed by someone who should not."""
    pathlib.Path(files.key).write_text("no key")


async def certificate(port: int) -> bytes | None:
    """The certificate that the server shows now."""
    return (await seen(port)).getpeercert(binary_form=True)


async def test_a_new_pair_is_shown_and_a_bad_one_is_not(files: PairFiles, caplog: pytest.LogCaptureFixture) -> None:
    write_pair(files)
    async with serving(files) as port, asyncio.timeout(10):
        first = await certificate(port)
        write_pair(files)
        while (second := await certificate(port)) == first:
            pass
        # Between the two writes the pair did not fit together.
        caplog.clear()
        spoil(files)
        while not any("the certificate in use is kept" in words for words in caplog.messages):
            await certificate(port)
        assert await certificate(port) == second
