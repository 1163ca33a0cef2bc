"""The images of the benchmark: made once per seed, the same bytes each time, and kept in the registry's folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from test.support.smallimages import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Pusher, digest_of

MB = 1_000_000
ZSTD_LAYER = OCI_LAYER.replace("gzip", "zstd")
_POOL_BYTES = 8 * MB
_SLICE_BYTES = 2048
_WORDS = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """One image: so many layers, each with so many files of so many bytes."""

    name: str
    layers: int
    files: int
    file_bytes: int
    zstd: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is pulled at once."""

    title: str
    images: tuple[Shape, ...]


def scenarios(scale: float = 1.0) -> tuple[Scenario, ...]:
    """The five of the specification; ``scale`` makes the files fewer, for a quick look."""

    def count(number: int) -> int:
        return max(1, round(number * scale))

    return (
        Scenario("1 GB, 10 gzip layers", (Shape("gzip10", 10, count(50), 2 * MB),)),
        Scenario("1 GB, 10 zstd layers", (Shape("zstd10", 10, count(50), 2 * MB, zstd=True),)),
        Scenario("20,000 files of 2 kB, 4 layers", (Shape("small", 4, count(5000), 2000),)),
        Scenario("1 GB, one gzip layer", (Shape("gzip1", 1, count(500), 2 * MB),)),
        Scenario("10 images of 20 MB at once", tuple(Shape(f"ten{n}", 2, count(10), MB) for n in range(10))),
    )


class _Source:
    """Bytes that compress as images do: half of it words, half of it noise, and repeats further apart than gzip looks back."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        words = [self._random.randbytes(self._random.randrange(2, 9)).hex().encode() for _ in range(_WORDS)]
        self._text = b" ".join(self._random.choices(words, k=_POOL_BYTES // 11))
        self._noise = self._random.randbytes(_POOL_BYTES)

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        parts = []
        while size > 0:
            pool = self._noise if self._random.random() < 0.5 else self._text
            at = self._random.randrange(len(pool) - _SLICE_BYTES)
            part = pool[at : at + min(size, self._random.randrange(64, _SLICE_BYTES))]
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _members(shape: Shape, number: int, seed: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    source = _Source(f"{seed} {shape.name} {number}")
    for index in range(shape.files):
        if index % 100 == 0:
            folder = tarfile.TarInfo(f"layer{number}/d{index // 100}")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            yield folder, b""
        file = tarfile.TarInfo(f"layer{number}/d{index // 100}/file-{index}.bin")
        file.size, file.mode, file.mtime = shape.file_bytes, 0o644, 1_600_000_000
        yield file, source.take(shape.file_bytes)


def _layer(shape: Shape, number: int, seed: str) -> tuple[bytes, str]:
    """The blob and the digest of its archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in _members(shape, number, seed):
            archive.addfile(member, io.BytesIO(content))
    data = out.getbuffer()
    diff_id = "sha256:" + hashlib.sha256(data).hexdigest()
    if shape.zstd:
        return subprocess.run(["zstd", "-q", "-c", "-3"], input=data, check=True, capture_output=True).stdout, diff_id
    if len(data) > 50 * MB:
        return subprocess.run(["gzip", "-6", "-n", "-c"], input=data, check=True, capture_output=True).stdout, diff_id
    return gzip.compress(data, 6, mtime=0), diff_id


def push(pusher: Pusher, shape: Shape, seed: str) -> None:
    """Make an image and upload it under its name, two layers at a time."""

    def one(number: int) -> tuple[dict[str, object], str]:
        blob, diff_id = _layer(shape, number, seed)
        pusher.blob(shape.name, blob)
        media_type = ZSTD_LAYER if shape.zstd else OCI_LAYER
        return {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}, diff_id

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(one, range(shape.layers)))
    rootfs = {"type": "layers", "diff_ids": [diff_id for _, diff_id in made]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/none"]}, "rootfs": rootfs}).encode()
    pusher.blob(shape.name, config)
    described = {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)}
    layers = [descriptor for descriptor, _ in made]
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers}
    pusher.manifest(shape.name, seed, json.dumps(manifest).encode(), OCI_MANIFEST)
