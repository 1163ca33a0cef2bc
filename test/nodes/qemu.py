"""An amd64 machine with a kernel of its own, for one script: QEMU without hardware help, Debian 13's kernel, a root in memory.

It has cgroup version 2 with all controllers, every capability, and nothing of the host's. The processor is emulated: count on a
tenth of the speed, and some seconds until the script starts. What the script prints on standard output comes back; the kernel's
messages and the script's complaints are in the error of a run that does not end well.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping

from test.nodes import debs
from test.nodes.debian13 import DEBIAN_13

KERNEL = "linux-image-cloud-amd64*"
END = "the script has ended"
BUSYBOX = "/bin/busybox"
QEMU = ("qemu-system-x86_64", "-accel", "tcg", "-cpu", "Nehalem", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot")
# The second half is what shortens the start of an emulated processor.
KERNEL_WORDS = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check lpj=4000000 cryptomgr.notests apparmor=0"
# The first root cannot be pivoted away from, which OCI runtimes do: everything moves to a second one.
_FIRST = """#!/bin/busybox sh
/bin/busybox mkdir /second
/bin/busybox mount -t tmpfs none /second
/bin/busybox cp -a $(/bin/busybox ls -A / | /bin/busybox grep -vx second) /second
exec /bin/busybox switch_root /second /second-init
"""
_SECOND = """#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /root
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t cgroup2 none /sys/fs/cgroup
mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
mount -t tmpfs none /run
stty -F /dev/ttyS1 -opost
sh /script >/dev/ttyS1 2>/dev/ttyS0 </dev/null
echo "{end}: $?" >/dev/ttyS1
poweroff -f
"""


def run(script: str, files: Mapping[str, pathlib.Path], timeout_s: float) -> str:
    """What a shell script prints on a machine that has busybox and ``files`` by their paths; it has to end with success."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        image, log = folder / "initramfs", folder / "log"
        _pack(folder / "root", image, script, files)
        words = ["-kernel", str(_kernel()), "-initrd", str(image), "-append", KERNEL_WORDS, "-serial", f"file:{log}", "-serial", "stdio"]
        command = [*QEMU, *words]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"after {timeout_s:g} s: {error.stdout!r}\n{_end(log)}") from error
        printed, _, status = done.stdout.partition(f"{END}: ")
        assert status.strip() == "0", f"{done.stderr}{done.stdout}\n{_end(log)}"
        return printed


def program(path: str) -> dict[str, pathlib.Path]:
    """The files of a program of the host: itself, and the loader and libraries that it is linked to."""
    printed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    paths = [path, *re.findall(r"(?:=> |^\s*)(/\S+) \(0x", printed, re.MULTILINE)]
    return {path: pathlib.Path(path).resolve() for path in paths}


def _kernel() -> pathlib.Path:
    return next((debs.unpacked(DEBIAN_13.suite, "amd64", [KERNEL]) / "boot").glob("vmlinuz-*"))


def _pack(root: pathlib.Path, image: pathlib.Path, script: str, files: Mapping[str, pathlib.Path]) -> None:
    """The root in memory as an archive of the form that the kernel unpacks."""
    for path, source in {"/bin/busybox": pathlib.Path(BUSYBOX), **files}.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for name, text in {"init": _FIRST, "second-init": _SECOND.format(end=END), "script": script}.items():
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.glob("**/*")))
    with image.open("wb") as out:
        words = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
        subprocess.run(words, cwd=root, input=names.encode(), stdout=out, check=True)


def _end(log: pathlib.Path) -> str:
    return log.read_text(errors="replace")[-3000:] if log.exists() else ""
