"""``bin/crio`` for tests: on folders, a socket, a CNI network and a cgroup parent of its own, gone without a trace.

``start`` waits for the first answer; ``stop``, ``kill`` and ``restart`` do what the node's operator would; ``close``
removes the pods through the CRI, ends the daemon, and fails with a list when the daemon leaves anything behind, after
taking that away itself.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import grpc

from crio.cri import api_pb2 as pb
from test.images.catalog import PAUSE
from test.support import leaks
from test.support.cri import Cri
from test.support.waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "bin"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin")
RUNTIMES = ("crun", "runc")
Value = str | int | bool | list[str]
Tables = Mapping[str, Mapping[str, Value]]
ACTIVE: list[Daemon] = []
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Options:
    """How a test's daemon differs from the usual one; ``tables`` maps a TOML table to keys that replace ours, ``prefix`` runs it."""

    runtime: str = ""
    registries_conf: str = ""
    tables: Tables = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one daemon keeps its things, and the names it may use on the host."""

    root: pathlib.Path
    number: int

    @property
    def socket(self) -> pathlib.Path:
        """The CRI socket."""
        return self.root / "run" / "crio.sock"

    @property
    def config(self) -> pathlib.Path:
        """The generated crio.conf."""
        return self.root / "crio.conf"

    @property
    def bridge(self) -> str:
        """The bridge of the CNI network; an interface's name has at most 15 bytes."""
        return f"ct{os.getpid() % 1_000_000}n{self.number}"

    @property
    def subnet(self) -> str:
        """The addresses of the pods."""
        return f"10.{200 + self.number // 250 % 50}.{self.number % 250}.0/24"

    @property
    def cgroup_parent(self) -> str:
        """The cgroup that tests put their pods under."""
        return f"/{leaks.CGROUP_PREFIX}{leaks.run_id()}-{self.number}"


def usual_tables(layout: Layout, options: Options) -> dict[str, dict[str, Value]]:
    """The configuration of a test's daemon, by TOML table."""
    root = layout.root
    run = root / "run"
    runtime: dict[str, Value] = {
        "cgroup_manager": "cgroupfs",
        "pinns_path": str(BIN / "pinns"),
        "namespaces_dir": str(run / "ns"),
        "container_exits_dir": str(run / "exits"),
        "container_attach_socket_dir": str(run / "attach"),
        "hooks_dir": [],
        "cdi_spec_dirs": [],
    }
    if options.runtime:
        runtime["default_runtime"] = options.runtime
    tables: dict[str, dict[str, Value]] = {
        "crio": {
            "root": str(root / "store"),
            "runroot": str(run / "store"),
            "log_dir": str(root / "logs"),
            "version_file": str(run / "version"),
            "clean_shutdown_file": str(root / "clean.shutdown"),
        },
        "crio.api": {"listen": str(layout.socket), "stream_address": "127.0.0.1", "stream_port": "0"},
        "crio.runtime": runtime,
        "crio.image": {
            "pause_image": PAUSE,
            "signature_policy": str(root / "policy.json"),
            "signature_policy_dir": str(root / "policies"),
            "namespaced_auth_dir": str(root / "auth"),
            "big_files_temporary_dir": str(root / "big"),
        },
        "crio.network": {"network_dir": str(root / "cni"), "plugin_dirs": list(PLUGIN_FOLDERS)},
        "crio.nri": {"enable_nri": False, "nri_listen": str(run / "nri.sock")},
    }
    for name in RUNTIMES:
        handler = {"runtime_path": f"/usr/bin/{name}", "runtime_root": str(run / name), "monitor_path": str(BIN / "conmon")}
        tables[f"crio.runtime.runtimes.{name}"] = dict(handler)
    return tables


def render(tables: Tables) -> str:
    """Tables as TOML; JSON's spelling of strings, numbers, booleans and lists is TOML's too."""
    lines = []
    for table, keys in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        lines.append("")
    return "\n".join(lines)


def conflist(layout: Layout) -> str:
    """The CNI network of the daemon: the standard plugins, one bridge, host ports."""
    bridge = {"type": "bridge", "bridge": layout.bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True}
    addresses = {"type": "host-local", "dataDir": str(layout.root / "cni-addresses")}
    ranges = {"ranges": [[{"subnet": layout.subnet}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [{**bridge, "ipam": {**addresses, **ranges}}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "1.0.0", "name": f"net-{layout.bridge}", "plugins": plugins}, indent=1)


class Daemon:
    """One daemon and everything it may touch."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.layout = Layout(pathlib.Path(tempfile.mkdtemp(prefix="d")), next(_numbers))
        self.process: subprocess.Popen[bytes] | None = None
        self.started_in_s = 0.0
        self._write_files()

    @property
    def socket(self) -> str:
        """The path of the CRI socket."""
        return str(self.layout.socket)

    @property
    def pid(self) -> int:
        """The running daemon's process id; raises AssertionError when it does not run."""
        assert self.process is not None and self.process.poll() is None, "the daemon does not run"
        return self.process.pid

    def _write_files(self) -> None:
        layout, root = self.layout, self.layout.root
        root.chmod(0o711)
        for name in ("run", "cni", "registries.conf.d", "policies", "auth", "big"):
            (root / name).mkdir()
        tables = usual_tables(layout, self.options)
        for table, keys in self.options.tables.items():
            tables.setdefault(table, {}).update(keys)
        layout.config.write_text(render(tables))
        (root / "cni" / "10-test.conflist").write_text(conflist(layout))
        (root / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
        (root / "registries.conf").write_text(self.options.registries_conf)
        (root / "storage.conf").write_text('[storage]\ndriver = "overlay"\n')

    def start(self) -> None:
        """Start the daemon and wait for its first answer; raises AssertionError with its log when none comes."""
        root = self.layout.root
        command = [*self.options.prefix, str(BIN / "crio"), "--config", str(self.layout.config), "--config-dir", ""]
        command += ["--registries-conf", str(root / "registries.conf")]
        command += ["--registries-conf-dir", str(root / "registries.conf.d"), "--log-level", "debug", *self.options.flags]
        env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", leaks.MARK) if name in os.environ}
        env["CONTAINERS_STORAGE_CONF"] = str(root / "storage.conf")
        begun_s = time.monotonic()
        with (root / "crio.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd="/",
                env={**env, **self.options.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers, START_TIMEOUT_S, f"the daemon answers on {self.socket}; its log:\n{self.log()}")
        self.started_in_s = time.monotonic() - begun_s

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
        if not self.layout.socket.exists():
            return False
        with Cri(self.socket, timeout_s=5) as cri, contextlib.suppress(grpc.RpcError):
            cri.runtime.Version(pb.VersionRequest())
            return True
        return False

    def stop(self) -> int:
        """Ask the daemon to end and wait; the result is its exit code. Containers run on."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon with SIGKILL, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None, "the daemon was never started"
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)

    def restart(self, *, crash: bool = False) -> None:
        """Stop or kill the daemon, and start it again on the same files."""
        if crash:
            self.kill()
        else:
            self.stop()
        self.start()

    def log(self, last_bytes: int = 20_000) -> str:
        """The end of the daemon's log, of all its starts."""
        path = self.layout.root / "crio.log"
        return path.read_bytes()[-last_bytes:].decode(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """Remove the pods, end the daemon, take away what is left, and raise AssertionError when that was something."""
        left: list[str] = []
        try:
            if self.process is not None:
                self._remove_pods()
                self.stop()
                left = self._leftovers()
        finally:
            self._sweep()
        assert not left, "the daemon left behind:\n  " + "\n  ".join(left) + f"\n{self.log()}"

    def _remove_pods(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            self.start()
        with Cri(self.socket) as cri:
            cri.remove_all_pods()

    def _own_processes(self) -> dict[str, str]:
        scope = leaks.Scope("", (f"{self.layout.root}/",))
        mine = self.process.pid if self.process is not None else 0
        found = leaks.processes(scope).items()
        return {pid: words for pid, words in found if str(self.layout.root) in words and pid != str(mine)}

    def _own_mounts(self) -> list[str]:
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        points = [line.split()[4] for line in lines]
        return sorted((point for point in points if point.startswith(f"{self.layout.root}/")), reverse=True)

    def _own_cgroups(self) -> list[pathlib.Path]:
        name = self.layout.cgroup_parent.lstrip("/")
        parents = [hierarchy / name for hierarchy in (leaks.CGROUPS, *leaks.CGROUPS.iterdir()) if (hierarchy / name).is_dir()]
        return [pathlib.Path(folder) for parent in parents for folder, _, _ in os.walk(parent, topdown=False)]

    def _leftovers(self) -> list[str]:
        parent = self.layout.cgroup_parent
        left = [f"process {words}" for words in self._own_processes().values()]
        left += [f"mount {point}" for point in self._own_mounts()]
        left += [f"cgroup {path}" for path in self._own_cgroups() if not str(path).endswith(parent)]
        return left

    def _sweep(self) -> None:
        """Take everything away that bears our names, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in self._own_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for point in self._own_mounts():
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        for path in self._own_cgroups():
            eventually(functools.partial(_gone, path), 5, f"{path} is removed")
        subprocess.run(["ip", "link", "delete", self.layout.bridge], check=False, capture_output=True)
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.layout.root)], check=False)


def _gone(path: pathlib.Path) -> bool:
    """Remove one cgroup, its processes first; false while the kernel still holds it."""
    with contextlib.suppress(OSError):
        for pid in (path / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()


@contextlib.contextmanager
def running(options: Options | None = None) -> Iterator[Daemon]:
    """A started daemon for the block, closed after it."""
    daemon = Daemon(options or Options())
    ACTIVE.append(daemon)
    try:
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.close()
    finally:
        ACTIVE.remove(daemon)
