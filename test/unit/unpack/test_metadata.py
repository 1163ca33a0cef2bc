"""Times, attributes, owners, whiteouts on a full tree, and the comparison with an ordinary tar program."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time

import pytest

from test.support import tarsplit
from test.support.tarbytes import CHARACTER, DIRECTORY, FIFO, HARDLINK, SYMLINK, Member, archive

from .support import Unpack, describe, xattrs

SECOND = 1_000_000_000


def test_times_keep_their_fraction_and_directories_get_theirs_last(unpack: Unpack) -> None:
    """Making children changes a directory, so its time is set when all members are there."""
    done = unpack(
        archive(
            Member("d", kind=DIRECTORY, mtime=1000),
            Member("d/f", b"x", pax={"mtime": "1234.5678901239", "atime": "99"}),
            Member("d/late", b"x", pax={"mtime": "10", "atime": "2000.25"}),
            Member("d/l", kind=SYMLINK, link="f", mtime=77),
            Member("d/p", kind=FIFO, mtime=78),
            Member("d/h", kind=HARDLINK, link="d/p", mtime=79),
        )
    )
    assert done.status == 0, done.answer

    def times(name: str) -> tuple[int, int]:
        status = os.lstat(done.tree / name)
        return status.st_atime_ns, status.st_mtime_ns

    assert times("d")[1] == 1000 * SECOND
    assert times("d/f") == (1234_567890123, 1234_567890123)
    assert times("d/late") == (2000_250000000, 10 * SECOND)
    assert times("d/l")[1] == 77 * SECOND
    assert times("d/p")[1] == 79 * SECOND


@pytest.mark.parametrize("mtime", ["-1", "-0.5", "9223372037", "99999999999"])
def test_a_time_that_the_tools_cannot_hold_becomes_zero(mtime: str, unpack: Unpack) -> None:
    """Before 1970 and after 2262."""
    done = unpack(archive(Member("f", b"x", pax={"mtime": mtime})))
    assert os.lstat(done.tree / "f").st_mtime_ns == 0


def test_implied_parents_have_the_present_time(unpack: Unpack) -> None:
    """Nothing in the archive says otherwise."""
    before = time.time() - 5
    done = unpack(archive(Member("a/b", b"x")))
    assert os.lstat(done.tree / "a").st_mtime >= before


def test_attributes_are_set_on_every_kind_but_those_of_selinux(unpack: Unpack) -> None:
    """Values may hold any byte; capabilities outlive the change of owner."""
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    done = unpack(
        archive(
            Member("f", b"x", uid=5, pax={"SCHILY.xattr.user.k": b"a\0b\n", "SCHILY.xattr.security.capability": capability}),
            Member("d", kind=DIRECTORY, pax={"SCHILY.xattr.user.d": "1", "SCHILY.xattr.security.selinux": "x"}),
            Member("l", kind=SYMLINK, link="f", pax={"SCHILY.xattr.trusted.l": "2"}),
            Member("c", kind=CHARACTER, major=1, minor=3, pax={"SCHILY.xattr.trusted.c": "3"}),
            Member("h", kind=HARDLINK, link="f", uid=5),
        )
    )
    assert done.status == 0, done.answer
    assert xattrs(done.tree / "f") == {"user.k": b"a\0b\n", "security.capability": capability}
    assert xattrs(done.tree / "d") == {"user.d": b"1"}
    assert xattrs(done.tree / "l") == {"trusted.l": b"2"}
    assert xattrs(done.tree / "c") == {"trusted.c": b"3"}


def test_an_attribute_that_cannot_be_is_refused(unpack: Unpack) -> None:
    """A user attribute on a link, and one larger than the file system takes."""
    for member in (
        Member("l", kind=SYMLINK, link="f", pax={"SCHILY.xattr.user.k": "v"}),
        Member("f", pax={"SCHILY.xattr.user.k": "v" * 70_000}),
    ):
        done = unpack(archive(member))
        assert (done.status, done.error) == (1, "bad_archive"), done.answer
        assert "user.k" in done.message


def test_default_acls_do_not_change_the_modes_of_what_follows(unpack: Unpack) -> None:
    """A default ACL of the layer's own directory would mask what is made in it."""
    acl = bytes.fromhex("02000000" + "01000700ffffffff" + "04000000ffffffff" + "20000000ffffffff")
    done = unpack(
        archive(
            Member("d", kind=DIRECTORY, mode=0o755, pax={"SCHILY.xattr.system.posix_acl_default": acl}),
            Member("d/f", b"x", mode=0o666),
            Member("d/e", kind=DIRECTORY, mode=0o777),
        )
    )
    assert done.status == 0, done.answer
    assert [describe(done.tree)[name].split()[1] for name in ("d/f", "d/e")] == ["666", "777"]


def test_the_slash_entry_is_applied_to_the_root(unpack: Unpack) -> None:
    """The one form of the root entry that counts."""
    done = unpack(archive(Member("/", kind=DIRECTORY, mode=0o711, uid=3, gid=4, mtime=50), Member("a")))
    status = os.stat(done.tree)
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_mtime) == (0o711, 3, 4, 50)


def test_owners_are_collected_without_those_of_whiteouts(unpack: Unpack) -> None:
    """Sorted, each once, as the archive has them."""
    done = unpack(
        archive(
            Member("a", uid=7, gid=9),
            Member("b", uid=3, gid=9),
            Member("c", uid=7),
            Member(".wh.d", uid=1234, gid=1234),
            Member("./", kind=DIRECTORY),
        )
    )
    assert (done.answer["uids"], done.answer["gids"]) == ([0, 3, 7], [0, 9])


def test_owners_are_mapped(unpack: Unpack) -> None:
    """Members, implied parents and whiteouts; an id outside the map is an error."""
    maps = ("--uid-map", "0:100000:10,10:500:1", "--gid-map", "0:200000:20")
    done = unpack(archive(Member("p/a", uid=10, gid=19), Member(".wh.w", uid=1, gid=2), Member("s", kind=SYMLINK, link="a", uid=9)), *maps)
    assert describe(done.tree) == {
        "p": "dir 755 100000:200000",
        "p/a": "file 644 500:200019 b''",
        "w": "char 0 100001:200002 0:0",
        "s": "link 100009:200000 -> a",
    }
    assert done.answer["uids"] == [9, 10]
    for member in (Member("a", uid=11), Member("a", gid=20)):
        refused = unpack(archive(member), *maps)
        assert (refused.error, "mapping" in refused.message) == ("bad_archive", True)


def test_an_opaque_directory_is_marked(unpack: Unpack) -> None:
    """Wherever the marker stands, and with the directory made when it is missing."""
    done = unpack(
        archive(Member("a/x", b"1"), Member("a/.wh..wh..opq"), Member("a/y", b"2"), Member("new/.wh..wh..opq"), Member(".wh..wh..opq"))
    )
    assert done.status == 0, done.answer
    for name in ("a", "new", "."):
        assert xattrs(done.tree / name) == {"trusted.overlay.opaque": b"y"}
    assert sorted(describe(done.tree)) == ["a", "a/x", "a/y", "new"]


def full_tree(folder: pathlib.Path) -> pathlib.Path:
    """A tree as lower layers would leave it."""
    tree = folder / "full"
    (tree / "d" / "sub" / "deep").mkdir(parents=True)
    for name in ("a", "b", "d/one", "d/two", "d/sub/three", "d/sub/deep/four"):
        (tree / name).write_text(name)
    (tree / "l").symlink_to("d")
    (tree / "out").symlink_to("/")
    return tree


def test_whiteouts_are_carried_out_on_a_full_tree(unpack: Unpack, tmp_path: pathlib.Path) -> None:
    """What a driver without overlay asks for: files, directories, links and what is not there."""
    tree = full_tree(tmp_path)
    blob = archive(
        Member(".wh.a"), Member("d/.wh.sub"), Member("d/.wh.none"), Member("no/.wh.thing"), Member(".wh.out"), Member("d/two", b"new")
    )
    done = unpack(blob, "--whiteouts", "apply", tree=tree)
    assert done.status == 0, done.answer
    assert sorted(describe(tree)) == ["b", "d", "d/one", "d/two", "l"]
    assert describe(tree)["d/two"] == "file 644 0:0 b'new'"
    assert tarsplit.reassemble(done.split, tree) == blob


def test_an_opaque_directory_loses_what_older_layers_brought(unpack: Unpack, tmp_path: pathlib.Path) -> None:
    """But not what this layer has brought before the marker."""
    tree = full_tree(tmp_path)
    done = unpack(
        archive(Member("d/sub/deep/mine", b"1"), Member("d/.wh..wh..opq"), Member("d/after", b"2")), "--whiteouts=apply", tree=tree
    )
    assert done.status == 0, done.answer
    assert sorted(describe(tree)) == ["a", "b", "d", "d/after", "d/sub", "d/sub/deep", "d/sub/deep/mine", "l", "out"]


def test_a_full_tree_is_changed_in_place(unpack: Unpack, tmp_path: pathlib.Path) -> None:
    """Directories merge, other types replace, and hard links may reach older layers."""
    tree = full_tree(tmp_path)
    done = unpack(
        archive(
            Member("d", kind=DIRECTORY, mode=0o700),
            Member("d/sub", b"a file now"),
            Member("b", kind=DIRECTORY, mode=0o755),
            Member("l", kind=DIRECTORY, mode=0o755),
            Member("l/x", b"in the new directory"),
            Member("hard", kind=HARDLINK, link="a"),
            Member("out", b"no link any more"),
        ),
        "--whiteouts=apply",
        tree=tree,
    )
    assert done.status == 0, done.answer
    tree_now = describe(tree)
    assert sorted(tree_now) == ["a", "b", "d", "d/one", "d/sub", "d/two", "hard", "l", "l/x", "out"]
    assert (tree_now["d"], tree_now["d/sub"]) == ("dir 700 0:0", "file 644 0:0 b'a file now'")
    assert os.stat(tree / "a").st_ino == os.stat(tree / "hard").st_ino


def test_a_file_in_the_place_of_an_implied_directory_removes_it(unpack: Unpack) -> None:
    """As the reference tools do; such a layer cannot be put together again."""
    done = unpack(archive(Member("d/e/f", b"1"), Member("d", b"2")))
    assert describe(done.tree) == {"d": "file 644 0:0 b'2'"}


def test_deep_trees_are_removed_with_few_descriptors(unpack: Unpack, tmp_path: pathlib.Path) -> None:
    """More levels than the process may have open files."""
    tree = tmp_path / "full"
    tree.joinpath(*["x"] * 300).mkdir(parents=True)
    done = unpack(archive(Member(".wh.x")), "--whiteouts=apply", tree=tree)
    assert (done.status, describe(tree)) == (0, {})


def test_an_ordinary_layer_comes_out_as_tar_makes_it(unpack: Unpack, tmp_path: pathlib.Path) -> None:
    """Names, types, modes, owners, times, attributes, links, in the three formats of GNU tar."""
    source = tmp_path / "source"
    (source / "usr" / "bin").mkdir(parents=True)
    (source / "usr" / "bin" / "prog").write_bytes(os.urandom(300_000))
    (source / "usr" / "bin" / "su").write_bytes(b"setuid")
    os.chown(source / "usr" / "bin" / "su", 10, 20)
    os.chmod(source / "usr" / "bin" / "su", 0o6755)
    os.link(source / "usr" / "bin" / "su", source / "usr" / "sudo")
    os.symlink("bin/prog", source / "usr" / ("long" * 40))
    (source / ("n" * 120)).mkdir(mode=0o1777)
    os.mkfifo(source / "pipe")
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    os.setxattr(source / "usr", "user.x", b"y")
    for style, flags in {"gnu": (), "ustar": ("--exclude=n*", "--exclude=*long*"), "pax": ("--xattrs", "--xattrs-include=*")}.items():
        blob = subprocess.run(["tar", f"--format={style}", *flags, "-C", source, "-cf", "-", "."], check=True, capture_output=True).stdout
        expected = tmp_path / style
        expected.mkdir()
        subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", "-", "-C", expected], input=blob, check=True)
        done = unpack(blob)
        assert done.status == 0, done.answer
        assert describe(done.tree) == describe(expected)
        for path in sorted(expected.rglob("*")):
            ours = done.tree / path.relative_to(expected)
            assert os.lstat(ours).st_mtime_ns == os.lstat(path).st_mtime_ns, path
            assert os.lstat(ours).st_nlink == os.lstat(path).st_nlink, path
            assert xattrs(ours) == xattrs(path)
        assert tarsplit.reassemble(done.split, done.tree) == blob
