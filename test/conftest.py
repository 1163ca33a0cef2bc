"""What every ring shares: the command line, the isolation of a run, the leak check, the tools."""

from __future__ import annotations

import gc
import os
import pathlib
import subprocess
import tempfile
import uuid
from collections.abc import Generator, Iterator

import pytest

from crio.cri import api_pb2 as pb
from test.support import daemon as daemons
from test.support import gotools, isolation, leaks
from test.support.cri import Cri
from test.support.registry import RunningRegistry, running

HERE = pathlib.Path(__file__).resolve().parent
PRIVILEGED_RINGS = (HERE / "conmon", HERE / "integration", HERE / "e2e")
RUN_ID = uuid.uuid4().hex[:8]
RUN_FOLDER = pathlib.Path("/tmp", f"{leaks.CGROUP_PREFIX}{RUN_ID}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite."""
    group = parser.getgroup("crio")
    group.addoption("--cri-endpoint", metavar="SOCKET", help="run the CRI ring against this runtime instead of our own")
    group.addoption("--shared-host", action="store_true", help="others make cgroups at the same time: ignore theirs")
    group.addoption("--host-network", action="store_true", help="stay in the namespaces of the host")


def _is_privileged(item: pytest.Item) -> bool:
    return any(item.path.is_relative_to(ring) for ring in PRIVILEGED_RINGS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test: namespaces of our own for a run that has privileged tests, and one folder for all files."""
    if session.config.option.collectonly or not any(map(_is_privileged, session.items)):
        return
    stay = session.config.getoption("--cri-endpoint") or session.config.getoption("--host-network")
    if not stay and os.geteuid() == 0:
        isolation.enter()
    RUN_FOLDER.mkdir(mode=0o711)
    tempfile.tempdir = str(RUN_FOLDER)
    os.environ["TMPDIR"] = str(RUN_FOLDER)
    os.environ[leaks.MARK] = RUN_ID
    # A shell without login has none of these, and the tools of the network are there.
    os.environ["PATH"] += ":/usr/sbin:/sbin"


def pytest_sessionfinish() -> None:
    """The folder of the run goes, unless something is still mounted below it."""
    if RUN_FOLDER.exists() and not any(str(RUN_FOLDER) in words for words in leaks.mounts().values()):
        # Not shutil.rmtree: it recurses, and tests of deep layers leave trees deeper than Python's stack.
        subprocess.run(["rm", "-rf", "--one-file-system", str(RUN_FOLDER)], check=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The report of a failed test has the end of the log of every daemon that runs."""
    report = yield
    if report.failed:
        report.sections += [(f"log of the daemon at {one.socket}", one.log()) for one in daemons.ACTIVE]
    return report


@pytest.fixture(scope="session")
def leak_scope(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> leaks.Scope:
    """Whose traces the leak check counts."""
    # The check collects garbage after every test: not again and again what the tests before the first one keep (0.7 s each time).
    gc.collect()
    gc.freeze()
    folders = (str(RUN_FOLDER), str(tmp_path_factory.getbasetemp()))
    return leaks.Scope(RUN_ID, folders, bool(request.config.getoption("--shared-host")))


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a privileged test that leaves something on the host; needs nothing and costs nothing in the other rings."""
    if not _is_privileged(request.node):
        yield
        return
    scope: leaks.Scope = request.getfixturevalue("leak_scope")
    with leaks.checked(scope):
        yield


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A real registry with every image of the kit."""
    with running(tmp_path_factory.mktemp("kit-registry")) as started:
        started.push()
        yield started


@pytest.fixture(scope="session")
def daemon(registry: RunningRegistry) -> Iterator[daemons.Daemon]:
    """One daemon for all tests that neither stop nor configure it, with the kit's registry as a mirror."""
    with daemons.running(daemons.Options(registries_conf=registry.registries_conf())) as started:
        yield started


@pytest.fixture
def own_daemon(registry: RunningRegistry) -> Iterator[daemons.Daemon]:
    """A daemon for one test alone, to be stopped, killed and started again."""
    with daemons.running(daemons.Options(registries_conf=registry.registries_conf())) as started:
        yield started


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest) -> str:
    """The CRI socket under test: of the runtime on the command line, else of our daemon."""
    given = request.config.getoption("--cri-endpoint")
    return str(given) if given else str(request.getfixturevalue("daemon").socket)


@pytest.fixture(scope="session")
def cri(endpoint: str) -> Iterator[Cri]:
    """A client of the endpoint under test."""
    with Cri(endpoint) as client:
        client.runtime.Version(pb.VersionRequest())
        yield client


@pytest.fixture(scope="session")
def crictl_path() -> pathlib.Path:
    """The real crictl, built from its pinned module when the cache has none."""
    with isolation.first_network():
        return gotools.build(gotools.CRICTL)


@pytest.fixture(scope="session")
def critest_path() -> pathlib.Path:
    """The real critest."""
    with isolation.first_network():
        return gotools.build(gotools.CRITEST)


@pytest.fixture(scope="session")
def cri_api_proto() -> pathlib.Path:
    """The CRI contract as Kubernetes publishes it."""
    with isolation.first_network():
        return gotools.cri_api_proto()
