"""Writes images as an OCI layout folder. Source: OCI image-spec image-layout.md.

The images in Docker's format lie in it too, under their own media types, which the specification allows; skopeo and
podman find only the others in a layout, and take all of them from a registry.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable

from test.images.build import Built


def write_layout(folder: pathlib.Path, images: Iterable[tuple[str, Built]]) -> None:
    """Write every (reference, image) into one layout; the entries of its index carry the references as their names."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    index = []
    for reference, built in images:
        documents = {document.digest: document.data for document in (built.top, *built.manifests)}
        for digest, data in sorted({**built.blobs, **documents}.items()):
            (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        index.append({**built.top.descriptor(), "annotations": {"org.opencontainers.image.ref.name": reference}})
    value = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index}
    (folder / "index.json").write_text(json.dumps(value, sort_keys=True, indent=1) + "\n")
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}\n')
