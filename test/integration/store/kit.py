"""A tiny image for store tests: two layers around a static busybox, as tars, as an OCI layout, and as files on disk."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from crio.host.store import ImageCommit, ImageRecord, LayerCommit, Store, StoreOptions, open_store

BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "cat", "echo", "find", "ls", "sleep", "true")
CREATED = "2026-11-01T00:00:00Z"
_CRC_POLYNOMIAL = 0xD800000000000000


def _crc_table() -> list[int]:
    table = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (_CRC_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def crc64(data: bytes) -> bytes:
    """Return the checksum that tar-split uses, big endian."""
    value = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        value = _CRC[(value ^ byte) & 0xFF] ^ (value >> 8)
    return (value ^ 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")


@dataclass(frozen=True)
class Layer:
    """One layer as an uncompressed tar."""

    tar: bytes

    @property
    def diff_id(self) -> str:
        """Its digest."""
        return "sha256:" + hashlib.sha256(self.tar).hexdigest()

    @property
    def packed(self) -> bytes:
        """The blob: gzip, without a time."""
        return gzip.compress(self.tar, 6, mtime=0)


def layer(files: dict[str, bytes | None | str]) -> Layer:
    """Return a layer: bytes is an executable file, None a directory, ``-> x`` a symlink, ``= x`` a hard link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = 0o755, 1_700_000_000
            if content is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            elif isinstance(content, str):
                entry.type = tarfile.SYMTYPE if content.startswith("-> ") else tarfile.LNKTYPE
                entry.linkname = content.split(" ", 1)[1]
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return Layer(buffer.getvalue())


def busybox_layers(mark: str = "one") -> tuple[Layer, ...]:
    """Return the layers of the demo image; ``mark`` makes the top one differ."""
    base: dict[str, bytes | None | str] = {name: None for name in ("bin", "etc", "proc", "sys", "dev", "tmp")}
    base["bin/busybox"] = Path(BUSYBOX).read_bytes()
    base.update({f"bin/{applet}": "= bin/busybox" for applet in APPLETS})
    return layer(base), layer({"etc": None, "etc/mark": mark.encode() + b"\n", "etc/link": "-> mark"})


@dataclass(frozen=True)
class Image:
    """An image in memory."""

    layers: tuple[Layer, ...]

    @property
    def config(self) -> bytes:
        """The configuration document."""
        return json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": CREATED,
                "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "User": "0"},
                "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in self.layers]},
                "history": [{"created": CREATED, "created_by": "test"} for _ in self.layers],
            }
        ).encode()

    @property
    def manifest(self) -> bytes:
        """The manifest document."""
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": _descriptor("application/vnd.oci.image.config.v1+json", self.config),
                "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", one.packed) for one in self.layers],
            }
        ).encode()

    @property
    def id(self) -> str:
        """The image id."""
        return hashlib.sha256(self.config).hexdigest()

    def write_layout(self, folder: str) -> str:
        """Write an OCI layout with the tag ``latest``; returns its path."""
        blobs = Path(folder, "blobs/sha256")
        blobs.mkdir(parents=True, exist_ok=True)
        for blob in (self.config, self.manifest, *(one.packed for one in self.layers)):
            (blobs / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
        described = _descriptor("application/vnd.oci.image.manifest.v1+json", self.manifest)
        index = {"schemaVersion": 2, "manifests": [{**described, "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}
        Path(folder, "index.json").write_text(json.dumps(index))
        Path(folder, "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return folder


def sha256(data: bytes) -> str:
    """Return the digest of ``data``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def write_tar_split(tar: bytes, path: str) -> None:
    """Write the tar-split file of an uncompressed tar without PAX headers."""
    entries: list[dict[str, object]] = []
    position = 0
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            entries.append({"type": 2, "payload": base64.b64encode(tar[position : member.offset_data]).decode()})
            size = member.size if member.isreg() else 0
            content = tar[member.offset_data : member.offset_data + size]
            position = member.offset_data + size
            checksum = base64.b64encode(crc64(content)).decode() if size else None
            entry: dict[str, object] = {"type": 1, "name": member.name + ("/" if member.isdir() else ""), "payload": checksum}
            if size:
                entry["size"] = size
            entries.append(entry)
    entries.append({"type": 2, "payload": base64.b64encode(tar[position:]).decode()})
    lines = "".join(json.dumps({**entry, "position": number}) + "\n" for number, entry in enumerate(entries))
    Path(path).write_bytes(gzip.compress(lines.encode(), 1, mtime=0))


def unpack(tar: bytes, folder: str) -> None:
    """Unpack a friendly tar by GNU tar, as the C unpacker would."""
    subprocess.run(["tar", "-x", "-p", "--numeric-owner", "-C", folder], input=tar, check=True)


def commit_layers(store: Store, layers: tuple[Layer, ...]) -> str:
    """Stage, unpack and commit every layer; returns the top one's id."""
    parent: str | None = None
    for one in layers:
        known = store.layer_by_diff(parent, one.diff_id)
        if known is not None:
            parent = known.id
            continue
        staged = store.stage_layer(parent)
        unpack(one.tar, staged.diff_path)
        write_tar_split(one.tar, staged.tar_split_path)
        commit = LayerCommit(parent, one.diff_id, len(one.tar), sha256(one.packed), len(one.packed), 2, (0,), (0,))
        parent = store.commit_layer(staged, commit)
    assert parent is not None
    return parent


def commit(store: Store, image: Image, *names: str) -> ImageRecord:
    """Put a whole image into the store."""
    digest = sha256(image.manifest)
    return store.commit_image(
        ImageCommit(
            image_id=image.id,
            top_layer=commit_layers(store, image.layers),
            names=names,
            digest=digest,
            created=CREATED,
            config_digest=sha256(image.config),
            config=image.config,
            manifests={digest: image.manifest},
            instance_digest=digest,
        )
    )


@dataclass(frozen=True)
class Tools:
    """podman, skopeo and buildah of this machine on one store."""

    root: str
    runroot: str
    home: str
    driver: str = "overlay"

    def open(self, **changes: object) -> Store:
        """Open our store on the same directories."""
        return open_store(StoreOptions(self.root, self.runroot, **changes))  # type: ignore[arg-type]

    def podman(self, *words: str, check: bool = True) -> str:
        """Run podman; returns what it prints."""
        options = ["--cgroup-manager", "cgroupfs", "--runtime", "runc", "--tmpdir", f"{self.home}/tmp"]
        return self._run("podman", *self._store_words, *options, *words, check=check)

    @property
    def _store_words(self) -> tuple[str, ...]:
        return "--root", self.root, "--runroot", self.runroot, "--storage-driver", self.driver

    def buildah(self, *words: str) -> str:
        """Run buildah; returns what it prints."""
        return self._run("buildah", *self._store_words, *words)

    def skopeo(self, *words: str) -> str:
        """Run skopeo; returns what it prints."""
        return self._run("skopeo", "--insecure-policy", *words)

    def reference(self, name: str) -> str:
        """Return ``name`` as a reference into this store."""
        return f"containers-storage:[{self.driver}@{self.root}+{self.runroot}]{name}"

    def _run(self, *argv: str, check: bool = True) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.home,
            "CONTAINERS_CONF": f"{self.home}/containers.conf",
            "TMPDIR": f"{self.home}/tmp",
        }
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {done.returncode}: {done.stderr}")
        return done.stdout if done.returncode == 0 else done.stderr


def make_tools(folder: str, driver: str = "overlay") -> Tools:
    """Return tools on an empty store below ``folder``."""
    tools = Tools(f"{folder}/g", f"{folder}/n", f"{folder}/h", driver)
    os.makedirs(f"{tools.home}/tmp")
    Path(tools.home, "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\nnetns = "host"\n'
    )
    return tools


def loop_mount(folder: str, maker: tuple[str, ...], size_mb: int, options: str = "") -> str:
    """Make a file system in a file below ``folder`` and mount it; whoever owns the folder unmounts it."""
    image, point = f"{folder}/disk.img", f"{folder}/disk"
    os.mkdir(point)
    with open(image, "wb") as file:
        file.truncate(size_mb << 20)
    subprocess.run([*maker, image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", ",".join(filter(None, ("loop", options))), image, point], check=True, capture_output=True)
    return point
