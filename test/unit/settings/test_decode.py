"""A TOML document becomes assignments and findings; keys have lines; settings are put together from assignments."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crio.core.settings.convert import RefusedValueError, describe, from_text, from_toml
from crio.core.settings.decode import assemble, decode
from crio.core.settings.findings import Finding, Severity, edit_distance, nearest_name
from crio.core.settings.handler import DEFAULT_RUNTIME, RuntimeType
from crio.core.settings.image import ImageSettings, ShortNameMode
from crio.core.settings.metrics import MetricsSettings
from crio.core.settings.runtime import LogLevel, RuntimeSettings
from crio.core.settings.runtime_flag import parse_runtime
from crio.core.settings.schema import Setting, schema_of
from crio.core.settings.toml_lines import line_of, lines_of
from crio.core.settings.values import RuntimeHandler, Settings, Workload, WorkloadResources


def _settings(text: str) -> Settings:
    decoded = decode(tomllib.loads(text))
    assert decoded.findings == []
    return assemble({one.path: one.value for one in decoded.assignments})


def _setting(key: str) -> Setting:
    for table in (RuntimeSettings, ImageSettings, MetricsSettings, RuntimeHandler):
        if found := schema_of(table, ("crio",)).setting(key):
            return found
    raise AssertionError(key)


def test_an_empty_document_is_the_built_in_configuration() -> None:
    assert _settings("") == Settings()
    assert list(Settings().runtime.runtimes) == [DEFAULT_RUNTIME]


def test_values_of_every_kind_reach_their_attributes() -> None:
    settings = _settings(
        """
        [crio]
        log_dir = "/logs"
        [crio.runtime]
        read_only = true
        pids_limit = 7
        log_level = "Warning"
        default_env = ["A=1", "B=2"]
        [crio.image]
        pull_progress_timeout = "1m"
        short_name_mode = ""
        [crio.network]
        cni_status_grace_period = 2000000000
        [crio.nri.default_validator]
        nri_validator_required_plugins = ["a"]
        [crio.runtime.runtimes.kata]
        runtime_type = "vm"
        platform_runtime_paths = { "linux/arm64" = "/x" }
        [crio.runtime.workloads.w]
        activation_annotation = "a"
        resources = { cpushares = 5, cpuset = "0-1" }
        """
    )
    assert settings.root.log_dir == "/logs"
    assert settings.runtime.read_only is True and settings.runtime.pids_limit == 7
    assert settings.runtime.log_level is LogLevel.WARN
    assert settings.runtime.default_env == ("A=1", "B=2")
    assert settings.image.pull_progress_timeout == timedelta(minutes=1)
    assert settings.image.short_name_mode is ShortNameMode.ENFORCING
    assert settings.network.cni_status_grace_period == timedelta(seconds=2)
    assert settings.nri.default_validator.nri_validator_required_plugins == ("a",)
    assert settings.runtime.runtimes["kata"] == RuntimeHandler(runtime_type=RuntimeType.VM, platform_runtime_paths={"linux/arm64": "/x"})
    assert list(settings.runtime.runtimes) == [DEFAULT_RUNTIME, "kata"]
    assert settings.runtime.workloads == {"w": Workload(activation_annotation="a", resources=WorkloadResources(cpushares=5, cpuset="0-1"))}


FINDINGS = {
    "a slip in a key": ('[crio.api]\nlistne = "/x"', 'crio.api.listne: unknown key (did you mean "listen"?)'),
    "a slip in a table": ("[crio.iamge]", 'crio.iamge: unknown key (did you mean "image"?)'),
    "a slip in the root": ("[cri]", 'cri: unknown key (did you mean "crio"?)'),
    "a dash for an underscore": ("crio.log-dir = '/x'", 'crio.log-dir: unknown key (did you mean "log_dir"?)'),
    "a key of another table": ("[crio.runtime]\nroot = '/x'", 'crio.runtime.root: unknown key (did you mean "[crio] root"?)'),
    "a key of another table with a table's name": (
        "[crio.runtime]\nmetrics = 1",
        'crio.runtime.metrics: unknown key (did you mean "[crio.metrics]"?)',
    ),
    "a key like nothing": ("crio.zzzzzzzz = 1", "crio.zzzzzzzz: unknown key"),
    "a key in a handler": (
        "[crio.runtime.runtimes.a]\nruntime_paht = '/x'",
        'crio.runtime.runtimes.a.runtime_paht: unknown key (did you mean "runtime_path"?)',
    ),
    "a number for a text": ("crio.root = 1", 'crio.root: bad value "1", expected a string in quotes'),
    "a text for a number": (
        "crio.metrics.metrics_port = '9'",
        'crio.metrics.metrics_port: bad value "9", expected an integer without quotes',
    ),
    "a switch for a number": (
        "crio.metrics.metrics_port = true",
        'crio.metrics.metrics_port: bad value "true", expected an integer without quotes',
    ),
    "a text for a switch": (
        "crio.nri.enable_nri = 'yes'",
        'crio.nri.enable_nri: bad value "yes", expected true or false without quotes',
    ),
    "a text for a list": (
        "crio.network.plugin_dirs = '/x'",
        'crio.network.plugin_dirs: bad value "/x", expected a list of strings in quotes',
    ),
    "a list with a number": (
        "crio.network.plugin_dirs = ['/x', 3]",
        'crio.network.plugin_dirs: bad value "/x,3", expected a list of strings in quotes',
    ),
    "a table with a number": (
        "crio.runtime.runtimes.a.default_annotations = { x = 1 }",
        'crio.runtime.runtimes.a.default_annotations: bad value "x=1", expected a table of strings in quotes',
    ),
    "a text for a duration": (
        "crio.image.pull_progress_timeout = 'soon'",
        'crio.image.pull_progress_timeout: bad value "soon", expected a duration such as 30s or 1h30m',
    ),
    "a list for a duration": (
        "crio.image.pull_progress_timeout = []",
        'crio.image.pull_progress_timeout: bad value "", expected a duration such as "30s"',
    ),
    "a word that is no choice": (
        "crio.runtime.cgroup_manager = 'system'",
        'crio.runtime.cgroup_manager: bad value "system", expected one of systemd, cgroupfs (did you mean "systemd"?)',
    ),
    "an unknown log level": (
        "crio.runtime.log_level = 'loud'",
        'crio.runtime.log_level: bad value "loud", expected one of panic, fatal, error, warn, info, debug, trace',
    ),
    "a number beyond 64 bits": (
        "crio.runtime.pids_limit = 9223372036854775808",
        'crio.runtime.pids_limit: bad value "9223372036854775808", expected an integer of 64 bits',
    ),
    "a value for the whole": ("crio = 1", 'crio: bad value "1", expected the table [crio]'),
    "a value for a table": ("crio.api = 1", 'crio.api: bad value "1", expected the table [crio.api]'),
    "a value for a sub-table": (
        "crio.nri.default_validator = 1",
        'crio.nri.default_validator: bad value "1", expected the table [crio.nri.default_validator]',
    ),
    "a value for the handlers": (
        "crio.runtime.runtimes = 'crun'",
        'crio.runtime.runtimes: bad value "crun", expected the table [crio.runtime.runtimes]',
    ),
    "a value for a handler": (
        "crio.runtime.runtimes.crun = '/bin/crun'",
        'crio.runtime.runtimes.crun: bad value "/bin/crun", expected the table [crio.runtime.runtimes.crun]',
    ),
    "an unknown choice in a workload's table": (
        "crio.runtime.workloads.a.resources = 3",
        'crio.runtime.workloads.a.resources: bad value "3", expected the table [crio.runtime.workloads.a.resources]',
    ),
}


@pytest.mark.parametrize("case", FINDINGS)
def test_a_mistake_is_found(case: str) -> None:
    text, sentence = FINDINGS[case]
    [finding] = decode(tomllib.loads(text)).findings
    assert str(finding) == sentence
    assert finding.severity is (Severity.WARNING if "unknown key" in sentence else Severity.ERROR)


def test_the_rest_of_a_wrong_document_still_counts() -> None:
    decoded = decode(tomllib.loads("[crio]\nroot = 1\nrunroot = '/run/x'\nrunrot = ''"))
    assert len(decoded.findings) == 2
    assert [(one.path, one.value) for one in decoded.assignments] == [(("crio", "runroot"), "/run/x")]


def test_a_bad_table_in_a_named_entry_keeps_the_entry() -> None:
    decoded = decode(tomllib.loads("[crio.runtime.runtimes.x]\nruntime_path = '/x'\nmonitor_env = 3"))
    assert [one.value for one in decoded.assignments] == [RuntimeHandler(runtime_path="/x")]


LINES = '''# a comment with [a.table] in it
[crio]
log_dir = "/x" # trailing [x]

[ crio . "api" ]
  listen   = "/a=b#c"
[crio.runtime]
default_ulimits = [ # one [
  "nofile=1:2", "[", # two ]
  """
x = 1]""",
  \'\'\'
y = 2\'\'\', \'#\',
]
timezone = ""
'quoted key' = 1
a."b.c".d = { x = [1, 2], "}" = "]" }
text = """
[crio.image]
 \\""" still """
last = "\\"" # no newline at the end
[[crio.many]]
key = 1
[[crio.many]]
key = 2'''


def test_keys_are_found_in_their_lines() -> None:
    assert tomllib.loads(LINES)
    assert lines_of(LINES) == {
        ("crio",): 2,
        ("crio", "log_dir"): 3,
        ("crio", "api"): 5,
        ("crio", "api", "listen"): 6,
        ("crio", "runtime"): 7,
        ("crio", "runtime", "default_ulimits"): 8,
        ("crio", "runtime", "timezone"): 15,
        ("crio", "runtime", "quoted key"): 16,
        ("crio", "runtime", "a", "b.c", "d"): 17,
        ("crio", "runtime", "text"): 18,
        ("crio", "runtime", "last"): 21,
        ("crio", "many"): 22,
        ("crio", "many", "key"): 25,
    }


@pytest.mark.parametrize(
    ("path", "line"),
    [(("crio", "api", "listen"), 6), (("crio", "runtime", "a", "b.c", "d", "x"), 17), (("foo",), 0), (("crio", "no"), 2)],
)
def test_a_key_without_a_line_has_that_of_the_table_around_it(path: tuple[str, ...], line: int) -> None:
    assert line_of(lines_of(LINES), path) == line


_words = st.text(alphabet="ab-_1", min_size=1, max_size=3)
_strings = st.text(alphabet='ab#[]{}=,.\n"', max_size=8)


@given(st.dictionaries(_words, st.dictionaries(_words, st.lists(_strings, max_size=3), max_size=4), max_size=4))
def test_every_written_key_has_its_line(document: dict[str, dict[str, list[str]]]) -> None:
    from crio.core.settings.render import toml_value

    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table, entries in document.items():
        lines.append(f"['{table}'] # [x]")
        expected[(table,)] = len(lines)
        for key, value in entries.items():
            expected[(table, key)] = len(lines) + 1
            lines += [f"{key} = [ # ]", *(f"  {toml_value(one)}," for one in value), "]"]
    text = "\n".join(lines)
    assert tomllib.loads(text) == document
    assert lines_of(text) == expected


TEXTS = {
    "a switch": ("read_only", "true", True),
    "a short switch": ("read_only", "F", False),
    "a number": ("pids_limit", "-3", -3),
    "a hexadecimal number": ("pids_limit", "0x10", 16),
    "a duration": ("pull_progress_timeout", "5s", timedelta(seconds=5)),
    "a list": ("default_env", " A=1, B=2 ,", ("A=1", "B=2")),
    "an empty list": ("default_env", "", ()),
    "a text": ("apparmor_profile", " x ", " x "),
    "a choice": ("log_level", "debug", LogLevel.DEBUG),
}
BAD_TEXTS = {
    "a switch": ("read_only", "yes", "true or false"),
    "a number": ("pids_limit", "many", "an integer"),
    "a large number": ("pids_limit", str(2**63), "an integer of 64 bits"),
    "a duration": ("pull_progress_timeout", "5", "a duration such as 30s or 1h30m"),
    "a choice": ("image_volumes", "", "one of mkdir, bind, ignore"),
    "a table": ("default_annotations", "x", "a table, which only the configuration file can hold"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_becomes_a_value(case: str) -> None:
    key, text, value = TEXTS[case]
    assert from_text(_setting(key), text) == value


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_a_bad_text_is_refused(case: str) -> None:
    key, text, expected = BAD_TEXTS[case]
    with pytest.raises(RefusedValueError) as caught:
        from_text(_setting(key), text)
    assert caught.value.expected == expected and caught.value.value == text


def test_a_toml_table_of_strings_cannot_be_changed_afterwards() -> None:
    value = from_toml(_setting("default_annotations"), {"a": "b"})
    assert value == {"a": "b"} and isinstance(value, MappingProxyType)


def test_values_are_described_for_messages() -> None:
    assert describe([True, "x", 3, {"a": timedelta(seconds=1)}, ("y", "z")]) == "true,x,3,a=1s,y,z"
    assert describe(False) == "false"


RUNTIMES = {
    "the least": ("a:/p:/r", "a", RuntimeHandler(runtime_path="/p", runtime_root="/r")),
    "empty fields": ("a::", "a", RuntimeHandler()),
    "everything": (
        "k:/p:/r:vm:true:/c:1MiB",
        "k",
        RuntimeHandler(
            runtime_path="/p",
            runtime_root="/r",
            runtime_type=RuntimeType.VM,
            privileged_without_host_devices=True,
            runtime_config_path="/c",
            container_min_memory="1MiB",
        ),
    ),
}


@pytest.mark.parametrize("case", RUNTIMES)
def test_a_runtime_is_read_from_one_line(case: str) -> None:
    text, name, handler = RUNTIMES[case]
    assert parse_runtime(text) == (name, handler)


@pytest.mark.parametrize("text", ["", "a", "a:/p", ":/p:/r", "a:/p:/r:oci:true:/c:1:2", "a:/p:/r:x", "a:/p:/r:oci:maybe"])
def test_a_bad_runtime_line_is_refused(text: str) -> None:
    with pytest.raises(RefusedValueError):
        parse_runtime(text)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("abc", "acb", 1), ("abc", "abd", 1), ("abc", "xabc", 1), ("ab", "cd", 2)],
)
def test_the_distance_of_two_words(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == distance == edit_distance(other, one)


def test_no_name_is_near_when_all_are_far() -> None:
    assert nearest_name("zebra", ["listen", "root"]) == ""
    assert nearest_name("zebra", []) == ""


@pytest.mark.parametrize(
    ("finding", "sentence"),
    [
        (Finding(severity=Severity.ERROR, path=(), problem="not TOML", file="/f", line=3), "/f:3: not TOML"),
        (Finding(severity=Severity.ERROR, path=(), problem="no such file", file="/f"), "/f: no such file"),
        (
            Finding(severity=Severity.NOTE, path=("a", "b"), problem="odd", value="", expected="even", nearest="c"),
            'a.b: odd "", expected even (did you mean "c"?)',
        ),
    ],
)
def test_a_finding_is_a_sentence(finding: Finding, sentence: str) -> None:
    assert str(finding) == sentence
    assert finding.key == ".".join(finding.path)
