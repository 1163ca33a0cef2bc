"""What every ring shares: the command line, the isolation of a run, the leak check, the tools."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator

import pytest

from test.support import gotools, isolation, leaks
from test.support.registry import RunningRegistry, running

HERE = pathlib.Path(__file__).resolve().parent
PRIVILEGED_RINGS = (HERE / "conmon", HERE / "integration")
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


def pytest_sessionfinish() -> None:
    """The folder of the run goes, unless something is still mounted below it."""
    if RUN_FOLDER.exists() and not any(str(RUN_FOLDER) in words for words in leaks.mounts().values()):
        with contextlib.suppress(OSError):
            shutil.rmtree(RUN_FOLDER)


@pytest.fixture(scope="session")
def leak_scope(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> leaks.Scope:
    """Whose traces the leak check counts."""
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
def crictl_path() -> pathlib.Path:
    """The real crictl, built from its pinned module when the cache has none."""
    with isolation.host_network():
        return gotools.build(gotools.CRICTL)


@pytest.fixture(scope="session")
def critest_path() -> pathlib.Path:
    """The real critest."""
    with isolation.host_network():
        return gotools.build(gotools.CRITEST)


@pytest.fixture(scope="session")
def cri_api_proto() -> pathlib.Path:
    """The CRI contract as Kubernetes publishes it."""
    if os.geteuid() != 0:
        return gotools.cri_api_proto()
    with isolation.host_network():
        return gotools.cri_api_proto()
