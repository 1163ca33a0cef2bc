"""The kit gives the same bytes each time, and documents that hang together."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile

import pytest

from test.images import catalog
from test.images.catalog import Named
from test.images.layers import Entry, Kind, file, hard_link, layer, opaque, pack_tar, sha256, whiteout, with_parents
from test.unit.house.tree import ROOT

LISTING = [sys.executable, "-m", "test.images", "list"]


def names(tar: bytes) -> list[str]:
    """The names in a tar, in order."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getnames()


def test_two_builds_give_the_same_digests() -> None:
    first, second = (subprocess.run(LISTING, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout for _ in range(2))
    assert first == second
    assert len(first.splitlines()) == sum(len(named.references) for named in catalog.catalog())


@pytest.mark.parametrize("named", catalog.catalog(), ids=lambda named: str(named.references[0]))
def test_every_digest_of_an_image_is_that_of_its_bytes(named: Named) -> None:
    built = named.built
    documents = {document.digest: document.data for document in (built.top, *built.manifests)}
    manifests = built.manifests or (built.top,)
    if built.manifests:
        listed = json.loads(built.top.data)["manifests"]
        assert [entry["digest"] for entry in listed] == [manifest.digest for manifest in built.manifests]
        assert {entry["platform"]["architecture"] for entry in listed} == {"amd64", "arm64"}
    for manifest in manifests:
        value = json.loads(manifest.data)
        for part in (value["config"], *value["layers"]):
            data = built.blobs[part["digest"]]
            assert (sha256(data), len(data)) == (part["digest"], part["size"])
        config = json.loads(built.blobs[value["config"]["digest"]])
        unpacked = [gzip.decompress(built.blobs[part["digest"]]) for part in value["layers"]]
        assert [sha256(tar) for tar in unpacked] == config["rootfs"]["diff_ids"]
    assert all(sha256(data) == digest for digest, data in (built.blobs | documents).items())


def test_no_reference_is_given_twice_and_each_is_found() -> None:
    references = [str(reference) for named in catalog.catalog() for reference in named.references]
    assert len(references) == len(set(references))
    assert all(str(catalog.find(reference).references).count(reference.rpartition(":")[2]) for reference in references)


def test_the_two_old_pauses_are_one_image_and_not_the_sandbox_image() -> None:
    ids = {
        name: catalog.find(name).built.image_ids["amd64"] for name in ("registry.k8s.io/pause:3.9", "k8s.gcr.io/pause:3.9", catalog.PAUSE)
    }
    assert ids["registry.k8s.io/pause:3.9"] == ids["k8s.gcr.io/pause:3.9"] != ids[catalog.PAUSE]


ORDERS = {
    "parents are added and come first": ([file("a/b/c", "")], ["a", "a/b", "a/b/c"]),
    "a hard link follows its target whatever its name": ([hard_link("bin/ls", "bin/zz"), file("bin/zz", "")], ["bin", "bin/zz", "bin/ls"]),
    "marks keep their names": ([whiteout("d/x"), whiteout("y"), opaque("d")], [".wh.y", "d", "d/.wh..wh..opq", "d/.wh.x"]),
}


@pytest.mark.parametrize("case", ORDERS)
def test_entries_are_sorted(case: str) -> None:
    entries, wanted = ORDERS[case]
    assert names(pack_tar(with_parents(entries))) == wanted


def test_hostile_entries_come_out_as_they_are() -> None:
    entries = [file("../up", ""), file("/top", ""), Entry("dev", Kind.BLOCK_DEVICE, device=(8, 0))]
    with tarfile.open(fileobj=io.BytesIO(pack_tar(entries))) as archive:
        found = archive.getmembers()
    # tarfile strips the slash on reading; the raw header has it.
    assert [entry.name for entry in found] == ["../up", "/top", "dev"]
    assert (found[2].type, found[2].devmajor, found[2].devminor) == (tarfile.BLKTYPE, 8, 0)


def test_extended_attributes_are_in_the_pax_header() -> None:
    tar = pack_tar([Entry("f", xattrs={"user.a": "1"})])
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getmembers()[0].pax_headers["SCHILY.xattr.user.a"] == "1"


def test_a_layer_knows_both_of_its_digests() -> None:
    made = layer([file("f", "x")])
    assert made.diff_id == sha256(gzip.decompress(made.blob))
    assert made.digest == sha256(made.blob)
