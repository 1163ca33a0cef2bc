"""The corpus of layers through our engine and through podman: the same trees, or a difference that is written down here.

What each layer has to become, or why it is refused, is said beside the corpus (``test/unit/unpack``); here both tools get it as an
image. Budgets are proved on what an archive of a few megabytes can ask for: entries, depth, attributes, bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pathlib
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from crio.core.errors import CriError, ResourceExhausted
from crio.core.image.errors import BadLayer
from crio.host.pull.engine import PullEngine
from test.integration.pull.corpus import PLAIN, Podman, top_diff, tree_of, write_blobs, write_image
from test.integration.pull.kit import Bench, open_bench
from test.support.tarbytes import DIRECTORY, END, SYMLINK, Member, archive, header
from test.unit.unpack.test_unpack import ACCEPTED, REFUSED

STRICTER = {
    "the same path absolute and relative": "one of them would be lost; the other spellings of this are refused there, too",
    "a name above the root": "lands inside the root there, and the layer can then never be pushed again",
    "a name above the root on its way": "as above",
    "an absolute name above the root": "as above",
    "a PAX name above the root": "as above",
    "an opaque marker below a file": "says nothing there",
    "a file in the place of the root": "ignored there",
    "an owner beyond 32 bits": "cut to 32 bits there: the file of somebody else, even of root",
    "an owner that means no change": "stays with root there",
    "a negative group": "cut to 32 bits there",
    "an archive that ends behind an extended header": "taken for the end there",
    "an overlay attribute from the archive": "applied there: steers overlay to other files",
    "an overlay attribute on a link": "as above",
}
LOOSER = {"a PAX sparse file, format 0.1": "the reader there refuses this form of the corpus"}


@pytest.fixture
async def engine(bench: Bench) -> AsyncIterator[PullEngine]:
    """An engine on a store of its own."""
    async with bench.engine() as opened:
        yield opened


@pytest.fixture
def podman() -> Iterator[Podman]:
    """The reference; it refuses long paths."""
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        made = Podman(pathlib.Path(folder, "p"))
        made.prepare()
        yield made
        made.close()


async def _ours(engine: PullEngine, place: pathlib.Path) -> str:
    try:
        await engine.load(f"dir:{place}")
    except CriError as error:
        return str(error)
    return ""


async def test_the_corpus_becomes_what_it_becomes_with_podman(
    bench: Bench, engine: PullEngine, podman: Podman, tmp_path: pathlib.Path
) -> None:
    stricter, looser, different = set(), set(), {}
    for number, (name, case) in enumerate([*ACCEPTED.items(), *REFUSED.items()]):
        place = tmp_path / f"i{number}"
        image = write_image(place, [case.layer])
        async with asyncio.TaskGroup() as group:
            reference = group.create_task(asyncio.to_thread(podman.pull, place), name=name)
            ours = await _ours(engine, place)
        theirs = reference.result()
        assert bool(ours) == (name in REFUSED), (name, ours)
        if ours and not theirs:
            stricter.add(name)
        elif theirs and not ours:
            looser.add(name)
        elif not ours:
            mine, other = tree_of(top_diff(bench.folder / "root", image.image_id)), tree_of(top_diff(podman.root, image.image_id))
            if mine != other:
                different[name] = {path: (mine.get(path), other.get(path)) for path in {*mine, *other} if mine.get(path) != other.get(path)}
    assert different == {}
    assert (stricter, looser) == (set(STRICTER), set(LOOSER))


async def _load(engine: PullEngine, place: pathlib.Path, *archives: bytes) -> str:
    image = await asyncio.to_thread(write_image, place, archives)
    await engine.load(f"dir:{place}")
    return image.image_id


async def test_whiteouts_between_layers_become_what_they_become_with_podman(
    bench: Bench, engine: PullEngine, podman: Podman, tmp_path: pathlib.Path
) -> None:
    lower = archive(
        Member("d", kind=DIRECTORY, mode=0o751), Member("d/a", b"1"), Member("d/b", b"2"), Member("o/x", b"3"), Member("f", b"4"),
        Member("to-dir", b"5"), Member("to-file/x", b"6"), Member("l", kind=SYMLINK, link="d"),
    )  # fmt: skip
    upper = archive(
        Member("d/.wh.a"), Member("o/.wh..wh..opq"), Member("o/new", b"7"), Member(".wh.f"), Member("to-dir/x", b"8"),
        Member("to-file", b"9"), Member("none/.wh.gone"), Member("l/through", b"10"), Member("new/.wh..wh..opq"),
    )  # fmt: skip
    image_id = await _load(engine, tmp_path / "i", lower, upper)
    assert podman.pull(tmp_path / "i") == ""
    assert tree_of(top_diff(bench.folder / "root", image_id)) == tree_of(top_diff(podman.root, image_id))


@pytest.fixture
def memory_bench(tmp_path: pathlib.Path) -> Iterator[Bench]:
    """A store in memory: a million files would slow the host's disk down for everybody."""
    point = tmp_path / "m"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3g,nr_inodes=4m", "none", str(point)], check=True)
    try:
        with open_bench(point) as opened:
            yield opened
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


@pytest.fixture
def small_bench(tmp_path: pathlib.Path) -> Iterator[Bench]:
    """A store on a disk of 64 MB."""
    point = tmp_path / "s"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(point)], check=True)
    try:
        with open_bench(point) as opened:
            yield opened
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def _zstd_bomb(size_mb: int) -> tuple[bytes, str]:
    """A file of zeros in a layer: the blob, some ten thousand times smaller, and the archive's digest."""
    sha = hashlib.sha256()
    zeros = bytes(1 << 20)
    with subprocess.Popen(["zstd", "-q", "-c", "-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as packer:
        assert packer.stdin is not None
        assert packer.stdout is not None
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(packer.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        for part in (header(Member("zeros", size=size_mb << 20)), *([zeros] * size_mb), END):
            packer.stdin.write(part)
            sha.update(part)
        packer.stdin.close()
        reader.join()
    return found[0], f"sha256:{sha.hexdigest()}"


async def test_a_decompression_bomb_leaves_room_on_the_disk(small_bench: Bench, tmp_path: pathlib.Path) -> None:
    blob, diff_id = await asyncio.to_thread(_zstd_bomb, 2048)
    assert len(blob) < 1 << 20
    write_blobs(tmp_path / "i", [(blob, diff_id, PLAIN + "+zstd")])
    least = 1 << 40
    over = threading.Event()

    def watch() -> None:
        nonlocal least
        while not over.wait(0.002):
            disk = os.statvfs(small_bench.folder)
            least = min(least, disk.f_bavail * disk.f_frsize)

    watcher = threading.Thread(target=watch)
    watcher.start()
    async with small_bench.engine() as engine:
        with pytest.raises(ResourceExhausted, match=r"'zeros'.*allowed"):
            await engine.load(f"dir:{tmp_path / 'i'}")
    over.set()
    watcher.join()
    assert least > 1 << 20
    small_bench.assert_empty()


def _million() -> bytes:
    """A thousand directories with a thousand empty files each: one header, with the name and its sum put in."""
    blank = bytearray(header(Member("", mode=0o644)))
    base = sum(blank) - sum(blank[148:156]) + 8 * 32
    parts = []
    for folder in range(1000):
        parts.append(header(Member(f"d{folder:03}/", kind=DIRECTORY, mode=0o755)))
        for number in range(999):
            name = b"d%03d/f%03d" % (folder, number)
            blank[: len(name)] = name
            blank[148:156] = b"%06o\0 " % (base + sum(name))
            parts.append(bytes(blank))
    return b"".join(parts) + END


async def test_a_million_entries_are_unpacked_and_removed_within_a_minute(memory_bench: Bench, tmp_path: pathlib.Path) -> None:
    data = await asyncio.to_thread(_million)
    image = await asyncio.to_thread(write_image, tmp_path / "i", [data])
    began_s = time.monotonic()
    async with memory_bench.engine() as engine:
        await engine.load(f"dir:{tmp_path / 'i'}")
    diff = top_diff(memory_bench.folder / "root", image.image_id)
    assert (len(os.listdir(diff)), len(os.listdir(diff / "d999"))) == (1000, 999)
    memory_bench.store.delete_image(image.image_id)
    assert memory_bench.store.wait_removed(60.0)
    assert time.monotonic() - began_s < 60
    memory_bench.assert_empty()


async def test_a_deep_tree_is_made_and_removed(bench: Bench, engine: PullEngine, tmp_path: pathlib.Path) -> None:
    deep = "/".join(["d"] * 1000)
    image_id = await _load(engine, tmp_path / "i", archive(Member("x", b"1", pax={"path": f"{deep}/end"})))
    assert (top_diff(bench.folder / "root", image_id) / deep / "end").read_bytes() == b"1"
    bench.store.delete_image(image_id)
    bench.assert_empty()


async def test_huge_attributes_are_set_or_refused(bench: Bench, engine: PullEngine, tmp_path: pathlib.Path) -> None:
    """An ext4 of the usual kind takes 4 kB per file; what it does not take is said, not left out."""
    fits = archive(*(Member(f"f{n}", pax={f"SCHILY.xattr.user.{k}": "v" * 300 for k in "abcdefgh"}) for n in range(50)))
    image_id = await _load(engine, tmp_path / "fits", fits)
    found = os.getxattr(top_diff(bench.folder / "root", image_id) / "f49", "user.h")
    assert found == b"v" * 300
    bench.store.delete_image(image_id)
    big = archive(Member("a", b"1"), Member("b", pax={"SCHILY.xattr.user.big": "v" * 900_000}))
    with pytest.raises(BadLayer, match=r"'b'.*user\.big"):
        await _load(engine, tmp_path / "big", big)
    bench.assert_empty()
