"""registries.conf in action: mirrors, blocked registries, rewriting, short names, certificates."""

from __future__ import annotations

import os
import pathlib
import ssl
import subprocess
from dataclasses import replace

import pytest

from crio.core.errors import CriError
from crio.core.image.errors import AmbiguousShortName, BadConfigFile, BadReference, BlockedRegistry, ManifestUnknown
from crio.core.image.registries import ShortNameMode
from crio.host.registry.conffiles import SYSTEM_CONF, usual_registries_files
from test.integration.pull.kit import Bench
from test.support.faulty_registry import Answer, FaultyRegistry, faulty
from test.support.registry import RunningRegistry, free_port
from test.support.smallimages import Pusher, image_of, layer_of

IMAGE = image_of((layer_of({"a": b"mirrored"}),))
REPOSITORY = "endpoints/image"
SELF_SIGNED = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
)


@pytest.fixture(autouse=True)
def _pushed(pusher: Pusher) -> None:
    pusher.image(REPOSITORY, "1", IMAGE)


def _mirror(address: str, use: str = "") -> str:
    kind = f'pull-from-mirror = "{use}"\n' if use else ""
    return f'[[registry.mirror]]\nlocation = "{address}"\ninsecure = true\n{kind}'


@pytest.mark.parametrize("by_digest", [False, True], ids=["a tag", "a digest"])
async def test_mirrors_are_asked_in_order_and_only_for_what_they_are_for(
    bench: Bench, real_registry: RunningRegistry, by_digest: bool
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    async with faulty(real_registry.address) as digests, faulty(real_registry.address) as tags:
        bench.registries(
            '[[registry]]\nlocation = "example.test"\n'
            + _mirror(nobody)
            + _mirror(digests.address, "digest-only")
            + _mirror(tags.address, "tag-only")
        )
        suffix = f"@{IMAGE.digest}" if by_digest else ":1"
        result = await bench.pull(f"example.test/{REPOSITORY}{suffix}")
        used, unused = (digests, tags) if by_digest else (tags, digests)
        assert used.asked("/blobs/") != []
        assert unused.seen == []
        assert result.name == f"example.test/{REPOSITORY}{suffix}"


async def test_a_mirror_without_the_image_is_passed_over_and_all_failures_are_told(
    bench: Bench, proxy: FaultyRegistry, real_registry: RunningRegistry
) -> None:
    proxy.on("/manifests/", Answer(404), 0)
    bench.registries(f'[[registry]]\nlocation = "{real_registry.address}"\ninsecure = true\n' + _mirror(proxy.address))
    await bench.pull(f"{real_registry.address}/{REPOSITORY}:1")
    with pytest.raises(ManifestUnknown, match=rf"manifest missing in {real_registry.address}.*tried before: {proxy.address}"):
        await bench.pull(f"{real_registry.address}/{REPOSITORY}:missing")


async def test_a_prefix_is_rewritten_to_its_location(bench: Bench, real_registry: RunningRegistry) -> None:
    bench.registries(f'[[registry]]\nprefix = "example.test/a"\nlocation = "{real_registry.address}/endpoints"\ninsecure = true\n')
    result = await bench.pull("example.test/a/image:1")
    assert result.name == "example.test/a/image:1"


async def test_a_blocked_registry_is_never_asked(bench: Bench, proxy: FaultyRegistry) -> None:
    bench.registries(f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\nblocked = true\n')
    with pytest.raises(BlockedRegistry, match=r"blocked in .*registries\.conf"):
        await bench.pull(f"{proxy.address}/{REPOSITORY}:1")
    assert proxy.seen == []


async def test_a_drop_in_replaces_a_table(bench: Bench, proxy: FaultyRegistry) -> None:
    bench.registries(f'[[registry]]\nlocation = "{proxy.address}"\nblocked = true\n')
    bench.drop_in("50-more.conf", f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n')
    await bench.pull(f"{proxy.address}/{REPOSITORY}:1")


async def test_the_files_of_the_user_replace_and_complete_those_of_the_system(
    bench: Bench, proxy: FaultyRegistry, tmp_path: pathlib.Path
) -> None:
    own = tmp_path / ".config/containers"
    drop_ins = own / "registries.conf.d"
    drop_ins.mkdir(parents=True)
    assert usual_registries_files({"HOME": str(tmp_path)}).conf == SYSTEM_CONF
    (own / "registries.conf").write_text(f'[[registry]]\nlocation = "{proxy.address}"\nblocked = true\n')
    (drop_ins / "50-more.conf").write_text(f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n')
    bench.options = replace(bench.options, registries=replace(usual_registries_files({"HOME": str(tmp_path)}), conf_dir=""))
    await bench.pull(f"{proxy.address}/{REPOSITORY}:1")
    (drop_ins / "50-more.conf").unlink()
    with pytest.raises(BlockedRegistry, match=str(own / "registries.conf")):
        await bench.pull(f"{proxy.address}/{REPOSITORY}:1")


async def test_a_reload_reads_the_files_again(bench: Bench, proxy: FaultyRegistry) -> None:
    from crio.host.pull.options import PullRequest

    bench.registries(f'[[registry]]\nlocation = "{proxy.address}"\nblocked = true\n')
    async with bench.engine() as engine:
        request = PullRequest(f"{proxy.address}/{REPOSITORY}:1")
        with pytest.raises(BlockedRegistry):
            await engine.pull(request)
        bench.insecure(proxy.address)
        with pytest.raises(BlockedRegistry):
            await engine.pull(request)
        engine.reload()
        await engine.pull(request)


SHORT = {
    "an alias": ('[aliases]\n"image" = "{address}/endpoints/image"\n', "image:1", ShortNameMode.ENFORCING, None),
    "one search registry": (
        'unqualified-search-registries = ["{address}"]\n',
        "endpoints/image:1",
        ShortNameMode.ENFORCING,
        None,
    ),
    "several in enforcing mode": (
        'unqualified-search-registries = ["a.test", "{address}"]\n',
        "endpoints/image:1",
        ShortNameMode.ENFORCING,
        AmbiguousShortName,
    ),
    "several in disabled mode": (
        'unqualified-search-registries = ["127.0.0.1:1", "{address}"]\n',
        "endpoints/image:1",
        ShortNameMode.DISABLED,
        None,
    ),
    "nothing says what it means": ("", "image:1", ShortNameMode.ENFORCING, BadReference),
}


@pytest.mark.parametrize(("conf", "name", "mode", "error"), SHORT.values(), ids=SHORT)
async def test_a_short_name_is_resolved(
    bench: Bench, real_registry: RunningRegistry, conf: str, name: str, mode: ShortNameMode, error: type[CriError] | None
) -> None:
    address = real_registry.address
    bench.options = replace(bench.options, short_names=mode)
    bench.registries(conf.format(address=address) + f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    if error is None:
        assert (await bench.pull(name)).name == f"{address}/{REPOSITORY}:1"
    else:
        with pytest.raises(error):
            await bench.pull(name)


BAD_FILES = {
    "not TOML": ("[[registry", "not valid TOML"),
    "an unknown key": ("unqualified-search = []", "unqualified-search: unknown key"),
    "a scheme in a location": ('[[registry]]\nlocation = "https://x"', r"registry\[0\].location.*without a scheme"),
    "a wrong type": ("unqualified-search-registries = 5", "expected a list, got 5"),
}


@pytest.mark.parametrize(("text", "says"), BAD_FILES.values(), ids=BAD_FILES)
async def test_a_bad_registries_conf_names_file_and_key(bench: Bench, text: str, says: str) -> None:
    bench.registries(text)
    with pytest.raises(BadConfigFile, match=f"registries.conf: .*{says}"):
        await bench.pull("example.test/a:1")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A self-signed certificate for 127.0.0.1, good for servers and clients."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [*SELF_SIGNED.split(), "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True,
        capture_output=True,
        env={**os.environ, "RANDFILE": str(folder / "rnd")},
    )
    return folder


def _server_context(folder: pathlib.Path, *, wants_client: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "cert.pem")
    return context


async def test_an_authority_in_certs_d_is_trusted_and_without_it_nothing_is(
    bench: Bench, real_registry: RunningRegistry, certificates: pathlib.Path
) -> None:
    async with faulty(real_registry.address, _server_context(certificates, wants_client=False)) as proxy:
        bench.registries("")
        name = f"{proxy.address}/{REPOSITORY}:1"
        with pytest.raises(CriError, match="not trusted"):
            await bench.pull(name)
        folder = bench.folder / "certs.d" / proxy.address
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes((certificates / "cert.pem").read_bytes())
        await bench.pull(name)


async def test_a_client_pair_in_certs_d_is_shown(bench: Bench, real_registry: RunningRegistry, certificates: pathlib.Path) -> None:
    async with faulty(real_registry.address, _server_context(certificates, wants_client=True)) as proxy:
        bench.insecure(proxy.address)
        name = f"{proxy.address}/{REPOSITORY}:1"
        folder = bench.folder / "certs.d" / proxy.address
        folder.mkdir(parents=True)
        (folder / "client.cert").write_bytes((certificates / "cert.pem").read_bytes())
        with pytest.raises(BadConfigFile, match=r"client\.key is missing"):
            await bench.pull(name)
        (folder / "client.key").write_bytes((certificates / "key.pem").read_bytes())
        await bench.pull(name)
