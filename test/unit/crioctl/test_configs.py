"""JSON files of pods and containers: both spellings, text for environment variables, errors that name the member."""

from __future__ import annotations

import json
import pathlib

import pytest

from crio.cli.ctl.configs import container_config, fill, parse_container, sandbox_config
from crio.cli.ctl.errors import BadInput
from crio.cri import api_pb2 as pb

TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "testdata"


def test_both_spellings_mean_the_same() -> None:
    snake = {"log_directory": "/x", "dns_config": {"servers": ["192.0.2.1"]}, "port_mappings": [{"host_port": 8080, "container_port": 80}]}
    camel = {"logDirectory": "/x", "dnsConfig": {"servers": ["192.0.2.1"]}, "portMappings": [{"hostPort": 8080, "containerPort": 80}]}
    assert fill(dict(snake), pb.PodSandboxConfig(), "a") == fill(dict(camel), pb.PodSandboxConfig(), "b")


ENUMS = {"by name": "NODE", "by number": 2}


@pytest.mark.parametrize("how", ENUMS)
def test_an_enum_is_a_name_or_a_number(how: str) -> None:
    document: dict[str, object] = {"linux": {"security_context": {"namespace_options": {"network": ENUMS[how]}}}}
    config = fill(document, pb.PodSandboxConfig(), "x")
    assert config.linux.security_context.namespace_options.network == pb.NODE


def test_the_value_of_an_environment_variable_is_text() -> None:
    config = parse_container({"envs": [{"key": "A", "value": "größer = besser"}, {"key": "B"}]}, "x")
    assert [(item.key, item.value.decode()) for item in config.envs] == [("A", "größer = besser"), ("B", "")]


WRONG: dict[str, tuple[object, str]] = {
    "a member that does not exist": ({"metadatas": {}}, "metadatas"),
    "a number where a text belongs": ({"metadata": {"name": 7}}, "name"),
    "an enum that does not exist": ({"stop_signal": "SIGNAL_SIGNOTHING"}, "stop_signal|stopSignal|SIGNAL_SIGNOTHING"),
    "envs that are no list": ({"envs": {"A": "b"}}, "envs"),
    "an environment variable without a key": ({"envs": [{"value": "b"}]}, r"envs\[0\]"),
    "an environment variable with a number": ({"envs": [{"key": "A", "value": 1}]}, r"envs\[0\]"),
    "a list instead of an object": ([], "expected a JSON object"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_error_names_the_file_and_the_member(what: str, tmp_path: pathlib.Path) -> None:
    document, words = WRONG[what]
    path = tmp_path / "container.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadInput, match=words) as caught:
        container_config(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_json_is_told_with_its_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pod.json"
    path.write_text('{\n "metadata": ,\n}')
    with pytest.raises(BadInput, match="line 2, column"):
        sandbox_config(str(path))


def test_a_missing_file_is_told_by_name() -> None:
    with pytest.raises(BadInput, match=r"--config /nowhere/pod\.json: No such file"):
        sandbox_config("/nowhere/pod.json")


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("*.json")), ids=lambda path: path.name)
def test_every_example_is_understood(path: pathlib.Path) -> None:
    if path.name.startswith("sandbox"):
        assert sandbox_config(str(path)).metadata.name
    else:
        assert container_config(str(path)).image.image
