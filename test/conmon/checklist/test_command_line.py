"""Items 1 to 10: the command line."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from collections.abc import Callable

import pytest

from test.conmon.harness import CID, CONMON, LEGACY_EXEC, WAIT_S, Monitor

CONFLICTS = {
    "exec and restore": (*LEGACY_EXEC, "--restore", "dir"),
    "exec-attach without exec": ("--exec-attach", "--api-version"),
    "exec-attach without api-version": (*LEGACY_EXEC, "--exec-attach"),
    "a negative exit delay": ("--exit-delay", "-1"),
    "an unknown log level": ("--log-level", "loud"),
    "a negative number of log files": ("--log-max-files", "-1"),
    "rotation that keeps no file": ("--log-rotate", "--log-max-files", "0"),
}
MALFORMED = {
    "an unknown option": ("--frobnicate",),
    "an abbreviated option": ("--bundl", "x"),
    "a value glued to a letter": ("-cX",),
    "a missing value": ("--name",),
    "a number that is none": ("-T", "abc"),
    "a number that is too big": ("-T", "99999999999"),
    "a number with a suffix": ("--log-size-max", "1k"),
}
LOG_SPECS = {
    "a bare path": ("{log}", "{log}"),
    "k8s-file": ("k8s-file:{log}", "{log}"),
    "a colon and a path": (":{log}", "{log}"),
    "none": ("none", None),
    "off": ("off:anything", None),
    "null": ("null", None),
    "journald": ("journald", None),
    "journald with a colon": ("journald:", None),
    "a path with a colon": ("k8s-file:{log}:b.log", "{log}:b.log"),
}
BAD_LOG_SPECS = ("k8s-file", "k8s-file:", "", ":", "other:x")


def _plain(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CONMON, *words], capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_1_version_is_two_lines_and_strict_semver() -> None:
    done = _plain("--version")
    first, second = done.stdout.splitlines()
    assert done.returncode == 0
    match = re.fullmatch(r"conmon version (\d+)\.(\d+)\.(\d+)", first)
    assert match is not None and tuple(map(int, match.groups())) >= (2, 1, 2)
    assert second.startswith("commit: ")


@pytest.mark.parametrize("word", ["--help", "-h", "--help-all", "-?"])
def test_2_help_names_the_long_options(word: str) -> None:
    done = _plain(word)
    assert done.returncode == 0
    assert "--log-global-size-max" in done.stdout and "--sync" in done.stdout


@pytest.mark.parametrize("words", [("--api-version", "1"), ("--api-version",), ("--api-version=1",)], ids=["1", "alone", "=1"])
def test_3_api_version_with_and_without_a_stray_word(monitor: Monitor, words: tuple[str, ...]) -> None:
    assert monitor.run(*words, FAKE_SCRIPT="exit 0") == 0
    assert monitor.message() == {"data": monitor.container}
    assert monitor.status() == "0"


@pytest.mark.parametrize("case", MALFORMED)
def test_4_a_malformed_command_line_ends_at_once_and_creates_nothing(monitor: Monitor, case: str) -> None:
    assert monitor.run(*MALFORMED[case], pipes=()) == 1
    assert monitor.errors.read_text() != ""
    assert not monitor.log.exists() and not list(monitor.bundle.iterdir())


@pytest.mark.parametrize("words", [("--name=v",), ("--name", "v"), ("--name", "-x"), ("--name", ""), ("--name=",), ("--", "--bad")])
def test_5_values_are_taken_literally(monitor: Monitor, words: tuple[str, ...]) -> None:
    assert monitor.run(*words, FAKE_SCRIPT="exit 0") == 0
    assert monitor.status() == "0"


@pytest.mark.parametrize("option", ["-c", "-u", "-r", "-l"])
def test_6_a_required_option_is_missing(monitor: Monitor, option: str) -> None:
    del monitor.options[option]
    assert monitor.run(pipes=()) == 1


def test_6_exec_needs_a_process_spec(monitor: Monitor) -> None:
    assert monitor.run("-e", pipes=()) == 1


def test_6_legacy_exec_needs_no_cuuid(monitor: Monitor) -> None:
    del monitor.options["-u"], monitor.options["-b"]
    assert monitor.run(*LEGACY_EXEC, FAKE_SCRIPT="exit 4") == 0
    assert monitor.message() == {"exit_code": 4}


@pytest.mark.parametrize("case", CONFLICTS)
def test_7_options_that_exclude_each_other(monitor: Monitor, case: str) -> None:
    assert monitor.run(*CONFLICTS[case], pipes=()) == 1


@pytest.mark.parametrize("value", [b"caf\xc3\xa9", b"caf\xe9\xff"], ids=["UTF-8", "not UTF-8"])
def test_8_values_beyond_ascii_in_the_c_locale(monitor: Monitor, value: bytes) -> None:
    monitor.log = monitor.folder / os.fsdecode(value)
    monitor.options["-l"] = str(monitor.log)
    assert monitor.run("--name", os.fsdecode(value), LC_ALL="C", FAKE_SCRIPT="echo x") == 0
    assert monitor.status() == "0"
    assert monitor.text() == b"x\n"


def test_9_seccomp_options_are_accepted(monitor: Monitor) -> None:
    words = ("--seccomp-notify-socket", str(monitor.folder / "s"), "--seccomp-notify-plugins", "p")
    assert monitor.run(*words, FAKE_SCRIPT="exit 0") == 0
    assert monitor.status() == "0"


@pytest.mark.parametrize("case", LOG_SPECS)
def test_10_log_specs(monitor: Monitor, case: str) -> None:
    spec, path = LOG_SPECS[case]
    monitor.options["-l"] = spec.format(log=monitor.log)
    assert monitor.run(FAKE_SCRIPT="echo x") == 0
    assert monitor.status() == "0"
    written = None if path is None else pathlib.Path(path.format(log=monitor.log))
    assert written is None or written.read_bytes().endswith(b" stdout F x\n")
    assert [entry.name for entry in monitor.folder.iterdir() if entry.suffix == ".log"] == ([written.name] if written else [])


@pytest.mark.parametrize("spec", BAD_LOG_SPECS)
def test_10_log_specs_that_are_wrong(make_monitor: Callable[..., Monitor], spec: str) -> None:
    monitor = make_monitor()
    monitor.options["-l"] = spec
    assert monitor.run(pipes=()) == 1
    assert CID not in monitor.errors.read_text()
