"""Other runtimes, started privately: ``python -m test.bench.peers containerd --folder DIR --cni DIR --registry HOST:PORT``.

Debian's containerd with a root, state and socket of its own, runc, cgroupfs, and the network configuration of the run, so that only the
runtimes differ. It stays in the foreground until it is told to end.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from dataclasses import dataclass

CONTAINERD = "containerd"
PLUGIN_DIR = "/usr/lib/cni"
PAUSE_PATH = "pause:3.10.1"

# containerd 1.6 and 1.7 read version 2. Without CAP_SYS_RESOURCE the score of its pause container could not be lowered.
CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{registry}/{pause}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
        Root = "{folder}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/hosts"
"""
HOSTS = """server = "http://{registry}"

[host."http://{registry}"]
  capabilities = ["pull", "resolve"]
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A runtime that is configured and can be started."""

    socket: str
    command: tuple[str, ...]


def containerd(folder: pathlib.Path, cni: pathlib.Path, registry: str, runc: str = "/usr/bin/runc") -> Peer:
    """Write the configuration of a containerd below ``folder``; the kit's references lead to ``registry``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("registry.k8s.io", registry):
        hosts = folder / "hosts" / name
        hosts.mkdir(parents=True, exist_ok=True)
        (hosts / "hosts.toml").write_text(HOSTS.format(registry=registry))
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder, registry=registry, pause=PAUSE_PATH, runc=runc, plugins=PLUGIN_DIR, cni=cni))
    return Peer(str(folder / "containerd.sock"), (CONTAINERD, "--config", str(config), "--log-level", "warn"))


def main() -> None:
    """Become the peer."""
    parser = argparse.ArgumentParser(prog="python -m test.bench.peers", description="run another CRI runtime privately")
    parser.add_argument("peer", choices=[CONTAINERD])
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where it keeps everything")
    parser.add_argument("--cni", type=pathlib.Path, required=True, help="folder with the network configuration")
    parser.add_argument("--registry", required=True, metavar="HOST:PORT", help="registry with the image kit")
    given = parser.parse_args()
    peer = containerd(given.folder.resolve(), given.cni.resolve(), given.registry)
    print(f"listens on {peer.socket}", file=sys.stderr, flush=True)
    os.execvp(peer.command[0], peer.command)


if __name__ == "__main__":
    main()
