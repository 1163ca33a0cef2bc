"""The two helper programs alone: what they do to the host (nothing), and how they fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crio.core.facts import CgroupMode, HostFacts
from crio.host.process import run


def mount_table() -> bytes:
    return Path("/proc/self/mountinfo").read_bytes()


def read_all(fd: int) -> str:
    with open(fd, "rb") as file:
        return file.read().decode()


HYBRID_BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "no option": (("state", "x"), "usage"),
    "half an option": (("--hybrid=/sys/fs/cgroup",), "usage"),
    "a relative runtime": (("--hybrid=/sys/fs/cgroup:crun",), "usage"),
    "a mount that is none": (("--hybrid=/no/such/mount:/bin/true",), "cannot make private /no/such/mount"),
    "a path that is too long": (("--hybrid=/" + "x" * 5000 + ":/bin/true",), "name too long"),
}


@pytest.mark.parametrize("sentence", HYBRID_BAD)
async def test_the_wrapper_says_what_is_wrong(sentence: str, helpers: Path) -> None:
    words, expected = HYBRID_BAD[sentence]
    completed = await run([str(helpers / "runtime-hybrid"), *words])
    assert completed.returncode == 125 and expected in completed.text()


async def test_the_wrapper_hides_controllers_from_its_program_only(helpers: Path, host: HostFacts) -> None:
    if host.cgroups.mode is CgroupMode.V1:
        return
    mount = host.cgroups.v2_mount
    before = mount_table()
    wrapper = str(helpers / "runtime-hybrid")
    option = f"--hybrid={mount}:/bin/cat"
    for argv in ([wrapper, option, f"{mount}/cgroup.controllers"], [wrapper, f"{mount}/cgroup.controllers", option]):
        completed = await run(argv)
        assert (completed.returncode, completed.stdout) == (0, b""), completed.text()
    assert mount_table() == before
    missing = await run([wrapper, f"--hybrid={mount}:/no/such/runtime"])
    assert missing.returncode == 125 and "cannot execute /no/such/runtime" in missing.text()


async def test_the_waiter_tells_the_runtime_from_the_process(helpers: Path, tmp_path: Path) -> None:
    async def report(script: str) -> str:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        argv = [str(helpers / "exec-wait"), str(write_fd), str(tmp_path / "pid"), "/bin/sh", "-c", script]
        await run(argv, pass_fds=(write_fd,))
        os.close(write_fd)
        return read_all(read_fd)

    pid = tmp_path / "pid"
    assert await report(f"(exit 3) & echo $! > {pid}") == "exit 3\n"
    assert await report(f"sh -c 'kill -9 $$' & echo $! > {pid}") == "exit 137\n"
    assert await report("exit 4") == "runtime 4\n"
    assert await report("kill -9 $$") == "runtime 137\n"
    assert await report(f"rm {pid}") == "runtime 125\n"
    assert await report(f"echo nonsense > {pid}") == "runtime 125\n"
    assert await report(f"echo 1 > {pid}") == "runtime 125\n"


async def test_the_waiter_says_how_it_is_called(helpers: Path) -> None:
    completed = await run([str(helpers / "exec-wait"), "x", "y", "z"])
    assert completed.returncode == 125 and "usage" in completed.text()
