"""The validation suite of Kubernetes, critest, on our daemon: every specification of what the daemon serves so far.

Each run gets a daemon of its own in the network of the test run, and the images of the offline kit. What is left out is
named below, each with its reason; a specification that leaves itself out (the host has no AppArmor, for instance) is
counted as such by the suite.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from crio.core.oci.cgroups import DEFAULT_PARENT
from test.support import daemon as daemons
from test.support import leaks
from test.support.registry import RunningRegistry

TIMEOUT_S = 540
RUNTIMES = ("runc", "crun")
LEFT_OUT = {
    "public image with digest should be pulled and removed": "the digest names an image of the original's makers, which no kit can make",
    "Streaming runtime should support streaming interfaces": "Exec, Attach and PortForward are not served yet",
    "runtime should support listing (container )?stats": "ContainerStats and ListContainerStats are not served yet",
}
# How many passed when this was written; a suite that runs much less found out nothing.
FEWEST_PASSED = 85


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one specification."""

    name: str
    status: str
    words: str


def outcomes(report: pathlib.Path) -> list[Outcome]:
    """The specifications of a JUnit report, without the suite's own steps."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("name", "")
        if name.startswith("[It]"):
            failure = next((part for part in case if part.tag in ("failure", "error")), None)
            words = "" if failure is None else f"{failure.get('message', '')}\n{failure.text or ''}"
            found.append(Outcome(name.removeprefix("[It] "), case.get("status", ""), words))
    return found


def command(program: pathlib.Path, socket: str, report: pathlib.Path) -> Sequence[str]:
    """The suite's command line."""
    endpoint = f"unix://{socket}"
    words = [str(program), "-runtime-endpoint", endpoint, "-image-endpoint", endpoint, "-config", "/dev/null"]
    return [*words, "-ginkgo.no-color", "-ginkgo.junit-report", str(report), "-ginkgo.skip", "|".join(LEFT_OUT)]


@pytest.fixture
def default_parent() -> Iterator[None]:
    """The suite's pods name no cgroup parent; the daemon keeps the one that they get then, as the original does. Here it goes."""
    yield
    for hierarchy in (leaks.CGROUPS, *leaks.CGROUPS.iterdir()):
        with contextlib.suppress(OSError):
            (hierarchy / DEFAULT_PARENT.strip("/")).rmdir()


@pytest.mark.usefixtures("default_parent")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_validation_suite_passes(runtime: str, registry: RunningRegistry, critest_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    report, log = tmp_path / "junit.xml", tmp_path / "log"
    options = daemons.Options(runtime=runtime, registries_conf=registry.registries_conf())
    with daemons.running(options) as daemon, log.open("wb") as out:
        words = command(critest_path, daemon.socket, report)
        done = subprocess.run(words, cwd=tmp_path, stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
    found = outcomes(report)
    failed = [f"{one.name} ({one.status})\n{one.words}" for one in found if one.status not in ("passed", "skipped")]
    assert not failed, f"{len(failed)} of {len(found)} failed:\n\n" + "\n\n".join(failed)
    assert done.returncode == 0, log.read_text(errors="replace")[-4000:]
    passed = [one.name for one in found if one.status == "passed"]
    assert len(passed) >= FEWEST_PASSED, f"only {len(passed)} of {len(found)} ran"


def test_what_is_left_out_exists(critest_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    report = tmp_path / "junit.xml"
    words = [str(critest_path), "-ginkgo.dry-run", "-ginkgo.no-color", "-config", "/dev/null", "-ginkgo.junit-report", str(report)]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    names = [one.name for one in outcomes(report)]
    unknown = [pattern for pattern in LEFT_OUT if not any(re.search(pattern, name) for name in names)]
    assert not unknown
