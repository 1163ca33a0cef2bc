"""A store, a policy, a registries.conf, and engines made from them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace

from crio.core.image.auth import Credentials
from crio.core.image.platform import Platform
from crio.core.image.registries import ShortNameMode
from crio.host import syscalls
from crio.host.pull.engine import PullEngine
from crio.host.pull.leftlayers import KEEP_S, LeftFile, LeftLayers
from crio.host.pull.options import PullOptions, PullRequest, PullResult, TrustOptions
from crio.host.pull.store import StoreThreads
from crio.host.registry.conffiles import RegistriesFiles
from crio.host.registry.credentials import AuthOptions
from crio.host.registry.options import WebOptions
from crio.host.store.options import StoreOptions
from crio.host.store.store import Store, open_store
from test.support.smallimages import SmallImage, digest_of

ROOT = pathlib.Path(__file__).parents[3]
UNPACK = os.environ.get("CRIO_TEST_UNPACK", str(ROOT / "libexec" / "crio" / "unpack"))
ACCEPT_ALL = {"default": [{"type": "insecureAcceptAnything"}]}


@dataclass(slots=True)
class Bench:
    """A place to pull into. ``options`` may be replaced by a test before it pulls."""

    folder: pathlib.Path
    store: Store
    options: PullOptions
    left: LeftLayers = field(init=False)
    later_ns: int = 0
    _threads: StoreThreads = field(default_factory=StoreThreads)

    def __post_init__(self) -> None:
        self.begin_anew()

    def begin_anew(self, keep_s: float = KEEP_S) -> None:
        """What a daemon that starts knows of failed pulls: what is on disk."""
        file = LeftFile(str(self.folder / "root"))
        self.left = LeftLayers(self.store, self._threads, file, lambda: time.time_ns() + self.later_ns, keep_s)

    @property
    def record(self) -> dict[str, object]:
        """What is on disk about layers that pulls hold or have left."""
        path = self.folder / "root" / "crio-pulls" / "left-layers.json"
        return dict(json.loads(path.read_text())["layers"]) if path.exists() else {}

    async def pass_time(self, seconds: float) -> None:
        """Later, layers whose time is over have been looked for."""
        self.later_ns += int(seconds * 1e9)
        await self.left.collect()

    def registries(self, text: str) -> None:
        """Writes registries.conf."""
        pathlib.Path(self.options.registries.conf).write_text(text)

    def insecure(self, *addresses: str) -> None:
        """Writes a registries.conf that allows plain HTTP at these hosts."""
        self.registries("".join(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n' for address in addresses))

    def drop_in(self, name: str, text: str) -> None:
        """Writes a drop-in of registries.conf."""
        folder = pathlib.Path(self.options.registries.conf_dir)
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def policy(self, policy: object) -> None:
        """Writes policy.json."""
        pathlib.Path(self.options.trust.policy).write_text(json.dumps(policy))

    def auth_file(self, auths: object) -> None:
        """Writes the global auth file and makes it the one that is read."""
        path = self.folder / "auth.json"
        path.write_text(json.dumps(auths))
        self.options = replace(self.options, auth=replace(self.options.auth, global_file=str(path)))

    def stall_after(self, seconds: float) -> None:
        """Sets the stall rule."""
        self.options = replace(self.options, web=replace(self.options.web, stall_s=seconds))

    @contextlib.asynccontextmanager
    async def engine(self) -> AsyncIterator[PullEngine]:
        """An engine on the store."""
        engine = PullEngine(self.store, self.options, self.left)
        try:
            yield engine
        finally:
            engine.close()

    async def pull(self, reference: str, credentials: Credentials | None = None, namespace: str = "") -> PullResult:
        """Pulls once with an engine of its own."""
        async with self.engine() as engine:
            return await engine.pull(PullRequest(reference, credentials, namespace))

    def assert_empty(self) -> None:
        """Nothing is in the store, not even something staged."""
        assert self.store.images() == ()
        assert self.store.layers() == ()
        self.assert_nothing_staged()

    def assert_complete_only(self, image: SmallImage) -> None:
        """No image, nothing staged, and no layer but complete ones of ``image``, right to the last byte."""
        assert self.store.images() == ()
        blobs = {digest_of(layer.blob) for layer in image.layers}
        assert {layer.compressed_digest for layer in self.store.layers()} <= blobs
        self.assert_nothing_staged()
        assert self.store.check(quick=False) == ()

    def close(self) -> None:
        """Ends the threads."""
        self._threads.close()

    def assert_nothing_staged(self) -> None:
        """No layer is half unpacked anywhere below the root."""
        assert self.store.wait_removed(10.0)
        staged = [
            f"{folder}/{name}"
            for folder, names, files in os.walk(self.folder / "root")
            if "crio-staging-" in folder
            for name in (*names, *files)
            if name != "lock"
        ]
        assert staged == []


@contextlib.contextmanager
def open_bench(folder: pathlib.Path, *insecure: str) -> Iterator[Bench]:
    """A fresh bench below ``folder``; plain HTTP is allowed at the ``insecure`` hosts."""
    store = open_store(StoreOptions(str(folder / "root"), str(folder / "run")))
    options = PullOptions(
        unpack_program=UNPACK,
        registries=RegistriesFiles(str(folder / "registries.conf"), str(folder / "registries.conf.d"), str(folder / "aliases.conf")),
        short_names=ShortNameMode.ENFORCING,
        auth=AuthOptions(),
        web=WebOptions(certs_dirs=(folder / "certs.d",), stall_s=20.0),
        trust=TrustOptions(policy=str(folder / "policy.json"), registries_d=(str(folder / "registries.d"),)),
        platform=Platform("linux", "amd64"),
    )
    bench = Bench(folder, store, options)
    bench.policy(ACCEPT_ALL)
    bench.insecure(*insecure)
    try:
        yield bench
    finally:
        bench.close()
        store.shutdown()
        # The store leaves its private mount when something of it is still open; the tests must not.
        with contextlib.suppress(OSError):
            syscalls.umount(str(folder / "root" / "overlay"), syscalls.MNT_DETACH)
