"""OCI artifacts through the image pull: kept as an OCI layout, found, removed."""

from __future__ import annotations

import json
import pathlib
from dataclasses import replace

import pytest

from crio.core.errors import NotFound
from crio.core.image.artifact import file_name_of
from crio.core.image.errors import DigestMismatch, NotAnImage
from crio.host.pull.artifacts import ArtifactStore
from test.integration.pull.kit import Bench
from test.support.faulty_registry import FaultyRegistry
from test.support.smallimages import OCI_MANIFEST, Pusher, digest_of

EMPTY = b"{}"
FILES = {"model.bin": b"weights" * 1000, "dir/readme.txt": b"read me"}
REPOSITORY = "artifacts/thing"


def artifact_manifest(files: dict[str, bytes], kind: str = "application/vnd.example.thing") -> bytes:
    """The manifest of an artifact with these files."""
    layers = [
        {
            "mediaType": "application/octet-stream",
            "digest": digest_of(content),
            "size": len(content),
            "annotations": {"org.opencontainers.image.title": title},
        }
        for title, content in files.items()
    ]
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(EMPTY), "size": 2}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "config": empty, "layers": layers}
    return json.dumps(document).encode()


@pytest.fixture
def place(bench: Bench, pusher: Pusher, proxy: FaultyRegistry) -> str:
    """An artifact in the real registry, its name at the proxy, and a place for artifacts."""
    for content in (EMPTY, *FILES.values()):
        pusher.blob(REPOSITORY, content)
    pusher.manifest(REPOSITORY, "1", artifact_manifest(FILES), OCI_MANIFEST)
    bench.insecure(proxy.address)
    bench.options = replace(bench.options, artifacts_dir=str(bench.folder / "root" / "artifacts"))
    return f"{proxy.address}/{REPOSITORY}:1"


async def test_an_artifact_becomes_a_layout(bench: Bench, place: str) -> None:
    result = await bench.pull(place)
    digest = digest_of(artifact_manifest(FILES))
    assert result.image_id == digest.partition(":")[2]
    folder = pathlib.Path(bench.options.artifacts_dir)
    index = json.loads((folder / "index.json").read_text())
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": place}
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert len(list((folder / "blobs" / "sha256").iterdir())) == 4
    store = ArtifactStore(bench.options.artifacts_dir)
    (found,) = store.artifacts()
    assert (found.repo_tags, found.repo_digests) == ((place,), (f"{place.removesuffix(':1')}@{digest}",))
    assert found.size_bytes == sum(map(len, FILES.values()))
    assert [file_name_of(layer) for layer in found.layers] == list(FILES)
    assert store.find(place) == store.find(result.image_id[:6]) == found
    assert store.find("zz") is store.find("fffffffff") is None


async def test_removal_keeps_the_blobs_that_others_need(bench: Bench, pusher: Pusher, place: str) -> None:
    await bench.pull(place)
    few = {"model.bin": FILES["model.bin"]}
    pusher.manifest(REPOSITORY, "2", artifact_manifest(few), OCI_MANIFEST)
    again = await bench.pull(place.removesuffix("1") + "2")
    assert again.bytes_fetched == 0
    store = ArtifactStore(bench.options.artifacts_dir)
    store.remove(place)
    (left,) = store.artifacts()
    assert left.artifact_id == again.image_id
    names = {path.name for path in (pathlib.Path(bench.options.artifacts_dir) / "blobs" / "sha256").iterdir()}
    wanted = (artifact_manifest(few), EMPTY, FILES["model.bin"])
    assert names == {digest_of(content).partition(":")[2] for content in wanted}
    with pytest.raises(NotFound):
        store.remove(place)


async def test_a_wrong_blob_leaves_nothing(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    wrong = b"x" * len(FILES["model.bin"])
    proxy.change(digest_of(FILES["model.bin"]), 0, body=wrong)
    with pytest.raises(DigestMismatch):
        await bench.pull(place)
    assert ArtifactStore(bench.options.artifacts_dir).artifacts() == ()
    blobs = pathlib.Path(bench.options.artifacts_dir) / "blobs" / "sha256"
    assert [path for path in blobs.iterdir() if path.name.startswith(".")] == []


async def test_without_a_place_for_artifacts_one_is_an_error(bench: Bench, place: str) -> None:
    bench.options = replace(bench.options, artifacts_dir="")
    with pytest.raises(NotAnImage, match=r"vnd\.example\.thing"):
        await bench.pull(place)
