"""The cgroup of a pull: where its unpackers are counted when the settings give pulls one that is not the daemon's."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from crio.core.oci.cgroups import pod_cgroup
from crio.ops.context import Context

OF_THE_POD = "pod"


@contextlib.contextmanager
def pull_cgroup(ctx: Context, pod_parent: str) -> Iterator[tuple[str, ...]]:
    """Make a cgroup for one pull and take it away after it; gives the files that take processes in, none without the setting.

    It is a leaf of its own: a cgroup that has others below it takes no processes (cgroups(7), "no internal processes").

    :param pod_parent: the cgroup parent of the pod that the image is for, empty when the request names none
    :raises InvalidArgument: a parent of the wrong kind for the manager
    """
    wanted = ctx.settings.runtime.separate_pull_cgroup
    parent = pod_parent if wanted == OF_THE_POD else wanted
    if not parent:
        yield ()
        return
    is_plain_name = not ctx.cgroups.systemd and wanted != OF_THE_POD
    folder = f"/{parent}" if is_plain_name else pod_cgroup(parent, ctx.cgroups.systemd)
    path = f"{folder}/crio-pull-{secrets.token_hex(8)}{'.scope' if ctx.cgroups.systemd else ''}"
    ctx.cgroups.create(path)
    try:
        yield tuple(f"{mount}{path}/cgroup.procs" for mount in ctx.cgroups.mounts())
    finally:
        ctx.cgroups.remove(path)
