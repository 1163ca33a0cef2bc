"""Running the layer unpacker in a test: one directory per run, the outcome as a value."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = pathlib.Path(os.environ.get("CRIO_TEST_UNPACK", ROOT / "libexec" / "crio" / "unpack"))
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left: the JSON line, the tree, the tar-split file."""

    status: int
    answer: dict[str, object]
    tree: pathlib.Path
    split: pathlib.Path

    @property
    def error(self) -> str:
        """The code of the failure, or an empty string."""
        return str(self.answer.get("error", ""))

    @property
    def message(self) -> str:
        """The sentence of the failure."""
        return str(self.answer.get("message", ""))


Unpack = Callable[..., Outcome]


def sha256(data: bytes) -> str:
    """``sha256:hex``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def run(work: pathlib.Path, blob: bytes, *options: str, tree: pathlib.Path | None = None) -> Outcome:
    """Unpacks a blob into a directory (a new one, unless given) below ``work``."""
    place = pathlib.Path(tempfile.mkdtemp(dir=work))
    root = tree or place / "diff"
    root.mkdir(exist_ok=True)
    split = place / "tar-split.gz"
    done = subprocess.run(
        [PROGRAM, "--root", root, "--tar-split", split, *options], input=blob, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert done.stderr == b"", done.stderr
    assert done.stdout.count(b"\n") == 1, (done.returncode, done.stdout)
    return Outcome(done.returncode, json.loads(done.stdout), root, split)


def _describe_one(path: pathlib.Path) -> str:
    status = path.lstat()
    mode = f"{stat.S_IMODE(status.st_mode):o}"
    owner = f"{status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"link {owner} -> {os.readlink(path)}"
    if stat.S_ISDIR(status.st_mode):
        return f"dir {mode} {owner}"
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        letter = "char" if stat.S_ISCHR(status.st_mode) else "block"
        return f"{letter} {mode} {owner} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if stat.S_ISFIFO(status.st_mode):
        return f"fifo {mode} {owner}"
    return f"file {mode} {owner} {path.read_bytes()[:40]!r}"


def _walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield pathlib.Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(pathlib.Path(entry.path))


def describe(tree: pathlib.Path) -> dict[str, str]:
    """Every path of a tree with kind, mode, owner and content in one line."""
    return {str(path.relative_to(tree)): _describe_one(path) for path in sorted(_walk(tree))}


def xattrs(path: pathlib.Path) -> dict[str, bytes]:
    """The extended attributes of a path, not of what it points to."""
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}


def names(outcome: Outcome) -> Sequence[str]:
    """The paths of the tree."""
    return sorted(describe(outcome.tree))
