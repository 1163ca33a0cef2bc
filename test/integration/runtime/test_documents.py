"""What a document means inside a real container, for both runtimes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import pytest

from crio.core.config import (
    Capabilities,
    ContainerConfig,
    HugepageLimit,
    ImageSpec,
    Metadata,
    Mount,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    Propagation,
    Resources,
    SandboxConfig,
    Security,
    SecurityProfile,
)
from crio.core.errors import CriError
from crio.core.oci.document import BuiltSpec
from crio.core.oci.inputs import (
    BindFiles,
    ContainerSpecRequest,
    DeviceKind,
    DeviceNode,
    ResolvedMount,
    SandboxSpecRequest,
    SeccompProfiles,
    SpecSettings,
    Ulimit,
)
from crio.core.oci.sandbox import build_sandbox_spec
from crio.core.seccomp.profile import parse_profile
from crio.core.user import ResolvedUser
from test.integration.runtime.bundles import OWN_PID, Workshop
from test.support.waiting import eventually

DEFAULT = Security(namespaces=OWN_PID, seccomp=SecurityProfile(ProfileType.RUNTIME_DEFAULT))


def container(security: Security = DEFAULT, **changes: object) -> ContainerConfig:
    return replace(ContainerConfig(Metadata("t"), ImageSpec("b"), security=security), **changes)  # type: ignore[arg-type]


async def output(workshop: Workshop, request: ContainerSpecRequest) -> tuple[str, BuiltSpec]:
    """What the container's shell prints, once it has ended: the last line is END."""
    report = workshop.folder / "rootfs" / "out"
    report.write_text("")
    report.chmod(0o666)
    script = request.config.args[0]
    request = replace(
        request, config=replace(request.config, command=("/bin/sh", "-c", f"({script}) >/out 2>&1; echo END >>/out"), args=())
    )
    container_id, built = await workshop.create(request)
    await workshop.handler.runtime.start(container_id)
    eventually(lambda: report.read_text().endswith("END\n"), 5, "the container has printed everything")
    return report.read_text().removesuffix("END\n"), built


def request(workshop: Workshop, script: str, config: ContainerConfig | None = None) -> ContainerSpecRequest:
    made = workshop.request(config=config or container())
    return replace(made, config=replace(made.config, args=(script,)))


@dataclass(frozen=True)
class Case:
    """A script, what it needs, and the words that its output must and must not hold."""

    script: str
    config: ContainerConfig = field(default_factory=container)
    changes: dict[str, object] = field(default_factory=dict)
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


CASES = {
    "the environment has a path, the host name and what was asked for": Case(
        "env; hostname",
        container(envs=(("A", "b c"), ("EMPTY", ""))),
        holds=("PATH=/usr/local/sbin", "HOSTNAME=inside", "A=b c\n", "EMPTY=\n", "\ninside\n"),
    ),
    "the working directory is the request's": Case("pwd", container(working_dir="/tmp"), holds=("/tmp\n",)),
    "user, group and further groups are set": Case(
        "id", changes={"user": ResolvedUser(1000, 2000, (2000, 3000))}, holds=("uid=1000 gid=2000 groups=2000,3000",)
    ),
    "default capabilities are nine and none is inheritable": Case(
        "grep Cap /proc/self/status",
        holds=("CapInh:\t0000000000000000", "CapBnd:\t00000000000005fb", "CapAmb:\t0000000000000000"),
    ),
    "all capabilities are those that the host can give": Case(
        "grep CapEff /proc/self/status; echo ok",
        container(replace(DEFAULT, capabilities=Capabilities(add=("ALL",)))),
        holds=("ok\n",),
        lacks=("CapEff:\t00000000000005fb",),
    ),
    "no capability at all": Case(
        "grep CapEff /proc/self/status",
        container(replace(DEFAULT, capabilities=Capabilities(drop=("ALL",)))),
        holds=("\t0000000000000000",),
    ),
    "no_new_privs is set": Case(
        "grep NoNewPrivs /proc/self/status", container(replace(DEFAULT, no_new_privs=True)), holds=("NoNewPrivs:\t1",)
    ),
    "the default seccomp profile filters": Case(
        "grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp; echo mount $?", holds=("Seccomp:\t2", "denied", "mount 1")
    ),
    "unconfined does not filter": Case("grep Seccomp: /proc/self/status", container(Security(namespaces=OWN_PID)), holds=("Seccomp:\t0",)),
    "a profile file filters": Case(
        "mkdir /tmp/x || /bin/busybox mkdir /tmp/x; echo mkdir $?",
        container(replace(DEFAULT, seccomp=SecurityProfile(ProfileType.LOCALHOST, "/p.json"))),
        {
            "seccomp": SeccompProfiles(
                localhost=parse_profile(
                    b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}', "/p.json"
                )
            )
        },
        holds=("mkdir 1",),
    ),
    "masked paths are empty and read-only paths cannot be written": Case(
        "ls /sys/firmware; head -c 9 /proc/meminfo; echo end; echo 1 >/proc/sys/net/ipv4/ip_forward",
        container(replace(DEFAULT, masked_paths=("/proc/meminfo",), readonly_paths=("/proc/sys",))),
        holds=("Read-only file system",),
        lacks=("MemTotal", "acpi"),
    ),
    "a read-only root cannot be written, its shm can": Case(
        "touch /x; echo hi >/dev/shm/y && cat /dev/shm/y",
        container(replace(DEFAULT, readonly_rootfs=True)),
        holds=("Read-only", "hi\n"),
    ),
    "cgroups are visible and read-only": Case("mount", holds=("/sys/fs/cgroup",), lacks=("/sys/fs/cgroup type cgroup2 (rw",)),
    "rlimits are clamped, not refused": Case(
        "ulimit -n", changes={"settings": SpecSettings(default_ulimits=(Ulimit("nofile", 1 << 20, 1 << 20),))}, holds=("0\n",)
    ),
    "a low oom score is clamped, not refused": Case(
        "cat /proc/self/oom_score_adj", container(resources=Resources(oom_score_adj=-900)), holds=("\n",)
    ),
    "a high oom score arrives": Case("cat /proc/self/oom_score_adj", container(resources=Resources(oom_score_adj=900)), holds=("900\n",)),
    "hugepage limits of nothing are survived": Case(
        "echo ok",
        container(resources=Resources(hugepage_limits=(HugepageLimit("2MB", 0), HugepageLimit("1GB", 0)))),
        holds=("ok\n",),
    ),
    "a privileged container has the host's powers that there are": Case(
        "mount -t tmpfs x /tmp && echo mounted; mount",
        container(replace(DEFAULT, privileged=True)),
        {"sandbox_privileged": True},
        holds=("mounted\n", "sysfs (rw"),
    ),
    "a device can be used": Case(
        "ls -l /dev/also-null; echo x >/dev/also-null && echo written",
        changes={"devices": (DeviceNode("/dev/also-null", DeviceKind.CHARACTER, 1, 3),)},
        holds=("1,   3", "written\n"),
    ),
    "the standard devices are there": Case("ls /dev; head -c 4 /dev/zero | /bin/busybox wc -c", holds=("null", "zero", "ptmx", "4\n")),
    "a read-only scratch root still has temporary folders": Case(
        "touch /x; touch /tmp/x /run/x && echo scratch",
        changes={"settings": SpecSettings(read_only=True)},
        holds=("Read-only", "scratch\n"),
    ),
    "the container sees itself as process 1": Case("echo pid $$", holds=("pid ",)),
}


@pytest.mark.parametrize("name", CASES)
async def test_inside(workshop: Workshop, name: str) -> None:
    case = CASES[name]
    made = replace(request(workshop, case.script, case.config), **case.changes)  # type: ignore[arg-type]
    if case.config.security.readonly_rootfs or made.settings.read_only:
        made = with_report(workshop, made)
    text, _ = await output(workshop, made)
    for words in case.holds:
        assert words in text, text
    for words in case.lacks:
        assert words not in text, text


def with_report(workshop: Workshop, made: ContainerSpecRequest) -> ContainerSpecRequest:
    """The report file as a writable mount, for containers whose root is read-only; shm as the pod would give it."""
    path = workshop.folder / "rootfs" / "out"
    path.write_text("")
    shm = workshop.folder / "shm"
    shm.mkdir()
    report = ResolvedMount(Mount("/out", str(path)), str(path))
    return replace(made, mounts=(*made.mounts, report), files=BindFiles(shm=str(shm)))


async def test_mounts_of_the_client_and_files_of_the_pod(workshop: Workshop) -> None:
    outer = workshop.folder / "volume"
    (outer / "inner").mkdir(parents=True)
    (outer / "file").write_text("volume\n")
    hosts = workshop.folder / "hosts"
    hosts.write_text("1.2.3.4 name\n")
    config = container(mounts=(Mount("/data", str(outer)), Mount("/data/inner/ro", str(outer), readonly=True)))
    made = request(workshop, "cat /data/file /etc/hosts; touch /data/new && echo rw; touch /data/inner/ro/new || echo ro; mount", config)
    mounts = tuple(ResolvedMount(mount, mount.host_path) for mount in reversed(config.mounts))
    text, _ = await output(workshop, replace(made, mounts=mounts, files=BindFiles(hosts=str(hosts))))
    assert text.startswith("volume\n1.2.3.4 name\nrw\n")
    assert "\nro\n" in text


async def test_propagation_private_is_refused_where_it_cannot_work(workshop: Workshop) -> None:
    mount = Mount("/data", "/tmp", propagation=Propagation.BIDIRECTIONAL)
    made = replace(request(workshop, "true", container(mounts=(mount,))), mounts=(ResolvedMount(mount, "/tmp"),))
    with pytest.raises(CriError, match="shared mount"):
        await output(workshop, made)


async def test_namespaces_are_joined(workshop: Workshop) -> None:
    first = await workshop.running()
    state = await workshop.handler.runtime.state(first)
    assert state is not None
    pid_path = f"/proc/{state.pid}/ns"
    security = replace(DEFAULT, namespaces=NamespaceOptions(pid=NamespaceMode.TARGET, target_id=first))
    made = request(workshop, "/bin/busybox readlink /proc/self/ns/net; ps", container(security))
    joins = replace(made.joins, net=f"{pid_path}/net", ipc=f"{pid_path}/ipc", uts=f"{pid_path}/uts", target_pid=f"{pid_path}/pid")
    text, _ = await output(workshop, replace(made, joins=joins))
    assert os.readlink(f"{pid_path}/net") in text
    assert "sleep 1000" in text


async def test_the_hosts_namespaces_are_used(workshop: Workshop) -> None:
    options = NamespaceOptions(NamespaceMode.NODE, NamespaceMode.NODE, NamespaceMode.NODE)
    made = request(
        workshop,
        "for n in net pid ipc; do /bin/busybox readlink /proc/self/ns/$n; done",
        container(replace(DEFAULT, namespaces=options)),
    )
    sandbox = replace(made.sandbox, security=Security(namespaces=options))
    text, _ = await output(workshop, replace(made, sandbox=sandbox))
    assert text.split() == [os.readlink(f"/proc/self/ns/{name}") for name in ("net", "pid", "ipc")]


async def test_a_sandbox_document_runs(workshop: Workshop) -> None:
    made = workshop.request()
    config = SandboxConfig(Metadata("pod", uid="u", namespace="n"), security=Security(), cgroup_parent=workshop.parent)
    built = build_sandbox_spec(
        SandboxSpecRequest(
            config=config,
            identity=made.identity,
            host=workshop.host,
            runtime=workshop.handler.features,
            rootfs=made.rootfs,
            cgroups_path=made.cgroups_path,
            hostname="pod",
            pause_command=("/bin/sleep", "1000"),
            infra=True,
            seccomp=SeccompProfiles(),
        )
    )
    container_id = await workshop.create_document(made.identity.container_id, built)
    await workshop.handler.runtime.start(container_id)
    state = await workshop.handler.runtime.state(container_id)
    assert state is not None and state.pid > 0
