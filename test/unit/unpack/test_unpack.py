"""What a layer may contain, and what the unpacker makes of it: accepted archives with their tree, refused ones with the code."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from test.support import tarbytes, tarsplit
from test.support.tarbytes import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    END,
    FIFO,
    GNU,
    HARDLINK,
    OLD,
    SYMLINK,
    Member,
    archive,
    extension,
    gnu_long,
    header,
    pax_records,
)

from .support import Unpack, describe, sha256

LONG = "d" * 90 + "/" + "e" * 90 + "/" + "f" * 90


def directory(name: str, mode: int = 0o755) -> Member:
    """A directory member."""
    return Member(name, kind=DIRECTORY, mode=mode)


def link(name: str, target: str) -> Member:
    """A symbolic link member."""
    return Member(name, kind=SYMLINK, mode=0o777, link=target)


def hard(name: str, target: str) -> Member:
    """A hard link member."""
    return Member(name, kind=HARDLINK, link=target)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A layer and the tree it becomes."""

    layer: bytes
    tree: dict[str, str] = field(default_factory=dict)


F = "file 644 0:0 "

ACCEPTED: dict[str, Accepted] = {
    "a layer of zero bytes": Accepted(b""),
    "two zero blocks": Accepted(END),
    "one zero block": Accepted(bytes(512)),
    "no end blocks": Accepted(archive(Member("a", b"x"), end=b""), {"a": F + "b'x'"}),
    "no padding at the end": Accepted(header(Member("a", b"x", size=1)) + b"x", {"a": F + "b'x'"}),
    "garbage after the end": Accepted(archive(Member("a", b"x")) + b"garbage" * 5000, {"a": F + "b'x'"}),
    "an absolute name is relative to the root": Accepted(archive(Member("/etc/x", b"1")), {"etc": "dir 755 0:0", "etc/x": F + "b'1'"}),
    "names are cleaned": Accepted(
        archive(directory("./d/."), Member("./d/./e", b"1"), Member("d//g", b"2"), Member("d/q/../h/", b"3")),
        {"d": "dir 755 0:0", "d/e": F + "b'1'", "d/g": F + "b'2'", "d/h": F + "b'3'"},
    ),
    "missing parents are made": Accepted(
        archive(Member("a/b/c", b"", uid=5)), {"a": "dir 755 0:0", "a/b": "dir 755 0:0", "a/b/c": "file 644 5:0 b''"}
    ),
    "dot dot inside the root is resolved": Accepted(archive(Member("a/../b", b"1")), {"b": F + "b'1'"}),
    "a hard link to an absolute name": Accepted(
        archive(Member("e/x", b"1"), hard("y", "/e/x")), {"e": "dir 755 0:0", "e/x": F + "b'1'", "y": F + "b'1'"}
    ),
    "a hard link to a symbolic link links the link": Accepted(
        archive(link("l", "/nowhere"), hard("m", "l")), {"l": "link 0:0 -> /nowhere", "m": "link 0:0 -> /nowhere"}
    ),
    "symbolic links are stored as they are": Accepted(
        archive(link("a", "/etc/shadow"), link("b", "../../../../x"), link("c", "a//./b/")),
        {"a": "link 0:0 -> /etc/shadow", "b": "link 0:0 -> ../../../../x", "c": "link 0:0 -> a//./b/"},
    ),
    "a member through a link inside the layer": Accepted(
        archive(directory("real"), link("l", "real"), Member("l/x", b"1")),
        {"real": "dir 755 0:0", "real/x": F + "b'1'", "l": "link 0:0 -> real"},
    ),
    "a member through an absolute link is resolved inside": Accepted(
        archive(directory("real"), link("l", "/real"), Member("l/x", b"1")),
        {"real": "dir 755 0:0", "real/x": F + "b'1'", "l": "link 0:0 -> /real"},
    ),
    "a link above the root is resolved inside": Accepted(
        archive(directory("real"), link("l", "../../../real"), Member("l/x", b"1")),
        {"real": "dir 755 0:0", "real/x": F + "b'1'", "l": "link 0:0 -> ../../../real"},
    ),
    "a directory over an implied one takes its place": Accepted(
        archive(Member("d/x", b"1"), Member("d", kind=DIRECTORY, mode=0o700, uid=3, gid=4)), {"d": "dir 700 3:4", "d/x": F + "b'1'"}
    ),
    "devices and pipes": Accepted(
        archive(
            Member("c", kind=CHARACTER, major=1, minor=3, mode=0o666),
            Member("b", kind=BLOCK_DEVICE, major=259, minor=70000, mode=0o660, gid=6),
            Member("p", kind=FIFO, mode=0o600),
            Member("w", kind=CHARACTER, mode=0o600),
        ),
        {"b": "block 660 0:6 259:70000", "c": "char 666 0:0 1:3", "p": "fifo 600 0:0", "w": "char 600 0:0 0:0"},
    ),
    "a global header is ignored": Accepted(
        archive(extension("g", pax_records({"path": "evil", "uid": "7"})), Member("a", b"1")), {"a": F + "b'1'"}
    ),
    "a GNU long name": Accepted(
        archive(gnu_long(LONG.encode()), Member("cut", b"1", magic=GNU)),
        {**{LONG.rsplit("/", n)[0]: "dir 755 0:0" for n in (1, 2)}, LONG: F + "b'1'"},
    ),
    "a GNU long link": Accepted(
        archive(gnu_long(link=b"t" * 300), Member("l", kind=SYMLINK, link="cut", magic=GNU)), {"l": "link 0:0 -> " + "t" * 300}
    ),
    "PAX names": Accepted(
        archive(Member("cut", kind=SYMLINK, link="cut", pax={"path": "päth", "linkpath": "z" * 200})),
        {"päth": "link 0:0 -> " + "z" * 200},
    ),
    "a ustar prefix": Accepted(archive(Member("x", b"1", prefix="p/q")), {"p": "dir 755 0:0", "p/q": "dir 755 0:0", "p/q/x": F + "b'1'"}),
    "a prefix in GNU headers, as old image tools wrote it": Accepted(
        archive(Member("x", b"1", prefix="p/q", magic=GNU)), {"p": "dir 755 0:0", "p/q": "dir 755 0:0", "p/q/x": F + "b'1'"}
    ),
    "times in GNU headers are no prefix": Accepted(
        archive(Member("x", b"1", prefix="14700000000\x0014700000000", magic=GNU)), {"x": F + "b'1'"}
    ),
    "a prefix in GNU headers that is not ASCII is none": Accepted(
        archive(Member("x", b"1", prefix="p\xe4/q", magic=GNU)), {"x": F + "b'1'"}
    ),
    "old headers, where a slash makes a directory": Accepted(
        archive(Member("d/", kind="\0", magic=OLD, mode=0o755), Member("f", b"1", kind="\0", magic=OLD)),
        {"d": "dir 755 0:0", "f": F + "b'1'"},
    ),
    "large owners in octal, PAX and base-256": Accepted(
        archive(
            Member("a", uid=2_000_000, gid=2_097_151),
            Member("b", pax={"uid": "4000000000", "gid": "3000000000"}),
            Member("c", uid=4_294_967_294, gid=70_000, binary_numbers=True),
        ),
        {"a": "file 644 2000000:2097151 b''", "b": "file 644 4000000000:3000000000 b''", "c": "file 644 4294967294:70000 b''"},
    ),
    "a size in base-256 and in PAX": Accepted(
        archive(Member("a", b"xyz", binary_numbers=True), Member("b", b"12345", size=0, pax={"size": "5"})),
        {"a": F + "b'xyz'", "b": F + "b'12345'"},
    ),
    "links with a size have no content": Accepted(
        archive(Member("a", b"1"), Member("l", kind=SYMLINK, link="a", size=4000), Member("m", kind=HARDLINK, link="a", size=1)),
        {"a": F + "b'1'", "l": "link 0:0 -> a", "m": F + "b'1'"},
    ),
    "setuid, setgid and sticky survive a change of owner": Accepted(
        archive(Member("a", b"1", mode=0o6755, uid=1, gid=2), Member("t", kind=DIRECTORY, mode=0o3777, uid=1, gid=2)),
        {"a": "file 6755 1:2 b'1'", "t": "dir 3777 1:2"},
    ),
    "files below a setgid directory keep their own group": Accepted(
        archive(Member("t", kind=DIRECTORY, mode=0o2755, gid=50), Member("t/a", b"1"), Member("t/d", kind=DIRECTORY, mode=0o755)),
        {"t": "dir 2755 0:50", "t/a": F + "b'1'", "t/d": "dir 755 0:0"},
    ),
    "the root entry leaves the root alone": Accepted(
        archive(Member("./", kind=DIRECTORY, mode=0o700, uid=9), Member("a")), {"a": F + "b''"}
    ),
    "a whiteout becomes a device": Accepted(
        archive(Member("d/.wh.x", b"ignored content", uid=3, gid=4)), {"d": "dir 755 0:0", "d/x": "char 0 3:4 0:0"}
    ),
    "whiteouts of every kind": Accepted(
        archive(Member(".wh.a", kind=DIRECTORY), Member(".wh.b", kind=SYMLINK, link="z"), Member(".wh.c", kind=HARDLINK, link="nowhere")),
        {name: "char 0 0:0 0:0" for name in "abc"},
    ),
    "the file after its whiteout takes its place": Accepted(archive(Member(".wh.a"), Member("a", b"1")), {"a": F + "b'1'"}),
    "a whiteout below a file is ignored": Accepted(archive(Member("f", b"1"), Member("f/.wh.x")), {"f": F + "b'1'"}),
    "AUFS names are plain whiteouts": Accepted(
        archive(Member(".wh..wh.aufs"), Member(".wh..wh.plnk/1.2", b"x")),
        {".wh.aufs": "char 0 0:0 0:0", ".wh..wh.plnk": "dir 755 0:0", ".wh..wh.plnk/1.2": F + "b'x'"},
    ),
    "libarchive attributes are ignored": Accepted(archive(Member("a", pax={"LIBARCHIVE.xattr.user.x": "eHg="})), {"a": F + "b''"}),
    "a PAX sparse file, format 0.0": Accepted(
        archive(
            extension(
                "x",
                pax_records({"GNU.sparse.size": "10", "GNU.sparse.numblocks": "1"})
                + pax_records({"GNU.sparse.offset": "6"})
                + pax_records({"GNU.sparse.numbytes": "2"}),
            ),
            Member("a", b"hi"),
        ),
        {"a": F + "b'\\x00\\x00\\x00\\x00\\x00\\x00hi\\x00\\x00'"},
    ),
    "a PAX sparse file, format 0.1": Accepted(
        archive(Member("cut", b"hi", pax={"GNU.sparse.map": "1,1,4,1", "GNU.sparse.realsize": "6", "GNU.sparse.name": "a"})),
        {"a": F + "b'\\x00h\\x00\\x00i\\x00'"},
    ),
    "a PAX sparse file, format 1.0": Accepted(
        archive(
            Member(
                "cut",
                b"2\n0\n2\n5\n1\n".ljust(512, b"\0") + b"abc",
                pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "8", "GNU.sparse.name": "a"},
            )
        ),
        {"a": F + "b'ab\\x00\\x00\\x00c\\x00\\x00'"},
    ),
    "a name that is not UTF-8": Accepted(archive(Member(b"\xff\xfe", b"1")), {os.fsdecode(b"\xff\xfe"): F + "b'1'"}),
    "a name with every kind of byte": Accepted(archive(Member('q"\\\x01\x7f\n', b"1")), {'q"\\\x01\x7f\n': F + "b'1'"}),
}


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_an_accepted_layer_becomes_its_tree_and_can_be_put_together_again(case: Accepted, unpack: Unpack) -> None:
    """Tree, digests, and the original bytes from the tar-split file."""
    done = unpack(case.layer)
    assert done.status == 0, done.answer
    assert describe(done.tree) == case.tree
    assert done.answer["diff_id"] == done.answer["digest"] == sha256(case.layer)
    assert done.answer["diff_size"] == done.answer["size"] == len(case.layer)
    assert tarsplit.reassemble(done.split, done.tree) == case.layer


@dataclass(frozen=True, slots=True)
class Refused:
    """A layer, the code it is refused with, and a word of the message."""

    layer: bytes
    code: str
    word: str


def _broken_checksum() -> bytes:
    data = bytearray(archive(Member("a", b"x")))
    data[0] ^= 1
    return bytes(data)


REFUSED: dict[str, Refused] = {
    "the same member twice": Refused(archive(Member("a"), Member("a")), "bad_archive", "'a'"),
    "the same path in two spellings": Refused(archive(Member("a"), Member("./a")), "bad_archive", "duplicate"),
    "a directory twice": Refused(archive(directory("d"), directory("d/")), "bad_archive", "duplicate"),
    "the same path absolute and relative": Refused(archive(Member("a"), Member("/a")), "bad_archive", "duplicate"),
    "a name above the root": Refused(archive(Member("../../x")), "hostile_entry", "'../../x'"),
    "a name above the root on its way": Refused(archive(Member("a/../../x")), "hostile_entry", "above the root"),
    "an absolute name above the root": Refused(archive(Member("/../x")), "hostile_entry", "above the root"),
    "a PAX name above the root": Refused(archive(Member("ok", pax={"path": "../x"})), "hostile_entry", "'../x'"),
    "a hard link above the root": Refused(archive(hard("a", "../../etc/shadow")), "hostile_entry", "above the root"),
    "a hard link to what is not there": Refused(archive(hard("a", "/etc/shadow")), "bad_archive", "/etc/shadow"),
    "a hard link to a later member": Refused(archive(hard("a", "b"), Member("b")), "bad_archive", "'b'"),
    "a hard link to itself": Refused(archive(hard("a", "a")), "bad_archive", "'a'"),
    "a hard link to a directory": Refused(archive(directory("d"), hard("a", "d")), "bad_archive", "directory"),
    "a hard link to the root": Refused(archive(hard("a", "/")), "bad_archive", "'a'"),
    "a member through a link that leaves the layer": Refused(archive(link("l", "/tmp"), Member("l/x")), "bad_archive", "'l/x'"),
    "a member through a link loop": Refused(archive(link("l", "m"), link("m", "l"), Member("l/x")), "bad_archive", "'l/x'"),
    "a member below a file": Refused(archive(Member("f"), Member("f/x")), "bad_archive", "'f/x'"),
    "a whiteout of the layer's own file": Refused(archive(Member("a"), Member(".wh.a")), "bad_archive", "'.wh.a'"),
    "a whiteout of nothing": Refused(archive(Member(".wh.")), "hostile_entry", "'.wh.'"),
    "a whiteout of the directory itself": Refused(archive(Member("d/.wh..")), "hostile_entry", ".wh.."),
    "a whiteout of the parent": Refused(archive(Member("d/.wh...")), "hostile_entry", ".wh..."),
    "an opaque marker below a file": Refused(archive(Member("f"), Member("f/.wh..wh..opq")), "bad_archive", "opaque"),
    "a contiguous file": Refused(archive(Member("a", kind="7")), "bad_archive", "0x37"),
    "an unknown type": Refused(archive(Member("a", kind="Z")), "bad_archive", "type"),
    "an old GNU sparse file": Refused(archive(Member("a", kind="S", magic=GNU)), "bad_archive", "sparse"),
    "a symbolic link to nothing": Refused(archive(link("a", "")), "bad_archive", "'a'"),
    "a file in the place of the root": Refused(archive(Member("./", b"x")), "bad_archive", "root"),
    "a wrong checksum": Refused(_broken_checksum(), "bad_archive", "checksum"),
    "a truncated content": Refused(archive(Member("a", b"x" * 5000))[:3000], "bad_archive", "'a'"),
    "a truncated header": Refused(archive(Member("a"))[:300], "bad_archive", "header"),
    "a header after an end block": Refused(bytes(512) + archive(Member("a")), "bad_archive", "end block"),
    "a negative size": Refused(archive(Member("a", size=-5)), "bad_archive", "size"),
    "a size that is no number": Refused(
        archive(tarbytes.with_checksum(header(Member("a"))[:124] + b"99999999999\0" + header(Member("a"))[136:])),
        "bad_archive",
        "size",
    ),
    "an owner beyond 32 bits": Refused(archive(Member("a", pax={"uid": "4294967296"})), "hostile_entry", "4294967296"),
    "an owner that means no change": Refused(archive(Member("a", uid=4294967295)), "hostile_entry", "4294967295"),
    "a negative group": Refused(archive(Member("a", gid=-1)), "hostile_entry", "-1"),
    "PAX records of two megabytes": Refused(
        archive(extension("x", pax_records({"comment": "x" * 2_000_000})), Member("a")), "hostile_entry", "extended"
    ),
    "PAX records that do not end": Refused(archive(extension("x", b"30 path=abc\n"), Member("a")), "bad_archive", "extended header"),
    "PAX records without a key": Refused(archive(extension("x", b"5 =a\n"), Member("a")), "bad_archive", "extended header"),
    "a PAX name with a NUL": Refused(archive(Member("a", pax={"path": b"x\0y"})), "bad_archive", "NUL"),
    "a PAX size that is no number": Refused(archive(Member("a", pax={"size": "1x"})), "bad_archive", "'size'"),
    "an archive that ends behind an extended header": Refused(archive(extension("x", pax_records({"path": "a"}))), "bad_archive", "ends"),
    "a component of 300 bytes": Refused(archive(Member("x", pax={"path": "n" * 300})), "bad_archive", "nnn"),
    "a name longer than a path may be": Refused(archive(Member("x", pax={"path": "n/" * 3000})), "bad_archive", "too long"),
    "a name of 2049 directories": Refused(archive(Member("x", pax={"path": "n/" * 2047 + "a/b"})), "bad_archive", "too long"),
    "an overlay attribute from the archive": Refused(
        archive(Member("a", kind=DIRECTORY, pax={"SCHILY.xattr.trusted.overlay.redirect": "/etc"})),
        "hostile_entry",
        "trusted.overlay",
    ),
    "an overlay attribute on a link": Refused(
        archive(Member("a", kind=SYMLINK, link="b", pax={"SCHILY.xattr.trusted.overlay.opaque": "y"})),
        "hostile_entry",
        "trusted.overlay",
    ),
    "a sparse map beyond the size": Refused(
        archive(Member("a", b"hi", pax={"GNU.sparse.map": "9,2", "GNU.sparse.realsize": "10"})), "bad_archive", "sparse"
    ),
    "a sparse map that goes back": Refused(
        archive(Member("a", b"hi", pax={"GNU.sparse.map": "5,1,5,1", "GNU.sparse.realsize": "10"})), "bad_archive", "sparse"
    ),
    "a sparse map of too little": Refused(
        archive(Member("a", b"hi", pax={"GNU.sparse.map": "0,1", "GNU.sparse.realsize": "10"})), "bad_archive", "sparse"
    ),
    "a sparse map that is no list": Refused(
        archive(Member("a", b"hi", pax={"GNU.sparse.map": "0,2,", "GNU.sparse.realsize": "10"})), "bad_archive", "sparse"
    ),
    "no archive at all": Refused(b"#!/bin/sh\n" * 200, "bad_archive", "checksum"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_layer_says_why(case: Refused, unpack: Unpack) -> None:
    """Exit status 1, the documented code, and a message that names the entry."""
    done = unpack(case.layer)
    assert (done.status, done.error) == (1, case.code), done.answer
    assert case.word in done.message


def test_nothing_outside_the_directory_is_touched(unpack: Unpack, tmp_path: os.PathLike[str]) -> None:
    """The known ways out, side by side with a canary: links, hard links, names, and links swapped for directories."""
    canary = os.path.join(tmp_path, "canary")
    os.makedirs(canary)
    inside = os.path.relpath(canary, "/")
    attempts: list[Callable[[], bytes]] = [
        lambda: archive(link("l", canary), Member("l/x", b"evil")),
        lambda: archive(link("l", "../../canary"), Member("l/x", b"evil")),
        lambda: archive(Member("../../canary/x", b"evil")),
        lambda: archive(Member(canary + "/x", b"fine, but inside")),
        lambda: archive(directory("d"), link("d/l", canary), link("e", "d/l"), Member("e/x", b"evil")),
        lambda: archive(link("l", canary), hard("h", "l/../canary/x")),
        lambda: archive(link("l", canary), Member("l/.wh..wh..opq")),
        lambda: archive(link("l", canary), Member("l/.wh.x")),
        lambda: archive(link("l", "/proc/self/root"), Member("l/x", b"evil")),
    ]
    for attempt in attempts:
        done = unpack(attempt())
        assert os.listdir(canary) == []
        assert done.status == 1 or (done.tree / inside / "x").exists()
