"""pinns and pause as the daemon uses them: namespaces made, set up and pinned in one call; PID 1 of a pod."""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from crio import __version__
from test.support.waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[3]
PINNS = ROOT / "bin" / "pinns"
PAUSE = ROOT / "libexec" / "crio" / "pause"
KINDS = ("net", "ipc", "uts", "user", "cgroup", "mnt")
MAPS = ("-U", "--uid-mapping=0-100000-65536", "--gid-mapping=0-200000-65536")


@pytest.fixture
def pins(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A directory for pins; whatever is mounted there at the end is unmounted."""
    assert PINNS.exists(), f"{PINNS} is missing: make -C conmon"
    yield tmp_path
    mounts = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{tmp_path}/")]):
        subprocess.run(["umount", "--lazy", mount], check=True)


def pinns(*options: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Runs the program to its end."""
    return subprocess.run([PINNS, *options], capture_output=True, text=True, check=False, timeout=30)


def inside(pins: pathlib.Path, name: str, kinds: tuple[str, ...], script: str) -> str:
    """What a shell says in the pinned namespaces."""
    options = [f"--{kind}={pins / (kind + 'ns') / name}" for kind in kinds]
    return subprocess.run(["nsenter", *options, "sh", "-c", script], capture_output=True, text=True, check=True, timeout=30).stdout


def identity(path: pathlib.Path) -> tuple[int, int]:
    """Two namespace files are the same namespace when this is equal."""
    status = path.stat()
    return status.st_dev, status.st_ino


def test_namespaces_are_made_configured_and_pinned_in_one_call(pins: pathlib.Path) -> None:
    """Host name, loopback, and sysctls whose values hold what used to be a separator."""
    done = pinns(
        *("-d", pins, "-f", "pod", "-u", "-i", "-n", "--hostname", "pod-1", "--loopback"),
        *("-s", "net.ipv4.ip_forward=1", "-s", "kernel.shmmax=12345", "-s", "kernel.domainname=a+kernel.core_pattern=b"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    script = "hostname; cat /sys/class/net/lo/flags /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/kernel/domainname"
    answer = inside(
        pins, "pod", ("net", "ipc", "uts"), script.replace("cat /sys/class/net/lo/flags", "ip -o link show lo | grep -o ,UP; cat")
    )
    assert answer.split() == ["pod-1", ",UP", "1", "12345", "a+kernel.core_pattern=b"]
    assert "core_pattern=b" not in pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    assert sorted(path.name for path in pins.iterdir()) == ["ipcns", "netns", "utsns"]


def test_a_user_namespace_owns_the_others(pins: pathlib.Path) -> None:
    """All six kinds; ids mapped; sysctls set by the namespace's own root; no child is left."""
    done = pinns("-d", pins, "-f", "pod", "-u", "-i", "-n", "-c", "-m", *MAPS, "--hostname", "inner", "-s", "net.ipv4.ip_forward=1")
    assert (done.returncode, done.stderr) == (0, "")
    script = "hostname; id -u; cat /proc/self/uid_map /proc/self/gid_map /proc/sys/net/ipv4/ip_forward"
    answer = inside(pins, "pod", ("user", "net", "ipc", "uts"), script).split()
    assert answer == ["inner", "0", "0", "100000", "65536", "0", "200000", "65536", "1"]
    for kind in KINDS:
        assert identity(pins / f"{kind}ns" / "pod") != identity(pathlib.Path(f"/proc/self/ns/{kind}"))
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    assert any(line.split()[4] == str(pins / "mntns") and " unbindable " in line for line in mounts)


def test_a_mount_namespace_is_pinned_whichever_processor_makes_it(tmp_path: pathlib.Path) -> None:
    """Linux 6.18 numbers namespaces by processor, and refuses to bind one whose number is lower than ours."""
    processors = [str(number) for number in sorted(os.sched_getaffinity(0))[:4]]
    for ours, theirs in itertools.product(processors, repeat=2):
        # All of it in a namespace that ends with the command.
        outside = ("taskset", "-c", ours, "unshare", "--mount", "taskset", "-c", theirs)
        done = subprocess.run([*outside, PINNS, "-d", tmp_path, "-f", "pod", "-m"], capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")


def test_host_pins_the_present_namespace_and_may_be_repeated(pins: pathlib.Path) -> None:
    """Both spellings; nothing is mounted twice."""
    for _ in range(2):
        assert pinns("-d", pins, "-f", "pod", "--net=host", "-u=host").returncode == 0
    for kind in ("net", "uts"):
        assert identity(pins / f"{kind}ns" / "pod") == identity(pathlib.Path(f"/proc/self/ns/{kind}"))
    assert pathlib.Path("/proc/self/mounts").read_text().count(f"{pins}/netns/pod") == 1


def test_a_pin_of_an_earlier_run_is_replaced(pins: pathlib.Path) -> None:
    """As after a kill of the daemon in the middle of a pod's start."""
    seen = set()
    for _ in range(3):
        assert pinns("-d", pins, "-f", "pod", "-n").returncode == 0
        seen.add(identity(pins / "netns" / "pod"))
    assert len(seen) == 3
    assert pathlib.Path("/proc/self/mounts").read_text().count(f"{pins}/netns/pod") == 1


REFUSED = {
    "a sysctl of the host": (("-n", "-s", "kernel.core_pattern=x"), "kernel.core_pattern"),
    "a sysctl of a namespace that is not new": (("-n", "-s", "kernel.shmmax=1"), "needs a new ipc namespace"),
    "a net sysctl with the host's network": (("-n=host", "-u", "-s", "net.ipv4.ip_forward=1"), "needs a new net namespace"),
    "a key that climbs": (("-n", "-s", "net/../kernel/core_pattern=x"), "'net/../kernel/core_pattern=x'"),
    "an absolute key": (("-n", "-s", "/net/ipv4/ip_forward=1"), "starts with '/'"),
    "a sysctl that does not exist": (("-n", "-s", "net.ipv4.nonsense=1"), "net.ipv4.nonsense"),
    "a value that the kernel refuses": (("-n", "-s", "net.ipv4.ip_forward=word"), "net.ipv4.ip_forward=word"),
    "a user namespace without a mapping": (("-U", "-n"), "user namespace"),
    "a mapping without a user namespace": (("-n", "--uid-mapping=0-0-1", "--gid-mapping=0-0-1"), "user namespace"),
    "a mapping that the kernel refuses": (("-U", "--uid-mapping=0-1-5@0-9-5", "--gid-mapping=0-1-5"), "user namespace: the uid mapping"),
    "a word other than host": (("-n=guest",), "net namespace: the value"),
    "a host name for the host": (("-n", "--hostname", "x"), "uts namespace"),
    "no namespace": ((), "no namespace"),
}


@pytest.mark.parametrize(("options", "word"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_names_its_cause_and_leaves_nothing(options: tuple[str, ...], word: str, pins: pathlib.Path) -> None:
    """No pin, no mount."""
    done = pinns("-d", pins, "-f", "pod", *options)
    assert done.returncode == 1
    assert done.stderr.startswith("pinns: ") and word in done.stderr
    assert [path for path in pins.rglob("pod")] == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "x" * 256])
def test_a_name_is_one_component(name: str, pins: pathlib.Path) -> None:
    """It becomes a file name."""
    assert "--filename" in pinns("-d", pins, "-f", name, "-n").stderr


def test_a_file_in_the_place_of_a_pin_is_not_touched(pins: pathlib.Path) -> None:
    """Neither followed nor covered; pins made before it are taken back."""
    (pins / "netns").mkdir()
    (pins / "netns" / "pod").symlink_to("/etc/passwd")
    done = pinns("-d", pins, "-f", "pod", "-u", "-n")
    assert (done.returncode, "net namespace" in done.stderr) == (1, True)
    assert not (pins / "utsns" / "pod").exists()
    assert (pins / "netns" / "pod").is_symlink()


@pytest.mark.parametrize("program", ["bin/pinns", "libexec/crio/pause", "libexec/crio/unpack"])
def test_a_program_says_the_version_and_the_commit_of_the_tree(program: str) -> None:
    said = subprocess.run([ROOT / program, "--version"], capture_output=True, text=True, check=True).stdout
    first, commit, end = said.split("\n")
    assert (first, end) == (f"{pathlib.Path(program).name} version {__version__}", "")
    # Commits that came after the last build are not in it.
    assert re.fullmatch(r"commit: ([0-9a-f]{12}|unknown)", commit), commit


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pause_leaves_when_told_and_not_before(number: signal.Signals) -> None:
    """Other signals do not end it, children are collected, and it is a few kilobytes."""
    script = 'sh -c : & exec "$0"'
    with subprocess.Popen(["sh", "-c", script, PAUSE]) as process:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status")
            eventually(lambda: "pause" in status.read_text().splitlines()[0], 5, "the shell became pause")
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGUSR1)
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
            eventually(lambda: children.read_text() == "", 5, "the child was collected")
            assert process.poll() is None
            private = [
                line for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines() if "Private_Dirty" in line
            ]
            assert int(private[0].split()[1]) <= 64
        finally:
            os.kill(process.pid, number)
        assert process.wait(5) == 0
