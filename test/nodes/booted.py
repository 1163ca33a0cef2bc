"""A root of another release with its own systemd as process 1: a machine without a kernel of its own, up in a second or two.

It has namespaces of its own for everything, and cgroup version 2: what it sees below /sys/fs/cgroup is a group of the host's cgroup2
hierarchy, with whatever controllers that has. Only journald is started with it; units that a test adds say ``DefaultDependencies=no``,
or they pull in what a whole machine mounts and sets.
"""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from test.nodes.debian13 import Node
from test.support import leaks
from test.support.waiting import eventually

TIMEOUT_S = 60
CGROUP2_BESIDE = pathlib.Path("/sys/fs/cgroup/unified")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
UNIT = "[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.service\nAfter=systemd-journald.service\n"
# From outside: into the cgroup, then into namespaces whose root it is.
_UNSHARE = """
echo $$ > "$1/cgroup.procs"; shift
exec unshare --mount --propagation private --pid --fork --kill-child --cgroup --uts --ipc --net sh -c "$@"
"""
# Inside: the root below a layer in memory, kernel file systems that nobody can change the host with, the folders, and systemd.
_BOOT = """
set -e
root=$1 layer=$2 unit=$3; shift 3
mount -t tmpfs -o mode=755 none "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" none "$layer/root"
cd "$layer/root"
printf '%s' "$unit" > etc/systemd/system/machine.target
mount -t proc none proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro none sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 none dev
for name in null zero full random urandom tty; do : > "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
mkdir -p dev/pts dev/shm var/lib/containers before
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 none dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 none run
mount -t tmpfs none var/lib/containers
for path; do mkdir -p "./$path"; mount --rbind "$path" "./$path"; done
pivot_root . before
umount --lazy /before
container=private exec /usr/lib/systemd/systemd --unit=machine.target
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that runs: its process 1 as the host counts it, and its cgroup."""

    pid: int
    group: pathlib.Path

    def argv(self, *command: str) -> list[str]:
        """The command line that runs a command inside, in a cgroup beside systemd's own."""
        enter = 'echo $$ > "$0/shell/cgroup.procs" && exec nsenter --all "$@"'
        return ["sh", "-c", enter, str(self.group), "--target", str(self.pid), *command]

    def call(self, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command inside to its end."""
        return subprocess.run(self.argv(*command), env=ENVIRONMENT, input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False)

    def ok(self, *command: str) -> str:
        """Run a command inside, which has to succeed; returns what it prints, without the last newline."""
        done = self.call(*command)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode} {done.stderr.decode()}"
        return done.stdout.decode().removesuffix("\n")


@contextlib.contextmanager
def booted(node: Node, binds: Sequence[str] = ()) -> Iterator[Machine]:
    """Boot a root, with the folders ``binds`` at their own paths, and take everything away again."""
    hierarchy = CGROUP2_BESIDE if CGROUP2_BESIDE.is_dir() else CGROUP2_BESIDE.parent
    group = hierarchy / f"{leaks.CGROUP_PREFIX}machine-{leaks.run_id()}"
    with tempfile.TemporaryDirectory() as layer:
        (group / "shell").mkdir(parents=True)
        words = ["sh", "-c", _UNSHARE, "machine", str(group), _BOOT, "boot", str(node.root), layer, UNIT, *binds]
        log = pathlib.Path(layer, "log")
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(words, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            try:
                machine = Machine(eventually(lambda: _child(process.pid), TIMEOUT_S, "process 1"), group)
                eventually(lambda: _is_up(machine, process, log), TIMEOUT_S, "the machine's target")
                yield machine
            finally:
                process.kill()
                process.wait()
        finally:
            _remove(group)


def _child(pid: int) -> int:
    words = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return int(words[0]) if words else 0


def _is_up(machine: Machine, process: subprocess.Popen[bytes], log: pathlib.Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")
    return machine.call("systemctl", "is-active", "machine.target").stdout == b"active\n"


def _remove(group: pathlib.Path) -> None:
    """Remove a cgroup and those below it, once the last process of the machine is gone."""

    def gone() -> bool:
        for path in sorted(group.glob("**/"), reverse=True):
            with contextlib.suppress(OSError):
                path.rmdir()
        return not group.exists()

    eventually(gone, TIMEOUT_S, f"{group} empty")
