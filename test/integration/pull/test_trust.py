"""policy.json in action: accept, reject, simple signing with a lookaside, sigstore keys and certificates."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crio.core.errors import CriError
from crio.core.image.errors import BadConfigFile, SignatureValidationFailed
from test.integration.pull.kit import ACCEPT_ALL, Bench
from test.support.faulty_registry import Answer, FaultyRegistry
from test.support.registry import RunningRegistry
from test.support.smallimages import OCI_MANIFEST, Pusher, digest_of, image_of, layer_of

IMAGE = image_of((layer_of({"a": b"trusted"}),))
SIMPLE = "atomic container signature"
COSIGN = "cosign container image signature"
PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"


@pytest.fixture
def name(pusher: Pusher, real_registry: RunningRegistry) -> str:
    """The image in the registry."""
    pusher.image("trust/image", "1", IMAGE)
    return f"{real_registry.address}/trust/image:1"


def _payload(kind: str, name: str, digest: str = IMAGE.digest) -> bytes:
    critical = {"type": kind, "image": {"docker-manifest-digest": digest}, "identity": {"docker-reference": name}}
    return json.dumps({"critical": critical, "optional": None if kind == COSIGN else {"creator": "test"}}).encode()


async def test_without_a_policy_nothing_is_pulled_and_the_file_is_named(bench: Bench, name: str) -> None:
    missing = str(bench.folder / "nowhere.json")
    bench.options = replace(bench.options, trust=replace(bench.options.trust, policy=missing))
    with pytest.raises(BadConfigFile, match=r"nowhere\.json: no such file"):
        await bench.pull(name)
    bench.assert_empty()


async def test_reject_rejects_before_any_layer(bench: Bench, name: str) -> None:
    bench.policy({"default": [{"type": "reject"}]})
    with pytest.raises(SignatureValidationFailed, match=r"^SignatureValidationFailed: .*rejects"):
        await bench.pull(name)
    bench.assert_empty()


async def test_the_nearest_scope_decides(bench: Bench, name: str, real_registry: RunningRegistry) -> None:
    repository = f"{real_registry.address}/trust/image"
    accept, reject = ACCEPT_ALL["default"], [{"type": "reject"}]
    bench.policy({"default": reject, "transports": {"docker": {real_registry.address: reject, repository: accept}}})
    await bench.pull(name)


async def test_a_kubernetes_namespace_may_have_its_own_policy(bench: Bench, name: str) -> None:
    folder = bench.folder / "policies"
    folder.mkdir()
    (folder / "strict.json").write_text('{"default":[{"type":"reject"}]}')
    bench.options = replace(bench.options, trust=replace(bench.options.trust, policy_dir=str(folder)))
    with pytest.raises(SignatureValidationFailed, match=r"strict\.json"):
        await bench.pull(name, namespace="strict")
    await bench.pull(name, namespace="free")


@dataclass(frozen=True, slots=True)
class Signer:
    """An OpenPGP key made for these tests."""

    home: pathlib.Path
    mail: str

    def _gpg(self, *argv: str, stdin: bytes = b"") -> bytes:
        # The agent would outlive the test: one process does everything, and gpgconf ends what it started.
        argv = ("gpg", "--homedir", str(self.home), "--batch", "--pinentry-mode", "loopback", "--passphrase", "", *argv)
        return subprocess.run(argv, input=stdin, capture_output=True, check=True).stdout

    def create(self, *lifetime: str) -> None:
        """Makes the key."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._gpg("--quick-generate-key", self.mail, "ed25519", "sign", *(lifetime or ("never",)))

    def end(self) -> None:
        """Ends the agent."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True)

    def public(self) -> bytes:
        """The public key."""
        return self._gpg("--export", self.mail)

    def sign(self, payload: bytes) -> bytes:
        """A signature that contains the payload."""
        return self._gpg("--local-user", self.mail, "--sign", stdin=payload)


@pytest.fixture(scope="module")
def signers() -> object:
    """Two keys; paths of an agent's socket must be short."""
    import shutil
    import tempfile

    home = pathlib.Path(tempfile.mkdtemp(prefix="g", dir="/tmp"))
    both = [Signer(home, mail) for mail in ("good@example.test", "other@example.test")]
    for signer in both:
        signer.create()
    yield both
    both[0].end()
    shutil.rmtree(home)


def _place(bench: Bench, name: str, *signatures: bytes, base: str = "") -> None:
    """Puts signatures into a lookaside folder and points registries.d to it, or to where ``base`` says."""
    digest = IMAGE.digest.replace(":", "=")
    path = name.partition("/")[2].partition(":")[0]
    folder = bench.folder / "lookaside" / f"{path}@{digest}"
    folder.mkdir(parents=True)
    for number, signature in enumerate(signatures, 1):
        (folder / f"signature-{number}").write_bytes(signature)
    conf = bench.folder / "registries.d"
    conf.mkdir()
    (conf / "default.yaml").write_text(f"default-docker:\n  lookaside: {base or f'file://{bench.folder}/lookaside'}\n")


def _signed_by(signer: Signer, identity: Mapping[str, str] | None = None) -> object:
    requirement: dict[str, object] = {
        "type": "signedBy",
        "keyType": "GPGKeys",
        "keyData": base64.b64encode(signer.public()).decode(),
    }
    if identity is not None:
        requirement["signedIdentity"] = identity
    return {"default": [requirement]}


async def test_a_simple_signature_lets_the_image_in_and_is_kept(bench: Bench, name: str, signers: list[Signer]) -> None:
    good, other = signers
    signature = good.sign(_payload(SIMPLE, name))
    _place(bench, name, other.sign(_payload(SIMPLE, name)), signature)
    bench.policy(_signed_by(good))
    result = await bench.pull(name)
    record = bench.store.image(result.image_id)
    assert record is not None
    assert any("signature" in key for key in record.big_data_names)


async def test_signatures_come_over_http_until_one_is_missing(
    bench: Bench, name: str, signers: list[Signer], proxy: FaultyRegistry
) -> None:
    good, other = signers
    _place(bench, name, base=f"http://{proxy.address}/look")
    digest = IMAGE.digest.replace(":", "=")
    for number, signer in ((1, other), (2, good), (4, good)):
        proxy.on(f"/look/trust/image@{digest}/signature-{number}", Answer(200, body=signer.sign(_payload(SIMPLE, name))), 0)
    proxy.on("signature-3", Answer(404), 0)
    bench.policy(_signed_by(good))
    await bench.pull(name)
    assert [seen.path[-1] for seen in proxy.asked("signature-")] == ["1", "2", "3"]
    proxy.rules.clear()
    proxy.on("signature-", Answer(503), 0)
    with pytest.raises(CriError, match=r"reading signature .*503"):
        await bench.pull(name)


async def test_a_key_that_has_expired_signs_nothing(bench: Bench, name: str, signers: list[Signer]) -> None:
    past = ("--faked-system-time", "20200101T000000!")
    old = Signer(signers[0].home, "old@example.test")
    old._gpg(*past, "--quick-generate-key", old.mail, "ed25519", "sign", "1d")
    _place(bench, name, old._gpg(*past, "--local-user", old.mail, "--sign", stdin=_payload(SIMPLE, name)))
    bench.policy(_signed_by(old))
    with pytest.raises(SignatureValidationFailed, match=r"(?i)expired|EXPKEY"):
        await bench.pull(name)
    bench.assert_empty()


BAD_SIMPLE = {
    "no signature at all": (lambda good, other, name: None, "no signature exists"),
    "the wrong key": (lambda good, other, name: other.sign(_payload(SIMPLE, name)), "NO_PUBKEY|not in the policy|ERRSIG"),
    "another image": (lambda good, other, name: good.sign(_payload(SIMPLE, "x.test/a:1")), "identity 'x.test/a:1'"),
    "another digest": (lambda good, other, name: good.sign(_payload(SIMPLE, name, digest_of(b"x"))), "digest .* does not match"),
    "another type": (lambda good, other, name: good.sign(_payload(COSIGN, name)), "critical.type"),
    "no signature inside": (lambda good, other, name: _payload(SIMPLE, name), "not a simple signature"),
}


@pytest.mark.parametrize(("make", "says"), BAD_SIMPLE.values(), ids=BAD_SIMPLE)
async def test_a_bad_simple_signature_is_refused(bench: Bench, name: str, signers: list[Signer], make: object, says: str) -> None:
    good, other = signers
    signature = make(good, other, name)  # type: ignore[operator]
    _place(bench, name, *([signature] if signature is not None else []))
    bench.policy(_signed_by(good))
    with pytest.raises(SignatureValidationFailed, match=says):
        await bench.pull(name)
    bench.assert_empty()


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(SHA256()))


@dataclass(slots=True)
class Attachment:
    """Pushes a sigstore signature beside the image."""

    pusher: Pusher
    bench: Bench

    def push(self, payload: bytes, annotations: Mapping[str, str]) -> None:
        """Uploads one signature and switches attachments on."""
        self.pusher.blob("trust/image", payload)
        config = b"{}"
        self.pusher.blob("trust/image", config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": 2},
            "layers": [
                {
                    "mediaType": PAYLOAD_TYPE,
                    "digest": digest_of(payload),
                    "size": len(payload),
                    "annotations": dict(annotations),
                }
            ],
        }
        tag = IMAGE.digest.replace(":", "-") + ".sig"
        self.pusher.manifest("trust/image", tag, json.dumps(manifest).encode(), OCI_MANIFEST)
        folder = self.bench.folder / "registries.d"
        folder.mkdir(exist_ok=True)
        (folder / "a.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")


def _rekor(log: ec.EllipticCurvePrivateKey, payload: bytes, signature: bytes, pem: bytes, at_s: int) -> str:
    body = {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
            "signature": {"content": _b64(signature), "publicKey": {"content": _b64(pem)}},
        },
    }
    entry = {"body": _b64(json.dumps(body).encode()), "integratedTime": at_s, "logIndex": 5, "logID": "aa"}
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({"SignedEntryTimestamp": _b64(_sign(log, canonical)), "Payload": entry})


EllipticKey = ec.EllipticCurvePrivateKey
KEY, OTHER, LOG = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
RSA, EDWARDS = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()


async def test_a_sigstore_key_lets_the_image_in(bench: Bench, pusher: Pusher, name: str) -> None:
    payload = _payload(COSIGN, name)
    Attachment(pusher, bench).push(payload, {"dev.cosignproject.cosign/signature": _b64(_sign(KEY, payload))})
    bench.policy({"default": [{"type": "sigstoreSigned", "keyDatas": [_b64(_pem(OTHER)), _b64(_pem(KEY))]}]})
    await bench.pull(name)


OTHER_KINDS = {
    "RSA": (RSA, lambda data: RSA.sign(data, padding.PKCS1v15(), SHA256())),
    "Ed25519": (EDWARDS, EDWARDS.sign),
}


@pytest.mark.parametrize(("key", "sign"), OTHER_KINDS.values(), ids=OTHER_KINDS)
async def test_a_sigstore_key_may_be_of_another_kind(
    bench: Bench, pusher: Pusher, name: str, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, sign: Callable[[bytes], bytes]
) -> None:
    payload = _payload(COSIGN, name)
    Attachment(pusher, bench).push(payload, {"dev.cosignproject.cosign/signature": _b64(sign(payload))})
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    bench.policy({"default": [{"type": "sigstoreSigned", "keyData": _b64(pem)}]})
    await bench.pull(name)


LOGGED = {
    "all is well": (LOG, KEY, b"", None),
    "a log that the policy does not know": (OTHER, KEY, b"", "signed by none of the keys"),
    "an entry for another key": (LOG, OTHER, b"", "for another key"),
    "an entry about another payload": (LOG, KEY, b" ", "about another signature"),
}


@pytest.mark.parametrize(("log", "logged_key", "more", "says"), LOGGED.values(), ids=LOGGED)
async def test_a_key_may_have_to_be_logged(
    bench: Bench, pusher: Pusher, name: str, log: EllipticKey, logged_key: EllipticKey, more: bytes, says: str | None
) -> None:
    payload = _payload(COSIGN, name)
    signature = _sign(KEY, payload)
    bundle = _rekor(log, payload + more, signature, _pem(logged_key), int(time.time()))
    annotations = {"dev.cosignproject.cosign/signature": _b64(signature), "dev.sigstore.cosign/bundle": bundle}
    Attachment(pusher, bench).push(payload, annotations)
    bench.policy({"default": [{"type": "sigstoreSigned", "keyData": _b64(_pem(KEY)), "rekorPublicKeyData": _b64(_pem(LOG))}]})
    if says is None:
        await bench.pull(name)
    else:
        with pytest.raises(SignatureValidationFailed, match=says):
            await bench.pull(name)


BAD_SIGSTORE = {
    "the wrong key": (OTHER, COSIGN, {}, "none of the keys"),
    "another type of payload": (KEY, SIMPLE, {}, "critical.type"),
    "no log entry though one is wanted": (KEY, COSIGN, {"rekorPublicKeyData": _b64(_pem(LOG))}, "there is none"),
}


@pytest.mark.parametrize(("key", "kind", "more", "says"), BAD_SIGSTORE.values(), ids=BAD_SIGSTORE)
async def test_a_bad_sigstore_signature_is_refused(
    bench: Bench, pusher: Pusher, name: str, key: ec.EllipticCurvePrivateKey, kind: str, more: Mapping[str, str], says: str
) -> None:
    payload = _payload(kind, name)
    Attachment(pusher, bench).push(payload, {"dev.cosignproject.cosign/signature": _b64(_sign(key, payload))})
    bench.policy({"default": [{"type": "sigstoreSigned", "keyData": _b64(_pem(KEY)), **more}]})
    with pytest.raises(SignatureValidationFailed, match=says):
        await bench.pull(name)
    bench.assert_empty()


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority made for these tests."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def issue(self, key: EllipticKey, mail: str, issuer: str = "", ends_in_hours: int = -1) -> bytes:
        """A code signing certificate of an hour, in PEM, for a mail address and the host ``signer.test``."""
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=ends_in_hours)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - datetime.timedelta(hours=1))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(mail), x509.DNSName("signer.test")]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), issuer.encode()), critical=False)
        )
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)


def _authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {os.urandom(4).hex()}")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    )
    return Authority(key, builder.sign(key, SHA256()))


TRUSTED, STRANGER = _authority(), _authority()

FULCIO = {
    "all is well": (TRUSTED, "a@example.test", "https://issuer.test", 90, None),
    "another mail address": (TRUSTED, "b@example.test", "https://issuer.test", 90, "not for 'a@example.test'"),
    "another issuer": (TRUSTED, "a@example.test", "https://evil.test", 90, "OIDC issuer 'https://evil.test'"),
    "another authority": (STRANGER, "a@example.test", "https://issuer.test", 90, "does not lead to an authority"),
    "logged after it expired": (TRUSTED, "a@example.test", "https://issuer.test", 10, "does not lead to an authority"),
}


@pytest.mark.parametrize(("authority", "mail", "issuer", "minutes_ago", "says"), FULCIO.values(), ids=FULCIO)
async def test_a_short_lived_certificate(
    bench: Bench, pusher: Pusher, name: str, authority: Authority, mail: str, issuer: str, minutes_ago: int, says: str | None
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = authority.issue(key, mail, issuer)
    payload = _payload(COSIGN, name)
    signature = _sign(key, payload)
    at_s = int(datetime.datetime.now(datetime.UTC).timestamp()) - minutes_ago * 60
    Attachment(pusher, bench).push(
        payload,
        {
            "dev.cosignproject.cosign/signature": _b64(signature),
            "dev.sigstore.cosign/certificate": leaf.decode(),
            "dev.sigstore.cosign/bundle": _rekor(LOG, payload, signature, leaf, at_s),
        },
    )
    fulcio = {
        "caData": _b64(TRUSTED.certificate.public_bytes(Encoding.PEM)),
        "oidcIssuer": "https://issuer.test",
        "subjectEmail": "a@example.test",
    }
    bench.policy({"default": [{"type": "sigstoreSigned", "fulcio": fulcio, "rekorPublicKeyData": _b64(_pem(LOG))}]})
    if says is None:
        await bench.pull(name)
    else:
        with pytest.raises(SignatureValidationFailed, match=says):
            await bench.pull(name)


PKI = {
    "for a mail address": (TRUSTED, {"subjectEmail": "a@example.test"}, 1, None),
    "for a host": (TRUSTED, {"subjectHostname": "signer.test"}, 1, None),
    "for another mail address": (TRUSTED, {"subjectEmail": "b@example.test"}, 1, "not for 'b@example.test'"),
    "for another host": (TRUSTED, {"subjectHostname": "evil.test"}, 1, "not for host 'evil.test'"),
    "of another authority": (STRANGER, {"subjectEmail": "a@example.test"}, 1, "does not lead to an authority"),
    "that has ended": (TRUSTED, {"subjectEmail": "a@example.test"}, -1, "does not lead to an authority"),
}


@pytest.mark.parametrize(("authority", "subject", "ends_in_hours", "says"), PKI.values(), ids=PKI)
async def test_a_certificate_of_an_own_authority(
    bench: Bench, pusher: Pusher, name: str, authority: Authority, subject: Mapping[str, str], ends_in_hours: int, says: str | None
) -> None:
    payload = _payload(COSIGN, name)
    leaf = authority.issue(KEY, "a@example.test", ends_in_hours=ends_in_hours).decode()
    annotations = {"dev.cosignproject.cosign/signature": _b64(_sign(KEY, payload)), "dev.sigstore.cosign/certificate": leaf}
    Attachment(pusher, bench).push(payload, annotations)
    roots = _b64(TRUSTED.certificate.public_bytes(Encoding.PEM))
    bench.policy({"default": [{"type": "sigstoreSigned", "pki": {"caRootsData": roots, **subject}}]})
    if says is None:
        await bench.pull(name)
    else:
        with pytest.raises(SignatureValidationFailed, match=says):
            await bench.pull(name)


async def test_the_policy_is_asked_again_for_a_stored_image(bench: Bench, name: str, signers: list[Signer]) -> None:
    good, other = signers
    _place(bench, name, good.sign(_payload(SIMPLE, name)))
    bench.policy(_signed_by(good))
    async with bench.engine() as engine:
        image = bench.store.image((await bench.pull(name)).image_id)
        assert image is not None
        for asked in (name, image.id):
            await engine.check_policy(image, asked, "")
        for changed in (_signed_by(other), {"default": [{"type": "reject"}]}):
            bench.policy(changed)
            with pytest.raises(SignatureValidationFailed):
                await engine.check_policy(image, name, "")


async def test_an_unsigned_stored_image_fails_a_policy_that_wants_signatures(bench: Bench, name: str, signers: list[Signer]) -> None:
    image = bench.store.image((await bench.pull(name)).image_id)
    assert image is not None
    bench.policy(_signed_by(signers[0]))
    async with bench.engine() as engine:
        with pytest.raises(SignatureValidationFailed, match="no signature exists"):
            await engine.check_policy(image, image.id[:12], "")


async def test_skopeo_makes_signatures_that_we_accept(bench: Bench, name: str, signers: list[Signer], tmp_path: pathlib.Path) -> None:
    good = signers[0]
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(IMAGE.manifest)
    out = tmp_path / "signature"
    fingerprint = good._gpg("--with-colons", "--list-keys", good.mail).decode().split("fpr:::::::::")[1][:40]
    argv = ["skopeo", "standalone-sign", str(manifest), name, fingerprint, "-o", str(out)]
    await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True, env={**os.environ, "GNUPGHOME": str(good.home)})
    _place(bench, name, out.read_bytes())
    bench.policy(_signed_by(good))
    await bench.pull(name)
