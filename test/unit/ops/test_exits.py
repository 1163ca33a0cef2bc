"""The small rules of ends: where a status is read from, which signal a name means, what an ended container says."""

from __future__ import annotations

import os
import pathlib
import signal

import pytest

from crio.core.lifecycle import ContainerState
from crio.host import monitor
from crio.ops.exits import LOST_EXIT_CODE, _ended
from crio.ops.stop_container import Stops, signal_number
from test.unit.ops.samples import container


@pytest.fixture
def files(tmp_path: pathlib.Path) -> tuple[str, str]:
    """The two places of an exit status; their directories are there."""
    (tmp_path / "persist").mkdir()
    (tmp_path / "exits").mkdir()
    return monitor.exit_files("abc", str(tmp_path / "persist"), str(tmp_path / "exits"))


def write(path: str, text: str) -> None:
    """Put a text into a file."""
    pathlib.Path(path).write_text(text)


STATUSES = {
    "nothing is written": (None, None, None),
    "both are written": ("3", "3", 3),
    "only the record's is": ("0\n", None, 0),
    "only the watcher's is": (None, "137", 137),
    "the record's is empty, as on a full disk": ("", "7", 7),
    "both are empty": ("", "", None),
    "the record's is garbage": ("x", "1", 1),
    "the status is unknown": ("-1", "-1", -1),
    "the file is far too long": ("1" * 1000, None, None),
}


@pytest.mark.parametrize("case", STATUSES)
def test_the_exit_status_when(files: tuple[str, str], case: str) -> None:
    persist, watched, wanted = STATUSES[case]
    for path, text in zip(files, (persist, watched), strict=True):
        if text is not None:
            write(path, text)
    assert monitor.read_exit_code(files) == wanted


def test_the_time_of_the_end_is_that_of_the_file(files: tuple[str, str]) -> None:
    assert monitor.exit_time_ns(files) == 0
    write(files[1], "0")
    os.utime(files[1], ns=(0, 1_000_000_007))
    assert monitor.exit_time_ns(files) == 1_000_000_007
    write(files[0], "0")
    os.utime(files[0], ns=(0, 2_000_000_009))
    assert monitor.exit_time_ns(files) == 2_000_000_009


ENDS = {
    "well": (0, (0, "Completed", "")),
    "badly": (3, (3, "Error", "")),
    "without a status": (None, (LOST_EXIT_CODE, "Error", "the exit status is lost: the monitor ended before it could write it")),
    "with an unknown one": (-1, (LOST_EXIT_CODE, "Error", "the exit status is lost: the monitor ended before it could write it")),
}


@pytest.mark.parametrize("state", [ContainerState.CREATED, ContainerState.RUNNING, ContainerState.PAUSED])
@pytest.mark.parametrize("case", ENDS)
def test_a_container_that_ended(files: tuple[str, str], case: str, state: ContainerState) -> None:
    code, wanted = ENDS[case]
    ended = _ended(container(state=state), files, code)
    assert ended.state is ContainerState.EXITED
    assert (ended.exit_code, ended.reason, ended.message) == wanted
    assert ended.finished_at_ns > 0


def test_a_container_killed_for_memory_says_so(files: tuple[str, str]) -> None:
    write(os.path.join(os.path.dirname(files[0]), "oom"), "")
    assert _ended(container(), files, 137).reason == "OOMKilled"


SIGNALS = {
    "TERM": signal.SIGTERM,
    "SIGQUIT": signal.SIGQUIT,
    " sigusr1 ": signal.SIGUSR1,
    "9": signal.SIGKILL,
    "37": 37,
    "RTMIN": signal.SIGRTMIN,
    "SIGRTMIN+3": signal.SIGRTMIN + 3,
    "RTMAX-2": signal.SIGRTMAX - 2,
    "": signal.SIGTERM,
    "0": signal.SIGTERM,
    "65": signal.SIGTERM,
    "NONSENSE": signal.SIGTERM,
    "SIG_IGN": signal.SIGTERM,
}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_understood(name: str) -> None:
    assert signal_number(name) == SIGNALS[name]


def test_a_stop_may_be_brought_forward_but_not_put_off() -> None:
    stops = Stops()
    first = stops.begin("a", 10.0)
    assert stops.begin("a", 20.0) is first
    assert first.deadline == 10.0
    assert stops.begin("a", 5.0) is first
    assert first.deadline == 5.0
    assert stops.under_way("a")
    stops.end("a")
    assert not stops.under_way("a")
    assert stops.begin("a", 20.0).deadline == 20.0
