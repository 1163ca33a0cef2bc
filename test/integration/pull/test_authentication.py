"""Who we are at a registry: Basic, Bearer, identity tokens, auth files, helpers, and what never leaves for another host."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import urllib.parse
from dataclasses import dataclass, field, replace

import pytest

from crio.core.errors import CriError
from crio.core.image.auth import Credentials
from crio.core.image.errors import BadConfigFile, RegistryUnauthorized
from crio.host import process
from test.integration.pull.kit import Bench
from test.support.faulty_registry import Answer, FaultyRegistry, Seen, faulty
from test.support.registry import RunningRegistry
from test.support.smallimages import Pusher, image_of, layer_of

IMAGE = image_of((layer_of({"a": b"secret"}),))
REPOSITORY = "private/team/image"
BASIC = "Basic " + base64.b64encode(b"alice:pass:word").decode()
ALICE = Credentials("alice", "pass:word")


@dataclass(slots=True)
class Guard:
    """Rules that make a proxy demand authentication."""

    proxy: FaultyRegistry
    scheme: str = "Bearer"
    tokens: list[str] = field(default_factory=list)
    life_s: int = 300
    scopes: tuple[str, ...] = (f"repository:{REPOSITORY}:pull",)

    def install(self) -> None:
        """From now on the proxy is guarded."""
        self.proxy.on("^/token", self.on_token, 0)
        self.proxy.rules.append(self.on_request)

    def on_token(self, request: Seen) -> Answer:
        """Hands out a token to alice, by password or by identity token."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.target).query))
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        by_password = request.headers.get("authorization") == BASIC and query.get("account") == "alice"
        if not by_password and form.get("refresh_token") != "identity":
            return Answer(401, body=b'{"errors":[{"code":"UNAUTHORIZED"}]}')
        assert (query or form)["scope"] in self.scopes
        assert (query or form)["service"] == "here"
        token = f"token-{len(self.tokens)}"
        self.tokens.append(token)
        return Answer(200, body=json.dumps({"token": token, "expires_in": self.life_s}).encode())

    def on_request(self, request: Seen) -> Answer | None:
        """Lets a request with the newest token, or with the password, through."""
        given = request.headers.get("authorization", "")
        if given == (BASIC if self.scheme == "Basic" else f"Bearer {self.tokens[-1] if self.tokens else '-'}"):
            return None
        realm = f'Bearer realm="http://{self.proxy.address}/token",service="here"' if self.scheme == "Bearer" else 'Basic realm="r"'
        return Answer(401, (("WWW-Authenticate", realm),), b'{"errors":[{"code":"UNAUTHORIZED"}]}')


@pytest.fixture
def place(bench: Bench, pusher: Pusher, proxy: FaultyRegistry) -> str:
    """The image in the real registry, its name at the proxy."""
    pusher.image(REPOSITORY, "1", IMAGE)
    bench.insecure(proxy.address)
    return f"{proxy.address}/{REPOSITORY}:1"


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
async def test_a_password_works_with_one_refusal_on_the_way(bench: Bench, proxy: FaultyRegistry, place: str, scheme: str) -> None:
    Guard(proxy, scheme).install()
    await bench.pull(place, ALICE)
    refused = [seen for seen in proxy.seen if "authorization" not in seen.headers and seen.path != "/token"]
    assert [seen.path for seen in refused] == ["/v2/"]


async def test_one_token_serves_the_whole_pull(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    guard = Guard(proxy)
    guard.install()
    await bench.pull(place, ALICE)
    assert guard.tokens == ["token-0"]


async def test_an_identity_token_is_posted_as_a_form(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    Guard(proxy).install()
    await bench.pull(place, Credentials(identity_token="identity"))
    (asked,) = proxy.asked("/token")
    form = dict(urllib.parse.parse_qsl(asked.body.decode()))
    assert (asked.method, form["grant_type"], form["client_id"]) == ("POST", "refresh_token", "containers/image")


async def test_a_registry_token_is_used_as_it_is(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    guard = Guard(proxy, tokens=["given"])
    guard.install()
    await bench.pull(place, Credentials(registry_token="given"))
    assert proxy.asked("/token") == []


async def test_a_token_that_expires_in_between_is_renewed(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    guard = Guard(proxy)
    expired: list[str] = []

    def expire(request: Seen) -> Answer | None:
        if "/blobs/" in request.target and not expired:
            expired.append(guard.tokens[-1])
            guard.tokens.append("never handed out")
        return None

    proxy.rules.append(expire)
    guard.install()
    await bench.pull(place, ALICE)
    assert expired == ["token-0"]
    assert guard.tokens[-1] == "token-2"


async def test_a_registry_that_wants_another_scope_is_asked_once_more_with_it(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    plain = f"repository:{REPOSITORY}:pull"
    wider = f"{plain},push"
    guard = Guard(proxy, scopes=(plain, wider))

    def refuse(request: Seen) -> Answer | None:
        if "/manifests/" not in request.target or request.headers.get("authorization") != "Bearer token-0":
            return None
        challenge = f'Bearer realm="http://{proxy.address}/token",service="here",scope="{wider}",error="insufficient_scope"'
        return Answer(401, (("WWW-Authenticate", challenge),))

    proxy.rules.append(refuse)
    guard.install()
    await bench.pull(place, ALICE)
    scopes = [urllib.parse.parse_qs(urllib.parse.urlsplit(seen.target).query)["scope"] for seen in proxy.asked("/token")]
    assert scopes[:2] == [[plain], [wider]]
    assert len(proxy.asked("/manifests/")) == 2


@pytest.mark.parametrize("credentials", [None, Credentials("alice", "wrong")], ids=["none", "a wrong password"])
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
async def test_wrong_credentials_are_called_so(
    bench: Bench, proxy: FaultyRegistry, place: str, scheme: str, credentials: Credentials | None
) -> None:
    Guard(proxy, scheme).install()
    with pytest.raises(RegistryUnauthorized, match="unauthorized"):
        await bench.pull(place, credentials)
    bench.assert_empty()


KEYS = {
    "the host": lambda host: host,
    "a parent of the repository": lambda host: f"{host}/private",
    "the repository": lambda host: f"{host}/{REPOSITORY}",
    "an old spelling": lambda host: f"https://{host}/v1/",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
async def test_an_auth_file_is_asked_for(bench: Bench, proxy: FaultyRegistry, place: str, key: object) -> None:
    Guard(proxy).install()
    auth = base64.b64encode(b"alice:pass:word").decode()
    bench.auth_file({"auths": {key(proxy.address): {"auth": auth}}})  # type: ignore[operator]
    await bench.pull(place)


async def test_the_nearest_key_of_an_auth_file_wins(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    Guard(proxy).install()
    good, bad = (base64.b64encode(text).decode() for text in (b"alice:pass:word", b"mallory:x"))
    bench.auth_file({"auths": {proxy.address: {"auth": bad}, f"{proxy.address}/private/team": {"auth": good}}})
    await bench.pull(place)


async def test_a_namespaced_file_is_used_once_and_deleted(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    Guard(proxy).install()
    folder = bench.folder / "auth"
    folder.mkdir()
    bench.options = replace(bench.options, namespaced_auth_dir=str(folder))
    stem = f"team-{hashlib.sha256(place.encode()).hexdigest()}"
    auth = base64.b64encode(b"alice:pass:word").decode()
    (folder / f"{stem}.json").write_text(json.dumps({"auths": {proxy.address: {"auth": auth}}}))
    await bench.pull(place, namespace="team")
    assert [str(path) for path in folder.rglob("*.json")] == []
    with pytest.raises(RegistryUnauthorized):
        await bench.pull(place, namespace="other")


@pytest.fixture
def trial_helper(proxy: FaultyRegistry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A credential helper that knows alice at the proxy; gives its name."""
    helper = tmp_path / "docker-credential-trial"
    reply = json.dumps({"ServerURL": "x", "Username": "alice", "Secret": "pass:word"})
    helper.write_text(f"#!/bin/sh\nread host; [ \"$1 $host\" = 'get {proxy.address}' ] && echo '{reply}'\n")
    helper.chmod(0o755)
    monkeypatch.setattr(process, "PATH", f"{tmp_path}:{process.PATH}")
    return "trial"


async def test_a_credential_helper_is_asked(bench: Bench, proxy: FaultyRegistry, place: str, trial_helper: str) -> None:
    Guard(proxy).install()
    bench.auth_file({"credHelpers": {proxy.address: trial_helper}})
    await bench.pull(place)


@pytest.mark.parametrize("helpers", [["trial"], ["containers-auth.json", "trial"], ["absent", "trial"]])
async def test_the_helpers_of_registries_conf_are_asked_in_turn(
    bench: Bench, proxy: FaultyRegistry, place: str, trial_helper: str, helpers: list[str]
) -> None:
    Guard(proxy).install()
    bench.auth_file({"auths": {}})
    insecure = f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n'
    bench.registries(f"credential-helpers = {json.dumps(helpers)}\n{insecure}")
    await bench.pull(place)
    bench.registries(f'credential-helpers = ["absent"]\n{insecure}')
    with pytest.raises(BadConfigFile, match="docker-credential-absent"):
        await bench.pull(place)


async def test_a_redirect_to_another_host_carries_no_credentials(
    bench: Bench, proxy: FaultyRegistry, place: str, real_registry: RunningRegistry
) -> None:
    Guard(proxy, "Basic").install()
    async with faulty(real_registry.address) as elsewhere:
        proxy.rules.insert(
            0,
            lambda seen: Answer(307, (("Location", f"http://{elsewhere.address}{seen.target}"),)) if "/blobs/" in seen.target else None,
        )
        await bench.pull(place, ALICE)
        assert len(elsewhere.seen) == 2
        assert all("authorization" not in seen.headers for seen in elsewhere.seen)
        assert all("authorization" in seen.headers for seen in proxy.asked("/blobs/"))


async def test_a_stranger_that_demands_credentials_gets_none(
    bench: Bench, proxy: FaultyRegistry, place: str, real_registry: RunningRegistry
) -> None:
    Guard(proxy, "Basic").install()
    async with faulty(real_registry.address) as elsewhere:
        elsewhere.rules.append(lambda seen: Answer(401, (("WWW-Authenticate", 'Basic realm="mine"'),)))
        proxy.rules.insert(
            0,
            lambda seen: Answer(307, (("Location", f"http://{elsewhere.address}{seen.target}"),)) if "/blobs/" in seen.target else None,
        )
        with pytest.raises(CriError, match="unauthorized"):
            await bench.pull(place, ALICE)
        assert all("authorization" not in seen.headers for seen in elsewhere.seen)


async def test_credentials_of_the_request_are_not_for_mirrors(
    bench: Bench, proxy: FaultyRegistry, place: str, real_registry: RunningRegistry
) -> None:
    async with faulty(real_registry.address) as primary:
        Guard(proxy, "Basic").install()
        Guard(primary, "Basic").install()
        bench.registries(
            f'[[registry]]\nlocation = "{primary.address}"\ninsecure = true\n'
            f'[[registry.mirror]]\nlocation = "{proxy.address}"\ninsecure = true\n'
        )
        await bench.pull(f"{primary.address}/{REPOSITORY}:1", ALICE)
        assert proxy.asked("/manifests/") != []
        assert all("authorization" not in seen.headers for seen in proxy.seen)
