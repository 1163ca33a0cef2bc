"""A private podman: storage, run directory, configuration and images of its own, and the monitor under test."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import select
import shutil
import struct
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import dataclass, field

from test.conmon.harness import CONMON
from test.conmon.runtimes import Runtime, make_rootfs, runtime
from test.nodes import debian13
from test.support import isolation, leaks
from test.support.waiting import eventually

COMMAND_TIMEOUT_S = 30.0
IMAGE = "localhost/box"
# No rlimits above the hard limit (podman's own defaults are refused without CAP_SYS_RESOURCE), and our monitor: cleanup, which
# the monitor runs at the end, does not hand the command line's choice on, so it has to be in the file. The delay keeps the
# monitors of the service's execs, for clients that ask late: by default for five minutes.
CONF = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
conmon_path = ["{conmon}"]
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 2
runtime = "{name}"
{more}[engine.runtimes]
{name} = ["{path}"]
"""


@dataclass(frozen=True, slots=True)
class Tools:
    """A podman, the OCI runtime that it calls, how its version starts, and where the programs are that it needs besides."""

    podman: str
    runtime: Runtime
    version: str = ""
    helpers: str = ""


def tools(name: str) -> Tools:
    """The host's podman with ``runc`` or ``crun``, or (``podman5``) Debian 13's with the crun of the same release."""
    if name != "podman5":
        return Tools("podman", runtime(name))
    with isolation.first_network():
        node = debian13.node()
    return Tools(str(node.programs / "podman"), runtime("crun", str(node.programs / "crun")), "5.", str(node.helpers))


@dataclass(slots=True)
class Engine:
    """One podman for one runtime."""

    folder: pathlib.Path
    tools: Tools
    parent: str
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Write the configuration and import the image."""
        chosen = self.tools.runtime
        path = chosen.path
        if chosen.words:
            path = str(self.folder / chosen.name)
            pathlib.Path(path).write_text(f'#!/bin/sh\nexec {chosen.path} {" ".join(chosen.words)} "$@"\n')
            pathlib.Path(path).chmod(0o755)
        conf = self.folder / "containers.conf"
        more = f'helper_binaries_dir = ["{self.tools.helpers}"]\n' if self.tools.helpers else ""
        conf.write_text(CONF.format(conmon=CONMON, name=chosen.name, path=path, more=more))
        self.environment = dict(os.environ, CONTAINERS_CONF=str(conf), HOME=str(self.folder), LC_ALL="C.UTF-8")
        self.environment["PODMAN_IGNORE_CGROUPSV1_WARNING"] = "1"
        rootfs = make_rootfs(self.folder / "rootfs")
        archive = self.folder / "box.tar"
        subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
        self.ok("import", str(archive), IMAGE)
        shutil.rmtree(rootfs)

    def argv(self, *words: str) -> list[str]:
        """The command line."""
        places = ["--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run", "--tmpdir", f"{self.folder}/tmp"]
        places += ["--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true"]
        return [self.tools.podman, *places, "--network-config-dir", f"{self.folder}/net", *words]

    def call(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run podman to its end."""
        argv = self.argv(*words)
        return subprocess.run(argv, env=self.environment, input=stdin, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)

    def ok(self, *words: str, stdin: bytes = b"") -> str:
        """Run podman, which has to succeed; returns what it prints, without the last newline."""
        done = self.call(*words, stdin=stdin)
        assert done.returncode == 0, f"podman {' '.join(words)}: {done.returncode} {done.stderr.decode()}"
        return done.stdout.decode().removesuffix("\n")

    def run_words(self, *words: str) -> list[str]:
        """The words of `podman run` or `create` options that every container of the tests has."""
        return ["--network", "none", "--cgroup-parent", self.parent, *words]

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """`podman run`."""
        return self.call("run", *self.run_words(*words), stdin=stdin)

    def start(self, *words: str) -> str:
        """`podman run -d`; returns the id."""
        return self.ok("run", "-d", *self.run_words(*words))

    def popen(self, *words: str, terminal_fd: int | None = None) -> subprocess.Popen[bytes]:
        """Start podman, in a session at a terminal if there is one."""
        prefix = [] if terminal_fd is None else ["setsid", "--ctty", "--wait"]
        argv = [*prefix, *self.argv(*words)]
        return subprocess.Popen(argv, env=self.environment, stdin=terminal_fd, stdout=terminal_fd, stderr=terminal_fd)

    def inspect(self, name: str, template: str) -> str:
        """One fact about a container."""
        return self.ok("inspect", "--type", "container", "--format", "{{" + template + "}}", name)

    def log_file(self, name: str) -> pathlib.Path:
        """A container's k8s-file."""
        return pathlib.Path(self.inspect(name, ".HostConfig.LogConfig.Path"))

    def logged(self, name: str, words: str) -> None:
        """Wait until a container's log contains some words."""
        path = self.log_file(name)
        eventually(lambda: path.exists() and words in path.read_text(), COMMAND_TIMEOUT_S, f"{words!r} in the log")

    def clean(self) -> None:
        """Remove all containers, and what podman keeps for the next ones: the parent cgroup, and that of the monitors in it."""
        self.ok("rm", "--all", "--force", "--time", "0")
        eventually(self._cgroups_are_gone, COMMAND_TIMEOUT_S, f"the cgroups below {self.parent} are removed")

    def _cgroups_are_gone(self) -> bool:
        """Remove the cgroups; false while a monitor is still in one."""
        parents = [hierarchy / self.parent.strip("/") for hierarchy in (leaks.CGROUPS, *leaks.CGROUPS.iterdir())]
        for parent in parents:
            for path in sorted(parent.glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
        return not any(parent.exists() for parent in parents)

    def close(self) -> None:
        """Take everything away."""
        self.clean()
        shutil.rmtree(self.folder)


@dataclass(slots=True)
class Terminal:
    """podman at a terminal of its own."""

    master_fd: int
    process: subprocess.Popen[bytes]
    data: bytearray = field(default_factory=bytearray)

    def expect(self, words: bytes) -> None:
        """Wait until the screen has shown some words."""
        eventually(lambda: self._read() or words in self.data, COMMAND_TIMEOUT_S, f"{words!r} on the screen")

    def type(self, words: bytes) -> None:
        """Type."""
        os.write(self.master_fd, words)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size."""
        fcntl.ioctl(self.master_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self) -> int:
        """podman's status, while its output is read."""
        eventually(lambda: self._read() or self.process.poll() is not None, COMMAND_TIMEOUT_S, "podman's end")
        self._read()
        return self.process.wait()

    def _read(self) -> bool:
        """Take what is there; never true, so that it can stand in a condition."""
        while select.select([self.master_fd], [], [], 0)[0]:
            try:
                piece = os.read(self.master_fd, 65536)
            except OSError:
                break
            self.data += piece
        return False


@contextlib.contextmanager
def terminal(engine: Engine, *words: str, size: tuple[int, int] = (24, 80)) -> Iterator[Terminal]:
    """Start podman at a terminal."""
    master_fd, slave_fd = os.openpty()
    fcntl.ioctl(master_fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = engine.popen(*words, terminal_fd=slave_fd)
    try:
        yield Terminal(master_fd, process)
    finally:
        process.kill()
        process.wait()
        os.close(master_fd)
        os.close(slave_fd)
