"""What the tests of the C programs share: monitors that are taken away again, a fast runtime, and the fairness rule.

Fairness: with CONMON_UNDER_TEST=/usr/bin/conmon the very same tests run against Debian's monitor. What it is known not to
do is in ``upstream.KNOWN``; such a test must fail there, and every other one must pass.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Callable, Generator, Iterator

import pytest

from crio.host.process import default_signals
from test.conmon import upstream
from test.conmon.harness import IS_UPSTREAM, Monitor

HERE = pathlib.Path(__file__).resolve().parent
MakeMonitor = Callable[..., Monitor]


@pytest.fixture(scope="session", autouse=True)
def signals_as_at_a_login() -> None:
    """Whoever started the tests may ignore signals; a monitor that hands that on is not to blame for it."""
    default_signals()


@pytest.fixture
def make_monitor(tmp_path: pathlib.Path) -> Iterator[Callable[..., Monitor]]:
    """Makes monitors; each gets a folder of its own."""
    made: list[Monitor] = []

    def make(**words: str) -> Monitor:
        made.append(Monitor(tmp_path / f"m{len(made)}", **words))
        return made[-1]

    yield make
    for monitor in made:
        monitor.stop()


@pytest.fixture
def monitor(make_monitor: Callable[..., Monitor]) -> Monitor:
    """A monitor that is not started yet."""
    return make_monitor()


@pytest.fixture(scope="session")
def fast_runtime(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The scripted runtime in C."""
    program = tmp_path_factory.mktemp("fast") / "fast-runtime"
    subprocess.run(["gcc", "-O2", "-static", "-o", program, HERE / "fast_runtime.c"], check=True, timeout=60)
    return str(program)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What upstream has no use for is left out when it is under test; on request also what it is known to fail, and what it may."""
    if not IS_UPSTREAM:
        return
    without_known = "CONMON_WITHOUT_KNOWN" in os.environ
    items[:] = [
        item
        for item in items
        if not (set(item.path.parts) & set(upstream.OURS))
        and item.name not in upstream.UNSURE
        and not (without_known and upstream.known(item.name) is not None)
    ]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Turns the outcome of a test around that upstream is known to fail."""
    reason = upstream.known(pyfuncitem.name) if IS_UPSTREAM else None
    if reason is None:
        return (yield)
    try:
        yield
    except Exception:
        return True
    raise AssertionError(f"upstream passes, though it is said not to: {reason}")
