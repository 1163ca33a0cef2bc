"""Running out of memory under cgroup version 2, with a kernel of its own, a real runtime and everything that can come between."""

from __future__ import annotations

import json
import pathlib

from test.conmon.harness import CONMON
from test.conmon.runtimes import make_bundle
from test.nodes import qemu

BOOT_TIMEOUT_S = 300
LIMIT_BYTES = 16 << 20
HOG = "busybox tail -c 64m /dev/zero"
# By name: what runs with the limit, what is done to it once it runs, and what is to be seen: the status, and the oom files.
BOXES: dict[str, tuple[str, str, str]] = {
    "hog": (f"exec {HOG}", "", "137 persist bundle"),
    "raced": (f"exec {HOG}", "until rmdir /sys/fs/cgroup/raced 2>/dev/null; do :; done", "137 persist bundle"),
    "killed": ("exec sleep 1000", "kill -9 $(cat killed.pid)", "137"),
    "moved": (
        "exec sleep 1000",
        "cat moved.pid > /sys/fs/cgroup/cgroup.procs; rmdir /sys/fs/cgroup/moved; kill -9 $(cat moved.pid)",
        "137",
    ),
}
START = """set -e
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
mkdir -p /rootfs/bin /rootfs/proc /rootfs/dev /rootfs/sys /run/exits /run/sockets
cp /bin/busybox /rootfs/bin/busybox
for name in sh sleep; do ln /rootfs/bin/busybox /rootfs/bin/$name; done
cd /run
"""
BOX = """
mkdir -p persist/{name}
conmon -c {name} -u {name} -r /usr/bin/crun -b /boxes/{name} -p /run/{name}.pid -P /run/{name}.monitor -l /run/{name}.log \
  --exit-dir /run/exits --persist-dir /run/persist/{name} --socket-dir-path /run/sockets
until test -s {name}.pid; do sleep 0.05; done
crun start {name}
{then}
until test -e exits/{name}; do sleep 0.05; done
echo {name} $(cat exits/{name}) $(test ! -e persist/{name}/oom || echo persist) $(test ! -e /boxes/{name}/oom || echo bundle) $(ls oom 2>&-)
"""


def test_94_version_2_with_a_real_kernel(tmp_path: pathlib.Path) -> None:
    files = {**qemu.program("/usr/bin/crun"), **qemu.program(CONMON)}
    files["/usr/bin/conmon"] = files.pop(CONMON)
    script = START
    for name, (command, then, _) in BOXES.items():
        files[f"/boxes/{name}/config.json"] = _limited(make_bundle(tmp_path / name, pathlib.Path("/rootfs"), name, ["sh", "-c", command]))
        script += BOX.format(name=name, then=then)
    printed = qemu.run(script, files, BOOT_TIMEOUT_S)
    assert printed.splitlines() == [f"{name} {seen}" for name, (_, _, seen) in BOXES.items()]


def _limited(bundle: pathlib.Path) -> pathlib.Path:
    """The configuration of a bundle, with a limit of memory."""
    path = bundle / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["linux"]["resources"]["memory"] = {"limit": LIMIT_BYTES}
    path.write_text(json.dumps(config), encoding="utf-8")
    return path
