"""One-layer images in directories, and the trees that tools make of them."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from test.support.smallimages import ImageWish, Layer, SmallImage, image_of
from test.unit.unpack.support import describe, xattrs

PLAIN = "application/vnd.oci.image.layer.v1.tar"


def write_image(folder: pathlib.Path, archives: Sequence[bytes]) -> SmallImage:
    """An image with these uncompressed layers as a plain directory (``dir:``)."""
    image = image_of([Layer(data, data, PLAIN) for data in archives])
    _write(folder, image.manifest, (image.config, *(layer.blob for layer in image.layers)))
    return image


def write_blobs(folder: pathlib.Path, layers: Sequence[tuple[bytes, str, str]]) -> None:
    """The same with layers that are too big to be held: each is blob, diff id, media type."""
    blobs = [Layer(blob, b"", media_type) for blob, _, media_type in layers]
    diff_ids = [diff_id for _, diff_id, _ in layers]
    image = image_of(blobs, ImageWish(config={"rootfs": {"type": "layers", "diff_ids": diff_ids}}))
    _write(folder, image.manifest, (image.config, *(layer.blob for layer in image.layers)))


def _write(folder: pathlib.Path, manifest: bytes, blobs: Sequence[bytes]) -> None:
    folder.mkdir()
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    (folder / "manifest.json").write_bytes(manifest)
    for blob in blobs:
        (folder / hex_digest(blob)).write_bytes(blob)


def hex_digest(blob: bytes) -> str:
    """The name of a blob in the directory."""
    return hashlib.sha256(blob).hexdigest()


def top_diff(root: pathlib.Path, image_id: str) -> pathlib.Path:
    """The files of an image's top layer in an overlay store."""
    images = {one["id"]: one for one in json.loads((root / "overlay-images" / "images.json").read_text())}
    return root / "overlay" / str(images[image_id]["layer"]) / "diff"


def tree_of(diff: pathlib.Path) -> dict[str, str]:
    """Every path with kind, mode, owner, content, attributes, and the time where nothing else changes it."""
    found = {}
    for name, words in describe(diff).items():
        status = (diff / name).lstat()
        found[name] = f"{words} {sorted(xattrs(diff / name).items())}"
        # A whiteout has no time of its own.
        if not stat.S_ISDIR(status.st_mode) and not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
            found[name] += f" {status.st_mtime_ns} {status.st_nlink}"
    return found


@dataclass(frozen=True, slots=True)
class Podman:
    """A podman with a store of its own."""

    folder: pathlib.Path

    def pull(self, place: pathlib.Path) -> str:
        """What it says against the image at ``place``; empty when it takes it."""
        done = subprocess.run(self._command("pull", "-q", f"dir:{place}"), env=self._env(), capture_output=True, check=False)
        return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "no words"

    @property
    def root(self) -> pathlib.Path:
        """Its store."""
        return self.folder / "root"

    def prepare(self) -> None:
        """Write its configuration."""
        self.folder.mkdir()
        store = f'[storage]\ndriver = "overlay"\ngraphroot = "{self.root}"\nrunroot = "{self.folder}/run"\n'
        (self.folder / "storage.conf").write_text(store)
        (self.folder / "containers.conf").write_text('[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n')
        (self.folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def _env(self) -> Mapping[str, str]:
        conf = {"CONTAINERS_CONF": f"{self.folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf"}
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), **conf}

    def _command(self, verb: str, *arguments: str) -> list[str]:
        front = ["podman", "--root", str(self.root), "--runroot", f"{self.folder}/run", "--tmpdir", f"{self.folder}/tmp"]
        front += ["--cgroup-manager", "cgroupfs", verb]
        return [*front, *(["--signature-policy", f"{self.folder}/policy.json"] if verb == "pull" else []), *arguments]

    def close(self) -> None:
        """Take its mounts away."""
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            if line.split()[4].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", line.split()[4]], check=True)
