"""``separate_pull_cgroup``: whose account a pull is on."""

from __future__ import annotations

import pathlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from crio.cri import api_pb2 as pb
from test.integration.pull.ring import blobs_of, fresh_image, proxy_in_thread, unpackers
from test.support import leaks
from test.support.cri import Cri
from test.support.daemon import Daemon, Options, running
from test.support.registry import RunningRegistry
from test.support.smallimages import Pusher
from test.support.waiting import eventually

FOUND_S = 10.0


def _cgroups_of_unpackers(daemon: Daemon) -> set[str]:
    """The paths of the unpackers that run, over all hierarchies but the unified one of a hybrid host."""
    found = set()
    for pid in unpackers(daemon):
        try:
            lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            continue
        found |= {line.split(":", 2)[2] for line in lines if not line.startswith("0::") and "name=" not in line}
    return found


def _pull(daemon: Daemon, reference: str, parent: str) -> str:
    request = pb.PullImageRequest(image=pb.ImageSpec(image=reference))
    request.sandbox_config.metadata.name = "pod"
    request.sandbox_config.linux.cgroup_parent = parent
    with Cri(daemon.socket) as cri:
        return str(cri.image.PullImage(request).image_ref)


def _left(name: str) -> list[str]:
    return [str(path) for path in leaks.CGROUPS.glob(f"*/{name}/crio-pull-*")]


@pytest.mark.parametrize("setting", ["pod", "slice", ""])
def test_unpackers_live_where_the_setting_says(real_registry: RunningRegistry, setting: str) -> None:
    image = fresh_image(f"cgroup {setting}")
    Pusher(real_registry.address).image("cgroup/image", setting or "none", image)
    own_slice = f"{leaks.CGROUP_PREFIX}{leaks.run_id()}.slice"
    with proxy_in_thread(real_registry.address) as proxy:
        insecure = f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n'
        value = own_slice if setting == "slice" else setting
        with running(Options(registries_conf=insecure, tables={"crio.runtime": {"separate_pull_cgroup": value}})) as daemon:
            parent = daemon.layout.cgroup_parent
            for blob in blobs_of(image):
                proxy.change(blob, 0, trickle=10, pause_s=0.05)
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(_pull, daemon, f"{proxy.address}/cgroup/image:{setting or 'none'}", parent)
                wanted = {"pod": f"{parent}/crio-pull-", "slice": f"/{own_slice}/crio-pull-", "": ""}[setting]
                if wanted:
                    eventually(
                        lambda: all(path.startswith(wanted) for path in _cgroups_of_unpackers(daemon)) and unpackers(daemon),
                        FOUND_S,
                        f"unpackers are in {wanted}",
                    )
                else:
                    found = eventually(lambda: _cgroups_of_unpackers(daemon), FOUND_S, "unpackers run")
                    assert not [path for path in found if "crio-pull" in path]
                assert asked.result() == image.image_id
            assert _left(parent.lstrip("/")) == _left(own_slice) == []
    for folder in leaks.CGROUPS.glob(f"*/{own_slice}"):
        folder.rmdir()
