"""The fault ring's kit: a proxy in a thread, images that no round has seen before, and a look at a store with nobody's code.

The look knows the files of the store from their description alone, so that a wrong record cannot hide behind the code that wrote it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from crio.cri import api_pb2 as pb
from test.support.cri import Cri
from test.support.daemon import Daemon
from test.support.faulty_registry import FaultyRegistry, faulty
from test.support.smallimages import SmallImage, digest_of, image_of, layer_of
from test.support.waiting import eventually

START_TIMEOUT_S = 10.0
REMOVAL_S = 10.0
STAGING = "crio-staging-"
_ID = re.compile(r"[0-9a-f]{64}")


@contextlib.contextmanager
def proxy_in_thread(backend: str) -> Iterator[FaultyRegistry]:
    """A proxy on an event loop of its own, so that a test may block; rules are added before the request that meets them."""
    ready: list[FaultyRegistry] = []
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with faulty(backend) as proxy:
            ready.append(proxy)
            await over.wait()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=run, name="proxy")
    thread.start()
    try:
        yield eventually(lambda: ready[0] if ready else None, START_TIMEOUT_S, "the proxy listens")  # type: ignore[misc]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def fresh_image(mark: str, layers: int = 5) -> SmallImage:
    """An image whose every layer is new: some small files and one of up to 400 kB that does not compress."""
    chance = random.Random(mark)
    made = []
    for number in range(layers):
        files = {f"l{number}/small-{index}": f"{mark} {index}".encode() for index in range(chance.randrange(5, 60))}
        files[f"l{number}/noise"] = chance.randbytes(chance.randrange(1000, 400_000))
        made.append(layer_of(files))
    return image_of(made)


def blobs_of(image: SmallImage) -> list[str]:
    """The digests of the layers as they are fetched."""
    return [digest_of(layer.blob) for layer in image.layers]


@dataclass(frozen=True, slots=True)
class Pulled:
    """How a pull ended: the reference, or the status and the words."""

    reference: str = ""
    code: grpc.StatusCode | None = None
    words: str = ""


def pull(socket: str, reference: str, timeout_s: float = 60.0) -> Pulled:
    """Pull through the CRI."""
    with Cri(socket, timeout_s) as cri:
        try:
            return Pulled(cri.pull(reference))
        except grpc.RpcError as error:
            return Pulled("", error.code(), error.details() or "")  # type: ignore[attr-defined]


def remove(socket: str, reference: str) -> None:
    """Remove through the CRI."""
    with Cri(socket) as cri:
        cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)))


def unpackers(daemon: Daemon) -> list[int]:
    """The unpackers of a daemon, by their arguments."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if arguments[0].endswith(b"/unpack") and str(daemon.layout.root).encode() in b" ".join(arguments):
                found.append(int(folder.name))
    return found


class StoreFiles:
    """The files of an overlay store."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.layers_dir = root / "overlay-layers"
        self.images_dir = root / "overlay-images"
        self.left_path = root / "crio-pulls" / "left-layers.json"

    def _records(self, path: pathlib.Path) -> list[dict[str, object]]:
        return list(json.loads(path.read_text())) if path.exists() else []

    def layers(self) -> dict[str, dict[str, object]]:
        """The layer records by id."""
        return {str(one["id"]): one for one in self._records(self.layers_dir / "layers.json")}

    def images(self) -> dict[str, dict[str, object]]:
        """The image records by id."""
        return {str(one["id"]): one for one in self._records(self.images_dir / "images.json")}

    def left(self) -> dict[str, dict[str, int]]:
        """The layers that pulls hold or have left, as the daemon has them on record."""
        return dict(json.loads(self.left_path.read_text())["layers"]) if self.left_path.exists() else {}

    def complete_blobs(self) -> set[str]:
        """The digests of the blobs that are layers now."""
        return {str(one["compressed-diff-digest"]) for one in self.layers().values()}

    def broken_records(self) -> list[str]:
        """Records that promise what is not there; there are none at any instant."""
        return [*self._broken_layers(), *self._broken_images()]

    def _broken_layers(self) -> Iterator[str]:
        layers = self.layers()
        for one, record in layers.items():
            home = self.root / "overlay" / one
            flags = record.get("flags") or {}
            assert isinstance(flags, dict)
            if flags.get("incomplete"):
                yield f"layer {one} is incomplete"
            if record.get("parent") and record["parent"] not in layers:
                yield f"layer {one} has no parent"
            for name in ("diff", "link"):
                if not (home / name).exists():
                    yield f"layer {one} has no {name}"
            if not (self.layers_dir / f"{one}.tar-split.gz").exists():
                yield f"layer {one} has no tar-split file"
            if (home / "link").exists() and not (self.root / "overlay" / "l" / (home / "link").read_text()).is_symlink():
                yield f"layer {one} has no link in l"

    def _broken_images(self) -> Iterator[str]:
        layers = self.layers()
        for one, record in self.images().items():
            if record.get("layer") and record["layer"] not in layers:
                yield f"image {one} has no top layer"
            names, digests = record.get("big-data-names", []), record.get("big-data-digests", {})
            assert isinstance(names, list)
            assert isinstance(digests, dict)
            for key in names:
                plain = re.fullmatch(r"[a-z0-9.]+", key) is not None
                path = self.images_dir / one / (key if plain else "=" + base64.b64encode(key.encode()).decode())
                if not path.exists() or "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() != digests[key]:
                    yield f"image {one} has no good {key}"

    def strays(self) -> list[str]:
        """What no record names: staged or set aside trees, files of layers and images that are not, temporary files."""
        layers, images = self.layers(), self.images()
        return [
            *(f"{area}/{name}" for area in self.areas() for name in _names(area) if name != "lock"),
            *(str(path) for pattern in ("overlay-*/.tmp-*", "overlay-*/*/.tmp-*") for path in self.root.glob(pattern)),
            *(f"overlay/{name}" for name in _ids(self.root / "overlay") if name not in layers),
            *(f"tar-split of {name}" for name in _ids(self.layers_dir) if name not in layers),
            *(f"overlay-images/{name}" for name in _ids(self.images_dir) if name not in images),
            *self._links(layers),
        ]

    def _links(self, layers: dict[str, dict[str, object]]) -> Iterator[str]:
        folder = self.root / "overlay" / "l"
        for name in os.listdir(folder) if folder.exists() else ():
            target = pathlib.Path(os.readlink(folder / name))
            if target.parts[1] not in layers:
                yield f"link l/{name} to {target}"

    def areas(self) -> list[str]:
        """The staging areas, of the living and the dead."""
        folders = (self.root, *(self.root / name for name in os.listdir(self.root)))
        return [f"{folder}/{name}" for folder in folders for name in _names(folder) if name.startswith(STAGING)]

    def assert_clean(self) -> None:
        """No broken record, and soon no stray."""
        assert self.broken_records() == []
        eventually(lambda: self.strays() == [] or _fail(self.strays()), REMOVAL_S, "nothing is left that no record names")

    def assert_empty(self) -> None:
        """Clean, with nothing in it."""
        self.assert_clean()
        assert (self.layers(), self.images()) == ({}, {})


def _names(folder: str | pathlib.Path) -> list[str]:
    """The names in a folder; it may be a file, or go while it is looked at."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _fail(left: list[str]) -> bool:
    raise AssertionError(f"left: {left[:20]}")


def _ids(folder: pathlib.Path) -> list[str]:
    """The ids in names below ``folder``."""
    found = (_ID.match(name) for name in (os.listdir(folder) if folder.exists() else ()))
    return [match[0] for match in found if match]
