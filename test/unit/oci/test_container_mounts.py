"""Mounts of containers: each row changes one thing and looks at one mount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crio.core.config import (
    IdMapping,
    ImageSpec,
    Mount,
    NamespaceMode,
    UserNamespace,
)
from crio.core.oci.container import build_container_spec
from crio.core.oci.features import RuntimeFeatures
from crio.core.oci.inputs import (
    BindFiles,
    ContainerSpecRequest,
    ResolvedMount,
    SpecSettings,
)
from test.unit.oci.requests import V1, config, mount_at, request, sandbox, security
from test.unit.oci.variants import (
    HOST_PID,
    JOINS,
    NODE,
    RANGE,
    USERNS,
    allowed,
    privileged,
    with_mount,
)

MOUNTS: dict[str, tuple[ContainerSpecRequest, str, Callable[[Any], bool]]] = {
    "sysfs is read-only": (request(), "/sys", lambda m: "ro" in m["options"] and m["type"] == "sysfs"),
    "sysfs is writable when privileged": (privileged(), "/sys", lambda m: "rw" in m["options"]),
    "cgroups are read-only": (request(), "/sys/fs/cgroup", lambda m: "ro" in m["options"]),
    "cgroups are writable when privileged": (privileged(), "/sys/fs/cgroup", lambda m: "rw" in m["options"]),
    "cgroups are writable by an allowed annotation": (
        allowed({"cgroup2-mount-hierarchy-rw.crio.io": "true"}, "cgroup2-mount-hierarchy-rw.crio.io"),
        "/sys/fs/cgroup",
        lambda m: "rw" in m["options"],
    ),
    "not on v1": (
        allowed({"cgroup2-mount-hierarchy-rw.crio.io": "true"}, "cgroup2-mount-hierarchy-rw.crio.io", host=V1),
        "/sys/fs/cgroup",
        lambda m: "ro" in m["options"],
    ),
    "terminals belong to group 5": (request(), "/dev/pts", lambda m: "gid=5" in m["options"]),
    "unless the pod has no such group": (
        request(sandbox=sandbox(replace(USERNS, userns=UserNamespace(NamespaceMode.POD, RANGE, (IdMapping(9, 0, 1),)))), joins=JOINS),
        "/dev/pts",
        lambda m: "gid=5" not in m["options"],
    ),
    "the host's /sys in a user namespace with the host's network": (
        request(sandbox=sandbox(replace(USERNS, network=NODE)), joins=JOINS),
        "/sys",
        lambda m: m["type"] == "bind" and {"rbind", "ro", "rro"} <= set(m["options"]),
    ),
    "without what is below it when that would stay writable": (
        request(sandbox=sandbox(replace(USERNS, network=NODE)), joins=JOINS, runtime=RuntimeFeatures(idmapped_mounts=True)),
        "/sys",
        lambda m: "bind" in m["options"] and "rbind" not in m["options"],
    ),
    "the host's message queues in a user namespace with the host's ipc": (
        request(sandbox=sandbox(replace(USERNS, ipc=NODE)), joins=JOINS),
        "/dev/mqueue",
        lambda m: m["type"] == "bind",
    ),
    "the host's processes in a user namespace with the host's pids": (
        request(config(security(namespaces=HOST_PID)), sandbox=sandbox(USERNS), joins=JOINS),
        "/proc",
        lambda m: m["type"] == "bind",
    ),
    "shared memory of the pod": (
        request(files=BindFiles(shm="/run/shm")),
        "/dev/shm",
        lambda m: m["source"] == "/run/shm" and "rw" in m["options"],
    ),
    "no shared memory without it": (request(), "/dev/shm", lambda m: m is None),
    "resolv.conf of the pod": (request(files=BindFiles(resolv_conf="/r")), "/etc/resolv.conf", lambda m: m["source"] == "/r"),
    "files are read-only under a read-only root": (
        request(config(security(readonly_rootfs=True)), files=BindFiles(hosts="/h")),
        "/etc/hosts",
        lambda m: "ro" in m["options"],
    ),
    "the client's file wins": (
        replace(with_mount(Mount("/etc/hosts", "/mine")), files=BindFiles(hosts="/h")),
        "/etc/hosts",
        lambda m: m["source"] == "/mine",
    ),
    "the client's /dev takes all below away": (with_mount(Mount("/dev/", "/dev")), "/dev/pts", lambda m: m is None),
    "the client's /dev is there": (with_mount(Mount("/dev/", "/dev")), "/dev", lambda m: m["type"] == "bind"),
    "a private mount": (
        with_mount(Mount("/m", "/h")),
        "/m",
        lambda m: m["options"] == ("rbind", "rprivate", "rw") and m["source"] == "/h",
    ),
    "a read-only mount": (with_mount(Mount("m//x/", "/h", readonly=True)), "/m/x", lambda m: "ro" in m["options"]),
    "a recursive read-only mount": (
        with_mount(Mount("/m", "/h", readonly=True, recursive_read_only=True)),
        "/m",
        lambda m: {"ro", "rro"} <= set(m["options"]),
    ),
    "a mount over the store is a slave": (
        with_mount(Mount("/m", "/"), holds_storage=True),
        "/m",
        lambda m: "rslave" in m["options"],
    ),
    "a mount with the client's options": (
        with_mount(Mount("/m", "/h", mount_options=("noexec",))),
        "/m",
        lambda m: "noexec" in m["options"],
    ),
    "an id-mapped mount": (
        with_mount(Mount("/m", "/h", uid_mappings=RANGE, gid_mappings=RANGE)),
        "/m",
        lambda m: m["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}],
    ),
    "an image volume": (
        with_mount(Mount("/m", "", readonly=True, image=ImageSpec("i")), fstype="overlay", options=("lowerdir=/a:/b", "noexec")),
        "/m",
        lambda m: m["type"] == "overlay" and m["options"] == ("lowerdir=/a:/b", "noexec", "ro"),
    ),
    "scratch folders under a root that the configuration made read-only": (
        request(settings=SpecSettings(read_only=True)),
        "/var/tmp",
        lambda m: m["type"] == "tmpfs" and "mode=1777" in m["options"],
    ),
    "no scratch folders under a root that the client made read-only": (
        request(config(security(readonly_rootfs=True)), settings=SpecSettings(read_only=True)),
        "/var/tmp",
        lambda m: m is None,
    ),
    "systemd has its folders": (request(config(command=("/sbin/init",))), "/run/lock", lambda m: m["type"] == "tmpfs"),
    "systemd has a writable cgroup on v2": (
        request(config(command=("/sbin/init",))),
        "/sys/fs/cgroup",
        lambda m: "rw" in m["options"],
    ),
    "systemd has its hierarchy on v1": (
        request(config(command=("/sbin/init",)), host=V1),
        "/sys/fs/cgroup/systemd",
        lambda m: m["type"] == "bind",
    ),
    "systemd without its hierarchy": (
        request(config(command=("/sbin/init",)), host=replace(V1, cgroups=replace(V1.cgroups, v1={"cpu": "/c"}))),
        "/sys/fs/cgroup/systemd",
        lambda m: m is None,
    ),
    "systemd under a read-only root has its folders once": (
        request(config(command=("/sbin/init",)), settings=SpecSettings(read_only=True)),
        "/run",
        lambda m: m["options"][-1] == "mode=0755",
    ),
}


@pytest.mark.parametrize("sentence", MOUNTS)
def test_mount(sentence: str) -> None:
    made, destination, is_right = MOUNTS[sentence]
    found = mount_at(build_container_spec(made).document, destination)
    assert is_right(found), found


def test_mounts_come_parents_first_and_in_the_clients_order() -> None:
    mounts = tuple(Mount(path, "/h") for path in ("/a/b/c", "/a", "/z", "/a/b"))
    made = request(config(mounts=mounts), mounts=tuple(ResolvedMount(mount, "/h") for mount in mounts))
    document: Any = build_container_spec(made).document
    places = [mount["destination"] for mount in document["mounts"]]
    assert [place for place in places if place.startswith(("/a", "/z"))] == ["/a", "/z", "/a/b", "/a/b/c"]
    assert places.index("/dev") < places.index("/dev/pts")
