"""Reads the directory of network configurations."""

from __future__ import annotations

import os
import stat

from crio.core.cni.choose import Candidate
from crio.core.cni.config import CONFIG_LIMIT_BYTES, SUFFIXES, parse_network
from crio.core.cni.errors import BadNetworkConfig, PluginMissing
from crio.host.cni.plugins import Plugins


def read_candidates(config_dir: str, plugins: Plugins) -> tuple[Candidate, ...]:
    """All configuration files, each with its network or with what is wrong; a missing directory has none."""
    try:
        names = sorted(name for name in os.listdir(config_dir) if name.endswith(SUFFIXES))
    except OSError:
        return ()
    return tuple(_read_candidate(os.path.join(config_dir, name), plugins) for name in names)


def _read_candidate(path: str, plugins: Plugins) -> Candidate:
    file_name = os.path.basename(path)
    try:
        network = parse_network(_read_file(path), file_name)
    except BadNetworkConfig as error:
        return Candidate(file_name, None, str(error))
    except OSError as error:
        return Candidate(file_name, None, f"{file_name}: {error.strerror}")
    try:
        if not network.is_only_loopback():
            for plugin in network.plugins:
                plugins.find(plugin.type)
    except PluginMissing as error:
        return Candidate(file_name, network, f"{file_name}: {error}")
    return Candidate(file_name, network)


def _read_file(path: str) -> bytes:
    # A named pipe here must not hold up the daemon: O_NONBLOCK, and then only regular files.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise BadNetworkConfig(f"{os.path.basename(path)}: expected a regular file")
        return stream.read(CONFIG_LIMIT_BYTES + 1)
