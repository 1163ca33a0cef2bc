"""Documents of containers: each row changes one thing of an ordinary request and looks at one member."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from crio.core.config import (
    Capabilities,
    HugepageLimit,
    ImageSpec,
    Mount,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    Propagation,
    Resources,
    SecurityProfile,
    UserNamespace,
)
from crio.core.oci.container import build_container_spec
from crio.core.oci.features import RuntimeFeatures
from crio.core.oci.inputs import (
    ContainerSpecRequest,
    DeviceKind,
    DeviceNode,
    HandlerSettings,
    ImageRuntimeConfig,
    NamespaceJoins,
    ResolvedMount,
    SeccompProfiles,
    SELinuxLabels,
    SourcePropagation,
    SpecSettings,
    Ulimit,
)
from crio.core.oci.security import DEFAULT_MASKED
from crio.core.user import ResolvedUser
from test.unit.oci.requests import V1, V2, at, config, request, sandbox, security
from test.unit.oci.variants import (
    HOST_IPC,
    HOST_NET,
    HOST_PID,
    JOINS,
    LABELS,
    LOW_HOST,
    NODE,
    PRIVILEGED,
    SIMPLE,
    USERNS,
    allowed,
    env,
    privileged,
    with_mount,
    with_security,
)

# sentence: (request, member, what it is)
MEMBERS: dict[str, tuple[ContainerSpecRequest, str, Any]] = {
    # command line
    "the command is run": (request(), "process.args", ("sleep",)),
    "args follow the command and hide the image's": (
        request(config(args=("1",)), image=ImageRuntimeConfig(("e",), ("c",))),
        "process.args",
        ("sleep", "1"),
    ),
    "without a command the image's entrypoint and cmd run": (
        request(config(command=()), image=ImageRuntimeConfig(("e",), ("c",))),
        "process.args",
        ("e", "c"),
    ),
    "args replace the image's cmd only": (
        request(config(command=(), args=("a",)), image=ImageRuntimeConfig(("e",), ("c",))),
        "process.args",
        ("e", "a"),
    ),
    # working directory
    "the working directory is the root": (request(), "process.cwd", "/"),
    "the image's working directory": (request(image=ImageRuntimeConfig(working_dir="/app")), "process.cwd", "/app"),
    "the request's working directory wins": (
        request(config(working_dir="/w"), image=ImageRuntimeConfig(working_dir="/app")),
        "process.cwd",
        "/w",
    ),
    "a relative working directory begins at the root": (
        request(image=ImageRuntimeConfig(working_dir="app")),
        "process.cwd",
        "/app",
    ),
    # user
    "the user's numbers are written": (
        request(user=ResolvedUser(1, 2, (2, 3))),
        "process.user",
        {"uid": 1, "gid": 2, "additionalGids": (2, 3)},
    ),
    "an allowed umask is written": (allowed({"umask.crio.io": "027"}, "umask.crio.io"), "process.user.umask", 0o27),
    "the older name of the umask": (
        allowed({"io.kubernetes.cri-o.umask": "077"}, "io.kubernetes.cri-o.umask"),
        "process.user.umask",
        0o77,
    ),
    "an umask that is not allowed is not written": (allowed({"umask.crio.io": "027"}), "process.user.umask", None),
    # terminal, privileges
    "no terminal": (request(), "process.terminal", False),
    "a terminal": (request(config(tty=True)), "process.terminal", True),
    "no_new_privs": (with_security(no_new_privs=True), "process.noNewPrivileges", True),
    # capabilities
    "inheritable capabilities are empty": (request(), "process.capabilities.inheritable", ()),
    "inheritable capabilities on demand": (
        request(settings=SpecSettings(default_capabilities=("KILL",), add_inheritable_capabilities=True)),
        "process.capabilities.inheritable",
        ("CAP_KILL",),
    ),
    "added and dropped capabilities": (
        with_security(capabilities=Capabilities(("NET_ADMIN",), ("kill", "CAP_CHOWN", "SETFCAP", "SETUID", "SETGID", "SETPCAP"))),
        "process.capabilities.bounding",
        ("CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN"),
    ),
    "privileged means what the host has": (
        privileged(host=replace(V2, capabilities=frozenset({"CAP_KILL", "CAP_CHOWN"}))),
        "process.capabilities.effective",
        ("CAP_CHOWN", "CAP_KILL"),
    ),
    # limits
    "no ulimits by default": (request(), "process.rlimits", None),
    "ulimits of the configuration": (
        request(settings=SpecSettings(default_ulimits=(Ulimit("nofile", 5, -1),))),
        "process.rlimits",
        [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": (1 << 64) - 1}],
    ),
    "ulimits are clamped to the host's hard limit": (
        request(host=LOW_HOST, settings=SpecSettings(default_ulimits=(Ulimit("NOFILE", 1 << 20, 1 << 20),))),
        "process.rlimits",
        [{"type": "RLIMIT_NOFILE", "soft": 20000, "hard": 20000}],
    ),
    "the oom score": (request(config(resources=Resources(oom_score_adj=-900))), "process.oomScoreAdj", -900),
    "a low oom score is clamped": (
        request(config(resources=Resources(oom_score_adj=-900)), host=LOW_HOST),
        "process.oomScoreAdj",
        0,
    ),
    "a high oom score needs no capability": (
        request(config(resources=Resources(oom_score_adj=900)), host=LOW_HOST),
        "process.oomScoreAdj",
        900,
    ),
    # versions, root, host name
    "the version that the runtime understands": (request(runtime=RuntimeFeatures()), "ociVersion", "1.0.2-dev"),
    "a newer version": (request(), "ociVersion", "1.2.0"),
    "the root is writable": (request(), "root", {"path": "/rootfs", "readonly": False}),
    "a read-only root": (with_security(readonly_rootfs=True), "root.readonly", True),
    "a root that the configuration makes read-only": (request(settings=SpecSettings(read_only=True)), "root.readonly", True),
    "no host name": (request(), "hostname", None),
    "a host name": (request(hostname="h"), "hostname", "h"),
    # namespaces
    "namespaces of its own without pins": (
        request(host=V1),
        "linux.namespaces",
        [{"type": "mount"}, {"type": "uts"}, {"type": "network"}, {"type": "ipc"}, {"type": "pid"}],
    ),
    "pinned namespaces are joined, the cgroup namespace is private on v2": (
        request(joins=JOINS),
        "linux.namespaces",
        [
            {"type": "mount"},
            {"type": "uts", "path": "/n/uts"},
            {"type": "network", "path": "/n/net"},
            {"type": "ipc", "path": "/n/ipc"},
            {"type": "pid"},
            {"type": "cgroup"},
        ],
    ),
    "the host's network and ipc are decided by the pod": (
        request(joins=JOINS, sandbox=sandbox(NamespaceOptions(NODE, NamespaceMode.CONTAINER, NODE)), host=V1),
        "linux.namespaces",
        [{"type": "mount"}, {"type": "uts", "path": "/n/uts"}, {"type": "pid"}],
    ),
    "the host's pid namespace": (
        request(config(security(namespaces=HOST_PID)), host=V1, sandbox=sandbox(NamespaceOptions(NODE, NODE, NODE))),
        "linux.namespaces",
        [{"type": "mount"}, {"type": "uts"}],
    ),
    "the pod's pid namespace": (
        request(config(security(namespaces=NamespaceOptions())), host=V1, joins=NamespaceJoins(pid="/p")),
        "linux.namespaces",
        [{"type": "mount"}, {"type": "uts"}, {"type": "network"}, {"type": "ipc"}, {"type": "pid", "path": "/p"}],
    ),
    "the pod's pid namespace is the host's": (
        request(config(security(namespaces=NamespaceOptions())), host=V1, sandbox=sandbox(HOST_PID)),
        "linux.namespaces",
        [{"type": "mount"}, {"type": "uts"}, {"type": "network"}, {"type": "ipc"}],
    ),
    "another container's pid namespace": (
        request(config(security(namespaces=NamespaceOptions(pid=NamespaceMode.TARGET))), host=V1, joins=JOINS),
        "linux.namespaces",
        [
            {"type": "mount"},
            {"type": "uts", "path": "/n/uts"},
            {"type": "network", "path": "/n/net"},
            {"type": "ipc", "path": "/n/ipc"},
            {"type": "pid", "path": "/t/pid"},
        ],
    ),
    "a user namespace brings its ranges": (
        request(sandbox=sandbox(USERNS), joins=JOINS),
        "linux.uidMappings",
        [{"containerID": 0, "hostID": 100000, "size": 65536}],
    ),
    "no user namespace, no ranges": (request(), "linux.gidMappings", None),
    "a user namespace of the host's is none": (
        request(sandbox=sandbox(NamespaceOptions(userns=UserNamespace()))),
        "linux.uidMappings",
        None,
    ),
    # resources
    "the cgroup path": (request(), "linux.cgroupsPath", "/crio/crio-c"),
    "no limits": (request(), "linux.resources.memory", None),
    "limits": (
        request(config(resources=Resources(1000, 2000, 3, 64 << 20, cpuset_cpus="0-1,3", cpuset_mems="0"))),
        "linux.resources",
        {
            "cpu": {"shares": 3, "quota": 2000, "period": 1000, "cpus": "0-1,3", "mems": "0"},
            "memory": {"limit": 64 << 20, "swap": 64 << 20},
            "devices": [{"allow": False, "access": "rwm"}],
        },
    ),
    "a limit on processes": (request(settings=SpecSettings(pids_limit=7)), "linux.resources.pids", {"limit": 7}),
    "no limit on processes is not written": (request(), "linux.resources.pids", None),
    "unified limits of an allowed annotation": (
        allowed({"unified-cgroup.crio.io/ctr": "memory.high=MTAw;memory.low=5;cpu.weight=a,b;"}, "unified-cgroup.crio.io"),
        "linux.resources.unified",
        {"memory.high": "100", "memory.low": "5", "cpu.weight": "a,b"},
    ),
    "unified limits under the older name": (
        allowed({"io.kubernetes.cri-o.UnifiedCgroup/ctr": "memory.low=5"}, "io.kubernetes.cri-o.UnifiedCgroup"),
        "linux.resources.unified",
        {"memory.low": "5"},
    ),
    "unified limits that are not allowed": (
        allowed({"unified-cgroup.crio.io/ctr": "memory.high=100"}),
        "linux.resources.unified",
        None,
    ),
    # devices
    "no device": (request(), "linux.devices", None),
    "a device is made and allowed": (
        request(devices=(DeviceNode("/dev/x", DeviceKind.BLOCK, 8, 1, 0o100660, 5, 6, "r"),)),
        "linux.devices",
        [{"path": "/dev/x", "type": "b", "major": 8, "minor": 1, "fileMode": 0o660, "uid": 5, "gid": 6}],
    ),
    "the device is allowed in its cgroup": (
        request(devices=(DeviceNode("/dev/x", DeviceKind.BLOCK, 8, 1, access="r"), DeviceNode("/dev/f", DeviceKind.FIFO, 0, 0))),
        "linux.resources.devices",
        [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "b", "major": 8, "minor": 1, "access": "r"},
        ],
    ),
    "a fifo has no number": (
        request(devices=(DeviceNode("/dev/f", DeviceKind.FIFO, 0, 0),)),
        "linux.devices",
        [{"path": "/dev/f", "type": "p", "fileMode": 0o666, "uid": 0, "gid": 0}],
    ),
    "privileged gets every device": (
        privileged(host_devices=(DeviceNode("/dev/h", DeviceKind.CHARACTER, 1, 1),)),
        "linux.resources.devices",
        [{"allow": True, "access": "rwm"}],
    ),
    "privileged without the host's devices": (
        privileged(
            host_devices=(DeviceNode("/dev/h", DeviceKind.CHARACTER, 1, 1),),
            handler=HandlerSettings(privileged_without_host_devices=True),
        ),
        "linux.devices",
        None,
    ),
    "device rules need their controller on v1": (
        request(host=replace(V1, cgroups=replace(V1.cgroups, v1={"cpu": "/c"}))),
        "linux.resources",
        None,
    ),
    # propagation
    "the runtime's own propagation": (request(), "linux.rootfsPropagation", None),
    "shared": (
        with_mount(Mount("/m", "/h", propagation=Propagation.BIDIRECTIONAL), propagation=SourcePropagation.SHARED),
        "linux.rootfsPropagation",
        "rshared",
    ),
    "slave": (
        with_mount(Mount("/m", "/h", propagation=Propagation.HOST_TO_CONTAINER), propagation=SourcePropagation.SLAVE),
        "linux.rootfsPropagation",
        "rslave",
    ),
    # masks
    "an empty list masks nothing": (request(), "linux.maskedPaths", None),
    "a list is joined with ours": (
        with_security(masked_paths=("/x", "/proc/keys")),
        "linux.maskedPaths",
        (
            "/x",
            "/proc/keys",
            *(path for path in DEFAULT_MASKED if path != "/proc/keys"),
        ),
    ),
    "privileged is not masked": (
        request(config(replace(PRIVILEGED, masked_paths=("/x",))), sandbox_privileged=True),
        "linux.maskedPaths",
        None,
    ),
    "read-only paths": (with_security(readonly_paths=("/proc/sys",)), "linux.readonlyPaths", ("/proc/sys",)),
    "privileged has no read-only paths": (
        request(config(replace(PRIVILEGED, readonly_paths=("/x",))), sandbox_privileged=True),
        "linux.readonlyPaths",
        None,
    ),
    # seccomp
    "no profile is none": (request(), "linux.seccomp", None),
    "unconfined is none": (
        with_security(seccomp=SecurityProfile(ProfileType.UNCONFINED)),
        "linux.seccomp",
        None,
    ),
    "the built-in profile": (
        with_security(seccomp=SecurityProfile(ProfileType.RUNTIME_DEFAULT)),
        "linux.seccomp.defaultErrnoRet",
        38,
    ),
    "the configured default profile": (
        replace(with_security(seccomp=SecurityProfile(ProfileType.RUNTIME_DEFAULT)), seccomp=SeccompProfiles(runtime_default=SIMPLE)),
        "linux.seccomp.defaultAction",
        "SCMP_ACT_ALLOW",
    ),
    "the default profile is left out on a kernel without seccomp": (
        replace(with_security(seccomp=SecurityProfile(ProfileType.RUNTIME_DEFAULT)), host=replace(V2, seccomp=False)),
        "linux.seccomp",
        None,
    ),
    "a local profile": (
        replace(with_security(seccomp=SecurityProfile(ProfileType.LOCALHOST, "/p")), seccomp=SeccompProfiles(localhost=SIMPLE)),
        "annotations.io.kubernetes.cri-o.SeccompProfilePath",
        None,
    ),
    "privileged has no profile": (privileged(), "linux.seccomp", None),
    "privileged has the one for privileged ones": (
        privileged(seccomp=SeccompProfiles(privileged=SIMPLE)),
        "linux.seccomp.defaultAction",
        "SCMP_ACT_ALLOW",
    ),
    # AppArmor
    "no AppArmor on this kernel": (request(), "process.apparmorProfile", None),
    "the default profile of AppArmor": (request(host=replace(V2, apparmor=True)), "process.apparmorProfile", "crio-default"),
    "the administrator's unconfined": (
        request(host=replace(V2, apparmor=True), settings=SpecSettings(apparmor_profile="unconfined")),
        "process.apparmorProfile",
        None,
    ),
    "unconfined by AppArmor": (
        replace(with_security(apparmor=SecurityProfile(ProfileType.UNCONFINED)), host=replace(V2, apparmor=True)),
        "process.apparmorProfile",
        None,
    ),
    "a loaded AppArmor profile": (
        replace(with_security(apparmor=SecurityProfile(ProfileType.LOCALHOST, "localhost/mine")), host=replace(V2, apparmor=True)),
        "process.apparmorProfile",
        "mine",
    ),
    "privileged has no AppArmor profile": (privileged(host=replace(V2, apparmor=True)), "process.apparmorProfile", None),
    # SELinux
    "no labels": (request(), "process.selinuxLabel", None),
    "labels": (request(labels=LABELS), "process.selinuxLabel", LABELS.process),
    "the mount label": (request(labels=LABELS), "linux.mountLabel", LABELS.mount),
    "an init system has a type of its own": (
        request(config(command=("/sbin/init",)), labels=LABELS),
        "process.selinuxLabel",
        "system_u:system_r:container_init_t:s0:c1,c2",
    ),
    "a short label stays": (
        request(config(command=("/usr/lib/systemd/systemd",)), labels=SELinuxLabels("a:b", "")),
        "process.selinuxLabel",
        "a:b",
    ),
    "no label in the host's pid namespace": (
        request(config(security(namespaces=HOST_PID)), labels=LABELS),
        "linux.mountLabel",
        None,
    ),
    "no process label in the host's network": (
        request(labels=LABELS, sandbox=sandbox(HOST_NET)),
        "process.selinuxLabel",
        None,
    ),
    "a process label in the host's network when asked for": (
        request(labels=LABELS, sandbox=sandbox(HOST_NET), settings=SpecSettings(hostnetwork_disable_selinux=False)),
        "process.selinuxLabel",
        LABELS.process,
    ),
    "privileged keeps the mount label only": (privileged(labels=LABELS), "linux.mountLabel", LABELS.mount),
}


@pytest.mark.parametrize("sentence", MEMBERS)
def test_member(sentence: str) -> None:
    made, path, expected = MEMBERS[sentence]
    assert at(build_container_spec(made).document, path) == expected


WARNED: dict[str, tuple[ContainerSpecRequest, tuple[str, ...]]] = {
    "an ordinary request has no warnings": (request(), ()),
    "a capability that the host does not have": (
        request(config(security(capabilities=Capabilities(("SYS_TIME",)))), host=LOW_HOST),
        ("capabilities CAP_SYS_TIME are not given",),
    ),
    "all capabilities are those that there are, without a warning": (
        request(config(security(capabilities=Capabilities(("ALL",)))), host=LOW_HOST),
        (),
    ),
    "a ulimit above the host's": (
        request(host=LOW_HOST, settings=SpecSettings(default_ulimits=(Ulimit("nofile", 1, -1),))),
        ("RLIMIT_NOFILE is 20000 instead of unlimited",),
    ),
    "a ulimit above the host's, in numbers": (
        request(host=LOW_HOST, settings=SpecSettings(default_ulimits=(Ulimit("nofile", 1, 30000),))),
        ("RLIMIT_NOFILE is 20000 instead of 30000",),
    ),
    "an oom score below the host's": (
        request(config(resources=Resources(oom_score_adj=-1)), host=LOW_HOST),
        ("oom_score_adj is 0 instead of -1",),
    ),
    "hugepages without their controller": (
        request(config(resources=Resources(hugepage_limits=(HugepageLimit("2MB", 5), HugepageLimit("1GB", 0)))), host=V1),
        ("hugepage limit for 2MB is dropped: the controller",),
    ),
    "no_new_privs in vain": (
        request(config(security(no_new_privs=True, capabilities=Capabilities(("SYS_ADMIN",))))),
        ("no_new_privs has little meaning",),
    ),
    "no_new_privs when privileged": (
        request(config(replace(PRIVILEGED, no_new_privs=True)), sandbox_privileged=True),
        ("no_new_privs has little meaning",),
    ),
}


@pytest.mark.parametrize("sentence", WARNED)
def test_warnings(sentence: str) -> None:
    made, expected = WARNED[sentence]
    warnings = build_container_spec(made).warnings
    assert len(warnings) == len(expected)
    assert all(found.startswith(words) for found, words in zip(warnings, expected, strict=True)), warnings


class TestEnvironment:
    def test_later_sources_win(self) -> None:
        made = request(
            config(envs=(("C", "cri"), ("HOSTNAME", "mine"))),
            settings=SpecSettings(default_env=("A=default", "B=default", "C=default")),
            image=ImageRuntimeConfig(env=("B=image", "C=image", "PATH=/image", "BARE")),
            hostname="pod",
        )
        assert env(made) == {"PATH": "/image", "HOSTNAME": "mine", "A": "default", "B": "image", "C": "cri", "BARE": ""}

    def test_a_terminal_has_a_type(self) -> None:
        assert env(request(config(tty=True)))["TERM"] == "xterm"
        assert env(request(config(tty=True, envs=(("TERM", "vt100"),))))["TERM"] == "vt100"

    def test_systemd_is_told_where_it_is(self) -> None:
        assert env(request(config(command=("/sbin/init",))))["container"] == "crio"

    @pytest.mark.parametrize(
        ("parent", "resources", "envs", "annotations", "expected"),
        [
            ("/kubepods/burstable/pod", Resources(cpu_shares=2048), (), {}, "4"),
            ("/kubepods/besteffort/pod", Resources(cpu_shares=2), (), {}, "3"),
            ("/kubepods/pod", Resources(cpu_shares=2048), (), {}, None),
            ("/kubepods/burstable/pod", Resources(cpu_shares=2048, cpu_quota_us=1), (), {}, None),
            ("/kubepods/burstable/pod", Resources(cpu_shares=2048), (("GOMAXPROCS", "9"),), {}, "9"),
            ("/kubepods/burstable/pod", Resources(), (), {"skip-gomaxprocs.crio.io": "true"}, None),
        ],
    )
    def test_gomaxprocs(self, parent: str, resources: Resources, envs: Any, annotations: Any, expected: str | None) -> None:
        made = request(
            config(resources=resources, envs=envs, annotations=annotations),
            sandbox=sandbox(cgroup_parent=parent),
            settings=SpecSettings(min_injected_gomaxprocs=3),
        )
        assert env(made).get("GOMAXPROCS") == expected


class TestRecords:
    def annotations(self, made: ContainerSpecRequest) -> dict[str, Any]:
        return build_container_spec(made).document["annotations"]  # type: ignore[return-value]

    def test_everything_that_a_restart_reads(self) -> None:
        mount = Mount("/m", "/h", True, image=ImageSpec("img"))
        plain = Mount("/n", "/h")
        container = config(labels={"l": "1"}, annotations={"a": "2"}, mounts=(mount, plain), tty=True, stop_signal="SIGINT")
        made = request(container, mounts=(ResolvedMount(mount, "/h"), ResolvedMount(plain, "/h")))
        identity = replace(made.identity, ips=("10.0.0.1", "fd::1"), repo_digests=("a@1", "b@2"), platform_runtime_path="/other")
        found = self.annotations(replace(made, identity=identity))
        own = {key.removeprefix("io.kubernetes.cri-o."): value for key, value in found.items()}
        assert own["ContainerID"] == "c" * 64 and own["SandboxID"] == "s" * 64
        assert own["Created"] == "2017-07-14T02:40:00.000000001Z"
        assert json.loads(own["Metadata"]) == {"name": "ctr", "attempt": 2}
        assert json.loads(own["Labels"]) == {"l": "1"} and json.loads(own["Annotations"]) == {"a": "2"}
        assert own["ContainerType"] == "container" and own["TTY"] == "true" and own["Stdin"] == "false"
        assert own["IP.0"] == "10.0.0.1" and own["IP.1"] == "fd::1" and own["ImageRepoDigests"] == "a@1,b@2"
        assert json.loads(own["Volumes"])[0]["image"] == {"image": "img"}
        assert own["SeccompProfilePath"] == "unconfined"
        assert found["io.container.manager"] == "cri-o" and found["org.opencontainers.image.stopSignal"] == "SIGINT"
        assert found["platform-runtime-path.crio.io"] == "/other"
        assert found["l"] == "1" and found["a"] == "2"

    def test_no_client_can_write_our_records_or_hints_for_the_runtime(self) -> None:
        evil = {
            "io.kubernetes.cri-o.SandboxID": "x",
            "io.kubernetes.cri-o.SomethingNew": "x",
            "io.container.manager": "libpod",
            "run.oci.hooks.stderr": "/etc/passwd",
            "org.systemd.property.ExecStart": "x",
            "umask.crio.iox": "0",
            "bundle": "/",
            "fine": "yes",
        }
        found = self.annotations(request(config(annotations=evil, labels={"io.kubernetes.cri-o.Labels": "x"})))
        assert "x" not in found.values() and found["fine"] == "yes"
        assert found["io.container.manager"] == "cri-o"
        assert not {"bundle", "run.oci.hooks.stderr", "umask.crio.iox", "io.kubernetes.cri-o.SomethingNew"} & set(found)

    def test_names_of_profiles(self) -> None:
        default = with_security(seccomp=SecurityProfile(ProfileType.RUNTIME_DEFAULT))
        local = replace(with_security(seccomp=SecurityProfile(ProfileType.LOCALHOST, "/p")), seccomp=SeccompProfiles(localhost=SIMPLE))
        key = "io.kubernetes.cri-o.SeccompProfilePath"
        assert self.annotations(default)[key] == "runtime/default"
        assert self.annotations(local)[key] == "/p"

    def test_systemd_waits_as_long_as_the_pod(self) -> None:
        made = request(config(annotations={"io.kubernetes.pod.terminationGracePeriod": "45"}), settings=SpecSettings(systemd_cgroup=True))
        found = self.annotations(made)
        assert found["org.systemd.property.TimeoutStopUSec"] == "uint64 45000000"
        assert found["org.systemd.property.After"] == "['crio.service']"
        assert "org.systemd.property.TimeoutStopUSec" not in self.annotations(replace(made, config=config()))

    def test_the_images_stop_signal_is_recorded(self) -> None:
        found = self.annotations(request(image=ImageRuntimeConfig(stop_signal="SIGQUIT")))
        assert found["org.opencontainers.image.stopSignal"] == "SIGQUIT"

    def test_a_container_without_a_stop_signal_has_no_record_of_one(self) -> None:
        assert "org.opencontainers.image.stopSignal" not in self.annotations(request())


def test_ipc_of_the_host_drops_labels() -> None:
    built = build_container_spec(request(labels=LABELS, sandbox=sandbox(HOST_IPC)))
    assert at(built.document, "process.selinuxLabel") is None and at(built.document, "linux.mountLabel") is None
