"""Where the demo keeps its things: one folder, one bridge, one subnet, one cgroup; and the files it starts the daemon with."""

from __future__ import annotations

import ipaddress
import json
import pathlib
import secrets
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
PREFIX = "crio-demo-"
MIRRORED = ("registry.k8s.io",)
COMMAND_TIMEOUT_S = 20
POOL = ipaddress.ip_network("10.80.0.0/12")

CONFIG = """# Written by hack.demo; everything else is as built in.
[crio]
root = "{root}/storage"
runroot = "{root}/run/storage"
log_dir = "{root}/pods"
version_file = "{root}/run/version"
version_file_persist = "{root}/version"
clean_shutdown_file = "{root}/clean.shutdown"
[crio.api]
listen = "{root}/crio.sock"
[crio.runtime]
container_exits_dir = "{root}/run/exits"
container_attach_socket_dir = "{root}/run/attach"
namespaces_dir = "{root}/run/namespaces"
{runtime}[crio.runtime.runtimes.crun]
runtime_root = "{root}/run/crun"
[crio.runtime.runtimes.runc]
runtime_root = "{root}/run/runc"
[crio.image]
signature_policy = "{root}/policy.json"
[crio.network]
network_dir = "{root}/net.d"
"""


@dataclass(frozen=True, slots=True)
class Places:
    """The names of one demo. ``tag`` is in all of them."""

    root: pathlib.Path
    tag: str
    subnet: str

    @property
    def socket(self) -> str:
        """The daemon's socket."""
        return str(self.root / "crio.sock")

    @property
    def config(self) -> pathlib.Path:
        """The daemon's configuration."""
        return self.root / "crio.conf"

    @property
    def daemon_log(self) -> pathlib.Path:
        """What the daemon says."""
        return self.root / "crio.log"

    @property
    def bridge(self) -> str:
        """The bridge of the pods; an interface's name has at most 15 bytes."""
        return f"crd{self.tag}"

    @property
    def network(self) -> str:
        """The name of the CNI network."""
        return f"{PREFIX}{self.tag}"

    def cgroup_parent(self, *, systemd: bool) -> str:
        """The cgroup of the demo's pod, in the words of the cgroup manager."""
        return f"criodemo{self.tag}.slice" if systemd else f"/{PREFIX}{self.tag}"

    def command(self) -> list[str]:
        """How the daemon is started."""
        registries = ["--registries-conf", str(self.root / "registries.conf"), "--registries-conf-dir", str(self.root / "registries.d")]
        return [str(ROOT / "bin" / "crio"), "--config", str(self.config), "--config-dir", "", *registries]


def used_networks() -> list[ipaddress.IPv4Network]:
    """Every IPv4 network that a route of this machine leads to."""
    listed = subprocess.run(
        ["ip", "-j", "-4", "route", "show", "table", "all"], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True
    )
    found = []
    for route in json.loads(listed.stdout or "[]"):
        if route.get("dst", "default") != "default":
            found.append(ipaddress.IPv4Network(route["dst"], strict=False))
    return found


def free_subnet(used: Sequence[ipaddress.IPv4Network]) -> str:
    """A /24 that nobody uses; raises RuntimeError when there is none."""
    candidates = list(POOL.subnets(new_prefix=24))
    start = secrets.randbelow(len(candidates))
    for candidate in candidates[start:] + candidates[:start]:
        assert isinstance(candidate, ipaddress.IPv4Network)
        if not any(candidate.overlaps(other) for other in used):
            return str(candidate)
    raise RuntimeError(f"every network of {POOL} is in use on this machine")


def make_places() -> Places:
    """A new folder and names that nobody has."""
    tag = secrets.token_hex(3)
    root = pathlib.Path(tempfile.gettempdir(), f"{PREFIX}{tag}")
    root.mkdir(mode=0o711)
    return Places(root, tag, free_subnet(used_networks()))


def network_list(places: Places) -> dict[str, object]:
    """The CNI configuration: a bridge with masquerading, and host ports."""
    ipam = {
        "type": "host-local",
        "dataDir": str(places.root / "run" / "ipam"),
        "ranges": [[{"subnet": places.subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": places.bridge, "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": places.network, "plugins": [bridge, ports]}


def registries_text(address: str) -> str:
    """A registries.conf that finds the kit's registry without TLS, and the originals of its images there."""
    text = f'[[registry]]\nlocation = "{address}"\ninsecure = true\n'
    for prefix in MIRRORED:
        text += f'\n[[registry]]\nprefix = "{prefix}"\nlocation = "{prefix}"\n'
        text += f'[[registry.mirror]]\nlocation = "{address}"\ninsecure = true\n'
    return text


def write_files(places: Places, registry: str, default_runtime: str = "") -> None:
    """Everything that the daemon reads; without a ``default_runtime`` the daemon chooses."""
    for name in ("net.d", "registries.d", "run"):
        (places.root / name).mkdir(exist_ok=True)
    runtime = f'default_runtime = "{default_runtime}"\n' if default_runtime else ""
    places.config.write_text(CONFIG.format(root=places.root, runtime=runtime))
    (places.root / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
    (places.root / "registries.conf").write_text(registries_text(registry))
    (places.root / "net.d" / "10-demo.conflist").write_text(json.dumps(network_list(places), indent=1) + "\n")
