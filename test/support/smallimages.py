"""Images made in a test, as small as the test wants, and their upload into a real registry over plain HTTP.

Nothing here knows the code under test: documents are written by hand, so that a test can also write wrong ones.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import tarfile
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(data: bytes) -> str:
    """``sha256:hex``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """An archive with these files, the same bytes each time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the blob as it is sent, and the archive inside."""

    blob: bytes
    archive: bytes
    media_type: str = OCI_LAYER

    def descriptor(self) -> dict[str, object]:
        """The layer's entry in a manifest."""
        return {"mediaType": self.media_type, "digest": digest_of(self.blob), "size": len(self.blob)}


def layer_of(files: Mapping[str, bytes], media_type: str = OCI_LAYER) -> Layer:
    """A gzip layer with these files."""
    archive = tar_of(files)
    return Layer(gzip.compress(archive, 1, mtime=0), archive, media_type)


@dataclass(frozen=True, slots=True)
class SmallImage:
    """An image: manifest, configuration, layers; any of its documents can be replaced by a wrong one."""

    manifest: bytes
    media_type: str
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return digest_of(self.manifest)

    @property
    def image_id(self) -> str:
        """The id that the image gets in a store."""
        return hashlib.sha256(self.config).hexdigest()


@dataclass(frozen=True, slots=True)
class ImageWish:
    """What an image should be like."""

    docker: bool = False
    architecture: str = "amd64"
    variant: str = ""
    config: Mapping[str, object] = field(default_factory=dict)
    manifest: Mapping[str, object] = field(default_factory=dict)


def image_of(layers: Sequence[Layer], wish: ImageWish = ImageWish()) -> SmallImage:
    """An image with these layers, from the base up."""
    platform = {"architecture": wish.architecture, "os": "linux"} | ({"variant": wish.variant} if wish.variant else {})
    config = json.dumps(
        {
            **platform,
            "created": "2024-01-02T03:04:05Z",
            "config": {"Cmd": ["/bin/true"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer.archive) for layer in layers]},
            **wish.config,
        }
    ).encode()
    media_type = DOCKER_MANIFEST if wish.docker else OCI_MANIFEST
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": DOCKER_CONFIG if wish.docker else OCI_CONFIG,
                "digest": digest_of(config),
                "size": len(config),
            },
            "layers": [{**layer.descriptor(), "mediaType": DOCKER_LAYER if wish.docker else layer.media_type} for layer in layers],
            **wish.manifest,
        }
    ).encode()
    return SmallImage(manifest, media_type, config, tuple(layers))


def index_of(entries: Sequence[tuple[SmallImage, Mapping[str, object] | None]], docker: bool = False) -> bytes:
    """An index over images, each with its platform (None: without one)."""
    manifests = [
        {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
        | ({"platform": platform} if platform is not None else {})
        for image, platform in entries
    ]
    media_type = DOCKER_LIST if docker else OCI_INDEX
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}).encode()


@dataclass(frozen=True, slots=True)
class Pusher:
    """Uploads into a registry at ``address`` (host:port) that asks for no credentials, over plain HTTP."""

    address: str

    def image(self, repository: str, tag: str, image: SmallImage) -> str:
        """Uploads an image; returns its manifest's digest."""
        for blob in (image.config, *(layer.blob for layer in image.layers)):
            self.blob(repository, blob)
        return self.manifest(repository, tag, image.manifest, image.media_type)

    def blob(self, repository: str, data: bytes) -> str:
        """Uploads one blob; returns its digest."""
        digest = digest_of(data)
        headers = self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"", {}, 202)
        place = urllib.parse.urlsplit(headers["location"])
        query = f"{place.query}&digest={digest}" if place.query else f"digest={digest}"
        self._ask("PUT", f"{place.path}?{query}", data, {"Content-Type": "application/octet-stream"}, 201)
        return digest

    def manifest(self, repository: str, tag: str, body: bytes, media_type: str) -> str:
        """Uploads a manifest under a tag or digest; returns its digest."""
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", body, {"Content-Type": media_type}, 201)
        return digest_of(body)

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], expected: int) -> dict[str, str]:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            said = response.read()
            assert response.status == expected, f"{method} {path}: {response.status} {said[:300]!r}"
            return {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
