"""The media types of manifests, configurations and layers, and what each means for a pull.

Source: OCI image specification, media types; Docker image manifest version 2, schema 1 and 2; specification E.3.
"""

from __future__ import annotations

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"

ACCEPTED_MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST, SCHEMA1_SIGNED, SCHEMA1, DOCKER_LIST, OCI_INDEX)
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
IMAGE_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

_FOREIGN_PREFIXES = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
)
_LAYER_PREFIXES = (OCI_LAYER, DOCKER_LAYER, *_FOREIGN_PREFIXES)
_COMPRESSIONS = frozenset({"", ".gzip", "+gzip", ".zstd", "+zstd"})
_ENCRYPTED = "+encrypted"


def without_parameters(content_type: str) -> str:
    """The media type of a Content-Type header without ``; charset=…``."""
    return content_type.partition(";")[0].strip().lower()


def is_layer(media_type: str) -> bool:
    """Whether this is a root file system layer; what compresses it is told by its first bytes, not by this."""
    plain = media_type.removesuffix(_ENCRYPTED)
    return any(plain.startswith(prefix) and plain[len(prefix) :] in _COMPRESSIONS for prefix in _LAYER_PREFIXES)


def is_foreign_layer(media_type: str) -> bool:
    """Whether the layer may live outside the registry, at the URLs of its descriptor."""
    return media_type.startswith(_FOREIGN_PREFIXES)


def is_encrypted_layer(media_type: str) -> bool:
    """Whether the layer has to be decrypted first."""
    return media_type.endswith(_ENCRYPTED)
