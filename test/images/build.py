"""Manifests, configurations and multi-architecture lists, in the OCI format and in Docker's schema 2."""

from __future__ import annotations

import enum
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from test.images.layers import Compression, Layer, sha256

CREATED = "2024-01-01T00:00:00Z"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
JsonObject = dict[str, object]


class Format(enum.Enum):
    """Which family of media types a manifest uses."""

    OCI = "oci"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True)
class MediaTypes:
    """The media types of one family. Source: OCI image-spec media-types.md; distribution, image manifest v2 schema 2."""

    config: str
    manifest: str
    index: str
    layers: Mapping[Compression, str]


MEDIA_TYPES = {
    Format.OCI: MediaTypes(
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        {
            Compression.NONE: "application/vnd.oci.image.layer.v1.tar",
            Compression.GZIP: "application/vnd.oci.image.layer.v1.tar+gzip",
        },
    ),
    Format.DOCKER: MediaTypes(
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        {
            Compression.NONE: "application/vnd.docker.image.rootfs.diff.tar",
            Compression.GZIP: "application/vnd.docker.image.rootfs.diff.tar.gzip",
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Process:
    """What a container of the image runs by default. Source: OCI image-spec config.md, object ``config``."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    working_dir: str = ""
    stop_signal: str = ""
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Image:
    """An image before it has digests. With more than one architecture it becomes a list; each has the same layers."""

    layers: tuple[Layer, ...]
    process: Process = Process()
    format: Format = Format.OCI
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document as it is served: its bytes, type and digest."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """The digest that names the document."""
        return sha256(self.data)

    def descriptor(self) -> JsonObject:
        """How another document refers to this one. Source: OCI image-spec descriptor.md."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Built:
    """A finished image: the document that its tags name, the manifests below a list, and every blob by digest."""

    top: Document
    manifests: tuple[Document, ...]
    blobs: Mapping[str, bytes]
    image_ids: Mapping[str, str]


def native_architecture() -> str:
    """This machine's architecture in the words of OCI; raises KeyError on one that the kit cannot make."""
    return MACHINES[platform.machine()]


def both_architectures() -> tuple[str, ...]:
    """The two architectures of the kit's lists."""
    return tuple(sorted(MACHINES.values()))


def _document(value: JsonObject, media_type: str) -> Document:
    return Document(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), media_type)


def _config(image: Image, architecture: str) -> Document:
    process = image.process
    words: JsonObject = {
        "Entrypoint": list(process.entrypoint),
        "Cmd": list(process.command),
        "User": process.user,
        "Env": list(process.env),
        "WorkingDir": process.working_dir,
        "StopSignal": process.stop_signal,
        "ExposedPorts": {port: {} for port in process.ports},
        "Volumes": {path: {} for path in process.volumes},
        "Labels": dict(process.labels),
    }
    value: JsonObject = {
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {name: word for name, word in words.items() if word},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in image.layers]},
        "history": [{"created": CREATED, "created_by": "test.images"} for _ in image.layers],
    }
    return _document(value, MEDIA_TYPES[image.format].config)


def _manifest(image: Image, config: Document) -> Document:
    types = MEDIA_TYPES[image.format]
    layers = [{"mediaType": types.layers[layer.compression], "digest": layer.digest, "size": len(layer.blob)} for layer in image.layers]
    value: JsonObject = {
        "schemaVersion": 2,
        "mediaType": types.manifest,
        "config": config.descriptor(),
        "layers": layers,
    }
    return _document(value, types.manifest)


def build(image: Image) -> Built:
    """Turn an image into documents and blobs; the same image gives the same digests."""
    architectures = image.architectures or (native_architecture(),)
    blobs = {layer.digest: layer.blob for layer in image.layers}
    manifests, listed, image_ids = [], [], {}
    for architecture in architectures:
        config = _config(image, architecture)
        manifest = _manifest(image, config)
        blobs[config.digest] = config.data
        image_ids[architecture] = config.digest
        manifests.append(manifest)
        listed.append(manifest.descriptor() | {"platform": {"architecture": architecture, "os": "linux"}})
    if len(architectures) == 1:
        return Built(manifests[0], (), blobs, image_ids)
    index = MEDIA_TYPES[image.format].index
    top = _document({"schemaVersion": 2, "mediaType": index, "manifests": listed}, index)
    return Built(top, tuple(manifests), blobs, image_ids)


def as_list(image: Image) -> Image:
    """The same image for both architectures of the kit."""
    return replace(image, architectures=both_architectures())
