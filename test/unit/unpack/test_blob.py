"""The blob around the archive: compression, digests, sizes, budgets, progress, and what happens when they do not fit."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import pathlib
import random
import subprocess
from collections.abc import Callable

import pytest

from test.support import tarsplit
from test.support.tarbytes import DIRECTORY, Member, archive, header

from .support import PROGRAM, TIMEOUT_S, Unpack, describe, sha256


def content(size: int) -> bytes:
    """Bytes that compress to about half."""
    source = random.Random(size)
    return b"".join(source.randbytes(64) + bytes(64) for _ in range(size // 128 + 1))[:size]


LAYER = archive(*(Member(f"d{n % 3}/f{n}", content(n * 1511), mode=0o600) for n in range(1, 60)))


def zstd(data: bytes) -> bytes:
    """One frame, by the program: no module is needed."""
    return subprocess.run(["zstd", "-q", "-c"], input=data, check=True, capture_output=True).stdout


def halves(compress: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Two members, frames or streams, one after the other."""
    return compress(data[: len(data) // 2]) + compress(data[len(data) // 2 :])


SKIPPABLE = bytes.fromhex("502a4d1805000000") + b"12345"

BLOBS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "plain": (0, bytes),
    "bzip2": (1, bz2.compress),
    "two bzip2 streams": (1, lambda data: halves(bz2.compress, data)),
    "gzip": (2, gzip.compress),
    "gzip, stored": (2, lambda data: gzip.compress(data, 0)),
    "two gzip members": (2, lambda data: halves(gzip.compress, data)),
    "many gzip members": (2, lambda data: b"".join(gzip.compress(data[at : at + 50_000], 1) for at in range(0, len(data), 50_000))),
    "gzip with an empty member at the end": (2, lambda data: gzip.compress(data) + gzip.compress(b"")),
    "xz": (3, lzma.compress),
    "two xz streams": (3, lambda data: halves(lzma.compress, data)),
    "zstd": (4, zstd),
    "two zstd frames": (4, lambda data: halves(zstd, data)),
    "zstd with skippable frames around": (4, lambda data: SKIPPABLE + zstd(data) + SKIPPABLE),
}


@pytest.mark.parametrize(("code", "compress"), BLOBS.values(), ids=BLOBS.keys())
def test_every_compression_is_found_and_its_code_reported(code: int, compress: Callable[[bytes], bytes], unpack: Unpack) -> None:
    """By the first bytes alone; both digests and sizes are those of the bytes."""
    blob = compress(LAYER)
    done = unpack(blob, "--size", str(len(blob)), "--digest", sha256(blob), "--diff-id", sha256(LAYER))
    assert done.status == 0, done.answer
    assert done.answer == {
        "digest": sha256(blob),
        "size": len(blob),
        "diff_id": sha256(LAYER),
        "diff_size": len(LAYER),
        "compression": code,
        "entries": 59,
        "uids": [0],
        "gids": [0],
    }
    assert tarsplit.reassemble(done.split, done.tree) == LAYER


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, zstd, lzma.compress, bz2.compress], ids=["plain", "gzip", "zstd", "xz", "bzip2"]
)
@pytest.mark.parametrize("piece", [1, 511, 4097])
def test_it_does_not_matter_in_which_pieces_the_blob_comes(compress: Callable[[bytes], bytes], piece: int, tmp_path: pathlib.Path) -> None:
    """A slow sender, down to single bytes."""
    layer = archive(*(Member(f"f{n}", content(n * 100)) for n in range(10)))
    blob = compress(layer)
    tree = tmp_path / "diff"
    tree.mkdir()
    command: list[str | pathlib.Path] = [
        PROGRAM,
        "--root",
        tree,
        "--tar-split",
        tmp_path / "ts",
        "--digest",
        sha256(blob),
        "--diff-id",
        sha256(layer),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin and process.stdout
        for at in range(0, len(blob), piece):
            process.stdin.write(blob[at : at + piece])
        process.stdin.close()
        answer = json.loads(process.stdout.read())
        assert process.wait(TIMEOUT_S) == 0, answer
    assert tarsplit.reassemble(tmp_path / "ts", tree) == layer


def cut(data: bytes) -> bytes:
    """Without its last tenth."""
    return data[: len(data) * 9 // 10]


def flipped(data: bytes) -> bytes:
    """With one bit changed in the middle."""
    out = bytearray(data)
    out[len(data) // 2] ^= 0x10
    return bytes(out)


@pytest.mark.parametrize("compress", [gzip.compress, zstd, lzma.compress, bz2.compress], ids=["gzip", "zstd", "xz", "bzip2"])
def test_a_short_stream_is_truncated(compress: Callable[[bytes], bytes], unpack: Unpack) -> None:
    """With and without knowing the size and the digest."""
    blob = compress(LAYER)
    for options in ((), ("--size", str(len(blob))), ("--size", str(len(blob)), "--digest", sha256(blob))):
        done = unpack(cut(blob), *options)
        assert (done.status, done.error) == (1, "truncated"), done.answer


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, zstd, lzma.compress, bz2.compress], ids=["plain", "gzip", "zstd", "xz", "bzip2"]
)
def test_damage_is_a_digest_mismatch_when_the_digest_is_known(compress: Callable[[bytes], bytes], unpack: Unpack) -> None:
    """Whatever nonsense the damaged stream decompresses to; the daemon fetches such a blob again."""
    blob = compress(LAYER)
    done = unpack(flipped(blob), "--digest", sha256(blob))
    assert (done.status, done.error) == (1, "digest_mismatch"), done.answer


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress], ids=["gzip", "xz", "bzip2"])
def test_damage_is_found_by_the_stream_itself(compress: Callable[[bytes], bytes], unpack: Unpack) -> None:
    """Without a digest to compare with."""
    done = unpack(flipped(compress(LAYER)))
    assert (done.status, done.error) == (1, "bad_archive"), done.answer


WRONG: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...], str]] = {
    "a blob that is too long": (lambda blob: blob + b"x", ("--size", "{size}"), "size_mismatch"),
    "a blob that is too short": (cut, ("--size", "{size}"), "truncated"),
    "another digest": (bytes, ("--digest", "sha256:" + "0" * 64), "digest_mismatch"),
    "another digest of the archive": (bytes, ("--diff-id", "sha256:" + "0" * 64), "diffid_mismatch"),
    "garbage after the stream": (lambda blob: blob + b"garbage", (), "bad_archive"),
    "too many entries": (bytes, ("--max-entries", "61"), "budget"),
    "too many bytes": (bytes, ("--max-bytes", "100000"), "budget"),
}


@pytest.mark.parametrize(("change", "options", "code"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_refused(change: Callable[[bytes], bytes], options: tuple[str, ...], code: str, unpack: Unpack) -> None:
    """Sizes, digests and budgets; 59 files and 3 implied directories make 62 entries."""
    blob = gzip.compress(LAYER)
    done = unpack(change(blob), *(option.format(size=len(blob)) for option in options))
    assert (done.status, done.error) == (1, code), done.answer


def test_a_hostile_layer_of_the_right_digest_stays_hostile(unpack: Unpack) -> None:
    """Checking the digest after a refusal does not replace the reason."""
    blob = gzip.compress(archive(Member("../x"), Member("big", content(3_000_000))))
    done = unpack(blob, "--digest", sha256(blob), "--size", str(len(blob)))
    assert (done.status, done.error) == (1, "hostile_entry"), done.answer


def test_a_bomb_stops_at_the_budget(unpack: Unpack) -> None:
    """A gigabyte of zeros in a megabyte, a sparse file of a terabyte, and both without writing them."""
    bomb = gzip.compress(bytes(10_000_000), 1) * 100
    done = unpack(bomb, "--max-bytes", "10000000")
    assert done.error == "budget", done.answer
    sparse = archive(Member("a", b"", pax={"GNU.sparse.map": "0,0", "GNU.sparse.realsize": str(1 << 40)}))
    done = unpack(sparse, "--max-bytes", "10000000")
    assert done.error == "budget", done.answer
    assert sum(path.stat().st_blocks for path in done.tree.iterdir()) == 0


def test_processor_time_has_a_budget(unpack: Unpack) -> None:
    """One second is not enough to hash 20 gigabytes of zeros, which take two bytes per thousand."""
    blob = gzip.compress(header(Member("a", size=20_000_000_000))) + gzip.compress(bytes(10_000_000), 1) * 2000
    assert unpack(blob, "--max-seconds", "1").error == "budget"


def test_implied_directories_count_as_entries(unpack: Unpack) -> None:
    """Otherwise few members could make millions of directories."""
    members = [Member("x", pax={"path": f"{n}/" + "d/" * 100 + "f"}) for n in range(20)]
    done = unpack(archive(*members), "--max-entries", "500")
    assert done.error == "budget", done.answer


def test_many_entries_are_quick(unpack: Unpack) -> None:
    """Twenty thousand directories within the processor time of thirty seconds."""
    blob = archive(*(Member(f"d{n}", kind=DIRECTORY, mode=0o755) for n in range(20_000)))
    done = unpack(blob, "--max-seconds", "30")
    assert done.answer["entries"] == 20_000


def test_a_full_disk_is_told_apart(unpack: Unpack, tmp_path: pathlib.Path) -> None:
    """Space for data, space for names."""
    small = tmp_path / "small"
    small.mkdir()
    for option, blob in {"size=256k": archive(Member("a", content(2_000_000))), "nr_inodes=8": LAYER}.items():
        subprocess.run(["mount", "-t", "tmpfs", "-o", option, "none", small], check=True)
        try:
            done = unpack(blob, tree=small)
        finally:
            subprocess.run(["umount", small], check=True)
        assert (done.status, done.error) == (1, "no_space"), done.answer


def test_progress_lines_end_with_the_totals(tmp_path: pathlib.Path) -> None:
    """One JSON object per line; a descriptor of the directory may be given instead of its name."""
    tree = tmp_path / "diff"
    tree.mkdir()
    tree_fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    progress, progress_end = os.pipe()
    try:
        done = subprocess.run(
            [PROGRAM, "--root-fd", str(tree_fd), "--tar-split", tmp_path / "ts", "--progress-fd", str(progress_end)],
            input=LAYER,
            pass_fds=(tree_fd, progress_end),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    finally:
        os.close(tree_fd)
        os.close(progress_end)
    with os.fdopen(progress, "rb") as lines:
        last = [json.loads(line) for line in lines][-1]
    written = sum(path.stat().st_size for path in tree.rglob("f*"))
    assert last == {"read": len(LAYER), "written": written, "entries": 59}
    assert json.loads(done.stdout)["entries"] == 59
    assert len(describe(tree)) == 62


USAGE = {
    "no directory": ("--tar-split", "/tmp/x"),
    "both directories": ("--root", "/", "--root-fd", "5", "--tar-split", "/tmp/x"),
    "no tar-split file": ("--root", "/"),
    "a bad digest": ("--root", "/", "--tar-split", "/tmp/x", "--digest", "sha256:ABC"),
    "a bad map": ("--root", "/", "--tar-split", "/tmp/x", "--uid-map", "0:1:0"),
    "an unknown option": ("--nonsense",),
    "a stray word": ("--root", "/", "--tar-split", "/tmp/x", "stray"),
}


@pytest.mark.parametrize("options", USAGE.values(), ids=USAGE.keys())
def test_a_wrong_command_line_is_explained(options: tuple[str, ...]) -> None:
    """Nothing is opened or made."""
    done = subprocess.run([PROGRAM, *options], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["error"]) == (1, "usage")


def test_a_random_archive_never_harms(unpack: Unpack, tmp_path: pathlib.Path) -> None:
    """Damaged copies of a valid layer end with a documented code or success, never with a signal."""
    source = random.Random(7)
    valid = archive(
        Member("a", b"x" * 700, pax={"mtime": "1.5", "SCHILY.xattr.user.k": "v"}),
        Member("d", kind=DIRECTORY),
        Member("l", kind="2", link="a"),
    )
    for _ in range(150):
        blob = bytearray(valid)
        for _ in range(source.randrange(1, 6)):
            blob[source.randrange(len(blob))] = source.randrange(256)
        done = unpack(bytes(blob))
        assert done.status in (0, 1), done.answer
        assert done.error in ("", "bad_archive", "hostile_entry", "budget"), done.answer
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("tmp")] == []
