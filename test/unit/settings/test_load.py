"""Files, environment and flags on top of each other: what wins, where it came from, and what is said about mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from crio.core.errors import InvalidArgument
from crio.core.settings.findings import Severity
from crio.core.settings.layers import Layer, Source, SourceKind, merge
from crio.core.settings.process import ProcessOptions
from crio.core.settings.reload import diff
from crio.core.settings.storage_conf import merge_documents, read_storage_conf
from crio.host.config import documents
from crio.host.config.load import ConfigError, ConfigSources, LoadedSettings, load_settings

Loader = Callable[..., LoadedSettings]


class Host:
    """A configuration tree below a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.flags: dict[str, object] = {}
        self.origins: dict[str, str] = {}
        self.environ: dict[str, str] = {}

    def write(self, name: str, text: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def sources(self, **changes: object) -> ConfigSources:
        values: dict[str, object] = {
            "config": str(self.root / "crio.conf"),
            "config_dir": str(self.root / "crio.conf.d"),
            "flags": self.flags,
            "origins": self.origins,
            "environ": self.environ,
            "containers_dirs": (str(self.root / "etc"), str(self.root / "usr")),
        }
        return ConfigSources(**(values | changes))  # type: ignore[arg-type]

    def load(self, **changes: object) -> LoadedSettings:
        return load_settings(self.sources(**changes))

    def sentences(self, loaded: LoadedSettings) -> list[str]:
        return [str(finding).replace(f"{self.root}/", "") for finding in loaded.findings]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_without_any_file_the_defaults_hold(host: Host) -> None:
    loaded = host.load()
    assert loaded.findings == () and loaded.files == ()
    assert loaded.require() is loaded.settings
    assert loaded.source_of("crio", "log_dir") == "default"
    assert not loaded.is_set("crio", "runtime", "cgroup_manager")
    assert not loaded.is_set("crio", "runtime", "selinux")
    assert loaded.source_of("crio", "runtime", "selinux") == "host selinux"


def test_each_source_wins_over_the_one_before(host: Host) -> None:
    host.write("crio.conf", "[crio]\nlog_dir='/1'\nversion_file='/1'\nclean_shutdown_file='/1'\nimagestore='/1'")
    host.write("crio.conf.d/10-a.conf", "[crio]\nversion_file='/2'\nclean_shutdown_file='/2'\nimagestore='/2'")
    host.write("crio.conf.d/20-b.conf", "[crio]\nclean_shutdown_file='/3'\nimagestore='/3'")
    host.flags = {"imagestore": "/4", "log-dir": "/5"}
    host.origins = {"log-dir": "CONTAINER_LOG_DIR"}
    loaded = host.load()
    root = loaded.settings.root
    assert (root.version_file, root.clean_shutdown_file, root.imagestore, root.log_dir) == ("/2", "/3", "/4", "/5")
    assert loaded.source_of("crio", "version_file") == str(host.root / "crio.conf.d/10-a.conf")
    assert loaded.source_of("crio", "imagestore") == "flag --imagestore"
    assert loaded.source_of("crio", "log_dir") == "environment CONTAINER_LOG_DIR"
    assert loaded.is_set("crio", "log_dir")
    assert [Path(path).name for path in loaded.files] == ["crio.conf", "10-a.conf", "20-b.conf"]
    assert loaded.errors == ()


def test_a_covered_value_is_noted_with_its_line(host: Host) -> None:
    host.write("crio.conf", "[crio]\nroot = '/a'\nlog_dir = '/1'\n")
    host.write("crio.conf.d/a", "[crio]\nlog_dir = '/2'\nroot = '/a'\n[crio.runtime.runtimes.crun]\n")
    host.write("crio.conf.d/b", "[crio.runtime.runtimes.crun]\nruntime_path = '/p'\n")
    loaded = host.load()
    covered = f"replaced by {host.root}/crio.conf.d".replace(f"{host.root}/", "")
    assert host.sentences(loaded) == [
        f'crio.conf:3: crio.log_dir: {covered}/a, which is read later: "/1"',
        f"crio.conf.d/a:4: crio.runtime.runtimes.crun: {covered}/b, which is read later:",
    ]
    assert {finding.severity for finding in loaded.findings} == {Severity.NOTE}


def test_the_directory_is_walked_in_lexical_order_and_every_regular_file_is_read(host: Host) -> None:
    for name in ("b/20", "b/10.toml", "a.conf", "c~", "B.conf"):
        host.write(f"crio.conf.d/{name}", "")
    elsewhere = host.write("elsewhere/d.conf", "")
    os.symlink(elsewhere, host.root / "crio.conf.d/0-link")
    os.symlink(host.root / "elsewhere", host.root / "crio.conf.d/1-link")
    os.symlink(host.root / "nowhere", host.root / "crio.conf.d/2-link")
    os.mkfifo(host.root / "crio.conf.d/3-fifo")
    loaded = host.load()
    below = f"{host.root}/crio.conf.d/"
    assert [path.removeprefix(below) for path in loaded.files] == ["0-link", "B.conf", "a.conf", "b/10.toml", "b/20", "c~"]


def test_lists_are_replaced_but_storage_options_add_up(host: Host) -> None:
    host.write("etc/storage.conf", "[storage]\ndriver='overlay'\n[storage.options]\nmountopt='nodev'")
    host.write("crio.conf", "[crio]\nstorage_option=['a', 'b']\n[crio.runtime]\ndefault_env=['A=1', 'B=1']")
    host.write("crio.conf.d/x", "[crio]\nstorage_option=['c', 'a']\n[crio.runtime]\ndefault_env=['C=1']")
    loaded = host.load()
    assert loaded.settings.runtime.default_env == ("C=1",)
    assert loaded.settings.root.storage_option == ("overlay.mountopt=nodev", "b", "c", "a")
    host.flags = {"storage-opt": ("z",)}
    assert host.load().settings.root.storage_option == ("z",)


def test_entries_of_named_tables_are_replaced_as_a_whole(host: Host) -> None:
    host.write("crio.conf", "[crio.runtime.runtimes.a]\nruntime_path='/a'\nmonitor_path='/m'\n[crio.runtime.runtimes.b]")
    host.write("crio.conf.d/x", "[crio.runtime.runtimes.a]\nruntime_root='/r'")
    host.flags = {"runtimes": ("c:/c:/rc", "b:/b:/rb")}
    loaded = host.load()
    runtimes = loaded.settings.runtime.runtimes
    assert list(runtimes) == ["crun", "a", "b", "c"]
    assert (runtimes["a"].runtime_path, runtimes["a"].runtime_root, runtimes["a"].monitor_path) == ("", "/r", "")
    assert runtimes["b"].runtime_path == "/b"
    assert loaded.source_of("crio", "runtime", "runtimes", "c") == "flag --runtimes"


def test_storage_settings_are_inherited_unless_set(host: Host) -> None:
    host.write("usr/storage.conf", "[storage]\ndriver='vfs'\ngraphroot='/g'\nrunroot='/r'\nimagestore='/i'")
    host.write("crio.conf", "[crio]\nroot=''\nstorage_driver=''\nrunroot='/mine'")
    loaded = host.load()
    root = loaded.settings.root
    assert (root.root, root.runroot, root.storage_driver, root.imagestore) == ("/g", "/mine", "vfs", "/i")
    assert loaded.source_of("crio", "root") == str(host.root / "usr/storage.conf")
    host.write("etc/storage.conf", "[storage]\ngraphroot='/other'")
    root = host.load().settings.root
    assert (root.root, root.storage_driver) == ("/other", "overlay")


def test_storage_drop_ins_and_variables(host: Host) -> None:
    host.write("etc/storage.conf", "[storage]\ngraphroot='/main'\n[storage.options]\nadditionalimagestores=['/1']")
    host.write("usr/storage.conf.d/10.conf", "[storage]\ngraphroot='/hidden by etc'")
    host.write("etc/storage.conf.d/10.conf", "[storage]\ngraphroot='/ten'\nrunroot='$HOME/run'")
    host.write("etc/storage.rootful.conf.d/20.conf", "[storage.options]\nadditionalimagestores=['/2', {append=true}]")
    host.write("etc/storage.conf.d/README", "not toml")
    host.environ = {"HOME": "/h"}
    loaded = host.load()
    assert loaded.findings == ()
    assert loaded.settings.root.root == "/ten"
    assert loaded.settings.root.runroot == "/h/run"
    assert loaded.settings.root.storage_option == ("overlay.imagestore=/1", "overlay.imagestore=/2")
    host.environ = {"CONTAINERS_STORAGE_CONF": host.write("chosen", "[storage]\nrunroot='/c'\ngraphroot='/c'")}
    host.environ["CONTAINERS_STORAGE_CONF_OVERRIDE"] = host.write("override", "[storage]\nrunroot='/o'")
    root = host.load().settings.root
    assert (root.root, root.runroot, root.storage_option) == ("/c", "/o", ())


STORAGE: dict[str, tuple[dict[str, object], dict[str, str], dict[str, object]]] = {
    "nothing": ({}, {}, {}),
    "an old name of the driver": ({"driver": "overlay2"}, {}, {"driver": "overlay"}),
    "the first driver of the order": ({"driver_priority": ["vfs", "overlay"]}, {}, {"driver": "vfs"}),
    "a driver before the order": ({"driver": "btrfs", "driver_priority": ["vfs"]}, {}, {"driver": "btrfs"}),
    "a variable before the driver": ({"driver": "overlay"}, {"STORAGE_DRIVER": "vfs"}, {"driver": "vfs"}),
    "variables before the options": (
        {"options": {"mountopt": "x"}},
        {"STORAGE_OPTS": "a=b, c=d,"},
        {"driver_options": ("a=b", "c=d")},
    ),
    "the table of the driver before the general one": (
        {"options": {"mountopt": "x", "size": "1", "overlay": {"mountopt": "y", "inodes": 5}}},
        {},
        {"driver_options": ("overlay.size=1", "overlay.mountopt=y", "overlay.inodes=5")},
    ),
    "options that a driver does not have": (
        {"driver": "vfs", "options": {"mountopt": "x", "ignore_chown_errors": "true"}},
        {},
        {"driver": "vfs", "driver_options": ("vfs.ignore_chown_errors=true",)},
    ),
    "a driver that nobody knows": ({"driver": "aufs", "options": {"size": "1"}}, {}, {"driver": "aufs"}),
    "layer stores": (
        {"options": {"additionallayerstores": ["/l:ref"]}},
        {},
        {"driver_options": ("overlay.additionallayerstore=/l:ref",)},
    ),
    "pull options": (
        {"options": {"pull_options": {"enable_partial_images": "true", "use_hard_links": False}}},
        {},
        {"pull_options": {"enable_partial_images": "true", "use_hard_links": "false"}},
    ),
    "a store that forgets": ({"transient_store": True}, {}, {"transient_store": True}),
    "a variable that is not set": ({"graphroot": "/a/$NOPE"}, {}, {"graphroot": "/a/$NOPE"}),
}


@pytest.mark.parametrize("case", STORAGE)
def test_storage_conf_is_understood(case: str) -> None:
    storage, environ, expected = STORAGE[case]
    conf, findings = read_storage_conf({"storage": storage}, environ)
    assert findings == ()
    for name in ("graphroot", "runroot", "imagestore", "driver", "driver_options", "pull_options"):
        empty: object = {} if name == "pull_options" else () if name == "driver_options" else ""
        assert getattr(conf, name) == expected.get(name, empty)
    assert conf.transient_store == expected.get("transient_store", False)


BAD_STORAGE: dict[str, tuple[Mapping[str, object], str]] = {
    "a value for the table": ({"storage": 1}, 'storage: bad value "1", expected the table [storage]'),
    "a number for a path": (
        {"storage": {"graphroot": 1}},
        'storage.graphroot: bad value "1", expected a string in quotes',
    ),
    "a text for a truth": (
        {"storage": {"transient_store": "yes"}},
        'storage.transient_store: bad value "yes", expected true or false',
    ),
    "a text for stores": (
        {"storage": {"options": {"additionalimagestores": "/x"}}},
        'storage.options.additionalimagestores: bad value "/x", expected a list of strings',
    ),
}


@pytest.mark.parametrize("case", BAD_STORAGE)
def test_a_mistake_in_storage_conf_is_found(case: str) -> None:
    document, sentence = BAD_STORAGE[case]
    _, findings = read_storage_conf(document, {})
    assert [str(finding) for finding in findings] == [sentence]


def test_a_mistake_is_looked_for_in_every_storage_file(host: Host) -> None:
    host.write("etc/storage.conf", "storage = 1\n")
    host.write("etc/storage.conf.d/a.conf", "# nothing\n")
    [finding] = host.load().findings
    assert (Path(finding.file).name, finding.line) == ("storage.conf", 1)


def test_a_driver_order_that_is_no_list_is_ignored() -> None:
    assert read_storage_conf({"storage": {"driver_priority": "vfs"}}, {})[0].driver == ""


def test_documents_merge_by_table() -> None:
    below: dict[str, object] = {"a": {"x": [1], "y": 1}, "b": 1, "c": 3}
    above: dict[str, object] = {"a": {"x": [2, {"append": True}]}, "b": {"z": 1}, "d": [{"append": True}, 5]}
    assert merge_documents([below, above]) == {"a": {"x": [1, 2], "y": 1}, "b": {"z": 1}, "c": 3, "d": [5]}


def test_mistakes_in_storage_conf_name_file_and_line(host: Host) -> None:
    host.write("etc/storage.conf", "[storage]\n\ngraphroot = 5\n")
    host.write("etc/storage.conf.d/a.conf", "[storage\n")
    host.write("usr/storage.conf.d/b.conf", "[other]\n")
    host.environ["CONTAINERS_STORAGE_CONF_OVERRIDE"] = str(host.root / "missing")
    assert host.sentences(host.load()) == [
        "etc/storage.conf.d/a.conf:1: not TOML: Expected ']' at the end of a table declaration (column 9)",
        "missing: no such file",
        'etc/storage.conf:3: storage.graphroot: bad value "5", expected a string in quotes',
    ]


MISTAKES = {
    "broken TOML": ("[crio]\nroot = \n", "crio.conf:2: not TOML: Invalid value (column 8)"),
    "an open string": ('a = "', "crio.conf:1: not TOML: Unterminated string (at end of document)"),
    "a bad value": ("[crio]\n\nlog_dir = 'x'", 'crio.conf:3: crio.log_dir: bad value "x", expected an absolute path'),
    "a bad type": ("[crio]\nroot = 1", 'crio.conf:2: crio.root: bad value "1", expected a string in quotes'),
    "an unknown key": ("[crio.api]\nlisten_ = ''", 'crio.conf:2: crio.api.listen_: unknown key (did you mean "listen"?)'),
    "a missing default runtime": (
        "[crio.runtime]\ndefault_runtime = 'x'",
        'crio.conf:2: crio.runtime.default_runtime: no such runtime handler "x", expected a table [crio.runtime.runtimes.x]',
    ),
    "a bad handler": (
        "[crio.runtime.runtimes.h]\n# comment\nmonitor_path = 'x'",
        'crio.conf:3: crio.runtime.runtimes.h.monitor_path: handler is not used: bad value "x", expected an absolute path',
    ),
    "a missing key of an entry": (
        "\n[crio.runtime.workloads.w]",
        "crio.conf:2: crio.runtime.workloads.w.activation_annotation: missing value, expected the key of an annotation",
    ),
    "a deprecated key": (
        "[crio.network]\nplugin_dir = '/x'",
        "crio.conf:2: crio.network.plugin_dir: deprecated: use plugin_dirs",
    ),
    "a time zone that does not exist": (
        "[crio.runtime]\ntimezone = 'Mars/Olympus'",
        'crio.conf:2: crio.runtime.timezone: no such time zone "Mars/Olympus", expected a name below /usr/share/zoneinfo, or Local',
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_names_file_and_line(host: Host, case: str) -> None:
    text, sentence = MISTAKES[case]
    host.write("crio.conf", text)
    assert host.sentences(host.load()) == [sentence]


def test_a_key_that_is_missing_altogether_has_no_place(host: Host) -> None:
    host.write("crio.conf", "[crio.api]\nstream_enable_tls = true\nstream_tls_cert = '/c'\n")
    assert host.sentences(host.load()) == ["crio.api.stream_tls_key: missing value, expected a file, since stream_enable_tls is true"]


def test_a_deprecated_key_with_its_default_is_fine(host: Host) -> None:
    host.write("crio.conf", "[crio]\ninternal_wipe = true\n[crio.runtime]\npids_limit = -1\ntimezone='Local'")
    assert host.load().findings == ()


def test_unknown_keys_are_errors_when_asked_for(host: Host) -> None:
    host.write("crio.conf", "[crio]\nrooot = '/x'")
    assert host.load().errors == ()
    loaded = host.load(is_strict=True)
    with pytest.raises(ConfigError, match=r'crio.conf:2: crio.rooot: unknown key \(did you mean "root"\?\)') as caught:
        loaded.require()
    assert isinstance(caught.value, InvalidArgument) and caught.value.findings == loaded.errors


def test_a_missing_file_is_an_error_only_when_it_was_asked_for(host: Host) -> None:
    assert host.load().findings == ()
    assert host.sentences(host.load(is_config_required=True)) == ["crio.conf: no such file"]
    assert host.load(config="", is_config_required=True).findings == ()


def test_files_that_cannot_be_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 10)
    (host.root / "crio.conf").mkdir()
    host.write("crio.conf.d/large", "#" * 11)
    (host.root / "crio.conf.d/latin").write_bytes(b"# 1\n# \xe9")
    assert host.sentences(host.load()) == [
        "crio.conf: cannot be read: Is a directory",
        "crio.conf.d/large: larger than 10 bytes",
        "crio.conf.d/latin:2: not UTF-8",
    ]
    assert host.sentences(host.load(config="", config_dir=str(host.root / "crio.conf.d/large"))) == [
        "crio.conf.d/large: cannot be listed: Not a directory"
    ]


def test_windows_line_ends_do_not_move_the_lines(host: Host) -> None:
    (host.root / "crio.conf").write_bytes(b"[crio]\r\n\r\nrooot = ''\r\n")
    assert host.sentences(host.load()) == ['crio.conf:3: crio.rooot: unknown key (did you mean "root"?)']


def test_a_bad_flag_names_the_flag(host: Host) -> None:
    host.flags = {"runtimes": ("x",), "log-dir": "relative", "default-runtime": "crun", "profile-port": 5}
    host.origins = {"log-dir": "CONTAINER_LOG_DIR"}
    assert host.sentences(host.load()) == [
        'flag --runtimes: crio.runtime.runtimes: bad value "x", expected'
        " NAME:PATH:ROOT[:TYPE[:PRIVILEGED_WITHOUT_HOST_DEVICES[:CONFIG_PATH[:MIN_MEMORY]]]]",
        'environment CONTAINER_LOG_DIR: crio.log_dir: bad value "relative", expected an absolute path',
    ]


def test_flags_are_no_part_of_a_reload(host: Host) -> None:
    host.write("crio.conf", "[crio.runtime]\nlog_level = 'info'\n")
    host.flags = {"log-level": "debug"}
    started = host.load()
    assert started.settings.runtime.log_level == "debug"
    before = started.from_files()
    assert before.runtime.log_level == "info"
    assert diff(before, load_settings(host.sources().for_reload()).settings).live == ()
    host.write("crio.conf", "[crio.runtime]\nlog_level = 'warn'\nread_only = true\n")
    changes = diff(before, load_settings(host.sources().for_reload()).settings)
    assert [(change.key, change.new) for change in changes.live] == [("log_level", "warn")]
    assert [change.key for change in changes.restart] == ["read_only"]


def test_what_the_host_has_without_files(host: Host) -> None:
    host.write("etc/storage.conf", "[storage]\ngraphroot = '/g'\n")
    host.write("crio.conf", "[crio]\nroot = '/mine'\n")
    loaded = host.load()
    assert (loaded.settings.root.root, loaded.inherited().root.root) == ("/mine", "/g")
    assert loaded.storage_conf.graphroot == "/g"


def test_a_source_has_a_name_for_people() -> None:
    layer = Layer(Source(SourceKind.FLAG, "--x"), [])
    assert merge([layer]).effective == {}
    assert [str(Source(kind, "x")) for kind in SourceKind] == ["host x", "x", "x", "environment x", "flag x"]
    assert ConfigSources().config == ProcessOptions().config == "/etc/crio/crio.conf"


def test_loading_is_quick_and_imports_little(host: Host) -> None:
    host.write("crio.conf", "[crio]\nlog_dir = '/x'\n[crio.runtime.runtimes.runc]\nruntime_path = '/usr/bin/runc'\n")
    host.write("crio.conf.d/10", "[crio.image]\npause_image = 'a.b/c:1'\n")
    durations_s = []
    for _ in range(5):
        started = time.process_time()
        host.load()
        durations_s.append(time.process_time() - started)
    assert min(durations_s) < 0.030
    code = "import sys; import crio.cli.flags; print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("tomlkit", "argparse", "asyncio", "grpc", "pathlib", "crio.core.settings.toml_lines", "crio.cli.man"):
        assert f"'{name}'" not in modules, name
