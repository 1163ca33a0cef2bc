"""The programs inside the images: static busyboxes, the tree's pause, small C programs compiled here.

The demo's images have the busybox of Debian's package, which every machine has at once. The images of the validation
suite have our own (``busybox.py``), which takes a moment the first time.
"""

from __future__ import annotations

import functools
import pathlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from test.images import busybox
from test.images.layers import Entry, Layer, directory, file, hard_link, layer, program, symlink, with_parents

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUSYBOX = pathlib.Path("/bin/busybox")
COMPILE_TIMEOUT_S = 60

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = """root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
www-data:x:33:
nogroup:x:65534:
"""


@dataclass(frozen=True, slots=True)
class Shell:
    """A busybox and the names of what it can do."""

    program: bytes
    applets: tuple[str, ...]


def words(name: str) -> str:
    """A text file of the kit."""
    return (HERE / "files" / name).read_text()


@functools.cache
def debian_busybox() -> Shell:
    """The machine's busybox; raises RuntimeError when it is not the static one that needs no library."""
    data = BUSYBOX.read_bytes()
    # A dynamic program names its loader in a segment; the static one has no such string.
    if b"/ld-linux" in data:
        raise RuntimeError(f"{BUSYBOX}: expected the static build (Debian package busybox-static)")
    return Shell(data, applets(BUSYBOX))


@functools.cache
def own_busybox() -> Shell:
    """The busybox with what the judges need, compiled when the cache has none."""
    path = busybox.path()
    return Shell(path.read_bytes(), applets(path))


def applets(path: pathlib.Path) -> tuple[str, ...]:
    """The names that this busybox answers to."""
    listed = subprocess.run([str(path), "--list"], check=True, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    return tuple(sorted(set(listed.stdout.split()) - {"busybox"}))


@functools.cache
def compiled(name: str) -> bytes:
    """A static program from ``c/NAME.c``; the same compiler gives the same bytes."""
    compiler = shutil.which("musl-gcc")
    if compiler is None:
        raise RuntimeError("musl-gcc: not found (Debian package musl-tools)")
    flags = ["-Os", "-s", "-static", "-Wall", "-Werror", "-Wl,--build-id=none", "-frandom-seed=0"]
    with tempfile.TemporaryDirectory() as scratch:
        target = pathlib.Path(scratch, name)
        command = [compiler, *flags, "-o", str(target), f"{name}.c"]
        subprocess.run(command, check=True, cwd=HERE / "c", timeout=COMPILE_TIMEOUT_S)
        return target.read_bytes()


@functools.cache
def pause() -> bytes:
    """The tree's own pause, as ``make build`` leaves it; raises FileNotFoundError before that."""
    return (ROOT / "libexec" / "crio" / "pause").read_bytes()


def base_entries(shell: Shell) -> list[Entry]:
    """The files of a small system around busybox.

    The applets are hard links: a test masks /bin/ls, and with symbolic links that would mask every program.
    """
    folders = [directory(name) for name in ("dev", "etc", "home", "proc", "sys", "usr/bin", "usr/sbin", "sbin", "var/log")]
    folders += [directory("root", 0o700), directory("tmp", 0o1777), directory("var/tmp", 0o1777)]
    folders += [directory("run"), symlink("var/run", "../run"), directory("var/www", owner=(33, 33))]
    links = [hard_link(f"bin/{name}", "bin/busybox") for name in shell.applets]
    return [
        *folders,
        program("bin/busybox", shell.program),
        *links,
        file("etc/passwd", PASSWD),
        file("etc/group", GROUP),
        file("etc/shadow", "root:*:::::::\n", 0o600),
    ]


@functools.cache
def demo_layer() -> Layer:
    """The layer that the images of the demo start with."""
    return layer(with_parents(base_entries(debian_busybox())))


@functools.cache
def base_layer() -> Layer:
    """The layer that the images of the validation suite start with."""
    return layer(with_parents(base_entries(own_busybox())))
