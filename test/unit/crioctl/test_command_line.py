"""The command line: what becomes of it, and how it ends when it is wrong."""

from __future__ import annotations

import pathlib

import pytest

from crio.cli import crioctl
from crio.cli.ctl import containers, images, pods
from crio.cli.ctl.client import Client, socket_path
from crio.cli.ctl.errors import EXIT_TIMED_OUT, EXIT_UNREACHABLE, EXIT_USAGE, BadInput, CtlError
from crio.cli.ctl.options import Options, label_selector
from crio.cli.ctl.parser import make_parser
from crio.cri import api_pb2 as pb

ENDPOINTS = {"/run/a.sock": "/run/a.sock", "unix:///run/a.sock": "/run/a.sock", "unix:/run/a.sock": "/run/a.sock", "a.sock": "a.sock"}
BAD_ENDPOINTS = {
    "tcp://127.0.0.1:1": "expected a path",
    "": "expected the path of a socket",
    "unix://": "expected the path of a socket",
    "/" + "a" * 120: "107",
}
WRONG = {
    "no command": [],
    "a topic without a verb": ["pod"],
    "a verb that does not exist": ["pod", "walk"],
    "a pod without a configuration": ["pod", "run"],
    "a container without a pod": ["ctr", "create", "--config", "x"],
    "a negative time": ["ctr", "stop", "--id", "x", "--timeout", "-1"],
    "an abbreviated option": ["pod", "run", "--conf", "x"],
}


class FakeClient(Client):
    """Takes the requests and gives prepared answers."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.requests: list[tuple[str, object, float | None]] = []
        self.timeout_s = 120.0

    def call(self, method, request, answer, timeout_s=None):  # type: ignore[no-untyped-def]
        """Note the request."""
        self.requests.append((method, request, timeout_s))
        return self.answers.get(method, answer())


def parse(*words: str) -> Options:
    """The options of a command line."""
    return Options(make_parser({}).parse_args(words))


@pytest.mark.parametrize("given", ENDPOINTS)
def test_an_endpoint_is_a_path(given: str) -> None:
    assert socket_path(given) == ENDPOINTS[given]


@pytest.mark.parametrize("given", BAD_ENDPOINTS)
def test_a_bad_endpoint_is_refused_with_a_reason(given: str) -> None:
    with pytest.raises(BadInput, match=BAD_ENDPOINTS[given]):
        socket_path(given)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_command_line_ends_with_code_2(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        crioctl.main(WRONG[what])
    assert ended.value.code == EXIT_USAGE
    assert "usage: crioctl" in capsys.readouterr().err


def test_nobody_on_the_socket_is_told_with_the_kernels_reason(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crioctl.main(["--connect", f"{tmp_path}/none.sock", "runtimeversion"]) == EXIT_UNREACHABLE
    assert capsys.readouterr().err == f"crioctl: no runtime answers on {tmp_path}/none.sock: No such file or directory\n"


def test_the_environment_names_the_socket_and_the_option_wins() -> None:
    assert make_parser({"CRIO_CONNECT": "/run/env.sock"}).parse_args(["info"]).connect == "/run/env.sock"
    assert make_parser({"CRIO_CONNECT": "/run/env.sock"}).parse_args(["--connect", "/x", "info"]).connect == "/x"
    assert make_parser({}).parse_args(["info"]).connect == "/var/run/crio/crio.sock"


def test_the_command_of_an_exec_keeps_its_options(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    client = FakeClient(ExecSync=pb.ExecSyncResponse(stdout=b"out\xff", stderr=b"err", exit_code=7))
    options = parse("ctr", "execsync", "--id", "abc", "--timeout", "300", "--", "ls", "-l", "--", "x")
    assert containers.execsync(client, options) == 7
    assert client.requests == [("ExecSync", pb.ExecSyncRequest(container_id="abc", cmd=["ls", "-l", "--", "x"], timeout=300), 310.0)]
    captured = capsysbinary.readouterr()
    assert (captured.out, captured.err) == (b"out\xff", b"err")


def test_an_exec_without_a_command_is_refused() -> None:
    with pytest.raises(BadInput, match="expected a command"):
        containers.execsync(FakeClient(), parse("ctr", "execsync", "--id", "abc", "--"))


def test_an_exec_that_overstays_has_the_code_of_timeouts() -> None:
    client = FakeClient(ExecSync=pb.ExecSyncResponse(exit_code=-1))
    assert containers.execsync(client, parse("ctr", "execsync", "--id", "abc", "true")) == EXIT_TIMED_OUT


def test_a_stop_waits_longer_than_its_grace_period() -> None:
    client = FakeClient()
    containers.stop(client, parse("ctr", "stop", "abc", "--timeout", "600"))
    assert client.requests == [("StopContainer", pb.StopContainerRequest(container_id="abc", timeout=600), 630.0)]


def test_filters_become_the_contracts_filters() -> None:
    wanted = containers.list_filter(parse("ctr", "list", "--state", "exited", "--pod", "p", "--label", "a=b", "--label", "c=d=e"))
    assert wanted.state.state == pb.CONTAINER_EXITED
    assert wanted.pod_sandbox_id == "p"
    assert dict(wanted.label_selector) == {"a": "b", "c": "d=e"}
    assert not containers.list_filter(parse("ctr", "list")).HasField("state")
    assert pods.list_filter(parse("pod", "list", "--state", "notready")).state.state == pb.SANDBOX_NOTREADY


BAD_FILTERS = {
    "an unknown state": (["pod", "list", "--state", "tired"], "expected one of ready, notready"),
    "a label without a value": (["pod", "list", "--label", "a"], "expected key=value"),
    "a label without a key": (["pod", "list", "--label", "=a"], "expected key=value"),
}


@pytest.mark.parametrize("what", BAD_FILTERS)
def test_a_bad_filter_says_what_was_expected(what: str) -> None:
    words, reason = BAD_FILTERS[what]
    with pytest.raises(BadInput, match=reason):
        pods.list_filter(parse(*words))


def test_an_id_can_stand_alone_or_behind_its_option() -> None:
    assert parse("pod", "stop", "abc").object_id("pod") == parse("pod", "stop", "--id", "abc").object_id("pod") == "abc"
    with pytest.raises(BadInput, match="the id of a pod"):
        parse("pod", "stop").object_id("pod")


def test_an_image_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CtlError, match="'web:1' is not in the store"):
        images.status(FakeClient(), parse("image", "status", "web:1"))


def test_no_labels_select_everything() -> None:
    assert label_selector(parse("pod", "list")) == {}
