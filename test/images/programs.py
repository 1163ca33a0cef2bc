"""The programs inside the images: the machine's static busybox, the tree's pause, small C programs compiled here."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

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


def words(name: str) -> str:
    """A text file of the kit."""
    return (HERE / "files" / name).read_text()


@functools.cache
def busybox() -> bytes:
    """The machine's busybox; raises RuntimeError when it is not the static one that needs no library."""
    data = BUSYBOX.read_bytes()
    # A dynamic program names its loader in a segment; the static one has no such string.
    if b"/ld-linux" in data:
        raise RuntimeError(f"{BUSYBOX}: expected the static build (Debian package busybox-static)")
    return data


@functools.cache
def applets() -> tuple[str, ...]:
    """The names that the machine's busybox answers to."""
    listed = subprocess.run([str(BUSYBOX), "--list"], check=True, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
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


def base_entries(passwd: str = PASSWD, group: str = GROUP) -> list[Entry]:
    """The files of a small system around busybox.

    The applets are hard links: a test masks /bin/ls, and with symbolic links that would mask every program.
    """
    folders = [directory(name) for name in ("dev", "etc", "home", "proc", "sys", "usr/bin", "usr/sbin", "sbin", "var/log")]
    folders += [directory("root", 0o700), directory("tmp", 0o1777), directory("var/tmp", 0o1777)]
    folders += [directory("run"), symlink("var/run", "../run"), directory("var/www", owner=(33, 33))]
    links = [hard_link(f"bin/{name}", "bin/busybox") for name in applets()]
    return [
        *folders,
        program("bin/busybox", busybox()),
        *links,
        file("etc/passwd", passwd),
        file("etc/group", group),
        file("etc/shadow", "root:*:::::::\n", 0o600),
    ]


@functools.cache
def base_layer() -> Layer:
    """The layer that nearly every image starts with."""
    return layer(with_parents(base_entries()))


def machine_facts() -> str:
    """What the digests depend on besides this code, to be shown when two machines differ."""
    release = pathlib.Path("/etc/os-release").read_text().splitlines()[0]
    return f"{release}, {os.uname().machine}, busybox of {len(busybox())} bytes"
