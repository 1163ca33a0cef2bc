"""What the unpacker has given up before it looks at the first byte: seen from outside, while it waits for its blob."""

from __future__ import annotations

import os
import pathlib
import subprocess

from test.support.waiting import eventually

from .support import PROGRAM

CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP, SYS_ADMIN = 0, 1, 3, 4, 27, 31, 21
KEPT = sum(1 << number for number in (CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP, SYS_ADMIN))


def status(task: pathlib.Path) -> dict[str, str]:
    """The fields of a task's status file."""
    lines = (task / "status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_both_threads_are_confined_before_the_first_byte(tmp_path: pathlib.Path) -> None:
    """A chroot, no inherited descriptor, no new privileges, a system call filter, few capabilities and low limits."""
    tree = tmp_path / "diff"
    tree.mkdir()
    leaked, leaked_end = os.pipe()
    command: list[str | pathlib.Path] = [PROGRAM, "--root", tree, "--tar-split", tmp_path / "split", "--max-seconds", "60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(leaked,)) as process:
        try:
            folder = pathlib.Path(f"/proc/{process.pid}")
            main = folder / "task" / str(process.pid)

            def tasks() -> list[pathlib.Path]:
                return sorted(folder.joinpath("task").iterdir(), key=lambda task: int(task.name))

            eventually(
                lambda: len(tasks()) == 2 and all(status(task)["Seccomp"] == "2" for task in tasks()), 10, "both threads are confined"
            )
            assert all(status(task)["NoNewPrivs"] == "1" for task in tasks())
            assert int(status(main)["CapEff"], 16) == KEPT == int(status(main)["CapPrm"], 16)
            assert int(status(main)["CapInh"], 16) == 0 == int(status(main)["CapAmb"], 16)
            assert int(status(tasks()[1])["CapPrm"], 16) == 0
            assert os.readlink(folder / "root") == os.readlink(folder / "cwd") == str(tree)
            targets = {os.readlink(entry) for entry in (folder / "fd").iterdir() if int(entry.name) > 2}
            assert targets == {str(tmp_path / "split"), str(tree)}
            limits = (folder / "limits").read_text()
            assert "Max open files            64" in limits and "Max cpu time              65" in limits
        finally:
            os.close(leaked)
            os.close(leaked_end)
            assert process.stdin and process.stdout
            process.stdin.close()
        assert b'"diff_size":0' in process.stdout.read()
        assert process.wait(10) == 0
