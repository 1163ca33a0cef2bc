"""``[crio.network]``: CNI. Source: crio-interfaces §2.9."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from crio.core.settings.rules import NOT_NEGATIVE
from crio.core.settings.schema import Flag, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Where network configurations and plugins are, and which network is the default."""

    cni_default_network: str = setting(
        "",
        "Name of the network for pods; empty takes the first valid configuration.",
        Flag("cni-default-network", "CONTAINER_CNI_DEFAULT_NETWORK"),
    )
    network_dir: str = setting("/etc/cni/net.d/", "Directory of CNI configurations.", Flag("cni-config-dir", "CONTAINER_CNI_CONFIG_DIR"))
    plugin_dirs: tuple[str, ...] = setting(
        ("/opt/cni/bin/",), "Directories of CNI plugins.", Flag("cni-plugin-dir", "CONTAINER_CNI_PLUGIN_DIR")
    )
    plugin_dir: str = setting("", "One more directory of CNI plugins.", deprecated="use plugin_dirs")
    cni_status_grace_period: timedelta = setting(
        timedelta(0),
        "How long the network may report a failure before the node does; above 0s its state is polled.",
        Flag("cni-status-grace-period", "CNI_STATUS_GRACE_PERIOD"),
        rule=NOT_NEGATIVE,
    )
