"""The command line: flags in Go's manner, variables, commands, and what is said about mistakes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crio.cli import status
from crio.cli.commands import ROOT, walk_commands
from crio.cli.flags import CommandLine, UsageError, parse_command_line
from crio.core.settings.process import LogFormat, ProcessOptions


def _parse(line: str, environ: dict[str, str] | None = None) -> CommandLine:
    """Parse the words of ``line``; two single quotes stand for an empty word."""
    return parse_command_line(["" if word == "''" else word for word in line.split()], environ or {})


FLAGS: dict[str, tuple[str, dict[str, object]]] = {
    "nothing": ("", {}),
    "a value in the next word": ("--log-dir /x", {"log-dir": "/x"}),
    "a value behind an equals sign": ("--log-dir=/x=y", {"log-dir": "/x=y"}),
    "one dash": ("-log-dir /x", {"log-dir": "/x"}),
    "a short name": ("-l debug", {"log-level": "debug"}),
    "a short name with an equals sign": ("-l=debug", {"log-level": "debug"}),
    "another spelling": ("--tz UTC", {"timezone": "UTC"}),
    "a switch": ("--read-only --log-dir /x", {"read-only": True, "log-dir": "/x"}),
    "a switch turned off": ("--drop-infra-ctr=false", {"drop-infra-ctr": False}),
    "a value that looks like a flag": ("--conmon-cgroup --x", {"conmon-cgroup": "--x"}),
    "an empty value": ("--config ''", {"config": ""}),
    "an empty value behind an equals sign": ("--config-dir=", {"config-dir": ""}),
    "a list with commas": ("--default-env A=1,B=2", {"default-env": ("A=1", "B=2")}),
    "a list that is repeated": ("--default-env A=1 --default-env B=2,C=3", {"default-env": ("A=1", "B=2", "C=3")}),
    "a flag given twice": ("--log-dir /x --log-dir /y", {"log-dir": "/y"}),
    "a number": ("--metrics-port 80", {"metrics-port": 80}),
    "a duration": ("--pull-progress-timeout 10s", {"pull-progress-timeout": timedelta(seconds=10)}),
    "a hidden flag": ("--registries-conf /r --registries-conf-dir ''", {"registries-conf": "/r", "registries-conf-dir": ""}),
    "runtimes": ("--runtimes a:/p:/r --runtimes b:/p:/r", {"runtimes": ("a:/p:/r", "b:/p:/r")}),
    "the harness's line": (
        "--config /c --config-dir '' --registries-conf /r --registries-conf-dir /d",
        {"config": "/c", "config-dir": "", "registries-conf": "/r", "registries-conf-dir": "/d"},
    ),
}


@pytest.mark.parametrize("case", FLAGS)
def test_flags_are_read(case: str) -> None:
    line, flags = FLAGS[case]
    parsed = _parse(line)
    assert parsed.flags == flags
    assert (parsed.command, parsed.arguments, parsed.origins) == ("", (), {})


COMMANDS: dict[str, tuple[str, str, dict[str, object], tuple[str, ...]]] = {
    "check with its defaults": (
        "check",
        "check",
        {"age": "24h", "force": False, "repair": False, "quick": False, "wipe": False, "host": False},
        (),
    ),
    "short flags of a command": (
        "check -r -f -a 1h",
        "check",
        {"age": "1h", "force": True, "repair": True, "quick": False, "wipe": False, "host": False},
        (),
    ),
    "an alias": ("completion fish", "complete", {}, ("fish",)),
    "markdown": ("md", "markdown", {}, ()),
    "config": ("config --default", "config", {"default": True}, ()),
    "a sub-command": ("status info", "status info", {"socket": "/var/run/crio/crio.sock"}, ()),
    "flags on both levels": ("status -s /x s --id abc", "status containers", {"socket": "/x", "id": "abc"}, ()),
    "a flag of the upper command behind the lower one": (
        "status heap --socket /x -f -",
        "status heap",
        {"socket": "/x", "file": "-"},
        (),
    ),
    "status alone": ("status", "status", {"socket": "/var/run/crio/crio.sock"}, ()),
    "a short name that means something else globally": (
        "version -v -j",
        "version",
        {"json": True, "verbose": True},
        (),
    ),
    "the version flag": ("-v", "version", {"json": False, "verbose": False}, ()),
    "help": ("--help", "help", {}, ()),
    "help for a command": ("status info -h", "help", {}, ("status", "info")),
    "the help command": ("h status info", "help", {}, ("status", "info")),
    "help about help": ("help --help", "help", {}, ()),
    "a switch that is turned off": ("--help=false wipe --force=false", "wipe", {"force": False}, ()),
    "words behind a double dash": ("publish -- -x y", "publish", {"topic": "", "namespace": ""}, ("-x", "y")),
    "a dash as an argument": ("publish -", "publish", {"topic": "", "namespace": ""}, ("-",)),
    "what a shim says": (
        "--address /a publish --topic t --namespace n /e",
        "publish",
        {"topic": "t", "namespace": "n"},
        ("/e",),
    ),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_commands_are_read(case: str) -> None:
    line, command, options, arguments = COMMANDS[case]
    parsed = _parse(line)
    assert (parsed.command, dict(parsed.options), parsed.arguments) == (command, options, arguments)


def test_global_flags_may_stand_behind_a_command() -> None:
    assert _parse("config --log-level debug").flags == {"log-level": "debug"}


ERRORS = {
    "an unknown command": ("frobnicate", 'command "frobnicate" not supported'),
    "a slip in a command": ("confg", 'command "confg" not supported (did you mean "config"?)'),
    "an unknown sub-command": ("status frobnicate", 'command "frobnicate" not supported'),
    "an argument too many": ("config x", 'argument "x" not supported by command "config"'),
    "an unknown flag": ("--frobnicate", 'flag "--frobnicate" not supported'),
    "a slip in a flag": ("--log-levle=x", 'flag "--log-levle" not supported (did you mean "--log-level"?)'),
    "an underscore for a dash": ("--log_level x", 'flag "--log_level" not supported (did you mean "--log-level"?)'),
    "a missing value": ("--log-dir", 'flag "--log-dir" needs a value'),
    "a bad switch": ("--read-only=yes", 'flag --read-only: bad value "yes", expected true or false'),
    "a bad number": ("--metrics-port x", 'flag --metrics-port: bad value "x", expected an integer'),
    "a bad choice": (
        "--log-format jsn",
        'flag --log-format: bad value "jsn", expected one of text, json (did you mean "json"?)',
    ),
    "a bad port for profiles": ("--profile-port 70000", 'flag --profile-port: bad value "70000", expected 0 to 65535'),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_mistake_is_explained(case: str) -> None:
    line, sentence = ERRORS[case]
    with pytest.raises(UsageError) as caught:
        _parse(line)
    assert str(caught.value) == sentence


def test_variables_count_like_flags() -> None:
    environ = {
        "CONTAINER_LOG_DIR": "/v",
        "CONTAINER_READ_ONLY": "1",
        "CONTAINER_DEFAULT_ENV": "A=1,B=2",
        "CONTAINER_CONFIG": "",
        "CONTAINER_METRICS_PORT": "",
        "CONTAINER_INCLUDED_POD_METRCIS": "cpu",
        "OTHER": "x",
    }
    parsed = _parse("--log-dir /f", environ)
    assert parsed.flags == {
        "log-dir": "/f",
        "read-only": True,
        "default-env": ("A=1", "B=2"),
        "config": "",
        "included-pod-metrics": ("cpu",),
    }
    assert parsed.origins == {
        "read-only": "CONTAINER_READ_ONLY",
        "default-env": "CONTAINER_DEFAULT_ENV",
        "config": "CONTAINER_CONFIG",
        "included-pod-metrics": "CONTAINER_INCLUDED_POD_METRCIS",
    }
    assert parsed.process.config == ""


def test_the_right_spelling_of_a_variable_wins() -> None:
    environ = {"CONTAINER_INCLUDED_POD_METRICS": "memory", "CONTAINER_INCLUDED_POD_METRCIS": "cpu"}
    assert _parse("", environ).flags["included-pod-metrics"] == ("memory",)


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(UsageError, match='variable CONTAINER_METRICS_PORT: bad value "x", expected an integer'):
        _parse("", {"CONTAINER_METRICS_PORT": "x"})


def test_process_options_are_typed() -> None:
    parsed = _parse("--log-format json --profile --profile-port 1 -c /c -d /d --strict-config")
    assert parsed.process == ProcessOptions(
        log_format=LogFormat.JSON, profile=True, profile_port=1, config="/c", config_dir="/d", strict_config=True
    )


def test_the_command_line_says_where_settings_come_from() -> None:
    environ = {"CRIO_STRICT_CONFIG": "true", "CONTAINER_LOG_DIR": "/v"}
    sources = _parse("-c /c -d /d", environ).config_sources({"CONTAINERS_STORAGE_CONF": "/s"})
    assert (sources.config, sources.config_dir, sources.is_config_required, sources.is_strict) == ("/c", "/d", True, True)
    assert sources.flags["log-dir"] == "/v" and sources.origins["log-dir"] == "CONTAINER_LOG_DIR"
    assert sources.environ == {"CONTAINERS_STORAGE_CONF": "/s"}
    assert not _parse("").config_sources({}).is_config_required
    assert not _parse("--config ''").config_sources({}).is_config_required


def test_names_and_aliases_of_commands_are_unique() -> None:
    for parent in (ROOT, *walk_commands()):
        words = [word for one in parent.commands for word in (one.word, *one.aliases)]
        assert len(words) == len(set(words))
        assert all(one.name == f"{parent.name} {one.word}".strip() for one in parent.commands)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["info", "--help"]], ids=" ".join)
def test_the_status_client_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(words) == 0
    assert capsys.readouterr().out.startswith("crio status ")
