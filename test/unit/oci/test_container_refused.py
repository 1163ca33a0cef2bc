"""Requests that contradict themselves, the pod, the host or the runtime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crio.core.config import (
    Capabilities,
    Mount,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    Propagation,
    Resources,
    SecurityProfile,
    UserNamespace,
)
from crio.core.errors import CriError, FailedPrecondition, InvalidArgument
from crio.core.oci.container import build_container_spec
from crio.core.oci.features import RuntimeFeatures
from crio.core.oci.inputs import (
    ContainerSpecRequest,
    DeviceKind,
    DeviceNode,
    ImageRuntimeConfig,
    SeccompProfiles,
    SourcePropagation,
    SpecSettings,
    Ulimit,
)
from test.unit.oci.requests import V2, config, request, sandbox, security
from test.unit.oci.variants import (
    PRIVILEGED,
    RANGE,
    SIMPLE,
    allowed,
    with_mount,
    with_security,
)

BAD: dict[str, tuple[ContainerSpecRequest, type[CriError], str]] = {
    "nothing to run": (request(config(command=())), InvalidArgument, "no command specified"),
    "an empty word to run": (request(config(command=("",))), InvalidArgument, "no command specified"),
    "NUL in a word": (request(config(args=("a\0",))), InvalidArgument, "NUL"),
    "an empty name in the environment": (request(config(envs=(("", "x"),))), InvalidArgument, "environment name ''"),
    "an equals sign in a name": (request(config(envs=(("a=b", "x"),))), InvalidArgument, "a=b"),
    "NUL in a value": (request(config(envs=(("a", "\0"),))), InvalidArgument, "'a'"),
    "a working directory behind a descriptor": (request(config(working_dir="/proc/self/fd/7")), InvalidArgument, "working_dir"),
    "and with detours": (request(config(working_dir="//proc/./1//fd/7/../..")), InvalidArgument, "working_dir"),
    "and of a thread": (request(config(working_dir="/proc/self/task/1/fd/7")), InvalidArgument, "working_dir"),
    "and of the image": (request(image=ImageRuntimeConfig(working_dir="/dev/fd/8")), InvalidArgument, "working_dir"),
    "an unknown capability": (with_security(capabilities=Capabilities(("FLY",))), InvalidArgument, "'FLY' is unknown"),
    "an unknown ulimit": (
        request(settings=SpecSettings(default_ulimits=(Ulimit("cheese", 1, 1),))),
        InvalidArgument,
        "'cheese' is unknown",
    ),
    "a soft limit above the hard one": (
        request(settings=SpecSettings(default_ulimits=(Ulimit("core", -1, 1),))),
        InvalidArgument,
        "above the hard limit",
    ),
    "an oom score out of range": (request(config(resources=Resources(oom_score_adj=1001))), InvalidArgument, "1001"),
    "an umask that is not octal": (allowed({"umask.crio.io": "9"}, "umask.crio.io"), InvalidArgument, "umask '9'"),
    "privileged in a pod that is not": (
        request(config(PRIVILEGED)),
        InvalidArgument,
        "no privileged container allowed in sandbox",
    ),
    "memory below the minimum": (
        request(config(resources=Resources(memory_limit_bytes=4096))),
        InvalidArgument,
        "set memory limit 4096 too low; should be at least 12582912 bytes",
    ),
    "swap below memory": (
        request(config(resources=Resources(memory_limit_bytes=64 << 20, memory_swap_limit_bytes=1))),
        InvalidArgument,
        "swap limit 1",
    ),
    "a bad list of CPUs": (request(config(resources=Resources(cpuset_cpus="0-"))), InvalidArgument, "cpuset_cpus '0-'"),
    "a unified key with a path": (
        request(config(resources=Resources(unified={"../memory.max": "1"}))),
        InvalidArgument,
        "unified key",
    ),
    "a unified annotation without a value": (
        allowed({"unified-cgroup.crio.io/ctr": "memory.high"}, "unified-cgroup.crio.io"),
        InvalidArgument,
        "KEY=VALUE",
    ),
    "a mount without a path": (with_mount(Mount("", "/h")), InvalidArgument, "container_path ''"),
    "a mount over the root": (with_mount(Mount("/../", "/h")), InvalidArgument, "container_path"),
    "a mount option that widens": (with_mount(Mount("/m", "/h", mount_options=("suid",))), InvalidArgument, "option 'suid'"),
    "recursive read-only that is writable": (
        with_mount(Mount("/m", "/h", recursive_read_only=True)),
        InvalidArgument,
        "needs readonly",
    ),
    "recursive read-only with propagation": (
        with_mount(
            Mount("/m", "/h", True, propagation=Propagation.HOST_TO_CONTAINER, recursive_read_only=True),
            propagation=SourcePropagation.SHARED,
        ),
        InvalidArgument,
        "private propagation",
    ),
    "recursive read-only with an old runtime": (
        with_mount(Mount("/m", "/h", True, recursive_read_only=True), runtime=RuntimeFeatures()),
        FailedPrecondition,
        "no recursive read-only",
    ),
    "bidirectional from a private mount": (
        with_mount(Mount("/m", "/h", propagation=Propagation.BIDIRECTIONAL)),
        FailedPrecondition,
        "not on a shared mount",
    ),
    "host to container from a private mount": (
        with_mount(Mount("/m", "/h", propagation=Propagation.HOST_TO_CONTAINER)),
        FailedPrecondition,
        "on a private mount",
    ),
    "an id-mapped mount with an old runtime": (
        with_mount(Mount("/m", "/h", uid_mappings=RANGE, gid_mappings=RANGE), runtime=RuntimeFeatures()),
        FailedPrecondition,
        "no idmapped mounts",
    ),
    "half an id-mapped mount": (with_mount(Mount("/m", "/h", uid_mappings=RANGE)), InvalidArgument, "both or none"),
    "a device with a relative path": (
        request(devices=(DeviceNode("dev/x", DeviceKind.BLOCK, 1, 1),)),
        InvalidArgument,
        "container_path 'dev/x'",
    ),
    "a device that climbs": (
        request(devices=(DeviceNode("/dev/../x", DeviceKind.BLOCK, 1, 1),)),
        InvalidArgument,
        "absolute path",
    ),
    "a device with odd permissions": (
        request(devices=(DeviceNode("/dev/x", DeviceKind.BLOCK, 1, 1, access="rx"),)),
        InvalidArgument,
        "'rx'",
    ),
    "the pid namespace of a pod without one": (
        request(config(security(namespaces=NamespaceOptions()))),
        FailedPrecondition,
        "does not share one",
    ),
    "the pid namespace of a container that is gone": (
        request(config(security(namespaces=NamespaceOptions(pid=NamespaceMode.TARGET, target_id="abc")))),
        FailedPrecondition,
        "'abc'",
    ),
    "a user namespace of a container": (
        request(sandbox=sandbox(NamespaceOptions(userns=UserNamespace(NamespaceMode.CONTAINER)))),
        InvalidArgument,
        "mode CONTAINER",
    ),
    "a user namespace without ranges": (
        request(sandbox=sandbox(NamespaceOptions(userns=UserNamespace(NamespaceMode.POD)))),
        InvalidArgument,
        "no uids or no gids",
    ),
    "a local seccomp profile without a name": (
        with_security(seccomp=SecurityProfile(ProfileType.LOCALHOST)),
        InvalidArgument,
        "seccomp localhost_ref ''",
    ),
    "a local seccomp profile on a kernel without seccomp": (
        replace(
            with_security(seccomp=SecurityProfile(ProfileType.LOCALHOST, "/p")),
            seccomp=SeccompProfiles(localhost=SIMPLE),
            host=replace(V2, seccomp=False),
        ),
        FailedPrecondition,
        "no seccomp",
    ),
    "a local AppArmor profile without a name": (
        with_security(apparmor=SecurityProfile(ProfileType.LOCALHOST, "localhost/")),
        InvalidArgument,
        "apparmor localhost_ref",
    ),
    "a local AppArmor profile on a kernel without AppArmor": (
        with_security(apparmor=SecurityProfile(ProfileType.LOCALHOST, "x")),
        FailedPrecondition,
        "no AppArmor",
    ),
}


@pytest.mark.parametrize("sentence", BAD)
def test_refused(sentence: str) -> None:
    made, kind, words = BAD[sentence]
    with pytest.raises(kind) as caught:
        build_container_spec(made)
    assert words in str(caught.value)
